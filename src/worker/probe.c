/*
 * probe.c
 *		Finding out which databases have the extension.
 *
 * The launcher is connected to no database, so it sends a short-lived process
 * into each one it knows nothing about. Databases found without the extension
 * are remembered in the launcher's own memory and looked at again when CREATE
 * EXTENSION says so, after a reload, and now and then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "common/common.h"
#include "compat.h"
#include "worker/launcher.h"
#include "worker/worker.h"

#define LOOK_AGAIN_MS (10 * 60 * 1000)	/* at a database without the extension */
#define PROBE_MOST_MS 60000		/* a probe that takes longer is given up */
#define FAILED_FIRST_MS 1000
#define FAILED_MOST_MS 60000

/* What the launcher remembers of a database without the extension. */
typedef struct Memory
{
	Oid			database;		/* key */
	TimestampTz next;			/* when to look again */
	int			failures;		/* of probes, in a row */
	bool		no_slot;		/* has the extension, but there is no room for it */
	bool		no_process;		/* the server had no room for the last probe */
} Memory;

/* A probe that this launcher started. */
typedef struct Running
{
	BackgroundWorkerHandle *handle;
	TimestampTz since;
	bool		stale;			/* asked to look again after it was sent */
} Running;

static HTAB *memory = NULL;
static Running running[TE_MAX_PROBES];

PGDLLEXPORT void te_probe_main(Datum arg);

/*
 * Main function of a probe: looks whether the extension is there, leaves the
 * answer in shared memory, and exits with 0. Any failure ends the process, which
 * the launcher sees as a probe without an answer.
 */
void
te_probe_main(Datum arg)
{
	TeWorkerArgument argument;
	TeProbe    *probe;
	bool		wanted;
	bool		present;
	HeapTuple	tuple;

	te_worker_get_argument(&argument);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	probe = &te_shared->probe[argument.index];
	LWLockAcquire(te_shared->lock, LW_SHARED);
	wanted = probe->database == argument.database && probe->generation == argument.generation &&
		!te_shmem_is_inhibited(argument.database);
	LWLockRelease(te_shared->lock);
	if (!wanted)
		proc_exit(0);

	BackgroundWorkerInitializeConnectionByOid(argument.database, InvalidOid, 0);
	pgstat_report_appname("trigger_engine probe");
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	present = OidIsValid(te_extension_oid(true));
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	if (HeapTupleIsValid(tuple))
	{
		present = present && !((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	if (probe->database == argument.database && probe->generation == argument.generation)
		probe->result = present ? TE_PROBE_PRESENT : TE_PROBE_ABSENT;
	LWLockRelease(te_shared->lock);
	te_wake_launcher();
	proc_exit(0);
}

/* Makes the launcher's memory, once. May throw. */
static void
make_memory(void)
{
	HASHCTL		control;

	if (memory != NULL)
		return;
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(Memory);
	control.hcxt = TopMemoryContext;
	memory = hash_create("trigger_engine databases", 64, &control,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* What is remembered of a database; a new entry when create is set, else maybe NULL. */
static Memory *
remember(Oid database, bool create)
{
	bool		found;
	Memory	   *entry = hash_search(memory, &database, create ? HASH_ENTER : HASH_FIND, &found);

	if (create && !found)
	{
		entry->next = 0;
		entry->failures = 0;
		entry->no_slot = false;
		entry->no_process = false;
	}
	return entry;
}

/* Forgets which databases have no extension, so that all are looked at again. */
void
te_probe_forget_all(void)
{
	HASH_SEQ_STATUS status;
	Memory	   *entry;
	int			i;

	if (memory == NULL)
		return;
	hash_seq_init(&status, memory);
	while ((entry = hash_seq_search(&status)) != NULL)
		(void) hash_search(memory, &entry->database, HASH_REMOVE, NULL);
	for (i = 0; i < TE_MAX_PROBES; i++)
		running[i].stale = true;
}

/* Sees to it that a database is looked at again, even if a probe is under way. */
static void
look_again(Oid database)
{
	int			i;

	remember(database, true)->next = 0;
	for (i = 0; i < TE_MAX_PROBES; i++)
		if (te_shared->probe[i].database == database)
			running[i].stale = true;
}

/* Takes the requests to look again, and forgets databases that are no more. */
static void
take_requests(List *databases)
{
	Oid			wanted[TE_MAX_WANTED];
	int			nwanted;
	int			i;
	HASH_SEQ_STATUS status;
	Memory	   *entry;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	nwanted = te_shared->nwanted;
	te_shared->nwanted = 0;
	memcpy(wanted, te_shared->wanted, sizeof(wanted));
	LWLockRelease(te_shared->lock);

	if (nwanted > TE_MAX_WANTED)
		te_probe_forget_all();
	else
		for (i = 0; i < nwanted; i++)
			look_again(wanted[i]);

	hash_seq_init(&status, memory);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		ListCell   *cell;
		bool		exists = false;

		foreach(cell, databases)
			if (((TeLauncherDatabase *) lfirst(cell))->oid == entry->database)
				exists = true;
		if (!exists)
			(void) hash_search(memory, &entry->database, HASH_REMOVE, NULL);
	}
}

/*
 * Acts on the answer of a probe. Present: the database gets a slot, and its
 * workers start in the next pass. Absent: its slot is freed; until that is done
 * nothing starts there. No answer: another probe later. May throw.
 */
static void
act_on(Oid database, TeProbeResult result)
{
	TeDatabaseSlot *slot;
	Memory	   *entry = remember(database, true);
	TimestampTz now = GetCurrentTimestamp();

	entry->no_process = false;
	if (result == TE_PROBE_PENDING)
	{
		long		delay = entry->failures < 6 ? FAILED_FIRST_MS << entry->failures : FAILED_MOST_MS;

		entry->failures++;
		entry->next = TimestampTzPlusMilliseconds(now, delay);
		return;
	}
	entry->failures = 0;
	entry->no_slot = false;
	entry->next = TimestampTzPlusMilliseconds(now, LOOK_AGAIN_MS);

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	slot = te_shmem_database_locked(database, result == TE_PROBE_PRESENT);
	if (slot != NULL)
		slot->probe_wanted = result != TE_PROBE_PRESENT;
	LWLockRelease(te_shared->lock);

	if (result == TE_PROBE_PRESENT && slot == NULL)
	{
		entry->no_slot = true;
		entry->next = TimestampTzPlusMilliseconds(now, FAILED_MOST_MS);
	}
	else if (result == TE_PROBE_ABSENT && slot != NULL &&
			 !te_launcher_forget(slot, "the extension is not installed"))
		entry->next = TimestampTzPlusMilliseconds(now, FAILED_FIRST_MS);
	te_launcher_pass_by(now);
}

/* Collects the answers of probes that have ended or take too long. */
static void
reap(void)
{
	int			i;

	for (i = 0; i < TE_MAX_PROBES; i++)
	{
		TeProbe    *probe = &te_shared->probe[i];
		Running    *mine = &running[i];
		TeProbeResult result;
		Oid			database;
		bool		ended;

		if (!OidIsValid(probe->database))
			continue;
		/* a probe of an earlier launcher is not ours to wait for */
		ended = mine->handle == NULL || te_launcher_has_ended(mine->handle);
		if (!ended && TimestampDifferenceExceeds(mine->since, GetCurrentTimestamp(), PROBE_MOST_MS))
		{
			TerminateBackgroundWorker(mine->handle);
			ended = true;
		}
		LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
		result = probe->result;
		database = probe->database;
		if (ended || result != TE_PROBE_PENDING)
		{
			probe->database = InvalidOid;
			probe->generation++;
			ended = true;
		}
		LWLockRelease(te_shared->lock);
		if (!ended)
		{
			te_launcher_pass_by(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000));
			continue;
		}
		if (mine->handle)
			pfree(mine->handle);
		mine->handle = NULL;
		act_on(database, result);
		if (mine->stale)
			look_again(database);
	}
}

/* Whether a probe of this database is under way. */
static bool
is_probed(Oid database)
{
	int			i;

	for (i = 0; i < TE_MAX_PROBES; i++)
		if (te_shared->probe[i].database == database)
			return true;
	return false;
}

/* Sends a probe into a database; false when there is no room for it now. May throw. */
static bool
send_probe(const TeLauncherDatabase *database)
{
	TeWorkerArgument argument;
	int			i;

	for (i = 0; i < TE_MAX_PROBES; i++)
		if (!OidIsValid(te_shared->probe[i].database))
			break;
	if (i == TE_MAX_PROBES)
		return false;

	argument.database = database->oid;
	argument.index = i;
	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	te_shared->probe[i].database = database->oid;
	te_shared->probe[i].result = TE_PROBE_PENDING;
	argument.generation = ++te_shared->probe[i].generation;
	LWLockRelease(te_shared->lock);

	running[i].since = GetCurrentTimestamp();
	running[i].stale = false;
	if (te_launcher_start(&argument, "te_probe_main", "trigger_engine probe",
						  psprintf("probe of %s", database->name), &running[i].handle))
		return true;

	LWLockAcquire(te_shared->lock, LW_EXCLUSIVE);
	te_shared->probe[i].database = InvalidOid;
	LWLockRelease(te_shared->lock);
	act_on(database->oid, TE_PROBE_PENDING);
	remember(database->oid, true)->no_process = true;
	te_launcher_complain_full();
	return false;
}

/*
 * The launcher's part of a pass that concerns probes: collects answers and sends
 * out new probes. May throw.
 */
void
te_probe_pass(List *databases)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	make_memory();
	reap();
	take_requests(databases);
	foreach(cell, databases)
	{
		TeLauncherDatabase *database = lfirst(cell);
		TeDatabaseSlot *slot = te_shmem_database(database->oid, false);
		Memory	   *entry;

		if (!database->selected || (slot != NULL && !slot->probe_wanted))
			continue;
		if (is_probed(database->oid) || te_shmem_is_inhibited(database->oid))
			continue;
		entry = remember(database->oid, false);
		if (entry != NULL && entry->no_slot)
			te_launcher_complain("all slots are taken, so a database that has the extension has no workers",
								 "Raise trigger_engine.max_databases and restart the server.");
		if (entry != NULL && entry->next > now)
		{
			if (entry->no_process)
				te_launcher_complain_full();
			te_launcher_pass_by(entry->next);
			continue;
		}
		if (!send_probe(database))
			break;
	}
}
