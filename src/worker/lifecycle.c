/*
 * lifecycle.c
 *		Commands that workers must make way for, and the coming and going of the
 *		extension.
 *
 * DROP DATABASE, CREATE DATABASE ... TEMPLATE, and renaming or moving a database
 * fail while anybody else is connected. So before such a command our workers of
 * that database are stopped, and until the end of its transaction, commit or
 * abort, none is started there.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/syscache.h"

#include "common/common.h"
#include "compat.h"
#include "guc.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(te_extension_created);

#define STOP_GRACE_MS 1000

static ProcessUtility_hook_type previous_utility_hook = NULL;
static object_access_hook_type previous_access_hook = NULL;

/* what the end of this transaction must do */
static bool pending_allow = false;	/* an inhibition of ours is in force */
static bool pending_look = false;	/* the list of databases changes */
static bool pending_created = false;	/* the extension comes with it */
static bool pending_dropped = false;	/* the extension goes with it */

/* Whether the current user may create databases. Throws only on a broken catalog. */
static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		may = superuser();

	if (may)
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

/* Whether a database is marked as a template, which any CREATEDB role may copy. */
static bool
is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* Value of an option of a command, or NULL. */
static char *
find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * The database that a command needs for itself, if the current user may run it;
 * InvalidOid when there is none. What the command refuses anyway must not stop
 * anybody's workers.
 */
static Oid
database_of_command(Node *command)
{
	const char *name = NULL;
	bool		copies = false;
	Oid			database;

	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) command)->dbname;
			break;
		case T_CreatedbStmt:
			name = find_option(((CreatedbStmt *) command)->options, "template");
			copies = true;
			pending_look = true;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) command)->subname;
			break;
		case T_AlterDatabaseStmt:
			/* ALLOW_CONNECTIONS and IS_TEMPLATE concern the launcher, too */
			pending_look = true;
			if (find_option(((AlterDatabaseStmt *) command)->options, "tablespace") != NULL)
				name = ((AlterDatabaseStmt *) command)->dbname;
			break;
		default:
			break;
	}
	if (name == NULL)
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database))
		return InvalidOid;
	if (te_owns_database(database, GetUserId()))
		return copies && !may_create_databases() ? InvalidOid : database;
	if (copies && may_create_databases() && is_template(database))
		return database;
	return InvalidOid;
}

/*
 * Keeps workers out of a database and waits for those that are there, at most
 * the drain time and a second. When they do not go in time the command tells the
 * user itself that somebody is connected. May throw what an interrupt throws;
 * the end of the transaction undoes the inhibition.
 */
static void
make_way(Oid database)
{
	pending_allow = true;
	if (!te_shmem_inhibit(database))
	{
		ereport(DEBUG1, (errmsg_internal("trigger_engine: too many database commands at a time")));
		return;
	}
	if (!te_shmem_stop(database, te_guc_drain_timeout + STOP_GRACE_MS))
		ereport(LOG,
				(errmsg("trigger_engine: workers of database %u did not stop in time for a database command",
						database)));
}

/* ProcessUtility hook. */
static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (te_shared != NULL && IsTransactionState() && !RecoveryInProgress())
	{
		Oid			database = database_of_command(pstmt->utilityStmt);

		if (OidIsValid(database))
			make_way(database);
	}
	if (previous_utility_hook)
		previous_utility_hook(pstmt, query, read_only_tree, context, params,
							  environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params,
								environment, dest, completion);
}

/* object_access hook: notes that an extension goes, ours or another. */
static void
access_hook(ObjectAccessType access, Oid class, Oid object, int subobject, void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, class, object, subobject, arg);
	if (access == OAT_DROP && class == ExtensionRelationId)
		pending_dropped = true;
}

/*
 * End of a transaction: lifts the inhibition and tells launcher and workers what
 * changed. Also after an abort, for the workers idle while the extension is
 * locked. Must not throw.
 */
static void
end_callback(XactEvent event, void *arg)
{
	bool		committed = event == XACT_EVENT_COMMIT;

	if (!pending_allow && !pending_look && !pending_created && !pending_dropped)
		return;
	if (!committed && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (te_shared != NULL)
	{
		if (pending_allow)
			(void) te_shmem_allow();
		if (pending_created && event != XACT_EVENT_ABORT)
			te_shmem_want_probe(MyDatabaseId);
		if (pending_dropped)
		{
			if (committed && te_shmem_database(MyDatabaseId, false) != NULL)
				te_shmem_want_probe(MyDatabaseId);
			te_wake_all(MyDatabaseId);
		}
		te_wake_launcher();
	}
	pending_allow = pending_look = pending_created = pending_dropped = false;
}

/* Installs the hooks; from _PG_init while libraries are preloaded. */
void
te_lifecycle_init(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
	previous_access_hook = object_access_hook;
	object_access_hook = access_hook;
	RegisterXactCallback(end_callback, NULL);
}

/*
 * SQL: _extension_created(), called by the install script. Asks the launcher to
 * look into this database once the transaction has committed.
 */
Datum
te_extension_created(PG_FUNCTION_ARGS)
{
	if (!creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("_extension_created() is called by CREATE EXTENSION only")));
	pending_created = true;
	PG_RETURN_VOID();
}
