/*
 * encoding.c
 *	  Text between the database's encoding and the UTF-8 of files.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "types/types_int.h"

#define REPLACEMENT		"\xEF\xBF\xBD"	/* U+FFFD */

bool
lh_server_is_utf8(void)
{
	int			encoding = GetDatabaseEncoding();

	return encoding == PG_UTF8 || encoding == PG_SQL_ASCII;
}

/* SQL_ASCII text that is not UTF-8: each bad byte shows as U+FFFD. */
static void
replace_invalid(const char *s, int len, StringInfo out)
{
	while (len > 0)
	{
		int			good = pg_encoding_verifymbstr(PG_UTF8, s, len);

		appendBinaryStringInfo(out, s, good);
		s += good;
		len -= good;
		if (len > 0)
		{
			appendStringInfoString(out, REPLACEMENT);
			s++;
			len--;
		}
	}
}

/* Converts what has a Unicode equivalent; each other character shows as U+FFFD. */
static bool
convert_lossy(Oid proc, int encoding, const char *s, int len, StringInfo out)
{
	bool		whole = true;

	while (len > 0)
	{
		int			room = Min((int64) len * MAX_CONVERSION_GROWTH + 1, (int64) MaxAllocSize / 2);
		int			done;

		enlargeStringInfo(out, room);
		done = pg_do_encoding_conversion_buf(proc, encoding, PG_UTF8,
											 (unsigned char *) unconstify(char *, s), len,
											 (unsigned char *) out->data + out->len, room, true);
		out->len += (int) strlen(out->data + out->len);
		s += done;
		len -= done;
		if (len > 0)
		{
			int			skip = Min(pg_encoding_mblen(encoding, s), len);

			whole = false;
			appendStringInfoString(out, REPLACEMENT);
			s += skip;
			len -= skip;
		}
	}
	return whole;
}

bool
lh_to_utf8(const char *s, int len, const char **out, int *out_len)
{
	int			encoding = GetDatabaseEncoding();
	StringInfoData buf;
	Oid			proc;
	bool		whole;

	*out = s;
	*out_len = len;

	if (encoding == PG_UTF8)
		return true;

	if (encoding == PG_SQL_ASCII)
	{
		if (pg_encoding_verifymbstr(PG_UTF8, s, len) == len)
			return true;
		initStringInfo(&buf);
		replace_invalid(s, len, &buf);
		*out = buf.data;
		*out_len = buf.len;
		return false;
	}

	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("default conversion function for encoding \"%s\" to \"%s\" does not exist",
						pg_encoding_to_char(encoding), "UTF8")));
	initStringInfo(&buf);
	whole = convert_lossy(proc, encoding, s, len, &buf);
	*out = buf.data;
	*out_len = buf.len;

	/* Some encodings hold characters that come back as others. */
	if (whole)
	{
		char	   *back = pg_any_to_server(buf.data, buf.len, PG_UTF8);

		whole = back == buf.data ? buf.len == len :
			strlen(back) == (size_t) len && memcmp(back, s, len) == 0;
	}
	return whole;
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

	(void) lh_to_utf8(name, (int) strlen(name), &utf8, &len);
	return pnstrdup(utf8, len);
}
