/*
 * lh_objstore_test.c
 *	  SQL functions that do one thing with an object store each, so that a
 *	  test script can put them in any order.  functions.sql declares them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "objstore/objstore.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	lh_objstore_init();
}

static LhStore *
store_arg(FunctionCallInfo fcinfo)
{
	return lh_store_open(text_to_cstring(PG_GETARG_TEXT_PP(0)));
}

static char *
name_arg(FunctionCallInfo fcinfo)
{
	return text_to_cstring(PG_GETARG_TEXT_PP(1));
}

/* ---- locations ---- */

PG_FUNCTION_INFO_V1(os_normalize);
Datum
os_normalize(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(lh_location_normalize(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

PG_FUNCTION_INFO_V1(os_default);
Datum
os_default(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(lh_store_default_location()));
}

PG_FUNCTION_INFO_V1(os_check);
Datum
os_check(PG_FUNCTION_ARGS)
{
	lh_location_check(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(os_name_of_uri);
Datum
os_name_of_uri(PG_FUNCTION_ARGS)
{
	const char *name = lh_store_name_of_uri(store_arg(fcinfo), name_arg(fcinfo));

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* ---- writing ---- */

PG_FUNCTION_INFO_V1(os_put);
Datum
os_put(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(2);

	lh_store_put(store_arg(fcinfo), name_arg(fcinfo), VARDATA_ANY(data),
				 VARSIZE_ANY_EXHDR(data), PG_GETARG_BOOL(3));
	PG_RETURN_VOID();
}

/* Uploads the chunk n times, then: finish, abort, error or leave it open. */
PG_FUNCTION_INFO_V1(os_upload);
Datum
os_upload(PG_FUNCTION_ARGS)
{
	bytea	   *chunk = PG_GETARG_BYTEA_PP(2);
	int			n = PG_GETARG_INT32(3);
	char	   *end = text_to_cstring(PG_GETARG_TEXT_PP(4));
	LhUpload   *upload = lh_upload_begin(store_arg(fcinfo), name_arg(fcinfo));
	int64		bytes;

	for (int i = 0; i < n; i++)
		lh_upload_write(upload, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
	bytes = lh_upload_bytes(upload);
	if (strcmp(end, "finish") == 0)
		lh_upload_finish(upload);
	else if (strcmp(end, "abort") == 0)
		lh_upload_abort(upload);
	else if (strcmp(end, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RAISE_EXCEPTION),
				 errmsg("error in the middle")));
	PG_RETURN_INT64(bytes);
}

/*
 * n uploads at once, prefix || 1 .. prefix || n, each holding its number in 8
 * bytes: all begun, then all written, then all finished.
 */
PG_FUNCTION_INFO_V1(os_upload_many);
Datum
os_upload_many(PG_FUNCTION_ARGS)
{
	LhStore    *store = store_arg(fcinfo);
	char	   *prefix = name_arg(fcinfo);
	int			n = PG_GETARG_INT32(2);
	LhUpload  **uploads = palloc(sizeof(LhUpload *) * n);

	for (int i = 0; i < n; i++)
		uploads[i] = lh_upload_begin(store, psprintf("%s%d", prefix, i + 1));
	for (int i = 0; i < n; i++)
	{
		char		number[16];

		snprintf(number, sizeof(number), "%-8d", i + 1);
		lh_upload_write(uploads[i], number, 8);
	}
	for (int i = 0; i < n; i++)
		lh_upload_finish(uploads[i]);
	PG_RETURN_VOID();
}

/* ---- reading ---- */

PG_FUNCTION_INFO_V1(os_fetch);
Datum
os_fetch(PG_FUNCTION_ARGS)
{
	int64		len = PG_GETARG_INT64(3);
	bytea	   *result = palloc(VARHDRSZ + Max(len, 0));

	SET_VARSIZE(result, VARHDRSZ + Max(len, 0));
	lh_store_read(store_arg(fcinfo), name_arg(fcinfo), PG_GETARG_INT64(2), len, VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}

/*
 * Fetches the first 8 bytes of prefix || 1 .. prefix || n: all submitted
 * before the first wait, every tenth cancelled.  Returns how many held the
 * number in their name.
 */
PG_FUNCTION_INFO_V1(os_fetch_many);
Datum
os_fetch_many(PG_FUNCTION_ARGS)
{
	LhStore    *store = store_arg(fcinfo);
	char	   *prefix = name_arg(fcinfo);
	int			n = PG_GETARG_INT32(2);
	LhFetch   **fetches = palloc(sizeof(LhFetch *) * n);
	char	   *buf = palloc0(9 * n);
	int			good = 0;

	for (int i = 0; i < n; i++)
		fetches[i] = lh_fetch_submit(store, psprintf("%s%d", prefix, i + 1),
									 0, 8, buf + 9 * i);
	for (int i = 0; i < n; i++)
	{
		if (i % 10 == 9)
		{
			lh_fetch_cancel(fetches[i]);
			continue;
		}
		lh_fetch_wait(fetches[i]);
		if (atoi(buf + 9 * i) == i + 1)
			good++;
	}
	PG_RETURN_INT32(good);
}

PG_FUNCTION_INFO_V1(os_size);
Datum
os_size(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(lh_store_size(store_arg(fcinfo), name_arg(fcinfo),
								  PG_GETARG_BOOL(2)));
}

PG_FUNCTION_INFO_V1(os_read_all);
Datum
os_read_all(PG_FUNCTION_ARGS)
{
	int64		len;
	char	   *data = lh_store_read_all(store_arg(fcinfo), name_arg(fcinfo),
										 PG_GETARG_INT64(2), PG_GETARG_BOOL(3), &len);
	bytea	   *result;

	if (data == NULL)
		PG_RETURN_NULL();
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	PG_RETURN_BYTEA_P(result);
}

/* ---- listing and removing ---- */

static void
list_one(const LhObjectInfo *object, void *arg)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) arg;
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = CStringGetTextDatum(object->name);
	values[1] = Int64GetDatum(object->size);
	values[2] = TimestampTzGetDatum(object->mtime);
	values[3] = BoolGetDatum(object->is_temp);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(os_list);
Datum
os_list(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	lh_store_list(store_arg(fcinfo), name_arg(fcinfo), list_one, fcinfo->resultinfo);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(os_remove);
Datum
os_remove(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(lh_store_remove(store_arg(fcinfo), name_arg(fcinfo),
								   PG_GETARG_BOOL(2)));
}

PG_FUNCTION_INFO_V1(os_remove_seen);
Datum
os_remove_seen(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(lh_store_remove_seen(store_arg(fcinfo), name_arg(fcinfo), false,
										DatumGetTransactionId(PG_GETARG_DATUM(2))));
}

PG_FUNCTION_INFO_V1(os_may_remove);
Datum
os_may_remove(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(lh_store_may_remove(DatumGetTransactionId(PG_GETARG_DATUM(0))));
}

PG_FUNCTION_INFO_V1(os_remove_empty_dirs);
Datum
os_remove_empty_dirs(PG_FUNCTION_ARGS)
{
	lh_store_remove_empty_dirs(store_arg(fcinfo), name_arg(fcinfo));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(os_release_files);
Datum
os_release_files(PG_FUNCTION_ARGS)
{
	lh_store_release_files();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(os_counters);
Datum
os_counters(PG_FUNCTION_ARGS)
{
	const LhStoreCounters *c = lh_store_counters();

	PG_RETURN_TEXT_P(cstring_to_text(psprintf("reads=%lld bytes_read=%lld writes=%lld bytes_written=%lld opens=%lld heads=%lld lists=%lld removes=%lld",
											  (long long) c->reads, (long long) c->bytes_read,
											  (long long) c->writes, (long long) c->bytes_written,
											  (long long) c->opens, (long long) c->heads,
											  (long long) c->lists, (long long) c->removes)));
}
