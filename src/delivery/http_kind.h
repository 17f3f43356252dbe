/*
 * http_kind.h
 *		What the files of the kinds made of data share.
 */
#pragma once

#include "postgres.h"

#include "delivery/delivery_internal.h"
#include "template/liquid.h"

/* What one message is rendered with. */
typedef struct TeHttpRendering
{
	TeRenderInput input;
	char	   *failed;			/* a template that stopped the message says why */
} TeHttpRendering;

extern char *te_http_render_member(TeHttpRendering *rendering, Jsonb *object, const char *key, TeEscape escape);
extern void te_http_authenticate(TeHttpRendering *rendering, Jsonb *definition, TeOutgoing *outgoing,
								 const char *content_type);
