/*
 * stat_bound.c
 *	  Statistics bounds as datums, for pruning.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"

#include "types/types_int.h"

/*
 * Is the file's order of this leaf the order of the type's default btree
 * class?  Of text only where the collation compares bytes; padded bpchar
 * compares without its blanks, and enums, json and text forms have orders of
 * their own.
 */
static bool
same_order(const LhPqNode *leaf, const LhPgType *type, Oid collation)
{
	bool		is_signed = leaf->logical != LH_PQ_INTEGER || leaf->is_signed;

	switch (type->kind)
	{
		case LH_KIND_FLOAT4:
		case LH_KIND_FLOAT8:
			return leaf->logical != LH_PQ_FLOAT16;
		case LH_KIND_BOOL:
		case LH_KIND_DATE:
		case LH_KIND_TIME:
		case LH_KIND_TIMESTAMP:
		case LH_KIND_TIMESTAMPTZ:
			return leaf->type != LH_PQ_INT96;
		case LH_KIND_INT2:
		case LH_KIND_INT8:
			return is_signed;
		case LH_KIND_INT4:
			return is_signed && leaf->type == LH_PQ_INT32;	/* not once an oid */
		case LH_KIND_OID:
			return is_signed && leaf->type == LH_PQ_INT64 && type->oid != XIDOID && type->oid != CIDOID;
		case LH_KIND_DECIMAL:
		case LH_KIND_NUMERIC:
			return is_signed && leaf->logical != LH_PQ_STRING && leaf->logical != LH_PQ_NONE;
		case LH_KIND_UUID:
			return true;
		case LH_KIND_BYTES:
			return type->oid == BYTEAOID && (leaf->logical == LH_PQ_NONE || leaf->logical == LH_PQ_STRING);
		case LH_KIND_TEXT:
			return (type->oid == TEXTOID || type->oid == VARCHAROID) &&
				lh_server_is_utf8() && lh_collation_is_c(collation);
		default:
			return false;
	}
}

/* One PLAIN value as a one-slot vector; false: not of the leaf's length. */
static bool
plain_slot(const LhPqNode *leaf, LhPqBytes *bytes, uint64 *space, LhPqVector *v)
{
	int			expected;

	v->n_rows = v->n_levels = v->n_values = 1;
	v->values.any = space;
	switch (leaf->type)
	{
		case LH_PQ_BOOLEAN:
			expected = 1;
			break;
		case LH_PQ_INT32:
		case LH_PQ_FLOAT:
			expected = 4;
			break;
		case LH_PQ_INT64:
		case LH_PQ_DOUBLE:
			expected = 8;
			break;
		case LH_PQ_FLBA:
			v->values.bytes = bytes;
			return bytes->len == leaf->type_length;
		default:
			v->values.bytes = bytes;
			return bytes->len >= 0;
	}
	if (bytes->len != expected)
		return false;
	memcpy(space, bytes->data, expected);
	return true;
}

bool
lh_stat_datum(const LhPqNode *leaf, Form_pg_attribute att, LhPqBytes bytes, Datum *out)
{
	LhConv		conv = {.shape = LH_CONV_LEAF,.node = leaf};
	LhPqVector	v = {0};
	uint64		space = 0;
	LhPgType   *type;

	/* a part of a nested column bounds nothing of the whole */
	if (bytes.data == NULL || leaf->is_group || leaf->max_rep > 0 || leaf->field_id != att->attnum)
		return false;

	type = lh_type_create(att->atttypid, att->atttypmod, att->attnum, NameStr(att->attname));
	if (!same_order(leaf, type, att->attcollation) || !lh_leaf_op(leaf, type, &conv.op))
		return false;
	if (!plain_slot(leaf, &bytes, &space, &v))
		return false;

	/* a shortened bound may end inside a character */
	if (type->kind == LH_KIND_TEXT &&
		pg_encoding_verifymbstr(PG_UTF8, (const char *) bytes.data, bytes.len) != bytes.len)
		return false;

	conv.type = type;
	lh_decode_leaf(&conv, &v, 1, NULL, out);
	return true;
}
