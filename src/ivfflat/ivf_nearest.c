/*
 * ivf_nearest.c
 *	  The nearest centres of many values at a time.  Centres are taken a tile at
 *	  a time that stays in the processor's cache while all values see it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "ivfflat/ivf_int.h"
#include "vector/vector.h"

#define TILE_BYTES		(256 * 1024)
#define TILE_ROWS		1024	/* at most */

/* Rows that wait for their lists. */
#define BATCH_BYTES		(256 * 1024)
#define BATCH_ROWS		256

void
ivf_nearest(const IvfShape *shape, const IvfQuery *queries, int n, const void *const *rows, int k, IvfNearest *result)
{
	int			tile = Max(Min(TILE_BYTES / (int) shape->value_bytes, TILE_ROWS), 8);
	float		distances[TILE_ROWS];

	for (int i = 0; i < n; i++)
	{
		result[i].center = 0;
		result[i].distance = get_float4_infinity();
	}
	for (int from = 0; from < k; from += tile)
	{
		int			n_rows = Min(tile, k - from);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
		{
			IvfNearest *r = &result[i];

			ivf_score(shape, &queries[i], rows + from, n_rows, distances);
			for (int j = 0; j < n_rows; j++)
			{
				if (distances[j] < r->distance)
				{
					r->distance = distances[j];
					r->center = from + j;
				}
			}
		}
	}
}

/* ---- rows that come one by one ---- */

/* Centres are as on pages, k of them behind each other. */
void
ivf_assign_init(IvfAssign *a, const IvfShape *shape, const char *centers, int k)
{
	a->shape = shape;
	a->k = k;
	a->n = 0;
	a->max = Max(Min(BATCH_BYTES / (int) shape->value_bytes, BATCH_ROWS), 8);
	a->rows = palloc(sizeof(void *) * k);
	for (int i = 0; i < k; i++)
		a->rows[i] = centers + (Size) i * shape->value_bytes;
	a->values = palloc((Size) a->max * shape->value_bytes);
	a->work = palloc(a->max * IvfWorkBytes(shape));
	a->tids = palloc(sizeof(ItemPointerData) * a->max);
	a->queries = palloc(sizeof(IvfQuery) * a->max);
	a->nearest = palloc(sizeof(IvfNearest) * a->max);
}

/* Keeps the row until ivf_assign_run(); true if no more can be kept. */
bool
ivf_assign_add(IvfAssign *a, ItemPointer tid, const void *value)
{
	char	   *copy = a->values + (Size) a->n * a->shape->value_bytes;

	memcpy(copy, value, a->shape->value_bytes);
	a->tids[a->n] = *tid;
	ivf_query(a->shape, copy, a->work + a->n * IvfWorkBytes(a->shape), &a->queries[a->n]);
	return ++a->n == a->max;
}

/* Finds the lists of all rows that were added; the caller takes them and sets n to 0. */
void
ivf_assign_run(IvfAssign *a)
{
	ivf_nearest(a->shape, a->queries, a->n, a->rows, a->k, a->nearest);
}
