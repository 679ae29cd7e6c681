/*
 * footer_int.h
 *	  Writing of metadata: footer and page headers.
 */
#ifndef LH_FOOTER_INT_H
#define LH_FOOTER_INT_H

#include "parquet/schema_int.h"

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
