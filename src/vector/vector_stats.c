/*
 * vector_stats.c
 *	  What ANALYZE remembers of a column of vectors.
 *
 * The server would sort the sample and keep a hundred of the vectors as a
 * histogram: 40 kB for 100 dimensions, which no estimate of ours looks at but
 * every session reads.  Here it is the share of NULLs, the width, and how many
 * values there are, which equality needs.
 *
 * Values that stand beside the table are taken to differ, as the server does
 * with wide ones: they are not fetched.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "common/hashfn.h"
#include "miscadmin.h"

#include "vector_int.h"

LH_FUNCTION(lh_vector_typanalyze);

static int
compare_hashes(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * How many values has the column, if a sample of n of its rows has these
 * hashes, `wide` more rows each a value of its own?  Haas and Stokes' estimator
 * Duj1, n d / (n - f1 + f1 n / N), with d values in the sample, f1 of them once.
 * Negative: a share of the rows.
 */
static double
estimate_values(uint64 *hashes, int n, int wide, double rows)
{
	double		sampled = (double) n + wide;
	double		values = wide,
				once = wide,
				estimate;

	qsort(hashes, n, sizeof(uint64), compare_hashes);
	for (int i = 0, same; i < n; i += same)
	{
		for (same = 1; i + same < n && hashes[i + same] == hashes[i]; same++)
			;
		values++;
		once += same == 1;
	}
	if (once == sampled)
		return -1;
	if (once == 0)
		return values;
	estimate = sampled * values / (sampled - once + once * sampled / Max(rows, sampled));
	estimate = Min(Max(estimate, values), rows);
	return estimate > 0.1 * rows ? -estimate / rows : estimate;
}

static void
compute_stats(VacAttrStatsP stats, AnalyzeAttrFetchFunc fetch, int n_rows, double total_rows)
{
	uint64	   *hashes = palloc(sizeof(uint64) * Max(n_rows, 1));
	int			n = 0,
				wide = 0,
				nulls = 0;
	double		bytes = 0;

	for (int i = 0; i < n_rows; i++)
	{
		bool		isnull;
		Datum		value = fetch(stats, i, &isnull);
		struct varlena *v = (struct varlena *) DatumGetPointer(value);

		lh_vacuum_delay_point();
		if (isnull)
		{
			nulls++;
			continue;
		}
		bytes += VARSIZE_ANY(v);
		if (VARATT_IS_EXTERNAL(v))
			wide++;
		else
			hashes[n++] = hash_bytes_extended((const unsigned char *) VARDATA_ANY(v), (int) VARSIZE_ANY_EXHDR(v), 0);
	}
	if (n_rows == 0)
		return;
	stats->stats_valid = true;
	stats->stanullfrac = (double) nulls / n_rows;
	if (nulls == n_rows)
		return;
	stats->stawidth = (int32) (bytes / (n_rows - nulls));
	stats->stadistinct = estimate_values(hashes, n, wide, total_rows * (1 - stats->stanullfrac));
	/* a share of all rows, NULLs among them */
	if (stats->stadistinct < 0)
		stats->stadistinct *= 1 - stats->stanullfrac;
}

Datum
lh_vector_typanalyze(PG_FUNCTION_ARGS)
{
	VacAttrStats *stats = (VacAttrStats *) PG_GETARG_POINTER(0);

	if (!std_typanalyze(stats))
		PG_RETURN_BOOL(false);
	stats->compute_stats = compute_stats;
	PG_RETURN_BOOL(true);
}
