/*
 * segment.h
 *		Segments as gates see them.
 */
#pragma once

#include "postgres.h"

/*
 * Are the users in the segment now? Runs the view's SQL as its owner in a restricted
 * operation, once for all; throws when the segment is gone or its SQL fails. SPI must
 * be connected.
 */
extern void te_segment_probe(const char *name, char *const *user_ids, int count, bool *members);
