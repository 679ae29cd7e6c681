/*
 * hnsw.h
 *	  Public interface of the hnsw layer: nearest neighbour indexes over
 *	  vectors, as index access methods.
 */
#ifndef LH_HNSW_H
#define LH_HNSW_H

/* Called by _PG_init: settings and index options. */
extern void lh_hnsw_init(void);

#endif							/* LH_HNSW_H */
