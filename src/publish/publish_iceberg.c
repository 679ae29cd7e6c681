/*
 * publish_iceberg.c
 *	  One Iceberg commit: from the files that a version adds and removes to
 *	  manifests, manifest list and metadata.json in the store.
 *
 * Cost is O(changes): what was there before is carried over by the rows of
 * the previous manifest list.  Only manifests that name a removed file are
 * written anew, and, when small ones have piled up, these are merged.  Data
 * files and delete files have manifests of their own.
 *
 * Objects are created under new names only.  If the transaction does not
 * commit they are orphans, and no reader finds them: the metadata file
 * becomes known by the catalog row and the hint, both written after.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"
#include "types/types.h"

/*
 * More manifests than this are merged into one, but for those that have many
 * files already: what a commit costs must not grow with the table.
 */
#define MERGE_MANIFESTS		100
#define LARGE_MANIFEST		10000	/* files */

/* Former metadata files that metadata.json still names. */
#define KEPT_METADATA_FILES	200

/* Bound on what we hold of an object that we wrote ourselves. */
#define MAX_METADATA_BYTES	(INT64CONST(1) << 30)

typedef struct Context
{
	LhIcebergCommit *commit;
	MemoryContext caller;
	LhStore    *store;
	LhAlloc		alloc;
	LhArena		arena;
	LhIceMetadata metadata;
	LhIceSchema *schema;		/* current, within metadata */
	char	   *unique;			/* in the names of what this commit writes */
	int64		snapshot_id;
	int			n_manifests_written;
	bool		moved;			/* the metadata so far names another place */
	List	   *added;			/* LhFile: the commit's, and what has moved */
	HTAB	   *removed;		/* paths */
	int64		n_removed_found;
	LhIceManifest *rows;		/* of the new list */
	int			n_rows;
	int			max_rows;
} Context;

static void
add_row(Context *cx, const LhIceManifest *row)
{
	if (cx->n_rows == cx->max_rows)
	{
		cx->max_rows = Max(16, cx->max_rows * 2);
		cx->rows = cx->rows == NULL ? palloc(sizeof(LhIceManifest) * cx->max_rows) :
			repalloc(cx->rows, sizeof(LhIceManifest) * cx->max_rows);
	}
	cx->rows[cx->n_rows++] = *row;
}

static uint8_t *
read_object(Context *cx, const char *uri, int64 *len)
{
	const char *name = lh_store_name_of_uri(cx->store, uri);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("metadata of the table names an object outside of its location"),
				 errdetail("Object \"%s\" is not below \"%s\".", uri, lh_store_location(cx->store))));
	return (uint8_t *) lh_store_read_all(cx->store, name, MAX_METADATA_BYTES, false, len);
}

/* ---- manifests ---- */

typedef struct ManifestOut
{
	LhBuf		buf;
	LhIceManifestWriter *writer;
	char		name[LH_ICE_NAME_BYTES + 16];
} ManifestOut;

static void
begin_manifest(Context *cx, ManifestOut *out, LhIceManifestContent content)
{
	LhIceManifestOptions options = {0};
	char		base[LH_ICE_NAME_BYTES];
	LhError		error;

	lh_ice_manifest_name(base, cx->unique, cx->n_manifests_written++);
	snprintf(out->name, sizeof(out->name), "metadata/%s", base);
	lh_buf_init(&out->buf, &cx->alloc);
	options.schema = cx->schema;
	options.content = content;
	options.format_version = 2;
	options.snapshot_id = cx->snapshot_id;
	lh_report(lh_ice_manifest_begin(&options, &cx->alloc, &out->buf, &out->writer, &error),
			  &error, out->name);
}

static void
end_manifest(Context *cx, ManifestOut *out)
{
	LhIceManifest row;
	LhError		error;

	lh_report(lh_ice_manifest_end(out->writer, &row, &error), &error, out->name);
	lh_store_put(cx->store, out->name, out->buf.data, out->buf.len, false);
	LH_FAULT_POINT("publish-manifest-written");
	row.path = lh_store_uri(cx->store, out->name);
	add_row(cx, &row);
	lh_buf_free(&out->buf);
}

static LhIceEntry
added_entry(Context *cx)
{
	LhIceEntry	entry = {0};

	entry.status = LH_ICE_ADDED;
	entry.snapshot_id = cx->snapshot_id;
	entry.sequence_number = entry.file_sequence_number = LH_ICE_NONE;
	lh_ice_data_file_init(&entry.file);
	return entry;
}

static void
add_file_entry(Context *cx, ManifestOut *out, const LhFile *file)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse manifest entry", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhPqFileMeta *meta = lh_file_meta(file);
	LhAlloc		alloc = lh_palloc_alloc(cxt);
	LhIceEntry	entry = added_entry(cx);
	LhArena		arena;
	LhError		error;

	lh_arena_init(&arena, &alloc);
	lh_report(lh_ice_metrics_from_parquet(meta, cx->schema, &arena, &entry.file, &error), &error, file->name);
	entry.file.content = LH_ICE_FILE_DATA;
	entry.file.path = lh_file_uri(file);
	entry.file.file_size = file->byte_count;
	lh_report(lh_ice_manifest_add(out->writer, &entry, &error), &error, file->name);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

static void
write_added(Context *cx)
{
	ManifestOut out;
	ListCell   *lc;

	if (cx->added != NIL)
	{
		begin_manifest(cx, &out, LH_ICE_MANIFEST_DATA);
		foreach(lc, cx->added)
			add_file_entry(cx, &out, lfirst(lc));
		end_manifest(cx, &out);
	}
	if (cx->commit->added_deletes != NIL)
	{
		begin_manifest(cx, &out, LH_ICE_MANIFEST_DELETES);
		foreach(lc, cx->commit->added_deletes)
		{
			const LhDeleteFile *file = lfirst(lc);
			LhIceEntry	entry = added_entry(cx);
			LhError		error;

			entry.file = *file->entry;
			lh_report(lh_ice_manifest_add(out.writer, &entry, &error), &error, file->name);
		}
		end_manifest(cx, &out);
	}
}

static bool
is_removed(Context *cx, const char *path)
{
	return cx->removed != NULL && hash_search(cx->removed, &path, HASH_FIND, NULL) != NULL;
}

/* Calls `visit` for each live entry of a manifest. */
typedef void (*EntryVisitor) (Context *cx, LhIceEntry *entry, void *arg);

static void
visit_entries(Context *cx, const LhIceManifest *row, EntryVisitor visit, void *arg)
{
	LhIceManifestReader *reader;
	int64		len;
	uint8_t    *data = read_object(cx, row->path, &len);
	LhArena		arena;
	LhIceEntry	entry;
	bool		found;
	LhError		error;

	lh_report(lh_ice_manifest_open(data, len, row, &cx->alloc, &reader, &error), &error, row->path);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		lh_arena_init(&arena, &cx->alloc);
		lh_report(lh_ice_manifest_next(reader, &arena, &entry, &found, &error), &error, row->path);
		if (found && entry.status != LH_ICE_DELETED)
			visit(cx, &entry, arg);
		lh_arena_free(&arena);
		if (!found)
			break;
	}
	lh_ice_manifest_close(reader);
	pfree(data);
}

static void
count_removed(Context *cx, LhIceEntry *entry, void *arg)
{
	if (is_removed(cx, entry->file.path))
		++*(int64 *) arg;
}

/* Copies an entry, as EXISTING or, for a removed file, as DELETED. */
static void
carry_over(Context *cx, LhIceEntry *entry, void *arg)
{
	ManifestOut *out = arg;
	LhError		error;

	if (is_removed(cx, entry->file.path))
	{
		entry->status = LH_ICE_DELETED;
		entry->snapshot_id = cx->snapshot_id;
		cx->n_removed_found++;
	}
	else
		entry->status = LH_ICE_EXISTING;
	lh_report(lh_ice_manifest_add(out->writer, entry, &error), &error, entry->file.path);
}

static bool
is_live(const LhIceManifest *row)
{
	return row->added_files + row->existing_files > 0;
}

static bool
is_large(const LhIceManifest *row)
{
	return row->added_files + row->existing_files >= LARGE_MANIFEST;
}

/* Marks the manifests that name removed files; what is removed is mostly young, so large ones are asked last. */
static void
find_removed(Context *cx, const LhIceManifestList *list, LhIceManifestContent content, int64 sought, bool *found)
{
	for (int large = 0; large <= 1; large++)
		for (int i = 0; i < list->n_manifests && sought > 0; i++)
		{
			const LhIceManifest *row = &list->manifests[i];
			int64		n = 0;

			if (row->content != content || !is_live(row) || is_large(row) != large)
				continue;
			visit_entries(cx, row, count_removed, &n);
			found[i] = n > 0;
			sought -= n;
		}
}

/* What the new list takes over from the previous one, of one kind. */
static void
write_previous(Context *cx, const LhIceManifestList *list, LhIceManifestContent content)
{
	List	   *removed = content == LH_ICE_MANIFEST_DATA ? cx->commit->removed : cx->commit->removed_deletes;
	bool	   *rewrite = palloc0(sizeof(bool) * Max(list->n_manifests, 1));
	bool		any = false;
	int			n_small = 0;
	ManifestOut out;

	find_removed(cx, list, content, list_length(removed), rewrite);
	for (int i = 0; i < list->n_manifests; i++)
		n_small += list->manifests[i].content == content && !is_large(&list->manifests[i]);
	for (int i = 0; i < list->n_manifests; i++)
	{
		const LhIceManifest *row = &list->manifests[i];

		if (row->content != content || !is_live(row))
			continue;
		if (n_small > MERGE_MANIFESTS && !is_large(row))
			rewrite[i] = true;
		any |= rewrite[i];
		if (!rewrite[i])
			add_row(cx, row);
	}
	if (!any)
		return;
	begin_manifest(cx, &out, content);
	for (int i = 0; i < list->n_manifests; i++)
		if (rewrite[i])
			visit_entries(cx, &list->manifests[i], carry_over, &out);
	end_manifest(cx, &out);
}

static uint32
path_hash(const void *key, Size size)
{
	const char *path = *(const char *const *) key;

	return DatumGetUInt32(hash_any((const unsigned char *) path, strlen(path)));
}

static int
path_match(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
index_removed(Context *cx)
{
	int			n = list_length(cx->commit->removed) + list_length(cx->commit->removed_deletes);
	HASHCTL		ctl = {0};
	ListCell   *lc;

	if (n == 0 || cx->moved)
		return;
	ctl.keysize = ctl.entrysize = sizeof(char *);
	ctl.hash = path_hash;
	ctl.match = path_match;
	ctl.hcxt = CurrentMemoryContext;
	cx->removed = hash_create("lakehouse removed files", n, &ctl,
							  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	foreach(lc, cx->commit->removed)
	{
		char	   *uri = lh_file_uri(lfirst(lc));

		hash_search(cx->removed, &uri, HASH_ENTER, NULL);
	}
	foreach(lc, cx->commit->removed_deletes)
	{
		LhDeleteFile *file = lfirst(lc);
		char	   *uri = lh_store_uri(lh_store_open(file->location), file->name);

		hash_search(cx->removed, &uri, HASH_ENTER, NULL);
	}
}

/* ---- metadata ---- */

static void
set_name_mapping(Context *cx, int64 now_ms)
{
	LhBuf		json;
	LhError		error;

	lh_buf_init(&json, &cx->alloc);
	lh_report(lh_ice_name_mapping(cx->schema, &json, &error), &error, "name mapping");
	lh_buf_u8(&json, '\0');
	lh_report(lh_ice_metadata_set_property(&cx->metadata, "schema.name-mapping.default",
										   (const char *) json.data, now_ms, &error),
			  &error, "name mapping");
	lh_buf_free(&json);
}

static void
note_expired_metadata(Context *cx, const char *uri)
{
	const char *name = lh_store_name_of_uri(cx->store, uri);
	MemoryContext old;

	if (name == NULL)
		return;
	old = MemoryContextSwitchTo(cx->caller);
	cx->commit->expired = lappend(cx->commit->expired, pstrdup(name));
	MemoryContextSwitchTo(old);
}

static void
create_metadata(Context *cx, const LhIceSchema *schema, int64 now_ms)
{
	LhIcebergCommit *commit = cx->commit;
	LhError		error;
	LhIceKeyValue properties[] = {
		{"write.format.default", "parquet"},
		{"write.parquet.compression-codec", "zstd"}
	};

	lh_report(lh_ice_metadata_create(commit->iceberg_uuid, commit->location, schema, properties,
									 lengthof(properties), now_ms, &cx->arena, &cx->metadata, &error),
			  &error, commit->location);
}

static void
read_metadata(Context *cx)
{
	const char *name = cx->commit->previous->metadata_name;
	int64		len;
	char	   *json = lh_store_read_all(cx->store, name, MAX_METADATA_BYTES, false, &len);
	LhError		error;

	lh_report(lh_ice_metadata_read(json, len, &cx->arena, &cx->metadata, &error), &error, name);
	pfree(json);
}

/* The metadata that was read goes on, perhaps with a new schema. */
static void
continue_metadata(Context *cx, const LhIceSchema *schema, int64 now_ms)
{
	LhIcebergCommit *commit = cx->commit;
	LhError		error;

	if (cx->metadata.n_metadata_log >= KEPT_METADATA_FILES)
		note_expired_metadata(cx, cx->metadata.metadata_log[0].path);
	lh_report(lh_ice_metadata_log_previous(&cx->metadata,
										   lh_store_uri(cx->store, commit->previous->metadata_name),
										   cx->metadata.last_updated_ms, KEPT_METADATA_FILES, &error),
			  &error, commit->location);
	lh_report(lh_ice_metadata_add_schema(&cx->metadata, schema, now_ms, NULL, &error),
			  &error, commit->location);
}

/*
 * Loads the previous metadata or starts anew; returns whether the schema
 * changed.  Metadata names its objects by absolute paths.  If the data
 * directory has another path since (a restored backup, a promoted standby),
 * other engines begin anew there, with the files of the newest version; our
 * own catalog has all versions.
 */
static bool
open_metadata(Context *cx, int64 now_ms)
{
	LhIcebergCommit *commit = cx->commit;
	LhShape    *shape = lh_shape_create(commit->desc, false);
	LhIceSchema schema;
	int			before = -1;
	bool		changed;

	lh_shape_iceberg(shape, &cx->arena, &schema);
	if (commit->previous != NULL)
	{
		read_metadata(cx);
		cx->moved = strcmp(cx->metadata.location, commit->location) != 0;
	}
	if (commit->previous == NULL || cx->moved)
		create_metadata(cx, &schema, now_ms);
	else
	{
		before = cx->metadata.current_schema_id;
		continue_metadata(cx, &schema, now_ms);
	}
	changed = cx->metadata.current_schema_id != before;
	cx->schema = (LhIceSchema *) lh_ice_metadata_schema(&cx->metadata, cx->metadata.current_schema_id);
	if (changed)
		set_name_mapping(cx, now_ms);
	lh_shape_free(shape);
	return changed;
}

static bool
has_file(List *files, int64 file_id)
{
	ListCell   *lc;

	foreach(lc, files)
		if (((LhFile *) lfirst(lc))->file_id == file_id)
			return true;
	return false;
}

/* What the new manifests add: if the lake has moved, all that has not gone since. */
static List *
files_to_add(Context *cx)
{
	LhIcebergCommit *commit = cx->commit;
	List	   *files = list_copy(commit->added);
	ListCell   *lc;

	if (!cx->moved)
		return files;
	foreach(lc, lh_file_list_version(&commit->previous->table_uuid, commit->previous->last_seq,
									 GetActiveSnapshot()))
		if (!has_file(commit->removed, ((LhFile *) lfirst(lc))->file_id))
			files = lappend(files, lfirst(lc));
	return files;
}

/* Delete files name data files by their paths: those are others now. */
static void
respell_deletes(Context *cx)
{
	MemoryContext old = MemoryContextSwitchTo(cx->caller);

	lh_respell_delete_files(cx->commit);
	MemoryContextSwitchTo(old);
}

static void
read_previous_list(Context *cx, LhIceManifestList *list)
{
	const LhIceSnapshot *snapshot;
	int64		len;
	uint8_t    *data;
	LhError		error;

	memset(list, 0, sizeof(*list));
	if (cx->metadata.current_snapshot_id == LH_ICE_NONE)
		return;
	snapshot = lh_ice_metadata_snapshot(&cx->metadata, cx->metadata.current_snapshot_id);
	data = read_object(cx, snapshot->manifest_list, &len);
	lh_report(lh_ice_manifest_list_read(data, len, &cx->arena, list, &error), &error, snapshot->manifest_list);
	pfree(data);
}

static char *
write_list(Context *cx)
{
	LhIceManifestList list = {0};
	char	   *name;
	LhBuf		out;
	LhError		error;

	list.format_version = 2;
	list.snapshot_id = cx->snapshot_id;
	list.parent_snapshot_id = cx->metadata.current_snapshot_id;
	list.sequence_number = cx->metadata.last_sequence_number + 1;
	list.n_manifests = cx->n_rows;
	list.manifests = cx->rows;
	name = psprintf("metadata/snap-%s.avro", cx->unique);
	lh_buf_init(&out, &cx->alloc);
	lh_report(lh_ice_manifest_list_write(&list, &cx->alloc, &out, &error), &error, name);
	lh_store_put(cx->store, name, out.data, out.len, false);
	LH_FAULT_POINT("publish-list-written");
	lh_buf_free(&out);
	return lh_store_uri(cx->store, name);
}

static void
sum_files(List *files, int64 *n, int64 *rows, int64 *bytes)
{
	ListCell   *lc;

	*n = *rows = *bytes = 0;
	foreach(lc, files)
	{
		LhFile	   *file = lfirst(lc);

		++*n;
		*rows += file->row_count;
		*bytes += file->byte_count;
	}
}

static void
sum_deletes(List *files, int64 *n, int64 *rows, int64 *bytes)
{
	ListCell   *lc;

	*n = *rows = 0;
	foreach(lc, files)
	{
		LhDeleteFile *file = lfirst(lc);

		++*n;
		*rows += file->row_count;
		*bytes += file->byte_count;
	}
}

static int64
summary_number(const LhIceSnapshot *snapshot, const char *key)
{
	const char *value = lh_ice_snapshot_summary(snapshot, key);

	return value != NULL ? strtoll(value, NULL, 10) : 0;
}

static void
add_snapshot(Context *cx, int64 now_ms)
{
	LhIcebergCommit *commit = cx->commit;
	LhIceNewSnapshot s = {0};
	LhIceKeyValue extra[] = {{"engine-name", "lakehouse"}, {"engine-version", LH_VERSION}};
	const LhIceSnapshot *snapshot;
	LhError		error;

	s.snapshot_id = cx->snapshot_id;
	s.sequence_number = cx->metadata.last_sequence_number + 1;
	s.timestamp_ms = lh_timestamp_to_ms(commit->valid_from);
	s.now_ms = now_ms;
	s.manifest_list = write_list(cx);
	s.schema_id = LH_ICE_NONE;
	s.changes.replace = commit->replace && !cx->moved;
	sum_files(cx->added, &s.changes.added_data_files, &s.changes.added_records,
			  &s.changes.added_files_size);
	sum_files(cx->moved ? NIL : commit->removed, &s.changes.removed_data_files, &s.changes.removed_records,
			  &s.changes.removed_files_size);
	sum_deletes(commit->added_deletes, &s.changes.added_position_delete_files,
				&s.changes.added_position_deletes, &s.changes.added_files_size);
	sum_deletes(cx->moved ? NIL : commit->removed_deletes, &s.changes.removed_position_delete_files,
				&s.changes.removed_position_deletes, &s.changes.removed_files_size);
	s.changes.extra = extra;
	s.changes.n_extra = lengthof(extra);
	lh_report(lh_ice_metadata_add_snapshot(&cx->metadata, &s, &error), &error, commit->location);

	snapshot = lh_ice_metadata_snapshot(&cx->metadata, cx->snapshot_id);
	commit->timestamp_ms = snapshot->timestamp_ms;
	commit->operation = pstrdup(lh_ice_snapshot_summary(snapshot, "operation"));
	commit->total_files = summary_number(snapshot, "total-data-files");
	commit->total_bytes = summary_number(snapshot, "total-files-size");
}

static void
write_metadata(Context *cx)
{
	LhIcebergCommit *commit = cx->commit;
	int			version = commit->previous == NULL ? 0 :
		lh_ice_metadata_version(commit->previous->metadata_name) + 1;
	char		base[LH_ICE_NAME_BYTES];
	LhBuf		out;
	LhError		error;

	lh_ice_metadata_name(base, version, lh_metadata_json_unique());
	commit->metadata_name = psprintf("metadata/%s", base);
	lh_buf_init(&out, &cx->alloc);
	lh_report(lh_ice_metadata_write(&cx->metadata, &out, &error), &error, commit->metadata_name);
	lh_store_put(cx->store, commit->metadata_name, out.data, out.len, false);
	lh_buf_free(&out);
}

static void
check_removed(Context *cx)
{
	int			n = list_length(cx->commit->removed) + list_length(cx->commit->removed_deletes);

	if (!cx->moved && cx->n_removed_found != n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("published metadata and catalog of the table disagree"),
				 errdetail("Of %d files to remove, " INT64_FORMAT " are in the manifests of \"%s\".",
						   n, cx->n_removed_found, cx->commit->location)));
}

void
lh_iceberg_commit(LhIcebergCommit *commit)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "lakehouse commit", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Context    *cx = palloc0(sizeof(Context));
	int64		now_ms = lh_timestamp_to_ms(GetCurrentTimestamp());
	LhIceManifestList previous;
	bool		schema_changed;

	cx->commit = commit;
	cx->caller = caller;
	cx->store = lh_store_open(commit->location);
	cx->alloc = lh_palloc_alloc(cxt);
	lh_arena_init(&cx->arena, &cx->alloc);
	cx->snapshot_id = lh_random_id();
	cx->unique = lh_metadata_unique();

	schema_changed = open_metadata(cx, now_ms);
	/* an empty table has a version too */
	commit->new_version = commit->previous == NULL || cx->moved ||
		commit->added != NIL || commit->removed != NIL || commit->retired != NIL ||
		commit->added_deletes != NIL || commit->removed_deletes != NIL;
	commit->new_metadata = commit->new_version || schema_changed;
	if (commit->new_version)
	{
		cx->added = files_to_add(cx);
		if (cx->moved)
			respell_deletes(cx);
		index_removed(cx);
		read_previous_list(cx, &previous);
		write_added(cx);
		write_previous(cx, &previous, LH_ICE_MANIFEST_DATA);
		write_previous(cx, &previous, LH_ICE_MANIFEST_DELETES);
		check_removed(cx);
		MemoryContextSwitchTo(caller);
		add_snapshot(cx, now_ms);
		commit->snapshot_id = cx->snapshot_id;
		commit->expired = list_concat(commit->expired,
									  lh_expire_metadata(&cx->metadata, cx->store, now_ms));
	}
	else
		commit->snapshot_id = commit->previous->snapshot_id;
	MemoryContextSwitchTo(caller);
	if (commit->new_metadata)
		write_metadata(cx);
	else
		commit->metadata_name = pstrdup(commit->previous->metadata_name);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}
