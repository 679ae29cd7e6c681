/*
 * shared.c
 *	  Locations outside of the data directory, where a cluster that is a copy
 *	  of this one, or that this one is a copy of, may publish the same tables.
 *
 * The rules that let both go on without harm:
 * - Nobody removes what another incarnation wrote (its name tells).
 * - Each leaves a claim, an object metadata/cluster-<incarnation>.  While there
 *   is one of a cluster that is not our ancestor, it may be our copy and need
 *   what we wrote: then nothing is removed.
 * - The hint is taken over from a version that we know, in order to go on from
 *   it.  If it names one that we do not know, somebody else has gone on: it is
 *   left alone.
 *
 * In the data directory none of this is needed: a copy has a copy of the lake.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"

/* Readers that are given only the folder look here for the newest metadata. */
#define HINT_NAME		"metadata/version-hint.text"
#define MAX_HINT_BYTES	1024

#define CLAIM_PREFIX	"metadata/cluster-"
#define METADATA_END	".metadata.json"

/* ---- claims ---- */

void
lh_shared_claim(const char *location)
{
	LhStore    *store = lh_store_open(location);
	char	   *name;

	if (lh_location_is_private(location))
		return;
	name = psprintf(CLAIM_PREFIX "%s", lh_incarnation_text(lh_incarnation()));
	if (lh_store_size(store, name, true) < 0)
		lh_store_put(store, name, "", 0, true);
}

static void
look_at_claim(const LhObjectInfo *object, void *arg)
{
	uint64		id;

	if (!object->is_temp &&
		lh_incarnation_parse(object->name + strlen(CLAIM_PREFIX), &id) &&
		!lh_incarnation_is_ancestor(id))
		*(bool *) arg = true;
}

/* May a copy of this cluster need what we wrote there? */
bool
lh_shared_with_others(const char *location)
{
	bool		claimed = false;

	if (!lh_location_is_private(location))
		lh_store_list(lh_store_open(location), CLAIM_PREFIX, look_at_claim, &claimed);
	return claimed;
}

bool
lh_shared_may_remove(const char *location, const char *name)
{
	return lh_location_is_private(location) || lh_object_is_ours(name);
}

/* The end of a table: the hint goes with what it names, and our claim. */
void
lh_shared_leave(const char *location)
{
	LhStore    *store = lh_store_open(location);
	int64		len;
	char	   *hint;

	if (lh_location_is_private(location))
		return;
	hint = lh_store_read_all(store, HINT_NAME, MAX_HINT_BYTES, true, &len);
	if (hint != NULL && lh_object_is_ours(hint))
		lh_store_remove(store, HINT_NAME, true);
	lh_store_remove(store, psprintf(CLAIM_PREFIX "%s", lh_incarnation_text(lh_incarnation())), true);
}

/* ---- the hint ---- */

bool
lh_hint_exists(const char *location)
{
	return lh_store_size(lh_store_open(location), HINT_NAME, true) >= 0;
}

/* What the hint says of a metadata file: its name without folder and ending. */
static char *
hint_of(const char *metadata_name)
{
	const char *base = strrchr(metadata_name, '/');
	const char *end;

	base = base != NULL ? base + 1 : metadata_name;
	end = strstr(base, METADATA_END);
	return pnstrdup(base, end != NULL ? end - base : strlen(base));
}

/* Is it in the history of the table as our catalog has it? */
static bool
is_known(const pg_uuid_t *table_uuid, const char *hint)
{
	MemoryContext cxt = CurrentMemoryContext;
	bool		transaction = !IsTransactionState();
	bool		found = false;
	ListCell   *lc;

	if (transaction)
		StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(lc, lh_version_list(table_uuid, GetActiveSnapshot()))
		found |= strcmp(hint_of(((LhVersion *) lfirst(lc))->metadata_name), hint) == 0;
	PopActiveSnapshot();
	if (transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
	return found;
}

/* Said once by each publisher for a location, not for each version. */
static void
warn_of_others(const char *location, const char *hint)
{
	static char warned[MAXPGPATH];

	if (strcmp(warned, location) == 0)
		return;
	strlcpy(warned, location, sizeof(warned));
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("another cluster publishes a copy of the table at location \"%s\"", location),
			 errdetail("\"%s\" names \"%s\", which this cluster does not know.", HINT_NAME, hint),
			 errhint("Readers that are given only the folder see the other cluster's table.  If that cluster is gone, remove \"%s\".",
					 HINT_NAME)));
}

static bool
may_replace_hint(const LhPublication *published, const char *hint)
{
	if (lh_location_is_private(published->location) || hint == NULL || lh_object_is_ours(hint) ||
		(published->previous_name != NULL && strcmp(hint, hint_of(published->previous_name)) == 0) ||
		is_known(&published->table_uuid, hint))
		return true;
	warn_of_others(published->location, hint);
	return false;
}

void
lh_publish_hint(const LhPublication *published)
{
	LhStore    *store = lh_store_open(published->location);
	char	   *wanted = hint_of(published->metadata_name);
	int64		len;
	char	   *hint = lh_store_read_all(store, HINT_NAME, MAX_HINT_BYTES, true, &len);
	bool		is_right = hint != NULL && strcmp(hint, wanted) == 0;

	lh_shared_claim(published->location);
	if (is_right ? published->log_hint : may_replace_hint(published, hint))
		lh_store_put(store, HINT_NAME, wanted, strlen(wanted), true);
}
