/*
 * filter_list.c
 *		Lists beyond the standard filters. Lists are never changed: each result is
 *		a new one.
 */
#include "postgres.h"

#include "template/locale.h"

/*
 * The items of a value as a list filter takes it, with their number: those of a list or
 * range, the value itself when it is something else, none of nil.
 */
static const TeValue *
items_of(TeRender *r, TeValue *input, int *count)
{
	if (input->kind == TE_NIL)
	{
		*count = 0;
		return NULL;
	}
	if (!te_value_is_list(*input) && input->kind != TE_RANGE)
	{
		*count = 1;
		return input;
	}
	return te_value_items(r, *input, count);
}

/*
 * Room for a list of items in the arena.
 */
static TeValue *
new_items(TeRender *r, int count)
{
	te_render_charge(r, count / 16 + 1);
	return te_arena_alloc(r, sizeof(TeValue) * (Size) Max(count, 1));
}

/*
 * A list with one item more, at the beginning or at the end.
 */
static TeValue
with_item(TeRender *r, TeValue input, TeValue item, bool first)
{
	int			count;
	const TeValue *items = items_of(r, &input, &count);
	TeValue    *result = new_items(r, count + 1);

	if (count > 0)
		memcpy(result + (first ? 1 : 0), items, sizeof(TeValue) * count);
	result[first ? 0 : count] = item;
	return te_value_list(r, result, count + 1);
}

/*
 * The part of a list that begins at an item and has at most so many.
 */
static TeValue
part(TeRender *r, const TeValue *items, int count, int64 from, int64 most)
{
	from = Min(Max(from, 0), count);
	most = Min(Max(most, 0), count - from);
	return te_value_list(r, items + from, (int) most);
}

/*
 * How many items an argument asks for, absent for none given; false when it is no whole
 * number that is not negative.
 */
static bool
count_argument(TeRender *r, const TeArgs *args, int64 absent, int64 *result)
{
	*result = absent;
	return args->count == 0 || (te_number_integer(r, args->values[0], result) && *result >= 0);
}

/* push: item */
static TeValue
filter_push(TeRender *r, TeValue input, const TeArgs *args)
{
	return with_item(r, input, args->values[0], false);
}

/* unshift: item */
static TeValue
filter_unshift(TeRender *r, TeValue input, const TeArgs *args)
{
	return with_item(r, input, args->values[0], true);
}

/* pop: the list without its last item, or the last n */
static TeValue
filter_pop(TeRender *r, TeValue input, const TeArgs *args)
{
	int			count;
	const TeValue *items = items_of(r, &input, &count);
	int64		n;

	if (!count_argument(r, args, 1, &n))
		return te_filter_error(r, "pop needs a number of items");
	return part(r, items, count, 0, n < count ? count - n : 0);
}

/* shift: the list without its first item, or the first n */
static TeValue
filter_shift(TeRender *r, TeValue input, const TeArgs *args)
{
	int			count;
	const TeValue *items = items_of(r, &input, &count);
	int64		n;

	if (!count_argument(r, args, 1, &n))
		return te_filter_error(r, "shift needs a number of items");
	return part(r, items, count, n, count);
}

/* limit: the first n items */
static TeValue
filter_limit(TeRender *r, TeValue input, const TeArgs *args)
{
	int			count;
	const TeValue *items = items_of(r, &input, &count);
	int64		n;

	if (!count_argument(r, args, 0, &n))
		return te_filter_error(r, "limit needs a number of items");
	return part(r, items, count, 0, n);
}

/*
 * Position of an item in a list; -1 when it is not there. Charges what it looks at.
 */
static int
position_of(TeRender *r, const TeValue *items, int count, TeValue item)
{
	int			i;

	te_render_charge(r, count / 4 + 1);
	for (i = 0; i < count; i++)
		if (te_value_equals(r, items[i], item))
			return i;
	return -1;
}

/* intersect: list. The items that are in both, once each, in the order of the first. */
static TeValue
filter_intersect(TeRender *r, TeValue input, const TeArgs *args)
{
	TeValue		other = args->values[0];
	int			count,
				other_count;
	const TeValue *items = items_of(r, &input, &count);
	const TeValue *others = items_of(r, &other, &other_count);
	TeValue    *result = new_items(r, count);
	int			n = 0;
	int			i;

	for (i = 0; i < count; i++)
		if (position_of(r, others, other_count, items[i]) >= 0 && position_of(r, result, n, items[i]) < 0)
			result[n++] = items[i];
	return te_value_list(r, result, n);
}

/* One group, and its items as a chain through an array. */
typedef struct Group
{
	TeValue		name;
	int			first;
	int			last;
	int			count;
} Group;

/*
 * One group as templates see it: {name, items, size}.
 */
static TeValue
group_value(TeRender *r, const Group *group, const TeValue *items, const int *next)
{
	TeValue    *list = new_items(r, group->count);
	TeMember   *members = te_arena_alloc(r, sizeof(TeMember) * 3);
	int			n = 0;
	int			i;

	for (i = group->first; i >= 0; i = next[i])
		list[n++] = items[i];
	members[0] = (TeMember) {"name", 4, group->name};
	members[1] = (TeMember) {"items", 5, te_value_list(r, list, n)};
	members[2] = (TeMember) {"size", 4, TE_VALUE_INT(n)};
	return te_value_hash(r, members, 3);
}

/* group_by: property. A list of {name, items, size}, in the order of first appearance. */
static TeValue
filter_group_by(TeRender *r, TeValue input, const TeArgs *args)
{
	int			count;
	const TeValue *items = items_of(r, &input, &count);
	Group	   *groups = te_arena_alloc(r, sizeof(Group) * (Size) Max(count, 1));
	int		   *next = te_arena_alloc(r, sizeof(int) * (Size) Max(count, 1));
	TeValue    *result;
	int			ngroups = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		TeValue		name = te_value_property(r, items[i], args->values[0]);
		int			g;

		te_render_charge(r, ngroups / 4 + 1);
		for (g = 0; g < ngroups; g++)
			if (te_value_equals(r, groups[g].name, name))
				break;
		next[i] = -1;
		if (g == ngroups)
			groups[ngroups++] = (Group) {name, i, i, 1};
		else
		{
			next[groups[g].last] = i;
			groups[g].last = i;
			groups[g].count++;
		}
	}
	result = new_items(r, ngroups);
	for (i = 0; i < ngroups; i++)
		result[i] = group_value(r, &groups[i], items, next);
	return te_value_list(r, result, ngroups);
}

/* where_not: property, value. The items that where leaves out. */
static TeValue
filter_where_not(TeRender *r, TeValue input, const TeArgs *args)
{
	const TeFilter *reject = te_filter_find("reject", 6);

	return reject->function(r, input, args);
}

/* property_accessor: key. A member by a name that is known when rendering only. */
static TeValue
filter_property_accessor(TeRender *r, TeValue input, const TeArgs *args)
{
	return te_value_property(r, input, args->values[0]);
}

/*
 * array_to_sentence_string: the items as one phrase. With a connector, or for readers
 * of English, as "a, b, and c"; else as the reader's language has it.
 */
static TeValue
filter_array_to_sentence_string(TeRender *r, TeValue input, const TeArgs *args)
{
	int			count;
	const TeValue *items = items_of(r, &input, &count);
	const char *locale = te_locale_of(r);
	TeValue		connector;
	TeBuffer	out;
	int			i;

	te_render_charge(r, count + 1);
	if (args->count == 0 && !(strncmp(locale, "en", 2) == 0 && (locale[2] == '\0' || locale[2] == '-')))
		return te_icu_list(r, locale, "and", "wide", items, count);
	connector = args->count > 0 ? te_value_text(r, args->values[0]) : TE_VALUE_STRING("and", 3);
	te_buffer_init(r, &out, 64);
	for (i = 0; i < count; i++)
	{
		if (i > 0 && count > 2)
			te_buffer_char(r, &out, ',');
		if (i > 0)
			te_buffer_char(r, &out, ' ');
		if (i > 0 && i == count - 1)
		{
			te_buffer_append(r, &out, connector.u.str, connector.len);
			te_buffer_char(r, &out, ' ');
		}
		te_value_write(r, &out, items[i]);
	}
	return te_buffer_value(&out);
}

const TeFilter te_filters_list[] = {
	{"array_to_sentence_string", filter_array_to_sentence_string, 0, 1},
	{"group_by", filter_group_by, 1, 1},
	{"intersect", filter_intersect, 1, 1},
	{"limit", filter_limit, 1, 1},
	{"pop", filter_pop, 0, 1},
	{"property_accessor", filter_property_accessor, 1, 1},
	{"push", filter_push, 1, 1},
	{"shift", filter_shift, 0, 1},
	{"unshift", filter_unshift, 1, 1},
	{"where_not", filter_where_not, 1, 2},
	{NULL}
};
