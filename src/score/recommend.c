/*
 * recommend.c
 *		Keeps what is bought together up to date: takes the baskets that came since the last
 *		time, adds them to the counts of their items, and scores these items' neighbours
 *		anew. Items that nobody touched keep their neighbours as they are.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "score/cooccur.h"

PG_FUNCTION_INFO_V1(te_refresh_recommendations);

/* A refresh under way. Items are numbered as in their table. */
typedef struct Refresh
{
	TeReader	reader;
	TeCooccurrence counts;		/* of the new baskets only */
	double	   *before;			/* baskets of each item until now */
	int			known;			/* items until now */
	int			size;
	double		total;			/* all baskets */
	int			neighbours;		/* to keep of each item */
	bool		everything;
	int		   *together;		/* scratch, of each item: 0 but for neighbours of the current one */
} Refresh;

/*
 * Takes the names of all items and what was counted of them.
 */
static void
take_item(TeReader *reader, const Datum *values, const bool *nulls)
{
	Refresh    *refresh = (Refresh *) reader;
	int			number = te_score_item_number(&refresh->counts, TextDatumGetCString(values[1]));

	if (number != DatumGetInt32(values[0]))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the numbers of items have gaps at %d", number)));
	if (refresh->known == refresh->size)
	{
		refresh->size = Max(refresh->size * 2, 1024);
		refresh->before = refresh->before ? repalloc_huge(refresh->before, sizeof(double) * refresh->size)
			: MemoryContextAllocHuge(reader->context, sizeof(double) * refresh->size);
	}
	refresh->before[refresh->known++] = DatumGetInt64(values[2]);
}

/*
 * Counts one new basket.
 */
static void
take_basket(TeReader *reader, const Datum *values, const bool *nulls)
{
	Refresh    *refresh = (Refresh *) reader;
	Datum	   *elements;
	bool	   *element_nulls;
	int		   *items;
	int			count,
				n = 0,
				i;

	deconstruct_array(DatumGetArrayTypeP(values[0]), TEXTOID, -1, false, TYPALIGN_INT, &elements, &element_nulls, &count);
	items = palloc(sizeof(int) * (count + 1));
	for (i = 0; i < count; i++)
		if (!element_nulls[i])
			items[n++] = te_score_item_number(&refresh->counts, TextDatumGetCString(elements[i]));
	te_score_count_basket(&refresh->counts, items, n);
	if ((uint64) refresh->counts.total % 1024 == 0)
		te_score_progress("refresh_recommendations", "%.0f baskets", refresh->counts.total);
}

/*
 * Nothing to check: the columns are ours.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
}

/*
 * Runs one of our own statements over the rows it returns.
 */
static void
read_rows(Refresh *refresh, const char *sql, bool writes,
		  void (*row) (TeReader *, const Datum *, const bool *))
{
	refresh->reader.what = "refresh_recommendations";
	refresh->reader.start = start;
	refresh->reader.row = row;
	refresh->reader.writes = writes;
	te_score_read(&refresh->reader, sql);
}

/*
 * An array of integers.
 */
static Datum
integer_array(const TeNeighbour *neighbours, int count, bool numbers)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(count, 1));
	int			i;

	for (i = 0; i < count; i++)
		elements[i] = Int32GetDatum(numbers ? neighbours[i].other : neighbours[i].count);
	return PointerGetDatum(construct_array(elements, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/*
 * The neighbours that an item has had until now; their counts are added to together[].
 */
static int
old_neighbours(Refresh *refresh, int item, TeNeighbour **result)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(item)};
	ArrayType  *arrays[2];
	int		   *others;
	int		   *counts;
	bool		isnull;
	int			count,
				i;

	if (item >= refresh->known)
		return 0;
	te_db_execute(&plan, "SELECT neighbours, counts FROM trigger_engine._cooccurrence WHERE number = $1", 1, types, values,
				  NULL, true, 1);
	for (i = 0; i < 2; i++)
		arrays[i] = DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull));
	count = ArrayGetNItems(ARR_NDIM(arrays[0]), ARR_DIMS(arrays[0]));
	others = (int *) ARR_DATA_PTR(arrays[0]);
	counts = (int *) ARR_DATA_PTR(arrays[1]);
	*result = palloc(sizeof(TeNeighbour) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		(*result)[i].other = others[i];
		refresh->together[others[i]] = counts[i];
	}
	SPI_freetuptable(SPI_tuptable);
	return count;
}

/*
 * Writes an item: its counts, and the best of its neighbours with their scores.
 */
static void
write_item(Refresh *refresh, int item, TeNeighbour *neighbours, int count)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[] = {INT4OID, TEXTOID, INT8OID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, FLOAT8ARRAYOID};
	TeCooccurrence *c = &refresh->counts;
	Datum		values[lengthof(types)];
	Datum	   *scores;
	int			best,
				i;

	values[0] = Int32GetDatum(item);
	values[1] = CStringGetTextDatum(c->names[item]);
	values[2] = Int64GetDatum((int64) (refresh->before[item] + c->baskets[item]));
	values[3] = integer_array(neighbours, count, true);
	values[4] = integer_array(neighbours, count, false);
	best = te_score_top(c, neighbours, count, refresh->neighbours);
	scores = palloc(sizeof(Datum) * Max(best, 1));
	for (i = 0; i < best; i++)
		scores[i] = Float8GetDatum(neighbours[i].score);
	values[5] = integer_array(neighbours, best, true);
	values[6] = PointerGetDatum(construct_array(scores, best, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	te_db_execute(&plan, "INSERT INTO trigger_engine._cooccurrence AS c VALUES ($1, $2, $3, $4, $5, $6, $7)"
				  " ON CONFLICT (number) DO UPDATE SET baskets = excluded.baskets, neighbours = excluded.neighbours,"
				  " counts = excluded.counts, best = excluded.best, scores = excluded.scores",
				  lengthof(types), types, values, NULL, false, 0);
}

/*
 * Brings one item up to date: old neighbours and new ones, counted and scored.
 */
static void
refresh_item(Refresh *refresh, int item, const TeNeighbour *added, int nadded)
{
	TeCooccurrence *c = &refresh->counts;
	TeNeighbour *old = NULL;
	TeNeighbour *all;
	int			nold = old_neighbours(refresh, item, &old);
	int			count = 0;
	int			i;

	all = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TeNeighbour) * (nold + nadded + 1));
	memcpy(all, old ? old : all, sizeof(TeNeighbour) * nold);
	count = nold;
	for (i = 0; i < nadded; i++)
	{
		if (refresh->together[added[i].other] == 0)
			all[count++].other = added[i].other;
		refresh->together[added[i].other] += added[i].count;
	}
	for (i = 0; i < count; i++)
	{
		int			other = all[i].other;

		all[i].count = refresh->together[other];
		all[i].score = te_score_pair(TE_PAIR_LLR, all[i].count, refresh->before[item] + c->baskets[item],
									 refresh->before[other] + c->baskets[other], refresh->total);
		refresh->together[other] = 0;
	}
	write_item(refresh, item, all, count);
	CHECK_FOR_INTERRUPTS();
}

/*
 * The number of all baskets, these included, which it writes down.
 */
static double
add_to_total(double more)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum((int64) more)};
	bool		isnull;

	te_db_execute(&plan, "INSERT INTO trigger_engine._cooccurrence_total AS t (baskets) VALUES ($1)"
				  " ON CONFLICT (only_row) DO UPDATE SET baskets = t.baskets + excluded.baskets RETURNING baskets",
				  1, types, values, NULL, false, 0);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Brings all touched items up to date; returns how many these are.
 */
static int
refresh_items(Refresh *refresh)
{
	TeCooccurrence *c = &refresh->counts;
	int64	   *ends = palloc(sizeof(int64) * Max(c->nitems, 1));
	TeNeighbour *added = te_score_neighbours(c, ends);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "an item", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	double	   *before = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * Max(c->nitems, 1));
	int			touched = 0;
	int			i;

	memset(before, 0, sizeof(double) * c->nitems);
	if (refresh->known > 0)
		memcpy(before, refresh->before, sizeof(double) * refresh->known);
	refresh->before = before;
	refresh->together = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(int) * Max(c->nitems, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	old = MemoryContextSwitchTo(scratch);
	for (i = 0; i < c->nitems; i++)
	{
		int64		from = i == 0 ? 0 : ends[i - 1];

		if (c->baskets[i] == 0 && i < refresh->known && !refresh->everything)
			continue;
		refresh_item(refresh, i, added + from, ends[i] - from);
		touched++;
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return touched;
}

/*
 * _refresh_recommendations(invoker, neighbours, max_basket, everything), as the
 * extension's owner.
 */
Datum
te_refresh_recommendations(PG_FUNCTION_ARGS)
{
	Refresh		refresh = {{0}};
	int			nest;
	int			max_basket;
	int			result;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("neighbours, max_basket and everything are required")));
	refresh.neighbours = PG_GETARG_INT32(1);
	max_basket = PG_GETARG_INT32(2);
	refresh.everything = PG_GETARG_BOOL(3);
	if (refresh.neighbours < 1 || refresh.neighbours > 1000 || max_basket < 2 || max_basket > 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("neighbours must be between 1 and 1000, and max_basket between 2 and 1000")));
	nest = te_lock_search_path();
	te_score_cooccurrence_init(&refresh.counts, max_basket);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* one at a time; whoever reads is not disturbed */
	if (SPI_execute("LOCK TABLE trigger_engine._cooccurrence IN SHARE ROW EXCLUSIVE MODE", false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "LOCK TABLE failed");
	PushActiveSnapshot(GetLatestSnapshot());
	read_rows(&refresh, "SELECT number, item_id, baskets FROM trigger_engine._cooccurrence ORDER BY number", false, take_item);
	PopActiveSnapshot();
	read_rows(&refresh, "DELETE FROM trigger_engine._baskets RETURNING items", true, take_basket);
	refresh.total = add_to_total(refresh.counts.total);
	result = refresh_items(&refresh);
	SPI_finish();
	AtEOXact_GUC(true, nest);
	PG_RETURN_INT32(result);
}
