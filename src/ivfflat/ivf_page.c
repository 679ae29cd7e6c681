/*
 * ivf_page.c
 *	  Pages of an index: the meta page, slots of lists, rows on a page, reading
 *	  and extending.  Knows nothing of searching.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "ivfflat/ivf_int.h"
#include "types/pg_compat.h"

/* pgvector's number for its own pages, at the same place. */
#define PGVECTOR_MAGIC	0x14FF1A7

/* ---- checks ---- */

static void
check_page(Relation index, Buffer buffer, int kind)
{
	Page		page = BufferGetPage(buffer);

	if (!lh_vindex_page_is_sound(page, IVF_PAGE_END) ||
		IvfTail(page)->page_id != IVF_PAGE_ID || IvfTail(page)->kind != kind)
		lh_vindex_corrupted(index, BufferGetBlockNumber(buffer));
}

/*
 * A chain of pages is no longer than the index: `steps` says how far we have
 * come.  And no block has the number by which new ones are asked for.
 */
void
ivf_check_chain(Ivf *ivf, BlockNumber steps, BlockNumber block)
{
	if (unlikely(block == P_NEW) ||
		(unlikely(steps % 1024 == 1023) && steps > RelationGetNumberOfBlocks(ivf->index)))
		lh_vindex_corrupted(ivf->index, block);
}

/* ---- the meta page ---- */

static int
max_dims(IvfType type)
{
	return type == IVF_BIT ? IVF_MAX_BITS : type == IVF_HALFVEC ? 2 * IVF_MAX_DIMS : IVF_MAX_DIMS;
}

/* What a new index on this relation will be; errors if there cannot be one. */
void
ivf_meta_for(Relation index, IvfMeta *meta)
{
	IvfOptions *options = (IvfOptions *) index->rd_options;
	IvfType		type = ivf_type_of(index);
	uint32		dims = lh_vindex_dims(index, max_dims(type), "ivfflat");

	memset(meta, 0, sizeof(*meta));
	meta->magic = IVF_MAGIC;
	meta->version = IVF_VERSION;
	meta->dims = dims;
	meta->lists = options ? options->lists : IVF_DEFAULT_LISTS;
	meta->type = type;
	meta->metric = ivf_metric_of(index, type);
	if (dims == 1 && (meta->metric == IVF_IP || meta->metric == IVF_COSINE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions must be greater than one for this opclass")));
}

/* A corrupt meta page must not make anything be computed from it. */
static bool
meta_is_sound(const IvfMeta *meta)
{
	if (meta->magic != IVF_MAGIC || meta->version != IVF_VERSION || meta->lists < 1 || meta->lists > IVF_MAX_LISTS)
		return false;
	if (meta->type < IVF_VECTOR || meta->type > IVF_BIT || meta->metric < IVF_L2 || meta->metric > IVF_HAMMING ||
		(meta->type == IVF_BIT) != (meta->metric == IVF_HAMMING))
		return false;
	return meta->dims >= 1 && meta->dims <= (uint32) max_dims(meta->type);
}

static void
read_meta(Relation index, IvfMeta *meta)
{
	Buffer		buffer = ReadBuffer(index, IVF_META_BLOCK);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	lh_vindex_refuse_pgvector(index, BufferGetPage(buffer), PGVECTOR_MAGIC);
	check_page(index, buffer, IVF_PAGE_META);
	*meta = *IvfPageMeta(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	if (!meta_is_sound(meta))
		lh_vindex_refuse_meta(index);
}

void
ivf_setup(Ivf *ivf, Relation index, const IvfMeta *meta)
{
	ivf->index = index;
	ivf->shape.type = meta->type;
	ivf->shape.metric = meta->metric;
	ivf->shape.dims = meta->dims;
	ivf->shape.value_bytes = ivf_value_bytes(meta->type, meta->dims);
	ivf->lists = meta->lists;
	ivf->slot_bytes = TYPEALIGN(4, sizeof(IvfList) + ivf->shape.value_bytes);
	ivf->slots_per_page = IVF_PAGE_SPACE / ivf->slot_bytes;
}

/* rd_amcache holds the meta page, which never changes; a build ends with throwing the cache away. */
void
ivf_open(Ivf *ivf, Relation index)
{
	if (index->rd_amcache == NULL)
	{
		IvfMeta		meta;

		read_meta(index, &meta);
		index->rd_amcache = MemoryContextAlloc(index->rd_indexcxt, sizeof(IvfMeta));
		*(IvfMeta *) index->rd_amcache = meta;
	}
	ivf_setup(ivf, index, index->rd_amcache);
}

/* ---- reading and extending ---- */

void
ivf_init_page(Page page, int kind, int list)
{
	PageInit(page, BLCKSZ, sizeof(IvfPageTail));
	((PageHeader) page)->pd_lower = IVF_PAGE_START;
	IvfTail(page)->kind = kind;
	IvfTail(page)->list = list;
	IvfTail(page)->page_id = IVF_PAGE_ID;
}

void
ivf_lock_page(Relation index, Buffer buffer, int kind, int lock)
{
	LockBuffer(buffer, lock);
	check_page(index, buffer, kind);
}

/* A pinned and locked page of that kind. */
Buffer
ivf_read_page(Relation index, BlockNumber block, int kind, int lock)
{
	Buffer		buffer;

	if (unlikely(block == P_NEW))
		lh_vindex_corrupted(index, block);
	buffer = ReadBuffer(index, block);
	ivf_lock_page(index, buffer, kind, lock);
	return buffer;
}

/* ---- lists ---- */

/* How many slots a page of them has. */
int
ivf_slots_on(Ivf *ivf, BlockNumber block)
{
	int			from = (int) (block - IVF_CENTER_BLOCK) * ivf->slots_per_page;

	return Min(ivf->lists - from, ivf->slots_per_page);
}

/* The page of a list's slot, and the slot on it. */
Buffer
ivf_read_list(Ivf *ivf, int list, int lock, IvfList **slot)
{
	Buffer		buffer = ivf_read_page(ivf->index, IvfListBlock(ivf, list), IVF_PAGE_CENTER, lock);

	*slot = IvfSlot(ivf, BufferGetPage(buffer), IvfListSlot(ivf, list));
	return buffer;
}

/* Writes the meta page and all lists, empty, into a fork without pages; not logged. */
void
ivf_create(Ivf *ivf, ForkNumber fork, const IvfMeta *meta, const char *centers)
{
	Buffer		buffer = lh_vindex_new_page(ivf->index, fork);
	Page		page = BufferGetPage(buffer);

	ivf_init_page(page, IVF_PAGE_META, 0);
	*IvfPageMeta(page) = *meta;
	((PageHeader) page)->pd_lower += sizeof(IvfMeta);
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
	for (int list = 0; list < ivf->lists;)
	{
		int			n = Min(ivf->lists - list, ivf->slots_per_page);

		buffer = lh_vindex_new_page(ivf->index, fork);
		page = BufferGetPage(buffer);
		ivf_init_page(page, IVF_PAGE_CENTER, 0);
		((PageHeader) page)->pd_lower += n * ivf->slot_bytes;
		for (int i = 0; i < n; i++, list++)
		{
			IvfList    *slot = IvfSlot(ivf, page, i);

			memset(slot, 0, sizeof(IvfList));
			memcpy(IvfSlotCenter(slot), centers + (Size) list * ivf->shape.value_bytes, ivf->shape.value_bytes);
		}
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
}

/* ---- rows ---- */

/* How many rows a locked page has; an error if it is not the list's. */
int
ivf_rows_on(Ivf *ivf, Buffer buffer, int list)
{
	PageHeader	header = (PageHeader) BufferGetPage(buffer);
	uint32		n = (header->pd_lower - IVF_PAGE_START) / ivf->shape.value_bytes;

	if (unlikely(header->pd_lower != IVF_PAGE_START + n * ivf->shape.value_bytes ||
				 header->pd_upper != IVF_PAGE_END - n * sizeof(ItemPointerData) ||
				 IvfTail(header)->list != list))
		lh_vindex_corrupted(ivf->index, BufferGetBlockNumber(buffer));
	return n;
}

/* False if there is no room. */
bool
ivf_row_add(Ivf *ivf, Page page, ItemPointer tid, const void *value)
{
	PageHeader	header = (PageHeader) page;

	if (header->pd_upper - header->pd_lower < ivf->shape.value_bytes + sizeof(ItemPointerData))
		return false;
	memcpy((char *) page + header->pd_lower, value, ivf->shape.value_bytes);
	header->pd_lower += ivf->shape.value_bytes;
	header->pd_upper -= sizeof(ItemPointerData);
	*(ItemPointer) ((char *) page + header->pd_upper) = *tid;
	return true;
}

/* The last of n rows takes the place of row i. */
void
ivf_row_remove(Ivf *ivf, Page page, int n, int i)
{
	PageHeader	header = (PageHeader) page;

	if (i < n - 1)
	{
		memcpy(IvfRowValue(page, &ivf->shape, i), IvfRowValue(page, &ivf->shape, n - 1), ivf->shape.value_bytes);
		*IvfRowTid(page, i) = *IvfRowTid(page, n - 1);
	}
	header->pd_lower -= ivf->shape.value_bytes;
	header->pd_upper += sizeof(ItemPointerData);
}
