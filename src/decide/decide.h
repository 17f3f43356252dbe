/*
 * decide.h
 *		A due row on its way to a decision: facts, gates, composed message.
 */
#pragma once

#include "postgres.h"

#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "delivery/delivery.h"
#include "journey/journey.h"

/* The gates in their fixed order. Names: te_gate_name(). */
typedef enum TeGate
{
	TE_GATE_NONE = -1,
	TE_GATE_JOURNEY_LIVE,
	TE_GATE_ENTRY,
	TE_GATE_EXIT,
	TE_GATE_EXPIRY,
	TE_GATE_SEGMENT,
	TE_GATE_CONSENT,
	TE_GATE_HOLDOUT,
	TE_GATE_EXPERIMENT,
	TE_GATE_CAP,
	TE_GATE_QUIET_HOURS,
	TE_GATE_ENDPOINT,
	TE_GATE_RENDER,
	TE_GATE_PROVIDER,
	TE_GATE_COUNT
} TeGate;

/* What the gates came to. */
typedef enum TeVerdictKind
{
	TE_PASS,					/* goes on to the provider, or into the inbox */
	TE_WITHHOLD,				/* a gate stopped it for good */
	TE_CANCEL,					/* the run was exited */
	TE_EXPIRE,
	TE_HOLD,					/* looked at again later */
	TE_DISCARD					/* no message at all: not a send step, or entered twice */
} TeVerdictKind;

/* One due row, from claim to record. Lives in its batch's memory context. */
typedef struct TeItem
{
	/* the due row */
	char	   *user_id;
	int64		journey_id;
	char	   *entry_key;
	char	   *step_id;
	int			lane;
	TimestampTz due_at;
	int64		event_id;
	TimestampTz event_at;
	int32		version;
	int			attempt;		/* hand-overs so far; counted up before the next */
	int			holds;
	int			crashes;
	int64		send_id;		/* 0 until decided the first time */
	TimestampTz first_due_at;	/* before holds and retries */
	Jsonb	   *context;		/* of tracked rows */
	bool		retried;		/* by retry_sends(): its next step was queued before */
	int			arm;			/* the awaited event that came; -1 = none */
	bool		was_put_back;	/* first_due_at was set: what is awaited counts from it on */

	/* looked up; journey and step only while the claim's transaction runs */
	TeJourney  *journey;
	TeStep	   *step;
	int			step_index;
	bool		is_send;
	bool		is_first;		/* first claim of the run */
	char	   *channel;
	char	   *journey_name;
	char	   *topic;
	char	   *purpose;
	int			priority;
	bool		transactional;
	TimestampTz expires_at;		/* by the journey's ttl; DT_NOEND = never */
	char	   *provider_name;
	int			provider_id;
	bool		idempotent;

	/* facts */
	Jsonb	   *attributes;
	char	   *locale;
	char	   *zone;
	char	   *country;
	char	   *tenant;
	char	   *event_name;
	Jsonb	   *properties;
	Jsonb	   *event_context;
	bool		has_run;		/* an enrollment row is there */
	bool		exited;
	char	   *exit_reason;
	bool		in_segment;
	char	   *segment_error;
	char	   *opted_out;		/* channel of an opt-out that applies */
	bool		opted_in;
	bool		opted_in_topic; /* to its very topic */
	char	   *suppressed;		/* on the suppression list: why */
	bool		suppressed_all; /* transactional messages, too */
	bool		topic_exempt;	/* its topic is transactional */
	bool		topic_opt_in;	/* its topic goes only to who opted in to it */
	bool		no_opt_in_needed;	/* it rests on another legal basis than consent */
	char	   *address;		/* of the user's endpoint, for channels without a shared one */
	Jsonb	   *endpoint;		/* its data */
	TeProvider *provider;		/* only while the claim's transaction runs */
	struct TeUserPressure *pressure;	/* slots.c; NULL = no cap and no quiet hours concern it */

	/* decision */
	TeVerdictKind verdict;
	TeGate		gate;
	char	   *reason;
	TimestampTz hold_until;
	TimestampTz quiet_until;	/* found with the caps, for the gate that follows; 0 = none */
	char	   *quiet_reason;
	TimestampTz slot_at;		/* room taken under the caps; 0 = none */
	bool		slot_used;
	Jsonb	   *offers;			/* that its template names, by name; or NULL */
	char	   *offer_problem;	/* why there is none */
	bool		offers_reserved;	/* in this claim */
	Jsonb	   *content;		/* rendered */
	bool		compose_later;	/* it could not be, for a reason that may pass */
	int32		template_version;	/* 0 = no text was found */
	char	   *template_locale;	/* of the text; empty = the default one */
	char	   *message_id;
	char	   *url;			/* NULL: the provider's */
	bool		own_url;		/* of the user's endpoint */
	List	   *headers;
	char	   *body;			/* for the provider */
	size_t		body_len;

	/* where the run goes, if the step has said so */
	bool		has_turn;
	int			turn;			/* a step, or TE_STEP_END */
	TimestampTz turn_at;		/* when it left this one */
	bool		acts;			/* te_steps_apply() has something to do */
	List	   *exposures;		/* TeExposure: to experiments, for the record */
	Jsonb	   *events;			/* that a digest collected; NULL = none */
	int64		event_count;	/* all of them */
	char	   *fallback;		/* the rung after this one, due at once when this one fails */

	/* outcome */
	struct TeBatch *batch;
	TimestampTz handed_over_at;
	TimestampTz finished_at;
	const char *state;			/* of the send, once it is final */
	TeOutcome	outcome;
	int			status;
	int64		took_us;
	int64		retry_after_us;
	TimestampTz dead_since;
	char	   *provider_ref;
	char	   *response;
} TeItem;

/* That a message, or a way through a journey, depended on an experiment. */
typedef struct TeExposure
{
	char	   *experiment;
	int32		epoch;
	char	   *variant;
	bool		held_out;
} TeExposure;

extern const char *te_gate_name(TeGate gate);
extern void te_gate_hold(TeItem *item, TeGate gate, char *reason, TimestampTz now);
extern char *te_gate_expiry_reason(const TeItem *item);

/* gates.c: decides all items of a claim. In a transaction with SPI connected. */
extern bool te_gates_serves(TeItem *item, const char *wanted, List *providers);
extern bool te_decide(TeItem **items, int count, List *providers, TimestampTz now);

/* facts.c */
extern void te_facts_load(TeItem **items, int count);
extern bool te_facts_lock_pause(const TeItem *item);
extern void te_facts_load_exits(TeItem **items, int count);
extern void te_facts_load_consents(TeItem **items, int count);
extern void te_facts_load_endpoints(TeItem **items, int count, List *providers);
extern pg_tz *te_facts_zone(const TeItem *item, const char **source);

/* suppression.c: for the consent gate */
extern void te_facts_load_suppressions(TeItem **items, int count);
extern void te_facts_load_topics(TeItem **items, int count);
extern char *te_suppression_reason(const TeItem *item);

/* segments.c */
extern void te_facts_load_segments(TeItem **items, int count);

/* step_run.c: does what a control step says; step_apply.c: writes that */
extern void te_step_run(TeItem *item, TimestampTz now);
extern void te_step_ask_experiment(TeItem *item, TimestampTz now);
extern void te_steps_apply(TeItem **items, int count, TimestampTz now);
extern bool te_step_lock_user(const TeItem *item);

/* step_digest.c */
extern bool te_step_lock_digest(const TeItem *item);
extern void te_step_close_digest(const TeItem *item);
extern void te_step_load_digests(TeItem **items, int count);

/* step_condition.c: may throw, and hits analysts' SQL: to be called guarded */
extern bool te_step_holds(TeItem *item, const TeCondition *condition, TimestampTz now);
extern int	te_step_awaited(const TeItem *item, const TeStep *step, TimestampTz from, TimestampTz until);

/* slots.c: caps and quiet hours */
extern void te_slots_load(TeItem **items, int count);
extern TimestampTz te_slots_first(TeItem *item, TimestampTz now, bool *is_cap, char **reason);
extern void te_slots_take(TeItem *item, TimestampTz at, bool used);
extern void te_slots_untake(TeItem *item);
extern bool te_slots_were_untaken(const TeItem *item);
extern void te_slots_write(TeItem **items, int count);
extern void te_slots_settle(TeItem **items, int count);

/* compose.c: fills in the content of all that passed so far, or the reason why there is none */
extern void te_compose(TeItem **items, int count, TimestampTz now);
extern char *te_compose_identity(const TeItem *item);
extern char *te_compose_message_id(const TeItem *item);
extern void te_compose_requests(TeItem **items, int count, TimestampTz now);

extern bool te_compose_may_pass(const ErrorData *failure);

/* offers.c: fills in the offers of all that passed so far, or the reason why there is none */
extern void te_offers_load(TeItem **items, int count);
extern Jsonb *te_offers_sample(const TeItem *item, List *names);
extern void te_offers_release(TeItem **items, int count);

/* links.c: rewrites the links of what is about to go */
extern void te_links_apply(TeItem **items, int count, TimestampTz now);

/* context.c */
struct TeStored;
struct TeContentInput;
extern void te_context_build(const TeItem *item, const struct TeStored *stored, TimestampTz now,
							 struct TeContentInput *input);
extern char *te_context_iso_time(TimestampTz at);
extern char *te_context_link(const TeItem *item, const char *page, const char *scope);
