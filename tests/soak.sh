#!/usr/bin/env bash
# The soak: what the test command does at a small size, at its full size, in release.
#
#   tests/soak.sh                 every stage: about 4 hours on 2 cores
#   tests/soak.sh --stage NAME    one stage (may be repeated)
#   tests/soak.sh --minutes N     fuzzing takes N minutes in all (60 when absent)
#   tests/soak.sh --list          the stages
#
# BARTIZAN_CRASH_CYCLES and BARTIZAN_RECHUNKINGS set other sizes. At its end it prints
# the rows that belong into docs/status.md, section `Soak`. A stage that fails ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
export BARTIZAN_CRASH_CYCLES=${BARTIZAN_CRASH_CYCLES:-10000}
export BARTIZAN_RECHUNKINGS=${BARTIZAN_RECHUNKINGS:-100000}

stages=(crash rechunk faults ledger fuzz)
chosen=()
minutes=60
while [ $# -gt 0 ]; do
    case $1 in
        --list) printf '%s\n' "${stages[@]}"; exit 0 ;;
        --stage) chosen+=("${2:?a stage}"); shift 2 ;;
        --minutes) minutes=${2:?how many}; shift 2 ;;
        *) echo "error: \`$1\` is unknown; see the head of this file" >&2; exit 2 ;;
    esac
done

rows=()
# row WHAT FIGURES: a row of the table, with how long the stage took.
row() { rows+=("| $1 | $2 | $((SECONDS - began)) s |"); }
skip() { printf '\n!! SKIPPED: %s\n' "$*"; rows+=("| $1 | skipped: $2 | |"); }

# release ARGS: tests in release, their output shown and kept.
release() { cargo nextest run --locked --release --no-fail-fast --success-output immediate "$@" 2>&1 | tee target/soak.log; }
# said PATTERN: what the last tests printed.
said() { grep -oE "$1" target/soak.log | tail -1 || true; }

crash() {
    release -p bartizan --test crash
    row "kill -9 under load" "$(said '[0-9]+ cycles, [0-9]+ acknowledged requests, slowest start [0-9.]+m?s'), none lost, no false alarm"
}

rechunk() {
    release -p bartizan-gateway --lib -E 'test(rechunked)'
    row "recorded streams, cut anew" "$BARTIZAN_RECHUNKINGS cuts of 4 recordings, one outcome each"
}

faults() {
    BARTIZAN_FULL_SIZE=1 release -p bartizan --test sim
    row "faults of upstreams, clients and disks" "$(said '[0-9]+ faults of upstreams'); $(said 'the server held [0-9]+ MiB at the most') while gigabytes were offered"
}

ledger() {
    if ! cargo nextest list --locked --release -p bartizan-ledger --run-ignored only 2>/dev/null | grep -q .; then
        skip "ledger, every damage" "no such test is in the tree"
        return
    fi
    release -p bartizan-ledger --run-ignored only
    row "ledger, every damage" "$(said '[0-9]+ tests run: [0-9]+ passed')"
}

fuzz() {
    if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
        skip "fuzzing" "cargo-fuzz and a nightly toolchain are not installed"
        return
    fi
    local targets seconds
    mapfile -t targets < <(cargo +nightly fuzz list)
    seconds=$((minutes * 60 / ${#targets[@]}))
    for target in "${targets[@]}"; do
        cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=4096 2>&1 | tee target/soak.log
    done
    row "fuzzing" "${#targets[@]} targets, $seconds s each, no crash"
}

mkdir -p target
for stage in "${chosen[@]:-${stages[@]}}"; do
    case " ${stages[*]} " in
        *" $stage "*) ;;
        *) echo "error: \`$stage\` is no stage; --list names them" >&2; exit 2 ;;
    esac
    printf '\n== %s\n' "$stage"
    began=$SECONDS
    "$stage"
done
printf '\n%s, commit %s, %s cores\n\n' "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$(nproc)"
printf '| what | figures | took |\n|---|---|---|\n'
printf '%s\n' "${rows[@]}"
