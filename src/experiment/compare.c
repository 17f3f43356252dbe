/*
 * compare.c
 *		Two groups: rates, means, relative lift, and means with a covariate.
 *
 * Group 1 is the control. Differences are 2 less 1, so that a positive one is a gain.
 * All work on counts, means and variances, as running sums give them.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_proportion_test);
PG_FUNCTION_INFO_V1(te_welch_test);
PG_FUNCTION_INFO_V1(te_relative_lift);
PG_FUNCTION_INFO_V1(te_cuped_test);

/* Mean, variance and size of a group. */
typedef struct Group
{
	double		mean;
	double		variance;
	double		n;
} Group;

/*
 * Fills in statistic, p-value and interval from value, se and df. A statistic without
 * spread is certain: p is 0, or 1 when there is no difference. Never throws.
 */
void
te_experiment_conclude(TeEstimate *e, double confidence, TeSide side)
{
	double		tail;			/* P(T > statistic) */
	double		width;
	double		p = side == TE_TWO_SIDED ? 0.5 + confidence / 2 : confidence;

	if (e->se > 0)
		e->statistic = e->value / e->se;
	else
		e->statistic = e->value > 0 ? INFINITY : e->value < 0 ? -INFINITY : 0.0;
	if (isinf(e->df))
	{
		tail = te_special_normal_cdf(-e->statistic);
		width = te_special_normal_quantile(p) * e->se;
	}
	else
	{
		tail = te_special_t_tail(e->statistic, e->df);
		width = te_special_t_quantile(p, e->df) * e->se;
	}
	if (side == TE_GREATER)
		e->p = e->se > 0 ? tail : e->value > 0 ? 0.0 : 1.0;
	else if (side == TE_LESS)
	{
		if (e->se > 0)
			e->p = isinf(e->df) ? te_special_normal_cdf(e->statistic) : te_special_t_tail(-e->statistic, e->df);
		else
			e->p = e->value < 0 ? 0.0 : 1.0;
	}
	else
	{
		double		far = fabs(e->statistic);

		e->p = Min(2.0 * (isinf(e->df) ? te_special_normal_cdf(-far) : te_special_t_tail(far, e->df)), 1.0);
	}
	e->low = side == TE_LESS ? -INFINITY : e->value - width;
	e->high = side == TE_GREATER ? INFINITY : e->value + width;
}

/*
 * Degrees of freedom after Welch and Satterthwaite.
 */
static double
satterthwaite(const Group *g1, const Group *g2)
{
	double		v1 = g1->variance / g1->n;
	double		v2 = g2->variance / g2->n;

	if (v1 + v2 == 0)
		return g1->n + g2->n - 2;
	return (v1 + v2) * (v1 + v2) / (v1 * v1 / (g1->n - 1) + v2 * v2 / (g2->n - 1));
}

/*
 * Reads mean, variance and n from three arguments and checks them.
 */
static void
read_group(FunctionCallInfo fcinfo, int first, int number, Group *group)
{
	char		name[16];

	snprintf(name, sizeof(name), "mean%d", number);
	group->mean = PG_GETARG_FLOAT8(first);
	te_experiment_check_number(group->mean, name);
	snprintf(name, sizeof(name), "variance%d", number);
	group->variance = PG_GETARG_FLOAT8(first + 1);
	te_experiment_check_variance(group->variance, name);
	snprintf(name, sizeof(name), "n%d", number);
	te_experiment_check_count(PG_GETARG_INT64(first + 2), 2, name);
	group->n = (double) PG_GETARG_INT64(first + 2);
}

/*
 * Reads successes and n from two arguments and checks them.
 */
static void
read_rate(FunctionCallInfo fcinfo, int first, int number, double *x, double *n)
{
	char		x_name[8];
	char		n_name[8];

	snprintf(x_name, sizeof(x_name), "x%d", number);
	snprintf(n_name, sizeof(n_name), "n%d", number);
	te_experiment_check_count(PG_GETARG_INT64(first), 0, x_name);
	te_experiment_check_count(PG_GETARG_INT64(first + 1), 1, n_name);
	*x = (double) PG_GETARG_INT64(first);
	*n = (double) PG_GETARG_INT64(first + 1);
	if (*x > *n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be more than %s", x_name, n_name)));
}

/*
 * Reads confidence and alternative.
 */
static TeSide
read_options(FunctionCallInfo fcinfo, int first, double *confidence)
{
	*confidence = PG_GETARG_FLOAT8(first);
	te_experiment_check_share(*confidence, "confidence");
	return (TeSide) te_experiment_word(text_to_cstring(PG_GETARG_TEXT_PP(first + 1)),
									   te_experiment_sides, "alternative");
}

/*
 * Wilson's score interval of a rate.
 */
static void
wilson(double x, double n, double z, double *low, double *high)
{
	double		p = x / n;
	double		center = p + z * z / (2 * n);
	double		width = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
	double		scale = 1 + z * z / n;

	*low = x == 0 ? 0.0 : (center - width) / scale;
	*high = x == n ? 1.0 : (center + width) / scale;
}

/*
 * proportion_test(x1, n1, x2, n2, confidence, alternative): z by the pooled rate, as
 * the null hypothesis has it; the interval by each group's own, and by Newcombe's
 * combination of Wilson intervals (method 10 of Statistics in Medicine 17 (1998)
 * 873-890), which is sound for small counts, too.
 */
Datum
te_proportion_test(PG_FUNCTION_ARGS)
{
	double		x1,
				n1,
				x2,
				n2;
	double		confidence;
	double		rate1,
				rate2,
				pooled,
				z,
				l1,
				u1,
				l2,
				u2;
	TeSide		side;
	TeEstimate	test = {0};
	TeEstimate	interval = {0};
	Datum		values[10];

	read_rate(fcinfo, 0, 1, &x1, &n1);
	read_rate(fcinfo, 2, 2, &x2, &n2);
	side = read_options(fcinfo, 4, &confidence);
	rate1 = x1 / n1;
	rate2 = x2 / n2;
	pooled = (x1 + x2) / (n1 + n2);
	test.value = interval.value = rate2 - rate1;
	test.df = interval.df = INFINITY;
	test.se = sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
	interval.se = sqrt(rate1 * (1 - rate1) / n1 + rate2 * (1 - rate2) / n2);
	te_experiment_conclude(&test, confidence, side);
	te_experiment_conclude(&interval, confidence, side);
	z = te_special_normal_quantile(side == TE_TWO_SIDED ? 0.5 + confidence / 2 : confidence);
	wilson(x1, n1, z, &l1, &u1);
	wilson(x2, n2, z, &l2, &u2);
	values[0] = Float8GetDatum(rate1);
	values[1] = Float8GetDatum(rate2);
	values[2] = Float8GetDatum(test.value);
	values[3] = Float8GetDatum(interval.se);
	values[4] = Float8GetDatum(test.statistic);
	values[5] = Float8GetDatum(test.p);
	values[6] = Float8GetDatum(interval.low);
	values[7] = Float8GetDatum(interval.high);
	values[8] = Float8GetDatum(side == TE_LESS ? -1.0
							   : test.value - sqrt((rate2 - l2) * (rate2 - l2) + (u1 - rate1) * (u1 - rate1)));
	values[9] = Float8GetDatum(side == TE_GREATER ? 1.0
							   : test.value + sqrt((u2 - rate2) * (u2 - rate2) + (rate1 - l1) * (rate1 - l1)));
	return te_experiment_row(fcinfo, values, NULL);
}

/*
 * A row of value, standard error, t, df, p, low, high after some leading columns.
 */
static Datum
estimate_row(FunctionCallInfo fcinfo, Datum *values, int leading, const TeEstimate *e)
{
	values[leading] = Float8GetDatum(e->value);
	values[leading + 1] = Float8GetDatum(e->se);
	values[leading + 2] = Float8GetDatum(e->statistic);
	values[leading + 3] = Float8GetDatum(e->df);
	values[leading + 4] = Float8GetDatum(e->p);
	values[leading + 5] = Float8GetDatum(e->low);
	values[leading + 6] = Float8GetDatum(e->high);
	return te_experiment_row(fcinfo, values, NULL);
}

/*
 * welch_test(mean1, variance1, n1, mean2, variance2, n2, confidence, alternative):
 * Welch, Biometrika 34 (1947) 28-35.
 */
Datum
te_welch_test(PG_FUNCTION_ARGS)
{
	Group		g1,
				g2;
	double		confidence;
	TeSide		side;
	TeEstimate	e = {0};
	Datum		values[7];

	read_group(fcinfo, 0, 1, &g1);
	read_group(fcinfo, 3, 2, &g2);
	side = read_options(fcinfo, 6, &confidence);
	e.value = g2.mean - g1.mean;
	e.se = sqrt(g1.variance / g1.n + g2.variance / g2.n);
	e.df = satterthwaite(&g1, &g2);
	te_experiment_conclude(&e, confidence, side);
	return estimate_row(fcinfo, values, 0, &e);
}

/*
 * relative_lift(mean1, variance1, n1, mean2, variance2, n2, confidence, alternative):
 * mean2 / mean1 - 1 by the delta method, with the degrees of freedom of the absolute
 * difference, as gbstats has it.
 */
Datum
te_relative_lift(PG_FUNCTION_ARGS)
{
	Group		g1,
				g2;
	double		confidence;
	double		ratio;
	TeSide		side;
	TeEstimate	e = {0};
	Datum		values[7];

	read_group(fcinfo, 0, 1, &g1);
	read_group(fcinfo, 3, 2, &g2);
	side = read_options(fcinfo, 6, &confidence);
	if (g1.mean == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DIVISION_BY_ZERO),
				 errmsg("there is no lift relative to a mean1 of 0"),
				 errhint("Use welch_test() for the absolute difference.")));
	ratio = g2.mean / g1.mean;
	e.value = (g2.mean - g1.mean) / g1.mean;
	e.se = sqrt(g2.variance / g2.n + ratio * ratio * g1.variance / g1.n) / fabs(g1.mean);
	e.df = satterthwaite(&g1, &g2);
	te_experiment_conclude(&e, confidence, side);
	return estimate_row(fcinfo, values, 0, &e);
}

/* A group with a covariate: y is the metric, x what was known before. */
typedef struct Pair
{
	Group		y;
	double		mean_x;
	double		variance_x;
	double		covariance;
} Pair;

/*
 * Reads n, mean_y, variance_y, mean_x, variance_x and covariance.
 */
static void
read_pair(FunctionCallInfo fcinfo, int first, int number, Pair *pair)
{
	static const char *const names[] = {"n", "mean_y", "variance_y", "mean_x", "variance_x", "covariance"};
	char		name[24];
	double		v[6];
	int			i;

	snprintf(name, sizeof(name), "%s%d", names[0], number);
	te_experiment_check_count(PG_GETARG_INT64(first), 2, name);
	pair->y.n = (double) PG_GETARG_INT64(first);
	for (i = 1; i < 6; i++)
	{
		v[i] = PG_GETARG_FLOAT8(first + i);
		snprintf(name, sizeof(name), "%s%d", names[i], number);
		if (i == 2 || i == 4)
			te_experiment_check_variance(v[i], name);
		else
			te_experiment_check_number(v[i], name);
	}
	pair->y.mean = v[1];
	pair->y.variance = v[2];
	pair->mean_x = v[3];
	pair->variance_x = v[4];
	pair->covariance = v[5];
	if (v[5] * v[5] > v[2] * v[4] * (1 + 1e-9))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is larger than the variances allow", name)));
}

/*
 * Sum of products about the mean of both groups together.
 */
static double
joint_products(const Pair *p1, const Pair *p2, double within1, double within2, double gap1, double gap2)
{
	double		n1 = p1->y.n;
	double		n2 = p2->y.n;

	return (n1 - 1) * within1 + (n2 - 1) * within2 + n1 * n2 / (n1 + n2) * gap1 * gap2;
}

/*
 * cuped_test(n1, mean_y1, variance_y1, mean_x1, variance_x1, covariance1, n2, ...,
 * confidence, alternative): Welch's test of y less theta * x, where theta is the slope
 * of y on x in both groups together (Deng, Xu, Kohavi and Walker, WSDM 2013).
 */
Datum
te_cuped_test(PG_FUNCTION_ARGS)
{
	Pair		p[2];
	double		confidence;
	double		theta,
				products_x,
				raw,
				gap_x;
	TeSide		side;
	TeEstimate	e = {0};
	Datum		values[9];
	int			i;

	read_pair(fcinfo, 0, 1, &p[0]);
	read_pair(fcinfo, 6, 2, &p[1]);
	side = read_options(fcinfo, 12, &confidence);
	gap_x = p[1].mean_x - p[0].mean_x;
	products_x = joint_products(&p[0], &p[1], p[0].variance_x, p[1].variance_x, gap_x, gap_x);
	theta = products_x == 0 ? 0.0
		: joint_products(&p[0], &p[1], p[0].covariance, p[1].covariance,
						 gap_x, p[1].y.mean - p[0].y.mean) / products_x;
	raw = p[0].y.variance / p[0].y.n + p[1].y.variance / p[1].y.n;
	e.value = p[1].y.mean - p[0].y.mean - theta * gap_x;
	for (i = 0; i < 2; i++)
		p[i].y.variance = Max(p[i].y.variance + theta * theta * p[i].variance_x
							  - 2 * theta * p[i].covariance, 0.0);
	e.se = sqrt(p[0].y.variance / p[0].y.n + p[1].y.variance / p[1].y.n);
	e.df = satterthwaite(&p[0].y, &p[1].y);
	te_experiment_conclude(&e, confidence, side);
	values[0] = Float8GetDatum(theta);
	values[8] = Float8GetDatum(raw > 0 ? e.se * e.se / raw : 1.0);
	return estimate_row(fcinfo, values, 1, &e);
}
