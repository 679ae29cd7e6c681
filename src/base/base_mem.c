/*
 * base_mem.c
 *	  Status, allocator, arena and growing buffer of the pure layers.
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LhStatus
lh_fail(LhError *err, LhStatus status, int64_t offset, const char *fmt,...)
{
	if (err != NULL)
	{
		va_list		args;

		err->status = status;
		err->offset = offset;
		va_start(args, fmt);
		vsnprintf(err->message, sizeof(err->message), fmt, args);
		va_end(args);
	}
	return status;
}

/* ---- allocator ---- */

static void *
malloc_alloc(void *ctx, size_t size)
{
	(void) ctx;
	return malloc(size);
}

static void *
malloc_realloc(void *ctx, void *ptr, size_t size)
{
	(void) ctx;
	return realloc(ptr, size);
}

static void
malloc_free(void *ctx, void *ptr)
{
	(void) ctx;
	free(ptr);
}

const LhAlloc lh_malloc = {malloc_alloc, malloc_realloc, malloc_free, NULL, NULL};

void *
lh_alloc(const LhAlloc *a, size_t size)
{
	return a->alloc(a->ctx, size > 0 ? size : 1);
}

void *
lh_alloc_zero(const LhAlloc *a, size_t size)
{
	void	   *p = lh_alloc(a, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void *
lh_realloc(const LhAlloc *a, void *ptr, size_t size)
{
	return ptr == NULL ? lh_alloc(a, size) : a->realloc(a->ctx, ptr, size > 0 ? size : 1);
}

void
lh_free(const LhAlloc *a, void *ptr)
{
	if (ptr != NULL)
		a->free(a->ctx, ptr);
}

/* ---- arena ---- */

struct LhArenaChunk
{
	LhArenaChunk *next;
	size_t		used;
	size_t		cap;
	size_t		pad;			/* keeps data 16-aligned */
	uint8_t		data[];
};

#define ARENA_CHUNK_BYTES	8192

void
lh_arena_init(LhArena *arena, const LhAlloc *alloc)
{
	arena->alloc = alloc;
	arena->chunks = NULL;
}

void *
lh_arena_alloc(LhArena *arena, size_t size)
{
	LhArenaChunk *chunk = arena->chunks;
	size_t		need;
	void	   *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	need = (size + 15) & ~(size_t) 15;
	if (chunk == NULL || chunk->cap - chunk->used < need)
	{
		size_t		cap = need > ARENA_CHUNK_BYTES ? need : ARENA_CHUNK_BYTES;

		chunk = lh_alloc(arena->alloc, sizeof(LhArenaChunk) + cap);
		if (chunk == NULL)
			return NULL;
		chunk->next = arena->chunks;
		chunk->used = 0;
		chunk->cap = cap;
		arena->chunks = chunk;
	}
	p = chunk->data + chunk->used;
	chunk->used += need;
	return p;
}

void *
lh_arena_zero(LhArena *arena, size_t size)
{
	void	   *p = lh_arena_alloc(arena, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

char *
lh_arena_strndup(LhArena *arena, const void *s, size_t len)
{
	char	   *p = lh_arena_alloc(arena, len + 1);

	if (p != NULL)
	{
		memcpy(p, s, len);
		p[len] = '\0';
	}
	return p;
}

void
lh_arena_free(LhArena *arena)
{
	LhArenaChunk *chunk = arena->chunks;

	while (chunk != NULL)
	{
		LhArenaChunk *next = chunk->next;

		lh_free(arena->alloc, chunk);
		chunk = next;
	}
	arena->chunks = NULL;
}

/* ---- growing buffer ---- */

void
lh_buf_init(LhBuf *buf, const LhAlloc *alloc)
{
	memset(buf, 0, sizeof(*buf));
	buf->alloc = alloc;
}

void
lh_buf_free(LhBuf *buf)
{
	lh_free(buf->alloc, buf->data);
	lh_buf_init(buf, buf->alloc);
}

bool
lh_buf_reserve(LhBuf *buf, size_t extra)
{
	size_t		need;
	size_t		cap;
	void	   *data;

	if (buf->failed)
		return false;
	if (__builtin_add_overflow(buf->len, extra, &need) || need > SIZE_MAX / 4)
	{
		buf->failed = true;
		return false;
	}
	if (need <= buf->cap)
		return true;
	cap = buf->cap < 64 ? 64 : buf->cap;
	while (cap < need)
		cap += cap / 2;
	data = lh_realloc(buf->alloc, buf->data, cap);
	if (data == NULL)
	{
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->cap = cap;
	return true;
}

bool
lh_buf_append(LhBuf *buf, const void *data, size_t len)
{
	if (!lh_buf_reserve(buf, len))
		return false;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return true;
}

bool
lh_buf_printf(LhBuf *buf, const char *fmt,...)
{
	va_list		args;
	int			need;

	va_start(args, fmt);
	need = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	/* vsnprintf writes a terminator, which is not counted in len */
	if (need < 0 || !lh_buf_reserve(buf, (size_t) need + 1))
	{
		buf->failed = true;
		return false;
	}
	va_start(args, fmt);
	vsnprintf((char *) buf->data + buf->len, (size_t) need + 1, fmt, args);
	va_end(args);
	buf->len += (size_t) need;
	return true;
}

bool
lh_buf_varint(LhBuf *buf, uint64_t v)
{
	while (v >= 0x80)
	{
		if (!lh_buf_u8(buf, (uint8_t) (v | 0x80)))
			return false;
		v >>= 7;
	}
	return lh_buf_u8(buf, (uint8_t) v);
}
