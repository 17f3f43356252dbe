/*
 * value_json.c
 *		JSON text to values, with the order of keys kept, and values to JSON text.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "template/number.h"

/* No number with such an exponent has digits few enough. */
#define LARGEST_EXPONENT (2 * TE_NUMBER_DIGITS)

/* ---- reading ---- */

/*
 * Where a parse stands. What is read of arrays and objects that are still open lies on
 * one stack, and is copied from there when one closes.
 */
typedef struct Parser
{
	TeRender   *r;
	const char *at;
	const char *end;
	const char *start;
	TeMember   *stack;
	int			used;
	int			size;
	const char *fault;			/* what is wrong */
} Parser;

static bool parse_value(Parser *p, TeValue *value, int depth);

/*
 * Marks what is wrong at the place; always false.
 */
static bool
fail(Parser *p, const char *fault)
{
	if (p->fault == NULL)
		p->fault = fault;
	return false;
}

/*
 * Moves over white space.
 */
static inline void
skip_space(Parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
		p->at++;
}

/*
 * Puts a member, or an item without key, on the stack.
 */
static void
push(Parser *p, const char *key, int keylen, TeValue value)
{
	if (p->used == p->size)
	{
		TeMember   *larger;

		te_render_charge(p->r, p->size / 16 + 1);
		p->size = Max(p->size * 2, 32);
		larger = te_arena_alloc(p->r, sizeof(TeMember) * (Size) p->size);
		if (p->used > 0)
			memcpy(larger, p->stack, sizeof(TeMember) * (Size) p->used);
		p->stack = larger;
	}
	p->stack[p->used++] = (TeMember)
	{
		key, keylen, value
	};
}

/*
 * Four hexadecimal digits.
 */
static bool
parse_hex(Parser *p, pg_wchar *result)
{
	pg_wchar	c = 0;
	int			i;

	if (p->end - p->at < 4)
		return fail(p, "unfinished escape");
	for (i = 0; i < 4; i++)
	{
		char		digit = pg_ascii_tolower((unsigned char) *p->at++);

		if (digit >= '0' && digit <= '9')
			c = c * 16 + (digit - '0');
		else if (digit >= 'a' && digit <= 'f')
			c = c * 16 + (digit - 'a' + 10);
		else
			return fail(p, "wrong escape");
	}
	*result = c;
	return true;
}

/*
 * What follows \u, up to the second half of a pair, appended in the database's encoding.
 */
static bool
parse_unicode(Parser *p, TeBuffer *out)
{
	unsigned char text[MAX_UNICODE_EQUIVALENT_STRING + 1];
	pg_wchar	c = 0;
	pg_wchar	low = 0;

	if (!parse_hex(p, &c))
		return false;
	if (is_utf16_surrogate_first(c))
	{
		if (p->end - p->at < 6 || p->at[0] != '\\' || p->at[1] != 'u')
			return fail(p, "half a character");
		p->at += 2;
		if (!parse_hex(p, &low))
			return false;
		if (!is_utf16_surrogate_second(low))
			return fail(p, "half a character");
		c = surrogate_pair_to_codepoint(c, low);
	}
	if (!is_valid_unicode_codepoint(c) || is_utf16_surrogate_second(c))
		return fail(p, "wrong character");
	pg_unicode_to_server(c, text);
	te_buffer_append(p->r, out, (char *) text, (int) strlen((char *) text));
	return true;
}

/*
 * A string, from its quote on. Without escapes it stays where it is.
 */
static bool
parse_string(Parser *p, TeValue *value)
{
	static const char plain[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *from = ++p->at;
	TeBuffer	out = {NULL, 0, 0};

	for (;;)
	{
		const char *letter;

		while (p->at < p->end && *p->at != '"' && *p->at != '\\' && (unsigned char) *p->at >= ' ')
			p->at++;
		if (p->at == p->end)
			return fail(p, "unfinished string");
		if ((unsigned char) *p->at < ' ')
			return fail(p, "control character in a string");
		if (*p->at == '"' && out.data == NULL)
		{
			*value = TE_VALUE_STRING(from, (int32) (p->at - from));
			break;
		}
		if (out.data == NULL)
			te_buffer_init(p->r, &out, (int) (p->at - from) + 64);
		te_buffer_append(p->r, &out, from, (int) (p->at - from));
		if (*p->at == '"')
		{
			*value = te_buffer_value(&out);
			break;
		}
		if (++p->at == p->end)
			return fail(p, "unfinished string");
		if (*p->at == 'u')
		{
			p->at++;
			if (!parse_unicode(p, &out))
				return false;
		}
		else
		{
			letter = strchr(plain, *p->at);
			if (letter == NULL || *letter == '\0')
				return fail(p, "wrong escape");
			te_buffer_char(p->r, &out, meant[letter - plain]);
			p->at++;
		}
		from = p->at;
	}
	p->at++;
	return true;
}

/*
 * Moves over digits; false if there is none.
 */
static bool
skip_digits(Parser *p)
{
	const char *from = p->at;

	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
	return p->at > from;
}

/*
 * A number: whole without a point and an exponent, else a double, or a numeric beyond
 * the doubles.
 */
static bool
parse_number(Parser *p, TeValue *value)
{
	const char *from = p->at;
	bool		exponent = false;
	char	   *text;
	double		number;

	if (*p->at == '-')
		p->at++;
	if (p->at + 1 < p->end && *p->at == '0' && p->at[1] >= '0' && p->at[1] <= '9')
		return fail(p, "number with a leading zero");
	if (!skip_digits(p))
		return fail(p, "wrong number");
	if (p->at < p->end && *p->at == '.')
	{
		p->at++;
		if (!skip_digits(p))
			return fail(p, "wrong number");
	}
	if (p->at < p->end && (*p->at == 'e' || *p->at == 'E'))
	{
		exponent = true;
		p->at++;
		if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
			p->at++;
		if (!skip_digits(p))
			return fail(p, "wrong number");
	}
	if (!exponent)
	{
		*value = te_number_parse(p->r, from, (int) (p->at - from));
		return true;
	}
	if (p->at - from > 2 * TE_NUMBER_DIGITS)
		te_number_limit();
	text = te_arena_copy(p->r, from, (int) (p->at - from));
	number = strtod(text, NULL);
	if (isinf(number))
	{
		if (atoi(strpbrk(text, "eE") + 1) > LARGEST_EXPONENT || strlen(strpbrk(text, "eE")) > 8)
			te_number_limit();
		*value = te_number_keep(p->r, te_number_numeric_of_text(text));
	}
	else
		*value = TE_VALUE_FLOAT(number);
	return true;
}

/*
 * The items of an array, from its bracket on.
 */
static bool
parse_array(Parser *p, TeValue *value, int depth)
{
	int			base = p->used;
	TeValue    *items;
	TeValue		item;
	int			count;
	int			i;

	p->at++;
	skip_space(p);
	if (p->at < p->end && *p->at == ']')
		p->at++;
	else
		for (;;)
		{
			if (!parse_value(p, &item, depth + 1))
				return false;
			push(p, NULL, 0, item);
			skip_space(p);
			if (p->at < p->end && *p->at == ',')
				p->at++;
			else if (p->at < p->end && *p->at == ']')
			{
				p->at++;
				break;
			}
			else
				return fail(p, "expected \",\" or \"]\"");
		}
	count = p->used - base;
	items = te_arena_alloc(p->r, sizeof(TeValue) * (Size) count);
	for (i = 0; i < count; i++)
		items[i] = p->stack[base + i].value;
	p->used = base;
	*value = te_value_list(p->r, items, count);
	return true;
}

/*
 * The members of an object, from its brace on.
 */
static bool
parse_object(Parser *p, TeValue *value, int depth)
{
	int			base = p->used;
	TeMember   *members;
	TeValue		key,
				item;
	int			count;

	p->at++;
	skip_space(p);
	if (p->at < p->end && *p->at == '}')
		p->at++;
	else
		for (;;)
		{
			skip_space(p);
			if (p->at == p->end || *p->at != '"')
				return fail(p, "expected a key in quotes");
			if (!parse_string(p, &key))
				return false;
			skip_space(p);
			if (p->at == p->end || *p->at != ':')
				return fail(p, "expected \":\"");
			p->at++;
			if (!parse_value(p, &item, depth + 1))
				return false;
			push(p, key.u.str, key.len, item);
			skip_space(p);
			if (p->at < p->end && *p->at == ',')
				p->at++;
			else if (p->at < p->end && *p->at == '}')
			{
				p->at++;
				break;
			}
			else
				return fail(p, "expected \",\" or \"}\"");
		}
	count = p->used - base;
	members = te_arena_alloc(p->r, sizeof(TeMember) * (Size) count);
	if (count > 0)
		memcpy(members, p->stack + base, sizeof(TeMember) * (Size) count);
	p->used = base;
	*value = te_value_hash(p->r, members, count);
	return true;
}

/*
 * True, moving on, when a word comes next.
 */
static bool
accept(Parser *p, const char *word, int len)
{
	if (p->end - p->at < len || memcmp(p->at, word, len) != 0)
		return fail(p, "expected a value");
	p->at += len;
	return true;
}

/*
 * Any value, with white space before it. Throws when it is nested too deeply.
 */
static bool
parse_value(Parser *p, TeValue *value, int depth)
{
	skip_space(p);
	if (p->at == p->end)
		return fail(p, "expected a value");
	switch (*p->at)
	{
		case '{':
			te_value_check_depth(depth);
			return parse_object(p, value, depth);
		case '[':
			te_value_check_depth(depth);
			return parse_array(p, value, depth);
		case '"':
			return parse_string(p, value);
		case 't':
			*value = TE_VALUE_BOOL(true);
			return accept(p, "true", 4);
		case 'f':
			*value = TE_VALUE_BOOL(false);
			return accept(p, "false", 5);
		case 'n':
			*value = TE_VALUE_NIL;
			return accept(p, "null", 4);
		default:
			if (*p->at == '-' || (*p->at >= '0' && *p->at <= '9'))
				return parse_number(p, value);
			return fail(p, "expected a value");
	}
}

/*
 * The value that a JSON text describes; TE_ERROR if it is malformed. Keys stay in their
 * order; of equal ones the last value counts. Texts without escapes are pointed to in
 * the JSON text. Throws at the limits of memory, depth and digits.
 */
TeValue
te_value_parse_json(TeRender *r, const char *text, int len)
{
	Parser		p = {.r = r,.at = text,.end = text + len,.start = text};
	TeValue		value;

	te_render_charge(r, len / 64 + 1);
	if (parse_value(&p, &value, 0))
	{
		skip_space(&p);
		if (p.at == p.end)
			return value;
		fail(&p, "expected the end");
	}
	return te_filter_error(r, "malformed JSON at character %d: %s",
						   te_text_length(text, (int) (p.at - text)) + 1, p.fault);
}

/* ---- writing ---- */

/*
 * Appends a JSON string.
 */
static void
write_string(TeRender *r, TeBuffer *out, const char *text, int len)
{
	static const char letters[] = "btn\0fr";	/* from 8 */
	const char *end = text + len;
	char		escaped[8];

	te_buffer_char(r, out, '"');
	while (text < end)
	{
		const char *plain = text;

		while (text < end && (unsigned char) *text >= ' ' && *text != '"' && *text != '\\')
			text++;
		te_buffer_append(r, out, plain, (int) (text - plain));
		if (text == end)
			break;
		if (*text == '"' || *text == '\\')
		{
			te_buffer_char(r, out, '\\');
			te_buffer_char(r, out, *text);
		}
		else if (*text >= '\b' && *text <= '\r' && *text != '\v')
		{
			te_buffer_char(r, out, '\\');
			te_buffer_char(r, out, letters[*text - '\b']);
		}
		else
		{
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char) *text);
			te_buffer_append(r, out, escaped, 6);
		}
		text++;
	}
	te_buffer_char(r, out, '"');
}

/*
 * Appends a value as JSON, so deep inside another.
 */
static void
write_json(TeRender *r, TeBuffer *out, TeValue value, int depth)
{
	bool		list = te_value_is_list(value);
	TeWalk		walk;
	TeMember	member;

	if (list || te_value_is_hash(value))
	{
		te_value_check_depth(depth);
		te_render_charge(r, value.len / 16 + 1);
		te_buffer_char(r, out, list ? '[' : '{');
		te_walk_start(&walk, value);
		while (list ? te_walk_item(&walk, &member.value) : te_walk_member(&walk, &member))
		{
			if (walk.index > 1)
				te_buffer_char(r, out, ',');
			if (!list)
			{
				write_string(r, out, member.key, member.keylen);
				te_buffer_char(r, out, ':');
			}
			write_json(r, out, member.value, depth + 1);
		}
		te_buffer_char(r, out, list ? ']' : '}');
		return;
	}
	switch (value.kind)
	{
		case TE_NIL:
			te_buffer_append(r, out, "null", 4);
			break;
		case TE_FLOAT:
			if (isfinite(value.u.number))
				te_number_write(r, out, value);
			else
				te_buffer_append(r, out, "null", 4);
			break;
		case TE_BOOL:
		case TE_INT:
		case TE_DECIMAL:
			te_value_write(r, out, value);
			break;
		default:
			value = te_value_text(r, value);
			write_string(r, out, value.u.str, value.len);
	}
}

/*
 * Appends a value as JSON without spaces; what JSON has no form for becomes a string,
 * and numbers that are none null. Throws at the limits of memory, steps and depth.
 */
void
te_value_write_json(TeRender *r, TeBuffer *out, TeValue value)
{
	write_json(r, out, value, 0);
}
