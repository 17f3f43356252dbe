/*
 * filter_fit.c
 *		Cutting text where a reader sees no cut, and marks of direction.
 *
 *	{{ title | fit: 40, 120 }}      at most 40 characters as people count them, and 120 bytes
 *	{{ title | fit_width: 20 }}     at most 20 columns; wide East Asian characters take two
 *	{{ name | bidi }}               a name that does not disturb the direction of what is around it
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "template/filter_locale.h"

/* no character that is meant takes more bytes than this */
#define MOST_BYTES 128

/*
 * A length among the arguments; missing if it was not given.
 */
static bool
length_argument(TeRender *r, const TeValue *given, int *length, TeValue *error)
{
	int64		n;

	if (given == NULL)
		return true;
	if (te_number_integer(r, *given, &n) && n >= 0 && n <= 10000000)
	{
		*length = (int) n;
		return true;
	}
	*error = te_filter_error(r, "a length from 0 to 10000000 was expected");
	return false;
}

/*
 * The bytes at the start of a text that may hold so many characters.
 */
static int
enough(const char *text, int len, int characters)
{
	int64		most = (int64) characters * MOST_BYTES + MOST_BYTES;

	return len <= most ? len : pg_mbcliplen(text, len, (int) most);
}

/*
 * What an ellipsis takes: its characters, bytes or columns.
 */
static int
ellipsis_size(TeRender *r, TeValue ellipsis, bool columns)
{
	int			count;
	int		   *ends = te_icu_graphemes(r, ellipsis.u.str, ellipsis.len, ellipsis.len, &count);
	int			size = 0;
	int			i;

	for (i = 0; i < count; i++)
		size += columns ? te_icu_width(ellipsis.u.str + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0)) : 1;
	return size;
}

/*
 * Cuts a text to a number of characters, or of columns, and of bytes, the ellipsis
 * among them. When not even that fits, it is left out.
 */
static TeValue
cut(TeRender *r, TeValue text, int most, bool columns, int most_bytes, TeValue ellipsis)
{
	/* a column holds at most one character, but for those that take none */
	int			prefix = enough(text.u.str, text.len, Min(most, most_bytes) + 1);
	int			count;
	int		   *ends;
	int			size = 0;
	int			kept = 0;
	int			room,
				room_bytes;
	int			i;
	TeBuffer	out;

	te_render_charge(r, prefix / 16 + 1);
	ends = te_icu_graphemes(r, text.u.str, prefix, prefix, &count);
	room = most - ellipsis_size(r, ellipsis, columns);
	room_bytes = most_bytes - ellipsis.len;
	if (room < 0 || room_bytes < 0)
	{
		ellipsis.len = 0;
		room = most;
		room_bytes = most_bytes;
	}
	for (i = 0; i < count; i++)
	{
		int			start = i ? ends[i - 1] : 0;

		size += columns ? te_icu_width(text.u.str + start, ends[i] - start) : 1;
		if (size > most || ends[i] > most_bytes)
			break;
		if (size <= room && ends[i] <= room_bytes)
			kept = ends[i];
	}
	if (i == count && prefix == text.len)
		return text;
	/* no blank before the ellipsis */
	while (ellipsis.len > 0 && kept > 0 && text.u.str[kept - 1] == ' ')
		kept--;
	te_buffer_init(r, &out, kept + ellipsis.len + 1);
	te_buffer_append(r, &out, text.u.str, kept);
	te_buffer_append(r, &out, ellipsis.u.str, ellipsis.len);
	return te_buffer_value(&out);
}

/*
 * The ellipsis among the arguments, or the usual one.
 */
static TeValue
ellipsis_argument(TeRender *r, const TeArgs *args, int index)
{
	const TeValue *given = te_filter_argument(args, index, "ellipsis");

	if (given)
		return te_value_text(r, *given);
	return GetDatabaseEncoding() == PG_UTF8 ? TE_VALUE_STRING("\xE2\x80\xA6", 3) : TE_VALUE_STRING("...", 3);
}

/*
 * fit: characters, bytes, ellipsis; nil is no limit.
 */
TeValue
te_filter_fit(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	int			characters = 10000000;
	int			bytes = 10000000;
	TeValue		error;

	if (!length_argument(r, te_filter_argument(args, 0, "chars"), &characters, &error) ||
		!length_argument(r, te_filter_argument(args, 1, "bytes"), &bytes, &error))
		return error;
	if (text.len <= characters && text.len <= bytes)
		return text;
	return cut(r, text, characters, false, bytes, ellipsis_argument(r, args, 2));
}

/*
 * fit_width: columns, ellipsis.
 */
TeValue
te_filter_fit_width(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	int			columns = 10000000;
	TeValue		error;

	if (!length_argument(r, te_filter_argument(args, 0, "columns"), &columns, &error))
		return error;
	return cut(r, text, columns, true, 10000000, ellipsis_argument(r, args, 1));
}

/*
 * Copies a text without marks of direction, and without other characters that are
 * not seen if invisible. Joiners stay: emoji and some scripts need them.
 */
static void
append_visible(TeRender *r, TeBuffer *out, TeValue text, bool invisible)
{
	const unsigned char *at = (const unsigned char *) text.u.str;
	const unsigned char *end = at + text.len;

	te_render_charge(r, text.len / 16 + 1);
	while (at < end)
	{
		int			len = Min(pg_mblen((const char *) at), end - at);
		bool		drop = invisible && len == 1 && (*at < 0x20 || *at == 0x7F) && *at != '\n' && *at != '\t';

		if (GetDatabaseEncoding() == PG_UTF8 && len > 1)
		{
			pg_wchar	c = utf8_to_unicode(at);

			drop = c == 0x061C || (c >= 0x200E && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
				(invisible && (c == 0x00AD || c == 0x034F || c == 0x180E || c == 0x200B || (c >= 0x2028 && c <= 0x2029) ||
							   (c >= 0x2060 && c <= 0x2065) || (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || c == 0x3164 ||
							   (c >= 0x80 && c <= 0x9F) || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0001)));
		}
		if (!drop)
			te_buffer_append(r, out, (const char *) at, len);
		at += len;
	}
}

/*
 * strip_bidi: without marks, overrides and isolates of direction.
 */
TeValue
te_filter_strip_bidi(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	TeBuffer	out;

	te_buffer_init(r, &out, text.len + 1);
	append_visible(r, &out, text, false);
	return te_buffer_value(&out);
}

/*
 * strip_invisible: also without controls, soft hyphens and zero-width characters.
 */
TeValue
te_filter_strip_invisible(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	TeBuffer	out;

	te_buffer_init(r, &out, text.len + 1);
	append_visible(r, &out, text, true);
	return te_buffer_value(&out);
}

/*
 * bidi: the text between U+2068 and U+2069, so that its direction is its own. Marks
 * within it could end the isolation and are taken out.
 */
TeValue
te_filter_bidi(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);
	bool		marks = GetDatabaseEncoding() == PG_UTF8 && text.len > 0;
	TeBuffer	out;

	te_buffer_init(r, &out, text.len + 8);
	if (marks)
		te_buffer_append(r, &out, "\xE2\x81\xA8", 3);
	append_visible(r, &out, text, false);
	if (marks)
		te_buffer_append(r, &out, "\xE2\x81\xA9", 3);
	return te_buffer_value(&out);
}
