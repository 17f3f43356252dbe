/*
 * json.c
 *		Reading jsonb definitions: typed access by key, and the check that every
 *		key is known.
 *
 * Errors name the object that is being defined ("what") and the key.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "common/common.h"
#include "errors.h"

/*
 * The value of a top-level key, palloc'ed, or NULL when it is absent.
 */
JsonbValue *
te_json_find(Jsonb *object, const char *key)
{
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	return getKeyJsonValueFromContainer(&object->root, key, strlen(key), NULL);
}

/*
 * Raises the error for a value of the wrong type.
 */
static void
wrong_type(const char *key, const char *what, const char *wanted)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("key \"%s\" of %s must be %s", key, what, wanted)));
}

/*
 * A text value, palloc'ed; NULL when the key is absent or null.
 */
char *
te_json_text(Jsonb *object, const char *key, const char *what)
{
	JsonbValue *value = te_json_find(object, key);

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type != jbvString)
		wrong_type(key, what, "a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * A nested object or array as a jsonb of its own; NULL when absent or null.
 */
static Jsonb *
container(Jsonb *object, const char *key, const char *what, bool array)
{
	JsonbValue *value = te_json_find(object, key);
	Jsonb	   *result;

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type != jbvBinary)
		wrong_type(key, what, array ? "an array" : "an object");
	result = JsonbValueToJsonb(value);
	if (array ? !JB_ROOT_IS_ARRAY(result) : !JB_ROOT_IS_OBJECT(result))
		wrong_type(key, what, array ? "an array" : "an object");
	return result;
}

/*
 * A nested object as a jsonb of its own in the current context; NULL when absent or
 * null. Throws when it is something else.
 */
Jsonb *
te_json_object(Jsonb *object, const char *key, const char *what)
{
	return container(object, key, what, false);
}

/*
 * The same for a nested array.
 */
Jsonb *
te_json_array(Jsonb *object, const char *key, const char *what)
{
	return container(object, key, what, true);
}

/*
 * A boolean; absent when the key is not there or null.
 */
bool
te_json_bool(Jsonb *object, const char *key, bool absent, const char *what)
{
	JsonbValue *value = te_json_find(object, key);

	if (value == NULL || value->type == jbvNull)
		return absent;
	if (value->type != jbvBool)
		wrong_type(key, what, "true or false");
	return value->val.boolean;
}

/*
 * A number as a double; absent when the key is not there or null.
 */
double
te_json_number(Jsonb *object, const char *key, double absent, const char *what)
{
	JsonbValue *value = te_json_find(object, key);

	if (value == NULL || value->type == jbvNull)
		return absent;
	if (value->type != jbvNumeric)
		wrong_type(key, what, "a number");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8,
											  NumericGetDatum(value->val.numeric)));
}

/* Where a text value stands and what it should be, for the errors of its type. */
typedef struct Place
{
	MemoryContext context;
	const char *key;
	const char *what;
	const char *wanted;
	const char *hint;
} Place;

/*
 * Turns an error of a type's input function into one of the definition, which names
 * the key and keeps what the function said as its detail. Errors that are not about
 * the value, such as a cancel, stay what they are.
 */
static void
blame_key(void *arg)
{
	Place	   *place = arg;
	MemoryContext old;
	ErrorData  *error;

	switch (ERRCODE_TO_CATEGORY(geterrcode()))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			break;
		default:
			return;
	}
	old = MemoryContextSwitchTo(place->context);
	error = CopyErrorData();
	MemoryContextSwitchTo(old);
	errcode(TE_ERRCODE_DEFINITION);
	errmsg("key \"%s\" of %s must be %s", place->key, place->what, place->wanted);
	errdetail_internal("%s", error->message);
	errhint("%s", place->hint);
}

/*
 * A text as a value of another type, by its input function. What is wrong with it is
 * an error of the definition: wanted and hint say what it should be.
 */
Datum
te_json_input(const char *text, Oid function, const char *key, const char *what,
			  const char *wanted, const char *hint)
{
	Place		place = {CurrentMemoryContext, key, what, wanted, hint};
	ErrorContextCallback callback;
	Datum		result;

	callback.callback = blame_key;
	callback.arg = &place;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	result = OidInputFunctionCall(function, unconstify(char *, text), InvalidOid, -1);
	error_context_stack = callback.previous;
	return result;
}

/*
 * An interval in PostgreSQL's words, as "10 min"; NULL when absent or null.
 * A number counts seconds. Negative intervals are refused.
 */
Interval *
te_json_interval(Jsonb *object, const char *key, const char *what)
{
	JsonbValue *value = te_json_find(object, key);
	Interval   *result;

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type == jbvNumeric)
	{
		double		seconds = te_json_number(object, key, 0, what);

		if (!(seconds >= 0 && seconds < 1e10))
			wrong_type(key, what, "a number of seconds that is not negative");
		result = palloc0(sizeof(Interval));
		result->time = (TimeOffset) rint(seconds * USECS_PER_SEC);
		return result;
	}
	if (value->type != jbvString)
		wrong_type(key, what, "an interval such as \"10 min\"");
	result = DatumGetIntervalP(te_json_input(pnstrdup(value->val.string.val, value->val.string.len),
											 F_INTERVAL_IN, key, what, "an interval",
											 "Write it as in \"10 min\", \"1 day 2 hours\" or \"PT1H\"."));
	if (result->time < 0 || result->day < 0 || result->month < 0)
		wrong_type(key, what, "an interval that is not negative");
	return result;
}

/*
 * The allowed word nearest to the given one, or NULL when none is near. The list
 * ends with NULL. Does not throw for ordinary input.
 */
const char *
te_json_nearest(const char *word, const char *const *allowed)
{
	const char *best = NULL;
	int			best_distance = 4;

	if (strlen(word) > 63)
		return NULL;
	for (; *allowed; allowed++)
	{
		int			distance = varstr_levenshtein_less_equal(word, strlen(word),
															 *allowed, strlen(*allowed),
															 1, 1, 1, best_distance, true);

		if (distance < best_distance && distance <= (int) strlen(word) / 2 + 1)
		{
			best = *allowed;
			best_distance = distance;
		}
	}
	return best;
}

/*
 * Raises an error for the first key that is not in the list (which ends with
 * NULL), naming it, the nearest known one and all of them.
 */
void
te_json_check_keys(Jsonb *object, const char *what, const char *const *allowed)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (object == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be a JSON object", what)));
	it = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *key;
		const char *nearest;
		StringInfoData all;
		int			i;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(value.val.string.val, value.val.string.len);
		for (i = 0; allowed[i]; i++)
			if (strcmp(allowed[i], key) == 0)
				break;
		if (allowed[i])
			continue;
		nearest = te_json_nearest(key, allowed);
		initStringInfo(&all);
		for (i = 0; allowed[i]; i++)
			appendStringInfo(&all, "%s\"%s\"", i ? ", " : "", allowed[i]);
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("unknown key \"%s\" in %s", key, what),
				 nearest ? errdetail("The known keys are %s.", all.data) : 0,
				 nearest ? errhint("Perhaps you meant \"%s\".", nearest)
				 : allowed[0] ? errhint("The known keys are %s.", all.data) : errhint("It takes no keys.")));
	}
}

/*
 * Parses text as jsonb; throws when it is not JSON.
 */
Jsonb *
te_json_parse(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/*
 * A jsonb with its numbers in their shortest form, so that values that are equal
 * have the same text.
 */
static Jsonb *
normalise(Jsonb *value)
{
	JsonbIterator *it = JsonbIteratorInit(&value->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	part;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &part, false)) != WJB_DONE)
	{
		bool		is_scalar = token == WJB_BEGIN_ARRAY && part.val.array.rawScalar;

		if ((token == WJB_ELEM || token == WJB_VALUE) && part.type == jbvNumeric)
			part.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in,
																   CStringGetDatum(numeric_normalize(part.val.numeric)),
																   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY || is_scalar ? &part : NULL);
	}
	return JsonbValueToJsonb(result);
}

/*
 * A jsonb as a key: a string without its quotes, anything else as text that is the
 * same for equal values; palloc'ed. NULL for null.
 */
char *
te_json_key_text(Jsonb *value)
{
	JsonbValue	scalar;

	if (JB_ROOT_IS_SCALAR(value) && JsonbExtractScalar(&value->root, &scalar))
	{
		if (scalar.type == jbvNull)
			return NULL;
		if (scalar.type == jbvString)
			return pnstrdup(scalar.val.string.val, scalar.val.string.len);
	}
	return te_json_to_cstring(normalise(value));
}

/*
 * A jsonb as text, palloc'ed.
 */
char *
te_json_to_cstring(Jsonb *value)
{
	return JsonbToCString(NULL, &value->root, VARSIZE(value));
}
