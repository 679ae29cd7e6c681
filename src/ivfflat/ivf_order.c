/*
 * ivf_order.c
 *	  Rows in the order of their distances, no more of it than is asked for: a
 *	  LIMIT that we are not told of asks for few of many.
 *
 * The first rows are partitioned off and sorted when they are wanted, then
 * four times as many, and so on.  Only the nearest `max` rows are kept; when
 * they have been returned, the caller finds those behind them once more.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "ivfflat/ivf_int.h"

#define FIRST_SORTED	64

/* Equal distances are ordered by address, so that the order is the same each time. */
static inline int
compare(const IvfEntry *a, const IvfEntry *b)
{
	if (a->distance != b->distance)
		return a->distance < b->distance ? -1 : 1;
	return ItemPointerCompare((ItemPointer) &a->tid, (ItemPointer) &b->tid);
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE IvfEntry
#define ST_COMPARE(a, b) compare(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Forgets everything; allocates in the current context, which outlives the order. */
void
ivf_order_start(IvfOrder *order, int max)
{
	memset(order, 0, sizeof(*order));
	order->max = max;
}

/* All that was kept has been returned, and there was more: the rows behind it come now. */
void
ivf_order_restart(IvfOrder *order)
{
	Assert(order->cut && order->next == order->n && order->n > 0);
	order->after = order->entries[order->n - 1];
	order->resumed = true;
	order->cut = false;
	order->n = order->sorted = order->next = 0;
}

static inline void
swap(IvfEntry *a, IvfEntry *b)
{
	IvfEntry	t = *a;

	*a = *b;
	*b = t;
}

/* The middle one of three in from..to - 1 comes first. */
static void
choose_pivot(IvfEntry *entries, int from, int to)
{
	int			middle = from + (to - from) / 2;
	int			last = to - 1;

	if (compare(&entries[middle], &entries[from]) < 0)
		swap(&entries[middle], &entries[from]);
	if (compare(&entries[last], &entries[from]) < 0)
		swap(&entries[last], &entries[from]);
	if (compare(&entries[last], &entries[middle]) < 0)
		swap(&entries[last], &entries[middle]);
	swap(&entries[from], &entries[middle]);
}

/* Makes the entries before `wanted` the nearest of from..to - 1. */
static void
partition(IvfEntry *entries, int from, int to, int wanted)
{
	for (int round = 0; to - from > 16; round++)
	{
		int			i = from,
					j = to;

		/* bad luck with the pivots, or bad will */
		if (round > 64)
			break;
		choose_pivot(entries, from, to);
		for (;;)
		{
			while (++i < to && compare(&entries[i], &entries[from]) < 0)
				 /* nearer */ ;
			while (compare(&entries[--j], &entries[from]) > 0)
				 /* farther */ ;
			if (i >= j)
				break;
			swap(&entries[i], &entries[j]);
		}
		swap(&entries[from], &entries[j]);
		if (wanted == j || wanted == j + 1)
			return;
		if (wanted < j)
			to = j;
		else
			from = j + 1;
	}
	sort_entries(entries + from, to - from);
}

/* Too many: the farther half is dropped, and what comes behind the rest from now on. */
static void
cut(IvfOrder *order)
{
	int			keep = Max(order->max / 2, 1);

	partition(order->entries, 0, order->n, keep);
	order->limit = order->entries[0];
	for (int i = 1; i < keep; i++)
		if (compare(&order->entries[i], &order->limit) > 0)
			order->limit = order->entries[i];
	order->n = keep;
	order->cut = true;
}

static void
make_room(IvfOrder *order, int n)
{
	int			room = Min(Max(2 * order->room, order->n + n), Max(order->max, order->n + n));

	order->entries = order->entries ? repalloc_huge(order->entries, sizeof(IvfEntry) * (Size) room) :
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(IvfEntry) * (Size) room);
	order->room = room;
}

/* Adds a page's n rows, whose distances are given. */
void
ivf_order_add(IvfOrder *order, const float *distances, Page page, int n)
{
	if (order->n + n > order->max && order->n > 1)
		cut(order);
	if (order->n + n > order->room)
		make_room(order, n);
	for (int i = 0; i < n; i++)
	{
		IvfEntry   *entry = &order->entries[order->n];

		entry->distance = distances[i] == distances[i] ? distances[i] : get_float4_infinity();
		entry->tid = *IvfRowTid(page, i);
		if ((order->cut && compare(entry, &order->limit) > 0) ||
			(order->resumed && compare(entry, &order->after) <= 0))
			continue;
		order->n++;
	}
}

/* The next row; false when all that are kept have been returned. */
bool
ivf_order_next(IvfOrder *order, IvfEntry *entry)
{
	if (order->next == order->n)
		return false;
	if (order->next == order->sorted)
	{
		int			wanted = order->sorted == 0 ? FIRST_SORTED : 4 * order->sorted;

		wanted = wanted < order->n ? wanted : order->n;
		if (wanted < order->n)
			partition(order->entries, order->sorted, order->n, wanted);
		sort_entries(order->entries + order->sorted, wanted - order->sorted);
		order->sorted = wanted;
	}
	*entry = order->entries[order->next++];
	return true;
}
