/*
 * arguments.c
 *		Reading and checking the arguments of statistical functions, and building their
 *		results.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

#include "common/common.h"
#include "experiment/experiment_internal.h"

const char *const te_experiment_sides[] = {"two-sided", "greater", "less", NULL};

/*
 * Throws for NaN and infinities.
 */
void
te_experiment_check_number(double x, const char *name)
{
	if (isnan(x) || isinf(x))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a finite number", name)));
}

/*
 * Throws for NaN, infinities and negative numbers.
 */
void
te_experiment_check_variance(double x, const char *name)
{
	te_experiment_check_number(x, name);
	if (x < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name)));
}

/*
 * Throws unless 0 < x < 1.
 */
void
te_experiment_check_share(double x, const char *name)
{
	if (!(x > 0 && x < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 0 and 1, and neither of them", name)));
}

/*
 * Throws for a count below the least one, or so large that doubles do not hold it.
 */
void
te_experiment_check_count(int64 n, int64 least, const char *name)
{
	if (n < least)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least " INT64_FORMAT ", not " INT64_FORMAT, name, least, n)));
	if (n > INT64CONST(9007199254740992))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at most 2^53", name)));
}

/*
 * Throws for more arms than are compared.
 */
void
te_experiment_check_arms(int n)
{
	if (n > TE_MAX_ARMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("at most %d arms are possible, not %d", TE_MAX_ARMS, n)));
}

/*
 * Elements of an array of float8 or int8 as doubles, palloc'ed. Throws for nulls and
 * what is no finite number.
 */
static double *
elements(ArrayType *array, const char *name, Oid type, int *count)
{
	Datum	   *values;
	bool	   *nulls;
	double	   *result;
	int			i;

	Assert(ARR_ELEMTYPE(array) == type);
	deconstruct_array(array, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, count);
	result = palloc(sizeof(double) * Max(*count, 1));
	for (i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", name)));
		result[i] = type == INT8OID ? (double) DatumGetInt64(values[i]) : DatumGetFloat8(values[i]);
		te_experiment_check_number(result[i], name);
	}
	return result;
}

/*
 * Elements of an array of float8, palloc'ed. Throws for nulls and what is no finite
 * number.
 */
double *
te_experiment_doubles(ArrayType *array, const char *name, int *count)
{
	return elements(array, name, FLOAT8OID, count);
}

/*
 * Elements of an array of bigint, palloc'ed. Throws for nulls and negative ones.
 */
double *
te_experiment_counts(ArrayType *array, const char *name, int *count)
{
	double	   *result = elements(array, name, INT8OID, count);
	int			i;

	for (i = 0; i < *count; i++)
		te_experiment_check_count((int64) result[i], 0, name);
	return result;
}

/*
 * Position of a word among the allowed ones, a list that NULL ends. Throws, with a
 * hint, for another.
 */
int
te_experiment_word(const char *word, const char *const *allowed, const char *name)
{
	StringInfoData all;
	const char *nearest;
	int			i;

	for (i = 0; allowed[i]; i++)
		if (strcmp(allowed[i], word) == 0)
			return i;
	nearest = te_json_nearest(word, allowed);
	initStringInfo(&all);
	for (i = 0; allowed[i]; i++)
		appendStringInfo(&all, "%s\"%s\"", i ? ", " : "", allowed[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown %s \"%s\"", name, word),
			 nearest ? errhint("Perhaps you meant \"%s\".", nearest) : errhint("It is one of %s.", all.data)));
}

/*
 * An array of float8, palloc'ed.
 */
ArrayType *
te_experiment_make_array(const double *values, int count)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(count, 1));
	int			i;

	for (i = 0; i < count; i++)
		datums[i] = Float8GetDatum(values[i]);
	return construct_array(datums, count, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/*
 * The result of a function with several OUT parameters; nulls may be NULL.
 */
Datum
te_experiment_row(FunctionCallInfo fcinfo, Datum *values, const bool *nulls)
{
	static const bool none[FUNC_MAX_ARGS] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function is not declared to return a row");
	desc = BlessTupleDesc(desc);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, unconstify(bool *, nulls ? nulls : none)));
}

/*
 * Begins the result of a function that returns a table, in the query's memory. Throws
 * where no set can be returned.
 */
void
te_experiment_table(FunctionCallInfo fcinfo, TeTable *table)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the function must be called where a set can be returned")));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &table->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function is not declared to return a table");
	table->desc = CreateTupleDescCopy(table->desc);
	table->store = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);
	info->returnMode = SFRM_Materialize;
	info->setResult = table->store;
	info->setDesc = table->desc;
}

/*
 * Adds a row to it; nulls may be NULL.
 */
void
te_experiment_table_row(TeTable *table, Datum *values, const bool *nulls)
{
	static const bool none[FUNC_MAX_ARGS] = {false};

	tuplestore_putvalues(table->store, table->desc, values, unconstify(bool *, nulls ? nulls : none));
}
