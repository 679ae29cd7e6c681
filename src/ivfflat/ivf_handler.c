/*
 * ivf_handler.c
 *	  The access method: what it can do, index options, cost, phases.
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/reloptions.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "utils/float.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

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

static bool
validate(Oid opclass)
{
	return true;
}

/*
 * Before the first row comes, the probed share of the lists has been read.
 * Plans are chosen as pgvector's are.
 */
static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost, Cost *total_cost,
			  Selectivity *selectivity, double *correlation, double *pages)
{
	GenericCosts costs = {0};
	Relation	index;
	Ivf			ivf;
	double		share,
				startup_pages,
				seq_page_cost,
				saving;

	/* one distance to order by, or none of our business */
	if (list_length(path->indexorderbys) != 1)
	{
		*startup_cost = *total_cost = get_float8_infinity();
		*selectivity = *correlation = *pages = 0;
		lh_path_disable(&path->path);
		return;
	}
	ivf_read_settings();
	genericcostestimate(root, path, loop_count, &costs);
	index = index_open(path->indexinfo->indexoid, NoLock);
	ivf_open(&ivf, index);
	index_close(index, NoLock);
	share = Min((double) ivf_probes / ivf.lists, 1.0);

	get_tablespace_page_costs(path->indexinfo->reltablespace, NULL, &seq_page_cost);
	saving = costs.spc_random_page_cost - seq_page_cost;
	costs.indexTotalCost -= SEQUENTIAL_SHARE * costs.numIndexPages * saving;
	costs.indexStartupCost = costs.indexTotalCost * share;

	/* a sequential scan does not count the pages of its TOAST table: be fair */
	startup_pages = costs.numIndexPages * share;
	if (startup_pages > path->indexinfo->rel->pages && share < 0.5)
	{
		costs.indexStartupCost -= (1 - SEQUENTIAL_SHARE) * startup_pages * saving;
		costs.indexStartupCost -= (startup_pages - path->indexinfo->rel->pages) * seq_page_cost;
	}
	*startup_cost = costs.indexStartupCost;
	*total_cost = costs.indexTotalCost;
	*selectivity = costs.indexSelectivity;
	*correlation = costs.indexCorrelation;
	*pages = costs.numIndexPages;
}

static IndexAmRoutine *
routine(void)
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amsupport = 5;
	am->amcanorderbyop = true;
	am->amoptionalkey = true;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	am->amkeytype = InvalidOid;
	lh_am_can_build_parallel(am);

	am->ambuild = ivf_build;
	am->ambuildempty = ivf_build_empty;
	am->aminsert = ivf_insert;
	am->ambulkdelete = ivf_bulk_delete;
	am->amvacuumcleanup = ivf_vacuum_cleanup;
	am->amcostestimate = estimate_cost;
	am->amoptions = index_options;
	am->ambuildphasename = phase_name;
	am->amvalidate = validate;
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
	ivf_define_settings();
	PG_RETURN_POINTER(routine());
}

/* Of lakehouse_ivfflat, in databases that have pgvector. */
LH_FUNCTION(lh_ivfflat_beside_handler);

Datum
lh_ivfflat_beside_handler(PG_FUNCTION_ARGS)
{
	ivf_use_foreign_settings();
	PG_RETURN_POINTER(routine());
}

/*
 * What pgvector's operator classes name as support function 5.  We know a type
 * by its name and need nothing from it.
 */
LH_FUNCTION(lh_ivfflat_type_support);

Datum
lh_ivfflat_type_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(NULL);
}

void
lh_ivfflat_init(void)
{
	option_kind = add_reloption_kind();
	add_int_reloption(option_kind, "lists", "Lists that the vectors are divided into",
					  IVF_DEFAULT_LISTS, 1, IVF_MAX_LISTS, AccessExclusiveLock);
}
