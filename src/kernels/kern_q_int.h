/*
 * kern_q_int.h
 *	  What the kernels on quantized vectors share: loops that the
 *	  compiler vectorises, compiled once for each instruction set.
 */
#ifndef LH_KERN_Q_INT_H
#define LH_KERN_Q_INT_H

#include "kern_int.h"

extern void lh_kern_q_portable(LhQuantKernels *kernels);
#ifdef LH_KERN_X86
extern void lh_kern_q_avx2(LhQuantKernels *kernels);
extern void lh_kern_q_vnni(LhQuantKernels *kernels);
#endif

/*
 * x := H x, not normalized; n is a power of two.
 */
#define LH_KERN_HADAMARD(name, attributes) \
attributes static void \
name(size_t n, float *x) \
{ \
	for (size_t half = 1; half < n; half *= 2) \
		for (size_t start = 0; start < n; start += 2 * half) \
		{ \
			float	   *a = x + start; \
			float	   *b = a + half; \
\
			for (size_t i = 0; i < half; i++) \
			{ \
				float		sum = a[i] + b[i]; \
				float		difference = a[i] - b[i]; \
\
				a[i] = sum; \
				b[i] = difference; \
			} \
		} \
}

#define LH_KERN_EXPAND(name8, name4, attributes) \
attributes static int32_t \
name8(size_t n, const uint8_t *code, int8_t *query) \
{ \
	int32_t		sum = 0; \
\
	for (size_t i = 0; i < n; i++) \
	{ \
		int8_t		q = (int8_t) (code[i] ^ 0x80); \
\
		query[i] = q; \
		sum += q; \
	} \
	return sum; \
} \
\
attributes static int32_t \
name4(size_t n_bytes, const uint8_t *code, int8_t *query) \
{ \
	int32_t		sum = 0; \
\
	for (size_t i = 0; i < n_bytes; i++) \
	{ \
		int8_t		low = (int8_t) (2 * (code[i] & 15) - 15); \
		int8_t		high = (int8_t) (2 * (code[i] >> 4) - 15); \
\
		query[i] = low; \
		query[n_bytes + i] = high; \
		sum += low + high; \
	} \
	return sum; \
}

#endif							/* LH_KERN_Q_INT_H */
