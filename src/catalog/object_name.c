/*
 * object_name.c
 *	  Names of objects: made, taken apart, told from those of others.
 *
 *	data/<incarnation>-<database>-<transaction>-<file id>[-d].parquet
 *	metadata/<incarnation>-<random>-m<n>.avro
 *	metadata/snap-<incarnation>-<random>.avro
 *	metadata/<number>-<incarnation>-<random>.metadata.json
 *
 * pg_basebackup refuses files whose path in the data directory has more than
 * 99 bytes.  So numbers are written in base 36, and no name here has more than
 * 61 bytes; "lakehouse/<database>/<table>/" takes at most 38.  In the last one
 * incarnation and random are hexadecimal: Trino opens no other metadata.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "catalog/lh_catalog.h"

/* Digits that their values need. */
#define INCARNATION_DIGITS	10	/* LH_INCARNATIONS */
#define DATABASE_DIGITS		7	/* 32 bits */
#define XID_DIGITS			12	/* 62 bits */
#define ID_DIGITS			13	/* 64 bits */

/* Of the same length together as the two in base 36. */
#define INCARNATION_HEX		"%013llx"
#define RANDOM_HEX			"%010llx"
#define RANDOM_HEX_BITS		40

#define DELETES_SUFFIX		"-d"
#define DATA_SUFFIX			".parquet"

static char *
put_digits(char *out, uint64 value, int n)
{
	for (int i = n - 1; i >= 0; i--)
	{
		out[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36];
		value /= 36;
	}
	out[n] = '\0';
	return out + n;
}

/* Reads exactly n digits and, if it is not NUL, the character after them. */
static bool
get_digits(const char **in, int n, char after, uint64 *value)
{
	*value = 0;
	for (int i = 0; i < n; i++, (*in)++)
	{
		char		c = **in;
		int			digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;

		if (digit < 0 || __builtin_mul_overflow(*value, 36, value) ||
			__builtin_add_overflow(*value, (uint64) digit, value))
			return false;
	}
	return after == '\0' || *(*in)++ == after;
}

static const char *
base_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash != NULL ? slash + 1 : name;
}

/* ---- incarnations ---- */

char *
lh_incarnation_text(uint64 incarnation)
{
	char		text[INCARNATION_DIGITS + 1];

	put_digits(text, incarnation, INCARNATION_DIGITS);
	return pstrdup(text);
}

bool
lh_incarnation_parse(const char *text, uint64 *incarnation)
{
	return get_digits(&text, INCARNATION_DIGITS, '\0', incarnation) && *text == '\0';
}

bool
lh_object_is_ours(const char *name)
{
	char		text[INCARNATION_DIGITS + 2];
	char		hex[32];

	strcpy(put_digits(text, lh_incarnation(), INCARNATION_DIGITS), "-");
	snprintf(hex, sizeof(hex), "-" INCARNATION_HEX "-", (unsigned long long) lh_incarnation());
	return strstr(base_of(name), text) != NULL || strstr(base_of(name), hex) != NULL;
}

/* ---- data files ---- */

char *
lh_data_file_name(int64 file_id, bool deletes)
{
	char		name[128] = "data/";
	char	   *p = name + strlen(name);

	p = put_digits(p, lh_incarnation(), INCARNATION_DIGITS);
	*p++ = '-';
	p = put_digits(p, MyDatabaseId, DATABASE_DIGITS);
	*p++ = '-';
	p = put_digits(p, U64FromFullTransactionId(GetTopFullTransactionId()), XID_DIGITS);
	*p++ = '-';
	p = put_digits(p, (uint64) file_id, ID_DIGITS);
	return psprintf("%s%s" DATA_SUFFIX, name, deletes ? DELETES_SUFFIX : "");
}

bool
lh_data_file_parse(const char *name, uint64 *fxid, int64 *file_id)
{
	const char *p = base_of(name);
	uint64		incarnation;
	uint64		database;
	uint64		id;

	if (!get_digits(&p, INCARNATION_DIGITS, '-', &incarnation) ||
		!get_digits(&p, DATABASE_DIGITS, '-', &database) || database != MyDatabaseId ||
		!get_digits(&p, XID_DIGITS, '-', fxid) ||
		!get_digits(&p, ID_DIGITS, '\0', &id))
		return false;
	*file_id = (int64) id;
	return strcmp(p, DATA_SUFFIX) == 0 || strcmp(p, DELETES_SUFFIX DATA_SUFFIX) == 0;
}

/* ---- metadata ---- */

char *
lh_metadata_unique(void)
{
	char		text[INCARNATION_DIGITS + 1 + ID_DIGITS + 1];
	char	   *p = put_digits(text, lh_incarnation(), INCARNATION_DIGITS);

	*p++ = '-';
	put_digits(p, (uint64) lh_random_id(), ID_DIGITS);
	return pstrdup(text);
}

char *
lh_metadata_json_unique(void)
{
	uint64		random = (uint64) lh_random_id() & ((UINT64CONST(1) << RANDOM_HEX_BITS) - 1);

	return psprintf(INCARNATION_HEX "-" RANDOM_HEX, (unsigned long long) lh_incarnation(), (unsigned long long) random);
}
