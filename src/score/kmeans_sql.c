/*
 * kmeans_sql.c
 *		Clusters of the rows of a query, as SQL functions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "errors.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_kmeans);
PG_FUNCTION_INFO_V1(te_fit_kmeans);
PG_FUNCTION_INFO_V1(te_choose_k);
PG_FUNCTION_INFO_V1(te_assign_cluster);
PG_FUNCTION_INFO_V1(te_simple_silhouette);

#define MAX_K 10000

static const char *const standardizations[] = {"none", "zscore", "range", NULL};
static const char *const option_keys[] = {
	"method", "max_iterations", "tolerance", "batch", "k_min", "k_max", NULL
};

/* One call: what was asked for, and what came of it. */
typedef struct Task
{
	TeKMeansOptions options;
	int			k;				/* 0 = to be chosen */
	int			k_min;
	int			k_max;
	TeStandardize standardize;
	char	   *query;
	TeMatrix	matrix;
	TePoints	points;
	TeClusters	clusters;
	int		   *rank;			/* number of each cluster, from 0: the largest first */
	int		   *by_rank;
} Task;

/*
 * A required integer within bounds.
 */
static int
integer_arg(FunctionCallInfo fcinfo, int arg, const char *name, int least, int most)
{
	int			value;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s is required", name)));
	value = PG_GETARG_INT32(arg);
	if (value < least || value > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %d, but must be between %d and %d", name, value, least, most)));
	return value;
}

/*
 * An integer option.
 */
static int
integer_option(Jsonb *options, const char *key, double absent, double least)
{
	double		value = te_json_number(options, key, absent, "options of k-means");

	if (!(value >= least && value <= 1e9 && value == floor(value)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of options of k-means must be a whole number from %g", key, least)));
	return value;
}

/*
 * Reads the arguments that all of the functions have: query first, then from the given
 * places seed, restarts, standardize, key_column, options.
 */
static void
read_arguments(Task *task, FunctionCallInfo fcinfo, const char *what, int first, int key_arg)
{
	Jsonb	   *options = PG_ARGISNULL(key_arg + 1) ? NULL : PG_GETARG_JSONB_P(key_arg + 1);
	char	   *name;
	int			i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(first) || PG_ARGISNULL(first + 2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query, seed, restarts and standardize are required")));
	task->query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	task->options.what = what;
	task->options.seed = PG_GETARG_INT64(first);
	task->options.restarts = integer_arg(fcinfo, first + 1, "restarts", 1, 100000);
	name = text_to_cstring(PG_GETARG_TEXT_PP(first + 2));
	for (i = 0; standardizations[i] && strcmp(standardizations[i], name) != 0; i++)
		 /* look on */ ;
	if (standardizations[i] == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown standardization \"%s\"", name),
				 errhint("It is none, zscore (mean 0, standard deviation 1) or range (width 1).")));
	task->standardize = i;
	task->matrix.key_name = PG_ARGISNULL(key_arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(key_arg));

	te_json_check_keys(options, "options of k-means", option_keys);
	name = te_json_text(options, "method", "options of k-means");
	if (name && strcmp(name, "mini_batch") == 0)
		task->options.mini_batch = true;
	else if (name && strcmp(name, "lloyd") != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("unknown method \"%s\" in options of k-means", name),
				 errhint("Methods are lloyd and mini_batch.")));
	task->options.max_iterations = integer_option(options, "max_iterations", 300, 1);
	task->options.batch = integer_option(options, "batch", 1024, 1);
	task->k_min = integer_option(options, "k_min", 2, 2);
	task->k_max = integer_option(options, "k_max", 10, 2);
	task->options.tolerance = te_json_number(options, "tolerance", -1, "options of k-means");
}

/*
 * The number of clusters that an argument asks for; 0 for NULL, which leaves the choice.
 */
static int
k_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? 0 : integer_arg(fcinfo, arg, "k", 1, MAX_K);
}

/*
 * Reads the rows.
 */
static void
read_points(Task *task)
{
	te_score_read_matrix(&task->matrix, task->query, task->options.what);
	te_score_points(&task->points, &task->matrix, task->standardize);
}

/*
 * Divides the rows; where k is left open, into the number with the greatest silhouette.
 */
static void
divide(Task *task)
{
	double		best = -INFINITY;
	int			k;

	if (task->k > 0)
	{
		te_score_kmeans(&task->points, task->k, &task->options, &task->clusters);
		return;
	}
	if (task->points.n < 2)
		te_score_kmeans(&task->points, 1, &task->options, &task->clusters);
	for (k = task->k_min; k <= Min(task->k_max, task->points.n - 1) || (k == 2 && task->points.n == 2); k++)
	{
		TeClusters	clusters;
		double		silhouette;

		te_score_kmeans(&task->points, k, &task->options, &clusters);
		silhouette = te_score_silhouette(&task->points, &clusters);
		if (silhouette > best)
		{
			best = silhouette;
			task->clusters = clusters;
		}
	}
	if (task->clusters.k == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d distinct rows are too few to choose from %d to %d clusters", task->points.n, task->k_min, task->k_max)));
}

/*
 * Order of two clusters: the heavier first, then by their centres.
 */
static int
compare_clusters(const void *a, const void *b, void *arg)
{
	Task	   *task = arg;
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	int			j;

	if (task->clusters.weight[x] != task->clusters.weight[y])
		return task->clusters.weight[x] > task->clusters.weight[y] ? -1 : 1;
	for (j = 0; j < task->points.d; j++)
	{
		double		difference = task->clusters.centers[(Size) x * task->points.d + j] -
			task->clusters.centers[(Size) y * task->points.d + j];

		if (difference != 0)
			return difference < 0 ? -1 : 1;
	}
	return 0;
}

/*
 * Numbers the clusters.
 */
static void
rank_clusters(Task *task)
{
	int			i;

	task->rank = palloc(sizeof(int) * task->clusters.k);
	task->by_rank = palloc(sizeof(int) * task->clusters.k);
	for (i = 0; i < task->clusters.k; i++)
		task->by_rank[i] = i;
	qsort_arg(task->by_rank, task->clusters.k, sizeof(int), compare_clusters, task);
	for (i = 0; i < task->clusters.k; i++)
		task->rank[task->by_rank[i]] = i;
}

/*
 * Distance of a point to the centre of its cluster.
 */
static double
own_distance(const Task *task, int point)
{
	const double *x = task->points.x + (Size) point * task->points.d;
	const double *center = task->clusters.centers + (Size) task->clusters.cluster[point] * task->points.d;
	double		sum = 0;
	int			j;

	for (j = 0; j < task->points.d; j++)
		sum += (x[j] - center[j]) * (x[j] - center[j]);
	return sqrt(sum);
}

/*
 * kmeans(query, k, seed, restarts, standardize, key_column, options)
 */
Datum
te_kmeans(PG_FUNCTION_ARGS)
{
	Task		task = {{0}};
	TeResult	result;
	int64		i;

	read_arguments(&task, fcinfo, "kmeans", 2, 5);
	task.k = k_arg(fcinfo, 1);
	te_score_result_begin(&result, fcinfo, "kmeans");
	task.matrix.keep_keys = true;
	read_points(&task);
	divide(&task);
	rank_clusters(&task);
	for (i = 0; i < task.matrix.nrows; i++)
	{
		int			point = task.points.point_of[i];
		Datum		values[3];
		bool		nulls[3] = {false, false, false};
		text	   *key = cstring_to_text(task.matrix.keys + task.matrix.key_at[i]);

		values[0] = PointerGetDatum(key);
		values[1] = Int32GetDatum(task.rank[task.clusters.cluster[point]] + 1);
		values[2] = Float8GetDatum(own_distance(&task, point));
		te_score_result_row(&result, values, nulls);
		pfree(key);
		if (i % 16384 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}

/*
 * An array of numbers under a key.
 */
static void
put_numbers(TeBuilder *builder, const char *key, const double *numbers, int count)
{
	int			i;

	te_score_open(builder, key, true);
	for (i = 0; i < count; i++)
		te_score_put_number(builder, NULL, numbers[i]);
	te_score_close(builder, true);
}

/*
 * The clusters, described in the units of the query.
 */
static void
put_clusters(TeBuilder *builder, Task *task)
{
	TeSum	   *inertia = palloc0(sizeof(TeSum) * task->clusters.k);
	int			i,
				j;

	for (i = 0; i < task->points.n; i++)
	{
		double		distance = own_distance(task, i);

		te_score_add(&inertia[task->clusters.cluster[i]], task->points.weight[i] * distance * distance);
	}
	te_score_open(builder, "clusters", true);
	for (i = 0; i < task->clusters.k; i++)
	{
		int			cluster = task->by_rank[i];

		te_score_open(builder, NULL, false);
		te_score_put_number(builder, "cluster", i + 1);
		te_score_put_number(builder, "size", task->clusters.weight[cluster]);
		te_score_put_number(builder, "inertia", te_score_total(&inertia[cluster]));
		te_score_open(builder, "center", false);
		for (j = 0; j < task->points.d; j++)
			te_score_put_number(builder, task->matrix.names[j], task->points.shift[j] + task->points.scale[j] *
								task->clusters.centers[(Size) cluster * task->points.d + j]);
		te_score_close(builder, false);
		te_score_close(builder, false);
	}
	te_score_close(builder, true);
}

/*
 * What the model was asked for, so that it can be fitted again.
 */
static Jsonb *
recipe_of(const Task *task, Jsonb *options)
{
	TeBuilder	builder;

	te_score_build(&builder);
	te_score_put_number(&builder, "k", task->k > 0 ? task->k : NAN);
	te_score_put_number(&builder, "seed", task->options.seed);
	te_score_put_number(&builder, "restarts", task->options.restarts);
	te_score_put_text(&builder, "standardize", standardizations[task->standardize]);
	te_score_put_text(&builder, "key_column", task->matrix.key_name);
	te_score_put_json(&builder, "options", options);
	return te_score_built(&builder);
}

/*
 * fit_kmeans(query, k, seed, restarts, standardize, save_as, key_column, options)
 */
Datum
te_fit_kmeans(PG_FUNCTION_ARGS)
{
	Task		task = {{0}};
	TeBuilder	builder;
	Jsonb	   *result;
	int			i;

	read_arguments(&task, fcinfo, "fit_kmeans", 2, 6);
	task.k = k_arg(fcinfo, 1);
	read_points(&task);
	divide(&task);
	rank_clusters(&task);

	te_score_build(&builder);
	te_score_put_text(&builder, "model", "kmeans");
	te_score_put_number(&builder, "k", task.clusters.k);
	te_score_put_number(&builder, "rows", task.points.total);
	te_score_put_number(&builder, "distinct_rows", task.points.n);
	te_score_put_number(&builder, "inertia", task.clusters.inertia);
	te_score_put_number(&builder, "silhouette", te_score_silhouette(&task.points, &task.clusters));
	te_score_put_number(&builder, "iterations", task.clusters.iterations);
	te_score_put_number(&builder, "seed", task.options.seed);
	te_score_put_number(&builder, "restarts", task.options.restarts);
	te_score_put_text(&builder, "method", task.options.mini_batch ? "mini_batch" : "lloyd");
	te_score_put_text(&builder, "standardize", standardizations[task.standardize]);
	te_score_open(&builder, "columns", true);
	for (i = 0; i < task.points.d; i++)
		te_score_put_text(&builder, NULL, task.matrix.names[i]);
	te_score_close(&builder, true);
	put_numbers(&builder, "scale", task.points.scale, task.points.d);
	put_clusters(&builder, &task);
	result = te_score_built(&builder);
	if (!PG_ARGISNULL(5))
	{
		TeModelRow	row = {0};

		row.name = text_to_cstring(PG_GETARG_TEXT_PP(5));
		row.kind = "kmeans";
		row.parameters = result;
		row.query = task.query;
		row.options = recipe_of(&task, PG_ARGISNULL(7) ? NULL : PG_GETARG_JSONB_P(7));
		te_score_save_model(&row);
	}
	PG_RETURN_JSONB_P(result);
}

/*
 * choose_k(query, k_min, k_max, seed, restarts, standardize, key_column, options)
 */
Datum
te_choose_k(PG_FUNCTION_ARGS)
{
	Task		task = {{0}};
	TeResult	result;
	double	   *inertia;
	double	   *silhouette;
	int			best = -1;
	int			i;

	read_arguments(&task, fcinfo, "choose_k", 3, 6);
	task.k_min = integer_arg(fcinfo, 1, "k_min", 1, MAX_K);
	task.k_max = integer_arg(fcinfo, 2, "k_max", task.k_min, MAX_K);
	te_score_result_begin(&result, fcinfo, "choose_k");
	read_points(&task);
	task.k_max = Min(task.k_max, task.points.n);
	inertia = palloc(sizeof(double) * (task.k_max + 1));
	silhouette = palloc(sizeof(double) * (task.k_max + 1));
	for (i = task.k_min; i <= task.k_max; i++)
	{
		TeClusters	clusters;

		te_score_kmeans(&task.points, i, &task.options, &clusters);
		inertia[i] = clusters.inertia;
		silhouette[i] = te_score_silhouette(&task.points, &clusters);
		/* every point alone is no division */
		if (i >= 2 && i < task.points.n && (best < 0 || silhouette[i] > silhouette[best]))
			best = i;
	}
	for (i = task.k_min; i <= task.k_max; i++)
	{
		Datum		values[4] = {Int32GetDatum(i), Float8GetDatum(inertia[i]), Float8GetDatum(silhouette[i]), BoolGetDatum(i == best)};
		bool		nulls[4] = {false, false, isnan(silhouette[i]), false};

		te_score_result_row(&result, values, nulls);
	}
	return (Datum) 0;
}

/* A model taken apart, kept from call to call. */
typedef struct Assigner
{
	Jsonb	   *source;
	int			k;
	int			d;
	char	  **names;
	double	   *scale;
	double	   *centers;		/* in the units of the query */
} Assigner;

/*
 * An element of an array as a number.
 */
static double
number_at(JsonbContainer *array, int i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);

	if (value == NULL || value->type != jbvNumeric)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("a clusters model needs an array of numbers \"scale\"")));
	return te_score_numeric(value->val.numeric);
}

/*
 * Takes a model apart, in the function's context.
 */
static Assigner *
parse_model(Jsonb *model, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Assigner   *assigner = palloc0(sizeof(Assigner));
	char	   *kind = te_json_text(model, "model", "a clusters model");
	Jsonb	   *columns = te_json_array(model, "columns", "a clusters model");
	Jsonb	   *scale = te_json_array(model, "scale", "a clusters model");
	Jsonb	   *clusters = te_json_array(model, "clusters", "a clusters model");
	int			i,
				j;

	if (kind == NULL || strcmp(kind, "kmeans") != 0 || columns == NULL || scale == NULL || clusters == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("not a clusters model"),
				 errhint("Give what trigger_engine.fit_kmeans() returned, or trigger_engine.model_parameters('name').")));
	assigner->d = JB_ROOT_COUNT(columns);
	assigner->k = JB_ROOT_COUNT(clusters);
	assigner->names = palloc(sizeof(char *) * assigner->d);
	assigner->scale = palloc(sizeof(double) * assigner->d);
	assigner->centers = palloc(sizeof(double) * assigner->d * assigner->k);
	for (j = 0; j < assigner->d; j++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(&columns->root, j);

		if (name->type != jbvString)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("\"columns\" of a clusters model must be names")));
		assigner->names[j] = pnstrdup(name->val.string.val, name->val.string.len);
		assigner->scale[j] = number_at(&scale->root, j);
	}
	for (i = 0; i < assigner->k; i++)
	{
		Jsonb	   *cluster = JsonbValueToJsonb(getIthJsonbValueFromContainer(&clusters->root, i));
		Jsonb	   *center = te_json_object(cluster, "center", "a cluster of a model");

		for (j = 0; j < assigner->d; j++)
			assigner->centers[i * assigner->d + j] = te_json_number(center, assigner->names[j], 0, "a centre of a model");
	}
	assigner->source = palloc(VARSIZE(model));
	memcpy(assigner->source, model, VARSIZE(model));
	MemoryContextSwitchTo(old);
	return assigner;
}

/*
 * assign_cluster(model, features)
 */
Datum
te_assign_cluster(PG_FUNCTION_ARGS)
{
	Jsonb	   *model = PG_GETARG_JSONB_P(0);
	Jsonb	   *features = PG_GETARG_JSONB_P(1);
	Assigner   *assigner = fcinfo->flinfo->fn_extra;
	double	   *x;
	double		least = INFINITY;
	int			nearest = 0;
	int			i,
				j;

	if (assigner == NULL || VARSIZE(assigner->source) != VARSIZE(model) ||
		memcmp(assigner->source, model, VARSIZE(model)) != 0)
		fcinfo->flinfo->fn_extra = assigner = parse_model(model, fcinfo->flinfo->fn_mcxt);
	x = palloc(sizeof(double) * assigner->d);
	for (j = 0; j < assigner->d; j++)
	{
		x[j] = te_json_number(features, assigner->names[j], NAN, "features");
		if (isnan(x[j]))
			PG_RETURN_NULL();
	}
	for (i = 0; i < assigner->k; i++)
	{
		double		sum = 0;

		for (j = 0; j < assigner->d; j++)
		{
			double		difference = (x[j] - assigner->centers[i * assigner->d + j]) / assigner->scale[j];

			sum += difference * difference;
		}
		if (sum < least)
		{
			least = sum;
			nearest = i;
		}
	}
	PG_RETURN_INT32(nearest + 1);
}

/*
 * The elements of an array of doubles; throws when one is NULL.
 */
static double *
array_values(ArrayType *array, int *count)
{
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an element of an array is null")));
	*count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (double *) ARR_DATA_PTR(array);
}

/*
 * simple_silhouette(point, centers)
 */
Datum
te_simple_silhouette(PG_FUNCTION_ARGS)
{
	ArrayType  *centers = PG_GETARG_ARRAYTYPE_P(1);
	int			d,
				all,
				i,
				j;
	double	   *x = array_values(PG_GETARG_ARRAYTYPE_P(0), &d);
	double	   *c = array_values(centers, &all);
	double		a = INFINITY,
				b = INFINITY;

	if (ARR_NDIM(centers) != 2 || ARR_DIMS(centers)[1] != d || ARR_DIMS(centers)[0] < 2)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("centers must be an array of at least two arrays as long as point")));
	for (i = 0; i < all / d; i++)
	{
		double		sum = 0;

		for (j = 0; j < d; j++)
			sum += (x[j] - c[i * d + j]) * (x[j] - c[i * d + j]);
		if (sum < a)
		{
			b = a;
			a = sum;
		}
		else if (sum < b)
			b = sum;
	}
	a = sqrt(a);
	b = sqrt(b);
	PG_RETURN_FLOAT8(b > 0 ? (b - a) / b : 0);
}
