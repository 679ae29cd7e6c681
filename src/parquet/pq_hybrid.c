/*
 * pq_hybrid.c
 *	  Reads the RLE / bit-packing hybrid: levels, dictionary indices, booleans.
 *
 * Spec: parquet-format, Encodings.md.
 */
#include "parquet/decode_int.h"

#include <string.h>

/* ---- bit unpacking ---- */

static inline uint64_t
load_u64(const uint8_t *p)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
#else
	return lh_get_u64le(p);
#endif
}

/* One value at a constant place: the shift and mask are constants too. */
#define ONE(w, i) \
	out[i] = (uint32_t) (load_u64(p + (i) * (w) / 8) >> ((i) * (w) % 8)) & (uint32_t) ((UINT64_C(1) << (w)) - 1);

/* Reads up to 8 bytes behind each group. */
#define UNPACK(w) \
static void \
unpack_##w(const uint8_t *p, size_t groups, uint32_t *out) \
{ \
	for (; groups > 0; groups--, p += (w), out += 8) \
	{ \
		ONE(w, 0) ONE(w, 1) ONE(w, 2) ONE(w, 3) ONE(w, 4) ONE(w, 5) ONE(w, 6) ONE(w, 7) \
	} \
}

UNPACK(1) UNPACK(2) UNPACK(3) UNPACK(4) UNPACK(5) UNPACK(6) UNPACK(7) UNPACK(8)
UNPACK(9) UNPACK(10) UNPACK(11) UNPACK(12) UNPACK(13) UNPACK(14) UNPACK(15) UNPACK(16)
UNPACK(17) UNPACK(18) UNPACK(19) UNPACK(20) UNPACK(21) UNPACK(22) UNPACK(23) UNPACK(24)
UNPACK(25) UNPACK(26) UNPACK(27) UNPACK(28) UNPACK(29) UNPACK(30) UNPACK(31) UNPACK(32)

static void (*const unpackers[33]) (const uint8_t *, size_t, uint32_t *) = {
	NULL, unpack_1, unpack_2, unpack_3, unpack_4, unpack_5, unpack_6, unpack_7, unpack_8,
	unpack_9, unpack_10, unpack_11, unpack_12, unpack_13, unpack_14, unpack_15, unpack_16,
	unpack_17, unpack_18, unpack_19, unpack_20, unpack_21, unpack_22, unpack_23, unpack_24,
	unpack_25, unpack_26, unpack_27, unpack_28, unpack_29, unpack_30, unpack_31, unpack_32
};

void
lh_pq_unpack(const uint8_t *p, size_t groups, int width, uint32_t *out)
{
	uint8_t		last[32 + 8] = {0};
	size_t		safe;

	if (width == 0)
	{
		memset(out, 0, groups * 8 * sizeof(uint32_t));
		return;
	}
	/* the last groups may have less than 8 bytes behind them */
	safe = (size_t) (8 + width - 1) / (size_t) width;
	safe = groups > safe ? groups - safe : 0;
	unpackers[width] (p, safe, out);
	for (size_t g = safe; g < groups; g++)
	{
		memcpy(last, p + g * (size_t) width, (size_t) width);
		unpackers[width] (last, 1, out + g * 8);
	}
}

void
lh_pq_unpack_bits(const uint8_t *p, size_t from, size_t n, uint8_t *out)
{
	size_t		i = 0;

	for (; i < n && (from + i) % 8 != 0; i++)
		out[i] = p[(from + i) / 8] >> ((from + i) % 8) & 1;
	for (; i + 8 <= n; i += 8)
	{
		/* a copy of the byte in each byte, of which each keeps another bit */
		uint64_t	v = p[(from + i) / 8] * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);

		v = (v + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7 & UINT64_C(0x0101010101010101);
		/* the top byte's sum stays below 2^64: 0x80 + 0x7f */
		lh_put_u64le(out + i, v);
	}
	for (; i < n; i++)
		out[i] = p[(from + i) / 8] >> ((from + i) % 8) & 1;
}

/* ---- runs ---- */

void
lh_pq_hybrid_init(LhPqHybrid *h, const uint8_t *data, size_t len, int width)
{
	memset(h, 0, sizeof(*h));
	h->pos = data;
	h->end = data + len;
	h->width = width;
	/* nothing has to be stored for values that can only be 0 */
	if (width == 0)
		h->rle_left = UINT64_MAX;
}

static bool
next_run(LhPqHybrid *h)
{
	LhReader	r;
	uint64_t	head;
	size_t		bytes = (size_t) (h->width + 7) / 8;
	const uint8_t *p;

	lh_reader_init(&r, h->pos, (size_t) (h->end - h->pos));
	if (!lh_read_varint(&r, &head) || head >> 1 == 0)
		return false;
	if (head & 1)
	{
		size_t		left = lh_reader_left(&r);
		uint64_t	groups = head >> 1;

		h->packed = r.pos;
		h->packed_at = 0;
		/* some writers leave out what they would pad the last group with */
		if (groups > left / (size_t) h->width)
			h->packed_n = left * 8 / (size_t) h->width;
		else
			h->packed_n = groups * 8;
		h->pos = groups > left / (size_t) h->width ? h->end : r.pos + groups * (size_t) h->width;
		return h->packed_n > 0;
	}
	if (!lh_read_bytes(&r, bytes, &p))
		return false;
	h->value = 0;
	for (size_t i = 0; i < bytes; i++)
		h->value |= (uint32_t) p[i] << (8 * i);
	h->rle_left = head >> 1;
	h->pos = r.pos;
	return true;
}

size_t
lh_pq_hybrid_peek(LhPqHybrid *h, size_t n, bool *rle, uint32_t *value)
{
	uint64_t	left;

	if (h->rle_left == 0 && h->packed_at >= h->packed_n && !next_run(h))
		return 0;
	*rle = h->rle_left > 0;
	*value = h->value;
	left = *rle ? h->rle_left : h->packed_n - h->packed_at;
	return left < n ? (size_t) left : n;
}

/* One group of a packed run into out[8]; the bytes of the last may be cut short. */
static void
unpack_group(const LhPqHybrid *h, uint64_t group, uint32_t *out)
{
	uint8_t		bytes[32] = {0};
	const uint8_t *p = h->packed + group * (size_t) h->width;
	size_t		left = (size_t) (h->end - p);

	memcpy(bytes, p, left < (size_t) h->width ? left : (size_t) h->width);
	lh_pq_unpack(bytes, 1, h->width, out);
}

static void
take_packed(LhPqHybrid *h, size_t n, uint32_t *out)
{
	uint64_t	at = h->packed_at;
	uint64_t	to = at + n;
	uint32_t	group[8];

	while (at < to)
	{
		size_t		groups = (size_t) ((to - at) / 8);
		size_t		k;

		if (at % 8 == 0 && groups > 0)
		{
			lh_pq_unpack(h->packed + at / 8 * (size_t) h->width, groups, h->width, out);
			k = groups * 8;
		}
		else
		{
			unpack_group(h, at / 8, group);
			for (k = 0; at % 8 + k < 8 && at + k < to; k++)
				out[k] = group[at % 8 + k];
		}
		out += k;
		at += k;
	}
}

void
lh_pq_hybrid_take(LhPqHybrid *h, size_t n, uint32_t *out)
{
	if (h->rle_left > 0)
	{
		if (h->width > 0)
			h->rle_left -= n;
		return;
	}
	if (out != NULL)
		take_packed(h, n, out);
	h->packed_at += n;
}

bool
lh_pq_hybrid_bytes(LhPqHybrid *h, size_t n, uint8_t max, uint8_t *out)
{
	while (n > 0)
	{
		uint32_t	value;
		uint32_t	wide[256];
		uint32_t	largest = 0;
		bool		rle;
		size_t		k = lh_pq_hybrid_peek(h, n, &rle, &value);

		if (k == 0 || (rle && value > max))
			return false;
		if (rle)
		{
			memset(out, (int) value, k);
			lh_pq_hybrid_take(h, k, NULL);
		}
		else if (h->width == 1)
		{
			lh_pq_unpack_bits(h->packed, (size_t) h->packed_at, k, out);
			lh_pq_hybrid_take(h, k, NULL);
		}
		else
		{
			k = k < 256 ? k : 256;
			lh_pq_hybrid_take(h, k, wide);
			for (size_t i = 0; i < k; i++)
			{
				largest |= wide[i] > max;
				out[i] = (uint8_t) wide[i];
			}
			if (largest)
				return false;
		}
		out += k;
		n -= k;
	}
	return true;
}
