/*
 * pg_compat.h
 *	  What differs between the supported PostgreSQL versions, 15 to 18.  No
 *	  other file looks at PG_VERSION_NUM.
 */
#ifndef LH_PG_COMPAT_H
#define LH_PG_COMPAT_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/stratnum.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "storage/smgr.h"
#include "storage/standby.h"
#include "utils/acl.h"
#include "utils/pg_locale.h"

#if PG_VERSION_NUM >= 160000
#include "storage/relfilelocator.h"
#include "varatt.h"				/* was part of postgres.h */
#else
#include "storage/relfilenode.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/read_stream.h"
#endif

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "lakehouse needs PostgreSQL 15, 16, 17 or 18"
#endif

/* PostgreSQL 18 renamed its own macro, which stood behind the declaration. */
#define LH_NORETURN __attribute__((noreturn))

/* Has the column stored values?  Dropped ones have not, nor have virtual ones. */
static inline bool
lh_att_is_stored(Form_pg_attribute att)
{
#if PG_VERSION_NUM >= 180000
	if (att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
		return false;
#endif
	return !att->attisdropped;
}

/* Does the collation compare bytes? */
static inline bool
lh_collation_is_c(Oid collation)
{
	if (!OidIsValid(collation))
		return false;
#if PG_VERSION_NUM >= 180000
	return pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return lc_collate_is_c(collation);
#endif
}

/* The table of a vacuumed index, where index_bulk_delete() wants to know it. */
#if PG_VERSION_NUM >= 160000
#define lh_set_heap_of_vacuum(info, rel) ((info)->heaprel = (rel))
#else
#define lh_set_heap_of_vacuum(info, rel) ((void) (rel))
#endif

/* What tuple_update reports about indexes. */
#if PG_VERSION_NUM >= 160000
#define LhUpdateIndexes TU_UpdateIndexes
#define LH_UPDATE_NO_INDEXES TU_None
#define LH_UPDATE_ALL_INDEXES TU_All
#else
#define LhUpdateIndexes bool
#define LH_UPDATE_NO_INDEXES false
#define LH_UPDATE_ALL_INDEXES true
#endif

/* Of a BitmapHeapScanState; newer versions leave prefetching to the access method. */
#if PG_VERSION_NUM >= 180000
#define LH_EXECUTOR_PREFETCHES false
#define lh_stop_bitmap_prefetch(state) ((void) (state))
#else
#define LH_EXECUTOR_PREFETCHES true
#define lh_stop_bitmap_prefetch(state) ((state)->prefetch_maximum = 0)
#endif

/* Counts an update whose new version is not beside the old one. */
static inline void
lh_count_update(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	pgstat_count_heap_update(rel, false, true);
#else
	pgstat_count_heap_update(rel, false);
#endif
}

/* Relation files were renamed in 16. */
#if PG_VERSION_NUM >= 160000
#define RelFileNode RelFileLocator
#define RelFileNodeEquals RelFileLocatorEquals
#define rd_node rd_locator
#define dbNode dbOid
#define relNode relNumber
#endif

/* The first block of a relation file that nobody else knows yet, locked. */
static inline Buffer
lh_extend_new_file(SMgrRelation smgr, RelFileNode node)
{
#if PG_VERSION_NUM >= 160000
	return ExtendBufferedRel(BMR_SMGR(smgr, RELPERSISTENCE_PERMANENT), MAIN_FORKNUM, NULL,
							 EB_LOCK_FIRST | EB_SKIP_EXTENSION_LOCK);
#else
	return ReadBufferWithoutRelcache(node, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL, true);
#endif
}

/* On a standby: nobody in the database may need what is older than horizon. */
static inline void
lh_resolve_conflict(TransactionId horizon, Oid database)
{
	RelFileNode node = {.dbNode = database};

#if PG_VERSION_NUM >= 160000
	ResolveRecoveryConflictWithSnapshot(horizon, false, node);
#else
	ResolveRecoveryConflictWithSnapshot(horizon, node);
#endif
}

static inline bool
lh_lock_held_by_me(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

static inline bool
lh_owns_database(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

/* Whom REINDEX lets do it, by what is reindexed: since 17 more than the owner. */
#if PG_VERSION_NUM >= 170000
#define lh_may_reindex(relid) (pg_class_aclcheck(relid, GetUserId(), ACL_MAINTAIN) == ACLCHECK_OK)
#define lh_may_reindex_all() has_privs_of_role(GetUserId(), ROLE_PG_MAINTAIN)
#elif PG_VERSION_NUM >= 160000
#define lh_may_reindex(relid) object_ownercheck(RelationRelationId, relid, GetUserId())
#define lh_may_reindex_all() false
#else
#define lh_may_reindex(relid) pg_class_ownercheck(relid, GetUserId())
#define lh_may_reindex_all() false
#endif
#define lh_may_reindex_database() (lh_owns_database(MyDatabaseId, GetUserId()) || lh_may_reindex_all())

static inline bool
lh_may_reindex_schema(Oid schema)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(NamespaceRelationId, schema, GetUserId()) || lh_may_reindex_all();
#else
	return pg_namespace_ownercheck(schema, GetUserId());
#endif
}

/* What REINDEX CONCURRENTLY says of what it leaves out. */
#if PG_VERSION_NUM >= 170000
#define lh_warn_of_invalid_index(schema, name) \
	ereport(WARNING, \
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), \
			 errmsg("skipping reindex of invalid index \"%s.%s\"", schema, name), \
			 errhint("Use DROP INDEX or REINDEX INDEX.")))
#else
#define lh_warn_of_invalid_index(schema, name) \
	ereport(WARNING, \
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), \
			 errmsg("cannot reindex invalid index \"%s.%s\" concurrently, skipping", schema, name)))
#endif
#if PG_VERSION_NUM >= 160000
#define lh_warn_of_catalogs() ((void) 0)
#else
#define lh_warn_of_catalogs() \
	ereport(WARNING, \
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), \
			 errmsg("cannot reindex system catalogs concurrently, skipping all")))
#endif

/* ---- executor ---- */

/* Declares ExplainProperty...(): #include LH_EXPLAIN_HEADER */
#if PG_VERSION_NUM >= 180000
#define LH_EXPLAIN_HEADER "commands/explain_format.h"
#else
#define LH_EXPLAIN_HEADER "commands/explain.h"
#endif

/* Declares ExplainOneQuery_hook */
#define LH_EXPLAIN_HOOK_HEADER "commands/explain.h"

/* Declares ExplainState: #include LH_EXPLAIN_STATE_HEADER */
#if PG_VERSION_NUM >= 180000
#define LH_EXPLAIN_STATE_HEADER "commands/explain_state.h"
#else
#define LH_EXPLAIN_STATE_HEADER "commands/explain.h"
#endif

/*
 * What EXPLAIN does with a query where nobody has hooked in.  Up to 16 the
 * server does not export it: it plans, takes the time, and shows the plan.
 */
#if PG_VERSION_NUM >= 170000
#define lh_explain_one_query standard_ExplainOneQuery
#else
#define lh_explain_one_query(query, options, into, es, text, params, env) \
	do { \
		instr_time	start_, \
					duration_; \
		BufferUsage before_ = pgBufferUsage, \
					used_ = {0}; \
		PlannedStmt *plan_; \
		INSTR_TIME_SET_CURRENT(start_); \
		plan_ = pg_plan_query(query, text, options, params); \
		INSTR_TIME_SET_CURRENT(duration_); \
		INSTR_TIME_SUBTRACT(duration_, start_); \
		BufferUsageAccumDiff(&used_, &pgBufferUsage, &before_); \
		ExplainOnePlan(plan_, into, es, text, params, env, &duration_, (es)->buffers ? &used_ : NULL); \
	} while (0)
#endif

/* ExecutorRun() and its hook: parameters after the QueryDesc, and the same passed on. */
#if PG_VERSION_NUM >= 180000
#define LH_RUN_PARAMS ScanDirection direction, uint64 count
#define LH_RUN_ARGS direction, count
#else
#define LH_RUN_PARAMS ScanDirection direction, uint64 count, bool execute_once
#define LH_RUN_ARGS direction, count, execute_once
#endif

/* Since 18, minimal tuples are made with space for their user in front. */
#if PG_VERSION_NUM >= 180000
#define LH_MINIMAL_PARAMS TupleTableSlot *slot, Size extra
#define LH_MINIMAL_EXTRA extra
#define lh_form_minimal_tuple(desc, values, isnull, extra) heap_form_minimal_tuple(desc, values, isnull, extra)
#else
#define LH_MINIMAL_PARAMS TupleTableSlot *slot
#define LH_MINIMAL_EXTRA 0
#define lh_form_minimal_tuple(desc, values, isnull, extra) heap_form_minimal_tuple(desc, values, isnull)
#endif

/* What 17 and newer ask of a slot's callbacks, and older ones of its xmin. */
#if PG_VERSION_NUM >= 170000
static inline bool
lh_slot_is_current_xact_tuple(TupleTableSlot *slot)
{
	bool		isnull;
	Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);

	return TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
}
#define lh_slot_ops_complete(ops) ((ops)->is_current_xact_tuple = lh_slot_is_current_xact_tuple)
#else
#define lh_slot_ops_complete(ops) ((void) 0)
#endif

/* Index scans report to EXPLAIN since 18; ours have nobody to report to. */
#if PG_VERSION_NUM >= 180000
#define lh_index_beginscan(heap, index, snapshot, nkeys) index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#define lh_index_beginscan_bitmap(index, snapshot, nkeys) index_beginscan_bitmap(index, snapshot, NULL, nkeys)
#else
#define lh_index_beginscan(heap, index, snapshot, nkeys) index_beginscan(heap, index, snapshot, nkeys, 0)
#define lh_index_beginscan_bitmap(index, snapshot, nkeys) index_beginscan_bitmap(index, snapshot, nkeys)
#endif

/* As an IndexScan with an order begins its scan. */
#if PG_VERSION_NUM >= 180000
#define lh_index_beginscan_ordered(iss, snapshot) \
	index_beginscan((iss)->ss.ss_currentRelation, (iss)->iss_RelationDesc, snapshot, &(iss)->iss_Instrument, \
					(iss)->iss_NumScanKeys, (iss)->iss_NumOrderByKeys)
#else
#define lh_index_beginscan_ordered(iss, snapshot) \
	index_beginscan((iss)->ss.ss_currentRelation, (iss)->iss_RelationDesc, snapshot, \
					(iss)->iss_NumScanKeys, (iss)->iss_NumOrderByKeys)
#endif

#if PG_VERSION_NUM >= 160000
#define lh_tuplesort_getdatum(sort, val, isnull) tuplesort_getdatum(sort, true, false, val, isnull, NULL)
#else
#define lh_tuplesort_getdatum(sort, val, isnull) tuplesort_getdatum(sort, true, val, isnull, NULL)
#endif

/* ---- table access method ---- */

/* Who goes through the bitmap of a bitmap scan: the access method itself, or the executor. */
#if PG_VERSION_NUM >= 180000
#define LH_AM_READS_BITMAP 1
#define lh_bitmap_offsets(page, offsets) \
	((page)->lossy ? -1 : tbm_extract_page_tuple(page, offsets, TBM_MAX_TUPLES_PER_PAGE))
#else
#define LH_AM_READS_BITMAP 0
#define lh_bitmap_offsets(page, offs) \
	((page)->ntuples < 0 ? -1 : \
	 (memcpy(offs, (page)->offsets, sizeof(OffsetNumber) * (page)->ntuples), (page)->ntuples))
#endif

/* A field of TableAmRoutine, renamed with the files in 16. */
#if PG_VERSION_NUM >= 160000
#define relation_set_new_filenode relation_set_new_filelocator
#endif

/* Which blocks ANALYZE wants to see, one after the other. */
#if PG_VERSION_NUM >= 170000
#define LH_ANALYZE_PARAMS TableScanDesc sscan, ReadStream *stream
#define lh_analyze_has_block() \
	BlockNumberIsValid(read_stream_next_block(stream, &(BufferAccessStrategy) {NULL}))
#else
#define LH_ANALYZE_PARAMS TableScanDesc sscan, BlockNumber blockno, BufferAccessStrategy bstrategy
#define lh_analyze_has_block() true
#endif

#if PG_VERSION_NUM >= 180000
#define lh_parallel_scan_of(pscan, rel) ((pscan)->phs_locator = (rel)->rd_locator)
#else
#define lh_parallel_scan_of(pscan, rel) ((pscan)->phs_relid = RelationGetRelid(rel))
#endif

#if PG_VERSION_NUM >= 180000
#define lh_vac_update_relstats(rel, pages, tuples, xid, multi) \
	vac_update_relstats(rel, pages, tuples, 0, 0, (rel)->rd_rel->relhasindex, xid, multi, NULL, NULL, false)
#define lh_report_vacuum(rel, live, dead) \
	pgstat_report_vacuum(RelationGetRelid(rel), (rel)->rd_rel->relisshared, live, dead, GetCurrentTimestamp())
#else
#define lh_vac_update_relstats(rel, pages, tuples, xid, multi) \
	vac_update_relstats(rel, pages, tuples, 0, (rel)->rd_rel->relhasindex, xid, multi, NULL, NULL, false)
#define lh_report_vacuum(rel, live, dead) \
	pgstat_report_vacuum(RelationGetRelid(rel), (rel)->rd_rel->relisshared, live, dead)
#endif

/* ---- the rest ---- */

#if PG_VERSION_NUM >= 170000
#define lh_is_autovacuum() AmAutoVacuumWorkerProcess()
#else
#define lh_is_autovacuum() IsAutoVacuumWorkerProcess()
#endif

/* old_snapshot_threshold went with 17. */
#if PG_VERSION_NUM >= 170000
#define lh_test_for_old_snapshot(snapshot, rel, page) ((void) (snapshot))
#else
#define lh_test_for_old_snapshot(snapshot, rel, page) TestForOldSnapshot(snapshot, rel, page)
#endif

#if PG_VERSION_NUM >= 180000
#define lh_vacuum_delay_point() vacuum_delay_point(false)
#else
#define lh_vacuum_delay_point() vacuum_delay_point()
#endif

#if PG_VERSION_NUM >= 180000
#define lh_try_wait_for_xact(xid) ConditionalXactLockTableWait(xid, false)
#else
#define lh_try_wait_for_xact(xid) ConditionalXactLockTableWait(xid)
#endif

/* printf format of a uint64 as 16 hexadecimal digits. */
#if PG_VERSION_NUM >= 180000
#define LH_HEX64 "%016" PRIx64
#else
#define LH_HEX64 "%016" INT64_MODIFIER "x"
#endif

/* Soft errors came with 16; before, every error is raised. */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#else
#define errsave(context, ...) ereport_domain(ERROR, TEXTDOMAIN, __VA_ARGS__)
#define ereturn(context, dummy_value, ...) ereport_domain(ERROR, TEXTDOMAIN, __VA_ARGS__)
#endif

/*
 * Does a shared buffer hold this block of a main fork, read in whole?  Asked
 * without a pin: the answer may be out of date when it comes.
 */
static inline bool
lh_buffer_holds(Buffer buffer, const RelFileNode *file, BlockNumber block)
{
	BufferDesc *desc = GetBufferDescriptor(buffer - 1);

	if (desc->tag.blockNum != block || desc->tag.forkNum != MAIN_FORKNUM ||
		!(pg_atomic_read_u32(&desc->state) & BM_VALID))
		return false;
#if PG_VERSION_NUM >= 160000
	return BufTagMatchesRelFileLocator(&desc->tag, file);
#else
	return RelFileNodeEquals(desc->tag.rnode, *file);
#endif
}

/* How often the buffer was used lately, up to BM_MAX_USAGE_COUNT. */
static inline int
lh_buffer_usage(Buffer buffer)
{
	return BUF_STATE_GET_USAGECOUNT(pg_atomic_read_u32(&GetBufferDescriptor(buffer - 1)->state));
}

/* The planner shall not take the path, whatever else it has. */
static inline void
lh_path_disable(Path *path)
{
#if PG_VERSION_NUM >= 180000
	path->disabled_nodes = 2;
#endif
}

/*
 * Is it a path that a setting such as enable_seqscan forbids?  Up to 17 such
 * paths cost more than anything else could.
 */
static inline bool
lh_path_is_disabled(const Path *path)
{
#if PG_VERSION_NUM >= 180000
	return path->disabled_nodes > 0;
#else
	return path->total_cost >= 1.0e10;
#endif
}

/* The path is as little wanted as its child. */
static inline void
lh_path_inherit_disabled(Path *path, const Path *child)
{
#if PG_VERSION_NUM >= 180000
	path->disabled_nodes = child->disabled_nodes;
#endif
}

static inline bool
lh_pathkey_ascends(const PathKey *key)
{
#if PG_VERSION_NUM >= 180000
	return key->pk_cmptype == COMPARE_LT;
#else
	return key->pk_strategy == BTLessStrategyNumber;
#endif
}

static inline bool
lh_path_is_cheaper(const Path *a, const Path *b)
{
#if PG_VERSION_NUM >= 180000
	if (a->disabled_nodes != b->disabled_nodes)
		return a->disabled_nodes < b->disabled_nodes;
#endif
	return a->total_cost < b->total_cost;
}

static inline void
lh_am_can_build_parallel(IndexAmRoutine *am)
{
#if PG_VERSION_NUM >= 170000
	am->amcanbuildparallel = true;
#endif
}

/* An SQL-callable function, exported although everything else is hidden. */
#define LH_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

#endif							/* LH_PG_COMPAT_H */
