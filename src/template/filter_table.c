/*
 * filter_table.c
 *		All filters by name.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"

#include "template/liquid.h"

/* more than twice as many as there are filters; a power of two */
#define SLOTS 512

/* Names further from a word than so many changes are no help. */
#define NEAR 3

static const TeFilter *const tables[] = {
	te_filters_string, te_filters_array, te_filters_replace, te_filters_order, te_filters_math, te_filters_date, te_filters_escape,
	te_filters_crypto, te_filters_message, te_filters_text, te_filters_list, te_filters_moment,
	te_filters_amount, te_filters_chance, te_filters_locale
};

static const TeFilter *slots[SLOTS];
static bool filled = false;

/*
 * The slot of a name: where it is, or the free one where it would be.
 */
static const TeFilter **
find_slot(const char *name, int len)
{
	uint32		i = hash_bytes((const unsigned char *) name, len) % SLOTS;

	while (slots[i] != NULL && (strncmp(slots[i]->name, name, len) != 0 || slots[i]->name[len] != '\0'))
		i = (i + 1) % SLOTS;
	return &slots[i];
}

/*
 * Enters all filters, once a backend.
 */
static void
fill_slots(void)
{
	int			count = 0;
	int			i;

	for (i = 0; i < lengthof(tables); i++)
	{
		const TeFilter *filter;

		for (filter = tables[i]; filter->name != NULL; filter++)
		{
			const TeFilter **slot = find_slot(filter->name, (int) strlen(filter->name));

			Assert(*slot == NULL);
			*slot = filter;
			count++;
		}
	}
	Assert(count < SLOTS / 2);
	(void) count;
	filled = true;
}

/*
 * The filter of this name, or NULL. Throws never.
 */
const TeFilter *
te_filter_find(const char *name, int len)
{
	if (unlikely(!filled))
		fill_slots();
	return *find_slot(name, len);
}

/*
 * How many letters must be put in, taken out, replaced or swapped with their neighbour
 * to get from one word to another, or limit if it is no less.
 */
static int
distance(const char *a, int alen, const char *b, int blen, int limit)
{
	int			rows[3][64];
	int			i,
				j;

	if (Abs(alen - blen) >= limit || blen >= lengthof(rows[0]))
		return limit;
	for (j = 0; j <= blen; j++)
		rows[0][j] = j;
	for (i = 1; i <= alen; i++)
	{
		int		   *row = rows[i % 3];
		const int  *above = rows[(i + 2) % 3];
		const int  *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (j = 1; j <= blen; j++)
		{
			row[j] = Min(Min(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = Min(row[j], above2[j - 2] + 1);
		}
	}
	return Min(rows[alen % 3][blen], limit);
}

/*
 * The filter's name that is nearest to a word, for hints; NULL if none is near. Throws
 * never.
 */
const char *
te_filter_nearest(const char *name)
{
	const char *nearest = NULL;
	int			len = (int) strnlen(name, 64);
	int			best = Min(NEAR, len / 2) + 1;
	int			i;

	if (len == 0 || len > 63)
		return NULL;
	for (i = 0; i < lengthof(tables); i++)
	{
		const TeFilter *filter;

		for (filter = tables[i]; filter->name != NULL; filter++)
		{
			int			changes = distance(name, len, filter->name, (int) strlen(filter->name), best);

			if (changes < best)
			{
				best = changes;
				nearest = filter->name;
			}
		}
	}
	return nearest;
}

/*
 * What a filter returns when it fails: a message, in the arena.
 */
TeValue
te_filter_error(TeRender *r, const char *format,...)
{
	char		message[512];
	TeValue		error = {.kind = TE_ERROR};
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	error.len = te_text_repair(message, sizeof(message));
	error.u.str = te_arena_copy(r, message, error.len);
	return error;
}

/*
 * A named argument, or NULL when it is not given; the last of equal names counts.
 */
const TeValue *
te_args_named(const TeArgs *args, const char *name)
{
	size_t		len = strlen(name);
	int			i;

	for (i = args->named_count - 1; i >= 0; i--)
		if ((size_t) args->named[i].len == len && memcmp(args->named[i].name, name, len) == 0)
			return &args->named[i].value;
	return NULL;
}
