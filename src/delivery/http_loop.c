/*
 * http_loop.c
 *		The loop of hand-overs: libcurl's multi handles behind one descriptor.
 *
 * Every provider has a pool (http_pool.c) with connections of its own, so that
 * none waits for another.
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
#define MAX_READY 64
#define STARTED_AT_ONCE 32
/* A multi without messages is closed after this, with its idle connections. */
#define IDLE_MULTI_US (120 * INT64CONST(1000000))
#define SWEEP_US (60 * INT64CONST(1000000))
#define KEPT_TRANSFERS 64
/* Silence for a provider that says "too fast" and does not say for how long. */
#define DEFAULT_HOLD_US 1000000

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

/*
 * A transfer has ended: it leaves its pool and can be taken.
 */
void
te_loop_finish(TeTransfer *transfer)
{
	if (transfer->pool)
		transfer->pool->in_flight--;
	if (transfer->is_token)
	{
		te_token_finished(transfer);
		te_transfer_put(transfer);
		return;
	}
	push(&loop.finished, transfer);
}

/*
 * Has a transfer started by the next te_delivery_drive().
 */
void
te_loop_start(TeTransfer *transfer)
{
	push(&loop.submitted, transfer);
}

/*
 * Closes multis that are retired and empty or have long been idle, and frees
 * what was kept for a load that has gone.
 */
static void
sweep(int64 now_us)
{
	bool		any = false;

	for (uint32 i = 0; i < te_pools.nmultis; i++)
	{
		TeMulti    *multi = te_pools.multis[i];

		if (multi && multi->under_way == 0 && now_us - multi->used_us >= IDLE_MULTI_US)
			te_multi_close(multi);
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
	te_pools.mux = &loop.mux;
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
	for (int i = 0; i < TE_POOL_CHAINS; i++)
		for (TePool *pool = te_pools.chains[i]; pool; pool = pool->next)
			te_pool_renew(pool);
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
	for (uint32 i = 0; i < te_pools.nmultis; i++)
	{
		TeMulti    *multi = te_pools.multis[i];

		if (multi == NULL)
			continue;
		while (!dlist_is_empty(&multi->transfers))
		{
			transfer = dlist_head_element(TeTransfer, node, &multi->transfers);
			te_pool_detach(transfer);
			te_transfer_put(transfer);
		}
		te_multi_close(multi);
	}
	while ((transfer = pop(&loop.submitted)) != NULL)
		te_transfer_put(transfer);
	while ((transfer = pop(&loop.finished)) != NULL)
		te_transfer_put(transfer);
	for (int i = 0; i < TE_POOL_CHAINS; i++)
		while (te_pools.chains[i])
		{
			TePool	   *pool = te_pools.chains[i];

			te_pools.chains[i] = pool->next;
			te_token_forget(pool);
			while ((transfer = pool->waiting) != NULL)
			{
				pool->waiting = transfer->next;
				te_transfer_put(transfer);
			}
			free(pool);
		}
	te_transfer_trim(0);
	sigprocmask(SIG_SETMASK, &saved, NULL);

	free(te_pools.multis);
	memset(&te_pools, 0, sizeof(te_pools));
	te_multiplexer_close(&loop.mux);
	ReleaseExternalFD();
	ReleaseExternalFD();
	memset(&loop, 0, sizeof(loop));
	loop.mux.epoll_fd = -1;
}

/* ---- what may be handed over ---- */

/*
 * Most messages that the provider is given at a time in this process.
 */
int
te_delivery_limit(const TeProvider *provider)
{
	TePool	   *pool = te_pool_find(provider);

	return pool ? te_pool_limit(pool) : 1;
}

/*
 * How many messages the provider may be given now: what its limit leaves and
 * its rate allows.
 */
int
te_delivery_capacity(const TeProvider *provider, TimestampTz real_now)
{
	TePool	   *pool = te_pool_find(provider);
	int			limit;

	if (pool == NULL)
		return 0;
	limit = te_pool_limit(pool);
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
	TePool	   *pool = te_pool_find(provider);

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
	TePool	   *pool = te_pool_find(provider);

	loop.in_flight++;
	if (!te_transfer_prepare(transfer, provider, message))
		te_loop_finish(transfer);
	else if (pool == NULL)
	{
		te_transfer_end_early(transfer, TE_OUTCOME_NOT_SENT, "out of memory");
		te_loop_finish(transfer);
	}
	else
	{
		transfer->pool = pool;
		pool->in_flight++;
		pool->many_hosts |= transfer->own_address;
		te_bucket_take(&pool->bucket);
		if (te_token_ready(pool, provider, transfer))
			te_loop_start(transfer);
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
		te_pool_detach(transfer);
		multi->used_us = now_us;
		if (transfer->status != 0)
		{
			bool		multiplexed = transfer->http_version >= CURL_HTTP_VERSION_2_0;

			multi->answered++;
			multi->answered_us = now_us;
			pool->answered = true;
			if (multiplexed != pool->multiplexed)
			{
				pool->multiplexed = multiplexed;
				te_pool_set_limits(multi);
			}
		}
		else if (transfer->repeat_refused)
			te_pool_learn_life(multi);
		else if (code == CURLE_OPERATION_TIMEDOUT && te_transfer_may_be_sent(transfer) &&
				 multi->answered_us < transfer->started_us)
			dead = true;
		te_loop_finish(transfer);
	}
	if (dead && multi == pool->multi)
		te_pool_renew(pool);
	else if (multi != pool->multi && multi->under_way == 0)
		te_multi_close(multi);
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
		te_pool_start(transfer);
		count++;
	}
	if (count > 0 && loop.sweep_us == TE_NEVER)
		loop.sweep_us = te_monotonic_us() + SWEEP_US;
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

	for (uint32 i = 0; i < te_pools.nmultis; i++)
	{
		TeMulti    *multi = te_pools.multis[i];

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
		TeMulti    *multi = ready[i].tag < te_pools.nmultis ? te_pools.multis[ready[i].tag] : NULL;
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

	for (uint32 i = 0; i < te_pools.nmultis; i++)
		if (te_pools.multis[i])
			next_us = Min(next_us, te_pools.multis[i]->deadline_us);
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
		for (uint32 i = 0; i < te_pools.nmultis; i++)
			if (te_pools.multis[i] && te_pools.multis[i]->touched)
				collect_finished(te_pools.multis[i], now_us);
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
	if (result->outcome == TE_OUTCOME_AUTH && transfer->pool)
		te_token_refused(transfer->pool, transfer);
	if (result->outcome == TE_OUTCOME_THROTTLED && transfer->pool && !result->target_only &&
		!transfer->own_address && !te_clock_is_virtual())
		te_bucket_hold(&transfer->pool->bucket, GetCurrentTimestamp(),
					   result->retry_after_us > 0 ? result->retry_after_us : DEFAULT_HOLD_US);
	te_transfer_put(transfer);
	loop.in_flight--;
	return true;
}
