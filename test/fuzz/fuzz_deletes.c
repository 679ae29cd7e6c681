/*
 * fuzz_deletes.c
 *	  Position delete files from any bytes: no crash, no more rows than were
 *	  asked for, and what was read can be written.
 */
#include "iceberg/iceberg.h"

#include <stdlib.h>

#define MAX_ROWS	10000

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static LhStatus
drop(void *ctx, const uint8_t *data, size_t len, LhError *err)
{
	(void) ctx;
	(void) data;
	(void) len;
	(void) err;
	return LH_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LhArena		arena;
	LhIceDeletes *deletes;
	LhIceDataFile file;
	int64_t		rows = 0;
	int			n;
	LhStatus	status;
	LhError		err;

	lh_arena_init(&arena, &lh_malloc);
	if (lh_ice_deletes_read(data, size, MAX_ROWS, &arena, &deletes, &n, &err) == LH_OK && n > 0)
	{
		for (int i = 0; i < n; i++)
			rows += deletes[i].n;
		status = lh_ice_deletes_write(deletes, n, "fuzz", drop, NULL, &arena, &file, &err);
		/* what is no UTF-8 is read, but not written */
		if (rows > MAX_ROWS || (status != LH_OK && status != LH_ERR_INVALID))
			abort();
	}
	lh_arena_free(&arena);
	return 0;
}
