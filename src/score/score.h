/*
 * score.h
 *		Scoring: what the files of this folder share. Models of churn and value,
 *		clusters, engagement probability, interests, recommendations, best hours.
 *
 * Everything here is arithmetic over rows: no file keeps state between calls but
 * the cache of parsed models, and none writes anything but rows of its own tables.
 */
#pragma once

#include "postgres.h"

#include <math.h>

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* ---- numeric.c: sums, minima, special functions ---- */

/* A compensated sum (Neumaier 1974): its error does not grow with the number of terms. */
typedef struct TeSum
{
	double		sum;
	double		carry;
} TeSum;

/*
 * Adds a value. Does not throw.
 */
static inline void
te_score_add(TeSum *total, double value)
{
	double		sum = total->sum + value;

	if (fabs(total->sum) >= fabs(value))
		total->carry += (total->sum - sum) + value;
	else
		total->carry += (value - sum) + total->sum;
	total->sum = sum;
}

/*
 * The sum so far. Does not throw.
 */
static inline double
te_score_total(const TeSum *total)
{
	return isfinite(total->carry) ? total->sum + total->carry : total->sum;
}

typedef double (*TeObjective) (const double *x, void *arg);

extern double te_score_minimize(TeObjective objective, void *arg, int n, double *x,
								double step, int max_calls, bool *converged);
extern double te_score_lgamma(double x);
extern double te_score_log_add(double a, double b);
extern double te_score_hyp2f1(double a, double b, double c, double z);
extern double te_score_sigmoid(double x);
extern double te_score_logit(double p);

/* ---- number.c: values of SQL types as doubles ---- */

extern double te_score_numeric(Numeric value);
extern bool te_score_is_number(Oid type);
extern double te_score_number(Datum value, Oid type);

/* ---- query.c: an analyst's query, row by row ---- */

/*
 * Receives the rows of a query. start gets the columns and may refuse them, row is
 * called in a context that is reset after it; what is to stay must be allocated
 * elsewhere.
 */
typedef struct TeReader
{
	const char *what;			/* for errors: "kmeans" */
	bool		writes;			/* one of our own statements that changes rows */
	void		(*start) (struct TeReader *reader, TupleDesc columns);
	void		(*row) (struct TeReader *reader, const Datum *values, const bool *nulls);
	MemoryContext context;		/* what is to stay may go here */
	MemoryContext scratch;
	TupleDesc	columns;
	uint64		rows;
} TeReader;

extern void te_score_read(TeReader *reader, const char *query);
extern int	te_score_find_column(TupleDesc columns, const char *const *names);
extern void te_score_progress(const char *what, const char *format,...) pg_attribute_printf(2, 3);

/* ---- matrix.c: the numeric columns of a query ---- */

typedef struct TeMatrix
{
	TeReader	reader;
	const char *key_name;		/* asked for, or NULL */
	bool		keep_keys;
	int			key;			/* its column in the query, or -1 */
	Oid			key_output;
	int			ncolumns;
	char	  **names;
	int		   *columns;		/* in the query */
	Oid		   *types;
	int64		nrows;
	int64		size;
	double	   *values;			/* by rows */
	char	   *keys;			/* texts, one after the other */
	Size		keys_size;
	Size		keys_used;
	Size	   *key_at;			/* where each begins */
} TeMatrix;

extern void te_score_read_matrix(TeMatrix *matrix, const char *query, const char *what);

/* ---- kmeans.c, kmeans_lloyd.c: clusters ---- */

typedef enum TeStandardize
{
	TE_STANDARDIZE_NONE,
	TE_STANDARDIZE_ZSCORE,
	TE_STANDARDIZE_RANGE
} TeStandardize;

/* Distinct rows in an order of their own, shifted and scaled. */
typedef struct TePoints
{
	int			n;
	int			d;
	double	   *x;				/* by points */
	double	   *weight;			/* how many rows each stands for */
	double		total;			/* rows */
	double	   *shift;			/* of each column: x = (value - shift) / scale */
	double	   *scale;
	int		   *point_of;		/* of each row of the matrix */
} TePoints;

/* One way to divide them. */
typedef struct TeClusters
{
	int			k;
	double	   *centers;		/* by clusters, as the points are scaled */
	double	   *weight;
	int		   *cluster;		/* of each point */
	double		inertia;
	int			iterations;
} TeClusters;

typedef struct TeKMeansOptions
{
	const char *what;
	int64		seed;
	int			restarts;
	int			max_iterations;
	double		tolerance;		/* stop when centres move less, in mean variances; < 0 = by size */
	bool		mini_batch;
	int			batch;
} TeKMeansOptions;

extern void te_score_distances(const double *x, const double *transposed, int d, int kp, double *out);
extern double *te_score_transpose(const double *centers, int k, int d, int kp, double *out);
extern void te_score_points(TePoints *points, const TeMatrix *matrix, TeStandardize standardize);
extern void te_score_kmeans(const TePoints *points, int k, const TeKMeansOptions *options, TeClusters *best);
extern double te_score_silhouette(const TePoints *points, const TeClusters *clusters);
extern void te_score_lloyd(const TePoints *points, TeClusters *clusters, int max_iterations, double tolerance);
extern bool te_score_exchange(const TePoints *points, TeClusters *clusters);
extern void te_score_settle(const TePoints *points, TeClusters *clusters);

#define TE_PADDED(k) (((k) + 3) & ~3)

/* ---- purchases.c ---- */

extern int	te_score_count_columns(const char *query);

/* ---- result.c: what functions return ---- */

typedef struct TeResult
{
	struct Tuplestorestate *store;
	TupleDesc	columns;
} TeResult;

extern void te_score_result_begin(TeResult *result, FunctionCallInfo fcinfo, const char *function);
extern void te_score_result_row(TeResult *result, Datum *values, bool *nulls);

/* ---- result.c, too: a jsonb object under construction ---- */

typedef struct TeBuilder
{
	JsonbParseState *state;
} TeBuilder;

extern void te_score_build(TeBuilder *builder);
extern void te_score_put_number(TeBuilder *builder, const char *key, double value);
extern void te_score_put_text(TeBuilder *builder, const char *key, const char *value);
extern void te_score_put_bool(TeBuilder *builder, const char *key, bool value);
extern void te_score_put_json(TeBuilder *builder, const char *key, Jsonb *value);
extern void te_score_open(TeBuilder *builder, const char *key, bool array);
extern void te_score_close(TeBuilder *builder, bool array);
extern Jsonb *te_score_built(TeBuilder *builder);

/* ---- model.c: models as rows ---- */

typedef struct TeModelRow
{
	const char *name;
	const char *kind;
	Jsonb	   *parameters;
	bytea	   *state;			/* what does not belong into JSON, or NULL */
	Jsonb	   *metrics;
	Jsonb	   *options;
	const char *query;			/* what it was trained with */
	const char *target;			/* its column, or NULL */
} TeModelRow;

extern int	te_score_save_model(const TeModelRow *row);

/* ---- churn_model.c ---- */

typedef enum TeChurnKind
{
	TE_CHURN_BG_NBD,
	TE_CHURN_PARETO_NBD
} TeChurnKind;

/* Parameters of a fitted model. */
typedef struct TeScoreChurn
{
	TeChurnKind kind;
	double		r;
	double		alpha;
	double		p3;				/* BG/NBD: a, Pareto/NBD: s */
	double		p4;				/* BG/NBD: b, Pareto/NBD: beta */
} TeScoreChurn;

/* What is known of a customer: repeat purchases, time of the last, time observed. */
typedef struct TeCustomer
{
	double		x;
	double		t_x;
	double		T;
	double		weight;			/* how many are alike */
} TeCustomer;

extern double te_score_churn_constant(const TeScoreChurn *model, double x);
extern double te_score_churn_variable(const TeScoreChurn *model, const TeCustomer *c);
extern double te_score_churn_alive(const TeScoreChurn *model, const TeCustomer *c);
extern double te_score_churn_any(const TeScoreChurn *model, const TeCustomer *c, double t);
extern double te_score_churn_expected(const TeScoreChurn *model, const TeCustomer *c, double t);
