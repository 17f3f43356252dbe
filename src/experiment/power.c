/*
 * power.c
 *		How many people a test needs, what it would find, and how surely.
 *
 * Rates: the pooled two-proportion z test, two-sided, by the normal approximation
 * (Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 3rd ed.,
 * 4.2, without continuity correction). Means: the two-sample t test with one standard
 * deviation, two-sided, exactly, by the noncentral t distribution.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_proportion_power);
PG_FUNCTION_INFO_V1(te_proportion_sample_size);
PG_FUNCTION_INFO_V1(te_proportion_mde);
PG_FUNCTION_INFO_V1(te_mean_power);
PG_FUNCTION_INFO_V1(te_mean_sample_size);
PG_FUNCTION_INFO_V1(te_mean_mde);

#define MOST_PEOPLE 9007199254740992.0	/* 2^53 */

/* What is asked for: rates of two groups, or a difference in units of one deviation. */
typedef struct Plan
{
	bool		rates;
	double		rate1;
	double		rate2;
	double		difference;
	double		sd;
	double		alpha;
} Plan;

/*
 * Power of the z test of two rates.
 */
static double
rate_power(const Plan *plan, double n1, double n2)
{
	double		p1 = plan->rate1;
	double		p2 = plan->rate2;
	double		pooled = (n1 * p1 + n2 * p2) / (n1 + n2);
	double		null_se = sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
	double		se = sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2);
	double		bound = -te_special_normal_quantile(plan->alpha / 2) * null_se;
	double		gap = fabs(p2 - p1);

	if (se == 0)
		return gap > bound ? 1.0 : 0.0;
	return te_special_normal_cdf((gap - bound) / se) + te_special_normal_cdf((-gap - bound) / se);
}

/*
 * Power of the t test: the mean, over the deviation that the sample shows, of the
 * normal tails beyond the bound.
 */
static double
mean_power(const Plan *plan, double n1, double n2)
{
	enum {PANELS = 8, NODES = 32};
	double		nodes[NODES];
	double		weights[NODES];
	double		df = n1 + n2 - 2;
	double		shift = fabs(plan->difference) / plan->sd / sqrt(1 / n1 + 1 / n2);
	double		bound = te_special_t_quantile(1 - plan->alpha / 2, df);
	double		low = Max(0.0, 1.0 - 12.0 / sqrt(2 * df));
	double		high = 1.0 + 12.0 / sqrt(2 * df);
	double		result = 0.0;
	int			i,
				k;

	te_special_gauss_legendre(NODES, nodes, weights);
	for (i = 0; i < PANELS; i++)
	{
		double		half = (high - low) / PANELS / 2;
		double		middle = low + (2 * i + 1) * half;

		for (k = 0; k < NODES; k++)
		{
			double		s = middle + half * nodes[k];
			double		density = te_special_gamma_density(df / 2, df * s * s / 2) * df * s;

			result += weights[k] * half * density
				* (te_special_normal_cdf(shift - bound * s) + te_special_normal_cdf(-shift - bound * s));
		}
	}
	return Min(result, 1.0);
}

/*
 * Power of either.
 */
static double
power_of(const Plan *plan, double n1, double n2)
{
	return plan->rates ? rate_power(plan, n1, n2) : mean_power(plan, n1, n2);
}

/*
 * Reads alpha.
 */
static void
read_alpha(FunctionCallInfo fcinfo, int argument, Plan *plan)
{
	plan->alpha = PG_GETARG_FLOAT8(argument);
	te_experiment_check_share(plan->alpha, "alpha");
}

/*
 * Reads two rates that differ, or a difference and a deviation.
 */
static void
read_effect(FunctionCallInfo fcinfo, bool rates, Plan *plan)
{
	plan->rates = rates;
	if (rates)
	{
		plan->rate1 = PG_GETARG_FLOAT8(0);
		plan->rate2 = PG_GETARG_FLOAT8(1);
		te_experiment_check_share(plan->rate1, "rate1");
		te_experiment_check_share(plan->rate2, "rate2");
		return;
	}
	plan->difference = PG_GETARG_FLOAT8(0);
	plan->sd = PG_GETARG_FLOAT8(1);
	te_experiment_check_number(plan->difference, "difference");
	te_experiment_check_variance(plan->sd, "sd");
	if (plan->sd == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sd must be more than 0")));
}

/*
 * Power for given sizes of the groups.
 */
static Datum
answer_power(FunctionCallInfo fcinfo, bool rates)
{
	Plan		plan = {0};

	read_effect(fcinfo, rates, &plan);
	te_experiment_check_count(PG_GETARG_INT64(2), rates ? 1 : 2, "n1");
	te_experiment_check_count(PG_GETARG_INT64(3), rates ? 1 : 2, "n2");
	read_alpha(fcinfo, 4, &plan);
	PG_RETURN_FLOAT8(power_of(&plan, (double) PG_GETARG_INT64(2), (double) PG_GETARG_INT64(3)));
}

/*
 * Smallest sizes of the groups that give the power, where group 2 is ratio times as
 * large as group 1.
 */
static Datum
answer_size(FunctionCallInfo fcinfo, bool rates)
{
	Plan		plan = {0};
	double		power = PG_GETARG_FLOAT8(2);
	double		ratio = PG_GETARG_FLOAT8(4);
	double		low = 1;		/* never enough but perhaps at the end */
	double		high = 2;
	Datum		values[4];

	read_effect(fcinfo, rates, &plan);
	te_experiment_check_share(power, "power");
	read_alpha(fcinfo, 3, &plan);
	if (power <= plan.alpha)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("power must be more than alpha")));
	te_experiment_check_number(ratio, "ratio");
	if (!(ratio >= 1e-4 && ratio <= 1e4))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ratio must be between 0.0001 and 10000")));
	if (rates ? plan.rate1 == plan.rate2 : plan.difference == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no number of people finds a difference of 0")));
	while (high < MOST_PEOPLE && power_of(&plan, high, Max(ceil(high * ratio), 2)) < power)
	{
		low = high;
		high *= 2;
	}
	if (high * Max(ratio, 1) >= MOST_PEOPLE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the difference is too small to be found")));
	while (high - low > 1)
	{
		double		middle = floor((low + high) / 2);

		if (power_of(&plan, middle, Max(ceil(middle * ratio), 2)) < power)
			low = middle;
		else
			high = middle;
	}
	values[0] = Int64GetDatum((int64) high);
	values[1] = Int64GetDatum((int64) Max(ceil(high * ratio), 2));
	values[2] = Int64GetDatum(DatumGetInt64(values[0]) + DatumGetInt64(values[1]));
	values[3] = Float8GetDatum(power_of(&plan, high, Max(ceil(high * ratio), 2)));
	return te_experiment_row(fcinfo, values, NULL);
}

/*
 * Puts an increase into the plan.
 */
static void
set_increase(Plan *plan, double increase)
{
	plan->difference = increase;
	plan->rate2 = plan->rate1 + increase;
}

/*
 * Smallest increase that is found with the power, by bisection; less than 0 when none
 * up to the largest is.
 */
static double
smallest_increase(Plan *plan, double n1, double n2, double power, double largest)
{
	double		low = 0.0;
	double		high = largest;
	int			i;

	set_increase(plan, high);
	if (power_of(plan, n1, n2) < power)
		return -1.0;
	for (i = 0; i < 200 && high - low > 1e-15 * high; i++)
	{
		double		middle = (low + high) / 2;

		set_increase(plan, middle);
		if (power_of(plan, n1, n2) < power)
			low = middle;
		else
			high = middle;
	}
	return high;
}

/*
 * proportion_power(rate1, rate2, n1, n2, alpha)
 */
Datum
te_proportion_power(PG_FUNCTION_ARGS)
{
	return answer_power(fcinfo, true);
}

/*
 * mean_power(difference, sd, n1, n2, alpha)
 */
Datum
te_mean_power(PG_FUNCTION_ARGS)
{
	return answer_power(fcinfo, false);
}

/*
 * proportion_sample_size(rate1, rate2, power, alpha, ratio)
 */
Datum
te_proportion_sample_size(PG_FUNCTION_ARGS)
{
	return answer_size(fcinfo, true);
}

/*
 * mean_sample_size(difference, sd, power, alpha, ratio)
 */
Datum
te_mean_sample_size(PG_FUNCTION_ARGS)
{
	return answer_size(fcinfo, false);
}

/*
 * Reads n1, n2, power and alpha from the second argument on.
 */
static void
read_sizes(FunctionCallInfo fcinfo, int64 least, Plan *plan, double *n1, double *n2, double *power)
{
	te_experiment_check_count(PG_GETARG_INT64(1), least, "n1");
	te_experiment_check_count(PG_GETARG_INT64(2), least, "n2");
	*n1 = (double) PG_GETARG_INT64(1);
	*n2 = (double) PG_GETARG_INT64(2);
	*power = PG_GETARG_FLOAT8(3);
	te_experiment_check_share(*power, "power");
	read_alpha(fcinfo, 4, plan);
	if (*power <= plan->alpha)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("power must be more than alpha")));
}

/*
 * proportion_mde(rate1, n1, n2, power, alpha): null when even a rate of 1 would not
 * be found
 */
Datum
te_proportion_mde(PG_FUNCTION_ARGS)
{
	Plan		plan = {0};
	double		n1,
				n2,
				power,
				increase;

	plan.rates = true;
	plan.rate1 = PG_GETARG_FLOAT8(0);
	te_experiment_check_share(plan.rate1, "rate1");
	read_sizes(fcinfo, 1, &plan, &n1, &n2, &power);
	increase = smallest_increase(&plan, n1, n2, power, 1.0 - plan.rate1);
	if (increase < 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(increase);
}

/*
 * mean_mde(sd, n1, n2, power, alpha)
 */
Datum
te_mean_mde(PG_FUNCTION_ARGS)
{
	Plan		plan = {0};
	double		n1,
				n2,
				power;

	plan.sd = PG_GETARG_FLOAT8(0);
	te_experiment_check_variance(plan.sd, "sd");
	read_sizes(fcinfo, 2, &plan, &n1, &n2, &power);
	if (plan.sd == 0)
		PG_RETURN_FLOAT8(0.0);
	/* within some standard errors, and more where there are few degrees of freedom */
	PG_RETURN_FLOAT8(smallest_increase(&plan, n1, n2, power,
									   plan.sd * sqrt(1 / n1 + 1 / n2)
									   * (2 * te_special_t_quantile(1 - plan.alpha / 2, n1 + n2 - 2)
										  + 4 * te_special_t_quantile((1 + power) / 2, n1 + n2 - 2))));
}
