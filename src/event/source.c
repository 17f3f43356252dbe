/*
 * source.c
 *		Reading an event from the row that a trigger fires on.
 *
 * Two shapes: tables like trigger_engine.events, whose columns carry the names of
 * an event's fields (the trigger has no arguments), and application tables, whose
 * trigger arguments say what is what: event name, user column, time column or
 * empty, key columns and property columns, each list separated by commas.
 *
 * What is known about a table is kept a backend until a relcache message about it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "common/common.h"
#include "errors.h"
#include "event/event.h"

#define MAX_KEY_COLUMNS 16
/* A function takes 100 arguments. */
#define COLUMNS_PER_OBJECT 50

struct TeSource
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		tracked;
	MemoryContext context;
	char	   *name;			/* qualified and quoted; of a partition, its tracked parent's */
	/* tables like events */
	AttrNumber	event_id,
				user_id,
				event_name,
				properties,
				occurred_at,
				dedupe_key;
	SPIPlanPtr	delete_row;
	/* application tables */
	char	   *event;
	int			nkeys;
	AttrNumber	keys[MAX_KEY_COLUMNS];
	FmgrInfo	key_out[MAX_KEY_COLUMNS];
	FmgrInfo	user_out;
	Oid			time_type;
	int			nproperties;
	AttrNumber *property_columns;
	SPIPlanPtr	build_properties;
};

static HTAB *sources = NULL;

/*
 * Relcache callback: marks what we know about a table as stale.
 */
static void
source_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	TeSource   *source;

	hash_seq_init(&status, sources);
	while ((source = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || source->relid == relid)
			source->valid = false;
}

/*
 * Column number by name; an error that names trigger and column when it is gone.
 */
static AttrNumber
column(Relation rel, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(rel), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\", which its capture trigger reads",
						RelationGetRelationName(rel), name),
				 errhint("Call trigger_engine.untrack_table() and track the table again.")));
	return number;
}

/*
 * Output function of a column's type.
 */
static void
output_function(Relation rel, AttrNumber number, FmgrInfo *out, MemoryContext context)
{
	Oid			function;
	bool		varlena;

	getTypeOutputInfo(TupleDescAttr(RelationGetDescr(rel), number - 1)->atttypid, &function, &varlena);
	fmgr_info_cxt(function, out, context);
}

/*
 * Splits a comma-separated list of quoted names.
 */
static List *
split(const char *list)
{
	List	   *names = NIL;

	if (!SplitIdentifierString(pstrdup(list), ',', &names))
		elog(ERROR, "invalid list of columns in a capture trigger: %s", list);
	return names;
}

/*
 * Plans the expression that builds the properties of a tracked row.
 */
static void
prepare_properties(TeSource *source, Relation rel, List *columns)
{
	StringInfoData sql;
	Oid		   *types;
	ListCell   *cell;
	int			i = 0;

	source->nproperties = list_length(columns);
	if (source->nproperties == 0)
		return;
	types = palloc(sizeof(Oid) * source->nproperties);
	source->property_columns = MemoryContextAlloc(source->context,
												  sizeof(AttrNumber) * source->nproperties);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.jsonb_build_object(");
	foreach(cell, columns)
	{
		char	   *name = lfirst(cell);

		source->property_columns[i] = column(rel, name);
		types[i] = TupleDescAttr(RelationGetDescr(rel), source->property_columns[i] - 1)->atttypid;
		if (i > 0 && i % COLUMNS_PER_OBJECT == 0)
			appendStringInfoString(&sql, ") OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(");
		appendStringInfo(&sql, "%s%s, $%d", i % COLUMNS_PER_OBJECT ? ", " : "", quote_literal_cstr(name), i + 1);
		i++;
	}
	appendStringInfoChar(&sql, ')');
	source->build_properties = te_db_prepare(sql.data, source->nproperties, types);
}

/*
 * Names a partition's source by the table that was tracked, so that a row's key does
 * not depend on the partition it lies in.
 */
static void
name_by_parent(TeSource *source, Trigger *trigger)
{
	Oid			types[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(trigger->tgoid)};
	static SPIPlanPtr plan = NULL;
	Oid			parent;
	bool		isnull;

	te_db_execute(&plan,
				  "WITH RECURSIVE up AS (SELECT tgrelid, tgparentid FROM pg_catalog.pg_trigger WHERE oid = $1"
				  " UNION ALL SELECT t.tgrelid, t.tgparentid FROM pg_catalog.pg_trigger t JOIN up ON t.oid = up.tgparentid)"
				  " SELECT tgrelid FROM up WHERE tgparentid = 0", 1, types, values, NULL, true, 1);
	if (SPI_processed == 0)
		return;
	parent = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	source->name = MemoryContextStrdup(source->context,
									   quote_qualified_identifier(get_namespace_name(get_rel_namespace(parent)),
																  get_rel_name(parent)));
}

/*
 * Fills in what the trigger's arguments say about an application table.
 */
static void
describe_tracked(TeSource *source, Relation rel, Trigger *trigger)
{
	List	   *keys;
	ListCell   *cell;

	if (rel->rd_rel->relispartition)
		name_by_parent(source, trigger);
	if (trigger->tgnargs != 5)
		elog(ERROR, "capture trigger \"%s\" has %d arguments", trigger->tgname, trigger->tgnargs);
	source->tracked = true;
	source->event = MemoryContextStrdup(source->context, trigger->tgargs[0]);
	source->user_id = column(rel, trigger->tgargs[1]);
	output_function(rel, source->user_id, &source->user_out, source->context);
	if (trigger->tgargs[2][0] != '\0')
	{
		source->occurred_at = column(rel, trigger->tgargs[2]);
		source->time_type = TupleDescAttr(RelationGetDescr(rel), source->occurred_at - 1)->atttypid;
	}
	keys = split(trigger->tgargs[3]);
	foreach(cell, keys)
	{
		if (source->nkeys == MAX_KEY_COLUMNS)
			elog(ERROR, "too many key columns");
		source->keys[source->nkeys] = column(rel, lfirst(cell));
		output_function(rel, source->keys[source->nkeys], &source->key_out[source->nkeys], source->context);
		source->nkeys++;
	}
	prepare_properties(source, rel, split(trigger->tgargs[4]));
}

/*
 * Fills in the columns of a table like events, and plans the deletion of a row.
 */
static void
describe_events(TeSource *source, Relation rel)
{
	char	   *sql;
	Oid			types[3] = {TEXTOID, TIMESTAMPTZOID, INT8OID};

	source->event_id = column(rel, "event_id");
	source->user_id = column(rel, "user_id");
	source->event_name = column(rel, "name");
	source->properties = column(rel, "properties");
	source->occurred_at = column(rel, "occurred_at");
	source->dedupe_key = column(rel, "dedupe_key");
	sql = psprintf("DELETE FROM %s WHERE user_id = $1 AND occurred_at = $2 AND event_id = $3",
				   source->name);
	source->delete_row = te_db_prepare(sql, 3, types);
}

/*
 * What is known about the trigger's table already, or NULL. Does not throw.
 */
TeSource *
te_event_known_source(TriggerData *trigger)
{
	Oid			relid = RelationGetRelid(trigger->tg_relation);
	TeSource   *source = sources ? hash_search(sources, &relid, HASH_FIND, NULL) : NULL;

	return source && source->valid ? source : NULL;
}

/*
 * What is known about the trigger's table, looked up if needed. SPI must be
 * connected, as plans may be made.
 */
TeSource *
te_event_source(TriggerData *trigger)
{
	Relation	rel = trigger->tg_relation;
	Oid			relid = RelationGetRelid(rel);
	TeSource   *source;
	bool		found;

	if (sources == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(TeSource);
		control.hcxt = TopMemoryContext;
		sources = hash_create("trigger_engine sources", 32, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(source_changed, (Datum) 0);
	}
	source = hash_search(sources, &relid, HASH_ENTER, &found);
	if (found && source->valid)
		return source;
	if (found)
	{
		/* a cast to json of a row further out may have brought us here */
		te_db_retire(source->delete_row, NULL);
		te_db_retire(source->build_properties, source->context);
	}
	memset(source, 0, sizeof(TeSource));
	source->relid = relid;
	source->context = AllocSetContextCreate(TopMemoryContext, "trigger_engine source",
											ALLOCSET_SMALL_SIZES);
	source->name = MemoryContextStrdup(source->context,
									   quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
																  RelationGetRelationName(rel)));
	if (trigger->tg_trigger->tgnargs == 0)
		describe_events(source, rel);
	else
		describe_tracked(source, rel, trigger->tg_trigger);
	source->valid = true;
	return source;
}

/*
 * The row that the event is about.
 */
static HeapTuple
event_row(TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
}

/*
 * When a tracked row's event happened: what its time column says, or now when it says
 * nothing, which an update does that leaves it alone. Times beyond the calendar of
 * timestamptz become infinite, as they are no reason to refuse an application's row.
 */
static TimestampTz
tracked_time(TeSource *source, TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Datum		value = (Datum) 0;
	bool		isnull = true;
	int			overflow;

	if (source->occurred_at > 0)
		value = heap_getattr(event_row(trigger), source->occurred_at, desc, &isnull);
	if (!isnull && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		bool		old_isnull;
		Datum		old = heap_getattr(trigger->tg_trigtuple, source->occurred_at, desc, &old_isnull);

		if (!old_isnull && (source->time_type == DATEOID ? DatumGetDateADT(old) == DatumGetDateADT(value)
							: DatumGetTimestampTz(old) == DatumGetTimestampTz(value)))
			isnull = true;
	}
	if (isnull)
		return te_clock_transaction();
	switch (source->time_type)
	{
		case TIMESTAMPOID:
			return timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
		case DATEOID:
			return date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
		default:
			return DatumGetTimestampTz(value);
	}
}

/*
 * Reads a tracked row.
 */
static void
read_tracked(TeSource *source, TriggerData *trigger, TeEvent *event)
{
	HeapTuple	row = event_row(trigger);
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	StringInfoData key;
	Datum		value;
	bool		isnull;
	int			i;

	event->tracked = true;
	event->name = source->event;
	value = heap_getattr(row, source->user_id, desc, &isnull);
	event->user_id = isnull ? NULL : OutputFunctionCall(&source->user_out, value);
	event->occurred_at = tracked_time(source, trigger);
	initStringInfo(&key);
	appendStringInfoString(&key, source->name);
	for (i = 0; i < source->nkeys; i++)
	{
		value = heap_getattr(row, source->keys[i], desc, &isnull);
		appendStringInfo(&key, "/%s", isnull ? "" : OutputFunctionCall(&source->key_out[i], value));
	}
	/* an update is another event than the insert, and than other updates, also of its transaction */
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		appendStringInfo(&key, "@" INT64_FORMAT ".%u.%u", te_clock_transaction(),
						 HeapTupleHeaderGetRawXmin(row->t_data), HeapTupleHeaderGetRawCommandId(row->t_data));
	event->source_key = key.data;

	if (source->nproperties > 0)
	{
		Datum	   *values = palloc(sizeof(Datum) * source->nproperties);
		char	   *nulls = palloc(source->nproperties);

		for (i = 0; i < source->nproperties; i++)
		{
			values[i] = heap_getattr(row, source->property_columns[i], desc, &isnull);
			nulls[i] = isnull ? 'n' : ' ';
		}
		if (SPI_execute_plan(source->build_properties, values, nulls, true, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not build the properties of a tracked row");
		event->properties = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0],
															 SPI_tuptable->tupdesc, 1, &isnull));
	}
	else
		event->properties = te_json_parse("{}");
}

/*
 * Reads the event from the row; everything is palloc'ed in the current context.
 * A tracked row without a user leaves user_id NULL.
 */
void
te_event_read(TeSource *source, TriggerData *trigger, TeEvent *event)
{
	HeapTuple	row = event_row(trigger);
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Datum		value;
	bool		isnull;

	memset(event, 0, sizeof(TeEvent));
	if (source->tracked)
	{
		read_tracked(source, trigger, event);
		return;
	}
	event->event_id = DatumGetInt64(heap_getattr(row, source->event_id, desc, &isnull));
	event->user_id = TextDatumGetCString(heap_getattr(row, source->user_id, desc, &isnull));
	event->name = TextDatumGetCString(heap_getattr(row, source->event_name, desc, &isnull));
	event->properties = DatumGetJsonbP(heap_getattr(row, source->properties, desc, &isnull));
	event->occurred_at = DatumGetTimestampTz(heap_getattr(row, source->occurred_at, desc, &isnull));
	value = heap_getattr(row, source->dedupe_key, desc, &isnull);
	event->dedupe_key = isnull ? NULL : TextDatumGetCString(value);
	event->source_key = psprintf("events/" INT64_FORMAT, event->event_id);
	event->is_new = te_event_take_new_id(event->event_id);
}

/*
 * The context of an event in a table like events, which the hot path has no use
 * for; palloc'ed, or NULL when the row or the table has none.
 */
Jsonb *
te_event_context(TriggerData *trigger)
{
	AttrNumber	number = get_attnum(RelationGetRelid(trigger->tg_relation), "context");
	Datum		value;
	bool		isnull;

	if (number == InvalidAttrNumber)
		return NULL;
	value = heap_getattr(event_row(trigger), number, RelationGetDescr(trigger->tg_relation), &isnull);
	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * Takes the event's row out of its table again: a repeated event, or one that is
 * set aside. SPI must be connected.
 */
void
te_event_delete_row(TeSource *source, TriggerData *trigger, const TeEvent *event)
{
	Datum		values[3];

	values[0] = CStringGetTextDatum(event->user_id);
	values[1] = TimestampTzGetDatum(event->occurred_at);
	values[2] = Int64GetDatum(event->event_id);
	if (SPI_execute_plan(source->delete_row, values, NULL, false, 0) != SPI_OK_DELETE ||
		SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not take back event " INT64_FORMAT " of user \"%s\"",
						event->event_id, event->user_id)));
}
