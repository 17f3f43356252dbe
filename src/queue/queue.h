/*
 * queue.h
 *		Due rows: claiming them, recording what became of them.
 *
 * Everything needs a transaction with SPI connected, and may throw, unless said
 * otherwise.
 */
#pragma once

#include "postgres.h"

#include "decide/decide.h"
#include "worker/worker.h"

/*
 * What was claimed in one transaction. Items, and all they point to, live in the
 * batch's context, which goes when every item is settled.
 */
typedef struct TeBatch
{
	int64		id;				/* 0 until the row is written */
	MemoryContext context;
	int			count;
	int			size;
	TeItem	  **items;
	int			unsettled;		/* to be handed over, and not yet recorded */
	int			settling;		/* of those, in the record being written */
} TeBatch;

/* Where the owner of a shard stands in the queue of a lane. */
typedef struct TeCursor
{
	TimestampTz due_at;			/* rows before (due_at, event_id) were seen */
	int64		event_id;
	TimestampTz next_due;		/* when the lane is worth a look; DT_NOEND = not */
} TeCursor;

/* claim.c */
extern TeBatch *te_queue_batch(MemoryContext parent);
extern int	te_queue_claim(TeBatch *batch, int lane, int shard, int nshards, TeCursor *cursor,
						   TimestampTz now, int limit);
extern void te_queue_survey(TeCursor *cursors);
extern TimestampTz te_queue_next_due(int lane, TimestampTz after);

/* decision.c, settle.c */
extern void te_queue_record_decisions(TeBatch *batch, int shard, TimestampTz now);
extern void te_queue_recheck(TeItem **items, int count, TimestampTz now);
extern void te_queue_record_outcomes(TeItem **items, int count, TimestampTz now);

/* outcome.c: what an outcome means for the send; does not throw */
extern bool te_queue_settle(TeItem *item, const TeResult *result, TimestampTz now);

/* recover.c */
extern int	te_queue_recover(int shard, int nshards, TimestampTz now);
extern void te_queue_leave(int shard);
extern void te_queue_quarantine(TeItem *item, const char *message, TimestampTz now);
