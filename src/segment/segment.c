/*
 * segment.c
 *		Exact probes of segments, and their members.
 *
 * A segment is a view; it is always read as the view's owner, in a restricted
 * operation with a locked search_path, whoever asks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "common/common.h"
#include "errors.h"
#include "journey/journey.h"
#include "segment/segment.h"

PG_FUNCTION_INFO_V1(te_in_segment);
PG_FUNCTION_INFO_V1(te_segment_members);

/* What is kept of a segment until configuration changes. */
typedef struct Segment
{
	char		name[NAMEDATALEN * 2];	/* hash key */
	Oid			view;
	Oid			key_type;		/* what user ids are converted to */
	bool		as_text;		/* the column's type is another: compare its text */
	SPIPlanPtr	probe;
	char	   *probed_name;	/* of the view, in the probe */
} Segment;

static HTAB *segments = NULL;
static uint64 segments_generation = 0;

/* Probes under way: a view may ask for other segments. 0 again when a transaction ends. */
static int	probing = 0;

/*
 * Owner of a view at this moment; throws when the view is gone.
 */
static Oid
view_owner(const char *segment, Oid view)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(TE_ERRCODE_UNDEFINED),
				 errmsg("the view of segment \"%s\" does not exist", segment),
				 errhint("Register another view with trigger_engine.create_segment(..., or_replace => true).")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * At the end of a transaction no probe is under way, however it ended.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	probing = 0;
}

/*
 * Forgets everything when configuration changed; but not while a probe is under way,
 * whose plan and entry must stay.
 */
static void
forget_stale(void)
{
	HASH_SEQ_STATUS status;
	Segment    *segment;
	HASHCTL		control = {0};

	if (segments == NULL)
	{
		te_journey_register_callbacks();
		RegisterXactCallback(at_transaction_end, NULL);
	}
	AcceptInvalidationMessages();
	if (segments != NULL && (probing > 0 || segments_generation == te_journey_generation()))
		return;
	if (segments != NULL)
	{
		hash_seq_init(&status, segments);
		while ((segment = hash_seq_search(&status)) != NULL)
		{
			if (segment->probe)
				SPI_freeplan(segment->probe);
			if (segment->probed_name)
				pfree(segment->probed_name);
		}
		hash_destroy(segments);
		segments = NULL;
	}
	te_journey_resolve_tables();
	segments_generation = te_journey_generation();
	control.keysize = sizeof(((Segment *) 0)->name);
	control.entrysize = sizeof(Segment);
	control.hcxt = TopMemoryContext;
	segments = hash_create("trigger_engine segments", 32, &control,
						   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * The type that user ids are compared in: the column's own where any id can be
 * told apart from its values, so that its index serves; text for all others.
 */
static Oid
key_type(Oid column_type)
{
	Oid			type = getBaseType(column_type);
	char		category;
	bool		preferred;

	if (type == INT2OID || type == INT4OID || type == INT8OID || type == UUIDOID)
		return type;
	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING ? type : TEXTOID;
}

/*
 * Looks a segment up by name, as the extension's owner. SPI must be connected;
 * throws when it is unknown.
 */
static Segment *
find_segment(const char *name)
{
	Segment    *segment;
	TeIdentity	saved;
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	Oid			view = InvalidOid;
	bool		isnull;
	bool		found;
	AttrNumber	column;

	forget_stale();
	if (strlen(name) < sizeof(segment->name) &&
		(segment = hash_search(segments, name, HASH_FIND, NULL)) != NULL)
		return segment;

	values[0] = CStringGetTextDatum(name);
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	/* what is kept must not be older than the messages that were counted */
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_execute_with_args("SELECT view::oid FROM trigger_engine._segments WHERE name = $1",
						  1, types, values, NULL, true, 1);
	PopActiveSnapshot();
	te_run_as_end(&saved);
	if (SPI_processed == 0 || strlen(name) >= sizeof(segment->name))
		ereport(ERROR,
				(errcode(TE_ERRCODE_UNDEFINED),
				 errmsg("segment \"%s\" does not exist", name),
				 errhint("See the view trigger_engine.segments.")));
	view = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	(void) view_owner(name, view);	/* throws when it is gone */
	column = get_attnum(view, "user_id");
	if (column == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(TE_ERRCODE_SEGMENT),
				 errmsg("the view of segment \"%s\" has no column \"user_id\"", name)));
	segment = hash_search(segments, name, HASH_ENTER, &found);
	segment->view = view;
	segment->key_type = key_type(get_atttype(view, column));
	segment->as_text = segment->key_type == TEXTOID && getBaseType(get_atttype(view, column)) != TEXTOID;
	segment->probe = NULL;
	segment->probed_name = NULL;
	return segment;
}

/*
 * Qualified name of the view.
 */
static char *
view_name(const Segment *segment)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(segment->view)),
									  get_rel_name(segment->view));
}

typedef struct ProbeArgs
{
	Segment    *segment;
	Datum		key;
	bool		result;
} ProbeArgs;

/*
 * True for the decimal form of a number within the bounds, as the server writes it.
 */
static bool
is_number(const char *text, int64 least, int64 most)
{
	const char *digits = text + (*text == '-');
	char	   *end;
	int64		value;

	if (*digits < '0' || *digits > '9' || (*digits == '0' && strcmp(text, "0") != 0))
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && value >= least && value <= most;
}

/*
 * True for the form 8-4-4-4-12 of a UUID, in either case.
 */
static bool
is_uuid(const char *text)
{
	int			i;

	for (i = 0; text[i] != '\0' && i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	return i == 36 && text[i] == '\0';
}

/*
 * Converts a user id to the type of the view's column; false when it cannot be
 * one of its values.
 */
static bool
convert_key(Oid type, const char *user_id, Datum *key)
{
	Oid			input,
				io_param;

	if ((type == INT2OID && !is_number(user_id, PG_INT16_MIN, PG_INT16_MAX)) ||
		(type == INT4OID && !is_number(user_id, PG_INT32_MIN, PG_INT32_MAX)) ||
		(type == INT8OID && !is_number(user_id, PG_INT64_MIN, PG_INT64_MAX)) ||
		(type == NAMEOID && strlen(user_id) >= NAMEDATALEN) ||
		(type == UUIDOID && !is_uuid(user_id)))
		return false;
	getTypeInputInfo(type, &input, &io_param);
	*key = OidInputFunctionCall(input, pstrdup(user_id), io_param, -1);
	return true;
}

/*
 * Runs the kept probe. Called as the view's owner.
 */
static void
run_probe(void *arg)
{
	ProbeArgs  *probe = arg;
	Segment    *segment = probe->segment;

	char	   *view = view_name(segment);

	/* a plan follows its view by name, and we by its identity */
	if (segment->probe != NULL && strcmp(segment->probed_name, view) != 0)
	{
		SPI_freeplan(segment->probe);
		segment->probe = NULL;
	}
	if (segment->probe == NULL)
	{
		char	   *sql = psprintf("SELECT 1 FROM %s WHERE user_id%s OPERATOR(pg_catalog.=) $1",
								   view, segment->as_text ? "::pg_catalog.text" : "");
		SPIPlanPtr	plan = SPI_prepare(sql, 1, &segment->key_type);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		if (segment->probed_name)
			pfree(segment->probed_name);
		segment->probed_name = MemoryContextStrdup(TopMemoryContext, view);
		SPI_keepplan(plan);
		segment->probe = plan;
	}
	if (SPI_execute_plan(segment->probe, &probe->key, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "probe of segment \"%s\" failed", segment->name);
	probe->result = SPI_processed > 0;
}

/* Names the segment in errors of the view's SQL. */
static void
add_context(void *arg)
{
	errcontext("segment \"%s\"", (const char *) arg);
}

/*
 * Whether the user is in the segment now, by its view's SQL as the view's owner. SPI
 * must be connected. Throws when the segment is gone or its SQL fails.
 */
bool
te_segment_probe(const char *name, const char *user_id)
{
	MemoryContext caller = CurrentMemoryContext;
	ProbeArgs	probe = {0};
	TeIdentity	saved;
	ErrorContextCallback callback;

	probe.segment = find_segment(name);
	callback.callback = add_context;
	callback.arg = probe.segment->name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (convert_key(probe.segment->key_type, user_id, &probe.key))
	{
		te_run_as_begin(&saved, view_owner(probe.segment->name, probe.segment->view), TE_RUN_RESTRICTED);
		probing++;
		run_probe(&probe);
		probing = Max(probing - 1, 0);
		te_run_as_end(&saved);
	}
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(caller);	/* SPI leaves its own */
	return probe.result;
}

/*
 * in_segment(name, user_id)
 */
Datum
te_in_segment(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *user_id = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = te_segment_probe(name, user_id);
	SPI_finish();
	PG_RETURN_BOOL(result);
}

/*
 * segment_members(name): everybody in it, in a tuplestore.
 */
Datum
te_segment_members(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Segment    *segment;
	TeIdentity	saved;
	Portal		portal;
	SPIPlanPtr	plan;
	Tuplestorestate *store;
	TupleDesc	desc;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("segment_members must be called where a set can be returned")));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(desc, 1, "user_id", TEXTOID, -1, 0);
	store = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	segment = find_segment(name);
	te_run_as_begin(&saved, view_owner(segment->name, segment->view), TE_RUN_RESTRICTED);
	plan = SPI_prepare(psprintf("SELECT DISTINCT user_id::text FROM %s WHERE user_id IS NOT NULL",
								view_name(segment)), 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	do
	{
		uint64		i;

		SPI_cursor_fetch(portal, true, 1000);
		for (i = 0; i < SPI_processed; i++)
			tuplestore_puttuple(store, SPI_tuptable->vals[i]);
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	te_run_as_end(&saved);
	SPI_finish();

	info->returnMode = SFRM_Materialize;
	info->setResult = store;
	info->setDesc = desc;
	return (Datum) 0;
}
