/*
 * kern_decimal_test.c
 *	  lh_decimal_to_float() against strtof(), on decimal strings of many
 *	  shapes.  LH_DECIMALS sets how many, 300,000 without it.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#include "lh_test.h"

static uint64_t random_state = 7;

static uint32_t
next_random(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (random_state >> 32);
}

static float
random_float(void)
{
	uint32_t	bits = next_random();
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return isfinite(f) ? f : 1.5f;
}

/* One of eight kinds of strings. */
static void
random_decimal(char *buf, size_t size, int kind)
{
	float		f = random_float();
	double		small = ((double) (int32_t) next_random() + (double) next_random() / 0x1p32) / 0x1p31;
	int			n;

	switch (kind)
	{
		case 0:					/* as embeddings are printed */
			snprintf(buf, size, "%.9g", (double) (float) small);
			break;
		case 1:
			snprintf(buf, size, "%.*g", 10 + (int) (next_random() % 16), small / (double) (1 + next_random() % 10000));
			break;
		case 2:
			snprintf(buf, size, "%.8f", small);
			break;
		case 3:
			snprintf(buf, size, "%.9g", (double) f);
			break;
		case 4:					/* the middle between two floats, and its neighbours */
			snprintf(buf, size, "%.*e", 8 + (int) (next_random() % 20), ((double) f + (double) nextafterf(f, 0)) / 2);
			break;
		case 5:
			snprintf(buf, size, "%.*f", (int) (next_random() % 40), (double) (float) small * (double) (next_random() % 1000));
			break;
		case 6:
			snprintf(buf, size, "%u%u.%ue%d", next_random(), next_random(), next_random(),
					 (int) (next_random() % 120) - 70);
			break;
		default:				/* digits at random */
			n = 1 + (int) (next_random() % 30);
			for (int i = 0; i < n; i++)
				buf[i] = "0123456789012345678900000000000..-+eE"[next_random() % 37];
			buf[n] = 0;
	}
}

LH_TEST(kern_decimal_nearest)
{
	const char *wanted = getenv("LH_DECIMALS");
	const long	n = wanted ? atol(wanted) : 300000;
	long		unsure[8] = {0};

	for (long i = 0; i < n; i++)
	{
		const int	kind = (int) (i % 8);
		char		text[128];
		char	   *exact;
		char	   *behind;
		const char *next = NULL;
		float		got = 0;
		float		nearest;
		size_t		len;

		random_decimal(text, sizeof(text) - 1, kind);
		len = strlen(text);
		nearest = strtof(text, &behind);
		/* Ends with its allocation, for the sanitizer. */
		exact = malloc(len);
		memcpy(exact, text, len);
		if (!lh_decimal_to_float(exact, exact + len, &next, &got))
			unsure[kind]++;
		else if (memcmp(&got, &nearest, sizeof(float)) != 0 || next - exact != behind - text)
			lh_test_fail(__FILE__, __LINE__, "\"%s\": %.9g, not %.9g", text, (double) got, (double) nearest);
		free(exact);
		LH_GIVE_UP();
	}
	/* Of what vectors are made of, next to nothing is left to strtof. */
	for (int kind = 0; kind < 3; kind++)
		LH_CHECK(unsure[kind] * 1000 <= n);
}

/* Lists with and without blanks, by each instruction set, up to their first rubbish. */
static void
check_list(const LhKernels *k, int n_wanted, bool blanks)
{
	char	   *text = malloc((size_t) n_wanted * 160 + 16);
	float	   *nearest = malloc(sizeof(float) * (size_t) (n_wanted + 1));
	float	   *got = malloc(sizeof(float) * (size_t) (n_wanted + 1));
	char	   *exact;
	const char *pos;
	size_t		len = 0;
	int			n = 0;

	while (n < n_wanted)
	{
		char		one[128];
		char	   *behind;
		const char *next;
		float		f;

		random_decimal(one, sizeof(one) - 1, (int) (next_random() % 7));
		nearest[n] = strtof(one, &behind);
		if (!lh_decimal_to_float(one, one + strlen(one), &next, &f) || *behind != 0)
			continue;
		len += (size_t) sprintf(text + len, blanks ? "%s, " : "%s,", one);
		n++;
	}
	len += (size_t) sprintf(text + len, "x,1,");
	exact = malloc(len);
	memcpy(exact, text, len);
	pos = exact;
	if (k->decimals(&pos, exact + len, got, (size_t) n + 1) != (size_t) n || *pos != 'x')
		lh_test_fail(__FILE__, __LINE__, "a list of %d numbers ends early", n);
	for (int i = 0; i < n && !lh_test_failed(); i++)
		if (memcmp(&got[i], &nearest[i], sizeof(float)) != 0)
			lh_test_fail(__FILE__, __LINE__, "number %d of a list: %.9g, not %.9g", i, (double) got[i], (double) nearest[i]);
	free(text);
	free(nearest);
	free(got);
	free(exact);
}

LH_TEST(kern_decimal_lists)
{
	LhKernels	k;

	for (int all = 0; all < 2; all++)
	{
		lh_kernels_init(&k, all ? lh_cpu_detect() : 0);
		for (int n = 0; n < 300 && !lh_test_failed(); n++)
			check_list(&k, n, n % 2 == 0);
		check_list(&k, 50000, false);
		LH_GIVE_UP();
	}
}

LH_TEST(kern_decimal_shapes)
{
	static const char *const refused[] = {
		"", "-", "+", ".", "-.", "e5", "1e", "1e+", "nan", "inf", "Infinity", "0x10", "1a", "--1", "1e500", "4e38", "1e-50"
	};
	static const struct
	{
		const char *text;
		float		value;
		size_t		len;
	}			taken[] = {
		{"1", 1, 1}, {"-0", -0.0f, 2}, {"+2.5", 2.5f, 4}, {"1.", 1, 2}, {".5", 0.5f, 2}, {"1,2", 1, 1},
		{"0.1]", 0.1f, 3}, {"1e3 ", 1000, 3}, {"00000000000000000000000000000012", 12, 32}, {"0e99999999999", 0, 13},
		{"0.000000000000000000000000000000000001", 1e-36f, 38}, {"1.2.3", 1.2f, 3}
	};
	const char *next;
	float		f;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (lh_decimal_to_float(refused[i], refused[i] + strlen(refused[i]), &next, &f))
			LH_FAIL("\"%s\" is taken for a plain number", refused[i]);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
	{
		const char *text = taken[i].text;

		if (!lh_decimal_to_float(text, text + strlen(text), &next, &f) ||
			memcmp(&f, &taken[i].value, sizeof(f)) != 0 || next != text + taken[i].len)
			LH_FAIL("\"%s\"", text);
	}
}
