/*
 * digest.c
 *		Events that are collected into one run of a journey.
 *
 * The first event of a key opens a window, a row with a unique key, and enters; those
 * that come until the worker closes it are added to that run. The row's lock decides
 * between them and the worker, so every event is in exactly one window. SPI must be
 * connected, as the extension's owner; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"

/*
 * Adds an event to the window of its key, or opens one under the given entry key.
 * Returns whether it opened one, with which the user enters.
 */
bool
te_event_collect(const TeJourney *journey, const TeEvent *event, const char *entry_key, const char *window_key)
{
	static SPIPlanPtr window_plan = NULL;
	static SPIPlanPtr event_plan = NULL;
	Oid			window_types[4] = {TEXTOID, INT8OID, TEXTOID, TEXTOID};
	Oid			event_types[6] = {TEXTOID, INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID, JSONBOID};
	Datum		values[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};
	char	   *run;

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = CStringGetTextDatum(window_key);
	values[3] = CStringGetTextDatum(entry_key);
	te_db_execute(&window_plan,
				  "INSERT INTO trigger_engine._digests AS d (user_id, journey_id, key, entry_key) VALUES ($1, $2, $3, $4)"
				  " ON CONFLICT (user_id, journey_id, key) DO UPDATE SET entry_key = d.entry_key RETURNING d.entry_key",
				  4, window_types, values, NULL, false, 0);
	run = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	SPI_freetuptable(SPI_tuptable);

	values[2] = CStringGetTextDatum(run);
	values[3] = Int64GetDatum(event->event_id);
	values[4] = TimestampTzGetDatum(event->occurred_at);
	values[5] = JsonbPGetDatum(event->properties);
	if (!event->tracked)
		nulls[5] = 'n';			/* they can be read from the event */
	te_db_execute(&event_plan,
				  "INSERT INTO trigger_engine._digest_events (user_id, journey_id, entry_key, event_id, event_at, context)"
				  " VALUES ($1, $2, $3, $4, $5, $6)", 6, event_types, values, nulls, false, 0);
	return strcmp(run, entry_key) == 0;
}
