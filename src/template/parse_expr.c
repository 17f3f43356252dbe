/*
 * parse_expr.c
 *		Expressions, filters and conditions, by the strict grammar.
 *
 * Beyond it: a variable may be named by brackets alone, as in ['a name'] or [name],
 * where the brackets hold a text or a variable; and the list of a filter's arguments
 * may be empty or end with a comma.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "compat.h"
#include "guc.h"
#include "template/arena.h"
#include "template/parse.h"

/*
 * Reports that the next token is not what the grammar wants there. Always false.
 */
static bool
unexpected(TeParser *p, const char *wanted)
{
	const TeToken *token = &p->lexer.token;

	if (token->kind == TE_TOKEN_BAD)
		te_parse_fault(p, token->start, "unexpected character \"%.*s\"", token->len, token->data);
	else
		te_parse_fault(p, token->start, "expected %s but found %s", wanted, te_token_name(token->kind));
	return false;
}

/*
 * Takes the next token if it is of a kind.
 */
bool
te_parse_accept(TeParser *p, TeTokenKind kind)
{
	if (p->lexer.token.kind != kind)
		return false;
	te_lexer_next(&p->lexer);
	return true;
}

/*
 * Takes the next token if it is that word.
 */
bool
te_parse_accept_word(TeParser *p, const char *word)
{
	const TeToken *token = &p->lexer.token;

	if (token->kind != TE_TOKEN_ID || token->len != strlen(word) || memcmp(token->data, word, token->len) != 0)
		return false;
	te_lexer_next(&p->lexer);
	return true;
}

/*
 * Takes a token that must be of a kind; else reports a fault and returns false.
 */
bool
te_parse_expect(TeParser *p, TeTokenKind kind)
{
	return te_parse_accept(p, kind) || unexpected(p, te_token_name(kind));
}

/*
 * Makes the table of names larger.
 */
static void
grow_names(TeParser *p)
{
	int			size = p->nbuckets * 2;
	int			i;

	pfree(p->buckets);
	p->buckets = MemoryContextAlloc(p->program->context, size * sizeof(int));
	p->nbuckets = size;
	for (i = 0; i < size; i++)
		p->buckets[i] = -1;
	for (i = 0; i < p->program->nnames; i++)
	{
		uint32		at = hash_bytes((const unsigned char *) p->names[i].name, p->names[i].len) & (size - 1);

		while (p->buckets[at] >= 0)
			at = (at + 1) & (size - 1);
		p->buckets[at] = i;
	}
}

/*
 * The slot of a variable's name, a new one when the name is new.
 */
int
te_parse_slot(TeParser *p, const char *name, int len)
{
	uint32		at;
	int			slot = p->program->nnames;

	if (slot * 2 >= p->nbuckets)
		grow_names(p);
	at = hash_bytes((const unsigned char *) name, len) & (p->nbuckets - 1);
	for (; p->buckets[at] >= 0; at = (at + 1) & (p->nbuckets - 1))
	{
		const TeName *other = &p->names[p->buckets[at]];

		if (other->len == len && memcmp(other->name, name, len) == 0)
			return p->buckets[at];
	}
	if (slot >= p->names_size)
	{
		p->assigned = repalloc(p->assigned, p->names_size * 2 * sizeof(bool));
		memset(p->assigned + p->names_size, 0, p->names_size * sizeof(bool));
		p->names = te_parse_append(p, p->names, slot, &p->names_size, sizeof(TeName));
	}
	p->names[slot].name = name;
	p->names[slot].len = len;
	p->buckets[at] = slot;
	p->program->nnames++;
	return slot;
}

/*
 * The same for a name that a tag gives a value to.
 */
int
te_parse_target(TeParser *p, const char *name, int len)
{
	int			slot = te_parse_slot(p, name, len);

	p->assigned[slot] = true;
	return slot;
}

/*
 * A new constant.
 */
static TeExpr *
constant(TeParser *p, TeValue value)
{
	TeExpr	   *expr = te_parse_alloc(p, sizeof(TeExpr));

	expr->kind = TE_EXPR_CONST;
	expr->value = value;
	return expr;
}

/*
 * The value of a number's text. Those beyond 64 bits are copied into the program.
 */
TeValue
te_parse_number(TeParser *p, const char *text, int len)
{
	TeValue		value;

	if (memchr(text, '.', len) == NULL && len <= 18)
	{
		const char *digits = text + (*text == '-');
		int64		result = 0;

		while (digits < text + len)
			result = result * 10 + (*digits++ - '0');
		return TE_VALUE_INT(*text == '-' ? -result : result);
	}
	value = te_number_parse(NULL, text, len);
	if (value.kind == TE_DECIMAL)
	{
		Numeric		copy = te_parse_alloc(p, VARSIZE(value.u.decimal));

		memcpy(copy, value.u.decimal, VARSIZE(value.u.decimal));
		pfree(value.u.decimal);
		value.u.decimal = copy;
	}
	return value;
}

/*
 * A name without steps that is a value: nil, true, false, empty, blank. NULL when it
 * is a variable.
 */
static TeExpr *
literal(TeParser *p, const char *name, int len)
{
	TeExpr	   *expr;

#define IS(word) (len == sizeof(word) - 1 && memcmp(name, word, sizeof(word) - 1) == 0)
	if (IS("nil") || IS("null"))
		return constant(p, TE_VALUE_NIL);
	if (IS("true"))
		return constant(p, TE_VALUE_BOOL(true));
	if (IS("false"))
		return constant(p, TE_VALUE_BOOL(false));
	if (!IS("empty") && !IS("blank"))
		return NULL;
	expr = constant(p, (TeValue) {.kind = *name == 'e' ? TE_EMPTY : TE_BLANK});
	expr->literal = true;
	return expr;
#undef IS
}

/*
 * Reads .name and [key] into an array of steps. False at a fault.
 */
static bool
parse_steps(TeParser *p, TeExpr *expr)
{
	TeStep	   *steps = NULL;
	int			size = 0;

	for (;;)
	{
		TeStep	   *step;

		if (p->lexer.token.kind != TE_TOKEN_DOT && p->lexer.token.kind != TE_TOKEN_OPEN_SQUARE)
			break;
		steps = te_parse_append(p, steps, expr->nsteps, &size, sizeof(TeStep));
		step = &steps[expr->nsteps++];
		memset(step, 0, sizeof(TeStep));
		if (te_parse_accept(p, TE_TOKEN_DOT))
		{
			step->name = p->lexer.token.data;
			step->len = p->lexer.token.len;
			if (!te_parse_expect(p, TE_TOKEN_ID))
				return false;
			step->command = (step->len == 4 && memcmp(step->name, "size", 4) == 0) ||
				(step->len == 5 && memcmp(step->name, "first", 5) == 0) ||
				(step->len == 4 && memcmp(step->name, "last", 4) == 0);
		}
		else
		{
			te_lexer_next(&p->lexer);
			step->key = te_parse_expr(p);
			if (step->key == NULL || !te_parse_expect(p, TE_TOKEN_CLOSE_SQUARE))
				return false;
		}
	}
	expr->steps = steps;
	return true;
}

/*
 * Notes that a variable is read, for the search of those that a sample lacks.
 */
static void
note_use(TeParser *p, const TeExpr *expr, const char *at)
{
	if (!p->warnings)
		return;
	p->uses = te_parse_append(p, p->uses, p->nuses, &p->uses_size, sizeof(TeUse));
	p->uses[p->nuses].expr = expr;
	p->uses[p->nuses++].offset = at - p->text;
}

/*
 * An expression that begins with a name.
 */
static TeExpr *
parse_name(TeParser *p)
{
	TeToken		token = p->lexer.token;
	TeExpr	   *expr;

	te_lexer_next(&p->lexer);
	if (p->lexer.token.kind != TE_TOKEN_DOT && p->lexer.token.kind != TE_TOKEN_OPEN_SQUARE &&
		(expr = literal(p, token.data, token.len)) != NULL)
		return expr;
	expr = te_parse_alloc(p, sizeof(TeExpr));
	expr->kind = TE_EXPR_NAME;
	expr->slot = te_parse_slot(p, token.data, token.len);
	note_use(p, expr, token.start);
	return parse_steps(p, expr) ? expr : NULL;
}

/*
 * A variable named by brackets alone. What they hold must be able to be a name: a
 * text or a variable.
 */
static TeExpr *
parse_lookup(TeParser *p)
{
	TeExpr	   *expr = te_parse_alloc(p, sizeof(TeExpr));

	te_lexer_next(&p->lexer);
	if (p->lexer.token.kind == TE_TOKEN_NUMBER || p->lexer.token.kind == TE_TOKEN_OPEN_ROUND)
	{
		unexpected(p, "a text in quotes or a name");
		return NULL;
	}
	expr->kind = TE_EXPR_LOOKUP;
	expr->from = te_parse_expr(p);
	if (expr->from == NULL || !te_parse_expect(p, TE_TOKEN_CLOSE_SQUARE))
		return NULL;
	if (expr->from->kind == TE_EXPR_CONST && expr->from->value.kind == TE_STRING)
	{
		expr->kind = TE_EXPR_NAME;
		expr->slot = te_parse_slot(p, expr->from->value.u.str, expr->from->value.len);
	}
	return parse_steps(p, expr) ? expr : NULL;
}

/*
 * A range of two expressions, after its bracket.
 */
static TeExpr *
parse_range(TeParser *p)
{
	TeExpr	   *expr = te_parse_alloc(p, sizeof(TeExpr));

	te_lexer_next(&p->lexer);
	expr->kind = TE_EXPR_RANGE;
	if ((expr->from = te_parse_expr(p)) == NULL ||
		!te_parse_expect(p, TE_TOKEN_DOTDOT) ||
		(expr->to = te_parse_expr(p)) == NULL ||
		!te_parse_expect(p, TE_TOKEN_CLOSE_ROUND))
		return NULL;
	return expr;
}

/*
 * Reads one expression. NULL, with the fault reported, when there is none.
 */
const TeExpr *
te_parse_expr(TeParser *p)
{
	TeToken		token = p->lexer.token;
	TeExpr	   *expr = NULL;

	if (p->expr_depth >= te_guc_template_nesting)
	{
		te_parse_limit(p, token.start, "template_nesting", te_guc_template_nesting, "");
		return NULL;
	}
	p->expr_depth++;
	switch (token.kind)
	{
		case TE_TOKEN_ID:
			expr = parse_name(p);
			break;
		case TE_TOKEN_STRING:
			te_lexer_next(&p->lexer);
			expr = constant(p, TE_VALUE_STRING(token.data, token.len));
			break;
		case TE_TOKEN_NUMBER:
			te_lexer_next(&p->lexer);
			expr = constant(p, te_parse_number(p, token.data, token.len));
			break;
		case TE_TOKEN_OPEN_SQUARE:
			expr = parse_lookup(p);
			break;
		case TE_TOKEN_OPEN_ROUND:
			expr = parse_range(p);
			break;
		default:
			unexpected(p, "a value");
			break;
	}
	p->expr_depth--;
	return expr;
}

/*
 * Reads arguments "name: value", with or without commas between them, to the end of
 * the markup.
 */
bool
te_parse_named(TeParser *p, const TeNamedExpr **args, int *nargs)
{
	TeNamedExpr *list = NULL;
	int			size = 0;

	*nargs = 0;
	while (p->lexer.token.kind == TE_TOKEN_ID)
	{
		TeNamedExpr *arg;

		list = te_parse_append(p, list, *nargs, &size, sizeof(TeNamedExpr));
		arg = &list[(*nargs)++];
		arg->name = p->lexer.token.data;
		arg->len = p->lexer.token.len;
		te_lexer_next(&p->lexer);
		if (!te_parse_expect(p, TE_TOKEN_COLON) || (arg->value = te_parse_expr(p)) == NULL)
			return false;
		te_parse_accept(p, TE_TOKEN_COMMA);
	}
	*args = list;
	return te_parse_expect(p, TE_TOKEN_END);
}

/*
 * Reads a filter's arguments after its colon.
 */
static bool
parse_arguments(TeParser *p, TeCall *call)
{
	int			size = 0,
				named_size = 0;
	TeNamedExpr *named = NULL;

	while (p->lexer.token.kind != TE_TOKEN_PIPE && p->lexer.token.kind != TE_TOKEN_END)
	{
		const TeExpr *value;
		TeToken		name = p->lexer.token;
		bool		is_named = name.kind == TE_TOKEN_ID && p->lexer.next.kind == TE_TOKEN_COLON;

		if (is_named)
		{
			te_lexer_next(&p->lexer);
			te_lexer_next(&p->lexer);
		}
		if ((value = te_parse_expr(p)) == NULL)
			return false;
		if (is_named)
		{
			named = te_parse_append(p, named, call->nnamed, &named_size, sizeof(TeNamedExpr));
			named[call->nnamed].name = name.data;
			named[call->nnamed].len = name.len;
			named[call->nnamed++].value = value;
		}
		else
		{
			call->args = te_parse_append(p, call->args, call->nargs, &size, sizeof(TeExpr *));
			call->args[call->nargs++] = value;
		}
		if (!te_parse_accept(p, TE_TOKEN_COMMA))
			break;
	}
	call->named = named;
	return true;
}

/*
 * Whether every argument of a call is a constant.
 */
static bool
is_constant(const TeCall *call)
{
	int			i;

	for (i = 0; i < call->nargs; i++)
		if (call->args[i]->kind != TE_EXPR_CONST || call->args[i]->literal)
			return false;
	for (i = 0; i < call->nnamed; i++)
		if (call->named[i].value->kind != TE_EXPR_CONST || call->named[i].value->literal)
			return false;
	return true;
}

/*
 * Works out at parse time what a call needs: the filter, the arguments when they are
 * constants, the message when their number is wrong.
 */
void
te_parse_bind(TeParser *p, TeCall *call, const char *at)
{
	const TeFilter *filter = te_filter_find(call->name, call->len);
	int			given = call->nargs + (call->nnamed > 0 && filter && !filter->takes_named ? 1 : 0);
	int			i;

	call->filter = filter;
	if (filter == NULL)
	{
		if (p->warnings)
		{
			char	   *name = pnstrdup(call->name, call->len);
			const char *nearest = te_filter_nearest(name);

			te_parse_warn(p, at, nearest ? psprintf("Perhaps you meant \"%s\".", nearest) : NULL,
						  "unknown filter \"%s\"", name);
		}
		return;
	}
	if (given < filter->min_args || given > filter->max_args)
	{
		char		message[100];

		/* counted with the input, as Liquid does */
		if (filter->min_args == filter->max_args)
			snprintf(message, sizeof(message), "wrong number of arguments (given %d, expected %d)",
					 given + 1, filter->min_args + 1);
		else
			snprintf(message, sizeof(message), "wrong number of arguments (given %d, expected %d..%d)",
					 given + 1, filter->min_args + 1, filter->max_args + 1);
		call->fault = strcpy(te_parse_alloc(p, strlen(message) + 1), message);
		te_parse_warn(p, at, NULL, "filter \"%s\": %s", filter->name, message);
	}
	else if (is_constant(call) && (call->nnamed == 0 || filter->takes_named))
	{
		TeArgs	   *args = te_parse_alloc(p, sizeof(TeArgs));
		TeValue    *values = te_parse_alloc(p, call->nargs * sizeof(TeValue));
		TeNamedArg *named = te_parse_alloc(p, call->nnamed * sizeof(TeNamedArg));

		for (i = 0; i < call->nargs; i++)
			values[i] = call->args[i]->value;
		for (i = 0; i < call->nnamed; i++)
		{
			named[i].name = call->named[i].name;
			named[i].len = call->named[i].len;
			named[i].value = call->named[i].value->value;
		}
		args->count = call->nargs;
		args->values = values;
		args->named_count = call->nnamed;
		args->named = named;
		call->constant = args;
	}
}

/*
 * Parses "expression | filter: arguments | ..." by the grammar.
 */
static bool
parse_pipe(TeParser *p, const char *start, const char *end, TePipe *pipe)
{
	TeCall	   *calls = NULL;
	int			size = 0;

	memset(pipe, 0, sizeof(TePipe));
	te_lexer_init(&p->lexer, start, end);
	if (p->lexer.token.kind == TE_TOKEN_END)
		return true;
	if ((pipe->base = te_parse_expr(p)) == NULL)
		return false;
	while (te_parse_accept(p, TE_TOKEN_PIPE))
	{
		TeCall	   *call;
		const char *at = p->lexer.token.start;

		calls = te_parse_append(p, calls, pipe->ncalls, &size, sizeof(TeCall));
		call = &calls[pipe->ncalls++];
		memset(call, 0, sizeof(TeCall));
		call->name = p->lexer.token.data;
		call->len = p->lexer.token.len;
		if (!te_parse_expect(p, TE_TOKEN_ID) ||
			(te_parse_accept(p, TE_TOKEN_COLON) && !parse_arguments(p, call)))
			return false;
		te_parse_bind(p, call, at);
	}
	pipe->calls = calls;
	return te_parse_expect(p, TE_TOKEN_END);
}

/*
 * Parses "expression | filter: arguments | ..."; all white space is nothing. False at
 * a fault.
 */
bool
te_parse_pipe(TeParser *p, const char *start, const char *end, TePipe *pipe)
{
	int			count = p->problems->count,
				errors = p->problems->errors;

	return parse_pipe(p, start, end, pipe) ||
		(te_parse_retry(p, count, errors) && te_lax_pipe(p, start, end, pipe));
}

/*
 * Parses comparisons joined by "and" and "or" by the grammar.
 */
static bool
parse_condition(TeParser *p, const char *start, const char *end, TeCondition *condition)
{
	TeComparison *list = NULL;
	int			size = 0;

	te_lexer_init(&p->lexer, start, end);
	condition->count = 0;
	for (;;)
	{
		TeComparison *comparison;

		list = te_parse_append(p, list, condition->count, &size, sizeof(TeComparison));
		comparison = &list[condition->count++];
		memset(comparison, 0, sizeof(TeComparison));
		if ((comparison->left = te_parse_expr(p)) == NULL)
			return false;
		if (p->lexer.token.kind == TE_TOKEN_COMPARISON)
		{
			comparison->op = p->lexer.token.op;
			te_lexer_next(&p->lexer);
			if ((comparison->right = te_parse_expr(p)) == NULL)
				return false;
		}
		if (te_parse_accept_word(p, "and"))
			comparison->relation = TE_REL_AND;
		else if (te_parse_accept_word(p, "or"))
			comparison->relation = TE_REL_OR;
		else
			break;
	}
	condition->comparisons = list;
	return te_parse_expect(p, TE_TOKEN_END);
}

/*
 * Parses a condition. False at a fault.
 */
bool
te_parse_condition(TeParser *p, const char *start, const char *end, TeCondition *condition)
{
	int			count = p->problems->count,
				errors = p->problems->errors;

	return parse_condition(p, start, end, condition) ||
		(te_parse_retry(p, count, errors) && te_lax_condition(p, start, end, condition));
}
