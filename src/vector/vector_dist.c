/*
 * vector_dist.c
 *	  Distances as SQL functions: the kernels behind checks that the two
 *	  values fit together.
 */
#include "postgres.h"

#include <math.h>

#include "utils/varbit.h"

#include "vector_int.h"

/*
 * 1 - the cosine of the angle; NaN where a vector is zero or a sum infinite.
 * Rounding may carry the cosine over 1.
 */
static double
cosine_distance(double ab, double aa, double bb)
{
	double		similarity = ab / sqrt(aa * bb);

	if (similarity > 1)
		similarity = 1;
	else if (similarity < -1)
		similarity = -1;
	return 1 - similarity;
}

/* The angle between two unit vectors as a share of half a turn. */
static double
spherical_distance(double ip)
{
	if (ip > 1)
		ip = 1;
	else if (ip < -1)
		ip = -1;
	return acos(ip) / M_PI;
}

/* ---- vector and halfvec ---- */

#define DENSE_FUNCTIONS(type, Type, TYPE, pair) \
	LH_FUNCTION(lh_##type##_l2_distance); \
	LH_FUNCTION(lh_##type##_l2_squared_distance); \
	LH_FUNCTION(lh_##type##_inner_product); \
	LH_FUNCTION(lh_##type##_negative_inner_product); \
	LH_FUNCTION(lh_##type##_spherical_distance); \
	LH_FUNCTION(lh_##type##_l1_distance); \
	LH_FUNCTION(lh_##type##_cosine_distance); \
	static inline double \
	type##_dist(FunctionCallInfo fcinfo, LhMetric metric) \
	{ \
		Type	   *a = LH_GETARG_##TYPE(0); \
		Type	   *b = LH_GETARG_##TYPE(1); \
		lh_##type##_check_dims(a, b); \
		return lh_kern.dist[pair][metric]((size_t) a->dim, a->x, b->x); \
	} \
	Datum \
	lh_##type##_l2_distance(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_FLOAT8(sqrt(type##_dist(fcinfo, LH_METRIC_L2SQ))); \
	} \
	Datum \
	lh_##type##_l2_squared_distance(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_FLOAT8(type##_dist(fcinfo, LH_METRIC_L2SQ)); \
	} \
	Datum \
	lh_##type##_inner_product(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_FLOAT8(type##_dist(fcinfo, LH_METRIC_IP)); \
	} \
	Datum \
	lh_##type##_negative_inner_product(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_FLOAT8(-type##_dist(fcinfo, LH_METRIC_IP)); \
	} \
	Datum \
	lh_##type##_spherical_distance(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_FLOAT8(spherical_distance(type##_dist(fcinfo, LH_METRIC_IP))); \
	} \
	Datum \
	lh_##type##_l1_distance(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_FLOAT8(type##_dist(fcinfo, LH_METRIC_L1)); \
	} \
	Datum \
	lh_##type##_cosine_distance(PG_FUNCTION_ARGS) \
	{ \
		Type	   *a = LH_GETARG_##TYPE(0); \
		Type	   *b = LH_GETARG_##TYPE(1); \
		LhCosParts	parts; \
		lh_##type##_check_dims(a, b); \
		lh_kern.cos[pair]((size_t) a->dim, a->x, b->x, &parts); \
		PG_RETURN_FLOAT8(cosine_distance(parts.ab, parts.aa, parts.bb)); \
	}

DENSE_FUNCTIONS(vector, LhVector, VECTOR, LH_PAIR_F32)
DENSE_FUNCTIONS(halfvec, LhHalfvec, HALFVEC, LH_PAIR_F16)

/* ---- one dense value against many ---- */

enum
{
	PROBE_L2,
	PROBE_NEGATIVE_IP,
	PROBE_L1,
	PROBE_COSINE
};

bool
lh_probe_init(LhProbe *probe, PGFunction function, const void *value)
{
	static const struct
	{
		PGFunction	function;
		int			kind;
		LhPair		pair;
	}			known[] = {
		{lh_vector_l2_distance, PROBE_L2, LH_PAIR_F32},
		{lh_vector_negative_inner_product, PROBE_NEGATIVE_IP, LH_PAIR_F32},
		{lh_vector_l1_distance, PROBE_L1, LH_PAIR_F32},
		{lh_vector_cosine_distance, PROBE_COSINE, LH_PAIR_F32},
		{lh_halfvec_l2_distance, PROBE_L2, LH_PAIR_F16},
		{lh_halfvec_negative_inner_product, PROBE_NEGATIVE_IP, LH_PAIR_F16},
		{lh_halfvec_l1_distance, PROBE_L1, LH_PAIR_F16},
		{lh_halfvec_cosine_distance, PROBE_COSINE, LH_PAIR_F16},
	};

	for (int i = 0; i < lengthof(known); i++)
	{
		LhCosParts	parts;

		if (known[i].function != function)
			continue;
		probe->kind = known[i].kind;
		probe->pair = known[i].pair;
		probe->dim = ((const LhVector *) value)->dim;
		probe->x = ((const LhVector *) value)->x;
		lh_kern.cos[probe->pair] ((size_t) probe->dim, probe->x, probe->x, &parts);
		probe->square = parts.aa;
		return true;
	}
	return false;
}

double
lh_probe_distance(const LhProbe *probe, const void *value)
{
	const void *x = ((const LhVector *) value)->x;
	size_t		n = (size_t) probe->dim;
	float		ab,
				bb;

	switch (probe->kind)
	{
		case PROBE_L2:
			return sqrt((double) lh_kern.dist[probe->pair][LH_METRIC_L2SQ] (n, probe->x, x));
		case PROBE_NEGATIVE_IP:
			return -(double) lh_kern.dist[probe->pair][LH_METRIC_IP] (n, probe->x, x);
		case PROBE_L1:
			return lh_kern.dist[probe->pair][LH_METRIC_L1] (n, probe->x, x);
		default:
			lh_kern.cos_many[probe->pair] (n, probe->x, &x, 1, &ab, &bb);
			return cosine_distance(ab, probe->square, bb);
	}
}

/* ---- sparsevec ---- */

LH_FUNCTION(lh_sparsevec_l2_distance);
LH_FUNCTION(lh_sparsevec_l2_squared_distance);
LH_FUNCTION(lh_sparsevec_inner_product);
LH_FUNCTION(lh_sparsevec_negative_inner_product);
LH_FUNCTION(lh_sparsevec_l1_distance);
LH_FUNCTION(lh_sparsevec_cosine_distance);

static double
sparsevec_dist(FunctionCallInfo fcinfo, LhMetric metric)
{
	LhSparsevec *a = LH_GETARG_SPARSEVEC(0);
	LhSparsevec *b = LH_GETARG_SPARSEVEC(1);
	LhSparse	ka = lh_sparsevec_kern(a);
	LhSparse	kb = lh_sparsevec_kern(b);

	lh_sparsevec_check_dims(a, b);
	return lh_kern.sparse[metric](&ka, &kb);
}

Datum
lh_sparsevec_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sqrt(sparsevec_dist(fcinfo, LH_METRIC_L2SQ)));
}

Datum
lh_sparsevec_l2_squared_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sparsevec_dist(fcinfo, LH_METRIC_L2SQ));
}

Datum
lh_sparsevec_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sparsevec_dist(fcinfo, LH_METRIC_IP));
}

Datum
lh_sparsevec_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(-sparsevec_dist(fcinfo, LH_METRIC_IP));
}

Datum
lh_sparsevec_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sparsevec_dist(fcinfo, LH_METRIC_L1));
}

Datum
lh_sparsevec_cosine_distance(PG_FUNCTION_ARGS)
{
	LhSparsevec *a = LH_GETARG_SPARSEVEC(0);
	LhSparsevec *b = LH_GETARG_SPARSEVEC(1);
	LhSparse	ka = lh_sparsevec_kern(a);
	LhSparse	kb = lh_sparsevec_kern(b);
	LhDistFn	ip = lh_kern.dist[LH_PAIR_F32][LH_METRIC_IP];

	lh_sparsevec_check_dims(a, b);
	PG_RETURN_FLOAT8(cosine_distance(lh_kern.sparse[LH_METRIC_IP](&ka, &kb),
									 ip(ka.n, ka.values, ka.values),
									 ip(kb.n, kb.values, kb.values)));
}

/* ---- bit ---- */

LH_FUNCTION(lh_hamming_distance);
LH_FUNCTION(lh_jaccard_distance);

Datum
lh_hamming_distance(PG_FUNCTION_ARGS)
{
	VarBit	   *a = PG_GETARG_VARBIT_P(0);
	VarBit	   *b = PG_GETARG_VARBIT_P(1);

	lh_bit_check_lengths(VARBITLEN(a), VARBITLEN(b));
	PG_RETURN_FLOAT8((double) lh_kern.hamming(VARBITBYTES(a), VARBITS(a), VARBITS(b)));
}

/* Bits set in one but not both, of those set in any; 1 where none is in both. */
Datum
lh_jaccard_distance(PG_FUNCTION_ARGS)
{
	VarBit	   *a = PG_GETARG_VARBIT_P(0);
	VarBit	   *b = PG_GETARG_VARBIT_P(1);
	uint64_t	both;
	uint64_t	either;

	lh_bit_check_lengths(VARBITLEN(a), VARBITLEN(b));
	lh_kern.jaccard(VARBITBYTES(a), VARBITS(a), VARBITS(b), &both, &either);
	PG_RETURN_FLOAT8(both == 0 ? 1 : 1 - (double) both / (double) either);
}
