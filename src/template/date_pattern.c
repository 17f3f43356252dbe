/*
 * date_pattern.c
 *		The forms of dates that Ruby's Date._parse knows, looked for one after another.
 *
 * Texts are short (TE_DATE_CHARACTERS), so that trying each place for each form is cheap.
 * Where a form would leave a choice, the longest match counts, as in a regular
 * expression; the forms need no going back beyond that.
 */
#include "postgres.h"

#include "template/date_scan.h"

static const char day_names[][4] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const char month_names[][4] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
};

typedef bool (*Form) (TeDateText *d, const char *at, const char **end);

/*
 * The number of the month whose name begins here, from 1; 0 if none does.
 */
static int
month_at(const char *at)
{
	int			i;

	for (i = 0; i < lengthof(month_names); i++)
		if (strncmp(at, month_names[i], 3) == 0)
			return i + 1;
	return 0;
}

/* ---- three numbers of a date ---- */

/*
 * True for a text that can only be a year.
 */
static inline bool
looks_like_year(Span span)
{
	return span.start != NULL && span.len > 0 && (*span.start == '\'' || span.len > 2);
}

/*
 * The digits in a span, from the first digit (or sign, if signs is set) on.
 */
static Span
digits_in(Span span, bool signs)
{
	const char *at = span.start;
	const char *end;
	Span		result = {NULL, 0};

	if (at == NULL)
		return result;
	end = at + span.len;
	while (at < end && !is_digit(*at) && !(signs && (*at == '-' || *at == '+')))
		at++;
	if (at == end)
		return result;
	result.start = at;
	if (!is_digit(*at))
		at++;
	while (at < end && is_digit(*at))
		at++;
	result.len = (int) (at - result.start);
	return result;
}

/*
 * Takes year, month and day from three texts, which may stand for each other: what is
 * longer than two digits or has an apostrophe is the year.
 */
static void
set_date(TeDateText *d, Span year, Span month, Span day)
{
	Span		none = {NULL, 0};
	Span		digits;

	if (year.start != NULL && month.start != NULL && day.start == NULL)
	{
		day = month;
		month = year;
		year = none;
	}
	if (year.start == NULL && looks_like_year(day))
	{
		year = day;
		day = none;
	}
	digits = digits_in(year, true);
	if (digits.start != NULL && digits.start + digits.len < year.start + year.len)
	{
		year = day;
		day = digits;
	}
	if (looks_like_year(month))
	{
		Span		first = year;

		year = month;
		month = day;
		day = first;
	}
	if (looks_like_year(day))
	{
		Span		first = year;

		year = day;
		day = first;
	}

	digits = digits_in(year, true);
	if (digits.start != NULL)
	{
		bool		sign = !is_digit(*digits.start);
		int64		number = number_of(digits.start + sign, digits.start + digits.len);

		if (sign || digits.len > 2)
			d->whole_year = true;
		te_date_set(d, TE_YEAR, *digits.start == '-' ? -number : number);
	}
	digits = digits_in(month, false);
	if (digits.start != NULL)
		te_date_set(d, TE_MONTH, number_of(digits.start, digits.start + digits.len));
	digits = digits_in(day, false);
	if (digits.start != NULL)
		te_date_set(d, TE_DAY, number_of(digits.start, digits.start + digits.len));
}

/*
 * The same where the month is known by name.
 */
static void
set_named_date(TeDateText *d, Span year, int month, Span day)
{
	char		text[3];

	snprintf(text, sizeof(text), "%d", month);
	set_date(d, year, (Span)
			 {
				 text, (int) strlen(text)
			 }, day);
}

/* ---- dates with names of months ---- */

/*
 * An era; NULL if there is none.
 */
static const char *
scan_era(const char *at, bool *before)
{
	static const char *const eras[] = {"ce", "c.e.", "bce", "b.c.e.", "ad", "a.d.", "bc", "b.c."};
	int			i;

	for (i = 0; i < lengthof(eras); i++)
	{
		const char *end = skip_word(at, eras[i]);

		if (end != NULL)
		{
			*before = *at == 'b';
			return end;
		}
	}
	return NULL;
}

/*
 * A year at the end of a date, with an era before it; NULL if there is none.
 */
static const char *
scan_last_year(const char *at, Span *year, bool *before)
{
	const char *end = scan_era(at, before);

	if (end != NULL)
	{
		end = scan_signed(skip_spaces(end), "-", year);
		if (end != NULL)
			return end;
	}
	*before = false;
	return scan_signed(at, "-", year);
}

/*
 * 14 March 2016, 3rd feb '99
 */
static bool
form_european(TeDateText *d, const char *at, const char **end)
{
	Span		day;
	Span		year = {NULL, 0};
	const char *junk;
	const char *name;
	int			month = 0;
	bool		before = false;

	if ((*at != '\'' && !is_digit(*at)) || (at > d->text && is_digit(at[-1]) && is_digit(*at)))
		return false;
	junk = scan_signed(at, "", &day);
	if (junk == NULL)
		return false;
	/* the month behind as much else as can be */
	name = skip_spaces(skip_other(junk, "-"));
	month = month_at(name);
	for (name = month > 0 ? name : skip_other(junk, "-"); month == 0 && name-- > junk;)
		month = month_at(name);
	if (month == 0)
		return false;
	at = skip_other(name + 3, "-'");
	*end = at;
	at = scan_last_year(skip_spaces(at), &year, &before);
	if (at != NULL)
	{
		if ((strncmp(at, "st", 2) == 0 || strncmp(at, "nd", 2) == 0 || strncmp(at, "rd", 2) == 0 ||
			 strncmp(at, "th", 2) == 0) && is_boundary(d, at + 2))
		{
			at += 2;
			year.len += 2;
		}
		*end = at;
	}
	else
		year.start = NULL;
	d->before_christ |= before;
	set_named_date(d, year, month, day);
	return true;
}

/*
 * March 14, 2016
 */
static bool
form_american(TeDateText *d, const char *at, const char **end)
{
	Span		day;
	Span		year = {NULL, 0};
	int			month = month_at(at);
	bool		before = false;

	if (month == 0 || !is_boundary(d, at))
		return false;
	at = scan_signed(skip_spaces(skip_other(at + 3, "-'")), "", &day);
	if (at == NULL)
		return false;
	at = skip_other(at, "-'");
	*end = at;
	at = skip_spaces(at);
	if (*at == ',')
		at++;
	at = scan_last_year(skip_spaces(at), &year, &before);
	if (at != NULL)
		*end = at;
	else
		year.start = NULL;
	d->before_christ |= before;
	set_named_date(d, year, month, day);
	return true;
}

/*
 * 14-mar-2016
 */
static bool
form_day_name_year(TeDateText *d, const char *at, const char **end)
{
	Span		day,
				year;
	int			month;

	at = scan_signed(at, "-", &day);
	if (at == NULL || *at != '-' || (month = month_at(at + 1)) == 0)
		return false;
	at += 4;
	while (*at != '\0' && strchr("-/.", *at) == NULL)
		at++;
	if (*at != '-' || (at = scan_signed(at + 1, "-", &year)) == NULL)
		return false;
	*end = at;
	set_named_date(d, year, month, day);
	return true;
}

/*
 * mar-14-2016
 */
static bool
form_name_day_year(TeDateText *d, const char *at, const char **end)
{
	Span		day;
	Span		year = {NULL, 0};
	int			month = month_at(at);

	if (month == 0 || !is_boundary(d, at))
		return false;
	at += 3;
	while (*at != '\0' && strchr("-/.", *at) == NULL)
		at++;
	if (*at != '-' || (at = scan_signed(at + 1, "-", &day)) == NULL)
		return false;
	*end = at;
	if (*at == '-' && (at = scan_signed(at + 1, "-", &year)) != NULL)
		*end = at;
	else
		year.start = NULL;
	set_named_date(d, year, month, day);
	return true;
}

/*
 * A month alone.
 */
static bool
form_month(TeDateText *d, const char *at, const char **end)
{
	int			month = month_at(at);

	if (month == 0 || !is_boundary(d, at))
		return false;
	while (*at != '\0' && *at != ' ')
		at++;
	*end = at;
	te_date_set(d, TE_MONTH, month);
	return true;
}

/* ---- dates of numbers ---- */

/*
 * 2016-03-14
 */
static bool
form_iso(TeDateText *d, const char *at, const char **end)
{
	Span		year,
				month,
				day;

	if ((at = scan_signed(at, "-+", &year)) == NULL || *at != '-' || !is_digit(at[1]) ||
		(at = scan_signed(at + 1, "", &month)) == NULL || *at != '-' ||
		(at = scan_signed(at + 1, "-", &day)) == NULL)
		return false;
	*end = at;
	set_date(d, year, month, day);
	return true;
}

/*
 * h28.03.14: a year of a Japanese era
 */
static bool
form_japanese(TeDateText *d, const char *at, const char **end)
{
	static const char eras[] = "mtsh";
	static const int starts[] = {1867, 1911, 1925, 1988};
	const char *era = *at == '\0' ? NULL : strchr(eras, *at);
	Span		spans[3];
	int			i;

	if (era == NULL || !is_boundary(d, at))
		return false;
	at++;
	for (i = 0; i < 3; i++)
	{
		if (!is_digit(*at))
			return false;
		at = scan_signed(at, "", &spans[i]);
		if (at == NULL || (i < 2 && *at++ != '.'))
			return false;
	}
	*end = at;
	te_date_set(d, TE_YEAR, starts[era - eras] + number_of(spans[0].start, *end));
	te_date_set(d, TE_MONTH, number_of(spans[1].start, *end));
	te_date_set(d, TE_DAY, number_of(spans[2].start, *end));
	return true;
}

/*
 * 2016/03/14, and 03/14
 */
static bool
form_slashes(TeDateText *d, const char *at, const char **end)
{
	Span		year,
				month;
	Span		day = {NULL, 0};

	if ((at = scan_signed(at, "-", &year)) == NULL || *at != '/' ||
		(at = scan_signed(skip_spaces(at + 1), "", &month)) == NULL)
		return false;
	*end = at;
	if (*at != '\0' && (at = scan_signed(skip_spaces(at + 1), "-", &day)) != NULL)
		*end = at;
	else
		day.start = NULL;
	set_date(d, year, month, day);
	return true;
}

/*
 * 2016.03.14
 */
static bool
form_dots(TeDateText *d, const char *at, const char **end)
{
	Span		year,
				month,
				day;

	if ((at = scan_signed(at, "-", &year)) == NULL || *at != '.' ||
		(at = scan_signed(skip_spaces(at + 1), "", &month)) == NULL || *at != '.' ||
		(at = scan_signed(skip_spaces(at + 1), "-", &day)) == NULL)
		return false;
	*end = at;
	set_date(d, year, month, day);
	return true;
}

/*
 * 2016-w10-3: found, and of no use to an instant
 */
static bool
form_week(TeDateText *d, const char *at, const char **end)
{
	int			digits;

	if (!is_boundary(d, at))
		return false;
	for (digits = 4; digits >= 0; digits -= 2)
	{
		const char *week = at + digits;

		if (!has_digits(at, digits))
			continue;
		if (*week == '-')
			week++;
		if (*week != 'w' || !has_digits(week + 1, 2))
			continue;
		week += 3;
		if (*week == '-' && is_digit(week[1]) && is_boundary(d, week + 2))
			*end = week + 2;
		else if (is_digit(*week) && is_boundary(d, week + 1))
			*end = week + 1;
		else if (is_boundary(d, week))
			*end = week;
		else
			continue;
		return true;
	}
	return false;
}

/*
 * -w-3: the same
 */
static bool
form_weekday(TeDateText *d, const char *at, const char **end)
{
	if (strncmp(at, "-w-", 3) != 0 || !is_digit(at[3]) || !is_boundary(d, at + 4))
		return false;
	*end = at + 4;
	return true;
}

/*
 * --03-14, and ---14
 */
static bool
form_month_day(TeDateText *d, const char *at, const char **end)
{
	bool		month = at[0] == '-' && at[1] == '-' && has_digits(at + 2, 2);
	const char *day = at + (month ? 4 : 2);

	if (at[0] != '-' || at[1] != '-' || *day != '-' || !has_digits(day + 1, 2) || !is_boundary(d, day + 3))
		return false;
	if (month)
		te_date_set(d, TE_MONTH, number_of(at + 2, at + 4));
	te_date_set(d, TE_DAY, number_of(day + 1, day + 3));
	*end = day + 3;
	return true;
}

/*
 * --0314, and --03
 */
static bool
form_month_day_together(TeDateText *d, const char *at, const char **end)
{
	if (at[0] != '-' || at[1] != '-' || !has_digits(at + 2, 2))
		return false;
	if (has_digits(at + 4, 2) && is_boundary(d, at + 6))
	{
		te_date_set(d, TE_DAY, number_of(at + 4, at + 6));
		*end = at + 6;
	}
	else if (is_boundary(d, at + 4))
		*end = at + 4;
	else
		return false;
	te_date_set(d, TE_MONTH, number_of(at + 2, at + 4));
	return true;
}

/*
 * 2016-074: a day of a year
 */
static bool
form_year_day(TeDateText *d, const char *at, const char **end)
{
	int			digits = has_digits(at, 4) && at[4] == '-' ? 4 : 2;

	if (!is_boundary(d, at) || !has_digits(at, digits) || at[digits] != '-' || !has_digits(at + digits + 1, 3) ||
		!is_boundary(d, at + digits + 4))
		return false;
	te_date_set(d, TE_YEAR, number_of(at, at + digits));
	te_date_set(d, TE_YEARDAY, number_of(at + digits + 1, at + digits + 4));
	*end = at + digits + 4;
	return true;
}

/*
 * What forbids the form above: it after a point or comma.
 */
static bool
form_fraction_before_year_day(TeDateText *d, const char *at, const char **end)
{
	int			digits = has_digits(at + 1, 4) && at[5] == '-' ? 4 : 2;

	*end = at;
	return (*at == ',' || *at == '.') && has_digits(at + 1, digits) && at[1 + digits] == '-' &&
		has_digits(at + digits + 2, 3) && is_boundary(d, at + digits + 5);
}

/*
 * -074: a day of this year
 */
static bool
form_day_of_year(TeDateText *d, const char *at, const char **end)
{
	if (*at != '-' || !is_boundary(d, at) || !has_digits(at + 1, 3) || !is_boundary(d, at + 4))
		return false;
	te_date_set(d, TE_YEARDAY, number_of(at + 1, at + 4));
	*end = at + 4;
	return true;
}

/*
 * What forbids the form above: a digit before it.
 */
static bool
form_digit_before_day_of_year(TeDateText *d, const char *at, const char **end)
{
	*end = at;
	return is_digit(at[0]) && at[1] == '-' && has_digits(at + 2, 3) && is_boundary(d, at + 5);
}

/*
 * '99
 */
static bool
form_year(TeDateText *d, const char *at, const char **end)
{
	if (*at != '\'' || !is_digit(at[1]) || is_word(*skip_digits(at + 1)))
		return false;
	*end = skip_digits(at + 1);
	te_date_set(d, TE_YEAR, number_of(at + 1, *end));
	return true;
}

/*
 * 3rd
 */
static bool
form_day(TeDateText *d, const char *at, const char **end)
{
	const char *suffix = skip_digits(at);

	if (suffix == at || is_word(suffix[0] == '\0' ? 'x' : suffix[1] == '\0' ? 'x' : suffix[2]))
		return false;
	if (strncmp(suffix, "st", 2) != 0 && strncmp(suffix, "nd", 2) != 0 && strncmp(suffix, "rd", 2) != 0 &&
		strncmp(suffix, "th", 2) != 0)
		return false;
	te_date_set(d, TE_DAY, number_of(at, suffix));
	*end = suffix + 2;
	return true;
}

/* ---- what else may stand in a text ---- */

/*
 * A day of the week, which says nothing that counts.
 */
static bool
form_day_name(TeDateText *d, const char *at, const char **end)
{
	int			i;

	for (i = 0; i < lengthof(day_names); i++)
		if (strncmp(at, day_names[i], 3) == 0 && is_boundary(d, at))
		{
			*end = skip_other(at + 3, "-/");
			return true;
		}
	return false;
}

/*
 * bc behind all
 */
static bool
form_before_christ(TeDateText *d, const char *at, const char **end)
{
	if (!is_boundary(d, at) || *at != 'b')
		return false;
	if (strncmp(at, "bc", 2) == 0 && is_boundary(d, at + 2))
		*end = at + 2;
	else if (strncmp(at, "bce", 3) == 0 && is_boundary(d, at + 3))
		*end = at + 3;
	else if (strncmp(at, "b.c.", 4) == 0)
		*end = at + 4;
	else
		return false;
	d->before_christ = true;
	return true;
}

/*
 * Looks for a form at each place; what it finds first is taken out of the text.
 */
static bool
find_form(TeDateText *d, Form form)
{
	const char *at;
	const char *end = NULL;

	for (at = d->text; *at != '\0'; at++)
		if (form(d, at, &end))
		{
			int			start = (int) (at - d->text);
			int			rest = (int) (d->text + d->len - end);

			if (end == at)
				return true;
			d->text[start] = ' ';
			memmove(d->text + start + 1, end, rest + 1);
			d->len = start + 1 + rest;
			return true;
		}
	return false;
}

/*
 * A lone number of one or two digits that is left: the day beside a time, the hour
 * beside a day.
 */
static void
find_rest(TeDateText *d)
{
	const char *at = skip_spaces(d->text);
	const char *end = skip_digits(at);
	int64		number = number_of(at, end);

	if (end == at || end > at + 2 || *skip_spaces(end) != '\0')
		return;
	if (te_date_has(d, TE_HOUR) && !te_date_has(d, TE_DAY) && number >= 1 && number <= 31)
		te_date_set(d, TE_DAY, number);
	if (te_date_has(d, TE_DAY) && !te_date_has(d, TE_HOUR) && number <= 24)
		te_date_set(d, TE_HOUR, number);
}

/*
 * The forms of a date, in their order, up to the first that is found.
 */
static void
find_date(TeDateText *d)
{
	bool		digit = strpbrk(d->text, "0123456789") != NULL;
	bool		dash = strchr(d->text, '-') != NULL;
	bool		dot = strchr(d->text, '.') != NULL;

	if (digit)
	{
		if (find_form(d, form_european) || find_form(d, form_american))
			return;
		if (dash && find_form(d, form_iso))
			return;
		if (dot && find_form(d, form_japanese))
			return;
		if (dash && (find_form(d, form_day_name_year) || find_form(d, form_name_day_year)))
			return;
		if (strchr(d->text, '/') != NULL && find_form(d, form_slashes))
			return;
		if (dot && find_form(d, form_dots))
			return;
		if (find_form(d, form_week) || find_form(d, form_weekday) || find_form(d, form_month_day) ||
			find_form(d, form_month_day_together))
			return;
		if (!find_form(d, form_fraction_before_year_day) && find_form(d, form_year_day))
			return;
		if (!find_form(d, form_digit_before_day_of_year) && find_form(d, form_day_of_year))
			return;
		if (find_form(d, form_year))
			return;
	}
	if (find_form(d, form_month) || !digit)
		return;
	if (!find_form(d, form_day))
		find_form(d, te_date_block);
}

/*
 * Finds the parts of a date and time in a text.
 */
void
te_date_find(TeDateText *d)
{
	find_form(d, form_day_name);
	find_form(d, te_date_clock);
	find_date(d);
	find_form(d, form_before_christ);
	find_rest(d);
}
