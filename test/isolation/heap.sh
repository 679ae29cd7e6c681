#!/bin/bash
# heap.sh - what the specs tam-lock-*, tam-serial-* and tam-update-* show on heap tables.
#
#	test/isolation/heap.sh		compares it with the expected outputs
#	test/isolation/heap.sh --write	makes it the expected outputs
#
# Connects as psql does, to a database of its own making.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${PG_REGRESS:=$(dirname "$("${PG_CONFIG:-pg_config}" --pgxs)")/../../src/test/regress/pg_regress}"
tester=$(dirname "$PG_REGRESS")/../isolation/isolationtester
database=isolation_heap
bad=0

psql -X -q -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
trap 'psql -X -q -d postgres -c "DROP DATABASE $database"' EXIT
for spec in "$here"/specs/tam-{lock,serial,update}-*.spec; do
	expected=$here/expected/$(basename "$spec" .spec).out
	# what the set-up says is not shown: only there the two differ
	heap() {
		sed "s/USING lakehouse/USING heap/; s/lakehouse\.publish(t) > 0/true/" "$spec" |
			"$tester" "dbname=$database" 2>&1
	}
	if [ "${1:-}" = --write ]; then
		heap >"$expected"
	elif ! diff <(heap) "$expected"; then
		bad=1
	fi
done
exit $bad
