/*
 * tag_loop.c
 *		for and tablerow, and what forloop and tablerowloop tell.
 *
 * Ranges are counted through, not made into lists. Each iteration counts against the
 * limit, of empty bodies too.
 */
#include "postgres.h"

#include "common/int.h"

#include "guc.h"
#include "template/eval.h"

/* What a loop goes through: items, or whole numbers from "first" on. */
typedef struct Sequence
{
	const TeValue *items;		/* NULL: a range */
	int64		first;
	int64		count;
} Sequence;

/*
 * Counts an iteration.
 */
void
te_eval_count(TeEval *e)
{
	if (unlikely(++e->r->iterations > te_guc_template_iterations))
		te_limit_exceeded("template_iterations", te_guc_template_iterations, "");
	te_render_charge(e->r, 1);
}

/*
 * The whole number that a value begins with, 0 when it begins with none: of numbers
 * their whole part, of texts the leading digits, of nil 0. False for other values.
 */
bool
te_eval_leading_integer(TeEval *e, TeValue value, int64 *result)
{
	const char *c,
			   *end;
	bool		negative;

	*result = 0;
	switch (value.kind)
	{
		case TE_NIL:
			return true;
		case TE_INT:
			*result = value.u.integer;
			return true;
		case TE_FLOAT:
		case TE_DECIMAL:
			value = te_number_round(e->r, te_number_double(e->r, value) < 0
									? te_number_ceil(e->r, value) : te_number_floor(e->r, value), 0);
			return te_number_integer(e->r, value, result);
		case TE_STRING:
			break;
		default:
			return false;
	}
	c = value.u.str;
	end = c + value.len;
	while (c < end && (*c == ' ' || (*c >= '\t' && *c <= '\r')))
		c++;
	negative = c < end && *c == '-';
	if (c < end && (*c == '-' || *c == '+'))
		c++;
	for (; c < end && *c >= '0' && *c <= '9'; c++)
	{
		if (*result > (PG_INT64_MAX - 9) / 10)
		{
			*result = PG_INT64_MAX;
			break;
		}
		*result = *result * 10 + (*c - '0');
	}
	if (negative)
		*result = -*result;
	return true;
}

/*
 * What a loop over a value goes through: a text that is not empty is one item, and
 * what holds nothing none.
 */
static Sequence
sequence_of(TeEval *e, TeValue collection)
{
	Sequence	sequence = {NULL, 0, 0};
	int			count = 0;

	if (collection.kind == TE_RANGE)
	{
		sequence.first = collection.u.range->from;
		sequence.count = te_range_size(collection.u.range);
	}
	else if (collection.kind == TE_STRING && collection.len > 0)
	{
		TeValue    *item = te_arena_alloc(e->r, sizeof(TeValue));

		*item = collection;
		sequence.items = item;
		sequence.count = 1;
	}
	else if (te_value_is_list(collection) || te_value_is_hash(collection))
	{
		sequence.items = te_value_items(e->r, collection, &count);
		sequence.count = count;
	}
	return sequence;
}

/*
 * Cuts a sequence to the items from "from" on, at most "limit" of them when it is not
 * negative.
 */
static void
cut_sequence(Sequence *sequence, int64 from, bool limited, int64 limit)
{
	int64		start = Max(from, 0);
	int64		end = sequence->count;
	int64		to;

	if (limited)
	{
		if (pg_add_s64_overflow(from, limit, &to))
			to = limit < 0 ? PG_INT64_MIN : PG_INT64_MAX;
		end = Min(end, to);
	}
	if (end <= start)
	{
		sequence->count = 0;
		return;
	}
	if (sequence->items != NULL)
		sequence->items += start;
	else
		sequence->first += start;
	sequence->count = end - start;
}

/*
 * An item of a sequence.
 */
static inline TeValue
sequence_item(const Sequence *sequence, int64 index)
{
	return sequence->items ? sequence->items[index] : TE_VALUE_INT(sequence->first + index);
}

/*
 * A new forloop in the arena.
 */
TeDrop *
te_eval_forloop(TeEval *e, const char *name, int namelen, int64 length)
{
	TeDrop	   *drop = te_arena_alloc(e->r, sizeof(TeDrop));

	drop->kind = TE_DROP_FORLOOP;
	drop->name = name;
	drop->namelen = namelen;
	drop->index = 0;
	drop->length = length;
	drop->parent = NULL;
	return drop;
}

/*
 * The register of a loop's name, where offset: continue finds how far it came.
 */
static TeRegister *
loop_register(TeEval *e, const TeLoop *loop)
{
	TeRegister *found;

	for (found = e->frame->loops; found != NULL; found = found->next)
		if (found->name == loop->name ||
			(found->len == loop->namelen && memcmp(found->name, loop->name, found->len) == 0))
			return found;
	found = te_arena_alloc(e->r, sizeof(TeRegister));
	found->name = loop->name;
	found->len = loop->namelen;
	found->position = 0;
	found->next = e->frame->loops;
	e->frame->loops = found;
	return found;
}

/*
 * The whole number of an optional attribute; false when it is not given or nil, or at
 * an error.
 */
static bool
eval_attribute(TeEval *e, const TeExpr *expr, int64 *result)
{
	TeValue		value;

	*result = 0;
	if (expr == NULL)
		return false;
	value = te_eval_expr(e, expr);
	if (e->error != NULL || value.kind == TE_NIL)
		return false;
	if (te_number_integer(e->r, value, result))
		return true;
	te_eval_fail(e, "invalid integer");
	return false;
}

/*
 * Goes through the items of a for loop.
 */
static void
run_loop(TeEval *e, const TeLoop *loop, const Sequence *sequence)
{
	TeSlot	   *slot = e->slots[loop->slot];
	TeSlot	   *forloop = e->slots[loop->forloop];
	TeDrop	   *drop = te_eval_forloop(e, loop->name, loop->namelen, sequence->count);
	TeSlot		saved_forloop = te_slot_push(forloop, (TeValue) {.kind = TE_DROP,.u.drop = drop});
	TeSlot		saved = te_slot_push(slot, TE_VALUE_NIL);
	int64		i;

	drop->parent = e->frame->loop;
	e->frame->loop = drop;
	for (i = 0; i < sequence->count; i++)
	{
		te_eval_count(e);
		slot->value = sequence_item(sequence, loop->reversed ? sequence->count - 1 - i : i);
		te_eval_block(e, loop->block);
		drop->index++;
		if (unlikely(e->interrupt != TE_INTERRUPT_NONE))
		{
			if (e->interrupt == TE_INTERRUPT_ABORT)
				break;
			if (e->interrupt == TE_INTERRUPT_BREAK)
			{
				e->interrupt = TE_INTERRUPT_NONE;
				break;
			}
			e->interrupt = TE_INTERRUPT_NONE;
		}
	}
	e->frame->loop = drop->parent;
	te_slot_pop(slot, &saved);
	te_slot_pop(forloop, &saved_forloop);
}

/*
 * {% for %}
 */
void
te_eval_for(TeEval *e, const TeNode *node)
{
	const TeLoop *loop = node->u.loop;
	TeRegister *progress = loop_register(e, loop);
	int64		from,
				limit;
	bool		limited;
	TeValue		collection;
	Sequence	sequence;

	if (loop->continues)
		from = progress->position;
	else
		(void) eval_attribute(e, loop->offset, &from);
	if (e->error != NULL)
		return;
	collection = te_eval_expr(e, loop->collection);
	if (e->error != NULL)
		return;
	sequence = sequence_of(e, collection);
	limited = eval_attribute(e, loop->limit, &limit);
	if (e->error != NULL)
		return;
	/* a text is one item, whatever was asked for */
	if (collection.kind != TE_STRING)
		cut_sequence(&sequence, from, limited, limit);
	if (pg_add_s64_overflow(from, sequence.count, &progress->position))
		progress->position = PG_INT64_MAX;
	if (sequence.count > 0)
		run_loop(e, loop, &sequence);
	else if (loop->otherwise != NULL)
		te_eval_block(e, loop->otherwise);
}

/* ---- tablerow ---- */

/*
 * The whole number of a tablerow's attribute, or what stands for one not given.
 */
static int64
eval_cell_attribute(TeEval *e, const TeExpr *expr, int64 absent)
{
	int64		result = absent;

	if (expr != NULL && !te_eval_leading_integer(e, te_eval_expr(e, expr), &result))
		te_eval_fail(e, "invalid integer");
	return result;
}

/*
 * Appends a piece of text with a number behind it.
 */
static void
write_numbered(TeEval *e, const char *before, int64 number, const char *after)
{
	char		piece[64];

	te_buffer_append(e->r, e->out, piece,
					 snprintf(piece, sizeof(piece), "%s" INT64_FORMAT "%s", before, number, after));
}

/*
 * {% tablerow %}
 */
void
te_eval_tablerow(TeEval *e, const TeNode *node)
{
	const TeLoop *loop = node->u.loop;
	TeValue		collection = te_eval_expr(e, loop->collection);
	int64		from,
				limit,
				cols,
				i;
	Sequence	sequence;
	TeDrop	   *drop;
	TeSlot		saved,
				saved_loop;

	if (e->error != NULL || !te_value_truthy(collection))
		return;
	from = eval_cell_attribute(e, loop->offset, 0);
	limit = eval_cell_attribute(e, loop->limit, 0);
	if (e->error != NULL)
		return;
	sequence = sequence_of(e, collection);
	/* one text is one cell, whatever was asked for */
	if (collection.kind != TE_STRING)
		cut_sequence(&sequence, from, loop->limit != NULL, limit);
	cols = eval_cell_attribute(e, loop->cols, sequence.count);
	if (e->error != NULL)
		return;
	drop = te_eval_forloop(e, "", 0, sequence.count);
	drop->kind = TE_DROP_TABLEROW;
	drop->cols = cols;
	drop->row = drop->col = 1;
	saved_loop = te_slot_push(e->slots[loop->forloop], (TeValue) {.kind = TE_DROP,.u.drop = drop});
	saved = te_slot_push(e->slots[loop->slot], TE_VALUE_NIL);
	write_numbered(e, "<tr class=\"row", 1, "\">\n");
	for (i = 0; i < sequence.count; i++)
	{
		te_eval_count(e);
		e->slots[loop->slot]->value = sequence_item(&sequence, i);
		write_numbered(e, "<td class=\"col", drop->col, "\">");
		te_eval_block(e, loop->block);
		te_buffer_append(e->r, e->out, "</td>", 5);
		if (unlikely(e->interrupt != TE_INTERRUPT_NONE))
		{
			bool		stop = e->interrupt != TE_INTERRUPT_CONTINUE;

			if (e->interrupt != TE_INTERRUPT_ABORT)
				e->interrupt = TE_INTERRUPT_NONE;
			if (stop)
				break;
		}
		if (drop->col == cols && i + 1 < sequence.count)
			write_numbered(e, "</tr>\n<tr class=\"row", drop->row + 1, "\">");
		drop->index++;
		if (drop->col == cols)
		{
			drop->col = 1;
			drop->row++;
		}
		else
			drop->col++;
	}
	te_buffer_append(e->r, e->out, "</tr>\n", 6);
	te_slot_pop(e->slots[loop->slot], &saved);
	te_slot_pop(e->slots[loop->forloop], &saved_loop);
}

/* ---- drops ---- */

/*
 * What {{ drop }} prints.
 */
const char *
te_drop_name(const TeDrop *drop)
{
	switch (drop->kind)
	{
		case TE_DROP_FORLOOP:
			return "Liquid::ForloopDrop";
		case TE_DROP_TABLEROW:
			return "Liquid::TablerowloopDrop";
		default:
			return "Liquid::SelfDrop";
	}
}

/*
 * A member of a drop; nil if it has none of that name.
 */
TeValue
te_drop_get(TeRender *r, TeDrop *drop, const char *key, int keylen)
{
	bool		is_row = drop->kind == TE_DROP_TABLEROW;

#define IS(word) (keylen == sizeof(word) - 1 && memcmp(key, word, sizeof(word) - 1) == 0)
	if (drop->kind == TE_DROP_SELF)
	{
		TeValue		value;

		(void) te_eval_variable(r->eval, drop->frame, key, keylen, &value);
		return value;
	}
	if (IS("index"))
		return TE_VALUE_INT(drop->index + 1);
	if (IS("first"))
		return TE_VALUE_BOOL(drop->index == 0);
	if (IS("last"))
		return TE_VALUE_BOOL(drop->index == drop->length - 1);
	if (IS("length"))
		return TE_VALUE_INT(drop->length);
	if (IS("index0"))
		return TE_VALUE_INT(drop->index);
	if (IS("rindex"))
		return TE_VALUE_INT(drop->length - drop->index);
	if (IS("rindex0"))
		return TE_VALUE_INT(drop->length - drop->index - 1);
	if (!is_row && IS("name"))
		return TE_VALUE_STRING(drop->name, drop->namelen);
	if (!is_row && IS("parentloop") && drop->parent != NULL)
		return (TeValue) {.kind = TE_DROP,.u.drop = drop->parent};
	if (is_row && IS("row"))
		return TE_VALUE_INT(drop->row);
	if (is_row && IS("col"))
		return TE_VALUE_INT(drop->col);
	if (is_row && IS("col0"))
		return TE_VALUE_INT(drop->col - 1);
	if (is_row && IS("col_first"))
		return TE_VALUE_BOOL(drop->col == 1);
	if (is_row && IS("col_last"))
		return TE_VALUE_BOOL(drop->col == drop->cols);
	return TE_VALUE_NIL;
#undef IS
}
