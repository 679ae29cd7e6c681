/*
 * lh_exec.h
 *	  Public interface of the executor layer: its set-up.
 */
#ifndef LH_EXEC_H
#define LH_EXEC_H

/* Settings, planner hooks and custom scan nodes. */
extern void lh_exec_init(void);

#endif							/* LH_EXEC_H */
