/*
 * cache.c
 *		The compiled set of journeys that a backend keeps for the capture trigger.
 *
 * A set is immutable. A relcache message about one of the configuration tables
 * makes it stale; the next caller builds a new one under a fresh snapshot, so a
 * journey is seen by every statement that starts after its commit, also in a
 * REPEATABLE READ transaction. Uncommitted changes of the own transaction are
 * seen, too, and forgotten with its rollback, as the messages are then replayed.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "guc.h"
#include "journey/journey.h"
#include "journey/journey_internal.h"

static TeJourneySet *current = NULL;
static uint64 current_generation = 0;

/* A rule with the event it listens to, before they are sorted into watches. */
typedef struct RuleList
{
	TeRule	  **rules;
	int			count;
	int			size;
} RuleList;

/*
 * Appends a rule, in the current context.
 */
static TeRule *
add_rule(RuleList *list, TeRuleKind kind, TeJourney *journey, TeMatcher *matcher, Datum versions)
{
	TeRule	   *rule = palloc(sizeof(TeRule));

	rule->kind = kind;
	rule->journey = journey;
	rule->matcher = matcher;
	rule->versions = versions;
	rule->step = NULL;
	rule->arm = 0;
	if (list->count == list->size)
	{
		list->size = Max(list->size * 2, 64);
		list->rules = list->rules
			? repalloc(list->rules, sizeof(TeRule *) * list->size)
			: palloc(sizeof(TeRule *) * list->size);
	}
	list->rules[list->count++] = rule;
	return rule;
}

/*
 * Orders rules by event, then by path of their equality, then by hash.
 */
static int
compare_rules(const void *a, const void *b)
{
	const TeMatcher *x = (*(TeRule *const *) a)->matcher;
	const TeMatcher *y = (*(TeRule *const *) b)->matcher;
	int			order = strcmp(x->event, y->event);
	int			i;

	if (order != 0)
		return order;
	if (x->nkeys != y->nkeys)
		return x->nkeys - y->nkeys;
	for (i = 0; i < x->nkeys; i++)
		if ((order = strcmp(x->keys[i], y->keys[i])) != 0)
			return order;
	if (x->value_hash != y->value_hash)
		return x->value_hash < y->value_hash ? -1 : 1;
	return 0;
}

/*
 * True when two rules share the path of their equality.
 */
static bool
same_path(const TeMatcher *x, const TeMatcher *y)
{
	int			i;

	if (x->nkeys != y->nkeys)
		return false;
	for (i = 0; i < x->nkeys; i++)
		if (strcmp(x->keys[i], y->keys[i]) != 0)
			return false;
	return true;
}

/*
 * The watch of an event, made if needed.
 */
static TeWatch *
enter_watch(TeJourneySet *set, const char *event)
{
	char		key[sizeof(((TeWatch *) 0)->event)];
	TeWatch    *watch;
	bool		found;

	memset(key, 0, sizeof(key));
	strlcpy(key, event, sizeof(key));
	watch = hash_search(set->watches, key, HASH_ENTER, &found);
	if (!found)
		memset((char *) watch + sizeof(key), 0, sizeof(TeWatch) - sizeof(key));
	return watch;
}

/*
 * Sorts the rules of all events into watches and their indexes.
 */
static void
build_watches(TeJourneySet *set, RuleList *list)
{
	int			i,
				k,
				end;

	if (list->count > 0)
		qsort(list->rules, list->count, sizeof(TeRule *), compare_rules);
	for (i = 0; i < list->count; i = end)
	{
		const char *event = list->rules[i]->matcher->event;
		TeWatch    *watch = enter_watch(set, event);
		int			first,
					last;

		for (end = i; end < list->count && strcmp(list->rules[end]->matcher->event, event) == 0; end++)
			 /* to the end of this event */ ;
		for (first = i; first < end; first = last)
		{
			TeMatcher  *path = list->rules[first]->matcher;
			TeEqualityIndex *index;

			for (last = first; last < end && same_path(path, list->rules[last]->matcher); last++)
				 /* to the end of this path */ ;
			if (path->nkeys == 0)
			{
				watch->rules = list->rules + first;
				watch->nrules = last - first;
				continue;
			}
			watch->indexes = watch->indexes
				? repalloc(watch->indexes, sizeof(TeEqualityIndex) * (watch->nindexes + 1))
				: palloc(sizeof(TeEqualityIndex));
			index = &watch->indexes[watch->nindexes++];
			index->nkeys = path->nkeys;
			index->keys = path->keys;
			index->rules = list->rules + first;
			index->nrules = last - first;
			index->hashes = palloc(sizeof(uint32) * index->nrules);
			for (k = 0; k < index->nrules; k++)
				index->hashes[k] = index->rules[k]->matcher->value_hash;
		}
	}
}

/*
 * Compares the stamp with this installation.
 */
static TeFence
read_fence(Oid extension)
{
	HeapTuple	row;
	TupleDesc	desc;
	bool		isnull;
	char		system_identifier[32];

	SPI_execute("SELECT system_identifier, database_oid, extension_oid, installation"
				" FROM trigger_engine._stamp", true, 1);
	if (SPI_processed == 0)
		return TE_FENCE_EMPTY;
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	snprintf(system_identifier, sizeof(system_identifier), UINT64_FORMAT, GetSystemIdentifier());
	if (strcmp(SPI_getvalue(row, desc, 1), system_identifier) != 0 ||
		DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull)) != MyDatabaseId ||
		DatumGetObjectId(SPI_getbinval(row, desc, 3, &isnull)) != extension ||
		strcmp(SPI_getvalue(row, desc, 4), te_guc_installation) != 0)
		return TE_FENCE_CLOSED;
	return TE_FENCE_OPEN;
}

/*
 * Rules for the events that start a journey, or that its trigger counts.
 */
static void
add_entry_rules(RuleList *list, TeJourney *journey)
{
	int			i;

	if (journey->trigger.event)
		add_rule(list, TE_RULE_ENTER, journey, &journey->trigger, (Datum) 0);
	if (journey->trigger_kind != TE_TRIGGER_ABSENCE && journey->trigger_kind != TE_TRIGGER_SEQUENCE)
		for (i = 0; i < journey->nparts; i++)
			add_rule(list, TE_RULE_ENTER, journey, &journey->parts[i], (Datum) 0);
}

/*
 * Entries of live journeys, current version.
 */
static void
load_entries(TeJourneySet *set, RuleList *list)
{
	uint64		i,
				count;
	SPITupleTable *table;

	SPI_execute(TE_JOURNEY_SELECT " WHERE j.state = 'live' AND v.version = j.version"
				" ORDER BY j.journey_id", true, 0);
	table = SPI_tuptable;
	count = SPI_processed;
	set->journeys = MemoryContextAlloc(set->context, sizeof(TeJourney *) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		TeJourneyDefinition definition;
		MemoryContext old;
		TeJourney  *journey;

		te_journey_read_definition(table->vals[i], table->tupdesc, &definition);
		old = MemoryContextSwitchTo(set->context);
		journey = te_journey_compile(&definition);
		add_entry_rules(list, journey);
		set->journeys[set->njourneys++] = journey;
		if (journey->trigger_kind == TE_TRIGGER_ATTRIBUTE || journey->trigger_kind == TE_TRIGGER_DATE)
			set->watches_users = true;
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(table);
}

/*
 * Exits and goals of every version that may still run; versions with the same
 * ones share a rule.
 */
static void
load_exits(TeJourneySet *set, RuleList *list)
{
	uint64		i,
				count;
	SPITupleTable *table;

	SPI_execute("SELECT j.journey_id, max(v.version), j.name, max(j.owner::text), 'live',"
				" (array_agg(v.trigger ORDER BY v.version DESC))[1],"
				" (array_agg(v.steps ORDER BY v.version DESC))[1], v.exit_on, v.goal,"
				" (array_agg(v.reentry ORDER BY v.version DESC))[1], NULL::text, NULL::text, false,"
				" NULL::interval, NULL::text, array_agg(v.version ORDER BY v.version)"
				" FROM trigger_engine._journeys j"
				" JOIN trigger_engine._journey_versions v USING (journey_id)"
				" WHERE v.exit_on IS NOT NULL OR v.goal IS NOT NULL OR v.trigger ->> 'kind' = 'absence'"
				" GROUP BY j.journey_id, v.exit_on, v.goal,"
				" CASE WHEN v.trigger ->> 'kind' = 'absence' THEN v.trigger END", true, 0);
	table = SPI_tuptable;
	count = SPI_processed;
	for (i = 0; i < count; i++)
	{
		TeJourneyDefinition definition;
		MemoryContext old;
		TeJourney  *journey;
		Datum		versions;
		bool		isnull;
		int			k;

		te_journey_read_definition(table->vals[i], table->tupdesc, &definition);
		versions = SPI_getbinval(table->vals[i], table->tupdesc, 16, &isnull);
		old = MemoryContextSwitchTo(set->context);
		versions = PointerGetDatum(PG_DETOAST_DATUM_COPY(versions));
		journey = te_journey_compile(&definition);
		for (k = 0; k < journey->nexits; k++)
			add_rule(list, TE_RULE_EXIT, journey, &journey->exits[k], versions);
		for (k = 0; k < journey->ngoals; k++)
			add_rule(list, TE_RULE_GOAL, journey, &journey->goals[k], versions);
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(table);
}

/*
 * Events that steps wait for, of every version that may still run.
 */
static void
load_resumes(TeJourneySet *set, RuleList *list)
{
	uint64		i,
				count;
	SPITupleTable *table;

	SPI_execute(TE_JOURNEY_SELECT " WHERE pg_catalog.jsonb_path_exists(v.steps, '$.**.wait_for')"
				" ORDER BY j.journey_id, v.version", true, 0);
	table = SPI_tuptable;
	count = SPI_processed;
	for (i = 0; i < count; i++)
	{
		TeJourneyDefinition definition;
		MemoryContext old;
		TeJourney  *journey;
		Datum		version;
		int			k,
					arm;

		te_journey_read_definition(table->vals[i], table->tupdesc, &definition);
		old = MemoryContextSwitchTo(set->context);
		journey = te_journey_compile(&definition);
		version = Int32GetDatum(journey->version);
		version = PointerGetDatum(construct_array(&version, 1, INT4OID, sizeof(int32), true, TYPALIGN_INT));
		for (k = 0; k < journey->nsteps; k++)
			for (arm = 0; journey->steps[k].kind == TE_STEP_WAIT_FOR && arm < journey->steps[k].narms; arm++)
			{
				TeRule	   *rule = add_rule(list, TE_RULE_RESUME, journey, journey->steps[k].arms[arm].matcher, version);

				rule->step = journey->steps[k].id;
				rule->arm = arm;
			}
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(table);
}

/*
 * Schemas of event names.
 */
static void
load_schemas(TeJourneySet *set)
{
	uint64		i;

	SPI_execute("SELECT event, schema, on_violation = 'quarantine' FROM trigger_engine._event_schemas",
				true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		TeWatch    *watch = enter_watch(set, SPI_getvalue(row, desc, 1));
		MemoryContext old = MemoryContextSwitchTo(set->context);

		watch->schema = DatumGetJsonbPCopy(SPI_getbinval(row, desc, 2, &isnull));
		watch->quarantine = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
		MemoryContextSwitchTo(old);
	}
}

/*
 * Builds a set in a context of its own. SPI must be connected and a fresh
 * snapshot be active; runs as the extension's owner.
 */
static TeJourneySet *
build_set(Oid extension, Oid owner)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "trigger_engine journeys",
												  ALLOCSET_DEFAULT_SIZES);
	TeJourneySet *set = MemoryContextAllocZero(context, sizeof(TeJourneySet));
	RuleList	list = {0};
	HASHCTL		control = {0};
	MemoryContext old;

	set->context = context;
	set->owner = owner;
	set->installation = te_guc_installation;
	control.keysize = sizeof(((TeWatch *) 0)->event);
	control.entrysize = sizeof(TeWatch);
	control.hcxt = context;
	set->watches = hash_create("trigger_engine watches", 64, &control,
							   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	set->fence = read_fence(extension);
	if (set->fence == TE_FENCE_OPEN)
	{
		load_entries(set, &list);
		load_exits(set, &list);
		load_resumes(set, &list);
		load_schemas(set);
		old = MemoryContextSwitchTo(context);
		build_watches(set, &list);
		MemoryContextSwitchTo(old);
	}
	return set;
}

/*
 * Builds a new set and puts it in place of the old one.
 */
static void
rebuild(void)
{
	Oid			extension;
	Oid			owner;
	TeIdentity	saved;
	TeJourneySet *fresh;
	uint64		generation;

	te_journey_resolve_tables();
	extension = te_extension_oid(false);
	owner = te_extension_owner();

	/* messages that arrive while we read make the result stale at once */
	generation = te_journey_generation();

	te_run_as_begin(&saved, owner, TE_RUN_TRUSTED);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetLatestSnapshot());
	fresh = build_set(extension, owner);
	MemoryContextSetParent(fresh->context, TopMemoryContext);
	PopActiveSnapshot();
	SPI_finish();
	te_run_as_end(&saved);

	if (current)
		MemoryContextDelete(current->context);
	current = fresh;
	current_generation = generation;
}

/*
 * The current set. Valid until the next call. May throw, and reads the database
 * when configuration changed since the last call.
 */
TeJourneySet *
te_journey_set(void)
{
	AcceptInvalidationMessages();
	if (current == NULL || current_generation != te_journey_generation() ||
		current->installation != te_guc_installation)
		rebuild();
	return current;
}

/*
 * The live journey of an id, or NULL. Does not allocate.
 */
TeJourney *
te_journey_live(TeJourneySet *set, int64 journey_id)
{
	int			low = 0,
				high = set->njourneys;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (set->journeys[middle]->id == journey_id)
			return set->journeys[middle];
		if (set->journeys[middle]->id < journey_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/*
 * What is watched for an event name, or NULL. Does not allocate.
 */
TeWatch *
te_journey_watch(TeJourneySet *set, const char *event, int len)
{
	char		key[sizeof(((TeWatch *) 0)->event)];

	if (len >= sizeof(key))
		return NULL;
	memcpy(key, event, len);
	memset(key + len, 0, sizeof(key) - len);
	return hash_search(set->watches, key, HASH_FIND, NULL);
}
