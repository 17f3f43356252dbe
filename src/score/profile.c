/*
 * profile.c
 *		What the columns of a training query held, so that later rows can be compared.
 *
 * Of numbers a sample is kept (reservoir sampling, Vitter 1985, from a fixed seed) and in
 * the end its deciles; of values the shares of the most frequent.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "compat.h"
#include "score/logistic.h"

/* Distinct values are counted up to here; what comes later is only in the total. */
#define MAX_VALUES 10000
#define MAX_VALUE_LENGTH 100
#define DECILES 10

struct TeRandomState
{
	TeRandom	random;
};

typedef struct ProfileValue
{
	uint64		hash;			/* key */
	double		count;
	char	   *text;
} ProfileValue;

/*
 * Begins a profile of so many columns, in the current context.
 */
void
te_score_profile_init(TeProfile *profile, int ncolumns)
{
	memset(profile, 0, sizeof(*profile));
	profile->context = CurrentMemoryContext;
	profile->ncolumns = ncolumns;
	profile->columns = palloc0(sizeof(TeProfileColumn) * Max(ncolumns, 1));
	profile->random = palloc(sizeof(struct TeRandomState));
	te_random_seed(&profile->random->random, 1);
	profile->scores.name = "(score)";
	profile->scores.number = true;
}

/*
 * Notes a number; NaN is none.
 */
void
te_score_profile_number(TeProfile *profile, TeProfileColumn *column, double value)
{
	int64		place;

	column->count++;
	if (isnan(value))
	{
		column->nulls++;
		return;
	}
	if (column->sample == NULL)
		column->sample = MemoryContextAlloc(profile->context, sizeof(double) * TE_RESERVOIR);
	if (column->nsample < TE_RESERVOIR)
	{
		column->sample[column->nsample++] = value;
		return;
	}
	place = (int64) (te_random_double(&profile->random->random) * (column->count - column->nulls));
	if (place < TE_RESERVOIR)
		column->sample[place] = value;
}

/*
 * Notes a value by the hash of its feature; a NULL text is null.
 */
void
te_score_profile_value(TeProfile *profile, TeProfileColumn *column, uint64 hash, const char *value, int length)
{
	ProfileValue *entry;
	bool		found;

	column->count++;
	if (value == NULL)
	{
		column->nulls++;
		return;
	}
	if (column->values == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(uint64);
		control.entrysize = sizeof(ProfileValue);
		control.hcxt = profile->context;
		column->values = hash_create("values of a column", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(column->values, &hash,
						hash_get_num_entries(column->values) < MAX_VALUES ? HASH_ENTER : HASH_FIND, &found);
	if (entry == NULL)
		return;
	if (!found)
	{
		MemoryContext old = MemoryContextSwitchTo(profile->context);

		entry->count = 0;
		entry->text = length <= MAX_VALUE_LENGTH ? pnstrdup(value, length) : NULL;
		MemoryContextSwitchTo(old);
	}
	entry->count++;
}

/*
 * Order of two numbers.
 */
static int
compare_numbers(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/*
 * Order of two values: the more frequent first, then by their texts.
 */
static int
compare_values(const void *a, const void *b)
{
	const ProfileValue *x = *(ProfileValue *const *) a;
	const ProfileValue *y = *(ProfileValue *const *) b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return strcmp(x->text, y->text);
}

/*
 * Puts a column of numbers: bounds of its tenths and the share between each two.
 */
static void
put_numbers(TeBuilder *builder, TeProfileColumn *column)
{
	double		bounds[DECILES];
	int			nbounds = 0;
	int			i,
				j = 0;

	qsort(column->sample, column->nsample, sizeof(double), compare_numbers);
	for (i = 1; i < DECILES; i++)
	{
		double		bound = column->sample[(int64) column->nsample * i / DECILES];

		if ((nbounds == 0 || bound > bounds[nbounds - 1]) && bound > column->sample[0])
			bounds[nbounds++] = bound;
	}
	te_score_open(builder, "bounds", true);
	for (i = 0; i < nbounds; i++)
		te_score_put_number(builder, NULL, bounds[i]);
	te_score_close(builder, true);
	te_score_open(builder, "shares", true);
	for (i = 0; i <= nbounds; i++)
	{
		int			from = j;

		while (j < column->nsample && (i == nbounds || column->sample[j] < bounds[i]))
			j++;
		te_score_put_number(builder, NULL, (j - from) / (double) column->nsample);
	}
	te_score_close(builder, true);
}

/*
 * Puts a column of values: the shares of the most frequent.
 */
static void
put_values(TeBuilder *builder, TeProfileColumn *column)
{
	ProfileValue **entries = palloc(sizeof(ProfileValue *) * hash_get_num_entries(column->values));
	HASH_SEQ_STATUS status;
	ProfileValue *entry;
	int			count = 0;
	int			i;

	hash_seq_init(&status, column->values);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->text)
			entries[count++] = entry;
	qsort(entries, count, sizeof(ProfileValue *), compare_values);
	te_score_open(builder, "values", false);
	for (i = 0; i < Min(count, TE_PROFILE_VALUES); i++)
		te_score_put_number(builder, entries[i]->text, entries[i]->count / (column->count - column->nulls));
	te_score_close(builder, false);
}

/*
 * Puts one column.
 */
static void
put_column(TeBuilder *builder, TeProfileColumn *column)
{
	if (column->sample == NULL && column->values == NULL)
		return;
	te_score_open(builder, column->name, false);
	te_score_put_number(builder, "nulls", column->nulls / column->count);
	if (column->number)
		put_numbers(builder, column);
	else
		put_values(builder, column);
	te_score_close(builder, false);
}

/*
 * The profile as an object by column, in the current context.
 */
Jsonb *
te_score_profile_build(TeProfile *profile)
{
	TeBuilder	builder;
	int			i;

	te_score_build(&builder);
	for (i = 0; i < profile->ncolumns; i++)
		put_column(&builder, &profile->columns[i]);
	put_column(&builder, &profile->scores);
	return te_score_built(&builder);
}
