/*
 * step_run.c
 *		What steps other than messages do when they are due: where the run goes, and when.
 *
 * Nothing is written here, as a claim may be decided twice; step_apply.c does. What a
 * step asks may be analysts' SQL, so it is asked within a limit of time, and when it
 * fails the run stays where it is and is looked at again later. Needs a transaction with
 * SPI connected.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "common/common.h"
#include "decide/decide.h"
#include "experiment/experiment.h"
#include "guc.h"
#include "time/time.h"

/* What a step asks of an item, under guard. */
typedef struct Question
{
	TeItem	   *item;
	TimestampTz now;
} Question;

/*
 * Has the run leave the step for another, or for the end, at an instant.
 */
static void
turn(TeItem *item, int step, TimestampTz at)
{
	item->has_turn = true;
	item->turn = step;
	item->turn_at = at;
}

/*
 * A share of an interval from 0 to 1, the same whenever it is asked: by a hash of the
 * run and the step.
 */
static double
share(const TeItem *item)
{
	char	   *key = psprintf(INT64_FORMAT "\n%s\n%s", item->journey_id, item->entry_key, item->step_id);
	uint64		hash = hash_bytes_extended((const unsigned char *) key, strlen(key), 0);

	hash = hash_bytes_extended((const unsigned char *) item->user_id, strlen(item->user_id), hash);
	return (double) (hash >> 11) / (double) (UINT64CONST(1) << 53);
}

/*
 * A wait that is over, or whose length is drawn now that it begins.
 */
static void
run_wait(TeItem *item)
{
	const TeStep *step = item->step;
	TimestampTz at = item->due_at;

	if (step->has_jitter)
		at = te_clock_add(at, &step->wait) +
			(int64) (share(item) * (step->jitter.day * (double) USECS_PER_DAY + step->jitter.time));
	turn(item, step->next, at);
}

/*
 * The instant that an attribute names, by the clock of a zone; false when it names none.
 * A date without a time is its midnight.
 */
static bool
read_instant(const TeItem *item, JsonPath *path, pg_tz *zone, TimestampTz *at)
{
	char	   *text = item->attributes ? te_journey_path_text(path, item->attributes) : NULL;
	bool		has_zone;
	char	   *time;

	if (text == NULL || text[0] == '\0')
		return false;
	/* an offset can only follow a time */
	time = strchr(text, ':');
	has_zone = time && strpbrk(time, "+-Zz") != NULL;
	if (has_zone)
		*at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
													  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	else
		*at = te_time_at(DatumGetTimestamp(DirectFunctionCall3(timestamp_in, CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))), zone);
	return !TIMESTAMP_NOT_FINITE(*at);
}

/*
 * The user's best hour for a message from an instant on.
 */
static TimestampTz
best_hour(const TeItem *item, const char *channel, TimestampTz from)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[3] = {CStringGetTextDatum(item->user_id), CStringGetTextDatum(channel), TimestampTzGetDatum(from)};
	Datum		result;
	bool		isnull;

	te_db_execute(&plan, "SELECT trigger_engine.best_hour($1, $2, $3)", 3, types, values, NULL, true, 1);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? from : Max(from, DatumGetTimestampTz(result));
}

/*
 * Until when a wait_until waits. What has passed already keeps nobody waiting.
 */
static void
run_wait_until(TeItem *item)
{
	const TeMoment *moment = item->step->moment;
	const char *source;
	pg_tz	   *zone = te_facts_zone(item, &source);
	TimestampTz at = item->due_at;
	TimestampTz named;

	if (moment->attribute && read_instant(item, moment->attribute, zone, &named))
		at = Max(at, te_time_at(te_clock_add(te_time_local(named, zone), &moment->offset), zone));
	if (moment->best_channel)
		at = best_hour(item, moment->best_channel, at);
	turn(item, item->step->next, te_journey_first_moment(moment, at, zone));
}

/*
 * An awaited event has come, or the time is over. Events that committed late, or came
 * before the run had reached the step, are looked for here.
 */
static void
run_wait_for(TeItem *item, TimestampTz now)
{
	const TeStep *step = item->step;
	bool		begins = step->counts && !item->was_put_back;
	TimestampTz reached = item->was_put_back ? item->first_due_at : item->event_at;

	if (item->arm < 0)
		item->arm = te_step_awaited(item, step, step->counts ? item->event_at : reached,
									begins ? now : Min(item->due_at - 1, now));
	if (item->arm >= 0 && item->arm < step->narms)
		turn(item, step->arms[item->arm].first, Min(item->due_at, now));
	else if (begins)
		turn(item, item->step_index, item->due_at);
	else
		turn(item, step->other, item->due_at);
}

/*
 * The first arm whose condition holds.
 */
static void
run_branch(TeItem *item, TimestampTz now)
{
	const TeStep *step = item->step;
	int			i;

	for (i = 0; i < step->narms; i++)
		if (te_step_holds(item, step->arms[i].when, now))
		{
			turn(item, step->arms[i].first, item->due_at);
			return;
		}
	turn(item, step->other, item->due_at);
}

/*
 * Notes that the item was exposed to an experiment, and returns the variant; NULL when
 * the user is not in it.
 */
static char *
expose(TeItem *item, const char *experiment, TimestampTz now)
{
	TeAssignment assignment;
	TeExposure *exposure;

	te_experiment_assign(experiment, item->user_id, now, true, &assignment);
	if (assignment.variant == NULL)
		return NULL;
	exposure = palloc0(sizeof(TeExposure));
	exposure->experiment = pstrdup(experiment);
	exposure->epoch = assignment.epoch;
	exposure->variant = pstrdup(assignment.variant);
	item->exposures = lappend(item->exposures, exposure);
	return exposure->variant;
}

/*
 * The arm of the user's variant.
 */
static void
run_split(TeItem *item, TimestampTz now)
{
	const TeStep *step = item->step;
	char	   *variant = expose(item, step->experiment, now);
	int			i;

	turn(item, step->other, item->due_at);
	for (i = 0; variant && i < step->narms; i++)
		if (strcmp(step->arms[i].variant, variant) == 0)
			turn(item, step->arms[i].first, item->due_at);
}

/*
 * The window is over; while events are being added to it, it is looked at again soon.
 */
static void
run_digest(TeItem *item, TimestampTz now)
{
	if (te_step_lock_digest(item))
		turn(item, item->step->next, item->due_at);
	else
	{
		te_gate_hold(item, TE_GATE_ENTRY, "an event is being added", now);
		item->hold_until = now + USECS_PER_SEC / 10;
	}
}

/*
 * Attributes are set once nobody else is changing the user, whose transaction may wait
 * for what this claim has taken: it is looked at again soon.
 */
static void
run_set(TeItem *item, TimestampTz now)
{
	if (te_step_lock_user(item))
	{
		item->acts = true;
		turn(item, item->step->next, item->due_at);
	}
	else
	{
		te_gate_hold(item, TE_GATE_ENTRY, "the user is being changed", now);
		item->hold_until = now + USECS_PER_SEC / 10;
	}
}

/*
 * Whether a rung is wanted: nothing says that it, or the rest of its ladder, is not.
 */
static void
run_rung(TeItem *item, TimestampTz now)
{
	const TeStep *step = item->step;
	const TeStep *ladder = &item->journey->steps[step->parent];

	if (step->until && te_step_holds(item, step->until, now))
	{
		turn(item, ladder->next, now);
		item->reason = psprintf("the rest of ladder \"%s\" is not needed", ladder->id);
	}
	else if (step->unless && te_step_holds(item, step->unless, now))
		item->reason = "skipped, as its condition \"unless\" holds";
	else
		return;
	item->verdict = TE_WITHHOLD;
	item->gate = TE_GATE_SEGMENT;
}

/*
 * Where the run goes on to await events, and should have done so a while ago, those that
 * have come since are looked for at once.
 */
static void
look_back(TeItem *item, TimestampTz now)
{
	const TeStep *next;
	TimestampTz end;
	int			arm;

	if (!item->has_turn || item->turn == TE_STEP_END || item->turn == item->step_index || item->turn_at >= now)
		return;
	next = &item->journey->steps[item->turn];
	if (next->kind != TE_STEP_WAIT_FOR || next->counts)
		return;
	end = next->endless ? DT_NOEND : te_clock_add(item->turn_at, &next->wait);
	arm = te_step_awaited(item, next, item->turn_at, Min(end - 1, now));
	if (arm >= 0)
		turn(item, next->arms[arm].first, now);
}

/*
 * Runs the step. May throw.
 */
static void
run(void *arg)
{
	Question   *question = arg;
	TeItem	   *item = question->item;

	switch (item->step->kind)
	{
		case TE_STEP_SEND:
			run_rung(item, question->now);
			break;
		case TE_STEP_WAIT:
			run_wait(item);
			break;
		case TE_STEP_WAIT_UNTIL:
			run_wait_until(item);
			break;
		case TE_STEP_WAIT_FOR:
			run_wait_for(item, question->now);
			break;
		case TE_STEP_BRANCH:
			run_branch(item, question->now);
			break;
		case TE_STEP_SPLIT:
			run_split(item, question->now);
			break;
		case TE_STEP_SET:
			run_set(item, question->now);
			break;
		case TE_STEP_LIST:
		case TE_STEP_START:
		case TE_STEP_LEAVE:
			item->acts = true;
			turn(item, item->step->next, item->due_at);
			break;
		case TE_STEP_DIGEST:
			run_digest(item, question->now);
			break;
		case TE_STEP_LADDER:
		case TE_STEP_EXIT:
			break;
	}
	look_back(item, question->now);
}

/*
 * Runs the step of an item, unless it is a plain message or has nothing to ask: says
 * where the run goes. One that fails is held.
 */
void
te_step_run(TeItem *item, TimestampTz now)
{
	Question	question = {item, now};
	ErrorData  *failure;
	bool		over;

	/* the rung after this one takes over when it fails */
	if (item->step->is_rung && item->step->next != TE_STEP_END &&
		item->journey->steps[item->step->next].parent == item->step->parent)
		item->fallback = pstrdup(item->journey->steps[item->step->next].id);
	if (item->step->kind == TE_STEP_EXIT ||
		(item->step->kind == TE_STEP_SEND && item->step->until == NULL && item->step->unless == NULL))
		return;
	if (te_db_guarded(run, &question, te_guc_segment_timeout, &over, &failure))
		return;
	item->has_turn = item->acts = false;
	te_gate_hold(item, TE_GATE_SEGMENT,
				 over ? psprintf("step \"%s\" takes longer than trigger_engine.segment_timeout", item->step_id)
				 : psprintf("step \"%s\": %s", item->step_id, failure->message), now);
	FreeErrorData(failure);
}

/*
 * Asks the experiment of a message for the user's variant. May throw.
 */
static void
ask(void *arg)
{
	Question   *question = arg;
	TeItem	   *item = question->item;
	char	   *variant = expose(item, item->step->experiment, question->now);
	int			i;

	for (i = 0; variant && i < item->step->nvariants; i++)
		if (strcmp(item->step->variants[i], variant) == 0)
			return;
	item->verdict = TE_WITHHOLD;
	item->gate = TE_GATE_EXPERIMENT;
	item->reason = variant ? psprintf("variant \"%s\" of experiment \"%s\" does not get it", variant, item->step->experiment)
		: psprintf("not in experiment \"%s\"", item->step->experiment);
}

/*
 * The gate of a message that is for some variants of an experiment only.
 */
void
te_step_ask_experiment(TeItem *item, TimestampTz now)
{
	Question	question = {item, now};
	ErrorData  *failure;

	if (te_db_subtransaction(ask, &question, &failure))
		return;
	te_gate_hold(item, TE_GATE_EXPERIMENT, psprintf("experiment \"%s\": %s", item->step->experiment, failure->message), now);
	FreeErrorData(failure);
}
