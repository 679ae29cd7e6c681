/*
 * hnsw_pool.c
 *	  Candidates of a search by their distance: the pool of the nearest, and the
 *	  rest.  Knows only their keys.
 */
#include "postgres.h"

#include "hnsw/hnsw_int.h"

void
hnsw_rest_push(HnswRest *rest, HnswKey key)
{
	int64		at;

	if (rest->n == rest->max)
	{
		rest->max = Max(rest->max * 2, 1024);
		rest->keys = rest->keys ? repalloc_huge(rest->keys, sizeof(HnswKey) * rest->max) :
			palloc_extended(sizeof(HnswKey) * rest->max, MCXT_ALLOC_HUGE);
	}
	at = rest->n++;
	while (at > 0 && rest->keys[(at - 1) / 2] > key)
	{
		rest->keys[at] = rest->keys[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	rest->keys[at] = key;
}

/* The nearest; the caller knows that there is one. */
HnswKey
hnsw_rest_pop(HnswRest *rest)
{
	HnswKey		top = rest->keys[0];
	HnswKey		last = rest->keys[--rest->n];
	int64		at = 0;

	for (;;)
	{
		int64		child = 2 * at + 1;

		if (child >= rest->n)
			break;
		if (child + 1 < rest->n && rest->keys[child + 1] < rest->keys[child])
			child++;
		if (last <= rest->keys[child])
			break;
		rest->keys[at] = rest->keys[child];
		at = child;
	}
	rest->keys[at] = last;
	return top;
}

/* Puts a candidate where it belongs; what falls out goes to the rest. */
void
hnsw_pool_add(HnswPool *pool, HnswRest *rest, HnswKey key)
{
	const HnswKey *at = pool->keys;
	int			low;

	if (pool->n == pool->max)
	{
		if (key >= pool->keys[pool->n - 1])
		{
			if (rest)
				hnsw_rest_push(rest, key);
			return;
		}
		if (rest)
			hnsw_rest_push(rest, pool->keys[pool->n - 1]);
		pool->n--;
	}
	/* halving without branches, which would be guessed wrong every other time */
	for (Size n = pool->n; n > 1; n -= n / 2)
		at += n / 2 * (at[n / 2 - 1] < key);
	low = at - pool->keys + (pool->n > 0 && *at < key);
	memmove(pool->keys + low + 1, pool->keys + low, sizeof(HnswKey) * (pool->n - low));
	pool->keys[low] = key;
	pool->n++;
	pool->next = Min(pool->next, low);
}
