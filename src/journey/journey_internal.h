/*
 * journey_internal.h
 *		Shared by the files of this folder only.
 */
#pragma once

#include "access/htup.h"
#include "access/tupdesc.h"

#include "journey/journey.h"

#define TE_CONFIG_TABLES 15

extern Oid	te_journey_config_tables[TE_CONFIG_TABLES];

/* columns in the order that te_journey_read_definition() expects */
#define TE_JOURNEY_SELECT \
	"SELECT j.journey_id, v.version, j.name, j.owner::text, j.state," \
	" v.trigger, v.steps, v.exit_on, v.goal, v.reentry, v.segment, v.topic," \
	" v.transactional, v.ttl, v.purpose, v.priority" \
	" FROM trigger_engine._journeys j JOIN trigger_engine._journey_versions v USING (journey_id)"

extern void te_journey_read_definition(HeapTuple row, TupleDesc desc, TeJourneyDefinition *out);

/* compile.c: parts that triggers, steps and conditions share */
extern JsonPath *te_journey_parse_path(const char *text, const char *key, const char *what);
extern bool te_journey_path_is_predicate(JsonPath *path);
extern void te_journey_make_matcher(TeMatcher *matcher, char *name, const char *where, const char *what);
extern void te_journey_compile_matcher(TeMatcher *matcher, Jsonb *object, const char *what);
extern void te_journey_check_length(const Interval *interval, const char *what);

/* compile_steps.c, condition.c, moment.c */
extern void te_journey_compile_steps(TeJourney *journey, Jsonb *steps);
extern void te_journey_compile_condition(TeCondition *condition, Jsonb *object, const char *what);
extern TeMoment *te_journey_compile_moment(Jsonb *object, const char *what);

/* compile_trigger.c */
extern void te_journey_compile_trigger(TeJourney *journey, Jsonb *trigger);
extern void te_journey_compile_reentry(TeJourney *journey, Jsonb *reentry);
extern void te_journey_add_without(TeJourney *journey);
