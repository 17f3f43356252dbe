/*
 * payload.c
 *		A push message as each push service takes it: compact JSON.
 *
 * The content is rendered already. Results are appended in the current memory context.
 */
#include "postgres.h"

#include <time.h>

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
 * Whether a push message shows nothing: data for the app alone.
 */
bool
te_payload_is_silent(Jsonb *content)
{
	static const char *const shown[] = {"title", "subtitle", "body", "image", "sound", "badge"};

	for (int i = 0; i < lengthof(shown); i++)
	{
		JsonbValue *value = te_json_find(content, shown[i]);

		if (value && value->type != jbvNull)
			return false;
	}
	return true;
}

/*
 * The dictionary aps of Apple's: an alert with sound and badge, or, without any of them,
 * the mark of a message for the app alone.
 */
static void
write_aps(StringInfo out, Jsonb *content)
{
	static const char *const alert[] = {"title", "subtitle", "body", NULL};
	static const char *const aps[] = {"badge", "sound", NULL};
	JsonbValue *image = te_json_find(content, "image");
	int			start;

	appendStringInfoString(out, "\"aps\":{");
	if (te_payload_is_silent(content))
		appendStringInfoString(out, "\"content-available\":1");
	else
	{
		appendStringInfoString(out, "\"alert\":{");
		start = out->len;
		write_members(out, content, alert, false);
		if (out->len > start)
			appendStringInfoChar(out, '}');
		else
			out->data[out->len = start - strlen("\"alert\":{")] = '\0';
		write_members(out, content, aps, false);
		if (image && image->type == jbvString)
			appendStringInfo(out, "%s\"mutable-content\":1", out->data[out->len - 1] == '{' ? "" : ",");
	}
	appendStringInfoChar(out, '}');
}

/*
 * APNs: the alert in aps; image, url, actions and data beside it, for the app and its
 * extension, which an image needs.
 */
static void
write_apns(StringInfo out, Jsonb *content, int64 send_id)
{
	static const char *const others[] = {"image", "url", "actions", "data", NULL};

	appendStringInfoChar(out, '{');
	write_aps(out, content);
	write_members(out, content, others, false);
	write_send_id(out, send_id);
	appendStringInfoChar(out, '}');
}

/*
 * What each platform behind FCM needs: how long, how urgent, and by what a second copy
 * replaces the first.
 */
static void
write_platforms(StringInfo out, Jsonb *content, const TePushEnvelope *envelope)
{
	bool		silent = te_payload_is_silent(content);
	const char *digits = envelope->message_id + 4;

	appendStringInfo(out, ",\"android\":{\"priority\":\"%s\"", silent ? "NORMAL" : "HIGH");
	if (envelope->ttl >= 0)
		appendStringInfo(out, ",\"ttl\":\"" INT64_FORMAT "s\"", envelope->ttl);
	if (!silent)
	{
		appendStringInfoString(out, ",\"notification\":{");
		write_member(out, content, "sound", "sound", false);
		write_member(out, content, "badge", "notification_count", false);
		appendStringInfo(out, "%s\"tag\":\"%s\"}", out->data[out->len - 1] == '{' ? "" : ",", digits);
	}
	appendStringInfo(out, "},\"apns\":{\"headers\":{\"apns-priority\":\"%s\",\"apns-push-type\":\"%s\",\"apns-collapse-id\":\"%s\"",
					 silent ? "5" : "10", silent ? "background" : "alert", digits);
	if (envelope->ttl >= 0)
		appendStringInfo(out, ",\"apns-expiration\":\"%lld\"",
						 envelope->ttl == 0 ? 0LL : (long long) time(NULL) + envelope->ttl);
	appendStringInfoString(out, "},\"payload\":{");
	write_aps(out, content);
	appendStringInfo(out, "}},\"webpush\":{\"headers\":{\"Topic\":\"%s\",\"Urgency\":\"normal\"", digits);
	if (envelope->ttl >= 0)
		appendStringInfo(out, ",\"TTL\":\"" INT64_FORMAT "\"", envelope->ttl);
	appendStringInfoString(out, "}}");
}

/*
 * The members of FCM's message: the notification, data, of which every value is a text,
 * and with an envelope what the platforms need.
 */
void
te_payload_write_fcm(StringInfo out, Jsonb *content, int64 send_id, const TePushEnvelope *envelope)
{
	static const char *const notification[] = {"title", "body", "image", NULL};
	static const char *const others[] = {"subtitle", "url", "actions", NULL};
	Jsonb	   *data = te_json_object(content, "data", "content");
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (!te_payload_is_silent(content))
	{
		appendStringInfoString(out, "\"notification\":{");
		write_members(out, content, notification, false);
		appendStringInfoString(out, "},");
	}
	appendStringInfoString(out, "\"data\":{");
	write_members(out, content, others, true);
	it = data ? JsonbIteratorInit(&data->root) : NULL;
	while (it && (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

			if (strcmp(key, "send_id") != 0)
				write_member(out, data, key, key, true);
		}
	write_send_id(out, send_id);
	appendStringInfoChar(out, '}');
	if (envelope)
		write_platforms(out, content, envelope);
	else
	{
		appendStringInfoString(out, ",\"android\":{\"notification\":{");
		write_member(out, content, "sound", "sound", false);
		write_member(out, content, "badge", "notification_count", false);
		appendStringInfoString(out, "}}");
	}
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
			appendStringInfoChar(out, '{');
			te_payload_write_fcm(out, content, send_id, NULL);
			appendStringInfoChar(out, '}');
			break;
		case TE_PUSH_WEB:
			write_web_push(out, content, send_id);
			break;
	}
}
