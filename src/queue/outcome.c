/*
 * outcome.c
 *		What the outcome of an attempt means for its send. Pure: no database.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "common/common.h"
#include "queue/queue.h"

/* Waits before the next attempt, after Standard Webhooks; then the send has failed. */
static const int64 retry_seconds[] = {5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};

/*
 * Spreads retries by up to a fifth, the same for every look at the same attempt.
 */
static int64
jitter(const TeItem *item, int64 wait_us)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) item->user_id, strlen(item->user_id),
										   item->send_id * 31 + item->attempt);

	return wait_us + (int64) (hash % 1000) * (wait_us / 5) / 1000;
}

/*
 * Has the item tried again later, or ends it when it was tried often enough.
 */
static bool
retry(TeItem *item, int64 at_least_us, TimestampTz now)
{
	int64		wait;

	if (item->attempt > lengthof(retry_seconds))
		return false;
	wait = jitter(item, retry_seconds[item->attempt - 1] * USECS_PER_SEC);
	item->hold_until = now + Max(wait, at_least_us);
	item->state = NULL;
	return true;
}

/*
 * Takes a result into its item: sets the send's state, or none when it is to be
 * tried again at item->hold_until. The strings are copied into the batch's
 * context. Returns whether the send was accepted.
 */
bool
te_queue_settle(TeItem *item, const TeResult *result, TimestampTz now)
{
	MemoryContext context = item->batch->context;

	item->outcome = result->outcome;
	item->status = result->status;
	item->took_us = result->took_us;
	item->retry_after_us = result->retry_after_us;
	item->dead_since = result->dead_since;
	item->finished_at = now;
	item->reason = result->reason[0] ? MemoryContextStrdup(context, result->reason) : NULL;
	item->provider_ref = result->provider_ref[0] ? MemoryContextStrdup(context, result->provider_ref) : NULL;
	item->response = result->response[0] ? MemoryContextStrdup(context, result->response) : NULL;

	switch (result->outcome)
	{
		case TE_OUTCOME_ACCEPTED:
			item->state = "accepted";
			return true;
		case TE_OUTCOME_REJECTED:
		case TE_OUTCOME_TARGET_DEAD:
			item->state = "rejected";
			item->gate = TE_GATE_PROVIDER;
			return false;
		case TE_OUTCOME_THROTTLED:
		case TE_OUTCOME_RETRY:
		case TE_OUTCOME_AUTH:
		case TE_OUTCOME_CONFIG:
		case TE_OUTCOME_NOT_SENT:
			if (!retry(item, result->retry_after_us, now))
			{
				item->state = "rejected";
				item->gate = TE_GATE_PROVIDER;
			}
			return false;
		case TE_OUTCOME_AMBIGUOUS:
			/* only a receiver that honours our key, or a message that must arrive */
			if (!(item->idempotent || item->transactional) || !retry(item, result->retry_after_us, now))
			{
				item->state = "unknown";
				item->gate = TE_GATE_PROVIDER;
			}
			return false;
	}
	return false;
}
