#!/bin/bash
# coverage.sh BINARY - line coverage of the pure layers by their unit tests.
. "$(dirname "$0")/common.sh"

cd "$LH_ROOT"
find build/coverage -name '*.gcda' -delete
"$1" >"$LH_BUILD/coverage/unit.log" 2>&1 || say "note: unit tests failed, see build/coverage/unit.log"
find build/coverage/src -name '*.gcno' | sort | while read -r notes; do
	gcov -n "$notes" 2>/dev/null | awk -v file="$(basename "$notes" .gcno).c" '
		/^File / { show = index($0, "/" file "\047") }
		show && /^Lines executed/ { sub(/Lines executed:/, ""); printf "%-28s %s\n", file, $0; show = 0 }'
done
