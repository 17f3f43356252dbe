/*
 * match_buffer.c
 *		What the capture trigger found, until it is written.
 *
 * Entries are collected over a statement and written by one INSERT from arrays;
 * exits are carried out at once, after writing what they may concern. Entries are
 * tagged with their subtransaction and dropped when it is rolled back; those that
 * were written in a deeper one are kept until it is over, as its rollback takes the
 * written row away. They are written when the statement ends, by a hook of the
 * executor, which costs other statements nothing; where no executor is at work
 * (logical replication) just before the transaction commits.
 *
 * All functions but the callbacks may throw and need SPI connected, acting as the
 * extension's owner.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "event/event.h"
#include "worker/worker.h"

#define BUFFER_SIZE 5000
#define MAX_KEY_BYTES 512

/*
 * Entries from which on they are written without looking for earlier ones first, in a
 * subtransaction, and how often a transaction does so: the server keeps track of 64
 * subtransactions cheaply.
 */
#define WORTH_A_SUBTRANSACTION 20
#define MAX_SUBTRANSACTIONS 60

/* How long after its last message was claimed an enrollment can still be exited. */
#define IN_FLIGHT_LIMIT (10 * USECS_PER_MINUTE)

enum
{
	COLUMN_USER, COLUMN_JOURNEY, COLUMN_ENTRY_KEY, COLUMN_STEP, COLUMN_LANE, COLUMN_DUE_AT,
	COLUMN_EVENT, COLUMN_EVENT_AT, COLUMN_VERSION, COLUMN_CONTEXT, NCOLUMNS
};

#define INSERT_DUE \
	"INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, lane, due_at," \
	" event_id, event_at, version, context) "
#define UNNEST_COLUMNS \
	"unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7)," \
	" unnest($8), unnest($9), unnest($10)"
#define INSERT_ONE INSERT_DUE "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
#define ON_CONFLICT " ON CONFLICT (user_id, journey_id, entry_key, step) DO NOTHING"

static const Oid column_types[NCOLUMNS] = {
	TEXTOID, INT8OID, TEXTOID, TEXTOID, INT2OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT4OID,
	JSONBOID
};

static MemoryContext context = NULL;
static TeRows rows;
static bool callbacks_registered = false;

/* Of each entry: the subtransactions in which it was found and written, 0 = not yet. */
typedef struct Origin
{
	SubTransactionId found;
	SubTransactionId written;
	bool		is_new;			/* no other can have its key */
} Origin;

static Origin *origins = NULL;
static int	origins_size = 0;
static int	unwritten = 0;

static int	subtransactions = 0;	/* of ours, in this transaction */
static bool before_commit = false;	/* too late for more of them */
static int	busy_level = 0;		/* of the transaction in which we are at work; 0 = we are not */
static ExecutorFinish_hook_type previous_finish_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;

/*
 * Forgets everything. Does not throw.
 */
static void
clear(void)
{
	memset(&rows, 0, sizeof(rows));
	origins = NULL;
	origins_size = unwritten = 0;
	if (context)
		MemoryContextReset(context);
}

/*
 * Moves an entry to a lower place. Does not throw.
 */
static void
move_entry(int to, int from)
{
	int			k;

	if (to == from)
		return;
	for (k = 0; k < NCOLUMNS; k++)
	{
		rows.values[k][to] = rows.values[k][from];
		rows.nulls[k][to] = rows.nulls[k][from];
	}
	origins[to] = origins[from];
}

/*
 * Ends a pass that kept that many entries, with that many unwritten. Does not throw.
 */
static void
keep(int kept, int kept_unwritten)
{
	if (kept == 0)
		clear();
	rows.count = kept;
	unwritten = kept_unwritten;
}

/*
 * Notes that the trigger or the writing is at work, so that the end of our own
 * statements writes nothing. Returns whether it was not before; then the caller calls
 * te_event_end_work() afterwards.
 */
bool
te_event_begin_work(void)
{
	if (busy_level > 0)
		return false;
	busy_level = GetCurrentTransactionNestLevel();
	return true;
}

/*
 * Takes that back. An error does so, too.
 */
void
te_event_end_work(void)
{
	busy_level = 0;
}

/*
 * Writes what the statement that ends has left. May throw.
 */
static void
flush_at_end(void)
{
	TeIdentity	saved;
	bool		no_snapshot;

	if (rows.count == 0 || !te_event_begin_work())
		return;
	no_snapshot = !ActiveSnapshotSet();
	if (no_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	te_run_as_begin(&saved, te_journey_set()->owner, TE_RUN_KEPT_PLANS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_event_flush();
	SPI_finish();
	te_run_as_end(&saved);
	if (no_snapshot)
		PopActiveSnapshot();
	te_event_end_work();
}

/*
 * ExecutorFinish hook: row triggers have fired when the standard function returns.
 */
static void
finish_hook(QueryDesc *query)
{
	if (previous_finish_hook)
		previous_finish_hook(query);
	else
		standard_ExecutorFinish(query);
	if (unlikely(rows.count > 0))
		flush_at_end();
}

/*
 * ProcessUtility hook, for COPY.
 */
static void
utility_hook(PlannedStmt *statement, const char *text, bool read_only_tree,
			 ProcessUtilityContext utility_context, ParamListInfo params,
			 QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility_hook ? previous_utility_hook : standard_ProcessUtility;

	next(statement, text, read_only_tree, utility_context, params, environment, dest, completion);
	if (unlikely(rows.count > 0) && IsA(statement->utilityStmt, CopyStmt))
		flush_at_end();
}

/*
 * Installs the hooks; once a process, when the library is loaded.
 */
void
te_event_init(void)
{
	previous_finish_hook = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_hook;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}

/*
 * Follows the transaction.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			before_commit = true;
			flush_at_end();
			break;
		default:
			clear();
			busy_level = 0;
			subtransactions = 0;
			before_commit = false;
			break;
	}
}

/*
 * At the rollback of a subtransaction: drops what it and its children found, and
 * takes back that they wrote anything. Their numbers are not below its own, those
 * of others that still live are.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			i,
				kept = 0,
				kept_unwritten = 0;

	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (busy_level >= GetCurrentTransactionNestLevel())
		busy_level = 0;
	for (i = 0; i < rows.count; i++)
	{
		if (origins[i].found >= mine)
			continue;
		if (origins[i].written >= mine)
			origins[i].written = InvalidSubTransactionId;
		if (origins[i].written == InvalidSubTransactionId)
			kept_unwritten++;
		move_entry(kept++, i);
	}
	keep(kept, kept_unwritten);
}

/*
 * Registers the callbacks once a process.
 */
void
te_event_register_callbacks(void)
{
	if (callbacks_registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	callbacks_registered = true;
}

/*
 * Writes one entry without arrays. One whose key is new is spared the look for an
 * earlier one, which costs a descent of the index.
 */
static void
flush_one(TeRows *entries, bool is_new)
{
	static SPIPlanPtr plan = NULL,
				new_plan = NULL;
	Datum		values[NCOLUMNS];
	char		nulls[NCOLUMNS];
	int			k;

	for (k = 0; k < NCOLUMNS; k++)
	{
		values[k] = entries->values[k][0];
		nulls[k] = entries->nulls[k][0] ? 'n' : ' ';
	}
	te_db_execute(is_new ? &new_plan : &plan, is_new ? INSERT_ONE : INSERT_ONE ON_CONFLICT,
				  NCOLUMNS, column_types, values, nulls, false, 0);
}

/*
 * Writes entries by one statement; those that were there before stay. The sets in the
 * target list are read side by side, which is cheaper than a function in FROM.
 */
static void
flush_many(TeRows *entries)
{
	static SPIPlanPtr plan = NULL;

	te_rows_execute(entries, &plan, INSERT_DUE "SELECT " UNNEST_COLUMNS ON_CONFLICT, 0, NULL, NULL);
}

/*
 * Writes entries of which none was there before, or throws a unique violation.
 */
static void
flush_new(void *arg)
{
	static SPIPlanPtr plan = NULL;

	te_rows_execute(arg, &plan, INSERT_DUE "SELECT " UNNEST_COLUMNS, 0, NULL, NULL);
}

/*
 * Writes many entries as if all were new, as they nearly always are, since looking for
 * each of them first costs a third of all the writing. False when one was not.
 */
static bool
try_flush_new(TeRows *entries)
{
	ErrorData  *failure;

	if (entries->count < WORTH_A_SUBTRANSACTION || before_commit ||
		subtransactions == MAX_SUBTRANSACTIONS)
		return false;
	subtransactions++;
	if (te_db_subtransaction(flush_new, entries, &failure))
		return true;
	if (failure->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(failure);
	FreeErrorData(failure);
	return false;
}

/*
 * Orders entries by user, then as they came.
 */
static int
compare_entries(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	text	   *left = DatumGetTextPP(rows.values[COLUMN_USER][x]);
	text	   *right = DatumGetTextPP(rows.values[COLUMN_USER][y]);
	int			left_len = VARSIZE_ANY_EXHDR(left);
	int			right_len = VARSIZE_ANY_EXHDR(right);
	int			order = memcmp(VARDATA_ANY(left), VARDATA_ANY(right), Min(left_len, right_len));

	if (order != 0)
		return order;
	return left_len != right_len ? left_len - right_len : x - y;
}

/*
 * The entries that are not written yet, as rows in the current memory context that
 * point into the buffer. By user, so that neighbours in the queue's key are written
 * one after the other, while their page is at hand.
 */
static void
collect_unwritten(TeRows *entries)
{
	int		   *order = palloc(sizeof(int) * Max(unwritten, 1));
	int			n = 0;
	int			i,
				k;

	for (i = 0; i < rows.count; i++)
		if (origins[i].written == InvalidSubTransactionId)
			order[n++] = i;
	qsort(order, n, sizeof(int), compare_entries);
	te_rows_init(entries, NCOLUMNS, column_types);
	for (i = 0; i < n; i++)
	{
		Datum		values[NCOLUMNS];
		bool		nulls[NCOLUMNS];

		for (k = 0; k < NCOLUMNS; k++)
		{
			values[k] = rows.values[k][order[i]];
			nulls[k] = rows.nulls[k][order[i]];
		}
		te_rows_add(entries, values, nulls);
	}
	pfree(order);
}

/*
 * After writing: forgets the entries whose row lives and dies with them. One that
 * was found outside the current subtransaction outlives its rollback and would
 * have to be written again. What was written in a deeper one that is over belongs
 * to the current one now.
 */
static void
forget_written(void)
{
	SubTransactionId current = GetCurrentSubTransactionId();
	int			i,
				kept = 0;

	for (i = 0; i < rows.count; i++)
	{
		if (origins[i].found >= current)
			continue;
		if (origins[i].written == InvalidSubTransactionId || origins[i].written > current)
			origins[i].written = current;
		move_entry(kept++, i);
	}
	keep(kept, 0);
}

/*
 * Writes what was collected, and has the worker woken at commit.
 */
void
te_event_flush(void)
{
	TeRows		some;
	TeRows	   *entries = &rows;
	int			i;

	if (unwritten > 0)
	{
		if (rows.count > 1)
			collect_unwritten(entries = &some);
		for (i = 0; i < entries->count; i++)
			te_wake_at_commit(DatumGetInt16(entries->values[COLUMN_LANE][i]),
							  DatumGetTimestampTz(entries->values[COLUMN_DUE_AT][i]));
		if (entries->count == 1)
			flush_one(entries, rows.count == 1 && origins[0].is_new);
		else if (!try_flush_new(entries))
			flush_many(entries);
	}
	forget_written();
}

/*
 * True when an entry of this user into this journey is waiting to be written.
 */
static bool
is_buffered(int64 journey_id, const char *user_id)
{
	int			i;
	size_t		len = strlen(user_id);

	for (i = 0; i < rows.count; i++)
	{
		text	   *user;

		if (origins[i].written != InvalidSubTransactionId ||
			DatumGetInt64(rows.values[COLUMN_JOURNEY][i]) != journey_id)
			continue;
		user = DatumGetTextPP(rows.values[COLUMN_USER][i]);
		if (VARSIZE_ANY_EXHDR(user) == len && memcmp(VARDATA_ANY(user), user_id, len) == 0)
			return true;
	}
	return false;
}

/*
 * Writes what was collected, if an entry of this user into this journey is among it.
 */
void
te_event_flush_run(int64 journey_id, const char *user_id)
{
	if (is_buffered(journey_id, user_id))
		te_event_flush();
}

/*
 * Takes the key that a policy allows once, or after an interval. The unique
 * constraint decides between concurrent sessions.
 */
static bool
take_key(const TeJourney *journey, const TeEvent *event, const char *key)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[5] = {TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[5];
	TimestampTz not_after = DT_NOBEGIN;

	if (journey->reentry == TE_REENTRY_AFTER)
		not_after = te_journey_before(event->occurred_at, &journey->reentry_after);
	else if (journey->reentry == TE_REENTRY_PARALLEL)
		not_after = DT_NOEND;	/* the row is the lock, the count decides */
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = CStringGetTextDatum(key);
	values[3] = TimestampTzGetDatum(event->occurred_at);
	values[4] = TimestampTzGetDatum(not_after);
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine._entry_keys AS k (user_id, journey_id, entry_key, entered_at)"
				  " VALUES ($1, $2, $3, $4)"
				  " ON CONFLICT (user_id, journey_id, entry_key) DO UPDATE SET entered_at = excluded.entered_at"
				  " WHERE k.entered_at <= $5", 5, types, values, NULL, false, 0);
	return SPI_processed > 0;
}

/*
 * True when fewer runs of this user through the journey are under way than the
 * policy allows. The caller holds the key row, so no other session counts at the
 * same time; the statement's own snapshot shows what the last holder committed.
 */
static bool
has_free_run(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, INT8OID, INT4OID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = Int32GetDatum(journey->reentry_limit);
	te_db_execute(&plan,
				  "SELECT 1 FROM (SELECT entry_key FROM trigger_engine._due"
				  " WHERE user_id = $1 AND journey_id = $2"
				  " UNION SELECT entry_key FROM trigger_engine._enrollments"
				  " WHERE user_id = $1 AND journey_id = $2 AND completed_at IS NULL AND exited_at IS NULL) run"
				  " HAVING pg_catalog.count(*) < $3", 3, types, values, NULL, false, 1);
	return SPI_processed > 0;
}

/*
 * A key that fits into an index: a long one is replaced by its digest.
 */
static const char *
fitting_key(const char *key)
{
	unsigned char digest[32];
	StringInfoData hex;
	int			i;

	if (strlen(key) <= MAX_KEY_BYTES)
		return key;
	te_crypto_sha256(key, strlen(key), digest);
	initStringInfo(&hex);
	appendStringInfoString(&hex, "sha256/");
	for (i = 0; i < sizeof(digest); i++)
		appendStringInfo(&hex, "%02x", digest[i]);
	return hex.data;
}

/*
 * Applies the re-entry policy. Returns the entry key, or NULL when the user may
 * not enter now.
 */
static const char *
entry_key(const TeJourney *journey, const TeEvent *event)
{
	const char *key;

	switch (journey->reentry)
	{
		case TE_REENTRY_EVENT:
			return fitting_key(event->source_key);
		case TE_REENTRY_ONCE:
			return take_key(journey, event, "once") ? "once" : NULL;
		case TE_REENTRY_ONCE_PER_KEY:
			key = te_journey_path_text(journey->entry_key, event->properties);
			if (key == NULL)
				return NULL;
			key = fitting_key(psprintf("key/%s", key));
			return take_key(journey, event, key) ? key : NULL;
		case TE_REENTRY_AFTER:
			return take_key(journey, event, "after") ? fitting_key(event->source_key) : NULL;
		case TE_REENTRY_PARALLEL:
			te_event_flush_run(journey->id, event->user_id);
			take_key(journey, event, "parallel");
			return has_free_run(journey, event) ? fitting_key(event->source_key) : NULL;
	}
	return NULL;
}

/*
 * True when the event opens the window of a digest, rather than being added to one.
 */
static bool
opens_window(const TeJourney *journey, const TeEvent *event, const char *key)
{
	char	   *window = NULL;

	if (journey->steps[0].key)
		window = te_journey_path_text(journey->steps[0].key, event->properties);
	return te_event_collect(journey, event, key, fitting_key(window ? window : ""));
}

/*
 * Lets the event's user enter a journey, if its re-entry policy allows. Returns whether it
 * does.
 */
bool
te_event_enter(const TeJourney *journey, const TeEvent *event)
{
	const char *key = entry_key(journey, event);
	TimestampTz due;
	MemoryContext old;
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {0};
	int			step;
	bool		keep_properties;

	if (key == NULL || (journey->steps[0].kind == TE_STEP_DIGEST && !opens_window(journey, event, key)))
		return false;
	if (unwritten == BUFFER_SIZE)
		te_event_flush();
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "trigger_engine matches",
										ALLOCSET_DEFAULT_SIZES);
	due = te_journey_skip_waits(journey, 0, te_clock_add(event->occurred_at, &journey->delay), &step);

	old = MemoryContextSwitchTo(context);
	if (rows.count == 0)
		te_rows_init(&rows, NCOLUMNS, column_types);
	values[COLUMN_USER] = CStringGetTextDatum(event->user_id);
	values[COLUMN_JOURNEY] = Int64GetDatum(journey->id);
	values[COLUMN_ENTRY_KEY] = CStringGetTextDatum(key);
	values[COLUMN_STEP] = CStringGetTextDatum(journey->steps[step].id);
	values[COLUMN_LANE] = Int16GetDatum(journey->first_lane);
	values[COLUMN_DUE_AT] = TimestampTzGetDatum(due);
	values[COLUMN_EVENT] = Int64GetDatum(event->event_id);
	values[COLUMN_EVENT_AT] = TimestampTzGetDatum(event->occurred_at);
	values[COLUMN_VERSION] = Int32GetDatum(journey->version);
	/* rows of application tables may change until they are due: keep what they said; and what must agree */
	keep_properties = event->tracked || journey->match;
	nulls[COLUMN_CONTEXT] = !keep_properties;
	values[COLUMN_CONTEXT] = keep_properties
		? PointerGetDatum(PG_DETOAST_DATUM_COPY(JsonbPGetDatum(event->properties))) : (Datum) 0;
	if (rows.count == origins_size)
	{
		int			size = Max(origins_size * 2, 16);

		origins = origins ? repalloc(origins, sizeof(Origin) * size) : palloc(sizeof(Origin) * size);
		origins_size = size;
	}
	origins[rows.count].found = GetCurrentSubTransactionId();
	origins[rows.count].written = InvalidSubTransactionId;
	origins[rows.count].is_new = event->is_new && journey->reentry == TE_REENTRY_EVENT;
	te_rows_add(&rows, values, nulls);
	unwritten++;
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * Takes what is due for the user out of the queue and records it as cancelled. A
 * row that a worker has just claimed is waited for and then gone.
 */
static void
cancel_due(Datum *values, const Oid *types)
{
	static SPIPlanPtr plan = NULL;

	te_db_execute(&plan,
				  "WITH gone AS (DELETE FROM trigger_engine._due WHERE user_id = $1 AND journey_id = $2"
				  " AND version = ANY ($3) AND event_at <= $4 RETURNING *),"
				  " digest AS (DELETE FROM trigger_engine._digests d USING gone g WHERE d.user_id = $1"
				  " AND d.journey_id = $2 AND d.entry_key = g.entry_key),"
				  " run AS (INSERT INTO trigger_engine._enrollments AS r (user_id, journey_id, entry_key,"
				  " version, entered_at, exited_at, exit_reason)"
				  " SELECT DISTINCT ON (entry_key) user_id, journey_id, entry_key, version, event_at, $5, $7 FROM gone"
				  " ORDER BY entry_key"
	/* a run whose last message was waiting to be tried again did not complete */
				  " ON CONFLICT (user_id, journey_id, entry_key) DO UPDATE SET completed_at = NULL,"
				  " exited_at = excluded.exited_at, exit_reason = excluded.exit_reason WHERE r.exited_at IS NULL)"
				  " INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step,"
				  " channel, state, gate, reason, due_at, event_id, event_at, decided_at, finished_at, attempts)"
				  " SELECT coalesce(g.send_id, pg_catalog.nextval('trigger_engine._send_id_seq')), g.user_id,"
				  " g.journey_id, g.version, g.entry_key, g.step, s.step ->> 'channel', 'cancelled', $6, $7,"
				  " coalesce(g.first_due_at, g.due_at), g.event_id, g.event_at, $5, $5, g.attempt"
				  " FROM gone g JOIN trigger_engine._journey_versions v USING (journey_id, version)"
				  " CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)"
				  " WHERE s.step ->> 'id' = g.step AND s.step ? 'send'",
				  7, types, values, NULL, false, 0);
}

/*
 * Marks runs that have begun as exited, also those whose last message is under
 * way: the worker looks again before it hands over. A statement of its own, so
 * that its snapshot shows a claim that cancel_due() waited for.
 */
static void
mark_exited(Datum *values, const Oid *types)
{
	static SPIPlanPtr plan = NULL;

	te_db_execute(&plan,
				  "UPDATE trigger_engine._enrollments SET exited_at = $5, exit_reason = $7"
				  " WHERE user_id = $1 AND journey_id = $2 AND version = ANY ($3) AND entered_at <= $4"
				  " AND exited_at IS NULL AND (completed_at IS NULL OR completed_at > $8) AND $6 IS NOT NULL",
				  8, types, values, NULL, false, 0);
}

/*
 * Ends the user's runs through a journey because of an event.
 */
void
te_event_leave(const TeRule *rule, const TeEvent *event)
{
	Oid			types[8] = {TEXTOID, INT8OID, INT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[8];
	TimestampTz now = te_clock_now();

	te_event_flush_run(rule->journey->id, event->user_id);
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(rule->journey->id);
	values[2] = rule->versions;
	values[3] = TimestampTzGetDatum(event->occurred_at);
	values[4] = TimestampTzGetDatum(now);
	values[5] = CStringGetTextDatum("exit");	/* the gate, for goals too */
	values[6] = CStringGetTextDatum(psprintf("%s: event \"%s\" (%s)",
											 rule->kind == TE_RULE_GOAL ? "goal" : "exit",
											 event->name, event->source_key));
	values[7] = TimestampTzGetDatum(now - IN_FLIGHT_LIMIT);
	cancel_due(values, types);
	mark_exited(values, types);
	if (event->tracked)
		te_event_note_exit(rule, event, TextDatumGetCString(values[6]));
}
