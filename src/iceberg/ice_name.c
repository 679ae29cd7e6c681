/*
 * ice_name.c
 *	  Names of Iceberg's files and snapshots, by the conventions that Java
 *	  set.  Readers parse only those of metadata files.
 */
#include "iceberg/iceberg.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
lh_ice_metadata_name(char name[LH_ICE_NAME_BYTES], int version, const char *uuid)
{
	snprintf(name, LH_ICE_NAME_BYTES, "%05d-%.36s.metadata.json", version, uuid);
}

int
lh_ice_metadata_version(const char *path)
{
	const char *name = strrchr(path, '/');
	char	   *end;
	long		version;

	name = name != NULL ? name + 1 : path;
	if (strstr(name, ".metadata.json") == NULL)
		return LH_ICE_NONE;
	if (*name == 'v')
		name++;
	if (!isdigit((unsigned char) *name))
		return LH_ICE_NONE;
	version = strtol(name, &end, 10);
	if ((*end != '-' && *end != '.') || version > INT32_MAX)
		return LH_ICE_NONE;
	return (int) version;
}

void
lh_ice_manifest_name(char name[LH_ICE_NAME_BYTES], const char *commit_uuid, int number)
{
	snprintf(name, LH_ICE_NAME_BYTES, "%.36s-m%d.avro", commit_uuid, number);
}

void
lh_ice_manifest_list_name(char name[LH_ICE_NAME_BYTES], int64_t snapshot_id, int attempt, const char *commit_uuid)
{
	snprintf(name, LH_ICE_NAME_BYTES, "snap-%lld-%d-%.36s.avro", (long long) snapshot_id, attempt, commit_uuid);
}

int64_t
lh_ice_snapshot_id(const uint8_t random[16])
{
	int64_t		id = (int64_t) ((lh_get_u64le(random) ^ lh_get_u64le(random + 8)) & INT64_MAX);

	return id > 0 ? id : 1;		/* zero is unsafe */
}
