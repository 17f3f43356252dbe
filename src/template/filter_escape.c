/*
 * filter_escape.c
 *		Filters between texts and HTML, URLs and base64.
 *
 * Every loop is one pass over its text.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "template/escape.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 64

/*
 * The input as text, with the work of one pass over it charged.
 */
static TeValue
text_of(TeRender *r, TeValue input)
{
	TeValue		text = te_value_string(r, input);

	te_render_charge(r, text.len / BYTES_A_STEP);
	return text;
}

/*
 * Marks a text as HTML: automatic escaping leaves it alone where HTML is written.
 */
static inline TeValue
html_value(TeRender *r, TeValue text)
{
	text.safe = r->input->escape == TE_ESCAPE_HTML;
	return text;
}

/* ---- HTML ---- */

/* escape, h */
static TeValue
filter_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;
	TeBuffer	out;
	int			i;

	if (input.kind == TE_NIL)
		return input;
	text = text_of(r, input);
	for (i = 0; i < text.len; i++)
	{
		char		c = text.u.str[i];

		if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
			break;
	}
	if (i == text.len)
		return html_value(r, text);
	te_buffer_init(r, &out, text.len + 32);
	te_escape_write(r, &out, TE_ESCAPE_HTML, false, text.u.str, text.len);
	return html_value(r, te_buffer_value(&out));
}

/*
 * Whether an ampersand begins a reference: to a name of letters or a decimal number.
 */
static bool
is_reference(const char *at, const char *end)
{
	bool		number = ++at < end && *at == '#';
	const char *start;

	if (number)
		at++;
	for (start = at; at < end; at++)
	{
		char		c = *at;

		if (number ? c < '0' || c > '9' : !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
			break;
	}
	return at > start && at < end && *at == ';';
}

/* escape_once: references stay as they are */
static TeValue
filter_escape_once(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	const char *end = text.u.str + text.len;
	const char *at;
	const char *start = text.u.str;
	TeBuffer	out;

	te_buffer_init(r, &out, text.len + 32);
	for (at = start; at < end; at++)
		if (*at == '&' && is_reference(at, end))
		{
			/* the name has no character to escape, so that it is passed over at once */
			te_escape_write(r, &out, TE_ESCAPE_HTML, false, start, (int) (at - start));
			start = at;
			while (*at != ';')
				at++;
			te_buffer_append(r, &out, start, (int) (at - start));
			start = at;
		}
	te_escape_write(r, &out, TE_ESCAPE_HTML, false, start, (int) (end - start));
	return html_value(r, te_buffer_value(&out));
}

/*
 * Copies a text without scripts, styles and comments. A kind of block that is not closed
 * once is not looked for again.
 */
static int
strip_blocks(const char *text, int len, char *to)
{
	static const struct
	{
		const char *open;
		const char *close;
	}			blocks[] = {{"<script", "</script>"}, {"<!--", "-->"}, {"<style", "</style>"}};
	bool		unclosed[lengthof(blocks)] = {false};
	const char *end = text + len;
	int			used = 0;

	while (text < end)
	{
		const char *at = memchr(text, '<', end - text);
		int			i;

		if (at == NULL)
			at = end;
		memcpy(to + used, text, at - text);
		used += (int) (at - text);
		text = at;
		if (text == end)
			break;
		for (i = 0; i < lengthof(blocks); i++)
		{
			int			open = (int) strlen(blocks[i].open);
			int			close;

			if (unclosed[i] || end - text < open || memcmp(text, blocks[i].open, open) != 0)
				continue;
			close = te_text_find(text + open, (int) (end - text) - open, blocks[i].close, (int) strlen(blocks[i].close));
			unclosed[i] = close < 0;
			if (close < 0)
				continue;
			text += open + close + strlen(blocks[i].close);
			break;
		}
		if (i == lengthof(blocks))
			to[used++] = *text++;
	}
	return used;
}

/* strip_html: without scripts, styles, comments, and then tags */
static TeValue
filter_strip_html(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	char	   *result = te_arena_alloc(r, text.len);
	int			len = strip_blocks(text.u.str, text.len, result);
	const char *end = result + len;
	const char *at = result;
	int			used = 0;

	while (at < end)
	{
		const char *open = memchr(at, '<', end - at);
		const char *close = open == NULL ? NULL : memchr(open, '>', end - open);

		if (close == NULL)
			open = end;
		memmove(result + used, at, open - at);
		used += (int) (open - at);
		at = close == NULL ? end : close + 1;
	}
	return TE_VALUE_STRING(result, used);
}

/* newline_to_br; where HTML is written the text is escaped before, unless it is HTML already */
static TeValue
filter_newline_to_br(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;
	TeBuffer	out;
	int			start = 0;
	int			i;

	if (r->input->escape == TE_ESCAPE_HTML && !input.safe)
		input = filter_escape(r, input, args);
	text = text_of(r, input);
	te_buffer_init(r, &out, text.len + 64);
	for (i = 0; i < text.len; i++)
		if (text.u.str[i] == '\n')
		{
			int			end = i > start && text.u.str[i - 1] == '\r' ? i - 1 : i;

			te_buffer_append(r, &out, text.u.str + start, end - start);
			te_buffer_append(r, &out, "<br />\n", 7);
			start = i + 1;
		}
	te_buffer_append(r, &out, text.u.str + start, text.len - start);
	return html_value(r, te_buffer_value(&out));
}

/* ---- URLs ---- */

/* url_encode */
static TeValue
filter_url_encode(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;
	TeBuffer	out;

	if (input.kind == TE_NIL)
		return input;
	text = text_of(r, input);
	te_buffer_init(r, &out, text.len + 32);
	te_escape_percent(r, &out, text.u.str, text.len, "-._~", true);
	return te_buffer_value(&out);
}

/*
 * The value of a hexadecimal digit, or -1.
 */
static inline int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* url_decode */
static TeValue
filter_url_decode(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;
	char	   *result;
	int			used = 0;
	int			i;

	if (input.kind == TE_NIL)
		return input;
	text = text_of(r, input);
	result = te_arena_alloc(r, text.len);
	for (i = 0; i < text.len; i++)
	{
		const char *at = text.u.str + i;

		if (*at == '%' && text.len - i > 2 && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0)
		{
			result[used++] = (char) (hex_value(at[1]) << 4 | hex_value(at[2]));
			i += 2;
		}
		else
			result[used++] = *at == '+' ? ' ' : *at;
	}
	if (!te_text_valid(result, used))
		return te_filter_error(r, "invalid byte sequence in %s",
							   GetDatabaseEncoding() == PG_UTF8 ? "UTF-8" : GetDatabaseEncodingName());
	return TE_VALUE_STRING(result, used);
}

/* ---- base64 ---- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/*
 * A text in base64.
 */
static TeValue
encode_base64(TeRender *r, TeValue input, const char *alphabet)
{
	TeValue		text = text_of(r, input);
	const unsigned char *from = (const unsigned char *) text.u.str;
	char	   *result = te_arena_alloc(r, ((Size) text.len + 2) / 3 * 4);
	int			used = 0;
	int			i;

	for (i = 0; i < text.len; i += 3)
	{
		int			left = text.len - i;
		uint32		bits = (uint32) from[i] << 16;

		if (left > 1)
			bits |= (uint32) from[i + 1] << 8;
		if (left > 2)
			bits |= from[i + 2];
		result[used++] = alphabet[bits >> 18];
		result[used++] = alphabet[bits >> 12 & 63];
		result[used++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
		result[used++] = left > 2 ? alphabet[bits & 63] : '=';
	}
	return TE_VALUE_STRING(result, used);
}

/*
 * The value of a letter of base64, or -1.
 */
static int
letter_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || (url && c == '-'))
		return 62;
	if (c == '/' || (url && c == '_'))
		return 63;
	return -1;
}

/*
 * The text that base64 stands for, with what is no text replaced; false if it is
 * malformed. Where url is set the letters of URLs count too and the padding may be missing.
 */
static bool
decode_base64(TeRender *r, TeValue text, bool url, TeValue *decoded)
{
	char	   *result = te_arena_alloc(r, (Size) text.len / 4 * 3 + 3);
	int			len = text.len;
	int			used = 0;
	uint32		bits = 0;
	int			i;

	if (len % 4 == 0 || !url)
	{
		if (len % 4 != 0)
			return false;
		for (i = 0; i < 2 && len > 0 && text.u.str[len - 1] == '='; i++)
			len--;
	}
	if (len % 4 == 1)
		return false;
	for (i = 0; i < len; i++)
	{
		int			value = letter_value(text.u.str[i], url);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32) value;
		if (i % 4 != 0)
			result[used++] = (char) (bits >> (6 - i % 4 * 2));
	}
	/* what is left over must be nothing */
	if ((len % 4 == 2 && (bits & 15) != 0) || (len % 4 == 3 && (bits & 3) != 0))
		return false;
	*decoded = te_text_of_bytes(r, result, used);
	return true;
}

/* base64_encode */
static TeValue
filter_base64_encode(TeRender *r, TeValue input, const TeArgs *args)
{
	return encode_base64(r, input, letters);
}

/* base64_url_safe_encode */
static TeValue
filter_base64_url_safe_encode(TeRender *r, TeValue input, const TeArgs *args)
{
	return encode_base64(r, input, url_letters);
}

/* base64_decode */
static TeValue
filter_base64_decode(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		decoded;

	if (!decode_base64(r, text_of(r, input), false, &decoded))
		return te_filter_error(r, "invalid base64 provided to base64_decode");
	return decoded;
}

/* base64_url_safe_decode */
static TeValue
filter_base64_url_safe_decode(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		decoded;

	if (!decode_base64(r, text_of(r, input), true, &decoded))
		return te_filter_error(r, "invalid base64 provided to base64_url_safe_decode");
	return decoded;
}

const TeFilter te_filters_escape[] = {
	{"base64_decode", filter_base64_decode, 0, 0},
	{"base64_encode", filter_base64_encode, 0, 0},
	{"base64_url_safe_decode", filter_base64_url_safe_decode, 0, 0},
	{"base64_url_safe_encode", filter_base64_url_safe_encode, 0, 0},
	{"escape", filter_escape, 0, 0},
	{"escape_once", filter_escape_once, 0, 0},
	{"h", filter_escape, 0, 0},
	{"newline_to_br", filter_newline_to_br, 0, 0},
	{"strip_html", filter_strip_html, 0, 0},
	{"url_decode", filter_url_decode, 0, 0},
	{"url_encode", filter_url_encode, 0, 0},
	{NULL}
};
