/*
 * pq_page_read.c
 *	  Finds, checks and decompresses the pages of a chunk: headers, checksum,
 *	  dictionary, levels of versions 1 and 2.
 *
 * A page is decompressed only when something in it is wanted.  Spec:
 * parquet-format, README ("Data Pages"), parquet.thrift (PageHeader).
 */
#include "parquet/encode_int.h"
#include "parquet/reader_int.h"
#include "parquet/thrift_int.h"

#include <string.h>

static LhStatus
corrupt(const LhPqColumnReader *r, LhError *err, const char *what)
{
	return lh_fail(err, LH_ERR_CORRUPT, r->file_offset + (r->pos - r->start),
				   "column \"%.80s\": %s", r->leaf->name, what);
}

/* ---- header ---- */

/* The headers of the page types, whose fields are told apart by the type. */
static void
parse_type_header(LhThriftReader *t, const LhThriftField *field, int type, LhPqPageInfo *page)
{
	LhThriftField f = {0};

	if (!lh_tr_struct(t, field))
		return;
	page->type = type;
	while (lh_tr_field(t, &f))
	{
		if (f.id == 1)
			page->n_values = lh_tr_i32(t, &f);
		else if (type == LH_PQ_DATA_PAGE_V2)
		{
			if (f.id == 3)
				page->n_rows = lh_tr_i32(t, &f);
			else if (f.id == 4)
				page->encoding = lh_tr_i32(t, &f);
			else if (f.id == 5)
				page->def_len = lh_tr_i32(t, &f);
			else if (f.id == 6)
				page->rep_len = lh_tr_i32(t, &f);
			else if (f.id == 7)
				page->compressed = lh_tr_bool(t, &f);
			else
				lh_tr_skip(t, &f);
		}
		else if (f.id == 2)
			page->encoding = lh_tr_i32(t, &f);
		else if (f.id == 3 && type == LH_PQ_DATA_PAGE)
			page->def_encoding = lh_tr_i32(t, &f);
		else if (f.id == 4 && type == LH_PQ_DATA_PAGE)
			page->rep_encoding = lh_tr_i32(t, &f);
		else
			lh_tr_skip(t, &f);
	}
}

/* Parses the header at r->pos and moves behind the page. */
static LhStatus
next_header(LhPqColumnReader *r, LhPqPageInfo *page, LhError *err)
{
	LhThriftReader t;
	LhThriftField f = {0};
	int32_t		type = -1;
	int32_t		plain_len = -1;
	int32_t		packed_len = -1;

	memset(page, 0, sizeof(*page));
	page->n_values = page->n_rows = -1;
	page->type = -1;
	page->compressed = true;
	page->def_encoding = page->rep_encoding = LH_PQ_RLE;
	lh_tr_init(&t, r->pos, (size_t) (r->end - r->pos));
	while (lh_tr_field(&t, &f))
	{
		if (f.id == 1)
			type = lh_tr_i32(&t, &f);
		else if (f.id == 2)
			plain_len = lh_tr_i32(&t, &f);
		else if (f.id == 3)
			packed_len = lh_tr_i32(&t, &f);
		else if (f.id == 4)
		{
			page->crc = (uint32_t) lh_tr_i32(&t, &f);
			page->has_crc = true;
		}
		else if (f.id == 5)
			parse_type_header(&t, &f, LH_PQ_DATA_PAGE, page);
		else if (f.id == 7)
			parse_type_header(&t, &f, LH_PQ_DICTIONARY_PAGE, page);
		else if (f.id == 8)
			parse_type_header(&t, &f, LH_PQ_DATA_PAGE_V2, page);
		else
			lh_tr_skip(&t, &f);
	}
	if (t.failed || plain_len < 0 || packed_len < 0 ||
		(size_t) packed_len > lh_reader_left(&t.r))
		return corrupt(r, err, "page header is malformed");
	page->body = t.r.pos;
	page->packed_len = (size_t) packed_len;
	page->plain_len = (size_t) plain_len;
	r->pos = t.r.pos + packed_len;
	/* pages of kinds we do not know are passed over, as the format wants it */
	if (type == LH_PQ_INDEX_PAGE || type > LH_PQ_DATA_PAGE_V2)
	{
		page->type = type;
		return LH_OK;
	}
	if (type != page->type || page->n_values < 0)
		return corrupt(r, err, "page header lacks what its type needs");
	return LH_OK;
}

static LhStatus
check_crc(const LhPqColumnReader *r, const LhPqPageInfo *page, LhError *err)
{
	if (page->has_crc && lh_pq_crc32(page->body, page->packed_len) != page->crc)
		return corrupt(r, err, "page does not match its checksum");
	return LH_OK;
}

/* ---- page memory ---- */

/* Memory of at least `len` bytes, from the spare ones if there is. */
static LhPqPageMemory *
take_memory(LhPqColumnReader *r, size_t len)
{
	LhPqPageMemory *m = r->spare;
	size_t		cap = len + len / 4;

	if (m != NULL)
	{
		r->spare = m->next;
		if (m->cap >= len)
			return m;
		lh_free(r->alloc, m);
	}
	m = lh_alloc(r->alloc, sizeof(LhPqPageMemory) + cap);
	if (m != NULL)
		m->cap = cap;
	return m;
}

/* Makes room for another page: what a vector points into stays until the next call. */
static void
leave_memory(LhPqColumnReader *r)
{
	LhPqPageMemory *m = r->memory;
	LhPqPageMemory **list = r->pinned ? &r->retired : &r->spare;

	r->memory = NULL;
	r->pinned = false;
	if (m == NULL)
		return;
	m->next = *list;
	*list = m;
}

/* Decompresses `len` bytes into `plain_len` in *memory, or finds them uncompressed in place. */
static LhStatus
unpack(LhPqColumnReader *r, const uint8_t *packed, size_t len, size_t plain_len, bool compressed,
	   LhPqPageMemory **memory, const uint8_t **plain, LhError *err)
{
	*memory = NULL;
	*plain = packed;
	if (plain_len == 0)
		return LH_OK;
	if (!compressed || r->codec == LH_PQ_UNCOMPRESSED)
		return len == plain_len ? LH_OK : corrupt(r, err, "page differs from the size in its header");
	if (!lh_pq_plausible_size(r->codec, len, plain_len))
		return corrupt(r, err, "page cannot be as large as its header tells");
	*memory = take_memory(r, plain_len);
	if (*memory == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	*plain = (*memory)->data;
	return lh_pq_decompress(r->decompressor, r->codec, packed, len, (*memory)->data, plain_len, err);
}

/* ---- dictionary ---- */

static LhStatus
load_dictionary(LhPqColumnReader *r, const LhPqPageInfo *page, LhError *err)
{
	const LhPqNode *leaf = r->leaf;
	size_t		n = (size_t) page->n_values;
	size_t		smallest = leaf->type == LH_PQ_BYTE_ARRAY ? 4 : (size_t) lh_pq_plain_width(leaf);
	const uint8_t *plain;
	LhPqValues	values;
	LhStatus	status;

	if (r->has_dict || leaf->type == LH_PQ_BOOLEAN)
		return corrupt(r, err, "dictionary where none can be");
	if (page->encoding != LH_PQ_PLAIN && page->encoding != LH_PQ_PLAIN_DICTIONARY)
		return corrupt(r, err, "dictionary is not in plain encoding");
	/* before slots are allocated for them */
	if (n > page->plain_len / smallest)
		return corrupt(r, err, "dictionary is shorter than its values");
	status = check_crc(r, page, err);
	if (status == LH_OK)
		status = unpack(r, page->body, page->packed_len, page->plain_len, true,
						&r->dict_page, &plain, err);
	if (status == LH_OK)
		status = lh_pq_values_init(&values, leaf, LH_PQ_PLAIN, plain, page->plain_len, NULL,
								   &r->last, &r->blocks, err);
	if (status != LH_OK)
		return status;
	r->dict_slots = lh_alloc(r->alloc, n * (size_t) r->slot);
	if (r->dict_slots == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	status = lh_pq_values_read(&values, n, r->dict_slots, err);
	if (status != LH_OK)
		return status;
	r->dict.slots = r->dict_slots;
	r->dict.n = (uint32_t) n;
	r->has_dict = true;
	return LH_OK;
}

LhStatus
lh_pq_dict_read(LhPqColumnReader *r, const uint8_t *data, size_t len, LhError *err)
{
	LhPqPageInfo page;
	const uint8_t *pos = r->pos;
	const uint8_t *end = r->end;
	LhStatus	status;

	r->pos = data;
	r->end = data + len;
	status = next_header(r, &page, err);
	r->pos = pos;
	r->end = end;
	if (status == LH_OK && page.type != LH_PQ_DICTIONARY_PAGE)
		status = corrupt(r, err, "no dictionary where one was expected");
	return status == LH_OK ? load_dictionary(r, &page, err) : status;
}

/* ---- moving on ---- */

LhStatus
lh_pq_page_next(LhPqColumnReader *r, bool *found, LhError *err)
{
	*found = false;
	while (r->pos < r->end && r->levels_left != 0)
	{
		LhPqPageInfo *page = &r->page;
		LhStatus	status;

		if (r->alloc->tick != NULL && r->alloc->tick(r->alloc->ctx))
			return lh_fail(err, LH_ERR_CANCELLED, -1, "cancelled");
		status = next_header(r, page, err);
		if (status == LH_OK && page->type == LH_PQ_DICTIONARY_PAGE)
			status = load_dictionary(r, page, err);
		if (status != LH_OK)
			return status;
		if (page->type != LH_PQ_DATA_PAGE && page->type != LH_PQ_DATA_PAGE_V2)
			continue;
		if (r->levels_left >= 0)
		{
			if (page->n_values > r->levels_left)
				return corrupt(r, err, "pages hold more values than the chunk");
			r->levels_left -= page->n_values;
		}
		r->opened = false;
		r->page_left = page->n_values;
		r->ahead_at = r->ahead_n = 0;
		/* empty pages are legal */
		if (page->n_values == 0)
			continue;
		*found = true;
		return LH_OK;
	}
	if (r->levels_left > 0)
		return corrupt(r, err, "chunk ends before its values");
	return LH_OK;
}

/* ---- levels ---- */

/* Levels of version 1: a length in front, unless they are BIT_PACKED. */
static bool
init_levels_v1(LhPqLevels *levels, int max, int encoding, int64_t n, LhReader *in)
{
	int			width = lh_pq_bit_width((uint32_t) max);
	const uint8_t *p;
	uint32_t	len;

	memset(levels, 0, sizeof(*levels));
	levels->max = max;
	if (max == 0)
		return true;
	if (encoding == LH_PQ_BIT_PACKED)
	{
		/* at most 2^31 levels of 7 bits */
		size_t		bytes = ((size_t) n * (size_t) width + 7) / 8;

		if (!lh_read_bytes(in, bytes, &p))
			return false;
		levels->msb = true;
		levels->bits = p;
		levels->n_bits = bytes * 8;
		return true;
	}
	if (encoding != LH_PQ_RLE || !lh_read_u32le(in, &len) || !lh_read_bytes(in, len, &p))
		return false;
	lh_pq_hybrid_init(&levels->hybrid, p, len, width);
	return true;
}

static bool
init_levels_v2(LhPqLevels *levels, int max, int32_t len, LhReader *in)
{
	const uint8_t *p;

	memset(levels, 0, sizeof(*levels));
	levels->max = max;
	if (len < 0 || !lh_read_bytes(in, (size_t) len, &p))
		return false;
	lh_pq_hybrid_init(&levels->hybrid, p, (size_t) len, lh_pq_bit_width((uint32_t) max));
	return true;
}

LhStatus
lh_pq_levels_read(LhPqLevels *levels, size_t n, uint8_t *out, LhError *err)
{
	int			width = lh_pq_bit_width((uint32_t) levels->max);

	if (levels->max == 0)
	{
		memset(out, 0, n);
		return LH_OK;
	}
	if (!levels->msb)
	{
		if (!lh_pq_hybrid_bytes(&levels->hybrid, n, (uint8_t) levels->max, out))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "levels of a page are malformed");
		return LH_OK;
	}
	if (n * (size_t) width > levels->n_bits - levels->at)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "levels of a page are cut short");
	for (size_t i = 0; i < n; i++)
	{
		int			v = 0;

		for (int b = 0; b < width; b++, levels->at++)
			v = v << 1 | (levels->bits[levels->at / 8] >> (7 - levels->at % 8) & 1);
		if (v > levels->max)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "levels of a page are out of range");
		out[i] = (uint8_t) v;
	}
	return LH_OK;
}

/* ---- opening ---- */

static LhStatus
open_v1(LhPqColumnReader *r, LhReader *in, LhError *err)
{
	const LhPqPageInfo *page = &r->page;
	const uint8_t *plain;
	LhStatus	status = unpack(r, page->body, page->packed_len, page->plain_len, true,
								&r->memory, &plain, err);

	if (status != LH_OK)
		return status;
	lh_reader_init(in, plain, page->plain_len);
	if (!init_levels_v1(&r->rep, r->leaf->max_rep, page->rep_encoding, page->n_values, in) ||
		!init_levels_v1(&r->def, r->leaf->max_def, page->def_encoding, page->n_values, in))
		return corrupt(r, err, "levels of a page are malformed");
	return LH_OK;
}

/* In version 2 only the values are compressed, and not even they always. */
static LhStatus
open_v2(LhPqColumnReader *r, LhReader *in, LhError *err)
{
	const LhPqPageInfo *page = &r->page;
	size_t		levels;
	const uint8_t *plain;
	LhStatus	status;

	lh_reader_init(in, page->body, page->packed_len);
	if (!init_levels_v2(&r->rep, r->leaf->max_rep, page->rep_len, in) ||
		!init_levels_v2(&r->def, r->leaf->max_def, page->def_len, in))
		return corrupt(r, err, "levels of a page are malformed");
	levels = (size_t) lh_reader_offset(in);
	if (levels > page->plain_len)
		return corrupt(r, err, "page differs from the size in its header");
	/* nothing is stored for no values, whatever the codec makes of nothing */
	if (lh_reader_left(in) == 0)
		return LH_OK;
	status = unpack(r, in->pos, lh_reader_left(in), page->plain_len - levels, page->compressed,
					&r->memory, &plain, err);
	if (status == LH_OK)
		lh_reader_init(in, plain, page->plain_len - levels);
	return status;
}

LhStatus
lh_pq_page_open(LhPqColumnReader *r, LhError *err)
{
	LhReader	in;
	LhStatus	status;

	if (r->opened)
		return LH_OK;
	leave_memory(r);
	status = check_crc(r, &r->page, err);
	if (status == LH_OK)
		status = r->page.type == LH_PQ_DATA_PAGE_V2 ? open_v2(r, &in, err) : open_v1(r, &in, err);
	if (status == LH_OK)
		status = lh_pq_values_init(&r->values, r->leaf, r->page.encoding, in.pos, lh_reader_left(&in),
								   r->has_dict ? &r->dict : NULL, &r->last, &r->blocks, err);
	r->opened = status == LH_OK;
	return status;
}
