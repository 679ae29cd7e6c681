/*
 * ivf_value.c
 *	  Values as the index keeps them, and their distances.  Knows no pages but
 *	  those of the lists' centres.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varbit.h"

#include "ivfflat/ivf_int.h"
#include "vector/vector.h"

/* ---- what is indexed ---- */

IvfType
ivf_type_of(Relation index)
{
	Oid			type = TupleDescAttr(RelationGetDescr(index), 0)->atttypid;
	HeapTuple	tuple;
	char		name[NAMEDATALEN];

	if (type == BITOID)
		return IVF_BIT;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	strlcpy(name, HeapTupleIsValid(tuple) ? NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname) : "", sizeof(name));
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (strcmp(name, "vector") == 0)
		return IVF_VECTOR;
	if (strcmp(name, "halfvec") == 0)
		return IVF_HALFVEC;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("type not supported for ivfflat index")));
}

/* An operator class says its distance by its first function, cosine by the norm beside it. */
IvfMetric
ivf_metric_of(Relation index, IvfType type)
{
	char	   *name = get_func_name(index_getprocid(index, 1, 1));

	if (name && type == IVF_BIT && strcmp(name, "hamming_distance") == 0)
		return IVF_HAMMING;
	if (name && type != IVF_BIT && strstr(name, "l2_squared_distance"))
		return IVF_L2;
	if (name && type != IVF_BIT && strstr(name, "negative_inner_product"))
		return OidIsValid(index_getprocid(index, 1, 2)) ? IVF_COSINE : IVF_IP;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("distance function %s is not supported for ivfflat index", name ? name : "?")));
}

uint32
ivf_value_bytes(IvfType type, uint32 dims)
{
	switch (type)
	{
		case IVF_VECTOR:
			return dims * sizeof(float);
		case IVF_HALFVEC:
			return dims * sizeof(LhHalf);
		case IVF_BIT:
			break;
	}
	return (dims + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
}

/* ---- values ---- */

/* Scales n floats to length 1; false for a zero vector. */
bool
ivf_normalize(uint32 n, const float *from, float *to)
{
	double		square = 0;

	for (uint32 i = 0; i < n; i++)
		square += (double) from[i] * from[i];
	if (square == 0)
		return false;
	square = 1 / sqrt(square);
	for (uint32 i = 0; i < n; i++)
		to[i] = (float) (from[i] * square);
	return true;
}

static bool
normalized(const IvfShape *shape, const void *x, void **value)
{
	const float *from = x;
	float	   *to;
	bool		valid;

	*value = palloc0(shape->value_bytes);
	if (shape->type == IVF_VECTOR)
		return ivf_normalize(shape->dims, from, *value);
	to = palloc(sizeof(float) * shape->dims);
	lh_kern.widen(shape->dims, x, to);
	valid = ivf_normalize(shape->dims, to, to);
	if (valid)
		lh_kern.narrow(shape->dims, to, *value);
	pfree(to);
	return valid;
}

static void
check_dims(const char *what, uint32 expected, uint32 have)
{
	if (unlikely(have != expected))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different %s %u and %u", what, expected, have)));
}

/*
 * The bytes that the index keeps of a value, normalized for cosine; they may
 * lie inside the datum.  False if there is nothing to index: a zero vector
 * for cosine.
 */
bool
ivf_value(const IvfShape *shape, Datum datum, void **value)
{
	struct varlena *v = PG_DETOAST_DATUM(datum);

	switch (shape->type)
	{
		case IVF_VECTOR:
			check_dims("vector dimensions", shape->dims, ((LhVector *) v)->dim);
			*value = ((LhVector *) v)->x;
			break;
		case IVF_HALFVEC:
			check_dims("halfvec dimensions", shape->dims, ((LhHalfvec *) v)->dim);
			*value = ((LhHalfvec *) v)->x;
			break;
		case IVF_BIT:
			check_dims("bit lengths", shape->dims, VARBITLEN(v));
			*value = VARBITS(v);
			break;
	}
	return shape->metric != IVF_COSINE || normalized(shape, *value, value);
}

/* ---- distances ---- */

/* `work` has IvfWorkBytes; the query lives as long as it and the value. */
void
ivf_query(const IvfShape *shape, const void *value, void *work, IvfQuery *query)
{
	query->zero = false;
	query->value = value;
	if (shape->type == IVF_HALFVEC)
	{
		lh_kern.widen(shape->dims, value, work);
		query->value = work;
	}
}

void
ivf_score(const IvfShape *shape, const IvfQuery *query, const void *const *rows, int n, float *out)
{
	LhPair		pair = shape->type == IVF_HALFVEC ? LH_PAIR_F32_F16 : LH_PAIR_F32;

	if (query->zero)
	{
		memset(out, 0, sizeof(float) * n);
		return;
	}
	switch (shape->metric)
	{
		case IVF_L2:
			lh_kern.dist_many[pair][LH_METRIC_L2SQ] (shape->dims, query->value, rows, n, out);
			break;
		case IVF_IP:
		case IVF_COSINE:
			lh_kern.dist_many[pair][LH_METRIC_IP] (shape->dims, query->value, rows, n, out);
			for (int i = 0; i < n; i++)
				out[i] = -out[i];
			break;
		case IVF_HAMMING:
			for (int i = 0; i < n; i++)
				out[i] = (float) lh_kern.hamming(shape->value_bytes, query->value, rows[i]);
			break;
	}
}

/* The list that a row belongs to: of the nearest centre, the first of equal ones. */
int
ivf_nearest_list(Ivf *ivf, const IvfQuery *query)
{
	const void **rows = palloc(sizeof(void *) * ivf->slots_per_page);
	float	   *distances = palloc(sizeof(float) * ivf->slots_per_page);
	float		nearest = get_float4_infinity();
	int			list = 0;

	for (BlockNumber page = 0; page < IvfCenterPages(ivf); page++)
	{
		Buffer		buffer = ivf_read_page(ivf->index, IVF_CENTER_BLOCK + page, IVF_PAGE_CENTER, BUFFER_LOCK_SHARE);
		int			n = ivf_slots_on(ivf, IVF_CENTER_BLOCK + page);

		for (int i = 0; i < n; i++)
			rows[i] = IvfSlotCenter(IvfSlot(ivf, BufferGetPage(buffer), i));
		ivf_score(&ivf->shape, query, rows, n, distances);
		UnlockReleaseBuffer(buffer);
		for (int i = 0; i < n; i++)
			if (distances[i] < nearest)
			{
				nearest = distances[i];
				list = (int) page * ivf->slots_per_page + i;
			}
	}
	pfree(rows);
	pfree(distances);
	return list;
}
