/*
 * locale.c
 *		Locale tags: one spelling for each, and the order in which texts are looked for.
 *
 * Follows CLDR: a reader of zh-TW gets zh-Hant and never zh, which is Simplified; one
 * of es-MX gets es-419 before es. The tables are compiled in, so the answers are the
 * same whatever ICU the server has. Nothing here allocates or throws.
 */
#include "postgres.h"

#include "template/locale.h"
#include "template/locale_data.h"

#define MOST_SUBTAGS 12

/* A tag in its parts; what is not there is empty. */
typedef struct Parts
{
	char		language[9];
	char		script[5];
	char		region[4];
	char		rest[TE_LOCALE_SIZE];	/* variants, each after a hyphen */
} Parts;

/* ---- the tables ---- */

/*
 * bsearch() on structs whose first member is a string.
 */
static int
compare_first(const void *key, const void *row)
{
	return strcmp(key, *(const char *const *) row);
}

/*
 * The value of a tag in a table of pairs; NULL if it is not in it.
 */
static const char *
find_pair(const TeLocalePair *table, int count, const char *tag)
{
	const TeLocalePair *row = bsearch(tag, table, count, sizeof(TeLocalePair), compare_first);

	return row ? row->value : NULL;
}

/*
 * What is known of a language; NULL for one that is not known.
 */
static const TeLocaleLanguage *
find_language(const char *language)
{
	return bsearch(language, te_locale_languages, te_locale_n_languages, sizeof(TeLocaleLanguage),
				   compare_first);
}

/*
 * The script a language is written in, in a region if that is not empty; "" if it is
 * not known.
 */
static const char *
likely_script(const char *language, const char *region)
{
	const TeLocaleLanguage *row = find_language(language);
	char		tag[16];
	const char *script;

	if (region[0])
	{
		snprintf(tag, sizeof(tag), "%s-%s", language, region);
		script = find_pair(te_locale_region_scripts, te_locale_n_region_scripts, tag);
		if (script)
			return script;
	}
	return row ? row->script : "";
}

/*
 * Whether the language's locales are named with their script: zh-Hans, sr-Latn.
 */
static bool
is_written_with_script(const char *language)
{
	return bsearch(language, te_locale_written, te_locale_n_written, sizeof(char *), compare_first) != NULL;
}

/* ---- tags and their parts ---- */

/*
 * Puts the parts of a tag together. False: it would be too long.
 */
static bool
join(const Parts *parts, TeLocaleTag tag)
{
	int			len = snprintf(tag, TE_LOCALE_SIZE, "%s%s%s%s%s%s", parts->language,
							   parts->script[0] ? "-" : "", parts->script,
							   parts->region[0] ? "-" : "", parts->region, parts->rest);

	return len < TE_LOCALE_SIZE;
}

/*
 * Takes a normalised tag without extensions apart.
 */
static void
split(const char *tag, Parts *parts)
{
	const char *at = tag;
	int			n = 0;

	memset(parts, 0, sizeof(Parts));
	while (*at)
	{
		int			len = strcspn(at, "-");

		if (n == 0)
			strlcpy(parts->language, at, Min(len + 1, sizeof(parts->language)));
		else if (len == 4 && parts->script[0] == '\0' && parts->region[0] == '\0' && parts->rest[0] == '\0' &&
				 isalpha((unsigned char) at[0]))
			strlcpy(parts->script, at, 5);
		else if (len <= 3 && parts->region[0] == '\0' && parts->rest[0] == '\0')
			strlcpy(parts->region, at, len + 1);
		else
		{
			/* all that is left */
			strlcpy(parts->rest, at - 1, sizeof(parts->rest));
			return;
		}
		n++;
		at += len;
		if (*at == '-')
			at++;
	}
}

/*
 * How a subtag's characters are: all letters, all digits, or letters and digits.
 */
static bool
is_all(const char *subtag, int len, bool letters, bool digits)
{
	int			i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = subtag[i];
		bool		letter = (c >= 'a' && c <= 'z');
		bool		digit = (c >= '0' && c <= '9');

		if (!(letter && letters) && !(digit && digits))
			return false;
	}
	return len > 0;
}

/*
 * Puts a language, or what stands for it now, into the parts: sh is sr-Latn.
 */
static void
set_language(Parts *parts, const char *language)
{
	const char *now = find_pair(te_locale_aliases, te_locale_n_aliases, language);
	Parts		other;

	if (strcmp(language, "root") == 0)
		now = "und";
	split(now ? now : language, &other);
	strlcpy(parts->language, other.language, sizeof(parts->language));
	if (other.script[0])
		strlcpy(parts->script, other.script, sizeof(parts->script));
	if (other.region[0])
		strlcpy(parts->region, other.region, sizeof(parts->region));
}

/*
 * Takes up the subtag after the language: a script, region, variant, or one of the
 * three-letter additions of old (zh-cmn, zh-CHT). False: it cannot stand here.
 */
static bool
add_subtag(Parts *parts, const char *subtag, int len, int n)
{
	const char *now;

	if (len == 3 && n == 1 && is_all(subtag, len, true, false))
	{
		if (strcmp(subtag, "chs") == 0 || strcmp(subtag, "cht") == 0)
			strlcpy(parts->script, subtag[2] == 's' ? "Hans" : "Hant", sizeof(parts->script));
		else
			set_language(parts, subtag);
		return true;
	}
	if (len == 4 && n <= 2 && is_all(subtag, len, true, false))
	{
		strlcpy(parts->script, subtag, sizeof(parts->script));
		parts->script[0] = pg_ascii_toupper(subtag[0]);
		return true;
	}
	if (((len == 2 && is_all(subtag, len, true, false)) || (len == 3 && is_all(subtag, len, false, true))) &&
		parts->rest[0] == '\0' && n <= 3)
	{
		char		region[4] = {0};

		region[0] = pg_ascii_toupper(subtag[0]);
		region[1] = pg_ascii_toupper(subtag[1]);
		region[2] = len == 3 ? subtag[2] : '\0';
		now = find_pair(te_locale_regions, te_locale_n_regions, region);
		strlcpy(parts->region, now ? now : region, sizeof(parts->region));
		return true;
	}
	if ((len >= 5 && len <= 8) || (len == 4 && subtag[0] >= '0' && subtag[0] <= '9'))
	{
		int			used = strlen(parts->rest);

		if (!is_all(subtag, len, true, true) || used + len + 1 >= sizeof(parts->rest))
			return false;
		snprintf(parts->rest + used, sizeof(parts->rest) - used, "-%s", subtag);
		return true;
	}
	return false;
}

/*
 * Copies a locale in small letters with hyphens, without the character set and the
 * modifier of the POSIX form, of which latin and cyrillic are looked at. The length,
 * or -1 if it is malformed.
 */
static int
clean(const char *text, int len, char *out, int size, const char **script)
{
	int			n = 0;
	int			i;
	int			end;

	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	while (len > 0 && isspace((unsigned char) text[0]))
	{
		text++;
		len--;
	}
	*script = NULL;
	for (end = 0; end < len && text[end] != '.' && text[end] != '@'; end++)
		;
	for (i = end; i < len; i++)
	{
		if (len - i == 6 && pg_strncasecmp(text + i, "@latin", 6) == 0)
			*script = "Latn";
		if (len - i == 9 && pg_strncasecmp(text + i, "@cyrillic", 9) == 0)
			*script = "Cyrl";
	}
	for (i = 0; i < end; i++)
	{
		unsigned char c = text[i] == '_' ? '-' : pg_ascii_tolower((unsigned char) text[i]);

		if (n >= size - 1 || !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return -1;
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

/*
 * One spelling of a locale given as BCP 47 or with underscores: zh_hant_tw is
 * zh-Hant-TW, iw is he, en-UK is en-GB. Extensions are kept, in small letters.
 */
bool
te_locale_normalize(const char *text, int len, TeLocaleTag tag)
{
	char		small[TE_LOCALE_SIZE] = "";
	char		extension[TE_LOCALE_SIZE] = "";
	const char *script;
	const char *at = small;
	Parts		parts;
	int			n;

	memset(&parts, 0, sizeof(parts));
	if (clean(text, len, small, sizeof(small), &script) <= 0)
		return false;
	for (n = 0;; n++)
	{
		char		subtag[9];
		int			sublen = strcspn(at, "-");

		if (sublen < 1 || sublen > 8)
			return false;
		strlcpy(subtag, at, sublen + 1);
		if (n == 0)
		{
			if ((sublen > 3 && strcmp(subtag, "root") != 0) || sublen < 2 || !is_all(subtag, sublen, true, false))
				return false;
			set_language(&parts, subtag);
		}
		else if (sublen == 1)
		{
			/* an extension: the rest of it is ICU's to read */
			if (at[1] == '\0' || at[2] == '\0')
				return false;
			strlcpy(extension, at - 1, sizeof(extension));
			break;
		}
		else if (n >= MOST_SUBTAGS || !add_subtag(&parts, subtag, sublen, n))
			return false;
		at += sublen;
		if (*at == '\0')
			break;
		at++;
	}
	if (script)
		strlcpy(parts.script, script, sizeof(parts.script));
	if (!join(&parts, tag) || strlen(tag) + strlen(extension) >= TE_LOCALE_SIZE)
		return false;
	strlcat(tag, extension, TE_LOCALE_SIZE);
	return true;
}

/*
 * Takes the extensions off a normalised tag.
 */
bool
te_locale_strip(TeLocaleTag tag)
{
	char	   *at;

	for (at = tag; (at = strchr(at, '-')) != NULL; at++)
		if (at[1] && at[2] == '-')
		{
			*at = '\0';
			return true;
		}
	return false;
}

/* ---- the chain ---- */

/*
 * Adds a tag to a chain unless it is in it. The new length.
 */
static int
add_link(TeLocaleTag *chain, int count, const char *tag)
{
	int			i;

	for (i = 0; i < count; i++)
		if (strcmp(chain[i], tag) == 0)
			return count;
	if (count < TE_LOCALE_CHAIN)
		strlcpy(chain[count++], tag, TE_LOCALE_SIZE);
	return count;
}

/*
 * Leaves the last subtag off. False when that is the script and the bare language
 * is written in another one, and when nothing is left.
 */
static bool
truncate_tag(const char *tag, TeLocaleTag shorter)
{
	Parts		parts;

	split(tag, &parts);
	if (parts.rest[0])
		*strrchr(parts.rest, '-') = '\0';
	else if (parts.region[0])
		parts.region[0] = '\0';
	else if (parts.script[0] && strcmp(parts.script, likely_script(parts.language, "")) == 0)
		parts.script[0] = '\0';
	else
		return false;
	return join(&parts, shorter);
}

/*
 * The locales whose texts a reader of a locale understands, best first: itself, with
 * the script that is meant, CLDR's parents, the bare language if it is written in the
 * same script. What follows is the template's own default. The number of them.
 */
int
te_locale_chain(const char *tag, TeLocaleTag *chain)
{
	TeLocaleTag at;
	Parts		parts;
	const char *script;
	int			count = 0;

	strlcpy(at, tag, sizeof(at));
	(void) te_locale_strip(at);
	count = add_link(chain, count, at);
	for (split(at, &parts); parts.rest[0]; split(at, &parts))
	{
		if (!truncate_tag(at, at))
			return count;
		count = add_link(chain, count, at);
	}

	script = likely_script(parts.language, parts.region);
	if (parts.script[0] == '\0')
	{
		if (script[0] && (is_written_with_script(parts.language) ||
						  strcmp(script, likely_script(parts.language, "")) != 0))
			strlcpy(parts.script, script, sizeof(parts.script));
	}
	else if (strcmp(parts.script, script) == 0 && !is_written_with_script(parts.language))
		parts.script[0] = '\0';	/* es-Latn-MX is es-MX */
	if (join(&parts, at))
		count = add_link(chain, count, at);

	while (count < TE_LOCALE_CHAIN)
	{
		const char *parent = find_pair(te_locale_parents, te_locale_n_parents, at);

		if (parent && strcmp(parent, "und") == 0)
			break;
		if (parent)
			strlcpy(at, parent, sizeof(at));
		else if (!truncate_tag(at, at))
			break;
		count = add_link(chain, count, at);
	}
	return count;
}

/*
 * The language, script and region that a normalised tag means; empty where that is
 * not known.
 */
void
te_locale_parts(const char *tag, char language[9], char script[5], char region[4])
{
	TeLocaleTag bare;
	Parts		parts;
	const TeLocaleLanguage *row;
	char		pair[16];
	const char *where;

	strlcpy(bare, tag, sizeof(bare));
	(void) te_locale_strip(bare);
	split(bare, &parts);
	row = find_language(parts.language);
	snprintf(pair, sizeof(pair), "%s-%s", parts.language, parts.script);
	where = parts.script[0] ? find_pair(te_locale_script_regions, te_locale_n_script_regions, pair) : NULL;

	strlcpy(language, parts.language, 9);
	strlcpy(script, parts.script[0] ? parts.script : likely_script(parts.language, parts.region), 5);
	strlcpy(region, parts.region[0] ? parts.region : where ? where : row ? row->region : "", 4);
}

/*
 * Whether two languages are one to a reader: the two written forms of Norwegian are.
 */
static bool
same_language(const char *a, const char *b)
{
	static const char *const norwegian[] = {"no", "nb", "nn"};
	int			found = 0;
	int			i;

	if (strcmp(a, b) == 0)
		return true;
	for (i = 0; i < lengthof(norwegian); i++)
		found += (strcmp(a, norwegian[i]) == 0) + (strcmp(b, norwegian[i]) == 0);
	return found == 2;
}

/*
 * Whether two tags name the same script and region of a language, one perhaps
 * without saying the script: zh-TW and zh-Hant-TW.
 */
static bool
same_but_script(const char *a, const char *b)
{
	Parts		x,
				y;

	split(a, &x);
	split(b, &y);
	return strcmp(x.language, y.language) == 0 && strcmp(x.region, y.region) == 0 && strcmp(x.rest, y.rest) == 0 &&
		strcmp(x.script[0] ? x.script : likely_script(x.language, x.region),
			   y.script[0] ? y.script : likely_script(y.language, y.region)) == 0;
}

/*
 * How well texts of one locale serve a reader of another; both are normalised. The
 * chain comes first, in its order, whether or not the script is written out; then
 * other regions of the same language and script, those that share more of the chain
 * before others, the language's main region before other regions.
 */
int
te_locale_rank(const char *wanted, const char *available)
{
	TeLocaleTag chain[TE_LOCALE_CHAIN];
	TeLocaleTag other[TE_LOCALE_CHAIN];
	int			count = te_locale_chain(wanted, chain);
	int			other_count = te_locale_chain(available, other);
	char		language[2][9];
	char		script[2][5];
	char		region[3][4];
	int			i,
				j;

	/* other[0] is the available one without its extensions */
	for (i = 0; i < count; i++)
	{
		if (strcmp(chain[i], other[0]) == 0)
			return 2 * i;
		if (same_but_script(chain[i], other[0]))
			return 2 * i + 1;
	}

	te_locale_parts(wanted, language[0], script[0], region[0]);
	te_locale_parts(available, language[1], script[1], region[1]);
	if (!same_language(language[0], language[1]) || strcmp(script[0], script[1]) != 0)
		return -1;
	for (i = 0; i < count; i++)
		for (j = 0; j < other_count; j++)
			if (strcmp(chain[i], other[j]) == 0)
			{
				te_locale_parts(chain[i], language[0], script[0], region[2]);
				return 2 * TE_LOCALE_CHAIN + 2 * i + (strcmp(region[1], region[2]) == 0 ? 0 : 1);
			}
	return -1;
}

/*
 * Whether a locale is written from right to left.
 */
bool
te_locale_is_rtl(const char *tag)
{
	char		language[9];
	char		script[5];
	char		region[4];

	te_locale_parts(tag, language, script, region);
	return bsearch(script, te_locale_rtl, te_locale_n_rtl, sizeof(char *), compare_first) != NULL;
}
