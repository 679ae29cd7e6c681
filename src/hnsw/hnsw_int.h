/*
 * hnsw_int.h
 *	  What the files of this folder share: the page layout, the codec that
 *	  turns vectors into codes, the graph in memory and on pages, searching.
 *
 * README.md tells the idea and the locking; each struct here its bytes.
 */
#ifndef LH_HNSW_INT_H
#define LH_HNSW_INT_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/generic_xlog.h"
#include "access/genam.h"
#include "executor/execdesc.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "storage/lwlock.h"
#include "utils/float.h"
#include "utils/rel.h"

#include "kernels/kernels.h"
#include "types/pg_compat.h"
#include "vindex/vindex.h"

/* ---- limits and defaults, pgvector's ---- */

#define HNSW_DEFAULT_M			16
#define HNSW_MIN_M				2
#define HNSW_MAX_M				100
#define HNSW_DEFAULT_EFC		64
#define HNSW_MIN_EFC			4
#define HNSW_MAX_EFC			1000
#define HNSW_MAX_EF_SEARCH		1000
#define HNSW_MAX_NNZ			1000
#define HNSW_MAX_LEVEL			15
#define HNSW_MAX_LINKS			(2 * HNSW_MAX_M)
#define HNSW_TIDS				10		/* heap rows that share an element */

/* The page of a heavyweight lock that inserts share and VACUUM waits for. */
#define HNSW_UPDATE_LOCK		0

/* ---- settings ---- */

typedef enum HnswIterative
{
	HNSW_ITERATIVE_OFF,
	HNSW_ITERATIVE_RELAXED,
	HNSW_ITERATIVE_STRICT
} HnswIterative;

extern int	hnsw_ef_search;
extern int	hnsw_iterative_scan;
extern int	hnsw_max_scan_tuples;
extern double hnsw_scan_mem_multiplier;
extern bool hnsw_fill_limit;
extern bool hnsw_dimension_limits;
extern bool hnsw_exact;

typedef struct HnswOptions
{
	int32		vl_len_;
	int			m;
	int			ef_construction;
} HnswOptions;

/* ---- what is indexed ---- */

typedef enum HnswType
{
	HNSW_VECTOR = LH_VINDEX_VECTOR,
	HNSW_HALFVEC = LH_VINDEX_HALFVEC,
	HNSW_SPARSEVEC = LH_VINDEX_SPARSEVEC,
	HNSW_BIT = LH_VINDEX_BIT
} HnswType;

typedef enum HnswMetric
{
	HNSW_L2 = LH_VINDEX_L2,		/* squared; of normalized vectors for cosine */
	HNSW_IP = LH_VINDEX_IP,		/* negative */
	HNSW_COSINE = LH_VINDEX_COSINE,
	HNSW_L1 = LH_VINDEX_L1,
	HNSW_HAMMING = LH_VINDEX_HAMMING,
	HNSW_JACCARD = LH_VINDEX_JACCARD
} HnswMetric;

typedef enum HnswCoding
{
	HNSW_RAW = 1,				/* the value itself, as far as there is room */
	HNSW_INT8,					/* a byte a dimension */
	HNSW_INT4					/* half a byte a dimension, after a random rotation */
} HnswCoding;

/* ---- pages ---- */

#define HNSW_MAGIC				0x4c484e57
#define HNSW_VERSION			2
#define HNSW_META_BLOCK			0

#define HNSW_PAGE_META			1
#define HNSW_PAGE_NODE			2	/* codes and links of layer 0: fixed slots */
#define HNSW_PAGE_UPPER			3	/* links of one higher layer of a node: fixed slots */
#define HNSW_PAGE_ITEM			4	/* heap rows and exact vectors: a stream over pages */
#define HNSW_PAGE_ID			0xff48

typedef struct HnswPageTail
{
	uint32		next;			/* 0: item page on which the last item goes on, 0 none */
	uint16		first;			/* 4: offset of the first item that starts here, 0 none */
	uint16		kind;			/* 6 */
	uint16		spare;			/* 8 */
	uint16		page_id;		/* 10: HNSW_PAGE_ID */
	uint32		previous;		/* 12: the node page before this one, 0 none */
} HnswPageTail;

StaticAssertDecl(sizeof(HnswPageTail) == 16, "HnswPageTail has 16 bytes");

#define HNSW_PAGE_START			MAXALIGN(SizeOfPageHeaderData)
#define HNSW_PAGE_END			(BLCKSZ - sizeof(HnswPageTail))
#define HNSW_PAGE_SPACE			(HNSW_PAGE_END - HNSW_PAGE_START)
#define HnswTail(page)			((HnswPageTail *) ((char *) (page) + HNSW_PAGE_END))

typedef struct HnswMeta
{
	uint32		magic;
	uint32		version;
	uint32		dims;
	uint16		m;
	uint16		ef_construction;
	uint8		type;
	uint8		metric;
	uint8		coding;
	uint8		id_shift;		/* node number = block << id_shift | slot */
	uint32		code_dims;		/* leading dimensions in the code */
	uint32		code_bytes;
	uint32		entry;			/* node number, 0 when the graph is empty */
	uint32		entry_level;
	uint32		node_tail;		/* page that gets the next node, 0 none; so below */
	uint32		upper_tail;
	uint32		upper_free;		/* first of the slots that VACUUM has freed, chained; 0 none */
	uint32		item_tail;
	uint32		mean_block;		/* item that holds the mean, 0 none */
	uint32		mean_offset;
	float		mean_square;	/* inner product of the mean with itself */
} HnswMeta;

#define HnswPageMeta(page)		((HnswMeta *) ((char *) (page) + HNSW_PAGE_START))

/* Nodes of memory and of pages are the same bytes: code, then links. */
typedef struct HnswNode
{
	float		scale;			/* 0: value = scale * code */
	float		offset;			/* 4: the node's own part of a distance */
	uint32		item_block;		/* 8 */
	uint32		upper;			/* 12: slot of the topmost layer, 0 none */
	uint16		item_offset;	/* 16 */
	uint16		error;			/* 18: length of what the code leaves out, a float's upper half */
	uint8		level;			/* 20 */
	uint8		flags;			/* 21 */
	uint8		n_links;		/* 22 */
	uint8		lock;			/* 23: while building in memory */
} HnswNode;

StaticAssertDecl(sizeof(HnswNode) == 24, "HnswNode has 24 bytes");

#define HNSW_NODE_USED			0x01
#define HNSW_NODE_DEAD			0x02	/* no heap rows; VACUUM is taking it out */
#define HNSW_NODE_PARTIAL		0x04	/* raw value did not fit: see its item */

typedef struct HnswUpper
{
	uint32		next;			/* 0: slot of the layer below, 0 none */
	uint8		level;			/* 4 */
	uint8		n_links;		/* 5 */
	uint8		lock;			/* 6 */
	uint8		spare;			/* 7 */
	uint32		links[FLEXIBLE_ARRAY_MEMBER];
} HnswUpper;

/* A link that pruning let in only because there was room. */
#define HNSW_LINK_FILLER		0x80000000U
#define HNSW_LINK_NODE(link)	((link) & ~HNSW_LINK_FILLER)
#define HNSW_MAX_NODE			0x7fffffffU

#define HNSW_UPPER_SHIFT		10	/* upper slot = block << 10 | slot */

typedef struct HnswItem
{
	uint32		node;			/* 0: 0 while being written, and for the mean */
	uint32		size;			/* 4: of the value that follows */
	uint8		flags;			/* 8: HNSW_NODE_DEAD */
	uint8		n_tids;			/* 9 */
	uint16		room;			/* 10: unused behind the value, in units of 4 bytes */
	ItemPointerData tids[HNSW_TIDS];	/* 12 */
} HnswItem;

StaticAssertDecl(sizeof(HnswItem) == 72, "HnswItem has 72 bytes");

/* ---- codec ---- */

typedef struct HnswCodec
{
	HnswType	type;
	HnswMetric	metric;
	HnswCoding	coding;
	uint32		dims;
	uint32		code_dims;
	uint32		code_bytes;
	uint32		value_bytes;	/* of a value; 0 varies */
	bool		sums_up;		/* a distance is the sum of those of the value's parts */
	bool		store_value;	/* in the item: the code is not the value */
	float		mean_square;
	float	   *mean;			/* NULL: zero */
	float	   *work;			/* dims floats, and again */
	uint8	   *levels;			/* of a code, one a byte */
	LhQuantKernels quant;
} HnswCodec;

/* One side of many distances. */
typedef struct HnswQuery
{
	const void *value;			/* in the type's own bytes; NULL when only the code is known */
	uint32		value_bytes;
	int8	   *code;			/* code_dims bytes, padded as the codec likes */
	float		scale;
	float		offset;
	int32		sum;			/* of the code's elements */
	float		slack;			/* times a node's error: bound of the code's distance */
	bool		fetched;		/* the value was allocated for it */
	bool		zero;			/* a NULL was asked for: everything is as near */
} HnswQuery;

extern void hnsw_codec_init(HnswCodec *codec, const HnswMeta *meta, const float *mean);
extern void hnsw_codec_choose(HnswMeta *meta);
extern bool hnsw_codec_value(HnswCodec *codec, Datum datum, bool check_limits, void **value, uint32 *bytes);
extern void hnsw_codec_zero(HnswCodec *codec, void **value, uint32 *bytes);
extern void hnsw_codec_floats(HnswCodec *codec, const void *value, float *x);
extern void hnsw_codec_query(HnswCodec *codec, const void *value, uint32 bytes, HnswQuery *query, HnswNode *node);
extern void hnsw_codec_requery(const HnswCodec *codec, const HnswNode *node, HnswQuery *query);
extern float hnsw_codec_part(const HnswCodec *codec, const HnswQuery *query, uint32 at, const void *part, uint32 bytes);
extern float hnsw_codec_exact(const HnswCodec *codec, const HnswQuery *query, const void *value, uint32 bytes);
extern float hnsw_codec_score(const HnswCodec *codec, const HnswQuery *query, const HnswNode *node);
extern void hnsw_codec_scores(const HnswCodec *codec, const HnswQuery *query, HnswNode *const *nodes, int n,
							  float *distances);
extern float hnsw_codec_slack(const HnswCodec *codec, const HnswQuery *query, const HnswNode *node);

/*
 * Asks for the lines of some bytes; of many the first, the processor fetches the
 * rest.  Where a function does nothing else, gcc would take it for pure and leave
 * out its calls: the empty statement says that it is not.
 */
static inline void
hnsw_prefetch(const void *from, Size bytes)
{
	const char *end = (const char *) from + Min(bytes, 1024);

	__asm__ volatile ("");
	for (const char *line = (const char *) ((uintptr_t) from & ~(uintptr_t) 63); line < end; line += 64)
		__builtin_prefetch(line);
}

static inline char *
hnsw_node_code(HnswNode *node)
{
	return (char *) node + sizeof(HnswNode);
}

/* ---- candidates ---- */

/* An entry of a pool: distance, whether its links were read, node number. */
typedef uint64 HnswKey;

#define HNSW_KEY_DONE			((uint64) 0x80000000U)
#define HnswKeyNode(key)		((uint32) (key) & HNSW_MAX_NODE)

static inline HnswKey
hnsw_key(float distance, uint32 node)
{
	uint32		bits;

	if (distance != distance)
		distance = get_float4_infinity();
	memcpy(&bits, &distance, sizeof(bits));
	bits ^= (bits & 0x80000000U) ? 0xffffffffU : 0x80000000U;
	return (uint64) bits << 32 | node;
}

static inline float
hnsw_key_distance(HnswKey key)
{
	uint32		bits = (uint32) (key >> 32);
	float		distance;

	bits ^= (bits & 0x80000000U) ? 0x80000000U : 0xffffffffU;
	memcpy(&distance, &bits, sizeof(distance));
	return distance;
}

/* Nearest first. */
typedef struct HnswPool
{
	HnswKey    *keys;
	int			n;
	int			max;
	int			next;			/* nothing before it is without HNSW_KEY_DONE */
} HnswPool;

/* What did not fit into the pool: a heap, nearest on top. */
typedef struct HnswRest
{
	HnswKey    *keys;
	int64		n;
	int64		max;
	bool		keep;
} HnswRest;

/* ---- the graph ---- */

/* Backend-local memory of where blocks were found, of one relation. */
typedef struct HnswHints
{
	RelFileNode file;
	BlockNumber n_blocks;
	Buffer	   *buffers;
	uint64		used;
	struct HnswGraph *idle;		/* ready for the next scan or insert */
} HnswHints;

/* The graph while it is built in memory, in this process's or in shared memory. */
typedef struct HnswArena
{
	pg_atomic_uint32 n_nodes;
	pg_atomic_uint32 n_uppers;
	uint32		max_nodes;
	uint32		max_uppers;
	uint32		entry;
	uint32		entry_level;
	bool		flushed;		/* written to pages: go on there */
} HnswArena;

/* How far a node is, which may have been forgotten. */
typedef struct HnswKnown
{
	uint32		id;
	float		distance;
} HnswKnown;

#define HNSW_KNOWN_BITS			12

/* Nodes that a search has seen. */
typedef struct HnswVisited
{
	uint64	   *bits;			/* one a node number, below the limit */
	Size		limit;
	uint32		n;
	uint32		max;
	uint32	   *ids;			/* the first `max` of them */
	bool		remember;		/* distances too: */
	HnswKnown  *known;
} HnswVisited;

typedef struct HnswCounters
{
	int64		hops;
	int64		scored;
	int64		reranked;
	int64		pages;			/* read for items; each hop and score looks at one more */
	bool		shown;			/* among the lines of a node of EXPLAIN */
} HnswCounters;

typedef struct HnswGraph
{
	Relation	index;
	HnswCodec	codec;
	int			m;
	int			ef_construction;
	uint32		node_bytes;
	uint32		upper_bytes;
	uint32		links_at;		/* offset of a node's links */
	int			nodes_per_page;
	int			uppers_per_page;
	int			id_shift;
	uint32		slot_mask;
	bool		local;			/* a temporary table's */
	bool		building;		/* nothing is logged */

	HnswHints  *hints;
	RelFileNode file;

	HnswArena  *arena;			/* NULL: the graph is on pages */
	char	   *nodes;			/* slots 1.. */
	char	   *uppers;
	float	   *distances;		/* of each node's links on layer 0 */

	BlockNumber build_item_tail;	/* this process's own while building */

	MemoryContext context;
	HnswMeta	meta;
	HnswVisited visited;
	char	   *scratch;		/* bytes of one value */
	uint32		scratch_bytes;
	HnswQuery	side[HNSW_MAX_LINKS + 2];	/* queries made from codes, while pruning */
	int8	   *side_codes;
	HnswPool	pool;			/* of inserts */
	HnswCounters counters;
} HnswGraph;

#define HnswNodeLinks(g, node)	((uint32 *) ((char *) (node) + (g)->links_at))
#define HnswMaxLinks(g, level)	((level) == 0 ? 2 * (g)->m : (g)->m)

/* hnsw_page.c */
extern HnswGraph *hnsw_open(Relation index, MemoryContext context);
extern void hnsw_graph_free(HnswGraph *g);
extern int	hnsw_index_m(Relation index);
extern void hnsw_read_meta(Relation index, HnswMeta *meta);
extern void hnsw_create_meta(Relation index, ForkNumber fork, HnswMeta *meta);
extern void hnsw_meta_for(Relation index, HnswMeta *meta);
extern void hnsw_check_page(Relation index, Buffer buffer, int kind);
extern Buffer hnsw_read_page(HnswGraph *g, BlockNumber block, int kind, int lock);
extern Buffer hnsw_new_page(HnswGraph *g, int kind);
extern void hnsw_init_page(Page page, int kind);
extern HnswHints *hnsw_hints_of(Relation relation);
extern void hnsw_hints_grow(HnswHints *h, BlockNumber n_blocks);
extern char *hnsw_peek_slow(HnswGraph *g, BlockNumber block);
extern void hnsw_entry(HnswGraph *g, uint32 *entry, int *level);

typedef struct HnswWrite
{
	HnswGraph  *g;
	GenericXLogState *xlog;
	int			n;
	Buffer		buffers[MAX_GENERIC_XLOG_PAGES];
} HnswWrite;

extern void hnsw_write_begin(HnswWrite *w, HnswGraph *g);
extern Page hnsw_write_page(HnswWrite *w, Buffer buffer, bool fresh);
extern void hnsw_write_end(HnswWrite *w);

/* hnsw_item.c */
#define HnswItemSpan(item)	(sizeof(HnswItem) + TYPEALIGN(4, (item)->size) + 4 * (Size) (item)->room)
extern void hnsw_item_append(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes,
							 uint32 *block, uint16 *offset);
extern bool hnsw_item_read(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node,
						   HnswItem *item, void *value);
extern bool hnsw_item_distance(HnswGraph *g, const HnswQuery *query, BlockNumber block, uint16 offset, uint32 node,
							   HnswItem *item, float *distance);
extern bool hnsw_item_add_tid(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node, ItemPointer tid);
extern bool hnsw_item_reuse(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node, ItemPointer tid,
							const void *value, uint32 bytes);
extern HnswItem *hnsw_item_on(HnswGraph *g, Page page, uint16 offset);

/* hnsw_graph.c */
extern HnswNode *hnsw_peek_node(HnswGraph *g, uint32 id);
extern HnswUpper *hnsw_peek_upper(HnswGraph *g, uint32 id);
extern float hnsw_distance(HnswGraph *g, const HnswQuery *query, uint32 id);
extern int	hnsw_links(HnswGraph *g, uint32 id, int level, uint32 *links);
extern uint32 hnsw_upper_slot(HnswGraph *g, uint32 id, int level);
extern bool hnsw_upper_of(HnswGraph *g, uint32 slot, int *level, uint32 *next, uint32 *links, int *n_links);
extern bool hnsw_item_of(HnswGraph *g, uint32 id, BlockNumber *block, uint16 *offset);
extern void hnsw_prefetch_item(HnswGraph *g, uint32 id);
extern void hnsw_remember(HnswGraph *g);
extern float hnsw_known_distance(HnswGraph *g, const HnswQuery *query, uint32 id);
extern void hnsw_visited_reset(HnswGraph *g);
extern void hnsw_search(HnswGraph *g, const HnswQuery *query, int level, HnswPool *pool, HnswRest *rest);
extern uint32 hnsw_descend(HnswGraph *g, const HnswQuery *query, uint32 entry, int from, int to);
extern void hnsw_reseed(HnswGraph *g, HnswPool *pool);
extern void hnsw_seed(HnswGraph *g, const HnswQuery *query, HnswPool *pool, uint32 entry);
extern void hnsw_consider(HnswGraph *g, const HnswQuery *query, HnswPool *pool, uint32 id,
						  const uint64 *dead, BlockNumber n_blocks);

/* hnsw_pool.c */
extern void hnsw_rest_push(HnswRest *rest, HnswKey key);
extern HnswKey hnsw_rest_pop(HnswRest *rest);
extern void hnsw_pool_add(HnswPool *pool, HnswRest *rest, HnswKey key);

/* hnsw_heap.c */
extern HnswHints *hnsw_heap_hints(IndexScanDesc scan);
extern void hnsw_heap_learn(HnswHints *h, IndexScanDesc scan, ItemPointer tid);
extern void hnsw_heap_prefetch(const HnswHints *h, ItemPointer tid);
extern void hnsw_heap_hand(const HnswHints *h, IndexScanDesc scan, ItemPointer tid);

/* hnsw_sweep.c */

/* What an exact search has found: nodes by the least distance that they can have. */
typedef struct HnswSweep
{
	HnswKey    *keys;			/* NULL before the first sweep; sorted after it */
	int64		n;
	int64		max;
	HnswKey		limit;			/* all up to here are in `keys`, or were before */
	HnswKey		before;			/* of the sweep before this one */
	bool		begun;			/* there was one */
	bool		more;			/* there are nodes beyond the limit */
} HnswSweep;

extern bool hnsw_sweep(HnswGraph *g, const HnswQuery *query, HnswSweep *sweep);

/* hnsw_link.c */
extern int	hnsw_select(HnswGraph *g, const HnswKey *found, int n, uint32 *links, int max);
extern bool hnsw_link_add(HnswGraph *g, const HnswNode *node, uint32 node_id, const uint32 *links, int n, int max,
						  const HnswQuery *query, uint32 id, float *known, uint32 *result, int *n_result);
extern HnswQuery *hnsw_node_query(HnswGraph *g, const HnswNode *node, uint32 id);
extern void hnsw_node_query_done(HnswQuery *query);
extern int	hnsw_level(HnswGraph *g, ItemPointer tid);

/* hnsw_insert.c */
typedef struct HnswElement
{
	HnswNode   *node;			/* code and links of layer 0 */
	HnswQuery	query;
	const void *value;
	uint32		bytes;
	int			level;
	int			n_links[HNSW_MAX_LEVEL + 1];
	uint32		links[HNSW_MAX_LEVEL + 1][HNSW_MAX_LINKS];
} HnswElement;

extern void hnsw_element(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes, HnswElement *e);
extern void hnsw_find_links(HnswGraph *g, HnswElement *e, uint32 entry, int entry_level);
extern bool hnsw_add_duplicate(HnswGraph *g, HnswElement *e, ItemPointer tid);
extern void hnsw_insert_value(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes);

/* hnsw_memory.c */
extern bool hnsw_memory_insert(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes, LWLock *entry_lock);
extern void hnsw_memory_flush(HnswGraph *g);

/* hnsw_filter.c */
extern void hnsw_filter_init(void);
extern QueryDesc *hnsw_running_query(void);

/* hnsw_explain.c */
extern void hnsw_explain_init(void);

/* hnsw_settings.c */
extern LhVindexSettings hnsw_settings;
extern void hnsw_read_settings(void);

/* callbacks of the access method */
extern IndexBuildResult *hnsw_build(Relation heap, Relation index, IndexInfo *info);
extern void hnsw_build_empty(Relation index);
extern bool hnsw_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
						IndexUniqueCheck unique, bool unchanged, IndexInfo *info);
extern IndexScanDesc hnsw_begin_scan(Relation index, int n_keys, int n_orderbys);
extern void hnsw_rescan(IndexScanDesc scan, ScanKey keys, int n_keys, ScanKey orderbys, int n_orderbys);
extern bool hnsw_get_tuple(IndexScanDesc scan, ScanDirection direction);
extern void hnsw_end_scan(IndexScanDesc scan);
extern bool hnsw_is_ours(Relation index);
extern HnswCounters *hnsw_scan_counters(IndexScanDesc scan);
extern IndexBulkDeleteResult *hnsw_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
											   IndexBulkDeleteCallback callback, void *state);
extern IndexBulkDeleteResult *hnsw_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

#endif							/* LH_HNSW_INT_H */
