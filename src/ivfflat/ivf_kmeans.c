/*
 * ivf_kmeans.c
 *	  k-means: centres such that samples lie near one of them.  Knows neither
 *	  pages nor tables.
 *
 * Centres are floats, or bits where the samples are; samples stay as they are.
 * Those for inner products are normalized by the caller, so that squared
 * distances order them as their angles do.
 *
 * Seeds are drawn as k-means++ does, in batches that grow with what has been
 * drawn.  Then each sample carries two bounds (Hamerly): no centre but its own
 * is nearer than `lower`, its own is no farther than `upper`.  Few samples are
 * compared with all centres again.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "ivfflat/ivf_int.h"
#include "vector/vector.h"

#define MAX_ROUNDS		40
/* Samples in a thousand that may still change sides at the end. */
#define UNSETTLED		1000
/* Samples at a time. */
#define CHUNK			64

#define FAR				1e37f

typedef struct KMeans
{
	const IvfShape *shape;		/* of samples */
	IvfShape	work;			/* of centres */
	bool		spherical;
	const char *samples;
	int			n;
	int			k;
	char	   *centers;
	const void **rows;			/* where each centre is */
	float	   *sums;			/* k times dims */
	int		   *counts;
	float	   *moved;			/* by the last round */
	float	   *gap;			/* half the distance to the nearest other centre */
	int		   *nearest;		/* of each sample: its centre */
	float	   *upper;
	float	   *lower;
	uint64		random;
	/* the samples of a chunk */
	int			ids[CHUNK];
	int			n_ids;
	IvfQuery	queries[CHUNK];
	IvfNearest	found[CHUNK];
	char	   *widened;
} KMeans;

/* splitmix64 */
uint64
ivf_random(uint64 *state)
{
	uint64		h = (*state += UINT64CONST(0x9e3779b97f4a7c15));

	h = (h ^ (h >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

/* In [0, 1). */
static double
uniform(uint64 *state)
{
	return (double) (ivf_random(state) >> 11) / (double) (UINT64CONST(1) << 53);
}

static Size
center_bytes(const IvfShape *shape)
{
	return shape->type == IVF_BIT ? shape->value_bytes : sizeof(float) * (Size) shape->dims;
}

/* What ivf_kmeans() needs beside samples and result. */
Size
ivf_kmeans_memory(const IvfShape *shape, int n, int k)
{
	return (sizeof(int) + 2 * sizeof(float)) * (Size) n +
		(center_bytes(shape) + sizeof(float) * (Size) shape->dims + sizeof(void *) + sizeof(int) + 2 * sizeof(float)) * k +
		CHUNK * IvfWorkBytes(shape);
}

static void
start(KMeans *km, const IvfShape *shape, const char *samples, int n, int k)
{
	memset(km, 0, sizeof(*km));
	km->shape = shape;
	km->spherical = shape->metric == IVF_IP || shape->metric == IVF_COSINE;
	km->work.type = shape->type == IVF_BIT ? IVF_BIT : IVF_VECTOR;
	km->work.metric = shape->type == IVF_BIT ? IVF_HAMMING : IVF_L2;
	km->work.dims = shape->dims;
	km->work.value_bytes = center_bytes(shape);
	km->samples = samples;
	km->n = n;
	km->k = k;
	km->centers = MemoryContextAllocHuge(CurrentMemoryContext, (Size) k * km->work.value_bytes);
	km->rows = palloc(sizeof(void *) * k);
	for (int i = 0; i < k; i++)
		km->rows[i] = km->centers + (Size) i * km->work.value_bytes;
	km->sums = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(float) * (Size) k * shape->dims);
	km->counts = palloc(sizeof(int) * k);
	km->moved = palloc(sizeof(float) * k);
	km->gap = palloc(sizeof(float) * k);
	km->nearest = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) n);
	km->upper = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(float) * (Size) n);
	km->lower = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(float) * (Size) n);
	km->widened = palloc(CHUNK * IvfWorkBytes(shape));
}

/* ---- distances ---- */

static inline char *
center(KMeans *km, int i)
{
	return km->centers + (Size) i * km->work.value_bytes;
}

static inline const char *
sample_at(KMeans *km, int i)
{
	return km->samples + (Size) i * km->shape->value_bytes;
}

/* What obeys the triangle inequality. */
static inline float
as_length(KMeans *km, float distance)
{
	return km->work.metric == IVF_L2 ? sqrtf(distance) : distance;
}

/* Adds a sample to the chunk; true if it is full. */
static bool
chunk_add(KMeans *km, int sample)
{
	ivf_query(km->shape, sample_at(km, sample), km->widened + km->n_ids * IvfWorkBytes(km->shape),
			  &km->queries[km->n_ids]);
	km->ids[km->n_ids++] = sample;
	return km->n_ids == CHUNK;
}

/* Compares the chunk's samples with centres from..to, and empties it. */
static void
chunk_compare(KMeans *km, int from, int to)
{
	ivf_nearest(&km->work, km->queries, km->n_ids, km->rows + from, to - from, km->found);
	km->n_ids = 0;
}

static float
length_between(KMeans *km, const void *value, int to)
{
	IvfQuery	query = {value, false};
	float		distance;

	ivf_score(&km->work, &query, &km->rows[to], 1, &distance);
	return as_length(km, distance);
}

/* ---- seeds ---- */

static void
take_seed(KMeans *km, int i, int sample)
{
	IvfQuery	query;

	ivf_query(km->shape, sample_at(km, sample), center(km, i), &query);
	if (query.value != center(km, i))
		memcpy(center(km, i), query.value, km->work.value_bytes);
}

static bool
is_among(KMeans *km, int from, int i)
{
	for (int j = from; j < i; j++)
		if (memcmp(center(km, j), center(km, i), km->work.value_bytes) == 0)
			return true;
	return false;
}

/* Each sample's distance to its nearest seed, now that from..to are seeds; returns their sum. */
static double
weigh(KMeans *km, int from, int to)
{
	double		total = 0;

	for (int i = 0; i < km->n; i++)
	{
		int			n;

		if (!chunk_add(km, i) && i < km->n - 1)
			continue;
		n = km->n_ids;
		chunk_compare(km, from, to);
		for (int j = 0; j < n; j++)
		{
			float	   *weight = &km->upper[km->ids[j]];

			*weight = Min(*weight, km->found[j].distance);
			total += *weight;
		}
	}
	return total;
}

/*
 * Draws up to k samples, each with a chance that grows with its distance to
 * those before; fewer only if there are no more different ones.
 */
static int
draw_seeds(KMeans *km)
{
	int			chosen = 1;
	int			weighed = 0;

	for (int i = 0; i < km->n; i++)
		km->upper[i] = FAR;
	take_seed(km, 0, (int) (ivf_random(&km->random) % km->n));
	while (chosen < km->k)
	{
		double		total = weigh(km, weighed, chosen);
		int			batch = Min(Max(chosen / 8, 1), km->k - chosen);
		double		sum = 0;
		double		next = uniform(&km->random) * total / batch;
		int			drawn = 0;

		if (total <= 0)
			break;
		weighed = chosen;
		for (int i = 0; i < km->n && drawn < batch; i++)
		{
			sum += km->upper[i];
			if (sum <= next || km->upper[i] <= 0)
				continue;
			take_seed(km, chosen, i);
			if (!is_among(km, weighed, chosen))
				chosen++;
			while (drawn < batch && next < sum)
				next = (++drawn + uniform(&km->random)) * total / batch;
		}
		if (chosen == weighed)
			break;
	}
	return chosen;
}

/* ---- rounds ---- */

/* Compares the chunk's samples with all centres; returns how many have a new one. */
static int
settle_chunk(KMeans *km)
{
	int			n = km->n_ids;
	int			changed = 0;

	chunk_compare(km, 0, km->k);
	for (int i = 0; i < n; i++)
	{
		int			sample = km->ids[i];

		changed += km->nearest[sample] != km->found[i].center;
		km->nearest[sample] = km->found[i].center;
		km->upper[sample] = as_length(km, km->found[i].distance);
		km->lower[sample] = as_length(km, km->found[i].second);
	}
	return changed;
}

static void
find_gaps(KMeans *km)
{
	for (int from = 0; from < km->k; from += CHUNK)
	{
		int			n = Min(CHUNK, km->k - from);

		for (int i = 0; i < n; i++)
			km->queries[i] = (IvfQuery) {km->rows[from + i], false};
		ivf_nearest(&km->work, km->queries, n, km->rows, km->k, km->found);
		for (int i = 0; i < n; i++)
			km->gap[from + i] = as_length(km, km->found[i].second) / 2;
	}
}

/* Can the bounds not tell that the sample's centre is still its nearest? */
static bool
is_unsure(KMeans *km, int sample)
{
	float		bound = Max(km->gap[km->nearest[sample]], km->lower[sample]);
	IvfQuery	query;

	if (km->upper[sample] <= bound)
		return false;
	/* the chunk's last place, which it does not use before it takes this very sample */
	ivf_query(km->shape, sample_at(km, sample), km->widened + (CHUNK - 1) * IvfWorkBytes(km->shape), &query);
	km->upper[sample] = length_between(km, query.value, km->nearest[sample]);
	return km->upper[sample] > bound;
}

/* Returns how many samples have a new centre. */
static int
reassign(KMeans *km, bool all)
{
	int			changed = 0;

	if (!all)
		find_gaps(km);
	for (int i = 0; i < km->n; i++)
		if ((all || is_unsure(km, i)) && chunk_add(km, i))
			changed += settle_chunk(km);
	if (km->n_ids > 0)
		changed += settle_chunk(km);
	return changed;
}

/* Adds a sample's share to its centre's mean: no sum can overflow. */
static void
add_sample(KMeans *km, int sample)
{
	uint32		dims = km->shape->dims;
	float	   *sum = km->sums + (Size) km->nearest[sample] * dims;
	float		share = 1.0f / km->counts[km->nearest[sample]];
	const char *value = sample_at(km, sample);
	IvfQuery	query;

	if (km->shape->type == IVF_BIT)
	{
		for (uint32 i = 0; i < dims; i++)
			if (((const uint8 *) value)[i / BITS_PER_BYTE] & (0x80 >> i % BITS_PER_BYTE))
				sum[i] += share;
		return;
	}
	ivf_query(km->shape, value, km->widened, &query);
	for (uint32 i = 0; i < dims; i++)
		sum[i] += ((const float *) query.value)[i] * share;
}

/* The mean becomes what a centre is; false if it cannot. */
static bool
finish_mean(KMeans *km, float *mean)
{
	uint32		dims = km->shape->dims;

	if (km->shape->type == IVF_BIT)
	{
		uint8	   *bits = (uint8 *) km->widened;

		memset(bits, 0, km->work.value_bytes);
		for (uint32 i = 0; i < dims; i++)
			if (mean[i] > 0.5f)
				bits[i / BITS_PER_BYTE] |= 0x80 >> i % BITS_PER_BYTE;
		memcpy(mean, bits, km->work.value_bytes);
		return true;
	}
	return !km->spherical || ivf_normalize(dims, mean, mean);
}

/* Centres move to the means of their samples, bounds with them. */
static void
move_centers(KMeans *km)
{
	uint32		dims = km->shape->dims;
	float		most = 0,
				second = 0;
	int			mover = -1;

	memset(km->sums, 0, sizeof(float) * (Size) km->k * dims);
	memset(km->counts, 0, sizeof(int) * km->k);
	for (int i = 0; i < km->n; i++)
		km->counts[km->nearest[i]]++;
	for (int i = 0; i < km->n; i++)
		add_sample(km, i);
	for (int i = 0; i < km->k; i++)
	{
		float	   *mean = km->sums + (Size) i * dims;

		km->moved[i] = 0;
		if (km->counts[i] == 0 || !finish_mean(km, mean))
			continue;
		km->moved[i] = length_between(km, mean, i);
		memcpy(center(km, i), mean, km->work.value_bytes);
		if (km->moved[i] > most)
		{
			second = most;
			most = km->moved[i];
			mover = i;
		}
		else
			second = Max(second, km->moved[i]);
	}
	for (int i = 0; i < km->n; i++)
	{
		km->upper[i] += km->moved[km->nearest[i]];
		km->lower[i] -= km->nearest[i] == mover ? second : most;
	}
}

/* ---- the result ---- */

/* Two uniform numbers make a normal one. */
static float
normal(uint64 *state)
{
	double		radius = sqrt(-2 * log(1 - uniform(state)));

	return (float) (radius * cos(2 * M_PI * uniform(state)));
}

/*
 * Centres that no samples have made: directions at random.  All have the same
 * length, so whatever the scale of the values that come, each goes where it
 * points to.
 */
void
ivf_random_centers(const IvfShape *shape, int from, int k, char *centers)
{
	uint64		state = from;
	float	   *x = palloc(sizeof(float) * shape->dims);

	for (int i = from; i < k; i++)
	{
		char	   *to = centers + (Size) i * shape->value_bytes;

		if (shape->type == IVF_BIT)
		{
			for (uint32 b = 0; b < shape->value_bytes; b++)
				to[b] = (char) ivf_random(&state);
			if (shape->dims % BITS_PER_BYTE != 0)
				to[shape->value_bytes - 1] &= 0xff << (BITS_PER_BYTE - shape->dims % BITS_PER_BYTE);
			continue;
		}
		for (uint32 d = 0; d < shape->dims; d++)
			x[d] = normal(&state);
		(void) ivf_normalize(shape->dims, x, x);
		if (shape->type == IVF_HALFVEC)
			lh_kern.narrow(shape->dims, x, (LhHalf *) to);
		else
			memcpy(to, x, shape->value_bytes);
	}
	pfree(x);
}

/*
 * Writes k centres of n samples, each as the index keeps values.  Where there
 * are not so many different samples, the rest is random.
 */
void
ivf_kmeans(const IvfShape *shape, const char *samples, int n, int k, char *centers)
{
	KMeans	   *km = palloc(sizeof(KMeans));

	if (n == 0)
	{
		ivf_random_centers(shape, 0, k, centers);
		return;
	}
	start(km, shape, samples, n, k);
	km->k = draw_seeds(km);
	(void) reassign(km, true);
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		move_centers(km);
		if (reassign(km, false) <= n / UNSETTLED)
			break;
	}
	for (int i = 0; i < km->k; i++)
	{
		char	   *to = centers + (Size) i * shape->value_bytes;

		if (shape->type == IVF_HALFVEC)
			lh_kern.narrow(shape->dims, (float *) center(km, i), (LhHalf *) to);
		else
			memcpy(to, center(km, i), shape->value_bytes);
	}
	ivf_random_centers(shape, km->k, k, centers);
}
