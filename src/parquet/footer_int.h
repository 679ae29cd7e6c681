/*
 * footer_int.h
 *	  Metadata as bytes: reading of footers, writing of footers and page headers.
 */
#ifndef LH_FOOTER_INT_H
#define LH_FOOTER_INT_H

#include "parquet/schema_int.h"
#include "parquet/thrift_int.h"

/* A footer in the making. */
typedef struct LhPqParse
{
	LhThriftReader t;
	LhPqFileMeta *meta;
	int64_t		data_end;		/* where the footer starts */
	bool	   *ordered;		/* per leaf: has the type's own order */
	LhError    *err;
	LhStatus	status;			/* first failure that is not thrift's */
} LhPqParse;

/* Both stop the parsing and return false. */
extern bool lh_pq_give_up(LhPqParse *p, LhStatus status, const char *what);
extern bool lh_pq_parse_no_memory(LhPqParse *p);

/* pq_footer_schema.c: the list of elements in `field` becomes p->meta->schema. */
extern bool lh_pq_schema_parse(LhPqParse *p, const LhThriftField *field);

/* Appends the serialised footer; buf->failed tells of missing memory. */
extern void lh_pq_footer_write(const LhPqFileMeta *meta, LhBuf *buf);

/* Appends a v1 data page's header (or with `dictionary` that of a dictionary page). */
typedef struct LhPqPageHeader
{
	bool		dictionary;
	int			encoding;
	int32_t		num_values;
	int32_t		uncompressed_size;
	int32_t		compressed_size;
	uint32_t	crc;
} LhPqPageHeader;

extern void lh_pq_page_header_write(const LhPqPageHeader *header, LhBuf *buf);

#endif							/* LH_FOOTER_INT_H */
