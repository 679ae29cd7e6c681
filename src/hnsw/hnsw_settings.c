/*
 * hnsw_settings.c
 *	  Settings of searching.  Their names hnsw.* are pgvector's: where its
 *	  library is in the backend, or will be because its extension is in the
 *	  database, they are its own and we read them.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
#include "utils/guc.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"

int			hnsw_ef_search = 40;
int			hnsw_iterative_scan = HNSW_ITERATIVE_OFF;
int			hnsw_max_scan_tuples = 20000;
double		hnsw_scan_mem_multiplier = 1;
bool		hnsw_dimension_limits = true;
bool		hnsw_exact = false;

static const struct config_enum_entry iterative_options[] = {
	{"off", HNSW_ITERATIVE_OFF, false},
	{"relaxed_order", HNSW_ITERATIVE_RELAXED, false},
	{"strict_order", HNSW_ITERATIVE_STRICT, false},
	{NULL, 0, false}
};

/* Is the setting defined by somebody, not only mentioned in a configuration file? */
static bool
is_defined(const char *name)
{
	return GetConfigOption(name, true, false) != NULL &&
		!(GetConfigOptionFlags(name, true) & GUC_CUSTOM_PLACEHOLDER);
}

/* pgvector's settings are read by name. */
static bool foreign;

void
hnsw_read_settings(void)
{
	const char *mode;

	if (!foreign)
		return;
	hnsw_ef_search = atoi(GetConfigOption("hnsw.ef_search", false, false));
	mode = GetConfigOption("hnsw.iterative_scan", true, false);
	for (const struct config_enum_entry *entry = iterative_options; mode && entry->name; entry++)
		if (strcmp(entry->name, mode) == 0)
			hnsw_iterative_scan = entry->val;
	if (mode)
	{
		hnsw_max_scan_tuples = atoi(GetConfigOption("hnsw.max_scan_tuples", false, false));
		hnsw_scan_mem_multiplier = atof(GetConfigOption("hnsw.scan_mem_multiplier", false, false));
	}
}

bool
lh_hnsw_fills_limit(void)
{
	hnsw_read_settings();
	return hnsw_fill_limit && hnsw_iterative_scan == HNSW_ITERATIVE_OFF;
}

/* The database has pgvector: its library defines its settings, now if it has not yet. */
void
hnsw_use_foreign_settings(void)
{
	if (foreign)
		return;
	load_file("$libdir/vector", false);
	foreign = is_defined("hnsw.ef_search");
}

static void
define(void)
{
	DefineCustomIntVariable("hnsw.ef_search", "Sets the size of the dynamic candidate list for search",
							"Valid range is 1..1000.", &hnsw_ef_search, 40, 1, HNSW_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("hnsw.iterative_scan", "Sets the mode for iterative scans", NULL,
							 &hnsw_iterative_scan, HNSW_ITERATIVE_OFF, iterative_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("hnsw.max_scan_tuples", "Sets the max number of tuples to visit for iterative scans", NULL,
							&hnsw_max_scan_tuples, 20000, 1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("hnsw.scan_mem_multiplier", "Sets the multiple of work_mem to use for iterative scans", NULL,
							 &hnsw_scan_mem_multiplier, 1, 1, 1000,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("hnsw");
}

/*
 * Defines hnsw.* when an index is first used.  Not earlier: pgvector's library
 * could not be loaded any more into a backend that has them.
 */
void
hnsw_define_settings(void)
{
	static bool done = false;
	bool		in_parallel;

	if (done)
		return;
	done = true;
	if (is_defined("hnsw.ef_search"))
	{
		foreign = true;
		return;
	}
	/* a worker has been given the leader's values, which only now find their settings */
	in_parallel = IsParallelWorker() && IsInParallelMode();
	if (in_parallel)
		ExitParallelMode();
	define();
	if (in_parallel)
		EnterParallelMode();
}
