/*
 * publish_hold.c
 *	  Keeps the publisher out of the way of commands that need a database to
 *	  themselves: DROP DATABASE, CREATE DATABASE ... TEMPLATE, ALTER DATABASE
 *	  ... RENAME and ... SET TABLESPACE.
 *
 * The publisher of that database is ended, waited for, and not started again
 * until the command is over.  COMMIT PREPARED is seen here too: it runs no
 * callback of ours, so all tables are looked at.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "pgstat.h"
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
	}
	LWLockRelease(lh_publish_shared->lock);
}

static void
call_previous(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_utility != NULL)
		previous_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
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

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	bool		drop = IsA(stmt, DropdbStmt);
	bool		commit_prepared = IsA(stmt, TransactionStmt) &&
		((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED;
	Oid			database = InvalidOid;
	volatile bool held = false;

	if (IsTransactionState())
		database = wanted_database(stmt);
	if (OidIsValid(database) && !may_hold(database))
		database = InvalidOid;
	if (!OidIsValid(database))
	{
		call_previous(pstmt, query, read_only_tree, context, params, env, dest, qc);
		if (commit_prepared)
			look_at_all();
		return;
	}
	PG_TRY();
	{
		held = count_holder(database, 1);
		end_publisher(database);
		if (IsA(stmt, CreatedbStmt))
			lh_database_mark_cloned(database);
		call_previous(pstmt, query, read_only_tree, context, params, env, dest, qc);
		if (drop)
		{
			forget_work(database);
			database_dropped = true;
		}
	}
	PG_FINALLY();
	{
		if (held)
			count_holder(database, -1);
	}
	PG_END_TRY();
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
