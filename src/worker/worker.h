/*
 * worker.h
 *		Shared state of launcher and workers, and what other folders may ask of it.
 *
 * The life of a worker, the scenarios it must survive and who may throw are
 * described in README.md.
 */
#pragma once

#include "postgres.h"

#include <signal.h>

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

/* Due rows fall into lanes by provider, so that a slow one never holds up another. */
#define TE_LANES 64
#define TE_MAX_SHARDS 8
#define TE_MAINTENANCE TE_MAX_SHARDS	/* index of the maintenance worker's slot */
#define TE_SLOTS_PER_DATABASE (TE_MAX_SHARDS + 1)

/* Versions of the SQL objects that this library works with. */
#define TE_VERSION "1.0"

#define TE_REASON_LENGTH 160
#define TE_MAX_INHIBITORS 32	/* database commands that run at the same time */
#define TE_MAX_WANTED 16		/* databases to look at, beyond which all are looked at */
#define TE_HEALTHY_MS 60000		/* after so long a run, earlier failures are forgotten */
#define TE_MAX_PROBES 2			/* probes that run at the same time */

typedef enum TeWorkerState
{
	TE_WORKER_ABSENT = 0,		/* nothing to run */
	TE_WORKER_STARTING,			/* registered, not yet in its loop */
	TE_WORKER_RUNNING,
	TE_WORKER_IDLE,				/* alive, but something keeps it from work: see reason */
	TE_WORKER_DRAINING,			/* told to stop, waiting for answers */
	TE_WORKER_BACKOFF,			/* failed; restarted at retry_at */
	TE_WORKER_STOPPED			/* by stop_workers() or because of a database command */
} TeWorkerState;

/*
 * One process. Plain data only; protected by the control lock unless atomic.
 *
 * Instants in sleep_until and earliest_due are on the engine's clock, cast from
 * TimestampTz; DT_NOEND means "none". See wake.c for the protocol.
 */
typedef struct TeWorkerSlot
{
	TeWorkerState state;
	char		reason[TE_REASON_LENGTH];
	pid_t		pid;			/* 0 = no process */
	int			procno;			/* -1 = no process */
	TimestampTz since;			/* of this state */
	TimestampTz started_at;		/* of this process */
	TimestampTz retry_at;		/* when state is TE_WORKER_BACKOFF */
	int			failures;		/* in a row */
	uint64		generation;		/* of the launch, so that an old process cannot report for a new one */

	pg_atomic_uint32 alive;		/* 1 between start and exit of the process */
	pg_atomic_uint32 attention; /* 1 = look at everything again: clock, pause, configuration */
	pg_atomic_uint64 sleep_until;	/* wake-ups for later instants need no signal */
	pg_atomic_uint64 earliest_due[TE_LANES];	/* lowered by committing sessions */

	pg_atomic_uint64 claimed;
	pg_atomic_uint64 accepted;
	pg_atomic_uint64 failed;
	pg_atomic_uint64 withheld;
	pg_atomic_uint32 in_flight;
	pg_atomic_uint32 unsettled; /* claimed and not yet recorded */
} TeWorkerSlot;

/* A database that has the extension, as far as the launcher knows. */
typedef struct TeDatabaseSlot
{
	Oid			database;		/* InvalidOid = free */
	bool		probe_wanted;	/* the extension may be gone: look before starting anything */
	bool		stopped;		/* by stop_workers() */
	TeWorkerSlot worker[TE_SLOTS_PER_DATABASE];
} TeDatabaseSlot;

/* A session whose database command must finish before workers may connect. */
typedef struct TeInhibitor
{
	pid_t		pid;			/* 0 = free */
	Oid			database;
} TeInhibitor;

typedef enum TeProbeResult
{
	TE_PROBE_PENDING = 0,
	TE_PROBE_ABSENT,
	TE_PROBE_PRESENT
} TeProbeResult;

/* A short-lived look into a database. */
typedef struct TeProbe
{
	Oid			database;		/* InvalidOid = free */
	uint64		generation;
	TeProbeResult result;
} TeProbe;

typedef struct TeShared
{
	LWLock	   *lock;
	int			launcher_procno;
	pid_t		launcher_pid;
	TimestampTz launcher_since;
	char		launcher_reason[TE_REASON_LENGTH];
	pg_atomic_uint32 launcher_alive;
	pg_atomic_uint64 virtual_now;	/* 0 = the real clock runs */
	Oid			wanted[TE_MAX_WANTED];	/* databases that got the extension */
	int			nwanted;		/* TE_MAX_WANTED + 1 = look at all */
	TeInhibitor inhibitor[TE_MAX_INHIBITORS];
	TeProbe		probe[TE_MAX_PROBES];
	int			ndatabases;
	TeDatabaseSlot database[FLEXIBLE_ARRAY_MEMBER];
} TeShared;

/* NULL unless the library was preloaded. */
extern TeShared *te_shared;

extern void te_shmem_init(void);	/* installs the hooks; from _PG_init */
extern void te_launcher_register(void);
extern void te_lifecycle_init(void);	/* utility and object-access hooks; from _PG_init */

/* ---- wake.c ---- */

/* called by whoever inserts due rows, from inside its transaction */
extern void te_wake_at_commit(int lane, TimestampTz due);

/* the same for changes that every worker of this database must look at */
extern void te_wake_all_at_commit(void);

/* at once: clock moved, resumed, configuration changed; InvalidOid = every database */
extern void te_wake_all(Oid database);
extern void te_wake_launcher(void);

/* for the worker's loop, in this order: sleep, take hints, wait on the latch, wake up */
extern void te_wake_sleep(TeWorkerSlot *slot, TimestampTz until);
extern void te_wake_up(TeWorkerSlot *slot);
extern TimestampTz te_wake_take_hint(TeWorkerSlot *slot, int lane);
extern bool te_wake_has_hint(TeWorkerSlot *slot);
extern bool te_wake_take_attention(TeWorkerSlot *slot);

/* ---- shmem.c ---- */

extern TeDatabaseSlot *te_shmem_database(Oid database, bool create);
extern TeDatabaseSlot *te_shmem_database_locked(Oid database, bool create);
extern bool te_shmem_is_inhibited(Oid database);
extern bool te_shmem_inhibit(Oid database);
extern bool te_shmem_allow(void);
extern void te_shmem_want_probe(Oid database);
extern void te_shmem_want_probe_locked(Oid database);
extern bool te_shmem_stop(Oid database, long timeout_ms);
extern void te_shmem_require(void); /* an error unless preloaded */

extern void te_worker_set_state(TeWorkerSlot *slot, TeWorkerState state, const char *reason);
extern void te_worker_set_state_locked(TeWorkerSlot *slot, TeWorkerState state, const char *reason);
extern void te_worker_failed_locked(TeWorkerSlot *slot, const char *reason);
extern const char *te_worker_state_name(TeWorkerState state);
extern const char *te_worker_slot_name(int index);

/* ---- process.c: for the main functions of workers ---- */

/*
 * What a worker process is told by the launcher. The database's OID is in
 * bgw_main_arg as well; everything is in bgw_extra, because a Datum may be
 * too small for it.
 */
typedef struct TeWorkerArgument
{
	Oid			database;
	int			index;			/* of the slot in its database, or of the probe */
	uint64		generation;
} TeWorkerArgument;

StaticAssertDecl(sizeof(TeWorkerArgument) <= 128, "argument does not fit into bgw_extra");

typedef enum TeVerdict
{
	TE_RUN,
	TE_IDLE,					/* stay, do nothing, look again later */
	TE_EXIT						/* nothing left to do or to record here: proc_exit(0) */
} TeVerdict;

/* first SIGTERM: claim nothing more, finish what is under way, then proc_exit(0) */
extern volatile sig_atomic_t te_worker_stop_requested;

extern TeWorkerSlot *te_worker_attach(Datum main_arg);
extern int	te_worker_index(void);	/* of the own slot; below TE_MAX_SHARDS it is the shard; -1 in other processes */
extern TeVerdict te_worker_check(TeWorkerSlot *slot, char **reason);
extern long te_worker_idle_timeout(void);	/* ms until the next check after TE_IDLE */
extern void te_worker_request_stop(void);
extern void te_worker_get_argument(TeWorkerArgument *argument);

/* ---- fence.c ---- */

/* what keeps this database from firing and sending, or NULL; needs a transaction */
extern char *te_fence_reason(void);

/* a digest of the stamp, as the next function read it last in this process */
#define TE_IDENTITY_SIZE 32
extern const unsigned char *te_fence_identity(void);

/* the same, and whether sending is paused */
extern void te_fence_read(char **fence, char **pause);
