/*
 * record_internal.h
 *		Rows that both decisions and outcomes write.
 */
#pragma once

#include "common/common.h"
#include "queue/queue.h"

extern void te_queue_set_run(Datum *values, const TeItem *item);
extern void te_queue_set_text(Datum *values, bool *nulls, int i, const char *text);

extern void te_queue_init_due(TeRows *rows);
extern void te_queue_add_due(TeRows *rows, const TeItem *item, const char *step, int lane,
							 TimestampTz due, bool again, int holds, const char *note);
extern void te_queue_insert_due(TeRows *rows);

extern void te_queue_init_sends(TeRows *rows);
extern void te_queue_add_send(TeRows *rows, const TeItem *item, TimestampTz now);
extern void te_queue_insert_sends(TeRows *rows);
