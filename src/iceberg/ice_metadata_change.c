/*
 * ice_metadata_change.c
 *	  Table metadata: lookups, and the changes a publisher makes.
 *
 * Each change leaves metadata that every reader accepts, or fails and leaves
 * it as it was (but for memory).  Time comes from the caller and never runs
 * backwards in the result.  Summaries are made in ice_summary.c.
 */
#include "iceberg/ice_int.h"

#include <string.h>

/* ---- lookups ---- */

const LhIceSchema *
lh_ice_metadata_schema(const LhIceMetadata *m, int schema_id)
{
	for (int i = m->n_schemas - 1; i >= 0; i--)
	{
		if (m->schemas[i].schema_id == schema_id)
			return &m->schemas[i];
	}
	return NULL;
}

const LhIceSpec *
lh_ice_metadata_spec(const LhIceMetadata *m, int spec_id)
{
	for (int i = 0; i < m->n_specs; i++)
	{
		if (m->specs[i].spec_id == spec_id)
			return &m->specs[i];
	}
	return NULL;
}

const LhIceSnapshot *
lh_ice_metadata_snapshot(const LhIceMetadata *m, int64_t snapshot_id)
{
	/* the newest are asked for most, and stand last */
	for (int i = m->n_snapshots - 1; i >= 0; i--)
	{
		if (m->snapshots[i].snapshot_id == snapshot_id)
			return &m->snapshots[i];
	}
	return NULL;
}

static LhIceRef *
find_ref(const LhIceMetadata *m, const char *name)
{
	for (int i = 0; i < m->n_refs; i++)
	{
		if (strcmp(m->refs[i].name, name) == 0)
			return &m->refs[i];
	}
	return NULL;
}

const LhIceRef *
lh_ice_metadata_ref(const LhIceMetadata *m, const char *name)
{
	return find_ref(m, name);
}

static LhIceKeyValue *
find_property(const LhIceMetadata *m, const char *key)
{
	for (int i = 0; i < m->n_properties; i++)
	{
		if (strcmp(m->properties[i].key, key) == 0)
			return &m->properties[i];
	}
	return NULL;
}

const char *
lh_ice_metadata_property(const LhIceMetadata *m, const char *key)
{
	const LhIceKeyValue *pair = find_property(m, key);

	return pair != NULL ? pair->value : NULL;
}

int64_t
lh_ice_metadata_as_of(const LhIceMetadata *m, int64_t timestamp_ms)
{
	int64_t		found = LH_ICE_NONE;

	for (int i = 0; i < m->n_snapshot_log; i++)
	{
		if (m->snapshot_log[i].timestamp_ms <= timestamp_ms)
			found = m->snapshot_log[i].snapshot_id;
	}
	return found;
}

/* ---- creating ---- */

static void
touch(LhIceMetadata *m, int64_t now_ms)
{
	if (now_ms > m->last_updated_ms)
		m->last_updated_ms = now_ms;
}

static bool
is_lower_uuid(const char *s)
{
	for (int i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' :
			!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	}
	return s[36] == '\0';
}

/* "scheme:/…": relative and plain paths are not the same to every reader. */
static bool
is_uri(const char *s)
{
	const char *colon = strchr(s, ':');

	return colon != NULL && colon != s && colon[1] == '/' && strchr(s, '/') == colon + 1;
}

LhStatus
lh_ice_metadata_create(const char *uuid, const char *location, const LhIceSchema *schema,
					   const LhIceKeyValue *properties, int n_properties, int64_t now_ms,
					   LhArena *arena, LhIceMetadata *m, LhError *err)
{
	size_t		len = strlen(location);

	memset(m, 0, sizeof(*m));
	if (!is_lower_uuid(uuid))
		return lh_fail(err, LH_ERR_INVALID, -1, "table uuid \"%.50s\" is not a lower-case uuid", uuid);
	if (!is_uri(location))
		return lh_fail(err, LH_ERR_INVALID, -1, "table location \"%.100s\" is not a URI", location);
	while (len > 0 && location[len - 1] == '/')
		len--;
	m->arena = arena;
	m->format_version = 2;
	m->location = lh_arena_strndup(arena, location, len);
	m->specs = lh_ice_array(arena, 1, sizeof(LhIceSpec));
	m->sort_orders = lh_ice_array(arena, 1, sizeof(LhIceSortOrder));
	if (m->location == NULL || m->specs == NULL || m->sort_orders == NULL)
		return ice_nomem(err);
	ICE_TRY(lh_ice_copy_string(arena, uuid, &m->table_uuid, err));
	m->n_specs = m->n_sort_orders = 1;	/* zeroed: id 0, no fields */
	m->last_partition_id = 999;
	m->current_schema_id = LH_ICE_NONE;
	m->current_snapshot_id = LH_ICE_NONE;
	ICE_TRY(lh_ice_metadata_add_schema(m, schema, now_ms, NULL, err));
	for (int i = 0; i < n_properties; i++)
		ICE_TRY(lh_ice_metadata_set_property(m, properties[i].key, properties[i].value, now_ms, err));
	return LH_OK;
}

LhStatus
lh_ice_metadata_add_schema(LhIceMetadata *m, const LhIceSchema *schema, int64_t now_ms,
						   int *schema_id, LhError *err)
{
	int			id = -1;
	int			max_id;

	ICE_TRY(lh_ice_schema_check(schema, m->arena->alloc, err));
	for (int i = 0; i < m->n_schemas; i++)
	{
		if (lh_ice_schema_equal(&m->schemas[i], schema))
		{
			m->current_schema_id = m->schemas[i].schema_id;
			touch(m, now_ms);
			if (schema_id != NULL)
				*schema_id = m->current_schema_id;
			return LH_OK;
		}
		if (m->schemas[i].schema_id > id)
			id = m->schemas[i].schema_id;
	}
	if (!lh_ice_push(m->arena, &m->schemas, (size_t) m->n_schemas, sizeof(LhIceSchema)))
		return ice_nomem(err);
	ICE_TRY(lh_ice_schema_copy(schema, m->arena, &m->schemas[m->n_schemas], err));
	m->schemas[m->n_schemas++].schema_id = ++id;
	m->current_schema_id = id;
	max_id = lh_ice_schema_max_id(schema);
	if (max_id > m->last_column_id)
		m->last_column_id = max_id;
	touch(m, now_ms);
	if (schema_id != NULL)
		*schema_id = id;
	return LH_OK;
}

/* ---- refs ---- */

static LhStatus
reserve_log(LhIceMetadata *m, LhError *err)
{
	if (!lh_ice_push(m->arena, &m->snapshot_log, (size_t) m->n_snapshot_log, sizeof(LhIceSnapshotLogEntry)))
		return ice_nomem(err);
	return LH_OK;
}

/* main moved: the log, with room for it, says when, never before its last entry. */
static void
log_snapshot(LhIceMetadata *m, int64_t snapshot_id, int64_t timestamp_ms)
{
	LhIceSnapshotLogEntry *entry = &m->snapshot_log[m->n_snapshot_log];

	entry->snapshot_id = snapshot_id;
	entry->timestamp_ms = timestamp_ms;
	if (m->n_snapshot_log > 0 && entry[-1].timestamp_ms > timestamp_ms)
		entry->timestamp_ms = entry[-1].timestamp_ms;
	m->n_snapshot_log++;
	m->current_snapshot_id = snapshot_id;
}

/* The ref of that name, made if missing. */
static LhStatus
need_ref(LhIceMetadata *m, const char *name, LhIceRef **ref, LhError *err)
{
	*ref = find_ref(m, name);
	if (*ref != NULL)
		return LH_OK;
	if (name[0] == '\0')
		return lh_fail(err, LH_ERR_INVALID, -1, "a ref needs a name");
	if (!lh_ice_push(m->arena, &m->refs, (size_t) m->n_refs, sizeof(LhIceRef)))
		return ice_nomem(err);
	*ref = &m->refs[m->n_refs];
	ICE_TRY(lh_ice_copy_string(m->arena, name, &(*ref)->name, err));
	(*ref)->is_tag = false;
	(*ref)->min_snapshots_to_keep = LH_ICE_NONE;
	(*ref)->max_snapshot_age_ms = (*ref)->max_ref_age_ms = LH_ICE_NONE;
	m->n_refs++;
	return LH_OK;
}

LhStatus
lh_ice_metadata_set_ref(LhIceMetadata *m, const LhIceRef *ref, int64_t now_ms, LhError *err)
{
	bool		is_main = strcmp(ref->name, "main") == 0;
	LhIceRef   *mine;
	const char *name;

	if (lh_ice_metadata_snapshot(m, ref->snapshot_id) == NULL)
		return lh_fail(err, LH_ERR_INVALID, -1, "snapshot %lld does not exist", (long long) ref->snapshot_id);
	if (is_main && (ref->is_tag || ref->max_ref_age_ms != LH_ICE_NONE))
		return lh_fail(err, LH_ERR_INVALID, -1, "ref \"main\" is a branch that does not age");
	if (ref->is_tag && (ref->min_snapshots_to_keep != LH_ICE_NONE || ref->max_snapshot_age_ms != LH_ICE_NONE))
		return lh_fail(err, LH_ERR_INVALID, -1, "tags do not keep further snapshots");
	ICE_TRY(reserve_log(m, err));
	ICE_TRY(need_ref(m, ref->name, &mine, err));
	if (is_main && ref->snapshot_id != m->current_snapshot_id)
		log_snapshot(m, ref->snapshot_id, now_ms);
	name = mine->name;
	*mine = *ref;
	mine->name = name;
	touch(m, now_ms);
	return LH_OK;
}

LhStatus
lh_ice_metadata_remove_ref(LhIceMetadata *m, const char *name, int64_t now_ms, LhError *err)
{
	LhIceRef   *ref = find_ref(m, name);

	if (ref == NULL)
		return lh_fail(err, LH_ERR_INVALID, -1, "ref \"%.100s\" does not exist", name);
	if (strcmp(name, "main") == 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "ref \"main\" cannot be removed");
	*ref = m->refs[--m->n_refs];
	touch(m, now_ms);
	return LH_OK;
}

/* ---- snapshots ---- */

static LhStatus
check_new_snapshot(const LhIceMetadata *m, const LhIceNewSnapshot *s, const LhIceRef *ref, bool is_main,
				   int schema_id, LhError *err)
{
	if (m->format_version != 2)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "snapshots of format version %d are not written",
					   m->format_version);
	if (s->snapshot_id <= 0 || lh_ice_metadata_snapshot(m, s->snapshot_id) != NULL)
		return lh_fail(err, LH_ERR_INVALID, -1, "snapshot id %lld is not new", (long long) s->snapshot_id);
	if (s->sequence_number <= m->last_sequence_number)
		return lh_fail(err, LH_ERR_INVALID, -1, "sequence number %lld is not above %lld",
					   (long long) s->sequence_number, (long long) m->last_sequence_number);
	if (s->manifest_list == NULL || s->manifest_list[0] == '\0')
		return lh_fail(err, LH_ERR_INVALID, -1, "a snapshot needs a manifest list");
	if (lh_ice_metadata_schema(m, schema_id) == NULL)
		return lh_fail(err, LH_ERR_INVALID, -1, "schema %d does not exist", schema_id);
	if (ref == NULL ? !is_main : ref->is_tag)
		return lh_fail(err, LH_ERR_INVALID, -1, "branch \"%.100s\" does not exist", s->branch);
	return LH_OK;
}

LhStatus
lh_ice_metadata_add_snapshot(LhIceMetadata *m, const LhIceNewSnapshot *s, LhError *err)
{
	const char *branch = s->branch != NULL ? s->branch : "main";
	bool		is_main = strcmp(branch, "main") == 0;
	int			schema_id = s->schema_id != LH_ICE_NONE ? s->schema_id : m->current_schema_id;
	LhIceRef   *ref = find_ref(m, branch);
	const LhIceSnapshot *parent = ref != NULL ? lh_ice_metadata_snapshot(m, ref->snapshot_id) : NULL;
	LhIceSnapshot added = {0};

	ICE_TRY(check_new_snapshot(m, s, ref, is_main, schema_id, err));
	added.snapshot_id = s->snapshot_id;
	added.parent_id = parent != NULL ? parent->snapshot_id : LH_ICE_NONE;
	added.sequence_number = s->sequence_number;
	added.timestamp_ms = s->timestamp_ms;
	if (m->n_snapshot_log > 0 && m->snapshot_log[m->n_snapshot_log - 1].timestamp_ms > added.timestamp_ms)
		added.timestamp_ms = m->snapshot_log[m->n_snapshot_log - 1].timestamp_ms;
	added.schema_id = schema_id;
	added.first_row_id = added.added_rows = LH_ICE_NONE;
	ICE_TRY(lh_ice_copy_string(m->arena, s->manifest_list, &added.manifest_list, err));
	ICE_TRY(lh_ice_summary(&s->changes, parent, m->arena, &added, err));

	if (!lh_ice_push(m->arena, &m->snapshots, (size_t) m->n_snapshots, sizeof(LhIceSnapshot)))
		return ice_nomem(err);
	ICE_TRY(reserve_log(m, err));
	ICE_TRY(need_ref(m, branch, &ref, err));
	if (is_main)
		log_snapshot(m, s->snapshot_id, added.timestamp_ms);
	ref->snapshot_id = s->snapshot_id;
	m->snapshots[m->n_snapshots++] = added;
	m->last_sequence_number = s->sequence_number;
	touch(m, s->now_ms);
	touch(m, added.timestamp_ms);
	return LH_OK;
}

static bool
is_listed(const int64_t *ids, int n, int64_t id)
{
	for (int i = 0; i < n; i++)
	{
		if (ids[i] == id)
			return true;
	}
	return false;
}

static void
remove_statistics(LhIceStatistics *stats, int *n, const int64_t *ids, int n_ids)
{
	int			kept = 0;

	for (int i = 0; i < *n; i++)
	{
		if (!is_listed(ids, n_ids, stats[i].snapshot_id))
			stats[kept++] = stats[i];
	}
	*n = kept;
}

LhStatus
lh_ice_metadata_remove_snapshots(LhIceMetadata *m, const int64_t *ids, int n_ids, int64_t now_ms, LhError *err)
{
	int			kept = 0;

	for (int i = 0; i < m->n_refs; i++)
	{
		if (is_listed(ids, n_ids, m->refs[i].snapshot_id))
			return lh_fail(err, LH_ERR_INVALID, -1, "snapshot %lld is still used by ref \"%.100s\"",
						   (long long) m->refs[i].snapshot_id, m->refs[i].name);
	}
	for (int i = 0; i < m->n_snapshots; i++)
	{
		if (!is_listed(ids, n_ids, m->snapshots[i].snapshot_id))
			m->snapshots[kept++] = m->snapshots[i];
	}
	m->n_snapshots = kept;
	remove_statistics(m->statistics, &m->n_statistics, ids, n_ids);
	remove_statistics(m->partition_statistics, &m->n_partition_statistics, ids, n_ids);

	/* history before a gap would tell lies about what was current when */
	kept = 0;
	for (int i = 0; i < m->n_snapshot_log; i++)
	{
		if (is_listed(ids, n_ids, m->snapshot_log[i].snapshot_id))
			kept = 0;
		else
			m->snapshot_log[kept++] = m->snapshot_log[i];
	}
	m->n_snapshot_log = kept;
	touch(m, now_ms);
	return LH_OK;
}

/* ---- properties, log of files ---- */

LhStatus
lh_ice_metadata_set_property(LhIceMetadata *m, const char *key, const char *value, int64_t now_ms, LhError *err)
{
	LhIceKeyValue *pair = find_property(m, key);

	touch(m, now_ms);
	if (value == NULL)
	{
		if (pair != NULL)
			*pair = m->properties[--m->n_properties];
		return LH_OK;
	}
	ICE_TRY(lh_ice_copy_string(m->arena, value, &value, err));
	if (pair != NULL)
	{
		pair->value = value;
		return LH_OK;
	}
	if (!lh_ice_push(m->arena, &m->properties, (size_t) m->n_properties, sizeof(LhIceKeyValue)))
		return ice_nomem(err);
	pair = &m->properties[m->n_properties];
	ICE_TRY(lh_ice_copy_string(m->arena, key, &pair->key, err));
	pair->value = value;
	m->n_properties++;
	return LH_OK;
}

LhStatus
lh_ice_metadata_log_previous(LhIceMetadata *m, const char *path, int64_t updated_ms, int keep, LhError *err)
{
	LhIceMetadataLogEntry *entry;

	if (keep < 1)
		keep = 1;
	if (!lh_ice_push(m->arena, &m->metadata_log, (size_t) m->n_metadata_log, sizeof(*entry)))
		return ice_nomem(err);
	entry = &m->metadata_log[m->n_metadata_log];
	ICE_TRY(lh_ice_copy_string(m->arena, path, &entry->path, err));
	entry->timestamp_ms = updated_ms;
	m->n_metadata_log++;
	touch(m, updated_ms);
	if (m->n_metadata_log > keep)
	{
		memmove(m->metadata_log, m->metadata_log + (m->n_metadata_log - keep),
				(size_t) keep * sizeof(*entry));
		m->n_metadata_log = keep;
	}
	return LH_OK;
}
