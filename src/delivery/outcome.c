/*
 * outcome.c
 *		What the end of a hand-over means: libcurl's result code first, then the
 *		provider's answer.
 *
 * The table is in README.md. Nothing here throws.
 */
#include "postgres.h"

#include <ctype.h>
#include <time.h>

#include "mb/pg_wchar.h"

#include "delivery/delivery_internal.h"

/* A provider that names a later instant is asked again after this time. */
#define MAX_RETRY_AFTER_SECONDS (7 * 24 * 3600)

/*
 * The name under which an outcome is recorded.
 */
const char *
te_outcome_name(TeOutcome outcome)
{
	switch (outcome)
	{
		case TE_OUTCOME_ACCEPTED:
			return "accepted";
		case TE_OUTCOME_REJECTED:
			return "rejected";
		case TE_OUTCOME_TARGET_DEAD:
			return "target_dead";
		case TE_OUTCOME_THROTTLED:
			return "throttled";
		case TE_OUTCOME_RETRY:
			return "retry";
		case TE_OUTCOME_AUTH:
			return "auth";
		case TE_OUTCOME_CONFIG:
			return "config";
		case TE_OUTCOME_AMBIGUOUS:
			return "ambiguous";
		case TE_OUTCOME_NOT_SENT:
			return "not_sent";
	}
	return "ambiguous";
}

/*
 * Copies text from outside so that it can be stored: valid in the database's
 * encoding, without control characters, cut at the end of a character.
 */
void
te_clean_text(char *target, size_t size, const char *source, size_t len)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	size_t		used = 0;

	for (size_t i = 0; i < len;)
	{
		unsigned char c = (unsigned char) source[i];
		size_t		width = 1;

		if (IS_HIGHBIT_SET(c) && utf8)
		{
			width = pg_utf_mblen((const unsigned char *) source + i);
			if (width > len - i ||
				!pg_utf8_islegal((const unsigned char *) source + i, (int) width))
				width = 1;
		}
		if (used + width >= size)
			break;
		if (width > 1)
			memcpy(target + used, source + i, width);
		else if (IS_HIGHBIT_SET(c))
			target[used] = '?';
		else
			target[used] = iscntrl(c) ? ' ' : (char) c;
		used += width;
		i += width;
	}
	while (used > 0 && target[used - 1] == ' ')
		used--;
	target[used] = '\0';
}

/*
 * The wait that Retry-After asks for (RFC 9110 section 10.2.3), in microseconds
 * from now: seconds or an HTTP date. 0 when it is absent, past or malformed.
 */
int64
te_outcome_retry_after(const char *value)
{
	int64		seconds = 0;

	value += strspn(value, " \t");
	if (isdigit((unsigned char) *value))
	{
		while (isdigit((unsigned char) *value) && seconds < MAX_RETRY_AFTER_SECONDS)
			seconds = seconds * 10 + (*value++ - '0');
	}
	else if (*value)
	{
		time_t		at = curl_getdate(value, NULL);

		if (at != (time_t) -1)
			seconds = (int64) at - (int64) time(NULL);
	}
	return Max(0, Min(seconds, MAX_RETRY_AFTER_SECONDS)) * USECS_PER_SEC;
}

/*
 * Whether no connection was tried because every address was refused.
 */
static bool
all_refused(const TeTransfer *transfer)
{
	return transfer->refused && !transfer->connecting;
}

/*
 * The outcome of a result code that is an error. Some codes prove that no
 * request went out; otherwise a message of which no byte has left cannot have
 * been processed, and what else happened to it is unknown.
 */
TeOutcome
te_outcome_failed(const TeTransfer *transfer)
{
	TeOutcome	config = transfer->own_address ? TE_OUTCOME_REJECTED : TE_OUTCOME_CONFIG;

	switch (transfer->code)
	{
		case CURLE_COULDNT_CONNECT:
			return all_refused(transfer) ? config : TE_OUTCOME_NOT_SENT;
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
			return TE_OUTCOME_NOT_SENT;
		default:
			break;
	}
	if (te_transfer_may_be_sent(transfer))
		return TE_OUTCOME_AMBIGUOUS;
	switch (transfer->code)
	{
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_URL_MALFORMAT:
			return config;
		case CURLE_SSL_CACERT_BADFILE:	/* the CA file, or TLS as libcurl was built */
		case CURLE_SSL_ENGINE_NOTFOUND:
		case CURLE_SSL_ENGINE_SETFAILED:
		case CURLE_SSL_CIPHER:
		case CURLE_NOT_BUILT_IN:
			return TE_OUTCOME_CONFIG;
		default:
			return TE_OUTCOME_NOT_SENT;
	}
}

/*
 * Words for a result code that is an error: what was going on, and what libcurl
 * says about it.
 */
void
te_outcome_describe(const TeTransfer *transfer, TeOutcome outcome, char *why, size_t size)
{
	const char *error = transfer->error[0] ? transfer->error : curl_easy_strerror(transfer->code);

	/* libcurl would speak of our callback */
	if (transfer->repeat_refused)
		error = "the connection was closed before an answer";

	if (transfer->code == CURLE_COULDNT_CONNECT && all_refused(transfer))
		strlcpy(why, transfer->note, size);
	else if (transfer->too_long)
		snprintf(why, size, "the head of the answer is longer than %d bytes", TE_HTTP_MAX_ANSWER);
	else if (outcome == TE_OUTCOME_AMBIGUOUS)
		snprintf(why, size, "no complete answer: %s (libcurl %d)", error, (int) transfer->code);
	else
		snprintf(why, size, "not sent: %s (libcurl %d)", error, (int) transfer->code);
}

/*
 * Fills outcome, reason and retry_after_us of a transfer that libcurl has ended.
 *
 * An answer counts when it came whole, and also when we cut its endless body
 * off: the receiver had said what it had to say. A refusal (4xx) counts even
 * when the connection broke after its head, since nobody refuses what he has
 * accepted. Success that was broken off does not count.
 */
void
te_outcome_decide(const TeTransfer *transfer, TeResult *result)
{
	TeHttpAnswer answer;
	char		why[256] = "";

	if (transfer->ops->decide)
	{
		transfer->ops->decide(transfer, result);
		return;
	}
	if (transfer->code != CURLE_OK &&
		!(transfer->headers_done && transfer->too_long) &&
		!(transfer->headers_done && transfer->status >= 400 && transfer->status < 500))
	{
		result->outcome = te_outcome_failed(transfer);
		te_outcome_describe(transfer, result->outcome, why, sizeof(why));
	}
	else
	{
		answer.status = transfer->status;
		answer.body = transfer->answer;
		answer.body_len = transfer->answer_len;
		answer.ref = transfer->ref;
		answer.error_type = transfer->error_type;
		answer.rules = transfer->rules;
		answer.retry_after_us = result->retry_after_us = te_outcome_retry_after(transfer->retry_after);
		result->outcome = transfer->ops->classify(&answer, result, why, sizeof(why));
		if (result->outcome == TE_OUTCOME_ACCEPTED)
			result->retry_after_us = 0;

		/* one endpoint's refusal must not be held against the whole provider */
		if (transfer->own_address &&
			(result->outcome == TE_OUTCOME_AUTH || result->outcome == TE_OUTCOME_CONFIG))
			result->outcome = TE_OUTCOME_REJECTED;
	}
	te_clean_text(result->reason, sizeof(result->reason), why, strlen(why));
}

/*
 * Takes from libcurl what it knows about a finished transfer, while it still
 * belongs to its multi.
 */
void
te_transfer_collect(TeTransfer *transfer, CURLcode code, int64 now_us)
{
	long		value;

	transfer->code = code;
	transfer->took_us = now_us - transfer->started_us;
	transfer->answer[transfer->answer_len] = '\0';
	if (curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &value) == CURLE_OK)
		transfer->status = (int) value;
	if (transfer->status != 0 &&
		curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &value) == CURLE_OK)
		transfer->http_version = (int) value;
}

/*
 * The result of a transfer that has ended, early or not. Never throws.
 */
void
te_transfer_result(TeTransfer *transfer, TeResult *result)
{
	result->item = transfer->item;
	result->took_us = transfer->took_us;
	result->retry_after_us = 0;
	result->target_only = false;
	result->dead_since = 0;
	result->reason[0] = '\0';
	result->provider_ref[0] = '\0';
	result->response[0] = '\0';
	if (transfer->early)
	{
		result->outcome = transfer->outcome;
		result->status = 0;
		te_clean_text(result->reason, sizeof(result->reason),
					  transfer->note, strlen(transfer->note));
		return;
	}
	result->status = transfer->status;
	te_outcome_decide(transfer, result);
	te_clean_text(result->response, sizeof(result->response),
				  transfer->answer, transfer->answer_len);
}
