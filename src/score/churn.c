/*
 * churn.c
 *		What a fitted model says of a customer: pure functions of its parameters.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "errors.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_churn_risk);
PG_FUNCTION_INFO_V1(te_alive_probability);
PG_FUNCTION_INFO_V1(te_expected_purchases);
PG_FUNCTION_INFO_V1(te_expected_spend);
PG_FUNCTION_INFO_V1(te_lifetime_value);

/* Parameters of gamma-gamma. */
typedef struct Spend
{
	double		p;
	double		q;
	double		gamma;
} Spend;

/* The models of the last call from the same expression, which are most often the next's, too. */
typedef struct Memory
{
	Jsonb	   *churn_source;
	TeScoreChurn churn;
	Jsonb	   *spend_source;
	Spend		spend;
} Memory;

/*
 * What this call site remembers, in the context of its function.
 */
static Memory *
memory_of(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Memory));
	return fcinfo->flinfo->fn_extra;
}

/*
 * Whether the source is the one remembered; if not it is now.
 */
static bool
is_remembered(FunctionCallInfo fcinfo, Jsonb **remembered, Jsonb *source)
{
	if (*remembered && VARSIZE(*remembered) == VARSIZE(source) &&
		memcmp(*remembered, source, VARSIZE(source)) == 0)
		return true;
	if (*remembered)
		pfree(*remembered);
	*remembered = NULL;
	return false;
}

/*
 * Keeps a copy of the source, once it has been understood.
 */
static void
remember(FunctionCallInfo fcinfo, Jsonb **remembered, Jsonb *source)
{
	*remembered = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, VARSIZE(source));
	memcpy(*remembered, source, VARSIZE(source));
}

/*
 * A parameter, which must be there and greater than 0.
 */
static double
parameter(Jsonb *model, const char *key, const char *what)
{
	double		value = te_json_number(model, key, -1, what);

	if (!(value > 0 && isfinite(value)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s needs the parameter \"%s\" greater than 0", what, key)));
	return value;
}

/*
 * The churn model of an argument.
 */
static const TeScoreChurn *
churn_model(FunctionCallInfo fcinfo, int arg)
{
	Memory	   *memory = memory_of(fcinfo);
	Jsonb	   *source = PG_GETARG_JSONB_P(arg);
	char	   *kind;
	TeScoreChurn *model = &memory->churn;

	if (is_remembered(fcinfo, &memory->churn_source, source))
		return model;
	kind = te_json_text(source, "model", "a churn model");
	if (kind && strcmp(kind, "bg_nbd") == 0)
	{
		model->kind = TE_CHURN_BG_NBD;
		model->p3 = parameter(source, "a", "a BG/NBD model");
		model->p4 = parameter(source, "b", "a BG/NBD model");
	}
	else if (kind && strcmp(kind, "pareto_nbd") == 0)
	{
		model->kind = TE_CHURN_PARETO_NBD;
		model->p3 = parameter(source, "s", "a Pareto/NBD model");
		model->p4 = parameter(source, "beta", "a Pareto/NBD model");
	}
	else
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("not a churn model: its \"model\" is %s", kind ? kind : "missing"),
				 errhint("Give what trigger_engine.fit_churn() returned, or trigger_engine.model_parameters('name').")));
	model->r = parameter(source, "r", "a churn model");
	model->alpha = parameter(source, "alpha", "a churn model");
	remember(fcinfo, &memory->churn_source, source);
	return model;
}

/*
 * The spend model of an argument.
 */
static const Spend *
spend_model(FunctionCallInfo fcinfo, int arg)
{
	Memory	   *memory = memory_of(fcinfo);
	Jsonb	   *source = PG_GETARG_JSONB_P(arg);
	char	   *kind;

	if (is_remembered(fcinfo, &memory->spend_source, source))
		return &memory->spend;
	kind = te_json_text(source, "model", "a spend model");
	if (kind == NULL || strcmp(kind, "gamma_gamma") != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("not a spend model: its \"model\" is %s", kind ? kind : "missing"),
				 errhint("Give what trigger_engine.fit_spend() returned, or trigger_engine.model_parameters('name').")));
	memory->spend.p = parameter(source, "p", "a spend model");
	memory->spend.q = parameter(source, "q", "a spend model");
	memory->spend.gamma = parameter(source, "gamma", "a spend model");
	remember(fcinfo, &memory->spend_source, source);
	return &memory->spend;
}

/*
 * The customer of three arguments; throws when there can be none such.
 */
static TeCustomer
customer_of(FunctionCallInfo fcinfo, int arg)
{
	TeCustomer	c;

	c.x = PG_GETARG_FLOAT8(arg);
	c.t_x = PG_GETARG_FLOAT8(arg + 1);
	c.T = PG_GETARG_FLOAT8(arg + 2);
	c.weight = 1;
	if (!(isfinite(c.x) && isfinite(c.t_x) && isfinite(c.T) && c.x >= 0 && c.t_x >= 0 && c.T >= c.t_x))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("frequency %g, recency %g, age %g are not of a customer", c.x, c.t_x, c.T),
				 errdetail("All are finite and not negative, and recency is at most age.")));
	if (c.x == 0)
		c.t_x = 0;
	return c;
}

/*
 * A time or amount of an argument; throws unless it is finite and not negative.
 */
static double
amount_of(FunctionCallInfo fcinfo, int arg, const char *name)
{
	double		value = PG_GETARG_FLOAT8(arg);

	if (!(isfinite(value) && value >= 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %g, but must be finite and not negative", name, value)));
	return value;
}

/*
 * churn_risk(model, frequency, recency, age, horizon)
 */
Datum
te_churn_risk(PG_FUNCTION_ARGS)
{
	const TeScoreChurn *model = churn_model(fcinfo, 0);
	TeCustomer	c = customer_of(fcinfo, 1);

	PG_RETURN_FLOAT8(1 - te_score_churn_any(model, &c, amount_of(fcinfo, 4, "horizon")));
}

/*
 * alive_probability(model, frequency, recency, age)
 */
Datum
te_alive_probability(PG_FUNCTION_ARGS)
{
	const TeScoreChurn *model = churn_model(fcinfo, 0);
	TeCustomer	c = customer_of(fcinfo, 1);

	PG_RETURN_FLOAT8(te_score_churn_alive(model, &c));
}

/*
 * expected_purchases(model, frequency, recency, age, horizon)
 */
Datum
te_expected_purchases(PG_FUNCTION_ARGS)
{
	const TeScoreChurn *model = churn_model(fcinfo, 0);
	TeCustomer	c = customer_of(fcinfo, 1);

	PG_RETURN_FLOAT8(te_score_churn_expected(model, &c, amount_of(fcinfo, 4, "horizon")));
}

/*
 * The mean of what the customer spends, with what is known of them: E(M | x, m) = p
 * (gamma + m x) / (p x + q - 1). Throws where it is infinite.
 */
static double
mean_spend(const Spend *spend, double x, double m)
{
	if (spend->p * x + spend->q <= 1)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the mean spend of a customer is infinite in a model with q = %g", spend->q)));
	return spend->p * (spend->gamma + m * x) / (spend->p * x + spend->q - 1);
}

/*
 * expected_spend(model, frequency, spend)
 */
Datum
te_expected_spend(PG_FUNCTION_ARGS)
{
	const Spend *spend = spend_model(fcinfo, 0);

	PG_RETURN_FLOAT8(mean_spend(spend, amount_of(fcinfo, 1, "frequency"), amount_of(fcinfo, 2, "spend")));
}

/*
 * lifetime_value(churn, spend_model, frequency, recency, age, spend, horizon, discount):
 * purchases of each unit of time, discounted at its end.
 */
Datum
te_lifetime_value(PG_FUNCTION_ARGS)
{
	const TeScoreChurn *model = churn_model(fcinfo, 0);
	const Spend *spend = spend_model(fcinfo, 1);
	TeCustomer	c = customer_of(fcinfo, 2);
	double		m = amount_of(fcinfo, 5, "spend");
	double		horizon = amount_of(fcinfo, 6, "horizon");
	double		discount = amount_of(fcinfo, 7, "discount");
	TeSum		value = {0};
	double		before = 0;
	double		t;

	if (horizon > 100000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("horizon is %g, but at most 100000 units of time are added up", horizon)));
	if (discount == 0)
		te_score_add(&value, te_score_churn_expected(model, &c, horizon));
	else
		for (t = 1; t - 1 < horizon; t++)
		{
			double		expected = te_score_churn_expected(model, &c, Min(t, horizon));

			te_score_add(&value, (expected - before) * exp(-Min(t, horizon) * log1p(discount)));
			before = expected;
			CHECK_FOR_INTERRUPTS();
		}
	PG_RETURN_FLOAT8(te_score_total(&value) * mean_spend(spend, c.x, m));
}
