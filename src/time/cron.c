/*
 * cron.c
 *		Crontab expressions: minute, hour, day of month, month, day of week.
 *
 * As in crontab(5): lists, ranges, steps and names; when both a day of the month and a
 * day of the week are given, either will do. "L" as day is the last of the month, and
 * 7 is Sunday, too. What falls into an hour that the clock passes over fires when it
 * has been put forward; an hour that comes twice fires once.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#include "errors.h"
#include "time/time.h"

PG_FUNCTION_INFO_V1(te_next_cron);

/* Looks no further: every date comes round within eight years (29 February across 2100). */
#define MOST_DAYS (8 * 366 + 1)

typedef struct Field
{
	const char *name;
	int			low;
	int			high;
	const char *names;			/* of three letters each, from low on */
} Field;

static const Field fields[] = {
	{"minute", 0, 59, NULL},
	{"hour", 0, 23, NULL},
	{"day of month", 1, 31, NULL},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{"day of week", 0, 7, "sunmontuewedthufrisat"},
};

/*
 * Refuses an expression.
 */
static void
refuse(const char *text, const Field *field, const char *part)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 field ? errmsg("\"%s\" is no %s of a cron expression, in \"%s\"", part, field->name, text)
			 : errmsg("\"%s\" is no cron expression", text),
			 errhint("Write minute, hour, day of month, month and day of week, as in \"30 9 * * mon-fri\".")));
}

/*
 * Reads a number or a name at *at and moves over it; -1 when there is none in range.
 */
static int
read_value(const char **at, const Field *field)
{
	const char *start = *at;
	int			value = 0;
	int			i;

	while (**at >= '0' && **at <= '9' && *at - start < 3)
		value = value * 10 + (*(*at)++ - '0');
	if (*at > start)
		return value >= field->low && value <= field->high ? value : -1;
	for (i = 0; field->names && field->names[i * 3]; i++)
		if (pg_strncasecmp(*at, field->names + i * 3, 3) == 0)
		{
			*at += 3;
			return field->low + i;
		}
	return -1;
}

/*
 * Reads one part of a list: a star, a value or a range, perhaps with a step, into
 * bits. Returns false when it is none.
 */
static bool
read_part(const char **at, const Field *field, uint64 *bits)
{
	int			from,
				to,
				step = 1;
	bool		range = true;

	if (**at == '*')
	{
		(*at)++;
		from = field->low;
		to = field->high;
	}
	else
	{
		from = to = read_value(at, field);
		range = **at == '-';
		if (range)
		{
			(*at)++;
			to = read_value(at, field);
		}
	}
	if (from < 0 || to < 0 || to < from)
		return false;
	if (**at == '/')
	{
		const char *start = ++(*at);

		for (step = 0; **at >= '0' && **at <= '9' && *at - start < 3; (*at)++)
			step = step * 10 + (**at - '0');
		if (step == 0)
			return false;
		if (!range)
			to = field->high;
	}
	for (; from <= to; from += step)
		*bits |= UINT64CONST(1) << from;
	return true;
}

/*
 * Reads the next field of the expression and moves over it.
 */
static uint64
read_field(const char *text, const char **at, const Field *field, bool *any)
{
	uint64		bits = 0;
	const char *start;
	int			len;

	while (**at == ' ' || **at == '\t')
		(*at)++;
	start = *at;
	len = strcspn(start, " \t");
	if (len == 0)
		refuse(text, NULL, NULL);
	*any = *start == '*';
	for (;;)
	{
		if (!read_part(at, field, &bits))
			refuse(text, field, pnstrdup(start, len));
		if (**at != ',')
			break;
		(*at)++;
	}
	if (*at != start + len)
		refuse(text, field, pnstrdup(start, len));
	return bits;
}

/*
 * Reads an expression; throws at one that is none, or that no date fulfils.
 */
void
te_time_parse_cron(const char *text, TeCron *cron)
{
	const char *at = text;
	bool		any;
	uint64		weekdays;
	int			month;

	memset(cron, 0, sizeof(TeCron));
	cron->minutes = read_field(text, &at, &fields[0], &any);
	cron->hours = (uint32) read_field(text, &at, &fields[1], &any);
	at += strspn(at, " \t");
	if ((*at == 'L' || *at == 'l') && (at[1] == ' ' || at[1] == '\t'))
	{
		cron->last_day = true;
		at++;
	}
	else
		cron->days = (uint32) read_field(text, &at, &fields[2], &cron->any_day);
	cron->months = (uint32) read_field(text, &at, &fields[3], &any);
	weekdays = read_field(text, &at, &fields[4], &cron->any_weekday);
	cron->weekdays = (uint32) ((weekdays | weekdays >> 7) & 0x7f);
	if (at[strspn(at, " \t")] != '\0')
		refuse(text, NULL, NULL);
	if (cron->last_day || cron->any_day || !cron->any_weekday)
		return;
	for (month = 1; month <= MONTHS_PER_YEAR; month++)
		if ((cron->months & (1 << month)) && (cron->days & ((UINT64CONST(2) << day_tab[1][month - 1]) - 2)))
			return;
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("no date fulfils the cron expression \"%s\"", text),
			 errhint("Use L as day for the last day of each month.")));
}

/*
 * Whether an expression fires on the day that begins with a midnight.
 */
static bool
fires_on(const TeCron *cron, Timestamp midnight)
{
	int			year,
				month,
				day;
	bool		by_day,
				by_weekday;

	j2date((int) (midnight / USECS_PER_DAY + POSTGRES_EPOCH_JDATE), &year, &month, &day);
	if (!(cron->months & (1 << month)))
		return false;
	by_day = cron->last_day ? day == day_tab[isleap(year)][month - 1] : (cron->days & (1U << day)) != 0;
	by_weekday = (cron->weekdays & (1 << te_time_weekday(midnight))) != 0;
	if (cron->any_day && !cron->last_day)
		return by_weekday;
	if (cron->any_weekday)
		return by_day;
	return by_day || by_weekday;
}

/*
 * The first instant after another at which an expression fires by the clock of a
 * zone. False when there is none.
 */
bool
te_time_next_cron(const TeCron *cron, TimestampTz after, pg_tz *zone, TimestampTz *next)
{
	Timestamp	start = te_time_local(after, zone);
	Timestamp	midnight = te_time_midnight(start);
	int			days;

	/* the day before, too: as the clock is put back local time may be behind */
	midnight -= USECS_PER_DAY;
	for (days = 0; days < MOST_DAYS; days++, midnight += USECS_PER_DAY)
	{
		int			hour,
					minute;

		CHECK_FOR_INTERRUPTS();
		if (!fires_on(cron, midnight))
			continue;
		for (hour = 0; hour < HOURS_PER_DAY; hour++)
		{
			if (!(cron->hours & (1 << hour)))
				continue;
			for (minute = 0; minute < MINS_PER_HOUR; minute++)
			{
				if (!(cron->minutes & (UINT64CONST(1) << minute)))
					continue;
				*next = te_time_at(midnight + hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE, zone);
				if (*next > after)
					return IS_VALID_TIMESTAMP(*next);
			}
		}
	}
	return false;
}

/*
 * next_cron(expression, after, zone)
 */
Datum
te_next_cron(PG_FUNCTION_ARGS)
{
	char	   *expression = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz after = PG_GETARG_TIMESTAMPTZ(1);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	pg_tz	   *zone = te_time_zone(name);
	TeCron		cron;
	TimestampTz next;

	te_time_parse_cron(expression, &cron);
	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", name),
				 errhint("Use a name of pg_timezone_names, such as Europe/Berlin.")));
	if (TIMESTAMP_NOT_FINITE(after) || !te_time_next_cron(&cron, after, zone, &next))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}
