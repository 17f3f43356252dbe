/*
 * shim_time.c
 *		A few time zones: fixed ones, and two with summer time by one rule for all years.
 */
#include "shim.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"
#include "pgtime.h"

#define SECONDS_A_DAY 86400

struct pg_tz
{
	const char *name;
	int			offset;			/* seconds ahead of UTC */
	bool		summer;			/* an hour more from April to September */
};

static pg_tz zones[] = {
	{"UTC", 0, false}, {"GMT", 0, false}, {"Etc/UTC", 0, false}, {"Etc/GMT+5", -5 * 3600, false},
	{"Europe/Berlin", 3600, true}, {"America/New_York", -5 * 3600, true},
	{"Asia/Kolkata", 19800, false}, {"Pacific/Kiritimati", 14 * 3600, false}
};

pg_tz *
pg_tzset(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(zones); i++)
		if (pg_strcasecmp(name, zones[i].name) == 0)
			return &zones[i];
	return NULL;
}

/* A zone so many seconds behind UTC; kept, as the server keeps them. */
pg_tz *
pg_tzset_offset(long offset)
{
	static pg_tz *made = NULL;
	static int	count = 0;
	static char names[2000][16];
	int			i;

	if (made == NULL)
		made = calloc(lengthof(names), sizeof(pg_tz));
	for (i = 0; i < count; i++)
		if (made[i].offset == -offset)
			return &made[i];
	if (labs(offset) > 167 * 3600 || count == lengthof(names))
		return NULL;
	snprintf(names[count], sizeof(names[count]), "<%+ld>", -offset / 60);
	made[count].name = names[count];
	made[count].offset = -offset;
	return &made[count++];
}

const char *
pg_get_timezone_name(pg_tz *zone)
{
	return zone->name;
}

/* The date of a day counted from 1970, within the years of an int; false beyond. */
static bool
date_of_day(int64 day, struct pg_tm *tm)
{
	int64		since = day + 719468;	/* from 1 March of the year 0 */
	int64		era = (since >= 0 ? since : since - 146096) / 146097;
	int64		in_era = since - era * 146097;
	int64		year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64		in_year = in_era - (365 * year + year / 4 - year / 100);
	int			month = (5 * in_year + 2) / 153;
	bool		leap;

	year += era * 400 + (month >= 10);
	if (year - 1900 < PG_INT32_MIN || year - 1900 > PG_INT32_MAX)
		return false;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	tm->tm_year = year - 1900;
	tm->tm_mon = month < 10 ? month + 2 : month - 10;
	tm->tm_mday = in_year - (153 * month + 2) / 5 + 1;
	tm->tm_yday = in_year >= 306 ? in_year - 306 : in_year + 59 + leap;
	tm->tm_wday = ((day + 4) % 7 + 7) % 7;
	return true;
}

static struct pg_tm *
broken_down(pg_time_t at, int offset, struct pg_tm *tm)
{
	int64		local = at + offset;
	int64		day = local / SECONDS_A_DAY - (local % SECONDS_A_DAY < 0);
	int64		second = local - day * SECONDS_A_DAY;

	if (!date_of_day(day, tm))
		return NULL;
	tm->tm_hour = second / 3600;
	tm->tm_min = second / 60 % 60;
	tm->tm_sec = second % 60;
	tm->tm_gmtoff = offset;
	return tm;
}

struct pg_tm *
pg_localtime(const pg_time_t *at, const pg_tz *zone)
{
	static struct pg_tm tm;
	int			offset = zone->offset;

	if (*at > PG_INT64_MAX / 2 || *at < PG_INT64_MIN / 2)
		return NULL;
	if (broken_down(*at, offset, &tm) == NULL)
		return NULL;
	tm.tm_isdst = zone->summer && tm.tm_mon >= 3 && tm.tm_mon <= 8;
	if (tm.tm_isdst)
		offset += 3600;
	if (broken_down(*at, offset, &tm) == NULL)
		return NULL;
	tm.tm_zone = zone->name;
	return &tm;
}

struct pg_tm *
pg_gmtime(const pg_time_t *at)
{
	return pg_localtime(at, &zones[0]);
}

pg_time_t
timestamptz_to_time_t(TimestampTz at)
{
	return at / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECONDS_A_DAY;
}

TimestampTz
time_t_to_timestamptz(pg_time_t at)
{
	return (at - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECONDS_A_DAY) * USECS_PER_SEC;
}

/* The Julian day of a date of the Gregorian calendar. */
int
date2j(int year, int month, int day)
{
	int64		march = month <= 2 ? (int64) year - 1 : year;	/* years that begin in March */
	int64		era = (march >= 0 ? march : march - 399) / 400;
	int64		in_era = march - era * 400;
	int64		in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468 + UNIX_EPOCH_JDATE;
}
