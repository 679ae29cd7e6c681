#!/bin/bash
# regress.sh - pg_regress and isolation tests in a private cluster.
#
#	TESTS="name ..." limits it.  Results stay in build/results/{sql,isolation}:
#	copy a reviewed one over its expected file.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cluster.sh"

names() {	# names SUFFIX FILE... : base names that exist, limited by TESTS
	local suffix=$1 file name
	shift
	for file in "$@"; do
		name=$(basename "$file" "$suffix")
		[ -e "$file" ] || continue
		case "$name" in lakehouse--*) continue ;; esac
		if [ -z "${TESTS:-}" ] || [[ " $TESTS " == *" $name "* ]]; then
			echo "$name"
		fi
	done
}

passed=0 failed=0
# run KIND PROGRAM INPUT TESTS: one pg_regress-like program, counted.
run() {
	local kind=$1 program=$2 input=$3 out=$LH_WORK/out/$1 log=$LH_BUILD/regress-$1.log status=0
	[ -n "$4" ] || return 0
	as_server mkdir -p "$out"
	# shellcheck disable=SC2086
	as_server "$program" --inputdir="$input" --outputdir="$out" --bindir="$LH_BIN" \
		--host="$PGHOST" --port="$PGPORT" --user=postgres --dbname="regress_$kind" \
		--load-extension=lakehouse $4 2>&1 | tee "$log" || status=$?
	mkdir -p "$LH_BUILD/results/$kind"
	cp "$out"/results/*.out "$LH_BUILD/results/$kind/" 2>/dev/null || true
	if [ -s "$out/regression.diffs" ]; then
		cp "$out/regression.diffs" "$LH_BUILD/results/$kind.diffs"
		sed -n 1,200p "$out/regression.diffs"
	fi
	local ok bad
	# PG 15: "test name ... ok 12 ms"; PG 16 and newer: TAP.
	ok=$(grep -cE '^(test .*\.\.\. ok|ok +[0-9]+)' "$log" || true)
	bad=$(grep -cE '^(test .*\.\.\. FAILED|not ok +[0-9]+)' "$log" || true)
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
}

cd "$LH_ROOT"
lh_cluster_new "fsync = off" "max_worker_processes = 32"
# The server's user may not be able to read the checkout: give it a copy.
mkdir -p "$LH_WORK/in"
cp -a sql "$LH_WORK/in/"
mkdir -p "$LH_WORK/in/expected" "$LH_WORK/in/isolation/expected"
cp -a expected "$LH_WORK/in/" 2>/dev/null || true
cp -a test/isolation/. "$LH_WORK/in/isolation/" 2>/dev/null || true
cp -a test/data "$LH_WORK/in/"
[ "$(id -u)" -ne 0 ] || chown -R "$LH_USER" "$LH_WORK/in"
lh_cluster_start

rm -rf "$LH_BUILD/results"
run sql "$LH_PGXS_TEST/regress/pg_regress" "$LH_WORK/in" "$(names .sql sql/*.sql)"
run isolation "$LH_PGXS_TEST/isolation/pg_isolation_regress" "$LH_WORK/in/isolation" \
	"$(names .spec test/isolation/specs/*.spec)"

# A backend that crashed is a failure even when every output matched.
if grep -E 'was terminated by signal|PANIC:|TRAP:' "$LH_WORK/server.log"; then
	failed=$((failed + 1))
fi
finish installcheck "$passed" "$failed"
