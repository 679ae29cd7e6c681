/*
 * lh_publish.h
 *	  Public interface of the publisher.
 */
#ifndef LH_PUBLISH_H
#define LH_PUBLISH_H

#include "postgres.h"

/* Shared memory, launcher and hooks; called from _PG_init. */
extern void lh_publish_init(void);

/* Waits until what was committed before is published; returns the snapshot id. */
extern int64 lh_publish_and_wait(Oid relid);

#endif							/* LH_PUBLISH_H */
