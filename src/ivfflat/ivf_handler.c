/*
 * ivf_handler.c
 *	  The access method: what it can do, index options, cost, phases.
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/reloptions.h"
#include "commands/progress.h"
#include "fmgr.h"

#include "ivfflat/ivf_int.h"
#include "ivfflat/ivfflat.h"
#include "types/pg_compat.h"

/* So much of an index is read one page after the other. */
#define SEQUENTIAL_SHARE	0.5

static relopt_kind option_kind;

static bytea *
index_options(Datum options, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"lists", RELOPT_TYPE_INT, offsetof(IvfOptions, lists)},
	};

	return build_reloptions(options, validate, option_kind, sizeof(IvfOptions), table, lengthof(table));
}

static char *
phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case IVF_PHASE_KMEANS:
			return "performing k-means";
		case IVF_PHASE_ASSIGN:
			return "assigning tuples";
		case IVF_PHASE_LOAD:
			return "loading tuples";
	}
	return NULL;
}

/* Before the first row comes, the probed share of the lists has been read. */
static double
startup_share(const IndexOptInfo *info, Relation index)
{
	Ivf			ivf;

	ivf_open(&ivf, index);
	return Min((double) ivf_probes / ivf.lists, 1.0);
}

static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost, Cost *total_cost,
			  Selectivity *selectivity, double *correlation, double *pages)
{
	LhVindexCost cost = {startup_cost, total_cost, selectivity, correlation, pages};

	ivf_read_settings();
	lh_vindex_estimate_cost(root, path, loop_count, startup_share, SEQUENTIAL_SHARE, &cost);
}

static IndexAmRoutine *
routine(void)
{
	IndexAmRoutine *am = lh_vindex_routine(5);

	am->ambuild = ivf_build;
	am->ambuildempty = ivf_build_empty;
	am->aminsert = ivf_insert;
	am->ambulkdelete = ivf_bulk_delete;
	am->amvacuumcleanup = ivf_vacuum_cleanup;
	am->amcostestimate = estimate_cost;
	am->amoptions = index_options;
	am->ambuildphasename = phase_name;
	am->ambeginscan = ivf_begin_scan;
	am->amrescan = ivf_rescan;
	am->amgettuple = ivf_get_tuple;
	am->amendscan = ivf_end_scan;
	return am;
}

LH_FUNCTION(lh_ivfflat_handler);

Datum
lh_ivfflat_handler(PG_FUNCTION_ARGS)
{
	lh_vindex_define_settings(&ivf_settings);
	PG_RETURN_POINTER(routine());
}

/* Of lakehouse_ivfflat, in databases that have pgvector. */
LH_FUNCTION(lh_ivfflat_beside_handler);

Datum
lh_ivfflat_beside_handler(PG_FUNCTION_ARGS)
{
	lh_vindex_use_foreign_settings(&ivf_settings);
	PG_RETURN_POINTER(routine());
}

void
lh_ivfflat_init(void)
{
	option_kind = add_reloption_kind();
	add_int_reloption(option_kind, "lists", "Lists that the vectors are divided into",
					  IVF_DEFAULT_LISTS, 1, IVF_MAX_LISTS, AccessExclusiveLock);
}
