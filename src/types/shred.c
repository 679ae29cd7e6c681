/*
 * shred.c
 *	  Takes a row apart into the leaves of a Parquet writer.
 *
 * This is the hot path of COPY: built-in scalar types go straight from the
 * datum to the writer, without catalog look-ups or function calls through
 * fmgr.  Where the natural form is not the value itself, the column is marked
 * inexact and its whole value goes into the row's exact cell (exact.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

#include "kernels/kernels.h"
#include "types/types_int.h"

#define EPOCH_DAYS			(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_MICROS		((int64) EPOCH_DAYS * USECS_PER_DAY)

/* What other readers see of infinity: the ends of the years they all know. */
#define FIRST_DAY			(-719162)	/* 0001-01-01, days since 1970 */
#define LAST_DAY			2932896		/* 9999-12-31 */

#define PUT(call) \
	do { \
		LhError		put_err; \
		LhStatus	put_status = (call); \
		if (unlikely(put_status != LH_OK)) \
			lh_report(put_status, &put_err, NULL); \
	} while (0)

/* The natural value is only near the true one. */
static inline void
approximate(LhShape *shape)
{
	shape->priv->inexact = true;
}

static void
put_null(LhShape *shape, const LhPqNode *node, int rep, int def)
{
	for (int i = 0; i < node->n_leaves; i++)
		PUT(lh_pq_put_null(shape->priv->writer, node->first_leaf + i, rep, def, &put_err));
}

/* Others see NULL where the value has no form that they could read. */
static void
put_unknown(LhShape *shape, const LhPqNode *node, int rep)
{
	approximate(shape);
	put_null(shape, node, rep, node->max_def - 1);
}

static void
put_text(LhShape *shape, const LhPqNode *node, int rep, const char *s, int len)
{
	if (likely(lh_to_utf8(s, len, &s, &len)))
		PUT(lh_pq_put_bytes(shape->priv->writer, node->first_leaf, rep, s, len, &put_err));
	else
		put_unknown(shape, node, rep);
}

static void
put_char(LhShape *shape, const LhPqNode *node, int rep, char c)
{
	if (IS_HIGHBIT_SET(c))
		put_unknown(shape, node, rep);
	else
		PUT(lh_pq_put_bytes(shape->priv->writer, node->first_leaf, rep, &c, c != '\0', &put_err));
}

static void
put_enum(LhShape *shape, const LhPgType *type, int rep, Oid value)
{
	LhEnumLabel label = lh_enum_label(type, value);

	if (label.label != NULL)
		PUT(lh_pq_put_bytes(shape->priv->writer, type->node->first_leaf, rep,
							label.label, label.len, &put_err));
	else
		put_unknown(shape, type->node, rep);
}

static void
put_decimal(LhShape *shape, const LhPgType *type, Datum datum, int rep)
{
	LhPqWriter *w = shape->priv->writer;
	const LhPqNode *node = type->node;
	void	   *numeric = PG_DETOAST_DATUM_PACKED(datum);
	LhInt128	v;
	bool		exact;

	if (!lh_numeric_to_int128(numeric, type->precision, type->scale, &v, &exact))
	{
		put_unknown(shape, node, rep);
		return;
	}
	if (!exact)
		approximate(shape);

	if (node->type == LH_PQ_INT32)
		PUT(lh_pq_put_i32(w, node->first_leaf, rep, (int32) v, &put_err));
	else if (node->type == LH_PQ_INT64)
		PUT(lh_pq_put_i64(w, node->first_leaf, rep, (int64) v, &put_err));
	else
	{
		uint8		bytes[16];

		lh_int128_to_be(v, bytes, node->type_length);
		PUT(lh_pq_put_bytes(w, node->first_leaf, rep, bytes, node->type_length, &put_err));
	}
}

static void
put_date(LhShape *shape, int leaf, int rep, DateADT date)
{
	int32		days;

	if (DATE_NOT_FINITE(date))
	{
		approximate(shape);
		days = DATE_IS_NOBEGIN(date) ? FIRST_DAY : LAST_DAY;
	}
	else
		days = date + EPOCH_DAYS;
	PUT(lh_pq_put_i32(shape->priv->writer, leaf, rep, days, &put_err));
}

static void
put_time(LhShape *shape, int leaf, int rep, TimeADT time)
{
	if (time >= USECS_PER_DAY)
	{
		approximate(shape);
		time = USECS_PER_DAY - 1;
	}
	PUT(lh_pq_put_i64(shape->priv->writer, leaf, rep, time, &put_err));
}

static void
put_timestamp(LhShape *shape, int leaf, int rep, Timestamp t)
{
	int64		micros;

	if (TIMESTAMP_IS_NOBEGIN(t))
	{
		approximate(shape);
		micros = FIRST_DAY * USECS_PER_DAY;
	}
	else if (TIMESTAMP_IS_NOEND(t))
	{
		approximate(shape);
		micros = (LAST_DAY + INT64CONST(1)) * USECS_PER_DAY - 1;
	}
	else if (pg_add_s64_overflow(t, EPOCH_MICROS, &micros))
	{
		approximate(shape);		/* year 294247 and later */
		micros = PG_INT64_MAX;
	}
	PUT(lh_pq_put_i64(shape->priv->writer, leaf, rep, micros, &put_err));
}

static void
put_interval(LhShape *shape, const LhPgType *type, const Interval *span, int rep)
{
	LhPqWriter *w = shape->priv->writer;
	int			leaf = type->node->first_leaf;

	PUT(lh_pq_put_i32(w, leaf, rep, span->month, &put_err));
	PUT(lh_pq_put_i32(w, leaf + 1, rep, span->day, &put_err));
	PUT(lh_pq_put_i64(w, leaf + 2, rep, span->time, &put_err));
}

static void
put_xid8(LhShape *shape, int leaf, int rep, uint64 xid)
{
	if (xid > PG_INT64_MAX)
	{
		approximate(shape);
		xid = PG_INT64_MAX;
	}
	PUT(lh_pq_put_i64(shape->priv->writer, leaf, rep, (int64) xid, &put_err));
}

static void put_value(LhShape *shape, const LhPgType *type, Datum datum, int rep);

/* Lists have neither dimensions nor lower bounds: others see the elements in a row. */
static void
put_array(LhShape *shape, const LhPgType *type, Datum datum, int rep)
{
	const LhPgType *element = type->element;
	const LhPqNode *node = type->node;
	int			repeated_rep = node->children[0]->max_rep;
	ArrayType  *array = DatumGetArrayTypeP(datum);
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (ARR_NDIM(array) > 1 || (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] != 1))
		approximate(shape);

	deconstruct_array(array, ARR_ELEMTYPE(array), element->len, element->byval, element->align,
					  &values, &nulls, &n);
	if (n == 0)
		put_null(shape, node, rep, node->max_def);
	for (int i = 0; i < n; i++)
	{
		int			r = i == 0 ? rep : repeated_rep;

		if (nulls[i])
			put_null(shape, element->node, r, element->node->max_def - 1);
		else
			put_value(shape, element, values[i], r);
	}
}

/* No element is null, and there is at least one. */
static void
put_vector(LhShape *shape, const LhPgType *type, Datum datum, int rep)
{
	LhPqWriter *w = shape->priv->writer;
	int			leaf = type->node->first_leaf;
	int			repeated_rep = type->node->children[0]->max_rep;
	const LhVectorImage *v = (const LhVectorImage *) PG_DETOAST_DATUM(datum);

	for (int i = 0; i < v->dim; i++)
	{
		float		x = type->half ? lh_half_to_float(((const LhHalf *) v->elements)[i]) :
			((const float *) v->elements)[i];

		PUT(lh_pq_put_float(w, leaf, i == 0 ? rep : repeated_rep, x, &put_err));
	}
}

static void
put_composite(LhShape *shape, const LhPgType *type, Datum datum, int rep)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(datum);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header),.t_data = header};
	int			natts = type->desc->natts;
	Datum	   *values = palloc(sizeof(Datum) * Max(natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(natts, 1));

	if (type->n_stored == 0)
	{
		PUT(lh_pq_put_bool(shape->priv->writer, type->node->first_leaf, rep, true, &put_err));
		return;
	}

	heap_deform_tuple(&tuple, type->desc, values, nulls);
	for (int i = 0; i < natts; i++)
	{
		const LhPgType *att = type->atts[i];

		if (att == NULL)
			continue;
		if (nulls[i])
			put_null(shape, att->node, rep, att->node->max_def - 1);
		else
			put_value(shape, att, values[i], rep);
	}
}

/* Kinds whose natural form is made by calling something. */
static void
put_called(LhShape *shape, const LhPgType *type, Datum datum, int rep)
{
	int			leaf = type->node->first_leaf;
	char	   *text;

	switch (type->kind)
	{
		case LH_KIND_NUMERIC:
			text = DatumGetCString(DirectFunctionCall1(numeric_out, datum));
			PUT(lh_pq_put_bytes(shape->priv->writer, leaf, rep, text, strlen(text), &put_err));
			break;
		case LH_KIND_ENUM:
			put_enum(shape, type, rep, DatumGetObjectId(datum));
			break;
		case LH_KIND_ARRAY:
			put_array(shape, type, datum, rep);
			break;
		case LH_KIND_VECTOR:
			put_vector(shape, type, datum, rep);
			break;
		case LH_KIND_COMPOSITE:
			put_composite(shape, type, datum, rep);
			break;
		default:
			text = OutputFunctionCall(unconstify(FmgrInfo *, &type->out), datum);
			put_text(shape, type->node, rep, text, (int) strlen(text));
			break;
	}
}

static void
put_value(LhShape *shape, const LhPgType *type, Datum datum, int rep)
{
	LhPqWriter *w = shape->priv->writer;
	int			leaf = type->node->first_leaf;
	struct varlena *varlena;

	switch (type->kind)
	{
		case LH_KIND_BOOL:
			PUT(lh_pq_put_bool(w, leaf, rep, DatumGetBool(datum), &put_err));
			break;
		case LH_KIND_INT2:
			PUT(lh_pq_put_i32(w, leaf, rep, DatumGetInt16(datum), &put_err));
			break;
		case LH_KIND_INT4:
			PUT(lh_pq_put_i32(w, leaf, rep, DatumGetInt32(datum), &put_err));
			break;
		case LH_KIND_INT8:
			PUT(lh_pq_put_i64(w, leaf, rep, DatumGetInt64(datum), &put_err));
			break;
		case LH_KIND_OID:
			PUT(lh_pq_put_i64(w, leaf, rep, DatumGetObjectId(datum), &put_err));
			break;
		case LH_KIND_XID8:
			put_xid8(shape, leaf, rep, U64FromFullTransactionId(DatumGetFullTransactionId(datum)));
			break;
		case LH_KIND_FLOAT4:
			PUT(lh_pq_put_float(w, leaf, rep, DatumGetFloat4(datum), &put_err));
			break;
		case LH_KIND_FLOAT8:
			PUT(lh_pq_put_double(w, leaf, rep, DatumGetFloat8(datum), &put_err));
			break;
		case LH_KIND_DECIMAL:
			put_decimal(shape, type, datum, rep);
			break;
		case LH_KIND_TEXT:
			varlena = PG_DETOAST_DATUM_PACKED(datum);
			put_text(shape, type->node, rep, VARDATA_ANY(varlena), (int) VARSIZE_ANY_EXHDR(varlena));
			break;
		case LH_KIND_NAME:
			put_text(shape, type->node, rep, NameStr(*DatumGetName(datum)),
					 (int) strlen(NameStr(*DatumGetName(datum))));
			break;
		case LH_KIND_CHAR:
			put_char(shape, type->node, rep, DatumGetChar(datum));
			break;
		case LH_KIND_BYTES:
			varlena = PG_DETOAST_DATUM_PACKED(datum);
			PUT(lh_pq_put_bytes(w, leaf, rep, VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena), &put_err));
			break;
		case LH_KIND_FIXED:
		case LH_KIND_UUID:
			PUT(lh_pq_put_bytes(w, leaf, rep, DatumGetPointer(datum), type->len, &put_err));
			break;
		case LH_KIND_DATE:
			put_date(shape, leaf, rep, DatumGetDateADT(datum));
			break;
		case LH_KIND_TIME:
			put_time(shape, leaf, rep, DatumGetTimeADT(datum));
			break;
		case LH_KIND_TIMESTAMP:
		case LH_KIND_TIMESTAMPTZ:
			put_timestamp(shape, leaf, rep, DatumGetTimestamp(datum));
			break;
		case LH_KIND_INTERVAL:
			put_interval(shape, type, DatumGetIntervalP(datum), rep);
			break;
		case LH_KIND_NUMERIC:
		case LH_KIND_ENUM:
		case LH_KIND_IO:
		case LH_KIND_ARRAY:
		case LH_KIND_VECTOR:
		case LH_KIND_COMPOSITE:
			put_called(shape, type, datum, rep);
			break;
	}
}

void
lh_shape_put_row(LhShape *shape, LhPqWriter *writer, const Datum *values,
				 const bool *isnull, int64 row_id, TransactionId xmin)
{
	struct LhShapePrivate *priv = shape->priv;
	MemoryContext caller = MemoryContextSwitchTo(priv->scratch);

	priv->writer = writer;
	resetStringInfo(&priv->exact);

	for (int i = 0; i < shape->natts; i++)
	{
		const LhShapeAtt *att = &shape->atts[i];

		if (!att->live)
			continue;
		if (isnull[i])
		{
			put_null(shape, att->node, 0, 0);
			continue;
		}
		priv->inexact = false;
		put_value(shape, att->type, values[i], 0);
		if (unlikely(priv->inexact))
			lh_exact_append(&priv->exact, (AttrNumber) (i + 1), att->type, values[i]);
	}

	if (shape->row_id_leaf >= 0)
		PUT(lh_pq_put_i64(writer, shape->row_id_leaf, 0, row_id, &put_err));
	if (TransactionIdIsNormal(xmin))
		PUT(lh_pq_put_i64(writer, shape->xmin_leaf, 0, xmin, &put_err));
	else
		PUT(lh_pq_put_null(writer, shape->xmin_leaf, 0, 0, &put_err));
	if (likely(priv->exact.len == 0))
		PUT(lh_pq_put_null(writer, shape->exact_leaf, 0, 0, &put_err));
	else
		PUT(lh_pq_put_bytes(writer, shape->exact_leaf, 0, priv->exact.data, priv->exact.len, &put_err));
	PUT(lh_pq_end_row(writer, &put_err));

	MemoryContextSwitchTo(caller);
	MemoryContextReset(priv->scratch);
}
