/*
 * compile_steps.c
 *		From the steps of a definition to a flat program.
 *
 * Steps within steps (of branches, waits, ladders and splits) follow the one that they
 * belong to. Where a list of steps ends, the run goes on after the step that holds it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "errors.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"

/* It is part of keys, beside the user and the entry key. */
#define MAX_STEP_ID_BYTES 128
/* More steps, or deeper ones, are refused as mistakes. */
#define MAX_STEPS 1000
#define MAX_DEPTH 16

/* Until the program is complete: what follows the step that this one lies in. */
#define AFTER_PARENT (-2)

/* A program under construction. */
typedef struct Program
{
	TeStep	   *steps;
	int			count;
	int			size;
	int			depth;
} Program;

typedef void (*CompileStep) (Program *program, int self, Jsonb *object, const char *what);

static int	compile_list(Program *program, Jsonb *steps, int parent, const char *what);
static void compile_wait(Program *program, int self, Jsonb *object, const char *what);
static void compile_wait_until(Program *program, int self, Jsonb *object, const char *what);
static void compile_wait_for(Program *program, int self, Jsonb *object, const char *what);
static void compile_send(Program *program, int self, Jsonb *object, const char *what);
static void compile_branch(Program *program, int self, Jsonb *object, const char *what);
static void compile_ladder(Program *program, int self, Jsonb *object, const char *what);
static void compile_split(Program *program, int self, Jsonb *object, const char *what);
static void compile_set(Program *program, int self, Jsonb *object, const char *what);
static void compile_list_step(Program *program, int self, Jsonb *object, const char *what);
static void compile_start(Program *program, int self, Jsonb *object, const char *what);
static void compile_digest(Program *program, int self, Jsonb *object, const char *what);
static void compile_exit(Program *program, int self, Jsonb *object, const char *what);

/* The kinds of steps, by the key that makes them, and the keys that go with it. */
static const struct
{
	const char *key;
	TeStepKind	kind;
	CompileStep compile;
	const char *keys[8];
}			step_kinds[] =
{
	{"wait", TE_STEP_WAIT, compile_wait, {"id", "wait", "jitter", NULL}},
	{"wait_until", TE_STEP_WAIT_UNTIL, compile_wait_until, {"id", "wait_until", NULL}},
	{"wait_for", TE_STEP_WAIT_FOR, compile_wait_for, {"id", "wait_for", "timeout", "already_true", "else", NULL}},
	{"send", TE_STEP_SEND, compile_send, {"id", "send", "channel", "provider", "experiment", "variants", NULL}},
	{"webhook", TE_STEP_SEND, compile_send, {"id", "webhook", "channel", "provider", "experiment", "variants", NULL}},
	{"ladder", TE_STEP_LADDER, compile_ladder, {"id", "ladder", "until", NULL}},
	{"branch", TE_STEP_BRANCH, compile_branch, {"id", "branch", "else", NULL}},
	{"split", TE_STEP_SPLIT, compile_split, {"id", "split", "else", NULL}},
	{"set", TE_STEP_SET, compile_set, {"id", "set", NULL}},
	{"list", TE_STEP_LIST, compile_list_step, {"id", "list", NULL}},
	{"start", TE_STEP_START, compile_start, {"id", "start", NULL}},
	{"leave", TE_STEP_LEAVE, compile_start, {"id", "leave", NULL}},
	{"digest", TE_STEP_DIGEST, compile_digest, {"id", "digest", "key", NULL}},
	{"exit", TE_STEP_EXIT, compile_exit, {"id", "exit", NULL}},
};

static const char *const rung_keys[] = {"id", "send", "channel", "provider", "after", "unless", NULL};

/*
 * Adds a step of which only its place is known.
 */
static int
add_step(Program *program, int parent)
{
	TeStep	   *step;

	if (program->count == MAX_STEPS)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("there are more than %d steps", MAX_STEPS)));
	if (program->count == program->size)
	{
		program->size = Max(program->size * 2, 8);
		program->steps = program->steps
			? repalloc(program->steps, sizeof(TeStep) * program->size)
			: palloc(sizeof(TeStep) * program->size);
	}
	step = &program->steps[program->count];
	memset(step, 0, sizeof(TeStep));
	step->parent = parent;
	step->next = step->other = AFTER_PARENT;
	return program->count++;
}

/*
 * Elements of an array; *count of them.
 */
static Jsonb **
elements(Jsonb *array, int *count)
{
	Jsonb	  **result = palloc(sizeof(Jsonb *) * Max(JB_ROOT_COUNT(array), 1));
	JsonbIterator *it = JsonbIteratorInit(&array->root);
	JsonbValue	item;
	JsonbIteratorToken token;

	*count = 0;
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			result[(*count)++] = JsonbValueToJsonb(&item);
	return result;
}

/*
 * Elements of an array that has some, each an object.
 */
static Jsonb **
objects(Jsonb *object, const char *key, const char *what, int *count)
{
	Jsonb	   *array = te_json_array(object, key, what);
	Jsonb	  **result;
	int			i;

	if (array == NULL || JB_ROOT_COUNT(array) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be an array with at least one element", key, what)));
	result = elements(array, count);
	for (i = 0; i < *count; i++)
		if (!JB_ROOT_IS_OBJECT(result[i]))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("element %d of key \"%s\" of %s must be a JSON object", i + 1, key, what)));
	return result;
}

/*
 * A text that a key must have; hint says how to write it.
 */
static char *
required_text(Jsonb *object, const char *key, const char *what, const char *hint)
{
	char	   *text = te_json_text(object, key, what);

	if (text == NULL || text[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" is missing in %s", key, what),
				 errhint("%s", hint)));
	return text;
}

/*
 * Steps under a key of a step, compiled behind it; where they begin, or where the run
 * goes on when there are none.
 */
static int
compile_under(Program *program, int self, Jsonb *object, const char *key, const char *what)
{
	Jsonb	   *steps = te_json_array(object, key, what);

	if (steps == NULL || JB_ROOT_COUNT(steps) == 0)
		return AFTER_PARENT;
	return compile_list(program, steps, self, what);
}

/*
 * {"wait": interval, "jitter": interval}
 */
static void
compile_wait(Program *program, int self, Jsonb *object, const char *what)
{
	TeStep	   *step = &program->steps[self];
	Interval   *wait = te_json_interval(object, "wait", what);
	Interval   *jitter = te_json_interval(object, "jitter", what);

	if (wait == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"wait\" of %s must be an interval such as \"10 min\"", what)));
	te_journey_check_length(wait, psprintf("key \"wait\" of %s", what));
	step->wait = *wait;
	if (jitter)
	{
		te_journey_check_length(jitter, psprintf("key \"jitter\" of %s", what));
		if (jitter->month != 0)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"jitter\" of %s must be given in days or less", what)));
		step->has_jitter = true;
		step->jitter = *jitter;
	}
}

/*
 * {"wait_until": {...}}
 */
static void
compile_wait_until(Program *program, int self, Jsonb *object, const char *what)
{
	Jsonb	   *moment = te_json_object(object, "wait_until", what);

	if (moment == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"wait_until\" of %s must be an object", what),
				 errhint("Write {\"at\": \"09:00\"}.")));
	program->steps[self].moment = te_journey_compile_moment(moment, psprintf("key \"wait_until\" of %s", what));
}

/*
 * {"wait_for": [{"event", "where", "steps"}], "timeout", "already_true", "else"}
 */
static void
compile_wait_for(Program *program, int self, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"event", "where", "steps", NULL};
	int			n,
				i;
	Jsonb	  **arms = objects(object, "wait_for", what, &n);
	Interval   *timeout = te_json_interval(object, "timeout", what);
	char	   *already = te_json_text(object, "already_true", what);
	TeArm	   *result = palloc0(sizeof(TeArm) * n);

	if (already && strcmp(already, "ignore") != 0 && strcmp(already, "count") != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"already_true\" of %s must be \"ignore\" or \"count\"", what)));
	program->steps[self].counts = already && strcmp(already, "count") == 0;
	program->steps[self].endless = timeout == NULL;
	if (timeout)
	{
		te_journey_check_length(timeout, psprintf("key \"timeout\" of %s", what));
		program->steps[self].wait = *timeout;
	}
	else if (te_json_find(object, "else"))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"else\" of %s needs a \"timeout\"", what)));
	for (i = 0; i < n; i++)
	{
		char	   *place = psprintf("event %d of %s", i + 1, what);
		char	   *name;
		char	   *where;

		te_json_check_keys(arms[i], place, keys);
		name = required_text(arms[i], "event", place, "Give the name of the event, as in {\"event\": \"order\"}.");
		where = te_json_text(arms[i], "where", place);
		result[i].matcher = palloc0(sizeof(TeMatcher));
		te_journey_make_matcher(result[i].matcher, name, where, place);
		result[i].first = compile_under(program, self, arms[i], "steps", place);
	}
	program->steps[self].arms = result;
	program->steps[self].narms = n;
	program->steps[self].other = compile_under(program, self, object, "else", what);
}

/*
 * Reads what steps and rungs that send have in common.
 */
static void
read_send(TeStep *step, Jsonb *object, const char *what)
{
	bool		is_webhook = te_json_find(object, "webhook") != NULL;
	const char *key = is_webhook ? "webhook" : "send";

	step->template_name = te_json_text(object, key, what);
	if (step->template_name == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must name a template", key, what)));
	step->channel = te_json_text(object, "channel", what);
	if (is_webhook && step->channel == NULL)
		step->channel = pstrdup("webhook");
	if (is_webhook && strcmp(step->channel, "webhook") != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s is a webhook, and names channel \"%s\"", what, step->channel),
				 errhint("Leave the channel out, or write \"send\".")));
	step->provider = te_json_text(object, "provider", what);
}

/*
 * {"send": template, "channel", "provider", "experiment", "variants"}, or the same with
 * "webhook"
 */
static void
compile_send(Program *program, int self, Jsonb *object, const char *what)
{
	TeStep	   *step = &program->steps[self];
	Jsonb	   *variants = te_json_array(object, "variants", what);

	read_send(step, object, what);
	step->experiment = te_json_text(object, "experiment", what);
	if ((step->experiment == NULL) != (variants == NULL || JB_ROOT_COUNT(variants) == 0))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("\"experiment\" and \"variants\" of %s go together", what),
				 errhint("Name the variants that get the message, as in \"variants\": [\"treatment\"].")));
	if (variants)
	{
		Jsonb	  **names = elements(variants, &step->nvariants);
		int			i;

		step->variants = palloc(sizeof(char *) * Max(step->nvariants, 1));
		for (i = 0; i < step->nvariants; i++)
			step->variants[i] = te_json_key_text(names[i]);
	}
}

/*
 * {"branch": [{"when": condition, "steps"}], "else"}
 */
static void
compile_branch(Program *program, int self, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"when", "steps", NULL};
	int			n,
				i;
	Jsonb	  **arms = objects(object, "branch", what, &n);
	TeArm	   *result = palloc0(sizeof(TeArm) * n);

	for (i = 0; i < n; i++)
	{
		char	   *place = psprintf("arm %d of %s", i + 1, what);
		Jsonb	   *when;

		te_json_check_keys(arms[i], place, keys);
		when = te_json_object(arms[i], "when", place);
		if (when == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"when\" is missing in %s", place),
					 errhint("Give a condition, as in {\"segment\": \"vip\"}.")));
		result[i].when = palloc0(sizeof(TeCondition));
		te_journey_compile_condition(result[i].when, when, psprintf("the condition of %s", place));
		result[i].first = compile_under(program, self, arms[i], "steps", place);
	}
	program->steps[self].arms = result;
	program->steps[self].narms = n;
	program->steps[self].other = compile_under(program, self, object, "else", what);
}

/*
 * {"ladder": [{"send", "channel", "provider", "after", "unless"}], "until"}
 *
 * The rungs become steps that follow each other; the ladder itself does nothing.
 */
static void
compile_ladder(Program *program, int self, Jsonb *object, const char *what)
{
	int			n,
				i;
	Jsonb	  **rungs = objects(object, "ladder", what, &n);
	Jsonb	   *until = te_json_object(object, "until", what);
	TeCondition *stop = NULL;
	int64		earlier = 0;

	if (until)
	{
		stop = palloc0(sizeof(TeCondition));
		te_journey_compile_condition(stop, until, psprintf("key \"until\" of %s", what));
	}
	for (i = 0; i < n; i++)
	{
		char	   *place = psprintf("rung %d of %s", i + 1, what);
		int			number = add_step(program, self);
		TeStep	   *step = &program->steps[number];
		Interval   *after;
		Jsonb	   *unless;

		te_json_check_keys(rungs[i], place, rung_keys);
		step->kind = TE_STEP_SEND;
		step->is_rung = true;
		step->until = stop;
		step->id = te_json_text(rungs[i], "id", place);
		if (step->id == NULL)
			step->id = psprintf("%s.%d", program->steps[self].id, i + 1);
		read_send(step, rungs[i], place);
		after = te_json_interval(rungs[i], "after", place);
		if (after && after->month != 0)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"after\" of %s must be given in days or less", place)));
		if (after)
			te_journey_check_length(after, psprintf("key \"after\" of %s", place));
		step->after = after ? after->day * USECS_PER_DAY + after->time : earlier;
		if (step->after < earlier)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s is earlier than the one before it", place),
					 errhint("Times count from the beginning of the ladder.")));
		earlier = step->after;
		unless = te_json_object(rungs[i], "unless", place);
		if (unless)
		{
			step->unless = palloc0(sizeof(TeCondition));
			te_journey_compile_condition(step->unless, unless, psprintf("key \"unless\" of %s", place));
		}
		if (i == 0)
			program->steps[self].other = number;
		else
			program->steps[number - 1].next = number;
	}
}

/*
 * {"split": {"experiment": name, "arms": {variant: [steps]}}, "else"}
 */
static void
compile_split(Program *program, int self, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"experiment", "arms", NULL};
	Jsonb	   *split = te_json_object(object, "split", what);
	char	   *place = psprintf("key \"split\" of %s", what);
	Jsonb	   *arms;
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	TeArm	   *result;
	int			n = 0;

	if (split == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be an object", place),
				 errhint("Write {\"experiment\": name, \"arms\": {variant: [steps]}}.")));
	te_json_check_keys(split, place, keys);
	program->steps[self].experiment = required_text(split, "experiment", place, "Give the name of an experiment.");
	arms = te_json_object(split, "arms", place);
	if (arms == NULL || JB_ROOT_COUNT(arms) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"arms\" of %s must be an object of variants", place)));
	result = palloc0(sizeof(TeArm) * JB_ROOT_COUNT(arms));
	it = JsonbIteratorInit(&arms->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			result[n].variant = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE)
		{
			result[n].first = compile_under(program, self, arms, result[n].variant, place);
			n++;
		}
	}
	program->steps[self].arms = result;
	program->steps[self].narms = n;
	program->steps[self].other = compile_under(program, self, object, "else", what);
}

/*
 * {"set": {attribute: value}}
 */
static void
compile_set(Program *program, int self, Jsonb *object, const char *what)
{
	program->steps[self].attributes = te_json_object(object, "set", what);
	if (program->steps[self].attributes == NULL || JB_ROOT_COUNT(program->steps[self].attributes) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"set\" of %s must be an object of attributes", what),
				 errhint("Write {\"tier\": \"gold\"}; null takes an attribute away.")));
}

/*
 * {"list": {"add": name}} or {"list": {"remove": name}}
 */
static void
compile_list_step(Program *program, int self, Jsonb *object, const char *what)
{
	static const char *const keys[] = {"add", "remove", NULL};
	Jsonb	   *list = te_json_object(object, "list", what);
	char	   *place = psprintf("key \"list\" of %s", what);

	if (list == NULL || JB_ROOT_COUNT(list) != 1)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must say what to add to or to remove from", place),
				 errhint("Write {\"add\": \"vip\"} or {\"remove\": \"vip\"}.")));
	te_json_check_keys(list, place, keys);
	program->steps[self].removes = te_json_find(list, "remove") != NULL;
	program->steps[self].target = required_text(list, program->steps[self].removes ? "remove" : "add", place,
												"Give the name of a list.");
}

/*
 * {"start": journey} or {"leave": journey}
 */
static void
compile_start(Program *program, int self, Jsonb *object, const char *what)
{
	program->steps[self].target = required_text(object, program->steps[self].kind == TE_STEP_START ? "start" : "leave",
												what, "Give the name of a journey.");
}

/*
 * {"digest": window, "key": jsonpath}
 */
static void
compile_digest(Program *program, int self, Jsonb *object, const char *what)
{
	TeStep	   *step = &program->steps[self];
	Interval   *window = te_json_interval(object, "digest", what);
	char	   *key = te_json_text(object, "key", what);

	if (window == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"digest\" of %s must be an interval such as \"1 h\"", what)));
	te_journey_check_length(window, psprintf("key \"digest\" of %s", what));
	step->wait = *window;
	if (key)
		step->key = te_journey_parse_path(key, "key", what);
	if (self != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s is a digest, and not the first step", what),
				 errhint("It collects the events that would start the journey.")));
}

/*
 * {"exit": reason}
 */
static void
compile_exit(Program *program, int self, Jsonb *object, const char *what)
{
	TeStep	   *step = &program->steps[self];

	step->reason = te_json_text(object, "exit", what);
	if (step->reason == NULL)
		step->reason = pstrdup("exit step");
}

/*
 * The kind of a step, by the one key that makes it.
 */
static int
find_kind(Jsonb *object, const char *what)
{
	const char *any[lengthof(step_kinds) * 8 + 1];
	int			kind = -1;
	int			n = 0;
	int			i,
				k;

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
	if (kind >= 0)
		return kind;
	for (i = 0; i < lengthof(step_kinds); i++)
		for (k = i == 0 ? 0 : 1; step_kinds[i].keys[k]; k++)
		{
			int			seen;

			for (seen = 0; seen < n && strcmp(any[seen], step_kinds[i].keys[k]) != 0; seen++)
				 /* look on */ ;
			if (seen == n)
				any[n++] = step_kinds[i].keys[k];
		}
	any[n] = NULL;
	te_json_check_keys(object, what, any);
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("%s says nothing to do", what),
			 errhint("Give it one of \"wait\", \"wait_until\", \"wait_for\", \"send\", \"webhook\", \"ladder\", \"branch\", \"split\", \"set\", \"list\", \"start\", \"leave\", \"digest\" or \"exit\".")));
	return -1;					/* not reached */
}

/*
 * Reads one step, and those within it.
 */
static int
compile_step(Program *program, Jsonb *object, int parent, int number, const char *within)
{
	char	   *what = within ? psprintf("step %d in %s", number, within) : psprintf("step %d", number);
	int			self;
	char	   *id;
	int			kind;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be a JSON object", what)));
	id = te_json_text(object, "id", what);
	if (id == NULL || id[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"id\" is missing in %s", what),
				 errhint("Every step needs an id that stays the same over versions, as \"s%d\".", number)));
	if (strlen(id) > MAX_STEP_ID_BYTES)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("id of %s is longer than %d bytes", what, MAX_STEP_ID_BYTES)));
	what = psprintf("step \"%s\"", id);
	kind = find_kind(object, what);
	te_json_check_keys(object, what, step_kinds[kind].keys);
	self = add_step(program, parent);
	program->steps[self].id = id;
	program->steps[self].kind = step_kinds[kind].kind;
	step_kinds[kind].compile(program, self, object, what);
	return self;
}

/*
 * Reads a list of steps and has them follow each other; the index of the first.
 */
static int
compile_list(Program *program, Jsonb *steps, int parent, const char *what)
{
	int			n,
				i,
				first = AFTER_PARENT,
				last = -1;
	Jsonb	  **list = elements(steps, &n);

	check_stack_depth();
	if (++program->depth > MAX_DEPTH)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("steps lie within each other more than %d deep", MAX_DEPTH)));
	for (i = 0; i < n; i++)
	{
		int			self = compile_step(program, list[i], parent, i + 1, what);

		if (last >= 0)
			program->steps[last].next = self;
		else
			first = self;
		last = self;
	}
	program->depth--;
	return first;
}

/*
 * Resolves where steps lead to. Those that hold others come before them.
 */
static void
link_steps(Program *program)
{
	int			i,
				k;

	for (i = 0; i < program->count; i++)
	{
		TeStep	   *step = &program->steps[i];

		if (step->next == AFTER_PARENT)
			step->next = step->parent >= 0 ? program->steps[step->parent].next : TE_STEP_END;
		if (step->other == AFTER_PARENT)
			step->other = step->next;
		for (k = 0; k < step->narms; k++)
			if (step->arms[k].first == AFTER_PARENT)
				step->arms[k].first = step->next;
	}
}

/*
 * Checks that ids differ and name something, and that something is done.
 */
static void
check_steps(Program *program)
{
	bool		acts = false;
	int			i,
				k;

	for (i = 0; i < program->count; i++)
	{
		TeStep	   *step = &program->steps[i];

		if (strlen(step->id) > MAX_STEP_ID_BYTES)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("id of step %d is longer than %d bytes", i + 1, MAX_STEP_ID_BYTES)));
		for (k = 0; k < i; k++)
			if (strcmp(step->id, program->steps[k].id) == 0)
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("steps %d and %d have the same id \"%s\"", k + 1, i + 1, step->id)));
		acts |= step->kind != TE_STEP_WAIT && step->kind != TE_STEP_WAIT_UNTIL && step->kind != TE_STEP_WAIT_FOR &&
			step->kind != TE_STEP_DIGEST;
	}
	if (!acts)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("steps only wait"),
				 errhint("Add a step that sends.")));
}

/*
 * Reads the steps of a journey: at least one that does something, and ids that differ.
 */
void
te_journey_compile_steps(TeJourney *journey, Jsonb *steps)
{
	Program		program = {0};

	if (steps == NULL || !JB_ROOT_IS_ARRAY(steps) || JB_ROOT_IS_SCALAR(steps) ||
		JB_ROOT_COUNT(steps) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("steps must be a JSON array with at least one step"),
				 errhint("Write [{\"id\": \"s1\", \"send\": \"template\"}].")));
	compile_list(&program, steps, -1, NULL);
	link_steps(&program);
	check_steps(&program);
	journey->steps = program.steps;
	journey->nsteps = program.count;
	if (journey->steps[0].kind == TE_STEP_DIGEST && journey->reentry != TE_REENTRY_EVENT)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("a digest goes without reentry"),
				 errhint("Every event is collected; give the step a \"key\" to tell them apart.")));
	te_journey_skip_waits(journey, 0, 0, &journey->first_step);
}
