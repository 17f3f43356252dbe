/*
 * event.h
 *		From an inserted row to matches: private to this folder, apart from
 *		te_event_register_callbacks().
 */
#pragma once

#include "postgres.h"

#include "commands/trigger.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "journey/journey.h"

/* An event as the trigger sees it, whatever table it came from. */
typedef struct TeEvent
{
	char	   *user_id;
	char	   *name;
	Jsonb	   *properties;
	TimestampTz occurred_at;
	int64		event_id;		/* 0 for rows of tracked tables */
	char	   *source_key;		/* source and primary key: the default entry key */
	char	   *dedupe_key;		/* NULL = none */
	bool		tracked;		/* from an application's table */
	bool		is_new;			/* event_id has just been drawn, for this event alone */
} TeEvent;

/* Longer user ids and dedupe keys are refused; they are part of index keys. */
#define TE_MAX_ID_BYTES 512

/* What the trigger knows about a table it fires on. */
typedef struct TeSource TeSource;

/* event_id.c */
extern bool te_event_take_new_id(int64 event_id);

/* source.c */
extern TeSource *te_event_known_source(TriggerData *trigger);
extern TeSource *te_event_source(TriggerData *trigger);
extern void te_event_read(TeSource *source, TriggerData *trigger, TeEvent *event);
extern Jsonb *te_event_context(TriggerData *trigger);	/* NULL when there is none */
extern void te_event_delete_row(TeSource *source, TriggerData *trigger, const TeEvent *event);

/* exit_log.c: SPI must be connected, as the extension's owner */
extern void te_event_note_exit(const TeRule *rule, const TeEvent *event, const char *reason);

/* tracked.c: when the library is loaded */
extern void te_event_watch_tables(void);

/* erased.c: whether the user was erased; needs a transaction */
extern bool te_event_is_erased(Oid owner, const char *user_id, int len);

/* schema.c: NULL when the properties fulfil the schema, else what is wrong, palloc'ed */
extern char *te_event_violation(Jsonb *schema, Jsonb *properties);

/* match_buffer.c: SPI must be connected, as the extension's owner */
extern bool te_event_enter(const TeJourney *journey, const TeEvent *event);
extern void te_event_leave(const TeRule *rule, const TeEvent *event);
extern void te_event_flush(void);
extern void te_event_flush_run(int64 journey_id, const char *user_id);

/* digest.c: the same */
extern bool te_event_collect(const TeJourney *journey, const TeEvent *event, const char *entry_key,
							 const char *window_key);

/* resume.c: the same */
extern void te_event_resume(const TeRule *rule, const TeEvent *event);

/* trigger.c, milestone.c, sequence.c: the same */
extern void te_event_trigger(const TeRule *rule, const TeEvent *event);
extern void te_event_break_absence(const TeRule *rule, const TeEvent *event);
extern bool te_event_reaches(const TeJourney *journey, const TeEvent *event);
extern bool te_event_completes(const TeJourney *journey, const TeEvent *event);

/* also match_buffer.c; at any time */
extern void te_event_init(void);
extern void te_event_register_callbacks(void);
extern bool te_event_begin_work(void);
extern void te_event_end_work(void);
