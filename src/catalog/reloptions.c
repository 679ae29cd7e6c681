/*
 * reloptions.c
 *	  Our options in pg_class.reloptions: take them out before core checks
 *	  that column, put them back after (see options.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/lh_catalog.h"

static Datum
reloptions_of(HeapTuple tuple, bool *isnull)
{
	return SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, isnull);
}

/* All options of a relation, as DefElems; theirs == NULL: only ours. */
static List *
split_options(Datum reloptions, List **theirs)
{
	List	   *ours = NIL;
	ListCell   *lc;

	foreach(lc, untransformRelOptions(reloptions))
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (lh_option_known(def->defname))
			ours = lappend(ours, def);
		else if (theirs != NULL)
			*theirs = lappend(*theirs, def);
	}
	return ours;
}

static void
store_options(Oid relid, List *options)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	Datum		values[Natts_pg_class];
	bool		isnull[Natts_pg_class] = {0};
	bool		replace[Natts_pg_class] = {0};
	HeapTuple	changed;
	Datum		text_options = transformRelOptions((Datum) 0, options, NULL, NULL, false, false);

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	values[Anum_pg_class_reloptions - 1] = text_options;
	isnull[Anum_pg_class_reloptions - 1] = text_options == (Datum) 0;
	replace[Anum_pg_class_reloptions - 1] = true;
	changed = heap_modify_tuple(tuple, RelationGetDescr(pg_class), values, isnull, replace);
	CatalogTupleUpdate(pg_class, &changed->t_self, changed);
	table_close(pg_class, RowExclusiveLock);
	CommandCounterIncrement();
}

DefElem *
lh_find_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return lfirst_node(DefElem, lc);
	return NULL;
}

bool
lh_reloptions_have(Oid relid, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		isnull;
	bool		found = false;
	Datum		reloptions;

	if (!HeapTupleIsValid(tuple))
		return false;
	reloptions = reloptions_of(tuple, &isnull);
	if (!isnull)
		found = lh_find_option(untransformRelOptions(reloptions), name) != NULL;
	ReleaseSysCache(tuple);
	return found;
}

List *
lh_reloptions_take(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	List	   *ours = NIL;
	List	   *theirs = NIL;
	bool		isnull;
	Datum		reloptions;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	reloptions = reloptions_of(tuple, &isnull);
	if (!isnull)
		ours = split_options(reloptions, &theirs);
	ReleaseSysCache(tuple);
	if (ours != NIL)
		store_options(relid, theirs);
	return ours;
}

void
lh_reloptions_put(Oid relid, List *set, List *reset)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	List	   *result = NIL;
	ListCell   *lc;
	bool		isnull;
	Datum		reloptions;

	if (!HeapTupleIsValid(tuple))
		return;
	reloptions = reloptions_of(tuple, &isnull);
	if (!isnull)
	{
		foreach(lc, untransformRelOptions(reloptions))
		{
			DefElem    *def = lfirst_node(DefElem, lc);

			if (lh_find_option(set, def->defname) == NULL && lh_find_option(reset, def->defname) == NULL)
				result = lappend(result, def);
		}
	}
	ReleaseSysCache(tuple);
	foreach(lc, set)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		result = lappend(result, makeDefElem(def->defname, (Node *) makeString(defGetString(def)), -1));
	}
	store_options(relid, result);
}
