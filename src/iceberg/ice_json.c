/*
 * ice_json.c
 *	  JSON out into a buffer and JSON in through jansson, plus the small
 *	  helpers (arena arrays, UTF-8) that every file of the folder needs.
 *
 * Writing builds no tree: a metadata.json with thousands of snapshots is
 * printed as it is walked.  Knows nothing of Iceberg's documents.
 */
#include "iceberg/ice_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- arrays, strings ---- */

static size_t
array_slots(size_t n)
{
	size_t		slots = 1;

	while (slots < n)
		slots *= 2;
	return slots;
}

void *
lh_ice_array(LhArena *arena, size_t n, size_t item_size)
{
	size_t		bytes;

	if (n > SIZE_MAX / 4 || !lh_mul_size(array_slots(n), item_size, &bytes))
		return NULL;
	return lh_arena_zero(arena, bytes);
}

bool
lh_ice_push(LhArena *arena, void *array_ptr, size_t n, size_t item_size)
{
	void	  **array = (void **) array_ptr;
	void	   *bigger;

	if (*array != NULL && array_slots(n) > n)
		return true;
	bigger = lh_ice_array(arena, n + 1, item_size);
	if (bigger == NULL)
		return false;
	if (n > 0)
		memcpy(bigger, *array, n * item_size);
	*array = bigger;
	return true;
}

LhStatus
lh_ice_copy_bytes(LhArena *arena, LhPqBytes src, LhPqBytes *dst, LhError *err)
{
	*dst = src;
	if (src.data == NULL)
		return LH_OK;
	dst->data = (const uint8_t *) lh_arena_strndup(arena, src.data, (size_t) src.len);
	return dst->data != NULL ? LH_OK : ice_nomem(err);
}

LhStatus
lh_ice_copy_string(LhArena *arena, const char *src, const char **dst, LhError *err)
{
	*dst = src == NULL ? NULL : lh_arena_strndup(arena, src, strlen(src));
	return *dst != NULL || src == NULL ? LH_OK : ice_nomem(err);
}

bool
lh_ice_utf8_valid(const void *s, size_t len)
{
	const uint8_t *p = s;
	const uint8_t *end = p + len;

	while (p < end)
	{
		uint32_t	c = *p++;
		int			more;
		uint32_t	least;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf)
			more = 1, least = 0x80, c &= 0x1f;
		else if ((c & 0xf0) == 0xe0)
			more = 2, least = 0x800, c &= 0x0f;
		else if (c >= 0xf0 && c <= 0xf4)
			more = 3, least = 0x10000, c &= 0x07;
		else
			return false;
		if (end - p < more)
			return false;
		for (; more > 0; more--, p++)
		{
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

/* ---- out ---- */

void
lh_ice_json_begin(IceJsonOut *o, LhBuf *buf)
{
	o->buf = buf;
	o->start = buf->len;
	o->bad_string = false;
}

LhStatus
lh_ice_json_end(IceJsonOut *o, LhError *err)
{
	if (o->bad_string)
		return lh_fail(err, LH_ERR_INVALID, -1, "a name or text is not valid UTF-8");
	return ice_buf_status(o->buf, err);
}

/* A comma is due unless something was just opened, named or not yet begun. */
static void
separate(IceJsonOut *o)
{
	char		last;

	if (o->buf->failed || o->buf->len == o->start)
		return;
	last = (char) o->buf->data[o->buf->len - 1];
	if (last != '{' && last != '[' && last != ':')
		lh_buf_u8(o->buf, ',');
}

void
lh_ice_json_open(IceJsonOut *o, char bracket)
{
	separate(o);
	lh_buf_u8(o->buf, (uint8_t) bracket);
}

void
lh_ice_json_close(IceJsonOut *o, char bracket)
{
	lh_buf_u8(o->buf, (uint8_t) bracket);
}

void
lh_ice_json_string(IceJsonOut *o, const char *value)
{
	const char *run = value;
	const char *p;

	if (!lh_ice_utf8_valid(value, strlen(value)))
		o->bad_string = true;
	separate(o);
	lh_buf_u8(o->buf, '"');
	for (p = value; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		lh_buf_append(o->buf, run, (size_t) (p - run));
		run = p + 1;
		if (c < 0x20)
			lh_buf_printf(o->buf, "\\u%04x", c);
		else
			lh_buf_printf(o->buf, "\\%c", c);
	}
	lh_buf_append(o->buf, run, (size_t) (p - run));
	lh_buf_u8(o->buf, '"');
}

void
lh_ice_json_key(IceJsonOut *o, const char *key)
{
	lh_ice_json_string(o, key);
	lh_buf_u8(o->buf, ':');
}

void
lh_ice_json_int(IceJsonOut *o, int64_t value)
{
	separate(o);
	lh_buf_printf(o->buf, "%lld", (long long) value);
}

void
lh_ice_json_bool(IceJsonOut *o, bool value)
{
	lh_ice_json_raw(o, value ? "true" : "false");
}

void
lh_ice_json_raw(IceJsonOut *o, const char *json)
{
	separate(o);
	lh_buf_append(o->buf, json, strlen(json));
}

void
lh_ice_json_key_string(IceJsonOut *o, const char *key, const char *value)
{
	lh_ice_json_key(o, key);
	lh_ice_json_string(o, value);
}

void
lh_ice_json_key_int(IceJsonOut *o, const char *key, int64_t value)
{
	lh_ice_json_key(o, key);
	lh_ice_json_int(o, value);
}

/* ---- in ---- */

/*
 * What jansson will allocate, from above: an object is about 300 bytes, an
 * array about 150, each further member or item about 100.  Real documents
 * need ten times their size at most; brackets alone would need a hundred.
 */
static size_t
tree_bytes(const char *json, size_t len)
{
	size_t		bytes = 0;
	bool		quoted = false;

	for (size_t i = 0; i < len; i++)
	{
		if (quoted)
		{
			if (json[i] == '\\')
				i++;
			else if (json[i] == '"')
				quoted = false;
			continue;
		}
		switch (json[i])
		{
			case '"':
				quoted = true;
				break;
			case '{':
				bytes += 300;
				break;
			case '[':
				bytes += 150;
				break;
			case ',':
				bytes += 100;
				break;
		}
	}
	return bytes;
}

LhStatus
lh_ice_json_load(const char *json, size_t len, json_t **root, LhError *err)
{
	json_error_t je;

	if (len > ICE_MAX_JSON_BYTES)
		return lh_fail(err, LH_ERR_LIMIT, -1, "JSON document of %zu bytes is too large", len);
	if (tree_bytes(json, len) > 24 * len + 65536)
		return lh_fail(err, LH_ERR_LIMIT, -1, "JSON document has too many elements for its size");
	*root = json_loadb(json, len, 0, &je);
	if (*root == NULL)
	{
		if (json_error_code(&je) == json_error_out_of_memory)
			return ice_nomem(err);
		return lh_fail(err, LH_ERR_CORRUPT, je.position, "invalid JSON: %.200s", je.text);
	}
	return LH_OK;
}

static const char *
type_word(json_type type)
{
	switch (type)
	{
		case JSON_OBJECT:
			return "an object";
		case JSON_ARRAY:
			return "an array";
		case JSON_STRING:
			return "a string";
		case JSON_INTEGER:
			return "an integer";
		case JSON_TRUE:
		case JSON_FALSE:
			return "a boolean";
		default:
			return "a value";
	}
}

LhStatus
lh_ice_get_opt(json_t *obj, const char *key, json_type type, json_t **v, LhError *err)
{
	json_t	   *found;

	if (!json_is_object(obj))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "expected a JSON object with member \"%s\"", key);
	found = json_object_get(obj, key);
	if (found == NULL || json_is_null(found))
		return LH_OK;
	if (json_typeof(found) != type && !(type == JSON_TRUE && json_is_boolean(found)))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "\"%s\" is not %s", key, type_word(type));
	*v = found;
	return LH_OK;
}

LhStatus
lh_ice_get(json_t *obj, const char *key, json_type type, json_t **v, LhError *err)
{
	*v = NULL;
	ICE_TRY(lh_ice_get_opt(obj, key, type, v, err));
	if (*v == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "\"%s\" is missing", key);
	return LH_OK;
}

LhStatus
lh_ice_get_long_opt(json_t *obj, const char *key, int64_t *v, LhError *err)
{
	json_t	   *found = NULL;

	ICE_TRY(lh_ice_get_opt(obj, key, JSON_INTEGER, &found, err));
	if (found != NULL)
		*v = json_integer_value(found);
	return LH_OK;
}

LhStatus
lh_ice_get_long(json_t *obj, const char *key, int64_t *v, LhError *err)
{
	json_t	   *found;

	ICE_TRY(lh_ice_get(obj, key, JSON_INTEGER, &found, err));
	*v = json_integer_value(found);
	return LH_OK;
}

LhStatus
lh_ice_get_int_opt(json_t *obj, const char *key, int *v, LhError *err)
{
	int64_t		wide = *v;

	ICE_TRY(lh_ice_get_long_opt(obj, key, &wide, err));
	if (wide < INT32_MIN || wide > INT32_MAX)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "\"%s\" is out of range", key);
	*v = (int) wide;
	return LH_OK;
}

LhStatus
lh_ice_get_int(json_t *obj, const char *key, int *v, LhError *err)
{
	json_t	   *found;

	ICE_TRY(lh_ice_get(obj, key, JSON_INTEGER, &found, err));
	*v = 0;
	return lh_ice_get_int_opt(obj, key, v, err);
}

LhStatus
lh_ice_get_bool(json_t *obj, const char *key, bool *v, LhError *err)
{
	json_t	   *found;

	ICE_TRY(lh_ice_get(obj, key, JSON_TRUE, &found, err));
	*v = json_is_true(found);
	return LH_OK;
}

LhStatus
lh_ice_get_string_opt(json_t *obj, const char *key, LhArena *arena, const char **v, LhError *err)
{
	json_t	   *found = NULL;

	ICE_TRY(lh_ice_get_opt(obj, key, JSON_STRING, &found, err));
	if (found == NULL)
		return LH_OK;
	*v = lh_arena_strndup(arena, json_string_value(found), json_string_length(found));
	return *v != NULL ? LH_OK : ice_nomem(err);
}

LhStatus
lh_ice_get_string(json_t *obj, const char *key, LhArena *arena, const char **v, LhError *err)
{
	json_t	   *found;

	ICE_TRY(lh_ice_get(obj, key, JSON_STRING, &found, err));
	return lh_ice_get_string_opt(obj, key, arena, v, err);
}

LhStatus
lh_ice_get_map_opt(json_t *obj, const char *key, LhArena *arena,
				   LhIceKeyValue **pairs, int *n_pairs, LhError *err)
{
	json_t	   *map = NULL;
	const char *name;
	json_t	   *value;

	*pairs = NULL;
	*n_pairs = 0;
	ICE_TRY(lh_ice_get_opt(obj, key, JSON_OBJECT, &map, err));
	if (map == NULL)
		return LH_OK;
	*pairs = lh_ice_array(arena, json_object_size(map), sizeof(LhIceKeyValue));
	if (*pairs == NULL)
		return ice_nomem(err);
	json_object_foreach(map, name, value)
	{
		LhIceKeyValue *pair = &(*pairs)[*n_pairs];

		if (!json_is_string(value))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "\"%s\" of \"%s\" is not a string", name, key);
		ICE_TRY(lh_ice_copy_string(arena, name, &pair->key, err));
		ICE_TRY(lh_ice_copy_string(arena, json_string_value(value), &pair->value, err));
		(*n_pairs)++;
	}
	return LH_OK;
}

LhStatus
lh_ice_json_text(json_t *value, LhArena *arena, const char **text, LhError *err)
{
	char	   *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (dump == NULL)
		return ice_nomem(err);
	*text = lh_arena_strndup(arena, dump, strlen(dump));
	free(dump);
	return *text != NULL ? LH_OK : ice_nomem(err);
}
