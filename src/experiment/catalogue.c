/*
 * catalogue.c
 *		Experiments and holdouts as a backend keeps them.
 *
 * What is kept of an experiment are all its epochs, so that any past assignment can be
 * computed. A relcache message about one of the two tables makes it stale.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "errors.h"
#include "experiment/experiment_internal.h"

PG_FUNCTION_INFO_V1(te_bucket_shares);

static const char *const table_names[] = {"_experiments", "_experiment_epochs"};
static Oid	tables[lengthof(table_names)];
static uint64 generation = 1;
static bool callback_registered = false;

static MemoryContext kept_context = NULL;
static uint64 kept_generation = 0;
static HTAB *kept = NULL;
static TeHoldout *holdouts = NULL;
static int	nholdouts = -1;		/* -1 = not read yet */
static uint64 rounds = 0;		/* counts how often everything was forgotten */

/*
 * Relcache callback: notes that something changed. Never throws.
 */
static void
definition_changed(Datum arg, Oid relid)
{
	int			i;

	for (i = 0; i < lengthof(tables); i++)
		if (!OidIsValid(relid) || tables[i] == relid)
		{
			generation++;
			return;
		}
}

/*
 * Forgets everything when a definition changed.
 */
static void
forget_stale(void)
{
	HASHCTL		control = {0};
	Oid			schema;
	int			i;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(definition_changed, (Datum) 0);
		callback_registered = true;
	}
	AcceptInvalidationMessages();
	if (kept_context != NULL && kept_generation == generation)
		return;
	if (kept_context != NULL)
		MemoryContextDelete(kept_context);
	kept_context = NULL;
	kept = NULL;
	nholdouts = -1;
	rounds++;
	schema = get_namespace_oid("trigger_engine", false);
	for (i = 0; i < lengthof(tables); i++)
		tables[i] = get_relname_relid(table_names[i], schema);
	kept_generation = generation;
	kept_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine experiments",
										 ALLOCSET_DEFAULT_SIZES);
	control.keysize = TE_MAX_EXPERIMENT_NAME;
	control.entrysize = sizeof(TeExperiment);
	control.hcxt = kept_context;
	kept = hash_create("trigger_engine experiments", 32, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * Begins reading our tables as the extension's owner, under a snapshot that is not
 * older than the messages that were counted.
 */
void
te_experiment_begin_reading(TeIdentity *saved)
{
	te_run_as_begin(saved, te_extension_owner(), TE_RUN_KEPT_PLANS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetLatestSnapshot());
}

/*
 * Ends it.
 */
void
te_experiment_end_reading(const TeIdentity *saved)
{
	PopActiveSnapshot();
	SPI_finish();
	te_run_as_end(saved);
}

/*
 * How many buckets of a hash lie in a range.
 */
static int
buckets_within(const TeRange *range, int buckets)
{
	int			k;
	int			result = 0;

	for (k = 0; k < buckets; k++)
	{
		double		bucket = (double) k / buckets;

		result += bucket >= range->start && bucket < range->end;
	}
	return result;
}

/*
 * Shares of the variants among those who get one, palloc'ed: exact, by counting
 * buckets.
 */
static double *
bucket_shares(const TeRange *ranges, int count, int version)
{
	double	   *shares = palloc(sizeof(double) * Max(count, 1));
	double		sum = 0.0;
	int			i;

	for (i = 0; i < count; i++)
		sum += shares[i] = buckets_within(&ranges[i], te_experiment_buckets(version));
	for (i = 0; i < count && sum > 0; i++)
		shares[i] /= sum;
	return shares;
}

/*
 * Reads names and values of variants in stored form.
 */
static void
read_variants(TeEpoch *epoch, Jsonb *variants)
{
	int			i;

	epoch->names = palloc(sizeof(char *) * epoch->count);
	epoch->values = palloc0(sizeof(Jsonb *) * epoch->count);
	for (i = 0; i < epoch->count; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&variants->root, i);
		Jsonb	   *variant;
		JsonbValue *value;

		if (item == NULL || item->type != jbvBinary)
			elog(ERROR, "variants of an experiment are malformed");
		variant = JsonbValueToJsonb(item);
		epoch->names[i] = te_json_text(variant, "name", "a variant");
		value = te_json_find(variant, "value");
		if (epoch->names[i] == NULL)
			elog(ERROR, "variants of an experiment are malformed");
		if (value)
			epoch->values[i] = JsonbValueToJsonb(value);
	}
}

#define EPOCH_COLUMNS \
	"e.experiment_id, e.kind = 'holdout', e.sticky, e.has_assignments, p.epoch, p.from_at," \
	" p.state, p.winner, p.salt_epoch, p.salt, p.hash_version, p.variants, p.ranges," \
	" p.namespace_seed, p.namespace_version, p.namespace_range[1], p.namespace_range[2]"

/*
 * One row of EPOCH_COLUMNS, in the current memory context.
 */
static void
read_epoch(TeEpoch *epoch, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	ArrayType  *ranges;

	epoch->epoch = DatumGetInt32(SPI_getbinval(row, desc, 5, &isnull));
	epoch->from_at = DatumGetTimestampTz(SPI_getbinval(row, desc, 6, &isnull));
	epoch->state = SPI_getvalue(row, desc, 7);
	epoch->running = strcmp(epoch->state, "running") == 0;
	epoch->winner = SPI_getvalue(row, desc, 8);
	epoch->salt_epoch = DatumGetInt32(SPI_getbinval(row, desc, 9, &isnull));
	epoch->salt = SPI_getvalue(row, desc, 10);
	epoch->hash_version = DatumGetInt32(SPI_getbinval(row, desc, 11, &isnull));
	ranges = DatumGetArrayTypeP(SPI_getbinval(row, desc, 13, &isnull));
	epoch->ranges = te_experiment_array_ranges(ranges, &epoch->count);
	epoch->shares = bucket_shares(epoch->ranges, epoch->count, epoch->hash_version);
	read_variants(epoch, DatumGetJsonbP(SPI_getbinval(row, desc, 12, &isnull)));
	epoch->namespace_seed = SPI_getvalue(row, desc, 14);
	if (epoch->namespace_seed)
	{
		epoch->namespace_version = DatumGetInt32(SPI_getbinval(row, desc, 15, &isnull));
		epoch->namespace_range.start = DatumGetFloat8(SPI_getbinval(row, desc, 16, &isnull));
		epoch->namespace_range.end = DatumGetFloat8(SPI_getbinval(row, desc, 17, &isnull));
	}
}

/*
 * The experiment of that name. Valid until the next call. Throws when there is none.
 */
TeExperiment *
te_experiment_find(const char *name)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID};
	TeExperiment *experiment;
	TeIdentity	saved;
	Datum		values[1];
	MemoryContext old;
	bool		isnull;
	bool		found;
	uint64		i;

	forget_stale();
	if (strlen(name) < TE_MAX_EXPERIMENT_NAME && (experiment = hash_search(kept, name, HASH_FIND, NULL)) != NULL)
		return experiment;
	values[0] = CStringGetTextDatum(name);
	te_experiment_begin_reading(&saved);
	te_db_execute(&plan, "SELECT " EPOCH_COLUMNS " FROM trigger_engine._experiments e"
				  " JOIN trigger_engine._experiment_epochs p USING (experiment_id)"
				  " WHERE e.name = $1 ORDER BY p.epoch DESC", 1, types, values, NULL, true, 0);
	if (SPI_processed == 0 || strlen(name) >= TE_MAX_EXPERIMENT_NAME)
		ereport(ERROR,
				(errcode(TE_ERRCODE_UNDEFINED),
				 errmsg("experiment \"%s\" does not exist", name),
				 errhint("See the view trigger_engine.experiments.")));
	old = MemoryContextSwitchTo(kept_context);
	{
		TeEpoch	   *epochs = palloc0(sizeof(TeEpoch) * SPI_processed);
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		for (i = 0; i < SPI_processed; i++)
			read_epoch(&epochs[i], SPI_tuptable->vals[i], desc);
		experiment = hash_search(kept, name, HASH_ENTER, &found);
		experiment->id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		experiment->is_holdout = DatumGetBool(SPI_getbinval(row, desc, 2, &isnull));
		experiment->sticky = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
		experiment->has_assignments = DatumGetBool(SPI_getbinval(row, desc, 4, &isnull));
		experiment->nepochs = SPI_processed;
		experiment->epochs = epochs;
	}
	MemoryContextSwitchTo(old);
	te_experiment_end_reading(&saved);
	return experiment;
}

/*
 * Reads the list of holdouts: global ones, those of journeys, those of topics.
 */
static void
load_holdouts(void)
{
	static SPIPlanPtr plan = NULL;
	TeIdentity	saved;
	MemoryContext old;
	int			i;

	te_experiment_begin_reading(&saved);
	te_db_execute(&plan, "SELECT name, journey, topic FROM trigger_engine._experiments WHERE kind = 'holdout'"
				  " ORDER BY topic IS NOT NULL, journey IS NOT NULL, name", 0, NULL, NULL, NULL, true, 0);
	old = MemoryContextSwitchTo(kept_context);
	holdouts = palloc0(sizeof(TeHoldout) * Max(SPI_processed, 1));
	for (i = 0; i < SPI_processed; i++)
	{
		holdouts[i].name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		holdouts[i].journey = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		holdouts[i].topic = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3);
	}
	nholdouts = SPI_processed;
	MemoryContextSwitchTo(old);
	te_experiment_end_reading(&saved);
}

/*
 * The holdouts, and a number that changes with the list. Valid until the next call of
 * this file that looks something up.
 */
const TeHoldout *
te_experiment_holdouts(int *count, uint64 *round)
{
	forget_stale();
	if (nholdouts < 0)
		load_holdouts();
	*count = nholdouts;
	*round = rounds;
	return holdouts;
}

/*
 * bucket_shares(ranges, version)
 */
Datum
te_bucket_shares(PG_FUNCTION_ARGS)
{
	int			count;
	TeRange    *ranges = te_experiment_array_ranges(PG_GETARG_ARRAYTYPE_P(0), &count);

	te_experiment_check_arms(count);
	if (te_experiment_buckets(PG_GETARG_INT32(1)) == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(te_experiment_make_array(bucket_shares(ranges, count, PG_GETARG_INT32(1)), count));
}
