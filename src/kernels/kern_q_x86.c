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

/* The transform's loops are left to the compiler; gcc vectorises them at -O3. */
#ifdef __clang__
#define FAST
#else
#define FAST __attribute__((optimize("O3")))
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

LH_KERN_HADAMARD(hadamard_avx2, AVX2 FAST)
LH_KERN_EXPAND(expand8_avx2, expand4_avx2, AVX2 FAST)

void
lh_kern_q_avx2(LhQuantKernels *kernels)
{
	kernels->dot8 = dot8_avx2;
	kernels->dot4 = dot4_avx2;
	kernels->expand8 = expand8_avx2;
	kernels->expand4 = expand4_avx2;
	kernels->hadamard = hadamard_avx2;
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

void
lh_kern_q_vnni(LhQuantKernels *kernels)
{
	kernels->dot8 = dot8_vnni;
	kernels->dot4 = dot4_vnni;
}

#endif							/* LH_KERN_X86 */
