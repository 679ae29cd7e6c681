/*
 * bulk_delete.c
 *	  Rows that a running DELETE is about to delete, as the executor's lookahead
 *	  (exec/exec_lookahead.c) has found out, and their deletion by whole blocks.
 *
 * When the first row of a block is deleted, all rows of the block that are
 * announced go with one entry, except those that have marks or are in the delta:
 * these, and all rows of a block of which few are announced, are deleted one by
 * one as ever.  From then on a deletion of such a row is the clearing of a bit.
 *
 * Who waits for another transaction must not have deleted rows that come later:
 * that one might want them, and be deadlocked where heap knows no deadlock.  So
 * as long as there is a row in the block that may have to wait, rows go one by
 * one, until that row is over.
 *
 * That a row is dead some calls before the executor deletes it can be seen by
 * nobody: for others both become visible with the commit, and of ourselves
 * nothing runs in between that reads with a newer command id (the lookahead
 * sees to that).  An error takes back all.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "storage/lh_storage.h"

int			lh_bulk_delete_rows = 8;

typedef struct RowBlock
{
	Oid			relid;
	LhBulk		rows;			/* announced; once they are buried: not deleted yet */
	LhBulk		waits;			/* of them, may have to wait */
	bool		waiting;		/* for one of these to be over */
	bool		buried;
} RowBlock;

typedef struct Announcement
{
	struct Announcement *next;
	MemoryContextCallback forget;
	CommandId	cid;
	int			n_blocks;
	RowBlock   *blocks;			/* ascending by table and row id */
	int			last;			/* asked for before */
} Announcement;

static Announcement *announcements = NULL;	/* of statements, one in the other */

static void
forget(void *arg)
{
	Announcement **link = &announcements;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

static int
compare_places(Oid a_relid, uint64 a, Oid b_relid, uint64 b)
{
	if (a_relid != b_relid)
		return a_relid < b_relid ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int
compare_rows(const void *a, const void *b)
{
	const LhRowAhead *x = a;
	const LhRowAhead *y = b;

	return compare_places(x->relid, x->row_id, y->relid, y->row_id);
}

/* How many rows from the first on lie in its block. */
static int
run_length(const LhRowAhead *rows, int n)
{
	uint64		end = LH_BULK_FIRST(rows[0].row_id) + LH_BULK_ROWS;
	int			length = 1;

	while (length < n && rows[length].relid == rows[0].relid && rows[length].row_id < end)
		length++;
	return length;
}

static void
add_block(Announcement *a, const LhRowAhead *rows, int n)
{
	RowBlock   *block = &a->blocks[a->n_blocks++];

	memset(block, 0, sizeof(*block));
	block->relid = rows[0].relid;
	block->rows.first = LH_BULK_FIRST(rows[0].row_id);
	for (int i = 0; i < n; i++)
		lh_bulk_set(&block->rows, rows[i].row_id);
}

void
lh_bulk_announce(MemoryContext cxt, CommandId cid, LhRowAhead *rows, int n)
{
	Announcement *a = MemoryContextAllocZero(cxt, sizeof(Announcement));
	int			length;

	a->cid = cid;
	a->blocks = MemoryContextAlloc(cxt, sizeof(RowBlock) * (n / lh_bulk_delete_rows + 1));
	qsort(rows, n, sizeof(LhRowAhead), compare_rows);
	for (int i = 0; i < n; i += length)
	{
		length = run_length(rows + i, n - i);
		if (length >= lh_bulk_delete_rows)
			add_block(a, rows + i, length);
	}
	if (a->n_blocks == 0)
		return;
	a->forget.func = forget;
	a->forget.arg = a;
	a->next = announcements;
	announcements = a;
	MemoryContextRegisterResetCallback(cxt, &a->forget);
}

static RowBlock *
find_block(Announcement *a, Oid relid, uint64 first)
{
	int			low = 0;
	int			high = a->n_blocks - 1;

	if (a->blocks[a->last].relid == relid && a->blocks[a->last].rows.first == first)
		return &a->blocks[a->last];
	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (compare_places(a->blocks[mid].relid, a->blocks[mid].rows.first, relid, first) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	a->last = low;
	return compare_places(a->blocks[low].relid, a->blocks[low].rows.first, relid, first) == 0 ? &a->blocks[low] : NULL;
}

static void
bury_block(Relation rel, RowBlock *block, CommandId cid)
{
	LhMarks    *marks = lh_marks_begin(rel, RowExclusiveLock);
	MemoryContext old = MemoryContextSwitchTo(lh_marks_context(marks));

	lh_rows_bury(marks, &block->rows, &block->waits, cid, lh_bulk_delete_rows);
	MemoryContextSwitchTo(old);
	lh_marks_end(marks);
	block->waiting = lh_bulk_count(&block->waits) > 0;
	block->buried = !block->waiting;
	lh_dirty_add(RelationGetRelid(rel));
	lh_database_mark();
}

bool
lh_bulk_delete_row(Relation rel, uint64 row_id, CommandId cid)
{
	Announcement *a = announcements;
	RowBlock   *block;

	while (a != NULL && a->cid != cid)
		a = a->next;
	if (a == NULL || (block = find_block(a, RelationGetRelid(rel), LH_BULK_FIRST(row_id))) == NULL ||
		!lh_bulk_has(&block->rows, row_id))
		return false;
	if (!block->buried && !block->waiting)
		bury_block(rel, block, cid);
	if (block->waiting && lh_bulk_has(&block->waits, row_id))
		block->waiting = false;
	else if (block->buried && lh_bulk_has(&block->rows, row_id))
	{
		lh_bulk_clear(&block->rows, row_id);
		return true;
	}
	lh_bulk_clear(&block->rows, row_id);
	return false;
}
