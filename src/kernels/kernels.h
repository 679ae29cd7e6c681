/*
 * kernels.h
 *	  Public interface of the kernels layer: distances between vectors, by
 *	  element type and instruction set, behind one table of functions.
 *
 * The layer has no globals: whoever wants kernels owns an LhKernels and has
 * it filled once with what the processor can do.  Functions take lengths in
 * elements and read nothing beyond them, whatever the alignment.
 *
 * Sums are kept in float32, so sums beyond its range are infinite.  A row's
 * distance is the same, bit for bit, whether it is asked for alone or in a
 * batch; between instruction sets the last bits may differ.
 */
#ifndef LH_KERNELS_H
#define LH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what the processor can do ---- */

#define LH_CPU_AVX2			0x01	/* AVX2, FMA, F16C and BMI1 */
#define LH_CPU_AVX512		0x02	/* AVX-512 F, BW, DQ, VL */
#define LH_CPU_VPOPCNT		0x04	/* AVX-512 VPOPCNTDQ */
#define LH_CPU_VNNI			0x08	/* AVX-512 VNNI */
#define LH_CPU_VBMI			0x10	/* AVX-512 VBMI */
#define LH_CPU_NEON			0x20
#define LH_CPU_DOTPROD		0x40	/* Armv8.2 dot product */

/* Flags of this processor, as far as its operating system lets them be used. */
extern uint32_t lh_cpu_detect(void);

/* ---- dense vectors of floats ---- */

/* IEEE 754 binary16, as bits. */
typedef uint16_t LhHalf;

/* Element types of a pair (a, b). */
typedef enum LhPair
{
	LH_PAIR_F32,				/* float, float */
	LH_PAIR_F16,				/* LhHalf, LhHalf */
	LH_PAIR_F32_F16,			/* float, LhHalf: a query widened once */
	LH_N_PAIRS
} LhPair;

typedef enum LhMetric
{
	LH_METRIC_L2SQ,				/* sum of squared differences */
	LH_METRIC_IP,				/* inner product, not negated */
	LH_METRIC_L1,				/* sum of absolute differences */
	LH_N_METRICS
} LhMetric;

/* What a cosine is made of: ab / sqrt(aa * bb). */
typedef struct LhCosParts
{
	float		ab;
	float		aa;
	float		bb;
} LhCosParts;

typedef float (*LhDistFn) (size_t n, const void *a, const void *b);
typedef void (*LhCosFn) (size_t n, const void *a, const void *b, LhCosParts *parts);

/* One query against many rows, each given by its address: out[i] is row i's. */
typedef void (*LhDistManyFn) (size_t n, const void *query, const void *const *rows,
							  size_t n_rows, float *out);
/* ab[i] and bb[i]; aa is the query's own inner product. */
typedef void (*LhCosManyFn) (size_t n, const void *query, const void *const *rows,
							 size_t n_rows, float *ab, float *bb);

/* ---- sparse vectors: ascending indices, below INT32_MAX, and their values ---- */

typedef struct LhSparse
{
	size_t		n;
	const int32_t *indices;
	const float *values;
} LhSparse;

typedef float (*LhSparseFn) (const LhSparse *a, const LhSparse *b);

/* ---- the table ---- */

typedef struct LhKernels
{
	uint32_t	cpu;			/* the flags it was filled for */

	LhDistFn	dist[LH_N_PAIRS][LH_N_METRICS];
	LhCosFn		cos[LH_N_PAIRS];
	LhDistManyFn dist_many[LH_N_PAIRS][LH_N_METRICS];
	LhCosManyFn cos_many[LH_N_PAIRS];

	LhSparseFn	sparse[LH_N_METRICS];

	/* Bit strings of whole bytes. */
	uint64_t	(*hamming) (size_t n_bytes, const uint8_t *a, const uint8_t *b);
	void		(*jaccard) (size_t n_bytes, const uint8_t *a, const uint8_t *b,
							uint64_t *n_both, uint64_t *n_either);

	/* Conversions; narrowing rounds to nearest even, too large becomes infinite. */
	void		(*widen) (size_t n, const LhHalf *from, float *to);
	void		(*narrow) (size_t n, const float *from, LhHalf *to);

	/*
	 * Reads numbers that are each followed by a comma and maybe a blank, as
	 * the nearest floats, as long as lh_decimal_to_float() would take them and
	 * at most max; returns how many, with *text at what follows the last one.
	 * May take numbers that are zero as a float, too.
	 */
	size_t		(*decimals) (const char **text, const char *end, float *out, size_t max);
} LhKernels;

/* Fills every entry with the fastest function that needs no more than `cpu`. */
extern void lh_kernels_init(LhKernels *kernels, uint32_t cpu);

/* ---- single halves ---- */

extern float lh_half_to_float(LhHalf h);
extern LhHalf lh_float_to_half(float f);	/* to nearest even */

/* ---- numbers as text ---- */

/*
 * Reads a plain decimal number ("-12.5e-3") at s, which ends at `end`, as the
 * nearest float.  False where it is not sure: no plain number, too large or
 * too small, or so near the middle between two floats that more precision is
 * needed; strtof() decides then.  On success *next is behind the number.
 */
extern bool lh_decimal_to_float(const char *s, const char *end, const char **next, float *out);

/* ---- quantized vectors ---- */

typedef struct LhQuantKernels
{
	/* Sum of code[i] * query[i]; exact up to 60,000 elements. */
	int32_t		(*dot8) (size_t n, const uint8_t *code, const int8_t *query);

	/* Byte i of the code holds element i in its low half and element n_bytes + i in its high one. */
	int32_t		(*dot4) (size_t n_bytes, const uint8_t *code, const int8_t *query);

	/* The same of many codes with one query. */
	void		(*dots8) (size_t n, const uint8_t *const *codes, size_t n_codes, const int8_t *query, int32_t *out);
	void		(*dots4) (size_t n_bytes, const uint8_t *const *codes, size_t n_codes, const int8_t *query, int32_t *out);

	/* The query that a code itself makes, code - 128 and 2 * code - 15; the sum of its elements. */
	int32_t		(*expand8) (size_t n, const uint8_t *code, int8_t *query);
	int32_t		(*expand4) (size_t n_bytes, const uint8_t *code, int8_t *query);

	/* Walsh-Hadamard transform in place, not normalized; n is a power of two. */
	void		(*hadamard) (size_t n, float *x);

	/* What turns values into codes; scale() by the factor, and by -1 where the sign is 0x80 and not 0. */
	void		(*scale) (size_t n, float *x, float factor, const uint8_t *signs);
	void		(*subtract) (size_t n, float *x, const float *y);
	float		(*largest) (size_t n, const float *x);	/* of the absolute values */

	/* x * factor + middle rounded and cut off to a level from 0 to highest; and that without the middle. */
	void		(*levels) (size_t n, const float *x, float factor, float middle, int32_t highest,
						   uint8_t *level, float *rounded);

	/* x * factor rounded, which must not exceed 127; returns the sum. */
	int32_t		(*query8) (size_t n, const float *x, float factor, int8_t *query);

	/* Two levels below 16 to a byte, as dot4() wants them. */
	void		(*pack4) (size_t n_bytes, const uint8_t *level, uint8_t *code);
} LhQuantKernels;

extern void lh_quant_kernels_init(LhQuantKernels *kernels, uint32_t cpu);

#endif							/* LH_KERNELS_H */
