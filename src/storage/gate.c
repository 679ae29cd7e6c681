/*
 * gate.c
 *	  Gates of blocks of rows.  Who changes or locks one row passes the gate of
 *	  its block while he judges the row's marks and leaves his own; who deletes
 *	  many rows of a block by one entry shuts it for that time.
 *
 * A gate is an LWLock that blocks of all tables share.  It is held for some
 * microseconds, never while waiting for another transaction, and never by code
 * of users; a backend holds one at most, and takes it last.  An error opens it,
 * as any LWLock.
 *
 * Who stays with a row for longer (lh_row_hold()) leaves the gate, but a note
 * in shared memory that he is with this row.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/rel.h"

#include "storage/delta_int.h"

#define N_GATES		128
#define TRANCHE		"lakehouse rows"

/* The row that a backend stays with; written in the gate. */
typedef struct StayedRow
{
	Oid			file;			/* InvalidOid: none */
	uint64		row_id;
} StayedRow;

static LWLockPadded *gates = NULL;
static StayedRow *stayed = NULL;	/* [MaxBackends] */
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void
request_hook(void)
{
	if (previous_request != NULL)
		previous_request();
	RequestNamedLWLockTranche(TRANCHE, N_GATES);
	RequestAddinShmemSpace(mul_size(sizeof(StayedRow), MaxBackends));
}

static void
startup_hook(void)
{
	Size		size = mul_size(sizeof(StayedRow), MaxBackends);
	bool		found;

	if (previous_startup != NULL)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	gates = GetNamedLWLockTranche(TRANCHE);
	stayed = ShmemInitStruct(TRANCHE, size, &found);
	if (!found)
		memset(stayed, 0, size);
	LWLockRelease(AddinShmemInitLock);
}

void
lh_gate_init(void)
{
	if (!lh_preloaded)
		return;
	previous_request = shmem_request_hook;
	shmem_request_hook = request_hook;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup_hook;
}

static LWLock *
gate_of(Relation rel, uint64 row_id)
{
	uint64		block = row_id / LH_BULK_ROWS;
	uint32		hash = hash_combine(murmurhash32((uint32) block ^ (uint32) (block >> 32)),
									murmurhash32(rel->rd_node.relNode));

	return &gates[hash % N_GATES].lock;
}

void
gate_pass(Relation rel, uint64 row_id)
{
	LWLockAcquire(gate_of(rel, row_id), LW_SHARED);
}

void
gate_shut(Relation rel, uint64 row_id)
{
	LWLockAcquire(gate_of(rel, row_id), LW_EXCLUSIVE);
}

/* Passed or shut. */
void
gate_leave(Relation rel, uint64 row_id)
{
	LWLockRelease(gate_of(rel, row_id));
}

/* ---- rows that somebody stays with ---- */

/* Those of backends are the first of all processes. */
static StayedRow *
own_place(void)
{
	return &stayed[MyProc - ProcGlobal->allProcs];
}

void
gate_leave_staying(Relation rel, uint64 row_id)
{
	*own_place() = (StayedRow) {rel->rd_node.relNode, row_id};
	gate_leave(rel, row_id);
}

void
gate_return(Relation rel, uint64 row_id)
{
	gate_pass(rel, row_id);
	gate_forget_stayed();
}

void
gate_forget_stayed(void)
{
	own_place()->file = InvalidOid;
}

void
gate_leave_out_stayed(Relation rel, LhBulk *rows, LhBulk *out)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		StayedRow	row = stayed[i];

		if (row.file != rel->rd_node.relNode || LH_BULK_FIRST(row.row_id) != rows->first ||
			!lh_bulk_has(rows, row.row_id))
			continue;
		lh_bulk_clear(rows, row.row_id);
		lh_bulk_set(out, row.row_id);
	}
}
