/*
 * base.h
 *	  What every pure layer stands on: status and error, allocator, growing
 *	  buffer, arena, bounded reader.
 *
 * This folder and the other pure ones (kernels, parquet, iceberg) never see
 * postgres.h.  They never jump: each call that can fail returns an LhStatus
 * and fills an LhError that the caller owns.  The Postgres side turns that
 * status into ereport() in one place (catalog/pg_error.c).
 */
#ifndef LH_BASE_H
#define LH_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LH_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define LH_PRINTF(a, b)
#endif

/* ---- status and error ---- */

typedef enum LhStatus
{
	LH_OK = 0,
	LH_ERR_CORRUPT,				/* bytes that no correct writer produces */
	LH_ERR_UNSUPPORTED,			/* valid, but not by us */
	LH_ERR_LIMIT,				/* a bound of the format or of ours */
	LH_ERR_NOMEM,
	LH_ERR_INVALID,				/* the caller's arguments */
	LH_ERR_IO,					/* a sink or source callback failed */
	LH_ERR_CANCELLED			/* the tick callback asked us to stop */
} LhStatus;

typedef struct LhError
{
	LhStatus	status;
	int64_t		offset;			/* byte offset in the object, -1 unknown */
	char		message[256];	/* lower case, no full stop */
} LhError;

/* Fills *err (which may be NULL) and returns status, for "return lh_fail(...)". */
extern LhStatus lh_fail(LhError *err, LhStatus status, int64_t offset,
						const char *fmt,...) LH_PRINTF(4, 5);

/* ---- memory ---- */

/*
 * Caller's allocator.  alloc and realloc return NULL when there is no memory;
 * free(NULL) is allowed.  tick may be NULL; long loops call it now and then
 * and unwind with LH_ERR_CANCELLED when it returns true.
 */
typedef struct LhAlloc
{
	void	   *(*alloc) (void *ctx, size_t size);
	void	   *(*realloc) (void *ctx, void *ptr, size_t size);
	void		(*free) (void *ctx, void *ptr);
	bool		(*tick) (void *ctx);
	void	   *ctx;
} LhAlloc;

extern const LhAlloc lh_malloc;	/* over malloc(), for tests and tools */

extern void *lh_alloc(const LhAlloc *a, size_t size);
extern void *lh_alloc_zero(const LhAlloc *a, size_t size);
extern void *lh_realloc(const LhAlloc *a, void *ptr, size_t size);
extern void lh_free(const LhAlloc *a, void *ptr);

/* *result = a * b, false on overflow. */
static inline bool
lh_mul_size(size_t a, size_t b, size_t *result)
{
	return !__builtin_mul_overflow(a, b, result);
}

/* ---- arena: many small objects freed together ---- */

typedef struct LhArenaChunk LhArenaChunk;

typedef struct LhArena
{
	const LhAlloc *alloc;
	LhArenaChunk *chunks;
} LhArena;

extern void lh_arena_init(LhArena *arena, const LhAlloc *alloc);
extern void *lh_arena_alloc(LhArena *arena, size_t size);	/* 16-aligned, or NULL */
extern void *lh_arena_zero(LhArena *arena, size_t size);
extern char *lh_arena_strndup(LhArena *arena, const void *s, size_t len);
extern void lh_arena_free(LhArena *arena);

/* ---- sets of row ids ---- */

/*
 * A failed add sets `failed` and makes every later one a no-op, so who fills a
 * set may check once at the end.
 */
typedef struct LhRowSet
{
	LhAlloc		alloc;
	int64_t		n;				/* ids */
	bool		failed;
	int			n_chunks;
	int			max_chunks;
	int			last;			/* chunk that was looked at last */
	struct LhRowSetChunk *chunks;
} LhRowSet;

/* A place in a set; the set must not change. */
typedef struct LhRowSetScan
{
	const LhRowSet *set;
	int			chunk;
	int			at;
} LhRowSetScan;

extern void lh_row_set_init(LhRowSet *set, const LhAlloc *alloc);
extern void lh_row_set_free(LhRowSet *set);
extern bool lh_row_set_add(LhRowSet *set, uint64_t id);	/* false: it is there already */
extern bool lh_row_set_has(LhRowSet *set, uint64_t id);

/* Ids from `first` on, ascending. */
extern LhRowSetScan lh_row_set_scan(const LhRowSet *set, uint64_t first);
extern bool lh_row_set_next(LhRowSetScan *scan, uint64_t *id);
extern int64_t lh_row_set_take(LhRowSetScan *scan, uint64_t *ids, int64_t max);	/* how many there were */

/* ---- growing byte buffer ---- */

/*
 * A failed append sets `failed` and makes every later append a no-op, so a
 * writer may check once at the end.
 */
typedef struct LhBuf
{
	const LhAlloc *alloc;
	uint8_t    *data;
	size_t		len;
	size_t		cap;
	bool		failed;
} LhBuf;

extern void lh_buf_init(LhBuf *buf, const LhAlloc *alloc);
extern void lh_buf_free(LhBuf *buf);
extern bool lh_buf_reserve(LhBuf *buf, size_t extra);
extern bool lh_buf_append(LhBuf *buf, const void *data, size_t len);
extern bool lh_buf_printf(LhBuf *buf, const char *fmt,...) LH_PRINTF(2, 3);

static inline bool
lh_buf_u8(LhBuf *buf, uint8_t v)
{
	if (buf->len == buf->cap && !lh_buf_reserve(buf, 1))
		return false;
	if (buf->failed)
		return false;
	buf->data[buf->len++] = v;
	return true;
}

extern bool lh_buf_varint(LhBuf *buf, uint64_t v);

static inline uint64_t
lh_zigzag(int64_t v)
{
	return ((uint64_t) v << 1) ^ (uint64_t) (v >> 63);
}

static inline int64_t
lh_unzigzag(uint64_t v)
{
	return (int64_t) (v >> 1) ^ -(int64_t) (v & 1);
}

/* ---- little-endian access, alignment-free ---- */

static inline uint32_t
lh_get_u32le(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static inline uint64_t
lh_get_u64le(const uint8_t *p)
{
	return (uint64_t) lh_get_u32le(p) | (uint64_t) lh_get_u32le(p + 4) << 32;
}

static inline void
lh_put_u32le(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) v;
	p[1] = (uint8_t) (v >> 8);
	p[2] = (uint8_t) (v >> 16);
	p[3] = (uint8_t) (v >> 24);
}

static inline void
lh_put_u64le(uint8_t *p, uint64_t v)
{
	lh_put_u32le(p, (uint32_t) v);
	lh_put_u32le(p + 4, (uint32_t) (v >> 32));
}

/* ---- bounded reader: no read past the end, ever ---- */

typedef struct LhReader
{
	const uint8_t *start;
	const uint8_t *pos;
	const uint8_t *end;
} LhReader;

static inline void
lh_reader_init(LhReader *r, const void *data, size_t len)
{
	r->start = r->pos = (const uint8_t *) data;
	r->end = r->start + len;
}

static inline size_t
lh_reader_left(const LhReader *r)
{
	return (size_t) (r->end - r->pos);
}

static inline int64_t
lh_reader_offset(const LhReader *r)
{
	return (int64_t) (r->pos - r->start);
}

/* Each returns false, consuming nothing that matters, when bytes are missing. */
extern bool lh_read_u8(LhReader *r, uint8_t *v);
extern bool lh_read_u32le(LhReader *r, uint32_t *v);
extern bool lh_read_u64le(LhReader *r, uint64_t *v);
extern bool lh_read_varint(LhReader *r, uint64_t *v);	/* at most 10 bytes */
extern bool lh_read_bytes(LhReader *r, size_t len, const uint8_t **p);

/* ---- hashes ---- */

extern uint64_t lh_xxh64(const void *data, size_t len, uint64_t seed);

#endif							/* LH_BASE_H */
