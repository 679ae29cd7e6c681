/*
 * kern_decimal.c
 *	  Decimal text to the nearest float, for the numbers that vectors are
 *	  made of.
 *
 * The first 19 digits make an integer w, and the number is w * 10^e.  Both are
 * turned into doubles and multiplied or divided: each of the three steps is
 * off by half a unit in the double's last place at most, and digits beyond the
 * nineteenth by less than a hundredth.  Rounding the double to a float gives
 * the float nearest to the number unless a middle between two floats lies
 * within that error, which the double's low 29 bits tell; then, for one number
 * in some fifty million, the caller takes the slow way.
 */
#include "kern_int.h"

#include <stdlib.h>

#define MAX_DIGITS		19		/* that fit into 64 bits */
#define MAX_POWER		60

/* The bits of a double that a float has no room for, and their middle. */
#define SPARE_BITS		29
#define SPARE_MIDDLE	((uint64_t) 1 << (SPARE_BITS - 1))
#define MAX_ERROR		4		/* units in the double's last place, rounded up */

static const double powers[MAX_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
	1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30,
	1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45,
	1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60
};

static const uint64_t int_powers[MAX_DIGITS] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000,
	100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
	10000000000000000, 100000000000000000, 1000000000000000000
};

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') <= 9;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

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
 * The value of the first n digits, n > 0.  Shifted to the end, they have zeros
 * before them; then pairs, fours and all eight are put together.
 */
static inline uint32_t
value_of(uint64_t word, int n)
{
	word = (word - 0x3030303030303030u) << (8 * (8 - n));
	word = word * 10 + (word >> 8);
	word = ((word & 0x000000ff000000ffu) * (100 + ((uint64_t) 1000000 << 32)) +
			((word >> 16) & 0x000000ff000000ffu) * (1 + ((uint64_t) 10000 << 32))) >> 32;
	return (uint32_t) word;
}

#endif

/*
 * Takes digits into *w while there is room, steps over the rest, and counts
 * those in *dropped.
 */
static inline const char *
take_digits(const char *s, const char *end, uint64_t *w, int64_t *dropped)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - s >= 8)
	{
		const uint64_t word = lh_kern_word((const uint8_t *) s, 8);
		const int	n = count_digits(word);

		if (n == 0)
			return s;
		if (*w >= int_powers[MAX_DIGITS - n])
			break;
		*w = *w * int_powers[n] + value_of(word, n);
		if (n < 8)
			return s + n;
		s += 8;					/* not n: the processor need not wait for it */
	}
#endif
	for (; s < end && is_digit(*s); s++)
	{
		if (*w < int_powers[MAX_DIGITS - 1])
			*w = *w * 10 + (uint64_t) (*s - '0');
		else
			++*dropped;
	}
	return s;
}

/* w * 10^e, positive; false when the nearest float is in doubt. */
static inline bool
scale(uint64_t w, int64_t e, float *out)
{
	double		d = (double) w;
	uint64_t	bits;
	uint64_t	spare;

	if (e < -MAX_POWER || e > MAX_POWER)
		return false;
	d = e < 0 ? d / powers[-e] : d * powers[e];
	if (!(d >= 0x1p-126 && d < 0x1p127))
		return false;			/* float has fewer bits there, or none */
	__builtin_memcpy(&bits, &d, sizeof(bits));
	spare = bits & (((uint64_t) 1 << SPARE_BITS) - 1);
	if (spare - (SPARE_MIDDLE - MAX_ERROR) <= 2 * MAX_ERROR)
		return false;
	*out = (float) d;
	return true;
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

	/* Half of all numbers have a sign: no branch that would be mispredicted. */
	s += negative | (s < end && *s == '+');
	digits = s;
	if (end - s > 1 && is_digit(s[0]) && s[1] == '.')
		w = (uint64_t) (*s++ - '0');	/* most often, "0." */
	else
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
	if (w == 0)
		*out = 0;
	else if (!scale(w, e, out))
		return false;
	*out = negative ? -*out : *out;
	return true;
}
