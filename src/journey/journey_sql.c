/*
 * journey_sql.c
 *		SQL entry points of journeys: check of a definition, invalidation, hints.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "errors.h"
#include "guc.h"
#include "journey/journey.h"

PG_FUNCTION_INFO_V1(te_check_journey);
PG_FUNCTION_INFO_V1(te_flat_steps);
PG_FUNCTION_INFO_V1(te_invalidate);
PG_FUNCTION_INFO_V1(te_nearest);

/* Longer names are not compared: the distance of long texts is refused. */
#define MAX_NAME 255

#define JSONB_OR_NULL(n) (PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n))

/*
 * Warns when the steps wait for longer than events are kept: a message is rendered
 * from its event when it is due. Rows of tracked tables are kept with what waits.
 */
static void
check_retention(const TeJourney *journey)
{
	int64		kept = te_guc_event_retention * USECS_PER_MINUTE;
	TimestampTz *longest = palloc0(sizeof(TimestampTz) * (journey->nsteps + 1));
	TimestampTz end;
	int			i,
				k;

	/* steps lead to later ones only; longest[nsteps] is the end of the run */
	for (i = journey->nsteps - 1; i >= 0; i--)
	{
		const TeStep *step = &journey->steps[i];

#define LONGEST(n) longest[(n) == TE_STEP_END ? journey->nsteps : (n)]
		longest[i] = Max(LONGEST(step->next), LONGEST(step->other));
		for (k = 0; k < step->narms; k++)
			longest[i] = Max(longest[i], LONGEST(step->arms[k].first));
#undef LONGEST
		if (step->kind == TE_STEP_WAIT || step->kind == TE_STEP_WAIT_FOR || step->kind == TE_STEP_DIGEST)
			longest[i] = te_clock_add(longest[i], &step->wait);
		if (step->kind == TE_STEP_WAIT_FOR && step->endless)
			ereport(WARNING,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("step \"%s\" of journey \"%s\" waits without a timeout", step->id, journey->name),
					 errhint("A run whose event never comes stays there for ever. Give it a \"timeout\".")));
	}
	end = te_clock_add(longest[0], &journey->delay);
	if (kept == 0 || end < kept)
		return;
	ereport(WARNING,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("the steps of journey \"%s\" wait for longer than events are kept", journey->name),
			 errdetail("What is due after its event is gone is withheld, unless the event is a row of a tracked table."),
			 errhint("Raise trigger_engine.event_retention, or wait for less.")));
}

/*
 * _check_journey(name, trigger, steps, exit_on, goal, reentry, ttl): compiles the
 * definition and lets its errors through.
 */
Datum
te_check_journey(PG_FUNCTION_ARGS)
{
	TeJourneyDefinition definition = {0};
	TeJourney  *journey;

	definition.name = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	definition.owner = "";
	definition.trigger = JSONB_OR_NULL(1);
	definition.steps = JSONB_OR_NULL(2);
	definition.exit_on = JSONB_OR_NULL(3);
	definition.goal = JSONB_OR_NULL(4);
	definition.reentry = JSONB_OR_NULL(5);
	definition.ttl = PG_ARGISNULL(6) ? NULL : PG_GETARG_INTERVAL_P(6);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	journey = te_journey_compile(&definition);
	check_retention(journey);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Appends a step to a flat list. What sends has the key "send".
 */
static void
put_flat(JsonbParseState **state, Jsonb *step)
{
	JsonbIterator *it = JsonbIteratorInit(&step->root);
	JsonbValue	item;
	JsonbIteratorToken token;
	JsonbValue *webhook = te_json_find(step, "webhook");

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			pushJsonbValue(state, token, &item);
	if (webhook)
	{
		JsonbValue	key = {.type = jbvString, .val.string = {.val = "send", .len = 4}};

		pushJsonbValue(state, WJB_KEY, &key);
		pushJsonbValue(state, WJB_VALUE, webhook);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * Appends all steps of an array, or of the objects in it, each before those within it.
 * Known are the keys that hold steps; anything else is left alone.
 */
static void
flatten(JsonbParseState **state, Jsonb *container, bool are_steps)
{
	static const char *const nested[] = {"branch", "else", "wait_for", "ladder", "steps", NULL};
	JsonbIterator *it = JsonbIteratorInit(&container->root);
	JsonbValue	item;
	JsonbIteratorToken token;
	int			i;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		Jsonb	   *object;
		JsonbValue *value;

		if (token != WJB_ELEM || item.type != jbvBinary || !JsonContainerIsObject(item.val.binary.data))
			continue;
		object = JsonbValueToJsonb(&item);
		if (are_steps)
			put_flat(state, object);
		for (i = 0; nested[i]; i++)
		{
			value = te_json_find(object, nested[i]);
			if (value && value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data))
				flatten(state, JsonbValueToJsonb(value), strcmp(nested[i], "branch") != 0 && strcmp(nested[i], "wait_for") != 0);
		}
		value = te_json_find(object, "split");
		if (value && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data))
		{
			JsonbIterator *arms;
			JsonbValue	arm;
			JsonbIteratorToken arm_token;

			value = te_json_find(JsonbValueToJsonb(value), "arms");
			arms = value && value->type == jbvBinary ? JsonbIteratorInit(value->val.binary.data) : NULL;
			while (arms && (arm_token = JsonbIteratorNext(&arms, &arm, true)) != WJB_DONE)
				if (arm_token == WJB_VALUE && arm.type == jbvBinary)
					flatten(state, JsonbValueToJsonb(&arm), true);
		}
	}
}

/*
 * _flat_steps(steps): the steps of a journey and those within them, in one array.
 */
Datum
te_flat_steps(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	flatten(&state, PG_GETARG_JSONB_P(0), true);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}

/*
 * Statement trigger on configuration tables: a relcache message for the table
 * reaches every backend when the transaction commits, and ourselves with the
 * next command.
 */
Datum
te_invalidate(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_invalidate must be called by a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/*
 * _nearest(word, names): the name that the word is likely meant for, or NULL.
 */
Datum
te_nearest(PG_FUNCTION_ARGS)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count,
				i,
				n = 0;
	const char **names;
	const char *nearest;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	names = palloc0(sizeof(char *) * (count + 1));
	for (i = 0; i < count; i++)
	{
		char	   *name = nulls[i] ? NULL : TextDatumGetCString(elements[i]);

		if (name && strlen(name) <= MAX_NAME)
			names[n++] = name;
	}
	nearest = te_json_nearest(text_to_cstring(PG_GETARG_TEXT_PP(0)), names);
	if (nearest == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(nearest));
}
