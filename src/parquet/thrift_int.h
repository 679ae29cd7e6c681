/*
 * thrift_int.h
 *	  Thrift's compact protocol, as far as Parquet metadata needs it.
 *
 * Reading is sticky: after the first malformed byte `failed` is set, every
 * later call returns zero or false, and the caller looks once at the end.
 *
 *		LhThriftField f = {0};
 *
 *		while (lh_tr_field(t, &f))
 *			switch (f.id)
 *			{
 *				case 1:
 *					x = lh_tr_i32(t, &f);
 *					break;
 *				default:
 *					lh_tr_skip(t, &f);
 *			}
 */
#ifndef LH_THRIFT_INT_H
#define LH_THRIFT_INT_H

#include "base/base.h"

enum
{
	LH_TT_STOP = 0,
	LH_TT_TRUE = 1,
	LH_TT_FALSE = 2,
	LH_TT_I8 = 3,
	LH_TT_I16 = 4,
	LH_TT_I32 = 5,
	LH_TT_I64 = 6,
	LH_TT_DOUBLE = 7,
	LH_TT_BINARY = 8,
	LH_TT_LIST = 9,
	LH_TT_SET = 10,
	LH_TT_MAP = 11,
	LH_TT_STRUCT = 12
};

/* ---- reading ---- */

typedef struct LhThriftReader
{
	LhReader	r;
	int			depth;
	bool		failed;
} LhThriftReader;

typedef struct LhThriftField
{
	int			id;				/* start with 0 */
	int			type;
} LhThriftField;

extern void lh_tr_init(LhThriftReader *t, const void *data, size_t len);

/* The next field of the struct being read; false at its end. */
extern bool lh_tr_field(LhThriftReader *t, LhThriftField *f);

/* The value of field *f; it must be of the type asked for (integers: any width that fits). */
extern bool lh_tr_bool(LhThriftReader *t, const LhThriftField *f);
extern int32_t lh_tr_i32(LhThriftReader *t, const LhThriftField *f);
extern int64_t lh_tr_i64(LhThriftReader *t, const LhThriftField *f);
extern const uint8_t *lh_tr_binary(LhThriftReader *t, const LhThriftField *f, size_t *len);

/* Steps into a struct; read its fields with a fresh LhThriftField until false. */
extern bool lh_tr_struct(LhThriftReader *t, const LhThriftField *f);

/*
 * Steps into a list; *elem then serves as the field of each of the returned
 * number of elements, which is never more than the bytes left.
 */
extern size_t lh_tr_list(LhThriftReader *t, const LhThriftField *f, LhThriftField *elem);

extern void lh_tr_skip(LhThriftReader *t, const LhThriftField *f);

/* ---- writing ---- */

typedef struct LhThriftWriter
{
	LhBuf	   *buf;
	int			last;			/* id of the last field of the open struct */
} LhThriftWriter;

extern void lh_tw_init(LhThriftWriter *t, LhBuf *buf);
extern void lh_tw_bool(LhThriftWriter *t, int id, bool v);
extern void lh_tw_i8(LhThriftWriter *t, int id, int8_t v);
extern void lh_tw_i32(LhThriftWriter *t, int id, int32_t v);
extern void lh_tw_i64(LhThriftWriter *t, int id, int64_t v);
extern void lh_tw_binary(LhThriftWriter *t, int id, const void *data, size_t len);
extern void lh_tw_string(LhThriftWriter *t, int id, const char *s);

/* Field `id` is a list; its `n` elements follow through lh_tw_elem_*. */
extern void lh_tw_list(LhThriftWriter *t, int id, int elem_type, size_t n);
extern void lh_tw_elem_i32(LhThriftWriter *t, int32_t v);
extern void lh_tw_elem_i64(LhThriftWriter *t, int64_t v);
extern void lh_tw_elem_bool(LhThriftWriter *t, bool v);
extern void lh_tw_elem_binary(LhThriftWriter *t, const void *data, size_t len);

/* Opens a struct as field `id`, or as list element (id 0); pass the result to _end. */
extern int	lh_tw_struct(LhThriftWriter *t, int id);
extern void lh_tw_end(LhThriftWriter *t, int outer);

/* An empty struct: how unions of the format name a member. */
extern void lh_tw_empty(LhThriftWriter *t, int id);

#endif							/* LH_THRIFT_INT_H */
