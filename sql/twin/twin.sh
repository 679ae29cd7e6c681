#!/bin/sh
# twin.sh TOPIC - runs TOPIC.sql on heap, then on lakehouse tables in three
# ways (all rows in the delta, some in files, all in files), and prints how the
# outputs differ.  Heap is the oracle, so nothing is printed when all is well.
#
# Called by sql/tam_*.sql through psql's \!, with the environment that
# pg_regress gives it and PGDATABASE.  PSQL is the client, if not the one in PATH.
set -u
topic=$1
here=$(dirname "$0")
out=$(mktemp -d "${TMPDIR:-/tmp}/twin.XXXXXX")
export TWIN_TMP="$out"
trap 'rm -rf "$out"' EXIT

run() {		# run NAME SETTINGS...
	name=$1
	shift
	PGOPTIONS="-c client_min_messages=warning" "${PSQL:-psql}" -X -q -c 'DROP SCHEMA IF EXISTS twin CASCADE' \
		-f "$here/schema.psql" >"$out/setup" 2>&1
	cat "$out/setup"
	PGOPTIONS="-c search_path=twin,public -c client_min_messages=notice $*" \
		"${PSQL:-psql}" -X -q -a -f "$here/$topic.psql" >"$out/$name" 2>&1
	status=$?
	[ $status -eq 0 ] || echo "$topic: psql ended with status $status on $name"
	sed -i "s|^psql:.*$topic.psql:|psql:|" "$out/$name"
	[ "$name" = heap ] || [ -n "${TWIN_KEEP:-}" ] || diff -U4 "$out/heap" "$out/$name"
	[ -z "${TWIN_KEEP:-}" ] || cp "$out/$name" "$TWIN_KEEP/$topic.$name"
}

lake="-c default_table_access_method=lakehouse -c lakehouse.row_group_rows=1000"
run heap -c debug_discard_caches=0	# (make installcheck-discard tests us, and takes hours)
run delta "$lake" -c lakehouse.bulk_threshold=1000000000
run mixed "$lake" -c lakehouse.bulk_threshold=3
run files "$lake" -c lakehouse.bulk_threshold=0
"${PSQL:-psql}" -X -q -c 'SET client_min_messages = warning; DROP SCHEMA twin CASCADE'
