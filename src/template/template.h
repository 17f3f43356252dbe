/*
 * template.h
 *		Rendering of texts.
 */
#pragma once

#include "postgres.h"

/*
 * For stored templates: renders one text through the cache of parsed ones, in the
 * current memory context. NULL when abort_message stopped it, with the reason in
 * *aborted. Throws as render() does.
 */
struct TeRenderInput;
extern char *te_template_render_text(const struct TeRenderInput *input, const char *text, int len,
									 int *result_len, char **aborted);

/* Throws, naming the place (as 'field "title"'), unless a text parses and all its filters are known. */
extern void te_template_check_text(const char *text, int len, const char *place);
