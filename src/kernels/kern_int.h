/*
 * kern_int.h
 *	  What the files of this folder share: each instruction set's function
 *	  that puts its kernels into the table.
 */
#ifndef LH_KERN_INT_H
#define LH_KERN_INT_H

#include "kernels/kernels.h"

#if defined(__x86_64__)
#define LH_KERN_X86 1
#elif defined(__aarch64__)
#define LH_KERN_ARM 1
#endif

extern void lh_kern_portable(LhKernels *kernels);
#ifdef LH_KERN_X86
extern void lh_kern_avx2(LhKernels *kernels);
extern void lh_kern_decimal_avx2(LhKernels *kernels);
extern void lh_kern_avx512(LhKernels *kernels);
extern void lh_kern_avx512_bits(LhKernels *kernels);
#endif
#ifdef LH_KERN_ARM
extern void lh_kern_neon(LhKernels *kernels);
#endif

/* LhKernels.decimals of any processor. */
extern size_t lh_kern_decimals(const char **text, const char *end, float *out, size_t max);

/*
 * Reads a word of up to 8 bytes; the missing ones are zero.  For the tails of
 * bit strings.
 */
static inline uint64_t
lh_kern_word(const uint8_t *p, size_t n)
{
	uint64_t	word = 0;

	__builtin_memcpy(&word, p, n);
	return word;
}

/*
 * The statement for i = 0 to 3.  A loop would be unrolled only by some
 * compilers, and its arrays kept in memory by the others.
 */
#define FOUR(i, statement) \
	do { \
		{ enum {i = 0}; statement; } \
		{ enum {i = 1}; statement; } \
		{ enum {i = 2}; statement; } \
		{ enum {i = 3}; statement; } \
	} while (0)

#endif							/* LH_KERN_INT_H */
