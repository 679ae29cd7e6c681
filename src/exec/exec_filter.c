/*
 * exec_filter.c
 *	  Comparisons of columns with values, over a batch as the file has it.
 *
 * All comparisons of a column become one range of keys; the columns' ranges
 * are one AND.  The loops raise no error and look at nothing but the value,
 * so they may run before any other qual of the scan, a security barrier's
 * included.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "exec/exec_int.h"

typedef struct ColumnRange
{
	AttrNumber	attnum;
	Form_pg_attribute att;
	LhVecKind	kind;
	LhKeyRange	range;
} ColumnRange;

struct LhFilter
{
	LhClauseSet *set;
	int			n_clauses;
	int			n_columns;
	ColumnRange *columns;
	uint32		generation;		/* of the set's values that the ranges are of; 0: none */
};

static ColumnRange *
column_range(LhFilter *filter, AttrNumber attnum)
{
	ColumnRange *column;

	for (int i = 0; i < filter->n_columns; i++)
		if (filter->columns[i].attnum == attnum)
			return &filter->columns[i];
	column = &filter->columns[filter->n_columns++];
	column->attnum = attnum;
	column->att = TupleDescAttr(filter->set->desc, attnum - 1);
	column->kind = lh_vec_kind(column->att);
	return column;
}

static bool
fits(LhFilter *filter, const LhClause *clause)
{
	return clause->kind <= LH_CLAUSE_NOT_NULL &&
		lh_vec_clause_fits(clause, TupleDescAttr(filter->set->desc, clause->attnum - 1));
}

LhFilter *
lh_filter_create(LhClauseSet *set)
{
	LhFilter   *filter = palloc0(sizeof(LhFilter));
	ListCell   *lc;

	filter->set = set;
	filter->columns = palloc0(sizeof(ColumnRange) * Max(list_length(set->clauses), 1));
	foreach(lc, set->clauses)
	{
		LhClause   *clause = lfirst(lc);

		if (fits(filter, clause))
		{
			(void) column_range(filter, clause->attnum);
			filter->n_clauses++;
		}
	}
	return filter;
}

int
lh_filter_n_clauses(const LhFilter *filter)
{
	return filter->n_clauses;
}

bool
lh_filter_covers(List *quals, Index varno, TupleDesc desc)
{
	LhClauseSet *set = lh_clauses_create(NULL, quals, varno, desc);

	return lh_filter_create(set)->n_clauses == list_length(quals);
}

/* Takes over the set's values, when they are new. */
static void
prepare(LhFilter *filter)
{
	MemoryContext old;
	ListCell   *lc;

	lh_clauses_evaluate(filter->set);
	if (filter->generation == filter->set->generation)
		return;
	filter->generation = filter->set->generation;
	MemoryContextReset(filter->set->scratch);
	old = MemoryContextSwitchTo(filter->set->scratch);
	for (int i = 0; i < filter->n_columns; i++)
		filter->columns[i].range = (LhKeyRange) {PG_INT64_MIN, PG_INT64_MAX};
	foreach(lc, filter->set->clauses)
	{
		LhClause   *clause = lfirst(lc);
		ColumnRange *column;
		LhKeyRange	range;

		if (!fits(filter, clause))
			continue;
		column = column_range(filter, clause->attnum);
		if (lh_vec_range(clause, column->att, &range))
		{
			column->range.lo = Max(column->range.lo, range.lo);
			column->range.hi = Min(column->range.hi, range.hi);
		}
	}
	MemoryContextSwitchTo(old);
}

/* sel[i] &= lo <= key(v[i]) <= hi */
#define RANGE_LOOP(key) \
	for (int i = 0; i < n; i++) \
	{ \
		int64		k = (key); \
		selected[i] &= (k >= lo) & (k <= hi); \
	}

static void
select_range(const ColumnRange *column, const LhPqNode *leaf, const LhPqVector *v, int n, uint8 *selected)
{
	int64		lo = column->range.lo;
	int64		hi = column->range.hi;

	if (column->kind == LH_VEC_FLOAT4)
		RANGE_LOOP(lh_float_key(v->values.f32[i]))
	else if (column->kind == LH_VEC_FLOAT8)
		RANGE_LOOP(lh_float_key(v->values.f64[i]))
	else if (leaf->type == LH_PQ_INT64)
		RANGE_LOOP(v->values.i64[i])
	else
	{
		const int32 *values = v->values.i32;
		int32		lo32 = (int32) Max(lo, PG_INT32_MIN);
		int32		hi32 = (int32) Min(hi, PG_INT32_MAX);

		if (lo > PG_INT32_MAX || hi < PG_INT32_MIN)
			memset(selected, 0, n);
		for (int i = 0; i < n; i++)
			selected[i] &= (values[i] >= lo32) & (values[i] <= hi32);
	}
	if (v->nulls != NULL)
		for (int i = 0; i < n; i++)
			selected[i] &= !v->nulls[i];
}

/* Do the file's leaves hold what the loops take? */
static bool
check_leaves(LhFilter *filter, LhFileReader *reader)
{
	for (int i = 0; i < filter->n_columns; i++)
	{
		const LhPqNode *leaf = lh_file_reader_leaf(reader, filter->columns[i].attnum);

		if (leaf == NULL || !lh_vec_leaf_fits(filter->columns[i].att, filter->columns[i].kind, leaf))
			return false;
	}
	return true;
}

int
lh_filter_run(LhFilter *filter, LhFileReader *reader, int n_rows, uint8 *selected)
{
	int			count = n_rows;

	if (filter->n_columns == 0 || !lh_file_reader_group_is_exact(reader) || !check_leaves(filter, reader))
		return -1;
	prepare(filter);
	memset(selected, 1, n_rows);
	for (int i = 0; i < filter->n_columns && count > 0; i++)
	{
		const ColumnRange *column = &filter->columns[i];

		if (column->range.lo > column->range.hi)
			return 0;
		select_range(column, lh_file_reader_leaf(reader, column->attnum),
					 lh_file_reader_vector(reader, column->attnum), n_rows, selected);
		count = 0;
		for (int r = 0; r < n_rows; r++)
			count += selected[r];
	}
	return count;
}
