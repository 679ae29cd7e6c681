/*
 * am_utility.c
 *	  Utility commands that core alone would not get right for lakehouse tables.
 *
 * - Our storage options are taken out of CREATE TABLE, CREATE TABLE AS, CREATE
 *	 MATERIALIZED VIEW and ALTER TABLE before core sees them, and stored
 *	 afterwards (catalog/options.c says why).
 * - Temporary and unlogged tables become heap tables: they are never published.
 *	 An unlogged one has the option "logged_using", by which SET LOGGED knows
 *	 what to make of it (docs/decisions/0007).
 * - An extension's script makes heap tables unless it says otherwise
 *	 (docs/decisions/0008).
 * - A table that turns into a lakehouse table gets its delta.
 * - REINDEX CONCURRENTLY leaves deltas out (am_reindex.c).
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/toasting.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "objstore/objstore.h"
#include "tableam/lh_tableam_hooks_int.h"
#include "tableam/lh_tableam_int.h"

#define AM_NAME "lakehouse"

/* option of an unlogged heap table that was to be a lakehouse table */
#define MARK "logged_using"

static ProcessUtility_hook_type previous_utility = NULL;

static bool
names_our_am(const char *access_method)
{
	return strcmp(access_method != NULL ? access_method : default_table_access_method, AM_NAME) == 0;
}

/* ---- options ---- */

static const char *const heap_options[] = {
	"fillfactor", "oids", "parallel_workers", "toast_tuple_target", "user_catalog_table",
	"vacuum_index_cleanup", "vacuum_max_eager_freeze_failure_rate", "vacuum_truncate",
	"log_autovacuum_min_duration"
};

static bool
is_heap_option(const char *name)
{
	if (strncmp(name, "autovacuum_", strlen("autovacuum_")) == 0)
		return true;
	for (int i = 0; i < lengthof(heap_options); i++)
		if (strcmp(name, heap_options[i]) == 0)
			return true;
	return false;
}

/*
 * The default location is where tables go that name none; naming a place in
 * it could mean another table's folder, so it takes the privilege too.
 */
static void
check_location(const char *location)
{
	bool		privileged = has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES);

	lh_location_check(location, privileged);
	if (!privileged && lh_location_is_under(location, lh_store_default_location()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for location \"%s\"", location),
				 errdetail("Below the default location the server chooses the folder of each table."),
				 errhint("Leave out the option \"location\".")));
}

/* Removes our options from *options and returns them, checked (when being set). */
static List *
take_options(List **options, bool check)
{
	List	   *ours = NIL;
	List	   *theirs = NIL;
	ListCell   *lc;

	foreach(lc, *options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (def->defnamespace != NULL || is_heap_option(def->defname))
			theirs = lappend(theirs, def);
		else if (lh_option_known(def->defname))
		{
			if (check)
			{
				char	   *value = defGetString(def);

				lh_option_validate(def->defname, value);
				if (strcmp(def->defname, "location") == 0)
					check_location(lh_location_normalize(value));
			}
			ours = lappend(ours, def);
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized parameter \"%s\"", def->defname),
					 errhint("Options of lakehouse tables, beside those of heap tables, are bulk_threshold, "
							 "compression, format_version, location, publish, row_group_rows and target_file_size.")));
	}
	*options = theirs;
	return ours;
}

/* Later settings of an option win, and RESET wins over all. */
static List *
settled_options(List *set, List *reset)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, set)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		bool		overridden = lh_find_option(reset, def->defname) != NULL;

		for_each_from(lc2, set, foreach_current_index(lc) + 1)
			overridden |= strcmp(def->defname, lfirst_node(DefElem, lc2)->defname) == 0;
		if (!overridden)
			result = lappend(result, def);
	}
	return result;
}

static DefElem *
make_mark(void)
{
	return makeDefElem(pstrdup(MARK), (Node *) makeString(pstrdup(AM_NAME)), -1);
}

/* ---- CREATE ---- */

static bool
is_temporary(const RangeVar *rv)
{
	return rv->relpersistence == RELPERSISTENCE_TEMP ||
		(rv->schemaname != NULL && strncmp(rv->schemaname, "pg_temp", strlen("pg_temp")) == 0);
}

/*
 * A table that an extension makes for itself: its C code may read and write it
 * as core does a catalog, by heap's own functions, which know no access method.
 */
static bool
is_of_extension(const char *access_method)
{
	return creating_extension && access_method == NULL;
}

/* Will it be a lakehouse table, or was it one that had to be heap's (a restored dump)? */
static bool
creates_ours(const CreateStmt *create)
{
	if (create->partspec != NULL)
		return false;
	if (create->relation->relpersistence == RELPERSISTENCE_UNLOGGED && lh_find_option(create->options, MARK) != NULL)
		return true;
	if (create->accessMethod == NULL && create->partbound != NULL)
	{
		/* from version 17 on, a partition's is its parent's, if that has one */
		Oid			relam = lh_relation_am(RangeVarGetRelid(linitial(create->inhRelations), NoLock, true));

		if (OidIsValid(relam))
			return relam == lh_am_oid();
	}
	return names_our_am(create->accessMethod);
}

typedef struct Creation
{
	RangeVar   *relation;
	Oid			schema;
	bool		existed;		/* IF NOT EXISTS */
	List	   *options;		/* ours */
} Creation;

static void
prepare_creation(RangeVar *relation, char **access_method, List **options,
				 bool if_not_exists, Creation *creation)
{
	List	   *ours = take_options(options, true);

	if (is_temporary(relation) || is_of_extension(*access_method))
	{
		*access_method = pstrdup("heap");
		return;
	}
	creation->schema = RangeVarGetCreationNamespace(relation);
	if (isTempNamespace(creation->schema))
	{
		*access_method = pstrdup("heap");
		return;
	}
	creation->relation = relation;
	creation->options = ours;
	if (relation->relpersistence == RELPERSISTENCE_UNLOGGED)
	{
		*access_method = pstrdup("heap");
		creation->options = lappend(ours, make_mark());
	}
	creation->existed = if_not_exists && OidIsValid(get_relname_relid(relation->relname, creation->schema));
}

static void
finish_creation(const Creation *creation)
{
	Oid			relid;

	if (creation->options == NIL || creation->existed)
		return;
	CommandCounterIncrement();
	relid = get_relname_relid(creation->relation->relname, creation->schema);
	if (OidIsValid(relid))
		lh_reloptions_put(relid, settled_options(creation->options, NIL), NIL);
}

/* ---- ALTER ---- */

typedef struct Alteration
{
	Oid			relid;
	bool		wanted;			/* lakehouse, as far as the table is logged */
	bool		set_access_method;
	List	   *set;			/* our options */
	List	   *reset;
} Alteration;

static void
refuse_moving(Oid relid, List *set, List *reset)
{
	Relation	rel;
	LhIdentity	identity;
	LhTable    *table;
	ListCell   *lc;
	bool		moves = false;

	foreach(lc, list_concat_copy(set, reset))
		moves |= strcmp(lfirst_node(DefElem, lc)->defname, "location") == 0;
	if (!moves)
		return;
	rel = relation_open(relid, NoLock);
	if (lh_relation_is_lakehouse(rel))
	{
		lh_metapage_read(rel, &identity);
		table = lh_table_get(&identity.table_uuid, NULL);
		if (table != NULL && table->database_id == MyDatabaseId)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("location of table \"%s\" cannot be changed", RelationGetRelationName(rel)),
					 errdetail("The table has been published at its present location."),
					 errhint("Create a new table at the other location and copy the rows.")));
	}
	relation_close(rel, NoLock);
}

/* A lakehouse table, or an unlogged one that was to be one. */
static bool
is_wanted(Oid relid)
{
	Oid			relam = lh_relation_am(relid);

	if (!OidIsValid(relam))
		return false;
	return relam == lh_am_oid() ||
		(relam == HEAP_TABLE_AM_OID && lh_reloptions_have(relid, MARK));
}

/*
 * The access method that core is to set: what the statement says, or what
 * follows from SET LOGGED and SET UNLOGGED.  Whatever is not logged is heap's.
 */
static void
choose_access_method(AlterTableStmt *stmt, Alteration *alteration)
{
	char		persistence = get_rel_persistence(alteration->relid);
	bool		changes = false;
	AlterTableCmd *method = NULL;
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_SetAccessMethod)
			method = cmd;
		else if (cmd->subtype == AT_SetLogged || cmd->subtype == AT_SetUnLogged)
		{
			changes = true;
			persistence = cmd->subtype == AT_SetLogged ? RELPERSISTENCE_PERMANENT : RELPERSISTENCE_UNLOGGED;
		}
	}
	if (method == NULL && changes && alteration->wanted)
	{
		method = makeNode(AlterTableCmd);
		method->subtype = AT_SetAccessMethod;
		stmt->cmds = lappend(stmt->cmds, method);
	}
	if (method != NULL && alteration->wanted)
		method->name = pstrdup(persistence == RELPERSISTENCE_PERMANENT ? AM_NAME : "heap");
	alteration->set_access_method = method != NULL;
}

/* Takes our options out of the statement; returns whether there are others. */
static bool
take_altered_options(AlterTableStmt *stmt, Alteration *alteration)
{
	bool		others = false;
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		List	   *options = (List *) cmd->def;

		if (cmd->subtype == AT_SetRelOptions)
			alteration->set = list_concat(alteration->set, take_options(&options, true));
		else if (cmd->subtype == AT_ResetRelOptions)
			alteration->reset = list_concat(alteration->reset, take_options(&options, false));
		else
			continue;
		cmd->def = (Node *) options;
		others |= options != NIL;
		if (options == NIL)
			stmt->cmds = foreach_delete_current(stmt->cmds, lc);
	}
	return others;
}

/*
 * Changes the statement (already a copy) to what core is to do; returns false
 * if it has nothing to do with us.
 */
static bool
prepare_alteration(AlterTableStmt *stmt, Alteration *alteration)
{
	Oid			relid;
	bool		was_wanted;
	ListCell   *lc;

	if (stmt->objtype != OBJECT_TABLE && stmt->objtype != OBJECT_MATVIEW)
		return false;
	relid = AlterTableLookupRelation(stmt, AlterTableGetLockLevel(stmt->cmds));
	if (!OidIsValid(relid) || get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		return false;
	was_wanted = is_wanted(relid);
	alteration->wanted = was_wanted && OidIsValid(lh_am_oid()); /* not after DROP EXTENSION */
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_SetAccessMethod)
			alteration->wanted = names_our_am(cmd->name);
	}
	if (!was_wanted && !alteration->wanted)
		return false;

	alteration->relid = relid;
	if (take_altered_options(stmt, alteration))
		alteration->set = list_concat(lh_reloptions_take(relid), alteration->set);
	alteration->wanted &= lh_find_option(alteration->reset, MARK) == NULL;
	choose_access_method(stmt, alteration);
	refuse_moving(relid, alteration->set, alteration->reset);
	return true;
}

static void
finish_alteration(const Alteration *alteration)
{
	List	   *set = alteration->set;
	List	   *reset = alteration->reset;
	Oid			relam;

	CommandCounterIncrement();
	relam = lh_relation_am(alteration->relid);
	if (!OidIsValid(relam))
		return;
	if (relam == lh_am_oid())
	{
		if (lh_reloptions_have(alteration->relid, MARK))
			reset = lappend(list_copy(reset), make_mark());
	}
	else if (alteration->wanted && get_rel_persistence(alteration->relid) == RELPERSISTENCE_UNLOGGED)
		set = lappend(list_copy(set), make_mark());
	else
	{
		(void) lh_reloptions_take(alteration->relid);
		return;
	}
	if (set != NIL || reset != NIL)
		lh_reloptions_put(alteration->relid, settled_options(set, reset), reset);
	if (relam != lh_am_oid())
		return;

	/* SET ACCESS METHOD from an access method without TOAST: make the delta */
	if (alteration->set_access_method)
		AlterTableCreateToastTable(alteration->relid, (Datum) 0, AccessExclusiveLock);
	lh_dirty_add(alteration->relid);
}

/* ---- the hook ---- */

void
lh_utility_previous(PlannedStmt *pstmt, const char *query, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_utility != NULL)
		previous_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
}

/* As a run of the executor: its rows are one statement, and row by row it does not say that it is over. */
static void
run_copy(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		 ProcessUtilityContext context, ParamListInfo params,
		 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	int			depth = lh_statement_depth();

	lh_statement_set_depth(depth + 1);
	PG_TRY();
	{
		lh_utility_previous(pstmt, query, read_only_tree, context, params, env, dest, qc);
	}
	PG_FINALLY();
	{
		lh_statement_set_depth(depth);
	}
	PG_END_TRY();
	lh_deltas_close(depth);
	lh_statement_end_deeper(depth);
}

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	Creation	creation = {0};
	Alteration	alteration = {0};

	lh_deltas_close_idle();
	if (IsA(stmt, ReindexStmt) && lh_reindex_concurrently(pstmt, query, context, params, env, dest, qc))
		return;
	if (IsA(stmt, CreateStmt) && creates_ours((CreateStmt *) stmt))
	{
		CreateStmt *create;

		pstmt = copyObject(pstmt);
		create = castNode(CreateStmt, pstmt->utilityStmt);
		prepare_creation(create->relation, &create->accessMethod, &create->options,
						 create->if_not_exists, &creation);
	}
	else if (IsA(stmt, CreateTableAsStmt) &&
			 names_our_am(((CreateTableAsStmt *) stmt)->into->accessMethod))
	{
		CreateTableAsStmt *create;

		pstmt = copyObject(pstmt);
		create = castNode(CreateTableAsStmt, pstmt->utilityStmt);
		prepare_creation(create->into->rel, &create->into->accessMethod, &create->into->options,
						 create->if_not_exists, &creation);
	}
	else if (IsA(stmt, AlterTableStmt))
	{
		PlannedStmt *copy = copyObject(pstmt);

		if (prepare_alteration(castNode(AlterTableStmt, copy->utilityStmt), &alteration))
			pstmt = copy;
	}
	else if (IsA(stmt, AlterEnumStmt) && ((AlterEnumStmt *) stmt)->oldVal != NULL)
		lh_label_renamed(((AlterEnumStmt *) stmt)->typeName);
	if (IsA(stmt, CopyStmt))
		run_copy(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		lh_utility_previous(pstmt, query, read_only_tree, context, params, env, dest, qc);
	if (creation.relation != NULL)
		finish_creation(&creation);
	if (OidIsValid(alteration.relid))
		finish_alteration(&alteration);
}

void
lh_utility_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}
