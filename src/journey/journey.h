/*
 * journey.h
 *		Journeys in compiled form, and the set of them that a backend keeps.
 */
#pragma once

#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"
#include "utils/timestamp.h"

typedef enum TeStepKind
{
	TE_STEP_WAIT,
	TE_STEP_SEND,
	TE_STEP_EXIT
} TeStepKind;

typedef struct TeStep
{
	char	   *id;
	TeStepKind	kind;
	Interval	wait;			/* TE_STEP_WAIT */
	char	   *template_name;	/* TE_STEP_SEND */
	char	   *channel;		/* TE_STEP_SEND; NULL = the template's */
	char	   *provider;		/* TE_STEP_SEND; NULL = the channel's first */
	char	   *reason;			/* TE_STEP_EXIT */
} TeStep;

typedef enum TeReentry
{
	TE_REENTRY_EVENT,			/* once per event */
	TE_REENTRY_ONCE,
	TE_REENTRY_ONCE_PER_KEY,
	TE_REENTRY_AFTER,
	TE_REENTRY_PARALLEL
} TeReentry;

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

typedef struct TeJourney
{
	int64		id;
	int32		version;
	char	   *name;
	char	   *owner;
	bool		live;
	TeMatcher	trigger;
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
	int			first_step;		/* the first that is not a wait */
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
	TE_RULE_ENTER
} TeRuleKind;

/* What one event name may cause. For exits, the versions they apply to. */
typedef struct TeRule
{
	TeRuleKind	kind;
	TeJourney  *journey;
	TeMatcher  *matcher;
	Datum		versions;		/* int4[], exits and goals only */
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
} TeJourneySet;

/* compile.c: throws on a bad definition; result in the current context */
extern TeJourney *te_journey_compile(const TeJourneyDefinition *definition);
extern void te_journey_check_matcher(Jsonb *matcher, const char *what);

/* match.c */
extern bool te_journey_matches(const TeMatcher *matcher, Jsonb *properties);
extern char *te_journey_path_text(JsonPath *path, Jsonb *properties);	/* NULL when empty */
extern void te_journey_find_equality(TeMatcher *matcher);
extern uint32 te_journey_hash_scalar(const JsonbValue *value);
extern int	te_journey_candidates(const TeWatch *watch, Jsonb *properties, TeRule **out, int max);

/* cache.c */
extern TeJourneySet *te_journey_set(void);
extern TeWatch *te_journey_watch(TeJourneySet *set, const char *event, int len);

/* catalogue.c */
extern void te_journey_refresh(void);
extern void te_journey_distrust(void);
extern TeJourney *te_journey_version(int64 journey_id, int32 version);	/* NULL when gone */
extern int	te_journey_lane(const char *provider, const char *channel);
extern TeStep *te_journey_step(const TeJourney *journey, const char *id, int *index);
extern TimestampTz te_journey_skip_waits(const TeJourney *journey, int from, TimestampTz at, int *step);
extern void te_journey_register_callbacks(void);
extern void te_journey_resolve_tables(void);	/* before what is kept is read */
extern uint64 te_journey_generation(void);	/* changes whenever configuration did */
