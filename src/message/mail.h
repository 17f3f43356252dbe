/*
 * mail.h
 *		A rendered e-mail as it goes over the wire (RFC 5322, MIME).
 */
#pragma once

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* What the content does not say. Texts in the database's encoding. */
typedef struct TeMail
{
	const char *from;			/* an address, unless the content has one */
	const char *from_name;		/* or NULL */
	const char *to;
	const char *message_id;		/* the part before the @ */
	int64		send_id;
	TimestampTz date;
	const char *unsubscribe_url;	/* unless the content has one; or NULL */
} TeMail;

/* mail.c: the whole message with CRLF line ends, in the current memory context */
extern void te_mail_write(StringInfo out, const TeMail *mail, Jsonb *content);

/* its HTML with the preheader in it, in the database's encoding; NULL when it has none */
extern char *te_mail_html(Jsonb *content);

/* mail_header.c */
extern void te_mail_header(StringInfo out, const char *name, const char *value);
extern void te_mail_header_mailbox(StringInfo out, const char *name, const char *display, const char *address);
extern void te_mail_header_raw(StringInfo out, const char *name, const char *value);
extern bool te_mail_address_valid(const char *address);

/* mail_body.c */
extern void te_mail_quoted_printable(StringInfo out, const char *text, size_t len);
extern void te_mail_base64_lines(StringInfo out, const char *base64, size_t len);
