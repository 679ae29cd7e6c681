/*
 * kern_decimal_int.h
 *	  Decimal text to the nearest float, for the numbers that vectors are made
 *	  of.  Included by the files of instruction sets, which define
 *
 *	TARGET				attribute of every function
 *	digits16(p, &value)	how many of the 16 characters at p, from the first,
 *						are digits, and the number they make
 *	to_comma(p)			how many of the 32 characters at p stand before the
 *						first comma
 *	v_finish()			as in kern_dense_int.h
 *
 * The first 18 digits make an integer w, and the number is w * 10^e.  Both are
 * turned into doubles and multiplied: each of the three steps is off by half a
 * unit in the double's last place at most, and digits beyond the eighteenth
 * by less than a tenth.  Rounding the double to a float gives the float
 * nearest to the number unless a middle between two floats lies within that
 * error, which the double's low 29 bits tell; then, for one number in some
 * fifty million, somebody else decides.
 */
#ifndef LH_KERN_DECIMAL_INT_H
#define LH_KERN_DECIMAL_INT_H

#include "kern_int.h"

#define MAX_DIGITS		18		/* that fit into 63 bits */
#define MAX_POWER		60

/* The bits of a double that a float has no room for, and their middle. */
#define SPARE_BITS		29
#define SPARE_MIDDLE	((uint64_t) 1 << (SPARE_BITS - 1))
#define MAX_ERROR		4		/* units in the double's last place, rounded up */

/* Exponents of doubles that are normal floats, and stay finite when rounded. */
#define MIN_EXPONENT	(1023 - 126)
#define MAX_EXPONENT	(1023 + 126)

/* 10^-60 to 10^60; multiplying takes less time than dividing. */
static const double powers[2 * MAX_POWER + 1] = {
	1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52, 1e-51, 1e-50, 1e-49, 1e-48,
	1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39, 1e-38, 1e-37, 1e-36, 1e-35,
	1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22,
	1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8,
	1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25,
	1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41,
	1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57,
	1e58, 1e59, 1e60
};

static const uint64_t int_powers[MAX_DIGITS + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000,
	100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
	10000000000000000, 100000000000000000, 1000000000000000000
};

/* w * 10^e, positive; false when the nearest float is in doubt. */
static inline bool
scale(uint64_t w, int64_t e, float *out)
{
	double		d = (double) (int64_t) w;
	uint64_t	bits;
	uint64_t	spare;

	if (e < -MAX_POWER || e > MAX_POWER)
		return false;
	d *= powers[MAX_POWER + e];
	__builtin_memcpy(&bits, &d, sizeof(bits));
	if ((bits >> 52) - MIN_EXPONENT > MAX_EXPONENT - MIN_EXPONENT)
		return false;
	spare = bits & (((uint64_t) 1 << SPARE_BITS) - 1);
	if (spare - (SPARE_MIDDLE - MAX_ERROR) <= 2 * MAX_ERROR)
		return false;
	*out = (float) d;
	return true;
}

/* The sign as a bit: a branch on it would be wrong half of the time. */
static inline void
negate_if(bool negative, float *f)
{
	uint32_t	bits;

	__builtin_memcpy(&bits, f, sizeof(bits));
	bits ^= (uint32_t) negative << 31;
	__builtin_memcpy(f, &bits, sizeof(bits));
}

#endif							/* LH_KERN_DECIMAL_INT_H */

#ifdef TARGET

/* More than the longest number that the quick way takes. */
#define QUICK_ROOM		64

/*
 * One number like "-0.0123" at s, where QUICK_ROOM bytes may be read: behind
 * it, or NULL for any other kind.  Which characters are digits changes from
 * number to number, so hardly a branch depends on it.
 */
TARGET static inline const char *
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
	if (w == 0)
		*out = 0;
	else if (!scale(w, e, out))
		return NULL;
	negate_if(negative, out);
	return s;
}

/*
 * Where the next number begins is found by its comma, not by reading the number
 * to its end: so the processor works on several numbers at once.  For the same
 * reason whether a blank follows is taken from the comma before, until it is
 * seen not to.
 */
TARGET static size_t
decimals(const char **text, const char *end, float *out, size_t max)
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
	v_finish();
	*text = s;
	return n;
}

#endif							/* TARGET */
