/*
 * mail_header.c
 *		Lines of a mail's head: folded, and encoded where they are not plain ASCII
 *		(RFC 5322, RFC 2047). Nothing in a value can begin another line.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"

#include "common/common.h"
#include "message/mail.h"

#define MAX_ADDRESS 254
/* Bytes of text in one encoded word: 72 characters with what is around them. */
#define WORD_BYTES 45
#define LEAST_BYTES 12
#define WORD_AROUND 12			/* =?UTF-8?B? and ?= */
#define LINE_LENGTH 76

/*
 * Whether text can stand in a header as it is.
 */
static bool
is_plain(const char *text)
{
	if (strstr(text, "=?") != NULL)
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/*
 * A copy of a value, palloc'ed, with control characters as spaces.
 */
static char *
one_line(const char *value)
{
	char	   *copy = pstrdup(value);

	for (char *at = copy; *at; at++)
		if ((unsigned char) *at < ' ' || *at == 0x7f)
			*at = ' ';
	return copy;
}

/*
 * Appends UTF-8 text as encoded words, each a whole number of characters. column: where
 * the line is.
 */
static void
append_words(StringInfo out, const char *text, int column)
{
	size_t		len = strlen(text);
	size_t		at = 0;

	while (at < len)
	{
		size_t		used = 0;
		size_t		room = Max(LINE_LENGTH - WORD_AROUND - 1 - column, 0) / 4 * 3;
		char		word[TE_BASE64_SIZE(WORD_BYTES)];

		if (room < LEAST_BYTES)
		{
			appendStringInfoString(out, "\r\n ");
			column = 1;
			room = WORD_BYTES;
		}
		else if (at > 0)
		{
			appendStringInfoChar(out, ' ');
			column++;
		}
		room = Min(room, WORD_BYTES);
		while (at + used < len)
		{
			size_t		width = Min((size_t) pg_utf_mblen((const unsigned char *) text + at + used), len - at - used);

			if (used + width > room)
				break;
			used += width;
		}
		(void) te_crypto_base64_into((const unsigned char *) text + at, used, word);
		appendStringInfo(out, "=?UTF-8?B?%s?=", word);
		column += (int) strlen(word) + WORD_AROUND;
		at += used;
	}
}

/*
 * Appends plain text, folded at spaces.
 */
static void
append_folded(StringInfo out, const char *text, int column)
{
	while (*text)
	{
		size_t		width = strcspn(text + 1, " ") + 1;

		if (column + (int) width > LINE_LENGTH && *text == ' ' && text[1] != '\0' && text[1] != ' ')
		{
			appendStringInfoString(out, "\r\n");
			column = 0;
		}
		appendBinaryStringInfo(out, text, (int) width);
		column += (int) width;
		text += width;
	}
}

/*
 * Whether a part of plain text is too long to stand on a line.
 */
static bool
has_long_part(const char *text)
{
	while (*text)
	{
		size_t		width = strcspn(text + 1, " ") + 1;

		if (width > 900)
			return true;
		text += width;
	}
	return false;
}

/*
 * Appends a header whose value is free text, in UTF-8. Nothing when it is empty.
 */
void
te_mail_header(StringInfo out, const char *name, const char *value)
{
	char	   *line = one_line(value);
	int			column = (int) strlen(name) + 2;

	if (line[strspn(line, " ")] == '\0')
		return;
	appendStringInfo(out, "%s: ", name);
	if (is_plain(line) && !has_long_part(line))
		append_folded(out, line, column);
	else
		append_words(out, line, column);
	appendStringInfoString(out, "\r\n");
}

/*
 * Appends a header whose value we have made: ASCII without line ends.
 */
void
te_mail_header_raw(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "%s: %s\r\n", name, one_line(value));
}

/*
 * Appends a header that names a mailbox; display may be NULL.
 */
void
te_mail_header_mailbox(StringInfo out, const char *name, const char *display, const char *address)
{
	char	   *line = display ? one_line(display) : NULL;

	appendStringInfo(out, "%s: ", name);
	if (line && line[strspn(line, " ")] != '\0')
	{
		if (is_plain(line) && strlen(line) < 60)
		{
			appendStringInfoChar(out, '"');
			for (const char *at = line; *at; at++)
			{
				if (*at == '"' || *at == '\\')
					appendStringInfoChar(out, '\\');
				appendStringInfoChar(out, *at);
			}
			appendStringInfoChar(out, '"');
		}
		else
			append_words(out, line, (int) strlen(name) + 2);
		appendStringInfo(out, "\r\n <%s>\r\n", one_line(address));
	}
	else
		appendStringInfo(out, "%s\r\n", one_line(address));
}

/*
 * Whether an address can be named to a mail server: something before and after one @ in
 * ASCII, and no sign that would end it or begin another.
 */
bool
te_mail_address_valid(const char *address)
{
	const char *at = strrchr(address, '@');

	if (at == NULL || at == address || at[1] == '\0' || strlen(address) > MAX_ADDRESS)
		return false;
	for (const char *c = address; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("<>\",;:()[]\\", *c) || (*c == '@' && c != at))
			return false;
	return true;
}
