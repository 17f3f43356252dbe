/*
 * candidate.c
 *		_decide_candidate(): what the gates would say to a message that nobody has
 *		queued, by the code that decides those in the queue.
 *
 * Nothing is written: no slot, no identity, no decision.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "common/common.h"
#include "decide/decide.h"

PG_FUNCTION_INFO_V1(te_decide_candidate);

#define COLUMNS 5

/*
 * The tuplestore that the rows go into, with its description.
 */
static Tuplestorestate *
begin_rows(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	Tuplestorestate *store;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (get_call_result_type(fcinfo, NULL, desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	*desc = CreateTupleDescCopy(*desc);
	store = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);
	info->returnMode = SFRM_Materialize;
	info->setResult = store;
	info->setDesc = *desc;
	return store;
}

/*
 * One row a gate: those before the one that stopped the item have passed, those after
 * it were not reached. The last one brings the rendered message along.
 */
static void
put_gates(Tuplestorestate *store, TupleDesc desc, const TeItem *item)
{
	TeGate		stop = item->verdict == TE_PASS ? TE_GATE_COUNT : item->gate;
	int			gate;

	/* a step that is no message passes all gates and yields nothing */
	if (item->verdict == TE_DISCARD && item->gate == TE_GATE_NONE)
		stop = TE_GATE_COUNT;
	for (gate = 0; gate < TE_GATE_COUNT; gate++)
	{
		Datum		values[COLUMNS] = {0};
		bool		nulls[COLUMNS] = {false, false, true, true, true};

		values[0] = CStringGetTextDatum(te_gate_name(gate));
		values[1] = CStringGetTextDatum(gate < stop ? "passed" : gate == stop ? "failed" : "not reached");
		if (gate == stop && item->reason)
		{
			nulls[2] = false;
			values[2] = CStringGetTextDatum(item->reason);
		}
		if (gate == stop && item->verdict == TE_HOLD && item->hold_until != DT_NOEND)
		{
			nulls[3] = false;
			values[3] = TimestampTzGetDatum(item->hold_until);
		}
		if (gate == TE_GATE_RENDER && gate < stop && item->content)
		{
			nulls[4] = false;
			values[4] = JsonbPGetDatum(item->content);
		}
		tuplestore_putvalues(store, desc, values, nulls);
	}
}

/*
 * _decide_candidate(journey_id, version, user_id, step, entry_key, event_id, event_at,
 * properties, first, at). properties, if given, stand in for those of the event.
 */
Datum
te_decide_candidate(PG_FUNCTION_ARGS)
{
	TeItem		item = {0};
	TeItem	   *items[1] = {&item};
	Tuplestorestate *store;
	TupleDesc	desc;
	TimestampTz now = PG_GETARG_TIMESTAMPTZ(9);
	int			i;

	for (i = 0; i < 10; i++)
		if (PG_ARGISNULL(i) && i != 7)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("only properties may be NULL")));
	store = begin_rows(fcinfo, &desc);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	item.journey_id = PG_GETARG_INT64(0);
	item.version = PG_GETARG_INT32(1);
	item.user_id = text_to_cstring(PG_GETARG_TEXT_PP(2));
	item.step_id = text_to_cstring(PG_GETARG_TEXT_PP(3));
	item.entry_key = text_to_cstring(PG_GETARG_TEXT_PP(4));
	item.event_id = PG_GETARG_INT64(5);
	item.event_at = PG_GETARG_TIMESTAMPTZ(6);
	item.context = PG_ARGISNULL(7) ? NULL : PG_GETARG_JSONB_P(7);
	item.holds = PG_GETARG_BOOL(8) ? 0 : 1;
	item.due_at = item.first_due_at = now;
	te_journey_refresh();
	(void) te_decide(items, 1, te_provider_load(CurrentMemoryContext), now);
	put_gates(store, desc, &item);
	SPI_finish();
	return (Datum) 0;
}
