/*
 * pq_zeros.c
 *	  Dictionaries of floats have both zeros or none.
 */
#include "lh_test.h"
#include "parquet/encode_int.h"

#include <math.h>
#include <string.h>

/* Maps floats, pairs zeros, and returns how many values there are; the last one goes to *last. */
static uint32_t
pair(const float *values, size_t n, float *last)
{
	LhPqDict	dict;
	uint32_t	indices[8];
	uint32_t	count;
	size_t		done;

	lh_pq_dict_init(&dict, sizeof(float), &lh_malloc);
	LH_CHECK(lh_pq_dict_map(&dict, (const uint8_t *) values, n, 1000, indices, &done));
	LH_CHECK(lh_pq_dict_pair_zeros(&dict));
	LH_CHECK(dict.plain.len == dict.n * sizeof(float));
	count = dict.n;
	memcpy(last, dict.plain.data + dict.plain.len - sizeof(float), sizeof(float));
	lh_pq_dict_free(&dict);
	return count;
}

LH_TEST(dictionaries_have_both_zeros_or_none)
{
	const float none[] = {1.5f, -1.5f, 1.5f};
	const float plus[] = {1.5f, 0.0f, 0.0f};
	const float minus[] = {-0.0f, 1.5f, -0.0f};
	const float both[] = {-0.0f, 1.5f, 0.0f, -0.0f};
	float		last;

	LH_CHECK(pair(none, 3, &last) == 2);
	LH_CHECK(pair(plus, 3, &last) == 3 && last == 0 && signbit(last));
	LH_CHECK(pair(minus, 3, &last) == 3 && last == 0 && !signbit(last));
	LH_CHECK(pair(both, 4, &last) == 3);
}

LH_TEST(the_other_zero_of_doubles)
{
	const double minus = -0.0;
	LhPqDict	dict;
	uint32_t	index;
	size_t		done;

	lh_pq_dict_init(&dict, sizeof(double), &lh_malloc);
	LH_CHECK(lh_pq_dict_map(&dict, (const uint8_t *) &minus, 1, 1000, &index, &done));
	LH_CHECK(lh_pq_dict_pair_zeros(&dict));
	LH_CHECK(dict.n == 2 && ((const double *) dict.plain.data)[1] == 0 && !signbit(((const double *) dict.plain.data)[1]));
	lh_pq_dict_free(&dict);
}
