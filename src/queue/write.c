/*
 * write.c
 *		Due rows and history rows made from items.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "queue/queue.h"
#include "queue/record_internal.h"

/*
 * Puts user, journey and entry key into the first three columns of a row.
 */
void
te_queue_set_run(Datum *values, const TeItem *item)
{
	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = Int64GetDatum(item->journey_id);
	values[2] = CStringGetTextDatum(item->entry_key);
}

/*
 * Adds text or null to a row.
 */
void
te_queue_set_text(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL;
	values[i] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static const Oid due_types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, INT2OID, TIMESTAMPTZOID, INT8OID,
TIMESTAMPTZOID, INT4OID, INT2OID, INT2OID, INT2OID, INT8OID, TIMESTAMPTZOID, TEXTOID, JSONBOID, BOOLOID, INT2OID};

/*
 * An empty collection of due rows.
 */
void
te_queue_init_due(TeRows *rows)
{
	te_rows_init(rows, lengthof(due_types), due_types);
}

/*
 * Adds a due row made from an item.
 */
void
te_queue_add_due(TeRows *rows, const TeItem *item, const char *step, int lane, TimestampTz due, bool again,
		int holds, const char *note)
{
	Datum		values[lengthof(due_types)];
	bool		nulls[lengthof(due_types)] = {0};

	te_queue_set_run(values, item);
	values[3] = CStringGetTextDatum(step);
	values[4] = Int16GetDatum(lane);
	values[5] = TimestampTzGetDatum(due);
	values[6] = Int64GetDatum(item->event_id);
	values[7] = TimestampTzGetDatum(item->event_at);
	values[8] = Int32GetDatum(item->version);
	values[9] = Int16GetDatum(again ? item->attempt : 0);
	values[10] = Int16GetDatum(holds);
	values[11] = Int16GetDatum(again ? item->crashes : 0);
	values[12] = Int64GetDatum(item->send_id);
	nulls[12] = !again || item->send_id == 0;
	values[13] = TimestampTzGetDatum(item->first_due_at);
	nulls[13] = !again;
	te_queue_set_text(values, nulls, 14, note);
	nulls[15] = item->context == NULL;
	values[15] = item->context ? JsonbPGetDatum(item->context) : (Datum) 0;
	values[16] = BoolGetDatum(again && item->retried);
	values[17] = Int16GetDatum(item->arm);
	nulls[17] = !again || item->arm < 0;
	te_rows_add(rows, values, nulls);
}

/*
 * Inserts due rows and has their owner woken at commit.
 */
void
te_queue_insert_due(TeRows *rows)
{
	static SPIPlanPtr plan = NULL;
	int			i;

	if (rows->count == 0)
		return;
	te_rows_execute(rows, &plan,
					"INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, lane, due_at,"
					" event_id, event_at, version, attempt, holds, crashes, send_id, first_due_at, note, context,"
					" retried, arm)"
					" SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7),"
					" unnest($8), unnest($9), unnest($10), unnest($11), unnest($12), unnest($13), unnest($14),"
					" unnest($15), unnest($16), unnest($17),"
					" unnest($18)"
					" ON CONFLICT (user_id, journey_id, entry_key, step) DO NOTHING", 0, NULL, NULL);
	for (i = 0; i < rows->count; i++)
		te_wake_at_commit(DatumGetInt16(rows->values[4][i]), DatumGetTimestampTz(rows->values[5][i]));
}

static const Oid send_types[] = {INT8OID, TEXTOID, INT8OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
TIMESTAMPTZOID, INT2OID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID};

/*
 * An empty collection of history rows.
 */
void
te_queue_init_sends(TeRows *rows)
{
	te_rows_init(rows, lengthof(send_types), send_types);
}

/*
 * Adds the history row of an item that has come to its end.
 */
void
te_queue_add_send(TeRows *rows, const TeItem *item, TimestampTz now)
{
	Datum		values[lengthof(send_types)];
	bool		nulls[lengthof(send_types)] = {0};
	TimestampTz decided = item->batch && item->handed_over_at ? item->handed_over_at : now;

	values[0] = Int64GetDatum(item->send_id);
	values[1] = CStringGetTextDatum(item->user_id);
	values[2] = Int64GetDatum(item->journey_id);
	values[3] = Int32GetDatum(item->version);
	values[4] = CStringGetTextDatum(item->entry_key);
	values[5] = CStringGetTextDatum(item->step_id);
	values[6] = CStringGetTextDatum(item->channel ? item->channel : "");
	te_queue_set_text(values, nulls, 7, item->provider_name);
	values[8] = CStringGetTextDatum(item->state);
	te_queue_set_text(values, nulls, 9, te_gate_name(item->gate));
	te_queue_set_text(values, nulls, 10, item->reason);
	values[11] = TimestampTzGetDatum(item->first_due_at);
	values[12] = Int64GetDatum(item->event_id);
	values[13] = TimestampTzGetDatum(item->event_at);
	values[14] = TimestampTzGetDatum(decided);
	values[15] = TimestampTzGetDatum(item->handed_over_at);
	nulls[15] = item->handed_over_at == 0;
	values[16] = TimestampTzGetDatum(now);
	values[17] = Int16GetDatum(item->attempt);
	values[18] = Int32GetDatum(Min(item->took_us, PG_INT32_MAX));
	nulls[18] = item->handed_over_at == 0;
	values[19] = Int32GetDatum(item->status);
	nulls[19] = item->status == 0;
	te_queue_set_text(values, nulls, 20, item->provider_ref);
	te_queue_set_text(values, nulls, 21, item->response);
	/* the source's row may change: retry_sends() has the message rendered from what it said then */
	te_queue_set_text(values, nulls, 22, item->context && strcmp(item->state, "accepted") != 0
					  ? psprintf("{\"context\": %s}", te_json_to_cstring(item->context)) : NULL);
	values[23] = Int32GetDatum(item->template_version);
	nulls[23] = item->template_version == 0;
	te_queue_set_text(values, nulls, 24, item->template_version ? item->template_locale : NULL);
	te_rows_add(rows, values, nulls);
}

/*
 * Writes history rows.
 */
void
te_queue_insert_sends(TeRows *rows)
{
	static SPIPlanPtr plan = NULL;

	if (rows->count > 0)
		te_rows_execute(rows, &plan,
						"INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step,"
						" channel, provider, state, gate, reason, due_at, event_id, event_at, decided_at,"
						" handed_over_at, finished_at, attempts, took_us, status, provider_ref, response, detail,"
						" template_version, template_locale)"
						" SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7),"
						" unnest($8), unnest($9), unnest($10), unnest($11), unnest($12), unnest($13), unnest($14),"
						" unnest($15), unnest($16), unnest($17), unnest($18), unnest($19), unnest($20), unnest($21),"
						" unnest($22), unnest($23)::jsonb, unnest($24), unnest($25)", 0, NULL, NULL);
}
