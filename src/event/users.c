/*
 * users.c
 *		What a change of a user's row means to triggers on attributes and dates.
 *
 * The row trigger runs for every written user and returns at once where no live journey is
 * about attributes or dates.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

#include "common/common.h"
#include "errors.h"
#include "event/event.h"

PG_FUNCTION_INFO_V1(te_capture_user);

/* A row of users, as far as triggers need it. */
typedef struct UserRow
{
	char	   *user_id;
	Jsonb	   *attributes;		/* NULL = there was no row */
	char	   *zone;
} UserRow;

/*
 * Reads a row; NULL leaves everything empty.
 */
static UserRow
read_row(Relation relation, HeapTuple row)
{
	TupleDesc	desc = RelationGetDescr(relation);
	UserRow		user = {0};
	int			attributes = SPI_fnumber(desc, "attributes");
	bool		isnull;
	Datum		value;

	if (row == NULL)
		return user;
	user.user_id = SPI_getvalue(row, desc, SPI_fnumber(desc, "user_id"));
	user.zone = SPI_getvalue(row, desc, SPI_fnumber(desc, "zone"));
	value = SPI_getbinval(row, desc, attributes, &isnull);
	user.attributes = isnull ? NULL : DatumGetJsonbP(value);
	return user;
}

/*
 * What an attribute's path leads to; JSON null when it leads nowhere.
 */
static Jsonb *
attribute_value(JsonPath *path, Jsonb *attributes)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		result;

	if (attributes == NULL)
		return te_json_parse("null");
	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(attributes);
	fcinfo->args[1].value = PointerGetDatum(path);
	fcinfo->args[2].value = JsonbPGetDatum(te_json_parse("{}"));
	fcinfo->args[3].value = BoolGetDatum(true); /* silent */
	fcinfo->args[0].isnull = fcinfo->args[1].isnull = false;
	fcinfo->args[2].isnull = fcinfo->args[3].isnull = false;
	result = jsonb_path_query_first(fcinfo);
	return fcinfo->isnull ? te_json_parse("null") : DatumGetJsonbP(result);
}

/*
 * True when two values are equal.
 */
static bool
same(Jsonb *a, Jsonb *b)
{
	return compareJsonbContainers(&a->root, &b->root) == 0;
}

/*
 * What a template sees as the event: {"from", "to"}.
 */
static Jsonb *
change_context(Jsonb *from, Jsonb *to)
{
	return te_json_parse(psprintf("{\"from\": %s, \"to\": %s}", te_json_to_cstring(from), te_json_to_cstring(to)));
}

/*
 * Lets the user enter a journey whose attribute has changed as it says.
 */
static void
check_attribute(const TeJourney *journey, const UserRow *old, const UserRow *new)
{
	Jsonb	   *from = attribute_value(journey->attribute, old->attributes);
	Jsonb	   *to = attribute_value(journey->attribute, new->attributes);
	TeEvent		event = {0};

	if (same(from, to) || (journey->from && !same(journey->from, from)) || (journey->to && !same(journey->to, to)))
		return;
	event.user_id = new->user_id;
	event.properties = change_context(from, to);
	event.occurred_at = te_clock_transaction();
	/* a change is one of its own, also within a transaction */
	SPI_execute("SELECT pg_catalog.nextval('trigger_engine._event_id_seq')", false, 1);
	event.source_key = psprintf("attribute/%s", SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	event.tracked = true;
	te_event_enter(journey, &event);
}

/*
 * Sets the timer of a date anew.
 */
static void
arm_date(const TeJourney *journey, const UserRow *new)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {INT8OID, TEXTOID};
	Datum		values[2];

	values[0] = Int64GetDatum(journey->id);
	values[1] = CStringGetTextDatum(new->user_id);
	te_db_execute(&plan, "SELECT trigger_engine._arm_dates($1, $2)", 2, types, values, NULL, false, 1);
}

/*
 * Row trigger on users, after INSERT and UPDATE.
 */
Datum
te_capture_user(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		update;
	TeJourneySet *set;
	UserRow		old,
				new;
	TeIdentity	saved;
	bool		outermost;
	int			i;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_capture_user must be called by an AFTER ROW trigger")));
	set = te_journey_set();
	if (set->fence != TE_FENCE_OPEN || !set->watches_users)
		PG_RETURN_POINTER(NULL);

	te_event_register_callbacks();
	outermost = te_event_begin_work();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	old = read_row(trigger->tg_relation, update ? trigger->tg_trigtuple : NULL);
	new = read_row(trigger->tg_relation, update ? trigger->tg_newtuple : trigger->tg_trigtuple);
	te_run_as_begin(&saved, set->owner, TE_RUN_KEPT_PLANS);
	for (i = 0; i < set->njourneys && strlen(new.user_id) <= TE_MAX_ID_BYTES; i++)
	{
		TeJourney  *journey = set->journeys[i];

		if (journey->trigger_kind == TE_TRIGGER_ATTRIBUTE)
			check_attribute(journey, &old, &new);
		else if (journey->trigger_kind == TE_TRIGGER_DATE &&
				 (!update || !same(old.attributes, new.attributes) ||
				  strcmp(old.zone ? old.zone : "", new.zone ? new.zone : "") != 0))
			arm_date(journey, &new);
	}
	SPI_finish();
	te_run_as_end(&saved);
	if (outermost)
		te_event_end_work();
	PG_RETURN_POINTER(NULL);
}
