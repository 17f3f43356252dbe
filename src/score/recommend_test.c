/*
 * recommend_test.c
 *		How well recommendations would have done: learn from what was bought before an
 *		instant, and look which of the new things people bought later are among the first k.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "score/cooccur.h"

PG_FUNCTION_INFO_V1(te_backtest_recommendations);

#define MAX_USER_LENGTH 256

/* One thing that one person bought. */
typedef struct Purchase
{
	int			user;
	int			item;
	TimestampTz at;
} Purchase;

typedef struct UserEntry
{
	char		name[MAX_USER_LENGTH];	/* key */
	int			number;
} UserEntry;

typedef struct Test
{
	TeReader	reader;
	TeCooccurrence counts;
	HTAB	   *users;
	Oid			outputs[2];
	TimestampTz split;
	Purchase   *purchases;
	int64		count;
	int64		size;
} Test;

/*
 * Checks the columns.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
	Test	   *test = (Test *) reader;
	bool		varlena;
	int			i;

	if (columns->natts != 3 || TupleDescAttr(columns, 2)->atttypid != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the query of %s must return the user, the item and when it was bought", reader->what),
				 errhint("The time is of type timestamptz.")));
	for (i = 0; i < 2; i++)
		getTypeOutputInfo(TupleDescAttr(columns, i)->atttypid, &test->outputs[i], &varlena);
}

/*
 * Takes one row; what has no user, item or time is left out.
 */
static void
take_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	Test	   *test = (Test *) reader;
	UserEntry  *entry;
	Purchase   *purchase;
	char	   *user;
	bool		found;

	if (nulls[0] || nulls[1] || nulls[2])
		return;
	user = OidOutputFunctionCall(test->outputs[0], values[0]);
	if (strlen(user) >= MAX_USER_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the id of a user is longer than %d bytes", MAX_USER_LENGTH - 1)));
	entry = hash_search(test->users, user, HASH_ENTER, &found);
	if (!found)
		entry->number = hash_get_num_entries(test->users) - 1;
	if (test->count == test->size)
	{
		test->size = Max(test->size * 2, 8192);
		test->purchases = test->purchases ? repalloc_huge(test->purchases, test->size * sizeof(Purchase))
			: MemoryContextAllocHuge(reader->context, test->size * sizeof(Purchase));
	}
	purchase = &test->purchases[test->count++];
	purchase->user = entry->number;
	purchase->item = te_score_item_number(&test->counts, OidOutputFunctionCall(test->outputs[1], values[1]));
	purchase->at = DatumGetTimestampTz(values[2]);
}

/*
 * Order of purchases: by user, then by time, then by item.
 */
static int
compare_purchases(const void *a, const void *b)
{
	const Purchase *x = a;
	const Purchase *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

/*
 * Counts the baskets before the split: what one user bought at one instant.
 */
static void
learn(Test *test)
{
	int		   *items = palloc(sizeof(int) * Max(test->count, 1));
	int64		i;
	int			n = 0;

	for (i = 0; i < test->count; i++)
	{
		Purchase   *p = &test->purchases[i];

		if (p->at >= test->split)
			continue;
		items[n++] = p->item;
		if (i + 1 < test->count && p[1].user == p->user && p[1].at == p->at)
			continue;
		te_score_count_basket(&test->counts, items, n);
		n = 0;
	}
	pfree(items);
}

/* The ways that are compared. */
typedef struct Method
{
	const char *name;
	bool		popular;
	TePairScore kind;
	int			neighbours;
	double		recall;
	double		ndcg;
} Method;

/* State of one user's evaluation. */
typedef struct Person
{
	double	   *score;			/* of every item */
	char	   *state;			/* of every item: 1 = bought before, 2 = bought newly after */
	int		   *top;			/* the first k */
	int			wanted;			/* new items bought after */
} Person;

/*
 * The k items with the highest scores, those bought before left out; ties by number.
 * Returns how many.
 */
static int
select_top(const Person *person, int nitems, int k)
{
	int			n = 0;
	int			i,
				j;

	for (i = 0; i < nitems; i++)
	{
		double		score = person->score[i];

		if (score <= 0 || person->state[i] == 1 || (n == k && score <= person->score[person->top[n - 1]]))
			continue;
		if (n < k)
			n++;
		for (j = n - 1; j > 0 && person->score[person->top[j - 1]] < score; j--)
			person->top[j] = person->top[j - 1];
		person->top[j] = i;
	}
	return n;
}

/*
 * Adds the user's recall and normalized discounted gain at k to the method.
 */
static void
measure(Method *method, const Person *person, int found, int k)
{
	double		gain = 0,
				ideal = 0;
	int			hits = 0;
	int			i;

	for (i = 0; i < found; i++)
		if (person->state[person->top[i]] == 2)
		{
			hits++;
			gain += 1 / log2(i + 2);
		}
	for (i = 0; i < Min(k, person->wanted); i++)
		ideal += 1 / log2(i + 2);
	method->recall += hits / (double) Min(k, person->wanted);
	method->ndcg += gain / ideal;
}

/*
 * Scores every pair by a method, and keeps the best neighbours of each item; returns
 * where those of each item end.
 */
static int *
prepare(Test *test, Method *method, TeNeighbour *neighbours, const int64 *ends)
{
	TeCooccurrence *c = &test->counts;
	int		   *kept = palloc0(sizeof(int) * Max(c->nitems, 1));
	int			i;
	int64		j;

	for (i = 0; i < c->nitems; i++)
	{
		int64		from = i == 0 ? 0 : ends[i - 1];

		for (j = from; j < ends[i]; j++)
			neighbours[j].score = te_score_pair(method->kind, neighbours[j].count, c->baskets[i],
												c->baskets[neighbours[j].other], c->total);
		kept[i] = te_score_top(c, neighbours + from, ends[i] - from, method->neighbours);
		CHECK_FOR_INTERRUPTS();
	}
	return kept;
}

/*
 * Runs one method over all users who bought something new; returns how many these are.
 */
static double
run_method(Test *test, Method *method, TeNeighbour *neighbours, const int64 *ends, int k)
{
	TeCooccurrence *c = &test->counts;
	int		   *kept = method->popular ? NULL : prepare(test, method, neighbours, ends);
	Person		person;
	double		users = 0;
	int64		i,
				j,
				n;

	person.score = palloc(sizeof(double) * c->nitems);
	person.state = palloc(c->nitems);
	person.top = palloc(sizeof(int) * k);
	for (i = 0; i < test->count; i = j)
	{
		bool		any = false;

		memset(person.state, 0, c->nitems);
		memset(person.score, 0, sizeof(double) * c->nitems);
		person.wanted = 0;
		for (j = i; j < test->count && test->purchases[j].user == test->purchases[i].user; j++)
		{
			int			item = test->purchases[j].item;

			if (person.state[item] == 0)
			{
				person.state[item] = test->purchases[j].at < test->split ? 1 : 2;
				person.wanted += person.state[item] == 2;
				any |= person.state[item] == 1;
			}
		}
		CHECK_FOR_INTERRUPTS();
		if (!any || person.wanted == 0)
			continue;
		users++;
		if (method->popular)
			memcpy(person.score, c->baskets, sizeof(double) * c->nitems);
		else
			for (n = 0; n < c->nitems; n++)
			{
				int64		from = n == 0 ? 0 : ends[n - 1];
				int			m;

				if (person.state[n] == 1)
					for (m = 0; m < kept[n]; m++)
						person.score[neighbours[from + m].other] += neighbours[from + m].score;
			}
		measure(method, &person, select_top(&person, c->nitems, k), k);
	}
	pfree(person.score);
	pfree(person.state);
	pfree(person.top);
	return users;
}

/*
 * backtest_recommendations(query, split_at, k, neighbours, max_basket)
 */
Datum
te_backtest_recommendations(PG_FUNCTION_ARGS)
{
	Test		test = {{0}};
	TeResult	result;
	HASHCTL		control = {0};
	TeNeighbour *neighbours;
	int64	   *ends;
	int			k = PG_GETARG_INT32(2);
	Method		methods[] = {
		{"popularity", true},
		{"cosine", false, TE_PAIR_COSINE, PG_GETARG_INT32(3)},
		{"llr", false, TE_PAIR_LLR, PG_GETARG_INT32(3)},
	};
	int			i;

	if (k < 1 || k > 1000 || methods[1].neighbours < 1 || PG_GETARG_INT32(4) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be between 1 and 1000, neighbours at least 1 and max_basket at least 2")));
	te_score_result_begin(&result, fcinfo, "backtest_recommendations");
	te_score_cooccurrence_init(&test.counts, PG_GETARG_INT32(4));
	control.keysize = MAX_USER_LENGTH;
	control.entrysize = sizeof(UserEntry);
	control.hcxt = CurrentMemoryContext;
	test.users = hash_create("users", 1024, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	test.split = PG_GETARG_TIMESTAMPTZ(1);
	test.reader.what = "backtest_recommendations";
	test.reader.start = start;
	test.reader.row = take_row;
	te_score_read(&test.reader, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (test.count > 0)
		qsort(test.purchases, test.count, sizeof(Purchase), compare_purchases);
	learn(&test);
	if (test.counts.total == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of backtest_recommendations has no purchases before split_at")));
	ends = palloc(sizeof(int64) * Max(test.counts.nitems, 1));
	neighbours = te_score_neighbours(&test.counts, ends);
	for (i = 0; i < lengthof(methods); i++)
	{
		Method	   *method = &methods[i];
		double		users = run_method(&test, method, neighbours, ends, k);
		Datum		values[4] = {CStringGetTextDatum(method->name), Int64GetDatum((int64) users),
		Float8GetDatum(method->recall / users), Float8GetDatum(method->ndcg / users)};
		bool		nulls[4] = {false, false, users == 0, users == 0};

		te_score_result_row(&result, values, nulls);
	}
	return (Datum) 0;
}
