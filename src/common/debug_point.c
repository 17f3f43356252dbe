/*
 * debug_point.c
 *		Named places where a test can stop a process; in builds with
 *		-DTE_DEBUG_POINTS only.
 *
 * A process that reaches te_debug_point("name") waits while any session of its
 * database holds pg_advisory_lock(hashtext('name')).
 */
#include "postgres.h"

#include "common/common.h"

#ifdef TE_DEBUG_POINTS

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

/*
 * Waits at a point while a test holds its lock. Needs no transaction. Throws what
 * an interrupt throws.
 */
void
te_debug_point(const char *name)
{
	LOCKTAG		tag;
	int64		key;

	if (!OidIsValid(MyDatabaseId))
		return;
	key = DatumGetInt32(DirectFunctionCall1Coll(hashtext, C_COLLATION_OID,
												CStringGetTextDatum(name)));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, 1);
	(void) LockAcquire(&tag, ShareLock, true, false);
	(void) LockRelease(&tag, ShareLock, true);
}

#endif
