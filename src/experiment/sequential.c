/*
 * sequential.c
 *		Looking at a test before its end without fooling oneself: confidence sequences
 *		that hold at all times at once, the mixture sequential probability ratio test,
 *		and bounds for a planned number of looks.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_confidence_sequence);
PG_FUNCTION_INFO_V1(te_msprt_test);
PG_FUNCTION_INFO_V1(te_group_sequential_bounds);

#define MAX_LOOKS 100
#define EDGE 9.5				/* standard deviations beyond which nothing is left */

/*
 * Reads an estimate and its standard error.
 */
static void
read_estimate(FunctionCallInfo fcinfo, double *estimate, double *se)
{
	*estimate = PG_GETARG_FLOAT8(0);
	*se = PG_GETARG_FLOAT8(1);
	te_experiment_check_number(*estimate, "estimate");
	te_experiment_check_variance(*se, "std_error");
	if (*se == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("std_error must be more than 0"),
				 errhint("Wait for the first data that differ.")));
}

/*
 * confidence_sequence(estimate, std_error, n, confidence, tuning): the two-sided
 * asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
 * (Annals of Statistics 52 (2024); arXiv 2103.06476), narrowest about n = tuning.
 */
Datum
te_confidence_sequence(PG_FUNCTION_ARGS)
{
	double		estimate,
				se,
				n,
				alpha,
				tuning,
				rho2,
				growth,
				width,
				z;
	Datum		values[3];

	read_estimate(fcinfo, &estimate, &se);
	te_experiment_check_count(PG_GETARG_INT64(2), 1, "n");
	n = (double) PG_GETARG_INT64(2);
	te_experiment_check_share(PG_GETARG_FLOAT8(3), "confidence");
	alpha = 1 - PG_GETARG_FLOAT8(3);
	tuning = PG_GETARG_FLOAT8(4);
	te_experiment_check_number(tuning, "tuning");
	if (tuning <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tuning must be more than 0")));
	rho2 = (-2 * log(alpha) + log(1 - 2 * log(alpha))) / tuning;
	growth = n * rho2 + 1;
	width = se * sqrt(2 * growth / (n * rho2) * (0.5 * log(growth) - log(alpha)));
	z = estimate / se;
	values[0] = Float8GetDatum(estimate - width);
	values[1] = Float8GetDatum(estimate + width);
	values[2] = Float8GetDatum(Min(exp(0.5 * log(growth) - n * rho2 * z * z / (2 * growth)), 1.0));
	return te_experiment_row(fcinfo, values, NULL);
}

/*
 * msprt_test(estimate, std_error, tau, confidence): Johari, Koomen, Pekelis and Walsh,
 * KDD 2017 (Operations Research 70 (2022)), with a normal mixture of deviation tau
 * about no effect.
 */
Datum
te_msprt_test(PG_FUNCTION_ARGS)
{
	double		estimate,
				se,
				alpha,
				tau2,
				sum,
				log_ratio,
				width;
	Datum		values[4];

	read_estimate(fcinfo, &estimate, &se);
	te_experiment_check_number(PG_GETARG_FLOAT8(2), "tau");
	if (PG_GETARG_FLOAT8(2) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tau must be more than 0"),
				 errhint("Pass about the size of effect that you expect.")));
	te_experiment_check_share(PG_GETARG_FLOAT8(3), "confidence");
	alpha = 1 - PG_GETARG_FLOAT8(3);
	tau2 = PG_GETARG_FLOAT8(2) * PG_GETARG_FLOAT8(2);
	sum = se * se + tau2;
	log_ratio = 0.5 * log(se * se / sum) + tau2 * estimate * estimate / (2 * se * se * sum);
	width = sqrt(se * se * sum / tau2 * (log(sum / (se * se)) - 2 * log(alpha)));
	values[0] = Float8GetDatum(log_ratio);
	values[1] = Float8GetDatum(Min(exp(-log_ratio), 1.0));
	values[2] = Float8GetDatum(estimate - width);
	values[3] = Float8GetDatum(estimate + width);
	return te_experiment_row(fcinfo, values, NULL);
}

/* ---- planned looks ---- */

typedef enum Spending
{
	OBRIEN_FLEMING,
	POCOCK
} Spending;

static const char *const spendings[] = {"obrien-fleming", "pocock", NULL};

/*
 * Error spent on one side up to a fraction of the information (Lan and DeMets,
 * Biometrika 70 (1983) 659-663), when alpha is that side's whole.
 */
static double
spent(Spending spending, double alpha, double fraction)
{
	if (spending == POCOCK)
		return alpha * log1p((M_E - 1) * fraction);
	return 2 * te_special_normal_cdf(te_special_normal_quantile(alpha / 2) / sqrt(fraction));
}

/*
 * The part of the paths of a Brownian motion that has not crossed a bound yet: the
 * density of its value at some nodes, with the weights of the quadrature in it.
 */
typedef struct Front
{
	int			count;
	double	   *at;
	double	   *mass;
} Front;

/*
 * Probability that a path of the front lies beyond a bound after some more information.
 */
static double
crossing(const Front *front, double bound, double deviation, bool two_sided)
{
	double		result = 0.0;
	int			i;

	for (i = 0; i < front->count; i++)
	{
		result += front->mass[i] * te_special_normal_cdf((front->at[i] - bound) / deviation);
		if (two_sided)
			result += front->mass[i] * te_special_normal_cdf((-front->at[i] - bound) / deviation);
	}
	return result;
}

/*
 * The bound that a path crosses next with the given probability, by bisection.
 */
static double
find_bound(const Front *front, double probability, double deviation, double total_sd, bool two_sided)
{
	double		low = two_sided ? 0.0 : -40 * total_sd;
	double		high = 40 * total_sd;
	int			i;

	for (i = 0; i < 200 && high - low > 1e-15 * total_sd; i++)
	{
		double		middle = (low + high) / 2;

		if (crossing(front, middle, deviation, two_sided) > probability)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

/*
 * Moves the front on to the next look: the paths that stay between the bounds
 * (Armitage, McPherson and Rowe, JRSS A 132 (1969) 235-244), at as many nodes as the
 * next step can tell apart.
 */
static void
advance(Front *front, double low, double high, double deviation, double next_deviation)
{
	int			count = 64 + (int) ceil(8 * (high - low) / Min(deviation, next_deviation));
	double	   *at;
	double	   *mass;
	int			i,
				k;

	count = Min(count, 4000);
	at = palloc(sizeof(double) * count);
	mass = palloc(sizeof(double) * count);
	te_special_gauss_legendre(count, at, mass);
	for (i = 0; i < count; i++)
	{
		double		density = 0.0;

		at[i] = (low + high) / 2 + (high - low) / 2 * at[i];
		for (k = 0; k < front->count; k++)
			density += front->mass[k] * te_special_normal_density((at[i] - front->at[k]) / deviation);
		mass[i] *= (high - low) / 2 * density / deviation;
		CHECK_FOR_INTERRUPTS();
	}
	pfree(front->at);
	pfree(front->mass);
	front->at = at;
	front->mass = mass;
	front->count = count;
}

/*
 * Checks the fractions: rising, within (0, 1].
 */
static void
check_fractions(const double *fractions, int looks)
{
	int			i;

	if (looks < 1 || looks > MAX_LOOKS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be 1 to %d looks, not %d", MAX_LOOKS, looks)));
	for (i = 0; i < looks; i++)
		if (!(fractions[i] - (i ? fractions[i - 1] : 0) >= 1e-4 && fractions[i] <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fractions must rise, by at least 0.0001 a look, to at most 1"),
					 errhint("Write {0.2,0.4,0.6,0.8,1}.")));
}

/*
 * group_sequential_bounds(fractions, alpha, spending, sides)
 */
Datum
te_group_sequential_bounds(PG_FUNCTION_ARGS)
{
	int			looks,
				i;
	double	   *fractions = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(0), "fractions", &looks);
	double		alpha = PG_GETARG_FLOAT8(1);
	Spending	spending = (Spending) te_experiment_word(text_to_cstring(PG_GETARG_TEXT_PP(2)), spendings, "spending");
	int			sides = PG_GETARG_INT32(3);
	double		before = 0.0;	/* fraction and error of the looks so far */
	double		used = 0.0;
	Front		front;
	TeTable		table;

	check_fractions(fractions, looks);
	te_experiment_check_share(alpha, "alpha");
	if (sides != 1 && sides != 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sides must be 1 or 2")));
	te_experiment_table(fcinfo, &table);
	front.count = 1;
	front.at = palloc0(sizeof(double));
	front.mass = palloc(sizeof(double));
	front.mass[0] = 1.0;
	for (i = 0; i < looks; i++)
	{
		double		deviation = sqrt(fractions[i] - before);
		double		sd = sqrt(fractions[i]);
		double		now = sides * spent(spending, alpha / sides, fractions[i]);
		/* nothing to spend that a double can tell from 0 means no way to cross */
		double		bound = now - used > 1e-300
			? find_bound(&front, now - used, deviation, sd, sides == 2) : 40 * sd;
		Datum		values[5];

		values[0] = Int32GetDatum(i + 1);
		values[1] = Float8GetDatum(fractions[i]);
		values[2] = Float8GetDatum(now);
		values[3] = Float8GetDatum(bound < 39 * sd ? bound / sd : INFINITY);
		values[4] = Float8GetDatum(sides * te_special_normal_cdf(bound < 39 * sd ? -bound / sd : -INFINITY));
		te_experiment_table_row(&table, values, NULL);
		if (i + 1 < looks)
			advance(&front, sides == 2 ? Max(-bound, -EDGE * sd) : -EDGE * sd, Min(bound, EDGE * sd),
					deviation, sqrt(fractions[i + 1] - fractions[i]));
		before = fractions[i];
		used = now;
	}
	return (Datum) 0;
}
