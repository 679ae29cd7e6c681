/*
 * objstore.c
 *	  The public face: opens stores, checks names, counts, and hands over to
 *	  the kind of store behind a location.
 *
 * It does not know what a store is made of; local_*.c and later s3_*.c do.
 */
#include "postgres.h"

#include "access/transam.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "objstore/objstore_int.h"

static const LhStoreOps local_ops = {
	.upload_begin = lh_local_upload_begin,
	.upload_append = lh_local_upload_append,
	.upload_publish = lh_local_upload_publish,
	.upload_discard = lh_local_upload_discard,
	.read = lh_local_read,
	.fetch_submit = lh_local_fetch_submit,
	.fetch_wait = lh_local_fetch_wait,
	.fetch_cancel = lh_local_fetch_cancel,
	.size = lh_local_size,
	.read_all = lh_local_read_all,
	.remove = lh_local_remove,
	.list = lh_local_list,
	.remove_empty_dirs = lh_local_remove_empty_dirs,
};

typedef struct StoreEntry
{
	char		location[LH_LOCATION_MAX + 1];	/* key */
	LhStore    *store;
} StoreEntry;

static HTAB *stores = NULL;

LhStoreCounters lh_counters;

void
lh_objstore_init(void)
{
	lh_location_define_settings();
	lh_fault_define_setting();
	lh_wal_register();
}

const LhStoreCounters *
lh_store_counters(void)
{
	return &lh_counters;
}

/* ---- stores ---- */

static LhStore *
local_store_create(const char *location)
{
	LocalStore *store = MemoryContextAllocZero(TopMemoryContext, sizeof(LocalStore));

	store->base.ops = &local_ops;
	store->base.location = MemoryContextStrdup(TopMemoryContext, location);
	store->root = store->base.location + strlen(LH_FILE_SCHEME);
	return &store->base;
}

LhStore *
lh_store_open(const char *location)
{
	char	   *normal = lh_location_normalize(location);
	StoreEntry *entry;
	bool		found;

	if (stores == NULL)
	{
		HASHCTL		ctl = {
			.keysize = LH_LOCATION_MAX + 1,
			.entrysize = sizeof(StoreEntry),
			.hcxt = TopMemoryContext,
		};

		stores = hash_create("lakehouse stores", 16, &ctl,
							 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}

	entry = hash_search(stores, normal, HASH_FIND, NULL);
	if (entry == NULL)
	{
		LhStore    *store = local_store_create(normal);

		entry = hash_search(stores, normal, HASH_ENTER, &found);
		entry->store = store;
	}
	pfree(normal);
	return entry->store;
}

const char *
lh_store_location(const LhStore *store)
{
	return store->location;
}

/* ---- names ---- */

/* Ends in .tmp-<digits>-<digits>? */
bool
lh_name_is_temp(const char *name)
{
	const char *p = strrchr(name, '/');
	const char *suffix = NULL;

	for (p = strstr(p ? p : name, ".tmp-"); p != NULL; p = strstr(p + 1, ".tmp-"))
		suffix = p + strlen(".tmp-");
	if (suffix == NULL)
		return false;

	for (int part = 0; part < 2; part++)
	{
		size_t		digits = strspn(suffix, "0123456789");

		if (digits == 0 || suffix[digits] != (part == 0 ? '-' : '\0'))
			return false;
		suffix += digits + 1;
	}
	return true;
}

static const char *
name_problem(const char *name)
{
	if (strlen(name) > LH_NAME_MAX)
		return "It is longer than 400 bytes.";
	return lh_segments_problem(name);
}

/* May name be an object here, temporary or not? */
bool
lh_name_is_valid(const char *name)
{
	return name_problem(name) == NULL;
}

void
lh_name_check(const char *name, bool allow_temp)
{
	const char *problem = name_problem(name);

	if (problem == NULL && !allow_temp && lh_name_is_temp(name))
		problem = "It looks like the name of a temporary file.";
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid object name \"%s\"", name),
				 errdetail("%s", problem)));
}

char *
lh_store_uri(const LhStore *store, const char *name)
{
	lh_name_check(name, false);
	return psprintf("%s/%s", store->location, name);
}

/*
 * Others write file:/dir (Java does) or just /dir for our file:///dir: skip
 * to the path, and compare that.
 */
static const char *
path_of_uri(const char *uri)
{
	if (strncmp(uri, LH_FILE_SCHEME, strlen(LH_FILE_SCHEME)) == 0)
		return uri + strlen(LH_FILE_SCHEME);
	if (strncmp(uri, "file:", strlen("file:")) == 0)
		return uri + strlen("file:");
	return uri;
}

const char *
lh_store_name_of_uri(const LhStore *store, const char *uri)
{
	const char *path = path_of_uri(uri);
	const char *root = path_of_uri(store->location);
	const char *name;

	if (!lh_location_is_under(path, root) || path[strlen(root)] == '\0')
		return NULL;
	name = path + strlen(root) + 1;
	return lh_name_is_valid(name) && !lh_name_is_temp(name) ? name : NULL;
}

/* ---- reading ---- */

static void
range_check(const char *name, int64 offset, int64 len)
{
	int64		end;

	lh_name_check(name, false);
	if (offset < 0 || len < 0 || __builtin_add_overflow(offset, len, &end))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("invalid range of object \"%s\"", name),
				 errdetail("Offset %lld and length %lld cannot be right.",
						   (long long) offset, (long long) len)));
}

void
lh_store_read(LhStore *store, const char *name, int64 offset, int64 len, void *buf)
{
	range_check(name, offset, len);
	store->ops->read(store, name, offset, len, buf);
}

LhFetch *
lh_fetch_submit(LhStore *store, const char *name, int64 offset, int64 len,
				void *buf)
{
	range_check(name, offset, len);
	return store->ops->fetch_submit(store, name, offset, len, buf);
}

void
lh_fetch_wait(LhFetch *fetch)
{
	fetch->store->ops->fetch_wait(fetch);
}

void
lh_fetch_cancel(LhFetch *fetch)
{
	fetch->store->ops->fetch_cancel(fetch);
}

int64
lh_store_size(LhStore *store, const char *name, bool missing_ok)
{
	lh_name_check(name, false);
	lh_counters.heads++;
	return store->ops->size(store, name, missing_ok);
}

char *
lh_store_read_all(LhStore *store, const char *name, int64 limit,
				  bool missing_ok, int64 *len)
{
	lh_name_check(name, false);
	return store->ops->read_all(store, name, limit, missing_ok, len);
}

void
lh_store_release_files(void)
{
	lh_local_forget_all();
}

/* ---- listing and removing ---- */

/* A prefix is the beginning of a name; only the last segment may be partial. */
static void
prefix_check(const char *prefix)
{
	size_t		len = strlen(prefix);

	if (len > 0 && prefix[len - 1] == '/')
		lh_name_check(pnstrdup(prefix, len - 1), true);
	else if (len > 0)
		lh_name_check(prefix, true);
}

void
lh_store_list(LhStore *store, const char *prefix, LhListCallback callback,
			  void *arg)
{
	prefix_check(prefix);
	store->ops->list(store, prefix, callback, arg);
}

bool
lh_store_remove(LhStore *store, const char *name, bool missing_ok)
{
	return lh_store_remove_seen(store, name, missing_ok, InvalidTransactionId);
}

bool
lh_store_remove_seen(LhStore *store, const char *name, bool missing_ok,
					 TransactionId horizon)
{
	lh_name_check(name, true);
	lh_counters.removes++;
	return store->ops->remove(store, name, missing_ok, horizon);
}

bool
lh_store_may_remove(TransactionId horizon)
{
	return !TransactionIdIsNormal(horizon) ||
		GlobalVisCheckRemovableXid(NULL, horizon);
}

void
lh_store_remove_empty_dirs(LhStore *store, const char *prefix)
{
	prefix_check(prefix);
	store->ops->remove_empty_dirs(store, prefix);
}
