/*
 * message.h
 *		What a message of each channel consists of, stored templates, and rendering all
 *		of one.
 */
#pragma once

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "template/liquid.h"

/* ---- channel.c ---- */

typedef enum TeFieldKind
{
	TE_FIELD_TEXT,				/* any text, as it is */
	TE_FIELD_LINE,				/* one line: nothing that ends or reorders it */
	TE_FIELD_HTML,
	TE_FIELD_URL,				/* a link, of the web or into an app */
	TE_FIELD_IMAGE,				/* a link that devices load a picture from */
	TE_FIELD_ADDRESS,			/* of a mailbox */
	TE_FIELD_NUMBER,			/* a whole number that is not negative */
	TE_FIELD_ACTIONS,			/* a list of buttons */
	TE_FIELD_OBJECT,			/* any object; every text in it is rendered */
	TE_FIELD_DOCUMENT			/* anything; the same */
} TeFieldKind;

typedef struct TeField
{
	const char *name;
	TeFieldKind kind;
} TeField;

typedef struct TeChannel
{
	const char *name;
	const TeField *fields;		/* ends with a NULL name */
	const char *needed[4];		/* at least one of these; ends with NULL */
	bool		any_field;		/* takes unknown ones as documents */
	bool		is_block;		/* no channel: text that templates include */
} TeChannel;

extern const TeChannel *te_channel_find(const char *name);	/* NULL if unknown */
extern const char *const *te_channel_names(void);	/* ends with NULL; those of messages */
extern const TeField *te_channel_field(const TeChannel *channel, const char *name, int len);
extern const TeField *te_channel_action_field(const char *name, int len);

/* Throws, naming the field, unless the content fits the channel. */
extern void te_channel_check(const TeChannel *channel, Jsonb *content);

/* ---- content.c ---- */

/* One text in the content, in the order of a walk. */
typedef struct TeContentText
{
	TeFieldKind kind;
	bool		dynamic;		/* has anything to render */
	const char *place;			/* for messages: field "title" */
} TeContentText;

/* The content of one version of a template, looked through once. */
typedef struct TeContent
{
	const TeChannel *channel;
	Jsonb	   *document;
	int			ntexts;
	TeContentText *texts;
	bool		dynamic;		/* one of them has */
} TeContent;

/* What the texts of a message are rendered with. */
typedef struct TeContentInput
{
	TeRenderInput render;		/* escape is set by the field */
	Jsonb	   *html_partials;	/* for fields of HTML, instead of render.partials */
	const char *place;			/* the text at work, for whoever catches an error */
} TeContentInput;

extern TeContent *te_content_compile(const TeChannel *channel, Jsonb *document);

/* The rendered content; NULL with the reason when it must not be sent. Throws as a render does. */
extern Jsonb *te_content_render(const TeContent *content, TeContentInput *input, char **reason);

/* Throws, naming the field, unless every text parses. */
extern void te_content_check(const TeContent *content);

/* ---- needs.c ---- */

/* What texts need beside their context. */
typedef struct TeNeeds
{
	List	   *blocks;			/* names of content blocks */
	bool		all_blocks;		/* any: a name is known when rendering only */
	bool		translations;
	bool		unsubscribe_url;	/* variables that are worked out only where they are named */
	bool		preferences_url;
	bool		recommended;
	List	   *offers;			/* names, of {{ offers.NAME }} */
} TeNeeds;

extern void te_needs_add(TeNeeds *needs, Jsonb *content);

/* ---- stored.c: templates of the database ---- */

/* What a reader gets of a template. */
typedef struct TeStored
{
	const TeChannel *channel;
	int32		version;
	const char *locale;			/* of the text; empty = the default text */
	const char *render_locale;	/* whose formats and translations it is rendered with, or NULL */
	TeContent  *content;
	Jsonb	   *partials;		/* the blocks it includes, or NULL */
	Jsonb	   *html_partials;
	Jsonb	   *translations;	/* or NULL */
	bool		unsubscribe_url;	/* whether it names that variable */
	bool		preferences_url;
	bool		recommended;
	List	   *offers;			/* names of those that it names; strings */
} TeStored;

/* Which version of a text. */
typedef struct TeStoredChoice
{
	int32		version;		/* 0: the live one */
	bool		draft;			/* the newest one */
} TeStoredChoice;

/* Forgets what is kept when the generation of the configuration is another one, or too much is kept. */
extern void te_stored_refresh(uint64 generation);

/*
 * The live text for a reader, kept until the next refresh; NULL with the reason when
 * there is none. Needs a transaction with SPI connected; may throw.
 */
extern const TeStored *te_stored_find(const char *name, const char *locale, const char *tenant, char **reason);

/* The same, of any version, not kept: in the current memory context. */
extern const TeStored *te_stored_load(const char *name, const char *locale, const char *tenant,
									  const TeStoredChoice *choice, char **reason);

/* ---- payload.c: a rendered push message as services take it ---- */

typedef enum TePushService
{
	TE_PUSH_APNS,
	TE_PUSH_FCM,
	TE_PUSH_WEB
} TePushService;

/* Bytes that services take; of web push before it is encrypted. */
#define TE_APNS_MOST 4096
#define TE_FCM_MOST 4096
#define TE_WEB_PUSH_MOST 3993

/* What a push message carries beside its content. */
typedef struct TePushEnvelope
{
	const char *message_id;		/* msg_ and 32 hexadecimal digits */
	int64		ttl;			/* seconds; -1 = without end */
} TePushEnvelope;

/* Whether it shows nothing: data for the app alone. */
extern bool te_payload_is_silent(Jsonb *content);

/* The members of FCM's message, without braces; envelope NULL: for their size. */
extern void te_payload_write_fcm(StringInfo out, Jsonb *content, int64 send_id, const TePushEnvelope *envelope);

extern void te_payload_write(StringInfo out, TePushService service, Jsonb *content, int64 send_id);
extern void te_payload_write_json(StringInfo out, Jsonb *document);	/* without white space */

/* ---- inspect.c: warnings, as texts ---- */

/* A rendered field that is looked at. */
typedef struct TeInspected
{
	const TeChannel *channel;
	const char *name;
	TeFieldKind kind;
	const char *text;
	int			len;
	int			graphemes;
	const char *encoding;		/* of a text message, else NULL */
	int			segments;
} TeInspected;

extern List *te_inspect_field(TeInspected *field, bool has_image);
extern List *te_inspect_actions(List *warnings, const TeChannel *channel, Jsonb *content);
extern List *te_inspect_data(List *warnings, Jsonb *content);
