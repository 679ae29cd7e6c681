/*
 * hnsw_handler.c
 *	  The access method: what it can do, index options, cost, phases.
 */
#include "postgres.h"

#include <math.h>

#include "access/amapi.h"
#include "access/reloptions.h"
#include "commands/progress.h"
#include "fmgr.h"
#include "utils/guc.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

static relopt_kind option_kind;

static bytea *
index_options(Datum options, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"m", RELOPT_TYPE_INT, offsetof(HnswOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(HnswOptions, ef_construction)},
	};

	return build_reloptions(options, validate, option_kind, sizeof(HnswOptions), table, lengthof(table));
}

static char *
phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case 2:
			return "loading tuples";
	}
	return NULL;
}

/*
 * Share of the index that is looked at before the first row comes: the way down
 * the layers, and on the lowest one ef_search lists of links.  Of those more and
 * more have been seen already the more elements there are to a list of links;
 * the constant was found by pgvector's authors, and plans are chosen as theirs.
 */
static double
startup_share(const IndexOptInfo *info, Relation index)
{
	double		tuples = info->tuples;
	int			m = hnsw_index_m(index);
	double		log_m = log(tuples) / log(m);
	double		looked_at;

	if (tuples <= 0)
		return 1;
	looked_at = (double) (int) log_m * m + 2.0 * m * hnsw_ef_search * 0.55 * log_m / (1 + log(hnsw_ef_search));
	return Min(looked_at / tuples, 1);
}

static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost, Cost *total_cost,
			  Selectivity *selectivity, double *correlation, double *pages)
{
	LhVindexCost cost = {startup_cost, total_cost, selectivity, correlation, pages};

	hnsw_read_settings();
	lh_vindex_estimate_cost(root, path, loop_count, startup_share, 0, &cost);
}

/* Is the index one of ours, whatever its access method is called? */
bool
lh_hnsw_is_index(const IndexOptInfo *index)
{
	return index->amcostestimate == (void (*) ()) estimate_cost;
}

static IndexAmRoutine *
routine(void)
{
	IndexAmRoutine *am = lh_vindex_routine(3);

	am->ambuild = hnsw_build;
	am->ambuildempty = hnsw_build_empty;
	am->aminsert = hnsw_insert;
	am->ambulkdelete = hnsw_bulk_delete;
	am->amvacuumcleanup = hnsw_vacuum_cleanup;
	am->amcostestimate = estimate_cost;
	am->amoptions = index_options;
	am->ambuildphasename = phase_name;
	am->ambeginscan = hnsw_begin_scan;
	am->amrescan = hnsw_rescan;
	am->amgettuple = hnsw_get_tuple;
	am->amendscan = hnsw_end_scan;
	return am;
}

LH_FUNCTION(lh_hnsw_handler);

Datum
lh_hnsw_handler(PG_FUNCTION_ARGS)
{
	lh_vindex_define_settings(&hnsw_settings);
	PG_RETURN_POINTER(routine());
}

/* Of lakehouse_hnsw, in databases that have pgvector. */
LH_FUNCTION(lh_hnsw_beside_handler);

Datum
lh_hnsw_beside_handler(PG_FUNCTION_ARGS)
{
	lh_vindex_use_foreign_settings(&hnsw_settings);
	PG_RETURN_POINTER(routine());
}

void
lh_hnsw_init(void)
{
	option_kind = add_reloption_kind();
	add_int_reloption(option_kind, "m", "Max number of connections",
					  HNSW_DEFAULT_M, HNSW_MIN_M, HNSW_MAX_M, AccessExclusiveLock);
	add_int_reloption(option_kind, "ef_construction", "Size of the dynamic candidate list for construction",
					  HNSW_DEFAULT_EFC, HNSW_MIN_EFC, HNSW_MAX_EFC, AccessExclusiveLock);
	hnsw_filter_init();
	hnsw_explain_init();
	DefineCustomBoolVariable("lakehouse.vector_fill_limit",
							 "Lets index scans below a filter and a LIMIT go on until there are enough rows.",
							 NULL, &hnsw_fill_limit, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("lakehouse.vector_exact",
							 "Makes scans of hnsw indexes look at all codes, and find the true neighbours.",
							 NULL, &hnsw_exact, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("lakehouse.vector_index_limits",
							 "Refuses vector indexes of more dimensions than pgvector allows.",
							 NULL, &hnsw_dimension_limits, true, PGC_USERSET, 0, NULL, NULL, NULL);
}
