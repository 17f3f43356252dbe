/*
 * date_text.c
 *		Instants from the texts that Ruby's Time.parse takes.
 *
 * The usual form, 2016-03-14 with or without time and zone, is read at once; for all
 * others date_pattern.c is asked. What a text leaves out before its first part is taken
 * from now.
 */
#include "postgres.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "mb/pg_wchar.h"

#include "template/date_text.h"

/* ---- zones ---- */

/*
 * Two digits as a number, -1 if they are none.
 */
static inline int
two_digits(const char *at)
{
	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return -1;
	return (at[0] - '0') * 10 + (at[1] - '0');
}

/*
 * An offset as +hh, +hhmm, +hh:mm, +hhmmss or +hh:mm:ss.
 */
static bool
numeric_offset(const char *zone, int *offset)
{
	int			len = (int) strlen(zone);
	int			colon = len == 6 || len == 9;
	int			parts[3] = {0, 0, 0};
	int			i;

	if (len != 3 && len != 5 && len != 6 && len != 7 && len != 9)
		return false;
	for (i = 0; 1 + i * (2 + colon) < len; i++)
	{
		const char *at = zone + 1 + i * (2 + colon);

		if (i > 0 && colon && at[-1] != ':')
			return false;
		parts[i] = two_digits(at);
		if (parts[i] < 0)
			return false;
	}
	*offset = parts[0] * 3600 + parts[1] * 60 + parts[2];
	if (*zone == '-')
		*offset = -*offset;
	return true;
}

/*
 * The abbreviation of a zone at an instant equals a text in lower case; then the offset.
 */
static bool
abbreviation_matches(const TeTime *now, int64 year, int month, const char *text, int *offset)
{
	TeTime		time;
	TeCalendar	calendar;

	if (year < 1 || year > 9999)
		return false;
	time.zone = now->zone;
	time.at = (te_calendar_days(year, month, 1) * TE_SECONDS_A_DAY - TE_EPOCH_SHIFT) * USECS_PER_SEC;
	te_calendar_of(&time, &calendar);
	*offset = calendar.offset;
	return pg_strcasecmp(calendar.zone, text) == 0;
}

/*
 * The offset of a zone in lower case, in seconds: of numbers, the names that mail uses, the
 * letters of the military, and what the zone at hand calls itself in that year. False if it
 * is another, which then does not count.
 */
static bool
zone_offset(const TeTime *now, const char *zone, int64 year, int *offset)
{
	static const struct
	{
		const char *name;
		int			hours;
	}			names[] = {
		{"utc", 0}, {"ut", 0}, {"gmt", 0}, {"est", -5}, {"edt", -4}, {"cst", -6}, {"cdt", -5},
		{"mst", -7}, {"mdt", -6}, {"pst", -8}, {"pdt", -7}
	};
	int			i;

	if (*zone == '+' || *zone == '-')
		return numeric_offset(zone, offset);
	if (zone[0] != '\0' && zone[1] == '\0')
	{
		char		c = zone[0];

		*offset = 0;
		if (c >= 'a' && c <= 'i')
			*offset = c - 'a' + 1;
		else if (c >= 'k' && c <= 'm')
			*offset = c - 'k' + 10;
		else if (c >= 'n' && c <= 'y')
			*offset = -(c - 'n' + 1);
		*offset *= 3600;
		return c >= 'a' && c <= 'z' && c != 'j';
	}
	for (i = 0; i < lengthof(names); i++)
		if (strcmp(zone, names[i].name) == 0)
		{
			*offset = names[i].hours * 3600;
			return true;
		}
	return abbreviation_matches(now, year, 1, zone, offset) || abbreviation_matches(now, year, 7, zone, offset);
}

/*
 * True for the zones that mean UTC itself, and not just its offset.
 */
static bool
is_utc(const char *zone)
{
	if (*zone == '+')
		return false;
	return strcmp(zone, "z") == 0 || strcmp(zone, "utc") == 0 || strcmp(zone, "ut") == 0 ||
		strcmp(zone, "-00:00") == 0 || strcmp(zone, "-0000") == 0 || strcmp(zone, "-00") == 0;
}

/* ---- from parts to an instant ---- */

/*
 * Fills in what was left out before the first part that was found, from now at the
 * offset of the text if it has one; the rest begins at the start.
 */
static void
complete(TeDateText *d, const TeTime *now, bool has_offset, int offset)
{
	static const int64 starts[] = {1970, 1, 1, 0, 0, 0, 0};
	TeTime		time = *now;
	TeCalendar	c;
	int64		parts[7];
	int			i;

	if (te_date_has(d, TE_YEAR))
		i = 0;
	else
	{
		if (has_offset)
		{
			/* its calendar is that of UTC so much later */
			time.at += (int64) offset * USECS_PER_SEC;
			time.zone = te_zone_of_offset(0);
			if (time.zone == NULL)
				time = *now;
		}
		te_calendar_of(&time, &c);
		parts[TE_YEAR] = c.year;
		parts[TE_MONTH] = c.month;
		parts[TE_DAY] = c.day;
		parts[TE_HOUR] = c.hour;
		parts[TE_MINUTE] = c.minute;
		parts[TE_SECOND] = c.second;
		parts[TE_MICROS] = c.micros;
		for (i = TE_YEAR; i <= TE_MICROS && !te_date_has(d, (TeDatePart) i); i++)
			te_date_set(d, (TeDatePart) i, parts[i]);
	}
	for (; i <= TE_MICROS; i++)
		if (!te_date_has(d, (TeDatePart) i))
			d->parts[i] = starts[i];
}

/*
 * Adds what is over a unit's size, either way, to the next larger unit's count.
 */
static void
carry(int64 *part, int64 add, int size, int64 *over, int sign)
{
	int64		rest;

	if (add == 0)
		return;
	*part += sign * add;
	rest = *part % size;
	if (rest < 0)
		rest += size;
	*over += sign * ((*part - rest) / size);
	*part = rest;
}

/*
 * Brings a local time to UTC part by part, which mends parts that are out of bounds where
 * the offset touches them, as Ruby does. False when the month is none.
 */
static bool
subtract_offset(int64 *p, int offset)
{
	int			sign = offset < 0 ? 1 : -1;
	int64		left = Abs(offset);
	int64		minutes = left / 60;
	int64		hours;
	int64		days;

	if (p[TE_MONTH] < 1 || p[TE_MONTH] > 12)
		return false;
	carry(&p[TE_SECOND], left % 60, 60, &minutes, sign);
	hours = minutes / 60;
	carry(&p[TE_MINUTE], minutes % 60, 60, &hours, sign);
	days = hours / 24;
	carry(&p[TE_HOUR], hours % 24, 24, &days, sign);
	if (days == 0)
		return true;
	p[TE_DAY] += sign * days;
	if (sign > 0 && p[TE_DAY] > te_calendar_month_length(p[TE_YEAR], (int) p[TE_MONTH]))
	{
		p[TE_DAY] = 1;
		if (++p[TE_MONTH] > 12)
		{
			p[TE_MONTH] = 1;
			p[TE_YEAR]++;
		}
	}
	else if (sign < 0 && p[TE_DAY] < 1)
	{
		if (--p[TE_MONTH] < 1)
		{
			p[TE_MONTH] = 12;
			p[TE_YEAR]--;
		}
		p[TE_DAY] = te_calendar_month_length(p[TE_YEAR], (int) p[TE_MONTH]);
	}
	return true;
}

/*
 * The instant of parts that are complete: false where they are out of their bounds. Days
 * that a short month does not have run over into the next, as does second 60.
 */
static bool
assemble(TeDateText *d, const TeTime *now, bool has_offset, int offset, TeTime *result)
{
	int64	   *p = d->parts;
	int64		seconds;

	if (has_offset && !subtract_offset(p, offset))
		return false;
	if (p[TE_YEAR] < -4700 || p[TE_YEAR] > 290000 || p[TE_MONTH] < 1 || p[TE_MONTH] > 12 ||
		p[TE_DAY] < 1 || p[TE_DAY] > 31 || p[TE_SECOND] < 0 || p[TE_SECOND] > 60)
		return false;
	if (p[TE_MINUTE] < 0 || p[TE_MINUTE] > 59 || p[TE_HOUR] < 0 || p[TE_HOUR] > 24 ||
		(p[TE_HOUR] == 24 && (p[TE_MINUTE] > 0 || p[TE_SECOND] > 0)))
		return false;
	seconds = te_calendar_days(p[TE_YEAR], (int) p[TE_MONTH], (int) p[TE_DAY]) * TE_SECONDS_A_DAY +
		p[TE_HOUR] * 3600 + p[TE_MINUTE] * 60 + p[TE_SECOND];
	result->zone = now->zone;
	if (has_offset)
	{
		if (is_utc(d->zone))
			result->zone = te_zone_is_utc(now->zone) ? now->zone : pg_tzset("UTC");
		else if (te_calendar_offset(seconds, now->zone) != offset)
			result->zone = te_zone_of_offset(offset);
		if (result->zone == NULL)
			return false;
	}
	else
		seconds = te_calendar_instant(seconds, now->zone);
	result->at = (seconds - TE_EPOCH_SHIFT) * USECS_PER_SEC + p[TE_MICROS];
	return IS_VALID_TIMESTAMP(result->at);
}

/*
 * Turns a day of a year into month and day; false when the year is not so long.
 */
static bool
resolve_yearday(TeDateText *d, const TeTime *now)
{
	TeCalendar	c;
	int64		day = d->parts[TE_YEARDAY];
	int			month = 1;

	if (!te_date_has(d, TE_YEAR))
	{
		te_calendar_of(now, &c);
		te_date_set(d, TE_YEAR, c.year);
	}
	if (day < 1 || day > 366 || d->parts[TE_YEAR] > 290000)
		return false;
	while (month <= 12 && day > te_calendar_month_length(d->parts[TE_YEAR], month))
		day -= te_calendar_month_length(d->parts[TE_YEAR], month++);
	if (month > 12)
		return false;
	te_date_set(d, TE_MONTH, month);
	te_date_set(d, TE_DAY, day);
	return true;
}

/*
 * The instant that the parts found describe.
 */
static bool
instant_of_parts(TeDateText *d, const TeTime *now, TeTime *result)
{
	TeCalendar	c;
	int			offset = 0;
	bool		has_offset = false;
	int64		year = d->parts[TE_YEAR];

	if (d->found == 0)
		return false;
	if (te_date_has(d, TE_YEAR))
	{
		if (d->before_christ)
			year = 1 - year;
		if (!d->whole_year && year >= 0 && year <= 99)
			year += year >= 69 ? 1900 : 2000;
		d->parts[TE_YEAR] = year;
	}
	else if (d->zone[0] != '\0')
	{
		te_calendar_of(now, &c);
		year = c.year;
	}
	if (te_date_has(d, TE_YEARDAY) && !resolve_yearday(d, now))
		return false;
	if (d->zone[0] != '\0')
		has_offset = zone_offset(now, d->zone, year, &offset);
	complete(d, now, has_offset, offset);
	return assemble(d, now, has_offset, offset, result);
}

/* ---- reading ---- */

/*
 * Reads yyyy-mm-dd, and after a space or T hh:mm, hh:mm:ss, a fraction, and Z or an
 * offset. False for everything else.
 */
static bool
read_iso(TeDateText *d, const char *text, int len)
{
	int			year1,
				year2;
	const char *end = text + len;
	const char *at;

	d->found = 0;
	d->zone[0] = '\0';
	if (len < 10 || text[4] != '-' || text[7] != '-')
		return false;
	year1 = two_digits(text);
	year2 = two_digits(text + 2);
	d->parts[TE_MONTH] = two_digits(text + 5);
	d->parts[TE_DAY] = two_digits(text + 8);
	d->parts[TE_HOUR] = d->parts[TE_MINUTE] = d->parts[TE_SECOND] = d->parts[TE_MICROS] = 0;
	if (year1 < 0 || year2 < 0 || d->parts[TE_MONTH] < 0 || d->parts[TE_DAY] < 0)
		return false;
	d->parts[TE_YEAR] = year1 * 100 + year2;
	d->found = (1 << (TE_MICROS + 1)) - 1;
	d->whole_year = true;
	if (len == 10)
		return true;
	if (len < 16 || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':')
		return false;
	d->parts[TE_HOUR] = two_digits(text + 11);
	d->parts[TE_MINUTE] = two_digits(text + 14);
	if (d->parts[TE_HOUR] < 0 || d->parts[TE_MINUTE] < 0)
		return false;
	at = text + 16;
	if (end - at >= 3 && *at == ':')
	{
		d->parts[TE_SECOND] = two_digits(at + 1);
		if (d->parts[TE_SECOND] < 0)
			return false;
		at += 3;
		if (end - at >= 2 && *at == '.')
		{
			int64		unit = 100000;

			if (at[1] < '0' || at[1] > '9')
				return false;
			for (at++; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10)
				d->parts[TE_MICROS] += (*at - '0') * unit;
		}
	}
	if (at == end)
		return true;
	if ((*at == 'Z' || *at == 'z') && at + 1 == end)
		strcpy(d->zone, "z");
	else if ((*at == '+' || *at == '-') && (end - at == 5 || end - at == 6))
	{
		int			offset;

		memcpy(d->zone, at, end - at);
		d->zone[end - at] = '\0';
		return numeric_offset(d->zone, &offset);
	}
	else
		return false;
	return true;
}

/*
 * True for a character that may be part of a date: letters and digits of any script, and
 * some signs.
 */
static bool
belongs(const char *at, int size)
{
	UChar32		c = 0;

	if (size == 1)
		return (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || strchr("-+',./:@[]", *at) != NULL;
	if (GetDatabaseEncoding() != PG_UTF8)
		return true;
	U8_GET((const uint8_t *) at, 0, 0, size, c);
	return c >= 0 && u_isalnum(c);
}

/*
 * Copies a text in lower case, with spaces for what belongs to no date.
 */
static void
copy_clean(TeDateText *d, const char *text, int len)
{
	const char *end = text + len;

	d->len = 0;
	while (text < end)
	{
		int			size = te_text_step(text, end);
		char		c = pg_ascii_tolower((unsigned char) *text);

		if (size == 1 ? c != '\0' && belongs(&c, 1) : belongs(text, size))
		{
			memcpy(d->text + d->len, size == 1 ? &c : text, size);
			d->len += size;
		}
		else if (d->len == 0 || d->text[d->len - 1] != ' ')
			d->text[d->len++] = ' ';
		text += size;
	}
	d->text[d->len] = '\0';
}

/*
 * The instant that a text means: false if it means none. Throws never.
 */
bool
te_date_parse(const char *text, int len, const TeTime *now, TeTime *result)
{
	TeDateText	d;

	if (len > TE_DATE_BYTES || (len > TE_DATE_CHARACTERS && te_text_length(text, len) > TE_DATE_CHARACTERS))
		return false;
	d.before_christ = false;
	if (!read_iso(&d, text, len))
	{
		d.found = 0;
		d.whole_year = false;
		d.zone[0] = '\0';
		memset(d.parts, 0, sizeof(d.parts));
		copy_clean(&d, text, len);
		te_date_find(&d);
	}
	return instant_of_parts(&d, now, result);
}
