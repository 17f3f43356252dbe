/*
 * range.c
 *		From weights and coverage to ranges of buckets, and from a bucket to a variant,
 *		as GrowthBook's SDKs do it.
 *
 * Each variant holds the first part, as large as the coverage says, of a stretch as
 * long as its weight: when coverage rises nobody changes their variant.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "experiment/experiment.h"
#include "experiment/experiment_internal.h"

PG_FUNCTION_INFO_V1(te_equal_weights);
PG_FUNCTION_INFO_V1(te_bucket_ranges);
PG_FUNCTION_INFO_V1(te_choose_variant);
PG_FUNCTION_INFO_V1(te_in_namespace);

/*
 * Ranges of count variants. Weights of the wrong number, or that do not sum up to
 * about 1, count as equal ones; coverage is clamped to [0, 1]. Never throws.
 */
void
te_experiment_ranges(int count, double coverage, const double *weights, int nweights,
					 TeRange *ranges)
{
	double		total = 0.0;
	double		start = 0.0;
	bool		equal = weights == NULL || nweights != count;
	int			i;

	coverage = Min(Max(coverage, 0.0), 1.0);
	for (i = 0; !equal && i < count; i++)
		total += weights[i];
	if (!equal && !(total >= 0.99 && total <= 1.01))
		equal = true;
	for (i = 0; i < count; i++)
	{
		double		weight = equal ? 1.0 / count : weights[i];

		ranges[i].start = start;
		ranges[i].end = start + coverage * weight;
		start += weight;
	}
}

/*
 * The first variant whose range holds the bucket, -1 when none does. Never throws.
 */
int
te_experiment_choose(double bucket, const TeRange *ranges, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		if (bucket >= ranges[i].start && bucket < ranges[i].end)
			return i;
	return -1;
}

/*
 * An array of n by 2 as ranges, palloc'ed; throws when it has another shape.
 */
TeRange *
te_experiment_array_ranges(ArrayType *array, int *count)
{
	TeRange    *ranges;
	double	   *values;
	int			n;
	int			i;

	values = te_experiment_doubles(array, "ranges", &n);
	*count = n / 2;
	if (n == 0)
		return palloc(sizeof(TeRange));
	if (ARR_NDIM(array) != 2 || ARR_DIMS(array)[1] != 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ranges must be pairs of start and end"),
				 errhint("Write {{0,0.5},{0.5,1}}.")));
	ranges = palloc(sizeof(TeRange) * n / 2);
	for (i = 0; i < n / 2; i++)
	{
		ranges[i].start = values[2 * i];
		ranges[i].end = values[2 * i + 1];
	}
	return ranges;
}

/*
 * equal_weights(n)
 */
Datum
te_equal_weights(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(0);
	double	   *weights;
	int			i;

	te_experiment_check_arms(n);
	weights = palloc(sizeof(double) * Max(n, 1));
	for (i = 0; i < n; i++)
		weights[i] = 1.0 / n;
	PG_RETURN_ARRAYTYPE_P(te_experiment_make_array(weights, Max(n, 0)));
}

/*
 * bucket_ranges(n, coverage, weights): an array of n by 2
 */
Datum
te_bucket_ranges(PG_FUNCTION_ARGS)
{
	int			n;
	double	   *weights = NULL;
	int			nweights = 0;
	TeRange    *ranges;
	Datum	   *values;
	int			dims[2];
	int			lower[2] = {1, 1};
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	n = PG_GETARG_INT32(0);
	te_experiment_check_arms(n);
	if (!PG_ARGISNULL(1))
		te_experiment_check_number(PG_GETARG_FLOAT8(1), "coverage");
	if (!PG_ARGISNULL(2))
		weights = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(2), "weights", &nweights);
	if (n <= 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT8OID));
	ranges = palloc(sizeof(TeRange) * n);
	te_experiment_ranges(n, PG_ARGISNULL(1) ? 1.0 : PG_GETARG_FLOAT8(1), weights, nweights, ranges);
	values = palloc(sizeof(Datum) * n * 2);
	for (i = 0; i < n; i++)
	{
		values[2 * i] = Float8GetDatum(ranges[i].start);
		values[2 * i + 1] = Float8GetDatum(ranges[i].end);
	}
	dims[0] = n;
	dims[1] = 2;
	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, NULL, 2, dims, lower, FLOAT8OID,
											 sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * choose_variant(bucket, ranges): from 0, or -1
 */
Datum
te_choose_variant(PG_FUNCTION_ARGS)
{
	int			count;
	TeRange    *ranges = te_experiment_array_ranges(PG_GETARG_ARRAYTYPE_P(1), &count);

	PG_RETURN_INT32(te_experiment_choose(PG_GETARG_FLOAT8(0), ranges, count));
}

/*
 * in_namespace(user_id, namespace, range_start, range_end, version)
 */
Datum
te_in_namespace(PG_FUNCTION_ARGS)
{
	text	   *user_id = PG_GETARG_TEXT_PP(0);
	char	   *seed = psprintf("__%s", text_to_cstring(PG_GETARG_TEXT_PP(1)));
	double		bucket = te_experiment_bucket(seed, strlen(seed), VARDATA_ANY(user_id),
											  VARSIZE_ANY_EXHDR(user_id), PG_GETARG_INT32(4));

	if (isnan(bucket))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(bucket >= PG_GETARG_FLOAT8(2) && bucket < PG_GETARG_FLOAT8(3));
}
