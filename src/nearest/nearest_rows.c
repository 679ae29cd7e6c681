/*
 * nearest_rows.c
 *	  The rows that LakehouseNearest keeps, and how far they are.
 *
 * As many rows as the LIMIT wants stand in a heap with the worst on top.  Where
 * they would not fit work_mem, which a LIMIT that the planner did not know can
 * lead to, all rows go to a sort, which has files.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "nearest/nearest_int.h"

/* What a row kept takes besides its columns. */
#define ROW_OVERHEAD	(sizeof(NearestRow) + 64)
/* Room for rows at first. */
#define FIRST_ROWS		64

/* ---- how many are wanted ---- */

/* LIMIT NULL has no limit; a negative one is refused by the node above. */
static int64
evaluate_count(NearestState *s, ExprState *expr, int64 if_null)
{
	bool		isnull;
	Datum		value = ExecEvalExprSwitchContext(expr, s->css.ss.ps.ps_ExprContext, &isnull);

	return isnull ? if_null : Max(DatumGetInt64(value), 0);
}

static int64
evaluate_limit(NearestState *s)
{
	int64		count = evaluate_count(s, s->limit_count, PG_INT64_MAX);
	int64		offset = evaluate_count(s, s->limit_offset, 0);

	return count > PG_INT64_MAX - offset ? PG_INT64_MAX : count + offset;
}

static Tuplesortstate *
begin_sort(NearestState *s)
{
	TupleDesc	desc = s->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	AttrNumber	key = desc->natts;
	Oid			operator = lookup_type_cache(FLOAT8OID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	return tuplesort_begin_heap(desc, 1, &key, &operator, &collation, &nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

/* ---- order ---- */

static inline bool
is_after(const NearestRow *a, const NearestRow *b)
{
	if (a->isnull != b->isnull)
		return a->isnull;
	if (isnan(a->distance) != isnan(b->distance))
		return isnan(a->distance);
	/* NaN is not greater, either */
	return a->distance > b->distance || (!(a->distance < b->distance) && a->number > b->number);
}

static void
sift_down(NearestRow *rows, int n, NearestRow row)
{
	int			at = 0;

	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && is_after(&rows[child + 1], &rows[child]))
			child++;
		if (!is_after(&rows[child], &row))
			break;
		rows[at] = rows[child];
		at = child;
	}
	rows[at] = row;
}

static void
insert_row(NearestState *s, NearestRow row)
{
	int			at;

	if (s->n == s->limit)
	{
		pfree(s->rows[0].tuple);
		sift_down(s->rows, s->n, row);
		return;
	}
	if (s->n == s->max)
	{
		s->max *= 2;
		s->rows = repalloc_huge(s->rows, sizeof(NearestRow) * s->max);
	}
	for (at = s->n++; at > 0 && is_after(&row, &s->rows[(at - 1) / 2]); at = (at - 1) / 2)
		s->rows[at] = s->rows[(at - 1) / 2];
	s->rows[at] = row;
}

/* ---- distances ---- */

/* Of a value of the compared column; by the probe to the bit what the function gives. */
double
lh_nearest_distance(NearestState *s, Datum value, bool *isnull)
{
	double		distance;
	MemoryContext old;

	if (*isnull || s->query_isnull)
	{
		*isnull = true;
		return NAN;
	}
	value = lh_nearest_fetch(&s->toast, value);
	if (s->probing && lh_probe_fits(&s->probe, DatumGetPointer(value)))
		return lh_probe_distance(&s->probe, DatumGetPointer(value));
	old = MemoryContextSwitchTo(s->work);
	s->call->args[s->key_arg].value = value;
	s->call->args[s->key_arg].isnull = false;
	s->call->isnull = false;
	distance = DatumGetFloat8(FunctionCallInvoke(s->call));
	*isnull = s->call->isnull;
	MemoryContextReset(s->work);
	MemoryContextSwitchTo(old);
	return *isnull ? NAN : distance;
}

/* ---- keeping ---- */

void
lh_nearest_begin_rows(NearestState *s)
{
	TupleTableSlot *slot = s->css.ss.ss_ScanTupleSlot;
	double		bytes = s->css.ss.ps.plan->plan_width + ROW_OVERHEAD;

	lh_nearest_end_rows(s);
	MemoryContextReset(s->context);
	s->limit = evaluate_limit(s);
	s->n = s->next = 0;
	s->offered = 0;
	s->max = (int) Min(Max(s->limit, 1), FIRST_ROWS);
	s->rows = MemoryContextAlloc(s->context, sizeof(NearestRow) * s->max);
	if (s->limit * bytes <= work_mem * (double) 1024)
		return;
	s->sort = begin_sort(s);
	if (s->sorted == NULL)
		s->sorted = MakeSingleTupleTableSlot(slot->tts_tupleDescriptor, &TTSOpsMinimalTuple);
}

/* Would a row so far away be kept? */
bool
lh_nearest_is_kept(const NearestState *s, double distance, bool isnull)
{
	NearestRow	row = {.distance = distance,.isnull = isnull,.number = s->offered};

	return s->sort || s->n < s->limit || (s->limit > 0 && is_after(&s->rows[0], &row));
}

/* The child's row, with the distance as one more column. */
static void
store(TupleTableSlot *slot, TupleTableSlot *child, double distance, bool isnull)
{
	int			last = slot->tts_tupleDescriptor->natts - 1;

	slot_getsomeattrs(child, last);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, child->tts_values, sizeof(Datum) * last);
	memcpy(slot->tts_isnull, child->tts_isnull, sizeof(bool) * last);
	slot->tts_values[last] = Float8GetDatum(distance);
	slot->tts_isnull[last] = isnull;
	ExecStoreVirtualTuple(slot);
}

/* A row that is_kept() has let in. */
void
lh_nearest_keep(NearestState *s, double distance, bool isnull, TupleTableSlot *slot)
{
	NearestRow	row = {.distance = distance,.isnull = isnull,.number = s->offered};
	MemoryContext old;

	if (s->sort)
	{
		store(s->css.ss.ss_ScanTupleSlot, slot, distance, isnull);
		tuplesort_puttupleslot(s->sort, s->css.ss.ss_ScanTupleSlot);
		return;
	}
	old = MemoryContextSwitchTo(s->context);
	row.tuple = ExecCopySlotMinimalTuple(slot);
	MemoryContextSwitchTo(old);
	insert_row(s, row);
}

/* Keeps the child's row if it is among the nearest so far. */
void
lh_nearest_offer(NearestState *s, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, s->key, &isnull);
	double		distance = lh_nearest_distance(s, value, &isnull);

	if (lh_nearest_is_kept(s, distance, isnull))
		lh_nearest_keep(s, distance, isnull, slot);
	s->offered++;
}

/* As if none had been offered. */
void
lh_nearest_drop_rows(NearestState *s)
{
	Assert(s->sort == NULL);
	while (s->n > 0)
		pfree(s->rows[--s->n].tuple);
}

void
lh_nearest_end_rows(NearestState *s)
{
	if (s->sorted)
		ExecClearTuple(s->sorted);
	if (s->sort)
		tuplesort_end(s->sort);
	s->sort = NULL;
}

/* ---- giving them out ---- */

/* All have been offered: nearest first. */
void
lh_nearest_sort_rows(NearestState *s)
{
	if (s->sort)
	{
		tuplesort_performsort(s->sort);
		return;
	}
	for (int n = s->n; n > 1; n--)
	{
		NearestRow	last = s->rows[n - 1];

		s->rows[n - 1] = s->rows[0];
		sift_down(s->rows, n - 1, last);
	}
}

/* The next one into the slot of the node; false after the last one. */
bool
lh_nearest_next_row(NearestState *s, TupleTableSlot *slot)
{
	int			distance = slot->tts_tupleDescriptor->natts - 1;
	NearestRow *row;

	if (s->sort)
	{
		if (!tuplesort_gettupleslot(s->sort, true, false, s->sorted, NULL))
			return false;
		ExecCopySlot(slot, s->sorted);
		return true;
	}
	if (s->next >= s->n)
		return false;
	row = &s->rows[s->next++];
	/* the children's columns; the last one is missing there and comes as NULL */
	ExecForceStoreMinimalTuple(row->tuple, slot, false);
	slot->tts_values[distance] = Float8GetDatum(row->distance);
	slot->tts_isnull[distance] = row->isnull;
	return true;
}
