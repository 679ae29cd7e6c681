/*
 * kern_q_int.h
 *	  What the kernels on quantized vectors share: loops that the
 *	  compiler vectorises, compiled once for each instruction set.
 */
#ifndef LH_KERN_Q_INT_H
#define LH_KERN_Q_INT_H

#include "kern_int.h"

#include <string.h>

extern void lh_kern_q_portable(LhQuantKernels *kernels);
#ifdef LH_KERN_X86
extern void lh_kern_q_avx2(LhQuantKernels *kernels);
extern void lh_kern_q_vnni(LhQuantKernels *kernels);
#endif

/* x := H x, not normalized; n is a power of two. */
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

/* Many codes, one after the other. */
#define LH_KERN_MANY(name, dot) \
static void \
name(size_t n, const uint8_t *const *codes, size_t n_codes, const int8_t *query, int32_t *out) \
{ \
	for (size_t i = 0; i < n_codes; i++) \
		out[i] = dot(n, codes[i], query); \
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

/*
 * The same a register at a time: `in_register` transforms the LANES floats of
 * one, then two steps are taken in each pass over memory.
 */
#define LH_KERN_HADAMARD_WIDE(name, attributes, V, LANES, load, store, add, sub, in_register, portable) \
attributes static void \
name(size_t n, float *x) \
{ \
	size_t		half = LANES; \
\
	if (n < LANES) \
	{ \
		portable(n, x); \
		return; \
	} \
	for (size_t i = 0; i < n; i += LANES) \
		store(x + i, in_register(load(x + i))); \
	for (; half * 4 <= n; half *= 4) \
		for (size_t start = 0; start < n; start += 4 * half) \
			for (size_t i = start; i < start + half; i += LANES) \
			{ \
				V			a = load(x + i); \
				V			b = load(x + i + half); \
				V			c = load(x + i + 2 * half); \
				V			d = load(x + i + 3 * half); \
				V			ab = add(a, b); \
				V			cd = add(c, d); \
				V			a_b = sub(a, b); \
				V			c_d = sub(c, d); \
\
				store(x + i, add(ab, cd)); \
				store(x + i + half, add(a_b, c_d)); \
				store(x + i + 2 * half, sub(ab, cd)); \
				store(x + i + 3 * half, sub(a_b, c_d)); \
			} \
	if (half < n) \
		for (size_t i = 0; i < half; i += LANES) \
		{ \
			V			a = load(x + i); \
			V			b = load(x + i + half); \
\
			store(x + i, add(a, b)); \
			store(x + i + half, sub(a, b)); \
		} \
}

#define LH_KERN_VALUES(suffix, attributes) \
attributes static void \
scale_##suffix(size_t n, float *x, float factor, const uint8_t *signs) \
{ \
	for (size_t i = 0; i < n; i++) \
	{ \
		float		scaled = x[i] * factor; \
		uint32_t	bits; \
\
		memcpy(&bits, &scaled, sizeof(bits)); \
		bits ^= (uint32_t) signs[i] << 24; \
		memcpy(x + i, &bits, sizeof(bits)); \
	} \
} \
\
attributes static void \
subtract_##suffix(size_t n, float *x, const float *y) \
{ \
	for (size_t i = 0; i < n; i++) \
		x[i] -= y[i]; \
} \
\
/* Floats without their signs are ordered as integers are. */ \
attributes static float \
largest_##suffix(size_t n, const float *x) \
{ \
	int32_t		max = 0; \
	float		result; \
\
	for (size_t i = 0; i < n; i++) \
	{ \
		int32_t		bits; \
\
		memcpy(&bits, x + i, sizeof(bits)); \
		bits &= 0x7fffffff; \
		max = bits > max ? bits : max; \
	} \
	memcpy(&result, &max, sizeof(result)); \
	return result; \
} \
\
attributes static void \
levels_##suffix(size_t n, const float *x, float factor, float middle, int32_t highest, uint8_t *level, float *rounded) \
{ \
	for (size_t i = 0; i < n; i++) \
	{ \
		int32_t		l = (int32_t) (x[i] * factor + (middle + 0.5f)); \
\
		l = l < 0 ? 0 : l; \
		l = l > highest ? highest : l; \
		level[i] = (uint8_t) l; \
		rounded[i] = (float) l - middle; \
	} \
} \
\
attributes static int32_t \
query8_##suffix(size_t n, const float *x, float factor, int8_t *query) \
{ \
	int32_t		sum = 0; \
\
	for (size_t i = 0; i < n; i++) \
	{ \
		int32_t		q = (int32_t) (x[i] * factor + 128.5f) - 128; \
\
		query[i] = (int8_t) q; \
		sum += q; \
	} \
	return sum; \
} \
\
attributes static void \
pack4_##suffix(size_t n_bytes, const uint8_t *level, uint8_t *code) \
{ \
	for (size_t i = 0; i < n_bytes; i++) \
		code[i] = (uint8_t) (level[i] | level[n_bytes + i] << 4); \
} \
\
static void \
fill_values_##suffix(LhQuantKernels *kernels) \
{ \
	kernels->scale = scale_##suffix; \
	kernels->subtract = subtract_##suffix; \
	kernels->largest = largest_##suffix; \
	kernels->levels = levels_##suffix; \
	kernels->query8 = query8_##suffix; \
	kernels->pack4 = pack4_##suffix; \
}

#endif							/* LH_KERN_Q_INT_H */
