/*
 * beta.c
 *		Rates of rare outcomes: a beta distribution fitted to the rates of many groups
 *		(empirical Bayes, beta-binomial likelihood), and what it makes of one group.
 *
 * Where groups differ no more than chance makes them the likelihood has no maximum: it
 * grows with the precision alpha + beta for ever. So that is bounded, and a fit at the
 * bound is taken for what it is: one rate for all.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "errors.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_fit_beta_prior);

#define MAX_PRECISION 1e5
#define MIN_PRECISION 1e-2

static const char *const success_names[] = {"successes", "hits", "clicks", "opens", NULL};
static const char *const trial_names[] = {"trials", "sends", "impressions", NULL};

typedef struct Rate
{
	double		successes;
	double		trials;
	double		weight;			/* groups that are alike */
} Rate;

typedef struct Groups
{
	TeReader	reader;
	int			column[2];
	Oid			type[2];
	Rate	   *rows;
	int64		count;
	int64		size;
	double		groups;
	double		successes;
	double		trials;
} Groups;

/*
 * Finds the two columns, by name or else by place.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
	Groups	   *groups = (Groups *) reader;
	int			i;

	groups->column[0] = te_score_find_column(columns, success_names);
	groups->column[1] = te_score_find_column(columns, trial_names);
	if (groups->column[0] < 0 && groups->column[1] < 0 && columns->natts == 2)
		groups->column[1] = 1 + (groups->column[0] = 0);
	for (i = 0; i < 2; i++)
	{
		if (groups->column[i] < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query of %s must have the columns successes and trials", reader->what)));
		groups->type[i] = getBaseType(TupleDescAttr(columns, groups->column[i])->atttypid);
		if (!te_score_is_number(groups->type[i]))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the query of %s is of type %s",
							NameStr(TupleDescAttr(columns, groups->column[i])->attname), reader->what,
							format_type_be(groups->type[i]))));
	}
}

/*
 * Takes one group.
 */
static void
take_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	Groups	   *groups = (Groups *) reader;
	double		number[2];
	Rate	   *row;
	int			i;

	if (nulls[groups->column[0]] || nulls[groups->column[1]])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("row %llu of the query of %s holds a null", (unsigned long long) reader->rows, reader->what)));
	for (i = 0; i < 2; i++)
		number[i] = te_score_number(values[groups->column[i]], groups->type[i]);
	if (!(number[0] >= 0 && number[0] <= number[1] && isfinite(number[1])))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("row %llu of the query of %s: %g successes of %g trials",
						(unsigned long long) reader->rows, reader->what, number[0], number[1]),
				 errhint("Successes are between 0 and trials.")));
	groups->groups++;
	if (number[1] == 0)
		return;
	if (groups->count == groups->size)
	{
		int64		size = Max(groups->size * 2, 1024);

		groups->rows = groups->rows ? repalloc_huge(groups->rows, size * sizeof(Rate))
			: MemoryContextAllocHuge(reader->context, size * sizeof(Rate));
		groups->size = size;
	}
	row = &groups->rows[groups->count++];
	row->successes = number[0];
	row->trials = number[1];
	row->weight = 1;
}

/*
 * Order of two groups.
 */
static int
compare_groups(const void *a, const void *b)
{
	const Rate *x = a;
	const Rate *y = b;

	if (x->trials != y->trials)
		return x->trials < y->trials ? -1 : 1;
	return x->successes < y->successes ? -1 : x->successes > y->successes;
}

/*
 * Puts groups together that are alike, and sums everything up.
 */
static void
merge_groups(Groups *groups)
{
	TeSum		successes = {0};
	TeSum		trials = {0};
	int64		i,
				n = 0;

	if (groups->count > 0)
		qsort(groups->rows, groups->count, sizeof(Rate), compare_groups);
	for (i = 0; i < groups->count; i++)
	{
		te_score_add(&successes, groups->rows[i].successes);
		te_score_add(&trials, groups->rows[i].trials);
		if (n > 0 && compare_groups(&groups->rows[i], &groups->rows[n - 1]) == 0)
			groups->rows[n - 1].weight++;
		else
			groups->rows[n++] = groups->rows[i];
	}
	groups->count = n;
	groups->successes = te_score_total(&successes);
	groups->trials = te_score_total(&trials);
}

/*
 * log(Gamma(a + n) / Gamma(a)): for small whole n by its product, as the difference of
 * two large logarithms has few digits left. Does not throw.
 */
static double
log_rising(double a, double n)
{
	double		product = 1,
				sum = 0;
	int			i;

	if (n > 100 || n != floor(n))
		return te_score_lgamma(a + n) - te_score_lgamma(a);
	for (i = 0; i < n; i++)
	{
		product *= a + i;
		if (product > 1e250 || product < 1e-250)
		{
			sum += log(product);
			product = 1;
		}
	}
	return sum + log(product);
}

/*
 * Minus the beta-binomial log likelihood, without what does not depend on the parameters:
 * logit of the mean, logarithm of the precision.
 */
static double
minus_likelihood(const double *x, void *arg)
{
	Groups	   *groups = arg;
	double		mean = te_score_sigmoid(x[0]);
	double		precision = exp(x[1]);
	TeSum		sum = {0};
	int64		i;

	if (!(precision >= MIN_PRECISION && precision <= MAX_PRECISION * (1 + 1e-9) && mean > 1e-12 && mean < 1 - 1e-12))
		return INFINITY;
	for (i = 0; i < groups->count; i++)
	{
		const Rate *g = &groups->rows[i];

		te_score_add(&sum, g->weight * (log_rising(mean * precision, g->successes) +
										log_rising((1 - mean) * precision, g->trials - g->successes) -
										log_rising(precision, g->trials)));
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return -te_score_total(&sum);
}

/*
 * fit_beta_prior(query, save_as)
 */
Datum
te_fit_beta_prior(PG_FUNCTION_ARGS)
{
	Groups		groups = {{0}};
	TeBuilder	builder;
	double		x[2];
	double		minimum,
				mean,
				precision;
	bool		converged = true;
	bool		pooled = false;
	Jsonb	   *result;
	char	   *query;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query is required")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	groups.reader.what = "fit_beta_prior";
	groups.reader.start = start;
	groups.reader.row = take_row;
	te_score_read(&groups.reader, query);
	merge_groups(&groups);
	if (groups.trials == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of fit_beta_prior has no trials")));

	mean = groups.successes / groups.trials;
	if (groups.successes == 0 || groups.successes == groups.trials)
	{
		/* Jeffreys's half a success and half a failure keep the rate off its ends */
		pooled = true;
		precision = Min(groups.trials + 1, MAX_PRECISION);
		mean = (groups.successes + 0.5) / (groups.trials + 1);
	}
	else
	{
		x[0] = te_score_logit(mean);
		x[1] = log(10);
		minimum = te_score_minimize(minus_likelihood, &groups, 2, x, 0.5, 5000, &converged);
		precision = exp(x[1]);
		if (precision > MAX_PRECISION * 0.9)
		{
			pooled = true;
			precision = MAX_PRECISION;
		}
		else
			mean = te_score_sigmoid(x[0]);
	}
	x[0] = te_score_logit(mean);
	x[1] = log(precision);
	minimum = minus_likelihood(x, &groups);

	te_score_build(&builder);
	te_score_put_text(&builder, "model", "beta");
	te_score_put_number(&builder, "alpha", mean * precision);
	te_score_put_number(&builder, "beta", (1 - mean) * precision);
	te_score_put_number(&builder, "mean", mean);
	te_score_put_number(&builder, "precision", precision);
	te_score_put_bool(&builder, "pooled", pooled);
	te_score_put_number(&builder, "groups", groups.groups);
	te_score_put_number(&builder, "successes", groups.successes);
	te_score_put_number(&builder, "trials", groups.trials);
	te_score_put_number(&builder, "log_likelihood", -minimum);
	te_score_put_bool(&builder, "converged", converged);
	result = te_score_built(&builder);
	if (!PG_ARGISNULL(1))
	{
		TeModelRow	row = {0};

		row.name = text_to_cstring(PG_GETARG_TEXT_PP(1));
		row.kind = "beta";
		row.parameters = result;
		row.query = query;
		te_score_save_model(&row);
	}
	PG_RETURN_JSONB_P(result);
}
