#!/bin/bash
# check.sh - every suite, the quick ones first; ends with one line,
# "N passed, N failed", over all of them.
#
#	SUITES="lint unit" limits it.
. "$(dirname "$0")/common.sh"

cd "$LH_ROOT"
# The goals and the jobserver of the calling make are not meant for the suites.
unset MAKEFLAGS MFLAGS MAKELEVEL
passed=0 failed=0 summary=()
for suite in ${SUITES:-stage lint lint-selftest unit installcheck tapcheck interop clients}; do
	say "=== make $suite"
	log=$LH_BUILD/check-$suite.log status=0 begin=$SECONDS
	nice make --no-print-directory "$suite" </dev/null 2>&1 | tee "$log" || status=$?
	p=0 f=0
	read -r p f < <(sed -n "s/^$suite: \([0-9]*\) passed, \([0-9]*\) failed\$/\1 \2/p" "$log" | tail -1) || true
	# No closing line, or a bad end without a failed test: the suite itself failed.
	if [ -z "${p:-}" ] || { [ "$status" -ne 0 ] && [ "${f:-0}" -eq 0 ]; }; then
		f=$((${f:-0} + 1))
	fi
	passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0}))
	summary+=("$(printf '%-14s %6d passed %4d failed %5d s' "$suite" "${p:-0}" "${f:-0}" $((SECONDS - begin)))")
done
say "==="
printf '%s\n' "${summary[@]}"
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
