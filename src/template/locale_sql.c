/*
 * locale_sql.c
 *		Locales, plurals, characters and formats as SQL functions.
 *
 * They do what the filters do, so that formats can be tried, and used, without a
 * template. All throw on arguments that make no sense.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "compat.h"
#include "common/common.h"
#include "errors.h"
#include "template/arena.h"
#include "template/locale.h"
#include "time/time.h"

PG_FUNCTION_INFO_V1(te_sql_locale_chain);
PG_FUNCTION_INFO_V1(te_sql_locale_rank);
PG_FUNCTION_INFO_V1(te_sql_best_locale);
PG_FUNCTION_INFO_V1(te_sql_locale_direction);
PG_FUNCTION_INFO_V1(te_sql_plural_category);
PG_FUNCTION_INFO_V1(te_sql_plural_categories);
PG_FUNCTION_INFO_V1(te_sql_graphemes);
PG_FUNCTION_INFO_V1(te_sql_format_number);
PG_FUNCTION_INFO_V1(te_sql_format_currency);
PG_FUNCTION_INFO_V1(te_sql_format_date);
PG_FUNCTION_INFO_V1(te_sql_format_time);
PG_FUNCTION_INFO_V1(te_sql_format_list);
PG_FUNCTION_INFO_V1(te_sql_format_message);
PG_FUNCTION_INFO_V1(te_sql_is_weekend);
PG_FUNCTION_INFO_V1(te_sql_icu_version);

/* ---- arguments and results ---- */

/*
 * The locale in an argument, normalised. Throws when it is malformed.
 */
static void
locale_argument(text *given, TeLocaleTag tag)
{
	if (!te_locale_normalize(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), tag))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no locale", text_to_cstring(given)),
				 errhint("Write it as in \"en\", \"pt-BR\" or \"zh-Hant-TW\".")));
}

/*
 * Whether an argument says ordinal. Throws on other words than that and cardinal.
 */
static bool
ordinal_argument(text *given)
{
	char	   *kind = text_to_cstring(given);

	if (strcmp(kind, "ordinal") != 0 && strcmp(kind, "cardinal") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown kind of plural \"%s\"", kind),
				 errhint("Kinds are cardinal and ordinal.")));
	return kind[0] == 'o';
}

/*
 * The time zone in an argument, or the session's if it is NULL. Throws when there is
 * none of that name.
 */
static pg_tz *
zone_argument(FunctionCallInfo fcinfo, int n)
{
	text	   *name;
	pg_tz	   *zone;

	if (PG_ARGISNULL(n))
		return session_timezone;
	name = PG_GETARG_TEXT_PP(n);
	zone = te_time_find_zone(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", text_to_cstring(name)),
				 errhint("Give the name of a time zone, such as \"Europe/Berlin\".")));
	return zone;
}

/*
 * A value of ICU's as text.
 */
static Datum
result_text(TeValue value)
{
	return PointerGetDatum(cstring_to_text_with_len(value.u.str, value.len));
}

/*
 * An array of texts.
 */
static Datum
result_array(Datum *items, int count)
{
	return PointerGetDatum(construct_array(items, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* ---- locales ---- */

/*
 * locale_chain(locale)
 */
Datum
te_sql_locale_chain(PG_FUNCTION_ARGS)
{
	TeLocaleTag tag;
	TeLocaleTag chain[TE_LOCALE_CHAIN];
	Datum		items[TE_LOCALE_CHAIN];
	int			count;
	int			i;

	locale_argument(PG_GETARG_TEXT_PP(0), tag);
	count = te_locale_chain(tag, chain);
	for (i = 0; i < count; i++)
		items[i] = CStringGetTextDatum(chain[i]);
	return result_array(items, count);
}

/*
 * _locale_rank(wanted, available): 0 is best, NULL does not fit or is malformed.
 */
Datum
te_sql_locale_rank(PG_FUNCTION_ARGS)
{
	text	   *wanted = PG_GETARG_TEXT_PP(0);
	text	   *available = PG_GETARG_TEXT_PP(1);
	TeLocaleTag tags[2];
	int			rank = -1;

	if (te_locale_normalize(VARDATA_ANY(wanted), VARSIZE_ANY_EXHDR(wanted), tags[0]) &&
		te_locale_normalize(VARDATA_ANY(available), VARSIZE_ANY_EXHDR(available), tags[1]))
		rank = te_locale_rank(tags[0], tags[1]);
	if (rank < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(rank);
}

/*
 * best_locale(wanted, available): the element that serves the reader best, as it is
 * written there; NULL when none does.
 */
Datum
te_sql_best_locale(PG_FUNCTION_ARGS)
{
	text	   *wanted = PG_GETARG_TEXT_PP(0);
	TeLocaleTag tag;
	TeLocaleTag other;
	Datum	   *items;
	bool	   *nulls;
	int			count;
	int			best = -1;
	int			best_rank = 0;
	int			i;

	if (!te_locale_normalize(VARDATA_ANY(wanted), VARSIZE_ANY_EXHDR(wanted), tag))
		PG_RETURN_NULL();
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &count);
	for (i = 0; i < count; i++)
	{
		text	   *item = nulls[i] ? NULL : DatumGetTextPP(items[i]);
		int			rank;

		if (item == NULL || !te_locale_normalize(VARDATA_ANY(item), VARSIZE_ANY_EXHDR(item), other))
			continue;
		rank = te_locale_rank(tag, other);
		if (rank >= 0 && (best < 0 || rank < best_rank))
		{
			best = i;
			best_rank = rank;
		}
	}
	if (best < 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(items[best]);
}

/*
 * locale_direction(locale)
 */
Datum
te_sql_locale_direction(PG_FUNCTION_ARGS)
{
	TeLocaleTag tag;

	locale_argument(PG_GETARG_TEXT_PP(0), tag);
	PG_RETURN_TEXT_P(cstring_to_text(te_locale_is_rtl(tag) ? "rtl" : "ltr"));
}

/* ---- plurals and characters ---- */

/*
 * plural_category(locale, number, kind)
 */
Datum
te_sql_plural_category(PG_FUNCTION_ARGS)
{
	char	   *number = text_to_cstring(PG_GETARG_TEXT_PP(1));
	TeLocaleTag tag;
	const char *category;

	locale_argument(PG_GETARG_TEXT_PP(0), tag);
	category = te_plural_category(tag, number, strlen(number), ordinal_argument(PG_GETARG_TEXT_PP(2)));
	if (category == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("\"%s\" is not a number in decimal digits", number)));
	PG_RETURN_TEXT_P(cstring_to_text(category));
}

/*
 * plural_categories(locale, kind)
 */
Datum
te_sql_plural_categories(PG_FUNCTION_ARGS)
{
	TeLocaleTag tag;
	const char *categories[7];
	Datum		items[7];
	int			count;
	int			i;

	locale_argument(PG_GETARG_TEXT_PP(0), tag);
	count = te_plural_categories(tag, ordinal_argument(PG_GETARG_TEXT_PP(1)), categories);
	for (i = 0; i < count; i++)
		items[i] = CStringGetTextDatum(categories[i]);
	return result_array(items, count);
}

/*
 * graphemes(value)
 */
Datum
te_sql_graphemes(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	const char *data = VARDATA_ANY(given);
	int			len = VARSIZE_ANY_EXHDR(given);
	int			count;
	int		   *ends = te_icu_graphemes(NULL, data, len, len, &count);
	Datum	   *items = palloc((count + 1) * sizeof(Datum));
	int			i;

	for (i = 0; i < count; i++)
	{
		int			start = i ? ends[i - 1] : 0;

		items[i] = PointerGetDatum(cstring_to_text_with_len(data + start, ends[i] - start));
	}
	return result_array(items, count);
}

/* ---- formats ---- */

/*
 * format_number(value, locale, style)
 */
Datum
te_sql_format_number(PG_FUNCTION_ARGS)
{
	char	   *number = DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(0)));
	char	   *style = text_to_cstring(PG_GETARG_TEXT_PP(2));
	TeLocaleTag tag;

	locale_argument(PG_GETARG_TEXT_PP(1), tag);
	if (strcmp(style, "ordinal") == 0)
		return result_text(te_icu_ordinal(NULL, tag, DatumGetInt64(DirectFunctionCall1(numeric_int8, PG_GETARG_DATUM(0)))));
	if (strcmp(style, "words") == 0)
		return result_text(te_icu_spell_out(NULL, tag, number, strlen(number)));
	return result_text(te_icu_number(NULL, tag, te_icu_number_style(style), number, strlen(number)));
}

/*
 * format_currency(value, currency, locale)
 */
Datum
te_sql_format_currency(PG_FUNCTION_ARGS)
{
	char	   *number = DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(0)));
	TeLocaleTag tag;

	locale_argument(PG_GETARG_TEXT_PP(2), tag);
	return result_text(te_icu_currency(NULL, tag, text_to_cstring(PG_GETARG_TEXT_PP(1)), "", number, strlen(number)));
}

/*
 * The work of format_date() and format_time(): (at, locale, style, zone).
 */
static Datum
format_part(FunctionCallInfo fcinfo, bool date)
{
	TeIcuStyle	style;
	TeLocaleTag tag;
	char	   *name;
	pg_tz	   *zone;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	locale_argument(PG_GETARG_TEXT_PP(1), tag);
	name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	zone = zone_argument(fcinfo, 3);
	if (!te_icu_style(name, strlen(name), &style))
		return result_text(te_icu_date_skeleton(NULL, tag, PG_GETARG_TIMESTAMPTZ(0), zone, name));
	return result_text(te_icu_datetime(NULL, tag, PG_GETARG_TIMESTAMPTZ(0), zone,
									   date ? style : TE_ICU_NONE, date ? TE_ICU_NONE : style));
}

/*
 * format_date(at, locale, style, zone)
 */
Datum
te_sql_format_date(PG_FUNCTION_ARGS)
{
	return format_part(fcinfo, true);
}

/*
 * format_time(at, locale, style, zone)
 */
Datum
te_sql_format_time(PG_FUNCTION_ARGS)
{
	return format_part(fcinfo, false);
}

/*
 * format_list(items, locale, style); NULL items are left out.
 */
Datum
te_sql_format_list(PG_FUNCTION_ARGS)
{
	char	   *style = text_to_cstring(PG_GETARG_TEXT_PP(2));
	TeLocaleTag tag;
	TeValue    *values;
	Datum	   *items;
	bool	   *nulls;
	int			count;
	int			n = 0;
	int			i;

	locale_argument(PG_GETARG_TEXT_PP(1), tag);
	if (strcmp(style, "and") != 0 && strcmp(style, "or") != 0 && strcmp(style, "unit") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown style of list \"%s\"", style),
				 errhint("Styles are and, or and unit.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &count);
	values = palloc((count + 1) * sizeof(TeValue));
	for (i = 0; i < count; i++)
		if (!nulls[i])
		{
			text	   *item = DatumGetTextPP(items[i]);

			values[n++] = TE_VALUE_STRING(VARDATA_ANY(item), VARSIZE_ANY_EXHDR(item));
		}
	return result_text(te_icu_list(NULL, tag, style, "wide", values, n));
}

/*
 * The members of an object as named arguments. Throws unless it is an object.
 */
static void
named_arguments(TeRender *r, Jsonb *object, TeArgs *args)
{
	TeNamedArg *named;
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	int			n = 0;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments must be a JSON object")));
	named = palloc((JB_ROOT_COUNT(object) + 1) * sizeof(TeNamedArg));
	it = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			named[n].name = value.val.string.val;
			named[n].len = value.val.string.len;
		}
		else if (token == WJB_VALUE)
			named[n++].value = te_value_from_jsonb(r, &value);
	memset(args, 0, sizeof(TeArgs));
	args->named_count = n;
	args->named = named;
}

/*
 * format_message(message, arguments, locale)
 */
Datum
te_sql_format_message(PG_FUNCTION_ARGS)
{
	text	   *message = PG_GETARG_TEXT_PP(0);
	TeRenderInput input = {0};
	TeRender	r = {0};
	TeMessageError error;
	TeLocaleTag tag;
	TeArgs		args;
	TeValue		result;
	Datum		datum;

	locale_argument(PG_GETARG_TEXT_PP(2), tag);
	if (!te_message_check(VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message), &error))
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE),
				 errmsg("message, character %d: %s", error.position, error.reason)));
	input.locale = tag;
	input.zone = session_timezone;
	input.now = te_clock_transaction();
	r.input = &input;
	te_arena_begin(&r);
	named_arguments(&r, PG_GETARG_JSONB_P(1), &args);
	result = te_message_format(&r, tag, VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message), &args, TE_ESCAPE_NONE);
	if (result.kind == TE_ERROR)
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE),
				 errmsg("%.*s", result.len, result.u.str)));
	datum = result_text(result);
	te_arena_end();
	return datum;
}

/*
 * _is_weekend(country, day_of_week): by CLDR; 0 is Sunday.
 */
Datum
te_sql_is_weekend(PG_FUNCTION_ARGS)
{
	char	   *country = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strlen(country) != 2)
		country = "001";
	PG_RETURN_BOOL(te_icu_is_weekend(country, PG_GETARG_INT32(1)));
}

/*
 * _icu_version(): of the library that is loaded, not of its headers.
 */
Datum
te_sql_icu_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(te_icu_version()));
}
