/*
 * ice_avro_int.h
 *	  Our Avro: object container files, and values decoded straight into the
 *	  caller's structs.
 *
 * Reading is driven by the schema in the file: the caller walks the fields
 * of a record, asks each for its Iceberg field id, and either reads the
 * value with the function of its target type or skips it.  No generic value
 * tree is built.
 */
#ifndef LH_ICE_AVRO_INT_H
#define LH_ICE_AVRO_INT_H

#include "iceberg/ice_int.h"

typedef enum IceAvroKind
{
	ICE_AVRO_NULL,
	ICE_AVRO_BOOLEAN,
	ICE_AVRO_INT,
	ICE_AVRO_LONG,
	ICE_AVRO_FLOAT,
	ICE_AVRO_DOUBLE,
	ICE_AVRO_BYTES,
	ICE_AVRO_STRING,
	ICE_AVRO_FIXED,
	ICE_AVRO_ENUM,
	ICE_AVRO_ARRAY,
	ICE_AVRO_MAP,
	ICE_AVRO_RECORD,
	ICE_AVRO_UNION
} IceAvroKind;

typedef struct IceAvroType IceAvroType;

typedef struct IceAvroField
{
	int			id;				/* Iceberg field id, LH_ICE_NONE: none */
	const IceAvroType *type;
} IceAvroField;

struct IceAvroType
{
	IceAvroKind kind;
	bool		decimal;		/* logicalType decimal */
	int			size;			/* FIXED: bytes; ENUM: symbols */
	int			n_fields;		/* RECORD: fields; UNION: branches; ARRAY, MAP: 1 */
	IceAvroField *fields;
	size_t		min_bytes;		/* shortest encoding of a value */
	size_t		nodes;			/* types below, named ones counted each time */
};

/* Parses the JSON of a writer's schema. */
extern LhStatus lh_ice_avro_schema(const char *json, size_t len, LhArena *arena,
								   const IceAvroType **type, LhError *err);

/* ---- container files, reading ---- */

typedef struct IceAvroFile
{
	LhArena		arena;			/* schema and metadata */
	const IceAvroType *type;	/* of the objects; always a record */
	int			n_meta;
	LhIceKeyValue *meta;
	int			codec;
	uint8_t		sync[16];
	LhReader	in;				/* the file, at the next block */
	LhBuf		block;			/* the current block, unless the codec is null */
	size_t		expanded;		/* bytes of all blocks so far */
} IceAvroFile;

/* `data` is used until close. */
extern LhStatus lh_ice_avro_open(IceAvroFile *file, const uint8_t *data, size_t len,
								 const LhAlloc *alloc, LhError *err);
/* The next block: *count objects in *objects; *count is 0 at the end. */
extern LhStatus lh_ice_avro_block(IceAvroFile *file, LhReader *objects, int64_t *count, LhError *err);
extern void lh_ice_avro_close(IceAvroFile *file);
extern const char *lh_ice_avro_meta(const IceAvroFile *file, const char *key);	/* NULL: absent */
/* A number in the metadata; *v is left alone when absent or "null". */
extern LhStatus lh_ice_avro_meta_long(const IceAvroFile *file, const char *key, int64_t *v, LhError *err);

/* ---- values ---- */

typedef struct IceAvroIn
{
	LhReader	in;
	LhArena    *arena;			/* where values go */
	LhError    *err;
} IceAvroIn;

/*
 * Each accepts a union of null and the wanted type, in either order, and
 * leaves *v alone on null.
 */
extern LhStatus lh_ice_avro_bool(IceAvroIn *a, const IceAvroType *type, bool *v);
extern LhStatus lh_ice_avro_int(IceAvroIn *a, const IceAvroType *type, int *v);
extern LhStatus lh_ice_avro_long(IceAvroIn *a, const IceAvroType *type, int64_t *v);
extern LhStatus lh_ice_avro_bytes(IceAvroIn *a, const IceAvroType *type, LhPqBytes *v);
extern LhStatus lh_ice_avro_string(IceAvroIn *a, const IceAvroType *type, const char **v);
/* Any primitive as Iceberg single-value bytes. */
extern LhStatus lh_ice_avro_single_value(IceAvroIn *a, const IceAvroType *type, LhPqBytes *v);
extern LhStatus lh_ice_avro_skip(IceAvroIn *a, const IceAvroType *type);
/* The type itself, or the branch of a union that the bytes choose; kind NULL for a null. */
extern LhStatus lh_ice_avro_branch(IceAvroIn *a, const IceAvroType *type, const IceAvroType **branch);

typedef struct IceAvroArray
{
	const IceAvroType *item;
	int64_t		left;			/* items of the current block still to come */
	bool		done;
} IceAvroArray;

/* A null array is an empty one, *is_null says so. */
extern LhStatus lh_ice_avro_array(IceAvroIn *a, const IceAvroType *type, IceAvroArray *array, bool *is_null);
extern LhStatus lh_ice_avro_array_next(IceAvroIn *a, IceAvroArray *array, bool *more);

/* ---- container files, writing ---- */

typedef struct IceAvroOut
{
	const LhAlloc *alloc;
	LhBuf	   *out;
	LhBuf		block;			/* objects not yet compressed */
	int64_t		block_count;
	uint8_t		sync[16];
} IceAvroOut;

/*
 * Writes the header: `meta` and then avro.codec and avro.schema.  `seed`
 * decides the sync marker; different files should give different ones.
 */
extern LhStatus lh_ice_avro_begin(IceAvroOut *o, const LhAlloc *alloc, LhBuf *out, const char *schema_json,
								  const LhIceKeyValue *meta, int n_meta, uint64_t seed, LhError *err);
/* Between these the caller appends one object to o->block; a full block is written. */
extern LhStatus lh_ice_avro_end_object(IceAvroOut *o, LhError *err);
extern LhStatus lh_ice_avro_finish(IceAvroOut *o, LhError *err);
extern void lh_ice_avro_discard(IceAvroOut *o);

extern void lh_ice_avro_put_long(LhBuf *buf, int64_t v);
extern void lh_ice_avro_put_bytes(LhBuf *buf, const void *data, size_t len);
extern void lh_ice_avro_put_string(LhBuf *buf, const char *s);
/* An optional value: the branch number, 0 null or 1; true when there is one to write. */
extern bool lh_ice_avro_put_branch(LhBuf *buf, bool present);
extern void lh_ice_avro_put_opt_long(LhBuf *buf, int64_t v);	/* LH_ICE_NONE: null */

/* ---- schemas of what we write, from tables ---- */

typedef struct IceAvroDef
{
	int			id;
	const char *name;
	const char *type;			/* JSON of the Avro type */
	bool		optional;
} IceAvroDef;

/* {"type":"record","name":…,"fields":[…]} */
extern void lh_ice_avro_def_to_out(IceJsonOut *o, const char *record, const IceAvroDef *defs, int n);

#endif							/* LH_ICE_AVRO_INT_H */
