/*
 * ice_avro_value.c
 *	  Avro values: decoded by the writer's schema into C variables, and
 *	  encoded.  Avro spec: "Binary Encoding".
 */
#include "iceberg/ice_avro_int.h"

#include <string.h>

static LhStatus
truncated(const IceAvroIn *a)
{
	return lh_fail(a->err, LH_ERR_CORRUPT, lh_reader_offset(&a->in), "Avro value is truncated or malformed");
}

static LhStatus
mismatch(const IceAvroIn *a, const char *wanted)
{
	return lh_fail(a->err, LH_ERR_CORRUPT, lh_reader_offset(&a->in), "Avro field is not of type %s", wanted);
}

/* Called for each item of an array: foreign ones may be long. */
static LhStatus
tick(const IceAvroIn *a, int64_t item)
{
	const LhAlloc *alloc = a->arena->alloc;

	if ((item & 1023) == 0 && alloc->tick != NULL && alloc->tick(alloc->ctx))
		return lh_fail(a->err, LH_ERR_CANCELLED, -1, "cancelled");
	return LH_OK;
}

static LhStatus
read_long(IceAvroIn *a, int64_t *v)
{
	uint64_t	raw;

	if (!lh_read_varint(&a->in, &raw))
		return truncated(a);
	*v = lh_unzigzag(raw);
	return LH_OK;
}

/* The bytes of a BYTES, STRING or FIXED, still in the block. */
static LhStatus
read_slice(IceAvroIn *a, const IceAvroType *type, const uint8_t **data, size_t *len)
{
	int64_t		n = type->size;

	if (type->kind != ICE_AVRO_FIXED)
		ICE_TRY(read_long(a, &n));
	if (n < 0 || n > INT32_MAX || !lh_read_bytes(&a->in, (size_t) n, data))
		return truncated(a);
	*len = (size_t) n;
	return LH_OK;
}

LhStatus
lh_ice_avro_branch(IceAvroIn *a, const IceAvroType *type, const IceAvroType **branch)
{
	int64_t		i;

	*branch = type;
	if (type->kind != ICE_AVRO_UNION)
		return LH_OK;
	ICE_TRY(read_long(a, &i));
	if (i < 0 || i >= type->n_fields)
		return truncated(a);
	*branch = type->fields[i].type;
	return LH_OK;
}

LhStatus
lh_ice_avro_bool(IceAvroIn *a, const IceAvroType *type, bool *v)
{
	uint8_t		b;

	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	if (type->kind == ICE_AVRO_NULL)
		return LH_OK;
	if (type->kind != ICE_AVRO_BOOLEAN)
		return mismatch(a, "boolean");
	if (!lh_read_u8(&a->in, &b) || b > 1)
		return truncated(a);
	*v = b != 0;
	return LH_OK;
}

LhStatus
lh_ice_avro_long(IceAvroIn *a, const IceAvroType *type, int64_t *v)
{
	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	if (type->kind == ICE_AVRO_NULL)
		return LH_OK;
	if (type->kind != ICE_AVRO_LONG && type->kind != ICE_AVRO_INT)
		return mismatch(a, "long");
	return read_long(a, v);
}

LhStatus
lh_ice_avro_int(IceAvroIn *a, const IceAvroType *type, int *v)
{
	int64_t		wide = *v;

	ICE_TRY(lh_ice_avro_long(a, type, &wide));
	if (wide < INT32_MIN || wide > INT32_MAX)
		return truncated(a);
	*v = (int) wide;
	return LH_OK;
}

LhStatus
lh_ice_avro_bytes(IceAvroIn *a, const IceAvroType *type, LhPqBytes *v)
{
	const uint8_t *data;
	size_t		len;

	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	if (type->kind == ICE_AVRO_NULL)
		return LH_OK;
	if (type->kind != ICE_AVRO_BYTES && type->kind != ICE_AVRO_FIXED && type->kind != ICE_AVRO_STRING)
		return mismatch(a, "bytes");
	ICE_TRY(read_slice(a, type, &data, &len));
	return lh_ice_copy_bytes(a->arena, (LhPqBytes) {data, (int32_t) len}, v, a->err);
}

LhStatus
lh_ice_avro_string(IceAvroIn *a, const IceAvroType *type, const char **v)
{
	const uint8_t *data;
	size_t		len;

	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	if (type->kind == ICE_AVRO_NULL)
		return LH_OK;
	if (type->kind != ICE_AVRO_STRING)
		return mismatch(a, "string");
	ICE_TRY(read_slice(a, type, &data, &len));
	if (memchr(data, 0, len) != NULL || !lh_ice_utf8_valid(data, len))
		return lh_fail(a->err, LH_ERR_CORRUPT, lh_reader_offset(&a->in), "Avro string is not valid UTF-8");
	*v = lh_arena_strndup(a->arena, data, len);
	return *v != NULL ? LH_OK : ice_nomem(a->err);
}

/* ---- partition values ---- */

static LhStatus
read_integer(IceAvroIn *a, int width, LhPqBytes *v)
{
	int64_t		n = 0;
	uint8_t		le[8];

	ICE_TRY(read_long(a, &n));
	if (width == 4 && (n < INT32_MIN || n > INT32_MAX))
		return truncated(a);
	lh_put_u64le(le, (uint64_t) n);
	return lh_ice_copy_bytes(a->arena, (LhPqBytes) {le, width}, v, a->err);
}

/* Avro's decimal is sign-extended to its width, Iceberg's is minimal. */
static void
trim_sign(const uint8_t **data, size_t *len)
{
	while (*len > 1 && (((*data)[0] == 0x00 && (*data)[1] < 0x80) ||
						((*data)[0] == 0xff && (*data)[1] >= 0x80)))
	{
		(*data)++;
		(*len)--;
	}
}

LhStatus
lh_ice_avro_single_value(IceAvroIn *a, const IceAvroType *type, LhPqBytes *v)
{
	const uint8_t *data;
	size_t		len;

	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	switch (type->kind)
	{
		case ICE_AVRO_NULL:
			return LH_OK;
		case ICE_AVRO_INT:
			return read_integer(a, 4, v);
		case ICE_AVRO_LONG:
			return read_integer(a, 8, v);
		case ICE_AVRO_BOOLEAN:
		case ICE_AVRO_FLOAT:
		case ICE_AVRO_DOUBLE:
			len = type->min_bytes;	/* little-endian both here and there */
			if (!lh_read_bytes(&a->in, len, &data))
				return truncated(a);
			break;
		case ICE_AVRO_BYTES:
		case ICE_AVRO_STRING:
		case ICE_AVRO_FIXED:
			ICE_TRY(read_slice(a, type, &data, &len));
			if (type->decimal)
				trim_sign(&data, &len);
			break;
		default:
			return mismatch(a, "a partition value");
	}
	return lh_ice_copy_bytes(a->arena, (LhPqBytes) {data, (int32_t) len}, v, a->err);
}

/* ---- arrays ---- */

/* The count of the next block of an array or map; 0 at the end. */
static LhStatus
read_block_count(IceAvroIn *a, size_t item_bytes, int64_t *count)
{
	int64_t		bytes;

	ICE_TRY(read_long(a, count));
	if (*count < 0)
	{
		if (*count == INT64_MIN)
			return truncated(a);
		*count = -*count;
		ICE_TRY(read_long(a, &bytes));
	}
	if ((uint64_t) *count > lh_reader_left(&a->in) / item_bytes)
		return truncated(a);
	return LH_OK;
}

LhStatus
lh_ice_avro_array(IceAvroIn *a, const IceAvroType *type, IceAvroArray *array, bool *is_null)
{
	array->left = 0;
	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	*is_null = array->done = type->kind == ICE_AVRO_NULL;
	if (*is_null)
		return LH_OK;
	if (type->kind != ICE_AVRO_ARRAY)
		return mismatch(a, "array");
	array->item = type->fields[0].type;
	return LH_OK;
}

LhStatus
lh_ice_avro_array_next(IceAvroIn *a, IceAvroArray *array, bool *more)
{
	if (!array->done && array->left == 0)
	{
		ICE_TRY(read_block_count(a, array->item->min_bytes, &array->left));
		array->done = array->left == 0;
	}
	*more = !array->done;
	if (!*more)
		return LH_OK;
	array->left--;
	return tick(a, array->left);
}

/* ---- skipping ---- */

static LhStatus
skip_items(IceAvroIn *a, const IceAvroType *type)
{
	const IceAvroType *item = type->fields[0].type;
	bool		is_map = type->kind == ICE_AVRO_MAP;
	size_t		item_bytes = item->min_bytes + (is_map ? 1 : 0);
	static const IceAvroType key = {.kind = ICE_AVRO_STRING};
	int64_t		count;

	for (;;)
	{
		ICE_TRY(read_block_count(a, item_bytes, &count));
		if (count == 0)
			return LH_OK;
		for (; count > 0; count--)
		{
			ICE_TRY(tick(a, count));
			if (is_map)
				ICE_TRY(lh_ice_avro_skip(a, &key));
			ICE_TRY(lh_ice_avro_skip(a, item));
		}
	}
}

LhStatus
lh_ice_avro_skip(IceAvroIn *a, const IceAvroType *type)
{
	const uint8_t *data;
	size_t		len;
	int64_t		v;

	ICE_TRY(lh_ice_avro_branch(a, type, &type));
	switch (type->kind)
	{
		case ICE_AVRO_NULL:
			return LH_OK;
		case ICE_AVRO_INT:
		case ICE_AVRO_LONG:
		case ICE_AVRO_ENUM:
			return read_long(a, &v);
		case ICE_AVRO_BOOLEAN:
		case ICE_AVRO_FLOAT:
		case ICE_AVRO_DOUBLE:
			return lh_read_bytes(&a->in, type->min_bytes, &data) ? LH_OK : truncated(a);
		case ICE_AVRO_BYTES:
		case ICE_AVRO_STRING:
		case ICE_AVRO_FIXED:
			return read_slice(a, type, &data, &len);
		case ICE_AVRO_ARRAY:
		case ICE_AVRO_MAP:
			return skip_items(a, type);
		case ICE_AVRO_RECORD:
			for (int i = 0; i < type->n_fields; i++)
				ICE_TRY(lh_ice_avro_skip(a, type->fields[i].type));
			return LH_OK;
		case ICE_AVRO_UNION:
			break;
	}
	return truncated(a);
}

/* ---- encoding ---- */

void
lh_ice_avro_put_long(LhBuf *buf, int64_t v)
{
	lh_buf_varint(buf, lh_zigzag(v));
}

void
lh_ice_avro_put_bytes(LhBuf *buf, const void *data, size_t len)
{
	lh_ice_avro_put_long(buf, (int64_t) len);
	lh_buf_append(buf, data, len);
}

void
lh_ice_avro_put_string(LhBuf *buf, const char *s)
{
	lh_ice_avro_put_bytes(buf, s, strlen(s));
}

bool
lh_ice_avro_put_branch(LhBuf *buf, bool present)
{
	lh_ice_avro_put_long(buf, present ? 1 : 0);
	return present;
}

void
lh_ice_avro_put_opt_long(LhBuf *buf, int64_t v)
{
	if (lh_ice_avro_put_branch(buf, v != LH_ICE_NONE))
		lh_ice_avro_put_long(buf, v);
}
