/*
 * date_format.c
 *		Instants as text by a format of strftime, with the flags that Ruby knows:
 *		%[-0^#_][width][:]letter.
 */
#include "postgres.h"

#include "template/calendar.h"

/* Wider output and longer formats are refused. */
#define LARGEST_WIDTH 256
#define LONGEST_FORMAT 1024

static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {
	"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
	"December"
};

/* What stands between a percent sign and its letter. */
typedef struct Directive
{
	bool		left;			/* -: no padding */
	bool		upper;			/* ^ */
	bool		change;			/* #: the other case */
	char		padding;		/* 0 or a space, else zero byte */
	int			width;			/* 0: as usual */
	int			colons;
} Directive;

/*
 * Appends text padded on its left, in another case if the directive says so.
 */
static void
put_text(TeRender *r, TeBuffer *out, const Directive *d, const char *text, int len, bool lower)
{
	char		c;
	int			i;

	if (!d->left)
		for (i = len; i < d->width; i++)
			te_buffer_char(r, out, d->padding ? d->padding : ' ');
	if (!d->upper && !d->change)
	{
		te_buffer_append(r, out, text, len);
		return;
	}
	for (i = 0; i < len; i++)
	{
		c = text[i];
		te_buffer_char(r, out, lower && d->change ? pg_ascii_tolower((unsigned char) c) : pg_ascii_toupper((unsigned char) c));
	}
}

/*
 * Appends a number with at least width characters, its sign among them.
 */
static void
put_padded(TeRender *r, TeBuffer *out, int64 number, int width, char padding)
{
	char		digits[LARGEST_WIDTH + 32];
	char	   *end = digits + sizeof(digits);
	char	   *at = end;
	uint64		left = number < 0 ? -(uint64) number : (uint64) number;

	do
		*--at = (char) ('0' + left % 10);
	while ((left /= 10) != 0);
	if (padding == '0')
		while (end - at < width - (number < 0))
			*--at = '0';
	if (number < 0)
		*--at = '-';
	while (end - at < width)
		*--at = ' ';
	te_buffer_append(r, out, at, (int) (end - at));
}

/*
 * Appends a number as the directive pads it, or else by the usual padding and width.
 */
static void
put_number(TeRender *r, TeBuffer *out, const Directive *d, int64 number, char padding, int width)
{
	if (d->left)
		width = 1;
	else if (d->width > 0)
		width = d->width;
	put_padded(r, out, number, width, d->padding ? d->padding : padding);
}

/*
 * Appends a fraction of a second with as many digits as the directive is wide.
 */
static void
put_fraction(TeRender *r, TeBuffer *out, const Directive *d, int micros, int width)
{
	int			unit = 100000;

	if (d->width > 0)
		width = d->width;
	for (; width > 0; width--, unit /= 10)
		te_buffer_char(r, out, unit == 0 ? '0' : (char) ('0' + micros / unit % 10));
}

/*
 * Appends the offset from UTC, as +hhmm, +hh:mm or +hh:mm:ss by the count of colons, or
 * with three as short as it can be.
 */
static void
put_offset(TeRender *r, TeBuffer *out, const Directive *d, int offset)
{
	int			seconds = Abs(offset);
	int			parts = d->colons == 0 || d->colons == 1 ? 2 : 3;
	int			after;
	int			width;
	char		hours[8];
	int			len;

	if (d->colons == 3)
		parts = seconds % 3600 == 0 ? 1 : seconds % 60 == 0 ? 2 : 3;
	after = (parts - 1) * (d->colons == 0 ? 2 : 3);
	width = Max(d->width - after, 0);
	len = snprintf(hours, sizeof(hours), d->padding == ' ' ? "%d" : "%02d", seconds / 3600);
	if (d->padding == ' ')
	{
		width = Max(width, 3);
		for (; width > len + 1; width--)
			te_buffer_char(r, out, ' ');
	}
	te_buffer_char(r, out, offset < 0 ? '-' : '+');
	for (; width > len + 1 && d->padding != ' '; width--)
		te_buffer_char(r, out, '0');
	te_buffer_append(r, out, hours, len);
	if (parts > 1)
	{
		if (d->colons > 0)
			te_buffer_char(r, out, ':');
		put_padded(r, out, seconds / 60 % 60, 2, '0');
	}
	if (parts > 2)
	{
		te_buffer_char(r, out, ':');
		put_padded(r, out, seconds % 60, 2, '0');
	}
}

/*
 * The year and number of the week by ISO 8601.
 */
static int
iso_week(const TeCalendar *c, int64 *year)
{
	int			weekday = (c->weekday + 6) % 7; /* 0 is Monday */
	int			week = (c->yearday - weekday + 10) / 7;

	*year = c->year;
	if (week < 1)
	{
		/* the last week of the year before: of 53 if that began on a Thursday, or Wednesday and was a leap year */
		int			days = 337 + te_calendar_month_length(c->year - 1, 2);

		(*year)--;
		return (c->yearday + days - weekday + 10) / 7;
	}
	if (week == 53 && c->yearday - weekday + 3 >= 337 + te_calendar_month_length(c->year, 2))
	{
		(*year)++;
		return 1;
	}
	return week;
}

static bool format_into(TeRender *r, TeBuffer *out, const TeCalendar *c, const char *format, int len);

/*
 * Appends what another format gives, padded as a whole, whatever the flags say.
 */
static void
put_format(TeRender *r, TeBuffer *out, const Directive *d, const TeCalendar *c, const char *format)
{
	TeBuffer	inner;

	if (!d->upper && d->width == 0)
	{
		format_into(r, out, c, format, (int) strlen(format));
		return;
	}
	te_buffer_init(r, &inner, 64);
	format_into(r, &inner, c, format, (int) strlen(format));
	put_text(r, out, &(Directive) {.upper = d->upper,.padding = d->padding,.width = d->width},
			 inner.data, inner.len, false);
}

/*
 * Appends floor(a / b) and the like of years before 0 as numbers.
 */
static inline int64
floor_mod(int64 a, int64 b)
{
	int64		rest = a % b;

	return rest < 0 ? rest + b : rest;
}

/*
 * Appends a part that is a number; false if the letter means none.
 */
static bool
put_numeric(TeRender *r, TeBuffer *out, const Directive *d, const TeCalendar *c, char letter)
{
	int64		year;
	int			week;

	switch (letter)
	{
		case 'C':
			put_number(r, out, d, (c->year - floor_mod(c->year, 100)) / 100, '0', 2);
			break;
		case 'd':
		case 'e':
			put_number(r, out, d, c->day, letter == 'd' ? '0' : ' ', 2);
			break;
		case 'g':
			iso_week(c, &year);
			put_number(r, out, d, floor_mod(year, 100), '0', 2);
			break;
		case 'G':
			iso_week(c, &year);
			put_number(r, out, d, year, '0', year < 0 ? 5 : 4);
			break;
		case 'H':
		case 'k':
			put_number(r, out, d, c->hour, letter == 'H' ? '0' : ' ', 2);
			break;
		case 'I':
		case 'l':
			put_number(r, out, d, (c->hour + 11) % 12 + 1, letter == 'I' ? '0' : ' ', 2);
			break;
		case 'j':
			put_number(r, out, d, c->yearday + 1, '0', 3);
			break;
		case 'L':
			put_fraction(r, out, d, c->micros, 3);
			break;
		case 'm':
			put_number(r, out, d, c->month, '0', 2);
			break;
		case 'M':
			put_number(r, out, d, c->minute, '0', 2);
			break;
		case 'N':
			put_fraction(r, out, d, c->micros, 9);
			break;
		case 's':
			put_number(r, out, d, c->unix_seconds, '0', 1);
			break;
		case 'S':
			put_number(r, out, d, c->second, '0', 2);
			break;
		case 'u':
			put_number(r, out, d, c->weekday == 0 ? 7 : c->weekday, '0', 1);
			break;
		case 'U':
			put_number(r, out, d, (c->yearday + 7 - c->weekday) / 7, '0', 2);
			break;
		case 'V':
			week = iso_week(c, &year);
			put_number(r, out, d, week, '0', 2);
			break;
		case 'w':
			put_number(r, out, d, c->weekday, '0', 1);
			break;
		case 'W':
			put_number(r, out, d, (c->yearday + 7 - (c->weekday + 6) % 7) / 7, '0', 2);
			break;
		case 'y':
			put_number(r, out, d, floor_mod(c->year, 100), '0', 2);
			break;
		case 'Y':
			put_number(r, out, d, c->year, '0', c->year < 0 ? 5 : 4);
			break;
		case 'z':
			put_offset(r, out, d, c->offset);
			break;
		default:
			return false;
	}
	return true;
}

/*
 * Appends a part by its letter; false if the letter means nothing.
 */
static bool
put_part(TeRender *r, TeBuffer *out, const Directive *d, const TeCalendar *c, char letter)
{
	const char *name;

	switch (letter)
	{
		case 'a':
			put_text(r, out, d, day_names[c->weekday], 3, false);
			break;
		case 'A':
			name = day_names[c->weekday];
			put_text(r, out, d, name, (int) strlen(name), false);
			break;
		case 'b':
		case 'h':
			put_text(r, out, d, month_names[c->month - 1], 3, false);
			break;
		case 'B':
			name = month_names[c->month - 1];
			put_text(r, out, d, name, (int) strlen(name), false);
			break;
		case 'c':
			put_format(r, out, d, c, "%a %b %e %H:%M:%S %Y");
			break;
		case 'D':
		case 'x':
			put_format(r, out, d, c, "%m/%d/%y");
			break;
		case 'F':
			put_format(r, out, d, c, "%Y-%m-%d");
			break;
		case 'n':
			put_text(r, out, d, "\n", 1, false);
			break;
		case 'p':
			put_text(r, out, d, c->hour < 12 ? "AM" : "PM", 2, true);
			break;
		case 'P':
			put_text(r, out, d, c->hour < 12 ? "am" : "pm", 2, false);
			break;
		case 'r':
			put_format(r, out, d, c, "%I:%M:%S %p");
			break;
		case 'R':
			put_format(r, out, d, c, "%H:%M");
			break;
		case 't':
			put_text(r, out, d, "\t", 1, false);
			break;
		case 'T':
		case 'X':
			put_format(r, out, d, c, "%H:%M:%S");
			break;
		case 'v':
			put_format(r, out, d, c, "%e-%^b-%4Y");
			break;
		case 'Z':
			if (c->zone[0] != '\0')
				put_text(r, out, d, c->zone, (int) strlen(c->zone), true);
			break;
		case '%':
			put_text(r, out, d, "%", 1, false);
			break;
		default:
			return put_numeric(r, out, d, c, letter);
	}
	return true;
}

/*
 * Reads what stands between the percent sign and the letter, where at is left: false if
 * that is malformed, or at the end.
 */
static bool
read_directive(const char **at, const char *end, Directive *d)
{
	for (; *at < end; (*at)++)
	{
		char		c = **at;
		int			colons;

		if (c >= '1' && c <= '9' && d->width == 0)
		{
			for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
				d->width = Min(d->width * 10 + (**at - '0'), LARGEST_WIDTH + 1);
			(*at)--;
		}
		else if (c == '-' || c == '^' || c == '#' || c == '_' || c == '0')
		{
			if (d->width > 0)
				return false;
			d->left |= c == '-';
			d->upper |= c == '^';
			d->change |= c == '#';
			if (c == '-')
				d->padding = 0;
			else if (c == '_' || c == '0')
				d->padding = c == '_' ? ' ' : '0';
		}
		else if (c == ':')
		{
			for (colons = 0; *at + colons < end && (*at)[colons] == ':'; colons++)
				;
			if (colons > 3 || *at + colons == end || (*at)[colons] != 'z')
				return false;
			d->colons = colons;
			*at += colons;
			return true;
		}
		else if (c == 'E' || c == 'O')
		{
			if (*at + 1 == end || strchr(c == 'E' ? "cCxXyY" : "deHkIlmMSuUVwWy", (*at)[1]) == NULL)
				return false;
			(*at)++;
			return true;
		}
		else
			return true;
	}
	return false;
}

/*
 * Appends an instant by a format; false if that ends within a directive or asks for too
 * much width.
 */
static bool
format_into(TeRender *r, TeBuffer *out, const TeCalendar *c, const char *format, int len)
{
	const char *end = format + len;

	while (format < end)
	{
		const char *percent = memchr(format, '%', end - format);
		const char *at;
		Directive	d = {false};

		if (percent == NULL)
			percent = end;
		te_buffer_append(r, out, format, (int) (percent - format));
		if (percent == end)
			break;
		at = percent + 1;
		if (!read_directive(&at, end, &d))
		{
			if (at >= end)
				return false;
			te_buffer_append(r, out, percent, (int) (at - percent));
			format = at;
			continue;
		}
		if (d.width > LARGEST_WIDTH)
			return false;
		format = at + 1;
		if (!put_part(r, out, &d, c, *at))
			te_buffer_append(r, out, percent, (int) (format - percent));
	}
	return true;
}

/*
 * An instant by a format; TE_ERROR if that is malformed or asks for too much.
 */
TeValue
te_time_format(TeRender *r, const TeTime *time, const char *format, int len)
{
	TeBuffer	out;
	TeCalendar	calendar;

	if (len > LONGEST_FORMAT)
		return te_filter_error(r, "date format is longer than %d bytes", LONGEST_FORMAT);
	te_calendar_of(time, &calendar);
	te_buffer_init(r, &out, 32);
	if (!format_into(r, &out, &calendar, format, len))
		return te_filter_error(r, "invalid format: %.*s", Min(len, 200), format);
	return te_buffer_value(&out);
}
