/*
 * churn_fit.c
 *		Fitting models of churn and of spend by maximum likelihood.
 *
 * Customers who are alike are put together first: of 2,357 in the usual example 1,400
 * kinds remain, and few have an x of their own, on which the costly parts depend. What
 * is varied is the logarithm of each parameter, with times counted in units of the
 * longest, so that days and weeks take the same way.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "common/common.h"
#include "errors.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_fit_churn);
PG_FUNCTION_INFO_V1(te_fit_spend);

#define MAX_CALLS 20000
/* Logarithms of parameters are looked for within these bounds. */
#define BOUND 14
#define NEAR_BOUND 12

/* Names that columns of the query may have. */
static const char *const frequency_names[] = {"frequency", "x", NULL};
static const char *const recency_names[] = {"recency", "t_x", "tx", NULL};
static const char *const age_names[] = {"age", "t", NULL};
static const char *const spend_names[] = {"spend", "mean_spend", "monetary_value", "monetary", "mean_value", NULL};
static const char *const weight_names[] = {"customers", "weight", NULL};

#define NCOLUMNS 4

/* The query's rows. For spend, t_x is the mean value of a purchase. */
typedef struct Customers
{
	TeReader	reader;
	bool		spend;
	int			column[NCOLUMNS];	/* x, t_x, T, weight, or -1 */
	Oid			type[NCOLUMNS];
	TeCustomer *rows;
	int			count;
	int			size;
	double		total;			/* customers */
	double		purchases;		/* of all of them, after the first */
	double		skipped;		/* for spend: without a repeat purchase */
	double		scale;
} Customers;

/*
 * Finds the columns, by name or, when none has one of the names, by place.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
	Customers  *customers = (Customers *) reader;
	int			wanted = customers->spend ? 2 : 3;
	int			found = 0;
	int			i;

	customers->column[0] = te_score_find_column(columns, frequency_names);
	customers->column[1] = te_score_find_column(columns, customers->spend ? spend_names : recency_names);
	customers->column[2] = customers->spend ? -1 : te_score_find_column(columns, age_names);
	customers->column[3] = te_score_find_column(columns, weight_names);
	for (i = 0; i < wanted; i++)
		found += customers->column[i] >= 0;
	if (found == 0 && columns->natts >= wanted && columns->natts <= wanted + 1)
		for (i = 0; i < columns->natts; i++)
			customers->column[i == wanted ? 3 : i] = i;
	else if (found < wanted)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query of %s must have %s", reader->what,
						customers->spend ? "the columns frequency and spend" : "the columns frequency, recency and age"),
				 errhint("A column customers may say how many are alike. Other columns are not looked at.")));
	for (i = 0; i < NCOLUMNS; i++)
	{
		Form_pg_attribute attribute;

		if (customers->column[i] < 0)
			continue;
		attribute = TupleDescAttr(columns, customers->column[i]);
		customers->type[i] = getBaseType(attribute->atttypid);
		if (!te_score_is_number(attribute->atttypid))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the query of %s is of type %s", NameStr(attribute->attname),
							reader->what, format_type_be(attribute->atttypid)),
					 errhint("Times are numbers of one unit, as days or weeks.")));
	}
}

/*
 * Refuses a row, with its number.
 */
static void
refuse(TeReader *reader, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("row %llu of the query of %s: %s", (unsigned long long) reader->rows, reader->what, why)));
}

/*
 * Takes one row.
 */
static void
take_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	Customers  *customers = (Customers *) reader;
	double		number[NCOLUMNS] = {0, 0, 0, 1};
	TeCustomer *row;
	int			i;

	for (i = 0; i < NCOLUMNS; i++)
	{
		int			column = customers->column[i];

		if (column < 0)
			continue;
		if (nulls[column] && customers->spend && i == 1 && number[0] == 0)
			continue;
		if (nulls[column])
			refuse(reader, psprintf("%s is null", NameStr(TupleDescAttr(reader->columns, column)->attname)));
		number[i] = te_score_number(values[column], customers->type[i]);
		if (!isfinite(number[i]) || number[i] < 0)
			refuse(reader, psprintf("%s is %g, but must be finite and not negative",
									NameStr(TupleDescAttr(reader->columns, column)->attname), number[i]));
	}
	if (customers->spend)
	{
		if (number[0] == 0)
		{
			customers->skipped += number[3];
			return;
		}
		if (number[1] == 0)
			refuse(reader, "spend is 0 where there are purchases");
	}
	else if (number[1] > number[2])
		refuse(reader, psprintf("recency %g is greater than age %g", number[1], number[2]));
	else if (number[0] == 0 && number[1] > 0)
		refuse(reader, "a recency without a repeat purchase");
	if (number[3] == 0)
		return;
	if (customers->count == customers->size)
	{
		Size		size = Max(customers->size * (Size) 2, 1024);

		if (size > PG_INT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the query of %s has too many rows", reader->what)));
		customers->rows = customers->rows
			? repalloc_huge(customers->rows, size * sizeof(TeCustomer))
			: MemoryContextAllocHuge(reader->context, size * sizeof(TeCustomer));
		customers->size = size;
	}
	row = &customers->rows[customers->count++];
	row->x = number[0];
	row->t_x = number[1];
	row->T = number[2];
	row->weight = number[3];
}

/*
 * Orders customers by x, then t_x, then T.
 */
static int
compare_customers(const void *a, const void *b)
{
	const TeCustomer *c = a;
	const TeCustomer *d = b;

	if (c->x != d->x)
		return c->x < d->x ? -1 : 1;
	if (c->t_x != d->t_x)
		return c->t_x < d->t_x ? -1 : 1;
	if (c->T != d->T)
		return c->T < d->T ? -1 : 1;
	return 0;
}

/*
 * Reads the query and puts customers together who are alike. Throws when there is
 * nothing to fit.
 */
static void
read_customers(Customers *customers, const char *query)
{
	TeSum		total = {0};
	TeSum		purchases = {0};
	double		longest = 0;
	int			i,
				n = 0;

	te_score_read(&customers->reader, query);
	if (customers->count > 0)
		qsort(customers->rows, customers->count, sizeof(TeCustomer), compare_customers);
	for (i = 0; i < customers->count; i++)
	{
		TeCustomer *row = &customers->rows[i];

		te_score_add(&total, row->weight);
		te_score_add(&purchases, row->weight * row->x);
		longest = Max(longest, customers->spend ? row->t_x : row->T);
		if (n > 0 && compare_customers(row, &customers->rows[n - 1]) == 0)
			customers->rows[n - 1].weight += row->weight;
		else
			customers->rows[n++] = *row;
	}
	customers->count = n;
	customers->total = te_score_total(&total);
	customers->purchases = te_score_total(&purchases);
	customers->scale = longest;
	if (n == 0 || customers->rows[n - 1].x == 0 || longest == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s has %s", customers->reader.what,
						customers->total + customers->skipped == 0 ? "no rows" : "no customer with a repeat purchase"),
				 errhint("frequency counts purchases after the first; see trigger_engine.purchase_summary().")));
	for (i = 0; i < n; i++)
	{
		customers->rows[i].t_x /= longest;
		customers->rows[i].T /= longest;
	}
}

/* What the minimizer passes to the likelihood. */
typedef struct Fit
{
	Customers  *customers;
	TeChurnKind kind;
	int			tries;
} Fit;

/*
 * The model with the given logarithms of its parameters.
 */
static TeScoreChurn
model_at(TeChurnKind kind, const double *logs)
{
	TeScoreChurn model = {kind, exp(logs[0]), exp(logs[1]), exp(logs[2]), exp(logs[3])};

	return model;
}

/*
 * Whether a point lies within the bounds.
 */
static bool
in_bounds(const double *logs, int n, double bound)
{
	int			i;

	for (i = 0; i < n; i++)
		if (!(fabs(logs[i]) <= bound))
			return false;
	return true;
}

/*
 * Minus the log likelihood of all customers.
 */
static double
minus_churn(const double *logs, void *arg)
{
	Fit		   *fit = arg;
	Customers  *customers = fit->customers;
	TeScoreChurn model;
	TeSum		sum = {0};
	double		constant = 0;
	int			i;

	if (!in_bounds(logs, 4, BOUND))
		return INFINITY;
	model = model_at(fit->kind, logs);
	for (i = 0; i < customers->count; i++)
	{
		const TeCustomer *c = &customers->rows[i];

		if (i == 0 || c->x != c[-1].x)
			constant = te_score_churn_constant(&model, c->x);
		te_score_add(&sum, c->weight * (constant + te_score_churn_variable(&model, c)));
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	te_score_progress(customers->reader.what, "%d tries so far", ++fit->tries);
	return -te_score_total(&sum);
}

/*
 * Minus the log likelihood of the Gamma-Gamma model (Fader & Hardie 2013): the mean m of
 * x purchases of somebody with a gamma distributed scale.
 */
static double
minus_spend(const double *logs, void *arg)
{
	Customers  *customers = ((Fit *) arg)->customers;
	TeSum		sum = {0};
	double		p,
				q,
				gamma,
				constant = 0;
	int			i;

	if (!in_bounds(logs, 3, BOUND))
		return INFINITY;
	p = exp(logs[0]);
	q = exp(logs[1]);
	gamma = exp(logs[2]);
	for (i = 0; i < customers->count; i++)
	{
		const TeCustomer *c = &customers->rows[i];
		double		m = c->t_x;

		if (i == 0 || c->x != c[-1].x)
			constant = te_score_lgamma(p * c->x + q) - te_score_lgamma(p * c->x) - te_score_lgamma(q) +
				q * log(gamma) + p * c->x * log(c->x);
		te_score_add(&sum, c->weight * (constant + (p * c->x - 1) * log(m) -
										(p * c->x + q) * log(gamma + c->x * m)));
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return -te_score_total(&sum);
}

/*
 * What both results end with: how good it is, and what to make of it.
 */
static void
put_outcome(TeBuilder *builder, const Customers *customers, double log_likelihood, bool converged, const double *logs, int n)
{
	te_score_put_number(builder, "log_likelihood", log_likelihood);
	te_score_put_number(builder, "customers", customers->total);
	te_score_put_bool(builder, "converged", converged);
	if (!in_bounds(logs, n, NEAR_BOUND))
		te_score_put_text(builder, "warning",
						  "a parameter ran to its bound: the rows do not tell all parameters apart");
}

/*
 * Stores the result when a name is given, with its version in it.
 */
static Jsonb *
finish_fit(FunctionCallInfo fcinfo, int name_arg, const char *kind, const char *query, Jsonb *result)
{
	TeModelRow	row = {0};

	if (PG_ARGISNULL(name_arg))
		return result;
	row.name = text_to_cstring(PG_GETARG_TEXT_PP(name_arg));
	row.kind = kind;
	row.parameters = result;
	row.query = query;
	te_score_save_model(&row);
	return result;
}

/*
 * fit_churn(query, model, save_as)
 */
Datum
te_fit_churn(PG_FUNCTION_ARGS)
{
	static const char *const kinds[] = {"bg_nbd", "pareto_nbd", NULL};
	Customers	customers = {0};
	Fit			fit = {&customers, TE_CHURN_BG_NBD};
	TeScoreChurn model;
	TeBuilder	builder;
	double		logs[4] = {0, 0, 0, 0};
	double		minimum;
	bool		converged;
	char	   *query;
	char	   *name;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query and model are required")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (strcmp(name, kinds[TE_CHURN_PARETO_NBD]) == 0)
		fit.kind = TE_CHURN_PARETO_NBD;
	else if (strcmp(name, kinds[TE_CHURN_BG_NBD]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown churn model \"%s\"", name),
				 errhint("Models are bg_nbd and pareto_nbd.")));
	customers.reader.what = "fit_churn";
	customers.reader.start = start;
	customers.reader.row = take_row;
	read_customers(&customers, query);
	logs[1] = log(0.2);
	minimum = te_score_minimize(minus_churn, &fit, 4, logs, 0.5, MAX_CALLS, &converged);
	model = model_at(fit.kind, logs);

	te_score_build(&builder);
	te_score_put_text(&builder, "model", kinds[fit.kind]);
	te_score_put_number(&builder, "r", model.r);
	te_score_put_number(&builder, "alpha", model.alpha * customers.scale);
	if (fit.kind == TE_CHURN_BG_NBD)
	{
		te_score_put_number(&builder, "a", model.p3);
		te_score_put_number(&builder, "b", model.p4);
	}
	else
	{
		te_score_put_number(&builder, "s", model.p3);
		te_score_put_number(&builder, "beta", model.p4 * customers.scale);
	}
	/* a density over times of purchases: counted in the query's unit again */
	put_outcome(&builder, &customers, -minimum - customers.purchases * log(customers.scale), converged, logs, 4);
	PG_RETURN_JSONB_P(finish_fit(fcinfo, 2, kinds[fit.kind], query, te_score_built(&builder)));
}

/*
 * fit_spend(query, save_as)
 */
Datum
te_fit_spend(PG_FUNCTION_ARGS)
{
	Customers	customers = {0};
	Fit			fit = {&customers};
	TeBuilder	builder;
	double		logs[3] = {1, 1, -1};
	double		minimum;
	bool		converged;
	char	   *query;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query is required")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	customers.reader.what = "fit_spend";
	customers.reader.start = start;
	customers.reader.row = take_row;
	customers.spend = true;
	read_customers(&customers, query);
	minimum = te_score_minimize(minus_spend, &fit, 3, logs, 0.5, MAX_CALLS, &converged);

	te_score_build(&builder);
	te_score_put_text(&builder, "model", "gamma_gamma");
	te_score_put_number(&builder, "p", exp(logs[0]));
	te_score_put_number(&builder, "q", exp(logs[1]));
	te_score_put_number(&builder, "gamma", exp(logs[2]) * customers.scale);
	/* a density over amounts: counted in the query's units again */
	put_outcome(&builder, &customers, -minimum - customers.total * log(customers.scale), converged, logs, 3);
	PG_RETURN_JSONB_P(finish_fit(fcinfo, 1, "gamma_gamma", query, te_score_built(&builder)));
}
