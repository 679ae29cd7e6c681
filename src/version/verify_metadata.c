/*
 * verify_metadata.c
 *	  lakehouse.verify(): what other engines are told, against the catalog: the
 *	  newest metadata, its manifest list and manifests.
 *
 * Every entry must be a file of the newest version, and every file an entry,
 * with the same size and counts.  Bounds in entries must admit what the
 * footers' statistics admit: readers skip files by them.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "storage/lh_storage.h"
#include "types/types.h"
#include "version/verify_int.h"

#define MAX_METADATA_BYTES	(INT64CONST(1) << 30)

/* A file that should be in the manifests. */
typedef struct Expected
{
	const char *path;			/* hash key */
	const LhFile *file;			/* one of these */
	const LhDeleteFile *deletes;
	bool		seen;
} Expected;

typedef struct MetadataCheck
{
	LhVerify   *v;
	LhStore    *store;
	LhAlloc		alloc;
	LhArena		arena;
	LhIceMetadata metadata;
	const LhIceSchema *schema;
	HTAB	   *expected;
} MetadataCheck;

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
expect(MetadataCheck *c, const char *path, const LhFile *file, const LhDeleteFile *deletes)
{
	Expected   *e = hash_search(c->expected, &path, HASH_ENTER, NULL);

	e->file = file;
	e->deletes = deletes;
	e->seen = false;
}

/* Published and current: what the newest version has. */
static void
expect_files(MetadataCheck *c, int64 totals[4])
{
	HASHCTL		ctl = {0};
	ListCell   *lc;

	ctl.keysize = sizeof(char *);
	ctl.entrysize = sizeof(Expected);
	ctl.hash = path_hash;
	ctl.match = path_match;
	ctl.hcxt = CurrentMemoryContext;
	c->expected = hash_create("lakehouse verify files", 1024, &ctl,
							  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	memset(totals, 0, sizeof(int64) * 4);
	foreach(lc, c->v->files)
	{
		const LhFile *file = lfirst(lc);

		if (file->added_seq == 0 || file->removed_seq != 0)
			continue;
		expect(c, lh_file_uri(file), file, NULL);
		totals[0]++;
		totals[1] += file->row_count;
	}
	foreach(lc, c->v->delete_files)
	{
		const LhDeleteFile *file = lfirst(lc);

		if (file->added_seq == 0 || file->removed_seq != 0)
			continue;
		expect(c, lh_store_uri(lh_store_open(file->location), file->name), NULL, file);
		totals[2]++;
		totals[3] += file->row_count;
	}
}

static const LhIceColumnStats *
column_of(const LhIceDataFile *file, int field_id)
{
	for (int i = 0; i < file->n_columns; i++)
		if (file->columns[i].field_id == field_id)
			return &file->columns[i];
	return NULL;
}

/* Does the bound in the manifest keep off what the footer's lets in? */
static bool
is_tighter(const LhIceType *type, LhPqBytes manifest, LhPqBytes footer, bool is_upper)
{
	int			order;

	if (manifest.data == NULL)
		return false;
	if (footer.data == NULL || lh_ice_bound_compare(type, manifest, footer, &order, NULL) != LH_OK)
		return true;
	return is_upper ? order < 0 : order > 0;
}

static void
check_columns(MetadataCheck *c, const LhIceEntry *entry, const LhFile *file)
{
	LhPqFileMeta *meta = lh_file_meta(file);
	LhIceDataFile footer;
	LhError		error;

	lh_ice_data_file_init(&footer);
	lh_report(lh_ice_metrics_from_parquet(meta, c->schema, &c->arena, &footer, &error), &error, file->name);
	for (int i = 0; i < entry->file.n_columns; i++)
	{
		const LhIceColumnStats *told = &entry->file.columns[i];
		const LhIceColumnStats *true_ = column_of(&footer, told->field_id);
		const LhIceField *field = lh_ice_schema_find(c->schema, told->field_id);

		/* columns that were dropped since are nobody's business */
		if (field == NULL || true_ == NULL)
			continue;
		if (is_tighter(field->type, told->lower, true_->lower, false) ||
			is_tighter(field->type, told->upper, true_->upper, true))
			lh_finding(c->v, "bounds", file->name, "the manifest's bounds of column \"%s\" leave out values of the file",
					   field->name);
		if ((told->value_count >= 0 && true_->value_count >= 0 && told->value_count != true_->value_count) ||
			(told->null_count >= 0 && true_->null_count >= 0 && told->null_count != true_->null_count))
			lh_finding(c->v, "bounds", file->name, "the manifest's counts of column \"%s\" are not those of the file",
					   field->name);
	}
}

/* Readers skip a delete file whose bounds do not hold the data file's path. */
static void
check_path_bounds(MetadataCheck *c, const LhIceEntry *entry, const LhDeleteFile *deletes)
{
	const LhIceColumnStats *paths = column_of(&entry->file, LH_ICE_DELETE_PATH_ID);
	static const LhIceType type = {.kind = LH_ICE_STRING};

	for (int i = 0; paths != NULL && i < deletes->n_data_files; i++)
	{
		const LhFile *data = lh_verify_file_by_id(c->v, deletes->data_file_ids[i]);
		LhPqBytes	path;

		if (data == NULL || data->removed_seq != 0)
			continue;
		path.data = (const uint8_t *) lh_file_uri(data);
		path.len = (int32_t) strlen((const char *) path.data);
		if (is_tighter(&type, paths->lower, path, false) || is_tighter(&type, paths->upper, path, true))
			lh_finding(c->v, "bounds", deletes->name, "the manifest's bounds leave out data file \"%s\"", data->name);
		if (entry->file.referenced_data_file != NULL &&
			strcmp(entry->file.referenced_data_file, (const char *) path.data) != 0)
			lh_finding(c->v, "metadata", deletes->name, "the manifest says that it belongs to \"%s\"",
					   entry->file.referenced_data_file);
	}
}

static void
check_entry(MetadataCheck *c, const LhIceManifest *manifest, const LhIceEntry *entry)
{
	const char *path = entry->file.path;
	Expected   *e = hash_search(c->expected, &path, HASH_FIND, NULL);
	int64		rows;
	int64		bytes;

	if (e == NULL || (e->deletes != NULL) != (entry->file.content != LH_ICE_FILE_DATA))
	{
		lh_finding(c->v, "metadata", path, "manifest \"%s\" has it, but it is no such file of the newest version",
				   manifest->path);
		return;
	}
	if (e->seen)
		lh_finding(c->v, "metadata", path, "it is in the manifests twice");
	e->seen = true;
	rows = e->file != NULL ? e->file->row_count : e->deletes->row_count;
	bytes = e->file != NULL ? e->file->byte_count : e->deletes->byte_count;
	if (entry->file.record_count != rows || entry->file.file_size != bytes)
		lh_finding(c->v, "metadata", path,
				   "the manifest says " INT64_FORMAT " rows in " INT64_FORMAT " bytes, the catalog " INT64_FORMAT " in " INT64_FORMAT,
				   (int64) entry->file.record_count, (int64) entry->file.file_size, rows, bytes);
	if (entry->sequence_number < 0 || entry->sequence_number > c->metadata.last_sequence_number)
		lh_finding(c->v, "metadata", path, "its sequence number is " INT64_FORMAT, (int64) entry->sequence_number);
	if (e->file != NULL)
		check_columns(c, entry, e->file);
	else
		check_path_bounds(c, entry, e->deletes);
}

static char *
read_object(MetadataCheck *c, const char *uri, int64 *len)
{
	const char *name = lh_store_name_of_uri(c->store, uri);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("metadata of the table names an object outside of its location"),
				 errdetail("Object \"%s\" is not below \"%s\".", uri, lh_store_location(c->store))));
	return lh_store_read_all(c->store, name, MAX_METADATA_BYTES, false, len);
}

static void
check_manifest(MetadataCheck *c, const LhIceManifest *manifest)
{
	int64		counts[3] = {0};
	LhIceEntry *entries;
	int			n;
	int64		len;
	char	   *data = read_object(c, manifest->path, &len);
	LhError		error;

	CHECK_FOR_INTERRUPTS();
	if (len != manifest->length)
		lh_finding(c->v, "metadata", manifest->path, "it has " INT64_FORMAT " bytes, not " INT64_FORMAT,
				   len, (int64) manifest->length);
	lh_report(lh_ice_manifest_read((const uint8_t *) data, len, manifest, &c->arena, &entries, &n, &error),
			  &error, manifest->path);
	for (int i = 0; i < n; i++)
	{
		counts[entries[i].status]++;
		if (entries[i].status != LH_ICE_DELETED)
			check_entry(c, manifest, &entries[i]);
	}
	if (counts[LH_ICE_ADDED] != manifest->added_files || counts[LH_ICE_EXISTING] != manifest->existing_files ||
		counts[LH_ICE_DELETED] != manifest->deleted_files)
		lh_finding(c->v, "metadata", manifest->path, "the manifest list counts its files wrongly");
	pfree(data);
}

static void
check_summary(MetadataCheck *c, const LhIceSnapshot *snapshot, const int64 totals[4])
{
	static const char *const keys[4] = {
		"total-data-files", "total-records", "total-delete-files", "total-position-deletes"
	};

	for (int i = 0; i < 4; i++)
	{
		const char *value = lh_ice_snapshot_summary(snapshot, keys[i]);

		if (value == NULL || strtoll(value, NULL, 10) != totals[i])
			lh_finding(c->v, "count", c->v->table->metadata_name, "%s is %s, not " INT64_FORMAT,
					   keys[i], value != NULL ? value : "missing", totals[i]);
	}
}

/* Each snapshot is a version of the same time, in the same order; the newest is the last. */
static void
check_snapshots(MetadataCheck *c)
{
	List	   *versions = lh_version_list(&c->v->identity.table_uuid, c->v->snapshot);
	const LhVersion *version = NULL;
	int			next = 0;

	for (int i = 0; i < c->metadata.n_snapshots; i++)
	{
		const LhIceSnapshot *snapshot = &c->metadata.snapshots[i];
		int			at = next;

		CHECK_FOR_INTERRUPTS();
		do
			version = at < list_length(versions) ? list_nth(versions, at++) : NULL;
		while (version != NULL && version->snapshot_id != snapshot->snapshot_id);
		if (version == NULL)
			lh_finding(c->v, "metadata", c->v->table->metadata_name,
					   "its snapshot " INT64_FORMAT " is none of the versions in the catalog", (int64) snapshot->snapshot_id);
		else if (lh_timestamp_to_ms(version->valid_from) != snapshot->timestamp_ms)
			lh_finding(c->v, "catalog", psprintf("version " INT64_FORMAT, version->seq),
					   "it is of %s, its snapshot of another time", timestamptz_to_str(version->valid_from));
		if (version != NULL)
			next = at;
	}
	if (version != NULL && next < list_length(versions))
		lh_finding(c->v, "metadata", c->v->table->metadata_name, "the last version in the catalog is not its newest snapshot");
}

void
lh_verify_metadata(LhVerify *v, void *unused)
{
	const LhTable *table = v->table;
	MetadataCheck c = {v, lh_store_open(table->location), lh_palloc_alloc(CurrentMemoryContext)};
	const LhIceSnapshot *snapshot;
	LhIceManifestList list;
	HASH_SEQ_STATUS status;
	Expected   *e;
	int64		totals[4];
	int64		len;
	char	   *json = lh_store_read_all(c.store, table->metadata_name, MAX_METADATA_BYTES, false, &len);
	char	   *data;
	LhError		error;

	lh_arena_init(&c.arena, &c.alloc);
	lh_report(lh_ice_metadata_read(json, len, &c.arena, &c.metadata, &error), &error, table->metadata_name);
	/* the data directory has moved: the publisher begins anew with the next version */
	v->moved = strcmp(c.metadata.location, table->location) != 0;
	if (v->moved)
		return;
	c.schema = lh_ice_metadata_schema(&c.metadata, c.metadata.current_schema_id);
	snapshot = lh_ice_metadata_snapshot(&c.metadata, c.metadata.current_snapshot_id);
	if (snapshot == NULL || snapshot->snapshot_id != table->snapshot_id)
	{
		lh_finding(v, "metadata", table->metadata_name, "its current snapshot is " INT64_FORMAT ", not " INT64_FORMAT,
				   (int64) c.metadata.current_snapshot_id, table->snapshot_id);
		return;
	}
	check_snapshots(&c);
	expect_files(&c, totals);
	check_summary(&c, snapshot, totals);
	data = read_object(&c, snapshot->manifest_list, &len);
	lh_report(lh_ice_manifest_list_read((const uint8_t *) data, len, &c.arena, &list, &error),
			  &error, snapshot->manifest_list);
	for (int i = 0; i < list.n_manifests; i++)
		check_manifest(&c, &list.manifests[i]);
	hash_seq_init(&status, c.expected);
	while ((e = hash_seq_search(&status)) != NULL)
		if (!e->seen)
			lh_finding(v, "metadata", e->path, "it is in no manifest of the newest version");
}
