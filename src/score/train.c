/*
 * train.c
 *		Training a logistic model by a query, learning on, and testing it over time.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "compat.h"
#include "errors.h"
#include "score/logistic.h"

PG_FUNCTION_INFO_V1(te_train_model);
PG_FUNCTION_INFO_V1(te_update_model);
PG_FUNCTION_INFO_V1(te_backtest_model);

#define DEFAULT_BITS 18

static const char *const option_keys[] = {
	"alpha", "beta", "l1", "l2", "prior_rows", "prior_positives", "bits", "time_column", "exclude", "positive",
	"categorical", "interactions", NULL
};

/* A row kept as it came. */
typedef struct KeptRow
{
	TeFeature  *items;
	int			count;
} KeptRow;

/* A training under way. */
typedef struct Run
{
	TeTraining	training;
	TeProfile	profile;
	TeEvaluation evaluation;
	KeptRow		sample[TE_RESERVOIR];	/* for the predictions of the finished model */
	TeRandom	random;
} Run;

/*
 * Keeps a fair sample of the rows, from a fixed seed.
 */
static void
sample_row(Run *run)
{
	TeFeatures *features = &run->training.features;
	int64		place = run->evaluation.count;
	KeptRow    *row;

	if (place >= TE_RESERVOIR)
		place = (int64) (te_random_double(&run->random) * (place + 1));
	if (place >= TE_RESERVOIR)
		return;
	row = &run->sample[place];
	if (row->items)
		pfree(row->items);
	row->count = features->count;
	row->items = MemoryContextAlloc(run->training.reader.context, sizeof(TeFeature) * Max(row->count, 1));
	memcpy(row->items, features->items, sizeof(TeFeature) * row->count);
}

/*
 * Notes what the finished model predicts of the sample, for later rows to be compared
 * with.
 */
static void
score_sample(Run *run)
{
	TeLogistic *model = run->training.model;
	TeFeatures	features = {model};
	int			i;

	te_score_logistic_freeze(model);
	for (i = 0; i < TE_RESERVOIR && run->sample[i].items; i++)
	{
		features.items = run->sample[i].items;
		features.count = features.size = run->sample[i].count;
		te_score_logistic_scale(model, &features, false);
		te_score_features_pair(&features);
		te_score_profile_number(&run->profile, &run->profile.scores, te_score_logistic_predict(model, &features));
	}
}

/*
 * Each row is predicted before it is learned from, which makes the losses honest.
 */
static void
learn_row(TeTraining *training, bool outcome)
{
	Run		   *run = (Run *) training;
	TeLogistic *model = training->model;
	double		base_rate = te_score_base_rate(model);
	double		predicted;

	sample_row(run);
	te_score_logistic_scale(model, &training->features, true);
	te_score_features_pair(&training->features);
	predicted = te_score_logistic_learn(model, &training->features, outcome);
	te_score_evaluate(&run->evaluation, predicted, base_rate, outcome);
	if ((uint64) training->reader.rows % 1024 == 0)
		te_score_progress(training->reader.what, "%.0f rows, log loss %.5f", (double) training->reader.rows,
						  te_score_total(&run->evaluation.loss) / run->evaluation.count);
}

/*
 * Takes what concerns the query from the options.
 */
static void
query_options(TeTraining *training, Jsonb *options, const char *what)
{
	training->time_name = te_json_text(options, "time_column", what);
	training->positive = te_json_text(options, "positive", what);
	training->excluded = te_json_array(options, "exclude", what);
}

/*
 * A model with the options, not trained yet.
 */
static TeLogistic *
new_model(Jsonb *options, const char *what)
{
	double		bits;
	TeLogistic *model;

	te_json_check_keys(options, what, option_keys);
	bits = te_json_number(options, "bits", DEFAULT_BITS, what);
	if (!(bits >= 4 && bits <= 24 && bits == floor(bits)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"bits\" of %s must be a whole number from 4 to 24", what)));
	model = te_score_logistic_new(bits);
	te_score_logistic_options(model, options, what);
	return model;
}

/*
 * Names the moments of numbers after the features at their weights.
 */
static void
name_moments(TeLogistic *model)
{
	int			i;

	for (i = 0; i < model->moments_size; i++)
		if (model->moments[i].key != 0 && model->moments[i].name == NULL)
			model->moments[i].name = model->names[model->moments[i].key >> (64 - model->bits)];
}

/*
 * Runs the training.
 */
static void
run_training(Run *run, const char *query, const char *what)
{
	TeTraining *training = &run->training;

	te_score_evaluation_init(&run->evaluation);
	training->profile = &run->profile;
	training->row = learn_row;
	training->features.naming = true;
	training->features.model = training->model;
	te_random_seed(&run->random, 1);
	te_score_training_read(training, query, what);
	name_moments(training->model);
	score_sample(run);
}

/*
 * Stores what was trained as a new version and returns its metrics, with the version.
 */
static Jsonb *
store(Run *run, const char *name, const char *query, Jsonb *options)
{
	TeLogistic *model = run->training.model;
	TeModelRow	row = {0};
	TeBuilder	builder;
	Jsonb	   *profile = te_score_profile_build(&run->profile);
	int			weights = 0;
	int			version,
				i;

	for (i = 0; i < 1 << model->bits; i++)
		weights += model->n[i] > 0;
	te_score_build(&builder);
	te_score_put_text(&builder, "model", "logistic");
	te_score_put_number(&builder, "bits", model->bits);
	te_score_put_number(&builder, "rows", model->rows);
	te_score_put_number(&builder, "positives", model->positives);
	te_score_put_number(&builder, "weights", weights);
	te_score_put_json(&builder, "options", options);
	te_score_put_json(&builder, "profile", profile);
	row.parameters = te_score_built(&builder);

	te_score_build(&builder);
	te_score_put_evaluation(&builder, &run->evaluation);
	te_score_put_number(&builder, "skipped", run->training.skipped);
	if (model->positives == 0 || model->positives == model->rows)
		te_score_put_text(&builder, "warning", "all rows have one outcome: the model knows little but their base rate");
	row.metrics = te_score_built(&builder);

	row.name = name;
	row.kind = "logistic";
	row.state = te_score_logistic_encode(model);
	row.options = options;
	row.query = query;
	row.target = run->training.target_name;
	version = te_score_save_model(&row);

	te_score_build(&builder);
	te_score_put_number(&builder, "version", version);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(te_score_built(&builder)),
											  JsonbPGetDatum(row.metrics)));
}

/*
 * The options argument, an empty object for NULL.
 */
static Jsonb *
options_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? te_json_parse("{}") : PG_GETARG_JSONB_P(arg);
}

/*
 * train_model(name, query, target, options)
 */
Datum
te_train_model(PG_FUNCTION_ARGS)
{
	Run			run = {{{0}}};
	Jsonb	   *options;
	char	   *query;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name, query and target are required")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	run.training.target_name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	options = options_arg(fcinfo, 3);
	run.training.model = new_model(options, "options of train_model");
	query_options(&run.training, options, "options of train_model");
	run_training(&run, query, "train_model");
	PG_RETURN_JSONB_P(store(&run, text_to_cstring(PG_GETARG_TEXT_PP(0)), query, options));
}

/*
 * update_model(name, query)
 */
Datum
te_update_model(PG_FUNCTION_ARGS)
{
	Run			run = {{{0}}};
	TeModelRow	row = {0};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));

	run.training.model = te_score_load_logistic(name, true, &row);
	run.training.target_name = row.target;
	query_options(&run.training, row.options, "options of a model");
	run_training(&run, query, "update_model");
	PG_RETURN_JSONB_P(store(&run, name, row.query, row.options));
}

/* A backtest under way: rows are kept until it is known how many there are. */
typedef struct Backtest
{
	TeTraining	training;
	TeFeature  *items;			/* of all rows */
	Size		nitems;
	Size		size;
	Size	   *ends;			/* of each row's */
	bool	   *outcomes;
	int64		nrows;
	int64		rows_size;
} Backtest;

/*
 * Keeps a row.
 */
static void
keep_row(TeTraining *training, bool outcome)
{
	Backtest   *backtest = (Backtest *) training;
	TeFeatures *features = &training->features;

	while (backtest->nitems + features->count > backtest->size)
	{
		backtest->size = Max(backtest->size * 2, 65536);
		backtest->items = backtest->items
			? repalloc_huge(backtest->items, backtest->size * sizeof(TeFeature))
			: MemoryContextAllocHuge(training->reader.context, backtest->size * sizeof(TeFeature));
	}
	if (backtest->nrows == backtest->rows_size)
	{
		int64		size = Max(backtest->rows_size * 2, 4096);

		backtest->ends = backtest->ends ? repalloc_huge(backtest->ends, size * sizeof(Size))
			: MemoryContextAllocHuge(training->reader.context, size * sizeof(Size));
		backtest->outcomes = backtest->outcomes ? repalloc_huge(backtest->outcomes, size)
			: MemoryContextAllocHuge(training->reader.context, size);
		backtest->rows_size = size;
	}
	memcpy(backtest->items + backtest->nitems, features->items, features->count * sizeof(TeFeature));
	backtest->nitems += features->count;
	backtest->ends[backtest->nrows] = backtest->nitems;
	backtest->outcomes[backtest->nrows++] = outcome;
}

/*
 * Puts a kept row back into the features, so that it can be scaled and combined.
 */
static void
fetch_row(Backtest *backtest, int64 row)
{
	TeFeatures *features = &backtest->training.features;
	Size		from = row == 0 ? 0 : backtest->ends[row - 1];
	int			count = backtest->ends[row] - from;

	te_score_features_begin(features, backtest->training.model, false);
	memcpy(features->items, backtest->items + from, count * sizeof(TeFeature));
	features->count = count;
}

/*
 * Tests one part with the model that has learned all before it, as it would have served,
 * and returns a row of the result.
 */
static void
test_part(Backtest *backtest, TeResult *result, int part, int64 from, int64 to)
{
	TeLogistic *model = backtest->training.model;
	TeEvaluation evaluation;
	double		base_rate = te_score_base_rate(model);
	Datum		values[9];
	bool		nulls[9] = {false};
	double		auc;
	int64		i;

	te_score_evaluation_init(&evaluation);
	te_score_logistic_freeze(model);
	for (i = from; i < to; i++)
	{
		fetch_row(backtest, i);
		te_score_logistic_scale(model, &backtest->training.features, false);
		te_score_features_pair(&backtest->training.features);
		te_score_evaluate(&evaluation, te_score_logistic_predict(model, &backtest->training.features), base_rate,
						  backtest->outcomes[i]);
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	auc = te_score_auc(&evaluation);
	values[0] = Int32GetDatum(part);
	values[1] = Int64GetDatum(from);
	values[2] = Int64GetDatum(to - from);
	values[3] = Float8GetDatum(base_rate);
	values[4] = Float8GetDatum(evaluation.positives / evaluation.count);
	values[5] = Float8GetDatum(te_score_total(&evaluation.base_loss) / evaluation.count);
	values[6] = Float8GetDatum(te_score_total(&evaluation.loss) / evaluation.count);
	values[7] = Float8GetDatum(auc);
	nulls[7] = isnan(auc);
	values[8] = Float8GetDatum(te_score_calibration_error(&evaluation));
	te_score_result_row(result, values, nulls);
	pfree(evaluation.predicted);
}

/*
 * backtest_model(query, target, time_column, folds, options)
 */
Datum
te_backtest_model(PG_FUNCTION_ARGS)
{
	Backtest	backtest = {{{0}}};
	TeTraining *training = &backtest.training;
	TeResult	result;
	Jsonb	   *options;
	int			folds,
				part;
	int64		i = 0;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query, target, time_column and folds are required")));
	folds = PG_GETARG_INT32(3);
	options = options_arg(fcinfo, 4);
	if (folds < 1 || folds > 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("folds is %d, but must be between 1 and 1000", folds)));
	te_score_result_begin(&result, fcinfo, "backtest_model");
	training->target_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	training->features.model = training->model = new_model(options, "options of backtest_model");
	query_options(training, options, "options of backtest_model");
	training->time_name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	training->row = keep_row;
	te_score_training_read(training, text_to_cstring(PG_GETARG_TEXT_PP(0)), "backtest_model");
	if (backtest.nrows < folds + 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%lld rows are too few for %d folds", (long long) backtest.nrows, folds)));
	for (part = 0; part <= folds; part++)
	{
		int64		end = backtest.nrows * (part + 1) / (folds + 1);

		if (part > 0)
			test_part(&backtest, &result, part, i, end);
		for (; i < end; i++)
		{
			fetch_row(&backtest, i);
			te_score_logistic_scale(training->model, &training->features, true);
			te_score_features_pair(&training->features);
			(void) te_score_logistic_learn(training->model, &training->features, backtest.outcomes[i]);
			if (i % 1024 == 0)
				CHECK_FOR_INTERRUPTS();
		}
	}
	return (Datum) 0;
}
