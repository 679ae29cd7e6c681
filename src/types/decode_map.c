/*
 * decode_map.c
 *	  Pairs a column of a file with the column's present type, node by node.
 *
 * Columns and attributes of composites are found by field id alone: names
 * may have changed since the file was written.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "types/types_int.h"

LhPqNode *
lh_file_column(const LhPqFileMeta *meta, int field_id)
{
	const LhPqNode *root = meta->schema.root;

	for (int i = 0; i < root->n_children; i++)
		if (root->children[i]->field_id == field_id)
			return root->children[i];
	return NULL;
}

void
lh_column_corrupt(const char *column, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("column \"%s\" of a data file is corrupt", column),
			 errdetail("In column \"%s\", %s.", column, what)));
}

static LH_NORETURN void
mismatch(const LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	static const char *const physical[] = {
		"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"
	};

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of a data file cannot be read as type %s",
					dec->priv->column, format_type_be(type->declared)),
			 node->is_group ?
			 errdetail("The file's field \"%s\" is a group of %d fields.", node->name, node->n_children) :
			 errdetail("The file's field \"%s\" is of type %s with annotation %d.",
					   node->name, physical[node->type], (int) node->logical)));
}

static LhConv *
new_conv(LhConvShape shape, const LhPgType *type, const LhPqNode *node, int max_children)
{
	LhConv	   *conv = palloc0(sizeof(LhConv));

	conv->shape = shape;
	conv->type = type;
	conv->node = node;
	conv->n_children = max_children;
	conv->children = palloc0(sizeof(LhConv *) * Max(max_children, 1));
	return conv;
}

static const LhPqNode *
child_by_id(const LhPqNode *group, int field_id)
{
	for (int i = 0; i < group->n_children; i++)
		if (group->children[i]->field_id == field_id)
			return group->children[i];
	return NULL;
}

/*
 * The element below the repeated node of a list, by the format's rules for
 * what older writers wrote: a repeated leaf, a repeated group with several
 * fields, or one that is named as such, is the element itself.
 */
static const LhPqNode *
list_element(const LhPqNode *list, const LhPqNode *repeated)
{
	const LhPqNode *only;
	size_t		len = strlen(list->name);

	if (!repeated->is_group || repeated->n_children != 1)
		return repeated;
	only = repeated->children[0];
	if (only->rep == LH_PQ_REPEATED || strcmp(repeated->name, "array") == 0)
		return repeated;
	if (strncmp(repeated->name, list->name, len) == 0 && strcmp(repeated->name + len, "_tuple") == 0)
		return repeated;
	return only;
}

static LhConv *pair(LhDecoder *dec, const LhPgType *type, const LhPqNode *node);
static LhConv *pair_value(LhDecoder *dec, const LhPgType *type, const LhPqNode *node);

static LhConv *
pair_list(LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	LhConv	   *conv = new_conv(type->kind == LH_KIND_VECTOR ? LH_CONV_VECTOR : LH_CONV_LIST, type, node, 1);
	const LhPqNode *repeated = node;
	const LhPqNode *element = node;

	if (node->rep != LH_PQ_REPEATED)
	{
		if (!node->is_group || node->logical != LH_PQ_LIST || node->n_children != 1 ||
			node->children[0]->rep != LH_PQ_REPEATED)
			mismatch(dec, type, node);
		repeated = node->children[0];
		element = list_element(node, repeated);
		conv->null_def = node->max_def;
	}
	/* else a bare repeated field: a list that is never null */

	conv->repeated_def = repeated->max_def;
	conv->repeated_rep = repeated->max_rep;
	conv->children[0] = element == repeated ? pair_value(dec, type->element, element) :
		pair(dec, type->element, element);
	conv->guide = conv->children[0]->guide;
	return conv;
}

static LhConv *
pair_interval(LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	LhConv	   *conv = new_conv(LH_CONV_INTERVAL, type, node, 3);

	for (int i = 0; i < 3; i++)
	{
		LhPgType   *part = palloc0(sizeof(LhPgType));
		const LhPqNode *child = child_by_id(node, type->part_ids[i]);

		part->kind = i == 2 ? LH_KIND_INT8 : LH_KIND_INT4;
		part->declared = type->declared;
		if (child == NULL)
			mismatch(dec, type, node);
		conv->children[i] = pair(dec, part, child);
	}
	conv->guide = conv->children[0]->guide;
	return conv;
}

static LhConv *
pair_struct(LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	LhConv	   *conv = new_conv(LH_CONV_STRUCT, type, node, type->desc->natts);

	conv->guide = -1;
	for (int i = 0; i < conv->n_children; i++)
	{
		const LhPqNode *child;

		if (type->atts[i] == NULL)
			continue;
		child = child_by_id(node, type->atts[i]->field_id);
		if (child == NULL)
			continue;
		conv->children[i] = pair(dec, type->atts[i], child);
		if (conv->guide < 0)
			conv->guide = conv->children[i]->guide;
	}
	if (conv->guide < 0)
		conv->guide = node->first_leaf - dec->first_leaf;
	return conv;
}

static LhConv *
pair_leaf(LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	LhConv	   *conv = new_conv(LH_CONV_LEAF, type, node, 0);

	if (node->is_group || !lh_leaf_op(node, type, &conv->op))
		mismatch(dec, type, node);
	conv->guide = node->first_leaf - dec->first_leaf;
	if (conv->op == LH_OP_ENUM)
		conv->enums = lh_decoder_enums(dec, type);
	return conv;
}

/* One value: a repeated node here is the element of the list around it. */
static LhConv *
pair_value(LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	bool		is_struct = node->is_group && node->logical != LH_PQ_LIST && node->logical != LH_PQ_MAP;

	check_stack_depth();
	if (is_struct && type->kind == LH_KIND_INTERVAL)
		return pair_interval(dec, type, node);
	if (is_struct && type->kind == LH_KIND_COMPOSITE)
		return pair_struct(dec, type, node);
	return pair_leaf(dec, type, node);
}

static LhConv *
pair(LhDecoder *dec, const LhPgType *type, const LhPqNode *node)
{
	if (type->kind == LH_KIND_ARRAY || type->kind == LH_KIND_VECTOR)
		return pair_list(dec, type, node);
	if (node->rep == LH_PQ_REPEATED)
		mismatch(dec, type, node);
	return pair_value(dec, type, node);
}

/* One map for each enum field, shared by its leaf and by exact values. */
LhEnumMap *
lh_decoder_enums(const LhDecoder *dec, const LhPgType *type)
{
	struct LhDecoderPrivate *priv = dec->priv;
	MemoryContext caller;

	for (int i = 0; i < priv->n_enums; i++)
		if (priv->enum_types[i] == type)
			return priv->enum_maps[i];

	caller = MemoryContextSwitchTo(priv->cxt);
	priv->enum_types = priv->n_enums == 0 ? palloc(sizeof(void *)) :
		repalloc(priv->enum_types, sizeof(void *) * (priv->n_enums + 1));
	priv->enum_maps = priv->n_enums == 0 ? palloc(sizeof(void *)) :
		repalloc(priv->enum_maps, sizeof(void *) * (priv->n_enums + 1));
	priv->enum_types[priv->n_enums] = type;
	priv->enum_maps[priv->n_enums] = lh_enum_map_create(priv->meta, type);
	MemoryContextSwitchTo(caller);
	return priv->enum_maps[priv->n_enums++];
}

LhDecoder *
lh_decoder_create(const LhPqFileMeta *meta, Form_pg_attribute att)
{
	const LhPqNode *node = lh_file_column(meta, att->attnum);
	MemoryContext cxt;
	MemoryContext caller;
	LhDecoder  *dec;

	if (node == NULL)
		return NULL;

	cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse decoder", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(cxt);
	dec = palloc0(sizeof(LhDecoder));
	dec->priv = palloc0(sizeof(struct LhDecoderPrivate));
	dec->priv->cxt = cxt;
	dec->priv->meta = meta;
	dec->priv->column = pstrdup(NameStr(att->attname));
	dec->priv->type = lh_type_create(att->atttypid, att->atttypmod, att->attnum, dec->priv->column);
	dec->attnum = att->attnum;
	dec->first_leaf = node->first_leaf;
	dec->n_leaves = node->n_leaves;
	dec->needs_settings = dec->priv->type->needs_settings;

	dec->priv->conv = pair(dec, dec->priv->type, node);
	dec->flat = dec->priv->conv->shape == LH_CONV_LEAF && node->max_rep == 0 && node->max_def <= 1;
	dec->priv->cursors = palloc0(sizeof(LhLeafCursor) * dec->n_leaves);
	for (int i = 0; i < dec->n_leaves; i++)
		dec->priv->cursors[i].node = meta->schema.leaves[dec->first_leaf + i];

	MemoryContextSwitchTo(caller);
	return dec;
}

void
lh_decoder_free(LhDecoder *dec)
{
	if (dec != NULL)
		MemoryContextDelete(dec->priv->cxt);
}
