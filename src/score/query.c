/*
 * query.c
 *		An analyst's query, read row by row without keeping it.
 *
 * It runs with the rights of whoever calls, read-only, in the caller's snapshot. What
 * is stored and runs later does so as its owner, which is the business of model.c.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "score/score.h"

/* The server hands rows to this. */
typedef struct Receiver
{
	DestReceiver pub;
	TeReader   *reader;
	bool		started;
} Receiver;

/* At most one message in so many milliseconds says how far a function is. */
#define PROGRESS_INTERVAL 10000

static TimestampTz last_progress = 0;

/*
 * rStartup of the receiver: the columns.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc columns)
{
	Receiver   *receiver = (Receiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->reader->context);

	if (receiver->started)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s takes one query, not several", receiver->reader->what)));
	receiver->started = true;
	receiver->reader->columns = CreateTupleDescCopy(columns);
	receiver->reader->start(receiver->reader, receiver->reader->columns);
	MemoryContextSwitchTo(old);
}

/*
 * receiveSlot of the receiver: one row.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	TeReader   *reader = ((Receiver *) self)->reader;
	MemoryContext old = MemoryContextSwitchTo(reader->scratch);

	slot_getallattrs(slot);
	reader->rows++;
	reader->row(reader, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->scratch);
	return true;
}

/*
 * rShutdown and rDestroy: nothing to do.
 */
static void
do_nothing(DestReceiver *self)
{
}

/*
 * Names the function in errors of the query.
 */
static void
add_context(void *arg)
{
	errcontext("query of %s", ((TeReader *) arg)->what);
}

/*
 * Runs the query and gives its rows to the reader, whose context becomes the current
 * one of the caller. Throws what the query throws, and when it is none that returns
 * rows or changes something.
 */
void
te_score_read(TeReader *reader, const char *query)
{
	Receiver	receiver = {0};
	SPIExecuteOptions options = {0};
	ErrorContextCallback callback;
	int			code;

	reader->context = CurrentMemoryContext;
	reader->scratch = AllocSetContextCreate(CurrentMemoryContext, "row of a query", ALLOCSET_SMALL_SIZES);
	reader->rows = 0;
	receiver.pub.receiveSlot = receive_row;
	receiver.pub.rStartup = start_rows;
	receiver.pub.rShutdown = do_nothing;
	receiver.pub.rDestroy = do_nothing;
	receiver.pub.mydest = DestNone;
	receiver.reader = reader;

	callback.callback = add_context;
	callback.arg = reader;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	options.read_only = !reader->writes;
	options.dest = (DestReceiver *) &receiver;
	code = SPI_execute_extended(query, &options);
	if (code < 0)
		elog(ERROR, "SPI_execute_extended failed: %s", SPI_result_code_string(code));
	if (!receiver.started)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s returns no columns", reader->what),
				 errhint("Write it as SELECT ... FROM ...")));
	SPI_finish();
	error_context_stack = callback.previous;
	MemoryContextDelete(reader->scratch);
}

/*
 * The number (from 0) of the first column that has one of the names, without regard
 * to case; -1 when there is none. The list ends with NULL. Does not throw.
 */
int
te_score_find_column(TupleDesc columns, const char *const *names)
{
	int			i;

	for (; *names; names++)
		for (i = 0; i < columns->natts; i++)
			if (pg_strcasecmp(NameStr(TupleDescAttr(columns, i)->attname), *names) == 0)
				return i;
	return -1;
}

/*
 * Tells the client how far a long function is, now and then.
 */
void
te_score_progress(const char *what, const char *format,...)
{
	TimestampTz now = GetCurrentTimestamp();
	StringInfoData text;

	if (last_progress < GetCurrentStatementStartTimestamp())
		last_progress = GetCurrentStatementStartTimestamp();
	if (!TimestampDifferenceExceeds(last_progress, now, PROGRESS_INTERVAL))
		return;
	last_progress = now;
	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	ereport(NOTICE, (errmsg("%s: %s", what, text.data)));
	pfree(text.data);
}
