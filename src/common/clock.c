/*
 * clock.c
 *		The one source of "now" for every decision: the real clock, or a virtual
 *		one that tests and rehearsals set for all processes of the server.
 *
 * Things that concern this machine rather than people (time-outs, back-off of
 * processes, durations of requests) use the server's clock directly.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(te_clock);
PG_FUNCTION_INFO_V1(te_set_clock);
PG_FUNCTION_INFO_V1(te_advance_clock);

/* The virtual instant, or 0 while the real clock runs. Does not throw. */
static TimestampTz
virtual_now(void)
{
	if (te_shared == NULL || !te_guc_virtual_clock)
		return 0;
	return (TimestampTz) pg_atomic_read_u64(&te_shared->virtual_now);
}

/* This instant on the engine's clock. Does not throw. */
TimestampTz
te_clock_now(void)
{
	TimestampTz at = virtual_now();

	return at != 0 ? at : GetCurrentTimestamp();
}

/* Start of the transaction, or the virtual instant. Does not throw. */
TimestampTz
te_clock_transaction(void)
{
	TimestampTz at = virtual_now();

	return at != 0 ? at : GetCurrentTransactionStartTimestamp();
}

/* Whether the virtual clock is set. Does not throw. */
bool
te_clock_is_virtual(void)
{
	return virtual_now() != 0;
}

/*
 * Adds an interval in UTC, so that the result does not depend on the session's
 * time zone: a day is 24 hours. Throws when the result is out of range.
 */
static TimestampTz
add_exactly(TimestampTz at, const Interval *by)
{
	/* a timestamp without time zone has the same representation, read as UTC */
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval,
												 TimestampGetDatum(at),
												 IntervalPGetDatum(by)));
}

/*
 * The same, but stops at the ends of the calendar rather than throw: an
 * application's own row may lie there.
 */
TimestampTz
te_clock_add(TimestampTz at, const Interval *by)
{
	/* rounded away from the instant */
	double		about = (double) at + (by->month * 31.0 + by->day) * USECS_PER_DAY + by->time;

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	if (about > (double) (END_TIMESTAMP - USECS_PER_DAY))
		return END_TIMESTAMP - 1;
	if (about < (double) (MIN_TIMESTAMP + USECS_PER_DAY))
		return MIN_TIMESTAMP;
	return add_exactly(at, by);
}

/* SQL: clock(). */
Datum
te_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(te_clock_transaction());
}

/* Throws unless the clock may be moved. */
static void
require_virtual_clock(void)
{
	te_shmem_require();
	if (!te_guc_virtual_clock)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the clock cannot be moved on this server"),
				 errhint("Set trigger_engine.virtual_clock to on and restart the server. Never do so where real people receive messages.")));
}

/* Throws unless an instant is finite; gives it the representation in shared memory. */
static uint64
storable(TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the clock cannot be set to infinity")));
	/* 0 means the real clock, and a microsecond does not matter */
	return (uint64) (at == 0 ? 1 : at);
}

/* SQL: set_clock(at) freezes the clock of the server at an instant; NULL lets the real one run. */
Datum
te_set_clock(PG_FUNCTION_ARGS)
{
	require_virtual_clock();
	pg_atomic_write_u64(&te_shared->virtual_now,
						PG_ARGISNULL(0) ? 0 : storable(PG_GETARG_TIMESTAMPTZ(0)));
	te_wake_all(InvalidOid);
	PG_RETURN_VOID();
}

/* SQL: advance_clock(by) moves the clock on, or back, and returns where it is now. */
Datum
te_advance_clock(PG_FUNCTION_ARGS)
{
	Interval   *by = PG_GETARG_INTERVAL_P(0);
	uint64		seen;
	uint64		moved;

	require_virtual_clock();
	seen = pg_atomic_read_u64(&te_shared->virtual_now);
	do
		moved = storable(add_exactly(seen != 0 ? (TimestampTz) seen : GetCurrentTimestamp(), by));
	while (!pg_atomic_compare_exchange_u64(&te_shared->virtual_now, &seen, moved));
	te_wake_all(InvalidOid);
	PG_RETURN_TIMESTAMPTZ((TimestampTz) moved);
}
