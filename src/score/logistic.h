/*
 * logistic.h
 *		Logistic regression by FTRL-Proximal over hashed features: what its files share.
 *
 * A feature is a number under a name, or a value under a name ("job=student"). Both are
 * known by a hash alone while learning and predicting; names are kept for people.
 */
#pragma once

#include "score/score.h"

/* One feature of one row. */
typedef struct TeFeature
{
	uint64		key;			/* hash of the name */
	uint64		hash;			/* of name and value; of a number the same as key */
	double		value;			/* 1 unless it is a number */
	bool		number;
} TeFeature;

/* Mean and variance so far of a number (Welford 1962). */
typedef struct TeMoments
{
	uint64		key;			/* 0 = this place is free */
	double		count;
	double		mean;
	double		squares;
	double		inverse;		/* serving: 1 / deviation, or 0 */
	char	   *name;
} TeMoments;

typedef struct TePair
{
	uint64		a;
	uint64		b;
} TePair;

/*
 * A model while it learns (z, n) or serves (w). In a context of its own.
 */
typedef struct TeLogistic
{
	MemoryContext context;
	int			bits;			/* 2^bits weights */
	double		alpha;
	double		beta;
	double		l1;
	double		l2;
	double		prior_positives;	/* rows the base rate begins with */
	double		prior_rows;
	double		rows;
	double		positives;
	double		bias_z;
	double		bias_n;
	double		intercept;		/* serving: base rate and bias together */
	double	   *z;
	double	   *n;
	double	   *w;
	char	  **names;			/* of the features seen first at each weight, while learning */
	TeMoments  *moments;		/* open addressing by key */
	int			moments_size;
	int			moments_count;
	uint64	   *categorical;	/* numbers under these names are values */
	int			ncategorical;
	TePair	   *pairs;			/* names whose features are also combined */
	int			npairs;
} TeLogistic;

/* The features of a row under collection; reused for row after row. */
typedef struct TeFeatures
{
	const TeLogistic *model;
	TeFeature  *items;
	int			count;
	int			size;
	bool		naming;			/* give new features names in model->names */
	char		path[256];		/* of the name, while naming */
	int			path_length;
} TeFeatures;

/* ---- features.c ---- */

extern uint64 te_score_hash_key(const char *name, int length, uint64 parent);
extern void te_score_features_begin(TeFeatures *features, const TeLogistic *model, bool naming);
extern void te_score_feature_number(TeFeatures *features, uint64 key, double value);
extern void te_score_feature_value(TeFeatures *features, uint64 key, const char *value, int length);
extern void te_score_feature_null(TeFeatures *features, uint64 key);
extern void te_score_feature_json(TeFeatures *features, uint64 key, JsonbContainer *container);
extern void te_score_features_object(TeFeatures *features, JsonbContainer *object);
extern void te_score_features_pair(TeFeatures *features);

/* ---- logistic.c ---- */

extern TeLogistic *te_score_logistic_new(int bits);
extern TeMoments *te_score_moments(TeLogistic *model, uint64 key, bool create);
extern void te_score_logistic_scale(TeLogistic *model, TeFeatures *features, bool learn);
extern double te_score_logistic_learn(TeLogistic *model, TeFeatures *features, bool outcome);
extern double te_score_logistic_predict(const TeLogistic *model, const TeFeatures *features);
extern void te_score_logistic_freeze(TeLogistic *model);
extern double te_score_base_rate(const TeLogistic *model);
extern bytea *te_score_logistic_encode(const TeLogistic *model);
extern TeLogistic *te_score_logistic_decode(Jsonb *parameters, bytea *state, bool learning, MemoryContext parent);
extern void te_score_logistic_options(TeLogistic *model, Jsonb *options, const char *what);

/* ---- evaluate.c: how good predictions are ---- */

typedef struct TeEvaluation
{
	MemoryContext context;
	double	   *predicted;		/* negative: the outcome was true */
	int64		count;
	int64		size;
	double		positives;
	TeSum		loss;
	TeSum		base_loss;
	TeSum		brier;
} TeEvaluation;

extern void te_score_evaluation_init(TeEvaluation *evaluation);
extern void te_score_evaluate(TeEvaluation *evaluation, double predicted, double base_rate, bool outcome);
extern double te_score_auc(TeEvaluation *evaluation);
extern double te_score_calibration_error(const TeEvaluation *evaluation);
extern void te_score_put_evaluation(TeBuilder *builder, TeEvaluation *evaluation);

/* ---- profile.c: what columns held while a model learned, and what they hold now ---- */

#define TE_RESERVOIR 2000
#define TE_PROFILE_VALUES 50

typedef struct TeProfileColumn
{
	const char *name;
	uint64		key;
	bool		number;
	double		count;			/* rows */
	double		nulls;
	double	   *sample;			/* of numbers */
	int			nsample;
	struct HTAB *values;		/* of values: how often each came */
} TeProfileColumn;

typedef struct TeProfile
{
	MemoryContext context;
	TeProfileColumn *columns;
	int			ncolumns;
	TeProfileColumn scores;		/* predictions */
	struct TeRandomState *random;
} TeProfile;

extern void te_score_profile_init(TeProfile *profile, int ncolumns);
extern void te_score_profile_number(TeProfile *profile, TeProfileColumn *column, double value);
extern void te_score_profile_value(TeProfile *profile, TeProfileColumn *column, uint64 hash, const char *value, int length);
extern Jsonb *te_score_profile_build(TeProfile *profile);

/* ---- rows.c: rows of a training query as features and an outcome ---- */

typedef struct TeTraining
{
	TeReader	reader;
	TeLogistic *model;
	TeFeatures	features;
	TeProfile  *profile;
	const char *target_name;
	const char *time_name;		/* a column that is no feature, or NULL */
	const char *positive;		/* the text that counts as true, or NULL */
	Jsonb	   *excluded;		/* array of names of columns that are no features, or NULL */
	bool		without_target;	/* drift: the outcome may be missing */
	int			target;
	Oid			target_type;
	Oid			target_output;
	int			ncolumns;
	int		   *columns;
	Oid		   *types;
	Oid		   *outputs;		/* of columns that are neither number nor jsonb */
	uint64	   *keys;
	double		skipped;		/* rows without an outcome */
	void		(*row) (struct TeTraining *training, bool outcome);	/* features are there, not scaled yet */
} TeTraining;

extern void te_score_training_read(TeTraining *training, const char *query, const char *what);

/* ---- serve.c: models at work ---- */

extern TeLogistic *te_score_load_logistic(const char *name, bool learning, TeModelRow *row);
