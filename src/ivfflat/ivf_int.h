/*
 * ivf_int.h
 *	  What the files of this folder share: the page layout, values and their
 *	  distances, k-means, results in order.
 *
 * README.md tells the idea and the locking; each struct here its bytes.
 */
#ifndef LH_IVF_INT_H
#define LH_IVF_INT_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/generic_xlog.h"
#include "access/genam.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/float.h"
#include "utils/rel.h"

#include "kernels/kernels.h"
#include "types/pg_compat.h"
#include "vindex/vindex.h"

/* ---- limits and defaults, pgvector's ---- */

#define IVF_DEFAULT_LISTS	100
#define IVF_MAX_LISTS		32768
#define IVF_MAX_DIMS		2000	/* of vector; halfvec twice as many */
#define IVF_MAX_BITS		64000

/* Phases of CREATE INDEX, behind PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE. */
#define IVF_PHASE_KMEANS	2
#define IVF_PHASE_ASSIGN	3
#define IVF_PHASE_LOAD		4

/* ---- settings and options ---- */

typedef enum IvfIterative
{
	IVF_ITERATIVE_OFF,
	IVF_ITERATIVE_RELAXED
} IvfIterative;

extern int	ivf_probes;
extern int	ivf_iterative_scan;
extern int	ivf_max_probes;

typedef struct IvfOptions
{
	int32		vl_len_;
	int			lists;
} IvfOptions;

/* ---- what is indexed ---- */

typedef enum IvfType
{
	IVF_VECTOR = 1,
	IVF_HALFVEC,
	IVF_BIT
} IvfType;

typedef enum IvfMetric
{
	IVF_L2 = 1,					/* squared */
	IVF_IP,						/* negative */
	IVF_COSINE,					/* negative inner product of normalized values */
	IVF_HAMMING
} IvfMetric;

typedef struct IvfShape
{
	IvfType		type;
	IvfMetric	metric;
	uint32		dims;
	uint32		value_bytes;	/* of each value, without any header */
} IvfShape;

/* ---- pages ---- */

#define IVF_MAGIC			0x4c484956
#define IVF_VERSION			1
#define IVF_META_BLOCK		0
#define IVF_CENTER_BLOCK	1		/* the first of meta's n_center_pages */

#define IVF_PAGE_META		1
#define IVF_PAGE_CENTER		2		/* slots: where each list is, and its centre */
#define IVF_PAGE_ROWS		3		/* a part of one list */
#define IVF_PAGE_ID			0xff49

typedef struct IvfPageTail
{
	uint32		next;			/* 0: the list's next page, 0 none */
	uint16		list;			/* 4: whose page it is */
	uint16		kind;			/* 6 */
	uint16		spare;			/* 8 */
	uint16		page_id;		/* 10: IVF_PAGE_ID */
	uint32		spare2;			/* 12 */
} IvfPageTail;

StaticAssertDecl(sizeof(IvfPageTail) == 16, "IvfPageTail has 16 bytes");

#define IVF_PAGE_START		MAXALIGN(SizeOfPageHeaderData)
#define IVF_PAGE_END		(BLCKSZ - sizeof(IvfPageTail))
#define IVF_PAGE_SPACE		(IVF_PAGE_END - IVF_PAGE_START)
#define IvfTail(page)		((IvfPageTail *) ((char *) (page) + IVF_PAGE_END))

typedef struct IvfMeta
{
	uint32		magic;			/* 0 */
	uint32		version;		/* 4 */
	uint32		dims;			/* 8 */
	uint32		lists;			/* 12 */
	uint8		type;			/* 16 */
	uint8		metric;			/* 17 */
	uint16		spare;			/* 18 */
} IvfMeta;

StaticAssertDecl(sizeof(IvfMeta) == 20, "IvfMeta has 20 bytes");

#define IvfPageMeta(page)	((IvfMeta *) ((char *) (page) + IVF_PAGE_START))

/* A list; the centre's value_bytes follow. */
typedef struct IvfList
{
	uint32		first;			/* 0: the list's first page, 0 none */
	uint32		insert;			/* 4: no page before this one has room */
	uint32		run;			/* 8: so many pages from the first on are neighbours */
	uint32		spare;			/* 12 */
} IvfList;

StaticAssertDecl(sizeof(IvfList) == 16, "IvfList has 16 bytes");

/*
 * A page of rows has values from its start on, and their row addresses from
 * its end downwards; pd_lower and pd_upper are where they end.
 */
#define IvfRowValue(page, shape, i)	((char *) (page) + IVF_PAGE_START + (Size) (i) * (shape)->value_bytes)
#define IvfRowTid(page, i) \
	((ItemPointer) ((char *) (page) + IVF_PAGE_END - ((Size) (i) + 1) * sizeof(ItemPointerData)))
#define IvfRowsPerPage(shape)	(IVF_PAGE_SPACE / ((shape)->value_bytes + sizeof(ItemPointerData)))
#define IVF_MAX_PAGE_ROWS	(IVF_PAGE_SPACE / (sizeof(ItemPointerData) + 1))

/* An index, opened. */
typedef struct Ivf
{
	Relation	index;
	IvfShape	shape;
	int			lists;
	int			slot_bytes;
	int			slots_per_page;
} Ivf;

#define IvfSlot(ivf, page, i) ((IvfList *) ((char *) (page) + IVF_PAGE_START + (Size) (i) * (ivf)->slot_bytes))
#define IvfSlotCenter(slot)		((char *) (slot) + sizeof(IvfList))
#define IvfCenterPages(ivf) ((BlockNumber) (((ivf)->lists + (ivf)->slots_per_page - 1) / (ivf)->slots_per_page))
#define IvfListBlock(ivf, list) ((BlockNumber) (IVF_CENTER_BLOCK + (list) / (ivf)->slots_per_page))
#define IvfListSlot(ivf, list)	((list) % (ivf)->slots_per_page)

/* ivf_page.c */
extern void ivf_meta_for(Relation index, IvfMeta *meta);
extern void ivf_setup(Ivf *ivf, Relation index, const IvfMeta *meta);
extern void ivf_open(Ivf *ivf, Relation index);
extern void ivf_init_page(Page page, int kind, int list);
extern Buffer ivf_read_page(Relation index, BlockNumber block, int kind, int lock);
extern void ivf_lock_page(Relation index, Buffer buffer, int kind, int lock);
extern Buffer ivf_read_list(Ivf *ivf, int list, int lock, IvfList **slot);
extern int	ivf_slots_on(Ivf *ivf, BlockNumber block);
extern int	ivf_rows_on(Ivf *ivf, Buffer buffer, int list);
extern bool ivf_row_add(Ivf *ivf, Page page, ItemPointer tid, const void *value);
extern void ivf_row_remove(Ivf *ivf, Page page, int n, int i);
extern void ivf_check_chain(Ivf *ivf, BlockNumber steps, BlockNumber block);
extern void ivf_create(Ivf *ivf, ForkNumber fork, const IvfMeta *meta, const char *centers);

/* ---- values and distances ---- */

/* One side of many distances. */
typedef struct IvfQuery
{
	const void *value;			/* as the kernels want it: halves are widened */
	bool		zero;			/* a NULL was asked for: everything is as near */
} IvfQuery;

/* ivf_value.c */
extern IvfType ivf_type_of(Relation index);
extern IvfMetric ivf_metric_of(Relation index, IvfType type);
extern uint32 ivf_value_bytes(IvfType type, uint32 dims);
extern bool ivf_value(const IvfShape *shape, Datum datum, void **value);
extern void ivf_query(const IvfShape *shape, const void *value, void *work, IvfQuery *query);
extern void ivf_score(const IvfShape *shape, const IvfQuery *query, const void *const *rows, int n, float *out);
extern int	ivf_nearest_list(Ivf *ivf, const IvfQuery *query);

/* Room for a query's value as the kernels want it; ivf_query() may use the value itself. */
#define IvfWorkBytes(shape)		((Size) (shape)->value_bytes * ((shape)->type == IVF_HALFVEC ? 2 : 1))

/* ---- nearest centres of many values (ivf_nearest.c) ---- */

typedef struct IvfNearest
{
	int			center;			/* the first of equally near ones */
	float		distance;
} IvfNearest;

extern void ivf_nearest(const IvfShape *shape, const IvfQuery *queries, int n, const void *const *rows, int k,
						IvfNearest *result);

/* Rows that wait for their lists. */
typedef struct IvfAssign
{
	const IvfShape *shape;
	int			k;
	const void **rows;			/* the centres */
	int			n;
	int			max;
	char	   *values;
	char	   *work;
	ItemPointerData *tids;
	IvfQuery   *queries;
	IvfNearest *nearest;
} IvfAssign;

extern void ivf_assign_init(IvfAssign *a, const IvfShape *shape, const char *centers, int k);
extern bool ivf_assign_add(IvfAssign *a, ItemPointer tid, const void *value);
extern void ivf_assign_run(IvfAssign *a);

/* ---- k-means (ivf_kmeans.c) ---- */

extern Size ivf_kmeans_memory(const IvfShape *shape, int n, int k);
extern void ivf_kmeans(const IvfShape *shape, const char *samples, int n, int k, char *centers);
extern void ivf_random_centers(const IvfShape *shape, int from, int k, char *centers);
extern uint64 ivf_random(uint64 *state);

/* ivf_sample.c */
extern char *ivf_find_centers(Ivf *ivf, Relation heap, IndexInfo *info);

/* ---- where blocks stand in shared buffers (ivf_hint.c) ---- */

typedef struct IvfHints IvfHints;

extern IvfHints *ivf_hints(Relation index);
extern void ivf_hint_prefetch(IvfHints *h, Relation index, BlockNumber block);
extern Buffer ivf_hint_read(IvfHints *h, Relation index, BlockNumber block);

/* ---- results in order (ivf_order.c) ---- */

typedef struct IvfEntry
{
	float		distance;
	ItemPointerData tid;
} IvfEntry;

/* Nearest first, of those behind `after`; no more than max at a time are kept. */
typedef struct IvfOrder
{
	IvfEntry   *entries;
	int			n;
	int			room;			/* allocated */
	int			max;
	int			sorted;			/* so many stand in order */
	int			next;			/* to be returned */
	bool		cut;			/* there are more, all behind `limit` */
	bool		resumed;		/* `after` counts */
	IvfEntry	limit;
	IvfEntry	after;
} IvfOrder;

extern void ivf_order_start(IvfOrder *order, int max);
extern void ivf_order_restart(IvfOrder *order);
extern void ivf_order_add(IvfOrder *order, const float *distances, Page page, int n);
extern bool ivf_order_next(IvfOrder *order, IvfEntry *entry);

/* ---- settings (ivf_settings.c) ---- */

extern LhVindexSettings ivf_settings;
extern void ivf_read_settings(void);

/* ---- callbacks of the access method ---- */

extern IndexBuildResult *ivf_build(Relation heap, Relation index, IndexInfo *info);
extern void ivf_build_empty(Relation index);
extern bool ivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
					   IndexUniqueCheck unique, bool unchanged, IndexInfo *info);
extern IndexScanDesc ivf_begin_scan(Relation index, int n_keys, int n_orderbys);
extern void ivf_rescan(IndexScanDesc scan, ScanKey keys, int n_keys, ScanKey orderbys, int n_orderbys);
extern bool ivf_get_tuple(IndexScanDesc scan, ScanDirection direction);
extern void ivf_end_scan(IndexScanDesc scan);
extern IndexBulkDeleteResult *ivf_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
											  IndexBulkDeleteCallback callback, void *state);
extern IndexBulkDeleteResult *ivf_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

#endif							/* LH_IVF_INT_H */
