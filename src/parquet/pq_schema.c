/*
 * pq_schema.c
 *	  The tree of schema elements: levels and leaves, copies, and the rules
 *	  that find a list's element.
 *
 * Knows nothing of bytes: pq_footer.c reads and pq_footer_write.c writes
 * schemas.  Spec: parquet-format, LogicalTypes.md ("Nested Types").
 */
#include "parquet/schema_int.h"

#include <string.h>

/* Also bounds levels, which are kept in bytes. */
#define MAX_DEPTH	64

/* Nobody has wider tables; keeps 32-bit leaf numbers and chunk arrays sane. */
#define MAX_LEAVES	(1 << 20)

typedef struct Walk
{
	LhPqSchema *schema;
	int			n_leaves;
	bool		fill;			/* second round: store the leaves */
	LhError    *err;
} Walk;

bool
lh_pq_logical_fits(const LhPqNode *node)
{
	LhPqType	t = node->type;

	if (node->is_group)
		return node->logical == LH_PQ_NONE || node->logical == LH_PQ_LIST ||
			node->logical == LH_PQ_MAP || node->logical == LH_PQ_OTHER;
	switch (node->logical)
	{
		case LH_PQ_NONE:
		case LH_PQ_OTHER:
		case LH_PQ_UNKNOWN:
			return true;
		case LH_PQ_MAP:
		case LH_PQ_LIST:
			return false;
		case LH_PQ_STRING:
		case LH_PQ_ENUM:
		case LH_PQ_JSON:
		case LH_PQ_BSON:
			return t == LH_PQ_BYTE_ARRAY;
		case LH_PQ_DECIMAL:
			return node->precision > 0 && node->scale >= 0 && node->scale <= node->precision &&
				((t == LH_PQ_INT32 && node->precision <= 9) ||
				 (t == LH_PQ_INT64 && node->precision <= 18) ||
				 t == LH_PQ_FLBA || t == LH_PQ_BYTE_ARRAY);
		case LH_PQ_DATE:
			return t == LH_PQ_INT32;
		case LH_PQ_TIME:
			return t == (node->unit == LH_PQ_MILLIS ? LH_PQ_INT32 : LH_PQ_INT64);
		case LH_PQ_TIMESTAMP:
			return t == LH_PQ_INT64;
		case LH_PQ_INTEGER:
			return (t == LH_PQ_INT64 && node->bit_width == 64) ||
				(t == LH_PQ_INT32 &&
				 (node->bit_width == 8 || node->bit_width == 16 || node->bit_width == 32));
		case LH_PQ_UUID:
			return t == LH_PQ_FLBA && node->type_length == 16;
		case LH_PQ_FLOAT16:
			return t == LH_PQ_FLBA && node->type_length == 2;
		case LH_PQ_INTERVAL:
			return t == LH_PQ_FLBA && node->type_length == 12;
	}
	return false;
}

int
lh_pq_plain_width(const LhPqNode *leaf)
{
	switch (leaf->type)
	{
		case LH_PQ_INT32:
		case LH_PQ_FLOAT:
			return 4;
		case LH_PQ_INT64:
		case LH_PQ_DOUBLE:
			return 8;
		case LH_PQ_INT96:
			return 12;
		case LH_PQ_FLBA:
			return leaf->type_length;
		case LH_PQ_BOOLEAN:
		case LH_PQ_BYTE_ARRAY:
			break;
	}
	return 0;
}

static LhStatus
check_node(const LhPqNode *node, bool is_root, LhError *err)
{
	if (node->name == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "schema element without a name");
	if (!is_root && (node->rep < LH_PQ_REQUIRED || node->rep > LH_PQ_REPEATED))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "schema element \"%.80s\" has repetition %d",
					   node->name, (int) node->rep);
	if (node->is_group)
	{
		if (node->n_children < 0 || (node->n_children == 0 && !is_root))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "group \"%.80s\" has no fields", node->name);
		return LH_OK;
	}
	if (is_root)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "root of the schema is not a group");
	if (node->type < LH_PQ_BOOLEAN || node->type > LH_PQ_FLBA)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "column \"%.80s\" has type %d",
					   node->name, (int) node->type);
	if (node->type == LH_PQ_FLBA && node->type_length <= 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "column \"%.80s\" has a fixed length of %d bytes",
					   node->name, node->type_length);
	return LH_OK;
}

static LhStatus
walk_node(Walk *walk, LhPqNode *node, int def, int rep, int depth)
{
	LhStatus	status = check_node(node, depth == 0, walk->err);

	if (status != LH_OK)
		return status;
	if (depth > MAX_DEPTH)
		return lh_fail(walk->err, LH_ERR_LIMIT, -1, "schema is nested deeper than %d", MAX_DEPTH);
	if (depth > 0 && node->rep != LH_PQ_REQUIRED)
		def++;
	if (depth > 0 && node->rep == LH_PQ_REPEATED)
		rep++;
	node->max_def = def;
	node->max_rep = rep;
	node->first_leaf = walk->n_leaves;
	if (!node->is_group)
	{
		if (walk->n_leaves >= MAX_LEAVES)
			return lh_fail(walk->err, LH_ERR_LIMIT, -1, "schema has more than %d columns", MAX_LEAVES);
		if (walk->fill)
			walk->schema->leaves[walk->n_leaves] = node;
		walk->n_leaves++;
	}
	else
	{
		for (int i = 0; i < node->n_children; i++)
		{
			status = walk_node(walk, node->children[i], def, rep, depth + 1);
			if (status != LH_OK)
				return status;
		}
	}
	node->n_leaves = walk->n_leaves - node->first_leaf;
	return LH_OK;
}

LhStatus
lh_pq_schema_finish(LhPqSchema *schema, LhArena *arena, LhError *err)
{
	Walk		walk = {.schema = schema, .err = err};
	LhStatus	status = walk_node(&walk, schema->root, 0, 0, 0);

	if (status != LH_OK)
		return status;
	schema->n_leaves = walk.n_leaves;
	schema->leaves = lh_arena_zero(arena, sizeof(LhPqNode *) * (size_t) walk.n_leaves);
	if (schema->leaves == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	walk.n_leaves = 0;
	walk.fill = true;
	return walk_node(&walk, schema->root, 0, 0, 0);
}

static LhPqNode *
copy_node(const LhPqNode *from, LhArena *arena)
{
	LhPqNode   *to = lh_arena_alloc(arena, sizeof(LhPqNode));

	if (to == NULL)
		return NULL;
	*to = *from;
	to->name = lh_arena_strndup(arena, from->name, strlen(from->name));
	to->children = lh_arena_zero(arena, sizeof(LhPqNode *) * (size_t) (from->is_group ? from->n_children : 0));
	if (to->name == NULL || to->children == NULL)
		return NULL;
	for (int i = 0; from->is_group && i < from->n_children; i++)
		if ((to->children[i] = copy_node(from->children[i], arena)) == NULL)
			return NULL;
	return to;
}

LhStatus
lh_pq_schema_copy(const LhPqSchema *from, LhPqSchema *to, LhArena *arena, LhError *err)
{
	to->root = copy_node(from->root, arena);
	if (to->root == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	return lh_pq_schema_finish(to, arena, err);
}

/* Old writers named the repeated group of a one-column struct like this. */
static bool
is_struct_name(const char *list_name, const char *name)
{
	size_t		len = strlen(list_name);

	return strcmp(name, "array") == 0 ||
		(strncmp(name, list_name, len) == 0 && strcmp(name + len, "_tuple") == 0);
}

const LhPqNode *
lh_pq_list_element(const LhPqNode *list, bool *has_middle)
{
	const LhPqNode *repeated;

	*has_middle = false;
	/* a repeated node without annotation is a list of itself */
	if (list->rep == LH_PQ_REPEATED && list->logical != LH_PQ_LIST && list->logical != LH_PQ_MAP)
		return list;
	if (!list->is_group || list->n_children != 1 || list->children[0]->rep != LH_PQ_REPEATED)
		return NULL;
	repeated = list->children[0];
	if (!repeated->is_group || repeated->n_children != 1)
		return repeated;
	if (repeated->children[0]->rep == LH_PQ_REPEATED ||
		is_struct_name(list->name, repeated->name))
		return repeated;
	*has_middle = true;
	return repeated->children[0];
}
