#!/usr/bin/env bash
# Run test suites. Each suite is a program test/SUITE/run that prints one line a test, "ok - name" or
# "not ok - name"; a suite that dies or prints nothing counts as one failure. Last line: N passed, N failed.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0
for suite in "$@"; do
    echo "== $suite"
    log=$(mktemp)
    test/"$suite"/run 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    p=$(grep -c '^ok ' "$log") f=$(grep -c '^not ok ' "$log")
    if [ "$status" != 0 ] && [ "$f" = 0 ] || [ $((p + f)) = 0 ]; then
        echo "not ok - suite $suite ended with status $status"
        f=$((f + 1))
    fi
    passed=$((passed + p)) failed=$((failed + f))
    rm -f "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
