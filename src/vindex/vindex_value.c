/*
 * vindex_value.c
 *	  What an index is of: type, distance, dimensions, as its operator class and
 *	  column say; values of length 1.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "vector/vector.h"
#include "vindex/vindex.h"

/* Types are known by name: they may be pgvector's, in whatever schema. */
LhVindexType
lh_vindex_type(Relation index)
{
	Oid			oid = TupleDescAttr(RelationGetDescr(index), 0)->atttypid;
	LhVindexType type = LH_VINDEX_NO_TYPE;
	HeapTuple	tuple;
	const char *name;

	if (oid == BITOID)
		return LH_VINDEX_BIT;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return LH_VINDEX_NO_TYPE;
	name = NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname);
	if (strcmp(name, "vector") == 0)
		type = LH_VINDEX_VECTOR;
	else if (strcmp(name, "halfvec") == 0)
		type = LH_VINDEX_HALFVEC;
	else if (strcmp(name, "sparsevec") == 0)
		type = LH_VINDEX_SPARSEVEC;
	ReleaseSysCache(tuple);
	return type;
}

/* An operator class says its distance by its first function, cosine by the norm beside it. */
LhVindexMetric
lh_vindex_metric(Relation index)
{
	char	   *name = get_func_name(index_getprocid(index, 1, 1));

	if (name == NULL)
		return LH_VINDEX_NO_METRIC;
	if (strstr(name, "l2_squared_distance"))
		return LH_VINDEX_L2;
	if (strstr(name, "negative_inner_product"))
		return OidIsValid(index_getprocid(index, 1, 2)) ? LH_VINDEX_COSINE : LH_VINDEX_IP;
	if (strcmp(name, "l1_distance") == 0)
		return LH_VINDEX_L1;
	if (strcmp(name, "hamming_distance") == 0)
		return LH_VINDEX_HAMMING;
	if (strcmp(name, "jaccard_distance") == 0)
		return LH_VINDEX_JACCARD;
	return LH_VINDEX_NO_METRIC;
}

void
lh_vindex_refuse_type(const char *method)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("type not supported for %s index", method)));
}

void
lh_vindex_refuse_metric(Relation index, const char *method)
{
	char	   *name = get_func_name(index_getprocid(index, 1, 1));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("distance function %s is not supported for %s index", name ? name : "?", method)));
}

/* The column's dimensions, which an index must have and may have no more than max of. */
uint32
lh_vindex_dims(Relation index, int max, const char *method)
{
	int			dims = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;

	if (dims < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column does not have dimensions")));
	if (dims > max)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("column cannot have more than %d dimensions for %s index", max, method)));
	return dims;
}

/* pgvector's message says a and b in this order. */
void
lh_vindex_check_dims(const char *what, uint32 a, uint32 b)
{
	if (unlikely(a != b))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different %s %u and %u", what, a, b)));
}

/* ---- values of length 1 ---- */

/* Squares sum up in floats as long as they are of a size that floats hold well. */
static double
square_of(uint32 n, const float *x)
{
	double		square = lh_kern.dist[LH_PAIR_F32][LH_METRIC_IP] (n, x, x);

	if (square > 1e-30 && square < 1e30)
		return square;
	square = 0;
	for (uint32 i = 0; i < n; i++)
		square += (double) x[i] * x[i];
	return square;
}

/* Four at a time, as compilers do not by themselves at -O2. */
static void
scale(uint32 n, const float *from, float factor, float *to)
{
	typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
	uint32		i = 0;

	for (; i + 4 <= n; i += 4)
		*(Four *) (to + i) = *(const Four *) (from + i) * factor;
	for (; i < n; i++)
		to[i] = from[i] * factor;
}

/* Scales n floats to it; false for a zero vector. */
bool
lh_vindex_normalize(uint32 n, const float *from, float *to)
{
	double		square = square_of(n, from);
	double		factor = 1 / sqrt(square);

	if (square == 0)
		return false;
	if (factor > 1e-30 && factor < 1e30)
		scale(n, from, (float) factor, to);
	else
		for (uint32 i = 0; i < n; i++)
			to[i] = (float) (from[i] * factor);
	return true;
}

/* The same as a new value of float or half; false and zeros for a zero vector. */
bool
lh_vindex_normalized(bool half, uint32 dims, const void *x, void **value)
{
	Size		bytes = (half ? sizeof(LhHalf) : sizeof(float)) * (Size) dims;
	float	   *wide;
	bool		valid;

	*value = palloc(bytes);
	if (half)
	{
		wide = palloc(sizeof(float) * (Size) dims);
		lh_kern.widen(dims, x, wide);
		valid = lh_vindex_normalize(dims, wide, wide);
		if (valid)
			lh_kern.narrow(dims, wide, *value);
		pfree(wide);
	}
	else
		valid = lh_vindex_normalize(dims, x, *value);
	if (!valid)
		memset(*value, 0, bytes);
	return valid;
}
