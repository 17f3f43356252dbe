/*
 * decision.c
 *		Writing what was decided, set-wise.
 *
 * One transaction claims, decides and writes: runs that begin or end, the next
 * step, the identity of each send, messages that a gate stopped, in-app messages
 * (whose delivery this is), and the one batch row that stands for everything that
 * will now be handed over.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "queue/queue.h"
#include "queue/record_internal.h"

/*
 * One of our sequences.
 */
static Oid
sequence(char *name)
{
	return RangeVarGetRelid(makeRangeVar("trigger_engine", name, -1), NoLock, false);
}

/* ---- runs ---- */

/*
 * When the rung after this one is due: as its ladder says, or at once when this one has
 * nowhere to go to.
 */
static TimestampTz
next_rung_due(const TeItem *item, const TeStep *next, TimestampTz now)
{
	if (item->verdict == TE_WITHHOLD && (item->gate == TE_GATE_ENDPOINT || item->gate == TE_GATE_PROVIDER))
		return now;
	return item->first_due_at + (next->after - item->step->after);
}

/*
 * True when a run stays at its step, which has begun to await events.
 */
static bool
stays(const TeItem *item)
{
	return item->has_turn && item->turn == item->step_index;
}

/*
 * Where the run goes after an item: the next step and its time, or the end.
 */
static bool
next_step(const TeItem *item, TimestampTz now, int *step, TimestampTz *due)
{
	if (item->journey == NULL || item->step == NULL || item->verdict == TE_CANCEL ||
		item->gate == TE_GATE_JOURNEY_LIVE || item->step->kind == TE_STEP_EXIT)
		return false;
	if (stays(item))
	{
		*step = item->step_index;
		*due = item->step->endless ? DT_NOEND : te_clock_add(item->turn_at, &item->step->wait);
		return true;
	}
	*due = te_journey_skip_waits(item->journey, item->has_turn ? item->turn : item->step->next,
								 item->has_turn ? item->turn_at : now, step);
	if (*step == item->journey->nsteps)
		return false;
	if (!item->has_turn && item->fallback)
		*due = next_rung_due(item, &item->journey->steps[*step], now);
	return true;
}

/*
 * Why a run ends with an item other than by its last step; NULL when it does not.
 */
static const char *
exit_reason(const TeItem *item)
{
	if (item->verdict == TE_CANCEL || item->gate == TE_GATE_JOURNEY_LIVE)
		return item->reason;
	return item->step && item->step->kind == TE_STEP_EXIT ? item->step->reason : NULL;
}

/*
 * True when an item carries its run on: the step is decided for the first time.
 */
static bool
carries_run(const TeItem *item)
{
	return item->attempt == 0 && !item->retried;
}

/*
 * Records the runs that begin with this claim. Items that another run of the same
 * key got ahead of are discarded.
 */
static void
begin_runs(TeBatch *batch, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];
		Datum		values[lengthof(types)];
		bool		nulls[lengthof(types)] = {0};
		TimestampTz due;
		int			step;
		const char *reason = exit_reason(item);

		if (item->has_run || item->verdict == TE_HOLD)
			continue;
		te_queue_set_run(values, item);
		values[3] = Int32GetDatum(item->version);
		values[4] = TimestampTzGetDatum(item->event_at);
		values[5] = TimestampTzGetDatum(now);
		nulls[5] = reason != NULL || next_step(item, now, &step, &due);
		values[6] = TimestampTzGetDatum(now);
		nulls[6] = reason == NULL;
		te_queue_set_text(values, nulls, 7, reason);
		te_rows_add(&rows, values, nulls);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"INSERT INTO trigger_engine._enrollments (user_id, journey_id, entry_key, version,"
						" entered_at, completed_at, exited_at, exit_reason)"
						" SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7),"
						" unnest($8)"
						" ON CONFLICT (user_id, journey_id, entry_key) DO NOTHING", 0, NULL, NULL);
}

/*
 * Records the runs that end with this claim and began with an earlier one. One whose
 * last message is stopped with it at another attempt did not complete.
 */
static void
end_runs(TeBatch *batch, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, BOOLOID, BOOLOID};
	static SPIPlanPtr plan = NULL;
	Oid			extra_types[1] = {TIMESTAMPTZOID};
	Datum		extra[1] = {TimestampTzGetDatum(now)};
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];
		Datum		values[lengthof(types)];
		bool		nulls[lengthof(types)] = {0};
		TimestampTz due;
		int			step;

		if (!item->has_run || item->verdict == TE_HOLD || item->gate == TE_GATE_ENTRY ||
			next_step(item, now, &step, &due))
			continue;
		te_queue_set_run(values, item);
		te_queue_set_text(values, nulls, 3, exit_reason(item));
		values[4] = BoolGetDatum(item->verdict == TE_CANCEL || carries_run(item));
		values[5] = BoolGetDatum(item->verdict == TE_CANCEL || item->gate == TE_GATE_JOURNEY_LIVE);
		te_rows_add(&rows, values, nulls);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"UPDATE trigger_engine._enrollments r SET"
						" completed_at = CASE WHEN i.reason IS NULL THEN $7 END,"
						" exited_at = CASE WHEN i.reason IS NOT NULL THEN coalesce(r.exited_at, $7) END,"
						" exit_reason = coalesce(r.exit_reason, i.reason)"
						" FROM unnest($1, $2, $3, $4, $5, $6)"
						" AS i(user_id, journey_id, entry_key, reason, ends_active, ends_completed)"
						" WHERE r.user_id = i.user_id AND r.journey_id = i.journey_id AND r.entry_key = i.entry_key"
						" AND CASE WHEN r.completed_at IS NOT NULL THEN i.ends_completed"
						" ELSE r.exited_at IS NULL AND i.ends_active END",
						1, extra_types, extra);
}

/*
 * Puts held items back, and the next steps of the others into the queue.
 */
static void
queue_next(TeBatch *batch, TimestampTz now)
{
	TeRows		rows;
	int			i;

	te_queue_init_due(&rows);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];
		TimestampTz due;
		int			step;

		if (item->verdict == TE_HOLD)
		{
			te_queue_add_due(&rows, item, item->step_id, item->lane, item->hold_until, true,
					Min(item->holds + 1, PG_INT16_MAX),
					psprintf("%s: %s", te_gate_name(item->gate), item->reason));
			/* of a step that awaits events it would say since when */
			if (item->step && item->step->kind == TE_STEP_WAIT_FOR && !item->was_put_back)
				rows.nulls[13][rows.count - 1] = true;
		}
		else if (carries_run(item) && item->gate != TE_GATE_ENTRY && next_step(item, now, &step, &due))
		{
			TeStep	   *next = &item->journey->steps[step];

			te_queue_add_due(&rows, item, next->id,
					next->kind == TE_STEP_SEND ? te_journey_lane(next->provider, next->channel) : 0,
					due, false, 0, NULL);
			/* what it awaits counts from when it was reached, and its row stands at the timeout */
			if (next->kind == TE_STEP_WAIT_FOR && (!next->counts || stays(item)))
			{
				rows.values[13][rows.count - 1] = TimestampTzGetDatum(item->has_turn ? item->turn_at : now);
				rows.nulls[13][rows.count - 1] = false;
			}
		}
	}
	te_queue_insert_due(&rows);
}

/* ---- sends ---- */

/*
 * Gives every new send its identity. The unique constraint has the last word: an
 * item whose identity exists is discarded.
 */
static void
take_send_keys(TeBatch *batch)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID};
	static SPIPlanPtr plan = NULL;
	Oid			ids = sequence("_send_id_seq");
	TeItem	  **added = palloc(sizeof(TeItem *) * batch->count);
	TeRows		rows;
	uint64		n;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];
		Datum		values[lengthof(types)];

		if (!item->is_send || item->send_id != 0 || item->verdict == TE_DISCARD)
			continue;
		item->send_id = nextval_internal(ids, false);
		te_queue_set_run(values, item);
		values[3] = CStringGetTextDatum(item->step_id);
		values[4] = CStringGetTextDatum(item->channel);
		values[5] = Int64GetDatum(item->send_id);
		added[rows.count] = item;
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count == 0)
		return;
	te_rows_execute(&rows, &plan,
					"INSERT INTO trigger_engine._send_keys (user_id, journey_id, entry_key, step, channel, send_id)"
					" SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6)"
					" ON CONFLICT (user_id, journey_id, entry_key, step, channel, attempt_class) DO NOTHING"
					" RETURNING send_id", 0, NULL, NULL);
	n = SPI_processed;
	if (n < rows.count)
	{
		SPITupleTable *table = SPI_tuptable;
		uint64		k;
		bool		isnull;

		/* items that brought an identity along have it already */
		for (i = 0; i < rows.count; i++)
		{
			for (k = 0; k < n; k++)
				if (DatumGetInt64(SPI_getbinval(table->vals[k], table->tupdesc, 1, &isnull)) == added[i]->send_id)
					break;
			if (k == n)
			{
				added[i]->verdict = TE_DISCARD;
				added[i]->gate = TE_GATE_ENTRY;
			}
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Puts in-app messages into the inbox.
 */
static void
fill_inbox(TeBatch *batch, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];
		Datum		values[lengthof(types)];
		bool		nulls[lengthof(types)] = {0};

		if (item->verdict != TE_PASS || strcmp(item->channel, "in_app") != 0)
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = Int64GetDatum(item->send_id);
		values[2] = CStringGetTextDatum(item->journey_name);
		values[3] = JsonbPGetDatum(item->content);
		values[4] = TimestampTzGetDatum(now);
		nulls[5] = !item->journey->has_ttl;
		values[5] = item->journey->has_ttl
			? TimestampTzGetDatum(te_clock_add(now, &item->journey->ttl)) : (Datum) 0;
		te_rows_add(&rows, values, nulls);
		item->state = "accepted";
		item->attempt = 1;
		item->handed_over_at = now;
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"INSERT INTO trigger_engine.inbox (user_id, send_id, journey, title, body, image, url, data,"
						" created_at, expires_at)"
						" SELECT i.user_id, i.send_id, i.journey, i.content ->> 'title', i.content ->> 'body',"
						" i.content ->> 'image', i.content ->> 'url', coalesce(i.content -> 'data', '{}'),"
						" i.created_at, i.expires_at"
						" FROM unnest($1, $2, $3, $4, $5, $6)"
						" AS i(user_id, send_id, journey, content, created_at, expires_at)", 0, NULL, NULL);
}

/*
 * Writes the batch row: what is about to be handed over, with its attempt counted.
 */
static void
insert_batch(TeBatch *batch, int shard, TimestampTz now)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT4OID,
	TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT2OID, INT2OID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	Oid			extra_types[4] = {INT8OID, INT2OID, INT4OID, TIMESTAMPTZOID};
	Datum		extra[4];
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];
		Datum		values[lengthof(types)];
		bool		nulls[lengthof(types)] = {0};

		if (item->verdict != TE_PASS || item->state != NULL)
			continue;
		item->attempt++;
		te_queue_set_run(values, item);
		values[3] = CStringGetTextDatum(item->step_id);
		values[4] = CStringGetTextDatum(item->channel);
		values[5] = Int64GetDatum(item->send_id);
		values[6] = Int32GetDatum(item->version);
		values[7] = TimestampTzGetDatum(item->first_due_at);
		values[8] = Int64GetDatum(item->event_id);
		values[9] = TimestampTzGetDatum(item->event_at);
		values[10] = Int16GetDatum(item->attempt);
		values[11] = Int16GetDatum(item->crashes);
		te_queue_set_text(values, nulls, 12, item->context ? te_json_to_cstring(item->context) : NULL);
		te_rows_add(&rows, values, nulls);
	}
	batch->unsettled = rows.count;
	if (rows.count == 0)
		return;
	batch->id = nextval_internal(sequence("_batch_id_seq"), false);
	extra[0] = Int64GetDatum(batch->id);
	extra[1] = Int16GetDatum(shard);
	extra[2] = Int32GetDatum(MyProcPid);
	extra[3] = TimestampTzGetDatum(now);
	te_rows_execute(&rows, &plan,
					"INSERT INTO trigger_engine._batches (batch_id, shard, worker_pid, claimed_at, user_ids,"
					" journey_ids, entry_keys, steps, channels, send_ids, versions, due_ats, event_ids,"
					" event_ats, attempts, crashes, contexts)"
					" VALUES ($14, $15, $16, $17, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
					lengthof(extra), extra_types, extra);
}

/*
 * Writes everything that the decisions of a claim call for. Afterwards the items
 * with verdict TE_PASS and no state are to be handed over.
 */
void
te_queue_record_decisions(TeBatch *batch, int shard, TimestampTz now)
{
	TeRows		stopped;
	int			i;

	te_queue_init_sends(&stopped);
	take_send_keys(batch);
	te_links_apply(batch->items, batch->count, now);
	te_compose_requests(batch->items, batch->count, now);
	te_steps_apply(batch->items, batch->count, now);
	begin_runs(batch, now);
	end_runs(batch, now);
	queue_next(batch, now);
	fill_inbox(batch, now);
	for (i = 0; i < batch->count; i++)
	{
		TeItem	   *item = batch->items[i];

		if (item->verdict == TE_WITHHOLD)
			item->state = "withheld";
		else if (item->verdict == TE_CANCEL)
			item->state = "cancelled";
		else if (item->verdict == TE_EXPIRE)
			item->state = "expired";
		/* without its journey nobody can tell that it was to be a message: better one record too many */
		if (item->state && item->step == NULL && item->send_id == 0)
			item->send_id = nextval_internal(sequence("_send_id_seq"), false);
		if (item->state && (item->is_send || item->step == NULL))
			te_queue_add_send(&stopped, item, now);
	}
	te_queue_insert_sends(&stopped);
	te_slots_write(batch->items, batch->count);
	te_offers_release(batch->items, batch->count);
	insert_batch(batch, shard, now);
}
