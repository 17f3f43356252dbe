/*
 * render_sql.c
 *		render(), render_json() and what other folders call to render texts.
 *
 * A call keeps the program and the options of the one before it, so that many rows
 * with one template cost a comparison of texts each.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "common/common.h"
#include "errors.h"
#include "template/arena.h"
#include "template/eval.h"
#include "template/template.h"

PG_FUNCTION_INFO_V1(te_render);
PG_FUNCTION_INFO_V1(te_render_json);
PG_FUNCTION_INFO_V1(te_template_cache);

/* What the options of a call say. */
typedef struct Options
{
	bool		inline_errors;
	bool		strict_variables;
	bool		strict_filters;
	bool		lax;
	TeEscape	escape;
	TimestampTz now;			/* 0: the clock's */
	pg_tz	   *zone;			/* NULL: the session's */
	char	   *seed;
	Jsonb	   *translations;
} Options;

/* What a call leaves for the next one. */
typedef struct Kept
{
	const TeProgram *program;
	int64		evictions;		/* program holds while there were no more */
	MemoryContext context;		/* of what follows */
	char	   *raw;			/* the bytes of the options' jsonb */
	int			raw_len;
	Options		options;
} Kept;

/*
 * Reads a time zone's name. Throws when there is none of it.
 */
static pg_tz *
read_zone(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Give the name of a time zone, such as \"Europe/Berlin\".")));
	return zone;
}

/*
 * One of a list of words for an option, by its position. Throws at another one.
 */
static int
read_word(Jsonb *object, const char *key, const char *const *words)
{
	char	   *word = te_json_text(object, key, "options");
	const char *nearest;
	int			i;

	if (word == NULL)
		return 0;
	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	nearest = te_json_nearest(word, words);
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("unknown value \"%s\" of key \"%s\" of options", word, key),
			 nearest ? errhint("Perhaps you meant \"%s\".", nearest) : errhint("The first of its values is \"%s\".", words[0])));
	return 0;
}

/*
 * Reads the options of a call. Texts are in the current context. Throws at unknown
 * keys and wrong values.
 */
static void
read_options(Jsonb *object, Options *options)
{
	static const char *const keys[] = {"errors", "escape", "now", "seed", "strict_filters", "strict_variables", "syntax", "timezone",
		"translations", NULL};
	static const char *const errors[] = {"raise", "inline", NULL};
	static const char *const syntaxes[] = {"strict", "lax", NULL};
	static const char *const escapes[] = {"none", "html", "json", "header", "url", NULL};
	JsonbValue *seed;
	char	   *text;

	memset(options, 0, sizeof(Options));
	te_json_check_keys(object, "options", keys);
	options->inline_errors = read_word(object, "errors", errors) == 1;
	options->lax = read_word(object, "syntax", syntaxes) == 1;
	options->escape = (TeEscape) read_word(object, "escape", escapes);
	options->strict_filters = te_json_bool(object, "strict_filters", false, "options");
	options->strict_variables = te_json_bool(object, "strict_variables", false, "options");
	options->translations = te_json_object(object, "translations", "options");
	if ((text = te_json_text(object, "timezone", "options")) != NULL)
		options->zone = read_zone(text);
	if ((text = te_json_text(object, "now", "options")) != NULL)
		options->now = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (text != NULL && TIMESTAMP_NOT_FINITE(options->now))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"now\" of options must be an instant"),
				 errhint("Write it as \"2030-01-15 12:00+00\".")));
	seed = te_json_find(object, "seed");
	if (seed != NULL && seed->type == jbvNumeric)
		options->seed = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(seed->val.numeric)));
	else
		options->seed = te_json_text(object, "seed", "options");
}

/*
 * What the call before left; made at the first one.
 */
static Kept *
kept_of(FunctionCallInfo fcinfo)
{
	if (unlikely(fcinfo->flinfo->fn_extra == NULL))
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Kept));
	return fcinfo->flinfo->fn_extra;
}

/*
 * Options of a call, read again only when they differ from the ones before.
 */
static const Options *
options_of(FunctionCallInfo fcinfo, Kept *kept, int argument)
{
	Jsonb	   *object;
	MemoryContext old;

	if (PG_ARGISNULL(argument))
	{
		static const Options none = {0};

		return &none;
	}
	object = PG_GETARG_JSONB_P(argument);
	if (kept->raw != NULL && kept->raw_len == VARSIZE(object) && memcmp(kept->raw, object, kept->raw_len) == 0)
		return &kept->options;
	if (kept->raw != NULL)
		pfree(kept->raw);
	if (kept->options.translations != NULL)
		pfree(kept->options.translations);
	kept->options.translations = NULL;
	kept->raw = NULL;
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	read_options(object, &kept->options);
	kept->raw = palloc(VARSIZE(object));
	MemoryContextSwitchTo(old);
	kept->raw_len = VARSIZE(object);
	memcpy(kept->raw, object, kept->raw_len);
	return &kept->options;
}

/*
 * The program of a call's template. Throws when it does not parse.
 */
static const TeProgram *
program_of(Kept *kept, const char *text, int len, bool lax)
{
	const TeProgram *program = kept->program;
	TeProblems	problems;

	if (program != NULL && kept->evictions == te_cache_statistics.evictions && te_cache_holds(program, text, len, lax))
	{
		te_cache_statistics.hits++;
		return program;
	}
	te_cache_trim();
	kept->program = NULL;
	program = te_cache_get(text, len, false, lax, &problems);
	if (program == NULL)
		te_problems_throw(&problems, text, "template");
	kept->program = program;
	kept->evictions = te_cache_statistics.evictions;
	return program;
}

/*
 * Sets a render up with an empty arena.
 */
static void
begin_render(TeRender *r, const TeRenderInput *input)
{
	memset(r, 0, sizeof(TeRender));
	r->input = input;
	r->check_at = 256;
	te_arena_begin(r);
}

/*
 * Throws the error of a template that stopped itself.
 */
static void
throw_aborted(const char *reason)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_TEMPLATE_ABORTED),
			 errmsg("template stopped itself: %s", reason[0] ? reason : "no reason given")));
}

/*
 * The rest of both SQL functions: everything but the context is read, the template
 * rendered and copied into a text.
 */
static Datum
render_call(FunctionCallInfo fcinfo, TeRender *r, TeRenderInput *input, const Options *options,
			const TeProgram *program)
{
	TeBuffer	out;
	text	   *result;

	if (!PG_ARGISNULL(2))
		input->locale = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
	{
		input->partials = PG_GETARG_JSONB_P(3);
		if (!JB_ROOT_IS_OBJECT(input->partials))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("partials must be a JSON object of texts by name")));
	}
	input->inline_errors = options->inline_errors;
	input->strict_variables = options->strict_variables;
	input->strict_filters = options->strict_filters;
	input->lax = options->lax;
	input->escape = options->escape;
	input->translations = options->translations;
	input->now = options->now != 0 ? options->now : te_clock_transaction();
	input->zone = options->zone ? options->zone : session_timezone;
	input->seed = options->seed;
	te_buffer_init(r, &out, program->len + 256);
	te_eval_program(r, program, &out);
	if (unlikely(r->abort_reason != NULL))
		throw_aborted(r->abort_reason);
	result = cstring_to_text_with_len(out.data, out.len);
	te_arena_end();
	PG_RETURN_TEXT_P(result);
}

/*
 * render(template, context jsonb, locale, partials, options)
 */
Datum
te_render(PG_FUNCTION_ARGS)
{
	Kept	   *kept = kept_of(fcinfo);
	TeRenderInput input = {0};
	TeRender	r;
	const Options *options;
	const TeProgram *program;
	text	   *template;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	template = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(1))
	{
		input.context = PG_GETARG_JSONB_P(1);
		if (!JB_ROOT_IS_OBJECT(input.context))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("context must be a JSON object")));
	}
	options = options_of(fcinfo, kept, 4);
	program = program_of(kept, VARDATA_ANY(template), VARSIZE_ANY_EXHDR(template), options->lax);
	begin_render(&r, &input);
	return render_call(fcinfo, &r, &input, options, program);
}

/*
 * render_json(template, context json, locale, partials, options)
 */
Datum
te_render_json(PG_FUNCTION_ARGS)
{
	Kept	   *kept = kept_of(fcinfo);
	TeRenderInput input = {0};
	TeRender	r;
	TeValue		root;
	const Options *options;
	const TeProgram *program;
	text	   *template;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	template = PG_GETARG_TEXT_PP(0);
	options = options_of(fcinfo, kept, 4);
	program = program_of(kept, VARDATA_ANY(template), VARSIZE_ANY_EXHDR(template), options->lax);
	begin_render(&r, &input);
	if (!PG_ARGISNULL(1))
	{
		text	   *context = PG_GETARG_TEXT_PP(1);

		root = te_value_parse_json(&r, VARDATA_ANY(context), VARSIZE_ANY_EXHDR(context));
		if (root.kind == TE_ERROR)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("context does not parse: %.*s", root.len, root.u.str)));
		if (root.kind != TE_HASH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("context must be a JSON object")));
		input.root = &root;
	}
	return render_call(fcinfo, &r, &input, options, program);
}

/*
 * _template_cache(): one row of this session's cache.
 */
Datum
te_template_cache(PG_FUNCTION_ARGS)
{
	Datum		values[5];
	bool		nulls[5] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(te_cache_statistics.entries);
	values[1] = Int64GetDatum(te_cache_statistics.bytes);
	values[2] = Int64GetDatum(te_cache_statistics.hits);
	values[3] = Int64GetDatum(te_cache_statistics.misses);
	values[4] = Int64GetDatum(te_cache_statistics.evictions);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- for other folders ---- */

/*
 * See template.h.
 */
char *
te_template_render_text(const TeRenderInput *input, const char *text, int len, int *result_len, char **aborted)
{
	TeProblems	problems;
	TeProgram  *program;
	TeRender	r;
	TeBuffer	out;
	char	   *result;

	te_cache_trim();
	program = te_cache_get(text, len, false, input->lax, &problems);
	if (program == NULL)
		te_problems_throw(&problems, text, "template");
	begin_render(&r, input);
	te_buffer_init(&r, &out, len + 256);
	te_eval_program(&r, program, &out);
	*aborted = r.abort_reason ? pstrdup(r.abort_reason) : NULL;
	*result_len = out.len;
	result = r.abort_reason ? NULL : pnstrdup(out.data, out.len);
	te_arena_end();
	return result;
}
