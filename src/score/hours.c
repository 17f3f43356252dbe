/*
 * hours.c
 *		How well people's own hours tell when they act next, against everybody's.
 *
 * The counting is SQL around the analyst's query, with the analyst's rights.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_backtest_hours);
PG_FUNCTION_INFO_V1(te_smoothed_hours);

#define MAX_HOURS 1000

/*
 * The elements of an array of doubles, which must be finite and not negative.
 */
static double *
read_shares(ArrayType *array, int *count)
{
	double	   *values = (double *) ARR_DATA_PTR(array);
	int			i;

	*count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (ARR_NDIM(array) != 1 || *count > MAX_HOURS || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("counts must be one list of at most %d numbers", MAX_HOURS)));
	for (i = 0; i < *count; i++)
		if (!(values[i] >= 0 && isfinite(values[i])))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("counts must be finite and not negative")));
	return values;
}

/*
 * The sum of numbers. Does not throw.
 */
static double
sum_of(const double *values, int count)
{
	TeSum		sum = {0};
	int			i;

	for (i = 0; i < count; i++)
		te_score_add(&sum, values[i]);
	return te_score_total(&sum);
}

/*
 * smoothed_hours(counts, prior, strength): the mean of the Dirichlet posterior.
 */
Datum
te_smoothed_hours(PG_FUNCTION_ARGS)
{
	double	   *counts;
	double	   *prior = NULL;
	double		strength;
	double		total,
				prior_total = 0;
	Datum	   *shares;
	int			n,
				m,
				i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	counts = read_shares(PG_GETARG_ARRAYTYPE_P(0), &n);
	strength = PG_GETARG_FLOAT8(2);
	if (!PG_ARGISNULL(1))
	{
		prior = read_shares(PG_GETARG_ARRAYTYPE_P(1), &m);
		prior_total = sum_of(prior, m);
		if (m != n)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("counts has %d elements, but prior has %d", n, m)));
	}
	if (!(strength >= 0 && isfinite(strength)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("strength is %g, but must be finite and not negative", strength)));
	total = sum_of(counts, n);
	if (total + strength == 0)
		PG_RETURN_NULL();
	shares = palloc(sizeof(Datum) * n);
	for (i = 0; i < n; i++)
		shares[i] = Float8GetDatum((counts[i] + strength * (prior_total > 0 ? prior[i] / prior_total : 1.0 / n)) /
								   (total + strength));
	PG_RETURN_ARRAYTYPE_P(construct_array(shares, n, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Rows on their way to the result. */
typedef struct Hours
{
	TeReader	reader;
	TeResult	result;
} Hours;

/*
 * Nothing to check: the columns are ours.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
}

/*
 * Passes a row on.
 */
static void
pass_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	te_score_result_row(&((Hours *) reader)->result, unconstify(Datum *, values), unconstify(bool *, nulls));
}

/*
 * backtest_hours(query, split_at, strengths)
 */
Datum
te_backtest_hours(PG_FUNCTION_ARGS)
{
	Hours		hours = {{0}};
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *split = quote_literal_cstr(timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(1)));
	Datum	   *elements;
	bool	   *nulls;
	StringInfoData strengths;
	int			count,
				i;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, &nulls, &count);
	initStringInfo(&strengths);
	for (i = 0; i < count; i++)
	{
		double		strength = nulls[i] ? -1 : DatumGetFloat8(elements[i]);

		if (!(strength > 0 && isfinite(strength)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("strengths must be finite and greater than 0")));
		appendStringInfo(&strengths, ", (%.17g)", strength);
	}
	if (te_score_count_columns(query) != 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of backtest_hours must return the user and the time of what they did")));
	te_score_result_begin(&hours.result, fcinfo, "backtest_hours");
	hours.reader.what = "backtest_hours";
	hours.reader.start = start;
	hours.reader.row = pass_row;
	/* half an event more in each hour keeps the probabilities of everybody's hours off 0 */
	te_score_read(&hours.reader,
				  psprintf("WITH given(u, t) AS (%s\n), event AS MATERIALIZED (SELECT u::text AS u, extract(hour FROM t)::int AS h,"
						   " t::timestamptz < %s::timestamptz AS past FROM given WHERE u IS NOT NULL AND t IS NOT NULL),"
						   " everybody AS MATERIALIZED (SELECT h, (count(e.u) + 0.5) / (sum(count(e.u)) OVER () + 12)::float8 AS p"
						   " FROM generate_series(0, 23) h LEFT JOIN event e USING (h) WHERE e.past IS NOT false GROUP BY h),"
						   " person AS (SELECT u, sum(n) AS n, jsonb_object_agg(h, n) AS hours FROM (SELECT u, h, count(*) AS n FROM event"
						   " WHERE past GROUP BY u, h) c GROUP BY u),"
						   " strength(m) AS (VALUES (NULL::float8)%s),"
						   " guess AS (SELECT m, x.h, e.h AS happened,"
						   " CASE WHEN m IS NULL THEN x.p ELSE (coalesce((p.hours ->> x.h::text)::float8, 0) + m * x.p) / (p.n + m) END AS p,"
						   " e.id FROM (SELECT *, row_number() OVER () AS id FROM event WHERE NOT past) e JOIN person p USING (u)"
						   " CROSS JOIN strength CROSS JOIN everybody x)"
						   " SELECT m, count(DISTINCT id), avg(-ln(p)) FILTER (WHERE h = happened),"
						   " (count(*) FILTER (WHERE h = happened AND best))::float8 / nullif(count(DISTINCT id), 0)"
						   " FROM (SELECT *, h = first_value(h) OVER (PARTITION BY m, id ORDER BY p DESC, h) AS best FROM guess) g"
						   " GROUP BY m ORDER BY m NULLS FIRST",
						   query, split, strengths.data));
	return (Datum) 0;
}
