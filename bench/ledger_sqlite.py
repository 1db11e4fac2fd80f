#!/usr/bin/env python3
"""SQLite as a log, beside the ledger: rows a second that survive a loss of power.

Usage: ledger_sqlite.py FILE ROWS ROWS_A_TRANSACTION BYTES_A_ROW. WAL mode, synchronous=FULL: one
flush a transaction, as the ledger has one a batch. One writer and no waiting between, so that
nothing but SQLite is measured."""
import sqlite3, sys, time

path, rows, group, size = sys.argv[1], *map(int, sys.argv[2:])
log = sqlite3.connect(path, isolation_level=None)
log.execute("PRAGMA journal_mode = WAL")
log.execute("PRAGMA synchronous = FULL")
log.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
entry = b"x" * size
start = time.perf_counter()
for first in range(0, rows, group):
    log.execute("BEGIN IMMEDIATE")
    log.executemany("INSERT INTO entry VALUES (?, ?)", ((number, entry) for number in range(first, min(rows, first + group))))
    log.execute("COMMIT")
print(rows / (time.perf_counter() - start))
