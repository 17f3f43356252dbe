/*
 * shim.h
 *		What stands in for the server when the engine is fuzzed.
 */
#pragma once

#include "postgres.h"

#include <setjmp.h>

#include "utils/jsonb.h"

#include "template/liquid.h"

/* ---- shim_server.c: errors and memory ---- */

/* Where errors go, and what the last one said. */
extern sigjmp_buf shim_catch;
extern int	shim_sqlstate;
extern char shim_message[2048];

extern void shim_start(void);
extern void shim_forget(void);	/* frees what the current context holds, and what the arena gave */
extern void shim_abort(const char *format,...) pg_attribute_printf(1, 2);

/* ---- shim_jsonb.c ---- */

extern Jsonb *shim_jsonb(TeRender *r, TeValue value);
