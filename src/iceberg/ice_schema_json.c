/*
 * ice_schema_json.c
 *	  Schemas, partition specs and sort orders as the JSON of the spec's
 *	  Appendix C, and the name mapping of "Column Projection".
 */
#include "iceberg/ice_int.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types from JSON ---- */

/* Reads "word(n)" or "word(n, m)" with any blanks; the number of parameters found, or -1. */
static int
type_parameters(const char *text, size_t word_len, char open, char close, int params[2])
{
	const char *p = text + word_len;
	int			n = 0;

	while (isspace((unsigned char) *p))
		p++;
	if (*p++ != open)
		return -1;
	for (;;)
	{
		char	   *end;
		long		v;

		if (n == 2)
			return -1;
		v = strtol(p, &end, 10);
		if (end == p || v < 0 || v > INT32_MAX)
			return -1;
		params[n++] = (int) v;
		p = end;
		while (isspace((unsigned char) *p))
			p++;
		if (*p == ',')
		{
			p++;
			continue;
		}
		if (*p != close || p[1] != '\0')
			return -1;
		return n;
	}
}

static LhStatus
primitive_from_text(const char *text, LhArena *arena, LhIceType *type, LhError *err)
{
	static const struct
	{
		const char *name;
		LhIceKind	kind;
	}			words[] = {
		{"boolean", LH_ICE_BOOLEAN}, {"int", LH_ICE_INT}, {"long", LH_ICE_LONG},
		{"float", LH_ICE_FLOAT}, {"double", LH_ICE_DOUBLE}, {"date", LH_ICE_DATE},
		{"time", LH_ICE_TIME}, {"timestamp", LH_ICE_TIMESTAMP},
		{"timestamptz", LH_ICE_TIMESTAMPTZ}, {"timestamp_ns", LH_ICE_TIMESTAMP_NS},
		{"timestamptz_ns", LH_ICE_TIMESTAMPTZ_NS}, {"string", LH_ICE_STRING},
		{"uuid", LH_ICE_UUID}, {"binary", LH_ICE_BINARY},
	};
	int			params[2];

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
	{
		if (strcmp(text, words[i].name) == 0)
		{
			type->kind = words[i].kind;
			return LH_OK;
		}
	}
	if (strncmp(text, "decimal", 7) == 0)
	{
		if (type_parameters(text, 7, '(', ')', params) != 2)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "invalid type \"%.100s\"", text);
		type->kind = LH_ICE_DECIMAL;
		type->precision = params[0];
		type->scale = params[1];
		return LH_OK;
	}
	if (strncmp(text, "fixed", 5) == 0)
	{
		if (type_parameters(text, 5, '[', ']', params) != 1)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "invalid type \"%.100s\"", text);
		type->kind = LH_ICE_FIXED;
		type->length = params[0];
		return LH_OK;
	}
	type->kind = LH_ICE_OTHER;
	return lh_ice_copy_string(arena, text, &type->text, err);
}

static LhStatus type_from_tree(json_t *tree, int depth, LhArena *arena, LhIceType **result, LhError *err);

static LhStatus
field_from_tree(json_t *tree, int depth, LhArena *arena, LhIceField *field, LhError *err)
{
	json_t	   *type;
	json_t	   *value;

	ICE_TRY(lh_ice_get_int(tree, "id", &field->id, err));
	ICE_TRY(lh_ice_get_string(tree, "name", arena, &field->name, err));
	ICE_TRY(lh_ice_get_bool(tree, "required", &field->required, err));
	ICE_TRY(lh_ice_get_string_opt(tree, "doc", arena, &field->doc, err));
	if ((value = json_object_get(tree, "initial-default")) != NULL)
		ICE_TRY(lh_ice_json_text(value, arena, &field->initial_default, err));
	if ((value = json_object_get(tree, "write-default")) != NULL)
		ICE_TRY(lh_ice_json_text(value, arena, &field->write_default, err));
	type = json_object_get(tree, "type");
	return type_from_tree(type, depth, arena, &field->type, err);
}

static LhStatus
fields_from_tree(json_t *tree, int depth, LhArena *arena, LhIceField **fields, int *n_fields, LhError *err)
{
	json_t	   *list;
	size_t		i;
	json_t	   *item;

	ICE_TRY(lh_ice_get(tree, "fields", JSON_ARRAY, &list, err));
	*fields = lh_ice_array(arena, json_array_size(list), sizeof(LhIceField));
	if (*fields == NULL)
		return ice_nomem(err);
	json_array_foreach(list, i, item)
		ICE_TRY(field_from_tree(item, depth, arena, &(*fields)[i], err));
	*n_fields = (int) json_array_size(list);
	return LH_OK;
}

/* A list's element or a map's key or value, whose parts have prefixed names. */
static LhStatus
part_from_tree(json_t *tree, const char *part, int depth, LhArena *arena, LhIceField *field, LhError *err)
{
	char		key[32];

	field->name = part;
	snprintf(key, sizeof(key), "%s-id", part);
	ICE_TRY(lh_ice_get_int(tree, key, &field->id, err));
	field->required = true;
	if (strcmp(part, "key") != 0)
	{
		snprintf(key, sizeof(key), "%s-required", part);
		ICE_TRY(lh_ice_get_bool(tree, key, &field->required, err));
	}
	return type_from_tree(json_object_get(tree, part), depth, arena, &field->type, err);
}

static LhStatus
nested_from_tree(json_t *tree, int depth, LhArena *arena, LhIceType *type, LhError *err)
{
	json_t	   *word;
	const char *kind;

	ICE_TRY(lh_ice_get(tree, "type", JSON_STRING, &word, err));
	kind = json_string_value(word);
	if (strcmp(kind, "struct") == 0)
	{
		type->kind = LH_ICE_STRUCT;
		return fields_from_tree(tree, depth + 1, arena, &type->fields, &type->n_fields, err);
	}
	type->fields = lh_ice_array(arena, 2, sizeof(LhIceField));
	if (type->fields == NULL)
		return ice_nomem(err);
	if (strcmp(kind, "list") == 0)
	{
		type->kind = LH_ICE_LIST;
		type->n_fields = 1;
		return part_from_tree(tree, "element", depth + 1, arena, &type->fields[0], err);
	}
	if (strcmp(kind, "map") == 0)
	{
		type->kind = LH_ICE_MAP;
		type->n_fields = 2;
		ICE_TRY(part_from_tree(tree, "key", depth + 1, arena, &type->fields[0], err));
		return part_from_tree(tree, "value", depth + 1, arena, &type->fields[1], err);
	}
	return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "unknown nested type \"%.100s\"", kind);
}

static LhStatus
type_from_tree(json_t *tree, int depth, LhArena *arena, LhIceType **result, LhError *err)
{
	if (depth > ICE_MAX_DEPTH)
		return lh_fail(err, LH_ERR_LIMIT, -1, "schema is nested more than %d levels deep", ICE_MAX_DEPTH);
	*result = lh_arena_zero(arena, sizeof(LhIceType));
	if (*result == NULL)
		return ice_nomem(err);
	if (json_is_string(tree))
		return primitive_from_text(json_string_value(tree), arena, *result, err);
	if (json_is_object(tree))
		return nested_from_tree(tree, depth, arena, *result, err);
	return lh_fail(err, LH_ERR_CORRUPT, -1, "a field has no type");
}

LhStatus
lh_ice_schema_from_tree(json_t *tree, LhArena *arena, LhIceSchema *schema, LhError *err)
{
	json_t	   *word;
	json_t	   *ids = NULL;

	memset(schema, 0, sizeof(*schema));
	ICE_TRY(lh_ice_get(tree, "type", JSON_STRING, &word, err));
	if (strcmp(json_string_value(word), "struct") != 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "a schema is not a struct");
	ICE_TRY(lh_ice_get_int_opt(tree, "schema-id", &schema->schema_id, err));
	ICE_TRY(fields_from_tree(tree, 0, arena, &schema->fields, &schema->n_fields, err));
	ICE_TRY(lh_ice_get_opt(tree, "identifier-field-ids", JSON_ARRAY, &ids, err));
	schema->identifier_ids = lh_ice_array(arena, json_array_size(ids), sizeof(int));
	if (schema->identifier_ids == NULL)
		return ice_nomem(err);
	for (size_t i = 0; i < json_array_size(ids); i++)
	{
		json_t	   *id = json_array_get(ids, i);

		if (!json_is_integer(id) || json_integer_value(id) < 1 || json_integer_value(id) > INT32_MAX)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "an identifier field id is not a field id");
		schema->identifier_ids[i] = (int) json_integer_value(id);
	}
	schema->n_identifier_ids = (int) json_array_size(ids);
	return lh_ice_schema_check(schema, arena->alloc, err);
}

LhStatus
lh_ice_schema_from_json(const char *json, size_t len, LhArena *arena, LhIceSchema *schema, LhError *err)
{
	json_t	   *tree;
	LhStatus	status;

	ICE_TRY(lh_ice_json_load(json, len, &tree, err));
	status = lh_ice_schema_from_tree(tree, arena, schema, err);
	json_decref(tree);
	return status;
}

/* ---- schemas to JSON ---- */

static void fields_to_out(IceJsonOut *o, const LhIceField *fields, int n);

static void part_to_out(IceJsonOut *o, const LhIceField *part);

static void
type_to_out(IceJsonOut *o, const LhIceType *type)
{
	char		name[64];

	switch (type->kind)
	{
		case LH_ICE_STRUCT:
		case LH_ICE_LIST:
		case LH_ICE_MAP:
			lh_ice_type_name(type, name, sizeof(name));
			lh_ice_json_open(o, '{');
			lh_ice_json_key_string(o, "type", name);
			if (type->kind == LH_ICE_STRUCT)
				fields_to_out(o, type->fields, type->n_fields);
			else
			{
				for (int i = 0; i < type->n_fields; i++)
					part_to_out(o, &type->fields[i]);
			}
			lh_ice_json_close(o, '}');
			break;
		case LH_ICE_OTHER:
			lh_ice_json_string(o, type->text);
			break;
		default:
			lh_ice_type_name(type, name, sizeof(name));
			lh_ice_json_string(o, name);
	}
}

static void
part_to_out(IceJsonOut *o, const LhIceField *part)
{
	char		key[32];

	snprintf(key, sizeof(key), "%s-id", part->name);
	lh_ice_json_key_int(o, key, part->id);
	lh_ice_json_key(o, part->name);
	type_to_out(o, part->type);
	if (strcmp(part->name, "key") != 0)
	{
		snprintf(key, sizeof(key), "%s-required", part->name);
		lh_ice_json_key(o, key);
		lh_ice_json_bool(o, part->required);
	}
}

static void
fields_to_out(IceJsonOut *o, const LhIceField *fields, int n)
{
	lh_ice_json_key(o, "fields");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < n; i++)
	{
		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "id", fields[i].id);
		lh_ice_json_key_string(o, "name", fields[i].name);
		lh_ice_json_key(o, "required");
		lh_ice_json_bool(o, fields[i].required);
		lh_ice_json_key(o, "type");
		type_to_out(o, fields[i].type);
		if (fields[i].doc != NULL)
			lh_ice_json_key_string(o, "doc", fields[i].doc);
		if (fields[i].initial_default != NULL)
		{
			lh_ice_json_key(o, "initial-default");
			lh_ice_json_raw(o, fields[i].initial_default);
		}
		if (fields[i].write_default != NULL)
		{
			lh_ice_json_key(o, "write-default");
			lh_ice_json_raw(o, fields[i].write_default);
		}
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
}

void
lh_ice_schema_to_out(IceJsonOut *o, const LhIceSchema *schema)
{
	lh_ice_json_open(o, '{');
	lh_ice_json_key_string(o, "type", "struct");
	lh_ice_json_key_int(o, "schema-id", schema->schema_id);
	if (schema->n_identifier_ids > 0)
	{
		lh_ice_json_key(o, "identifier-field-ids");
		lh_ice_json_open(o, '[');
		for (int i = 0; i < schema->n_identifier_ids; i++)
			lh_ice_json_int(o, schema->identifier_ids[i]);
		lh_ice_json_close(o, ']');
	}
	fields_to_out(o, schema->fields, schema->n_fields);
	lh_ice_json_close(o, '}');
}

LhStatus
lh_ice_schema_to_json(const LhIceSchema *schema, LhBuf *out, LhError *err)
{
	IceJsonOut	o;

	lh_ice_json_begin(&o, out);
	lh_ice_schema_to_out(&o, schema);
	return lh_ice_json_end(&o, err);
}

/* ---- name mapping ---- */

static void
mapping_to_out(IceJsonOut *o, const LhIceField *fields, int n)
{
	lh_ice_json_open(o, '[');
	for (int i = 0; i < n; i++)
	{
		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "field-id", fields[i].id);
		lh_ice_json_key(o, "names");
		lh_ice_json_open(o, '[');
		lh_ice_json_string(o, fields[i].name);
		lh_ice_json_close(o, ']');
		if (fields[i].type->n_fields > 0)
		{
			lh_ice_json_key(o, "fields");
			mapping_to_out(o, fields[i].type->fields, fields[i].type->n_fields);
		}
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
}

LhStatus
lh_ice_name_mapping(const LhIceSchema *schema, LhBuf *out, LhError *err)
{
	IceJsonOut	o;

	lh_ice_json_begin(&o, out);
	mapping_to_out(&o, schema->fields, schema->n_fields);
	return lh_ice_json_end(&o, err);
}

/* ---- partition specs ---- */

LhStatus
lh_ice_spec_fields_from_tree(json_t *fields, LhArena *arena, LhIceSpec *spec, LhError *err)
{
	size_t		i;
	json_t	   *item;

	spec->fields = lh_ice_array(arena, json_array_size(fields), sizeof(LhIceSpecField));
	if (spec->fields == NULL)
		return ice_nomem(err);
	json_array_foreach(fields, i, item)
	{
		LhIceSpecField *field = &spec->fields[i];

		/* v1 may leave field ids out: they count from 1000; v3 may list several sources */
		field->field_id = 1000 + (int) i;
		field->source_id = LH_ICE_NONE;
		ICE_TRY(lh_ice_get_int_opt(item, "field-id", &field->field_id, err));
		ICE_TRY(lh_ice_get_int_opt(item, "source-id", &field->source_id, err));
		ICE_TRY(lh_ice_get_string(item, "name", arena, &field->name, err));
		ICE_TRY(lh_ice_get_string(item, "transform", arena, &field->transform, err));
	}
	spec->n_fields = (int) json_array_size(fields);
	return LH_OK;
}

LhStatus
lh_ice_spec_from_tree(json_t *tree, LhArena *arena, LhIceSpec *spec, LhError *err)
{
	json_t	   *fields;

	memset(spec, 0, sizeof(*spec));
	ICE_TRY(lh_ice_get_int(tree, "spec-id", &spec->spec_id, err));
	ICE_TRY(lh_ice_get(tree, "fields", JSON_ARRAY, &fields, err));
	return lh_ice_spec_fields_from_tree(fields, arena, spec, err);
}

void
lh_ice_spec_fields_to_out(IceJsonOut *o, const LhIceSpec *spec)
{
	lh_ice_json_open(o, '[');
	for (int i = 0; i < spec->n_fields; i++)
	{
		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "source-id", spec->fields[i].source_id);
		lh_ice_json_key_int(o, "field-id", spec->fields[i].field_id);
		lh_ice_json_key_string(o, "name", spec->fields[i].name);
		lh_ice_json_key_string(o, "transform", spec->fields[i].transform);
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
}

void
lh_ice_spec_to_out(IceJsonOut *o, const LhIceSpec *spec)
{
	lh_ice_json_open(o, '{');
	lh_ice_json_key_int(o, "spec-id", spec->spec_id);
	lh_ice_json_key(o, "fields");
	lh_ice_spec_fields_to_out(o, spec);
	lh_ice_json_close(o, '}');
}

/* ---- sort orders ---- */

LhStatus
lh_ice_sort_order_from_tree(json_t *tree, LhArena *arena, LhIceSortOrder *order, LhError *err)
{
	json_t	   *fields;
	size_t		i;
	json_t	   *item;

	memset(order, 0, sizeof(*order));
	ICE_TRY(lh_ice_get_int(tree, "order-id", &order->order_id, err));
	ICE_TRY(lh_ice_get(tree, "fields", JSON_ARRAY, &fields, err));
	order->fields = lh_ice_array(arena, json_array_size(fields), sizeof(LhIceSortField));
	if (order->fields == NULL)
		return ice_nomem(err);
	json_array_foreach(fields, i, item)
	{
		LhIceSortField *field = &order->fields[i];
		json_t	   *direction;
		json_t	   *null_order;

		field->source_id = LH_ICE_NONE;
		ICE_TRY(lh_ice_get_string(item, "transform", arena, &field->transform, err));
		ICE_TRY(lh_ice_get_int_opt(item, "source-id", &field->source_id, err));
		ICE_TRY(lh_ice_get(item, "direction", JSON_STRING, &direction, err));
		ICE_TRY(lh_ice_get(item, "null-order", JSON_STRING, &null_order, err));
		field->descending = strcmp(json_string_value(direction), "desc") == 0;
		field->nulls_first = strcmp(json_string_value(null_order), "nulls-first") == 0;
	}
	order->n_fields = (int) json_array_size(fields);
	return LH_OK;
}

void
lh_ice_sort_order_to_out(IceJsonOut *o, const LhIceSortOrder *order)
{
	lh_ice_json_open(o, '{');
	lh_ice_json_key_int(o, "order-id", order->order_id);
	lh_ice_json_key(o, "fields");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < order->n_fields; i++)
	{
		const LhIceSortField *field = &order->fields[i];

		lh_ice_json_open(o, '{');
		lh_ice_json_key_string(o, "transform", field->transform);
		lh_ice_json_key_int(o, "source-id", field->source_id);
		lh_ice_json_key_string(o, "direction", field->descending ? "desc" : "asc");
		lh_ice_json_key_string(o, "null-order", field->nulls_first ? "nulls-first" : "nulls-last");
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
	lh_ice_json_close(o, '}');
}
