/*
 * bandit.c
 *		Thompson sampling whose draws can be recomputed, and what a policy would have
 *		earned, from the log of another one.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "experiment/experiment_internal.h"
#include "experiment/special.h"

PG_FUNCTION_INFO_V1(te_thompson_weights);
PG_FUNCTION_INFO_V1(te_thompson_choice);
PG_FUNCTION_INFO_V1(te_ips_add);
PG_FUNCTION_INFO_V1(te_ips_combine);
PG_FUNCTION_INFO_V1(te_ips_finish);

/* ---- Thompson sampling ---- */

/* Arms with the share that each gets whatever it has earned. */
typedef struct Bandit
{
	int			count;
	TePosterior *arms;
	double	   *floors;
	double		rest;			/* what the floors leave */
} Bandit;

/*
 * Reads successes, trials, prior_alpha, prior_beta, floors and penalties, the last two
 * of which may be null. Throws on bad input. False when another one is null.
 */
static bool
read_bandit(FunctionCallInfo fcinfo, int first, Bandit *bandit)
{
	int			n,
				i;
	double		sum = 0.0;

	for (i = 0; i < 4; i++)
		if (PG_ARGISNULL(first + i))
			return false;
	bandit->arms = te_experiment_beta_arms(PG_GETARG_ARRAYTYPE_P(first), PG_GETARG_ARRAYTYPE_P(first + 1),
										   PG_GETARG_FLOAT8(first + 2), PG_GETARG_FLOAT8(first + 3),
										   &bandit->count);
	bandit->floors = palloc0(sizeof(double) * bandit->count);
	if (!PG_ARGISNULL(first + 4))
	{
		bandit->floors = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(first + 4), "floors", &n);
		if (n != bandit->count)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("floors must have one element for each arm")));
		for (i = 0; i < n; i++)
		{
			te_experiment_check_variance(bandit->floors[i], "every element of floors");
			sum += bandit->floors[i];
		}
	}
	if (sum > 1 + 1e-12)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("floors must not sum up to more than 1")));
	bandit->rest = Max(1 - sum, 0.0);
	if (!PG_ARGISNULL(first + 5))
	{
		double	   *penalties = te_experiment_doubles(PG_GETARG_ARRAYTYPE_P(first + 5), "penalties", &n);

		if (n != bandit->count)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("penalties must have one element for each arm")));
		for (i = 0; i < n; i++)
			bandit->arms[i].shift = penalties[i];
	}
	return true;
}

/*
 * Probability of each arm to be chosen, palloc'ed; they sum up to 1.
 */
static double *
choice_weights(const Bandit *bandit)
{
	double	   *weights = palloc(sizeof(double) * bandit->count);
	double		sum = 0.0;
	int			i;

	te_posterior_compare(bandit->arms, bandit->count, weights, NULL, NULL);
	for (i = 0; i < bandit->count; i++)
		sum += weights[i];
	for (i = 0; i < bandit->count; i++)
		weights[i] = bandit->floors[i] + bandit->rest * weights[i] / sum;
	return weights;
}

/*
 * thompson_weights(successes, trials, prior_alpha, prior_beta, floors, penalties)
 */
Datum
te_thompson_weights(PG_FUNCTION_ARGS)
{
	Bandit		bandit;

	if (!read_bandit(fcinfo, 0, &bandit))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(te_experiment_make_array(choice_weights(&bandit), bandit.count));
}

/*
 * thompson_choice(seed, key, successes, trials, prior_alpha, prior_beta, floors,
 * penalties): the arm whose draw is the largest, where the draw of arm i is the
 * quantile of its posterior at keyed_uniform(seed, key, i). keyed_uniform(seed, key, 0)
 * says first whether a floor decides instead.
 */
Datum
te_thompson_choice(PG_FUNCTION_ARGS)
{
	Bandit		bandit;
	text	   *seed;
	text	   *key;
	double		u;
	double		most = -INFINITY;
	int			arm = -1;
	bool		by_floor = false;
	Datum		values[3];
	int			i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || !read_bandit(fcinfo, 2, &bandit))
		PG_RETURN_NULL();
	seed = PG_GETARG_TEXT_PP(0);
	key = PG_GETARG_TEXT_PP(1);
	u = te_experiment_uniform(VARDATA_ANY(seed), VARSIZE_ANY_EXHDR(seed),
							  VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), 0);
	for (i = 0; i < bandit.count && !by_floor; i++)
	{
		by_floor = u < bandit.floors[i];
		arm = i;
		u -= bandit.floors[i];
	}
	for (i = 0; i < bandit.count && !by_floor; i++)
	{
		double		draw = te_posterior_quantile(&bandit.arms[i],
												 te_experiment_uniform(VARDATA_ANY(seed), VARSIZE_ANY_EXHDR(seed),
																	   VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), i + 1));

		if (draw > most)
		{
			most = draw;
			arm = i;
		}
	}
	values[0] = Int32GetDatum(arm + 1);
	values[1] = Float8GetDatum(choice_weights(&bandit)[arm]);
	values[2] = BoolGetDatum(by_floor);
	return te_experiment_row(fcinfo, values, NULL);
}

/* ---- inverse propensity ---- */

/*
 * The state of the aggregate: the number of rows, then five sums, each with the part
 * that rounding took from it (Neumaier's compensated summation), so that the order of
 * rows and the number of parallel workers do not show.
 */
enum
{
	SUM_W,						/* weight = target / logged propensity */
	SUM_WW,
	SUM_WR,						/* with the reward */
	SUM_WWR,
	SUM_WWRR,
	NSUMS
};

#define STATE_SIZE (1 + 2 * NSUMS)

/*
 * The state as doubles that may be changed: in place within an aggregate, else a copy.
 */
static double *
ips_state(FunctionCallInfo fcinfo, ArrayType **array)
{
	*array = AggCheckCallContext(fcinfo, NULL) ? PG_GETARG_ARRAYTYPE_P(0) : PG_GETARG_ARRAYTYPE_P_COPY(0);
	if (ARR_NDIM(*array) != 1 || ARR_DIMS(*array)[0] != STATE_SIZE || ARR_HASNULL(*array) ||
		ARR_ELEMTYPE(*array) != FLOAT8OID)
		elog(ERROR, "state of ips() is not an array of %d numbers", STATE_SIZE);
	return (double *) ARR_DATA_PTR(*array);
}

/*
 * Adds a number to a sum.
 */
static void
add_compensated(double *pair, double x)
{
	double		sum = pair[0] + x;

	pair[1] += fabs(pair[0]) >= fabs(x) ? pair[0] - sum + x : x - sum + pair[0];
	pair[0] = sum;
}

/*
 * _ips_add(state, reward, propensity, target)
 */
Datum
te_ips_add(PG_FUNCTION_ARGS)
{
	ArrayType  *array;
	double	   *state = ips_state(fcinfo, &array);
	double		reward = PG_GETARG_FLOAT8(1);
	double		logged = PG_GETARG_FLOAT8(2);
	double		target = PG_GETARG_FLOAT8(3);
	double		w;

	te_experiment_check_number(reward, "reward");
	if (!(logged > 0 && logged <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("propensity must be more than 0 and at most 1")));
	if (!(target >= 0 && target <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target must be between 0 and 1")));
	w = target / logged;
	state[0] += 1;
	add_compensated(state + 1 + 2 * SUM_W, w);
	add_compensated(state + 1 + 2 * SUM_WW, w * w);
	add_compensated(state + 1 + 2 * SUM_WR, w * reward);
	add_compensated(state + 1 + 2 * SUM_WWR, w * w * reward);
	add_compensated(state + 1 + 2 * SUM_WWRR, w * w * reward * reward);
	PG_RETURN_ARRAYTYPE_P(array);
}

/*
 * _ips_combine(state, state)
 */
Datum
te_ips_combine(PG_FUNCTION_ARGS)
{
	ArrayType  *array;
	double	   *state = ips_state(fcinfo, &array);
	ArrayType  *other_array = PG_GETARG_ARRAYTYPE_P(1);
	double	   *other = (double *) ARR_DATA_PTR(other_array);
	int			i;

	if (ARR_NDIM(other_array) != 1 || ARR_DIMS(other_array)[0] != STATE_SIZE)
		elog(ERROR, "state of ips() is not an array of %d numbers", STATE_SIZE);
	state[0] += other[0];
	for (i = 1; i < STATE_SIZE; i += 2)
	{
		add_compensated(state + i, other[i]);
		add_compensated(state + i, other[i + 1]);
	}
	PG_RETURN_ARRAYTYPE_P(array);
}

/*
 * _ips_finish(state): n, estimate and error by inverse propensity, the same
 * self-normalised, effective n
 */
Datum
te_ips_finish(PG_FUNCTION_ARGS)
{
	ArrayType  *array;
	double	   *state = ips_state(fcinfo, &array);
	double		n = state[0];
	double		sum[NSUMS];
	double		ips,
				snips;
	Datum		values[6];
	bool		nulls[6] = {false};
	int			i;

	if (n == 0)
		PG_RETURN_NULL();
	for (i = 0; i < NSUMS; i++)
		sum[i] = state[1 + 2 * i] + state[2 + 2 * i];
	ips = sum[SUM_WR] / n;
	snips = sum[SUM_WR] / sum[SUM_W];
	values[0] = Int64GetDatum((int64) n);
	values[1] = Float8GetDatum(ips);
	values[2] = Float8GetDatum(sqrt(Max(sum[SUM_WWRR] - n * ips * ips, 0.0) / (n - 1) / n));
	values[3] = Float8GetDatum(snips);
	values[4] = Float8GetDatum(sqrt(Max(sum[SUM_WWRR] - 2 * snips * sum[SUM_WWR] + snips * snips * sum[SUM_WW], 0.0))
							   / sum[SUM_W]);
	values[5] = Float8GetDatum(sum[SUM_W] * sum[SUM_W] / sum[SUM_WW]);
	nulls[2] = n < 2;
	/* a policy that would never have done any of this has no rate of its own */
	nulls[3] = nulls[4] = nulls[5] = sum[SUM_W] == 0;
	return te_experiment_row(fcinfo, values, nulls);
}
