/*
 * kern_quant.c
 *	  Kernels on quantized vectors: every instruction set of this processor
 *	  against plain loops, on every length up to 2,100 at odd addresses, with
 *	  the bytes around them poisoned; the transform against its definition.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lh_test.h"

#define MAX_N	2100

static uint32_t random_state = 11;

static uint8_t
next_byte(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint8_t) (random_state >> 24);
}

static void
check_dots(const LhQuantKernels *kernels, size_t n)
{
	/* exactly as long as they may be read: the sanitizer sees what lies behind */
	uint8_t    *code_block = malloc(n + 1);
	int8_t	   *query_block = malloc(2 * n + 1);
	int8_t	   *expanded = malloc(2 * n);
	uint8_t    *code = code_block + 1;
	int8_t	   *query = query_block + 1;
	int32_t		sum8 = 0,
				sum4 = 0,
				own8 = 0,
				own4 = 0;
	bool		same = true;

	for (size_t i = 0; i < n; i++)
		code[i] = n % 7 == 0 ? 255 : next_byte();
	for (size_t i = 0; i < 2 * n; i++)
		query[i] = n % 7 == 0 ? 127 : (int8_t) (next_byte() % 255 - 127);
	for (size_t i = 0; i < n; i++)
	{
		sum8 += code[i] * query[i];
		sum4 += (code[i] & 15) * query[i] + (code[i] >> 4) * query[n + i];
		own8 += code[i] - 128;
		own4 += 2 * (code[i] & 15) - 15 + 2 * (code[i] >> 4) - 15;
	}
	same &= kernels->dot8(n, code, query) == sum8;
	same &= kernels->dot4(n, code, query) == sum4;
	same &= kernels->expand8(n, code, expanded) == own8;
	for (size_t i = 0; i < n; i++)
		same &= expanded[i] == code[i] - 128;
	same &= kernels->expand4(n, code, expanded) == own4;
	for (size_t i = 0; i < n; i++)
		same &= expanded[i] == 2 * (code[i] & 15) - 15 && expanded[n + i] == 2 * (code[i] >> 4) - 15;
	free(code_block);
	free(query_block);
	free(expanded);
	LH_CHECK(same);
}

/* Many codes at once: as one after the other. */
static void
check_many(const LhQuantKernels *kernels, size_t n)
{
	const uint8_t *codes[7];
	int8_t	   *query = malloc(2 * n);
	int32_t		out8[7],
				out4[7];
	bool		same = true;

	for (size_t i = 0; i < 2 * n; i++)
		query[i] = (int8_t) (next_byte() % 255 - 127);
	for (size_t c = 0; c < 7; c++)
	{
		uint8_t    *code = malloc(n);

		for (size_t i = 0; i < n; i++)
			code[i] = next_byte();
		codes[c] = code;
	}
	kernels->dots8(n, codes, n % 8, query, out8);
	kernels->dots4(n, codes, n % 8, query, out4);
	for (size_t c = 0; c < n % 8; c++)
		same &= out8[c] == kernels->dot8(n, codes[c], query) && out4[c] == kernels->dot4(n, codes[c], query);
	for (size_t c = 0; c < 7; c++)
		free((void *) (uintptr_t) codes[c]);
	free(query);
	LH_CHECK(same);
}

/* Values, scaled, centred and rounded, against what the header says. */
static void
check_values(const LhQuantKernels *kernels, size_t n)
{
	float	   *x = malloc(n * sizeof(float));
	float	   *y = malloc(n * sizeof(float));
	float	   *z = malloc(n * sizeof(float));
	uint8_t    *level = malloc(n);
	int8_t	   *query = malloc(n);
	uint8_t    *code = malloc(n / 2 + 1);
	float		max = 0;
	int32_t		sum;
	bool		same = true;

	for (size_t i = 0; i < n; i++)
	{
		x[i] = ((float) next_byte() - 120.3f) / 16;
		y[i] = (float) next_byte() / 8;
		max = fmaxf(max, fabsf(x[i]));
	}
	same &= kernels->largest(n, x) == max;
	memcpy(z, x, n * sizeof(float));
	for (size_t i = 0; i < n; i++)
		level[i] = next_byte() & 0x80;
	kernels->scale(n, z, 1.5f, level);
	for (size_t i = 0; i < n; i++)
		same &= z[i] == (level[i] ? -1.5f : 1.5f) * x[i];
	memcpy(z, y, n * sizeof(float));
	kernels->subtract(n, z, x);
	for (size_t i = 0; i < n; i++)
		same &= z[i] == y[i] - x[i];
	kernels->levels(n, x, 2.0f, 7.5f, 15, level, z);
	for (size_t i = 0; i < n; i++)
	{
		int			l = (int) floorf(x[i] * 2.0f + 8.0f);

		same &= level[i] == (l < 0 ? 0 : l > 15 ? 15 : l) && z[i] == level[i] - 7.5f;
	}
	kernels->pack4(n / 2, level, code);
	for (size_t i = 0; i < n / 2; i++)
		same &= (code[i] & 15) == level[i] && code[i] >> 4 == level[n / 2 + i];
	kernels->levels(n, x, 1000.0f, 128, 255, level, z);
	for (size_t i = 0; i < n; i++)
		same &= x[i] * 1000.0f > 128 ? level[i] == 255 : x[i] * 1000.0f < -129 ? level[i] == 0 : z[i] == level[i] - 128.0f;
	sum = kernels->query8(n, x, 127 / max, query);
	for (size_t i = 0; i < n; i++)
	{
		sum -= query[i];
		same &= fabsf(query[i] - x[i] * (127 / max)) < 0.501f;
	}
	same &= sum == 0;
	free(x);
	free(y);
	free(z);
	free(level);
	free(query);
	free(code);
	LH_CHECK(same);
}

/* H[i][j] is 1 or -1, by the number of bits that i and j have in common. */
static void
check_hadamard(const LhQuantKernels *kernels, size_t n)
{
	float	   *x = malloc(n * sizeof(float));
	float	   *y = malloc(n * sizeof(float));
	bool		same = true;

	for (size_t i = 0; i < n; i++)
		x[i] = y[i] = (float) next_byte() / 16;
	kernels->hadamard(n, y);
	for (size_t i = 0; i < n; i++)
	{
		double		sum = 0;

		for (size_t j = 0; j < n; j++)
			sum += __builtin_popcountll(i & j) % 2 ? -x[j] : x[j];
		same &= fabs(sum - y[i]) < 1e-2;
	}
	free(x);
	free(y);
	LH_CHECK(same);
}

static void
check_all(uint32_t cpu)
{
	LhQuantKernels kernels;

	lh_quant_kernels_init(&kernels, cpu);
	for (size_t n = 1; n <= MAX_N && !lh_test_failed(); n++)
	{
		check_dots(&kernels, n);
		check_many(&kernels, n);
		check_values(&kernels, n);
	}
	for (size_t n = 1; n <= 1024 && !lh_test_failed(); n *= 2)
		check_hadamard(&kernels, n);
}

LH_TEST(quant_portable)
{
	check_all(0);
}

LH_TEST(quant_avx2)
{
	if (!(lh_cpu_detect() & LH_CPU_AVX2))
		printf("skipped: no AVX2\n");
	else
		check_all(LH_CPU_AVX2);
}

LH_TEST(quant_best)
{
	check_all(lh_cpu_detect());
}
