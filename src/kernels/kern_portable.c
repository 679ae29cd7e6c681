/*
 * kern_portable.c
 *	  The kernels for any processor: four floats at a time by the compilers'
 *	  vector extension, which becomes SSE2 on x86.  The other instruction
 *	  sets' kernels are tested against these, and these against plain loops.
 */
#include "kern_int.h"

typedef float V __attribute__((vector_size(16)));
typedef int32_t I __attribute__((vector_size(16)));
typedef V M;

#define TARGET
#define LANES 4
#define MANY 2

/* ---- halves ---- */

static inline float
float_of_bits(uint32_t bits)
{
	float		f;

	__builtin_memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline uint32_t
bits_of_float(float f)
{
	uint32_t	bits;

	__builtin_memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/*
 * The half's exponent and fraction are moved to a float's place, and the
 * product with 2^112 mends the exponent, of subnormals too.
 */
static inline float
widen_half(LhHalf h)
{
	const uint32_t sign = (uint32_t) (h & 0x8000) << 16;
	const uint32_t magnitude = (uint32_t) (h & 0x7fff) << 13;
	float		f = float_of_bits(magnitude) * 0x1p112f;

	if ((h & 0x7c00) == 0x7c00)
		f = float_of_bits(0x7f800000 | magnitude);	/* infinite or NaN */
	return float_of_bits(bits_of_float(f) | sign);
}

float
lh_half_to_float(LhHalf h)
{
	return widen_half(h);
}

LhHalf
lh_float_to_half(float f)
{
	const uint32_t bits = bits_of_float(f);
	const uint32_t sign = (bits >> 16) & 0x8000;
	const uint32_t magnitude = bits & 0x7fffffff;
	uint32_t	half;

	if (magnitude > 0x7f800000)
		return (LhHalf) (sign | 0x7e00 | ((magnitude >> 13) & 0x1ff));	/* a quiet NaN */
	if (magnitude >= 0x47800000)
		return (LhHalf) (sign | 0x7c00);	/* 65536 and above */
	if (magnitude < 0x38800000)
	{
		/* Subnormal: adding 0.5 rounds to multiples of 2^-24, its last place. */
		half = bits_of_float(float_of_bits(magnitude) + 0.5f) - bits_of_float(0.5f);
	}
	else
	{
		half = (magnitude - (112u << 23));
		half = (half + 0xfff + ((half >> 13) & 1)) >> 13;	/* a carry makes the next exponent */
	}
	return (LhHalf) (sign | half);
}

/* ---- primitives ---- */

static inline V
v_set(float f)
{
	return (V) {f, f, f, f};
}

static inline V
v_zero(void)
{
	return v_set(0);
}

static inline V
v_load(const float *p)
{
	V			v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline V
v_part(const float *p, size_t n)
{
	return (V) {p[0], n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, 0};
}

static inline V
v_load_half(const LhHalf *p)
{
	return (V) {widen_half(p[0]), widen_half(p[1]), widen_half(p[2]), widen_half(p[3])};
}

static inline V
v_part_half(const LhHalf *p, size_t n)
{
	return (V) {widen_half(p[0]), n > 1 ? widen_half(p[1]) : 0, n > 2 ? widen_half(p[2]) : 0, 0};
}

static inline V
v_add(V a, V b)
{
	return a + b;
}

static inline V
v_sub(V a, V b)
{
	return a - b;
}

static inline V
v_fma(V a, V b, V c)
{
	return a * b + c;
}

static inline V
v_abs(V a)
{
	return (V) ((I) a & 0x7fffffff);
}

static inline float
v_sum(V a)
{
	return (a[0] + a[1]) + (a[2] + a[3]);
}

static inline void
v_finish(void)
{
}

static inline I
i_load(const int32_t *p)
{
	I			i;

	__builtin_memcpy(&i, p, sizeof(i));
	return i;
}

static inline M
i_match(I block, int32_t i)
{
	return (V) (block == (I) {i, i, i, i});
}

static inline bool
i_any(M match)
{
	I			m = (I) match;

	return (m[0] | m[1] | m[2] | m[3]) != 0;
}

static inline V
v_select(M match, V yes, V no)
{
	return (V) (((I) match & (I) yes) | (~(I) match & (I) no));
}

#include "kern_dense_int.h"
#include "kern_sparse_int.h"

/* ---- bit strings ---- */

static uint64_t
hamming(size_t n_bytes, const uint8_t *a, const uint8_t *b)
{
	uint64_t	n = 0;
	size_t		i = 0;

	for (; i + 8 <= n_bytes; i += 8)
		n += (uint64_t) __builtin_popcountll(lh_kern_word(a + i, 8) ^ lh_kern_word(b + i, 8));
	if (i < n_bytes)
		n += (uint64_t) __builtin_popcountll(lh_kern_word(a + i, n_bytes - i) ^
											 lh_kern_word(b + i, n_bytes - i));
	return n;
}

static void
jaccard(size_t n_bytes, const uint8_t *a, const uint8_t *b, uint64_t *n_both, uint64_t *n_either)
{
	uint64_t	both = 0;
	uint64_t	either = 0;

	for (size_t i = 0; i < n_bytes; i += 8)
	{
		const size_t n = n_bytes - i < 8 ? n_bytes - i : 8;
		const uint64_t x = lh_kern_word(a + i, n);
		const uint64_t y = lh_kern_word(b + i, n);

		both += (uint64_t) __builtin_popcountll(x & y);
		either += (uint64_t) __builtin_popcountll(x | y);
	}
	*n_both = both;
	*n_either = either;
}

/* ---- conversions ---- */

static void
widen(size_t n, const LhHalf *from, float *to)
{
	for (size_t i = 0; i < n; i++)
		to[i] = widen_half(from[i]);
}

static void
narrow(size_t n, const float *from, LhHalf *to)
{
	for (size_t i = 0; i < n; i++)
		to[i] = lh_float_to_half(from[i]);
}

void
lh_kern_portable(LhKernels *kernels)
{
	fill_dense(kernels);
	fill_sparse(kernels);
	kernels->hamming = hamming;
	kernels->jaccard = jaccard;
	kernels->widen = widen;
	kernels->narrow = narrow;
}
