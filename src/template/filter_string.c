/*
 * filter_string.c
 *		Filters of texts: case, white space, cutting, joining, and default.
 */
#include "postgres.h"

#include <unicode/uchar.h>

#include "template/icu_internal.h"
#include "template/liquid.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 64

/*
 * True for white space as Ruby strips it.
 */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * A text, or part of it, that may be written as it is if the input might.
 */
static inline TeValue
text_like(TeValue input, TeValue text)
{
	text.safe = input.safe && input.kind == TE_STRING;
	return text;
}

/* ---- joining ---- */

/*
 * Two texts, one after the other. If one is escaped already the other is escaped too, so
 * that automatic escaping may leave both alone.
 */
static TeValue
join_texts(TeRender *r, TeValue a, TeValue b)
{
	bool		safe = a.safe || b.safe;
	TeBuffer	out;
	TeValue		result;

	a = te_value_string(r, a);
	b = te_value_string(r, b);
	te_render_charge(r, (a.len + b.len) / (BYTES_A_STEP * 16));
	te_buffer_init(r, &out, a.len + b.len);
	te_escape_write(r, &out, safe && !a.safe ? r->input->escape : TE_ESCAPE_NONE, true, a.u.str, a.len);
	te_escape_write(r, &out, safe && !b.safe ? r->input->escape : TE_ESCAPE_NONE, a.len == 0, b.u.str, b.len);
	result = te_buffer_value(&out);
	result.safe = safe;
	return result;
}

/* append: text */
static TeValue
filter_append(TeRender *r, TeValue input, const TeArgs *args)
{
	return join_texts(r, input, args->values[0]);
}

/* prepend: text */
static TeValue
filter_prepend(TeRender *r, TeValue input, const TeArgs *args)
{
	return join_texts(r, args->values[0], input);
}

/* ---- case ---- */

typedef enum Case
{
	CASE_LOWER,
	CASE_UPPER,
	CASE_CAPITAL				/* the first character in upper case, the others in lower */
} Case;

/*
 * Appends one character in another case: up to three characters.
 */
static int
convert_character(UChar32 c, Case to, UChar *out)
{
	UErrorCode	status = U_ZERO_ERROR;
	UChar		from[2];
	int			fromlen = 0;
	int			len;

	U16_APPEND_UNSAFE(from, fromlen, c);
	if (to == CASE_LOWER)
		len = u_strToLower(out, 8, from, fromlen, "", &status);
	else
		len = u_strToUpper(out, 8, from, fromlen, "", &status);
	if (U_FAILURE(status) || len > 8)
		len = 0;
	if (to != CASE_CAPITAL || len == 0)
		return len;
	if (len == fromlen && u_totitle(c) != u_toupper(c))
	{
		len = 0;
		U16_APPEND_UNSAFE(out, len, u_totitle(c));
	}
	else if (len > fromlen)
	{
		/* a letter that becomes several, as in "Ss" */
		int			i;

		for (i = 1; i < len; i++)
			if (!U_IS_SURROGATE(out[i]))
				out[i] = (UChar) u_tolower(out[i]);
	}
	return len;
}

/*
 * A text beyond ASCII in another case, character by character.
 */
static TeValue
convert_wide(TeRender *r, TeValue text, Case to)
{
	int			len;
	UChar	   *from = te_icu_from_server(r, text.u.str, text.len, &len);
	UChar	   *result = te_arena_alloc(r, sizeof(UChar) * ((Size) len * 3 + 8));
	int			used = 0;
	int			i = 0;

	while (i < len)
	{
		Case		this = to == CASE_CAPITAL && i > 0 ? CASE_LOWER : to;
		UChar32		c;

		if (i % 4096 == 0)
			te_render_charge(r, 64);
		U16_NEXT(from, i, len, c);
		if (c < 0x80)
			result[used++] = this == CASE_LOWER ? pg_ascii_tolower((unsigned char) c) : pg_ascii_toupper((unsigned char) c);
		else
			used += convert_character(c, this, result + used);
	}
	return te_icu_to_server(r, result, used);
}

/*
 * A text in another case.
 */
static TeValue
convert_case(TeRender *r, TeValue input, Case to)
{
	TeValue		text = te_value_string(r, input);
	char	   *result;
	int			i;

	te_render_charge(r, text.len / BYTES_A_STEP);
	result = te_arena_alloc(r, text.len);
	for (i = 0; i < text.len; i++)
	{
		char		c = text.u.str[i];

		if (IS_HIGHBIT_SET(c))
			return convert_wide(r, text, to);
		result[i] = to == CASE_LOWER || (to == CASE_CAPITAL && i > 0) ? pg_ascii_tolower((unsigned char) c) :
			pg_ascii_toupper((unsigned char) c);
	}
	return TE_VALUE_STRING(result, text.len);
}

/* downcase */
static TeValue
filter_downcase(TeRender *r, TeValue input, const TeArgs *args)
{
	return convert_case(r, input, CASE_LOWER);
}

/* upcase */
static TeValue
filter_upcase(TeRender *r, TeValue input, const TeArgs *args)
{
	return convert_case(r, input, CASE_UPPER);
}

/* capitalize */
static TeValue
filter_capitalize(TeRender *r, TeValue input, const TeArgs *args)
{
	return convert_case(r, input, CASE_CAPITAL);
}

/* ---- white space ---- */

/*
 * A text without white space at its ends.
 */
static TeValue
strip_text(TeRender *r, TeValue input, bool left, bool right)
{
	TeValue		text = te_value_string(r, input);

	while (left && text.len > 0 && is_space(*text.u.str))
	{
		text.u.str++;
		text.len--;
	}
	while (right && text.len > 0 && is_space(text.u.str[text.len - 1]))
		text.len--;
	return text_like(input, text);
}

/* strip */
static TeValue
filter_strip(TeRender *r, TeValue input, const TeArgs *args)
{
	return strip_text(r, input, true, true);
}

/* lstrip */
static TeValue
filter_lstrip(TeRender *r, TeValue input, const TeArgs *args)
{
	return strip_text(r, input, true, false);
}

/* rstrip */
static TeValue
filter_rstrip(TeRender *r, TeValue input, const TeArgs *args)
{
	return strip_text(r, input, false, true);
}

/* squish: one space where there was any white space, none at the ends */
static TeValue
filter_squish(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = strip_text(r, input, true, true);
	char	   *result;
	int			used = 0;
	int			i;

	if (input.kind == TE_NIL)
		return input;
	te_render_charge(r, text.len / BYTES_A_STEP);
	result = te_arena_alloc(r, text.len);
	for (i = 0; i < text.len; i++)
	{
		if (!is_space(text.u.str[i]))
			result[used++] = text.u.str[i];
		else if (!is_space(text.u.str[i - 1]))
			result[used++] = ' ';
	}
	return text_like(input, TE_VALUE_STRING(result, used));
}

/* strip_newlines */
static TeValue
filter_strip_newlines(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_string(r, input);
	char	   *result = te_arena_alloc(r, text.len);
	int			used = 0;
	int			i;

	te_render_charge(r, text.len / BYTES_A_STEP);
	for (i = 0; i < text.len; i++)
	{
		char		c = text.u.str[i];

		if (c != '\n' && !(c == '\r' && i + 1 < text.len && text.u.str[i + 1] == '\n'))
			result[used++] = c;
	}
	return text_like(input, TE_VALUE_STRING(result, used));
}

/* ---- cutting ---- */

/* truncate: length, end; the length counts the end */
static TeValue
filter_truncate(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;
	TeValue		end = args->count > 1 ? te_value_string(r, args->values[1]) : TE_VALUE_STRING("...", 3);
	int64		length = 50;
	int64		kept;

	if (input.kind == TE_NIL)
		return input;
	text = te_value_string(r, input);
	if (args->count > 0 && !te_number_integer(r, args->values[0], &length))
		return te_filter_error(r, "invalid integer");
	te_render_charge(r, text.len / BYTES_A_STEP);
	if (text.len <= length || te_text_length(text.u.str, text.len) <= length)
		return text_like(input, text);
	length = Max(length, 0);
	kept = Max(length - te_text_length(end.u.str, end.len), 0);
	text.len = te_text_offset(text.u.str, text.len, kept);
	text.safe = end.safe = false;
	return join_texts(r, text, end);
}

/* truncatewords: words, end */
static TeValue
filter_truncatewords(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;
	TeValue		end;
	int64		words = 15;
	TeBuffer	out;
	int			at = 0;

	if (input.kind == TE_NIL)
		return input;
	text = te_value_string(r, input);
	if (args->count > 0 && !te_number_integer(r, args->values[0], &words))
		return te_filter_error(r, "invalid integer");
	words = Max(words, 1);
	te_render_charge(r, text.len / BYTES_A_STEP);
	te_buffer_init(r, &out, text.len);
	for (; words > 0; words--)
	{
		int			start;

		while (at < text.len && is_space(text.u.str[at]))
			at++;
		start = at;
		while (at < text.len && !is_space(text.u.str[at]))
			at++;
		if (at == text.len)
			return text_like(input, text);
		if (out.len > 0)
			te_buffer_char(r, &out, ' ');
		te_buffer_append(r, &out, text.u.str + start, at - start);
	}
	end = args->count > 1 ? te_value_string(r, args->values[1]) : TE_VALUE_STRING("...", 3);
	te_buffer_append(r, &out, end.u.str, end.len);
	return te_buffer_value(&out);
}

/* ---- default ---- */

/* default: value, allow_false: bool; for nil, false and what is empty */
static TeValue
filter_default(TeRender *r, TeValue input, const TeArgs *args)
{
	bool		allow_false = args->count > 1 && te_value_is_hash(args->values[1]) &&
		te_value_truthy(te_value_get(r, args->values[1], "allow_false", 11));

	if (allow_false ? input.kind != TE_NIL : te_value_truthy(input))
		if (!te_value_is_empty(input))
			return input;
	return args->count > 0 ? args->values[0] : TE_VALUE_STRING("", 0);
}

const TeFilter te_filters_string[] = {
	{"append", filter_append, 1, 1},
	{"capitalize", filter_capitalize, 0, 0},
	{"default", filter_default, 0, 2},
	{"downcase", filter_downcase, 0, 0},
	{"lstrip", filter_lstrip, 0, 0},
	{"prepend", filter_prepend, 1, 1},
	{"rstrip", filter_rstrip, 0, 0},
	{"squish", filter_squish, 0, 0},
	{"strip", filter_strip, 0, 0},
	{"strip_newlines", filter_strip_newlines, 0, 0},
	{"truncate", filter_truncate, 0, 2},
	{"truncatewords", filter_truncatewords, 0, 2},
	{"upcase", filter_upcase, 0, 0},
	{NULL}
};
