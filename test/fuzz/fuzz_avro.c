/*
 * fuzz_avro.c
 *	  Manifests and manifest lists from any bytes: no crash, and no memory out of
 *	  proportion.
 */
#include "iceberg/iceberg.h"

#include <stdlib.h>

/* Fails beyond a budget, so that the fuzzer finds amplification as a crash. */
static void *
budget_alloc(void *ctx, size_t size)
{
	size_t	   *left = ctx;

	if (size > *left)
		abort();
	*left -= size;
	return malloc(size);
}

static void *
budget_realloc(void *ctx, void *p, size_t size)
{
	size_t	   *left = ctx;

	if (size > *left)
		abort();
	*left -= size;
	return realloc(p, size);
}

static void
budget_free(void *ctx, void *p)
{
	(void) ctx;
	free(p);
}

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		left = ((size_t) 256 << 20) + size * 4096;
	LhAlloc		alloc = {budget_alloc, budget_realloc, budget_free, NULL, &left};
	LhIceManifest row = {.sequence_number = 3, .added_snapshot_id = 4, .first_row_id = 5};
	LhArena		arena;
	LhIceManifestList list;
	LhIceEntry *entries;
	LhError		err;
	int			n;

	lh_arena_init(&arena, &alloc);
	if (lh_ice_manifest_list_read(data, size, &arena, &list, &err) == LH_ERR_NOMEM)
		abort();
	if (lh_ice_manifest_read(data, size, &row, &arena, &entries, &n, &err) == LH_ERR_NOMEM)
		abort();
	lh_arena_free(&arena);
	return 0;
}
