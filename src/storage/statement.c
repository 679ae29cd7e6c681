/*
 * statement.c
 *	  Rows written by a statement: to the delta first, and past the bulk
 *	  threshold straight into Parquet files.
 *
 * A file is ended, and its catalog row inserted with the statement's command
 * id, when the statement ends (COPY and its like say so, the executor's end is
 * seen through a hook), when it has the target size, or when somebody with a
 * newer command id wants to read the table.  So nothing of a statement is
 * kept in memory beyond it, and a cursor or a savepoint sees what it would
 * see on a heap.
 *
 * A statement here is (relation file, subtransaction, command id).  Its state
 * lives in TopTransactionContext; the end of a (sub)transaction that did not
 * commit drops it, and with it the unfinished file.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "objstore/objstore.h"
#include "storage/delta_int.h"
#include "types/pg_compat.h"

#define MAX_DELTA_RESERVE	1024

typedef struct Statement
{
	Oid			relid;
	RelFileNode node;			/* another one: the table was rewritten */
	SubTransactionId subid;
	CommandId	cid;
	int			depth;			/* of executor nesting */
	MemoryContext cxt;
	LhOptions	options;
	LhIdentity	identity;
	int64		delta_rows;		/* written since the start or the last file */
	bool		delta_only;
	LhFileWriter *writer;		/* NULL: rows go to the delta */
	uint64		next_row_id;	/* reserved ids not yet used, for the file */
	uint64		end_row_id;
	uint64		next_delta_id;	/* and for the delta */
	uint64		end_delta_id;
	int64		reserve;		/* how many of these to reserve next */
} Statement;

static List *statements = NIL;	/* in TopTransactionContext */

/*
 * A file of an outer statement that had to be ended inside a subtransaction:
 * its catalog row has the subtransaction's id, and is gone if that aborts,
 * while the statement's rows are not.  Then it is inserted once more.
 */
typedef struct AdoptedFile
{
	LhFile	   *file;
	Oid			relid;
	CommandId	cid;
	SubTransactionId home;		/* of the statement */
	SubTransactionId inserted;	/* that the catalog row belongs to */
	bool		lost;
} AdoptedFile;

static List *adopted = NIL;		/* in TopTransactionContext */
static int	executor_depth = 0;
static bool runs_to_end = false;	/* the innermost run of the executor */

int
lh_statement_depth(void)
{
	return executor_depth;
}

void
lh_statement_set_depth(int depth)
{
	if (depth > executor_depth)
		delta_cache_note_owner(depth);
	executor_depth = depth;
}

bool
lh_statement_runs_to_end(void)
{
	return runs_to_end;
}

bool
lh_statement_set_runs_to_end(bool to_end)
{
	bool		before = runs_to_end;

	runs_to_end = to_end;
	return before;
}

void
lh_statement_forget(void)
{
	statements = NIL;			/* the memory went with the transaction */
	adopted = NIL;
	executor_depth = 0;
	runs_to_end = false;
}

static Statement *
find_statement(Relation rel, CommandId cid)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	ListCell   *lc;

	foreach(lc, statements)
	{
		Statement  *st = lfirst(lc);

		if (st->relid == RelationGetRelid(rel) && st->subid == subid && st->cid == cid &&
			RelFileNodeEquals(st->node, rel->rd_node))
			return st;
	}
	return NULL;
}

/*
 * A table being rewritten is written through a transient relation, whose
 * files belong to the original.
 */
void
lh_adopt_identity(Relation rel)
{
	Relation	original;
	LhIdentity	theirs;

	if (!OidIsValid(rel->rd_rel->relrewrite))
		return;
	original = table_open(rel->rd_rel->relrewrite, NoLock); /* locked by the rewrite */
	if (lh_relation_is_lakehouse(original))
	{
		lh_metapage_read(original, &theirs);
		lh_metapage_set_uuid(rel, &theirs.table_uuid);
	}
	table_close(original, NoLock);
}

/*
 * Unique and exclusion checks, of this statement, too, must find a row as soon
 * as it has an index entry, but a file is known only when it is complete.
 * Rewrites make the indexes afterwards.
 */
static bool
has_checked_index(Relation rel)
{
	bool		found = false;
	ListCell   *lc;

	if (!rel->rd_rel->relhasindex)
		return false;
	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(tuple))
			continue;
		found |= ((Form_pg_index) GETSTRUCT(tuple))->indisunique ||
			((Form_pg_index) GETSTRUCT(tuple))->indisexclusion;
		ReleaseSysCache(tuple);
	}
	return found;
}

static Statement *
begin_statement(Relation rel, CommandId cid)
{
	MemoryContext cxt = AllocSetContextCreate(TopTransactionContext, "lakehouse statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Statement  *st = palloc0(sizeof(Statement));

	st->cxt = cxt;
	st->relid = RelationGetRelid(rel);
	st->node = rel->rd_node;
	st->subid = GetCurrentSubTransactionId();
	st->cid = cid;
	st->depth = executor_depth;
	st->reserve = 1;
	st->delta_only = lh_delta_exists(rel) && has_checked_index(rel);
	lh_dirty_add(OidIsValid(rel->rd_rel->relrewrite) ? rel->rd_rel->relrewrite : st->relid);
	lh_options_of(rel, &st->options);
	lh_metapage_read(rel, &st->identity);
	lh_database_mark();
	if (st->delta_only)
		lh_file_hold();			/* index entries of these rows are checked */
	MemoryContextSwitchTo(TopTransactionContext);
	statements = lappend(statements, st);
	MemoryContextSwitchTo(old);
	return st;
}

/* Serializable readers of rows that the file has. */
static void
check_row_readers(Relation rel, const LhFile *file)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse row readers", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhPqFileMeta *meta = lh_file_meta(file);

	for (int g = 0; g < file->n_first_row_ids; g++)
		for (int64 i = 0; i < meta->row_groups[g].num_rows; i++)
		{
			ItemPointerData tid;

			CHECK_FOR_INTERRUPTS();
			lh_row_id_to_tid((uint64) file->first_row_ids[g] + i, &tid);
			CheckForSerializableConflictIn(rel, &tid, ItemPointerGetBlockNumber(&tid));
		}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/*
 * Gives a file to the catalog.  Up to here its rows could be met by nobody:
 * neither by who read the table since they were inserted, nor by who found
 * entries of theirs in an index.  Both have left locks where they looked.
 */
static void
catalog_file(Oid relid, const LhFile *file, CommandId cid)
{
	Relation	rel;

	lh_file_insert(file, cid);
	if (!IsolationIsSerializable())
		return;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		return;
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	if (rel->rd_rel->relhasindex)
		check_row_readers(rel, file);
	relation_close(rel, NoLock);
}

/* Ends the open file, if any, and gives it to the catalog. */
static void
end_file(Statement *st)
{
	MemoryContext old;
	LhFile	   *file;

	if (st->writer == NULL)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	file = lh_file_writer_finish(st->writer);
	st->writer = NULL;
	st->delta_rows = 0;
	catalog_file(st->relid, file, st->cid);
	LH_FAULT_POINT("file-cataloged");
	if (st->subid != GetCurrentSubTransactionId())
	{
		AdoptedFile *a = palloc0(sizeof(AdoptedFile));

		a->file = file;
		a->relid = st->relid;
		a->cid = st->cid;
		a->home = st->subid;
		a->inserted = GetCurrentSubTransactionId();
		adopted = lappend(adopted, a);
	}
	MemoryContextSwitchTo(old);
}

/* Brings back catalog rows that went with a subtransaction. */
static void
restore_adopted(void)
{
	ListCell   *lc;

	foreach(lc, adopted)
	{
		AdoptedFile *a = lfirst(lc);

		if (!a->lost)
			continue;
		catalog_file(a->relid, a->file, a->cid);
		a->lost = false;
		a->inserted = GetCurrentSubTransactionId();
		if (a->inserted == a->home)
			adopted = foreach_delete_current(adopted, lc);
	}
}

static void
begin_file(Statement *st, Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(st->cxt);

	st->writer = lh_file_writer_begin(rel, RelationGetDescr(rel), &st->options,
									  &st->identity.table_uuid, st->identity.storage_id, false);
	MemoryContextSwitchTo(old);
}

static void
insert_into_file(Statement *st, Relation rel, TupleTableSlot *slot, TransactionId xmin)
{
	if (st->writer != NULL && lh_file_writer_is_full(st->writer))
		end_file(st);
	if (st->writer == NULL)
		begin_file(st, rel);
	if (st->next_row_id == st->end_row_id)
	{
		st->next_row_id = lh_row_ids_reserve(rel, st->options.row_group_rows);
		st->end_row_id = st->next_row_id + st->options.row_group_rows;
	}
	slot_getallattrs(slot);
	lh_file_writer_put(st->writer, slot->tts_values, slot->tts_isnull, st->next_row_id, xmin);
	lh_row_id_to_tid(st->next_row_id, &slot->tts_tid);
	st->next_row_id++;
}

static uint64
insert_into_delta(Statement *st, Relation rel, TupleTableSlot *slot, const LhLineage *lineage,
				  CommandId cid, uint32 token)
{
	uint64		row_id;

	if (st->next_delta_id == st->end_delta_id)
	{
		st->next_delta_id = lh_row_ids_reserve(rel, st->reserve);
		st->end_delta_id = st->next_delta_id + st->reserve;
		st->reserve = Min(st->reserve * 2, MAX_DELTA_RESERVE);
	}
	row_id = st->next_delta_id++;
	lh_delta_insert(rel, row_id, slot, lineage, cid, token);
	lh_row_id_to_tid(row_id, &slot->tts_tid);
	slot->tts_tableOid = RelationGetRelid(rel);
	st->delta_rows++;
	return row_id;
}

static Statement *
find_or_begin(Relation rel, CommandId cid)
{
	Statement  *st = find_statement(rel, cid);

	return st != NULL ? st : begin_statement(rel, cid);
}

void
lh_statement_prepare(Relation rel, CommandId cid)
{
	(void) find_or_begin(rel, cid);
}

void
lh_statement_insert(Relation rel, TupleTableSlot *slot, CommandId cid, bool bulk)
{
	Statement  *st = find_or_begin(rel, cid);

	if (!lh_delta_exists(rel) ||
		(!st->delta_only && (bulk || st->writer != NULL || st->delta_rows >= st->options.bulk_threshold)))
		insert_into_file(st, rel, slot, GetCurrentTransactionId());
	else
		(void) insert_into_delta(st, rel, slot, NULL, cid, 0);
	slot->tts_tableOid = RelationGetRelid(rel);
}

void
lh_statement_copy(Relation rel, TupleTableSlot *slot, TransactionId xmin, CommandId cid)
{
	insert_into_file(find_or_begin(rel, cid), rel, slot, xmin);
}

uint64
lh_statement_insert_delta(Relation rel, TupleTableSlot *slot, const LhLineage *lineage,
						  CommandId cid, uint32 token)
{
	return insert_into_delta(find_or_begin(rel, cid), rel, slot, lineage, cid, token);
}

/* Ends a statement whose relation can still be opened. */
static void
end_statement(Statement *st)
{
	Relation	rel;

	end_file(st);
	statements = list_delete_ptr(statements, st);
	if (st->next_row_id < st->end_row_id || st->next_delta_id < st->end_delta_id)
	{
		rel = try_relation_open(st->relid, NoLock);
		if (rel != NULL)
		{
			if (RelFileNodeEquals(rel->rd_node, st->node))
			{
				/* the later run first: it may lie right behind the other */
				lh_row_ids_return(rel, Max(st->next_row_id, st->next_delta_id), Max(st->end_row_id, st->end_delta_id));
				lh_row_ids_return(rel, Min(st->next_row_id, st->next_delta_id), Min(st->end_row_id, st->end_delta_id));
			}
			relation_close(rel, NoLock);
		}
	}
	MemoryContextDelete(st->cxt);
}

typedef bool (*StatementFilter) (const Statement *st, const void *arg);

static void
end_statements(StatementFilter filter, const void *arg)
{
	restore_adopted();
	for (int i = list_length(statements) - 1; i >= 0; i--)
	{
		Statement  *st = list_nth(statements, i);

		if (filter(st, arg))
			end_statement(st);
	}
}

static bool
is_on_relation(const Statement *st, const void *arg)
{
	Relation	rel = (Relation) arg;

	/* an outer statement on the same table goes on */
	return st->relid == RelationGetRelid(rel) && st->depth >= executor_depth;
}

void
lh_statement_end(Relation rel)
{
	end_statements(is_on_relation, rel);
}

static bool
is_deeper(const Statement *st, const void *arg)
{
	return st->depth > *(const int *) arg;
}

void
lh_statement_end_deeper(int depth)
{
	end_statements(is_deeper, &depth);
}

static bool
is_any(const Statement *st, const void *arg)
{
	return true;
}

/*
 * A transaction that is about to commit has no snapshot any more, which a
 * catalog row needs that goes out of line.
 */
void
lh_statement_end_all(void)
{
	bool		push = statements != NIL && !ActiveSnapshotSet();

	if (push)
		PushActiveSnapshot(GetTransactionSnapshot());
	end_statements(is_any, NULL);
	if (push)
		PopActiveSnapshot();
}

void
lh_statement_sync(Relation rel, Snapshot snapshot)
{
	ListCell   *lc;

	restore_adopted();
	foreach(lc, statements)
	{
		Statement  *st = lfirst(lc);

		if (st->relid == RelationGetRelid(rel) && st->writer != NULL &&
			(snapshot == NULL || !IsMVCCSnapshot(snapshot) || st->cid < snapshot->curcid))
			end_file(st);
	}
}

void
lh_statement_subxact_end(SubTransactionId subid, SubTransactionId parent, bool commit)
{
	for (int i = list_length(statements) - 1; i >= 0; i--)
	{
		Statement  *st = list_nth(statements, i);

		if (st->subid != subid)
			continue;
		if (commit)
			st->subid = parent;
		else
		{
			statements = list_delete_nth_cell(statements, i);
			MemoryContextDelete(st->cxt);	/* aborts the upload */
		}
	}
	for (int i = list_length(adopted) - 1; i >= 0; i--)
	{
		AdoptedFile *a = list_nth(adopted, i);

		if (commit)
		{
			if (a->home == subid)
				a->home = parent;
			if (a->inserted == subid)
				a->inserted = parent;
		}
		else if (a->inserted == subid)
			a->lost = true;
		if ((!commit && a->home == subid) || (!a->lost && a->home == a->inserted))
			adopted = list_delete_nth_cell(adopted, i);
	}
}
