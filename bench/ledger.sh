#!/usr/bin/env bash
# The ledger's benchmark: acknowledged entries a second at 64 writers, beside SQLite and
# the disk's bare flush; verification; proofs. Prints one line a figure.
# BARTIZAN_BENCH_ENTRIES=10000000 makes the large ledger so large (1,000,000 otherwise),
# BARTIZAN_BENCH_DIR says on which disk (the temporary folder's otherwise).
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${CARGO:-cargo}" bench --locked -p bartizan-ledger --bench ledger
