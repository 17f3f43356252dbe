/*
 * compat.h
 *		Every difference between PostgreSQL 14 and 18 that the code meets.
 *
 * Nothing outside this file looks at PG_VERSION_NUM.
 */
#pragma once

#include "postgres.h"

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 140000
#error "trigger_engine needs PostgreSQL 14 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

/* 15 brought a hook for shared memory requests; before, _PG_init asks itself. */
#if PG_VERSION_NUM >= 150000
#define TE_HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* 15 renamed the call that protects a prefix of settings. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 17 replaced PGPROC.pgprocno by MyProcNumber. */
#if PG_VERSION_NUM >= 170000
#define te_my_proc_number() ((int) MyProcNumber)
#else
#define te_my_proc_number() (MyProc->pgprocno)
#endif

/* ProcSendSignal takes a process id before 15 and a proc number since. */
#if PG_VERSION_NUM >= 150000
#define te_signal_proc(procno, pid) ((void) (pid), ProcSendSignal(procno))
#else
#define te_signal_proc(procno, pid) ((void) (procno), ProcSendSignal(pid))
#endif

/* 17 ties a wait event set to a resource owner, NULL meaning the process. */
#if PG_VERSION_NUM >= 170000
#define te_create_wait_event_set(nevents) CreateWaitEventSet(NULL, nevents)
#else
#define te_create_wait_event_set(nevents) CreateWaitEventSet(TopMemoryContext, nevents)
#endif

/* 17 lets extensions name their wait events. */
#if PG_VERSION_NUM >= 170000
#define te_wait_event(name) WaitEventExtensionNew(name)
#else
#define te_wait_event(name) PG_WAIT_EXTENSION
#endif

/* 16 renamed the ownership checks. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#define te_owns_relation(relid, role) object_ownercheck(RelationRelationId, relid, role)
#define te_owns_database(dbid, role) object_ownercheck(DatabaseRelationId, dbid, role)
#else
#define te_owns_relation(relid, role) pg_class_ownercheck(relid, role)
#define te_owns_database(dbid, role) pg_database_ownercheck(dbid, role)
#endif

/* 17 took away the stack of search paths; settings became cheap enough in its place. */
#if PG_VERSION_NUM < 170000
#include "catalog/namespace.h"
#define TE_HAVE_SEARCH_PATH_STACK 1
#endif

/* 18 moved the module block to one that names the module. */
#if PG_VERSION_NUM >= 180000
#define TE_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "trigger_engine", .version = "1.0")
#else
#define TE_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 19 keeps signals blocked through another name. */
#if PG_VERSION_NUM >= 160000
#define te_unblock_signals() sigprocmask(SIG_SETMASK, &UnBlockSig, NULL)
#else
#define te_unblock_signals() PG_SETMASK(&UnBlockSig)
#endif

/* 15 brought a generator with a state of one's own; before there is the one of 48 bits. */
#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
typedef pg_prng_state TeRandom;
#define te_random_seed(state, seed) pg_prng_seed(state, seed)
#define te_random_double(state) pg_prng_double(state)
#else
typedef struct TeRandom
{
	unsigned short x[3];
} TeRandom;
#define te_random_seed(state, seed) \
	((state)->x[0] = (uint64) (seed), (state)->x[1] = (uint64) (seed) >> 16, (state)->x[2] = (uint64) (seed) >> 32)
#define te_random_double(state) pg_erand48((state)->x)
#endif
