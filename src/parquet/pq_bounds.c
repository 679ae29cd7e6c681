/*
 * pq_bounds.c
 *	  Smallest and largest value of a page, cut to a bounded length so that
 *	  they still contain every value.
 *
 * NaN is left out; a zero is written as -0 below and +0 above.  Spec:
 * parquet.thrift (Statistics, ColumnIndex).
 */
#include "parquet/writer_int.h"

#include <string.h>

static void
set_fixed(LhPqBounds *b, const void *min, const void *max, size_t len)
{
	memcpy(b->min, min, len);
	memcpy(b->max, max, len);
	b->min_len = b->max_len = (uint8_t) len;
	b->has_min = b->has_max = b->min_exact = b->max_exact = true;
}

/* ---- numbers ---- */

#define INTEGER_RANGE(name, type) \
static void \
name(const uint8_t *plain, size_t n, LhPqBounds *b) \
{ \
	type		min; \
	type		max; \
	\
	memcpy(&min, plain, sizeof(type)); \
	max = min; \
	for (size_t i = 1; i < n; i++) \
	{ \
		type		v; \
	\
		memcpy(&v, plain + i * sizeof(type), sizeof(type)); \
		min = v < min ? v : min; \
		max = v > max ? v : max; \
	} \
	set_fixed(b, &min, &max, sizeof(type)); \
}

INTEGER_RANGE(range_u8, uint8_t)
INTEGER_RANGE(range_i32, int32_t)
INTEGER_RANGE(range_u32, uint32_t)
INTEGER_RANGE(range_i64, int64_t)
INTEGER_RANGE(range_u64, uint64_t)

#define FLOAT_RANGE(name, type) \
static int64_t \
name(const uint8_t *plain, size_t n, LhPqBounds *b) \
{ \
	type		min = 0; \
	type		max = 0; \
	int64_t		nans = 0; \
	bool		any = false; \
	\
	for (size_t i = 0; i < n; i++) \
	{ \
		type		v; \
	\
		memcpy(&v, plain + i * sizeof(type), sizeof(type)); \
		if (v != v) \
			nans++; \
		else if (!any) \
		{ \
			min = max = v; \
			any = true; \
		} \
		else \
		{ \
			min = v < min ? v : min; \
			max = v > max ? v : max; \
		} \
	} \
	if (min == 0) \
		min = (type) -0.0; \
	if (max == 0) \
		max = (type) 0.0; \
	if (any) \
		set_fixed(b, &min, &max, sizeof(type)); \
	return nans; \
}

FLOAT_RANGE(range_float, float)
FLOAT_RANGE(range_double, double)

/* ---- cutting of long bytes ---- */

/* The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence. */
static int32_t
utf8_prefix(const uint8_t *s, int32_t limit)
{
	int32_t		cut = limit;

	for (int i = 0; i < 3 && cut > 0 && (s[cut] & 0xc0) == 0x80; i++)
		cut--;
	/* not UTF-8 after all */
	return (s[cut] & 0xc0) == 0x80 || cut == 0 ? limit : cut;
}

/* Decodes the sequence that ends at s + len; returns where it starts, or -1 if malformed. */
static int32_t
last_code_point(const uint8_t *s, int32_t len, uint32_t *cp)
{
	int32_t		at = len - 1;
	int			n;

	while (at > 0 && len - at < 4 && (s[at] & 0xc0) == 0x80)
		at--;
	n = len - at;
	if (n == 1 && s[at] < 0x80)
		*cp = s[at];
	else if (n == 2 && s[at] >= 0xc2 && s[at] < 0xe0)
		*cp = (uint32_t) (s[at] & 0x1f) << 6 | (s[at + 1] & 0x3f);
	else if (n == 3 && (s[at] & 0xf0) == 0xe0)
		*cp = (uint32_t) (s[at] & 0x0f) << 12 | (uint32_t) (s[at + 1] & 0x3f) << 6 | (s[at + 2] & 0x3f);
	else if (n == 4 && s[at] >= 0xf0 && s[at] < 0xf5)
		*cp = (uint32_t) (s[at] & 0x07) << 18 | (uint32_t) (s[at + 1] & 0x3f) << 12 |
			(uint32_t) (s[at + 2] & 0x3f) << 6 | (s[at + 3] & 0x3f);
	else
		return -1;
	return at;
}

static int32_t
put_code_point(uint8_t *s, uint32_t cp)
{
	if (cp < 0x80)
	{
		s[0] = (uint8_t) cp;
		return 1;
	}
	if (cp < 0x800)
	{
		s[0] = (uint8_t) (0xc0 | cp >> 6);
		s[1] = (uint8_t) (0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000)
	{
		s[0] = (uint8_t) (0xe0 | cp >> 12);
		s[1] = (uint8_t) (0x80 | (cp >> 6 & 0x3f));
		s[2] = (uint8_t) (0x80 | (cp & 0x3f));
		return 3;
	}
	s[0] = (uint8_t) (0xf0 | cp >> 18);
	s[1] = (uint8_t) (0x80 | (cp >> 12 & 0x3f));
	s[2] = (uint8_t) (0x80 | (cp >> 6 & 0x3f));
	s[3] = (uint8_t) (0x80 | (cp & 0x3f));
	return 4;
}

/* The least string of whole code points above every string that starts with s; 0: none. */
static int32_t
increment_utf8(uint8_t *s, int32_t len)
{
	while (len > 0)
	{
		uint32_t	cp;
		int32_t		at = last_code_point(s, len, &cp);

		if (at < 0)
			return -1;
		if (cp < 0x10ffff)
			/* surrogates are not characters */
			return at + put_code_point(s + at, cp == 0xd7ff ? 0xe000 : cp + 1);
		len = at;
	}
	return 0;
}

static int32_t
increment_bytes(uint8_t *s, int32_t len)
{
	for (; len > 0; len--)
		if (s[len - 1] < 0xff)
		{
			s[len - 1]++;
			return len;
		}
	return 0;
}

static bool
is_text(const LhPqNode *node)
{
	return node->logical == LH_PQ_STRING || node->logical == LH_PQ_ENUM || node->logical == LH_PQ_JSON;
}

static void
set_bytes(const LhPqLeaf *leaf, LhPqBytes min, LhPqBytes max, LhPqBounds *b)
{
	bool		text = is_text(leaf->node);
	int32_t		len = min.len;

	/* a cut decimal would be another number */
	if (leaf->order == LH_PQ_ORDER_DECIMAL &&
		(min.len > LH_PQ_BOUND_BYTES || max.len > LH_PQ_BOUND_BYTES))
		return;
	if (len > LH_PQ_BOUND_BYTES)
		len = text ? utf8_prefix(min.data, LH_PQ_BOUND_BYTES) : LH_PQ_BOUND_BYTES;
	memcpy(b->min, min.data, (size_t) len);
	b->min_len = (uint8_t) len;
	b->min_exact = len == min.len;
	b->has_min = true;

	len = max.len;
	b->max_exact = len <= LH_PQ_BOUND_BYTES;
	if (!b->max_exact)
		len = text ? utf8_prefix(max.data, LH_PQ_BOUND_BYTES) : LH_PQ_BOUND_BYTES;
	memcpy(b->max, max.data, (size_t) len);
	if (!b->max_exact)
	{
		int32_t		cut = text ? increment_utf8(b->max, len) : -1;

		if (cut < 0)
		{
			memcpy(b->max, max.data, LH_PQ_BOUND_BYTES);
			cut = increment_bytes(b->max, LH_PQ_BOUND_BYTES);
		}
		if (cut == 0)
			return;
		len = cut;
	}
	b->max_len = (uint8_t) len;
	b->has_max = true;
}

/* ---- bytes ---- */

static void
widen(LhPqOrder order, LhPqBytes v, LhPqBytes *min, LhPqBytes *max)
{
	if (min->data == NULL)
		*min = *max = v;
	else if (lh_pq_order_compare(order, v, *min) < 0)
		*min = v;
	else if (lh_pq_order_compare(order, v, *max) > 0)
		*max = v;
}

/* Looks at each distinct value of the page once: `seen` holds the last page it was met in. */
static void
range_of_dict(LhPqLeaf *leaf, const uint32_t *indices, LhPqBytes *min, LhPqBytes *max)
{
	uint32_t   *seen = (uint32_t *) leaf->dict.seen.data;
	uint32_t	page = leaf->n_pages + 1;

	for (int64_t i = 0; i < leaf->page_values; i++)
	{
		if (seen[indices[i]] == page)
			continue;
		seen[indices[i]] = page;
		widen(leaf->order, lh_pq_dict_value(&leaf->dict, indices[i]), min, max);
	}
}

static int64_t
range_of_bytes(const LhPqLeaf *leaf, LhPqBytes *min, LhPqBytes *max)
{
	const uint8_t *p = leaf->plain.data;
	int64_t		nans = 0;

	for (int64_t i = 0; i < leaf->page_values; i++)
	{
		LhPqBytes	v = {p, leaf->width};

		if (leaf->width == 0)
		{
			v.len = (int32_t) lh_get_u32le(p);
			v.data = p + 4;
		}
		p = v.data + v.len;
		if (leaf->order == LH_PQ_ORDER_FLOAT16 && lh_pq_order_is_nan(leaf->order, v))
			nans++;
		else
			widen(leaf->order, v, min, max);
	}
	return nans;
}

/* Both zeros are one value to a half float's order; the bounds must contain either. */
static void
settle_half(LhPqBounds *b)
{
	if (b->has_min && b->min[0] == 0 && (b->min[1] & 0x7f) == 0)
		b->min[1] = 0x80;
	if (b->has_max && b->max[0] == 0 && (b->max[1] & 0x7f) == 0)
		b->max[1] = 0;
}

void
lh_pq_page_bounds(LhPqLeaf *leaf, const uint32_t *indices, LhPqBounds *b, int64_t *nans)
{
	const uint8_t *plain = leaf->plain.data;
	size_t		n = (size_t) leaf->page_values;
	LhPqBytes	min = {NULL, 0};
	LhPqBytes	max = {NULL, 0};

	b->has_min = b->has_max = b->min_exact = b->max_exact = false;
	b->min_len = b->max_len = 0;
	*nans = 0;
	if (n == 0)
		return;
	switch (leaf->order)
	{
		case LH_PQ_ORDER_NONE:
			return;
		case LH_PQ_ORDER_BOOL:
			range_u8(plain, n, b);
			return;
		case LH_PQ_ORDER_I32:
			range_i32(plain, n, b);
			return;
		case LH_PQ_ORDER_U32:
			range_u32(plain, n, b);
			return;
		case LH_PQ_ORDER_I64:
			range_i64(plain, n, b);
			return;
		case LH_PQ_ORDER_U64:
			range_u64(plain, n, b);
			return;
		case LH_PQ_ORDER_FLOAT:
			*nans = range_float(plain, n, b);
			return;
		case LH_PQ_ORDER_DOUBLE:
			*nans = range_double(plain, n, b);
			return;
		case LH_PQ_ORDER_FLOAT16:
		case LH_PQ_ORDER_BYTES:
		case LH_PQ_ORDER_DECIMAL:
			break;
	}
	if (indices != NULL && leaf->order != LH_PQ_ORDER_FLOAT16)
		range_of_dict(leaf, indices, &min, &max);
	else
		*nans = range_of_bytes(leaf, &min, &max);
	if (min.data != NULL)
		set_bytes(leaf, min, max, b);
	if (leaf->order == LH_PQ_ORDER_FLOAT16)
		settle_half(b);
}

/* ---- merging ---- */

void
lh_pq_bounds_merge(LhPqOrder order, LhPqBounds *into, const LhPqBounds *from)
{
	if (from->has_min)
	{
		LhPqBytes	a = {into->min, into->min_len};
		LhPqBytes	b = {from->min, from->min_len};
		int			c = into->has_min ? lh_pq_order_compare(order, b, a) : -1;

		if (c < 0)
			memcpy(into->min, from->min, from->min_len);
		if (c < 0)
			into->min_len = from->min_len;
		/* of equal bounds the exact one is a value */
		into->min_exact = c < 0 ? from->min_exact : c == 0 ? into->min_exact || from->min_exact : into->min_exact;
		into->has_min = true;
	}
	if (from->has_max)
	{
		LhPqBytes	a = {into->max, into->max_len};
		LhPqBytes	b = {from->max, from->max_len};
		int			c = into->has_max ? lh_pq_order_compare(order, b, a) : 1;

		if (c > 0)
			memcpy(into->max, from->max, from->max_len);
		if (c > 0)
			into->max_len = from->max_len;
		into->max_exact = c > 0 ? from->max_exact : c == 0 ? into->max_exact || from->max_exact : into->max_exact;
		into->has_max = true;
	}
}
