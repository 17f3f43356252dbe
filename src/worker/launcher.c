/*
 * launcher.c
 *		The launcher: finds the databases that have the extension and keeps their
 *		workers running.
 *
 * It is connected to no database and reads only pg_database. Whether a database
 * has the extension is found out by a short-lived probe inside it. What it knows
 * of workers is in shared memory, so it may die and come back at any time; the
 * handles and the list of databases without the extension are its own and are
 * made anew. It is the only one that registers workers, and it never holds the
 * control lock while it does.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "compat.h"
#include "guc.h"
#include "worker/launcher.h"
#include "worker/worker.h"

#define PASS_MOST_MS 10000		/* a pass at least this often */
#define START_MOST_MS 60000		/* a registered worker that has not come by then has failed */
#define RESTART_SECONDS 5

/* why a worker could not even be registered */
#define NO_ROOM "found no free background worker slot: raise max_worker_processes"

/* handles of what this launcher registered; NULL for what an earlier one did */
static BackgroundWorkerHandle **handles = NULL;

/* when the next pass must be; only ever brought forward during a pass */
static TimestampTz next_pass;

/* what hinders the launcher in this pass; constants */
static const char *problem_now;
static const char *hint_now;

PGDLLEXPORT void te_launcher_main(Datum arg);

/* Asks for a pass at this instant at the latest. Does not throw. */
void
te_launcher_pass_by(TimestampTz at)
{
	next_pass = Min(next_pass, at);
}

/*
 * Notes what hinders the launcher in this pass; the first complaint counts.
 * Does not throw.
 */
void
te_launcher_complain(const char *problem, const char *hint)
{
	if (problem_now != NULL)
		return;
	problem_now = problem;
	hint_now = hint;
}

/* The complaint that the server has no room for another process. Does not throw. */
void
te_launcher_complain_full(void)
{
	te_launcher_complain("no background worker slot is free",
						 "Raise max_worker_processes and restart the server.");
}

/* Shows the complaint of this pass in worker_status, and logs it when it is news. */
static void
publish_problem(void)
{
	const char *problem = problem_now ? problem_now : "";
	bool		news;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	news = strncmp(te_shared->launcher_reason, problem, TE_REASON_LENGTH - 1) != 0;
	strlcpy(te_shared->launcher_reason, problem, TE_REASON_LENGTH);
	LWLockRelease(te_shared->lock);
	if (news && problem_now != NULL)
		ereport(WARNING,
				(errmsg("trigger_engine: %s", problem_now),
				 hint_now ? errhint("%s", hint_now) : 0));
}

/*
 * Registers a process for a database; false when the server has no room for it.
 * The handle is allocated in TopMemoryContext. May throw for want of memory.
 */
bool
te_launcher_start(const TeWorkerArgument *argument, const char *function, const char *type,
				  const char *name, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;
	MemoryContext old;
	bool		registered;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(argument->database);
	strlcpy(worker.bgw_library_name, "trigger_engine", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "trigger_engine %s", name);
	memcpy(worker.bgw_extra, argument, sizeof(TeWorkerArgument));

	if (*handle)
		pfree(*handle);
	*handle = NULL;
	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, handle);
	MemoryContextSwitchTo(old);
	if (!registered)
		*handle = NULL;
	return registered;
}

/* Whether the postmaster knows that this process ended, or never began. */
bool
te_launcher_has_ended(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	return handle != NULL && GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
}

/*
 * All databases, as a list of TeLauncherDatabase in the current context. Those
 * that are templates or take no connections are left out. May throw.
 */
static List *
list_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		TeLauncherDatabase *database;
		MemoryContext old;

		/* a limit below -1 marks a database whose DROP was interrupted */
		if (!form->datallowconn || form->datistemplate || form->datconnlimit < -1)
			continue;
		old = MemoryContextSwitchTo(context);
		database = palloc0(sizeof(TeLauncherDatabase));
		database->oid = form->oid;
		database->name = pstrdup(NameStr(form->datname));
		result = lappend(result, database);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return result;
}

/* Whether trigger_engine.databases names this database. May throw for want of memory. */
bool
te_launcher_is_selected(const char *name)
{
	char	   *copy = pstrdup(te_guc_databases);
	List	   *names = NIL;
	ListCell   *cell;
	bool		selected = false;

	if (!SplitGUCList(copy, ',', &names))
	{
		te_launcher_complain("trigger_engine.databases is not a list of names",
							 "Separate names with commas; quote a name that holds one.");
		return false;
	}
	foreach(cell, names)
	{
		const char *word = lfirst(cell);

		if (strcmp(word, "*") == 0 || strcmp(word, name) == 0)
			selected = true;
	}
	list_free(names);
	pfree(copy);
	return selected;
}

/* Sends a worker SIGTERM. The caller holds the lock. Does not throw. */
static void
terminate(TeWorkerSlot *slot)
{
	if (slot->pid != 0 && kill(slot->pid, SIGTERM) != 0)
		elog(DEBUG1, "could not send SIGTERM to process %d: %m", (int) slot->pid);
}

/*
 * Frees the slot of a database that is gone, not selected any more or without
 * the extension, once its last worker has left. May throw what the caller's
 * memory allows; true when it is free.
 */
bool
te_launcher_forget(TeDatabaseSlot *slot, const char *why)
{
	bool		left = false;
	int			i;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < TE_SLOTS_PER_DATABASE; i++)
	{
		TeWorkerSlot *worker = &slot->worker[i];

		if (worker->pid != 0)
		{
			left = true;
			if (worker->state != TE_WORKER_DRAINING)
			{
				terminate(worker);
				te_worker_set_state_locked(worker, TE_WORKER_DRAINING, why);
			}
		}
		else if (worker->state == TE_WORKER_STARTING)
		{
			/* it will find that it is not wanted */
			worker->generation++;
			te_worker_set_state_locked(worker, TE_WORKER_STOPPED, why);
		}
	}
	if (!left)
		slot->database = InvalidOid;
	LWLockRelease(te_shared->lock);
	return !left;
}

/*
 * Prepares a slot for a start if its time has come; false when there is nothing
 * to start now. Does not throw.
 */
static bool
claim_start(TeDatabaseSlot *slot, TeWorkerSlot *worker, TeWorkerArgument *argument)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		start = false;

	/* while something forbids a start, whoever lifts it wakes the launcher */
	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	if (!slot->stopped && !slot->probe_wanted && !te_shmem_is_inhibited(slot->database))
	{
		if (worker->state == TE_WORKER_BACKOFF && worker->retry_at > now)
			te_launcher_pass_by(worker->retry_at);
		else if (worker->state == TE_WORKER_ABSENT || worker->state == TE_WORKER_STOPPED ||
				 worker->state == TE_WORKER_BACKOFF)
		{
			argument->database = slot->database;
			argument->generation = ++worker->generation;
			te_worker_set_state_locked(worker, TE_WORKER_STARTING, NULL);
			start = true;
		}
	}
	else if (worker->pid == 0 && worker->state == TE_WORKER_BACKOFF)
		te_worker_set_state_locked(worker, TE_WORKER_STOPPED, slot->stopped ? "by stop_workers()" : NULL);
	LWLockRelease(te_shared->lock);
	return start;
}

/*
 * Notes that a start failed, unless the process came nevertheless; logged at the
 * first, second, fourth ... failure in a row. Does not throw.
 */
static void
fail_start(TeWorkerSlot *worker, uint64 generation, const char *name, const char *reason)
{
	int			failures = 0;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	if (worker->generation == generation && worker->state == TE_WORKER_STARTING && worker->pid == 0)
	{
		te_worker_failed_locked(worker, reason);
		te_launcher_pass_by(worker->retry_at);
		failures = worker->failures;
	}
	LWLockRelease(te_shared->lock);
	if (failures > 0 && (failures & (failures - 1)) == 0)
		ereport(LOG,
				(errmsg("trigger_engine: a worker of database \"%s\" %s", name, reason),
				 errdetail_plural("%d failure in a row.", "%d failures in a row.", failures, failures)));
}

/*
 * Looks after one worker of a database: starts it when it should run and does
 * not, and notices a start that came to nothing (no memory for the fork, no
 * library, a crash before it took its slot). May throw.
 */
static void
tend_worker(TeDatabaseSlot *slot, int index, const char *name)
{
	TeWorkerSlot *worker = &slot->worker[index];
	BackgroundWorkerHandle **handle = &handles[(slot - te_shared->database) * TE_SLOTS_PER_DATABASE + index];
	TeWorkerArgument argument;
	bool		maintenance = index == TE_MAINTENANCE;

	if (worker->state == TE_WORKER_STARTING && worker->pid == 0)
	{
		uint64		generation = worker->generation;

		if (te_launcher_has_ended(*handle))
			fail_start(worker, generation, name, "could not be started; see the server log");
		else if (TimestampDifferenceExceeds(worker->since, GetCurrentTimestamp(), START_MOST_MS))
			fail_start(worker, generation, name, "did not start in time");
		else
			te_launcher_pass_by(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000));
	}

	else if (worker->failures > 0 && worker->pid != 0 &&
			 TimestampDifferenceExceeds(worker->started_at, GetCurrentTimestamp(), TE_HEALTHY_MS))
		worker->failures = 0;	/* only this process starts and counts */

	argument.index = index;
	if (!claim_start(slot, worker, &argument))
	{
		/* it still waits for room, as far as anybody knows */
		if (worker->state == TE_WORKER_BACKOFF && strcmp(worker->reason, NO_ROOM) == 0)
			te_launcher_complain_full();
		return;
	}
	if (!te_launcher_start(&argument,
						   maintenance ? "te_maintenance_main" : "te_delivery_worker_main",
						   maintenance ? "trigger_engine maintenance" : "trigger_engine delivery",
						   psprintf("%s worker of %s", te_worker_slot_name(index), name), handle))
	{
		te_launcher_complain_full();
		fail_start(worker, argument.generation, name, NO_ROOM);
	}
}

/* Lets go of the inhibitions of sessions that are gone. Does not throw. */
static void
drop_dead_inhibitors(void)
{
	int			i;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < TE_MAX_INHIBITORS; i++)
	{
		TeInhibitor *inhibitor = &te_shared->inhibitor[i];

		if (inhibitor->pid != 0 && BackendPidGetProc(inhibitor->pid) == NULL)
			inhibitor->pid = 0;
	}
	LWLockRelease(te_shared->lock);
}

/* The entry of a database in a list of TeLauncherDatabase, or NULL. */
static TeLauncherDatabase *
find_database(List *databases, Oid oid)
{
	ListCell   *cell;

	foreach(cell, databases)
	{
		TeLauncherDatabase *database = lfirst(cell);

		if (database->oid == oid)
			return database;
	}
	return NULL;
}

/*
 * One look at everything. Allocates in the current context, which is reset
 * after every pass. May throw, which restarts the launcher.
 */
static void
pass(void)
{
	List	   *databases = list_databases();
	ListCell   *cell;
	int			i;
	int			j;

	problem_now = NULL;
	drop_dead_inhibitors();
	foreach(cell, databases)
	{
		TeLauncherDatabase *database = lfirst(cell);

		database->selected = te_launcher_is_selected(database->name);
	}

	for (i = 0; i < te_shared->ndatabases; i++)
	{
		TeDatabaseSlot *slot = &te_shared->database[i];
		TeLauncherDatabase *database;

		if (slot->database == InvalidOid)
			continue;
		database = find_database(databases, slot->database);
		if (database == NULL)
			(void) te_launcher_forget(slot, "the database is gone or takes no workers");
		else if (!database->selected)
			(void) te_launcher_forget(slot, "not named in trigger_engine.databases");
		else
		{
			for (j = 0; j < te_guc_workers; j++)
				tend_worker(slot, j, database->name);
			tend_worker(slot, TE_MAINTENANCE, database->name);
		}
	}

	te_probe_pass(databases);
	publish_problem();
}

/* Exit callback. Must not throw. */
static void
launcher_exit(int code, Datum arg)
{
	pg_atomic_write_u32(&te_shared->launcher_alive, 0);
	if (!LWLockHeldByMe(te_shared->lock))
		LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	te_shared->launcher_procno = -1;
	te_shared->launcher_pid = 0;
	te_shared->launcher_since = GetCurrentTimestamp();
	LWLockRelease(te_shared->lock);
}

/*
 * Main function of the launcher. An error ends the process, and the postmaster
 * starts it again after RESTART_SECONDS; its workers go on meanwhile.
 */
void
te_launcher_main(Datum arg)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	te_shared->launcher_procno = te_my_proc_number();
	te_shared->launcher_pid = MyProcPid;
	te_shared->launcher_since = GetCurrentTimestamp();
	te_shared->launcher_reason[0] = '\0';
	pg_atomic_write_u32(&te_shared->launcher_alive, 1);
	LWLockRelease(te_shared->lock);
	before_shmem_exit(launcher_exit, (Datum) 0);

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("trigger_engine launcher");
	context = AllocSetContextCreate(TopMemoryContext, "trigger_engine launcher pass",
									ALLOCSET_DEFAULT_SIZES);
	handles = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(BackgroundWorkerHandle *) *
									 te_shared->ndatabases * TE_SLOTS_PER_DATABASE);
	ereport(LOG, (errmsg("trigger_engine: launcher started")));

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		next_pass = TimestampTzPlusMilliseconds(now, PASS_MOST_MS);
		MemoryContextSwitchTo(context);
		pass();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(context);
		pgstat_report_stat(true);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Max(10, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_pass)),
						 te_wait_event("TriggerEngineLauncher"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			te_probe_forget_all();
		}
	}
}

/* Registers the launcher; from _PG_init while libraries are preloaded. */
void
te_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, "trigger_engine", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "te_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, "trigger_engine launcher", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_name, "trigger_engine launcher", sizeof(worker.bgw_name));
	RegisterBackgroundWorker(&worker);
}
