/*
 * pq_order.c
 *	  The order of a leaf's values, and bounds that can be trusted.
 *
 * Spec: parquet-format, parquet.thrift (ColumnOrder, Statistics).
 */
#include "parquet/schema_int.h"

#include <string.h>

LhPqOrder
lh_pq_order(const LhPqNode *leaf)
{
	bool		is_unsigned = leaf->logical == LH_PQ_INTEGER && !leaf->is_signed;

	/* what we do not understand has an order that we do not understand */
	if (leaf->is_group || leaf->logical == LH_PQ_OTHER || leaf->logical == LH_PQ_INTERVAL ||
		leaf->logical == LH_PQ_UNKNOWN)
		return LH_PQ_ORDER_NONE;
	switch (leaf->type)
	{
		case LH_PQ_BOOLEAN:
			return LH_PQ_ORDER_BOOL;
		case LH_PQ_INT32:
			return is_unsigned ? LH_PQ_ORDER_U32 : LH_PQ_ORDER_I32;
		case LH_PQ_INT64:
			return is_unsigned ? LH_PQ_ORDER_U64 : LH_PQ_ORDER_I64;
		case LH_PQ_FLOAT:
			return LH_PQ_ORDER_FLOAT;
		case LH_PQ_DOUBLE:
			return LH_PQ_ORDER_DOUBLE;
		case LH_PQ_BYTE_ARRAY:
		case LH_PQ_FLBA:
			if (leaf->logical == LH_PQ_DECIMAL)
				return LH_PQ_ORDER_DECIMAL;
			if (leaf->logical == LH_PQ_FLOAT16)
				return LH_PQ_ORDER_FLOAT16;
			return LH_PQ_ORDER_BYTES;
		case LH_PQ_INT96:
			break;
	}
	return LH_PQ_ORDER_NONE;
}

bool
lh_pq_has_order(const LhPqNode *leaf)
{
	return lh_pq_order(leaf) != LH_PQ_ORDER_NONE;
}

int
lh_pq_compare(const LhPqNode *leaf, LhPqBytes a, LhPqBytes b)
{
	return lh_pq_order_compare(lh_pq_order(leaf), a, b);
}

static float
get_float(const uint8_t *p)
{
	uint32_t	bits = lh_get_u32le(p);
	float		v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static double
get_double(const uint8_t *p)
{
	uint64_t	bits = lh_get_u64le(p);
	double		v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* Half floats as integers of the same order; both zeros are equal. */
static int
half_rank(const uint8_t *p)
{
	int			bits = p[0] | p[1] << 8;

	return bits & 0x8000 ? -(bits & 0x7fff) : bits;
}

static bool
half_is_nan(const uint8_t *p)
{
	return ((p[0] | p[1] << 8) & 0x7fff) > 0x7c00;
}

static int
compare_bytes(LhPqBytes a, LhPqBytes b)
{
	int32_t		n = a.len < b.len ? a.len : b.len;
	int			c = n > 0 ? memcmp(a.data, b.data, (size_t) n) : 0;

	return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Byte number i from the right of a big-endian two's complement, sign-extended. */
static uint8_t
decimal_byte(LhPqBytes v, int32_t i)
{
	if (i < v.len)
		return v.data[v.len - 1 - i];
	return v.len > 0 && (v.data[0] & 0x80) ? 0xff : 0;
}

static int
compare_decimal(LhPqBytes a, LhPqBytes b)
{
	bool		a_negative = a.len > 0 && (a.data[0] & 0x80);
	bool		b_negative = b.len > 0 && (b.data[0] & 0x80);

	if (a_negative != b_negative)
		return a_negative ? -1 : 1;
	for (int32_t i = (a.len > b.len ? a.len : b.len) - 1; i >= 0; i--)
	{
		uint8_t		x = decimal_byte(a, i);
		uint8_t		y = decimal_byte(b, i);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

#define THREE_WAY(x, y) (((x) > (y)) - ((x) < (y)))

int
lh_pq_order_compare(LhPqOrder order, LhPqBytes a, LhPqBytes b)
{
	switch (order)
	{
		case LH_PQ_ORDER_BOOL:
			return THREE_WAY(a.data[0], b.data[0]);
		case LH_PQ_ORDER_I32:
			return THREE_WAY((int32_t) lh_get_u32le(a.data), (int32_t) lh_get_u32le(b.data));
		case LH_PQ_ORDER_U32:
			return THREE_WAY(lh_get_u32le(a.data), lh_get_u32le(b.data));
		case LH_PQ_ORDER_I64:
			return THREE_WAY((int64_t) lh_get_u64le(a.data), (int64_t) lh_get_u64le(b.data));
		case LH_PQ_ORDER_U64:
			return THREE_WAY(lh_get_u64le(a.data), lh_get_u64le(b.data));
		case LH_PQ_ORDER_FLOAT:
			return THREE_WAY(get_float(a.data), get_float(b.data));
		case LH_PQ_ORDER_DOUBLE:
			return THREE_WAY(get_double(a.data), get_double(b.data));
		case LH_PQ_ORDER_FLOAT16:
			return THREE_WAY(half_rank(a.data), half_rank(b.data));
		case LH_PQ_ORDER_BYTES:
			return compare_bytes(a, b);
		case LH_PQ_ORDER_DECIMAL:
			return compare_decimal(a, b);
		case LH_PQ_ORDER_NONE:
			break;
	}
	return 0;
}

bool
lh_pq_order_is_nan(LhPqOrder order, LhPqBytes v)
{
	switch (order)
	{
		case LH_PQ_ORDER_FLOAT:
			return get_float(v.data) != get_float(v.data);
		case LH_PQ_ORDER_DOUBLE:
			return get_double(v.data) != get_double(v.data);
		case LH_PQ_ORDER_FLOAT16:
			return half_is_nan(v.data);
		default:
			return false;
	}
}

static bool
is_zero(LhPqOrder order, LhPqBytes v)
{
	switch (order)
	{
		case LH_PQ_ORDER_FLOAT:
			return get_float(v.data) == 0;
		case LH_PQ_ORDER_DOUBLE:
			return get_double(v.data) == 0;
		case LH_PQ_ORDER_FLOAT16:
			return half_rank(v.data) == 0;
		default:
			return false;
	}
}

const uint8_t *
lh_pq_zero(size_t width, bool negative)
{
	static const uint8_t zeros[2][8] = {{0}, {0, 0, 0, 0, 0, 0, 0, 0x80}};

	return zeros[negative] + 8 - width;
}

static bool
is_usable(LhPqOrder order, int width, LhPqBytes v)
{
	if (v.data == NULL || order == LH_PQ_ORDER_NONE)
		return false;
	if (order == LH_PQ_ORDER_BOOL)
		return v.len == 1 && v.data[0] <= 1;
	if (width > 0 && v.len != width && order != LH_PQ_ORDER_BYTES && order != LH_PQ_ORDER_DECIMAL)
		return false;
	/* bounds of fixed-length bytes may be cut, but not grow */
	if (width > 0 && v.len > width)
		return false;
	if (order == LH_PQ_ORDER_DECIMAL && (v.len == 0 || (width > 0 && v.len != width)))
		return false;
	return !lh_pq_order_is_nan(order, v);
}

void
lh_pq_stats_settle(const LhPqNode *leaf, LhPqStats *stats)
{
	LhPqOrder	order = lh_pq_order(leaf);
	int			width = lh_pq_plain_width(leaf);
	const LhPqBytes none = {NULL, 0};

	/* a NaN on either side means that the writer did not leave NaN out */
	if ((stats->min.data != NULL && !is_usable(order, width, stats->min)) ||
		(stats->max.data != NULL && !is_usable(order, width, stats->max)) ||
		(stats->min.data != NULL && stats->max.data != NULL &&
		 lh_pq_order_compare(order, stats->min, stats->max) > 0))
		stats->min = stats->max = none;
	/* readers of either opinion find both zeros */
	if (stats->min.data != NULL && is_zero(order, stats->min))
		stats->min.data = lh_pq_zero((size_t) stats->min.len, true);
	if (stats->max.data != NULL && is_zero(order, stats->max))
		stats->max.data = lh_pq_zero((size_t) stats->max.len, false);
	if (stats->min.data == NULL)
		stats->min_exact = false;
	if (stats->max.data == NULL)
		stats->max_exact = false;
}
