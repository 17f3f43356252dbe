/*
 * http_pool.c
 *		The connections of each provider: its pool, and the multi handles that come
 *		and go in it.
 *
 * libcurl offers no way to give up connections that carry something, so a multi
 * is retired as a whole: a new one takes the next messages, and the old one is
 * closed when its last message has ended.
 *
 * Nothing here throws. Whatever enters libcurl is called with all signals
 * blocked, by http_loop.c.
 */
#include "postgres.h"

#include <stdlib.h>

#include "delivery/delivery_internal.h"
#include "delivery/multiplexer.h"
#include "guc.h"

/* Streams that libcurl puts on one HTTP/2 connection when the server allows. */
#define MIN_STREAMS 100
#define MAX_STREAMS 1000
#define MAX_POOL_CONNECTIONS 256
/* Fewer messages than this say nothing about how long a connection may live. */
#define MIN_CARRIES 150

TePools		te_pools;

/*
 * libcurl wants a socket watched or forgotten. A refusal by the system shows as
 * a transfer that runs into its time limit.
 */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	TeMulti    *multi = arg;

	if (what == CURL_POLL_REMOVE)
		te_multiplexer_unwatch(te_pools.mux, fd);
	else
		(void) te_multiplexer_watch(te_pools.mux, fd, multi->slot,
									(what & CURL_POLL_IN) != 0, (what & CURL_POLL_OUT) != 0);
	return 0;
}

/*
 * libcurl wants to be called after some milliseconds. The timer itself is armed
 * once, when the loop is left.
 */
static int
set_timer(CURLM *curl, long timeout_ms, void *arg)
{
	TeMulti    *multi = arg;

	if (timeout_ms < 0)
		multi->deadline_us = TE_NEVER;
	else
		multi->deadline_us = timeout_ms == 0 ? 0 : te_monotonic_us() + timeout_ms * INT64CONST(1000);
	return 0;
}

/*
 * Sets what depends on the protocol that the provider speaks: many connections
 * with one message each, or few with many.
 */
void
te_pool_set_limits(TeMulti *multi)
{
	TePool	   *pool = multi->pool;
	long		host = pool->connections > 0 ? pool->connections
		: pool->multiplexed ? TE_HTTP2_CONNECTIONS
		: Min(pool->limit, TE_HTTP1_CONNECTIONS);
	long		streams = Min(Max(pool->limit / TE_HTTP2_CONNECTIONS + 1, MIN_STREAMS), MAX_STREAMS);
	long		total = Min(pool->limit, MAX_POOL_CONNECTIONS);

	curl_multi_setopt(multi->curl, CURLMOPT_MAX_HOST_CONNECTIONS, host);
	curl_multi_setopt(multi->curl, CURLMOPT_MAX_CONCURRENT_STREAMS, streams);
	curl_multi_setopt(multi->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, Max(total, host));
	curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, Max(total, host));
}

/*
 * The pool of a provider, made when it is new; NULL when out of memory.
 */
TePool *
te_pool_find(const TeProvider *provider)
{
	TePool	  **chain = &te_pools.chains[(uint32) provider->id % TE_POOL_CHAINS];
	TePool	   *pool;
	int			limit = Max(1, provider->max_in_flight / te_guc_workers);
	int			connections = provider->connections > 0 ? Max(1, provider->connections / te_guc_workers) : 0;

	for (pool = *chain; pool; pool = pool->next)
		if (pool->provider_id == provider->id)
			break;
	if (pool == NULL)
	{
		pool = calloc(1, sizeof(TePool));
		if (pool == NULL)
			return NULL;
		pool->provider_id = provider->id;
		pool->next = *chain;
		*chain = pool;
	}
	if (pool->limit != limit || pool->connections != connections)
	{
		pool->limit = limit;
		pool->connections = connections;
		if (pool->multi)
			te_pool_set_limits(pool->multi);
	}
	return pool;
}

/*
 * A free place in te_pools.multis, or -1 when out of memory.
 */
static int
free_slot(void)
{
	TeMulti   **larger;
	uint32		i;

	for (i = 0; i < te_pools.nmultis; i++)
		if (te_pools.multis[i] == NULL)
			return (int) i;
	larger = realloc(te_pools.multis, sizeof(TeMulti *) * (te_pools.nmultis + 16));
	if (larger == NULL)
		return -1;
	memset(larger + te_pools.nmultis, 0, sizeof(TeMulti *) * 16);
	te_pools.multis = larger;
	te_pools.nmultis += 16;
	return (int) i;
}

/*
 * The multi that takes new messages of a pool; NULL when out of memory.
 */
static TeMulti *
current_multi(TePool *pool)
{
	TeMulti    *multi = pool->multi;
	int			slot;

	if (multi)
		return multi;
	slot = free_slot();
	if (slot < 0)
		return NULL;
	multi = calloc(1, sizeof(TeMulti));
	if (multi == NULL)
		return NULL;
	multi->curl = curl_multi_init();
	if (multi->curl == NULL)
	{
		free(multi);
		return NULL;
	}
	multi->pool = pool;
	multi->slot = (uint32) slot;
	multi->deadline_us = TE_NEVER;
	multi->used_us = te_monotonic_us();
	dlist_init(&multi->transfers);
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX);
	te_pool_set_limits(multi);
	te_pools.multis[slot] = multi;
	pool->multi = multi;
	return multi;
}

/*
 * Closes a multi that has no messages, with its connections.
 */
void
te_multi_close(TeMulti *multi)
{
	Assert(multi->under_way == 0);
	if (multi->pool->multi == multi)
	{
		multi->pool->multi = NULL;
		multi->pool->carries = 0;
	}
	te_smtp_hang_up(multi);
	curl_multi_cleanup(multi->curl);
	te_pools.multis[multi->slot] = NULL;
	free(multi);
}

/*
 * Hands a transfer to libcurl. Connections that the receiver is about to close,
 * as it did before after so many messages, are left to finish what they carry.
 */
void
te_pool_start(TeTransfer *transfer)
{
	TePool	   *pool = transfer->pool;
	TeMulti    *multi = pool->multi;

	if (multi && pool->carries > 0 && multi->started >= pool->carries)
	{
		pool->multi = NULL;
		if (multi->under_way == 0)
			te_multi_close(multi);
	}
	multi = current_multi(pool);
	if (multi == NULL || curl_multi_add_handle(multi->curl, transfer->easy) != CURLM_OK)
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		te_loop_finish(transfer);
		return;
	}
	transfer->multi = multi;
	transfer->body_read = 0;
	multi->under_way++;
	multi->started++;
	multi->used_us = transfer->started_us;
	dlist_push_tail(&multi->transfers, &transfer->node);
}

/*
 * Takes a transfer back from libcurl.
 */
void
te_pool_detach(TeTransfer *transfer)
{
	curl_multi_remove_handle(transfer->multi->curl, transfer->easy);
	dlist_delete(&transfer->node);
	transfer->multi->under_way--;
	transfer->multi = NULL;
}

/*
 * Gives up a pool's connections: a new multi takes over, also those messages of
 * which nothing has gone out, and the old one is closed once it is empty.
 */
void
te_pool_renew(TePool *pool)
{
	TeMulti    *old = pool->multi;
	dlist_mutable_iter iter;

	if (old == NULL)
		return;
	pool->multi = NULL;
	dlist_foreach_modify(iter, &old->transfers)
	{
		TeTransfer *transfer = dlist_container(TeTransfer, node, iter.cur);

		if (te_transfer_may_be_sent(transfer))
			continue;
		te_pool_detach(transfer);
		transfer->refused = false;
		transfer->connecting = false;
		transfer->error[0] = '\0';
		te_pool_start(transfer);
	}
	if (old->under_way == 0)
		te_multi_close(old);
}

/*
 * A receiver closes an HTTP/2 connection after a number of messages (nginx:
 * 1000), and refuses those that are under way by then; libcurl's repeat of them
 * cannot be told from one that would double them, so it is not let through and
 * they end as ambiguous. Keeping below the number avoids all of it. A connection
 * that has carried little was closed for another reason.
 */
void
te_pool_learn_life(TeMulti *multi)
{
	TePool	   *pool = multi->pool;
	int64		carries = multi->answered / 4 * 3;

	if (multi == pool->multi && pool->multiplexed && carries >= MIN_CARRIES &&
		(pool->carries == 0 || carries < pool->carries))
		pool->carries = carries;
}

/*
 * Most messages of a pool under way. HTTP/1.1 gets no more than twice its
 * connections: enough to claim a half while the other keeps them busy, and a slow
 * receiver's messages wait in the queue rather than inside their time limit. A
 * receiver that has not answered yet gets what fits on one HTTP/2 connection: libcurl
 * would make a connection each for the others.
 */
int
te_pool_limit(const TePool *pool)
{
	if (pool->connections > 0)
		return Min(pool->limit, 2 * pool->connections);
	if (pool->multiplexed || pool->many_hosts)
		return pool->limit;
	return Min(pool->limit, pool->answered ? 2 * TE_HTTP1_CONNECTIONS : MIN_STREAMS);
}
