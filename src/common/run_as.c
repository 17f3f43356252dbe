/*
 * run_as.c
 *		Acting as somebody else: our own SQL as the extension's owner, analysts'
 *		SQL as its owner in a restricted operation.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "common/common.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(te_call_as_owner);

#ifdef TE_HAVE_SEARCH_PATH_STACK
/*
 * Puts the system's catalog in the place of the search_path, at a small part of what
 * a change of the setting costs, which the trigger would pay for every row. Returns
 * whether it did. The rollback of the (sub)transaction takes it back.
 */
static bool
push_catalog_path(void)
{
	OverrideSearchPath path = {0};

	path.schemas = list_make1_oid(PG_CATALOG_NAMESPACE);
	PushOverrideSearchPath(&path);
	list_free(path.schemas);
	return true;
}

/*
 * Takes that back. Does not throw.
 */
static void
pop_catalog_path(void)
{
	PopOverrideSearchPath();
}
#else
/*
 * The setting must do. Does not throw.
 */
static bool
push_catalog_path(void)
{
	return false;
}

/*
 * Nothing to take back. Does not throw.
 */
static void
pop_catalog_path(void)
{
}
#endif

/*
 * Switches to role. What a user wrote runs as a restricted operation, which forbids
 * temporary objects, deferred triggers and changes of role. The search_path holds
 * nothing of the caller's, lest an operator of theirs run as that role: a kept plan
 * follows the path it is executed under and not the one it was made under. Undone by
 * te_run_as_end(), or by the rollback of the (sub)transaction when something throws
 * in between.
 */
void
te_run_as_begin(TeIdentity *saved, Oid role, TeRunMode mode)
{
	int			flags = SECURITY_LOCAL_USERID_CHANGE;

	if (mode == TE_RUN_RESTRICTED)
		flags |= SECURITY_RESTRICTED_OPERATION;
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	SetUserIdAndSecContext(role, saved->sec_context | flags);
	saved->guc_nest = 0;
	saved->path_pushed = mode == TE_RUN_KEPT_PLANS && push_catalog_path();
	if (!saved->path_pushed && mode != TE_RUN_FUNCTION)
		saved->guc_nest = te_lock_search_path();
	if (mode == TE_RUN_RESTRICTED)
		te_db_plan_as_usual();
}

/*
 * Sets the search_path to the system's catalog until AtEOXact_GUC() is called with
 * the result.
 */
int
te_lock_search_path(void)
{
	int			nest = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nest;
}

/*
 * Returns to the identity that te_run_as_begin() left. Does not throw.
 */
void
te_run_as_end(const TeIdentity *saved)
{
	if (saved->path_pushed)
		pop_catalog_path();
	if (saved->guc_nest != 0)
		AtEOXact_GUC(false, saved->guc_nest);
	SetUserIdAndSecContext(saved->user, saved->sec_context);
}

/*
 * Reads our row of pg_extension; false when the extension is not there.
 * Version is palloc'ed when asked for.
 */
static bool
read_extension(Oid *oid, Oid *owner, char **version)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("trigger_engine"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		if (oid)
			*oid = form->oid;
		if (owner)
			*owner = form->extowner;
		if (version)
		{
			bool		isnull;
			Datum		datum = heap_getattr(tuple, Anum_pg_extension_extversion,
											 RelationGetDescr(rel), &isnull);

			*version = isnull ? pstrdup("") : TextDatumGetCString(datum);
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * OID of the extension in this database; an error when it is missing and
 * missing_ok is false. Needs a transaction.
 */
Oid
te_extension_oid(bool missing_ok)
{
	return get_extension_oid("trigger_engine", missing_ok);
}

/*
 * The role that owns the extension, which all of its own statements run as.
 * Throws when the extension is not there.
 */
Oid
te_extension_owner(void)
{
	Oid			owner = InvalidOid;

	if (!read_extension(NULL, &owner, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"trigger_engine\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION trigger_engine.")));
	return owner;
}

/*
 * The installed SQL version, palloc'ed, or NULL when the extension is gone or
 * another one than given stands in its place.
 */
char *
te_extension_version(Oid extension)
{
	Oid			oid = InvalidOid;
	char	   *version = NULL;

	if (!read_extension(&oid, NULL, &version) || oid != extension)
		return NULL;
	return version;
}

/* What a trampoline call remembers between calls from one expression. */
typedef struct Trampoline
{
	FmgrInfo	target;
	int			nargs;
} Trampoline;

/*
 * Finds the internal function behind a public one: the same name with an
 * underscore before it, and the invoker's name before the same arguments.
 */
static Trampoline *
find_target(FunctionCallInfo fcinfo)
{
	Oid			self = fcinfo->flinfo->fn_oid;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(self));
	Form_pg_proc form;
	Trampoline *result;
	Oid			types[FUNC_MAX_ARGS];
	oidvector  *vector;
	Oid			target;
	char		name[NAMEDATALEN];

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", self);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	snprintf(name, sizeof(name), "_%s", NameStr(form->proname));
	types[0] = NAMEOID;
	memcpy(types + 1, form->proargtypes.values, form->pronargs * sizeof(Oid));
	vector = buildoidvector(types, form->pronargs + 1);
	target = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							 CStringGetDatum(name), PointerGetDatum(vector),
							 ObjectIdGetDatum(form->pronamespace));
	if (!OidIsValid(target))
		elog(ERROR, "internal function %s of %s not found", name, NameStr(form->proname));

	result = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Trampoline));
	result->nargs = form->pronargs;
	ReleaseSysCache(tuple);
	fmgr_info_cxt(target, &result->target, fcinfo->flinfo->fn_mcxt);
	return result;
}

/*
 * Body of every public function that changes configuration. Records who calls,
 * then runs the internal function of the same name as the extension's owner;
 * EXECUTE on the public function is what decides who may.
 */
Datum
te_call_as_owner(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(inner, FUNC_MAX_ARGS);
	Trampoline *trampoline = fcinfo->flinfo->fn_extra;
	TeIdentity	saved;
	Datum		result;
	int			i;

	if (trampoline == NULL)
		fcinfo->flinfo->fn_extra = trampoline = find_target(fcinfo);

	InitFunctionCallInfoData(*inner, &trampoline->target, trampoline->nargs + 1,
							 fcinfo->fncollation, NULL, NULL);
	inner->args[0].value = DirectFunctionCall1(namein,
											   CStringGetDatum(GetUserNameFromId(GetUserId(), false)));
	inner->args[0].isnull = false;
	for (i = 0; i < trampoline->nargs; i++)
		inner->args[i + 1] = fcinfo->args[i];

	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_FUNCTION);
	result = FunctionCallInvoke(inner);
	te_run_as_end(&saved);
	fcinfo->isnull = inner->isnull;
	return result;
}
