/*
 * mail.c
 *		A rendered e-mail as it goes over the wire: head, text, HTML, pictures.
 *
 * Texts are converted to UTF-8 here, whatever the database's encoding.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "pgtime.h"

#include "common/common.h"
#include "message/mail.h"

#define MAX_IMAGES 50

/* A picture that came inside the HTML. */
typedef struct Image
{
	const char *type;			/* image/png ... */
	size_t		type_len;
	const char *base64;
	size_t		len;
} Image;

/*
 * A text of the content in UTF-8; NULL when there is none or it is empty.
 */
static char *
field(Jsonb *content, const char *name)
{
	char	   *value = te_json_text(content, name, "content");

	if (value == NULL || value[0] == '\0')
		return NULL;
	return pg_server_to_any(value, (int) strlen(value), PG_UTF8);
}

/*
 * The date as RFC 5322 writes it, in UTC.
 */
static char *
date_text(TimestampTz at)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	pg_time_t	seconds = timestamptz_to_time_t(at);
	struct pg_tm *utc = pg_gmtime(&seconds);

	return psprintf("%s, %02d %s %04d %02d:%02d:%02d +0000", days[utc->tm_wday], utc->tm_mday, months[utc->tm_mon],
					utc->tm_year + 1900, utc->tm_hour, utc->tm_min, utc->tm_sec);
}

/*
 * Whether text begins with word, in any case.
 */
static bool
begins(const char *text, const char *word)
{
	return pg_strncasecmp(text, word, strlen(word)) == 0;
}

/*
 * Puts the text that mailbox lists show behind the subject at the beginning of the HTML,
 * where it is not seen. In the current memory context.
 */
static char *
with_preheader(char *html, const char *preheader)
{
	StringInfoData out;
	const char *body = html;

	if (preheader == NULL)
		return html;
	while (*body && !(begins(body, "<body") && (body[5] == '>' || isspace((unsigned char) body[5]))))
		body++;
	body = *body ? strchr(body, '>') : NULL;
	body = body ? body + 1 : html;
	initStringInfo(&out);
	appendBinaryStringInfo(&out, html, (int) (body - html));
	appendStringInfoString(&out, "<div style=\"display:none;max-height:0;overflow:hidden\">");
	for (; *preheader; preheader++)
	{
		if (*preheader == '<')
			appendStringInfoString(&out, "&lt;");
		else if (*preheader == '&')
			appendStringInfoString(&out, "&amp;");
		else
			appendStringInfoChar(&out, *preheader);
	}
	appendStringInfoString(&out, "</div>");
	appendStringInfoString(&out, body);
	return out.data;
}

/*
 * The HTML of a message with its preheader, for services that take mail apart. In
 * the current memory context.
 */
char *
te_mail_html(Jsonb *content)
{
	JsonbValue *html = te_json_find(content, "html");

	if (html == NULL || html->type != jbvString)
		return NULL;
	return with_preheader(pnstrdup(html->val.string.val, html->val.string.len),
						  te_json_text(content, "preheader", "content"));
}

/*
 * Reads a picture written into an attribute, data:image/png;base64,...; 0 when there is
 * none at text, else its length.
 */
static size_t
read_image(const char *text, Image *image)
{
	const char *at = text + 5;

	if (!begins(text, "data:image/"))
		return 0;
	image->type = at;
	at += 6;
	while (isalnum((unsigned char) *at) || *at == '.' || *at == '-' || *at == '+')
		at++;
	image->type_len = at - image->type;
	if (image->type_len > 60 || !begins(at, ";base64,"))
		return 0;
	at += 8;
	image->base64 = at;
	while (isalnum((unsigned char) *at) || *at == '+' || *at == '/' || *at == '=')
		at++;
	image->len = at - image->base64;
	if (image->len == 0 || (*at != '"' && *at != '\''))
		return 0;
	return at - text;
}

/*
 * Takes pictures out of the HTML and leaves references to parts; how many.
 */
static int
take_images(char **html, Image *images, const char *message_id)
{
	StringInfoData out;
	int			count = 0;
	const char *from = *html;

	if (strstr(*html, "data:") == NULL && strstr(*html, "DATA:") == NULL)
		return 0;
	initStringInfo(&out);
	while (*from)
	{
		size_t		len = 0;

		if ((*from == '"' || *from == '\'') && count < MAX_IMAGES)
			len = read_image(from + 1, &images[count]);
		appendStringInfoChar(&out, *from);
		if (len > 0)
		{
			appendStringInfo(&out, "cid:%d.%s@images", ++count, message_id);
			from += len;
		}
		from++;
	}
	*html = out.data;
	return count;
}

/*
 * Appends a part of text with its head.
 */
static void
write_text_part(StringInfo out, const char *type, const char *text)
{
	appendStringInfo(out, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", type);
	te_mail_quoted_printable(out, text, strlen(text));
}

/*
 * Appends the HTML, alone or with its pictures.
 */
static void
write_html(StringInfo out, char *html, const char *message_id)
{
	Image		images[MAX_IMAGES];
	int			count = take_images(&html, images, message_id);

	if (count == 0)
	{
		write_text_part(out, "text/html", html);
		return;
	}
	appendStringInfo(out, "Content-Type: multipart/related; type=\"text/html\";\r\n boundary=\"=_r_%s\"\r\n\r\n--=_r_%s\r\n",
					 message_id, message_id);
	write_text_part(out, "text/html", html);
	for (int i = 0; i < count; i++)
	{
		appendStringInfo(out, "--=_r_%s\r\nContent-Type: %.*s\r\nContent-Transfer-Encoding: base64\r\n"
						 "Content-ID: <%d.%s@images>\r\nContent-Disposition: inline\r\n\r\n",
						 message_id, (int) images[i].type_len, images[i].type, i + 1, message_id);
		te_mail_base64_lines(out, images[i].base64, images[i].len);
	}
	appendStringInfo(out, "--=_r_%s--\r\n", message_id);
}

/*
 * Appends how to leave the list with one click (RFC 2369, RFC 8058). An address without
 * https cannot take the POST.
 */
static void
write_unsubscribe(StringInfo out, const char *url)
{
	if (url == NULL || strlen(url) > 900)
		return;
	for (const char *at = url; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == '<' || *at == '>')
			return;
	te_mail_header_raw(out, "List-Unsubscribe", psprintf("<%s>", url));
	if (begins(url, "https://"))
		te_mail_header_raw(out, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
}

/*
 * Appends the whole message. Headers that a signature covers come first and once each.
 */
void
te_mail_write(StringInfo out, const TeMail *mail, Jsonb *content)
{
	char	   *from = field(content, "from");
	char	   *from_name = field(content, "from_name");
	char	   *reply_to = field(content, "reply_to");
	char	   *subject = field(content, "subject");
	char	   *html = field(content, "html");
	char	   *text = field(content, "text");
	const char *unsubscribe_url = field(content, "list_unsubscribe");
	const char *domain;

	if (from == NULL || !te_mail_address_valid(from))
		from = pstrdup(mail->from);
	if (from_name == NULL && mail->from_name)
		from_name = pg_server_to_any(mail->from_name, (int) strlen(mail->from_name), PG_UTF8);
	domain = strrchr(from, '@');

	te_mail_header_mailbox(out, "From", from_name, from);
	te_mail_header_mailbox(out, "To", NULL, mail->to);
	if (subject)
		te_mail_header(out, "Subject", subject);
	te_mail_header_raw(out, "Date", date_text(mail->date));
	te_mail_header_raw(out, "Message-ID", psprintf("<%s%s>", mail->message_id, domain ? domain : "@localhost"));
	if (reply_to && te_mail_address_valid(reply_to))
		te_mail_header_mailbox(out, "Reply-To", NULL, reply_to);
	write_unsubscribe(out, unsubscribe_url ? unsubscribe_url : mail->unsubscribe_url);
	te_mail_header_raw(out, "Auto-Submitted", "auto-generated");
	te_mail_header_raw(out, "X-Send-Id", psprintf(INT64_FORMAT, mail->send_id));
	te_mail_header_raw(out, "MIME-Version", "1.0");
	if (html == NULL)
	{
		write_text_part(out, "text/plain", text ? text : "");
		return;
	}
	html = with_preheader(html, field(content, "preheader"));
	if (text == NULL)
	{
		write_html(out, html, mail->message_id);
		return;
	}
	appendStringInfo(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_a_%s\"\r\n\r\n--=_a_%s\r\n",
					 mail->message_id, mail->message_id);
	write_text_part(out, "text/plain", text);
	appendStringInfo(out, "--=_a_%s\r\n", mail->message_id);
	write_html(out, html, mail->message_id);
	appendStringInfo(out, "--=_a_%s--\r\n", mail->message_id);
}
