/*
 * template.h
 *		Rendering of texts.
 */
#pragma once

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* Renders text against a context, appending to out; throws TE005 with line and column. */
extern void te_template_render(StringInfo out, const char *text, int len, Jsonb *context);

/* Renders every text in a document, at any depth; the result is palloc'ed. */
extern Jsonb *te_template_render_document(Jsonb *document, Jsonb *context);

/* Throws unless every text in the document parses. */
extern void te_template_check_document(Jsonb *document);
