/*
 * watch.c
 *		The WHEN clause of the capture trigger, and the form of an event.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "errors.h"
#include "event/event.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(te_is_watched);
PG_FUNCTION_INFO_V1(te_check_event);

/*
 * True when the engine may act in this session and database. Without a stamp
 * only dedupe keys are honoured, and not even those while a dump is being
 * loaded, which pg_dump's scripts show by switching off checks of functions.
 */
static bool
is_open(const TeJourneySet *set)
{
	switch (set->fence)
	{
		case TE_FENCE_OPEN:
			return true;
		case TE_FENCE_EMPTY:
			return check_function_bodies;
		default:
			return false;
	}
}

/*
 * Refuses instants outside the bounds that the settings state.
 */
static void
check_time(TimestampTz occurred_at)
{
	bool		bounded = te_guc_event_retention > 0 || te_guc_event_lead > 0;
	TimestampTz now = bounded ? te_clock_now() : 0;

	if (te_guc_event_retention > 0 &&
		occurred_at < now - (int64) te_guc_event_retention * USECS_PER_MINUTE)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("event of %s is older than trigger_engine.event_retention",
						timestamptz_to_str(occurred_at)),
				 errhint("Raise the setting where events that old are to be kept.")));
	if (bounded && occurred_at > now + (int64) te_guc_event_lead * USECS_PER_MINUTE)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("event of %s lies further ahead than trigger_engine.event_lead",
						timestamptz_to_str(occurred_at)),
				 errhint("Check the clock and the unit of occurred_at, or raise the setting.")));
	if (TIMESTAMP_NOT_FINITE(occurred_at))
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("occurred_at of an event must not be infinite")));
}

/*
 * _is_watched(name, occurred_at, dedupe_key): whether the capture trigger needs
 * this row. Runs for every inserted row as the inserting role, so it is the one
 * function with a side (it reads the set of journeys) that PUBLIC may execute.
 * Throws for an event outside the bounds of time.
 */
Datum
te_is_watched(PG_FUNCTION_ARGS)
{
	TeJourneySet *set;
	text	   *name;

	if (!te_guc_ingest)
		PG_RETURN_BOOL(false);
	set = te_journey_set();
	if (!is_open(set))
		PG_RETURN_BOOL(false);
	if (!PG_ARGISNULL(1))
		check_time(PG_GETARG_TIMESTAMPTZ(1));
	if (!PG_ARGISNULL(2))
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	name = PG_GETARG_TEXT_PP(0);
	PG_RETURN_BOOL(te_journey_watch(set, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) != NULL);
}

/*
 * Refuses a text that is empty or too long.
 */
static void
check_text(FunctionCallInfo fcinfo, int number, const char *field, int max)
{
	text	   *value;

	if (fcinfo->args[number].isnull)
		return;
	value = PG_GETARG_TEXT_PP(number);
	if (VARSIZE_ANY_EXHDR(value) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("%s of an event must not be empty", field)));
	if (VARSIZE_ANY_EXHDR(value) > max)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("%s of an event is longer than %d bytes", field, max)));
}

/*
 * _check_event(user_id, name, properties, dedupe_key): true, or an error that
 * names the field. NULLs are left to the columns' own constraints.
 */
Datum
te_check_event(PG_FUNCTION_ARGS)
{
	check_text(fcinfo, 0, "user_id", TE_MAX_ID_BYTES);
	check_text(fcinfo, 1, "name", sizeof(((TeWatch *) 0)->event) - 1);
	check_text(fcinfo, 3, "dedupe_key", TE_MAX_ID_BYTES);
	if (!PG_ARGISNULL(2))
	{
		Jsonb	   *properties = PG_GETARG_JSONB_P(2);

		if (!JB_ROOT_IS_OBJECT(properties))
			ereport(ERROR,
					(errcode(TE_ERRCODE_EVENT),
					 errmsg("properties of an event must be a JSON object"),
					 errhint("Wrap the value, as in {\"value\": 1}.")));
	}
	PG_RETURN_BOOL(true);
}
