/*
 * watch.c
 *		The WHEN clause of the capture trigger, and the form of an event.
 */
#include "postgres.h"

#include "access/detoast.h"
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
 * Refuses a text that is empty or too long.
 */
static void
check_text(FunctionCallInfo fcinfo, int number, const char *field, int max)
{
	Size		len;

	if (PG_ARGISNULL(number))
		return;
	len = toast_raw_datum_size(PG_GETARG_DATUM(number)) - VARHDRSZ;
	if (len == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("%s of an event must not be empty", field)));
	if (len > max)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("%s of an event is longer than %d bytes", field, max)));
}

/*
 * Refuses properties that are not an object; only their header is read.
 */
static void
check_properties(Datum properties)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(properties);
	uint32		header;

	if (VARATT_IS_EXTENDED(value) && !VARATT_IS_SHORT(value))
		value = PG_DETOAST_DATUM_SLICE(properties, 0, sizeof(header));
	memcpy(&header, VARDATA_ANY(value), sizeof(header));
	if ((header & JB_FOBJECT) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_EVENT),
				 errmsg("properties of an event must be a JSON object"),
				 errhint("Wrap the value, as in {\"value\": 1}.")));
}

/*
 * _is_watched(name, user_id, properties, occurred_at, dedupe_key): whether the
 * capture trigger needs this row. Runs for every inserted row as the inserting role,
 * so it is the one function with a side (it reads the set of journeys) that PUBLIC may
 * execute. Throws for a malformed event and for one outside the bounds of time, which
 * costs less here than in a check of the table. NULLs are left to the columns.
 */
Datum
te_is_watched(PG_FUNCTION_ARGS)
{
	TeJourneySet *set;
	text	   *name;

	check_text(fcinfo, 0, "name", sizeof(((TeWatch *) 0)->event) - 1);
	check_text(fcinfo, 1, "user_id", TE_MAX_ID_BYTES);
	check_text(fcinfo, 4, "dedupe_key", TE_MAX_ID_BYTES);
	if (!PG_ARGISNULL(2))
		check_properties(PG_GETARG_DATUM(2));
	if (!te_guc_ingest)
		PG_RETURN_BOOL(false);
	set = te_journey_set();
	if (!is_open(set))
		PG_RETURN_BOOL(false);
	if (!PG_ARGISNULL(3))
		check_time(PG_GETARG_TIMESTAMPTZ(3));
	if (!PG_ARGISNULL(4))
		PG_RETURN_BOOL(true);
	if (!PG_ARGISNULL(1))
	{
		text	   *user_id = PG_GETARG_TEXT_PP(1);

		if (te_event_is_erased(set->owner, VARDATA_ANY(user_id), VARSIZE_ANY_EXHDR(user_id)))
			PG_RETURN_BOOL(true);
	}
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	name = PG_GETARG_TEXT_PP(0);
	PG_RETURN_BOOL(te_journey_watch(set, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) != NULL);
}
