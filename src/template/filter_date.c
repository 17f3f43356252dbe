/*
 * filter_date.c
 *		The date filter, and what values count as instants.
 */
#include "postgres.h"

#include "template/calendar.h"
#include "template/locale.h"
#include "time/time.h"

/*
 * True for a text in any case that equals a word in lower case.
 */
static bool
is_word(TeValue text, const char *word)
{
	return text.len == (int) strlen(word) && pg_strncasecmp(text.u.str, word, text.len) == 0;
}

/*
 * An instant from seconds since 1970, in the zone of the render; false if it is beyond
 * what the server can hold.
 */
static bool
time_of_seconds(TeRender *r, int64 seconds, TeTime *time)
{
	if (seconds < TE_EPOCH_SHIFT - INT64CONST(200000000000) || seconds > INT64CONST(9000000000000))
		return false;
	time->zone = r->input->zone;
	time->at = (seconds - TE_EPOCH_SHIFT) * USECS_PER_SEC;
	return IS_VALID_TIMESTAMP(time->at);
}

/*
 * The instant that a value means: seconds since 1970, now and today, or a text as
 * Time.parse takes it; false if it means none.
 */
bool
te_time_parse(TeRender *r, TeValue value, TeTime *time)
{
	TeTime		now;
	int64		seconds;
	int			i;

	switch (value.kind)
	{
		case TE_TIME:
			*time = *value.u.time;
			return true;
		case TE_INT:
			return time_of_seconds(r, value.u.integer, time);
		case TE_STRING:
			break;
		default:
			return false;
	}
	now.at = r->input->now;
	now.zone = r->input->zone;
	if (is_word(value, "now") || is_word(value, "today"))
	{
		*time = now;
		return true;
	}
	for (i = 0; i < value.len && value.u.str[i] >= '0' && value.u.str[i] <= '9'; i++)
		;
	if (i == value.len)
		return i > 0 && te_number_integer(r, te_number_of(r, value), &seconds) && time_of_seconds(r, seconds, time);
	te_render_charge(r, 1 + value.len / 8);
	return te_date_parse(value.u.str, value.len, &now, time);
}

/* date: format, zone; a named style is the reader's locale's; what is no date stays as it is */
static TeValue
filter_date(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		format = te_value_string(r, args->values[0]);
	pg_tz	   *given = NULL;
	TeTime		time;
	TeValue		styled;

	if (format.len == 0)
		return input;
	if (!te_time_parse(r, input, &time))
		return input;
	if (args->count > 1 && args->values[1].kind != TE_NIL)
	{
		TeValue		zone = te_value_string(r, args->values[1]);

		time.zone = given = te_time_find_zone(zone.u.str, zone.len);
		if (time.zone == NULL)
			return te_filter_error(r, "unknown time zone '%.*s'", Min(zone.len, 100), zone.u.str);
	}
	styled = te_date_in_style(r, input, given, format.u.str, format.len);
	if (styled.kind != TE_NIL)
		return styled;
	return te_time_format(r, &time, format.u.str, format.len);
}

const TeFilter te_filters_date[] = {
	{"date", filter_date, 1, 2},
	{NULL}
};
