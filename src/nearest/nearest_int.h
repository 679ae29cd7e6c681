/*
 * nearest_int.h
 *	  What planner and executor side of LakehouseNearest share.
 */
#ifndef LH_NEAREST_INT_H
#define LH_NEAREST_INT_H

#include "postgres.h"

#include "nodes/extensible.h"

extern const CustomScanMethods lh_nearest_methods;

/* The plan's custom_private, in this order; custom_exprs holds the distance. */
enum
{
	NEAREST_LIMIT,				/* Integer: rows that are wanted */
	NEAREST_KEY,				/* Integer: the children's column that is compared */
	NEAREST_KEY_ARG,			/* Integer: which argument of the distance it is */
	NEAREST_INDEXED,			/* Boolean: the first child scans an index */
	NEAREST_PASSING,			/* Float: share of the rows that the planner thinks pass the filter */
	NEAREST_PATIENCE			/* Float: rows of the index that cost as much as the exact child */
};

#endif							/* LH_NEAREST_INT_H */
