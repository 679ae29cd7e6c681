/*
 * ice_metadata_test.c
 *	  Table metadata: Java's and PyIceberg's files read, ours changed, written
 *	  and read back, and what must be refused.
 */
#include "lh_test.h"

#include "iceberg/iceberg.h"

#include <stdlib.h>

static LhArena arena;
static LhError err;

static LhIceType t_int = {.kind = LH_ICE_INT};
static LhIceType t_long = {.kind = LH_ICE_LONG};
static LhIceField fields[] = {
	{1, "a", true, &t_int, NULL, NULL, NULL},
	{2, "b", false, &t_long, NULL, NULL, NULL},
};

static LhStatus
read_data(const char *name, LhIceMetadata *m)
{
	char		path[200];
	size_t		len;
	uint8_t    *data;
	LhStatus	status = LH_ERR_IO;

	snprintf(path, sizeof(path), "iceberg/%s", name);
	data = lh_test_read_file(lh_test_data(path), &len);
	if (data != NULL)
		status = lh_ice_metadata_read((const char *) data, len, &arena, m, &err);
	free(data);
	return status;
}

static LhStatus
parse(const char *json, LhIceMetadata *m)
{
	return lh_ice_metadata_read(json, strlen(json), &arena, m, &err);
}

/* ---- written by others ---- */

LH_TEST(java_v1)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(read_data("java/TableMetadataV1Valid.json", &m));
	LH_EQ_INT(m.format_version, 1);
	LH_EQ_INT(m.n_schemas, 1);
	LH_EQ_INT(m.n_specs, 1);
	LH_EQ_INT(m.specs[0].n_fields, 1);
	LH_EQ_INT(m.last_partition_id, 1000);
	LH_EQ_INT(m.current_snapshot_id, LH_ICE_NONE);
	LH_EQ_INT(m.n_sort_orders, 1);
	lh_arena_free(&arena);
}

LH_TEST(java_v2)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(read_data("java/TableMetadataV2Valid.json", &m));
	LH_EQ_INT(m.format_version, 2);
	LH_EQ_STR(m.location, "s3://bucket/test/location");
	LH_EQ_INT(m.last_sequence_number, 34);
	LH_EQ_INT(m.last_updated_ms, 1602638573590);
	LH_EQ_INT(m.n_schemas, 2);
	LH_EQ_INT(m.current_schema_id, 1);
	LH_EQ_INT(lh_ice_metadata_schema(&m, 1)->n_identifier_ids, 2);
	LH_EQ_STR(lh_ice_metadata_spec(&m, 0)->fields[0].transform, "identity");
	LH_EQ_INT(m.sort_orders[0].order_id, 3);
	LH_CHECK(m.sort_orders[0].fields[1].descending);
	LH_CHECK(!m.sort_orders[0].fields[1].nulls_first);
	LH_EQ_INT(m.current_snapshot_id, 3055729675574597004);
	LH_EQ_INT(m.n_snapshots, 2);
	LH_EQ_INT(m.snapshots[1].parent_id, 3051729675574597004);
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "operation"), "append");
	LH_EQ_INT(m.n_snapshot_log, 2);
	/* no refs in the file: main is where the table is */
	LH_EQ_INT(lh_ice_metadata_ref(&m, "main")->snapshot_id, 3055729675574597004);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, 1515100955769), LH_ICE_NONE);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, 1515100955770), 3051729675574597004);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, 1555100955769), 3051729675574597004);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, INT64_MAX), 3055729675574597004);
	lh_arena_free(&arena);
}

LH_TEST(java_others)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(read_data("java/TableMetadataV2ValidMinimal.json", &m));
	LH_SUCCEED(read_data("java/TableMetadataV3ValidMinimal.json", &m));
	LH_EQ_INT(m.format_version, 3);
	LH_EQ_STR(m.schemas[0].fields[0].initial_default, "1");
	LH_SUCCEED(read_data("java/TableMetadataStatisticsFiles.json", &m));
	LH_EQ_INT(m.n_statistics, 1);
	LH_SUCCEED(read_data("java/TableMetadataPartitionStatisticsFiles.json", &m));
	LH_EQ_INT(m.n_partition_statistics, 1);
	LH_REFUSE(read_data("java/TableMetadataUnsupportedVersion.json", &m), LH_ERR_UNSUPPORTED);
	LH_REFUSE(read_data("java/TableMetadataV1MissingSchemaType.json", &m), LH_ERR_CORRUPT);
	LH_REFUSE(read_data("java/TableMetadataV2CurrentSchemaNotFound.json", &m), LH_ERR_CORRUPT);
	LH_REFUSE(read_data("java/TableMetadataV2MissingLastPartitionId.json", &m), LH_ERR_CORRUPT);
	LH_REFUSE(read_data("java/TableMetadataV2MissingPartitionSpecs.json", &m), LH_ERR_CORRUPT);
	LH_REFUSE(read_data("java/TableMetadataV2MissingSchemas.json", &m), LH_ERR_CORRUPT);
	LH_REFUSE(read_data("java/TableMetadataV2MissingSortOrder.json", &m), LH_ERR_CORRUPT);
	lh_arena_free(&arena);
}

LH_TEST(pyiceberg_metadata)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(read_data("pyiceberg/types.metadata.json", &m));
	LH_EQ_INT(m.n_snapshots, 3);
	LH_EQ_INT(m.last_sequence_number, 3);
	LH_EQ_INT(m.last_column_id, 23);
	LH_EQ_STR(lh_ice_metadata_property(&m, "owner"), "nobody");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[2], "total-records"), "9");
	LH_SUCCEED(read_data("pyiceberg/parted.metadata.json", &m));
	LH_EQ_INT(m.specs[0].n_fields, 5);
	LH_EQ_INT(m.last_partition_id, 1004);
	LH_SUCCEED(read_data("pyiceberg/old.metadata.json", &m));
	LH_EQ_INT(m.format_version, 1);
	LH_EQ_INT(m.snapshots[0].sequence_number, 0);
	lh_arena_free(&arena);
}

LH_TEST(java_tables)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(read_data("java/v1.metadata.json", &m));
	LH_EQ_INT(m.n_snapshots, 3);
	LH_SUCCEED(read_data("java/v2.metadata.json", &m));
	LH_EQ_INT(m.last_sequence_number, 3);
	LH_EQ_INT(m.specs[0].n_fields, 5);
	LH_EQ_STR(m.specs[0].fields[0].transform, "bucket[16]");
	LH_EQ_INT(m.n_metadata_log, 3);
	LH_SUCCEED(read_data("java/v3.metadata.json", &m));
	LH_EQ_INT(m.next_row_id, 40);
	LH_EQ_INT(m.snapshots[1].first_row_id, 20);
	LH_EQ_INT(m.snapshots[1].added_rows, 10);
	LH_CHECK(lh_ice_metadata_ref(&m, "t")->is_tag);
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[3], "added-dvs"), "1");
	lh_arena_free(&arena);
}

/* ---- ours ---- */

#define UUID "0a0b0c0d-0000-4000-8000-00000000000a"

static void
make_table(LhIceMetadata *m)
{
	LhIceSchema schema = {.schema_id = 44, .n_fields = 1, .fields = fields};
	LhIceKeyValue property = {"a key", "a \"value\"\n"};

	LH_SUCCEED(lh_ice_metadata_create(UUID, "s3://b/t/", &schema, &property, 1, 1000, &arena, m, &err));
}

static LhIceNewSnapshot
new_snapshot(const LhIceMetadata *m, int64_t id, int64_t ms)
{
	return (LhIceNewSnapshot) {
		.snapshot_id = id,
		.sequence_number = m->last_sequence_number + 1,
		.timestamp_ms = ms,
		.now_ms = ms,
		.manifest_list = "s3://b/t/metadata/snap.avro",
		.schema_id = LH_ICE_NONE,
		.changes = {.added_data_files = 1, .added_records = 10, .added_files_size = 100},
	};
}

static void
add(LhIceMetadata *m, int64_t id, int64_t ms)
{
	LhIceNewSnapshot s = new_snapshot(m, id, ms);

	LH_SUCCEED(lh_ice_metadata_add_snapshot(m, &s, &err));
}

/* Written, read and written again gives the same text, which *m then is. */
static void
rewrite(LhIceMetadata *m)
{
	LhIceMetadata again;
	LhBuf		first;
	LhBuf		second;

	lh_buf_init(&first, &lh_malloc);
	lh_buf_init(&second, &lh_malloc);
	LH_SUCCEED(lh_ice_metadata_write(m, &first, &err));
	LH_SUCCEED(lh_ice_metadata_read((char *) first.data, first.len, &arena, &again, &err));
	LH_SUCCEED(lh_ice_metadata_write(&again, &second, &err));
	LH_EQ_INT(first.len, second.len);
	LH_EQ_MEM(first.data, second.data, first.len);
	lh_buf_free(&first);
	lh_buf_free(&second);
	*m = again;
}

LH_TEST(metadata_of_a_new_table)
{
	static const char wanted[] =
		"{\"format-version\":2,\"table-uuid\":\"" UUID "\",\"location\":\"s3://b/t\",\"last-sequence-number\":0,"
		"\"last-updated-ms\":1000,\"last-column-id\":1,\"current-schema-id\":0,\"schemas\":[{\"type\":\"struct\","
		"\"schema-id\":0,\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":\"int\"}]}],"
		"\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-id\":999,"
		"\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
		"\"properties\":{\"a key\":\"a \\\"value\\\"\\u000a\"},\"refs\":{},\"snapshots\":[],\"statistics\":[],"
		"\"partition-statistics\":[],\"snapshot-log\":[],\"metadata-log\":[]}";
	LhIceMetadata m;
	LhBuf		buf;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	LH_GIVE_UP();
	lh_buf_init(&buf, &lh_malloc);
	LH_SUCCEED(lh_ice_metadata_write(&m, &buf, &err));
	lh_buf_u8(&buf, 0);
	LH_EQ_STR((char *) buf.data, wanted);
	lh_buf_free(&buf);
	rewrite(&m);
	lh_arena_free(&arena);
}

LH_TEST(metadata_of_snapshots)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	add(&m, 7, 2000);
	add(&m, 8, 1500);				/* a clock that ran backwards */
	rewrite(&m);
	add(&m, 9, 3000);
	LH_GIVE_UP();
	LH_EQ_INT(m.current_snapshot_id, 9);
	LH_EQ_INT(m.last_sequence_number, 3);
	LH_EQ_INT(m.last_updated_ms, 3000);
	LH_EQ_INT(m.snapshots[0].parent_id, LH_ICE_NONE);
	LH_EQ_INT(m.snapshots[1].timestamp_ms, 2000);
	LH_EQ_INT(m.snapshots[2].parent_id, 8);
	LH_EQ_INT(m.n_refs, 1);
	LH_EQ_INT(m.refs[0].snapshot_id, 9);
	LH_EQ_INT(m.n_snapshot_log, 3);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, 2500), 8);
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[2], "total-records"), "30");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[2], "total-files-size"), "300");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[2], "added-records"), "10");
	LH_CHECK(lh_ice_snapshot_summary(&m.snapshots[2], "deleted-records") == NULL);
	rewrite(&m);
	lh_arena_free(&arena);
}

static void
check_operation(const LhIceChanges *changes, const char *operation)
{
	LhIceMetadata m;
	LhIceNewSnapshot s;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	add(&m, 7, 2000);
	LH_GIVE_UP();
	s = new_snapshot(&m, 8, 3000);
	s.changes = *changes;
	LH_SUCCEED(lh_ice_metadata_add_snapshot(&m, &s, &err));
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "operation"), operation);
	lh_arena_free(&arena);
}

LH_TEST(operations)
{
	LhIceChanges c = {0};

	check_operation(&c, "append");
	c.added_data_files = 1, check_operation(&c, "append");
	c.removed_data_files = 1, check_operation(&c, "overwrite");
	c.added_data_files = 0, check_operation(&c, "delete");
	c = (LhIceChanges) {.added_position_delete_files = 1}, check_operation(&c, "delete");
	c.added_data_files = 1, check_operation(&c, "overwrite");
	c.replace = true, check_operation(&c, "replace");
}

LH_TEST(summary_totals)
{
	LhIceMetadata m;
	LhIceNewSnapshot s;
	LhIceKeyValue extra = {"engine-name", "lakehouse"};
	LhIceKeyValue clash = {"operation", "append"};

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	add(&m, 7, 2000);
	LH_GIVE_UP();
	s = new_snapshot(&m, 8, 3000);
	s.changes.removed_data_files = 1;
	s.changes.removed_records = 4;
	s.changes.removed_files_size = 30;
	s.changes.added_position_delete_files = 2;
	s.changes.added_position_deletes = 5;
	s.changes.extra = &extra;
	s.changes.n_extra = 1;
	LH_SUCCEED(lh_ice_metadata_add_snapshot(&m, &s, &err));
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "total-records"), "16");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "total-data-files"), "1");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "total-files-size"), "170");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "total-delete-files"), "2");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "added-delete-files"), "2");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "total-position-deletes"), "5");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "total-equality-deletes"), "0");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "changed-partition-count"), "1");
	LH_EQ_STR(lh_ice_snapshot_summary(&m.snapshots[1], "engine-name"), "lakehouse");
	s = new_snapshot(&m, 9, 3000);
	s.changes.removed_records = -1;
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	s = new_snapshot(&m, 9, 3000);
	s.changes.extra = &clash;
	s.changes.n_extra = 1;
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	/* a parent that does not tell */
	m.snapshots[1].n_summary = 1;
	add(&m, 10, 4000);
	LH_CHECK(lh_ice_snapshot_summary(&m.snapshots[2], "total-records") == NULL);
	lh_arena_free(&arena);
}

LH_TEST(schemas_are_reused)
{
	LhIceMetadata m;
	LhIceSchema one = {.n_fields = 1, .fields = fields};
	LhIceSchema two = {.n_fields = 2, .fields = fields};
	int			id;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	LH_GIVE_UP();
	LH_SUCCEED(lh_ice_metadata_add_schema(&m, &two, 2000, &id, &err));
	LH_EQ_INT(id, 1);
	LH_EQ_INT(m.last_column_id, 2);
	LH_SUCCEED(lh_ice_metadata_add_schema(&m, &one, 3000, &id, &err));
	LH_EQ_INT(id, 0);
	LH_EQ_INT(m.current_schema_id, 0);
	LH_EQ_INT(m.n_schemas, 2);
	LH_EQ_INT(m.last_column_id, 2);
	LH_EQ_INT(m.last_updated_ms, 3000);
	rewrite(&m);
	lh_arena_free(&arena);
}

LH_TEST(refs_and_rollback)
{
	LhIceMetadata m;
	LhIceRef	tag = {"v1", 7, true, LH_ICE_NONE, LH_ICE_NONE, 1000};
	LhIceRef	branch = {"dev", 7, false, 2, 5000, LH_ICE_NONE};
	LhIceRef	back = {"main", 7, false, LH_ICE_NONE, LH_ICE_NONE, LH_ICE_NONE};
	LhIceNewSnapshot s;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	add(&m, 7, 2000);
	add(&m, 8, 3000);
	LH_SUCCEED(lh_ice_metadata_set_ref(&m, &tag, 4000, &err));
	LH_SUCCEED(lh_ice_metadata_set_ref(&m, &branch, 4000, &err));
	s = new_snapshot(&m, 9, 5000);
	s.branch = "dev";
	LH_SUCCEED(lh_ice_metadata_add_snapshot(&m, &s, &err));
	LH_EQ_INT(m.current_snapshot_id, 8);
	LH_EQ_INT(m.snapshots[2].parent_id, 7);
	LH_EQ_INT(lh_ice_metadata_ref(&m, "dev")->snapshot_id, 9);
	LH_EQ_INT(lh_ice_metadata_ref(&m, "dev")->min_snapshots_to_keep, 2);
	LH_EQ_INT(m.n_snapshot_log, 2);
	rewrite(&m);

	LH_SUCCEED(lh_ice_metadata_set_ref(&m, &back, 6000, &err));
	LH_EQ_INT(m.current_snapshot_id, 7);
	LH_EQ_INT(m.n_snapshot_log, 3);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, 5000), 8);
	LH_EQ_INT(lh_ice_metadata_as_of(&m, 6000), 7);
	rewrite(&m);

	s = new_snapshot(&m, 10, 7000);
	s.branch = "v1";
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	s.branch = "nothing";
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	LH_REFUSE(lh_ice_metadata_remove_ref(&m, "main", 7000, &err), LH_ERR_INVALID);
	LH_REFUSE(lh_ice_metadata_remove_ref(&m, "nothing", 7000, &err), LH_ERR_INVALID);
	LH_SUCCEED(lh_ice_metadata_remove_ref(&m, "v1", 7000, &err));
	LH_CHECK(lh_ice_metadata_ref(&m, "v1") == NULL);
	tag.snapshot_id = 99;
	LH_REFUSE(lh_ice_metadata_set_ref(&m, &tag, 4000, &err), LH_ERR_INVALID);
	rewrite(&m);
	lh_arena_free(&arena);
}

LH_TEST(snapshots_removed)
{
	LhIceMetadata m;
	LhIceRef	back = {"main", 10, false, LH_ICE_NONE, LH_ICE_NONE, LH_ICE_NONE};
	int64_t		gone[] = {8, 555};
	int64_t		current[] = {10};

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	for (int64_t id = 7; id <= 11; id++)
		add(&m, id, 1000 * id);
	LH_SUCCEED(lh_ice_metadata_set_ref(&m, &back, 12000, &err));
	LH_SUCCEED(lh_ice_metadata_remove_snapshots(&m, gone, 2, 13000, &err));
	LH_EQ_INT(m.n_snapshots, 4);
	LH_CHECK(lh_ice_metadata_snapshot(&m, 8) == NULL);
	LH_EQ_INT(m.n_snapshot_log, 4);	/* 9, 10, 11, 10: 7 went with the gap */
	LH_EQ_INT(m.snapshot_log[0].snapshot_id, 9);
	LH_EQ_INT(m.last_updated_ms, 13000);
	LH_REFUSE(lh_ice_metadata_remove_snapshots(&m, current, 1, 13000, &err), LH_ERR_INVALID);
	LH_EQ_INT(m.n_snapshots, 4);
	rewrite(&m);
	lh_arena_free(&arena);
}

LH_TEST(metadata_log_keeps_the_newest)
{
	LhIceMetadata m;
	char		path[64];

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	for (int i = 0; i < 250; i++)
	{
		snprintf(path, sizeof(path), "s3://b/t/metadata/%05d-x.metadata.json", i);
		LH_SUCCEED(lh_ice_metadata_log_previous(&m, path, 1000 + i, LH_ICE_METADATA_LOG_KEEP, &err));
	}
	LH_EQ_INT(m.n_metadata_log, 100);
	LH_EQ_STR(m.metadata_log[0].path, "s3://b/t/metadata/00150-x.metadata.json");
	LH_EQ_INT(m.metadata_log[99].timestamp_ms, 1249);
	rewrite(&m);
	lh_arena_free(&arena);
}

LH_TEST(properties_change)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	LH_SUCCEED(lh_ice_metadata_set_property(&m, "x", "1", 2000, &err));
	LH_SUCCEED(lh_ice_metadata_set_property(&m, "x", "2", 2000, &err));
	LH_SUCCEED(lh_ice_metadata_set_property(&m, "a key", NULL, 2000, &err));
	LH_SUCCEED(lh_ice_metadata_set_property(&m, "unknown", NULL, 2000, &err));
	LH_EQ_INT(m.n_properties, 1);
	LH_EQ_STR(lh_ice_metadata_property(&m, "x"), "2");
	rewrite(&m);
	lh_arena_free(&arena);
}

LH_TEST(creation_refusals)
{
	LhIceMetadata m;
	LhIceSchema schema = {.n_fields = 1, .fields = fields};
	static const char *const places[] = {"", "/tmp/x", "x", "s3:b", "a/b:/c"};

	lh_arena_init(&arena, &lh_malloc);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		LH_REFUSE(lh_ice_metadata_create(UUID, places[i], &schema, NULL, 0, 1, &arena, &m, &err), LH_ERR_INVALID);
	LH_REFUSE(lh_ice_metadata_create("0A0B0C0D-0000-4000-8000-00000000000A", "s3://b", &schema, NULL, 0, 1,
									 &arena, &m, &err), LH_ERR_INVALID);
	LH_REFUSE(lh_ice_metadata_create("", "s3://b", &schema, NULL, 0, 1, &arena, &m, &err), LH_ERR_INVALID);
	lh_arena_free(&arena);
}

LH_TEST(snapshot_refusals)
{
	LhIceMetadata m;
	LhIceNewSnapshot s;

	lh_arena_init(&arena, &lh_malloc);
	make_table(&m);
	add(&m, 7, 2000);
	LH_GIVE_UP();
	s = new_snapshot(&m, 7, 3000);
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	s = new_snapshot(&m, -5, 3000);
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	s = new_snapshot(&m, 8, 3000), s.sequence_number = 1;
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	s = new_snapshot(&m, 8, 3000), s.schema_id = 5;
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	s = new_snapshot(&m, 8, 3000), s.manifest_list = NULL;
	LH_REFUSE(lh_ice_metadata_add_snapshot(&m, &s, &err), LH_ERR_INVALID);
	LH_EQ_INT(m.n_snapshots, 1);
	rewrite(&m);
	lh_arena_free(&arena);
}

/* ---- invariants ---- */

#define HEAD "{\"format-version\":2,\"table-uuid\":\"u\",\"location\":\"s3://b\",\"last-sequence-number\":5," \
	"\"last-updated-ms\":100000,\"last-column-id\":1,\"current-schema-id\":0,\"schemas\":[{\"type\":\"struct\",\"schema-id\":0," \
	"\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":\"int\"}]}],\"default-spec-id\":0," \
	"\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-id\":999,\"default-sort-order-id\":0," \
	"\"sort-orders\":[{\"order-id\":0,\"fields\":[]}]"
#define SNAPSHOT(id, seq) "{\"snapshot-id\":" id ",\"sequence-number\":" seq ",\"timestamp-ms\":1," \
	"\"manifest-list\":\"m\",\"summary\":{\"operation\":\"append\"}}"

LH_TEST(nulls_are_absent)
{
	LhIceMetadata m;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(parse(HEAD ",\"current-snapshot-id\":null,\"snapshots\":null,\"refs\":null,\"statistics\":null}", &m));
	LH_SUCCEED(parse(HEAD ",\"current-snapshot-id\":-1}", &m));
	LH_EQ_INT(m.current_snapshot_id, LH_ICE_NONE);
	LH_EQ_INT(m.n_refs, 0);
	lh_arena_free(&arena);
}

LH_TEST(broken_invariants)
{
	static const char *const bad[] = {
		HEAD ",\"snapshots\":[" SNAPSHOT("1", "1") "," SNAPSHOT("1", "2") "]}",
		HEAD ",\"snapshots\":[" SNAPSHOT("1", "6") "]}",
		HEAD ",\"snapshots\":[{\"snapshot-id\":1,\"timestamp-ms\":1}]}",
		HEAD ",\"current-snapshot-id\":2,\"snapshots\":[" SNAPSHOT("1", "1") "]}",
		HEAD ",\"snapshots\":[" SNAPSHOT("1", "1") "],\"refs\":{\"t\":{\"snapshot-id\":2,\"type\":\"tag\"}}}",
		HEAD ",\"snapshots\":[" SNAPSHOT("1", "1") "],\"refs\":{\"main\":{\"snapshot-id\":1,\"type\":\"branch\"}}}",
		HEAD ",\"snapshots\":[" SNAPSHOT("1", "1") "],\"refs\":{\"t\":{\"snapshot-id\":1,\"type\":\"x\"}}}",
		HEAD ",\"snapshot-log\":[{\"timestamp-ms\":90000,\"snapshot-id\":1},{\"timestamp-ms\":1,\"snapshot-id\":1}]}",
		HEAD ",\"snapshot-log\":[{\"timestamp-ms\":200000,\"snapshot-id\":1}]}",
		HEAD ",\"metadata-log\":[{\"timestamp-ms\":200000,\"metadata-file\":\"x\"}]}",
		HEAD ",\"metadata-log\":[{\"timestamp-ms\":-9223372036854775808,\"metadata-file\":\"x\"}]}",
		HEAD ",\"properties\":{\"a\":1}}",
		HEAD ",\"current-snapshot-id\":1,\"snapshots\":[" SNAPSHOT("1", "1") "," SNAPSHOT("2", "2") "],"
		"\"snapshot-log\":[{\"timestamp-ms\":1,\"snapshot-id\":2}]}",
		HEAD ",\"snapshots\":[" SNAPSHOT("99999999999999999999", "1") "]}",
		HEAD ",\"snapshots\":[" SNAPSHOT("1.0", "1") "]}",
	};
	LhIceMetadata m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		lh_arena_init(&arena, &lh_malloc);
		if (parse(bad[i], &m) != LH_ERR_CORRUPT)
			LH_FAIL("accepted %s", bad[i]);
		lh_arena_free(&arena);
	}
}
