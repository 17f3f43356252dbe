/*
 * slots.c
 *		Caps and quiet hours of a claim: the rules, the room that is taken, and the gate.
 *
 * A message that a cap concerns has a slot: planned while it waits, also to be tried
 * again, used while it is under way and once it has arrived, or may have. A planned slot
 * counts as long as its row is in the queue, so that a cancelled message gives its room
 * back without more ado, and none stands in its own way. All of a user's messages are
 * decided by the one owner of the user's shard, those of one claim one after the other,
 * the more important first.
 *
 * Needs a transaction with SPI connected; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "decide/decide.h"
#include "decide/pressure.h"
#include "time/time.h"

/* Held no longer than this for want of an instant. */
#define FURTHEST (400 * USECS_PER_DAY)

static MemoryContext rules_context = NULL;
static uint64 rules_generation = 0;
static TePressure rules;

/* What is known about one user of a claim. */
typedef struct TeUserPressure
{
	TePressure	rules;			/* those for all, and the user's own */
	int			nslots;
	int			size;
	TeSlot	   *slots;			/* sorted by time */
	pg_tz	   *zone;
	const char *zone_source;
	bool		untaken;		/* a message that had room in this claim does not go */
} TeUserPressure;

/*
 * A jsonb column, in the current context; NULL when null.
 */
static Jsonb *
jsonb_column(HeapTuple row, int number)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, SPI_tuptable->tupdesc, number, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * Reads quiet hours into the kept context.
 */
static void
load_quiet_hours(void)
{
	static SPIPlanPtr plan = NULL;
	uint64		i;

	te_db_execute(&plan, "SELECT name, windows, scope, kind = 'send_window', on_quiet = 'drop', zone"
				  " FROM trigger_engine._quiet_hours ORDER BY name", 0, NULL, NULL, NULL, true, 0);
	rules.quiet = palloc0(sizeof(TeQuietRule) * Max(SPI_processed, 1));
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		TeQuietRule *rule = &rules.quiet[i];
		char	   *zone = SPI_getvalue(row, desc, 6);
		bool		isnull;

		rule->name = pstrdup(SPI_getvalue(row, desc, 1));
		te_pressure_read_windows(jsonb_column(row, 2), rule->name, rule);
		te_pressure_read_scope(jsonb_column(row, 3), rule->name, &rule->scope);
		rule->allows = DatumGetBool(SPI_getbinval(row, desc, 4, &isnull));
		rule->drops = DatumGetBool(SPI_getbinval(row, desc, 5, &isnull));
		rule->zone = zone ? te_time_zone(zone) : NULL;
	}
	rules.nquiet = SPI_processed;
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Reads caps into the kept context.
 */
static void
load_caps(void)
{
	static SPIPlanPtr plan = NULL;
	uint64		i;

	te_db_execute(&plan, "SELECT c.name, c.max, c.per, c.scope, c.window = 'calendar', c.on_excess = 'drop'"
				  " FROM trigger_engine._caps c WHERE c.max IS NOT NULL ORDER BY c.name",
				  0, NULL, NULL, NULL, true, 0);
	rules.caps = palloc0(sizeof(TeCapRule) * Max(SPI_processed, 1));
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		TeCapRule  *cap = &rules.caps[i];
		bool		isnull;

		cap->name = pstrdup(SPI_getvalue(row, desc, 1));
		cap->max = DatumGetInt32(SPI_getbinval(row, desc, 2, &isnull));
		cap->per = *DatumGetIntervalP(SPI_getbinval(row, desc, 3, &isnull));
		te_pressure_read_scope(jsonb_column(row, 4), cap->name, &cap->scope);
		cap->calendar = DatumGetBool(SPI_getbinval(row, desc, 5, &isnull));
		cap->drops = DatumGetBool(SPI_getbinval(row, desc, 6, &isnull));
	}
	rules.ncaps = SPI_processed;
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Reads the rules again when configuration changed, under a snapshot that is taken
 * after the messages so far were counted.
 */
static void
refresh_rules(void)
{
	MemoryContext old;
	uint64		now = te_journey_generation();

	if (rules_context != NULL && rules_generation == now)
		return;
	if (rules_context == NULL)
		rules_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine caps", ALLOCSET_SMALL_SIZES);
	rules_generation = 0;
	memset(&rules, 0, sizeof(rules));
	MemoryContextReset(rules_context);
	old = MemoryContextSwitchTo(rules_context);
	PushActiveSnapshot(GetLatestSnapshot());
	load_quiet_hours();
	load_caps();
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	rules_generation = now;
}

/*
 * Of a message: what rules look at.
 */
static TeScope
scope_of(const TeItem *item)
{
	return (TeScope) {item->channel, item->topic, item->journey_name, item->purpose};
}

/*
 * True when rules may concern an item at all.
 */
static bool
is_subject(const TeItem *item)
{
	return item->is_send && item->journey != NULL && !item->transactional;
}

/*
 * Puts a slot into its place among those of a user.
 */
static void
add_slot(TeUserPressure *user, const TeSlot *slot)
{
	int			i;

	if (user->nslots == user->size)
	{
		user->size = Max(user->size * 2, 8);
		user->slots = user->slots ? repalloc(user->slots, sizeof(TeSlot) * user->size)
			: palloc(sizeof(TeSlot) * user->size);
	}
	for (i = user->nslots++; i > 0 && user->slots[i - 1].at > slot->at; i--)
		user->slots[i] = user->slots[i - 1];
	user->slots[i] = *slot;
}

/*
 * Adds a user's own limits to the rules that hold for all.
 */
static void
add_own_limits(TeUserPressure *user, Jsonb *quiet, Jsonb *caps)
{
	TePressure	own;
	TePressure	both;

	te_pressure_read_user(quiet, caps, &own);
	both.nquiet = rules.nquiet + own.nquiet;
	both.quiet = palloc(sizeof(TeQuietRule) * Max(both.nquiet, 1));
	memcpy(both.quiet, rules.quiet, sizeof(TeQuietRule) * rules.nquiet);
	memcpy(both.quiet + rules.nquiet, own.quiet, sizeof(TeQuietRule) * own.nquiet);
	both.ncaps = rules.ncaps + own.ncaps;
	both.caps = palloc(sizeof(TeCapRule) * Max(both.ncaps, 1));
	memcpy(both.caps, rules.caps, sizeof(TeCapRule) * rules.ncaps);
	memcpy(both.caps + rules.ncaps, own.caps, sizeof(TeCapRule) * own.ncaps);
	user->rules = both;
}

/*
 * Orders items by user, the more important first, then by their time.
 */
static int
compare_importance(const void *a, const void *b)
{
	const TeItem *x = *(TeItem *const *) a;
	const TeItem *y = *(TeItem *const *) b;
	int			order = strcmp(x->user_id, y->user_id);

	if (order == 0)
		order = (x->priority < y->priority) - (x->priority > y->priority);
	if (order == 0)
		order = (x->first_due_at > y->first_due_at) - (x->first_due_at < y->first_due_at);
	return order;
}

/*
 * Reads the limits and the slots of the users, who are sorted, into the pressures of
 * their items.
 */
static void
load_users(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID};
	static SPIPlanPtr limits_plan = NULL;
	static SPIPlanPtr slots_plan = NULL;
	TeRows		rows;
	bool		capped = rules.ncaps > 0;
	uint64		n;
	int			i;

	te_rows_init(&rows, 1, types);
	for (i = 0; i < count; i++)
		if (i == 0 || items[i]->pressure != items[i - 1]->pressure)
		{
			Datum		value = CStringGetTextDatum(items[i]->user_id);

			te_rows_add(&rows, &value, NULL);
		}
	te_rows_execute(&rows, &limits_plan,
					"SELECT user_id, quiet_hours, caps FROM trigger_engine._user_limits WHERE user_id = ANY ($1)"
					" ORDER BY user_id COLLATE \"C\"", 0, NULL, NULL);
	for (n = 0, i = 0; n < SPI_processed; n++)
	{
		char	   *user_id = SPI_getvalue(SPI_tuptable->vals[n], SPI_tuptable->tupdesc, 1);

		while (i < count && strcmp(items[i]->user_id, user_id) < 0)
			i++;
		if (i == count)
			break;
		add_own_limits(items[i]->pressure, jsonb_column(SPI_tuptable->vals[n], 2),
					   jsonb_column(SPI_tuptable->vals[n], 3));
		capped |= items[i]->pressure->rules.ncaps > 0;
	}
	SPI_freetuptable(SPI_tuptable);
	if (!capped)
		return;

	/* slots of the claim's own items count when they are decided: their rows are out of the queue */
	te_rows_execute(&rows, &slots_plan,
					"SELECT s.user_id, s.at, s.channel, s.topic, s.journey, s.purpose, s.priority, s.used"
					" FROM trigger_engine._slots s WHERE s.user_id = ANY ($1) AND (s.used OR EXISTS"
					" (SELECT FROM trigger_engine._due d WHERE d.user_id = s.user_id AND d.journey_id = s.journey_id"
					" AND d.entry_key = s.entry_key AND d.step = s.step))"
					" ORDER BY s.user_id COLLATE \"C\", s.at", 0, NULL, NULL);
	for (n = 0, i = 0; n < SPI_processed; n++)
	{
		HeapTuple	row = SPI_tuptable->vals[n];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *user_id = SPI_getvalue(row, desc, 1);
		TeSlot		slot;
		bool		isnull;

		while (i < count && strcmp(items[i]->user_id, user_id) < 0)
			i++;
		if (i == count)
			break;
		slot.at = DatumGetTimestampTz(SPI_getbinval(row, desc, 2, &isnull));
		slot.scope = (TeScope) {SPI_getvalue(row, desc, 3), SPI_getvalue(row, desc, 4),
			SPI_getvalue(row, desc, 5), SPI_getvalue(row, desc, 6)};
		slot.priority = DatumGetInt32(SPI_getbinval(row, desc, 7, &isnull));
		slot.used = DatumGetBool(SPI_getbinval(row, desc, 8, &isnull));
		add_slot(items[i]->pressure, &slot);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Orders the items of a claim as they are to be decided, and reads what the rules
 * need to know about their users. The array is sorted in place.
 */
void
te_slots_load(TeItem **items, int count)
{
	TeItem	  **subjects = palloc(sizeof(TeItem *) * Max(count, 1));
	int			n = 0;
	int			i;

	refresh_rules();
	qsort(items, count, sizeof(TeItem *), compare_importance);
	for (i = 0; i < count; i++)
	{
		items[i]->pressure = NULL;
		items[i]->slot_at = 0;
		if (!is_subject(items[i]))
			continue;
		if (n > 0 && strcmp(subjects[n - 1]->user_id, items[i]->user_id) == 0)
			items[i]->pressure = subjects[n - 1]->pressure;
		else
		{
			items[i]->pressure = palloc0(sizeof(TeUserPressure));
			items[i]->pressure->rules = rules;
			items[i]->pressure->zone = te_facts_zone(items[i], &items[i]->pressure->zone_source);
		}
		subjects[n++] = items[i];
	}
	if (n > 0)
		load_users(subjects, n);
	pfree(subjects);
}

/*
 * The instant at which an item may go, with the reason when that is not now:
 * DT_NOEND = never. *is_cap tells which kind of rule is in the way.
 */
TimestampTz
te_slots_first(TeItem *item, TimestampTz now, bool *is_cap, char **reason)
{
	TeUserPressure *user = item->pressure;
	TeScope		scope;
	TeObstacle	obstacle;
	TimestampTz at;

	*is_cap = false;
	if (user == NULL || (user->rules.nquiet == 0 && user->rules.ncaps == 0))
		return now;
	scope = scope_of(item);
	at = te_pressure_first(&user->rules, &scope, item->priority, user->slots, user->nslots, user->zone,
						   now, Min(item->expires_at, now + FURTHEST), &obstacle);
	if (at == now)
		return now;
	*is_cap = obstacle.cap != NULL;
	if (obstacle.cap)
		*reason = psprintf("cap \"%s\": %d per %s%s", obstacle.cap->name, obstacle.cap->max,
						   DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(&obstacle.cap->per))),
						   obstacle.cap->calendar ? " of the calendar" : "");
	else
		*reason = psprintf("%s \"%s\" in zone %s, %s", obstacle.quiet->allows ? "outside send window" : "quiet hours",
						   obstacle.quiet->name,
						   pg_get_timezone_name(obstacle.quiet->zone ? obstacle.quiet->zone : user->zone),
						   obstacle.quiet->zone ? "the rule's" : user->zone_source);
	return at;
}

/*
 * Takes room for an item that will go at an instant, if a cap concerns it.
 */
void
te_slots_take(TeItem *item, TimestampTz at, bool used)
{
	TeUserPressure *user = item->pressure;
	TeSlot		slot = {.at = at, .priority = item->priority, .used = used};
	int			i;

	if (user == NULL)
		return;
	slot.scope = scope_of(item);
	for (i = 0; i < user->rules.ncaps; i++)
		if (te_pressure_concerns(&user->rules.caps[i].scope, &slot.scope))
		{
			add_slot(user, &slot);
			item->slot_at = at;
			item->slot_used = used;
			return;
		}
}

/*
 * Takes that back, as the item does not go after all. Others of its user may have been
 * held for want of that room.
 */
void
te_slots_untake(TeItem *item)
{
	if (item->pressure == NULL || item->slot_at == 0)
		return;
	item->slot_at = 0;
	item->pressure->untaken = true;
}

/*
 * Whether that happened to the user of an item.
 */
bool
te_slots_were_untaken(const TeItem *item)
{
	return item->pressure != NULL && item->pressure->untaken;
}

/*
 * Writes the slots that the items of a claim took.
 */
void
te_slots_write(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
	TEXTOID, INT4OID, BOOLOID};
	static SPIPlanPtr plan = NULL;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[lengthof(types)];
		bool		nulls[lengthof(types)] = {0};

		if (item->slot_at == 0 || (item->verdict != TE_PASS && item->verdict != TE_HOLD))
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = Int64GetDatum(item->journey_id);
		values[2] = CStringGetTextDatum(item->entry_key);
		values[3] = CStringGetTextDatum(item->step_id);
		values[4] = CStringGetTextDatum(item->channel);
		values[5] = TimestampTzGetDatum(item->slot_at);
		values[6] = item->topic ? CStringGetTextDatum(item->topic) : (Datum) 0;
		nulls[6] = item->topic == NULL;
		values[7] = CStringGetTextDatum(item->journey_name);
		values[8] = item->purpose ? CStringGetTextDatum(item->purpose) : (Datum) 0;
		nulls[8] = item->purpose == NULL;
		values[9] = Int32GetDatum(item->priority);
		values[10] = BoolGetDatum(item->slot_used);
		te_rows_add(&rows, values, nulls);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"INSERT INTO trigger_engine._slots AS s (user_id, journey_id, entry_key, step, channel, at, topic,"
						" journey, purpose, priority, used)"
						" SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7),"
						" unnest($8), unnest($9), unnest($10), unnest($11)"
						" ON CONFLICT (user_id, journey_id, entry_key, step, channel) DO UPDATE"
						" SET at = excluded.at, used = excluded.used", 0, NULL, NULL);
}

/*
 * After hand-over: those that will be tried again only plan their slots, and those that
 * were not sent give them back. The others keep them.
 */
void
te_slots_settle(TeItem **items, int count)
{
	static const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	TeItem	  **again = palloc(sizeof(TeItem *) * Max(count, 1));
	int			nagain = 0;
	TeRows		rows;
	int			i;

	te_rows_init(&rows, lengthof(types), types);
	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		Datum		values[lengthof(types)];

		if (item->slot_at == 0)
			continue;
		if (item->state == NULL)
		{
			item->slot_at = item->hold_until;
			item->slot_used = false;
			again[nagain++] = item;
			continue;
		}
		/* whose outcome is not known may have arrived */
		if (strcmp(item->state, "accepted") == 0 || strcmp(item->state, "unknown") == 0)
			continue;
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = Int64GetDatum(item->journey_id);
		values[2] = CStringGetTextDatum(item->entry_key);
		values[3] = CStringGetTextDatum(item->step_id);
		te_rows_add(&rows, values, NULL);
	}
	if (rows.count > 0)
		te_rows_execute(&rows, &plan,
						"DELETE FROM trigger_engine._slots s USING unnest($1, $2, $3, $4) AS i(user_id, journey_id, entry_key, step)"
						" WHERE s.user_id = i.user_id AND s.journey_id = i.journey_id AND s.entry_key = i.entry_key"
						" AND s.step = i.step", 0, NULL, NULL);
	te_slots_write(again, nagain);
	pfree(again);
}
