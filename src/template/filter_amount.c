/*
 * filter_amount.c
 *		Numbers and amounts of money as readers write them.
 *
 * All of them follow the locale of the render unless an argument names another one.
 * The filters number, currency and percent have more to say: see filter_locale.c.
 */
#include "postgres.h"

#include "template/locale.h"

/*
 * The digits of a value as a number filter takes it.
 */
static TeValue
digits_of(TeRender *r, TeValue input)
{
	TeBuffer	out;

	te_buffer_init(r, &out, 32);
	te_number_write(r, &out, te_number_of(r, input));
	return te_buffer_value(&out);
}

/*
 * The locale that an argument names, or that of the render; NULL for one that is
 * malformed. The text lives in tag.
 */
static const char *
locale_argument(TeRender *r, const TeArgs *args, int position, TeLocaleTag tag)
{
	const TeValue *named = te_args_named(args, "locale");
	TeValue		text;

	if (named == NULL && args->count > position)
		named = &args->values[position];
	if (named == NULL || named->kind == TE_NIL)
		return te_locale_of(r);
	text = te_value_text(r, *named);
	return te_locale_normalize(text.u.str, text.len, tag) ? tag : NULL;
}

/*
 * The failure for a malformed locale.
 */
static TeValue
bad_locale(TeRender *r, const char *filter)
{
	return te_filter_error(r, "%s needs a locale such as \"de-AT\"", filter);
}

/* money: two decimals, no currency. locale as argument. */
static TeValue
filter_money(TeRender *r, TeValue input, const TeArgs *args)
{
	TeLocaleTag tag;
	const char *locale = locale_argument(r, args, 0, tag);
	TeValue		digits = digits_of(r, input);

	if (locale == NULL)
		return bad_locale(r, "money");
	return te_icu_number(r, locale, ".00 rounding-mode-half-up", digits.u.str, digits.len);
}

/* format_number: all decimals, grouped. locale as argument. */
static TeValue
filter_format_number(TeRender *r, TeValue input, const TeArgs *args)
{
	TeLocaleTag tag;
	const char *locale = locale_argument(r, args, 0, tag);
	TeValue		digits = digits_of(r, input);

	if (locale == NULL)
		return bad_locale(r, "format_number");
	return te_icu_number(r, locale, ".####################", digits.u.str, digits.len);
}

/*
 * Whether digits are a plain number without exponent, with the place of their point
 * (the end when there is none).
 */
static bool
is_plain(TeValue digits, int *point)
{
	int			i;

	*point = digits.len;
	for (i = digits.u.str[0] == '-' ? 1 : 0; i < digits.len; i++)
	{
		if (digits.u.str[i] == '.' && *point == digits.len)
			*point = i;
		else if (digits.u.str[i] < '0' || digits.u.str[i] > '9')
			return false;
	}
	return true;
}

/*
 * number_with_delimiter: the locale's own signs, or those given: thousands, then the
 * decimal sign.
 */
static TeValue
filter_number_with_delimiter(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		digits = digits_of(r, input);
	TeValue		delimiter;
	TeValue		separator;
	TeBuffer	out;
	int			point;
	int			i;

	if (args->count == 0)
		return te_icu_number(r, te_locale_of(r), ".####################", digits.u.str, digits.len);
	delimiter = te_value_text(r, args->values[0]);
	separator = args->count > 1 ? te_value_text(r, args->values[1]) : TE_VALUE_STRING(".", 1);
	if (!is_plain(digits, &point))
		return digits;
	te_buffer_init(r, &out, digits.len * 2);
	for (i = 0; i < digits.len; i++)
	{
		bool		first = i == 0 || (i == 1 && digits.u.str[0] == '-');

		if (i == point)
			te_buffer_append(r, &out, separator.u.str, separator.len);
		else
		{
			if (i < point && !first && (point - i) % 3 == 0)
				te_buffer_append(r, &out, delimiter.u.str, delimiter.len);
			te_buffer_char(r, &out, digits.u.str[i]);
		}
	}
	return te_buffer_value(&out);
}

/* rounded_currency: code, locale. Without decimals; US dollars when no code is given. */
static TeValue
filter_rounded_currency(TeRender *r, TeValue input, const TeArgs *args)
{
	TeLocaleTag tag;
	const char *locale = locale_argument(r, args, 1, tag);
	TeValue		digits = digits_of(r, input);
	const char *code = args->count > 0 ? te_value_cstring(r, args->values[0]) : "USD";

	if (locale == NULL)
		return bad_locale(r, "rounded_currency");
	return te_icu_currency(r, locale, code, "precision-integer rounding-mode-half-up", digits.u.str, digits.len);
}

const TeFilter te_filters_amount[] = {
	{"format_number", filter_format_number, 0, 1, true},
	{"money", filter_money, 0, 1, true},
	{"number_with_delimiter", filter_number_with_delimiter, 0, 2},
	{"rounded_currency", filter_rounded_currency, 0, 2, true},
	{NULL}
};
