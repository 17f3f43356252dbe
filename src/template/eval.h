/*
 * eval.h
 *		Inside of the evaluator: frames of variables, and what a walk keeps.
 *
 * Errors of a template are not thrown where they happen: te_eval_fail() notes the
 * message, everything returns, and the block at work writes it out (inline) or throws.
 */
#pragma once

#include "template/program.h"

/* Where the value of a variable comes from. */
typedef enum TeSlotState
{
	TE_SLOT_NONE,				/* not looked up yet */
	TE_SLOT_BASE,				/* the context, or a counter */
	TE_SLOT_ASSIGNED,
	TE_SLOT_LOCAL				/* of a loop or an include, while it lasts */
} TeSlotState;

/* A variable. value is what it is now; the others wait behind it. */
typedef struct TeSlot
{
	TeValue		value;
	TeValue		assigned;
	int64		counter;
	uint8		state;
	bool		has_assigned;
	bool		has_counter;
} TeSlot;

/* A program within a frame: its names by slot. */
typedef struct TeBinding
{
	const TeProgram *program;
	TeSlot	  **slots;
	struct TeBinding *next;
} TeBinding;

/* Where a for loop stopped, for offset: continue; how far a cycle has come. */
typedef struct TeRegister
{
	const char *name;
	int			len;
	const void *tag;			/* of a cycle that has no name */
	TeValue		group;			/* of a cycle with a name */
	int64		position;
	struct TeRegister *next;
} TeRegister;

/* What a template and the texts it includes share; render makes a new one. */
typedef struct TeFrame
{
	TeBinding  *bindings;
	TeRegister *loops;
	TeRegister *cycles;
	TeDrop	   *loop;			/* the innermost for loop */
	TeDrop	   *self;
	bool		rendered;		/* by render: include is not allowed */
	bool		closed;			/* a translation: does not see the context */
	bool		changed_set;
	const char *changed;		/* what ifchanged printed last */
	int			changed_len;
} TeFrame;

typedef enum TeDropKind
{
	TE_DROP_FORLOOP,
	TE_DROP_TABLEROW,
	TE_DROP_SELF
} TeDropKind;

struct TeDrop
{
	TeDropKind	kind;
	const char *name;
	int			namelen;
	int64		index;
	int64		length;
	int64		cols;
	int64		row;
	int64		col;
	TeDrop	   *parent;
	TeFrame    *frame;			/* of self */
};

typedef enum TeInterrupt
{
	TE_INTERRUPT_NONE,
	TE_INTERRUPT_BREAK,
	TE_INTERRUPT_CONTINUE,
	TE_INTERRUPT_ABORT
} TeInterrupt;

/* A partial found already in this render. */
typedef struct TeLoaded
{
	const char *name;
	int			len;
	const TeProgram *program;
	struct TeLoaded *next;
} TeLoaded;

typedef struct TeEval
{
	TeRender   *r;
	TeFrame    *frame;
	const TeProgram *program;
	TeSlot	  **slots;			/* of the program in the frame */
	TeBuffer   *out;
	TeInterrupt interrupt;
	int			most_output;
	TeEscape	escape;
	const char *partial;		/* the name of the partial at work, or NULL */
	int			partial_len;
	int			partials;		/* so many were used */
	TeLoaded   *loaded;
	/* the error that is on its way to the block at work */
	const char *error;
	bool		error_silent;	/* inline, nothing is written */
	bool		error_syntax;	/* in a partial's text */
	bool		too_deep;		/* thrown, it is the error of that limit */
	int			error_line;		/* 0: of the node at work */
	const char *error_partial;
	int			error_partial_len;
} TeEval;

/* eval.c */
extern void te_eval_block(TeEval *e, const TeBlock *block);
extern void te_eval_program(TeRender *r, const TeProgram *program, TeBuffer *out);
extern void te_eval_write(TeEval *e, TeValue value);	/* as an output prints it */
extern void te_eval_fail(TeEval *e, const char *format,...) pg_attribute_printf(2, 3);

/* eval_frame.c */
extern TeBinding *te_frame_bind(TeEval *e, TeFrame *frame, const TeProgram *program);
extern TeSlot *te_frame_slot(TeEval *e, TeFrame *frame, const char *name, int len);	/* NULL if none */
extern bool te_eval_base(TeEval *e, TeFrame *frame, TeSlot *slot, const char *name, int len, TeValue *value);
extern bool te_eval_variable(TeEval *e, TeFrame *frame, const char *name, int len, TeValue *value);

static inline void
te_slot_assign(TeSlot *slot, TeValue value)
{
	slot->assigned = value;
	slot->has_assigned = true;
	if (slot->state != TE_SLOT_LOCAL)
	{
		slot->value = value;
		slot->state = TE_SLOT_ASSIGNED;
	}
}

/* Hides a variable behind a local one until te_slot_pop() with what this returns. */
static inline TeSlot
te_slot_push(TeSlot *slot, TeValue value)
{
	TeSlot		saved = *slot;

	slot->value = value;
	slot->state = TE_SLOT_LOCAL;
	return saved;
}

extern void te_slot_pop(TeSlot *slot, const TeSlot *saved);

/* eval_expr.c */
extern TeValue te_eval_path(TeEval *e, const TeExpr *expr);
extern bool te_eval_condition(TeEval *e, const TeCondition *condition);
extern TeValue te_eval_pipe(TeEval *e, const TePipe *pipe);

/* Works out an expression; nil when it fails, with e->error set. */
static inline TeValue
te_eval_expr(TeEval *e, const TeExpr *expr)
{
	if (expr->kind == TE_EXPR_CONST)
		return expr->literal ? TE_VALUE_STRING("", 0) : expr->value;
	if (expr->kind == TE_EXPR_NAME && expr->nsteps == 0)
	{
		const TeSlot *slot = e->slots[expr->slot];

		if (slot->state != TE_SLOT_NONE)
			return slot->value;
	}
	return te_eval_path(e, expr);
}

/* tag_loop.c, tag_partial.c, tag_state.c */
extern void te_eval_for(TeEval *e, const TeNode *node);
extern void te_eval_tablerow(TeEval *e, const TeNode *node);
extern bool te_eval_leading_integer(TeEval *e, TeValue value, int64 *result);	/* false: has none */
extern TeDrop *te_eval_forloop(TeEval *e, const char *name, int namelen, int64 length);
extern void te_eval_count(TeEval *e);	/* one more iteration: throws at the limit */
extern void te_eval_include(TeEval *e, const TeNode *node);
extern void te_eval_render(TeEval *e, const TeNode *node);
extern void te_eval_translation(TeEval *e, const TeNode *node);
extern void te_eval_cycle(TeEval *e, const TeNode *node);
extern void te_eval_counter(TeEval *e, const TeNode *node);
extern void te_eval_ifchanged(TeEval *e, const TeNode *node);
extern void te_eval_capture(TeEval *e, const TeNode *node);
