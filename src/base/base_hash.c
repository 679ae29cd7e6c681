/*
 * base_hash.c
 *	  xxHash64, as bloom filters of Parquet files use it.
 *
 * Written from the algorithm's description ("xxHash fast digest algorithm",
 * XXH64): four accumulators over 32-byte stripes, then the tail in words of
 * 8, 4 and 1 bytes, then the final mixing.
 */
#include "base/base.h"

#define PRIME1	UINT64_C(0x9E3779B185EBCA87)
#define PRIME2	UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME3	UINT64_C(0x165667B19E3779F9)
#define PRIME4	UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME5	UINT64_C(0x27D4EB2F165667C5)

static inline uint64_t
rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline uint64_t
round_of(uint64_t acc, uint64_t lane)
{
	return rotate(acc + lane * PRIME2, 31) * PRIME1;
}

static inline uint64_t
merge(uint64_t hash, uint64_t acc)
{
	return (hash ^ round_of(0, acc)) * PRIME1 + PRIME4;
}

static uint64_t
stripes(const uint8_t **pos, const uint8_t *end, uint64_t seed)
{
	const uint8_t *p = *pos;
	uint64_t	acc[4] = {seed + PRIME1 + PRIME2, seed + PRIME2, seed, seed - PRIME1};
	uint64_t	hash;

	for (; end - p >= 32; p += 32)
		for (int i = 0; i < 4; i++)
			acc[i] = round_of(acc[i], lh_get_u64le(p + 8 * i));
	hash = rotate(acc[0], 1) + rotate(acc[1], 7) + rotate(acc[2], 12) + rotate(acc[3], 18);
	for (int i = 0; i < 4; i++)
		hash = merge(hash, acc[i]);
	*pos = p;
	return hash;
}

uint64_t
lh_xxh64(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	const uint8_t *end = p + len;
	uint64_t	hash = len >= 32 ? stripes(&p, end, seed) : seed + PRIME5;

	hash += len;
	for (; end - p >= 8; p += 8)
		hash = rotate(hash ^ round_of(0, lh_get_u64le(p)), 27) * PRIME1 + PRIME4;
	if (end - p >= 4)
	{
		hash = rotate(hash ^ lh_get_u32le(p) * PRIME1, 23) * PRIME2 + PRIME3;
		p += 4;
	}
	for (; p < end; p++)
		hash = rotate(hash ^ *p * PRIME5, 11) * PRIME1;

	hash = (hash ^ hash >> 33) * PRIME2;
	hash = (hash ^ hash >> 29) * PRIME3;
	return hash ^ hash >> 32;
}
