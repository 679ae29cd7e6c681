/*
 * icegen.c
 *	  Makes an Iceberg table around given Parquet files with our Iceberg
 *	  layer, the way the publisher does: a new manifest and list for each
 *	  commit, older manifests kept.  For interop tests.
 *
 *		icegen DIR SCHEMA.json STEP...
 *
 * DIR is an absolute directory with data/ and metadata/; the table's location
 * is file://DIR.  Each STEP commits one metadata file and prints its path:
 *
 *		append:a.parquet,b.parquet		files of DIR/data
 *		delete:d.parquet=a.parquet		position deletes of one data file, in a
 *										file that somebody else wrote
 *		positions:d.parquet=a.parquet@0-9@17,b.parquet@3
 *										position deletes, in a file that we write
 *		fold:d.parquet,e.parquet=f.parquet	delete files merged into one (ours)
 *		replace:a.parquet,b.parquet=c.parquet	compaction
 *		remove:a.parquet
 *		schema:SCHEMA.json				from now on
 *		tag:NAME						the current snapshot
 *		expire							all snapshots that no ref needs
 */
#include "iceberg/iceberg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_ENTRIES 1000

static LhArena arena;
static LhError err;
static LhIceMetadata meta;
static const char *dir;
static int	version;
static char uuid[] = "00000000-0000-4000-8000-000000000000";
static int64_t now_ms = 1700000000000;
static char last_path[2048];
static int64_t last_updated;

static void
need(LhStatus status)
{
	if (status == LH_OK)
		return;
	fprintf(stderr, "icegen: %s\n", err.message);
	exit(1);
}

static char *
format(const char *fmt, const char *a, const char *b)
{
	char	   *s = lh_arena_alloc(&arena, strlen(fmt) + strlen(a) + strlen(b) + 1);

	sprintf(s, fmt, a, b);
	return s;
}

static uint8_t *
read_file(const char *path, size_t *len)
{
	FILE	   *f = fopen(path, "rb");
	uint8_t    *data;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0)
	{
		perror(path);
		exit(1);
	}
	*len = (size_t) ftell(f);
	rewind(f);
	data = lh_arena_alloc(&arena, *len + 1);
	if (fread(data, 1, *len, f) != *len)
		exit(1);
	fclose(f);
	return data;
}

static void
write_file(const char *path, const LhBuf *buf)
{
	FILE	   *f = fopen(path, "wb");

	if (f == NULL || fwrite(buf->data, 1, buf->len, f) != buf->len || fclose(f) != 0)
	{
		perror(path);
		exit(1);
	}
}

static const char *
metadata_uri(const char *name)
{
	return format("file://%s/metadata/%s", dir, name);
}

static const char *
local_path(const char *uri)
{
	return uri + strlen("file://");
}

static void
next_uuid(void)
{
	for (char *p = uuid + 35; ++*p > '9'; p--)
		*p = '0';
	now_ms += 60000;
}

static LhIceSchema
load_schema(const char *path)
{
	LhIceSchema schema;
	size_t		len;
	uint8_t    *json = read_file(path, &len);

	need(lh_ice_schema_from_json((const char *) json, len, &arena, &schema, &err));
	return schema;
}

/* ---- entries ---- */

static const char *
data_uri(const char *name)
{
	return format("file://%s/data/%s", dir, name);
}

static LhIceEntry
added_entry(const char *name, const char *deletes_of)
{
	LhIceEntry	e = {.status = LH_ICE_ADDED};
	const char *uri = data_uri(name);
	size_t		len;
	uint8_t    *data = read_file(local_path(uri), &len);
	int64_t		footer_len;
	LhPqFileMeta *file;

	e.snapshot_id = e.sequence_number = e.file_sequence_number = LH_ICE_NONE;
	lh_ice_data_file_init(&e.file);
	need(lh_pq_tail_parse(data + len - LH_PQ_TAIL_BYTES, (int64_t) len, &footer_len, &err));
	need(lh_pq_footer_parse(data + len - LH_PQ_TAIL_BYTES - footer_len, (size_t) footer_len, (int64_t) len,
							&lh_malloc, &file, &err));
	need(lh_ice_metrics_from_parquet(file, lh_ice_metadata_schema(&meta, meta.current_schema_id),
									 &arena, &e.file, &err));
	lh_pq_meta_free(file);
	e.file.path = uri;
	e.file.file_size = (int64_t) len;
	if (deletes_of != NULL)
	{
		e.file.content = LH_ICE_FILE_POSITION_DELETES;
		e.file.referenced_data_file = data_uri(deletes_of);
	}
	else
		e.file.sort_order_id = 0;
	return e;
}

static LhStatus
to_buffer(void *ctx, const uint8_t *data, size_t len, LhError *error)
{
	(void) error;
	return lh_buf_append(ctx, data, len) ? LH_OK : LH_ERR_NOMEM;
}

/* A delete file of ours. */
static LhIceEntry
written_deletes(const char *name, const LhIceDeletes *parts, int n_parts)
{
	LhIceEntry	e = {.status = LH_ICE_ADDED};
	LhIceDeletes *deletes;
	LhBuf		out;
	int			n;

	lh_buf_init(&out, &lh_malloc);
	e.snapshot_id = e.sequence_number = e.file_sequence_number = LH_ICE_NONE;
	need(lh_ice_deletes_merge(parts, n_parts, &arena, &deletes, &n, &err));
	need(lh_ice_deletes_write(deletes, n, "lakehouse version test (build test)", to_buffer, &out,
							  &arena, &e.file, &err));
	e.file.path = data_uri(name);
	e.file.file_size = (int64_t) out.len;
	write_file(local_path(e.file.path), &out);
	lh_buf_free(&out);
	return e;
}

/* "a.parquet@0-9@17" */
static LhIceDeletes
parse_deletes(char *text)
{
	char	   *at = strchr(text, '@');
	LhIceDeletes d = {.n = 0};
	int64_t    *positions = lh_arena_alloc(&arena, 1000000 * sizeof(int64_t));

	while (at != NULL)
	{
		char	   *next = strchr(at + 1, '@');
		int64_t		first;
		int64_t		last;

		*at = '\0';
		if (sscanf(at + 1, "%ld-%ld", &first, &last) < 2)
			last = first = atol(at + 1);
		while (first <= last && d.n < 1000000)
			positions[d.n++] = first++;
		at = next;
	}
	d.path = data_uri(text);
	d.positions = positions;
	return d;
}

static LhIceEntry
folded_deletes(const char *name, char *const *names, int n_names)
{
	LhIceDeletes all[MAX_ENTRIES];
	int			n_all = 0;

	for (int i = 0; i < n_names; i++)
	{
		LhIceDeletes *deletes;
		int			n;
		size_t		len;
		uint8_t    *data = read_file(local_path(data_uri(names[i])), &len);

		need(lh_ice_deletes_read(data, len, 1000000, &arena, &deletes, &n, &err));
		for (int j = 0; j < n && n_all < MAX_ENTRIES; j++)
			all[n_all++] = deletes[j];
	}
	return written_deletes(name, all, n_all);
}

static bool
in_list(const char *uri, char *const *names, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(strrchr(uri, '/') + 1, names[i]) == 0)
			return true;
	}
	return false;
}

/* ---- a commit ---- */

typedef struct Commit
{
	LhIceNewSnapshot snapshot;
	LhIceManifest rows[MAX_ENTRIES];
	int			n_rows;
	int			n_new;
} Commit;

static void
write_manifest(Commit *c, LhIceManifestContent content, const LhIceEntry *entries, int n)
{
	LhIceManifestOptions options = {
		.schema = lh_ice_metadata_schema(&meta, meta.current_schema_id),
		.content = content,
		.format_version = 2,
		.snapshot_id = c->snapshot.snapshot_id,
	};
	char		name[LH_ICE_NAME_BYTES];
	LhIceManifest *row = &c->rows[c->n_rows++];
	LhBuf		out;

	lh_buf_init(&out, &lh_malloc);
	need(lh_ice_manifest_write(&options, entries, n, &lh_malloc, &out, row, &err));
	lh_ice_manifest_name(name, uuid, c->n_new++);
	row->path = metadata_uri(name);
	write_file(local_path(row->path), &out);
	lh_buf_free(&out);
}

/* An older manifest: its row as it is, or a new manifest without the removed files. */
static void
carry_manifest(Commit *c, const LhIceManifest *row, char *const *removed, int n_removed)
{
	LhIceEntry *entries;
	LhIceEntry	kept[MAX_ENTRIES];
	int			n;
	int			n_kept = 0;
	int			n_gone = 0;
	size_t		len;
	uint8_t    *data = read_file(local_path(row->path), &len);

	if (row->added_files + row->existing_files == 0)
		return;
	need(lh_ice_manifest_read(data, len, row, &arena, &entries, &n, &err));
	for (int i = 0; i < n; i++)
	{
		LhIceEntry	e = entries[i];
		bool		gone = in_list(e.file.path, removed, n_removed) ||
			(e.file.referenced_data_file != NULL && in_list(e.file.referenced_data_file, removed, n_removed));
		LhIceChanges *change = &c->snapshot.changes;

		if (e.status == LH_ICE_DELETED)
			continue;
		e.status = gone ? LH_ICE_DELETED : LH_ICE_EXISTING;
		if (gone)
		{
			e.snapshot_id = c->snapshot.snapshot_id;
			n_gone++;
			change->removed_files_size += e.file.file_size;
			if (e.file.content == LH_ICE_FILE_DATA)
			{
				change->removed_data_files++;
				change->removed_records += e.file.record_count;
			}
			else
			{
				change->removed_position_delete_files++;
				change->removed_position_deletes += e.file.record_count;
			}
		}
		kept[n_kept++] = e;
	}
	if (n_gone == 0)
		c->rows[c->n_rows++] = *row;
	else
		write_manifest(c, row->content, kept, n_kept);
}

static void
commit_snapshot(Commit *c, char *const *removed, int n_removed)
{
	LhIceManifestList list = {.format_version = 2};
	const LhIceSnapshot *current = lh_ice_metadata_snapshot(&meta, meta.current_snapshot_id);
	char		name[LH_ICE_NAME_BYTES];
	LhBuf		out;

	if (current != NULL)
	{
		LhIceManifestList old;
		size_t		len;
		uint8_t    *data = read_file(local_path(current->manifest_list), &len);

		need(lh_ice_manifest_list_read(data, len, &arena, &old, &err));
		for (int i = 0; i < old.n_manifests; i++)
			carry_manifest(c, &old.manifests[i], removed, n_removed);
	}
	list.snapshot_id = c->snapshot.snapshot_id;
	list.parent_snapshot_id = meta.current_snapshot_id;
	list.sequence_number = c->snapshot.sequence_number;
	list.manifests = c->rows;
	list.n_manifests = c->n_rows;
	lh_buf_init(&out, &lh_malloc);
	need(lh_ice_manifest_list_write(&list, &lh_malloc, &out, &err));
	lh_ice_manifest_list_name(name, list.snapshot_id, 1, uuid);
	c->snapshot.manifest_list = metadata_uri(name);
	write_file(local_path(c->snapshot.manifest_list), &out);
	lh_buf_free(&out);
	need(lh_ice_metadata_add_snapshot(&meta, &c->snapshot, &err));
}

static void
write_metadata(void)
{
	char		name[LH_ICE_NAME_BYTES];
	LhBuf		out;

	lh_buf_init(&out, &lh_malloc);
	if (last_path[0] != '\0')
		need(lh_ice_metadata_log_previous(&meta, last_path, last_updated, LH_ICE_METADATA_LOG_KEEP, &err));
	need(lh_ice_metadata_write(&meta, &out, &err));
	lh_ice_metadata_name(name, version++, uuid);
	snprintf(last_path, sizeof(last_path), "%s", metadata_uri(name));
	last_updated = meta.last_updated_ms;
	write_file(local_path(last_path), &out);
	lh_buf_free(&out);
	printf("%s\n", last_path);
}

/* ---- steps ---- */

static int
split(char *list, char **names)
{
	int			n = 0;

	for (char *p = strtok(list, ","); p != NULL && n < MAX_ENTRIES; p = strtok(NULL, ","))
		names[n++] = p;
	return n;
}

static void
begin_commit(Commit *c)
{
	memset(c, 0, sizeof(*c));
	c->snapshot.snapshot_id = now_ms;
	c->snapshot.sequence_number = meta.last_sequence_number + 1;
	c->snapshot.timestamp_ms = c->snapshot.now_ms = now_ms;
	c->snapshot.schema_id = LH_ICE_NONE;
}

static void
step_files(const char *verb, char *args)
{
	static Commit c;
	static LhIceEntry entries[MAX_ENTRIES];
	char	   *left[MAX_ENTRIES];
	char	   *right = strchr(args, '=');
	char	   *added[MAX_ENTRIES];
	int			n_left;
	int			n_added = 0;
	LhIceChanges *change = &c.snapshot.changes;
	bool		deletes = strcmp(verb, "delete") == 0;

	begin_commit(&c);
	if (right != NULL)
		*right++ = '\0';
	n_left = split(args, left);
	change->replace = strcmp(verb, "replace") == 0;
	if (change->replace)
		n_added = split(right, added);
	else if (strcmp(verb, "remove") != 0)
	{
		memcpy(added, left, (size_t) n_left * sizeof(char *));
		n_added = n_left;
		n_left = 0;
	}
	for (int i = 0; i < n_added; i++)
	{
		entries[i] = added_entry(added[i], deletes ? right : NULL);
		change->added_files_size += entries[i].file.file_size;
		if (deletes)
			change->added_position_deletes += entries[i].file.record_count;
		else
			change->added_records += entries[i].file.record_count;
	}
	if (deletes)
		change->added_position_delete_files = n_added;
	else
		change->added_data_files = n_added;
	if (n_added > 0)
		write_manifest(&c, deletes ? LH_ICE_MANIFEST_DELETES : LH_ICE_MANIFEST_DATA, entries, n_added);
	commit_snapshot(&c, left, n_left);
}

static void
step_positions(const char *verb, char *args)
{
	static Commit c;
	char	   *removed[MAX_ENTRIES];
	int			n_removed = 0;
	char	   *right = strchr(args, '=');
	LhIceChanges *change = &c.snapshot.changes;
	LhIceEntry	entry;

	begin_commit(&c);
	*right++ = '\0';
	change->replace = strcmp(verb, "fold") == 0;
	if (change->replace)
	{
		n_removed = split(args, removed);
		entry = folded_deletes(right, removed, n_removed);
	}
	else
	{
		char	   *names[MAX_ENTRIES];
		LhIceDeletes parts[MAX_ENTRIES];
		int			n = split(right, names);

		for (int i = 0; i < n; i++)
			parts[i] = parse_deletes(names[i]);
		entry = written_deletes(args, parts, n);
	}
	change->added_position_delete_files = 1;
	change->added_position_deletes = entry.file.record_count;
	change->added_files_size = entry.file.file_size;
	write_manifest(&c, LH_ICE_MANIFEST_DELETES, &entry, 1);
	commit_snapshot(&c, removed, n_removed);
}

static void
step_expire(void)
{
	int64_t		ids[MAX_ENTRIES];
	int			n = 0;

	for (int i = 0; i < meta.n_snapshots && n < MAX_ENTRIES; i++)
	{
		bool		used = false;

		for (int j = 0; j < meta.n_refs; j++)
			used |= meta.refs[j].snapshot_id == meta.snapshots[i].snapshot_id;
		if (!used)
			ids[n++] = meta.snapshots[i].snapshot_id;
	}
	need(lh_ice_metadata_remove_snapshots(&meta, ids, n, now_ms, &err));
}

static void
run_step(char *step)
{
	char	   *args = strchr(step, ':');

	if (args != NULL)
		*args++ = '\0';
	next_uuid();
	if (strcmp(step, "expire") == 0)
		step_expire();
	else if (strcmp(step, "schema") == 0)
	{
		LhIceSchema schema = load_schema(args);

		need(lh_ice_metadata_add_schema(&meta, &schema, now_ms, NULL, &err));
	}
	else if (strcmp(step, "tag") == 0)
	{
		LhIceRef	ref = {args, meta.current_snapshot_id, true, LH_ICE_NONE, LH_ICE_NONE, LH_ICE_NONE};

		need(lh_ice_metadata_set_ref(&meta, &ref, now_ms, &err));
	}
	else if (strcmp(step, "positions") == 0 || strcmp(step, "fold") == 0)
		step_positions(step, args);
	else
		step_files(step, args);
	write_metadata();
}

int
main(int argc, char **argv)
{
	LhIceSchema schema;
	LhBuf		mapping;
	LhIceKeyValue property = {"schema.name-mapping.default", NULL};

	if (argc < 3)
	{
		fprintf(stderr, "usage: icegen DIR SCHEMA.json STEP...\n");
		return 1;
	}
	lh_arena_init(&arena, &lh_malloc);
	dir = argv[1];
	schema = load_schema(argv[2]);
	lh_buf_init(&mapping, &lh_malloc);
	need(lh_ice_name_mapping(&schema, &mapping, &err));
	property.value = lh_arena_strndup(&arena, mapping.data, mapping.len);
	lh_buf_free(&mapping);
	need(lh_ice_metadata_create("0a0b0c0d-0000-4000-8000-00000000000a", format("file://%s%s", dir, ""), &schema,
								&property, 1, now_ms, &arena, &meta, &err));
	write_metadata();
	for (int i = 3; i < argc; i++)
		run_step(argv[i]);
	lh_arena_free(&arena);
	return 0;
}
