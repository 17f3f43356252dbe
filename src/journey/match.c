/*
 * match.c
 *		Does an event fit a condition, and which of many conditions can fit at all.
 *
 * A condition that implies an equality ("$.kind == \"a\" && ...") is indexed by
 * the hash of its value, so that the cost of an event follows the journeys that
 * match and not those that exist.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "journey/journey.h"

#define MAX_KEYS 16
#define MAX_TESTS 16

/* A comparison of what a path of keys leads to with a literal. */
typedef struct TeTest
{
	int			nkeys;
	char	  **keys;
	JsonPathItemType op;
	JsonbValue	literal;
} TeTest;

static bool look_up(Jsonb *properties, int nkeys, char **keys, JsonbValue *value, bool *is_array);

/*
 * Calls a jsonpath operator (@? or @@), which suppresses errors of the path:
 * NULL, unknown and errors all count as no match.
 */
static bool
call_path_operator(PGFunction operator, Jsonb *properties, JsonPath *path)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(properties);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(path);
	fcinfo->args[1].isnull = false;
	result = operator(fcinfo);
	return !fcinfo->isnull && DatumGetBool(result);
}

/*
 * Whether a test holds, as jsonpath's lax mode would say; *unsure is set, and nothing
 * said, when it has to look into an array. Values of another type than the literal
 * fulfil no comparison.
 */
static bool
holds(const TeTest *test, Jsonb *properties, bool *unsure)
{
	JsonbValue	value;
	bool		is_array;
	int			order;

	if (!look_up(properties, test->nkeys, test->keys, &value, &is_array))
		return false;
	if (is_array)
		*unsure = true;
	if (is_array || value.type != test->literal.type)
		return is_array;
	if (value.type == jbvString)
		return value.val.string.len == test->literal.val.string.len &&
			memcmp(value.val.string.val, test->literal.val.string.val, value.val.string.len) == 0;
	if (value.type == jbvBool)
		return value.val.boolean == test->literal.val.boolean;

	order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(value.val.numeric),
											  NumericGetDatum(test->literal.val.numeric)));
	switch (test->op)
	{
		case jpiLess:
			return order < 0;
		case jpiLessOrEqual:
			return order <= 0;
		case jpiGreater:
			return order > 0;
		case jpiGreaterOrEqual:
			return order >= 0;
		default:
			return order == 0;
	}
}

/*
 * True when the properties fulfil the condition. Throws only for what jsonpath
 * itself does not suppress (out of memory, cancel).
 */
bool
te_journey_matches(const TeMatcher *matcher, Jsonb *properties)
{
	bool		unsure = matcher->ntests == 0;
	int			i;

	if (matcher->where == NULL)
		return true;
	for (i = 0; i < matcher->ntests; i++)
		if (!holds(&matcher->tests[i], properties, &unsure))
			return false;
	if (!unsure)
		return true;
	return call_path_operator(matcher->is_predicate ? jsonb_path_match_opr : jsonb_path_exists_opr,
							  properties, matcher->where);
}

/*
 * First item that the path yields, as text; NULL when it yields none or null.
 */
char *
te_journey_path_text(JsonPath *path, Jsonb *properties)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(properties);
	fcinfo->args[1].value = PointerGetDatum(path);
	fcinfo->args[2].value = JsonbPGetDatum(te_json_parse("{}"));
	fcinfo->args[3].value = BoolGetDatum(true); /* silent */
	fcinfo->args[0].isnull = fcinfo->args[1].isnull = false;
	fcinfo->args[2].isnull = fcinfo->args[3].isnull = false;
	result = jsonb_path_query_first(fcinfo);
	if (fcinfo->isnull)
		return NULL;
	return te_json_key_text(DatumGetJsonbP(result));
}

/*
 * Hash of a scalar such that values which jsonpath's == calls equal have equal
 * hashes.
 */
uint32
te_journey_hash_scalar(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return hash_bytes((const unsigned char *) value->val.string.val,
							  value->val.string.len) ^ 0x5bd1e995;
		case jbvNumeric:
			return DatumGetUInt32(DirectFunctionCall1(hash_numeric,
													  NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? 0x1b873593 : 0xcc9e2d51;
		default:
			return 0x85ebca6b;
	}
}

/*
 * If item is a path of keys from the root (or from the filter's @), collects the
 * keys and returns their number; 0 otherwise.
 */
static int
path_of_keys(JsonPathItem *item, char **keys)
{
	JsonPathItem current = *item;
	JsonPathItem next;
	int			n = 0;

	if (current.type != jpiRoot && current.type != jpiCurrent)
		return 0;
	while (jspGetNext(&current, &next))
	{
		int32		len;
		char	   *key;

		if (next.type != jpiKey || n == MAX_KEYS)
			return 0;
		key = jspGetString(&next, &len);
		keys[n++] = pnstrdup(key, len);
		current = next;
	}
	return n;
}

/*
 * If item is a literal, puts it into *value. One with a method, as "5".double(), is
 * none.
 */
static bool
literal(JsonPathItem *item, JsonbValue *value)
{
	if (jspHasNext(item))
		return false;
	switch (item->type)
	{
		case jpiString:
			value->type = jbvString;
			value->val.string.val = jspGetString(item, &value->val.string.len);
			return true;
		case jpiNumeric:
			value->type = jbvNumeric;
			value->val.numeric = jspGetNumeric(item);
			return true;
		case jpiBool:
			value->type = jbvBool;
			value->val.boolean = jspGetBool(item);
			return true;
		default:
			return false;
	}
}

/*
 * Looks for "path == literal" among the parts that must all hold.
 */
static bool
find_equality(TeMatcher *matcher, JsonPathItem *item)
{
	JsonPathItem left,
				right;
	JsonbValue	value;
	char	   *keys[MAX_KEYS];
	int			nkeys;

	if (item->type != jpiAnd && item->type != jpiEqual)
		return false;
	jspGetLeftArg(item, &left);
	jspGetRightArg(item, &right);
	if (item->type == jpiAnd)
		return find_equality(matcher, &left) || find_equality(matcher, &right);
	if (literal(&right, &value))
		nkeys = path_of_keys(&left, keys);
	else if (literal(&left, &value))
		nkeys = path_of_keys(&right, keys);
	else
		return false;
	if (nkeys == 0)
		return false;
	matcher->nkeys = nkeys;
	matcher->keys = palloc(sizeof(char *) * nkeys);
	memcpy(matcher->keys, keys, sizeof(char *) * nkeys);
	matcher->value_hash = te_journey_hash_scalar(&value);
	return true;
}

/*
 * The comparison with its sides exchanged.
 */
static JsonPathItemType
mirrored(JsonPathItemType op)
{
	switch (op)
	{
		case jpiLess:
			return jpiGreater;
		case jpiLessOrEqual:
			return jpiGreaterOrEqual;
		case jpiGreater:
			return jpiLess;
		case jpiGreaterOrEqual:
			return jpiLessOrEqual;
		default:
			return op;
	}
}

/*
 * Makes tests of the parts that must all hold. False when a part is more than a
 * comparison of numbers, or an equality, of a path of keys with a literal.
 */
static bool
add_tests(TeMatcher *matcher, JsonPathItem *item)
{
	JsonPathItem left,
				right;
	TeTest	   *test = &matcher->tests[matcher->ntests];
	char	   *keys[MAX_KEYS];

	if (jspHasNext(item) || matcher->ntests == MAX_TESTS ||
		(item->type != jpiAnd && item->type != jpiEqual && item->type != jpiLess && item->type != jpiGreater &&
		 item->type != jpiLessOrEqual && item->type != jpiGreaterOrEqual))
		return false;
	jspGetLeftArg(item, &left);
	jspGetRightArg(item, &right);
	if (item->type == jpiAnd)
		return add_tests(matcher, &left) && add_tests(matcher, &right);
	test->op = item->type;
	if (literal(&right, &test->literal))
		test->nkeys = path_of_keys(&left, keys);
	else if (literal(&left, &test->literal))
	{
		test->nkeys = path_of_keys(&right, keys);
		test->op = mirrored(item->type);
	}
	else
		return false;
	if (test->nkeys == 0 || (test->op != jpiEqual && test->literal.type != jbvNumeric))
		return false;
	test->keys = palloc(sizeof(char *) * test->nkeys);
	memcpy(test->keys, keys, sizeof(char *) * test->nkeys);
	matcher->ntests++;
	return true;
}

/*
 * Notes what a condition says in simple words: an equality that it implies, and
 * tests that say all of it, if there are such.
 */
static void
find_simple(TeMatcher *matcher, JsonPathItem *condition)
{
	find_equality(matcher, condition);
	matcher->tests = palloc(sizeof(TeTest) * MAX_TESTS);
	if (add_tests(matcher, condition))
		matcher->tests = repalloc(matcher->tests, sizeof(TeTest) * matcher->ntests);
	else
	{
		pfree(matcher->tests);
		matcher->tests = NULL;
		matcher->ntests = 0;
	}
}

/*
 * Finds an equality that the condition implies and notes it in the matcher, and
 * whether the condition can be checked without jsonpath. Strict paths are left
 * alone: they are rare, and their errors differ.
 */
void
te_journey_find_equality(TeMatcher *matcher)
{
	JsonPathItem root;

	if (!(matcher->where->header & JSONPATH_LAX))
		return;
	jspInit(&root, matcher->where);
	if (matcher->is_predicate)
		find_simple(matcher, &root);
	else if (root.type == jpiRoot)
	{
		JsonPathItem filter,
					argument;

		if (!jspGetNext(&root, &filter) || filter.type != jpiFilter)
			return;
		jspGetArg(&filter, &argument);
		if (jspHasNext(&filter))
			find_equality(matcher, &argument);
		else
			find_simple(matcher, &argument);
	}
}

/*
 * Follows keys into the properties. Returns false when nothing is there;
 * *is_array is set when an array is met, which lax paths look into.
 */
static bool
look_up(Jsonb *properties, int nkeys, char **keys, JsonbValue *value, bool *is_array)
{
	JsonbContainer *container = &properties->root;
	int			i;

	Assert(nkeys > 0);
	*is_array = false;
	for (i = 0; i < nkeys; i++)
	{
		if (!JsonContainerIsObject(container))
		{
			*is_array = JsonContainerIsArray(container);
			return *is_array;
		}
		if (getKeyJsonValueFromContainer(container, keys[i], strlen(keys[i]), value) == NULL)
			return false;
		if (value->type == jbvBinary)
			container = value->val.binary.data;
		else if (i < nkeys - 1)
			return false;
	}
	if (value->type == jbvBinary)
		*is_array = JsonContainerIsArray(value->val.binary.data);
	return value->type != jbvBinary || *is_array;
}

/*
 * First rule of the index whose hash is not less than the given one.
 */
static int
lower_bound(const TeEqualityIndex *index, uint32 hash)
{
	int			low = 0,
				high = index->nrules;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (index->hashes[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Rules of the event that match its properties, at most max of them, written to
 * out: exits and goals before entries. Returns how many there are.
 */
int
te_journey_candidates(const TeWatch *watch, Jsonb *properties, TeRule **out, int max)
{
	int			n = 0;
	int			i,
				k;

	for (i = 0; i < watch->nrules && n < max; i++)
		if (te_journey_matches(watch->rules[i]->matcher, properties))
			out[n++] = watch->rules[i];
	for (i = 0; i < watch->nindexes; i++)
	{
		const TeEqualityIndex *index = &watch->indexes[i];
		JsonbValue	value;
		bool		is_array;
		uint32		hash = 0;

		if (!look_up(properties, index->nkeys, index->keys, &value, &is_array))
			continue;
		if (!is_array)
			hash = te_journey_hash_scalar(&value);
		for (k = is_array ? 0 : lower_bound(index, hash);
			 k < index->nrules && n < max && (is_array || index->hashes[k] == hash); k++)
			if (te_journey_matches(index->rules[k]->matcher, properties))
				out[n++] = index->rules[k];
	}

	/* stable partition: exits before entries, as an event may do both */
	if (n > 1)
	{
		TeRule	  **sorted = palloc(sizeof(TeRule *) * n);
		int			m = 0;

		for (i = 0; i < n; i++)
			if (out[i]->kind != TE_RULE_ENTER)
				sorted[m++] = out[i];
		for (i = 0; i < n; i++)
			if (out[i]->kind == TE_RULE_ENTER)
				sorted[m++] = out[i];
		memcpy(out, sorted, sizeof(TeRule *) * n);
		pfree(sorted);
	}
	return n;
}
