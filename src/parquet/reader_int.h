/*
 * reader_int.h
 *	  The column reader's state, shared by the part that moves from page to
 *	  page and the part that fills vectors.
 */
#ifndef LH_READER_INT_H
#define LH_READER_INT_H

#include "parquet/decode_int.h"

/* Levels of a nested leaf are looked at this many ahead, to see where a row ends. */
#define LH_PQ_LOOKAHEAD	1024

/* Definition or repetition levels of a page. */
typedef struct LhPqLevels
{
	int			max;			/* 0: there are none, all are 0 */
	bool		msb;			/* the deprecated BIT_PACKED encoding */
	LhPqHybrid	hybrid;
	const uint8_t *bits;		/* msb */
	size_t		n_bits;
	size_t		at;
} LhPqLevels;

/* Memory of one decompressed page. */
typedef struct LhPqPageMemory
{
	struct LhPqPageMemory *next;
	size_t		cap;
	uint8_t		data[];
} LhPqPageMemory;

/* The header of the page at hand. */
typedef struct LhPqPageInfo
{
	int			type;
	int			encoding;
	int			def_encoding;
	int			rep_encoding;
	int64_t		n_values;		/* levels */
	int64_t		n_rows;			/* v2, else -1 */
	int32_t		def_len;		/* v2 */
	int32_t		rep_len;
	bool		compressed;
	bool		has_crc;
	uint32_t	crc;
	const uint8_t *body;
	size_t		packed_len;
	size_t		plain_len;
} LhPqPageInfo;

struct LhPqColumnReader
{
	const LhAlloc *alloc;
	const LhPqNode *leaf;
	int			slot;
	const uint8_t *start;
	const uint8_t *pos;			/* the next page's header */
	const uint8_t *end;
	int64_t		file_offset;	/* of start, for messages */
	int64_t		levels_left;	/* in pages not begun; -1: not known */
	int64_t		rows_left;

	LhPqCodec	codec;
	LhPqDecompressor *decompressor; /* own, or one shared with other readers */
	LhPqDecompressor own;
	LhPqPageMemory *dict_page;
	void	   *dict_slots;
	LhPqDictValues dict;
	bool		has_dict;

	/* the page at hand */
	LhPqPageInfo page;
	bool		opened;			/* decompressed; set up for reading */
	int64_t		page_left;		/* its levels not yet looked at */
	LhPqLevels	def;
	LhPqLevels	rep;
	LhPqValues	values;

	/* pages: the one at hand, those that the current vector points into, spare ones */
	LhPqPageMemory *memory;
	LhPqPageMemory *retired;
	LhPqPageMemory *spare;
	bool		pinned;			/* the vector points into `memory` */
	LhPqBlocks	blocks;
	LhBuf		last;			/* DELTA_BYTE_ARRAY */

	/* nested leaves: levels decoded ahead */
	size_t		ahead_at;
	size_t		ahead_n;
	uint8_t		ahead_def[LH_PQ_LOOKAHEAD];
	uint8_t		ahead_rep[LH_PQ_LOOKAHEAD];

	/* the vector */
	LhBuf		out_values;
	LhBuf		out_def;
	LhBuf		out_rep;
	LhBuf		out_nulls;
};

/* pq_page_read.c */

/* Moves to the next data page, reading a dictionary on the way; *found false: no more. */
extern LhStatus lh_pq_page_next(LhPqColumnReader *r, bool *found, LhError *err);

/* Decompresses the page at hand and sets up its decoders, unless done. */
extern LhStatus lh_pq_page_open(LhPqColumnReader *r, LhError *err);

/* The next n levels of the page at hand. */
extern LhStatus lh_pq_levels_read(LhPqLevels *levels, size_t n, uint8_t *out, LhError *err);

/* Reads a dictionary page that is not part of the pages' bytes. */
extern LhStatus lh_pq_dict_read(LhPqColumnReader *r, const uint8_t *data, size_t len, LhError *err);

#endif							/* LH_READER_INT_H */
