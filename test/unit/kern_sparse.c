/*
 * kern_sparse.c
 *	  Distances of sparse vectors and bit strings: each instruction set's
 *	  against plain loops over the dense form, on every length.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#include "lh_test.h"

#define MAX_LEN 2100

static uint64_t random_state;

static uint32_t
next_random(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (random_state >> 32);
}

static const uint32_t sets[] = {
	0, LH_CPU_AVX2, LH_CPU_AVX2 | LH_CPU_AVX512, LH_CPU_AVX2 | LH_CPU_AVX512 | LH_CPU_VPOPCNT, LH_CPU_NEON
};

/* n values among about n * spread dimensions, their dense form beside them. */
static void
make_sparse(LhSparse *s, size_t n, uint32_t spread, float *dense)
{
	int32_t    *indices = malloc(n ? n * sizeof(int32_t) : 1);
	float	   *values = malloc(n ? n * sizeof(float) : 1);
	int32_t		at = -1;

	for (size_t i = 0; i < n; i++)
	{
		at += 1 + (int32_t) (next_random() % (2 * spread - 1));
		indices[i] = at;
		values[i] = (float) ((int) (next_random() % 2049) - 1024) / 512.0f;
		dense[at] = values[i];
	}
	s->n = n;
	s->indices = indices;
	s->values = values;
}

static void
check_sparse(const LhKernels *k, size_t na, size_t nb, uint32_t spread_a, uint32_t spread_b)
{
	const size_t dims = 2 * (na * spread_a > nb * spread_b ? na * spread_a : nb * spread_b) + 1;
	float	   *x = calloc(dims, sizeof(float));
	float	   *y = calloc(dims, sizeof(float));
	double		wanted[LH_N_METRICS] = {0};
	double		size[LH_N_METRICS] = {1, 1, 1};
	LhSparse	a,
				b;

	make_sparse(&a, na, spread_a, x);
	make_sparse(&b, nb, spread_b, y);
	for (size_t i = 0; i < dims; i++)
	{
		wanted[LH_METRIC_L2SQ] += ((double) x[i] - y[i]) * ((double) x[i] - y[i]);
		wanted[LH_METRIC_IP] += (double) x[i] * y[i];
		size[LH_METRIC_IP] += fabs((double) x[i] * y[i]);
		wanted[LH_METRIC_L1] += fabs((double) x[i] - y[i]);
	}
	size[LH_METRIC_L2SQ] += wanted[LH_METRIC_L2SQ];
	size[LH_METRIC_L1] += wanted[LH_METRIC_L1];
	for (int m = 0; m < LH_N_METRICS; m++)
	{
		float		got = k->sparse[m](&a, &b);

		/* One by one, na sums of rounding errors. */
		if (!(fabs(got - wanted[m]) <= 1e-5 * size[m]))
			lh_test_fail(__FILE__, __LINE__, "metric %d of %zu and %zu values: %.9g, not %.9g",
						 m, na, nb, (double) got, wanted[m]);
	}
	free((void *) a.indices);
	free((void *) a.values);
	free((void *) b.indices);
	free((void *) b.values);
	free(x);
	free(y);
}

LH_TEST(kern_sparse_every_length)
{
	LhKernels	k;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
	{
		if ((lh_cpu_detect() & sets[i]) != sets[i])
			continue;
		lh_kernels_init(&k, sets[i]);
		random_state = 2;
		for (size_t n = 0; n <= MAX_LEN && !lh_test_failed(); n++)
		{
			check_sparse(&k, n, n, 2, 2);
			check_sparse(&k, n, next_random() % 100, 1 + next_random() % 3, 1 + next_random() % 9);
			check_sparse(&k, next_random() % 100, n, 1 + next_random() % 9, 1 + next_random() % 3);
		}
		LH_GIVE_UP();
	}
}

/* Of n_bytes random bytes each, counted bit by bit. */
static void
check_bits(const LhKernels *k, size_t n_bytes)
{
	uint8_t    *a = malloc(n_bytes ? n_bytes : 1);
	uint8_t    *b = malloc(n_bytes ? n_bytes : 1);
	uint64_t	differ = 0,
				both = 0,
				either = 0,
				got_both,
				got_either;

	for (size_t i = 0; i < n_bytes; i++)
	{
		a[i] = (uint8_t) next_random();
		b[i] = (uint8_t) (next_random() & next_random());
		for (int bit = 0; bit < 8; bit++)
		{
			differ += ((a[i] ^ b[i]) >> bit) & 1;
			both += ((a[i] & b[i]) >> bit) & 1;
			either += ((a[i] | b[i]) >> bit) & 1;
		}
	}
	k->jaccard(n_bytes, a, b, &got_both, &got_either);
	if (k->hamming(n_bytes, a, b) != differ || got_both != both || got_either != either)
		lh_test_fail(__FILE__, __LINE__, "bit counts of %zu bytes", n_bytes);
	free(a);
	free(b);
}

LH_TEST(kern_bits_every_length)
{
	LhKernels	k;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
	{
		if ((lh_cpu_detect() & sets[i]) != sets[i])
			continue;
		lh_kernels_init(&k, sets[i]);
		random_state = 3;
		for (size_t n = 0; n <= MAX_LEN && !lh_test_failed(); n++)
			check_bits(&k, n);
		LH_GIVE_UP();
	}
}
