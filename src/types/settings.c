/*
 * settings.c
 *	  Fixed settings around text forms, so that what is written under one
 *	  session's settings is read back under any other's.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "types/types.h"

static const struct
{
	const char *name;
	const char *value;
}			fixed_settings[] =
{
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"},
	{"extra_float_digits", "3"},
	{"bytea_output", "hex"},
	{"timezone", "UTC"},
	{"xmloption", "content"},
	{"search_path", "pg_catalog"},	/* output functions may print names */
	{"client_min_messages", "error"},	/* the empty tsquery has a notice for its reader */
};

int
lh_types_begin(bool needed)
{
	int			nest;

	if (!needed)
		return 0;

	nest = NewGUCNestLevel();
	for (int i = 0; i < (int) lengthof(fixed_settings); i++)
		(void) set_config_option(fixed_settings[i].name, fixed_settings[i].value,
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nest;
}

void
lh_types_end(int nest)
{
	if (nest > 0)
		AtEOXact_GUC(true, nest);
}
