/*
 * icu_number.c
 *		Numbers and money by ICU.
 */
#include "postgres.h"

#include <unicode/ucurr.h>
#include <unicode/unum.h>
#include <unicode/unumberformatter.h>

#include "template/icu_internal.h"

/*
 * Opens a formatter for a skeleton.
 */
void *
te_icu_open_number(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	UChar		skeleton[TE_ICU_DETAIL + 1];
	int			len = te_icu_from_ascii(skeleton, lengthof(skeleton), detail);
	UParseError error;

	if (len < 0)
	{
		*status = U_ILLEGAL_ARGUMENT_ERROR;
		return NULL;
	}
	return unumf_openForSkeletonAndLocaleWithError(skeleton, len, locale, &error, status);
}

/*
 * Closes what te_icu_open_number() opened.
 */
void
te_icu_close_number(void *object)
{
	unumf_close(object);
}

/*
 * Opens a formatter that writes numbers out, or as ordinals.
 */
void *
te_icu_open_rule_based(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	return unum_open(detail[0] == 'o' ? UNUM_ORDINAL : UNUM_SPELLOUT, NULL, 0, locale, NULL, status);
}

/*
 * Closes what te_icu_open_rule_based() opened.
 */
void
te_icu_close_rule_based(void *object)
{
	unum_close(object);
}

/*
 * Whether a text is a number in decimal digits, of a size that is sane to print;
 * decimals is set to how many it has behind its point.
 */
bool
te_icu_is_number(const char *text, int len, int *decimals)
{
	int			i = 0;
	int			digits = 0;
	int			fraction = 0;
	int			exponent = 0;

	if (len > 1000)
		return false;
	if (i < len && (text[i] == '-' || text[i] == '+'))
		i++;
	for (; i < len && isdigit((unsigned char) text[i]); i++)
		digits++;
	if (i < len && text[i] == '.')
		for (i++; i < len && isdigit((unsigned char) text[i]); i++)
			fraction++;
	if (digits + fraction == 0)
		return false;
	if (i < len && (text[i] == 'e' || text[i] == 'E'))
	{
		bool		negative = false;
		int			start;

		i++;
		if (i < len && (text[i] == '-' || text[i] == '+'))
			negative = text[i++] == '-';
		for (start = i; i < len && isdigit((unsigned char) text[i]) && exponent <= 1000; i++)
			exponent = exponent * 10 + (text[i] - '0');
		if (i == start || exponent > 1000)
			return false;
		if (negative)
			exponent = -exponent;
	}
	*decimals = Max(fraction - exponent, 0);
	return i == len;
}

/*
 * Whether a skeleton is one to hand to ICU: ASCII, not long, and without a number
 * in it whose exponent would have ICU write digits without end.
 */
static bool
is_sane_skeleton(const char *skeleton)
{
	int			i;

	for (i = 0; skeleton[i]; i++)
	{
		unsigned char c = skeleton[i];

		if (i >= TE_ICU_DETAIL || c < ' ' || c > '~')
			return false;
		if ((c == 'e' || c == 'E') && i > 0 && (isdigit((unsigned char) skeleton[i - 1]) || skeleton[i - 1] == '.'))
			return false;
	}
	return true;
}

/*
 * The skeleton of a named style, or the name itself.
 */
const char *
te_icu_number_style(const char *style)
{
	static const char *const styles[][2] = {
		{"decimal", ".###"},
		{"integer", "precision-integer"},
		{"percent", "percent scale/100 .##"},
		{"compact", "compact-short"},
		{"compact_long", "compact-long"},
		{"scientific", "scientific .###"},
	};
	int			i;

	for (i = 0; i < lengthof(styles); i++)
		if (strcmp(style, styles[i][0]) == 0)
			return styles[i][1];
	return style;
}

/*
 * A number by a skeleton. The text must be one to te_icu_is_number().
 */
TeValue
te_icu_number(TeRender *r, const char *locale, const char *skeleton, const char *number, int len)
{
	static UFormattedNumber *result = NULL;
	UErrorCode	status = U_ZERO_ERROR;
	UNumberFormatter *formatter;
	UChar		buffer[TE_ICU_RESULT];
	int			decimals;
	int32_t		n;

	if (!te_icu_is_number(number, len, &decimals))
		return te_icu_failure(r, "not a number that can be formatted", "", U_ZERO_ERROR);
	if (!is_sane_skeleton(skeleton))
		return te_icu_failure(r, "number skeleton has characters that are not allowed", "", U_ZERO_ERROR);
	if (result == NULL)
		result = unumf_openResult(&status);
	formatter = te_icu_cached(TE_ICU_NUMBER, locale, skeleton, "", &status);
	if (formatter == NULL)
		return te_icu_failure(r, "unknown number skeleton", skeleton, status);
	unumf_formatDecimal(formatter, number, len, result, &status);
	n = unumf_resultToString(result, buffer, lengthof(buffer), &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "number cannot be formatted by", skeleton, status);
	return te_icu_to_server(r, buffer, n);
}

/*
 * An amount of money.
 */
TeValue
te_icu_currency(TeRender *r, const char *locale, const char *code, const char *options, const char *number, int len)
{
	char		skeleton[TE_ICU_DETAIL];
	int			i;

	for (i = 0; i < 3 && isalpha((unsigned char) code[i]); i++)
		;
	if (i < 3 || code[3] != '\0')
		return te_icu_failure(r, "a currency is three letters, not", code[0] ? code : "nothing", U_ZERO_ERROR);
	if (snprintf(skeleton, sizeof(skeleton), "currency/%c%c%c%s%s", pg_ascii_toupper(code[0]),
				 pg_ascii_toupper(code[1]), pg_ascii_toupper(code[2]), options[0] ? " " : "", options) >= sizeof(skeleton))
		return te_icu_failure(r, "number skeleton is too long", "", U_ZERO_ERROR);
	return te_icu_number(r, locale, skeleton, number, len);
}

/*
 * The currency of the region that a locale means. False: it has none.
 */
bool
te_icu_currency_of(const char *locale, char code[4])
{
	UErrorCode	status = U_ZERO_ERROR;
	char		language[9];
	char		script[5];
	char		region[4];
	char		name[16];
	UChar		buffer[4];
	int			i;

	te_locale_parts(locale, language, script, region);
	snprintf(name, sizeof(name), "und_%s", region);
	if (region[0] == '\0' || ucurr_forLocale(name, buffer, 4, &status) != 3 || U_FAILURE(status))
		return false;
	for (i = 0; i < 3; i++)
		code[i] = (char) buffer[i];
	code[3] = '\0';
	return true;
}

/*
 * A rank: 3rd.
 */
TeValue
te_icu_ordinal(TeRender *r, const char *locale, int64 number)
{
	UErrorCode	status = U_ZERO_ERROR;
	UNumberFormat *format = te_icu_cached(TE_ICU_RULE_BASED, locale, "ordinal", "", &status);
	UChar		buffer[TE_ICU_RESULT];
	int32_t		n;

	if (format == NULL)
		return te_icu_failure(r, "no ordinals for locale", locale, status);
	n = unum_formatInt64(format, number, buffer, lengthof(buffer), NULL, &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "no ordinals for locale", locale, status);
	return te_icu_to_server(r, buffer, n);
}

/*
 * A number in words.
 */
TeValue
te_icu_spell_out(TeRender *r, const char *locale, const char *number, int len)
{
	UErrorCode	status = U_ZERO_ERROR;
	UNumberFormat *format;
	UChar		buffer[TE_ICU_RESULT];
	char		digits[64];
	int			decimals;
	int32_t		n;

	if (len >= sizeof(digits) || !te_icu_is_number(number, len, &decimals))
		return te_icu_failure(r, "not a number that can be written out", "", U_ZERO_ERROR);
	memcpy(digits, number, len);
	digits[len] = '\0';
	format = te_icu_cached(TE_ICU_RULE_BASED, locale, "spellout", "", &status);
	if (format == NULL)
		return te_icu_failure(r, "no numbers in words for locale", locale, status);
	if (decimals == 0 && len <= 18)
		n = unum_formatInt64(format, strtoll(digits, NULL, 10), buffer, lengthof(buffer), NULL, &status);
	else
		n = unum_formatDouble(format, strtod(digits, NULL), buffer, lengthof(buffer), NULL, &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "number cannot be written out", digits, status);
	return te_icu_to_server(r, buffer, n);
}
