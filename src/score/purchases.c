/*
 * purchases.c
 *		Purchases of a query summed up by user: frequency, recency, age, spend.
 *
 * The summing is SQL around the analyst's query, with the analyst's rights.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

#include "common/common.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_purchase_summary);
PG_FUNCTION_INFO_V1(te_rfm);

/* Rows on their way to the result. */
typedef struct Summary
{
	TeReader	reader;
	TeResult	result;
} Summary;

/*
 * The number of columns that a query returns; 0 when it returns none. Throws when it
 * is not SQL.
 */
int
te_score_count_columns(const char *query)
{
	SPIPlanPtr	plan;
	List	   *sources;
	int			count = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	if (list_length(sources) == 1 && ((CachedPlanSource *) linitial(sources))->resultDesc)
		count = ((CachedPlanSource *) linitial(sources))->resultDesc->natts;
	SPI_finish();
	return count;
}

/*
 * Nothing to check: the columns are ours.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
}

/*
 * Passes a row on.
 */
static void
pass_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	te_score_result_row(&((Summary *) reader)->result, unconstify(Datum *, values), unconstify(bool *, nulls));
}

/*
 * purchase_summary(query, until, unit, by_day)
 */
Datum
te_purchase_summary(PG_FUNCTION_ARGS)
{
	Summary		summary = {{0}};
	StringInfoData sql;
	char	   *query;
	const char *until = "NULL";
	Interval   *unit;
	double		seconds;
	bool		by_day;
	int			columns;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query, unit and by_day are required")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		until = quote_literal_cstr(timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(1)));
	unit = PG_GETARG_INTERVAL_P(2);
	by_day = PG_GETARG_BOOL(3);
	seconds = unit->time / (double) USECS_PER_SEC + unit->day * (double) SECS_PER_DAY;
	if (unit->month != 0 || !(seconds > 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unit must be greater than 0 and of a fixed length, as 7 days")));
	columns = te_score_count_columns(query);
	if (columns != 2 && columns != 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of purchase_summary returns %d columns", columns),
				 errhint("It returns the user, the time of a purchase and, if wanted, its amount.")));
	te_score_result_begin(&summary.result, fcinfo, "purchase_summary");

	/* a line end, as the query may end in a comment */
	initStringInfo(&sql);
	appendStringInfo(&sql, "WITH given(u, t%s) AS (%s\n), purchase AS ("
					 "SELECT u::text AS u, t::timestamptz AS t, %s::float8 AS m FROM given WHERE u IS NOT NULL AND t IS NOT NULL), ",
					 columns == 3 ? ", m" : "", query, columns == 3 ? "m" : "NULL");
	appendStringInfo(&sql, "bound AS (SELECT coalesce(%s::timestamptz, max(t)) AS until FROM purchase), ", until);
	if (by_day)
		appendStringInfo(&sql, "visit AS (SELECT u, t::date - '2000-01-01'::date AS at, sum(m) AS m FROM purchase, bound"
						 " WHERE t <= until GROUP BY 1, 2), clock AS (SELECT until::date - '2000-01-01'::date AS now, %.17g::float8 AS unit FROM bound), ",
						 seconds / SECS_PER_DAY);
	else
		appendStringInfo(&sql, "visit AS (SELECT u, extract(epoch FROM t) AS at, m FROM purchase, bound WHERE t <= until), "
						 "clock AS (SELECT extract(epoch FROM until) AS now, %.17g::float8 AS unit FROM bound), ",
						 seconds);
	appendStringInfoString(&sql, "numbered AS (SELECT *, row_number() OVER (PARTITION BY u ORDER BY at) AS n FROM visit) "
						   "SELECT u, (count(*) - 1)::float8, ((max(at) - min(at)) / unit)::float8, ((now - min(at)) / unit)::float8,"
						   " avg(m ORDER BY n) FILTER (WHERE n > 1) FROM numbered, clock GROUP BY u, now, unit ORDER BY u COLLATE \"C\"");
	summary.reader.what = "purchase_summary";
	summary.reader.start = start;
	summary.reader.row = pass_row;
	te_score_read(&summary.reader, sql.data);
	return (Datum) 0;
}

/*
 * rfm(query, until, groups)
 */
Datum
te_rfm(PG_FUNCTION_ARGS)
{
	Summary		summary = {{0}};
	char	   *query;
	const char *until = "NULL";
	int			groups;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query and groups are required")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		until = quote_literal_cstr(timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(1)));
	groups = PG_GETARG_INT32(2);
	if (groups < 2 || groups > 100)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("groups is %d, but must be between 2 and 100", groups)));
	if (te_score_count_columns(query) != 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of rfm must return the user, the time of a purchase and its amount")));
	te_score_result_begin(&summary.result, fcinfo, "rfm");
	summary.reader.what = "rfm";
	summary.reader.start = start;
	summary.reader.row = pass_row;
	/* ties are told apart by the user's id, so that everybody's group is the same every time */
	te_score_read(&summary.reader,
				  psprintf("WITH given(u, t, m) AS (%s\n), purchase AS ("
						   "SELECT u::text COLLATE \"C\" AS u, t::timestamptz AS t, m::numeric AS m FROM given WHERE u IS NOT NULL AND t IS NOT NULL), "
						   "bound AS (SELECT coalesce(%s::timestamptz, max(t)) AS until FROM purchase), "
						   "person AS (SELECT u, max(t) AS last, count(DISTINCT t) AS f, coalesce(sum(m), 0) AS m, until"
						   " FROM purchase, bound WHERE t <= until GROUP BY u, until), "
						   "scored AS (SELECT *, ntile(%d) OVER (ORDER BY last, u) AS rs, ntile(%d) OVER (ORDER BY f, u) AS fs,"
						   " ntile(%d) OVER (ORDER BY m, u) AS ms FROM person) "
						   "SELECT u, (extract(epoch FROM until - last) / 86400)::float8, f, m::float8, rs, fs, ms,"
						   " concat_ws(CASE WHEN %d > 9 THEN '-' ELSE '' END, rs, fs, ms) FROM scored ORDER BY u",
						   query, until, groups, groups, groups, groups));
	return (Datum) 0;
}
