/*
 * kern_q_x86.c
 *	  Dot products of quantized vectors by AVX2 and by AVX-512 VNNI, which
 *	  multiplies unsigned by signed bytes and sums four of them at once.
 */
#include "kern_q_int.h"

#ifdef LH_KERN_X86
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

/* Simple loops are left to the compiler; gcc vectorises them at -O3. */
#ifdef __clang__
#define FAST
#else
#define FAST __attribute__((optimize("O3", "no-trapping-math")))
#endif

/* ---- AVX2 ---- */

AVX2 static inline int32_t
sum_avx2(__m256i v)
{
	__m128i		x = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1));
	return _mm_cvtsi128_si32(x);
}

/* Products of full bytes need 16 bits each before they are added. */
AVX2 static int32_t
dot8_avx2(size_t n, const uint8_t *code, const int8_t *query)
{
	__m256i		sum = _mm256_setzero_si256();
	int32_t		rest = 0;
	size_t		i = 0;

	for (; i + 16 <= n; i += 16)
	{
		__m256i		c = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *) (code + i)));
		__m256i		q = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) (query + i)));

		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(c, q));
	}
	for (; i < n; i++)
		rest += (int32_t) code[i] * query[i];
	return sum_avx2(sum) + rest;
}

AVX2 static int32_t
dot4_avx2(size_t n_bytes, const uint8_t *code, const int8_t *query)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i		sum = _mm256_setzero_si256();
	int32_t		rest = 0;
	size_t		i = 0;

	for (; i + 32 <= n_bytes; i += 32)
	{
		__m256i		c = _mm256_loadu_si256((const __m256i *) (code + i));
		__m256i		low = _mm256_and_si256(c, nibble);
		__m256i		high = _mm256_and_si256(_mm256_srli_epi16(c, 4), nibble);
		__m256i		q0 = _mm256_loadu_si256((const __m256i *) (query + i));
		__m256i		q1 = _mm256_loadu_si256((const __m256i *) (query + n_bytes + i));
		__m256i		products = _mm256_add_epi16(_mm256_maddubs_epi16(low, q0),
												_mm256_maddubs_epi16(high, q1));

		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, ones));
	}
	for (; i < n_bytes; i++)
		rest += (int32_t) (code[i] & 15) * query[i] + (int32_t) (code[i] >> 4) * query[n_bytes + i];
	return sum_avx2(sum) + rest;
}

/* The transform of eight floats: sums in lanes whose bit of the mask is not set, differences in the others. */
AVX2 static inline __m256
hadamard8(__m256 v)
{
	__m256		w = _mm256_permute_ps(v, 0xb1);

	v = _mm256_blend_ps(_mm256_add_ps(v, w), _mm256_sub_ps(w, v), 0xaa);
	w = _mm256_permute_ps(v, 0x4e);
	v = _mm256_blend_ps(_mm256_add_ps(v, w), _mm256_sub_ps(w, v), 0xcc);
	w = _mm256_permute2f128_ps(v, v, 1);
	return _mm256_blend_ps(_mm256_add_ps(v, w), _mm256_sub_ps(w, v), 0xf0);
}

LH_KERN_HADAMARD(hadamard_small,)
LH_KERN_HADAMARD_WIDE(hadamard_avx2, AVX2, __m256, 8, _mm256_loadu_ps, _mm256_storeu_ps,
					  _mm256_add_ps, _mm256_sub_ps, hadamard8, hadamard_small)
LH_KERN_EXPAND(expand8_avx2, expand4_avx2, AVX2 FAST)
LH_KERN_MANY(dots8_avx2, dot8_avx2)
LH_KERN_MANY(dots4_avx2, dot4_avx2)
LH_KERN_VALUES(avx2, AVX2 FAST)

void
lh_kern_q_avx2(LhQuantKernels *kernels)
{
	kernels->dot8 = dot8_avx2;
	kernels->dot4 = dot4_avx2;
	kernels->dots8 = dots8_avx2;
	kernels->dots4 = dots4_avx2;
	kernels->expand8 = expand8_avx2;
	kernels->expand4 = expand4_avx2;
	kernels->hadamard = hadamard_avx2;
	fill_values_avx2(kernels);
}

/* ---- AVX-512 VNNI ---- */

/* The bytes at p, at most 64 of the n that are left. */
VNNI static inline __m512i
load_bytes(const void *p, size_t n)
{
	return n >= 64 ? _mm512_loadu_si512(p) :
		_mm512_maskz_loadu_epi8(((__mmask64) 1 << n) - 1, p);
}

/* Leaves the upper halves of registers clean: the code around uses SSE, which would wait for them. */
VNNI static inline int32_t
sum_vnni(__m512i v)
{
	int32_t		sum = _mm512_reduce_add_epi32(v);

	_mm256_zeroupper();
	return sum;
}

VNNI static int32_t
dot8_vnni(size_t n, const uint8_t *code, const int8_t *query)
{
	__m512i		sum = _mm512_setzero_si512();

	for (size_t i = 0; i < n; i += 64)
		sum = _mm512_dpbusd_epi32(sum, load_bytes(code + i, n - i), load_bytes(query + i, n - i));
	return sum_vnni(sum);
}

VNNI static int32_t
dot4_vnni(size_t n_bytes, const uint8_t *code, const int8_t *query)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	__m512i		low = _mm512_setzero_si512();
	__m512i		high = _mm512_setzero_si512();

	for (size_t i = 0; i < n_bytes; i += 64)
	{
		size_t		left = n_bytes - i;
		__m512i		c = load_bytes(code + i, left);

		low = _mm512_dpbusd_epi32(low, _mm512_and_si512(c, nibble), load_bytes(query + i, left));
		high = _mm512_dpbusd_epi32(high, _mm512_and_si512(_mm512_srli_epi16(c, 4), nibble),
								   load_bytes(query + n_bytes + i, left));
	}
	return sum_vnni(_mm512_add_epi32(low, high));
}

/* Codes that are multiplied side by side. */
#define ABREAST			4

VNNI static inline __m512i
add_nibbles(__m512i sum, __m512i code, __m512i q0, __m512i q1)
{
	const __m512i nibble = _mm512_set1_epi8(15);

	sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(code, nibble), q0);
	return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble), q1);
}

VNNI static void
dots8_vnni(size_t n, const uint8_t *const *codes, size_t n_codes, const int8_t *query, int32_t *out)
{
	size_t		c = 0;

	for (; c + ABREAST <= n_codes; c += ABREAST)
	{
		__m512i		sum[ABREAST];

		FOUR(k, sum[k] = _mm512_setzero_si512());
		for (size_t i = 0; i < n; i += 64)
		{
			__m512i		q = load_bytes(query + i, n - i);

			FOUR(k, sum[k] = _mm512_dpbusd_epi32(sum[k], load_bytes(codes[c + k] + i, n - i), q));
		}
		FOUR(k, out[c + k] = _mm512_reduce_add_epi32(sum[k]));
	}
	_mm256_zeroupper();
	for (; c < n_codes; c++)
		out[c] = dot8_vnni(n, codes[c], query);
}

VNNI static void
dots4_vnni(size_t n_bytes, const uint8_t *const *codes, size_t n_codes, const int8_t *query, int32_t *out)
{
	size_t		c = 0;

	for (; c + ABREAST <= n_codes; c += ABREAST)
	{
		__m512i		sum[ABREAST];

		FOUR(k, sum[k] = _mm512_setzero_si512());
		for (size_t i = 0; i < n_bytes; i += 64)
		{
			size_t		left = n_bytes - i;
			__m512i		q0 = load_bytes(query + i, left);
			__m512i		q1 = load_bytes(query + n_bytes + i, left);

			FOUR(k, sum[k] = add_nibbles(sum[k], load_bytes(codes[c + k] + i, left), q0, q1));
		}
		FOUR(k, out[c + k] = _mm512_reduce_add_epi32(sum[k]));
	}
	_mm256_zeroupper();
	for (; c < n_codes; c++)
		out[c] = dot4_vnni(n_bytes, codes[c], query);
}

VNNI static inline __m512
butterfly(__m512 v, __m512 w, __mmask16 differences)
{
	return _mm512_mask_sub_ps(_mm512_add_ps(v, w), differences, w, v);
}

VNNI static inline __m512
hadamard16(__m512 v)
{
	v = butterfly(v, _mm512_permute_ps(v, 0xb1), 0xaaaa);
	v = butterfly(v, _mm512_permute_ps(v, 0x4e), 0xcccc);
	v = butterfly(v, _mm512_shuffle_f32x4(v, v, 0xb1), 0xf0f0);
	return butterfly(v, _mm512_shuffle_f32x4(v, v, 0x4e), 0xff00);
}

LH_KERN_HADAMARD_WIDE(hadamard_512, VNNI, __m512, 16, _mm512_loadu_ps, _mm512_storeu_ps,
					  _mm512_add_ps, _mm512_sub_ps, hadamard16, hadamard_small)

VNNI static void
hadamard_vnni(size_t n, float *x)
{
	hadamard_512(n, x);
	_mm256_zeroupper();
}

void
lh_kern_q_vnni(LhQuantKernels *kernels)
{
	kernels->dot8 = dot8_vnni;
	kernels->dot4 = dot4_vnni;
	kernels->dots8 = dots8_vnni;
	kernels->dots4 = dots4_vnni;
	kernels->hadamard = hadamard_vnni;
}

#endif							/* LH_KERN_X86 */
