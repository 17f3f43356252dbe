/*
 * icu_text.c
 *		Lists, and characters as people see them, by ICU.
 */
#include "postgres.h"

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/ulistformatter.h>

#include "mb/pg_wchar.h"

#include "template/icu_internal.h"

/* ---- lists ---- */

/*
 * Opens a formatter for lists; detail is a letter of the type and one of the width.
 */
void *
te_icu_open_list(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	UListFormatterType type = detail[0] == 'o' ? ULISTFMT_TYPE_OR : detail[0] == 'u' ? ULISTFMT_TYPE_UNITS : ULISTFMT_TYPE_AND;
	UListFormatterWidth width = detail[1] == 's' ? ULISTFMT_WIDTH_SHORT : detail[1] == 'n' ? ULISTFMT_WIDTH_NARROW : ULISTFMT_WIDTH_WIDE;

	return ulistfmt_openForType(locale, type, width, status);
}

/*
 * Closes what te_icu_open_list() opened.
 */
void
te_icu_close_list(void *object)
{
	ulistfmt_close(object);
}

/*
 * Items as a list: "A, B and C". type is and, or, unit; width is wide, short, narrow.
 * Without a render they must be strings.
 */
TeValue
te_icu_list(TeRender *r, const char *locale, const char *type, const char *width, const TeValue *items, int count)
{
	UErrorCode	status = U_ZERO_ERROR;
	const UChar **texts = te_icu_alloc(r, (count + 1) * sizeof(UChar *));
	int32_t    *lengths = te_icu_alloc(r, (count + 1) * sizeof(int32_t));
	char		detail[3] = {type[0], width[0], '\0'};
	UListFormatter *formatter;
	UChar	   *buffer;
	int32_t		size = 64;
	int32_t		n;
	int			i;

	for (i = 0; i < count; i++)
	{
		TeValue		text = items[i].kind == TE_STRING ? items[i] : te_value_text(r, items[i]);
		int			ulen;

		texts[i] = te_icu_from_server(r, text.u.str, text.len, &ulen);
		lengths[i] = ulen;
		size += ulen + 32;
	}
	buffer = te_icu_alloc(r, size * sizeof(UChar));
	formatter = te_icu_cached(TE_ICU_LIST, locale, detail, "", &status);
	if (formatter == NULL)
		return te_icu_failure(r, "no lists for locale", locale, status);
	n = ulistfmt_format(formatter, texts, lengths, count, buffer, size, &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "list cannot be formatted", "", status);
	return te_icu_to_server(r, buffer, n);
}

/* ---- characters ---- */

/*
 * Opens an iterator over user-perceived characters; they are the same in all locales.
 */
void *
te_icu_open_break(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	return ubrk_open(UBRK_CHARACTER, "", NULL, 0, status);
}

/*
 * Closes what te_icu_open_break() opened.
 */
void
te_icu_close_break(void *object)
{
	ubrk_close(object);
}

/*
 * How many bytes a number of UTF-16 units is in the server's encoding, where the
 * text goes on at text.
 */
static int
bytes_of_units(const char *text, const char *end, int units)
{
	const char *at = text;

	while (units > 0 && at < end)
	{
		int			len = GetDatabaseEncoding() == PG_UTF8 ? pg_utf_mblen((const unsigned char *) at) : pg_mblen(at);

		units -= GetDatabaseEncoding() == PG_UTF8 && len == 4 ? 2 : 1;
		at += Min(len, end - at);
	}
	return at - text;
}

/*
 * See locale.h. The array is in memory of the render.
 */
int *
te_icu_graphemes(TeRender *r, const char *text, int len, int most, int *count)
{
	static const UChar nothing[1] = {0};
	UErrorCode	status = U_ZERO_ERROR;
	UBreakIterator *iterator;
	UChar	   *units;
	int		   *ends;
	int			ulen;
	int			at = 0;
	int32_t		from,
				to;

	units = te_icu_from_server(r, text, len, &ulen);
	most = Min(most, ulen);
	ends = te_icu_alloc(r, ((Size) most + 1) * sizeof(int));
	*count = 0;
	iterator = te_icu_cached(TE_ICU_BREAK, "und", "", "", &status);
	if (iterator)
		ubrk_setText(iterator, units, ulen, &status);
	if (iterator == NULL || U_FAILURE(status))
		(void) te_icu_failure(NULL, "characters cannot be told apart", "", status);
	for (from = ubrk_first(iterator); *count < most; from = to)
	{
		to = ubrk_next(iterator);
		if (to == UBRK_DONE)
			break;
		at += bytes_of_units(text + at, text + len, to - from);
		ends[(*count)++] = at;
	}
	/* it must not hold on to memory that goes away */
	ubrk_setText(iterator, nothing, 0, &status);
	return ends;
}

/*
 * See locale.h.
 */
int
te_icu_width(const char *text, int len)
{
	const unsigned char *at = (const unsigned char *) text;
	const unsigned char *end = at + len;
	int			width = 0;

	if (GetDatabaseEncoding() != PG_UTF8)
		return pg_dsplen(text) > 1 ? 2 : 1;
	while (at < end)
	{
		int			n = pg_utf_mblen(at);
		UChar32		c;
		int			eaw;
		int			type;

		if (n > end - at)
			break;
		c = utf8_to_unicode(at);
		at += n;
		eaw = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
		type = u_charType(c);
		if (eaw == U_EA_WIDE || eaw == U_EA_FULLWIDTH || c == 0xFE0F ||
			u_hasBinaryProperty(c, UCHAR_EMOJI_PRESENTATION) || u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR))
			return 2;
		if (type != U_NON_SPACING_MARK && type != U_ENCLOSING_MARK && type != U_FORMAT_CHAR && type != U_CONTROL_CHAR)
			width = 1;
	}
	return width;
}
