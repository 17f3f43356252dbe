/*
 * journey_internal.h
 *		Shared by the files of this folder only.
 */
#pragma once

#include "access/htup.h"
#include "access/tupdesc.h"

#include "journey/journey.h"

#define TE_CONFIG_TABLES 14

extern Oid	te_journey_config_tables[TE_CONFIG_TABLES];

/* columns in the order that te_journey_read_definition() expects */
#define TE_JOURNEY_SELECT \
	"SELECT j.journey_id, v.version, j.name, j.owner::text, j.state = 'live'," \
	" v.trigger, v.steps, v.exit_on, v.goal, v.reentry, v.segment, v.topic," \
	" v.transactional, v.ttl, v.purpose, v.priority" \
	" FROM trigger_engine._journeys j JOIN trigger_engine._journey_versions v USING (journey_id)"

extern void te_journey_read_definition(HeapTuple row, TupleDesc desc, TeJourneyDefinition *out);
