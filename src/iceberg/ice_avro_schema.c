/*
 * ice_avro_schema.c
 *	  Avro schemas: the writer's JSON into a tree of types with Iceberg field
 *	  ids, and our own out of tables.
 *
 * Named types may be used again after their definition but not inside it:
 * recursive types have no place in Iceberg's files.  Avro spec: "Schema
 * Declaration".
 */
#include "iceberg/ice_avro_int.h"

#include <string.h>

/* Types in a schema, reused ones counted at each use: bounds what a skip can cost. */
#define MAX_NODES	20000
/* A manifest's schema is 5 kB; only partition fields make it longer. */
#define MAX_SCHEMA_BYTES	((size_t) 4 << 20)

typedef struct NamedType
{
	const char *name;
	const IceAvroType *type;
	struct NamedType *next;
} NamedType;

typedef struct Parser
{
	LhArena    *arena;
	LhError    *err;
	NamedType  *named;
	int			depth;
} Parser;

static LhStatus parse_type(Parser *p, json_t *tree, const IceAvroType **result);

static size_t
add_capped(size_t a, size_t b)
{
	size_t		sum;

	return __builtin_add_overflow(a, b, &sum) || sum > SIZE_MAX / 4 ? SIZE_MAX / 4 : sum;
}

static LhStatus
parse_primitive(Parser *p, const char *name, const IceAvroType **result)
{
	static const struct
	{
		const char *name;
		IceAvroType type;
	}			primitives[] = {
		{"null", {.kind = ICE_AVRO_NULL, .min_bytes = 0, .nodes = 1}},
		{"boolean", {.kind = ICE_AVRO_BOOLEAN, .min_bytes = 1, .nodes = 1}},
		{"int", {.kind = ICE_AVRO_INT, .min_bytes = 1, .nodes = 1}},
		{"long", {.kind = ICE_AVRO_LONG, .min_bytes = 1, .nodes = 1}},
		{"float", {.kind = ICE_AVRO_FLOAT, .min_bytes = 4, .nodes = 1}},
		{"double", {.kind = ICE_AVRO_DOUBLE, .min_bytes = 8, .nodes = 1}},
		{"bytes", {.kind = ICE_AVRO_BYTES, .min_bytes = 1, .nodes = 1}},
		{"string", {.kind = ICE_AVRO_STRING, .min_bytes = 1, .nodes = 1}},
	};

	for (size_t i = 0; i < sizeof(primitives) / sizeof(primitives[0]); i++)
	{
		if (strcmp(name, primitives[i].name) == 0)
		{
			*result = &primitives[i].type;
			return LH_OK;
		}
	}
	for (const NamedType *n = p->named; n != NULL; n = n->next)
	{
		if (strcmp(name, n->name) == 0)
		{
			*result = n->type;
			return LH_OK;
		}
	}
	return lh_fail(p->err, LH_ERR_CORRUPT, -1, "unknown Avro type \"%.100s\"", name);
}

/* After the definition is complete, so that it cannot refer to itself. */
static LhStatus
remember_name(Parser *p, json_t *tree, const IceAvroType *type)
{
	NamedType  *named = lh_arena_alloc(p->arena, sizeof(*named));

	if (named == NULL)
		return ice_nomem(p->err);
	ICE_TRY(lh_ice_get_string(tree, "name", p->arena, &named->name, p->err));
	named->type = type;
	named->next = p->named;
	p->named = named;
	return LH_OK;
}

static LhStatus
parse_record(Parser *p, json_t *tree, IceAvroType *type)
{
	json_t	   *fields;
	size_t		i;
	json_t	   *item;

	type->kind = ICE_AVRO_RECORD;
	ICE_TRY(lh_ice_get(tree, "fields", JSON_ARRAY, &fields, p->err));
	type->fields = lh_ice_array(p->arena, json_array_size(fields), sizeof(IceAvroField));
	if (type->fields == NULL)
		return ice_nomem(p->err);
	json_array_foreach(fields, i, item)
	{
		IceAvroField *field = &type->fields[i];

		field->id = LH_ICE_NONE;
		ICE_TRY(lh_ice_get_int_opt(item, "field-id", &field->id, p->err));
		ICE_TRY(parse_type(p, json_object_get(item, "type"), &field->type));
		type->min_bytes = add_capped(type->min_bytes, field->type->min_bytes);
		type->nodes = add_capped(type->nodes, field->type->nodes);
	}
	type->n_fields = (int) json_array_size(fields);
	return remember_name(p, tree, type);
}

static LhStatus
parse_items(Parser *p, json_t *items, IceAvroKind kind, IceAvroType *type)
{
	type->kind = kind;
	type->min_bytes = 1;
	type->n_fields = 1;
	type->fields = lh_ice_array(p->arena, 1, sizeof(IceAvroField));
	if (type->fields == NULL)
		return ice_nomem(p->err);
	type->fields[0].id = LH_ICE_NONE;
	ICE_TRY(parse_type(p, items, &type->fields[0].type));
	type->nodes = add_capped(type->nodes, type->fields[0].type->nodes);
	/* else a count alone could make us loop without end */
	if (kind == ICE_AVRO_ARRAY && type->fields[0].type->min_bytes == 0)
		return lh_fail(p->err, LH_ERR_CORRUPT, -1, "Avro array has items without bytes");
	return LH_OK;
}

static LhStatus
parse_union(Parser *p, json_t *tree, IceAvroType *type)
{
	size_t		i;
	json_t	   *item;

	type->kind = ICE_AVRO_UNION;
	type->min_bytes = 1;
	type->fields = lh_ice_array(p->arena, json_array_size(tree), sizeof(IceAvroField));
	if (type->fields == NULL)
		return ice_nomem(p->err);
	json_array_foreach(tree, i, item)
	{
		type->fields[i].id = LH_ICE_NONE;
		ICE_TRY(parse_type(p, item, &type->fields[i].type));
		if (type->fields[i].type->kind == ICE_AVRO_UNION)
			return lh_fail(p->err, LH_ERR_CORRUPT, -1, "Avro union directly inside a union");
		type->nodes = add_capped(type->nodes, type->fields[i].type->nodes);
	}
	type->n_fields = (int) json_array_size(tree);
	return LH_OK;
}

static LhStatus
parse_fixed(Parser *p, json_t *tree, IceAvroType *type)
{
	json_t	   *logical = NULL;

	type->kind = ICE_AVRO_FIXED;
	ICE_TRY(lh_ice_get_int(tree, "size", &type->size, p->err));
	if (type->size < 0)
		return lh_fail(p->err, LH_ERR_CORRUPT, -1, "Avro fixed has a negative size");
	type->min_bytes = (size_t) type->size;
	ICE_TRY(lh_ice_get_opt(tree, "logicalType", JSON_STRING, &logical, p->err));
	type->decimal = logical != NULL && strcmp(json_string_value(logical), "decimal") == 0;
	return remember_name(p, tree, type);
}

static LhStatus
parse_enum(Parser *p, json_t *tree, IceAvroType *type)
{
	json_t	   *symbols;

	type->kind = ICE_AVRO_ENUM;
	type->min_bytes = 1;
	ICE_TRY(lh_ice_get(tree, "symbols", JSON_ARRAY, &symbols, p->err));
	type->size = (int) json_array_size(symbols);
	return remember_name(p, tree, type);
}

static LhStatus
parse_complex(Parser *p, json_t *tree, const IceAvroType **result)
{
	IceAvroType *type = lh_arena_zero(p->arena, sizeof(*type));
	json_t	   *word;
	const char *kind;

	if (type == NULL)
		return ice_nomem(p->err);
	*result = type;
	type->nodes = 1;
	if (json_is_array(tree))
		return parse_union(p, tree, type);

	word = json_object_get(tree, "type");
	if (!json_is_string(word))	/* {"type": {"type": …}} says the same twice */
		return parse_type(p, word, result);
	kind = json_string_value(word);
	if (strcmp(kind, "record") == 0)
		return parse_record(p, tree, type);
	if (strcmp(kind, "array") == 0)
		return parse_items(p, json_object_get(tree, "items"), ICE_AVRO_ARRAY, type);
	if (strcmp(kind, "map") == 0)
		return parse_items(p, json_object_get(tree, "values"), ICE_AVRO_MAP, type);
	if (strcmp(kind, "fixed") == 0)
		return parse_fixed(p, tree, type);
	if (strcmp(kind, "enum") == 0)
		return parse_enum(p, tree, type);
	/* a primitive with attributes; of those only decimal changes the bytes' meaning */
	ICE_TRY(parse_primitive(p, kind, result));
	word = json_object_get(tree, "logicalType");
	if (json_is_string(word) && strcmp(json_string_value(word), "decimal") == 0)
	{
		*type = **result;
		type->decimal = true;
		*result = type;
	}
	return LH_OK;
}

static LhStatus
parse_type(Parser *p, json_t *tree, const IceAvroType **result)
{
	LhStatus	status;

	if (json_is_string(tree))
		return parse_primitive(p, json_string_value(tree), result);
	if (!json_is_object(tree) && !json_is_array(tree))
		return lh_fail(p->err, LH_ERR_CORRUPT, -1, "Avro schema lacks a type");
	if (p->depth >= ICE_MAX_DEPTH)
		return lh_fail(p->err, LH_ERR_LIMIT, -1, "Avro schema is nested more than %d levels deep",
					   ICE_MAX_DEPTH);
	p->depth++;
	status = parse_complex(p, tree, result);
	p->depth--;
	if (status == LH_OK && (*result)->nodes > MAX_NODES)
		return lh_fail(p->err, LH_ERR_LIMIT, -1, "Avro schema has too many types");
	return status;
}

LhStatus
lh_ice_avro_schema(const char *json, size_t len, LhArena *arena, const IceAvroType **type, LhError *err)
{
	Parser		p = {arena, err, NULL, 0};
	json_t	   *tree;
	LhStatus	status;

	if (len > MAX_SCHEMA_BYTES)
		return lh_fail(err, LH_ERR_LIMIT, -1, "Avro schema of %zu bytes is too large", len);
	ICE_TRY(lh_ice_json_load(json, len, &tree, err));
	status = parse_type(&p, tree, type);
	json_decref(tree);
	return status;
}

void
lh_ice_avro_def_to_out(IceJsonOut *o, const char *record, const IceAvroDef *defs, int n)
{
	lh_ice_json_open(o, '{');
	lh_ice_json_key_string(o, "type", "record");
	lh_ice_json_key_string(o, "name", record);
	lh_ice_json_key(o, "fields");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < n; i++)
	{
		lh_ice_json_open(o, '{');
		lh_ice_json_key_string(o, "name", defs[i].name);
		lh_ice_json_key(o, "type");
		if (defs[i].optional)
		{
			lh_ice_json_open(o, '[');
			lh_ice_json_string(o, "null");
			lh_ice_json_raw(o, defs[i].type);
			lh_ice_json_close(o, ']');
			lh_ice_json_key(o, "default");
			lh_ice_json_raw(o, "null");
		}
		else
			lh_ice_json_raw(o, defs[i].type);
		lh_ice_json_key_int(o, "field-id", defs[i].id);
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
	lh_ice_json_close(o, '}');
}
