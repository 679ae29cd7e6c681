/*
 * kern_avx2.c
 *	  The kernels for AVX2 with FMA and F16C: eight floats at a time.
 */
#include "kern_int.h"

#ifdef LH_KERN_X86
#include <immintrin.h>

typedef __m256 V;
typedef __m256i I;
typedef __m256 M;

#define TARGET __attribute__((target("avx2,fma,f16c,popcnt")))
#define PRIMITIVE TARGET static inline
#define LANES 8
#define MANY 2

/* ---- primitives ---- */

PRIMITIVE V
v_zero(void)
{
	return _mm256_setzero_ps();
}

PRIMITIVE V
v_set(float f)
{
	return _mm256_set1_ps(f);
}

PRIMITIVE V
v_load(const float *p)
{
	return _mm256_loadu_ps(p);
}

/* The first n lanes of eight zeros behind eight ones make the mask. */
PRIMITIVE V
v_part(const float *p, size_t n)
{
	static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

	return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *) (lanes + 8 - n)));
}

PRIMITIVE V
v_load_half(const LhHalf *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p));
}

PRIMITIVE V
v_part_half(const LhHalf *p, size_t n)
{
	uint64_t	low = lh_kern_word((const uint8_t *) p, n < 4 ? n * 2 : 8);
	uint64_t	high = n > 4 ? lh_kern_word((const uint8_t *) (p + 4), (n - 4) * 2) : 0;

	return _mm256_cvtph_ps(_mm_set_epi64x((long long) high, (long long) low));
}

PRIMITIVE V
v_add(V a, V b)
{
	return _mm256_add_ps(a, b);
}

PRIMITIVE V
v_sub(V a, V b)
{
	return _mm256_sub_ps(a, b);
}

PRIMITIVE V
v_fma(V a, V b, V c)
{
	return _mm256_fmadd_ps(a, b, c);
}

PRIMITIVE V
v_abs(V a)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

PRIMITIVE float
v_sum(V a)
{
	__m128		x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	x = _mm_add_ps(x, _mm_movehl_ps(x, x));
	x = _mm_add_ss(x, _mm_movehdup_ps(x));
	return _mm_cvtss_f32(x);
}

PRIMITIVE void
v_finish(void)
{
	_mm256_zeroupper();
}

PRIMITIVE I
i_load(const int32_t *p)
{
	return _mm256_loadu_si256((const __m256i *) p);
}

PRIMITIVE M
i_match(I block, int32_t i)
{
	return _mm256_castsi256_ps(_mm256_cmpeq_epi32(block, _mm256_set1_epi32(i)));
}

PRIMITIVE bool
i_any(M match)
{
	return _mm256_movemask_ps(match) != 0;
}

PRIMITIVE V
v_select(M match, V yes, V no)
{
	return _mm256_blendv_ps(no, yes, match);
}

#include "kern_dense_int.h"
#include "kern_sparse_int.h"

/* ---- bit strings: the processor counts a word's bits ---- */

TARGET static uint64_t
hamming(size_t n_bytes, const uint8_t *a, const uint8_t *b)
{
	uint64_t	n[4] = {0};
	size_t		i = 0;

	for (; i + 32 <= n_bytes; i += 32)
		for (int k = 0; k < 4; k++)
			n[k] += (uint64_t) _mm_popcnt_u64(lh_kern_word(a + i + 8 * k, 8) ^
											  lh_kern_word(b + i + 8 * k, 8));
	for (; i + 8 <= n_bytes; i += 8)
		n[0] += (uint64_t) _mm_popcnt_u64(lh_kern_word(a + i, 8) ^ lh_kern_word(b + i, 8));
	if (i < n_bytes)
		n[1] += (uint64_t) _mm_popcnt_u64(lh_kern_word(a + i, n_bytes - i) ^
										  lh_kern_word(b + i, n_bytes - i));
	return n[0] + n[1] + n[2] + n[3];
}

TARGET static void
jaccard(size_t n_bytes, const uint8_t *a, const uint8_t *b, uint64_t *n_both, uint64_t *n_either)
{
	uint64_t	both[2] = {0};
	uint64_t	either[2] = {0};
	size_t		i = 0;

	for (; i + 16 <= n_bytes; i += 16)
	{
		for (int k = 0; k < 2; k++)
		{
			const uint64_t x = lh_kern_word(a + i + 8 * k, 8);
			const uint64_t y = lh_kern_word(b + i + 8 * k, 8);

			both[k] += (uint64_t) _mm_popcnt_u64(x & y);
			either[k] += (uint64_t) _mm_popcnt_u64(x | y);
		}
	}
	for (; i < n_bytes; i += 8)
	{
		const size_t n = n_bytes - i < 8 ? n_bytes - i : 8;
		const uint64_t x = lh_kern_word(a + i, n);
		const uint64_t y = lh_kern_word(b + i, n);

		both[0] += (uint64_t) _mm_popcnt_u64(x & y);
		either[0] += (uint64_t) _mm_popcnt_u64(x | y);
	}
	*n_both = both[0] + both[1];
	*n_either = either[0] + either[1];
}

/* ---- conversions ---- */

TARGET static void
widen(size_t n, const LhHalf *from, float *to)
{
	size_t		i = 0;

	for (; i + LANES <= n; i += LANES)
		_mm256_storeu_ps(to + i, v_load_half(from + i));
	for (; i < n; i++)
		to[i] = _cvtsh_ss(from[i]);
	v_finish();
}

TARGET static void
narrow(size_t n, const float *from, LhHalf *to)
{
	size_t		i = 0;

	for (; i + LANES <= n; i += LANES)
		_mm_storeu_si128((__m128i *) (to + i),
						 _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
	for (; i < n; i++)
		to[i] = (LhHalf) _cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT);
	v_finish();
}

void
lh_kern_avx2(LhKernels *kernels)
{
	fill_dense(kernels);
	fill_sparse(kernels);
	kernels->hamming = hamming;
	kernels->jaccard = jaccard;
	kernels->widen = widen;
	kernels->narrow = narrow;
}

#endif							/* LH_KERN_X86 */
