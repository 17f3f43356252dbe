/*
 * filter_array.c
 *		Filters of lists: choosing, joining and adding up items.
 *
 * What is no list counts as a list of itself, nil as an empty one; lists inside lists
 * are taken apart first.
 */
#include "postgres.h"

#include <math.h>

#include "template/items.h"

/* ---- items and their properties ---- */

/*
 * Copies the items of a list to where they go, those of inner lists in their place.
 * Counts only when there is nowhere to go.
 */
static int64
flatten(TeRender *r, const TeValue *items, int count, TeValue *to, int depth)
{
	int64		total = 0;
	int			i;

	te_value_check_depth(depth);
	te_render_charge(r, count / 16 + 1);
	for (i = 0; i < count; i++)
	{
		if (te_value_is_list(items[i]))
		{
			int			inner;
			const TeValue *inside = te_value_items(r, items[i], &inner);

			total += flatten(r, inside, inner, to == NULL ? NULL : to + total, depth + 1);
		}
		else
		{
			if (to != NULL)
				to[total] = items[i];
			total++;
		}
	}
	return total;
}

/*
 * The items that a filter works on, in the arena or where they were.
 */
const TeValue *
te_items_of(TeRender *r, TeValue input, int *count)
{
	const TeValue *items;
	TeValue    *flat;
	int64		total;
	int			i;

	if (input.kind == TE_NIL)
	{
		*count = 0;
		return NULL;
	}
	if (input.kind == TE_RANGE)
		return te_value_items(r, input, count);
	if (!te_value_is_list(input))
	{
		flat = te_arena_alloc(r, sizeof(TeValue));
		*flat = input;
		*count = 1;
		return flat;
	}
	items = te_value_items(r, input, count);
	for (i = 0; i < *count && !te_value_is_list(items[i]); i++)
		;
	if (i == *count)
		return items;
	total = flatten(r, items, *count, NULL, 0);
	flat = te_arena_alloc(r, sizeof(TeValue) * (Size) total);
	*count = (int) flatten(r, items, *count, flat, 0);
	return flat;
}

/*
 * A whole number from a key that counts characters or bits.
 */
static bool
key_number(TeValue key, int64 *number)
{
	if (key.kind == TE_INT)
		*number = key.u.integer;
	else if (key.kind == TE_FLOAT && fabs(key.u.number) < 1e15)
		*number = (int64) key.u.number;
	else
		return false;
	return true;
}

/*
 * What a text has under a key: the part of it that equals the key, or a character.
 */
static TeFound
text_get(TeRender *r, TeValue text, TeValue key, TeValue *result)
{
	int64		index;
	int			at;

	*result = TE_VALUE_NIL;
	te_render_charge(r, text.len / 64);
	if (key.kind == TE_STRING)
	{
		if (te_text_find(text.u.str, text.len, key.u.str, key.len) >= 0)
			*result = key;
		return TE_FOUND;
	}
	if (!key_number(key, &index))
		return TE_FOUND_WRONG_KEY;
	if (index < 0)
		index += te_text_length(text.u.str, text.len);
	if (index < 0)
		return TE_FOUND;
	at = te_text_offset(text.u.str, text.len, index);
	if (at < text.len)
		*result = TE_VALUE_STRING(text.u.str + at, te_text_step(text.u.str + at, text.u.str + text.len));
	return TE_FOUND;
}

/*
 * What an item has under a key: a member of an object, a part of a text, a bit of a
 * whole number.
 */
TeFound
te_item_get(TeRender *r, TeValue item, TeValue key, TeValue *result)
{
	int64		bit;

	if (te_value_is_hash(item) || item.kind == TE_DROP)
	{
		*result = key.kind == TE_STRING ? te_value_get(r, item, key.u.str, key.len) : TE_VALUE_NIL;
		return TE_FOUND;
	}
	if (item.kind == TE_STRING)
		return text_get(r, item, key, result);
	if (te_value_is_list(item))
	{
		if (!key_number(key, &bit))
			return TE_FOUND_WRONG_KEY;
		*result = te_value_at(r, item, bit);
		return TE_FOUND;
	}
	if (!te_number_is_whole(item))
		return TE_FOUND_NO_KEYS;
	if (!key_number(key, &bit) || item.kind != TE_INT)
		return TE_FOUND_WRONG_KEY;
	*result = TE_VALUE_INT(bit < 0 ? 0 : (item.u.integer >> Min(bit, 63)) & 1);
	return TE_FOUND;
}

/*
 * The error of a key that the items cannot have.
 */
TeValue
te_item_error(TeRender *r, TeValue key)
{
	char	   *text = te_value_cstring(r, key);

	return te_filter_error(r, "cannot select the property '%.200s'", text);
}

/* ---- choosing items ---- */

typedef enum Search
{
	SEARCH_WHERE,
	SEARCH_REJECT,
	SEARCH_HAS,
	SEARCH_FIND,
	SEARCH_INDEX
} Search;

/*
 * The filters that test a property of each item: for a value, or for truth when there
 * is none.
 */
static TeValue
search(TeRender *r, TeValue input, const TeArgs *args, Search kind)
{
	TeValue		key = args->values[0];
	TeValue		wanted = args->count > 1 ? args->values[1] : TE_VALUE_NIL;
	TeValue    *kept = NULL;
	const TeValue *items;
	int			count;
	int			used = 0;
	int			i;

	items = te_items_of(r, input, &count);
	if (kind == SEARCH_WHERE || kind == SEARCH_REJECT)
		kept = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	te_render_charge(r, count / 16);
	for (i = 0; i < count; i++)
	{
		TeValue		value;
		bool		match;

		switch (te_item_get(r, items[i], key, &value))
		{
			case TE_FOUND_WRONG_KEY:
				return te_item_error(r, key);
			case TE_FOUND_NO_KEYS:
				return TE_VALUE_NIL;
			case TE_FOUND:
				break;
		}
		match = wanted.kind == TE_NIL ? te_value_truthy(value) : te_value_equals(r, value, wanted);
		if (kept != NULL)
		{
			if (match == (kind == SEARCH_WHERE))
				kept[used++] = items[i];
		}
		else if (match)
			return kind == SEARCH_HAS ? TE_VALUE_BOOL(true) : kind == SEARCH_FIND ? items[i] : TE_VALUE_INT(i);
	}
	if (kept != NULL)
		return te_value_list(r, kept, used);
	return kind == SEARCH_HAS ? TE_VALUE_BOOL(false) : TE_VALUE_NIL;
}

/* where: property, value */
static TeValue
filter_where(TeRender *r, TeValue input, const TeArgs *args)
{
	return search(r, input, args, SEARCH_WHERE);
}

/* reject: property, value */
static TeValue
filter_reject(TeRender *r, TeValue input, const TeArgs *args)
{
	return search(r, input, args, SEARCH_REJECT);
}

/* has: property, value */
static TeValue
filter_has(TeRender *r, TeValue input, const TeArgs *args)
{
	return search(r, input, args, SEARCH_HAS);
}

/* find: property, value */
static TeValue
filter_find(TeRender *r, TeValue input, const TeArgs *args)
{
	return search(r, input, args, SEARCH_FIND);
}

/* find_index: property, value */
static TeValue
filter_find_index(TeRender *r, TeValue input, const TeArgs *args)
{
	return search(r, input, args, SEARCH_INDEX);
}

/* compact: property; without what is nil */
static TeValue
filter_compact(TeRender *r, TeValue input, const TeArgs *args)
{
	bool		by_key = args->count > 0 && args->values[0].kind != TE_NIL;
	const TeValue *items;
	TeValue    *kept;
	int			count;
	int			used = 0;
	int			i;

	items = te_items_of(r, input, &count);
	kept = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	te_render_charge(r, count / 16);
	for (i = 0; i < count; i++)
	{
		TeValue		value = items[i];

		if (by_key)
			switch (te_item_get(r, items[i], args->values[0], &value))
			{
				case TE_FOUND_WRONG_KEY:
					return te_item_error(r, args->values[0]);
				case TE_FOUND_NO_KEYS:
					return TE_VALUE_NIL;
				case TE_FOUND:
					break;
			}
		if (value.kind != TE_NIL)
			kept[used++] = items[i];
	}
	return te_value_list(r, kept, used);
}

/* map: property; nil of items without properties */
static TeValue
filter_map(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		key = args->values[0];
	bool		itself = key.kind == TE_STRING && key.len == 9 && memcmp(key.u.str, "to_liquid", 9) == 0;
	const TeValue *items;
	TeValue    *mapped;
	int			count;
	int			i;

	items = te_items_of(r, input, &count);
	if (itself)
		return te_value_list(r, items, count);
	mapped = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	te_render_charge(r, count / 16);
	for (i = 0; i < count; i++)
		switch (te_item_get(r, items[i], key, &mapped[i]))
		{
			case TE_FOUND_WRONG_KEY:
				return te_item_error(r, key);
			case TE_FOUND_NO_KEYS:
				mapped[i] = TE_VALUE_NIL;
				break;
			case TE_FOUND:
				break;
		}
	return te_value_list(r, mapped, count);
}

/* sum: property */
static TeValue
filter_sum(TeRender *r, TeValue input, const TeArgs *args)
{
	bool		by_key = args->count > 0 && args->values[0].kind != TE_NIL;
	TeValue		total = TE_VALUE_INT(0);
	const TeValue *items;
	int			count;
	int			i;

	items = te_items_of(r, input, &count);
	if (by_key && count > 0)
	{
		TeValue		values;

		values = filter_map(r, te_value_list(r, items, count), args);
		if (values.kind == TE_ERROR)
			return values;
		items = te_items_of(r, values, &count);
	}
	te_render_charge(r, count / 4);
	for (i = 0; i < count; i++)
		total = te_number_add(r, total, te_number_of(r, items[i]));
	return total;
}

/* ---- lists as a whole ---- */

/* join: between */
static TeValue
filter_join(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		glue = args->count > 0 ? te_value_string(r, args->values[0]) : TE_VALUE_STRING(" ", 1);
	const TeValue *items;
	TeBuffer	out;
	int			count;
	int			i;

	items = te_items_of(r, input, &count);
	te_render_charge(r, count / 16);
	te_buffer_init(r, &out, 64);
	for (i = 0; i < count; i++)
	{
		if (i > 0)
			te_buffer_append(r, &out, glue.u.str, glue.len);
		te_value_write(r, &out, items[i]);
	}
	return te_buffer_value(&out);
}

/* concat: list */
static TeValue
filter_concat(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *items;
	const TeValue *more;
	TeValue    *all;
	int			count;
	int			extra;

	if (!te_value_is_list(args->values[0]))
		return te_filter_error(r, "concat filter requires an array argument");
	items = te_items_of(r, input, &count);
	more = te_value_items(r, args->values[0], &extra);
	te_render_charge(r, ((int64) count + extra) / 16);
	all = te_arena_alloc(r, sizeof(TeValue) * ((Size) count + extra));
	if (count > 0)
		memcpy(all, items, sizeof(TeValue) * (Size) count);
	if (extra > 0)
		memcpy(all + count, more, sizeof(TeValue) * (Size) extra);
	return te_value_list(r, all, count + extra);
}

/* reverse */
static TeValue
filter_reverse(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeValue *items;
	TeValue    *reversed;
	int			count;
	int			i;

	items = te_items_of(r, input, &count);
	te_render_charge(r, count / 16);
	reversed = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	for (i = 0; i < count; i++)
		reversed[i] = items[count - 1 - i];
	return te_value_list(r, reversed, count);
}

/* first */
static TeValue
filter_first(TeRender *r, TeValue input, const TeArgs *args)
{
	if (input.kind == TE_DROP)
		return TE_VALUE_NIL;
	return te_value_end(r, input, false);
}

/* last */
static TeValue
filter_last(TeRender *r, TeValue input, const TeArgs *args)
{
	if (input.kind == TE_DROP)
		return TE_VALUE_NIL;
	return te_value_end(r, input, true);
}

/* size: of a list, hash, range; characters of a text; 0 of what has none */
static TeValue
filter_size(TeRender *r, TeValue input, const TeArgs *args)
{
	int64		size;

	if (input.kind == TE_STRING)
		te_render_charge(r, input.len / 64);
	return TE_VALUE_INT(te_value_size(input, &size) ? size : 0);
}

/*
 * Makes the range that slice means of an offset from either end and a length: false if
 * it lies outside.
 */
static bool
slice_range(int64 size, int64 *offset, int64 *length)
{
	if (*offset < 0)
		*offset += size;
	if (*offset < 0 || *offset > size || *length < 0)
		return false;
	*length = Min(*length, size - *offset);
	return true;
}

/* slice: offset, length */
static TeValue
filter_slice(TeRender *r, TeValue input, const TeArgs *args)
{
	int64		offset;
	int64		length = 1;
	TeValue		text;
	int			from,
				bytes;

	if (!te_number_integer(r, args->values[0], &offset) ||
		(args->count > 1 && te_value_truthy(args->values[1]) && !te_number_integer(r, args->values[1], &length)))
		return te_filter_error(r, "invalid integer");
	if (te_value_is_list(input))
	{
		const TeValue *items;
		int			count;

		if (!slice_range(te_value_count(input), &offset, &length))
			return te_value_list(r, NULL, 0);
		items = te_value_items(r, input, &count);
		return te_value_list(r, items + offset, (int) length);
	}
	text = te_value_string(r, input);
	te_render_charge(r, text.len / 16);
	if (!slice_range(offset < 0 ? te_text_length(text.u.str, text.len) : text.len, &offset, &length))
		return TE_VALUE_STRING("", 0);
	from = te_text_offset(text.u.str, text.len, offset);
	bytes = te_text_offset(text.u.str + from, text.len - from, length);
	return TE_VALUE_STRING(text.u.str + from, bytes);
}

const TeFilter te_filters_array[] = {
	{"compact", filter_compact, 0, 1},
	{"concat", filter_concat, 1, 1},
	{"find", filter_find, 1, 2},
	{"find_index", filter_find_index, 1, 2},
	{"first", filter_first, 0, 0},
	{"has", filter_has, 1, 2},
	{"join", filter_join, 0, 1},
	{"last", filter_last, 0, 0},
	{"map", filter_map, 1, 1},
	{"reject", filter_reject, 1, 2},
	{"reverse", filter_reverse, 0, 0},
	{"size", filter_size, 0, 0},
	{"slice", filter_slice, 1, 2},
	{"sum", filter_sum, 0, 1},
	{"where", filter_where, 1, 2},
	{NULL}
};
