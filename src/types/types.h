/*
 * types.h
 *	  Public interface of the type layer: PostgreSQL rows <-> Parquet columns
 *	  <-> Iceberg fields, and a pure layer's status <-> ereport().
 *
 * The promise: every value comes back exactly.  A file shows other readers
 * the nearest natural value; where that is not the value itself, the row's
 * `_pg_exact` cell holds it (docs/types.md).
 *
 * Everything here reports failure with ereport().  Objects are allocated in
 * the CurrentMemoryContext of the call that creates them.
 */
#ifndef LH_TYPES_H
#define LH_TYPES_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_attribute.h"
#include "datatype/timestamp.h"

#include "base/base.h"
#include "iceberg/iceberg.h"
#include "parquet/parquet.h"

/* ---- errors and memory of the pure layers (pg_error.c) ---- */

/*
 * Turns a status other than LH_OK into ereport(ERROR); `object` (a file name,
 * say) and the byte offset go into the detail.  With LH_OK it just returns.
 */
extern void lh_report(LhStatus status, const LhError *err, const char *object);

/* An empty set, in the current memory context; raises if there was no memory for all that was added. */
extern void lh_palloc_row_set(LhRowSet *rows);
extern void lh_check_row_set(const LhRowSet *rows);

/* An allocator over `cxt`, which must outlive it; its tick sees pending interrupts. */
extern LhAlloc lh_palloc_alloc(MemoryContext cxt);

/* ---- moments of versions: Iceberg counts milliseconds since 1970 ---- */

#define LH_EPOCH_SHIFT_MS	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000))

static inline int64
lh_timestamp_to_ms(TimestampTz t)
{
	return t / 1000 + LH_EPOCH_SHIFT_MS;
}

static inline TimestampTz
lh_timestamp_from_ms(int64 ms)
{
	return (ms - LH_EPOCH_SHIFT_MS) * 1000;
}

/* ---- field ids ---- */

/*
 * A column's field id is its attnum.  A nested field's id is a function of
 * its column and its path alone (attribute numbers of the composite types it
 * passes through), so that it survives ALTER TYPE … ADD or DROP ATTRIBUTE.
 */
#define LH_FIELD_ROW_ID		2147483540	/* Iceberg's reserved _row_id */
#define LH_FIELD_EXACT		2147480001	/* _pg_exact, and */
#define LH_FIELD_XMIN		2147480002	/* _pg_xmin: in no Iceberg schema */

#define LH_KV_ENUMS			"lakehouse.enums"

/* The top-level column with this field id in a file, NULL: it has none. */
extern LhPqNode *lh_file_column(const LhPqFileMeta *meta, int field_id);

/* ---- writing ---- */

typedef struct LhPgType LhPgType;

typedef struct LhShapeAtt
{
	bool		live;			/* false: dropped or virtual, in no file */
	LhPqNode   *node;
	int			first_leaf;
	int			n_leaves;
	LhPgType   *type;
} LhShapeAtt;

/*
 * How rows of one tuple descriptor lie in a file: the user's live columns in
 * attnum order, then `_row_id` if wanted, `_pg_xmin` and `_pg_exact`; all optional.
 */
typedef struct LhShape
{
	LhPqSchema	schema;
	int			natts;
	LhShapeAtt *atts;			/* [attnum - 1] */
	int			row_id_leaf;	/* -1: without */
	int			xmin_leaf;
	int			exact_leaf;

	/*
	 * Value of the file's key LH_KV_ENUMS: which enum value each label in the
	 * file stands for; NULL when no column holds an enum.  Must be given to
	 * the writer of every file of this shape.
	 */
	const char *enums_json;

	/* Some type's text form depends on settings: see lh_types_begin(). */
	bool		needs_settings;

	struct LhShapePrivate *priv;
} LhShape;

extern LhShape *lh_shape_create(TupleDesc desc, bool with_row_ids);
extern void lh_shape_free(LhShape *shape);

/* The user's columns as an Iceberg schema (schema id 0), allocated in `arena`. */
extern void lh_shape_iceberg(const LhShape *shape, LhArena *arena, LhIceSchema *out);

/*
 * Writes one row, its end included.  `values` and `isnull` have natts
 * entries; those of dead columns are not looked at.  `xmin`: who inserted it,
 * FrozenTransactionId if that is not known.  Must stand between
 * lh_types_begin(shape->needs_settings) and lh_types_end().
 */
extern void lh_shape_put_row(LhShape *shape, LhPqWriter *writer, const Datum *values,
							 const bool *isnull, int64 row_id, TransactionId xmin);

/* ---- fixed settings around text forms ---- */

/*
 * Fixes the settings that text forms depend on (DateStyle, TimeZone, …) until
 * lh_types_end(); an error in between undoes them with the (sub)transaction.
 * Bracket batches, not rows, and let no user code run inside.  With `needed`
 * false both calls do nothing.
 */
extern int	lh_types_begin(bool needed);
extern void lh_types_end(int nest);

/* ---- reading ---- */

typedef struct LhDecoder
{
	AttrNumber	attnum;
	int			first_leaf;		/* the leaves in the file to give to run() */
	int			n_leaves;

	/*
	 * One leaf, no levels beyond null or not: the caller may skip a chunk
	 * that has nulls only.
	 */
	bool		flat;
	bool		needs_settings;
	struct LhDecoderPrivate *priv;
} LhDecoder;

/*
 * Finds the column of `att` in a file by field id and chooses how to turn it
 * into the column's current type; NULL when the file lacks it.  A pair that
 * cannot be converted is ERRCODE_DATATYPE_MISMATCH.  *meta must outlive the
 * decoder.
 */
extern LhDecoder *lh_decoder_create(const LhPqFileMeta *meta, Form_pg_attribute att);
extern void lh_decoder_free(LhDecoder *dec);

/*
 * Converts a batch: vectors[i] is leaf first_leaf + i, all over the same
 * n_rows rows.  By-reference datums lie in CurrentMemoryContext, many to an
 * allocation: reset the context, never pfree one.  Must stand between
 * lh_types_begin(dec->needs_settings) and lh_types_end().
 */
extern void lh_decoder_run(LhDecoder *dec, const LhPqVector *vectors, int64 n_rows,
						   Datum *values, bool *isnull);

/*
 * Replaces values of the column that the file only approximates: `exact` is
 * the batch of the leaf LH_FIELD_EXACT over the same rows as the last
 * lh_decoder_run().
 */
extern void lh_exact_apply(LhDecoder *dec, const LhPqVector *exact,
						   Datum *values, bool *isnull);

/*
 * A statistics bound as a datum that the column type's default btree order
 * compares; false when the bound says nothing about that order.  Bounds know
 * nothing of `_pg_exact`: the caller must not prune where that has values.
 */
extern bool lh_stat_datum(const LhPqNode *leaf, Form_pg_attribute att, LhPqBytes bytes, Datum *out);

/* Do enums still call their values what the file calls them? */
extern bool lh_enums_fit(const LhPqFileMeta *meta);

#endif							/* LH_TYPES_H */
