/*
 * expire.c
 *	  Keeps a table's metadata.json bounded: it names the newest KEPT_SNAPSHOTS
 *	  snapshots.  Without that, publishing once a second would write a file
 *	  that grows by 50 MB a day, once a second.
 *
 * Data files stay, and so do the versions in our own catalog: time travel in
 * SQL reaches further back than other engines see.
 *
 * A manifest that leaves the list of a snapshot never comes back in a later
 * one, so what the expired lists name and the oldest kept one does not, is
 * needed by nobody.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "nodes/value.h"
#include "utils/memutils.h"

#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"
#include "types/types.h"

#define KEPT_SNAPSHOTS		1000
#define EXPIRED_AT_ONCE		100

#define MAX_LIST_BYTES		(INT64CONST(256) << 20)

/* Paths of the manifests in a snapshot's list, in the current context; false if the list is gone. */
static bool
manifests_of(const LhIceSnapshot *snapshot, LhStore *store, List **paths)
{
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	const char *name = lh_store_name_of_uri(store, snapshot->manifest_list);
	LhIceManifestList list;
	LhArena		arena;
	LhError		error;
	int64		len;
	char	   *data;

	*paths = NIL;
	data = name != NULL ? lh_store_read_all(store, name, MAX_LIST_BYTES, true, &len) : NULL;
	if (data == NULL)
		return false;
	lh_arena_init(&arena, &alloc);
	lh_report(lh_ice_manifest_list_read((const uint8_t *) data, len, &arena, &list, &error), &error, name);
	for (int i = 0; i < list.n_manifests; i++)
		*paths = lappend(*paths, makeString(pstrdup(list.manifests[i].path)));
	return true;
}

static List *
add_name(List *names, LhStore *store, const char *uri, MemoryContext cxt)
{
	const char *name = lh_store_name_of_uri(store, uri);
	MemoryContext old = MemoryContextSwitchTo(cxt);

	if (name != NULL)
		names = lappend(names, pstrdup(name));
	MemoryContextSwitchTo(old);
	return names;
}

List *
lh_expire_metadata(LhIceMetadata *metadata, LhStore *store, int64 now_ms)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt;
	int64	   *ids;
	List	   *kept;
	List	   *expired;
	bool		known;
	List	   *gone = NIL;
	List	   *names = NIL;
	ListCell   *lc;
	LhError		error;

	if (metadata->n_snapshots < KEPT_SNAPSHOTS + EXPIRED_AT_ONCE)
		return NIL;
	cxt = AllocSetContextCreate(caller, "lakehouse expiry", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cxt);
	ids = palloc(sizeof(int64) * EXPIRED_AT_ONCE);
	/* if it cannot be known what is kept, no manifest goes */
	known = manifests_of(&metadata->snapshots[EXPIRED_AT_ONCE], store, &kept);
	for (int i = 0; i < EXPIRED_AT_ONCE; i++)
	{
		const LhIceSnapshot *snapshot = &metadata->snapshots[i];

		ids[i] = snapshot->snapshot_id;
		(void) manifests_of(snapshot, store, &expired);
		foreach(lc, expired)
			if (known && !list_member(kept, lfirst(lc)))
				gone = list_append_unique(gone, lfirst(lc));
		names = add_name(names, store, snapshot->manifest_list, caller);
	}
	foreach(lc, gone)
		names = add_name(names, store, strVal(lfirst(lc)), caller);
	MemoryContextSwitchTo(caller);
	lh_report(lh_ice_metadata_remove_snapshots(metadata, ids, EXPIRED_AT_ONCE, now_ms, &error),
			  &error, metadata->location);
	MemoryContextDelete(cxt);
	return names;
}
