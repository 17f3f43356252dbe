/*
 * rows.c
 *		Rows of a training query as features and an outcome.
 *
 * A column is taken as to_jsonb() of the row would give it to predict(): numbers are
 * numbers, jsonb is walked, everything else is the text of a value.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "common/common.h"
#include "errors.h"
#include "score/logistic.h"

/*
 * Whether a column is left out.
 */
static bool
is_excluded(const TeTraining *training, const char *name)
{
	int			i;

	if (training->time_name && strcmp(training->time_name, name) == 0)
		return true;
	for (i = 0; training->excluded && i < JB_ROOT_COUNT(training->excluded); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&training->excluded->root, i);

		if (value->type == jbvString && strlen(name) == value->val.string.len &&
			memcmp(name, value->val.string.val, value->val.string.len) == 0)
			return true;
	}
	return false;
}

/*
 * Whether the query has a column of that name; an error when it must and has none.
 */
static int
find_column(const TeTraining *training, TupleDesc columns, const char *name, bool required)
{
	const char *names[] = {name, NULL};
	int			found = te_score_find_column(columns, names);

	if (found < 0 && required)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query of %s has no column \"%s\"", training->reader.what, name)));
	return found;
}

/*
 * Throws when a name in "exclude" is no column, which would go unnoticed.
 */
static void
check_excluded(const TeTraining *training, TupleDesc columns)
{
	int			i;

	for (i = 0; training->excluded && i < JB_ROOT_COUNT(training->excluded); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&training->excluded->root, i);

		if (value->type != jbvString)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("key \"exclude\" of options of %s must hold names of columns", training->reader.what)));
		(void) find_column(training, columns, pnstrdup(value->val.string.val, value->val.string.len), true);
	}
}

/*
 * Sorts the columns out.
 */
static void
start(TeReader *reader, TupleDesc columns)
{
	TeTraining *training = (TeTraining *) reader;
	bool		varlena;
	int			i;

	check_excluded(training, columns);
	training->target = find_column(training, columns, training->target_name, !training->without_target);
	if (training->target >= 0)
	{
		training->target_type = getBaseType(TupleDescAttr(columns, training->target)->atttypid);
		getTypeOutputInfo(TupleDescAttr(columns, training->target)->atttypid, &training->target_output, &varlena);
	}
	training->columns = palloc(sizeof(int) * columns->natts);
	training->types = palloc(sizeof(Oid) * columns->natts);
	training->outputs = palloc0(sizeof(Oid) * columns->natts);
	training->keys = palloc(sizeof(uint64) * columns->natts);
	training->ncolumns = 0;
	for (i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(columns, i);
		const char *name = NameStr(attribute->attname);
		Oid			type = getBaseType(attribute->atttypid);

		if (i == training->target || is_excluded(training, name))
			continue;
		training->columns[training->ncolumns] = i;
		training->types[training->ncolumns] = type;
		training->keys[training->ncolumns] = te_score_hash_key(name, strlen(name), 0);
		if (type == BOOLOID || (!te_score_is_number(type) && type != JSONBOID))
			getTypeOutputInfo(attribute->atttypid, &training->outputs[training->ncolumns], &varlena);
		training->ncolumns++;
	}
	if (training->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s has no columns beside the outcome", reader->what)));
	if (training->profile == NULL)
		return;
	te_score_profile_init(training->profile, training->ncolumns);
	for (i = 0; i < training->ncolumns; i++)
	{
		training->profile->columns[i].name = pstrdup(NameStr(TupleDescAttr(columns, training->columns[i])->attname));
		training->profile->columns[i].key = training->keys[i];
		training->profile->columns[i].number = !OidIsValid(training->outputs[i]);
	}
}

/*
 * The outcome of a row; throws when it is not one of two.
 */
static bool
outcome_of(TeTraining *training, Datum value)
{
	static const char *const words[2][6] = {
		{"false", "no", "f", "n", "0", NULL},
		{"true", "yes", "t", "y", "1", NULL}
	};
	char	   *text;
	int			outcome,
				i;

	if (training->positive == NULL && training->target_type == BOOLOID)
		return DatumGetBool(value);
	if (training->positive == NULL && te_score_is_number(training->target_type))
	{
		double		number = te_score_number(value, training->target_type);

		if (number == 0 || number == 1)
			return number == 1;
	}
	text = OidOutputFunctionCall(training->target_output, value);
	if (training->positive)
		return strcmp(text, training->positive) == 0;
	for (outcome = 0; outcome < 2; outcome++)
		for (i = 0; words[outcome][i]; i++)
			if (pg_strcasecmp(text, words[outcome][i]) == 0)
				return outcome == 1;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the outcome \"%s\" is \"%s\" in row %llu of the query of %s", training->target_name, text,
					(unsigned long long) training->reader.rows, training->reader.what),
			 errhint("It is a boolean, 0 or 1, yes or no; otherwise name the text that counts in the option \"positive\".")));
	return false;				/* keep the compiler quiet */
}

/*
 * Sets the path that names of features begin with.
 */
static void
set_path(TeTraining *training, int column)
{
	TeFeatures *features = &training->features;

	strlcpy(features->path, NameStr(TupleDescAttr(training->reader.columns, column)->attname), sizeof(features->path));
	features->path_length = strlen(features->path);
}

/*
 * Adds the features of one column, and notes what it held.
 */
static void
add_column(TeTraining *training, int i, Datum value, bool isnull)
{
	TeFeatures *features = &training->features;
	TeProfileColumn *column = training->profile ? &training->profile->columns[i] : NULL;

	if (features->naming)
		set_path(training, training->columns[i]);
	if (isnull)
	{
		te_score_feature_null(features, training->keys[i]);
		if (column && column->number)
			te_score_profile_number(training->profile, column, NAN);
		else if (column)
			te_score_profile_value(training->profile, column, 0, NULL, 0);
	}
	else if (OidIsValid(training->outputs[i]))
	{
		const char *text = training->types[i] == BOOLOID ? (DatumGetBool(value) ? "true" : "false")
			: OidOutputFunctionCall(training->outputs[i], value);
		int			length = strlen(text);

		te_score_feature_value(features, training->keys[i], text, length);
		if (column)
			te_score_profile_value(training->profile, column, features->items[features->count - 1].hash, text, length);
	}
	else if (training->types[i] == JSONBOID)
	{
		Jsonb	   *json = DatumGetJsonbP(value);

		if (JB_ROOT_IS_SCALAR(json))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is neither object nor array in row %llu of the query of %s",
							NameStr(TupleDescAttr(training->reader.columns, training->columns[i])->attname),
							(unsigned long long) training->reader.rows, training->reader.what)));
		te_score_feature_json(features, training->keys[i], &json->root);
	}
	else
	{
		double		number = te_score_number(value, training->types[i]);

		te_score_feature_number(features, training->keys[i], number);
		if (column)
			te_score_profile_number(training->profile, column, isfinite(number) ? number : NAN);
	}
}

/*
 * Takes one row.
 */
static void
take_row(TeReader *reader, const Datum *values, const bool *nulls)
{
	TeTraining *training = (TeTraining *) reader;
	bool		outcome = false;
	int			i;

	if (training->target >= 0 && nulls[training->target] && !training->without_target)
	{
		training->skipped++;
		return;
	}
	if (training->target >= 0 && !training->without_target)
		outcome = outcome_of(training, values[training->target]);
	te_score_features_begin(&training->features, training->model, training->features.naming);
	for (i = 0; i < training->ncolumns; i++)
		add_column(training, i, values[training->columns[i]], nulls[training->columns[i]]);
	training->row(training, outcome);
}

/*
 * Reads the query and gives each row to training->row. Rows whose outcome is NULL are
 * counted and left out. When a time is named the rows come in its order.
 */
void
te_score_training_read(TeTraining *training, const char *query, const char *what)
{
	training->reader.what = what;
	training->reader.start = start;
	training->reader.row = take_row;
	if (training->time_name)
		query = psprintf("SELECT * FROM (%s\n) AS q ORDER BY %s", query, quote_identifier(training->time_name));
	te_score_read(&training->reader, query);
	if (training->reader.rows - training->skipped == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s has no rows%s", what, training->skipped > 0 ? " with an outcome" : "")));
}
