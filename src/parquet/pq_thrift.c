/*
 * pq_thrift.c
 *	  Thrift's compact protocol: bounded reader, appending writer.
 *
 * Knows nothing of Parquet's structs.  Spec: thrift-compact-protocol.md of
 * Apache Thrift.
 */
#include "parquet/thrift_int.h"

#include <string.h>

/* Far deeper than any struct of the format; bounds our recursion in skip. */
#define MAX_DEPTH 32

static void
fail(LhThriftReader *t)
{
	t->failed = true;
	t->r.pos = t->r.end;
}

void
lh_tr_init(LhThriftReader *t, const void *data, size_t len)
{
	lh_reader_init(&t->r, data, len);
	t->depth = 0;
	t->failed = false;
}

static uint8_t
next_u8(LhThriftReader *t)
{
	uint8_t		b = 0;

	if (!lh_read_u8(&t->r, &b))
		fail(t);
	return b;
}

static uint64_t
next_varint(LhThriftReader *t)
{
	uint64_t	v = 0;

	if (!lh_read_varint(&t->r, &v))
		fail(t);
	return v;
}

bool
lh_tr_field(LhThriftReader *t, LhThriftField *f)
{
	uint8_t		head;

	if (t->failed)
		return false;
	head = next_u8(t);
	f->type = head & 0x0f;
	if (t->failed || f->type == LH_TT_STOP)
	{
		if (t->depth > 0)
			t->depth--;
		return false;
	}
	if (head >> 4 != 0)
		f->id += head >> 4;
	else
	{
		int64_t		id = lh_unzigzag(next_varint(t));

		if (id < INT16_MIN || id > INT16_MAX)
			fail(t);
		else
			f->id = (int) id;
	}
	/* ids grow by at most 15 each: no file has enough fields to wrap */
	if (f->type > LH_TT_STRUCT || f->id > INT16_MAX)
		fail(t);
	return !t->failed;
}

bool
lh_tr_bool(LhThriftReader *t, const LhThriftField *f)
{
	if (f->type != LH_TT_TRUE && f->type != LH_TT_FALSE)
		fail(t);
	/* as a list element the value is a byte of its own (see lh_tr_list) */
	if (f->id < 0)
		return next_u8(t) == LH_TT_TRUE;
	return f->type == LH_TT_TRUE;
}

int64_t
lh_tr_i64(LhThriftReader *t, const LhThriftField *f)
{
	if (f->type == LH_TT_I8)
		return (int8_t) next_u8(t);
	if (f->type != LH_TT_I16 && f->type != LH_TT_I32 && f->type != LH_TT_I64)
	{
		fail(t);
		return 0;
	}
	return lh_unzigzag(next_varint(t));
}

int32_t
lh_tr_i32(LhThriftReader *t, const LhThriftField *f)
{
	int64_t		v = lh_tr_i64(t, f);

	if (v < INT32_MIN || v > INT32_MAX)
	{
		fail(t);
		return 0;
	}
	return (int32_t) v;
}

const uint8_t *
lh_tr_binary(LhThriftReader *t, const LhThriftField *f, size_t *len)
{
	const uint8_t *p = NULL;
	uint64_t	n;

	*len = 0;
	if (f->type != LH_TT_BINARY)
	{
		fail(t);
		return NULL;
	}
	n = next_varint(t);
	if (n > lh_reader_left(&t->r) || !lh_read_bytes(&t->r, (size_t) n, &p))
	{
		fail(t);
		return NULL;
	}
	*len = (size_t) n;
	return p;
}

bool
lh_tr_struct(LhThriftReader *t, const LhThriftField *f)
{
	if (f->type != LH_TT_STRUCT || t->depth >= MAX_DEPTH)
	{
		fail(t);
		return false;
	}
	t->depth++;
	return !t->failed;
}

size_t
lh_tr_list(LhThriftReader *t, const LhThriftField *f, LhThriftField *elem)
{
	uint8_t		head;
	uint64_t	n;

	elem->id = -1;
	elem->type = LH_TT_STOP;
	if (f->type != LH_TT_LIST && f->type != LH_TT_SET)
	{
		fail(t);
		return 0;
	}
	head = next_u8(t);
	elem->type = head & 0x0f;
	n = head >> 4;
	if (n == 15)
		n = next_varint(t);
	/*
	 * Every element takes a byte at least, so n bounds what callers allocate.
	 * Of an empty list some writers do not tell the type.
	 */
	if (t->failed || (elem->type == LH_TT_STOP && n > 0) || elem->type > LH_TT_STRUCT ||
		n > lh_reader_left(&t->r))
	{
		fail(t);
		return 0;
	}
	return (size_t) n;
}

static void
skip_map(LhThriftReader *t)
{
	uint64_t	n = next_varint(t);
	LhThriftField key = {-1, 0};
	LhThriftField value = {-1, 0};
	uint8_t		types;

	if (n == 0)
		return;
	types = next_u8(t);
	key.type = types >> 4;
	value.type = types & 0x0f;
	for (uint64_t i = 0; i < n && !t->failed; i++)
	{
		lh_tr_skip(t, &key);
		lh_tr_skip(t, &value);
	}
}

static void
skip_container(LhThriftReader *t, const LhThriftField *f)
{
	LhThriftField elem = {0, 0};

	if (t->depth >= MAX_DEPTH)
	{
		fail(t);
		return;
	}
	if (f->type == LH_TT_STRUCT)
	{
		if (!lh_tr_struct(t, f))
			return;
		while (lh_tr_field(t, &elem))
			lh_tr_skip(t, &elem);
		return;
	}
	t->depth++;
	if (f->type == LH_TT_MAP)
		skip_map(t);
	else
	{
		size_t		n = lh_tr_list(t, f, &elem);

		for (size_t i = 0; i < n && !t->failed; i++)
			lh_tr_skip(t, &elem);
	}
	t->depth--;
}

void
lh_tr_skip(LhThriftReader *t, const LhThriftField *f)
{
	const uint8_t *p;
	size_t		len;

	switch (f->type)
	{
		case LH_TT_TRUE:
		case LH_TT_FALSE:
			lh_tr_bool(t, f);
			break;
		case LH_TT_I8:
		case LH_TT_I16:
		case LH_TT_I32:
		case LH_TT_I64:
			lh_tr_i64(t, f);
			break;
		case LH_TT_DOUBLE:
			if (!lh_read_bytes(&t->r, 8, &p))
				fail(t);
			break;
		case LH_TT_BINARY:
			lh_tr_binary(t, f, &len);
			break;
		case LH_TT_LIST:
		case LH_TT_SET:
		case LH_TT_MAP:
		case LH_TT_STRUCT:
			skip_container(t, f);
			break;
		default:
			fail(t);
	}
}

/* ---- writing ---- */

void
lh_tw_init(LhThriftWriter *t, LhBuf *buf)
{
	t->buf = buf;
	t->last = 0;
}

static void
head(LhThriftWriter *t, int id, int type)
{
	int			delta = id - t->last;

	if (delta > 0 && delta <= 15)
		lh_buf_u8(t->buf, (uint8_t) (delta << 4 | type));
	else
	{
		lh_buf_u8(t->buf, (uint8_t) type);
		lh_buf_varint(t->buf, lh_zigzag(id));
	}
	t->last = id;
}

void
lh_tw_bool(LhThriftWriter *t, int id, bool v)
{
	head(t, id, v ? LH_TT_TRUE : LH_TT_FALSE);
}

void
lh_tw_i8(LhThriftWriter *t, int id, int8_t v)
{
	head(t, id, LH_TT_I8);
	lh_buf_u8(t->buf, (uint8_t) v);
}

void
lh_tw_i32(LhThriftWriter *t, int id, int32_t v)
{
	head(t, id, LH_TT_I32);
	lh_tw_elem_i32(t, v);
}

void
lh_tw_i64(LhThriftWriter *t, int id, int64_t v)
{
	head(t, id, LH_TT_I64);
	lh_tw_elem_i64(t, v);
}

void
lh_tw_binary(LhThriftWriter *t, int id, const void *data, size_t len)
{
	head(t, id, LH_TT_BINARY);
	lh_tw_elem_binary(t, data, len);
}

void
lh_tw_string(LhThriftWriter *t, int id, const char *s)
{
	lh_tw_binary(t, id, s, strlen(s));
}

void
lh_tw_list(LhThriftWriter *t, int id, int elem_type, size_t n)
{
	head(t, id, LH_TT_LIST);
	if (n < 15)
		lh_buf_u8(t->buf, (uint8_t) (n << 4 | (size_t) elem_type));
	else
	{
		lh_buf_u8(t->buf, (uint8_t) (0xf0 | elem_type));
		lh_buf_varint(t->buf, n);
	}
}

void
lh_tw_elem_i32(LhThriftWriter *t, int32_t v)
{
	lh_buf_varint(t->buf, lh_zigzag(v));
}

void
lh_tw_elem_i64(LhThriftWriter *t, int64_t v)
{
	lh_buf_varint(t->buf, lh_zigzag(v));
}

void
lh_tw_elem_bool(LhThriftWriter *t, bool v)
{
	lh_buf_u8(t->buf, v ? LH_TT_TRUE : LH_TT_FALSE);
}

void
lh_tw_elem_binary(LhThriftWriter *t, const void *data, size_t len)
{
	lh_buf_varint(t->buf, len);
	lh_buf_append(t->buf, data, len);
}

int
lh_tw_struct(LhThriftWriter *t, int id)
{
	int			outer;

	if (id > 0)
		head(t, id, LH_TT_STRUCT);
	outer = t->last;
	t->last = 0;
	return outer;
}

void
lh_tw_end(LhThriftWriter *t, int outer)
{
	lh_buf_u8(t->buf, LH_TT_STOP);
	t->last = outer;
}

void
lh_tw_empty(LhThriftWriter *t, int id)
{
	lh_tw_end(t, lh_tw_struct(t, id));
}
