/*
 * web_push.c
 *		Provider kind "web_push", also called "vapid": RFC 8030, encrypted after
 *		RFC 8291, with the sender's identity after RFC 8292.
 *
 * Messages go to the user's own endpoint, a URL that a browser gave: its answers
 * speak for that subscription alone.
 */
#include "postgres.h"

#include <time.h>

#include "utils/builtins.h"
#include "utils/json.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"
#include "message/message.h"

#define DEFAULT_TTL 2419200
/* A token is made for a whole hour, and lasts twelve: RFC 8292 allows 24. */
#define TOKEN_SECONDS 3600
#define TOKEN_LIFE (12 * 3600)
#define KEPT_TOKENS 8
#define MAX_ORIGIN 256
#define SALT 16

static const char *const web_push_options[] = {
	"timeout", "ca_file", "rate", "max_in_flight", "cost", NULL
};
static const char *const web_push_secrets[] = {"private_key", "public_key", "subject", NULL};

/* The token for one push service. */
typedef struct Token
{
	char		origin[MAX_ORIGIN];
	long long	expires;
	char		text[1024];
} Token;

typedef struct WebPush
{
	char	   *subject;
	TeEcKey		key;
	int			next;			/* of the tokens to be replaced */
	Token		tokens[KEPT_TOKENS];
} WebPush;

/*
 * Every message goes to the user's own endpoint.
 */
static void
web_push_read_options(TeProvider *provider, Jsonb *options, const char *what)
{
	provider->needs_endpoint = true;
	provider->data = palloc0(sizeof(WebPush));
}

/*
 * Who to write to when something is wrong; throws unless services will take it.
 */
static char *
subject_of(Jsonb *secret)
{
	char	   *subject = te_json_text(secret, "subject", "the secret");

	if (subject == NULL || strpbrk(subject, " \t\r\n<>\"\\") || strlen(subject) > 256 ||
		(strncmp(subject, "mailto:", 7) != 0 && strncmp(subject, "https://", 8) != 0))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"subject\" of the secret must begin with mailto: or https://, without spaces and angle brackets"),
				 errhint("Push services write to it when something is wrong with your messages.")));
	return subject;
}

/*
 * Checks key and subject.
 */
static void
web_push_check_secret(Jsonb *secret)
{
	(void) subject_of(secret);
	(void) te_json_text(secret, "public_key", "the secret");
	te_secret_check_member(secret, "private_key", true);
}

/*
 * Reads the key. A public key that is given beside must be its own, since
 * subscriptions were made with it.
 */
static char *
web_push_load_secret(TeProvider *provider, Jsonb *secret, MemoryContext context)
{
	WebPush    *push = provider->data;
	char	   *why = NULL;
	char	   *text = te_secret_member(secret, "private_key", context, &why);
	char	   *public = te_json_text(secret, "public_key", "the secret");

	if (text == NULL)
		return why;
	push->subject = MemoryContextStrdup(context, subject_of(secret));
	te_secret_wipe_later(context, &push->key, sizeof(push->key));
	if (!te_ec_load(text, &push->key, &why))
		return psprintf("key \"private_key\" of the secret: %s", why);
	if (public)
	{
		size_t		len = 0;
		unsigned char *point = te_unbase64url(public, &len);

		if (point == NULL || len != TE_EC_POINT || memcmp(point, push->key.point, TE_EC_POINT) != 0)
			return pstrdup("key \"public_key\" of the secret does not belong to its private_key");
	}
	return NULL;
}

/*
 * The origin of a URL (RFC 6454): scheme, host and a port that is not the
 * usual one. False when it does not fit.
 */
static bool
origin_of(const char *url, char *origin)
{
	const char *host = strstr(url, "://");
	size_t		len;

	if (host == NULL)
		return false;
	host += 3;
	len = host - url + strcspn(host, "/?#");
	if (len >= MAX_ORIGIN || strcspn(url, "\"\\") < len)
		return false;
	strlcpy(origin, url, len + 1);
	for (char *c = origin; *c; c++)
		*c = pg_ascii_tolower(*c);
	if (strncmp(origin, "https:", 6) == 0 && len > 4 && strcmp(origin + len - 4, ":443") == 0)
		origin[len - 4] = '\0';
	return true;
}

/*
 * The token for the push service of a URL; NULL when it cannot be made.
 */
static const char *
token_for(WebPush *push, const char *url)
{
	long long	expires = (long long) time(NULL) / TOKEN_SECONDS * TOKEN_SECONDS + TOKEN_LIFE;
	char		origin[MAX_ORIGIN];
	char		claims[640];
	Token	   *token;

	if (!origin_of(url, origin))
		return NULL;
	for (int i = 0; i < KEPT_TOKENS; i++)
		if (push->tokens[i].expires == expires && strcmp(push->tokens[i].origin, origin) == 0)
			return push->tokens[i].text;
	token = &push->tokens[push->next];
	push->next = (push->next + 1) % KEPT_TOKENS;
	token->expires = 0;
	snprintf(claims, sizeof(claims), "{\"aud\":\"%s\",\"exp\":%lld,\"sub\":\"%s\"}", origin, expires, push->subject);
	if (!te_jwt_write(token->text, sizeof(token->text), "{\"typ\":\"JWT\",\"alg\":\"ES256\"}", claims, &push->key, NULL))
		return NULL;
	strlcpy(token->origin, origin, sizeof(token->origin));
	token->expires = expires;
	return token->text;
}

/*
 * A key of the subscription, decoded; NULL when it is missing or has another
 * length.
 */
static unsigned char *
subscription_key(Jsonb *data, const char *name, size_t wanted)
{
	JsonbValue *value = te_json_find(data, name);
	JsonbValue *keys = te_json_find(data, "keys");
	unsigned char *bytes;
	size_t		len;

	if (value == NULL && keys && keys->type == jbvBinary)
		value = te_json_find(JsonbValueToJsonb(keys), name);
	if (value == NULL || value->type != jbvString)
		return NULL;
	bytes = te_unbase64url(pnstrdup(value->val.string.val, value->val.string.len), &len);
	return bytes && len == wanted ? bytes : NULL;
}

/*
 * The encrypted message and its headers.
 */
static void
web_push_compose(const TeProvider *provider, TeOutgoing *outgoing)
{
	WebPush    *push = provider->data;
	unsigned char *point = subscription_key(outgoing->endpoint, "p256dh", TE_EC_POINT);
	unsigned char *auth = subscription_key(outgoing->endpoint, "auth", TE_WEB_PUSH_AUTH);
	const char *token = token_for(push, outgoing->address);
	unsigned char salt[SALT];
	TeEcKey		sender;
	StringInfoData text;

	outgoing->url = unconstify(char *, outgoing->address);
	outgoing->own_url = true;
	if (point == NULL || auth == NULL)
	{
		outgoing->why = "the endpoint's data lack p256dh or auth, or they are malformed";
		return;
	}
	if (token == NULL)
	{
		outgoing->why = "the endpoint's address is not a URL that a token can be made for";
		return;
	}
	initStringInfo(&text);
	te_payload_write(&text, TE_PUSH_WEB, outgoing->content, outgoing->send_id);
	if (text.len > TE_WEB_PUSH_MOST)
	{
		outgoing->why = psprintf("the message has %d bytes, more than the %d that push services take", text.len, TE_WEB_PUSH_MOST);
		return;
	}
	if (te_ec_random(&sender) && pg_strong_random(salt, SALT))
		outgoing->body = (char *) te_web_push_encrypt(&sender, point, auth, salt, text.data, text.len, &outgoing->body_len);
	te_crypto_wipe(&sender, sizeof(sender));
	if (outgoing->body == NULL)
	{
		outgoing->why = "the endpoint's p256dh is not a point of the curve P-256";
		return;
	}
	outgoing->headers = list_make4("content-type: application/octet-stream",
								   "content-encoding: aes128gcm",
								   psprintf("ttl: " INT64_FORMAT, outgoing->ttl < 0 ? DEFAULT_TTL : Min(outgoing->ttl, DEFAULT_TTL)),
								   psprintf("urgency: %s", outgoing->transactional ? "high" : "normal"));
	outgoing->headers = lappend(outgoing->headers, psprintf("topic: %.32s", outgoing->message_id + 4));
	outgoing->headers = lappend(outgoing->headers, psprintf("authorization: vapid t=%s, k=%s", token,
															te_base64url(push->key.point, TE_EC_POINT)));
}

/*
 * What an answer means. Mozilla's errno says more than the status.
 */
static TeOutcome
web_push_classify(const TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size)
{
	char		number[16] = "";
	char		message[96] = "";

	if (answer->status >= 200 && answer->status < 300)
	{
		strlcpy(result->provider_ref, answer->ref, sizeof(result->provider_ref));
		return TE_OUTCOME_ACCEPTED;
	}
	(void) te_answer_find(answer->body, "errno", number, sizeof(number));
	if (!te_answer_find(answer->body, "message", message, sizeof(message)))
		(void) te_answer_find(answer->body, "reason", message, sizeof(message));
	snprintf(why, why_size, "HTTP status %d%s%s%s%s", answer->status, number[0] ? ", errno " : "", number,
			 message[0] ? ": " : "", message);
	switch (atoi(number))
	{
		case 102:
		case 103:
		case 106:
			return TE_OUTCOME_TARGET_DEAD;
		case 104:
			return TE_OUTCOME_REJECTED;
	}
	switch (answer->status)
	{
		case 404:
		case 410:
			return TE_OUTCOME_TARGET_DEAD;
		case 401:
			return TE_OUTCOME_AUTH;
		case 403:
			return TE_OUTCOME_CONFIG;
		case 429:
			result->target_only = true;
			return TE_OUTCOME_THROTTLED;
		case 408:
		case 500:
		case 503:
			return TE_OUTCOME_RETRY;
		default:
			return answer->status < 500 ? TE_OUTCOME_REJECTED : TE_OUTCOME_AMBIGUOUS;
	}
}

#define WEB_PUSH_KIND(name) \
	{ \
		.kind = name, \
		.channel = "web_push", \
		.idempotent = true,		/* a second copy replaces the first: Topic */ \
		.option_keys = web_push_options, \
		.secret_keys = web_push_secrets, \
		.max_body = 4096, \
		.read_options = web_push_read_options, \
		.check_secret = web_push_check_secret, \
		.load_secret = web_push_load_secret, \
		.compose = web_push_compose, \
		.classify = web_push_classify \
	}

const TeProviderKind te_web_push_kind = WEB_PUSH_KIND("web_push");
const TeProviderKind te_vapid_kind = WEB_PUSH_KIND("vapid");
