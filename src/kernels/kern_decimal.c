/*
 * kern_decimal.c
 *	  Decimal text to the nearest float on any processor; the arithmetic is told
 *	  in kern_decimal_int.h.
 */
#include "kern_decimal_int.h"

#include <float.h>
#include <math.h>

/* The first ones, which fit into 63 bits; all others are less than a tenth of a part of 2^53. */
#define MAX_DIGITS		18

static const uint64_t int_powers[MAX_DIGITS + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000,
	100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
	10000000000000000, 100000000000000000, 1000000000000000000
};

/* The float nearest to w * 10^e; false where it is in doubt, infinite, or zero for more than nothing. */
static inline bool
nearest_float(uint64_t w, int64_t e, bool negative, float *out)
{
	double		d = (double) (int64_t) w;

	if (e < -MAX_POWER || e > MAX_POWER)
		return false;
	d *= powers[negative][MAX_POWER + e];
	*out = (float) (d * LOWER);
	return *out == (float) (d * UPPER) && fabsf(*out) <= FLT_MAX && (*out != 0 || w == 0);
}

/* ---- sixteen digits, eight in a word ---- */

/* How many of the eight characters, from the first, are digits. */
static inline int
count_digits(uint64_t word)
{
	const uint64_t high = 0xf0f0f0f0f0f0f0f0u;
	const uint64_t wrong = ((word & high) ^ 0x3030303030303030u) |
		(((word & ~high) + 0x0606060606060606u) & 0x1010101010101010u);

	return wrong ? __builtin_ctzll(wrong) / 8 : 8;
}

/*
 * The value of the first n digits.  Shifted to the end (by up to all 64 bits,
 * which one shift cannot), they have zeros before them; then pairs, fours and
 * all eight are put together.
 */
static inline uint32_t
value_of(uint64_t word, int n)
{
	const int	half = 4 * (8 - n);

	word = (word - 0x3030303030303030u) << half << half;
	word = word * 10 + (word >> 8);
	word = ((word & 0x000000ff000000ffu) * (100 + ((uint64_t) 1000000 << 32)) +
			((word >> 16) & 0x000000ff000000ffu) * (1 + ((uint64_t) 10000 << 32))) >> 32;
	return (uint32_t) word;
}

static inline uint64_t
word_at(const char *p)
{
	uint64_t	word;

	__builtin_memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* How many of the 16 characters at p, from the first, are digits, and the number they make. */
static inline int
digits16(const char *p, uint64_t *value)
{
	const uint64_t first = word_at(p);
	const uint64_t second = word_at(p + 8);
	const int	n_first = count_digits(first);
	const int	n_second = n_first == 8 ? count_digits(second) : 0;
	uint64_t	shift = 1;

	for (int i = 0; i < n_second; i++)
		shift *= 10;
	*value = value_of(first, n_first) * shift + value_of(second, n_second);
	return n_first + n_second;
}

/* How many of the 32 characters at p stand before the first comma. */
static inline size_t
to_comma(const char *p)
{
	const uint64_t ones = 0x0101010101010101u;

	for (size_t at = 0; at < 32; at += sizeof(uint64_t))
	{
		const uint64_t other = word_at(p + at) ^ (ones * ',');
		const uint64_t found = (other - ones) & ~other & (ones << 7);

		if (found)
			return at + (size_t) __builtin_ctzll(found) / 8;
	}
	return 32;
}

/* ---- one number of any plain form ---- */

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') <= 9;
}

/*
 * Takes digits into *w while there is room, steps over the rest, and counts
 * those in *dropped.
 */
static inline const char *
take_digits(const char *s, const char *end, uint64_t *w, int64_t *dropped)
{
	for (; s < end && is_digit(*s); s++)
	{
		if (*w < int_powers[MAX_DIGITS - 1])
			*w = *w * 10 + (uint64_t) (*s - '0');
		else
			++*dropped;
	}
	return s;
}

bool
lh_decimal_to_float(const char *s, const char *end, const char **next, float *out)
{
	const bool	negative = s < end && *s == '-';
	uint64_t	w = 0;
	int64_t		dropped = 0;
	int64_t		e;
	const char *digits;
	const char *point;
	size_t		n_digits;

	s += negative || (s < end && *s == '+');
	digits = s;
	s = take_digits(s, end, &w, &dropped);
	n_digits = (size_t) (s - digits);
	e = dropped;
	if (s < end && *s == '.')
	{
		point = ++s;
		dropped = 0;
		s = take_digits(s, end, &w, &dropped);
		n_digits += (size_t) (s - point);
		e -= (s - point) - dropped;
	}
	if (n_digits == 0)
		return false;
	if (s < end && (*s | 0x20) == 'e')
	{
		const bool	minus = s + 1 < end && s[1] == '-';
		int64_t		exponent = 0;

		s += s + 1 < end && (s[1] == '-' || s[1] == '+') ? 2 : 1;
		if (s >= end || !is_digit(*s))
			return false;
		for (; s < end && is_digit(*s); s++)
			if (exponent < 100000)
				exponent = exponent * 10 + (*s - '0');
		e += minus ? -exponent : exponent;
	}
	/* "0x10" and the like are strtof's. */
	if (s < end && ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z'))
		return false;
	*next = s;
	return nearest_float(w, w == 0 ? 0 : e, negative, out);
}

/* ---- many numbers ---- */

/* More than the longest number that the quick way takes. */
#define QUICK_ROOM		64

/*
 * One number like "-0.0123" at s, where QUICK_ROOM bytes may be read: behind
 * it, or NULL for any other kind.  Which characters are digits changes from
 * number to number, so hardly a branch depends on it.
 */
static inline const char *
quick_number(const char *s, float *out)
{
	const bool	negative = *s == '-';
	uint64_t	w;
	uint64_t	fraction;
	int			n;
	int			e = 0;

	s += negative;
	if (s[1] == '.' && (unsigned char) (s[0] - '0') <= 9)
	{
		/* Most often "0.", and then there is room for all digits. */
		n = digits16(s + 2, &fraction);
		w = (uint64_t) (s[0] - '0') * int_powers[n] + fraction;
		e = -n;
		s += 2 + n;
	}
	else
	{
		n = digits16(s, &w);
		if (n == 0 || n == 16)
			return NULL;
		s += n;
		if (*s == '.')
		{
			n = digits16(++s, &fraction);
			if (w >= int_powers[MAX_DIGITS - n])
				return NULL;
			w = w * int_powers[n] + fraction;
			e = -n;
			s += n;
		}
	}
	if (n == 16)
	{
		n = digits16(s, &fraction);
		if (w >= int_powers[MAX_DIGITS - n])
			return NULL;
		w = w * int_powers[n] + fraction;
		e -= n;
		s += n;
	}
	return nearest_float(w, e, negative, out) ? s : NULL;
}

/*
 * Where the next number begins is found by its comma, not by reading the number
 * to its end: so the processor works on several numbers at once.  For the same
 * reason whether a blank follows is taken from the comma before, until it is
 * seen not to.
 */
size_t
lh_kern_decimals(const char **text, const char *end, float *out, size_t max)
{
	const char *s = *text;
	size_t		n = 0;
	size_t		blank = 0;

	while (n < max)
	{
		const char *next;

		if (end - s >= QUICK_ROOM)
		{
			const size_t bytes = to_comma(s);

			if (__builtin_expect(quick_number(s, &out[n]) == s + bytes, 1))
			{
				n++;
				s += bytes + 1 + blank;
				if (__builtin_expect((s[0] == ' ') | (s[-1] != (blank ? ' ' : ',')), 0))
				{
					s -= blank;
					blank = *s == ' ';
					s += blank;
				}
				continue;
			}
		}
		if (!lh_decimal_to_float(s, end, &next, &out[n]) || next == end || *next != ',')
			break;
		n++;
		s = next + 1;
		if (s < end && *s == ' ')
			s++;
	}
	*text = s;
	return n;
}
