/*
 * catalogue.c
 *		Reading journeys and providers from their tables: single versions for the
 *		worker, lanes for everybody.
 *
 * What is read here is kept until a relcache message says that configuration
 * changed. It is read under a snapshot that is taken after the messages so far
 * were counted, never under the transaction's: what committed in between would be
 * missed for ever. Needs a transaction with SPI connected unless said otherwise.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"
#include "worker/worker.h"

/* Counts relcache messages about our tables; never decreases. */
static uint64 generation = 1;
static bool callbacks_registered = false;
static Oid	schema_oid = InvalidOid;

/* Providers, for their lanes. */
typedef struct ProviderLane
{
	int			id;
	char	   *name;
	char	   *channel;
	bool		active;
} ProviderLane;

static MemoryContext lanes_context = NULL;
static uint64 lanes_generation = 0;
static int	nlanes = 0;
static ProviderLane *lanes = NULL;

/* Versions the worker runs, kept by (id, version). */
typedef struct VersionKey
{
	int64		id;
	int32		version;
	int32		padding;
} VersionKey;

typedef struct VersionEntry
{
	VersionKey	key;
	TeJourney  *journey;		/* NULL = known to be gone */
} VersionEntry;

static MemoryContext versions_context = NULL;
static uint64 versions_generation = 0;
static HTAB *versions = NULL;

/*
 * Relcache callback: only notes that something changed. InvalidOid means
 * everything; messages about other relations are told apart by our own list.
 */
static void
configuration_changed(Datum arg, Oid relid)
{
	int			i;

	if (!OidIsValid(relid))
	{
		generation++;
		return;
	}
	for (i = 0; i < TE_CONFIG_TABLES; i++)
		if (te_journey_config_tables[i] == relid)
		{
			generation++;
			return;
		}
}

/* OIDs of the configuration tables, as of the last load. */
Oid			te_journey_config_tables[TE_CONFIG_TABLES];

static const char *const config_table_names[TE_CONFIG_TABLES] = {
	"_stamp", "_pause", "_journeys", "_journey_versions", "_segments", "_templates",
	"_template_texts", "_translations", "_providers", "_secrets", "_event_schemas", "_tracked_tables",
	"_quiet_hours", "_caps", "_provider_kinds"
};

/*
 * Registers the callback; once a process. Does not need a transaction.
 */
void
te_journey_register_callbacks(void)
{
	if (callbacks_registered)
		return;
	CacheRegisterRelcacheCallback(configuration_changed, (Datum) 0);
	callbacks_registered = true;
}

/*
 * A number that changes whenever the configuration did. Never throws.
 */
uint64
te_journey_generation(void)
{
	return generation;
}

/*
 * Has everything that is kept read again at its next use.
 */
void
te_journey_distrust(void)
{
	generation++;
}

/*
 * Looks up the OIDs again, as the extension may have been dropped and created
 * since. Messages about the old ones have been counted by then.
 */
void
te_journey_resolve_tables(void)
{
	int			i;

	te_journey_register_callbacks();
	schema_oid = get_namespace_oid("trigger_engine", true);
	for (i = 0; i < TE_CONFIG_TABLES; i++)
		te_journey_config_tables[i] = OidIsValid(schema_oid)
			? get_relname_relid(config_table_names[i], schema_oid) : InvalidOid;
}

/*
 * Reads all providers into their own context.
 */
static void
load_lanes(void)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext old;
	uint64		now = generation;
	int			i;

	if (lanes_context == NULL)
		lanes_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine lanes",
											  ALLOCSET_SMALL_SIZES);
	te_journey_resolve_tables();
	nlanes = 0;
	MemoryContextReset(lanes_context);
	PushActiveSnapshot(GetLatestSnapshot());
	te_db_execute(&plan, "SELECT provider_id, name, channel, state = 'active'"
				  " FROM trigger_engine._providers ORDER BY provider_id", 0, NULL, NULL, NULL, true, 0);
	PopActiveSnapshot();
	old = MemoryContextSwitchTo(lanes_context);
	lanes = palloc0(sizeof(ProviderLane) * Max(SPI_processed, 1));
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		lanes[i].id = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
		lanes[i].name = pstrdup(SPI_getvalue(row, desc, 2));
		lanes[i].channel = pstrdup(SPI_getvalue(row, desc, 3));
		lanes[i].active = DatumGetBool(SPI_getbinval(row, desc, 4, &isnull));
	}
	nlanes = SPI_processed;
	MemoryContextSwitchTo(old);
	SPI_freetuptable(SPI_tuptable);
	lanes_generation = now;
}

/*
 * Lane of a provider, or of the first active one of a channel; 0 when there is
 * none, as for in-app messages.
 */
int
te_journey_lane(const char *provider, const char *channel)
{
	int			i;

	if (lanes_generation != generation)
		load_lanes();
	for (i = 0; i < nlanes; i++)
		if (provider ? strcmp(provider, lanes[i].name) == 0
			: (channel && lanes[i].active && strcmp(channel, lanes[i].channel) == 0))
			return lanes[i].id % (TE_LANES - 1) + 1;
	return 0;
}

/*
 * Reads one row of te_journey_columns into a definition whose parts live in the
 * current context.
 */
void
te_journey_read_definition(HeapTuple row, TupleDesc desc, TeJourneyDefinition *out)
{
	bool		isnull;
	Datum		value;

#define READ_JSONB(number) \
	(value = SPI_getbinval(row, desc, number, &isnull), isnull ? NULL : DatumGetJsonbPCopy(value))

	out->id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	out->version = DatumGetInt32(SPI_getbinval(row, desc, 2, &isnull));
	out->name = SPI_getvalue(row, desc, 3);
	out->owner = SPI_getvalue(row, desc, 4);
	out->live = strcmp(SPI_getvalue(row, desc, 5), "live") == 0;
	out->paused = strcmp(SPI_getvalue(row, desc, 5), "paused") == 0;
	out->trigger = READ_JSONB(6);
	out->steps = READ_JSONB(7);
	out->exit_on = READ_JSONB(8);
	out->goal = READ_JSONB(9);
	out->reentry = READ_JSONB(10);
	out->segment = SPI_getvalue(row, desc, 11);
	out->topic = SPI_getvalue(row, desc, 12);
	out->transactional = DatumGetBool(SPI_getbinval(row, desc, 13, &isnull));
	value = SPI_getbinval(row, desc, 14, &isnull);
	out->ttl = isnull ? NULL : DatumGetIntervalP(datumCopy(value, false, sizeof(Interval)));
	out->purpose = SPI_getvalue(row, desc, 15);
	out->priority = DatumGetInt32(SPI_getbinval(row, desc, 16, &isnull));
#undef READ_JSONB
}

/*
 * Forgets compiled versions when configuration changed since they were read.
 * What te_journey_version() returned before must not be used afterwards, so the
 * worker calls this at the start of a transaction.
 */
void
te_journey_refresh(void)
{
	HASHCTL		control = {0};

	if (versions != NULL && versions_generation == generation)
		return;
	/* further out in this transaction they may be in use: an analyst's SQL may ask why_not() */
	te_db_retire(NULL, versions_context);
	versions_context = NULL;
	versions = NULL;
	te_journey_resolve_tables();
	versions_generation = generation;
	versions_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine versions",
											 ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(VersionKey);
	control.entrysize = sizeof(VersionEntry);
	control.hcxt = versions_context;
	versions = hash_create("trigger_engine versions", 64, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Reads and compiles one version of a journey, in the given context; NULL when it is gone.
 */
static TeJourney *
load_version(int64 journey_id, int32 version, MemoryContext context)
{
	TeJourneyDefinition definition;
	TeJourney  *journey;
	Oid			types[2] = {INT8OID, INT4OID};
	Datum		values[2] = {Int64GetDatum(journey_id), Int32GetDatum(version)};
	static SPIPlanPtr plan = NULL;
	MemoryContext old;

	te_db_execute(&plan, TE_JOURNEY_SELECT
				  " WHERE j.journey_id = $1 AND v.version = $2", 2, types, values, NULL, false, 1);
	if (SPI_processed == 0)
		return NULL;
	te_journey_read_definition(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, &definition);
	old = MemoryContextSwitchTo(context);
	journey = te_journey_compile(&definition);
	MemoryContextSwitchTo(old);
	return journey;
}

/*
 * One version of a journey in the current context, kept by the caller alone; NULL when it
 * is gone.
 */
TeJourney *
te_journey_load(int64 journey_id, int32 version)
{
	return load_version(journey_id, version, CurrentMemoryContext);
}

/*
 * One version of a journey in compiled form, or NULL when it is gone. Valid until
 * the next te_journey_refresh().
 */
TeJourney *
te_journey_version(int64 journey_id, int32 version)
{
	VersionKey	key = {0};
	VersionEntry *entry;
	TeJourney  *journey;

	key.id = journey_id;
	key.version = version;
	entry = hash_search(versions, &key, HASH_FIND, NULL);
	if (entry)
		return entry->journey;

	journey = load_version(journey_id, version, versions_context);
	entry = hash_search(versions, &key, HASH_ENTER, NULL);
	entry->journey = journey;
	return journey;
}

/*
 * The step of that id, or NULL. Does not touch the database.
 */
TeStep *
te_journey_step(const TeJourney *journey, const char *id, int *index)
{
	int			i;

	for (i = 0; i < journey->nsteps; i++)
		if (strcmp(journey->steps[i].id, id) == 0)
		{
			if (index)
				*index = i;
			return &journey->steps[i];
		}
	return NULL;
}

/*
 * Follows the program from a step on, TE_STEP_END at the end, to where a run rests next:
 * plain waits are added up. *step becomes the step that it rests at, or nsteps at the
 * end; the result is when that is due, which for an awaited event is the timeout. Does
 * not touch the database.
 */
TimestampTz
te_journey_skip_waits(const TeJourney *journey, int from, TimestampTz at, int *step)
{
	while (from != TE_STEP_END)
	{
		const TeStep *here = &journey->steps[from];

		if (here->kind == TE_STEP_LADDER)
		{
			from = here->other;
			at += journey->steps[from].after;
			continue;
		}
		if (here->kind == TE_STEP_WAIT && !here->has_jitter)
		{
			at = te_clock_add(at, &here->wait);
			/* what is awaited after it does not count before its end: the run rests here */
			if (here->next == TE_STEP_END || journey->steps[here->next].kind != TE_STEP_WAIT_FOR)
			{
				from = here->next;
				continue;
			}
		}
		else if (here->kind == TE_STEP_WAIT_FOR && !here->counts)
			at = here->endless ? DT_NOEND : te_clock_add(at, &here->wait);
		else if (here->kind == TE_STEP_DIGEST)
			at = te_clock_add(at, &here->wait);
		*step = from;
		return at;
	}
	*step = journey->nsteps;
	return at;
}
