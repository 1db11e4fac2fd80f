#!/usr/bin/env bash
# The console's benchmark: how long the server takes for each list, facet, histogram, page and
# act of triage, with 1,000,000 decisions and 100,000 findings in the store. Prints a line a
# question: half, 99 % and the slowest of 200 answers, in milliseconds, as the server says in
# `server-timing`; and what is beyond the goal.
# BARTIZAN_BENCH_DECISIONS and BARTIZAN_BENCH_FINDINGS make it smaller, BARTIZAN_BENCH_DIR keeps
# what was seeded for the next run, BARTIZAN_BINARY names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${BARTIZAN_BINARY:-target/release/bartizan}
decisions=${BARTIZAN_BENCH_DECISIONS:-1000000}
findings=${BARTIZAN_BENCH_FINDINGS:-100000}
kept=${BARTIZAN_BENCH_DIR:-}
# What the binary does not know as a key of its configuration it refuses.
unset BARTIZAN_BINARY BARTIZAN_BENCH_DECISIONS BARTIZAN_BENCH_FINDINGS BARTIZAN_BENCH_DIR
if [ ! -x "$binary" ]; then
    "${CARGO:-cargo}" build --release --locked -p bartizan
fi
binary=$(realpath "$binary")
scratch=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server"; wait "$server" || true; fi; rm -rf "$scratch"' EXIT
export BARTIZAN_DATA_DIR=${kept:-$scratch/data}
export BARTIZAN_DATA__LISTEN=127.0.0.1:0 BARTIZAN_ADMIN__LISTEN=127.0.0.1:18481
bench=$PWD/bench
cd "$scratch"
cat > bartizan.toml <<'TOML'
[net]
allow = ["127.0.0.1"]
[routes.chat]
models = ["*"]
[[routes.chat.targets]]
url = "http://127.0.0.1:9"
TOML
if [ ! -e "$BARTIZAN_DATA_DIR/store.db" ]; then
    "$binary" db seed --decisions "$decisions" --findings "$findings"
fi
"$binary" serve 2> server.log &
server=$!
for _ in $(seq 300); do
    if [ -S "$BARTIZAN_DATA_DIR/admin.sock" ] && curl -sf --unix-socket "$BARTIZAN_DATA_DIR/admin.sock" http://localhost/readyz > /dev/null; then
        break
    fi
    sleep 0.1
done
link=$(grep -oE 'https?://[^ "]*/welcome\?link=[A-Za-z0-9_]+' server.log | head -1 || true)
# What was kept has an account already: another person is asked in.
if [ -z "$link" ]; then
    link=$("$binary" people invite "bench$$" --role administrator | grep -oE 'https?://[^ "]*/welcome\?link=[A-Za-z0-9_]+' | head -1 || true)
fi
python3 "$bench/console.py" "$BARTIZAN_DATA_DIR/admin.sock" ${link:+"$link"} || { tail -20 server.log; exit 1; }
