/*
 * gates.c
 *		The gates in their fixed order, and the decision they come to.
 *
 * A gate stops an item, holds it, or lets it pass to the next one. Every item is
 * decided with the facts of one snapshot; the first gate that stops it is what is
 * recorded.
 */
#include "postgres.h"

#include "common/common.h"
#include "decide/decide.h"
#include "experiment/experiment.h"

/* A held message is looked at again after this, doubled each time up to the most. */
#define FIRST_HOLD (10 * USECS_PER_SEC)
#define LONGEST_HOLD USECS_PER_HOUR

/*
 * Stops an item at a gate.
 */
static void
stop(TeItem *item, TeVerdictKind verdict, TeGate gate, char *reason)
{
	item->verdict = verdict;
	item->gate = gate;
	item->reason = reason;
}

/*
 * Holds an item at a gate until something may have changed.
 */
void
te_gate_hold(TeItem *item, TeGate gate, char *reason, TimestampTz now)
{
	stop(item, TE_HOLD, gate, reason);
	item->hold_until = now + Min(FIRST_HOLD << Min(item->holds, 20), LONGEST_HOLD);
}

/*
 * The journey, its step and its version exist and are live; a pause holds.
 */
static void
gate_journey_live(TeItem *item, TimestampTz now)
{
	if (item->journey == NULL)
		stop(item, TE_WITHHOLD, TE_GATE_JOURNEY_LIVE, "the journey was dropped");
	else if (item->step == NULL)
		stop(item, TE_WITHHOLD, TE_GATE_JOURNEY_LIVE,
			 psprintf("step \"%s\" does not exist in version %d", item->step_id, item->version));
	else if (item->journey->paused)
	{
		te_gate_hold(item, TE_GATE_JOURNEY_LIVE, psprintf("journey \"%s\" is paused", item->journey_name), now);
		if (te_facts_lock_pause(item))
			item->hold_until = DT_NOEND;	/* enable_journey() has it looked at again */
	}
	else if (!item->journey->live)
		stop(item, TE_WITHHOLD, TE_GATE_JOURNEY_LIVE,
			 psprintf("journey \"%s\" is not live", item->journey_name));
}

/*
 * The first step of an entry whose key has run before is discarded.
 */
static void
gate_entry(TeItem *item, TimestampTz now)
{
	if (item->is_first && item->has_run)
		stop(item, TE_DISCARD, TE_GATE_ENTRY, "entered before with the same key");
}

/*
 * An exit event after the entry cancels what is left.
 */
static void
gate_exit(TeItem *item, TimestampTz now)
{
	if (item->exited)
		stop(item, TE_CANCEL, TE_GATE_EXIT, item->exit_reason);
}

/*
 * What is later than the journey's ttl allows is not sent any more.
 */
static void
gate_expiry(TeItem *item, TimestampTz now)
{
	if (item->is_send && now > item->expires_at)
		stop(item, TE_EXPIRE, TE_GATE_EXPIRY, te_gate_expiry_reason(item));
}

/*
 * The user is in the journey's segment now; one whose SQL fails holds the send.
 */
static void
gate_segment(TeItem *item, TimestampTz now)
{
	if (item->journey->segment == NULL || !item->is_send)
		return;
	if (item->segment_error)
		te_gate_hold(item, TE_GATE_SEGMENT, item->segment_error, now);
	else if (!item->in_segment)
		stop(item, TE_WITHHOLD, TE_GATE_SEGMENT,
			 psprintf("not in segment \"%s\"", item->journey->segment));
}

/*
 * Nothing forbids the message, and an opt-in is on record where channel or topic need
 * one.
 */
static void
gate_consent(TeItem *item, TimestampTz now)
{
	static const char *const need_opt_in[] = {"push", "web_push", "email", "sms", "whatsapp", "chat"};
	char	   *reason = te_suppression_reason(item);
	int			i;

	if (!item->is_send)
		return;
	if (reason)
		stop(item, TE_WITHHOLD, TE_GATE_CONSENT, reason);
	else if (item->topic_opt_in && !item->opted_in_topic && !item->transactional && !item->topic_exempt)
		stop(item, TE_WITHHOLD, TE_GATE_CONSENT,
			 psprintf("no opt-in on record for topic \"%s\"", item->topic));
	if (reason || item->transactional || item->topic_exempt || item->no_opt_in_needed)
		return;
	for (i = 0; i < lengthof(need_opt_in) && !item->opted_in; i++)
		if (strcmp(item->channel, need_opt_in[i]) == 0)
			stop(item, TE_WITHHOLD, TE_GATE_CONSENT,
				 psprintf("no opt-in on record for channel %s", item->channel));
}

/*
 * No holdout keeps the user from marketing, or notes that one does.
 */
static void
gate_holdout(TeItem *item, TimestampTz now)
{
	const char *holdout;
	TeExposure *exposure;

	if (!item->is_send || item->transactional)
		return;
	holdout = te_experiment_holdout(item->user_id, item->journey_name, item->topic, now);
	if (holdout == NULL)
		return;
	exposure = palloc0(sizeof(TeExposure));
	exposure->experiment = pstrdup(holdout);
	exposure->variant = "holdout";
	exposure->held_out = true;
	item->exposures = lappend(item->exposures, exposure);
	stop(item, TE_WITHHOLD, TE_GATE_HOLDOUT, psprintf("held out by \"%s\"", exposure->experiment));
}

/*
 * The user's variant is among those that the message is for. The exposure is noted
 * either way, so that both sides can be compared.
 */
static void
gate_experiment(TeItem *item, TimestampTz now)
{
	if (item->is_send && item->step->experiment)
		te_step_ask_experiment(item, now);
}

/*
 * Stops an item until an instant, or for good when there is none.
 */
static void
defer(TeItem *item, TeGate gate, char *reason, TimestampTz until)
{
	stop(item, until == DT_NOEND ? TE_WITHHOLD : TE_HOLD, gate, reason);
	item->hold_until = until;
}

/*
 * The caps have room. Quiet hours are solved together with them, and left to their
 * own gate.
 */
static void
gate_cap(TeItem *item, TimestampTz now)
{
	bool		is_cap;
	char	   *reason;
	TimestampTz at = te_slots_first(item, now, &is_cap, &reason);

	item->quiet_until = 0;
	if (at == now)
		return;
	if (is_cap)
		defer(item, TE_GATE_CAP, reason, at);
	else
	{
		item->quiet_until = at;
		item->quiet_reason = reason;
	}
}

/*
 * Neither quiet hours nor a send window keep the message waiting.
 */
static void
gate_quiet_hours(TeItem *item, TimestampTz now)
{
	if (item->quiet_until != 0)
		defer(item, TE_GATE_QUIET_HOURS, item->quiet_reason, item->quiet_until);
}

/*
 * A channel that needs an endpoint has an active one.
 */
static void
gate_endpoint(TeItem *item, TimestampTz now)
{
	if (item->is_send && item->address && item->address[0] == '\0')
		stop(item, TE_WITHHOLD, TE_GATE_ENDPOINT,
			 psprintf("the user has no active endpoint for channel %s", item->channel));
}

/*
 * The event is still there to render from, and the template was rendered and did not
 * stop the message.
 */
static void
gate_render(TeItem *item, TimestampTz now)
{
	if (!item->is_send)
		return;
	if (item->event_id != 0 && item->event_name == NULL && item->context == NULL)
		stop(item, TE_WITHHOLD, TE_GATE_RENDER,
			 psprintf("its event of %s is not there any more: deleted, or older than trigger_engine.event_retention",
					  timestamptz_to_str(item->event_at)));
	else if (item->content == NULL && item->compose_later)
		te_gate_hold(item, TE_GATE_RENDER, item->reason, now);
	else if (item->content == NULL)
		stop(item, TE_WITHHOLD, TE_GATE_RENDER, item->reason);
}

/*
 * A usable provider serves the channel; one that is not usable now holds the send, unless
 * the rung of a ladder follows.
 */
static void
gate_provider(TeItem *item, TimestampTz now)
{
	if (!item->is_send || strcmp(item->channel, "in_app") == 0)
		return;
	if (item->provider_name == NULL)
		stop(item, TE_WITHHOLD, TE_GATE_PROVIDER,
			 psprintf("no provider serves channel %s", item->channel));
	else if (item->reason && item->fallback)	/* another channel takes over */
		stop(item, TE_WITHHOLD, TE_GATE_PROVIDER, item->reason);
	else if (item->reason)		/* found unusable when it was looked up */
		te_gate_hold(item, TE_GATE_PROVIDER, item->reason, now);
}

static const struct
{
	const char *name;
	void		(*check) (TeItem *item, TimestampTz now);
}			gates[TE_GATE_COUNT] =
{
	[TE_GATE_JOURNEY_LIVE] = {"journey_live", gate_journey_live},
	[TE_GATE_ENTRY] = {"entry", gate_entry},
	[TE_GATE_EXIT] = {"exit", gate_exit},
	[TE_GATE_EXPIRY] = {"expiry", gate_expiry},
	[TE_GATE_SEGMENT] = {"segment", gate_segment},
	[TE_GATE_CONSENT] = {"consent", gate_consent},
	[TE_GATE_HOLDOUT] = {"holdout", gate_holdout},
	[TE_GATE_EXPERIMENT] = {"experiment", gate_experiment},
	[TE_GATE_CAP] = {"cap", gate_cap},
	[TE_GATE_QUIET_HOURS] = {"quiet_hours", gate_quiet_hours},
	[TE_GATE_ENDPOINT] = {"endpoint", gate_endpoint},
	[TE_GATE_RENDER] = {"render", gate_render},
	[TE_GATE_PROVIDER] = {"provider", gate_provider},
};

/*
 * Name of a gate as recorded; NULL for none.
 */
const char *
te_gate_name(TeGate gate)
{
	return gate == TE_GATE_NONE ? NULL : gates[gate].name;
}

/*
 * Why an item that comes after its ttl is not sent; palloc'ed.
 */
char *
te_gate_expiry_reason(const TeItem *item)
{
	return psprintf("due at %s, too late by more than the journey's ttl",
					timestamptz_to_str(item->first_due_at));
}

/*
 * Makes a provider the item's, and notes why it cannot be used.
 */
static void
use_provider(TeItem *item, TeProvider *found)
{
	item->provider_name = pstrdup(found->name);
	item->provider_id = found->id;
	item->provider = found;
	item->idempotent = found->idempotent;
	if (found->needs_endpoint)
		item->address = "";		/* the user's own is needed */
	if (!found->active)
		item->reason = psprintf("provider \"%s\" is disabled: %s", found->name,
								found->state_reason ? found->state_reason : "by an administrator");
	else if (found->secret_error)
		item->reason = psprintf("provider \"%s\" cannot be used: %s", found->name, found->secret_error);
}

/*
 * Finds the provider of a send step: the named one, or the channel's first that
 * is active.
 */
static void
find_provider(TeItem *item, List *providers)
{
	ListCell   *cell;
	TeProvider *found = NULL;

	foreach(cell, providers)
	{
		TeProvider *provider = lfirst(cell);

		if (item->step->provider ? strcmp(item->step->provider, provider->name) == 0
			: strcmp(item->channel, provider->channel) == 0)
		{
			if (found == NULL || !found->active)
				found = provider;
		}
	}
	if (found)
		use_provider(item, found);
}

/*
 * Whether an endpoint that belongs to the provider of that name or kind, or to none, is
 * served by the item's provider. A step that names no provider takes that of the endpoint.
 */
bool
te_gates_serves(TeItem *item, const char *wanted, List *providers)
{
	ListCell   *cell;

	if (wanted == NULL || wanted[0] == '\0' ||
		strcmp(wanted, item->provider->name) == 0 || strcmp(wanted, item->provider->kind) == 0)
		return true;
	if (item->step->provider)
		return false;
	foreach(cell, providers)
	{
		TeProvider *provider = lfirst(cell);

		if (provider->active && provider->needs_endpoint && strcmp(provider->channel, item->channel) == 0 &&
			(strcmp(wanted, provider->name) == 0 || strcmp(wanted, provider->kind) == 0))
		{
			item->reason = NULL;
			use_provider(item, provider);
			return true;
		}
	}
	return false;
}

/*
 * Looks up journey, step and provider of an item, forgetting an earlier decision.
 */
static void
resolve(TeItem *item, List *providers)
{
	TeJourney  *journey = te_journey_version(item->journey_id, item->version);

	item->provider = NULL;
	item->reason = item->address = item->provider_name = item->opted_out = item->segment_error = NULL;
	item->opted_in = item->opted_in_topic = item->in_segment = item->exited = false;
	item->endpoint = NULL;
	item->journey = journey;
	item->step = journey ? te_journey_step(journey, item->step_id, &item->step_index) : NULL;
	item->is_first = item->attempt == 0 && item->holds == 0 && item->crashes == 0 &&
		item->send_id == 0 && journey && item->step_index == journey->first_step;
	item->gate = TE_GATE_NONE;
	item->has_turn = item->acts = false;
	item->exposures = NIL;
	item->fallback = NULL;
	item->expires_at = DT_NOEND;
	if (journey)
	{
		if (journey->has_ttl)
			item->expires_at = te_clock_add(item->first_due_at, &journey->ttl);
		item->journey_name = pstrdup(journey->name);
		item->topic = journey->topic ? pstrdup(journey->topic) : NULL;
		item->purpose = journey->purpose ? pstrdup(journey->purpose) : NULL;
		item->priority = journey->priority;
		item->transactional = journey->transactional;
	}
	if (item->step && item->step->kind == TE_STEP_SEND)
	{
		item->is_send = true;
		item->channel = pstrdup(item->step->channel);
		if (strcmp(item->channel, "in_app") != 0)
			find_provider(item, providers);
	}
}

/*
 * Decides all items of a claim. Returns whether one was stopped because some
 * configuration was not found or not active: a session whose commit woke us may
 * not have sent its invalidation messages yet, so what we keep may be out of date.
 */
bool
te_decide(TeItem **items, int count, List *providers, TimestampTz now)
{
	bool		doubtful = false;
	TeItem	  **order = palloc(sizeof(TeItem *) * Max(count, 1));	/* the more important first */
	int			i,
				gate;

	for (i = 0; i < count; i++)
		resolve(items[i], providers);
	te_facts_load(items, count);
	te_facts_load_exits(items, count);
	te_facts_load_consents(items, count);
	te_facts_load_topics(items, count);
	te_facts_load_endpoints(items, count, providers);
	te_facts_load_suppressions(items, count);
	te_facts_load_segments(items, count);
	memcpy(order, items, sizeof(TeItem *) * count);
	te_slots_load(order, count);
	for (i = 0; i < count; i++)
	{
		order[i]->verdict = TE_PASS;
		for (gate = 0; gate < TE_GATE_RENDER && order[i]->verdict == TE_PASS; gate++)
		{
			if (gate == TE_GATE_EXPIRY)
				te_step_run(order[i], now); /* the run is under way, and goes on */
			if (order[i]->verdict == TE_PASS)
				gates[gate].check(order[i], now);
		}
		if (order[i]->verdict == TE_PASS)
			te_slots_take(order[i], now, true);
		else if (order[i]->verdict == TE_HOLD && (order[i]->gate == TE_GATE_CAP || order[i]->gate == TE_GATE_QUIET_HOURS))
			te_slots_take(order[i], order[i]->hold_until, false);
	}
	te_step_load_digests(items, count);
	te_compose(items, count, now);
	for (i = 0; i < count; i++)
	{
		for (gate = TE_GATE_RENDER; gate < TE_GATE_COUNT && items[i]->verdict == TE_PASS; gate++)
			gates[gate].check(items[i], now);
		if (items[i]->verdict != TE_PASS && items[i]->gate >= TE_GATE_RENDER)
			te_slots_untake(items[i]);
		if (items[i]->verdict == TE_PASS && !items[i]->is_send)
			items[i]->verdict = TE_DISCARD;
		doubtful |= items[i]->gate == TE_GATE_JOURNEY_LIVE || items[i]->gate == TE_GATE_PROVIDER ||
			(items[i]->gate == TE_GATE_RENDER && items[i]->template_version == 0);
	}
	for (i = 0; i < count; i++)
		if (items[i]->verdict == TE_HOLD && items[i]->gate == TE_GATE_CAP && te_slots_were_untaken(items[i]))
		{
			items[i]->hold_until = now; /* there may be room after all */
			items[i]->slot_at = 0;
		}
	pfree(order);
	return doubtful;
}
