/*
 * sequence.c
 *		Whether an event completes a sequence.
 *
 * Only the last event of a sequence asks, by an index probe of its user's events in the
 * time that the sequence may take. They are matched from the last to the first, each with
 * the latest that fits, so that the whole takes as little time as it can. Rows of tracked
 * tables can be the last event of a sequence, not one before it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"

/* More events of one user in the time of a sequence are not looked through. */
#define MOST_EVENTS 1000

/*
 * The names of the events before the last, as an array.
 */
static Datum
part_names(const TeJourney *journey)
{
	Datum	   *names = palloc(sizeof(Datum) * journey->nparts);
	int			i;

	for (i = 0; i < journey->nparts; i++)
		names[i] = CStringGetTextDatum(journey->parts[i].event);
	return PointerGetDatum(construct_array(names, journey->nparts, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * True when the events before the last one have happened, in their order and in time.
 */
bool
te_event_completes(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[6] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID, INT8OID, INT4OID};
	Datum		values[6];
	SPITupleTable *table;
	int			wanted = journey->nparts - 1;
	uint64		i,
				n;

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = TimestampTzGetDatum(event->occurred_at);
	values[2] = TimestampTzGetDatum(te_journey_before(event->occurred_at, &journey->within));
	values[3] = part_names(journey);
	/* the event itself is not one of those before it */
	values[4] = Int64GetDatum(event->tracked ? PG_INT64_MAX : event->event_id);
	values[5] = Int32GetDatum(MOST_EVENTS);
	te_db_execute(&plan,
				  "SELECT name, properties FROM trigger_engine.events WHERE user_id = $1"
				  " AND occurred_at >= $3 AND (occurred_at, event_id) < ($2, $5) AND name = ANY ($4)"
				  " ORDER BY occurred_at DESC, event_id DESC LIMIT $6", 6, types, values, NULL, false, 0);
	table = SPI_tuptable;
	n = SPI_processed;
	for (i = 0; i < n && wanted >= 0; i++)
	{
		bool		isnull;
		const TeMatcher *part = &journey->parts[wanted];

		if (strcmp(part->event, SPI_getvalue(table->vals[i], table->tupdesc, 1)) == 0 &&
			te_journey_matches(part, DatumGetJsonbP(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull))))
			wanted--;
	}
	SPI_freetuptable(table);
	return wanted < 0;
}
