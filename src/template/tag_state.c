/*
 * tag_state.c
 *		Tags that remember: capture, cycle, increment, decrement, ifchanged.
 */
#include "postgres.h"

#include "template/eval.h"

/*
 * Renders a block into a buffer of its own.
 */
static TeValue
render_apart(TeEval *e, const TeBlock *block)
{
	TeBuffer	buffer;
	TeBuffer   *out = e->out;

	te_buffer_init(e->r, &buffer, 64);
	e->out = &buffer;
	te_eval_block(e, block);
	e->out = out;
	return te_buffer_value(&buffer);
}

/*
 * {% capture %}: what it holds was escaped when it was printed into it.
 */
void
te_eval_capture(TeEval *e, const TeNode *node)
{
	TeValue		value = render_apart(e, node->u.capture.block);

	value.safe = e->escape != TE_ESCAPE_NONE;
	te_slot_assign(e->slots[node->u.capture.slot], value);
}

/*
 * {% ifchanged %}
 */
void
te_eval_ifchanged(TeEval *e, const TeNode *node)
{
	TeFrame    *frame = e->frame;
	TeValue		value = render_apart(e, node->u.block);

	if (frame->changed_set && frame->changed_len == value.len && memcmp(frame->changed, value.u.str, value.len) == 0)
		return;
	frame->changed_set = true;
	frame->changed = value.u.str;
	frame->changed_len = value.len;
	te_buffer_append(e->r, e->out, value.u.str, value.len);
}

/*
 * How far a cycle has come: by its group's value, by its constants, or by the tag.
 */
static TeRegister *
cycle_register(TeEval *e, const TeNode *node, TeValue group)
{
	const TeCycle *cycle = node->u.cycle;
	const void *tag = cycle->group || cycle->key ? NULL : node;
	TeRegister *found;

	for (found = e->frame->cycles; found != NULL; found = found->next)
	{
		if (found->tag != tag || (found->name == NULL) != (cycle->key == NULL))
			continue;
		if (tag != NULL ||
			(cycle->key != NULL ? found->len == cycle->keylen && memcmp(found->name, cycle->key, found->len) == 0
			 : te_value_same(e->r, found->group, group)))
			return found;
		te_render_charge(e->r, 1);
	}
	found = te_arena_alloc(e->r, sizeof(TeRegister));
	found->tag = tag;
	found->name = cycle->key;
	found->len = cycle->keylen;
	found->group = group;
	found->position = 0;
	found->next = e->frame->cycles;
	e->frame->cycles = found;
	return found;
}

/*
 * {% cycle %}
 */
void
te_eval_cycle(TeEval *e, const TeNode *node)
{
	const TeCycle *cycle = node->u.cycle;
	TeValue		group = cycle->group ? te_eval_expr(e, cycle->group) : TE_VALUE_NIL;
	TeRegister *progress;

	if (e->error != NULL)
		return;
	progress = cycle_register(e, node, group);
	if (progress->position < cycle->count)
	{
		TeValue		value = te_eval_expr(e, cycle->values[progress->position]);

		if (e->error != NULL)
			return;
		te_eval_write(e, value);
	}
	if (++progress->position >= cycle->count)
		progress->position = 0;
}

/*
 * {% increment %} prints and adds one; {% decrement %} takes one off and prints.
 */
void
te_eval_counter(TeEval *e, const TeNode *node)
{
	TeSlot	   *slot = e->slots[node->u.slot];
	int64		printed;

	if (!slot->has_counter)
		slot->counter = 0;
	slot->has_counter = true;
	if (node->kind == TE_NODE_INCREMENT)
		printed = slot->counter++;
	else
		printed = --slot->counter;
	if (slot->state == TE_SLOT_NONE || slot->state == TE_SLOT_BASE)
	{
		slot->value = TE_VALUE_INT(slot->counter);
		slot->state = TE_SLOT_BASE;
	}
	te_value_write(e->r, e->out, TE_VALUE_INT(printed));
}
