#!/usr/bin/env bash
# Pure C under AddressSanitizer and UBSan: the unit tests; then haild, driven by the HTTP suite.
set -euo pipefail
cd "$(dirname "$0")/.."
flags="-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$build"
echo "asan: unit tests"
make -s -C "$build/test/unit" CFLAGS_EXTRA="$flags" clean all
(cd "$build" && test/unit/run)
echo "asan: haild under the HTTP suite"
make -s -C "$build/frontend" CFLAGS_EXTRA="$flags" clean all
(cd "$build" && ASAN_OPTIONS=detect_leaks=1 HAILD="$build/frontend/haild" test/http/run)
echo "asan: no error"
