/*
 * verify.c
 *	  lakehouse.verify(): everything that can be checked of a table, a row per
 *	  finding.
 *
 * All is judged by the query's snapshot, so it runs beside writers and the
 * publisher.  Here: the frame, and the catalog against itself; objects, rows,
 * metadata and indexes in files of their own.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "types/pg_compat.h"
#include "version/verify_int.h"

LH_FUNCTION(lh_verify);

void
lh_finding(LhVerify *v, const char *kind, const char *object, const char *fmt,...)
{
	StringInfoData detail;
	Datum		values[3];
	bool		isnull[3] = {0};

	initStringInfo(&detail);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&detail, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&detail, needed);
	}
	values[0] = CStringGetTextDatum(kind);
	values[1] = CStringGetTextDatum(object);
	values[2] = CStringGetTextDatum(detail.data);
	tuplestore_putvalues(v->out->setResult, v->out->setDesc, values, isnull);
	pfree(detail.data);
}

/* Does it say that something is broken, rather than that we should stop? */
static bool
is_finding(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
		category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) &&
		category != ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

void
lh_verify_try(LhVerify *v, const char *kind, const char *object, LhVerifyStep step, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "lakehouse verify step", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;

	CHECK_FOR_INTERRUPTS();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		step(v, arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (!is_finding(error->sqlerrcode))
			ReThrowError(error);
		lh_finding(v, kind, object, "%s%s%s", error->message, error->detail != NULL ? ": " : "",
				   error->detail != NULL ? error->detail : "");
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	MemoryContextDelete(cxt);
}

const LhFile *
lh_verify_file_by_id(const LhVerify *v, int64 file_id)
{
	ListCell   *lc;

	foreach(lc, v->files)
		if (((LhFile *) lfirst(lc))->file_id == file_id)
			return lfirst(lc);
	return NULL;
}

/* ---- the catalog against itself ---- */

static void
check_interval(LhVerify *v, const char *name, int64 added_seq, int64 removed_seq)
{
	int64		last = v->last_seq;

	if (added_seq < 0 || added_seq > last || removed_seq > last || (removed_seq != 0 && removed_seq < added_seq))
		lh_finding(v, "catalog", name,
				   "it is said to be in versions " INT64_FORMAT " to " INT64_FORMAT " of " INT64_FORMAT,
				   added_seq, removed_seq, last);
}

static bool
in_version(int64 added_seq, int64 removed_seq, int64 seq)
{
	return added_seq > 0 && added_seq <= seq && (removed_seq == 0 || seq < removed_seq);
}

static void
verify_version(LhVerify *v, const LhVersion *version)
{
	int64		files = 0;
	int64		rows = 0;
	ListCell   *lc;

	foreach(lc, v->files)
	{
		const LhFile *file = lfirst(lc);

		if (!in_version(file->added_seq, file->removed_seq, version->seq))
			continue;
		files++;
		rows += file->row_count;
	}
	foreach(lc, v->delete_files)
	{
		const LhDeleteFile *file = lfirst(lc);

		if (!in_version(file->added_seq, file->removed_seq, version->seq))
			continue;
		for (int i = 0; i < file->n_data_files; i++)
		{
			const LhFile *data = lh_verify_file_by_id(v, file->data_file_ids[i]);

			/* what has left the table may still be named */
			if (data != NULL && in_version(data->added_seq, data->removed_seq, version->seq))
				rows -= file->dead_counts[i];
		}
	}
	if (files != version->total_files || rows != version->total_rows)
		lh_finding(v, "catalog", psprintf("version " INT64_FORMAT, version->seq),
				   "it has " INT64_FORMAT " files with " INT64_FORMAT " rows, not " INT64_FORMAT " with " INT64_FORMAT,
				   files, rows, version->total_files, version->total_rows);
}

static void
verify_catalog(LhVerify *v, void *unused)
{
	int64		last = 0;
	ListCell   *lc;

	foreach(lc, v->files)
	{
		const LhFile *file = lfirst(lc);

		check_interval(v, file->name, file->added_seq, file->removed_seq);
	}
	foreach(lc, v->delete_files)
	{
		const LhDeleteFile *file = lfirst(lc);

		check_interval(v, file->name, file->added_seq, file->removed_seq);
	}
	foreach(lc, lh_version_list(&v->identity.table_uuid, v->snapshot))
	{
		const LhVersion *version = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (version->seq != last + 1)
			lh_finding(v, "catalog", psprintf("version " INT64_FORMAT, last + 1), "it is not in the catalog");
		last = version->seq;
		verify_version(v, version);
	}
	if (last < v->last_seq)
		lh_finding(v, "catalog", psprintf("version " INT64_FORMAT, last + 1), "it is not in the catalog");
}

/* ---- all of it ---- */

static void
verify_all(LhVerify *v)
{
	ListCell   *lc;
	List	   *indexes;

	lh_metapage_read(v->rel, &v->identity);
	v->table = lh_table_get(&v->identity.table_uuid, v->snapshot);
	v->files = lh_file_list_table(&v->identity.table_uuid, v->snapshot);
	v->current = lh_file_list(v->identity.storage_id, false, v->snapshot);
	v->delete_files = lh_delete_list_table(&v->identity.table_uuid, v->snapshot);
	v->last_seq = v->table != NULL ? v->table->last_seq : 0;
	/* in a clone of a database, the publisher has yet to make it its own */
	if (v->table != NULL && v->table->database_id != MyDatabaseId)
		v->table = NULL;

	lh_verify_try(v, "catalog", RelationGetRelationName(v->rel), verify_catalog, NULL);
	if (v->table != NULL)
		lh_verify_try(v, "metadata", v->table->metadata_name, lh_verify_metadata, NULL);
	foreach(lc, v->files)
		lh_verify_try(v, "file", ((LhFile *) lfirst(lc))->name, lh_verify_data_file, lfirst(lc));
	foreach(lc, v->delete_files)
		lh_verify_try(v, "delete file", ((LhDeleteFile *) lfirst(lc))->name, lh_verify_delete_file, lfirst(lc));
	lh_verify_try(v, "rows", RelationGetRelationName(v->rel), lh_verify_rows, NULL);
	lh_verify_try(v, "tombstone", RelationGetRelationName(v->rel), lh_verify_tombstones, NULL);
	indexes = RelationGetIndexList(v->rel);
	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);
		char	   *name = get_rel_name(index);

		if (name != NULL)
			lh_verify_try(v, "index", name, lh_verify_index, &index);
	}
}

Datum
lh_verify(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	LhVerify	v = {0};
	AclResult	acl;
	Oid			user;
	int			context;
	int			nest;

	InitMaterializedSRF(fcinfo, 0);
	v.out = (ReturnSetInfo *) fcinfo->resultinfo;
	v.rel = relation_open(relid, AccessShareLock);
	if (!lh_relation_is_lakehouse(v.rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a lakehouse table", RelationGetRelationName(v.rel))));
	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, get_relkind_objtype(v.rel->rd_rel->relkind), RelationGetRelationName(v.rel));
	v.snapshot = RegisterSnapshot(GetActiveSnapshot());

	/* types and index expressions may run code of the owner's: not with our rights */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(v.rel->rd_rel->relowner, context | SECURITY_RESTRICTED_OPERATION);
	nest = NewGUCNestLevel();
	verify_all(&v);
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	UnregisterSnapshot(v.snapshot);
	relation_close(v.rel, AccessShareLock);
	return (Datum) 0;
}
