/*
 * as_of.c
 *	  Time travel: FROM t TABLESAMPLE lakehouse.as_of(...), _as_of_snapshot(...)
 *	  and as_of_version(...).
 *
 * The carrier is a sampling method, which grammar, planner, views, parameters
 * and plan cache already understand.  The method chooses the version's files
 * and the rows deleted from them when the scan begins; the access method reads
 * these instead of sampling (storage/lh_storage.h, LhVersionSample).
 *
 * A version is file-complete: the publisher moves the delta before it
 * publishes.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/relation.h"
#include "access/tsmapi.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "publish/lh_publish.h"
#include "storage/lmgr.h"

#include "storage/lh_storage.h"
#include "types/pg_compat.h"
#include "types/types.h"

LH_FUNCTION(lh_tsm_as_of);
LH_FUNCTION(lh_tsm_as_of_snapshot);
LH_FUNCTION(lh_tsm_as_of_version);

/* Chooses from versions in ascending order; NULL: none fits. */
typedef LhVersion *(*ChooseVersion) (List *versions, Datum param);

static LhVersion *
choose_by_time(List *versions, Datum param)
{
	TimestampTz time = DatumGetTimestampTz(param);
	LhVersion  *best = NULL;
	ListCell   *lc;

	foreach(lc, versions)
	{
		LhVersion  *version = lfirst(lc);

		if (version->valid_from <= time)
			best = version;
	}
	return best;
}

static LhVersion *
choose_by_snapshot(List *versions, Datum param)
{
	ListCell   *lc;

	foreach(lc, versions)
		if (((LhVersion *) lfirst(lc))->snapshot_id == DatumGetInt64(param))
			return lfirst(lc);
	return NULL;
}

static LhVersion *
choose_by_number(List *versions, Datum param)
{
	ListCell   *lc;

	foreach(lc, versions)
		if (((LhVersion *) lfirst(lc))->seq == DatumGetInt64(param))
			return lfirst(lc);
	return NULL;
}

static void
missing_version(Relation rel, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("table \"%s\" has no version %s", RelationGetRelationName(rel), what),
			 errhint("The view lakehouse.versions lists the versions of a table.")));
}

static void
begin_version(SampleScanState *node, ChooseVersion choose, Datum param, const char *what)
{
	Relation	rel = node->ss.ss_currentRelation;
	LhVersionSample *sample = palloc0(sizeof(LhVersionSample));
	LhIdentity	identity;
	LhVersion  *version;

	if (!lh_relation_is_lakehouse(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a lakehouse table", RelationGetRelationName(rel)),
				 errdetail("Only lakehouse tables have versions.")));
	lh_metapage_read(rel, &identity);

	/*
	 * Versions and files never change, so the newest catalog is as good as the
	 * query's snapshot, and it has what was published for us just now.  (NULL
	 * is the catalog snapshot, which may be renewed in a parallel plan too.)
	 */
	version = choose(lh_version_list(&identity.table_uuid, NULL), param);
	if (version == NULL)
		missing_version(rel, what);
	sample->files = lh_file_list_version(&identity.table_uuid, version->seq, NULL);
	lh_palloc_row_set(&sample->dead);
	lh_delete_add_row_ids(lh_delete_list_version(&identity.table_uuid, version->seq, NULL), &sample->dead);
	node->tsm_state = sample;
}

/*
 * A moment past the newest version is waited for, but never past now.  Returns
 * the snapshot id of a version that was published for us and is the answer; 0:
 * choose by time.
 *
 * as_of(now()), or later, means all that is committed, and the version that
 * has it may bear a time after the transaction's start: by the times alone, a
 * transaction would miss what was committed just before it and published since.
 * For an earlier moment they decide, as they do for other engines.
 */
static int64
reach_time(Relation rel, TimestampTz time)
{
	LhIdentity	identity;
	List	   *versions;
	int64		published;
	bool		all = time >= GetCurrentTransactionStartTimestamp();

	if (!lh_relation_is_lakehouse(rel) || RecoveryInProgress() || IsParallelWorker())
		return 0;
	lh_metapage_read(rel, &identity);
	versions = lh_version_list(&identity.table_uuid, NULL);
	if (!all && versions != NIL && ((LhVersion *) llast(versions))->valid_from >= time)
		return 0;
	/* the publisher would wait for our own lock */
	if (CheckRelationLockedByMe(rel, AccessExclusiveLock, true))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("table \"%s\" cannot be published by the transaction that has it locked",
						RelationGetRelationName(rel)),
				 errdetail("What was committed before %s may not be published yet.", timestamptz_to_str(time)),
				 errhint("Commit first.")));
	published = lh_publish_and_wait(RelationGetRelid(rel));
	return all ? published : 0;
}

static void
begin_as_of(SampleScanState *node, Datum *params, int nparams, uint32 seed)
{
	TimestampTz time = DatumGetTimestampTz(params[0]);
	int64		published = reach_time(node->ss.ss_currentRelation, time);

	if (published != 0)
		begin_version(node, choose_by_snapshot, Int64GetDatum(published),
					  psprintf("with snapshot id " INT64_FORMAT, published));
	else
		begin_version(node, choose_by_time, params[0],
					  psprintf("at or before %s", timestamptz_to_str(time)));
}

static void
begin_as_of_snapshot(SampleScanState *node, Datum *params, int nparams, uint32 seed)
{
	begin_version(node, choose_by_snapshot, params[0],
				  psprintf("with snapshot id " INT64_FORMAT, DatumGetInt64(params[0])));
}

static void
begin_as_of_version(SampleScanState *node, Datum *params, int nparams, uint32 seed)
{
	begin_version(node, choose_by_number, params[0],
				  psprintf("number " INT64_FORMAT, DatumGetInt64(params[0])));
}

/* Any version is judged by the current size. */
static void
sample_size(PlannerInfo *root, RelOptInfo *baserel, List *paramexprs,
			BlockNumber *pages, double *tuples)
{
	*pages = baserel->pages;
	*tuples = baserel->tuples;
}

static OffsetNumber
next_tuple(SampleScanState *node, BlockNumber blockno, OffsetNumber maxoffset)
{
	return InvalidOffsetNumber; /* the access method does not ask */
}

static Datum
make_method(Oid parameter, BeginSampleScan_function begin)
{
	TsmRoutine *tsm = makeNode(TsmRoutine);

	tsm->parameterTypes = list_make1_oid(parameter);
	/* same files each time: no need to materialize for a nested loop */
	tsm->repeatable_across_queries = true;
	tsm->repeatable_across_scans = true;
	tsm->SampleScanGetSampleSize = sample_size;
	tsm->BeginSampleScan = begin;
	tsm->NextSampleBlock = lh_version_sample_block;
	tsm->NextSampleTuple = next_tuple;
	return PointerGetDatum(tsm);
}

Datum
lh_tsm_as_of(PG_FUNCTION_ARGS)
{
	return make_method(TIMESTAMPTZOID, begin_as_of);
}

Datum
lh_tsm_as_of_snapshot(PG_FUNCTION_ARGS)
{
	return make_method(INT8OID, begin_as_of_snapshot);
}

Datum
lh_tsm_as_of_version(PG_FUNCTION_ARGS)
{
	return make_method(INT8OID, begin_as_of_version);
}
