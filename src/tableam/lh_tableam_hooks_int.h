/*
 * lh_tableam_hooks_int.h
 *	  The access method's hooks: their set-up, by the file that installs them,
 *	  and what they call in another file.
 */
#ifndef LH_TABLEAM_HOOKS_INT_H
#define LH_TABLEAM_HOOKS_INT_H

#include "postgres.h"

#include "nodes/pg_list.h"

extern void lh_utility_init(void);	/* am_utility.c */
extern void lh_hooks_init(void);	/* am_hooks.c */

/* am_types.c: tables that have the type inside are published again. */
extern void lh_attribute_changed(Oid relid);	/* of this relation's row type */
extern void lh_label_renamed(const List *type_name);	/* may refuse it */

#endif							/* LH_TABLEAM_HOOKS_INT_H */
