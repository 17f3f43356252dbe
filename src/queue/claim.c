/*
 * claim.c
 *		Taking due rows out of the queue, in order, by the one owner of a shard.
 *
 * The owner keeps a cursor for each lane, so rows it has deleted are not looked at
 * again while an old snapshot keeps them alive. Rows that commit late with an
 * earlier time lower a hint in shared memory, to which the cursor returns. Rows
 * that a session is about to cancel are locked by it and passed over.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "queue/queue.h"

/* The shard of a user, stable over restarts and versions. */
#define SHARD_OF_USER "(pg_catalog.hashtextextended(q.user_id, 0) & 1023) % $7"

/*
 * An empty batch in a context of its own. Does not touch the database.
 */
TeBatch *
te_queue_batch(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "trigger_engine batch",
												  ALLOCSET_DEFAULT_SIZES);
	TeBatch    *batch = MemoryContextAllocZero(context, sizeof(TeBatch));

	batch->context = context;
	return batch;
}

/*
 * A column as text in the current context; NULL for null.
 */
static char *
text_column(HeapTuple row, TupleDesc desc, int number)
{
	return SPI_getvalue(row, desc, number);
}

/*
 * A bigint column; 0 for null.
 */
static int64
int_column(HeapTuple row, TupleDesc desc, int number)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, number, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * Reads one deleted due row into a new item of the batch.
 */
static TeItem *
add_item(TeBatch *batch, HeapTuple row, TupleDesc desc)
{
	TeItem	   *item = palloc0(sizeof(TeItem));
	bool		isnull;
	Datum		context;

	item->batch = batch;
	item->user_id = text_column(row, desc, 1);
	item->journey_id = int_column(row, desc, 2);
	item->entry_key = text_column(row, desc, 3);
	item->step_id = text_column(row, desc, 4);
	item->due_at = int_column(row, desc, 5);
	item->event_id = int_column(row, desc, 6);
	item->event_at = int_column(row, desc, 7);
	item->version = int_column(row, desc, 8);
	item->attempt = int_column(row, desc, 9);
	item->holds = int_column(row, desc, 10);
	item->crashes = int_column(row, desc, 11);
	item->send_id = int_column(row, desc, 12);
	item->first_due_at = int_column(row, desc, 13);
	context = SPI_getbinval(row, desc, 14, &isnull);
	item->context = isnull ? NULL : DatumGetJsonbPCopy(context);
	item->retried = DatumGetBool(SPI_getbinval(row, desc, 15, &isnull));
	item->arm = DatumGetInt64(SPI_getbinval(row, desc, 16, &isnull));
	if (isnull)
		item->arm = -1;
	item->was_put_back = DatumGetBool(SPI_getbinval(row, desc, 17, &isnull));

	if (batch->count == batch->size)
	{
		batch->size = Max(batch->size * 2, 64);
		batch->items = batch->items
			? repalloc(batch->items, sizeof(TeItem *) * batch->size)
			: palloc(sizeof(TeItem *) * batch->size);
	}
	batch->items[batch->count++] = item;
	return item;
}

/*
 * Deletes at most limit due rows of a lane into the batch, from the cursor on,
 * and moves the cursor. Returns how many. Current context must be the batch's.
 */
int
te_queue_claim(TeBatch *batch, int lane, int shard, int nshards, TeCursor *cursor,
			   TimestampTz now, int limit)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[7] = {INT2OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT4OID, INT4OID};
	Datum		values[7];
	SPITupleTable *table;
	uint64		i,
				n;

	values[0] = Int16GetDatum(lane);
	values[1] = TimestampTzGetDatum(now);
	values[2] = TimestampTzGetDatum(cursor->due_at);
	values[3] = Int64GetDatum(cursor->event_id);
	values[4] = Int64GetDatum(limit);
	values[5] = Int32GetDatum(shard);
	values[6] = Int32GetDatum(nshards);
	te_db_execute(&plan,
				  "DELETE FROM trigger_engine._due d WHERE d.ctid = ANY (ARRAY("
				  "SELECT q.ctid FROM trigger_engine._due q WHERE q.lane = $1 AND q.due_at <= $2"
				  " AND (q.due_at, q.event_id) >= ($3, $4) AND ($7 = 1 OR " SHARD_OF_USER " = $6)"
				  " ORDER BY q.lane, q.due_at, q.event_id LIMIT $5 FOR UPDATE SKIP LOCKED))"
				  " RETURNING d.user_id, d.journey_id, d.entry_key, d.step, d.due_at, d.event_id, d.event_at,"
				  " d.version::bigint, d.attempt::bigint, d.holds::bigint, d.crashes::bigint, d.send_id,"
				  " coalesce(d.first_due_at, d.due_at), d.context, d.retried, d.arm::bigint,"
				  " d.first_due_at IS NOT NULL",
				  7, types, values, NULL, false, 0);
	table = SPI_tuptable;
	n = SPI_processed;
	for (i = 0; i < n; i++)
	{
		TeItem	   *item = add_item(batch, table->vals[i], table->tupdesc);

		item->lane = lane;
		if (item->due_at > cursor->due_at ||
			(item->due_at == cursor->due_at && item->event_id > cursor->event_id))
		{
			cursor->due_at = item->due_at;
			cursor->event_id = item->event_id;
		}
	}
	SPI_freetuptable(table);
	if (n == limit)
		cursor->next_due = cursor->due_at;
	else
	{
		/* all that was there up to now has been taken */
		if (now > cursor->due_at)
		{
			cursor->due_at = now;
			cursor->event_id = PG_INT64_MIN;
		}
		cursor->next_due = te_queue_next_due(lane, cursor->due_at);
	}
	return n;
}

/*
 * Time of the lane's first row after an instant; DT_NOEND when there is none.
 */
TimestampTz
te_queue_next_due(int lane, TimestampTz after)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {INT2OID, TIMESTAMPTZOID};
	Datum		values[2] = {Int16GetDatum(lane), TimestampTzGetDatum(after)};
	bool		isnull;

	te_db_execute(&plan,
				  "SELECT due_at FROM trigger_engine._due WHERE lane = $1 AND due_at > $2"
				  " ORDER BY lane, due_at LIMIT 1", 2, types, values, NULL, true, 1);
	if (SPI_processed == 0)
		return DT_NOEND;
	return DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Looks at the head of every lane and puts the cursors there: at start, and from
 * time to time, as prepared transactions and crashed sessions leave no hint.
 */
void
te_queue_survey(TeCursor *cursors)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table;
	uint64		i;

	te_db_execute(&plan,
				  "WITH RECURSIVE head AS ("
				  "(SELECT lane, due_at FROM trigger_engine._due ORDER BY lane, due_at LIMIT 1)"
				  " UNION ALL SELECT n.lane, n.due_at FROM head h CROSS JOIN LATERAL"
				  " (SELECT d.lane, d.due_at FROM trigger_engine._due d WHERE d.lane > h.lane"
				  " ORDER BY d.lane, d.due_at LIMIT 1) n)"
				  " SELECT lane::bigint, due_at FROM head", 0, NULL, NULL, NULL, true, 0);
	table = SPI_tuptable;
	for (i = 0; i < TE_LANES; i++)
		cursors[i].next_due = DT_NOEND;
	for (i = 0; i < SPI_processed; i++)
	{
		int64		lane = int_column(table->vals[i], table->tupdesc, 1);

		if (lane < 0 || lane >= TE_LANES)
			continue;
		cursors[lane].next_due = int_column(table->vals[i], table->tupdesc, 2);
		cursors[lane].due_at = cursors[lane].next_due;
		cursors[lane].event_id = PG_INT64_MIN;
	}
	SPI_freetuptable(table);
}
