/*
 * wake.c
 *		Waking workers when a transaction commits.
 *
 * A session that inserts due rows only notes, for each lane, the earliest one.
 * When its transaction has committed, the callback lowers the earliest_due of
 * every delivery worker of the database and sets the latch of those that would
 * sleep beyond it. The other half of the protocol is the worker's:
 *
 *		te_wake_sleep(slot, until)		publish how long it means to sleep
 *		te_wake_has_hint(slot)			something came in between: do not sleep
 *		WaitLatch(...)
 *		te_wake_up(slot)				no signals needed while it is awake
 *
 * Both halves write first and read then, with a full barrier between, so one of
 * them sees the other. A hint is only a hint: a prepared transaction drops it and
 * a crash loses it, so workers look at the queue by themselves as well.
 *
 * Nothing in the callback may throw: the transaction has committed already.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "worker/worker.h"

/* what this transaction will ask for */
static TimestampTz pending_due[TE_LANES];
static uint64 pending_lanes = 0;	/* one bit a lane */
static bool pending_all = false;
static bool registered = false;

/* where the slot of this database was last time */
static int	cached_slot = 0;

StaticAssertDecl(TE_LANES <= 64, "lanes do not fit into a bit mask");

/* Sets the latch of a process by its number. Does not throw. */
static void
set_latch(int procno)
{
	if (procno >= 0 && procno < (int) ProcGlobal->allProcCount)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

/*
 * The slot of this database, without a lock: slots are only reused when their
 * database has no workers, and a hint to the wrong one does no harm.
 */
static TeDatabaseSlot *
find_slot(void)
{
	int			i;

	if (cached_slot < te_shared->ndatabases &&
		te_shared->database[cached_slot].database == MyDatabaseId)
		return &te_shared->database[cached_slot];
	for (i = 0; i < te_shared->ndatabases; i++)
	{
		if (te_shared->database[i].database == MyDatabaseId)
		{
			cached_slot = i;
			return &te_shared->database[i];
		}
	}
	return NULL;
}

/* Lowers an instant in shared memory. Does not throw; a full barrier. */
static void
lower(pg_atomic_uint64 *instant, TimestampTz to)
{
	uint64		seen = pg_atomic_read_u64(instant);

	while (to < (TimestampTz) seen)
		if (pg_atomic_compare_exchange_u64(instant, &seen, (uint64) to))
			break;
}

/* Hands the hints of this transaction to one worker. Does not throw. */
static void
hint_worker(TeWorkerSlot *worker)
{
	TimestampTz earliest = DT_NOEND;
	int			lane;

	for (lane = 0; lane < TE_LANES; lane++)
	{
		if ((pending_lanes & (UINT64CONST(1) << lane)) == 0)
			continue;
		lower(&worker->earliest_due[lane], pending_due[lane]);
		earliest = Min(earliest, pending_due[lane]);
	}
	pg_memory_barrier();
	if (earliest < (TimestampTz) pg_atomic_read_u64(&worker->sleep_until) &&
		pg_atomic_read_u32(&worker->alive) != 0)
	{
		/* one signal is enough until it sleeps again */
		pg_atomic_write_u64(&worker->sleep_until, (uint64) DT_NOBEGIN);
		set_latch(worker->procno);
	}
}

/* At the end of a transaction; see the head of the file. Must not throw. */
static void
wake_callback(XactEvent event, void *arg)
{
	if (pending_lanes == 0 && !pending_all)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (pending_lanes != 0)
			{
				TeDatabaseSlot *slot = find_slot();
				int			i;

				for (i = 0; slot != NULL && i < te_guc_workers; i++)
					hint_worker(&slot->worker[i]);
			}
			if (pending_all)
				te_wake_all(MyDatabaseId);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	pending_lanes = 0;
	pending_all = false;
}

/* Registers the callback once a session. May throw for want of memory. */
static void
register_callback(void)
{
	if (registered)
		return;
	RegisterXactCallback(wake_callback, NULL);
	registered = true;
}

/*
 * Notes that this transaction inserted a row of a lane that is due then. What a
 * rolled back subtransaction noted stays: a needless wake-up does no harm.
 */
void
te_wake_at_commit(int lane, TimestampTz due)
{
	uint64		bit;

	if (te_shared == NULL)
		return;
	Assert(lane >= 0 && lane < TE_LANES);
	bit = UINT64CONST(1) << lane;
	if ((pending_lanes & bit) == 0)
	{
		register_callback();
		pending_lanes |= bit;
		pending_due[lane] = due;
	}
	else if (due < pending_due[lane])
		pending_due[lane] = due;
}

/* Notes that this transaction changed what every worker of this database must see. */
void
te_wake_all_at_commit(void)
{
	if (te_shared == NULL)
		return;
	register_callback();
	pending_all = true;
}

/* Wakes all workers of a database, or of all. Does not throw. */
void
te_wake_all(Oid database)
{
	int			i;
	int			j;

	if (te_shared == NULL)
		return;
	for (i = 0; i < te_shared->ndatabases; i++)
	{
		TeDatabaseSlot *slot = &te_shared->database[i];

		if (slot->database == InvalidOid ||
			(database != InvalidOid && slot->database != database))
			continue;
		for (j = 0; j < TE_SLOTS_PER_DATABASE; j++)
		{
			pg_atomic_write_u32(&slot->worker[j].attention, 1);
			pg_memory_barrier();
			if (pg_atomic_read_u32(&slot->worker[j].alive) != 0)
				set_latch(slot->worker[j].procno);
		}
	}
}

/* Wakes the launcher. Does not throw. */
void
te_wake_launcher(void)
{
	if (te_shared != NULL && pg_atomic_read_u32(&te_shared->launcher_alive) != 0)
		set_latch(te_shared->launcher_procno);
}

/*
 * Publishes that the worker means to sleep until this instant of the engine's
 * clock. Rows due earlier than that signal it from now on.
 */
void
te_wake_sleep(TeWorkerSlot *slot, TimestampTz until)
{
	pg_atomic_write_u64(&slot->sleep_until, (uint64) until);
	pg_memory_barrier();
}

/* Publishes that the worker is awake, so that nobody needs to signal it. */
void
te_wake_up(TeWorkerSlot *slot)
{
	pg_atomic_write_u64(&slot->sleep_until, (uint64) DT_NOBEGIN);
}

/* Takes the earliest instant that sessions noted for a lane; DT_NOEND = none. */
TimestampTz
te_wake_take_hint(TeWorkerSlot *slot, int lane)
{
	/* an exchange is a locked bus cycle; most of the time there is nothing */
	if (pg_atomic_read_u64(&slot->earliest_due[lane]) == (uint64) DT_NOEND)
		return DT_NOEND;
	return (TimestampTz) pg_atomic_exchange_u64(&slot->earliest_due[lane], (uint64) DT_NOEND);
}

/* Whether there is anything to take, before sleeping. */
bool
te_wake_has_hint(TeWorkerSlot *slot)
{
	int			lane;

	if (pg_atomic_read_u32(&slot->attention) != 0)
		return true;
	for (lane = 0; lane < TE_LANES; lane++)
		if (pg_atomic_read_u64(&slot->earliest_due[lane]) != (uint64) DT_NOEND)
			return true;
	return false;
}

/* Whether everything must be looked at again; clears the request. */
bool
te_wake_take_attention(TeWorkerSlot *slot)
{
	if (pg_atomic_read_u32(&slot->attention) == 0)
		return false;
	return pg_atomic_exchange_u32(&slot->attention, 0) != 0;
}
