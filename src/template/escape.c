/*
 * escape.c
 *		Text as it may stand in HTML, in a JSON string, in one line of a header, in
 *		an URL.
 *
 * Every loop is one pass over its text. Nothing here throws but for the limits of the
 * render.
 */
#include "postgres.h"

#include "template/escape.h"

/* Work is counted in pieces of this many bytes. */
#define BYTES_A_STEP 64
/* Further on in an URL nobody looks for its path. */
#define LONGEST_PATH 2048

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

/* What may stand in any part of an URL (RFC 3986, unreserved). */
static const char unreserved[] = "-._~";

/* What has a meaning in an URL (reserved), and the percent sign of what is escaped already. */
static const char reserved[] = ":/?#[]@!$&'()*+,;=%";

/*
 * Whether a byte is a letter or digit of ASCII.
 */
static inline bool
is_ascii_alnum(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * Appends HTML: the five characters that markup is made of become references.
 */
static void
write_html(TeRender *r, TeBuffer *out, const char *text, int len)
{
	const char *end = text + len;
	const char *start = text;
	const char *at;

	for (at = text; at < end; at++)
	{
		const char *reference;

		switch (*at)
		{
			case '&':
				reference = "&amp;";
				break;
			case '<':
				reference = "&lt;";
				break;
			case '>':
				reference = "&gt;";
				break;
			case '"':
				reference = "&quot;";
				break;
			case '\'':
				reference = "&#39;";
				break;
			default:
				continue;
		}
		te_buffer_append(r, out, start, at - start);
		te_buffer_append(r, out, reference, strlen(reference));
		start = at + 1;
	}
	te_buffer_append(r, out, start, end - start);
}

/*
 * Appends the inside of a JSON string. What would end a script element, or a line of
 * JavaScript, is escaped as well.
 */
void
te_escape_json_string(TeRender *r, TeBuffer *out, const char *text, int len)
{
	const char *end = text + len;
	const char *start = text;
	const char *at;

	for (at = text; at < end; at++)
	{
		unsigned char c = (unsigned char) *at;
		char		code[8];
		int			used = 2;
		int			skipped = 1;

		code[0] = '\\';
		if (c == '"' || c == '\\')
			code[1] = c;
		else if (c == '\n')
			code[1] = 'n';
		else if (c == '\r')
			code[1] = 'r';
		else if (c == '\t')
			code[1] = 't';
		else if (c == '\b')
			code[1] = 'b';
		else if (c == '\f')
			code[1] = 'f';
		else if (c < 0x20 || c == 0x7F)
			used = snprintf(code, sizeof(code), "\\u%04x", c);
		else if (c == '/' && at > text && at[-1] == '<')
			code[1] = '/';
		else if (TE_IS_LINE_SEPARATOR(at, end))
		{
			used = snprintf(code, sizeof(code), "\\u%s", at[2] == '\xA8' ? "2028" : "2029");
			skipped = 3;
		}
		else
			continue;
		te_buffer_append(r, out, start, at - start);
		te_buffer_append(r, out, code, used);
		at += skipped - 1;
		start = at + 1;
	}
	te_buffer_append(r, out, start, end - start);
}

/*
 * Appends text with every byte written as %XX that is not a letter, a digit, or in
 * keep. A space becomes a plus sign when asked for.
 */
void
te_escape_percent(TeRender *r, TeBuffer *out, const char *text, int len, const char *keep, bool plus)
{
	const char *end = text + len;
	const char *start = text;
	const char *at;

	for (at = text; at < end; at++)
	{
		unsigned char c = (unsigned char) *at;
		char		code[3] = {'%', hex_upper[c >> 4], hex_upper[c & 15]};

		if (is_ascii_alnum(c) || (c != '\0' && strchr(keep, c) != NULL))
			continue;
		te_buffer_append(r, out, start, at - start);
		if (plus && c == ' ')
			te_buffer_char(r, out, '+');
		else
			te_buffer_append(r, out, code, sizeof(code));
		start = at + 1;
	}
	te_buffer_append(r, out, start, end - start);
}

/*
 * Appends bytes as hexadecimal digits.
 */
void
te_escape_hex(TeRender *r, TeBuffer *out, const unsigned char *bytes, int len)
{
	int			i;

	te_buffer_reserve(r, out, len * 2);
	for (i = 0; i < len; i++)
	{
		out->data[out->len++] = hex_lower[bytes[i] >> 4];
		out->data[out->len++] = hex_lower[bytes[i] & 15];
	}
}

/*
 * Whether what is written of an URL has come beyond its path. A very long one is taken
 * to have.
 */
static bool
beyond_path(const TeBuffer *out)
{
	int			i;

	if (out->len > LONGEST_PATH)
		return true;
	for (i = 0; i < out->len; i++)
		if (out->data[i] == '?' || out->data[i] == '#')
			return true;
	return false;
}

/*
 * Appends a part of an URL. At its start a whole URL may come, whose own delimiters
 * stay; one that would run code is taken for a part all the same. In the path slashes
 * stay.
 */
static void
write_url(TeRender *r, TeBuffer *out, bool at_start, const char *text, int len)
{
	char		keep[sizeof(unreserved) + sizeof(reserved)];

	strcpy(keep, unreserved);
	if (at_start && te_url_is_safe(text, len))
		strcat(keep, reserved);
	else if (!at_start && !beyond_path(out))
		strcat(keep, "/");
	te_escape_percent(r, out, text, len, keep, false);
}

/* What becomes of one character in a line of a header. */
typedef enum LineAction
{
	LINE_KEEP,
	LINE_SPACE,					/* would begin another line, or hide something */
	LINE_DROP,					/* invisible, or turns what follows around */
	LINE_ISOLATE,				/* begins text with a direction of its own */
	LINE_POP					/* ends that */
} LineAction;

/*
 * Looks at the character at the given place, of *width bytes. The invisible and
 * direction-changing ones are those of UTF-8.
 */
static LineAction
line_action(const char *at, const char *end, int *width)
{
	unsigned char c = (unsigned char) *at;
	unsigned char second = end - at > 1 ? at[1] : 0;
	unsigned char third = end - at > 2 ? at[2] : 0;

	*width = 1;
	if (c < 0x20 || c == 0x7F)
		return LINE_SPACE;
	if (c == 0xC2 && second >= 0x80 && second <= 0x9F)
	{
		*width = 2;				/* C1 controls, NEL among them */
		return LINE_SPACE;
	}
	if (c == 0xE2 && second == 0x80 && third != 0)
	{
		*width = 3;
		if (third == 0xA8 || third == 0xA9)
			return LINE_SPACE;	/* line and paragraph separator */
		if (third == 0x8B || (third >= 0xAA && third <= 0xAE))
			return LINE_DROP;	/* zero width space; embeddings and overrides */
		*width = 1;
	}
	if (c == 0xE2 && second == 0x81 && third != 0)
	{
		*width = 3;
		if (third == 0xA0 || (third >= 0xAA && third <= 0xAF))
			return LINE_DROP;	/* word joiner; deprecated format controls */
		if (third >= 0xA6 && third <= 0xA8)
			return LINE_ISOLATE;
		if (third == 0xA9)
			return LINE_POP;
		*width = 1;
	}
	if (c == 0xEF && second == 0xBB && third == 0xBF)
	{
		*width = 3;				/* byte order mark */
		return LINE_DROP;
	}
	return LINE_KEEP;
}

/*
 * Appends text as one line: controls become a space, invisible characters and changes
 * of direction go, isolates stay but are closed at the end. What joins emoji, or
 * letters of Arabic and Indic scripts, is left alone.
 */
static void
write_line(TeRender *r, TeBuffer *out, const char *text, int len)
{
	const char *end = text + len;
	const char *at = text;
	int			isolates = 0;

	while (at < end)
	{
		const char *start = at;
		LineAction	action = LINE_KEEP;
		int			width = 0;

		while (at < end && (action = line_action(at, end, &width)) == LINE_KEEP)
			at += width;
		te_buffer_append(r, out, start, at - start);
		if (at == end)
			break;
		if (action == LINE_SPACE)
			te_buffer_char(r, out, ' ');
		else if (action == LINE_ISOLATE)
			te_buffer_append(r, out, at, width);
		else if (action == LINE_POP && isolates > 0)
			te_buffer_append(r, out, at, width);
		if (action == LINE_ISOLATE)
			isolates++;
		else if (action == LINE_POP && isolates > 0)
			isolates--;
		at += width;
	}
	for (; isolates > 0; isolates--)
		te_buffer_append(r, out, "\xE2\x81\xA9", 3);
}

/*
 * Appends text as it may stand in a field of that kind.
 */
void
te_escape_write(TeRender *r, TeBuffer *out, TeEscape escape, bool at_start, const char *text, int len)
{
	if (len > BYTES_A_STEP)
		te_render_charge(r, len / BYTES_A_STEP);
	switch (escape)
	{
		case TE_ESCAPE_NONE:
			te_buffer_append(r, out, text, len);
			break;
		case TE_ESCAPE_HTML:
			write_html(r, out, text, len);
			break;
		case TE_ESCAPE_JSON:
			te_escape_json_string(r, out, text, len);
			break;
		case TE_ESCAPE_HEADER:
			write_line(r, out, text, len);
			break;
		case TE_ESCAPE_URL:
			write_url(r, out, at_start, text, len);
			break;
	}
}

/*
 * The scheme of an URL as a browser reads it, in lower case: white space and controls
 * before it, and tabs and line ends inside, do not count. Empty when there is none.
 */
void
te_url_scheme(const char *text, int len, char scheme[TE_SCHEME_SIZE])
{
	const char *end = text + len;
	int			n = 0;

	while (text < end && (unsigned char) *text <= ' ')
		text++;
	for (; text < end; text++)
	{
		char		c = *text;

		if (c == '\t' || c == '\n' || c == '\r')
			continue;
		if (c == ':')
		{
			scheme[n] = '\0';
			return;
		}
		if (!is_ascii_alnum(c) && (n == 0 || strchr("+-.", c) == NULL || c == '\0'))
			break;
		if (n == TE_SCHEME_SIZE - 1)
			break;
		scheme[n++] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
	}
	scheme[0] = '\0';
}

/*
 * False when opening the URL would run code, show data it carries itself, or read a
 * file of the reader. Relative ones and those of apps are fine.
 */
bool
te_url_is_safe(const char *text, int len)
{
	static const char *const refused[] = {"javascript", "data", "vbscript", "livescript", "file", "blob",
	"filesystem", "about", "jar", "view-source", "mhtml", "ms-its"};
	char		scheme[TE_SCHEME_SIZE];
	int			i;

	te_url_scheme(text, len, scheme);
	for (i = 0; i < lengthof(refused); i++)
		if (strcmp(scheme, refused[i]) == 0)
			return false;
	return true;
}
