/*
 * vindex.h
 *	  Public interface of the vindex layer: what the index access methods of
 *	  vectors have in common, whatever their pages hold.
 */
#ifndef LH_VINDEX_H
#define LH_VINDEX_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/parallel.h"
#include "access/relscan.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "storage/bufmgr.h"
#include "storage/spin.h"
#include "utils/rel.h"

#include "types/pg_compat.h"

/* ---- settings by pgvector's names (vindex_settings.c) ---- */

typedef struct LhVindexSettings
{
	const char *known;			/* one of them that every pgvector has */
	void		(*define) (void);
	bool		done;			/* defined by us, or found to be foreign */
	bool		foreign;		/* pgvector's, to be read by name */
} LhVindexSettings;

extern void lh_vindex_define_settings(LhVindexSettings *settings);
extern void lh_vindex_use_foreign_settings(LhVindexSettings *settings);

/* ---- the access method (vindex_handler.c) ---- */

/* A routine with all that does not differ: the callbacks are the caller's. */
extern IndexAmRoutine *lh_vindex_routine(int n_support_functions);

/* Which share of the index is read before the first row comes? */
typedef double (*LhVindexShare) (const IndexOptInfo *info, Relation index);

/* What amcostestimate gives. */
typedef struct LhVindexCost
{
	Cost	   *startup;
	Cost	   *total;
	Selectivity *selectivity;
	double	   *correlation;
	double	   *pages;
} LhVindexCost;

/* `sequential`: so much of the index is read one page after the other. */
extern void lh_vindex_estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, LhVindexShare share,
									double sequential, const LhVindexCost *cost);

/* The index, if it is one whose scans begin so; an error names the access method if not. */
extern Relation lh_vindex_open(Oid oid, ambeginscan_function begin_scan, const char *method);

/* ---- what is indexed (vindex_value.c) ---- */

typedef enum LhVindexType
{
	LH_VINDEX_NO_TYPE,
	LH_VINDEX_VECTOR,
	LH_VINDEX_HALFVEC,
	LH_VINDEX_SPARSEVEC,
	LH_VINDEX_BIT
} LhVindexType;

typedef enum LhVindexMetric
{
	LH_VINDEX_NO_METRIC,
	LH_VINDEX_L2,				/* squared */
	LH_VINDEX_IP,				/* negative */
	LH_VINDEX_COSINE,			/* negative inner product of normalized values */
	LH_VINDEX_L1,
	LH_VINDEX_HAMMING,
	LH_VINDEX_JACCARD
} LhVindexMetric;

extern LhVindexType lh_vindex_type(Relation index);
extern LhVindexMetric lh_vindex_metric(Relation index);
extern uint32 lh_vindex_dims(Relation index, int max, const char *method);
LH_NORETURN extern void lh_vindex_refuse_type(const char *method);
LH_NORETURN extern void lh_vindex_refuse_metric(Relation index, const char *method);

extern void lh_vindex_check_dims(const char *what, uint32 a, uint32 b);
extern bool lh_vindex_normalize(uint32 n, const float *from, float *to);
extern bool lh_vindex_normalized(bool half, uint32 dims, const void *x, void **value);

/* ---- pages (vindex_page.c) ---- */

extern bool lh_vindex_page_is_sound(Page page, LocationIndex end);
LH_NORETURN extern void lh_vindex_corrupted(Relation index, BlockNumber block);
LH_NORETURN extern void lh_vindex_refuse_meta(Relation index);
extern void lh_vindex_refuse_pgvector(Relation index, Page page, uint32 magic);
extern Buffer lh_vindex_new_page(Relation index, ForkNumber fork);
extern void lh_vindex_log(Relation index, ForkNumber fork);

/* ---- building with workers (vindex_build.c) ---- */

/* What all participants share, in the segment. */
typedef struct LhVindexShared
{
	Oid			heap;
	Oid			index;
	bool		concurrent;
	int			n_planned;		/* participants */
	slock_t		mutex;			/* of the sums */
	double		heap_rows;
	double		index_rows;
} LhVindexShared;

/* Memory in the segment for the access method's own; keys count from 1. */
typedef struct LhVindexPart
{
	Size		bytes;
	void	   *memory;			/* filled in; a worker looks it up by its key */
} LhVindexPart;

/* A build with workers, seen by the leader. */
typedef struct LhVindexLeader
{
	ParallelContext *context;
	Snapshot	snapshot;
	LhVindexShared *shared;
	ParallelTableScanDesc scan;
} LhVindexLeader;

/* The same, seen by a worker. */
typedef struct LhVindexWorker
{
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	LhVindexShared *shared;
	ParallelTableScanDesc scan;
	LOCKMODE	heap_lock;
	LOCKMODE	index_lock;
} LhVindexWorker;

extern int	lh_vindex_plan_workers(Relation heap, Relation index);
extern bool lh_vindex_leader_begin(LhVindexLeader *leader, Relation heap, Relation index, IndexInfo *info,
								   const char *worker_main, int n_workers, LhVindexPart *parts, int n_parts);
extern bool lh_vindex_leader_launch(LhVindexLeader *leader);
extern void lh_vindex_leader_end(LhVindexLeader *leader);
extern void lh_vindex_worker_begin(LhVindexWorker *worker, shm_toc *toc);
extern void lh_vindex_worker_end(LhVindexWorker *worker);
extern void lh_vindex_add_rows(LhVindexShared *shared, double heap_rows, double index_rows);

#endif							/* LH_VINDEX_H */
