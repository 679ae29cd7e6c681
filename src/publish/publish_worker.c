/*
 * publish_worker.c
 *	  The publisher of one database: draws tables from its slot, publishes each
 *	  in a transaction of its own, answers those who wait.
 *
 * Under continuous small commits a table is published at most once in
 * MIN_INTERVAL_MS (or the table's "publish" interval), unless somebody waits
 * for it.  A table whose publication fails is tried again after a time that
 * doubles up to MAX_RETRY_MS, and shows in lakehouse.publisher_status().
 * With nothing to do for IDLE_EXIT_MS the process ends.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"

#define MIN_INTERVAL_MS		1200	/* with merges, less than 60 files a minute */
#define FIRST_RETRY_MS		500
#define LOCKED_RETRY_MS		100
#define MAX_LOCK_WAIT_MS	500
#define MAX_RETRY_MS		60000
#define IDLE_EXIT_MS		10000
#define FAILED_START_MS		2000	/* doubled up to a minute */
#define MAX_FAILED_STARTS	5
#define UPKEEP_SHARE		20		/* to look at all tables, and to sweep, takes a 20th of the time */
#define MAX_LOOK_WAIT_MS	10000
#define SOON_MS				2000

/* A table that has, or may have, something to publish. */
typedef struct Job
{
	Oid			relid;			/* hash key */
	bool		pending;
	bool		waited_for;		/* a request is running */
	int			failures;
	int64		due;			/* not before; by lh_publish_clock() */
} Job;

static HTAB *jobs;
static LhDatabaseSlot *my_slot;
static bool worked;				/* in this round */
static int64 look_due = 0;
static int64 sweep_due = 0;

PGDLLEXPORT void lh_worker_main(Datum arg);

static void
leave_slot(int code, Datum arg)
{
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	my_slot->worker_pid = 0;
	my_slot->worker_latch = NULL;
	my_slot->starting = false;
	/* what was being done for somebody goes to the next worker */
	for (int i = 0; i < LH_MAX_REQUESTS; i++)
	{
		LhRequest  *request = &lh_publish_shared->requests[i];

		if (request->state == LH_REQUEST_RUNNING && request->database == my_slot->database)
		{
			request->state = LH_REQUEST_WAITING;
			my_slot->look_at_all = true;
		}
	}
	if (code != 0)
	{
		my_slot->look_at_all = my_slot->log_hints = true;
		my_slot->start_after = lh_publish_clock() + (FAILED_START_MS << my_slot->failed_starts);
		my_slot->failed_starts = Min(my_slot->failed_starts + 1, MAX_FAILED_STARTS);
	}
	if (lh_publish_shared->launcher_latch != NULL && lh_slot_has_work(my_slot))
		SetLatch(lh_publish_shared->launcher_latch);
	LWLockRelease(lh_publish_shared->lock);
	ConditionVariableBroadcast(&lh_publish_shared->changed);
}

static void
enter_slot(Oid database)
{
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	my_slot = lh_database_slot(database, true);
	if (my_slot == NULL || my_slot->held > 0 || my_slot->worker_pid != 0)
	{
		if (my_slot != NULL)
			my_slot->starting = false;
		LWLockRelease(lh_publish_shared->lock);
		proc_exit(0);
	}
	my_slot->worker_pid = MyProcPid;
	my_slot->worker_latch = MyLatch;
	my_slot->starting = false;
	LWLockRelease(lh_publish_shared->lock);
	before_shmem_exit(leave_slot, (Datum) 0);
}

static Job *
get_job(Oid relid)
{
	bool		found;
	Job		   *job = hash_search(jobs, &relid, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) job + sizeof(Oid), 0, sizeof(Job) - sizeof(Oid));
		job->relid = relid;
	}
	return job;
}

/* Runs housekeeping that may fail without harm. */
static void
try_sweep(void (*sweep) (void))
{
	MemoryContext cxt = CurrentMemoryContext;

	PG_TRY();
	{
		sweep();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(cxt);
	}
	PG_END_TRY();
}

static void
set_hint(const LhTable *table, bool log_hint)
{
	LhPublication published = {0};

	published.location = table->location;
	published.metadata_name = table->metadata_name;
	published.table_uuid = table->table_uuid;
	published.log_hint = log_hint;
	lh_publish_hint(&published);
}

/* Every lakehouse table gets a job; hints are set right. */
static void
look_at_all_tables(bool log_hints)
{
	Relation	pg_class;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			am;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	am = lh_am_oid();
	if (OidIsValid(am))
	{
		pg_class = table_open(RelationRelationId, AccessShareLock);
		scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

			if (form->relam == am && !OidIsValid(form->relrewrite))
				get_job(form->oid)->pending = true;
		}
		systable_endscan(scan);
		table_close(pg_class, AccessShareLock);
		foreach(lc, lh_table_list(GetActiveSnapshot()))
		{
			LhTable    *table = lfirst(lc);

			if (table->database_id == MyDatabaseId)
				set_hint(table, log_hints);
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * Takes over what was handed over.  A table that is due soon stays in the slot
 * until its publication begins: whoever commits till then sees that it is
 * known, and need not wake us.
 */
static void
take_pending(void)
{
	int64		now = lh_publish_clock();
	int64		soon = now + SOON_MS;
	int			n = my_slot->n_pending;

	my_slot->n_pending = 0;
	for (int i = 0; i < n; i++)
	{
		Job		   *job = get_job(my_slot->pending[i]);

		job->pending = true;
		if (job->due > now && job->due <= soon && my_slot->n_pending < LH_MAX_PENDING / 2)
			my_slot->pending[my_slot->n_pending++] = job->relid;
	}
}

/* From here on a commit to the table hands it over again.  Before the publication's snapshot. */
static void
begin_job(Oid relid)
{
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < my_slot->n_pending; i++)
		if (my_slot->pending[i] == relid)
			my_slot->pending[i--] = my_slot->pending[--my_slot->n_pending];
	LWLockRelease(lh_publish_shared->lock);
}

/*
 * Takes over what others want.  Who commits by COMMIT PREPARED wants us to look
 * at all tables each time, who aborts may want us to sweep: such upkeep waits
 * in proportion to what it took the last time.  Returns when it is due, or
 * PG_INT64_MAX.
 */
static int64
collect_jobs(void)
{
	int64		start = lh_publish_clock();
	int64		due = PG_INT64_MAX;
	bool		all;
	bool		log_hints;
	bool		sweep;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	all = my_slot->look_at_all && look_due <= start;
	sweep = all || (my_slot->sweep && sweep_due <= start);
	log_hints = my_slot->log_hints;
	my_slot->look_at_all &= !all;
	my_slot->log_hints &= !all;
	my_slot->sweep &= !sweep;
	if (my_slot->look_at_all)
		due = look_due;
	if (my_slot->sweep)
		due = Min(due, sweep_due);
	take_pending();
	for (int i = 0; i < LH_MAX_REQUESTS; i++)
	{
		LhRequest  *request = &lh_publish_shared->requests[i];

		if (request->state == LH_REQUEST_WAITING && request->database == MyDatabaseId)
		{
			Job		   *job = get_job(request->relid);

			request->state = LH_REQUEST_RUNNING;
			job->pending = job->waited_for = true;
			job->due = 0;
		}
	}
	LWLockRelease(lh_publish_shared->lock);
	worked |= sweep;
	if (all)
	{
		look_at_all_tables(log_hints);
		try_sweep(lh_sweep_dropped);
		try_sweep(lh_sweep_databases);
	}
	if (sweep)
	{
		try_sweep(lh_sweep_orphans);
		sweep_due = lh_publish_clock() + (lh_publish_clock() - start) * UPKEEP_SHARE;
		if (all)
			look_due = Min(sweep_due, lh_publish_clock() + MAX_LOOK_WAIT_MS);
	}
	return due;
}

static void
answer_requests(Oid relid, const LhPublication *published, int sqlerrcode, const char *error)
{
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < LH_MAX_REQUESTS; i++)
	{
		LhRequest  *request = &lh_publish_shared->requests[i];

		if (request->state != LH_REQUEST_RUNNING || request->database != MyDatabaseId ||
			request->relid != relid)
			continue;
		if (error == NULL)
		{
			request->state = LH_REQUEST_DONE;
			request->snapshot_id = published->snapshot_id;
		}
		else
		{
			request->state = LH_REQUEST_FAILED;
			request->sqlerrcode = sqlerrcode;
			strlcpy(request->error, error, sizeof(request->error));
		}
	}
	LWLockRelease(lh_publish_shared->lock);
	ConditionVariableBroadcast(&lh_publish_shared->changed);
}

static int
publish_interval(Oid relid)
{
	Relation	rel;
	LhOptions	options;
	int			ms = MIN_INTERVAL_MS;

	/* who has it locked may be waiting for us to publish another table */
	if (!lh_publish_try_lock(relid))
		return ms;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relid, AccessShareLock);
	else
	{
		if (lh_relation_is_lakehouse(rel))
		{
			lh_options_of(rel, &options);
			ms = Max(ms, options.publish_ms);
		}
		relation_close(rel, AccessShareLock);
	}
	return ms;
}

static bool
is_about_locks(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

static void
job_failed(Job *job, ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();
	int			wait;

	if (is_about_locks(error))
	{
		/* somebody alters the table: those who wait go on waiting */
		job->due = lh_publish_clock() + LOCKED_RETRY_MS;
		return;
	}
	job->failures++;
	wait = Min(MAX_RETRY_MS, FIRST_RETRY_MS << Min(job->failures - 1, 10));
	job->due = lh_publish_clock() + wait;
	lh_failure_set(job->relid, job->failures, TimestampTzPlusMilliseconds(now, wait), error->message);
	answer_requests(job->relid, NULL, error->sqlerrcode, error->message);
	job->waited_for = false;
}

/* What lh_publish_finish() needs must outlive the transaction. */
static void
keep(LhPublication *published, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	List	   *expired = NIL;
	ListCell   *lc;

	published->location = pstrdup(published->location);
	published->metadata_name = pstrdup(published->metadata_name);
	if (published->previous_name != NULL)
		published->previous_name = pstrdup(published->previous_name);
	foreach(lc, published->expired)
		expired = lappend(expired, pstrdup(lfirst(lc)));
	published->expired = expired;
	MemoryContextSwitchTo(old);
}

/* After a publication: merges small files, one class at a time. */
static void
compact(Oid relid)
{
	MemoryContext cxt = CurrentMemoryContext;
	LhPublication compacted;
	bool		again = true;

	while (again)
	{
		CHECK_FOR_INTERRUPTS();
		StartTransactionCommand();
		again = lh_compact_table(relid, &compacted);
		if (again)
			keep(&compacted, cxt);
		CommitTransactionCommand();
		MemoryContextSwitchTo(cxt);
		if (again)
			lh_publish_finish(&compacted);
	}
}

static void
run_job(Job *job)
{
	MemoryContext cxt = CurrentMemoryContext;
	LhPublication published;
	int			interval = MIN_INTERVAL_MS;
	volatile bool exists = false;

	worked = true;
	begin_job(job->relid);
	PG_TRY();
	{
		StartTransactionCommand();
		pgstat_report_activity(STATE_RUNNING, psprintf("publishing table %u", job->relid));
		interval = publish_interval(job->relid);
		exists = lh_publish_table(job->relid, &published);
		if (exists)
			keep(&published, cxt);
		LH_FAULT_POINT("publish-commit");
		CommitTransactionCommand();
		LH_FAULT_POINT("publish-committed");
		MemoryContextSwitchTo(cxt);
		/* after a failure, the hint of the version before may be missing */
		if (exists && (published.new_version || job->failures > 0))
			lh_publish_finish(&published);
		if (!exists)
			try_sweep(lh_sweep_dropped);
		job->pending = job->waited_for = false;
		job->failures = 0;
		job->due = lh_publish_clock() + interval;
		lh_failure_clear(job->relid);
		if (exists)
			answer_requests(job->relid, &published, 0, NULL);
		else
			answer_requests(job->relid, NULL, ERRCODE_UNDEFINED_TABLE, "the table was dropped");
		if (exists)
			compact(job->relid);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(cxt);
		if (!is_about_locks(error))
			ereport(LOG,
					(errcode(error->sqlerrcode),
					 errmsg("could not publish table %u: %s", job->relid, error->message),
					 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0));
		job_failed(job, error);
	}
	PG_END_TRY();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	if (!exists && !job->pending)
		hash_search(jobs, &job->relid, HASH_REMOVE, NULL);
}

/* The jobs as an array: a hash scan would not survive the end of a transaction. */
static Job **
list_jobs(int *n)
{
	Job		  **list = palloc(sizeof(Job *) * Max(hash_get_num_entries(jobs), 1));
	HASH_SEQ_STATUS seq;
	Job		   *job;

	*n = 0;
	hash_seq_init(&seq, jobs);
	while ((job = hash_seq_search(&seq)) != NULL)
		list[(*n)++] = job;
	return list;
}

/* Runs what is due; returns when the next job is, or PG_INT64_MAX. */
static int64
run_due_jobs(void)
{
	int64		next = PG_INT64_MAX;
	int			n;
	Job		  **list = list_jobs(&n);

	for (int i = 0; i < n; i++)
	{
		Job		   *job = list[i];

		CHECK_FOR_INTERRUPTS();
		if (!job->pending)
			continue;
		if (job->due <= lh_publish_clock())
			run_job(job);		/* may remove this entry */
		else
			next = Min(next, job->due);
	}
	return next;
}

static bool
may_exit(void)
{
	bool		idle;

	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	idle = !lh_slot_has_work(my_slot);
	/* from here on a commit wakes the launcher */
	if (idle)
		my_slot->worker_latch = NULL;
	LWLockRelease(lh_publish_shared->lock);
	return idle;
}

/* What a database or role may have set for its sessions, but must not hold here. */
static void
fix_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"search_path", "pg_catalog, pg_temp"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);

	/*
	 * Types of columns may need a table that somebody has locked who wants
	 * ours next.  We give way, before he finds out that it is a deadlock.
	 */
	SetConfigOption("lock_timeout", psprintf("%d", Max(1, Min(MAX_LOCK_WAIT_MS, DeadlockTimeout / 2))),
					PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("deadlock_timeout", "10", PGC_SUSET, PGC_S_OVERRIDE);
}

void
lh_worker_main(Datum arg)
{
	HASHCTL		ctl = {0};
	MemoryContext loop_cxt;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	enter_slot(DatumGetObjectId(arg));
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	LWLockAcquire(lh_publish_shared->lock, LW_EXCLUSIVE);
	my_slot->failed_starts = 0;
	LWLockRelease(lh_publish_shared->lock);

	fix_settings();

	loop_cxt = AllocSetContextCreate(TopMemoryContext, "lakehouse publisher", ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Job);
	ctl.hcxt = TopMemoryContext;
	jobs = hash_create("lakehouse publisher jobs", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	for (;;)
	{
		int64		next;
		int64		upkeep;
		long		timeout = IDLE_EXIT_MS;
		int			events;

		MemoryContextSwitchTo(loop_cxt);
		MemoryContextReset(loop_cxt);
		ResetLatch(MyLatch);
		worked = false;
		upkeep = collect_jobs();
		next = run_due_jobs();
		next = Min(next, upkeep);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* a wait for a lock may have used up the latch that was set for new work */
		if (worked)
			timeout = 0;
		else if (next != PG_INT64_MAX)
			timeout = Min(timeout, Max(1, next - lh_publish_clock()));
		events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   timeout, PG_WAIT_EXTENSION);
		if ((events & WL_TIMEOUT) && !worked && next == PG_INT64_MAX && may_exit())
			break;
	}
	proc_exit(0);
}
