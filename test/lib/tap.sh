#!/bin/bash
# tap.sh - the TAP tests (test/tap/*.pl), each with clusters of its own.
#
#	TESTS="name ..." limits it (without .pl).  Logs of failed tests stay in
#	build/tap/<test>.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cluster.sh"

cd "$LH_ROOT"
passed=0 failed=0
# Modules of SQL functions that only tests load.
for module in test/modules/*/Makefile; do
	[ -e "$module" ] || continue
	if ! env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL nice make -C "$(dirname "$module")" all \
		>"$LH_BUILD/modules.log" 2>&1; then
		tail -20 "$LH_BUILD/modules.log"
		failed=$((failed + 1))
	fi
done

lh_work_new
mkdir -p "$LH_WORK/test" "$LH_WORK/tmp"
# The server's user may not be able to read the checkout: give it a copy.
for part in tap data diff isolation modules; do
	[ ! -e "test/$part" ] || cp -a "test/$part" "$LH_WORK/test/"
done
if [ "$(id -u)" -eq 0 ]; then
	# A disk to fill up, where mounting is allowed.
	mkdir "$LH_WORK/tiny"
	if mount -t tmpfs -o size=1m,mode=0777 lakehouse "$LH_WORK/tiny" 2>/dev/null; then
		export LH_TINY_FS=$LH_WORK/tiny
	fi
	chown -R "$LH_USER" "$LH_WORK/test" "$LH_WORK/tmp"
fi

# An empty TEMP_CONFIG would kill every test; the tests make their own servers.
unset TEMP_CONFIG
export PG_REGRESS=$LH_PGXS_TEST/regress/pg_regress TMPDIR=$LH_WORK/tmp
export LH_ROOT=$LH_WORK LH_DATA=$LH_WORK/test/data
rm -rf "$LH_BUILD/tap"
mkdir -p "$LH_BUILD/tap"
for file in test/tap/*.pl; do
	name=$(basename "$file" .pl)
	if [ ! -e "$file" ]; then
		continue
	fi
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
