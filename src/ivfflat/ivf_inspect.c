/*
 * ivf_inspect.c
 *	  An SQL function that shows an index's lists.
 */
#include "postgres.h"

#include "access/relation.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "ivfflat/ivf_int.h"
#include "types/pg_compat.h"

static void
put_list(Ivf *ivf, ReturnSetInfo *result, int list)
{
	IvfList    *slot;
	Buffer		buffer = ivf_read_list(ivf, list, BUFFER_LOCK_SHARE, &slot);
	BlockNumber block = slot->first;
	BlockNumber steps = 0;
	int64		n_rows = 0;
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = Int32GetDatum(list);
	values[3] = Int64GetDatum(slot->run);
	UnlockReleaseBuffer(buffer);
	for (; block != 0; steps++)
	{
		CHECK_FOR_INTERRUPTS();
		ivf_check_chain(ivf, steps, block);
		buffer = ivf_read_page(ivf->index, block, IVF_PAGE_ROWS, BUFFER_LOCK_SHARE);
		n_rows += ivf_rows_on(ivf, buffer, list);
		block = IvfTail(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
	}
	values[1] = Int64GetDatum(n_rows);
	values[2] = Int64GetDatum(steps);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

LH_FUNCTION(lh_ivfflat_lists);

Datum
lh_ivfflat_lists(PG_FUNCTION_ARGS)
{
	Relation	index = lh_vindex_open(PG_GETARG_OID(0), ivf_begin_scan, "ivfflat");
	Ivf			ivf;

	InitMaterializedSRF(fcinfo, 0);
	ivf_open(&ivf, index);
	for (int list = 0; list < ivf.lists; list++)
		put_list(&ivf, (ReturnSetInfo *) fcinfo->resultinfo, list);
	relation_close(index, AccessShareLock);
	return (Datum) 0;
}
