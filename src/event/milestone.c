/*
 * milestone.c
 *		Counts, sums and streaks of a user's events.
 *
 * One row a user and journey, written by the event that counts. The row's lock lets
 * concurrent sessions count one after the other, so that exactly one reaches a milestone.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "event/event.h"
#include "guc.h"
#include "time/time.h"

/* Longer amounts are not added up. */
#define MAX_AMOUNT 300

/*
 * The day on which an event happened by the user's clock, from 2000-01-01.
 */
static int32
local_day(const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(event->user_id)};
	pg_tz	   *zone = NULL;

	te_db_execute(&plan, "SELECT zone FROM trigger_engine.users WHERE user_id = $1", 1, types, values, NULL, false, 1);
	if (SPI_processed > 0)
		zone = te_time_zone(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	if (zone == NULL)
		zone = te_time_zone(te_guc_default_zone);
	if (zone == NULL)
		zone = te_time_zone("UTC");
	return te_time_midnight(te_time_local(event->occurred_at, zone)) / USECS_PER_DAY;
}

/*
 * What the statement that counted says: whether the milestone is reached now.
 */
static bool
fired(void)
{
	bool		isnull;

	return SPI_processed > 0 &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Counts a day of a streak. A day that is counted already writes nothing; a day before it
 * came late and is passed over.
 */
static bool
count_day(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[5] = {TEXTOID, INT8OID, INT4OID, NUMERICOID, BOOLOID};
	Datum		values[5];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = Int32GetDatum(local_day(event));
	values[3] = NumericGetDatum(journey->reach);
	values[4] = BoolGetDatum(journey->every);
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine._counters AS c (user_id, journey_id, total, reached, fired, last_day)"
				  " VALUES ($1, $2, 1, 0, false, $3)"
				  " ON CONFLICT (user_id, journey_id) DO UPDATE SET last_day = $3,"
				  " total = CASE WHEN c.last_day = $3 - 1 THEN c.total + 1 ELSE 1 END,"
				  " fired = c.last_day = $3 - 1 AND CASE WHEN $5 THEN (c.total + 1) % $4 = 0"
				  " ELSE c.reached = 0 AND c.total + 1 >= $4 END,"
				  " reached = c.reached + (c.last_day = $3 - 1 AND CASE WHEN $5 THEN (c.total + 1) % $4 = 0"
				  " ELSE c.reached = 0 AND c.total + 1 >= $4 END)::integer"
				  " WHERE c.last_day IS NULL OR c.last_day < $3"
				  " RETURNING fired", 5, types, values, NULL, false, 0);
	return fired();
}

/*
 * What an event adds: 1, or the number that the path leads to. False when there is none.
 */
static bool
added(const TeJourney *journey, const TeEvent *event, char **amount)
{
	char	   *end;

	*amount = "1";
	if (journey->sum == NULL)
		return true;
	*amount = te_journey_path_text(journey->sum, event->properties);
	/* what numeric refuses must not fail the event: texts with exponents, or with too many digits */
	if (*amount == NULL || **amount == '\0' || strlen(*amount) > MAX_AMOUNT ||
		(*amount)[strspn(*amount, "+-.0123456789")] != '\0')
		return false;
	return isfinite(strtod(*amount, &end)) && *end == '\0';
}

/*
 * Counts the event. True when the milestone is reached by it: the first time, or with
 * "every" at each multiple.
 */
bool
te_event_reaches(const TeJourney *journey, const TeEvent *event)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[5] = {TEXTOID, INT8OID, TEXTOID, NUMERICOID, BOOLOID};
	Datum		values[5];
	char	   *amount;

	if (journey->streak)
		return count_day(journey, event);
	if (!added(journey, event, &amount))
		return false;
	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = Int64GetDatum(journey->id);
	values[2] = CStringGetTextDatum(amount);
	values[3] = NumericGetDatum(journey->reach);
	values[4] = BoolGetDatum(journey->every);
#define TIMES_REACHED(total) \
	"CASE WHEN $5 THEN greatest(pg_catalog.floor((" total ") / $4), 0) ELSE ((" total ") >= $4)::integer END"
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine._counters AS c (user_id, journey_id, total, reached, fired)"
				  " VALUES ($1, $2, $3::numeric, " TIMES_REACHED("$3::numeric") ", $3::numeric >= $4)"
				  " ON CONFLICT (user_id, journey_id) DO UPDATE SET total = c.total + excluded.total,"
				  " fired = " TIMES_REACHED("c.total + excluded.total") " > c.reached,"
				  " reached = greatest(c.reached, " TIMES_REACHED("c.total + excluded.total") ")"
				  " RETURNING fired", 5, types, values, NULL, false, 0);
#undef TIMES_REACHED
	return fired();
}
