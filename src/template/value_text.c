/*
 * value_text.c
 *		Values as text: what output prints, what filters of text read, what a printed
 *		list shows of its items; and characters of text.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "errors.h"
#include "template/calendar.h"

/* Data nested deeper is neither printed nor compared. */
#define DEEPEST 100

/*
 * Throws when data is nested too deeply to walk.
 */
void
te_value_check_depth(int depth)
{
	if (depth > DEEPEST)
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE_LIMIT),
				 errmsg("data in the template is nested deeper than %d levels", DEEPEST)));
	check_stack_depth();
}

/* ---- characters ---- */

/*
 * Bytes of the character at a place before end: 1 at least, and not beyond the end.
 */
int
te_text_step(const char *at, const char *end)
{
	if (at >= end)
		return 0;
	if (!IS_HIGHBIT_SET(*at))
		return 1;
	return Min(pg_mblen(at), (int) (end - at));
}

/*
 * How many characters a text has.
 */
int
te_text_length(const char *text, int len)
{
	const char *end = text + len;
	int			count = 0;

	if (GetDatabaseEncoding() == PG_UTF8)
	{
		for (; text < end; text++)
			count += (*text & 0xC0) != 0x80;
		return count;
	}
	for (; text < end; text += te_text_step(text, end))
		count++;
	return count;
}

/*
 * How many bytes the first so many characters of a text take; all if it has fewer.
 */
int
te_text_offset(const char *text, int len, int64 characters)
{
	const char *at = text;
	const char *end = text + len;

	if (GetDatabaseEncoding() == PG_UTF8)
	{
		for (; at < end; at++)
			if ((*at & 0xC0) != 0x80 && characters-- <= 0)
				break;
		return (int) (at - text);
	}
	for (; characters > 0 && at < end; characters--)
		at += te_text_step(at, end);
	return (int) (at - text);
}

/*
 * Where the last character of a text begins; 0 if it is empty.
 */
int
te_text_last(const char *text, int len)
{
	int			at = len - 1;

	if (GetDatabaseEncoding() == PG_UTF8)
	{
		while (at > 0 && (text[at] & 0xC0) == 0x80)
			at--;
		return Max(at, 0);
	}
	return te_text_offset(text, len, te_text_length(text, len) - 1);
}

/*
 * Where a text has another, or -1. Takes time in proportion to the length.
 */
int
te_text_find(const char *text, int len, const char *needle, int needlelen)
{
	const char *found;

	if (needlelen == 0)
		return 0;
	if (needlelen > len)
		return -1;
	found = memmem(text, len, needle, needlelen);
	return found == NULL ? -1 : (int) (found - text);
}

/*
 * Whether bytes are text in the database's encoding, without a zero byte.
 */
bool
te_text_valid(const char *text, int len)
{
	return pg_verifymbstr(text, len, true);
}

/*
 * Takes out of a message what is left of characters that were cut. Ends it with a
 * zero byte and returns its length, at most size - 1.
 */
int
te_text_repair(char *text, int size)
{
	int			len = (int) strnlen(text, size - 1);
	int			kept = 0;
	int			at = 0;

	while (at < len)
	{
		int			step = pg_mblen(text + at);

		if (at + step > len || !pg_verifymbstr(text + at, step, true))
		{
			at++;
			continue;
		}
		memmove(text + kept, text + at, step);
		kept += step;
		at += step;
	}
	text[kept] = '\0';
	return kept;
}

/*
 * Bytes as text: each that is part of no character of the database's encoding is
 * replaced, in UTF-8 by U+FFFD. What is valid stays where it is.
 */
TeValue
te_text_of_bytes(TeRender *r, const char *bytes, int len)
{
	int			encoding = GetDatabaseEncoding();
	const char *at = bytes;
	const char *end = bytes + len;
	TeBuffer	out;

	if (te_text_valid(bytes, len))
		return TE_VALUE_STRING(bytes, len);
	te_render_charge(r, len / 16);
	te_buffer_init(r, &out, len + 16);
	while (at < end)
	{
		int			size = pg_encoding_verifymbchar(encoding, at, (int) (end - at));

		if (size > 0 && *at != '\0')
			te_buffer_append(r, &out, at, size);
		else
			te_buffer_append(r, &out, encoding == PG_UTF8 ? "\xEF\xBF\xBD" : "?", encoding == PG_UTF8 ? 3 : 1);
		at += Max(size, 1);
	}
	return te_buffer_value(&out);
}

/* ---- inspecting ---- */

/*
 * Appends a text in quotes, with what would not show or would mean something in a
 * quoted text of Ruby written by backslashes.
 */
static void
inspect_text(TeRender *r, TeBuffer *out, const char *text, int len)
{
	static const char letters[] = "abtnvfr";	/* from 7 */
	const char *end = text + len;
	char		escaped[8];

	te_buffer_char(r, out, '"');
	while (text < end)
	{
		const char *plain = text;

		while (text < end && (unsigned char) *text >= ' ' && *text != '"' && *text != '\\' && *text != '#' &&
			   *text != '\x7F' && *text != '\xE2')
			text++;
		te_buffer_append(r, out, plain, (int) (text - plain));
		if (text == end)
			break;
		if (*text == '"' || *text == '\\')
		{
			te_buffer_char(r, out, '\\');
			te_buffer_char(r, out, *text);
		}
		else if (*text == '#')
		{
			if (text + 1 < end && (text[1] == '{' || text[1] == '$' || text[1] == '@'))
				te_buffer_char(r, out, '\\');
			te_buffer_char(r, out, '#');
		}
		else if (*text == '\xE2')
		{
			if (GetDatabaseEncoding() == PG_UTF8 && end - text > 2 && text[1] == '\x80' &&
				(text[2] == '\xA8' || text[2] == '\xA9'))
			{
				te_buffer_append(r, out, text[2] == '\xA8' ? "\\u2028" : "\\u2029", 6);
				text += 2;
			}
			else
				te_buffer_char(r, out, *text);
		}
		else if (*text == '\x1B')
			te_buffer_append(r, out, "\\e", 2);
		else if (*text >= 7 && *text <= '\r')
		{
			te_buffer_char(r, out, '\\');
			te_buffer_char(r, out, letters[*text - 7]);
		}
		else
		{
			snprintf(escaped, sizeof(escaped), "\\u%04X", (unsigned char) *text);
			te_buffer_append(r, out, escaped, (int) strlen(escaped));
		}
		text++;
	}
	te_buffer_char(r, out, '"');
}

static void write_scalar(TeRender *r, TeBuffer *out, TeValue value);

/*
 * Appends a value as a printed list shows it, so deep inside.
 */
static void
inspect(TeRender *r, TeBuffer *out, TeValue value, int depth)
{
	TeWalk		walk;
	TeValue		item;
	TeMember	member;

	switch (value.kind)
	{
		case TE_NIL:
			te_buffer_append(r, out, "nil", 3);
			return;
		case TE_STRING:
			inspect_text(r, out, value.u.str, value.len);
			return;
		case TE_ARRAY:
		case TE_HASH:
		case TE_JSON:
			break;
		default:
			write_scalar(r, out, value);
			return;
	}
	te_value_check_depth(depth);
	te_render_charge(r, value.len / 16 + 1);
	te_walk_start(&walk, value);
	if (te_value_is_list(value))
	{
		te_buffer_char(r, out, '[');
		while (te_walk_item(&walk, &item))
		{
			if (walk.index > 1)
				te_buffer_append(r, out, ", ", 2);
			inspect(r, out, item, depth + 1);
		}
		te_buffer_char(r, out, ']');
		return;
	}
	te_buffer_char(r, out, '{');
	while (te_walk_member(&walk, &member))
	{
		if (walk.index > 1)
			te_buffer_append(r, out, ", ", 2);
		inspect_text(r, out, member.key, member.keylen);
		te_buffer_append(r, out, "=>", 2);
		inspect(r, out, member.value, depth + 1);
	}
	te_buffer_char(r, out, '}');
}

/*
 * Appends a value as a printed list shows it: texts in quotes, nil by name.
 */
void
te_value_inspect(TeRender *r, TeBuffer *out, TeValue value)
{
	inspect(r, out, value, 0);
}

/* ---- printing ---- */

/*
 * Appends a time with its offset.
 */
static void
write_time(TeRender *r, TeBuffer *out, const TeTime *time)
{
	const char *format = te_zone_is_utc(time->zone) ? "%Y-%m-%d %H:%M:%S UTC" : "%Y-%m-%d %H:%M:%S %z";
	TeValue		text = te_time_format(r, time, format, (int) strlen(format));

	te_buffer_append(r, out, text.u.str, text.len);
}

/*
 * Appends a value that is no list and no hash.
 */
static void
write_scalar(TeRender *r, TeBuffer *out, TeValue value)
{
	const char *name;

	switch (value.kind)
	{
		case TE_BOOL:
			te_buffer_append(r, out, value.u.boolean ? "true" : "false", value.u.boolean ? 4 : 5);
			break;
		case TE_INT:
		case TE_FLOAT:
		case TE_DECIMAL:
			te_number_write(r, out, value);
			break;
		case TE_STRING:
		case TE_ERROR:
			te_buffer_append(r, out, value.u.str, value.len);
			break;
		case TE_RANGE:
			te_number_write(r, out, TE_VALUE_INT(value.u.range->from));
			te_buffer_append(r, out, "..", 2);
			te_number_write(r, out, TE_VALUE_INT(value.u.range->to));
			break;
		case TE_TIME:
			write_time(r, out, value.u.time);
			break;
		case TE_DROP:
			name = te_drop_name(value.u.drop);
			te_buffer_append(r, out, name, (int) strlen(name));
			break;
		default:
			break;
	}
}

/*
 * Appends what {{ value }} prints, so deep inside lists.
 */
static void
write_value(TeRender *r, TeBuffer *out, TeValue value, int depth)
{
	TeWalk		walk;
	TeValue		item;

	if (te_value_is_list(value))
	{
		te_value_check_depth(depth);
		te_render_charge(r, value.len / 16 + 1);
		te_walk_start(&walk, value);
		while (te_walk_item(&walk, &item))
			write_value(r, out, item, depth + 1);
	}
	else if (te_value_is_hash(value))
		inspect(r, out, value, depth);
	else
		write_scalar(r, out, value);
}

/*
 * Appends what {{ value }} prints: the items of lists one after another. Throws at the
 * limits of memory, steps and depth.
 */
void
te_value_write(TeRender *r, TeBuffer *out, TeValue value)
{
	write_value(r, out, value, 0);
}

/*
 * What {{ value }} prints, as a text in the arena or where it was.
 */
TeValue
te_value_text(TeRender *r, TeValue value)
{
	TeBuffer	out;

	if (value.kind == TE_STRING)
		return value;
	if (value.kind == TE_NIL)
		return TE_VALUE_STRING("", 0);
	te_buffer_init(r, &out, 24);
	te_value_write(r, &out, value);
	return te_buffer_value(&out);
}

/*
 * A value as filters of text read it: like its output, but lists as they are inspected.
 */
TeValue
te_value_string(TeRender *r, TeValue value)
{
	TeBuffer	out;

	if (!te_value_is_list(value))
		return te_value_text(r, value);
	te_buffer_init(r, &out, 64);
	te_value_inspect(r, &out, value);
	return te_buffer_value(&out);
}

/*
 * The text of a value with a zero byte behind it, in the arena.
 */
char *
te_value_cstring(TeRender *r, TeValue value)
{
	TeValue		text = te_value_string(r, value);

	return te_arena_copy(r, text.u.str, text.len);
}
