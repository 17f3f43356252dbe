/*
 * pressure_rules.c
 *		Quiet hours and caps from their definitions.
 *
 * The same code checks a new definition and reads a stored one. Everything is
 * allocated in the current memory context; every error names part and key.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/pressure.h"
#include "errors.h"
#include "time/time.h"

PG_FUNCTION_INFO_V1(te_check_quiet_hours);
PG_FUNCTION_INFO_V1(te_check_cap);
PG_FUNCTION_INFO_V1(te_check_user_limits);

#define EVERY_DAY 0x7f
#define MOST_CAP 1000000

static const char *const scope_keys[] = {"channel", "topic", "journey", "purpose", NULL};
static const char *const window_keys[] = {"from", "to", "days", NULL};
static const char *const user_cap_keys[] = {"max", "per", "window", "channel", "topic", NULL};
static const char *const channels[] = {
	"push", "web_push", "email", "sms", "whatsapp", "in_app", "webhook", "chat", NULL
};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

/*
 * Refuses a channel that there is not.
 */
static void
check_channel(const char *channel, const char *what)
{
	const char *nearest;
	int			i;

	if (channel == NULL)
		return;
	for (i = 0; channels[i]; i++)
		if (strcmp(channels[i], channel) == 0)
			return;
	nearest = te_json_nearest(channel, channels);
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("unknown channel \"%s\" in %s", channel, what),
			 nearest ? errhint("Perhaps you meant \"%s\".", nearest)
			 : errhint("Channels are push, web_push, email, sms, whatsapp, in_app, webhook and chat.")));
}

/*
 * Reads what a rule applies to.
 */
void
te_pressure_read_scope(Jsonb *scope, const char *what, TeScope *out)
{
	memset(out, 0, sizeof(TeScope));
	if (scope == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(scope))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be a JSON object", what),
				 errhint("Write {\"channel\": \"push\"}, or {} for all messages.")));
	te_json_check_keys(scope, what, scope_keys);
	out->channel = te_json_text(scope, "channel", what);
	out->topic = te_json_text(scope, "topic", what);
	out->journey = te_json_text(scope, "journey", what);
	out->purpose = te_json_text(scope, "purpose", what);
	check_channel(out->channel, what);
}

/*
 * Reads a time of day, as "22:00".
 */
static int64
read_time(Jsonb *window, const char *key, const char *what)
{
	char	   *text = te_json_text(window, key, what);
	int			hour,
				minute,
				second = 0,
				end = 0,
				n;

	n = text ? sscanf(text, "%2d:%2d%n:%2d%n", &hour, &minute, &end, &second, &end) : 0;
	if (n < 2 || text[end] != '\0' || strspn(text, "0123456789:") != strlen(text) ||
		hour > HOURS_PER_DAY || minute >= MINS_PER_HOUR || second >= SECS_PER_MINUTE ||
		(hour == HOURS_PER_DAY && (minute > 0 || second > 0)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be a time of day", key, what),
				 errhint("Write it as \"22:00\".")));
	return hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE + second * USECS_PER_SEC;
}

/*
 * Reads the days of the week of a window; all of them when it names none.
 */
static int
read_days(Jsonb *window, const char *what)
{
	Jsonb	   *days = te_json_array(window, "days", what);
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	int			mask = 0;

	if (days == NULL)
		return EVERY_DAY;
	it = JsonbIteratorInit(&days->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		int			i = 0;

		if (token != WJB_ELEM)
			continue;
		if (item.type == jbvString && item.val.string.len == 3)
			while (weekdays[i] && pg_strncasecmp(weekdays[i], item.val.string.val, 3) != 0)
				i++;
		else
			i = lengthof(weekdays) - 1;
		if (weekdays[i] == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"days\" of %s must hold days of the week", what),
					 errhint("Days are mon, tue, wed, thu, fri, sat and sun.")));
		mask |= 1 << i;
	}
	if (mask == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"days\" of %s names no day", what)));
	return mask;
}

/*
 * Reads windows into a rule: an array of {"from", "to", "days"}. One whose end is not
 * after its beginning reaches into the next day.
 */
void
te_pressure_read_windows(Jsonb *windows, const char *what, TeQuietRule *rule)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	if (windows == NULL || !JB_ROOT_IS_ARRAY(windows) || JB_ROOT_IS_SCALAR(windows) || JB_ROOT_COUNT(windows) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s must be an array of windows", what),
				 errhint("Write [{\"from\": \"22:00\", \"to\": \"08:00\"}].")));
	rule->windows = palloc(sizeof(TeWindow) * JB_ROOT_COUNT(windows));
	rule->nwindows = 0;
	it = JsonbIteratorInit(&windows->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		TeWindow   *window = &rule->windows[rule->nwindows];
		char	   *place;
		Jsonb	   *object;
		int64		to;

		if (token != WJB_ELEM)
			continue;
		place = psprintf("window %d of %s", ++rule->nwindows, what);
		object = JsonbValueToJsonb(&item);
		if (!JB_ROOT_IS_OBJECT(object))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s must be a JSON object", place),
					 errhint("Write {\"from\": \"22:00\", \"to\": \"08:00\"}.")));
		te_json_check_keys(object, place, window_keys);
		window->from = read_time(object, "from", place);
		to = read_time(object, "to", place);
		window->length = to > window->from ? to - window->from : to - window->from + USECS_PER_DAY;
		window->weekdays = read_days(object, place);
	}
}

/*
 * Checks the limits of a cap: a calendar knows hours, days, weeks and months.
 */
void
te_pressure_read_cap(TeCapRule *cap, const char *what)
{
	const Interval *per = &cap->per;
	int			kinds = (per->month != 0) + (per->day != 0) + (per->time != 0);

	if (cap->max < 0 || cap->max > MOST_CAP)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("max of %s must be from 0 to %d", what, MOST_CAP)));
	if (per->month < 0 || per->day < 0 || per->time < 0 || kinds == 0 || per->month > MONTHS_PER_YEAR || per->day > 366 ||
		per->time > 366 * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("per of %s must be a positive interval of at most a year", what)));
	if (cap->calendar && (kinds != 1 || !(per->month == 1 || per->day == 1 || per->day == 7 || per->time == USECS_PER_HOUR)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("per of %s, which follows the calendar, must be an hour, a day, a week or a month", what),
				 errhint("Use \"rolling\" windows for other intervals.")));
}

/*
 * Reads window and per of a user's own cap.
 */
static void
read_user_cap(Jsonb *object, const char *what, TeCapRule *cap)
{
	Interval   *per;
	double		max;
	char	   *window;

	te_json_check_keys(object, what, user_cap_keys);
	max = te_json_number(object, "max", -1, what);
	per = te_json_interval(object, "per", what);
	window = te_json_text(object, "window", what);
	if (per == NULL || max != (int) max)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s needs a whole number \"max\" and an interval \"per\"", what),
				 errhint("Write {\"max\": 1, \"per\": \"1 day\"}.")));
	if (window && strcmp(window, "rolling") != 0 && strcmp(window, "calendar") != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"window\" of %s must be \"rolling\" or \"calendar\"", what)));
	cap->name = pstrdup("the reader's own");
	cap->max = (int) max;
	cap->per = *per;
	cap->calendar = window && strcmp(window, "calendar") == 0;
	cap->scope.channel = te_json_text(object, "channel", what);
	cap->scope.topic = te_json_text(object, "topic", what);
	check_channel(cap->scope.channel, what);
	te_pressure_read_cap(cap, what);
	if (per->month > 1 || per->month * DAYS_PER_MONTH + per->day + per->time / USECS_PER_DAY > 31)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("per of %s must be a month at most", what)));
}

/*
 * Reads a reader's own limits; either may be NULL.
 */
void
te_pressure_read_user(Jsonb *quiet, Jsonb *caps, TePressure *out)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;

	memset(out, 0, sizeof(TePressure));
	if (quiet && JB_ROOT_COUNT(quiet) > 0)
	{
		out->quiet = palloc0(sizeof(TeQuietRule));
		out->nquiet = 1;
		out->quiet->name = pstrdup("the reader's own");
		te_pressure_read_windows(quiet, "quiet_hours", out->quiet);
	}
	if (caps == NULL)
		return;
	if (!JB_ROOT_IS_ARRAY(caps) || JB_ROOT_IS_SCALAR(caps))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("caps must be an array"),
				 errhint("Write [{\"max\": 1, \"per\": \"1 day\"}].")));
	out->caps = palloc0(sizeof(TeCapRule) * Max(JB_ROOT_COUNT(caps), 1));
	it = JsonbIteratorInit(&caps->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *what;
		Jsonb	   *object;

		if (token != WJB_ELEM)
			continue;
		what = psprintf("cap %d", out->ncaps + 1);
		object = JsonbValueToJsonb(&item);
		if (!JB_ROOT_IS_OBJECT(object))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s must be a JSON object", what)));
		read_user_cap(object, what, &out->caps[out->ncaps++]);
	}
}

/*
 * _check_quiet_hours(windows, scope, zone)
 */
Datum
te_check_quiet_hours(PG_FUNCTION_ARGS)
{
	TeQuietRule rule = {0};
	TeScope		scope;

	te_pressure_read_windows(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0), "windows", &rule);
	te_pressure_read_scope(PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1), "scope", &scope);
	if (!PG_ARGISNULL(2) && te_time_zone(text_to_cstring(PG_GETARG_TEXT_PP(2))) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", text_to_cstring(PG_GETARG_TEXT_PP(2))),
				 errhint("Use a name of pg_timezone_names, such as Europe/Berlin.")));
	PG_RETURN_VOID();
}

/*
 * _check_cap(max, per, scope, window)
 */
Datum
te_check_cap(PG_FUNCTION_ARGS)
{
	TeCapRule	cap = {0};
	TeScope		scope;

	cap.max = PG_GETARG_INT32(0);
	cap.per = *PG_GETARG_INTERVAL_P(1);
	cap.calendar = strcmp(text_to_cstring(PG_GETARG_TEXT_PP(3)), "calendar") == 0;
	te_pressure_read_scope(PG_GETARG_JSONB_P(2), "scope", &scope);
	te_pressure_read_cap(&cap, "the cap");
	PG_RETURN_VOID();
}

/*
 * _check_user_limits(quiet_hours, caps)
 */
Datum
te_check_user_limits(PG_FUNCTION_ARGS)
{
	TePressure	limits;

	te_pressure_read_user(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0),
						  PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1), &limits);
	PG_RETURN_VOID();
}
