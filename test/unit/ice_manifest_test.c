/*
 * ice_manifest_test.c
 *	  Manifests and manifest lists: PyIceberg's read, ours read back, what a
 *	  writer must refuse, what nulls inherit.
 */
#include "lh_test.h"

#include "iceberg/iceberg.h"

#include <stdlib.h>

static LhArena arena;
static LhError err;

static LhIceType t_long = {.kind = LH_ICE_LONG};
static LhIceType t_string = {.kind = LH_ICE_STRING};
static LhIceField fields[] = {
	{1, "id", true, &t_long, NULL, NULL, NULL},
	{2, "na\"me", false, &t_string, "a doc\nof two lines", NULL, NULL},
};
static const LhIceSchema schema = {.schema_id = 3, .n_fields = 2, .fields = fields};
static const LhIceManifestOptions options = {.schema = &schema, .format_version = 2, .snapshot_id = 77};

/* ---- written by PyIceberg ---- */

static uint8_t *
golden(const char *name, size_t *len)
{
	char		path[200];

	snprintf(path, sizeof(path), "iceberg/%s", name);
	return lh_test_read_file(lh_test_data(path), len);
}

static void
read_golden(const char *name, const LhIceManifest *row, LhIceEntry **entries, int *n)
{
	size_t		len;
	uint8_t    *data = golden(name, &len);

	LH_GIVE_UP();
	LH_SUCCEED(lh_ice_manifest_read(data, len, row, &arena, entries, n, &err));
	free(data);
}

static void
read_golden_list(const char *name, LhIceManifestList *list)
{
	size_t		len;
	uint8_t    *data = golden(name, &len);

	LH_GIVE_UP();
	LH_SUCCEED(lh_ice_manifest_list_read(data, len, &arena, list, &err));
	free(data);
}

LH_TEST(pyiceberg_list)
{
	LhIceManifestList list;
	size_t		len;

	lh_arena_init(&arena, &lh_malloc);
	read_golden_list("pyiceberg/types.list.avro", &list);
	LH_GIVE_UP();
	LH_EQ_INT(list.format_version, 2);
	LH_EQ_INT(list.sequence_number, 3);
	LH_EQ_INT(list.n_manifests, 3);
	for (int i = 0; i < 3; i++)
	{
		char		name[48];

		snprintf(name, sizeof(name), "pyiceberg/types.m%d.avro", i);
		free(golden(name, &len));
		LH_EQ_INT(list.manifests[i].length, (int64_t) len);
		LH_EQ_INT(list.manifests[i].content, LH_ICE_MANIFEST_DATA);
		LH_EQ_INT(list.manifests[i].n_partitions, 0);
	}
	LH_EQ_INT(list.manifests[0].added_files, 1);
	LH_EQ_INT(list.manifests[0].added_rows, 4);
	LH_EQ_INT(list.manifests[1].deleted_files, 1);
	LH_EQ_INT(list.manifests[1].deleted_rows, 5);
	LH_EQ_INT(list.manifests[2].sequence_number, 2);
	LH_EQ_INT(list.manifests[2].added_rows, 5);
	lh_arena_free(&arena);
}

LH_TEST(pyiceberg_manifest)
{
	LhIceManifestList list;
	LhIceEntry *entries;
	const LhIceDataFile *file;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	read_golden_list("pyiceberg/types.list.avro", &list);
	LH_GIVE_UP();
	read_golden("pyiceberg/types.m2.avro", &list.manifests[2], &entries, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 1);
	LH_EQ_INT(entries[0].status, LH_ICE_ADDED);
	LH_EQ_INT(entries[0].sequence_number, 2);
	LH_EQ_INT(entries[0].file_sequence_number, 2);
	LH_EQ_INT(entries[0].snapshot_id, list.manifests[2].added_snapshot_id);
	file = &entries[0].file;
	LH_EQ_INT(file->content, LH_ICE_FILE_DATA);
	LH_EQ_STR(file->format, "PARQUET");
	LH_EQ_INT(file->record_count, 5);
	LH_EQ_INT(file->n_partition, 0);
	LH_CHECK(strstr(file->path, "file:///") == file->path);
	LH_EQ_INT(file->columns[0].field_id, 1);
	LH_EQ_INT(file->columns[0].value_count, 5);
	LH_EQ_INT(file->columns[0].lower.len, 8);
	LH_EQ_INT(lh_get_u64le(file->columns[0].lower.data), 100);
	LH_EQ_INT(lh_get_u64le(file->columns[0].upper.data), 104);
	for (int i = 1; i < file->n_columns; i++)
		LH_CHECK(file->columns[i].field_id > file->columns[i - 1].field_id);
	LH_EQ_INT(file->columns[11].field_id, 12);
	LH_EQ_INT(file->columns[11].null_count, 1);
	LH_EQ_INT(file->columns[11].upper.len, 16);
	LH_EQ_MEM(file->columns[11].lower.data, "a string of more", 16);
	LH_EQ_MEM(file->columns[11].upper.data, "a string of morf", 16);

	read_golden("pyiceberg/types.m1.avro", &list.manifests[1], &entries, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 1);
	LH_EQ_INT(entries[0].status, LH_ICE_DELETED);
	LH_EQ_INT(entries[0].sequence_number, 1);
	lh_arena_free(&arena);
}

LH_TEST(pyiceberg_partitions)
{
	LhIceManifestList list;
	LhIceEntry *entries;
	int			n;
	int			nulls = 0;

	lh_arena_init(&arena, &lh_malloc);
	read_golden_list("pyiceberg/parted.list.avro", &list);
	LH_GIVE_UP();
	LH_EQ_INT(list.manifests[0].n_partitions, 5);
	LH_CHECK(list.manifests[0].partitions[0].contains_null);
	LH_EQ_MEM(list.manifests[0].partitions[1].lower.data, "\xfe\xff\xff\xff", 4);
	read_golden("pyiceberg/parted.m0.avro", &list.manifests[0], &entries, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 5);
	for (int i = 0; i < n; i++)
	{
		const LhIcePartitionValue *p = entries[i].file.partition;

		LH_EQ_INT(entries[i].file.n_partition, 5);
		LH_EQ_INT(p[0].field_id, 1000);
		LH_EQ_INT(p[4].field_id, 1004);
		if (p[0].value.data == NULL)
		{
			nulls++;
			LH_CHECK(p[1].value.data == NULL && p[2].value.data == NULL);
			LH_CHECK(p[3].value.data == NULL && p[4].value.data == NULL);
			continue;
		}
		LH_EQ_MEM(p[0].value.data, "a string of more than sixteen characters ", 41);
		LH_EQ_INT(p[1].value.len, 4);
		LH_EQ_INT(p[2].value.len, 1);	/* −0.002 … 0.001 */
		LH_EQ_INT((int8_t) p[2].value.data[0], p[0].value.data[41] - '2');
		LH_EQ_INT(p[3].value.len, 1);
		LH_EQ_INT(p[4].value.len, 8);
	}
	LH_EQ_INT(nulls, 1);
	lh_arena_free(&arena);
}

LH_TEST(pyiceberg_v1)
{
	LhIceManifestList list;
	LhIceEntry *entries;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	read_golden_list("pyiceberg/old.list.avro", &list);
	LH_GIVE_UP();
	LH_EQ_INT(list.manifests[0].sequence_number, 0);
	LH_EQ_INT(list.manifests[0].content, LH_ICE_MANIFEST_DATA);
	read_golden("pyiceberg/old.m0.avro", &list.manifests[0], &entries, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 1);
	LH_EQ_INT(entries[0].sequence_number, 0);
	LH_EQ_INT(entries[0].file_sequence_number, 0);
	LH_EQ_INT(entries[0].file.content, LH_ICE_FILE_DATA);
	LH_EQ_INT(entries[0].file.record_count, 5);
	lh_arena_free(&arena);
}

/* ---- written by Java ---- */

static void
check_java_partition(const LhIceDataFile *file)
{
	const LhIcePartitionValue *p = file->partition;

	LH_EQ_INT(file->n_partition, 5);
	LH_EQ_MEM(p[0].value.data, "\3\0\0\0", 4);
	LH_EQ_INT(lh_get_u32le(p[1].value.data), 19001);
	LH_EQ_INT(p[2].value.len, 1);
	LH_EQ_MEM(p[2].value.data, "\x80", 1);
	LH_EQ_MEM(p[3].value.data, "ab", 2);
	LH_EQ_INT(p[4].value.len, 16);
	LH_EQ_INT(p[4].value.data[15], 15);
}

static void
check_java(int version)
{
	LhIceManifestList list;
	LhIceEntry *e;
	char		name[32];
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	snprintf(name, sizeof(name), "java/v%d.list.avro", version);
	read_golden_list(name, &list);
	LH_GIVE_UP();
	LH_EQ_INT(list.n_manifests, version < 3 ? 2 : 3);
	LH_EQ_INT(list.manifests[0].sequence_number, version == 1 ? 0 : 2);
	LH_EQ_INT(list.manifests[1].existing_rows, 10);
	LH_EQ_INT(list.manifests[1].deleted_files, 1);
	LH_EQ_INT(list.manifests[1].n_partitions, 5);
	LH_EQ_INT(list.manifests[0].first_row_id, version < 3 ? LH_ICE_NONE : 20);

	snprintf(name, sizeof(name), "java/v%d.m0.avro", version);
	read_golden(name, &list.manifests[0], &e, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 1);
	LH_EQ_INT(e[0].sequence_number, version == 1 ? 0 : 2);
	LH_EQ_INT(e[0].file.first_row_id, version < 3 ? LH_ICE_NONE : 20);

	snprintf(name, sizeof(name), "java/v%d.m1.avro", version);
	read_golden(name, &list.manifests[1], &e, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 2);
	LH_EQ_INT(e[0].status, LH_ICE_EXISTING);
	LH_EQ_INT(e[0].sequence_number, version == 1 ? 0 : 1);
	LH_EQ_INT(e[0].file.first_row_id, version < 3 ? LH_ICE_NONE : 0);
	check_java_partition(&e[0].file);
	LH_EQ_INT(e[0].file.n_columns, 6);
	LH_EQ_INT(e[0].file.columns[4].nan_count, 2);
	LH_EQ_MEM(e[0].file.columns[3].lower.data, "\xff\x7f", 2);
	LH_EQ_INT(e[0].file.n_split_offsets, 2);
	LH_EQ_INT(e[1].status, LH_ICE_DELETED);
	LH_CHECK(e[1].file.partition[2].value.data == NULL);
	lh_arena_free(&arena);
}

LH_TEST(java_manifests)
{
	for (int version = 1; version <= 3; version++)
	{
		check_java(version);
		LH_GIVE_UP();
	}
}

LH_TEST(java_deletion_vector)
{
	LhIceManifestList list;
	LhIceEntry *e;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	read_golden_list("java/v3.list.avro", &list);
	LH_GIVE_UP();
	LH_EQ_INT(list.manifests[2].content, LH_ICE_MANIFEST_DELETES);
	read_golden("java/v3.m2.avro", &list.manifests[2], &e, &n);
	LH_GIVE_UP();
	LH_EQ_INT(n, 1);
	LH_EQ_INT(e[0].file.content, LH_ICE_FILE_POSITION_DELETES);
	LH_EQ_STR(e[0].file.format, "PUFFIN");
	LH_EQ_STR(e[0].file.referenced_data_file, "s3://b/data/1.parquet");
	LH_EQ_INT(e[0].file.content_offset, 4);
	LH_EQ_INT(e[0].file.content_size, 46);
	LH_EQ_INT(e[0].file.record_count, 5);
	LH_EQ_INT(e[0].file.sort_order_id, LH_ICE_NONE);
	LH_EQ_INT(e[0].file.first_row_id, LH_ICE_NONE);
	check_java_partition(&e[0].file);
	lh_arena_free(&arena);
}

/* ---- ours, read back ---- */

static LhIceColumnStats columns[] = {
	{1, 100, 50, 0, -1, {(const uint8_t *) "\1\0\0\0\0\0\0\0", 8}, {(const uint8_t *) "\2\0\0\0\0\0\0\0", 8}},
	{2, 200, 50, 50, -1, {NULL, 0}, {NULL, 0}},
	{9, -1, -1, -1, 4, {(const uint8_t *) "", 0}, {NULL, 0}},
};
static int64_t offsets[] = {4, 1000, 2000};

static LhIceEntry
sample(LhIceStatus status)
{
	LhIceEntry	e = {.status = status};

	e.snapshot_id = e.sequence_number = e.file_sequence_number = LH_ICE_NONE;
	if (status != LH_ICE_ADDED)
	{
		e.snapshot_id = 11;
		e.sequence_number = 5;
		e.file_sequence_number = 6;
	}
	lh_ice_data_file_init(&e.file);
	e.file.path = "s3://b/data/1.parquet";
	e.file.record_count = 50;
	e.file.file_size = 3000;
	e.file.columns = columns;
	e.file.n_columns = 3;
	e.file.split_offsets = offsets;
	e.file.n_split_offsets = 3;
	e.file.sort_order_id = 0;
	return e;
}

static bool
same_bytes(LhPqBytes a, LhPqBytes b)
{
	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	return a.len == b.len && memcmp(a.data, b.data, (size_t) a.len) == 0;
}

static void
check_file(const LhIceDataFile *a, const LhIceDataFile *b)
{
	LH_EQ_INT(a->content, b->content);
	LH_EQ_STR(a->path, b->path);
	LH_EQ_INT(a->record_count, b->record_count);
	LH_EQ_INT(a->file_size, b->file_size);
	LH_EQ_INT(a->sort_order_id, b->sort_order_id);
	LH_EQ_INT(a->first_row_id, LH_ICE_NONE);
	LH_EQ_INT(a->content_offset, LH_ICE_NONE);
	LH_CHECK((a->referenced_data_file == NULL) == (b->referenced_data_file == NULL));
	if (a->referenced_data_file != NULL)
		LH_EQ_STR(a->referenced_data_file, b->referenced_data_file);
	LH_EQ_INT(a->n_columns, b->n_columns);
	for (int i = 0; i < a->n_columns; i++)
	{
		LH_EQ_INT(a->columns[i].field_id, b->columns[i].field_id);
		LH_EQ_INT(a->columns[i].column_size, b->columns[i].column_size);
		LH_EQ_INT(a->columns[i].value_count, b->columns[i].value_count);
		LH_EQ_INT(a->columns[i].null_count, b->columns[i].null_count);
		LH_EQ_INT(a->columns[i].nan_count, b->columns[i].nan_count);
		LH_CHECK(same_bytes(a->columns[i].lower, b->columns[i].lower));
		LH_CHECK(same_bytes(a->columns[i].upper, b->columns[i].upper));
	}
	LH_EQ_INT(a->n_split_offsets, b->n_split_offsets);
	LH_EQ_MEM(a->split_offsets, b->split_offsets, (size_t) a->n_split_offsets * 8);
}

LH_TEST(manifest_round_trip)
{
	LhIceEntry	in[3] = {sample(LH_ICE_ADDED), sample(LH_ICE_EXISTING), sample(LH_ICE_DELETED)};
	LhIceEntry *out;
	LhIceManifest row;
	LhIceSchema read;
	LhIceManifestReader *reader;
	LhBuf		buf;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	lh_buf_append(&buf, "before", 6);
	LH_SUCCEED(lh_ice_manifest_write(&options, in, 3, &lh_malloc, &buf, &row, &err));
	LH_EQ_INT(row.length, (int64_t) buf.len - 6);
	LH_EQ_INT(row.added_files, 1);
	LH_EQ_INT(row.existing_files, 1);
	LH_EQ_INT(row.deleted_files, 1);
	LH_EQ_INT(row.deleted_rows, 50);
	LH_EQ_INT(row.min_sequence_number, 5);
	LH_EQ_INT(row.sequence_number, LH_ICE_NONE);
	LH_EQ_INT(row.added_snapshot_id, 77);

	row.sequence_number = 9;
	LH_SUCCEED(lh_ice_manifest_read(buf.data + 6, buf.len - 6, &row, &arena, &out, &n, &err));
	LH_EQ_INT(n, 3);
	for (int i = 0; i < 3; i++)
	{
		LH_EQ_INT(out[i].status, in[i].status);
		check_file(&out[i].file, &in[i].file);
		LH_GIVE_UP();
	}
	LH_EQ_INT(out[0].snapshot_id, 77);
	LH_EQ_INT(out[0].sequence_number, 9);
	LH_EQ_INT(out[0].file_sequence_number, 9);
	LH_EQ_INT(out[2].snapshot_id, 11);
	LH_EQ_INT(out[2].sequence_number, 5);
	LH_EQ_INT(out[2].file_sequence_number, 6);

	LH_SUCCEED(lh_ice_manifest_open(buf.data + 6, buf.len - 6, NULL, &lh_malloc, &reader, &err));
	LH_EQ_INT(lh_ice_manifest_info(reader)->format_version, 2);
	LH_EQ_STR(lh_ice_manifest_info(reader)->spec_json, "[]");
	LH_SUCCEED(lh_ice_schema_from_json(lh_ice_manifest_info(reader)->schema_json,
									   strlen(lh_ice_manifest_info(reader)->schema_json), &arena, &read, &err));
	LH_CHECK(lh_ice_schema_equal(&read, &schema));
	LH_EQ_INT(read.schema_id, 3);
	lh_ice_manifest_close(reader);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

/* v3: nulls count up from the row's first id, deleted and explicit ones aside. */
LH_TEST(first_row_ids_are_inherited)
{
	LhIceEntry	in[4] = {sample(LH_ICE_ADDED), sample(LH_ICE_DELETED), sample(LH_ICE_EXISTING), sample(LH_ICE_ADDED)};
	LhIceEntry *out;
	LhIceManifest row;
	LhBuf		buf;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	LH_SUCCEED(lh_ice_manifest_write(&options, in, 4, &lh_malloc, &buf, &row, &err));
	row.sequence_number = 9;
	row.first_row_id = 1000;
	LH_SUCCEED(lh_ice_manifest_read(buf.data, buf.len, &row, &arena, &out, &n, &err));
	LH_EQ_INT(n, 4);
	LH_EQ_INT(out[0].file.first_row_id, 1000);
	LH_EQ_INT(out[1].file.first_row_id, LH_ICE_NONE);
	LH_EQ_INT(out[2].file.first_row_id, 1050);
	LH_EQ_INT(out[3].file.first_row_id, 1100);
	row.first_row_id = INT64_MAX - 60;
	LH_REFUSE(lh_ice_manifest_read(buf.data, buf.len, &row, &arena, &out, &n, &err), LH_ERR_CORRUPT);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

/* Many blocks, an arena for each entry. */
LH_TEST(manifest_of_many_entries)
{
	LhIceManifestWriter *writer;
	LhIceManifestReader *reader;
	LhIceManifest row;
	LhIceEntry	e = sample(LH_ICE_ADDED);
	LhBuf		buf;
	char		path[64];
	bool		found = true;

	lh_buf_init(&buf, &lh_malloc);
	e.file.path = path;
	LH_SUCCEED(lh_ice_manifest_begin(&options, &lh_malloc, &buf, &writer, &err));
	for (int i = 0; i < 5000; i++)
	{
		snprintf(path, sizeof(path), "s3://b/%d.parquet", i);
		LH_SUCCEED(lh_ice_manifest_add(writer, &e, &err));
	}
	LH_SUCCEED(lh_ice_manifest_end(writer, &row, &err));
	LH_EQ_INT(row.added_rows, 250000);

	LH_SUCCEED(lh_ice_manifest_open(buf.data, buf.len, NULL, &lh_malloc, &reader, &err));
	for (int i = 0; found; i++)
	{
		lh_arena_init(&arena, &lh_malloc);
		LH_SUCCEED(lh_ice_manifest_next(reader, &arena, &e, &found, &err));
		snprintf(path, sizeof(path), "s3://b/%d.parquet", i);
		if (found)
			LH_EQ_STR(e.file.path, path);
		else
			LH_EQ_INT(i, 5000);
		lh_arena_free(&arena);
	}
	lh_ice_manifest_close(reader);
	lh_buf_free(&buf);
}

LH_TEST(manifest_of_position_deletes)
{
	LhIceManifestOptions deletes = options;
	LhIceEntry	e = sample(LH_ICE_ADDED);
	LhIceEntry *out;
	LhIceManifest row;
	LhBuf		buf;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	deletes.content = LH_ICE_MANIFEST_DELETES;
	e.file.content = LH_ICE_FILE_POSITION_DELETES;
	e.file.referenced_data_file = "s3://b/data/1.parquet";
	e.file.sort_order_id = LH_ICE_NONE;
	LH_SUCCEED(lh_ice_manifest_write(&deletes, &e, 1, &lh_malloc, &buf, &row, &err));
	LH_EQ_INT(row.content, LH_ICE_MANIFEST_DELETES);
	LH_SUCCEED(lh_ice_manifest_read(buf.data, buf.len, NULL, &arena, &out, &n, &err));
	LH_EQ_INT(n, 1);
	check_file(&out[0].file, &e.file);
	LH_GIVE_UP();
	LH_EQ_INT(out[0].sequence_number, LH_ICE_NONE);

	/* the row must say what the file says */
	row.content = LH_ICE_MANIFEST_DATA;
	row.sequence_number = 1;
	LH_REFUSE(lh_ice_manifest_read(buf.data, buf.len, &row, &arena, &out, &n, &err), LH_ERR_CORRUPT);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

static void
refuse_entry(LhIceEntry e, LhStatus wanted)
{
	LhIceManifest row;
	LhBuf		buf;

	lh_buf_init(&buf, &lh_malloc);
	LH_REFUSE(lh_ice_manifest_write(&options, &e, 1, &lh_malloc, &buf, &row, &err), wanted);
	lh_buf_free(&buf);
}

LH_TEST(manifest_refusals)
{
	LhIceManifestOptions bad = options;
	LhIceSpec	spec = {.spec_id = 1};
	LhIceManifest row;
	LhIceEntry	e;
	LhBuf		buf;
	LhIceColumnStats twice[2] = {columns[0], columns[0]};

	e = sample(LH_ICE_ADDED), e.file.record_count = 0, refuse_entry(e, LH_ERR_INVALID);
	e = sample(LH_ICE_ADDED), e.file.path = "\xff", refuse_entry(e, LH_ERR_INVALID);
	e = sample(LH_ICE_ADDED), e.file.path = NULL, refuse_entry(e, LH_ERR_INVALID);
	e = sample(LH_ICE_ADDED), e.file.content = LH_ICE_FILE_POSITION_DELETES, refuse_entry(e, LH_ERR_INVALID);
	e = sample(LH_ICE_EXISTING), e.sequence_number = LH_ICE_NONE, refuse_entry(e, LH_ERR_INVALID);
	e = sample(LH_ICE_DELETED), e.snapshot_id = LH_ICE_NONE, refuse_entry(e, LH_ERR_INVALID);
	e = sample(LH_ICE_ADDED), e.file.columns = twice, e.file.n_columns = 2, refuse_entry(e, LH_ERR_INVALID);
	LH_GIVE_UP();

	lh_buf_init(&buf, &lh_malloc);
	LH_REFUSE(lh_ice_manifest_write(&options, NULL, 0, &lh_malloc, &buf, &row, &err), LH_ERR_INVALID);
	bad.spec = &spec;
	LH_REFUSE(lh_ice_manifest_write(&bad, NULL, 0, &lh_malloc, &buf, &row, &err), LH_ERR_UNSUPPORTED);
	lh_buf_free(&buf);
}

/* ---- lists ---- */

static LhIceManifest
list_row(void)
{
	return (LhIceManifest) {
		.path = "s3://b/metadata/m0.avro", .length = 4000, .sequence_number = LH_ICE_NONE,
		.min_sequence_number = LH_ICE_NONE, .added_snapshot_id = 8, .added_files = 1, .added_rows = 50,
		.first_row_id = LH_ICE_NONE,
	};
}

LH_TEST(list_round_trip)
{
	LhIceManifest rows[2] = {list_row(), list_row()};
	LhIceFieldSummary summary[2] = {
		{true, 1, {(const uint8_t *) "a", 1}, {(const uint8_t *) "", 0}},
		{false, LH_ICE_NONE, {NULL, 0}, {NULL, 0}},
	};
	LhIceManifestList in = {2, 8, 7, 4, 2, rows};
	LhIceManifestList out;
	LhBuf		buf;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	rows[1].added_snapshot_id = 5;
	rows[1].sequence_number = 3;
	rows[1].min_sequence_number = 1;
	rows[1].partitions = summary;
	rows[1].n_partitions = 2;
	LH_SUCCEED(lh_ice_manifest_list_write(&in, &lh_malloc, &buf, &err));
	LH_SUCCEED(lh_ice_manifest_list_read(buf.data, buf.len, &arena, &out, &err));
	LH_EQ_INT(out.format_version, 2);
	LH_EQ_INT(out.snapshot_id, 8);
	LH_EQ_INT(out.parent_snapshot_id, 7);
	LH_EQ_INT(out.n_manifests, 2);
	LH_EQ_INT(out.manifests[0].sequence_number, 4);
	LH_EQ_INT(out.manifests[0].min_sequence_number, 4);
	LH_EQ_INT(out.manifests[1].sequence_number, 3);
	LH_EQ_INT(out.manifests[1].min_sequence_number, 1);
	LH_EQ_INT(out.manifests[1].n_partitions, 2);
	LH_EQ_INT(out.manifests[1].partitions[0].contains_nan, 1);
	LH_CHECK(same_bytes(out.manifests[1].partitions[0].lower, summary[0].lower));
	LH_CHECK(same_bytes(out.manifests[1].partitions[0].upper, summary[0].upper));
	LH_EQ_INT(out.manifests[1].partitions[1].contains_nan, LH_ICE_NONE);
	LH_CHECK(out.manifests[1].partitions[1].lower.data == NULL);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

static void
refuse_row(LhIceManifest row)
{
	LhIceManifestList list = {2, 8, 7, 4, 1, &row};
	LhBuf		buf;

	lh_buf_init(&buf, &lh_malloc);
	LH_REFUSE(lh_ice_manifest_list_write(&list, &lh_malloc, &buf, &err), LH_ERR_INVALID);
	lh_buf_free(&buf);
}

LH_TEST(list_refusals)
{
	LhIceManifest row;

	row = list_row(), row.path = "", refuse_row(row);
	row = list_row(), row.length = 0, refuse_row(row);
	row = list_row(), row.added_files = 0, refuse_row(row);
	row = list_row(), row.added_rows = LH_ICE_NONE, refuse_row(row);
	row = list_row(), row.added_snapshot_id = 7, refuse_row(row);
	row = list_row(), row.sequence_number = 5, refuse_row(row);
	/* a manifest of deletions of another snapshot has lived long enough */
	row = list_row(), row.added_files = 0, row.deleted_files = 1, row.added_snapshot_id = 7;
	row.sequence_number = row.min_sequence_number = 3, refuse_row(row);
}
