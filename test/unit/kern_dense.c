/*
 * kern_dense.c
 *	  Each instruction set's kernels against the portable ones, on every
 *	  length, and those against plain loops in double.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#include "lh_test.h"

#define MAX_LEN 2100
#define N_ROWS 7

/* The sets to test: each adds to the one before it. */
static const struct
{
	const char *name;
	uint32_t	cpu;
}			sets[] = {
#if defined(__x86_64__)
	{"AVX2", LH_CPU_AVX2},
	{"AVX-512", LH_CPU_AVX2 | LH_CPU_AVX512},
	{"AVX-512 VPOPCNTDQ", LH_CPU_AVX2 | LH_CPU_AVX512 | LH_CPU_VPOPCNT},
#elif defined(__aarch64__)
	{"NEON", LH_CPU_NEON},
#else
	{"portable", 0},
#endif
};

static uint64_t random_state;

static uint32_t
next_random(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (random_state >> 32);
}

/* -1 .. 1, in steps that a half holds exactly. */
static float
next_float(void)
{
	return (float) ((int) (next_random() % 2049) - 1024) / 1024.0f;
}

/*
 * Vectors end where their allocation ends, so that the sanitizer sees a read
 * beyond; one allocation for each length and kind.
 */
typedef struct Operands
{
	size_t		n;
	float	   *f[N_ROWS + 1];
	LhHalf	   *h[N_ROWS + 1];
} Operands;

static void
make_operands(Operands *o, size_t n)
{
	o->n = n;
	for (int r = 0; r <= N_ROWS; r++)
	{
		o->f[r] = malloc(n * sizeof(float));
		o->h[r] = malloc(n * sizeof(LhHalf));
		for (size_t i = 0; i < n; i++)
		{
			o->f[r][i] = next_float();
			o->h[r][i] = lh_float_to_half(o->f[r][i]);
		}
	}
}

static void
free_operands(Operands *o)
{
	for (int r = 0; r <= N_ROWS; r++)
	{
		free(o->f[r]);
		free(o->h[r]);
	}
}

static const void *
operand_a(const Operands *o, LhPair pair)
{
	return pair == LH_PAIR_F16 ? (const void *) o->h[0] : o->f[0];
}

static const void *
operand_b(const Operands *o, LhPair pair, int row)
{
	return pair == LH_PAIR_F32 ? (const void *) o->f[row] : o->h[row];
}

/* The same in double; *size gets the sum of absolute values. */
static double
plain(const Operands *o, LhMetric metric, int row, double *size)
{
	double		sum = 0;

	*size = 1;
	for (size_t i = 0; i < o->n; i++)
	{
		double		a = o->f[0][i];
		double		b = o->f[row][i];
		double		one = metric == LH_METRIC_IP ? a * b :
			metric == LH_METRIC_L2SQ ? (a - b) * (a - b) : fabs(a - b);

		sum += one;
		*size += fabs(one);
	}
	return sum;
}

#define LH_NEAR(got, wanted, size, what, n) \
	do { \
		if (!(fabs((double) (got) - (double) (wanted)) <= 1e-6 * (size))) \
			LH_FAIL("%s at length %zu: %.9g, not %.9g", what, (size_t) (n), (double) (got), (double) (wanted)); \
	} while (0)

static void
check_pair(const LhKernels *k, const Operands *o, LhPair pair)
{
	const void *a = operand_a(o, pair);
	const void *rows[N_ROWS];
	float		many[N_ROWS];
	float		ab[N_ROWS];
	float		bb[N_ROWS];
	LhCosParts	parts;
	double		size;

	for (int r = 0; r < N_ROWS; r++)
		rows[r] = operand_b(o, pair, r + 1);
	for (int m = 0; m < LH_N_METRICS; m++)
	{
		double		wanted = plain(o, (LhMetric) m, 1, &size);

		LH_NEAR(k->dist[pair][m](o->n, a, rows[0]), wanted, size, "distance", o->n);
		k->dist_many[pair][m](o->n, a, rows, N_ROWS, many);
		for (int r = 0; r < N_ROWS; r++)
		{
			float		one = k->dist[pair][m](o->n, a, rows[r]);

			LH_EQ_MEM(&one, &many[r], sizeof(float));
		}
	}
	k->cos_many[pair](o->n, a, rows, N_ROWS, ab, bb);
	for (int r = 0; r < N_ROWS; r++)
	{
		float		ip = k->dist[pair][LH_METRIC_IP](o->n, a, rows[r]);

		k->cos[pair](o->n, a, rows[r], &parts);
		LH_EQ_MEM(&ip, &parts.ab, sizeof(float));
		LH_EQ_MEM(&ab[r], &parts.ab, sizeof(float));
		LH_EQ_MEM(&bb[r], &parts.bb, sizeof(float));
	}
	ab[0] = k->dist[pair == LH_PAIR_F16 ? LH_PAIR_F16 : LH_PAIR_F32][LH_METRIC_IP](o->n, a, a);
	LH_EQ_MEM(&ab[0], &parts.aa, sizeof(float));
}

/* Values that a half holds make all pairs agree to the bit. */
static void
check_pairs_agree(const LhKernels *k, const Operands *o)
{
	for (int m = 0; m < LH_N_METRICS; m++)
	{
		float		f32 = k->dist[LH_PAIR_F32][m](o->n, o->f[0], o->f[1]);
		float		f16 = k->dist[LH_PAIR_F16][m](o->n, o->h[0], o->h[1]);
		float		mixed = k->dist[LH_PAIR_F32_F16][m](o->n, o->f[0], o->h[1]);

		LH_EQ_MEM(&f32, &f16, sizeof(float));
		LH_EQ_MEM(&f32, &mixed, sizeof(float));
	}
}

static void
check_dense(uint32_t cpu)
{
	LhKernels	k;
	Operands	o;

	lh_kernels_init(&k, cpu);
	random_state = 1;
	for (size_t n = 1; n <= MAX_LEN && !lh_test_failed(); n++)
	{
		make_operands(&o, n);
		for (int p = 0; p < LH_N_PAIRS && !lh_test_failed(); p++)
			check_pair(&k, &o, (LhPair) p);
		if (!lh_test_failed())
			check_pairs_agree(&k, &o);
		free_operands(&o);
	}
}

LH_TEST(kern_dense_portable)
{
	check_dense(0);
}

LH_TEST(kern_dense_by_set)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
	{
		if ((lh_cpu_detect() & sets[i].cpu) != sets[i].cpu)
		{
			printf("skipped: this processor has no %s\n", sets[i].name);
			continue;
		}
		check_dense(sets[i].cpu);
		LH_GIVE_UP();
	}
}

LH_TEST(kern_dense_overflow_and_nan)
{
	const float big[3] = {3e38f, 3e38f, 1};
	const float neg[3] = {-3e38f, -3e38f, 1};
	const float zero[3] = {0};
	LhKernels	k;
	LhCosParts	parts;

	for (int all = 0; all < 2; all++)
	{
		lh_kernels_init(&k, all ? lh_cpu_detect() : 0);
		LH_CHECK(isinf(k.dist[LH_PAIR_F32][LH_METRIC_L2SQ](3, big, neg)));
		LH_CHECK(k.dist[LH_PAIR_F32][LH_METRIC_IP](3, big, neg) == -INFINITY);
		LH_CHECK(isinf(k.dist[LH_PAIR_F32][LH_METRIC_L1](3, big, neg)));
		k.cos[LH_PAIR_F32](3, big, zero, &parts);
		LH_CHECK(parts.ab == 0 && parts.bb == 0 && isinf(parts.aa));
		LH_CHECK(k.dist[LH_PAIR_F32][LH_METRIC_IP](0, NULL, NULL) == 0);
	}
}

/* ---- halves ---- */

/* Every half through both ways, and every tie between two halves. */
LH_TEST(kern_halves)
{
	LhKernels	k;
	LhHalf	   *h = malloc(65536 * sizeof(LhHalf));
	LhHalf	   *back = malloc(65536 * sizeof(LhHalf));
	float	   *f = malloc(65536 * sizeof(float));

	for (int i = 0; i < 65536; i++)
		h[i] = (LhHalf) i;
	for (int all = 0; all < 2; all++)
	{
		lh_kernels_init(&k, all ? lh_cpu_detect() : 0);
		k.widen(65535, h, f);
		k.narrow(65535, f, back);
		for (int i = 0; i < 65535; i++)
		{
			const int	exponent = (i >> 10) & 31;
			const int	fraction = i & 1023;
			double		wanted = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);

			if (exponent == 31 && fraction)
			{
				LH_CHECK(isnan(f[i]) && (back[i] & 0x7c00) == 0x7c00 && (back[i] & 1023));
				continue;
			}
			LH_CHECK(exponent == 31 ? isinf(f[i]) : fabs((double) f[i]) == wanted);
			LH_EQ_INT(signbit(f[i]) != 0, i >> 15);
			LH_EQ_INT(back[i], i);
			LH_CHECK(lh_half_to_float((LhHalf) i) == f[i]);
			LH_EQ_INT(lh_float_to_half(f[i]), i);
		}
		/* Halfway to the next one up goes to the even one; a bit more goes up. */
		for (int i = 0; i < 0x7c00; i++)
		{
			float		up = i == 0x7bff ? 65536.0f : f[i + 1];
			float		ties[2] = {(f[i] + up) / 2, nextafterf((f[i] + up) / 2, INFINITY)};
			LhHalf		got[2];

			k.narrow(2, ties, got);
			LH_EQ_INT(got[0], i + (i & 1));
			LH_EQ_INT(got[1], i + 1);
			LH_EQ_INT(lh_float_to_half(ties[0]), i + (i & 1));
			LH_EQ_INT(lh_float_to_half(ties[1]), i + 1);
		}
	}
	free(h);
	free(back);
	free(f);
}
