/*
 * ice_metadata_write.c
 *	  An LhIceMetadata as metadata.json, checked before it is written.
 *
 * Members come in Java's order and absent ones are left out: an explicit
 * null makes Java refuse the table.  Spec: Appendix C.
 */
#include "iceberg/ice_int.h"

#include <stdlib.h>
#include <string.h>

/* Clocks of different writers may disagree by this much; Java's tolerance. */
#define CLOCK_SKEW_MS	60000
/* Schemas, or partition specs: comparing all their ids stays cheap. */
#define MAX_IDS			10000

/* ---- checks, for readers and writers alike ---- */

static int
compare_longs(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static bool
has_snapshot(const int64_t *sorted, int n, int64_t id)
{
	return n > 0 && bsearch(&id, sorted, (size_t) n, sizeof(*sorted), compare_longs) != NULL;
}

static LhStatus
check_snapshots(const LhIceMetadata *m, int64_t *sorted, LhError *err)
{
	for (int i = 0; i < m->n_snapshots; i++)
	{
		const LhIceSnapshot *s = &m->snapshots[i];

		sorted[i] = s->snapshot_id;
		if (s->snapshot_id == LH_ICE_NONE)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "a snapshot has the id -1");
		if (m->format_version > 1 && (s->sequence_number < 0 || s->sequence_number > m->last_sequence_number))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "snapshot %lld has sequence number %lld, the table %lld",
						   (long long) s->snapshot_id, (long long) s->sequence_number,
						   (long long) m->last_sequence_number);
	}
	if (m->n_snapshots > 1)
		qsort(sorted, (size_t) m->n_snapshots, sizeof(*sorted), compare_longs);
	for (int i = 1; i < m->n_snapshots; i++)
	{
		if (sorted[i] == sorted[i - 1])
			return lh_fail(err, LH_ERR_CORRUPT, -1, "snapshot id %lld occurs twice", (long long) sorted[i]);
	}
	return LH_OK;
}

static LhStatus
check_refs(const LhIceMetadata *m, const int64_t *sorted, LhError *err)
{
	bool		has_main = false;

	if (m->current_snapshot_id != LH_ICE_NONE && !has_snapshot(sorted, m->n_snapshots, m->current_snapshot_id))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "current snapshot %lld does not exist",
					   (long long) m->current_snapshot_id);
	for (int i = 0; i < m->n_refs; i++)
	{
		const LhIceRef *ref = &m->refs[i];

		if (!has_snapshot(sorted, m->n_snapshots, ref->snapshot_id))
			return lh_fail(err, LH_ERR_CORRUPT, -1, "ref \"%.100s\" points to snapshot %lld, which does not exist",
						   ref->name, (long long) ref->snapshot_id);
		if (strcmp(ref->name, "main") == 0)
		{
			has_main = true;
			if (ref->is_tag || ref->snapshot_id != m->current_snapshot_id)
				return lh_fail(err, LH_ERR_CORRUPT, -1, "ref \"main\" is not the current snapshot");
		}
	}
	if (!has_main && m->current_snapshot_id != LH_ICE_NONE)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "ref \"main\" is missing");
	return LH_OK;
}

static LhStatus
check_logs(const LhIceMetadata *m, LhError *err)
{
	const LhIceSnapshotLogEntry *s = m->snapshot_log;
	const LhIceMetadataLogEntry *f = m->metadata_log;

	for (int i = 0; i < m->n_snapshot_log; i++)
	{
		int64_t		next = i + 1 < m->n_snapshot_log ? s[i + 1].timestamp_ms : m->last_updated_ms;

		if (s[i].timestamp_ms < 0 || s[i].timestamp_ms - CLOCK_SKEW_MS > next)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "snapshot log is not in order of time");
	}
	for (int i = 0; i < m->n_metadata_log; i++)
	{
		int64_t		next = i + 1 < m->n_metadata_log ? f[i + 1].timestamp_ms : m->last_updated_ms;

		if (f[i].timestamp_ms < 0 || f[i].timestamp_ms - CLOCK_SKEW_MS > next)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "metadata log is not in order of time");
	}
	if (m->n_snapshot_log > 0 && m->current_snapshot_id != LH_ICE_NONE &&
		s[m->n_snapshot_log - 1].snapshot_id != m->current_snapshot_id)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "snapshot log does not end with the current snapshot");
	return LH_OK;
}

static LhStatus
check_ids(const LhIceMetadata *m, LhError *err)
{
	bool		found = false;

	if (m->n_schemas > MAX_IDS || m->n_specs > MAX_IDS)
		return lh_fail(err, LH_ERR_LIMIT, -1, "table metadata has more than %d schemas or partition specs", MAX_IDS);
	for (int i = 0; i < m->n_schemas; i++)
	{
		if (lh_ice_metadata_schema(m, m->schemas[i].schema_id) != &m->schemas[i])
			return lh_fail(err, LH_ERR_CORRUPT, -1, "schema id %d occurs twice", m->schemas[i].schema_id);
		if (lh_ice_schema_max_id(&m->schemas[i]) > m->last_column_id)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "schema %d has field ids beyond last-column-id %d",
						   m->schemas[i].schema_id, m->last_column_id);
	}
	for (int i = 0; i < m->n_specs; i++)
	{
		if (lh_ice_metadata_spec(m, m->specs[i].spec_id) != &m->specs[i])
			return lh_fail(err, LH_ERR_CORRUPT, -1, "partition spec id %d occurs twice", m->specs[i].spec_id);
	}
	if (lh_ice_metadata_schema(m, m->current_schema_id) == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "current schema %d does not exist", m->current_schema_id);
	if (lh_ice_metadata_spec(m, m->default_spec_id) == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "default partition spec %d does not exist", m->default_spec_id);
	for (int i = 0; i < m->n_sort_orders; i++)
		found |= m->sort_orders[i].order_id == m->default_sort_order_id;
	if (!found)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "default sort order %d does not exist", m->default_sort_order_id);
	return LH_OK;
}

LhStatus
lh_ice_metadata_check(const LhIceMetadata *m, LhError *err)
{
	const LhAlloc *alloc = m->arena->alloc;
	int64_t    *sorted;
	LhStatus	status;

	ICE_TRY(check_ids(m, err));
	ICE_TRY(check_logs(m, err));
	sorted = lh_alloc(alloc, (size_t) m->n_snapshots * sizeof(*sorted));
	if (sorted == NULL)
		return ice_nomem(err);
	status = check_snapshots(m, sorted, err);
	if (status == LH_OK)
		status = check_refs(m, sorted, err);
	lh_free(alloc, sorted);
	return status;
}

/* ---- parts ---- */

static void
write_map(IceJsonOut *o, const char *key, const LhIceKeyValue *pairs, int n)
{
	lh_ice_json_key(o, key);
	lh_ice_json_open(o, '{');
	for (int i = 0; i < n; i++)
		lh_ice_json_key_string(o, pairs[i].key, pairs[i].value);
	lh_ice_json_close(o, '}');
}

static void
write_opt_int(IceJsonOut *o, const char *key, int64_t v)
{
	if (v != LH_ICE_NONE)
		lh_ice_json_key_int(o, key, v);
}

static void
write_structure(IceJsonOut *o, const LhIceMetadata *m)
{
	lh_ice_json_key_int(o, "current-schema-id", m->current_schema_id);
	lh_ice_json_key(o, "schemas");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < m->n_schemas; i++)
		lh_ice_schema_to_out(o, &m->schemas[i]);
	lh_ice_json_close(o, ']');

	lh_ice_json_key_int(o, "default-spec-id", m->default_spec_id);
	lh_ice_json_key(o, "partition-specs");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < m->n_specs; i++)
		lh_ice_spec_to_out(o, &m->specs[i]);
	lh_ice_json_close(o, ']');
	lh_ice_json_key_int(o, "last-partition-id", m->last_partition_id);

	lh_ice_json_key_int(o, "default-sort-order-id", m->default_sort_order_id);
	lh_ice_json_key(o, "sort-orders");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < m->n_sort_orders; i++)
		lh_ice_sort_order_to_out(o, &m->sort_orders[i]);
	lh_ice_json_close(o, ']');
}

static void
write_refs(IceJsonOut *o, const LhIceMetadata *m)
{
	lh_ice_json_key(o, "refs");
	lh_ice_json_open(o, '{');
	for (int i = 0; i < m->n_refs; i++)
	{
		const LhIceRef *ref = &m->refs[i];

		lh_ice_json_key(o, ref->name);
		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "snapshot-id", ref->snapshot_id);
		lh_ice_json_key_string(o, "type", ref->is_tag ? "tag" : "branch");
		write_opt_int(o, "min-snapshots-to-keep", ref->min_snapshots_to_keep);
		write_opt_int(o, "max-snapshot-age-ms", ref->max_snapshot_age_ms);
		write_opt_int(o, "max-ref-age-ms", ref->max_ref_age_ms);
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, '}');
}

static void
write_snapshots(IceJsonOut *o, const LhIceMetadata *m)
{
	lh_ice_json_key(o, "snapshots");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < m->n_snapshots; i++)
	{
		const LhIceSnapshot *s = &m->snapshots[i];

		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "sequence-number", s->sequence_number);
		lh_ice_json_key_int(o, "snapshot-id", s->snapshot_id);
		write_opt_int(o, "parent-snapshot-id", s->parent_id);
		lh_ice_json_key_int(o, "timestamp-ms", s->timestamp_ms);
		write_map(o, "summary", s->summary, s->n_summary);
		lh_ice_json_key_string(o, "manifest-list", s->manifest_list);
		write_opt_int(o, "schema-id", s->schema_id);
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
}

static void
write_statistics(IceJsonOut *o, const char *key, const LhIceStatistics *stats, int n)
{
	lh_ice_json_key(o, key);
	lh_ice_json_open(o, '[');
	for (int i = 0; i < n; i++)
		lh_ice_json_raw(o, stats[i].json);
	lh_ice_json_close(o, ']');
}

static void
write_logs(IceJsonOut *o, const LhIceMetadata *m)
{
	lh_ice_json_key(o, "snapshot-log");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < m->n_snapshot_log; i++)
	{
		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "timestamp-ms", m->snapshot_log[i].timestamp_ms);
		lh_ice_json_key_int(o, "snapshot-id", m->snapshot_log[i].snapshot_id);
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');

	lh_ice_json_key(o, "metadata-log");
	lh_ice_json_open(o, '[');
	for (int i = 0; i < m->n_metadata_log; i++)
	{
		lh_ice_json_open(o, '{');
		lh_ice_json_key_int(o, "timestamp-ms", m->metadata_log[i].timestamp_ms);
		lh_ice_json_key_string(o, "metadata-file", m->metadata_log[i].path);
		lh_ice_json_close(o, '}');
	}
	lh_ice_json_close(o, ']');
}

/* ---- the whole ---- */

static LhStatus
check_writable(const LhIceMetadata *m, LhError *err)
{
	if (m->format_version != 2)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "table metadata of format version %d is not written",
					   m->format_version);
	for (int i = 0; i < m->n_snapshots; i++)
	{
		const LhIceSnapshot *s = &m->snapshots[i];

		/* left over from an upgraded v1 table */
		if (s->manifest_list == NULL)
			return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "snapshot %lld has no manifest list",
						   (long long) s->snapshot_id);
	}
	return lh_ice_metadata_check(m, err);
}

LhStatus
lh_ice_metadata_write(const LhIceMetadata *m, LhBuf *out, LhError *err)
{
	IceJsonOut	o;

	ICE_TRY(check_writable(m, err));
	lh_ice_json_begin(&o, out);
	lh_ice_json_open(&o, '{');
	lh_ice_json_key_int(&o, "format-version", m->format_version);
	lh_ice_json_key_string(&o, "table-uuid", m->table_uuid);
	lh_ice_json_key_string(&o, "location", m->location);
	lh_ice_json_key_int(&o, "last-sequence-number", m->last_sequence_number);
	lh_ice_json_key_int(&o, "last-updated-ms", m->last_updated_ms);
	lh_ice_json_key_int(&o, "last-column-id", m->last_column_id);
	write_structure(&o, m);
	write_map(&o, "properties", m->properties, m->n_properties);
	write_opt_int(&o, "current-snapshot-id", m->current_snapshot_id);
	write_refs(&o, m);
	write_snapshots(&o, m);
	write_statistics(&o, "statistics", m->statistics, m->n_statistics);
	write_statistics(&o, "partition-statistics", m->partition_statistics, m->n_partition_statistics);
	write_logs(&o, m);
	lh_ice_json_close(&o, '}');
	return lh_ice_json_end(&o, err);
}
