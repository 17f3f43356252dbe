/*
 * condition.c
 *		Conditions of branches and rungs in compiled form.
 *
 * Everything is allocated in the current memory context; every error names the part and
 * the key. They are answered in decide/step_condition.c.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "common/common.h"
#include "errors.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"

/* More conditions in one are refused as mistakes. */
#define MAX_PARTS 100
/* Events are counted up to here. */
#define MAX_COUNT 1000

static const char *const condition_keys[] = {"all", "any", "not", "event", "attribute", "segment", "score",
"interaction", "sql", "stage", "list", NULL};
static const char *const stages[] = {"new", "exploring", "considering", "active", "at_risk", "lapsed", "won_back", NULL};

/*
 * An object that a key must have.
 */
static Jsonb *
required_object(Jsonb *object, const char *key, const char *what)
{
	Jsonb	   *value = te_json_object(object, key, what);

	if (value == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be an object", key, what)));
	return value;
}

/*
 * A text that a key must have.
 */
static char *
required_text(Jsonb *object, const char *key, const char *what)
{
	char	   *value = te_json_text(object, key, what);

	if (value == NULL || value[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" is missing in %s", key, what)));
	return value;
}

/*
 * {"all": [...]}, {"any": [...]}, {"not": {...}}
 */
static void
compile_parts(TeCondition *condition, Jsonb *object, const char *key, const char *what)
{
	Jsonb	   *array;
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	check_stack_depth();
	if (condition->kind == TE_CONDITION_NOT)
	{
		condition->parts = palloc0(sizeof(TeCondition));
		condition->nparts = 1;
		te_journey_compile_condition(condition->parts, required_object(object, key, what), what);
		return;
	}
	array = te_json_array(object, key, what);
	if (array == NULL || JB_ROOT_COUNT(array) == 0 || JB_ROOT_COUNT(array) > MAX_PARTS)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be an array of 1 to %d conditions", key, what, MAX_PARTS)));
	condition->parts = palloc0(sizeof(TeCondition) * JB_ROOT_COUNT(array));
	it = JsonbIteratorInit(&array->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			te_journey_compile_condition(&condition->parts[condition->nparts++], JsonbValueToJsonb(&item), what);
}

/*
 * {"event": {"name", "where", "count", "within"}}
 */
static void
compile_event(TeCondition *condition, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"name", "where", "count", "within", NULL};
	Jsonb	   *event = required_object(object, "event", what);
	double		count;

	what = psprintf("key \"event\" of %s", what);
	te_json_check_keys(event, what, keys);
	te_journey_make_matcher(&condition->matcher, required_text(event, "name", what),
							te_json_text(event, "where", what), what);
	count = te_json_number(event, "count", 1, what);
	if (!(count >= 1 && count <= MAX_COUNT) || count != floor(count))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"count\" of %s must be a whole number from 1 to %d", what, MAX_COUNT)));
	condition->count = (int) count;
	condition->within = te_json_interval(event, "within", what);
	if (condition->within)
		te_journey_check_length(condition->within, psprintf("key \"within\" of %s", what));
}

/*
 * {"score": {"model": name} or {"engagement": channel}, with "above", "below"}
 */
static void
compile_score(TeCondition *condition, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"model", "engagement", "above", "below", NULL};
	Jsonb	   *score = required_object(object, "score", what);
	char	   *channel;

	what = psprintf("key \"score\" of %s", what);
	te_json_check_keys(score, what, keys);
	condition->name = te_json_text(score, "model", what);
	channel = te_json_text(score, "engagement", what);
	condition->above = te_json_number(score, "above", get_float8_nan(), what);
	condition->below = te_json_number(score, "below", get_float8_nan(), what);
	if ((condition->name == NULL) == (channel == NULL))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s needs one of \"model\" and \"engagement\"", what),
				 errhint("Write {\"model\": name, \"above\": 0.5} or {\"engagement\": \"push\", \"above\": 0.1}.")));
	if (isnan(condition->above) && isnan(condition->below))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s needs \"above\", \"below\" or both", what)));
	condition->is_engagement = channel != NULL;
	if (channel)
		condition->name = channel;
}

/*
 * {"interaction": {"kind", "step", "within"}}
 */
static void
compile_interaction(TeCondition *condition, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"kind", "step", "within", NULL};
	Jsonb	   *interaction = required_object(object, "interaction", what);

	what = psprintf("key \"interaction\" of %s", what);
	te_json_check_keys(interaction, what, keys);
	condition->text = required_text(interaction, "kind", what);
	condition->step = te_json_text(interaction, "step", what);
	condition->within = te_json_interval(interaction, "within", what);
	if (condition->within)
		te_journey_check_length(condition->within, psprintf("key \"within\" of %s", what));
}

/*
 * {"sql": query}: one SELECT. What it reads is looked up when it is asked, as the
 * journey's owner.
 */
static void
compile_sql(TeCondition *condition, Jsonb *object, const char *what)
{
	List	   *statements;

	condition->text = required_text(object, "sql", what);
	statements = raw_parser(condition->text, RAW_PARSE_DEFAULT);
	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"sql\" of %s must be one query", what),
				 errhint("Write it as in \"SELECT EXISTS (SELECT FROM shop.orders WHERE user_id = $1)\".")));
}

/*
 * {"stage": name or [names]}
 */
static void
compile_stage(TeCondition *condition, Jsonb *object, const char *what)
{
	JsonbValue *value = te_json_find(object, "stage");
	Jsonb	   *names = JsonbValueToJsonb(value);
	JsonbIterator *it = JsonbIteratorInit(&names->root);
	JsonbValue	item;
	JsonbIteratorToken token;
	int			i;

	condition->stages = palloc(sizeof(char *) * lengthof(stages));
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_ELEM)
			continue;
		name = item.type == jbvString ? pnstrdup(item.val.string.val, item.val.string.len) : NULL;
		for (i = 0; stages[i] && (name == NULL || strcmp(stages[i], name) != 0); i++)
			 /* look on */ ;
		if (stages[i] == NULL || condition->nstages == lengthof(stages) - 1)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"stage\" of %s must name stages of life", what),
					 errhint("They are new, exploring, considering, active, at_risk, lapsed and won_back.")));
		condition->stages[condition->nstages++] = name;
	}
	if (condition->nstages == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"stage\" of %s names no stage", what)));
}

/*
 * Reads a condition: an object with the one key that makes its kind.
 */
void
te_journey_compile_condition(TeCondition *condition, Jsonb *object, const char *what)
{
	int			kind = -1;
	int			i;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be an object", what)));
	te_json_check_keys(object, what, condition_keys);
	for (i = 0; condition_keys[i]; i++)
		if (te_json_find(object, condition_keys[i]))
			kind = i;
	if (kind < 0 || JB_ROOT_COUNT(object) != 1)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must have exactly one key", what),
				 errhint("Put several into {\"all\": [...]} or {\"any\": [...]}.")));
	condition->above = condition->below = get_float8_nan();
	switch (kind)
	{
		case 0:
		case 1:
		case 2:
			condition->kind = kind == 0 ? TE_CONDITION_ALL : kind == 1 ? TE_CONDITION_ANY : TE_CONDITION_NOT;
			compile_parts(condition, object, condition_keys[kind], what);
			break;
		case 3:
			condition->kind = TE_CONDITION_EVENT;
			compile_event(condition, object, what);
			break;
		case 4:
			condition->kind = TE_CONDITION_ATTRIBUTE;
			te_journey_make_matcher(&condition->matcher, NULL, required_text(object, "attribute", what), what);
			break;
		case 5:
			condition->kind = TE_CONDITION_SEGMENT;
			condition->name = required_text(object, "segment", what);
			break;
		case 6:
			condition->kind = TE_CONDITION_SCORE;
			compile_score(condition, object, what);
			break;
		case 7:
			condition->kind = TE_CONDITION_INTERACTION;
			compile_interaction(condition, object, what);
			break;
		case 8:
			condition->kind = TE_CONDITION_SQL;
			compile_sql(condition, object, what);
			break;
		case 9:
			condition->kind = TE_CONDITION_STAGE;
			compile_stage(condition, object, what);
			break;
		default:
			condition->kind = TE_CONDITION_LIST;
			condition->name = required_text(object, "list", what);
			break;
	}
}
