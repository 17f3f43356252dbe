/*
 * step_condition.c
 *		Answers to the conditions of steps, each by one look at what it is about.
 *
 * No look grows with history: events and interactions are found by user and time, and
 * counted no further than asked for. Needs a transaction with SPI connected; may throw.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"
#include "errors.h"
#include "segment/segment.h"

/* properties fulfil a matcher's condition: $n the path, NULL = any, and whether it is a predicate */
#define FULFILS(path, predicate) \
	" AND (" path " IS NULL OR CASE WHEN " predicate " THEN coalesce(e.properties OPERATOR(pg_catalog.@@) " path ", false)" \
	" ELSE coalesce(e.properties OPERATOR(pg_catalog.@?) " path ", false) END)"

/*
 * The instant an interval before another.
 */
static TimestampTz
before(TimestampTz at, const Interval *by)
{
	Interval	back = *by;

	back.time = -back.time;
	back.day = -back.day;
	back.month = -back.month;
	return te_clock_add(at, &back);
}

/*
 * True when the user had the event often enough, since the run began or within a time.
 */
static bool
had_event(const TeItem *item, const TeCondition *condition, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[7] = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, JSONPATHOID, BOOLOID, INT4OID};
	Datum		values[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
	bool		isnull;
	bool		result;

	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = CStringGetTextDatum(condition->matcher.event);
	values[2] = TimestampTzGetDatum(condition->within ? before(now, condition->within) : item->event_at);
	values[3] = TimestampTzGetDatum(now);
	values[4] = PointerGetDatum(condition->matcher.where);
	if (condition->matcher.where == NULL)
		nulls[4] = 'n';
	values[5] = BoolGetDatum(condition->matcher.is_predicate);
	values[6] = Int32GetDatum(condition->count);
	te_db_execute(&plan,
				  "SELECT count(*) >= $7 FROM (SELECT FROM trigger_engine.events e WHERE e.user_id = $1 AND e.name = $2"
				  " AND e.occurred_at >= $3 AND e.occurred_at <= $4" FULFILS("$5", "$6") " LIMIT $7) x",
				  7, types, values, nulls, true, 1);
	result = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return result;
}

/*
 * The number of the event that a wait_for step awaited, the first of those from an
 * instant to another that came after the one that began the run; -1 when there is none.
 */
int
te_step_awaited(const TeItem *item, const TeStep *step, TimestampTz from, TimestampTz until)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[8] = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, JSONPATHOID, BOOLOID, TIMESTAMPTZOID, INT8OID};
	Datum		values[8];
	TimestampTz first_at = DT_NOEND;
	int64		first_id = 0;
	int			first = -1;
	int			i;

	for (i = 0; i < step->narms; i++)
	{
		const TeMatcher *matcher = step->arms[i].matcher;
		char		nulls[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
		bool		isnull;
		TimestampTz at;
		int64		id;

		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = CStringGetTextDatum(matcher->event);
		values[2] = TimestampTzGetDatum(from);
		values[3] = TimestampTzGetDatum(until);
		values[4] = PointerGetDatum(matcher->where);
		if (matcher->where == NULL)
			nulls[4] = 'n';
		values[5] = BoolGetDatum(matcher->is_predicate);
		values[6] = TimestampTzGetDatum(item->event_at);
		values[7] = Int64GetDatum(item->event_id);
		te_db_execute(&plan,
					  "SELECT e.occurred_at, e.event_id FROM trigger_engine.events e WHERE e.user_id = $1 AND e.name = $2"
					  " AND e.occurred_at >= $3 AND e.occurred_at <= $4 AND (e.occurred_at > $7 OR e.event_id > $8)"
					  FULFILS("$5", "$6") " ORDER BY e.occurred_at, e.event_id LIMIT 1",
					  8, types, values, nulls, true, 1);
		if (SPI_processed == 0)
		{
			SPI_freetuptable(SPI_tuptable);
			continue;
		}
		at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
		SPI_freetuptable(SPI_tuptable);
		if (first < 0 || at < first_at || (at == first_at && id < first_id))
		{
			first = i;
			first_at = at;
			first_id = id;
		}
	}
	return first;
}

/*
 * True when the user did that with a message of this run; what machines opened does not
 * count.
 */
static bool
interacted(const TeItem *item, const TeCondition *condition, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[6] = {TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};

	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = Int64GetDatum(item->journey_id);
	values[2] = CStringGetTextDatum(item->entry_key);
	if (condition->step)
		values[3] = CStringGetTextDatum(condition->step);
	else
		nulls[3] = 'n';
	values[4] = CStringGetTextDatum(condition->text);
	values[5] = TimestampTzGetDatum(condition->within ? before(now, condition->within) : DT_NOBEGIN);
	te_db_execute(&plan,
				  "SELECT FROM trigger_engine._send_keys k WHERE k.user_id = $1 AND k.journey_id = $2 AND k.entry_key = $3"
				  " AND ($4 IS NULL OR k.step = $4) AND (EXISTS (SELECT FROM trigger_engine._interactions i"
				  " WHERE i.user_id = $1 AND i.send_id = k.send_id AND i.kind = $5 AND NOT i.machine AND i.at >= $6)"
				  " OR EXISTS (SELECT FROM trigger_engine.inbox b WHERE b.user_id = $1 AND b.send_id = k.send_id"
				  " AND CASE $5 WHEN 'seen' THEN b.seen_at >= $6 WHEN 'read' THEN b.read_at >= $6"
				  " WHEN 'clicked' THEN b.interacted_at >= $6 ELSE false END)) LIMIT 1",
				  6, types, values, nulls, true, 1);
	SPI_freetuptable(SPI_tuptable);
	return SPI_processed > 0;
}

/*
 * True when a model's prediction, or the probability that the user clicks on the
 * channel, lies between the bounds. Unknown is no.
 */
static bool
has_score(const TeItem *item, const TeCondition *condition, TimestampTz now)
{
	static SPIPlanPtr model_plan = NULL;
	static SPIPlanPtr engagement_plan = NULL;
	Oid			model_types[2] = {TEXTOID, JSONBOID};
	Oid			engagement_types[3] = {TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[3];
	Datum		result;
	double		score;
	bool		isnull;

	if (condition->is_engagement)
	{
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = CStringGetTextDatum(condition->name);
		values[2] = TimestampTzGetDatum(now);
		te_db_execute(&engagement_plan, "SELECT trigger_engine.engagement_probability($1, $2, $3)",
					  3, engagement_types, values, NULL, true, 1);
	}
	else
	{
		values[0] = CStringGetTextDatum(condition->name);
		values[1] = JsonbPGetDatum(item->attributes ? item->attributes : te_json_parse("{}"));
		te_db_execute(&model_plan, "SELECT trigger_engine.predict($1, $2)", 2, model_types, values, NULL, true, 1);
	}
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	score = isnull ? 0 : DatumGetFloat8(result);
	SPI_freetuptable(SPI_tuptable);
	if (isnull)
		return false;
	return (isnan(condition->above) || score > condition->above) && (isnan(condition->below) || score < condition->below);
}

/*
 * True when the first row of a query over the user begins with true. Somebody else's
 * SQL: runs as the journey's owner, restricted.
 */
static bool
says_sql(const TeItem *item, const TeCondition *condition)
{
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(item->user_id);
	Oid			owner = get_role_oid(item->journey->owner, false);
	MemoryContext caller = CurrentMemoryContext;
	TeIdentity	saved;
	SPIPlanPtr	plan;
	bool		result = false;

	te_run_as_begin(&saved, owner, TE_RUN_RESTRICTED);
	plan = SPI_prepare(condition->text, 1, &type);
	if (plan == NULL || !SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("its sql is not a query")));
	if (SPI_execute_plan(plan, &value, NULL, true, 1) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("its sql is not a query")));
	if (SPI_tuptable->tupdesc->natts < 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != BOOLOID)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("its sql does not return a boolean")));
	if (SPI_processed > 0)
	{
		bool		isnull;
		Datum		answer = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		result = !isnull && DatumGetBool(answer);
	}
	SPI_freetuptable(SPI_tuptable);
	SPI_freeplan(plan);
	te_run_as_end(&saved);
	MemoryContextSwitchTo(caller);	/* SPI leaves its own */
	return result;
}

/*
 * True when the user is in one of the stages of life.
 */
static bool
in_stage(const TeItem *item, const TeCondition *condition, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, TIMESTAMPTZOID};
	Datum		values[2] = {CStringGetTextDatum(item->user_id), TimestampTzGetDatum(now)};
	char	   *stage;
	int			i;

	te_db_execute(&plan, "SELECT trigger_engine.life_stage($1, $2)", 2, types, values, NULL, true, 1);
	stage = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	SPI_freetuptable(SPI_tuptable);
	for (i = 0; stage && i < condition->nstages; i++)
		if (strcmp(stage, condition->stages[i]) == 0)
			return true;
	return false;
}

/*
 * True when the user is on the list.
 */
static bool
on_list(const TeItem *item, const TeCondition *condition)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2] = {CStringGetTextDatum(item->user_id), CStringGetTextDatum(condition->name)};

	te_db_execute(&plan, "SELECT FROM trigger_engine._list_members WHERE user_id = $1 AND list = $2",
				  2, types, values, NULL, true, 1);
	SPI_freetuptable(SPI_tuptable);
	return SPI_processed > 0;
}

/*
 * Whether a condition holds for the item's user now.
 */
bool
te_step_holds(TeItem *item, const TeCondition *condition, TimestampTz now)
{
	bool		result = false;
	int			i;

	check_stack_depth();
	switch (condition->kind)
	{
		case TE_CONDITION_ALL:
			for (i = 0; i < condition->nparts; i++)
				if (!te_step_holds(item, &condition->parts[i], now))
					return false;
			return true;
		case TE_CONDITION_ANY:
			for (i = 0; i < condition->nparts; i++)
				if (te_step_holds(item, &condition->parts[i], now))
					return true;
			return false;
		case TE_CONDITION_NOT:
			return !te_step_holds(item, condition->parts, now);
		case TE_CONDITION_EVENT:
			return had_event(item, condition, now);
		case TE_CONDITION_ATTRIBUTE:
			return item->attributes && te_journey_matches(&condition->matcher, item->attributes);
		case TE_CONDITION_SEGMENT:
			te_segment_probe(condition->name, &item->user_id, 1, &result);
			return result;
		case TE_CONDITION_SCORE:
			return has_score(item, condition, now);
		case TE_CONDITION_INTERACTION:
			return interacted(item, condition, now);
		case TE_CONDITION_SQL:
			return says_sql(item, condition);
		case TE_CONDITION_STAGE:
			return in_stage(item, condition, now);
		case TE_CONDITION_LIST:
			return on_list(item, condition);
	}
	return false;
}
