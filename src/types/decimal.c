/*
 * decimal.c
 *	  numeric <-> the 128-bit unscaled integer of a decimal.
 *
 * numeric.c keeps its struct to itself, and its functions cost a call and an
 * allocation a value, so this file knows the stored form (unchanged since
 * 9.1, infinities since 14): a 16-bit header word, maybe a 16-bit weight, and
 * base-10000 digits, the first of which counts 10000^weight.
 *
 *	  header 1100…	NaN, or an infinity; no digits
 *	  header 10sddddddwwwwwww	short: sign, display scale, weight (two's complement)
 *	  header 0sdddddddddddddd	long: sign, display scale; then the weight
 */
#include "postgres.h"

#include "types/types_int.h"

#define NBASE				10000
#define DIGITS_PER_GROUP	4

#define HEADER_SPECIAL		0xC000
#define HEADER_SHORT		0x8000
#define LONG_NEGATIVE		0x4000
#define LONG_SCALE_MASK		0x3FFF
#define SHORT_NEGATIVE		0x2000
#define SHORT_SCALE_SHIFT	7
#define SHORT_SCALE_MASK	0x3F
#define SHORT_WEIGHT_MASK	0x7F

/* 39 digits, the most an int128 has, and the padding of both ends */
#define MAX_GROUPS			12

typedef struct Stored
{
	bool		negative;
	int			display_scale;
	int			weight;
	int			n_digits;
	const char *digits;			/* maybe unaligned */
} Stored;

static inline uint16
get16(const char *p)
{
	uint16		v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* False for NaN and infinities. */
static bool
open_stored(const void *numeric, Stored *n)
{
	const char *p = VARDATA_ANY(numeric);
	int			len = (int) VARSIZE_ANY_EXHDR(numeric);
	uint16		header = get16(p);

	if ((header & HEADER_SPECIAL) == HEADER_SPECIAL)
		return false;
	if (header & HEADER_SHORT)
	{
		n->negative = (header & SHORT_NEGATIVE) != 0;
		n->display_scale = (header >> SHORT_SCALE_SHIFT) & SHORT_SCALE_MASK;
		n->weight = ((header & SHORT_WEIGHT_MASK) ^ 0x40) - 0x40;
		p += 2;
		len -= 2;
	}
	else
	{
		n->negative = (header & LONG_NEGATIVE) != 0;
		n->display_scale = header & LONG_SCALE_MASK;
		n->weight = (int16) get16(p + 2);
		p += 4;
		len -= 4;
	}
	n->digits = p;
	n->n_digits = len / 2;
	return true;
}

#define E18		((LhInt128) 1000000000000000000)
#define E36		(E18 * E18)

static inline LhInt128
power_of_ten(int n)
{
	static const int64 low[] = {
		1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
		INT64CONST(10000000000), INT64CONST(100000000000), INT64CONST(1000000000000),
		INT64CONST(10000000000000), INT64CONST(100000000000000), INT64CONST(1000000000000000),
		INT64CONST(10000000000000000), INT64CONST(100000000000000000)
	};

	if (n < 18)
		return low[n];
	if (n < 36)
		return low[n - 18] * E18;
	return low[n - 36] * E36;
}

/*
 * The digits are taken in three parts: groups that lie wholly above the last
 * decimal digit wanted, the group that holds it, and what lies below and is
 * cut off.  No product is formed before it is known to stay within the limit.
 */
bool
lh_numeric_to_int128(const void *numeric, int precision, int scale,
					 LhInt128 *unscaled, bool *exact)
{
	Stored		n;
	LhInt128	limit = power_of_ten(precision);
	LhInt128	v = 0;
	int			last = -(scale / DIGITS_PER_GROUP); /* weight of the lowest whole group */
	int			rest = scale % DIGITS_PER_GROUP;	/* digits wanted of the group below */
	int			i = 0;
	bool		fits = true;

	if (!open_stored(numeric, &n))
		return false;
	*exact = n.display_scale == scale;

	if (n.n_digits > 0)
	{
		LhInt128	before = precision >= DIGITS_PER_GROUP ? power_of_ten(precision - DIGITS_PER_GROUP) : 0;

		for (int weight = n.weight; weight >= last && fits; weight--, i++)
		{
			fits = v <= before;
			if (fits)
				v = v * NBASE + (i < n.n_digits ? get16(n.digits + 2 * i) : 0);
		}
	}

	fits = fits && v <= power_of_ten(precision - rest);
	if (fits)
	{
		v *= power_of_ten(rest);
		if (n.weight - i == last - 1 && i < n.n_digits)
		{
			int			group = get16(n.digits + 2 * i++);
			int			cut = (int) power_of_ten(DIGITS_PER_GROUP - rest);

			v += group / cut;
			if (group % cut != 0)
			{
				*exact = false;
				v += group % cut * 2 >= cut;	/* half away from zero */
			}
		}
		for (; i < n.n_digits; i++)
			if (get16(n.digits + 2 * i) != 0)
				*exact = false;
	}
	if (!fits || v >= limit)
	{
		*exact = false;
		v = limit - 1;
	}
	*unscaled = n.negative ? -v : v;
	return true;
}

/* Base-10000 groups of v / 10^scale, lowest first; the lowest counts 10000^*weight. */
static int
split_groups(unsigned __int128 v, int scale, uint16 *groups, int *weight)
{
	int			partial = scale % DIGITS_PER_GROUP;
	int			n = 0;
	uint64		low;

	*weight = -(scale / DIGITS_PER_GROUP);
	if (partial != 0)
	{
		int			unit = (int) power_of_ten(partial);

		groups[n++] = (uint16) ((int) (v % unit) * (NBASE / unit));
		v /= unit;
		(*weight)--;
	}
	while (v > PG_UINT64_MAX)
	{
		groups[n++] = (uint16) (v % NBASE);
		v /= NBASE;
	}
	for (low = (uint64) v; low != 0; low /= NBASE)
		groups[n++] = (uint16) (low % NBASE);
	return n;
}

int
lh_numeric_from_int128(LhInt128 unscaled, int scale, void *out)
{
	bool		negative = unscaled < 0;
	unsigned __int128 magnitude = negative ? -(unsigned __int128) unscaled : (unsigned __int128) unscaled;
	uint16		groups[MAX_GROUPS];
	uint16	   *p = (uint16 *) VARDATA(out);
	int			low_weight;
	int			n = split_groups(magnitude, scale, groups, &low_weight);
	int			first = 0;
	int			weight;

	/* the canonical form has no zero groups at either end */
	while (n > 0 && groups[n - 1] == 0)
		n--;
	while (first < n && groups[first] == 0)
		first++;
	weight = n > first ? low_weight + n - 1 : 0;
	if (n == first)
		negative = false;

	/* a scale of at most 38 and such a weight always fit the short form */
	Assert(scale <= SHORT_SCALE_MASK && weight >= -64 && weight <= 63);
	*p++ = (uint16) (HEADER_SHORT | (negative ? SHORT_NEGATIVE : 0) |
					 scale << SHORT_SCALE_SHIFT | (weight & SHORT_WEIGHT_MASK));
	for (int i = n - 1; i >= first; i--)
		*p++ = groups[i];

	SET_VARSIZE(out, (char *) p - (char *) out);
	return (int) ((char *) p - (char *) out);
}

void
lh_int128_to_be(LhInt128 v, uint8 *out, int len)
{
	for (int i = len - 1; i >= 0; i--)
	{
		out[i] = (uint8) v;
		v >>= 8;
	}
}

bool
lh_int128_from_be(const uint8 *bytes, int len, LhInt128 *v)
{
	uint8		sign = len > 0 && (bytes[0] & 0x80) ? 0xFF : 0;
	unsigned __int128 acc = sign ? ~(unsigned __int128) 0 : 0;

	/* longer than needed is legal: only sign bytes in front */
	while (len > 16 && bytes[0] == sign && (bytes[1] & 0x80) == (sign & 0x80))
	{
		bytes++;
		len--;
	}
	if (len > 16)
		return false;
	for (int i = 0; i < len; i++)
		acc = acc << 8 | bytes[i];
	*v = (LhInt128) acc;
	return true;
}
