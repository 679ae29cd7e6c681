/*
 * ivf_vacuum.c
 *	  VACUUM: rows leave their pages, which stay in their lists for new ones.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "ivfflat/ivf_int.h"
#include "types/pg_compat.h"

typedef struct Vacuum
{
	Ivf			ivf;
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;
	void	   *callback_state;
} Vacuum;

static Buffer
read_for_vacuum(Vacuum *v, BlockNumber block)
{
	Buffer		buffer = ReadBufferExtended(v->ivf.index, MAIN_FORKNUM, block, RBM_NORMAL, v->info->strategy);

	ivf_lock_page(v->ivf.index, buffer, IVF_PAGE_ROWS, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/* Takes dead rows from a locked page; returns how many stay. */
static int
prune_page(Vacuum *v, Buffer buffer, int n)
{
	GenericXLogState *xlog = NULL;
	Page		page = BufferGetPage(buffer);

	/* from the end on: what takes a removed row's place has been looked at */
	for (int i = n - 1; i >= 0; i--)
	{
		if (!v->callback(IvfRowTid(page, i), v->callback_state))
			continue;
		if (xlog == NULL)
		{
			xlog = GenericXLogStart(v->ivf.index);
			page = GenericXLogRegisterBuffer(xlog, buffer, 0);
		}
		ivf_row_remove(&v->ivf, page, n, i);
		n--;
		v->stats->tuples_removed++;
	}
	if (xlog != NULL)
		GenericXLogFinish(xlog);
	v->stats->num_index_tuples += n;
	return n;
}

static void
vacuum_list(Vacuum *v, int list)
{
	Ivf		   *ivf = &v->ivf;
	IvfList    *slot;
	Buffer		buffer = ivf_read_list(ivf, list, BUFFER_LOCK_SHARE, &slot);
	BlockNumber block = slot->first;
	BlockNumber insert = slot->insert;
	BlockNumber first_room = 0;
	GenericXLogState *xlog;

	UnlockReleaseBuffer(buffer);
	for (BlockNumber steps = 0; block != 0; steps++)
	{
		int			n;

		lh_vacuum_delay_point();
		ivf_check_chain(ivf, steps, block);
		buffer = read_for_vacuum(v, block);
		n = prune_page(v, buffer, ivf_rows_on(ivf, buffer, list));
		if (first_room == 0 && n < (int) IvfRowsPerPage(&ivf->shape))
			first_room = block;
		block = IvfTail(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
	}
	if (first_room == 0 || first_room == insert)
		return;
	buffer = ivf_read_list(ivf, list, BUFFER_LOCK_EXCLUSIVE, &slot);
	xlog = GenericXLogStart(ivf->index);
	slot = IvfSlot(ivf, GenericXLogRegisterBuffer(xlog, buffer, 0), IvfListSlot(ivf, list));
	slot->insert = first_room;
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
}

IndexBulkDeleteResult *
ivf_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats, IndexBulkDeleteCallback callback, void *state)
{
	Vacuum		v = {.info = info, .stats = stats, .callback = callback, .callback_state = state};

	if (stats == NULL)
		v.stats = stats = palloc0(sizeof(IndexBulkDeleteResult));
	stats->num_index_tuples = 0;
	ivf_open(&v.ivf, info->index);
	for (int list = 0; list < v.ivf.lists; list++)
		vacuum_list(&v, list);
	return stats;
}

IndexBulkDeleteResult *
ivf_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only || stats == NULL)
		return stats;
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	return stats;
}
