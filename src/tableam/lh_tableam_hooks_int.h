/*
 * lh_tableam_hooks_int.h
 *	  Set-up of the access method's hooks, by the file that installs them.
 */
#ifndef LH_TABLEAM_HOOKS_INT_H
#define LH_TABLEAM_HOOKS_INT_H

extern void lh_utility_init(void);	/* am_utility.c */
extern void lh_hooks_init(void);	/* am_hooks.c */

#endif							/* LH_TABLEAM_HOOKS_INT_H */
