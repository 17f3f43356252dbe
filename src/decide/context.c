/*
 * context.c
 *		What templates may refer to.
 *
 * Nothing is copied: the context is made of references to what the item holds. What has
 * to be worked out is so only for a template that names it; that needs a transaction
 * with SPI connected.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"

#include "common/common.h"
#include "decide/decide.h"
#include "guc.h"
#include "message/message.h"

/* Members of an object that is being put together. */
typedef struct Members
{
	TeHash		hash;
	TeMember   *list;
	int			count;
} Members;

/*
 * An empty object with room for so many members.
 */
static Members *
begin_members(int size)
{
	Members    *members = palloc0(sizeof(Members));

	members->list = palloc(sizeof(TeMember) * size);
	return members;
}

/*
 * Adds a member.
 */
static void
add_value(Members *members, const char *key, TeValue value)
{
	members->list[members->count++] = (TeMember) {key, strlen(key), value};
}

/*
 * Adds a text, nil for NULL.
 */
static void
add_text(Members *members, const char *key, const char *text)
{
	add_value(members, key, text ? TE_VALUE_STRING(text, strlen(text)) : TE_VALUE_NIL);
}

/*
 * A document as a value; an empty object for NULL.
 */
static TeValue
document_value(Jsonb *document)
{
	static const TeHash empty = {0};
	JsonbValue	value;

	if (document == NULL)
		return (TeValue) {.kind = TE_HASH, .u.hash = &empty};
	value.type = jbvBinary;
	value.val.binary.data = &document->root;
	value.val.binary.len = VARSIZE(document) - VARHDRSZ;
	return te_value_from_jsonb(NULL, &value);
}

/*
 * Adds the members of an object, except those whose names are taken.
 */
static void
add_members(Members *members, Jsonb *document)
{
	int			fixed = members->count;
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	TeMember   *member = NULL;
	int			i;

	if (document == NULL || !JB_ROOT_IS_OBJECT(document))
		return;
	it = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE && member != NULL)
		{
			member->value = te_value_from_jsonb(NULL, &value);
			members->count++;
		}
		if (token != WJB_KEY)
			continue;
		member = &members->list[members->count];
		member->key = value.val.string.val;
		member->keylen = value.val.string.len;
		for (i = 0; i < fixed && member != NULL; i++)
			if (members->list[i].keylen == member->keylen &&
				memcmp(members->list[i].key, member->key, member->keylen) == 0)
				member = NULL;
	}
}

/*
 * The finished object as a value.
 */
static TeValue
end_members(Members *members)
{
	members->hash.count = members->count;
	members->hash.members = members->list;
	return (TeValue) {.kind = TE_HASH, .len = members->count, .u.hash = &members->hash};
}

/*
 * Number of members of an object.
 */
static int
size_of(Jsonb *document)
{
	return document && JB_ROOT_IS_OBJECT(document) ? JB_ROOT_COUNT(document) : 0;
}

/*
 * user: the attributes, and user_id, locale, zone, country, tenant.
 */
static TeValue
user_value(const TeItem *item)
{
	Members    *user = begin_members(6 + size_of(item->attributes));

	add_value(user, "attributes", document_value(item->attributes));
	add_text(user, "user_id", item->user_id);
	add_text(user, "locale", item->locale);
	add_text(user, "zone", item->zone);
	add_text(user, "country", item->country);
	add_text(user, "tenant", item->tenant);
	add_members(user, item->attributes);
	return end_members(user);
}

/*
 * An instant in ISO 8601, UTC.
 */
char *
te_context_iso_time(TimestampTz at)
{
	char	   *buffer = palloc(MAXDATELEN + 1);
	int			utc = 0;

	return JsonEncodeDateTime(buffer, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
}

/*
 * event: the properties of what started the journey, and name, occurred_at, context.
 */
static TeValue
event_value(const TeItem *item)
{
	Members    *event = begin_members(4 + size_of(item->properties));

	add_value(event, "properties", document_value(item->properties));
	add_value(event, "context", document_value(item->event_context));
	add_text(event, "name", item->event_name ? item->event_name : item->journey ? item->journey->trigger.event : NULL);
	add_text(event, "occurred_at", te_context_iso_time(item->event_at));
	add_members(event, item->properties);
	return end_members(event);
}

/*
 * A page of the application for this user, with a token that lets its holder in; NULL
 * while no public_url is set. A preview gets a token that opens nothing. In the current
 * memory context; needs a transaction with SPI connected.
 */
char *
te_context_link(const TeItem *item, const char *page, const char *scope)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[4] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	char		nulls[5] = "    ";
	char	   *token = "preview";
	int			base = strlen(te_guc_public_url);

	if (base == 0)
		return NULL;
	if (item->journey)
	{
		values[0] = CStringGetTextDatum(item->user_id);
		values[1] = CStringGetTextDatum(item->channel);
		values[2] = item->topic ? CStringGetTextDatum(item->topic) : (Datum) 0;
		nulls[2] = item->topic ? ' ' : 'n';
		values[3] = CStringGetTextDatum(scope);
		te_db_execute(&plan, "SELECT trigger_engine._scoped_token($1, $2, $3, $4, '400 days')", 4, types, values, nulls, false, 1);
		token = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		SPI_freetuptable(SPI_tuptable);
	}
	if (te_guc_public_url[base - 1] == '/')
		base--;
	return psprintf("%.*s/%s?token=%s", base, te_guc_public_url, page, token);
}

/*
 * The same for templates.
 */
static TeValue
link_value(const TeItem *item, const char *page, const char *scope)
{
	char	   *url = te_context_link(item, page, scope);

	return url ? TE_VALUE_STRING(url, strlen(url)) : TE_VALUE_NIL;
}

/*
 * The items that recommend() has for the user, each with its features.
 */
static TeValue
recommended_value(const TeItem *item)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(item->user_id)};
	Jsonb	   *list;
	bool		isnull;

	te_db_execute(&plan,
				  "SELECT coalesce(jsonb_agg(coalesce(i.features, '{}') || jsonb_build_object('item_id', r.item_id,"
				  " 'rank', r.rank, 'score', r.score, 'reason', r.reason) ORDER BY r.rank), '[]')"
				  " FROM trigger_engine.recommend($1, 10) r LEFT JOIN trigger_engine._items i ON i.item_id = r.item_id",
				  1, types, values, NULL, false, 1);
	list = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return document_value(list);
}

/*
 * Fills in what a message is rendered with; strings and values are in the current
 * memory context or those of the item. Fixed members win over attributes and properties
 * of their name. Equal seeds make equal choices: the seed is the identity of the send.
 */
void
te_context_build(const TeItem *item, const TeStored *stored, TimestampTz now, TeContentInput *input)
{
	Members    *root = begin_members(13);
	TeTime	   *time = palloc(sizeof(TeTime));
	TeValue    *value = palloc(sizeof(TeValue));
	const char *zone_source;

	memset(input, 0, sizeof(*input));
	input->render.zone = te_facts_zone(item, &zone_source);
	time->at = now;
	time->zone = input->render.zone;
	add_value(root, "user", user_value(item));
	add_value(root, "event", event_value(item));
	if (item->events)
	{
		add_value(root, "events", document_value(item->events));
		add_value(root, "event_count", TE_VALUE_INT(item->event_count));
	}
	add_text(root, "journey", item->journey_name);
	add_text(root, "step", item->step_id);
	add_text(root, "channel", stored->channel->name);
	add_value(root, "now", (TeValue) {.kind = TE_TIME, .u.time = time});
	if (stored->unsubscribe_url)
		add_value(root, "unsubscribe_url", link_value(item, "unsubscribe", "unsubscribe"));
	if (stored->preferences_url)
		add_value(root, "preferences_url", link_value(item, "preferences", "preferences"));
	if (item->offers)
		add_value(root, "offers", document_value(item->offers));
	if (stored->recommended)
		add_value(root, "recommended", recommended_value(item));
	*value = end_members(root);
	input->render.root = value;
	input->render.locale = stored->render_locale ? stored->render_locale : "en";
	input->render.partials = stored->partials;
	input->html_partials = stored->html_partials;
	input->render.translations = stored->translations;
	input->render.now = now;
	input->render.seed = te_compose_identity(item);
}
