/*
 * kern_avx512.c
 *	  The kernels for AVX-512: sixteen floats at a time, masks for the tails,
 *	  and counts of bits where VPOPCNTDQ is there too.
 */
#include "kern_int.h"

#ifdef LH_KERN_X86
#include <immintrin.h>

typedef __m512 V;
typedef __m512i I;
typedef __mmask16 M;

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define PRIMITIVE TARGET static inline
#define LANES 16
#define MANY 4

/* ---- primitives ---- */

PRIMITIVE V
v_zero(void)
{
	return _mm512_setzero_ps();
}

PRIMITIVE V
v_set(float f)
{
	return _mm512_set1_ps(f);
}

PRIMITIVE V
v_load(const float *p)
{
	return _mm512_loadu_ps(p);
}

PRIMITIVE __mmask16
first_lanes(size_t n)
{
	return (__mmask16) ((1u << n) - 1);
}

PRIMITIVE V
v_part(const float *p, size_t n)
{
	return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

PRIMITIVE V
v_load_half(const LhHalf *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p));
}

PRIMITIVE V
v_part_half(const LhHalf *p, size_t n)
{
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}

PRIMITIVE V
v_add(V a, V b)
{
	return _mm512_add_ps(a, b);
}

PRIMITIVE V
v_sub(V a, V b)
{
	return _mm512_sub_ps(a, b);
}

PRIMITIVE V
v_fma(V a, V b, V c)
{
	return _mm512_fmadd_ps(a, b, c);
}

PRIMITIVE V
v_abs(V a)
{
	return _mm512_abs_ps(a);
}

PRIMITIVE float
v_sum(V a)
{
	return _mm512_reduce_add_ps(a);
}

PRIMITIVE void
v_finish(void)
{
	_mm256_zeroupper();
}

PRIMITIVE I
i_load(const int32_t *p)
{
	return _mm512_loadu_si512(p);
}

PRIMITIVE M
i_match(I block, int32_t i)
{
	return _mm512_cmpeq_epi32_mask(block, _mm512_set1_epi32(i));
}

PRIMITIVE bool
i_any(M match)
{
	return match != 0;
}

PRIMITIVE V
v_select(M match, V yes, V no)
{
	return _mm512_mask_blend_ps(match, no, yes);
}

#include "kern_dense_int.h"
#include "kern_sparse_int.h"

/* ---- conversions ---- */

TARGET static void
widen(size_t n, const LhHalf *from, float *to)
{
	size_t		i = 0;

	for (; i + LANES <= n; i += LANES)
		_mm512_storeu_ps(to + i, v_load_half(from + i));
	if (i < n)
		_mm512_mask_storeu_ps(to + i, first_lanes(n - i), v_part_half(from + i, n - i));
	v_finish();
}

TARGET static void
narrow(size_t n, const float *from, LhHalf *to)
{
	size_t		i = 0;

	for (; i + LANES <= n; i += LANES)
		_mm256_storeu_si256((__m256i *) (to + i),
							_mm512_cvtps_ph(v_load(from + i), _MM_FROUND_TO_NEAREST_INT));
	if (i < n)
		_mm256_mask_storeu_epi16(to + i, first_lanes(n - i),
								 _mm512_cvtps_ph(v_part(from + i, n - i), _MM_FROUND_TO_NEAREST_INT));
	v_finish();
}

void
lh_kern_avx512(LhKernels *kernels)
{
	fill_dense(kernels);
	fill_sparse(kernels);
	kernels->widen = widen;
	kernels->narrow = narrow;
}

/* ---- bit strings ---- */

#define BITS_TARGET \
	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")))

/* The bytes at p, at most 64 of the n that are left. */
BITS_TARGET static inline __m512i
load_bits(const uint8_t *p, size_t n)
{
	return n >= 64 ? _mm512_loadu_si512(p) :
		_mm512_maskz_loadu_epi8(((__mmask64) 1 << n) - 1, p);
}

BITS_TARGET static uint64_t
hamming(size_t n_bytes, const uint8_t *a, const uint8_t *b)
{
	__m512i		n = _mm512_setzero_si512();
	uint64_t	sum;

	for (size_t i = 0; i < n_bytes; i += 64)
	{
		__m512i		x = load_bits(a + i, n_bytes - i);
		__m512i		y = load_bits(b + i, n_bytes - i);

		n = _mm512_add_epi64(n, _mm512_popcnt_epi64(_mm512_xor_si512(x, y)));
	}
	sum = (uint64_t) _mm512_reduce_add_epi64(n);
	_mm256_zeroupper();
	return sum;
}

BITS_TARGET static void
jaccard(size_t n_bytes, const uint8_t *a, const uint8_t *b, uint64_t *n_both, uint64_t *n_either)
{
	__m512i		both = _mm512_setzero_si512();
	__m512i		either = _mm512_setzero_si512();

	for (size_t i = 0; i < n_bytes; i += 64)
	{
		__m512i		x = load_bits(a + i, n_bytes - i);
		__m512i		y = load_bits(b + i, n_bytes - i);

		both = _mm512_add_epi64(both, _mm512_popcnt_epi64(_mm512_and_si512(x, y)));
		either = _mm512_add_epi64(either, _mm512_popcnt_epi64(_mm512_or_si512(x, y)));
	}
	*n_both = (uint64_t) _mm512_reduce_add_epi64(both);
	*n_either = (uint64_t) _mm512_reduce_add_epi64(either);
	_mm256_zeroupper();
}

void
lh_kern_avx512_bits(LhKernels *kernels)
{
	kernels->hamming = hamming;
	kernels->jaccard = jaccard;
}

#endif							/* LH_KERN_X86 */
