/*
 * calendar.c
 *		Instants on the calendar of their zone, and back.
 *
 * UTC is worked out here; other zones are asked of the server, whose rules are loaded
 * once a backend.
 */
#include "postgres.h"

#include "template/calendar.h"

/* Offsets from UTC: in quarters of an hour, up to 18 hours. */
#define SECONDS_A_QUARTER 900
#define MOST_QUARTERS 72

/*
 * Days from 1970 to a date of the Gregorian calendar, before its adoption too.
 */
int64
te_calendar_days(int64 year, int month, int day)
{
	/* years begin in March, so that the leap day is their last */
	int64		y = month <= 2 ? year - 1 : year;
	int64		era = (y >= 0 ? y : y - 399) / 400;
	int			in_era = (int) (y - era * 400);
	int			in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

/*
 * How many days a month has.
 */
int
te_calendar_month_length(int64 year, int month)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return lengths[month - 1];
}

/*
 * The date of so many days from 1970.
 */
static void
date_of_days(int64 days, TeCalendar *calendar)
{
	int64		z = days + 719468;
	int64		era = (z >= 0 ? z : z - 146096) / 146097;
	int			in_era = (int) (z - era * 146097);
	int			year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int			in_year = in_era - (365 * year + year / 4 - year / 100);
	int			month = (5 * in_year + 2) / 153;

	calendar->day = in_year - (153 * month + 2) / 5 + 1;
	calendar->month = month < 10 ? month + 3 : month - 9;
	calendar->year = year + era * 400 + (calendar->month <= 2);
	calendar->yearday = (int) (days - te_calendar_days(calendar->year, 1, 1));
	calendar->weekday = (int) (((days + 4) % 7 + 7) % 7);
}

/*
 * True for UTC under any of its names.
 */
bool
te_zone_is_utc(const pg_tz *zone)
{
	static const pg_tz *known = NULL;
	static bool known_utc = false;

	if (unlikely(zone != known))
	{
		const char *name = pg_get_timezone_name((pg_tz *) zone);

		known_utc = strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0 || strcmp(name, "Etc/UCT") == 0 ||
			strcmp(name, "UCT") == 0 || strcmp(name, "Zulu") == 0 || strcmp(name, "Universal") == 0;
		known = zone;
	}
	return known_utc;
}

/*
 * The zone of a mere offset; NULL if there is none, as no zone is so far from UTC or keeps
 * another part of an hour than a quarter. The server keeps what it is asked for, hence the
 * bounds.
 */
pg_tz *
te_zone_of_offset(int seconds)
{
	static pg_tz *kept[2 * MOST_QUARTERS + 1];
	int			quarter = seconds / SECONDS_A_QUARTER;

	if (seconds % SECONDS_A_QUARTER != 0 || Abs(quarter) > MOST_QUARTERS)
		return NULL;
	quarter += MOST_QUARTERS;
	if (unlikely(kept[quarter] == NULL))
		kept[quarter] = pg_tzset_offset(-seconds);
	return kept[quarter];
}

/*
 * How many seconds a zone is east of UTC at an instant.
 */
int
te_calendar_offset(int64 unix_seconds, const pg_tz *zone)
{
	pg_time_t	t = (pg_time_t) unix_seconds;
	struct pg_tm *tm = te_zone_is_utc(zone) ? NULL : pg_localtime(&t, zone);

	return tm == NULL ? 0 : (int) tm->tm_gmtoff;
}

/*
 * The instant of a local time, given as seconds as if it were UTC. In a fold the first of
 * two counts; in a gap the clock is taken as not yet changed.
 */
int64
te_calendar_instant(int64 local_seconds, const pg_tz *zone)
{
	int			before;
	int			after;

	if (te_zone_is_utc(zone))
		return local_seconds;
	before = te_calendar_offset(local_seconds - TE_SECONDS_A_DAY, zone);
	after = te_calendar_offset(local_seconds + TE_SECONDS_A_DAY, zone);
	if (before != after &&
		te_calendar_offset(local_seconds - before, zone) != before &&
		te_calendar_offset(local_seconds - after, zone) == after)
		return local_seconds - after;
	return local_seconds - before;
}

/*
 * An instant on the calendar of its zone. Throws never.
 */
void
te_calendar_of(const TeTime *time, TeCalendar *calendar)
{
	int64		seconds = time->at / USECS_PER_SEC;
	int			micros = (int) (time->at % USECS_PER_SEC);
	int64		local;
	int			in_day;

	if (micros < 0)
	{
		micros += USECS_PER_SEC;
		seconds--;
	}
	seconds += TE_EPOCH_SHIFT;
	calendar->micros = micros;
	calendar->unix_seconds = seconds;
	calendar->offset = 0;
	calendar->zone = "UTC";
	if (!te_zone_is_utc(time->zone))
	{
		pg_time_t	t = (pg_time_t) seconds;
		struct pg_tm *tm = pg_localtime(&t, time->zone);

		if (tm != NULL)
		{
			calendar->offset = (int) tm->tm_gmtoff;
			calendar->zone = pg_get_timezone_name(time->zone)[0] == '<' || tm->tm_zone == NULL ? "" : tm->tm_zone;
		}
	}
	local = seconds + calendar->offset;
	in_day = (int) (local % TE_SECONDS_A_DAY);
	if (in_day < 0)
		in_day += TE_SECONDS_A_DAY;
	date_of_days((local - in_day) / TE_SECONDS_A_DAY, calendar);
	calendar->hour = in_day / 3600;
	calendar->minute = in_day / 60 % 60;
	calendar->second = in_day % 60;
}
