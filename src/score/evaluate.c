/*
 * evaluate.c
 *		How good predicted probabilities are: log loss, Brier score, area under the ROC
 *		curve, calibration error.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "score/logistic.h"

PG_FUNCTION_INFO_V1(te_evaluate_predictions);

#define BINS 10
/* Probabilities are taken for at least this far from 0 and 1 when their logarithm counts. */
#define LEAST 1e-15

/*
 * Begins, in the current context.
 */
void
te_score_evaluation_init(TeEvaluation *evaluation)
{
	memset(evaluation, 0, sizeof(*evaluation));
	evaluation->context = CurrentMemoryContext;
}

/*
 * The loss of a probability: minus the logarithm of what it gave to the outcome. Does
 * not throw.
 */
static double
log_loss(double predicted, bool outcome)
{
	return -log(Max(LEAST, outcome ? predicted : 1 - predicted));
}

/*
 * Notes one prediction and its outcome, and what the base rate alone would have said.
 */
void
te_score_evaluate(TeEvaluation *evaluation, double predicted, double base_rate, bool outcome)
{
	if (evaluation->count == evaluation->size)
	{
		int64		size = Max(evaluation->size * 2, 1024);

		evaluation->predicted = evaluation->predicted
			? repalloc_huge(evaluation->predicted, size * sizeof(double))
			: MemoryContextAllocHuge(evaluation->context, size * sizeof(double));
		evaluation->size = size;
	}
	/* the sign bit holds the outcome */
	evaluation->predicted[evaluation->count++] = copysign(predicted, outcome ? -1 : 1);
	evaluation->positives += outcome;
	te_score_add(&evaluation->loss, log_loss(predicted, outcome));
	te_score_add(&evaluation->base_loss, log_loss(base_rate, outcome));
	te_score_add(&evaluation->brier, (predicted - outcome) * (predicted - outcome));
}

/*
 * Order of two predictions, whatever their outcomes.
 */
static int
compare_predicted(const void *a, const void *b)
{
	double		x = fabs(*(const double *) a);
	double		y = fabs(*(const double *) b);

	return x < y ? -1 : x > y;
}

/*
 * The probability that a row with a positive outcome was predicted higher than one with
 * a negative, ties counted half (Hanley & McNeil 1982). NaN when there is one outcome
 * only. Sorts what was noted.
 */
double
te_score_auc(TeEvaluation *evaluation)
{
	double		negatives = evaluation->count - evaluation->positives;
	double		below = 0;
	double		sum = 0;
	int64		i,
				j;

	if (evaluation->positives == 0 || negatives == 0)
		return NAN;
	qsort(evaluation->predicted, evaluation->count, sizeof(double), compare_predicted);
	for (i = 0; i < evaluation->count; i = j)
	{
		double		hits = 0;

		for (j = i; j < evaluation->count && fabs(evaluation->predicted[j]) == fabs(evaluation->predicted[i]); j++)
			hits += signbit(evaluation->predicted[j]) ? 1 : 0;
		sum += hits * (below + (j - i - hits) / 2);
		below += j - i - hits;
		CHECK_FOR_INTERRUPTS();
	}
	return sum / evaluation->positives / negatives;
}

/* A bin of predictions. */
typedef struct Bin
{
	double		count;
	double		hits;
	TeSum		predicted;
} Bin;

/*
 * Sorts predictions into bins of equal width.
 */
static void
fill_bins(const TeEvaluation *evaluation, Bin *bins)
{
	int64		i;

	memset(bins, 0, sizeof(Bin) * BINS);
	for (i = 0; i < evaluation->count; i++)
	{
		double		predicted = fabs(evaluation->predicted[i]);
		Bin		   *bin = &bins[Min((int) (predicted * BINS), BINS - 1)];

		bin->count++;
		bin->hits += signbit(evaluation->predicted[i]) ? 1 : 0;
		te_score_add(&bin->predicted, predicted);
	}
}

/*
 * Expected calibration error: the mean, weighted by rows, of how far the share of
 * positives lies from the mean prediction in each of 10 bins (Naeini, Cooper & Hauskrecht
 * 2015). Does not throw.
 */
double
te_score_calibration_error(const TeEvaluation *evaluation)
{
	Bin			bins[BINS];
	double		sum = 0;
	int			i;

	fill_bins(evaluation, bins);
	for (i = 0; i < BINS; i++)
		sum += fabs(bins[i].hits - te_score_total(&bins[i].predicted));
	return evaluation->count > 0 ? sum / evaluation->count : NAN;
}

/*
 * Puts everything into an object.
 */
void
te_score_put_evaluation(TeBuilder *builder, TeEvaluation *evaluation)
{
	double		count = evaluation->count;
	double		rate = evaluation->positives / count;

	te_score_put_number(builder, "rows", count);
	te_score_put_number(builder, "positives", evaluation->positives);
	te_score_put_number(builder, "base_rate", rate);
	te_score_put_number(builder, "log_loss", te_score_total(&evaluation->loss) / count);
	te_score_put_number(builder, "base_log_loss", te_score_total(&evaluation->base_loss) / count);
	te_score_put_number(builder, "brier", te_score_total(&evaluation->brier) / count);
	te_score_put_number(builder, "auc", te_score_auc(evaluation));
	te_score_put_number(builder, "calibration_error", te_score_calibration_error(evaluation));
}

/* A query of predictions and outcomes. */
typedef struct Predictions
{
	TeReader	reader;
	TeEvaluation evaluation;
	Oid			types[2];
} Predictions;

/*
 * Checks the columns.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
	Predictions *predictions = (Predictions *) reader;
	int			i;

	for (i = 0; i < 2; i++)
	{
		if (columns->natts != 2 || !te_score_is_number(TupleDescAttr(columns, i)->atttypid))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the query of %s must return a probability and an outcome", reader->what),
					 errhint("The outcome is a boolean, or 0 or 1.")));
		predictions->types[i] = getBaseType(TupleDescAttr(columns, i)->atttypid);
	}
}

/*
 * Takes one row.
 */
static void
take_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	Predictions *predictions = (Predictions *) reader;
	double		predicted = nulls[0] ? NAN : te_score_number(values[0], predictions->types[0]);
	double		outcome = nulls[1] ? NAN : te_score_number(values[1], predictions->types[1]);

	if (!(predicted >= 0 && predicted <= 1) || (outcome != 0 && outcome != 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("row %llu of the query of %s: %s", (unsigned long long) reader->rows, reader->what,
						predicted >= 0 && predicted <= 1 ? "the outcome is neither 0 nor 1" : "not a probability")));
	te_score_evaluate(&predictions->evaluation, predicted, 0.5, outcome == 1);
}

/*
 * The bins as an array, for a reliability diagram.
 */
static void
put_bins(TeBuilder *builder, const TeEvaluation *evaluation)
{
	Bin			bins[BINS];
	int			i;

	fill_bins(evaluation, bins);
	te_score_open(builder, "bins", true);
	for (i = 0; i < BINS; i++)
	{
		if (bins[i].count == 0)
			continue;
		te_score_open(builder, NULL, false);
		te_score_put_number(builder, "from", i / (double) BINS);
		te_score_put_number(builder, "rows", bins[i].count);
		te_score_put_number(builder, "predicted", te_score_total(&bins[i].predicted) / bins[i].count);
		te_score_put_number(builder, "observed", bins[i].hits / bins[i].count);
		te_score_close(builder, false);
	}
	te_score_close(builder, true);
}

/*
 * evaluate_predictions(query)
 */
Datum
te_evaluate_predictions(PG_FUNCTION_ARGS)
{
	Predictions predictions = {{0}};
	TeBuilder	builder;
	double		rate;

	te_score_evaluation_init(&predictions.evaluation);
	predictions.reader.what = "evaluate_predictions";
	predictions.reader.start = start;
	predictions.reader.row = take_row;
	te_score_read(&predictions.reader, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (predictions.evaluation.count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of evaluate_predictions has no rows")));
	/* here the base rate is that of the rows themselves */
	rate = predictions.evaluation.positives / predictions.evaluation.count;
	memset(&predictions.evaluation.base_loss, 0, sizeof(TeSum));
	if (rate > 0 && rate < 1)
		te_score_add(&predictions.evaluation.base_loss, predictions.evaluation.count *
					 -(rate * log(rate) + (1 - rate) * log1p(-rate)));
	te_score_build(&builder);
	te_score_put_evaluation(&builder, &predictions.evaluation);
	put_bins(&builder, &predictions.evaluation);
	PG_RETURN_JSONB_P(te_score_built(&builder));
}
