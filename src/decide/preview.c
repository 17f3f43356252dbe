/*
 * preview.c
 *		preview_template(): what a user would get, field by field, and what may go
 *		wrong with it.
 *
 * It renders as the worker does, from the same context, but each field on its own, so
 * that one that fails does not hide the others.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "common/common.h"
#include "decide/decide.h"
#include "errors.h"
#include "message/message.h"
#include "template/locale.h"

PG_FUNCTION_INFO_V1(te_preview_template);

#define COLUMNS 9

/* in place of the send's own in payloads: the longest there is */
#define ANY_SEND_ID PG_INT64_MAX

/* A preview under way. */
typedef struct Preview
{
	Tuplestorestate *store;
	TupleDesc	desc;
	const TeStored *stored;
	TeContentInput input;
	JsonbParseState *rendered;	/* fields that came out, for payloads */
	bool		has_image;
	List	   *warnings;		/* of the field at work */

	/* the field at work */
	Jsonb	   *source;
	Jsonb	   *result;
	char	   *reason;
} Preview;

/*
 * Adds one row of the result.
 */
static void
put_row(Preview *preview, const char *field, const char *content, int graphemes, int bytes,
		const TeInspected *inspected, List *warnings)
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};
	ArrayBuildState *list = initArrayResult(TEXTOID, CurrentMemoryContext, true);
	ListCell   *cell;

	foreach(cell, warnings)
		list = accumArrayResult(list, CStringGetTextDatum(lfirst(cell)), false, TEXTOID, CurrentMemoryContext);
	values[0] = CStringGetTextDatum(field);
	nulls[1] = content == NULL;
	values[1] = content ? CStringGetTextDatum(content) : (Datum) 0;
	nulls[2] = graphemes < 0;
	values[2] = Int32GetDatum(graphemes);
	nulls[3] = bytes < 0;
	values[3] = Int32GetDatum(bytes);
	nulls[4] = inspected == NULL || inspected->encoding == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(inspected->encoding);
	nulls[5] = nulls[4];
	values[5] = nulls[4] ? (Datum) 0 : Int32GetDatum(inspected->segments);
	values[6] = makeArrayResult(list, CurrentMemoryContext);
	nulls[7] = preview->stored->locale[0] == '\0';
	values[7] = CStringGetTextDatum(preview->stored->locale);
	values[8] = Int32GetDatum(preview->stored->version);
	tuplestore_putvalues(preview->store, preview->desc, values, nulls);
}

/*
 * Notes what a render misses; the same once.
 */
static void
take_notice(void *arg, TeNotice kind, const char *name, int len)
{
	Preview    *preview = arg;
	char	   *warning = kind == TE_NOTICE_VARIABLE
		? psprintf("%.*s is not there and has no default", Min(len, 200), name)
		: psprintf("no translation of \"%.*s\" for %s", Min(len, 200), name, preview->input.render.locale);
	ListCell   *cell;

	foreach(cell, preview->warnings)
		if (strcmp(lfirst(cell), warning) == 0)
			return;
	preview->warnings = lappend(preview->warnings, warning);
}

/*
 * Renders the field at work.
 */
static void
render_field(void *arg)
{
	Preview    *preview = arg;
	TeContent  *content = te_content_compile(preview->stored->channel, preview->source);

	preview->result = te_content_render(content, &preview->input, &preview->reason);
}

/*
 * Adds the row of a field of the given kind that was rendered.
 */
static void
put_field(Preview *preview, const char *name, TeFieldKind kind)
{
	JsonbValue *value = te_json_find(preview->result, name);
	TeInspected inspected = {preview->stored->channel, name, kind};
	StringInfoData json;
	List	   *warnings;
	int		   *ends;

	if (value == NULL || value->type == jbvNull)
		return;
	if (value->type != jbvString)
	{
		initStringInfo(&json);
		te_payload_write_json(&json, JsonbValueToJsonb(value));
		if (kind == TE_FIELD_ACTIONS)
			preview->warnings = te_inspect_actions(preview->warnings, preview->stored->channel, preview->result);
		if (kind == TE_FIELD_OBJECT && strcmp(preview->stored->channel->name, "push") == 0 && strcmp(name, "data") == 0)
			preview->warnings = te_inspect_data(preview->warnings, preview->result);
		put_row(preview, name, json.data, -1, json.len, NULL, preview->warnings);
		return;
	}
	inspected.text = pnstrdup(value->val.string.val, value->val.string.len);
	inspected.len = value->val.string.len;
	ends = te_icu_graphemes(NULL, inspected.text, inspected.len, PG_INT32_MAX, &inspected.graphemes);
	warnings = te_inspect_field(&inspected, preview->has_image);
	put_row(preview, name, inspected.text, inspected.graphemes, inspected.len, &inspected,
			list_concat(preview->warnings, warnings));
	pfree(ends);
}

/*
 * Renders one field and adds its row.
 */
static void
preview_field(Preview *preview, const char *name, TeFieldKind kind, JsonbValue *value)
{
	JsonbParseState *state = NULL;
	JsonbValue	key;
	ErrorData  *failure;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_VALUE, value);
	preview->source = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	preview->result = NULL;
	preview->reason = NULL;
	preview->warnings = NIL;
	if (!te_db_subtransaction(render_field, preview, &failure))
	{
		put_row(preview, name, NULL, -1, -1, NULL,
				lappend(preview->warnings, psprintf("fails: %s", failure->message)));
		FreeErrorData(failure);
		return;
	}
	if (preview->result == NULL)
	{
		put_row(preview, name, NULL, -1, -1, NULL,
				lappend(preview->warnings, psprintf("stops the message: %s", preview->reason)));
		return;
	}
	value = te_json_find(preview->result, name);
	pushJsonbValue(&preview->rendered, WJB_KEY, &key);
	pushJsonbValue(&preview->rendered, WJB_VALUE, value);
	put_field(preview, name, kind);
}

/*
 * Adds the row of one push service's payload.
 */
static void
put_payload(Preview *preview, TePushService service, const char *field, Jsonb *content, int most, const char *warning)
{
	StringInfoData payload;
	List	   *warnings = NIL;

	initStringInfo(&payload);
	te_payload_write(&payload, service, content, ANY_SEND_ID);
	if (payload.len > most)
		warnings = list_make1(psprintf("is too large: %s", warning));
	put_row(preview, field, payload.data, -1, payload.len, NULL, warnings);
}

/*
 * What is missing from the content as a whole: one row for what has a field of its own.
 */
static void
put_whole(Preview *preview, Jsonb *content)
{
	const char *channel = preview->stored->channel->name;

	if (strcmp(channel, "push") == 0)
	{
		put_payload(preview, TE_PUSH_APNS, "payload.apns", content, TE_APNS_MOST, "APNs takes 4096 bytes");
		put_payload(preview, TE_PUSH_FCM, "payload.fcm", content, TE_FCM_MOST, "FCM takes 4096 bytes");
	}
	else if (strcmp(channel, "web_push") == 0)
		put_payload(preview, TE_PUSH_WEB, "payload.web_push", content, TE_WEB_PUSH_MOST,
					"web push takes 4096 bytes, of which encryption needs 103");
	else if (strcmp(channel, "email") == 0)
	{
		if (te_json_find(content, "subject") == NULL)
			put_row(preview, "subject", NULL, -1, -1, NULL, list_make1("is missing"));
		if (te_json_find(content, "text") == NULL)
			put_row(preview, "text", NULL, -1, -1, NULL,
					list_make1("is missing: some readers, and filters of spam, want one beside html"));
	}
}

/*
 * Renders all fields, in the order of the channel and then of the content.
 */
static void
preview_fields(Preview *preview)
{
	const TeChannel *channel = preview->stored->channel;
	Jsonb	   *document = preview->stored->content->document;
	JsonbValue *image = te_json_find(document, "image");
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	const TeField *field;
	char	   *name = NULL;

	preview->has_image = image && image->type == jbvString;
	pushJsonbValue(&preview->rendered, WJB_BEGIN_OBJECT, NULL);
	for (field = channel->fields; field->name; field++)
	{
		JsonbValue *given = te_json_find(document, field->name);

		if (given && given->type != jbvNull)
			preview_field(preview, field->name, field->kind, given);
	}
	it = channel->any_field ? JsonbIteratorInit(&document->root) : NULL;
	while (it && (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && te_channel_field(channel, name, strlen(name)) == NULL)
			preview_field(preview, name, TE_FIELD_DOCUMENT, &value);
	}
	put_whole(preview, JsonbValueToJsonb(pushJsonbValue(&preview->rendered, WJB_END_OBJECT, NULL)));
}

/*
 * Fills in what is known of a user; throws when there is none of that id.
 */
static void
load_user(TeItem *item, const char *user_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	HeapTuple	row;
	TupleDesc	desc;
	bool		isnull;
	Datum		attributes;

	values[0] = CStringGetTextDatum(user_id);
	te_db_execute(&plan, "SELECT attributes, locale, zone, country, tenant FROM trigger_engine.users WHERE user_id = $1",
				  1, types, values, NULL, false, 1);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user \"%s\" does not exist", user_id),
				 errhint("Leave user_id out to preview for nobody in particular.")));
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	attributes = SPI_getbinval(row, desc, 1, &isnull);
	item->attributes = isnull ? NULL : DatumGetJsonbPCopy(attributes);
	item->locale = SPI_getvalue(row, desc, 2);
	item->zone = SPI_getvalue(row, desc, 3);
	item->country = SPI_getvalue(row, desc, 4);
	item->tenant = SPI_getvalue(row, desc, 5);
}

/*
 * A text argument; NULL for null.
 */
static char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * What the arguments ask for, as an item like those that the worker decides.
 */
static void
read_arguments(FunctionCallInfo fcinfo, TeItem *item, TeStoredChoice *choice, TimestampTz *now)
{
	*now = PG_ARGISNULL(6) ? te_clock_now() : PG_GETARG_TIMESTAMPTZ(6);
	item->user_id = text_argument(fcinfo, 1);
	if (item->user_id)
		load_user(item, item->user_id);
	if (!PG_ARGISNULL(2))
		item->locale = text_argument(fcinfo, 2);
	item->properties = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	if (item->properties && !JB_ROOT_IS_OBJECT(item->properties))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event must be a JSON object of properties")));
	choice->version = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);
	choice->draft = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	if (choice->version < 0 || (choice->version > 0 && choice->draft))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version must be positive, and goes without draft")));
	item->event_at = *now;
	item->event_name = "preview";
	item->journey_name = "preview";
	item->step_id = "preview";
	item->entry_key = "preview";
	if (item->user_id == NULL)
		item->user_id = "preview";
}

/*
 * Makes the tuplestore that the rows go into.
 */
static void
begin_rows(FunctionCallInfo fcinfo, Preview *preview)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (get_call_result_type(fcinfo, NULL, &preview->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	preview->desc = CreateTupleDescCopy(preview->desc);
	preview->store = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);
	info->returnMode = SFRM_Materialize;
	info->setResult = preview->store;
	info->setDesc = preview->desc;
}

/*
 * _preview_template(name, user_id, locale, event, version, draft, at)
 */
Datum
te_preview_template(PG_FUNCTION_ARGS)
{
	Preview		preview = {0};
	TeItem		item = {0};
	TeStoredChoice choice = {0};
	TimestampTz now;
	char	   *reason = NULL;
	char	   *name;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a template is required")));
	begin_rows(fcinfo, &preview);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	name = text_argument(fcinfo, 0);
	read_arguments(fcinfo, &item, &choice, &now);
	preview.stored = te_stored_load(name, item.locale, item.tenant, &choice, &reason);
	if (preview.stored == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s", reason),
				 errhint("See the views trigger_engine.templates and trigger_engine.template_versions.")));
	item.channel = unconstify(char *, preview.stored->channel->name);
	item.offers = te_offers_sample(&item, preview.stored->offers);
	te_context_build(&item, preview.stored, now, &preview.input);
	preview.input.render.notice = take_notice;
	preview.input.render.notice_arg = &preview;
	preview_fields(&preview);
	SPI_finish();
	return (Datum) 0;
}
