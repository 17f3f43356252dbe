/*
 * drift.c
 *		How far the rows of a query are from those that a model was trained with: the
 *		population stability index of each column and of the predictions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "common/common.h"
#include "score/logistic.h"

PG_FUNCTION_INFO_V1(te_model_drift);

/* A share of nothing is taken for this much, so that the index stays finite. */
#define LEAST_SHARE 1e-4

/* A column then, and counts of the same bins now. */
typedef struct Then
{
	char	   *name;
	uint64		key;
	bool		number;
	int			nbins;			/* the last but one is what is in no bin, the last null */
	double	   *bounds;
	double	   *shares;
	double	   *counts;
	double		rows;
	HTAB	   *bins;			/* of values, by hash */
} Then;

typedef struct ValueBin
{
	uint64		hash;			/* key */
	int			bin;
} ValueBin;

typedef struct Drift
{
	TeTraining	training;
	Then	   *columns;
	int			ncolumns;
	Then	   *scores;
} Drift;

/*
 * The numbers of an array.
 */
static double *
array_numbers(Jsonb *array, int *count)
{
	double	   *numbers;
	int			i;

	*count = array ? JB_ROOT_COUNT(array) : 0;
	numbers = palloc(sizeof(double) * (*count + 1));
	for (i = 0; i < *count; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&array->root, i);

		numbers[i] = value->type == jbvNumeric ? te_score_numeric(value->val.numeric) : 0;
	}
	return numbers;
}

/*
 * Reads the values of a column with their shares, and finds each by the hash of its
 * feature later.
 */
static void
read_values(Then *then, Jsonb *values, const TeLogistic *model)
{
	HASHCTL		control = {0};
	JsonbIterator *it = JsonbIteratorInit(&values->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	TeFeatures	features = {model};
	double		rest = 1;
	int			i = 0;

	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(ValueBin);
	control.hcxt = CurrentMemoryContext;
	then->bins = hash_create("values then", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	then->nbins = JB_ROOT_COUNT(values) + 2;
	then->shares = palloc0(sizeof(double) * then->nbins);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		ValueBin   *bin;
		bool		found;

		if (token == WJB_KEY)
		{
			te_score_features_begin(&features, model, false);
			te_score_feature_value(&features, then->key, value.val.string.val, value.val.string.len);
			bin = hash_search(then->bins, &features.items[0].hash, HASH_ENTER, &found);
			bin->bin = i;
		}
		else if (token == WJB_VALUE)
		{
			then->shares[i] = te_score_numeric(value.val.numeric);
			rest -= then->shares[i++];
		}
	}
	then->shares[then->nbins - 2] = Max(rest, 0);
}

/*
 * Reads one column of a profile.
 */
static void
read_column(Then *then, JsonbValue *name, Jsonb *profile, const TeLogistic *model)
{
	Jsonb	   *values = te_json_object(profile, "values", "a profile");
	double		nulls = te_json_number(profile, "nulls", 0, "a profile");
	int			count,
				i;

	then->name = pnstrdup(name->val.string.val, name->val.string.len);
	then->key = te_score_hash_key(then->name, strlen(then->name), 0);
	then->number = values == NULL;
	if (values)
		read_values(then, values, model);
	else
	{
		double	   *shares = array_numbers(te_json_array(profile, "shares", "a profile"), &count);

		then->bounds = array_numbers(te_json_array(profile, "bounds", "a profile"), &i);
		then->nbins = count + 2;
		then->shares = palloc0(sizeof(double) * then->nbins);
		memcpy(then->shares, shares, sizeof(double) * count);
	}
	for (i = 0; i < then->nbins - 1; i++)
		then->shares[i] *= 1 - nulls;
	then->shares[then->nbins - 1] = nulls;
	then->counts = palloc0(sizeof(double) * then->nbins);
}

/*
 * Reads the whole profile of a model.
 */
static void
read_profile(Drift *drift, Jsonb *profile)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	Then	   *then = NULL;

	if (profile == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the model has no profile of its training rows")));
	drift->columns = palloc0(sizeof(Then) * (JB_ROOT_COUNT(profile) + 1));
	it = JsonbIteratorInit(&profile->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		JsonbValue	name;

		if (token == WJB_BEGIN_OBJECT || token == WJB_END_OBJECT)
			continue;
		name = value;
		(void) JsonbIteratorNext(&it, &value, true);
		then = &drift->columns[drift->ncolumns++];
		read_column(then, &name, JsonbValueToJsonb(&value), drift->training.model);
		if (strcmp(then->name, "(score)") == 0)
			drift->scores = then;
	}
}

/*
 * Counts a number into its bin.
 */
static void
count_number(Then *then, double value)
{
	int			i = 0;

	while (i < then->nbins - 3 && value >= then->bounds[i])
		i++;
	then->counts[i]++;
	then->rows++;
}

/*
 * Counts the features of a row and what the model predicts of it.
 */
static void
count_row(TeTraining *training, bool outcome)
{
	Drift	   *drift = (Drift *) training;
	TeFeatures *features = &training->features;
	int			i,
				j;

	for (i = 0; i < drift->ncolumns; i++)
	{
		Then	   *then = &drift->columns[i];

		if (then == drift->scores)
			continue;
		for (j = 0; j < features->count; j++)
		{
			TeFeature  *feature = &features->items[j];

			if (feature->key != then->key)
				continue;
			if (then->number && feature->number)
				count_number(then, feature->value);
			else
			{
				uint64		null;
				TeFeatures	one = {training->model};
				ValueBin   *bin = then->bins ? hash_search(then->bins, &feature->hash, HASH_FIND, NULL) : NULL;

				te_score_features_begin(&one, training->model, false);
				one.items = NULL;
				te_score_feature_null(&one, then->key);
				null = one.items[0].hash;
				pfree(one.items);
				then->counts[feature->hash == null ? then->nbins - 1 : bin ? bin->bin : then->nbins - 2]++;
				then->rows++;
			}
			break;
		}
	}
	te_score_logistic_scale(training->model, features, false);
	te_score_features_pair(features);
	if (drift->scores)
		count_number(drift->scores, te_score_logistic_predict(training->model, features));
}

/*
 * The population stability index: the sum over bins of (now - then) * log(now / then),
 * symmetric, 0 for equal shares. Does not throw.
 */
static double
stability_index(const Then *then)
{
	TeSum		sum = {0};
	int			i;

	for (i = 0; i < then->nbins; i++)
	{
		double		before = Max(then->shares[i], LEAST_SHARE);
		double		now = Max(then->counts[i] / then->rows, LEAST_SHARE);

		te_score_add(&sum, (now - before) * log(now / before));
	}
	return te_score_total(&sum);
}

/*
 * model_drift(name, query)
 */
Datum
te_model_drift(PG_FUNCTION_ARGS)
{
	Drift		drift = {{{0}}};
	TeTraining *training = &drift.training;
	TeModelRow	row = {0};
	TeResult	result;
	int			i;

	te_score_result_begin(&result, fcinfo, "model_drift");
	training->features.model = training->model = te_score_load_logistic(text_to_cstring(PG_GETARG_TEXT_PP(0)), false, &row);
	read_profile(&drift, te_json_object(row.parameters, "profile", "a model"));
	training->target_name = row.target;
	training->without_target = true;
	training->row = count_row;
	te_score_training_read(training, text_to_cstring(PG_GETARG_TEXT_PP(1)), "model_drift");
	for (i = 0; i < drift.ncolumns; i++)
	{
		Then	   *then = &drift.columns[i];
		double		index = then->rows > 0 ? stability_index(then) : 0;
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(then->name);
		values[1] = Float8GetDatum(index);
		nulls[1] = then->rows == 0;
		values[2] = CStringGetTextDatum(then->rows == 0 ? "missing" : index < 0.1 ? "stable" : index < 0.25 ? "moved" : "shifted");
		values[3] = Float8GetDatum(then->rows);
		te_score_result_row(&result, values, nulls);
	}
	return (Datum) 0;
}
