/*
 * lh_tableam.h
 *	  Public interface of the access method's layer: its set-up.
 */
#ifndef LH_TABLEAM_H
#define LH_TABLEAM_H

/* Slot operations; utility, executor and object-access hooks; transaction callbacks. */
extern void lh_tableam_init(void);

#endif							/* LH_TABLEAM_H */
