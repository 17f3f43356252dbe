/*
 * compile_trigger.c
 *		What starts a journey, and who may enter it again.
 *
 * Kinds whose start is an event are matched by the capture trigger; those that begin
 * with time or with an object are armed and expanded by the maintenance worker, which
 * reads the same definition in SQL (sql/74_passes.sql). The keys of every kind are
 * checked here, so that both can rely on them.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "errors.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"
#include "time/time.h"

/* A sequence is looked for among that many events of a user at most. */
#define MAX_PARTS 100

static const char *const reentry_keys[] = {"policy", "after", "limit", NULL};
static const char *const reentry_policies[] = {"once", "once_per_key", "after", "parallel", NULL};
static const char *const matcher_keys[] = {"name", "where", NULL};
static const char *const part_keys[] = {"name", "where", "times", NULL};
static const char *const sum_keys[] = {"path", "reach", NULL};
static const char *const streak_keys[] = {"days", NULL};
static const char *const interest_keys[] = {"event", "where", "path", "until", NULL};
static const char *const followed_keys[] = {"name", "where", "path", NULL};

/* The kinds by name, in the order of TeTriggerKind, with their keys. */
static const struct
{
	const char *name;
	const char *keys[10];
}			trigger_kinds[] =
{
	{"event", {"kind", "name", "where", "entry_key", NULL}},
	{"absence", {"kind", "after", "without", "within", "match", "entry_key", NULL}},
	{"sequence", {"kind", "events", "within", "entry_key", NULL}},
	{"milestone", {"kind", "event", "where", "count", "sum", "streak", "every", "count_history", NULL}},
	{"attribute", {"kind", "name", "path", "from", "to", "changed", NULL}},
	{"inactivity", {"kind", "for", "events", NULL}},
	{"date", {"kind", "attribute", "at", "every", "offset", "feb29", NULL}},
	{"schedule", {"kind", "cron", "at", "segment", "zone", "rate", NULL}},
	{"price_drop", {"kind", "source", "key", "column", "by", "interest", "rate", NULL}},
	{"back_in_stock", {"kind", "source", "key", "column", "interest", "rate", NULL}},
	{"followed", {"kind", "event", "interest", "rate", NULL}},
	{"segment", {"kind", "segment", "on", NULL}},
	{"call", {"kind", NULL}},
};

/*
 * Reads the re-entry policy. A trigger with an entry key means once per key, a sequence
 * by itself once within its time.
 */
void
te_journey_compile_reentry(TeJourney *journey, Jsonb *reentry)
{
	const char *what = "reentry";
	char	   *policy;
	Interval   *after;
	double		limit;
	int			i;

	journey->reentry = journey->entry_key ? TE_REENTRY_ONCE_PER_KEY : TE_REENTRY_EVENT;
	if (reentry == NULL)
	{
		/* one more click would otherwise be one more sequence */
		if (journey->trigger_kind == TE_TRIGGER_SEQUENCE && journey->entry_key == NULL)
		{
			journey->reentry = TE_REENTRY_AFTER;
			journey->reentry_after = journey->within;
		}
		return;
	}
	te_json_check_keys(reentry, what, reentry_keys);
	policy = te_json_text(reentry, "policy", what);
	after = te_json_interval(reentry, "after", what);
	limit = te_json_number(reentry, "limit", 0, what);
	for (i = 0; policy && reentry_policies[i]; i++)
		if (strcmp(policy, reentry_policies[i]) == 0)
			break;
	if (policy == NULL || reentry_policies[i] == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"policy\" of reentry must be \"once\", \"once_per_key\", \"after\" or \"parallel\"")));
	journey->reentry = TE_REENTRY_ONCE + i;
	if ((journey->reentry == TE_REENTRY_AFTER) != (after != NULL))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"after\" of reentry goes with the policy \"after\" and only with it")));
	if (after)
	{
		te_journey_check_length(after, "key \"after\" of reentry");
		journey->reentry_after = *after;
	}
	if (journey->reentry == TE_REENTRY_ONCE_PER_KEY && journey->entry_key == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("the policy \"once_per_key\" needs an \"entry_key\" in the trigger"),
				 errhint("Add a jsonpath such as \"entry_key\": \"$.cart_id\".")));
	if (journey->reentry != TE_REENTRY_ONCE_PER_KEY && journey->entry_key != NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("an \"entry_key\" goes with the policy \"once_per_key\" only")));
	if (journey->reentry == TE_REENTRY_PARALLEL)
	{
		if (!(limit >= 1 && limit <= 10000) || limit != floor(limit))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"limit\" of reentry must be a whole number from 1 to 10000")));
		journey->reentry_limit = (int) limit;
	}
	else if (te_json_find(reentry, "limit") != NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"limit\" of reentry goes with the policy \"parallel\" only")));
}

/*
 * A text that has to be there.
 */
static char *
needed_text(Jsonb *trigger, const char *key, const char *what, const char *hint)
{
	char	   *text = te_json_text(trigger, key, what);

	if (text == NULL || text[0] == '\0')
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" is missing in %s", key, what),
				 errhint("%s", hint)));
	return text;
}

/*
 * An interval above zero that has to be there.
 */
static Interval
needed_interval(Jsonb *trigger, const char *key, const char *what)
{
	Interval   *interval = te_json_interval(trigger, key, what);

	if (interval == NULL || te_clock_add(0, interval) <= 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be an interval above zero, such as \"3 min\"", key, what)));
	te_journey_check_length(interval, psprintf("key \"%s\" of %s", key, what));
	return *interval;
}

/*
 * A whole number between bounds.
 */
static int
whole_number(Jsonb *object, const char *key, double absent, int least, int most, const char *what)
{
	double		number = te_json_number(object, key, absent, what);

	if (!(number >= least && number <= most) || number != floor(number))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be a whole number from %d to %d", key, what, least, most)));
	return (int) number;
}

/*
 * Reads an array of events into matchers, each as often as "times" says where that is
 * allowed.
 */
static TeMatcher *
compile_parts(Jsonb *trigger, const char *key, bool times, int *count)
{
	const char *what = psprintf("key \"%s\" of trigger", key);
	Jsonb	   *array = te_json_array(trigger, key, "trigger");
	TeMatcher  *parts = palloc0(sizeof(TeMatcher) * MAX_PARTS);
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	*count = 0;
	if (array == NULL || JB_ROOT_COUNT(array) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be an array of events", what),
				 errhint("Write [{\"name\": \"order\"}].")));
	it = JsonbIteratorInit(&array->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		TeMatcher	part = {0};
		Jsonb	   *object;
		int			n;

		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvBinary)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s must be an array of events", what),
					 errhint("Write [{\"name\": \"order\"}].")));
		object = JsonbValueToJsonb(&item);
		te_json_check_keys(object, what, times ? part_keys : matcher_keys);
		te_journey_compile_matcher(&part, object, what);
		for (n = times ? whole_number(object, "times", 1, 1, MAX_PARTS, what) : 1; n > 0; n--)
		{
			if (*count == MAX_PARTS)
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("%s has more than %d events", what, MAX_PARTS)));
			parts[(*count)++] = part;
		}
	}
	return parts;
}

/*
 * absence: an event, and those that may not follow it in time.
 */
static void
compile_absence(TeJourney *journey, Jsonb *trigger)
{
	Jsonb	   *after = te_json_object(trigger, "after", "trigger");
	char	   *match = te_json_text(trigger, "match", "trigger");

	if (after == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"after\" is missing in trigger"),
				 errhint("Write {\"kind\": \"absence\", \"after\": {\"name\": \"cart\"}, \"without\": [{\"name\": \"order\"}], \"within\": \"10 min\"}.")));
	te_json_check_keys(after, "key \"after\" of trigger", matcher_keys);
	te_journey_compile_matcher(&journey->trigger, after, "key \"after\" of trigger");
	journey->parts = compile_parts(trigger, "without", false, &journey->nparts);
	journey->within = journey->delay = needed_interval(trigger, "within", "trigger");
	if (match)
		journey->match = te_journey_parse_path(match, "match", "trigger");
}

/*
 * sequence: the events in their order; the last one is what the capture trigger waits for.
 */
static void
compile_sequence(TeJourney *journey, Jsonb *trigger)
{
	journey->parts = compile_parts(trigger, "events", true, &journey->nparts);
	if (journey->nparts < 2)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("a sequence needs two events or more"),
				 errhint("Add an event, or \"times\" to the one, or use the kind \"event\".")));
	journey->trigger = journey->parts[--journey->nparts];
	journey->within = needed_interval(trigger, "within", "trigger");
}

/*
 * milestone: a count, a sum or a streak of days.
 */
static void
compile_milestone(TeJourney *journey, Jsonb *trigger)
{
	const char *what = "trigger";
	Jsonb	   *sum = te_json_object(trigger, "sum", what);
	Jsonb	   *streak = te_json_object(trigger, "streak", what);
	bool		count = te_json_find(trigger, "count") != NULL;
	char	   *where = te_json_text(trigger, "where", what);
	JsonbValue *reach;
	JsonbPair	pair[2];
	JsonbValue	object;

	if (count + (sum != NULL) + (streak != NULL) != 1)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("a milestone has one of \"count\", \"sum\" and \"streak\""),
				 errhint("Write {\"kind\": \"milestone\", \"event\": \"order\", \"count\": 10}.")));
	/* the matcher of {"name", "where"} */
	pair[0].key.type = pair[1].key.type = pair[0].value.type = pair[1].value.type = jbvString;
	pair[0].key.val.string.val = "name";
	pair[1].key.val.string.val = "where";
	pair[0].key.val.string.len = 4;
	pair[1].key.val.string.len = 5;
	pair[0].value.val.string.val = needed_text(trigger, "event", what, "Give the name of the event that is counted.");
	pair[0].value.val.string.len = strlen(pair[0].value.val.string.val);
	pair[1].value.val.string.val = where ? where : "";
	pair[1].value.val.string.len = strlen(pair[1].value.val.string.val);
	object.type = jbvObject;
	object.val.object.nPairs = where ? 2 : 1;
	object.val.object.pairs = pair;
	te_journey_compile_matcher(&journey->trigger, JsonbValueToJsonb(&object), what);

	journey->every = te_json_bool(trigger, "every", false, what);
	(void) te_json_bool(trigger, "count_history", false, what);
	if (count)
		journey->reach = int64_to_numeric(whole_number(trigger, "count", 0, 1, 1000000000, what));
	else if (streak)
	{
		te_json_check_keys(streak, "key \"streak\" of trigger", streak_keys);
		journey->streak = true;
		journey->reach = int64_to_numeric(whole_number(streak, "days", 0, 2, 10000, "key \"streak\" of trigger"));
	}
	else
	{
		te_json_check_keys(sum, "key \"sum\" of trigger", sum_keys);
		journey->sum = te_journey_parse_path(needed_text(sum, "path", "key \"sum\" of trigger",
														 "Say what is added up, as \"$.total\"."),
											 "path", "key \"sum\" of trigger");
		reach = te_json_find(sum, "reach");
		if (!(te_json_number(sum, "reach", 0, "key \"sum\" of trigger") > 0))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"reach\" of key \"sum\" of trigger must be a number above zero")));
		journey->reach = DatumGetNumericCopy(NumericGetDatum(reach->val.numeric));
	}
}

/*
 * attribute: a member of users.attributes, and between which values it changes.
 */
static void
compile_attribute(TeJourney *journey, Jsonb *trigger)
{
	const char *what = "trigger";
	char	   *path = te_json_text(trigger, "path", what);
	char	   *name = te_json_text(trigger, "name", what);
	JsonbValue *from = te_json_find(trigger, "from");
	JsonbValue *to = te_json_find(trigger, "to");

	if ((path == NULL) == (name == NULL))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("an attribute trigger has one of \"name\" and \"path\""),
				 errhint("Write {\"kind\": \"attribute\", \"name\": \"plan\", \"to\": \"pro\"}.")));
	if (name)
	{
		StringInfoData quoted;

		initStringInfo(&quoted);
		appendStringInfoString(&quoted, "$.");
		escape_json(&quoted, name);
		path = quoted.data;
	}
	journey->attribute = te_journey_parse_path(path, name ? "name" : "path", what);
	journey->from = from ? JsonbValueToJsonb(from) : NULL;
	journey->to = to ? JsonbValueToJsonb(to) : NULL;
	if (from == NULL && to == NULL && !te_json_bool(trigger, "changed", false, what))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("an attribute trigger needs \"from\", \"to\" or \"changed\": true")));
}

/*
 * inactivity: rungs that rise, and the events that count as activity.
 */
static void
compile_inactivity(TeJourney *journey, Jsonb *trigger)
{
	Jsonb	   *rungs = te_json_array(trigger, "for", "trigger");
	uint32		n = rungs ? JB_ROOT_COUNT(rungs) : 0;
	TimestampTz last = 0;
	uint32		i;

	if (n == 0 || n > 100)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"for\" of trigger must be an array of 1 to 100 intervals"),
				 errhint("Write \"for\": [\"7 days\", \"30 days\"].")));
	journey->parts = compile_parts(trigger, "events", false, &journey->nparts);
	journey->rungs = palloc(sizeof(Interval) * n);
	journey->nrungs = n;
	for (i = 0; i < n; i++)
	{
		JsonbValue *rung = getIthJsonbValueFromContainer(&rungs->root, i);
		char	   *text = rung->type == jbvString ? pnstrdup(rung->val.string.val, rung->val.string.len) : "";
		TimestampTz end;

		journey->rungs[i] = *DatumGetIntervalP(te_json_input(text, F_INTERVAL_IN, "for", "trigger", "an interval",
															 "Write \"for\": [\"7 days\", \"30 days\"]."));
		te_journey_check_length(&journey->rungs[i], "key \"for\" of trigger");
		end = te_clock_add(0, &journey->rungs[i]);
		if (end <= last)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("the intervals of key \"for\" of trigger must rise")));
		last = end;
	}
	for (i = 0; i < journey->nparts; i++)
		if (journey->parts[i].where)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("events of an inactivity trigger are known by their names only"),
					 errhint("Leave \"where\" out.")));
}

/*
 * A matcher of {event or name, where} with the path that leads to the object.
 */
static JsonPath *
compile_object_event(TeMatcher *matcher, Jsonb *object, const char *key, const char *what)
{
	char	   *where = te_json_text(object, "where", what);

	matcher->event = needed_text(object, key, what, "Give the name of the event.");
	if (strlen(matcher->event) >= sizeof(((TeWatch *) 0)->event))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("event name \"%s\" in %s is too long", matcher->event, what)));
	if (where)
	{
		Jsonb	   *plain;
		StringInfoData text;

		initStringInfo(&text);
		appendStringInfoString(&text, "{\"name\": ");
		escape_json(&text, matcher->event);
		appendStringInfoString(&text, ", \"where\": ");
		escape_json(&text, where);
		appendStringInfoChar(&text, '}');
		plain = te_json_parse(text.data);
		te_journey_compile_matcher(matcher, plain, what);
	}
	return te_journey_parse_path(needed_text(object, "path", what, "Say where the object's id is, as \"$.product_id\"."),
								 "path", what);
}

/*
 * price_drop, back_in_stock, followed: which events show interest in which object, and
 * for followed also which event tells of one.
 */
static void
compile_fan_out(TeJourney *journey, Jsonb *trigger)
{
	const char *what = "key \"interest\" of trigger";
	Jsonb	   *interest = te_json_object(trigger, "interest", "trigger");

	if (interest == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"interest\" is missing in trigger"),
				 errhint("Say who is interested, as {\"event\": \"view\", \"path\": \"$.product_id\"}.")));
	te_json_check_keys(interest, what, interest_keys);
	journey->parts = palloc0(sizeof(TeMatcher) * 2);
	journey->nparts = 1;
	journey->object = compile_object_event(&journey->parts[0], interest, "event", what);
	if (te_json_find(interest, "until"))
		journey->parts[journey->nparts++].event = needed_text(interest, "until", what, "Give the name of an event.");
	(void) whole_number(trigger, "rate", 1, 1, 1000000, "trigger");
	if (journey->trigger_kind == TE_TRIGGER_FOLLOWED)
	{
		Jsonb	   *event = te_json_object(trigger, "event", "trigger");

		if (event == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"event\" is missing in trigger"),
					 errhint("Write \"event\": {\"name\": \"release\", \"path\": \"$.artist\"}.")));
		te_json_check_keys(event, "key \"event\" of trigger", followed_keys);
		journey->source_object = compile_object_event(&journey->trigger, event, "name", "key \"event\" of trigger");
		return;
	}
	(void) needed_text(trigger, "source", "trigger", "Name the table, as \"shop.products\".");
	(void) needed_text(trigger, "key", "trigger", "Name the column with the object's id.");
	(void) needed_text(trigger, "column", "trigger", "Name the column with the price or the stock.");
}

/*
 * date and schedule: what can be said without a look into the database.
 */
static void
compile_moment(TeJourney *journey, Jsonb *trigger)
{
	const char *what = "trigger";
	char	   *every = te_json_text(trigger, "every", what);
	char	   *feb29 = te_json_text(trigger, "feb29", what);
	char	   *cron = te_json_text(trigger, "cron", what);
	char	   *at = te_json_text(trigger, "at", what);
	Interval   *offset;

	if (journey->trigger_kind == TE_TRIGGER_DATE)
	{
		(void) needed_text(trigger, "attribute", what, "Name the attribute with the date, as \"birthday\".");
		if (at)
			(void) te_json_input(at, F_TIME_IN, "at", what, "a time of day", "Write it as \"09:00\".");
		offset = te_json_interval(trigger, "offset", what);
		if (offset)
			te_journey_check_length(offset, "key \"offset\" of trigger");
		if ((every && strcmp(every, "year") != 0 && strcmp(every, "once") != 0) ||
			(feb29 && strcmp(feb29, "feb28") != 0 && strcmp(feb29, "mar1") != 0))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"every\" of trigger is \"year\" or \"once\", key \"feb29\" is \"feb28\" or \"mar1\"")));
		return;
	}
	(void) needed_text(trigger, "segment", what, "Name the segment whose members enter.");
	(void) whole_number(trigger, "rate", 1, 1, 1000000, what);
	if ((cron == NULL) == (at == NULL))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("a schedule has one of \"cron\" and \"at\""),
				 errhint("Write \"cron\": \"0 9 * * mon\", or \"at\": \"2030-03-01 09:00\".")));
	if (cron)
	{
		TeCron		parsed;

		te_time_parse_cron(cron, &parsed);
	}
	else
		(void) te_json_input(at, F_TIMESTAMP_IN, "at", what, "a local time", "Write it as \"2030-03-01 09:00\".");
}

/*
 * Reads what starts the journey.
 */
void
te_journey_compile_trigger(TeJourney *journey, Jsonb *trigger)
{
	const char *what = "trigger";
	char	   *kind;
	char	   *entry_key;
	int			i;

	if (trigger == NULL || !JB_ROOT_IS_OBJECT(trigger))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("trigger must be a JSON object"),
				 errhint("Write {\"kind\": \"event\", \"name\": \"cart\"}.")));
	kind = te_json_text(trigger, "kind", what);
	for (i = 0; kind && i < lengthof(trigger_kinds); i++)
		if (strcmp(kind, trigger_kinds[i].name) == 0)
			break;
	if (kind == NULL || i == lengthof(trigger_kinds))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"kind\" of trigger names no kind of trigger"),
				 errhint("Kinds are event, absence, sequence, milestone, attribute, inactivity, date, schedule, price_drop, back_in_stock, followed, segment and call.")));
	te_json_check_keys(trigger, what, trigger_kinds[i].keys);
	journey->trigger_kind = i;
	switch (journey->trigger_kind)
	{
		case TE_TRIGGER_EVENT:
			te_journey_compile_matcher(&journey->trigger, trigger, what);
			break;
		case TE_TRIGGER_ABSENCE:
			compile_absence(journey, trigger);
			break;
		case TE_TRIGGER_SEQUENCE:
			compile_sequence(journey, trigger);
			break;
		case TE_TRIGGER_MILESTONE:
			compile_milestone(journey, trigger);
			break;
		case TE_TRIGGER_ATTRIBUTE:
			compile_attribute(journey, trigger);
			break;
		case TE_TRIGGER_INACTIVITY:
			compile_inactivity(journey, trigger);
			break;
		case TE_TRIGGER_DATE:
		case TE_TRIGGER_SCHEDULE:
			compile_moment(journey, trigger);
			break;
		case TE_TRIGGER_PRICE_DROP:
		case TE_TRIGGER_BACK_IN_STOCK:
		case TE_TRIGGER_FOLLOWED:
			compile_fan_out(journey, trigger);
			break;
		case TE_TRIGGER_SEGMENT:
			(void) needed_text(trigger, "segment", what, "Name the segment.");
			kind = te_json_text(trigger, "on", what);
			if (kind == NULL || (strcmp(kind, "entered") != 0 && strcmp(kind, "left") != 0))
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("key \"on\" of trigger must be \"entered\" or \"left\"")));
			break;
		case TE_TRIGGER_CALL:
			break;
	}
	entry_key = te_json_text(trigger, "entry_key", what);
	if (entry_key)
		journey->entry_key = te_journey_parse_path(entry_key, "entry_key", what);
}

/*
 * Makes the events of an absence that may not follow exits of its runs; they are the last
 * of journey->exits.
 */
void
te_journey_add_without(TeJourney *journey)
{
	TeMatcher  *exits;

	if (journey->trigger_kind != TE_TRIGGER_ABSENCE)
		return;
	exits = palloc(sizeof(TeMatcher) * (journey->nexits + journey->nparts));
	if (journey->nexits > 0)
		memcpy(exits, journey->exits, sizeof(TeMatcher) * journey->nexits);
	memcpy(exits + journey->nexits, journey->parts, sizeof(TeMatcher) * journey->nparts);
	journey->exits = exits;
	journey->nexits += journey->nparts;
}

/*
 * True when an exit is an event that may not follow an absence's first.
 */
bool
te_journey_is_without(const TeJourney *journey, const TeMatcher *exit)
{
	return journey->trigger_kind == TE_TRIGGER_ABSENCE &&
		exit >= journey->exits + journey->nexits - journey->nparts && exit < journey->exits + journey->nexits;
}

/*
 * Whether an event ends the waiting of an absence that began with another: it happened in
 * time, and both agree where they must. A time that is exactly up is up.
 */
bool
te_journey_breaks_absence(const TeJourney *journey, TimestampTz began, Jsonb *first, TimestampTz happened, Jsonb *second)
{
	char	   *expected;
	char	   *found;

	if (began <= te_journey_before(happened, &journey->within))
		return false;
	if (journey->match == NULL)
		return true;
	expected = first ? te_journey_path_text(journey->match, first) : NULL;
	found = te_journey_path_text(journey->match, second);
	return expected && found && strcmp(expected, found) == 0;
}

/*
 * An instant less an interval.
 */
TimestampTz
te_journey_before(TimestampTz at, const Interval *by)
{
	Interval	back = *by;

	back.time = -back.time;
	back.day = -back.day;
	back.month = -back.month;
	return te_clock_add(at, &back);
}
