/*
 * vindex_settings.c
 *	  Settings with pgvector's names: where its library is in the backend, or
 *	  will be because its extension is in the database, they are its own and
 *	  the access methods read them.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
#include "utils/guc.h"

#include "vindex/vindex.h"

/* Is the setting defined by somebody, not only mentioned in a configuration file? */
static bool
is_defined(const char *name)
{
	return GetConfigOption(name, true, false) != NULL &&
		!(GetConfigOptionFlags(name, true) & GUC_CUSTOM_PLACEHOLDER);
}

/* The database has pgvector: its library defines its settings, now if it has not yet. */
void
lh_vindex_use_foreign_settings(LhVindexSettings *settings)
{
	if (settings->foreign)
		return;
	load_file("$libdir/vector", false);
	settings->foreign = is_defined(settings->known);
}

/*
 * Defines the settings when an index is first used.  Not earlier: pgvector's
 * library could not be loaded any more into a backend that has them.
 */
void
lh_vindex_define_settings(LhVindexSettings *settings)
{
	bool		in_parallel;

	if (settings->done)
		return;
	settings->done = true;
	if (is_defined(settings->known))
	{
		settings->foreign = true;
		return;
	}
	/* a worker has been given the leader's values, which only now find their settings */
	in_parallel = IsParallelWorker() && IsInParallelMode();
	if (in_parallel)
		ExitParallelMode();
	settings->define();
	if (in_parallel)
		EnterParallelMode();
}
