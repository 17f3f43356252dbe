/*
 * schema.c
 *		Checking properties against a JSON Schema.
 *
 * The subset is the one that event contracts use: type, required, properties,
 * additionalProperties (a boolean), enum, const, minimum, maximum, minLength,
 * maxLength, pattern, items, minItems, maxItems. create_event_schema() refuses
 * any other key, so nothing is silently ignored.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "errors.h"
#include "event/event.h"

PG_FUNCTION_INFO_V1(te_check_event_schema);

#define MAX_DEPTH 32

static const char *const schema_keys[] = {
	"type", "required", "properties", "additionalProperties", "enum", "const", "minimum",
	"maximum", "minLength", "maxLength", "pattern", "items", "minItems", "maxItems",
	"title", "description", "$schema", NULL
};
static const char *const types[] = {
	"object", "array", "string", "number", "integer", "boolean", "null", NULL
};

static char *check(Jsonb *schema, JsonbValue *value, const char *path, int depth);

/*
 * A value as a jsonb of its own.
 */
static Jsonb *
as_jsonb(JsonbValue *value)
{
	return JsonbValueToJsonb(value);
}

/*
 * True when a number has no fraction.
 */
static bool
is_integer(Numeric number)
{
	Datum		whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0));

	return !numeric_is_nan(number) &&
		DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number), whole));
}

/*
 * True when the value has the type of that name.
 */
static bool
has_type(JsonbValue *value, const char *type)
{
	switch (value->type)
	{
		case jbvNull:
			return strcmp(type, "null") == 0;
		case jbvString:
			return strcmp(type, "string") == 0;
		case jbvBool:
			return strcmp(type, "boolean") == 0;
		case jbvNumeric:
			return strcmp(type, "number") == 0 ||
				(strcmp(type, "integer") == 0 && is_integer(value->val.numeric));
		case jbvBinary:
			return strcmp(type, JsonContainerIsArray(value->val.binary.data) ? "array" : "object") == 0;
		default:
			return false;
	}
}

/*
 * Checks "type": a name or an array of names.
 */
static char *
check_type(JsonbValue *wanted, JsonbValue *value, const char *path)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (wanted->type == jbvString)
	{
		char	   *type = pnstrdup(wanted->val.string.val, wanted->val.string.len);

		return has_type(value, type) ? NULL : psprintf("%s must be of type %s", path, type);
	}
	it = JsonbIteratorInit(wanted->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM &&
			has_type(value, pnstrdup(item.val.string.val, item.val.string.len)))
			return NULL;
	return psprintf("%s must be of one of the types %s", path, te_json_to_cstring(as_jsonb(wanted)));
}

/*
 * Checks "enum" and "const".
 */
static char *
check_values(Jsonb *schema, JsonbValue *value, const char *path)
{
	Jsonb	   *list = te_json_array(schema, "enum", "the schema");
	JsonbValue *constant = te_json_find(schema, "const");
	Jsonb	   *self = as_jsonb(value);
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (constant && compareJsonbContainers(&self->root, &as_jsonb(constant)->root) != 0)
		return psprintf("%s must be %s", path, te_json_to_cstring(as_jsonb(constant)));
	if (list == NULL)
		return NULL;
	it = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM && compareJsonbContainers(&self->root, &as_jsonb(&item)->root) == 0)
			return NULL;
	return psprintf("%s must be one of %s", path, te_json_to_cstring(list));
}

/*
 * Checks the bounds of a number.
 */
static char *
check_number(Jsonb *schema, JsonbValue *value, const char *path)
{
	JsonbValue *minimum = te_json_find(schema, "minimum");
	JsonbValue *maximum = te_json_find(schema, "maximum");
	Datum		number = NumericGetDatum(value->val.numeric);

	if (minimum && DatumGetBool(DirectFunctionCall2(numeric_lt, number,
													NumericGetDatum(minimum->val.numeric))))
		return psprintf("%s must be at least %s", path, te_json_to_cstring(as_jsonb(minimum)));
	if (maximum && DatumGetBool(DirectFunctionCall2(numeric_gt, number,
													NumericGetDatum(maximum->val.numeric))))
		return psprintf("%s must be at most %s", path, te_json_to_cstring(as_jsonb(maximum)));
	return NULL;
}

/*
 * Checks length and pattern of a string.
 */
static char *
check_string(Jsonb *schema, JsonbValue *value, const char *path)
{
	double		length = pg_mbstrlen_with_len(value->val.string.val, value->val.string.len);
	double		least = te_json_number(schema, "minLength", 0, "the schema");
	double		most = te_json_number(schema, "maxLength", -1, "the schema");
	char	   *pattern = te_json_text(schema, "pattern", "the schema");

	if (length < least)
		return psprintf("%s must have at least %g characters", path, least);
	if (most >= 0 && length > most)
		return psprintf("%s must have at most %g characters", path, most);
	if (pattern)
	{
		text	   *string = cstring_to_text_with_len(value->val.string.val, value->val.string.len);

		if (!DatumGetBool(DirectFunctionCall2Coll(textregexeq, DEFAULT_COLLATION_OID,
												  PointerGetDatum(string),
												  CStringGetTextDatum(pattern))))
			return psprintf("%s must match the pattern \"%s\"", path, pattern);
	}
	return NULL;
}

/*
 * Checks an array and its items.
 */
static char *
check_array(Jsonb *schema, JsonbValue *value, const char *path, int depth)
{
	Jsonb	   *items = te_json_object(schema, "items", "the schema");
	double		least = te_json_number(schema, "minItems", 0, "the schema");
	double		most = te_json_number(schema, "maxItems", -1, "the schema");
	int			n = JsonContainerSize(value->val.binary.data);
	int			i;

	if (n < least)
		return psprintf("%s must have at least %g items", path, least);
	if (most >= 0 && n > most)
		return psprintf("%s must have at most %g items", path, most);
	for (i = 0; items && i < n; i++)
	{
		char	   *violation = check(items, getIthJsonbValueFromContainer(value->val.binary.data, i),
									  psprintf("%s[%d]", path, i), depth + 1);

		if (violation)
			return violation;
	}
	return NULL;
}

/*
 * Checks that the required keys are there.
 */
static char *
check_required(Jsonb *schema, JsonbContainer *object, const char *path)
{
	Jsonb	   *required = te_json_array(schema, "required", "the schema");
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (required == NULL)
		return NULL;
	it = JsonbIteratorInit(&required->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM &&
			getKeyJsonValueFromContainer(object, item.val.string.val, item.val.string.len, NULL) == NULL)
			return psprintf("%s lacks the key \"%.*s\"", path, item.val.string.len, item.val.string.val);
	return NULL;
}

/*
 * Checks an object: required keys, known keys, and the value of each.
 */
static char *
check_object(Jsonb *schema, JsonbValue *value, const char *path, int depth)
{
	Jsonb	   *properties = te_json_object(schema, "properties", "the schema");
	bool		additional = te_json_bool(schema, "additionalProperties", true, "the schema");
	char	   *violation = check_required(schema, value->val.binary.data, path);
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (violation)
		return violation;
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *key;
		Jsonb	   *rule;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(item.val.string.val, item.val.string.len);
		rule = properties ? te_json_object(properties, key, "the schema") : NULL;
		if (rule == NULL && !additional)
			return psprintf("%s has the unknown key \"%s\"", path, key);
		if (rule == NULL)
			continue;
		violation = check(rule, getKeyJsonValueFromContainer(value->val.binary.data, key, strlen(key), NULL),
						  psprintf("%s.%s", path, key), depth + 1);
		if (violation)
			return violation;
	}
	return NULL;
}

/*
 * Checks one value against one schema.
 */
static char *
check(Jsonb *schema, JsonbValue *value, const char *path, int depth)
{
	JsonbValue *type = te_json_find(schema, "type");
	char	   *violation = NULL;

	if (depth > MAX_DEPTH)
		return psprintf("%s is nested too deeply", path);
	if (type)
		violation = check_type(type, value, path);
	if (violation == NULL)
		violation = check_values(schema, value, path);
	if (violation)
		return violation;
	switch (value->type)
	{
		case jbvNumeric:
			return check_number(schema, value, path);
		case jbvString:
			return check_string(schema, value, path);
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data)
				? check_array(schema, value, path, depth)
				: check_object(schema, value, path, depth);
		default:
			return NULL;
	}
}

/*
 * What is wrong with the properties, palloc'ed, or NULL when nothing is.
 */
char *
te_event_violation(Jsonb *schema, Jsonb *properties)
{
	JsonbValue	root;

	root.type = jbvBinary;
	root.val.binary.data = &properties->root;
	root.val.binary.len = VARSIZE(properties) - VARHDRSZ;
	return check(schema, &root, "properties", 0);
}

/*
 * Raises the error of a schema that is not one.
 */
static void
bad_schema(const char *path, const char *key, const char *wanted)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("key \"%s\" of %s must be %s", key, path, wanted)));
}

/*
 * Checks "type" of a schema and the keys that hold numbers, strings or arrays of
 * strings.
 */
static void
check_schema_values(Jsonb *schema, const char *path)
{
	static const char *const numbers[] = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"};
	JsonbValue *type = te_json_find(schema, "type");
	Jsonb	   *list = NULL;
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *pattern = te_json_text(schema, "pattern", path);
	int			i,
				pass;

	for (i = 0; i < lengthof(numbers); i++)
		(void) te_json_number(schema, numbers[i], 0, path);
	if (pattern)
		(void) DirectFunctionCall2Coll(textregexeq, DEFAULT_COLLATION_OID,
									   CStringGetTextDatum(""), CStringGetTextDatum(pattern));
	(void) te_json_array(schema, "enum", path);
	for (pass = 0; pass < 2; pass++)
	{
		const char *key = pass == 0 ? "type" : "required";

		if (pass == 0 && type && type->type != jbvString && type->type != jbvBinary)
			bad_schema(path, key, "a string or an array of strings");
		if (pass == 0 && type && type->type == jbvString)
			list = te_json_parse(psprintf("[%s]", te_json_to_cstring(as_jsonb(type))));
		else
			list = te_json_array(schema, key, path);
		if (list == NULL)
			continue;
		it = JsonbIteratorInit(&list->root);
		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			if (token != WJB_ELEM)
				continue;
			if (item.type != jbvString)
				bad_schema(path, key, pass == 0 ? "a string or an array of strings" : "an array of strings");
			for (i = 0; pass == 0 && types[i]; i++)
				if (strlen(types[i]) == item.val.string.len &&
					memcmp(types[i], item.val.string.val, item.val.string.len) == 0)
					break;
			if (pass == 0 && types[i] == NULL)
				bad_schema(path, key, "object, array, string, number, integer, boolean or null");
		}
	}
}

/*
 * Checks that a schema uses the subset, at every level.
 */
static void
check_schema(Jsonb *schema, const char *path, int depth)
{
	Jsonb	   *properties;
	Jsonb	   *items;

	if (depth > MAX_DEPTH)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s is nested too deeply", path)));
	te_json_check_keys(schema, path, schema_keys);
	check_schema_values(schema, path);
	(void) te_json_bool(schema, "additionalProperties", true, path);
	items = te_json_object(schema, "items", path);
	if (items)
		check_schema(items, psprintf("%s.items", path), depth + 1);
	properties = te_json_object(schema, "properties", path);
	if (properties)
	{
		JsonbIterator *it = JsonbIteratorInit(&properties->root);
		JsonbValue	item;
		JsonbIteratorToken token;

		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			char	   *key;

			if (token != WJB_KEY)
				continue;
			key = pnstrdup(item.val.string.val, item.val.string.len);
			check_schema(te_json_object(properties, key, path), psprintf("%s.%s", path, key), depth + 1);
		}
	}
}

/*
 * _check_event_schema(schema): throws when it is not a schema we can hold to.
 */
Datum
te_check_event_schema(PG_FUNCTION_ARGS)
{
	check_schema(PG_GETARG_JSONB_P(0), "schema", 0);
	PG_RETURN_VOID();
}
