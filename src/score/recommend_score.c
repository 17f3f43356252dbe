/*
 * recommend_score.c
 *		What goes with a set of items: the scores of their neighbours summed up.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_complementary_items);

/* More than what is asked for is looked up, as some of it may not be available. */
#define SPARE 100

typedef struct Candidate
{
	uint32		number;
	double		score;
	char		status;
} Candidate;

#define SH_PREFIX candidates
#define SH_ELEMENT_TYPE Candidate
#define SH_KEY_TYPE uint32
#define SH_KEY number
#define SH_HASH_KEY(table, key) murmurhash32(key)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Adds the scores of the neighbours of each item of the basis. SPI must be connected.
 */
static candidates_hash *
add_scores(Datum basis)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[1] = {TEXTARRAYOID};
	candidates_hash *candidates = candidates_create(CurrentMemoryContext, 1024, NULL);
	uint64		row;

	te_db_execute(&plan, "SELECT best, scores FROM trigger_engine._cooccurrence WHERE item_id = ANY ($1)", 1, types, &basis,
				  NULL, true, 0);
	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;
		ArrayType  *best = DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &isnull));
		ArrayType  *scores = DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2, &isnull));
		int			count = ArrayGetNItems(ARR_NDIM(best), ARR_DIMS(best));
		int		   *numbers = (int *) ARR_DATA_PTR(best);
		double	   *values = (double *) ARR_DATA_PTR(scores);
		int			i;

		for (i = 0; i < count; i++)
		{
			bool		found;
			Candidate  *candidate = candidates_insert(candidates, numbers[i], &found);

			candidate->score = (found ? candidate->score : 0) + values[i];
		}
	}
	return candidates;
}

/*
 * Takes out what is excluded.
 */
static void
take_out(candidates_hash *candidates, Datum excluded)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[1] = {TEXTARRAYOID};
	uint64		row;

	te_db_execute(&plan, "SELECT number FROM trigger_engine._cooccurrence WHERE item_id = ANY ($1)", 1, types, &excluded, NULL,
				  true, 0);
	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		(void) candidates_delete(candidates, DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &isnull)));
	}
}

/*
 * Order of candidates: the higher score first, then the item that was there earlier.
 */
static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/*
 * _complementary_items(basis, excluded_items, n)
 */
Datum
te_complementary_items(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[] = {INT4ARRAYOID, FLOAT8ARRAYOID, INT8OID};
	Datum		values[lengthof(types)];
	int			n = PG_GETARG_INT32(2);
	candidates_hash *candidates;
	candidates_iterator iterator;
	Candidate  *candidate;
	Candidate  *sorted;
	Datum	   *numbers;
	Datum	   *scores;
	TeResult	result;
	int			count = 0;
	int			i;

	te_score_result_begin(&result, fcinfo, "_complementary_items");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	candidates = add_scores(PG_GETARG_DATUM(0));
	take_out(candidates, PG_GETARG_DATUM(1));
	sorted = palloc(sizeof(Candidate) * Max(candidates->members, 1));
	candidates_start_iterate(candidates, &iterator);
	while ((candidate = candidates_iterate(candidates, &iterator)) != NULL)
		sorted[count++] = *candidate;
	qsort(sorted, count, sizeof(Candidate), compare_candidates);
	count = Min(count, n + SPARE);
	numbers = palloc(sizeof(Datum) * Max(count, 1));
	scores = palloc(sizeof(Datum) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		numbers[i] = Int32GetDatum(sorted[i].number);
		scores[i] = Float8GetDatum(sorted[i].score);
	}
	values[0] = PointerGetDatum(construct_array(numbers, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(scores, count, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[2] = Int64GetDatum(n);
	te_db_execute(&plan, "SELECT c.item_id, o.score FROM unnest($1, $2) WITH ORDINALITY o(number, score, place)"
				  " JOIN trigger_engine._cooccurrence c ON c.number = o.number"
				  " WHERE NOT EXISTS (SELECT FROM trigger_engine._items i WHERE i.item_id = c.item_id AND NOT i.available)"
				  " ORDER BY o.place LIMIT $3", lengthof(types), types, values, NULL, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		Datum		row[2];
		bool		nulls[2];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, row, nulls);
		te_score_result_row(&result, row, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}
