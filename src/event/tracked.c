/*
 * tracked.c
 *		Keeps the view all_events in step with commands on tracked tables.
 *
 * The view reads tracked tables through the text of a function, which no dependency
 * protects: it would fail from the moment that a table is dropped or renamed until
 * the maintenance worker fits it to what is there. So a command that changes a
 * tracked table has it done at once, in its own transaction. When that does not
 * succeed, for example since another session is at it, the worker does it later; an
 * application's command never fails because of it. Where the library is not preloaded
 * a session may not have loaded it: then maintain() is what remains.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "common/common.h"
#include "event/event.h"

static object_access_hook_type previous_access_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;

/* the command that runs has changed a tracked table */
static bool tables_changed = false;

/*
 * OID of the capture trigger's function; InvalidOid without the extension.
 */
static Oid
capture_function(void)
{
	Oid			schema = get_namespace_oid("trigger_engine", true);
	oidvector  *no_arguments;

	if (!OidIsValid(schema))
		return InvalidOid;
	no_arguments = buildoidvector(NULL, 0);
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("_capture_event"),
						   PointerGetDatum(no_arguments), ObjectIdGetDatum(schema));
}

/*
 * True when one of the triggers that a column of pg_trigger finds is a capture trigger.
 */
static bool
finds_capture_trigger(Oid index, AttrNumber number, Oid value)
{
	Oid			function = capture_function();
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (!OidIsValid(function))
		return false;
	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyInit(&key, number, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
	scan = systable_beginscan(rel, index, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = ((Form_pg_trigger) GETSTRUCT(tuple))->tgfoid == function;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * object_access hook: notes that a tracked table is dropped, with its triggers, or
 * altered, or that a column of it is, or that a schema has another name.
 */
static void
access_hook(ObjectAccessType access, Oid class, Oid object, int subobject, void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, class, object, subobject, arg);
	if (tables_changed || (access != OAT_DROP && access != OAT_POST_ALTER))
		return;
	if (class == TriggerRelationId && access == OAT_DROP)
		tables_changed = finds_capture_trigger(TriggerOidIndexId, Anum_pg_trigger_oid, object);
	else if (class == RelationRelationId && (access == OAT_POST_ALTER || subobject != 0))
		tables_changed = finds_capture_trigger(TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, object);
	else if (class == NamespaceRelationId && access == OAT_POST_ALTER)
		tables_changed = OidIsValid(capture_function());
}

/*
 * Fits the view to the tables; waits for nobody long. May throw.
 */
static void
rebuild(void *arg)
{
	static SPIPlanPtr plan = NULL;
	TeIdentity	saved;

	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	(void) set_config_option("lock_timeout", "200ms", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_db_execute(&plan, "SELECT trigger_engine._rebuild_all_events()", 0, NULL, NULL, NULL, false, 1);
	SPI_finish();
	te_run_as_end(&saved);
}

/*
 * ProcessUtility hook.
 */
static void
utility_hook(PlannedStmt *statement, const char *text, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility_hook ? previous_utility_hook : standard_ProcessUtility;
	ErrorData  *failure;

	next(statement, text, read_only_tree, context, params, environment, dest, completion);
	if (likely(!tables_changed))
		return;
	tables_changed = false;
	if (!IsTransactionState() || creating_extension || !OidIsValid(te_extension_oid(true)))
		return;
	CommandCounterIncrement();
	if (!te_db_subtransaction(rebuild, NULL, &failure))
		ereport(DEBUG1,
				(errmsg_internal("trigger_engine: all_events is left to maintenance: %s", failure->message)));
}

/*
 * What a failed command has changed is as it was.
 */
static void
at_abort(XactEvent event, void *arg)
{
	tables_changed = false;
}

/*
 * The same for a part of a transaction.
 */
static void
at_subabort(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		tables_changed = false;
}

/*
 * Installs the hooks; once a process, when the library is loaded.
 */
void
te_event_watch_tables(void)
{
	previous_access_hook = object_access_hook;
	object_access_hook = access_hook;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
	RegisterXactCallback(at_abort, NULL);
	RegisterSubXactCallback(at_subabort, NULL);
}
