/*
 * smtp.c
 *		Provider kind "smtp": e-mail through a relay or submission server (RFC 5321,
 *		RFC 6409).
 *
 * The message itself is written when it is decided (src/message/mail.c). Here are the
 * envelope, the set-up of libcurl, and what the server's replies mean: enhanced status
 * codes (RFC 3463) before the basic ones.
 *
 * libcurl says QUIT when it gives a connection up, and waits for the answer to it. A
 * server that hangs must not hold the worker up by that, so nothing more is read once a
 * message is refused, sockets are shut down before their connections are closed, and the
 * refusal of a login shortens the wait.
 */
#include "postgres.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"
#include "message/mail.h"

#define DEFAULT_CONNECTIONS 8
#define MAX_CONNECTIONS 64
#define CONNECT_TIMEOUT_MS 10000
#define QUIT_SECONDS 2L
/* Greylisting servers take a message that comes back after some minutes. */
#define GREYLISTED_US (5 * 60 * USECS_PER_SEC)
#define SEND_ID "{send_id}"

static const char *const smtp_options[] = {
	"url", "from", "from_name", "bounce", "tls", "connections", "timeout", "ca_file", "rate", "max_in_flight", "cost", NULL
};
static const char *const smtp_secrets[] = {"username", "password", NULL};

/* ---- options and secret ---- */

/*
 * Whether a URL names a mail server: smtp://host:port or smtps://host:port; what follows
 * a slash is the name that we introduce ourselves by. Never throws.
 */
static bool
smtp_check_url(const char *url, bool *plain, char *why, size_t why_size)
{
	CURLU	   *parts = curl_url();
	CURLUcode	code;
	char	   *scheme = NULL;
	char	   *more = NULL;
	bool		ok = false;

	code = parts ? curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) : CURLUE_OUT_OF_MEMORY;
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_USER_NOT_ALLOWED)
		snprintf(why, why_size, "the URL must not contain a user or password");
	else if (code == CURLUE_OUT_OF_MEMORY)
		snprintf(why, why_size, "out of memory");
	else if (code == CURLUE_UNSUPPORTED_SCHEME ||
			 (scheme && strcmp(scheme, "smtp") != 0 && strcmp(scheme, "smtps") != 0))
		snprintf(why, why_size, "the URL must begin with smtp:// or smtps://");
	else if (code != CURLUE_OK)
		snprintf(why, why_size, "the URL is malformed: %s", curl_url_strerror(code));
	else if (curl_url_get(parts, CURLUPART_FRAGMENT, &more, 0) == CURLUE_OK ||
			 curl_url_get(parts, CURLUPART_QUERY, &more, 0) == CURLUE_OK)
		snprintf(why, why_size, "the URL must not contain a query or a fragment");
	else
	{
		*plain = strcmp(scheme, "smtp") == 0;
		ok = true;
	}
	curl_free(scheme);
	curl_free(more);
	curl_url_cleanup(parts);
	return ok;
}

/*
 * A text of the options that must be an address; NULL when absent.
 */
static char *
address_option(Jsonb *options, const char *key, const char *what)
{
	char	   *value = te_json_text(options, key, what);
	char	   *tested;
	char	   *place;

	if (value == NULL)
		return NULL;
	/* the number of a message stands where its placeholder is */
	tested = pstrdup(value);
	place = strcmp(key, "bounce") == 0 ? strstr(tested, SEND_ID) : NULL;
	if (place)
		memset(place, '0', strlen(SEND_ID));
	if (!te_mail_address_valid(tested) || strlen(tested) > 220)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be an e-mail address", key, what),
				 strcmp(key, "bounce") == 0
				 ? errhint("Write it with a place for the message's number, such as bounce+" SEND_ID "@example.com.")
				 : errhint("Write the address alone; the name goes into \"from_name\".")));
	return value;
}

/*
 * Reads what mail needs beside the options of all kinds; throws when it is not valid.
 */
static void
smtp_read_options(TeProvider *provider, Jsonb *options, const char *what)
{
	char	   *tls = te_json_text(options, "tls", what);
	double		connections = te_json_number(options, "connections", DEFAULT_CONNECTIONS, what);

	if (provider->url == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s need the key \"url\"", what),
				 errhint("Write {\"url\": \"smtp://mail.example.com:587\", \"from\": \"shop@example.com\"}.")));
	provider->from = address_option(options, "from", what);
	if (provider->from == NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s need the key \"from\"", what)));
	provider->from_name = te_json_text(options, "from_name", what);
	provider->bounce = address_option(options, "bounce", what);
	if (tls && strcmp(tls, "required") != 0 && strcmp(tls, "none") != 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"tls\" of %s must be \"required\" or \"none\"", what),
				 errhint("Without TLS a server is reached in trigger_engine.allowed_private_cidrs only.")));
	provider->no_tls = tls && strcmp(tls, "none") == 0;
	if (!(connections >= 1 && connections <= MAX_CONNECTIONS))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"connections\" of %s must be between 1 and %d", what, MAX_CONNECTIONS)));
	provider->connections = (int) connections;
	provider->needs_endpoint = true;
}

/*
 * Checks a secret before it is stored.
 */
static void
smtp_check_secret(Jsonb *secret)
{
	for (int i = 0; smtp_secrets[i]; i++)
	{
		char	   *reference = te_json_text(secret, smtp_secrets[i], "the secret");

		if (reference == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("the secret of a mail server must have the keys \"username\" and \"password\"")));
		te_secret_check(reference, psprintf("key \"%s\" of the secret", smtp_secrets[i]));
	}
}

/*
 * Reads user and password into the provider, whose context wipes them.
 */
static char *
smtp_load_secret(TeProvider *provider, Jsonb *secret, MemoryContext context)
{
	char	  **targets[] = {&provider->username, &provider->password};

	for (int i = 0; smtp_secrets[i]; i++)
	{
		char	   *reference = te_json_text(secret, smtp_secrets[i], "the secret");
		char	   *why = NULL;
		char	   *value = reference ? te_secret_resolve(reference, &why) : NULL;

		if (value == NULL)
			return psprintf("key \"%s\" of the secret: %s", smtp_secrets[i], why ? why : "it is missing");
		*targets[i] = MemoryContextStrdup(context, value);
		te_secret_wipe_later(context, *targets[i], strlen(*targets[i]));
		te_crypto_wipe(value, strlen(value));
		pfree(value);
	}
	return NULL;
}

/* ---- sockets ---- */

/* Whose connection a descriptor is; by descriptor. */
static TeMulti **owners = NULL;
static int	nowners = 0;

/*
 * Remembers the socket of a new connection. Without memory it is not remembered, and a
 * server that hangs costs a wait when the connection is closed.
 */
void
te_smtp_socket_opened(int fd, TeMulti *multi)
{
	if (fd >= nowners)
	{
		int			size = Max(fd + 1, 256);
		TeMulti   **larger = realloc(owners, sizeof(TeMulti *) * size);

		if (larger == NULL)
			return;
		memset(larger + nowners, 0, sizeof(TeMulti *) * (size - nowners));
		owners = larger;
		nowners = size;
	}
	owners[fd] = multi;
}

/*
 * libcurl closes a socket.
 */
static int
close_socket(void *arg, curl_socket_t fd)
{
	if (fd < nowners)
		owners[fd] = NULL;
	return close(fd);
}

/*
 * Ends the talk on all connections of a multi that is about to be closed.
 */
void
te_smtp_hang_up(const TeMulti *multi)
{
	for (int fd = 0; fd < nowners; fd++)
		if (owners[fd] == multi)
			(void) shutdown(fd, SHUT_RDWR);
}

/*
 * Nothing more is to be read from the connection that a message goes over: libcurl says
 * QUIT, and finds its answer to be the end.
 */
static void
stop_reading(const TeTransfer *transfer)
{
	for (int fd = 0; fd < nowners; fd++)
	{
		struct sockaddr_storage name;
		socklen_t	len = sizeof(name);
		int			port = 0;

		if (owners[fd] != transfer->multi || getsockname(fd, (struct sockaddr *) &name, &len) != 0)
			continue;
		if (name.ss_family == AF_INET)
			port = ntohs(((struct sockaddr_in *) &name)->sin_port);
		else if (name.ss_family == AF_INET6)
			port = ntohs(((struct sockaddr_in6 *) &name)->sin6_port);
		if (port == transfer->local_port)
			(void) shutdown(fd, SHUT_RD);
	}
}

/* ---- one message ---- */

/*
 * Writes the whole mail.
 */
static void
smtp_compose(const TeProvider *provider, TeOutgoing *outgoing)
{
	TeMail		mail = {0};
	StringInfoData body;

	mail.from = provider->from;
	mail.from_name = provider->from_name;
	mail.to = outgoing->address;
	mail.message_id = outgoing->message_id;
	mail.send_id = outgoing->send_id;
	mail.date = outgoing->now;
	mail.unsubscribe_url = outgoing->unsubscribe_url;
	initStringInfo(&body);
	te_mail_write(&body, &mail, outgoing->content);
	outgoing->body = body.data;
	outgoing->body_len = body.len;
}

/*
 * Gives libcurl the next bytes of the message. From the first of them on the server may
 * have it all.
 */
static size_t
read_body(char *buffer, size_t size, size_t n, void *arg)
{
	TeTransfer *transfer = arg;
	size_t		len = Min(size * n, transfer->body_len - transfer->body_read);

	memcpy(buffer, transfer->body + transfer->body_read, len);
	transfer->body_read += len;
	return len;
}

/*
 * Sees each line of the server's replies and keeps the last reply.
 */
void
te_smtp_reply(TeTransfer *transfer, const char *line, size_t len)
{
	size_t		kept;

	/* the answer to QUIT says nothing about the message */
	if (len >= 3 && memcmp(line, "221", 3) == 0)
		return;
	if (transfer->headers_done)
		transfer->answer_len = 0;
	kept = Min(len, TE_HTTP_KEPT_ANSWER - transfer->answer_len);
	memcpy(transfer->answer + transfer->answer_len, line, kept);
	transfer->answer_len += kept;
	transfer->headers_done = len < 4 || line[3] != '-';
	if (!transfer->headers_done || len == 0 || line[0] < '4')
		return;
	/* libcurl gives up the connection of a message that is refused, and that of a login, too */
	if (transfer->requests > 0)
		stop_reading(transfer);
	else
		(void) curl_easy_setopt(transfer->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, QUIT_SECONDS);
}

/*
 * The address that the message's bounces go to, in buffer.
 */
static void
bounce_address(const TeProvider *provider, int64 send_id, char *buffer, size_t size)
{
	const char *address = provider->bounce ? provider->bounce : provider->from;
	const char *place = strstr(address, SEND_ID);

	if (place)
		snprintf(buffer, size, "%.*s" INT64_FORMAT "%s", (int) (place - address), address, send_id, place + strlen(SEND_ID));
	else
		strlcpy(buffer, address, size);
}

/*
 * Sets a transfer up for a message; false with why when it cannot be sent. Never throws.
 */
static bool
smtp_set_up(TeTransfer *transfer, const TeProvider *provider, const TeMessage *message, char *why, size_t why_size)
{
	CURL	   *easy = transfer->easy;
	TeHttpRequest *request = &transfer->request;
	char		bounce[300];
	bool		ok = true;

	if (message->address == NULL || !te_mail_address_valid(message->address))
	{
		snprintf(why, why_size, "the address is not one that mail can be sent to");
		return false;
	}
	bounce_address(provider, message->send_id, bounce, sizeof(bounce));
	snprintf(request->text, sizeof(request->text), "%s", message->address);
	request->headers[0].data = request->text;
	request->headers[0].next = NULL;
	transfer->plain_http = provider->no_tls && strncmp(provider->url, "smtps", 5) != 0;
	transfer->own_address = false;

#define SET(option, value) \
	ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK

	SET(CURLOPT_URL, provider->url);
	SET(CURLOPT_MAIL_FROM, bounce);
	SET(CURLOPT_MAIL_RCPT, &request->headers[0]);
	SET(CURLOPT_UPLOAD, 1L);
	SET(CURLOPT_READFUNCTION, read_body);
	SET(CURLOPT_READDATA, (void *) transfer);
	SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t) transfer->body_len);
	SET(CURLOPT_USE_SSL, (long) (transfer->plain_http ? CURLUSESSL_NONE : CURLUSESSL_ALL));
	SET(CURLOPT_USERNAME, provider->username);
	SET(CURLOPT_PASSWORD, provider->password);
	SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (long) (provider->timeout_ms + 999) / 1000);
	SET(CURLOPT_TIMEOUT_MS, (long) Max(provider->timeout_ms, 1));
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Min(Max(provider->timeout_ms, 1), CONNECT_TIMEOUT_MS));
	if (provider->ca_file)
		SET(CURLOPT_CAINFO, provider->ca_file);
#undef SET
	if (!ok)
		snprintf(why, why_size, "libcurl cannot be set up for mail");
	return ok;
}

/* ---- what replies mean ---- */

/* An enhanced status code; class 0 = none. */
typedef struct Enhanced
{
	int			class;
	int			subject;
	int			detail;
} Enhanced;

/*
 * The enhanced status code of a reply such as "550 5.1.1 no such user".
 */
static Enhanced
enhanced_code(const char *reply)
{
	Enhanced	code = {0};

	if (strlen(reply) < 9 || (reply[3] != ' ' && reply[3] != '-') ||
		sscanf(reply + 4, "%1d.%3d.%3d", &code.class, &code.subject, &code.detail) != 3 ||
		(code.class != 2 && code.class != 4 && code.class != 5))
		code.class = 0;
	return code;
}

/*
 * Whether a permanent refusal says that the address is none, or none any more.
 */
static bool
address_is_dead(int status, const Enhanced *code, bool of_recipient)
{
	if (code->class == 5)
		return (code->subject == 1 && (code->detail == 0 || code->detail == 1 || code->detail == 2 || code->detail == 3 ||
									   code->detail == 6 || code->detail == 10)) ||
			(code->subject == 2 && code->detail == 1);
	return of_recipient && (status == 550 || status == 551 || status == 553);
}

/*
 * What a refusal means.
 */
static TeOutcome
refusal(const TeTransfer *transfer, const Enhanced *code, TeResult *result)
{
	int			status = transfer->status;
	bool		of_recipient = strncmp(transfer->error, "RCPT", 4) == 0;

	if (status == 454 || transfer->code == CURLE_LOGIN_DENIED || status == 530 || status == 534 || status == 535 || status == 538 ||
		(code->class == 5 && code->subject == 7 && code->detail == 8))
		return status >= 400 && status < 500 ? TE_OUTCOME_RETRY : TE_OUTCOME_CONFIG;
	if (status < 500 || code->class == 4)
	{
		if ((code->class == 4 && code->subject == 7 && code->detail == 1) || strstr(transfer->answer, "reylist"))
			result->retry_after_us = GREYLISTED_US;
		return TE_OUTCOME_RETRY;
	}
	return address_is_dead(status, code, of_recipient) ? TE_OUTCOME_TARGET_DEAD : TE_OUTCOME_REJECTED;
}

/*
 * The name that the server gave an accepted message: what follows "queued as", else the
 * reply.
 */
static void
take_reference(const TeTransfer *transfer, TeResult *result)
{
	static const char queued[] = "queued as ";
	const char *found = strstr(transfer->answer, queued);
	const char *text = found ? found + strlen(queued) : transfer->answer;

	te_clean_text(result->provider_ref, sizeof(result->provider_ref), text,
				  found ? strcspn(text, " \r\n;)") : strlen(text));
}

/*
 * Fills outcome, reason and retry_after_us of a mail that libcurl has ended. A reply 354
 * that none has followed means that the server has the message, and we have no answer.
 */
static void
smtp_decide(const TeTransfer *transfer, TeResult *result)
{
	int			status = transfer->status;
	Enhanced	code = enhanced_code(transfer->answer);
	char		why[256] = "";

	if (transfer->code == CURLE_OK)
	{
		result->outcome = TE_OUTCOME_ACCEPTED;
		take_reference(transfer, result);
		return;
	}
	if (transfer->code == CURLE_USE_SSL_FAILED)
	{
		result->outcome = TE_OUTCOME_CONFIG;
		strlcpy(why, "the server does not offer STARTTLS", sizeof(why));
	}
	else if ((transfer->code == CURLE_LOGIN_DENIED || status >= 400) && transfer->code != CURLE_OPERATION_TIMEDOUT)
	{
		result->outcome = refusal(transfer, &code, result);
		snprintf(why, sizeof(why), "the server says: %.200s", transfer->answer_len > 0 ? transfer->answer : transfer->error);
	}
	else
	{
		result->outcome = te_outcome_failed(transfer);
		te_outcome_describe(transfer, result->outcome, why, sizeof(why));
	}
	te_clean_text(result->reason, sizeof(result->reason), why, strlen(why));
}

const TeProviderKind te_smtp_kind = {
	.kind = "smtp",
	.channel = "email",
	.secret_optional = true,
	.option_keys = smtp_options,
	.secret_keys = smtp_secrets,
	.max_body = 20 * 1024 * 1024,
	.check_secret = smtp_check_secret,
	.load_secret = smtp_load_secret,
	.check_url = smtp_check_url,
	.read_options = smtp_read_options,
	.compose = smtp_compose,
	.set_up = smtp_set_up,
	.decide = smtp_decide
};
