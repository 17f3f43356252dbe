/*
 * http_request.c
 *		One hand-over: its easy handle, its bytes out, its bytes in.
 *
 * A transfer and its easy handle stay together and are used again and again, so
 * that a message costs no allocation: headers and answer live in the transfer,
 * the body's buffer stays, and only options that differ are set.
 *
 * Callbacks run inside libcurl's frames and never throw; all memory is
 * malloc'ed. Every option of libcurl is set in this file or, for mail, in smtp.c and, for
 * the multi handle, in http_loop.c.
 */
#include "postgres.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "delivery/multiplexer.h"

#define USER_AGENT "trigger_engine/1.0"
#define CONNECT_TIMEOUT_MS 10000
/* Idle connections are not used again after this: servers commonly close at 60 or 75 s. */
#define MAX_IDLE_SECONDS 55L
/* Old connections are not used again, so that names are looked up anew. */
#define MAX_LIFE_SECONDS 3600L
#define CA_CACHE_SECONDS 600L
/* Bytes that nobody acknowledges for so long mean that the connection is dead. */
#define UNACKNOWLEDGED_MS 20000
/* Larger buffers of a body are given back after the message. */
#define KEPT_BODY (32 * 1024)

static TeTransfer *spare = NULL;
static int	nspare = 0;

/* The certificates that libcurl was built to use; NULL = it knows no single file. */
static const char *default_ca_file = NULL;

/* Headers that never change, as the tail of every list. */
static char no_expect[] = "Expect:";
static char no_accept[] = "Accept:";
static struct curl_slist constant_headers[] = {
	{no_expect, &constant_headers[1]},
	{no_accept, NULL}
};

/*
 * Bytes of the request, head and body, that have left libcurl.
 */
static long
bytes_sent(CURL *easy)
{
	long		sent;

	return curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK ? sent : LONG_MAX;
}

/*
 * Called before a request goes out on a connection. The second time for one
 * message, libcurl is about to repeat it by itself because the connection broke
 * or the receiver refused the stream. That is its own affair while not a byte
 * had gone out, and refused afterwards: a repeat is the engine's decision.
 */
static int
before_request(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	TeTransfer *transfer = arg;

	transfer->local_port = local_port;
	if (transfer->requests++ > 0 && bytes_sent(transfer->easy) > 0)
	{
		transfer->repeat_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

/*
 * Whether the receiver may have got the message.
 */
bool
te_transfer_may_be_sent(const TeTransfer *transfer)
{
	if (transfer->is_mail)
		return transfer->body_read > 0;
	return transfer->requests > 0 && bytes_sent(transfer->easy) > 0;
}

/*
 * Counts what comes in; false beyond the limit.
 */
static bool
count_received(TeTransfer *transfer, size_t len)
{
	transfer->received += len;
	if (transfer->received > TE_HTTP_MAX_ANSWER)
		transfer->too_long = true;
	return !transfer->too_long;
}

/*
 * Keeps the start of the answer; ends the transfer when it is endless.
 */
static size_t
write_answer(char *data, size_t size, size_t n, void *arg)
{
	TeTransfer *transfer = arg;
	size_t		len = size * n;
	size_t		kept = Min(len, TE_HTTP_KEPT_ANSWER - transfer->answer_len);

	if (!count_received(transfer, len))
		return 0;
	memcpy(transfer->answer + transfer->answer_len, data, kept);
	transfer->answer_len += kept;
	return len;
}

/*
 * Sees each line of the answer's head; the head of an interim answer (1xx) is
 * forgotten when the next one starts.
 */
static size_t
write_header(char *data, size_t size, size_t n, void *arg)
{
	TeTransfer *transfer = arg;
	size_t		len = size * n;
	const struct
	{
		const char *name;
		char	   *kept;
		size_t		room;
	}			wanted[] =
	{
		{"retry-after:", transfer->retry_after, sizeof(transfer->retry_after)},
		{"apns-id:", transfer->ref, sizeof(transfer->ref)},
		{"location:", transfer->ref, sizeof(transfer->ref)},
		{"x-message-id:", transfer->ref, sizeof(transfer->ref)},
		{"x-amzn-errortype:", transfer->error_type, sizeof(transfer->error_type)}
	};

	if (!count_received(transfer, len))
		return 0;
	if (transfer->is_mail)
		te_smtp_reply(transfer, data, len);
	else if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		transfer->retry_after[0] = transfer->ref[0] = transfer->error_type[0] = '\0';
		transfer->headers_done = false;
	}
	else if (len <= 2)
		transfer->headers_done = true;
	else
		for (int i = 0; i < lengthof(wanted); i++)
		{
			size_t		name_len = strlen(wanted[i].name);

			if (len >= name_len && pg_strncasecmp(data, wanted[i].name, name_len) == 0)
			{
				while (name_len < len && (data[name_len] == ' ' || data[name_len] == '\t'))
					name_len++;
				te_clean_text(wanted[i].kept, wanted[i].room, data + name_len, len - name_len);
			}
		}
	return len;
}

/*
 * Opens the socket of a new connection if its address may be reached. libcurl
 * goes on to the name's next address when it may not.
 */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	TeTransfer *transfer = arg;
	unsigned int timeout = UNACKNOWLEDGED_MS;
	int			fd;

	if (te_guard_refuses(&address->addr, transfer->plain_http,
						 transfer->note, sizeof(transfer->note)))
	{
		transfer->refused = true;
		return CURL_SOCKET_BAD;
	}
	transfer->connecting = true;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0)
		(void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	if (fd >= 0 && transfer->is_mail)
		te_smtp_socket_opened(fd, transfer->multi);
	return fd;
}

/*
 * Learns what the library was built with. Called once, before the first
 * transfer.
 */
void
te_transfer_init(void)
{
	curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	default_ca_file = info->cainfo;
}

/*
 * Sets the options that hold for every message. False when libcurl lacks one or
 * is out of memory.
 */
static bool
set_constant_options(TeTransfer *transfer)
{
	CURL	   *easy = transfer->easy;
	bool		ok = true;

#define SET(option, value) \
	ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PRIVATE, (void *) transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->error);

	/* where to: no proxy, checked addresses, and no protocol but ours */
	SET(CURLOPT_PROXY, "");
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, transfer->is_mail ? "smtp,smtps" : "http,https");
#else
	SET(CURLOPT_PROTOCOLS, (long) (transfer->is_mail ? CURLPROTO_SMTP | CURLPROTO_SMTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, (void *) transfer);

	/* TLS; a single file of certificates is parsed once and shared, a directory is not */
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (default_ca_file)
		SET(CURLOPT_CAPATH, NULL);
#if LIBCURL_VERSION_NUM >= 0x075700
	SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif

	/* connections */
	SET(CURLOPT_MAXAGE_CONN, MAX_IDLE_SECONDS);
	SET(CURLOPT_MAXLIFETIME_CONN, MAX_LIFE_SECONDS);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, 30L);
	SET(CURLOPT_TCP_KEEPINTVL, 10L);

	/* out and in */
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, (void *) transfer);
	SET(CURLOPT_WRITEFUNCTION, write_answer);
	SET(CURLOPT_WRITEDATA, (void *) transfer);
	SET(CURLOPT_HEADERFUNCTION, write_header);
	SET(CURLOPT_HEADERDATA, (void *) transfer);
	SET(CURLOPT_BUFFERSIZE, 4096L);
	if (!transfer->is_mail)
	{
		SET(CURLOPT_USERAGENT, USER_AGENT);
		SET(CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
		SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
		SET(CURLOPT_REDIR_PROTOCOLS, (long) CURLPROTO_HTTPS);
#endif
		SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
		SET(CURLOPT_POST, 1L);
	}
#undef SET
	return ok;
}

/*
 * Makes a transfer one of mail, or of HTTP again: all that was set before goes. False
 * when libcurl cannot; the transfer is of no use then.
 */
static bool
change_protocol(TeTransfer *transfer, bool is_mail)
{
	if (transfer->easy == NULL)
		return false;
	curl_easy_reset(transfer->easy);
	free(transfer->url);
	free(transfer->ca_file);
	transfer->url = transfer->ca_file = NULL;
	transfer->timeout_ms = 0;
	transfer->is_mail = is_mail;
	if (set_constant_options(transfer))
		return true;
	curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
	return false;
}

/*
 * A transfer to use, from the spare ones or new. When the system is so far out
 * of memory that not even a record of the failure can be kept, the process ends:
 * FATAL unwinds nothing, and what was claimed is settled by the next process.
 */
TeTransfer *
te_transfer_get(void)
{
	TeTransfer *transfer = spare;

	if (transfer)
	{
		spare = transfer->next;
		nspare--;
		return transfer;
	}
	transfer = calloc(1, sizeof(TeTransfer));
	if (transfer == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	transfer->easy = curl_easy_init();
	if (transfer->easy && !set_constant_options(transfer))
	{
		curl_easy_cleanup(transfer->easy);
		transfer->easy = NULL;
	}
	return transfer;
}

/*
 * Frees a transfer that is in no multi.
 */
static void
free_transfer(TeTransfer *transfer)
{
	if (transfer->easy)
		curl_easy_cleanup(transfer->easy);
	free(transfer->url);
	free(transfer->ca_file);
	free(transfer->body);
	(void) te_transfer_authorize(transfer, NULL);
	te_rules_release(transfer->rules);
	free(transfer);
}

/*
 * Keeps a transfer for the next message.
 */
void
te_transfer_put(TeTransfer *transfer)
{
	if (transfer->easy == NULL)
	{
		free_transfer(transfer);
		return;
	}
	if (transfer->body_size > KEPT_BODY)
	{
		free(transfer->body);
		transfer->body = NULL;
		transfer->body_size = 0;
	}
	transfer->next = spare;
	spare = transfer;
	nspare++;
}

/*
 * Frees spare transfers until keep are left.
 */
void
te_transfer_trim(int keep)
{
	while (nspare > keep)
	{
		TeTransfer *transfer = spare;

		spare = transfer->next;
		nspare--;
		free_transfer(transfer);
	}
}

/*
 * Adds a header to a request. Names are constants of ours; a value with a line
 * break is refused, as it could forge another header.
 */
bool
te_request_header(TeHttpRequest *request, const char *name, const char *value, size_t value_len)
{
	size_t		name_len = strlen(name);
	size_t		room = sizeof(request->text) - request->text_used;
	char	   *text = request->text + request->text_used;

	if (request->nheaders >= TE_MAX_HEADERS || name_len + value_len + 3 > room ||
		memchr(value, '\r', value_len) || memchr(value, '\n', value_len) ||
		memchr(value, '\0', value_len))
		return false;
	memcpy(text, name, name_len);
	memcpy(text + name_len, ": ", 2);
	memcpy(text + name_len + 2, value, value_len);
	text[name_len + 2 + value_len] = '\0';
	request->headers[request->nheaders].data = text;
	request->nheaders++;
	request->text_used += name_len + value_len + 3;
	return true;
}

/*
 * Adds a header that is written as it goes out, "name: value".
 */
bool
te_request_line(TeHttpRequest *request, const char *line)
{
	const char *colon = strchr(line, ':');
	char		name[64];
	const char *value;

	if (colon == NULL || colon == line || colon - line >= sizeof(name) || strcspn(line, " \t\r\n") < colon - line)
		return false;
	strlcpy(name, line, colon - line + 1);
	value = colon + 1 + strspn(colon + 1, " \t");
	return te_request_header(request, name, value, strlen(value));
}

/*
 * Whether a URL is one that can be used: http or https, with a host, without a
 * user or password. Never throws; uses no state of libcurl, so any backend may
 * call it.
 */
bool
te_http_check_url(const char *url, bool *plain_http, char *why, size_t why_size)
{
	CURLU	   *parts = curl_url();
	CURLUcode	code;
	char	   *scheme = NULL;
	char	   *fragment = NULL;
	bool		ok = false;

	code = parts ? curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) : CURLUE_OUT_OF_MEMORY;
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_USER_NOT_ALLOWED)
		snprintf(why, why_size, "the URL must not contain a user or password");
	else if (code == CURLUE_OUT_OF_MEMORY)
		snprintf(why, why_size, "out of memory");
	else if (code == CURLUE_UNSUPPORTED_SCHEME ||
			 (scheme && strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		snprintf(why, why_size, "the URL must begin with https:// or http://");
	else if (code != CURLUE_OK)
		snprintf(why, why_size, "the URL is malformed: %s", curl_url_strerror(code));
	else if (curl_url_get(parts, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
		snprintf(why, why_size, "the URL must not contain a fragment (#)");
	else
	{
		Assert(scheme != NULL);
		*plain_http = strcmp(scheme, "http") == 0;
		ok = true;
	}
	curl_free(scheme);
	curl_free(fragment);
	curl_url_cleanup(parts);
	return ok;
}

/*
 * Replaces a kept string by a copy of another; false when out of memory.
 */
static bool
replace_string(char **kept, const char *value)
{
	char	   *copy = value ? strdup(value) : NULL;

	if (value && copy == NULL)
		return false;
	free(*kept);
	*kept = copy;
	return true;
}

/*
 * Whether the handle is set to this URL already, which was then checked.
 */
static bool
has_url(const TeTransfer *transfer, const char *url)
{
	return transfer->url && strcmp(transfer->url, url) == 0;
}

/*
 * Sets the options that may differ from the transfer's last message: URL,
 * certificates, time limits. False when out of memory; then nothing of the kept
 * set-up is trusted any more.
 */
static bool
set_varying_options(TeTransfer *transfer, const TeProvider *provider,
					const char *url, bool plain_http)
{
	CURL	   *easy = transfer->easy;
	const char *ca_file = provider->ca_file;
	bool		ok = true;

	if (!has_url(transfer, url))
	{
		/*
		 * Wait for the TLS handshake to tell whether messages can share the
		 * connection. Without TLS only an answer would tell, and a receiver
		 * that is slow with its first one would hold up all others.
		 */
		ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_PIPEWAIT, plain_http ? 0L : 1L) == CURLE_OK &&
			replace_string(&transfer->url, url);
		transfer->plain_http = plain_http;
	}

	if (ok && (ca_file == NULL ? transfer->ca_file != NULL
			   : transfer->ca_file == NULL || strcmp(ca_file, transfer->ca_file) != 0))
		ok = curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file ? ca_file : default_ca_file) == CURLE_OK &&
			replace_string(&transfer->ca_file, ca_file);

	if (ok && transfer->timeout_ms != provider->timeout_ms)
	{
		long		timeout = Max(provider->timeout_ms, 1);

		ok = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, Min(timeout, CONNECT_TIMEOUT_MS)) == CURLE_OK;
		transfer->timeout_ms = provider->timeout_ms;
	}
	if (!ok)
	{
		curl_easy_cleanup(easy);
		transfer->easy = NULL;
	}
	return ok;
}

/*
 * Copies the body; false when out of memory.
 */
static bool
copy_body(TeTransfer *transfer, const char *body, size_t len)
{
	if (len > transfer->body_size || transfer->body == NULL)
	{
		size_t		size = Max(len, 2048);
		char	   *buffer = malloc(size);

		if (buffer == NULL)
			return false;
		free(transfer->body);
		transfer->body = buffer;
		transfer->body_size = size;
	}
	memcpy(transfer->body, body, len);
	transfer->body_len = len;
	return true;
}

/*
 * Ends a transfer before libcurl has seen it.
 */
void
te_transfer_end_early(TeTransfer *transfer, TeOutcome outcome, const char *why)
{
	transfer->early = true;
	transfer->outcome = outcome;
	if (why != transfer->note)
		strlcpy(transfer->note, why, sizeof(transfer->note));
}

/*
 * Puts the transfer into the state of a message that nothing has happened to.
 */
static void
reset_message(TeTransfer *transfer, const TeProvider *provider, const TeMessage *message)
{
	transfer->next = NULL;
	transfer->pool = NULL;
	transfer->multi = NULL;
	transfer->ops = provider->ops;
	te_rules_release(transfer->rules);
	transfer->rules = te_rules_keep(provider->rules);
	transfer->item = message->item;
	transfer->started_us = te_monotonic_us();
	transfer->took_us = 0;
	transfer->is_token = false;
	(void) te_transfer_authorize(transfer, NULL);
	transfer->own_address = message->own_url;
	transfer->requests = 0;
	transfer->body_read = 0;
	transfer->repeat_refused = false;
	transfer->request.nheaders = 0;
	transfer->request.text_used = 0;
	transfer->code = CURLE_OK;
	transfer->status = 0;
	transfer->http_version = 0;
	transfer->early = false;
	transfer->refused = false;
	transfer->connecting = false;
	transfer->too_long = false;
	transfer->headers_done = false;
	transfer->received = 0;
	transfer->answer_len = 0;
	transfer->retry_after[0] = transfer->ref[0] = transfer->error_type[0] = '\0';
	transfer->note[0] = '\0';
	transfer->error[0] = '\0';
}

/*
 * Adds the headers that were composed, and those of this hand-over. False with
 * the reason.
 */
static bool
build_headers(TeTransfer *transfer, const TeProvider *provider, const TeMessage *message,
			  char *why, size_t why_size)
{
	ListCell   *cell;

	foreach(cell, message->headers)
	{
		if (!te_request_line(&transfer->request, lfirst(cell)))
		{
			snprintf(why, why_size, "the headers of the message are too long, or contain a line break");
			return false;
		}
	}
	return provider->ops->build == NULL ||
		provider->ops->build(provider, message, &transfer->request, why, why_size);
}

/*
 * Gives the request to libcurl. False when out of memory.
 */
static bool
set_request(TeTransfer *transfer, const TeProvider *provider, const char *url, bool plain_http,
			const char *body, size_t body_len)
{
	TeHttpRequest *request = &transfer->request;

	for (int i = 0; i < request->nheaders; i++)
		request->headers[i].next = i + 1 < request->nheaders ? &request->headers[i + 1]
			: constant_headers;

	if ((transfer->is_mail && !change_protocol(transfer, false)) ||
		transfer->easy == NULL ||
		!copy_body(transfer, body, body_len) ||
		!set_varying_options(transfer, provider, url, plain_http) ||
		curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, request->headers) != CURLE_OK ||
		curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
						 (curl_off_t) body_len) != CURLE_OK ||
		curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body) != CURLE_OK)
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		return false;
	}
	return true;
}

/*
 * Adds the header that carries an access token, or with NULL forgets it. False
 * when out of memory.
 */
bool
te_transfer_authorize(TeTransfer *transfer, const char *token)
{
	static const char before[] = "authorization: Bearer ";
	TeHttpRequest *request = &transfer->request;
	size_t		size;

	if (transfer->authorization)
		te_crypto_wipe(transfer->authorization, strlen(transfer->authorization));
	free(transfer->authorization);
	transfer->authorization = NULL;
	if (token == NULL)
		return true;
	size = sizeof(before) + strlen(token);
	transfer->authorization = malloc(size);
	if (transfer->authorization == NULL)
		return false;
	snprintf(transfer->authorization, size, "%s%s", before, token);
	transfer->last_header.data = transfer->authorization;
	transfer->last_header.next = constant_headers;
	request->headers[request->nheaders - 1].next = &transfer->last_header;
	return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, request->headers) == CURLE_OK;
}

/*
 * Prepares a message of a kind that sets libcurl up by itself. Nothing of an earlier message's
 * set-up stays, as it may have been another account's.
 */
static bool
prepare_other(TeTransfer *transfer, const TeProvider *provider, const TeMessage *message)
{
	char		why[sizeof(transfer->note)];

	if (!change_protocol(transfer, true) || !copy_body(transfer, message->body, message->body_len))
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		return false;
	}
	if (!provider->ops->set_up(transfer, provider, message, why, sizeof(why)))
	{
		te_transfer_end_early(transfer, TE_OUTCOME_REJECTED, why);
		return false;
	}
	return true;
}

/*
 * Makes the transfer ready to be started. When the provider or the message
 * cannot be used it ends here, and false is returned. Never throws.
 */
bool
te_transfer_prepare(TeTransfer *transfer, const TeProvider *provider, const TeMessage *message)
{
	const TeProviderKind *ops = provider->ops;
	const char *url = message->url ? message->url : provider->url;
	TeOutcome	bad_url = message->own_url ? TE_OUTCOME_REJECTED : TE_OUTCOME_CONFIG;
	bool		plain_http = false;
	char		why[sizeof(transfer->note)];

	reset_message(transfer, provider, message);
	if (provider->secret_error || provider->ops == NULL || !provider->active)
	{
		te_transfer_end_early(transfer, TE_OUTCOME_CONFIG,
							  provider->secret_error ? provider->secret_error
							  : provider->state_reason ? provider->state_reason
							  : "the provider is disabled");
		return false;
	}
	if (url == NULL)
	{
		te_transfer_end_early(transfer, bad_url, "the provider has no URL");
		return false;
	}
	if (!ops->set_up && !has_url(transfer, url) && !te_http_check_url(url, &plain_http, why, sizeof(why)))
	{
		te_transfer_end_early(transfer, bad_url, why);
		return false;
	}
	if (message->body_len > provider->ops->max_body)
	{
		snprintf(why, sizeof(why), "the body has %zu bytes, more than the %zu allowed",
				 message->body_len, provider->ops->max_body);
		te_transfer_end_early(transfer, TE_OUTCOME_REJECTED, why);
		return false;
	}
	if (ops->set_up)
		return prepare_other(transfer, provider, message);
	if (!build_headers(transfer, provider, message, why, sizeof(why)))
	{
		te_transfer_end_early(transfer, TE_OUTCOME_REJECTED, why);
		return false;
	}
	return set_request(transfer, provider, url, plain_http, message->body, message->body_len);
}

/*
 * Makes the transfer ready to get an access token. False when it ended here.
 */
bool
te_transfer_prepare_token(TeTransfer *transfer, const TeProvider *provider, const TeTokenRequest *request)
{
	static const char form[] = "application/x-www-form-urlencoded";
	TeMessage	message = {0};
	bool		plain_http = false;
	char		why[sizeof(transfer->note)];

	reset_message(transfer, provider, &message);
	transfer->is_token = true;
	if (!has_url(transfer, request->url) &&
		!te_http_check_url(request->url, &plain_http, why, sizeof(why)))
	{
		te_transfer_end_early(transfer, TE_OUTCOME_CONFIG, why);
		return false;
	}
	(void) te_request_header(&transfer->request, "content-type", form, sizeof(form) - 1);
	return set_request(transfer, provider, request->url, plain_http, request->body, strlen(request->body));
}
