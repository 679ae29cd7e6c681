/*
 * hnsw_inspect.c
 *	  SQL functions that show an index: how it keeps vectors, and its graph.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

LH_FUNCTION(lh_hnsw_info);

Datum
lh_hnsw_info(PG_FUNCTION_ARGS)
{
	static const char *const codings[] = {NULL, "raw", "int8", "int4"};
	Relation	index = lh_vindex_open(PG_GETARG_OID(0), hnsw_begin_scan, "hnsw");
	HnswMeta	meta;
	TupleDesc	desc;
	Datum		values[9];
	bool		nulls[9] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	hnsw_read_meta(index, &meta);
	relation_close(index, AccessShareLock);
	values[0] = Int32GetDatum(meta.dims);
	values[1] = CStringGetTextDatum(codings[meta.coding]);
	values[2] = Int32GetDatum(meta.code_bytes);
	values[3] = Int32GetDatum(sizeof(HnswNode) + meta.code_bytes + 2 * meta.m * sizeof(uint32));
	values[4] = Int32GetDatum(meta.m);
	values[5] = Int32GetDatum(meta.ef_construction);
	values[6] = Int64GetDatum(meta.entry);
	values[7] = Int32GetDatum(meta.entry_level);
	values[8] = BoolGetDatum(meta.mean_block != 0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static Datum
rows_of(HnswGraph *g, const HnswNode *node, uint32 id)
{
	HnswItem	item;
	Datum		rows[HNSW_TIDS];
	int			n = 0;

	if (hnsw_item_read(g, node->item_block, node->item_offset, id, &item, NULL))
		for (; n < item.n_tids; n++)
		{
			ItemPointer tid = palloc(sizeof(ItemPointerData));

			*tid = item.tids[n];
			rows[n] = PointerGetDatum(tid);
		}
	return PointerGetDatum(construct_array(rows, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
}

static void
put_node(HnswGraph *g, ReturnSetInfo *result, HnswNode *node, uint32 id)
{
	Datum		values[6];
	bool		nulls[6] = {false};
	Datum		links[HNSW_MAX_LINKS];
	int			n = Min(node->n_links, 2 * g->m);
	int			n_fillers = 0;

	for (int i = 0; i < n; i++)
	{
		uint32		link = HnswNodeLinks(g, node)[i];

		links[i] = Int64GetDatum(HNSW_LINK_NODE(link));
		n_fillers += (link & HNSW_LINK_FILLER) != 0;
	}
	values[0] = Int64GetDatum(id);
	values[1] = Int32GetDatum(node->level);
	values[2] = BoolGetDatum(!(node->flags & HNSW_NODE_DEAD));
	values[3] = PointerGetDatum(construct_array(links, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[4] = Int32GetDatum(n_fillers);
	values[5] = rows_of(g, node, id);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

LH_FUNCTION(lh_hnsw_graph);

Datum
lh_hnsw_graph(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	index = lh_vindex_open(PG_GETARG_OID(0), hnsw_begin_scan, "hnsw");
	BlockNumber n_blocks = RelationGetNumberOfBlocks(index);
	HnswGraph  *g;
	MemoryContext context,
				old;

	InitMaterializedSRF(fcinfo, 0);
	g = hnsw_open(index, CurrentMemoryContext);
	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw page", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	for (BlockNumber block = 1; block < n_blocks; block++)
	{
		Buffer		buffer = ReadBuffer(index, block);
		PGAlignedBlock copy;

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		memcpy(copy.data, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		if (PageIsNew(copy.data) || HnswTail(copy.data)->kind != HNSW_PAGE_NODE)
			continue;
		for (int slot = 0; slot < g->nodes_per_page; slot++)
		{
			HnswNode   *node = (HnswNode *) (copy.data + HNSW_PAGE_START + slot * g->node_bytes);

			if (node->flags & HNSW_NODE_USED)
				put_node(g, result, node, block << g->id_shift | slot);
		}
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	hnsw_graph_free(g);
	relation_close(index, AccessShareLock);
	return (Datum) 0;
}
