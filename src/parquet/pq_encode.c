/*
 * pq_encode.c
 *	  The encodings of levels, dictionary indices and integers: RLE and
 *	  bit-packing hybrid, DELTA_BINARY_PACKED.
 *
 * Spec: parquet-format, Encodings.md.
 */
#include "parquet/encode_int.h"

#include <string.h>

/* ---- RLE / bit-packing hybrid ---- */

typedef struct Source
{
	const uint8_t *bytes;		/* one of the two is set */
	const uint32_t *words;
} Source;

static inline uint32_t
at(Source s, size_t i)
{
	return s.bytes != NULL ? s.bytes[i] : s.words[i];
}

/* How many values from i on equal the one at i. */
static inline size_t
run_at(Source s, size_t i, size_t n)
{
	uint32_t	v = at(s, i);
	size_t		k = i + 1;

	if (s.bytes != NULL)
	{
		uint64_t	wide = v * UINT64_C(0x0101010101010101);

		while (k + 8 <= n && lh_get_u64le(s.bytes + k) == wide)
			k += 8;
	}
	while (k < n && at(s, k) == v)
		k++;
	return k - i;
}

/*
 * A run has to be this long to end a bit-packed one: it costs two headers.
 * Narrow values pay off later.
 */
static size_t
shortest_run(int width)
{
	return width >= 8 ? 8 : width >= 4 ? 16 : 32;
}

/* Packs values [from, to) (a multiple of 8, padded with zeros) into *p. */
static inline void
pack(uint8_t **p, Source s, size_t from, size_t to, size_t n, int width)
{
	uint64_t	acc = 0;
	int			bits = 0;
	uint8_t    *out = *p;

	for (size_t i = from; i < to; i++)
	{
		acc |= (uint64_t) (i < n ? at(s, i) : 0) << bits;
		bits += width;
		if (bits >= 32)
		{
			lh_put_u32le(out, (uint32_t) acc);
			out += 4;
			acc >>= 32;
			bits -= 32;
		}
	}
	for (; bits > 0; bits -= 8, acc >>= 8)
		*out++ = (uint8_t) acc;
	*p = out;
}

static inline uint8_t *
put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t) (v | 0x80);
	*p++ = (uint8_t) v;
	return p;
}

static inline uint8_t *
put_packed(uint8_t *p, Source s, size_t from, size_t to, size_t n, int width)
{
	size_t		groups = (to - from + 7) / 8;

	if (groups == 0)
		return p;
	p = put_varint(p, groups << 1 | 1);
	pack(&p, s, from, from + groups * 8, n, width);
	return p;
}

/* Always inlined, so that `s` is known to be of one kind. */
static inline __attribute__((always_inline)) bool
encode_hybrid(LhBuf *buf, Source s, size_t n, int width)
{
	size_t		min_run = shortest_run(width);
	size_t		packed_from = 0;
	size_t		i = 0;
	uint8_t    *p;

	/* at worst everything is packed, with a header for each min_run + 8 values */
	if (!lh_buf_reserve(buf, (n + 8) / 8 * (size_t) width + n / 8 * 2 + 32))
		return false;
	p = buf->data + buf->len;
	while (i < n)
	{
		size_t		run = run_at(s, i, n);

		/* the end may be one short run, if nothing waits to be packed with it */
		if (run < min_run && !(i + run == n && packed_from == i))
		{
			i += 8;
			continue;
		}
		p = put_packed(p, s, packed_from, i, n, width);
		p = put_varint(p, (uint64_t) run << 1);
		for (int k = 0; k < width; k += 8)
			*p++ = (uint8_t) (at(s, i) >> k);
		i += run;
		packed_from = i;
	}
	if (packed_from < n)
		p = put_packed(p, s, packed_from, n, n, width);
	buf->len = (size_t) (p - buf->data);
	return true;
}

bool
lh_pq_hybrid_levels(LhBuf *buf, const uint8_t *levels, size_t n, int width)
{
	return encode_hybrid(buf, (Source) {levels, NULL}, n, width);
}

bool
lh_pq_hybrid_indices(LhBuf *buf, const uint32_t *indices, size_t n, int width)
{
	return encode_hybrid(buf, (Source) {NULL, indices}, n, width);
}

/* ---- DELTA_BINARY_PACKED ---- */

#define BLOCK		128
#define MINIBLOCKS	4
#define MINIBLOCK	(BLOCK / MINIBLOCKS)

static inline uint64_t
plain_at(const uint8_t *plain, size_t i, int width)
{
	return width == 4 ? (uint64_t) (int64_t) (int32_t) lh_get_u32le(plain + 4 * i)
		: lh_get_u64le(plain + 8 * i);
}

static void
pack_wide(LhBuf *buf, const uint64_t *v, int width)
{
	uint8_t    *out = buf->data + buf->len;
	unsigned __int128 acc = 0;
	int			bits = 0;

	for (int i = 0; i < MINIBLOCK; i++)
	{
		acc |= (unsigned __int128) v[i] << bits;
		bits += width;
		if (bits >= 64)
		{
			lh_put_u64le(out, (uint64_t) acc);
			out += 8;
			acc >>= 64;
			bits -= 64;
		}
	}
	/* 32 values of any width end on 4 bytes */
	if (bits > 0)
	{
		lh_put_u32le(out, (uint32_t) acc);
		out += 4;
	}
	buf->len = (size_t) (out - buf->data);
}

/* Writes n (1..BLOCK) deltas; those of 4-byte values wrap in 32 bits, as readers add them. */
static bool
delta_block(LhBuf *buf, uint64_t *deltas, size_t n, int width)
{
	int64_t		min = INT64_MAX;
	int			widths[MINIBLOCKS] = {0};

	for (size_t i = 0; i < n; i++)
	{
		if (width == 4)
			deltas[i] = (uint64_t) (int64_t) (int32_t) (uint32_t) deltas[i];
		if ((int64_t) deltas[i] < min)
			min = (int64_t) deltas[i];
	}
	if (!lh_buf_reserve(buf, 10 + MINIBLOCKS + BLOCK * 8))
		return false;
	for (size_t i = 0; i < n; i++)
	{
		uint64_t	d;

		deltas[i] -= (uint64_t) min;
		d = deltas[i];
		if (d != 0 && 64 - __builtin_clzll(d) > widths[i / MINIBLOCK])
			widths[i / MINIBLOCK] = 64 - __builtin_clzll(d);
	}
	memset(deltas + n, 0, (BLOCK - n) * sizeof(uint64_t));
	lh_buf_varint(buf, lh_zigzag(min));
	for (int m = 0; m < MINIBLOCKS; m++)
		lh_buf_u8(buf, (uint8_t) widths[m]);
	for (size_t m = 0; m * MINIBLOCK < n; m++)
		if (widths[m] > 0)
			pack_wide(buf, deltas + m * MINIBLOCK, widths[m]);
	return true;
}

bool
lh_pq_delta_encode(LhBuf *buf, const uint8_t *plain, size_t n, int width)
{
	uint64_t	deltas[BLOCK];
	uint64_t	previous = n > 0 ? plain_at(plain, 0, width) : 0;

	lh_buf_varint(buf, BLOCK);
	lh_buf_varint(buf, MINIBLOCKS);
	lh_buf_varint(buf, n);
	lh_buf_varint(buf, lh_zigzag((int64_t) previous));
	for (size_t i = 1; i < n;)
	{
		size_t		k = 0;

		for (; k < BLOCK && i < n; i++, k++)
		{
			uint64_t	v = plain_at(plain, i, width);

			deltas[k] = v - previous;
			previous = v;
		}
		if (!delta_block(buf, deltas, k, width))
			return false;
	}
	return !buf->failed;
}
