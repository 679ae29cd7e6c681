/*
 * options.c
 *	  Options of lakehouse tables: where they are kept, checked and read.
 *
 * They stand in pg_class.reloptions beside heap's own, so that \d+ shows them
 * and pg_dump writes them.  Core checks that column against heap's options,
 * so the utility hook (tableam/am_utility.c) takes ours out of a command
 * before core sees them and adds them afterwards.  An option that a table
 * does not set has the value of the GUC of the same name in the session that
 * writes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/lh_catalog.h"
#include "objstore/objstore.h"
#include "types/pg_compat.h"

/* the session's defaults */
static char *guc_compression = NULL;
static int	guc_row_group_rows;
static int	guc_target_file_size;	/* MB */
static int	guc_bulk_threshold;
static char *guc_publish = NULL;
static int	guc_format_version;

#define MAX_PUBLISH_MS	(24 * 3600 * 1000)
#define MIN_ROW_GROUP_ROWS	1000
#define MAX_ROW_GROUP_ROWS	10000000

static const char *const known_options[] = {
	"bulk_threshold", "compression", "format_version", "location", "logged_using", "publish",
	"row_group_rows", "target_file_size"
};

bool
lh_option_known(const char *name)
{
	for (int i = 0; i < lengthof(known_options); i++)
		if (strcmp(name, known_options[i]) == 0)
			return true;
	return false;
}

/* "zstd", "zstd(1..22)" or "none" */
static bool
parse_compression(const char *value, LhPqCodec *codec, int *level)
{
	char	   *end;
	long		n;

	if (pg_strcasecmp(value, "none") == 0)
	{
		*codec = LH_PQ_UNCOMPRESSED;
		*level = 0;
		return true;
	}
	if (pg_strncasecmp(value, "zstd", 4) != 0)
		return false;
	*codec = LH_PQ_ZSTD;
	*level = 1;
	if (value[4] == '\0')
		return true;
	if (value[4] != '(')
		return false;
	n = strtol(value + 5, &end, 10);
	if (end == value + 5 || strcmp(end, ")") != 0 || n < 1 || n > 22)
		return false;
	*level = (int) n;
	return true;
}

/* "on", or an interval with a unit: 500ms, 5s, 2min, 1h */
static bool
parse_publish(const char *value, int *ms)
{
	const char *hint;

	if (pg_strcasecmp(value, "on") == 0)
	{
		*ms = 0;
		return true;
	}
	return value[0] >= '0' && value[0] <= '9' &&
		parse_int(value, ms, GUC_UNIT_MS, &hint) && *ms >= 0 && *ms <= MAX_PUBLISH_MS;
}

/* A size in MB; a number without a unit counts megabytes. */
static bool
parse_file_size(const char *value, int *mb)
{
	const char *hint;

	return parse_int(value, mb, GUC_UNIT_MB, &hint) && *mb >= 1 && *mb <= 65536;
}

static bool
parse_range(const char *value, int min, int max, int *result)
{
	return parse_int(value, result, 0, NULL) && *result >= min && *result <= max;
}

static void
bad_value(const char *name, const char *value, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errdetail("%s", detail)));
}

/* Stores one option into *options, or raises. */
static void
apply_option(LhOptions *options, const char *name, const char *value)
{
	int			n;

	if (strcmp(name, "location") == 0)
		options->location = lh_location_normalize(value);
	else if (strcmp(name, "compression") == 0)
	{
		if (!parse_compression(value, &options->codec, &options->zstd_level))
			bad_value(name, value, "Valid values are \"zstd\", \"zstd(1)\" to \"zstd(22)\" and \"none\".");
	}
	else if (strcmp(name, "row_group_rows") == 0)
	{
		if (!parse_range(value, MIN_ROW_GROUP_ROWS, MAX_ROW_GROUP_ROWS, &options->row_group_rows))
			bad_value(name, value, "Valid values are 1000 to 10000000 rows.");
	}
	else if (strcmp(name, "target_file_size") == 0)
	{
		if (!parse_file_size(value, &n))
			bad_value(name, value, "Valid values are 1MB to 64GB, with a unit or in megabytes.");
		options->target_file_size = (int64) n * 1024 * 1024;
	}
	else if (strcmp(name, "bulk_threshold") == 0)
	{
		if (!parse_range(value, 0, INT_MAX, &options->bulk_threshold))
			bad_value(name, value, "Valid values are 0 to 2147483647 rows.");
	}
	else if (strcmp(name, "publish") == 0)
	{
		if (!parse_publish(value, &options->publish_ms))
			bad_value(name, value, "Valid values are \"on\" and an interval up to a day, such as \"500ms\" or \"5min\".");
	}
	else if (strcmp(name, "format_version") == 0)
	{
		if (!parse_range(value, 2, 2, &options->format_version))
			bad_value(name, value, "The only valid value is 2.");
	}
	else if (strcmp(name, "logged_using") == 0)
	{
		/* of unlogged tables, for the utility hook (tableam/am_utility.c) */
		if (strcmp(value, "lakehouse") != 0)
			bad_value(name, value, "The only valid value is \"lakehouse\".");
	}
}

void
lh_option_validate(const char *name, const char *value)
{
	LhOptions	scratch;

	memset(&scratch, 0, sizeof(scratch));
	apply_option(&scratch, name, value);
}

static void
session_defaults(LhOptions *options)
{
	memset(options, 0, sizeof(*options));
	apply_option(options, "compression", guc_compression);
	options->row_group_rows = guc_row_group_rows;
	options->target_file_size = (int64) guc_target_file_size * 1024 * 1024;
	options->bulk_threshold = guc_bulk_threshold;
	apply_option(options, "publish", guc_publish);
	options->format_version = guc_format_version;
}

void
lh_options_of(Relation rel, LhOptions *options)
{
	HeapTuple	tuple;
	Datum		reloptions;
	bool		isnull;
	ListCell   *lc;

	session_defaults(options);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(RelationGetRelid(rel)));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", RelationGetRelid(rel));
	reloptions = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
	{
		foreach(lc, untransformRelOptions(reloptions))
		{
			DefElem    *def = lfirst_node(DefElem, lc);

			if (lh_option_known(def->defname))
				apply_option(options, def->defname, defGetString(def));
		}
	}
	ReleaseSysCache(tuple);
}

char *
lh_uuid_to_string(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

char *
lh_table_location(Relation rel, const LhOptions *options, const pg_uuid_t *table_uuid)
{
	uint64		half;
	char	   *root;
	char	   *result;

	if (options->location != NULL)
		return pstrdup(options->location);
	root = lh_store_default_location();
	/* the first half of the uuid: paths must be short, see object_name.c */
	memcpy(&half, table_uuid->data, sizeof(half));
	result = psprintf("%s/%u/" LH_HEX64, root, MyDatabaseId, pg_ntoh64(half));
	pfree(root);
	return result;
}

/* ---- GUCs ---- */

static bool
check_compression(char **newval, void **extra, GucSource source)
{
	LhPqCodec	codec;
	int			level;

	if (parse_compression(*newval, &codec, &level))
		return true;
	GUC_check_errdetail("Valid values are \"zstd\", \"zstd(1)\" to \"zstd(22)\" and \"none\".");
	return false;
}

static bool
check_publish(char **newval, void **extra, GucSource source)
{
	int			ms;

	if (parse_publish(*newval, &ms))
		return true;
	GUC_check_errdetail("Valid values are \"on\" and an interval up to a day, such as \"500ms\" or \"5min\".");
	return false;
}

void
lh_options_init(void)
{
	DefineCustomIntVariable("lakehouse.bulk_threshold",
							"Rows of a statement that go to the delta before it writes Parquet directly.",
							NULL, &guc_bulk_threshold, 10000, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("lakehouse.compression",
							   "Compression of new data files.",
							   NULL, &guc_compression, "zstd(1)",
							   PGC_USERSET, 0, check_compression, NULL, NULL);
	DefineCustomIntVariable("lakehouse.format_version",
							"Iceberg format version of new tables.",
							NULL, &guc_format_version, 2, 2, 2,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("lakehouse.publish",
							   "How soon after a commit a version is published: \"on\" or an interval.",
							   NULL, &guc_publish, "on",
							   PGC_USERSET, 0, check_publish, NULL, NULL);
	DefineCustomIntVariable("lakehouse.row_group_rows",
							"Rows in a row group of new data files.",
							NULL, &guc_row_group_rows, 262144, MIN_ROW_GROUP_ROWS, MAX_ROW_GROUP_ROWS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("lakehouse.target_file_size",
							"Size at which a data file is ended and the next one begun.",
							NULL, &guc_target_file_size, 512, 1, 65536,
							PGC_USERSET, GUC_UNIT_MB, NULL, NULL, NULL);
}
