/*
 * recover.c
 *		After a crash: what open batches held is unknown, visible, and repeated by
 *		itself only where the receiver honours our key or the send must arrive.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "queue/queue.h"

/*
 * Settles every item of the open batches of a shard (and of shards that are no
 * more) that has no record yet, and closes them. Returns how many items there
 * were. Statements of one transaction: a crash in it repeats all of it.
 */
int
te_queue_recover(int shard, int nshards, TimestampTz now)
{
	Oid			types[3] = {INT4OID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3] = {Int32GetDatum(shard), Int32GetDatum(nshards), TimestampTzGetDatum(now)};
	int			code;

	code = SPI_execute_with_args("SELECT trigger_engine._recover_batches($1, $2, $3)",
								 3, types, values, NULL, false, 1);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "recovery of batches failed: %s", SPI_result_code_string(code));
	if (SPI_processed == 1)
	{
		bool		isnull;

		return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
	return 0;
}

/*
 * Notes in the open batches of this process that it leaves in order. What it does
 * not get to record is unknown all the same, but recovery, which counts a crash
 * for each item, must not take it for poison.
 */
void
te_queue_leave(int shard)
{
	Oid			types[2] = {INT4OID, INT4OID};
	Datum		values[2] = {Int32GetDatum(shard), Int32GetDatum(MyProcPid)};
	int			code;

	code = SPI_execute_with_args("UPDATE trigger_engine._batches b SET crashes = ARRAY(SELECT (c.n - 1)::int2"
								 " FROM pg_catalog.unnest(b.crashes) WITH ORDINALITY AS c(n, ord) ORDER BY c.ord)"
								 " WHERE b.shard = $1 AND b.worker_pid = $2", 2, types, values, NULL, false, 0);
	if (code != SPI_OK_UPDATE)
		elog(ERROR, "open batches could not be marked: %s", SPI_result_code_string(code));
}

/*
 * Takes a row that cannot be processed out of the queue: the error is recorded as
 * the send's reason, under the identity that it would have had, and the run ends
 * unless another of its steps waits. The item is the only one of its transaction.
 */
void
te_queue_quarantine(TeItem *item, const char *message, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[6] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[6];

	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = Int64GetDatum(item->journey_id);
	values[2] = CStringGetTextDatum(item->entry_key);
	values[3] = CStringGetTextDatum(item->step_id);
	values[4] = CStringGetTextDatum(psprintf("quarantined: %s", message));
	values[5] = TimestampTzGetDatum(now);
	te_db_execute(&plan,
				  "WITH gone AS (DELETE FROM trigger_engine._due WHERE user_id = $1 AND journey_id = $2"
				  " AND entry_key = $3 AND step = $4 RETURNING *),"
				  " item AS (SELECT g.*, s.channel, coalesce(g.send_id, pg_catalog.nextval('trigger_engine._send_id_seq')) AS id"
				  " FROM gone g LEFT JOIN LATERAL (SELECT s.step ->> 'channel' AS channel"
				  " FROM trigger_engine._journey_versions v CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)"
				  " WHERE v.journey_id = g.journey_id AND v.version = g.version AND s.step ->> 'id' = g.step LIMIT 1) s ON true),"
				  " key AS (INSERT INTO trigger_engine._send_keys (user_id, journey_id, entry_key, step, channel, send_id)"
				  " SELECT user_id, journey_id, entry_key, step, channel, id FROM item WHERE channel IS NOT NULL"
				  " ON CONFLICT (user_id, journey_id, entry_key, step, channel, attempt_class) DO NOTHING),"
				  " run AS (INSERT INTO trigger_engine._enrollments AS r (user_id, journey_id, entry_key, version,"
				  " entered_at, exited_at, exit_reason)"
				  " SELECT user_id, journey_id, entry_key, version, event_at, $6, $5 FROM item i"
				  " WHERE NOT EXISTS (SELECT FROM trigger_engine._due d WHERE d.user_id = i.user_id"
				  " AND d.journey_id = i.journey_id AND d.entry_key = i.entry_key AND d.step <> i.step)"
				  " ON CONFLICT (user_id, journey_id, entry_key) DO UPDATE SET completed_at = NULL,"
				  " exited_at = excluded.exited_at, exit_reason = excluded.exit_reason WHERE r.exited_at IS NULL)"
				  " INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step,"
				  " channel, state, gate, reason, due_at, event_id, event_at, decided_at, finished_at, attempts, detail)"
				  " SELECT id, user_id, journey_id, version, entry_key, step, coalesce(channel, ''), 'withheld', 'render', $5,"
				  " coalesce(first_due_at, due_at), event_id, event_at, $6, $6, attempt,"
				  " CASE WHEN context IS NOT NULL THEN pg_catalog.jsonb_build_object('context', context) END FROM item",
				  6, types, values, NULL, false, 0);
}
