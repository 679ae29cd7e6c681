/*
 * ice_summary.c
 *	  Snapshot summaries: what changed, as strings, and running totals.
 *
 * Readers take row counts from the totals without opening a manifest, so
 * they are always written.  Spec: Appendix F "Optional Snapshot Summary
 * Fields".
 */
#include "iceberg/ice_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most keys of our own in one summary. */
#define MAX_OWN_KEYS	32

const char *
lh_ice_snapshot_summary(const LhIceSnapshot *snapshot, const char *key)
{
	for (int i = 0; i < snapshot->n_summary; i++)
	{
		if (strcmp(snapshot->summary[i].key, key) == 0)
			return snapshot->summary[i].value;
	}
	return NULL;
}

static const char *
operation(const LhIceChanges *c)
{
	bool		adds = c->added_data_files > 0;
	bool		takes = c->removed_data_files > 0 ||
		c->added_position_delete_files > 0 || c->added_equality_delete_files > 0 ||
		c->removed_position_delete_files > 0 || c->removed_equality_delete_files > 0;

	if (c->replace)
		return "replace";
	if (!takes)
		return "append";
	return adds ? "overwrite" : "delete";
}

static LhStatus
add_text(LhIceSnapshot *s, LhArena *arena, const char *key, const char *value, LhError *err)
{
	LhIceKeyValue *pair = &s->summary[s->n_summary];

	ICE_TRY(lh_ice_copy_string(arena, key, &pair->key, err));
	ICE_TRY(lh_ice_copy_string(arena, value, &pair->value, err));
	s->n_summary++;
	return LH_OK;
}

static LhStatus
add_number(LhIceSnapshot *s, LhArena *arena, const char *key, int64_t value, LhError *err)
{
	char		text[24];

	snprintf(text, sizeof(text), "%lld", (long long) value);
	return add_text(s, arena, key, text, err);
}

/* Left out when the parent does not tell its own, or one of us miscounts. */
static LhStatus
add_total(LhIceSnapshot *s, LhArena *arena, const char *key, const LhIceSnapshot *parent,
		  int64_t added, int64_t removed, LhError *err)
{
	int64_t		total = 0;

	if (parent != NULL)
	{
		const char *text = lh_ice_snapshot_summary(parent, key);
		char	   *end;

		if (text == NULL)
			return LH_OK;
		total = strtoll(text, &end, 10);
		if (end == text || *end != '\0' || total < 0)
			return LH_OK;
	}
	if (__builtin_add_overflow(total, added, &total) || __builtin_sub_overflow(total, removed, &total) ||
		total < 0)
		return LH_OK;
	return add_number(s, arena, key, total, err);
}

static LhStatus
add_totals(const LhIceChanges *c, const LhIceSnapshot *parent, LhArena *arena, LhIceSnapshot *s, LhError *err)
{
	ICE_TRY(add_total(s, arena, "total-records", parent, c->added_records, c->removed_records, err));
	ICE_TRY(add_total(s, arena, "total-files-size", parent, c->added_files_size, c->removed_files_size, err));
	ICE_TRY(add_total(s, arena, "total-data-files", parent, c->added_data_files, c->removed_data_files, err));
	ICE_TRY(add_total(s, arena, "total-delete-files", parent,
					  c->added_position_delete_files + c->added_equality_delete_files,
					  c->removed_position_delete_files + c->removed_equality_delete_files, err));
	ICE_TRY(add_total(s, arena, "total-position-deletes", parent,
					  c->added_position_deletes, c->removed_position_deletes, err));
	return add_total(s, arena, "total-equality-deletes", parent,
					 c->added_equality_deletes, c->removed_equality_deletes, err);
}

LhStatus
lh_ice_summary(const LhIceChanges *c, const LhIceSnapshot *parent, LhArena *arena, LhIceSnapshot *s,
			   LhError *err)
{
	const int64_t added_deletes = c->added_position_delete_files + c->added_equality_delete_files;
	const int64_t removed_deletes = c->removed_position_delete_files + c->removed_equality_delete_files;
	const bool	changed = c->added_data_files + c->removed_data_files + added_deletes + removed_deletes > 0;
	const struct
	{
		const char *key;
		int64_t		value;
		bool		always;
	}			numbers[] = {
		{"added-data-files", c->added_data_files, true},
		{"added-records", c->added_records, true},
		{"added-files-size", c->added_files_size, true},
		{"deleted-data-files", c->removed_data_files, false},
		{"deleted-records", c->removed_records, false},
		{"removed-files-size", c->removed_files_size, false},
		{"added-delete-files", added_deletes, false},
		{"added-position-delete-files", c->added_position_delete_files, false},
		{"added-position-deletes", c->added_position_deletes, false},
		{"added-equality-delete-files", c->added_equality_delete_files, false},
		{"added-equality-deletes", c->added_equality_deletes, false},
		{"removed-delete-files", removed_deletes, false},
		{"removed-position-delete-files", c->removed_position_delete_files, false},
		{"removed-position-deletes", c->removed_position_deletes, false},
		{"removed-equality-delete-files", c->removed_equality_delete_files, false},
		{"removed-equality-deletes", c->removed_equality_deletes, false},
		{"changed-partition-count", changed ? 1 : 0, true},
	};

	s->summary = lh_ice_array(arena, (size_t) c->n_extra + MAX_OWN_KEYS, sizeof(LhIceKeyValue));
	if (s->summary == NULL)
		return ice_nomem(err);
	ICE_TRY(add_text(s, arena, "operation", operation(c), err));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		if (numbers[i].value < 0)
			return lh_fail(err, LH_ERR_INVALID, -1, "summary counter \"%s\" is negative", numbers[i].key);
		if (numbers[i].always || numbers[i].value > 0)
			ICE_TRY(add_number(s, arena, numbers[i].key, numbers[i].value, err));
	}
	ICE_TRY(add_totals(c, parent, arena, s, err));
	for (int i = 0; i < c->n_extra; i++)
	{
		if (lh_ice_snapshot_summary(s, c->extra[i].key) != NULL)
			return lh_fail(err, LH_ERR_INVALID, -1, "summary key \"%.100s\" is set already", c->extra[i].key);
		ICE_TRY(add_text(s, arena, c->extra[i].key, c->extra[i].value, err));
	}
	return LH_OK;
}
