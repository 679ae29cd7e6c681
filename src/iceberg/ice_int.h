/*
 * ice_int.h
 *	  What the files of this folder share: status plumbing, arrays in an
 *	  arena, UTF-8, JSON in and out.
 */
#ifndef LH_ICE_INT_H
#define LH_ICE_INT_H

#include "iceberg/iceberg.h"

#include <jansson.h>

#define ICE_TRY(expr) \
	do { \
		LhStatus	status_ = (expr); \
		if (status_ != LH_OK) \
			return status_; \
	} while (0)

/* Deepest nesting of types that we follow, in JSON and Avro. */
#define ICE_MAX_DEPTH		64
/* Largest metadata.json or Avro header that we look at. */
#define ICE_MAX_JSON_BYTES	((size_t) 512 << 20)

static inline LhStatus
ice_nomem(LhError *err)
{
	return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
}

/* A buffer that failed has only one reason. */
static inline LhStatus
ice_buf_status(const LhBuf *buf, LhError *err)
{
	return buf->failed ? ice_nomem(err) : LH_OK;
}

/*
 * Arrays in an arena have the smallest power of two >= n slots, so that
 * lh_ice_push() knows from n alone whether there is room.
 */
extern void *lh_ice_array(LhArena *arena, size_t n, size_t item_size);
/* Makes room for one more item after n; the array may move.  False: no memory. */
extern bool lh_ice_push(LhArena *arena, void *array_ptr, size_t n, size_t item_size);

extern bool lh_ice_utf8_valid(const void *s, size_t len);
/* The bytes of `src` copied into the arena; an empty value stays non-NULL. */
extern LhStatus lh_ice_copy_bytes(LhArena *arena, LhPqBytes src, LhPqBytes *dst, LhError *err);
extern LhStatus lh_ice_copy_string(LhArena *arena, const char *src, const char **dst, LhError *err);

/* ---- JSON out: straight into a buffer, commas put where needed ---- */

typedef struct IceJsonOut
{
	LhBuf	   *buf;
	size_t		start;
	bool		bad_string;		/* something was not valid UTF-8 */
} IceJsonOut;

extern void lh_ice_json_begin(IceJsonOut *o, LhBuf *buf);
extern LhStatus lh_ice_json_end(IceJsonOut *o, LhError *err);
extern void lh_ice_json_open(IceJsonOut *o, char bracket);	/* '{' or '[' */
extern void lh_ice_json_close(IceJsonOut *o, char bracket); /* '}' or ']' */
extern void lh_ice_json_key(IceJsonOut *o, const char *key);
extern void lh_ice_json_string(IceJsonOut *o, const char *value);
extern void lh_ice_json_int(IceJsonOut *o, int64_t value);
extern void lh_ice_json_bool(IceJsonOut *o, bool value);
extern void lh_ice_json_raw(IceJsonOut *o, const char *json);	/* is JSON already */

extern void lh_ice_json_key_string(IceJsonOut *o, const char *key, const char *value);
extern void lh_ice_json_key_int(IceJsonOut *o, const char *key, int64_t value);

/* ---- JSON in: jansson trees, read with names in the errors ---- */

/* Refuses, before jansson allocates, text whose tree would dwarf it. */
extern LhStatus lh_ice_json_load(const char *json, size_t len, json_t **root, LhError *err);

/*
 * Members of an object; an explicit null counts as absent.  The _opt forms
 * leave *v alone when the member is absent.
 */
extern LhStatus lh_ice_get(json_t *obj, const char *key, json_type type, json_t **v, LhError *err);
extern LhStatus lh_ice_get_opt(json_t *obj, const char *key, json_type type, json_t **v, LhError *err);
extern LhStatus lh_ice_get_int(json_t *obj, const char *key, int *v, LhError *err);
extern LhStatus lh_ice_get_int_opt(json_t *obj, const char *key, int *v, LhError *err);
extern LhStatus lh_ice_get_long(json_t *obj, const char *key, int64_t *v, LhError *err);
extern LhStatus lh_ice_get_long_opt(json_t *obj, const char *key, int64_t *v, LhError *err);
extern LhStatus lh_ice_get_bool(json_t *obj, const char *key, bool *v, LhError *err);
extern LhStatus lh_ice_get_string(json_t *obj, const char *key, LhArena *arena, const char **v, LhError *err);
extern LhStatus lh_ice_get_string_opt(json_t *obj, const char *key, LhArena *arena, const char **v, LhError *err);
/* A string → string object as pairs, in the order of the text. */
extern LhStatus lh_ice_get_map_opt(json_t *obj, const char *key, LhArena *arena,
								   LhIceKeyValue **pairs, int *n_pairs, LhError *err);
/* A subtree as compact JSON text in the arena. */
extern LhStatus lh_ice_json_text(json_t *value, LhArena *arena, const char **text, LhError *err);

/* ---- schemas, specs, sort orders as JSON trees ---- */

extern LhStatus lh_ice_schema_from_tree(json_t *tree, LhArena *arena, LhIceSchema *schema, LhError *err);
extern void lh_ice_schema_to_out(IceJsonOut *o, const LhIceSchema *schema);
extern LhStatus lh_ice_schema_copy(const LhIceSchema *src, LhArena *arena, LhIceSchema *dst, LhError *err);

/* `fields` is the JSON array of a spec's fields (all there is in v1 and in manifests). */
extern LhStatus lh_ice_spec_fields_from_tree(json_t *fields, LhArena *arena, LhIceSpec *spec, LhError *err);
extern LhStatus lh_ice_spec_from_tree(json_t *tree, LhArena *arena, LhIceSpec *spec, LhError *err);
extern void lh_ice_spec_fields_to_out(IceJsonOut *o, const LhIceSpec *spec);
extern void lh_ice_spec_to_out(IceJsonOut *o, const LhIceSpec *spec);
extern LhStatus lh_ice_sort_order_from_tree(json_t *tree, LhArena *arena, LhIceSortOrder *order, LhError *err);
extern void lh_ice_sort_order_to_out(IceJsonOut *o, const LhIceSortOrder *order);

/* Fills s->summary with what changed since `parent` (NULL: none). */
extern LhStatus lh_ice_summary(const LhIceChanges *changes, const LhIceSnapshot *parent,
							   LhArena *arena, LhIceSnapshot *s, LhError *err);

/* Every invariant that readers of metadata.json check. */
extern LhStatus lh_ice_metadata_check(const LhIceMetadata *m, LhError *err);

#endif							/* LH_ICE_INT_H */
