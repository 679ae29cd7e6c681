/*
 * pq_footer_schema.c
 *	  Reads the schema of a footer: the flat list of elements becomes a tree,
 *	  legacy converted types become logical ones.
 *
 * Spec: parquet-format, parquet.thrift (SchemaElement), LogicalTypes.md.
 */
#include "parquet/footer_int.h"

bool
lh_pq_give_up(LhPqParse *p, LhStatus status, const char *what)
{
	if (p->status == LH_OK)
		p->status = lh_fail(p->err, status, -1, "%s", what);
	p->t.failed = true;
	return false;
}

bool
lh_pq_parse_no_memory(LhPqParse *p)
{
	return lh_pq_give_up(p, LH_ERR_NOMEM, "out of memory");
}

static LhPqUnit
parse_unit(LhPqParse *p, const LhThriftField *field)
{
	LhThriftField f = {0};
	LhPqUnit	unit = LH_PQ_MICROS;

	if (!lh_tr_struct(&p->t, field))
		return unit;
	while (lh_tr_field(&p->t, &f))
	{
		if (f.id >= 1 && f.id <= 3)
			unit = (LhPqUnit) (f.id - 1);
		lh_tr_skip(&p->t, &f);
	}
	return unit;
}

/* The fields of DECIMAL, TIME, TIMESTAMP and INTEGER. */
static void
parse_logical_args(LhPqParse *p, const LhThriftField *member, LhPqNode *node)
{
	LhThriftField f = {0};

	if (!lh_tr_struct(&p->t, member))
		return;
	while (lh_tr_field(&p->t, &f))
	{
		if (node->logical == LH_PQ_DECIMAL && f.id == 1)
			node->scale = lh_tr_i32(&p->t, &f);
		else if (node->logical == LH_PQ_DECIMAL && f.id == 2)
			node->precision = lh_tr_i32(&p->t, &f);
		else if ((node->logical == LH_PQ_TIME || node->logical == LH_PQ_TIMESTAMP) && f.id == 1)
			node->utc = lh_tr_bool(&p->t, &f);
		else if ((node->logical == LH_PQ_TIME || node->logical == LH_PQ_TIMESTAMP) && f.id == 2)
			node->unit = parse_unit(p, &f);
		else if (node->logical == LH_PQ_INTEGER && f.id == 1)
			node->bit_width = lh_tr_i32(&p->t, &f);
		else if (node->logical == LH_PQ_INTEGER && f.id == 2)
			node->is_signed = lh_tr_bool(&p->t, &f);
		else
			lh_tr_skip(&p->t, &f);
	}
}

static void
parse_logical(LhPqParse *p, const LhThriftField *field, LhPqNode *node)
{
	static const LhPqLogical members[] = {
		LH_PQ_OTHER, LH_PQ_STRING, LH_PQ_MAP, LH_PQ_LIST, LH_PQ_ENUM, LH_PQ_DECIMAL, LH_PQ_DATE,
		LH_PQ_TIME, LH_PQ_TIMESTAMP, LH_PQ_OTHER, LH_PQ_INTEGER, LH_PQ_UNKNOWN, LH_PQ_JSON,
		LH_PQ_BSON, LH_PQ_UUID, LH_PQ_FLOAT16
	};
	LhThriftField f = {0};

	node->logical = LH_PQ_OTHER;
	if (!lh_tr_struct(&p->t, field))
		return;
	while (lh_tr_field(&p->t, &f))
	{
		if (f.id > 0 && f.id < (int) (sizeof(members) / sizeof(members[0])))
			node->logical = members[f.id];
		parse_logical_args(p, &f, node);
	}
}

static void
from_converted(LhPqNode *node, int converted)
{
	static const LhPqLogical logicals[] = {
		LH_PQ_STRING, LH_PQ_MAP, LH_PQ_MAP, LH_PQ_LIST, LH_PQ_ENUM, LH_PQ_DECIMAL, LH_PQ_DATE,
		LH_PQ_TIME, LH_PQ_TIME, LH_PQ_TIMESTAMP, LH_PQ_TIMESTAMP,
		LH_PQ_INTEGER, LH_PQ_INTEGER, LH_PQ_INTEGER, LH_PQ_INTEGER,
		LH_PQ_INTEGER, LH_PQ_INTEGER, LH_PQ_INTEGER, LH_PQ_INTEGER,
		LH_PQ_JSON, LH_PQ_BSON, LH_PQ_INTERVAL
	};

	if (converted < 0 || converted >= (int) (sizeof(logicals) / sizeof(logicals[0])))
	{
		node->logical = LH_PQ_OTHER;
		return;
	}
	node->logical = logicals[converted];
	if (node->logical == LH_PQ_TIME || node->logical == LH_PQ_TIMESTAMP)
	{
		/* 7 and 9 are in milliseconds, 8 and 10 in microseconds */
		node->unit = converted & 1 ? LH_PQ_MILLIS : LH_PQ_MICROS;
		node->utc = true;
	}
	if (node->logical == LH_PQ_INTEGER)
	{
		/* 11-14 are unsigned, 15-18 signed, of 8, 16, 32, 64 bits */
		node->bit_width = 8 << ((converted - 11) & 3);
		node->is_signed = converted >= 15;
	}
}

static LhPqNode *
parse_element(LhPqParse *p, const LhThriftField *elem)
{
	LhPqNode   *node = lh_arena_zero(&p->meta->arena, sizeof(LhPqNode));
	LhThriftField f = {0};
	int			converted = -1;
	bool		has_type = false;
	bool		has_logical = false;

	if (node == NULL)
	{
		lh_pq_parse_no_memory(p);
		return NULL;
	}
	node->field_id = -1;
	if (!lh_tr_struct(&p->t, elem))
		return NULL;
	while (lh_tr_field(&p->t, &f))
	{
		const uint8_t *name;
		size_t		len;

		switch (f.id)
		{
			case 1:
				node->type = (LhPqType) lh_tr_i32(&p->t, &f);
				has_type = true;
				break;
			case 2:
				node->type_length = lh_tr_i32(&p->t, &f);
				break;
			case 3:
				node->rep = (LhPqRep) lh_tr_i32(&p->t, &f);
				break;
			case 4:
				name = lh_tr_binary(&p->t, &f, &len);
				node->name = lh_arena_strndup(&p->meta->arena, name != NULL ? name : (const uint8_t *) "", len);
				if (node->name == NULL)
					lh_pq_parse_no_memory(p);
				break;
			case 5:
				node->n_children = lh_tr_i32(&p->t, &f);
				break;
			case 6:
				converted = lh_tr_i32(&p->t, &f);
				break;
			case 7:
				node->scale = lh_tr_i32(&p->t, &f);
				break;
			case 8:
				node->precision = lh_tr_i32(&p->t, &f);
				break;
			case 9:
				node->field_id = lh_tr_i32(&p->t, &f);
				break;
			case 10:
				parse_logical(p, &f, node);
				has_logical = true;
				break;
			default:
				lh_tr_skip(&p->t, &f);
		}
	}
	node->is_group = !has_type;
	if (!node->is_group)
		node->n_children = 0;
	if (converted >= 0 && (!has_logical || node->logical == LH_PQ_OTHER))
		from_converted(node, converted);
	if (!lh_pq_logical_fits(node))
		node->logical = LH_PQ_OTHER;
	return p->t.failed ? NULL : node;
}

/* Reads `node`'s children, which follow it in the list; *left elements remain there. */
static bool
parse_children(LhPqParse *p, const LhThriftField *elem, LhPqNode *node, size_t *left, int depth)
{
	if (!node->is_group)
		return true;
	if (depth > 64)
		return lh_pq_give_up(p, LH_ERR_LIMIT, "schema is nested too deeply");
	if (node->n_children < 0 || (size_t) node->n_children > *left)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "schema ends before its last element");
	node->children = lh_arena_zero(&p->meta->arena, sizeof(LhPqNode *) * (size_t) node->n_children);
	if (node->children == NULL)
		return lh_pq_parse_no_memory(p);
	for (int i = 0; i < node->n_children; i++)
	{
		if (*left == 0)
			return lh_pq_give_up(p, LH_ERR_CORRUPT, "schema ends before its last element");
		(*left)--;
		node->children[i] = parse_element(p, elem);
		if (node->children[i] == NULL ||
			!parse_children(p, elem, node->children[i], left, depth + 1))
			return false;
	}
	return true;
}

bool
lh_pq_schema_parse(LhPqParse *p, const LhThriftField *field)
{
	LhThriftField elem;
	size_t		left = lh_tr_list(&p->t, field, &elem);
	LhPqSchema *schema = &p->meta->schema;
	LhStatus	status;

	if (schema->root != NULL || left == 0)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "footer has no schema, or two");
	left--;
	schema->root = parse_element(p, &elem);
	if (schema->root == NULL || !parse_children(p, &elem, schema->root, &left, 0))
		return false;
	if (left > 0)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "schema has elements outside its tree");
	status = lh_pq_schema_finish(schema, &p->meta->arena, p->err);
	if (status != LH_OK)
	{
		p->status = status;
		p->t.failed = true;
		return false;
	}
	p->ordered = lh_arena_zero(&p->meta->arena, (size_t) schema->n_leaves);
	return p->ordered != NULL || lh_pq_parse_no_memory(p);
}
