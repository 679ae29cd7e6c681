/*
 * kern_decimal_x86.c
 *	  Lists of decimal numbers to floats by AVX2; the arithmetic is told in
 *	  kern_decimal_int.h.
 *
 * How long numbers are and where their points stand changes from one to the
 * next, so nothing here branches on it.  First all commas of a stretch of text
 * are found, which tells where numbers begin and end without reading any: so the
 * processor works on many at once.  Each number is loaded by its end, so that
 * its last digit stands in a register's last byte, whatever the length, and four
 * numbers are put together side by side.  Where one of the four is of another
 * form than "-12.5" or "-12.5e-05", or in doubt, they are read one by one.
 */
#include "kern_decimal_int.h"

#ifdef LH_KERN_X86
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma,bmi,popcnt")))

#define WIDTH			32		/* characters of a register; a number has fewer */
#define BLOCK			64		/* characters whose commas make a word */
#define STRETCH			(16 * BLOCK)
#define GROUP			4		/* numbers, and commas, taken at once */

AVX2 static inline __m256i
load(const void *p)
{
	return _mm256_loadu_si256(p);
}

/* ---- commas ---- */

AVX2 static inline uint32_t
find(const char *p, char c)
{
	return (uint32_t) _mm256_movemask_epi8(_mm256_cmpeq_epi8(load(p), _mm256_set1_epi8(c)));
}

/*
 * Where the commas of n_blocks blocks are; how many.  Writes whole groups, since
 * how many groups a block has hardly changes: `at` needs room for one more.
 */
AVX2 static inline size_t
find_commas(const char *text, size_t n_blocks, uint16_t *at)
{
	size_t		n = 0;

	for (size_t block = 0; block < n_blocks * BLOCK; block += BLOCK)
	{
		uint64_t	found = find(text + block, ',') | (uint64_t) find(text + block + WIDTH, ',') << WIDTH;
		const size_t n_after = n + (size_t) __builtin_popcountll(found);

		for (; n < n_after; n += GROUP)
			FOUR(i, at[n + i] = (uint16_t) (block + _tzcnt_u64(found)); found = _blsr_u64(found));
		n = n_after;
	}
	return n;
}

/* ---- one number's digits ---- */

/* Ones amid zeros: bytes that count are cut out of a register by a part of them. */
static const int8_t ones[3 * WIDTH] = {
	[WIDTH] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
};

AVX2 static inline __m256i
last_bytes(size_t n)
{
	return load(ones + n);
}

AVX2 static inline __m256i
all_but_last_bytes(size_t n)
{
	return load(ones + WIDTH + n);
}

/* An exponent of two digits, as programs print it, is taken off the number's end. */
static inline bool
take_exponent(const char **end, ptrdiff_t *e)
{
	const unsigned tens = (unsigned char) ((*end)[-2] - '0');
	const unsigned units = (unsigned char) ((*end)[-1] - '0');
	const char	sign = (*end)[-3];

	if (tens > 2 || units > 9 || (sign != '-' && sign != '+'))
		return false;
	*e = (ptrdiff_t) (tens * 10 + units) * (sign == '-' ? -1 : 1);
	*end -= 4;
	return true;
}

/*
 * The number from s to `end`, whose 33 characters before `end` may be read: its
 * digits, the last one last, and what they are to be multiplied by.  False where
 * it has none, or too many.  Whether they are digits is not looked at.
 */
AVX2 static inline bool
take_number(const char *s, const char *end, __m256i *digits, const double **factor)
{
	const bool	negative = *s == '-';
	ptrdiff_t	e = 0;
	size_t		n;
	size_t		n_behind;
	bool		point;
	__m256i		x;

	if (__builtin_expect(end[-4] == 'e', 0) && !take_exponent(&end, &e))
		return false;
	n = (size_t) (end - s) - negative;
	n_behind = (size_t) __builtin_clz(find(end - WIDTH, '.') | 1);
	point = n_behind < n;
	if (n >= WIDTH || n == point)
		return false;
	n -= point;
	n_behind = point ? n_behind : WIDTH;
	*factor = &powers[negative][MAX_POWER + e - (ptrdiff_t) (n_behind % WIDTH)];

	/* What stands before the point moves over it: that is loaded from a byte before. */
	x = load(end - WIDTH);
	x ^= (x ^ load(end - WIDTH - 1)) & all_but_last_bytes(n_behind);
	*digits = _mm256_sub_epi8(x, _mm256_set1_epi8('0')) & last_bytes(n);
	return true;
}

/* ---- four numbers ---- */

/* Pairs, fours and eights of digits are put together. */
AVX2 static inline __m256i
eights(__m256i a, __m256i b)
{
	const __m256i tens = _mm256_set1_epi16(10 | 1 << 8);
	const __m256i hundreds = _mm256_set1_epi32(100 | 1 << 16);
	const __m256i ten_thousands = _mm256_set1_epi32(10000 | 1 << 16);

	a = _mm256_madd_epi16(_mm256_maddubs_epi16(a, tens), hundreds);
	b = _mm256_madd_epi16(_mm256_maddubs_epi16(b, tens), hundreds);
	return _mm256_madd_epi16(_mm256_packus_epi32(a, b), ten_thousands);
}

/* The numbers that four times 32 digits make, off by three parts of 2^53 at most. */
AVX2 static inline __m256d
values_of(const __m256i *digits)
{
	const __m256d m = _mm256_set1_pd(1e8);
	const __m256 ab = _mm256_castsi256_ps(eights(digits[0], digits[1]));
	const __m256 cd = _mm256_castsi256_ps(eights(digits[2], digits[3]));
	/* The first and third eight of each, the second and fourth. */
	const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)));
	const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
	__m256d		d = _mm256_cvtepi32_pd(_mm256_castsi256_si128(odd));

	d = _mm256_fmadd_pd(d, m, _mm256_cvtepi32_pd(_mm256_castsi256_si128(even)));
	d = _mm256_fmadd_pd(d, m, _mm256_cvtepi32_pd(_mm256_extracti128_si256(odd, 1)));
	return _mm256_fmadd_pd(d, m, _mm256_cvtepi32_pd(_mm256_extracti128_si256(even, 1)));
}

AVX2 static inline bool
all_digits(const __m256i *digits)
{
	const __m256i largest = _mm256_max_epu8(_mm256_max_epu8(digits[0], digits[1]), _mm256_max_epu8(digits[2], digits[3]));
	const __m256i beyond = _mm256_subs_epu8(largest, _mm256_set1_epi8(9));

	return _mm256_testz_si256(beyond, beyond);
}

/* The four numbers from *s to the given commas of the text, and *s behind them; or false. */
AVX2 static inline bool
four_numbers(const char **s, const char *text, const uint16_t *commas, float *out)
{
	const char *p = *s;
	__m256i		digits[GROUP];
	const double *factors[GROUP];
	__m256d		d;
	__m128		lower;
	__m128		upper;
	__m128		sure;

	for (size_t i = 0; i < GROUP; i++)
	{
		const char *comma = text + commas[i];

		if (!take_number(p, comma, &digits[i], &factors[i]))
			return false;
		p = comma + 1 + (comma[1] == ' ');
	}
	if (!all_digits(digits))
		return false;
	d = _mm256_mul_pd(values_of(digits), _mm256_set_pd(*factors[3], *factors[2], *factors[1], *factors[0]));
	lower = _mm256_cvtpd_ps(_mm256_mul_pd(d, _mm256_set1_pd(LOWER)));
	upper = _mm256_cvtpd_ps(_mm256_mul_pd(d, _mm256_set1_pd(UPPER)));
	/* Infinite ones give no zero. */
	sure = _mm_and_ps(_mm_cmpeq_ps(lower, upper), _mm_cmpeq_ps(_mm_sub_ps(upper, upper), _mm_setzero_ps()));
	if (_mm_movemask_ps(sure) != 15)
		return false;
	_mm_storeu_ps(out, lower);
	*s = p;
	return true;
}

/* ---- all numbers ---- */

/*
 * Reads the whole groups of a stretch; how many numbers.  A group that is not
 * all numbers ends it.  33 characters before the text may be read.
 */
AVX2 static inline size_t
read_stretch(const char **text, const char *end, float *out, size_t max)
{
	const char *s = *text;
	const size_t n_blocks = (size_t) (end - s - 1) / BLOCK;
	uint16_t	commas[STRETCH + GROUP];
	const size_t n_commas = find_commas(s, n_blocks < STRETCH / BLOCK ? n_blocks : STRETCH / BLOCK, commas);
	size_t		n;

	for (n = 0; n + GROUP <= n_commas && n + GROUP <= max; n += GROUP)
		if (__builtin_expect(!four_numbers(&s, *text, commas + n, out + n), 0))
		{
			const char *each = s;

			if (lh_kern_decimals(&each, end, out + n, GROUP) < GROUP)
				break;
			s = each;
		}
	*text = s;
	return n;
}

/* What stands too near to either end of the text is read one by one. */
AVX2 static size_t
decimals(const char **text, const char *end, float *out, size_t max)
{
	const char *s = *text;
	size_t		n = 0;
	size_t		got;

	while (s - *text <= WIDTH && n < max && lh_kern_decimals(&s, end, out + n, 1) == 1)
		n++;
	if (s - *text > WIDTH)
		while (s < end && (got = read_stretch(&s, end, out + n, max - n)) > 0)
			n += got;
	_mm256_zeroupper();
	n += lh_kern_decimals(&s, end, out + n, max - n);
	*text = s;
	return n;
}

void
lh_kern_decimal_avx2(LhKernels *kernels)
{
	kernels->decimals = decimals;
}

#endif							/* LH_KERN_X86 */
