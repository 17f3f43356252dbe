/*
 * calendar.h
 *		Instants on the calendar of their zone.
 */
#pragma once

#include "template/liquid.h"

#define TE_SECONDS_A_DAY 86400

/* seconds from 1970 to the epoch of TimestampTz */
#define TE_EPOCH_SHIFT ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * TE_SECONDS_A_DAY)

typedef struct TeCalendar
{
	int64		year;
	int			month;			/* from 1 */
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			micros;
	int			weekday;		/* 0 is Sunday */
	int			yearday;		/* from 0 */
	int			offset;			/* seconds east of UTC */
	int64		unix_seconds;
	const char *zone;			/* abbreviation, "" for a mere offset */
} TeCalendar;

extern void te_calendar_of(const TeTime *time, TeCalendar *calendar);
extern int64 te_calendar_days(int64 year, int month, int day);	/* from 1970 */
extern int	te_calendar_month_length(int64 year, int month);
extern int	te_calendar_offset(int64 unix_seconds, const pg_tz *zone);
extern int64 te_calendar_instant(int64 local_seconds, const pg_tz *zone);	/* in a fold the first */
extern bool te_zone_is_utc(const pg_tz *zone);
extern pg_tz *te_zone_of_offset(int seconds);	/* east of UTC */

/* date_text.c: what Ruby's Time.parse finds in a text; missing parts come from now */
extern bool te_date_parse(const char *text, int len, const TeTime *now, TeTime *result);
