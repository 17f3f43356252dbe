/*
 * apns.c
 *		Provider kind "apns": Apple Push Notification service over HTTP/2, with
 *		provider tokens.
 *
 * Apple wants one token kept for close to an hour, by all who send for a team.
 * Its time of issue is the start of a period of 50 minutes, and signatures are
 * deterministic: so every worker makes the same token, also after a restart, and
 * none has to be handed around.
 */
#include "postgres.h"

#include <ctype.h>
#include <time.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"
#include "message/message.h"

#define DEFAULT_URL "https://api.push.apple.com"
#define SANDBOX_URL "https://api.sandbox.push.apple.com"
#define TOKEN_SECONDS (50 * 60)
#define ID_LENGTH 10
#define MAX_DEVICE_TOKEN 200
/* How long Apple wants to be left alone after token changes, and after its own errors. */
#define TOKEN_PAUSE_US (20 * 60 * INT64CONST(1000000))
#define ERROR_PAUSE_US (15 * 60 * INT64CONST(1000000))

static const char *const apns_options[] = {
	"url", "timeout", "ca_file", "rate", "max_in_flight", "cost", "topic", "sandbox", NULL
};
static const char *const apns_secrets[] = {"key", "key_id", "team_id", NULL};

typedef struct Apns
{
	char	   *base;
	char	   *topic;
	char	   *key_id;
	char	   *team_id;
	TeEcKey		key;
	long long	issued;			/* of the token; 0 = none yet */
	char		token[512];
} Apns;

/*
 * Reads the app's topic, and where to.
 */
static void
apns_read_options(TeProvider *provider, Jsonb *options, const char *what)
{
	Apns	   *apns = palloc0(sizeof(Apns));
	size_t		len;

	apns->topic = te_json_text(options, "topic", what);
	if (apns->topic == NULL || apns->topic[0] == '\0' || strpbrk(apns->topic, " \t\r\n"))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s need a \"topic\"", what),
				 errhint("It is the bundle identifier of the app.")));
	if (provider->url == NULL)
		provider->url = pstrdup(te_json_bool(options, "sandbox", false, what) ? SANDBOX_URL : DEFAULT_URL);
	else
		(void) te_json_bool(options, "sandbox", false, what);
	len = strlen(provider->url);
	apns->base = pnstrdup(provider->url, provider->url[len - 1] == '/' ? len - 1 : len);
	provider->needs_endpoint = true;
	provider->data = apns;
}

/*
 * An identifier of Apple's, palloc'ed; throws when it is missing.
 */
static char *
apple_id(Jsonb *secret, const char *key)
{
	char	   *id = te_json_text(secret, key, "the secret");

	if (id == NULL || strlen(id) != ID_LENGTH || strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != ID_LENGTH)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of the secret must be the %d capital letters and digits that Apple shows", key, ID_LENGTH)));
	return id;
}

/*
 * Checks key and identifiers.
 */
static void
apns_check_secret(Jsonb *secret)
{
	(void) apple_id(secret, "key_id");
	(void) apple_id(secret, "team_id");
	te_secret_check_member(secret, "key", true);
}

/*
 * Reads the signing key.
 */
static char *
apns_load_secret(TeProvider *provider, Jsonb *secret, MemoryContext context)
{
	Apns	   *apns = provider->data;
	char	   *why = NULL;
	char	   *pem = te_secret_member(secret, "key", context, &why);

	if (pem == NULL)
		return why;
	apns->key_id = MemoryContextStrdup(context, apple_id(secret, "key_id"));
	apns->team_id = MemoryContextStrdup(context, apple_id(secret, "team_id"));
	te_secret_wipe_later(context, &apns->key, sizeof(apns->key));
	return te_ec_load(pem, &apns->key, &why) ? NULL : psprintf("key \"key\" of the secret: %s", why);
}

/*
 * The provider token of this period, made when the period has changed.
 */
static const char *
provider_token(Apns *apns)
{
	long long	issued = (long long) time(NULL) / TOKEN_SECONDS * TOKEN_SECONDS;
	char		header[64];
	char		claims[80];

	if (issued == apns->issued)
		return apns->token;
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", apns->key_id);
	snprintf(claims, sizeof(claims), "{\"iss\":\"%s\",\"iat\":%lld}", apns->team_id, issued);
	if (!te_jwt_write(apns->token, sizeof(apns->token), header, claims, &apns->key, NULL))
		return NULL;
	apns->issued = issued;
	return apns->token;
}

/*
 * Whether a device token may stand in a path.
 */
static bool
valid_device(const char *token)
{
	size_t		len = strlen(token);

	if (len < 2 || len > MAX_DEVICE_TOKEN || len % 2 != 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char) token[i]))
			return false;
	return true;
}

/*
 * The message for one device. Its apns-id is the digits of our message id, so it
 * is the same at every attempt, and a second copy replaces the first.
 */
static void
apns_compose(const TeProvider *provider, TeOutgoing *outgoing)
{
	Apns	   *apns = provider->data;
	const char *token = provider_token(apns);
	const char *id = outgoing->message_id + 4;
	bool		silent = te_payload_is_silent(outgoing->content);
	StringInfoData body;

	if (!valid_device(outgoing->address))
	{
		outgoing->why = "the address is not a device token of APNs: it must have hexadecimal digits only";
		return;
	}
	if (token == NULL)
	{
		outgoing->why = "the provider token could not be signed";
		return;
	}
	initStringInfo(&body);
	te_payload_write(&body, TE_PUSH_APNS, outgoing->content, outgoing->send_id);
	outgoing->body = body.data;
	outgoing->body_len = body.len;
	outgoing->url = psprintf("%s/3/device/%s", apns->base, outgoing->address);
	outgoing->headers = list_make5("content-type: application/json",
								   psprintf("authorization: bearer %s", token),
								   psprintf("apns-id: %.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20),
								   psprintf("apns-topic: %s", apns->topic),
								   psprintf("apns-push-type: %s", silent ? "background" : "alert"));
	outgoing->headers = lappend(outgoing->headers, silent ? "apns-priority: 5" : "apns-priority: 10");
	outgoing->headers = lappend(outgoing->headers, psprintf("apns-collapse-id: %.32s", id));
	if (outgoing->ttl >= 0)
		outgoing->headers = lappend(outgoing->headers,
									psprintf("apns-expiration: %lld",
											 outgoing->ttl == 0 ? 0LL : (long long) time(NULL) + outgoing->ttl));
}

/* What each reason means; those that are not here go by their status. */
static const struct
{
	const char *reason;
	TeOutcome	outcome;
}			reasons[] =
{
	{"BadCollapseId", TE_OUTCOME_REJECTED},
	{"BadDeviceToken", TE_OUTCOME_TARGET_DEAD},
	{"BadExpirationDate", TE_OUTCOME_REJECTED},
	{"BadMessageId", TE_OUTCOME_REJECTED},
	{"BadPriority", TE_OUTCOME_REJECTED},
	{"BadTopic", TE_OUTCOME_CONFIG},
	{"DeviceTokenNotForTopic", TE_OUTCOME_TARGET_DEAD},
	{"DuplicateHeaders", TE_OUTCOME_REJECTED},
	{"IdleTimeout", TE_OUTCOME_RETRY},
	{"InvalidPushType", TE_OUTCOME_REJECTED},
	{"MissingDeviceToken", TE_OUTCOME_TARGET_DEAD},
	{"MissingTopic", TE_OUTCOME_CONFIG},
	{"PayloadEmpty", TE_OUTCOME_REJECTED},
	{"TopicDisallowed", TE_OUTCOME_CONFIG},
	{"BadCertificate", TE_OUTCOME_CONFIG},
	{"BadCertificateEnvironment", TE_OUTCOME_CONFIG},
	{"BadEnvironmentKeyIdInToken", TE_OUTCOME_CONFIG},
	{"ExpiredProviderToken", TE_OUTCOME_AUTH},
	{"Forbidden", TE_OUTCOME_CONFIG},
	{"InvalidProviderToken", TE_OUTCOME_CONFIG},
	{"MissingProviderToken", TE_OUTCOME_CONFIG},
	{"UnrelatedKeyIdInToken", TE_OUTCOME_CONFIG},
	{"BadPath", TE_OUTCOME_REJECTED},
	{"MethodNotAllowed", TE_OUTCOME_REJECTED},
	{"ExpiredToken", TE_OUTCOME_TARGET_DEAD},
	{"Unregistered", TE_OUTCOME_TARGET_DEAD},
	{"PayloadTooLarge", TE_OUTCOME_REJECTED},
	{"TooManyProviderTokenUpdates", TE_OUTCOME_THROTTLED},
	{"TooManyRequests", TE_OUTCOME_THROTTLED},
	{"InternalServerError", TE_OUTCOME_RETRY},
	{"ServiceUnavailable", TE_OUTCOME_RETRY},
	{"Shutdown", TE_OUTCOME_RETRY}
};

/*
 * What a status alone means.
 */
static TeOutcome
outcome_of_status(int status)
{
	switch (status)
	{
		case 403:
			return TE_OUTCOME_CONFIG;
		case 410:
			return TE_OUTCOME_TARGET_DEAD;
		case 429:
			return TE_OUTCOME_THROTTLED;
		case 500:
		case 503:
			return TE_OUTCOME_RETRY;
		default:
			return status >= 400 && status < 500 ? TE_OUTCOME_REJECTED : TE_OUTCOME_AMBIGUOUS;
	}
}

/*
 * What an answer means: the reason decides before the status. A success has no
 * body. A token that Apple calls dead was so at an instant; one that was
 * registered later is another one.
 */
static TeOutcome
apns_classify(const TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size)
{
	TeOutcome	outcome = outcome_of_status(answer->status);
	char		reason[64] = "";
	char		timestamp[24];

	strlcpy(result->provider_ref, answer->ref, sizeof(result->provider_ref));
	if (answer->status == 200)
		return TE_OUTCOME_ACCEPTED;
	(void) te_answer_find(answer->body, "reason", reason, sizeof(reason));
	snprintf(why, why_size, "HTTP status %d %s", answer->status, reason);
	for (int i = 0; i < lengthof(reasons); i++)
		if (strcmp(reasons[i].reason, reason) == 0)
			outcome = reasons[i].outcome;
	if (answer->status == 410 && te_answer_find(answer->body, "timestamp", timestamp, sizeof(timestamp)))
	{
		long long	ms = atoll(timestamp);

		if (ms > 0 && ms < INT64CONST(4102444800000))
			result->dead_since = (ms - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * INT64CONST(86400000)) * 1000;
	}
	if (strcmp(reason, "TooManyRequests") == 0)
		result->target_only = true;
	if (result->retry_after_us == 0)
	{
		if (strcmp(reason, "TooManyProviderTokenUpdates") == 0)
			result->retry_after_us = TOKEN_PAUSE_US;
		else if (answer->status >= 500 && outcome == TE_OUTCOME_RETRY)
			result->retry_after_us = ERROR_PAUSE_US;
	}
	return outcome;
}

const TeProviderKind te_apns_kind = {
	.kind = "apns",
	.channel = "push",
	.idempotent = true,			/* a second copy replaces the first: apns-collapse-id */
	.option_keys = apns_options,
	.secret_keys = apns_secrets,
	.max_body = TE_APNS_MOST,
	.read_options = apns_read_options,
	.check_secret = apns_check_secret,
	.load_secret = apns_load_secret,
	.compose = apns_compose,
	.classify = apns_classify
};
