/*
 * points.c
 *		From the rows of a query to distinct points in an order that does not depend on
 *		where the rows lie: sorted by a hash of their values, which also makes any first
 *		part of them a fair sample.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "score/score.h"

/* A row and its hash. */
typedef struct Hashed
{
	uint64		hash;
	int			row;
} Hashed;

/*
 * Order of two rows: by hash, then by their bytes, so that equal rows come together.
 */
static int
compare_hashed(const Hashed *a, const Hashed *b, const TeMatrix *matrix)
{
	Size		width = sizeof(double) * matrix->ncolumns;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return memcmp(matrix->values + (Size) a->row * matrix->ncolumns,
				  matrix->values + (Size) b->row * matrix->ncolumns, width);
}

#define ST_SORT sort_hashed
#define ST_ELEMENT_TYPE Hashed
#define ST_COMPARE_ARG_TYPE const TeMatrix
#define ST_COMPARE(a, b, matrix) compare_hashed(a, b, matrix)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

/*
 * Sorts the rows, puts equal ones together and copies each distinct one.
 */
static void
copy_distinct(TePoints *points, const TeMatrix *matrix)
{
	Size		width = sizeof(double) * matrix->ncolumns;
	Hashed	   *rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Hashed) * matrix->nrows);
	int64		i;

	for (i = 0; i < matrix->nrows; i++)
	{
		rows[i].hash = hash_bytes_extended((const unsigned char *) (matrix->values + i * matrix->ncolumns), width, 0);
		rows[i].row = i;
	}
	sort_hashed(rows, matrix->nrows, matrix);
	points->x = MemoryContextAllocHuge(CurrentMemoryContext, width * matrix->nrows);
	points->weight = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * matrix->nrows);
	points->point_of = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * matrix->nrows);
	points->n = 0;
	for (i = 0; i < matrix->nrows; i++)
	{
		if (i == 0 || compare_hashed(&rows[i], &rows[i - 1], matrix) != 0)
		{
			memcpy(points->x + (Size) points->n * matrix->ncolumns,
				   matrix->values + (Size) rows[i].row * matrix->ncolumns, width);
			points->weight[points->n++] = 0;
		}
		points->weight[points->n - 1] += 1;
		points->point_of[rows[i].row] = points->n - 1;
	}
	pfree(rows);
}

/*
 * Shift and scale of one column: the mean, and the standard deviation of the population
 * or the width of the range; a column without spread has a scale of 1.
 */
static void
measure_column(TePoints *points, int column, TeStandardize standardize)
{
	TeSum		sum = {0};
	TeSum		squares = {0};
	double		least = INFINITY,
				most = -INFINITY;
	double		mean;
	int			i;

	for (i = 0; i < points->n; i++)
	{
		double		value = points->x[(Size) i * points->d + column];

		te_score_add(&sum, points->weight[i] * value);
		least = Min(least, value);
		most = Max(most, value);
	}
	mean = te_score_total(&sum) / points->total;
	for (i = 0; i < points->n; i++)
	{
		double		difference = points->x[(Size) i * points->d + column] - mean;

		te_score_add(&squares, points->weight[i] * difference * difference);
	}
	points->shift[column] = mean;
	points->scale[column] = 1;
	if (standardize == TE_STANDARDIZE_ZSCORE && most > least)
		points->scale[column] = sqrt(te_score_total(&squares) / points->total);
	else if (standardize == TE_STANDARDIZE_RANGE && most > least)
		points->scale[column] = most - least;
	CHECK_FOR_INTERRUPTS();
}

/*
 * Distinct points of a matrix, in the current context. The mean is taken off every
 * column, whatever the standardization, so that small differences of large numbers keep
 * their digits.
 */
void
te_score_points(TePoints *points, const TeMatrix *matrix, TeStandardize standardize)
{
	int			i,
				j;

	memset(points, 0, sizeof(*points));
	points->d = matrix->ncolumns;
	points->total = matrix->nrows;
	points->shift = palloc(sizeof(double) * points->d);
	points->scale = palloc(sizeof(double) * points->d);
	copy_distinct(points, matrix);
	for (j = 0; j < points->d; j++)
		measure_column(points, j, standardize);
	for (i = 0; i < points->n; i++)
	{
		double	   *x = points->x + (Size) i * points->d;

		for (j = 0; j < points->d; j++)
			x[j] = (x[j] - points->shift[j]) / points->scale[j];
	}
}
