/*
 * row_set_test.c
 *	  Sets of row ids against an array of flags.
 */
#include <stdlib.h>

#include "lh_test.h"

#define N_IDS	(5 * 65536)

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Ids `first` and more; flags say which are there. */
static void
check_set(LhRowSet *set, const bool *flags, uint64_t first, uint64_t *state)
{
	LhRowSetScan scan;
	uint64_t	id;
	int			from = (int) (next_random(state) % N_IDS);
	int64_t		n = 0;

	for (int i = 0; i < N_IDS; i++)
	{
		n += flags[i];
		LH_CHECK(lh_row_set_has(set, first + (uint64_t) i) == flags[i]);
	}
	LH_EQ_INT(set->n, n);
	LH_CHECK(!lh_row_set_has(set, first + N_IDS + 7));
	scan = lh_row_set_scan(set, first + (uint64_t) from);
	for (int i = from; i < N_IDS; i++)
	{
		if (!flags[i])
			continue;
		LH_CHECK(lh_row_set_next(&scan, &id));
		LH_CHECK(id == first + (uint64_t) i);
	}
	LH_CHECK(!lh_row_set_next(&scan, &id));
	scan = lh_row_set_scan(set, 0);
	for (int64_t i = 0; i < n / 2; i++)
		LH_CHECK(lh_row_set_next(&scan, &id));
	for (int64_t left = n - n / 2; left > 0; left -= 2)
	{
		uint64_t	two[2];

		LH_EQ_INT(lh_row_set_take(&scan, two, 2), left < 2 ? left : 2);
		LH_CHECK(lh_row_set_has(set, two[0]));
	}
	LH_CHECK(!lh_row_set_next(&scan, &id));
}

LH_TEST(row_set_of_any_density)
{
	bool	   *flags = malloc(N_IDS);
	uint64_t	state = 20261121;

	for (int round = 0; round < 12; round++)
	{
		uint64_t	first = round % 3 == 0 ? 0 : next_random(&state) >> 22;
		int			n_adds = (int) (next_random(&state) % (UINT64_C(1) << (4 + round % 12 * 2))) % 400000;
		LhRowSet	set;

		lh_row_set_init(&set, &lh_malloc);
		memset(flags, 0, N_IDS);
		for (int i = 0; i < n_adds; i++)
		{
			/* in order, at random, and in the beginning only */
			int			at = round % 4 == 0 ? i % N_IDS : (int) (next_random(&state) % (round % 4 == 1 ? 20000 : N_IDS));

			LH_CHECK(lh_row_set_add(&set, first + (uint64_t) at) == !flags[at]);
			flags[at] = true;
		}
		check_set(&set, flags, first, &state);
		if (lh_test_failed())
			break;
		lh_row_set_free(&set);
		LH_EQ_INT(set.n, 0);
	}
	free(flags);
}

LH_TEST(row_set_is_small)
{
	LhRowSet	set;
	LhRowSetScan scan;
	uint64_t	id;

	lh_row_set_init(&set, &lh_malloc);
	scan = lh_row_set_scan(&set, 77);
	LH_CHECK(!lh_row_set_next(&scan, &id));
	LH_CHECK(!lh_row_set_has(&set, 0));
	for (id = 0; id < 10000000; id++)
		lh_row_set_add(&set, id * 2);
	LH_EQ_INT(set.n, 10000000);
	LH_EQ_INT(set.n_chunks, (20000000 + 65535) / 65536);
	lh_row_set_free(&set);
}

/* An allocator that gives up after some calls. */
typedef struct Miser
{
	int			left;
} Miser;

static void *
miser_alloc(void *ctx, size_t size)
{
	return ((Miser *) ctx)->left-- > 0 ? malloc(size) : NULL;
}

static void *
miser_realloc(void *ctx, void *ptr, size_t size)
{
	return ((Miser *) ctx)->left-- > 0 ? realloc(ptr, size) : NULL;
}

static void
miser_free(void *ctx, void *ptr)
{
	(void) ctx;
	free(ptr);
}

LH_TEST(row_set_without_memory)
{
	for (int calls = 0; calls < 40; calls++)
	{
		Miser		miser = {calls};
		LhAlloc		alloc = {.alloc = miser_alloc, .realloc = miser_realloc, .free = miser_free, .ctx = &miser};
		LhRowSet	set;
		int64_t		added = 0;
		int64_t		found = 0;

		lh_row_set_init(&set, &alloc);
		for (uint64_t id = 0; id < 200000; id += 3)
			added += lh_row_set_add(&set, id);
		for (uint64_t id = 0; id < 200000; id++)
			found += lh_row_set_has(&set, id);
		LH_EQ_INT(found, added);
		LH_EQ_INT(set.n, added);
		LH_CHECK(set.failed == (added < 66667));
		lh_row_set_free(&set);
	}
}
