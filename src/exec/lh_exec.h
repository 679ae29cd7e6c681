/*
 * lh_exec.h
 *	  Public interface of the executor layer: its set-up, and what it
 *	  knows of core's own scans.
 */
#ifndef LH_EXEC_H
#define LH_EXEC_H

#include "nodes/execnodes.h"

/* Settings, planner hooks and custom scan nodes. */
extern void lh_exec_init(void);

/* Tells the slot of one of core's scans of a lakehouse table which columns its plan node looks at. */
extern void lh_exec_want_columns(PlanState *state);

#endif							/* LH_EXEC_H */
