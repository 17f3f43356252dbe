/*
 * enter.c
 *		Entries that no event of the capture trigger causes: passes over time, fan-outs,
 *		calls and segments. They go the way of the entries that an event causes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"

PG_FUNCTION_INFO_V1(te_enter);

/* One array argument, taken apart. */
typedef struct Column
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
} Column;

/*
 * Takes an array argument apart.
 */
static Column
column(FunctionCallInfo fcinfo, int number, Oid type, int16 len, bool byval, char align)
{
	Column		result;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(number), type, len, byval, align,
					  &result.values, &result.nulls, &result.count);
	return result;
}

/*
 * True when the user has been in the journey by that key, which a pass over time or a
 * fan-out that is repeated would otherwise begin anew.
 */
static bool
has_run(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, INT8OID, TEXTOID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = CStringGetTextDatum(event->source_key);
	te_db_execute(&plan, "SELECT 1 FROM trigger_engine._enrollments"
				  " WHERE user_id = $1 AND journey_id = $2 AND entry_key = $3", 3, types, values, NULL, false, 1);
	return SPI_processed > 0;
}

/*
 * _enter(journey_ids, user_ids, entry_keys, at, context): lets users enter live journeys, as
 * their policies allow. Returns how many did; none while the installation is fenced.
 */
Datum
te_enter(PG_FUNCTION_ARGS)
{
	Column		journeys = column(fcinfo, 0, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	Column		users = column(fcinfo, 1, TEXTOID, -1, false, TYPALIGN_INT);
	Column		keys = column(fcinfo, 2, TEXTOID, -1, false, TYPALIGN_INT);
	Column		times = column(fcinfo, 3, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	Column		contexts = column(fcinfo, 4, JSONBOID, -1, false, TYPALIGN_INT);
	int			entered = 0;
	int			i;
	bool		outermost;
	TeIdentity	saved;
	TeJourneySet *set;

	if (users.count != journeys.count || keys.count != journeys.count || times.count != journeys.count ||
		contexts.count != journeys.count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arrays of _enter() differ in length")));
	te_event_register_callbacks();
	outermost = te_event_begin_work();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	set = te_journey_set();
	te_run_as_begin(&saved, set->owner, TE_RUN_KEPT_PLANS);
	for (i = 0; i < journeys.count && set->fence == TE_FENCE_OPEN; i++)
	{
		TeJourney  *journey;
		TeEvent		event = {0};

		CHECK_FOR_INTERRUPTS();
		if (journeys.nulls[i] || users.nulls[i] || keys.nulls[i] || times.nulls[i])
			continue;
		journey = te_journey_live(set, DatumGetInt64(journeys.values[i]));
		event.user_id = TextDatumGetCString(users.values[i]);
		event.source_key = TextDatumGetCString(keys.values[i]);
		event.occurred_at = DatumGetTimestampTz(times.values[i]);
		if (journey == NULL || event.user_id[0] == '\0' || strlen(event.user_id) > TE_MAX_ID_BYTES ||
			TIMESTAMP_NOT_FINITE(event.occurred_at))
			continue;
		event.properties = contexts.nulls[i] ? te_json_parse("{}") : DatumGetJsonbP(contexts.values[i]);
		/* what it begins with is kept with what waits, as of a row of a tracked table */
		event.tracked = true;
		if (journey->reentry == TE_REENTRY_EVENT && has_run(journey, &event))
			continue;
		entered += te_event_enter(journey, &event);
	}
	te_event_flush();
	SPI_finish();
	te_run_as_end(&saved);
	if (outermost)
		te_event_end_work();
	PG_RETURN_INT32(entered);
}
