/*
 * icu_date.c
 *		Dates, times and distances in time by ICU.
 *
 * The zone of an instant is PostgreSQL's: where ICU's data of zones is older and says
 * another hour, the offset is handed over in the place of the name.
 */
#include "postgres.h"

#include <unicode/ucal.h>
#include <unicode/udat.h>
#include <unicode/udatpg.h>
#include <unicode/ureldatefmt.h>

#include "pgtime.h"

#include "template/icu_internal.h"

/* ---- what the cache opens and closes ---- */

/*
 * Opens a date format: a pattern after "=", or a letter for each style.
 */
void *
te_icu_open_date(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	static const UDateFormatStyle styles[] = {UDAT_NONE, UDAT_SHORT, UDAT_MEDIUM, UDAT_LONG, UDAT_FULL};
	UChar		zone_name[TZ_STRLEN_MAX + 1];
	UChar		pattern[TE_ICU_DETAIL + 1];
	int			zone_len = te_icu_from_ascii(zone_name, lengthof(zone_name), zone);
	int			len;

	if (zone_len < 0)
	{
		*status = U_ILLEGAL_ARGUMENT_ERROR;
		return NULL;
	}
	if (detail[0] != '=')
		return udat_open(styles[detail[1] - '0'], styles[detail[0] - '0'], locale, zone_name, zone_len, NULL, 0, status);
	u_strFromUTF8(pattern, lengthof(pattern), &len, detail + 1, -1, status);
	return U_FAILURE(*status) ? NULL : udat_open(UDAT_PATTERN, UDAT_PATTERN, locale, zone_name, zone_len, pattern, len, status);
}

/*
 * Closes what te_icu_open_date() opened.
 */
void
te_icu_close_date(void *object)
{
	udat_close(object);
}

/*
 * Opens what finds the best pattern for a skeleton.
 */
void *
te_icu_open_patterns(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	return udatpg_open(locale, status);
}

/*
 * Closes what te_icu_open_patterns() opened.
 */
void
te_icu_close_patterns(void *object)
{
	udatpg_close(object);
}

/*
 * Opens a calendar: for the offsets of a zone, or the weekend of a region.
 */
void *
te_icu_open_calendar(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	UChar		zone_name[TZ_STRLEN_MAX + 1];
	int			zone_len = te_icu_from_ascii(zone_name, lengthof(zone_name), zone);

	return ucal_open(zone_name, Max(zone_len, 0), locale, UCAL_GREGORIAN, status);
}

/*
 * Closes what te_icu_open_calendar() opened.
 */
void
te_icu_close_calendar(void *object)
{
	ucal_close(object);
}

/*
 * Opens a formatter for distances in time.
 */
void *
te_icu_open_relative(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	UDateRelativeDateTimeFormatterStyle style =
		detail[0] == 's' ? UDAT_STYLE_SHORT : detail[0] == 'n' ? UDAT_STYLE_NARROW : UDAT_STYLE_LONG;

	return ureldatefmt_open(locale, NULL, style, UDISPCTX_CAPITALIZATION_NONE, status);
}

/*
 * Closes what te_icu_open_relative() opened.
 */
void
te_icu_close_relative(void *object)
{
	ureldatefmt_close(object);
}

/* ---- instants ---- */

/*
 * ICU's name for a zone at an instant, where it agrees with PostgreSQL about the
 * offset, else the offset. False: the instant is not one to print.
 */
static bool
zone_at(TimestampTz at, pg_tz *zone, char *name, int size, UErrorCode *status)
{
	pg_time_t	seconds = timestamptz_to_time_t(at);
	struct pg_tm *tm = pg_localtime(&seconds, zone);
	const char *given = pg_get_timezone_name(zone);
	UCalendar  *calendar;
	int			offset;

	/* far from our time calendars are slow and mean nothing */
	if (tm == NULL || tm->tm_year + 1900 < 1 || tm->tm_year + 1900 > 9999)
		return false;
	offset = (int) tm->tm_gmtoff;
	calendar = given ? te_icu_cached(TE_ICU_CALENDAR, "en", "", given, status) : NULL;
	if (calendar)
	{
		ucal_setMillis(calendar, (UDate) seconds * 1000, status);
		if ((ucal_get(calendar, UCAL_ZONE_OFFSET, status) + ucal_get(calendar, UCAL_DST_OFFSET, status)) / 1000 == offset &&
			U_SUCCESS(*status))
		{
			strlcpy(name, given, size);
			return true;
		}
	}
	*status = U_ZERO_ERROR;
	snprintf(name, size, "GMT%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 3600, abs(offset) / 60 % 60);
	return true;
}

/*
 * An instant by a format of the cache.
 */
static TeValue
format_date(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone, const char *detail)
{
	UErrorCode	status = U_ZERO_ERROR;
	char		zone_name[TZ_STRLEN_MAX + 1];
	UDateFormat *format;
	UChar		buffer[TE_ICU_RESULT];
	int64		milliseconds;
	int32_t		n;

	if (TIMESTAMP_NOT_FINITE(at) || !zone_at(at, zone, zone_name, sizeof(zone_name), &status))
		return te_icu_failure(r, "date is out of the years 1 to 9999", "", U_ZERO_ERROR);
	format = te_icu_cached(TE_ICU_DATE, locale, detail, zone_name, &status);
	if (format == NULL)
		return te_icu_failure(r, "unknown date format", detail[0] == '=' ? detail + 1 : "", status);
	milliseconds = (at + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000;
	n = udat_format(format, (UDate) milliseconds, buffer, lengthof(buffer), NULL, &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "date cannot be formatted by", detail[0] == '=' ? detail + 1 : "", status);
	return te_icu_to_server(r, buffer, n);
}

/*
 * An instant in styles for its date and its time.
 */
TeValue
te_icu_datetime(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone, TeIcuStyle date, TeIcuStyle time)
{
	char		detail[3] = {'0' + (char) date, '0' + (char) time, '\0'};

	return format_date(r, locale, at, zone, detail);
}

/*
 * An instant by a pattern, such as EEEE for the day of the week.
 */
TeValue
te_icu_date_pattern(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone, const char *pattern)
{
	char		detail[TE_ICU_DETAIL];

	if (snprintf(detail, sizeof(detail), "=%s", pattern) >= sizeof(detail))
		return te_icu_failure(r, "date pattern is too long", "", U_ZERO_ERROR);
	return format_date(r, locale, at, zone, detail);
}

/*
 * An instant by a skeleton: which fields it wants, in the order that the locale has
 * for them.
 */
TeValue
te_icu_date_skeleton(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone, const char *skeleton)
{
	UErrorCode	status = U_ZERO_ERROR;
	UDateTimePatternGenerator *generator;
	UChar		wanted[64];
	UChar		pattern[TE_ICU_DETAIL];
	char		utf8[TE_ICU_DETAIL];
	int			wanted_len;
	int32_t		len;
	int			i;

	for (i = 0; skeleton[i]; i++)
		if (!isalpha((unsigned char) skeleton[i]))
			return te_icu_failure(r, "a date skeleton is letters only, not", skeleton, U_ZERO_ERROR);
	wanted_len = te_icu_from_ascii(wanted, lengthof(wanted), skeleton);
	if (wanted_len <= 0)
		return te_icu_failure(r, "unknown date skeleton", skeleton, U_ZERO_ERROR);
	generator = te_icu_cached(TE_ICU_PATTERNS, locale, "", "", &status);
	if (generator == NULL)
		return te_icu_failure(r, "no date patterns for locale", locale, status);
	len = udatpg_getBestPattern(generator, wanted, wanted_len, pattern, lengthof(pattern), &status);
	if (U_SUCCESS(status))
		u_strToUTF8(utf8, sizeof(utf8), NULL, pattern, len, &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "unknown date skeleton", skeleton, status);
	return te_icu_date_pattern(r, locale, at, zone, utf8);
}

/*
 * A style by its name. False: it is none.
 */
bool
te_icu_style(const char *name, int len, TeIcuStyle *style)
{
	static const char *const names[] = {"none", "short", "medium", "long", "full"};
	int			i;

	for (i = 0; i < lengthof(names); i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
		{
			*style = (TeIcuStyle) i;
			return true;
		}
	return false;
}

/* ---- distances and calendars ---- */

/*
 * A distance in time: "in 3 hours"; with words "tomorrow" where the language has one.
 */
TeValue
te_icu_relative(TeRender *r, const char *locale, double distance, const char *unit, const char *style, bool words)
{
	static const struct
	{
		const char *name;
		URelativeDateTimeUnit unit;
	}			units[] = {
		{"second", UDAT_REL_UNIT_SECOND}, {"minute", UDAT_REL_UNIT_MINUTE}, {"hour", UDAT_REL_UNIT_HOUR},
		{"day", UDAT_REL_UNIT_DAY}, {"week", UDAT_REL_UNIT_WEEK}, {"month", UDAT_REL_UNIT_MONTH},
		{"quarter", UDAT_REL_UNIT_QUARTER}, {"year", UDAT_REL_UNIT_YEAR},
	};
	UErrorCode	status = U_ZERO_ERROR;
	URelativeDateTimeFormatter *formatter;
	UChar		buffer[TE_ICU_RESULT];
	int32_t		n;
	int			i;

	for (i = 0; i < lengthof(units) && strcmp(units[i].name, unit) != 0; i++)
		;
	if (i == lengthof(units))
		return te_icu_failure(r, "unknown unit of time", unit, U_ZERO_ERROR);
	formatter = te_icu_cached(TE_ICU_RELATIVE, locale, style, "", &status);
	if (formatter == NULL)
		return te_icu_failure(r, "no relative times for locale", locale, status);
	if (words)
		n = ureldatefmt_format(formatter, distance, units[i].unit, buffer, lengthof(buffer), &status);
	else
		n = ureldatefmt_formatNumeric(formatter, distance, units[i].unit, buffer, lengthof(buffer), &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "relative time cannot be formatted", "", status);
	return te_icu_to_server(r, buffer, n);
}

/*
 * Whether a day is weekend in a country; Saturday and Sunday if ICU cannot tell.
 */
bool
te_icu_is_weekend(const char *country, int day_of_week)
{
	UErrorCode	status = U_ZERO_ERROR;
	char		locale[16];
	UCalendar  *calendar;

	snprintf(locale, sizeof(locale), "und-%s", country);
	calendar = te_icu_cached(TE_ICU_CALENDAR, locale, "", "UTC", &status);
	if (calendar == NULL)
		return day_of_week == 0 || day_of_week == 6;
	return ucal_getDayOfWeekType(calendar, (UCalendarDaysOfWeek) (day_of_week + 1), &status) != UCAL_WEEKDAY;
}
