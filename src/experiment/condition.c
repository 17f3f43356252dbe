/*
 * condition.c
 *		Conditions on a person's attributes in the language of GrowthBook's SDKs, which
 *		is that of MongoDB's queries.
 *
 * Values are compared as JavaScript does it, since that is what the SDKs agree on: a
 * missing attribute is null, null counts as 0 beside a number, a text of digits as
 * that number. Nothing here throws for data; a condition of the wrong shape or with an
 * unknown operator does not hold.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/numeric.h"

#include "errors.h"
#include "experiment/experiment_internal.h"

PG_FUNCTION_INFO_V1(te_matches_condition);

static bool value_holds(const JsonbValue *condition, const JsonbValue *value,
						JsonbContainer *groups, bool fold);

/* ---- values ---- */

/*
 * True for an object, or for an array.
 */
static bool
is_container(const JsonbValue *value, bool array)
{
	return value != NULL && value->type == jbvBinary &&
		(array ? JsonContainerIsArray(value->val.binary.data) && !JsonContainerIsScalar(value->val.binary.data)
		 : JsonContainerIsObject(value->val.binary.data));
}

/*
 * True for null and for what is not there.
 */
static bool
is_null(const JsonbValue *value)
{
	return value == NULL || value->type == jbvNull;
}

/*
 * A value as JavaScript makes it a text, palloc'ed; arrays and objects as JSON.
 */
char *
te_experiment_scalar_text(const JsonbValue *value)
{
	if (is_null(value))
		return pstrdup("null");
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return numeric_normalize(value->val.numeric);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
	}
}

/*
 * A value as JavaScript makes it a number; NaN when it is none.
 */
static double
as_number(const JsonbValue *value)
{
	char	   *text;
	char	   *end;
	double		number;

	if (is_null(value))
		return 0.0;
	if (value->type == jbvNumeric)
		return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												  NumericGetDatum(value->val.numeric)));
	if (value->type == jbvBool)
		return value->val.boolean;
	if (value->type != jbvString)
		return NAN;
	text = te_experiment_scalar_text(value);
	text += strspn(text, " \t\r\n");
	if (*text == '\0')
		return 0.0;
	if (strspn(text, "+-.0123456789") == 0)
		return NAN;				/* also for the words nan and inf */
	number = strtod(text, &end);
	return end[strspn(end, " \t\r\n")] == '\0' ? number : NAN;
}

/*
 * Whether a value counts as true.
 */
static bool
is_true(const JsonbValue *value)
{
	if (is_null(value))
		return false;
	if (value->type == jbvString)
		return value->val.string.len > 0;
	if (value->type == jbvNumeric || value->type == jbvBool)
		return as_number(value) != 0;
	return true;
}

/*
 * A text in lower case, palloc'ed.
 */
static char *
folded(const char *text)
{
	return str_tolower(text, strlen(text), DEFAULT_COLLATION_OID);
}

/*
 * Equality without conversion; arrays and objects are never the same one.
 */
static bool
same(const JsonbValue *a, const JsonbValue *b, bool fold)
{
	if (is_null(a) || is_null(b))
		return is_null(a) && is_null(b);
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvString:
			if (fold)
				return strcmp(folded(te_experiment_scalar_text(a)), folded(te_experiment_scalar_text(b))) == 0;
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
		case jbvNumeric:
			return as_number(a) == as_number(b);
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		default:
			return false;
	}
}

/*
 * Compares by size: texts by their octets, all else as numbers. False when they cannot
 * be compared.
 */
static bool
compare(const JsonbValue *a, const JsonbValue *b, int *order)
{
	double		x,
				y;

	if (!is_null(a) && !is_null(b) && a->type == jbvString && b->type == jbvString)
	{
		*order = strcmp(te_experiment_scalar_text(a), te_experiment_scalar_text(b));
		return true;
	}
	x = as_number(a);
	y = as_number(b);
	*order = x < y ? -1 : x > y;
	return !isnan(x) && !isnan(y);
}

/*
 * The value at a path of keys or positions with dots between, NULL when there is none.
 */
static JsonbValue *
at_path(const JsonbValue *object, const char *path, int len)
{
	const char *end = path + len;
	JsonbValue *value = NULL;

	while (path <= end)
	{
		const char *dot = memchr(path, '.', end - path);
		int			part = (dot ? dot : end) - path;

		if (is_container(object, false))
			value = getKeyJsonValueFromContainer(object->val.binary.data, path, part, NULL);
		else if (is_container(object, true) && part > 0 && part < 9 && strspn(path, "0123456789") >= part)
			value = getIthJsonbValueFromContainer(object->val.binary.data, atoi(pnstrdup(path, part)));
		else
			value = NULL;
		if (value == NULL)
			return NULL;
		object = value;
		path += part + 1;
	}
	return value;
}

/* ---- versions ---- */

/*
 * A version in a form that compares as text: without a leading v and the build, numbers
 * padded, a release after its pre-releases.
 */
static char *
padded_version(const JsonbValue *value)
{
	StringInfoData out;
	char	   *text = pstrdup("0");
	char	   *part;
	int			parts = 0;

	if (!is_null(value) && (value->type == jbvString || value->type == jbvNumeric))
		text = te_experiment_scalar_text(value);
	if (*text == '\0')
		text = pstrdup("0");
	if (*text == 'v')
		text++;
	text[strcspn(text, "+")] = '\0';
	initStringInfo(&out);
	for (part = text;; part++)
	{
		int			len = strcspn(part, "-.");
		bool		number = len > 0 && strspn(part, "0123456789") >= len;

		if (parts++ > 0)
			appendStringInfoChar(&out, '-');
		appendStringInfo(&out, "%*.*s", number ? 5 : 0, len, part);
		part += len;
		if (*part == '\0')
			break;
	}
	if (parts == 3)
		appendStringInfoString(&out, "-~");
	return out.data;
}

/* ---- operators ---- */

/*
 * Whether a value, or an element of it when it is an array, is among the expected.
 */
static bool
is_in(const JsonbValue *value, JsonbContainer *expected, bool fold)
{
	uint32		n = JsonContainerSize(expected);
	uint32		i,
				k;

	for (i = 0; i < n; i++)
	{
		JsonbValue *want = getIthJsonbValueFromContainer(expected, i);

		if (is_container(value, true))
		{
			for (k = 0; k < JsonContainerSize(value->val.binary.data); k++)
				if (same(getIthJsonbValueFromContainer(value->val.binary.data, k), want, fold))
					return true;
		}
		else if (same(value, want, fold))
			return true;
	}
	return false;
}

/*
 * Whether every expected condition holds for some element of the value.
 */
static bool
has_all(const JsonbValue *value, JsonbContainer *expected, JsonbContainer *groups, bool fold)
{
	uint32		i,
				k;

	if (!is_container(value, true))
		return false;
	for (i = 0; i < JsonContainerSize(expected); i++)
	{
		JsonbValue *want = getIthJsonbValueFromContainer(expected, i);
		bool		found = false;

		for (k = 0; k < JsonContainerSize(value->val.binary.data) && !found; k++)
			found = value_holds(want, getIthJsonbValueFromContainer(value->val.binary.data, k), groups, fold);
		if (!found)
			return false;
	}
	return true;
}

/*
 * True when all keys of an object begin with a dollar, and there is one.
 */
static bool
is_operators(const JsonbValue *value)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbIteratorToken token;

	if (!is_container(value, false) || JsonContainerSize(value->val.binary.data) == 0)
		return false;
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
		if (token == WJB_KEY && (key.val.string.len == 0 || key.val.string.val[0] != '$'))
			return false;
	return true;
}

/*
 * Whether an element of the value fulfils the condition.
 */
static bool
has_element(const JsonbValue *value, const JsonbValue *condition, JsonbContainer *groups)
{
	bool		operators = is_operators(condition);
	uint32		k;

	if (!is_container(value, true) || !is_container(condition, false))
		return false;
	for (k = 0; k < JsonContainerSize(value->val.binary.data); k++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(value->val.binary.data, k);

		if (!is_true(element))
			continue;
		if (operators ? value_holds(condition, element, groups, false)
			: te_experiment_matches(condition->val.binary.data, element, groups))
			return true;
	}
	return false;
}

/*
 * Whether a regular expression matches; one that does not compile does not.
 */
static bool
matches_pattern(const JsonbValue *pattern, const char *text, bool fold)
{
	pg_wchar   *wide;
	int			len;
	regex_t		compiled;
	bool		result;

	if (is_null(pattern) || pattern->type != jbvString)
		return false;
	wide = palloc(sizeof(pg_wchar) * (pattern->val.string.len + 1));
	len = pg_mb2wchar_with_len(pattern->val.string.val, wide, pattern->val.string.len);
	if (pg_regcomp(&compiled, wide, len, REG_ADVANCED | REG_NOSUB | (fold ? REG_ICASE : 0),
				   DEFAULT_COLLATION_OID) != REG_OKAY)
		return false;
	wide = palloc(sizeof(pg_wchar) * (strlen(text) + 1));
	len = pg_mb2wchar_with_len(text, wide, strlen(text));
	result = pg_regexec(&compiled, wide, len, 0, NULL, 0, NULL, 0) == REG_OKAY;
	pg_regfree(&compiled);
	return result;
}

/*
 * Name of a value's type.
 */
static const char *
type_name(const JsonbValue *value)
{
	if (is_null(value))
		return "null";
	switch (value->type)
	{
		case jbvString:
			return "string";
		case jbvNumeric:
			return "number";
		case jbvBool:
			return "boolean";
		default:
			return is_container(value, true) ? "array" : "object";
	}
}

/*
 * Operators that compare: $eq, $lt and their like, and the same for versions.
 */
static bool
comparison_holds(const char *operator, const JsonbValue *value, const JsonbValue *expected, bool *known)
{
	bool		version = operator[1] == 'v';
	const char *word = operator + (version ? 2 : 1);
	int			order = 0;
	bool		comparable = true;

	*known = true;
	if (version)
		order = strcmp(padded_version(value), padded_version(expected));
	else
		comparable = compare(value, expected, &order);
	if (strcmp(word, "eq") == 0)
		return version ? order == 0 : same(value, expected, false);
	if (strcmp(word, "ne") == 0)
		return version ? order != 0 : !same(value, expected, false);
	if (strcmp(word, "lt") == 0)
		return comparable && order < 0;
	if (strcmp(word, "lte") == 0)
		return comparable && order <= 0;
	if (strcmp(word, "gt") == 0)
		return comparable && order > 0;
	if (strcmp(word, "gte") == 0)
		return comparable && order >= 0;
	*known = false;
	return false;
}

/*
 * Operators over lists: $in, $nin, $all and their like without regard to case, and
 * membership of a saved group.
 */
static bool
list_holds(const char *operator, const JsonbValue *value, const JsonbValue *expected,
		   JsonbContainer *groups, bool *known)
{
	bool		fold = operator[strlen(operator) - 1] == 'i';
	bool		group = strcmp(operator, "$inGroup") == 0 || strcmp(operator, "$notInGroup") == 0;
	bool		in = strcmp(operator, "$in") == 0 || strcmp(operator, "$ini") == 0;
	bool		not_in = strcmp(operator, "$nin") == 0 || strcmp(operator, "$nini") == 0;

	*known = group || in || not_in || strcmp(operator, "$all") == 0 || strcmp(operator, "$alli") == 0;
	if (!*known)
		return false;
	if (group)
	{
		if (groups && !is_null(expected) && expected->type == jbvString)
			expected = getKeyJsonValueFromContainer(groups, expected->val.string.val,
													expected->val.string.len, NULL);
		else
			expected = NULL;
		return (is_container(expected, true) && is_in(value, expected->val.binary.data, false))
			== (operator[1] == 'i');
	}
	if (!is_container(expected, true))
		return false;
	if (in || not_in)
		return is_in(value, expected->val.binary.data, fold) == in;
	return has_all(value, expected->val.binary.data, groups, fold);
}

/*
 * One operator of a condition on a value.
 */
static bool
operator_holds(const char *operator, const JsonbValue *value, const JsonbValue *expected,
			   JsonbContainer *groups)
{
	bool		known;
	bool		result;
	JsonbValue	size;

	result = comparison_holds(operator, value, expected, &known);
	if (known)
		return result;
	result = list_holds(operator, value, expected, groups, &known);
	if (known)
		return result;
	if (strcmp(operator, "$exists") == 0)
		return is_true(expected) == !is_null(value);
	if (strcmp(operator, "$not") == 0)
		return !value_holds(expected, value, groups, false);
	if (strcmp(operator, "$elemMatch") == 0)
		return has_element(value, expected, groups);
	if (strcmp(operator, "$regex") == 0 || strcmp(operator, "$regexi") == 0)
		return matches_pattern(expected, te_experiment_scalar_text(value), operator[6] == 'i');
	if (strcmp(operator, "$type") == 0)
		return !is_null(expected) && strcmp(type_name(value), te_experiment_scalar_text(expected)) == 0;
	if (strcmp(operator, "$size") == 0 && is_container(value, true))
	{
		size.type = jbvNumeric;
		size.val.numeric = int64_to_numeric(JsonContainerSize(value->val.binary.data));
		return value_holds(expected, &size, groups, false);
	}
	return false;
}

/*
 * Whether a value is what a condition says: a literal, or operators.
 */
static bool
value_holds(const JsonbValue *condition, const JsonbValue *value, JsonbContainer *groups, bool fold)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *operator = NULL;

	check_stack_depth();
	if (is_null(condition))
		return is_null(value);
	if (condition->type == jbvString)
	{
		char	   *text = te_experiment_scalar_text(value);
		char	   *want = te_experiment_scalar_text(condition);

		return strcmp(fold ? folded(text) : text, fold ? folded(want) : want) == 0;
	}
	if (condition->type == jbvNumeric)
		return as_number(value) == as_number(condition);
	if (condition->type == jbvBool)
		return !is_null(value) && is_true(value) == condition->val.boolean;
	if (!is_operators(condition))
		return !is_null(value) && value->type == jbvBinary &&
			compareJsonbContainers(value->val.binary.data, condition->val.binary.data) == 0;
	it = JsonbIteratorInit(condition->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			operator = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && !operator_holds(operator, value, &item, groups))
			return false;
	}
	return true;
}

/*
 * Whether all, or any, of the conditions in an array hold.
 */
static bool
list_matches(const JsonbValue *list, const JsonbValue *attributes, JsonbContainer *groups, bool any)
{
	uint32		i;

	if (!is_container(list, true))
		return false;
	for (i = 0; i < JsonContainerSize(list->val.binary.data); i++)
	{
		JsonbValue *condition = getIthJsonbValueFromContainer(list->val.binary.data, i);
		bool		holds = is_container(condition, false) &&
			te_experiment_matches(condition->val.binary.data, attributes, groups);

		if (holds == any)
			return any;
	}
	return !any || JsonContainerSize(list->val.binary.data) == 0;
}

/*
 * Whether a person's attributes fulfil a condition, an object whose every key must
 * hold. Allocates in the current memory context.
 */
bool
te_experiment_matches(JsonbContainer *condition, const JsonbValue *attributes, JsonbContainer *groups)
{
	JsonbIterator *it = JsonbIteratorInit(condition);
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *key = NULL;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		bool		holds;

		if (token == WJB_KEY)
			key = pnstrdup(item.val.string.val, item.val.string.len);
		if (token != WJB_VALUE)
			continue;
		if (strcmp(key, "$or") == 0)
			holds = list_matches(&item, attributes, groups, true);
		else if (strcmp(key, "$nor") == 0)
			holds = !list_matches(&item, attributes, groups, true);
		else if (strcmp(key, "$and") == 0)
			holds = list_matches(&item, attributes, groups, false);
		else if (strcmp(key, "$not") == 0)
			holds = is_container(&item, false) && !te_experiment_matches(item.val.binary.data, attributes, groups);
		else
			holds = value_holds(&item, at_path(attributes, key, strlen(key)), groups, false);
		if (!holds)
			return false;
	}
	return true;
}

/*
 * matches_condition(condition, attributes, groups)
 */
Datum
te_matches_condition(PG_FUNCTION_ARGS)
{
	Jsonb	   *condition = PG_GETARG_JSONB_P(0);
	Jsonb	   *attributes = PG_GETARG_JSONB_P(1);
	Jsonb	   *groups = PG_GETARG_JSONB_P(2);
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(condition) || !JB_ROOT_IS_OBJECT(attributes) || !JB_ROOT_IS_OBJECT(groups))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("condition, attributes and groups must be JSON objects")));
	value.type = jbvBinary;
	value.val.binary.data = &attributes->root;
	value.val.binary.len = VARSIZE(attributes) - VARHDRSZ;
	PG_RETURN_BOOL(te_experiment_matches(&condition->root, &value, &groups->root));
}
