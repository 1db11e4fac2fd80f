#!/usr/bin/env bash
# The test command: everything that must hold before a change lands.
# Needs a Rust toolchain; installs what else it needs below target/, or says
# loudly what it skipped. `tests/run.sh --list` names the stages.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

say() { printf '\n== %s\n' "$*"; }
skip() { printf '\n!! SKIPPED: %s\n' "$*"; skipped+=("$1"); }
skipped=()

format() { cargo fmt --all --check; }

lint() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

# The official SDKs, for the tests that speak to the gateway through them.
sdks() {
    local venv=target/venv
    if ! command -v python3 >/dev/null; then
        skip "the SDK tests: no python3"
        return
    fi
    if [ ! -x "$venv/bin/python" ] && ! python3 -m venv "$venv"; then
        rm -rf "$venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get install -y -q python3-venv && python3 -m venv "$venv"
        fi
    fi
    if [ -x "$venv/bin/python" ] && "$venv/bin/pip" install -q --disable-pip-version-check -r tests/peers/requirements.txt; then
        export BARTIZAN_TEST_PYTHON="$PWD/$venv/bin/python"
    else
        skip "the SDK tests: the openai and anthropic packages could not be installed"
    fi
}

# A browser and what drives it, for the tests of the pages.
browser() {
    if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -q --no-install-recommends chromium || true
    fi
    if ! command -v chromium >/dev/null && [ -z "${BARTIZAN_TEST_CHROMIUM:-}" ]; then
        skip "the browser tests: no chromium; install it, or name one by BARTIZAN_TEST_CHROMIUM"
    elif ! command -v npm >/dev/null; then
        skip "the browser tests: no npm (Node 18 or newer)"
    elif ! (cd tests/browser && npm ci --no-audit --no-fund --silent); then
        skip "the browser tests: npm could not install what tests/browser/package-lock.json names"
    else
        (cd tests/browser && npx --no-install tsc -p tsconfig.json)
    fi
}

# What the tests of a release use; without one, its test passes and proves nothing.
tools() {
    local tool
    for tool in openssl python3 systemd-analyze strace; do
        command -v "$tool" >/dev/null || skip "what the tests of a release check with $tool: it is not installed"
    done
    if ! unshare -n -m true 2>/dev/null && ! unshare -r -n -m true 2>/dev/null; then
        skip "that nothing leaves the machine: no network namespace can be made here"
    fi
}

tests() {
    cargo build --locked --workspace
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --workspace --no-fail-fast
    else
        printf '\n!! cargo-nextest is not installed: the same tests run, more slowly, by cargo test\n'
        cargo test --locked --workspace --all-targets
    fi
    cargo test --locked --workspace --doc
}

licences() {
    if ! cargo deny --version >/dev/null 2>&1; then
        skip "licences and advisories: cargo-deny is not installed"
    elif [ -n "${BARTIZAN_ADVISORIES:-}" ]; then
        cargo deny --offline check --config deny.toml advisories bans licenses sources
    else
        cargo deny --offline check --config deny.toml bans licenses sources
        skip "advisories: BARTIZAN_ADVISORIES does not name a directory with an advisory database"
    fi
}

stages=(format lint sdks browser tools tests licences)
if [ "${1:-}" = --list ]; then
    printf '%s\n' "${stages[@]}"
    exit 0
fi
for stage in "${@:-${stages[@]}}"; do
    say "$stage"
    "$stage"
done
say "done"
for what in "${skipped[@]:+${skipped[@]}}"; do
    printf '!! SKIPPED: %s\n' "$what"
done
