/*
 * moment.c
 *		"wait_until": the moments that a step may wait for, and the first of them.
 *
 * The search is pure but for the server's zone data.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "common/common.h"
#include "decide/pressure.h"
#include "errors.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"
#include "time/time.h"

/* A window, a weekday or a time of day comes again within these. */
#define MOST_DAYS 9

static const char *const moment_keys[] = {"at", "weekday", "attribute", "offset", "within", "best_hour", "channel", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/*
 * A time of day, as "09:00", in microseconds since midnight; -1 when there is none.
 */
static int64
read_time(Jsonb *object, const char *what)
{
	char	   *text = te_json_text(object, "at", what);
	int			hour,
				minute,
				end = 0;

	if (text == NULL)
		return -1;
	if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || text[end] != '\0' ||
		strspn(text, "0123456789:") != strlen(text) || hour >= HOURS_PER_DAY || minute >= MINS_PER_HOUR)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"at\" of %s must be a time of day", what),
				 errhint("Write it as \"09:00\".")));
	return hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE;
}

/*
 * Days of the week as bits; 0 when none are named.
 */
static int
read_weekdays(Jsonb *object, const char *what)
{
	Jsonb	   *days = te_json_array(object, "weekday", what);
	JsonbIterator *it = days ? JsonbIteratorInit(&days->root) : NULL;
	JsonbValue	item;
	JsonbIteratorToken token;
	int			result = 0;
	int			i;

	while (it && (token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		for (i = 0; i < lengthof(weekdays); i++)
			if (item.type == jbvString && item.val.string.len >= 3 &&
				pg_strncasecmp(weekdays[i], item.val.string.val, 3) == 0)
				break;
		if (i == lengthof(weekdays))
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"weekday\" of %s must hold days of the week", what),
					 errhint("Write [\"mon\", \"tue\"].")));
		result |= 1 << i;
	}
	return result;
}

/*
 * Reads {"at", "weekday", "attribute", "offset", "within", "best_hour", "channel"}.
 */
TeMoment *
te_journey_compile_moment(Jsonb *object, const char *what)
{
	TeMoment   *moment = palloc0(sizeof(TeMoment));
	char	   *attribute;
	char	   *offset;
	Jsonb	   *windows;

	te_json_check_keys(object, what, moment_keys);
	moment->at = read_time(object, what);
	moment->weekdays = read_weekdays(object, what);
	attribute = te_json_text(object, "attribute", what);
	if (attribute)
		moment->attribute = te_journey_parse_path(attribute, "attribute", what);
	offset = te_json_text(object, "offset", what);
	if (offset)
	{
		Interval   *value = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(offset),
																  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

		if (attribute == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"offset\" of %s goes with an \"attribute\"", what)));
		moment->offset = *value;
	}
	windows = te_json_array(object, "within", what);
	if (windows)
	{
		moment->windows = palloc0(sizeof(TeQuietRule));
		te_pressure_read_windows(windows, psprintf("key \"within\" of %s", what), moment->windows);
		if (moment->at >= 0)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s has both \"at\" and \"within\"", what)));
	}
	if (te_json_bool(object, "best_hour", false, what))
	{
		moment->best_channel = te_json_text(object, "channel", what);
		if (moment->best_channel == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"best_hour\" of %s needs a \"channel\"", what),
					 errhint("Write {\"best_hour\": true, \"channel\": \"push\"}.")));
		if (moment->at >= 0)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s has both \"at\" and \"best_hour\"", what)));
	}
	else if (te_json_find(object, "channel"))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"channel\" of %s goes with \"best_hour\"", what)));
	if (moment->at < 0 && moment->weekdays == 0 && moment->attribute == NULL && moment->windows == NULL &&
		moment->best_channel == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s names no moment", what),
				 errhint("Give it \"at\", \"weekday\", \"attribute\", \"within\" or \"best_hour\".")));
	return moment;
}

/*
 * The earliest instant from base on within the day that begins at a local midnight;
 * DT_NOEND when there is none.
 */
static TimestampTz
first_of_day(const TeMoment *moment, TimestampTz base, Timestamp midnight, pg_tz *zone)
{
	int			day = 1 << te_time_weekday(midnight);
	TimestampTz best = DT_NOEND;
	int			i;

	if (moment->windows == NULL)
	{
		TimestampTz begin = te_time_at(midnight + Max(moment->at, 0), zone);
		TimestampTz end = moment->at >= 0 ? begin + 1 : te_time_at(midnight + USECS_PER_DAY, zone);

		if ((moment->weekdays == 0 || moment->weekdays & day) && base < end)
			best = Max(base, begin);
		return best;
	}
	for (i = 0; i < moment->windows->nwindows; i++)
	{
		const TeWindow *window = &moment->windows->windows[i];
		TimestampTz at = Max(base, te_time_at(midnight + window->from, zone));
		Timestamp	local;

		if (!(window->weekdays & day) || at >= te_time_at(midnight + window->from + window->length, zone))
			continue;
		/* a window over midnight may reach into a day that is not asked for */
		local = te_time_local(at, zone);
		if (moment->weekdays == 0 || moment->weekdays & (1 << te_time_weekday(local)))
			best = Min(best, at);
	}
	return best;
}

/*
 * The first moment from base on, by the clock of a zone. Base when no bound is a time of
 * the day or of the week.
 */
TimestampTz
te_journey_first_moment(const TeMoment *moment, TimestampTz base, pg_tz *zone)
{
	Timestamp	midnight;
	int			day;

	if (moment->at < 0 && moment->weekdays == 0 && moment->windows == NULL)
		return base;
	midnight = te_time_midnight(te_time_local(base, zone));
	/* from yesterday on, whose windows may reach into today */
	for (day = -1; day < MOST_DAYS; day++)
	{
		TimestampTz at = first_of_day(moment, base, midnight + day * USECS_PER_DAY, zone);

		if (at != DT_NOEND)
			return at;
	}
	return base;
}
