/*
 * definition.c
 *		From what a person writes as variants to names, weights, values and ranges.
 *
 * Variants come as a list of names, as a list of objects, or as the factors of a
 * multivariate experiment, every combination of whose levels is a variant.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "errors.h"
#include "experiment/experiment_internal.h"

PG_FUNCTION_INFO_V1(te_compile_variants);

#define MAX_NAME_LENGTH 200

typedef struct Variant
{
	char	   *name;
	double		weight;			/* negative = not given */
	JsonbValue *value;			/* NULL = none */
	bool		has_range;
	TeRange		range;
} Variant;

typedef struct Variants
{
	int			count;
	Variant		list[TE_MAX_ARMS];
} Variants;

/*
 * Raises an error about the definition.
 */
static void
bad_variants(const char *message)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("%s", message),
			 errhint("Write [\"control\", \"treatment\"], or [{\"name\": \"control\", \"weight\": 0.8}, {\"name\": \"treatment\", \"weight\": 0.2, \"value\": {\"delay\": \"5 min\"}}], or {\"factors\": {\"copy\": [\"short\", \"long\"], \"image\": [\"a\", \"b\"]}}.")));
}

/*
 * Adds a variant after checking its name.
 */
static Variant *
add_variant(Variants *variants, char *name)
{
	Variant    *variant;
	int			i;

	te_experiment_check_arms(variants->count + 1);
	if (name == NULL || *name == '\0' || strlen(name) > MAX_NAME_LENGTH)
		bad_variants(psprintf("a variant needs a name of 1 to %d characters", MAX_NAME_LENGTH));
	for (i = 0; i < variants->count; i++)
		if (strcmp(variants->list[i].name, name) == 0)
			bad_variants(psprintf("variant \"%s\" is there twice", name));
	variant = &variants->list[variants->count++];
	variant->name = name;
	variant->weight = -1;
	variant->value = NULL;
	variant->has_range = false;
	return variant;
}

/*
 * A number of an array of two.
 */
static double
range_end(Jsonb *range, int i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(&range->root, i);

	if (value == NULL || value->type != jbvNumeric)
		bad_variants("a range must be two numbers");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

/*
 * Reads a variant, or a level of a factor: a name, or an object with one.
 */
static Variant *
read_variant(Variants *variants, JsonbValue *item, bool level)
{
	static const char *const variant_keys[] = {"name", "weight", "value", "range", NULL};
	static const char *const level_keys[] = {"name", "weight", "value", NULL};
	const char *what = level ? "a level" : "a variant";
	Variant    *variant;
	Jsonb	   *object;
	Jsonb	   *range;

	if (item->type == jbvString)
		return add_variant(variants, pnstrdup(item->val.string.val, item->val.string.len));
	if (item->type != jbvBinary || !JsonContainerIsObject(item->val.binary.data))
		bad_variants(psprintf("%s must be a name or an object", what));
	object = JsonbValueToJsonb(item);
	te_json_check_keys(object, what, level ? level_keys : variant_keys);
	variant = add_variant(variants, te_json_text(object, "name", what));
	variant->value = te_json_find(object, "value");
	variant->weight = te_json_number(object, "weight", -1, what);
	if (variant->weight < 0 && te_json_find(object, "weight") != NULL)
		bad_variants("a weight must not be negative");
	range = te_json_array(object, "range", what);
	if (range != NULL)
	{
		variant->has_range = true;
		variant->range.start = range_end(range, 0);
		variant->range.end = range_end(range, 1);
		if (JB_ROOT_COUNT(range) != 2 ||
			!(variant->range.start >= 0 && variant->range.start <= variant->range.end && variant->range.end <= 1))
			bad_variants("a range must be two numbers between 0 and 1, the smaller first");
	}
	return variant;
}

/*
 * Weights as given: all, or none, which means equal ones. They are relative; where
 * they sum up to 1 they stay as they are to the last digit.
 */
static void
settle_weights(Variants *variants)
{
	double		sum = 0.0;
	int			given = 0;
	int			i;

	for (i = 0; i < variants->count; i++)
	{
		given += variants->list[i].weight >= 0;
		sum += Max(variants->list[i].weight, 0.0);
	}
	if (given != 0 && given != variants->count)
		bad_variants("give every variant (or level) a weight, or none");
	if (given != 0 && !(sum > 0 && sum < 1e15))
		bad_variants("some weight must be more than 0");
	for (i = 0; i < variants->count; i++)
	{
		if (given == 0)
			variants->list[i].weight = 1.0 / variants->count;
		else if (fabs(sum - 1.0) > 1e-9)
			variants->list[i].weight /= sum;
	}
}

/*
 * Multiplies the combinations so far by the levels of one more factor.
 */
static void
add_factor(Variants *variants, const char *name, JsonbValue *list)
{
	Variants   *levels = palloc0(sizeof(Variants));
	Variants   *before = palloc(sizeof(Variants));
	int			i,
				k;

	if (strlen(name) == 0)
		bad_variants("a factor needs a name");
	if (list->type != jbvBinary || !JsonContainerIsArray(list->val.binary.data) ||
		JsonContainerIsScalar(list->val.binary.data) || JsonContainerSize(list->val.binary.data) < 2)
		bad_variants(psprintf("factor \"%s\" must be an array of at least 2 levels", name));
	for (i = 0; i < JsonContainerSize(list->val.binary.data); i++)
		read_variant(levels, getIthJsonbValueFromContainer(list->val.binary.data, i), true);
	settle_weights(levels);
	*before = *variants;
	variants->count = 0;
	for (i = 0; i < Max(before->count, 1); i++)
		for (k = 0; k < levels->count; k++)
		{
			Variant    *level = &levels->list[k];
			Variant    *variant;
			JsonbParseState *state = NULL;
			JsonbValue	key;
			JsonbValue	text;
			bool		first = before->count == 0;

			variant = add_variant(variants, psprintf("%s%s%s=%s", first ? "" : before->list[i].name,
													 first ? "" : ",", name, level->name));
			variant->weight = (first ? 1.0 : before->list[i].weight) * level->weight;
			/* the value so far, and this factor's */
			key.type = jbvString;
			key.val.string.val = pstrdup(name);
			key.val.string.len = strlen(name);
			text.type = jbvString;
			text.val.string.val = level->name;
			text.val.string.len = strlen(level->name);
			pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			pushJsonbValue(&state, WJB_KEY, &key);
			pushJsonbValue(&state, WJB_VALUE, level->value ? level->value : &text);
			variant->value = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
			if (!first)
			{
				Datum		both = DirectFunctionCall2(jsonb_concat,
													   JsonbPGetDatum(JsonbValueToJsonb(before->list[i].value)),
													   JsonbPGetDatum(JsonbValueToJsonb(variant->value)));
				JsonbValue *merged = palloc(sizeof(JsonbValue));

				merged->type = jbvBinary;
				merged->val.binary.data = &DatumGetJsonbP(both)->root;
				merged->val.binary.len = VARSIZE(DatumGetJsonbP(both)) - VARHDRSZ;
				variant->value = merged;
			}
		}
}

/*
 * Reads {"factors": {...}}.
 */
static void
read_factors(Variants *variants, Jsonb *definition)
{
	static const char *const keys[] = {"factors", NULL};
	Jsonb	   *factors;
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *name = NULL;

	te_json_check_keys(definition, "variants", keys);
	factors = te_json_object(definition, "factors", "variants");
	if (factors == NULL || JB_ROOT_COUNT(factors) == 0)
		bad_variants("there must be factors");
	it = JsonbIteratorInit(&factors->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE)
			add_factor(variants, name, &item);
	}
}

/*
 * Throws when some but not all variants have a range, or two overlap.
 */
static bool
check_ranges(const Variants *variants)
{
	int			given = 0;
	int			i,
				k;

	for (i = 0; i < variants->count; i++)
		given += variants->list[i].has_range;
	if (given == 0)
		return false;
	if (given != variants->count)
		bad_variants("give all variants a range, or none");
	for (i = 0; i < variants->count; i++)
		for (k = 0; k < i; k++)
			if (variants->list[i].range.start < variants->list[k].range.end &&
				variants->list[k].range.start < variants->list[i].range.end)
				bad_variants(psprintf("the ranges of \"%s\" and \"%s\" overlap",
									  variants->list[k].name, variants->list[i].name));
	return true;
}

/*
 * The variants as they are stored: [{"name", "weight", "value"}].
 */
static Jsonb *
stored_form(const Variants *variants)
{
	JsonbParseState *state = NULL;
	JsonbValue	item;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < variants->count; i++)
	{
		const Variant *variant = &variants->list[i];

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		item.type = jbvString;
		item.val.string.val = "name";
		item.val.string.len = strlen("name");
		pushJsonbValue(&state, WJB_KEY, &item);
		item.val.string.val = variant->name;
		item.val.string.len = strlen(variant->name);
		pushJsonbValue(&state, WJB_VALUE, &item);
		if (variant->value)
		{
			item.val.string.val = "value";
			item.val.string.len = strlen("value");
			pushJsonbValue(&state, WJB_KEY, &item);
			pushJsonbValue(&state, WJB_VALUE, variant->value);
		}
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/*
 * _compile_variants(variants, coverage): variants in stored form, weights, ranges
 */
Datum
te_compile_variants(PG_FUNCTION_ARGS)
{
	Jsonb	   *definition = PG_GETARG_JSONB_P(0);
	double		coverage = PG_GETARG_FLOAT8(1);
	Variants   *variants = palloc0(sizeof(Variants));
	double	   *weights;
	TeRange    *ranges;
	Datum	   *ends;
	Datum		values[3];
	int			dims[2];
	int			lower[2] = {1, 1};
	int			i;

	if (!(coverage >= 0 && coverage <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("coverage must be between 0 and 1")));
	if (JB_ROOT_IS_OBJECT(definition))
		read_factors(variants, definition);
	else if (!JB_ROOT_IS_SCALAR(definition))
		for (i = 0; i < JB_ROOT_COUNT(definition); i++)
			read_variant(variants, getIthJsonbValueFromContainer(&definition->root, i), false);
	if (variants->count < 2)
		bad_variants("there must be at least 2 variants");
	settle_weights(variants);
	weights = palloc(sizeof(double) * variants->count);
	ranges = palloc(sizeof(TeRange) * variants->count);
	for (i = 0; i < variants->count; i++)
	{
		weights[i] = variants->list[i].weight;
		ranges[i] = variants->list[i].range;
	}
	if (!check_ranges(variants))
		te_experiment_ranges(variants->count, coverage, weights, variants->count, ranges);
	else if (coverage != 1)
		bad_variants("with ranges, coverage must be 1");
	dims[0] = variants->count;
	dims[1] = 2;
	ends = palloc(sizeof(Datum) * variants->count * 2);
	for (i = 0; i < variants->count; i++)
	{
		ends[2 * i] = Float8GetDatum(ranges[i].start);
		ends[2 * i + 1] = Float8GetDatum(ranges[i].end);
	}
	values[0] = JsonbPGetDatum(stored_form(variants));
	values[1] = PointerGetDatum(te_experiment_make_array(weights, variants->count));
	values[2] = PointerGetDatum(construct_md_array(ends, NULL, 2, dims, lower, FLOAT8OID, sizeof(float8),
												   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	return te_experiment_row(fcinfo, values, NULL);
}
