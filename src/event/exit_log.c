/*
 * exit_log.c
 *		Exits by rows of tracked tables, for entries that come in later.
 *
 * An exit ends the runs that are there. One that commits later, or arrives later with
 * an earlier time, is found out when its message is decided: exits in "events" are
 * read from there, but a tracked table need not say when a row came, and the row may
 * be gone. So the latest exit of a user from a journey is noted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"

/*
 * Notes that an event of a tracked table ended the user's runs of those versions. It
 * cannot have happened later than now: what enters afterwards stays. No session waits
 * for another here, lest applications that write many users' rows run into deadlocks:
 * a note that somebody else is changing is left alone, and another one is made. Needs
 * SPI connected, as the extension's owner; may throw.
 */
void
te_event_note_exit(const TeRule *rule, const TeEvent *event, const char *reason)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, INT8OID, INT4ARRAYOID, TIMESTAMPTZOID, TEXTOID, BOOLOID};
	Datum		values[lengthof(types)];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(rule->journey->id);
	values[2] = rule->versions;
	values[3] = TimestampTzGetDatum(Min(event->occurred_at, te_clock_now()));
	values[4] = CStringGetTextDatum(reason);
	/* under REPEATABLE READ even a look at what was changed meanwhile is an error */
	values[5] = BoolGetDatum(!IsolationUsesXactSnapshot());
	te_db_execute(&plan,
				  "WITH old AS MATERIALIZED (SELECT x.ctid FROM trigger_engine._exits x"
				  " WHERE x.user_id = $1 AND x.journey_id = $2 AND x.versions[1] = $3[1] AND $6"
				  " LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),"
				  " changed AS (UPDATE trigger_engine._exits x SET versions = $3, at = greatest(x.at, $4),"
				  " reason = CASE WHEN x.at > $4 THEN x.reason ELSE $5 END"
				  " FROM old WHERE x.ctid = old.ctid RETURNING 1)"
				  " INSERT INTO trigger_engine._exits (user_id, journey_id, versions, at, reason)"
				  " SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM changed)",
				  lengthof(types), types, values, NULL, false, 0);
}
