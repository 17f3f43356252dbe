/*
 * experiment.h
 *		Experiments as journeys and gates see them: which variant a person gets, who is
 *		held out, and the keyed hash behind both.
 */
#pragma once

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* ---- catalogue.c: assignment ---- */

typedef enum TeAssignmentSource
{
	TE_ASSIGNED_NOT,			/* no variant; reason says why */
	TE_ASSIGNED_HASH,
	TE_ASSIGNED_KEPT,			/* a sticky experiment's earlier answer */
	TE_ASSIGNED_IMPORTED,
	TE_ASSIGNED_FORCED,
	TE_ASSIGNED_WINNER			/* the experiment is over and had one */
} TeAssignmentSource;

/*
 * What an experiment says to a person at an instant. Texts and the value live as long
 * as the backend's knowledge of the experiment: until the next call of this header.
 */
typedef struct TeAssignment
{
	TeAssignmentSource source;
	const char *variant;		/* NULL = not in the experiment */
	int			index;			/* of the variant, from 0; -1 = none */
	Jsonb	   *value;			/* of the variant; NULL when it has none */
	double		propensity;		/* probability of this variant, for a person drawn by chance */
	double		bucket;			/* of the person, in [0, 1); -1 when none was computed */
	int64		experiment_id;
	int32		epoch;
	const char *reason;			/* TE_ASSIGNED_NOT: not_started, stopped, namespace, coverage */
} TeAssignment;

/*
 * The variant of a person at an instant, from the definition that held then. With keep
 * a sticky experiment remembers its first answer, which needs a transaction that may
 * write. Throws for an unknown experiment. Needs a transaction, not SPI.
 */
extern void te_experiment_assign(const char *experiment, const char *user_id, TimestampTz at,
								 bool keep, TeAssignment *result);

/*
 * Name of the first holdout (global, then of the journey, then of the topic) that holds
 * the person back at that instant, or NULL. Journey and topic may be NULL. Lives as
 * long as a TeAssignment's texts.
 */
extern const char *te_experiment_holdout(const char *user_id, const char *journey,
										 const char *topic, TimestampTz at);

/* ---- hash.c: pure, never throw for UTF-8 databases ---- */

#define TE_HASH_FNV_1 1			/* GrowthBook's first, for compatibility only */
#define TE_HASH_FNV_2 2			/* GrowthBook's second: the default */
#define TE_HASH_MURMUR_100 3	/* MurmurHash3 as Unleash's strategies */
#define TE_HASH_MURMUR_1000 4	/* MurmurHash3 as Unleash's variants */

extern double te_experiment_bucket(const char *seed, int seed_len, const char *value, int value_len,
								   int version);	/* NaN = unknown version */
extern int	te_experiment_buckets(int version); /* how many there are */
extern double te_experiment_uniform(const char *seed, int seed_len, const char *key, int key_len, int32 n);

/* ---- range.c: pure ---- */

typedef struct TeRange
{
	double		start;
	double		end;			/* not in it */
} TeRange;

extern void te_experiment_ranges(int count, double coverage, const double *weights, int nweights,
								 TeRange *ranges);
extern int	te_experiment_choose(double bucket, const TeRange *ranges, int count);	/* -1 = none */
