/*
 * fence.c
 *		The installation stamp: which server, database, extension and installation
 *		may fire and send.
 *
 * The stamp is in every dump and every copy of the data, and matches none of
 * them, so a restored or cloned database keeps still until resume() is called.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "compat.h"
#include "guc.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(te_current_stamp);
PG_FUNCTION_INFO_V1(te_fence);

/* of the stamp that was read last in this process */
static unsigned char identity[TE_IDENTITY_SIZE];

/* This server's identifier as text, palloc'ed. */
static char *
system_identifier(void)
{
	return psprintf(UINT64_FORMAT, GetSystemIdentifier());
}

/* Text of a column of the first row, in the SPI context; NULL when null. */
static char *
column(int number)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number);
}

/* What about the stamp does not fit, in the current context, or NULL. */
static char *
compare_stamp(Oid extension)
{
	char	   *identifier = column(1);

	if (identifier == NULL)
		return "not in use yet: nothing was created here and resume() was not called";
	if (strcmp(identifier, system_identifier()) != 0)
		return "restored or cloned: the stamp belongs to another server; call trigger_engine.resume() to fire and send from here";
	if (strcmp(column(2), psprintf("%u", MyDatabaseId)) != 0)
		return "restored or cloned: the stamp belongs to another database; call trigger_engine.resume() to fire and send from here";
	if (strcmp(column(3), psprintf("%u", extension)) != 0)
		return "restored: the stamp belongs to another CREATE EXTENSION; call trigger_engine.resume() to fire and send from here";
	if (strcmp(column(4), te_guc_installation) != 0)
		return psprintf("the stamp belongs to installation \"%s\", and trigger_engine.installation is \"%s\"; call trigger_engine.resume() to fire and send from here",
						column(4), te_guc_installation);
	return NULL;
}

/* Takes the digest of the stamp. Throws only when the TLS library fails. */
static void
remember_identity(void)
{
	char	   *text = psprintf("%s\n%s\n%s\n%s", column(1), column(2), column(3), column(4));

	te_crypto_sha256(text, strlen(text), identity);
}

/*
 * A digest of the stamp, as te_fence_read() found it last: the same wherever this
 * installation goes, also after a failover, and another in every other one. Does not
 * throw.
 */
const unsigned char *
te_fence_identity(void)
{
	return identity;
}

/* Who paused sending and why, in the current context, or NULL. */
static char *
describe_pause(void)
{
	char	   *by = column(5);
	char	   *reason = column(6);

	if (by == NULL)
		return NULL;
	if (reason == NULL)
		return psprintf("paused by %s", by);
	return psprintf("paused by %s: %s", by, reason);
}

/*
 * Reads what keeps this database from firing and sending (*fence) and whether
 * sending is paused (*pause); NULL = nothing, else text in the caller's memory
 * context. Needs a transaction with an active snapshot. Reads as the extension's
 * owner, since whoever inserts events may not read the stamp. May throw.
 */
void
te_fence_read(char **fence, char **pause)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	Oid			extension = te_extension_oid(true);
	bool		switched = te_worker_index() < 0;
	TeIdentity	saved;
	char	   *text;

	*fence = NULL;
	*pause = NULL;
	if (!OidIsValid(extension))
	{
		*fence = "the extension is not installed";
		return;
	}
	if (switched)
		te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) te_db_execute(&plan,
						 "SELECT s.system_identifier, s.database_oid, s.extension_oid,"
						 " s.installation, p.paused_by, p.reason"
						 " FROM (VALUES (1)) AS one"
						 " LEFT JOIN trigger_engine._stamp AS s ON true"
						 " LEFT JOIN trigger_engine._pause AS p ON true",
						 0, NULL, NULL, NULL, true, 1);
	if (SPI_processed != 1)
		elog(ERROR, "unexpected result while reading the installation stamp");
	text = compare_stamp(extension);
	if (text)
		*fence = MemoryContextStrdup(caller, text);
	else
		remember_identity();
	text = describe_pause();
	if (text)
		*pause = MemoryContextStrdup(caller, text);
	SPI_finish();
	if (switched)
		te_run_as_end(&saved);
}

/*
 * What keeps this database from firing and sending, or NULL; in the caller's
 * memory context. Needs a transaction with an active snapshot. May throw.
 */
char *
te_fence_reason(void)
{
	char	   *fence;
	char	   *pause;

	te_fence_read(&fence, &pause);
	return fence;
}

/* SQL: _fence() returns text, NULL when the stamp matches. */
Datum
te_fence(PG_FUNCTION_ARGS)
{
	char	   *reason = te_fence_reason();

	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}

/* SQL: _current_stamp() returns what the stamp of this installation would say. */
Datum
te_current_stamp(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(system_identifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = ObjectIdGetDatum(te_extension_oid(false));
	values[3] = CStringGetTextDatum(te_guc_installation);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
