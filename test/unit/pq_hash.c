/*
 * pq_hash.c
 *	  xxHash64 against values printed by the Python package xxhash 3.
 */
#include "lh_test.h"

LH_TEST(xxh64_known_values)
{
	LH_CHECK(lh_xxh64("", 0, 0) == UINT64_C(0xef46db3751d8e999));
	LH_CHECK(lh_xxh64("a", 1, 0) == UINT64_C(0xd24ec4f1a98c6e5b));
}
