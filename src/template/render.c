/*
 * render.c
 *		Texts with {{ path }} and {{ path | default: "x" }}.
 *
 * A path is keys separated by dots, or array positions in brackets. Output is the
 * value as text; nothing for null and for what is not there.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "errors.h"
#include "template/template.h"

PG_FUNCTION_INFO_V1(te_render);
PG_FUNCTION_INFO_V1(te_check_content);

/* Where a parse stands. */
typedef struct Cursor
{
	const char *start;
	const char *at;
	const char *end;
} Cursor;

/*
 * Raises a syntax error at the cursor.
 */
static void
syntax_error(const Cursor *cursor, const char *message)
{
	int			line = 1,
				column = 1;
	const char *c;

	for (c = cursor->start; c < cursor->at; c++)
	{
		if (*c == '\n')
		{
			line++;
			column = 1;
		}
		else if (((unsigned char) *c & 0xC0) != 0x80)
			column++;
	}
	ereport(ERROR,
			(errcode(TE_ERRCODE_TEMPLATE),
			 errmsg("template, line %d, column %d: %s", line, column, message),
			 errhint("Write {{ path }} or {{ path | default: \"text\" }}.")));
}

/*
 * Moves over white space.
 */
static void
skip_space(Cursor *cursor)
{
	while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) != NULL)
		cursor->at++;
}

/*
 * True, moving on, when the text at the cursor is word.
 */
static bool
accept(Cursor *cursor, const char *word)
{
	size_t		len = strlen(word);

	if (cursor->end - cursor->at < len || memcmp(cursor->at, word, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

/*
 * Whether a byte may be part of a name; all of UTF-8 beyond ASCII may.
 */
static bool
is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '-' || ((unsigned char) c & 0x80);
}

/*
 * Parses a path and follows it into the context, which may be NULL when only the
 * syntax is checked. The value, palloc'ed, or NULL when there is none.
 */
static JsonbValue *
parse_path(Cursor *cursor, Jsonb *context)
{
	JsonbValue *value = NULL;
	JsonbContainer *container = context ? &context->root : NULL;
	bool		first = true;

	for (;;)
	{
		const char *name;

		if (!first && accept(cursor, "["))
		{
			long		index = 0;

			name = cursor->at;
			while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9' && index < 1000000)
				index = index * 10 + (*cursor->at++ - '0');
			if (cursor->at == name || !accept(cursor, "]"))
				syntax_error(cursor, "expected a position and \"]\"");
			value = container && JsonContainerIsArray(container)
				? getIthJsonbValueFromContainer(container, index) : NULL;
		}
		else
		{
			if (!first && !accept(cursor, "."))
				return value;
			name = cursor->at;
			while (cursor->at < cursor->end && is_name_byte(*cursor->at))
				cursor->at++;
			if (cursor->at == name)
				syntax_error(cursor, "expected a name");
			value = container && JsonContainerIsObject(container)
				? getKeyJsonValueFromContainer(container, name, cursor->at - name, NULL) : NULL;
		}
		container = value && value->type == jbvBinary ? value->val.binary.data : NULL;
		first = false;
	}
}

/*
 * Parses a quoted text and returns where it lies.
 */
static void
parse_text(Cursor *cursor, const char **text, int *len)
{
	char		quote = cursor->at < cursor->end ? *cursor->at : '\0';

	if (quote != '"' && quote != '\'')
		syntax_error(cursor, "expected a text in quotes");
	*text = ++cursor->at;
	while (cursor->at < cursor->end && *cursor->at != quote)
		cursor->at++;
	if (cursor->at == cursor->end)
		syntax_error(cursor, "text is not closed");
	*len = cursor->at - *text;
	cursor->at++;
}

/*
 * Appends a value as text.
 */
static void
append_value(StringInfo out, JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			appendBinaryStringInfo(out, value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			appendStringInfoString(out, numeric_normalize(value->val.numeric));
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		case jbvBinary:
			(void) JsonbToCString(out, value->val.binary.data, value->val.binary.len);
			break;
		default:
			break;
	}
}

/*
 * True when Liquid's default filter takes its argument: nothing, false, empty.
 */
static bool
is_blank(const JsonbValue *value)
{
	if (value == NULL || value->type == jbvNull)
		return true;
	if (value->type == jbvBool)
		return !value->val.boolean;
	if (value->type == jbvString)
		return value->val.string.len == 0;
	return value->type == jbvBinary && JsonContainerSize(value->val.binary.data) == 0;
}

/*
 * Parses one output after its "{{" and appends what it yields.
 */
static void
parse_output(StringInfo out, Cursor *cursor, Jsonb *context)
{
	JsonbValue *value;
	const char *fallback = NULL;
	int			fallback_len = 0;

	skip_space(cursor);
	value = parse_path(cursor, context);
	skip_space(cursor);
	while (accept(cursor, "|"))
	{
		skip_space(cursor);
		if (!accept(cursor, "default"))
			syntax_error(cursor, "unknown filter");
		skip_space(cursor);
		if (!accept(cursor, ":"))
			syntax_error(cursor, "expected \":\" after default");
		skip_space(cursor);
		parse_text(cursor, &fallback, &fallback_len);
		skip_space(cursor);
	}
	if (!accept(cursor, "}}"))
		syntax_error(cursor, cursor->at == cursor->end ? "output is not closed" : "expected \"}}\"");
	if (fallback && is_blank(value))
		appendBinaryStringInfo(out, fallback, fallback_len);
	else if (value)
		append_value(out, value);
}

/*
 * Appends a text to out with its outputs filled in. Throws at what does not parse.
 */
void
te_template_render(StringInfo out, const char *text, int len, Jsonb *context)
{
	Cursor		cursor = {text, text, text + len};

	while (cursor.at < cursor.end)
	{
		const char *open = memchr(cursor.at, '{', cursor.end - cursor.at);

		CHECK_FOR_INTERRUPTS();
		if (open == NULL || open + 1 >= cursor.end)
		{
			appendBinaryStringInfo(out, cursor.at, cursor.end - cursor.at);
			return;
		}
		appendBinaryStringInfo(out, cursor.at, open - cursor.at);
		cursor.at = open;
		if (accept(&cursor, "{{"))
			parse_output(out, &cursor, context);
		else
		{
			appendStringInfoChar(out, '{');
			cursor.at++;
		}
	}
}

/*
 * Walks a document and renders its texts into a new one.
 */
Jsonb *
te_template_render_document(Jsonb *document, Jsonb *context)
{
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbParseState *state = NULL;
	JsonbValue	value;
	JsonbValue *result = NULL;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString)
		{
			StringInfoData text;

			initStringInfo(&text);
			te_template_render(&text, value.val.string.val, value.val.string.len, context);
			value.val.string.val = text.data;
			value.val.string.len = text.len;
		}
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &value : NULL);
	}
	return JsonbValueToJsonb(result);
}

/*
 * Throws unless every text of the document parses.
 */
void
te_template_check_document(Jsonb *document)
{
	(void) te_template_render_document(document, NULL);
}

/*
 * render(template, context, locale, partials, options)
 */
Datum
te_render(PG_FUNCTION_ARGS)
{
	static const char *const no_options[] = {NULL};
	text	   *template;
	Jsonb	   *context;
	StringInfoData out;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	template = PG_GETARG_TEXT_PP(0);
	context = PG_ARGISNULL(1) ? te_json_parse("{}") : PG_GETARG_JSONB_P(1);
	if (!JB_ROOT_IS_OBJECT(context))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("context must be a JSON object")));
	if (!PG_ARGISNULL(4))
		te_json_check_keys(PG_GETARG_JSONB_P(4), "options", no_options);
	initStringInfo(&out);
	te_template_render(&out, VARDATA_ANY(template), VARSIZE_ANY_EXHDR(template), context);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/*
 * _check_content(channel, content): whether the fields fit the channel and every
 * text parses.
 */
Datum
te_check_content(PG_FUNCTION_ARGS)
{
	static const char *const in_app_keys[] = {"title", "body", "image", "url", "data", NULL};
	static const char *const channels[] = {"in_app", "webhook", NULL};
	char	   *channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *content = PG_GETARG_JSONB_P(1);
	const char *nearest = te_json_nearest(channel, channels);

	if (!JB_ROOT_IS_OBJECT(content) || JB_ROOT_COUNT(content) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("content must be a JSON object with at least one field"),
				 errhint("Write {\"title\": \"...\", \"body\": \"...\"}.")));
	if (strcmp(channel, "in_app") == 0)
	{
		te_json_check_keys(content, "content of an in_app template", in_app_keys);
		(void) te_json_text(content, "title", "content");
		(void) te_json_text(content, "body", "content");
		(void) te_json_text(content, "image", "content");
		(void) te_json_text(content, "url", "content");
	}
	else if (strcmp(channel, "webhook") == 0)
		(void) te_json_text(content, "type", "content");
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no provider kind of this version delivers channel \"%s\"", channel),
				 nearest ? errhint("Perhaps you meant \"%s\".", nearest)
				 : errhint("The channels are in_app and webhook.")));
	te_template_check_document(content);
	PG_RETURN_VOID();
}
