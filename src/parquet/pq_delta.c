/*
 * pq_delta.c
 *	  Reads DELTA_BINARY_PACKED runs, 32 values at a time.
 *
 * Spec: parquet-format, Encodings.md.
 */
#include "parquet/decode_int.h"

#include <string.h>

/* Known writers use blocks of 128 to 2048 values. */
#define MAX_BLOCK	65536

bool
lh_pq_delta_init(LhPqDelta *d, const uint8_t *data, size_t len)
{
	LhReader	r;
	uint64_t	block;
	uint64_t	minis;
	uint64_t	total;
	uint64_t	first;

	memset(d, 0, sizeof(*d));
	lh_reader_init(&r, data, len);
	if (!lh_read_varint(&r, &block) || !lh_read_varint(&r, &minis) ||
		!lh_read_varint(&r, &total) || !lh_read_varint(&r, &first))
		return false;
	if (block == 0 || block > MAX_BLOCK || block % 128 != 0 || minis == 0 || minis > block ||
		block % minis != 0 || block / minis % 32 != 0)
		return false;
	d->pos = r.pos;
	d->end = r.end;
	d->minis = (uint32_t) minis;
	d->mini_values = (uint32_t) (block / minis);
	d->left = total;
	d->last = (uint64_t) lh_unzigzag(first);
	d->first = total > 0;
	/* the first block opens when it is asked for */
	d->mini = d->minis - 1;
	return true;
}

static bool
next_block(LhPqDelta *d)
{
	LhReader	r;
	uint64_t	min_delta;

	lh_reader_init(&r, d->pos, (size_t) (d->end - d->pos));
	if (!lh_read_varint(&r, &min_delta) || !lh_read_bytes(&r, d->minis, &d->widths))
		return false;
	d->min_delta = (uint64_t) lh_unzigzag(min_delta);
	d->pos = r.pos;
	d->mini = 0;
	d->mini_left = d->mini_values;
	return d->widths[0] <= 64;
}

static bool
next_mini(LhPqDelta *d)
{
	if (d->widths == NULL || d->mini + 1 >= d->minis)
		return next_block(d);
	d->mini++;
	d->mini_left = d->mini_values;
	return d->widths[d->mini] <= 64;
}

/* 32 values of up to 64 bits. */
static void
unpack_wide(const uint8_t *p, int width, uint64_t *out)
{
	uint8_t		bytes[256 + 16] = {0};
	uint64_t	mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;

	memcpy(bytes, p, (size_t) width * 4);
	for (int i = 0; i < LH_PQ_DELTA_CHUNK; i++)
	{
		int			bit = i * width;
		uint64_t	v = lh_get_u64le(bytes + bit / 8) >> (bit % 8);

		if (bit % 8 + width > 64)
			v |= (uint64_t) bytes[bit / 8 + 8] << (64 - bit % 8);
		out[i] = v & mask;
	}
}

/* Unpacks the next 32 deltas and adds them up. */
static bool
next_chunk(LhPqDelta *d)
{
	uint32_t	narrow[LH_PQ_DELTA_CHUNK];
	int			width;
	size_t		bytes;
	uint64_t	value = d->last;

	if (d->mini_left == 0 && !next_mini(d))
		return false;
	width = d->widths[d->mini];
	bytes = (size_t) width * 4;
	if ((size_t) (d->end - d->pos) < bytes)
		return false;
	if (width <= 32)
	{
		lh_pq_unpack(d->pos, LH_PQ_DELTA_CHUNK / 8, width, narrow);
		for (int i = 0; i < LH_PQ_DELTA_CHUNK; i++)
			d->chunk[i] = value += narrow[i] + d->min_delta;
	}
	else
	{
		unpack_wide(d->pos, width, d->chunk);
		for (int i = 0; i < LH_PQ_DELTA_CHUNK; i++)
			d->chunk[i] = value += d->chunk[i] + d->min_delta;
	}
	d->pos += bytes;
	d->mini_left -= LH_PQ_DELTA_CHUNK;
	d->chunk_at = 0;
	d->chunk_len = d->left < LH_PQ_DELTA_CHUNK ? (uint32_t) d->left : LH_PQ_DELTA_CHUNK;
	d->last = value;
	return true;
}

bool
lh_pq_delta_read(LhPqDelta *d, size_t n, uint64_t *out)
{
	if (n > d->left)
		return false;
	if (n > 0 && d->first)
	{
		d->first = false;
		d->left--;
		*out++ = d->last;
		n--;
	}
	while (n > 0)
	{
		size_t		k;

		if (d->chunk_at == d->chunk_len && !next_chunk(d))
			return false;
		k = d->chunk_len - d->chunk_at;
		k = k < n ? k : n;
		memcpy(out, d->chunk + d->chunk_at, k * sizeof(uint64_t));
		d->chunk_at += (uint32_t) k;
		d->left -= k;
		out += k;
		n -= k;
	}
	return true;
}

const uint8_t *
lh_pq_delta_end(const LhPqDelta *d)
{
	LhPqDelta	walk = *d;
	uint64_t	left = walk.left > 0 ? walk.left - 1 : 0;

	while (left > 0)
	{
		if (!next_block(&walk))
			return NULL;
		for (uint32_t m = 0; m < walk.minis && left > 0; m++)
		{
			size_t		bytes = (size_t) walk.widths[m] * walk.mini_values / 8;

			if (walk.widths[m] > 64 || (size_t) (walk.end - walk.pos) < bytes)
				return NULL;
			walk.pos += bytes;
			left -= left < walk.mini_values ? left : walk.mini_values;
		}
	}
	return walk.pos;
}
