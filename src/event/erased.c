/*
 * erased.c
 *		Users who were erased: their late events do not bring them back.
 *
 * A process keeps the first eight bytes of every tombstone's digest, sorted, and reads
 * them again after a change of the table. Nobody who was never erased pays for more
 * than a look at a flag while there are no tombstones, and a digest when there are.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "common/common.h"
#include "event/event.h"

static uint64 *erased = NULL;
static int	nerased = 0;
static uint64 changes = 1;
static uint64 seen = 0;			/* of the changes, when they were read */
static bool registered = false;
static Oid	tombstones = InvalidOid;

/*
 * Relcache callback: has the tombstones read again. Never throws.
 */
static void
tombstones_changed(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == tombstones)
		changes++;
}

/*
 * Orders prefixes.
 */
static int
compare_prefixes(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/*
 * Reads all tombstones, with a snapshot of this instant whatever the transaction's is.
 * May throw; what was known then is read again.
 */
static void
load_erased(Oid owner)
{
	static SPIPlanPtr plan = NULL;
	TeIdentity	saved;
	uint64		before;
	uint64	   *fresh;
	uint64		i;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(tombstones_changed, (Datum) 0);
		registered = true;
	}
	tombstones = get_relname_relid("_tombstones", get_namespace_oid("trigger_engine", false));
	before = changes;			/* what changes while they are read is read again */
	te_run_as_begin(&saved, owner, TE_RUN_KEPT_PLANS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetLatestSnapshot());
	te_db_execute(&plan, "SELECT digest FROM trigger_engine._tombstones", 0, NULL, NULL, NULL, true, 0);
	PopActiveSnapshot();
	fresh = MemoryContextAllocExtended(TopMemoryContext, sizeof(uint64) * Max(SPI_processed, 1), MCXT_ALLOC_HUGE);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		bytea	   *digest = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));

		memcpy(&fresh[i], VARDATA_ANY(digest), sizeof(uint64));
	}
	qsort(fresh, SPI_processed, sizeof(uint64), compare_prefixes);
	if (erased)
		pfree(erased);
	erased = fresh;
	nerased = (int) SPI_processed;
	seen = before;
	SPI_finish();
	te_run_as_end(&saved);
}

/*
 * True when the user was erased. Needs a transaction; may throw.
 */
bool
te_event_is_erased(Oid owner, const char *user_id, int len)
{
	unsigned char digest[32];
	uint64		prefix;

	if (seen != changes)
		load_erased(owner);
	if (nerased == 0)
		return false;
	te_crypto_sha256(user_id, len, digest);
	memcpy(&prefix, digest, sizeof(prefix));
	return bsearch(&prefix, erased, nerased, sizeof(uint64), compare_prefixes) != NULL;
}
