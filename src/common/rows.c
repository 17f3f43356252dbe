/*
 * rows.c
 *		Many rows as array parameters of one statement.
 *
 * The statement reads them with unnest($1, $2, ...); extra parameters follow the
 * arrays.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "common/common.h"

/*
 * Prepares an empty collection in the current memory context.
 */
void
te_rows_init(TeRows *rows, int ncolumns, const Oid *types)
{
	Assert(ncolumns <= TE_MAX_COLUMNS);
	memset(rows, 0, sizeof(TeRows));
	rows->context = CurrentMemoryContext;
	rows->ncolumns = ncolumns;
	rows->types = types;
}

/*
 * Adds one row. The datums are not copied; nulls may be NULL when none is.
 */
void
te_rows_add(TeRows *rows, const Datum *values, const bool *nulls)
{
	int			i;

	if (rows->count == rows->size)
	{
		int			size = Max(rows->size * 2, 16);

		for (i = 0; i < rows->ncolumns; i++)
		{
			rows->values[i] = rows->values[i]
				? repalloc(rows->values[i], sizeof(Datum) * size)
				: MemoryContextAlloc(rows->context, sizeof(Datum) * size);
			rows->nulls[i] = rows->nulls[i]
				? repalloc(rows->nulls[i], sizeof(bool) * size)
				: MemoryContextAlloc(rows->context, sizeof(bool) * size);
		}
		rows->size = size;
	}
	for (i = 0; i < rows->ncolumns; i++)
	{
		rows->values[i][rows->count] = values[i];
		rows->nulls[i][rows->count] = nulls != NULL && nulls[i];
	}
	rows->count++;
}

/*
 * Executes a statement with one array a column as its first parameters. SPI must
 * be connected; the result is in SPI_tuptable. Throws on error.
 */
void
te_rows_execute(TeRows *rows, SPIPlanPtr *plan, const char *sql,
				int nextra, const Oid *extra_types, const Datum *extra)
{
	Oid			types[TE_MAX_COLUMNS * 2];
	Datum		values[TE_MAX_COLUMNS * 2];
	int			i;

	for (i = 0; i < rows->ncolumns; i++)
	{
		int			lower = 1;
		int16		len;
		bool		by_value;
		char		align;

		get_typlenbyvalalign(rows->types[i], &len, &by_value, &align);
		types[i] = get_array_type(rows->types[i]);
		values[i] = PointerGetDatum(construct_md_array(rows->values[i], rows->nulls[i], 1,
													   &rows->count, &lower, rows->types[i],
													   len, by_value, align));
	}
	for (i = 0; i < nextra; i++)
	{
		types[rows->ncolumns + i] = extra_types[i];
		values[rows->ncolumns + i] = extra[i];
	}
	te_db_execute(plan, sql, rows->ncolumns + nextra, types, values, NULL, false, 0);
	for (i = 0; i < rows->ncolumns; i++)
		pfree(DatumGetPointer(values[i]));
}
