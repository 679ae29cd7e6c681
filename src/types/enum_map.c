/*
 * enum_map.c
 *	  From a label in a file to a value of the enum as it is now.
 *
 * Labels can be renamed while files keep the old ones, so a file says which
 * value each label stood for when it was written (key LH_KV_ENUMS: object of
 * field ids, of labels, of OIDs).  A label that is not told there, or whose
 * value is gone, is looked up by name.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "types/types_int.h"

struct LhEnumMap
{
	Oid			type;
	Jsonb	   *told;			/* labels of this field, NULL: none */
	HTAB	   *resolved;
};

typedef struct Resolved
{
	char		label[NAMEDATALEN]; /* key, UTF-8 */
	Oid			value;
} Resolved;

static const char *
file_value(const LhPqFileMeta *meta, const char *key)
{
	for (int i = 0; i < meta->n_kv; i++)
		if (strcmp(meta->kv_keys[i], key) == 0)
			return meta->kv_values[i];
	return NULL;
}

/* NULL: the file says nothing. */
static Jsonb *
parse_enums(const LhPqFileMeta *meta)
{
	const char *json = file_value(meta, LH_KV_ENUMS);
	Jsonb	   *all;
	int			len;

	if (json == NULL)
		return NULL;
	json = lh_from_utf8(json, (int) strlen(json), &len);
	all = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(json, len))));
	return JB_ROOT_IS_OBJECT(all) ? all : NULL;
}

static Jsonb *
labels_of_field(const LhPqFileMeta *meta, int field_id)
{
	Jsonb	   *all = parse_enums(meta);
	JsonbValue *labels;
	char		key[16];

	if (all == NULL)
		return NULL;
	snprintf(key, sizeof(key), "%d", field_id);
	labels = getKeyJsonValueFromContainer(&all->root, key, (int) strlen(key), NULL);
	if (labels == NULL || labels->type != jbvBinary)
		return NULL;
	all = JsonbValueToJsonb(labels);
	return JB_ROOT_IS_OBJECT(all) ? all : NULL;
}

LhEnumMap *
lh_enum_map_create(const LhPqFileMeta *meta, const LhPgType *type)
{
	LhEnumMap  *map = palloc0(sizeof(LhEnumMap));
	HASHCTL		ctl = {
		.keysize = NAMEDATALEN,
		.entrysize = sizeof(Resolved),
		.hcxt = CurrentMemoryContext
	};

	map->type = type->oid;
	map->told = labels_of_field(meta, type->field_id);
	map->resolved = hash_create("lakehouse enum labels", 32, &ctl,
								HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	return map;
}

bool
lh_enum_has_value(Oid type, Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	bool		valid;

	if (!HeapTupleIsValid(tuple))
		return false;
	valid = ((Form_pg_enum) GETSTRUCT(tuple))->enumtypid == type;
	ReleaseSysCache(tuple);
	return valid;
}

/* What the file says, if that still is a value of this enum. */
static Oid
told_value(const LhEnumMap *map, const char *label)
{
	JsonbValue *number;
	int64		oid;

	if (map->told == NULL)
		return InvalidOid;
	number = getKeyJsonValueFromContainer(&map->told->root, label, (int) strlen(label), NULL);
	if (number == NULL || number->type != jbvNumeric)
		return InvalidOid;
	oid = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number->val.numeric)));
	if (oid <= 0 || oid > PG_UINT32_MAX || !lh_enum_has_value(map->type, (Oid) oid))
		return InvalidOid;
	return (Oid) oid;
}

static Oid
named_value(const LhEnumMap *map, const char *label)
{
	HeapTuple	tuple;
	Oid			value;

	tuple = SearchSysCache2(ENUMTYPOIDNAME, ObjectIdGetDatum(map->type), CStringGetDatum(label));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	value = ((Form_pg_enum) GETSTRUCT(tuple))->oid;
	ReleaseSysCache(tuple);
	return value;
}

static Oid
resolve(const LhEnumMap *map, const uint8 *label, int len)
{
	int			server_len;
	const char *server = lh_from_utf8((const char *) label, len, &server_len);
	char	   *name = pnstrdup(server, server_len);
	Oid			value = InvalidOid;

	if (server_len < NAMEDATALEN)
	{
		value = told_value(map, name);
		if (!OidIsValid(value))
			value = named_value(map, name);
	}
	if (!OidIsValid(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid value for enum %s in a data file: \"%s\"",
						format_type_be(map->type), name)));
	pfree(name);
	return value;
}

/* Does it have the label that the file gives it?  Of a value that is gone, no row is left. */
static bool
is_label_of(const JsonbValue *label, const JsonbValue *number)
{
	int64		oid = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number->val.numeric)));
	HeapTuple	tuple;
	const char *now;
	bool		same;

	if (oid <= 0 || oid > PG_UINT32_MAX)
		return true;
	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum((Oid) oid));
	if (!HeapTupleIsValid(tuple))
		return true;
	now = NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel);
	same = (int) strlen(now) == label->val.string.len &&
		memcmp(now, label->val.string.val, label->val.string.len) == 0;
	ReleaseSysCache(tuple);
	return same;
}

bool
lh_enums_fit(const LhPqFileMeta *meta)
{
	Jsonb	   *all = parse_enums(meta);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	JsonbValue	key = {0};

	if (all == NULL)
		return true;
	it = JsonbIteratorInit(&all->root);
	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = v;
		else if (token == WJB_VALUE && v.type == jbvNumeric && !is_label_of(&key, &v))
			return false;
	}
	return true;
}

Oid
lh_enum_map_lookup(LhEnumMap *map, const uint8 *label, int len)
{
	char		key[NAMEDATALEN] = {0};
	Resolved   *entry;
	bool		found;

	if (len >= NAMEDATALEN || memchr(label, 0, len) != NULL)
		return resolve(map, label, len);	/* no hash key; likely an error */

	memcpy(key, label, len);
	entry = hash_search(map->resolved, key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		Oid			value = resolve(map, label, len);

		entry = hash_search(map->resolved, key, HASH_ENTER, &found);
		entry->value = value;
	}
	return entry->value;
}
