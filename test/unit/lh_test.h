/*
 * lh_test.h
 *	  The unit tests' whole framework: LH_TEST registers a test, the LH_*
 *	  checks abandon it at the first failure, main.c runs what is registered.
 *
 *		LH_TEST(varint_of_zero)
 *		{
 *			LH_EQ_INT(encoded_len(0), 1);
 *		}
 *
 * A check that fails returns from the function it stands in, so a helper
 * that checks is void, and its caller asks LH_GIVE_UP() before going on.
 */
#ifndef LH_TEST_H
#define LH_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

typedef struct LhTest
{
	const char *file;
	const char *name;
	void		(*run) (void);
	struct LhTest *next;
} LhTest;

extern void lh_test_register(LhTest *test);

/* Records a failure of the running test; the format is printf's. */
extern void lh_test_fail(const char *file, int line, const char *fmt,...) LH_PRINTF(3, 4);

/* Has the running test failed already? */
extern bool lh_test_failed(void);

/* Path of a file below test/data ($LH_DATA), in a static buffer. */
extern const char *lh_test_data(const char *name);

/* A whole file, malloc'ed with a NUL behind; NULL (and a failure) when it cannot be read. */
extern uint8_t *lh_test_read_file(const char *path, size_t *len);

#define LH_TEST(name) \
	static void test_##name(void); \
	static LhTest entry_##name = {__FILE__, #name, test_##name, NULL}; \
	__attribute__((constructor)) static void \
	register_##name(void) \
	{ \
		lh_test_register(&entry_##name); \
	} \
	static void \
	test_##name(void)

#define LH_FAIL(...) \
	do { lh_test_fail(__FILE__, __LINE__, __VA_ARGS__); return; } while (0)

#define LH_CHECK(cond) \
	do { if (!(cond)) LH_FAIL("%s", #cond); } while (0)

#define LH_EQ_INT(a, b) \
	do { \
		int64_t lh_a = (int64_t) (a), lh_b = (int64_t) (b); \
		if (lh_a != lh_b) \
			LH_FAIL("%s = %" PRId64 ", not %s = %" PRId64, #a, lh_a, #b, lh_b); \
	} while (0)

#define LH_EQ_STR(a, b) \
	do { \
		const char *lh_a = (a), *lh_b = (b); \
		if (lh_a == NULL || lh_b == NULL || strcmp(lh_a, lh_b) != 0) \
			LH_FAIL("%s = \"%s\", not \"%s\"", #a, lh_a ? lh_a : "(null)", lh_b ? lh_b : "(null)"); \
	} while (0)

#define LH_EQ_MEM(a, b, n) \
	do { if (memcmp((a), (b), (n)) != 0) LH_FAIL("%s differs from %s", #a, #b); } while (0)

/* A call that must succeed; `err` is an LhError in scope. */
#define LH_SUCCEED(call) \
	do { \
		LhStatus lh_s = (call); \
		if (lh_s != LH_OK) \
			LH_FAIL("%s: status %d: %s", #call, (int) lh_s, err.message); \
	} while (0)

/* A call that must fail with the given status. */
#define LH_REFUSE(call, wanted) \
	do { \
		LhStatus lh_s = (call); \
		if (lh_s != (wanted)) \
			LH_FAIL("%s: status %d, not %s", #call, (int) lh_s, #wanted); \
	} while (0)

#define LH_GIVE_UP() \
	do { if (lh_test_failed()) return; } while (0)

#endif							/* LH_TEST_H */
