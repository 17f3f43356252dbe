/*
 * payload.c
 *		A push message as each push service takes it: compact JSON.
 *
 * The content is rendered already. Results are appended in the current memory context.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "common/common.h"
#include "message/message.h"

/*
 * Appends a scalar as JSON.
 */
static void
write_scalar(StringInfo out, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			escape_json(out, pnstrdup(value->val.string.val, value->val.string.len));
			break;
		case jbvNumeric:
			appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out,
																			NumericGetDatum(value->val.numeric))));
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		default:
			appendStringInfoString(out, "null");
			break;
	}
}

/*
 * Appends a document as JSON without white space.
 */
void
te_payload_write_json(StringInfo out, Jsonb *document)
{
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	bool		scalar = JB_ROOT_IS_SCALAR(document);
	bool		first = true;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if (scalar && (token == WJB_BEGIN_ARRAY || token == WJB_END_ARRAY))
			continue;
		if (!first && (token == WJB_KEY || token == WJB_ELEM ||
					   ((token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT) && out->data[out->len - 1] != ':')))
			appendStringInfoChar(out, ',');
		switch (token)
		{
			case WJB_BEGIN_OBJECT:
				appendStringInfoChar(out, '{');
				break;
			case WJB_BEGIN_ARRAY:
				appendStringInfoChar(out, '[');
				break;
			case WJB_END_OBJECT:
				appendStringInfoChar(out, '}');
				break;
			case WJB_END_ARRAY:
				appendStringInfoChar(out, ']');
				break;
			case WJB_KEY:
				write_scalar(out, &value);
				appendStringInfoChar(out, ':');
				break;
			default:
				write_scalar(out, &value);
				break;
		}
		first = token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY;
	}
}

/*
 * Appends a member to an object, which it opens or continues: what the content has
 * under a key. As text when asked for. Nothing when it has nothing.
 */
static void
write_member(StringInfo out, Jsonb *content, const char *key, const char *as, bool text)
{
	JsonbValue *value = te_json_find(content, key);

	if (value == NULL || value->type == jbvNull)
		return;
	if (out->len > 0 && out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	escape_json(out, as);
	appendStringInfoChar(out, ':');
	if (text && value->type != jbvString)
	{
		StringInfoData inner;

		initStringInfo(&inner);
		te_payload_write_json(&inner, JsonbValueToJsonb(value));
		escape_json(out, inner.data);
	}
	else
		te_payload_write_json(out, JsonbValueToJsonb(value));
}

/*
 * Appends members as they are called in the content.
 */
static void
write_members(StringInfo out, Jsonb *content, const char *const *keys, bool text)
{
	for (; *keys; keys++)
		write_member(out, content, *keys, *keys, text);
}

/*
 * Appends the send's identity as the last member of an object.
 */
static void
write_send_id(StringInfo out, int64 send_id)
{
	appendStringInfo(out, "%s\"send_id\":\"" INT64_FORMAT "\"",
					 out->len > 0 && out->data[out->len - 1] != '{' ? "," : "", send_id);
}

/*
 * APNs: the alert in aps; image, url, actions and data beside it, for the app and its
 * extension, which an image needs.
 */
static void
write_apns(StringInfo out, Jsonb *content, int64 send_id)
{
	static const char *const alert[] = {"title", "subtitle", "body", NULL};
	static const char *const aps[] = {"badge", "sound", NULL};
	static const char *const others[] = {"image", "url", "actions", "data", NULL};
	JsonbValue *image = te_json_find(content, "image");

	appendStringInfoString(out, "{\"aps\":{\"alert\":{");
	write_members(out, content, alert, false);
	appendStringInfoChar(out, '}');
	write_members(out, content, aps, false);
	if (image && image->type == jbvString)
		appendStringInfoString(out, ",\"mutable-content\":1");
	appendStringInfoChar(out, '}');
	write_members(out, content, others, false);
	write_send_id(out, send_id);
	appendStringInfoChar(out, '}');
}

/*
 * FCM: the notification, and data, of which every value is a text.
 */
static void
write_fcm(StringInfo out, Jsonb *content, int64 send_id)
{
	static const char *const notification[] = {"title", "body", "image", NULL};
	static const char *const others[] = {"subtitle", "url", "actions", NULL};
	Jsonb	   *data = te_json_object(content, "data", "content");
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	appendStringInfoString(out, "{\"notification\":{");
	write_members(out, content, notification, false);
	appendStringInfoString(out, "},\"data\":{");
	write_members(out, content, others, true);
	it = data ? JsonbIteratorInit(&data->root) : NULL;
	while (it && (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

			write_member(out, data, key, key, true);
		}
	write_send_id(out, send_id);
	appendStringInfoString(out, "},\"android\":{\"notification\":{");
	write_member(out, content, "sound", "sound", false);
	write_member(out, content, "badge", "notification_count", false);
	appendStringInfoString(out, "}}}");
}

/*
 * Web push: what the page's service worker shows.
 */
static void
write_web_push(StringInfo out, Jsonb *content, int64 send_id)
{
	static const char *const all[] = {"title", "body", "icon", "image", "badge", "url", "actions", "tag", "data", NULL};

	appendStringInfoChar(out, '{');
	write_members(out, content, all, false);
	write_send_id(out, send_id);
	appendStringInfoChar(out, '}');
}

/*
 * Appends the payload of a push service.
 */
void
te_payload_write(StringInfo out, TePushService service, Jsonb *content, int64 send_id)
{
	switch (service)
	{
		case TE_PUSH_APNS:
			write_apns(out, content, send_id);
			break;
		case TE_PUSH_FCM:
			write_fcm(out, content, send_id);
			break;
		case TE_PUSH_WEB:
			write_web_push(out, content, send_id);
			break;
	}
}
