/*
 * process.c
 *		What delivery and maintenance workers have in common: attaching to a slot,
 *		being told to stop, the check before every round of work, and leaving.
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "common/common.h"
#include "compat.h"
#include "guc.h"
#include "worker/worker.h"

/* a drain is bounded by a timer that may be set in a signal handler */
#if defined(_POSIX_TIMERS) && _POSIX_TIMERS > 0
#define TE_HAVE_POSIX_TIMERS 1
#endif

#define BUSY_RETRY_MS 50
#define BUSY_RETRIES 20
#define TERMINATED_RETRY_MS 1000
#define SAME_REQUEST_MS 200
/* Without a drain there is still this long to leave in order. */
#define LEAVE_MS 500

volatile sig_atomic_t te_worker_stop_requested = false;

/* this process's place; NULL in all others */
static TeDatabaseSlot *my_database = NULL;
static TeWorkerSlot *my_slot = NULL;
static int	my_index = -1;
static uint64 my_generation = 0;
static Oid	my_extension = InvalidOid;
static char my_database_name[NAMEDATALEN];

/* why this process leaves, when it knows */
static bool leaving = false;
static char leaving_reason[TE_REASON_LENGTH];

/* consecutive checks that found the extension locked by somebody else */
static int	busy_checks = 0;

/* whether the last check found SQL objects of another version */
static bool version_differs = false;

#ifdef TE_HAVE_POSIX_TIMERS
static timer_t drain_timer;
static bool drain_timer_ready = false;
static struct timespec drain_began;
static volatile sig_atomic_t drain_ms = 0;	/* 0 = no drain has begun */
#endif

/*
 * Copies what the launcher wrote for this process. Does not throw.
 */
void
te_worker_get_argument(TeWorkerArgument *argument)
{
	memcpy(argument, MyBgworkerEntry->bgw_extra, sizeof(TeWorkerArgument));
}

/* Index of this process's slot in its database; -1 in other processes. */
int
te_worker_index(void)
{
	return my_index;
}

/*
 * Gives the slot back. Runs after the transaction was rolled back and its locks
 * were released, whichever way the process leaves; must not throw.
 */
static void
detach(int code, Datum arg)
{
	Oid			database = InvalidOid;

	if (!LWLockHeldByMe(te_shared->lock))
		LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	if (my_slot->generation == my_generation && my_slot->pid == MyProcPid)
	{
		database = my_database->database;
		my_slot->pid = 0;
		my_slot->procno = -1;
		pg_atomic_write_u32(&my_slot->alive, 0);
		pg_atomic_write_u32(&my_slot->in_flight, 0);
		pg_atomic_write_u32(&my_slot->unsettled, 0);
		pg_atomic_write_u64(&my_slot->sleep_until, (uint64) DT_NOEND);

		if (te_shmem_is_inhibited(database))
			te_worker_set_state_locked(my_slot, TE_WORKER_STOPPED, "a database command is running");
		else if (my_database->stopped)
			te_worker_set_state_locked(my_slot, TE_WORKER_STOPPED, "by stop_workers()");
		else if (leaving)
		{
			te_worker_set_state_locked(my_slot, TE_WORKER_ABSENT, leaving_reason);
			te_shmem_want_probe_locked(database);
		}
		else if (te_worker_stop_requested || ProcDiePending)
		{
			/* somebody wanted this process gone; that is no failure */
			te_worker_set_state_locked(my_slot, TE_WORKER_BACKOFF, "terminated by request");
			my_slot->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TERMINATED_RETRY_MS);
		}
		else
			te_worker_failed_locked(my_slot, "failed; see the server log");
	}
	LWLockRelease(te_shared->lock);
	te_wake_launcher();
}

/*
 * Takes the slot that this process was started for. False when the launcher has
 * given up on it or no worker is wanted any more. Does not throw.
 */
static bool
take_slot(const TeWorkerArgument *argument)
{
	bool		taken = false;
	TeDatabaseSlot *database;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	database = te_shmem_database_locked(argument->database, false);
	if (database != NULL && argument->index >= 0 && argument->index < TE_SLOTS_PER_DATABASE)
	{
		TeWorkerSlot *slot = &database->worker[argument->index];

		if (slot->generation == argument->generation && slot->state == TE_WORKER_STARTING &&
			slot->pid == 0)
		{
			if (database->stopped || te_shmem_is_inhibited(argument->database))
				te_worker_set_state_locked(slot, TE_WORKER_STOPPED, "not wanted any more");
			else
			{
				slot->pid = MyProcPid;
				slot->procno = te_my_proc_number();
				slot->started_at = GetCurrentTimestamp();
				pg_atomic_write_u32(&slot->in_flight, 0);
				pg_atomic_write_u32(&slot->unsettled, 0);
				pg_atomic_write_u32(&slot->attention, 1);
				pg_atomic_write_u64(&slot->sleep_until, (uint64) DT_NOBEGIN);
				pg_atomic_write_u32(&slot->alive, 1);
				my_database = database;
				my_slot = slot;
				my_index = argument->index;
				my_generation = argument->generation;
				taken = true;
			}
		}
	}
	LWLockRelease(te_shared->lock);
	return taken;
}

#ifdef TE_HAVE_POSIX_TIMERS

/*
 * Whether this SIGTERM repeats the one that began the drain: the server sends
 * each of them to the process and to its process group, which is the same one.
 * The drain timer's own signal comes after drain_ms and so is never taken for
 * that. Safe in a handler.
 */
static bool
is_same_request(void)
{
	struct timespec now;
	int64		ms;

	if (!te_worker_stop_requested || drain_ms == 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64) (now.tv_sec - drain_began.tv_sec) * 1000 +
		(now.tv_nsec - drain_began.tv_nsec) / 1000000;
	return ms < Min(drain_ms, SAME_REQUEST_MS);
}
#endif

/*
 * SIGTERM: the first asks for a drain and arms a timer that sends a second one,
 * and the second terminates at the next safe point, as the server's own handler
 * does. So the process is gone in bounded time wherever it hangs: in the loop, in
 * a lock, or waiting for a standby. timer_settime() is safe in a handler.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
#ifdef TE_HAVE_POSIX_TIMERS
	int			save_errno = errno;
	int			ms = te_guc_drain_timeout > 0 ? te_guc_drain_timeout : LEAVE_MS;

	if (is_same_request())
	{
		errno = save_errno;
		return;
	}
	if (!te_worker_stop_requested && drain_timer_ready)
	{
		struct itimerspec when;

		memset(&when, 0, sizeof(when));
		when.it_value.tv_sec = ms / 1000;
		when.it_value.tv_nsec = (ms % 1000) * 1000000L;
		clock_gettime(CLOCK_MONOTONIC, &drain_began);
		if (timer_settime(drain_timer, 0, &when, NULL) == 0)
		{
			drain_ms = ms;
			te_worker_stop_requested = true;
			SetLatch(MyLatch);
			errno = save_errno;
			return;
		}
	}
	errno = save_errno;
#endif
	te_worker_stop_requested = true;
	die(postgres_signal_arg);
}

/*
 * Replaces the server's SIGTERM handler by the draining one. Without POSIX
 * timers a drain could not be bounded, so there is none. May throw.
 */
static void
install_drain(void)
{
#ifdef TE_HAVE_POSIX_TIMERS
	struct sigevent event;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = SIGTERM;
	if (timer_create(CLOCK_MONOTONIC, &event, &drain_timer) == 0)
		drain_timer_ready = true;
	else
		ereport(LOG,
				(errmsg("trigger_engine: could not create a timer, so workers stop without draining: %m")));
#endif
	pqsignal(SIGTERM, handle_sigterm);
}

/*
 * Asks this process to drain and leave, as a first SIGTERM does. Does not throw.
 */
void
te_worker_request_stop(void)
{
	if (!te_worker_stop_requested)
		kill(MyProcPid, SIGTERM);
}

/* Sets a setting for this process whatever the database says about it. May throw. */
static void
override(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Whether this database may have a worker at all; looked at again here because
 * it may have become a template since the launcher looked. May throw.
 */
static bool
database_is_open(void)
{
	HeapTuple	tuple;
	bool		open = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		open = form->datallowconn && !form->datistemplate;
		strlcpy(my_database_name, NameStr(form->datname), sizeof(my_database_name));
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	return open;
}

/*
 * Start of every worker: takes the slot, connects as the bootstrap superuser and
 * installs the signal handlers. Leaves the process quietly when no worker is
 * wanted; throws when the database cannot be connected to, which ends the process
 * and is counted as a failure of the slot.
 */
TeWorkerSlot *
te_worker_attach(Datum main_arg)
{
	TeWorkerArgument argument;

	te_worker_get_argument(&argument);
	Assert(DatumGetObjectId(main_arg) == argument.database);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (te_shared == NULL || !take_slot(&argument))
		proc_exit(0);
	before_shmem_exit(detach, (Datum) 0);

	BackgroundWorkerInitializeConnectionByOid(argument.database, InvalidOid, 0);
	pgstat_report_appname(MyBgworkerEntry->bgw_type);
	if (!database_is_open())
	{
		leaving = true;
		strlcpy(leaving_reason, "the database is a template or accepts no connections",
				sizeof(leaving_reason));
		proc_exit(0);
	}

	/* settings of the database or of the bootstrap user must not bend our statements */
	override("search_path", "pg_catalog, pg_temp");
	override("default_transaction_isolation", "read committed");
	override("session_replication_role", "origin");
	override("row_security", "off");
	override("jit", "off");
	override("statement_timeout", "0");
	override("DateStyle", "ISO");
	override("TimeZone", "UTC");

	install_drain();
	te_worker_set_state(my_slot, TE_WORKER_RUNNING, NULL);
	ereport(LOG,
			(errmsg("trigger_engine: worker \"%s\" started in database \"%s\"",
					te_worker_slot_name(my_index), my_database_name)));
	return my_slot;
}

/*
 * Whether the extension is there, is the one this process began with, and has
 * objects this library knows. Never waits: while somebody drops or changes it,
 * there is nothing to do. Keeps a lock on it until the end of the transaction,
 * so that it cannot be dropped under what follows.
 */
static TeVerdict
check_extension(char **reason)
{
	LOCKTAG		tag;
	char	   *version;

	if (!OidIsValid(my_extension))
	{
		my_extension = te_extension_oid(true);
		if (!OidIsValid(my_extension))
		{
			*reason = "the extension is not installed";
			return TE_EXIT;
		}
	}
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, my_extension, 0);
	if (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		busy_checks++;
		*reason = "the extension is being dropped or changed";
		return TE_IDLE;
	}
	busy_checks = 0;
	AcceptInvalidationMessages();
	version = te_extension_version(my_extension);
	if (version == NULL)
	{
		*reason = "the extension was dropped";
		return TE_EXIT;
	}
	version_differs = strcmp(version, TE_VERSION) != 0;
	if (version_differs)
	{
		*reason = psprintf("the library works with version %s of the extension, not with %s: run ALTER EXTENSION trigger_engine UPDATE or install the matching library",
						   TE_VERSION, version);
		return TE_IDLE;
	}
	return TE_RUN;
}

/* The check itself, without its bookkeeping. May throw. */
static TeVerdict
check(char **reason)
{
	TeVerdict	verdict;
	char	   *fence;
	char	   *pause;

	if (my_database->stopped || te_shmem_is_inhibited(MyDatabaseId))
		te_worker_request_stop();
	if (te_worker_stop_requested)
	{
		*reason = "stopping";
		return TE_IDLE;
	}
	if (RecoveryInProgress())
	{
		*reason = "the server is in recovery";
		return TE_IDLE;
	}
	verdict = check_extension(reason);
	if (verdict != TE_RUN)
		return verdict;
	if (XactReadOnly)
	{
		*reason = "default_transaction_read_only is on";
		return TE_IDLE;
	}
	te_fence_read(&fence, &pause);
	if (fence != NULL || (pause != NULL && my_index != TE_MAINTENANCE))
	{
		*reason = fence != NULL ? fence : pause;
		return TE_IDLE;
	}
	return TE_RUN;
}

/* Notes a changed verdict in the slot and in the log. Does not throw. */
static void
publish(TeWorkerSlot *slot, TeVerdict verdict, const char *why)
{
	static char told[TE_REASON_LENGTH];	/* the last reason that was logged */
	TeWorkerState state = verdict == TE_RUN ? TE_WORKER_RUNNING : TE_WORKER_IDLE;

	if (verdict == TE_RUN)
	{
		if (told[0] != '\0')
			ereport(LOG,
					(errmsg("trigger_engine: worker \"%s\" of database \"%s\" goes on",
							te_worker_slot_name(my_index), my_database_name)));
		told[0] = '\0';
	}
	/* a lock on the extension is mostly held for a moment: no news */
	else if ((busy_checks == 0 || busy_checks >= BUSY_RETRIES) && strcmp(told, why) != 0)
	{
		ereport(version_differs ? WARNING : LOG,
				(errmsg("trigger_engine: worker \"%s\" of database \"%s\" %s: %s",
						te_worker_slot_name(my_index), my_database_name,
						verdict == TE_EXIT ? "leaves" : "is idle", why)));
		strlcpy(told, why, sizeof(told));
	}
	te_worker_set_state(slot, state, why);
}

/*
 * First thing in a transaction of a worker: may it work? With TE_IDLE and TE_EXIT
 * *reason says why not; it is valid until the next check. The slot's state
 * follows by itself, and a change is logged once. After TE_RUN the extension
 * stays locked against DROP until the end of this transaction, so keep it short.
 * A pause holds delivery only; maintenance goes on. May throw.
 */
TeVerdict
te_worker_check(TeWorkerSlot *slot, char **reason)
{
	static char kept[TE_REASON_LENGTH];
	char	   *why = "";
	TeVerdict	verdict;

	Assert(slot == my_slot);
	Assert(IsTransactionState());
	verdict = check(&why);
	strlcpy(kept, why, pg_mbcliplen(why, strlen(why), sizeof(kept) - 1) + 1);
	if (reason)
		*reason = kept;

	if (te_worker_stop_requested)
		te_worker_set_state(slot, TE_WORKER_DRAINING, NULL);
	else
		publish(slot, verdict, kept);
	if (verdict == TE_EXIT)
	{
		leaving = true;
		strlcpy(leaving_reason, kept, sizeof(leaving_reason));
	}
	return verdict;
}

/*
 * How long to wait, in ms, before checking again after TE_IDLE: a lock on the
 * extension is mostly held for a moment; the rest ends with a wake-up.
 */
long
te_worker_idle_timeout(void)
{
	if (busy_checks > 0 && busy_checks <= BUSY_RETRIES)
		return BUSY_RETRY_MS;
	return Max(te_guc_poll_interval, 1000);
}
