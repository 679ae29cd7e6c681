/*
 * types_int.h
 *	  Shared inside src/types: the description of a PostgreSQL type that
 *	  writing, reading and exact cells all walk, and the helpers they share.
 */
#ifndef LH_TYPES_INT_H
#define LH_TYPES_INT_H

#include "types/pg_compat.h"
#include "types/types.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

StaticAssertDecl(SIZEOF_DATUM == 8, "eight-byte values must be passed by value");

/* ---- a type, described once per shape or decoder (type_map.c) ---- */

/* How a value lies in memory and, by that, which natural form a file gives it. */
typedef enum LhKind
{
	LH_KIND_BOOL,
	LH_KIND_INT2,
	LH_KIND_INT4,
	LH_KIND_INT8,				/* money too: its text depends on the locale */
	LH_KIND_OID,				/* oid, reg*, xid, cid: numbers, never names */
	LH_KIND_XID8,
	LH_KIND_FLOAT4,
	LH_KIND_FLOAT8,
	LH_KIND_DECIMAL,			/* numeric(p,s), 1 <= p <= 38, 0 <= s <= p */
	LH_KIND_NUMERIC,			/* any other numeric: as text */
	LH_KIND_TEXT,				/* a varlena that holds text, unmarked */
	LH_KIND_NAME,
	LH_KIND_CHAR,				/* "char" */
	LH_KIND_BYTES,				/* a varlena that holds bytes: bytea */
	LH_KIND_FIXED,				/* a fixed-length image without an input function */
	LH_KIND_DATE,
	LH_KIND_TIME,
	LH_KIND_TIMESTAMP,
	LH_KIND_TIMESTAMPTZ,
	LH_KIND_INTERVAL,
	LH_KIND_UUID,
	LH_KIND_ENUM,
	LH_KIND_IO,					/* text, through the output and input functions */
	LH_KIND_ARRAY,
	LH_KIND_VECTOR,				/* vector and halfvec: a list of floats */
	LH_KIND_COMPOSITE
} LhKind;

typedef struct LhEnumLabel
{
	Oid			oid;
	char	   *label;			/* UTF-8, NULL: it has none */
	int			len;
} LhEnumLabel;

struct LhPgType
{
	LhKind		kind;
	Oid			declared;		/* as declared, maybe a domain */
	Oid			oid;			/* of the base type */
	int32		typmod;
	int16		len;
	bool		byval;
	char		align;
	int			field_id;
	bool		needs_settings; /* this type or one inside it */
	bool		has_enum;

	int			precision;		/* DECIMAL */
	int			scale;

	int			part_ids[3];	/* INTERVAL: months, days, microseconds */

	FmgrInfo	out;			/* IO */
	FmgrInfo	in;
	Oid			ioparam;

	int			n_labels;		/* ENUM: sorted by oid */
	LhEnumLabel *labels;

	LhPgType   *element;		/* ARRAY, VECTOR */
	bool		half;			/* VECTOR: elements in memory are halves */

	TupleDesc	desc;			/* COMPOSITE, our own copy */
	LhPgType  **atts;			/* [attnum - 1], NULL: dropped or virtual */
	int			n_stored;		/* of them not NULL */

	LhPqNode   *node;			/* writing: its place in the shape's schema */
};

/*
 * A vector or halfvec in memory, ours or pgvector's: dim floats or halves.
 * The vector layer, which stands above this one, has its own view.
 */
typedef struct LhVectorImage
{
	int32		vl_len_;
	int16		dim;
	int16		unused;
	char		elements[FLEXIBLE_ARRAY_MEMBER];
} LhVectorImage;

#define LH_VECTOR_IMAGE_MAX	16000

/* A value of dim elements, which are floats in a file; false: no such value. */
extern bool lh_make_vector(const LhPgType *type, const float *x, int64 dim, Datum *out);

/* Describes type `oid` of column `attnum`; unknown pseudo-types are an error. */
extern LhPgType *lh_type_create(Oid oid, int32 typmod, AttrNumber attnum, const char *column);

/* The Parquet physical type that decimals are written in. */
extern LhPqType lh_decimal_physical(int precision);

/* ---- shape.c ---- */

struct LhShapePrivate
{
	MemoryContext cxt;			/* owns the shape */
	MemoryContext scratch;		/* reset with each row */
	LhAlloc		alloc;
	LhArena		arena;
	StringInfoData exact;		/* the row's _pg_exact cell */
	LhPqWriter *writer;			/* of the row being written */
	bool		inexact;		/* some part of the column being written is not its value */
};

/* ---- text between server encoding and UTF-8 (encoding.c) ---- */

/*
 * The text in UTF-8, maybe `s` itself, *out_len bytes; false when there is
 * none that converts back to the same bytes.
 */
extern bool lh_to_utf8(const char *s, int len, const char **out, int *out_len);

/* UTF-8 from a file: checked, converted; maybe `s` itself.  Errors on bad bytes. */
extern const char *lh_from_utf8(const char *s, int len, int *out_len);

/* Is the server's text UTF-8 byte for byte wherever it is valid? */
extern bool lh_server_is_utf8(void);

/* NUL-terminated UTF-8 copy of a catalog name, NULL: it has no UTF-8 form. */
extern char *lh_utf8_name(const char *name);

/* ---- decimals (decimal.c) ---- */

typedef __int128 LhInt128;

/*
 * The unscaled integer of a numeric (plain or short varlena) as
 * decimal(precision, scale).  *exact is false when it is only the nearest,
 * or shows another scale.  Returns false for NaN and infinities.
 */
extern bool lh_numeric_to_int128(const void *numeric, int precision, int scale,
								 LhInt128 *unscaled, bool *exact);

/* Writes a numeric of at most LH_NUMERIC_BYTES at `out` (int-aligned); returns its size. */
#define LH_NUMERIC_BYTES	40
extern int	lh_numeric_from_int128(LhInt128 unscaled, int scale, void *out);

extern void lh_int128_to_be(LhInt128 v, uint8 *out, int len);
/* False when the bytes do not fit. */
extern bool lh_int128_from_be(const uint8 *bytes, int len, LhInt128 *v);

/* ---- enum labels of one field of one file (enum_map.c) ---- */

typedef struct LhEnumMap LhEnumMap;

extern LhEnumMap *lh_enum_map_create(const LhPqFileMeta *meta, const LhPgType *type);
extern Oid	lh_enum_map_lookup(LhEnumMap *map, const uint8 *label, int len);
extern bool lh_enum_has_value(Oid type, Oid value);

/* ---- exact cells (exact.c) ---- */

extern void lh_exact_append(StringInfo cell, AttrNumber attnum, const LhPgType *type, Datum value);

/* The label of an enum value, UTF-8; also one added since the type was described. */
extern LhEnumLabel lh_enum_label(const LhPgType *type, Oid value);

/* ---- reading ---- */

/* What a leaf's slot is turned into, and from what. */
typedef enum LhLeafOp
{
	LH_OP_BOOL,
	LH_OP_INT,					/* any integer to INT2, INT4, INT8, OID, XID8 */
	LH_OP_INT_NUMERIC,			/* integer or integer-backed decimal to numeric */
	LH_OP_BYTES_NUMERIC,		/* byte-backed decimal to numeric */
	LH_OP_TEXT_NUMERIC,
	LH_OP_FLOAT4,
	LH_OP_FLOAT8,
	LH_OP_FLOAT4_FLOAT8,
	LH_OP_FLOAT16_FLOAT4,
	LH_OP_FLOAT16_FLOAT8,
	LH_OP_TEXT,
	LH_OP_NAME,
	LH_OP_CHAR,
	LH_OP_BYTES,
	LH_OP_FIXED,				/* exactly type->len bytes */
	LH_OP_DATE,
	LH_OP_TIME,
	LH_OP_TIMESTAMP,
	LH_OP_INT96_TIMESTAMP,
	LH_OP_DATE_TIMESTAMP,
	LH_OP_BYTES_INTERVAL,
	LH_OP_ENUM,
	LH_OP_IO,
	LH_OP_NOTHING,				/* nulls only */
	LH_OP_PRESENT				/* a composite that had no attributes when written */
} LhLeafOp;

typedef enum LhConvShape
{
	LH_CONV_LEAF,
	LH_CONV_LIST,
	LH_CONV_VECTOR,				/* a list of floats that becomes one value */
	LH_CONV_STRUCT,
	LH_CONV_INTERVAL			/* struct of three integers */
} LhConvShape;

/* A node of the file paired with the type it is read as. */
typedef struct LhConv LhConv;
struct LhConv
{
	LhConvShape shape;
	const LhPgType *type;
	const LhPqNode *node;
	int			guide;			/* leaf (from the column's first) whose levels steer this node */

	LhLeafOp	op;				/* LEAF */
	LhEnumMap  *enums;			/* ENUM leaves */

	int			null_def;		/* LIST, VECTOR: a lower level is a null list */
	int			repeated_def;	/* a lower one an empty list */
	int			repeated_rep;

	int			n_children;		/* LIST, VECTOR: 1; INTERVAL: 3; STRUCT: type->desc->natts */
	LhConv	  **children;		/* NULL: not in the file */
};

/* A leaf's batch while nested values are put together. */
typedef struct LhLeafCursor
{
	const LhPqVector *vector;
	const LhPqNode *node;
	Datum	   *datums;			/* one per slot; NULL: no attribute wants this leaf */
	int64		level;
	int64		slot;			/* packed vectors */
} LhLeafCursor;

struct LhDecoderPrivate
{
	MemoryContext cxt;			/* owns the decoder */
	const LhPqFileMeta *meta;
	LhPgType   *type;
	char	   *column;			/* name, for messages */
	LhConv	   *conv;
	LhLeafCursor *cursors;		/* one per leaf */
	int			n_enums;		/* label maps, by the field's type */
	const LhPgType **enum_types;
	LhEnumMap **enum_maps;
};

/* Chooses (or refuses with false) how to read a leaf as `type` (leaf_op.c). */
extern bool lh_leaf_op(const LhPqNode *leaf, const LhPgType *type, LhLeafOp *op);

/* Converts n slots; `nulls` marks the ones to leave alone (NULL: none) (decode.c). */
extern void lh_decode_leaf(const LhConv *conv, const LhPqVector *vector, int64 n,
						   const uint8 *nulls, Datum *out);

/*
 * Text in the server's encoding (or plain bytes) as a value of a kind that
 * files hold as text or bytes: enums excepted, they need a map.
 */
extern Datum lh_decode_text(const LhPgType *type, const char *text, int len);

/* The label map of an enum inside the decoder's column (decode_map.c). */
extern LhEnumMap *lh_decoder_enums(const LhDecoder *dec, const LhPgType *type);

/* Puts nested values together, row by row (assemble.c). */
extern void lh_assemble(LhDecoder *dec, const LhPqVector *vectors, int64 n_rows,
						Datum *values, bool *isnull);

/* An array or a row as a datum (assemble.c). */
extern Datum lh_make_array(const LhPgType *type, Datum *elements, bool *nulls, int ndim,
						   int *dims, int *lbounds);
extern Datum lh_make_row(const LhPgType *type, Datum *values, bool *nulls);

/* Bytes that no correct file holds. */
extern LH_NORETURN void lh_column_corrupt(const char *column, const char *what);

#endif							/* LH_TYPES_INT_H */
