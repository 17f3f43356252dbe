/*
 * content.c
 *		Rendering of a template's content, field by field.
 *
 * Content is a document of JSON. It is looked through once; afterwards only the texts
 * with something to render are rendered, each escaped as its field needs it, and the
 * document is built anew, so that no value can break its structure.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "common/common.h"
#include "errors.h"
#include "guc.h"
#include "message/message.h"
#include "template/escape.h"
#include "template/template.h"

/*
 * Whether a text has anything to render.
 */
static bool
is_dynamic(const char *text, int len)
{
	const char *end = text + len;

	while (text < end && (text = memchr(text, '{', end - text)) != NULL)
	{
		text++;
		if (text < end && (*text == '{' || *text == '%'))
			return true;
	}
	return false;
}

/*
 * Whether a text of that kind is looked at before it is sent.
 */
static bool
is_checked(TeFieldKind kind)
{
	return kind == TE_FIELD_LINE || kind == TE_FIELD_URL || kind == TE_FIELD_IMAGE ||
		kind == TE_FIELD_ADDRESS || kind == TE_FIELD_NUMBER;
}

/* Where a walk through a content stands. */
typedef struct Walk
{
	const TeChannel *channel;
	int			depth;			/* of objects and arrays inside the content */
	const TeField *field;		/* the field at depth 1 */
	char	   *name;			/* its name */
	TeFieldKind inner;			/* kind of the text at work, inside actions */
} Walk;

/*
 * Notes a token of the walk. Returns true when it is a text to render.
 */
static bool
step(Walk *walk, JsonbIteratorToken token, const JsonbValue *value)
{
	switch (token)
	{
		case WJB_BEGIN_OBJECT:
		case WJB_BEGIN_ARRAY:
			walk->depth++;
			break;
		case WJB_END_OBJECT:
		case WJB_END_ARRAY:
			walk->depth--;
			break;
		case WJB_KEY:
			if (walk->depth == 1)
			{
				walk->field = te_channel_field(walk->channel, value->val.string.val, value->val.string.len);
				walk->name = pnstrdup(value->val.string.val, value->val.string.len);
				walk->inner = walk->field ? walk->field->kind : TE_FIELD_TEXT;
			}
			else if (walk->field && walk->field->kind == TE_FIELD_ACTIONS)
			{
				const TeField *inner = te_channel_action_field(value->val.string.val, value->val.string.len);

				walk->inner = inner ? inner->kind : TE_FIELD_TEXT;
			}
			break;
		default:
			return value->type == jbvString;
	}
	return false;
}

/*
 * Looks a content through. The result is in the current memory context and refers to
 * the document.
 */
TeContent *
te_content_compile(const TeChannel *channel, Jsonb *document)
{
	TeContent  *content = palloc0(sizeof(TeContent));
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	Walk		walk = {channel};
	JsonbValue	value;
	JsonbIteratorToken token;
	int			size = 16;

	content->channel = channel;
	content->document = document;
	content->texts = palloc(sizeof(TeContentText) * size);
	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		TeContentText *text;

		if (!step(&walk, token, &value))
			continue;
		if (content->ntexts == size)
		{
			size *= 2;
			content->texts = repalloc(content->texts, sizeof(TeContentText) * size);
		}
		text = &content->texts[content->ntexts++];
		text->kind = walk.inner;
		text->dynamic = is_dynamic(value.val.string.val, value.val.string.len);
		text->place = psprintf("field \"%s\"", walk.name);
		content->dynamic |= text->dynamic;
	}
	return content;
}

/*
 * How a field of that kind escapes what is put into it.
 */
static TeEscape
escape_of(TeFieldKind kind)
{
	switch (kind)
	{
		case TE_FIELD_HTML:
			return TE_ESCAPE_HTML;
		case TE_FIELD_LINE:
		case TE_FIELD_ADDRESS:
			return TE_ESCAPE_HEADER;
		case TE_FIELD_URL:
		case TE_FIELD_IMAGE:
			return TE_ESCAPE_URL;
		default:
			return TE_ESCAPE_NONE;
	}
}

/*
 * Makes a text one line: controls become spaces, those at its ends go. In place.
 */
static void
clean_line(char *text, int *len)
{
	int			from = 0;
	int			i;

	for (i = 0; i < *len; i++)
		if ((unsigned char) text[i] < ' ' || text[i] == 0x7F)
			text[i] = ' ';
	while (*len > 0 && text[*len - 1] == ' ')
		(*len)--;
	while (from < *len && text[from] == ' ')
		from++;
	*len -= from;
	memmove(text, text + from, *len);
}

/*
 * Whether a text can be the address of a mailbox: one @ between two parts, and nothing
 * that would end it or begin another.
 */
static bool
is_address(const char *text, int len)
{
	const char *at = memchr(text, '@', len);
	int			i;

	if (at == NULL || at == text || at == text + len - 1)
		return false;
	for (i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] <= ' ' || text[i] == 0x7F || strchr("<>,;:\"()[]\\", text[i]) != NULL)
			return false;
		if (text[i] == '@' && text + i != at)
			return false;
	}
	return true;
}

/*
 * Finishes a text of the given kind in place; a number replaces the value. False, with
 * the reason, when the message must not be sent with it.
 */
static bool
finish_text(const TeContentText *text, JsonbValue *value, char **reason)
{
	char	   *string = value->val.string.val;

	if (!is_checked(text->kind))
		return true;
	clean_line(string, &value->val.string.len);
	if (value->val.string.len == 0 && text->kind != TE_FIELD_NUMBER)
		return true;
	switch (text->kind)
	{
		case TE_FIELD_URL:
		case TE_FIELD_IMAGE:
			if (te_url_is_safe(string, value->val.string.len))
				return true;
			{
				char		scheme[TE_SCHEME_SIZE];

				te_url_scheme(string, value->val.string.len, scheme);
				*reason = psprintf("%s must not be a \"%s:\" address", text->place, scheme);
			}
			return false;
		case TE_FIELD_ADDRESS:
			if (is_address(string, value->val.string.len))
				return true;
			*reason = psprintf("%s is no mail address", text->place);
			return false;
		case TE_FIELD_NUMBER:
			{
				char	   *digits = pnstrdup(string, value->val.string.len);

				if (digits[0] == '\0')
				{
					value->type = jbvNull;
					return true;
				}
				if (strlen(digits) > 9 || strspn(digits, "0123456789") != strlen(digits))
				{
					*reason = psprintf("%s must be a whole number that is not negative", text->place);
					return false;
				}
				value->type = jbvNumeric;
				value->val.numeric = int64_to_numeric(atoi(digits));
				return true;
			}
		default:
			return true;
	}
}

/*
 * Throws unless a text without anything to render may be sent as it is.
 */
static void
check_static(const TeContentText *text, JsonbValue value)
{
	char	   *reason = NULL;
	int			i;

	if (text->kind == TE_FIELD_NUMBER)
		reason = psprintf("%s must be a number, or a text that renders to one", text->place);
	for (i = 0; is_checked(text->kind) && reason == NULL && i < value.val.string.len; i++)
		if ((unsigned char) value.val.string.val[i] < ' ' || value.val.string.val[i] == 0x7F)
			reason = psprintf("%s must be one line without control characters", text->place);
	value.val.string.val = pnstrdup(value.val.string.val, value.val.string.len);
	if (reason != NULL || !finish_text(text, &value, &reason))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s", reason)));
}

/*
 * Throws, naming the field, unless every text of the content parses, and those that
 * have nothing to render may be sent.
 */
void
te_content_check(const TeContent *content)
{
	JsonbIterator *it = JsonbIteratorInit(&content->document->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			n = 0;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		const TeContentText *text;

		if ((token != WJB_VALUE && token != WJB_ELEM) || value.type != jbvString)
			continue;
		text = &content->texts[n++];
		if (content->channel->is_block && value.val.string.len > te_guc_template_partial_size * 1024)
			ereport(ERROR,
					(errcode(TE_ERRCODE_TEMPLATE_LIMIT),
					 errmsg("%s exceeds trigger_engine.template_partial_size of %d kB", text->place,
							te_guc_template_partial_size),
					 errhint("Divide the block, or raise the setting.")));
		if (text->dynamic)
			te_template_check_text(value.val.string.val, value.val.string.len, text->place);
		else
			check_static(text, value);
	}
}

/*
 * Renders one text into the current memory context. False, with the reason, when the
 * message must not be sent.
 */
static bool
render_text(const TeContentText *text, JsonbValue *value, TeContentInput *input, char **reason)
{
	TeRenderInput render;
	int			len;
	char	   *rendered;
	char	   *aborted = NULL;

	input->place = text->place;
	if (!text->dynamic)
		return true;
	render = input->render;
	render.escape = escape_of(text->kind);
	if (text->kind == TE_FIELD_HTML && input->html_partials)
		render.partials = input->html_partials;
	rendered = te_template_render_text(&render, value->val.string.val, value->val.string.len, &len, &aborted);
	if (rendered == NULL)
	{
		*reason = aborted && aborted[0] != '\0' ? aborted : pstrdup("stopped by the template");
		return false;
	}
	value->val.string.val = rendered;
	value->val.string.len = len;
	return finish_text(text, value, reason);
}

/*
 * Renders a content into the current memory context; what has nothing to render is
 * returned as it is. NULL, with the reason, when the message must not be sent.
 */
Jsonb *
te_content_render(const TeContent *content, TeContentInput *input, char **reason)
{
	JsonbIterator *it;
	JsonbParseState *state = NULL;
	JsonbValue	value;
	JsonbValue *result = NULL;
	JsonbIteratorToken token;
	int			n = 0;

	if (!content->dynamic)
		return content->document;
	it = JsonbIteratorInit(&content->document->root);
	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString &&
			!render_text(&content->texts[n++], &value, input, reason))
			return NULL;
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &value : NULL);
	}
	input->place = NULL;
	return JsonbValueToJsonb(result);
}
