#!/bin/sh
# Lints the .proto files, compares them with the last release, and proves that what is generated from them is checked
# in. `check.sh release` makes the present state the one that later versions must stay compatible with.
set -eu
cd "$(dirname "$0")"
version=1.75.0
generator=v1.36.12
bin="${FAIRLEAD_TOOLS:-$(go env GOPATH)/bin}"
PATH="$bin:$PATH"
if [ "$(buf --version 2>/dev/null || true)" != "$version" ]; then
	echo "installing buf $version"
	GOBIN="$bin" go install "github.com/bufbuild/buf/cmd/buf@v$version"
fi
if [ "$(protoc-gen-go --version 2>/dev/null || true)" != "protoc-gen-go $generator" ]; then
	echo "installing protoc-gen-go $generator"
	GOBIN="$bin" go install "google.golang.org/protobuf/cmd/protoc-gen-go@$generator"
fi
if [ "${1:-}" = release ]; then
	buf build --as-file-descriptor-set --exclude-source-info -o baseline.binpb
	echo "baseline.binpb is now the present state"
	exit 0
fi
buf lint
buf breaking --against baseline.binpb
# Generate beside the tree and compare: the check changes nothing.
fresh="$(mktemp -d)"
trap 'rm -rf "$fresh"' EXIT
mkdir "$fresh/schemas"
buf generate -o "$fresh/schemas"
bad=0
for f in $(cd "$fresh" && find . -type f); do
	if ! cmp -s "$fresh/$f" "../$f"; then
		echo "schemas: $f is not what buf generate makes: run \`cd schemas && buf generate\` and check it in" >&2
		bad=1
	fi
done
exit $bad
