/*
 * main.c
 *	  Runs every registered unit test, or those whose name contains an
 *	  argument.  Prints "N passed, N failed"; the exit status is 1 on failure.
 */
#include "lh_test.h"

#include <stdarg.h>
#include <stdlib.h>

static LhTest *tests;
static bool failed;

void
lh_test_register(LhTest *test)
{
	test->next = tests;
	tests = test;
}

void
lh_test_fail(const char *file, int line, const char *fmt,...)
{
	va_list		args;

	failed = true;
	printf("%s:%d: ", file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

bool
lh_test_failed(void)
{
	return failed;
}

const char *
lh_test_data(const char *name)
{
	static char path[1024];
	const char *dir = getenv("LH_DATA");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "test/data", name);
	return path;
}

uint8_t *
lh_test_read_file(const char *path, size_t *len)
{
	FILE	   *f = fopen(path, "rb");
	uint8_t    *data = NULL;
	long		size = -1;

	if (f != NULL && fseek(f, 0, SEEK_END) == 0)
		size = ftell(f);
	if (size >= 0 && fseek(f, 0, SEEK_SET) == 0)
		data = malloc((size_t) size + 1);
	if (data != NULL && fread(data, 1, (size_t) size, f) != (size_t) size)
	{
		free(data);
		data = NULL;
	}
	if (f != NULL)
		fclose(f);
	if (data == NULL)
	{
		lh_test_fail(__FILE__, __LINE__, "cannot read \"%s\"", path);
		return NULL;
	}
	data[size] = 0;
	*len = (size_t) size;
	return data;
}

static bool
wanted(const LhTest *test, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(test->name, argv[i]) != NULL || strstr(test->file, argv[i]) != NULL)
			return true;
	return argc <= 1;
}

int
main(int argc, char **argv)
{
	int			n_passed = 0;
	int			n_failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (LhTest *test = tests; test != NULL; test = test->next)
	{
		if (!wanted(test, argc, argv))
			continue;
		failed = false;
		test->run();
		if (failed)
		{
			printf("FAILED %s (%s)\n", test->name, test->file);
			n_failed++;
		}
		else
			n_passed++;
	}
	printf("%d passed, %d failed\n", n_passed, n_failed);
	return n_failed > 0;
}
