/*
 * ice_metadata_read.c
 *	  metadata.json of format versions 1 to 3 into an LhIceMetadata.
 *
 * What v1 spells otherwise is brought into the later form here (one schema,
 * one spec, no sequence numbers, no refs), so that nobody above asks for the
 * version.  Explicit nulls count as absent.  Spec: Appendix C "Table
 * Metadata and Snapshots".
 */
#include "iceberg/ice_int.h"

#include <string.h>

/* An array member, or an empty one's worth of nothing when absent. */
static LhStatus
array_opt(json_t *root, const char *key, size_t item_size, LhArena *arena, json_t **list, void *items_ptr,
		  LhError *err)
{
	void	  **items = (void **) items_ptr;

	*list = NULL;
	ICE_TRY(lh_ice_get_opt(root, key, JSON_ARRAY, list, err));
	*items = lh_ice_array(arena, json_array_size(*list), item_size);
	return *items != NULL ? LH_OK : ice_nomem(err);
}

/* ---- schemas, specs, sort orders ---- */

static LhStatus
read_schemas(json_t *root, LhIceMetadata *m, LhError *err)
{
	json_t	   *list;
	json_t	   *single;

	ICE_TRY(array_opt(root, "schemas", sizeof(LhIceSchema), m->arena, &list, &m->schemas, err));
	if (json_array_size(list) > 0)
	{
		for (size_t i = 0; i < json_array_size(list); i++)
			ICE_TRY(lh_ice_schema_from_tree(json_array_get(list, i), m->arena, &m->schemas[i], err));
		m->n_schemas = (int) json_array_size(list);
		return lh_ice_get_int(root, "current-schema-id", &m->current_schema_id, err);
	}
	if (m->format_version > 1)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "table metadata has no schema");
	ICE_TRY(lh_ice_get(root, "schema", JSON_OBJECT, &single, err));
	ICE_TRY(lh_ice_schema_from_tree(single, m->arena, &m->schemas[0], err));
	m->n_schemas = 1;
	m->current_schema_id = m->schemas[0].schema_id;
	return LH_OK;
}

static LhStatus
read_specs(json_t *root, LhIceMetadata *m, LhError *err)
{
	json_t	   *list;
	json_t	   *single;

	m->last_partition_id = 999;
	ICE_TRY(array_opt(root, "partition-specs", sizeof(LhIceSpec), m->arena, &list, &m->specs, err));
	if (json_array_size(list) > 0)
	{
		for (size_t i = 0; i < json_array_size(list); i++)
			ICE_TRY(lh_ice_spec_from_tree(json_array_get(list, i), m->arena, &m->specs[i], err));
		m->n_specs = (int) json_array_size(list);
		ICE_TRY(lh_ice_get_int(root, "default-spec-id", &m->default_spec_id, err));
	}
	else
	{
		if (m->format_version > 1)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "table metadata has no partition spec");
		ICE_TRY(lh_ice_get(root, "partition-spec", JSON_ARRAY, &single, err));
		ICE_TRY(lh_ice_spec_fields_from_tree(single, m->arena, &m->specs[0], err));
		m->n_specs = 1;
	}
	for (int i = 0; i < m->n_specs; i++)
	{
		for (int j = 0; j < m->specs[i].n_fields; j++)
		{
			if (m->specs[i].fields[j].field_id > m->last_partition_id)
				m->last_partition_id = m->specs[i].fields[j].field_id;
		}
	}
	if (m->format_version > 1)
		return lh_ice_get_int(root, "last-partition-id", &m->last_partition_id, err);
	return lh_ice_get_int_opt(root, "last-partition-id", &m->last_partition_id, err);
}

static LhStatus
read_sort_orders(json_t *root, LhIceMetadata *m, LhError *err)
{
	json_t	   *list;

	ICE_TRY(array_opt(root, "sort-orders", sizeof(LhIceSortOrder), m->arena, &list, &m->sort_orders, err));
	if (json_array_size(list) == 0)
	{
		if (m->format_version > 1)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "table metadata has no sort order");
		/* the slot is zeroed: order 0, unsorted */
		m->n_sort_orders = 1;
		return LH_OK;
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		ICE_TRY(lh_ice_sort_order_from_tree(json_array_get(list, i), m->arena, &m->sort_orders[i], err));
	m->n_sort_orders = (int) json_array_size(list);
	return lh_ice_get_int(root, "default-sort-order-id", &m->default_sort_order_id, err);
}

/* ---- snapshots and refs ---- */

static LhStatus
read_v1_manifests(json_t *tree, LhIceSnapshot *s, LhArena *arena, LhError *err)
{
	json_t	   *list;

	ICE_TRY(array_opt(tree, "manifests", sizeof(char *), arena, &list, &s->manifests, err));
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		json_t	   *path = json_array_get(list, i);

		if (!json_is_string(path))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "a manifest path is not a string");
		ICE_TRY(lh_ice_copy_string(arena, json_string_value(path), &s->manifests[i], err));
	}
	s->n_manifests = (int) json_array_size(list);
	return LH_OK;
}

static LhStatus
read_snapshot(json_t *tree, int format_version, LhIceSnapshot *s, LhArena *arena, LhError *err)
{
	s->parent_id = s->schema_id = LH_ICE_NONE;
	s->first_row_id = s->added_rows = LH_ICE_NONE;
	ICE_TRY(lh_ice_get_long(tree, "snapshot-id", &s->snapshot_id, err));
	ICE_TRY(lh_ice_get_long_opt(tree, "parent-snapshot-id", &s->parent_id, err));
	ICE_TRY(lh_ice_get_long_opt(tree, "sequence-number", &s->sequence_number, err));
	ICE_TRY(lh_ice_get_long(tree, "timestamp-ms", &s->timestamp_ms, err));
	ICE_TRY(lh_ice_get_string_opt(tree, "manifest-list", arena, &s->manifest_list, err));
	ICE_TRY(lh_ice_get_map_opt(tree, "summary", arena, &s->summary, &s->n_summary, err));
	ICE_TRY(lh_ice_get_int_opt(tree, "schema-id", &s->schema_id, err));
	ICE_TRY(lh_ice_get_long_opt(tree, "first-row-id", &s->first_row_id, err));
	ICE_TRY(lh_ice_get_long_opt(tree, "added-rows", &s->added_rows, err));
	ICE_TRY(lh_ice_get_string_opt(tree, "key-id", arena, &s->key_id, err));
	if (s->manifest_list != NULL)
		return LH_OK;
	if (format_version > 1)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "snapshot %lld has no manifest list",
					   (long long) s->snapshot_id);
	return read_v1_manifests(tree, s, arena, err);
}

static LhStatus
read_snapshots(json_t *root, LhIceMetadata *m, LhError *err)
{
	json_t	   *list;

	ICE_TRY(array_opt(root, "snapshots", sizeof(LhIceSnapshot), m->arena, &list, &m->snapshots, err));
	for (size_t i = 0; i < json_array_size(list); i++)
		ICE_TRY(read_snapshot(json_array_get(list, i), m->format_version, &m->snapshots[i], m->arena, err));
	m->n_snapshots = (int) json_array_size(list);
	return LH_OK;
}

static LhStatus
read_ref(const char *name, json_t *tree, LhIceRef *ref, LhArena *arena, LhError *err)
{
	json_t	   *type;

	ref->min_snapshots_to_keep = LH_ICE_NONE;
	ref->max_snapshot_age_ms = ref->max_ref_age_ms = LH_ICE_NONE;
	ICE_TRY(lh_ice_copy_string(arena, name, &ref->name, err));
	ICE_TRY(lh_ice_get_long(tree, "snapshot-id", &ref->snapshot_id, err));
	ICE_TRY(lh_ice_get(tree, "type", JSON_STRING, &type, err));
	ref->is_tag = strcmp(json_string_value(type), "tag") == 0;
	if (!ref->is_tag && strcmp(json_string_value(type), "branch") != 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "ref \"%.100s\" is neither branch nor tag", name);
	ICE_TRY(lh_ice_get_int_opt(tree, "min-snapshots-to-keep", &ref->min_snapshots_to_keep, err));
	ICE_TRY(lh_ice_get_long_opt(tree, "max-snapshot-age-ms", &ref->max_snapshot_age_ms, err));
	return lh_ice_get_long_opt(tree, "max-ref-age-ms", &ref->max_ref_age_ms, err);
}

/* After current_snapshot_id: a table without refs has main there. */
static LhStatus
read_refs(json_t *root, LhIceMetadata *m, LhError *err)
{
	json_t	   *map = NULL;
	const char *name;
	json_t	   *tree;
	bool		has_main = false;

	ICE_TRY(lh_ice_get_opt(root, "refs", JSON_OBJECT, &map, err));
	m->refs = lh_ice_array(m->arena, json_object_size(map) + 1, sizeof(LhIceRef));
	if (m->refs == NULL)
		return ice_nomem(err);
	json_object_foreach(map, name, tree)
	{
		ICE_TRY(read_ref(name, tree, &m->refs[m->n_refs], m->arena, err));
		has_main |= strcmp(name, "main") == 0;
		m->n_refs++;
	}
	if (!has_main && m->current_snapshot_id != LH_ICE_NONE)
	{
		m->refs[m->n_refs++] = (LhIceRef) {
			.name = "main",
			.snapshot_id = m->current_snapshot_id,
			.min_snapshots_to_keep = LH_ICE_NONE,
			.max_snapshot_age_ms = LH_ICE_NONE,
			.max_ref_age_ms = LH_ICE_NONE,
		};
	}
	return LH_OK;
}

/* ---- logs, statistics ---- */

static LhStatus
read_logs(json_t *root, LhIceMetadata *m, LhError *err)
{
	json_t	   *list;
	size_t		i;
	json_t	   *item;

	ICE_TRY(array_opt(root, "snapshot-log", sizeof(LhIceSnapshotLogEntry), m->arena, &list,
					  &m->snapshot_log, err));
	json_array_foreach(list, i, item)
	{
		ICE_TRY(lh_ice_get_long(item, "timestamp-ms", &m->snapshot_log[i].timestamp_ms, err));
		ICE_TRY(lh_ice_get_long(item, "snapshot-id", &m->snapshot_log[i].snapshot_id, err));
	}
	m->n_snapshot_log = (int) json_array_size(list);

	ICE_TRY(array_opt(root, "metadata-log", sizeof(LhIceMetadataLogEntry), m->arena, &list,
					  &m->metadata_log, err));
	json_array_foreach(list, i, item)
	{
		ICE_TRY(lh_ice_get_long(item, "timestamp-ms", &m->metadata_log[i].timestamp_ms, err));
		ICE_TRY(lh_ice_get_string(item, "metadata-file", m->arena, &m->metadata_log[i].path, err));
	}
	m->n_metadata_log = (int) json_array_size(list);
	return LH_OK;
}

static LhStatus
read_statistics(json_t *root, const char *key, LhArena *arena, LhIceStatistics **stats, int *n_stats,
				LhError *err)
{
	json_t	   *list;
	size_t		i;
	json_t	   *item;

	ICE_TRY(array_opt(root, key, sizeof(LhIceStatistics), arena, &list, stats, err));
	json_array_foreach(list, i, item)
	{
		ICE_TRY(lh_ice_get_long(item, "snapshot-id", &(*stats)[i].snapshot_id, err));
		ICE_TRY(lh_ice_json_text(item, arena, &(*stats)[i].json, err));
	}
	*n_stats = (int) json_array_size(list);
	return LH_OK;
}

/* ---- the whole ---- */

static LhStatus
read_head(json_t *root, LhIceMetadata *m, LhError *err)
{
	size_t		len;
	bool		v2;

	ICE_TRY(lh_ice_get_int(root, "format-version", &m->format_version, err));
	if (m->format_version < 1)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "table metadata has format version %d", m->format_version);
	if (m->format_version > 3)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "table metadata has format version %d", m->format_version);
	v2 = m->format_version >= 2;
	if (v2)
		ICE_TRY(lh_ice_get_string(root, "table-uuid", m->arena, &m->table_uuid, err));
	else
		ICE_TRY(lh_ice_get_string_opt(root, "table-uuid", m->arena, &m->table_uuid, err));
	ICE_TRY(lh_ice_get_string(root, "location", m->arena, &m->location, err));
	len = strlen(m->location);
	while (len > 0 && m->location[len - 1] == '/')
		len--;
	m->location = lh_arena_strndup(m->arena, m->location, len);
	if (m->location == NULL)
		return ice_nomem(err);
	if (v2)
		ICE_TRY(lh_ice_get_long(root, "last-sequence-number", &m->last_sequence_number, err));
	ICE_TRY(lh_ice_get_long(root, "last-updated-ms", &m->last_updated_ms, err));
	if (m->format_version >= 3)
		ICE_TRY(lh_ice_get_long(root, "next-row-id", &m->next_row_id, err));
	return lh_ice_get_int(root, "last-column-id", &m->last_column_id, err);
}

static LhStatus
read_tree(json_t *root, LhIceMetadata *m, LhError *err)
{
	m->current_snapshot_id = LH_ICE_NONE;
	ICE_TRY(read_head(root, m, err));
	ICE_TRY(read_schemas(root, m, err));
	ICE_TRY(read_specs(root, m, err));
	ICE_TRY(read_sort_orders(root, m, err));
	ICE_TRY(lh_ice_get_map_opt(root, "properties", m->arena, &m->properties, &m->n_properties, err));
	ICE_TRY(lh_ice_get_long_opt(root, "current-snapshot-id", &m->current_snapshot_id, err));
	ICE_TRY(read_snapshots(root, m, err));
	ICE_TRY(read_refs(root, m, err));
	ICE_TRY(read_logs(root, m, err));
	ICE_TRY(read_statistics(root, "statistics", m->arena, &m->statistics, &m->n_statistics, err));
	ICE_TRY(read_statistics(root, "partition-statistics", m->arena, &m->partition_statistics,
							&m->n_partition_statistics, err));
	return lh_ice_metadata_check(m, err);
}

LhStatus
lh_ice_metadata_read(const char *json, size_t len, LhArena *arena, LhIceMetadata *m, LhError *err)
{
	json_t	   *root;
	LhStatus	status;

	memset(m, 0, sizeof(*m));
	m->arena = arena;
	ICE_TRY(lh_ice_json_load(json, len, &root, err));
	status = read_tree(root, m, err);
	json_decref(root);
	return status;
}
