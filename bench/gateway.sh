#!/usr/bin/env bash
# The gateway's benchmark: Bartizan beside nginx and LiteLLM in front of one mock model,
# all on loopback. Prints tables in Markdown.
#
#   bench/gateway.sh [--quick] [--rate N] [overhead|latency|idle|streams ...]
#
# Without a stage it runs them all, in some eight minutes; --quick tries them in less than
# one, without LiteLLM, which takes long to start, and its figures mean little. --rate says how many requests a second the latency
# stage sends. BARTIZAN_BENCH_BINARY names a binary to measure in place of a fresh release
# build, BARTIZAN_BENCH_DIR the directory (and so the disk) that data rests in.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
cargo=${CARGO:-cargo}
bench=bench/gateway

say() { printf '%s\n' "$*" >&2; }
skip() { say "!! SKIPPED: $*"; }

build() {
    binary=${BARTIZAN_BENCH_BINARY:-}
    if [ -z "$binary" ]; then
        "$cargo" build --quiet --release --locked -p bartizan
        binary=$target/release/bartizan
    fi
    "$cargo" build --quiet --release --locked --manifest-path $bench/Cargo.toml --target-dir "$target/bench-gateway"
    driver=$target/bench-gateway/release/bartizan-bench-gateway
}

find_nginx() {
    if ! command -v nginx >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -q && apt-get install -y -q --no-install-recommends nginx-light; } >&2 || true
    fi
    if command -v nginx >/dev/null; then
        arguments+=(--nginx "$(command -v nginx)")
    else
        skip "what is compared with nginx: it is not installed"
    fi
}

find_litellm() {
    local venv=$target/bench-litellm
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv" >&2 || rm -rf "$venv"
    if [ -x "$venv/bin/pip" ] && "$venv/bin/pip" install -q --disable-pip-version-check -r $bench/requirements.txt >&2; then
        arguments+=(--litellm "$venv/bin/litellm")
    else
        skip "what is compared with LiteLLM: it could not be installed"
    fi
}

# Ends everything that was started: the driver leads a group of processes.
finish() {
    if [ -n "$group" ]; then
        kill -TERM -- "-$group" 2>/dev/null || true
        sleep 0.2
        kill -KILL -- "-$group" 2>/dev/null || true
    fi
    rm -rf "$dir"
}

group=
arguments=()
build
find_nginx
case " $* " in
*" --quick "*) skip "what is compared with LiteLLM: it takes too long for a quick run" ;;
*) find_litellm ;;
esac
dir=$(mktemp -d "${BARTIZAN_BENCH_DIR:-${TMPDIR:-/tmp}}/bartizan-bench.XXXXXX")
# nginx's workers change to a user of their own, and must reach their directory.
chmod 755 "$dir"
trap finish EXIT
trap 'exit 130' INT TERM
# 10,000 streams take two descriptors each; only root may raise the hard limit.
ulimit -n 24000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
set -m
"$driver" run --bartizan "$binary" --dir "$dir" "${arguments[@]}" "$@" &
group=$!
set +m
wait "$group"
