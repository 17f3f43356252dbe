/*
 * eval_frame.c
 *		Variables: where they are kept, and the context behind them.
 */
#include "postgres.h"

#include "template/eval.h"
#include "template/locale.h"

/*
 * Uncovers what te_slot_push() hid. What was assigned meanwhile shows, unless another
 * local variable hides it.
 */
void
te_slot_pop(TeSlot *slot, const TeSlot *saved)
{
	slot->value = saved->value;
	slot->state = saved->state;
	if (saved->state == TE_SLOT_LOCAL)
		return;
	if (slot->has_assigned)
	{
		slot->value = slot->assigned;
		slot->state = TE_SLOT_ASSIGNED;
	}
	else if (slot->has_counter)
	{
		slot->value = TE_VALUE_INT(slot->counter);
		slot->state = TE_SLOT_BASE;
	}
}

/*
 * The variable of a name in a frame, or NULL when no program of it has one.
 */
TeSlot *
te_frame_slot(TeEval *e, TeFrame *frame, const char *name, int len)
{
	const TeBinding *binding;

	for (binding = frame->bindings; binding != NULL; binding = binding->next)
	{
		const TeProgram *program = binding->program;
		int			i;

		if (program->nnames > 64)
			te_render_charge(e->r, program->nnames / 64);
		for (i = 0; i < program->nnames; i++)
			if (program->names[i].len == len && memcmp(program->names[i].name, name, len) == 0)
				return binding->slots[i];
	}
	return NULL;
}

/*
 * The slots of a program in a frame, made when it comes there first. Variables of
 * equal names are one.
 */
TeBinding *
te_frame_bind(TeEval *e, TeFrame *frame, const TeProgram *program)
{
	int			count = program->nnames;
	TeBinding  *binding;
	TeSlot	   *slots;
	int			i;

	for (binding = frame->bindings; binding != NULL; binding = binding->next)
		if (binding->program == program)
			return binding;
	binding = te_arena_alloc(e->r, sizeof(TeBinding) + count * sizeof(TeSlot *));
	binding->program = program;
	binding->slots = (TeSlot **) (binding + 1);
	slots = te_arena_alloc(e->r, count * sizeof(TeSlot));
	for (i = 0; i < count; i++)
	{
		binding->slots[i] = NULL;
		if (frame->bindings != NULL)
			binding->slots[i] = te_frame_slot(e, frame, program->names[i].name, program->names[i].len);
		if (binding->slots[i] == NULL)
		{
			slots[i].state = TE_SLOT_NONE;
			slots[i].has_assigned = slots[i].has_counter = false;
			binding->slots[i] = &slots[i];
		}
	}
	binding->next = frame->bindings;
	frame->bindings = binding;
	return binding;
}

/*
 * What the context has under a name; false when it has nothing.
 */
static bool
context_value(TeRender *r, const char *name, int len, TeValue *value)
{
	if (r->input->root != NULL)
		return te_value_lookup(r, *r->input->root, TE_VALUE_STRING(name, len), false, value);
	if (r->input->context != NULL)
	{
		JsonbValue	found;

		if (getKeyJsonValueFromContainer(&r->input->context->root, name, len, &found) != NULL)
		{
			*value = te_value_from_jsonb(r, &found);
			return true;
		}
	}
	*value = TE_VALUE_NIL;
	return false;
}

/*
 * The frame itself as a value.
 */
static TeValue
self_value(TeEval *e, TeFrame *frame)
{
	if (frame->self == NULL)
	{
		frame->self = te_arena_alloc(e->r, sizeof(TeDrop));
		memset(frame->self, 0, sizeof(TeDrop));
		frame->self->kind = TE_DROP_SELF;
		frame->self->frame = frame;
	}
	return (TeValue) {.kind = TE_DROP,.u.drop = frame->self};
}

/*
 * Looks up a variable that has no value of the template's own, and keeps what it
 * finds in the slot, if there is one. False when there is nothing of that name.
 */
bool
te_eval_base(TeEval *e, TeFrame *frame, TeSlot *slot, const char *name, int len, TeValue *value)
{
	bool		found = false;

	*value = TE_VALUE_NIL;
	if (!frame->closed)
		found = context_value(e->r, name, len, value);
	if (!found && len == 4 && memcmp(name, "self", 4) == 0)
	{
		*value = self_value(e, frame);
		found = true;
	}
	if (!found && len == 6 && memcmp(name, "locale", 6) == 0 && e->r->input->locale != NULL)
	{
		*value = te_locale_value(e->r);
		found = true;
	}
	/* what is missing is looked up again, so that each use of it is an error if wanted */
	if (slot != NULL && (found || (!e->r->input->strict_variables && e->r->input->notice == NULL)))
	{
		slot->value = *value;
		slot->state = TE_SLOT_BASE;
	}
	return found;
}

/*
 * A variable by its name, for names that are worked out. False when there is none.
 */
bool
te_eval_variable(TeEval *e, TeFrame *frame, const char *name, int len, TeValue *value)
{
	TeSlot	   *slot = te_frame_slot(e, frame, name, len);

	if (slot != NULL && slot->state != TE_SLOT_NONE)
	{
		*value = slot->value;
		return true;
	}
	return te_eval_base(e, frame, slot, name, len, value);
}
