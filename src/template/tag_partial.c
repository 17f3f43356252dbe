/*
 * tag_partial.c
 *		include, render and translation: texts within texts.
 *
 * An included text shares the variables of the one that includes it, by their names.
 * A rendered one has its own, and sees the context. One counter limits how deep texts
 * nest, of whatever kind, and another how many are used.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "errors.h"
#include "guc.h"
#include "template/eval.h"

/* What te_partial_leave() puts back. */
typedef struct Outer
{
	TeFrame    *frame;
	const TeProgram *program;
	TeSlot	  **slots;
	const char *partial;
	int			partial_len;
} Outer;

/*
 * Goes one text deeper. False, with the error noted, when that is too deep; throws
 * when too many were used.
 */
static bool
enter(TeEval *e, Outer *outer)
{
	outer->frame = e->frame;
	outer->program = e->program;
	outer->slots = e->slots;
	outer->partial = e->partial;
	outer->partial_len = e->partial_len;
	if (e->r->depth >= te_guc_template_partial_depth)
	{
		te_eval_fail(e, "Nesting too deep");
		e->too_deep = true;
		return false;
	}
	if (++e->partials > te_guc_template_partials)
		te_limit_exceeded("template_partials", te_guc_template_partials, "");
	check_stack_depth();
	e->r->depth++;
	return true;
}

/*
 * Comes back from a text.
 */
static void
leave(TeEval *e, const Outer *outer)
{
	e->frame = outer->frame;
	e->program = outer->program;
	e->slots = outer->slots;
	e->partial = outer->partial;
	e->partial_len = outer->partial_len;
	e->r->depth--;
}

/*
 * Renders a program in a frame, under the name of a partial.
 */
static void
run(TeEval *e, TeFrame *frame, const TeProgram *program, const char *name, int len)
{
	e->frame = frame;
	e->program = program;
	e->slots = te_frame_bind(e, frame, program)->slots;
	e->partial = name;
	e->partial_len = len;
	te_eval_block(e, program->root);
}

/*
 * The text of a partial; NULL when there is none of the name. ".liquid" at the end of
 * a name, asked for or given, means nothing.
 */
static const char *
find_text(TeEval *e, const char *name, int len, int *textlen)
{
	Jsonb	   *partials = e->r->input->partials;
	JsonbValue	found;
	JsonbValue *value;

	if (partials == NULL || !JB_ROOT_IS_OBJECT(partials))
		return NULL;
	value = getKeyJsonValueFromContainer(&partials->root, name, len, &found);
	if (value == NULL && len > 7 && memcmp(name + len - 7, ".liquid", 7) == 0)
		value = getKeyJsonValueFromContainer(&partials->root, name, len - 7, &found);
	else if (value == NULL)
	{
		TeBuffer	longer;

		te_buffer_init(e->r, &longer, len + 7);
		te_buffer_append(e->r, &longer, name, len);
		te_buffer_append(e->r, &longer, ".liquid", 7);
		value = getKeyJsonValueFromContainer(&partials->root, longer.data, longer.len, &found);
	}
	if (value == NULL || value->type != jbvString)
		return NULL;
	*textlen = value->val.string.len;
	return value->val.string.val;
}

/*
 * Parses a text, from the cache when it is known. NULL, with the error noted, when it
 * does not parse.
 */
static const TeProgram *
parse_text(TeEval *e, const char *text, int len, const char *name, int namelen)
{
	TeProblems	problems;
	const TeProgram *program = te_cache_get(text, len, true, e->r->input->lax, &problems);
	const TeProblem *problem;
	int			line,
				column,
				i = 0;

	if (program != NULL)
		return program;
	while (problems.items[i].severity[0] != 'e')
		i++;
	problem = &problems.items[i];
	if (problem->limit != NULL && !e->r->input->inline_errors)
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE_LIMIT),
				 errmsg("partial \"%.*s\": %s", namelen, name, problem->message)));
	te_text_position(text, problem->offset, &line, &column);
	te_eval_fail(e, "%s", problem->message);
	e->error_syntax = true;
	e->error_line = line;
	e->error_partial = name;
	e->error_partial_len = namelen;
	return NULL;
}

/*
 * Finds a partial and parses it, once a render. NULL, with the error noted, when that
 * fails.
 */
static const TeProgram *
load(TeEval *e, const char *name, int len)
{
	TeLoaded   *loaded;
	const TeProgram *program;
	const char *text;
	int			textlen;

	for (loaded = e->loaded; loaded != NULL; loaded = loaded->next)
		if (loaded->len == len && memcmp(loaded->name, name, len) == 0)
			return loaded->program;
	text = find_text(e, name, len, &textlen);
	if (text == NULL)
	{
		te_eval_fail(e, "Could not find partial '%.*s'", len, name);
		return NULL;
	}
	program = parse_text(e, text, textlen, name, len);
	if (program == NULL)
		return NULL;
	loaded = te_arena_alloc(e->r, sizeof(TeLoaded));
	loaded->name = name;
	loaded->len = len;
	loaded->program = program;
	loaded->next = e->loaded;
	e->loaded = loaded;
	return program;
}

/*
 * The variable that a partial's value is bound to: the alias, or the last part of the
 * partial's name.
 */
static const char *
bound_name(const TePartial *partial, const char *name, int *len)
{
	int			i;

	if (partial->alias != NULL)
	{
		*len = partial->aliaslen;
		return partial->alias;
	}
	for (i = *len; i > 0 && name[i - 1] != '/'; i--)
		;
	*len -= i;
	return name + i;
}

/*
 * The slot of a name in a frame, made when there is none.
 */
static TeSlot *
slot_of(TeEval *e, TeFrame *frame, const char *name, int len)
{
	TeSlot	   *slot = te_frame_slot(e, frame, name, len);

	if (slot == NULL)
	{
		TeProgram  *program = te_arena_alloc(e->r, sizeof(TeProgram));
		TeName	   *only = te_arena_alloc(e->r, sizeof(TeName));

		memset(program, 0, sizeof(TeProgram));
		only->name = name;
		only->len = len;
		program->names = only;
		program->nnames = 1;
		slot = te_frame_bind(e, frame, program)->slots[0];
	}
	return slot;
}

/*
 * Works out the arguments of a partial or translation. False at an error.
 */
static bool
eval_named(TeEval *e, const TeNamedExpr *exprs, int count, TeValue **values)
{
	int			i;

	*values = te_arena_alloc(e->r, (count + 1) * sizeof(TeValue));
	for (i = 0; i < count; i++)
		(*values)[i] = te_eval_expr(e, exprs[i].value);
	return e->error == NULL;
}

/*
 * Renders an included text, once or for each item of a list, with its variables
 * local to it.
 */
static void
run_include(TeEval *e, const TePartial *partial, const TeProgram *program, TeValue name,
			TeValue value, const TeValue *args)
{
	TeFrame    *frame = e->frame;
	int			len = name.len;
	const char *bound = bound_name(partial, name.u.str, &len);
	TeSlot	   *slot;
	TeSlot	   *saved = te_arena_alloc(e->r, (partial->nargs + 1) * sizeof(TeSlot));
	TeSlot	  **slots = te_arena_alloc(e->r, (partial->nargs + 1) * sizeof(TeSlot *));
	const TeValue *items = &value;
	int			count = 1;
	int			i;

	te_frame_bind(e, frame, program);
	for (i = 0; i < partial->nargs; i++)
	{
		slots[i] = slot_of(e, frame, partial->args[i].name, partial->args[i].len);
		saved[i] = te_slot_push(slots[i], args[i]);
	}
	slot = slots[i] = slot_of(e, frame, bound, len);
	saved[i] = te_slot_push(slot, TE_VALUE_NIL);
	if (te_value_is_list(value))
		items = te_value_items(e->r, value, &count);
	for (i = 0; i < count; i++)
	{
		if (count > 1)
			te_eval_count(e);
		slot->value = items[i];
		run(e, frame, program, name.u.str, name.len);
		if (e->interrupt != TE_INTERRUPT_NONE)
			break;
	}
	for (i = partial->nargs; i >= 0; i--)
		te_slot_pop(slots[i], &saved[i]);
}

/*
 * {% include %}
 */
void
te_eval_include(TeEval *e, const TeNode *node)
{
	const TePartial *partial = node->u.partial;
	const TeProgram *program;
	TeValue		name,
				value;
	TeValue    *args;
	Outer		outer;

	if (e->frame->rendered)
	{
		te_eval_fail(e, "include usage is not allowed in this context");
		return;
	}
	name = te_eval_expr(e, partial->file);
	if (e->error == NULL && name.kind != TE_STRING)
		te_eval_fail(e, "Argument error in tag 'include' - Illegal template name");
	if (e->error != NULL || (program = load(e, name.u.str, name.len)) == NULL)
		return;
	if (partial->with != NULL)
		value = te_eval_expr(e, partial->with);
	else
		(void) te_eval_variable(e, e->frame, name.u.str, name.len, &value);
	if (!eval_named(e, partial->args, partial->nargs, &args) || !enter(e, &outer))
		return;
	run_include(e, partial, program, name, value, args);
	leave(e, &outer);
}

/*
 * Renders a text in a new frame. bound is NULL when no value is bound.
 */
static void
run_render(TeEval *e, const TePartial *partial, const TeProgram *program, TeValue name,
		   const TeValue *args, const TeValue *bound, TeDrop *forloop)
{
	TeFrame    *frame = te_arena_alloc(e->r, sizeof(TeFrame));
	TeSlot	   *slot;
	int			i,
				len = name.len;
	const char *target = bound_name(partial, name.u.str, &len);

	memset(frame, 0, sizeof(TeFrame));
	frame->rendered = true;
	te_frame_bind(e, frame, program);
	if (forloop != NULL && (slot = te_frame_slot(e, frame, "forloop", 7)) != NULL)
		te_slot_assign(slot, (TeValue) {.kind = TE_DROP,.u.drop = forloop});
	for (i = 0; i < partial->nargs; i++)
		te_slot_assign(slot_of(e, frame, partial->args[i].name, partial->args[i].len), args[i]);
	if (bound != NULL && bound->kind != TE_NIL)
		te_slot_assign(slot_of(e, frame, target, len), *bound);
	run(e, frame, program, name.u.str, name.len);
	if (e->interrupt != TE_INTERRUPT_ABORT)
		e->interrupt = TE_INTERRUPT_NONE;
}

/*
 * {% render %}
 */
void
te_eval_render(TeEval *e, const TeNode *node)
{
	const TePartial *partial = node->u.partial;
	TeValue		name = partial->file->value;
	const TeProgram *program;
	TeValue		value = TE_VALUE_NIL;
	TeValue    *args;
	Outer		outer;

	if ((program = load(e, name.u.str, name.len)) == NULL)
		return;
	if (partial->with != NULL)
		value = te_eval_expr(e, partial->with);
	if (!eval_named(e, partial->args, partial->nargs, &args) || !enter(e, &outer))
		return;
	if (partial->each && (te_value_is_list(value) || te_value_is_hash(value) || value.kind == TE_RANGE))
	{
		int64		count = value.kind == TE_RANGE ? te_range_size(value.u.range) : te_value_count(value);
		int			unused;
		const TeValue *items = value.kind == TE_RANGE ? NULL : te_value_items(e->r, value, &unused);
		TeDrop	   *forloop = te_eval_forloop(e, name.u.str, name.len, count);
		int64		i;

		for (i = 0; i < count && e->interrupt == TE_INTERRUPT_NONE; i++)
		{
			TeValue		item = items ? items[i] : TE_VALUE_INT(value.u.range->from + i);

			te_eval_count(e);
			run_render(e, partial, program, name, args, &item, forloop);
			/* run() moved these */
			e->partial = outer.partial;
			e->partial_len = outer.partial_len;
			forloop->index++;
		}
	}
	else
		run_render(e, partial, program, name, args, &value, NULL);
	leave(e, &outer);
}

/*
 * Renders a text, such as a translation, in a frame that has the named arguments; the
 * value is marked as escaped when the render escapes. A TE_ERROR when the text does
 * not parse or texts nest too deeply.
 */
TeValue
te_render_nested(TeRender *r, const char *text, int len, const TeArgs *args)
{
	TeEval	   *e = r->eval;
	TeFrame    *frame = te_arena_alloc(r, sizeof(TeFrame));
	TeBuffer	buffer;
	TeBuffer   *out = e->out;
	Outer		outer;
	const TeProgram *program = parse_text(e, text, len, "translation", 11);
	TeValue		result;
	int			i;

	if (program == NULL || !enter(e, &outer))
	{
		result = te_filter_error(r, "%s", e->error);
		e->error = NULL;
		return result;
	}
	memset(frame, 0, sizeof(TeFrame));
	frame->rendered = frame->closed = true;
	te_frame_bind(e, frame, program);
	for (i = 0; args != NULL && i < args->named_count; i++)
		te_slot_assign(slot_of(e, frame, args->named[i].name, args->named[i].len), args->named[i].value);
	te_buffer_init(r, &buffer, Max(len, 64));
	e->out = &buffer;
	run(e, frame, program, outer.partial, outer.partial_len);
	e->out = out;
	if (e->interrupt != TE_INTERRUPT_ABORT)
		e->interrupt = TE_INTERRUPT_NONE;
	leave(e, &outer);
	result = te_buffer_value(&buffer);
	result.safe = e->escape != TE_ESCAPE_NONE;
	return result;
}

/*
 * {% t key %} and {% translation key %}: the text of the reader's language, or what
 * the block holds, which sees the arguments too.
 */
void
te_eval_translation(TeEval *e, const TeNode *node)
{
	const TeTranslation *translation = node->u.translation;
	int			count = translation->nargs;
	TeNamedArg *named;
	TeSlot	   *saved;
	TeValue    *values;
	TeArgs		args = {0};
	TeValue		text;
	int			i;

	if (!eval_named(e, translation->args, count, &values))
		return;
	named = te_arena_alloc(e->r, (count + 1) * sizeof(TeNamedArg));
	for (i = 0; i < count; i++)
	{
		named[i].name = translation->args[i].name;
		named[i].len = translation->args[i].len;
		named[i].value = values[i];
	}
	args.named_count = count;
	args.named = named;
	text = te_translate(e->r, translation->key, translation->keylen, &args, TE_VALUE_NIL);
	if (text.kind == TE_ERROR)
		te_eval_fail(e, "%.*s", text.len, text.u.str);
	else if (text.kind != TE_NIL)
		te_eval_write(e, text);
	if (text.kind != TE_NIL)
		return;
	saved = te_arena_alloc(e->r, (count + 1) * sizeof(TeSlot));
	for (i = 0; i < count; i++)
		saved[i] = te_slot_push(slot_of(e, e->frame, named[i].name, named[i].len), values[i]);
	te_eval_block(e, translation->block);
	for (i = count - 1; i >= 0; i--)
		te_slot_pop(slot_of(e, e->frame, named[i].name, named[i].len), &saved[i]);
}
