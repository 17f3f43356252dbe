/*
 * distribution.c
 *		Distribution functions and quantiles for SQL.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_normal_cdf);
PG_FUNCTION_INFO_V1(te_normal_quantile);
PG_FUNCTION_INFO_V1(te_t_cdf);
PG_FUNCTION_INFO_V1(te_t_quantile);
PG_FUNCTION_INFO_V1(te_chi2_tail);
PG_FUNCTION_INFO_V1(te_beta_cdf);
PG_FUNCTION_INFO_V1(te_beta_quantile);

/*
 * A float8 argument that is a number, perhaps infinite. Throws for NaN.
 */
static double
number(FunctionCallInfo fcinfo, int argument, const char *name)
{
	double		x = PG_GETARG_FLOAT8(argument);

	if (isnan(x))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a number", name)));
	return x;
}

/*
 * A parameter of a distribution: above 0. Throws for others.
 */
static double
parameter(FunctionCallInfo fcinfo, int argument, const char *name, bool may_be_infinite)
{
	double		x = number(fcinfo, argument, name);

	if (x <= 0 || (isinf(x) && !may_be_infinite))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be more than 0%s", name, may_be_infinite ? "" : " and finite")));
	return x;
}

/*
 * A probability. Throws outside [0, 1].
 */
static double
probability(FunctionCallInfo fcinfo, int argument)
{
	double		p = PG_GETARG_FLOAT8(argument);

	if (!(p >= 0 && p <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("p must be between 0 and 1")));
	return p;
}

/*
 * normal_cdf(x)
 */
Datum
te_normal_cdf(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(te_special_normal_cdf(number(fcinfo, 0, "x")));
}

/*
 * normal_quantile(p)
 */
Datum
te_normal_quantile(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(te_special_normal_quantile(probability(fcinfo, 0)));
}

/*
 * t_cdf(t, df)
 */
Datum
te_t_cdf(PG_FUNCTION_ARGS)
{
	double		t = number(fcinfo, 0, "t");
	double		df = parameter(fcinfo, 1, "df", true);

	PG_RETURN_FLOAT8(isinf(df) ? te_special_normal_cdf(t) : te_special_t_tail(-t, df));
}

/*
 * t_quantile(p, df)
 */
Datum
te_t_quantile(PG_FUNCTION_ARGS)
{
	double		p = probability(fcinfo, 0);
	double		df = parameter(fcinfo, 1, "df", true);

	PG_RETURN_FLOAT8(isinf(df) ? te_special_normal_quantile(p) : te_special_t_quantile(p, df));
}

/*
 * chi2_tail(x, df)
 */
Datum
te_chi2_tail(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(te_special_chi2_tail(number(fcinfo, 0, "x"), parameter(fcinfo, 1, "df", false)));
}

/*
 * beta_cdf(x, a, b)
 */
Datum
te_beta_cdf(PG_FUNCTION_ARGS)
{
	double		x = number(fcinfo, 0, "x");
	double		lower,
				upper;

	te_special_beta(parameter(fcinfo, 1, "a", false), parameter(fcinfo, 2, "b", false), x, 1 - x, &lower, &upper);
	PG_RETURN_FLOAT8(lower);
}

/*
 * beta_quantile(p, a, b)
 */
Datum
te_beta_quantile(PG_FUNCTION_ARGS)
{
	double		p = probability(fcinfo, 0);

	PG_RETURN_FLOAT8(te_special_beta_quantile(parameter(fcinfo, 1, "a", false), parameter(fcinfo, 2, "b", false), p, 1 - p));
}
