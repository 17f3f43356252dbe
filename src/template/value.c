/*
 * value.c
 *		Reading into values: members of objects, items of lists, what a path finds.
 *
 * Objects and arrays of a jsonb stay where they lie: a TE_JSON value points to the
 * container and its entries are decoded when they are asked for.
 */
#include "postgres.h"

#include <limits.h>

#include "common/hashfn.h"
#include "port/pg_bitutils.h"

#include "template/liquid.h"

/* From so many members on a hash gets an index. */
#define INDEXED_MEMBERS 16

/*
 * Where the data of a container begins: after the entries of its children, which
 * are two a member of an object.
 */
static inline const char *
container_data(const JsonbContainer *json, int children)
{
	return (const char *) &json->children[children];
}

/*
 * A container of a jsonb as a value; the pseudo array that holds a lone scalar
 * gives the scalar.
 */
static TeValue
value_of_container(JsonbContainer *json)
{
	TeValue		value = {.kind = TE_JSON,.len = (int32) JsonContainerSize(json),.u.json = json};

	if (unlikely(JsonContainerIsScalar(json)))
		return te_value_at(NULL, value, 0);
	return value;
}

/*
 * The child of a container from its entry, the data of the container, and where
 * therein it lies. Strings and numbers are pointed to, not copied.
 */
static inline TeValue
value_of_entry(JEntry entry, const char *data, uint32 offset, uint32 len)
{
	switch (entry & JENTRY_TYPEMASK)
	{
		case JENTRY_ISSTRING:
			return TE_VALUE_STRING(data + offset, (int32) len);
		case JENTRY_ISNUMERIC:
			return te_number_from_numeric((Numeric) (data + INTALIGN(offset)));
		case JENTRY_ISBOOL_FALSE:
			return TE_VALUE_BOOL(false);
		case JENTRY_ISBOOL_TRUE:
			return TE_VALUE_BOOL(true);
		case JENTRY_ISCONTAINER:
			return value_of_container((JsonbContainer *) (data + INTALIGN(offset)));
		default:
			return TE_VALUE_NIL;
	}
}

/*
 * Child number index of a container that has so many children.
 */
static TeValue
value_of_child(const JsonbContainer *json, int children, int index)
{
	return value_of_entry(json->children[index], container_data(json, children),
						  getJsonbOffset(json, index), getJsonbLength(json, index));
}

/*
 * Decodes the children from first up to but not including last, in one walk over
 * the entries, to values that lie stride apart.
 */
static void
decode_children(const JsonbContainer *json, int children, int first, int last, TeValue *to, int stride)
{
	const char *data = container_data(json, children);
	uint32		offset = getJsonbOffset(json, first);
	int			i;

	for (i = first; i < last; i++, to += stride)
	{
		JEntry		entry = json->children[i];
		uint32		end = offset;

		JBE_ADVANCE_OFFSET(end, entry);
		*to = value_of_entry(entry, data, offset, end - offset);
		offset = end;
	}
}

/*
 * A value that a jsonb function returned. Throws never.
 */
TeValue
te_value_from_jsonb(TeRender *r, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return TE_VALUE_STRING(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return te_number_from_numeric(value->val.numeric);
		case jbvBool:
			return TE_VALUE_BOOL(value->val.boolean);
		case jbvBinary:
			return value_of_container(value->val.binary.data);
		default:
			return TE_VALUE_NIL;
	}
}

/* ---- hashes ---- */

/*
 * Where a key's search of an index begins.
 */
static inline uint32
key_slot(const TeHash *hash, const char *key, int keylen)
{
	return hash_bytes((const unsigned char *) key, keylen) & hash->mask;
}

/*
 * The member of a hash with this key, or NULL. Long searches are charged, since
 * keys may have been made to collide.
 */
static const TeMember *
hash_find(TeRender *r, const TeHash *hash, const char *key, int keylen)
{
	int			steps = 0;
	int			i;

	if (hash->slots == NULL)
	{
		for (i = 0; i < hash->count; i++)
			if (hash->members[i].keylen == keylen && memcmp(hash->members[i].key, key, keylen) == 0)
				return &hash->members[i];
		return NULL;
	}
	for (i = key_slot(hash, key, keylen); hash->slots[i] != 0; i = (i + 1) & hash->mask)
	{
		const TeMember *member = &hash->members[hash->slots[i] - 1];

		if (member->keylen == keylen && memcmp(member->key, key, keylen) == 0)
			return member;
		if (++steps % 64 == 0 && r != NULL)
			te_render_charge(r, 1);
	}
	return NULL;
}

/*
 * A hash of these members, which stay the caller's array in the arena. When a key
 * comes again its last value counts, at its first place. With many members an index
 * is made, in the arena.
 */
TeValue
te_value_hash(TeRender *r, TeMember *members, int count)
{
	TeHash	   *hash = te_arena_alloc(r, sizeof(TeHash));
	int			kept = 0;
	int			i;

	hash->count = 0;
	hash->members = members;
	hash->slots = NULL;
	hash->mask = 0;
	if (count > INDEXED_MEMBERS)
	{
		uint32		size = pg_nextpower2_32(count * 2);
		int32	   *slots;

		te_render_charge(r, count / 16);
		slots = te_arena_alloc(r, sizeof(int32) * size);
		memset(slots, 0, sizeof(int32) * size);
		hash->slots = slots;
		hash->mask = size - 1;
	}
	for (i = 0; i < count; i++)
	{
		TeMember	member = members[i];
		TeMember   *same = (TeMember *) hash_find(r, hash, member.key, member.keylen);

		if (same != NULL)
		{
			same->value = member.value;
			continue;
		}
		members[kept++] = member;
		hash->count = kept;
		if (hash->slots != NULL)
		{
			uint32		slot = key_slot(hash, member.key, member.keylen);

			while (hash->slots[slot] != 0)
				slot = (slot + 1) & hash->mask;
			((int32 *) hash->slots)[slot] = kept;
		}
	}
	return (TeValue) {.kind = TE_HASH,.len = kept,.u.hash = hash};
}

/*
 * True, with its value, when an object has a member of this name.
 */
static bool
find_member(TeRender *r, TeValue object, const char *key, int keylen, TeValue *result)
{
	if (object.kind == TE_JSON && JsonContainerIsObject(object.u.json))
	{
		JsonbValue	found;

		if (getKeyJsonValueFromContainer(object.u.json, key, keylen, &found) == NULL)
			return false;
		*result = te_value_from_jsonb(r, &found);
		return true;
	}
	if (object.kind == TE_HASH)
	{
		const TeMember *member = hash_find(r, object.u.hash, key, keylen);

		if (member == NULL)
			return false;
		*result = member->value;
		return true;
	}
	if (object.kind == TE_DROP)
	{
		*result = te_drop_get(r, object.u.drop, key, keylen);
		return result->kind != TE_NIL;
	}
	return false;
}

/*
 * A member of an object, nil when there is none.
 */
TeValue
te_value_get(TeRender *r, TeValue object, const char *key, int keylen)
{
	TeValue		result;

	return find_member(r, object, key, keylen, &result) ? result : TE_VALUE_NIL;
}

/* ---- lists ---- */

/*
 * An item of a list, counted from its end when the index is negative; nil when the
 * list is not so long.
 */
TeValue
te_value_at(TeRender *r, TeValue list, int64 index)
{
	if (!te_value_is_list(list))
		return TE_VALUE_NIL;
	if (index < 0)
		index += list.len;
	if (index < 0 || index >= list.len)
		return TE_VALUE_NIL;
	if (list.kind == TE_ARRAY)
		return list.u.items[index];
	return value_of_child(list.u.json, list.len, (int) index);
}

/*
 * A list of items that stay where they are.
 */
TeValue
te_value_list(TeRender *r, const TeValue *items, int count)
{
	return (TeValue) {.kind = TE_ARRAY,.len = count,.u.items = items};
}

/*
 * Room for so many values in the arena.
 */
static TeValue *
allocate_values(TeRender *r, int64 count)
{
	if (count > INT_MAX / 64)
		count = INT_MAX / 64;	/* more than any limit allows */
	if (count > 64)
		te_render_charge(r, count / 16);
	return te_arena_alloc(r, sizeof(TeValue) * (Size) count);
}

/*
 * The items of a hash: its members as lists of key and value.
 */
static const TeValue *
pairs_of_hash(TeRender *r, TeValue hash, int count)
{
	TeValue    *items = allocate_values(r, count);
	TeValue    *pairs = allocate_values(r, (int64) count * 2);
	int			i;

	if (hash.kind == TE_JSON && count > 0)
	{
		decode_children(hash.u.json, count * 2, 0, count, pairs, 2);
		decode_children(hash.u.json, count * 2, count, count * 2, pairs + 1, 2);
	}
	for (i = 0; i < count; i++)
	{
		if (hash.kind == TE_HASH)
		{
			const TeMember *member = &hash.u.hash->members[i];

			pairs[2 * i] = TE_VALUE_STRING(member->key, member->keylen);
			pairs[2 * i + 1] = member->value;
		}
		items[i] = te_value_list(r, pairs + 2 * i, 2);
	}
	return items;
}

/*
 * The items of a list, of a hash as pairs, or of a range, as an array; NULL and 0 of
 * anything else. Those of our own lists are not copied.
 */
const TeValue *
te_value_items(TeRender *r, TeValue value, int *count)
{
	TeValue    *items;
	int64		size;
	int64		i;

	*count = te_value_count(value);
	switch (value.kind)
	{
		case TE_ARRAY:
			return value.u.items;
		case TE_HASH:
			return pairs_of_hash(r, value, *count);
		case TE_JSON:
			if (JsonContainerIsObject(value.u.json))
				return pairs_of_hash(r, value, *count);
			items = allocate_values(r, *count);
			if (*count > 0)
				decode_children(value.u.json, *count, 0, *count, items, 1);
			return items;
		case TE_RANGE:
			size = te_range_size(value.u.range);
			items = allocate_values(r, size);
			*count = (int) size;
			for (i = 0; i < size; i++)
				items[i] = TE_VALUE_INT(value.u.range->from + i);
			return items;
		default:
			return NULL;
	}
}

/*
 * How many whole numbers a range has; at most the largest int64.
 */
int64
te_range_size(const TeRange *range)
{
	uint64		span;

	if (range->to < range->from)
		return 0;
	span = (uint64) range->to - (uint64) range->from;
	return span >= (uint64) PG_INT64_MAX ? PG_INT64_MAX : (int64) span + 1;
}

/*
 * The members of a hash, as an array; NULL and 0 of anything else. Those of our own
 * hashes are not copied.
 */
const TeMember *
te_value_members(TeRender *r, TeValue hash, int *count)
{
	const TeValue *pairs;
	TeMember   *members;
	int			i;

	*count = 0;
	if (!te_value_is_hash(hash))
		return NULL;
	*count = hash.len;
	if (hash.kind == TE_HASH)
		return hash.u.hash->members;
	pairs = pairs_of_hash(r, hash, hash.len);
	members = te_arena_alloc(r, sizeof(TeMember) * (Size) hash.len);
	for (i = 0; i < hash.len; i++)
	{
		const TeValue *pair = pairs[i].u.items;

		members[i].key = pair[0].u.str;
		members[i].keylen = pair[0].len;
		members[i].value = pair[1];
	}
	return members;
}

/*
 * Begins a walk over the items of a list or the members of a hash.
 */
void
te_walk_start(TeWalk *walk, TeValue container)
{
	walk->container = container;
	walk->index = 0;
	walk->key_offset = walk->offset = 0;
	if (container.kind == TE_JSON && container.len > 0 && JsonContainerIsObject(container.u.json))
		walk->offset = getJsonbOffset(container.u.json, container.len);
}

/*
 * Decodes the child of a jsonb that lies at an offset, and moves that to the next.
 */
static inline TeValue
walk_child(const JsonbContainer *json, int children, int index, uint32 *offset)
{
	JEntry		entry = json->children[index];
	uint32		start = *offset;

	JBE_ADVANCE_OFFSET(*offset, entry);
	return value_of_entry(entry, container_data(json, children), start, *offset - start);
}

/*
 * The next item of a list, false at its end.
 */
bool
te_walk_item(TeWalk *walk, TeValue *item)
{
	TeValue		list = walk->container;

	if (walk->index >= list.len)
		return false;
	if (list.kind == TE_ARRAY)
		*item = list.u.items[walk->index];
	else
		*item = walk_child(list.u.json, list.len, walk->index, &walk->offset);
	walk->index++;
	return true;
}

/*
 * The next member of a hash, false at its end.
 */
bool
te_walk_member(TeWalk *walk, TeMember *member)
{
	TeValue		hash = walk->container;
	TeValue		key;

	if (walk->index >= hash.len)
		return false;
	if (hash.kind == TE_HASH)
		*member = hash.u.hash->members[walk->index];
	else
	{
		key = walk_child(hash.u.json, hash.len * 2, walk->index, &walk->key_offset);
		member->key = key.u.str;
		member->keylen = key.len;
		member->value = walk_child(hash.u.json, hash.len * 2, hash.len + walk->index, &walk->offset);
	}
	walk->index++;
	return true;
}

/* ---- paths ---- */

/*
 * What .size finds: false if the value has none. A number has one too, of bytes.
 */
bool
te_value_size(TeValue value, int64 *size)
{
	switch (value.kind)
	{
		case TE_STRING:
			*size = te_text_length(value.u.str, value.len);
			return true;
		case TE_ARRAY:
		case TE_JSON:
		case TE_HASH:
			*size = value.len;
			return true;
		case TE_RANGE:
			*size = te_range_size(value.u.range);
			return true;
		case TE_INT:
			*size = sizeof(int64);
			return true;
		case TE_DECIMAL:
			*size = te_number_bytes(value);
			return te_number_is_whole(value);
		default:
			return false;
	}
}

/*
 * What .first and .last find: false if the value has none.
 */
static bool
find_end(TeRender *r, TeValue object, bool last, TeValue *result)
{
	int			count;

	switch (object.kind)
	{
		case TE_STRING:
			*result = object;
			if (last)
				result->u.str += te_text_last(object.u.str, object.len);
			result->len = te_text_step(result->u.str, object.u.str + object.len);
			return true;
		case TE_RANGE:
			*result = te_range_size(object.u.range) == 0 && !last ? TE_VALUE_NIL :
				TE_VALUE_INT(last ? object.u.range->to : object.u.range->from);
			return true;
		default:
			if (te_value_is_list(object))
			{
				*result = te_value_at(r, object, last ? -1 : 0);
				return true;
			}
			if (last || !te_value_is_hash(object))
				return false;
			*result = object.len > 0 ? te_value_items(r, object, &count)[0] : TE_VALUE_NIL;
			return true;
	}
}

/*
 * The first or last item of a list, range or text, the first pair of a hash; nil if
 * there is none.
 */
TeValue
te_value_end(TeRender *r, TeValue object, bool last)
{
	TeValue		result;

	return find_end(r, object, last, &result) ? result : TE_VALUE_NIL;
}

/*
 * One step of a path: true, with what is there, when the object has the key. As a
 * command (written with a dot) size, first and last are found too.
 */
bool
te_value_lookup(TeRender *r, TeValue object, TeValue key, bool command, TeValue *result)
{
	int64		size;

	if (key.kind == TE_INT)
	{
		if (te_value_is_list(object))
		{
			*result = te_value_at(r, object, key.u.integer);
			return true;
		}
		*result = TE_VALUE_NIL;
		return te_value_is_hash(object);
	}
	if (key.kind != TE_STRING)
		return false;
	if (find_member(r, object, key.u.str, key.len, result))
		return true;
	if (!command)
		return false;
	if (key.len == 4 && memcmp(key.u.str, "size", 4) == 0)
	{
		if (object.kind == TE_STRING && r != NULL)
			te_render_charge(r, object.len / 64);
		if (!te_value_size(object, &size))
			return false;
		*result = TE_VALUE_INT(size);
		return true;
	}
	if (key.len == 5 && memcmp(key.u.str, "first", 5) == 0)
		return find_end(r, object, false, result);
	if (key.len == 4 && memcmp(key.u.str, "last", 4) == 0)
		return find_end(r, object, true, result);
	return false;
}

/*
 * object.key, with size, first and last; nil when there is nothing.
 */
TeValue
te_value_property(TeRender *r, TeValue object, TeValue key)
{
	TeValue		result;

	return te_value_lookup(r, object, key, true, &result) ? result : TE_VALUE_NIL;
}
