/*
 * icu_message.c
 *		The messages of translation tools: {name}, plural, selectordinal, select.
 *
 *	{count, plural, offset:1 =0 {nobody} one {you and # other} other {you and # others}}
 *
 * A message is checked and written by the same walk over its text, once without and
 * once with an output; of a choice the branches are walked first and the one that
 * is meant is then walked again, so that the time grows with the text times the depth.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "template/locale.h"

#define MOST_DEPTH 16
#define MOST_STYLE 160

/* The number that # stands for. */
typedef struct Counted
{
	const char *text;			/* less the offset */
	int			len;
} Counted;

typedef struct Walk
{
	const char *start;
	const char *at;
	const char *end;
	TeRender   *r;				/* NULL: only checking */
	const char *locale;
	const TeArgs *args;
	TeEscape	escape;
	int			depth;
	const char *reason;			/* of what is wrong with the message, or NULL */
	const char *place;
	TeValue		failure;		/* TE_ERROR: what a formatter says */
} Walk;

static bool walk_message(Walk *walk, TeBuffer *out, const Counted *counted, bool nested, bool plural);

/*
 * Notes what is wrong and where. Always false.
 */
static bool
wrong(Walk *walk, const char *place, const char *reason)
{
	if (walk->reason == NULL)
	{
		walk->reason = reason;
		walk->place = place;
	}
	return false;
}

/*
 * Moves over white space.
 */
static void
skip_space(Walk *walk)
{
	while (walk->at < walk->end && strchr(" \t\r\n", *walk->at) != NULL && *walk->at != '\0')
		walk->at++;
}

/*
 * Moves over a name, number or keyword. Its length.
 */
static int
skip_name(Walk *walk)
{
	const char *start = walk->at;

	while (walk->at < walk->end &&
		   (isalnum((unsigned char) *walk->at) || strchr("_-.", *walk->at) != NULL || ((unsigned char) *walk->at & 0x80)) &&
		   *walk->at != '\0')
		walk->at++;
	return walk->at - start;
}

/*
 * Whether a span of text is a word.
 */
static bool
is_word(const char *text, int len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

/*
 * An argument by its name, or by its number; NULL if it was not given.
 */
static const TeValue *
find_argument(const Walk *walk, const char *name, int len)
{
	int			i;

	for (i = 0; walk->args && i < walk->args->named_count; i++)
		if (walk->args->named[i].len == len && memcmp(walk->args->named[i].name, name, len) == 0)
			return &walk->args->named[i].value;
	if (walk->args && len == 1 && isdigit((unsigned char) name[0]) && name[0] - '0' < walk->args->count)
		return &walk->args->values[name[0] - '0'];
	return NULL;
}

/*
 * Takes up a value that a formatter made, or its failure.
 */
static bool
write_value(Walk *walk, TeBuffer *out, TeValue value)
{
	if (value.kind == TE_ERROR)
	{
		walk->failure = value;
		return false;
	}
	te_value_write(walk->r, out, value);
	return true;
}

/*
 * Writes the text of an argument, escaped unless it is safe already.
 */
static bool
write_argument(Walk *walk, TeBuffer *out, TeValue value)
{
	TeValue		text = te_value_text(walk->r, value);

	if (walk->escape != TE_ESCAPE_NONE && !value.safe)
		te_escape_write(walk->r, out, walk->escape, false, text.u.str, text.len);
	else
		te_buffer_append(walk->r, out, text.u.str, text.len);
	return true;
}

/*
 * Moves over a text up to the next brace, or #, that means something, and writes it
 * with its quotes resolved.
 */
static bool
walk_text(Walk *walk, TeBuffer *out, bool plural)
{
	while (walk->at < walk->end)
	{
		const char *start = walk->at;

		while (walk->at < walk->end && strchr("{}'#", *walk->at) == NULL)
			walk->at++;
		while (walk->at < walk->end && *walk->at == '\0')
			walk->at++;
		if (out)
			te_buffer_append(walk->r, out, start, walk->at - start);
		if (walk->at == walk->end || *walk->at == '{' || *walk->at == '}' || (*walk->at == '#' && plural))
			return true;
		if (*walk->at == '\'' && walk->at + 1 < walk->end &&
			(strchr("{}", walk->at[1]) != NULL || (plural && walk->at[1] == '#')) && walk->at[1] != '\0')
		{
			/* quoted up to the next single one, or to the end */
			for (walk->at++; walk->at < walk->end; walk->at++)
			{
				if (*walk->at == '\'')
				{
					if (walk->at + 1 == walk->end || walk->at[1] != '\'')
						break;
					walk->at++;
				}
				if (out)
					te_buffer_char(walk->r, out, *walk->at);
			}
			if (walk->at < walk->end)
				walk->at++;
			continue;
		}
		if (*walk->at == '\'' && walk->at + 1 < walk->end && walk->at[1] == '\'')
			walk->at++;
		if (out)
			te_buffer_char(walk->r, out, *walk->at);
		walk->at++;
	}
	return true;
}

/*
 * The number less an offset, in as many decimals.
 */
static TeValue
less_offset(Walk *walk, TeValue number, long offset)
{
	char	   *text = te_value_cstring(walk->r, number);
	char	   *result = te_arena_alloc(walk->r, 400);
	int			decimals = 0;

	if (offset == 0 || !te_icu_is_number(text, strlen(text), &decimals))
		return number;
	if (decimals == 0 && strlen(text) < 18 && strpbrk(text, ".eE") == NULL)
		snprintf(result, 400, INT64_FORMAT, (int64) strtoll(text, NULL, 10) - offset);
	else
		snprintf(result, 400, "%.*f", Min(decimals, 30), strtod(text, NULL) - offset);
	return TE_VALUE_STRING(result, (int) strlen(result));
}

/*
 * Writes what # stands for.
 */
static bool
write_counted(Walk *walk, TeBuffer *out, const Counted *counted)
{
	char		skeleton[TE_PLURAL_SKELETON];
	int			decimals;

	if (!te_icu_is_number(counted->text, counted->len, &decimals))
		return write_argument(walk, out, TE_VALUE_STRING(counted->text, counted->len));
	te_plural_skeleton(decimals, skeleton);
	return write_value(walk, out, te_icu_number(walk->r, walk->locale, skeleton, counted->text, counted->len));
}

/*
 * Reads "offset:n" where it stands.
 */
static bool
walk_offset(Walk *walk, long *offset)
{
	const char *start = walk->at;
	int			digits = 0;

	*offset = 0;
	if (walk->end - walk->at < 7 || memcmp(walk->at, "offset:", 7) != 0)
		return true;
	walk->at += 7;
	skip_space(walk);
	while (walk->at < walk->end && isdigit((unsigned char) *walk->at) && digits++ < 6)
		*offset = *offset * 10 + (*walk->at++ - '0');
	if (digits == 0 || digits > 6)
		return wrong(walk, start, "offset: needs a whole number");
	skip_space(walk);
	return true;
}

/*
 * How well a selector fits: 3 for the very number or word, 2 for the category, 1 for
 * other, 0 for none.
 */
static int
selector_fits(const char *selector, int len, const char *text, int textlen, const char *category)
{
	int			decimals;

	if (selector[0] == '=')
	{
		char		a[64];
		char		b[64];

		if (category == NULL || len > sizeof(a) || textlen >= sizeof(b) || !te_icu_is_number(text, textlen, &decimals))
			return 0;
		strlcpy(a, selector + 1, len);
		strlcpy(b, text, textlen + 1);
		return strtod(a, NULL) == strtod(b, NULL) ? 3 : 0;
	}
	if (category ? is_word(selector, len, category) : (textlen == len && memcmp(selector, text, len) == 0))
		return 2;
	return is_word(selector, len, "other") ? 1 : 0;
}

/*
 * Moves over a selector: a word, or =n in a plural.
 */
static bool
walk_selector(Walk *walk, bool plural, const char **selector, int *len)
{
	int			decimals;

	*selector = walk->at;
	if (plural && walk->at < walk->end && *walk->at == '=')
	{
		walk->at++;
		*len = skip_name(walk) + 1;
		if (!te_icu_is_number(*selector + 1, *len - 1, &decimals))
			return wrong(walk, *selector, "= needs a number");
		return true;
	}
	*len = skip_name(walk);
	if (*len == 0)
		return wrong(walk, walk->at, walk->at == walk->end ? "the message ends before its closing brace" : "a selector was expected");
	if (plural && !te_plural_is_category(*selector, *len))
		return wrong(walk, *selector, "a plural takes zero, one, two, few, many, other and =n");
	return true;
}

/*
 * plural, selectordinal and select, from after their comma to their closing brace.
 * text is the value that they choose by, category its category or NULL for select.
 */
static bool
walk_choice(Walk *walk, TeBuffer *out, const Counted *outer, bool plural, bool ordinal, bool in_plural, TeValue value)
{
	const char *start = walk->at;
	const char *chosen = NULL;
	const char *after;
	const char *category = NULL;
	TeValue		less;
	Counted		counted = {NULL, 0};
	int			best = 0;
	bool		has_other = false;
	bool		ok;
	long		offset = 0;

	skip_space(walk);
	if (plural && !walk_offset(walk, &offset))
		return false;
	if (out && plural)
	{
		less = te_value_text(walk->r, less_offset(walk, value, offset));
		counted.text = less.u.str;
		counted.len = less.len;
		category = te_plural_category(walk->locale, less.u.str, less.len, ordinal);
		if (category == NULL)
			category = "other";
	}
	while (walk->at < walk->end && *walk->at != '}')
	{
		const char *selector;
		int			len;
		int			fits;

		if (!walk_selector(walk, plural, &selector, &len))
			return false;
		has_other |= is_word(selector, len, "other");
		skip_space(walk);
		if (walk->at == walk->end || *walk->at != '{')
			return wrong(walk, walk->at, "a { was expected after the selector");
		walk->at++;
		fits = out ? selector_fits(selector, len, value.u.str, value.len, category) : 0;
		if (fits > best)
		{
			best = fits;
			chosen = walk->at;
		}
		if (!walk_message(walk, NULL, outer, true, plural || in_plural))
			return false;
		walk->at++;
		skip_space(walk);
	}
	if (walk->at == walk->end)
		return wrong(walk, walk->at, "the message ends before its closing brace");
	if (!has_other)
		return wrong(walk, start, "\"other\" is missing");
	walk->at++;
	if (chosen == NULL)
		return true;
	after = walk->at;
	walk->at = chosen;
	ok = walk_message(walk, out, plural ? &counted : outer, true, plural || in_plural);
	walk->at = after;
	return ok;
}

/*
 * number, date and time with their style, up to the closing brace.
 */
static bool
walk_simple(Walk *walk, TeBuffer *out, const char *type, int typelen, const TeValue *value)
{
	char		style[MOST_STYLE] = "";
	const char *start;
	int			len;
	int			decimals;

	if (walk->at < walk->end && *walk->at == ',')
	{
		walk->at++;
		skip_space(walk);
		start = walk->at;
		while (walk->at < walk->end && *walk->at != '}' && *walk->at != '{')
			walk->at++;
		len = walk->at - start;
		while (len > 0 && isspace((unsigned char) start[len - 1]))
			len--;
		if (len >= sizeof(style))
			return wrong(walk, start, "the style is too long");
		strlcpy(style, start, len + 1);
	}
	if (walk->at == walk->end || *walk->at != '}')
		return wrong(walk, walk->at, "the message ends before its closing brace");
	walk->at++;
	if (out == NULL || value == NULL)
		return true;
	if (is_word(type, typelen, "number"))
	{
		TeValue		text = te_value_text(walk->r, *value);
		const char *skeleton = strcmp(style, "integer") == 0 ? "precision-integer" :
			strcmp(style, "percent") == 0 ? "percent scale/100 .##" :
			strncmp(style, "::", 2) == 0 ? style + 2 : ".###";

		if (!te_icu_is_number(text.u.str, text.len, &decimals))
			return write_argument(walk, out, *value);
		return write_value(walk, out, te_icu_number(walk->r, walk->locale, skeleton, text.u.str, text.len));
	}
	else
	{
		TeIcuStyle	named = TE_ICU_MEDIUM;
		bool		date = is_word(type, typelen, "date");
		TeTime		time;

		if (!te_time_of_reader(walk->r, *value, &time))
			return write_argument(walk, out, *value);
		if (strncmp(style, "::", 2) == 0)
			return write_value(walk, out, te_icu_date_skeleton(walk->r, walk->locale, time.at, time.zone, style + 2));
		(void) te_icu_style(style, strlen(style), &named);
		return write_value(walk, out, te_icu_datetime(walk->r, walk->locale, time.at, time.zone,
													  date ? named : TE_ICU_NONE, date ? TE_ICU_NONE : named));
	}
}

/*
 * One argument, from after its opening brace to after its closing one.
 */
static bool
walk_argument(Walk *walk, TeBuffer *out, const Counted *counted, bool plural)
{
	const char *open = walk->at - 1;
	const char *name;
	const char *type;
	const TeValue *value;
	TeValue		chooser = TE_VALUE_STRING("", 0);
	int			namelen;
	int			typelen;

	skip_space(walk);
	name = walk->at;
	namelen = skip_name(walk);
	if (namelen == 0)
		return wrong(walk, walk->at, "the name of an argument was expected");
	skip_space(walk);
	value = out ? find_argument(walk, name, namelen) : NULL;
	if (walk->at < walk->end && *walk->at == '}')
	{
		walk->at++;
		if (out && value)
			return write_argument(walk, out, *value);
		/* what nobody filled in stays as it is */
		if (out)
			te_buffer_append(walk->r, out, open, walk->at - open);
		return true;
	}
	if (walk->at == walk->end || *walk->at != ',')
		return wrong(walk, walk->at, "a comma or } was expected after the argument's name");
	walk->at++;
	skip_space(walk);
	type = walk->at;
	typelen = skip_name(walk);
	skip_space(walk);
	if (is_word(type, typelen, "number") || is_word(type, typelen, "date") || is_word(type, typelen, "time"))
		return walk_simple(walk, out, type, typelen, value);
	if (!is_word(type, typelen, "plural") && !is_word(type, typelen, "selectordinal") && !is_word(type, typelen, "select"))
		return wrong(walk, type, "the type must be plural, selectordinal, select, number, date or time");
	if (walk->at == walk->end || *walk->at != ',')
		return wrong(walk, walk->at, "a comma was expected after the type");
	walk->at++;
	if (value)
		chooser = te_value_text(walk->r, *value);
	return walk_choice(walk, out, counted, type[0] == 'p' || typelen > 6, typelen > 6, plural, chooser);
}

/*
 * A message up to its end, or to the closing brace of the branch that it is.
 */
static bool
walk_message(Walk *walk, TeBuffer *out, const Counted *counted, bool nested, bool plural)
{
	const char *start = walk->at;

	if (++walk->depth > MOST_DEPTH)
		return wrong(walk, start, "the message is nested too deeply");
	while (walk->at < walk->end)
	{
		if (!walk_text(walk, out, plural))
			return false;
		if (walk->at == walk->end)
			break;
		if (*walk->at == '}')
		{
			if (!nested)
				return wrong(walk, walk->at, "a } closes nothing");
			walk->depth--;
			return true;
		}
		walk->at++;
		if (walk->at[-1] == '#')
		{
			if (out && counted && !write_counted(walk, out, counted))
				return false;
		}
		else if (!walk_argument(walk, out, counted, plural))
			return false;
	}
	if (nested)
		return wrong(walk, walk->end, "the message ends before its closing brace");
	walk->depth--;
	return true;
}

/*
 * Whether a message parses; if not, error says why. Never throws.
 */
bool
te_message_check(const char *text, int len, TeMessageError *error)
{
	Walk		walk = {.start = text, .at = text, .end = text + len};

	if (walk_message(&walk, NULL, NULL, false, false))
		return true;
	error->position = pg_mbstrlen_with_len(text, walk.place - text) + 1;
	error->reason = walk.reason;
	return false;
}

/*
 * Whether a text is meant as a message: it has braces, and no Liquid.
 */
bool
te_message_is(const char *text, int len)
{
	const char *at = text;
	const char *end = text + len;
	bool		found = false;

	while ((at = memchr(at, '{', end - at)) != NULL)
	{
		if (end - at > 1 && (at[1] == '{' || at[1] == '%'))
			return false;
		found = true;
		at++;
	}
	return found;
}

/*
 * A message filled in. A TE_ERROR value when it does not parse; throws at limits.
 */
TeValue
te_message_format(TeRender *r, const char *locale, const char *text, int len, const TeArgs *args, TeEscape escape)
{
	Walk		walk = {.start = text, .at = text, .end = text + len, .r = r, .locale = locale, .args = args, .escape = escape};
	TeBuffer	out;

	te_render_charge(r, len / 16 + 1);
	te_buffer_init(r, &out, len + 64);
	if (walk_message(&walk, &out, NULL, false, false))
		return te_buffer_value(&out);
	if (walk.reason == NULL)
		return walk.failure;
	return te_filter_error(r, "message, character %d: %s", pg_mbstrlen_with_len(text, walk.place - text) + 1, walk.reason);
}
