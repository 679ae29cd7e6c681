/*
 * am_reindex.c
 *	  REINDEX CONCURRENTLY of tables, without their deltas.
 *
 * Core rebuilds the index of a table's TOAST relation as well, which here is
 * the delta.  While it validates the new index, it goes through the entries of
 * the index first and through the heap afterwards, and adds what it has not
 * met.  A lock tuple is inserted frozen (storage/mark.c): one that comes in
 * between is visible to the snapshot of that scan, and would be added a second
 * time, which fails, and leaves an invalid index.
 *
 * So where a lakehouse table is among those that a statement names, they are
 * done one by one, each in transactions of its own as core would do it: a
 * lakehouse table by one REINDEX INDEX CONCURRENTLY for each index, any other
 * by a REINDEX TABLE CONCURRENTLY.  Core carries these out and sees nothing but
 * them; what is wrong with the statement as a whole, it is left to say.
 *
 * Who names a delta himself gets what core does, and may have to repeat it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_rusage.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "tableam/lh_tableam_hooks_int.h"
#include "tableam/lh_tableam_int.h"

typedef struct Reindex
{
	MemoryContext cxt;			/* outlives the transactions */
	ReindexStmt *stmt;
	bool		verbose;

	/* as the hook was called */
	PlannedStmt *pstmt;
	const char *query;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *env;
	DestReceiver *dest;
	QueryCompletion *qc;
} Reindex;

/* Is it CONCURRENTLY, with options that core will accept? */
static bool
is_concurrent(const ReindexStmt *stmt, bool *verbose)
{
	bool		concurrently = false;
	ListCell   *lc;

	foreach(lc, stmt->params)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "concurrently") == 0)
			concurrently = defGetBoolean(def);
		else if (strcmp(def->defname, "verbose") == 0)
			*verbose = defGetBoolean(def);
		else if (strcmp(def->defname, "tablespace") != 0 ||
				 !OidIsValid(get_tablespace_oid(defGetString(def), true)))
			return false;
	}
	return concurrently;
}

/* ---- which tables ---- */

/* Tables and materialized views, not other sessions', with this value in pg_class; 0: all. */
static List *
tables_where(AttrNumber attribute, Oid value)
{
	Relation	classes = table_open(RelationRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key = {0};
	TableScanDesc scan;
	HeapTuple	tuple;

	if (attribute != InvalidAttrNumber)
		ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
	scan = table_beginscan_catalog(classes, attribute != InvalidAttrNumber ? 1 : 0, &key);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);

		if (class->relkind != RELKIND_RELATION && class->relkind != RELKIND_MATVIEW)
			continue;
		if (class->relpersistence == RELPERSISTENCE_TEMP && !isTempNamespace(class->relnamespace))
			continue;
		if (!IsCatalogRelationOid(class->oid))
			result = lappend_oid(result, class->oid);
	}
	table_endscan(scan);
	table_close(classes, AccessShareLock);
	return result;
}

static bool
is_ours(Oid relid)
{
	return lh_relation_am(relid) == lh_am_oid();
}

static List *
named_tables(const RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	List	   *result = NIL;
	ListCell   *lc;

	if (!OidIsValid(relid) || !lh_may_reindex(relid))
		return NIL;
	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relid);
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	foreach(lc, find_all_inheritors(relid, ShareLock, NULL))
		if (RELKIND_HAS_STORAGE(get_rel_relkind(lfirst_oid(lc))))
			result = lappend_oid(result, lfirst_oid(lc));
	return result;
}

/* The tables of the statement; NIL if it is core's, to be carried out or refused. */
static List *
tables_of(const ReindexStmt *stmt)
{
	Oid			schema;

	switch (stmt->kind)
	{
		case REINDEX_OBJECT_TABLE:
			return named_tables(stmt->relation);
		case REINDEX_OBJECT_SCHEMA:
			schema = get_namespace_oid(stmt->name, true);
			return OidIsValid(schema) && lh_may_reindex_schema(schema) ?
				tables_where(Anum_pg_class_relnamespace, schema) : NIL;
		case REINDEX_OBJECT_DATABASE:
			if (stmt->name != NULL && strcmp(stmt->name, get_database_name(MyDatabaseId)) != 0)
				return NIL;
			return lh_may_reindex_database() ? tables_where(InvalidAttrNumber, InvalidOid) : NIL;
		default:
			return NIL;
	}
}

/* ---- one after the other ---- */

/* Without a snapshot: another REINDEX CONCURRENTLY, whose locks we wait for, would wait for it. */
static void
next_transaction(const Reindex *reindex)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
	MemoryContextSwitchTo(reindex->cxt);	/* core makes and frees things there across its transactions */
}

static void
run_core(const Reindex *reindex, ReindexObjectType kind, Oid relid)
{
	ReindexStmt *stmt = copyObject(reindex->stmt);
	PlannedStmt *pstmt = makeNode(PlannedStmt);

	stmt->kind = kind;
	stmt->name = NULL;
	stmt->relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid), -1);
	*pstmt = *reindex->pstmt;
	pstmt->utilityStmt = (Node *) stmt;
	PushActiveSnapshot(GetTransactionSnapshot());	/* functions of indexes may want one */
	lh_utility_previous(pstmt, reindex->query, false, reindex->context, reindex->params,
						reindex->env, reindex->dest, reindex->qc);
}

/* Indexes that can be rebuilt concurrently, as core has it. */
static List *
indexes_to_rebuild(Relation rel)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), ShareUpdateExclusiveLock);
		const char *schema = get_namespace_name(RelationGetNamespace(index));

		if (!index->rd_index->indisvalid)
			lh_warn_of_invalid_index(schema, RelationGetRelationName(index));
		else if (index->rd_index->indisexclusion)
			ereport(WARNING,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot reindex exclusion constraint index \"%s.%s\" concurrently, skipping",
							schema, RelationGetRelationName(index))));
		else
			result = lappend_oid(result, RelationGetRelid(index));
		index_close(index, NoLock);
	}
	return result;
}

/* Returns false if it had nothing to do. */
static bool
reindex_ours(const Reindex *reindex, Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	const char *schema = get_namespace_name(RelationGetNamespace(rel));
	const char *name = pstrdup(RelationGetRelationName(rel));
	List	   *indexes = indexes_to_rebuild(rel);
	PGRUsage	usage;
	ListCell   *lc;

	pg_rusage_init(&usage);
	relation_close(rel, NoLock);
	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);

		/* first the table, then the index, which keeps its name from then on */
		next_transaction(reindex);
		LockRelationOid(relid, ShareUpdateExclusiveLock);
		LockRelationOid(index, ShareUpdateExclusiveLock);
		if (SearchSysCacheExists1(INDEXRELID, ObjectIdGetDatum(index)))
			run_core(reindex, REINDEX_OBJECT_INDEX, index);
	}
	if (reindex->verbose && indexes != NIL)
		ereport(INFO,
				(errmsg("table \"%s.%s\" was reindexed", schema, name),
				 errdetail("%s.", pg_rusage_show(&usage))));
	return indexes != NIL;
}

/* Returns false if it had nothing to do. */
static bool
reindex_table(const Reindex *reindex, Oid relid)
{
	Relation	rel;
	bool		has_indexes;

	next_transaction(reindex);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return true;			/* dropped meanwhile */

	/* who owns the schema may reindex all of it, but not each table by its name */
	if (!lh_may_reindex(relid))
	{
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reindex \"%s\", skipping it", get_rel_name(relid))));
		return true;
	}
	InvalidateCatalogSnapshot();
	rel = try_relation_open(relid, ShareUpdateExclusiveLock);
	if (rel == NULL)
		return true;
	if (lh_relation_is_lakehouse(rel))
		return reindex_ours(reindex, rel);
	has_indexes = rel->rd_rel->relhasindex || OidIsValid(rel->rd_rel->reltoastrelid);
	relation_close(rel, NoLock);
	if (has_indexes)
		run_core(reindex, REINDEX_OBJECT_TABLE, relid);
	return has_indexes;
}

/* ---- the statement ---- */

static bool
has_ours(const List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
		if (is_ours(lfirst_oid(lc)))
			return true;
	return false;
}

bool
lh_reindex_concurrently(PlannedStmt *pstmt, const char *query, ProcessUtilityContext context,
						ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Reindex		reindex = {
		.stmt = castNode(ReindexStmt, pstmt->utilityStmt),
		.pstmt = pstmt, .query = query, .context = context, .params = params,
		.env = env, .dest = dest, .qc = qc
	};
	MemoryContext old = CurrentMemoryContext;
	List	   *relids;
	ListCell   *lc;
	bool		is_one;

	if (!is_concurrent(reindex.stmt, &reindex.verbose) || !OidIsValid(lh_am_oid()) ||
		RecoveryInProgress() || IsInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL))
		return false;
	reindex.cxt = AllocSetContextCreate(PortalContext, "lakehouse reindex", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(reindex.cxt);
	relids = tables_of(reindex.stmt);
	if (!has_ours(relids))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(reindex.cxt);
		return false;
	}
	is_one = reindex.stmt->kind == REINDEX_OBJECT_TABLE &&
		linitial_oid(relids) == RangeVarGetRelid(reindex.stmt->relation, NoLock, true);
	if (reindex.stmt->kind == REINDEX_OBJECT_DATABASE)
		lh_warn_of_catalogs();
	foreach(lc, relids)
	{
		bool		done = reindex_table(&reindex, lfirst_oid(lc));

		if (is_one && !done)
			ereport(NOTICE,
					(errmsg("table \"%s\" has no indexes that can be reindexed concurrently",
							reindex.stmt->relation->relname)));
	}
	next_transaction(&reindex);
	MemoryContextSwitchTo(PortalContext);
	MemoryContextDelete(reindex.cxt);
	return true;
}
