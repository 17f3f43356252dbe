/*
 * eval_expr.c
 *		Expressions, filters and conditions at work.
 */
#include "postgres.h"

#include "template/eval.h"

/*
 * Follows one step from a value. False when there is nothing there.
 */
static bool
follow_step(TeEval *e, TeValue *value, const TeStep *step)
{
	TeValue		key;

	if (step->name != NULL)
	{
		if (value->kind == TE_JSON && JsonContainerIsObject(value->u.json))
		{
			JsonbValue	found;

			if (getKeyJsonValueFromContainer(value->u.json, step->name, step->len, &found) != NULL)
			{
				*value = te_value_from_jsonb(e->r, &found);
				return true;
			}
			if (!step->command)
				return false;
		}
		key = TE_VALUE_STRING(step->name, step->len);
	}
	else
	{
		key = te_eval_expr(e, step->key);
		if (e->error != NULL)
			return false;
	}
	return te_value_lookup(e->r, *value, key, step->command, value);
}

/*
 * A range from two values: whole numbers, texts that begin with one, or nil.
 */
static TeValue
make_range(TeEval *e, const TeExpr *expr)
{
	TeRange    *range = te_arena_alloc(e->r, sizeof(TeRange));
	bool		constant = expr->from->kind == TE_EXPR_CONST && expr->to->kind == TE_EXPR_CONST;
	TeValue		ends[2];
	int64		numbers[2];
	int			i;

	ends[0] = te_eval_expr(e, expr->from);
	ends[1] = te_eval_expr(e, expr->to);
	for (i = 0; i < 2 && e->error == NULL; i++)
	{
		if (ends[i].kind == TE_INT)
			numbers[i] = ends[i].u.integer;
		else if (ends[i].kind == TE_NIL || ends[i].kind == TE_STRING || constant)
			(void) te_eval_leading_integer(e, ends[i], &numbers[i]);
		else if (!te_number_integer(e->r, ends[i], &numbers[i]))
			te_eval_fail(e, "invalid integer");
	}
	if (e->error != NULL)
		return TE_VALUE_NIL;
	range->from = numbers[0];
	range->to = numbers[1];
	return (TeValue) {.kind = TE_RANGE,.u.range = range};
}

/*
 * Notes that a variable is used and not there: for previews, and as an error when
 * variables are strict.
 */
static TeValue
undefined(TeEval *e, const char *name, int len)
{
	if (e->r->input->strict_variables)
	{
		te_eval_fail(e, "undefined variable %.*s", len, name);
		e->error_silent = true;
	}
	return TE_VALUE_NIL;
}

/*
 * Works out an expression that is more than a constant or a known variable. Nil at an
 * error.
 */
TeValue
te_eval_path(TeEval *e, const TeExpr *expr)
{
	TeValue		value;
	int			i;

	if (expr->kind == TE_EXPR_RANGE)
		return make_range(e, expr);
	if (expr->kind == TE_EXPR_NAME)
	{
		TeSlot	   *slot = e->slots[expr->slot];

		if (slot->state != TE_SLOT_NONE)
			value = slot->value;
		else
		{
			const TeName *name = &e->program->names[expr->slot];

			if (!te_eval_base(e, e->frame, slot, name->name, name->len, &value))
				return undefined(e, name->name, name->len);
		}
	}
	else
	{
		TeValue		name = te_eval_expr(e, expr->from);

		if (e->error != NULL)
			return TE_VALUE_NIL;
		if (name.kind != TE_STRING)
			value = TE_VALUE_NIL;
		else if (!te_eval_variable(e, e->frame, name.u.str, name.len, &value))
			return undefined(e, name.u.str, name.len);
	}
	for (i = 0; i < expr->nsteps; i++)
	{
		bool		of_self = value.kind == TE_DROP && value.u.drop->kind == TE_DROP_SELF;

		if (!follow_step(e, &value, &expr->steps[i]))
		{
			const TeStep *step = &expr->steps[i];

			/* self answers for whatever there may be */
			if (e->error != NULL || of_self)
				return TE_VALUE_NIL;
			return step->name ? undefined(e, step->name, step->len) : undefined(e, "", 0);
		}
	}
	return value;
}

/* ---- filters ---- */

/*
 * Works out the arguments of a call. False at an error.
 */
static bool
eval_arguments(TeEval *e, const TeCall *call, TeArgs *args)
{
	TeValue    *values = NULL;
	TeNamedArg *named = NULL;
	int			i;

	if (call->nargs + call->nnamed > 0)
		values = te_arena_alloc(e->r, (call->nargs + 1) * sizeof(TeValue));
	for (i = 0; i < call->nargs; i++)
		values[i] = te_eval_expr(e, call->args[i]);
	if (call->nnamed > 0)
		named = te_arena_alloc(e->r, call->nnamed * sizeof(TeNamedArg));
	for (i = 0; i < call->nnamed; i++)
	{
		named[i].name = call->named[i].name;
		named[i].len = call->named[i].len;
		named[i].value = te_eval_expr(e, call->named[i].value);
	}
	args->count = call->nargs;
	args->values = values;
	args->named_count = call->nnamed;
	args->named = named;
	if (call->nnamed > 0 && !call->filter->takes_named)
	{
		/* a filter without names gets them as a hash, its last argument */
		TeMember   *members = te_arena_alloc(e->r, call->nnamed * sizeof(TeMember));

		for (i = 0; i < call->nnamed; i++)
		{
			members[i].key = named[i].name;
			members[i].keylen = named[i].len;
			members[i].value = named[i].value;
		}
		values[args->count++] = te_value_hash(e->r, members, call->nnamed);
	}
	return e->error == NULL;
}

/*
 * Works out an expression with its filters. Nil at an error.
 */
TeValue
te_eval_pipe(TeEval *e, const TePipe *pipe)
{
	TeValue		value;
	int			i;

	if (pipe->base == NULL)
		return TE_VALUE_NIL;
	value = te_eval_expr(e, pipe->base);
	/* "default" answers for what is not there */
	if (e->error != NULL && e->error_silent && pipe->ncalls > 0 && pipe->calls[0].filter != NULL &&
		pipe->calls[0].len == 7 && memcmp(pipe->calls[0].name, "default", 7) == 0)
		e->error = NULL;
	for (i = 0; i < pipe->ncalls && e->error == NULL; i++)
	{
		const TeCall *call = &pipe->calls[i];
		const TeArgs *args = call->constant;
		TeArgs		worked_out;

		te_render_charge(e->r, 1);
		if (call->filter == NULL)
		{
			if (e->r->input->strict_filters)
				te_eval_fail(e, "undefined filter %.*s", call->len, call->name);
			continue;
		}
		if (call->fault != NULL)
		{
			te_eval_fail(e, "%s", call->fault);
			break;
		}
		if (args == NULL)
		{
			args = &worked_out;
			if (!eval_arguments(e, call, &worked_out))
				break;
		}
		value = call->filter->function(e->r, value, args);
		if (unlikely(value.kind == TE_ERROR))
			te_eval_fail(e, "%.*s", value.len, value.u.str);
	}
	return likely(e->error == NULL) ? value : TE_VALUE_NIL;
}

/* ---- conditions ---- */

/*
 * Name of a value's class, for the message of a failed comparison.
 */
static const char *
class_name(TeValue value)
{
	switch (value.kind)
	{
		case TE_FLOAT:
			return "Float";
		case TE_DECIMAL:
			return te_number_is_whole(value) ? "Integer" : "BigDecimal";
		case TE_STRING:
			return "String";
		case TE_TIME:
			return "Time";
		default:
			return "Integer";
	}
}

/*
 * Whether a value has an order at all.
 */
static bool
is_ordered(TeValue value)
{
	return value.kind == TE_INT || value.kind == TE_FLOAT || value.kind == TE_DECIMAL ||
		value.kind == TE_STRING || value.kind == TE_TIME;
}

/*
 * Compares by <, <=, > or >=. What has no order is neither; a text and a number do not
 * compare, which is an error.
 */
static bool
compare(TeEval *e, TeOperator op, TeValue left, TeValue right)
{
	int			order;

	if (left.kind == TE_INT && right.kind == TE_INT)
		order = (left.u.integer > right.u.integer) - (left.u.integer < right.u.integer);
	else if (!is_ordered(left) || !is_ordered(right))
		return false;
	else if (!te_value_compare(e->r, left, right, &order))
	{
		/* small numbers are shown, others named by their class */
		if (right.kind == TE_INT || right.kind == TE_FLOAT)
		{
			TeValue		text = te_value_text(e->r, right);

			te_eval_fail(e, "comparison of %s with %.*s failed", class_name(left), text.len, text.u.str);
		}
		else
			te_eval_fail(e, "comparison of %s with %s failed", class_name(left), class_name(right));
		return false;
	}
	if (order == TE_UNORDERED)
		return false;
	switch (op)
	{
		case TE_OP_LT:
			return order < 0;
		case TE_OP_LE:
			return order <= 0;
		case TE_OP_GT:
			return order > 0;
		default:
			return order >= 0;
	}
}

/*
 * An operand, where empty and blank are themselves.
 */
static inline TeValue
operand(TeEval *e, const TeExpr *expr)
{
	return expr->kind == TE_EXPR_CONST ? expr->value : te_eval_expr(e, expr);
}

/*
 * Whether one comparison holds.
 */
static bool
eval_comparison(TeEval *e, const TeComparison *comparison)
{
	TeValue		left = operand(e, comparison->left);
	TeValue		right;

	if (comparison->op == TE_OP_NONE)
		return te_value_truthy(left);
	right = operand(e, comparison->right);
	if (e->error != NULL)
		return false;
	switch (comparison->op)
	{
		case TE_OP_EQ:
			return te_value_equals(e->r, left, right);
		case TE_OP_NE:
			return !te_value_equals(e->r, left, right);
		case TE_OP_CONTAINS:
			return te_value_contains(e->r, left, right);
		case TE_OP_UNKNOWN:
			te_eval_fail(e, "Unknown operator %.*s", comparison->len, comparison->name);
			return false;
		default:
			return compare(e, comparison->op, left, right);
	}
}

/*
 * Whether a condition holds. "and" and "or" have no rank: each decides about all that
 * stands to its right.
 */
bool
te_eval_condition(TeEval *e, const TeCondition *condition)
{
	const TeComparison *comparison = condition->comparisons;
	int			i;
	bool		result = true;

	for (i = 0; i < condition->count; i++, comparison++)
	{
		result = eval_comparison(e, comparison);
		if (e->error != NULL)
			return false;
		if (comparison->relation == TE_REL_NONE || (comparison->relation == TE_REL_OR) == result)
			break;
		if (i % 64 == 63)
			te_render_charge(e->r, 64);
	}
	return result;
}
