#!/bin/bash
# fuzz.sh FUZZER... - run each libFuzzer binary of build/fuzz for T seconds,
# starting from its committed corpus, test/fuzz/corpus/<name>/.  Inputs it finds
# go to build/fuzz/corpus/<name>, crashes to build/fuzz/crash-*.
. "$(dirname "$0")/common.sh"

command -v "${FUZZ_CC:-clang}" >/dev/null || die "make fuzz needs clang (apt-get install clang)"
passed=0 failed=0
for name in "$@"; do
	found=$LH_BUILD/fuzz/corpus/$name seeds=$LH_ROOT/test/fuzz/corpus/${name#fuzz_}
	[ -d "$seeds" ] || seeds=$LH_ROOT/test/fuzz/corpus/$name
	mkdir -p "$found"
	[ -d "$seeds" ] || seeds=
	# shellcheck disable=SC2086
	if nice "$LH_BUILD/fuzz/$name" -max_total_time="${T:-60}" -rss_limit_mb=2048 -timeout=20 \
		-artifact_prefix="$LH_BUILD/fuzz/crash-$name-" -print_final_stats=1 "$found" $seeds \
		>"$LH_BUILD/fuzz/$name.log" 2>&1; then
		passed=$((passed + 1))
		say "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$LH_BUILD/fuzz/$name.log") runs, clean"
	else
		failed=$((failed + 1))
		tail -30 "$LH_BUILD/fuzz/$name.log"
	fi
done
finish fuzz "$passed" "$failed"
