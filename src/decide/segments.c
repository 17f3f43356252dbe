/*
 * segments.c
 *		Which users of a claim are in the segments that their messages ask for.
 *
 * A segment is somebody else's SQL, which may fail, be slow or never end. It is asked
 * once for all users of a claim, within trigger_engine.segment_timeout. When that does
 * not work they are asked for one by one, so that it holds the messages of those only
 * whom it fails for, and for as long again at most. A user who alone takes longer than
 * the limit is left out for an hour, and the segment is left alone for a while, so that
 * it gets a tenth of the worker's time at most and the others get their answer after
 * that. Needs a transaction with SPI connected.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "decide/decide.h"
#include "guc.h"
#include "segment/segment.h"

/* Of one segment in one claim, until its other users are not asked for any more. */
#define MOST_FAILURES 10
/* A segment that takes too long is left alone for so many times as long. */
#define REST_FACTOR 9
#define REST_OF_USER USECS_PER_HOUR
/* More notes than this are all forgotten. */
#define MOST_RESTS 10000

/* A segment, or one user of it, that is left alone. */
typedef struct RestKey
{
	uint64		segment;		/* hashes of the names */
	uint64		user;			/* 0 = all */
} RestKey;

typedef struct Rest
{
	RestKey		key;
	TimestampTz until;			/* real time */
} Rest;

static HTAB *rests = NULL;
static int	rests_limit = 0;	/* that they took too long for, in ms */

/* What one segment is asked. */
typedef struct Question
{
	const char *segment;
	TeItem	  **items;			/* messages to its members */
	char	  **user_ids;		/* of these */
	bool	   *answers;
	int			count;
} Question;

/*
 * The key of a segment's note, or of one of its users'.
 */
static RestKey
rest_key(const char *segment, const char *user_id)
{
	RestKey		key;

	key.segment = hash_bytes_extended((const unsigned char *) segment, strlen(segment), 0);
	key.user = user_id ? hash_bytes_extended((const unsigned char *) user_id, strlen(user_id), 1) | 1 : 0;
	return key;
}

/*
 * Forgets who is left alone when there are too many, or when the limit has changed.
 */
static void
refresh_rests(void)
{
	if (rests && (hash_get_num_entries(rests) >= MOST_RESTS || rests_limit != te_guc_segment_timeout))
	{
		hash_destroy(rests);
		rests = NULL;
	}
}

/*
 * Leaves a segment, or one user of it, alone until then.
 */
static void
let_rest(const char *segment, const char *user_id, TimestampTz until)
{
	RestKey		key = rest_key(segment, user_id);
	HASHCTL		control = {0};

	if (rests == NULL)
	{
		rests_limit = te_guc_segment_timeout;
		control.keysize = sizeof(RestKey);
		control.entrysize = sizeof(Rest);
		control.hcxt = TopMemoryContext;
		rests = hash_create("trigger_engine resting segments", 64, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	((Rest *) hash_search(rests, &key, HASH_ENTER, NULL))->until = until;
}

/*
 * True while a segment, or one user of it, is left alone.
 */
static bool
rests_now(const char *segment, const char *user_id, TimestampTz real_now)
{
	RestKey		key = rest_key(segment, user_id);
	Rest	   *rest = rests ? hash_search(rests, &key, HASH_FIND, NULL) : NULL;

	return rest && rest->until > real_now;
}

/*
 * Why messages to members of a segment that is too slow are held; palloc'ed.
 */
static char *
too_slow(const char *segment)
{
	return psprintf("segment \"%s\" takes longer than trigger_engine.segment_timeout", segment);
}

/*
 * Asks the segment. Somebody else's SQL: to be called guarded.
 */
static void
ask(void *arg)
{
	Question   *question = arg;

	te_segment_probe(question->segment, question->user_ids, question->count, question->answers);
}

/*
 * Takes the answers over into the items.
 */
static void
accept_answers(Question *question)
{
	int			i;

	for (i = 0; i < question->count; i++)
		question->items[i]->in_segment = question->answers[i];
}

/*
 * Asks for one user after the other. When one of them alone takes too long, when the
 * time is up, or when it has failed too often, the others' messages are held without
 * asking. Returns whether the segment is too slow to be asked again soon.
 */
static bool
ask_apart(Question *all)
{
	TimestampTz began = GetCurrentTimestamp();
	char	   *message = NULL;
	int			failures = 0;
	int			answered = 0;
	bool		over = false;
	bool		is_late = false;
	int			i;

	for (i = 0; i < all->count; i++)
	{
		Question	one = {all->segment, all->items + i, all->user_ids + i, all->answers + i, 1};
		ErrorData  *failure;

		is_late = is_late || (te_guc_segment_timeout > 0 &&
							  TimestampDifferenceExceeds(began, GetCurrentTimestamp(), te_guc_segment_timeout));
		if (over || is_late)
			message = too_slow(all->segment);
		else if (failures < MOST_FAILURES)
		{
			if (te_db_guarded(ask, &one, te_guc_segment_timeout, &over, &failure))
			{
				accept_answers(&one);
				answered++;
				continue;
			}
			message = over ? too_slow(all->segment)
				: psprintf("segment \"%s\" failed: %s", all->segment, failure->message);
			if (over)
				let_rest(all->segment, one.user_ids[0], GetCurrentTimestamp() + REST_OF_USER);
			failures++;
		}
		all->items[i]->segment_error = message;
	}
	return over || (is_late && answered == 0);
}

/*
 * Takes the users who are left alone out of a question, and holds their messages.
 */
static void
leave_out(Question *question, TimestampTz real_now)
{
	bool		all;
	int			kept = 0;
	int			i;

	refresh_rests();
	if (rests == NULL)
		return;
	all = rests_now(question->segment, NULL, real_now);
	for (i = 0; i < question->count; i++)
	{
		if (all || rests_now(question->segment, question->user_ids[i], real_now))
		{
			question->items[i]->segment_error = too_slow(question->segment);
			continue;
		}
		question->items[kept] = question->items[i];
		question->user_ids[kept++] = question->user_ids[i];
	}
	question->count = kept;
}

/*
 * Has one segment's question answered; the messages are held where it cannot be.
 */
static void
answer(Question *question)
{
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz now;
	ErrorData  *failure;
	bool		over;

	leave_out(question, began);
	if (question->count == 0)
		return;
	if (question->count > 1 && te_db_guarded(ask, question, te_guc_segment_timeout, &over, &failure))
	{
		accept_answers(question);
		return;
	}
	if (!ask_apart(question))
		return;
	now = GetCurrentTimestamp();
	let_rest(question->segment, NULL, now + (now - began) * REST_FACTOR);
	ereport(LOG,
			(errmsg("trigger_engine: segment \"%s\" takes longer than %d ms for single users, so messages to its members wait",
					question->segment, te_guc_segment_timeout),
			 errhint("Make its view quicker for single users, or raise trigger_engine.segment_timeout.")));
}

/*
 * True when the item is a message to members of the segment; of any when NULL.
 */
static bool
asks_for(const TeItem *item, const char *segment)
{
	return item->is_send && item->journey && item->journey->segment &&
		(segment == NULL || strcmp(item->journey->segment, segment) == 0);
}

/*
 * Answers the segment questions of all items, one segment after the other.
 */
void
te_facts_load_segments(TeItem **items, int count)
{
	List	   *done = NIL;
	int			i,
				k;

	for (i = 0; i < count; i++)
	{
		Question	question = {0};
		ListCell   *cell;

		if (!asks_for(items[i], NULL))
			continue;
		question.segment = items[i]->journey->segment;
		foreach(cell, done)
			if (strcmp(lfirst(cell), question.segment) == 0)
				break;
		if (cell != NULL)
			continue;
		done = lappend(done, unconstify(char *, question.segment));
		question.items = palloc(sizeof(TeItem *) * (count - i));
		question.user_ids = palloc(sizeof(char *) * (count - i));
		question.answers = palloc0(sizeof(bool) * (count - i));
		for (k = i; k < count; k++)
			if (asks_for(items[k], question.segment))
			{
				question.items[question.count] = items[k];
				question.user_ids[question.count++] = items[k]->user_id;
			}
		answer(&question);
	}
}
