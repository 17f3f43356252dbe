/*
 * compose.c
 *		From a decided item to the message: context, template, body.
 *
 * Templates are kept a process until configuration changes. Needs a transaction
 * with SPI connected.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "decide/decide.h"
#include "template/template.h"
#include "worker/worker.h"

/* A template as kept; content NULL = known not to be there. */
typedef struct Template
{
	char		key[NAMEDATALEN * 4];	/* name, newline, locale */
	Jsonb	   *content;
} Template;

static MemoryContext templates_context = NULL;
static HTAB *templates = NULL;
static uint64 templates_generation = 0;

/* Of readers' locales there can be any number: beyond this the cache starts anew. */
#define MOST_TEMPLATES 10000

/*
 * Starts the cache anew when configuration changed, or when it has grown too much.
 */
static void
refresh_templates(void)
{
	HASHCTL		control = {0};

	if (templates && templates_generation == te_journey_generation() &&
		hash_get_num_entries(templates) < MOST_TEMPLATES)
		return;
	if (templates_context)
		MemoryContextDelete(templates_context);
	templates_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine templates",
											  ALLOCSET_DEFAULT_SIZES);
	templates_generation = te_journey_generation();
	control.keysize = sizeof(((Template *) 0)->key);
	control.entrysize = sizeof(Template);
	control.hcxt = templates_context;
	templates = hash_create("trigger_engine templates", 64, &control,
							HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * The text for a reader: of the locale, of its language, or the default one.
 */
static Jsonb *
find_template(const char *name, const char *locale)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	char		key[sizeof(((Template *) 0)->key)];
	Template   *entry;

	refresh_templates();
	memset(key, 0, sizeof(key));
	snprintf(key, sizeof(key), "%s\n%s", name, locale ? locale : "");
	entry = hash_search(templates, key, HASH_FIND, NULL);
	if (entry)
		return entry->content;

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(locale ? locale : "");
	te_db_execute(&plan,
				  "SELECT content FROM trigger_engine._templates WHERE name = $1"
				  " AND locale IN ('', $2, pg_catalog.split_part($2, '-', 1), pg_catalog.split_part($2, '_', 1))"
				  " ORDER BY pg_catalog.length(locale) DESC LIMIT 1", 2, types, values, NULL, false, 1);
	entry = hash_search(templates, key, HASH_ENTER, NULL);
	entry->content = NULL;
	if (SPI_processed > 0)
	{
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(templates_context);

		entry->content = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
														  1, &isnull));
		MemoryContextSwitchTo(old);
	}
	return entry->content;
}

/*
 * Adds a key to the object that is being built.
 */
static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

/*
 * Adds a text member; null when text is NULL.
 */
static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = text ? jbvString : jbvNull;
	if (text)
	{
		value.val.string.val = unconstify(char *, text);
		value.val.string.len = strlen(text);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * Adds a document as a member; an empty object when it is NULL.
 */
static void
push_document(JsonbParseState **state, const char *key, Jsonb *document)
{
	JsonbValue	value;

	push_key(state, key);
	if (document == NULL)
	{
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
		return;
	}
	value.type = jbvBinary;
	value.val.binary.data = &document->root;
	value.val.binary.len = VARSIZE(document) - VARHDRSZ;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * Adds the members of an object to the one that is being built.
 */
static void
push_members(JsonbParseState **state, Jsonb *document)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (document == NULL || !JB_ROOT_IS_OBJECT(document))
		return;
	it = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			pushJsonbValue(state, token, &value);
}

/*
 * An instant in ISO 8601, UTC.
 */
static char *
iso_time(TimestampTz at)
{
	char	   *buffer = palloc(MAXDATELEN + 1);
	int			utc = 0;

	return JsonEncodeDateTime(buffer, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
}

/*
 * What templates may refer to: user (attributes, and user_id, locale, zone,
 * country, tenant), event (properties, and name, occurred_at, context), journey,
 * step and send. Fixed members win over attributes and properties of their name.
 */
static Jsonb *
build_context(const TeItem *item)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "user");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_members(&state, item->attributes);
	push_document(&state, "attributes", item->attributes);
	push_text(&state, "user_id", item->user_id);
	push_text(&state, "locale", item->locale);
	push_text(&state, "zone", item->zone);
	push_text(&state, "country", item->country);
	push_text(&state, "tenant", item->tenant);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	push_key(&state, "event");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_members(&state, item->properties);
	push_document(&state, "properties", item->properties);
	push_document(&state, "context", item->event_context);
	push_text(&state, "name", item->event_name ? item->event_name : item->journey->trigger.event);
	push_text(&state, "occurred_at", iso_time(item->event_at));
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	push_text(&state, "journey", item->journey_name);
	push_text(&state, "step", item->step_id);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Renders the step's template into item->content. False, with the reason, when
 * there is no template for the reader.
 */
bool
te_compose(TeItem *item, TimestampTz now)
{
	Jsonb	   *template = find_template(item->step->template_name, item->locale);

	if (template == NULL)
	{
		item->reason = psprintf("template \"%s\" does not exist", item->step->template_name);
		return false;
	}
	item->content = te_template_render_document(template, build_context(item));
	return true;
}

/*
 * The identity of the send as it travels to the receiver: a digest of what identifies
 * it for ever, so that it is the same at every attempt, also when a claim was lost in
 * a failover and the send has another number, and another in every other installation.
 */
char *
te_compose_message_id(const TeItem *item)
{
	StringInfoData identity;
	unsigned char digest[32];
	StringInfoData id;
	int			i;

	/* with the zero bytes that end the texts, lest two of them run together */
	initStringInfo(&identity);
	appendBinaryStringInfo(&identity, (const char *) te_fence_identity(), TE_IDENTITY_SIZE);
	appendStringInfo(&identity, INT64_FORMAT, item->journey_id);
	appendStringInfoChar(&identity, '\0');
	appendBinaryStringInfo(&identity, item->user_id, strlen(item->user_id) + 1);
	appendBinaryStringInfo(&identity, item->entry_key, strlen(item->entry_key) + 1);
	appendBinaryStringInfo(&identity, item->step_id, strlen(item->step_id) + 1);
	appendBinaryStringInfo(&identity, item->channel, strlen(item->channel) + 1);
	appendBinaryStringInfo(&identity, "normal", sizeof("normal"));	/* the attempt class */
	te_crypto_sha256(identity.data, identity.len, digest);
	pfree(identity.data);

	initStringInfo(&id);
	appendStringInfoString(&id, "msg_");
	for (i = 0; i < 16; i++)
		appendStringInfo(&id, "%02x", digest[i]);
	return id.data;
}

/*
 * The body of a webhook after Standard Webhooks: type, timestamp, data.
 */
void
te_compose_webhook(TeItem *item, TimestampTz now)
{
	char	   *type = te_json_text(item->content, "type", "content");
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"type\":");
	escape_json(&body, type ? type : psprintf("journey.%s", item->journey_name));
	appendStringInfo(&body, ",\"timestamp\":\"%s\",\"data\":{\"send_id\":\"" INT64_FORMAT "\",\"user_id\":",
					 iso_time(now), item->send_id);
	escape_json(&body, item->user_id);
	appendStringInfoString(&body, ",\"journey\":");
	escape_json(&body, item->journey_name);
	appendStringInfoString(&body, ",\"step\":");
	escape_json(&body, item->step_id);
	appendStringInfoString(&body, ",\"content\":");
	(void) JsonbToCString(&body, &item->content->root, VARSIZE(item->content));
	appendStringInfoString(&body, "}}");
	item->body = body.data;
	item->body_len = body.len;
}
