/*
 * segment.c
 *		Exact probes of segments, and their members.
 *
 * A segment is a view; it is always read as the view's owner, in a restricted
 * operation with a locked search_path, whoever asks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
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
#include "segment/segment_internal.h"

PG_FUNCTION_INFO_V1(te_in_segment);
PG_FUNCTION_INFO_V1(te_segment_members);

typedef struct SegmentEntry
{
	char		name[NAMEDATALEN * 2];	/* hash key */
	TeSegment  *segment;
} SegmentEntry;

static HTAB *segments = NULL;
static uint64 segments_generation = 0;

/*
 * Owner of a view at this moment; throws when the view is gone.
 */
Oid
te_segment_view_owner(const char *segment, Oid view)
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
 * Gives the plans of a segment up. One of them may be running, further out: a view may
 * ask for other segments.
 */
static void
drop_plans(TeSegment *segment)
{
	te_db_retire(segment->probe_one, NULL);
	te_db_retire(segment->probe_many, NULL);
	segment->probe_one = segment->probe_many = NULL;
}

/*
 * Forgets everything when configuration changed.
 */
static void
forget_stale(void)
{
	HASH_SEQ_STATUS status;
	SegmentEntry *entry;
	HASHCTL		control = {0};

	te_journey_register_callbacks();
	AcceptInvalidationMessages();
	if (segments != NULL && segments_generation == te_journey_generation())
		return;
	if (segments != NULL)
	{
		hash_seq_init(&status, segments);
		while ((entry = hash_seq_search(&status)) != NULL)
		{
			drop_plans(entry->segment);
			te_db_retire(NULL, entry->segment->context);
		}
		hash_destroy(segments);
		segments = NULL;
	}
	te_journey_resolve_tables();
	segments_generation = te_journey_generation();
	control.keysize = sizeof(((SegmentEntry *) 0)->name);
	control.entrysize = sizeof(SegmentEntry);
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
 * Keeps a segment that was looked up.
 */
static TeSegment *
keep_segment(const char *name, Oid view, Oid column_type)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "trigger_engine segment",
												  ALLOCSET_SMALL_SIZES);
	TeSegment  *segment = MemoryContextAllocZero(context, sizeof(TeSegment));

	segment->context = context;
	segment->name = MemoryContextStrdup(context, name);
	segment->view = view;
	segment->key_type = key_type(column_type);
	segment->as_text = segment->key_type == TEXTOID && getBaseType(column_type) != TEXTOID;
	((SegmentEntry *) hash_search(segments, name, HASH_ENTER, NULL))->segment = segment;
	return segment;
}

/*
 * Looks a segment up by name, as the extension's owner. SPI must be connected;
 * throws when it is unknown.
 */
TeSegment *
te_segment_find(const char *name)
{
	SegmentEntry *entry;
	TeIdentity	saved;
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	Oid			view = InvalidOid;
	bool		isnull;
	AttrNumber	column;

	forget_stale();
	if (strlen(name) < sizeof(entry->name) &&
		(entry = hash_search(segments, name, HASH_FIND, NULL)) != NULL)
		return entry->segment;

	values[0] = CStringGetTextDatum(name);
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	/* what is kept must not be older than the messages that were counted */
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_execute_with_args("SELECT view::oid FROM trigger_engine._segments WHERE name = $1",
						  1, types, values, NULL, true, 1);
	PopActiveSnapshot();
	te_run_as_end(&saved);
	if (SPI_processed == 0 || strlen(name) >= sizeof(entry->name))
		ereport(ERROR,
				(errcode(TE_ERRCODE_UNDEFINED),
				 errmsg("segment \"%s\" does not exist", name),
				 errhint("See the view trigger_engine.segments.")));
	view = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	(void) te_segment_view_owner(name, view);	/* throws when it is gone */
	column = get_attnum(view, "user_id");
	if (column == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(TE_ERRCODE_SEGMENT),
				 errmsg("the view of segment \"%s\" has no column \"user_id\"", name),
				 errhint("Have the view name the column that identifies the person user_id.")));
	return keep_segment(name, view, get_atttype(view, column));
}

/*
 * Qualified name of the view.
 */
char *
te_segment_view_name(const TeSegment *segment)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(segment->view)),
									  get_rel_name(segment->view));
}

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

	for (i = 0; i < 36 && text[i] != '\0'; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	return i == 36 && text[i] == '\0';
}

/*
 * Converts a user id to the type of the view's column; false when it cannot be
 * one of its values.
 */
bool
te_segment_convert_key(Oid type, const char *user_id, Datum *key)
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
 * A kept probe, of one user or of many, made if needed. Called as the view's owner.
 *
 * The list of many stands inside, too: so it reaches the indexes under the view, also
 * through grouping and DISTINCT, which a join would not.
 */
static SPIPlanPtr
probe_plan(TeSegment *segment, bool many)
{
	char	   *view = te_segment_view_name(segment);
	SPIPlanPtr *plan = many ? &segment->probe_many : &segment->probe_one;
	const char *cast = segment->as_text ? "::pg_catalog.text" : "";
	Oid			type = many ? get_array_type(segment->key_type) : segment->key_type;
	char	   *sql;
	SPIPlanPtr	made;

	/* a plan follows its view by name, and we by its identity */
	if (segment->probed_name == NULL || strcmp(segment->probed_name, view) != 0)
	{
		drop_plans(segment);
		segment->probed_name = MemoryContextStrdup(segment->context, view);
	}
	if (*plan != NULL)
		return *plan;
	if (many)
		sql = psprintf("SELECT i.ord FROM unnest($1) WITH ORDINALITY AS i(key, ord) WHERE i.key OPERATOR(pg_catalog.=)"
					   " ANY (SELECT v.user_id%s FROM %s v WHERE v.user_id%s OPERATOR(pg_catalog.=) ANY ($1))",
					   cast, view, cast);
	else
		sql = psprintf("SELECT 1 FROM %s WHERE user_id%s OPERATOR(pg_catalog.=) $1", view, cast);
	made = SPI_prepare(sql, 1, &type);
	if (made == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(made);
	*plan = made;
	return made;
}

/* Names the segment in errors of the view's SQL. */
void
te_segment_add_context(void *arg)
{
	errcontext("segment \"%s\"", (const char *) arg);
}

/*
 * Runs the probe for those whose ids could be values of the view's column. Called as
 * the view's owner.
 */
static void
run_probe(TeSegment *segment, Datum *keys, int *places, int nkeys, bool *members)
{
	SPIPlanPtr	plan = probe_plan(segment, nkeys > 1);
	Datum		value = keys[0];
	uint64		i;

	if (nkeys > 1)
	{
		int16		len;
		bool		by_value;
		char		align;

		get_typlenbyvalalign(segment->key_type, &len, &by_value, &align);
		value = PointerGetDatum(construct_array(keys, nkeys, segment->key_type, len, by_value, align));
	}
	if (SPI_execute_plan(plan, &value, NULL, true, nkeys > 1 ? 0 : 1) != SPI_OK_SELECT)
		elog(ERROR, "probe of segment \"%s\" failed", segment->name);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int64		place = 1;

		if (nkeys > 1)
			place = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		members[places[place - 1]] = true;
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Whether the users are in the segment now, by its view's SQL as the view's owner, with
 * one statement for all. SPI must be connected. Throws when the segment is gone or its
 * SQL fails; then members says nothing.
 */
void
te_segment_probe(const char *name, char *const *user_ids, int count, bool *members)
{
	MemoryContext caller = CurrentMemoryContext;
	TeSegment  *segment = te_segment_find(name);
	Datum	   *keys = palloc(sizeof(Datum) * count);
	int		   *places = palloc(sizeof(int) * count);
	int			nkeys = 0;
	TeIdentity	saved;
	ErrorContextCallback callback;
	int			i;

	callback.callback = te_segment_add_context;
	callback.arg = segment->name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	for (i = 0; i < count; i++)
	{
		members[i] = false;
		if (te_segment_convert_key(segment->key_type, user_ids[i], &keys[nkeys]))
			places[nkeys++] = i;
	}
	if (nkeys > 0)
	{
		te_run_as_begin(&saved, te_segment_view_owner(segment->name, segment->view), TE_RUN_RESTRICTED);
		run_probe(segment, keys, places, nkeys, members);
		te_run_as_end(&saved);
	}
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(caller);	/* SPI leaves its own */
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
	te_segment_probe(name, &user_id, 1, &result);
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
	TeSegment  *segment;
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
	segment = te_segment_find(name);
	te_run_as_begin(&saved, te_segment_view_owner(segment->name, segment->view), TE_RUN_RESTRICTED);
	plan = SPI_prepare(psprintf("SELECT DISTINCT user_id::text FROM %s WHERE user_id IS NOT NULL",
								te_segment_view_name(segment)), 0, NULL);
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
