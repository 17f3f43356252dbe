/*
 * mail_body.c
 *		Encodings of a mail's parts (RFC 2045): every line is short, ends with CRLF,
 *		and none needs a server that takes more than seven bits.
 */
#include "postgres.h"

#include "message/mail.h"

#define LINE_LENGTH 76

/*
 * Appends text as quoted-printable. Line ends of any kind become CRLF; one more is put
 * behind the last line.
 */
void
te_mail_quoted_printable(StringInfo out, const char *text, size_t len)
{
	int			column = 0;

	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];
		char		coded[4];
		int			width;
		bool		line_ends = i + 1 == len || text[i + 1] == '\n' || text[i + 1] == '\r';

		if (c == '\r' && i + 1 < len && text[i + 1] == '\n')
			continue;
		if (c == '\n' || c == '\r')
		{
			appendStringInfoString(out, "\r\n");
			column = 0;
			continue;
		}
		/* a dot or "From " at the beginning of a line has been taken for something else */
		if ((c >= '!' && c <= '~' && c != '=' && !(column == 0 && (c == '.' || c == 'F' || c == '-'))) ||
			((c == ' ' || c == '\t') && !line_ends))
		{
			coded[0] = (char) c;
			coded[1] = '\0';
			width = 1;
		}
		else
		{
			snprintf(coded, sizeof(coded), "=%02X", c);
			width = 3;
		}
		if (column + width > LINE_LENGTH - 1)
		{
			appendStringInfoString(out, "=\r\n");
			column = 0;
			if (c == '.' || c == 'F' || c == '-')
			{
				snprintf(coded, sizeof(coded), "=%02X", c);
				width = 3;
			}
		}
		appendBinaryStringInfo(out, coded, width);
		column += width;
	}
	appendStringInfoString(out, "\r\n");
}

/*
 * Appends base64 that was written without line ends, or with some, in lines.
 */
void
te_mail_base64_lines(StringInfo out, const char *base64, size_t len)
{
	int			column = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (base64[i] <= ' ')
			continue;
		if (column == LINE_LENGTH)
		{
			appendStringInfoString(out, "\r\n");
			column = 0;
		}
		appendStringInfoChar(out, base64[i]);
		column++;
	}
	appendStringInfoString(out, "\r\n");
}
