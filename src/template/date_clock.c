/*
 * date_clock.c
 *		Times of day in the text of a date, and blocks of digits that hold date and time.
 */
#include "postgres.h"

#include "template/date_scan.h"

/* ---- the time of day ---- */

/*
 * am, pm, a.m. or p.m. after optional spaces; NULL if there is none.
 */
static const char *
scan_half(const TeDateText *d, const char *at)
{
	at = skip_spaces(at);
	if (*at != 'a' && *at != 'p')
		return NULL;
	if (at[1] == 'm' && is_boundary(d, at + 2))
		return at + 2;
	return skip_word(at + 1, ".m.");
}

/*
 * A zone behind a time: an offset, words that end in standard or daylight time, or one
 * word with dst behind it. NULL if there is none.
 */
static const char *
scan_zone(const TeDateText *d, const char *at)
{
	const char *sign = at;
	const char *word;
	const char *end = NULL;

	if (strncmp(at, "gmt", 3) == 0)
		sign = at + 3;
	else if (strncmp(at, "utc", 3) == 0 && (at[3] == '-' || at[3] == '+'))
		sign = at + 3;
	else if (strncmp(at, "ut", 2) == 0)
		sign = at + 2;
	if ((*sign == '-' || *sign == '+') && is_digit(sign[1]))
	{
		end = skip_digits(sign + 1);
		if ((*end == ',' || *end == '.' || *end == ':') && is_digit(end[1]))
		{
			end = skip_digits(end + 1);
			if (*end == ':' && is_digit(end[1]))
				end = skip_digits(end + 1);
		}
		return end;
	}
	for (word = at; is_letter(*word) || *word == '.' || *word == ' '; word++)
	{
		const char *time = word == at ? NULL : skip_word(word, "standard time");

		if (time == NULL && word > at)
			time = skip_word(word, "daylight time");
		if (time != NULL && is_boundary(d, time))
			end = time;
	}
	if (end != NULL)
		return end;
	for (word = at; is_letter(*word); word++)
		;
	if (word == at)
		return NULL;
	end = skip_word(word, " dst");
	if (end != NULL && is_boundary(d, end))
		return end;
	return is_boundary(d, word) ? word : NULL;
}

/*
 * Sets the parts of a time of day, which stands from one place to another.
 */
static void
set_time(TeDateText *d, const char *at, const char *end)
{
	const char *next;
	int64		hour = number_of(at, end);

	at = skip_digits(at);
	if (*at == 'h')
		at++;
	next = skip_spaces(at);
	if (*next == ':')
		next = skip_spaces(next + 1);
	if (next < end && is_digit(*next))
	{
		te_date_set(d, TE_MINUTE, number_of(next, end));
		at = skip_digits(next);
		if (*at == 'm')
			at++;
		next = skip_spaces(at);
		if (*next == ':')
			next = skip_spaces(next + 1);
		if (next < end && is_digit(*next))
		{
			te_date_set(d, TE_SECOND, number_of(next, end));
			at = skip_digits(next);
			if ((*at == '.' || *at == ',') && at + 1 < end && is_digit(at[1]))
			{
				int64		micros;
				int			i;

				for (i = 1; i <= 6 && is_digit(at[i]); i++)
					;
				micros = number_of(at + 1, at + i);
				for (; i <= 6; i++)
					micros *= 10;
				te_date_set(d, TE_MICROS, micros);
				at = skip_digits(at + 1);
			}
			if (*at == 's')
				at++;
		}
	}
	if (at < end && scan_half(d, at) != NULL)
		hour = hour % 12 + (*skip_spaces(at) == 'p' ? 12 : 0);
	te_date_set(d, TE_HOUR, hour);
}

/*
 * A time of day: 10:30, 10:30:15.5, 10h 30m, 10 pm, with a zone behind it.
 */
bool
te_date_clock(TeDateText *d, const char *at, const char **end)
{
	const char *start = at;
	const char *next;
	const char *half;

	if (!is_digit(*at) || (at > d->text && is_digit(at[-1])))
		return false;
	at = skip_digits(at);
	next = skip_spaces(at);
	if (*next == ':' && is_digit(*skip_spaces(next + 1)))
	{
		at = skip_digits(skip_spaces(next + 1));
		next = skip_spaces(at);
		if (*next == ':' && is_digit(*skip_spaces(next + 1)))
		{
			at = skip_digits(skip_spaces(next + 1));
			if (*at == '.' || *at == ',')
				at = skip_digits(at + 1);
		}
		half = scan_half(d, at);
	}
	else if (*next == 'h')
	{
		at = next + 1;
		next = skip_spaces(at);
		if (is_digit(*next))
		{
			at = skip_digits(next);
			if (*at == 'm')
				at++;
			next = skip_spaces(at);
			if (is_digit(*next))
			{
				at = skip_digits(next);
				if (*at == 's')
					at++;
			}
		}
		half = scan_half(d, at);
	}
	else if ((half = scan_half(d, at)) == NULL)
		return false;
	if (half != NULL)
		at = half;
	*end = at;
	next = scan_zone(d, skip_spaces(at));
	if (next != NULL)
	{
		const char *zone = skip_spaces(at);

		memcpy(d->zone, zone, next - zone);
		d->zone[next - zone] = '\0';
		*end = next;
	}
	set_time(d, start, at);
	return true;
}

/* ---- digits alone ---- */

/*
 * Two or more digits of a block as a part.
 */
static void
set_block(TeDateText *d, TeDatePart part, const char *at, int digits)
{
	te_date_set(d, part, number_of(at, at + digits));
}

/*
 * Sets parts from the end of a block, when a fraction of a second follows it.
 */
static void
set_from_end(TeDateText *d, const char *at, int len, bool negative)
{
	static const TeDatePart parts[] = {TE_SECOND, TE_MINUTE, TE_HOUR, TE_DAY, TE_MONTH, TE_YEAR};
	int			i;

	for (i = 0; len > 0 && i < lengthof(parts); i++)
	{
		int			digits = i == 5 && len == 4 ? 4 : Min(len, 2);

		len -= digits;
		set_block(d, parts[i], at + len, digits);
		if (i == 5)
		{
			if (negative)
				d->parts[TE_YEAR] = -d->parts[TE_YEAR];
			d->whole_year |= digits == 4;
		}
	}
}

/*
 * Sets parts from the start of a block.
 */
static void
set_from_start(TeDateText *d, const char *at, int len, bool negative)
{
	static const TeDatePart parts[] = {TE_MONTH, TE_DAY, TE_HOUR, TE_MINUTE, TE_SECOND};
	int			year = len == 7 || len >= 8 ? 4 : len >= 5 ? 2 : 0;
	int			i;

	if (year > 0)
	{
		set_block(d, TE_YEAR, at, year);
		if (negative)
			d->parts[TE_YEAR] = -d->parts[TE_YEAR];
		d->whole_year |= len >= 8;
	}
	at += year;
	len -= year;
	if (len == 3)
		set_block(d, TE_YEARDAY, at, 3);
	else if (year == 0 && len == 2)
		set_block(d, TE_DAY, at, 2);
	else
		for (i = 0; len >= 2 && i < lengthof(parts); i++, at += 2, len -= 2)
			set_block(d, parts[i], at, 2);
}

/*
 * The zone behind a block of digits: z, an offset of up to four digits, or one in
 * brackets. NULL if there is none.
 */
static const char *
scan_block_zone(TeDateText *d, const char *at)
{
	const char *end;
	const char *name;

	if (*at == 'z' && is_boundary(d, at + 1))
		end = at + 1;
	else if (*at == '-' || *at == '+')
	{
		end = skip_digits(at + 1);
		if (end == at + 1 || end > at + 5 || !is_boundary(d, end))
			return NULL;
	}
	else if (*at == '[' && is_digit(at[at[1] == '-' || at[1] == '+' ? 2 : 1]) && strchr(at, ']') != NULL)
	{
		end = strchr(at, ']');
		name = memchr(at, ':', end - at);
		at = name != NULL ? name + 1 : at + 1;
		memcpy(d->zone, at, end - at);
		d->zone[end - at] = '\0';
		return end + 1;
	}
	else
		return NULL;
	memcpy(d->zone, at, end - at);
	d->zone[end - at] = '\0';
	return end;
}

/*
 * 20160314, 20160314t102030.5z and shorter ones
 */
bool
te_date_block(TeDateText *d, const char *at, const char **end)
{
	bool		negative = *at == '-';
	const char *block;
	const char *time = NULL;
	const char *fraction = NULL;
	const char *next;
	int			len;
	int			timelen = 0;

	if (*at == '-' || *at == '+')
		at++;
	block = at;
	for (len = 0; len < 14 && is_digit(block[len]); len++)
		;
	if (len < 2)
		return false;
	at = skip_spaces(block + len);
	if (*at == 't')
		at++;
	at = skip_spaces(at);
	if (has_digits(at, 2))
	{
		time = at;
		for (timelen = 0; timelen < 6 && is_digit(time[timelen]); timelen++)
			;
		at += timelen;
	}
	if (*at == '.' || *at == ',')
	{
		fraction = ++at;
		at = skip_digits(at);
	}
	*end = at;
	next = scan_block_zone(d, skip_spaces(at));
	if (next != NULL)
		*end = next;

	if (len > 8 && len % 2 != 0)
		 /* no form has so many */ ;
	else if (time == NULL && fraction != NULL)
		set_from_end(d, block, len, negative);
	else
		set_from_start(d, block, len, negative);
	if (time != NULL && timelen % 2 == 0)
	{
		/* counted from the end when a fraction follows */
		int			first = fraction == NULL ? TE_HOUR : TE_SECOND - timelen / 2 + 1;
		int			i;

		for (i = 0; i < timelen / 2; i++)
			set_block(d, (TeDatePart) (first + i), time + 2 * i, 2);
	}
	if (fraction != NULL)
	{
		int			digits = (int) Min(at - fraction, 6);
		int64		micros = number_of(fraction, fraction + digits);

		for (; digits < 6; digits++)
			micros *= 10;
		te_date_set(d, TE_MICROS, micros);
	}
	return true;
}
