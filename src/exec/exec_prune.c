/*
 * exec_prune.c
 *	  Which row groups cannot have a row that satisfies a set of clauses, by
 *	  the statistics in their file's footer.
 *
 * Bounds are bounds: they may be cut, and the values they bound need not
 * occur.  Statistics know nothing of exact cells (_pg_exact), so a row group
 * that has some is always read.  NaN is above all other numbers in Postgres
 * and in no bound: an upper bound of floats counts only where the writer says
 * that there is none.
 */
#include "postgres.h"

#include "access/tupdesc_details.h"
#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "utils/memutils.h"

#include "exec/exec_int.h"

/* What is known of a column in a row group. */
typedef struct ColumnBounds
{
	bool		some_null;		/* a row may be null */
	bool		some_value;		/* a row may be not null */
	bool		has_min;
	bool		has_max;
	Datum		min;
	Datum		max;
} ColumnBounds;

static bool
has_exact_cells(const LhPqFileMeta *meta, const LhPqRowGroup *group)
{
	const LhPqNode *exact = lh_file_column(meta, LH_FIELD_EXACT);
	const LhPqChunk *chunk;

	if (exact == NULL)
		return false;
	if (exact->is_group)
		return true;
	chunk = &group->chunks[exact->first_leaf];
	return chunk->stats.null_count != chunk->num_values;
}

/* A column that the file lacks has one value in all its rows. */
static void
missing_bounds(TupleDesc desc, AttrNumber attnum, ColumnBounds *bounds)
{
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (TupleDescAttr(desc, attnum - 1)->atthasmissing)
		value = getmissingattr(desc, attnum, &isnull);
	bounds->some_null = isnull;
	bounds->some_value = bounds->has_min = bounds->has_max = !isnull;
	bounds->min = bounds->max = value;
}

static void
column_bounds(const LhClause *clause, TupleDesc desc, const LhPqFileMeta *meta,
			  const LhPqRowGroup *group, ColumnBounds *bounds)
{
	const LhPqNode *leaf = lh_file_column(meta, clause->attnum);
	FormData_pg_attribute att = *TupleDescAttr(desc, clause->attnum - 1);
	const LhPqStats *stats;

	*bounds = (ColumnBounds) {.some_null = true,.some_value = true};
	if (leaf == NULL)
	{
		missing_bounds(desc, clause->attnum, bounds);
		return;
	}
	if (leaf->is_group || leaf->max_rep > 0 || leaf->max_def > 1)
		return;
	stats = &group->chunks[leaf->first_leaf].stats;
	bounds->some_null = leaf->max_def > 0 && stats->null_count != 0;
	bounds->some_value = stats->null_count < group->num_rows;
	if (clause->kind == LH_CLAUSE_NULL || clause->kind == LH_CLAUSE_NOT_NULL)
		return;
	if (clause->bytewise)
		att.attcollation = C_COLLATION_OID;
	bounds->has_min = lh_stat_datum(leaf, &att, stats->min, &bounds->min);
	if ((leaf->type != LH_PQ_FLOAT && leaf->type != LH_PQ_DOUBLE) || stats->nan_count == 0)
		bounds->has_max = lh_stat_datum(leaf, &att, stats->max, &bounds->max);
}

static int
compare(LhClause *clause, Datum bound, Datum value)
{
	return DatumGetInt32(FunctionCall2Coll(&clause->order, clause->collation, bound, value));
}

static bool
may_hold(LhClause *clause, const ColumnBounds *bounds, Datum value)
{
	int			max_limit = 0;	/* the least order of max to value that leaves room */
	int			min_limit = 0;	/* and the greatest of min */

	if (clause->strategy == BTLessStrategyNumber)
		min_limit = -1;
	if (clause->strategy == BTGreaterStrategyNumber)
		max_limit = 1;
	if (clause->strategy <= BTEqualStrategyNumber && bounds->has_min)
	{
		int			order = compare(clause, bounds->min, value);

		if ((order > 0 ? 1 : order < 0 ? -1 : 0) > min_limit)
			return false;
	}
	if (clause->strategy >= BTEqualStrategyNumber && bounds->has_max)
	{
		int			order = compare(clause, bounds->max, value);

		if ((order > 0 ? 1 : order < 0 ? -1 : 0) < max_limit)
			return false;
	}
	return true;
}

static bool
may_match(LhClauseSet *set, LhClause *clause, const LhPqFileMeta *meta, const LhPqRowGroup *group)
{
	ColumnBounds bounds;
	ListCell   *lc;

	if (clause->kind == LH_CLAUSE_AND || clause->kind == LH_CLAUSE_OR)
	{
		bool		is_and = clause->kind == LH_CLAUSE_AND;

		foreach(lc, clause->args)
			if (may_match(set, lfirst(lc), meta, group) != is_and)
				return !is_and;
		return is_and;
	}

	column_bounds(clause, set->desc, meta, group, &bounds);
	if (clause->kind == LH_CLAUSE_NULL)
		return bounds.some_null;
	if (!bounds.some_value)
		return false;
	if (clause->kind == LH_CLAUSE_NOT_NULL || clause->n_values < 0)
		return true;
	for (int i = 0; i < clause->n_values; i++)
		if (may_hold(clause, &bounds, clause->values[i]))
			return true;
	return false;
}

bool
lh_prune_group_wanted(void *arg, const LhPqFileMeta *meta, int row_group)
{
	LhClauseSet *set = arg;
	const LhPqRowGroup *group = &meta->row_groups[row_group];
	MemoryContext old;
	bool		wanted = true;
	ListCell   *lc;

	(void) lh_clauses_evaluate(set);
	if (has_exact_cells(meta, group))
		return true;
	MemoryContextReset(set->scratch);
	old = MemoryContextSwitchTo(set->scratch);
	foreach(lc, set->clauses)
	{
		wanted = may_match(set, lfirst(lc), meta, group);
		if (!wanted)
			break;
	}
	MemoryContextSwitchTo(old);
	return wanted;
}
