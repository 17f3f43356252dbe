/*
 * token.c
 *		Access tokens (OAuth 2.0): one for all messages of a pool, one request for
 *		it at a time.
 *
 * A message that comes while there is none waits in the pool. A token that is
 * about to end is used on while the next one is fetched. When none can be had,
 * the waiting messages end with that outcome, and the provider is left alone
 * for a while. Nothing here throws.
 */
#include "postgres.h"

#include <stdlib.h>

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "delivery/multiplexer.h"

/* The next token is fetched so long before the last one ends. */
#define RENEW_BEFORE_US (5 * 60 * INT64CONST(1000000))
/* A provider that gives none is asked again after this. */
#define REFUSED_HOLD_US (10 * INT64CONST(1000000))
#define LONGEST_LIFE_SECONDS 86400
#define MAX_TOKEN 4000

/*
 * Forgets the token of a pool.
 */
void
te_token_forget(TePool *pool)
{
	if (pool->token)
		te_crypto_wipe(pool->token, strlen(pool->token));
	free(pool->token);
	pool->token = NULL;
	pool->token_until_us = 0;
}

/*
 * The service refuses the token of a message: the next one gets another, unless that has
 * been got meanwhile.
 */
void
te_token_refused(TePool *pool, const TeTransfer *transfer)
{
	const char *sent = transfer->authorization ? strrchr(transfer->authorization, ' ') : NULL;

	if (sent && pool->token && strcmp(sent + 1, pool->token) == 0)
		te_token_forget(pool);
}

/*
 * Starts a request for a token. False with outcome and reason when that cannot be done.
 */
static bool
fetch(TePool *pool, const TeProvider *provider, TeOutcome *outcome, const char **why)
{
	TeTransfer *transfer;
	TeTokenRequest request;
	bool		prepared;

	if (!provider->ops->token_request(provider, true, &request))
	{
		*outcome = TE_OUTCOME_CONFIG;
		*why = "the request for an access token could not be signed";
		return false;
	}
	transfer = te_transfer_get();
	prepared = te_transfer_prepare_token(transfer, provider, &request);
	te_crypto_wipe(&request, sizeof(request));
	if (!prepared)
	{
		te_transfer_put(transfer);
		*outcome = TE_OUTCOME_NOT_SENT;
		*why = "no access token could be asked for";
		return false;
	}
	transfer->pool = pool;
	pool->in_flight++;
	pool->fetching = true;
	te_loop_start(transfer);
	return true;
}

/*
 * Whether the transfer can be started, with a token in its headers if it needs
 * one. If not it waits for one, or has ended.
 */
bool
te_token_ready(TePool *pool, const TeProvider *provider, TeTransfer *transfer)
{
	int64		now_us = te_monotonic_us();
	TeTokenRequest request;
	TeOutcome	outcome;
	const char *why;
	bool		usable;

	if (provider->ops->token_request == NULL)
		return true;
	(void) provider->ops->token_request(provider, false, &request);
	if (memcmp(pool->token_of, request.fingerprint, sizeof(pool->token_of)) != 0)
	{
		te_token_forget(pool);
		memcpy(pool->token_of, request.fingerprint, sizeof(pool->token_of));
	}
	usable = pool->token && pool->token_until_us > now_us;
	if (!pool->fetching && (!usable || pool->token_until_us - now_us < RENEW_BEFORE_US) &&
		!fetch(pool, provider, &outcome, &why) && !usable)
	{
		te_transfer_end_early(transfer, outcome, why);
		te_loop_finish(transfer);
		return false;
	}
	if (!usable)
	{
		transfer->next = pool->waiting;
		pool->waiting = transfer;
		return false;
	}
	if (!te_transfer_authorize(transfer, pool->token))
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		te_loop_finish(transfer);
		return false;
	}
	return true;
}

/*
 * Reads the answer to a request for a token. False with outcome and words when
 * it has none.
 */
static bool
take_token(TeTransfer *transfer, TeOutcome *outcome, char *why, size_t size)
{
	TePool	   *pool = transfer->pool;
	char		token[MAX_TOKEN + 1];
	char		seconds[24];
	char		error[64];
	char		description[80];
	int64		life = 3600;

	if (transfer->early)
	{
		*outcome = transfer->outcome;
		snprintf(why, size, "no access token: %s", transfer->note);
		return false;
	}
	if (transfer->code != CURLE_OK)
	{
		*outcome = TE_OUTCOME_NOT_SENT;
		snprintf(why, size, "no access token: %s (libcurl %d)",
				 transfer->error[0] ? transfer->error : curl_easy_strerror(transfer->code), (int) transfer->code);
		return false;
	}
	if (transfer->status == 200 && te_answer_find(transfer->answer, "access_token", token, sizeof(token)) &&
		token[0] != '\0' && strcspn(token, " \t\r\n") == strlen(token))
	{
		if (te_answer_find(transfer->answer, "expires_in", seconds, sizeof(seconds)))
			life = Max(1, Min(atoll(seconds), LONGEST_LIFE_SECONDS));
		te_token_forget(pool);
		pool->token = strdup(token);
		pool->token_until_us = te_monotonic_us() + life * 1000000;
		te_crypto_wipe(token, sizeof(token));
		*outcome = TE_OUTCOME_NOT_SENT;
		strlcpy(why, "out of memory", size);
		return pool->token != NULL;
	}
	(void) te_answer_find(transfer->answer, "error", error, sizeof(error));
	(void) te_answer_find(transfer->answer, "error_description", description, sizeof(description));
	snprintf(why, size, "no access token: HTTP status %d%s%s%s%s", transfer->status,
			 error[0] ? " " : "", error, description[0] ? ": " : "", description);
	*outcome = transfer->status == 429 ? TE_OUTCOME_THROTTLED
		: transfer->status == 401 || transfer->status == 403 ? TE_OUTCOME_AUTH
		: transfer->status >= 400 && transfer->status < 500 ? TE_OUTCOME_CONFIG : TE_OUTCOME_RETRY;
	return false;
}

/*
 * A request for a token has ended: starts what waited for it, or ends it.
 */
void
te_token_finished(TeTransfer *transfer)
{
	TePool	   *pool = transfer->pool;
	TeTransfer *waiting = pool->waiting;
	TeTransfer *ordered = NULL;
	TeOutcome	outcome;
	char		why[160];
	bool		ok = take_token(transfer, &outcome, why, sizeof(why));

	te_crypto_wipe(transfer->answer, sizeof(transfer->answer));
	if (transfer->body)
		te_crypto_wipe(transfer->body, transfer->body_size);
	pool->fetching = false;
	pool->waiting = NULL;
	while (waiting)				/* in the order in which they came */
	{
		TeTransfer *next = waiting->next;

		waiting->next = ordered;
		ordered = waiting;
		waiting = next;
	}
	if (!ok && ordered && !te_clock_is_virtual())
		te_bucket_hold(&pool->bucket, GetCurrentTimestamp(), REFUSED_HOLD_US);
	while (ordered)
	{
		TeTransfer *next = ordered->next;

		if (ok && te_transfer_authorize(ordered, pool->token))
			te_loop_start(ordered);
		else
		{
			te_transfer_end_early(ordered, ok ? TE_OUTCOME_NOT_SENT : outcome, ok ? "out of memory" : why);
			te_loop_finish(ordered);
		}
		ordered = next;
	}
}
