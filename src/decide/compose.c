/*
 * compose.c
 *		From decided items to messages: template, context, body.
 *
 * A message whose template fails, or stops it, is withheld; the others of its claim go
 * on. Needs a transaction with SPI connected.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "common/common.h"
#include "decide/decide.h"
#include "message/message.h"
#include "template/template.h"
#include "worker/worker.h"

/*
 * What identifies a send for ever, as text.
 */
char *
te_compose_identity(const TeItem *item)
{
	return psprintf("%s\n" INT64_FORMAT "\n%s\n%s\n%s\n" INT64_FORMAT,
					item->user_id, item->journey_id, item->entry_key,
					item->step_id, item->channel, (int64) item->event_at);
}

/*
 * Renders the step's template into item->content, or says in item->reason why there is
 * nothing to send. Throws when the template fails.
 */
static void
compose(TeItem *item, TimestampTz now, TeContentInput *input)
{
	const TeStored *stored;

	if (item->offer_problem)
	{
		item->reason = item->offer_problem;
		return;
	}
	stored = te_stored_find(item->step->template_name, item->locale, item->tenant, &item->reason);
	if (stored == NULL)
		return;
	item->template_version = stored->version;
	item->template_locale = pstrdup(stored->locale);
	if (strcmp(stored->channel->name, item->channel) != 0)
	{
		item->reason = psprintf("template \"%s\" is for channel %s now", item->step->template_name, stored->channel->name);
		return;
	}
	if (stored->content->dynamic)
	{
		te_context_build(item, stored, now, input);
		item->content = te_content_render(stored->content, input, &item->reason);
	}
	else
	{
		item->content = palloc(VARSIZE(stored->content->document));
		memcpy(item->content, stored->content->document, VARSIZE(stored->content->document));
	}
}

/* Items to compose, and how far it went. */
typedef struct Work
{
	TeItem	  **items;
	int			count;
	int			at;				/* the one at work */
	TimestampTz now;
	TeContentInput input;		/* of that one */
} Work;

/*
 * Composes the items from the one at work on.
 */
static void
compose_items(void *arg)
{
	Work	   *work = arg;

	for (; work->at < work->count; work->at++)
	{
		TeItem	   *item = work->items[work->at];

		work->input.place = NULL;
		if (item->is_send && item->verdict == TE_PASS)
			compose(item, work->now, &work->input);
	}
}

/*
 * True for what is wrong with the server, and may not be so later.
 */
bool
te_compose_may_pass(const ErrorData *failure)
{
	int			category = ERRCODE_TO_CATEGORY(failure->sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_SYSTEM_ERROR || category == ERRCODE_INTERNAL_ERROR;
}

/*
 * Notes why an item could not be composed. What is wrong with the template withholds the
 * message; what is wrong with the server holds it.
 */
static void
note_failure(TeItem *item, const char *place, const ErrorData *failure)
{
	const char *message = failure->message;
	const char *after = ": ";

	/* it names the line, and calls the text a template */
	if (place && strncmp(message, "template, ", 10) == 0)
	{
		message += 10;
		after = ", ";
	}
	item->content = NULL;
	item->reason = psprintf("template \"%s\"%s%s%s%s", item->step->template_name, place ? ", " : "", place ? place : "",
							after, message);
	item->compose_later = te_compose_may_pass(failure);
}

/*
 * Composes the messages of all items that passed so far: each then has its content, or
 * the reason why there is none. One subtransaction guards them all; each one that fails
 * costs another.
 */
void
te_compose(TeItem **items, int count, TimestampTz now)
{
	Work		work = {items, count, 0, now};
	int			i;

	for (i = 0; i < count; i++)
	{
		items[i]->content = NULL;
		items[i]->compose_later = false;
		items[i]->template_version = 0;
		items[i]->template_locale = NULL;
	}
	te_stored_refresh(te_journey_generation());
	te_offers_load(items, count);
	while (work.at < count)
	{
		ErrorData  *failure;

		te_stored_refresh(te_journey_generation());
		if (te_db_subtransaction(compose_items, &work, &failure))
			break;
		note_failure(items[work.at], work.input.place, failure);
		FreeErrorData(failure);
		work.at++;
	}
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
 * Has the provider's kind make the request of one item.
 */
static void
compose_request(TeItem *item, TimestampTz now)
{
	TeOutgoing	outgoing = {0};

	outgoing.content = item->content;
	outgoing.endpoint = item->endpoint;
	outgoing.address = item->address;
	outgoing.send_id = item->send_id;
	outgoing.message_id = te_compose_message_id(item);
	outgoing.user_id = item->user_id;
	outgoing.journey = item->journey_name;
	outgoing.step = item->step_id;
	outgoing.now = now;
	outgoing.now_text = te_context_iso_time(now);
	outgoing.ttl = item->expires_at == DT_NOEND ? -1 : Max(item->expires_at - now, 0) / USECS_PER_SEC;
	outgoing.transactional = item->transactional;
	/* large mailbox providers take marketing only with a way out that needs one click */
	if (strcmp(item->channel, "email") == 0 && !item->transactional && !item->topic_exempt)
		outgoing.unsubscribe_url = te_context_link(item, "unsubscribe", "unsubscribe");
	item->provider->ops->compose(item->provider, &outgoing);
	item->message_id = unconstify(char *, outgoing.message_id);
	item->url = outgoing.url;
	item->own_url = outgoing.own_url;
	item->headers = outgoing.headers;
	item->body = outgoing.body;
	item->body_len = outgoing.body_len;
	if (outgoing.why)
	{
		item->verdict = TE_WITHHOLD;
		item->gate = TE_GATE_PROVIDER;
		item->reason = outgoing.why;
		te_slots_untake(item);
	}
}

/*
 * Composes the requests from the one at work on.
 */
static void
compose_requests(void *arg)
{
	Work	   *work = arg;

	for (; work->at < work->count; work->at++)
	{
		TeItem	   *item = work->items[work->at];

		if (item->is_send && item->verdict == TE_PASS && item->provider && item->provider->ops)
			compose_request(item, work->now);
	}
}

/*
 * Makes the requests of all items that are going out, which have their number by now;
 * those that cannot be made are withheld, or held when the server is at fault. One
 * subtransaction guards them all.
 */
void
te_compose_requests(TeItem **items, int count, TimestampTz now)
{
	Work		work = {items, count, 0, now};

	while (work.at < count)
	{
		ErrorData  *failure;
		TeItem	   *item;

		if (te_db_subtransaction(compose_requests, &work, &failure))
			break;
		item = items[work.at];
		te_gate_hold(item, TE_GATE_PROVIDER, psprintf("provider \"%s\": %s", item->provider_name, failure->message), now);
		if (!te_compose_may_pass(failure))
			item->verdict = TE_WITHHOLD;
		te_slots_untake(item);
		FreeErrorData(failure);
		work.at++;
	}
}
