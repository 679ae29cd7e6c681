/*
 * nearest.h
 *	  Public interface of the nearest layer: the plan node behind ORDER BY
 *	  distance LIMIT k, exactly or with an index and a filter.
 */
#ifndef LH_NEAREST_H
#define LH_NEAREST_H

/* Called by _PG_init, after the layers whose scans it takes as children. */
extern void lh_nearest_init(void);

#endif							/* LH_NEAREST_H */
