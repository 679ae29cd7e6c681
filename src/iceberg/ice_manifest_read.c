/*
 * ice_manifest_read.c
 *	  Manifests, read: one entry at a time, whoever wrote them.
 *
 * Fields are found by field id, never by name or position: names and order
 * differ between writers and versions.  What an entry leaves null is taken
 * from the manifest's row in the list (spec: "Sequence Number Inheritance",
 * "First Row ID Inheritance").
 */
#include "iceberg/ice_avro_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct LhIceManifestReader
{
	const LhAlloc *alloc;
	IceAvroFile avro;
	LhIceManifestInfo info;
	bool		has_row;
	int64_t		row_snapshot_id;
	int64_t		row_sequence;
	int64_t		next_first_row_id;	/* v3, running; LH_ICE_NONE: not assigned */
	LhReader	objects;		/* the current block */
	int64_t		left;			/* entries of it still to come */
};

/* ---- opening ---- */

static LhStatus
read_info(LhIceManifestReader *r, const LhIceManifest *row, LhError *err)
{
	const IceAvroFile *avro = &r->avro;
	const char *content = lh_ice_avro_meta(avro, "content");
	int64_t		version = 1;
	int64_t		spec_id = row != NULL ? row->spec_id : 0;

	ICE_TRY(lh_ice_avro_meta_long(avro, "format-version", &version, err));
	ICE_TRY(lh_ice_avro_meta_long(avro, "partition-spec-id", &spec_id, err));
	if (version < 1 || version > 3)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "manifest has format version %lld", (long long) version);
	if (spec_id < 0 || spec_id > INT32_MAX)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest has an invalid partition spec id");
	r->info.format_version = (int) version;
	r->info.spec_id = (int) spec_id;
	r->info.content = content != NULL && strcmp(content, "deletes") == 0 ?
		LH_ICE_MANIFEST_DELETES : LH_ICE_MANIFEST_DATA;
	r->info.schema_json = lh_ice_avro_meta(avro, "schema");
	r->info.spec_json = lh_ice_avro_meta(avro, "partition-spec");
	if (row != NULL && row->content != r->info.content)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest holds other content than its list says");
	return LH_OK;
}

LhStatus
lh_ice_manifest_open(const uint8_t *data, size_t len, const LhIceManifest *row, const LhAlloc *alloc,
					 LhIceManifestReader **reader, LhError *err)
{
	LhIceManifestReader *r = lh_alloc_zero(alloc, sizeof(*r));
	LhStatus	status;

	*reader = NULL;
	if (r == NULL)
		return ice_nomem(err);
	r->alloc = alloc;
	r->next_first_row_id = LH_ICE_NONE;
	if (row != NULL)
	{
		r->has_row = true;
		r->row_snapshot_id = row->added_snapshot_id;
		r->row_sequence = row->sequence_number;
		if (row->content == LH_ICE_MANIFEST_DATA)
			r->next_first_row_id = row->first_row_id;
	}
	status = lh_ice_avro_open(&r->avro, data, len, alloc, err);
	if (status != LH_OK)
	{
		lh_free(alloc, r);
		return status;
	}
	status = read_info(r, row, err);
	if (status != LH_OK)
	{
		lh_ice_manifest_close(r);
		return status;
	}
	*reader = r;
	return LH_OK;
}

const LhIceManifestInfo *
lh_ice_manifest_info(const LhIceManifestReader *r)
{
	return &r->info;
}

void
lh_ice_manifest_close(LhIceManifestReader *r)
{
	if (r == NULL)
		return;
	lh_ice_avro_close(&r->avro);
	lh_free(r->alloc, r);
}

/* ---- column statistics ---- */

/*
 * The six maps of a file become one array.  Writers give each map in the
 * same, ascending order, so `cursor` finds nearly every column where it
 * stands.  What it does not find is appended and merged at the end.
 */
typedef struct Columns
{
	LhIceColumnStats *items;
	int			n;
	int			cursor;
	bool		unsorted;
} Columns;

static LhStatus
find_column(IceAvroIn *a, Columns *c, int field_id, LhIceColumnStats **found)
{
	LhIceColumnStats *column;

	while (c->cursor < c->n && c->items[c->cursor].field_id < field_id)
		c->cursor++;
	if (c->cursor < c->n && c->items[c->cursor].field_id == field_id)
	{
		*found = &c->items[c->cursor];
		return LH_OK;
	}
	if (!lh_ice_push(a->arena, &c->items, (size_t) c->n, sizeof(*c->items)))
		return ice_nomem(a->err);
	if (c->n > 0 && c->items[c->n - 1].field_id >= field_id)
		c->unsorted = true;
	column = &c->items[c->n++];
	memset(column, 0, sizeof(*column));
	column->field_id = field_id;
	column->column_size = column->value_count = LH_ICE_NONE;
	column->null_count = column->nan_count = LH_ICE_NONE;
	*found = column;
	return LH_OK;
}

static int
compare_columns(const void *a, const void *b)
{
	int			x = ((const LhIceColumnStats *) a)->field_id;
	int			y = ((const LhIceColumnStats *) b)->field_id;

	return (x > y) - (x < y);
}

static void
merge_column(LhIceColumnStats *into, const LhIceColumnStats *from)
{
	if (from->column_size >= 0)
		into->column_size = from->column_size;
	if (from->value_count >= 0)
		into->value_count = from->value_count;
	if (from->null_count >= 0)
		into->null_count = from->null_count;
	if (from->nan_count >= 0)
		into->nan_count = from->nan_count;
	if (from->lower.data != NULL)
		into->lower = from->lower;
	if (from->upper.data != NULL)
		into->upper = from->upper;
}

static void
finish_columns(Columns *c, LhIceDataFile *file)
{
	int			n = 0;

	if (c->unsorted)
	{
		qsort(c->items, (size_t) c->n, sizeof(*c->items), compare_columns);
		for (int i = 0; i < c->n; i++)
		{
			if (n > 0 && c->items[n - 1].field_id == c->items[i].field_id)
				merge_column(&c->items[n - 1], &c->items[i]);
			else
				c->items[n++] = c->items[i];
		}
		c->n = n;
	}
	file->columns = c->items;
	file->n_columns = c->n;
}

/* One map, by the field id of the map. */
static LhStatus
read_metric(IceAvroIn *a, const IceAvroType *type, int map_id, Columns *c)
{
	IceAvroArray array;
	bool		is_null;

	c->cursor = 0;
	ICE_TRY(lh_ice_avro_array(a, type, &array, &is_null));
	if (is_null)
		return LH_OK;
	if (array.item->kind != ICE_AVRO_RECORD || array.item->n_fields != 2)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest has a malformed statistics map");
	for (;;)
	{
		const IceAvroType *value = array.item->fields[1].type;
		LhIceColumnStats *column = NULL;
		int			field_id = 0;
		bool		more;

		ICE_TRY(lh_ice_avro_array_next(a, &array, &more));
		if (!more)
			return LH_OK;
		ICE_TRY(lh_ice_avro_int(a, array.item->fields[0].type, &field_id));
		ICE_TRY(find_column(a, c, field_id, &column));
		switch (map_id)
		{
			case 108:
				ICE_TRY(lh_ice_avro_long(a, value, &column->column_size));
				break;
			case 109:
				ICE_TRY(lh_ice_avro_long(a, value, &column->value_count));
				break;
			case 110:
				ICE_TRY(lh_ice_avro_long(a, value, &column->null_count));
				break;
			case 137:
				ICE_TRY(lh_ice_avro_long(a, value, &column->nan_count));
				break;
			case 125:
				ICE_TRY(lh_ice_avro_bytes(a, value, &column->lower));
				break;
			default:
				ICE_TRY(lh_ice_avro_bytes(a, value, &column->upper));
				break;
		}
	}
}

/* ---- the rest of a data file ---- */

static LhStatus
read_split_offsets(IceAvroIn *a, const IceAvroType *type, LhIceDataFile *file)
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
		if (!lh_ice_push(a->arena, &file->split_offsets, (size_t) file->n_split_offsets, sizeof(int64_t)))
			return ice_nomem(a->err);
		ICE_TRY(lh_ice_avro_long(a, array.item, &file->split_offsets[file->n_split_offsets]));
		file->n_split_offsets++;
	}
}

static LhStatus
read_equality_ids(IceAvroIn *a, const IceAvroType *type, LhIceDataFile *file)
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
		if (!lh_ice_push(a->arena, &file->equality_ids, (size_t) file->n_equality_ids, sizeof(int)))
			return ice_nomem(a->err);
		ICE_TRY(lh_ice_avro_int(a, array.item, &file->equality_ids[file->n_equality_ids]));
		file->n_equality_ids++;
	}
}

static LhStatus
read_partition(IceAvroIn *a, const IceAvroType *type, LhIceDataFile *file)
{
	if (type->kind != ICE_AVRO_RECORD)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest has a malformed partition");
	file->partition = lh_ice_array(a->arena, (size_t) type->n_fields, sizeof(LhIcePartitionValue));
	if (file->partition == NULL)
		return ice_nomem(a->err);
	for (int i = 0; i < type->n_fields; i++)
	{
		file->partition[i].field_id = type->fields[i].id;
		ICE_TRY(lh_ice_avro_single_value(a, type->fields[i].type, &file->partition[i].value));
	}
	file->n_partition = type->n_fields;
	return LH_OK;
}

static LhStatus
read_file_field(IceAvroIn *a, int id, const IceAvroType *type, LhIceDataFile *file, Columns *columns)
{
	int			content = LH_ICE_FILE_DATA;

	switch (id)
	{
		case 134:
			ICE_TRY(lh_ice_avro_int(a, type, &content));
			if (content < LH_ICE_FILE_DATA || content > LH_ICE_FILE_EQUALITY_DELETES)
				return lh_fail(a->err, LH_ERR_UNSUPPORTED, -1, "manifest entry has unknown content %d", content);
			file->content = (LhIceFileContent) content;
			return LH_OK;
		case 100:
			return lh_ice_avro_string(a, type, &file->path);
		case 101:
			return lh_ice_avro_string(a, type, &file->format);
		case 102:
			return read_partition(a, type, file);
		case 103:
			return lh_ice_avro_long(a, type, &file->record_count);
		case 104:
			return lh_ice_avro_long(a, type, &file->file_size);
		case 108:
		case 109:
		case 110:
		case 137:
		case 125:
		case 128:
			return read_metric(a, type, id, columns);
		case 131:
			return lh_ice_avro_bytes(a, type, &file->key_metadata);
		case 132:
			return read_split_offsets(a, type, file);
		case 135:
			return read_equality_ids(a, type, file);
		case 140:
			return lh_ice_avro_int(a, type, &file->sort_order_id);
		case 142:
			return lh_ice_avro_long(a, type, &file->first_row_id);
		case 143:
			return lh_ice_avro_string(a, type, &file->referenced_data_file);
		case 144:
			return lh_ice_avro_long(a, type, &file->content_offset);
		case 145:
			return lh_ice_avro_long(a, type, &file->content_size);
		default:
			return lh_ice_avro_skip(a, type);
	}
}

void
lh_ice_data_file_init(LhIceDataFile *file)
{
	memset(file, 0, sizeof(*file));
	file->record_count = file->file_size = LH_ICE_NONE;
	file->sort_order_id = LH_ICE_NONE;
	file->first_row_id = LH_ICE_NONE;
	file->content_offset = file->content_size = LH_ICE_NONE;
}

/* Readers skip what a wrong list of offsets would make them read: it is only a hint. */
static void
drop_bad_offsets(LhIceDataFile *file)
{
	for (int i = 0; i < file->n_split_offsets; i++)
	{
		int64_t		offset = file->split_offsets[i];

		if (offset < 0 || offset >= file->file_size || (i > 0 && offset <= file->split_offsets[i - 1]))
		{
			file->n_split_offsets = 0;
			return;
		}
	}
}

static LhStatus
read_data_file(IceAvroIn *a, const IceAvroType *type, LhIceDataFile *file)
{
	Columns		columns = {0};

	if (type->kind != ICE_AVRO_RECORD)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest has a malformed data file");
	for (int i = 0; i < type->n_fields; i++)
		ICE_TRY(read_file_field(a, type->fields[i].id, type->fields[i].type, file, &columns));
	finish_columns(&columns, file);

	if (file->path == NULL || file->format == NULL || file->record_count < 0 || file->file_size < 0)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest entry lacks path, format, row count or size");
	for (char *p = (char *) file->format; *p != '\0'; p++)	/* ours: in the arena */
		*p = (char) toupper((unsigned char) *p);
	drop_bad_offsets(file);
	return LH_OK;
}

/* ---- entries ---- */

static LhStatus
inherit(LhIceManifestReader *r, LhIceEntry *e, LhError *err)
{
	bool		inherits = e->status == LH_ICE_ADDED || r->row_sequence == 0;

	if (!r->has_row)
		return LH_OK;
	if (e->snapshot_id == LH_ICE_NONE)
		e->snapshot_id = r->row_snapshot_id;
	if (e->sequence_number == LH_ICE_NONE && inherits)
		e->sequence_number = r->row_sequence;
	if (e->file_sequence_number == LH_ICE_NONE && inherits)
		e->file_sequence_number = r->row_sequence;
	if (e->sequence_number < 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest entry for \"%.150s\" lacks its sequence number",
					   e->file.path);
	if (r->next_first_row_id != LH_ICE_NONE && e->status != LH_ICE_DELETED &&
		e->file.first_row_id == LH_ICE_NONE)
	{
		e->file.first_row_id = r->next_first_row_id;
		if (__builtin_add_overflow(r->next_first_row_id, e->file.record_count, &r->next_first_row_id))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest has more rows than there are row ids");
	}
	return LH_OK;
}

static LhStatus
read_entry(IceAvroIn *a, const IceAvroType *type, LhIceEntry *e)
{
	int			status = LH_ICE_NONE;

	e->snapshot_id = e->sequence_number = e->file_sequence_number = LH_ICE_NONE;
	lh_ice_data_file_init(&e->file);
	for (int i = 0; i < type->n_fields; i++)
	{
		const IceAvroField *field = &type->fields[i];

		switch (field->id)
		{
			case 0:
				ICE_TRY(lh_ice_avro_int(a, field->type, &status));
				break;
			case 1:
				ICE_TRY(lh_ice_avro_long(a, field->type, &e->snapshot_id));
				break;
			case 3:
				ICE_TRY(lh_ice_avro_long(a, field->type, &e->sequence_number));
				break;
			case 4:
				ICE_TRY(lh_ice_avro_long(a, field->type, &e->file_sequence_number));
				break;
			case 2:
				ICE_TRY(read_data_file(a, field->type, &e->file));
				break;
			default:
				ICE_TRY(lh_ice_avro_skip(a, field->type));
		}
	}
	if (status < LH_ICE_EXISTING || status > LH_ICE_DELETED)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest entry has no valid status");
	if (e->file.path == NULL)
		return lh_fail(a->err, LH_ERR_CORRUPT, -1, "manifest entry has no data file");
	e->status = (LhIceStatus) status;
	return LH_OK;
}

LhStatus
lh_ice_manifest_next(LhIceManifestReader *r, LhArena *arena, LhIceEntry *e, bool *found, LhError *err)
{
	IceAvroIn	a = {.arena = arena, .err = err};

	*found = false;
	if (r->left == 0)
	{
		ICE_TRY(lh_ice_avro_block(&r->avro, &r->objects, &r->left, err));
		if (r->left == 0)
			return LH_OK;
	}
	if (r->alloc->tick != NULL && r->alloc->tick(r->alloc->ctx))
		return lh_fail(err, LH_ERR_CANCELLED, -1, "cancelled");
	a.in = r->objects;
	ICE_TRY(read_entry(&a, r->avro.type, e));
	r->objects = a.in;
	if (--r->left == 0 && lh_reader_left(&r->objects) > 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest has a block with bytes after its last entry");
	if ((r->info.content == LH_ICE_MANIFEST_DATA) != (e->file.content == LH_ICE_FILE_DATA))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "manifest entry has other content than its manifest");
	ICE_TRY(inherit(r, e, err));
	*found = true;
	return LH_OK;
}

static LhStatus
read_all(LhIceManifestReader *r, LhArena *arena, LhIceEntry **entries, int *n_entries, LhError *err)
{
	for (;;)
	{
		LhIceEntry	entry;
		bool		found;

		ICE_TRY(lh_ice_manifest_next(r, arena, &entry, &found, err));
		if (!found)
			return LH_OK;
		if (*n_entries == INT32_MAX)
			return lh_fail(err, LH_ERR_LIMIT, -1, "manifest has too many entries");
		if (!lh_ice_push(arena, entries, (size_t) *n_entries, sizeof(LhIceEntry)))
			return ice_nomem(err);
		(*entries)[(*n_entries)++] = entry;
	}
}

LhStatus
lh_ice_manifest_read(const uint8_t *data, size_t len, const LhIceManifest *row, LhArena *arena,
					 LhIceEntry **entries, int *n_entries, LhError *err)
{
	LhIceManifestReader *r;
	LhStatus	status;

	*entries = NULL;
	*n_entries = 0;
	ICE_TRY(lh_ice_manifest_open(data, len, row, arena->alloc, &r, err));
	status = read_all(r, arena, entries, n_entries, err);
	lh_ice_manifest_close(r);
	return status;
}
