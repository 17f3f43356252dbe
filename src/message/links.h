/*
 * links.h
 *		Rewriting the links of rendered messages.
 */
#pragma once

#include "postgres.h"

#include "message/message.h"

/* A key that tokens are signed with. */
typedef struct TeLinkKey
{
	int			id;
	unsigned char bytes[32];
} TeLinkKey;

/* What happens to the links of one message. */
typedef struct TeLinkRules
{
	const char *utm;			/* parameters to add, encoded, without the first "&"; NULL = none */
	const TeLinkKey *key;		/* NULL = no tokens */
	const char *click_url;		/* what tokens are put behind; NULL = links stay as they are */
	const char *open_url;		/* of the picture that counts opens; NULL = none */
	const char *public_url;		/* links that begin so are left alone; NULL = none */
	int64		send_id;
	int64		expires;		/* of tokens, Unix seconds */
} TeLinkRules;

/* link_token.c */
extern char *te_link_token(const TeLinkKey *key, char kind, int64 send_id, int64 expires, const char *url);

/* links.c: the content with its links rewritten, in the current memory context */
extern Jsonb *te_links_rewrite(const TeChannel *channel, Jsonb *content, const TeLinkRules *rules);
