/*
 * capture.c
 *		The row trigger that turns an inserted event into what it causes.
 *
 * It runs inside the application's transaction, as the extension's owner: the
 * application needs INSERT on its table and nothing else. Every error rolls the
 * event back together with what it caused.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "errors.h"
#include "event/event.h"

PG_FUNCTION_INFO_V1(te_capture_event);

#define MAX_MATCHES 10000

/*
 * Takes the dedupe key. False when another event has it: then this one never
 * happened.
 */
static bool
take_dedupe_key(const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, INT8OID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = CStringGetTextDatum(event->dedupe_key);
	values[2] = Int64GetDatum(event->event_id);
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine._event_keys AS k (user_id, dedupe_key, event_id)"
				  " VALUES ($1, $2, $3)"
				  " ON CONFLICT (user_id, dedupe_key) DO UPDATE SET event_id = k.event_id"
				  " WHERE k.event_id = excluded.event_id", 3, types, values, NULL, false, 0);
	return SPI_processed > 0;
}

/*
 * Sets an event aside.
 */
static void
quarantine(TeSource *source, TriggerData *trigger, const TeEvent *event, const char *violation)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[8] = {TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TEXTOID, INT8OID, TEXTOID, JSONBOID};
	Datum		values[8];
	char		nulls[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	Jsonb	   *context = te_event_context(trigger);

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = CStringGetTextDatum(event->name);
	values[2] = JsonbPGetDatum(event->properties);
	values[3] = TimestampTzGetDatum(event->occurred_at);
	if (event->dedupe_key)
		values[4] = CStringGetTextDatum(event->dedupe_key);
	else
		nulls[4] = 'n';
	values[5] = Int64GetDatum(event->event_id);
	values[6] = CStringGetTextDatum(violation);
	if (context)
		values[7] = JsonbPGetDatum(context);
	else
		nulls[7] = 'n';
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine.quarantined_events (user_id, name, properties, occurred_at,"
				  " dedupe_key, event_id, reason, context, quarantined_at)"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, trigger_engine.clock())",
				  8, types, values, nulls, false, 0);
	te_event_delete_row(source, trigger, event);
}

/*
 * Checks the properties against the schema of the event's name. False when the
 * event was set aside; throws when the schema says to refuse.
 */
static bool
fulfils_schema(TeSource *source, TriggerData *trigger, const TeEvent *event, const TeWatch *watch)
{
	char	   *violation;

	if (watch->schema == NULL)
		return true;
	violation = te_event_violation(watch->schema, event->properties);
	if (violation == NULL)
		return true;
	if (!watch->quarantine || event->tracked)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("event \"%s\" violates its schema: %s", event->name, violation),
				 errhint("Correct the properties, or see trigger_engine.event_schemas.")));
	quarantine(source, trigger, event, violation);
	return false;
}

/*
 * Does what one event causes.
 */
static void
process(TeSource *source, TriggerData *trigger, const TeEvent *event, TeJourneySet *set)
{
	TeWatch    *watch = te_journey_watch(set, event->name, strlen(event->name));
	TeRule	  **matches;
	int			n,
				i,
				max;

	if (te_event_is_erased(set->owner, event->user_id, strlen(event->user_id)))
	{
		/* a row of a tracked table is the application's to keep */
		if (!event->tracked)
			te_event_delete_row(source, trigger, event);
		return;
	}
	if (event->dedupe_key && !take_dedupe_key(event))
	{
		te_event_delete_row(source, trigger, event);
		return;
	}
	if (watch == NULL || !fulfils_schema(source, trigger, event, watch))
		return;

	max = watch->nrules;
	for (i = 0; i < watch->nindexes; i++)
		max += watch->indexes[i].nrules;
	max = Min(max, MAX_MATCHES);
	matches = palloc(sizeof(TeRule *) * Max(max, 1));
	n = te_journey_candidates(watch, event->properties, matches, max);
	for (i = 0; i < n; i++)
	{
		if (matches[i]->kind == TE_RULE_ENTER)
			te_event_trigger(matches[i], event);
		else if (matches[i]->kind == TE_RULE_RESUME)
			te_event_resume(matches[i], event);
		else if (te_journey_is_without(matches[i]->journey, matches[i]->matcher))
			te_event_break_absence(matches[i], event);
		else
			te_event_leave(matches[i], event);
	}
}

/*
 * Row trigger. Its WHEN clause has let through only rows that the engine needs.
 */
Datum
te_capture_event(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TeJourneySet *set;
	TeSource   *source;
	TeEvent		event;
	TeIdentity	saved;
	bool		outermost;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_capture_event must be called by an AFTER ROW trigger")));

	te_event_register_callbacks();
	outermost = te_event_begin_work();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	source = te_event_known_source(trigger);
	if (source == NULL)
	{
		te_run_as_begin(&saved, te_journey_set()->owner, TE_RUN_KEPT_PLANS);
		source = te_event_source(trigger);
		te_run_as_end(&saved);
	}

	/* a column's type may bring a cast to json along: it runs as who inserts, and before we look */
	te_event_read(source, trigger, &event);
	set = te_journey_set();
	te_run_as_begin(&saved, set->owner, TE_RUN_KEPT_PLANS);
	if (event.user_id != NULL && event.user_id[0] != '\0' && strlen(event.user_id) <= TE_MAX_ID_BYTES)
		process(source, trigger, &event, set);
	SPI_finish();
	te_run_as_end(&saved);
	if (outermost)
		te_event_end_work();
	PG_RETURN_POINTER(NULL);
}
