/*
 * ivf_settings.c
 *	  Settings of searching, with pgvector's names ivfflat.*.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "ivfflat/ivf_int.h"

int			ivf_probes = 1;
int			ivf_iterative_scan = IVF_ITERATIVE_OFF;
int			ivf_max_probes = IVF_MAX_LISTS;

static const struct config_enum_entry iterative_options[] = {
	{"off", IVF_ITERATIVE_OFF, false},
	{"relaxed_order", IVF_ITERATIVE_RELAXED, false},
	{NULL, 0, false}
};

static void define(void);

LhVindexSettings ivf_settings = {"ivfflat.probes", define};

/* Where they are pgvector's, they are read by name. */
void
ivf_read_settings(void)
{
	const char *mode;

	if (!ivf_settings.foreign)
		return;
	ivf_probes = atoi(GetConfigOption("ivfflat.probes", false, false));
	/* older ones have no iterative scans */
	mode = GetConfigOption("ivfflat.iterative_scan", true, false);
	if (mode == NULL)
		return;
	ivf_iterative_scan = strcmp(mode, "off") == 0 ? IVF_ITERATIVE_OFF : IVF_ITERATIVE_RELAXED;
	ivf_max_probes = atoi(GetConfigOption("ivfflat.max_probes", false, false));
}

static void
define(void)
{
	DefineCustomIntVariable("ivfflat.probes", "Lists that a search reads.",
							"More find more of the true neighbours.", &ivf_probes, 1, 1, IVF_MAX_LISTS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("ivfflat.iterative_scan", "What a scan does at the end of its lists.", NULL,
							 &ivf_iterative_scan, IVF_ITERATIVE_OFF, iterative_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("ivfflat.max_probes", "Lists after which an iterative scan ends.", NULL,
							&ivf_max_probes, IVF_MAX_LISTS, 1, IVF_MAX_LISTS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("ivfflat");
}
