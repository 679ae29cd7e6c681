/*
 * ivf_insert.c
 *	  Inserting a row: into the list of its nearest centre, where there is room.
 *
 * Pages are locked in this order: a page of rows, the new page behind it, the
 * page of the list's slot.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "ivfflat/ivf_int.h"

static void
add_fresh(Ivf *ivf, Page page, int list, ItemPointer tid, const void *value)
{
	ivf_init_page(page, IVF_PAGE_ROWS, list);
	(void) ivf_row_add(ivf, page, tid, value);
}

/* The first page of a list that has none; false if it has got one meanwhile. */
static bool
add_to_empty(Ivf *ivf, int list, ItemPointer tid, const void *value)
{
	IvfList    *slot;
	Buffer		slot_buffer = ivf_read_list(ivf, list, BUFFER_LOCK_EXCLUSIVE, &slot);
	Buffer		buffer;
	GenericXLogState *xlog;

	if (slot->first != 0)
	{
		UnlockReleaseBuffer(slot_buffer);
		return false;
	}
	buffer = lh_vindex_new_page(ivf->index, MAIN_FORKNUM);
	xlog = GenericXLogStart(ivf->index);
	add_fresh(ivf, GenericXLogRegisterBuffer(xlog, buffer, GENERIC_XLOG_FULL_IMAGE), list, tid, value);
	slot = IvfSlot(ivf, GenericXLogRegisterBuffer(xlog, slot_buffer, 0), IvfListSlot(ivf, list));
	slot->first = slot->insert = BufferGetBlockNumber(buffer);
	slot->run = 1;
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(slot_buffer);
	return true;
}

/* A new page behind the list's last one, which is locked. */
static void
add_behind(Ivf *ivf, int list, Buffer last, ItemPointer tid, const void *value)
{
	Buffer		buffer = lh_vindex_new_page(ivf->index, MAIN_FORKNUM);
	BlockNumber block = BufferGetBlockNumber(buffer);
	IvfList    *slot;
	Buffer		slot_buffer = ivf_read_list(ivf, list, BUFFER_LOCK_EXCLUSIVE, &slot);
	GenericXLogState *xlog = GenericXLogStart(ivf->index);

	IvfTail(GenericXLogRegisterBuffer(xlog, last, 0))->next = block;
	add_fresh(ivf, GenericXLogRegisterBuffer(xlog, buffer, GENERIC_XLOG_FULL_IMAGE), list, tid, value);
	slot = IvfSlot(ivf, GenericXLogRegisterBuffer(xlog, slot_buffer, 0), IvfListSlot(ivf, list));
	slot->insert = block;
	if (block == slot->first + slot->run)
		slot->run++;
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(slot_buffer);
	UnlockReleaseBuffer(buffer);
}

/* Later inserts start at the page that had room. */
static void
move_insert(Ivf *ivf, int list, BlockNumber block)
{
	IvfList    *slot;
	Buffer		buffer = ivf_read_list(ivf, list, BUFFER_LOCK_EXCLUSIVE, &slot);
	GenericXLogState *xlog = GenericXLogStart(ivf->index);

	slot = IvfSlot(ivf, GenericXLogRegisterBuffer(xlog, buffer, 0), IvfListSlot(ivf, list));
	slot->insert = block;
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
}

/* To the list's pages from `from` on; the first with room takes the row. */
static void
add_to_chain(Ivf *ivf, int list, BlockNumber from, ItemPointer tid, const void *value)
{
	Buffer		buffer = ivf_read_page(ivf->index, from, IVF_PAGE_ROWS, BUFFER_LOCK_EXCLUSIVE);

	for (BlockNumber steps = 0;; steps++)
	{
		BlockNumber next = IvfTail(BufferGetPage(buffer))->next;

		CHECK_FOR_INTERRUPTS();
		ivf_check_chain(ivf, steps, BufferGetBlockNumber(buffer));
		if (ivf_rows_on(ivf, buffer, list) < (int) IvfRowsPerPage(&ivf->shape))
		{
			BlockNumber block = BufferGetBlockNumber(buffer);
			GenericXLogState *xlog = GenericXLogStart(ivf->index);

			(void) ivf_row_add(ivf, GenericXLogRegisterBuffer(xlog, buffer, 0), tid, value);
			GenericXLogFinish(xlog);
			UnlockReleaseBuffer(buffer);
			if (block != from)
				move_insert(ivf, list, block);
			return;
		}
		if (next == 0)
			break;
		UnlockReleaseBuffer(buffer);
		buffer = ivf_read_page(ivf->index, next, IVF_PAGE_ROWS, BUFFER_LOCK_EXCLUSIVE);
	}
	add_behind(ivf, list, buffer, tid, value);
	UnlockReleaseBuffer(buffer);
}

static void
insert(Ivf *ivf, ItemPointer tid, const void *value)
{
	IvfQuery	query;
	IvfList    *slot;
	Buffer		buffer;
	BlockNumber block;
	int			list;

	ivf_query(&ivf->shape, value, palloc(IvfWorkBytes(&ivf->shape)), &query);
	list = ivf_nearest_list(ivf, &query);
	buffer = ivf_read_list(ivf, list, BUFFER_LOCK_SHARE, &slot);
	block = slot->insert;
	UnlockReleaseBuffer(buffer);
	if (block == 0)
	{
		if (add_to_empty(ivf, list, tid, value))
			return;
		buffer = ivf_read_list(ivf, list, BUFFER_LOCK_SHARE, &slot);
		block = slot->insert;
		UnlockReleaseBuffer(buffer);
	}
	add_to_chain(ivf, list, block, tid, value);
}

bool
ivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
		   IndexUniqueCheck unique, bool unchanged, IndexInfo *info)
{
	MemoryContext context,
				old;
	Ivf			ivf;
	void	   *value;

	if (isnull[0])
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "ivfflat insert", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	ivf_open(&ivf, index);
	if (ivf_value(&ivf.shape, values[0], &value))
		insert(&ivf, tid, value);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
