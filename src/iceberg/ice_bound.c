/*
 * ice_bound.c
 *	  Column bounds: Parquet statistics into Iceberg's single-value bytes.
 *
 * A bound may be loose but must hold for every value in Iceberg's order, so
 * whatever cannot be converted with certainty gives no bound.  Spec:
 * Appendix D "Binary single-value serialization".
 */
#include "iceberg/ice_int.h"

#include <math.h>
#include <string.h>

static const LhPqBytes no_bound = {NULL, 0};

static LhStatus
give(LhArena *arena, const void *data, size_t len, LhPqBytes *out, LhError *err)
{
	return lh_ice_copy_bytes(arena, (LhPqBytes) {data, (int32_t) len}, out, err);
}

/* ---- integers and times ---- */

/* The integer in a leaf's statistics; false when the leaf holds no usable one. */
static bool
leaf_integer(const LhPqNode *leaf, LhPqBytes value, int64_t *v)
{
	bool		is_unsigned = leaf->logical == LH_PQ_INTEGER && !leaf->is_signed;

	if (leaf->type == LH_PQ_INT32 && value.len == 4)
	{
		uint32_t	raw = lh_get_u32le(value.data);

		*v = is_unsigned ? (int64_t) raw : (int64_t) (int32_t) raw;
		return true;
	}
	if (leaf->type == LH_PQ_INT64 && value.len == 8)
	{
		*v = (int64_t) lh_get_u64le(value.data);
		return !is_unsigned || *v >= 0;
	}
	return false;
}

/* Microseconds from the leaf's unit; bounds of nanoseconds are widened. */
static bool
to_micros(const LhPqNode *leaf, bool is_upper, int64_t *v)
{
	if (leaf->logical != LH_PQ_TIME && leaf->logical != LH_PQ_TIMESTAMP)
		return leaf->logical == LH_PQ_NONE && leaf->type == LH_PQ_INT64;
	switch (leaf->unit)
	{
		case LH_PQ_MILLIS:
			return !__builtin_mul_overflow(*v, 1000, v);
		case LH_PQ_MICROS:
			return true;
		case LH_PQ_NANOS:
			*v = *v / 1000 - (*v % 1000 < 0) + (is_upper && *v % 1000 != 0);
			return true;
	}
	return false;
}

static LhStatus
integer_bound(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value, bool is_upper,
			  LhArena *arena, LhPqBytes *out, LhError *err)
{
	uint8_t		le[8];
	int64_t		v;
	size_t		width = 8;

	if (!leaf_integer(leaf, value, &v))
		return LH_OK;
	switch (type->kind)
	{
		case LH_ICE_INT:
		case LH_ICE_DATE:
			if (v < INT32_MIN || v > INT32_MAX)
				return LH_OK;
			width = 4;
			break;
		case LH_ICE_TIME:
		case LH_ICE_TIMESTAMP:
		case LH_ICE_TIMESTAMPTZ:
			if (!to_micros(leaf, is_upper, &v))
				return LH_OK;
			break;
		case LH_ICE_TIMESTAMP_NS:
		case LH_ICE_TIMESTAMPTZ_NS:
			if (leaf->logical != LH_PQ_TIMESTAMP || leaf->unit != LH_PQ_NANOS)
				return LH_OK;
			break;
		default:
			break;
	}
	lh_put_u64le(le, (uint64_t) v);
	return give(arena, le, width, out, err);
}

/* ---- floats ---- */

/* A zero stands for both zeros: −0.0 below, +0.0 above. */
static LhStatus
float_bound(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value, bool is_upper,
			LhArena *arena, LhPqBytes *out, LhError *err)
{
	uint8_t		le[8];
	double		v;

	if (leaf->type == LH_PQ_FLOAT && value.len == 4)
	{
		uint32_t	raw = lh_get_u32le(value.data);
		float		f;

		memcpy(&f, &raw, sizeof(f));
		v = f;
	}
	else if (leaf->type == LH_PQ_DOUBLE && value.len == 8 && type->kind == LH_ICE_DOUBLE)
	{
		uint64_t	raw = lh_get_u64le(value.data);

		memcpy(&v, &raw, sizeof(v));
	}
	else
		return LH_OK;
	if (isnan(v))
		return LH_OK;
	if (v == 0)
		v = is_upper ? 0.0 : -0.0;
	if (type->kind == LH_ICE_FLOAT)
	{
		float		f = (float) v;	/* exact: it came from one */
		uint32_t	raw;

		memcpy(&raw, &f, sizeof(raw));
		lh_put_u32le(le, raw);
		return give(arena, le, 4, out, err);
	}
	else
	{
		uint64_t	raw;

		memcpy(&raw, &v, sizeof(raw));
		lh_put_u64le(le, raw);
		return give(arena, le, 8, out, err);
	}
}

/* ---- decimals ---- */

static LhStatus
decimal_bound(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value,
			  LhArena *arena, LhPqBytes *out, LhError *err)
{
	uint8_t		be[8];
	const uint8_t *p = value.data;
	int			len = value.len;

	if (leaf->logical != LH_PQ_DECIMAL || leaf->scale != type->scale)
		return LH_OK;
	if ((leaf->type == LH_PQ_INT32 && len == 4) || (leaf->type == LH_PQ_INT64 && len == 8))
	{
		for (int i = 0; i < len; i++)
			be[i] = value.data[len - 1 - i];
		p = be;
	}
	else if ((leaf->type != LH_PQ_FLBA && leaf->type != LH_PQ_BYTE_ARRAY) || len < 1)
		return LH_OK;
	/* the shortest that keeps the sign */
	while (len > 1 && ((p[0] == 0x00 && p[1] < 0x80) || (p[0] == 0xff && p[1] >= 0x80)))
	{
		p++;
		len--;
	}
	return len <= 16 ? give(arena, p, (size_t) len, out, err) : LH_OK;
}

/* ---- strings and binaries ---- */

static size_t
char_bytes(uint8_t lead)
{
	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Bytes of the longest prefix that is valid UTF-8 of at most `chars` code points. */
static size_t
string_prefix(const uint8_t *p, size_t len, int chars)
{
	size_t		n = 0;

	while (n < len && chars-- > 0)
	{
		size_t		w = char_bytes(p[n]);

		if (w > len - n || !lh_ice_utf8_valid(p + n, w))
			break;
		n += w;
	}
	return n;
}

static size_t
encode_char(uint32_t c, uint8_t *p)
{
	if (c < 0x80)
	{
		p[0] = (uint8_t) c;
		return 1;
	}
	if (c < 0x800)
	{
		p[0] = (uint8_t) (0xc0 | c >> 6);
		p[1] = (uint8_t) (0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000)
	{
		p[0] = (uint8_t) (0xe0 | c >> 12);
		p[1] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
		p[2] = (uint8_t) (0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (uint8_t) (0xf0 | c >> 18);
	p[1] = (uint8_t) (0x80 | (c >> 12 & 0x3f));
	p[2] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
	p[3] = (uint8_t) (0x80 | (c & 0x3f));
	return 4;
}

static uint32_t
decode_char(const uint8_t *p, size_t w)
{
	static const uint8_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t	c = p[0] & lead_mask[w];

	for (size_t i = 1; i < w; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/*
 * The prefix raised to the next string of at most its length in code points,
 * which is above everything that starts with the prefix: its last code point
 * plus one, carrying left past U+10FFFF.  False when there is none.  `buf`
 * has room for four bytes more than the prefix.
 */
static bool
raise_string(uint8_t *buf, size_t *len)
{
	size_t		n = *len;

	while (n > 0)
	{
		size_t		w = 1;
		uint32_t	c;

		while ((buf[n - w] & 0xc0) == 0x80)
			w++;
		n -= w;
		c = decode_char(buf + n, w);
		if (c < 0x10ffff)
		{
			*len = n + encode_char(c == 0xd7ff ? 0xe000 : c + 1, buf + n);
			return true;
		}
	}
	return false;
}

/* The same for bytes. */
static bool
raise_binary(uint8_t *buf, size_t *len)
{
	size_t		n = *len;

	while (n > 0 && buf[n - 1] == 0xff)
		n--;
	if (n == 0)
		return false;
	buf[n - 1]++;
	*len = n;
	return true;
}

static LhStatus
text_bound(const LhIceType *type, LhPqBytes value, bool is_upper, int truncate,
		   LhArena *arena, LhPqBytes *out, LhError *err)
{
	bool		is_string = type->kind == LH_ICE_STRING;
	size_t		whole = (size_t) value.len;
	size_t		len;
	uint8_t    *buf;

	if (truncate <= 0)
		truncate = INT32_MAX;
	if (is_string)
		len = string_prefix(value.data, whole, truncate);
	else
		len = whole < (size_t) truncate ? whole : (size_t) truncate;
	buf = lh_arena_alloc(arena, len + 4);
	if (buf == NULL)
		return ice_nomem(err);
	memcpy(buf, value.data, len);
	if (is_upper && len < whole && !(is_string ? raise_string(buf, &len) : raise_binary(buf, &len)))
		return LH_OK;
	*out = (LhPqBytes) {buf, (int32_t) len};
	return LH_OK;
}

/* ---- all of them ---- */

LhStatus
lh_ice_bound_from_parquet(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value, bool is_upper,
						  int truncate, LhArena *arena, LhPqBytes *out, LhError *err)
{
	*out = no_bound;
	if (value.data == NULL || value.len < 0)
		return LH_OK;
	switch (type->kind)
	{
		case LH_ICE_BOOLEAN:
			if (leaf->type == LH_PQ_BOOLEAN && value.len == 1 && value.data[0] <= 1)
				return give(arena, value.data, 1, out, err);
			return LH_OK;
		case LH_ICE_INT:
		case LH_ICE_LONG:
		case LH_ICE_DATE:
		case LH_ICE_TIME:
		case LH_ICE_TIMESTAMP:
		case LH_ICE_TIMESTAMPTZ:
		case LH_ICE_TIMESTAMP_NS:
		case LH_ICE_TIMESTAMPTZ_NS:
			return integer_bound(type, leaf, value, is_upper, arena, out, err);
		case LH_ICE_FLOAT:
		case LH_ICE_DOUBLE:
			return float_bound(type, leaf, value, is_upper, arena, out, err);
		case LH_ICE_DECIMAL:
			return decimal_bound(type, leaf, value, arena, out, err);
		case LH_ICE_STRING:
		case LH_ICE_BINARY:
		case LH_ICE_FIXED:
			if (leaf->type == LH_PQ_BYTE_ARRAY || leaf->type == LH_PQ_FLBA)
				return text_bound(type, value, is_upper, truncate, arena, out, err);
			return LH_OK;
		default:
			/* uuid: Java compares it signed, the spec unsigned, so a bound is a trap */
			return LH_OK;
	}
}

/* ---- comparing ---- */

static LhStatus
bad_bound(const LhIceType *type, LhError *err)
{
	char		name[64];

	lh_ice_type_name(type, name, sizeof(name));
	return lh_fail(err, LH_ERR_CORRUPT, -1, "malformed bound of type %s", name);
}

static bool
get_long(LhPqBytes b, int64_t *v)
{
	if (b.len == 4)
		*v = (int32_t) lh_get_u32le(b.data);
	else if (b.len == 8)
		*v = (int64_t) lh_get_u64le(b.data);
	else
		return false;
	return true;
}

static bool
get_double(LhPqBytes b, double *v)
{
	if (b.len == 4)
	{
		uint32_t	raw = lh_get_u32le(b.data);
		float		f;

		memcpy(&f, &raw, sizeof(f));
		*v = f;
	}
	else if (b.len == 8)
	{
		uint64_t	raw = lh_get_u64le(b.data);

		memcpy(v, &raw, sizeof(*v));
	}
	else
		return false;
	return !isnan(*v);
}

/* Sign-extended to 16 bytes, the sign bit flipped so that memcmp() orders them. */
static bool
get_decimal(LhPqBytes b, uint8_t key[16])
{
	if (b.len < 1 || b.len > 16)
		return false;
	memset(key, b.data[0] & 0x80 ? 0xff : 0x00, 16);
	memcpy(key + 16 - b.len, b.data, (size_t) b.len);
	key[0] ^= 0x80;
	return true;
}

static int
sign_of(int v)
{
	return (v > 0) - (v < 0);
}

LhStatus
lh_ice_bound_compare(const LhIceType *type, LhPqBytes a, LhPqBytes b, int *result, LhError *err)
{
	*result = 0;
	if (a.data == NULL || b.data == NULL || a.len < 0 || b.len < 0)
		return bad_bound(type, err);
	switch (type->kind)
	{
		case LH_ICE_BOOLEAN:
			if (a.len != 1 || b.len != 1)
				return bad_bound(type, err);
			*result = sign_of((a.data[0] != 0) - (b.data[0] != 0));
			return LH_OK;
		case LH_ICE_FLOAT:
		case LH_ICE_DOUBLE:
			{
				double		x;
				double		y;

				if (!get_double(a, &x) || !get_double(b, &y))
					return bad_bound(type, err);
				*result = x != y ? (x > y) - (x < y) : (signbit(y) != 0) - (signbit(x) != 0);
				return LH_OK;
			}
		case LH_ICE_DECIMAL:
			{
				uint8_t		x[16];
				uint8_t		y[16];

				if (!get_decimal(a, x) || !get_decimal(b, y))
					return bad_bound(type, err);
				*result = sign_of(memcmp(x, y, 16));
				return LH_OK;
			}
		case LH_ICE_STRING:
		case LH_ICE_BINARY:
		case LH_ICE_FIXED:
		case LH_ICE_UUID:
			{
				size_t		common = (size_t) (a.len < b.len ? a.len : b.len);

				*result = sign_of(memcmp(a.data, b.data, common));
				if (*result == 0)
					*result = (a.len > b.len) - (a.len < b.len);
				return LH_OK;
			}
		case LH_ICE_STRUCT:
		case LH_ICE_LIST:
		case LH_ICE_MAP:
		case LH_ICE_OTHER:
			return bad_bound(type, err);
		default:
			{
				int64_t		x;
				int64_t		y;

				if (!get_long(a, &x) || !get_long(b, &y))
					return bad_bound(type, err);
				*result = (x > y) - (x < y);
				return LH_OK;
			}
	}
}
