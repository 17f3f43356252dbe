/*
 * items.h
 *		How filters of lists see their input and the properties of its items.
 */
#pragma once

#include "template/liquid.h"

typedef enum TeFound
{
	TE_FOUND,					/* the property's value, nil if there is none */
	TE_FOUND_WRONG_KEY,			/* such an item has no property of such a kind */
	TE_FOUND_NO_KEYS			/* such an item has no properties */
} TeFound;

extern const TeValue *te_items_of(TeRender *r, TeValue input, int *count);	/* flat; a lone value is its own item */
extern TeFound te_item_get(TeRender *r, TeValue item, TeValue key, TeValue *result);
extern TeValue te_item_error(TeRender *r, TeValue key); /* of a wrong key */
