/*
 * kern_cpu.c
 *	  Which instruction sets this processor has, and the choice of kernels.
 *
 * x86 is asked by CPUID and XGETBV directly: the compilers' built-in tests
 * differ in the features they know by name.
 */
#include "kern_int.h"

#ifdef LH_KERN_X86
#include <cpuid.h>

/* Register states that the operating system saves, XCR0. */
#define XCR0_AVX		0x06
#define XCR0_AVX512		0xe6

static uint64_t
xgetbv(void)
{
	uint32_t	low,
				high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t) high << 32 | low;
}

static bool
has(uint32_t reg, uint32_t bits)
{
	return (reg & bits) == bits;
}

uint32_t
lh_cpu_detect(void)
{
	uint32_t	a, b, c, d;
	uint32_t	c1;
	uint64_t	saved;
	uint32_t	cpu = 0;

	if (!__get_cpuid(1, &a, &b, &c1, &d) || !has(c1, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C))
		return 0;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, bit_AVX2 | bit_BMI))
		return 0;
	saved = xgetbv();
	if ((saved & XCR0_AVX) != XCR0_AVX)
		return 0;
	cpu |= LH_CPU_AVX2;
	if ((saved & XCR0_AVX512) != XCR0_AVX512 ||
		!has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL))
		return cpu;
	cpu |= LH_CPU_AVX512;
	if (has(c, bit_AVX512VPOPCNTDQ))
		cpu |= LH_CPU_VPOPCNT;
	if (has(c, bit_AVX512VNNI))
		cpu |= LH_CPU_VNNI;
	if (has(c, bit_AVX512VBMI))
		cpu |= LH_CPU_VBMI;
	return cpu;
}

#elif defined(LH_KERN_ARM)
#ifdef __linux__
#include <sys/auxv.h>
#endif

/* NEON is part of every 64-bit ARM; the dot product came with Armv8.2. */
#define HWCAP_ASIMDDP_BIT	(1UL << 20)

uint32_t
lh_cpu_detect(void)
{
	uint32_t	cpu = LH_CPU_NEON;

#ifdef __linux__
	if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP_BIT)
		cpu |= LH_CPU_DOTPROD;
#endif
	return cpu;
}

#else

uint32_t
lh_cpu_detect(void)
{
	return 0;
}

#endif

/* Each better set replaces what it has of the ones before it. */
void
lh_kernels_init(LhKernels *kernels, uint32_t cpu)
{
	kernels->cpu = cpu;
	lh_kern_portable(kernels);
	kernels->decimals = lh_kern_decimals;
#ifdef LH_KERN_X86
	if (cpu & LH_CPU_AVX2)
	{
		lh_kern_avx2(kernels);
		lh_kern_decimal_avx2(kernels);
	}
	if (cpu & LH_CPU_AVX512)
		lh_kern_avx512(kernels);
	if ((cpu & LH_CPU_AVX512) && (cpu & LH_CPU_VPOPCNT))
		lh_kern_avx512_bits(kernels);
#endif
#ifdef LH_KERN_ARM
	if (cpu & LH_CPU_NEON)
		lh_kern_neon(kernels);
#endif
}
