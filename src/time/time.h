/*
 * time.h
 *		Local time: what the clock on a person's wall says, and when it will say it.
 *
 * Zones are the server's own, by IANA name. All functions are pure but for the
 * server's zone data; nothing here reads a clock.
 */
#pragma once

#include "postgres.h"

#include "pgtime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

/* zone.c: NULL when there is no zone of that name */
extern pg_tz *te_time_find_zone(const char *name, int len);
extern pg_tz *te_time_zone(const char *name);

/* local_time.c */
extern bool te_time_check_zone(char **value, void **extra, GucSource source);
extern Timestamp te_time_local(TimestampTz at, pg_tz *zone);
extern TimestampTz te_time_at(Timestamp local, pg_tz *zone);
extern int	te_time_weekday(Timestamp local);	/* 0 = Sunday */
extern Timestamp te_time_midnight(Timestamp local);
extern bool te_time_date(int year, int month, int day, bool leap_to_march, Timestamp *date);

/* A crontab expression of five fields, as sets of bits. */
typedef struct TeCron
{
	uint64		minutes;
	uint32		hours;
	uint32		days;			/* bit 1 = the first */
	uint32		months;			/* bit 1 = January */
	uint32		weekdays;		/* bit 0 = Sunday */
	bool		any_day;		/* the day field is a star */
	bool		any_weekday;
	bool		last_day;		/* of the month: "L" */
} TeCron;

/* cron.c */
extern void te_time_parse_cron(const char *text, TeCron *cron);	/* throws */
extern bool te_time_next_cron(const TeCron *cron, TimestampTz after, pg_tz *zone, TimestampTz *next);
