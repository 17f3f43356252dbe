/*
 * status.c
 *		What worker_status shows: the launcher and the workers of this database.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "guc.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(te_worker_status);

#define COLUMNS 13

/* Where the rows go. */
typedef struct Output
{
	Tuplestorestate *store;
	TupleDesc	desc;
} Output;

/* Sets a column to a text, or to NULL when there is none. */
static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL || text[0] == '\0';
	if (!nulls[column])
		values[column] = CStringGetTextDatum(text);
}

/* Sets a column to an instant, or to NULL when it is 0. */
static void
put_instant(Datum *values, bool *nulls, int column, TimestampTz at)
{
	nulls[column] = at == 0;
	values[column] = TimestampTzGetDatum(at);
}

/* A row without counters. */
static void
put_plain(Output *output, const char *database, const char *worker, const char *state,
		  const char *reason, pid_t pid, TimestampTz since)
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS];

	memset(nulls, true, sizeof(nulls));
	put_text(values, nulls, 0, database);
	put_text(values, nulls, 1, worker);
	put_text(values, nulls, 2, state);
	put_text(values, nulls, 3, reason);
	nulls[4] = pid == 0;
	values[4] = Int32GetDatum(pid);
	put_instant(values, nulls, 5, since);
	tuplestore_putvalues(output->store, output->desc, values, nulls);
}

/* The row of one worker, from a copy of its slot. */
static void
put_worker(Output *output, const char *database, int index, TeWorkerSlot *slot)
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS];

	memset(nulls, false, sizeof(nulls));
	put_text(values, nulls, 0, database);
	put_text(values, nulls, 1, te_worker_slot_name(index));
	put_text(values, nulls, 2, te_worker_state_name(slot->state));
	put_text(values, nulls, 3, slot->reason);
	nulls[4] = slot->pid == 0;
	values[4] = Int32GetDatum(slot->pid);
	put_instant(values, nulls, 5, slot->since);
	put_instant(values, nulls, 6, slot->retry_at);
	values[7] = Int32GetDatum(slot->failures);
	values[8] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->claimed));
	values[9] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->accepted));
	values[10] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->failed));
	values[11] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->withheld));
	values[12] = Int32GetDatum((int32) pg_atomic_read_u32(&slot->in_flight));
	tuplestore_putvalues(output->store, output->desc, values, nulls);
}

/* Why this database has no slot, as a constant. Needs no lock. */
static const char *
reason_without_slot(void)
{
	if (RecoveryInProgress())
		return "the server is in recovery; workers start when it is promoted";
	if (pg_atomic_read_u32(&te_shared->launcher_alive) == 0)
		return "the launcher is not running";
	if (te_shared->launcher_reason[0] != '\0')
		return "see the launcher's reason";
	return "the launcher has not looked here yet, or trigger_engine.databases does not name this database";
}

/* Rows of launcher and workers while the library is preloaded. May throw. */
static void
put_all(Output *output)
{
	char	   *database = get_database_name(MyDatabaseId);
	TeDatabaseSlot *slot;
	TeWorkerSlot copies[TE_SLOTS_PER_DATABASE];
	char		reason[TE_REASON_LENGTH];
	bool		found;
	pid_t		launcher;
	TimestampTz since;
	int			i;

	LWLockAcquire(te_shared->lock, LW_SHARED);
	slot = te_shmem_database_locked(MyDatabaseId, false);
	found = slot != NULL;
	if (found)
		memcpy(copies, slot->worker, sizeof(copies));
	launcher = te_shared->launcher_pid;
	since = te_shared->launcher_since;
	strlcpy(reason, te_shared->launcher_reason, sizeof(reason));
	LWLockRelease(te_shared->lock);

	if (launcher == 0)
		strlcpy(reason, RecoveryInProgress() ?
				"the server is in recovery; the launcher starts when it is promoted" :
				"starts within seconds; see the server log if it does not", sizeof(reason));
	put_plain(output, NULL, "launcher",
			  te_worker_state_name(launcher ? TE_WORKER_RUNNING : TE_WORKER_ABSENT),
			  reason, launcher, since);

	for (i = 0; i < TE_SLOTS_PER_DATABASE; i++)
	{
		if (i >= te_guc_workers && i != TE_MAINTENANCE)
			continue;
		if (found)
			put_worker(output, database, i, &copies[i]);
		else
			put_plain(output, database, te_worker_slot_name(i),
					  te_worker_state_name(TE_WORKER_ABSENT), reason_without_slot(), 0, 0);
	}
}

/*
 * Prepares the materialised result of a set-returning function. Done by hand,
 * because the server's own helper came with 15. May throw.
 */
static void
begin_output(FunctionCallInfo fcinfo, Output *output)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &output->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	output->store = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);
	info->returnMode = SFRM_Materialize;
	info->setResult = output->store;
	info->setDesc = output->desc;
}

/* SQL: _worker_status(), the rows of the view worker_status. */
Datum
te_worker_status(PG_FUNCTION_ARGS)
{
	Output		output;

	begin_output(fcinfo, &output);
	if (te_shared == NULL)
		put_plain(&output, get_database_name(MyDatabaseId), "launcher", "not preloaded",
				  "Add trigger_engine to shared_preload_libraries and restart the server; everything but the workers works without it.",
				  0, 0);
	else
		put_all(&output);
	return (Datum) 0;
}
