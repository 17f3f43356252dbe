/*
 * features.c
 *		Features of a row: out of a JSON object, walked where it lies, or out of columns.
 *
 *		{"age": 31}				the number "age"
 *		{"job": "student"}		the value "job=student"; true and false are values, too
 *		{"tags": ["a", "b"]}	the values "tags=a" and "tags=b"
 *		{"geo": {"city": "x"}}	the value "geo.city=x"
 *		{"job": null}			the value "job is null"
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "score/logistic.h"

/* What tells a value from a name, and null from a value. */
#define VALUE_SEED UINT64CONST(0x9AE16A3B2F90404F)
#define NULL_SEED UINT64CONST(0xC949D7C7509E6557)

/*
 * The hash of a name within an object whose name has the hash parent (0 at the top).
 * Never 0. Does not throw.
 */
uint64
te_score_hash_key(const char *name, int length, uint64 parent)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) name, length, parent);

	return hash ? hash : 1;
}

/*
 * Begins a row. The buffer of the row before is used again.
 */
void
te_score_features_begin(TeFeatures *features, const TeLogistic *model, bool naming)
{
	features->model = model;
	features->count = 0;
	features->naming = naming;
	features->path_length = 0;
}

/*
 * Gives a feature that is the first at its weight a name: the path, and what follows.
 */
static void
name_feature(TeFeatures *features, uint64 hash, const char *joint, const char *value, int length)
{
	char	  **name = &features->model->names[hash >> (64 - features->model->bits)];
	MemoryContext old;

	if (*name)
		return;
	old = MemoryContextSwitchTo(features->model->context);
	*name = psprintf("%.*s%s%.*s", features->path_length, features->path, joint, Min(length, 100), value);
	MemoryContextSwitchTo(old);
}

/*
 * Adds a feature.
 */
static inline void
add(TeFeatures *features, uint64 key, uint64 hash, double value, bool number)
{
	TeFeature  *feature;

	if (unlikely(features->count == features->size))
	{
		int			size = Max(features->size * 2, 64);

		features->items = features->items ? repalloc(features->items, size * sizeof(TeFeature))
			: MemoryContextAlloc(features->model->context, size * sizeof(TeFeature));
		features->size = size;
	}
	feature = &features->items[features->count++];
	feature->key = key;
	feature->hash = hash;
	feature->value = value;
	feature->number = number;
}

/*
 * Adds a number, or a value where the model takes numbers of this name for values. What
 * is not finite is null.
 */
void
te_score_feature_number(TeFeatures *features, uint64 key, double value)
{
	int			i;

	if (!isfinite(value))
	{
		te_score_feature_null(features, key);
		return;
	}
	for (i = 0; i < features->model->ncategorical; i++)
		if (features->model->categorical[i] == key)
		{
			char		text[32];
			int			length = snprintf(text, sizeof(text), "%.15g", value);

			te_score_feature_value(features, key, text, length);
			return;
		}
	add(features, key, key, value, true);
	if (features->naming)
		name_feature(features, key, "", "", 0);
}

/*
 * Adds a value.
 */
void
te_score_feature_value(TeFeatures *features, uint64 key, const char *value, int length)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) value, length, key ^ VALUE_SEED);

	add(features, key, hash, 1, false);
	if (features->naming)
		name_feature(features, hash, "=", value, length);
}

/*
 * Adds what stands for null.
 */
void
te_score_feature_null(TeFeatures *features, uint64 key)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) "", 0, key ^ NULL_SEED);

	add(features, key, hash, 1, false);
	if (features->naming)
		name_feature(features, hash, " is null", "", 0);
}

/*
 * Adds what one element of a container holds; the key is that of the object's pair, or
 * of the array as a whole.
 */
static inline void
add_element(TeFeatures *features, uint64 key, JEntry entry, char *base, uint32 offset, uint32 length, bool in_array)
{
	if (JBE_ISSTRING(entry))
		te_score_feature_value(features, key, base + offset, length);
	else if (JBE_ISNUMERIC(entry))
	{
		double		value = te_score_numeric((Numeric) (base + INTALIGN(offset)));

		if (in_array)
		{
			char		text[32];

			te_score_feature_value(features, key, text, snprintf(text, sizeof(text), "%.15g", value));
		}
		else
			te_score_feature_number(features, key, value);
	}
	else if (JBE_ISBOOL_TRUE(entry))
		te_score_feature_value(features, key, "true", 4);
	else if (JBE_ISBOOL_FALSE(entry))
		te_score_feature_value(features, key, "false", 5);
	else if (JBE_ISNULL(entry))
		te_score_feature_null(features, key);
	else if (JBE_ISCONTAINER(entry))
		te_score_feature_json(features, key, (JsonbContainer *) (base + INTALIGN(offset)));
}

/*
 * Adds the pairs of an object. A name within an object is hashed with that of the object.
 */
static void
add_pairs(TeFeatures *features, uint64 parent, JsonbContainer *object)
{
	int			count = JsonContainerSize(object);
	char	   *base = (char *) &object->children[count * 2];
	uint32		key_offset = 0;
	uint32		value_offset = count > 0 ? getJsonbOffset(object, count) : 0;
	int			path_length = features->path_length;
	int			i;

	check_stack_depth();
	for (i = 0; i < count; i++)
	{
		JEntry		key_entry = object->children[i];
		JEntry		entry = object->children[count + i];
		uint32		key_end = key_offset;
		uint32		value_end = value_offset;
		uint64		key;

		JBE_ADVANCE_OFFSET(key_end, key_entry);
		JBE_ADVANCE_OFFSET(value_end, entry);
		key = te_score_hash_key(base + key_offset, key_end - key_offset, parent);
		if (features->naming)
		{
			int			added = snprintf(features->path + path_length, sizeof(features->path) - path_length, "%s%.*s",
										 path_length ? "." : "", (int) (key_end - key_offset), base + key_offset);

			features->path_length = Min(path_length + added, (int) sizeof(features->path) - 1);
		}
		add_element(features, key, entry, base, value_offset, value_end - value_offset, false);
		key_offset = key_end;
		value_offset = value_end;
	}
	features->path_length = path_length;
}

/*
 * Adds a nested container. Throws when it is nested too deep for the stack.
 */
void
te_score_feature_json(TeFeatures *features, uint64 key, JsonbContainer *container)
{
	int			count = JsonContainerSize(container);
	char	   *base = (char *) &container->children[count];
	uint32		offset = 0;
	int			i;

	if (JsonContainerIsObject(container))
	{
		add_pairs(features, key, container);
		return;
	}
	check_stack_depth();
	for (i = 0; i < count; i++)
	{
		JEntry		entry = container->children[i];
		uint32		end = offset;

		JBE_ADVANCE_OFFSET(end, entry);
		add_element(features, key, entry, base, offset, end - offset, true);
		offset = end;
	}
}

/*
 * Adds the features of a whole JSON object.
 */
void
te_score_features_object(TeFeatures *features, JsonbContainer *object)
{
	add_pairs(features, 0, object);
}

/*
 * Adds the combinations that the model asks for: of each two features under the names
 * of a pair one that is both. Numbers must be scaled before.
 */
void
te_score_features_pair(TeFeatures *features)
{
	const TeLogistic *model = features->model;
	int			count = features->count;
	int			p,
				i,
				j;

	for (p = 0; p < model->npairs; p++)
		for (i = 0; i < count; i++)
		{
			if (features->items[i].key != model->pairs[p].a)
				continue;
			for (j = 0; j < count; j++)
			{
				uint64		hash;

				if (features->items[j].key != model->pairs[p].b)
					continue;
				hash = hash_combine64(features->items[i].hash, features->items[j].hash) * UINT64CONST(0x9E3779B97F4A7C15);
				if (features->naming)
				{
					char	   *a = model->names[features->items[i].hash >> (64 - model->bits)];
					char	   *b = model->names[features->items[j].hash >> (64 - model->bits)];

					features->path_length = 0;
					if (a && b)
					{
						char	   *both = psprintf("%s & %s", a, b);

						name_feature(features, hash, "", both, strlen(both));
						pfree(both);
					}
				}
				add(features, 0, hash, features->items[i].value * features->items[j].value, false);
			}
		}
}
