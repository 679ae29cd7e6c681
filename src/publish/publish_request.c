/*
 * publish_request.c
 *	  lakehouse.publish() and what SQL sees of the publisher.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "objstore/objstore.h"
#include "publish/lh_publish.h"
#include "publish/lh_publish_int.h"
#include "types/pg_compat.h"

#define WAIT_POLL_MS	1000
/* Without a publisher for so long there will be none. */
#define NO_WORKER_MS	30000

LH_FUNCTION(lh_publish);
LH_FUNCTION(lh_metadata_location);
LH_FUNCTION(lh_table_uuid);
LH_FUNCTION(lh_publisher_status);

static LhRequest *
post_request(Oid relid)
{
	LhRequest  *request = NULL;
	LhDatabaseSlot *slot;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(MyDatabaseId, true);
	for (int i = 0; slot != NULL && request == NULL && i < LH_MAX_REQUESTS; i++)
		if (lh_publish_shared->requests[i].state == LH_REQUEST_FREE)
			request = &lh_publish_shared->requests[i];
	if (request != NULL)
	{
		memset(request, 0, sizeof(LhRequest));
		request->state = LH_REQUEST_WAITING;
		request->database = MyDatabaseId;
		request->relid = relid;
		/* a worker must be there to collect it */
		if (slot->worker_pid == 0)
			lh_slot_add(slot, relid);
		lh_publish_wake(slot);
	}
	LWLockRelease(lh_publish_shared->lock);
	if (request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many sessions wait for the lakehouse publisher"),
				 errhint("Try again later.")));
	return request;
}

static void
drop_request(int code, Datum arg)
{
	LhRequest  *request = (LhRequest *) DatumGetPointer(arg);

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	request->state = LH_REQUEST_FREE;
	LWLockRelease(lh_publish_shared->lock);
}

/* Makes sure that somebody will look at the request. */
static bool
worker_is_there(Oid relid)
{
	LhDatabaseSlot *slot;
	bool		there;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(MyDatabaseId, true);
	there = slot != NULL && slot->worker_pid != 0;
	if (slot != NULL)
	{
		if (!there)
			lh_slot_add(slot, relid);
		lh_publish_wake(slot);
	}
	LWLockRelease(lh_publish_shared->lock);
	return there;
}

/*
 * The publisher does not queue behind one who waits for an exclusive lock; if
 * that one waits for us, nobody will ever move, and the deadlock detector does
 * not see it.
 */
static void
check_deadlock(Oid relid)
{
	LockData   *locks;
	LOCKTAG		tag;
	bool		we_hold = false;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	for (LOCKMODE mode = AccessShareLock; mode < AccessExclusiveLock; mode++)
		we_hold |= lh_lock_held_by_me(&tag, mode);
	if (!we_hold)
		return;
	locks = GetLockStatusData();
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];

		if (lock->waitLockMode == AccessExclusiveLock &&
			lock->locktag.locktag_type == LOCKTAG_RELATION &&
			lock->locktag.locktag_field1 == MyDatabaseId && lock->locktag.locktag_field2 == relid)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
					 errmsg("deadlock with the lakehouse publisher"),
					 errdetail("Process %d waits for a lock on table \"%s\" that this transaction holds, "
							   "and the publisher cannot pass it.", lock->pid, get_rel_name(relid)),
					 errhint("End the transaction and try again.")));
	}
}

static void
wait_for(LhRequest *request, Oid relid)
{
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz seen = start;

	ConditionVariablePrepareToSleep(&lh_publish_shared->changed);
	for (;;)
	{
		LhRequestState state;
		TimestampTz now;

		LWLockAcquire(lh_publish_shared->lock, LW_SHARED);
		state = request->state;
		LWLockRelease(lh_publish_shared->lock);
		if (state == LH_REQUEST_DONE || state == LH_REQUEST_FAILED)
			break;
		if (ConditionVariableTimedSleep(&lh_publish_shared->changed, WAIT_POLL_MS, PG_WAIT_EXTENSION))
		{
			check_deadlock(relid);
			now = GetCurrentTimestamp();
			if (worker_is_there(relid))
				seen = now;
			else if (TimestampDifferenceExceeds(seen, now, NO_WORKER_MS))
				ereport(ERROR,
						(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						 errmsg("the lakehouse publisher of this database could not be started"),
						 errhint("Increase max_worker_processes.")));
		}
		if (LockTimeout > 0 && TimestampDifferenceExceeds(start, GetCurrentTimestamp(), LockTimeout))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("canceling wait for the lakehouse publisher due to lock timeout")));
	}
	ConditionVariableCancelSleep();
}

static void
require_publisher(void)
{
	if (lh_publish_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lakehouse is not preloaded, so nothing can be published"),
				 errhint("Add this line to postgresql.conf and restart the server: shared_preload_libraries = 'lakehouse'")));
}

int64
lh_publish_and_wait(Oid relid)
{
	LhRequest  *volatile request;
	LhRequest	answer;

	require_publisher();
	request = post_request(relid);

	PG_ENSURE_ERROR_CLEANUP(drop_request, PointerGetDatum(request));
	{
		wait_for(request, relid);
		LWLockAcquire(lh_publish_shared->lock, LW_SHARED);
		answer = *request;
		LWLockRelease(lh_publish_shared->lock);
	}
	PG_END_ENSURE_ERROR_CLEANUP(drop_request, PointerGetDatum(request));
	drop_request(0, PointerGetDatum(request));
	if (answer.state == LH_REQUEST_FAILED)
		ereport(ERROR,
				(errcode(answer.sqlerrcode),
				 errmsg("could not publish table \"%s\"", get_rel_name(relid)),
				 errdetail("The publisher reports: %s.", answer.error),
				 errhint("It tries again by itself; lakehouse.publisher_status() shows when.")));
	return answer.snapshot_id;
}

/* Opens a relation for reading what is known of it; raises if it is not ours. */
static Relation
open_lakehouse(Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!lh_relation_is_lakehouse(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a lakehouse table", RelationGetRelationName(rel)),
				 errhint("Create it with USING lakehouse, or use ALTER TABLE ... SET ACCESS METHOD lakehouse.")));
	return rel;
}

Datum
lh_publish(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel = open_lakehouse(relid);
	AclResult	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));
	require_publisher();
	PreventCommandDuringRecovery("lakehouse.publish()");

	/* the publisher would wait for our own lock */
	if (CheckRelationLockedByMe(rel, AccessExclusiveLock, true))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("table \"%s\" cannot be published by the transaction that has it locked",
						RelationGetRelationName(rel)),
				 errhint("Commit first.")));
	relation_close(rel, AccessShareLock);
	PG_RETURN_INT64(lh_publish_and_wait(relid));
}

Datum
lh_metadata_location(PG_FUNCTION_ARGS)
{
	Relation	rel = open_lakehouse(PG_GETARG_OID(0));
	LhIdentity	identity;
	LhTable    *table;

	lh_metapage_read(rel, &identity);
	table = lh_table_get(&identity.table_uuid, GetActiveSnapshot());
	relation_close(rel, AccessShareLock);
	if (table == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(lh_store_uri(lh_store_open(table->location), table->metadata_name)));
}

Datum
lh_table_uuid(PG_FUNCTION_ARGS)
{
	Relation	rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	LhIdentity	identity;
	pg_uuid_t  *result = NULL;

	if (rel == NULL)
		PG_RETURN_NULL();
	if (lh_relation_is_lakehouse(rel))
	{
		lh_metapage_read(rel, &identity);
		result = palloc(sizeof(pg_uuid_t));
		*result = identity.table_uuid;
	}
	relation_close(rel, AccessShareLock);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(result);
}

Datum
lh_publisher_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LhDatabaseSlot *slot;
	LhPublishShared *copy;

	InitMaterializedSRF(fcinfo, 0);
	if (lh_publish_shared == NULL)
		return (Datum) 0;
	copy = palloc(sizeof(LhPublishShared));
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(MyDatabaseId, true);
	memcpy(copy, lh_publish_shared, sizeof(LhPublishShared));
	if (slot != NULL)
		slot = &copy->databases[slot - lh_publish_shared->databases];
	LWLockRelease(lh_publish_shared->lock);

	for (int i = 0; slot != NULL && i < slot->n_pending; i++)
	{
		Datum		values[5] = {ObjectIdGetDatum(slot->pending[i]), CStringGetTextDatum("pending"), Int32GetDatum(0)};
		bool		isnull[5] = {false, false, false, true, true};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	for (int i = 0; i < LH_MAX_FAILURES; i++)
	{
		LhFailure  *failure = &copy->failures[i];
		Datum		values[5];
		bool		isnull[5] = {0};

		if (failure->database != MyDatabaseId)
			continue;
		values[0] = ObjectIdGetDatum(failure->relid);
		values[1] = CStringGetTextDatum("failed");
		values[2] = Int32GetDatum(failure->failures);
		values[3] = CStringGetTextDatum(failure->error);
		values[4] = TimestampTzGetDatum(failure->retry_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}

void
lh_publish_init(void)
{
	if (!lh_preloaded)
		return;
	lh_publish_shmem_init();
	lh_hold_init();
	if (!IsBinaryUpgrade)		/* pg_upgrade: nobody writes but itself */
		lh_launcher_register();
}
