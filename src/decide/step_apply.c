/*
 * step_apply.c
 *		What steps change: attributes, lists, other journeys, and the record of exposures.
 *
 * Runs in the transaction that records the decision, so that the step and the run's next
 * place commit together. Needs SPI connected; may throw.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"

/*
 * Locks the item's user until the transaction ends. False while another transaction has
 * the row; one that does not exist yet is not waited for either.
 */
bool
te_step_lock_user(const TeItem *item)
{
	static SPIPlanPtr lock_plan = NULL;
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(item->user_id)};

	te_db_execute(&lock_plan, "SELECT FROM trigger_engine.users WHERE user_id = $1 FOR NO KEY UPDATE SKIP LOCKED",
				  1, types, values, NULL, false, 0);
	if (SPI_processed > 0)
		return true;
	te_db_execute(&plan, "SELECT FROM trigger_engine.users WHERE user_id = $1", 1, types, values, NULL, false, 0);
	return SPI_processed == 0;
}

/*
 * Sets attributes of the user; null takes one away.
 */
static void
set_attributes(const TeItem *item, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, JSONBOID, TIMESTAMPTZOID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = JsonbPGetDatum(item->step->attributes);
	values[2] = TimestampTzGetDatum(now);
	te_db_execute(&plan,
				  "INSERT INTO trigger_engine.users AS u (user_id, attributes, created_at, updated_at)"
				  " VALUES ($1, $2 - ARRAY(SELECT n.key FROM jsonb_each($2) n WHERE n.value = 'null'), $3, $3)"
				  " ON CONFLICT (user_id) DO UPDATE SET updated_at = $3, attributes = (u.attributes || $2)"
				  " - ARRAY(SELECT n.key FROM jsonb_each($2) n WHERE n.value = 'null')",
				  3, types, values, NULL, false, 0);
}

/*
 * Puts the user on a list, or takes them off.
 */
static void
change_list(const TeItem *item, TimestampTz now)
{
	static SPIPlanPtr add_plan = NULL;
	static SPIPlanPtr remove_plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(item->user_id);
	values[1] = CStringGetTextDatum(item->step->target);
	values[2] = TimestampTzGetDatum(now);
	if (item->step->removes)
		te_db_execute(&remove_plan, "DELETE FROM trigger_engine._list_members WHERE user_id = $1 AND list = $2",
					  2, types, values, NULL, false, 0);
	else
		te_db_execute(&add_plan, "INSERT INTO trigger_engine._list_members (user_id, list, added_at) VALUES ($1, $2, $3)"
					  " ON CONFLICT (user_id, list) DO NOTHING", 3, types, values, NULL, false, 0);
}

/*
 * Starts the user's run through another journey, once for this run and step, with the
 * properties that this one has.
 */
static void
start_other(const TeItem *item)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[4] = {TEXTOID, TEXTOID, TEXTOID, JSONBOID};
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};

	values[0] = CStringGetTextDatum(item->step->target);
	values[1] = CStringGetTextDatum(item->user_id);
	values[2] = CStringGetTextDatum(psprintf("start/" INT64_FORMAT "/%s/%s", item->journey_id, item->step_id, item->entry_key));
	values[3] = item->properties ? JsonbPGetDatum(item->properties) : (Datum) 0;
	if (item->properties == NULL)
		nulls[3] = 'n';
	te_db_execute(&plan, "SELECT trigger_engine._start_run(j.journey_id, j.version, $2, $3, coalesce($4, '{}'))"
				  " FROM trigger_engine._journeys j WHERE j.name = $1 AND j.state = 'live'",
				  4, types, values, nulls, false, 0);
}

/*
 * Ends the user's runs through another journey.
 */
static void
leave_other(const TeItem *item)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(item->step->target);
	values[1] = CStringGetTextDatum(item->user_id);
	values[2] = CStringGetTextDatum(psprintf("left by step \"%s\" of journey \"%s\"", item->step_id, item->journey_name));
	te_db_execute(&plan, "SELECT trigger_engine._end_runs(j.journey_id, $2, $3)"
				  " FROM trigger_engine._journeys j WHERE j.name = $1", 3, types, values, NULL, false, 0);
}

/*
 * Records the exposures of an item, the first of each.
 */
static void
record_exposures(const TeItem *item, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[9] = {TEXTOID, TEXTOID, INT4OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID};
	ListCell   *cell;

	foreach(cell, item->exposures)
	{
		const TeExposure *exposure = lfirst(cell);
		Datum		values[9];

		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = CStringGetTextDatum(exposure->experiment);
		values[2] = Int32GetDatum(exposure->epoch);
		values[3] = CStringGetTextDatum(exposure->variant);
		values[4] = Int64GetDatum(item->journey_id);
		values[5] = CStringGetTextDatum(item->entry_key);
		values[6] = CStringGetTextDatum(item->step_id);
		values[7] = TimestampTzGetDatum(now);
		values[8] = BoolGetDatum(exposure->held_out);
		te_db_execute(&plan,
					  "INSERT INTO trigger_engine._exposures (user_id, experiment, epoch, variant, journey_id, entry_key,"
					  " step, at, held_out) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
					  " ON CONFLICT (user_id, experiment, journey_id, entry_key, step) DO NOTHING",
					  9, types, values, NULL, false, 0);
	}
}

/*
 * Writes what the steps of a claim do. Messages that are held have not come to anything
 * yet.
 */
void
te_steps_apply(TeItem **items, int count, TimestampTz now)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];

		if (item->verdict == TE_HOLD || item->gate == TE_GATE_ENTRY)
			continue;
		if (item->step && item->step->kind == TE_STEP_DIGEST)
			te_step_close_digest(item);
		record_exposures(item, now);
		if (!item->acts)
			continue;
		switch (item->step->kind)
		{
			case TE_STEP_SET:
				set_attributes(item, now);
				break;
			case TE_STEP_LIST:
				change_list(item, now);
				break;
			case TE_STEP_START:
				start_other(item);
				break;
			case TE_STEP_LEAVE:
				leave_other(item);
				break;
			default:
				break;
		}
	}
}
