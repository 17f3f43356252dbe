/*
 * bayes.c
 *		Read-outs by posterior: chance to be the best, and what a choice is expected to
 *		cost.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_bayes_proportions);
PG_FUNCTION_INFO_V1(te_bayes_means);
PG_FUNCTION_INFO_V1(te_bayes_lift);

/* Above so many trials the normal distribution is as good and much faster. */
#define EXACT_TRIALS 1e7

/*
 * Returns one row an arm: number, mean, interval, chance to be the best, chance to beat
 * the first, expected loss, method.
 */
static void
return_arms(FunctionCallInfo fcinfo, const TePosterior *arms, int count, double confidence,
			const char *method)
{
	double	   *best = palloc(sizeof(double) * count);
	double	   *beats = palloc(sizeof(double) * count);
	double		largest;
	TeTable		table;
	int			i;

	te_experiment_table(fcinfo, &table);
	te_posterior_compare(arms, count, best, beats, &largest);
	for (i = 0; i < count; i++)
	{
		Datum		values[8];
		bool		nulls[8] = {false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = Float8GetDatum(te_posterior_mean(&arms[i]));
		values[2] = Float8GetDatum(te_posterior_quantile(&arms[i], 0.5 - confidence / 2));
		values[3] = Float8GetDatum(te_posterior_quantile(&arms[i], 0.5 + confidence / 2));
		values[4] = Float8GetDatum(best[i]);
		values[5] = Float8GetDatum(beats[i]);
		nulls[5] = i == 0;
		values[6] = Float8GetDatum(Max(largest - te_posterior_mean(&arms[i]), 0.0));
		values[7] = CStringGetTextDatum(method);
		te_experiment_table_row(&table, values, nulls);
	}
}

/*
 * Throws unless there are as many elements in both, and some arms.
 */
static void
check_lengths(int n, int other, const char *names)
{
	if (n < 1 || n != other)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must have the same number of elements, at least 1", names)));
	te_experiment_check_arms(n);
}

/*
 * Beta posteriors of arms from two arrays and a prior. Throws on bad input. Shared with
 * the bandits.
 */
TePosterior *
te_experiment_beta_arms(ArrayType *successes, ArrayType *trials, double alpha, double beta, int *count)
{
	int			n,
				i;
	double	   *x = te_experiment_counts(successes, "successes", count);
	double	   *all = te_experiment_counts(trials, "trials", &n);
	TePosterior *arms;

	check_lengths(*count, n, "successes and trials");
	te_experiment_check_number(alpha, "prior_alpha");
	te_experiment_check_number(beta, "prior_beta");
	if (alpha < 1e-3 || beta < 1e-3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("prior_alpha and prior_beta must be at least 0.001")));
	arms = palloc0(sizeof(TePosterior) * n);
	for (i = 0; i < n; i++)
	{
		if (x[i] > all[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("successes must not be more than trials"),
					 errdetail("Arm %d has %.0f of %.0f.", i + 1, x[i], all[i])));
		arms[i].a = alpha + x[i];
		arms[i].b = beta + all[i] - x[i];
	}
	return arms;
}

/*
 * bayes_proportions(successes, trials, prior_alpha, prior_beta, confidence, method)
 */
Datum
te_bayes_proportions(PG_FUNCTION_ARGS)
{
	static const char *const methods[] = {"auto", "exact", "normal", NULL};
	int			count,
				i;
	TePosterior *arms = te_experiment_beta_arms(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1),
												PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3), &count);
	int			method = te_experiment_word(text_to_cstring(PG_GETARG_TEXT_PP(5)), methods, "method");
	bool		normal = method == 2;

	te_experiment_check_share(PG_GETARG_FLOAT8(4), "confidence");
	for (i = 0; i < count; i++)
		if (method == 0 && arms[i].a + arms[i].b > EXACT_TRIALS)
			normal = true;
	for (i = 0; normal && i < count; i++)
	{
		TePosterior beta = arms[i];

		arms[i].normal = true;
		arms[i].a = te_posterior_mean(&beta);
		arms[i].b = te_posterior_sd(&beta);
	}
	return_arms(fcinfo, arms, count, PG_GETARG_FLOAT8(4), normal ? "normal approximation" : "exact beta");
	return (Datum) 0;
}

/*
 * bayes_means(means, variances, counts, confidence): normal posteriors of the means
 * under a flat prior.
 */
Datum
te_bayes_means(PG_FUNCTION_ARGS)
{
	int			count,
				nvariances,
				ncounts,
				i;
	double	   *means = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(0), "means", &count);
	double	   *variances = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(1), "variances", &nvariances);
	double	   *counts = te_experiment_counts(PG_GETARG_ARRAYTYPE_P(2), "counts", &ncounts);
	TePosterior *arms;

	check_lengths(count, nvariances, "means, variances and counts");
	check_lengths(count, ncounts, "means, variances and counts");
	te_experiment_check_share(PG_GETARG_FLOAT8(3), "confidence");
	arms = palloc0(sizeof(TePosterior) * count);
	for (i = 0; i < count; i++)
	{
		te_experiment_check_count((int64) counts[i], 2, "every element of counts");
		if (variances[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("every element of variances must be more than 0")));
		arms[i].normal = true;
		arms[i].a = means[i];
		arms[i].b = sqrt(variances[i] / counts[i]);
	}
	return_arms(fcinfo, arms, count, PG_GETARG_FLOAT8(3), "normal approximation");
	return (Datum) 0;
}

/*
 * bayes_lift(mean1, variance1, n1, mean2, variance2, n2, prior_mean, prior_sd,
 * confidence): normal posterior of the relative lift by the delta method.
 */
Datum
te_bayes_lift(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"mean1", "variance1", "n1", "mean2", "variance2", "n2"};
	double		v[6];
	double		ratio,
				lift,
				variance,
				sd,
				z,
				gain;
	Datum		values[8];
	int			i;

	for (i = 0; i < 9; i++)
		if (i != 7 && PG_ARGISNULL(i))	/* prior_sd may be */
			PG_RETURN_NULL();
	for (i = 0; i < 6; i++)
	{
		if (i % 3 == 2)
		{
			te_experiment_check_count(PG_GETARG_INT64(i), 2, names[i]);
			v[i] = (double) PG_GETARG_INT64(i);
			continue;
		}
		v[i] = PG_GETARG_FLOAT8(i);
		if (i % 3 == 1)
			te_experiment_check_variance(v[i], names[i]);
		else
			te_experiment_check_number(v[i], names[i]);
	}
	te_experiment_check_number(PG_GETARG_FLOAT8(6), "prior_mean");
	te_experiment_check_share(PG_GETARG_FLOAT8(8), "confidence");
	if (v[0] == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DIVISION_BY_ZERO),
				 errmsg("there is no lift relative to a mean1 of 0")));
	ratio = v[3] / v[0];
	lift = (v[3] - v[0]) / v[0];
	variance = (v[4] / v[5] + ratio * ratio * v[1] / v[2]) / (v[0] * v[0]);
	if (variance <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("variance1 and variance2 must not both be 0")));
	if (!PG_ARGISNULL(7))
	{
		double		prior = PG_GETARG_FLOAT8(7);

		te_experiment_check_number(prior, "prior_sd");
		if (prior <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("prior_sd must be more than 0"),
					 errhint("Pass NULL for a flat prior.")));
		prior *= prior;
		lift = (lift * prior + PG_GETARG_FLOAT8(6) * variance) / (prior + variance);
		variance = variance * prior / (prior + variance);
	}
	sd = sqrt(variance);
	z = te_special_normal_quantile(0.5 + PG_GETARG_FLOAT8(8) / 2) * sd;
	/* mean of the positive part of the lift */
	gain = lift * te_special_normal_cdf(lift / sd) + sd * te_special_normal_density(lift / sd);
	values[0] = Float8GetDatum(lift);
	values[1] = Float8GetDatum(sd);
	values[2] = Float8GetDatum(lift - z);
	values[3] = Float8GetDatum(lift + z);
	values[4] = Float8GetDatum(te_special_normal_cdf(lift / sd));
	values[5] = Float8GetDatum(gain);
	values[6] = Float8GetDatum(-lift * te_special_normal_cdf(-lift / sd)
							   + sd * te_special_normal_density(lift / sd));
	values[7] = CStringGetTextDatum("normal approximation");
	return te_experiment_row(fcinfo, values, NULL);
}
