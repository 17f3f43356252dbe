/*
 * icu.c
 *		What is kept of ICU: a cache of formatters; and text between encodings.
 *
 * Opening a formatter costs tens of times what using it does, so each backend keeps
 * some. ICU allocates with malloc: every object belongs to the cache from the moment
 * it is open, so that no error can leak one, and the cache has a fixed size.
 */
#include "postgres.h"

#include <unicode/uloc.h>
#include <unicode/uversion.h>

#include "common/hashfn.h"
#include "mb/pg_wchar.h"

#include "template/icu_internal.h"

/* ---- the cache ---- */

#define CACHE_SETS 32
#define CACHE_WAYS 4

typedef struct CacheEntry
{
	uint32		hash;
	char	   *key;			/* malloc'ed, like the object; NULL: free */
	void	   *object;
	TeIcuClose	close;
	uint64		used;
} CacheEntry;

static CacheEntry cache[CACHE_SETS][CACHE_WAYS];
static uint64 cache_clock = 0;

static const struct
{
	TeIcuOpen	open;
	TeIcuClose	close;
}			kinds[] = {
	[TE_ICU_NUMBER] = {te_icu_open_number, te_icu_close_number},
	[TE_ICU_RULE_BASED] = {te_icu_open_rule_based, te_icu_close_rule_based},
	[TE_ICU_PLURAL] = {te_icu_open_plural, te_icu_close_plural},
	[TE_ICU_DATE] = {te_icu_open_date, te_icu_close_date},
	[TE_ICU_PATTERNS] = {te_icu_open_patterns, te_icu_close_patterns},
	[TE_ICU_CALENDAR] = {te_icu_open_calendar, te_icu_close_calendar},
	[TE_ICU_RELATIVE] = {te_icu_open_relative, te_icu_close_relative},
	[TE_ICU_LIST] = {te_icu_open_list, te_icu_close_list},
	[TE_ICU_BREAK] = {te_icu_open_break, te_icu_close_break},
};

/*
 * Whether ICU has texts in a language. For one that it does not have it would take
 * those of the server's environment.
 */
static bool
is_available(const char *name)
{
	int			len = strcspn(name, "_-@");
	int			i;

	for (i = uloc_countAvailable() - 1; i >= 0; i--)
	{
		const char *available = uloc_getAvailable(i);

		if (strncmp(available, name, len) == 0 && (available[len] == '\0' || available[len] == '_'))
			return true;
	}
	return false;
}

/*
 * ICU's name of a normalised locale.
 */
static void
icu_locale_name(const char *locale, TeIcuKind kind, char name[ULOC_FULLNAME_CAPACITY])
{
	UErrorCode	status = U_ZERO_ERROR;
	int32_t		parsed = 0;

	(void) uloc_forLanguageTag(locale, name, ULOC_FULLNAME_CAPACITY, &parsed, &status);
	if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING || parsed == 0)
		strlcpy(name, "en", ULOC_FULLNAME_CAPACITY);
	/* plural rules are there for more languages than texts are; calendars are by region */
	else if (kind != TE_ICU_PLURAL && kind != TE_ICU_CALENDAR && !is_available(name))
		strlcpy(name, "en", ULOC_FULLNAME_CAPACITY);
}

/*
 * Puts an opened object into a set, in the place of the one that was unused longest.
 * On lack of memory it is closed and NULL returned.
 */
static void *
keep(uint32 hash, const char *key, void *object, TeIcuClose closer)
{
	CacheEntry *set = cache[hash % CACHE_SETS];
	CacheEntry *place = &set[0];
	char	   *copy = strdup(key);
	int			i;

	if (copy == NULL)
	{
		closer(object);
		return NULL;
	}
	for (i = 1; i < CACHE_WAYS && place->key; i++)
		if (set[i].key == NULL || set[i].used < place->used)
			place = &set[i];
	if (place->key)
	{
		place->close(place->object);
		free(place->key);
	}
	place->hash = hash;
	place->key = copy;
	place->object = object;
	place->close = closer;
	place->used = ++cache_clock;
	return object;
}

/*
 * See icu_internal.h.
 */
void *
te_icu_cached(TeIcuKind kind, const char *locale, const char *detail, const char *zone, UErrorCode *status)
{
	char		key[TE_LOCALE_SIZE + TE_ICU_DETAIL + TZ_STRLEN_MAX + 8];
	char		name[ULOC_FULLNAME_CAPACITY];
	CacheEntry *set;
	void	   *object;
	uint32		hash;
	int			len;
	int			i;

	len = snprintf(key, sizeof(key), "%c%s\n%s\n%s", 'a' + (int) kind, locale, detail, zone);
	if (len >= sizeof(key))
	{
		*status = U_ILLEGAL_ARGUMENT_ERROR;
		return NULL;
	}
	hash = hash_bytes((unsigned char *) key, len);
	set = cache[hash % CACHE_SETS];
	for (i = 0; i < CACHE_WAYS; i++)
		if (set[i].key && set[i].hash == hash && strcmp(set[i].key, key) == 0)
		{
			set[i].used = ++cache_clock;
			return set[i].object;
		}

	icu_locale_name(locale, kind, name);
	object = kinds[kind].open(name, detail, zone, status);
	if (object && U_FAILURE(*status))
	{
		kinds[kind].close(object);
		object = NULL;
	}
	if (object)
		object = keep(hash, key, object, kinds[kind].close);
	if (object == NULL && U_SUCCESS(*status))
		*status = U_MEMORY_ALLOCATION_ERROR;
	return object;
}

/* ---- memory, failures, encodings ---- */

/*
 * Memory of the render, or of the current context without one.
 */
void *
te_icu_alloc(TeRender *r, Size size)
{
	return r ? te_arena_alloc(r, size) : palloc(size);
}

/*
 * The failure of a call, or of an argument if status is no error: a TE_ERROR value,
 * or thrown without a render.
 */
TeValue
te_icu_failure(TeRender *r, const char *what, const char *detail, UErrorCode status)
{
	const char *quote = detail[0] ? "\"" : "";
	const char *space = detail[0] ? " " : "";

	if (status == U_MEMORY_ALLOCATION_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	if (r && U_FAILURE(status))
		return te_filter_error(r, "%s%s%s%s%s (%s)", what, space, quote, detail, quote, u_errorName(status));
	if (r)
		return te_filter_error(r, "%s%s%s%s%s", what, space, quote, detail, quote);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s%s%s%s%s", what, space, quote, detail, quote),
			 U_FAILURE(status) ? errdetail("ICU says %s.", u_errorName(status)) : 0));
}

/*
 * UTF-16 of a text in the server's encoding, with a zero behind it; what is not
 * valid becomes U+FFFD.
 */
UChar *
te_icu_from_server(TeRender *r, const char *text, int len, int *ulen)
{
	UErrorCode	status = U_ZERO_ERROR;
	UChar	   *out;
	int32_t		n = 0;

	if (GetDatabaseEncoding() != PG_UTF8)
	{
		char	   *converted = pg_server_to_any(text, len, PG_UTF8);

		if (converted != text)
			len = strlen(converted);
		text = converted;
	}
	/* no character takes more units than it has bytes */
	out = te_icu_alloc(r, ((Size) len + 1) * sizeof(UChar));
	u_strFromUTF8WithSub(out, len + 1, &n, text, len, 0xFFFD, NULL, &status);
	if (U_FAILURE(status))
		n = 0;
	out[n] = 0;
	*ulen = n;
	return out;
}

/*
 * What other encodings do not have, near enough: narrow spaces, curly quotes, minus
 * signs, and marks of direction, which are left out.
 */
static int
simplify(UChar *out, const UChar *text, int ulen)
{
	int			n = 0;
	int			i;

	for (i = 0; i < ulen; i++)
	{
		UChar		c = text[i];

		if (c == 0x202F || c == 0x2009)
			c = 0x00A0;
		else if (c == 0x2019)
			c = '\'';
		else if (c == 0x2212)
			c = '-';
		if (c != 0x061C && !(c >= 0x200E && c <= 0x200F) && !(c >= 0x2066 && c <= 0x2069))
			out[n++] = c;
	}
	return n;
}

/*
 * A text of ICU's in the server's encoding. Throws when that lacks a character.
 */
TeValue
te_icu_to_server(TeRender *r, const UChar *text, int ulen)
{
	UErrorCode	status = U_ZERO_ERROR;
	int32_t		len = 0;
	char	   *out;

	if (GetDatabaseEncoding() != PG_UTF8)
	{
		UChar	   *simple = te_icu_alloc(r, ((Size) ulen + 1) * sizeof(UChar));

		ulen = simplify(simple, text, ulen);
		text = simple;
	}
	out = te_icu_alloc(r, (Size) ulen * 3 + 1);
	u_strToUTF8WithSub(out, ulen * 3 + 1, &len, text, ulen, 0xFFFD, NULL, &status);
	if (U_FAILURE(status))
		return te_icu_failure(r, "text cannot be converted", "", status);
	out[len] = '\0';
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		char	   *converted = pg_any_to_server(out, len, PG_UTF8);

		if (converted != out)
			return TE_VALUE_STRING(converted, (int) strlen(converted));
	}
	return TE_VALUE_STRING(out, len);
}

/*
 * ASCII as UTF-16, with a zero behind it. The length.
 */
int
te_icu_from_ascii(UChar *out, int size, const char *text)
{
	int			n;

	for (n = 0; text[n]; n++)
	{
		if (n >= size - 1)
			return -1;
		out[n] = (unsigned char) text[n];
	}
	out[n] = 0;
	return n;
}

/*
 * The version of the library that is loaded.
 */
const char *
te_icu_version(void)
{
	static char version[U_MAX_VERSION_STRING_LENGTH];
	UVersionInfo numbers;

	u_getVersion(numbers);
	u_versionToString(numbers, version);
	return version;
}
