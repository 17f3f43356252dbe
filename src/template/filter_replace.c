/*
 * filter_replace.c
 *		Filters that look for a text in another: replace, remove, split and their like.
 */
#include "postgres.h"

#include "template/liquid.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 64

/* Needles up to this length are looked for plainly from the end. */
#define SHORT_NEEDLE 16

/* A place where the needle is. */
typedef struct Match
{
	const char *text;
	int			len;
	int			from;
	int			to;
} Match;

/*
 * An argument as text; empty if it was not given.
 */
static TeValue
text_argument(TeRender *r, const TeArgs *args, int number)
{
	return number < args->count ? te_value_string(r, args->values[number]) : TE_VALUE_STRING("", 0);
}

/*
 * Appends what stands for a match: the replacement, in which \0 and \& mean the match,
 * \` and \' what is before and after it, \1 to \9 nothing, and \\ a backslash. False
 * when it names a group.
 */
static bool
write_replacement(TeRender *r, TeBuffer *out, TeValue replacement, const Match *match)
{
	const char *at = replacement.u.str;
	const char *end = at + replacement.len;

	for (;;)
	{
		const char *slash = memchr(at, '\\', end - at);

		if (slash == NULL || slash + 1 == end)
			break;
		te_buffer_append(r, out, at, (int) (slash - at));
		at = slash + 2;
		switch (slash[1])
		{
			case '0':
			case '&':
				te_buffer_append(r, out, match->text + match->from, match->to - match->from);
				break;
			case '`':
				te_buffer_append(r, out, match->text, match->from);
				break;
			case '\'':
				te_buffer_append(r, out, match->text + match->to, match->len - match->to);
				break;
			case '\\':
				te_buffer_char(r, out, '\\');
				break;
			case 'k':
				if (at < end && *at == '<')
					return false;
				te_buffer_append(r, out, slash, 2);
				break;
			default:
				if (slash[1] < '1' || slash[1] > '9')
					te_buffer_append(r, out, slash, 2);
		}
	}
	te_buffer_append(r, out, at, (int) (end - at));
	return true;
}

/*
 * A text with the first occurrence of a needle replaced, or all of them. An empty needle
 * is found before each character and at the end.
 */
static TeValue
replace(TeRender *r, TeValue text, TeValue needle, TeValue replacement, bool all)
{
	Match		match = {.text = text.u.str,.len = text.len};
	TeBuffer	out;
	int			copied = 0;
	int			at = 0;

	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	te_buffer_init(r, &out, text.len + replacement.len);
	while (at <= text.len)
	{
		int			found = te_text_find(text.u.str + at, text.len - at, needle.u.str, needle.len);

		if (found < 0)
			break;
		match.from = at + found;
		match.to = match.from + needle.len;
		te_buffer_append(r, &out, text.u.str + copied, match.from - copied);
		if (!write_replacement(r, &out, replacement, &match))
			return te_filter_error(r, "undefined group name reference");
		copied = at = match.to;
		if (needle.len == 0)
		{
			if (at == text.len)
				break;
			at += te_text_step(text.u.str + at, text.u.str + text.len);
		}
		te_render_charge(r, 1);
		if (!all)
			break;
	}
	te_buffer_append(r, &out, text.u.str + copied, text.len - copied);
	return te_buffer_value(&out);
}

/*
 * Where a text has the last occurrence of a needle, or -1; at its end if the needle is
 * empty. Long needles are looked for backwards by Knuth, Morris and Pratt's algorithm,
 * so that the time is in proportion to the lengths.
 */
static int
find_last(TeRender *r, TeValue text, TeValue needle)
{
	const char *t = text.u.str;
	const char *n = needle.u.str + needle.len - 1;	/* read backwards */
	int		   *borders;
	int			matched;
	int			i;

	if (needle.len > text.len)
		return -1;
	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	if (needle.len <= SHORT_NEEDLE)
	{
		for (i = text.len - needle.len; i >= 0; i--)
			if (memcmp(t + i, needle.u.str, needle.len) == 0)
				return i;
		return -1;
	}
	borders = te_arena_alloc(r, sizeof(int) * (Size) needle.len);
	borders[0] = 0;
	for (i = 1, matched = 0; i < needle.len; i++)
	{
		while (matched > 0 && n[-i] != n[-matched])
			matched = borders[matched - 1];
		if (n[-i] == n[-matched])
			matched++;
		borders[i] = matched;
	}
	for (i = text.len - 1, matched = 0; i >= 0; i--)
	{
		while (matched > 0 && t[i] != n[-matched])
			matched = borders[matched - 1];
		if (t[i] == n[-matched] && ++matched == needle.len)
			return i;
	}
	return -1;
}

/*
 * A text with the last occurrence of a needle replaced; the replacement is plain.
 */
static TeValue
replace_last(TeRender *r, TeValue text, TeValue needle, TeValue replacement)
{
	int			at = find_last(r, text, needle);
	TeBuffer	out;

	if (at < 0)
		return text;
	te_buffer_init(r, &out, text.len - needle.len + replacement.len);
	te_buffer_append(r, &out, text.u.str, at);
	te_buffer_append(r, &out, replacement.u.str, replacement.len);
	te_buffer_append(r, &out, text.u.str + at + needle.len, text.len - at - needle.len);
	return te_buffer_value(&out);
}

/* replace: needle, replacement */
static TeValue
filter_replace(TeRender *r, TeValue input, const TeArgs *args)
{
	return replace(r, te_value_string(r, input), text_argument(r, args, 0), text_argument(r, args, 1), true);
}

/* replace_first: needle, replacement */
static TeValue
filter_replace_first(TeRender *r, TeValue input, const TeArgs *args)
{
	return replace(r, te_value_string(r, input), text_argument(r, args, 0), text_argument(r, args, 1), false);
}

/* replace_last: needle, replacement */
static TeValue
filter_replace_last(TeRender *r, TeValue input, const TeArgs *args)
{
	return replace_last(r, te_value_string(r, input), text_argument(r, args, 0), text_argument(r, args, 1));
}

/* remove: needle */
static TeValue
filter_remove(TeRender *r, TeValue input, const TeArgs *args)
{
	return replace(r, te_value_string(r, input), text_argument(r, args, 0), TE_VALUE_STRING("", 0), true);
}

/* remove_first: needle */
static TeValue
filter_remove_first(TeRender *r, TeValue input, const TeArgs *args)
{
	return replace(r, te_value_string(r, input), text_argument(r, args, 0), TE_VALUE_STRING("", 0), false);
}

/* remove_last: needle */
static TeValue
filter_remove_last(TeRender *r, TeValue input, const TeArgs *args)
{
	return replace_last(r, te_value_string(r, input), text_argument(r, args, 0), TE_VALUE_STRING("", 0));
}

/* ---- split ---- */

/* A list of parts that grows. */
typedef struct Parts
{
	TeValue    *items;
	int			count;
	int			size;
} Parts;

/*
 * Adds a part.
 */
static void
add_part(TeRender *r, Parts *parts, const char *text, int len)
{
	if (parts->count == parts->size)
	{
		TeValue    *larger;

		parts->size = Max(parts->size * 2, 16);
		te_render_charge(r, parts->size / 16);
		larger = te_arena_alloc(r, sizeof(TeValue) * (Size) parts->size);
		if (parts->count > 0)
			memcpy(larger, parts->items, sizeof(TeValue) * (Size) parts->count);
		parts->items = larger;
	}
	parts->items[parts->count++] = TE_VALUE_STRING(text, len);
}

/*
 * The words of a text, which any white space parts.
 */
static void
split_words(TeRender *r, Parts *parts, const char *at, const char *end)
{
	for (;;)
	{
		const char *start;

		while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r')))
			at++;
		if (at == end)
			return;
		start = at;
		while (at < end && *at != ' ' && (*at < '\t' || *at > '\r'))
			at++;
		add_part(r, parts, start, (int) (at - start));
	}
}

/* split: between; a space means any white space, nothing means each character */
static TeValue
filter_split(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_string(r, input);
	TeValue		between = te_value_string(r, args->values[0]);
	Parts		parts = {NULL, 0, 0};
	const char *at = text.u.str;
	const char *end = at + text.len;
	int			found;

	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	if (between.len == 1 && between.u.str[0] == ' ')
		split_words(r, &parts, at, end);
	else if (between.len == 0)
	{
		for (; at < end; at += te_text_step(at, end))
			add_part(r, &parts, at, te_text_step(at, end));
	}
	else
	{
		while ((found = te_text_find(at, (int) (end - at), between.u.str, between.len)) >= 0)
		{
			add_part(r, &parts, at, found);
			at += found + between.len;
		}
		add_part(r, &parts, at, (int) (end - at));
		while (parts.count > 0 && parts.items[parts.count - 1].len == 0)
			parts.count--;
	}
	return te_value_list(r, parts.items, parts.count);
}

const TeFilter te_filters_replace[] = {
	{"remove", filter_remove, 1, 1},
	{"remove_first", filter_remove_first, 1, 1},
	{"remove_last", filter_remove_last, 1, 1},
	{"replace", filter_replace, 1, 2},
	{"replace_first", filter_replace_first, 1, 2},
	{"replace_last", filter_replace_last, 2, 2},
	{"split", filter_split, 1, 1},
	{NULL}
};
