/*
 * delivery_worker.c
 *		The delivery worker's loop: claim, decide, hand over, record.
 *
 * No transaction is open while it waits, and it waits in one place only. What the
 * loop keeps in memory can be lost at any moment: the batch row, committed before
 * anything is handed over, stands for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "compat.h"
#include "decide/decide.h"
#include "delivery/delivery.h"
#include "guc.h"
#include "queue/queue.h"
#include "worker/worker.h"

PGDLLEXPORT void te_delivery_worker_main(Datum arg);

/* Longest time a result waits for others to be recorded with, and while none is under way. */
#define FLUSH_DELAY (50 * USECS_PER_SEC / 1000)
#define QUIET_FLUSH_DELAY (5 * USECS_PER_SEC / 1000)
/* The survey of all lanes may take this share of the time at most. */
#define SURVEY_SHARE 20
#define FIRST_BACKOFF (USECS_PER_SEC)
#define LONGEST_BACKOFF (60 * USECS_PER_SEC)
#define DRIVE_BUDGET_US 5000
#define EVENTS 3

/* Everything the loop knows; of this process. */
typedef struct Loop
{
	TeWorkerSlot *slot;
	int			shard;
	MemoryContext batches;		/* parent of the contexts of batches */
	MemoryContext round;		/* reset at every turn */
	WaitEventSet *wait_set;
	uint32		wait_event;

	TeCursor	cursors[TE_LANES];
	int			first_lane;		/* where the next claim begins, for fairness */
	TimestampTz next_survey;	/* real time */
	bool		recovered;		/* batches of an earlier life are settled */
	TeVerdict	verdict;
	TimestampTz next_check;		/* real time, while idle */

	MemoryContext provider_context;
	List	   *providers;
	uint64		provider_generation;

	int			unsettled;		/* items of open batches */
	TeItem	  **settled;		/* with an outcome, not yet recorded */
	int			nsettled;
	int			settled_size;
	TimestampTz oldest_settled; /* real time */

	TimestampTz retry_at;		/* real time, after a failed transaction */
	int			failures;		/* in a row */
	int			careful;		/* claims of one row to go, after a failed claim */
	bool		leaving;		/* open batches are marked as those of an orderly end */
} Loop;

static Loop loop;

/* What one claim needs and tells. */
typedef struct Claim
{
	TeBatch    *batch;
	TimestampTz now;
	int			most;
	bool		recovered;
	bool		surveyed;
} Claim;

/*
 * Backs off after a failed transaction.
 */
static void
back_off(void)
{
	int64		wait = FIRST_BACKOFF << Min(loop.failures, 6);

	loop.failures++;
	loop.retry_at = GetCurrentTimestamp() + Min(wait, LONGEST_BACKOFF);
}

/* ---- claiming ---- */

/*
 * Reads the providers again when configuration changed. In a transaction.
 */
static void
refresh_providers(void)
{
	MemoryContext context;
	uint64		generation = te_journey_generation();
	List	   *providers;

	if (loop.provider_context && loop.provider_generation == generation)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "trigger_engine providers",
									ALLOCSET_SMALL_SIZES);
	providers = te_provider_load(context);
	MemoryContextSetParent(context, TopMemoryContext);
	if (loop.provider_context)
		MemoryContextDelete(loop.provider_context);
	loop.provider_context = context;
	loop.providers = providers;
	loop.provider_generation = generation;
}

/*
 * How many rows of a lane may be claimed now: what its providers can take. While
 * they are busy small claims are put off, as each costs a transaction.
 */
static int
lane_capacity(int lane, TimestampTz real_now)
{
	ListCell   *cell;
	int			capacity = 0;
	int			worth_it = te_guc_batch_size;
	bool		served = false;

	if (lane == 0)
		return te_guc_batch_size;
	foreach(cell, loop.providers)
	{
		TeProvider *provider = lfirst(cell);
		int			limit = te_delivery_limit(provider);
		int			free;

		if (provider->lane != lane)
			continue;
		served = true;
		free = provider->active ? te_delivery_capacity(provider, real_now) : te_guc_batch_size;
		capacity += free;
		if (provider->rate > 0 || free >= limit)
			worth_it = 1;
		worth_it = Min(worth_it, Max(1, limit / 2));
	}
	if (!served)
		return te_guc_batch_size;	/* to be decided as without a provider */
	return capacity >= worth_it ? capacity : 0;
}

/*
 * True when a lane has rows that are due and room for them.
 */
static bool
lane_is_ready(int lane, TimestampTz now, TimestampTz real_now)
{
	return loop.cursors[lane].next_due <= now && lane_capacity(lane, real_now) > 0;
}

/*
 * Claims, decides and writes; in one transaction.
 */
static void
claim_work(void *arg)
{
	Claim	   *claim = arg;
	TimestampTz real_now = GetCurrentTimestamp();
	char	   *reason;
	int			i;

	loop.verdict = te_worker_check(loop.slot, &reason);
	if (loop.verdict != TE_RUN)
		return;
	if (!loop.recovered)
	{
		int			n = te_queue_recover(loop.shard, te_guc_workers, claim->now);

		claim->recovered = true;
		if (n > 0)
			ereport(LOG,
					(errmsg("trigger_engine: %d sends were under way when an earlier worker ended", n),
					 errhint("See the view trigger_engine.sends for those in state unknown.")));
	}
	if (!loop.recovered || real_now >= loop.next_survey)
	{
		TimestampTz began = GetCurrentTimestamp();

		te_queue_survey(loop.cursors);
		claim->surveyed = true;
		loop.next_survey = GetCurrentTimestamp();
		/* what recovery put back shows after its commit only: then look at once */
		if (loop.recovered)
			loop.next_survey += Max(te_guc_poll_interval * INT64CONST(1000),
									(loop.next_survey - began) * SURVEY_SHARE);
	}
	te_journey_refresh();
	refresh_providers();
	MemoryContextSwitchTo(claim->batch->context);
	for (i = 0; i < TE_LANES && claim->batch->count < claim->most; i++)
	{
		int			lane = (loop.first_lane + i) % TE_LANES;

		if (!lane_is_ready(lane, claim->now, real_now))
			continue;
		te_queue_claim(claim->batch, lane, loop.shard, te_guc_workers, &loop.cursors[lane], claim->now,
					   Min(lane_capacity(lane, real_now), claim->most - claim->batch->count));
	}
	if (claim->batch->count > 0)
	{
		if (te_decide(claim->batch->items, claim->batch->count, loop.providers, claim->now))
		{
			te_journey_distrust();
			te_journey_refresh();
			refresh_providers();
			(void) te_decide(claim->batch->items, claim->batch->count, loop.providers, claim->now);
		}
		te_queue_record_decisions(claim->batch, loop.shard, claim->now);

		/* a batch that a crash could take back would go out again as another one */
		if (claim->batch->unsettled > 0)
			ForceSyncCommit();
	}
}

/* A row that fails alone, and how. */
typedef struct Poison
{
	TeItem	   *item;
	ErrorData  *failure;
} Poison;

/*
 * Quarantines a poisonous row; runs in a transaction of its own.
 */
static void
quarantine_work(void *arg)
{
	Poison	   *poison = arg;

	te_queue_quarantine(poison->item, poison->failure->message, te_clock_now());
}

/*
 * After a failed claim. What fails for reasons of the server is tried again later;
 * otherwise rows are claimed one by one, so that only the one at fault is taken
 * out of the queue, and only when it fails a second time.
 */
static void
claim_failed(Claim *claim, ErrorData *failure)
{
	bool		transient = false;

	switch (ERRCODE_TO_CATEGORY(failure->sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			transient = true;
			break;
	}
	if (transient || claim->batch->count == 0)
		back_off();
	else if (loop.careful == 0)
		loop.careful = claim->batch->count;
	else
	{
		Poison		poison = {claim->batch->items[0], failure};

		if (te_db_transaction(quarantine_work, &poison, LOG, NULL))
			loop.careful--;
		else
			back_off();
	}
}

typedef struct Recheck
{
	TeItem	  **items;
	int			count;
	TimestampTz now;
} Recheck;

/*
 * Checks claimed items again; runs in a transaction, results live with the batch.
 */
static void
recheck_work(void *arg)
{
	Recheck    *recheck = arg;

	MemoryContextSwitchTo(recheck->items[0]->batch->context);
	te_queue_recheck(recheck->items, recheck->count, recheck->now);
}

/*
 * Notes that an item has an outcome.
 */
static void
settle(TeItem *item)
{
	if (loop.nsettled == loop.settled_size)
	{
		loop.settled_size = Max(loop.settled_size * 2, 1024);
		loop.settled = loop.settled
			? repalloc(loop.settled, sizeof(TeItem *) * loop.settled_size)
			: MemoryContextAlloc(TopMemoryContext, sizeof(TeItem *) * loop.settled_size);
	}
	if (loop.nsettled == 0)
		loop.oldest_settled = GetCurrentTimestamp();
	loop.settled[loop.nsettled++] = item;
}

/*
 * The provider an item was decided for; NULL when it is gone since.
 */
static TeProvider *
provider_of(const TeItem *item)
{
	ListCell   *cell;

	foreach(cell, loop.providers)
	{
		TeProvider *provider = lfirst(cell);

		if (provider->id == item->provider_id)
			return provider;
	}
	return NULL;
}

/*
 * Hands one item over.
 */
static void
hand_over(TeItem *item)
{
	TeProvider *provider = provider_of(item);
	TeMessage	message = {0};

	message.item = item;
	message.send_id = item->send_id;
	message.message_id = item->message_id;
	message.address = item->address;
	message.url = item->url;
	message.own_url = item->own_url;
	message.headers = item->headers;
	message.body = item->body;
	message.body_len = item->body_len;
	item->handed_over_at = te_clock_now();
	te_delivery_submit(provider, &message);
}

/*
 * Hands a committed batch over, after the second look.
 */
static void
hand_over_batch(TeBatch *batch)
{
	Recheck		recheck = {0};
	bool		checked;
	int			i;

	recheck.items = MemoryContextAlloc(batch->context, sizeof(TeItem *) * batch->count);
	for (i = 0; i < batch->count; i++)
		if (batch->items[i]->verdict == TE_PASS && batch->items[i]->state == NULL)
			recheck.items[recheck.count++] = batch->items[i];
	if (recheck.count == 0)
	{
		MemoryContextDelete(batch->context);
		return;
	}
	loop.unsettled += recheck.count;
	TE_DEBUG_POINT("before_recheck");
	recheck.now = te_clock_now();
	checked = te_db_transaction(recheck_work, &recheck, LOG, NULL);
	TE_DEBUG_POINT("before_hand_over");
	MemoryContextSwitchTo(batch->context);
	for (i = 0; i < recheck.count; i++)
	{
		TeItem	   *item = recheck.items[i];

		if (item->state != NULL)
			settle(item);
		else if (!checked || provider_of(item) == NULL)
		{
			TeResult	result = {item, TE_OUTCOME_NOT_SENT};

			strlcpy(result.reason, checked ? "the provider was dropped" : "the second look failed",
					sizeof(result.reason));
			item->handed_over_at = recheck.now;
			te_queue_settle(item, &result, recheck.now);
			settle(item);
		}
		else
			hand_over(item);
	}
}

/*
 * One claim, and the hand-over of what it yields.
 */
static void
claim_and_hand_over(int most)
{
	Claim		claim = {0};
	TeCursor	saved[TE_LANES];
	ErrorData  *failure = NULL;
	TeBatch    *batch = te_queue_batch(loop.batches);

	claim.batch = batch;
	claim.now = te_clock_now();
	claim.most = loop.careful > 0 ? 1 : most;
	memcpy(saved, loop.cursors, sizeof(saved));
	loop.verdict = TE_IDLE;
	pgstat_report_activity(STATE_RUNNING, "claiming due rows");
	if (!te_db_transaction(claim_work, &claim, LOG, &failure))
	{
		memcpy(loop.cursors, saved, sizeof(saved));
		loop.verdict = TE_RUN;
		claim_failed(&claim, failure);
		MemoryContextDelete(batch->context);
		return;
	}
	pgstat_report_activity(STATE_IDLE, NULL);
	loop.failures = 0;
	loop.next_check = GetCurrentTimestamp() + te_worker_idle_timeout() * 1000;
	if (loop.verdict != TE_RUN)
	{
		MemoryContextDelete(batch->context);
		return;
	}
	loop.recovered = true;
	if (loop.careful > 0)
		loop.careful = batch->count > 0 ? loop.careful - 1 : 0;
	if (batch->count > 0)
	{
		int			i;

		loop.first_lane = (loop.first_lane + 1) % TE_LANES;
		pg_atomic_fetch_add_u64(&loop.slot->claimed, batch->count);
		for (i = 0; i < batch->count; i++)
		{
			if (batch->items[i]->state && strcmp(batch->items[i]->state, "accepted") == 0)
				pg_atomic_fetch_add_u64(&loop.slot->accepted, 1);
			else if (batch->items[i]->verdict == TE_WITHHOLD)
				pg_atomic_fetch_add_u64(&loop.slot->withheld, 1);
		}
	}
	hand_over_batch(batch);
}

/* ---- recording ---- */

/*
 * Writes the outcomes that are in; runs in a transaction of its own.
 */
static void
record_work(void *arg)
{
	te_queue_record_outcomes(loop.settled, loop.nsettled, te_clock_now());
}

/*
 * Records all settled items and frees the batches that are done.
 */
static void
record(void)
{
	int			i;

	pgstat_report_activity(STATE_RUNNING, "recording outcomes");
	if (!te_db_transaction(record_work, NULL, LOG, NULL))
	{
		back_off();
		loop.verdict = TE_IDLE;	/* look first whether the extension is still there */
		loop.next_check = 0;
		return;
	}
	pgstat_report_activity(STATE_IDLE, NULL);
	for (i = 0; i < loop.nsettled; i++)
	{
		TeBatch    *batch = loop.settled[i]->batch;

		loop.unsettled--;
		if (--batch->unsettled == 0)
			MemoryContextDelete(batch->context);
	}
	loop.nsettled = 0;
}

/*
 * When the results that are there should be recorded. Not at once: what comes in
 * meanwhile would have to wait for that transaction.
 */
static TimestampTz
record_at(void)
{
	if (loop.nsettled >= te_guc_batch_size || loop.verdict != TE_RUN || te_worker_stop_requested)
		return loop.oldest_settled;
	return loop.oldest_settled + (te_delivery_in_flight() == 0 ? QUIET_FLUSH_DELAY : FLUSH_DELAY);
}

/*
 * True when results should be recorded now.
 */
static bool
should_record(TimestampTz real_now)
{
	return loop.nsettled > 0 && real_now >= loop.retry_at && real_now >= record_at();
}

/*
 * Takes finished hand-overs from the delivery loop.
 */
static void
collect(void)
{
	TeResult	result;

	while (te_delivery_next(&result))
	{
		TeItem	   *item = result.item;

		if (te_queue_settle(item, &result, te_clock_now()))
			pg_atomic_fetch_add_u64(&loop.slot->accepted, 1);
		else
			pg_atomic_fetch_add_u64(&loop.slot->failed, 1);
		settle(item);
	}
}

/* ---- waiting ---- */

/*
 * Moves the cursors to where committing sessions point.
 */
static void
take_hints(void)
{
	int			lane;

	for (lane = 0; lane < TE_LANES; lane++)
	{
		TimestampTz hint = te_wake_take_hint(loop.slot, lane);
		TeCursor   *cursor = &loop.cursors[lane];

		/* of the same instant there may be rows before the cursor, too */
		if (hint <= cursor->due_at && hint != DT_NOEND)
		{
			cursor->due_at = hint;
			cursor->event_id = PG_INT64_MIN;
		}
		cursor->next_due = Min(cursor->next_due, hint);
	}
}

/*
 * When the next lane comes due, on the engine's clock; DT_NOEND when none does.
 * Lanes whose providers are busy are left out: an answer will wake the loop.
 */
static TimestampTz
next_due(TimestampTz now, TimestampTz real_now, int64 *token_us)
{
	TimestampTz next = DT_NOEND;
	ListCell   *cell;
	int			lane;

	*token_us = PG_INT64_MAX;
	for (lane = 0; lane < TE_LANES; lane++)
	{
		TimestampTz due = loop.cursors[lane].next_due;

		if (due > now || lane_capacity(lane, real_now) > 0)
			next = Min(next, due);
	}
	foreach(cell, loop.providers)
	{
		TeProvider *provider = lfirst(cell);

		if (loop.cursors[provider->lane].next_due <= now && provider->active)
		{
			int64		wait = te_delivery_next_token_us(provider, real_now);

			if (wait > 0)
				*token_us = Min(*token_us, wait);
		}
	}
	return next;
}

/*
 * Sleeps until there is something to do, at the loop's only wait.
 */
static void
wait_for_work(void)
{
	TimestampTz real_now = GetCurrentTimestamp();
	TimestampTz now = te_clock_now();
	TimestampTz due = DT_NOEND;
	int64		wait = te_guc_poll_interval * INT64CONST(1000);
	int64		token_us = PG_INT64_MAX;
	WaitEvent	events[EVENTS];

	if (loop.verdict == TE_RUN && !te_worker_stop_requested)
	{
		due = next_due(now, real_now, &token_us);
		if (due <= now)
			wait = 0;
		else if (due != DT_NOEND && !te_clock_is_virtual())
			wait = Min(wait, due - now);
		wait = Min(wait, token_us);
		wait = Min(wait, Max(loop.next_survey - real_now, 0));
	}
	else
		wait = Min(wait, Max(loop.next_check - real_now, 1000));
	if (should_record(real_now))
		wait = 0;
	else if (loop.nsettled > 0)
		wait = Min(wait, Max(record_at() - real_now, 0));
	if (real_now < loop.retry_at)
		wait = Max(wait, Min(loop.retry_at - real_now, USECS_PER_SEC));

	/* what is due after the next look needs no signal: the look finds its hint */
	if (!te_clock_is_virtual())
		due = Min(due, now + wait);

	Assert(!IsTransactionState());
	te_wake_sleep(loop.slot, loop.verdict == TE_RUN ? due : DT_NOBEGIN);
	if (loop.verdict == TE_RUN && te_wake_has_hint(loop.slot) && real_now >= loop.retry_at)
		wait = 0;
	(void) WaitEventSetWait(loop.wait_set, (wait + 999) / 1000, events, EVENTS, loop.wait_event);
	te_wake_up(loop.slot);
	ResetLatch(MyLatch);
}

/*
 * True when a claim is worth a transaction now.
 */
static bool
should_claim(TimestampTz real_now, int most)
{
	TimestampTz now = te_clock_now();
	int			lane;

	if (real_now < loop.retry_at || te_worker_stop_requested)
		return false;
	if (loop.verdict != TE_RUN)
		return real_now >= loop.next_check;
	if (!loop.recovered || real_now >= loop.next_survey)
		return true;
	if (most <= 0)
		return false;
	for (lane = 0; lane < TE_LANES; lane++)
		if (lane_is_ready(lane, now, real_now))
			return true;
	return false;
}

/*
 * Marks the open batches; in a transaction. Without the extension there is nothing
 * to wait for.
 */
static void
leave_work(void *arg)
{
	if (OidIsValid(te_extension_oid(true)))
		te_queue_leave(loop.shard);
	else
		loop.verdict = TE_EXIT;
}

/*
 * Sets up what lives as long as the process.
 */
static void
start(Datum arg)
{
	int			i;

	loop.slot = te_worker_attach(arg);
	loop.shard = te_worker_index();
	loop.batches = AllocSetContextCreate(TopMemoryContext, "trigger_engine batches",
										 ALLOCSET_SMALL_SIZES);
	loop.round = AllocSetContextCreate(TopMemoryContext, "trigger_engine round",
									   ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < TE_LANES; i++)
		loop.cursors[i].due_at = loop.cursors[i].next_due = DT_NOEND;
	loop.verdict = TE_IDLE;
	te_db_prefer_indexes();
	te_journey_register_callbacks();
	te_delivery_start();
	loop.wait_event = te_wait_event("TriggerEngineMain");
	loop.wait_set = te_create_wait_event_set(EVENTS);
	AddWaitEventToSet(loop.wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(loop.wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(loop.wait_set, WL_SOCKET_READABLE, te_delivery_fd(), NULL, NULL);
}

/*
 * One turn of the loop. False when the process should end.
 */
static bool
turn(void)
{
	int			most;

	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		te_delivery_reload();
		te_journey_distrust();	/* secrets in files are read again with the providers */
		loop.next_check = loop.next_survey = 0;
	}
	te_delivery_drive(DRIVE_BUDGET_US);
	collect();
	take_hints();
	if (te_wake_take_attention(loop.slot))
		loop.next_check = loop.next_survey = 0;
	most = Min(te_guc_batch_size, te_guc_max_in_flight - loop.unsettled);
	if (should_claim(GetCurrentTimestamp(), most))
	{
		claim_and_hand_over(Max(most, 0));
		te_delivery_drive(DRIVE_BUDGET_US);
		collect();				/* a near receiver has answered already, and nothing else would wake us */
	}
	if (should_record(GetCurrentTimestamp()))
		record();				/* after new messages, so that they need not wait for it */
	if (loop.verdict == TE_EXIT)
		return false;
	if (te_worker_stop_requested)
	{
		if (te_delivery_in_flight() == 0 && loop.nsettled == 0)
			return false;
		te_worker_set_state(loop.slot, TE_WORKER_DRAINING, NULL);
		if (!loop.leaving)
			(void) te_db_transaction(leave_work, NULL, LOG, NULL);
		loop.leaving = true;
		if (loop.verdict == TE_EXIT || te_guc_drain_timeout == 0)
			return false;
	}
	pg_atomic_write_u32(&loop.slot->in_flight, te_delivery_in_flight());
	pg_atomic_write_u32(&loop.slot->unsettled, loop.unsettled);
	return true;
}

/*
 * Entry point of the process.
 */
void
te_delivery_worker_main(Datum arg)
{
	start(arg);
	for (;;)
	{
		MemoryContextSwitchTo(loop.round);
		if (!turn())
			break;
		wait_for_work();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(loop.round);
	}
	te_delivery_stop();
	proc_exit(0);
}
