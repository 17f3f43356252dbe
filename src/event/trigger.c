/*
 * trigger.c
 *		What an event means to a journey's trigger, by its kind.
 *
 * All of it concerns the event's user alone, in the event's transaction.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"

/* Activity in tracked tables is noted once in that time; that in events is looked up. */
#define ACTIVITY_PRECISION USECS_PER_HOUR

/* Longer ids of objects are not taken; they are part of an index key. */
#define MAX_OBJECT_BYTES 512

/*
 * Arms the first rung of an inactivity trigger, if the user is not waiting for it already.
 * Activity while that waits writes nothing: it is looked up when the time is up.
 */
static void
arm_inactivity(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[5] = {TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[5];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = TimestampTzGetDatum(event->occurred_at);
	values[3] = TimestampTzGetDatum(te_clock_add(event->occurred_at, &journey->rungs[0]));
	values[4] = TimestampTzGetDatum(event->tracked ? event->occurred_at - ACTIVITY_PRECISION : DT_NOBEGIN);
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine._timers AS t (user_id, journey_id, due_at, rung, last_at)"
				  " VALUES ($1, $2, $4, 0, $3)"
				  " ON CONFLICT (user_id, journey_id) DO UPDATE SET due_at = excluded.due_at, rung = 0,"
				  " last_at = excluded.last_at"
				  " WHERE (t.rung > 0 OR t.last_at <= $5) AND t.last_at < excluded.last_at",
				  5, types, values, NULL, false, 0);
}

/*
 * Notes that the user is interested in an object, or not any more.
 */
static void
note_interest(const TeJourney *journey, const TeEvent *event, bool ends)
{
	static SPIPlanPtr begin_plan = NULL,
				end_plan = NULL;
	char	   *object = te_journey_path_text(journey->object, event->properties);
	Oid			types[4] = {TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[4];

	if (object == NULL || strlen(object) > MAX_OBJECT_BYTES)
		return;
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = CStringGetTextDatum(object);
	values[3] = TimestampTzGetDatum(event->occurred_at);
	if (ends)
		te_db_execute(&end_plan,
					  "DELETE FROM trigger_engine._followers WHERE user_id = $1 AND journey_id = $2"
					  " AND object = $3 AND since <= $4", 4, types, values, NULL, false, 0);
	else
		te_db_execute(&begin_plan,
					  "INSERT INTO trigger_engine._followers (user_id, journey_id, object, since)"
					  " VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, journey_id, object) DO NOTHING",
					  4, types, values, NULL, false, 0);
}

/*
 * Notes what happened to an object; the maintenance worker tells those who follow it.
 */
static void
begin_fan_out(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	char	   *object = te_journey_path_text(journey->source_object, event->properties);
	Oid			types[5] = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID};
	Datum		values[5];

	if (object == NULL || strlen(object) > MAX_OBJECT_BYTES)
		return;
	values[0] = Int64GetDatum(journey->id);
	values[1] = CStringGetTextDatum(object);
	values[2] = CStringGetTextDatum(event->source_key);
	values[3] = TimestampTzGetDatum(event->occurred_at);
	values[4] = JsonbPGetDatum(event->properties);
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine._fanouts (object, journey_id, key, at, context)"
				  " VALUES ($2, $1, $3, $4, $5)", 5, types, values, NULL, false, 0);
}

/*
 * Does what an event that a trigger listens to means to it.
 */
void
te_event_trigger(const TeRule *rule, const TeEvent *event)
{
	const TeJourney *journey = rule->journey;

	switch (journey->trigger_kind)
	{
		case TE_TRIGGER_SEQUENCE:
			if (te_event_completes(journey, event))
				te_event_enter(journey, event);
			break;
		case TE_TRIGGER_MILESTONE:
			if (te_event_reaches(journey, event))
				te_event_enter(journey, event);
			break;
		case TE_TRIGGER_INACTIVITY:
			arm_inactivity(journey, event);
			break;
		case TE_TRIGGER_PRICE_DROP:
		case TE_TRIGGER_BACK_IN_STOCK:
		case TE_TRIGGER_FOLLOWED:
			if (rule->matcher == &journey->trigger)
				begin_fan_out(journey, event);
			else
				note_interest(journey, event, rule->matcher != &journey->parts[0]);
			break;
		default:
			te_event_enter(journey, event);
			break;
	}
}

/*
 * Ends the waiting of absences that an event breaks. Nothing is recorded: what did not come
 * about was no message yet. Runs that have gone on, as the event came late, end when they
 * are next decided on.
 */
void
te_event_break_absence(const TeRule *rule, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	const TeJourney *journey = rule->journey;
	Oid			types[5] = {TEXTOID, INT8OID, INT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[5];
	SPITupleTable *table;
	uint64		i,
				n;

	te_event_flush_run(journey->id, event->user_id);
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = rule->versions;
	values[3] = TimestampTzGetDatum(event->occurred_at);
	values[4] = TimestampTzGetDatum(te_journey_before(event->occurred_at, &journey->within));
	if (journey->match == NULL)
	{
		static SPIPlanPtr all_plan = NULL;

		te_db_execute(&all_plan,
					  "WITH gone AS (DELETE FROM trigger_engine._due WHERE user_id = $1 AND journey_id = $2 AND version = ANY ($3)"
					  " AND event_at <= $4 AND event_at > $5 AND attempt = 0 AND holds = 0 RETURNING entry_key)"
					  " DELETE FROM trigger_engine._digests d USING gone g WHERE d.user_id = $1 AND d.journey_id = $2"
					  " AND d.entry_key = g.entry_key",
					  5, types, values, NULL, false, 0);
		return;
	}
	te_db_execute(&plan,
				  "SELECT entry_key, step, event_at, context FROM trigger_engine._due"
				  " WHERE user_id = $1 AND journey_id = $2 AND version = ANY ($3)"
				  " AND event_at <= $4 AND event_at > $5 AND attempt = 0 AND holds = 0",
				  5, types, values, NULL, false, 0);
	table = SPI_tuptable;
	n = SPI_processed;
	for (i = 0; i < n; i++)
	{
		static SPIPlanPtr delete_plan = NULL;
		Oid			key_types[4] = {TEXTOID, INT8OID, TEXTOID, TEXTOID};
		Datum		key[4] = {values[0], values[1]};
		HeapTuple	row = table->vals[i];
		TupleDesc	desc = table->tupdesc;
		bool		isnull;
		TimestampTz began = DatumGetTimestampTz(SPI_getbinval(row, desc, 3, &isnull));
		Datum		context = SPI_getbinval(row, desc, 4, &isnull);

		if (!te_journey_breaks_absence(journey, began, isnull ? NULL : DatumGetJsonbP(context),
									   event->occurred_at, event->properties))
			continue;
		key[2] = SPI_getbinval(row, desc, 1, &isnull);
		key[3] = SPI_getbinval(row, desc, 2, &isnull);
		te_db_execute(&delete_plan,
					  "WITH gone AS (DELETE FROM trigger_engine._due WHERE user_id = $1 AND journey_id = $2"
					  " AND entry_key = $3 AND step = $4 RETURNING entry_key)"
					  " DELETE FROM trigger_engine._digests d USING gone g WHERE d.user_id = $1 AND d.journey_id = $2"
					  " AND d.entry_key = g.entry_key", 4, key_types, key, NULL, false, 0);
	}
	SPI_freetuptable(table);
}
