/*
 * shmem.c
 *		Shared memory of launcher and workers: sizes, locks, slots and states.
 *
 * Everything in it is plain data. A process that dies without its exit callback
 * takes the server through a crash restart, which clears all of it.
 */
#include "postgres.h"

#include <signal.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "worker/worker.h"

#define TRANCHE "trigger_engine"
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MOST_MS 60000
#define STOP_POLL_MS 5

TeShared   *te_shared = NULL;

static shmem_startup_hook_type previous_startup_hook = NULL;
#ifdef TE_HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_request_hook = NULL;
#endif

/* The size of the shared block. Throws when it overflows. */
static Size
shared_size(void)
{
	return add_size(offsetof(TeShared, database),
					mul_size(te_guc_max_databases, sizeof(TeDatabaseSlot)));
}

/* Asks for memory and the lock. May throw; runs in the postmaster only. */
static void
request_shmem(void)
{
#ifdef TE_HAVE_SHMEM_REQUEST_HOOK
	if (previous_request_hook)
		previous_request_hook();
#endif
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche(TRANCHE, 1);
}

/* Puts a worker's slot into the state of a worker that never ran. Does not throw. */
static void
reset_worker(TeWorkerSlot *slot)
{
	int			lane;

	slot->state = TE_WORKER_ABSENT;
	slot->reason[0] = '\0';
	slot->pid = 0;
	slot->procno = -1;
	slot->since = GetCurrentTimestamp();
	slot->started_at = 0;
	slot->retry_at = 0;
	slot->failures = 0;
	/* the generation goes on, so that a late process of before is told apart */
	pg_atomic_write_u32(&slot->alive, 0);
	pg_atomic_write_u32(&slot->attention, 0);
	pg_atomic_write_u64(&slot->sleep_until, (uint64) DT_NOEND);
	for (lane = 0; lane < TE_LANES; lane++)
		pg_atomic_write_u64(&slot->earliest_due[lane], (uint64) DT_NOEND);
	pg_atomic_write_u64(&slot->claimed, 0);
	pg_atomic_write_u64(&slot->accepted, 0);
	pg_atomic_write_u64(&slot->failed, 0);
	pg_atomic_write_u64(&slot->withheld, 0);
	pg_atomic_write_u32(&slot->in_flight, 0);
	pg_atomic_write_u32(&slot->unsettled, 0);
}

/* Initialises the atomics of a slot in fresh memory. Does not throw. */
static void
init_worker(TeWorkerSlot *slot)
{
	int			lane;

	pg_atomic_init_u32(&slot->alive, 0);
	pg_atomic_init_u32(&slot->attention, 0);
	pg_atomic_init_u64(&slot->sleep_until, 0);
	for (lane = 0; lane < TE_LANES; lane++)
		pg_atomic_init_u64(&slot->earliest_due[lane], 0);
	pg_atomic_init_u64(&slot->claimed, 0);
	pg_atomic_init_u64(&slot->accepted, 0);
	pg_atomic_init_u64(&slot->failed, 0);
	pg_atomic_init_u64(&slot->withheld, 0);
	pg_atomic_init_u32(&slot->in_flight, 0);
	pg_atomic_init_u32(&slot->unsettled, 0);
	reset_worker(slot);
}

/* Creates the block, or finds it. Runs at start and again after a crash. */
static void
startup_shmem(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	te_shared = ShmemInitStruct(TRANCHE, shared_size(), &found);
	if (!found)
	{
		int			i;
		int			j;

		memset(te_shared, 0, shared_size());
		te_shared->lock = &(GetNamedLWLockTranche(TRANCHE))->lock;
		te_shared->launcher_procno = -1;
		te_shared->launcher_since = GetCurrentTimestamp();
		te_shared->ndatabases = te_guc_max_databases;
		pg_atomic_init_u32(&te_shared->launcher_alive, 0);
		pg_atomic_init_u64(&te_shared->virtual_now, 0);
		for (i = 0; i < te_shared->ndatabases; i++)
			for (j = 0; j < TE_SLOTS_PER_DATABASE; j++)
				init_worker(&te_shared->database[i].worker[j]);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Installs the hooks; from _PG_init while libraries are preloaded. */
void
te_shmem_init(void)
{
#ifdef TE_HAVE_SHMEM_REQUEST_HOOK
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
#else
	request_shmem();
#endif
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* Throws unless the library was preloaded: without it there are no workers. */
void
te_shmem_require(void)
{
	if (te_shared == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_NOT_PRELOADED),
				 errmsg("trigger_engine is not preloaded, so there are no workers"),
				 errhint("Add trigger_engine to shared_preload_libraries and restart the server.")));
}

/*
 * The slot of a database, or NULL; with create a free one is taken. The caller
 * holds the control lock, exclusively if create is set. Does not throw.
 */
TeDatabaseSlot *
te_shmem_database_locked(Oid database, bool create)
{
	TeDatabaseSlot *unused = NULL;
	int			i;

	for (i = 0; i < te_shared->ndatabases; i++)
	{
		TeDatabaseSlot *slot = &te_shared->database[i];

		if (slot->database == database)
			return slot;
		if (slot->database == InvalidOid && unused == NULL)
			unused = slot;
	}
	if (!create || unused == NULL)
		return NULL;
	unused->probe_wanted = false;
	unused->stopped = false;
	for (i = 0; i < TE_SLOTS_PER_DATABASE; i++)
		reset_worker(&unused->worker[i]);
	unused->database = database;
	return unused;
}

/*
 * The same, taking the lock itself. The pointer stays valid, but its slot may be
 * given to another database once no worker of this one is left: look at
 * slot->database again before trusting an old pointer.
 */
TeDatabaseSlot *
te_shmem_database(Oid database, bool create)
{
	TeDatabaseSlot *slot;

	if (te_shared == NULL)
		return NULL;
	LWLockAcquire(te_shared->lock, create ? LW_EXCLUSIVE : LW_SHARED);
	slot = te_shmem_database_locked(database, create);
	LWLockRelease(te_shared->lock);
	return slot;
}

/*
 * Whether a database command keeps workers out of this database. Reads without
 * the lock: whoever needs certainty holds it. Does not throw.
 */
bool
te_shmem_is_inhibited(Oid database)
{
	int			i;

	for (i = 0; i < TE_MAX_INHIBITORS; i++)
		if (te_shared->inhibitor[i].pid != 0 && te_shared->inhibitor[i].database == database)
			return true;
	return false;
}

/*
 * Keeps workers out of a database until te_shmem_allow() or the end of this
 * process. False when too many commands do so already: then the command takes
 * its chances. Does not throw.
 */
bool
te_shmem_inhibit(Oid database)
{
	int			i;
	bool		done = false;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < TE_MAX_INHIBITORS && !done; i++)
	{
		TeInhibitor *inhibitor = &te_shared->inhibitor[i];

		if (inhibitor->pid == 0)
		{
			inhibitor->database = database;
			inhibitor->pid = MyProcPid;
			done = true;
		}
	}
	LWLockRelease(te_shared->lock);
	return done;
}

/* Ends all inhibitions of this process; true if there were any. Does not throw. */
bool
te_shmem_allow(void)
{
	int			i;
	bool		any = false;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < TE_MAX_INHIBITORS; i++)
	{
		if (te_shared->inhibitor[i].pid != MyProcPid)
			continue;
		te_shared->inhibitor[i].pid = 0;
		any = true;
	}
	LWLockRelease(te_shared->lock);
	return any;
}

/*
 * Asks the launcher to look into a database before it starts anything there. The
 * caller holds the lock exclusively and wakes the launcher. Does not throw.
 */
void
te_shmem_want_probe_locked(Oid database)
{
	TeDatabaseSlot *slot = te_shmem_database_locked(database, false);
	int			i;

	if (slot != NULL)
		slot->probe_wanted = true;
	for (i = 0; i < Min(te_shared->nwanted, TE_MAX_WANTED); i++)
		if (te_shared->wanted[i] == database)
			return;
	if (te_shared->nwanted < TE_MAX_WANTED)
		te_shared->wanted[te_shared->nwanted++] = database;
	else
		te_shared->nwanted = TE_MAX_WANTED + 1;
}

/* The same, with lock and wake-up. Does not throw. */
void
te_shmem_want_probe(Oid database)
{
	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	te_shmem_want_probe_locked(database);
	LWLockRelease(te_shared->lock);
	te_wake_launcher();
}

/* Sends SIGTERM to the workers of a database; how many are still there. */
static int
signal_workers(Oid database, bool first)
{
	TeDatabaseSlot *slot;
	int			there = 0;
	int			i;

	LWLockAcquire(te_shared->lock, LW_SHARED);
	slot = te_shmem_database_locked(database, false);
	for (i = 0; slot != NULL && i < TE_SLOTS_PER_DATABASE; i++)
	{
		TeWorkerSlot *worker = &slot->worker[i];

		if (worker->pid == 0)
			continue;
		there++;
		/* the process clears pid under the lock, so this cannot hit another one */
		if (first && kill(worker->pid, SIGTERM) != 0)
			elog(DEBUG1, "could not send SIGTERM to process %d: %m", (int) worker->pid);
	}
	LWLockRelease(te_shared->lock);
	return there;
}

/* Whether one of these processes is still known to the server. */
static bool
any_process_left(const pid_t *pids, int npids)
{
	int			i;

	for (i = 0; i < npids; i++)
		if (BackendPidGetProc(pids[i]) != NULL)
			return true;
	return false;
}

/*
 * Stops the workers of a database with SIGTERM, never more, and waits until they
 * are gone or the time is over; true if they are gone. The caller has seen to it
 * that no new ones start. May throw only what an interrupt throws.
 */
bool
te_shmem_stop(Oid database, long timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	TeDatabaseSlot *slot;
	pid_t		pids[TE_SLOTS_PER_DATABASE];
	int			npids = 0;
	int			i;

	LWLockAcquire(te_shared->lock, LW_SHARED);
	slot = te_shmem_database_locked(database, false);
	for (i = 0; slot != NULL && i < TE_SLOTS_PER_DATABASE; i++)
		if (slot->worker[i].pid != 0)
			pids[npids++] = slot->worker[i].pid;
	LWLockRelease(te_shared->lock);

	signal_workers(database, true);

	/*
	 * A process first clears its slot and then leaves the process array, which
	 * is what DROP DATABASE looks at, so wait for both.
	 */
	while (signal_workers(database, false) > 0 || any_process_left(pids, npids))
	{
		if (GetCurrentTimestamp() >= deadline)
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 STOP_POLL_MS, te_wait_event("TriggerEngineStop"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/*
 * Sets the state of a slot. The caller holds the lock exclusively. An unchanged
 * state keeps its time. Does not throw.
 */
void
te_worker_set_state_locked(TeWorkerSlot *slot, TeWorkerState state, const char *reason)
{
	int			length = reason == NULL ? 0 : strlen(reason);

	if (length >= TE_REASON_LENGTH)
		length = pg_mbcliplen(reason, length, TE_REASON_LENGTH - 1);
	if (slot->state != state)
		slot->since = GetCurrentTimestamp();
	slot->state = state;
	if (length > 0)
		memcpy(slot->reason, reason, length);
	slot->reason[length] = '\0';
	if (state != TE_WORKER_BACKOFF)
		slot->retry_at = 0;
}

/* The same, taking the lock. For the worker itself; nothing happens when nothing changes. */
void
te_worker_set_state(TeWorkerSlot *slot, TeWorkerState state, const char *reason)
{
	if (slot->state == state && strncmp(slot->reason, reason ? reason : "", TE_REASON_LENGTH - 1) == 0)
		return;
	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	te_worker_set_state_locked(slot, state, reason);
	LWLockRelease(te_shared->lock);
}

/*
 * Notes a failure: the delay before the next start doubles with every failure in
 * a row, up to a minute, and a process that had run well for a minute starts the
 * count anew. The caller holds the lock exclusively. Does not throw.
 */
void
te_worker_failed_locked(TeWorkerSlot *slot, const char *reason)
{
	TimestampTz now = GetCurrentTimestamp();
	long		delay;

	if (slot->started_at != 0 &&
		TimestampDifferenceExceeds(slot->started_at, now, TE_HEALTHY_MS))
		slot->failures = 0;
	slot->started_at = 0;
	delay = slot->failures < 6 ? BACKOFF_FIRST_MS << slot->failures : BACKOFF_MOST_MS;
	slot->failures++;
	te_worker_set_state_locked(slot, TE_WORKER_BACKOFF, reason);
	slot->retry_at = TimestampTzPlusMilliseconds(now, delay);
}

/* The word for a state, as in worker_status. Does not throw. */
const char *
te_worker_state_name(TeWorkerState state)
{
	switch (state)
	{
		case TE_WORKER_ABSENT:
			return "absent";
		case TE_WORKER_STARTING:
			return "starting";
		case TE_WORKER_RUNNING:
			return "running";
		case TE_WORKER_IDLE:
			return "idle";
		case TE_WORKER_DRAINING:
			return "draining";
		case TE_WORKER_BACKOFF:
			return "backoff";
		case TE_WORKER_STOPPED:
			return "stopped";
	}
	return "unknown";
}

/* The name of a worker in its database, as in worker_status; a constant. */
const char *
te_worker_slot_name(int index)
{
	static const char *const names[TE_SLOTS_PER_DATABASE] = {
		"delivery 0", "delivery 1", "delivery 2", "delivery 3",
		"delivery 4", "delivery 5", "delivery 6", "delivery 7",
		"maintenance"
	};

	Assert(index >= 0 && index < TE_SLOTS_PER_DATABASE);
	return names[index];
}
