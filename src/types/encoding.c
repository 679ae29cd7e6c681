/*
 * encoding.c
 *	  Text between the database's encoding and the UTF-8 of files.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "types/types_int.h"

bool
lh_server_is_utf8(void)
{
	int			encoding = GetDatabaseEncoding();

	return encoding == PG_UTF8 || encoding == PG_SQL_ASCII;
}

/* Converts all of it, or returns false. */
static bool
convert(int from, int to, const char *s, int len, char **out, int *out_len)
{
	Oid			proc = FindDefaultConversionProc(from, to);
	Size		room = Min((Size) len * MAX_CONVERSION_GROWTH + 1, (Size) PG_INT32_MAX);

	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("default conversion function for encoding \"%s\" to \"%s\" does not exist",
						pg_encoding_to_char(from), pg_encoding_to_char(to))));

	*out = MemoryContextAllocHuge(CurrentMemoryContext, room);
	if (pg_do_encoding_conversion_buf(proc, from, to,
									  (unsigned char *) unconstify(char *, s), len,
									  (unsigned char *) *out, (int) room, true) != len)
		return false;
	*out_len = (int) strlen(*out);
	return true;
}

bool
lh_to_utf8(const char *s, int len, const char **out, int *out_len)
{
	int			encoding = GetDatabaseEncoding();
	char	   *utf8;
	char	   *back;
	int			back_len;

	*out = s;
	*out_len = len;
	/* functions in C can make text that is not valid in the database's encoding either */
	if (lh_server_is_utf8())
		return pg_encoding_verifymbstr(PG_UTF8, s, len) == len;

	if (!convert(encoding, PG_UTF8, s, len, &utf8, out_len))
		return false;
	*out = utf8;

	/* some encodings hold characters that come back as others */
	return convert(PG_UTF8, encoding, utf8, *out_len, &back, &back_len) &&
		back_len == len && memcmp(back, s, len) == 0;
}

const char *
lh_from_utf8(const char *s, int len, int *out_len)
{
	int			good = pg_encoding_verifymbstr(PG_UTF8, s, len);
	const char *converted;

	if (good != len)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("text in a data file is not valid UTF-8"),
				 errdetail("The byte at offset %d of a value of %d bytes is 0x%02x.",
						   good, len, (unsigned char) s[good])));

	if (lh_server_is_utf8() || len == 0)
	{
		*out_len = len;
		return s;
	}
	converted = pg_any_to_server(s, len, PG_UTF8);
	*out_len = converted == s ? len : (int) strlen(converted);
	return converted;
}

char *
lh_utf8_name(const char *name)
{
	const char *utf8;
	int			len;

	if (!lh_to_utf8(name, (int) strlen(name), &utf8, &len))
		return NULL;
	return pnstrdup(utf8, len);
}
