/*
 * nearest_int.h
 *	  What planner and executor side of LakehouseNearest share.
 */
#ifndef LH_NEAREST_INT_H
#define LH_NEAREST_INT_H

#include "postgres.h"

#include "nodes/extensible.h"
#include "nodes/primnodes.h"

extern const CustomScanMethods lh_nearest_methods;

/*
 * The plan's custom_private, in this order.  custom_exprs holds the value that
 * distances are to; the last column of custom_scan_tlist is the distance, the
 * others are the children's.
 */
enum
{
	NEAREST_LIMIT,				/* Integer: rows that are wanted */
	NEAREST_KEY,				/* Integer: the children's column that is compared */
	NEAREST_KEY_ARG,			/* Integer: which argument of the distance it is */
	NEAREST_INDEXED,			/* Boolean: the first child scans an index */
	NEAREST_PASSING,			/* Float: share of the rows that the planner thinks pass the filter */
	NEAREST_PATIENCE			/* Float: rows of the index that cost as much as the exact child */
};

/* nearest_path.c */
extern bool lh_is_distance(const OpExpr *op);

/* nearest_junk.c */
extern void lh_nearest_junk_init(void);

#endif							/* LH_NEAREST_INT_H */
