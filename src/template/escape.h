/*
 * escape.h
 *		Ways to write text that filters share with automatic escaping.
 */
#pragma once

#include "template/liquid.h"

/* of the longest scheme that is told apart, with its closing zero byte */
#define TE_SCHEME_SIZE 32

/* whether U+2028 or U+2029, which end a line in JavaScript, begins here */
#define TE_IS_LINE_SEPARATOR(at, end) \
	((end) - (at) > 2 && (at)[0] == '\xE2' && (at)[1] == '\x80' && ((at)[2] == '\xA8' || (at)[2] == '\xA9'))

extern void te_escape_json_string(TeRender *r, TeBuffer *out, const char *text, int len);
extern void te_escape_percent(TeRender *r, TeBuffer *out, const char *text, int len, const char *keep, bool plus);
extern void te_escape_hex(TeRender *r, TeBuffer *out, const unsigned char *bytes, int len);
extern void te_url_scheme(const char *text, int len, char scheme[TE_SCHEME_SIZE]);
extern bool te_url_is_safe(const char *text, int len);
