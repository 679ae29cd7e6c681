/*
 * file_writer.c
 *	  One Parquet data file being written: rows in, a durable object and its
 *	  catalog row out.
 *
 * Row ids are given by the caller in ascending order.  Within a row group
 * they are consecutive, and the catalog keeps the first of each group; where
 * they cannot be, the file has an explicit _row_id column.
 *
 * Memory is bounded by the row group: when the encoded group reaches
 * MAX_GROUP_BYTES it ends, whatever its row count.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "objstore/objstore.h"
#include "storage/lh_storage.h"
#include "types/types.h"

#define MAX_GROUP_BYTES		(64 * 1024 * 1024)

struct LhFileWriter
{
	MemoryContext cxt;			/* everything, also the upload */
	MemoryContext row_cxt;
	LhAlloc		alloc;
	LhOptions	options;
	LhShape    *shape;
	LhPqWriter *pq;
	LhUpload   *upload;
	LhFile	   *file;			/* in cxt until finish */
	bool		explicit_row_ids;
	uint64		next_row_id;
	int			max_row_groups;
	const char *kv_keys[1];		/* the Parquet writer uses them at its end */
	const char *kv_values[1];
};

static LhStatus
sink(void *ctx, const uint8_t *data, size_t len, LhError *err)
{
	lh_upload_write((LhUpload *) ctx, data, len);
	return LH_OK;
}

/* Pure code owns memory of cxt only, so resetting it frees the writer. */
LhFileWriter *
lh_file_writer_begin(Relation rel, TupleDesc desc, const LhOptions *options,
					 const pg_uuid_t *table_uuid, int64 storage_id, bool explicit_row_ids)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse file writer",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhFileWriter *writer = palloc0(sizeof(LhFileWriter));
	LhFile	   *file = palloc0(sizeof(LhFile));
	LhPqWriterOptions pq_options;
	LhError		error;
	LhStore    *store;
	bool	   *delta;

	writer->cxt = cxt;
	writer->row_cxt = AllocSetContextCreate(cxt, "lakehouse file writer row", ALLOCSET_DEFAULT_SIZES);
	writer->alloc = lh_palloc_alloc(cxt);
	writer->options = *options;
	writer->explicit_row_ids = explicit_row_ids;
	writer->shape = lh_shape_create(desc, explicit_row_ids);
	writer->file = file;

	file->file_id = lh_random_id();
	file->table_uuid = *table_uuid;
	file->storage_id = storage_id;
	file->relid = OidIsValid(rel->rd_rel->relrewrite) ? rel->rd_rel->relrewrite : RelationGetRelid(rel);
	file->location = lh_table_location(rel, options, table_uuid);

	/* the transaction in the name lets the sweeper judge files without a row */
	file->name = lh_data_file_name(file->file_id, false);

	lh_pq_writer_defaults(&pq_options);

	/*
	 * Row ids ascend, and neighbours come from the same transactions, which
	 * delta encoding makes nothing of; no other reader looks at them.  For the
	 * user's columns some readers in use do not know it.
	 */
	delta = palloc0(sizeof(bool) * writer->shape->schema.n_leaves);
	delta[writer->shape->xmin_leaf] = true;
	if (explicit_row_ids)
		delta[writer->shape->row_id_leaf] = true;
	pq_options.delta = delta;
	pq_options.codec = options->codec;
	pq_options.zstd_level = options->zstd_level;
	pq_options.created_by = "lakehouse version " LH_VERSION " (build release)";
	writer->kv_keys[0] = LH_KV_ENUMS;
	writer->kv_values[0] = writer->shape->enums_json;
	pq_options.n_kv = writer->shape->enums_json != NULL ? 1 : 0;
	pq_options.kv_keys = writer->kv_keys;
	pq_options.kv_values = writer->kv_values;

	store = lh_store_open(file->location);
	writer->upload = lh_upload_begin(store, file->name);
	lh_report(lh_pq_writer_open(&writer->shape->schema, &pq_options, &writer->alloc,
								sink, writer->upload, &writer->pq, &error),
			  &error, file->name);
	MemoryContextSwitchTo(old);
	return writer;
}

static void
end_row_group(LhFileWriter *writer)
{
	LhError		error;

	lh_report(lh_pq_writer_flush(writer->pq, &error), &error, writer->file->name);
}

static void
begin_row_group(LhFileWriter *writer, uint64 row_id)
{
	LhFile	   *file = writer->file;

	if (writer->explicit_row_ids)
		return;
	if (file->n_first_row_ids == writer->max_row_groups)
	{
		writer->max_row_groups = Max(8, writer->max_row_groups * 2);
		file->first_row_ids = file->first_row_ids == NULL ?
			MemoryContextAlloc(writer->cxt, sizeof(int64) * writer->max_row_groups) :
			repalloc(file->first_row_ids, sizeof(int64) * writer->max_row_groups);
	}
	file->first_row_ids[file->n_first_row_ids++] = (int64) row_id;
}

void
lh_file_writer_put(LhFileWriter *writer, const Datum *values, const bool *isnull, uint64 row_id,
				   TransactionId xmin)
{
	MemoryContext old = MemoryContextSwitchTo(writer->row_cxt);
	int64		group_rows = lh_pq_writer_rows(writer->pq);
	int			nest;

	CHECK_FOR_INTERRUPTS();
	if (group_rows > 0 &&
		(group_rows >= writer->options.row_group_rows ||
		 (!writer->explicit_row_ids && row_id != writer->next_row_id) ||
		 ((group_rows & 1023) == 0 && lh_pq_writer_buffered(writer->pq) >= MAX_GROUP_BYTES)))
	{
		end_row_group(writer);
		group_rows = 0;
	}
	if (group_rows == 0)
		begin_row_group(writer, row_id);

	nest = lh_types_begin(writer->shape->needs_settings);
	lh_shape_put_row(writer->shape, writer->pq, values, isnull, (int64) row_id, xmin);
	lh_types_end(nest);

	if (writer->file->row_count++ == 0)
		writer->file->low_row_id = row_id;
	writer->file->high_row_id = row_id;
	writer->next_row_id = row_id + 1;
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->row_cxt);
}

bool
lh_file_writer_is_full(const LhFileWriter *writer)
{
	return (writer->file->row_count & 1023) == 0 &&
		lh_pq_writer_written(writer->pq) + lh_pq_writer_buffered(writer->pq) >= writer->options.target_file_size;
}

/* The footer as the file has it, for the catalog. */
static bytea *
read_footer(LhStore *store, LhFile *file)
{
	uint8_t		tail[LH_PQ_TAIL_BYTES];
	int64_t		footer_len;
	LhError		error;
	bytea	   *footer;

	lh_store_read(store, file->name, file->byte_count - LH_PQ_TAIL_BYTES, LH_PQ_TAIL_BYTES, tail);
	lh_report(lh_pq_tail_parse(tail, file->byte_count, &footer_len, &error), &error, file->name);
	footer = palloc(VARHDRSZ + footer_len);
	SET_VARSIZE(footer, VARHDRSZ + footer_len);
	lh_store_read(store, file->name, file->byte_count - LH_PQ_TAIL_BYTES - footer_len,
				  footer_len, VARDATA(footer));
	return footer;
}

LhFile *
lh_file_writer_finish(LhFileWriter *writer)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old = MemoryContextSwitchTo(writer->cxt);
	LhFile	   *result;
	LhPqFileMeta *meta;
	LhError		error;

	Assert(writer->file->row_count > 0);
	lh_report(lh_pq_writer_close(writer->pq, &meta, &error), &error, writer->file->name);
	writer->file->byte_count = lh_upload_bytes(writer->upload);
	LH_FAULT_POINT("file-finish");
	lh_dirty_file_written();
	lh_upload_finish(writer->upload);
	LH_FAULT_POINT("file-finished");

	MemoryContextSwitchTo(caller);
	result = palloc(sizeof(LhFile));
	*result = *writer->file;
	result->location = pstrdup(result->location);
	result->name = pstrdup(result->name);
	if (result->n_first_row_ids > 0)
	{
		result->first_row_ids = palloc(sizeof(int64) * result->n_first_row_ids);
		memcpy(result->first_row_ids, writer->file->first_row_ids, sizeof(int64) * result->n_first_row_ids);
	}
	result->footer = read_footer(lh_store_open(result->location), result);

	/* what the pure layer allocated, lies in cxt too */
	MemoryContextSwitchTo(old);
	MemoryContextDelete(writer->cxt);
	return result;
}

void
lh_file_writer_abandon(LhFileWriter *writer)
{
	MemoryContextDelete(writer->cxt);	/* aborts the upload */
}
