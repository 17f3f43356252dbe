/*
 * translate.c
 *		The filter t and the tag t: texts by key.
 *
 * The caller of a render hands in the texts that fit the reader, by key:
 *
 *	"title": "Hello {{ name }}"                        a template, of the given arguments only
 *	"title": "Hello {name}"                            or a message of ICU's
 *	"items": {"one": "# item", "other": "# items"}     by the category of the argument count
 *	"items": {..., "locale": "en"}                     in another language than the reader's
 *
 * "=0" and "zero" are for 0 itself. "items.one" may stand as a key of its own.
 */
#include "postgres.h"

#include "template/eval.h"
#include "template/filter_locale.h"

#define MOST_KEY 512

/* A text that was found. */
typedef struct Found
{
	TeValue		text;
	const char *locale;			/* of its language */
	bool		form;			/* one of several, chosen by count */
} Found;

/*
 * A member of an object, as text. False: there is none, or it is no text.
 */
static bool
get_text(JsonbContainer *object, const char *key, int len, TeValue *text)
{
	JsonbValue	value;

	if (!JsonContainerIsObject(object) || getKeyJsonValueFromContainer(object, key, len, &value) == NULL ||
		value.type != jbvString)
		return false;
	*text = TE_VALUE_STRING(value.val.string.val, value.val.string.len);
	return true;
}

/*
 * What an object holds for a key; dots lead into objects inside. False: nothing.
 */
static bool
find_key(JsonbContainer *object, const char *key, int len, JsonbValue *value)
{
	const char *dot;

	for (;;)
	{
		if (!JsonContainerIsObject(object))
			return false;
		if (getKeyJsonValueFromContainer(object, key, len, value) != NULL)
			return true;
		dot = memchr(key, '.', len);
		if (dot == NULL || getKeyJsonValueFromContainer(object, key, dot - key, value) == NULL ||
			value->type != jbvBinary)
			return false;
		object = value->val.binary.data;
		len -= dot + 1 - key;
		key = dot + 1;
	}
}

/*
 * The forms to try for a count, best first; their number.
 */
static int
forms_of(TeRender *r, const TeArgs *args, const char *locale, const char *forms[4])
{
	const TeValue *count = te_args_named(args, "count");
	const char *number;
	int			n = 0;
	int			len;
	int			decimals;

	number = count ? te_filter_number(r, *count, &len, &decimals) : NULL;
	if (number)
	{
		char	   *exact = te_arena_alloc(r, len + 2);

		sprintf(exact, "=%.*s", len, number);
		forms[n++] = exact;
		if (strtod(number, NULL) == 0)
			forms[n++] = "zero";
		forms[n++] = te_plural_category(locale, number, len, false);
	}
	forms[n++] = "other";
	return n;
}

/*
 * The text of an object by its forms, or the one that it names as text.
 */
static bool
choose_form(TeRender *r, JsonbContainer *object, const TeArgs *args, Found *found)
{
	const char *forms[4];
	TeValue		locale;
	TeLocaleTag tag;
	int			count;
	int			i;

	if (get_text(object, "locale", 6, &locale) && te_locale_normalize(locale.u.str, locale.len, tag))
		found->locale = te_arena_copy(r, tag, strlen(tag));
	if (get_text(object, "text", 4, &found->text))
		return true;
	count = forms_of(r, args, found->locale, forms);
	for (i = 0; i < count; i++)
		if (get_text(object, forms[i], strlen(forms[i]), &found->text))
		{
			found->form = true;
			return true;
		}
	return false;
}

/*
 * The text for a key and the arguments.
 */
static bool
find_text(TeRender *r, const char *key, int keylen, const TeArgs *args, Found *found)
{
	JsonbContainer *root;
	JsonbValue	value;
	const char *forms[4];
	int			count;
	int			i;

	found->locale = te_locale_of(r);
	found->form = false;
	if (r->input->translations == NULL || keylen == 0 || keylen > MOST_KEY)
		return false;
	root = &r->input->translations->root;
	if (find_key(root, key, keylen, &value))
	{
		if (value.type == jbvString)
		{
			found->text = TE_VALUE_STRING(value.val.string.val, value.val.string.len);
			return true;
		}
		if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
			return choose_form(r, value.val.binary.data, args, found);
		return false;
	}
	if (te_args_named(args, "count") == NULL)
		return false;
	count = forms_of(r, args, found->locale, forms);
	for (i = 0; i < count; i++)
	{
		char	   *whole = te_arena_alloc(r, keylen + strlen(forms[i]) + 2);

		sprintf(whole, "%.*s.%s", keylen, key, forms[i]);
		if (get_text(root, whole, strlen(whole), &found->text))
		{
			found->form = true;
			return true;
		}
	}
	return false;
}

/*
 * Whether a text has Liquid in it.
 */
static bool
has_liquid(TeValue text)
{
	const char *at = text.u.str;
	const char *end = at + text.len;

	while ((at = memchr(at, '{', end - at)) != NULL)
	{
		if (end - at > 1 && (at[1] == '{' || at[1] == '%'))
			return true;
		at++;
	}
	return false;
}

/*
 * A form with # for the count, as in "# items": the one branch of a message.
 */
static TeValue
fill_form(TeRender *r, const Found *found, const TeArgs *args, TeEscape escape)
{
	TeBuffer	message;

	te_buffer_init(r, &message, found->text.len + 40);
	te_buffer_append(r, &message, "{count,plural,other{", 20);
	te_buffer_append(r, &message, found->text.u.str, found->text.len);
	te_buffer_append(r, &message, "}}", 2);
	return te_message_format(r, found->locale, message.data, message.len, args, escape);
}

/*
 * Fills a text in. As markup, values are escaped and the text is not, and the result
 * is safe; else nothing is escaped yet.
 */
static TeValue
fill_in(TeRender *r, const Found *found, const TeArgs *args, bool markup)
{
	TeEscape	escape = markup ? r->eval->escape : TE_ESCAPE_NONE;
	TeValue		result;

	if (has_liquid(found->text))
	{
		TeEscape	outer = r->eval->escape;

		r->eval->escape = escape;
		r->translating = true;
		result = te_render_nested(r, found->text.u.str, found->text.len, args);
		r->translating = false;
		r->eval->escape = outer;
	}
	else if (found->form && te_args_named(args, "count") &&
			 (memchr(found->text.u.str, '#', found->text.len) || te_message_is(found->text.u.str, found->text.len)))
		result = fill_form(r, found, args, escape);
	else if (te_message_is(found->text.u.str, found->text.len))
		result = te_message_format(r, found->locale, found->text.u.str, found->text.len, args, escape);
	else
		result = found->text;
	result.safe = markup && result.kind == TE_STRING;
	return result;
}

/*
 * The text for a key, filled in, or nil.
 */
static TeValue
look_up(TeRender *r, const char *key, int keylen, const TeArgs *args, bool markup)
{
	Found		found;

	if (r->translating)
		return te_filter_error(r, "a translation cannot use others");
	if (find_text(r, key, keylen, args, &found))
		return fill_in(r, &found, args, markup);
	if (r->input->notice)
		r->input->notice(r->input->notice_arg, TE_NOTICE_TRANSLATION, key, keylen);
	return TE_VALUE_NIL;
}

/*
 * For the tag, whose text stands where markup stands.
 */
TeValue
te_translate(TeRender *r, const char *key, int keylen, const TeArgs *args, TeValue fallback)
{
	TeValue		result = look_up(r, key, keylen, args, r->eval->escape == TE_ESCAPE_HTML);

	return result.kind == TE_NIL ? fallback : result;
}

/*
 * {{ 'key' | t: count: n, name: x, default: 'text' }}. What comes out is escaped as
 * any value is; of a key that ends with _html only the arguments are.
 */
TeValue
te_filter_t(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		key = te_value_text(r, input);
	const TeValue *fallback = te_args_named(args, "default");
	bool		markup = r->eval->escape == TE_ESCAPE_HTML && key.len > 5 && memcmp(key.u.str + key.len - 5, "_html", 5) == 0;
	TeValue		result = look_up(r, key.u.str, key.len, args, markup);
	Found		found;

	if (result.kind != TE_NIL)
		return result;
	if (fallback == NULL && r->input->strict_variables)
		return te_filter_error(r, "no translation for \"%.*s\"", Min(key.len, 100), key.u.str);
	if (fallback == NULL)
		return TE_VALUE_NIL;
	if (fallback->kind != TE_STRING)
		return *fallback;
	found.text = *fallback;
	found.locale = te_locale_of(r);
	found.form = false;
	return fill_in(r, &found, args, markup);
}
