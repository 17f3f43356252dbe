/*
 * http_loop.c
 *		The loop of hand-overs: libcurl's multi handles behind one descriptor.
 *
 * Every provider has a pool: its rate, its number of messages under way, and a
 * multi handle with connections of its own, so that none waits for another and
 * so that its connections can be given up together. Giving up means that a new
 * multi takes over while the old one finishes what its connections carry.
 *
 * libcurl is entered from te_delivery_drive(), te_delivery_reload() and
 * te_delivery_stop() only, always with all signals blocked: it may start a
 * thread that resolves a name, and threads inherit the mask. Nothing between
 * te_delivery_start() and te_delivery_stop() throws, and nothing waits.
 */
#include "postgres.h"

#include <signal.h>
#include <stdlib.h>

#include "storage/fd.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "delivery/multiplexer.h"
#include "guc.h"

#define OLDEST_LIBCURL 0x075300
#define NPOOL_CHAINS 64
#define MAX_READY 64
#define STARTED_AT_ONCE 32
/* Streams that libcurl puts on one HTTP/2 connection when the server allows. */
#define MIN_STREAMS 100
#define MAX_STREAMS 1000
#define MAX_POOL_CONNECTIONS 256
/* A multi without messages is closed after this, with its idle connections. */
#define IDLE_MULTI_US (120 * INT64CONST(1000000))
#define SWEEP_US (60 * INT64CONST(1000000))
#define KEPT_TRANSFERS 64
/* Fewer messages than this say nothing about how long a connection may live. */
#define MIN_CARRIES 150
/* Silence for a provider that says "too fast" and does not say for how long. */
#define DEFAULT_HOLD_US 1000000

/* Connections of one pool. */
typedef struct TeMulti
{
	CURLM	   *curl;
	struct TePool *pool;
	uint32		slot;			/* in loop.multis */
	bool		touched;		/* may have finished transfers */
	int			under_way;
	int64		started;		/* messages, ever */
	int64		answered;
	int64		deadline_us;	/* libcurl's timer */
	int64		used_us;		/* last message in or out */
	int64		answered_us;	/* last answer */
	dlist_head	transfers;
} TeMulti;

typedef struct TePool
{
	struct TePool *next;		/* in its chain */
	int			provider_id;
	TeBucket	bucket;
	int			in_flight;		/* messages that have not ended */
	bool		multiplexed;	/* its last answer came by HTTP/2 */
	bool		many_hosts;		/* has messages to endpoints' own addresses */
	int			limit;			/* most messages under way */
	int64		carries;		/* messages that connections live for; 0 = not known */
	TeMulti    *multi;			/* takes new messages; NULL = none yet */
} TePool;

typedef struct TeQueue
{
	TeTransfer *head;
	TeTransfer *tail;
} TeQueue;

static struct
{
	bool		started;
	TeMultiplexer mux;
	sigset_t	all_signals;
	TePool	   *pools[NPOOL_CHAINS];
	TeMulti   **multis;			/* some NULL */
	uint32		nmultis;
	int64		sweep_us;		/* when to look for idle ones */
	int			in_flight;		/* submitted and not yet taken */
	TeQueue		submitted;
	TeQueue		finished;
}			loop;

/*
 * Appends a transfer to a queue. Never throws.
 */
static void
push(TeQueue *queue, TeTransfer *transfer)
{
	transfer->next = NULL;
	if (queue->head)
		queue->tail->next = transfer;
	else
		queue->head = transfer;
	queue->tail = transfer;
}

/*
 * Takes the first transfer of a queue; NULL when it is empty. Never throws.
 */
static TeTransfer *
pop(TeQueue *queue)
{
	TeTransfer *transfer = queue->head;

	if (transfer)
		queue->head = transfer->next;
	return transfer;
}

/* ---- callbacks of libcurl ---- */

/*
 * libcurl wants a socket watched or forgotten. A refusal by the system shows as
 * a transfer that runs into its time limit.
 */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	TeMulti    *multi = arg;

	if (what == CURL_POLL_REMOVE)
		te_multiplexer_unwatch(&loop.mux, fd);
	else
		(void) te_multiplexer_watch(&loop.mux, fd, multi->slot,
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

/* ---- pools and their multi handles ---- */

/*
 * Sets what depends on the protocol that the provider speaks: many connections
 * with one message each, or few with many.
 */
static void
set_limits(TeMulti *multi)
{
	TePool	   *pool = multi->pool;
	long		host = pool->multiplexed ? TE_HTTP2_CONNECTIONS
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
static TePool *
find_pool(const TeProvider *provider)
{
	TePool	  **chain = &loop.pools[(uint32) provider->id % NPOOL_CHAINS];
	TePool	   *pool;
	int			limit = Max(1, provider->max_in_flight / te_guc_workers);

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
	if (pool->limit != limit)
	{
		pool->limit = limit;
		if (pool->multi)
			set_limits(pool->multi);
	}
	return pool;
}


/*
 * A free place in loop.multis, or -1 when out of memory.
 */
static int
free_slot(void)
{
	TeMulti   **larger;
	uint32		i;

	for (i = 0; i < loop.nmultis; i++)
		if (loop.multis[i] == NULL)
			return (int) i;
	larger = realloc(loop.multis, sizeof(TeMulti *) * (loop.nmultis + 16));
	if (larger == NULL)
		return -1;
	memset(larger + loop.nmultis, 0, sizeof(TeMulti *) * 16);
	loop.multis = larger;
	loop.nmultis += 16;
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
	set_limits(multi);
	loop.multis[slot] = multi;
	pool->multi = multi;
	if (loop.sweep_us == TE_NEVER)
		loop.sweep_us = multi->used_us + SWEEP_US;
	return multi;
}

/*
 * Closes a multi that has no messages, with its connections.
 */
static void
close_multi(TeMulti *multi)
{
	Assert(multi->under_way == 0);
	if (multi->pool->multi == multi)
	{
		multi->pool->multi = NULL;
		multi->pool->carries = 0;
	}
	curl_multi_cleanup(multi->curl);
	loop.multis[multi->slot] = NULL;
	free(multi);
}

/*
 * A transfer has ended: it leaves its pool and can be taken.
 */
static void
finish(TeTransfer *transfer)
{
	if (transfer->pool)
		transfer->pool->in_flight--;
	push(&loop.finished, transfer);
}

/*
 * Hands a transfer to libcurl. Connections that the receiver is about to close,
 * as it did before after so many messages, are left to finish what they carry.
 */
static void
start_transfer(TeTransfer *transfer)
{
	TePool	   *pool = transfer->pool;
	TeMulti    *multi = pool->multi;

	if (multi && pool->carries > 0 && multi->started >= pool->carries)
	{
		pool->multi = NULL;
		if (multi->under_way == 0)
			close_multi(multi);
	}
	multi = current_multi(pool);
	if (multi == NULL || curl_multi_add_handle(multi->curl, transfer->easy) != CURLM_OK)
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		finish(transfer);
		return;
	}
	transfer->multi = multi;
	multi->under_way++;
	multi->started++;
	multi->used_us = transfer->started_us;
	dlist_push_tail(&multi->transfers, &transfer->node);
}

/*
 * Takes a transfer back from libcurl.
 */
static void
detach_transfer(TeTransfer *transfer)
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
static void
renew_connections(TePool *pool)
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
		detach_transfer(transfer);
		transfer->refused = false;
		transfer->connecting = false;
		transfer->error[0] = '\0';
		start_transfer(transfer);
	}
	if (old->under_way == 0)
		close_multi(old);
}

/*
 * Closes multis that are retired and empty or have long been idle, and frees
 * what was kept for a load that has gone.
 */
static void
sweep(int64 now_us)
{
	bool		any = false;

	for (uint32 i = 0; i < loop.nmultis; i++)
	{
		TeMulti    *multi = loop.multis[i];

		if (multi && multi->under_way == 0 && now_us - multi->used_us >= IDLE_MULTI_US)
			close_multi(multi);
		else if (multi)
			any = true;
	}
	loop.sweep_us = any ? now_us + SWEEP_US : TE_NEVER;
	if (loop.in_flight == 0)
		te_transfer_trim(any ? KEPT_TRANSFERS : 0);
}

/* ---- start, stop, reload ---- */

/*
 * Starts the loop of this process. Throws when libcurl is too old or cannot
 * start, or when the system has no descriptors left.
 */
void
te_delivery_start(void)
{
	static const int synchronous[] = {SIGTRAP, SIGABRT, SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGSYS};
	static const struct iovec nothing[1] = {{"", 0}};
	unsigned char digest[32];
	curl_version_info_data *info;

	Assert(!loop.started);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not start libcurl")));
	info = curl_version_info(CURLVERSION_NOW);
	if (info->version_num < OLDEST_LIBCURL || !(info->features & CURL_VERSION_SSL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("libcurl %s cannot be used", info->version),
				 errdetail("Version 7.83 or later with TLS is needed.")));
	if (!(info->features & CURL_VERSION_HTTP2) || !(info->features & CURL_VERSION_ASYNCHDNS))
		ereport(WARNING,
				(errmsg("libcurl %s lacks HTTP/2 or a resolver that does not block", info->version),
				 errdetail("Messages are sent, but slow names or receivers cost more than they should.")));

	/* whatever OpenSSL has to set up is set up where an error may be thrown */
	te_crypto_hmac_sha256(digest, 0, nothing, 1, digest);

	te_transfer_init();
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not reserve a file descriptor for delivery: %m")));
	if (!AcquireExternalFD())
	{
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not reserve a file descriptor for delivery: %m")));
	}
	if (!te_multiplexer_open(&loop.mux))
	{
		ReleaseExternalFD();
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the descriptors of the delivery loop: %m")));
	}
	sigfillset(&loop.all_signals);
	for (int i = 0; i < lengthof(synchronous); i++)
		sigdelset(&loop.all_signals, synchronous[i]);
	loop.sweep_us = TE_NEVER;
	loop.started = true;
	(void) te_guard_reload();
}

/*
 * The descriptor to wait for.
 */
int
te_delivery_fd(void)
{
	return loop.mux.epoll_fd;
}

/*
 * Settings may have changed. When the rules about addresses did, no connection
 * that was made under the old ones carries another message.
 */
void
te_delivery_reload(void)
{
	sigset_t	saved;

	if (!loop.started || !te_guard_reload())
		return;
	sigprocmask(SIG_SETMASK, &loop.all_signals, &saved);
	for (int i = 0; i < NPOOL_CHAINS; i++)
		for (TePool *pool = loop.pools[i]; pool; pool = pool->next)
			renew_connections(pool);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	te_multiplexer_arm(&loop.mux, 0);
}

/*
 * Drops everything. A name that is being resolved is left to its thread, which
 * ends with the process at the latest. May be called at any time, also when
 * nothing was started.
 */
void
te_delivery_stop(void)
{
	sigset_t	saved;
	TeTransfer *transfer;

	if (!loop.started)
		return;
	sigprocmask(SIG_SETMASK, &loop.all_signals, &saved);
	for (uint32 i = 0; i < loop.nmultis; i++)
	{
		TeMulti    *multi = loop.multis[i];

		if (multi == NULL)
			continue;
		while (!dlist_is_empty(&multi->transfers))
		{
			transfer = dlist_head_element(TeTransfer, node, &multi->transfers);
			detach_transfer(transfer);
			te_transfer_put(transfer);
		}
		close_multi(multi);
	}
	while ((transfer = pop(&loop.submitted)) != NULL)
		te_transfer_put(transfer);
	while ((transfer = pop(&loop.finished)) != NULL)
		te_transfer_put(transfer);
	te_transfer_trim(0);
	sigprocmask(SIG_SETMASK, &saved, NULL);

	for (int i = 0; i < NPOOL_CHAINS; i++)
		while (loop.pools[i])
		{
			TePool	   *pool = loop.pools[i];

			loop.pools[i] = pool->next;
			free(pool);
		}
	free(loop.multis);
	te_multiplexer_close(&loop.mux);
	ReleaseExternalFD();
	ReleaseExternalFD();
	memset(&loop, 0, sizeof(loop));
	loop.mux.epoll_fd = -1;
}

/* ---- what may be handed over ---- */

/*
 * Most messages of a pool under way. HTTP/1.1, and a receiver that has not
 * answered yet, gets no more than twice its connections: enough to claim a half
 * while the other keeps them busy, and a slow receiver's messages wait in the
 * queue rather than inside their time limit.
 */
static int
pool_limit(const TePool *pool)
{
	if (pool->multiplexed || pool->many_hosts)
		return pool->limit;
	return Min(pool->limit, 2 * TE_HTTP1_CONNECTIONS);
}

/*
 * Most messages that the provider is given at a time in this process.
 */
int
te_delivery_limit(const TeProvider *provider)
{
	TePool	   *pool = find_pool(provider);

	return pool ? pool_limit(pool) : 1;
}

/*
 * How many messages the provider may be given now: what its limit leaves and
 * its rate allows.
 */
int
te_delivery_capacity(const TeProvider *provider, TimestampTz real_now)
{
	TePool	   *pool = find_pool(provider);
	int			limit;

	if (pool == NULL)
		return 0;
	limit = pool_limit(pool);
	if (pool->in_flight >= limit)
		return 0;
	te_bucket_refill(&pool->bucket, provider->rate / te_guc_workers, real_now);
	return Min(limit - pool->in_flight, te_bucket_available(&pool->bucket, real_now));
}

/*
 * Microseconds until the provider's rate allows the next message; 0 = now.
 */
int64
te_delivery_next_token_us(const TeProvider *provider, TimestampTz real_now)
{
	TePool	   *pool = find_pool(provider);

	if (pool == NULL)
		return DEFAULT_HOLD_US;
	te_bucket_refill(&pool->bucket, provider->rate / te_guc_workers, real_now);
	return te_bucket_wait_us(&pool->bucket, real_now);
}

/*
 * Takes a message over; it starts with the next te_delivery_drive(), and its
 * result comes from te_delivery_next() whatever happens.
 */
void
te_delivery_submit(const TeProvider *provider, const TeMessage *message)
{
	TeTransfer *transfer = te_transfer_get();
	TePool	   *pool = find_pool(provider);

	loop.in_flight++;
	if (!te_transfer_prepare(transfer, provider, message))
		finish(transfer);
	else if (pool == NULL)
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		finish(transfer);
	}
	else
	{
		transfer->pool = pool;
		pool->in_flight++;
		pool->many_hosts |= transfer->own_address;
		te_bucket_take(&pool->bucket);
		push(&loop.submitted, transfer);
	}
	te_multiplexer_arm(&loop.mux, 0);
}

/*
 * Transfers that were submitted and not yet taken back. Never throws.
 */
int
te_delivery_in_flight(void)
{
	return loop.in_flight;
}

/* ---- the loop ---- */

/*
 * A receiver closes an HTTP/2 connection after a number of messages (nginx:
 * 1000), and refuses those that are under way by then; libcurl's repeat of them
 * cannot be told from one that would double them, so it is not let through and
 * they end as ambiguous. Keeping below the number avoids all of it. A connection
 * that has carried little was closed for another reason.
 */
static void
learn_life(TeMulti *multi)
{
	TePool	   *pool = multi->pool;
	int64		carries = multi->answered / 4 * 3;

	if (multi == pool->multi && pool->multiplexed && carries >= MIN_CARRIES &&
		(pool->carries == 0 || carries < pool->carries))
		pool->carries = carries;
}

/*
 * Collects the finished transfers of a multi. When a message ran into its time
 * limit and nothing has been answered since it was handed over, the connections
 * are taken for dead: libcurl would go on using one that speaks HTTP/2.
 */
static void
collect_finished(TeMulti *multi, int64 now_us)
{
	TePool	   *pool = multi->pool;
	bool		dead = false;
	CURLMsg    *message;
	int			left;

	multi->touched = false;
	while ((message = curl_multi_info_read(multi->curl, &left)) != NULL)
	{
		CURLcode	code = message->data.result;
		TeTransfer *transfer;

		if (message->msg != CURLMSG_DONE ||
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer) != CURLE_OK)
			continue;
		te_transfer_collect(transfer, code, now_us);
		detach_transfer(transfer);
		multi->used_us = now_us;
		if (transfer->status != 0)
		{
			bool		multiplexed = transfer->http_version >= CURL_HTTP_VERSION_2_0;

			multi->answered++;
			multi->answered_us = now_us;
			if (multiplexed != pool->multiplexed)
			{
				pool->multiplexed = multiplexed;
				set_limits(multi);
			}
		}
		else if (transfer->repeat_refused)
			learn_life(multi);
		else if (code == CURLE_OPERATION_TIMEDOUT && te_transfer_may_be_sent(transfer) &&
				 multi->answered_us < transfer->started_us)
			dead = true;
		finish(transfer);
	}
	if (dead && multi == pool->multi)
		renew_connections(pool);
	else if (multi != pool->multi && multi->under_way == 0)
		close_multi(multi);
}

/*
 * Hands some submitted messages to libcurl; all at once could take it long, as
 * each may need a connection. Returns whether there were any.
 */
static bool
start_some(void)
{
	TeTransfer *transfer;
	int			count = 0;

	while (count < STARTED_AT_ONCE && (transfer = pop(&loop.submitted)) != NULL)
	{
		start_transfer(transfer);
		count++;
	}
	return count > 0;
}

/*
 * Calls libcurl for the timers that have run out. Returns whether there were any.
 */
static bool
run_timers(int64 now_us)
{
	bool		any = false;
	int			running;

	for (uint32 i = 0; i < loop.nmultis; i++)
	{
		TeMulti    *multi = loop.multis[i];

		if (multi == NULL || multi->deadline_us > now_us)
			continue;
		multi->deadline_us = TE_NEVER;
		(void) curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
		multi->touched = true;
		any = true;
	}
	return any;
}

/*
 * Calls libcurl for the sockets that are ready, until the time is up; the rest
 * will be reported again. Returns whether there were any.
 */
static bool
run_sockets(int64 end_us)
{
	TeReady		ready[MAX_READY];
	int			nready = te_multiplexer_poll(&loop.mux, ready, MAX_READY);
	int			running;

	for (int i = 0; i < nready; i++)
	{
		TeMulti    *multi = ready[i].tag < loop.nmultis ? loop.multis[ready[i].tag] : NULL;
		int			what = (ready[i].readable ? CURL_CSELECT_IN : 0) |
			(ready[i].writable ? CURL_CSELECT_OUT : 0) |
			(ready[i].failed ? CURL_CSELECT_ERR : 0);

		if (multi == NULL)
			continue;
		(void) curl_multi_socket_action(multi->curl, ready[i].fd, what, &running);
		multi->touched = true;
		if (te_monotonic_us() >= end_us)
			break;
	}
	return nready > 0;
}

/*
 * Arms the timer for whatever comes next.
 */
static void
arm_timer(void)
{
	int64		next_us = loop.submitted.head ? 0 : loop.sweep_us;

	for (uint32 i = 0; i < loop.nmultis; i++)
		if (loop.multis[i])
			next_us = Min(next_us, loop.multis[i]->deadline_us);
	te_multiplexer_arm(&loop.mux, next_us);
}

/*
 * Does what there is to do, for about budget_us microseconds at most, and
 * leaves the descriptor readable when something is left. Afterwards
 * te_delivery_next() is to be called until it has nothing.
 */
void
te_delivery_drive(int budget_us)
{
	sigset_t	saved;
	int64		now_us = te_monotonic_us();
	int64		end_us = now_us + budget_us;
	bool		busy;

	if (!loop.started)
		return;
	sigprocmask(SIG_SETMASK, &loop.all_signals, &saved);
	do
	{
		busy = start_some();
		busy |= run_timers(now_us);
		busy |= run_sockets(end_us);
		now_us = te_monotonic_us();
		for (uint32 i = 0; i < loop.nmultis; i++)
			if (loop.multis[i] && loop.multis[i]->touched)
				collect_finished(loop.multis[i], now_us);
	} while (busy && now_us < end_us);
	if (now_us >= loop.sweep_us)
		sweep(now_us);
	arm_timer();
	sigprocmask(SIG_SETMASK, &saved, NULL);
}

/*
 * Takes one finished hand-over; false when there is none. A provider that says
 * "too fast" gets nothing more for as long as it asked, at most a minute; on a
 * virtual clock, where real time means nothing, the message's own delay is all.
 */
bool
te_delivery_next(TeResult *result)
{
	TeTransfer *transfer = pop(&loop.finished);

	if (transfer == NULL)
		return false;
	te_transfer_result(transfer, result);
	if (result->outcome == TE_OUTCOME_THROTTLED && transfer->pool &&
		!transfer->own_address && !te_clock_is_virtual())
		te_bucket_hold(&transfer->pool->bucket, GetCurrentTimestamp(),
					   result->retry_after_us > 0 ? result->retry_after_us : DEFAULT_HOLD_US);
	te_transfer_put(transfer);
	loop.in_flight--;
	return true;
}
