/*
 * journey_sql.c
 *		SQL entry points of journeys: check of a definition, invalidation, hints.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
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
	TimestampTz end = 0;
	int			i;

	for (i = 0; i < journey->nsteps; i++)
		if (journey->steps[i].kind == TE_STEP_WAIT)
			end = te_clock_add(end, &journey->steps[i].wait);
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
