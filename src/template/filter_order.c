/*
 * filter_order.c
 *		Filters that put items in order or keep one of a kind: sort, sort_natural, uniq.
 *
 * Sorting is by merging: it keeps the order of what is equal, and no input makes it
 * slow.
 */
#include "postgres.h"

#include "template/items.h"

/* An item with what it is sorted by. */
typedef struct Entry
{
	TeValue		key;
	TeValue		item;
} Entry;

typedef bool (*Comparator) (TeRender *r, const Entry *a, const Entry *b, int *order);

/*
 * The order of two values to sort: nil comes last. False when they have none.
 */
static bool
order_values(TeRender *r, TeValue a, TeValue b, int *order, int depth)
{
	if (a.kind == TE_NIL || b.kind == TE_NIL)
	{
		*order = (a.kind == TE_NIL) - (b.kind == TE_NIL);
		return true;
	}
	if (te_value_compare(r, a, b, order))
		return *order != TE_UNORDERED;
	if (te_value_is_list(a) && te_value_is_list(b))
	{
		TeWalk		walk,
					other_walk;
		TeValue		x,
					y;

		te_value_check_depth(depth);
		te_walk_start(&walk, a);
		te_walk_start(&other_walk, b);
		while (te_walk_item(&walk, &x) && te_walk_item(&other_walk, &y))
		{
			te_render_charge(r, 1);
			*order = 0;
			if ((x.kind == TE_NIL) != (y.kind == TE_NIL) || !order_values(r, x, y, order, depth + 1))
				return false;
			if (*order != 0)
				return true;
		}
		*order = (a.len > b.len) - (a.len < b.len);
		return true;
	}
	*order = 0;
	return te_value_equals(r, a, b);
}

/*
 * Compares for sort.
 */
static bool
compare_values(TeRender *r, const Entry *a, const Entry *b, int *order)
{
	return order_values(r, a->key, b->key, order, 0);
}

/*
 * Compares for sort_natural: the texts of the keys without regard to the case of ASCII
 * letters, nil last.
 */
static bool
compare_natural(TeRender *r, const Entry *a, const Entry *b, int *order)
{
	const char *x = a->key.u.str;
	const char *y = b->key.u.str;
	int			len = Min(a->key.len, b->key.len);
	int			i;

	if (a->key.kind == TE_NIL || b->key.kind == TE_NIL)
	{
		*order = (a->key.kind == TE_NIL) - (b->key.kind == TE_NIL);
		return true;
	}
	te_render_charge(r, len / 64);
	for (i = 0; i < len; i++)
	{
		unsigned char c = pg_ascii_tolower((unsigned char) x[i]);
		unsigned char d = pg_ascii_tolower((unsigned char) y[i]);

		if (c != d)
		{
			*order = c < d ? -1 : 1;
			return true;
		}
	}
	*order = (a->key.len > b->key.len) - (a->key.len < b->key.len);
	return true;
}

/*
 * Sorts entries, with room for as many more; false when two have no order.
 */
static bool
merge_sort(TeRender *r, Entry *entries, Entry *room, int count, Comparator compare)
{
	Entry	   *from = entries;
	Entry	   *to = room;
	int			width;

	for (width = 1; width < count; width *= 2)
	{
		int			start;
		Entry	   *swap = from;

		te_render_charge(r, count / 4 + 1);
		for (start = 0; start < count; start += 2 * width)
		{
			int			i = start;
			int			middle = Min(start + width, count);
			int			j = middle;
			int			end = Min(middle + width, count);
			int			k;
			int			order = 0;

			for (k = start; k < end; k++)
			{
				if (i < middle && j < end && !compare(r, &from[i], &from[j], &order))
					return false;
				to[k] = j == end || (i < middle && order <= 0) ? from[i++] : from[j++];
			}
		}
		from = to;
		to = swap;
	}
	if (from != entries)
		memcpy(entries, from, sizeof(Entry) * (Size) count);
	return true;
}

/*
 * Both sorts: by the items, or by a property that all of them must be able to have.
 */
static TeValue
sort_items(TeRender *r, TeValue input, const TeArgs *args, bool natural)
{
	bool		by_key = args->count > 0 && args->values[0].kind != TE_NIL;
	const TeValue *items;
	Entry	   *entries;
	TeValue    *sorted;
	int			count;
	int			i;

	items = te_items_of(r, input, &count);
	entries = te_arena_alloc(r, sizeof(Entry) * 2 * (Size) count);
	for (i = 0; i < count; i++)
	{
		TeFound		found = TE_FOUND;

		entries[i].item = entries[i].key = items[i];
		if (by_key)
			found = te_item_get(r, items[i], args->values[0], &entries[i].key);
		if (found == TE_FOUND_NO_KEYS)
			return TE_VALUE_NIL;
		if (found == TE_FOUND_WRONG_KEY)
		{
			/* only comparing would find out, and only if all items have keys */
			for (; i < count; i++)
				if (te_item_get(r, items[i], args->values[0], &entries[i].key) == TE_FOUND_NO_KEYS)
					return TE_VALUE_NIL;
			if (count > 1)
				return te_item_error(r, args->values[0]);
			return te_value_list(r, items, count);
		}
		if (natural && entries[i].key.kind != TE_NIL)
			entries[i].key = te_value_string(r, entries[i].key);
	}
	if (!merge_sort(r, entries, entries + count, count, natural ? compare_natural : compare_values))
		return te_filter_error(r, "cannot sort values of incompatible types");
	sorted = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	for (i = 0; i < count; i++)
		sorted[i] = entries[i].item;
	return te_value_list(r, sorted, count);
}

/* sort: property */
static TeValue
filter_sort(TeRender *r, TeValue input, const TeArgs *args)
{
	return sort_items(r, input, args, false);
}

/* sort_natural: property */
static TeValue
filter_sort_natural(TeRender *r, TeValue input, const TeArgs *args)
{
	return sort_items(r, input, args, true);
}

/* uniq: property; the first of those that are the same */
static TeValue
filter_uniq(TeRender *r, TeValue input, const TeArgs *args)
{
	bool		by_key = args->count > 0 && args->values[0].kind != TE_NIL;
	const TeValue *items;
	TeValue    *kept;
	TeValue    *keys;
	int		   *slots;			/* numbers of kept items from 1, by digest */
	uint64		mask = 15;
	int			count;
	int			used = 0;
	int			i;

	items = te_items_of(r, input, &count);
	if (count <= 1)
		return te_value_list(r, items, count);	/* nothing is compared, whatever its members */
	while (mask < (uint64) count * 2)
		mask = mask * 2 + 1;
	kept = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	keys = te_arena_alloc(r, sizeof(TeValue) * (Size) count);
	slots = te_arena_alloc(r, sizeof(int) * (Size) (mask + 1));
	memset(slots, 0, sizeof(int) * (Size) (mask + 1));
	te_render_charge(r, count / 8);
	for (i = 0; i < count; i++)
	{
		TeValue		key = items[i];
		uint64		slot;

		if (by_key)
			switch (te_item_get(r, items[i], args->values[0], &key))
			{
				case TE_FOUND_WRONG_KEY:
					return te_item_error(r, args->values[0]);
				case TE_FOUND_NO_KEYS:
					return TE_VALUE_NIL;
				case TE_FOUND:
					break;
			}
		slot = te_value_digest(r, key);
		slot = (slot ^ (slot >> 32)) & mask;
		while (slots[slot] != 0 && !te_value_same(r, keys[slots[slot] - 1], key))
		{
			te_render_charge(r, 1);
			slot = (slot + 1) & mask;
		}
		if (slots[slot] != 0)
			continue;
		keys[used] = key;
		kept[used++] = items[i];
		slots[slot] = used;
	}
	return te_value_list(r, kept, used);
}

const TeFilter te_filters_order[] = {
	{"sort", filter_sort, 0, 1},
	{"sort_natural", filter_sort_natural, 0, 1},
	{"uniq", filter_uniq, 0, 1},
	{NULL}
};
