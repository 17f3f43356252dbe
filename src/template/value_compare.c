/*
 * value_compare.c
 *		Truth, equality, order and containment of values, as Liquid knows them.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "template/liquid.h"

/*
 * True for an empty text, list or hash.
 */
bool
te_value_is_empty(TeValue value)
{
	switch (value.kind)
	{
		case TE_STRING:
		case TE_ARRAY:
		case TE_JSON:
		case TE_HASH:
			return value.len == 0;
		default:
			return false;
	}
}

/*
 * Counts the work of looking at a long text, at so many bytes a step.
 */
static inline void
charge_text(TeRender *r, int len, int bytes)
{
	if (unlikely(len > bytes) && r != NULL)
		te_render_charge(r, len / bytes);
}

/*
 * True for nil, false, what is empty, and a text of white space.
 */
bool
te_value_is_blank(TeRender *r, TeValue value)
{
	int			i;

	if (!te_value_truthy(value) || te_value_is_empty(value))
		return true;
	if (value.kind != TE_STRING)
		return false;
	for (i = 0; i < value.len; i++)
	{
		char		c = value.u.str[i];

		if (c != ' ' && (c < '\t' || c > '\r'))
			break;
	}
	charge_text(r, i, 64);
	return i == value.len;
}

static bool equals(TeRender *r, TeValue a, TeValue b, bool strict, int depth);

/*
 * Whether two lists have equal items.
 */
static bool
equal_lists(TeRender *r, TeValue a, TeValue b, bool strict, int depth)
{
	TeWalk		walk,
				other_walk;
	TeValue		item,
				other;

	if (a.len != b.len)
		return false;
	if (a.kind == b.kind && a.u.items == b.u.items)
		return true;
	te_value_check_depth(depth);
	te_render_charge(r, a.len / 16 + 1);
	te_walk_start(&walk, a);
	te_walk_start(&other_walk, b);
	while (te_walk_item(&walk, &item) && te_walk_item(&other_walk, &other))
		if (!equals(r, item, other, strict, depth + 1))
			return false;
	return true;
}

/*
 * Whether two hashes have the same keys with equal values, in any order.
 */
static bool
equal_hashes(TeRender *r, TeValue a, TeValue b, bool strict, int depth)
{
	TeWalk		walk;
	TeMember	member;
	TeValue		other;

	if (a.len != b.len)
		return false;
	te_value_check_depth(depth);
	te_render_charge(r, a.len / 16 + 1);
	te_walk_start(&walk, a);
	while (te_walk_member(&walk, &member))
		if (!te_value_lookup(r, b, TE_VALUE_STRING(member.key, member.keylen), false, &other) ||
			!equals(r, member.value, other, strict, depth + 1))
			return false;
	return true;
}

/*
 * Whether two values are equal; when strict, 1 and 1.0 are not.
 */
static bool
equals(TeRender *r, TeValue a, TeValue b, bool strict, int depth)
{
	if (te_value_is_number(a))
		return te_value_is_number(b) && te_number_compare(r, a, b) == 0 &&
			!te_number_is_nan(a) && !te_number_is_nan(b) &&
			(!strict || te_number_is_whole(a) == te_number_is_whole(b));
	if (te_value_is_list(a))
		return te_value_is_list(b) && equal_lists(r, a, b, strict, depth);
	if (te_value_is_hash(a))
		return te_value_is_hash(b) && equal_hashes(r, a, b, strict, depth);
	if (a.kind != b.kind)
		return false;
	switch (a.kind)
	{
		case TE_NIL:
			return true;
		case TE_BOOL:
			return a.u.boolean == b.u.boolean;
		case TE_STRING:
		case TE_ERROR:
			if (a.len != b.len)
				return false;
			charge_text(r, a.len, 256);
			return memcmp(a.u.str, b.u.str, a.len) == 0;
		case TE_RANGE:
			return a.u.range->from == b.u.range->from && a.u.range->to == b.u.range->to;
		case TE_TIME:
			return a.u.time->at == b.u.time->at;
		case TE_DROP:
			return a.u.drop == b.u.drop;
		default:
			return false;
	}
}

/*
 * Whether a == b. The words empty and blank equal what is so. Charged for long lists;
 * throws when the data is nested too deeply.
 */
bool
te_value_equals(TeRender *r, TeValue a, TeValue b)
{
	if (a.kind == TE_EMPTY)
		return te_value_is_empty(b);
	if (a.kind == TE_BLANK)
		return te_value_is_blank(r, b);
	if (b.kind == TE_EMPTY)
		return te_value_is_empty(a);
	if (b.kind == TE_BLANK)
		return te_value_is_blank(r, a);
	return equals(r, a, b, false, 0);
}

/*
 * Whether two values are one and the same to uniq.
 */
bool
te_value_same(TeRender *r, TeValue a, TeValue b)
{
	return equals(r, a, b, true, 0);
}

/*
 * The order of two texts, by bytes.
 */
static int
compare_texts(TeRender *r, TeValue a, TeValue b)
{
	int			len = Min(a.len, b.len);
	int			order = memcmp(a.u.str, b.u.str, len);

	charge_text(r, len, 256);
	if (order != 0)
		return order < 0 ? -1 : 1;
	return (a.len > b.len) - (a.len < b.len);
}

/*
 * The order of two numbers, two texts or two instants; false for others. What is not a
 * number has the order TE_UNORDERED to all numbers.
 */
bool
te_value_compare(TeRender *r, TeValue a, TeValue b, int *order)
{
	if (te_value_is_number(a) && te_value_is_number(b))
		*order = te_number_is_nan(a) || te_number_is_nan(b) ? TE_UNORDERED : te_number_compare(r, a, b);
	else if (a.kind == TE_STRING && b.kind == TE_STRING)
		*order = compare_texts(r, a, b);
	else if (a.kind == TE_TIME && b.kind == TE_TIME)
		*order = (a.u.time->at > b.u.time->at) - (a.u.time->at < b.u.time->at);
	else
		return false;
	return true;
}

/*
 * Whether a text contains text; false for an empty or too long needle's absence.
 */
static bool
contains_text(TeValue text, TeValue needle)
{
	if (needle.len == 0)
		return true;
	return te_text_find(text.u.str, text.len, needle.u.str, needle.len) >= 0;
}

/*
 * Whether a text has a part, a list an item, a hash a key, a range a number. Nothing
 * contains nil or false.
 */
bool
te_value_contains(TeRender *r, TeValue container, TeValue item)
{
	TeValue		found;
	TeWalk		walk;

	if (!te_value_truthy(item))
		return false;
	if (container.kind == TE_STRING)
	{
		te_render_charge(r, container.len / 16);
		return contains_text(container, te_value_string(r, item));
	}
	if (container.kind == TE_RANGE)
		return te_value_is_number(item) &&
			te_number_compare(r, item, TE_VALUE_INT(container.u.range->from)) >= 0 &&
			te_number_compare(r, item, TE_VALUE_INT(container.u.range->to)) <= 0;
	if (te_value_is_hash(container))
		return item.kind == TE_STRING && te_value_lookup(r, container, item, false, &found);
	if (!te_value_is_list(container))
		return false;
	te_render_charge(r, container.len / 4 + 1);
	te_walk_start(&walk, container);
	while (te_walk_item(&walk, &found))
		if (equals(r, found, item, false, 0))
			return true;
	return false;
}

/*
 * Mixes another number into a digest.
 */
static inline uint64
mix(uint64 digest, uint64 value)
{
	return (digest ^ value) * UINT64CONST(0x9E3779B97F4A7C15) + (digest >> 29);
}

/*
 * The digest of a value so deep inside another.
 */
static uint64
digest_of(TeRender *r, TeValue value, int depth)
{
	uint64		digest = 0;
	TeWalk		walk;
	TeValue		item;
	TeMember	member;

	te_value_check_depth(depth);
	if (te_value_is_list(value))
	{
		te_render_charge(r, value.len / 16);
		digest = mix(1, value.len);
		te_walk_start(&walk, value);
		while (te_walk_item(&walk, &item))
			digest = mix(digest, digest_of(r, item, depth + 1));
		return digest;
	}
	if (te_value_is_hash(value))
	{
		te_render_charge(r, value.len / 16);
		te_walk_start(&walk, value);
		while (te_walk_member(&walk, &member))
			digest += mix(hash_bytes_extended((const unsigned char *) member.key, member.keylen, 2),
						  digest_of(r, member.value, depth + 1));
		return mix(digest, value.len);
	}
	switch (value.kind)
	{
		case TE_BOOL:
			return value.u.boolean ? 3 : 5;
		case TE_INT:
			return mix(7, (uint64) value.u.integer);
		case TE_FLOAT:
			return value.u.number == 0 ? 9 : mix(11, (uint64) value.u.integer);
		case TE_STRING:
			return hash_bytes_extended((const unsigned char *) value.u.str, value.len, 13);
		default:
			return value.kind;
	}
}

/*
 * A digest that is equal for values that are the same.
 */
uint64
te_value_digest(TeRender *r, TeValue value)
{
	return digest_of(r, value, 0);
}
