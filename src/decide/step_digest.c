/*
 * step_digest.c
 *		Closing the window of a digest, and the events that its messages are about.
 *
 * Needs a transaction with SPI connected; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"

/*
 * User, journey and entry key of an item as parameters.
 */
static void
set_run(Datum *values, const TeItem *item)
{
	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = Int64GetDatum(item->journey_id);
	values[2] = CStringGetTextDatum(item->entry_key);
}

static const Oid run_types[3] = {TEXTOID, INT8OID, TEXTOID};

/*
 * Locks the window of an item's run until the transaction ends. False while an event is
 * being added by a transaction that has not ended: it is not waited for, as it may wait
 * for another run of this claim.
 */
bool
te_step_lock_digest(const TeItem *item)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr lock_plan = NULL;
	Datum		values[3];
	bool		exists;

	set_run(values, item);
	te_db_execute(&lock_plan, "SELECT FROM trigger_engine._digests WHERE user_id = $1 AND journey_id = $2"
				  " AND entry_key = $3 FOR UPDATE SKIP LOCKED", 3, run_types, values, NULL, false, 0);
	SPI_freetuptable(SPI_tuptable);
	if (SPI_processed > 0)
		return true;
	te_db_execute(&plan, "SELECT FROM trigger_engine._digests WHERE user_id = $1 AND journey_id = $2"
				  " AND entry_key = $3", 3, run_types, values, NULL, false, 0);
	exists = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return !exists;
}

/*
 * Closes it: the next event of its key opens another.
 */
void
te_step_close_digest(const TeItem *item)
{
	static SPIPlanPtr plan = NULL;
	Datum		values[3];

	set_run(values, item);
	te_db_execute(&plan, "DELETE FROM trigger_engine._digests WHERE user_id = $1 AND journey_id = $2"
				  " AND entry_key = $3", 3, run_types, values, NULL, false, 0);
}

/*
 * Loads the collected events of messages that have some: all of them are counted, and
 * the first are at hand.
 */
void
te_step_load_digests(TeItem **items, int count)
{
	static SPIPlanPtr plan = NULL;
	int			i;

	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[3];
		Datum		events;
		bool		isnull;

		item->events = NULL;
		if (!item->is_send || item->verdict != TE_PASS || item->journey->steps[0].kind != TE_STEP_DIGEST)
			continue;
		set_run(values, item);
		te_db_execute(&plan,
					  "SELECT pg_catalog.jsonb_agg(x.properties ORDER BY x.event_at, x.event_id), pg_catalog.max(x.n) FROM ("
					  "SELECT d.event_at, d.event_id, coalesce(d.context, e.properties) AS properties,"
					  " pg_catalog.count(*) OVER () AS n FROM trigger_engine._digest_events d"
					  " LEFT JOIN LATERAL (SELECT v.properties FROM trigger_engine.events v WHERE v.user_id = d.user_id"
					  " AND v.occurred_at = d.event_at AND v.event_id = d.event_id LIMIT 1) e ON true"
					  " WHERE d.user_id = $1 AND d.journey_id = $2 AND d.entry_key = $3"
					  " ORDER BY d.event_at, d.event_id LIMIT 100) x", 3, run_types, values, NULL, false, 0);
		events = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		item->events = isnull ? NULL : DatumGetJsonbPCopy(events);
		events = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
		item->event_count = isnull ? 0 : DatumGetInt64(events);
		SPI_freetuptable(SPI_tuptable);
	}
}
