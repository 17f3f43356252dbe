/*
 * pressure.c
 *		The first instant at which all rules let a message go.
 *
 * Quiet hours and caps are solved together: each that stands in the way moves the
 * instant to where its own hindrance ends, until none does. Slots are sorted by time.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"

#include "common/common.h"
#include "decide/pressure.h"
#include "time/time.h"

/* Moves after which there is taken to be no such instant. */
#define MOST_MOVES 10000
#define DAYS_OF_WEEK 7

/*
 * True when one text asks for another; NULL asks for anything.
 */
static bool
asks(const char *rule, const char *message)
{
	return rule == NULL || (message != NULL && strcmp(rule, message) == 0);
}

/*
 * True when a rule applies to a message.
 */
bool
te_pressure_concerns(const TeScope *rule, const TeScope *message)
{
	return asks(rule->channel, message->channel) && asks(rule->topic, message->topic) &&
		asks(rule->journey, message->journey) && asks(rule->purpose, message->purpose);
}

/*
 * The instant at which the clock will show a local time, which is later than what it
 * shows at "at". When the clock is being put back, that time may have been shown before.
 */
static TimestampTz
when_shown(Timestamp local, TimestampTz at, Timestamp local_at, pg_tz *zone)
{
	TimestampTz shown = te_time_at(local, zone);

	return shown > at ? shown : at + (local - local_at);
}

/*
 * When the quiet hours that hold at an instant end; the instant itself when none does.
 */
static TimestampTz
quiet_end(const TeQuietRule *rule, TimestampTz at, pg_tz *zone)
{
	Timestamp	local = te_time_local(at, zone);
	Timestamp	midnight = te_time_midnight(local);
	Timestamp	next = DT_NOEND;
	int			i,
				day;

	for (i = 0; i < rule->nwindows; i++)
		for (day = -1; day <= (rule->allows ? DAYS_OF_WEEK : 0); day++)
		{
			const TeWindow *window = &rule->windows[i];
			Timestamp	from = midnight + day * USECS_PER_DAY;
			Timestamp	to;

			if (!(window->weekdays & (1 << te_time_weekday(from))))
				continue;
			from += window->from;
			to = from + window->length;
			if (local >= from && local < to)
			{
				if (rule->allows)
					return at;
				return when_shown(to, at, local, zone);
			}
			if (from > local)
				next = Min(next, from);
		}
	if (!rule->allows)
		return at;
	return next == DT_NOEND ? DT_NOEND : when_shown(next, at, local, zone);
}

/*
 * Beginning and end of the stretch of the calendar in which an instant lies.
 */
static void
calendar_stretch(const TeCapRule *cap, TimestampTz at, pg_tz *zone, TimestampTz *from, TimestampTz *to)
{
	Timestamp	local = te_time_local(at, zone);
	Timestamp	start = te_time_midnight(local);
	Timestamp	end;

	if (cap->per.month > 0)
	{
		int			year,
					month,
					day;

		j2date((int) (start / USECS_PER_DAY + POSTGRES_EPOCH_JDATE), &year, &month, &day);
		(void) te_time_date(year, month, 1, false, &start);
		(void) te_time_date(year + month / MONTHS_PER_YEAR, month % MONTHS_PER_YEAR + 1, 1, false, &end);
	}
	else if (cap->per.day == DAYS_OF_WEEK)
	{
		start -= (te_time_weekday(start) + DAYS_OF_WEEK - 1) % DAYS_OF_WEEK * USECS_PER_DAY;	/* Monday */
		end = start + DAYS_OF_WEEK * USECS_PER_DAY;
	}
	else if (cap->per.day == 1)
		end = start + USECS_PER_DAY;
	else
	{
		start += (local - start) / USECS_PER_HOUR * USECS_PER_HOUR;
		end = start + USECS_PER_HOUR;
	}
	*from = te_time_at(start, zone);
	*to = when_shown(end, at, local, zone);
}

/*
 * True when a slot takes room that a message of that priority wants: it was used, or
 * is planned for one that is not less important.
 */
static bool
counts(const TeCapRule *cap, const TeSlot *slot, int priority)
{
	return (slot->used || slot->priority >= priority) && te_pressure_concerns(&cap->scope, &slot->scope);
}

/*
 * When a cap has room again; the instant itself when it has.
 */
static TimestampTz
cap_end(const TeCapRule *cap, int priority, const TeSlot *slots, int nslots, pg_tz *zone, TimestampTz at)
{
	int			i,
				k,
				n = 0;

	if (cap->max == 0)
		return DT_NOEND;
	if (cap->calendar)
	{
		TimestampTz from,
					to;

		calendar_stretch(cap, at, zone, &from, &to);
		for (i = 0; i < nslots; i++)
			n += counts(cap, &slots[i], priority) && slots[i].at >= from && slots[i].at < to;
		return n >= cap->max ? to : at;
	}

	/* of each max in a row: between the first less and the last more than a span there is no room */
	for (i = 0; i < nslots; i++)
	{
		if (!counts(cap, &slots[i], priority))
			continue;
		n = 0;
		for (k = i; k < nslots && n < cap->max; k++)
			if (counts(cap, &slots[k], priority) && ++n == cap->max)
			{
				TimestampTz free = te_clock_add(slots[i].at, &cap->per);

				if (slots[k].at < free && at < free && te_clock_add(at, &cap->per) > slots[k].at)
					return free;
			}
	}
	return at;
}

/*
 * The first instant from "at" on at which all rules let a message go, or DT_NOEND when
 * there is none up to the limit. *obstacle is what stood in the way last.
 */
TimestampTz
te_pressure_first(const TePressure *rules, const TeScope *message, int priority, const TeSlot *slots,
				  int nslots, pg_tz *zone, TimestampTz at, TimestampTz limit, TeObstacle *obstacle)
{
	int			moves,
				i;

	memset(obstacle, 0, sizeof(TeObstacle));
	for (moves = 0; moves < MOST_MOVES && at <= limit; moves++)
	{
		TimestampTz before = at;

		for (i = 0; i < rules->nquiet && at == before; i++)
		{
			const TeQuietRule *rule = &rules->quiet[i];

			if (!te_pressure_concerns(&rule->scope, message))
				continue;
			at = quiet_end(rule, at, rule->zone ? rule->zone : zone);
			if (at != before)
				*obstacle = (TeObstacle) {.quiet = rule};
		}
		for (i = 0; i < rules->ncaps && at == before; i++)
		{
			const TeCapRule *cap = &rules->caps[i];

			if (!te_pressure_concerns(&cap->scope, message))
				continue;
			at = cap_end(cap, priority, slots, nslots, zone, at);
			if (at != before)
				*obstacle = (TeObstacle) {.cap = cap};
		}
		if (at == before)
			return at;
		if ((obstacle->quiet && obstacle->quiet->drops) || (obstacle->cap && obstacle->cap->drops))
			return DT_NOEND;
	}
	return DT_NOEND;
}
