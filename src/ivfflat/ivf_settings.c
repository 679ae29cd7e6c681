/*
 * ivf_settings.c
 *	  Settings of searching.  Their names ivfflat.* are pgvector's: where its
 *	  library is in the backend, or will be because its extension is in the
 *	  database, they are its own and we read them.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
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
ivf_read_settings(void)
{
	const char *mode;

	if (!foreign)
		return;
	ivf_probes = atoi(GetConfigOption("ivfflat.probes", false, false));
	/* older ones have no iterative scans */
	mode = GetConfigOption("ivfflat.iterative_scan", true, false);
	if (mode == NULL)
		return;
	ivf_iterative_scan = strcmp(mode, "off") == 0 ? IVF_ITERATIVE_OFF : IVF_ITERATIVE_RELAXED;
	ivf_max_probes = atoi(GetConfigOption("ivfflat.max_probes", false, false));
}

/* The database has pgvector: its library defines its settings, now if it has not yet. */
void
ivf_use_foreign_settings(void)
{
	if (foreign)
		return;
	load_file("$libdir/vector", false);
	foreign = is_defined("ivfflat.probes");
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

/*
 * Defines ivfflat.* when an index is first used.  Not earlier: pgvector's
 * library could not be loaded any more into a backend that has them.
 */
void
ivf_define_settings(void)
{
	static bool done = false;
	bool		in_parallel;

	if (done)
		return;
	done = true;
	if (is_defined("ivfflat.probes"))
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
