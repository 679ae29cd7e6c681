/*
 * assemble.c
 *	  Runs a decoder over a batch: flat columns go straight to their datums,
 *	  nested ones are put together from levels, row by row.
 *
 * The leaves of a nested column are first turned into datums, slot by slot;
 * then each row is built by walking the pairing with a cursor per leaf.  At
 * every node one leaf's levels (its guide) tell what is there: all leaves
 * below a null or an empty list have exactly one level for it.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kernels/kernels.h"
#include "types/types_int.h"

/* ---- values from parts ---- */

Datum
lh_make_array(const LhPgType *type, Datum *elements, bool *nulls, int ndim,
			  int *dims, int *lbounds)
{
	const LhPgType *element = type->element;

	if (ndim == 0)
		return PointerGetDatum(construct_empty_array(element->declared));
	return PointerGetDatum(construct_md_array(elements, nulls, ndim, dims, lbounds,
											  element->declared, element->len,
											  element->byval, element->align));
}

bool
lh_make_vector(const LhPgType *type, const float *x, int64 dim, Datum *out)
{
	Size		width = type->half ? sizeof(LhHalf) : sizeof(float);
	LhVectorImage *v;

	if (dim < 1 || dim > LH_VECTOR_IMAGE_MAX)
		return false;
	v = palloc0(offsetof(LhVectorImage, elements) + width * dim);
	SET_VARSIZE(v, offsetof(LhVectorImage, elements) + width * dim);
	v->dim = (int16) dim;
	for (int64 i = 0; i < dim; i++)
	{
		/* Others' floats are rounded to halves. */
		LhHalf		h = type->half ? lh_float_to_half(x[i]) : 0;

		if (!isfinite(x[i]) || (h & 0x7fff) == 0x7c00)
			return false;
		if (type->half)
			((LhHalf *) v->elements)[i] = h;
		else
			((float *) v->elements)[i] = x[i];
	}
	*out = PointerGetDatum(v);
	return true;
}

/* values NULL: all attributes are null. */
Datum
lh_make_row(const LhPgType *type, Datum *values, bool *nulls)
{
	int			natts = type->desc->natts;
	HeapTuple	tuple;

	if (values == NULL)
	{
		values = palloc0(sizeof(Datum) * Max(natts, 1));
		nulls = palloc(sizeof(bool) * Max(natts, 1));
		memset(nulls, true, Max(natts, 1));
	}
	tuple = heap_form_tuple(type->desc, values, nulls);
	return HeapTupleGetDatum(tuple);
}

/* ---- cursors ---- */

typedef struct Assembly
{
	const LhDecoder *dec;
	LhLeafCursor *cursors;
} Assembly;

static LH_NORETURN void
bad_levels(const Assembly *a)
{
	lh_column_corrupt(a->dec->priv->column, "the levels of its leaves do not agree");
}

static inline int
def_at(const Assembly *a, int leaf)
{
	const LhLeafCursor *c = &a->cursors[leaf];

	if (c->level >= c->vector->n_levels)
		bad_levels(a);
	if (c->vector->def != NULL)
		return c->vector->def[c->level];
	return c->node->max_def - (c->vector->nulls != NULL && c->vector->nulls[c->level]);
}

/* The repetition level of a leaf's next level; 0 at the end of the batch. */
static inline int
rep_at(const Assembly *a, int leaf)
{
	const LhLeafCursor *c = &a->cursors[leaf];

	if (c->vector->rep == NULL || c->level >= c->vector->n_levels)
		return 0;
	return c->vector->rep[c->level];
}

/* Nothing lies below this node here: each leaf has one level that says so. */
static void
skip_level(Assembly *a, const LhPqNode *node)
{
	LhLeafCursor *first = &a->cursors[node->first_leaf - a->dec->first_leaf];

	for (int i = 0; i < node->n_leaves; i++)
		first[i].level++;
}

static Datum assemble(Assembly *a, const LhConv *conv, bool *isnull);

static Datum
assemble_leaf(Assembly *a, const LhConv *conv, bool *isnull)
{
	LhLeafCursor *c = &a->cursors[conv->guide];
	int64		slot;

	*isnull = def_at(a, conv->guide) < c->node->max_def;
	if (*isnull)
	{
		c->level++;
		return (Datum) 0;
	}
	slot = c->node->max_rep > 0 ? c->slot++ : c->level;
	c->level++;
	if (slot >= c->vector->n_values)
		bad_levels(a);
	return c->datums[slot];
}

static Datum
assemble_list(Assembly *a, const LhConv *conv, bool *isnull)
{
	int			def = def_at(a, conv->guide);
	int			room = 16;
	int			n = 0;
	int			lbound = 1;
	Datum	   *values;
	bool	   *nulls;
	Datum		array;

	*isnull = def < conv->null_def;
	if (def < conv->repeated_def)
	{
		skip_level(a, conv->node);
		return *isnull ? (Datum) 0 : lh_make_array(conv->type, NULL, NULL, 0, NULL, NULL);
	}

	values = palloc(sizeof(Datum) * room);
	nulls = palloc(sizeof(bool) * room);
	do
	{
		if (n == room)
		{
			room *= 2;
			values = repalloc(values, sizeof(Datum) * room);
			nulls = repalloc(nulls, sizeof(bool) * room);
		}
		values[n] = assemble(a, conv->children[0], &nulls[n]);
		n++;
	} while (rep_at(a, conv->guide) >= conv->repeated_rep);

	array = lh_make_array(conv->type, values, nulls, 1, &n, &lbound);
	pfree(values);
	pfree(nulls);
	return array;
}

/* The elements of one vector, one behind the other in their leaf. */
static Datum
assemble_vector(Assembly *a, const LhConv *conv, bool *isnull)
{
	LhLeafCursor *c = &a->cursors[conv->guide];
	int64		first = c->slot;
	int64		end;
	float	   *widened = NULL;
	const float *x;
	Datum		value;

	*isnull = def_at(a, conv->guide) < conv->null_def;
	if (*isnull)
	{
		skip_level(a, conv->node);
		return (Datum) 0;
	}
	end = c->level + 1;
	if (c->vector->rep != NULL)
		while (end < c->vector->n_levels && c->vector->rep[end] >= conv->repeated_rep)
			end++;
	for (; c->level < end; c->level++, c->slot++)
		if (def_at(a, conv->guide) < c->node->max_def)
			lh_column_corrupt(a->dec->priv->column, "a vector has no elements, or null ones");
	if (c->slot > c->vector->n_values)
		bad_levels(a);

	if (c->datums != NULL)
	{
		widened = palloc(sizeof(float) * (c->slot - first));
		for (int64 i = first; i < c->slot; i++)
			widened[i - first] = DatumGetFloat4(c->datums[i]);
	}
	x = widened ? widened : c->vector->values.f32 + first;
	if (!lh_make_vector(conv->type, x, c->slot - first, &value))
		lh_column_corrupt(a->dec->priv->column, "a vector has elements or a number of them that its type cannot have");
	if (widened)
		pfree(widened);
	return value;
}

/* The file's struct has no attribute that the type still has: pass over one instance. */
static void
pass_instance(Assembly *a, const LhConv *conv)
{
	do
		a->cursors[conv->guide].level++;
	while (rep_at(a, conv->guide) > conv->node->max_rep);
}

static Datum
assemble_struct(Assembly *a, const LhConv *conv, bool *isnull)
{
	Datum	   *values;
	bool	   *nulls;
	bool		any = false;
	Datum		row;

	*isnull = def_at(a, conv->guide) < conv->node->max_def;
	if (*isnull)
	{
		skip_level(a, conv->node);
		return (Datum) 0;
	}

	values = palloc0(sizeof(Datum) * Max(conv->n_children, 1));
	nulls = palloc(sizeof(bool) * Max(conv->n_children, 1));
	for (int i = 0; i < conv->n_children; i++)
	{
		nulls[i] = conv->children[i] == NULL;
		if (nulls[i])
			continue;
		any = true;
		values[i] = assemble(a, conv->children[i], &nulls[i]);
	}
	if (!any)
		pass_instance(a, conv);

	row = lh_make_row(conv->type, values, nulls);
	pfree(values);
	pfree(nulls);
	return row;
}

static Datum
assemble_interval(Assembly *a, const LhConv *conv, bool *isnull)
{
	Interval   *span;
	Datum		parts[3];
	bool		nulls[3];

	*isnull = def_at(a, conv->guide) < conv->node->max_def;
	if (*isnull)
	{
		skip_level(a, conv->node);
		return (Datum) 0;
	}
	for (int i = 0; i < 3; i++)
		parts[i] = assemble(a, conv->children[i], &nulls[i]);

	span = palloc(sizeof(Interval));
	span->month = nulls[0] ? 0 : DatumGetInt32(parts[0]);
	span->day = nulls[1] ? 0 : DatumGetInt32(parts[1]);
	span->time = nulls[2] ? 0 : DatumGetInt64(parts[2]);
	return IntervalPGetDatum(span);
}

static Datum
assemble(Assembly *a, const LhConv *conv, bool *isnull)
{
	switch (conv->shape)
	{
		case LH_CONV_LIST:
			return assemble_list(a, conv, isnull);
		case LH_CONV_VECTOR:
			return assemble_vector(a, conv, isnull);
		case LH_CONV_STRUCT:
			return assemble_struct(a, conv, isnull);
		case LH_CONV_INTERVAL:
			return assemble_interval(a, conv, isnull);
		case LH_CONV_LEAF:
			break;
	}
	return assemble_leaf(a, conv, isnull);
}

/* ---- a batch ---- */

/* Datums for all slots of the leaves that some type wants. */
static void
convert_leaves(Assembly *a, const LhConv *conv)
{
	if (conv->shape == LH_CONV_LEAF)
	{
		LhLeafCursor *c = &a->cursors[conv->guide];
		int64		n = c->vector->n_values;

		c->datums = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Datum) * Max((Size) n, 1));
		lh_decode_leaf(conv, c->vector, n, c->node->max_rep > 0 ? NULL : c->vector->nulls, c->datums);
		return;
	}
	/* A vector takes floats as they are. */
	if (conv->shape == LH_CONV_VECTOR && conv->children[0]->op == LH_OP_FLOAT4)
		return;
	for (int i = 0; i < conv->n_children; i++)
		if (conv->children[i] != NULL)
			convert_leaves(a, conv->children[i]);
}

void
lh_assemble(LhDecoder *dec, const LhPqVector *vectors, int64 n_rows,
			Datum *values, bool *isnull)
{
	const LhConv *conv = dec->priv->conv;
	Assembly	a = {.dec = dec,.cursors = dec->priv->cursors};

	for (int i = 0; i < dec->n_leaves; i++)
	{
		a.cursors[i].vector = &vectors[i];
		a.cursors[i].datums = NULL;
		a.cursors[i].level = 0;
		a.cursors[i].slot = 0;
	}
	convert_leaves(&a, conv);

	for (int64 row = 0; row < n_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (rep_at(&a, conv->guide) != 0)
			bad_levels(&a);
		values[row] = assemble(&a, conv, &isnull[row]);
	}
}

void
lh_decoder_run(LhDecoder *dec, const LhPqVector *vectors, int64 n_rows,
			   Datum *values, bool *isnull)
{
	const LhPqVector *v = &vectors[0];

	for (int i = 0; i < dec->n_leaves; i++)
		if (vectors[i].n_rows != n_rows)
			lh_column_corrupt(dec->priv->column, "its leaves have different numbers of rows");

	if (!dec->flat)
	{
		lh_assemble(dec, vectors, n_rows, values, isnull);
		return;
	}

	if (v->n_values < n_rows)
		lh_column_corrupt(dec->priv->column, "it has fewer values than rows");
	if (v->nulls == NULL)
		memset(isnull, false, n_rows);
	else
		for (int64 i = 0; i < n_rows; i++)
			isnull[i] = v->nulls[i] != 0;
	lh_decode_leaf(dec->priv->conv, v, n_rows, v->nulls, values);
}
