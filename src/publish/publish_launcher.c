/*
 * publish_launcher.c
 *	  The one process that starts a publisher in each database that has
 *	  something to publish.  It is connected to no database itself.
 *
 * It learns of work from the slots in shared memory, and after a restart from
 * the markers on disk (catalog/database.c).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "publish/lh_publish_int.h"

#define LAUNCHER_NAP_MS		60000
#define RETRY_START_MS		1000
#define LOST_START_MS		10000	/* a worker that has not come by then will not */

PGDLLEXPORT void lh_launcher_main(Datum arg);

void
lh_launcher_register(void)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "lakehouse launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "lakehouse launcher", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "lakehouse", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "lh_launcher_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

static void
forget_launcher(int code, Datum arg)
{
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	lh_publish_shared->launcher_latch = NULL;
	LWLockRelease(lh_publish_shared->lock);
}

static bool
start_worker(Oid database)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;

	snprintf(worker.bgw_name, BGW_MAXLEN, "lakehouse publisher for database %u", database);
	strlcpy(worker.bgw_type, "lakehouse publisher", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(worker.bgw_library_name, "lakehouse", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "lh_worker_main", BGW_MAXLEN);
	return RegisterDynamicBackgroundWorker(&worker, &handle);
}

/* After a restart, anything may be unpublished. */
static void
recall_databases(void)
{
	ListCell   *lc;

	foreach(lc, lh_database_marked())
	{
		LhDatabaseSlot *slot;

		LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
		slot = lh_database_slot(lfirst_oid(lc), true);
		if (slot != NULL)
			slot->look_at_all = slot->log_hints = true;
		LWLockRelease(lh_publish_shared->lock);
	}
}

/* Returns false if a worker could not be started: try again soon. */
static bool
start_workers(void)
{
	bool		all_started = true;

	for (int i = 0; i < LH_MAX_DATABASES; i++)
	{
		LhDatabaseSlot *slot = &lh_publish_shared->databases[i];
		Oid			database = InvalidOid;

		LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
		if (OidIsValid(slot->database) && slot->worker_pid == 0 &&
			(!slot->starting || lh_publish_clock() - slot->started_at >= LOST_START_MS) &&
			slot->held == 0 && lh_slot_has_work(slot))
		{
			if (slot->start_after > lh_publish_clock())
				all_started = false;
			else
			{
				slot->starting = true;
				slot->started_at = lh_publish_clock();
				database = slot->database;
			}
		}
		LWLockRelease(lh_publish_shared->lock);

		if (OidIsValid(database) && !start_worker(database))
		{
			LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
			slot->starting = false;
			LWLockRelease(lh_publish_shared->lock);
			all_started = false;
		}
	}
	return all_started;
}

void
lh_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	lh_publish_shared->launcher_latch = MyLatch;
	LWLockRelease(lh_publish_shared->lock);
	before_shmem_exit(forget_launcher, (Datum) 0);

	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext, "lakehouse launcher", ALLOCSET_DEFAULT_SIZES);
	recall_databases();
	MemoryContextReset(CurrentMemoryContext);

	while (!ShutdownRequestPending)
	{
		bool		all_started = start_workers();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 all_started ? LAUNCHER_NAP_MS : RETRY_START_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	proc_exit(0);
}
