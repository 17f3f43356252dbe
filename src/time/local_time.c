/*
 * local_time.c
 *		From instants to local time and back.
 *
 * A local time that the clock passes over, as it is put forward, stands for the
 * instant at which it is; one that it shows twice, as it is put back, for the first.
 * So te_time_at() is the first instant at which the clock shows that time or a later
 * one.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#include "time/time.h"

PG_FUNCTION_INFO_V1(te_at_local);

/* No zone is further from UTC. */
#define MOST_OFFSET (26 * USECS_PER_HOUR)

#define EPOCH_DIFFERENCE ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/*
 * Check hook of settings that name a zone.
 */
bool
te_time_check_zone(char **value, void **extra, GucSource source)
{
	if (te_time_zone(*value) != NULL)
		return true;
	GUC_check_errdetail("Time zone \"%s\" is not known.", *value);
	GUC_check_errhint("Use a name of pg_timezone_names, such as Europe/Berlin.");
	return false;
}

/*
 * Seconds since 1970 of an instant, rounded down.
 */
static pg_time_t
unix_seconds(TimestampTz at)
{
	int64		seconds = at / USECS_PER_SEC;

	if (at % USECS_PER_SEC < 0)
		seconds--;
	return (pg_time_t) (seconds + EPOCH_DIFFERENCE);
}

/*
 * Microseconds that a zone is ahead of UTC at an instant.
 */
static int64
offset_at(pg_time_t at, pg_tz *zone)
{
	struct pg_tm *tm = pg_localtime(&at, zone);

	return tm ? (int64) tm->tm_gmtoff * USECS_PER_SEC : 0;
}

/*
 * What the clock shows at an instant.
 */
Timestamp
te_time_local(TimestampTz at, pg_tz *zone)
{
	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	return at + offset_at(unix_seconds(at), zone);
}

/*
 * The first instant at which the clock shows a local time or a later one.
 */
TimestampTz
te_time_at(Timestamp local, pg_tz *zone)
{
	TimestampTz from;			/* start of a stretch with one offset */
	pg_time_t	seconds;
	int64		offset;

	if (TIMESTAMP_NOT_FINITE(local))
		return local;
	from = local - MOST_OFFSET;
	seconds = unix_seconds(from);
	offset = offset_at(seconds, zone);
	for (;;)
	{
		long		before,
					after;
		int			before_dst,
					after_dst;
		pg_time_t	boundary;
		TimestampTz at = local - offset,
					to;

		if (at < from)
			return from;
		if (pg_next_dst_boundary(&seconds, &before, &before_dst, &boundary, &after, &after_dst, zone) != 1)
			return at;
		to = ((int64) boundary - EPOCH_DIFFERENCE) * USECS_PER_SEC;
		if (at < to)
			return at;
		from = to;
		seconds = boundary;
		offset = (int64) after * USECS_PER_SEC;
	}
}

/*
 * Day of the week, 0 = Sunday.
 */
int
te_time_weekday(Timestamp local)
{
	int64		day = local / USECS_PER_DAY;

	if (local % USECS_PER_DAY < 0)
		day--;
	return j2day((int) (day + POSTGRES_EPOCH_JDATE));
}

/*
 * The beginning of the day on which a local time lies.
 */
Timestamp
te_time_midnight(Timestamp local)
{
	int64		rest = local % USECS_PER_DAY;

	return local - (rest < 0 ? rest + USECS_PER_DAY : rest);
}

/*
 * A date as the midnight that begins it. 29 February is, in other years, the day
 * before or the day after it. False when there is no such date.
 */
bool
te_time_date(int year, int month, int day, bool leap_to_march, Timestamp *date)
{
	if (month < 1 || month > MONTHS_PER_YEAR || day < 1 || day > day_tab[1][month - 1] ||
		!IS_VALID_JULIAN(year, month, day))
		return false;
	if (day > day_tab[isleap(year)][month - 1])
	{
		day = leap_to_march ? 1 : 28;
		month = leap_to_march ? 3 : 2;
	}
	*date = ((int64) date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	return IS_VALID_TIMESTAMP(*date);
}

/*
 * at_local(local, zone)
 */
Datum
te_at_local(PG_FUNCTION_ARGS)
{
	Timestamp	local = PG_GETARG_TIMESTAMP(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	pg_tz	   *zone = te_time_zone(name);
	TimestampTz at;

	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", name),
				 errhint("Use a name of pg_timezone_names, such as Europe/Berlin.")));
	at = te_time_at(local, zone);
	if (!TIMESTAMP_NOT_FINITE(at) && !IS_VALID_TIMESTAMP(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	PG_RETURN_TIMESTAMPTZ(at);
}
