/*
 * liquid.h
 *		The Liquid engine inside: values, the state of a render, filters.
 *
 * A template is parsed once into a program (parse.c) and walked for every render
 * (eval.c). Values are small and passed by copy; what they point to lives in the
 * render's arena, in the program, or in the context that was handed in, and is never
 * changed. Nothing here reads a table, the network or a clock.
 */
#pragma once

#include "postgres.h"

#include "pgtime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* ---- values ---- */

typedef enum TeKind
{
	TE_NIL,
	TE_BOOL,
	TE_INT,						/* whole numbers within 64 bits */
	TE_FLOAT,
	TE_DECIMAL,					/* numeric: whole numbers beyond 64 bits, and decimals beyond a double */
	TE_STRING,
	TE_JSON,					/* an object or array inside a jsonb, read where it lies */
	TE_ARRAY,
	TE_HASH,					/* members in their order */
	TE_RANGE,
	TE_TIME,					/* an instant with its zone */
	TE_DROP,					/* forloop, tablerowloop: members that the evaluator computes */
	TE_EMPTY,
	TE_BLANK,
	TE_ERROR					/* what a filter returns when it fails: str holds the message */
} TeKind;

typedef struct TeValue
{
	uint8		kind;
	bool		safe;			/* escaped already, or by raw: automatic escaping leaves it alone */
	int32		len;			/* bytes of a string, items of an array, members of a hash */
	union
	{
		bool		boolean;
		int64		integer;
		double		number;
		Numeric		decimal;
		const char *str;		/* not terminated */
		JsonbContainer *json;
		const struct TeValue *items;
		const struct TeHash *hash;
		const struct TeRange *range;
		const struct TeTime *time;
		struct TeDrop *drop;
	}			u;
} TeValue;

typedef struct TeMember
{
	const char *key;
	int			keylen;
	TeValue		value;
} TeMember;

/* Made by te_value_hash. */
typedef struct TeHash
{
	int			count;
	const TeMember *members;
	const int32 *slots;			/* index of many members: their numbers from 1, 0 is free; or NULL */
	uint32		mask;
} TeHash;

typedef struct TeRange
{
	int64		from;
	int64		to;
} TeRange;

typedef struct TeTime
{
	TimestampTz at;
	pg_tz	   *zone;
} TeTime;

typedef struct TeDrop TeDrop;	/* eval.c */

#define TE_VALUE_NIL ((TeValue) {.kind = TE_NIL})
#define TE_VALUE_BOOL(x) ((TeValue) {.kind = TE_BOOL, .u.boolean = (x)})
#define TE_VALUE_INT(x) ((TeValue) {.kind = TE_INT, .u.integer = (x)})
#define TE_VALUE_FLOAT(x) ((TeValue) {.kind = TE_FLOAT, .u.number = (x)})
#define TE_VALUE_STRING(s, n) ((TeValue) {.kind = TE_STRING, .len = (n), .u.str = (s)})

static inline bool
te_value_is_number(TeValue value)
{
	return value.kind == TE_INT || value.kind == TE_FLOAT || value.kind == TE_DECIMAL;
}

/* The result of 0.0 / 0, which has no order. */
static inline bool
te_number_is_nan(TeValue value)
{
	return value.kind == TE_FLOAT && value.u.number != value.u.number;
}

/* ---- the state of a render ---- */

typedef enum TeEscape
{
	TE_ESCAPE_NONE,
	TE_ESCAPE_HTML,
	TE_ESCAPE_JSON,
	TE_ESCAPE_HEADER,
	TE_ESCAPE_URL
} TeEscape;

/* Text that grows in the arena, within the limits of the render. */
typedef struct TeBuffer
{
	char	   *data;
	int			len;
	int			size;
} TeBuffer;

/* What a render may miss without failing. */
typedef enum TeNotice
{
	TE_NOTICE_VARIABLE,			/* printed without a default, and not there */
	TE_NOTICE_TRANSLATION		/* a key without a text for the locale */
} TeNotice;

/* What the caller of a render hands in; all of it outlives the render. */
typedef struct TeRenderInput
{
	Jsonb	   *context;		/* an object, or NULL */
	const TeValue *root;		/* instead: a TE_HASH, for json with its order of keys */
	const char *locale;			/* BCP 47, or NULL */
	Jsonb	   *partials;		/* name -> text, or NULL */
	Jsonb	   *translations;	/* key -> text, or an object by plural category, or NULL */
	bool		inline_errors;
	bool		strict_variables;
	bool		strict_filters;
	bool		lax;			/* markup that the grammar refuses is read by the lax syntax */
	TeEscape	escape;
	TimestampTz now;			/* what "now" and "today" mean */
	pg_tz	   *zone;
	const char *seed;			/* of random choices: equal seeds choose alike */
	/* if set, told of what is missing, for previews; names are not terminated; must not throw */
	void		(*notice) (void *arg, TeNotice kind, const char *name, int len);
	void	   *notice_arg;
} TeRenderInput;

typedef struct TeRender
{
	const TeRenderInput *input;
	MemoryContext context;		/* where the arena gets its blocks */
	char	   *arena;			/* free room of the current block */
	char	   *arena_end;
	Size		allocated;		/* counted against the memory limit */
	int64		iterations;
	int64		steps;			/* nodes walked and long loops of filters, for limits and interrupts */
	int64		check_at;		/* steps at which limits and interrupts are looked at next */
	int64		deadline;		/* of the time limit, in microseconds of a steady clock; 0: not set yet */
	int			depth;			/* partials and translations inside each other */
	bool		translating;	/* inside a translation, which may not use others */
	int			line;			/* of the tag at work, for messages */
	uint64		random_draws;
	char	   *abort_reason;	/* by abort_message, else NULL */
	struct TeEval *eval;		/* eval.c */
} TeRender;

/* ---- arena.c: memory of a render; throws at its limits ---- */

extern void *te_arena_grow(TeRender *r, Size size);

/* Memory until the end of the render, aligned, not zeroed. */
#ifdef TE_ARENA_APART			/* the fuzz target: pieces apart, so that a sanitizer sees their ends */
extern void *te_arena_alloc(TeRender *r, Size size);
#else
static inline void *
te_arena_alloc(TeRender *r, Size size)
{
	char	   *result = r->arena;

	size = MAXALIGN(size);
	if (unlikely(size > (Size) (r->arena_end - result)))
		return te_arena_grow(r, size);
	r->arena = result + size;
	return result;
}
#endif

extern char *te_arena_copy(TeRender *r, const char *data, int len);
extern void te_buffer_init(TeRender *r, TeBuffer *buffer, int size);
extern void te_buffer_reserve(TeRender *r, TeBuffer *buffer, int more);

/* counts work of n units in a filter's loop: throws at the limits of steps and time, checks interrupts */
extern void te_render_check(TeRender *r);

static inline void
te_render_charge(TeRender *r, int64 n)
{
	r->steps += n;
	if (unlikely(r->steps >= r->check_at))
		te_render_check(r);
}

/* throws TE006: over the limit that the setting of that name (without prefix) holds */
extern void te_limit_exceeded(const char *setting, int value, const char *unit) pg_attribute_noreturn();

static inline void
te_buffer_append(TeRender *r, TeBuffer *buffer, const char *data, int len)
{
	if (unlikely(buffer->size - buffer->len < len))
		te_buffer_reserve(r, buffer, len);
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

static inline void
te_buffer_char(TeRender *r, TeBuffer *buffer, char c)
{
	te_buffer_append(r, buffer, &c, 1);
}

/* The buffer's text as a value; it must not grow afterwards. */
static inline TeValue
te_buffer_value(const TeBuffer *buffer)
{
	return TE_VALUE_STRING(buffer->data, buffer->len);
}

/* ---- value.c ---- */

extern TeValue te_value_from_jsonb(TeRender *r, const JsonbValue *value);
extern TeValue te_value_get(TeRender *r, TeValue object, const char *key, int keylen);	/* a member; nil if none */
extern TeValue te_value_at(TeRender *r, TeValue list, int64 index);	/* an item, from the end if negative */
extern TeValue te_value_property(TeRender *r, TeValue object, TeValue key);	/* object.key, with size, first, last */
extern bool te_value_lookup(TeRender *r, TeValue object, TeValue key, bool command, TeValue *result);	/* false: no such
																										 * key; command:
																										 * size, first,
																										 * last too */
extern TeValue te_value_end(TeRender *r, TeValue object, bool last);	/* as .first or .last */
extern bool te_value_size(TeValue value, int64 *size);	/* as .size; false: has none */

/* An array, own or in jsonb. */
static inline bool
te_value_is_list(TeValue value)
{
	return value.kind == TE_ARRAY || (value.kind == TE_JSON && JsonContainerIsArray(value.u.json));
}

/* An object, own or in jsonb. */
static inline bool
te_value_is_hash(TeValue value)
{
	return value.kind == TE_HASH || (value.kind == TE_JSON && JsonContainerIsObject(value.u.json));
}

/* Items of a list, members of a hash, else 0. */
static inline int
te_value_count(TeValue value)
{
	return value.kind == TE_ARRAY || value.kind == TE_JSON || value.kind == TE_HASH ? value.len : 0;
}

/* A walk over a list or hash without room for all of it. */
typedef struct TeWalk
{
	TeValue		container;
	int			index;
	uint32		key_offset;		/* in a jsonb */
	uint32		offset;
} TeWalk;

extern void te_walk_start(TeWalk *walk, TeValue container);
extern bool te_walk_item(TeWalk *walk, TeValue *item);	/* of a list; false at its end */
extern bool te_walk_member(TeWalk *walk, TeMember *member);	/* of a hash */

extern const TeValue *te_value_items(TeRender *r, TeValue value, int *count);	/* of a list, hash (pairs) or range */
extern const TeMember *te_value_members(TeRender *r, TeValue hash, int *count);
extern TeValue te_value_list(TeRender *r, const TeValue *items, int count);
extern TeValue te_value_hash(TeRender *r, TeMember *members, int count);	/* drops doubled keys */
extern int64 te_range_size(const TeRange *range);

/* value_compare.c */

static inline bool
te_value_truthy(TeValue value)
{
	return value.kind != TE_NIL && (value.kind != TE_BOOL || value.u.boolean);
}

extern bool te_value_is_blank(TeRender *r, TeValue value);
extern bool te_value_is_empty(TeValue value);
extern bool te_value_equals(TeRender *r, TeValue a, TeValue b);
#define TE_UNORDERED 2			/* an order that is neither below, above nor equal */
extern bool te_value_compare(TeRender *r, TeValue a, TeValue b, int *order);	/* false: they have no order */
extern bool te_value_contains(TeRender *r, TeValue container, TeValue item);
extern uint64 te_value_digest(TeRender *r, TeValue value);	/* equal for values that are the same */
extern bool te_value_same(TeRender *r, TeValue a, TeValue b);	/* equal, and 1 is not 1.0 */


/* value_text.c */
extern void te_value_check_depth(int depth);	/* throws when data is nested too deeply */
extern TeValue te_value_text(TeRender *r, TeValue value);	/* as {{ value }} prints it, a TE_STRING */
extern TeValue te_value_string(TeRender *r, TeValue value); /* as a filter of text reads it: lists as inspected */
extern void te_value_write(TeRender *r, TeBuffer *out, TeValue value);	/* the same, appended */
extern void te_value_inspect(TeRender *r, TeBuffer *out, TeValue value);	/* as inside a printed list */
extern char *te_value_cstring(TeRender *r, TeValue value);	/* of its text, terminated */
extern int	te_text_length(const char *text, int len);	/* in characters */
extern int	te_text_offset(const char *text, int len, int64 characters);	/* bytes of the first so many */
extern int	te_text_last(const char *text, int len);	/* where the last character begins */
extern int	te_text_step(const char *at, const char *end);	/* bytes of the character there */
extern int	te_text_find(const char *text, int len, const char *needle, int needlelen);	/* where, or -1 */
extern bool te_text_valid(const char *text, int len);	/* in the database's encoding, and without NUL */
extern int	te_text_repair(char *text, int size);	/* a message without parts of characters */

extern TeValue te_text_of_bytes(TeRender *r, const char *bytes, int len);	/* what is not valid replaced */

/* value_json.c */
extern TeValue te_value_parse_json(TeRender *r, const char *text, int len);	/* keeps the order of keys; TE_ERROR if malformed */
extern void te_value_write_json(TeRender *r, TeBuffer *out, TeValue value);

/* ---- number.c ---- */

extern TeValue te_number_from_numeric(Numeric numeric); /* points to it if need be */
extern TeValue te_number_of(TeRender *r, TeValue value);	/* as a number filter takes it; 0 if it is none */
extern bool te_number_integer(TeRender *r, TeValue value, int64 *result);	/* false: not a whole number */
extern TeValue te_number_parse(TeRender *r, const char *text, int len);	/* a literal; nil if it is none */
extern void te_number_write(TeRender *r, TeBuffer *out, TeValue number);
extern int	te_number_compare(TeRender *r, TeValue a, TeValue b);
extern bool te_number_is_whole(TeValue number); /* as written: 1 is, 1.0 is not */
extern int	te_number_bytes(TeValue number);	/* that hold a whole number beyond 64 bits */
extern double te_number_double(TeRender *r, TeValue number);

/* number_math.c: exact on decimals, whole numbers divide to whole numbers; TE_ERROR when by 0 */

extern TeValue te_number_add(TeRender *r, TeValue a, TeValue b);
extern TeValue te_number_subtract(TeRender *r, TeValue a, TeValue b);
extern TeValue te_number_multiply(TeRender *r, TeValue a, TeValue b);
extern TeValue te_number_divide(TeRender *r, TeValue a, TeValue b);
extern TeValue te_number_modulo(TeRender *r, TeValue a, TeValue b);
extern TeValue te_number_round(TeRender *r, TeValue a, int64 places);	/* half away from zero */
extern TeValue te_number_floor(TeRender *r, TeValue a);
extern TeValue te_number_ceil(TeRender *r, TeValue a);

/* ---- escape.c ---- */

/* appends text as it may stand in a field of that kind; at_start: of an URL, where a whole one may come */
extern void te_escape_write(TeRender *r, TeBuffer *out, TeEscape escape, bool at_start,
							const char *text, int len);

/* ---- filters ---- */

typedef struct TeNamedArg
{
	const char *name;
	int			len;
	TeValue		value;
} TeNamedArg;

typedef struct TeArgs
{
	int			count;
	const TeValue *values;
	int			named_count;
	const TeNamedArg *named;
} TeArgs;

typedef TeValue (*TeFilterFunction) (TeRender *r, TeValue input, const TeArgs *args);

/* One filter; the counts are of positional arguments. Named ones it does not take come last, as a hash. */
typedef struct TeFilter
{
	const char *name;
	TeFilterFunction function;
	int8		min_args;
	int8		max_args;
	bool		takes_named;
} TeFilter;

/* Each file of filters ends its table with a NULL name; filter_table.c knows the tables. */
extern const TeFilter te_filters_string[],
			te_filters_array[],
			te_filters_replace[],	/* replace, remove, split */
			te_filters_order[], /* sort, sort_natural, uniq */
			te_filters_math[],
			te_filters_date[],
			te_filters_escape[],
			te_filters_crypto[],
			te_filters_message[],	/* json, url forms, raw, hex, gsm7 */
			te_filters_text[],	/* titlecase, slugify, pluralize */
			te_filters_list[],	/* group_by, push, intersect */
			te_filters_moment[],	/* time_zone, add_days */
			te_filters_amount[],	/* money, number_with_delimiter */
			te_filters_chance[],	/* random, generate_uuid */
			te_filters_locale[];

extern const TeFilter *te_filter_find(const char *name, int len);
extern const char *te_filter_nearest(const char *name);	/* for hints; NULL if none is near */

/* A failure that inline mode writes as "Liquid error (line n): message". */
extern TeValue te_filter_error(TeRender *r, const char *format,...) pg_attribute_printf(2, 3);
extern const TeValue *te_args_named(const TeArgs *args, const char *name);	/* NULL if not given */

/* filter_date.c */
extern bool te_time_parse(TeRender *r, TeValue value, TeTime *time);	/* false: no time in it */
extern TeValue te_time_format(TeRender *r, const TeTime *time, const char *format, int len);

/* ---- eval.c and tag_partial.c: what values and filters need of the evaluator ---- */

extern TeValue te_drop_get(TeRender *r, TeDrop *drop, const char *key, int keylen);	/* nil if it has none */
extern const char *te_drop_name(const TeDrop *drop);	/* as {{ drop }} prints it */

/* Renders a text in a frame of its own that sees the named arguments only; TE_ERROR if it does not parse. */
extern TeValue te_render_nested(TeRender *r, const char *text, int len, const TeArgs *args);

/* ---- t filter and tag (translate.c): nil when there is no translation and fallback is nil ---- */

extern TeValue te_translate(TeRender *r, const char *key, int keylen, const TeArgs *args, TeValue fallback);
