/*
 * ice_manifest_list.c
 *	  Manifest lists: one row for each manifest of a snapshot.
 *
 * Rows of older manifests are copied as they are; new ones get the sequence
 * number of the snapshot here, so that a lost race costs one small file.
 * Reads v1 to v3, writes v2.  Spec: "Manifest Lists".
 */
#include "iceberg/ice_avro_int.h"

#include <stdio.h>
#include <string.h>

static const IceAvroDef list_defs[] = {
	{500, "manifest_path", "\"string\"", false},
	{501, "manifest_length", "\"long\"", false},
	{502, "partition_spec_id", "\"int\"", false},
	{517, "content", "\"int\"", false},
	{515, "sequence_number", "\"long\"", false},
	{516, "min_sequence_number", "\"long\"", false},
	{503, "added_snapshot_id", "\"long\"", false},
	{504, "added_files_count", "\"int\"", false},
	{505, "existing_files_count", "\"int\"", false},
	{506, "deleted_files_count", "\"int\"", false},
	{512, "added_rows_count", "\"long\"", false},
	{513, "existing_rows_count", "\"long\"", false},
	{514, "deleted_rows_count", "\"long\"", false},
	{507, "partitions",
		"{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"r508\",\"fields\":["
		"{\"name\":\"contains_null\",\"type\":\"boolean\",\"field-id\":509},"
		"{\"name\":\"contains_nan\",\"type\":[\"null\",\"boolean\"],\"default\":null,\"field-id\":518},"
		"{\"name\":\"lower_bound\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":510},"
		"{\"name\":\"upper_bound\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":511}"
	"]},\"element-id\":508}", true},
	{519, "key_metadata", "\"bytes\"", true},
};

/* ---- writing ---- */

static LhStatus
check_row(const LhIceManifestList *list, const LhIceManifest *m, LhError *err)
{
	bool		is_new = m->added_snapshot_id == list->snapshot_id;

	if (m->path == NULL || m->path[0] == '\0' || !lh_ice_utf8_valid(m->path, strlen(m->path)))
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest has no valid path");
	if (m->length < 1)
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest \"%.150s\" has no length", m->path);
	if (m->added_files < 0 || m->existing_files < 0 || m->deleted_files < 0 ||
		m->added_rows < 0 || m->existing_rows < 0 || m->deleted_rows < 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest \"%.150s\" lacks a count", m->path);
	/* what only says that files are gone is of interest once */
	if (m->added_files + m->existing_files == 0 && !(is_new && m->deleted_files > 0))
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest \"%.150s\" has no live files", m->path);
	if ((m->sequence_number == LH_ICE_NONE || m->min_sequence_number == LH_ICE_NONE) && !is_new)
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest \"%.150s\" lacks its sequence number", m->path);
	if (m->sequence_number > list->sequence_number || m->min_sequence_number > list->sequence_number)
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest \"%.150s\" is newer than its list", m->path);
	return LH_OK;
}

static void
put_opt_bytes(LhBuf *b, LhPqBytes bytes)
{
	if (lh_ice_avro_put_branch(b, bytes.data != NULL))
		lh_ice_avro_put_bytes(b, bytes.data, (size_t) bytes.len);
}

static void
put_summaries(LhBuf *b, const LhIceManifest *m)
{
	/* an empty array, not a null: what Java writes for unpartitioned tables */
	lh_ice_avro_put_branch(b, true);
	if (m->n_partitions > 0)
	{
		lh_ice_avro_put_long(b, m->n_partitions);
		for (int i = 0; i < m->n_partitions; i++)
		{
			const LhIceFieldSummary *s = &m->partitions[i];

			lh_buf_u8(b, s->contains_null);
			if (lh_ice_avro_put_branch(b, s->contains_nan != LH_ICE_NONE))
				lh_buf_u8(b, s->contains_nan != 0);
			put_opt_bytes(b, s->lower);
			put_opt_bytes(b, s->upper);
		}
	}
	lh_ice_avro_put_long(b, 0);
}

/* In the order of list_defs. */
static void
put_row(LhBuf *b, const LhIceManifestList *list, const LhIceManifest *m)
{
	int64_t		sequence = m->sequence_number != LH_ICE_NONE ? m->sequence_number : list->sequence_number;
	int64_t		least = m->min_sequence_number != LH_ICE_NONE ? m->min_sequence_number : list->sequence_number;

	lh_ice_avro_put_string(b, m->path);
	lh_ice_avro_put_long(b, m->length);
	lh_ice_avro_put_long(b, m->spec_id);
	lh_ice_avro_put_long(b, m->content);
	lh_ice_avro_put_long(b, sequence);
	lh_ice_avro_put_long(b, least);
	lh_ice_avro_put_long(b, m->added_snapshot_id);
	lh_ice_avro_put_long(b, m->added_files);
	lh_ice_avro_put_long(b, m->existing_files);
	lh_ice_avro_put_long(b, m->deleted_files);
	lh_ice_avro_put_long(b, m->added_rows);
	lh_ice_avro_put_long(b, m->existing_rows);
	lh_ice_avro_put_long(b, m->deleted_rows);
	put_summaries(b, m);
	put_opt_bytes(b, m->key_metadata);
}

static LhStatus
write_rows(IceAvroOut *o, const LhIceManifestList *list, LhError *err)
{
	for (int i = 0; i < list->n_manifests; i++)
	{
		ICE_TRY(check_row(list, &list->manifests[i], err));
		put_row(&o->block, list, &list->manifests[i]);
		ICE_TRY(lh_ice_avro_end_object(o, err));
	}
	return LH_OK;
}

static LhStatus
write_list(const LhIceManifestList *list, const LhAlloc *alloc, LhBuf *schema, LhBuf *out, LhError *err)
{
	char		snapshot_id[24];
	char		parent_id[24] = "null";
	char		sequence[24];
	LhIceKeyValue meta[] = {
		{"snapshot-id", snapshot_id},
		{"parent-snapshot-id", parent_id},
		{"sequence-number", sequence},
		{"format-version", "2"},
	};
	IceJsonOut	json;
	IceAvroOut	o;
	LhStatus	status;

	snprintf(snapshot_id, sizeof(snapshot_id), "%lld", (long long) list->snapshot_id);
	if (list->parent_snapshot_id != LH_ICE_NONE)
		snprintf(parent_id, sizeof(parent_id), "%lld", (long long) list->parent_snapshot_id);
	snprintf(sequence, sizeof(sequence), "%lld", (long long) list->sequence_number);
	lh_ice_json_begin(&json, schema);
	lh_ice_avro_def_to_out(&json, "manifest_file", list_defs, (int) (sizeof(list_defs) / sizeof(list_defs[0])));
	lh_buf_u8(schema, '\0');
	ICE_TRY(lh_ice_json_end(&json, err));

	status = lh_ice_avro_begin(&o, alloc, out, (const char *) schema->data, meta,
							   (int) (sizeof(meta) / sizeof(meta[0])), (uint64_t) list->snapshot_id + 2, err);
	if (status == LH_OK)
		status = write_rows(&o, list, err);
	if (status == LH_OK)
		return lh_ice_avro_finish(&o, err);
	lh_ice_avro_discard(&o);
	return status;
}

LhStatus
lh_ice_manifest_list_write(const LhIceManifestList *list, const LhAlloc *alloc, LhBuf *out, LhError *err)
{
	LhBuf		schema;
	LhStatus	status;

	if (list->format_version != 2)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "manifest lists of format version %d are not written",
					   list->format_version);
	if (list->snapshot_id <= 0 || list->sequence_number <= 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest list needs a snapshot id and a sequence number");
	lh_buf_init(&schema, alloc);
	status = write_list(list, alloc, &schema, out, err);
	lh_buf_free(&schema);
	return status;
}

/* ---- reading ---- */

static LhStatus
read_summary(IceAvroIn *a, const IceAvroType *type, LhIceFieldSummary *s)
{
	bool		nan = false;

	memset(s, 0, sizeof(*s));
	s->contains_nan = LH_ICE_NONE;
	if (type->kind != ICE_AVRO_RECORD)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest list has a malformed partition summary");
	for (int i = 0; i < type->n_fields; i++)
	{
		const IceAvroType *field = type->fields[i].type;

		switch (type->fields[i].id)
		{
			case 509:
				ICE_TRY(lh_ice_avro_bool(a, field, &s->contains_null));
				break;
			case 518:
				ICE_TRY(lh_ice_avro_branch(a, field, &field));
				if (field->kind == ICE_AVRO_NULL)
					break;
				ICE_TRY(lh_ice_avro_bool(a, field, &nan));
				s->contains_nan = nan;
				break;
			case 510:
				ICE_TRY(lh_ice_avro_bytes(a, field, &s->lower));
				break;
			case 511:
				ICE_TRY(lh_ice_avro_bytes(a, field, &s->upper));
				break;
			default:
				ICE_TRY(lh_ice_avro_skip(a, field));
		}
	}
	return LH_OK;
}

static LhStatus
read_summaries(IceAvroIn *a, const IceAvroType *type, LhIceManifest *m)
{
	IceAvroArray array;
	bool		is_null;
	bool		more;

	ICE_TRY(lh_ice_avro_array(a, type, &array, &is_null));
	for (;;)
	{
		ICE_TRY(lh_ice_avro_array_next(a, &array, &more));
		if (!more)
			return LH_OK;
		if (!lh_ice_push(a->arena, &m->partitions, (size_t) m->n_partitions, sizeof(LhIceFieldSummary)))
			return ice_nomem(a->err);
		ICE_TRY(read_summary(a, array.item, &m->partitions[m->n_partitions]));
		m->n_partitions++;
	}
}

static LhStatus
read_row_field(IceAvroIn *a, int id, const IceAvroType *type, LhIceManifest *m)
{
	int			content = LH_ICE_MANIFEST_DATA;

	switch (id)
	{
		case 500:
			return lh_ice_avro_string(a, type, &m->path);
		case 501:
			return lh_ice_avro_long(a, type, &m->length);
		case 502:
			return lh_ice_avro_int(a, type, &m->spec_id);
		case 517:
			ICE_TRY(lh_ice_avro_int(a, type, &content));
			if (content != LH_ICE_MANIFEST_DATA && content != LH_ICE_MANIFEST_DELETES)
				return lh_fail(a->err, LH_ERR_UNSUPPORTED, -1, "manifest has unknown content %d", content);
			m->content = (LhIceManifestContent) content;
			return LH_OK;
		case 515:
			return lh_ice_avro_long(a, type, &m->sequence_number);
		case 516:
			return lh_ice_avro_long(a, type, &m->min_sequence_number);
		case 503:
			return lh_ice_avro_long(a, type, &m->added_snapshot_id);
		case 504:
			return lh_ice_avro_long(a, type, &m->added_files);
		case 505:
			return lh_ice_avro_long(a, type, &m->existing_files);
		case 506:
			return lh_ice_avro_long(a, type, &m->deleted_files);
		case 512:
			return lh_ice_avro_long(a, type, &m->added_rows);
		case 513:
			return lh_ice_avro_long(a, type, &m->existing_rows);
		case 514:
			return lh_ice_avro_long(a, type, &m->deleted_rows);
		case 507:
			return read_summaries(a, type, m);
		case 519:
			return lh_ice_avro_bytes(a, type, &m->key_metadata);
		case 520:
			return lh_ice_avro_long(a, type, &m->first_row_id);
		default:
			return lh_ice_avro_skip(a, type);
	}
}

static LhStatus
read_row(IceAvroIn *a, const IceAvroType *type, LhIceManifest *m)
{
	memset(m, 0, sizeof(*m));
	m->added_files = m->existing_files = m->deleted_files = LH_ICE_NONE;
	m->added_rows = m->existing_rows = m->deleted_rows = LH_ICE_NONE;
	m->first_row_id = LH_ICE_NONE;
	m->added_snapshot_id = LH_ICE_NONE;
	/* v1 lists have no sequence numbers: those of the memset */
	for (int i = 0; i < type->n_fields; i++)
		ICE_TRY(read_row_field(a, type->fields[i].id, type->fields[i].type, m));
	if (m->path == NULL || m->length < 0 || m->sequence_number < 0)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest list has a row without path, length or sequence number");
	return LH_OK;
}

static LhStatus
read_rows(IceAvroFile *file, LhArena *arena, LhIceManifestList *list, LhError *err)
{
	IceAvroIn	a = {.arena = arena, .err = err};
	int64_t		count;

	for (;;)
	{
		ICE_TRY(lh_ice_avro_block(file, &a.in, &count, err));
		if (count == 0)
			return LH_OK;
		for (; count > 0; count--)
		{
			if (list->n_manifests == INT32_MAX)
				return lh_fail(err, LH_ERR_LIMIT, -1, "manifest list has too many rows");
			if (!lh_ice_push(arena, &list->manifests, (size_t) list->n_manifests, sizeof(LhIceManifest)))
				return ice_nomem(err);
			ICE_TRY(read_row(&a, file->type, &list->manifests[list->n_manifests]));
			list->n_manifests++;
		}
		if (lh_reader_left(&a.in) > 0)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest list has a block with bytes after its last row");
	}
}

static LhStatus
read_list(IceAvroFile *file, LhArena *arena, LhIceManifestList *list, LhError *err)
{
	int64_t		version = LH_ICE_NONE;

	ICE_TRY(lh_ice_avro_meta_long(file, "format-version", &version, err));
	if (version > 3)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "manifest list has format version %lld", (long long) version);
	list->format_version = version < 1 ? LH_ICE_NONE : (int) version;
	ICE_TRY(lh_ice_avro_meta_long(file, "snapshot-id", &list->snapshot_id, err));
	ICE_TRY(lh_ice_avro_meta_long(file, "parent-snapshot-id", &list->parent_snapshot_id, err));
	ICE_TRY(lh_ice_avro_meta_long(file, "sequence-number", &list->sequence_number, err));
	return read_rows(file, arena, list, err);
}

LhStatus
lh_ice_manifest_list_read(const uint8_t *data, size_t len, LhArena *arena, LhIceManifestList *list, LhError *err)
{
	IceAvroFile file;
	LhStatus	status;

	memset(list, 0, sizeof(*list));
	list->snapshot_id = list->parent_snapshot_id = list->sequence_number = LH_ICE_NONE;
	ICE_TRY(lh_ice_avro_open(&file, data, len, arena->alloc, err));
	status = read_list(&file, arena, list, err);
	lh_ice_avro_close(&file);
	return status;
}
