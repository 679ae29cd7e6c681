/*
 * icecat.c
 *	  Prints what our Iceberg layer reads in a metadata.json, a manifest list,
 *	  a manifest or a position delete file, one JSON object a line, for people
 *	  and for scripts.
 *
 *		icecat FILE...
 */
#include "iceberg/iceberg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
die(const char *what, const LhError *err)
{
	fprintf(stderr, "icecat: %s: %s\n", what, err != NULL ? err->message : "cannot be read");
	exit(1);
}

static uint8_t *
read_file(const char *path, size_t *len)
{
	FILE	   *f = fopen(path, "rb");
	uint8_t    *data;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0)
		die(path, NULL);
	*len = (size_t) ftell(f);
	rewind(f);
	data = malloc(*len + 1);
	if (data == NULL || fread(data, 1, *len, f) != *len)
		die(path, NULL);
	fclose(f);
	return data;
}

static void
print_string(const char *key, const char *s)
{
	if (s == NULL)
		return;
	printf(", \"%s\": \"", key);
	for (; *s != '\0'; s++)
	{
		if (*s == '"' || *s == '\\' || (unsigned char) *s < 0x20)
			printf("\\u%04x", (unsigned char) *s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void
print_int(const char *key, int64_t v)
{
	if (v != LH_ICE_NONE)
		printf(", \"%s\": %lld", key, (long long) v);
}

static void
print_hex(const char *key, LhPqBytes b)
{
	if (b.data == NULL)
		return;
	printf(", \"%s\": \"", key);
	for (int i = 0; i < b.len; i++)
		printf("%02x", b.data[i]);
	putchar('"');
}

static void
print_entry(const LhIceEntry *e)
{
	const LhIceDataFile *f = &e->file;

	printf("{\"status\": %d", (int) e->status);
	print_int("snapshot_id", e->snapshot_id);
	print_int("sequence_number", e->sequence_number);
	print_int("file_sequence_number", e->file_sequence_number);
	print_int("content", f->content);
	print_string("path", f->path);
	print_string("format", f->format);
	print_int("record_count", f->record_count);
	print_int("file_size", f->file_size);
	print_int("sort_order_id", f->sort_order_id);
	print_int("first_row_id", f->first_row_id);
	print_string("referenced_data_file", f->referenced_data_file);
	printf(", \"split_offsets\": [");
	for (int i = 0; i < f->n_split_offsets; i++)
		printf("%s%lld", i ? ", " : "", (long long) f->split_offsets[i]);
	printf("], \"partition\": [");
	for (int i = 0; i < f->n_partition; i++)
	{
		printf("%s{\"id\": %d", i ? ", " : "", f->partition[i].field_id);
		print_hex("value", f->partition[i].value);
		putchar('}');
	}
	printf("], \"columns\": [");
	for (int i = 0; i < f->n_columns; i++)
	{
		const LhIceColumnStats *c = &f->columns[i];

		printf("%s{\"id\": %d", i ? ", " : "", c->field_id);
		print_int("size", c->column_size);
		print_int("values", c->value_count);
		print_int("nulls", c->null_count);
		print_int("nans", c->nan_count);
		print_hex("lower", c->lower);
		print_hex("upper", c->upper);
		putchar('}');
	}
	printf("]}\n");
}

static void
cat_manifest(const char *path, const uint8_t *data, size_t len)
{
	LhIceManifestReader *reader;
	LhError		err;

	if (lh_ice_manifest_open(data, len, NULL, &lh_malloc, &reader, &err) != LH_OK)
		die(path, &err);
	for (;;)
	{
		LhArena		arena;
		LhIceEntry	entry;
		bool		found;

		lh_arena_init(&arena, &lh_malloc);
		if (lh_ice_manifest_next(reader, &arena, &entry, &found, &err) != LH_OK)
			die(path, &err);
		if (found)
			print_entry(&entry);
		lh_arena_free(&arena);
		if (!found)
			break;
	}
	lh_ice_manifest_close(reader);
}

static bool
cat_list(const uint8_t *data, size_t len, LhArena *arena)
{
	LhIceManifestList list;
	LhError		err;

	if (lh_ice_manifest_list_read(data, len, arena, &list, &err) != LH_OK)
		return false;
	for (int i = 0; i < list.n_manifests; i++)
	{
		const LhIceManifest *m = &list.manifests[i];

		printf("{\"content\": %d", (int) m->content);
		print_string("path", m->path);
		print_int("length", m->length);
		print_int("spec_id", m->spec_id);
		print_int("sequence_number", m->sequence_number);
		print_int("min_sequence_number", m->min_sequence_number);
		print_int("added_snapshot_id", m->added_snapshot_id);
		print_int("added_files", m->added_files);
		print_int("existing_files", m->existing_files);
		print_int("deleted_files", m->deleted_files);
		print_int("added_rows", m->added_rows);
		print_int("existing_rows", m->existing_rows);
		print_int("deleted_rows", m->deleted_rows);
		print_int("first_row_id", m->first_row_id);
		printf(", \"partitions\": %d}\n", m->n_partitions);
	}
	return true;
}

static void
cat_metadata(const char *path, const uint8_t *data, size_t len, LhArena *arena)
{
	LhIceMetadata m;
	LhError		err;

	if (lh_ice_metadata_read((const char *) data, len, arena, &m, &err) != LH_OK)
		die(path, &err);
	printf("{\"format_version\": %d", m.format_version);
	print_string("table_uuid", m.table_uuid);
	print_string("location", m.location);
	print_int("last_sequence_number", m.last_sequence_number);
	print_int("current_snapshot_id", m.current_snapshot_id);
	print_int("schemas", m.n_schemas);
	print_int("snapshots", m.n_snapshots);
	print_int("refs", m.n_refs);
	printf("}\n");
	for (int i = 0; i < m.n_snapshots; i++)
	{
		const LhIceSnapshot *s = &m.snapshots[i];

		printf("{\"snapshot_id\": %lld", (long long) s->snapshot_id);
		print_int("parent", s->parent_id);
		print_int("sequence_number", s->sequence_number);
		print_int("timestamp_ms", s->timestamp_ms);
		print_int("schema_id", s->schema_id);
		print_string("manifest_list", s->manifest_list);
		for (int j = 0; j < s->n_summary; j++)
			print_string(s->summary[j].key, s->summary[j].value);
		printf("}\n");
	}
}

static void
cat_deletes(const char *path, const uint8_t *data, size_t len, LhArena *arena)
{
	LhIceDeletes *deletes;
	int			n;
	LhError		err;

	if (lh_ice_deletes_read(data, len, (int64_t) len * 100, arena, &deletes, &n, &err) != LH_OK)
		die(path, &err);
	for (int i = 0; i < n; i++)
	{
		printf("{\"deletes\": %lld", (long long) deletes[i].n);
		print_string("path", deletes[i].path);
		printf(", \"positions\": [");
		for (int64_t j = 0; j < deletes[i].n; j++)
			printf("%s%lld", j ? ", " : "", (long long) deletes[i].positions[j]);
		printf("]}\n");
	}
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		size_t		len;
		uint8_t    *data = read_file(argv[i], &len);
		LhArena		arena;

		lh_arena_init(&arena, &lh_malloc);
		if (len >= 4 && memcmp(data, "PAR1", 4) == 0)
			cat_deletes(argv[i], data, len, &arena);
		else if (len < 4 || memcmp(data, "Obj\1", 4) != 0)
			cat_metadata(argv[i], data, len, &arena);
		else if (!cat_list(data, len, &arena))
			cat_manifest(argv[i], data, len);
		lh_arena_free(&arena);
		free(data);
	}
	return 0;
}
