/*
 * kern_decimal_test.c
 *	  Decimal text to floats against strtof(), on strings of many shapes.  LH_DECIMALS sets how many, 300,000 without it.
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

/* One of N_KINDS kinds of strings; only the last one's may be no number. */
#define N_KINDS		11

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
		case 7:					/* whole numbers, many of them zeros */
			snprintf(buf, size, "%d", (int32_t) (next_random() & next_random()) >> (next_random() % 33 % 32));
			break;
		case 8:					/* every exponent that has two digits */
			snprintf(buf, size, "%.*e", (int) (next_random() % 18), small * pow(10, (int) (next_random() % 90) - 50));
			break;
		case 9:					/* about as long as a register is wide, with a point or none */
			n = (int) (next_random() % 4);
			snprintf(buf, size, "%s%0*.*f", n & 1 ? "-" : "", 24 + (int) (next_random() % 12), n & 2 ? (int) (next_random() % 20) : 0,
					 fabs(small) * (next_random() % 3 == 0 ? 1e15 : 10));
			break;
		default:				/* digits at random */
			n = 1 + (int) (next_random() % 30);
			for (int i = 0; i < n; i++)
				buf[i] = "0123456789012345678900000000000..-+eE"[next_random() % 37];
			buf[n] = 0;
	}
}

static long
decimals_wanted(void)
{
	const char *wanted = getenv("LH_DECIMALS");

	return wanted ? atol(wanted) : 300000;
}

LH_TEST(kern_decimal_nearest)
{
	const long	n = decimals_wanted();
	long		unsure[N_KINDS] = {0};

	for (long i = 0; i < n; i++)
	{
		const int	kind = (int) (i % N_KINDS);
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

/* A list of numbers of a kind, or of all kinds if it is negative, up to its first rubbish. */
static void
check_list(const LhKernels *k, int kind, int n_wanted, bool blanks)
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

		random_decimal(one, sizeof(one) - 1, kind < 0 ? (int) (next_random() % (N_KINDS - 1)) : kind);
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
	const long	n_wanted = decimals_wanted();
	LhKernels	k;

	for (int all = 0; all < 2; all++)
	{
		lh_kernels_init(&k, all ? lh_cpu_detect() : 0);
		for (int n = 0; n < 300 && !lh_test_failed(); n++)
			check_list(&k, -1, n, n % 2 == 0);
		for (long n = 0; n < n_wanted && !lh_test_failed(); n += 10000)
			check_list(&k, (int) (n / 10000 % N_KINDS) - 1, 10000, n / 10000 % 2 == 0);
		LH_GIVE_UP();
	}
}

/* What is no number ends a list, wherever it stands, and the list's end does. */
LH_TEST(kern_decimal_rubbish)
{
	static const char *const rubbish[] = {
		"", "-", ".", "-.", "e-05", "-e-05", ".e-05", "1e5e-05", "1e-0x", "1e-:5", "1e*05", "1-2", "1..2", "1.2.3", "--1",
		"+-1", "0x1p3", "nan", "-inf", "1 ", "  1", "1/2", "1:2", "1;", "1.2345678901234567890e-05x", "1\xb0", "1e+99", "999999999999e+29",
		"1.000000059604644775390626", "-16777217.000000001",	/* nearly in the middle between two floats */
		"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000.1.2"
	};
	LhKernels	k;

	for (int all = 0; all < 2; all++)
	{
		lh_kernels_init(&k, all ? lh_cpu_detect() : 0);
		for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++)
			for (int before = 0; before < 100; before++)
			{
				char		text[2048];
				float		got[200];
				size_t		len = 0;
				size_t		start;
				char	   *exact;
				const char *pos;
				size_t		n;

				for (int j = 0; j < before; j++)
					len += (size_t) sprintf(text + len, "%d.25, ", j % 30);
				start = len;
				len += (size_t) sprintf(text + len, "%s,", rubbish[i]);
				for (int j = 0; j < before % 50; j++)
					len += (size_t) sprintf(text + len, "7.5,");
				exact = malloc(len);
				memcpy(exact, text, len);
				pos = exact;
				n = k.decimals(&pos, exact + len, got, 200);
				if (n != (size_t) before || pos != exact + start || (n > 0 && got[n - 1] != (float) ((n - 1) % 30) + 0.25f))
					lh_test_fail(__FILE__, __LINE__, "\"%s\" behind %d numbers: %zu are read", rubbish[i], before, n);
				/* No more than there is room for. */
				pos = exact;
				if (k.decimals(&pos, exact + len, got, n / 2) != n / 2)
					lh_test_fail(__FILE__, __LINE__, "not %zu of %zu numbers", n / 2, n);
				free(exact);
				LH_GIVE_UP();
			}
	}
}

/* Short numbers, none at all, and lists of every length, to the byte. */
LH_TEST(kern_decimal_commas)
{
	static const char *const pieces[] = {"1.5,", "7,", "-1, ", ","};
	LhKernels	k;

	for (int all = 0; all < 2; all++)
	{
		lh_kernels_init(&k, all ? lh_cpu_detect() : 0);
		for (size_t n = 0; n < 2400; n += n < 200 ? 1 : 97)
			for (size_t i = 0; i < 4; i++)
			{
				const size_t len = strlen(pieces[i]);
				const size_t n_numbers = i < 3 ? n : 20;
				char	   *text = malloc(n * len + 40 + 1);
				float	   *got = malloc((n + 20) * sizeof(float));
				const char *pos;
				size_t		size = 0;

				for (size_t j = 0; i == 3 && j < 20; j++)
					size += (size_t) sprintf(text + size, "8,");
				for (size_t j = 0; j < n; j++, size += len)
					memcpy(text + size, pieces[i], len);
				text = realloc(text, size);
				pos = text;
				if (k.decimals(&pos, text + size, got, n + 20) != n_numbers)
					lh_test_fail(__FILE__, __LINE__, "not %zu of %zu times \"%s\"", n_numbers, n, pieces[i]);
				free(text);
				free(got);
				LH_GIVE_UP();
			}
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
