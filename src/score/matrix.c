/*
 * matrix.c
 *		The numeric columns of a query as one block of doubles, with a key for each row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "score/score.h"

/* Columns of these names are keys without being asked for. */
static const char *const key_names[] = {"user_id", "id", NULL};

/*
 * Finds the key: the column asked for, one with the usual names, or the only column
 * that is no number.
 */
static int
find_key(TeMatrix *matrix, TupleDesc columns)
{
	int			found = -1;
	int			i;

	if (matrix->key_name)
	{
		const char *names[] = {matrix->key_name, NULL};

		found = te_score_find_column(columns, names);
		if (found < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query of %s has no column \"%s\"", matrix->reader.what, matrix->key_name)));
		return found;
	}
	found = te_score_find_column(columns, key_names);
	for (i = 0; found < 0 && i < columns->natts; i++)
		if (!te_score_is_number(TupleDescAttr(columns, i)->atttypid))
			return i;
	return found;
}

/*
 * Sorts columns out; refuses what is neither key nor number.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
	TeMatrix   *matrix = (TeMatrix *) reader;
	bool		varlena;
	int			i;

	matrix->key = find_key(matrix, columns);
	matrix->names = palloc(sizeof(char *) * columns->natts);
	matrix->columns = palloc(sizeof(int) * columns->natts);
	matrix->types = palloc(sizeof(Oid) * columns->natts);
	for (i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(columns, i);

		if (i == matrix->key)
		{
			getTypeOutputInfo(attribute->atttypid, &matrix->key_output, &varlena);
			continue;
		}
		if (!te_score_is_number(attribute->atttypid))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the query of %s is of type %s", NameStr(attribute->attname), reader->what,
							format_type_be(attribute->atttypid)),
					 errhint("All columns but the key must be numbers.")));
		matrix->names[matrix->ncolumns] = pstrdup(NameStr(attribute->attname));
		matrix->columns[matrix->ncolumns] = i;
		matrix->types[matrix->ncolumns++] = getBaseType(attribute->atttypid);
	}
	if (matrix->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s has no column of numbers", reader->what)));
}

/*
 * Makes room for one more row.
 */
static void
grow(TeMatrix *matrix)
{
	int64		size = Max(matrix->size * 2, 1024);

	if (size > PG_INT32_MAX || size > MaxAllocHugeSize / sizeof(double) / matrix->ncolumns)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the query of %s has too many rows", matrix->reader.what)));
	if (matrix->values)
		matrix->values = repalloc_huge(matrix->values, size * matrix->ncolumns * sizeof(double));
	else
		matrix->values = MemoryContextAllocHuge(matrix->reader.context, size * matrix->ncolumns * sizeof(double));
	if (matrix->keep_keys && matrix->key_at)
		matrix->key_at = repalloc_huge(matrix->key_at, size * sizeof(Size));
	else if (matrix->keep_keys)
		matrix->key_at = MemoryContextAllocHuge(matrix->reader.context, size * sizeof(Size));
	matrix->size = size;
}

/*
 * Keeps the text of a row's key; its number where the query has no key.
 */
static void
keep_key(TeMatrix *matrix, const Datum *values, const bool *nulls)
{
	char	   *text;
	Size		length;

	if (matrix->key < 0)
		text = psprintf("%llu", (unsigned long long) matrix->reader.rows);
	else if (nulls[matrix->key])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the key of row %llu of the query of %s is null",
						(unsigned long long) matrix->reader.rows, matrix->reader.what)));
	else
		text = OidOutputFunctionCall(matrix->key_output, values[matrix->key]);
	length = strlen(text) + 1;
	if (matrix->keys_used + length > matrix->keys_size)
	{
		Size		size = Max(matrix->keys_size * 2, matrix->keys_used + length + 8192);

		matrix->keys = matrix->keys ? repalloc_huge(matrix->keys, size)
			: MemoryContextAllocHuge(matrix->reader.context, size);
		matrix->keys_size = size;
	}
	memcpy(matrix->keys + matrix->keys_used, text, length);
	matrix->key_at[matrix->nrows] = matrix->keys_used;
	matrix->keys_used += length;
}

/*
 * Takes one row.
 */
static void
take_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	TeMatrix   *matrix = (TeMatrix *) reader;
	double	   *row;
	int			i;

	if (matrix->nrows == matrix->size)
		grow(matrix);
	row = matrix->values + matrix->nrows * matrix->ncolumns;
	for (i = 0; i < matrix->ncolumns; i++)
	{
		int			column = matrix->columns[i];
		double		value = nulls[column] ? NAN : te_score_number(values[column], matrix->types[i]);

		/* squares and their sums must stay finite, too */
		if (!(fabs(value) <= 1e140))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is %s in row %llu of the query of %s", matrix->names[i],
							nulls[column] ? "null" : isfinite(value) ? "too large" : isnan(value) ? "NaN" : "infinite",
							(unsigned long long) reader->rows, reader->what),
					 errhint("Leave such rows out, or put a number in its place with coalesce() or CASE.")));
		row[i] = value + 0.0;	/* no negative zero */
	}
	if (matrix->keep_keys)
		keep_key(matrix, values, nulls);
	matrix->nrows++;
}

/*
 * Reads a query into a matrix, in the current context. The caller sets key_name and
 * keep_keys before. Throws when a column is no number, or a value NULL, NaN or infinite.
 */
void
te_score_read_matrix(TeMatrix *matrix, const char *query, const char *what)
{
	matrix->reader.what = what;
	matrix->reader.start = start;
	matrix->reader.row = take_row;
	te_score_read(&matrix->reader, query);
	if (matrix->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s has no rows", what)));
}
