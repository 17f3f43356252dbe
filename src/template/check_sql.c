/*
 * check_sql.c
 *		check_template(), and the checks of templates that are about to be stored.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "template/program.h"
#include "template/template.h"

PG_FUNCTION_INFO_V1(te_check_template);

/*
 * A tuplestore for the rows of a set-returning function. Throws when the caller
 * cannot take one.
 */
static Tuplestorestate *
begin_rows(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	Tuplestorestate *store;

	if (info == NULL || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (get_call_result_type(fcinfo, NULL, desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	store = tuplestore_begin_heap(true, false, work_mem);
	*desc = CreateTupleDescCopy(*desc);
	MemoryContextSwitchTo(old);
	info->returnMode = SFRM_Materialize;
	info->setResult = store;
	info->setDesc = *desc;
	return store;
}

/*
 * Orders problems by where they are.
 */
static int
compare_problems(const void *a, const void *b)
{
	const TeProblem *left = a;
	const TeProblem *right = b;

	return (left->offset > right->offset) - (left->offset < right->offset);
}

/*
 * check_template(template, sample): a row for each problem, in the order of the text.
 */
Datum
te_check_template(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *store = begin_rows(fcinfo, &desc);
	text	   *template;
	Jsonb	   *sample = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	TeProblems	problems;
	TeProgram  *program;
	int			i;

	if (PG_ARGISNULL(0))
		return (Datum) 0;
	template = PG_GETARG_TEXT_PP(0);
	if (sample != NULL && !JB_ROOT_IS_OBJECT(sample))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sample must be a JSON object")));
	program = te_program_parse(CurrentMemoryContext, VARDATA_ANY(template), VARSIZE_ANY_EXHDR(template),
							   false, false, sample, true, &problems);
	qsort(problems.items, problems.count, sizeof(TeProblem), compare_problems);
	for (i = 0; i < problems.count; i++)
	{
		const TeProblem *problem = &problems.items[i];
		Datum		values[4];
		bool		nulls[4] = {false};
		int			line,
					column;

		te_text_position(VARDATA_ANY(template), problem->offset, &line, &column);
		values[0] = Int32GetDatum(line);
		values[1] = Int32GetDatum(column);
		values[2] = CStringGetTextDatum(problem->severity);
		values[3] = CStringGetTextDatum(problem->hint ? psprintf("%s. %s", problem->message, problem->hint) : problem->message);
		tuplestore_putvalues(store, desc, values, nulls);
	}
	if (program != NULL)
		MemoryContextDelete(program->context);
	return (Datum) 0;
}

/*
 * See template.h.
 */
void
te_template_check_text(const char *text, int len, const char *place)
{
	TeProblems	problems;
	TeProgram  *program = te_program_parse(CurrentMemoryContext, text, len, false, false, NULL, true, &problems);

	if (problems.errors == 0 && problems.count > 0)
		problems.items[0].severity = "error";
	if (problems.count > 0)
		te_problems_throw(&problems, text, place);
	MemoryContextDelete(program->context);
}
