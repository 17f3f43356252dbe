/*
 * filter_moment.c
 *		Instants: their zone, arithmetic on the calendar, and fixed forms.
 *
 * Days, months and years are counted on the calendar of the instant's zone: the time
 * of day stays, the last day of a month stands in for days it does not have. In a gap
 * of daylight saving the next instant that exists counts, in a fold the first.
 */
#include "postgres.h"

#include "common/int.h"

#include "template/liquid.h"
#include "time/time.h"

#define SECONDS_A_DAY 86400
/* Years that results may lie in. */
#define FIRST_YEAR (-4700)
#define LAST_YEAR 290000

/* seconds from 1970 to the epoch of TimestampTz */
#define EPOCH_SHIFT ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECONDS_A_DAY)

typedef enum Unit
{
	UNIT_SECOND,
	UNIT_MINUTE,
	UNIT_HOUR,
	UNIT_DAY,
	UNIT_WEEK,
	UNIT_MONTH,
	UNIT_YEAR
} Unit;

/*
 * Days from 1970 to a date of the Gregorian calendar.
 */
static int64
days_of_date(int64 year, int month, int day)
{
	/* years begin in March, so that the leap day is their last */
	int64		y = month <= 2 ? year - 1 : year;
	int64		era = (y >= 0 ? y : y - 399) / 400;
	int64		in_era = y - era * 400;
	int64		in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

/*
 * The last day of a month.
 */
static int
last_day(int64 year, int month)
{
	return (int) (month == 12 ? 31 : days_of_date(year, month + 1, 1) - days_of_date(year, month, 1));
}

/*
 * Seconds that a zone is ahead of UTC at an instant; false when that cannot be told.
 */
static bool
offset_at(int64 seconds, pg_tz *zone, int64 *offset)
{
	pg_time_t	at = seconds;
	struct pg_tm *tm = pg_localtime(&at, zone);

	if (tm == NULL)
		return false;
	*offset = tm->tm_gmtoff;
	return true;
}

/*
 * The instant at which clocks of a zone show a local time, given in seconds as if it
 * were UTC. False when it lies out of range.
 */
static bool
instant_of_local(int64 local, pg_tz *zone, int64 *result)
{
	int64		before,
				after,
				at_before,
				at_after,
				low,
				high;

	if (!offset_at(local - 2 * SECONDS_A_DAY, zone, &before) || !offset_at(local + 2 * SECONDS_A_DAY, zone, &after) ||
		!offset_at(local - before, zone, &at_before) || !offset_at(local - after, zone, &at_after))
		return false;
	if (at_before == before || at_after == after)
	{
		low = at_before == before ? local - before : local - after;
		high = at_after == after ? local - after : local - before;
		*result = Min(low, high);
		return true;
	}
	/* a gap: the clocks show a time before it until the instant of the change */
	low = local - Max(before, after);
	high = local - Min(before, after);
	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (!offset_at(middle, zone, &at_before))
			return false;
		if (middle + at_before < local)
			low = middle + 1;
		else
			high = middle;
	}
	*result = low;
	return true;
}

/*
 * Moves an instant by days and months on the calendar of its zone. False when the
 * result is out of range.
 */
static bool
move_on_calendar(TeTime *time, int64 months, int64 days)
{
	int64		micros = time->at % USECS_PER_SEC;
	pg_time_t	at;
	struct pg_tm *tm;
	int64		year,
				month,
				local,
				seconds;
	int			day;

	if (micros < 0)
		micros += USECS_PER_SEC;
	at = (time->at - micros) / USECS_PER_SEC + EPOCH_SHIFT;
	tm = pg_localtime(&at, time->zone);
	if (tm == NULL)
		return false;
	month = ((int64) tm->tm_year + 1900) * 12 + tm->tm_mon + months;
	year = (month >= 0 ? month : month - 11) / 12;
	month -= year * 12;
	if (year < FIRST_YEAR || year > LAST_YEAR)
		return false;
	day = Min(tm->tm_mday, last_day(year, month + 1));
	local = (days_of_date(year, month + 1, day) + days) * SECONDS_A_DAY +
		tm->tm_hour * 3600 + tm->tm_min * 60 + tm->tm_sec;
	if (local < days_of_date(FIRST_YEAR, 1, 1) * SECONDS_A_DAY ||
		local > days_of_date(LAST_YEAR, 12, 31) * SECONDS_A_DAY ||
		!instant_of_local(local, time->zone, &seconds))
		return false;
	time->at = (seconds - EPOCH_SHIFT) * USECS_PER_SEC + micros;
	return true;
}

/*
 * Moves an instant by so many units. False when the result is out of range.
 */
static bool
move(TeTime *time, int64 count, Unit unit)
{
	static const int64 seconds[] = {[UNIT_SECOND] = 1, [UNIT_MINUTE] = 60, [UNIT_HOUR] = 3600};
	int64		by;

	if (count < -PG_INT32_MAX * INT64CONST(1000) || count > PG_INT32_MAX * INT64CONST(1000))
		return false;
	switch (unit)
	{
		case UNIT_DAY:
			return move_on_calendar(time, 0, count);
		case UNIT_WEEK:
			return move_on_calendar(time, 0, count * 7);
		case UNIT_MONTH:
			return move_on_calendar(time, count, 0);
		case UNIT_YEAR:
			return move_on_calendar(time, count * 12, 0);
		default:
			break;
	}
	by = count * seconds[unit] * USECS_PER_SEC;
	if (pg_add_s64_overflow(time->at, by, &time->at) || !IS_VALID_TIMESTAMP(time->at))
		return false;
	return true;
}

/*
 * An instant as a value.
 */
static TeValue
time_value(TeRender *r, const TeTime *time)
{
	TeTime	   *copy = te_arena_alloc(r, sizeof(TeTime));

	*copy = *time;
	return (TeValue) {.kind = TE_TIME, .u.time = copy};
}

/*
 * add_* and subtract_*: what is no instant stays as it is, as with the filter date.
 */
static TeValue
add(TeRender *r, TeValue input, const TeArgs *args, Unit unit, int sign)
{
	TeTime		time;
	int64		count;

	if (!te_time_parse(r, input, &time))
		return input;
	if (!te_number_integer(r, args->values[0], &count))
		return te_filter_error(r, "a time can be moved by a whole number of units only");
	if (count == PG_INT64_MIN || !move(&time, count * sign, unit))
		return te_filter_error(r, "time out of range");
	return time_value(r, &time);
}

#define ARITHMETIC(name, unit) \
	/* add_ n */ \
	static TeValue filter_add_##name(TeRender *r, TeValue input, const TeArgs *args) \
	{ \
		return add(r, input, args, unit, 1); \
	} \
	/* subtract_ n */ \
	static TeValue filter_subtract_##name(TeRender *r, TeValue input, const TeArgs *args) \
	{ \
		return add(r, input, args, unit, -1); \
	}

ARITHMETIC(second, UNIT_SECOND)
ARITHMETIC(minute, UNIT_MINUTE)
ARITHMETIC(hour, UNIT_HOUR)
ARITHMETIC(day, UNIT_DAY)
ARITHMETIC(week, UNIT_WEEK)
ARITHMETIC(month, UNIT_MONTH)
ARITHMETIC(year, UNIT_YEAR)

/* time_zone: name. The same instant as the clocks of another zone show it. */
static TeValue
filter_time_zone(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		name = te_value_text(r, args->values[0]);
	TeTime		time;

	if (!te_time_parse(r, input, &time))
		return input;
	time.zone = te_time_find_zone(name.u.str, name.len);
	if (time.zone == NULL)
		return te_filter_error(r, "unknown time zone \"%.*s\"", Min(name.len, 64), name.u.str);
	return time_value(r, &time);
}

/*
 * An instant in a fixed form; what is none stays as it is.
 */
static TeValue
in_form(TeRender *r, TeValue input, const char *format)
{
	TeTime		time;

	if (!te_time_parse(r, input, &time))
		return input;
	return te_time_format(r, &time, format, strlen(format));
}

/* date_to_string: 07 Nov 2008 */
static TeValue
filter_date_to_string(TeRender *r, TeValue input, const TeArgs *args)
{
	return in_form(r, input, "%d %b %Y");
}

/* date_to_long_string: 07 November 2008 */
static TeValue
filter_date_to_long_string(TeRender *r, TeValue input, const TeArgs *args)
{
	return in_form(r, input, "%d %B %Y");
}

/* date_to_rfc822: Fri, 07 Nov 2008 13:07:54 -0800 */
static TeValue
filter_date_to_rfc822(TeRender *r, TeValue input, const TeArgs *args)
{
	return in_form(r, input, "%a, %d %b %Y %H:%M:%S %z");
}

/* date_to_xmlschema: 2008-11-07T13:07:54-08:00 */
static TeValue
filter_date_to_xmlschema(TeRender *r, TeValue input, const TeArgs *args)
{
	return in_form(r, input, "%Y-%m-%dT%H:%M:%S%:z");
}

#define BOTH(name) \
	{"add_" #name, filter_add_##name, 1, 1}, \
	{"add_" #name "s", filter_add_##name, 1, 1}, \
	{"subtract_" #name, filter_subtract_##name, 1, 1}, \
	{"subtract_" #name "s", filter_subtract_##name, 1, 1}

const TeFilter te_filters_moment[] = {
	BOTH(second),
	BOTH(minute),
	BOTH(hour),
	BOTH(day),
	BOTH(week),
	BOTH(month),
	BOTH(year),
	{"date_to_long_string", filter_date_to_long_string, 0, 0},
	{"date_to_rfc822", filter_date_to_rfc822, 0, 0},
	{"date_to_string", filter_date_to_string, 0, 0},
	{"date_to_xmlschema", filter_date_to_xmlschema, 0, 0},
	{"time_zone", filter_time_zone, 1, 1},
	{"timezone", filter_time_zone, 1, 1},
	{NULL}
};
