/*
 * logistic.c
 *		FTRL-Proximal (McMahan et al., KDD 2013, algorithm 1) over hashed features.
 *
 * Two things are added to the algorithm. The running base rate is an offset, so that a
 * model begins with what is known of the outcome as such and not with one half, which
 * is far off where one message in a hundred is clicked. And numbers are scaled by their
 * own running mean and deviation, so that one rate of learning suits all.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "errors.h"
#include "score/logistic.h"

/* Scaled numbers farther out than this are cut off. */
#define MAX_DEVIATIONS 10
#define STATE_FORMAT 1

/*
 * An empty model that can learn, with the defaults of all options, in a new context
 * under the current one.
 */
TeLogistic *
te_score_logistic_new(int bits)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "trigger_engine model", ALLOCSET_DEFAULT_SIZES);
	TeLogistic *model = MemoryContextAllocZero(context, sizeof(TeLogistic));

	model->context = context;
	model->bits = bits;
	model->alpha = 0.1;
	model->beta = 1;
	model->l2 = 1;
	model->prior_positives = 1;
	model->prior_rows = 20;
	model->z = MemoryContextAllocZero(context, sizeof(double) << bits);
	model->n = MemoryContextAllocZero(context, sizeof(double) << bits);
	model->names = MemoryContextAllocZero(context, sizeof(char *) << bits);
	return model;
}

/*
 * The moments of a number, made if wanted; NULL when they are not there.
 */
TeMoments *
te_score_moments(TeLogistic *model, uint64 key, bool create)
{
	TeMoments  *old = model->moments;
	int			size = model->moments_size;
	int			i;

	if (size > 0)
		for (i = key & (size - 1); old[i].key != 0; i = (i + 1) & (size - 1))
			if (old[i].key == key)
				return &old[i];
	if (!create)
		return NULL;
	if (model->moments_count * 2 >= size)
	{
		model->moments_size = Max(size * 2, 32);
		model->moments = MemoryContextAllocZero(model->context, sizeof(TeMoments) * model->moments_size);
		model->moments_count = 0;
		for (i = 0; i < size; i++)
			if (old[i].key != 0)
				*te_score_moments(model, old[i].key, true) = old[i];
		if (old)
			pfree(old);
	}
	model->moments_count++;
	for (i = key & (model->moments_size - 1); model->moments[i].key != 0; i = (i + 1) & (model->moments_size - 1))
		 /* look for a free place */ ;
	model->moments[i].key = key;
	return &model->moments[i];
}

/*
 * One over the standard deviation; 0 when there is none. Does not throw.
 */
static double
inverse_deviation(const TeMoments *moments)
{
	double		variance = moments->count > 1 ? moments->squares / moments->count : 0;

	return variance > 0 ? 1 / sqrt(variance) : 0;
}

/*
 * Scales the numbers of a row by the moments so far; one that has none, or no
 * deviation, says nothing. With learn they are counted in before.
 */
void
te_score_logistic_scale(TeLogistic *model, TeFeatures *features, bool learn)
{
	int			i;

	for (i = 0; i < features->count; i++)
	{
		TeFeature  *feature = &features->items[i];
		TeMoments  *moments;

		if (!feature->number)
			continue;
		moments = te_score_moments(model, feature->key, learn);
		if (learn)
		{
			double		difference = feature->value - moments->mean;

			moments->count++;
			moments->mean += difference / moments->count;
			moments->squares += difference * (feature->value - moments->mean);
		}
		if (moments == NULL)
			feature->value = 0;
		else
		{
			double		inverse = model->z ? inverse_deviation(moments) : moments->inverse;
			double		scaled = (feature->value - moments->mean) * inverse;

			feature->value = Max(-MAX_DEVIATIONS, Min(MAX_DEVIATIONS, scaled));
		}
	}
}

/*
 * The weight that z and n make. Does not throw.
 */
static inline double
weight_of(const TeLogistic *model, double z, double n)
{
	if (fabs(z) <= model->l1)
		return 0;
	return -(z - copysign(model->l1, z)) / ((model->beta + sqrt(n)) / model->alpha + model->l2);
}

/*
 * The bias is not held back: it learns by n alone. Does not throw.
 */
static inline double
bias_of(const TeLogistic *model)
{
	return -model->bias_z / ((model->beta + sqrt(model->bias_n)) / model->alpha);
}

/*
 * The share of positive rows so far, smoothed by the rows it began with. Does not throw.
 */
double
te_score_base_rate(const TeLogistic *model)
{
	return (model->positives + model->prior_positives) / (model->rows + model->prior_rows);
}

/*
 * Predicts a row and then learns from its outcome; returns what was predicted. The
 * features must be scaled and combined. Does not throw.
 */
double
te_score_logistic_learn(TeLogistic *model, TeFeatures *features, bool outcome)
{
	double		sum = te_score_logit(te_score_base_rate(model)) + bias_of(model);
	double		predicted,
				gradient,
				sigma;
	int			i;

	for (i = 0; i < features->count; i++)
	{
		uint64		slot = features->items[i].hash >> (64 - model->bits);

		sum += weight_of(model, model->z[slot], model->n[slot]) * features->items[i].value;
	}
	predicted = te_score_sigmoid(sum);
	for (i = 0; i < features->count; i++)
	{
		uint64		slot = features->items[i].hash >> (64 - model->bits);
		double		weight = weight_of(model, model->z[slot], model->n[slot]);

		gradient = (predicted - outcome) * features->items[i].value;
		sigma = (sqrt(model->n[slot] + gradient * gradient) - sqrt(model->n[slot])) / model->alpha;
		model->z[slot] += gradient - sigma * weight;
		model->n[slot] += gradient * gradient;
	}
	gradient = predicted - outcome;
	sigma = (sqrt(model->bias_n + gradient * gradient) - sqrt(model->bias_n)) / model->alpha;
	model->bias_z += gradient - sigma * bias_of(model);
	model->bias_n += gradient * gradient;
	model->rows++;
	model->positives += outcome;
	return predicted;
}

/*
 * Computes the weights that a model in service uses.
 */
void
te_score_logistic_freeze(TeLogistic *model)
{
	int			i;

	if (model->w == NULL)
		model->w = MemoryContextAllocZero(model->context, sizeof(double) << model->bits);
	for (i = 0; i < 1 << model->bits; i++)
		model->w[i] = weight_of(model, model->z[i], model->n[i]);
	model->intercept = te_score_logit(te_score_base_rate(model)) + bias_of(model);
}

/*
 * What a frozen model predicts of a row. Does not throw.
 */
double
te_score_logistic_predict(const TeLogistic *model, const TeFeatures *features)
{
	double		sum = model->intercept;
	int			shift = 64 - model->bits;
	int			i;

	for (i = 0; i < features->count; i++)
		sum += model->w[features->items[i].hash >> shift] * features->items[i].value;
	return te_score_sigmoid(sum);
}

/*
 * What of a model does not belong into JSON: moments of numbers, weights other than 0
 * with the names of their features. In network byte order, so that it can be restored
 * on any machine.
 */
bytea *
te_score_logistic_encode(const TeLogistic *model)
{
	StringInfoData state;
	uint32		count = 0;
	int			i;

	pq_begintypsend(&state);
	pq_sendint32(&state, STATE_FORMAT);
	pq_sendint32(&state, model->bits);
	pq_sendfloat8(&state, model->rows);
	pq_sendfloat8(&state, model->positives);
	pq_sendfloat8(&state, model->bias_z);
	pq_sendfloat8(&state, model->bias_n);
	pq_sendint32(&state, model->moments_count);
	for (i = 0; i < model->moments_size; i++)
	{
		const TeMoments *moments = &model->moments[i];

		if (moments->key == 0)
			continue;
		pq_sendint64(&state, moments->key);
		pq_sendfloat8(&state, moments->count);
		pq_sendfloat8(&state, moments->mean);
		pq_sendfloat8(&state, moments->squares);
		pq_sendstring(&state, moments->name ? moments->name : "");
	}
	for (i = 0; i < 1 << model->bits; i++)
		count += model->n[i] > 0;
	pq_sendint32(&state, count);
	for (i = 0; i < 1 << model->bits; i++)
		if (model->n[i] > 0)
		{
			pq_sendint32(&state, i);
			pq_sendfloat8(&state, model->z[i]);
			pq_sendfloat8(&state, model->n[i]);
			pq_sendstring(&state, model->names && model->names[i] ? model->names[i] : "");
		}
	return pq_endtypsend(&state);
}

/*
 * Reads the part of a state that holds moments and weights.
 */
static void
decode_state(TeLogistic *model, StringInfo state, bool learning)
{
	int			count,
				i;

	model->rows = pq_getmsgfloat8(state);
	model->positives = pq_getmsgfloat8(state);
	model->bias_z = pq_getmsgfloat8(state);
	model->bias_n = pq_getmsgfloat8(state);
	count = pq_getmsgint(state, 4);
	for (i = 0; i < count; i++)
	{
		TeMoments  *moments = te_score_moments(model, pq_getmsgint64(state), true);
		const char *name;

		moments->count = pq_getmsgfloat8(state);
		moments->mean = pq_getmsgfloat8(state);
		moments->squares = pq_getmsgfloat8(state);
		moments->inverse = inverse_deviation(moments);
		name = pq_getmsgstring(state);
		moments->name = MemoryContextStrdup(model->context, name);
	}
	count = pq_getmsgint(state, 4);
	for (i = 0; i < count; i++)
	{
		uint32		slot = pq_getmsgint(state, 4);
		double		z = pq_getmsgfloat8(state);
		double		n = pq_getmsgfloat8(state);
		const char *name = pq_getmsgstring(state);

		if (slot >= UINT32_C(1) << model->bits)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("the state of a model is damaged")));
		if (learning)
		{
			model->z[slot] = z;
			model->n[slot] = n;
			model->names[slot] = *name ? MemoryContextStrdup(model->context, name) : NULL;
		}
		else
			model->w[slot] = weight_of(model, z, n);
	}
	pq_getmsgend(state);
}

/*
 * Makes a model of what is stored, in a new context under parent: one that learns on, or
 * one that only serves and takes a third of the memory. Throws when it is damaged.
 */
TeLogistic *
te_score_logistic_decode(Jsonb *parameters, bytea *state, bool learning, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "trigger_engine model", ALLOCSET_DEFAULT_SIZES);
	TeLogistic *model = MemoryContextAllocZero(context, sizeof(TeLogistic));
	StringInfoData input;

	model->context = context;
	te_score_logistic_options(model, te_json_object(parameters, "options", "a model"), "a model");
	input.data = VARDATA_ANY(state);
	input.len = VARSIZE_ANY_EXHDR(state);
	input.maxlen = input.len;
	input.cursor = 0;
	if (pq_getmsgint(&input, 4) != STATE_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the state of a model is of an unknown format")));
	model->bits = pq_getmsgint(&input, 4);
	if (model->bits < 1 || model->bits > 24)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the state of a model is damaged")));
	if (learning)
	{
		model->z = MemoryContextAllocZero(context, sizeof(double) << model->bits);
		model->n = MemoryContextAllocZero(context, sizeof(double) << model->bits);
		model->names = MemoryContextAllocZero(context, sizeof(char *) << model->bits);
	}
	else
		model->w = MemoryContextAllocZero(context, sizeof(double) << model->bits);
	decode_state(model, &input, learning);
	model->intercept = te_score_logit(te_score_base_rate(model)) + bias_of(model);
	return model;
}

/*
 * A number of the options within bounds.
 */
static double
bounded(Jsonb *options, const char *key, double absent, double least, double most, const char *what)
{
	double		value = te_json_number(options, key, absent, what);

	if (!(value >= least && value <= most))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be between %g and %g", key, what, least, most)));
	return value;
}

/*
 * The text of an element of an array; throws when it is no text.
 */
static uint64
key_at(JsonbContainer *array, int i, const char *key, const char *what)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);

	if (value == NULL || value->type != jbvString)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must hold names of features", key, what)));
	return te_score_hash_key(value->val.string.val, value->val.string.len, 0);
}

/*
 * Takes what makes the algorithm and its features from the options, in the model's
 * context: alpha, beta, l1, l2, prior_positives, prior_rows, categorical, interactions.
 * Throws when a value is out of bounds.
 */
void
te_score_logistic_options(TeLogistic *model, Jsonb *options, const char *what)
{
	MemoryContext old = MemoryContextSwitchTo(model->context);
	Jsonb	   *categorical = te_json_array(options, "categorical", what);
	Jsonb	   *interactions = te_json_array(options, "interactions", what);
	int			i;

	model->alpha = bounded(options, "alpha", 0.1, 1e-6, 1e3, what);
	model->beta = bounded(options, "beta", 1, 1e-6, 1e6, what);
	model->l1 = bounded(options, "l1", 0, 0, 1e6, what);
	model->l2 = bounded(options, "l2", 1, 0, 1e6, what);
	model->prior_rows = bounded(options, "prior_rows", 20, 1e-3, 1e9, what);
	model->prior_positives = bounded(options, "prior_positives", model->prior_rows / 20, 1e-6, 1e9, what);
	if (model->prior_positives >= model->prior_rows)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"prior_positives\" of %s must be less than \"prior_rows\"", what)));
	model->ncategorical = categorical ? JB_ROOT_COUNT(categorical) : 0;
	model->categorical = palloc(sizeof(uint64) * (model->ncategorical + 1));
	for (i = 0; i < model->ncategorical; i++)
		model->categorical[i] = key_at(&categorical->root, i, "categorical", what);
	model->npairs = interactions ? JB_ROOT_COUNT(interactions) : 0;
	model->pairs = palloc(sizeof(TePair) * (model->npairs + 1));
	for (i = 0; i < model->npairs; i++)
	{
		JsonbValue *pair = getIthJsonbValueFromContainer(&interactions->root, i);

		if (pair->type != jbvBinary || !JsonContainerIsArray(pair->val.binary.data) ||
			JsonContainerSize(pair->val.binary.data) != 2)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"interactions\" of %s must hold pairs of names", what),
					 errhint("For example [[\"channel\", \"hour\"]].")));
		model->pairs[i].a = key_at(pair->val.binary.data, 0, "interactions", what);
		model->pairs[i].b = key_at(pair->val.binary.data, 1, "interactions", what);
	}
	MemoryContextSwitchTo(old);
}
