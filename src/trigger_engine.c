/*
 * trigger_engine.c
 *		Loading of the library, and nothing else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "compat.h"
#include "event/event.h"
#include "guc.h"
#include "worker/worker.h"

TE_MODULE_MAGIC;

void		_PG_init(void);

/*
 * Defines the settings and installs the hooks that events need. When preloaded, also
 * asks for shared memory, installs the hooks that workers need and registers the
 * launcher; without, everything but the workers works. pg_upgrade's server gets
 * neither hooks nor workers.
 */
void
_PG_init(void)
{
	te_guc_define();
	if (IsBinaryUpgrade)
		return;
	te_event_init();
	te_event_watch_tables();
	if (!process_shared_preload_libraries_in_progress)
		return;
	te_shmem_init();
	te_lifecycle_init();
	te_launcher_register();
}
