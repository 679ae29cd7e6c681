/*
 * leaf_op.c
 *	  Which leaves of a file can be read as which type, and how.
 *
 * Wider than what we write: old columns after an ALTER TYPE that rewrote
 * nothing, Iceberg's promotions, and what other writers choose.
 */
#include "postgres.h"

#include "types/types_int.h"

static bool
is_integer(const LhPqNode *leaf)
{
	return (leaf->type == LH_PQ_INT32 || leaf->type == LH_PQ_INT64) &&
		(leaf->logical == LH_PQ_NONE || leaf->logical == LH_PQ_INTEGER || leaf->logical == LH_PQ_OTHER);
}

/* Bytes or text: annotations are often missing, and STRING, JSON and ENUM are all text. */
static bool
is_string(const LhPqNode *leaf)
{
	if (leaf->type != LH_PQ_BYTE_ARRAY && leaf->type != LH_PQ_FLBA)
		return false;
	switch (leaf->logical)
	{
		case LH_PQ_NONE:
		case LH_PQ_STRING:
		case LH_PQ_ENUM:
		case LH_PQ_JSON:
		case LH_PQ_BSON:
		case LH_PQ_OTHER:
			return true;
		default:
			return false;
	}
}

static bool
is_fixed(const LhPqNode *leaf, LhPqLogical logical, int length)
{
	return leaf->type == LH_PQ_FLBA && leaf->logical == logical && leaf->type_length == length;
}

static bool
numeric_op(const LhPqNode *leaf, LhLeafOp *op)
{
	if (leaf->logical == LH_PQ_DECIMAL)
	{
		if (leaf->precision > 38 || leaf->scale < 0 || leaf->scale > 38)
			return false;
		switch (leaf->type)
		{
			case LH_PQ_INT32:
			case LH_PQ_INT64:
				*op = LH_OP_INT_NUMERIC;
				return true;
			case LH_PQ_BYTE_ARRAY:
			case LH_PQ_FLBA:
				*op = LH_OP_BYTES_NUMERIC;
				return true;
			default:
				return false;
		}
	}
	if (is_integer(leaf))
	{
		*op = LH_OP_INT_NUMERIC;
		return true;
	}
	*op = LH_OP_TEXT_NUMERIC;
	return leaf->type == LH_PQ_BYTE_ARRAY && is_string(leaf);
}

static bool
float_op(const LhPqNode *leaf, bool is_double, LhLeafOp *op)
{
	if (is_fixed(leaf, LH_PQ_FLOAT16, 2))
		*op = is_double ? LH_OP_FLOAT16_FLOAT8 : LH_OP_FLOAT16_FLOAT4;
	else if (leaf->type == LH_PQ_FLOAT)
		*op = is_double ? LH_OP_FLOAT4_FLOAT8 : LH_OP_FLOAT4;
	else if (leaf->type == LH_PQ_DOUBLE && is_double)
		*op = LH_OP_FLOAT8;
	else
		return false;
	return true;
}

static bool
timestamp_op(const LhPqNode *leaf, LhLeafOp *op)
{
	if (leaf->type == LH_PQ_INT64 && leaf->logical == LH_PQ_TIMESTAMP)
		*op = LH_OP_TIMESTAMP;
	else if (leaf->type == LH_PQ_INT96)
		*op = LH_OP_INT96_TIMESTAMP;
	else if (leaf->type == LH_PQ_INT32 && leaf->logical == LH_PQ_DATE)
		*op = LH_OP_DATE_TIMESTAMP;
	else
		return false;
	return true;
}

static bool
string_op(const LhPqNode *leaf, LhLeafOp wanted, LhLeafOp *op)
{
	*op = wanted;
	return is_string(leaf);
}

bool
lh_leaf_op(const LhPqNode *leaf, const LhPgType *type, LhLeafOp *op)
{
	/* a column of nulls of which its writer did not know the type */
	if (leaf->logical == LH_PQ_UNKNOWN)
	{
		*op = LH_OP_NOTHING;
		return type->kind != LH_KIND_ARRAY && type->kind != LH_KIND_VECTOR;
	}

	switch (type->kind)
	{
		case LH_KIND_BOOL:
			*op = LH_OP_BOOL;
			return leaf->type == LH_PQ_BOOLEAN;
		case LH_KIND_INT2:
		case LH_KIND_INT4:
		case LH_KIND_INT8:
		case LH_KIND_OID:
		case LH_KIND_XID8:
			*op = LH_OP_INT;
			return is_integer(leaf);
		case LH_KIND_FLOAT4:
			return float_op(leaf, false, op);
		case LH_KIND_FLOAT8:
			return float_op(leaf, true, op);
		case LH_KIND_DECIMAL:
		case LH_KIND_NUMERIC:
			return numeric_op(leaf, op);
		case LH_KIND_TEXT:
			return string_op(leaf, LH_OP_TEXT, op);
		case LH_KIND_NAME:
			return string_op(leaf, LH_OP_NAME, op);
		case LH_KIND_CHAR:
			return string_op(leaf, LH_OP_CHAR, op);
		case LH_KIND_BYTES:
			return string_op(leaf, LH_OP_BYTES, op) || leaf->type == LH_PQ_FLBA;
		case LH_KIND_FIXED:
			return string_op(leaf, LH_OP_FIXED, op);
		case LH_KIND_ENUM:
			return string_op(leaf, LH_OP_ENUM, op);
		case LH_KIND_IO:
			return string_op(leaf, LH_OP_IO, op);
		case LH_KIND_UUID:
			*op = LH_OP_FIXED;
			return is_fixed(leaf, LH_PQ_UUID, 16) || is_fixed(leaf, LH_PQ_NONE, 16);
		case LH_KIND_DATE:
			*op = LH_OP_DATE;
			return leaf->type == LH_PQ_INT32 && leaf->logical == LH_PQ_DATE;
		case LH_KIND_TIME:
			*op = LH_OP_TIME;
			return (leaf->type == LH_PQ_INT32 || leaf->type == LH_PQ_INT64) && leaf->logical == LH_PQ_TIME;
		case LH_KIND_TIMESTAMP:
		case LH_KIND_TIMESTAMPTZ:
			return timestamp_op(leaf, op);
		case LH_KIND_INTERVAL:
			*op = LH_OP_BYTES_INTERVAL;
			return is_fixed(leaf, LH_PQ_INTERVAL, 12);
		case LH_KIND_COMPOSITE:
			*op = LH_OP_PRESENT;
			return leaf->type == LH_PQ_BOOLEAN;
		case LH_KIND_ARRAY:
		case LH_KIND_VECTOR:
			break;
	}
	return false;
}
