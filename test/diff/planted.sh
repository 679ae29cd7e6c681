#!/bin/bash
# planted.sh - do the random testers find bugs?  Each is planted into a copy of
# the sources, and its tester has to see a difference.
#
#	test/diff/planted.sh [BUG ...]		after `make stage`; a minute a bug
#
# A bug whose place in the sources is not there any more is a failure, too:
# plant it anew.  SEED (1) begins with another seed.
. "$(dirname "$0")/../lib/common.sh"
. "$(dirname "$0")/../lib/cluster.sh"

# name | tester | statements it may take | file | perl substitution
bugs=(
	'row-in-10000-lost-by-publisher|difftest|40000|src/publish/publish_table.c|s/(?=put_delta_row\(writer, row, desc)/if (row->row_id % 10000 != 777) /'
	'row-in-10000-lost-by-statement|difftest|40000|src/storage/statement.c|s/(?=lh_file_writer_put\(st->writer)/if (st->next_row_id % 10000 != 777) /'
	'dead-row-in-1000-lives|difftest|40000|src/storage/row_scan.c|s/(?=bury_row\(scan, batch, i\);)/if (row_id % 1000 == 77) continue;\n/'
	'savepoint-ignored-by-deletes|difftest|40000|src/storage/own_dead.c|s/(?=if \(own_dead != NULL && !transaction_ends)/if (!transaction_ends) return;\n/'
	'savepoint-ignored-by-files|difftest|40000|src/storage/statement.c|s/a->lost = true;/;/'
	'rest-of-a-bulk-delete-lost|difftest|40000|src/storage/tombstone_scan.c|s/(?=bulk_put\(&delta, &entry->rest)/if (false) /'
	'bulk-delete-of-others-seen|difftest|40000|src/storage/bulk.c|s/lh_bulk_has\(&bulk, row_id\) &&\s+delta_index_judge\(&index, snapshot\)/lh_bulk_has(&bulk, row_id)/'
	'lock-missed-by-bulk-delete|sessions|8000|src/storage/mark.c|s/return is_locked\(marks, &m\) \? MAY_HAVE_TO_WAIT :/return /'
	'update-missed-by-bulk-delete|sessions|8000|src/storage/mark.c|s/state == XMIN_RUNNING \? MAY_HAVE_TO_WAIT :/state == XMIN_RUNNING ? NOT_IN_THE_WAY :/'
	'lock-of-older-version-missed|sessions|20000|src/storage/mark.c|s/if \(!is_locked\(marks, &ancestor\)\)\s+continue;/continue;/'
	'lock-of-file-row-missed|sessions|8000|src/storage/mark.c|s/if \(!ItemPointerIsValid\(&m->lock_tid\)\)\s+\{\s+if \(!make\)/if (!m->in_delta || !ItemPointerIsValid(&m->lock_tid)) { if (!make || !m->in_delta)/'
	'locked-row-not-skipped|sessions|8000|src/storage/mark.c|s/if \(result == TM_WouldBlock && policy != LockWaitSkip\)/if (result == TM_WouldBlock)/'
	'key-share-blocks|sessions|8000|src/tableam/am_modify.c|s/LockTupleMode mode = LockTupleNoKeyExclusive;/LockTupleMode mode = LockTupleExclusive;/'
	'serializable-reader-missed|sessions|20000|src/tableam/am_modify.c|s/CheckForSerializableConflictIn\(rel, o?tid,.*?;/;/g'
)

plant() {	# NAME TESTER STATEMENTS FILE SUBSTITUTION
	local name=$1 tester=$2 statements=$3 file=$4 change=$5 status=0
	cp "$LH_ROOT/$file" "$LH_WORK/tree/$file"
	perl -0pi -e "$change" "$LH_WORK/tree/$file"
	if cmp -s "$LH_ROOT/$file" "$LH_WORK/tree/$file"; then
		say "$name: its place is not in $file any more"
		return 1
	fi
	if ! nice make -C "$LH_WORK/tree" with_llvm=no all >"$LH_WORK/build.log" 2>&1; then
		grep -E "error:|\*\*\*" "$LH_WORK/build.log" | head -5
		say "$name: does not compile"
		return 1
	fi
	cp "$LH_ROOT/$file" "$LH_WORK/tree/$file"
	cp "$LH_WORK/tree/lakehouse.so" "$("$LH_BIN/pg_config" --pkglibdir)/"
	lh_cluster_start
	lh_sql -c "SET client_min_messages = error" -c "CREATE EXTENSION IF NOT EXISTS lakehouse"
	nice timeout 600 python3 "$LH_ROOT/test/diff/$tester.py" --no-shorten --statements "$statements" >"$LH_WORK/$name.log" 2>&1 || status=$?
	lh_cluster_stop immediate
	if [ "$status" -ne 1 ] || ! grep -qE 'differs|fit no serial order|neither go on' "$LH_WORK/$name.log"; then
		tail -3 "$LH_WORK/$name.log"
		say "$name: not found"
		return 1
	fi
	say "$name: found with $(grep -cE ', same$' "$LH_WORK/$name.log") seeds that saw nothing before"
}

PG_CONFIG=$(command -v "$PG_CONFIG")	# the private server has no headers
lh_cluster_new "fsync = off" "autovacuum = off" "max_worker_processes = 16"
mkdir "$LH_WORK/tree"
tar -C "$LH_ROOT" -cf - Makefile lakehouse.control src sql | tar -C "$LH_WORK/tree" -xf -
passed=0 failed=0
unset MAKEFLAGS MFLAGS MAKELEVEL
for bug in "${bugs[@]}"; do
	name=${bug%%|*}
	[ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
	IFS='|' read -r name tester statements file change < <(printf '%s\n' "$bug")
	if plant "$name" "$tester" "$statements" "$file" "$change"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
finish planted "$passed" "$failed"
