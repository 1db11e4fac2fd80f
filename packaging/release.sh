#!/usr/bin/env bash
# Makes a release in OUT: the static binary, its bill of materials (CycloneDX 1.6), a
# signed statement that binds the two, and checksums. docs/guides/release.md says how to
# verify them with nothing of ours.
#
#   packaging/release.sh [--key FILE] [--binary FILE] OUT
#
#   --key FILE     an Ed25519 private key (PEM); without it nothing is signed
#   --binary FILE  takes this binary instead of building one; it may be dynamically linked
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cargo=${CARGO:-cargo}
target=${BARTIZAN_RELEASE_TARGET:-x86_64-unknown-linux-musl}
key= binary= out=

fail() { printf 'error: %s\n' "$*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --key) key=${2:?--key names a file}; shift 2 ;;
        --binary) binary=${2:?--binary names a file}; shift 2 ;;
        -*) fail "'$1' is no option: --key FILE, --binary FILE" ;;
        *) out=$1; shift ;;
    esac
done
[ -n "$out" ] || fail "name the folder that the release goes to"
[ -z "$key" ] || [ -r "$key" ] || fail "the key '$key' cannot be read"

# With no folder of the builder in the binary, and no debug information.
build() {
    local home=${CARGO_HOME:-$HOME/.cargo} built=${CARGO_TARGET_DIR:-$root/target}
    # Of several that fit, the last counts.
    export RUSTFLAGS="--remap-path-prefix=$home=/cargo --remap-path-prefix=$root=/bartizan"
    RUSTFLAGS+=" --remap-path-prefix=$built=/target"
    # glibc links dynamically unless told; musl is static as it is.
    case $target in *-gnu) RUSTFLAGS+=" -C target-feature=+crt-static" ;; esac
    (cd "$root" && CARGO_PROFILE_RELEASE_STRIP=debuginfo \
        "$cargo" build --release --locked --target "$target" --bin bartizan)
    binary=$built/$target/release/bartizan
    if readelf --program-headers --wide "$binary" | grep -q INTERP; then
        fail "'$binary' needs a dynamic loader: it is not static"
    fi
}

[ -n "$binary" ] || build
mkdir -p "$out"
install -m 755 "$binary" "$out/bartizan"
CARGO=$cargo python3 "$root/packaging/attest.py" --target "$target" ${key:+--key "$key"} "$out"
cd "$out"
if [ -n "$key" ]; then
    sha256sum bartizan bartizan.cdx.json bartizan.dsse.json release.pub > SHA256SUMS
else
    sha256sum bartizan bartizan.cdx.json > SHA256SUMS
fi
