/*
 * base_read.c
 *	  Bounded reads: the only way the pure layers look at foreign bytes.
 */
#include "base/base.h"

bool
lh_read_u8(LhReader *r, uint8_t *v)
{
	if (r->pos >= r->end)
		return false;
	*v = *r->pos++;
	return true;
}

bool
lh_read_u32le(LhReader *r, uint32_t *v)
{
	if (lh_reader_left(r) < 4)
		return false;
	*v = lh_get_u32le(r->pos);
	r->pos += 4;
	return true;
}

bool
lh_read_u64le(LhReader *r, uint64_t *v)
{
	if (lh_reader_left(r) < 8)
		return false;
	*v = lh_get_u64le(r->pos);
	r->pos += 8;
	return true;
}

bool
lh_read_varint(LhReader *r, uint64_t *v)
{
	uint64_t	result = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8_t		b;

		if (!lh_read_u8(r, &b))
			return false;
		/* the tenth byte holds one bit */
		if (shift == 63 && b > 1)
			return false;
		result |= (uint64_t) (b & 0x7f) << shift;
		if ((b & 0x80) == 0)
		{
			*v = result;
			return true;
		}
	}
	return false;
}

bool
lh_read_bytes(LhReader *r, size_t len, const uint8_t **p)
{
	if (lh_reader_left(r) < len)
		return false;
	*p = r->pos;
	r->pos += len;
	return true;
}
