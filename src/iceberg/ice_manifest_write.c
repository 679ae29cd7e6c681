/*
 * ice_manifest_write.c
 *	  Manifests, written: entries streamed into one Avro file, and the row
 *	  that the manifest list will hold about it.
 *
 * Writes format version 2 and unpartitioned files.  Record names and the
 * order of fields are Java's: older readers insist on them.  Spec:
 * "Manifests".
 */
#include "iceberg/ice_avro_int.h"

#include <stdio.h>
#include <string.h>

struct LhIceManifestWriter
{
	const LhAlloc *alloc;
	LhIceManifestContent content;
	size_t		start;			/* length of the buffer before us */
	IceAvroOut	avro;
	LhIceManifest row;
};

/* ---- the Avro schema ---- */

/* Avro has string keys only: maps by field id are arrays of pairs that say they are maps. */
#define MAP_BY_ID(key_id, value_id, type) \
	"{\"type\":\"array\",\"logicalType\":\"map\",\"items\":{\"type\":\"record\"," \
	"\"name\":\"k" #key_id "_v" #value_id "\",\"fields\":[" \
	"{\"name\":\"key\",\"type\":\"int\",\"field-id\":" #key_id "}," \
	"{\"name\":\"value\",\"type\":\"" type "\",\"field-id\":" #value_id "}]}}"
#define ARRAY_OF(element_id, type) \
	"{\"type\":\"array\",\"items\":\"" type "\",\"element-id\":" #element_id "}"
#define NO_PARTITION "{\"type\":\"record\",\"name\":\"r102\",\"fields\":[]}"

static const IceAvroDef data_file_defs[] = {
	{134, "content", "\"int\"", false},
	{100, "file_path", "\"string\"", false},
	{101, "file_format", "\"string\"", false},
	{102, "partition", NO_PARTITION, false},
	{103, "record_count", "\"long\"", false},
	{104, "file_size_in_bytes", "\"long\"", false},
	{108, "column_sizes", MAP_BY_ID(117, 118, "long"), true},
	{109, "value_counts", MAP_BY_ID(119, 120, "long"), true},
	{110, "null_value_counts", MAP_BY_ID(121, 122, "long"), true},
	{137, "nan_value_counts", MAP_BY_ID(138, 139, "long"), true},
	{125, "lower_bounds", MAP_BY_ID(126, 127, "bytes"), true},
	{128, "upper_bounds", MAP_BY_ID(129, 130, "bytes"), true},
	{131, "key_metadata", "\"bytes\"", true},
	{132, "split_offsets", ARRAY_OF(133, "long"), true},
	{135, "equality_ids", ARRAY_OF(136, "int"), true},
	{140, "sort_order_id", "\"int\"", true},
	{143, "referenced_data_file", "\"string\"", true},
};

#define N_DEFS(defs) ((int) (sizeof(defs) / sizeof((defs)[0])))

static LhStatus
schema_text(LhBuf *text, LhError *err)
{
	LhBuf		file;
	IceJsonOut	o;

	lh_buf_init(&file, text->alloc);
	lh_ice_json_begin(&o, &file);
	lh_ice_avro_def_to_out(&o, "r2", data_file_defs, N_DEFS(data_file_defs));
	lh_buf_u8(&file, '\0');
	if (!file.failed)
	{
		IceAvroDef	entry_defs[] = {
			{0, "status", "\"int\"", false},
			{1, "snapshot_id", "\"long\"", true},
			{3, "sequence_number", "\"long\"", true},
			{4, "file_sequence_number", "\"long\"", true},
			{2, "data_file", (const char *) file.data, false},
		};

		lh_ice_json_begin(&o, text);
		lh_ice_avro_def_to_out(&o, "manifest_entry", entry_defs, N_DEFS(entry_defs));
		lh_buf_u8(text, '\0');
	}
	text->failed |= file.failed;
	lh_buf_free(&file);
	return ice_buf_status(text, err);
}

/* ---- header ---- */

static LhStatus
write_header(LhIceManifestWriter *w, const LhIceManifestOptions *options, LhBuf *out,
			 LhBuf *avro_schema, LhBuf *table_schema, LhError *err)
{
	char		schema_id[16];
	LhIceKeyValue meta[] = {
		{"schema", NULL},
		{"schema-id", schema_id},
		{"partition-spec", "[]"},
		{"partition-spec-id", "0"},
		{"format-version", "2"},
		{"content", options->content == LH_ICE_MANIFEST_DELETES ? "deletes" : "data"},
	};

	snprintf(schema_id, sizeof(schema_id), "%d", options->schema->schema_id);
	ICE_TRY(schema_text(avro_schema, err));
	ICE_TRY(lh_ice_schema_to_json(options->schema, table_schema, err));
	lh_buf_u8(table_schema, '\0');
	ICE_TRY(ice_buf_status(table_schema, err));
	meta[0].value = (const char *) table_schema->data;
	return lh_ice_avro_begin(&w->avro, w->alloc, out, (const char *) avro_schema->data,
							 meta, N_DEFS(meta),
							 (uint64_t) options->snapshot_id + (uint64_t) options->content, err);
}

LhStatus
lh_ice_manifest_begin(const LhIceManifestOptions *options, const LhAlloc *alloc, LhBuf *out,
					  LhIceManifestWriter **writer, LhError *err)
{
	LhIceManifestWriter *w;
	LhBuf		avro_schema;
	LhBuf		table_schema;
	LhStatus	status;

	*writer = NULL;
	if (options->format_version != 2)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "manifests of format version %d are not written",
					   options->format_version);
	if (options->spec != NULL && (options->spec->n_fields > 0 || options->spec->spec_id != 0))
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "manifests of partitioned tables are not written");
	w = lh_alloc_zero(alloc, sizeof(*w));
	if (w == NULL)
		return ice_nomem(err);
	w->alloc = alloc;
	w->content = options->content;
	w->start = out->len;
	w->row.content = options->content;
	w->row.sequence_number = LH_ICE_NONE;
	w->row.min_sequence_number = LH_ICE_NONE;
	w->row.added_snapshot_id = options->snapshot_id;
	w->row.first_row_id = LH_ICE_NONE;

	lh_buf_init(&avro_schema, alloc);
	lh_buf_init(&table_schema, alloc);
	status = write_header(w, options, out, &avro_schema, &table_schema, err);
	lh_buf_free(&avro_schema);
	lh_buf_free(&table_schema);
	if (status != LH_OK)
	{
		lh_free(alloc, w);
		return status;
	}
	*writer = w;
	return LH_OK;
}

/* ---- entries ---- */

static LhStatus
check_entry(const LhIceManifestWriter *w, const LhIceEntry *e, LhError *err)
{
	const LhIceDataFile *f = &e->file;

	if ((w->content == LH_ICE_MANIFEST_DATA) != (f->content == LH_ICE_FILE_DATA))
		return lh_fail(err, LH_ERR_INVALID, -1, "data and delete files do not share a manifest");
	if (f->path == NULL || f->path[0] == '\0' || !lh_ice_utf8_valid(f->path, strlen(f->path)))
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest entry has no valid path");
	if (f->record_count < 1 || f->file_size < 1)
		return lh_fail(err, LH_ERR_INVALID, -1, "manifest entry for an empty file");
	if (f->n_partition > 0)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "manifests of partitioned tables are not written");
	if (e->status != LH_ICE_ADDED &&
		(e->snapshot_id == LH_ICE_NONE || e->sequence_number < 0 || e->file_sequence_number < 0))
		return lh_fail(err, LH_ERR_INVALID, -1, "an existing or deleted manifest entry needs its sequence numbers");
	if (f->content == LH_ICE_FILE_EQUALITY_DELETES && f->n_equality_ids == 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "an equality delete file needs its field ids");
	for (int i = 1; i < f->n_columns; i++)
	{
		if (f->columns[i].field_id <= f->columns[i - 1].field_id)
			return lh_fail(err, LH_ERR_INVALID, -1, "column statistics are not in the order of field ids");
	}
	for (int i = 1; i < f->n_split_offsets; i++)
	{
		if (f->split_offsets[i] <= f->split_offsets[i - 1])
			return lh_fail(err, LH_ERR_INVALID, -1, "split offsets do not ascend");
	}
	return LH_OK;
}

typedef enum Metric
{
	COLUMN_SIZES,
	VALUE_COUNTS,
	NULL_COUNTS,
	NAN_COUNTS,
	LOWER_BOUNDS,
	UPPER_BOUNDS,
	N_METRICS
} Metric;

static int64_t
metric_count(const LhIceColumnStats *c, Metric metric)
{
	switch (metric)
	{
		case COLUMN_SIZES:
			return c->column_size;
		case VALUE_COUNTS:
			return c->value_count;
		case NULL_COUNTS:
			return c->null_count;
		default:
			return c->nan_count;
	}
}

static bool
has_metric(const LhIceColumnStats *c, Metric metric)
{
	switch (metric)
	{
		case LOWER_BOUNDS:
			return c->lower.data != NULL;
		case UPPER_BOUNDS:
			return c->upper.data != NULL;
		default:
			return metric_count(c, metric) >= 0;
	}
}

static void
put_metric(LhBuf *b, const LhIceDataFile *f, Metric metric)
{
	int			n = 0;

	for (int i = 0; i < f->n_columns; i++)
		n += has_metric(&f->columns[i], metric);
	if (!lh_ice_avro_put_branch(b, n > 0))
		return;
	lh_ice_avro_put_long(b, n);
	for (int i = 0; i < f->n_columns; i++)
	{
		const LhIceColumnStats *c = &f->columns[i];

		if (!has_metric(c, metric))
			continue;
		lh_ice_avro_put_long(b, c->field_id);
		if (metric == LOWER_BOUNDS)
			lh_ice_avro_put_bytes(b, c->lower.data, (size_t) c->lower.len);
		else if (metric == UPPER_BOUNDS)
			lh_ice_avro_put_bytes(b, c->upper.data, (size_t) c->upper.len);
		else
			lh_ice_avro_put_long(b, metric_count(c, metric));
	}
	lh_ice_avro_put_long(b, 0);
}

/* In the order of data_file_defs. */
static void
put_data_file(LhBuf *b, const LhIceDataFile *f)
{
	lh_ice_avro_put_long(b, f->content);
	lh_ice_avro_put_string(b, f->path);
	lh_ice_avro_put_string(b, f->format != NULL ? f->format : "PARQUET");
	/* the partition is an empty record: no bytes */
	lh_ice_avro_put_long(b, f->record_count);
	lh_ice_avro_put_long(b, f->file_size);
	for (int metric = 0; metric < N_METRICS; metric++)
		put_metric(b, f, (Metric) metric);
	if (lh_ice_avro_put_branch(b, f->key_metadata.data != NULL))
		lh_ice_avro_put_bytes(b, f->key_metadata.data, (size_t) f->key_metadata.len);
	if (lh_ice_avro_put_branch(b, f->n_split_offsets > 0))
	{
		lh_ice_avro_put_long(b, f->n_split_offsets);
		for (int i = 0; i < f->n_split_offsets; i++)
			lh_ice_avro_put_long(b, f->split_offsets[i]);
		lh_ice_avro_put_long(b, 0);
	}
	if (lh_ice_avro_put_branch(b, f->n_equality_ids > 0))
	{
		lh_ice_avro_put_long(b, f->n_equality_ids);
		for (int i = 0; i < f->n_equality_ids; i++)
			lh_ice_avro_put_long(b, f->equality_ids[i]);
		lh_ice_avro_put_long(b, 0);
	}
	lh_ice_avro_put_opt_long(b, f->sort_order_id);
	if (lh_ice_avro_put_branch(b, f->referenced_data_file != NULL))
		lh_ice_avro_put_string(b, f->referenced_data_file);
}

static void
count_entry(LhIceManifestWriter *w, const LhIceEntry *e)
{
	LhIceManifest *row = &w->row;

	switch (e->status)
	{
		case LH_ICE_ADDED:
			row->added_files++;
			row->added_rows += e->file.record_count;
			break;
		case LH_ICE_EXISTING:
			row->existing_files++;
			row->existing_rows += e->file.record_count;
			break;
		case LH_ICE_DELETED:
			row->deleted_files++;
			row->deleted_rows += e->file.record_count;
			return;
	}
	/* explicit numbers are older than the one being assigned */
	if (e->sequence_number != LH_ICE_NONE &&
		(row->min_sequence_number == LH_ICE_NONE || e->sequence_number < row->min_sequence_number))
		row->min_sequence_number = e->sequence_number;
}

LhStatus
lh_ice_manifest_add(LhIceManifestWriter *w, const LhIceEntry *e, LhError *err)
{
	LhBuf	   *b = &w->avro.block;

	ICE_TRY(check_entry(w, e, err));
	lh_ice_avro_put_long(b, e->status);
	lh_ice_avro_put_opt_long(b, e->snapshot_id != LH_ICE_NONE ? e->snapshot_id : w->row.added_snapshot_id);
	lh_ice_avro_put_opt_long(b, e->sequence_number);
	lh_ice_avro_put_opt_long(b, e->file_sequence_number);
	put_data_file(b, &e->file);
	count_entry(w, e);
	return lh_ice_avro_end_object(&w->avro, err);
}

LhStatus
lh_ice_manifest_end(LhIceManifestWriter *w, LhIceManifest *row, LhError *err)
{
	LhStatus	status = lh_ice_avro_finish(&w->avro, err);

	if (status == LH_OK && w->row.added_files + w->row.existing_files + w->row.deleted_files == 0)
		status = lh_fail(err, LH_ERR_INVALID, -1, "a manifest must have an entry");
	*row = w->row;
	row->length = (int64_t) (w->avro.out->len - w->start);
	lh_free(w->alloc, w);
	return status;
}

void
lh_ice_manifest_abandon(LhIceManifestWriter *w)
{
	if (w == NULL)
		return;
	lh_ice_avro_discard(&w->avro);
	lh_free(w->alloc, w);
}

LhStatus
lh_ice_manifest_write(const LhIceManifestOptions *options, const LhIceEntry *entries, int n_entries,
					  const LhAlloc *alloc, LhBuf *out, LhIceManifest *row, LhError *err)
{
	LhIceManifestWriter *w;

	ICE_TRY(lh_ice_manifest_begin(options, alloc, out, &w, err));
	for (int i = 0; i < n_entries; i++)
	{
		LhStatus	status = lh_ice_manifest_add(w, &entries[i], err);

		if (status != LH_OK)
		{
			lh_ice_manifest_abandon(w);
			return status;
		}
	}
	return lh_ice_manifest_end(w, row, err);
}
