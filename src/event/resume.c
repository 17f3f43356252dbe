/*
 * resume.c
 *		An event that a step waits for: the run goes on, in the event's transaction.
 *
 * SPI must be connected, as the extension's owner; may throw.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"
#include "worker/worker.h"

/*
 * Waits for a worker that is just moving the user's runs on: a run that it brings to the
 * step must not miss the event, which the worker does not see yet. What a worker has not
 * claimed it leaves alone until this transaction ends. Under REPEATABLE READ the run
 * finds the event at its timeout, as a look at what was moved meanwhile is an error.
 */
static void
lock_runs(const TeRule *rule, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, INT8OID};
	Datum		values[2];
	uint64		i;

	if (IsolationUsesXactSnapshot())
		return;
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(rule->journey->id);
	te_db_execute(&plan,
				  "SELECT lane, due_at FROM trigger_engine._due WHERE user_id = $1 AND journey_id = $2 FOR KEY SHARE",
				  2, types, values, NULL, false, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		/* one that was passed over meanwhile is looked at again */
		te_wake_at_commit(DatumGetInt16(SPI_getbinval(row, desc, 1, &isnull)),
						  DatumGetTimestampTz(SPI_getbinval(row, desc, 2, &isnull)));
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Has the user's runs that wait at the rule's step for this event go on. The due row
 * stands at the timeout, so its lock decides between an event and the worker, and between
 * two events the first wins. One that happened before the run reached the step, or after
 * the time was over, changes nothing; neither does one for whom a worker has just
 * claimed the row.
 */
void
te_event_resume(const TeRule *rule, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[8] = {TEXTOID, INT8OID, INT4ARRAYOID, TEXTOID, TIMESTAMPTZOID, INT2OID, BOOLOID, TIMESTAMPTZOID};
	Datum		values[8];
	const TeStep *step = te_journey_step(rule->journey, rule->step, NULL);
	uint64		i;

	te_event_flush_run(rule->journey->id, event->user_id);
	lock_runs(rule, event);
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(rule->journey->id);
	values[2] = rule->versions;
	values[3] = CStringGetTextDatum(rule->step);
	values[4] = TimestampTzGetDatum(te_clock_now());
	values[5] = Int16GetDatum(rule->arm);
	values[6] = BoolGetDatum(step->counts);
	values[7] = TimestampTzGetDatum(event->occurred_at);
	/* a row without first_due_at is, where earlier events count, due when the run reaches the step */
	te_db_execute(&plan,
				  "UPDATE trigger_engine._due SET arm = $6,"
				  " due_at = CASE WHEN $7 AND first_due_at IS NULL THEN greatest(due_at, $5) ELSE $5 END"
				  " WHERE user_id = $1 AND journey_id = $2 AND version = ANY ($3) AND step = $4 AND arm IS NULL"
				  " AND ($7 AND $8 >= event_at OR $8 >= coalesce(first_due_at, event_at))"
				  " AND ($7 AND first_due_at IS NULL OR due_at > $8)"
				  " RETURNING due_at", 8, types, values, NULL, false, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;

		te_wake_at_commit(0, DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)));
	}
	SPI_freetuptable(SPI_tuptable);
}
