/*
 * cooccur.c
 *		Counting items of baskets alone and in pairs, and scoring pairs by Dunning's log
 *		likelihood ratio (1993).
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "score/cooccur.h"

PG_FUNCTION_INFO_V1(te_log_likelihood_ratio);
PG_FUNCTION_INFO_V1(te_root_log_likelihood_ratio);

#define MAX_ITEM_LENGTH 256

typedef struct ItemEntry
{
	char		name[MAX_ITEM_LENGTH];	/* key */
	int			number;
} ItemEntry;

/* Pairs of items by their numbers, the smaller first. */
typedef struct PairEntry
{
	uint64		key;
	uint32		count;
	char		status;
} PairEntry;

#define SH_PREFIX pairs
#define SH_ELEMENT_TYPE PairEntry
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(table, key) murmurhash32((uint32) (key) ^ (uint32) ((key) >> 32) * 0x9E3779B1)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct TePairTable
{
	pairs_hash *hash;
};

/*
 * Begins, in the current context; baskets with more than cap items are cut.
 */
void
te_score_cooccurrence_init(TeCooccurrence *c, int cap)
{
	HASHCTL		control = {0};

	memset(c, 0, sizeof(*c));
	c->context = CurrentMemoryContext;
	c->cap = cap;
	control.keysize = MAX_ITEM_LENGTH;
	control.entrysize = sizeof(ItemEntry);
	control.hcxt = c->context;
	c->ids = hash_create("items", 1024, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	c->pairs = palloc(sizeof(struct TePairTable));
	c->pairs->hash = pairs_create(c->context, 1024, NULL);
}

/*
 * The number of an item, a new one for a new name.
 */
int
te_score_item_number(TeCooccurrence *c, const char *name)
{
	ItemEntry  *entry;
	bool		found;

	if (strlen(name) >= MAX_ITEM_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the id of item \"%.40s\" is longer than %d bytes", name, MAX_ITEM_LENGTH - 1)));
	entry = hash_search(c->ids, name, HASH_ENTER, &found);
	if (found)
		return entry->number;
	if (c->nitems == c->size)
	{
		c->size = Max(c->size * 2, 1024);
		c->names = c->names ? repalloc_huge(c->names, sizeof(char *) * c->size)
			: MemoryContextAllocHuge(c->context, sizeof(char *) * c->size);
		c->baskets = c->baskets ? repalloc_huge(c->baskets, sizeof(double) * c->size)
			: MemoryContextAllocHuge(c->context, sizeof(double) * c->size);
	}
	entry->number = c->nitems;
	c->names[c->nitems] = MemoryContextStrdup(c->context, name);
	c->baskets[c->nitems] = 0;
	return c->nitems++;
}

/* An item with what decides whether it stays in a long basket. */
typedef struct Drawn
{
	uint64		lot;
	int			item;
} Drawn;

/*
 * Order of lots.
 */
static int
compare_lots(const void *a, const void *b)
{
	const Drawn *x = a;
	const Drawn *y = b;

	if (x->lot != y->lot)
		return x->lot < y->lot ? -1 : 1;
	return 0;
}

/*
 * Order of numbers.
 */
static int
compare_items(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return x < y ? -1 : x > y;
}

/*
 * Cuts a long basket to the cap by lots that depend on its number and the names alone.
 */
static int
cut_basket(const TeCooccurrence *c, int *items, int count)
{
	Drawn	   *drawn = palloc(sizeof(Drawn) * count);
	int			i;

	for (i = 0; i < count; i++)
	{
		const char *name = c->names[items[i]];

		drawn[i].item = items[i];
		drawn[i].lot = hash_bytes_extended((const unsigned char *) name, strlen(name), (uint64) c->total);
	}
	qsort(drawn, count, sizeof(Drawn), compare_lots);
	for (i = 0; i < c->cap; i++)
		items[i] = drawn[i].item;
	pfree(drawn);
	qsort(items, c->cap, sizeof(int), compare_items);
	return c->cap;
}

/*
 * Counts a basket; its items are sorted, and what is in it twice counts once.
 */
void
te_score_count_basket(TeCooccurrence *c, int *items, int count)
{
	int			n = 0;
	int			i,
				j;

	qsort(items, count, sizeof(int), compare_items);
	for (i = 0; i < count; i++)
		if (n == 0 || items[i] != items[n - 1])
			items[n++] = items[i];
	if (n > c->cap)
		n = cut_basket(c, items, n);
	for (i = 0; i < n; i++)
	{
		c->baskets[items[i]]++;
		for (j = 0; j < i; j++)
		{
			bool		found;
			PairEntry  *entry = pairs_insert(c->pairs->hash, (uint64) items[j] << 32 | items[i], &found);

			entry->count = found ? entry->count + 1 : 1;
		}
	}
	c->total++;
	CHECK_FOR_INTERRUPTS();
}

/*
 * All pairs from both sides: those of item i are in the result up to ends[i]. In the
 * current context.
 */
TeNeighbour *
te_score_neighbours(const TeCooccurrence *c, int64 *ends)
{
	pairs_iterator iterator;
	PairEntry  *entry;
	TeNeighbour *result;
	int64	   *places;
	int64		sum = 0;
	int			i;

	places = palloc0(sizeof(int64) * (c->nitems + 1));
	pairs_start_iterate(c->pairs->hash, &iterator);
	while ((entry = pairs_iterate(c->pairs->hash, &iterator)) != NULL)
	{
		places[entry->key >> 32]++;
		places[entry->key & 0xFFFFFFFF]++;
	}
	for (i = 0; i < c->nitems; i++)
	{
		sum += places[i];
		ends[i] = sum;
		places[i] = sum - places[i];
	}
	result = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TeNeighbour) * Max(sum, 1));
	pairs_start_iterate(c->pairs->hash, &iterator);
	while ((entry = pairs_iterate(c->pairs->hash, &iterator)) != NULL)
	{
		int			a = entry->key >> 32;
		int			b = entry->key & 0xFFFFFFFF;
		TeNeighbour one = {b, entry->count, 0};
		TeNeighbour other = {a, entry->count, 0};

		result[places[a]++] = one;
		result[places[b]++] = other;
	}
	pfree(places);
	return result;
}

/*
 * x log x, 0 at 0. Does not throw.
 */
static double
x_log_x(double x)
{
	return x > 0 ? x * log(x) : 0;
}

/*
 * Dunning's log likelihood ratio of a table of two by two: both, the first alone, the
 * second alone, neither; 2 (H(rows) + H(columns) - H(cells)) with entropies of counts.
 * Does not throw.
 */
double
te_score_llr(double k11, double k12, double k21, double k22)
{
	double		total = x_log_x(k11 + k12 + k21 + k22);
	double		rows = total - x_log_x(k11 + k12) - x_log_x(k21 + k22);
	double		columns = total - x_log_x(k11 + k21) - x_log_x(k12 + k22);
	double		cells = total - x_log_x(k11) - x_log_x(k12) - x_log_x(k21) - x_log_x(k22);

	/* what rounding makes less than 0 is 0 */
	return Max(0, 2 * (rows + columns - cells));
}

/*
 * How much two items belong together; 0 for those that meet less often than chance would
 * have it. Does not throw.
 */
double
te_score_pair(TePairScore kind, double together, double a, double b, double total)
{
	if (kind == TE_PAIR_COSINE)
		return together / sqrt(a * b);
	if (together * total <= a * b)
		return 0;
	return te_score_llr(together, a - together, b - together, Max(0, total - a - b + together));
}

/* for the comparison of neighbours, which end in their names when their scores are alike */
typedef struct TopContext
{
	const TeCooccurrence *c;
} TopContext;

/*
 * Order of two neighbours: the higher score first.
 */
static int
compare_neighbours(const void *a, const void *b, void *arg)
{
	const TeNeighbour *x = a;
	const TeNeighbour *y = b;
	const TeCooccurrence *c = ((TopContext *) arg)->c;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return strcmp(c->names[x->other], c->names[y->other]);
}

/*
 * Sorts scored neighbours and returns how many of the first are worth keeping.
 */
int
te_score_top(const TeCooccurrence *c, TeNeighbour *neighbours, int count, int most)
{
	TopContext	context = {c};
	int			n = 0;

	qsort_arg(neighbours, count, sizeof(TeNeighbour), compare_neighbours, &context);
	while (n < Min(count, most) && neighbours[n].score > 0)
		n++;
	return n;
}

/*
 * The four counts of a call; throws when one is negative or not finite.
 */
static void
read_counts(FunctionCallInfo fcinfo, double *k)
{
	int			i;

	for (i = 0; i < 4; i++)
	{
		k[i] = PG_GETARG_FLOAT8(i);
		if (!(k[i] >= 0 && isfinite(k[i])))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("counts must be finite and not negative")));
	}
}

/*
 * log_likelihood_ratio(k11, k12, k21, k22)
 */
Datum
te_log_likelihood_ratio(PG_FUNCTION_ARGS)
{
	double		k[4];

	read_counts(fcinfo, k);
	PG_RETURN_FLOAT8(te_score_llr(k[0], k[1], k[2], k[3]));
}

/*
 * root_log_likelihood_ratio(k11, k12, k21, k22): negative where both come together less
 * often than expected.
 */
Datum
te_root_log_likelihood_ratio(PG_FUNCTION_ARGS)
{
	double		k[4];
	double		root;

	read_counts(fcinfo, k);
	root = sqrt(te_score_llr(k[0], k[1], k[2], k[3]));
	/* the comparison of the shares k11 / (k11 + k12) and k21 / (k21 + k22), without division */
	PG_RETURN_FLOAT8(k[0] * (k[2] + k[3]) < k[2] * (k[0] + k[1]) ? -root : root);
}
