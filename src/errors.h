/*
 * errors.h
 *		SQLSTATEs of our own, class TE, for errors a program may want to tell apart.
 *		Everything else uses PostgreSQL's codes.
 */
#pragma once

#include "utils/elog.h"

/* a journey, segment, template, provider or schema of that name does not exist */
#define TE_ERRCODE_UNDEFINED ERRCODE_UNDEFINED_OBJECT
/* one of that name exists already */
#define TE_ERRCODE_DUPLICATE ERRCODE_DUPLICATE_OBJECT
/* a jsonb definition has an unknown key or a value of the wrong type */
#define TE_ERRCODE_DEFINITION MAKE_SQLSTATE('T', 'E', '0', '0', '1')
/* an event is malformed, out of its time bounds or against its schema */
#define TE_ERRCODE_EVENT MAKE_SQLSTATE('T', 'E', '0', '0', '2')
/* a segment's view has no column user_id any more */
#define TE_ERRCODE_SEGMENT MAKE_SQLSTATE('T', 'E', '0', '0', '3')
/* the workers are not there: the library is not preloaded */
#define TE_ERRCODE_NOT_PRELOADED MAKE_SQLSTATE('T', 'E', '0', '0', '4')
/* a template does not parse or render */
#define TE_ERRCODE_TEMPLATE MAKE_SQLSTATE('T', 'E', '0', '0', '5')
/* a template exceeds one of the limits trigger_engine.template_*; the message names it */
#define TE_ERRCODE_TEMPLATE_LIMIT MAKE_SQLSTATE('T', 'E', '0', '0', '6')
/* a template stopped itself with abort_message; the message is its reason */
#define TE_ERRCODE_TEMPLATE_ABORTED MAKE_SQLSTATE('T', 'E', '0', '0', '7')
