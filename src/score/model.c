/*
 * model.c
 *		Models as rows: written as the extension's owner, in the name of whoever
 *		trained them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"

#include "common/common.h"
#include "errors.h"
#include "score/score.h"

PG_FUNCTION_INFO_V1(te_retrain_model);

/*
 * Stores a new version of a model and makes it the current one; returns its number.
 * The query is stored with the search_path it was run under, so that running it again
 * means the same. Throws when the name belongs to somebody else or to another kind.
 */
int
te_score_save_model(const TeModelRow *row)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[] = {NAMEOID, TEXTOID, TEXTOID, JSONBOID, BYTEAOID, JSONBOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1];
	TeIdentity	saved;
	bool		isnull;
	int			version;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false)));
	values[1] = CStringGetTextDatum(row->name);
	values[2] = CStringGetTextDatum(row->kind);
	values[3] = JsonbPGetDatum(row->parameters);
#define OPTIONAL(i, value, datum) \
	do { nulls[i] = (value) ? ' ' : 'n'; values[i] = (value) ? (datum) : (Datum) 0; } while (0)
	OPTIONAL(4, row->state, PointerGetDatum(row->state));
	OPTIONAL(5, row->metrics, JsonbPGetDatum(row->metrics));
	OPTIONAL(6, row->options, JsonbPGetDatum(row->options));
	OPTIONAL(7, row->query, CStringGetTextDatum(row->query));
	OPTIONAL(8, row->target, CStringGetTextDatum(row->target));
#undef OPTIONAL
	values[9] = CStringGetTextDatum(GetConfigOption("search_path", false, false));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	te_db_execute(&plan, "SELECT trigger_engine._store_model($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
				  lengthof(types), types, values, nulls, false, 0);
	version = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	te_run_as_end(&saved);
	SPI_finish();
	return version;
}

/* What a model was made with. */
typedef struct Recipe
{
	char	   *kind;
	char	   *owner;
	char	   *search_path;
	Datum		args[4];		/* name, query, target, options */
	char		nulls[5];
} Recipe;

/*
 * Reads the recipe of the version in use, as the extension's owner, and checks that
 * whoever calls may act for the model's owner. SPI must be connected.
 */
static void
read_recipe(Recipe *recipe, Datum name, Datum invoker)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[2] = {TEXTOID, NAMEOID};
	Datum		values[2] = {name, invoker};
	TeIdentity	saved;
	HeapTuple	tuple;
	TupleDesc	columns;
	bool		isnull;
	int			i;

	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	te_db_execute(&plan, "SELECT v.query, v.target, v.options, m.kind, m.owner::text, v.search_path,"
				  " trigger_engine._check_owner($2, m.owner, format('model \"%s\"', name)) IS NULL"
				  " FROM trigger_engine._models m JOIN trigger_engine._model_versions v USING (name, version) WHERE name = $1",
				  2, types, values, NULL, true, 1);
	te_run_as_end(&saved);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_UNDEFINED),
				 errmsg("model \"%s\" does not exist", TextDatumGetCString(name)),
				 errhint("See the view trigger_engine.models.")));
	tuple = SPI_tuptable->vals[0];
	columns = SPI_tuptable->tupdesc;
	recipe->args[0] = name;
	recipe->nulls[0] = ' ';
	recipe->nulls[4] = '\0';
	for (i = 1; i < 4; i++)
	{
		recipe->args[i] = SPI_getbinval(tuple, columns, i, &isnull);
		recipe->nulls[i] = isnull ? 'n' : ' ';
	}
	recipe->kind = SPI_getvalue(tuple, columns, 4);
	recipe->owner = SPI_getvalue(tuple, columns, 5);
	recipe->search_path = SPI_getvalue(tuple, columns, 6);
	if (recipe->nulls[1] == 'n')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" was not made by a query", TextDatumGetCString(name))));
}

/*
 * retrain_model(name): runs the stored query again, as the model's owner in a restricted
 * operation and under the search_path that it was stored with.
 */
Datum
te_retrain_model(PG_FUNCTION_ARGS)
{
	static const struct
	{
		const char *kind;
		const char *sql;
	}			calls[] = {
		{"logistic", "SELECT trigger_engine.train_model($1, $2, $3, $4)"},
		{"bg_nbd", "SELECT trigger_engine.fit_churn($2, 'bg_nbd', save_as => $1)"},
		{"pareto_nbd", "SELECT trigger_engine.fit_churn($2, 'pareto_nbd', save_as => $1)"},
		{"gamma_gamma", "SELECT trigger_engine.fit_spend($2, save_as => $1)"},
		{"beta", "SELECT trigger_engine.fit_beta_prior($2, save_as => $1)"},
		{"kmeans", "SELECT trigger_engine.fit_kmeans($2, ($4->>'k')::int, ($4->>'seed')::bigint, ($4->>'restarts')::int,"
		" $4->>'standardize', $1, $4->>'key_column', $4->'options')"},
	};
	Oid			types[4] = {TEXTOID, TEXTOID, TEXTOID, JSONBOID};
	MemoryContext caller = CurrentMemoryContext;
	Recipe		recipe;
	TeIdentity	saved;
	Datum		result;
	bool		isnull;
	int			i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_recipe(&recipe, PG_GETARG_DATUM(0),
				DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false))));
	for (i = 0; i < lengthof(calls) && strcmp(calls[i].kind, recipe.kind) != 0; i++)
		 /* look on */ ;
	if (i == lengthof(calls))
		elog(ERROR, "unknown kind of model %s", recipe.kind);
	te_run_as_begin(&saved, get_role_oid(recipe.owner, false), TE_RUN_RESTRICTED);
	(void) set_config_option("search_path", recipe.search_path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (SPI_execute_with_args(calls[i].sql, 4, types, recipe.args, recipe.nulls, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "retraining failed");
	te_run_as_end(&saved);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(caller);
	result = datumCopy(result, false, -1);
	SPI_finish();
	PG_RETURN_DATUM(result);
}
