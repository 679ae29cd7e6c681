/*
 * nearest_heap.c
 *	  Sequential scans of heap tables, a page at a time.
 *
 * A sequential scan that computes hardly anything waits for memory, and for
 * the detour from node to node that each row takes.  Here the rows of one page
 * go through the filter together and then through the distance in one loop,
 * which meanwhile asks for the rows of the next page, standing where those of
 * this page stand.
 *
 * Tables that have their place in shared buffers are read here; large ones by
 * the server's own scan, which keeps to a few buffers and reads ahead, and so
 * are those that several processes share or that look for serialization
 * conflicts.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/rel.h"

#include "nearest/nearest_int.h"
#include "types/pg_compat.h"

/* What is asked for of a row that is to come. */
#define PREFETCH_BYTES	2048

/* What a filter mostly looks at: the end of a row's header, and its first column or two. */
#define FIRST_BYTE		offsetof(HeapTupleHeaderData, t_infomask2)
#define LAST_BYTE		32

/* The processor itself asks for the rows of pages that have so many. */
#define CROWDED			64

typedef struct HeapRun
{
	NearestState *s;
	ScanState  *ss;
	NearestSeen *seen;
	TupleTableSlot *slot;		/* of the table's row */
	HeapTupleData tuple;		/* which it shows */
	AttrNumber	key;			/* the table's column that is compared; 0: some expression */
	Form_pg_attribute key_att;
	int			key_place;		/* in plain rows; -1: the slot finds it */
	double		passed;
	double		dropped;
	NearestPage page;
	uint8		verdicts[MaxHeapTuplesPerPage];
	int			n_left;			/* rows that the filter has not dropped at once */
	uint16		left[MaxHeapTuplesPerPage];
} HeapRun;

/* Is the child a plain scan of a heap table? */
bool
lh_nearest_is_heap(const PlanState *child)
{
	const ScanState *ss = (const ScanState *) child;

	return IsA(child, SeqScanState) && child->state->es_epq_active == NULL &&
		ss->ss_currentRelation->rd_tableam == GetHeapamTableAmRoutine() &&
		IsMVCCSnapshot(child->state->es_snapshot);
}

/* ---- rows ---- */

/* What the expressions of the row before have allocated, mostly nothing. */
static inline void
forget_last(ExprContext *econtext)
{
	MemoryContext context = econtext->ecxt_per_tuple_memory;

	if (!context->isReset || context->firstchild)
		MemoryContextReset(context);
}

static inline int
row_bytes(const NearestPage *page, int i)
{
	return ItemIdGetLength(PageGetItemId((Page) page->data, page->offsets[i]));
}

static inline void
point_to(HeapRun *run, int i)
{
	run->tuple.t_data = run->page.rows[i];
	run->tuple.t_len = row_bytes(&run->page, i);
	ItemPointerSet(&run->tuple.t_self, run->page.block, run->page.offsets[i]);
}

/* Lets the slot keep the page. */
static void
hold_page(HeapRun *run)
{
	point_to(run, 0);
	run->tuple.t_tableOid = RelationGetRelid(run->ss->ss_currentRelation);
	ExecStoreBufferHeapTuple(&run->tuple, run->slot, run->page.buffer);
}

/* Lets the slot, which holds the page, show a row of it. */
static inline void
show_row(HeapRun *run, int i)
{
	TupleTableSlot *slot = run->slot;

	point_to(run, i);
	slot->tts_tid = run->tuple.t_self;
	slot->tts_nvalid = 0;
	((HeapTupleTableSlot *) slot)->off = 0;
}

/* What the filter says of the page's rows, as far as that is simple. */
static void
judge_rows(HeapRun *run)
{
	int			n = 0;

	if (run->s->qual)
		lh_nearest_qual_page(run->s->qual, &run->page, run->verdicts);
	else
		memset(run->verdicts, run->ss->ps.qual ? NEAREST_ASK : NEAREST_PASS, run->page.n);
	for (int i = 0; i < run->page.n; i++)
	{
		run->left[n] = i;
		n += run->verdicts[i] != NEAREST_DROP;
	}
	run->n_left = n;
}

/* Does a row that is left pass? */
static inline bool
passes(HeapRun *run, int i)
{
	ExprContext *econtext = run->ss->ps.ps_ExprContext;

	if (run->verdicts[i] == NEAREST_PASS)
		return true;
	show_row(run, i);
	forget_last(econtext);
	return ExecQual(run->ss->ps.qual, econtext);
}

/* The value that is compared. */
static inline Datum
key_of(HeapRun *run, int i, bool *isnull)
{
	HeapTupleHeader row = run->page.rows[i];
	char	   *data = lh_nearest_row_data(row) + run->key_place;

	if (run->key_place < 0 || !lh_nearest_row_is_plain(row, run->key))
	{
		show_row(run, i);
		return slot_getattr(run->slot, run->key, isnull);
	}
	*isnull = false;
	return (Datum) att_align_pointer(data, run->key_att->attalign, -1, data);
}

/* A row that has passed: most are too far away, and not projected. */
static inline void
offer_row(HeapRun *run, int i)
{
	NearestState *s = run->s;
	ScanState  *ss = run->ss;
	Datum		value;
	double		distance;
	bool		isnull;

	if (run->key == 0)
	{
		show_row(run, i);
		forget_last(ss->ps.ps_ExprContext);
		lh_nearest_offer(s, ExecProject(ss->ps.ps_ProjInfo));
		return;
	}
	value = key_of(run, i, &isnull);
	distance = lh_nearest_distance(s, value, &isnull);
	if (lh_nearest_is_kept(s, distance, isnull))
	{
		show_row(run, i);
		lh_nearest_keep(s, distance, isnull, ss->ps.ps_ProjInfo ? ExecProject(ss->ps.ps_ProjInfo) : run->slot);
	}
	s->offered++;
}

/* ---- pages ---- */

/* Goes through the rows, and asks for what will be looked at on the page that comes next. */
static void
visit_page(HeapRun *run)
{
	NearestPage *page = &run->page;
	ptrdiff_t	ahead = page->next - page->data;
	bool		filters = run->ss->ps.qual != NULL;
	double		passed = 0;

	LH_PREFETCH(page->data + ahead, SizeOfPageHeaderData + page->n * (int) sizeof(ItemIdData));
	for (int i = 0; i < page->n && filters && page->n < CROWDED; i++)
		LH_PREFETCH((char *) page->rows[i] + ahead + FIRST_BYTE, LAST_BYTE - FIRST_BYTE);
	judge_rows(run);
	for (int i = 0; i < run->n_left; i++)
	{
		if (!filters)
			LH_PREFETCH((char *) page->rows[i] + ahead, Min(row_bytes(page, i), PREFETCH_BYTES));
		if (passes(run, run->left[i]))
		{
			passed++;
			offer_row(run, run->left[i]);
		}
	}
	run->passed += passed;
	run->dropped += page->n - passed;
}

static void
count_rows(Relation rel, int n)
{
	for (int i = 0; i < n; i++)
		pgstat_count_heap_getnext(rel);
}

/* Pages as the server's scan finds them; it stands on the first visible row of each. */
static void
visit_scan(HeapRun *run, HeapScanDesc scan)
{
	while (table_scan_getnextslot(&scan->rs_base, ForwardScanDirection, run->slot))
	{
		CHECK_FOR_INTERRUPTS();
		lh_nearest_take_page(run->seen, scan, &run->page);
		count_rows(scan->rs_base.rs_rd, run->page.n - 1);
		hold_page(run);
		visit_page(run);
		scan->rs_cindex = scan->rs_ntuples - 1;
	}
}

static void
visit_blocks(HeapRun *run, HeapScanDesc scan)
{
	Relation	rel = scan->rs_base.rs_rd;

	for (BlockNumber block = 0; block < scan->rs_nblocks; block++)
	{
		CHECK_FOR_INTERRUPTS();
		lh_nearest_read_page(run->seen, rel, scan->rs_base.rs_snapshot, block, &run->page);
		count_rows(rel, run->page.n);
		if (run->page.n > 0)
			hold_page(run);
		ReleaseBuffer(run->page.buffer);
		if (run->page.n > 0)
			visit_page(run);
	}
	ExecClearTuple(run->slot);
}

/* May pages be read without the server's scan? */
static bool
is_read_here(HeapScanDesc scan)
{
	return scan->rs_strategy == NULL && scan->rs_base.rs_parallel == NULL &&
		!RelationUsesLocalBuffers(scan->rs_base.rs_rd) &&
		!CheckForSerializableConflictOutNeeded(scan->rs_base.rs_rd, scan->rs_base.rs_snapshot);
}

/* ---- the scan ---- */

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

static void
begin_run(HeapRun *run, NearestState *s)
{
	ScanState  *ss = (ScanState *) s->exact;
	TupleDesc	desc = RelationGetDescr(ss->ss_currentRelation);

	if (ss->ps.chgParam != NULL)
		ExecReScan(&ss->ps);
	run->s = s;
	run->ss = ss;
	run->slot = ss->ss_ScanTupleSlot;
	run->key = key_of_table(s, ss);
	run->key_place = lh_nearest_column_place(desc, run->key);
	if (run->key_place >= 0)
		run->key_att = TupleDescAttr(desc, run->key - 1);
	run->passed = run->dropped = 0;
	ss->ps.ps_ExprContext->ecxt_scantuple = run->slot;
	run->seen = lh_nearest_seen(ss->ss_currentRelation);
	if (s->qual)
		lh_nearest_qual_begin(s->qual);
}

void
lh_nearest_search_heap(NearestState *s)
{
	ScanState  *ss = (ScanState *) s->exact;
	HeapRun		run;
	HeapScanDesc scan;

	begin_run(&run, s);
	if (ss->ps.instrument)
		InstrStartNode(ss->ps.instrument);
	if (ss->ss_currentScanDesc == NULL)
		ss->ss_currentScanDesc = table_beginscan(ss->ss_currentRelation, ss->ps.state->es_snapshot, 0, NULL);
	scan = (HeapScanDesc) ss->ss_currentScanDesc;
	if (is_read_here(scan))
		visit_blocks(&run, scan);
	else
		visit_scan(&run, scan);
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
	Relation	rel = ss->ss_currentRelation;
	BlockNumber n_blocks = RelationGetNumberOfBlocks(rel);
	HeapRun		run;
	int			pages = SAMPLE_PAGES;
	int			rows = 0,
				passed = 0;

	if (n_blocks < SAMPLE_PAGES)
		return s->planned;
	begin_run(&run, s);
	for (int page = 0; page < pages; page++)
	{
		CHECK_FOR_INTERRUPTS();
		lh_nearest_read_page(run.seen, rel, ss->ps.state->es_snapshot, (BlockNumber) ((uint64) n_blocks * page / pages), &run.page);
		if (run.page.n > 0)
			hold_page(&run);
		ReleaseBuffer(run.page.buffer);
		judge_rows(&run);
		for (int i = 0; i < run.n_left; i++)
			passed += passes(&run, run.left[i]);
		rows += run.page.n;
		if (page == 0)
			pages = Min(pages, SAMPLE_ROWS / Max(rows, 1) + 2);
	}
	ExecClearTuple(run.slot);
	return Min((passed / s->covered + s->planned * PRIOR_ROWS) / (rows + PRIOR_ROWS), 1);
}
