/*
 * exact.c
 *	  The `_pg_exact` cell: true values of columns that the file only
 *	  approximates.
 *
 * A cell is a run of entries, integers little-endian:
 *
 *	  u16 attnum, u32 length, `length` bytes: one value
 *
 * A value starts with a tag:
 *
 *	  N						null
 *	  I u64					the datum of a type passed by value
 *	  T u32 n, n bytes		UTF-8 text for the type's input function
 *	  B u32 n, n bytes		the value's bytes as in memory, or text in the
 *							database's encoding that has no UTF-8 form
 *	  A u8 d, d × (i32 size, i32 lower bound), then the elements as values
 *	  R u16 n, n × (u16 attnum, value)	the attributes of a composite
 *
 * The tree is ours and not array_out's and record_out's text, since that
 * could be read back neither after an attribute was added or dropped, nor
 * when a name in it was changed, nor without checking domains anew.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "kernels/kernels.h"
#include "types/types_int.h"

#define TAG_NULL		'N'
#define TAG_DATUM		'I'
#define TAG_TEXT		'T'
#define TAG_BYTES		'B'
#define TAG_ARRAY		'A'
#define TAG_ROW			'R'

#define INTERVAL_BYTES	16

/* ---- writing ---- */

static void
put_u16(StringInfo out, uint16 v)
{
	char		bytes[2] = {(char) v, (char) (v >> 8)};

	appendBinaryStringInfo(out, bytes, 2);
}

static void
put_u32(StringInfo out, uint32 v)
{
	uint8		bytes[4];

	lh_put_u32le(bytes, v);
	appendBinaryStringInfo(out, (char *) bytes, 4);
}

static void
put_u64(StringInfo out, uint64 v)
{
	uint8		bytes[8];

	lh_put_u64le(bytes, v);
	appendBinaryStringInfo(out, (char *) bytes, 8);
}

static void
put_datum(StringInfo out, Datum value)
{
	appendStringInfoChar(out, TAG_DATUM);
	put_u64(out, value);
}

static void
put_bytes(StringInfo out, char tag, const char *bytes, int len)
{
	appendStringInfoChar(out, tag);
	put_u32(out, len);
	appendBinaryStringInfo(out, bytes, len);
}

static void
put_text(StringInfo out, const char *text, int len)
{
	const char *utf8;
	int			utf8_len;

	if (lh_to_utf8(text, len, &utf8, &utf8_len))
		put_bytes(out, TAG_TEXT, utf8, utf8_len);
	else
		put_bytes(out, TAG_BYTES, text, len);
}

static void put_value(StringInfo out, const LhPgType *type, Datum value, bool isnull);

static void
put_array(StringInfo out, const LhPgType *type, Datum value)
{
	const LhPgType *element = type->element;
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *values;
	bool	   *nulls;
	int			n;

	appendStringInfoChar(out, TAG_ARRAY);
	appendStringInfoChar(out, (char) ARR_NDIM(array));
	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		put_u32(out, ARR_DIMS(array)[i]);
		put_u32(out, ARR_LBOUND(array)[i]);
	}
	deconstruct_array(array, ARR_ELEMTYPE(array), element->len, element->byval, element->align,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
		put_value(out, element, values[i], nulls[i]);
}

static void
put_row(StringInfo out, const LhPgType *type, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header),.t_data = header};
	int			natts = type->desc->natts;
	Datum	   *values = palloc(sizeof(Datum) * Max(natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(natts, 1));

	heap_deform_tuple(&tuple, type->desc, values, nulls);
	appendStringInfoChar(out, TAG_ROW);
	put_u16(out, type->n_stored);
	for (int i = 0; i < natts; i++)
	{
		if (type->atts[i] == NULL)
			continue;
		put_u16(out, i + 1);
		put_value(out, type->atts[i], values[i], nulls[i]);
	}
}

/* The elements as float4. */
static void
put_vector(StringInfo out, const LhPgType *type, Datum value)
{
	const LhVectorImage *v = (const LhVectorImage *) PG_DETOAST_DATUM(value);

	appendStringInfoChar(out, TAG_BYTES);
	put_u32(out, v->dim * (uint32) sizeof(float));
	for (int i = 0; i < v->dim; i++)
	{
		float		x = type->half ? lh_half_to_float(((const LhHalf *) v->elements)[i]) :
			((const float *) v->elements)[i];
		uint32		bits;

		memcpy(&bits, &x, sizeof(bits));
		put_u32(out, bits);
	}
}

static void
put_interval(StringInfo out, const Interval *span)
{
	appendStringInfoChar(out, TAG_BYTES);
	put_u32(out, INTERVAL_BYTES);
	put_u64(out, span->time);
	put_u32(out, span->day);
	put_u32(out, span->month);
}

static void
put_value(StringInfo out, const LhPgType *type, Datum value, bool isnull)
{
	struct varlena *varlena;
	char	   *text;

	check_stack_depth();
	if (isnull)
	{
		appendStringInfoChar(out, TAG_NULL);
		return;
	}
	switch (type->kind)
	{
		case LH_KIND_ARRAY:
			put_array(out, type, value);
			break;
		case LH_KIND_VECTOR:
			put_vector(out, type, value);
			break;
		case LH_KIND_COMPOSITE:
			put_row(out, type, value);
			break;
		case LH_KIND_TEXT:
			varlena = PG_DETOAST_DATUM_PACKED(value);
			put_text(out, VARDATA_ANY(varlena), (int) VARSIZE_ANY_EXHDR(varlena));
			break;
		case LH_KIND_BYTES:
			varlena = PG_DETOAST_DATUM_PACKED(value);
			put_bytes(out, TAG_BYTES, VARDATA_ANY(varlena), (int) VARSIZE_ANY_EXHDR(varlena));
			break;
		case LH_KIND_NAME:
			put_text(out, NameStr(*DatumGetName(value)), (int) strlen(NameStr(*DatumGetName(value))));
			break;
		case LH_KIND_UUID:
		case LH_KIND_FIXED:
			put_bytes(out, TAG_BYTES, DatumGetPointer(value), type->len);
			break;
		case LH_KIND_INTERVAL:
			put_interval(out, DatumGetIntervalP(value));
			break;
		case LH_KIND_DECIMAL:
		case LH_KIND_NUMERIC:
			text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
			put_bytes(out, TAG_TEXT, text, (int) strlen(text));
			break;
		case LH_KIND_ENUM:
			{
				LhEnumLabel label = lh_enum_label(type, DatumGetObjectId(value));

				if (label.label != NULL)
					put_bytes(out, TAG_TEXT, label.label, label.len);
				else
					put_datum(out, value);
				break;
			}
		case LH_KIND_IO:
			text = OutputFunctionCall(unconstify(FmgrInfo *, &type->out), value);
			put_text(out, text, (int) strlen(text));
			break;
		default:
			put_datum(out, value);
			break;
	}
}

void
lh_exact_append(StringInfo cell, AttrNumber attnum, const LhPgType *type, Datum value)
{
	int			start;

	put_u16(cell, attnum);
	put_u32(cell, 0);
	start = cell->len;
	put_value(cell, type, value, false);
	lh_put_u32le((uint8 *) cell->data + start - 4, cell->len - start);
}

/* ---- reading ---- */

typedef struct ExactReader
{
	LhReader	in;
	const LhDecoder *dec;
} ExactReader;

static LH_NORETURN void
bad_cell(const ExactReader *r)
{
	lh_column_corrupt(r->dec->priv->column, "an exact value of it is malformed");
}

static uint8
get_u8(ExactReader *r)
{
	uint8		v;

	if (!lh_read_u8(&r->in, &v))
		bad_cell(r);
	return v;
}

static uint16
get_u16(ExactReader *r)
{
	uint16		low = get_u8(r);

	return low | (uint16) (get_u8(r) << 8);
}

static uint32
get_u32(ExactReader *r)
{
	uint32		v;

	if (!lh_read_u32le(&r->in, &v))
		bad_cell(r);
	return v;
}

static uint64
get_u64(ExactReader *r)
{
	uint64_t	v;

	if (!lh_read_u64le(&r->in, &v))
		bad_cell(r);
	return v;
}

static const char *
get_bytes(ExactReader *r, int *len)
{
	uint32		n = get_u32(r);
	const uint8_t *p;

	if (n > (uint32) MaxAllocSize || !lh_read_bytes(&r->in, n, &p))
		bad_cell(r);
	*len = (int) n;
	return (const char *) p;
}

static Datum get_value(ExactReader *r, const LhPgType *type, bool *isnull);

static Datum
get_array(ExactReader *r, const LhPgType *type)
{
	int			ndim = get_u8(r);
	int			dims[MAXDIM];
	int			lbounds[MAXDIM];
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (type->kind != LH_KIND_ARRAY || ndim > MAXDIM)
		bad_cell(r);
	for (int i = 0; i < ndim; i++)
	{
		dims[i] = (int) get_u32(r);
		lbounds[i] = (int) get_u32(r);
		if (dims[i] <= 0)
			bad_cell(r);
	}
	n = ArrayGetNItems(ndim, dims);
	ArrayCheckBounds(ndim, dims, lbounds);

	/* an element takes at least its tag */
	if ((size_t) n > lh_reader_left(&r->in))
		bad_cell(r);
	values = palloc(sizeof(Datum) * Max(n, 1));
	nulls = palloc(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
		values[i] = get_value(r, type->element, &nulls[i]);
	return lh_make_array(type, values, nulls, ndim, dims, lbounds);
}

/* A datum passed by value, as the macros of its type would make it; values out of range are corrupt. */
static Datum
get_datum(ExactReader *r, const LhPgType *type)
{
	uint64		v = get_u64(r);
	bool		valid = true;
	Datum		datum = (Datum) v;

	switch (type->kind)
	{
		case LH_KIND_BOOL:
			valid = v <= 1;
			break;
		case LH_KIND_CHAR:
			datum = CharGetDatum((char) v);
			break;
		case LH_KIND_INT2:
			datum = Int16GetDatum((int16) v);
			break;
		case LH_KIND_INT4:
		case LH_KIND_FLOAT4:
			datum = Int32GetDatum((int32) v);
			break;
		case LH_KIND_OID:
			datum = ObjectIdGetDatum((Oid) v);
			break;
		case LH_KIND_INT8:
		case LH_KIND_XID8:
		case LH_KIND_FLOAT8:
			break;
		case LH_KIND_ENUM:
			valid = v <= PG_UINT32_MAX && lh_enum_has_value(type->oid, (Oid) v);
			break;
		case LH_KIND_DATE:
			datum = Int32GetDatum((int32) v);
			valid = DATE_NOT_FINITE((int32) v) || IS_VALID_DATE((int32) v);
			break;
		case LH_KIND_TIME:
			valid = v <= (uint64) USECS_PER_DAY;
			break;
		case LH_KIND_TIMESTAMP:
		case LH_KIND_TIMESTAMPTZ:
			valid = TIMESTAMP_NOT_FINITE((int64) v) || IS_VALID_TIMESTAMP((int64) v);
			break;
		default:
			valid = false;
			break;
	}
	if (!valid)
		bad_cell(r);
	return datum;
}

/* Attributes that are gone since are parsed to nothing, so their type is in the tags alone. */
static void
skip_value(ExactReader *r)
{
	int			len;
	int64		n = 1;
	int			ndim;

	check_stack_depth();
	switch (get_u8(r))
	{
		case TAG_NULL:
			break;
		case TAG_DATUM:
			(void) get_u64(r);
			break;
		case TAG_TEXT:
		case TAG_BYTES:
			(void) get_bytes(r, &len);
			break;
		case TAG_ARRAY:
			ndim = get_u8(r);
			if (ndim == 0)
				n = 0;
			for (int i = 0; i < ndim; i++)
			{
				n *= get_u32(r);
				(void) get_u32(r);
				if (n < 0 || n > (int64) lh_reader_left(&r->in))
					bad_cell(r);
			}
			while (n-- > 0)
				skip_value(r);
			break;
		case TAG_ROW:
			for (n = get_u16(r); n > 0; n--)
			{
				(void) get_u16(r);
				skip_value(r);
			}
			break;
		default:
			bad_cell(r);
	}
}

static Datum
get_row(ExactReader *r, const LhPgType *type)
{
	int			n = get_u16(r);
	int			natts;
	Datum	   *values;
	bool	   *nulls;

	if (type->kind != LH_KIND_COMPOSITE)
		bad_cell(r);
	natts = type->desc->natts;
	values = palloc0(sizeof(Datum) * Max(natts, 1));
	nulls = palloc(sizeof(bool) * Max(natts, 1));
	memset(nulls, true, Max(natts, 1));

	while (n-- > 0)
	{
		int			attnum = get_u16(r);

		if (attnum >= 1 && attnum <= natts && type->atts[attnum - 1] != NULL)
			values[attnum - 1] = get_value(r, type->atts[attnum - 1], &nulls[attnum - 1]);
		else
			skip_value(r);
	}
	return lh_make_row(type, values, nulls);
}

static Datum
get_text(ExactReader *r, const LhPgType *type)
{
	int			len;
	const char *text = get_bytes(r, &len);

	switch (type->kind)
	{
		case LH_KIND_ENUM:
			return ObjectIdGetDatum(lh_enum_map_lookup(lh_decoder_enums(r->dec, type),
													   (const uint8 *) text, len));
		case LH_KIND_TEXT:
		case LH_KIND_NAME:
		case LH_KIND_DECIMAL:
		case LH_KIND_NUMERIC:
		case LH_KIND_IO:
			text = lh_from_utf8(text, len, &len);
			return lh_decode_text(type, text, len);
		default:
			bad_cell(r);
	}
}

static Datum
get_vector(ExactReader *r, const LhPgType *type, const char *bytes, int len)
{
	int			dim = len / (int) sizeof(float);
	float	   *x = palloc(sizeof(float) * Max(dim, 1));
	Datum		value;

	for (int i = 0; i < dim; i++)
	{
		uint32		bits = lh_get_u32le((const uint8 *) bytes + i * sizeof(float));

		memcpy(&x[i], &bits, sizeof(bits));
	}
	if (len % sizeof(float) != 0 || !lh_make_vector(type, x, dim, &value))
		bad_cell(r);
	pfree(x);
	return value;
}

static Datum
get_image(ExactReader *r, const LhPgType *type)
{
	int			len;
	const char *bytes = get_bytes(r, &len);
	char	   *copy;

	switch (type->kind)
	{
		case LH_KIND_BYTES:
		case LH_KIND_TEXT:
		case LH_KIND_NAME:
		case LH_KIND_IO:
			return lh_decode_text(type, bytes, len);
		case LH_KIND_VECTOR:
			return get_vector(r, type, bytes, len);
		case LH_KIND_UUID:
		case LH_KIND_FIXED:
			if (len != type->len)
				bad_cell(r);
			copy = palloc(len);
			memcpy(copy, bytes, len);
			return PointerGetDatum(copy);
		case LH_KIND_INTERVAL:
			{
				Interval   *span = palloc(sizeof(Interval));

				if (len != INTERVAL_BYTES)
					bad_cell(r);
				span->time = (int64) lh_get_u64le((const uint8 *) bytes);
				span->day = (int32) lh_get_u32le((const uint8 *) bytes + 8);
				span->month = (int32) lh_get_u32le((const uint8 *) bytes + 12);
				return IntervalPGetDatum(span);
			}
		default:
			bad_cell(r);
	}
}

static Datum
get_value(ExactReader *r, const LhPgType *type, bool *isnull)
{
	check_stack_depth();
	*isnull = false;
	switch (get_u8(r))
	{
		case TAG_NULL:
			*isnull = true;
			return (Datum) 0;
		case TAG_DATUM:
			return get_datum(r, type);
		case TAG_TEXT:
			return get_text(r, type);
		case TAG_BYTES:
			return get_image(r, type);
		case TAG_ARRAY:
			return get_array(r, type);
		case TAG_ROW:
			return get_row(r, type);
		default:
			bad_cell(r);
	}
}

/* The column's value in one cell; false: the cell has none for it. */
static bool
find_value(const LhDecoder *dec, LhPqBytes cell, Datum *value, bool *isnull)
{
	ExactReader r = {.dec = dec};

	lh_reader_init(&r.in, cell.data, cell.len);
	while (lh_reader_left(&r.in) > 0)
	{
		AttrNumber	attnum = (AttrNumber) get_u16(&r);
		int			len;
		const char *bytes = get_bytes(&r, &len);

		if (attnum == dec->attnum)
		{
			lh_reader_init(&r.in, bytes, len);
			*value = get_value(&r, dec->priv->type, isnull);
			if (lh_reader_left(&r.in) != 0)
				bad_cell(&r);
			return true;
		}
	}
	return false;
}

void
lh_exact_apply(LhDecoder *dec, const LhPqVector *exact, Datum *values, bool *isnull)
{
	if (exact->n_values < exact->n_rows)
		lh_column_corrupt("_pg_exact", "it is not a plain column");
	for (int64 i = 0; i < exact->n_rows; i++)
		if (exact->nulls == NULL || !exact->nulls[i])
			(void) find_value(dec, exact->values.bytes[i], &values[i], &isnull[i]);
}
