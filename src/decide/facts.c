/*
 * facts.c
 *		What the gates need to know about the users of a claim, read set-wise.
 *
 * Every statement takes the whole claim as arrays and returns only what there is,
 * so that its cost follows the facts. Results go into the items, in the current
 * memory context. Needs a transaction with SPI connected; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"
#include "guc.h"
#include "time/time.h"

#define TEXT_OR_NULL(row, desc, n) SPI_getvalue(row, desc, n)

/*
 * A jsonb column, copied; NULL when null.
 */
static Jsonb *
jsonb_column(HeapTuple row, TupleDesc desc, int number)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, number, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * An integer column; 0 when null.
 */
static int64
int8_column(HeapTuple row, TupleDesc desc, int number)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, number, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * The earliest and the latest of the items' events, as parameters of a statement. With
 * them it skips the partitions of other times before it opens any of their indexes.
 */
static void
span_of_events(TeItem **items, int count, Datum *span)
{
	TimestampTz first = DT_NOEND;
	TimestampTz last = DT_NOBEGIN;
	int			i;

	for (i = 0; i < count; i++)
	{
		first = Min(first, items[i]->event_at);
		last = Max(last, items[i]->event_at);
	}
	span[0] = TimestampTzGetDatum(first);
	span[1] = TimestampTzGetDatum(last);
}

static const Oid span_types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};

/*
 * User, event and run of every item. Returns how many events were not found.
 */
static int
load_facts(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	Datum		span[2];
	uint64		i;
	SPITupleTable *table;
	int			missing = 0;

	span_of_events(items, count, span);
	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		Datum		values[lengthof(types)];

		values[0] = CStringGetTextDatum(items[i]->user_id);
		values[1] = Int64GetDatum(items[i]->journey_id);
		values[2] = CStringGetTextDatum(items[i]->entry_key);
		values[3] = Int64GetDatum(items[i]->event_id);
		values[4] = TimestampTzGetDatum(items[i]->event_at);
		te_rows_add(&rows, values, NULL);
	}
	te_rows_execute(&rows, &plan,
					"SELECT i.ord, u.attributes, u.locale, u.zone, u.country, u.tenant,"
					" e.name, e.properties, e.context, r.user_id IS NOT NULL, r.exited_at IS NOT NULL, r.exit_reason"
					" FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY"
					" AS i(user_id, journey_id, entry_key, event_id, event_at, ord)"
					" LEFT JOIN trigger_engine.users u ON u.user_id = i.user_id"
					" LEFT JOIN LATERAL (SELECT v.name, v.properties, v.context FROM trigger_engine.events v"
					" WHERE v.user_id = i.user_id AND v.occurred_at = i.event_at AND v.event_id = i.event_id"
					" AND v.occurred_at >= $6 AND v.occurred_at <= $7 LIMIT 1) e ON i.event_id <> 0"
					" LEFT JOIN trigger_engine._enrollments r ON r.user_id = i.user_id"
					" AND r.journey_id = i.journey_id AND r.entry_key = i.entry_key", 2, span_types, span);
	table = SPI_tuptable;
	for (i = 0; i < table->numvals; i++)
	{
		HeapTuple	row = table->vals[i];
		TupleDesc	desc = table->tupdesc;
		TeItem	   *item = items[int8_column(row, desc, 1) - 1];
		bool		isnull;

		item->attributes = jsonb_column(row, desc, 2);
		item->locale = TEXT_OR_NULL(row, desc, 3);
		item->zone = TEXT_OR_NULL(row, desc, 4);
		item->country = TEXT_OR_NULL(row, desc, 5);
		item->tenant = TEXT_OR_NULL(row, desc, 6);
		item->event_name = TEXT_OR_NULL(row, desc, 7);
		item->properties = item->context ? item->context : jsonb_column(row, desc, 8);
		item->event_context = jsonb_column(row, desc, 9);
		if (item->event_id != 0 && item->event_name == NULL)
			missing++;
		item->has_run = DatumGetBool(SPI_getbinval(row, desc, 10, &isnull));
		item->exited = DatumGetBool(SPI_getbinval(row, desc, 11, &isnull));
		item->exit_reason = TEXT_OR_NULL(row, desc, 12);
	}
	SPI_freetuptable(table);
	return missing;
}

/*
 * User, event and run of every item. A statement that was planned while a new
 * partition took rows over from the default one may miss them, so events that are
 * not found are looked for once more.
 */
void
te_facts_load(TeItem **items, int count)
{
	if (load_facts(items, count) > 0)
		(void) load_facts(items, count);
}

/*
 * True when the item's journey is paused and stays so until the transaction ends: then
 * whoever ends the pause will see what was held for it. False when somebody is about to
 * change it, whom nobody waits for.
 */
bool
te_facts_lock_pause(const TeItem *item)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(item->journey_id)};

	te_db_execute(&plan, "SELECT FROM trigger_engine._journeys WHERE journey_id = $1 AND state = 'paused'"
				  " FOR SHARE SKIP LOCKED", 1, types, values, NULL, false, 0);
	return SPI_processed > 0;
}

/*
 * True when the event ends the item's run.
 */
static bool
ends_run(const TeItem *item, const char *name, Jsonb *properties, TimestampTz at, const char **kind)
{
	const TeJourney *journey = item->journey;
	int			i;

	Assert(journey != NULL);
	for (i = 0; i < journey->nexits + journey->ngoals; i++)
	{
		bool		is_exit = i < journey->nexits;
		const TeMatcher *matcher = is_exit ? &journey->exits[i] : &journey->goals[i - journey->nexits];

		if (strcmp(matcher->event, name) == 0 && te_journey_matches(matcher, properties) &&
			(!te_journey_is_without(journey, matcher) ||
			 te_journey_breaks_absence(journey, item->event_at, item->properties, at, properties)))
		{
			*kind = is_exit ? "exit" : "goal";
			return true;
		}
	}
	return false;
}

/*
 * Exits by rows of tracked tables that happened after the entry event, as they were
 * noted.
 */
static void
load_noted_exits(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, INT8OID, INT4OID, TIMESTAMPTZOID, INT8OID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	SPITupleTable *table;
	uint64		i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[lengthof(types)];

		if (item->exited || item->journey == NULL || item->journey->nexits + item->journey->ngoals == 0)
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = Int64GetDatum(item->journey_id);
		values[2] = Int32GetDatum(item->version);
		values[3] = TimestampTzGetDatum(item->event_at);
		values[4] = Int64GetDatum(i);
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count == 0)
		return;
	te_rows_execute(&rows, &plan,
					"SELECT i.ord, x.reason FROM unnest($1, $2, $3, $4, $5) AS i(user_id, journey_id, version, event_at, ord)"
					" JOIN trigger_engine._exits x ON x.user_id = i.user_id AND x.journey_id = i.journey_id"
					" AND i.version = ANY (x.versions) AND x.at > i.event_at", 0, NULL, NULL);
	table = SPI_tuptable;
	for (i = 0; i < table->numvals; i++)
	{
		TeItem	   *item = items[int8_column(table->vals[i], table->tupdesc, 1)];

		item->exited = true;
		item->exit_reason = SPI_getvalue(table->vals[i], table->tupdesc, 2);
	}
	SPI_freetuptable(table);
}

/*
 * Exits in events that happened after the entry event.
 */
static void
load_exit_events(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	Datum		span[2];
	SPITupleTable *table;
	uint64		i;
	int			k;

	span_of_events(items, count, span);
	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[lengthof(types)];

		if (item->exited || item->journey == NULL)
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = TimestampTzGetDatum(item->event_at);
		values[2] = Int64GetDatum(item->event_id);
		values[3] = Int64GetDatum(i);
		for (k = 0; k < item->journey->nexits + item->journey->ngoals; k++)
		{
			values[4] = CStringGetTextDatum(k < item->journey->nexits
											? item->journey->exits[k].event
											: item->journey->goals[k - item->journey->nexits].event);
			te_rows_add(&rows, values, NULL);
		}
	}
	if (rows.count == 0)
		return;
	te_rows_execute(&rows, &plan,
					"SELECT i.ord, e.name, e.properties, e.event_id, e.occurred_at"
					" FROM unnest($1, $2, $3, $4, $5) AS i(user_id, event_at, event_id, ord, name)"
					" JOIN trigger_engine.events e ON e.user_id = i.user_id AND e.name = i.name"
					" AND e.occurred_at >= i.event_at"
	/* of the same instant is what one transaction wrote: it has acted on what came before */
					" AND (e.occurred_at > i.event_at OR i.event_id <> 0 AND e.event_id > i.event_id)"
					" AND e.occurred_at >= $6", 1, span_types, span);
	table = SPI_tuptable;
	for (i = 0; i < table->numvals; i++)
	{
		HeapTuple	row = table->vals[i];
		TupleDesc	desc = table->tupdesc;
		TeItem	   *item = items[int8_column(row, desc, 1)];
		char	   *name = SPI_getvalue(row, desc, 2);
		const char *kind;

		if (item->exited || !ends_run(item, name, jsonb_column(row, desc, 3), int8_column(row, desc, 5), &kind))
			continue;
		item->exited = true;
		item->exit_reason = psprintf("%s: event \"%s\" (events/" INT64_FORMAT ")", kind, name,
									 int8_column(row, desc, 4));
	}
	SPI_freetuptable(table);
}

/*
 * Exits that happened after the entry event. The capture trigger has acted on
 * most of them; this finds those that it could not see, since one of the two
 * committed late or came late.
 */
void
te_facts_load_exits(TeItem **items, int count)
{
	load_exit_events(items, count);
	load_noted_exits(items, count);
}

/*
 * Orders items by user.
 */
static int
compare_users(const void *a, const void *b)
{
	return strcmp((*(TeItem *const *) a)->user_id, (*(TeItem *const *) b)->user_id);
}

/*
 * Items by user, sorted into a new array.
 */
static TeItem **
sort_by_user(TeItem **items, int count)
{
	TeItem	  **sorted = palloc(sizeof(TeItem *) * Max(count, 1));

	memcpy(sorted, items, sizeof(TeItem *) * count);
	qsort(sorted, count, sizeof(TeItem *), compare_users);
	return sorted;
}

/*
 * First of the sorted items that belongs to the user; count when none does.
 */
static int
find_user(TeItem **sorted, int count, const char *user_id)
{
	int			low = 0,
				high = count;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (strcmp(sorted[middle]->user_id, user_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * The users of the items as one array parameter.
 */
static void
user_rows(TeRows *rows, TeItem **sorted, int count)
{
	static const Oid types[] = {TEXTOID};
	int			i;

	te_rows_init(rows, 1, types);
	for (i = 0; i < count; i++)
	{
		Datum		value;

		if (i > 0 && strcmp(sorted[i]->user_id, sorted[i - 1]->user_id) == 0)
			continue;
		value = CStringGetTextDatum(sorted[i]->user_id);
		te_rows_add(rows, &value, NULL);
	}
}

/*
 * Consents in force. An opt-out for the channel or all, for the topic or all,
 * stops a message whatever else is on record.
 */
void
te_facts_load_consents(TeItem **items, int count)
{
	static SPIPlanPtr plan = NULL;
	TeItem	  **sorted = sort_by_user(items, count);
	TeRows		rows;
	SPITupleTable *table;
	uint64		i;

	user_rows(&rows, sorted, count);
	te_rows_execute(&rows, &plan,
					"SELECT DISTINCT ON (user_id, channel, topic) user_id, channel, topic, state"
					" FROM trigger_engine._consents WHERE user_id = ANY ($1)"
					" ORDER BY user_id, channel, topic, at DESC", 0, NULL, NULL);
	table = SPI_tuptable;
	for (i = 0; i < table->numvals; i++)
	{
		HeapTuple	row = table->vals[i];
		TupleDesc	desc = table->tupdesc;
		char	   *user_id = SPI_getvalue(row, desc, 1);
		char	   *channel = SPI_getvalue(row, desc, 2);
		char	   *topic = SPI_getvalue(row, desc, 3);
		bool		in = strcmp(SPI_getvalue(row, desc, 4), "opted_in") == 0;
		int			k;

		for (k = find_user(sorted, count, user_id);
			 k < count && strcmp(sorted[k]->user_id, user_id) == 0; k++)
		{
			TeItem	   *item = sorted[k];

			if (item->channel == NULL ||
				(strcmp(channel, "*") != 0 && strcmp(channel, item->channel) != 0) ||
				(topic[0] != '\0' && (item->topic == NULL || strcmp(topic, item->topic) != 0)))
				continue;
			if (in)
			{
				item->opted_in = true;
				item->opted_in_topic |= topic[0] != '\0';
			}
			else
				item->opted_out = topic[0] != '\0'
					? psprintf("opted out of topic \"%s\" on channel %s", topic, channel)
					: psprintf("opted out of channel %s", channel);
		}
	}
	SPI_freetuptable(table);
}

/*
 * Addresses of users for the items that need one: those that have a channel
 * whose provider has no address of its own, marked by an empty address.
 */
void
te_facts_load_endpoints(TeItem **items, int count, List *providers)
{
	static SPIPlanPtr plan = NULL;
	TeItem	  **sorted = palloc(sizeof(TeItem *) * Max(count, 1));
	TeRows		rows;
	SPITupleTable *table;
	uint64		i;
	int			n = 0;

	for (i = 0; i < count; i++)
		if (items[i]->address != NULL)
			sorted[n++] = items[i];
	if (n == 0)
		return;
	qsort(sorted, n, sizeof(TeItem *), compare_users);
	user_rows(&rows, sorted, n);
	te_rows_execute(&rows, &plan,
					"SELECT user_id, channel, address, data, provider FROM trigger_engine.endpoints"
					" WHERE user_id = ANY ($1) AND state = 'active' ORDER BY user_id, endpoint_id DESC",
					0, NULL, NULL);
	table = SPI_tuptable;
	for (i = 0; i < table->numvals; i++)
	{
		char	   *user_id = SPI_getvalue(table->vals[i], table->tupdesc, 1);
		char	   *channel = SPI_getvalue(table->vals[i], table->tupdesc, 2);
		int			k;

		for (k = find_user(sorted, n, user_id); k < n && strcmp(sorted[k]->user_id, user_id) == 0; k++)
			if (sorted[k]->address[0] == '\0' && strcmp(channel, sorted[k]->channel) == 0 &&
				te_gates_serves(sorted[k], SPI_getvalue(table->vals[i], table->tupdesc, 5), providers))
			{
				bool		isnull;

				sorted[k]->address = SPI_getvalue(table->vals[i], table->tupdesc, 3);
				sorted[k]->endpoint = DatumGetJsonbPCopy(SPI_getbinval(table->vals[i], table->tupdesc, 4, &isnull));
			}
	}
	SPI_freetuptable(table);
}

/*
 * The zone of a reader, with whose it is: the user's, or else the default one. Does not
 * touch the database.
 */
pg_tz *
te_facts_zone(const TeItem *item, const char **source)
{
	pg_tz	   *zone = te_time_zone(item->zone);

	*source = zone ? "the user's" : "the default";
	if (zone == NULL)
		zone = te_time_zone(te_guc_default_zone);
	return zone ? zone : te_time_zone("UTC");
}
