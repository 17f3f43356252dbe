/*
 * filter_locale_date.c
 *		Dates and times in the reader's language and zone.
 *
 *	{{ at | date_l: 'long' }}   {{ at | time }}   {{ at | datetime_l: 'full', 'short' }}
 *	{{ at | date_l: 'yMMMd' }}   {{ at | date_l: '%A, %-d. %B' }}   {{ at | relative_time }}
 *
 * What is not a time is left as it is.
 */
#include "postgres.h"

#include "utils/datetime.h"

#include "template/filter_locale.h"
#include "time/time.h"

/*
 * See locale.h. A zone that a filter gave to the value is kept.
 */
bool
te_time_of_reader(TeRender *r, TeValue value, TeTime *time)
{
	if (!te_time_parse(r, value, time))
		return false;
	if (value.kind != TE_TIME && r->input->zone)
		time->zone = r->input->zone;
	return time->zone != NULL;
}

/*
 * A zone among the arguments. False: there is none of that name.
 */
static bool
zone_argument(TeRender *r, const TeArgs *args, int index, pg_tz **zone, TeValue *error)
{
	const TeValue *given = te_filter_argument(args, index, "zone");
	TeValue		name;

	if (given == NULL)
		given = te_filter_argument(args, -1, "time_zone");
	if (given == NULL)
		return true;
	name = te_value_text(r, *given);
	*zone = te_time_find_zone(name.u.str, name.len);
	if (*zone)
		return true;
	*error = te_filter_error(r, "unknown time zone '%.*s'", Min(name.len, 100), name.u.str);
	return false;
}

/*
 * Appends a piece of a format that is the same in all languages.
 */
static bool
append_plain(TeRender *r, TeBuffer *out, const TeTime *time, const char *format, int len)
{
	TeValue		text;

	if (len == 0)
		return true;
	text = te_time_format(r, time, format, len);
	if (text.kind == TE_ERROR)
		return false;
	te_value_write(r, out, text);
	return true;
}

/*
 * What a letter of strftime is in the reader's language; nil for those that are the
 * same everywhere.
 */
static TeValue
localised_directive(TeRender *r, const char *locale, const TeTime *time, char letter, bool has_day)
{
	switch (letter)
	{
		case 'A':
			return te_icu_date_pattern(r, locale, time->at, time->zone, "EEEE");
		case 'a':
			return te_icu_date_pattern(r, locale, time->at, time->zone, "EEE");
		case 'B':
			return te_icu_date_pattern(r, locale, time->at, time->zone, has_day ? "MMMM" : "LLLL");
		case 'b':
		case 'h':
			return te_icu_date_pattern(r, locale, time->at, time->zone, has_day ? "MMM" : "LLL");
		case 'p':
		case 'P':
			return te_icu_date_pattern(r, locale, time->at, time->zone, "a");
		case 'x':
			return te_icu_datetime(r, locale, time->at, time->zone, TE_ICU_SHORT, TE_ICU_NONE);
		case 'X':
			return te_icu_datetime(r, locale, time->at, time->zone, TE_ICU_NONE, TE_ICU_MEDIUM);
		case 'c':
			return te_icu_datetime(r, locale, time->at, time->zone, TE_ICU_MEDIUM, TE_ICU_MEDIUM);
		default:
			return TE_VALUE_NIL;
	}
}

/*
 * A format of strftime with the names of months and days in the reader's language,
 * in the calendar that strftime counts in.
 */
static TeValue
format_directives(TeRender *r, const char *reader, const TeTime *time, const char *format, int len)
{
	TeLocaleTag locale;
	TeBuffer	out;
	bool		has_day = false;
	int			start = 0;
	int			i;

	strlcpy(locale, reader, sizeof(locale));
	(void) te_locale_strip(locale);
	if (strlen(locale) + 14 < sizeof(locale))
		strlcat(locale, "-u-ca-gregory", sizeof(locale));
	for (i = 0; i + 1 < len; i++)
		if (format[i] == '%')
		{
			int			letter = i + 1 + strspn(format + i + 1, "-0^#_:123456789");

			has_day |= letter < len && (format[letter] == 'd' || format[letter] == 'e');
			i += format[i + 1] == '%';
		}
	te_buffer_init(r, &out, len * 2 + 32);
	for (i = 0; i < len; i++)
	{
		TeValue		text;
		int			letter;

		if (format[i] != '%')
			continue;
		letter = i + 1 + strspn(format + i + 1, "-0^#_:123456789");
		if (letter >= len)
			break;
		text = localised_directive(r, locale, time, format[letter], has_day);
		if (text.kind == TE_ERROR)
			return text;
		if (text.kind != TE_NIL)
		{
			if (!append_plain(r, &out, time, format + start, i - start))
				return te_filter_error(r, "invalid date format");
			te_value_write(r, &out, text);
			start = letter + 1;
		}
		i = letter;
	}
	if (!append_plain(r, &out, time, format + start, len - start))
		return te_filter_error(r, "invalid date format");
	return te_buffer_value(&out);
}

/*
 * The work of date_l and time_l: a style, a skeleton, or a format with %.
 */
static TeValue
format_part(TeRender *r, TeValue input, const TeArgs *args, bool date, TeIcuStyle style)
{
	const TeValue *given = te_filter_argument(args, 0, "style");
	TeValue		error;
	const char *locale = te_filter_locale(r, args, -1, &error);
	TeTime		time;
	char	   *format;
	int			len;

	if (locale == NULL)
		return error;
	if (!te_time_of_reader(r, input, &time))
		return input;
	if (!zone_argument(r, args, 1, &time.zone, &error))
		return error;
	if (given)
	{
		format = te_value_cstring(r, *given);
		len = strlen(format);
		if (memchr(format, '%', len))
			return format_directives(r, locale, &time, format, len);
		if (!te_icu_style(format, len, &style))
			return te_icu_date_skeleton(r, locale, time.at, time.zone, format);
	}
	return te_icu_datetime(r, locale, time.at, time.zone, date ? style : TE_ICU_NONE, date ? TE_ICU_NONE : style);
}

/*
 * {{ at | date_l }}: a date; the first argument is a style (medium unless told), a
 * skeleton such as yMMMd, or a format with %; the second a zone.
 */
TeValue
te_filter_date_l(TeRender *r, TeValue input, const TeArgs *args)
{
	return format_part(r, input, args, true, TE_ICU_MEDIUM);
}

/*
 * {{ at | time }}: a time of day, likewise; short unless told.
 */
TeValue
te_filter_time_l(TeRender *r, TeValue input, const TeArgs *args)
{
	return format_part(r, input, args, false, TE_ICU_SHORT);
}

/*
 * A style among the arguments.
 */
static bool
style_argument(TeRender *r, const TeValue *given, TeIcuStyle *style, TeValue *error)
{
	TeValue		text;

	if (given == NULL)
		return true;
	text = te_value_text(r, *given);
	if (te_icu_style(text.u.str, text.len, style))
		return true;
	*error = te_filter_error(r, "a style is none, short, medium, long or full");
	return false;
}

/*
 * Date and time in styles.
 */
static TeValue
format_both(TeRender *r, TeValue input, const TeArgs *args, const char *locale, int first, TeIcuStyle date, TeIcuStyle time_style)
{
	TeValue		error;
	TeTime		time;

	if (!te_time_of_reader(r, input, &time))
		return input;
	if (!style_argument(r, te_filter_argument(args, first, "date"), &date, &error) ||
		!style_argument(r, te_filter_argument(args, first + 1, "time"), &time_style, &error) ||
		!zone_argument(r, args, -1, &time.zone, &error))
		return error;
	return te_icu_datetime(r, locale, time.at, time.zone, date, time_style);
}

/*
 * {{ at | datetime_l: 'long', 'short' }}: both, each in its style.
 */
TeValue
te_filter_datetime_l(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		error;
	const char *locale = te_filter_locale(r, args, -1, &error);

	return locale ? format_both(r, input, args, locale, 0, TE_ICU_MEDIUM, TE_ICU_SHORT) : error;
}

/*
 * {{ at | format_date_in_locale: 'en-GB', 'long' }}: as other products call it.
 */
TeValue
te_filter_date_in_locale(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 0, &error);
	TeArgs		first = *args;

	first.count = Min(args->count, 2);
	return locale ? format_both(r, input, &first, locale, 1, TE_ICU_SHORT, TE_ICU_NONE) : error;
}

/*
 * {{ at | format_datetime_in_locale: 'en-GB', 'long', 'short' }}
 */
TeValue
te_filter_datetime_in_locale(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 0, &error);

	return locale ? format_both(r, input, args, locale, 1, TE_ICU_SHORT, TE_ICU_SHORT) : error;
}

/*
 * See locale.h.
 */
TeValue
te_date_in_style(TeRender *r, TeValue input, pg_tz *zone, const char *style, int len)
{
	TeIcuStyle	named;
	TeTime		time;

	if (!te_icu_style(style, len, &named) || named == TE_ICU_NONE || !te_time_of_reader(r, input, &time))
		return TE_VALUE_NIL;
	return te_icu_datetime(r, te_locale_of(r), time.at, zone ? zone : time.zone, named, TE_ICU_NONE);
}

/* ---- distances ---- */

/* A day on the reader's calendar. */
typedef struct Day
{
	int			number;			/* of the day, counted on; 0 is a Monday */
	int			month;			/* counted on */
	int			of_month;
} Day;

/*
 * The day of an instant in a zone.
 */
static Day
day_of(TimestampTz at, pg_tz *zone)
{
	pg_time_t	seconds = timestamptz_to_time_t(at);
	struct pg_tm *tm = pg_localtime(&seconds, zone);
	Day			day = {0, 0, 0};

	if (tm)
	{
		day.number = date2j(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday);
		day.month = (tm->tm_year + 1900) * 12 + tm->tm_mon;
		day.of_month = tm->tm_mday;
	}
	return day;
}

/*
 * Full months from one day to another: one is full when its day has come.
 */
static int
full_months(Day from, Day to)
{
	int			months = to.month - from.month;

	if (months > 0 && to.of_month < from.of_month)
		months--;
	else if (months < 0 && to.of_month > from.of_month)
		months++;
	return months;
}

/*
 * How far an instant lies from now in a unit. By the calendar, each beginning of one
 * between them counts, as in "last month"; else only full units do.
 */
static double
distance(const char *unit, int64 seconds, Day now, Day at, bool calendar)
{
	int			days = at.number - now.number;
	int			months = calendar ? at.month - now.month : full_months(now, at);

	if (strcmp(unit, "minute") == 0)
		seconds /= 60;
	if (strcmp(unit, "hour") == 0)
		seconds /= 3600;
	if (strcmp(unit, "day") == 0)
		return days;
	if (strcmp(unit, "week") == 0)
		return calendar ? at.number / 7 - now.number / 7 : days / 7;
	if (strcmp(unit, "month") == 0)
		return months;
	if (strcmp(unit, "quarter") == 0)
		return calendar ? at.month / 3 - now.month / 3 : months / 3;
	if (strcmp(unit, "year") == 0)
		return calendar ? at.month / 12 - now.month / 12 : months / 12;
	return (double) seconds;
}

/*
 * The largest unit that fits at least once.
 */
static const char *
largest_unit(int64 seconds, Day now, Day at)
{
	int64		size = seconds < 0 ? -seconds : seconds;
	int			days = abs(at.number - now.number);
	int			months = abs(full_months(now, at));

	return size < 60 ? "second" : size < 3600 ? "minute" : size < 86400 ? "hour" :
		days < 7 ? "day" : months == 0 ? "week" : months < 12 ? "month" : "year";
}

/*
 * {{ at | relative_time }}: "in 3 hours", "yesterday", "2 weeks ago", in the largest
 * unit that fits. With a unit the calendar counts: {{ at | relative_time: 'month' }} is
 * "last month". numeric: true counts full units and says "1 day ago" for yesterday;
 * style: long, short, narrow. A number is a distance by itself.
 */
TeValue
te_filter_relative_time(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *unit_given = te_filter_argument(args, 0, "unit");
	const TeValue *style = te_filter_argument(args, -1, "style");
	const TeValue *numeric = te_filter_argument(args, -1, "numeric");
	const char *unit = unit_given ? te_value_cstring(r, *unit_given) : NULL;
	bool		words = !(numeric && te_value_truthy(*numeric));
	TeValue		error;
	const char *locale = te_filter_locale(r, args, -1, &error);
	double		far;
	TeTime		time;

	if (locale == NULL)
		return error;
	if (unit && te_value_is_number(input))
		far = te_number_double(r, input);
	else if (!te_time_of_reader(r, input, &time))
		return input;
	else if (!zone_argument(r, args, -1, &time.zone, &error))
		return error;
	else
	{
		int64		seconds = (time.at - r->input->now) / USECS_PER_SEC;
		Day			now = day_of(r->input->now, time.zone);
		Day			at = day_of(time.at, time.zone);

		if (unit == NULL)
		{
			unit = largest_unit(seconds, now, at);
			/* full weeks, months and years are not what "next week" means */
			words = words && (strcmp(unit, "second") == 0 || strcmp(unit, "day") == 0);
		}
		far = distance(unit, seconds, now, at, words);
	}
	return te_icu_relative(r, locale, far, unit, style ? te_value_cstring(r, *style) : "long", words);
}
