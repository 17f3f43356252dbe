/*
 * segment.h
 *		Segments as gates see them.
 */
#pragma once

#include "postgres.h"

/*
 * Is the user in the segment now? Runs the view's SQL as its owner in a
 * restricted operation; throws when the segment is gone or its SQL fails. SPI must
 * be connected.
 */
extern bool te_segment_probe(const char *name, const char *user_id);
