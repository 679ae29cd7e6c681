/*
 * shape.c
 *	  The Parquet and the Iceberg schema of a tuple descriptor, and the enum
 *	  labels that go with a file.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "types/types_int.h"

#define ROW_ID_NAME		"_row_id"
#define XMIN_NAME		"_pg_xmin"
#define EXACT_NAME		"_pg_exact"

/* The natural form of each kind that takes one leaf. */
typedef struct LeafForm
{
	LhPqType	type;
	LhPqLogical logical;
	LhIceKind	iceberg;
	bool		utc;
	int			type_length;
} LeafForm;

static const LeafForm leaf_forms[] = {
	[LH_KIND_BOOL] = {LH_PQ_BOOLEAN, LH_PQ_NONE, LH_ICE_BOOLEAN, false, 0},
	[LH_KIND_INT2] = {LH_PQ_INT32, LH_PQ_NONE, LH_ICE_INT, false, 0},
	[LH_KIND_INT4] = {LH_PQ_INT32, LH_PQ_NONE, LH_ICE_INT, false, 0},
	[LH_KIND_INT8] = {LH_PQ_INT64, LH_PQ_NONE, LH_ICE_LONG, false, 0},
	[LH_KIND_OID] = {LH_PQ_INT64, LH_PQ_NONE, LH_ICE_LONG, false, 0},
	[LH_KIND_XID8] = {LH_PQ_INT64, LH_PQ_NONE, LH_ICE_LONG, false, 0},
	[LH_KIND_FLOAT4] = {LH_PQ_FLOAT, LH_PQ_NONE, LH_ICE_FLOAT, false, 0},
	[LH_KIND_FLOAT8] = {LH_PQ_DOUBLE, LH_PQ_NONE, LH_ICE_DOUBLE, false, 0},
	[LH_KIND_NUMERIC] = {LH_PQ_BYTE_ARRAY, LH_PQ_STRING, LH_ICE_STRING, false, 0},
	[LH_KIND_TEXT] = {LH_PQ_BYTE_ARRAY, LH_PQ_STRING, LH_ICE_STRING, false, 0},
	[LH_KIND_NAME] = {LH_PQ_BYTE_ARRAY, LH_PQ_STRING, LH_ICE_STRING, false, 0},
	[LH_KIND_CHAR] = {LH_PQ_BYTE_ARRAY, LH_PQ_STRING, LH_ICE_STRING, false, 0},
	[LH_KIND_BYTES] = {LH_PQ_BYTE_ARRAY, LH_PQ_NONE, LH_ICE_BINARY, false, 0},
	[LH_KIND_FIXED] = {LH_PQ_BYTE_ARRAY, LH_PQ_NONE, LH_ICE_BINARY, false, 0},
	[LH_KIND_DATE] = {LH_PQ_INT32, LH_PQ_DATE, LH_ICE_DATE, false, 0},
	[LH_KIND_TIME] = {LH_PQ_INT64, LH_PQ_TIME, LH_ICE_TIME, false, 0},
	[LH_KIND_TIMESTAMP] = {LH_PQ_INT64, LH_PQ_TIMESTAMP, LH_ICE_TIMESTAMP, false, 0},
	[LH_KIND_TIMESTAMPTZ] = {LH_PQ_INT64, LH_PQ_TIMESTAMP, LH_ICE_TIMESTAMPTZ, true, 0},
	[LH_KIND_UUID] = {LH_PQ_FLBA, LH_PQ_UUID, LH_ICE_UUID, false, 16},
	[LH_KIND_ENUM] = {LH_PQ_BYTE_ARRAY, LH_PQ_STRING, LH_ICE_STRING, false, 0},
	[LH_KIND_IO] = {LH_PQ_BYTE_ARRAY, LH_PQ_STRING, LH_ICE_STRING, false, 0},
	/* one without attributes: a struct needs fields, so its presence shows as true */
	[LH_KIND_COMPOSITE] = {LH_PQ_BOOLEAN, LH_PQ_NONE, LH_ICE_BOOLEAN, false, 0},
};

static const char *const interval_names[] = {"months", "days", "microseconds"};

/* ---- Parquet ---- */

static char *
utf8_name(Form_pg_attribute att)
{
	char	   *name = lh_utf8_name(NameStr(att->attname));

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("column name \"%s\" cannot be written in UTF-8", NameStr(att->attname)),
				 errhint("Choose another name for the column.")));
	return name;
}

static LhPqNode *
new_node(const char *name, int field_id)
{
	LhPqNode   *node = palloc0(sizeof(LhPqNode));

	node->name = pstrdup(name);
	node->rep = LH_PQ_OPTIONAL;
	node->field_id = field_id;
	return node;
}

static LhPqNode *
new_leaf(const char *name, int field_id, LhPqType type, LhPqLogical logical)
{
	LhPqNode   *node = new_node(name, field_id);

	node->type = type;
	node->logical = logical;
	node->unit = LH_PQ_MICROS;
	return node;
}

static LhPqNode *
new_group(const char *name, int field_id, int max_children)
{
	LhPqNode   *node = new_node(name, field_id);

	node->is_group = true;
	node->children = palloc(sizeof(LhPqNode *) * Max(max_children, 1));
	return node;
}

static void
add_child(LhPqNode *group, LhPqNode *child)
{
	group->children[group->n_children++] = child;
}

static LhPqNode *
decimal_node(const LhPgType *type, const char *name)
{
	LhPqNode   *node = new_leaf(name, type->field_id, lh_decimal_physical(type->precision), LH_PQ_DECIMAL);

	node->precision = type->precision;
	node->scale = type->scale;
	if (node->type == LH_PQ_FLBA)
		node->type_length = lh_ice_decimal_bytes(type->precision);
	return node;
}

static LhPqNode *
interval_node(const LhPgType *type, const char *name)
{
	LhPqNode   *node = new_group(name, type->field_id, 3);

	for (int i = 0; i < 3; i++)
		add_child(node, new_leaf(interval_names[i], type->part_ids[i],
								 i == 2 ? LH_PQ_INT64 : LH_PQ_INT32, LH_PQ_NONE));
	return node;
}

static LhPqNode *node_of(LhPgType *type, const char *name);

static LhPqNode *
list_node(LhPgType *type, const char *name)
{
	LhPqNode   *node = new_group(name, type->field_id, 1);
	LhPqNode   *repeated = new_group("list", -1, 1);

	node->logical = LH_PQ_LIST;
	repeated->rep = LH_PQ_REPEATED;
	add_child(repeated, node_of(type->element, "element"));
	if (type->kind == LH_KIND_VECTOR)
		type->element->node->rep = LH_PQ_REQUIRED;
	add_child(node, repeated);
	return node;
}

static LhPqNode *
struct_node(LhPgType *type, const char *name)
{
	LhPqNode   *node = new_group(name, type->field_id, type->n_stored);

	for (int i = 0; i < type->desc->natts; i++)
		if (type->atts[i] != NULL)
			add_child(node, node_of(type->atts[i],
									utf8_name(TupleDescAttr(type->desc, i))));
	return node;
}

static LhPqNode *
node_of(LhPgType *type, const char *name)
{
	const LeafForm *form;

	switch (type->kind)
	{
		case LH_KIND_DECIMAL:
			type->node = decimal_node(type, name);
			return type->node;
		case LH_KIND_INTERVAL:
			type->node = interval_node(type, name);
			return type->node;
		case LH_KIND_ARRAY:
		case LH_KIND_VECTOR:
			type->node = list_node(type, name);
			return type->node;
		case LH_KIND_COMPOSITE:
			if (type->n_stored > 0)
			{
				type->node = struct_node(type, name);
				return type->node;
			}
			break;
		default:
			break;
	}

	form = &leaf_forms[type->kind];
	type->node = new_leaf(name, type->field_id, form->type, form->logical);
	type->node->utc = form->utc;
	type->node->type_length = form->type_length;
	return type->node;
}

/* ---- checks ---- */

static void
check_name(const char *name)
{
	if (strcmp(name, ROW_ID_NAME) == 0 || strcmp(name, EXACT_NAME) == 0 || strcmp(name, XMIN_NAME) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("column name \"%s\" is reserved in lakehouse tables", name),
				 errhint("Choose another name for the column.")));
}

static List *
collect_ids(const LhPqNode *node, List *ids)
{
	if (node->field_id >= 0)
		ids = lappend_int(ids, node->field_id);
	for (int i = 0; i < node->n_children; i++)
		ids = collect_ids(node->children[i], ids);
	return ids;
}

/* Long paths have hashed ids; two could in principle meet. */
static void
check_ids(const LhPqNode *root)
{
	List	   *ids = collect_ids(root, NIL);
	ListCell   *cell;
	int			previous = -1;

	list_sort(ids, list_int_cmp);
	foreach(cell, ids)
	{
		if (lfirst_int(cell) == previous)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("columns are nested too deeply for distinct field ids"),
					 errdetail("Two nested fields have the field id %d.", previous),
					 errhint("Flatten the composite types of the columns.")));
		previous = lfirst_int(cell);
	}
	list_free(ids);
}

/* ---- enum labels ---- */

static void
append_enum(const LhPgType *type, StringInfo json)
{
	int			n = 0;

	appendStringInfo(json, "%s\"%d\": {", json->len > 1 ? ", " : "", type->field_id);
	for (int i = 0; i < type->n_labels; i++)
	{
		if (type->labels[i].label == NULL)
			continue;
		if (n++ > 0)
			appendStringInfoString(json, ", ");
		escape_json(json, type->labels[i].label);
		appendStringInfo(json, ": %u", type->labels[i].oid);
	}
	appendStringInfoChar(json, '}');
}

static void
append_enums(const LhPgType *type, StringInfo json)
{
	if (!type->has_enum)
		return;
	switch (type->kind)
	{
		case LH_KIND_ENUM:
			append_enum(type, json);
			break;
		case LH_KIND_ARRAY:
			append_enums(type->element, json);
			break;
		case LH_KIND_COMPOSITE:
			for (int i = 0; i < type->desc->natts; i++)
				if (type->atts[i] != NULL)
					append_enums(type->atts[i], json);
			break;
		default:
			break;
	}
}

static char *
enums_json(const LhShape *shape)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < shape->natts; i++)
		if (shape->atts[i].live)
			append_enums(shape->atts[i].type, &json);
	if (json.len == 1)
		return NULL;
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* ---- the shape ---- */

static void
build(LhShape *shape, TupleDesc desc, bool with_row_ids)
{
	LhPqNode   *root = new_group("table", -1, desc->natts + 3);
	LhPqNode   *row_id = NULL;
	LhPqNode   *xmin = new_leaf(XMIN_NAME, LH_FIELD_XMIN, LH_PQ_INT64, LH_PQ_NONE);
	LhPqNode   *exact = new_leaf(EXACT_NAME, LH_FIELD_EXACT, LH_PQ_BYTE_ARRAY, LH_PQ_NONE);
	LhError		err;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		LhShapeAtt *place = &shape->atts[i];
		char	   *name;

		if (!lh_att_is_stored(att))
			continue;
		name = utf8_name(att);
		check_name(name);
		place->live = true;
		place->type = lh_type_create(att->atttypid, att->atttypmod, att->attnum, name);
		place->node = node_of(place->type, name);
		add_child(root, place->node);
		shape->needs_settings |= place->type->needs_settings;
	}
	if (with_row_ids)
	{
		row_id = new_leaf(ROW_ID_NAME, LH_FIELD_ROW_ID, LH_PQ_INT64, LH_PQ_NONE);
		add_child(root, row_id);
	}
	add_child(root, xmin);
	add_child(root, exact);

	check_ids(root);

	shape->schema.root = root;
	lh_report(lh_pq_schema_finish(&shape->schema, &shape->priv->arena, &err), &err, NULL);

	for (int i = 0; i < desc->natts; i++)
		if (shape->atts[i].live)
		{
			shape->atts[i].first_leaf = shape->atts[i].node->first_leaf;
			shape->atts[i].n_leaves = shape->atts[i].node->n_leaves;
		}
	shape->row_id_leaf = row_id ? row_id->first_leaf : -1;
	shape->xmin_leaf = xmin->first_leaf;
	shape->exact_leaf = exact->first_leaf;
	shape->enums_json = enums_json(shape);
}

LhShape *
lh_shape_create(TupleDesc desc, bool with_row_ids)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse shape",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	LhShape    *shape = palloc0(sizeof(LhShape));

	shape->priv = palloc0(sizeof(struct LhShapePrivate));
	shape->priv->cxt = cxt;
	shape->priv->scratch = AllocSetContextCreate(cxt, "lakehouse row", ALLOCSET_DEFAULT_SIZES);
	shape->priv->alloc = lh_palloc_alloc(cxt);
	lh_arena_init(&shape->priv->arena, &shape->priv->alloc);
	initStringInfo(&shape->priv->exact);

	shape->natts = desc->natts;
	shape->atts = palloc0(sizeof(LhShapeAtt) * Max(desc->natts, 1));
	build(shape, desc, with_row_ids);

	MemoryContextSwitchTo(caller);
	return shape;
}

void
lh_shape_free(LhShape *shape)
{
	if (shape != NULL)
		MemoryContextDelete(shape->priv->cxt);
}

/* ---- Iceberg ---- */

static void *
arena_zero(LhArena *arena, size_t size)
{
	void	   *p = lh_arena_zero(arena, size);

	if (p == NULL)
		lh_report(LH_ERR_NOMEM, NULL, NULL);
	return p;
}

static LhIceType *ice_type(const LhPgType *type, LhArena *arena);

static void
ice_field(const LhPqNode *node, LhIceType *type, LhArena *arena, LhIceField *out)
{
	out->id = node->field_id;
	out->required = node->rep == LH_PQ_REQUIRED;
	out->type = type;
	out->name = lh_arena_strndup(arena, node->name, strlen(node->name));
	if (out->name == NULL)
		lh_report(LH_ERR_NOMEM, NULL, NULL);
}

static void
ice_fields(const LhPgType *type, LhArena *arena, LhIceType *out)
{
	LhIceField *field = arena_zero(arena, sizeof(LhIceField) *
								   Max(type->kind == LH_KIND_COMPOSITE ? type->n_stored : 3, 1));

	out->fields = field;
	if (type->kind == LH_KIND_INTERVAL)
		for (int i = 0; i < 3; i++)
		{
			LhIceType  *part = arena_zero(arena, sizeof(LhIceType));

			part->kind = i == 2 ? LH_ICE_LONG : LH_ICE_INT;
			ice_field(type->node->children[i], part, arena, field++);
		}
	else if (type->element != NULL)
	{
		ice_field(type->element->node, ice_type(type->element, arena), arena, field++);
	}
	else
		for (int i = 0; i < type->desc->natts; i++)
			if (type->atts[i] != NULL)
				ice_field(type->atts[i]->node, ice_type(type->atts[i], arena), arena, field++);
	out->n_fields = (int) (field - out->fields);
}

static LhIceType *
ice_type(const LhPgType *type, LhArena *arena)
{
	LhIceType  *out = arena_zero(arena, sizeof(LhIceType));

	if (type->kind == LH_KIND_DECIMAL)
	{
		out->kind = LH_ICE_DECIMAL;
		out->precision = type->precision;
		out->scale = type->scale;
	}
	else if (!type->node->is_group)
		out->kind = leaf_forms[type->kind].iceberg;
	else
	{
		out->kind = type->element != NULL ? LH_ICE_LIST : LH_ICE_STRUCT;
		ice_fields(type, arena, out);
	}
	return out;
}

void
lh_shape_iceberg(const LhShape *shape, LhArena *arena, LhIceSchema *out)
{
	memset(out, 0, sizeof(*out));
	out->fields = arena_zero(arena, sizeof(LhIceField) * Max(shape->natts, 1));
	for (int i = 0; i < shape->natts; i++)
		if (shape->atts[i].live)
			ice_field(shape->atts[i].node, ice_type(shape->atts[i].type, arena), arena,
					  &out->fields[out->n_fields++]);
}
