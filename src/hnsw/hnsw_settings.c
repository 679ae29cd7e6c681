/*
 * hnsw_settings.c
 *	  Settings of searching, with pgvector's names hnsw.*.
 */
#include "postgres.h"

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

static void define(void);

LhVindexSettings hnsw_settings = {"hnsw.ef_search", define};

/* Where they are pgvector's, they are read by name. */
void
hnsw_read_settings(void)
{
	const char *mode;

	if (!hnsw_settings.foreign)
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
