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
 * drawn; each sample meets every seed once, and so has its first centre.  In a
 * round, a sample is compared with the centres around its own: what is farther
 * away does not become its nearest.  Bounds that the triangle inequality gives
 * would make that exact, but spare next to nothing in hundreds of dimensions.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "ivfflat/ivf_int.h"
#include "vector/vector.h"

#define MAX_ROUNDS		40
/* One of so many samples may still change sides at the end. */
#define UNSETTLED		1000
/* Samples at a time. */
#define CHUNK			64
/* Centres around a centre, itself among them. */
#define AROUND			32

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
	int		   *around;			/* k times n_around centres */
	int			n_around;
	int		   *nearest;		/* of each sample: its centre */
	float	   *distance;		/* and how far that seed is, while drawing */
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
	return (sizeof(int) + sizeof(float)) * (Size) n +
		(center_bytes(shape) + sizeof(float) * (Size) shape->dims + sizeof(void *) + (1 + AROUND) * sizeof(int)) * k +
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
	km->around = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) k * AROUND);
	km->nearest = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) n);
	km->distance = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(float) * (Size) n);
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

/* Adds a sample to the chunk; true if it is full. */
static bool
chunk_add(KMeans *km, int sample)
{
	ivf_query(km->shape, sample_at(km, sample), km->widened + km->n_ids * IvfWorkBytes(km->shape),
			  &km->queries[km->n_ids]);
	km->ids[km->n_ids++] = sample;
	return km->n_ids == CHUNK;
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

/* Shows seeds from..to to all samples; returns the sum of their distances to the nearest one. */
static double
weigh(KMeans *km, int from, int to)
{
	double		total = 0;

	for (int i = 0; i < km->n; i++)
	{
		if (!chunk_add(km, i) && i < km->n - 1)
			continue;
		ivf_nearest(&km->work, km->queries, km->n_ids, km->rows + from, to - from, km->found);
		for (int j = 0; j < km->n_ids; j++)
		{
			int			sample = km->ids[j];

			if (km->found[j].distance < km->distance[sample])
			{
				km->distance[sample] = km->found[j].distance;
				km->nearest[sample] = from + km->found[j].center;
			}
			total += km->distance[sample];
		}
		km->n_ids = 0;
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
	{
		km->distance[i] = FAR;
		km->nearest[i] = 0;
	}
	take_seed(km, 0, (int) (ivf_random(&km->random) % km->n));
	for (;;)
	{
		double		total = weigh(km, weighed, chosen);
		double		sum = 0;
		double		next;
		int			batch;
		int			drawn = 0;

		weighed = chosen;
		if (total <= 0 || chosen == km->k)
			break;
		batch = Min(Max(chosen / 8, 1), km->k - chosen);
		next = uniform(&km->random) * total / batch;
		for (int i = 0; i < km->n && drawn < batch; i++)
		{
			sum += km->distance[i];
			if (sum <= next || km->distance[i] <= 0)
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

typedef struct Around
{
	int			n;
	int			ids[AROUND];	/* nearest first */
	float		distances[AROUND];
} Around;

static void
add_around(Around *around, int max, int id, float distance)
{
	int			at;

	if (around->n == max && distance >= around->distances[max - 1])
		return;
	at = around->n < max ? around->n++ : max - 1;
	for (; at > 0 && around->distances[at - 1] > distance; at--)
	{
		around->ids[at] = around->ids[at - 1];
		around->distances[at] = around->distances[at - 1];
	}
	around->ids[at] = id;
	around->distances[at] = distance;
}

/* The nearest centres of each one; a chunk of them sees a chunk of all at a time. */
static void
find_around(KMeans *km)
{
	Around	   *arounds = palloc(sizeof(Around) * CHUNK);

	km->n_around = Min(AROUND, km->k);
	for (int from = 0; from < km->k; from += CHUNK)
	{
		int			n = Min(CHUNK, km->k - from);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			arounds[i].n = 0;
		for (int start = 0; start < km->k; start += CHUNK)
		{
			int			n_rows = Min(CHUNK, km->k - start);

			for (int i = 0; i < n; i++)
			{
				IvfQuery	query = {km->rows[from + i], false};
				float		distances[CHUNK];

				ivf_score(&km->work, &query, km->rows + start, n_rows, distances);
				for (int j = 0; j < n_rows; j++)
					add_around(&arounds[i], km->n_around, start + j, distances[j]);
			}
		}
		for (int i = 0; i < n; i++)
			memcpy(km->around + (Size) (from + i) * AROUND, arounds[i].ids, sizeof(int) * km->n_around);
	}
	pfree(arounds);
}

/* Gives samples to their nearest centres; returns how many have a new one. */
static int
reassign(KMeans *km)
{
	int			changed = 0;

	for (int i = 0; i < km->n; i++)
	{
		const int  *around = km->around + (Size) km->nearest[i] * AROUND;
		const void *rows[AROUND];
		float		distances[AROUND];
		IvfQuery	query;
		int			best = 0;

		if (i % CHUNK == 0)
			CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < km->n_around; j++)
			rows[j] = km->rows[around[j]];
		ivf_query(km->shape, sample_at(km, i), km->widened, &query);
		ivf_score(&km->work, &query, rows, km->n_around, distances);
		for (int j = 1; j < km->n_around; j++)
			if (distances[j] < distances[best])
				best = j;
		changed += around[best] != km->nearest[i];
		km->nearest[i] = around[best];
	}
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
	return !km->spherical || lh_vindex_normalize(dims, mean, mean);
}

/* Centres move to the means of their samples; one without samples stays. */
static void
move_centers(KMeans *km)
{
	uint32		dims = km->shape->dims;

	memset(km->sums, 0, sizeof(float) * (Size) km->k * dims);
	memset(km->counts, 0, sizeof(int) * km->k);
	for (int i = 0; i < km->n; i++)
		km->counts[km->nearest[i]]++;
	for (int i = 0; i < km->n; i++)
		add_sample(km, i);
	for (int i = 0; i < km->k; i++)
	{
		float	   *mean = km->sums + (Size) i * dims;

		if (km->counts[i] > 0 && finish_mean(km, mean))
			memcpy(center(km, i), mean, km->work.value_bytes);
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
		(void) lh_vindex_normalize(shape->dims, x, x);
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
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		move_centers(km);
		/* centres move less and less: after rounds 0, 1, 2, 4, 8, ... */
		if ((round & (round - 1)) == 0)
			find_around(km);
		if (reassign(km) <= n / UNSETTLED)
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
