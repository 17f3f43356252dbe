/*
 * counts.c
 *		Tests of counts: Fisher's exact test, the sample-ratio check, independence; and
 *		p-values adjusted for their number.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_fisher_test);
PG_FUNCTION_INFO_V1(te_srm_test);
PG_FUNCTION_INFO_V1(te_independence_test);
PG_FUNCTION_INFO_V1(te_holm);
PG_FUNCTION_INFO_V1(te_benjamini_hochberg);

/*
 * Ratio of the hypergeometric probabilities of k + 1 and k successes in group 1.
 */
static double
step_up(double k, double n1, double n2, double successes)
{
	return (n1 - k) / (k + 1) * ((successes - k) / (n2 - successes + k + 1));
}

/*
 * Sums of the hypergeometric weights, in units of the largest one, over what is at
 * most as probable as the observed count and over both sides of it. Goes outwards from
 * the mode and stops where nothing is left to add.
 */
static void
hypergeometric_sums(double x, double n1, double n2, double successes,
					double *total, double *rare, double *up_to, double *from)
{
	double		least = Max(0.0, successes - n2);
	double		most = Min(n1, successes);
	double		mode = Min(Max(floor((n1 + 1) * (successes + 1) / (n1 + n2 + 2)), least), most);
	double		observed = 0.0;
	double		weight;
	double		k;
	double		limit;
	int64		rounds = 0;
	int			direction;

	/* the observed weight first, as it says what is rare */
	for (weight = 1.0, k = mode; k < x && weight > 0; k++)
		weight *= step_up(k, n1, n2, successes);
	for (; k > x && weight > 0; k--)
		weight /= step_up(k - 1, n1, n2, successes);
	observed = weight;
	limit = observed * (1 + 1e-7);	/* equal ones may differ by rounding */

	*total = *rare = *up_to = *from = 0.0;
	for (direction = -1; direction <= 1; direction += 2)
	{
		weight = 1.0;
		for (k = mode; k >= least && k <= most && weight > 0; k += direction)
		{
			if (direction < 0 || k > mode)
			{
				*total += weight;
				if (weight <= limit)
					*rare += weight;
				if (k <= x)
					*up_to += weight;
				if (k >= x)
					*from += weight;
			}
			if (direction > 0)
				weight *= step_up(k, n1, n2, successes);
			else
				weight /= step_up(k - 1, n1, n2, successes);
			if (weight < observed * 1e-20 && weight < 1e-20)
				break;
			if (++rounds % 65536 == 0)
				CHECK_FOR_INTERRUPTS();
		}
	}
}

/*
 * fisher_test(x1, n1, x2, n2, alternative)
 */
Datum
te_fisher_test(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"x1", "n1", "x2", "n2"};
	double		v[4];
	double		total,
				rare,
				up_to,
				from,
				p;
	TeSide		side;
	Datum		values[2];
	bool		nulls[2] = {false};
	double		a,
				b;
	int			i;

	for (i = 0; i < 4; i++)
	{
		te_experiment_check_count(PG_GETARG_INT64(i), i % 2, names[i]);
		v[i] = (double) PG_GETARG_INT64(i);
	}
	if (v[0] > v[1] || v[2] > v[3])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be more than %s", v[0] > v[1] ? "x1" : "x2", v[0] > v[1] ? "n1" : "n2")));
	side = (TeSide) te_experiment_word(text_to_cstring(PG_GETARG_TEXT_PP(4)), te_experiment_sides, "alternative");
	hypergeometric_sums(v[0], v[1], v[3], v[0] + v[2], &total, &rare, &up_to, &from);
	/* many successes in group 2 are few in group 1 */
	p = (side == TE_TWO_SIDED ? rare : side == TE_GREATER ? up_to : from) / total;
	a = v[2] * (v[1] - v[0]);
	b = v[0] * (v[3] - v[2]);
	values[0] = Float8GetDatum(b > 0 ? a / b : INFINITY);
	nulls[0] = a == 0 && b == 0;
	values[1] = Float8GetDatum(Min(p, 1.0));
	return te_experiment_row(fcinfo, values, nulls);
}

/*
 * A row of chi-square, df and p.
 */
static Datum
chi2_row(FunctionCallInfo fcinfo, double chi2, int df)
{
	Datum		values[3];

	values[0] = Float8GetDatum(chi2);
	values[1] = Int32GetDatum(df);
	values[2] = Float8GetDatum(df == 0 ? 1.0 : te_special_chi2_tail(chi2, df));
	return te_experiment_row(fcinfo, values, NULL);
}

/*
 * srm_test(observed, expected): Pearson's chi-square of counts against shares, which
 * are scaled to the total.
 */
Datum
te_srm_test(PG_FUNCTION_ARGS)
{
	int			n,
				nexpected,
				i;
	double	   *observed = te_experiment_counts(PG_GETARG_ARRAYTYPE_P(0), "observed", &n);
	double	   *expected = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(1), "expected", &nexpected);
	double		total = 0.0;
	double		shares = 0.0;
	double		chi2 = 0.0;

	if (n < 2 || n != nexpected)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("observed and expected must have the same number of elements, at least 2")));
	for (i = 0; i < n; i++)
	{
		if (expected[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("every share in expected must be more than 0"),
					 errhint("Leave out arms that get nobody.")));
		total += observed[i];
		shares += expected[i];
	}
	if (total == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("observed must count somebody")));
	for (i = 0; i < n; i++)
	{
		double		want = total * expected[i] / shares;

		chi2 += (observed[i] - want) * (observed[i] - want) / want;
	}
	return chi2_row(fcinfo, chi2, n - 1);
}

/*
 * independence_test(counts): Pearson's chi-square of a table of two dimensions. Empty
 * rows and columns do not count.
 */
Datum
te_independence_test(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			n,
				rows,
				columns,
				i,
				k;
	int			used_rows = 0;
	int			used_columns = 0;
	double	   *counts = te_experiment_counts(array, "counts", &n);
	double	   *by_row,
			   *by_column;
	double		total = 0.0;
	double		chi2 = 0.0;

	if (ARR_NDIM(array) != 2)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("counts must have two dimensions"),
				 errhint("Write ARRAY[[10,20],[30,40]].")));
	rows = ARR_DIMS(array)[0];
	columns = ARR_DIMS(array)[1];
	by_row = palloc0(sizeof(double) * rows);
	by_column = palloc0(sizeof(double) * columns);
	for (i = 0; i < n; i++)
	{
		by_row[i / columns] += counts[i];
		by_column[i % columns] += counts[i];
		total += counts[i];
	}
	if (total == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("counts must count somebody")));
	for (i = 0; i < rows; i++)
		used_rows += by_row[i] > 0;
	for (k = 0; k < columns; k++)
		used_columns += by_column[k] > 0;
	for (i = 0; i < n; i++)
	{
		double		want = by_row[i / columns] * by_column[i % columns] / total;

		if (want > 0)
			chi2 += (counts[i] - want) * (counts[i] - want) / want;
	}
	return chi2_row(fcinfo, chi2, (used_rows - 1) * (used_columns - 1));
}

/* A p-value and where it stood. */
typedef struct Ranked
{
	double		p;
	int			place;
} Ranked;

/*
 * Smaller p-values first; equal ones in the order they came.
 */
static int
compare_ranked(const void *a, const void *b)
{
	const Ranked *x = a;
	const Ranked *y = b;

	if (x->p != y->p)
		return x->p < y->p ? -1 : 1;
	return x->place - y->place;
}

/*
 * Adjusts p-values: Holm's step-down or the step-up of Benjamini and Hochberg. Nulls
 * stay and do not count as tests.
 */
static Datum
adjust(FunctionCallInfo fcinfo, bool step_down)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *values;
	bool	   *nulls;
	Ranked	   *ranked;
	int			count,
				n = 0,
				i;
	double		bound;

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &values, &nulls, &count);
	if (count == 0)
		PG_RETURN_ARRAYTYPE_P(array);
	if (ARR_NDIM(array) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("p_values must have one dimension")));
	ranked = palloc(sizeof(Ranked) * count);
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			continue;
		ranked[n].p = DatumGetFloat8(values[i]);
		ranked[n].place = i;
		if (!(ranked[n].p >= 0 && ranked[n].p <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("p_values must be between 0 and 1")));
		n++;
	}
	qsort(ranked, n, sizeof(Ranked), compare_ranked);
	bound = step_down ? 0.0 : 1.0;
	for (i = 0; i < n; i++)
	{
		int			at = step_down ? i : n - 1 - i;
		double		p = step_down ? ranked[at].p * (n - at) : ranked[at].p * n / (at + 1);

		bound = step_down ? Max(bound, p) : Min(bound, p);
		values[ranked[at].place] = Float8GetDatum(Min(bound, 1.0));
	}
	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, nulls, 1, ARR_DIMS(array), ARR_LBOUND(array), FLOAT8OID,
											 sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * holm(p_values): Scandinavian Journal of Statistics 6 (1979) 65-70.
 */
Datum
te_holm(PG_FUNCTION_ARGS)
{
	return adjust(fcinfo, true);
}

/*
 * benjamini_hochberg(p_values): Journal of the Royal Statistical Society B 57 (1995)
 * 289-300.
 */
Datum
te_benjamini_hochberg(PG_FUNCTION_ARGS)
{
	return adjust(fcinfo, false);
}
