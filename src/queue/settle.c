/*
 * settle.c
 *		The second look before hand-over, and the record of outcomes, set-wise.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "queue/queue.h"
#include "queue/record_internal.h"

/*
 * Looks again at exits and consents of items that are about to be handed over, and
 * at their time to live; those that may not go become cancelled or withheld. An exit
 * has marked its run, or is found as an event that the claim could not see.
 */
void
te_queue_recheck(TeItem **items, int count, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	uint64		k;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		Datum		values[lengthof(types)];

		te_queue_set_run(values, items[i]);
		te_rows_add(&rows, values, NULL);
	}
	te_rows_execute(&rows, &plan,
					"SELECT i.ord, r.exit_reason FROM unnest($1, $2, $3) WITH ORDINALITY"
					" AS i(user_id, journey_id, entry_key, ord)"
					" JOIN trigger_engine._enrollments r ON r.user_id = i.user_id"
					" AND r.journey_id = i.journey_id AND r.entry_key = i.entry_key"
					" AND r.exited_at IS NOT NULL", 0, NULL, NULL);
	for (k = 0; k < SPI_processed; k++)
	{
		bool		isnull;
		TeItem	   *item = items[DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[k], SPI_tuptable->tupdesc,
															 1, &isnull)) - 1];

		item->state = "cancelled";
		item->gate = TE_GATE_EXIT;
		item->reason = SPI_getvalue(SPI_tuptable->vals[k], SPI_tuptable->tupdesc, 2);
	}
	SPI_freetuptable(SPI_tuptable);

	te_journey_refresh();
	for (i = 0; i < count; i++)
	{
		items[i]->exited = items[i]->state != NULL;
		items[i]->journey = te_journey_version(items[i]->journey_id, items[i]->version);
	}
	te_facts_load_exits(items, count);
	te_facts_load_consents(items, count);
	te_facts_load_suppressions(items, count);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];

		item->journey = NULL;	/* kept for this transaction only */
		if (item->exited && item->state == NULL)
		{
			item->state = "cancelled";
			item->gate = TE_GATE_EXIT;
			item->reason = item->exit_reason;
		}
		if (item->state == NULL && te_suppression_reason(item))
		{
			item->state = "withheld";
			item->gate = TE_GATE_CONSENT;
			item->reason = te_suppression_reason(item);
		}
		else if (item->state == NULL && now > item->expires_at)
		{
			item->state = "expired";
			item->gate = TE_GATE_EXPIRY;
			item->reason = te_gate_expiry_reason(item);
		}
		if (item->state != NULL)
			item->attempt--;	/* it was counted before, for the case of a crash */
	}
}

/*
 * Records attempts that did not finish their send.
 */
static void
insert_attempts(TeItem **items, int count, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, INT2OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
	INT4OID, INT4OID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[lengthof(types)];
		bool		nulls[lengthof(types)] = {0};

		if (item->state != NULL)
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = Int64GetDatum(item->send_id);
		values[2] = Int16GetDatum(item->attempt);
		values[3] = TimestampTzGetDatum(item->handed_over_at);
		te_queue_set_text(values, nulls, 4, item->provider_name);
		values[5] = CStringGetTextDatum(te_outcome_name(item->outcome));
		te_queue_set_text(values, nulls, 6, item->reason);
		values[7] = Int32GetDatum(item->status);
		nulls[7] = item->status == 0;
		values[8] = Int32GetDatum(Min(item->took_us, PG_INT32_MAX));
		te_queue_set_text(values, nulls, 9, item->response);
		te_rows_add(&rows, values, nulls);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"INSERT INTO trigger_engine._attempts (user_id, send_id, attempt, at, provider, outcome,"
						" reason, status, took_us, response)"
						" SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7),"
						" unnest($8), unnest($9), unnest($10)", 0, NULL, NULL);
}

/*
 * A run whose message was cancelled at the second look was exited, and did not
 * complete.
 */
static void
mark_exited(TeItem **items, int count, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	Oid			extra_types[1] = {TIMESTAMPTZOID};
	Datum		extra[1] = {TimestampTzGetDatum(now)};
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		Datum		values[lengthof(types)];

		if (items[i]->gate != TE_GATE_EXIT)
			continue;
		te_queue_set_run(values, items[i]);
		values[3] = CStringGetTextDatum(items[i]->reason ? items[i]->reason : "");
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"UPDATE trigger_engine._enrollments r SET completed_at = NULL,"
						" exited_at = coalesce(r.exited_at, $5),"
						" exit_reason = CASE WHEN r.exited_at IS NULL THEN i.reason ELSE r.exit_reason END"
						" FROM unnest($1, $2, $3, $4) AS i(user_id, journey_id, entry_key, reason)"
						" WHERE r.user_id = i.user_id AND r.journey_id = i.journey_id AND r.entry_key = i.entry_key",
						lengthof(extra), extra_types, extra);
}

/*
 * Has the rung that follows a message which did not arrive take over at once. One that a
 * session is cancelling is left to it.
 */
static void
hurry_fallbacks(TeItem **items, int count, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[5] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[5];
	int			i;

	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		bool		isnull;

		if (item->fallback == NULL || item->state == NULL || strcmp(item->state, "rejected") != 0)
			continue;
		te_queue_set_run(values, item);
		values[3] = CStringGetTextDatum(item->fallback);
		values[4] = TimestampTzGetDatum(now);
		te_db_execute(&plan,
					  "UPDATE trigger_engine._due SET due_at = $5 WHERE ctid = ANY (ARRAY(SELECT q.ctid FROM trigger_engine._due q"
					  " WHERE q.user_id = $1 AND q.journey_id = $2 AND q.entry_key = $3 AND q.step = $4 AND q.due_at > $5"
					  " AND q.attempt = 0 AND q.first_due_at IS NULL FOR UPDATE SKIP LOCKED)) RETURNING lane::bigint",
					  5, types, values, NULL, false, 0);
		if (SPI_processed > 0)
			te_wake_at_commit(DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)), now);
		SPI_freetuptable(SPI_tuptable);
	}
}

/*
 * Disables what a provider declared gone: the user's own address on that channel, or
 * else the provider. A session that is changing the address is not waited for: what it
 * leaves there is tried with the next message.
 */
static void
disable_dead(TeItem **items, int count, TimestampTz now)
{
	static SPIPlanPtr endpoint_plan = NULL;
	static SPIPlanPtr provider_plan = NULL;
	Oid			types[6] = {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID};
	Datum		values[6];
	int			i;

	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];

		if (item->handed_over_at == 0 || item->outcome != TE_OUTCOME_TARGET_DEAD)
			continue;
		values[0] = CStringGetTextDatum(item->address ? item->user_id : item->provider_name);
		values[1] = CStringGetTextDatum(item->address ? item->address : "");
		values[2] = CStringGetTextDatum(item->reason ? item->reason : "gone");
		values[3] = TimestampTzGetDatum(now);
		/* one that was registered anew since is alive again */
		values[4] = TimestampTzGetDatum(item->dead_since ? item->dead_since : DT_NOEND);
		values[5] = CStringGetTextDatum(item->channel);
		if (item->address)
			te_db_execute(&endpoint_plan,
						  "UPDATE trigger_engine.endpoints SET state = 'disabled', state_reason = $3, updated_at = $4"
						  " WHERE (user_id, endpoint_id) IN (SELECT e.user_id, e.endpoint_id FROM trigger_engine.endpoints e"
						  " WHERE e.user_id = $1 AND e.address = $2 AND e.state = 'active' AND e.updated_at <= $5"
						  " AND e.channel = $6 FOR UPDATE SKIP LOCKED)",
						  6, types, values, NULL, false, 0);
		else
			te_db_execute(&provider_plan,
						  "UPDATE trigger_engine._providers SET state = 'disabled', state_reason = $3, updated_at = $4"
						  " WHERE name = $1 AND state = 'active' AND $2 = ''", 4, types, values, NULL, false, 0);
	}
}

/*
 * Closes batches all of whose items are recorded with this call.
 */
static void
close_batches(TeItem **items, int count)
{
	static const Oid types[] = {INT8OID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
		items[i]->batch->settling = 0;
	for (i = 0; i < count; i++)
	{
		TeBatch    *batch = items[i]->batch;
		Datum		value = Int64GetDatum(batch->id);

		if (++batch->settling == batch->unsettled)
			te_rows_add(&rows, &value, NULL);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan, "DELETE FROM trigger_engine._batches WHERE batch_id = ANY ($1)",
						0, NULL, NULL);
}

/*
 * Records settled items: finished sends into history, the others back into the
 * queue, and closes batches that are done. The caller frees those afterwards.
 */
void
te_queue_record_outcomes(TeItem **items, int count, TimestampTz now)
{
	TeRows		sends;
	TeRows		again;
	int			i;

	te_queue_init_sends(&sends);
	te_queue_init_due(&again);
	for (i = 0; i < count; i++)
	{
		if (items[i]->state)
			te_queue_add_send(&sends, items[i], items[i]->finished_at ? items[i]->finished_at : now);
		else
			te_queue_add_due(&again, items[i], items[i]->step_id, items[i]->lane, items[i]->hold_until, true,
					items[i]->holds, psprintf("attempt %d: %s", items[i]->attempt,
											  items[i]->reason ? items[i]->reason : te_outcome_name(items[i]->outcome)));
	}
	te_queue_insert_sends(&sends);
	insert_attempts(items, count, now);
	te_queue_insert_due(&again);
	mark_exited(items, count, now);
	te_slots_settle(items, count);
	te_offers_release(items, count);
	disable_dead(items, count, now);
	hurry_fallbacks(items, count, now);
	close_batches(items, count);
}
