/*
 * control.c
 *		SQL functions that stop, start, wake and wait for workers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(te_stop_workers);
PG_FUNCTION_INFO_V1(te_start_workers);
PG_FUNCTION_INFO_V1(te_wait_until_idle);
PG_FUNCTION_INFO_V1(te_wake_workers);
PG_FUNCTION_INFO_V1(te_version);

#define WAIT_FIRST_MS 2
#define WAIT_MOST_MS 50

/* A timeout in milliseconds from an interval. Throws when it is negative or endless. */
static int64
milliseconds(const Interval *timeout)
{
	int64		days = (int64) timeout->month * DAYS_PER_MONTH + timeout->day;
	int64		ms = days * 86400000 + timeout->time / 1000;

	if (ms < 0 || days > 36500 || days < -36500)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be between zero and a hundred years")));
	return ms;
}

/*
 * SQL: stop_workers(timeout) returns whether they are gone. They stay away until
 * start_workers() or a restart of the server.
 */
Datum
te_stop_workers(PG_FUNCTION_ARGS)
{
	int64		timeout = milliseconds(PG_GETARG_INTERVAL_P(0));
	TeDatabaseSlot *slot;

	te_shmem_require();
	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	slot = te_shmem_database_locked(MyDatabaseId, true);
	if (slot != NULL)
		slot->stopped = true;
	LWLockRelease(te_shared->lock);
	if (slot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("all %d slots for databases are taken, so this database has no workers",
						te_shared->ndatabases),
				 errhint("Raise trigger_engine.max_databases and restart the server.")));
	te_wake_launcher();
	PG_RETURN_BOOL(te_shmem_stop(MyDatabaseId, timeout));
}

/* SQL: start_workers(), at once even if they were backing off. */
Datum
te_start_workers(PG_FUNCTION_ARGS)
{
	TeDatabaseSlot *slot;
	int			i;

	te_shmem_require();
	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	slot = te_shmem_database_locked(MyDatabaseId, false);
	if (slot != NULL)
	{
		slot->stopped = false;
		for (i = 0; i < TE_SLOTS_PER_DATABASE; i++)
		{
			TeWorkerSlot *worker = &slot->worker[i];

			if (worker->state == TE_WORKER_BACKOFF || worker->state == TE_WORKER_STOPPED)
			{
				worker->failures = 0;
				te_worker_set_state_locked(worker, TE_WORKER_ABSENT, NULL);
			}
		}
	}
	te_shmem_want_probe_locked(MyDatabaseId);
	LWLockRelease(te_shared->lock);
	te_wake_launcher();
	te_wake_all(MyDatabaseId);
	PG_RETURN_VOID();
}

/* SQL: _wake_workers_at_commit(). */
Datum
te_wake_workers(PG_FUNCTION_ARGS)
{
	te_wake_all_at_commit();
	PG_RETURN_VOID();
}

/* SQL: version(), of the library. */
Datum
te_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(TE_VERSION));
}

/* Whether any delivery worker of this database holds claims that it has not recorded. */
static bool
any_unsettled(void)
{
	TeDatabaseSlot *slot = te_shmem_database(MyDatabaseId, false);
	int			i;

	for (i = 0; slot != NULL && i < te_guc_workers; i++)
		if (pg_atomic_read_u32(&slot->worker[i].unsettled) != 0)
			return true;
	return false;
}

/* Whether nothing is due now and nothing is claimed, by a snapshot of its own. May throw. */
static bool
is_idle(void)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1];
	bool		isnull;
	bool		idle;

	if (any_unsettled())
		return false;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	values[0] = TimestampTzGetDatum(te_clock_now());
	(void) te_db_execute(&plan,
						 "SELECT NOT EXISTS (SELECT FROM trigger_engine._batches)"
						 " AND NOT EXISTS (SELECT FROM pg_catalog.generate_series(0, 63) AS l(lane),"
						 " LATERAL (SELECT FROM trigger_engine._due AS d"
						 "  WHERE d.lane OPERATOR(pg_catalog.=) l.lane"
						 "  AND d.due_at OPERATOR(pg_catalog.<=) $1 LIMIT 1) AS first_due)",
						 1, types, values, NULL, false, 1);
	idle = SPI_processed == 1 &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return idle && !any_unsettled();
}

/*
 * SQL: _wait_idle(timeout) returns whether the queue came to rest in time. Looks
 * with a fresh snapshot every round, so it needs READ COMMITTED.
 */
Datum
te_wait_until_idle(PG_FUNCTION_ARGS)
{
	TimestampTz deadline = GetCurrentTimestamp() + milliseconds(PG_GETARG_INTERVAL_P(0)) * 1000;
	long		wait = WAIT_FIRST_MS;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("wait_until_idle() cannot see the queue change in a %s transaction",
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Call it under READ COMMITTED.")));
	while (!is_idle())
	{
		if (GetCurrentTimestamp() >= deadline)
			PG_RETURN_BOOL(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait, te_wait_event("TriggerEngineWaitIdle"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		wait = Min(wait * 2, WAIT_MOST_MS);
	}
	PG_RETURN_BOOL(true);
}
