/*
 * publish_shmem.c
 *	  Shared memory of the publisher: who has something to publish, who waits
 *	  for it, what failed.
 *
 * Committing backends add their tables to their database's slot and set a
 * latch; that is all the publisher costs a commit.  Those that abort and leave
 * files say so.  What is lost here (a
 * crash, a full list, COMMIT PREPARED) is found again by looking at all
 * tables of the database.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "publish/lh_publish.h"
#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"

LhPublishShared *lh_publish_shared = NULL;

static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void
request_hook(void)
{
	if (previous_request != NULL)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(LhPublishShared)));
	RequestNamedLWLockTranche("lakehouse publisher", 1);
}

static void
startup_hook(void)
{
	bool		found;

	if (previous_startup != NULL)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	lh_publish_shared = ShmemInitStruct("lakehouse publisher", sizeof(LhPublishShared), &found);
	if (!found)
	{
		memset(lh_publish_shared, 0, sizeof(LhPublishShared));
		lh_publish_shared->started_at = GetCurrentTimestamp();
		lh_publish_shared->lock = &(GetNamedLWLockTranche("lakehouse publisher"))->lock;
		ConditionVariableInit(&lh_publish_shared->changed);
	}
	LWLockRelease(AddinShmemInitLock);
}

int64
lh_publish_clock(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

bool
lh_slot_has_work(const LhDatabaseSlot *slot)
{
	return slot->n_pending > 0 || slot->look_at_all || slot->sweep;
}

LhDatabaseSlot *
lh_database_slot(Oid database, bool create)
{
	LhDatabaseSlot *free_slot = NULL;

	for (int i = 0; i < LH_MAX_DATABASES; i++)
	{
		LhDatabaseSlot *slot = &lh_publish_shared->databases[i];

		if (slot->database == database)
			return slot;
		/* an idle slot can be taken over */
		if (free_slot == NULL && (slot->database == InvalidOid ||
								  (slot->worker_pid == 0 && !slot->starting && slot->held == 0 &&
								   !lh_slot_has_work(slot))))
			free_slot = slot;
	}
	if (!create || free_slot == NULL)
		return NULL;
	memset(free_slot, 0, sizeof(LhDatabaseSlot));
	free_slot->database = database;
	return free_slot;
}

void
lh_publish_wake(LhDatabaseSlot *slot)
{
	if (slot->worker_latch != NULL)
		SetLatch(slot->worker_latch);
	else if (lh_publish_shared->launcher_latch != NULL)
		SetLatch(lh_publish_shared->launcher_latch);
}

static bool
is_pending(const LhDatabaseSlot *slot, Oid relid)
{
	for (int i = 0; i < slot->n_pending; i++)
		if (slot->pending[i] == relid)
			return true;
	return false;
}

void
lh_slot_add(LhDatabaseSlot *slot, Oid relid)
{
	if (is_pending(slot, relid))
		return;
	if (slot->n_pending < LH_MAX_PENDING)
		slot->pending[slot->n_pending++] = relid;
	else
		slot->look_at_all = true;
}

/* Does a running worker know of all of them, and has begun with none? */
static bool
all_pending(void)
{
	LhDatabaseSlot *slot;
	bool		all;
	ListCell   *lc;

	LWLockAcquire(lh_publish_shared->lock, LW_SHARED);
	slot = lh_database_slot(MyDatabaseId, false);
	all = slot != NULL && slot->worker_latch != NULL;
	foreach(lc, lh_dirty_relations())
		all = all && is_pending(slot, lfirst_oid(lc));
	LWLockRelease(lh_publish_shared->lock);
	return all;
}

/* Runs after the commit: must not fail. */
static void
hand_over_dirty(void)
{
	LhDatabaseSlot *slot;
	ListCell   *lc;

	if (all_pending())
		return;
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(MyDatabaseId, true);
	if (slot != NULL)
	{
		foreach(lc, lh_dirty_relations())
			lh_slot_add(slot, lfirst_oid(lc));
		lh_publish_wake(slot);
	}
	LWLockRelease(lh_publish_shared->lock);
}

void
lh_publish_ask_to_sweep(void)
{
	LhDatabaseSlot *slot;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	slot = lh_database_slot(MyDatabaseId, true);
	if (slot != NULL && !slot->sweep)
	{
		slot->sweep = true;
		lh_publish_wake(slot);
	}
	LWLockRelease(lh_publish_shared->lock);
}

static void
xact_callback(XactEvent event, void *arg)
{
	bool		committed = event == XACT_EVENT_COMMIT;

	if (lh_publish_shared != NULL && OidIsValid(MyDatabaseId))
	{
		if (committed && lh_dirty_any())
			hand_over_dirty();
		if ((committed || event == XACT_EVENT_ABORT) && lh_dirty_files_lost(committed))
			lh_publish_ask_to_sweep();
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		lh_dirty_forget();
}

void
lh_publish_shmem_init(void)
{
	if (!lh_preloaded)
		return;
	previous_request = shmem_request_hook;
	shmem_request_hook = request_hook;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup_hook;
	RegisterXactCallback(xact_callback, NULL);
}

/* ---- failures ---- */

static LhFailure *
find_failure(Oid relid)
{
	LhFailure  *free_entry = NULL;

	for (int i = 0; i < LH_MAX_FAILURES; i++)
	{
		LhFailure  *failure = &lh_publish_shared->failures[i];

		if (failure->database == MyDatabaseId && failure->relid == relid)
			return failure;
		if (free_entry == NULL && failure->database == InvalidOid)
			free_entry = failure;
	}
	return free_entry;
}

void
lh_failure_set(Oid relid, int failures, TimestampTz retry_at, const char *error)
{
	LhFailure  *failure;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	failure = find_failure(relid);
	if (failure != NULL)
	{
		failure->database = MyDatabaseId;
		failure->relid = relid;
		failure->failures = failures;
		failure->retry_at = retry_at;
		strlcpy(failure->error, error, sizeof(failure->error));
	}
	LWLockRelease(lh_publish_shared->lock);
}

void
lh_failure_clear(Oid relid)
{
	LhFailure  *failure;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	failure = find_failure(relid);
	if (failure != NULL && failure->database == MyDatabaseId)
		memset(failure, 0, sizeof(LhFailure));
	LWLockRelease(lh_publish_shared->lock);
}
