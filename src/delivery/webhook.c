/*
 * webhook.c
 *		Provider kind "webhook": Standard Webhooks 1.0.0
 *		(github.com/standard-webhooks/standard-webhooks).
 *
 * The receiver gets webhook-id, which stays the same over all attempts and is
 * its key against doubles, webhook-timestamp of this attempt by the real clock,
 * and webhook-signature with one HMAC-SHA256 for each key, so that keys can be
 * rotated.
 */
#include "postgres.h"

#include <time.h>

#include "utils/builtins.h"
#include "utils/json.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"

#define KEY_PREFIX "whsec_"
#define MIN_KEY_BYTES 24
#define MAX_KEY_BYTES 64
#define MAX_KEYS 4
#define MAX_ID_LENGTH 128

/* "v1," and the base64 form of 32 bytes */
#define SIGNATURE_LENGTH (3 + 44)

static const char *const webhook_options[] = {
	"url", "timeout", "ca_file", "rate", "max_in_flight", "cost", NULL
};
static const char *const webhook_secrets[] = {"keys", NULL};

/*
 * Decodes a key as written, "whsec_" and base64. Returns palloc'ed bytes, or
 * NULL with the reason, which never contains the value. Throws only when out of
 * memory.
 */
static unsigned char *
decode_key(const char *text, size_t *len, char **why)
{
	unsigned char *key;

	if (strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) != 0)
	{
		*why = pstrdup("a signing key must begin with \"" KEY_PREFIX "\"");
		return NULL;
	}
	key = te_crypto_unbase64(text + strlen(KEY_PREFIX), len);
	if (key == NULL)
	{
		*why = pstrdup("a signing key must be base64 after \"" KEY_PREFIX "\"");
		return NULL;
	}
	if (*len < MIN_KEY_BYTES || *len > MAX_KEY_BYTES)
	{
		*why = psprintf("a signing key must have %d to %d bytes, this one has %zu",
						MIN_KEY_BYTES, MAX_KEY_BYTES, *len);
		te_crypto_wipe(key, *len);
		pfree(key);
		return NULL;
	}
	return key;
}

/*
 * One entry of the list of keys as a palloc'ed string, NULL when it is none.
 */
static char *
key_reference(Jsonb *keys, int i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(&keys->root, i);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * The list of keys of a secret; throws when it is missing, empty or too long.
 */
static Jsonb *
key_list(Jsonb *secret)
{
	Jsonb	   *keys = te_json_array(secret, "keys", "the secret");

	if (keys == NULL || JB_ROOT_COUNT(keys) < 1 || JB_ROOT_COUNT(keys) > MAX_KEYS)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("the secret of a webhook must have 1 to %d keys", MAX_KEYS),
				 errhint("Write {\"keys\": [\"file:NAME\"]}; give the new key and the old one while rotating.")));
	return keys;
}

/*
 * Checks a secret before it is stored; a key given inline must be a valid one.
 */
static void
webhook_check_secret(Jsonb *secret)
{
	Jsonb	   *keys = key_list(secret);

	for (int i = 0; i < (int) JB_ROOT_COUNT(keys); i++)
	{
		char	   *reference = key_reference(keys, i);
		char	   *why = NULL;
		size_t		len;
		unsigned char *key;

		if (reference == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key %d of the secret must be a string", i + 1)));
		if (te_secret_form(reference, &why) == TE_SECRET_INLINE)
		{
			key = decode_key(reference, &len, &why);
			if (key == NULL)
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("key %d of the secret is not valid: %s", i + 1, why),
						 errhint("Generate one with: echo " KEY_PREFIX "$(openssl rand -base64 32), and store it in a file of trigger_engine.secret_directory.")));
			te_crypto_wipe(key, len);
		}
		te_secret_check(reference, psprintf("key %d of the secret", i + 1));
	}
}

/*
 * Reads and decodes the keys into the provider, whose context wipes them.
 */
static char *
webhook_load_secret(TeProvider *provider, Jsonb *secret, MemoryContext context)
{
	Jsonb	   *keys = key_list(secret);
	int			count = (int) JB_ROOT_COUNT(keys);

	provider->keys = MemoryContextAllocZero(context, sizeof(unsigned char *) * count);
	provider->key_lens = MemoryContextAllocZero(context, sizeof(size_t) * count);
	for (int i = 0; i < count; i++)
	{
		char	   *reference = key_reference(keys, i);
		char	   *why = NULL;
		char	   *text = reference ? te_secret_resolve(reference, &why) : NULL;
		unsigned char *key = NULL;
		size_t		len = 0;

		if (text)
		{
			key = decode_key(text, &len, &why);
			te_crypto_wipe(text, strlen(text));
		}
		if (key == NULL)
			return psprintf("key %d of the secret: %s", i + 1, why ? why : "not a string");
		provider->keys[i] = MemoryContextAlloc(context, len);
		memcpy(provider->keys[i], key, len);
		provider->key_lens[i] = len;
		te_secret_wipe_later(context, provider->keys[i], len);
		te_crypto_wipe(key, len);
		pfree(key);
		provider->nkeys = i + 1;
	}
	return NULL;
}

/*
 * Without a URL, every user's own endpoint is where messages go.
 */
static void
webhook_read_options(TeProvider *provider, Jsonb *options, const char *what)
{
	provider->needs_endpoint = provider->url == NULL;
}

/*
 * The body after Standard Webhooks: type, timestamp, data.
 */
static void
webhook_compose(const TeProvider *provider, TeOutgoing *outgoing)
{
	char	   *type = te_json_text(outgoing->content, "type", "content");
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"type\":");
	escape_json(&body, type ? type : psprintf("journey.%s", outgoing->journey));
	appendStringInfo(&body, ",\"timestamp\":\"%s\",\"data\":{\"send_id\":\"" INT64_FORMAT "\",\"user_id\":",
					 outgoing->now_text, outgoing->send_id);
	escape_json(&body, outgoing->user_id);
	appendStringInfoString(&body, ",\"journey\":");
	escape_json(&body, outgoing->journey);
	appendStringInfoString(&body, ",\"step\":");
	escape_json(&body, outgoing->step);
	appendStringInfoString(&body, ",\"content\":");
	(void) JsonbToCString(&body, &outgoing->content->root, VARSIZE(outgoing->content));
	appendStringInfoString(&body, "}}");
	outgoing->body = body.data;
	outgoing->body_len = body.len;
	if (provider->url == NULL)
	{
		outgoing->url = unconstify(char *, outgoing->address);
		outgoing->own_url = true;
	}
}

/*
 * Whether an id can stand in the signed text, where a dot ends it.
 */
static bool
valid_id(const char *id, size_t len)
{
	if (len == 0 || len > MAX_ID_LENGTH)
		return false;
	for (size_t i = 0; i < len; i++)
		if (id[i] <= ' ' || id[i] == '.' || id[i] == 0x7f)
			return false;
	return true;
}

/*
 * Adds the headers of this attempt.
 */
static bool
webhook_build(const TeProvider *provider, const TeMessage *message,
			  TeHttpRequest *request, char *why, size_t why_size)
{
	static const char json[] = "application/json";
	char		signatures[MAX_KEYS * (SIGNATURE_LENGTH + 1)];
	char		timestamp[24];
	size_t		used = 0;
	size_t		id_len = strlen(message->message_id);
	struct iovec parts[5];

	if (!valid_id(message->message_id, id_len))
	{
		snprintf(why, why_size, "the message id is empty, too long, or has a dot or a space");
		return false;
	}
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long) time(NULL));

	parts[0].iov_base = unconstify(char *, message->message_id);
	parts[0].iov_len = id_len;
	parts[1].iov_base = ".";
	parts[1].iov_len = 1;
	parts[2].iov_base = timestamp;
	parts[2].iov_len = strlen(timestamp);
	parts[3].iov_base = ".";
	parts[3].iov_len = 1;
	parts[4].iov_base = unconstify(char *, message->body);
	parts[4].iov_len = message->body_len;

	for (int i = 0; i < provider->nkeys; i++)
	{
		unsigned char digest[32];

		if (!te_crypto_try_hmac_sha256(provider->keys[i], provider->key_lens[i],
									   parts, lengthof(parts), digest))
		{
			snprintf(why, why_size, "the message could not be signed");
			return false;
		}
		if (used > 0)
			signatures[used++] = ' ';
		memcpy(signatures + used, "v1,", 3);
		used += 3 + te_crypto_base64_into(digest, sizeof(digest), signatures + used + 3);
	}

	if (!te_request_header(request, "content-type", json, sizeof(json) - 1) ||
		!te_request_header(request, "webhook-id", message->message_id, id_len) ||
		!te_request_header(request, "webhook-timestamp", timestamp, strlen(timestamp)) ||
		!te_request_header(request, "webhook-signature", signatures, used))
	{
		snprintf(why, why_size, "the headers of the message are too long");
		return false;
	}
	return true;
}

/*
 * What an answer means. A gateway's 502 and 504 say nothing about whether the
 * receiver behind it has processed the message.
 */
static TeOutcome
webhook_classify(const TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size)
{
	int			status = answer->status;

	if (status >= 200 && status < 300)
		return TE_OUTCOME_ACCEPTED;
	if (status >= 300 && status < 400)
	{
		snprintf(why, why_size, "HTTP status %d: redirect not followed", status);
		return TE_OUTCOME_REJECTED;
	}
	snprintf(why, why_size, "HTTP status %d", status);
	switch (status)
	{
		case 401:
		case 403:
			return TE_OUTCOME_AUTH;
		case 410:
			return TE_OUTCOME_TARGET_DEAD;
		case 429:
			return TE_OUTCOME_THROTTLED;
		case 408:
		case 425:
		case 500:
		case 503:
			return TE_OUTCOME_RETRY;
		default:
			return status >= 400 && status < 500 ? TE_OUTCOME_REJECTED : TE_OUTCOME_AMBIGUOUS;
	}
}

const TeProviderKind te_webhook_kind = {
	.kind = "webhook",
	.channel = "webhook",
	.idempotent = true,
	.option_keys = webhook_options,
	.secret_keys = webhook_secrets,
	.max_body = 1024 * 1024,
	.read_options = webhook_read_options,
	.check_secret = webhook_check_secret,
	.load_secret = webhook_load_secret,
	.compose = webhook_compose,
	.build = webhook_build,
	.classify = webhook_classify
};
