/*
 * iceberg.h
 *	  Public interface of the Iceberg layer: schemas, manifests, manifest
 *	  lists, table metadata, column bounds.  Pure C: bytes in, bytes out; no
 *	  I/O, no clock, no randomness, no Postgres.
 *
 * Memory: what is parsed or built lives in the LhArena that the caller gives
 * and dies with it.  What is written is appended to an LhBuf of the caller.
 * Strings are NUL-terminated UTF-8.  Nothing returned points into the input
 * bytes unless said so.
 *
 * Failure: every call that can fail returns an LhStatus and fills the
 * caller's LhError; its results are then undefined, its arena still good.
 * Foreign bytes that break the format give LH_ERR_CORRUPT.
 */
#ifndef LH_ICEBERG_H
#define LH_ICEBERG_H

#include "base/base.h"
#include "parquet/parquet.h"

#define LH_ICE_NONE			(-1)	/* "null", "absent", "inherit" in every id and number */

/* Field ids of position delete files (spec: reserved field ids). */
#define LH_ICE_DELETE_PATH_ID	2147483546
#define LH_ICE_DELETE_POS_ID	2147483545

typedef struct LhIceKeyValue
{
	const char *key;
	const char *value;
} LhIceKeyValue;

/* ---- types and schemas ---- */

typedef enum LhIceKind
{
	LH_ICE_BOOLEAN,
	LH_ICE_INT,
	LH_ICE_LONG,
	LH_ICE_FLOAT,
	LH_ICE_DOUBLE,
	LH_ICE_DECIMAL,				/* precision, scale */
	LH_ICE_DATE,
	LH_ICE_TIME,				/* microseconds */
	LH_ICE_TIMESTAMP,			/* microseconds, no zone */
	LH_ICE_TIMESTAMPTZ,			/* microseconds, UTC */
	LH_ICE_TIMESTAMP_NS,		/* v3 */
	LH_ICE_TIMESTAMPTZ_NS,		/* v3 */
	LH_ICE_STRING,
	LH_ICE_UUID,
	LH_ICE_FIXED,				/* length */
	LH_ICE_BINARY,
	LH_ICE_STRUCT,
	LH_ICE_LIST,
	LH_ICE_MAP,
	LH_ICE_OTHER				/* v3 variant, unknown, geometry, …: `text` only */
} LhIceKind;

typedef struct LhIceType LhIceType;

typedef struct LhIceField
{
	int			id;
	const char *name;
	bool		required;
	LhIceType  *type;
	const char *doc;			/* NULL: none */
	const char *initial_default;	/* JSON text, v3; NULL: none */
	const char *write_default;
} LhIceField;

struct LhIceType
{
	LhIceKind	kind;
	int			precision;
	int			scale;
	int			length;
	int			n_fields;		/* STRUCT: any; LIST: 1, "element"; MAP: 2, "key", "value" */
	LhIceField *fields;
	const char *text;			/* OTHER: the type as the file spells it */
};

typedef struct LhIceSchema
{
	int			schema_id;
	int			n_fields;
	LhIceField *fields;
	int			n_identifier_ids;
	int		   *identifier_ids;
} LhIceSchema;

/* Same fields, types, docs and identifiers; schema_id is not compared. */
extern bool lh_ice_schema_equal(const LhIceSchema *a, const LhIceSchema *b);
extern int	lh_ice_schema_max_id(const LhIceSchema *schema);	/* nested ids too; 0 when empty */
extern const LhIceField *lh_ice_schema_find(const LhIceSchema *schema, int id); /* nested too; NULL */

/* Ids unique and positive, names unique per struct and not empty, parameters in range, depth bounded. */
extern LhStatus lh_ice_schema_check(const LhIceSchema *schema, const LhAlloc *alloc, LhError *err);

extern LhStatus lh_ice_schema_to_json(const LhIceSchema *schema, LhBuf *out, LhError *err);
extern LhStatus lh_ice_schema_from_json(const char *json, size_t len, LhArena *arena,
										LhIceSchema *schema, LhError *err);

/* "decimal(9, 2)"; nested types print as "struct", "list", "map". */
extern void lh_ice_type_name(const LhIceType *type, char *buf, size_t size);

/* Bytes of a decimal(precision) as Parquet FLBA or Avro fixed: 1..16. */
extern int	lh_ice_decimal_bytes(int precision);

/* Value of the table property schema.name-mapping.default. */
extern LhStatus lh_ice_name_mapping(const LhIceSchema *schema, LhBuf *out, LhError *err);

/* ---- partition specs and sort orders ---- */

typedef struct LhIceSpecField
{
	int			source_id;
	int			field_id;		/* from 1000 */
	const char *name;
	const char *transform;		/* "identity", "bucket[16]", "day", … as the file spells it */
} LhIceSpecField;

typedef struct LhIceSpec
{
	int			spec_id;
	int			n_fields;		/* 0: unpartitioned */
	LhIceSpecField *fields;
} LhIceSpec;

typedef struct LhIceSortField
{
	const char *transform;
	int			source_id;
	bool		descending;
	bool		nulls_first;
} LhIceSortField;

typedef struct LhIceSortOrder
{
	int			order_id;		/* 0: unsorted */
	int			n_fields;
	LhIceSortField *fields;
} LhIceSortOrder;

/* ---- data files and manifest entries ---- */

typedef struct LhIceColumnStats
{
	int			field_id;
	int64_t		column_size;	/* each LH_ICE_NONE when unknown */
	int64_t		value_count;	/* nulls and NaNs included */
	int64_t		null_count;
	int64_t		nan_count;
	LhPqBytes	lower;			/* single-value encoding; data NULL: unknown */
	LhPqBytes	upper;
} LhIceColumnStats;

typedef struct LhIcePartitionValue
{
	int			field_id;
	LhPqBytes	value;			/* single-value encoding; data NULL: null */
} LhIcePartitionValue;

typedef enum LhIceFileContent
{
	LH_ICE_FILE_DATA = 0,
	LH_ICE_FILE_POSITION_DELETES = 1,	/* deletion vectors too */
	LH_ICE_FILE_EQUALITY_DELETES = 2
} LhIceFileContent;

typedef struct LhIceDataFile
{
	LhIceFileContent content;
	const char *path;			/* full URI */
	const char *format;			/* NULL when writing: "PARQUET"; upper case when read */
	int64_t		record_count;
	int64_t		file_size;
	int			n_columns;
	LhIceColumnStats *columns;	/* ascending field_id */
	int			n_split_offsets;
	int64_t    *split_offsets;
	int			n_equality_ids;
	int		   *equality_ids;
	int			sort_order_id;	/* LH_ICE_NONE: null */
	int64_t		first_row_id;	/* v3; LH_ICE_NONE: null */
	const char *referenced_data_file;	/* NULL: null */
	int64_t		content_offset; /* deletion vectors; LH_ICE_NONE: null */
	int64_t		content_size;
	LhPqBytes	key_metadata;	/* data NULL: null */
	int			n_partition;
	LhIcePartitionValue *partition; /* in the order of the manifest's spec */
} LhIceDataFile;

/* All numbers "none", no columns, content data: start from here. */
extern void lh_ice_data_file_init(LhIceDataFile *file);

typedef enum LhIceStatus
{
	LH_ICE_EXISTING = 0,
	LH_ICE_ADDED = 1,
	LH_ICE_DELETED = 2
} LhIceStatus;

/*
 * Writing: an ADDED entry leaves both sequence numbers LH_ICE_NONE (they are
 * inherited) and may leave snapshot_id LH_ICE_NONE (the manifest's is then
 * written); compaction sets sequence_number alone.  EXISTING and DELETED
 * entries need all three.
 */
typedef struct LhIceEntry
{
	LhIceStatus status;
	int64_t		snapshot_id;
	int64_t		sequence_number;	/* data sequence number */
	int64_t		file_sequence_number;
	LhIceDataFile file;
} LhIceEntry;

/* ---- manifest lists ---- */

typedef enum LhIceManifestContent
{
	LH_ICE_MANIFEST_DATA = 0,
	LH_ICE_MANIFEST_DELETES = 1
} LhIceManifestContent;

typedef struct LhIceFieldSummary	/* one per field of the spec */
{
	bool		contains_null;
	int			contains_nan;	/* 0, 1, LH_ICE_NONE unknown */
	LhPqBytes	lower;			/* data NULL: unknown */
	LhPqBytes	upper;
} LhIceFieldSummary;

/* One row of a manifest list. */
typedef struct LhIceManifest
{
	const char *path;
	int64_t		length;			/* bytes, exact */
	int			spec_id;
	LhIceManifestContent content;
	int64_t		sequence_number;	/* LH_ICE_NONE: of the snapshot being written */
	int64_t		min_sequence_number;	/* LH_ICE_NONE: likewise */
	int64_t		added_snapshot_id;
	int64_t		added_files;	/* counts: LH_ICE_NONE only in v1 lists */
	int64_t		existing_files;
	int64_t		deleted_files;
	int64_t		added_rows;
	int64_t		existing_rows;
	int64_t		deleted_rows;
	int			n_partitions;
	LhIceFieldSummary *partitions;
	LhPqBytes	key_metadata;
	int64_t		first_row_id;	/* v3; LH_ICE_NONE: null */
} LhIceManifest;

typedef struct LhIceManifestList
{
	int			format_version; /* from the file's own metadata; LH_ICE_NONE: it has none */
	int64_t		snapshot_id;
	int64_t		parent_snapshot_id;
	int64_t		sequence_number;
	int			n_manifests;
	LhIceManifest *manifests;
} LhIceManifestList;

/*
 * Writes a v2 list for snapshot list->snapshot_id; rows whose sequence
 * numbers are LH_ICE_NONE get list->sequence_number.  Fails on rows without
 * files, or of another snapshot without sequence numbers.
 */
extern LhStatus lh_ice_manifest_list_write(const LhIceManifestList *list, const LhAlloc *alloc,
										   LhBuf *out, LhError *err);
extern LhStatus lh_ice_manifest_list_read(const uint8_t *data, size_t len, LhArena *arena,
										  LhIceManifestList *list, LhError *err);

/* ---- manifests: writing ---- */

typedef struct LhIceManifestOptions
{
	const LhIceSchema *schema;	/* the table's current schema */
	const LhIceSpec *spec;		/* NULL: unpartitioned, spec id 0 (all that is written for now) */
	LhIceManifestContent content;
	int			format_version; /* 2 */
	int64_t		snapshot_id;	/* of the snapshot being written */
} LhIceManifestOptions;

typedef struct LhIceManifestWriter LhIceManifestWriter;

/*
 * Streams entries into `out`, which the writer alone appends to until end.
 * `options` and what it points to are used only in begin.  end() fills *row
 * except its path, with sequence numbers "of the snapshot being written";
 * it fails when no entry was added.  The writer is freed by end() and by
 * abandon(), and by nothing else; after a failed add only abandon() is left.
 */
extern LhStatus lh_ice_manifest_begin(const LhIceManifestOptions *options, const LhAlloc *alloc,
									  LhBuf *out, LhIceManifestWriter **writer, LhError *err);
extern LhStatus lh_ice_manifest_add(LhIceManifestWriter *writer, const LhIceEntry *entry, LhError *err);
extern LhStatus lh_ice_manifest_end(LhIceManifestWriter *writer, LhIceManifest *row, LhError *err);
extern void lh_ice_manifest_abandon(LhIceManifestWriter *writer);	/* NULL allowed */

/* All in one call. */
extern LhStatus lh_ice_manifest_write(const LhIceManifestOptions *options,
									  const LhIceEntry *entries, int n_entries,
									  const LhAlloc *alloc, LhBuf *out, LhIceManifest *row, LhError *err);

/* ---- manifests: reading ---- */

typedef struct LhIceManifestInfo
{
	int			format_version;
	LhIceManifestContent content;
	int			spec_id;
	const char *schema_json;	/* NULL: the file has none */
	const char *spec_json;		/* JSON array of partition fields; NULL: none */
} LhIceManifestInfo;

typedef struct LhIceManifestReader LhIceManifestReader;

/*
 * `data` must stay valid until close.  `row` is the manifest's row in the
 * list, used only in open: nulls of the entries are inherited from it (and a
 * v3 first_row_id assigned).  Without one they stay LH_ICE_NONE.
 *
 * next() puts one entry into `arena`, which the caller may free and
 * initialise again between calls: memory then is one block of the file plus
 * one entry.  *found is false at the end.
 */
extern LhStatus lh_ice_manifest_open(const uint8_t *data, size_t len, const LhIceManifest *row,
									 const LhAlloc *alloc, LhIceManifestReader **reader, LhError *err);
extern const LhIceManifestInfo *lh_ice_manifest_info(const LhIceManifestReader *reader);
extern LhStatus lh_ice_manifest_next(LhIceManifestReader *reader, LhArena *arena,
									 LhIceEntry *entry, bool *found, LhError *err);
extern void lh_ice_manifest_close(LhIceManifestReader *reader); /* NULL allowed */

/* All entries in one call. */
extern LhStatus lh_ice_manifest_read(const uint8_t *data, size_t len, const LhIceManifest *row,
									 LhArena *arena, LhIceEntry **entries, int *n_entries, LhError *err);

/* ---- column bounds and metrics ---- */

/*
 * Parquet statistics bytes (PLAIN, no length prefix; exact or already a
 * bound) to an Iceberg bound of `type`; out->data is NULL when none can be
 * given.  Strings and binaries longer than `truncate` code points (bytes)
 * are cut, an upper bound being raised; truncate 0 keeps them whole.
 */
#define LH_ICE_TRUNCATE		16
extern LhStatus lh_ice_bound_from_parquet(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value,
										  bool is_upper, int truncate,
										  LhArena *arena, LhPqBytes *out, LhError *err);

/*
 * Compares two single values of `type` in Iceberg's order: -1, 0, 1.
 * LH_ERR_CORRUPT when one is no value of the type (lengths from before a
 * promotion being accepted) or NaN: a reader then has no bound.
 */
extern LhStatus lh_ice_bound_compare(const LhIceType *type, LhPqBytes a, LhPqBytes b, int *result, LhError *err);

/*
 * Fills record_count, split_offsets and columns of *file from a footer.
 * Leaves are matched to `schema` by field id (the two columns of position
 * delete files are known without it).  Leaves under lists and maps get
 * column_size only.  Bounds of delete file columns are never truncated.
 */
extern LhStatus lh_ice_metrics_from_parquet(const LhPqFileMeta *meta, const LhIceSchema *schema,
											LhArena *arena, LhIceDataFile *file, LhError *err);

/* ---- position delete files ---- */

/* What is deleted of one data file. */
typedef struct LhIceDeletes
{
	const char *path;			/* spelled as in its manifest entry, byte for byte */
	int64_t		n;				/* > 0 */
	const int64_t *positions;	/* of rows in the file from 0, ascending, each once */
} LhIceDeletes;

/*
 * Writes one Parquet file, in ascending order of paths (as bytes), and fills
 * *file except path and size.
 */
extern LhStatus lh_ice_deletes_write(const LhIceDeletes *deletes, int n, const char *created_by,
									 LhPqSink sink, void *sink_ctx,
									 LhArena *arena, LhIceDataFile *file, LhError *err);

/*
 * Brings deletes from several places (any order, paths and positions more than
 * once) into the form that is written.  Paths are not copied, nor positions
 * where there is nothing to do.
 */
extern LhStatus lh_ice_deletes_merge(const LhIceDeletes *parts, int n_parts, LhArena *arena,
									 LhIceDeletes **deletes, int *n, LhError *err);

/*
 * Reads a whole one, of any writer that sorts.  More than `max_rows` rows are
 * LH_ERR_CORRUPT: the caller knows how many there are.
 */
extern LhStatus lh_ice_deletes_read(const uint8_t *data, size_t len, int64_t max_rows, LhArena *arena,
									LhIceDeletes **deletes, int *n, LhError *err);

/* ---- table metadata ---- */

typedef struct LhIceSnapshot
{
	int64_t		snapshot_id;
	int64_t		parent_id;		/* LH_ICE_NONE: first */
	int64_t		sequence_number;	/* 0 in v1 */
	int64_t		timestamp_ms;
	const char *manifest_list;	/* NULL only in v1 */
	int			n_manifests;	/* v1 snapshots without a list */
	const char **manifests;
	int			schema_id;		/* LH_ICE_NONE: unknown */
	int			n_summary;		/* "operation" included */
	LhIceKeyValue *summary;
	int64_t		first_row_id;	/* v3 */
	int64_t		added_rows;		/* v3 */
	const char *key_id;			/* v3; NULL: none */
} LhIceSnapshot;

typedef struct LhIceRef
{
	const char *name;
	int64_t		snapshot_id;
	bool		is_tag;
	int			min_snapshots_to_keep;	/* each LH_ICE_NONE when absent */
	int64_t		max_snapshot_age_ms;
	int64_t		max_ref_age_ms;
} LhIceRef;

typedef struct LhIceSnapshotLogEntry
{
	int64_t		timestamp_ms;
	int64_t		snapshot_id;
} LhIceSnapshotLogEntry;

typedef struct LhIceMetadataLogEntry
{
	int64_t		timestamp_ms;	/* last_updated_ms of that file */
	const char *path;
} LhIceMetadataLogEntry;

typedef struct LhIceStatistics	/* kept as it was found */
{
	int64_t		snapshot_id;
	const char *json;
} LhIceStatistics;

/*
 * The whole metadata.json.  Readers look at the fields; changes go through
 * the functions below, which keep the invariants (and the arrays, which have
 * spare room).  Everything lives in *arena.
 */
typedef struct LhIceMetadata
{
	LhArena    *arena;
	int			format_version;
	const char *table_uuid;		/* lower case; NULL only in v1 */
	const char *location;		/* no trailing slash */
	int64_t		last_sequence_number;
	int64_t		last_updated_ms;
	int			last_column_id;
	int			current_schema_id;
	int			n_schemas;
	LhIceSchema *schemas;
	int			default_spec_id;
	int			n_specs;
	LhIceSpec  *specs;
	int			last_partition_id;
	int			default_sort_order_id;
	int			n_sort_orders;
	LhIceSortOrder *sort_orders;
	int			n_properties;
	LhIceKeyValue *properties;
	int64_t		current_snapshot_id;	/* LH_ICE_NONE: no snapshot yet */
	int64_t		next_row_id;	/* v3 */
	int			n_refs;
	LhIceRef   *refs;
	int			n_snapshots;
	LhIceSnapshot *snapshots;
	int			n_statistics;
	LhIceStatistics *statistics;
	int			n_partition_statistics;
	LhIceStatistics *partition_statistics;
	int			n_snapshot_log;
	LhIceSnapshotLogEntry *snapshot_log;
	int			n_metadata_log;
	LhIceMetadataLogEntry *metadata_log;
} LhIceMetadata;

/* Reads v1, v2, v3; a higher version is LH_ERR_UNSUPPORTED.  gzip is the caller's affair. */
extern LhStatus lh_ice_metadata_read(const char *json, size_t len, LhArena *arena,
									 LhIceMetadata *m, LhError *err);

/* Writes v2 (others: LH_ERR_UNSUPPORTED) after checking every invariant that readers check. */
extern LhStatus lh_ice_metadata_write(const LhIceMetadata *m, LhBuf *out, LhError *err);

/* Lookups: NULL (or LH_ICE_NONE) when absent. */
extern const LhIceSchema *lh_ice_metadata_schema(const LhIceMetadata *m, int schema_id);
extern const LhIceSpec *lh_ice_metadata_spec(const LhIceMetadata *m, int spec_id);
extern const LhIceSnapshot *lh_ice_metadata_snapshot(const LhIceMetadata *m, int64_t snapshot_id);
extern const LhIceRef *lh_ice_metadata_ref(const LhIceMetadata *m, const char *name);
extern const char *lh_ice_metadata_property(const LhIceMetadata *m, const char *key);
extern const char *lh_ice_snapshot_summary(const LhIceSnapshot *snapshot, const char *key);
/* The current snapshot as of a moment, by the snapshot log, as every reader picks it. */
extern int64_t lh_ice_metadata_as_of(const LhIceMetadata *m, int64_t timestamp_ms);

/* ---- table metadata: changing ---- */

/* A new v2 table: one schema, unpartitioned, unsorted, no snapshot.  Strings are copied. */
extern LhStatus lh_ice_metadata_create(const char *uuid, const char *location, const LhIceSchema *schema,
									   const LhIceKeyValue *properties, int n_properties, int64_t now_ms,
									   LhArena *arena, LhIceMetadata *m, LhError *err);

/*
 * Adds `schema` (copied; its schema_id is ignored) and makes it current; an
 * identical one is reused.  *schema_id may be NULL.
 */
extern LhStatus lh_ice_metadata_add_schema(LhIceMetadata *m, const LhIceSchema *schema, int64_t now_ms,
										   int *schema_id, LhError *err);

/*
 * What a snapshot changed; all zero means nothing.  File sizes count data and
 * delete files alike.
 */
typedef struct LhIceChanges
{
	bool		replace;		/* same rows in other files: compaction */
	int64_t		added_data_files;
	int64_t		added_records;
	int64_t		removed_data_files;
	int64_t		removed_records;
	int64_t		added_files_size;
	int64_t		removed_files_size;
	int64_t		added_position_delete_files;
	int64_t		added_position_deletes;
	int64_t		removed_position_delete_files;
	int64_t		removed_position_deletes;
	int64_t		added_equality_delete_files;
	int64_t		added_equality_deletes;
	int64_t		removed_equality_delete_files;
	int64_t		removed_equality_deletes;
	const LhIceKeyValue *extra; /* further summary keys, e.g. engine-name */
	int			n_extra;
} LhIceChanges;

typedef struct LhIceNewSnapshot
{
	const char *branch;			/* NULL: main */
	int64_t		snapshot_id;	/* > 0, unique: see lh_ice_snapshot_id */
	int64_t		sequence_number;	/* last_sequence_number + 1 */
	int64_t		timestamp_ms;	/* raised to the newest log entry's if below it */
	int64_t		now_ms;			/* when this is written, for last_updated_ms */
	const char *manifest_list;
	int			schema_id;		/* LH_ICE_NONE: the current one */
	LhIceChanges changes;
} LhIceNewSnapshot;

/*
 * Parent is the branch's head; the branch moves to the new snapshot.  Only
 * main may be missing before: other branches start with set_ref.
 */
extern LhStatus lh_ice_metadata_add_snapshot(LhIceMetadata *m, const LhIceNewSnapshot *s, LhError *err);

/* Creates or moves a ref; moving main is a rollback (or a roll forward) and is logged. */
extern LhStatus lh_ice_metadata_set_ref(LhIceMetadata *m, const LhIceRef *ref, int64_t now_ms, LhError *err);
extern LhStatus lh_ice_metadata_remove_ref(LhIceMetadata *m, const char *name, int64_t now_ms, LhError *err);

/* Fails when a ref still points at one of them; unknown ids are ignored. */
extern LhStatus lh_ice_metadata_remove_snapshots(LhIceMetadata *m, const int64_t *ids, int n_ids,
												 int64_t now_ms, LhError *err);

/* value NULL removes the property. */
extern LhStatus lh_ice_metadata_set_property(LhIceMetadata *m, const char *key, const char *value,
											 int64_t now_ms, LhError *err);

/*
 * Remembers the file that the next one replaces, with the last_updated_ms it
 * holds; keeps the newest `keep` entries (LH_ICE_METADATA_LOG_KEEP by
 * convention).
 */
#define LH_ICE_METADATA_LOG_KEEP	100
extern LhStatus lh_ice_metadata_log_previous(LhIceMetadata *m, const char *path, int64_t updated_ms,
											 int keep, LhError *err);

/* ---- names ---- */

#define LH_ICE_NAME_BYTES	128

/* "00003-<uuid>.metadata.json", below <location>/metadata/. */
extern void lh_ice_metadata_name(char name[LH_ICE_NAME_BYTES], int version, const char *uuid);
/* The number in such a path, LH_ICE_NONE if it has none; "v3.metadata.json" too. */
extern int	lh_ice_metadata_version(const char *path);
/* "<uuid>-m0.avro" */
extern void lh_ice_manifest_name(char name[LH_ICE_NAME_BYTES], const char *commit_uuid, int number);
/* "snap-<snapshot id>-<attempt>-<uuid>.avro" */
extern void lh_ice_manifest_list_name(char name[LH_ICE_NAME_BYTES], int64_t snapshot_id, int attempt,
									  const char *commit_uuid);
/* A snapshot id (positive, 63 bits) from 16 random bytes. */
extern int64_t lh_ice_snapshot_id(const uint8_t random[16]);

#endif							/* LH_ICEBERG_H */
