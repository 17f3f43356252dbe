/*
 * segment_internal.h
 *		Segments as the files of this folder see them.
 */
#pragma once

#include "postgres.h"

#include "executor/spi.h"

/* What is kept of a segment until configuration changes; lives in its own context. */
typedef struct TeSegment
{
	MemoryContext context;
	char	   *name;
	Oid			view;
	Oid			key_type;		/* what user ids are converted to */
	bool		as_text;		/* the column's type is another: compare its text */
	SPIPlanPtr	probe_one;
	SPIPlanPtr	probe_many;
	char	   *probed_name;	/* of the view, in the probes */
} TeSegment;

extern TeSegment *te_segment_find(const char *name);
extern Oid	te_segment_view_owner(const char *segment, Oid view);
extern char *te_segment_view_name(const TeSegment *segment);
extern bool te_segment_convert_key(Oid type, const char *user_id, Datum *key);
extern void te_segment_add_context(void *arg);
