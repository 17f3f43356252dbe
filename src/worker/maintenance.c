/*
 * maintenance.c
 *		The maintenance worker of a database: partitions, retention, metrics and segments.
 *
 * A pass is a series of small steps, each an SQL function that does one bounded
 * piece of work in its own short transaction and says whether there is more. So
 * a pass may be cut off anywhere and simply be begun anew. A step that fails
 * waits longer and longer; the others go on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "compat.h"
#include "guc.h"
#include "worker/worker.h"

#define PASS_INTERVAL_MS 60000
#define STEP_RETRY_FIRST_MS 60000
#define STEP_RETRY_MOST_MS (60 * 60 * 1000)
#define LOCK_FAILURES_UNREPORTED 10

/* One kind of work. The function returns whether it should be called again. */
typedef struct Step
{
	const char *doing;			/* as shown in worker_status */
	const char *sql;
	SPIPlanPtr	plan;
	int			failures;		/* in a row */
	TimestampTz retry_at;
	char		error[TE_REASON_LENGTH];	/* of the last failure */
} Step;

static Step steps[] = {
	{"retiring partitions", "SELECT trigger_engine._retire_partition()"},
	{"trimming old rows", "SELECT trigger_engine._trim_default_rows()"},
	{"trimming slots", "SELECT trigger_engine._trim_slots()"},
	{"trimming digests", "SELECT trigger_engine._trim_digests()"},
	{"finishing erasures", "SELECT trigger_engine._finish_erasures()"},
	{"making partitions", "SELECT trigger_engine._make_partition()"},
	{"counting messages", "SELECT trigger_engine._fold_metrics()"},
	{"looking after tracked tables", "SELECT trigger_engine._rebuild_all_events()"},
	{"trimming notes of changes", "SELECT trigger_engine._trim_segments()"},
	{"refreshing segments", "SELECT trigger_engine._pass_next_segment()"},
	{"running timers of triggers", "SELECT trigger_engine._run_timers()"},
	{"telling of objects and schedules", "SELECT trigger_engine._run_fanout()"},
};

/* What one transaction of a step needs and tells. */
typedef struct StepRun
{
	TeWorkerSlot *slot;
	Step	   *step;			/* NULL = only check */
	TeVerdict	verdict;
	bool		more;
} StepRun;

PGDLLEXPORT void te_maintenance_main(Datum arg);

/*
 * One piece of work, inside its transaction: checks whether the worker may work
 * and calls the step's function as the extension's owner. May throw.
 */
static void
run_piece(void *arg)
{
	static SPIPlanPtr turn_plan = NULL;
	StepRun    *run = arg;
	TeIdentity	saved;
	bool		isnull;

	run->more = false;
	run->verdict = te_worker_check(run->slot, NULL);
	if (run->verdict != TE_RUN || run->step == NULL)
		return;
	te_worker_set_state(run->slot, TE_WORKER_RUNNING, run->step->doing);
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	(void) te_db_execute(&turn_plan, "SELECT trigger_engine._take_maintenance_turn()", 0, NULL, NULL, NULL, false, 1);
	(void) te_db_execute(&run->step->plan, run->step->sql, 0, NULL, NULL, NULL, false, 1);
	if (SPI_processed == 1)
		run->more = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
											   SPI_tuptable->tupdesc, 1, &isnull));
	te_run_as_end(&saved);
}

/*
 * Notes that a step failed and when to try again. Not getting a lock in time is
 * common on a busy table and reported only when it lasts. Throws only for want
 * of memory.
 */
static void
note_failure(Step *step, ErrorData *error)
{
	long		delay = step->failures < 6 ? STEP_RETRY_FIRST_MS << step->failures : STEP_RETRY_MOST_MS;
	bool		lock = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
	char	   *text;

	text = psprintf("%s failed: %s", step->doing, error->message);
	strlcpy(step->error, text, pg_mbcliplen(text, strlen(text), sizeof(step->error) - 1) + 1);
	step->failures++;
	if (lock)
		delay = STEP_RETRY_FIRST_MS;
	step->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
	ereport(lock && step->failures < LOCK_FAILURES_UNREPORTED ? DEBUG1 : WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("trigger_engine: %s failed: %s", step->doing, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->context ? errcontext("%s", error->context) : 0));
}

/* Runs a step to its end, one transaction a piece; the last verdict. */
static TeVerdict
run_step(TeWorkerSlot *slot, Step *step)
{
	StepRun		run = {slot, step, TE_RUN, false};

	if (step->retry_at > GetCurrentTimestamp())
		return TE_RUN;
	do
	{
		ErrorData  *error = NULL;

		CHECK_FOR_INTERRUPTS();
		if (!te_db_transaction(run_piece, &run, 0, &error))
		{
			note_failure(step, error);
			return TE_RUN;
		}
		step->failures = 0;
		step->retry_at = 0;
		TE_DEBUG_POINT("maintenance_between_steps");
	} while (run.verdict == TE_RUN && run.more && !te_worker_stop_requested);
	return run.verdict;
}

/* What to show of steps that failed last time, or NULL. */
static const char *
last_error(void)
{
	int			i;

	for (i = 0; i < lengthof(steps); i++)
		if (steps[i].failures > 0)
			return steps[i].error;
	return NULL;
}

/* One pass over all steps; what the last check said. */
static TeVerdict
run_pass(TeWorkerSlot *slot)
{
	TeVerdict	verdict = TE_RUN;
	int			i;

	pgstat_report_activity(STATE_RUNNING, "trigger_engine maintenance");
	for (i = 0; i < lengthof(steps) && verdict == TE_RUN && !te_worker_stop_requested; i++)
		verdict = run_step(slot, &steps[i]);
	if (verdict == TE_RUN && !te_worker_stop_requested)
		te_worker_set_state(slot, TE_WORKER_RUNNING, last_error());
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(true);
	return verdict;
}

/*
 * Main function of the maintenance worker. A pass every minute, and when
 * somebody asks for attention; nothing is open while it waits.
 */
void
te_maintenance_main(Datum arg)
{
	TeWorkerSlot *slot = te_worker_attach(arg);
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "trigger_engine maintenance pass",
												  ALLOCSET_DEFAULT_SIZES);
	TimestampTz next = 0;

	while (!te_worker_stop_requested)
	{
		long		wait;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			next = 0;
		}
		if (te_wake_take_attention(slot) || GetCurrentTimestamp() >= next)
		{
			TeVerdict	verdict;

			MemoryContextSwitchTo(context);
			verdict = run_pass(slot);
			MemoryContextSwitchTo(TopMemoryContext);
			MemoryContextReset(context);
			if (verdict == TE_EXIT)
				proc_exit(0);
			next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   verdict == TE_RUN ? PASS_INTERVAL_MS :
											   Min(te_worker_idle_timeout() * 10, PASS_INTERVAL_MS));
			continue;
		}
		Assert(!IsTransactionState());
		wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Max(wait, 1), te_wait_event("TriggerEngineMaintenance"));
		ResetLatch(MyLatch);
	}
	proc_exit(0);
}
