/*
 * fcm.c
 *		Provider kind "fcm": Firebase Cloud Messaging, HTTP v1.
 *
 * The secret is the service account's key file. An assertion signed with it is
 * exchanged for an access token (RFC 7523), which all messages share.
 */
#include "postgres.h"

#include <time.h>

#include "utils/builtins.h"
#include "utils/json.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"
#include "message/message.h"

#define DEFAULT_URL "https://fcm.googleapis.com"
#define DEFAULT_TOKEN_URI "https://oauth2.googleapis.com/token"
#define SCOPE "https://www.googleapis.com/auth/firebase.messaging"
#define LONGEST_TTL 2419200
/* The pause that "quota exceeded" calls for without a Retry-After. */
#define QUOTA_PAUSE_US (60 * INT64CONST(1000000))

static const char *const fcm_options[] = {
	"url", "timeout", "ca_file", "rate", "max_in_flight", "cost", "project_id", "token_uri", "dry_run", NULL
};
static const char *const fcm_secrets[] = {
	"service_account", "type", "project_id", "private_key_id", "private_key", "client_email", "client_id", "auth_uri",
	"token_uri", "auth_provider_x509_cert_url", "client_x509_cert_url", "universe_domain", NULL
};

typedef struct Fcm
{
	char	   *base;
	char	   *project_id;
	char	   *token_uri;
	bool		dry_run;
	char	   *email;
	char	   *key_id;
	void	   *key;
	char		fingerprint[32];
} Fcm;

/*
 * Reads what is FCM's own: whose project, where to.
 */
static void
fcm_read_options(TeProvider *provider, Jsonb *options, const char *what)
{
	Fcm		   *fcm = palloc0(sizeof(Fcm));
	bool		plain_http;
	char		why[160];

	fcm->project_id = te_json_text(options, "project_id", what);
	if (fcm->project_id && (fcm->project_id[0] == '\0' ||
							strspn(fcm->project_id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") != strlen(fcm->project_id)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"project_id\" of %s has other characters than a project's id", what)));
	fcm->token_uri = te_json_text(options, "token_uri", what);
	if (fcm->token_uri && !te_http_check_url(fcm->token_uri, &plain_http, why, sizeof(why)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"token_uri\" of %s is not valid: %s", what, why)));
	fcm->dry_run = te_json_bool(options, "dry_run", false, what);
	if (provider->url == NULL)
		provider->url = pstrdup(DEFAULT_URL);
	fcm->base = provider->url;
	provider->needs_endpoint = true;
	provider->data = fcm;
}

/*
 * Checks the key file, by reference or as it is.
 */
static void
fcm_check_secret(Jsonb *secret)
{
	JsonbValue *account = te_json_find(secret, "service_account");

	if (account && account->type == jbvString)
		te_secret_check_member(secret, "service_account", true);
	else
	{
		if (account)
			secret = te_json_object(secret, "service_account", "the secret");
		if (te_json_text(secret, "client_email", "the secret") == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("the secret needs the service account's key file"),
					 errhint("Write {\"service_account\": \"file:NAME\"}, or give the content of the file.")));
		te_secret_check_member(secret, "private_key", true);
	}
}

/*
 * A text of the key file in the current context; NULL when it has none.
 */
static char *
account_text(const char *account, const char *path)
{
	char		value[512];

	return te_answer_find(account, path, value, sizeof(value)) && value[0] ? pstrdup(value) : NULL;
}

/*
 * Takes what is needed out of the key file.
 */
static char *
load_account(Fcm *fcm, const char *account, MemoryContext context)
{
	char		key[8192];
	char	   *why = NULL;
	char	   *pem;
	char	   *own;
	struct iovec parts[2];

	if (!te_answer_is_json(account))
		return pstrdup("the service account is not a JSON document");
	fcm->email = account_text(account, "client_email");
	fcm->key_id = account_text(account, "private_key_id");
	own = account_text(account, "project_id");
	if (fcm->project_id == NULL)
		fcm->project_id = own;
	own = account_text(account, "token_uri");
	if (fcm->token_uri == NULL)
		fcm->token_uri = own ? own : pstrdup(DEFAULT_TOKEN_URI);
	if (fcm->email == NULL || !te_answer_find(account, "private_key", key, sizeof(key)))
		return pstrdup("the service account lacks client_email or private_key");
	if (fcm->project_id == NULL)
		return pstrdup("neither the options nor the service account name a project_id");
	pem = te_secret_resolve(key, &why);
	te_crypto_wipe(key, sizeof(key));
	if (pem == NULL)
		return psprintf("private_key: %s", why);
	fcm->key = te_rsa_load(pem, context, &why);
	parts[0].iov_base = fcm->email;
	parts[0].iov_len = strlen(fcm->email) + 1;
	parts[1].iov_base = fcm->token_uri;
	parts[1].iov_len = strlen(fcm->token_uri);
	te_crypto_hmac_sha256((unsigned char *) pem, strlen(pem), parts, 2, (unsigned char *) fcm->fingerprint);
	te_crypto_wipe(pem, strlen(pem));
	return fcm->key ? NULL : psprintf("private_key: %s", why);
}

/*
 * Reads the service account.
 */
static char *
fcm_load_secret(TeProvider *provider, Jsonb *secret, MemoryContext context)
{
	Fcm		   *fcm = provider->data;
	JsonbValue *value = te_json_find(secret, "service_account");
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *why = NULL;
	char	   *account;

	if (value && value->type == jbvString)
		account = te_secret_member(secret, "service_account", context, &why);
	else
	{
		account = te_json_to_cstring(value ? te_json_object(secret, "service_account", "the secret") : secret);
		te_secret_wipe_later(context, account, strlen(account));
	}
	if (account)
		why = load_account(fcm, account, context);
	if (why == NULL && strstr(fcm->base, "/messages:send") == NULL)
		provider->url = psprintf("%s%sv1/projects/%s/messages:send", fcm->base,
								 fcm->base[strlen(fcm->base) - 1] == '/' ? "" : "/", fcm->project_id);
	MemoryContextSwitchTo(old);
	return why;
}

/*
 * Says whose token it is, and makes the assertion that one is given for: to sign it costs
 * more than all the rest of a message, so only when it is needed.
 */
static bool
fcm_token_request(const TeProvider *provider, bool with_body, TeTokenRequest *request)
{
	Fcm		   *fcm = provider->data;
	static const char before[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
	char		header[640];
	char		claims[2048];
	long long	now = (long long) time(NULL);

	request->url = fcm->token_uri;
	memcpy(request->fingerprint, fcm->fingerprint, sizeof(request->fingerprint));
	if (!with_body)
		return true;
	if (fcm->key_id && strpbrk(fcm->key_id, "\"\\"))
		return false;
	if (strpbrk(fcm->email, "\"\\") || strpbrk(fcm->token_uri, "\"\\"))
		return false;
	if (fcm->key_id)
		snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", fcm->key_id);
	else
		strlcpy(header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", sizeof(header));
	snprintf(claims, sizeof(claims),
			 "{\"iss\":\"%s\",\"scope\":\"" SCOPE "\",\"aud\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
			 fcm->email, fcm->token_uri, now, now + 3600);
	strlcpy(request->body, before, sizeof(request->body));
	return te_jwt_write(request->body + sizeof(before) - 1, sizeof(request->body) - sizeof(before),
						header, claims, NULL, fcm->key);
}

/*
 * The message: its target, the content, and what each platform needs.
 */
static void
fcm_compose(const TeProvider *provider, TeOutgoing *outgoing)
{
	Fcm		   *fcm = provider->data;
	StringInfoData body;
	TePushEnvelope envelope = {outgoing->message_id, outgoing->ttl < 0 ? -1 : Min(outgoing->ttl, LONGEST_TTL)};

	initStringInfo(&body);
	appendStringInfoChar(&body, '{');
	if (fcm->dry_run)
		appendStringInfoString(&body, "\"validate_only\":true,");
	appendStringInfoString(&body, "\"message\":{\"token\":");
	escape_json(&body, outgoing->address);
	appendStringInfoChar(&body, ',');
	te_payload_write_fcm(&body, outgoing->content, outgoing->send_id, &envelope);
	appendStringInfoString(&body, "}}");
	outgoing->body = body.data;
	outgoing->body_len = body.len;
	outgoing->headers = list_make1("content-type: application/json");
}

/*
 * What an answer means: the error code in details decides before the status.
 */
static TeOutcome
fcm_classify(const TeHttpAnswer *answer, TeResult *result, char *why, size_t why_size)
{
	char		code[64] = "";
	char		status[64] = "";
	char		message[120] = "";

	if (answer->status == 200)
	{
		if (te_answer_find(answer->body, "name", result->provider_ref, sizeof(result->provider_ref)) &&
			result->provider_ref[0])
			return TE_OUTCOME_ACCEPTED;
		snprintf(why, why_size, "HTTP status 200 without the name of a message");
		return TE_OUTCOME_AMBIGUOUS;
	}
	(void) te_answer_find(answer->body, "error.details[*].errorCode", code, sizeof(code));
	(void) te_answer_find(answer->body, "error.status", status, sizeof(status));
	(void) te_answer_find(answer->body, "error.message", message, sizeof(message));
	snprintf(why, why_size, "HTTP status %d %s%s%s", answer->status, code[0] ? code : status,
			 message[0] ? ": " : "", message);

	if (strcmp(code, "UNREGISTERED") == 0 || strcmp(code, "SENDER_ID_MISMATCH") == 0)
		return TE_OUTCOME_TARGET_DEAD;
	if (strcmp(code, "THIRD_PARTY_AUTH_ERROR") == 0)
		return TE_OUTCOME_CONFIG;
	if (strcmp(code, "QUOTA_EXCEEDED") == 0 || answer->status == 429)
	{
		if (result->retry_after_us == 0)
			result->retry_after_us = QUOTA_PAUSE_US;
		return TE_OUTCOME_THROTTLED;
	}
	switch (answer->status)
	{
		case 400:
			/* of all malformed messages, only this one concerns the address */
			return strstr(answer->body, "not a valid FCM registration token")
				? TE_OUTCOME_TARGET_DEAD : TE_OUTCOME_REJECTED;
		case 401:
			return TE_OUTCOME_AUTH;
		case 403:
			return TE_OUTCOME_CONFIG;
		case 404:
			/* without the code it is the project that is not there */
			return code[0] == '\0' && strcmp(status, "NOT_FOUND") == 0 && strstr(message, "entity was not found")
				? TE_OUTCOME_TARGET_DEAD : TE_OUTCOME_CONFIG;
		case 408:
		case 500:
		case 503:
			return TE_OUTCOME_RETRY;
		default:
			return answer->status < 500 ? TE_OUTCOME_REJECTED : TE_OUTCOME_AMBIGUOUS;
	}
}

const TeProviderKind te_fcm_kind = {
	.kind = "fcm",
	.channel = "push",
	.idempotent = true,			/* a second copy replaces the first: tag, apns-collapse-id, Topic */
	.option_keys = fcm_options,
	.secret_keys = fcm_secrets,
	.max_body = 16 * 1024,
	.read_options = fcm_read_options,
	.check_secret = fcm_check_secret,
	.load_secret = fcm_load_secret,
	.compose = fcm_compose,
	.token_request = fcm_token_request,
	.classify = fcm_classify
};
