/*
 * serve.c
 *		Logistic models at work: a cache of parsed ones in each backend, and predictions.
 *
 * A relcache message about the table of models makes everything cached stale. A model is
 * read under a snapshot taken after the messages so far were counted, so that one that
 * committed in between is not missed for ever.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "errors.h"
#include "score/logistic.h"

PG_FUNCTION_INFO_V1(te_predict);
PG_FUNCTION_INFO_V1(te_model_features);

/* A model in service, with the buffer for features of its rows. */
typedef struct Served
{
	struct Served *next;
	char	   *name;
	int			name_length;
	TeLogistic *model;
	TeFeatures	features;
} Served;

/* What a call site remembers. */
typedef struct CallSite
{
	uint64		generation;
	Served	   *served;
} CallSite;

static MemoryContext served_context = NULL;
static Served *served_list = NULL;
static uint64 generation = 1;
static uint64 served_generation = 0;
static TimestampTz served_until = 0;	/* of a parallel query: the transaction they were read in */
static Oid	models_table = InvalidOid;

/*
 * Relcache callback: models changed, or everything may have.
 */
static void
models_changed(Datum arg, Oid relid)
{
	if (relid == models_table || !OidIsValid(relid))
		generation++;
}

/*
 * Forgets models that may be out of date.
 */
static void
forget_stale(void)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(models_changed, (Datum) 0);
		registered = true;
	}
	if (served_generation == generation &&
		(served_until == 0 || served_until == GetCurrentTransactionStartTimestamp()))
		return;
	if (served_context)
		MemoryContextDelete(served_context);
	served_list = NULL;
	served_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine models", ALLOCSET_SMALL_SIZES);
	models_table = get_relname_relid("_models", get_namespace_oid("trigger_engine", false));
	served_generation = generation;
	served_until = 0;
}

/*
 * Reads the version of a model in use, as the extension's owner. The row is allocated in
 * the current context. Throws when there is none, or when it is not logistic.
 */
TeLogistic *
te_score_load_logistic(const char *name, bool learning, TeModelRow *row)
{
	static SPIPlanPtr plan = NULL;
	const Oid	types[1] = {TEXTOID};
	MemoryContext caller = CurrentMemoryContext;
	TeIdentity	saved;
	Datum		values[1];
	Datum		found[6];
	bool		nulls[6];
	TeLogistic *model;
	int			i;

	values[0] = CStringGetTextDatum(name);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_run_as_begin(&saved, te_extension_owner(), TE_RUN_TRUSTED);
	if (!IsInParallelMode())
		PushActiveSnapshot(GetLatestSnapshot());
	te_db_execute(&plan, "SELECT m.kind, v.parameters, v.state, v.options, v.query, v.target FROM trigger_engine._models m"
				  " JOIN trigger_engine._model_versions v USING (name, version) WHERE name = $1",
				  1, types, values, NULL, true, 1);
	if (!IsInParallelMode())
		PopActiveSnapshot();
	te_run_as_end(&saved);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_UNDEFINED),
				 errmsg("model \"%s\" does not exist", name),
				 errhint("See the view trigger_engine.models.")));
	for (i = 0; i < lengthof(found); i++)
		found[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &nulls[i]);
	if (strcmp(TextDatumGetCString(found[0]), "logistic") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("model \"%s\" is of kind %s", name, TextDatumGetCString(found[0])),
				 errhint("Models of this kind are asked through the functions that take model_parameters().")));
	model = te_score_logistic_decode(DatumGetJsonbP(found[1]), DatumGetByteaPP(found[2]), learning, caller);
	if (row)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		row->parameters = DatumGetJsonbPCopy(found[1]);
		row->options = nulls[3] ? te_json_parse("{}") : DatumGetJsonbPCopy(found[3]);
		row->query = nulls[4] ? NULL : TextDatumGetCString(found[4]);
		row->target = nulls[5] ? NULL : TextDatumGetCString(found[5]);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return model;
}

/*
 * The model of a name, from the cache or read into it.
 */
static Served *
find_served(const char *name, int length)
{
	Served	   *served;
	MemoryContext old;

	forget_stale();
	for (served = served_list; served; served = served->next)
		if (served->name_length == length && memcmp(served->name, name, length) == 0)
			return served;
	/* messages that came until now belong to what is read next */
	AcceptInvalidationMessages();
	forget_stale();
	if (IsInParallelMode())
		served_until = GetCurrentTransactionStartTimestamp();
	old = MemoryContextSwitchTo(served_context);
	served = palloc0(sizeof(Served));
	served->name = pnstrdup(name, length);
	served->name_length = length;
	served->model = te_score_load_logistic(served->name, false, NULL);
	served->features.model = served->model;
	served->next = served_list;
	served_list = served;
	MemoryContextSwitchTo(old);
	return served;
}

/*
 * predict(name, features)
 */
Datum
te_predict(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	Jsonb	   *json = PG_GETARG_JSONB_P(1);
	CallSite   *site = fcinfo->flinfo->fn_extra;
	Served	   *served;

	if (site && site->generation == generation && served_until == 0 &&
		site->served->name_length == VARSIZE_ANY_EXHDR(name) &&
		memcmp(site->served->name, VARDATA_ANY(name), site->served->name_length) == 0)
		served = site->served;
	else
	{
		served = find_served(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
		if (site == NULL)
			site = fcinfo->flinfo->fn_extra = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(CallSite));
		site->generation = generation;
		site->served = served;
	}
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("features must be a JSON object")));
	te_score_features_begin(&served->features, served->model, false);
	te_score_features_object(&served->features, &json->root);
	te_score_logistic_scale(served->model, &served->features, false);
	te_score_features_pair(&served->features);
	PG_FREE_IF_COPY(json, 1);
	PG_RETURN_FLOAT8(te_score_logistic_predict(served->model, &served->features));
}

/*
 * model_features(name)
 */
Datum
te_model_features(PG_FUNCTION_ARGS)
{
	TeLogistic *model;
	TeResult	result;
	int			i;

	te_score_result_begin(&result, fcinfo, "model_features");
	model = te_score_load_logistic(text_to_cstring(PG_GETARG_TEXT_PP(0)), true, NULL);
	te_score_logistic_freeze(model);
	for (i = 0; i < 1 << model->bits; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};
		TeMoments  *moments = NULL;
		int			j;

		if (model->n[i] == 0)
			continue;
		for (j = 0; j < model->moments_size; j++)
			if (model->moments[j].key != 0 && model->moments[j].key >> (64 - model->bits) == i)
				moments = &model->moments[j];
		nulls[0] = model->names[i] == NULL;
		values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(model->names[i]);
		values[1] = Float8GetDatum(model->w[i]);
		/* the sum of squared gradients: how much there was to learn from */
		values[2] = Float8GetDatum(model->n[i]);
		nulls[3] = nulls[4] = moments == NULL;
		values[3] = moments ? Float8GetDatum(moments->mean) : (Datum) 0;
		values[4] = moments ? Float8GetDatum(moments->count > 0 ? sqrt(moments->squares / moments->count) : 0) : (Datum) 0;
		te_score_result_row(&result, values, nulls);
	}
	MemoryContextDelete(model->context);
	return (Datum) 0;
}
