/*
 * nearest_heap.c
 *	  Sequential scans of heap tables, a page at a time.
 *
 * A sequential scan that computes hardly anything waits for memory, and for
 * the detour from node to node that each row takes.  The table's own scan
 * finds the pages, and which of their rows are visible; here the rows of one
 * page go through filter and distance in one loop, which meanwhile asks for
 * the rows of the next page: in the buffer where this process saw it last, or
 * else the next buffer, and standing where those of this page stand.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "nearest/nearest_int.h"
#include "types/pg_compat.h"

/* What is asked for of a row that is to come. */
#define PREFETCH_BYTES	1024

/* What a filter mostly looks at: a row's header and its first column or two. */
#define FIRST_BYTES		40

typedef struct HeapRun
{
	NearestState *s;
	ScanState  *ss;
	TupleTableSlot *slot;		/* of the table's row */
	AttrNumber	key;			/* the table's column that is compared; 0: some expression */
	int			prefetch;		/* bytes of each row */
	int			n_leading;		/* columns up to the last that the filter looks at, of fixed length */
	double		passed;
	double		dropped;
} HeapRun;

/* ---- where the next page is ---- */

/* In which buffers this process saw the pages of the table that it scanned last; 0: not yet. */
static struct
{
	RelFileNode file;
	BlockNumber n_blocks;
	Buffer	   *buffers;
}			seen;

/* Tables of more pages are not remembered. */
#define MAX_SEEN	(1 << 20)

static void
remember_table(Relation rel)
{
	BlockNumber n_blocks = RelationGetNumberOfBlocks(rel);

	if (RelFileNodeEquals(seen.file, rel->rd_node) && seen.n_blocks >= Min(n_blocks, MAX_SEEN))
		return;
	if (seen.buffers)
		pfree(seen.buffers);
	seen.buffers = NULL;
	seen.n_blocks = 0;
	if (n_blocks == 0 || n_blocks > MAX_SEEN)
		return;
	seen.buffers = MemoryContextAllocZero(TopMemoryContext, sizeof(Buffer) * n_blocks);
	seen.n_blocks = n_blocks;
	seen.file = rel->rd_node;
}

/*
 * The page that the scan will probably see next, for prefetching only: this one
 * if there is no telling.
 */
static char *
next_page(BlockNumber block, Buffer buffer)
{
	Buffer		next = 0;

	if (BufferIsLocal(buffer))
		return (char *) BufferGetPage(buffer);
	if (block < seen.n_blocks)
		seen.buffers[block] = buffer;
	if (block + 1 < seen.n_blocks)
		next = seen.buffers[block + 1];
	if (next == 0)
		next = lh_buffer_has_next(buffer) ? buffer + 1 : buffer;
	__builtin_prefetch(GetBufferDescriptor(next - 1));
	return (char *) BufferGetPage(next);
}

/* ---- the scan ---- */

/* Is the child a plain scan of a heap table? */
bool
lh_nearest_is_heap(const PlanState *child)
{
	const ScanState *ss = (const ScanState *) child;

	return IsA(child, SeqScanState) && child->state->es_epq_active == NULL &&
		ss->ss_currentRelation->rd_tableam == GetHeapamTableAmRoutine() &&
		IsMVCCSnapshot(child->state->es_snapshot);
}

/* What the expressions of the row before have allocated, mostly nothing. */
static inline void
forget_last(ExprContext *econtext)
{
	MemoryContext context = econtext->ecxt_per_tuple_memory;

	if (!context->isReset || context->firstchild)
		MemoryContextReset(context);
}

/* The row in the slot through filter and distance. */
static inline void
visit_row(HeapRun *run)
{
	NearestState *s = run->s;
	ScanState  *ss = run->ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	TupleTableSlot *slot = run->slot;
	Datum		value;
	double		distance;
	bool		isnull;

	econtext->ecxt_scantuple = slot;
	if (ss->ps.qual)
	{
		forget_last(econtext);
		if (!ExecQual(ss->ps.qual, econtext))
		{
			run->dropped++;
			return;
		}
	}
	run->passed++;
	if (run->key == 0)
	{
		forget_last(econtext);
		lh_nearest_offer(s, ExecProject(ss->ps.ps_ProjInfo));
		return;
	}
	/* most rows are too far away: they are not projected */
	value = slot_getattr(slot, run->key, &isnull);
	distance = lh_nearest_distance(s, value, &isnull);
	if (lh_nearest_is_kept(s, distance, isnull))
		lh_nearest_keep(s, distance, isnull, ss->ps.ps_ProjInfo ? ExecProject(ss->ps.ps_ProjInfo) : slot);
	s->offered++;
}

/* The columns that the filter looks at and those before them, as far as they have a fixed length. */
static void
find_leading(HeapRun *run)
{
	Bitmapset  *columns = NULL;
	TupleDesc	desc = run->slot->tts_tupleDescriptor;
	int			last = -1;

	pull_varattnos((Node *) run->ss->ps.plan->qual, ((Scan *) run->ss->ps.plan)->scanrelid, &columns);
	while ((last = bms_next_member(columns, last)) >= 0)
		run->n_leading = last + FirstLowInvalidHeapAttributeNumber;
	run->n_leading = Max(run->n_leading, 0);
	for (int i = 0; i < run->n_leading; i++)
		if (TupleDescAttr(desc, i)->attlen <= 0)
			run->n_leading = i;
}

/* What slot_getsomeattrs() would do for them, in a third of the time; left to it where there are NULLs. */
static inline void
deform_leading(HeapRun *run, HeapTuple tuple)
{
	TupleTableSlot *slot = run->slot;
	char	   *row = (char *) tuple->t_data + tuple->t_data->t_hoff;
	uint32		at = 0;

	if (HeapTupleHasNulls(tuple) || HeapTupleHeaderGetNatts(tuple->t_data) < run->n_leading)
		return;
	for (int i = 0; i < run->n_leading; i++)
	{
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);

		at = att_align_nominal(at, att->attalign);
		slot->tts_values[i] = fetchatt(att, row + at);
		slot->tts_isnull[i] = false;
		at += att->attlen;
	}
	slot->tts_nvalid = run->n_leading;
	slot->tts_flags &= ~TTS_FLAG_SLOW;
	((HeapTupleTableSlot *) slot)->off = at;
}

/* Lets the slot, which holds the page and points to the scan's row, show another row of the page. */
static inline void
show_row(HeapRun *run, HeapScanDesc scan, Page page, OffsetNumber offset)
{
	TupleTableSlot *slot = run->slot;
	ItemId		item = PageGetItemId(page, offset);

	scan->rs_ctup.t_data = (HeapTupleHeader) PageGetItem(page, item);
	scan->rs_ctup.t_len = ItemIdGetLength(item);
	ItemPointerSetOffsetNumber(&scan->rs_ctup.t_self, offset);
	slot->tts_tid = scan->rs_ctup.t_self;
	slot->tts_nvalid = 0;
	((HeapTupleTableSlot *) slot)->off = 0;
	if (run->n_leading > 0)
		deform_leading(run, &scan->rs_ctup);
}

/* The scan stands on the first visible row of a page; goes through this one and the rest. */
static void
visit_page(HeapRun *run, HeapScanDesc scan)
{
	Buffer		buffer = scan->rs_cbuf;
	Page		page = BufferGetPage(buffer);
	int			n = (int) scan->rs_ntuples;
	ptrdiff_t	ahead = next_page(scan->rs_cblock, buffer) - page;

	Assert(((HeapTupleTableSlot *) run->slot)->tuple == &scan->rs_ctup);
	if (ahead != 0)
		LH_PREFETCH_AHEAD(page, ahead, SizeOfPageHeaderData + n * (int) sizeof(ItemIdData));
	for (int i = (int) scan->rs_cindex; i < n; i++)
	{
		show_row(run, scan, page, scan->rs_vistuples[i]);
		if (ahead != 0)
		{
			LH_PREFETCH_AHEAD(scan->rs_ctup.t_data, ahead, Min(run->prefetch, (int) scan->rs_ctup.t_len));
			LH_PREFETCH_AHEAD((char *) scan->rs_ctup.t_data + FIRST_BYTES - 1, ahead, 1);
		}
		visit_row(run);
	}
	scan->rs_cindex = n - 1;
}

/* The child's column that is compared, as the table's. */
static AttrNumber
key_of_table(const NearestState *s, const ScanState *ss)
{
	const TargetEntry *entry = list_nth(ss->ps.plan->targetlist, s->key - 1);
	const Var  *var = (const Var *) entry->expr;

	if (ss->ps.ps_ProjInfo == NULL)
		return s->key;
	return IsA(var, Var) && var->varattno > 0 ? var->varattno : 0;
}

void
lh_nearest_search_heap(NearestState *s)
{
	ScanState  *ss = (ScanState *) s->exact;
	HeapRun		run = {.s = s,.ss = ss,.slot = ss->ss_ScanTupleSlot};
	HeapScanDesc scan;

	if (ss->ps.chgParam != NULL)
		ExecReScan(&ss->ps);
	if (ss->ps.instrument)
		InstrStartNode(ss->ps.instrument);
	run.key = key_of_table(s, ss);
	find_leading(&run);
	remember_table(ss->ss_currentRelation);
	run.prefetch = ss->ps.qual ? 1 : PREFETCH_BYTES;
	if (ss->ss_currentScanDesc == NULL)
		ss->ss_currentScanDesc = table_beginscan(ss->ss_currentRelation, ss->ps.state->es_snapshot, 0, NULL);
	scan = (HeapScanDesc) ss->ss_currentScanDesc;
	while (table_scan_getnextslot(ss->ss_currentScanDesc, ForwardScanDirection, run.slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (scan->rs_base.rs_flags & SO_ALLOW_PAGEMODE)
			visit_page(&run, scan);
		else
			visit_row(&run);
	}
	InstrCountFiltered1(&ss->ps, run.dropped);
	if (ss->ps.instrument)
		InstrStopNode(ss->ps.instrument, run.passed);
}

/* ---- a look at the filter ---- */

/* So many rows are looked at, from pages all over the table. */
#define SAMPLE_ROWS		1024
#define SAMPLE_PAGES	64
/* The planner's opinion weighs as much as this many of them. */
#define PRIOR_ROWS		50

/*
 * Which share of the index's rows passes the filter?  Of conditions like
 * i % 10 = 3 the planner knows nothing.
 */
double
lh_nearest_sample(NearestState *s)
{
	ScanState  *ss = (ScanState *) s->exact;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	TableScanDesc scan;
	BlockNumber n_blocks = RelationGetNumberOfBlocks(ss->ss_currentRelation);
	int			pages = SAMPLE_PAGES;
	int			rows = 0,
				passed = 0;

	if (n_blocks < SAMPLE_PAGES)
		return s->planned;
	if (ss->ps.chgParam != NULL)
		ExecReScan(&ss->ps);
	scan = table_beginscan_strat(ss->ss_currentRelation, ss->ps.state->es_snapshot, 0, NULL, true, false);
	for (int i = 0; i < pages; i++)
	{
		table_rescan(scan, NULL);
		heap_setscanlimits(scan, (BlockNumber) ((uint64) n_blocks * i / pages), 1);
		while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			econtext->ecxt_scantuple = slot;
			forget_last(econtext);
			rows++;
			passed += ExecQual(ss->ps.qual, econtext);
		}
		if (i == 0)
			pages = Min(pages, SAMPLE_ROWS / Max(rows, 1) + 2);
	}
	ExecClearTuple(slot);
	table_endscan(scan);
	return Min((passed / s->covered + s->planned * PRIOR_ROWS) / (rows + PRIOR_ROWS), 1);
}
