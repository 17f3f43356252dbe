/*
 * rate_limit.c
 *		Token bucket: how many messages a provider may get now, and when the next.
 *
 * A bucket holds a tenth of a second's worth, so that no second sees more than
 * 1.1 times the rate, however long the provider was idle before. Buckets live
 * in the process; the caller divides a provider's rate among the workers.
 * Nothing here throws or allocates.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "delivery/delivery_internal.h"

#define BURST_SECONDS 0.1
/* A provider that asks for a longer silence is asked again after this one. */
#define MAX_HOLD (60 * USECS_PER_SEC)

/*
 * Tokens that a provider can save up: a short burst, one at least.
 */
static double
bucket_size(const TeBucket *bucket)
{
	return Max(1.0, bucket->rate * BURST_SECONDS);
}

/*
 * Adds what has dripped in since the last call. A new bucket, and one whose rate
 * has changed from unlimited, starts full. A clock that was set back costs
 * nothing but the time until the next call.
 */
void
te_bucket_refill(TeBucket *bucket, double rate, TimestampTz now)
{
	bool		fresh = bucket->filled_at == 0 || bucket->rate <= 0;

	bucket->rate = rate;
	if (rate <= 0)
		return;
	if (fresh)
		bucket->tokens = bucket_size(bucket);
	else if (now > bucket->filled_at)
		bucket->tokens += (double) (now - bucket->filled_at) / USECS_PER_SEC * rate;
	bucket->tokens = Min(bucket->tokens, bucket_size(bucket));
	bucket->filled_at = now;
}

/*
 * Whether the bucket is held; a hold that lies too far ahead is the trace of a
 * clock that was set back.
 */
static bool
is_held(const TeBucket *bucket, TimestampTz now)
{
	return bucket->held_until > now && bucket->held_until - now <= MAX_HOLD;
}

/*
 * Messages that may go now, after te_bucket_refill().
 */
int
te_bucket_available(const TeBucket *bucket, TimestampTz now)
{
	if (is_held(bucket, now))
		return 0;
	if (bucket->rate <= 0)
		return INT_MAX;
	return bucket->tokens < 1 ? 0 : (int) Min(bucket->tokens, (double) INT_MAX / 2);
}

/*
 * Microseconds until the next message may go; 0 = now.
 */
int64
te_bucket_wait_us(const TeBucket *bucket, TimestampTz now)
{
	int64		wait = 0;

	if (bucket->rate > 0 && bucket->tokens < 1)
		wait = (int64) ceil((1 - bucket->tokens) / bucket->rate * USECS_PER_SEC);
	if (is_held(bucket, now))
		wait = Max(wait, bucket->held_until - now);
	return wait;
}

/*
 * One message goes. The bucket may fall below zero when the caller went past
 * what was available; that is paid back before the next one.
 */
void
te_bucket_take(TeBucket *bucket)
{
	if (bucket->rate > 0)
		bucket->tokens -= 1;
}

/*
 * The provider asked for silence. A shorter request never shortens a longer one.
 */
void
te_bucket_hold(TeBucket *bucket, TimestampTz now, int64 us)
{
	TimestampTz until = now + Min(us, MAX_HOLD);

	if (until > bucket->held_until || !is_held(bucket, now))
		bucket->held_until = until;
}
