/*
 * hnsw_code.c
 *	  Codes: how a vector is made small enough that a hop of the graph costs
 *	  little, and distances from codes.  Knows neither graph nor pages.
 *
 * A value x of int8 and int4 codes is centred, x - mean; for int4 it is
 * rotated at random, so that no dimension stands out; then rounded to a grid
 * of its own length and its scale corrected so that the code's inner product
 * with its own value is right.  All distances have the form
 *		a's offset + b's offset - weight * a's scale * b's scale * (codes' product)
 * which is the squared distance or the negative inner product of the values.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/memutils.h"
#include "utils/varbit.h"

#include "hnsw/hnsw_int.h"
#include "vector/vector.h"

/* Below this, a value is its own code. */
#define RAW_DIMS		32
/* From here on half a byte a dimension loses less than it saves. */
#define INT4_DIMS		256
/* Elements of a sparse vector that a node has room for. */
#define SPARSE_ROOM		126

#define ROTATIONS		4
/* Errors of codes are nearly normal: distances beyond this many deviations do not happen. */
#define DEVIATIONS		6.0

/* Random signs of the rotations as scale() wants them, one after the other; the same for all indexes. */
static uint8 *rotation_signs;
static uint32 rotation_dims;

static uint32
raw_bytes(HnswType type, uint32 dims)
{
	switch (type)
	{
		case HNSW_VECTOR:
			return dims * sizeof(float);
		case HNSW_HALFVEC:
			return dims * sizeof(LhHalf);
		case HNSW_BIT:
			return (dims + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
		case HNSW_SPARSEVEC:
			break;
	}
	return 0;
}

/* Fills in the coding of meta from type, metric and dimensions. */
void
hnsw_codec_choose(HnswMeta *meta)
{
	uint32		room = HNSW_PAGE_SPACE - sizeof(HnswNode) - 2 * meta->m * sizeof(uint32);
	bool		product = meta->metric == HNSW_L2 || meta->metric == HNSW_IP || meta->metric == HNSW_COSINE;
	bool		dense = meta->type == HNSW_VECTOR || meta->type == HNSW_HALFVEC;
	uint32		bytes;

	room = TYPEALIGN_DOWN(sizeof(uint32), room);
	meta->code_dims = meta->dims;
	if (dense && product && meta->dims > RAW_DIMS)
	{
		meta->coding = meta->dims < INT4_DIMS ? HNSW_INT8 : HNSW_INT4;
		bytes = meta->coding == HNSW_INT8 ? meta->dims : (meta->dims + 1) / 2;
		meta->code_bytes = Min(TYPEALIGN(sizeof(uint32), bytes), room);
		meta->code_dims = Min(meta->dims, meta->code_bytes * (meta->coding == HNSW_INT8 ? 1 : 2));
		return;
	}
	meta->coding = HNSW_RAW;
	if (meta->type == HNSW_SPARSEVEC)
		bytes = offsetof(LhSparsevec, indices) - VARHDRSZ + 8 * Min(meta->dims, SPARSE_ROOM);
	else
		bytes = TYPEALIGN(sizeof(uint32), raw_bytes(meta->type, meta->dims));
	meta->code_bytes = bytes <= room ? bytes : 0;
}

static void
make_signs(uint32 dims)
{
	if (dims <= rotation_dims)
		return;
	dims = Max(dims, 2048);
	if (rotation_signs)
		pfree(rotation_signs);
	rotation_signs = MemoryContextAlloc(TopMemoryContext, ROTATIONS * dims);
	rotation_dims = dims;
	for (uint32 i = 0; i < dims; i++)
		for (uint32 r = 0; r < ROTATIONS; r++)
		{
			uint64		h = ((uint64) i << 3 | r) + UINT64CONST(0x9e3779b97f4a7c15);

			/* splitmix64: the signs are part of the format */
			h *= UINT64CONST(0x9e3779b97f4a7c15);
			h = (h ^ (h >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
			h = (h ^ (h >> 27)) * UINT64CONST(0x94d049bb133111eb);
			rotation_signs[r * dims + i] = (h >> 40) & 1 ? 0 : 0x80;
		}
}

void
hnsw_codec_init(HnswCodec *codec, const HnswMeta *meta, const float *mean)
{
	memset(codec, 0, sizeof(*codec));
	codec->type = meta->type;
	codec->metric = meta->metric;
	codec->coding = meta->coding;
	codec->dims = meta->dims;
	codec->code_dims = meta->code_dims;
	codec->code_bytes = meta->code_bytes;
	codec->value_bytes = raw_bytes(meta->type, meta->dims);
	codec->sums_up = codec->type != HNSW_SPARSEVEC && codec->metric != HNSW_JACCARD;
	codec->store_value = codec->coding != HNSW_RAW || codec->type == HNSW_SPARSEVEC || codec->code_bytes == 0;
	lh_quant_kernels_init(&codec->quant, lh_kern.cpu);
	if (codec->coding == HNSW_RAW)
		return;
	codec->work = palloc(sizeof(float) * 2 * codec->dims);
	codec->levels = palloc0(2 * codec->code_bytes);
	if (mean)
	{
		codec->mean = palloc(sizeof(float) * codec->dims);
		memcpy(codec->mean, mean, sizeof(float) * codec->dims);
		codec->mean_square = meta->mean_square;
	}
	make_signs(codec->dims);
}

/* ---- values ---- */

static bool
sparsevec_value(HnswCodec *codec, LhSparsevec *v, bool check_limits, void **value, uint32 *bytes)
{
	LhSparsevec *copy = v;
	bool		valid = true;

	if (check_limits && v->nnz > HNSW_MAX_NNZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sparsevec cannot have more than %d non-zero elements for hnsw index", HNSW_MAX_NNZ)));
	if (codec->metric == HNSW_COSINE)
	{
		copy = lh_sparsevec_new(v->dim, v->nnz);
		memcpy(copy->indices, v->indices, sizeof(int32) * v->nnz);
		valid = lh_vindex_normalize(v->nnz, lh_sparsevec_values(v), lh_sparsevec_values(copy));
	}
	*value = VARDATA(copy);
	*bytes = VARSIZE(copy) - VARHDRSZ;
	return valid;
}

/*
 * The bytes that the index keeps of a value, normalized for cosine; they may
 * lie inside the datum.  False if there is nothing to index: a zero vector
 * for cosine.
 */
bool
hnsw_codec_value(HnswCodec *codec, Datum datum, bool check_limits, void **value, uint32 *bytes)
{
	struct varlena *v = PG_DETOAST_DATUM(datum);

	*bytes = codec->value_bytes;
	switch (codec->type)
	{
		case HNSW_VECTOR:
			lh_vindex_check_dims("vector dimensions", ((LhVector *) v)->dim, codec->dims);
			*value = ((LhVector *) v)->x;
			break;
		case HNSW_HALFVEC:
			lh_vindex_check_dims("halfvec dimensions", ((LhHalfvec *) v)->dim, codec->dims);
			*value = ((LhHalfvec *) v)->x;
			break;
		case HNSW_SPARSEVEC:
			lh_vindex_check_dims("sparsevec dimensions", ((LhSparsevec *) v)->dim, codec->dims);
			return sparsevec_value(codec, (LhSparsevec *) v, check_limits, value, bytes);
		case HNSW_BIT:
			lh_vindex_check_dims("bit lengths", VARBITLEN(v), codec->dims);
			*value = VARBITS(v);
			return true;
	}
	return codec->metric != HNSW_COSINE ||
		lh_vindex_normalized(codec->type == HNSW_HALFVEC, codec->dims, *value, value);
}

/* What a search for NULL searches for. */
void
hnsw_codec_zero(HnswCodec *codec, void **value, uint32 *bytes)
{
	*bytes = codec->type == HNSW_SPARSEVEC ? offsetof(LhSparsevec, indices) - VARHDRSZ : codec->value_bytes;
	*value = palloc0(*bytes);
}

void
hnsw_codec_floats(HnswCodec *codec, const void *value, float *x)
{
	if (codec->type == HNSW_VECTOR)
		memcpy(x, value, sizeof(float) * codec->dims);
	else
		lh_kern.widen(codec->dims, value, x);
}

/* ---- encoding ---- */

static void
rotate(HnswCodec *codec, float *x)
{
	uint32		n = 1;
	float		scale;

	while (n * 2 <= codec->dims)
		n *= 2;
	scale = 1.0f / sqrtf((float) n);
	for (int r = 0; r < ROTATIONS; r++)
	{
		uint32		start = r % 2 ? codec->dims - n : 0;

		codec->quant.scale(n, x + start, scale, rotation_signs + r * rotation_dims + start);
		codec->quant.hadamard(n, x + start);
	}
}

static float
product(uint32 n, const float *a, const float *b)
{
	return lh_kern.dist[LH_PAIR_F32][LH_METRIC_IP] (n, a, b);
}

/* What is known of a value that stands centred and rotated in codec->work. */
typedef struct Transformed
{
	float		square;
	float		mean_product;	/* where inner products need it */
	float		max;			/* of the code's dimensions */
} Transformed;

static Transformed
transform(HnswCodec *codec, const void *value)
{
	float	   *x = codec->work;
	Transformed t = {0};

	hnsw_codec_floats(codec, value, x);
	if (codec->mean)
	{
		codec->quant.subtract(codec->dims, x, codec->mean);
		if (codec->metric == HNSW_IP)
			t.mean_product = product(codec->dims, x, codec->mean);
	}
	t.square = product(codec->dims, x, x);
	if (codec->coding == HNSW_INT4)
		rotate(codec, x);
	t.max = codec->quant.largest(codec->code_dims, x);
	return t;
}

static uint16
upper_half(float x)
{
	uint32		bits;

	memcpy(&bits, &x, sizeof(bits));
	return (bits + 0xffff) >> 16;
}

static float
from_upper_half(uint16 half)
{
	uint32		bits = (uint32) half << 16;
	float		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static void
encode_raw(HnswCodec *codec, const void *value, uint32 bytes, HnswNode *node)
{
	memset(hnsw_node_code(node), 0, codec->code_bytes);
	if (bytes <= codec->code_bytes)
		memcpy(hnsw_node_code(node), value, bytes);
	else
		node->flags |= HNSW_NODE_PARTIAL;
}

/*
 * Codes what stands in codec->work.  Of normal numbers least is lost on 16
 * levels when what lies beyond 2.6 deviations is cut off.
 */
static void
encode(HnswCodec *codec, const Transformed *t, HnswNode *node)
{
	uint8	   *code = (uint8 *) hnsw_node_code(node);
	uint32		n = codec->code_dims;
	float	   *rounded = codec->work + codec->dims;
	double		coded = product(n, codec->work, codec->work);
	double		own,
				code_square,
				error;
	float		end;

	if (codec->coding == HNSW_INT8)
	{
		end = t->max;
		codec->quant.levels(n, codec->work, end > 0 ? 127.0f / end : 0, 128, 255, code, rounded);
		memset(code + n, 128, codec->code_bytes - n);
		end /= 127.0f;
	}
	else
	{
		end = Min(t->max, 2.6f * sqrtf((float) coded / n));
		codec->quant.levels(n, codec->work, end > 0 ? 7.5f / end : 0, 7.5f, 15, codec->levels, rounded);
		codec->quant.pack4(codec->code_bytes, codec->levels, code);
		end /= 7.5f;
	}
	own = product(n, rounded, codec->work);
	code_square = product(n, rounded, rounded);
	node->scale = own > 0 ? (float) (coded / own) : end;
	error = t->square - 2 * node->scale * own + (double) node->scale * node->scale * code_square;
	node->error = upper_half(error > 0 ? sqrtf((float) error) : 0);
	node->offset = codec->metric == HNSW_IP ? -t->mean_product : t->square;
}

/* The same as a query. */
static void
make_query(HnswCodec *codec, const Transformed *t, HnswQuery *query)
{
	uint32		n = codec->code_dims;

	query->sum = codec->quant.query8(n, codec->work, t->max > 0 ? 127.0f / t->max : 0, query->code);
	memset(query->code + n, 0, 2 * codec->code_bytes - n);
	query->scale = t->max / 127.0f;
	query->offset = codec->metric == HNSW_IP ? -t->mean_product - codec->mean_square : t->square;
	query->slack = sqrtf(t->square) * Min(1.0, DEVIATIONS * (codec->coding == HNSW_INT8 ? 1.5 : 1.05) / sqrt(n));
	if (codec->metric != HNSW_IP)
		query->slack *= 2;
}

/*
 * Prepares many distances from one value; query->code must have room for
 * 2 * code_bytes.  A node that is given gets the value's code, and what belongs
 * to it.
 */
void
hnsw_codec_query(HnswCodec *codec, const void *value, uint32 bytes, HnswQuery *query, HnswNode *node)
{
	Transformed t;

	query->value = value;
	query->value_bytes = bytes;
	if (codec->coding == HNSW_RAW)
	{
		if (node)
			encode_raw(codec, value, bytes, node);
		return;
	}
	t = transform(codec, value);
	make_query(codec, &t, query);
	if (node)
		encode(codec, &t, node);
}

/* The same from a node's code; of partial nodes the caller has set the value. */
void
hnsw_codec_requery(const HnswCodec *codec, const HnswNode *node, HnswQuery *query)
{
	const uint8 *code = (const uint8 *) node + sizeof(HnswNode);
	uint32		n_bytes = codec->code_bytes;

	switch (codec->coding)
	{
		case HNSW_RAW:
			/* a copy: what is not pinned may change */
			memcpy(query->code, code, n_bytes);
			query->value = query->code;
			query->value_bytes = n_bytes;
			return;
		case HNSW_INT8:
			query->sum = codec->quant.expand8(n_bytes, code, query->code);
			query->scale = node->scale;
			break;
		case HNSW_INT4:
			query->sum = codec->quant.expand4(n_bytes, code, query->code);
			for (uint32 i = codec->code_dims; i < 2 * n_bytes; i++)
			{
				query->sum -= query->code[i];
				query->code[i] = 0;
			}
			query->scale = node->scale / 2;
			break;
	}
	query->offset = codec->metric == HNSW_IP ? node->offset - codec->mean_square : node->offset;
}

/* ---- distances ---- */

static LhSparse
sparse_of(const void *value)
{
	const int32 *head = value;
	LhSparse	s = {(size_t) head[1], head + 3, (const float *) (head + 3 + head[1])};

	return s;
}

/* A sparse value as it stands on a page: do its counts fit its size? */
static bool
sparse_is_sound(const void *value, uint32 bytes)
{
	const int32 *head = value;

	return bytes >= 3 * sizeof(int32) && head[1] >= 0 && (uint32) head[1] <= (bytes / sizeof(int32) - 3) / 2;
}

static float
sparse_distance(HnswMetric metric, const void *a, uint32 a_bytes, const void *b, uint32 b_bytes)
{
	LhSparse	x,
				y;

	if (!sparse_is_sound(a, a_bytes) || !sparse_is_sound(b, b_bytes))
		return get_float4_infinity();
	x = sparse_of(a);
	y = sparse_of(b);
	if (metric == HNSW_IP)
		return -lh_kern.sparse[LH_METRIC_IP] (&x, &y);
	return lh_kern.sparse[metric == HNSW_L1 ? LH_METRIC_L1 : LH_METRIC_L2SQ] (&x, &y);
}

static float
jaccard_distance(uint32 n_bytes, const void *a, const void *b)
{
	uint64_t	both,
				either;

	lh_kern.jaccard(n_bytes, a, b, &both, &either);
	return both == 0 ? 1 : 1 - (float) ((double) both / (double) either);
}

/* A dense value's elements from byte `at` on: what they add to the exact distance. */
float
hnsw_codec_part(const HnswCodec *codec, const HnswQuery *query, uint32 at, const void *part, uint32 bytes)
{
	LhPair		pair = codec->type == HNSW_HALFVEC ? LH_PAIR_F16 : LH_PAIR_F32;
	size_t		n = bytes / (pair == LH_PAIR_F16 ? sizeof(LhHalf) : sizeof(float));
	const char *value = (const char *) query->value + at;

	switch (codec->metric)
	{
		case HNSW_L2:
		case HNSW_COSINE:
			return lh_kern.dist[pair][LH_METRIC_L2SQ] (n, value, part);
		case HNSW_IP:
			return -lh_kern.dist[pair][LH_METRIC_IP] (n, value, part);
		case HNSW_L1:
			return lh_kern.dist[pair][LH_METRIC_L1] (n, value, part);
		case HNSW_HAMMING:
			return (float) lh_kern.hamming(bytes, (const uint8_t *) value, part);
		case HNSW_JACCARD:
			break;
	}
	return jaccard_distance(bytes, value, part);
}

float
hnsw_codec_exact(const HnswCodec *codec, const HnswQuery *query, const void *value, uint32 bytes)
{
	if (codec->type == HNSW_SPARSEVEC)
		return sparse_distance(codec->metric, query->value, query->value_bytes, value, bytes);
	return hnsw_codec_part(codec, query, 0, value, codec->value_bytes);
}

/* The distance that a product of codes stands for; `dot` is what its kernel gave. */
static inline float
coded_distance(const HnswCodec *codec, const HnswQuery *query, const HnswNode *node, int32 dot)
{
	float		product = codec->coding == HNSW_INT8 ? (float) (dot - 128 * query->sum) :
		0.5f * (float) (2 * dot - 15 * query->sum);

	product *= query->scale * node->scale;
	return node->offset + query->offset - (codec->metric == HNSW_IP ? product : 2 * product);
}

/* Distance by the node's code; the node is not partial. */
float
hnsw_codec_score(const HnswCodec *codec, const HnswQuery *query, const HnswNode *node)
{
	const uint8 *code = (const uint8 *) node + sizeof(HnswNode);

	switch (codec->coding)
	{
		case HNSW_INT8:
			return coded_distance(codec, query, node, codec->quant.dot8(codec->code_bytes, code, query->code));
		case HNSW_INT4:
			return coded_distance(codec, query, node, codec->quant.dot4(codec->code_bytes, code, query->code));
		case HNSW_RAW:
			break;
	}
	if (codec->type == HNSW_SPARSEVEC)
	{
		/* its counts are checked, and must not change after that */
		int32		copy[3 + 2 * SPARSE_ROOM];

		memcpy(copy, code, codec->code_bytes);
		return hnsw_codec_exact(codec, query, copy, codec->code_bytes);
	}
	return hnsw_codec_exact(codec, query, code, codec->code_bytes);
}

/* Distances of up to HNSW_MAX_LINKS nodes, whose codes are not raw. */
void
hnsw_codec_scores(const HnswCodec *codec, const HnswQuery *query, HnswNode *const *nodes, int n, float *distances)
{
	const uint8 *codes[HNSW_MAX_LINKS];
	int32		dots[HNSW_MAX_LINKS];

	for (int i = 0; i < n; i++)
		codes[i] = (const uint8 *) nodes[i] + sizeof(HnswNode);
	if (codec->coding == HNSW_INT8)
		codec->quant.dots8(codec->code_bytes, codes, n, query->code, dots);
	else
		codec->quant.dots4(codec->code_bytes, codes, n, query->code, dots);
	for (int i = 0; i < n; i++)
		distances[i] = coded_distance(codec, query, nodes[i], dots[i]);
}

/* How far the code's distance may be off. */
float
hnsw_codec_slack(const HnswCodec *codec, const HnswQuery *query, const HnswNode *node)
{
	return codec->coding == HNSW_RAW ? 0 : query->slack * from_upper_half(node->error);
}
