/*
 * hnsw.h
 *	  Public interface of the hnsw layer: nearest neighbour indexes over
 *	  vectors, as index access methods.
 */
#ifndef LH_HNSW_H
#define LH_HNSW_H

#include "postgres.h"

#include "access/genam.h"
#include "nodes/pathnodes.h"

/* Called by _PG_init: settings and index options. */
extern void lh_hnsw_init(void);

/* For planners: is the index one of ours, and may its scans go on below a filter? */
extern bool lh_hnsw_is_index(const IndexOptInfo *index);
extern bool lh_hnsw_fills_limit(void);

/*
 * For executors: lets a scan pretend to be at its end after so many rows, at
 * the latest; it goes on when it is allowed more.
 */
extern void lh_hnsw_scan_until(IndexScanDesc scan, int64 rows);
extern int64 lh_hnsw_scan_rows(IndexScanDesc scan);
extern bool lh_hnsw_scan_is_paused(IndexScanDesc scan);

/* For EXPLAIN of a node that runs such a scan: what it has done. */
struct ExplainState;
extern void lh_hnsw_explain_scan(IndexScanDesc scan, struct ExplainState *es);

/*
 * For access methods of vectors, when a scan of the index begins: will a LIMIT
 * wait for rows of which some are thrown away above the scan?
 */
extern bool lh_hnsw_is_filtered(Relation index);

#endif							/* LH_HNSW_H */
