/*
 * experiment_internal.h
 *		What the files of this folder share: arguments, results, posteriors.
 */
#pragma once

#include "postgres.h"

#include "fmgr.h"
#include "utils/array.h"
#include "utils/jsonb.h"

#include "experiment/experiment.h"

#define TE_MAX_ARMS 200

/* ---- arguments.c: reading and checking; all throw on bad input ---- */

extern void te_experiment_check_number(double x, const char *name);	/* not NaN or infinite */
extern void te_experiment_check_variance(double x, const char *name);	/* and not negative */
extern void te_experiment_check_share(double x, const char *name);	/* within (0, 1) */
extern void te_experiment_check_count(int64 n, int64 least, const char *name);
extern void te_experiment_check_arms(int n);
extern double *te_experiment_doubles(ArrayType *array, const char *name, int *count);
extern double *te_experiment_counts(ArrayType *array, const char *name, int *count);
extern int	te_experiment_word(const char *word, const char *const *allowed, const char *name);

/* ---- arguments.c: results ---- */

extern ArrayType *te_experiment_make_array(const double *values, int count);

/* A row of a function with OUT parameters. */
extern Datum te_experiment_row(FunctionCallInfo fcinfo, Datum *values, const bool *nulls);

/* Rows of a function that returns a table. */
typedef struct TeTable
{
	struct Tuplestorestate *store;
	struct TupleDescData *desc;
} TeTable;

extern void te_experiment_table(FunctionCallInfo fcinfo, TeTable *table);
extern void te_experiment_table_row(TeTable *table, Datum *values, const bool *nulls);

/* Sides of a test, in the words of SQL. */
typedef enum TeSide
{
	TE_TWO_SIDED,
	TE_GREATER,
	TE_LESS
} TeSide;

extern const char *const te_experiment_sides[];

/* ---- compare.c ---- */

/* An estimate that follows Student's t about its true value; df may be infinite. */
typedef struct TeEstimate
{
	double		value;
	double		se;
	double		df;
	double		statistic;
	double		p;
	double		low;
	double		high;
} TeEstimate;

extern void te_experiment_conclude(TeEstimate *e, double confidence, TeSide side);

/* ---- range.c ---- */

extern TeRange *te_experiment_array_ranges(ArrayType *array, int *count);

/* ---- condition.c ---- */

/* Whether a person's attributes fulfil a condition in GrowthBook's language. */
extern bool te_experiment_matches(JsonbContainer *condition, const JsonbValue *attributes,
								  JsonbContainer *groups);
extern char *te_experiment_scalar_text(const JsonbValue *value);

/* ---- catalogue.c ---- */

#define TE_MAX_EXPERIMENT_NAME 256

/* A definition and the instant it holds from. */
typedef struct TeEpoch
{
	int32		epoch;
	TimestampTz from_at;
	bool		running;
	const char *state;
	const char *winner;			/* NULL = none */
	int32		salt_epoch;
	char	   *salt;
	int			hash_version;
	int			count;
	char	  **names;
	Jsonb	  **values;
	TeRange    *ranges;
	double	   *shares;
	char	   *namespace_seed; /* NULL = none */
	int			namespace_version;
	TeRange		namespace_range;
} TeEpoch;

typedef struct TeExperiment
{
	char		name[TE_MAX_EXPERIMENT_NAME];	/* hash key */
	int64		id;
	bool		is_holdout;
	bool		sticky;
	bool		has_assignments;
	int			nepochs;
	TeEpoch	   *epochs;			/* the latest first */
} TeExperiment;

typedef struct TeHoldout
{
	char	   *name;
	char	   *journey;		/* at most one of the two */
	char	   *topic;
} TeHoldout;

/* Valid until the next look-up, as everything below. Throws when there is none. */
extern TeExperiment *te_experiment_find(const char *name);
extern const TeHoldout *te_experiment_holdouts(int *count, uint64 *round);

struct TeIdentity;
extern void te_experiment_begin_reading(struct TeIdentity *saved);	/* SPI, as the extension's owner */
extern void te_experiment_end_reading(const struct TeIdentity *saved);

/* ---- posterior.c: independent posteriors of arms ---- */

typedef struct TePosterior
{
	bool		normal;			/* else beta */
	double		a;				/* beta: a and b; normal: mean and standard deviation */
	double		b;
	double		shift;			/* taken from every draw */
} TePosterior;

extern double te_posterior_mean(const TePosterior *arm);
extern double te_posterior_sd(const TePosterior *arm);
extern double te_posterior_quantile(const TePosterior *arm, double p);

/*
 * Probability of each arm to be the largest, of each to be larger than the first, and
 * the mean of the largest; results may be NULL. All in one quadrature.
 */
extern void te_posterior_compare(const TePosterior *arms, int count, double *best,
								 double *beats_first, double *mean_of_largest);

/* ---- bayes.c ---- */

extern TePosterior *te_experiment_beta_arms(ArrayType *successes, ArrayType *trials,
											double alpha, double beta, int *count);
