#!/bin/sh
# Builds guest.wasm, or the file that is named. RUSTC is the compiler, LINKER its linker for WebAssembly. The same compiler
# makes the same bytes.
set -eu
linker=${LINKER:-$(command -v wasm-ld || echo rust-lld)}
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/guest.wasm}
${RUSTC:-rustc} --edition 2021 --crate-type cdylib --crate-name guest --target wasm32-unknown-unknown \
	-C opt-level=s -C panic=abort -C lto=fat -C codegen-units=1 -C strip=symbols \
	-C link-arg=-zstack-size=65536 -C linker="$linker" \
	--remap-path-prefix "$here=." -o "$out" "$here/src/guest.rs"
