/*
 * pressure.h
 *		When a message may go: quiet hours, send windows and frequency caps.
 */
#pragma once

#include "postgres.h"

#include "pgtime.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* What a rule applies to; NULL = any. */
typedef struct TeScope
{
	char	   *channel;
	char	   *topic;
	char	   *journey;
	char	   *purpose;
} TeScope;

/* A stretch of local time, on some days of the week. */
typedef struct TeWindow
{
	int64		from;			/* since midnight, microseconds */
	int64		length;			/* at most a day; may reach into the next */
	int			weekdays;		/* bit 0 = Sundays; of the day on which it begins */
} TeWindow;

typedef struct TeQuietRule
{
	char	   *name;
	TeScope		scope;
	bool		allows;			/* the windows are when messages may go, and not when they may not */
	bool		drops;			/* rather than holds */
	pg_tz	   *zone;			/* NULL = the reader's */
	int			nwindows;
	TeWindow   *windows;
} TeQuietRule;

typedef struct TeCapRule
{
	char	   *name;
	TeScope		scope;
	int			max;
	Interval	per;
	bool		calendar;		/* per is an hour, a day, a week or a month of the calendar */
	bool		drops;
} TeCapRule;

/* A message that takes, or is planned to take, room under the caps. */
typedef struct TeSlot
{
	TimestampTz at;
	TeScope		scope;			/* of the message: what it is */
	int			priority;
	bool		used;			/* handed over, and not only planned */
} TeSlot;

/* The rules that hold for one reader. */
typedef struct TePressure
{
	int			nquiet;
	TeQuietRule *quiet;
	int			ncaps;
	TeCapRule  *caps;
} TePressure;

/* What stands in the way of a message. */
typedef struct TeObstacle
{
	const TeQuietRule *quiet;
	const TeCapRule *cap;
} TeObstacle;

/* pressure_rules.c: throws TE001, naming what is wrong; results in the current context */
extern void te_pressure_read_windows(Jsonb *windows, const char *what, TeQuietRule *rule);
extern void te_pressure_read_scope(Jsonb *scope, const char *what, TeScope *out);
extern void te_pressure_read_cap(TeCapRule *cap, const char *what);
extern void te_pressure_read_user(Jsonb *quiet, Jsonb *caps, TePressure *out);

/* pressure.c: does not throw */
extern bool te_pressure_concerns(const TeScope *rule, const TeScope *message);
extern TimestampTz te_pressure_first(const TePressure *rules, const TeScope *message, int priority,
									 const TeSlot *slots, int nslots, pg_tz *zone, TimestampTz at,
									 TimestampTz limit, TeObstacle *obstacle);
