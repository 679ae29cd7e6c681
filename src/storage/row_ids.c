/*
 * row_ids.c
 *	  Sets of row ids as ranges: which rows some snapshot may still see.
 *
 * Filled in any order, then sorted once and asked for often.  A set may be
 * bounded in memory: what does not fit is the end of its span, which it gives
 * up, for another set to begin there.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "storage/lh_storage.h"

#define LEAST_BYTES		(64 * 1024)

typedef struct Range
{
	uint64		first;
	uint64		last;
} Range;

struct LhRowIds
{
	uint64		first;			/* the span that it knows about */
	uint64		last;
	Size		max_bytes;		/* of the arrays */
	int64		n;
	int64		max;
	Range	   *ranges;
	int64		n_dead;			/* row ids that are taken out, ascending once sorted */
	int64		max_dead;
	uint64	   *dead;
};

LhRowIds *
lh_row_ids_create(void)
{
	return lh_row_ids_create_bounded(0, SIZE_MAX);
}

LhRowIds *
lh_row_ids_create_bounded(uint64 first, Size max_bytes)
{
	LhRowIds   *ids = palloc0(sizeof(LhRowIds));

	ids->first = first;
	ids->last = LH_MAX_ROW_ID;
	ids->max_bytes = Max(max_bytes, LEAST_BYTES);
	return ids;
}

void
lh_row_ids_free(LhRowIds *ids)
{
	if (ids->ranges != NULL)
		pfree(ids->ranges);
	if (ids->dead != NULL)
		pfree(ids->dead);
	pfree(ids);
}

uint64
lh_row_ids_last(const LhRowIds *ids)
{
	return ids->last;
}

/* Makes room for one more element; arrays live where the set does. */
static void *
grow(LhRowIds *ids, void *array, int64 n, int64 *max, Size size)
{
	if (n < *max)
		return array;
	*max = Max(64, *max * 2);
	if (array == NULL)
		return MemoryContextAllocHuge(GetMemoryChunkContext(ids), *max * size);
	return repalloc_huge(array, *max * size);
}

static Size
bytes_used(const LhRowIds *ids)
{
	return sizeof(Range) * ids->n + sizeof(uint64) * ids->n_dead;
}

/* The arrays may be twice as large as what is in them. */
static bool
is_full(const LhRowIds *ids)
{
	return bytes_used(ids) > ids->max_bytes / 2;
}

/* Ends the span in the middle of what it has, if sorting does not help. */
static void
give_up_end(LhRowIds *ids)
{
	int64		n = 0;

	lh_row_ids_sort(ids);
	if (bytes_used(ids) <= ids->max_bytes / 4)
		return;
	ids->last = sizeof(Range) * ids->n > sizeof(uint64) * ids->n_dead ?
		ids->ranges[ids->n / 2].first - 1 : ids->dead[ids->n_dead / 2] - 1;
	while (n < ids->n && ids->ranges[n].first <= ids->last)
		n++;
	ids->n = n;
	if (n > 0)
		ids->ranges[n - 1].last = Min(ids->ranges[n - 1].last, ids->last);
	for (n = 0; n < ids->n_dead && ids->dead[n] <= ids->last;)
		n++;
	ids->n_dead = n;
}

void
lh_row_ids_add(LhRowIds *ids, uint64 first, uint64 last)
{
	first = Max(first, ids->first);
	last = Min(last, ids->last);
	if (first > last)
		return;
	if (ids->n > 0 && ids->ranges[ids->n - 1].last + 1 == first)
	{
		ids->ranges[ids->n - 1].last = last;
		return;
	}
	ids->ranges = grow(ids, ids->ranges, ids->n, &ids->max, sizeof(Range));
	ids->ranges[ids->n++] = (Range) {first, last};
	if (is_full(ids))
		give_up_end(ids);
}

void
lh_row_ids_remove(LhRowIds *ids, uint64 row_id)
{
	if (row_id < ids->first || row_id > ids->last)
		return;
	ids->dead = grow(ids, ids->dead, ids->n_dead, &ids->max_dead, sizeof(uint64));
	ids->dead[ids->n_dead++] = row_id;
	if (is_full(ids))
		give_up_end(ids);
}

static int
compare_ranges(const void *a, const void *b)
{
	const Range *x = a;
	const Range *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

void
lh_row_ids_sort(LhRowIds *ids)
{
	int64		n = 0;

	if (ids->n > 0)
		qsort(ids->ranges, ids->n, sizeof(Range), compare_ranges);
	for (int64 i = 0; i < ids->n; i++)
	{
		if (n > 0 && ids->ranges[i].first <= ids->ranges[n - 1].last + 1)
			ids->ranges[n - 1].last = Max(ids->ranges[n - 1].last, ids->ranges[i].last);
		else
			ids->ranges[n++] = ids->ranges[i];
	}
	ids->n = n;
	if (ids->n_dead > 0)
		qsort(ids->dead, ids->n_dead, sizeof(uint64), compare_ids);
}

bool
lh_row_ids_contain(const LhRowIds *ids, uint64 row_id)
{
	int64		low = 0;
	int64		high = ids->n;

	/* the last range that does not begin after the id */
	while (low < high)
	{
		int64		mid = (low + high) / 2;

		if (ids->ranges[mid].first <= row_id)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || ids->ranges[low - 1].last < row_id)
		return false;
	return !lh_row_ids_removed(ids, row_id);
}

bool
lh_row_ids_removed(const LhRowIds *ids, uint64 row_id)
{
	return ids->n_dead > 0 &&
		bsearch(&row_id, ids->dead, ids->n_dead, sizeof(uint64), compare_ids) != NULL;
}

bool
lh_row_ids_gone(const LhRowIds *needed, uint64 settled, uint64 row_id)
{
	return row_id >= needed->first && row_id <= needed->last && !lh_row_ids_contain(needed, row_id) &&
		(row_id < settled || lh_row_ids_removed(needed, row_id));
}

bool
lh_row_ids_next(const LhRowIds *ids, uint64 *row_id)
{
	int64		low = 0;
	int64		high = ids->n;

	for (;;)
	{
		/* the first range that does not end before the id */
		while (low < high)
		{
			int64		mid = (low + high) / 2;

			if (ids->ranges[mid].last < *row_id)
				low = mid + 1;
			else
				high = mid;
		}
		if (low == ids->n)
			return false;
		*row_id = Max(*row_id, ids->ranges[low].first);
		if (!lh_row_ids_removed(ids, *row_id))
			return true;
		++*row_id;
		high = ids->n;
	}
}
