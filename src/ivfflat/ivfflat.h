/*
 * ivfflat.h
 *	  Public interface of the ivfflat layer: lists of vectors by their nearest
 *	  centre, as index access methods.
 */
#ifndef LH_IVFFLAT_H
#define LH_IVFFLAT_H

/* Called by _PG_init: index options. */
extern void lh_ivfflat_init(void);

#endif							/* LH_IVFFLAT_H */
