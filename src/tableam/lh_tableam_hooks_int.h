/*
 * lh_tableam_hooks_int.h
 *	  The access method's hooks: their set-up, by the file that installs them,
 *	  and what they call in another file.
 */
#ifndef LH_TABLEAM_HOOKS_INT_H
#define LH_TABLEAM_HOOKS_INT_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "tcop/utility.h"

extern void lh_utility_init(void);	/* am_utility.c */

/* What would carry out utility commands without us. */
extern void lh_utility_previous(PlannedStmt *pstmt, const char *query, bool read_only_tree,
								ProcessUtilityContext context, ParamListInfo params,
								QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc);

/* am_reindex.c: false: this REINDEX is core's. */
extern bool lh_reindex_concurrently(PlannedStmt *pstmt, const char *query,
									ProcessUtilityContext context, ParamListInfo params,
									QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc);
extern void lh_hooks_init(void);	/* am_hooks.c */

/* am_types.c: tables that have the type inside are published again. */
extern void lh_attribute_changed(Oid relid);	/* of this relation's row type */
extern void lh_label_renamed(const List *type_name);	/* may refuse it */

#endif							/* LH_TABLEAM_HOOKS_INT_H */
