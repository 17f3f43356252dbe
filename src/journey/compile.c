/*
 * compile.c
 *		From a journey's jsonb definition to its compiled form.
 *
 * The same code checks a new definition and loads a stored one, so whatever
 * create_journey() accepts can be run. Everything is allocated in the current
 * memory context; every error names the part and the key.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "common/common.h"
#include "errors.h"
#include "journey/journey.h"

/* Longer waits are refused as mistakes. */
#define MAX_WAIT_MONTHS (12 * 100)
/* It is part of keys, beside the user and the entry key. */
#define MAX_STEP_ID_BYTES 128

static const char *const trigger_keys[] = {"kind", "name", "where", "entry_key", NULL};
static const char *const matcher_keys[] = {"name", "where", NULL};
static const char *const reentry_keys[] = {"policy", "after", "limit", NULL};
static const char *const reentry_policies[] = {"once", "once_per_key", "after", "parallel", NULL};
static const char *const trigger_kinds[] = {"event", NULL};

/* The kinds of steps, by the key that makes them, and the keys that go with it. */
static const struct
{
	const char *key;
	TeStepKind	kind;
	const char *keys[6];
}			step_kinds[] =
{
	{"wait", TE_STEP_WAIT, {"id", "wait", NULL}},
	{"send", TE_STEP_SEND, {"id", "send", "channel", "provider", NULL}},
	{"exit", TE_STEP_EXIT, {"id", "exit", NULL}},
};
static const char *const step_kind_names[] = {"wait", "send", "exit", NULL};

/*
 * Parses a jsonpath; an error names the part it stands in.
 */
static JsonPath *
parse_path(const char *text, const char *key, const char *what)
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
static bool
path_is_predicate(JsonPath *path)
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
 * Reads the name and the condition of an event.
 */
static void
compile_matcher(TeMatcher *matcher, Jsonb *object, const char *what)
{
	char	   *where = te_json_text(object, "where", what);

	matcher->event = te_json_text(object, "name", what);
	if (matcher->event == NULL || matcher->event[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"name\" is missing in %s", what),
				 errhint("Give the name of the event, as in {\"name\": \"order\"}.")));
	if (strlen(matcher->event) >= sizeof(((TeWatch *) 0)->event))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("event name \"%s\" in %s is too long", matcher->event, what)));
	if (where == NULL)
		return;
	matcher->where = parse_path(where, "where", what);
	matcher->is_predicate = path_is_predicate(matcher->where);
	te_journey_find_equality(matcher);
}

/*
 * Reads exit_on or goal: an array of events, or one event.
 */
static TeMatcher *
compile_matchers(Jsonb *value, const char *what, int *count)
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
		te_json_check_keys(value, what, matcher_keys);
		result = palloc0(sizeof(TeMatcher));
		compile_matcher(result, value, what);
		*count = 1;
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
		te_json_check_keys(object, what, matcher_keys);
		compile_matcher(&result[(*count)++], object, what);
	}
	return result;
}

/*
 * Refuses intervals that no one can mean, and that could not be added to an instant.
 */
static void
check_length(const Interval *interval, const char *what)
{
	if (interval->month > MAX_WAIT_MONTHS ||
		interval->day > MAX_WAIT_MONTHS * 31 ||
		interval->time / USECS_PER_DAY > MAX_WAIT_MONTHS * 31)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s is longer than 100 years", what)));
}

/*
 * Reads one step; what names it in errors.
 */
static void
compile_step(TeStep *step, Jsonb *object, int number)
{
	char	   *what = psprintf("step %d", number);
	int			kind = -1;
	int			i;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be a JSON object", what)));
	step->id = te_json_text(object, "id", what);
	if (step->id == NULL || step->id[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"id\" is missing in %s", what),
				 errhint("Every step needs an id that stays the same over versions, as \"s%d\".", number)));
	if (strlen(step->id) > MAX_STEP_ID_BYTES)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("id of step %d is longer than %d bytes", number, MAX_STEP_ID_BYTES)));
	what = psprintf("step \"%s\"", step->id);

	for (i = 0; i < lengthof(step_kinds); i++)
	{
		if (te_json_find(object, step_kinds[i].key) == NULL)
			continue;
		if (kind >= 0)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s has both \"%s\" and \"%s\"", what,
							step_kinds[kind].key, step_kinds[i].key),
					 errhint("Make them two steps.")));
		kind = i;
	}
	if (kind < 0)
	{
		static const char *const any[] = {"id", "wait", "send", "exit", "channel", "provider", NULL};

		te_json_check_keys(object, what, any);
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s says nothing to do", what),
				 errhint("Give it one of \"%s\", \"%s\" or \"%s\".",
						 step_kind_names[0], step_kind_names[1], step_kind_names[2])));
	}
	te_json_check_keys(object, what, step_kinds[kind].keys);

	step->kind = step_kinds[kind].kind;
	switch (step->kind)
	{
		case TE_STEP_WAIT:
			{
				Interval   *wait = te_json_interval(object, "wait", what);

				if (wait == NULL)
					ereport(ERROR,
							(errcode(TE_ERRCODE_DEFINITION),
							 errmsg("key \"wait\" of %s must be an interval such as \"10 min\"", what)));
				check_length(wait, psprintf("key \"wait\" of %s", what));
				step->wait = *wait;
				break;
			}
		case TE_STEP_SEND:
			step->template_name = te_json_text(object, "send", what);
			if (step->template_name == NULL)
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("key \"send\" of %s must name a template", what)));
			step->channel = te_json_text(object, "channel", what);
			step->provider = te_json_text(object, "provider", what);
			break;
		case TE_STEP_EXIT:
			step->reason = te_json_text(object, "exit", what);
			if (step->reason == NULL)
				step->reason = "exit step";
			break;
	}
}

/*
 * Reads the steps: at least one that does something, and ids that differ.
 */
static void
compile_steps(TeJourney *journey, Jsonb *steps)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	int			i,
				k;

	if (steps == NULL || !JB_ROOT_IS_ARRAY(steps) || JB_ROOT_IS_SCALAR(steps) ||
		JB_ROOT_COUNT(steps) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("steps must be a JSON array with at least one step"),
				 errhint("Write [{\"id\": \"s1\", \"send\": \"template\"}].")));
	journey->steps = palloc0(sizeof(TeStep) * JB_ROOT_COUNT(steps));
	it = JsonbIteratorInit(&steps->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		compile_step(&journey->steps[journey->nsteps], JsonbValueToJsonb(&item),
					 journey->nsteps + 1);
		journey->nsteps++;
	}
	for (i = 0; i < journey->nsteps; i++)
		for (k = 0; k < i; k++)
			if (strcmp(journey->steps[i].id, journey->steps[k].id) == 0)
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("steps %d and %d have the same id \"%s\"", k + 1, i + 1,
								journey->steps[i].id)));
	for (i = 0; i < journey->nsteps && journey->steps[i].kind == TE_STEP_WAIT; i++)
		 /* look on */ ;
	if (i == journey->nsteps)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("steps only wait"),
				 errhint("Add a step that sends.")));
	journey->first_step = i;
}

/*
 * Reads the re-entry policy. A trigger with an entry key means once per key.
 */
static void
compile_reentry(TeJourney *journey, Jsonb *reentry)
{
	const char *what = "reentry";
	char	   *policy;
	Interval   *after;
	double		limit;
	int			i;

	journey->reentry = journey->entry_key ? TE_REENTRY_ONCE_PER_KEY : TE_REENTRY_EVENT;
	if (reentry == NULL)
		return;
	te_json_check_keys(reentry, what, reentry_keys);
	policy = te_json_text(reentry, "policy", what);
	after = te_json_interval(reentry, "after", what);
	limit = te_json_number(reentry, "limit", 0, what);
	for (i = 0; policy && reentry_policies[i]; i++)
		if (strcmp(policy, reentry_policies[i]) == 0)
			break;
	if (policy == NULL || reentry_policies[i] == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"policy\" of reentry must be \"once\", \"once_per_key\", \"after\" or \"parallel\"")));
	journey->reentry = TE_REENTRY_ONCE + i;
	if ((journey->reentry == TE_REENTRY_AFTER) != (after != NULL))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"after\" of reentry goes with the policy \"after\" and only with it")));
	if (after)
	{
		check_length(after, "key \"after\" of reentry");
		journey->reentry_after = *after;
	}
	if (journey->reentry == TE_REENTRY_ONCE_PER_KEY && journey->entry_key == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("the policy \"once_per_key\" needs an \"entry_key\" in the trigger"),
				 errhint("Add a jsonpath such as \"entry_key\": \"$.cart_id\".")));
	if (journey->reentry != TE_REENTRY_ONCE_PER_KEY && journey->entry_key != NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("an \"entry_key\" goes with the policy \"once_per_key\" only")));
	if (journey->reentry == TE_REENTRY_PARALLEL)
	{
		if (!(limit >= 1 && limit <= 10000) || limit != floor(limit))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"limit\" of reentry must be a whole number from 1 to 10000")));
		journey->reentry_limit = (int) limit;
	}
	else if (te_json_find(reentry, "limit") != NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"limit\" of reentry goes with the policy \"parallel\" only")));
}

/*
 * Reads what starts the journey.
 */
static void
compile_trigger(TeJourney *journey, Jsonb *trigger)
{
	const char *what = "trigger";
	char	   *kind;
	char	   *entry_key;

	if (trigger == NULL || !JB_ROOT_IS_OBJECT(trigger))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("trigger must be a JSON object"),
				 errhint("Write {\"kind\": \"event\", \"name\": \"cart\"}.")));
	te_json_check_keys(trigger, what, trigger_keys);
	kind = te_json_text(trigger, "kind", what);
	if (kind == NULL || strcmp(kind, trigger_kinds[0]) != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"kind\" of trigger must be \"event\"")));
	compile_matcher(&journey->trigger, trigger, what);
	entry_key = te_json_text(trigger, "entry_key", what);
	if (entry_key)
		journey->entry_key = parse_path(entry_key, "entry_key", what);
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
		check_length(definition->ttl, "ttl");
		journey->has_ttl = true;
		journey->ttl = *definition->ttl;
	}
	compile_trigger(journey, definition->trigger);
	compile_reentry(journey, definition->reentry);
	journey->exits = compile_matchers(definition->exit_on, "exit_on", &journey->nexits);
	journey->goals = compile_matchers(definition->goal, "goal", &journey->ngoals);
	compile_steps(journey, definition->steps);
	first = &journey->steps[journey->first_step];
	journey->first_lane = first->kind == TE_STEP_SEND
		? te_journey_lane(first->provider, first->channel) : 0;
	return journey;
}
