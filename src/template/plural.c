/*
 * plural.c
 *		CLDR's categories of numbers, by ICU's rules.
 *
 * A category belongs to a number as it is written: in English 1 is one and 1.0 other.
 */
#include "postgres.h"

#include <unicode/uenum.h>
#include <unicode/unumberformatter.h>
#include <unicode/upluralrules.h>

#include "template/icu_internal.h"

static const char *const category_names[] = {"zero", "one", "two", "few", "many", "other"};

/*
 * Opens the rules of a locale.
 */
void *
te_icu_open_plural(const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	return uplrules_openForType(locale, detail[0] == 'o' ? UPLURAL_TYPE_ORDINAL : UPLURAL_TYPE_CARDINAL, status);
}

/*
 * Closes what te_icu_open_plural() opened.
 */
void
te_icu_close_plural(void *object)
{
	uplrules_close(object);
}

/*
 * Our name of a category; "other" for one that is none of the six.
 */
static const char *
category_name(const UChar *name, int len)
{
	char		ascii[16];
	int			i;

	for (i = 0; i < len && i < sizeof(ascii) - 1; i++)
		ascii[i] = (char) name[i];
	ascii[i] = '\0';
	for (i = 0; i < lengthof(category_names); i++)
		if (strcmp(category_names[i], ascii) == 0)
			return category_names[i];
	return "other";
}

/*
 * The skeleton for a number of decimals; of very many, the category is that of fewer.
 */
void
te_plural_skeleton(int decimals, char skeleton[TE_PLURAL_SKELETON])
{
	skeleton[0] = '.';
	memset(skeleton + 1, '0', TE_PLURAL_SKELETON - 2);
	skeleton[Min(decimals, TE_PLURAL_SKELETON - 2) + 1] = '\0';
	if (decimals == 0)
		strlcpy(skeleton, "precision-integer", TE_PLURAL_SKELETON);
}

/*
 * The category of a number given as text. The decimals are kept by formatting the
 * number with as many; the formatter's own locale does not matter. Throws only when
 * ICU has no memory or no data.
 */
const char *
te_plural_category(const char *locale, const char *number, int len, bool ordinal)
{
	static UFormattedNumber *result = NULL;
	UErrorCode	status = U_ZERO_ERROR;
	UPluralRules *rules;
	UNumberFormatter *formatter;
	char		skeleton[TE_PLURAL_SKELETON];
	UChar		category[16];
	int			decimals;
	int32_t		n;

	if (!te_icu_is_number(number, len, &decimals))
		return NULL;
	if (result == NULL)
		result = unumf_openResult(&status);
	te_plural_skeleton(decimals, skeleton);
	rules = te_icu_cached(TE_ICU_PLURAL, locale, ordinal ? "ordinal" : "cardinal", "", &status);
	formatter = rules ? te_icu_cached(TE_ICU_NUMBER, "en", skeleton, "", &status) : NULL;
	if (formatter == NULL)
		(void) te_icu_failure(NULL, "no plural rules for locale", locale, status);
	unumf_formatDecimal(formatter, number, len, result, &status);
	n = uplrules_selectFormatted(rules, result, category, lengthof(category), &status);
	return U_FAILURE(status) ? "other" : category_name(category, n);
}

/*
 * The categories that a locale tells apart. The number of them.
 */
int
te_plural_categories(const char *locale, bool ordinal, const char *categories[7])
{
	UErrorCode	status = U_ZERO_ERROR;
	UPluralRules *rules = te_icu_cached(TE_ICU_PLURAL, locale, ordinal ? "ordinal" : "cardinal", "", &status);
	UEnumeration *keywords = rules ? uplrules_getKeywords(rules, &status) : NULL;
	bool		has[lengthof(category_names)] = {false};
	const UChar *keyword;
	int32_t		len;
	int			count = 0;
	int			i;

	while (keywords && (keyword = uenum_unext(keywords, &len, &status)) != NULL)
	{
		const char *name = category_name(keyword, len);

		for (i = 0; i < lengthof(category_names); i++)
			has[i] |= category_names[i] == name;
	}
	uenum_close(keywords);
	has[lengthof(category_names) - 1] = true;
	for (i = 0; i < lengthof(category_names); i++)
		if (has[i])
			categories[count++] = category_names[i];
	categories[count] = NULL;
	return count;
}

/*
 * Whether a word names a category.
 */
bool
te_plural_is_category(const char *word, int len)
{
	int			i;

	for (i = 0; i < lengthof(category_names); i++)
		if (strlen(category_names[i]) == len && memcmp(category_names[i], word, len) == 0)
			return true;
	return false;
}
