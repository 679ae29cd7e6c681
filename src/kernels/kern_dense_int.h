/*
 * kern_dense_int.h
 *	  The distance loops over floats and halves, written once.  Each
 *	  instruction set's file defines the primitives below and includes this.
 *
 *	TARGET				attribute of every function
 *	V, LANES			a vector of floats and how many it holds
 *	MANY				rows that a batch works on at once (registers!)
 *	v_zero()  v_load(p)  v_load_half(p)
 *	v_part(p, n)  v_part_half(p, n)	0 < n < LANES elements, the rest is zero
 *	v_add(a, b)  v_sub(a, b)  v_abs(a)
 *	v_fma(a, b, c)		a * b + c
 *	v_sum(a)			of all lanes, always in the same order
 *	v_finish()			before each return: leaves the registers fit for SSE code,
 *						which compilers see to only when they optimize
 *
 * Zeros behind the end add nothing to any of the sums.  Four sums run side by
 * side, because one would wait for each addition's result; the order in which
 * they are added up is the same in all functions, which is what makes a batch
 * agree with a single distance.
 *
 * `pair` and `metric` are constants at every call, and everything is inlined
 * into the functions at the end: no branch on them is left.
 *
 * Without primitives there is nothing.
 */
#ifdef LANES

#define INLINE TARGET static inline __attribute__((always_inline))
#define SUMS 4
#define STEP (SUMS * LANES)

#define EACH_SUM(s, statement) FOUR(s, statement)
#define EACH_ROW(r, statement) FOUR(r, if (r < rows) { statement; })

INLINE size_t
width_a(LhPair pair)
{
	return pair == LH_PAIR_F16 ? sizeof(LhHalf) : sizeof(float);
}

INLINE size_t
width_b(LhPair pair)
{
	return pair == LH_PAIR_F32 ? sizeof(float) : sizeof(LhHalf);
}

INLINE V
load(size_t width, const uint8_t *p)
{
	return width == sizeof(float) ? v_load((const float *) p) : v_load_half((const LhHalf *) p);
}

INLINE V
part(size_t width, const uint8_t *p, size_t n)
{
	return width == sizeof(float) ? v_part((const float *) p, n) : v_part_half((const LhHalf *) p, n);
}

/* Adds one vector's share to a sum. */
INLINE V
add_step(LhMetric metric, V sum, V a, V b)
{
	V			d;

	if (metric == LH_METRIC_IP)
		return v_fma(a, b, sum);
	d = v_sub(a, b);
	if (metric == LH_METRIC_L2SQ)
		return v_fma(d, d, sum);
	return v_add(sum, v_abs(d));
}

INLINE float
total(const V *sums)
{
	return v_sum(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
}

/* `rows` rows at once, a constant too. */
INLINE void
dist_rows(LhPair pair, LhMetric metric, const int rows, size_t n, const uint8_t *a,
		  const uint8_t *const *b, float *out)
{
	const size_t wa = width_a(pair);
	const size_t wb = width_b(pair);
	V			sums[4][SUMS];
	size_t		i = 0;

	EACH_ROW(r, EACH_SUM(s, sums[r][s] = v_zero()));
	for (; i + STEP <= n; i += STEP)
	{
		V			x[SUMS];

		EACH_SUM(s, x[s] = load(wa, a + (i + s * LANES) * wa));
		EACH_ROW(r, EACH_SUM(s, sums[r][s] = add_step(metric, sums[r][s], x[s],
													  load(wb, b[r] + (i + s * LANES) * wb))));
	}
	for (; i + LANES <= n; i += LANES)
	{
		V			x = load(wa, a + i * wa);

		EACH_ROW(r, sums[r][0] = add_step(metric, sums[r][0], x, load(wb, b[r] + i * wb)));
	}
	if (i < n)
	{
		V			x = part(wa, a + i * wa, n - i);

		EACH_ROW(r, sums[r][1] = add_step(metric, sums[r][1], x, part(wb, b[r] + i * wb, n - i)));
	}
	EACH_ROW(r, out[r] = total(sums[r]));
}

/* ab and bb, and aa where it is asked for; the order of sums as above. */
INLINE void
cos_row(LhPair pair, bool with_aa, size_t n, const uint8_t *a, const uint8_t *b, LhCosParts *parts)
{
	const size_t wa = width_a(pair);
	const size_t wb = width_b(pair);
	V			ab[SUMS];
	V			aa[SUMS];
	V			bb[SUMS];
	size_t		i = 0;

#define COS_STEP(s, x, y) \
	do { \
		V			x_ = (x); \
		V			y_ = (y); \
		ab[s] = v_fma(x_, y_, ab[s]); \
		bb[s] = v_fma(y_, y_, bb[s]); \
		if (with_aa) \
			aa[s] = v_fma(x_, x_, aa[s]); \
	} while (0)
	EACH_SUM(s, ab[s] = aa[s] = bb[s] = v_zero());
	for (; i + STEP <= n; i += STEP)
		EACH_SUM(s, COS_STEP(s, load(wa, a + (i + s * LANES) * wa), load(wb, b + (i + s * LANES) * wb)));
	for (; i + LANES <= n; i += LANES)
		COS_STEP(0, load(wa, a + i * wa), load(wb, b + i * wb));
	if (i < n)
		COS_STEP(1, part(wa, a + i * wa, n - i), part(wb, b + i * wb, n - i));
#undef COS_STEP
	parts->ab = total(ab);
	parts->bb = total(bb);
	parts->aa = with_aa ? total(aa) : 0;
}

/* Far enough ahead that a row's first lines arrive in time. */
INLINE void
prefetch_row(const uint8_t *row, size_t bytes)
{
	for (size_t at = 0; at < bytes && at < 512; at += 64)
		__builtin_prefetch(row + at);
}

INLINE void
dist_many_rows(LhPair pair, LhMetric metric, size_t n, const uint8_t *query,
			   const uint8_t *const *rows, size_t n_rows, float *out)
{
	size_t		i = 0;

	for (; i + MANY <= n_rows; i += MANY)
	{
		for (size_t r = i + MANY; r < i + 2 * MANY && r < n_rows; r++)
			prefetch_row(rows[r], n * width_b(pair));
		dist_rows(pair, metric, MANY, n, query, rows + i, out + i);
	}
	for (; i < n_rows; i++)
		dist_rows(pair, metric, 1, n, query, rows + i, out + i);
}

INLINE void
cos_many_rows(LhPair pair, size_t n, const uint8_t *query, const uint8_t *const *rows,
			  size_t n_rows, float *ab, float *bb)
{
	LhCosParts	parts;

	for (size_t i = 0; i < n_rows; i++)
	{
		if (i + 1 < n_rows)
			prefetch_row(rows[i + 1], n * width_b(pair));
		cos_row(pair, false, n, query, rows[i], &parts);
		ab[i] = parts.ab;
		bb[i] = parts.bb;
	}
}

/* ---- the functions of the table ---- */

#define DIST(name, pair, metric) \
	TARGET static float \
	dist_##name(size_t n, const void *a, const void *b) \
	{ \
		float		out; \
		const uint8_t *row = (const uint8_t *) b; \
		dist_rows(pair, metric, 1, n, (const uint8_t *) a, &row, &out); \
		v_finish(); \
		return out; \
	} \
	TARGET static void \
	many_##name(size_t n, const void *query, const void *const *rows, size_t n_rows, float *out) \
	{ \
		dist_many_rows(pair, metric, n, (const uint8_t *) query, (const uint8_t *const *) rows, \
					   n_rows, out); \
		v_finish(); \
	}

#define COS(name, pair) \
	TARGET static void \
	cos_##name(size_t n, const void *a, const void *b, LhCosParts *parts) \
	{ \
		cos_row(pair, true, n, (const uint8_t *) a, (const uint8_t *) b, parts); \
		v_finish(); \
	} \
	TARGET static void \
	cos_many_##name(size_t n, const void *query, const void *const *rows, size_t n_rows, \
					float *ab, float *bb) \
	{ \
		cos_many_rows(pair, n, (const uint8_t *) query, (const uint8_t *const *) rows, n_rows, ab, bb); \
		v_finish(); \
	}

#define PAIR(name, pair) \
	DIST(l2sq_##name, pair, LH_METRIC_L2SQ) \
	DIST(ip_##name, pair, LH_METRIC_IP) \
	DIST(l1_##name, pair, LH_METRIC_L1) \
	COS(name, pair)

PAIR(f32, LH_PAIR_F32)
PAIR(f16, LH_PAIR_F16)
PAIR(f32_f16, LH_PAIR_F32_F16)

static void
fill_dense(LhKernels *kernels)
{
#define FILL(name, pair) \
	kernels->dist[pair][LH_METRIC_L2SQ] = dist_l2sq_##name; \
	kernels->dist[pair][LH_METRIC_IP] = dist_ip_##name; \
	kernels->dist[pair][LH_METRIC_L1] = dist_l1_##name; \
	kernels->dist_many[pair][LH_METRIC_L2SQ] = many_l2sq_##name; \
	kernels->dist_many[pair][LH_METRIC_IP] = many_ip_##name; \
	kernels->dist_many[pair][LH_METRIC_L1] = many_l1_##name; \
	kernels->cos[pair] = cos_##name; \
	kernels->cos_many[pair] = cos_many_##name

	FILL(f32, LH_PAIR_F32);
	FILL(f16, LH_PAIR_F16);
	FILL(f32_f16, LH_PAIR_F32_F16);
#undef FILL
}

#endif							/* LANES */
