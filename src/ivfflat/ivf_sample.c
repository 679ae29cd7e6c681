/*
 * ivf_sample.c
 *	  The sample of a table that centres are found from.
 *
 * Of a heap, whole blocks at random are read until there are enough rows; of
 * other tables, where reading a block may be no less work than reading them
 * all, every row.  A reservoir keeps what is wanted of them.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

#include "ivfflat/ivf_int.h"

/* Samples a list that are wanted, and with how many we make do if memory is short. */
#define SAMPLES_PER_LIST	50
#define MIN_PER_LIST		10
#define MIN_SAMPLES			10000

#define SEED				42

typedef struct Sample
{
	IvfShape	shape;			/* what inner products are indexed by is normalized here */
	char	   *values;
	int			n;
	int			room;			/* allocated */
	int			max;
	int64		n_met;
	uint64		random;
	MemoryContext row_context;
} Sample;

static void
make_room(Sample *sample)
{
	sample->room = Min(Max(2 * sample->room, 1024), sample->max);
	sample->values = sample->values ?
		repalloc_huge(sample->values, (Size) sample->room * sample->shape.value_bytes) :
		MemoryContextAllocHuge(CurrentMemoryContext, (Size) sample->room * sample->shape.value_bytes);
}

static void
keep(Sample *sample, const void *value)
{
	int64		at = sample->n_met++;

	if (sample->n < sample->max)
	{
		if (sample->n == sample->room)
			make_room(sample);
		at = sample->n++;
	}
	else
	{
		at = (int64) (ivf_random(&sample->random) % (uint64) sample->n_met);
		if (at >= sample->max)
			return;
	}
	memcpy(sample->values + (Size) at * sample->shape.value_bytes, value, sample->shape.value_bytes);
}

static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	Sample	   *sample = state;
	MemoryContext old;
	void	   *value;
	bool		valid;

	if (isnull[0] || !alive)
		return;
	old = MemoryContextSwitchTo(sample->row_context);
	valid = ivf_value(&sample->shape, values[0], &value);
	MemoryContextSwitchTo(old);
	if (valid)
		keep(sample, value);
	MemoryContextReset(sample->row_context);
}

static void
sample_blocks(Sample *sample, Relation heap, Relation index, IndexInfo *info)
{
	BlockNumber n_blocks = RelationGetNumberOfBlocks(heap);
	BlockSamplerData blocks;

	BlockSampler_Init(&blocks, n_blocks, sample->max, SEED);
	while (BlockSampler_HasMore(&blocks))
	{
		CHECK_FOR_INTERRUPTS();
		table_index_build_range_scan(heap, index, info, false, !info->ii_Concurrent, false,
									 BlockSampler_Next(&blocks), 1, sample_row, sample, NULL);
	}
}

static void
sample_all(Sample *sample, Relation heap, Relation index, IndexInfo *info)
{
	table_index_build_scan(heap, index, info, true, false, sample_row, sample, NULL);
}

/*
 * How many samples fit into maintenance_work_mem; an error if those that are
 * needed do not.
 */
static int
affordable(const IvfShape *shape, int wanted, int lists)
{
	int			needed = Min(Max(MIN_PER_LIST * lists, 1000), wanted);
	Size		limit = (Size) maintenance_work_mem * 1024;
	Size		fixed = ivf_kmeans_memory(shape, 0, lists) + (Size) lists * shape->value_bytes;
	Size		each = ivf_kmeans_memory(shape, 1, 0) - ivf_kmeans_memory(shape, 0, 0) + shape->value_bytes;

	if (fixed + needed * each > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("memory required is %zu MB, maintenance_work_mem is %d MB",
						(fixed + needed * each) / (1024 * 1024) + 1, maintenance_work_mem / 1024)));
	return (int) Min((Size) wanted, (limit - fixed) / each);
}

/* A new index's centres, as on its pages, from the rows that are there. */
char *
ivf_find_centers(Ivf *ivf, Relation heap, IndexInfo *info)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "ivfflat k-means", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Sample		sample = {.shape = ivf->shape, .random = SEED};
	char	   *centers = MemoryContextAllocHuge(CurrentMemoryContext, (Size) ivf->lists * ivf->shape.value_bytes);

	old = MemoryContextSwitchTo(context);
	if (sample.shape.metric == IVF_IP)
		sample.shape.metric = IVF_COSINE;
	sample.max = affordable(&ivf->shape, Max(SAMPLES_PER_LIST * ivf->lists, MIN_SAMPLES), ivf->lists);
	sample.row_context = AllocSetContextCreate(context, "ivfflat sample row", ALLOCSET_DEFAULT_SIZES);
	if (heap->rd_tableam == GetHeapamTableAmRoutine())
		sample_blocks(&sample, heap, ivf->index, info);
	else
		sample_all(&sample, heap, ivf->index, info);
	if (sample.n < ivf->lists)
		ereport(NOTICE,
				(errmsg("ivfflat index created with little data"),
				 errdetail("This will cause low recall."),
				 errhint("Drop the index until the table has more data.")));
	ivf_kmeans(&sample.shape, sample.values, sample.n, ivf->lists, centers);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return centers;
}
