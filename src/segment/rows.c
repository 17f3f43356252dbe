/*
 * rows.c
 *		Members of a segment for the passes that keep membership, and its plans.
 *
 * Somebody else's SQL: run as the view's owner in a restricted operation, within a
 * limit of time and with the memory that the segment was given.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "common/common.h"
#include "errors.h"
#include "segment/segment_internal.h"

PG_FUNCTION_INFO_V1(te_segment_rows);
PG_FUNCTION_INFO_V1(te_segment_plan);

#define ROWS_A_FETCH 1000

/* What one reading of a segment needs. */
typedef struct Reading
{
	const char *name;
	const char *work_mem;		/* NULL = the server's */
	char	  **user_ids;
	int			count;			/* of these; -1 = everybody */
	const char *explain;		/* NULL = read rows; else what to explain: "all" or "one" */
	Tuplestorestate *store;		/* takes the rows */
	char	   *plan;			/* takes the plan, in the caller's context */
	MemoryContext context;		/* the caller's */
} Reading;

/*
 * The ids that can be values of the view's column, as an array of its type; in the
 * current memory context.
 */
static Datum
make_keys(const TeSegment *segment, const Reading *reading)
{
	Datum	   *keys = palloc(sizeof(Datum) * Max(reading->count, 1));
	int			nkeys = 0;
	int16		len;
	bool		by_value;
	char		align;
	int			i;

	for (i = 0; i < reading->count; i++)
		if (te_segment_convert_key(segment->key_type, reading->user_ids[i], &keys[nkeys]))
			nkeys++;
	get_typlenbyvalalign(segment->key_type, &len, &by_value, &align);
	return PointerGetDatum(construct_array(keys, nkeys, segment->key_type, len, by_value, align));
}

/*
 * The query for members with the end of their membership, of some people ($1) or of all.
 * One member may be there several times: the longest counts, and no end is the longest.
 */
static char *
rows_query(const TeSegment *segment, bool some)
{
	bool		ends = get_attnum(segment->view, "valid_until") != InvalidAttrNumber;
	const char *cast = segment->as_text ? "::pg_catalog.text" : "";

	return psprintf("SELECT v.user_id::pg_catalog.text, %s FROM %s v WHERE v.user_id%s %s GROUP BY 1",
					ends ? "CASE WHEN pg_catalog.count(v.valid_until) OPERATOR(pg_catalog.=) pg_catalog.count(*)"
					" THEN pg_catalog.max(v.valid_until::pg_catalog.timestamptz) END"
					: "NULL::pg_catalog.timestamptz",
					te_segment_view_name(segment), some ? cast : "",
					some ? "OPERATOR(pg_catalog.=) ANY ($1)" : "IS NOT NULL");
}

/*
 * Fetches the rows of a query into the reading's store.
 */
static void
fetch_rows(const Reading *reading, const char *sql, int nargs, Oid *types, Datum *values)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);
	Portal		portal;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, values, NULL, true);
	do
	{
		uint64		i;

		SPI_cursor_fetch(portal, true, ROWS_A_FETCH);
		for (i = 0; i < SPI_processed; i++)
			tuplestore_puttuple(reading->store, SPI_tuptable->vals[i]);
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	SPI_freeplan(plan);
}

/*
 * Plans what a pass or a probe would run, and keeps the plan as JSON text.
 */
static void
fetch_plan(Reading *reading, const char *sql)
{
	bool		isnull;
	Datum		value;

	if (SPI_execute(psprintf("EXPLAIN (FORMAT JSON, VERBOSE false) %s", sql), false, 1) < 0 || SPI_processed != 1)
		elog(ERROR, "EXPLAIN of segment \"%s\" failed", reading->name);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	reading->plan = MemoryContextStrdup(reading->context, TextDatumGetCString(value));
}

/*
 * A constant that stands for one person in a plan: any value of the column's type.
 */
static const char *
sample_key(const TeSegment *segment)
{
	if (segment->key_type == UUIDOID)
		return "'00000000-0000-0000-0000-000000000000'";
	return "'1'";
}

/*
 * Reads or explains a segment; to be called guarded, with SPI connected.
 */
static void
read_segment(void *arg)
{
	Reading    *reading = arg;
	TeSegment  *segment = te_segment_find(reading->name);
	bool		some = reading->count >= 0;
	Oid			type = get_array_type(segment->key_type);
	Datum		keys = (Datum) 0;
	TeIdentity	saved;
	ErrorContextCallback callback;

	callback.callback = te_segment_add_context;
	callback.arg = segment->name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (some)
		keys = make_keys(segment, reading);
	te_run_as_begin(&saved, te_segment_view_owner(segment->name, segment->view), TE_RUN_RESTRICTED);
	if (reading->work_mem)
		(void) set_config_option("work_mem", reading->work_mem, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (reading->explain == NULL)
		fetch_rows(reading, rows_query(segment, some), some ? 1 : 0, &type, &keys);
	else if (strcmp(reading->explain, "all") == 0)
		fetch_plan(reading, rows_query(segment, false));
	else
		fetch_plan(reading, psprintf("SELECT 1 FROM %s WHERE user_id%s OPERATOR(pg_catalog.=) %s::%s",
									 te_segment_view_name(segment), segment->as_text ? "::pg_catalog.text" : "",
									 sample_key(segment), format_type_be_qualified(segment->key_type)));
	te_run_as_end(&saved);
	error_context_stack = callback.previous;
}

/*
 * Runs a reading within its limit of time; throws what it throws, and TE003 when the
 * time is up.
 */
static void
run_reading(Reading *reading, int limit_ms)
{
	ErrorData  *failure;
	bool		over;
	bool		done;

	reading->context = CurrentMemoryContext;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	done = te_db_guarded(read_segment, reading, limit_ms, &over, &failure);
	if (!done && over)
		ereport(ERROR,
				(errcode(TE_ERRCODE_SEGMENT),
				 errmsg("segment \"%s\" takes longer than %d ms", reading->name, limit_ms),
				 errhint("Give it more with trigger_engine.create_segment(..., timeout => ..., or_replace => true), or make its view quicker.")));
	if (!done)
		ReThrowError(failure);
	SPI_finish();
}

/*
 * _segment_rows(name, user_ids, timeout_ms, work_mem): members among some people, or all
 * when these are NULL, in a tuplestore.
 */
Datum
te_segment_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	Reading		reading = {0};
	TupleDesc	desc;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("_segment_rows must be called where a set can be returned")));
	reading.name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	reading.count = -1;
	if (!PG_ARGISNULL(1))
	{
		Datum	   *values;
		int			i;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, &reading.count);
		reading.user_ids = palloc(sizeof(char *) * Max(reading.count, 1));
		for (i = 0; i < reading.count; i++)
			reading.user_ids[i] = TextDatumGetCString(values[i]);
	}
	reading.work_mem = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));

	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(desc, 1, "user_id", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 2, "valid_until", TIMESTAMPTZOID, -1, 0);
	reading.store = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);
	run_reading(&reading, PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2));

	info->returnMode = SFRM_Materialize;
	info->setResult = reading.store;
	info->setDesc = desc;
	return (Datum) 0;
}

/*
 * _segment_plan(name, what): the server's plan for all members or for one, as JSON.
 */
Datum
te_segment_plan(PG_FUNCTION_ARGS)
{
	Reading		reading = {0};

	reading.name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	reading.explain = text_to_cstring(PG_GETARG_TEXT_PP(1));
	reading.count = -1;
	run_reading(&reading, 0);
	PG_RETURN_TEXT_P(cstring_to_text(reading.plan));
}
