/*
 * result.c
 *		What functions of this folder return: sets of rows, and jsonb objects built
 *		key by key.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "score/score.h"

/*
 * Makes the tuplestore that a set-returning function fills, in the caller's query
 * context, with the columns that its declaration promises. Throws where no set can be
 * returned.
 */
void
te_score_result_begin(TeResult *result, FunctionCallInfo fcinfo, const char *function)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must be called where a set can be returned", function)));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &result->columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type of %s is not a row type", function);
	result->columns = BlessTupleDesc(result->columns);
	result->store = tuplestore_begin_heap(true, false, work_mem);
	info->returnMode = SFRM_Materialize;
	info->setResult = result->store;
	info->setDesc = result->columns;
	MemoryContextSwitchTo(old);
}

/*
 * Adds a row.
 */
void
te_score_result_row(TeResult *result, Datum *values, bool *nulls)
{
	tuplestore_putvalues(result->store, result->columns, values, nulls);
}

/*
 * Pushes a scalar, or the key before it.
 */
static void
push(TeBuilder *builder, const char *key, JsonbValue *value)
{
	JsonbValue	name;

	if (key)
	{
		name.type = jbvString;
		name.val.string.val = pstrdup(key);
		name.val.string.len = strlen(key);
		(void) pushJsonbValue(&builder->state, WJB_KEY, &name);
		(void) pushJsonbValue(&builder->state, WJB_VALUE, value);
	}
	else
		(void) pushJsonbValue(&builder->state, WJB_ELEM, value);
}

/*
 * Begins an object, in the current context.
 */
void
te_score_build(TeBuilder *builder)
{
	builder->state = NULL;
	(void) pushJsonbValue(&builder->state, WJB_BEGIN_OBJECT, NULL);
}

/*
 * A number with all the digits that make it what it is; null when it is none. Without
 * a key, an element of the array that is open.
 */
void
te_score_put_number(TeBuilder *builder, const char *key, double value)
{
	JsonbValue	json;

	if (!isfinite(value))
		json.type = jbvNull;
	else
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(float8out, Float8GetDatum(value)));

		json.type = jbvNumeric;
		json.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	}
	push(builder, key, &json);
}

/*
 * A text, or null for NULL.
 */
void
te_score_put_text(TeBuilder *builder, const char *key, const char *value)
{
	JsonbValue	json;

	json.type = value ? jbvString : jbvNull;
	if (value)
	{
		json.val.string.val = pstrdup(value);
		json.val.string.len = strlen(value);
	}
	push(builder, key, &json);
}

/*
 * True or false.
 */
void
te_score_put_bool(TeBuilder *builder, const char *key, bool value)
{
	JsonbValue	json;

	json.type = jbvBool;
	json.val.boolean = value;
	push(builder, key, &json);
}

/*
 * A whole jsonb, or null for NULL.
 */
void
te_score_put_json(TeBuilder *builder, const char *key, Jsonb *value)
{
	JsonbValue	json;

	if (value)
		JsonbToJsonbValue(value, &json);
	else
		json.type = jbvNull;
	push(builder, key, &json);
}

/*
 * Opens an object or array under the key, or as an element of the array that is open.
 */
void
te_score_open(TeBuilder *builder, const char *key, bool array)
{
	if (key)
	{
		JsonbValue	name;

		name.type = jbvString;
		name.val.string.val = pstrdup(key);
		name.val.string.len = strlen(key);
		(void) pushJsonbValue(&builder->state, WJB_KEY, &name);
	}
	(void) pushJsonbValue(&builder->state, array ? WJB_BEGIN_ARRAY : WJB_BEGIN_OBJECT, NULL);
}

/*
 * Closes what te_score_open() opened.
 */
void
te_score_close(TeBuilder *builder, bool array)
{
	(void) pushJsonbValue(&builder->state, array ? WJB_END_ARRAY : WJB_END_OBJECT, NULL);
}

/*
 * The finished object.
 */
Jsonb *
te_score_built(TeBuilder *builder)
{
	return JsonbValueToJsonb(pushJsonbValue(&builder->state, WJB_END_OBJECT, NULL));
}
