/*
 * lh_types_test.c
 *	  SQL functions that write a heap table's rows to a Parquet file in memory
 *	  through src/types and read them back, for the tests of that layer.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "types/pg_compat.h"
#include "types/types.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(types_write);
PG_FUNCTION_INFO_V1(types_read);
PG_FUNCTION_INFO_V1(types_iceberg);
PG_FUNCTION_INFO_V1(types_bounds);
PG_FUNCTION_INFO_V1(types_exact_cells);
PG_FUNCTION_INFO_V1(types_cell);
PG_FUNCTION_INFO_V1(types_apply);
PG_FUNCTION_INFO_V1(types_time);

/* ---- writing ---- */

static LhStatus
to_string(void *ctx, const uint8_t *data, size_t len, LhError *err)
{
	(void) err;
	appendBinaryStringInfo((StringInfo) ctx, (const char *) data, (int) len);
	return LH_OK;
}

static int64
write_table(Oid relid, bool row_ids, StringInfo file)
{
	Relation	rel = table_open(relid, AccessShareLock);
	LhShape    *shape = lh_shape_create(RelationGetDescr(rel), row_ids);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqWriterOptions options;
	const char *key = LH_KV_ENUMS;
	LhPqWriter *writer;
	LhPqFileMeta *meta;
	LhError		err;
	int64		n = 0;
	int			nest;

	lh_pq_writer_defaults(&options);
	if (shape->enums_json)
	{
		options.n_kv = 1;
		options.kv_keys = &key;
		options.kv_values = &shape->enums_json;
	}
	lh_report(lh_pq_writer_open(&shape->schema, &options, &alloc, to_string, file, &writer, &err),
			  &err, "test");

	nest = lh_types_begin(shape->needs_settings);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		lh_shape_put_row(shape, writer, slot->tts_values, slot->tts_isnull, 1000 + n++,
						 FrozenTransactionId);
	}
	lh_types_end(nest);

	lh_report(lh_pq_writer_close(writer, &meta, &err), &err, "test");
	lh_pq_writer_free(writer);
	lh_pq_meta_free(meta);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	lh_shape_free(shape);
	table_close(rel, AccessShareLock);
	return n;
}

Datum
types_write(PG_FUNCTION_ARGS)
{
	StringInfoData file;

	initStringInfo(&file);
	write_table(PG_GETARG_OID(0), PG_GETARG_BOOL(1), &file);
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(file.data, file.len));
}

/* ---- reading ---- */

static LhPqFileMeta *
open_file(const uint8 *data, int64 size, const LhAlloc *alloc)
{
	LhPqFileMeta *meta;
	int64_t		footer;
	LhError		err;

	if (size < LH_PQ_TAIL_BYTES)
		elog(ERROR, "too short");
	lh_report(lh_pq_tail_parse(data + size - LH_PQ_TAIL_BYTES, size, &footer, &err), &err, "test");
	lh_report(lh_pq_footer_parse(data + size - LH_PQ_TAIL_BYTES - footer, footer, size, alloc, &meta, &err),
			  &err, "test");
	return meta;
}

static LhPqColumnReader *
open_leaf(const LhPqFileMeta *meta, int group, int leaf, const uint8 *data, const LhAlloc *alloc)
{
	const LhPqChunk *chunk = &meta->row_groups[group].chunks[leaf];
	LhPqColumnReader *reader;
	LhError		err;

	lh_report(lh_pq_column_open(meta, group, leaf, data + chunk->start, chunk->total_compressed,
								alloc, &reader, &err), &err, "test");
	return reader;
}

static void
read_leaf(LhPqColumnReader *reader, int64 max, LhPqVector *out)
{
	LhError		err;

	lh_report(lh_pq_column_read(reader, max, out, &err), &err, "test");
}

/* One row group, `sink` (or nobody) gets the rows. */
static int64
read_group(const LhPqFileMeta *meta, int group, const uint8 *data, TupleDesc desc, int batch,
		   Tuplestorestate *sink)
{
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhDecoder **decoders = palloc0(sizeof(LhDecoder *) * Max(desc->natts, 1));
	LhPqColumnReader **readers = palloc0(sizeof(void *) * meta->schema.n_leaves);
	LhPqVector *vectors = palloc0(sizeof(LhPqVector) * meta->schema.n_leaves);
	LhPqNode   *exact = lh_file_column(meta, LH_FIELD_EXACT);
	Datum	   *columns = palloc(sizeof(Datum) * Max(desc->natts, 1) * batch);
	bool	   *nulls = palloc(sizeof(bool) * Max(desc->natts, 1) * batch);
	Datum	   *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "batch", ALLOCSET_DEFAULT_SIZES);
	bool		settings = false;
	int64		done = 0;

	for (int i = 0; i < desc->natts; i++)
		if (lh_att_is_stored(TupleDescAttr(desc, i)))
		{
			decoders[i] = lh_decoder_create(meta, TupleDescAttr(desc, i));
			if (decoders[i])
				settings |= decoders[i]->needs_settings;
		}
	for (int leaf = 0; leaf < meta->schema.n_leaves; leaf++)
		readers[leaf] = open_leaf(meta, group, leaf, data, &alloc);

	while (done < meta->row_groups[group].num_rows)
	{
		int64		n = Min(batch, meta->row_groups[group].num_rows - done);
		MemoryContext caller = MemoryContextSwitchTo(cxt);
		int			nest = lh_types_begin(settings);

		for (int leaf = 0; leaf < meta->schema.n_leaves; leaf++)
			read_leaf(readers[leaf], n, &vectors[leaf]);
		for (int i = 0; i < desc->natts; i++)
		{
			memset(nulls + i * batch, true, n);
			if (decoders[i] == NULL)
				continue;
			lh_decoder_run(decoders[i], &vectors[decoders[i]->first_leaf], n,
						   columns + i * batch, nulls + i * batch);
			if (exact)
				lh_exact_apply(decoders[i], &vectors[exact->first_leaf],
							   columns + i * batch, nulls + i * batch);
		}
		lh_types_end(nest);
		for (int64 row = 0; row < n && sink; row++)
		{
			for (int i = 0; i < desc->natts; i++)
			{
				values[i] = columns[i * batch + row];
				isnull[i] = nulls[i * batch + row];
			}
			tuplestore_putvalues(sink, desc, values, isnull);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(cxt);
		done += n;
	}
	for (int leaf = 0; leaf < meta->schema.n_leaves; leaf++)
		lh_pq_column_close(readers[leaf]);
	for (int i = 0; i < desc->natts; i++)
		lh_decoder_free(decoders[i]);
	return done;
}

static TupleDesc
desc_of_argument(FunctionCallInfo fcinfo, int n)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	TupleDesc	copy = CreateTupleDescCopy(desc);

	ReleaseTupleDesc(desc);
	return copy;
}

Datum
types_read(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bytea	   *file = PG_GETARG_BYTEA_P(0);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqFileMeta *meta = open_file((uint8 *) VARDATA(file), VARSIZE(file) - VARHDRSZ, &alloc);
	MemoryContext caller = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	TupleDesc	desc = desc_of_argument(fcinfo, 1);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);

	MemoryContextSwitchTo(caller);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = store;
	rsinfo->setDesc = desc;
	for (int group = 0; group < meta->n_row_groups; group++)
		read_group(meta, group, (uint8 *) VARDATA(file), desc, PG_GETARG_INT32(2), store);
	lh_pq_meta_free(meta);
	return (Datum) 0;
}

Datum
types_iceberg(PG_FUNCTION_ARGS)
{
	Relation	rel = table_open(PG_GETARG_OID(0), AccessShareLock);
	LhShape    *shape = lh_shape_create(RelationGetDescr(rel), true);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhArena		arena;
	LhIceSchema schema;
	LhBuf		json;
	LhError		err;

	lh_arena_init(&arena, &alloc);
	lh_buf_init(&json, &alloc);
	lh_shape_iceberg(shape, &arena, &schema);
	lh_report(lh_ice_schema_check(&schema, &alloc, &err), &err, "schema");
	lh_report(lh_ice_schema_to_json(&schema, &json, &err), &err, "schema");
	table_close(rel, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text_with_len((char *) json.data, json.len));
}

Datum
types_bounds(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bytea	   *file = PG_GETARG_BYTEA_P(0);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqFileMeta *meta = open_file((uint8 *) VARDATA(file), VARSIZE(file) - VARHDRSZ, &alloc);
	TupleDesc	desc = desc_of_argument(fcinfo, 1);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		LhPqNode   *node = lh_file_column(meta, att->attnum);
		Datum		values[3] = {Int32GetDatum(att->attnum)};
		bool		nulls[3] = {false, true, true};
		LhPqStats  *stats;
		Oid			out;
		bool		is_varlena;

		if (att->attisdropped || node == NULL)
			continue;
		stats = &meta->row_groups[0].chunks[node->first_leaf].stats;
		getTypeOutputInfo(att->atttypid, &out, &is_varlena);
		for (int k = 0; k < 2; k++)
		{
			Datum		bound;

			if (!lh_stat_datum(node, att, k == 0 ? stats->min : stats->max, &bound))
				continue;
			values[k + 1] = CStringGetTextDatum(OidOutputFunctionCall(out, bound));
			nulls[k + 1] = false;
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
types_exact_cells(PG_FUNCTION_ARGS)
{
	bytea	   *file = PG_GETARG_BYTEA_P(0);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqFileMeta *meta = open_file((uint8 *) VARDATA(file), VARSIZE(file) - VARHDRSZ, &alloc);
	int			leaf = lh_file_column(meta, LH_FIELD_EXACT)->first_leaf;
	int64		n = 0;

	for (int group = 0; group < meta->n_row_groups; group++)
		n += meta->row_groups[group].num_rows - meta->row_groups[group].chunks[leaf].stats.null_count;
	PG_RETURN_INT64(n);
}

/* The exact cell of a row of the first row group. */
Datum
types_cell(PG_FUNCTION_ARGS)
{
	bytea	   *file = PG_GETARG_BYTEA_P(0);
	const uint8 *data = (uint8 *) VARDATA(file);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqFileMeta *meta = open_file(data, VARSIZE(file) - VARHDRSZ, &alloc);
	LhPqColumnReader *reader = open_leaf(meta, 0, lh_file_column(meta, LH_FIELD_EXACT)->first_leaf, data, &alloc);
	int			row = PG_GETARG_INT32(1);
	LhPqVector	v;

	read_leaf(reader, row + 1, &v);
	if (row >= v.n_rows || (v.nulls && v.nulls[row]))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(cstring_to_text_with_len((char *) v.values.bytes[row].data, v.values.bytes[row].len));
}

/* A row of nulls but for what an exact cell says. */
Datum
types_apply(PG_FUNCTION_ARGS)
{
	bytea	   *file = PG_GETARG_BYTEA_P(0);
	bytea	   *cell = PG_GETARG_BYTEA_PP(1);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqFileMeta *meta = open_file((uint8 *) VARDATA(file), VARSIZE(file) - VARHDRSZ, &alloc);
	TupleDesc	desc = desc_of_argument(fcinfo, 2);
	Datum	   *values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	LhPqBytes	bytes = {.data = (uint8 *) VARDATA_ANY(cell),.len = VARSIZE_ANY_EXHDR(cell)};
	LhPqVector	v = {.n_rows = 1,.n_levels = 1,.n_values = 1,.values.bytes = &bytes};
	int			nest = lh_types_begin(true);

	for (int i = 0; i < desc->natts; i++)
	{
		LhDecoder  *decoder = NULL;

		nulls[i] = true;
		if (lh_att_is_stored(TupleDescAttr(desc, i)))
			decoder = lh_decoder_create(meta, TupleDescAttr(desc, i));
		if (decoder)
			lh_exact_apply(decoder, &v, &values[i], &nulls[i]);
	}
	lh_types_end(nest);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

static double
elapsed_ms(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_MILLISEC(now);
}

Datum
types_time(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	TupleDesc	result;
	TupleDesc	desc;
	Relation	rel = table_open(relid, AccessShareLock);
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	double		write_ms = 0;
	double		read_ms = 0;
	int64		rows = 0;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	get_call_result_type(fcinfo, NULL, &result);
	for (int i = 0; i < PG_GETARG_INT32(1); i++)
	{
		StringInfoData file;
		LhPqFileMeta *meta;
		instr_time	start;

		initStringInfo(&file);
		INSTR_TIME_SET_CURRENT(start);
		rows += write_table(relid, true, &file);
		write_ms += elapsed_ms(start);
		INSTR_TIME_SET_CURRENT(start);
		meta = open_file((uint8 *) file.data, file.len, &alloc);
		for (int group = 0; group < meta->n_row_groups; group++)
			read_group(meta, group, (uint8 *) file.data, desc, 1024, NULL);
		read_ms += elapsed_ms(start);
		lh_pq_meta_free(meta);
		pfree(file.data);
	}
	table_close(rel, AccessShareLock);
	values[0] = Float8GetDatum(write_ms);
	values[1] = Float8GetDatum(read_ms);
	values[2] = Int64GetDatum(rows);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(result), values, nulls)));
}
