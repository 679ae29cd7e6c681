/*
 * kern_q_portable.c
 *	  Dot products of quantized vectors and the Walsh-Hadamard transform in
 *	  plain C, and the choice among instruction sets.
 */
#include "kern_q_int.h"

static int32_t
dot8(size_t n, const uint8_t *code, const int8_t *query)
{
	int32_t		sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (int32_t) code[i] * query[i];
	return sum;
}

static int32_t
dot4(size_t n_bytes, const uint8_t *code, const int8_t *query)
{
	int32_t		sum = 0;

	for (size_t i = 0; i < n_bytes; i++)
		sum += (int32_t) (code[i] & 15) * query[i] + (int32_t) (code[i] >> 4) * query[n_bytes + i];
	return sum;
}

LH_KERN_HADAMARD(hadamard,)
LH_KERN_EXPAND(expand8, expand4,)
LH_KERN_MANY(dots8, dot8)
LH_KERN_MANY(dots4, dot4)
LH_KERN_VALUES(portable,)

void
lh_kern_q_portable(LhQuantKernels *kernels)
{
	kernels->dot8 = dot8;
	kernels->dot4 = dot4;
	kernels->dots8 = dots8;
	kernels->dots4 = dots4;
	kernels->expand8 = expand8;
	kernels->expand4 = expand4;
	kernels->hadamard = hadamard;
	fill_values_portable(kernels);
}

/* Each better set replaces what it has of the ones before it. */
void
lh_quant_kernels_init(LhQuantKernels *kernels, uint32_t cpu)
{
	(void) cpu;					/* portable code only, where it is no x86 */
	lh_kern_q_portable(kernels);
#ifdef LH_KERN_X86
	if (cpu & LH_CPU_AVX2)
		lh_kern_q_avx2(kernels);
	if ((cpu & LH_CPU_AVX512) && (cpu & LH_CPU_VNNI))
		lh_kern_q_vnni(kernels);
#endif
}
