/*
 * interest.c
 *		What people are interested in: weights of features that halve with time, brought up
 *		to date only when they are touched or read.
 *
 * w(t) = sum of x_i * 2^-((t - t_i) / half_life) is kept as the pair (w, t0): an event at t
 * makes it (w * 2^-((t - t0) / half_life) + x, t), and one that comes late is aged instead.
 * Nothing is ever read again.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "errors.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_decayed);
PG_FUNCTION_INFO_V1(te_interest_features);
PG_FUNCTION_INFO_V1(te_add_interest);
PG_FUNCTION_INFO_V1(te_cosine_similarity);

#define MAX_FEATURES 1000
#define MAX_FEATURE_LENGTH 200

/* Features of an item or an event with their weights. */
typedef struct Vector
{
	int			count;
	int			size;
	char	  **names;
	double	   *weights;
} Vector;

/* A dimension that somebody set the half-life of. */
typedef struct Dimension
{
	char	   *name;
	double		half_life;
} Dimension;

/* 30 days */
#define DEFAULT_HALF_LIFE 2592000

static MemoryContext dimensions_context = NULL;
static Dimension *dimensions = NULL;
static int	ndimensions = 0;
static bool dimensions_stale = true;
static Oid	dimensions_table = InvalidOid;

/*
 * decayed(weight, since, until, half_life): what is left of a weight; also what it was
 * before, when until lies before since.
 */
Datum
te_decayed(PG_FUNCTION_ARGS)
{
	double		weight = PG_GETARG_FLOAT8(0);
	TimestampTz since = PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(2);
	double		half_life = PG_GETARG_FLOAT8(3);

	if (!(half_life > 0) || TIMESTAMP_NOT_FINITE(since) || TIMESTAMP_NOT_FINITE(until))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("half_life must be greater than 0 and times must be finite")));
	PG_RETURN_FLOAT8(weight * exp2(-((double) (until - since) / USECS_PER_SEC) / half_life));
}

/*
 * Adds one feature, "dimension=value".
 */
static void
add_feature(Vector *vector, const char *dimension, const char *value, int length, double weight)
{
	if (vector->count == MAX_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d features", MAX_FEATURES)));
	if (strlen(dimension) + 1 + length > MAX_FEATURE_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a feature of \"%.40s\" is longer than %d bytes", dimension, MAX_FEATURE_LENGTH)));
	if (vector->count == vector->size)
	{
		vector->size = Max(vector->size * 2, 8);
		vector->names = vector->names ? repalloc(vector->names, sizeof(char *) * vector->size)
			: palloc(sizeof(char *) * vector->size);
		vector->weights = vector->weights ? repalloc(vector->weights, sizeof(double) * vector->size)
			: palloc(sizeof(double) * vector->size);
	}
	vector->names[vector->count] = psprintf("%s=%.*s", dimension, length, value);
	vector->weights[vector->count++] = weight;
}

/*
 * Adds a scalar of a dimension.
 */
static void
add_scalar(Vector *vector, const char *dimension, JsonbValue *value)
{
	if (value->type == jbvString)
		add_feature(vector, dimension, value->val.string.val, value->val.string.len, 1);
	else if (value->type == jbvNumeric)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));

		add_feature(vector, dimension, text, strlen(text), 1);
	}
	else if (value->type == jbvBool)
		add_feature(vector, dimension, value->val.boolean ? "true" : "false", value->val.boolean ? 4 : 5, 1);
	else if (value->type != jbvNull)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("\"%s\" of features holds neither values nor weights of values", dimension)));
}

/*
 * Adds the values of an array, or the weights of an object.
 */
static void
add_container(Vector *vector, const char *dimension, JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	name = {0};

	(void) JsonbIteratorNext(&it, &value, true);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		switch (token)
		{
			case WJB_KEY:
				name = value;
				break;
			case WJB_VALUE:
				if (value.type != jbvNumeric)
					ereport(ERROR,
							(errcode(TE_ERRCODE_DEFINITION),
							 errmsg("\"%s\" of features holds neither values nor weights of values", dimension),
							 errhint("Write {\"brand\": \"x\"}, {\"brand\": [\"x\", \"y\"]} or {\"brand\": {\"x\": 0.5}}.")));
				add_feature(vector, dimension, name.val.string.val, name.val.string.len,
							te_score_numeric(value.val.numeric));
				break;
			case WJB_ELEM:
				add_scalar(vector, dimension, &value);
				break;
			default:
				break;
		}
}

/*
 * The features of a JSON object: {"category": "shoes", "tags": ["new", "red"], "brand":
 * {"x": 0.7}}.
 */
static Vector *
read_vector(Jsonb *json)
{
	Vector	   *vector = palloc0(sizeof(Vector));
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("features must be a JSON object"),
				 errhint("For example {\"category\": \"shoes\", \"tags\": [\"new\", \"red\"]}.")));
	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *dimension;

		if (token != WJB_KEY)
			continue;
		dimension = pnstrdup(value.val.string.val, value.val.string.len);
		if (strchr(dimension, '='))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("the name of a dimension holds \"=\": \"%s\"", dimension)));
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type == jbvBinary)
			add_container(vector, dimension, value.val.binary.data);
		else
			add_scalar(vector, dimension, &value);
	}
	return vector;
}

/*
 * _interest_features(features)
 */
Datum
te_interest_features(PG_FUNCTION_ARGS)
{
	Vector	   *vector = read_vector(PG_GETARG_JSONB_P(0));
	TeResult	result;
	int			i;

	te_score_result_begin(&result, fcinfo, "_interest_features");
	for (i = 0; i < vector->count; i++)
	{
		Datum		values[2] = {CStringGetTextDatum(vector->names[i]), Float8GetDatum(vector->weights[i])};
		bool		nulls[2] = {false, false};

		te_score_result_row(&result, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Order of two texts by their bytes, so that concurrent calls lock rows in one order.
 */
static int
compare_indexes(const void *a, const void *b, void *arg)
{
	Vector	   *vector = arg;

	return strcmp(vector->names[*(const int *) a], vector->names[*(const int *) b]);
}

/*
 * Relcache callback: the half-lives may have changed.
 */
static void
dimensions_changed(Datum arg, Oid relid)
{
	if (relid == dimensions_table || !OidIsValid(relid))
		dimensions_stale = true;
}

/*
 * Reads the half-lives of all dimensions, which are few, into the session's memory. SPI
 * must be connected and the extension's owner be acting.
 */
static void
load_dimensions(void)
{
	static SPIPlanPtr plan = NULL;
	static bool registered = false;
	MemoryContext old;
	int			i;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(dimensions_changed, (Datum) 0);
		registered = true;
	}
	dimensions_table = get_relname_relid("_interest_dimensions", get_namespace_oid("trigger_engine", false));
	AcceptInvalidationMessages();
	dimensions_stale = false;
	PushActiveSnapshot(GetLatestSnapshot());
	te_db_execute(&plan, "SELECT dimension, half_life FROM trigger_engine._interest_dimensions", 0, NULL, NULL, NULL, true, 0);
	PopActiveSnapshot();
	if (dimensions_context)
		MemoryContextDelete(dimensions_context);
	dimensions_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine dimensions", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(dimensions_context);
	dimensions = palloc(sizeof(Dimension) * (SPI_processed + 1));
	ndimensions = SPI_processed;
	for (i = 0; i < ndimensions; i++)
	{
		bool		isnull;

		dimensions[i].name = TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		dimensions[i].half_life = DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
	}
	MemoryContextSwitchTo(old);
}

/*
 * The half-life of a feature, in seconds.
 */
static double
half_life_of(const char *feature)
{
	int			length = strchr(feature, '=') - feature;
	int			i;

	for (i = 0; i < ndimensions; i++)
		if (strncmp(dimensions[i].name, feature, length) == 0 && dimensions[i].name[length] == '\0')
			return dimensions[i].half_life;
	return DEFAULT_HALF_LIFE;
}

/*
 * Adds to one feature: most often it is there already.
 */
static void
touch_feature(Datum user, const char *feature, double weight, TimestampTz at)
{
	static SPIPlanPtr update = NULL;
	static SPIPlanPtr insert = NULL;
	const Oid	types[] = {TEXTOID, TEXTOID, FLOAT8OID, TIMESTAMPTZOID, FLOAT8OID};
	Datum		values[lengthof(types)];

	values[0] = user;
	values[1] = CStringGetTextDatum(feature);
	values[2] = Float8GetDatum(weight);
	values[3] = TimestampTzGetDatum(at);
	values[4] = Float8GetDatum(half_life_of(feature));
	te_db_execute(&update, "UPDATE trigger_engine._interests SET weight = CASE WHEN $4 >= at"
				  " THEN trigger_engine._decayed(weight, at, $4, half_life) + $3"
				  " ELSE weight + trigger_engine._decayed($3, $4, at, $5) END, at = greatest(at, $4), half_life = $5"
				  " WHERE user_id = $1 AND feature = $2",
				  lengthof(types), types, values, NULL, false, 0);
	if (SPI_processed > 0)
		return;
	te_db_execute(&insert, "INSERT INTO trigger_engine._interests AS i (user_id, feature, weight, at, half_life)"
				  " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, feature) DO UPDATE SET"
				  " weight = CASE WHEN excluded.at >= i.at"
				  " THEN trigger_engine._decayed(i.weight, i.at, excluded.at, i.half_life) + excluded.weight"
				  " ELSE i.weight + trigger_engine._decayed(excluded.weight, excluded.at, i.at, excluded.half_life) END,"
				  " at = greatest(i.at, excluded.at), half_life = excluded.half_life",
				  lengthof(types), types, values, NULL, false, 0);
}

/*
 * add_interest(user_id, features, amount, at)
 */
Datum
te_add_interest(PG_FUNCTION_ARGS)
{
	Vector	   *vector;
	TeIdentity	saved;
	int		   *order;
	double		amount;
	TimestampTz at;
	int			i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("user_id, features and amount are required")));
	vector = read_vector(PG_GETARG_JSONB_P(1));
	amount = PG_GETARG_FLOAT8(2);
	at = PG_ARGISNULL(3) ? te_clock_transaction() : PG_GETARG_TIMESTAMPTZ(3);
	if (!isfinite(amount) || TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("amount and at must be finite")));
	order = palloc(sizeof(int) * (vector->count + 1));
	for (i = 0; i < vector->count; i++)
		order[i] = i;
	qsort_arg(order, vector->count, sizeof(int), compare_indexes, vector);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_KEPT_PLANS);
	if (dimensions_stale)
		load_dimensions();
	for (i = 0; i < vector->count; i++)
		touch_feature(PG_GETARG_DATUM(0), vector->names[order[i]], vector->weights[order[i]] * amount, at);
	te_run_as_end(&saved);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * The number under a key that an object's iterator stands on; 0 when it is none.
 */
static double
number_of(JsonbValue *value)
{
	return value && value->type == jbvNumeric ? te_score_numeric(value->val.numeric) : 0;
}

/*
 * cosine_similarity(a, b)
 */
Datum
te_cosine_similarity(PG_FUNCTION_ARGS)
{
	Jsonb	   *sides[2] = {PG_GETARG_JSONB_P(0), PG_GETARG_JSONB_P(1)};
	TeSum		dot = {0};
	TeSum		squares[2] = {{0}};
	double		length;
	int			side;

	for (side = 0; side < 2; side++)
	{
		JsonbIterator *it = JsonbIteratorInit(&sides[side]->root);
		JsonbIteratorToken token;
		JsonbValue	value;

		if (!JB_ROOT_IS_OBJECT(sides[side]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cosine_similarity takes JSON objects of numbers")));
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		{
			JsonbValue	key = value;
			double		number;

			if (token != WJB_KEY)
				continue;
			(void) JsonbIteratorNext(&it, &value, true);
			number = number_of(&value);
			te_score_add(&squares[side], number * number);
			if (side == 0)
				te_score_add(&dot, number *
							 number_of(getKeyJsonValueFromContainer(&sides[1]->root, key.val.string.val,
																	key.val.string.len, NULL)));
		}
	}
	length = sqrt(te_score_total(&squares[0])) * sqrt(te_score_total(&squares[1]));
	if (!(length > 0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(Max(-1, Min(1, te_score_total(&dot) / length)));
}
