/*
 * arena.h
 *		What the evaluator needs of arena.c beyond liquid.h.
 */
#pragma once

#include "template/liquid.h"

extern void te_arena_begin(TeRender *r);
extern void te_arena_end(void);
