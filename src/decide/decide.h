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
	char	   *address;		/* of the user's endpoint, for channels without a shared one */
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
	Jsonb	   *content;		/* rendered */
	bool		compose_later;	/* it could not be, for a reason that may pass */
	int32		template_version;	/* 0 = no text was found */
	char	   *template_locale;	/* of the text; empty = the default one */
	char	   *body;			/* for the provider */
	size_t		body_len;

	/* outcome */
	struct TeBatch *batch;
	TimestampTz handed_over_at;
	TimestampTz finished_at;
	const char *state;			/* of the send, once it is final */
	TeOutcome	outcome;
	int			status;
	int64		took_us;
	int64		retry_after_us;
	char	   *provider_ref;
	char	   *response;
} TeItem;

extern const char *te_gate_name(TeGate gate);
extern char *te_gate_expiry_reason(const TeItem *item);

/* gates.c: decides all items of a claim. In a transaction with SPI connected. */
extern bool te_decide(TeItem **items, int count, List *providers, TimestampTz now);

/* facts.c */
extern void te_facts_load(TeItem **items, int count);
extern void te_facts_load_exits(TeItem **items, int count);
extern void te_facts_load_consents(TeItem **items, int count);
extern void te_facts_load_endpoints(TeItem **items, int count);
extern pg_tz *te_facts_zone(const TeItem *item, const char **source);

/* segments.c */
extern void te_facts_load_segments(TeItem **items, int count);

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
extern void te_compose_webhook(TeItem *item, TimestampTz now);

/* context.c */
struct TeStored;
struct TeContentInput;
extern void te_context_build(const TeItem *item, const struct TeStored *stored, TimestampTz now,
							 struct TeContentInput *input);
extern char *te_context_iso_time(TimestampTz at);
