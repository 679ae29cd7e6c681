/*
 * kern_sparse_int.h
 *	  Distances between sparse vectors, written once; included behind
 *	  kern_dense_int.h by each instruction set's file, which also defines
 *
 *	I					a vector of LANES int32
 *	i_load(p)			LANES indices
 *	M					which lanes
 *	i_match(block, i)	the M where block holds i
 *	i_any(match)		is any lane set?
 *	v_select(match, yes, no)
 *	v_set(f)			f in every lane
 *
 * b is taken a vector of indices at a time; each index of a that can lie in
 * it is compared with all of them at once and leaves its value in the lane it
 * meets.  Then a lane of b without a partner stands against zero, like an
 * index of a that met none.
 *
 * Without primitives there is nothing.
 */
#ifdef LANES

INLINE float
sparse_one(LhMetric metric, float x, float y)
{
	float		d = x - y;

	return metric == LH_METRIC_IP ? x * y : metric == LH_METRIC_L2SQ ? d * d : d < 0 ? -d : d;
}

INLINE float
sparse_dist(LhMetric metric, const LhSparse *a, const LhSparse *b)
{
	V			sum = v_zero();
	float		rest = 0;
	size_t		i = 0;
	size_t		k = 0;

	if (a->n > b->n)
	{
		const LhSparse *shorter = b;	/* each index of a costs a step */

		b = a;
		a = shorter;
	}
	for (; k + LANES <= b->n; k += LANES)
	{
		const I		block = i_load(b->indices + k);
		const int32_t last = b->indices[k + LANES - 1];
		V			partner = v_zero();

		for (; i < a->n && a->indices[i] <= last; i++)
		{
			M			match = i_match(block, a->indices[i]);

			partner = v_select(match, v_set(a->values[i]), partner);
			if (metric != LH_METRIC_IP && !i_any(match))
				rest += sparse_one(metric, a->values[i], 0);
		}
		sum = add_step(metric, sum, partner, v_load(b->values + k));
	}
	while (i < a->n || k < b->n)
	{
		const int32_t ia = i < a->n ? a->indices[i] : INT32_MAX;
		const int32_t ib = k < b->n ? b->indices[k] : INT32_MAX;
		const float x = ia <= ib ? a->values[i++] : 0;
		const float y = ib <= ia ? b->values[k++] : 0;

		rest += sparse_one(metric, x, y);
	}
	return v_sum(sum) + rest;
}

TARGET static float
sparse_l2sq(const LhSparse *a, const LhSparse *b)
{
	const float result = sparse_dist(LH_METRIC_L2SQ, a, b);

	v_finish();
	return result;
}

TARGET static float
sparse_ip(const LhSparse *a, const LhSparse *b)
{
	const float result = sparse_dist(LH_METRIC_IP, a, b);

	v_finish();
	return result;
}

TARGET static float
sparse_l1(const LhSparse *a, const LhSparse *b)
{
	const float result = sparse_dist(LH_METRIC_L1, a, b);

	v_finish();
	return result;
}

static void
fill_sparse(LhKernels *kernels)
{
	kernels->sparse[LH_METRIC_L2SQ] = sparse_l2sq;
	kernels->sparse[LH_METRIC_IP] = sparse_ip;
	kernels->sparse[LH_METRIC_L1] = sparse_l1;
}

#endif							/* LANES */
