/*
 * type_map.c
 *	  Describes a PostgreSQL type: which natural form its values get in a
 *	  file, and the field ids of its parts.  Knows neither Parquet nor
 *	  Iceberg schemas; shape.c and decode_map.c build on what is said here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "types/types_int.h"

/* ---- field ids ---- */

/*
 * A path from a column down to a nested field: one step a level, the
 * attribute number inside a composite, 1 to the element of an array.
 *
 * The id is the column's attnum in the upper bits and a code of the path in
 * the lower 20.  A path that is not long is its own code: a leading 1, then
 * the steps in a prefix code (w ones, a zero, w bits for a step of w + 1
 * significant bits), so two paths never share an id.  A longer one gets a
 * hash of column and path over all ids that have bit 19 set, about 2^30 of
 * them; shape.c refuses the table should two meet.
 */
#define CODE_BITS		20
#define LONG_PATH		((uint32) 1 << (CODE_BITS - 1))
#define MAX_PATH_BITS	(CODE_BITS - 2) /* after the leading 1 */
#define MAX_UPPER		2000	/* keeps hashes below the reserved ids */

typedef struct FieldPath
{
	AttrNumber	attnum;
	int			n_bits;
	uint32		bits;
	uint64		hash;
} FieldPath;

/* Ids are in files for ever: this must not change (it is murmur3's finalizer). */
static uint64
mix(uint64 h)
{
	h ^= h >> 33;
	h *= UINT64CONST(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64CONST(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return h;
}

static FieldPath
path_step(FieldPath path, int step)
{
	int			width = 0;
	int			n_bits;

	while (step >> (width + 1))
		width++;
	n_bits = 2 * width + 1;

	path.hash = mix(path.hash + (uint64) step);
	if (path.n_bits + n_bits <= MAX_PATH_BITS)
	{
		uint32		ones = ((uint32) 1 << width) - 1;

		path.bits = path.bits << n_bits | ones << (width + 1) | ((uint32) step & ones);
		path.n_bits += n_bits;
	}
	else
		path.n_bits = CODE_BITS;	/* stays too long */
	return path;
}

static int
path_id(FieldPath path)
{
	uint32		upper = path.attnum;
	uint32		code;

	if (path.n_bits == 0)
		return path.attnum;
	if (path.n_bits <= MAX_PATH_BITS)
		code = (uint32) 1 << path.n_bits | path.bits;
	else
	{
		upper = (uint32) ((path.hash >> CODE_BITS) % MAX_UPPER);
		code = LONG_PATH | (uint32) (path.hash & (LONG_PATH - 1));
	}
	return (int) (upper << CODE_BITS | code);
}

/* ---- kinds ---- */

static const struct
{
	Oid			oid;
	LhKind		kind;
}			known_kinds[] =
{
	{BOOLOID, LH_KIND_BOOL},
	{INT2OID, LH_KIND_INT2},
	{INT4OID, LH_KIND_INT4},
	{INT8OID, LH_KIND_INT8},
	{MONEYOID, LH_KIND_INT8},
	{OIDOID, LH_KIND_OID},
	{REGPROCOID, LH_KIND_OID},
	{REGPROCEDUREOID, LH_KIND_OID},
	{REGOPEROID, LH_KIND_OID},
	{REGOPERATOROID, LH_KIND_OID},
	{REGCLASSOID, LH_KIND_OID},
	{REGTYPEOID, LH_KIND_OID},
	{REGROLEOID, LH_KIND_OID},
	{REGNAMESPACEOID, LH_KIND_OID},
	{REGCONFIGOID, LH_KIND_OID},
	{REGDICTIONARYOID, LH_KIND_OID},
	{REGCOLLATIONOID, LH_KIND_OID},
	{XIDOID, LH_KIND_OID},
	{CIDOID, LH_KIND_OID},
	{XID8OID, LH_KIND_XID8},
	{FLOAT4OID, LH_KIND_FLOAT4},
	{FLOAT8OID, LH_KIND_FLOAT8},
	{NUMERICOID, LH_KIND_NUMERIC},
	{TEXTOID, LH_KIND_TEXT},
	{VARCHAROID, LH_KIND_TEXT},
	{BPCHAROID, LH_KIND_TEXT},
	{JSONOID, LH_KIND_TEXT},
	{XMLOID, LH_KIND_TEXT},
	{REFCURSOROID, LH_KIND_TEXT},
	{PG_NODE_TREEOID, LH_KIND_TEXT},
	{NAMEOID, LH_KIND_NAME},
	{CHAROID, LH_KIND_CHAR},
	{BYTEAOID, LH_KIND_BYTES},
	{PG_NDISTINCTOID, LH_KIND_BYTES},
	{PG_DEPENDENCIESOID, LH_KIND_BYTES},
	{PG_MCV_LISTOID, LH_KIND_BYTES},
	{PG_BRIN_BLOOM_SUMMARYOID, LH_KIND_BYTES},
	{PG_BRIN_MINMAX_MULTI_SUMMARYOID, LH_KIND_BYTES},
	{ACLITEMOID, LH_KIND_FIXED},
	{DATEOID, LH_KIND_DATE},
	{TIMEOID, LH_KIND_TIME},
	{TIMESTAMPOID, LH_KIND_TIMESTAMP},
	{TIMESTAMPTZOID, LH_KIND_TIMESTAMPTZ},
	{INTERVALOID, LH_KIND_INTERVAL},
	{UUIDOID, LH_KIND_UUID},
	/* array-like, but counted from 0 */
	{INT2VECTOROID, LH_KIND_IO},
	{OIDVECTOROID, LH_KIND_IO},
};

/* Types whose text form no setting changes; all others are taken to depend on one. */
static const Oid settled_texts[] =
{
	INETOID, CIDROID, MACADDROID, MACADDR8OID, BITOID, VARBITOID, PG_LSNOID, TIDOID,
	JSONBOID, JSONPATHOID, TSVECTOROID, INT2VECTOROID, OIDVECTOROID,
	INT4RANGEOID, INT8RANGEOID, NUMRANGEOID, INT4MULTIRANGEOID, INT8MULTIRANGEOID,
	NUMMULTIRANGEOID, PG_SNAPSHOTOID
};

/*
 * Is this vector or halfvec?  A type is what its input function makes of it:
 * ours, or pgvector's of the same layout.
 */
static bool
is_vector(Oid oid, bool *half)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	Oid			input = InvalidOid;
	bool		found = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	*half = strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname), "halfvec") == 0;
	if (*half || strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname), "vector") == 0)
		input = ((Form_pg_type) GETSTRUCT(tuple))->typinput;
	ReleaseSysCache(tuple);
	if (!OidIsValid(input))
		return false;

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(input));
	if (!HeapTupleIsValid(tuple))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId)
	{
		bool		isnull;
		Datum		symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
		char	   *name = isnull ? "" : TextDatumGetCString(symbol);

		if (strncmp(name, "lh_", 3) == 0)
			name += 3;
		found = strcmp(name, *half ? "halfvec_in" : "vector_in") == 0;
	}
	ReleaseSysCache(tuple);
	return found;
}

static LhKind
kind_of(Oid oid, Oid *element, bool *half)
{
	*element = InvalidOid;
	for (int i = 0; i < (int) lengthof(known_kinds); i++)
		if (known_kinds[i].oid == oid)
			return known_kinds[i].kind;

	*element = get_element_type(oid);
	if (OidIsValid(*element))
		return LH_KIND_ARRAY;

	switch (get_typtype(oid))
	{
		case TYPTYPE_ENUM:
			return LH_KIND_ENUM;
		case TYPTYPE_COMPOSITE:
			return LH_KIND_COMPOSITE;
		default:
			return is_vector(oid, half) ? LH_KIND_VECTOR : LH_KIND_IO;
	}
}

static int
label_cmp(const void *a, const void *b)
{
	Oid			x = ((const LhEnumLabel *) a)->oid;
	Oid			y = ((const LhEnumLabel *) b)->oid;

	return x < y ? -1 : x > y;
}

static void
describe_enum(LhPgType *type)
{
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type->oid));

	type->has_enum = true;
	type->n_labels = list->n_members;
	type->labels = palloc(sizeof(LhEnumLabel) * Max(list->n_members, 1));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_enum form = (Form_pg_enum) GETSTRUCT(&list->members[i]->tuple);

		type->labels[i].oid = form->oid;
		type->labels[i].label = lh_utf8_name(NameStr(form->enumlabel));
		type->labels[i].len = type->labels[i].label ? (int) strlen(type->labels[i].label) : 0;
	}
	ReleaseSysCacheList(list);
	qsort(type->labels, type->n_labels, sizeof(LhEnumLabel), label_cmp);
}

LhEnumLabel
lh_enum_label(const LhPgType *type, Oid value)
{
	LhEnumLabel key = {.oid = value};
	LhEnumLabel *found = bsearch(&key, type->labels, type->n_labels, sizeof(LhEnumLabel), label_cmp);
	HeapTuple	tuple;

	if (found != NULL)
		return *found;

	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	key.label = lh_utf8_name(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	key.len = key.label ? (int) strlen(key.label) : 0;
	ReleaseSysCache(tuple);
	return key;
}

static void
describe_io(LhPgType *type, const char *column)
{
	Oid			out;
	Oid			in;
	bool		is_varlena;

	if (get_typtype(type->oid) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type %s cannot be stored in a lakehouse table",
						format_type_be(type->declared)),
				 errdetail("Column \"%s\" uses it.", column)));

	getTypeOutputInfo(type->oid, &out, &is_varlena);
	getTypeInputInfo(type->oid, &in, &type->ioparam);
	fmgr_info(out, &type->out);
	fmgr_info(in, &type->in);

	type->needs_settings = true;
	for (int i = 0; i < (int) lengthof(settled_texts); i++)
		if (settled_texts[i] == type->oid)
			type->needs_settings = false;
}

static LhPgType *create_at(Oid oid, int32 typmod, FieldPath path, const char *column);

static void
describe_composite(LhPgType *type, FieldPath path, const char *column)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type->oid, -1);

	type->desc = CreateTupleDescCopy(desc);
	DecrTupleDescRefCount(desc);

	type->atts = palloc0(sizeof(LhPgType *) * Max(type->desc->natts, 1));
	for (int i = 0; i < type->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(type->desc, i);
		LhPgType   *child;

		if (!lh_att_is_stored(att))
			continue;
		child = create_at(att->atttypid, att->atttypmod, path_step(path, i + 1), column);
		type->atts[i] = child;
		type->n_stored++;
		type->needs_settings |= child->needs_settings;
		type->has_enum |= child->has_enum;
	}
}

static LhPgType *
create_at(Oid oid, int32 typmod, FieldPath path, const char *column)
{
	LhPgType   *type = palloc0(sizeof(LhPgType));
	Oid			element;

	check_stack_depth();

	type->declared = oid;
	type->typmod = typmod;
	type->oid = getBaseTypeAndTypmod(oid, &type->typmod);
	type->field_id = path_id(path);
	type->kind = kind_of(type->oid, &element, &type->half);
	get_typlenbyvalalign(type->oid, &type->len, &type->byval, &type->align);

	switch (type->kind)
	{
		case LH_KIND_NUMERIC:
			if (type->typmod >= (int32) VARHDRSZ)
			{
				int32		packed = type->typmod - VARHDRSZ;

				/* the scale has 11 bits and a sign */
				type->precision = (packed >> 16) & 0xFFFF;
				type->scale = ((packed & 0x7FF) ^ 1024) - 1024;
				if (type->precision <= 38 && type->scale >= 0 && type->scale <= type->precision)
					type->kind = LH_KIND_DECIMAL;
			}
			break;
		case LH_KIND_ENUM:
			describe_enum(type);
			break;
		case LH_KIND_IO:
			describe_io(type, column);
			break;
		case LH_KIND_ARRAY:
			type->element = create_at(element, type->typmod, path_step(path, 1), column);
			type->needs_settings = type->element->needs_settings;
			type->has_enum = type->element->has_enum;
			break;
		case LH_KIND_VECTOR:
			type->element = create_at(FLOAT4OID, -1, path_step(path, 1), column);
			break;
		case LH_KIND_COMPOSITE:
			describe_composite(type, path, column);
			break;
		case LH_KIND_INTERVAL:
			for (int i = 0; i < 3; i++)
				type->part_ids[i] = path_id(path_step(path, i + 1));
			break;
		default:
			break;
	}
	return type;
}

LhPgType *
lh_type_create(Oid oid, int32 typmod, AttrNumber attnum, const char *column)
{
	FieldPath	path = {.attnum = attnum,.hash = mix((uint64) attnum << 32)};

	return create_at(oid, typmod, path, column);
}

LhPqType
lh_decimal_physical(int precision)
{
	if (precision <= 9)
		return LH_PQ_INT32;
	if (precision <= 18)
		return LH_PQ_INT64;
	return LH_PQ_FLBA;
}
