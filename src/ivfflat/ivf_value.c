/*
 * ivf_value.c
 *	  Values as the index keeps them, and their distances.  Knows no pages but
 *	  those of the lists' centres.
 */
#include "postgres.h"

#include "access/genam.h"
#include "utils/varbit.h"

#include "ivfflat/ivf_int.h"
#include "vector/vector.h"

/* ---- what is indexed ---- */

IvfType
ivf_type_of(Relation index)
{
	switch (lh_vindex_type(index))
	{
		case LH_VINDEX_VECTOR:
			return IVF_VECTOR;
		case LH_VINDEX_HALFVEC:
			return IVF_HALFVEC;
		case LH_VINDEX_BIT:
			return IVF_BIT;
		default:
			lh_vindex_refuse_type("ivfflat");
	}
}

IvfMetric
ivf_metric_of(Relation index, IvfType type)
{
	LhVindexMetric metric = lh_vindex_metric(index);

	if (type == IVF_BIT && metric == LH_VINDEX_HAMMING)
		return IVF_HAMMING;
	if (type != IVF_BIT && metric == LH_VINDEX_L2)
		return IVF_L2;
	if (type != IVF_BIT && metric == LH_VINDEX_IP)
		return IVF_IP;
	if (type != IVF_BIT && metric == LH_VINDEX_COSINE)
		return IVF_COSINE;
	lh_vindex_refuse_metric(index, "ivfflat");
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
			lh_vindex_check_dims("vector dimensions", shape->dims, ((LhVector *) v)->dim);
			*value = ((LhVector *) v)->x;
			break;
		case IVF_HALFVEC:
			lh_vindex_check_dims("halfvec dimensions", shape->dims, ((LhHalfvec *) v)->dim);
			*value = ((LhHalfvec *) v)->x;
			break;
		case IVF_BIT:
			lh_vindex_check_dims("bit lengths", shape->dims, VARBITLEN(v));
			*value = VARBITS(v);
			break;
	}
	return shape->metric != IVF_COSINE ||
		lh_vindex_normalized(shape->type == IVF_HALFVEC, shape->dims, *value, value);
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
