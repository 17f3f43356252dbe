/*
 * parse_tags.h
 *		What the files that parse tags share.
 */
#pragma once

#include "template/parse.h"

extern bool te_tag_is(const TeTag *tag, const char *name);
extern void te_tag_begin(TeParser *p, const TeTag *tag);	/* its markup */
extern bool te_tag_is_bare(const TeTag *tag);	/* without markup */
extern TeBlock *te_tag_body(TeParser *p, const TeTag *tag, const char *const *dividers, TeTag *end);

/* each parses a tag into *node, which stays NULL at a fault */
extern void te_parse_if(TeParser *p, const TeTag *tag, TeNode **node);
extern void te_parse_case(TeParser *p, const TeTag *tag, TeNode **node);
extern void te_parse_for(TeParser *p, const TeTag *tag, TeNode **node);
extern void te_parse_tablerow(TeParser *p, const TeTag *tag, TeNode **node);
extern void te_parse_ifchanged(TeParser *p, const TeTag *tag, TeNode **node);
