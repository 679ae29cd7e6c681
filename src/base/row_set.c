/*
 * row_set.c
 *	  Sets of row ids that may be as large as a table: a bit for each row where
 *	  ids are dense, two bytes for each id where they are not.
 *
 * Ids are kept by the 65,536, as Roaring bitmaps do: a chunk is an ascending
 * list of the lower 16 bits, or, once that would be longer, a bitmap.  Chunks
 * are ordered by the upper bits.  Adding is fast in ascending order, and right
 * in any.
 */
#include <string.h>

#include "base/base.h"

#define CHUNK_BITS	16
#define CHUNK_IDS	(1 << CHUNK_BITS)
#define N_WORDS		(CHUNK_IDS / 64)
#define MAX_LIST	(CHUNK_IDS / 16)	/* ids that take as much room as a bitmap */

struct LhRowSetChunk
{
	uint64_t	key;			/* upper bits of its ids */
	int32_t		n;
	int32_t		max;			/* room in the list; 0: a bitmap */
	union
	{
		uint16_t   *list;
		uint64_t   *bits;
	};
};

typedef struct LhRowSetChunk Chunk;

void
lh_row_set_init(LhRowSet *set, const LhAlloc *alloc)
{
	memset(set, 0, sizeof(*set));
	set->alloc = *alloc;
}

void
lh_row_set_free(LhRowSet *set)
{
	for (int i = 0; i < set->n_chunks; i++)
		lh_free(&set->alloc, set->chunks[i].list);
	lh_free(&set->alloc, set->chunks);
	lh_row_set_init(set, &set->alloc);
}

/* The first chunk whose key is not below. */
static int
find_chunk(const LhRowSet *set, uint64_t key)
{
	int			low = 0;
	int			high = set->n_chunks;

	/* mostly the one before is asked for again, or the next one */
	if (set->last < high && set->chunks[set->last].key <= key)
	{
		low = set->last + (set->chunks[set->last].key < key);
		if (low == high || set->chunks[low].key >= key)
			return low;
	}
	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (set->chunks[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int
find_in_list(const Chunk *chunk, uint16_t id)
{
	int			low = 0;
	int			high = chunk->n;

	if (high > 0 && chunk->list[high - 1] < id)
		return high;
	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (chunk->list[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
has_bit(const uint64_t *bits, uint16_t id)
{
	return bits[id / 64] >> (id % 64) & 1;
}

static bool
insert_chunk(LhRowSet *set, int at, uint64_t key)
{
	Chunk		chunk = {.key = key, .max = 4};

	if (set->n_chunks == set->max_chunks)
	{
		int			max = set->max_chunks > 0 ? set->max_chunks * 2 : 4;
		Chunk	   *chunks = lh_realloc(&set->alloc, set->chunks, sizeof(Chunk) * (size_t) max);

		if (chunks == NULL)
			return false;
		set->chunks = chunks;
		set->max_chunks = max;
	}
	chunk.list = lh_alloc(&set->alloc, sizeof(uint16_t) * (size_t) chunk.max);
	if (chunk.list == NULL)
		return false;
	memmove(set->chunks + at + 1, set->chunks + at, sizeof(Chunk) * (size_t) (set->n_chunks - at));
	set->chunks[at] = chunk;
	set->n_chunks++;
	return true;
}

/* Makes room for one more id; a full list becomes a bitmap. */
static bool
grow_chunk(const LhAlloc *alloc, Chunk *chunk)
{
	uint64_t   *bits;

	if (chunk->max < MAX_LIST)
	{
		uint16_t   *list = lh_realloc(alloc, chunk->list, sizeof(uint16_t) * (size_t) chunk->max * 2);

		if (list == NULL)
			return false;
		chunk->list = list;
		chunk->max *= 2;
		return true;
	}
	bits = lh_alloc_zero(alloc, sizeof(uint64_t) * N_WORDS);
	if (bits == NULL)
		return false;
	for (int i = 0; i < chunk->n; i++)
		bits[chunk->list[i] / 64] |= UINT64_C(1) << (chunk->list[i] % 64);
	lh_free(alloc, chunk->list);
	chunk->bits = bits;
	chunk->max = 0;
	return true;
}

/* False: it is there, or there is no memory. */
static bool
add_to_chunk(LhRowSet *set, Chunk *chunk, uint16_t id)
{
	int			at;

	if (chunk->max > 0)
	{
		at = find_in_list(chunk, id);
		if (at < chunk->n && chunk->list[at] == id)
			return false;
		if (chunk->n < chunk->max || (grow_chunk(&set->alloc, chunk) && chunk->max > 0))
		{
			memmove(chunk->list + at + 1, chunk->list + at, sizeof(uint16_t) * (size_t) (chunk->n - at));
			chunk->list[at] = id;
			chunk->n++;
			return true;
		}
		if (chunk->max > 0)
		{
			set->failed = true;
			return false;
		}
	}
	else if (has_bit(chunk->bits, id))
		return false;
	chunk->bits[id / 64] |= UINT64_C(1) << (id % 64);
	chunk->n++;
	return true;
}

bool
lh_row_set_add(LhRowSet *set, uint64_t id)
{
	uint64_t	key = id >> CHUNK_BITS;
	int			at;

	if (set->failed)
		return false;
	at = find_chunk(set, key);
	if ((at == set->n_chunks || set->chunks[at].key != key) && !insert_chunk(set, at, key))
	{
		set->failed = true;
		return false;
	}
	set->last = at;
	if (!add_to_chunk(set, &set->chunks[at], (uint16_t) id))
		return false;
	set->n++;
	return true;
}

bool
lh_row_set_has(LhRowSet *set, uint64_t id)
{
	uint64_t	key = id >> CHUNK_BITS;
	int			at = find_chunk(set, key);
	const Chunk *chunk;

	if (at == set->n_chunks)
		return false;
	set->last = at;
	chunk = &set->chunks[at];
	if (chunk->key != key)
		return false;
	if (chunk->max == 0)
		return has_bit(chunk->bits, (uint16_t) id);
	at = find_in_list(chunk, (uint16_t) id);
	return at < chunk->n && chunk->list[at] == (uint16_t) id;
}

/* ---- in order ---- */

LhRowSetScan
lh_row_set_scan(const LhRowSet *set, uint64_t first)
{
	LhRowSetScan scan = {.set = set, .chunk = find_chunk(set, first >> CHUNK_BITS)};
	const Chunk *chunk;

	if (scan.chunk < set->n_chunks)
	{
		chunk = &set->chunks[scan.chunk];
		if (chunk->key == first >> CHUNK_BITS)
			scan.at = chunk->max > 0 ? find_in_list(chunk, (uint16_t) first) : (uint16_t) first;
	}
	return scan;
}

bool
lh_row_set_next(LhRowSetScan *scan, uint64_t *id)
{
	for (; scan->chunk < scan->set->n_chunks; scan->chunk++, scan->at = 0)
	{
		const Chunk *chunk = &scan->set->chunks[scan->chunk];

		if (chunk->max > 0 && scan->at < chunk->n)
		{
			*id = chunk->key << CHUNK_BITS | chunk->list[scan->at++];
			return true;
		}
		while (chunk->max == 0 && scan->at < CHUNK_IDS)
		{
			uint64_t	rest = chunk->bits[scan->at / 64] >> (scan->at % 64);

			if (rest != 0)
			{
				scan->at += __builtin_ctzll(rest);
				*id = chunk->key << CHUNK_BITS | (uint64_t) scan->at++;
				return true;
			}
			scan->at = (scan->at / 64 + 1) * 64;
		}
	}
	return false;
}

int64_t
lh_row_set_take(LhRowSetScan *scan, uint64_t *ids, int64_t max)
{
	int64_t		n = 0;

	while (n < max && lh_row_set_next(scan, &ids[n]))
		n++;
	return n;
}
