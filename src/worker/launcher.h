/*
 * launcher.h
 *		What the two files of the launcher process share.
 */
#pragma once

#include "postgres.h"

#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"

#include "worker/worker.h"

/* A database that could have workers, as pg_database shows it in this pass. */
typedef struct TeLauncherDatabase
{
	Oid			oid;
	char	   *name;
	bool		selected;		/* by trigger_engine.databases */
} TeLauncherDatabase;

/* launcher.c */
extern bool te_launcher_start(const TeWorkerArgument *argument, const char *function,
							  const char *type, const char *name, BackgroundWorkerHandle **handle);
extern bool te_launcher_has_ended(BackgroundWorkerHandle *handle);
extern bool te_launcher_forget(TeDatabaseSlot *slot, const char *why);
extern bool te_launcher_is_selected(const char *name);
extern void te_launcher_pass_by(TimestampTz at);
extern void te_launcher_complain(const char *problem, const char *hint);
extern void te_launcher_complain_full(void);

/* probe.c */
extern void te_probe_pass(List *databases);
extern void te_probe_forget_all(void);
