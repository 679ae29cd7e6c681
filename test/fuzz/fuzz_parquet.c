/*
 * fuzz_parquet.c
 *	  libFuzzer entry: any bytes are a Parquet file to be read to the end.
 *
 * Build: clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc
 * test/fuzz/fuzz_parquet.c src/base/base_*.c src/parquet/pq_*.c -lzstd
 * -lsnappy -llz4 -lz; seeds lie in test/fuzz/corpus/parquet.
 */
#include "../tools/pq_file.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LhError		err;

	pq_touch(data, size, &lh_malloc, 5000, &err);
	return 0;
}
