/*
 * pg_error.c
 *	  The seam between the pure layers and PostgreSQL: a status becomes an
 *	  ereport(), a memory context becomes an allocator.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "types/types.h"

static int
sqlstate_of(LhStatus status)
{
	switch (status)
	{
		case LH_OK:
		case LH_ERR_INVALID:
			break;
		case LH_ERR_CORRUPT:
			return ERRCODE_DATA_CORRUPTED;
		case LH_ERR_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case LH_ERR_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case LH_ERR_NOMEM:
			return ERRCODE_OUT_OF_MEMORY;
		case LH_ERR_IO:
			return ERRCODE_IO_ERROR;
		case LH_ERR_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
	}
	return ERRCODE_INTERNAL_ERROR;
}

void
lh_report(LhStatus status, const LhError *err, const char *object)
{
	const char *message;
	long long	offset;

	if (likely(status == LH_OK))
		return;					/* *err is not filled */

	/* Raises the interrupt that the tick callback saw, if it is still there. */
	if (status == LH_ERR_CANCELLED)
		CHECK_FOR_INTERRUPTS();

	message = err && err->message[0] ? err->message : "the operation failed";
	offset = err ? (long long) err->offset : -1;
	ereport(ERROR,
			(errcode(sqlstate_of(status)),
			 errmsg("%s", message),
			 object && offset >= 0 ? errdetail("In \"%s\", at byte %lld.", object, offset) :
			 object ? errdetail("In \"%s\".", object) :
			 offset >= 0 ? errdetail("At byte %lld.", offset) : 0));
}

void
lh_palloc_row_set(LhRowSet *rows)
{
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);

	lh_row_set_init(rows, &alloc);
}

void
lh_check_row_set(const LhRowSet *rows)
{
	if (rows->failed)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("A set of " INT64_FORMAT " row ids cannot grow.", (int64) rows->n)));
}

/*
 * Every block starts with its size, since realloc must copy: a repalloc that
 * returns NULL instead of raising exists only from PostgreSQL 16 on, and an
 * error must not jump over a pure layer.
 */
#define BLOCK_HEADER	MAXALIGN(16)

static void *
palloc_alloc(void *ctx, size_t size)
{
	char	   *block;

	if (size >= MaxAllocHugeSize - BLOCK_HEADER)
		return NULL;
	block = MemoryContextAllocExtended((MemoryContext) ctx, size + BLOCK_HEADER,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (block == NULL)
		return NULL;
	*(size_t *) block = size;
	return block + BLOCK_HEADER;
}

static void
palloc_free(void *ctx, void *ptr)
{
	(void) ctx;
	if (ptr != NULL)
		pfree((char *) ptr - BLOCK_HEADER);
}

static void *
palloc_realloc(void *ctx, void *ptr, size_t size)
{
	void	   *moved = palloc_alloc(ctx, size);

	if (moved != NULL && ptr != NULL)
	{
		size_t		old_size = *(size_t *) ((char *) ptr - BLOCK_HEADER);

		memcpy(moved, ptr, Min(old_size, size));
		palloc_free(ctx, ptr);
	}
	return moved;
}

static bool
interrupt_tick(void *ctx)
{
	(void) ctx;
	return InterruptPending && (QueryCancelPending || ProcDiePending);
}

LhAlloc
lh_palloc_alloc(MemoryContext cxt)
{
	LhAlloc		alloc = {
		.alloc = palloc_alloc,
		.realloc = palloc_realloc,
		.free = palloc_free,
		.tick = interrupt_tick,
		.ctx = cxt
	};

	return alloc;
}
