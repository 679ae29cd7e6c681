/*
 * ice_schema.c
 *	  Schemas as trees: comparing, finding, checking, copying.
 *
 * Knows no JSON (ice_schema_json.c) and no Parquet.  Spec: "Schemas and Data
 * Types".
 */
#include "iceberg/ice_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- equality ---- */

static bool
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool same_fields(const LhIceField *a, const LhIceField *b, int n);

static bool
same_type(const LhIceType *a, const LhIceType *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind)
	{
		case LH_ICE_DECIMAL:
			return a->precision == b->precision && a->scale == b->scale;
		case LH_ICE_FIXED:
			return a->length == b->length;
		case LH_ICE_OTHER:
			return same_text(a->text, b->text);
		case LH_ICE_STRUCT:
		case LH_ICE_LIST:
		case LH_ICE_MAP:
			return a->n_fields == b->n_fields && same_fields(a->fields, b->fields, a->n_fields);
		default:
			return true;
	}
}

static bool
same_fields(const LhIceField *a, const LhIceField *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (a[i].id != b[i].id || a[i].required != b[i].required ||
			!same_text(a[i].name, b[i].name) || !same_text(a[i].doc, b[i].doc) ||
			!same_text(a[i].initial_default, b[i].initial_default) ||
			!same_text(a[i].write_default, b[i].write_default) ||
			!same_type(a[i].type, b[i].type))
			return false;
	}
	return true;
}

static bool
has_id(const int *ids, int n, int id)
{
	for (int i = 0; i < n; i++)
	{
		if (ids[i] == id)
			return true;
	}
	return false;
}

bool
lh_ice_schema_equal(const LhIceSchema *a, const LhIceSchema *b)
{
	if (a->n_fields != b->n_fields || a->n_identifier_ids != b->n_identifier_ids)
		return false;
	for (int i = 0; i < a->n_identifier_ids; i++)
	{
		if (!has_id(b->identifier_ids, b->n_identifier_ids, a->identifier_ids[i]))
			return false;
	}
	return same_fields(a->fields, b->fields, a->n_fields);
}

/* ---- ids ---- */

static int
fields_max_id(const LhIceField *fields, int n)
{
	int			max = 0;

	for (int i = 0; i < n; i++)
	{
		int			nested = fields_max_id(fields[i].type->fields, fields[i].type->n_fields);

		if (fields[i].id > max)
			max = fields[i].id;
		if (nested > max)
			max = nested;
	}
	return max;
}

int
lh_ice_schema_max_id(const LhIceSchema *schema)
{
	return fields_max_id(schema->fields, schema->n_fields);
}

static const LhIceField *
fields_find(const LhIceField *fields, int n, int id)
{
	for (int i = 0; i < n; i++)
	{
		const LhIceField *nested;

		if (fields[i].id == id)
			return &fields[i];
		nested = fields_find(fields[i].type->fields, fields[i].type->n_fields, id);
		if (nested != NULL)
			return nested;
	}
	return NULL;
}

const LhIceField *
lh_ice_schema_find(const LhIceSchema *schema, int id)
{
	return fields_find(schema->fields, schema->n_fields, id);
}

/* ---- names of types ---- */

int
lh_ice_decimal_bytes(int precision)
{
	/* most digits that fit into n bytes, two's complement */
	static const uint8_t digits[] = {0, 2, 4, 6, 9, 11, 14, 16, 18, 21, 23, 26, 28, 31, 33, 35, 38};
	int			n = 1;

	while (n < 16 && digits[n] < precision)
		n++;
	return n;
}

void
lh_ice_type_name(const LhIceType *type, char *buf, size_t size)
{
	static const char *const names[] = {
		[LH_ICE_BOOLEAN] = "boolean",[LH_ICE_INT] = "int",[LH_ICE_LONG] = "long",
		[LH_ICE_FLOAT] = "float",[LH_ICE_DOUBLE] = "double",[LH_ICE_DATE] = "date",
		[LH_ICE_TIME] = "time",[LH_ICE_TIMESTAMP] = "timestamp",
		[LH_ICE_TIMESTAMPTZ] = "timestamptz",[LH_ICE_TIMESTAMP_NS] = "timestamp_ns",
		[LH_ICE_TIMESTAMPTZ_NS] = "timestamptz_ns",[LH_ICE_STRING] = "string",
		[LH_ICE_UUID] = "uuid",[LH_ICE_BINARY] = "binary",[LH_ICE_STRUCT] = "struct",
		[LH_ICE_LIST] = "list",[LH_ICE_MAP] = "map",
	};

	switch (type->kind)
	{
		case LH_ICE_DECIMAL:
			snprintf(buf, size, "decimal(%d, %d)", type->precision, type->scale);
			break;
		case LH_ICE_FIXED:
			snprintf(buf, size, "fixed[%d]", type->length);
			break;
		case LH_ICE_OTHER:
			snprintf(buf, size, "%s", type->text);
			break;
		default:
			snprintf(buf, size, "%s", names[type->kind]);
	}
}

/* ---- checking ---- */

typedef struct IdList
{
	int		   *ids;
	int			n;
	int			cap;
} IdList;

static int
count_fields(const LhIceField *fields, int n, int depth)
{
	int			count = n;

	if (depth < ICE_MAX_DEPTH)
	{
		for (int i = 0; i < n; i++)
			count += count_fields(fields[i].type->fields, fields[i].type->n_fields, depth + 1);
	}
	return count;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp((*(const LhIceField *const *) a)->name, (*(const LhIceField *const *) b)->name);
}

/* Names are unique within their struct. */
static LhStatus
check_names(const LhIceField *fields, int n, LhArena *arena, LhError *err)
{
	const LhIceField **sorted = lh_arena_alloc(arena, (size_t) n * sizeof(*sorted));

	if (sorted == NULL)
		return ice_nomem(err);
	for (int i = 0; i < n; i++)
	{
		if (fields[i].name == NULL || fields[i].name[0] == '\0')
			return lh_fail(err, LH_ERR_CORRUPT, -1, "field %d has no name", fields[i].id);
		sorted[i] = &fields[i];
	}
	if (n > 1)
		qsort(sorted, (size_t) n, sizeof(*sorted), compare_names);
	for (int i = 1; i < n; i++)
	{
		if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "field name \"%.100s\" occurs twice", sorted[i]->name);
	}
	return LH_OK;
}

static LhStatus check_fields(const LhIceField *fields, int n, int depth, IdList *ids,
							 LhArena *arena, LhError *err);

static LhStatus
check_type(const LhIceField *field, int depth, IdList *ids, LhArena *arena, LhError *err)
{
	const LhIceType *type = field->type;

	switch (type->kind)
	{
		case LH_ICE_DECIMAL:
			if (type->precision < 1 || type->precision > 38 ||
				type->scale < 0 || type->scale > type->precision)
				return lh_fail(err, LH_ERR_CORRUPT, -1, "field %d has invalid type decimal(%d, %d)",
							   field->id, type->precision, type->scale);
			return LH_OK;
		case LH_ICE_FIXED:
			if (type->length < 1)
				return lh_fail(err, LH_ERR_CORRUPT, -1, "field %d has invalid type fixed[%d]",
							   field->id, type->length);
			return LH_OK;
		case LH_ICE_STRUCT:
		case LH_ICE_LIST:
		case LH_ICE_MAP:
			if ((type->kind == LH_ICE_LIST && type->n_fields != 1) ||
				(type->kind == LH_ICE_MAP && type->n_fields != 2))
				return lh_fail(err, LH_ERR_CORRUPT, -1, "field %d has a malformed type", field->id);
			if (depth >= ICE_MAX_DEPTH)
				return lh_fail(err, LH_ERR_LIMIT, -1, "schema is nested more than %d levels deep",
							   ICE_MAX_DEPTH);
			return check_fields(type->fields, type->n_fields, depth + 1, ids, arena, err);
		default:
			return LH_OK;
	}
}

static LhStatus
check_fields(const LhIceField *fields, int n, int depth, IdList *ids, LhArena *arena, LhError *err)
{
	ICE_TRY(check_names(fields, n, arena, err));
	for (int i = 0; i < n; i++)
	{
		if (fields[i].id < 1)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "field id %d is not positive", fields[i].id);
		if (ids->n < ids->cap)
			ids->ids[ids->n++] = fields[i].id;
		ICE_TRY(check_type(&fields[i], depth, ids, arena, err));
	}
	return LH_OK;
}

static int
compare_ints(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return (x > y) - (x < y);
}

static LhStatus
check_schema(const LhIceSchema *schema, LhArena *arena, LhError *err)
{
	IdList		ids = {0};

	ids.cap = count_fields(schema->fields, schema->n_fields, 0);
	ids.ids = lh_arena_alloc(arena, (size_t) ids.cap * sizeof(int));
	if (ids.ids == NULL)
		return ice_nomem(err);
	ICE_TRY(check_fields(schema->fields, schema->n_fields, 0, &ids, arena, err));
	if (ids.n > 1)
		qsort(ids.ids, (size_t) ids.n, sizeof(int), compare_ints);
	for (int i = 1; i < ids.n; i++)
	{
		if (ids.ids[i] == ids.ids[i - 1])
			return lh_fail(err, LH_ERR_CORRUPT, -1, "field id %d occurs twice", ids.ids[i]);
	}
	for (int i = 0; i < schema->n_identifier_ids; i++)
	{
		if (bsearch(&schema->identifier_ids[i], ids.ids, (size_t) ids.n, sizeof(int), compare_ints) == NULL)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "identifier field id %d is not in the schema",
						   schema->identifier_ids[i]);
	}
	return LH_OK;
}

LhStatus
lh_ice_schema_check(const LhIceSchema *schema, const LhAlloc *alloc, LhError *err)
{
	LhArena		scratch;
	LhStatus	status;

	lh_arena_init(&scratch, alloc);
	status = check_schema(schema, &scratch, err);
	lh_arena_free(&scratch);
	return status;
}

/* ---- copying ---- */

static LhStatus
copy_fields(const LhIceField *src, int n, int depth, LhArena *arena, LhIceField **dst, LhError *err)
{
	if (depth > ICE_MAX_DEPTH)
		return lh_fail(err, LH_ERR_LIMIT, -1, "schema is nested more than %d levels deep", ICE_MAX_DEPTH);
	*dst = lh_ice_array(arena, (size_t) n, sizeof(LhIceField));
	if (*dst == NULL)
		return ice_nomem(err);
	for (int i = 0; i < n; i++)
	{
		LhIceField *to = &(*dst)[i];

		*to = src[i];
		ICE_TRY(lh_ice_copy_string(arena, src[i].name, &to->name, err));
		ICE_TRY(lh_ice_copy_string(arena, src[i].doc, &to->doc, err));
		ICE_TRY(lh_ice_copy_string(arena, src[i].initial_default, &to->initial_default, err));
		ICE_TRY(lh_ice_copy_string(arena, src[i].write_default, &to->write_default, err));
		to->type = lh_arena_alloc(arena, sizeof(LhIceType));
		if (to->type == NULL)
			return ice_nomem(err);
		*to->type = *src[i].type;
		ICE_TRY(lh_ice_copy_string(arena, src[i].type->text, &to->type->text, err));
		if (to->type->n_fields > 0)
			ICE_TRY(copy_fields(src[i].type->fields, to->type->n_fields, depth + 1, arena,
								&to->type->fields, err));
	}
	return LH_OK;
}

LhStatus
lh_ice_schema_copy(const LhIceSchema *src, LhArena *arena, LhIceSchema *dst, LhError *err)
{
	*dst = *src;
	dst->identifier_ids = lh_ice_array(arena, (size_t) src->n_identifier_ids, sizeof(int));
	if (dst->identifier_ids == NULL)
		return ice_nomem(err);
	for (int i = 0; i < src->n_identifier_ids; i++)
		dst->identifier_ids[i] = src->identifier_ids[i];
	return copy_fields(src->fields, src->n_fields, 0, arena, &dst->fields, err);
}
