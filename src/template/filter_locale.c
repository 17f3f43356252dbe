/*
 * filter_locale.c
 *		Numbers, money, lists and plurals in the reader's language.
 *
 *	{{ 1234.5 | number }}   {{ 9.99 | currency: 'EUR' }}   {{ 0.125 | percent }}
 *	{{ names | list: 'or' }}   {{ n | plural: one: '# day', other: '# days' }}
 *
 * A named argument locale stands in for the reader's. What is not a number is left
 * as it is. Everything is allocated in the arena; failures are TE_ERROR values.
 */
#include "postgres.h"

#include "template/filter_locale.h"

#define MOST_DECIMALS 20

/* ---- arguments ---- */

/*
 * See filter_locale.h.
 */
const TeValue *
te_filter_argument(const TeArgs *args, int index, const char *name)
{
	const TeValue *value = NULL;

	if (index >= 0 && index < args->count)
		value = &args->values[index];
	else if (name)
		value = te_args_named(args, name);
	return value && value->kind != TE_NIL ? value : NULL;
}

/*
 * The locale of a render, normalised; it stays until another render asks.
 */
const char *
te_locale_of(TeRender *r)
{
	static char last[TE_LOCALE_SIZE * 2] = "";
	static TeLocaleTag tag = "en";
	const char *locale = r->input->locale;

	if (locale == NULL || strlen(locale) >= sizeof(last))
		return "en";
	if (strcmp(last, locale) != 0)
	{
		if (!te_locale_normalize(locale, strlen(locale), tag))
			strlcpy(tag, "en", sizeof(tag));
		strlcpy(last, locale, sizeof(last));
	}
	return tag;
}

/*
 * See filter_locale.h.
 */
const char *
te_filter_locale(TeRender *r, const TeArgs *args, int index, TeValue *error)
{
	const TeValue *given = te_filter_argument(args, index, "locale");
	char	   *tag;
	TeValue		text;

	if (given == NULL)
		return te_locale_of(r);
	text = te_value_text(r, *given);
	tag = te_arena_alloc(r, TE_LOCALE_SIZE);
	if (te_locale_normalize(text.u.str, text.len, tag))
		return tag;
	*error = te_filter_error(r, "\"%.*s\" is no locale", Min(text.len, 40), text.u.str);
	return NULL;
}

/*
 * See filter_locale.h.
 */
const char *
te_filter_number(TeRender *r, TeValue value, int *len, int *decimals)
{
	char	   *text;
	int			i = 0;

	if (value.kind != TE_INT && value.kind != TE_FLOAT && value.kind != TE_DECIMAL && value.kind != TE_STRING)
		return NULL;
	text = te_value_cstring(r, value);
	*len = strlen(text);
	while (*len > 0 && isspace((unsigned char) text[*len - 1]))
		text[--*len] = '\0';
	while (i < *len && isspace((unsigned char) text[i]))
		i++;
	*len -= i;
	return te_icu_is_number(text + i, *len, decimals) ? text + i : NULL;
}

/*
 * A whole number among the arguments, within bounds; missing if it was not given.
 */
static bool
whole_argument(TeRender *r, const TeValue *given, int missing, int least, int most, int *result, TeValue *error)
{
	int64		n;

	*result = missing;
	if (given == NULL)
		return true;
	if (te_number_integer(r, *given, &n) && n >= least && n <= most)
	{
		*result = (int) n;
		return true;
	}
	*error = te_filter_error(r, "a whole number from %d to %d was expected", least, most);
	return false;
}

/*
 * Whether a value reads as a word.
 */
static bool
is_word(TeRender *r, const TeValue *value, const char *word)
{
	return value->kind == TE_STRING && value->len == strlen(word) && memcmp(value->u.str, word, value->len) == 0;
}

/* ---- numbers ---- */

/*
 * A skeleton that prints a number of decimals.
 */
static char *
decimals_skeleton(TeRender *r, const char *before, int decimals)
{
	char	   *skeleton = te_arena_alloc(r, strlen(before) + MOST_DECIMALS + 20);
	int			len;

	len = sprintf(skeleton, "%s%s", before, decimals == 0 ? "precision-integer" : ".");
	memset(skeleton + len, '0', decimals);
	skeleton[len + decimals] = '\0';
	return skeleton;
}

/*
 * {{ x | number }}, number: 2 (decimals), number: 'compact' or another style, or a
 * skeleton of ICU's.
 */
static TeValue
number(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *style = te_filter_argument(args, 0, "style");
	const TeValue *decimals_given = te_filter_argument(args, -1, "decimals");
	const char *skeleton = ".###";
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 1, &error);
	const char *text;
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	text = te_filter_number(r, input, &len, &decimals);
	if (text == NULL)
		return input;
	if (style && style->kind == TE_INT)
		decimals_given = style;
	else if (style)
		skeleton = te_icu_number_style(te_value_cstring(r, *style));
	if (decimals_given)
	{
		if (!whole_argument(r, decimals_given, 0, 0, MOST_DECIMALS, &decimals, &error))
			return error;
		skeleton = decimals_skeleton(r, "", decimals);
	}
	return te_icu_number(r, locale, skeleton, text, len);
}

/*
 * {{ 0.125 | percent }} is 12.5%; an argument is the number of decimals.
 */
static TeValue
percent(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 1, &error);
	const char *text;
	int			given;
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	text = te_filter_number(r, input, &len, &decimals);
	if (text == NULL)
		return input;
	if (!whole_argument(r, te_filter_argument(args, 0, "decimals"), -1, 0, MOST_DECIMALS, &given, &error))
		return error;
	return te_icu_number(r, locale, given < 0 ? "percent scale/100 .##" : decimals_skeleton(r, "percent scale/100 ", given),
						 text, len);
}

/*
 * {{ 1234567 | compact_number }} is 1.2M; 'long' is 1.2 million.
 */
static TeValue
compact_number(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *width = te_filter_argument(args, 0, "width");
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 1, &error);
	const char *text;
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	text = te_filter_number(r, input, &len, &decimals);
	if (text == NULL)
		return input;
	return te_icu_number(r, locale, width && is_word(r, width, "long") ? "compact-long" : "compact-short", text, len);
}

/*
 * The options of currency as part of a skeleton. NULL: *error says what is wrong.
 */
static const char *
currency_options(TeRender *r, const TeArgs *args, TeValue *error)
{
	static const char *const displays[][2] = {
		{"symbol", ""}, {"narrow", " unit-width-narrow"}, {"code", " unit-width-iso-code"}, {"name", " unit-width-full-name"},
	};
	const TeValue *display = te_filter_argument(args, -1, "display");
	const TeValue *trim = te_filter_argument(args, -1, "trim");
	const TeValue *accounting = te_filter_argument(args, -1, "accounting");
	const TeValue *cash = te_filter_argument(args, -1, "cash");
	char	   *options = te_arena_alloc(r, 160);
	int			decimals;
	int			i;

	if (!whole_argument(r, te_filter_argument(args, -1, "decimals"), -1, 0, MOST_DECIMALS, &decimals, error))
		return NULL;
	strcpy(options, decimals >= 0 ? decimals_skeleton(r, "", decimals) :
		   cash && te_value_truthy(*cash) ? "precision-currency-cash" : "precision-currency-standard");
	if (trim && te_value_truthy(*trim))
		strcat(options, "/w");
	if (accounting && te_value_truthy(*accounting))
		strcat(options, " sign-accounting");
	if (display == NULL)
		return options;
	for (i = 0; i < lengthof(displays); i++)
		if (is_word(r, display, displays[i][0]))
			return strcat(options, displays[i][1]);
	*error = te_filter_error(r, "display of currency must be symbol, narrow, code or name");
	return NULL;
}

/*
 * {{ 9.99 | currency: 'EUR' }}; a locale may stand in the place of the code, and then
 * means the currency of its region. Without either it is US dollars.
 */
static TeValue
currency(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *given = te_filter_argument(args, 0, "currency");
	const char *text;
	const char *options;
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 1, &error);
	char		code[8] = "USD";
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	text = te_filter_number(r, input, &len, &decimals);
	if (text == NULL)
		return input;
	options = currency_options(r, args, &error);
	if (options == NULL)
		return error;
	if (given)
	{
		TeValue		word = te_value_text(r, *given);
		char	   *tag = te_arena_alloc(r, TE_LOCALE_SIZE);

		if (word.len == 3)
			strlcpy(code, te_value_cstring(r, word), sizeof(code));
		else if (word.len < 4 || !te_locale_normalize(word.u.str, word.len, tag) || !te_icu_currency_of(tag, code))
			return te_filter_error(r, "\"%.*s\" is no currency", Min(word.len, 40), word.u.str);
		else
			locale = tag;
	}
	return te_icu_currency(r, locale, code, options, text, len);
}

/*
 * {{ 3 | spell_out }} is three.
 */
static TeValue
spell_out(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 0, &error);
	const char *text;
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	text = te_filter_number(r, input, &len, &decimals);
	return text ? te_icu_spell_out(r, locale, text, len) : input;
}

/* ---- plurals ---- */

/*
 * A form with # in it replaced by the number.
 */
static TeValue
fill_form(TeRender *r, const char *locale, TeValue form, const char *number, int len, int decimals)
{
	char		skeleton[TE_PLURAL_SKELETON];
	TeValue		text = te_value_text(r, form);
	TeValue		digits;
	TeBuffer	out;
	int			i;

	if (memchr(text.u.str, '#', text.len) == NULL)
		return text;
	te_plural_skeleton(decimals, skeleton);
	digits = te_icu_number(r, locale, skeleton, number, len);
	if (digits.kind == TE_ERROR)
		return digits;
	te_buffer_init(r, &out, text.len + digits.len);
	for (i = 0; i < text.len; i++)
		if (text.u.str[i] == '#')
			te_buffer_append(r, &out, digits.u.str, digits.len);
		else
			te_buffer_char(r, &out, text.u.str[i]);
	return te_buffer_value(&out);
}

/*
 * The form that is meant for a number: zero for 0 itself, the one of its category,
 * or other. Without forms, the category's name.
 */
static TeValue
choose_form(TeRender *r, TeValue input, const TeArgs *args, bool ordinal)
{
	const TeValue *form = NULL;
	TeValue		error;
	const char *locale = te_filter_locale(r, args, -1, &error);
	const char *category;
	const char *number;
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	number = te_filter_number(r, input, &len, &decimals);
	if (number == NULL)
	{
		form = te_args_named(args, "other");
		return form ? te_value_text(r, *form) : input;
	}
	category = te_plural_category(locale, number, len, ordinal);
	if (args->named_count == 0 || (args->named_count == 1 && te_args_named(args, "locale")))
		return TE_VALUE_STRING(category, (int) strlen(category));
	if (strtod(number, NULL) == 0)
		form = te_args_named(args, "zero");
	if (form == NULL)
		form = te_args_named(args, category);
	if (form == NULL)
		form = te_args_named(args, "other");
	if (form == NULL)
		return te_filter_error(r, "the form \"other\" is missing");
	return fill_form(r, locale, *form, number, len, decimals);
}

/*
 * {{ n | plural: one: '# item', other: '# items' }}, with the categories of the
 * reader's language; plural: 'ordinal' chooses by rank.
 */
static TeValue
plural(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *type = te_filter_argument(args, 0, "type");

	if (type && !is_word(r, type, "ordinal") && !is_word(r, type, "cardinal"))
		return te_filter_error(r, "plural is cardinal or ordinal");
	return choose_form(r, input, args, type && is_word(r, type, "ordinal"));
}

/*
 * {{ 3 | ordinal }} is 3rd; with forms, the one of the ordinal category.
 */
static TeValue
ordinal(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 0, &error);
	const char *text;
	int			decimals;
	int			len;

	if (locale == NULL)
		return error;
	if (te_args_named(args, "other"))
		return choose_form(r, input, args, true);
	text = te_filter_number(r, input, &len, &decimals);
	if (text == NULL || decimals > 0 || len > 18 || strpbrk(text, ".eE") != NULL)
		return input;
	return te_icu_ordinal(r, locale, strtoll(text, NULL, 10));
}

/* ---- lists and locales ---- */

/*
 * {{ names | list }} is "A, B, and C"; 'or' is "A, B, or C". Nil items are left out.
 */
static TeValue
list(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *type = te_filter_argument(args, 0, "type");
	const TeValue *width = te_filter_argument(args, -1, "width");
	TeValue		error;
	const char *locale = te_filter_locale(r, args, 1, &error);
	const TeValue *items;
	TeValue    *texts;
	int			count;
	int			n = 0;
	int			i;

	if (locale == NULL)
		return error;
	if (!te_value_is_list(input))
		return input.kind == TE_NIL ? input : te_value_text(r, input);
	if (type && !is_word(r, type, "and") && !is_word(r, type, "or") && !is_word(r, type, "unit"))
		return te_filter_error(r, "a list is joined with and, or, or unit");
	if (width && !is_word(r, width, "wide") && !is_word(r, width, "short") && !is_word(r, width, "narrow"))
		return te_filter_error(r, "width of list must be wide, short or narrow");
	items = te_value_items(r, input, &count);
	te_render_charge(r, count);
	texts = te_arena_alloc(r, (Size) Max(count, 1) * sizeof(TeValue));
	for (i = 0; i < count; i++)
		if (items[i].kind != TE_NIL)
			texts[n++] = te_value_text(r, items[i]);
	return te_icu_list(r, locale, type ? te_value_cstring(r, *type) : "and",
					   width ? te_value_cstring(r, *width) : "wide", texts, n);
}

/*
 * {{ user.locale | direction }} is rtl or ltr; nothing stands for the reader's locale.
 */
static TeValue
direction(TeRender *r, TeValue input, const TeArgs *args)
{
	TeLocaleTag tag;
	TeValue		text = te_value_text(r, input);

	if (text.len == 0)
		strlcpy(tag, te_locale_of(r), sizeof(tag));
	else if (!te_locale_normalize(text.u.str, text.len, tag))
		return te_filter_error(r, "\"%.*s\" is no locale", Min(text.len, 40), text.u.str);
	return te_locale_is_rtl(tag) ? TE_VALUE_STRING("rtl", 3) : TE_VALUE_STRING("ltr", 3);
}

/*
 * What templates may know of the reader's locale: tag, language, script, region, dir.
 */
TeValue
te_locale_value(TeRender *r)
{
	const char *tag = te_locale_of(r);
	TeMember   *members = te_arena_alloc(r, 5 * sizeof(TeMember));
	char		language[9];
	char		script[5];
	char		region[4];

	te_locale_parts(tag, language, script, region);
	members[0] = (TeMember) {"tag", 3, TE_VALUE_STRING(te_arena_copy(r, tag, strlen(tag)), (int) strlen(tag))};
	members[1] = (TeMember) {"language", 8, TE_VALUE_STRING(te_arena_copy(r, language, strlen(language)), (int) strlen(language))};
	members[2] = (TeMember) {"script", 6, TE_VALUE_STRING(te_arena_copy(r, script, strlen(script)), (int) strlen(script))};
	members[3] = (TeMember) {"region", 6, TE_VALUE_STRING(te_arena_copy(r, region, strlen(region)), (int) strlen(region))};
	members[4] = (TeMember) {"dir", 3, te_locale_is_rtl(tag) ? TE_VALUE_STRING("rtl", 3) : TE_VALUE_STRING("ltr", 3)};
	return te_value_hash(r, members, 5);
}

const TeFilter te_filters_locale[] = {
	{"bidi", te_filter_bidi, 0, 0, false},
	{"compact_number", compact_number, 0, 2, true},
	{"currency", currency, 0, 2, true},
	{"date_l", te_filter_date_l, 0, 2, true},
	{"datetime_l", te_filter_datetime_l, 0, 2, true},
	{"direction", direction, 0, 0, false},
	{"fit", te_filter_fit, 0, 3, true},
	{"fit_width", te_filter_fit_width, 1, 2, true},
	{"format_date_in_locale", te_filter_date_in_locale, 1, 2, true},
	{"format_datetime_in_locale", te_filter_datetime_in_locale, 1, 3, true},
	{"list", list, 0, 2, true},
	{"number", number, 0, 2, true},
	{"ordinal", ordinal, 0, 1, true},
	{"percent", percent, 0, 2, true},
	{"plural", plural, 0, 1, true},
	{"relative_time", te_filter_relative_time, 0, 1, true},
	{"spell_out", spell_out, 0, 1, true},
	{"strip_bidi", te_filter_strip_bidi, 0, 0, false},
	{"strip_invisible", te_filter_strip_invisible, 0, 0, false},
	{"t", te_filter_t, 0, 0, true},
	{"time", te_filter_time_l, 0, 2, true},
	{"time_l", te_filter_time_l, 0, 2, true},
	{NULL}
};
