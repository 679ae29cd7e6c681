/*
 * pq_page_write.c
 *	  Ends a data page: levels, values by dictionary or plainly, statistics,
 *	  compression, header.
 *
 * A leaf keeps its open page in PLAIN form.  Only when the page ends is it
 * decided how to code it, over all its values at once: the dictionary is
 * tried as long as it pays, and what it does not take is there to be written
 * as it stands.  Spec: parquet-format, README ("Data Pages"), Encodings.md.
 */
#include "parquet/footer_int.h"
#include "parquet/writer_int.h"

#include <string.h>

/* ---- levels ---- */

static bool
append_levels(LhBuf *body, const LhBuf *levels, int max_level)
{
	size_t		start = body->len;

	if (max_level == 0)
		return true;
	/* their length is known afterwards */
	if (!lh_buf_append(body, "\0\0\0\0", 4) ||
		!lh_pq_hybrid_levels(body, levels->data, levels->len, lh_pq_bit_width((uint32_t) max_level)))
		return false;
	lh_put_u32le(body->data + start, (uint32_t) (body->len - start - 4));
	return true;
}

/* ---- values ---- */

/*
 * Maps the page onto the dictionary; *used tells whether it pays: what the
 * page adds to the dictionary and its indices must be less than the values
 * themselves, and the dictionary must stay within its limit.
 */
static bool
try_dictionary(LhPqWriter *w, LhPqLeaf *leaf, bool *used)
{
	LhPqDict   *dict = &leaf->dict;
	uint32_t	before_n = dict->n;
	size_t		before = dict->plain.len;
	size_t		n = (size_t) leaf->page_values;
	size_t		done;
	size_t		cost;

	*used = false;
	w->indices.len = 0;
	if (!lh_buf_reserve(&w->indices, n * sizeof(uint32_t)) ||
		!lh_pq_dict_map(dict, leaf->plain.data, n, (size_t) w->opts.dictionary_bytes,
						(uint32_t *) w->indices.data, &done))
		return false;
	cost = dict->plain.len - before + n * (size_t) lh_pq_bit_width(dict->n) / 8;
	if (done == n && dict->plain.len <= (size_t) w->opts.dictionary_bytes && cost < leaf->plain.len)
	{
		*used = true;
		return true;
	}
	lh_pq_dict_cut(dict, before_n);
	leaf->try_dict = false;
	return true;
}

static bool
append_indices(LhPqWriter *w, LhPqLeaf *leaf)
{
	int			width = lh_pq_bit_width(leaf->dict.n > 0 ? leaf->dict.n - 1 : 0);

	return lh_buf_u8(&w->body, (uint8_t) width) &&
		lh_pq_hybrid_indices(&w->body, (const uint32_t *) w->indices.data,
							 (size_t) leaf->page_values, width);
}

static bool
append_booleans(LhBuf *body, const LhBuf *plain)
{
	size_t		bytes = (plain->len + 7) / 8;

	if (!lh_buf_reserve(body, bytes))
		return false;
	memset(body->data + body->len, 0, bytes);
	for (size_t i = 0; i < plain->len; i++)
		body->data[body->len + i / 8] |= (uint8_t) (plain->data[i] << (i % 8));
	body->len += bytes;
	return true;
}

/* Appends the values to w->body as *encoding says; *indices is set when the dictionary is used. */
static bool
append_values(LhPqWriter *w, LhPqLeaf *leaf, int *encoding, const uint32_t **indices)
{
	bool		used = false;

	*indices = NULL;
	if (leaf->try_dict && leaf->page_values > 0 && !try_dictionary(w, leaf, &used))
		return false;
	/* a page without values goes with the pages before it */
	if (used || (leaf->try_dict && leaf->page_values == 0 && leaf->dict.n > 0))
	{
		*encoding = LH_PQ_RLE_DICTIONARY;
		*indices = (const uint32_t *) w->indices.data;
		return append_indices(w, leaf);
	}
	if (leaf->delta)
	{
		*encoding = LH_PQ_DELTA_BINARY_PACKED;
		return lh_pq_delta_encode(&w->body, leaf->plain.data, (size_t) leaf->page_values, leaf->width);
	}
	*encoding = LH_PQ_PLAIN;
	if (leaf->node->type == LH_PQ_BOOLEAN)
		return append_booleans(&w->body, &leaf->plain);
	return lh_buf_append(&w->body, leaf->plain.data, leaf->plain.len);
}

/* ---- page ---- */

LhStatus
lh_pq_page_pack(LhPqWriter *w, const uint8_t *body, size_t len, bool dictionary,
				int encoding, int64_t n_values, LhError *err)
{
	LhPqPageHeader header = {.dictionary = dictionary,.encoding = encoding};
	size_t		packed;
	LhStatus	status;

	/* sizes in a page header have 31 bits, and compression may add a little */
	if (len > INT32_MAX / 16 * 15 || n_values > INT32_MAX)
		return lh_fail(err, LH_ERR_LIMIT, -1, "a page of %zu bytes is too large", len);
	w->packed.len = 0;
	w->header.len = 0;
	if (!lh_buf_reserve(&w->packed, lh_pq_compress_bound(&w->compressor, len)))
		return lh_pq_no_memory(err);
	status = lh_pq_compress(&w->compressor, body, len, w->packed.data, w->packed.cap, &packed, err);
	if (status != LH_OK)
		return status;
	w->packed.len = packed;
	header.num_values = (int32_t) n_values;
	header.uncompressed_size = (int32_t) len;
	header.compressed_size = (int32_t) packed;
	header.crc = lh_pq_crc32(w->packed.data, packed);
	lh_pq_page_header_write(&header, &w->header);
	return w->header.failed ? lh_pq_no_memory(err) : LH_OK;
}

/* Keeps what lh_pq_page_pack() made, with its bounds behind. */
static bool
keep_page(LhPqWriter *w, LhPqLeaf *leaf, const LhPqBounds *bounds)
{
	size_t		size = w->header.len + w->packed.len;
	size_t		all = sizeof(LhPqPage) + size + bounds->min_len + bounds->max_len;
	LhPqPage   *page = lh_alloc(w->alloc, all);
	uint8_t    *p;

	if (page == NULL)
		return false;
	page->next = NULL;
	page->n_rows = leaf->page_rows;
	page->n_nulls = leaf->page_levels - leaf->page_values;
	page->n_values = leaf->page_values;
	page->size = size;
	page->has_bounds = bounds->has_min && bounds->has_max;
	page->min_len = bounds->min_len;
	page->max_len = bounds->max_len;
	p = page->data;
	memcpy(p, w->header.data, w->header.len);
	memcpy(p + w->header.len, w->packed.data, w->packed.len);
	memcpy(p + size, bounds->min, bounds->min_len);
	memcpy(p + size + bounds->min_len, bounds->max, bounds->max_len);
	if (leaf->last_page != NULL)
		leaf->last_page->next = page;
	else
		leaf->first_page = page;
	leaf->last_page = page;
	leaf->n_pages++;
	leaf->held += all;
	leaf->compressed += (int64_t) size;
	return true;
}

static void
count_page(LhPqWriter *w, LhPqLeaf *leaf, const LhPqBounds *bounds, int64_t nans, size_t body_len)
{
	leaf->uncompressed += (int64_t) (w->header.len + body_len);
	leaf->levels += leaf->page_levels;
	leaf->nulls += leaf->page_levels - leaf->page_values;
	leaf->nans += nans;
	if (leaf->page_values > nans)
	{
		leaf->min_lost |= !bounds->has_min;
		leaf->max_lost |= !bounds->has_max;
	}
	lh_pq_bounds_merge(leaf->order, &leaf->bounds, bounds);
	leaf->plain.len = leaf->def.len = leaf->rep.len = 0;
	leaf->page_values = leaf->page_levels = leaf->page_rows = 0;
}

LhStatus
lh_pq_page_finish(LhPqWriter *w, LhPqLeaf *leaf, LhError *err)
{
	LhPqBounds	bounds;
	const uint32_t *indices;
	int64_t		nans;
	int			encoding;
	LhStatus	status;

	if (w->alloc->tick != NULL && w->alloc->tick(w->alloc->ctx))
		return lh_fail(err, LH_ERR_CANCELLED, -1, "cancelled");
	w->body.len = 0;
	if (!append_levels(&w->body, &leaf->rep, leaf->max_rep) ||
		!append_levels(&w->body, &leaf->def, leaf->max_def) ||
		!append_values(w, leaf, &encoding, &indices) ||
		(leaf->bloom && indices == NULL &&
		 !lh_pq_bloom_hash(&leaf->hashes, leaf->plain.data, (size_t) leaf->page_values, leaf->node)))
		return lh_pq_no_memory(err);
	lh_pq_page_bounds(leaf, indices, &bounds, &nans);
	status = lh_pq_page_pack(w, w->body.data, w->body.len, false, encoding, leaf->page_levels, err);
	if (status != LH_OK)
		return status;
	if (!keep_page(w, leaf, &bounds))
		return lh_pq_no_memory(err);
	if (indices != NULL)
		leaf->dict_pages++;
	count_page(w, leaf, &bounds, nans, w->body.len);
	return LH_OK;
}
