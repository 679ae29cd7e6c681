#!/bin/bash
# tap.sh - the TAP tests (test/tap/*.pl), each with clusters of its own.
#
#	TESTS="name ..." limits it (without .pl).  Logs of failed tests stay in
#	build/tap/<test>.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cluster.sh"

cd "$LH_ROOT"
lh_cluster_new
mkdir -p "$LH_WORK/test" "$LH_WORK/tmp"
cp -a test/tap "$LH_WORK/test/"
cp -a test/data "$LH_WORK/test/"
[ "$(id -u)" -ne 0 ] || chown -R "$LH_USER" "$LH_WORK/test" "$LH_WORK/tmp"

# An empty TEMP_CONFIG would kill every test; the tests make their own servers.
unset TEMP_CONFIG PGHOST PGPORT PGUSER PGDATABASE
export PG_REGRESS=$LH_PGXS_TEST/regress/pg_regress TMPDIR=$LH_WORK/tmp
export LH_DATA=$LH_WORK/test/data
passed=0 failed=0
rm -rf "$LH_BUILD/tap"
mkdir -p "$LH_BUILD/tap"
for file in test/tap/*.pl; do
	name=$(basename "$file" .pl)
	[ -e "$file" ] || continue
	if [ -n "${TESTS:-}" ] && [[ " $TESTS " != *" $name "* ]]; then
		continue
	fi
	log=$LH_BUILD/tap/$name.log status=0 dir=$LH_WORK/test/$name
	mkdir -p "$dir"
	[ "$(id -u)" -ne 0 ] || chown "$LH_USER" "$dir"
	as_server env TESTDIR="$dir" TESTDATADIR="$dir/tmp_check" TESTLOGDIR="$dir/log" \
		prove -v -I "$LH_PGXS_TEST/perl" -I "$LH_WORK/test/tap/lib" "$LH_WORK/$file" >"$log" 2>&1 || status=$?
	ok=$(grep -cE '^ok [0-9]+' "$log" || true)
	bad=$(grep -cE '^not ok [0-9]+' "$log" || true)
	if [ "$status" -ne 0 ]; then
		[ "$bad" -gt 0 ] || bad=1
		cp -r "$dir/tmp_check/log" "$dir/log" "$LH_BUILD/tap/" 2>/dev/null || true
		grep -E '^not ok|^#|^Bailout|Dubious|died|Can.t' "$log" | head -40 || true
	fi
	say "tap $name: $ok ok, $bad not ok"
	passed=$((passed + ok)) failed=$((failed + bad))
	rm -rf "$dir"
done
finish tapcheck "$passed" "$failed"
