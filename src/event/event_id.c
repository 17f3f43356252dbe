/*
 * event_id.c
 *		Numbers of events.
 */
#include "postgres.h"

#include "commands/sequence.h"
#include "fmgr.h"

#include "event/event.h"

PG_FUNCTION_INFO_V1(te_next_event_id);

/* drawn last by this process, and not yet seen on an event; 0 = none */
static int64 new_id = 0;

/*
 * _next_event_id(sequence): the default of events.event_id. It is nextval(), and
 * remembers the number.
 */
Datum
te_next_event_id(PG_FUNCTION_ARGS)
{
	new_id = nextval_internal(PG_GETARG_OID(0), true);
	PG_RETURN_INT64(new_id);
}

/*
 * True, once, for the number that was drawn last: nobody else has it.
 */
bool
te_event_take_new_id(int64 event_id)
{
	bool		is_new = event_id == new_id && event_id != 0;

	if (is_new)
		new_id = 0;
	return is_new;
}
