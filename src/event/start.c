/*
 * start.c
 *		A run that no event starts: start_journey() and the step "start".
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "event/event.h"

PG_FUNCTION_INFO_V1(te_start_run);

/*
 * _start_run(journey_id, version, user_id, entry_key, context): lets a user enter a
 * journey now, if its re-entry policy allows, as if by an event with the context for
 * its properties. Returns whether it did. Called as the extension's owner.
 */
Datum
te_start_run(PG_FUNCTION_ARGS)
{
	TeEvent		event = {0};
	TeJourney  *journey;
	bool		outermost;
	bool		entered;

	event.user_id = text_to_cstring(PG_GETARG_TEXT_PP(2));
	event.name = "start_journey";
	event.source_key = text_to_cstring(PG_GETARG_TEXT_PP(3));
	event.properties = PG_GETARG_JSONB_P(4);
	event.occurred_at = te_clock_now();
	event.tracked = true;		/* there is no row to read the properties from later */
	if (event.user_id[0] == '\0' || strlen(event.user_id) > TE_MAX_ID_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("user_id must have 1 to %d bytes", TE_MAX_ID_BYTES)));
	if (!JB_ROOT_IS_OBJECT(event.properties))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("context must be a JSON object")));
	te_event_register_callbacks();
	outermost = te_event_begin_work();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	journey = te_journey_load(PG_GETARG_INT64(0), PG_GETARG_INT32(1));
	entered = journey != NULL && te_event_enter(journey, &event);
	te_event_flush();
	SPI_finish();
	if (outermost)
		te_event_end_work();
	PG_RETURN_BOOL(entered);
}
