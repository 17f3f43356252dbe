/*
 * filter_message.c
 *		JSON, forms of URLs, hexadecimal digits, and texts as channels need them.
 *
 * A result that is escaped as the field at work needs it is marked so, lest automatic
 * escaping does it again.
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "template/escape.h"
#include "template/sms.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 64

/* Beside letters and digits: what stays in a part of an URL, and in a whole one. */
#define KEEP_PART "-._~"
#define KEEP_URL "-._~!*'();/?:@&=+$,[]"
#define KEEP_URI "-._~!*'();/?:@&=+$,#[]"

/*
 * The text of a value, its length charged.
 */
static TeValue
text_of(TeRender *r, TeValue value)
{
	TeValue		text = te_value_text(r, value);

	te_render_charge(r, text.len / BYTES_A_STEP + 1);
	return text;
}

/*
 * What a buffer holds, marked as escaped when that is how the field needs it.
 */
static TeValue
escaped_value(TeRender *r, const TeBuffer *buffer, TeEscape as)
{
	TeValue		result = te_buffer_value(buffer);

	result.safe = r->input->escape == as;
	return result;
}

/* ---- JSON ---- */

/*
 * json: any value as JSON. "</" and the line separators of Unicode, which only occur
 * inside strings, are escaped.
 */
static TeValue
filter_json(TeRender *r, TeValue input, const TeArgs *args)
{
	TeBuffer	plain;
	TeBuffer	out;
	const char *at;
	const char *start;
	const char *end;

	te_buffer_init(r, &plain, 128);
	te_value_write_json(r, &plain, input);
	te_render_charge(r, plain.len / BYTES_A_STEP + 1);
	te_buffer_init(r, &out, plain.len);
	start = plain.data;
	end = plain.data + plain.len;
	for (at = start; at < end; at++)
	{
		bool		separator = TE_IS_LINE_SEPARATOR(at, end);

		if (!separator && !(*at == '/' && at > plain.data && at[-1] == '<'))
			continue;
		te_buffer_append(r, &out, start, at - start);
		if (separator)
		{
			te_buffer_append(r, &out, at[2] == '\xA8' ? "\\u2028" : "\\u2029", 6);
			at += 2;
		}
		else
			te_buffer_append(r, &out, "\\/", 2);
		start = at + 1;
	}
	te_buffer_append(r, &out, start, end - start);
	return escaped_value(r, &out, TE_ESCAPE_JSON);
}

/* json_escape: text for the inside of a JSON string. */
static TeValue
filter_json_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	TeBuffer	out;

	te_buffer_init(r, &out, text.len);
	te_escape_json_string(r, &out, text.u.str, text.len);
	return escaped_value(r, &out, TE_ESCAPE_JSON);
}

/* from_json: the value that a text describes; what is none is an error. */
static TeValue
filter_from_json(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text;

	if (input.kind != TE_STRING)
		return input;
	text = text_of(r, input);
	return te_value_parse_json(r, text.u.str, text.len);
}

/* ---- URLs ---- */

/*
 * The percent-encoded text of a value.
 */
static TeValue
percent_value(TeRender *r, TeValue input, const char *keep, bool plus)
{
	TeValue		text = text_of(r, input);
	TeBuffer	out;

	te_buffer_init(r, &out, text.len);
	te_escape_percent(r, &out, text.u.str, text.len, keep, plus);
	return escaped_value(r, &out, TE_ESCAPE_URL);
}

/* url_escape: a whole URL; what delimits its parts stays. */
static TeValue
filter_url_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	return percent_value(r, input, KEEP_URL, false);
}

/* url_param_escape: a part of an URL. */
static TeValue
filter_url_param_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	return percent_value(r, input, KEEP_PART, false);
}

/* uri_escape: a whole URL with its fragment. */
static TeValue
filter_uri_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	return percent_value(r, input, KEEP_URI, false);
}

/* cgi_escape: a part as forms send it, spaces as plus signs. */
static TeValue
filter_cgi_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	return percent_value(r, input, KEEP_PART, true);
}

/*
 * safe_url: the URL itself; in place of one that would run code the argument, or
 * nothing.
 */
static TeValue
filter_safe_url(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);

	if (te_url_is_safe(text.u.str, text.len))
		return input;
	return args->count > 0 ? args->values[0] : TE_VALUE_STRING("", 0);
}

/* ---- markup ---- */

/* xml_escape: text for XML and HTML. */
static TeValue
filter_xml_escape(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	TeBuffer	out;

	te_buffer_init(r, &out, text.len);
	te_escape_write(r, &out, TE_ESCAPE_HTML, false, text.u.str, text.len);
	return escaped_value(r, &out, TE_ESCAPE_HTML);
}

/* raw: the text as it is, whatever the field escapes. */
static TeValue
filter_raw(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = te_value_text(r, input);

	text.safe = true;
	return text;
}

/* ---- hexadecimal digits and base64 ---- */

/*
 * The value of a hexadecimal digit; -1 if it is none.
 */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Reads hexadecimal digits into bytes in the arena; NULL when they are malformed.
 */
static unsigned char *
bytes_of_hex(TeRender *r, TeValue text, int *len)
{
	unsigned char *bytes = te_arena_alloc(r, text.len / 2 + 1);
	int			i;

	if (text.len % 2 != 0)
		return NULL;
	for (i = 0; i < text.len; i += 2)
	{
		int			high = hex_digit(text.u.str[i]);
		int			low = hex_digit(text.u.str[i + 1]);

		if (high < 0 || low < 0)
			return NULL;
		bytes[i / 2] = high << 4 | low;
	}
	*len = text.len / 2;
	return bytes;
}

/* hex_encode: the bytes of a text as hexadecimal digits. */
static TeValue
filter_hex_encode(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	TeBuffer	out;

	te_buffer_init(r, &out, text.len * 2);
	te_escape_hex(r, &out, (const unsigned char *) text.u.str, text.len);
	return te_buffer_value(&out);
}

/* hex_decode: the text that hexadecimal digits stand for. */
static TeValue
filter_hex_decode(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	int			len;
	unsigned char *bytes = bytes_of_hex(r, text, &len);
	const char *at;

	if (bytes == NULL)
		return te_filter_error(r, "hex_decode needs pairs of hexadecimal digits");
	for (at = (char *) bytes; at < (char *) bytes + len;)
	{
		const char *start = at;
		uint32		character = te_utf8_next(&at, (char *) bytes + len);

		if (character == '\0' || (character == 0xFFFD && at - start == 1))
			return te_filter_error(r, "hex_decode: the digits do not stand for a text");
	}
	return TE_VALUE_STRING((char *) bytes, len);
}

/* hex_base64: hexadecimal digits, as of a digest, as base64. */
static TeValue
filter_hex_base64(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	int			len;
	unsigned char *bytes = bytes_of_hex(r, text, &len);
	char	   *out;

	if (bytes == NULL)
		return te_filter_error(r, "hex_base64 needs pairs of hexadecimal digits");
	out = te_arena_alloc(r, (Size) (len + 2) / 3 * 4 + 1);
	len = EVP_EncodeBlock((unsigned char *) out, bytes, len);
	return TE_VALUE_STRING(out, len);
}

/* ---- SMS ---- */

/*
 * gsm7: a text that fits the alphabet of SMS, so that a part holds 160 characters and
 * not 70. Letters lose marks that the alphabet lacks, typographic signs become plain,
 * emoji go, and other letters become the argument, or a question mark.
 */
static TeValue
filter_gsm7(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	TeValue		other = args->count > 0 ? te_value_text(r, args->values[0]) : TE_VALUE_STRING("?", 1);
	const char *end = text.u.str + text.len;
	const char *at;
	TeBuffer	out;

	te_buffer_init(r, &out, text.len);
	for (at = text.u.str; at < end;)
	{
		const char *start = at;
		uint32		character = te_utf8_next(&at, end);
		char		buffer[4];
		const char *instead;

		if (te_gsm7_septets(character) > 0)
			te_buffer_append(r, &out, start, at - start);
		else if ((instead = te_gsm7_instead(character, buffer)) != NULL)
			te_buffer_append(r, &out, instead, strlen(instead));
		else
			te_buffer_append(r, &out, other.u.str, other.len);
	}
	return te_buffer_value(&out);
}

/* sms_segments: in how many parts a text is sent. */
static TeValue
filter_sms_segments(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		text = text_of(r, input);
	TeSms		sms;

	te_sms_measure(text.u.str, text.len, &sms);
	return TE_VALUE_INT(sms.segments);
}

const TeFilter te_filters_message[] = {
	{"cgi_escape", filter_cgi_escape, 0, 0},
	{"from_json", filter_from_json, 0, 0},
	{"gsm7", filter_gsm7, 0, 1},
	{"hex_base64", filter_hex_base64, 0, 0},
	{"hex_decode", filter_hex_decode, 0, 0},
	{"hex_encode", filter_hex_encode, 0, 0},
	{"json", filter_json, 0, 0},
	{"json_escape", filter_json_escape, 0, 0},
	{"jsonify", filter_json, 0, 0},
	{"raw", filter_raw, 0, 0},
	{"safe_url", filter_safe_url, 0, 1},
	{"sms_segments", filter_sms_segments, 0, 0},
	{"to_json", filter_json, 0, 0},
	{"uri_escape", filter_uri_escape, 0, 0},
	{"url_escape", filter_url_escape, 0, 0},
	{"url_param_escape", filter_url_param_escape, 0, 0},
	{"xml_escape", filter_xml_escape, 0, 0},
	{NULL}
};
