/*
 * db.c
 *		Transactions of background workers, guarded work, and kept plans.
 *
 * The only PG_TRY blocks of the extension are here.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "common/common.h"
#include "compat.h"

/*
 * Takes the pending error out of the error state into context.
 */
static ErrorData *
take_error(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	return error;
}

/*
 * Runs work(arg) in a transaction of its own, with SPI connected and a snapshot
 * active, and reports statistics afterwards so that autovacuum sees the churn.
 * When it fails the transaction is rolled back, the error is logged at elevel
 * (0 = not at all), a copy in the caller's memory context goes to *failure, and
 * false is returned. Requests to terminate pass through. Restores the caller's
 * memory context in either case.
 */
bool
te_db_transaction(TeWork work, void *arg, int elevel, ErrorData **failure)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	Assert(!IsTransactionState());
	if (failure)
		*failure = NULL;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		PushActiveSnapshot(GetTransactionSnapshot());
		work(arg);
		SPI_finish();
		PopActiveSnapshot();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		HOLD_INTERRUPTS();
		error = take_error(caller);
		AbortCurrentTransaction();
		MemoryContextSwitchTo(caller);
		if (elevel != 0)
			ereport(elevel,
					(errcode(error->sqlerrcode),
					 errmsg("trigger_engine: %s", error->message),
					 error->detail ? errdetail_internal("%s", error->detail) : 0,
					 error->hint ? errhint("%s", error->hint) : 0,
					 error->context ? errcontext("%s", error->context) : 0));
		if (failure)
			*failure = error;
		else
			FreeErrorData(error);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(caller);
	pgstat_report_stat(false);
	return done;
}

/* The limit of time of te_db_guarded(). */
static TimeoutId limit_timeout = MAX_TIMEOUTS;
static volatile sig_atomic_t limit_is_over = false;

/*
 * The limit is over: cancels what runs. In a signal handler.
 */
static void
limit_handler(void)
{
	limit_is_over = true;
	QueryCancelPending = true;
	InterruptPending = true;
}

/*
 * Starts the clock; 0 = there is no limit.
 */
static void
start_limit(int limit_ms)
{
	limit_is_over = false;
	if (limit_ms == 0)
		return;
	if (limit_timeout == MAX_TIMEOUTS)
		limit_timeout = RegisterTimeout(USER_TIMEOUT, limit_handler);
	enable_timeout_after(limit_timeout, limit_ms);
}

/*
 * Stops it; a cancel that came too late for its work must not hit what follows. Does
 * not throw.
 */
static void
stop_limit(int limit_ms)
{
	if (limit_ms == 0)
		return;
	disable_timeout(limit_timeout, false);
	if (limit_is_over)
		QueryCancelPending = false;
}

/*
 * Runs work(arg) in a subtransaction of the running transaction. When it fails
 * only the subtransaction is rolled back, *failure gets a copy of the error in
 * the caller's memory context, and false is returned.
 */
static bool
subtransaction(TeWork work, void *arg, int limit_ms, ErrorData **failure)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	*failure = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);

	PG_TRY();
	{
		start_limit(limit_ms);
		work(arg);
		stop_limit(limit_ms);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		stop_limit(limit_ms);
		*failure = take_error(caller);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return done;
}

/*
 * Runs our own work(arg) in a subtransaction. Errors are caught, with a copy in
 * *failure; a cancelled query and a terminated session throw.
 */
bool
te_db_subtransaction(TeWork work, void *arg, ErrorData **failure)
{
	if (subtransaction(work, arg, 0, failure))
		return true;
	if ((*failure)->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(*failure);
	return false;
}

/*
 * Runs work(arg), which calls what somebody else wrote, in a subtransaction and for
 * limit_ms at most (0 = without limit). Whatever it throws is caught: a cancel, too,
 * which may come from the limit, from an administrator or from that code itself. Only
 * a terminated session throws. *over tells whether the limit did it. In workers.
 */
bool
te_db_guarded(TeWork work, void *arg, int limit_ms, bool *over, ErrorData **failure)
{
	bool		done = subtransaction(work, arg, limit_ms, failure);

	*over = !done && limit_is_over && (*failure)->sqlerrcode == ERRCODE_QUERY_CANCELED;
	return done;
}

/* What is freed when the transaction ends. */
typedef struct Retired
{
	struct Retired *next;
	SPIPlanPtr	plan;
	MemoryContext context;
} Retired;

static Retired *retired = NULL;

/*
 * Frees what was retired. Does not throw.
 */
static void
free_retired(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	while (retired)
	{
		Retired    *one = retired;

		retired = one->next;
		if (one->plan)
			SPI_freeplan(one->plan);
		if (one->context)
			MemoryContextDelete(one->context);
		pfree(one);
	}
}

/*
 * Frees a kept plan and a memory context, either may be NULL, when the transaction
 * ends: whoever is using them now, further out, goes on undisturbed.
 */
void
te_db_retire(SPIPlanPtr plan, MemoryContext context)
{
	static bool registered = false;
	Retired    *one;

	if (plan == NULL && context == NULL)
		return;
	if (!registered)
		RegisterXactCallback(free_retired, NULL);
	registered = true;
	one = MemoryContextAlloc(TopMemoryContext, sizeof(Retired));
	one->plan = plan;
	one->context = context;
	one->next = retired;
	retired = one;
}

/* Kinds of plans that suit only the sizes they were made for. */
static const char *const size_bound_plans[] = {
	"enable_bitmapscan", "enable_hashjoin", "enable_material", "enable_mergejoin", "enable_seqscan",
	"enable_sort"
};
static bool indexes_preferred = false;

/*
 * Makes the planner of this process prefer index scans in order: the queue is
 * small when it is planned for and large when it matters.
 */
void
te_db_prefer_indexes(void)
{
	int			i;

	for (i = 0; i < lengthof(size_bound_plans); i++)
		SetConfigOption(size_bound_plans[i], "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("jit", "off", PGC_USERSET, PGC_S_SESSION);
	indexes_preferred = true;
}

/*
 * Takes that back until the caller's nest level of settings ends.
 */
void
te_db_plan_as_usual(void)
{
	int			i;

	if (!indexes_preferred)
		return;
	for (i = 0; i < lengthof(size_bound_plans); i++)
		(void) set_config_option(size_bound_plans[i], "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("plan_cache_mode", "auto", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Prepares a statement and keeps its plan for the session. It is made under a
 * search_path of pg_catalog alone, but analyzed again under the one it is executed
 * with when that is another: whoever executes it as another role locks the path, see
 * te_run_as_begin(). SPI must be connected. Leaves the current memory context as it
 * is, unlike SPI itself.
 */
SPIPlanPtr
te_db_prepare(const char *sql, int nargs, const Oid *types)
{
	MemoryContext caller = CurrentMemoryContext;
	int			nest = te_lock_search_path();
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, unconstify(Oid *, types));

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	AtEOXact_GUC(false, nest);
	MemoryContextSwitchTo(caller);
	return plan;
}

/*
 * Executes sql through a plan that is prepared once a session; *plan is the
 * caller's static. SPI must be connected. Returns SPI's result code after
 * checking it; rows are in SPI_tuptable, their number in SPI_processed. Leaves the
 * current memory context as it is, unlike SPI itself.
 */
int
te_db_execute(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
			  const Datum *values, const char *nulls, bool read_only, long limit)
{
	MemoryContext caller = CurrentMemoryContext;
	int			code;

	if (*plan == NULL)
		*plan = te_db_prepare(sql, nargs, types);
	code = SPI_execute_plan(*plan, unconstify(Datum *, values), nulls, read_only, limit);
	MemoryContextSwitchTo(caller);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(code));
	return code;
}
