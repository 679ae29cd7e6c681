/*
 * fuzz_metadata.c
 *	  metadata.json from any bytes: no crash, and what was read of version 2
 *	  can be written, and read again.
 */
#include "iceberg/iceberg.h"

#include <stdlib.h>

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LhArena		arena;
	LhIceMetadata m;
	LhError		err;
	LhBuf		out;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&out, &lh_malloc);
	if (lh_ice_metadata_read((const char *) data, size, &arena, &m, &err) == LH_OK && m.format_version == 2)
	{
		if (lh_ice_metadata_write(&m, &out, &err) != LH_OK)
			abort();
		if (lh_ice_metadata_read((const char *) out.data, out.len, &arena, &m, &err) != LH_OK)
			abort();
	}
	lh_buf_free(&out);
	lh_arena_free(&arena);
	return 0;
}
