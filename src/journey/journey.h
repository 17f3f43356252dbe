/*
 * journey.h
 *		Journeys in compiled form, and the set of them that a backend keeps.
 */
#pragma once

#include "postgres.h"

#include "pgtime.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"
#include "utils/timestamp.h"

typedef enum TeStepKind
{
	TE_STEP_WAIT,
	TE_STEP_SEND,
	TE_STEP_EXIT,
	TE_STEP_WAIT_UNTIL,
	TE_STEP_WAIT_FOR,
	TE_STEP_BRANCH,
	TE_STEP_LADDER,
	TE_STEP_SPLIT,
	TE_STEP_SET,
	TE_STEP_LIST,
	TE_STEP_START,
	TE_STEP_LEAVE,
	TE_STEP_DIGEST
} TeStepKind;

/* In place of the index of a step: the end of the run. */
#define TE_STEP_END (-1)

/* An event by name and, if where is set, by a jsonpath on its properties. */
typedef struct TeMatcher
{
	char	   *event;
	JsonPath   *where;
	bool		is_predicate;	/* "$.a > 1" rather than "$ ? (@.a > 1)" */
	/* an equality that where implies: path of keys and the value, if nkeys > 0 */
	int			nkeys;
	char	  **keys;
	uint32		value_hash;
	/* all that where says, if ntests > 0 and no array is met */
	int			ntests;
	struct TeTest *tests;
} TeMatcher;

typedef enum TeConditionKind
{
	TE_CONDITION_ALL,
	TE_CONDITION_ANY,
	TE_CONDITION_NOT,
	TE_CONDITION_EVENT,
	TE_CONDITION_ATTRIBUTE,
	TE_CONDITION_SEGMENT,
	TE_CONDITION_SCORE,
	TE_CONDITION_INTERACTION,
	TE_CONDITION_SQL,
	TE_CONDITION_STAGE,
	TE_CONDITION_LIST
} TeConditionKind;

/* What a branch asks about a person, answered when the step is due. */
typedef struct TeCondition
{
	TeConditionKind kind;
	int			nparts;			/* ALL, ANY, NOT */
	struct TeCondition *parts;
	TeMatcher	matcher;		/* EVENT; ATTRIBUTE without a name */
	int			count;			/* EVENT: at least so many */
	Interval   *within;			/* EVENT, INTERACTION: so far back; NULL = since the run began */
	char	   *name;			/* SEGMENT, LIST, SCORE: model, or channel of engagement */
	bool		is_engagement;	/* SCORE */
	double		above;			/* SCORE; NaN = no bound */
	double		below;
	char	   *step;			/* INTERACTION: with the message of that step */
	char	   *text;			/* INTERACTION: its kind; SQL: the query */
	int			nstages;		/* STAGE */
	char	  **stages;
} TeCondition;

/* Until when a step waits: bounds that must all hold. */
typedef struct TeMoment
{
	JsonPath   *attribute;		/* a date or an instant among the user's attributes, or NULL */
	Interval	offset;			/* from it; may be negative */
	int64		at;				/* since midnight, microseconds; -1 = any time */
	int			weekdays;		/* bit 0 = Sunday; 0 = any */
	struct TeQuietRule *windows;	/* when it may be, or NULL */
	char	   *best_channel;	/* the best hour for a message on it, or NULL */
	Interval	best_within;
} TeMoment;

/* One way on from a branch, a wait_for or a split. */
typedef struct TeArm
{
	TeCondition *when;			/* TE_STEP_BRANCH */
	TeMatcher  *matcher;		/* TE_STEP_WAIT_FOR */
	char	   *variant;		/* TE_STEP_SPLIT */
	int			first;
} TeArm;

/*
 * Steps within steps lie in the same array, after the one that they belong to and before
 * the one that follows it, so that what comes later has a higher index.
 */
typedef struct TeStep
{
	char	   *id;
	TeStepKind	kind;
	int			parent;			/* the step it lies within; -1 = none */
	int			next;			/* the step after it, or TE_STEP_END */
	int			narms;
	TeArm	   *arms;
	int			other;			/* where no arm is taken: BRANCH, WAIT_FOR, SPLIT */
	Interval	wait;			/* TE_STEP_WAIT, DIGEST; TE_STEP_WAIT_FOR: its timeout */
	JsonPath   *key;			/* TE_STEP_DIGEST: events of the same key go together; NULL = all */
	bool		has_jitter;		/* TE_STEP_WAIT */
	Interval	jitter;
	bool		counts;			/* TE_STEP_WAIT_FOR: what happened since the run began counts */
	bool		endless;		/* TE_STEP_WAIT_FOR: without a timeout */
	TeMoment   *moment;			/* TE_STEP_WAIT_UNTIL */
	char	   *template_name;	/* TE_STEP_SEND */
	char	   *channel;		/* TE_STEP_SEND; NULL = the template's */
	char	   *provider;		/* TE_STEP_SEND; NULL = the channel's first */
	char	   *experiment;		/* TE_STEP_SPLIT; TE_STEP_SEND: goes to some variants only */
	int			nvariants;
	char	  **variants;		/* those */
	TeCondition *unless;		/* of a rung: where it holds, the rung is skipped */
	TeCondition *until;			/* of a ladder: where it holds, the rest is */
	bool		is_rung;
	int64		after;			/* of a rung: since the ladder began, microseconds */
	char	   *reason;			/* TE_STEP_EXIT */
	Jsonb	   *attributes;		/* TE_STEP_SET */
	char	   *target;			/* TE_STEP_LIST, START, LEAVE: a name */
	bool		removes;		/* TE_STEP_LIST */
} TeStep;

typedef enum TeReentry
{
	TE_REENTRY_EVENT,			/* once per event */
	TE_REENTRY_ONCE,
	TE_REENTRY_ONCE_PER_KEY,
	TE_REENTRY_AFTER,
	TE_REENTRY_PARALLEL
} TeReentry;

/* What starts a journey, in the order of the names in compile_trigger.c. */
typedef enum TeTriggerKind
{
	TE_TRIGGER_EVENT,
	TE_TRIGGER_ABSENCE,
	TE_TRIGGER_SEQUENCE,
	TE_TRIGGER_MILESTONE,
	TE_TRIGGER_ATTRIBUTE,
	TE_TRIGGER_INACTIVITY,
	TE_TRIGGER_DATE,
	TE_TRIGGER_SCHEDULE,
	TE_TRIGGER_PRICE_DROP,
	TE_TRIGGER_BACK_IN_STOCK,
	TE_TRIGGER_FOLLOWED,
	TE_TRIGGER_SEGMENT,
	TE_TRIGGER_CALL
} TeTriggerKind;

typedef struct TeJourney
{
	int64		id;
	int32		version;
	char	   *name;
	char	   *owner;
	bool		live;
	bool		paused;
	TeTriggerKind trigger_kind;
	TeMatcher	trigger;		/* the event that starts it; without a name where none does */
	int			nparts;
	TeMatcher  *parts;			/* ABSENCE: without; SEQUENCE: those before the last; INACTIVITY:
								 * activity; fan-outs: interest, until */
	Interval	within;			/* ABSENCE, SEQUENCE */
	Interval	delay;			/* from the event to the first step */
	JsonPath   *match;			/* ABSENCE */
	struct NumericData *reach;	/* MILESTONE */
	JsonPath   *sum;			/* of it; NULL = a count, or a streak */
	bool		streak;
	bool		every;
	JsonPath   *attribute;		/* ATTRIBUTE */
	Jsonb	   *from;
	Jsonb	   *to;
	int			nrungs;			/* INACTIVITY */
	Interval   *rungs;
	JsonPath   *object;			/* fan-outs: the object that an interest is in */
	JsonPath   *source_object;	/* FOLLOWED: the one that an event is about */
	JsonPath   *entry_key;
	TeReentry	reentry;
	Interval	reentry_after;
	int			reentry_limit;
	int			nexits;
	TeMatcher  *exits;
	int			ngoals;
	TeMatcher  *goals;
	char	   *segment;
	char	   *topic;
	bool		transactional;
	bool		has_ttl;
	Interval	ttl;
	char	   *purpose;
	int			priority;		/* the higher goes first */
	int			nsteps;
	TeStep	   *steps;
	int			first_step;		/* where a run first rests, as te_journey_skip_waits() says */
	int			first_lane;		/* of that step */
} TeJourney;

/* The definition as stored; jsonb values may be NULL where the column may be. */
typedef struct TeJourneyDefinition
{
	int64		id;
	int32		version;
	const char *name;
	const char *owner;
	bool		live;
	bool		paused;
	Jsonb	   *trigger;
	Jsonb	   *steps;
	Jsonb	   *exit_on;
	Jsonb	   *goal;
	Jsonb	   *reentry;
	const char *segment;
	const char *topic;
	bool		transactional;
	const Interval *ttl;
	const char *purpose;
	int			priority;
} TeJourneyDefinition;

typedef enum TeRuleKind
{
	TE_RULE_EXIT,
	TE_RULE_GOAL,
	TE_RULE_RESUME,				/* an event that a step waits for */
	TE_RULE_ENTER
} TeRuleKind;

/* What one event name may cause. For exits, the versions they apply to. */
typedef struct TeRule
{
	TeRuleKind	kind;
	TeJourney  *journey;
	TeMatcher  *matcher;
	Datum		versions;		/* int4[], not for entries */
	const char *step;			/* TE_RULE_RESUME: that waits */
	int			arm;			/* TE_RULE_RESUME */
} TeRule;

/* Rules of one event that share the path of their equality, by hash of its value. */
typedef struct TeEqualityIndex
{
	int			nkeys;
	char	  **keys;
	int			nrules;
	TeRule	  **rules;			/* sorted by matcher->value_hash */
	uint32	   *hashes;			/* these hashes, close together for the search */
} TeEqualityIndex;

typedef struct TeWatch
{
	char		event[NAMEDATALEN * 2]; /* hash key */
	int			nrules;			/* without an equality */
	TeRule	  **rules;
	int			nindexes;
	TeEqualityIndex *indexes;
	Jsonb	   *schema;			/* NULL = none */
	bool		quarantine;
} TeWatch;

typedef enum TeFence
{
	TE_FENCE_OPEN,				/* the stamp is ours */
	TE_FENCE_EMPTY,				/* no stamp: not in use yet, or a restore under way */
	TE_FENCE_CLOSED				/* somebody else's stamp */
} TeFence;

/* Everything the capture trigger needs; immutable once built. */
typedef struct TeJourneySet
{
	MemoryContext context;
	TeFence		fence;
	Oid			owner;			/* of the extension */
	const char *installation;	/* the setting it was compared with */
	HTAB	   *watches;		/* TeWatch by event name */
	int			njourneys;
	TeJourney **journeys;		/* live ones, by id */
	bool		watches_users;	/* some are about attributes or dates of users */
} TeJourneySet;

/* compile.c: throws on a bad definition; result in the current context */
extern TeJourney *te_journey_compile(const TeJourneyDefinition *definition);

/* moment.c: pure */
extern TimestampTz te_journey_first_moment(const TeMoment *moment, TimestampTz base, pg_tz *zone);

/* compile_trigger.c */
extern TimestampTz te_journey_before(TimestampTz at, const Interval *by);
extern bool te_journey_is_without(const TeJourney *journey, const TeMatcher *exit);
extern bool te_journey_breaks_absence(const TeJourney *journey, TimestampTz began, Jsonb *first,
									  TimestampTz happened, Jsonb *second);

/* match.c */
extern bool te_journey_matches(const TeMatcher *matcher, Jsonb *properties);
extern char *te_journey_path_text(JsonPath *path, Jsonb *properties);	/* NULL when empty */
extern void te_journey_find_equality(TeMatcher *matcher);
extern uint32 te_journey_hash_scalar(const JsonbValue *value);
extern int	te_journey_candidates(const TeWatch *watch, Jsonb *properties, TeRule **out, int max);

/* cache.c */
extern TeJourneySet *te_journey_set(void);
extern TeJourney *te_journey_live(TeJourneySet *set, int64 journey_id);
extern TeWatch *te_journey_watch(TeJourneySet *set, const char *event, int len);

/* catalogue.c */
extern void te_journey_refresh(void);
extern void te_journey_distrust(void);
extern TeJourney *te_journey_version(int64 journey_id, int32 version);	/* NULL when gone */
extern TeJourney *te_journey_load(int64 journey_id, int32 version);
extern int	te_journey_lane(const char *provider, const char *channel);
extern TeStep *te_journey_step(const TeJourney *journey, const char *id, int *index);
extern TimestampTz te_journey_skip_waits(const TeJourney *journey, int from, TimestampTz at, int *step);
extern void te_journey_register_callbacks(void);
extern void te_journey_resolve_tables(void);	/* before what is kept is read */
extern uint64 te_journey_generation(void);	/* changes whenever configuration did */
