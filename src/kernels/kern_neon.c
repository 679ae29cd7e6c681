/*
 * kern_neon.c
 *	  The kernels for 64-bit ARM: four floats at a time.
 */
#include "kern_int.h"

#ifdef LH_KERN_ARM
#include <arm_neon.h>

typedef float32x4_t V;
typedef int32x4_t I;
typedef uint32x4_t M;

#define TARGET
#define LANES 4
#define MANY 4

/* ---- primitives ---- */

static inline V
v_zero(void)
{
	return vdupq_n_f32(0);
}

static inline V
v_set(float f)
{
	return vdupq_n_f32(f);
}

static inline V
v_load(const float *p)
{
	return vld1q_f32(p);
}

static inline V
v_part(const float *p, size_t n)
{
	float		lanes[LANES] = {0};

	__builtin_memcpy(lanes, p, n * sizeof(float));
	return vld1q_f32(lanes);
}

static inline V
v_load_half(const LhHalf *p)
{
	return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static inline V
v_part_half(const LhHalf *p, size_t n)
{
	return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(lh_kern_word((const uint8_t *) p, n * sizeof(LhHalf)))));
}

static inline V
v_add(V a, V b)
{
	return vaddq_f32(a, b);
}

static inline V
v_sub(V a, V b)
{
	return vsubq_f32(a, b);
}

static inline V
v_fma(V a, V b, V c)
{
	return vfmaq_f32(c, a, b);
}

static inline V
v_abs(V a)
{
	return vabsq_f32(a);
}

static inline float
v_sum(V a)
{
	return vaddvq_f32(a);
}

static inline void
v_finish(void)
{
}

static inline I
i_load(const int32_t *p)
{
	return vld1q_s32(p);
}

static inline M
i_match(I block, int32_t i)
{
	return vceqq_s32(block, vdupq_n_s32(i));
}

static inline bool
i_any(M match)
{
	return vmaxvq_u32(match) != 0;
}

static inline V
v_select(M match, V yes, V no)
{
	return vbslq_f32(match, yes, no);
}

#include "kern_dense_int.h"
#include "kern_sparse_int.h"

/* ---- bit strings ---- */

/* Bits set in each half of 16 bytes. */
static inline uint64x2_t
count_bits(uint8x16_t bytes)
{
	return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vcntq_u8(bytes))));
}

/* The bytes at p, at most 16 of the n that are left. */
static inline uint8x16_t
load_bits(const uint8_t *p, size_t n)
{
	uint8_t		bytes[16] = {0};

	if (n >= 16)
		return vld1q_u8(p);
	__builtin_memcpy(bytes, p, n);
	return vld1q_u8(bytes);
}

static uint64_t
hamming(size_t n_bytes, const uint8_t *a, const uint8_t *b)
{
	uint64x2_t	n = vdupq_n_u64(0);

	for (size_t i = 0; i < n_bytes; i += 16)
		n = vaddq_u64(n, count_bits(veorq_u8(load_bits(a + i, n_bytes - i), load_bits(b + i, n_bytes - i))));
	return vaddvq_u64(n);
}

static void
jaccard(size_t n_bytes, const uint8_t *a, const uint8_t *b, uint64_t *n_both, uint64_t *n_either)
{
	uint64x2_t	both = vdupq_n_u64(0);
	uint64x2_t	either = vdupq_n_u64(0);

	for (size_t i = 0; i < n_bytes; i += 16)
	{
		uint8x16_t	x = load_bits(a + i, n_bytes - i);
		uint8x16_t	y = load_bits(b + i, n_bytes - i);

		both = vaddq_u64(both, count_bits(vandq_u8(x, y)));
		either = vaddq_u64(either, count_bits(vorrq_u8(x, y)));
	}
	*n_both = vaddvq_u64(both);
	*n_either = vaddvq_u64(either);
}

/* ---- conversions ---- */

static void
widen(size_t n, const LhHalf *from, float *to)
{
	size_t		i = 0;

	for (; i + LANES <= n; i += LANES)
		vst1q_f32(to + i, v_load_half(from + i));
	for (; i < n; i++)
		to[i] = lh_half_to_float(from[i]);
}

static void
narrow(size_t n, const float *from, LhHalf *to)
{
	size_t		i = 0;

	for (; i + LANES <= n; i += LANES)
		vst1_u16(to + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from + i))));
	for (; i < n; i++)
		to[i] = lh_float_to_half(from[i]);
}

void
lh_kern_neon(LhKernels *kernels)
{
	fill_dense(kernels);
	fill_sparse(kernels);
	kernels->hamming = hamming;
	kernels->jaccard = jaccard;
	kernels->widen = widen;
	kernels->narrow = narrow;
}

#endif							/* LH_KERN_ARM */
