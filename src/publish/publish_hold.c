/*
 * publish_hold.c
 *	  Keeps the publisher out of the way of commands that need a database to
 *	  themselves: DROP DATABASE, CREATE DATABASE ... TEMPLATE, ALTER DATABASE
 *	  ... RENAME and ... SET TABLESPACE.
 *
 * The publisher of that database is ended, waited for, and not started again
 * until the command is over.
 *
 * Commands that lock a table without waiting for others, LOCK ... NOWAIT and
 * VACUUM (FULL, SKIP_LOCKED), do wait for the publisher: it is no session that
 * anybody knows of, and soon done.  COMMIT PREPARED is seen here too: it runs no
 * callback of ours, so all tables are looked at.  After ROLLBACK PREPARED,
 * there may be files to remove.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/syscache.h"

#include "publish/lh_publish_int.h"
#include "types/pg_compat.h"

#define END_POLL_MS		20

static ProcessUtility_hook_type previous_utility = NULL;
static bool database_dropped = false;	/* by this transaction */

/* The database that a command needs to itself, or InvalidOid. */
static Oid
wanted_database(Node *stmt)
{
	ListCell   *lc;
	char	   *name = NULL;

	if (IsA(stmt, DropdbStmt))
		name = ((DropdbStmt *) stmt)->dbname;
	else if (IsA(stmt, CreatedbStmt))
	{
		name = "template1";
		foreach(lc, ((CreatedbStmt *) stmt)->options)
			if (strcmp(lfirst_node(DefElem, lc)->defname, "template") == 0)
				name = defGetString(lfirst_node(DefElem, lc));
	}
	else if (IsA(stmt, AlterDatabaseStmt))
	{
		foreach(lc, ((AlterDatabaseStmt *) stmt)->options)
			if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
				name = ((AlterDatabaseStmt *) stmt)->dbname;
	}
	else if (IsA(stmt, RenameStmt) && ((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
		name = ((RenameStmt *) stmt)->subname;
	return name != NULL ? get_database_oid(name, true) : InvalidOid;
}

/* Core checks rights only after us; nobody else may end the publisher. */
static bool
may_hold(Oid database)
{
	HeapTuple	tuple;
	bool		createdb;

	if (lh_owns_database(database, GetUserId()))
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	createdb = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return createdb;
}

static bool
count_holder(Oid database, int change)
{
	LhDatabaseSlot *slot;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(database, change > 0);
	if (slot != NULL)
	{
		slot->held += change;
		if (slot->held == 0)
			lh_publish_wake(slot);
	}
	LWLockRelease(lh_publish_shared->lock);
	return slot != NULL;
}

/* Ends the publisher of a database, which held > 0 keeps from coming back. */
static void
end_publisher(Oid database)
{
	for (;;)
	{
		LhDatabaseSlot *slot;
		pid_t		pid = 0;
		bool		there = false;

		LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
		slot = lh_database_slot(database, false);
		if (slot != NULL)
		{
			pid = slot->worker_pid;
			there = pid != 0;
		}
		LWLockRelease(lh_publish_shared->lock);
		if (!there)
			return;
		kill(pid, SIGTERM);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 END_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* A dropped database has nothing to publish. */
static void
forget_work(Oid database)
{
	LhDatabaseSlot *slot;

	lh_database_unmark(database);
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(database, false);
	if (slot != NULL)
	{
		slot->n_pending = 0;
		slot->look_at_all = false;
		slot->sweep = false;
	}
	LWLockRelease(lh_publish_shared->lock);
}

/* ---- commands that do not wait for a table ---- */

/* What the publisher locks beside the table, and who keeps it out. */
void
lh_publish_lock_tag(Oid relid, LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationRelationId, relid, 1);
}

static bool
is_set(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0 && defGetBoolean(def))
			return true;
	}
	return false;
}

/* Tables, with those below them, that a command locks against readers without waiting. */
static List *
impatient_tables(Node *stmt)
{
	List	   *names = NIL;
	List	   *relids = NIL;
	ListCell   *lc;

	if (IsA(stmt, LockStmt) && ((LockStmt *) stmt)->nowait && ((LockStmt *) stmt)->mode == AccessExclusiveLock)
		names = ((LockStmt *) stmt)->relations;
	else if (IsA(stmt, VacuumStmt) && is_set(((VacuumStmt *) stmt)->options, "full") &&
			 is_set(((VacuumStmt *) stmt)->options, "skip_locked"))
	{
		foreach(lc, ((VacuumStmt *) stmt)->rels)
			if (lfirst_node(VacuumRelation, lc)->relation != NULL)
				names = lappend(names, lfirst_node(VacuumRelation, lc)->relation);
	}
	foreach(lc, names)
	{
		Oid			relid = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);

		if (OidIsValid(relid))
			relids = list_concat(relids, find_all_inheritors(relid, NoLock, NULL));
	}
	return relids;
}

/* What the hook was called with. */
typedef struct Command
{
	PlannedStmt *pstmt;
	const char *query;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *env;
	DestReceiver *dest;
	QueryCompletion *qc;
} Command;

static void
call_previous(const Command *c)
{
	ProcessUtility_hook_type next = previous_utility != NULL ? previous_utility : standard_ProcessUtility;

	next(c->pstmt, c->query, c->read_only_tree, c->context, c->params, c->env, c->dest, c->qc);
}

static void
let_publisher_in(List *relids, int n)
{
	while (n > 0)
	{
		LOCKTAG		tag;

		lh_publish_lock_tag(list_nth_oid(relids, --n), &tag);
		(void) LockRelease(&tag, ShareLock, true);
	}
}

/* Keeps the publisher out meanwhile; for the session, as VACUUM ends transactions. */
static void
call_without_publisher(List *relids, const Command *command)
{
	volatile int locked = 0;

	PG_TRY();
	{
		while (locked < list_length(relids))
		{
			LOCKTAG		tag;

			lh_publish_lock_tag(list_nth_oid(relids, locked), &tag);
			(void) LockAcquire(&tag, ShareLock, true, false);
			locked++;
		}
		call_previous(command);
	}
	PG_CATCH();
	{
		let_publisher_in(relids, locked);
		PG_RE_THROW();
	}
	PG_END_TRY();
	let_publisher_in(relids, locked);
}

static void
look_at_all(void)
{
	LhDatabaseSlot *slot;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(MyDatabaseId, true);
	if (slot != NULL)
	{
		slot->look_at_all = true;
		lh_publish_wake(slot);
	}
	LWLockRelease(lh_publish_shared->lock);
}

/* Also when the session is terminated. */
static void
stop_holding(int code, Datum database)
{
	if (OidIsValid(DatumGetObjectId(database)))
		count_holder(DatumGetObjectId(database), -1);
}

/* The database's publisher has ended, and does not come back before the command is over. */
static void
call_with_database(Oid database, const Command *command)
{
	Datum		held = ObjectIdGetDatum(count_holder(database, 1) ? database : InvalidOid);

	PG_ENSURE_ERROR_CLEANUP(stop_holding, held);
	{
		end_publisher(database);
		call_previous(command);
		/* still locked, the copy not yet committed */
		if (IsA(command->pstmt->utilityStmt, CreatedbStmt))
			lh_database_mark_cloned(database);
		if (IsA(command->pstmt->utilityStmt, DropdbStmt))
		{
			forget_work(database);
			database_dropped = true;
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(stop_holding, held);
	stop_holding(0, held);
}

static bool
is_end_of_prepared(Node *stmt, TransactionStmtKind kind)
{
	return IsA(stmt, TransactionStmt) && ((TransactionStmt *) stmt)->kind == kind;
}

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Command		command = {pstmt, query, read_only_tree, context, params, env, dest, qc};
	Node	   *stmt = pstmt->utilityStmt;
	bool		commit_prepared = is_end_of_prepared(stmt, TRANS_STMT_COMMIT_PREPARED);
	bool		rollback_prepared = is_end_of_prepared(stmt, TRANS_STMT_ROLLBACK_PREPARED);
	Oid			database = InvalidOid;
	List	   *relids = NIL;

	if (IsTransactionState())
	{
		database = wanted_database(stmt);
		relids = impatient_tables(stmt);
	}
	if (OidIsValid(database) && may_hold(database))
		call_with_database(database, &command);
	else if (relids != NIL)
		call_without_publisher(relids, &command);
	else
		call_previous(&command);
	if (commit_prepared)
		look_at_all();
	if (rollback_prepared)
		lh_publish_ask_to_sweep();
}

/* A dropped database's objects are swept by the publisher of another. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && database_dropped)
		look_at_all();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		database_dropped = false;
}

void
lh_hold_init(void)
{
	if (!lh_preloaded)
		return;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
	RegisterXactCallback(xact_callback, NULL);
}
