/*
 * eval.c
 *		Walks a program and writes its output.
 *
 * All memory comes from the render's arena. Limits throw; errors of the template are
 * noted by te_eval_fail() and end at the block at work, which throws them or, inline,
 * writes them and goes on behind the tag.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "errors.h"
#include "guc.h"
#include "template/arena.h"
#include "template/eval.h"

/*
 * Notes an error of the template; the first one counts. The caller returns.
 */
void
te_eval_fail(TeEval *e, const char *format,...)
{
	char		message[600];
	va_list		args;
	int			len;

	if (e->error != NULL)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	len = te_text_repair(message, sizeof(message));
	e->error = te_arena_copy(e->r, message, len);
	e->error_silent = e->error_syntax = false;
	e->too_deep = false;
	e->error_line = 0;
	e->error_partial = e->partial;
	e->error_partial_len = e->partial_len;
}

/*
 * Throws the noted error.
 */
static void
throw_error(TeEval *e)
{
	if (e->too_deep)
		te_limit_exceeded("template_partial_depth", te_guc_template_partial_depth, "");
	if (e->error_partial != NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE),
				 errmsg("template, partial \"%.*s\", line %d: %s",
						e->error_partial_len, e->error_partial, e->error_line, e->error)));
	ereport(ERROR,
			(errcode(TE_ERRCODE_TEMPLATE),
			 errmsg("template, line %d: %s", e->error_line, e->error)));
}

/*
 * What becomes of an error at the node where it came up: it is thrown, or written
 * out as Liquid writes it. Tags that print nothing stay silent.
 */
static void
handle_error(TeEval *e, const TeNode *node)
{
	char		place[32];
	const char *error = e->error;

	if (e->error_line == 0)
		e->error_line = node->line;
	if (!e->r->input->inline_errors)
		throw_error(e);
	e->error = NULL;
	if (e->error_silent || (node->blank && node->kind != TE_NODE_OUTPUT))
		return;
	te_buffer_append(e->r, e->out, e->error_syntax ? "Liquid syntax error (" : "Liquid error (",
					 e->error_syntax ? 21 : 14);
	if (e->error_partial != NULL)
	{
		te_buffer_append(e->r, e->out, e->error_partial, e->error_partial_len);
		te_buffer_char(e->r, e->out, ' ');
	}
	te_buffer_append(e->r, e->out, place, snprintf(place, sizeof(place), "line %d): ", e->error_line));
	te_buffer_append(e->r, e->out, error, strlen(error));
}

/*
 * Writes a value as an output does, escaped if the render escapes.
 */
void
te_eval_write(TeEval *e, TeValue value)
{
	if (likely(e->escape == TE_ESCAPE_NONE || value.safe))
	{
		if (value.kind == TE_STRING)
			te_buffer_append(e->r, e->out, value.u.str, value.len);
		else if (value.kind != TE_NIL)
			te_value_write(e->r, e->out, value);
	}
	else if (value.kind != TE_NIL)
	{
		TeValue		text = te_value_text(e->r, value);

		te_escape_write(e->r, e->out, e->escape, e->out->len == 0, text.u.str, text.len);
	}
}

/*
 * Tells the caller of the render, who wants to know, that an output's variable is
 * not there and that no default stands for it.
 */
static void
notice_missing(TeEval *e, const TePipe *pipe)
{
	const TeRenderInput *input = e->r->input;
	const TeExpr *base = pipe->base;
	const TeName *name;
	TeBuffer	path;
	int			i;

	if (base == NULL || base->kind != TE_EXPR_NAME || te_eval_expr(e, base).kind != TE_NIL)
		return;
	for (i = 0; i < pipe->ncalls; i++)
		if (pipe->calls[i].len == 7 && memcmp(pipe->calls[i].name, "default", 7) == 0)
			return;
	name = &e->program->names[base->slot];
	te_buffer_init(e->r, &path, 64);
	te_buffer_append(e->r, &path, name->name, name->len);
	for (i = 0; i < base->nsteps; i++)
	{
		const TeStep *step = &base->steps[i];

		te_buffer_append(e->r, &path, step->name ? "." : "[]", step->name ? 1 : 2);
		if (step->name != NULL)
			te_buffer_append(e->r, &path, step->name, step->len);
	}
	input->notice(input->notice_arg, TE_NOTICE_VARIABLE, path.data, path.len);
}

/*
 * {% if %} and {% unless %}: the first branch whose condition holds.
 */
static void
eval_if(TeEval *e, const TeNode *node)
{
	int			i;

	for (i = 0; i < node->u.branch.count; i++)
	{
		const TeBranch *branch = &node->u.branch.branches[i];
		bool		holds = te_eval_condition(e, &branch->condition);

		if (e->error != NULL)
			return;
		if (holds != branch->negated)
		{
			te_eval_block(e, branch->block);
			return;
		}
	}
}

/*
 * {% case %}: every "when" that holds, and "else" while none did.
 */
static void
eval_case(TeEval *e, const TeNode *node)
{
	bool		matched = false;
	int			i;

	for (i = 0; i < node->u.branch.count; i++)
	{
		const TeBranch *branch = &node->u.branch.branches[i];

		if (branch->condition.count == 0)
		{
			if (!matched)
				te_eval_block(e, branch->block);
		}
		else if (te_eval_condition(e, &branch->condition))
		{
			matched = true;
			te_eval_block(e, branch->block);
		}
		if (e->error != NULL || e->interrupt != TE_INTERRUPT_NONE)
			return;
		if (i % 64 == 63)
			te_render_charge(e->r, 64);
	}
}

/*
 * {% abort_message %}: the render ends, and its caller finds the reason.
 */
static void
eval_abort(TeEval *e, const TeNode *node)
{
	TeValue		reason = te_eval_pipe(e, &node->u.output);

	if (e->error != NULL)
		return;
	e->r->abort_reason = te_value_cstring(e->r, reason);
	e->interrupt = TE_INTERRUPT_ABORT;
}

/*
 * Renders any node but text.
 */
static inline void
eval_node(TeEval *e, const TeNode *node)
{
	switch (node->kind)
	{
		case TE_NODE_OUTPUT:
			{
				TeValue		value;

				if (unlikely(e->r->input->notice != NULL))
					notice_missing(e, &node->u.output);
				value = te_eval_pipe(e, &node->u.output);
				if (likely(e->error == NULL))
					te_eval_write(e, value);
				break;
			}
		case TE_NODE_ASSIGN:
			{
				TeValue		value = te_eval_pipe(e, &node->u.assign.value);

				if (e->error == NULL)
					te_slot_assign(e->slots[node->u.assign.slot], value);
				break;
			}
		case TE_NODE_CAPTURE:
			te_eval_capture(e, node);
			break;
		case TE_NODE_IF:
			eval_if(e, node);
			break;
		case TE_NODE_CASE:
			eval_case(e, node);
			break;
		case TE_NODE_FOR:
			te_eval_for(e, node);
			break;
		case TE_NODE_TABLEROW:
			te_eval_tablerow(e, node);
			break;
		case TE_NODE_BREAK:
			e->interrupt = TE_INTERRUPT_BREAK;
			break;
		case TE_NODE_CONTINUE:
			e->interrupt = TE_INTERRUPT_CONTINUE;
			break;
		case TE_NODE_CYCLE:
			te_eval_cycle(e, node);
			break;
		case TE_NODE_INCREMENT:
		case TE_NODE_DECREMENT:
			te_eval_counter(e, node);
			break;
		case TE_NODE_IFCHANGED:
			te_eval_ifchanged(e, node);
			break;
		case TE_NODE_INCLUDE:
			te_eval_include(e, node);
			break;
		case TE_NODE_RENDER:
			te_eval_render(e, node);
			break;
		case TE_NODE_ABORT:
			eval_abort(e, node);
			break;
		case TE_NODE_TRANSLATION:
			te_eval_translation(e, node);
			break;
		default:
			break;
	}
}

/*
 * Renders the nodes of a block until one interrupts it. No error is left over.
 */
void
te_eval_block(TeEval *e, const TeBlock *block)
{
	TeRender   *r = e->r;
	int			i;

	for (i = 0; i < block->count; i++)
	{
		const TeNode *node = block->nodes[i];

		te_render_charge(r, 1);
		if (node->kind <= TE_NODE_RAW)
			te_buffer_append(r, e->out, node->u.text.data, node->u.text.len);
		else
		{
			r->line = node->line;
			eval_node(e, node);
			if (unlikely(e->error != NULL))
				handle_error(e, node);
			if (unlikely(e->interrupt != TE_INTERRUPT_NONE))
				break;
		}
		if (unlikely(e->out->len > e->most_output))
			te_limit_exceeded("template_output", te_guc_template_output, "kB");
	}
}

/*
 * Renders a program into out. The render has an arena and its input; r->abort_reason
 * tells whether it stopped itself. Throws at limits, and at errors unless they are
 * inline.
 */
void
te_eval_program(TeRender *r, const TeProgram *program, TeBuffer *out)
{
	TeEval		e = {0};
	TeFrame		frame = {0};

	e.r = r;
	e.frame = &frame;
	e.program = program;
	e.out = out;
	e.escape = r->input->escape;
	e.most_output = te_guc_template_output * 1024;
	r->eval = &e;
	e.slots = te_frame_bind(&e, &frame, program)->slots;
	te_eval_block(&e, program->root);
	if (unlikely(out->len > e.most_output))
		te_limit_exceeded("template_output", te_guc_template_output, "kB");
	r->eval = NULL;
}
