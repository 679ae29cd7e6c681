/*
 * vindex_page.c
 *	  Pages, as far as they do not depend on what is on them: whether one can
 *	  be read at all, what is said of one that cannot, new ones, WAL of a build.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"

#include "vindex/vindex.h"

/* Has a page that ends with a tail at `end` a header that fits? */
bool
lh_vindex_page_is_sound(Page page, LocationIndex end)
{
	PageHeader	header = (PageHeader) page;

	return !PageIsNew(page) && header->pd_special == end && header->pd_lower >= MAXALIGN(SizeOfPageHeaderData) &&
		header->pd_lower <= header->pd_upper && header->pd_upper <= end;
}

void
lh_vindex_corrupted(Relation index, BlockNumber block)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" contains corrupted page at block %u", RelationGetRelationName(index), block),
			 errhint("Please REINDEX it.")));
}

void
lh_vindex_refuse_meta(Relation index)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" has a meta page of another version or a corrupted one",
					RelationGetRelationName(index)),
			 errhint("Please REINDEX it.")));
}

/* pgvector's meta page has its own number where ours has our own. */
void
lh_vindex_refuse_pgvector(Relation index, Page page, uint32 magic)
{
	if (!PageIsNew(page) && *(uint32 *) PageGetContents(page) == magic)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" was built by pgvector", RelationGetRelationName(index)),
				 errhint("Please REINDEX it.")));
}

/* A page at the end of the index, locked exclusively and not yet initialised. */
Buffer
lh_vindex_new_page(Relation index, ForkNumber fork)
{
	Buffer		buffer;

	LockRelationForExtension(index, ExclusiveLock);
	buffer = ReadBufferExtended(index, fork, P_NEW, RBM_ZERO_AND_LOCK, NULL);
	UnlockRelationForExtension(index, ExclusiveLock);
	return buffer;
}

/* All pages, when a build has written them. */
void
lh_vindex_log(Relation index, ForkNumber fork)
{
	log_newpage_range(index, fork, 0, RelationGetNumberOfBlocksInFork(index, fork), true);
}
