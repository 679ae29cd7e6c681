#!/bin/bash
# unit.sh COMMAND... - run the unit tests of the pure layers and count them.
. "$(dirname "$0")/common.sh"

log=$LH_BUILD/unit.log
status=0
ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0} \
UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1} \
	"$@" ${TESTS:-} 2>&1 | tee "$log" || status=$?

read -r passed failed < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -1) || true
passed=${passed:-0} failed=${failed:-0}
# A sanitizer's report or a crash ends the run before or after its last line.
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
	failed=1
fi
finish unit "$passed" "$failed"
