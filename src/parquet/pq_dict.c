/*
 * pq_dict.c
 *	  Builds dictionaries: an open-addressing hash over the values themselves,
 *	  a page at a time, without an allocation per value.
 *
 * Values are equal when their bytes are; so -0 and +0, and NaNs with
 * different bits, are kept apart.  Spec: Encodings.md (RLE_DICTIONARY).
 */
#include "parquet/encode_int.h"

#include <string.h>

#define FIRST_SLOTS	1024

void
lh_pq_dict_init(LhPqDict *dict, int width, const LhAlloc *alloc)
{
	memset(dict, 0, sizeof(*dict));
	dict->alloc = alloc;
	dict->width = width;
	lh_buf_init(&dict->plain, alloc);
	lh_buf_init(&dict->starts, alloc);
	lh_buf_init(&dict->seen, alloc);
}

void
lh_pq_dict_free(LhPqDict *dict)
{
	lh_buf_free(&dict->plain);
	lh_buf_free(&dict->starts);
	lh_buf_free(&dict->seen);
	lh_free(dict->alloc, dict->slots);
	dict->slots = NULL;
	dict->n = dict->n_slots = 0;
}

void
lh_pq_dict_cut(LhPqDict *dict, uint32_t n)
{
	if (n < dict->n && dict->width > 0)
		dict->plain.len = (size_t) n * (size_t) dict->width;
	else if (n < dict->n)
		dict->plain.len = ((const uint32_t *) dict->starts.data)[n];
	dict->n = n;
	lh_free(dict->alloc, dict->slots);
	dict->slots = NULL;
	dict->n_slots = 0;
	lh_buf_free(&dict->starts);
	lh_buf_free(&dict->seen);
}

/* ---- hash ---- */

#define MIX	UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t
mix(uint64_t h, uint64_t v)
{
	unsigned __int128 m = (unsigned __int128) (h ^ v) * MIX;

	return (uint64_t) m ^ (uint64_t) (m >> 64);
}

static inline uint64_t
load_u64(const uint8_t *p)
{
	uint64_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
load_u32(const uint8_t *p)
{
	uint32_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
hash_bytes(const uint8_t *p, size_t len)
{
	uint64_t	h = len * MIX;

	for (; len > 8; p += 8, len -= 8)
		h = mix(h, load_u64(p));
	if (len >= 4)
		h = mix(h, load_u32(p) | (uint64_t) load_u32(p + len - 4) << 32);
	else if (len > 0)
		h = mix(h, p[0] | (uint64_t) p[len / 2] << 8 | (uint64_t) p[len - 1] << 16);
	return (uint32_t) (h >> 32);
}

static inline uint32_t
hash_fixed(const uint8_t *p, int width)
{
	if (width == 4)
		return (uint32_t) (mix(0, load_u32(p)) >> 32);
	if (width == 8)
		return (uint32_t) (mix(0, load_u64(p)) >> 32);
	return hash_bytes(p, (size_t) width);
}

/* Doubles the slots.  The 32 bits of hash kept there are all that is needed. */
static bool
grow(LhPqDict *dict)
{
	uint32_t	n_slots = dict->n_slots > 0 ? dict->n_slots * 2 : FIRST_SLOTS;
	uint64_t   *slots = lh_alloc_zero(dict->alloc, n_slots * sizeof(uint64_t));

	if (slots == NULL)
		return false;
	for (uint32_t i = 0; i < dict->n_slots; i++)
	{
		uint32_t	at;

		if (dict->slots[i] == 0)
			continue;
		at = (uint32_t) (dict->slots[i] >> 32) & (n_slots - 1);
		while (slots[at] != 0)
			at = (at + 1) & (n_slots - 1);
		slots[at] = dict->slots[i];
	}
	lh_free(dict->alloc, dict->slots);
	dict->slots = slots;
	dict->n_slots = n_slots;
	return true;
}

/* ---- mapping ---- */

static bool
add(LhPqDict *dict, uint32_t slot, uint32_t hash, const uint8_t *p, size_t len)
{
	uint32_t	zero = 0;

	if (dict->width == 0)
	{
		uint32_t	start = (uint32_t) dict->plain.len;

		if (!lh_buf_append(&dict->starts, &start, sizeof(start)))
			return false;
	}
	if (!lh_buf_append(&dict->plain, p, len) || !lh_buf_append(&dict->seen, &zero, sizeof(zero)))
		return false;
	dict->n++;
	dict->slots[slot] = (uint64_t) hash << 32 | dict->n;
	return dict->n < dict->n_slots / 2 || grow(dict);
}

/*
 * The number of value p, whose PLAIN form has `len` bytes, added when it is
 * new; UINT32_MAX without memory.  Inlined with a constant width.
 */
static inline __attribute__((always_inline)) uint32_t
find_or_add(LhPqDict *dict, const uint8_t *p, size_t len, int width)
{
	uint32_t	hash = width > 0 ? hash_fixed(p, width) : hash_bytes(p + 4, len - 4);
	uint32_t	mask = dict->n_slots - 1;
	uint32_t	slot = hash & mask;

	for (;; slot = (slot + 1) & mask)
	{
		uint64_t	entry = dict->slots[slot];
		uint32_t	number = (uint32_t) entry - 1;
		const uint8_t *known;

		if (entry == 0)
			return add(dict, slot, hash, p, len) ? dict->n - 1 : UINT32_MAX;
		if ((uint32_t) (entry >> 32) != hash)
			continue;
		if (width == 0)
		{
			known = dict->plain.data + ((const uint32_t *) dict->starts.data)[number];
			if (load_u32(known) == load_u32(p) && memcmp(known + 4, p + 4, len - 4) == 0)
				return number;
		}
		else
		{
			known = dict->plain.data + (size_t) number * (size_t) width;
			if (width == 4 ? load_u32(known) == load_u32(p) :
				width == 8 ? load_u64(known) == load_u64(p) :
				memcmp(known, p, (size_t) width) == 0)
				return number;
		}
	}
}

static inline __attribute__((always_inline)) bool
map_values(LhPqDict *dict, const uint8_t *p, size_t n, size_t max_bytes, int width,
		   uint32_t *indices, size_t *done)
{
	size_t		i;

	for (i = 0; i < n && dict->plain.len <= max_bytes; i++)
	{
		size_t		len = width > 0 ? (size_t) width : 4 + (size_t) lh_get_u32le(p);

		indices[i] = find_or_add(dict, p, len, width);
		if (indices[i] == UINT32_MAX)
			return false;
		p += len;
	}
	*done = i;
	return true;
}

bool
lh_pq_dict_map(LhPqDict *dict, const uint8_t *plain, size_t n, size_t max_bytes,
			   uint32_t *indices, size_t *done)
{
	/* offsets into the dictionary have 32 bits, and one value may lie beyond the limit */
	if (max_bytes > INT32_MAX)
		max_bytes = INT32_MAX;
	if (dict->slots == NULL && !grow(dict))
		return false;
	switch (dict->width)
	{
		case 0:
			return map_values(dict, plain, n, max_bytes, 0, indices, done);
		case 4:
			return map_values(dict, plain, n, max_bytes, 4, indices, done);
		case 8:
			return map_values(dict, plain, n, max_bytes, 8, indices, done);
		default:
			return map_values(dict, plain, n, max_bytes, dict->width, indices, done);
	}
}

/* ---- zeros ---- */

/*
 * -0 equals +0, but who looks for a value in a dictionary, to pass over row
 * groups without it, may look for its bytes (Iceberg for Java does): where one
 * zero is, both must be found.
 */
bool
lh_pq_dict_pair_zeros(LhPqDict *dict)
{
	size_t		width = (size_t) dict->width;
	bool		has[2] = {false, false};

	for (uint32_t i = 0; i < dict->n; i++)
		for (int z = 0; z < 2; z++)
			has[z] |= memcmp(dict->plain.data + i * width, lh_pq_zero(width, z), width) == 0;
	if (has[0] == has[1])
		return true;
	dict->n++;
	return lh_buf_append(&dict->plain, lh_pq_zero(width, has[0]), width);
}
