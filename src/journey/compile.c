/*
 * compile.c
 *		From a journey's jsonb definition to its compiled form.
 *
 * The same code checks a new definition and loads a stored one, so whatever
 * create_journey() accepts can be run. Everything is allocated in the current
 * memory context; every error names the part and the key.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "common/common.h"
#include "errors.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"

/* Longer waits are refused as mistakes. */
#define MAX_WAIT_MONTHS (12 * 100)
static const char *const matcher_keys[] = {"name", "where", NULL};
static const char *const goal_keys[] = {"name", "where", "ends", NULL};

/*
 * Parses a jsonpath; an error names the part it stands in.
 */
JsonPath *
te_journey_parse_path(const char *text, const char *key, const char *what)
{
	if (text[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s is an empty jsonpath", key, what),
				 errhint("Write it as in \"$.total > 10\", or leave the key out.")));
	return DatumGetJsonPathP(te_json_input(text, F_JSONPATH_IN, key, what, "a jsonpath",
										   "Write it as in \"$.total > 10\" or \"$.items[*] ? (@.price > 10)\"."));
}

/*
 * True when a jsonpath is a predicate, which yields true or false, rather than a
 * path that yields items; a predicate with a method, as ($.a == 1).type(), is such a
 * path.
 */
bool
te_journey_path_is_predicate(JsonPath *path)
{
	JsonPathItem root;

	jspInit(&root, path);
	if (jspHasNext(&root))
		return false;
	switch (root.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			return true;
		default:
			return false;
	}
}

/*
 * Makes a matcher of a name, NULL where it is not an event that is matched, and a
 * condition, which may be NULL.
 */
void
te_journey_make_matcher(TeMatcher *matcher, char *name, const char *where, const char *what)
{
	if (name && strlen(name) >= sizeof(((TeWatch *) 0)->event))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("event name \"%s\" in %s is too long", name, what)));
	matcher->event = name;
	if (where == NULL)
		return;
	matcher->where = te_journey_parse_path(where, "where", what);
	matcher->is_predicate = te_journey_path_is_predicate(matcher->where);
	te_journey_find_equality(matcher);
}

/*
 * Reads the name and the condition of an event.
 */
void
te_journey_compile_matcher(TeMatcher *matcher, Jsonb *object, const char *what)
{
	char	   *where = te_json_text(object, "where", what);
	char	   *name = te_json_text(object, "name", what);

	if (name == NULL || name[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"name\" is missing in %s", what),
				 errhint("Give the name of the event, as in {\"name\": \"order\"}.")));
	te_journey_make_matcher(matcher, name, where, what);
}

/*
 * Reads exit_on or goal: an array of events, or one event. Goals that do not end a run
 * are checked and left out: whoever counts them reads the definition.
 */
static TeMatcher *
compile_matchers(Jsonb *value, const char *what, const char *const *keys, int *count)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	TeMatcher  *result;

	*count = 0;
	if (value == NULL)
		return NULL;
	if (JB_ROOT_IS_OBJECT(value))
	{
		te_json_check_keys(value, what, keys);
		result = palloc0(sizeof(TeMatcher));
		te_journey_compile_matcher(result, value, what);
		*count = te_json_bool(value, "ends", true, what) ? 1 : 0;
		return result;
	}
	if (!JB_ROOT_IS_ARRAY(value) || JB_ROOT_IS_SCALAR(value))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be an array of events", what),
				 errhint("Write [{\"name\": \"order\"}].")));
	result = palloc0(sizeof(TeMatcher) * Max(JB_ROOT_COUNT(value), 1));
	it = JsonbIteratorInit(&value->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		Jsonb	   *object;

		if (token != WJB_ELEM)
			continue;
		object = JsonbValueToJsonb(&item);
		te_json_check_keys(object, what, keys);
		result[*count] = (TeMatcher) {0};	/* one that was left out may have been here */
		te_journey_compile_matcher(&result[*count], object, what);
		if (te_json_bool(object, "ends", true, what))
			(*count)++;
	}
	return result;
}

/*
 * Refuses intervals that no one can mean, and that could not be added to an instant.
 */
void
te_journey_check_length(const Interval *interval, const char *what)
{
	if (interval->month > MAX_WAIT_MONTHS ||
		interval->day > MAX_WAIT_MONTHS * 31 ||
		interval->time / USECS_PER_DAY > MAX_WAIT_MONTHS * 31)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s is longer than 100 years", what)));
}

/*
 * Compiles a definition in the current memory context. Throws, naming what is
 * wrong, when it cannot be run.
 */
TeJourney *
te_journey_compile(const TeJourneyDefinition *definition)
{
	TeJourney  *journey = palloc0(sizeof(TeJourney));
	TeStep	   *first;

	journey->id = definition->id;
	journey->version = definition->version;
	journey->name = pstrdup(definition->name);
	journey->owner = pstrdup(definition->owner);
	journey->live = definition->live;
	journey->paused = definition->paused;
	journey->segment = definition->segment ? pstrdup(definition->segment) : NULL;
	journey->topic = definition->topic ? pstrdup(definition->topic) : NULL;
	journey->transactional = definition->transactional;
	journey->purpose = definition->purpose ? pstrdup(definition->purpose) : NULL;
	journey->priority = definition->priority;
	if (definition->ttl)
	{
		if (definition->ttl->month < 0 || definition->ttl->day < 0 || definition->ttl->time < 0 ||
			(definition->ttl->month == 0 && definition->ttl->day == 0 && definition->ttl->time == 0))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("ttl must be a positive interval")));
		te_journey_check_length(definition->ttl, "ttl");
		journey->has_ttl = true;
		journey->ttl = *definition->ttl;
	}
	te_journey_compile_trigger(journey, definition->trigger);
	te_journey_compile_reentry(journey, definition->reentry);
	journey->exits = compile_matchers(definition->exit_on, "exit_on", matcher_keys, &journey->nexits);
	journey->goals = compile_matchers(definition->goal, "goal", goal_keys, &journey->ngoals);
	te_journey_add_without(journey);
	te_journey_compile_steps(journey, definition->steps);
	first = &journey->steps[journey->first_step];
	journey->first_lane = first->kind == TE_STEP_SEND
		? te_journey_lane(first->provider, first->channel) : 0;
	return journey;
}
