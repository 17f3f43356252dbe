/*
 * locale.h
 *		Locales, and what ICU formats in them.
 *
 * Functions that take a TeRender allocate in its arena and return failures as
 * TE_ERROR values; with NULL in its place they palloc and throw. Texts go in and
 * come out in the server's encoding.
 */
#pragma once

#include "template/liquid.h"

/* ---- locale.c: tags and the order in which texts are looked for ---- */

#define TE_LOCALE_SIZE 64		/* of a normalised tag with its closing zero byte */
#define TE_LOCALE_CHAIN 16		/* no chain is longer */

typedef char TeLocaleTag[TE_LOCALE_SIZE];

extern bool te_locale_normalize(const char *text, int len, TeLocaleTag tag);	/* false: malformed */
extern bool te_locale_strip(TeLocaleTag tag);	/* takes extensions off; false: there were none */
extern int	te_locale_chain(const char *tag, TeLocaleTag *chain);	/* from a normalised tag to its last resort */
extern int	te_locale_rank(const char *wanted, const char *available);	/* 0 is best; -1: does not fit */
extern bool te_locale_is_rtl(const char *tag);
extern void te_locale_parts(const char *tag, char language[9], char script[5], char region[4]);	/* likely ones */

/* The locale of a render, normalised; "en" when it has none, or a malformed one. */
extern const char *te_locale_of(TeRender *r);

/* {tag, language, script, region, dir} for templates. */
extern TeValue te_locale_value(TeRender *r);

/* ---- icu*.c: formatters that are kept a backend ---- */

typedef enum TeIcuStyle
{
	TE_ICU_NONE,
	TE_ICU_SHORT,
	TE_ICU_MEDIUM,
	TE_ICU_LONG,
	TE_ICU_FULL
} TeIcuStyle;

/* decimal digits with sign, point and exponent; *decimals: how many behind the point */
extern bool te_icu_is_number(const char *text, int len, int *decimals);

/* number: such a text, so that nothing is lost; skeleton: ICU's, "" is plain */
extern TeValue te_icu_number(TeRender *r, const char *locale, const char *skeleton, const char *number, int len);

/* the skeleton of a named style (decimal, integer, percent, compact, compact_long, scientific), or the name itself */
extern const char *te_icu_number_style(const char *style);

/* code: three letters; options: more of a skeleton, or "" */
extern TeValue te_icu_currency(TeRender *r, const char *locale, const char *code, const char *options,
							   const char *number, int len);

/* the currency of a locale's region, such as "EUR"; false: it has none */
extern bool te_icu_currency_of(const char *locale, char code[4]);
extern TeValue te_icu_ordinal(TeRender *r, const char *locale, int64 number);	/* 3rd */
extern TeValue te_icu_spell_out(TeRender *r, const char *locale, const char *number, int len);	/* three */

/* either style may be TE_ICU_NONE */
extern TeValue te_icu_datetime(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone,
							   TeIcuStyle date, TeIcuStyle time);
extern TeValue te_icu_date_skeleton(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone,
									const char *skeleton);	/* such as yMMMd */
extern TeValue te_icu_date_pattern(TeRender *r, const char *locale, TimestampTz at, pg_tz *zone,
								   const char *pattern);	/* such as EEEE */
extern bool te_icu_style(const char *name, int len, TeIcuStyle *style);	/* short, medium, long, full */

/* unit: second ... year; a negative distance lies in the past */
extern TeValue te_icu_relative(TeRender *r, const char *locale, double distance, const char *unit,
							   const char *style, bool words);
extern TeValue te_icu_list(TeRender *r, const char *locale, const char *type, const char *width,
						   const TeValue *items, int count);

/* the ends, in bytes, of the first user-perceived characters of a text; throws if ICU cannot */
extern int *te_icu_graphemes(TeRender *r, const char *text, int len, int most, int *count);
extern int	te_icu_width(const char *text, int len);	/* columns of one character: 0, 1, or 2 for wide ones */
extern bool te_icu_is_weekend(const char *country, int day_of_week);	/* 0 = Sunday */
extern const char *te_icu_version(void);

/* ---- plural.c ---- */

/* the CLDR category of a number as it is written: zero, one, two, few, many, other; NULL: it is no number */
extern const char *te_plural_category(const char *locale, const char *number, int len, bool ordinal);

/* those that a locale distinguishes, in the order above, as a list that ends with NULL */
extern int	te_plural_categories(const char *locale, bool ordinal, const char *categories[7]);
extern bool te_plural_is_category(const char *word, int len);

/* a skeleton that prints a number with as many decimals as it was written with */
#define TE_PLURAL_SKELETON 32
extern void te_plural_skeleton(int decimals, char skeleton[TE_PLURAL_SKELETON]);

/* ---- icu_message.c ---- */

/* where and why a message does not parse */
typedef struct TeMessageError
{
	int			position;		/* in characters, from 1 */
	const char *reason;
} TeMessageError;

extern bool te_message_check(const char *text, int len, TeMessageError *error);

/* Whether a text is meant as an ICU message: braces, and no Liquid in it. */
extern bool te_message_is(const char *text, int len);

/* escape: how the values of arguments are written; the text of the message is written as it is */
extern TeValue te_message_format(TeRender *r, const char *locale, const char *text, int len, const TeArgs *args,
								 TeEscape escape);

/* ---- filter_locale_date.c ---- */

/*
 * What the filter date does with a named style (short, medium, long, full): the date
 * in the reader's locale, and in the zone, or the reader's own if that is NULL. Nil
 * when the style is none of those.
 */
extern TeValue te_date_in_style(TeRender *r, TeValue input, pg_tz *zone, const char *style, int len);

/* The instant in a value, in its own zone if it has been given one, else in the reader's. */
extern bool te_time_of_reader(TeRender *r, TeValue value, TeTime *time);
