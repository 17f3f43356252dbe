/*
 * http_kind.c
 *		Kinds of providers that are rows of data: a request made of templates, one
 *		of several ways to authenticate (http_auth.c), and rules for the answers
 *		(http_rules.c).
 *
 * What a definition says is described at create_provider_kind().
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "common/common.h"
#include "delivery/http_kind.h"
#include "errors.h"
#include "message/mail.h"
#include "message/message.h"
#include "template/template.h"

#define MAX_NAMES 32
#define JSON_TYPE "application/json"
#define FORM_TYPE "application/x-www-form-urlencoded"

/* What is read once a provider. */
typedef struct HttpKind
{
	Jsonb	   *options;
	Jsonb	   *secret;			/* its references resolved; wiped with the context */
} HttpKind;

/* ---- rendering ---- */

/*
 * Renders a text of an object of the definition; empty when it has none. Throws
 * as render() does.
 */
char *
te_http_render_member(TeHttpRendering *rendering, Jsonb *object, const char *key, TeEscape escape)
{
	char	   *text = te_json_text(object, key, TE_HTTP_WHAT);
	char	   *aborted = NULL;
	char	   *result;
	int			len;

	if (text == NULL)
		return pstrdup("");
	rendering->input.escape = escape;
	result = te_template_render_text(&rendering->input, text, strlen(text), &len, &aborted);
	if (result == NULL)
	{
		rendering->failed = aborted && aborted[0] ? aborted : pstrdup("stopped by the template");
		return pstrdup("");
	}
	return pnstrdup(result, len);
}

/*
 * Appends a member to the context, which is JSON.
 */
static void
add_text(StringInfo out, const char *key, const char *value)
{
	appendStringInfo(out, ",\"%s\":", key);
	if (value)
		escape_json(out, value);
	else
		appendStringInfoString(out, "null");
}

/*
 * Appends a document.
 */
static void
add_document(StringInfo out, const char *key, Jsonb *value)
{
	appendStringInfo(out, "%s\"%s\":", out->len > 1 ? "," : "", key);
	if (value)
		te_payload_write_json(out, value);
	else
		appendStringInfoString(out, "{}");
}

/*
 * What templates of a definition may refer to.
 */
static Jsonb *
make_context(const TeProvider *provider, const TeOutgoing *outgoing)
{
	HttpKind   *kind = provider->data;
	const char *id = strlen(outgoing->message_id) == 36 ? outgoing->message_id + 4 : NULL;
	StringInfoData text;
	Jsonb	   *context;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	add_document(&text, "options", kind->options);
	add_document(&text, "secret", kind->secret);
	add_document(&text, "message", outgoing->content);
	add_document(&text, "endpoint", outgoing->endpoint);
	add_text(&text, "html", te_mail_html(outgoing->content));
	add_text(&text, "address", outgoing->address);
	add_text(&text, "send_id", psprintf(INT64_FORMAT, outgoing->send_id));
	add_text(&text, "message_id", outgoing->message_id);
	if (id)
		add_text(&text, "uuid", psprintf("%.8s-%.4s-4%.3s-8%.3s-%.12s", id, id + 8, id + 13, id + 17, id + 20));
	add_text(&text, "user_id", outgoing->user_id);
	add_text(&text, "journey", outgoing->journey);
	add_text(&text, "step", outgoing->step);
	add_text(&text, "now", outgoing->now_text);
	if (outgoing->ttl >= 0)
		appendStringInfo(&text, ",\"ttl\":" INT64_FORMAT, outgoing->ttl);
	appendStringInfo(&text, ",\"transactional\":%s}", outgoing->transactional ? "true" : "false");
	context = te_json_parse(text.data);
	te_crypto_wipe(text.data, text.len);
	return context;
}

/* ---- the request ---- */

/*
 * Appends a text as it stands in a form.
 */
static void
add_encoded(StringInfo out, const char *text)
{
	char	   *encoded = curl_easy_escape(NULL, text, (int) strlen(text));

	if (encoded == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	appendStringInfoString(out, encoded);
	curl_free(encoded);
}

/*
 * The body of a form; fields that come out empty are left out.
 */
static char *
form_body(TeHttpRendering *rendering, Jsonb *form)
{
	JsonbIterator *it = JsonbIteratorInit(&form->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	StringInfoData out;

	initStringInfo(&out);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;
		char	   *text;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		text = te_http_render_member(rendering, form, name, TE_ESCAPE_NONE);
		if (text[0] == '\0')
			continue;
		if (out.len > 0)
			appendStringInfoChar(&out, '&');
		add_encoded(&out, name);
		appendStringInfoChar(&out, '=');
		add_encoded(&out, text);
	}
	return out.data;
}

/*
 * The body of JSON; members that come out null are left out.
 */
static char *
json_body(TeHttpRendering *rendering, Jsonb *definition)
{
	char	   *text = te_http_render_member(rendering, definition, "body", TE_ESCAPE_JSON);
	StringInfoData out;
	Datum		document;

	if (rendering->failed)
		return text;
	document = DirectFunctionCall1(jsonb_strip_nulls, JsonbPGetDatum(te_json_parse(text)));
	initStringInfo(&out);
	te_payload_write_json(&out, DatumGetJsonbP(document));
	return out.data;
}

/*
 * Adds the headers of the definition; those that come out empty are left out.
 */
static void
add_headers(TeHttpRendering *rendering, Jsonb *headers, TeOutgoing *outgoing)
{
	JsonbIterator *it = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char	   *name = pnstrdup(value.val.string.val, value.val.string.len);
			char	   *text = te_http_render_member(rendering, headers, name, TE_ESCAPE_HEADER);

			if (text[0])
				outgoing->headers = lappend(outgoing->headers, psprintf("%s: %s", name, text));
		}
}

/*
 * Where a message goes: the provider's own URL or the kind's, then the path.
 */
static char *
request_url(TeHttpRendering *rendering, const TeProvider *provider)
{
	Jsonb	   *definition = provider->definition;
	char	   *base = provider->url ? provider->url : te_http_render_member(rendering, definition, "url", TE_ESCAPE_NONE);
	char	   *path = te_http_render_member(rendering, definition, "path", TE_ESCAPE_NONE);
	int			len = (int) strlen(base);

	if (path[0] == '/' && len > 0 && base[len - 1] == '/')
		len--;
	return psprintf("%.*s%s", len, base, path);
}

/*
 * The request of one message. What it was made of is wiped; the request itself
 * lives as long as the claim, whose memory nobody else sees.
 */
static void
http_compose(const TeProvider *provider, TeOutgoing *outgoing)
{
	Jsonb	   *definition = provider->definition;
	Jsonb	   *form = te_json_object(definition, "form", TE_HTTP_WHAT);
	Jsonb	   *headers = te_json_object(definition, "headers", TE_HTTP_WHAT);
	const char *type = form ? FORM_TYPE : JSON_TYPE;
	TeHttpRendering rendering = {0};
	char		why[160];
	bool		plain_http;

	rendering.input.context = make_context(provider, outgoing);
	rendering.input.now = outgoing->now;
	rendering.input.zone = pg_tzset("UTC");
	rendering.input.seed = outgoing->message_id;
	outgoing->url = request_url(&rendering, provider);
	outgoing->body = form ? form_body(&rendering, form) : json_body(&rendering, definition);
	outgoing->body_len = strlen(outgoing->body);
	outgoing->headers = list_make1(psprintf("content-type: %s", type));
	if (headers)
		add_headers(&rendering, headers, outgoing);
	if (!te_http_check_url(outgoing->url, &plain_http, why, sizeof(why)))
		outgoing->why = pstrdup(why);
	else if (strstr(outgoing->url, "://") == NULL)
		outgoing->why = pstrdup("the URL must begin with https:// or http://");
	else
		te_http_authenticate(&rendering, definition, outgoing, type);
	if (rendering.failed)
		outgoing->why = rendering.failed;
	te_crypto_wipe(rendering.input.context, VARSIZE(rendering.input.context));
}

/* ---- options and secrets ---- */

/*
 * The names in a list of the definition, without the question mark of those that
 * may be missing, after those that every provider has. Ends with NULL.
 */
static const char **
names_of(Jsonb *definition, const char *key, const char *const *common, bool needed_only)
{
	Jsonb	   *list = te_json_array(definition, key, TE_HTTP_WHAT);
	const char **names = palloc(sizeof(char *) * (MAX_NAMES + 16));
	int			n = 0;

	while (common && *common)
		names[n++] = *common++;
	if (list && JB_ROOT_COUNT(list) > MAX_NAMES)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s has more than %d names", key, TE_HTTP_WHAT, MAX_NAMES)));
	for (int i = 0; list && i < (int) JB_ROOT_COUNT(list); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&list->root, i);
		int			len = value->type == jbvString ? value->val.string.len : 0;
		bool		optional = len > 0 && value->val.string.val[len - 1] == '?';

		if (len - optional <= 0)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"%s\" of %s must be a list of names", key, TE_HTTP_WHAT)));
		if (!needed_only || !optional)
			names[n++] = pnstrdup(value->val.string.val, len - optional);
	}
	names[n] = NULL;
	return names;
}

/*
 * The keys that options of a provider may have, common to all first.
 */
const char *const *
te_http_option_keys(Jsonb *definition)
{
	static const char *const common[] = {"url", "timeout", "ca_file", "rate", "max_in_flight", "cost", NULL};

	return names_of(definition, "options", common, false);
}

/*
 * Whether a provider needs a secret.
 */
bool
te_http_needs_secret(Jsonb *definition)
{
	return names_of(definition, "secrets", NULL, true)[0] != NULL;
}

/*
 * Throws unless a secret has what the definition asks for, by reference.
 */
void
te_http_check_secret(Jsonb *definition, Jsonb *secret)
{
	const char **all = names_of(definition, "secrets", NULL, false);

	te_json_check_keys(secret, "the secret", all);
	for (const char **name = names_of(definition, "secrets", NULL, true); *name; name++)
		if (te_json_find(secret, *name) == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("the secret needs a \"%s\"", *name)));
	for (; *all; all++)
		te_secret_check_member(secret, *all, false);
}

/*
 * Keeps the options, which templates refer to; throws when a needed one is
 * missing.
 */
static void
http_read_options(TeProvider *provider, Jsonb *options, const char *what)
{
	HttpKind   *kind = palloc0(sizeof(HttpKind));

	for (const char **name = names_of(provider->definition, "options", NULL, true); *name; name++)
	{
		JsonbValue *value = te_json_find(options, *name);

		if (value == NULL || value->type == jbvNull)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s need a \"%s\"", what, *name)));
	}
	kind->options = palloc(VARSIZE(options));
	memcpy(kind->options, options, VARSIZE(options));
	provider->data = kind;
	provider->needs_endpoint = te_json_bool(provider->definition, "endpoint", true, TE_HTTP_WHAT);
	provider->idempotent = te_json_bool(provider->definition, "idempotent", false, TE_HTTP_WHAT);
}

/*
 * Resolves the references of the secret.
 */
static char *
http_load_secret(TeProvider *provider, Jsonb *secret, MemoryContext context)
{
	HttpKind   *kind = provider->data;
	MemoryContext old;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (const char **name = names_of(provider->definition, "secrets", NULL, false); *name; name++)
	{
		char	   *why = NULL;
		char	   *member;

		if (te_json_find(secret, *name) == NULL)
			continue;
		member = te_secret_member(secret, *name, context, &why);
		if (member == NULL)
		{
			te_crypto_wipe(text.data, text.len);
			return psprintf("\"%s\" of the secret: %s", *name, why ? why : "it is not a string");
		}
		if (text.len > 1)
			appendStringInfoChar(&text, ',');
		escape_json(&text, *name);
		appendStringInfoChar(&text, ':');
		escape_json(&text, member);
	}
	appendStringInfoChar(&text, '}');
	old = MemoryContextSwitchTo(context);
	kind->secret = te_json_parse(text.data);
	te_secret_wipe_later(context, kind->secret, VARSIZE(kind->secret));
	MemoryContextSwitchTo(old);
	te_crypto_wipe(text.data, text.len);
	return NULL;
}

/* ---- the definition ---- */

/*
 * Throws unless every text of an object of the definition is a template that parses.
 */
static void
check_templates(Jsonb *definition, const char *key)
{
	Jsonb	   *object = te_json_object(definition, key, TE_HTTP_WHAT);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (object == NULL)
		return;
	it = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char	   *name = pnstrdup(value.val.string.val, value.val.string.len);
			char	   *text = te_json_text(object, name, psprintf("\"%s\" of %s", key, TE_HTTP_WHAT));

			if (text)
				te_template_check_text(text, strlen(text), psprintf("\"%s\" of \"%s\"", name, key));
		}
}

/*
 * Throws unless the way to authenticate is one of ours.
 */
static void
check_auth(Jsonb *definition)
{
	static const char *const types[] = {"bearer", "basic", "header", "hmac", "sigv4"};
	static const char *const keys[] = {
		"type", "token", "user", "password", "name", "value", "key", "prefix", "service", "region", NULL
	};
	Jsonb	   *auth = te_json_object(definition, "auth", TE_HTTP_WHAT);
	char	   *type;
	bool		known = false;

	if (auth == NULL)
		return;
	te_json_check_keys(auth, "key \"auth\" of " TE_HTTP_WHAT, keys);
	type = te_json_text(auth, "type", TE_HTTP_WHAT);
	for (int i = 0; i < lengthof(types); i++)
		known |= type && strcmp(type, types[i]) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"type\" of \"auth\" must be bearer, basic, header, hmac or sigv4")));
	if ((strcmp(type, "header") == 0 || strcmp(type, "hmac") == 0) && te_json_text(auth, "name", TE_HTTP_WHAT) == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"auth\" of type %s needs the \"name\" of a header", type)));
}

/*
 * Throws unless a definition is valid.
 */
void
te_http_check_definition(Jsonb *definition)
{
	static const char *const keys[] = {
		"url", "path", "headers", "body", "form", "auth", "options", "secrets", "endpoint", "idempotent",
		"accept", "id", "reason", "retry_after", "errors", NULL
	};
	static const char *const texts[] = {"url", "path", "body"};

	te_json_check_keys(definition, TE_HTTP_WHAT, keys);
	for (int i = 0; i < lengthof(texts); i++)
	{
		char	   *text = te_json_text(definition, texts[i], TE_HTTP_WHAT);

		if (text)
			te_template_check_text(text, strlen(text), psprintf("key \"%s\"", texts[i]));
	}
	if ((te_json_find(definition, "body") == NULL) == (te_json_find(definition, "form") == NULL))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s needs either a \"body\" or a \"form\"", TE_HTTP_WHAT)));
	check_templates(definition, "headers");
	check_templates(definition, "form");
	check_templates(definition, "auth");
	check_auth(definition);
	(void) names_of(definition, "options", NULL, false);
	(void) names_of(definition, "secrets", NULL, false);
	(void) te_json_bool(definition, "endpoint", true, TE_HTTP_WHAT);
	(void) te_json_bool(definition, "idempotent", false, TE_HTTP_WHAT);
	te_rules_release(te_rules_build(definition));
}

const TeProviderKind te_http_kind = {
	.kind = "http",
	.channel = "",				/* that of the row */
	.max_body = 1024 * 1024,
	.read_options = http_read_options,
	.load_secret = http_load_secret,
	.compose = http_compose,
	.classify = te_rules_classify
};
