/*
 * location.c
 *	  Locations: their one spelling, and who may use which.
 *
 * Every engine parses file URIs in its own way: percent signs, spaces, double
 * slashes, dots, fragments and non-ASCII bytes come out differently.  So only
 * what all of them read alike is accepted, here and in the names of objects.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "objstore/objstore_int.h"

#define DEFAULT_DIR "/lakehouse"	/* in the data directory */
#define LONGEST_NAME 62			/* of an object of ours, with its slash */
#define DATA_SCHEME "pgdata:"	/* in catalogs, what follows is relative to it */

static char *default_location = NULL;
static char *allowed_locations = NULL;
static bool wal_objects = true;
static char *wal_locations = NULL;

/* ---- spelling ---- */

static bool
is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '=';
}

/* What is wrong with "a/b/c" as a relative path, as an errdetail, or NULL. */
const char *
lh_segments_problem(const char *path)
{
	const char *p = path;

	do
	{
		size_t		len = 0;

		while (is_plain((unsigned char) p[len]))
			len++;
		if (p[len] != '/' && p[len] != '\0')
			return "Only ASCII letters, digits, \".\", \"_\", \"-\", \"=\" and \"/\" are allowed.";
		if (len == 0)
			return "It has an empty segment.";
		if (len > LH_SEGMENT_MAX)
			return "A segment is longer than 200 bytes.";
		if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return "Segments \".\" and \"..\" are not allowed.";
		p += len;
	} while (*p++ == '/');
	return NULL;
}

/* What is wrong with a normalised location, or NULL. */
static const char *
location_problem(const char *location)
{
	size_t		scheme_len = strlen(LH_FILE_SCHEME);

	if (strncmp(location, LH_FILE_SCHEME, scheme_len) != 0 ||
		location[scheme_len] != '/')
		return "It must be a URI of the form file:///directory.";
	if (strlen(location) > LH_LOCATION_MAX)
		return "It is longer than 512 bytes.";
	return lh_segments_problem(location + scheme_len + 1);
}

/* Drops one trailing slash, but not that of the bare root. */
static char *
trimmed(const char *location, size_t len)
{
	if (len > strlen(LH_FILE_SCHEME) + 1 && location[len - 1] == '/')
		len--;
	return pnstrdup(location, len);
}

char *
lh_location_normalize(const char *location)
{
	char	   *result = trimmed(location, strlen(location));
	const char *problem = location_problem(result);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid location \"%s\"", location),
				 errdetail("%s", problem),
				 errhint("A location looks like file:///srv/lake/sales.")));
	return result;
}

bool
lh_location_is_under(const char *location, const char *root)
{
	size_t		len = strlen(root);

	return strncmp(location, root, len) == 0 &&
		(location[len] == '\0' || location[len] == '/');
}

/* ---- settings ---- */

/*
 * Steps through the comma-separated list *rest; returns the next entry
 * (palloc'd, blanks around it and trailing slash dropped) or NULL at the end.
 */
static char *
next_allowed(const char **rest)
{
	while (**rest != '\0')
	{
		const char *start = *rest;
		const char *end = strchrnul(start, ',');

		*rest = (*end == ',') ? end + 1 : end;
		while (start < end && *start == ' ')
			start++;
		while (end > start && end[-1] == ' ')
			end--;
		if (end > start)
			return trimmed(start, end - start);
	}
	return NULL;
}

/* Every entry of a list (one for default_location) must be a proper location. */
static bool
check_locations(char **newval, void **extra pg_attribute_unused(),
				GucSource source pg_attribute_unused())
{
	const char *rest = *newval ? *newval : "";
	char	   *entry;

	while ((entry = next_allowed(&rest)) != NULL)
	{
		const char *problem = location_problem(entry);

		if (problem != NULL)
		{
			GUC_check_errdetail("Invalid location \"%s\": %s", entry, problem);
			pfree(entry);
			return false;
		}
		pfree(entry);
	}
	return true;
}

static bool
check_default_location(char **newval, void **extra, GucSource source)
{
	if (*newval != NULL && strpbrk(*newval, ", ") != NULL)
	{
		GUC_check_errdetail("One location is expected, without blanks.");
		return false;
	}
	return check_locations(newval, extra, source);
}

void
lh_location_define_settings(void)
{
	DefineCustomStringVariable("lakehouse.default_location",
							   "Where lakehouse tables go that name no location.",
							   "Empty means the directory lakehouse in the data directory.",
							   &default_location,
							   "",
							   PGC_SUSET,
							   0,
							   check_default_location,
							   NULL,
							   NULL);
	DefineCustomStringVariable("lakehouse.allowed_locations",
							   "Locations under which everybody may put lakehouse tables.",
							   "A comma-separated list of URIs such as file:///srv/lake.",
							   &allowed_locations,
							   "",
							   PGC_SUSET,
							   0,
							   check_locations,
							   NULL,
							   NULL);
	DefineCustomBoolVariable("lakehouse.wal_objects",
							 "Logs the objects in the data directory, for standbys and backups.",
							 "Off is for a directory lakehouse that leads to shared storage.",
							 &wal_objects,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);
	DefineCustomStringVariable("lakehouse.wal_locations",
							   "Locations outside of the data directory whose objects are logged, too.",
							   "Every standby must have such a directory of its own, at the same path.",
							   &wal_locations,
							   "",
							   PGC_SIGHUP,
							   0,
							   check_locations,
							   NULL,
							   NULL);
}

/* ---- who may use which ---- */

/* The location of the data directory, which may not be a proper one. */
static char *
data_location(void)
{
	return psprintf("%s%s", LH_FILE_SCHEME, DataDir);
}

char *
lh_store_default_location(void)
{
	char	   *result;
	const char *problem;

	if (default_location != NULL && default_location[0] != '\0')
		return lh_location_normalize(default_location);

	result = psprintf("%s%s", data_location(), DEFAULT_DIR);
	problem = location_problem(result);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the data directory cannot be part of the location \"%s\"",
						result),
				 errdetail("%s", problem),
				 errhint("Set lakehouse.default_location to another directory, for instance file:///srv/lake.")));
	return result;
}

static bool
is_under_one_of(const char *location, const char *list)
{
	const char *rest = list ? list : "";
	char	   *root;

	while ((root = next_allowed(&rest)) != NULL)
	{
		bool		is_under = lh_location_is_under(location, root);

		pfree(root);
		if (is_under)
			return true;
	}
	return false;
}

static bool
is_allowed(const char *location)
{
	return lh_location_is_under(location, lh_store_default_location()) ||
		is_under_one_of(location, allowed_locations);
}

/*
 * Elsewhere in the data directory our files would sit among the server's; a
 * location around it would make a listing walk through the whole of it.
 */
static bool
touches_data_directory(const char *location)
{
	char	   *data = data_location();
	char	   *ours = psprintf("%s%s", data, DEFAULT_DIR);

	return lh_location_is_under(data, location) ||
		(lh_location_is_under(location, data) &&
		 !lh_location_is_under(location, ours));
}

void
lh_location_check(const char *location, bool superuser_or_privileged)
{
	char	   *normal = lh_location_normalize(location);

	if (touches_data_directory(normal))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("location \"%s\" is not allowed", normal),
				 errdetail("It belongs to the server's data directory."),
				 errhint("Leave the location out to use the default one.")));
	if (lh_location_is_private(normal) &&
		strlen(normal) - strlen(data_location()) - 1 > LH_BACKUP_PATH_MAX - LONGEST_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("location \"%s\" is too long", normal),
				 errdetail("Base backups take paths of at most %d bytes in the data directory.", LH_BACKUP_PATH_MAX),
				 errhint("Leave the location out to use the default one.")));
	if (!superuser_or_privileged && !is_allowed(normal))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for location \"%s\"", normal),
				 errhint("Leave the location out to use the default one, or ask a superuser to add a root to lakehouse.allowed_locations.")));
}

/* ---- copies of the cluster ---- */

bool
lh_location_is_private(const char *location)
{
	char	   *data = data_location();
	bool		result = lh_location_is_under(location, data);

	pfree(data);
	return result;
}

/* Do the settings let objects at an absolute path travel by WAL? */
bool
lh_location_travels(const char *path)
{
	char	   *location = psprintf("%s%s", LH_FILE_SCHEME, path);
	bool		result = lh_location_is_private(location) ? wal_objects :
		is_under_one_of(location, wal_locations);

	pfree(location);
	return result;
}

char *
lh_location_to_catalog(const char *location)
{
	char	   *data = data_location();
	char	   *result = pstrdup(location);

	if (lh_location_is_under(location, data) && location[strlen(data)] == '/')
		result = psprintf("%s%s", DATA_SCHEME, location + strlen(data) + 1);
	pfree(data);
	return result;
}

char *
lh_location_from_catalog(const char *stored)
{
	if (strncmp(stored, DATA_SCHEME, strlen(DATA_SCHEME)) != 0)
		return pstrdup(stored);
	return psprintf("%s%s/%s", LH_FILE_SCHEME, DataDir, stored + strlen(DATA_SCHEME));
}
