/*
 * parse_lax.c
 *		The lax syntax: what older Liquid makes of markup that the grammar refuses.
 *
 * Asked for by an option, for templates that come from elsewhere, and used only for
 * markup that has a fault. It looks for the pieces that it knows and passes over the
 * rest. All of it is single passes over the markup.
 */
#include "postgres.h"

#include "guc.h"
#include "template/parse.h"

/* A piece of markup. */
typedef struct Piece
{
	const char *start;
	const char *end;
} Piece;

static const TeExpr *lax_expr(TeParser *p, Piece piece, bool condition);

/*
 * Moves over white space.
 */
static const char *
skip_space(const char *c, const char *end)
{
	while (c < end && te_is_space(*c))
		c++;
	return c;
}

/*
 * Where a text in quotes that begins at c ends, or NULL when it does not.
 */
static const char *
quoted_end(const char *c, const char *end)
{
	const char *close;

	if (c >= end || (*c != '"' && *c != '\''))
		return NULL;
	close = memchr(c + 1, *c, end - c - 1);
	return close ? close + 1 : NULL;
}

/*
 * Where the fragment that begins at c ends: a text in quotes, or all up to white
 * space, a comma, a pipe or an open quote. c itself when none begins there.
 */
static const char *
fragment_end(const char *c, const char *end)
{
	const char *close = quoted_end(c, end);

	if (close != NULL)
		return close;
	while (c < end)
	{
		if (*c == '"' || *c == '\'')
		{
			if ((close = quoted_end(c, end)) == NULL)
				break;
			c = close;
		}
		else if (te_is_space(*c) || *c == ',' || *c == '|')
			break;
		else
			c++;
	}
	return c;
}

/*
 * The first fragment from c on; false when there is none.
 */
static bool
find_fragment(const char *c, const char *end, Piece *piece)
{
	for (; c < end; c++)
	{
		piece->start = c;
		piece->end = fragment_end(c, end);
		if (piece->end > c)
			return true;
	}
	return false;
}

/*
 * Several fragments without anything between them, from the first one on.
 */
static bool
find_fragments(const char *c, const char *end, Piece *piece)
{
	const char *next;

	if (!find_fragment(c, end, piece))
		return false;
	while ((next = fragment_end(piece->end, end)) > piece->end)
		piece->end = next;
	return true;
}

/* ---- expressions ---- */

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
 * Whether a piece is a word.
 */
static bool
piece_is(Piece piece, const char *word)
{
	return piece.end - piece.start == strlen(word) && memcmp(piece.start, word, piece.end - piece.start) == 0;
}

/*
 * Where a bracket that begins at c closes, inner ones counted; NULL when it does not.
 */
static const char *
bracket_end(const char *c, const char *end)
{
	int			depth = 0;

	for (; c < end; c++)
	{
		if (*c == '[')
			depth++;
		else if (*c == ']' && --depth == 0)
			return c + 1;
	}
	return NULL;
}

/*
 * The next name or bracket from *c on, which moves behind it; false when there is
 * none. Once a bracket does not close, no later one does, so that *closes is false
 * from then on.
 */
static bool
next_step(const char **c, const char *end, Piece *piece, bool *bracket, bool *closes)
{
	for (; *c < end; (*c)++)
	{
		piece->start = *c;
		if (**c == '[' && *closes)
		{
			piece->end = bracket_end(*c, end);
			if (piece->end != NULL)
			{
				*bracket = true;
				*c = piece->end;
				return true;
			}
			*closes = false;
		}
		else if (te_is_word(**c) || **c == '-')
		{
			while (*c < end && (te_is_word(**c) || **c == '-'))
				(*c)++;
			if (*c < end && **c == '?')
				(*c)++;
			piece->end = *c;
			*bracket = false;
			return true;
		}
	}
	return false;
}

/*
 * A variable: names and brackets, whatever stands between them.
 */
static const TeExpr *
lax_variable(TeParser *p, Piece whole)
{
	TeExpr	   *expr = te_parse_alloc(p, sizeof(TeExpr));
	TeStep	   *steps = NULL;
	int			size = 0;
	const char *c = whole.start;
	Piece		piece;
	bool		bracket,
				closes = true;

	if (!next_step(&c, whole.end, &piece, &bracket, &closes))
		return constant(p, TE_VALUE_NIL);
	expr->kind = TE_EXPR_NAME;
	if (bracket)
	{
		expr->from = lax_expr(p, (Piece) {piece.start + 1, piece.end - 1}, false);
		if (expr->from == NULL)
			return NULL;
		if (expr->from->kind == TE_EXPR_CONST && expr->from->value.kind == TE_STRING)
			expr->slot = te_parse_slot(p, expr->from->value.u.str, expr->from->value.len);
		else
			expr->kind = TE_EXPR_LOOKUP;
	}
	else
		expr->slot = te_parse_slot(p, piece.start, piece.end - piece.start);
	while (next_step(&c, whole.end, &piece, &bracket, &closes))
	{
		TeStep	   *step;

		steps = te_parse_append(p, steps, expr->nsteps, &size, sizeof(TeStep));
		step = &steps[expr->nsteps++];
		memset(step, 0, sizeof(TeStep));
		if (bracket)
		{
			step->key = lax_expr(p, (Piece) {piece.start + 1, piece.end - 1}, false);
			if (step->key == NULL)
				return NULL;
		}
		else
		{
			step->name = piece.start;
			step->len = piece.end - piece.start;
			step->command = piece_is(piece, "size") || piece_is(piece, "first") || piece_is(piece, "last");
		}
	}
	expr->steps = steps;
	return expr;
}

/*
 * A number: digits, of which a second point ends what counts. False when the piece is
 * none.
 */
static bool
lax_number(TeParser *p, Piece piece, TeValue *value)
{
	const char *c = piece.start;
	const char *end = piece.end;
	int			points = 0;

	if (*c != '-' && (*c < '0' || *c > '9'))
		return false;
	for (c++; c < piece.end; c++)
	{
		if (*c == '.')
		{
			if (++points == 2)
				end = c;
		}
		else if (*c < '0' || *c > '9')
			return false;
	}
	if (end > piece.start && end[-1] == '.')
		end--;
	if (end == piece.start || !te_is_word(end[-1]))
		return false;
	*value = te_parse_number(p, piece.start, end - piece.start);
	if (points > 0 && value->kind == TE_INT)
		*value = TE_VALUE_FLOAT((double) value->u.integer);
	return true;
}

/*
 * A range in round brackets; NULL when the piece is none.
 */
static const TeExpr *
lax_range(TeParser *p, Piece piece)
{
	const char *start = skip_space(piece.start + 1, piece.end);
	const char *end = piece.end - 1;
	const char *token = start;
	const char *dots = NULL;
	const char *c;
	TeExpr	   *expr;

	while (token < end && !te_is_space(*token))
		token++;
	for (c = start + 1; c + 1 < token; c++)
		if (c[0] == '.' && c[1] == '.')
			dots = c;
	c = skip_space(token, end);
	if (dots == NULL && c + 1 < end && c[0] == '.' && c[1] == '.')
		dots = c;
	if (dots == NULL)
		return NULL;
	expr = te_parse_alloc(p, sizeof(TeExpr));
	expr->kind = TE_EXPR_RANGE;
	expr->from = lax_expr(p, (Piece) {start, dots}, false);
	expr->to = lax_expr(p, (Piece) {dots + 2, end}, false);
	if (expr->from == NULL || expr->to == NULL)
		return NULL;
	return expr;
}

/*
 * An expression. Anything is one; NULL only over a limit. In a condition empty and
 * blank are themselves.
 */
static const TeExpr *
lax_expr(TeParser *p, Piece piece, bool condition)
{
	const TeExpr *expr = NULL;
	TeValue		number;
	int			len;

	piece.start = skip_space(piece.start, piece.end);
	while (piece.end > piece.start && te_is_space(piece.end[-1]))
		piece.end--;
	len = piece.end - piece.start;
	if (len == 0 || piece_is(piece, "nil") || piece_is(piece, "null"))
		return constant(p, TE_VALUE_NIL);
	if ((*piece.start == '"' || *piece.start == '\'') && piece.end[-1] == *piece.start)
		return constant(p, len < 2 ? TE_VALUE_STRING("", 0) : TE_VALUE_STRING(piece.start + 1, len - 2));
	if (piece_is(piece, "true") || piece_is(piece, "false"))
		return constant(p, TE_VALUE_BOOL(*piece.start == 't'));
	if (piece_is(piece, "empty") || piece_is(piece, "blank"))
	{
		if (!condition)
			return constant(p, TE_VALUE_STRING("", 0));
		return constant(p, (TeValue) {.kind = *piece.start == 'e' ? TE_EMPTY : TE_BLANK});
	}
	if (p->expr_depth >= te_guc_template_nesting)
	{
		te_parse_limit(p, piece.start, "template_nesting", te_guc_template_nesting, "");
		return NULL;
	}
	p->expr_depth++;
	if (*piece.start == '(' && piece.end[-1] == ')' && len > 2)
		expr = lax_range(p, piece);
	if (expr == NULL && !p->stop)
		expr = lax_number(p, piece, &number) ? constant(p, number) : lax_variable(p, piece);
	p->expr_depth--;
	return expr;
}

/* ---- outputs ---- */

/*
 * "word:" at c, with white space around the colon; returns behind it, or NULL.
 */
static const char *
keyword_end(const char *c, const char *end, Piece *word)
{
	word->start = c;
	if (c >= end || !te_is_word(*c))
		return NULL;
	while (c < end && (te_is_word(*c) || *c == '-'))
		c++;
	word->end = c;
	c = skip_space(c, end);
	return c < end && *c == ':' ? skip_space(c + 1, end) : NULL;
}

/*
 * The arguments of a filter: fragments behind colons and commas, perhaps with a name.
 */
static bool
lax_arguments(TeParser *p, const char *c, const char *end, TeCall *call)
{
	TeNamedExpr *named = NULL;
	int			size = 0,
				named_size = 0;

	while (c < end)
	{
		Piece		word,
					value;
		const char *behind;
		const TeExpr *expr;

		if (*c != ':' && *c != ',')
		{
			c++;
			continue;
		}
		value.start = skip_space(c + 1, end);
		behind = keyword_end(value.start, end, &word);
		if (behind != NULL && fragment_end(behind, end) > behind)
			value.start = behind;
		else
			behind = NULL;
		value.end = fragment_end(value.start, end);
		if (value.end == value.start)
		{
			c++;
			continue;
		}
		c = value.end;
		if ((expr = lax_expr(p, value, false)) == NULL)
			return false;
		if (behind != NULL)
		{
			named = te_parse_append(p, named, call->nnamed, &named_size, sizeof(TeNamedExpr));
			named[call->nnamed].name = word.start;
			named[call->nnamed].len = word.end - word.start;
			named[call->nnamed++].value = expr;
		}
		else
		{
			call->args = te_parse_append(p, call->args, call->nargs, &size, sizeof(TeExpr *));
			call->args[call->nargs++] = expr;
		}
	}
	call->named = named;
	return true;
}

/*
 * An expression with filters: the first fragment, and behind the first pipe whatever
 * looks like a filter.
 */
bool
te_lax_pipe(TeParser *p, const char *start, const char *end, TePipe *pipe)
{
	TeCall	   *calls = NULL;
	int			size = 0;
	Piece		base;
	const char *c;

	memset(pipe, 0, sizeof(TePipe));
	if (!find_fragment(start, end, &base))
		return true;
	if ((pipe->base = lax_expr(p, base, false)) == NULL)
		return false;
	c = memchr(base.end, '|', end - base.end);
	while (c != NULL && c < end)
	{
		const char *from = c;
		const char *next;
		TeCall	   *call;

		/* one filter: white space, fragments and commas */
		while (c < end && (te_is_space(*c) || *c == ',' || fragment_end(c, end) > c))
			c = te_is_space(*c) || *c == ',' ? c + 1 : fragment_end(c, end);
		next = c == from ? c + 1 : c;
		while (from < c && !te_is_word(*from))
			from++;
		if (from < c)
		{
			calls = te_parse_append(p, calls, pipe->ncalls, &size, sizeof(TeCall));
			call = &calls[pipe->ncalls++];
			memset(call, 0, sizeof(TeCall));
			call->name = from;
			while (from < c && te_is_word(*from))
				from++;
			call->len = from - call->name;
			if (!lax_arguments(p, from, c, call))
				return false;
			te_parse_bind(p, call, call->name);
		}
		c = next;
	}
	pipe->calls = calls;
	return true;
}

/* ---- conditions ---- */

/*
 * The comparison of a piece: a fragment, perhaps an operator and another one.
 */
static bool
lax_comparison(TeParser *p, Piece piece, TeComparison *comparison)
{
	static const struct
	{
		const char *text;
		TeOperator	op;
	}			operators[] = {
		{"==", TE_OP_EQ}, {"!=", TE_OP_NE}, {"<>", TE_OP_NE}, {"<", TE_OP_LT}, {"<=", TE_OP_LE},
		{">", TE_OP_GT}, {">=", TE_OP_GE}, {"contains", TE_OP_CONTAINS}
	};
	Piece		left,
				op,
				right;
	int			i;

	if (!find_fragment(piece.start, piece.end, &left))
	{
		te_parse_fault(p, piece.start, "expected a value");
		return false;
	}
	op.start = op.end = skip_space(left.end, piece.end);
	while (op.end < piece.end && ((*op.end >= 'a' && *op.end <= 'z') || strchr("=!<>_", *op.end) != NULL))
		op.end++;
	right.start = skip_space(op.end, piece.end);
	right.end = fragment_end(right.start, piece.end);
	if ((comparison->left = lax_expr(p, left, true)) == NULL ||
		(comparison->right = lax_expr(p, right, true)) == NULL)
		return false;
	if (op.end == op.start)
		return true;
	comparison->op = TE_OP_UNKNOWN;
	comparison->name = op.start;
	comparison->len = op.end - op.start;
	for (i = 0; i < lengthof(operators); i++)
		if (piece_is(op, operators[i].text))
			comparison->op = operators[i].op;
	return true;
}

/*
 * Whether a word, "and" or "or", stands at c by itself.
 */
static int
relation_at(const char *start, const char *c, const char *end)
{
	int			len = end - c >= 3 && memcmp(c, "and", 3) == 0 ? 3 : end - c >= 2 && memcmp(c, "or", 2) == 0 ? 2 : 0;

	if (len == 0 || (c > start && te_is_word(c[-1])) || (c + len < end && te_is_word(c[len])))
		return 0;
	return len;
}

/*
 * Comparisons joined by "and" and "or".
 */
bool
te_lax_condition(TeParser *p, const char *start, const char *end, TeCondition *condition)
{
	TeComparison *list = NULL;
	int			size = 0;
	const char *c = start;

	condition->count = 0;
	for (;;)
	{
		Piece		piece = {c, c};
		int			word = 0;

		for (;;)
		{
			const char *next;

			c = skip_space(c, end);
			if (c >= end || (word = relation_at(start, c, end)) > 0)
				break;
			next = fragment_end(c, end);
			if (next == c)
				while (next < end && !te_is_space(*next))
					next++;
			piece.end = c = next;
		}
		list = te_parse_append(p, list, condition->count, &size, sizeof(TeComparison));
		memset(&list[condition->count], 0, sizeof(TeComparison));
		if (!lax_comparison(p, piece, &list[condition->count]))
			return false;
		list[condition->count++].relation = word == 3 ? TE_REL_AND : word == 2 ? TE_REL_OR : TE_REL_NONE;
		if (word == 0)
			break;
		c += word;
	}
	condition->comparisons = list;
	return true;
}

/* ---- tags ---- */

/*
 * The first fragment as a value, for case; *rest is what stands behind it.
 */
const TeExpr *
te_lax_value(TeParser *p, const char *start, const char *end, bool condition, const char **rest)
{
	Piece		piece;

	if (!find_fragment(start, end, &piece))
	{
		te_parse_fault(p, start, "expected a value");
		return NULL;
	}
	*rest = piece.end;
	return lax_expr(p, piece, condition);
}

/*
 * Whether another value of a "when" follows: "or" or a comma; *c moves behind it.
 */
bool
te_lax_more(const char **c, const char *end)
{
	const char *at = skip_space(*c, end);

	if (at < end && *at == ',')
		*c = at + 1;
	else if (at > *c && end - at > 2 && memcmp(at, "or", 2) == 0 && te_is_space(at[2]))
		*c = at + 2;
	else
		return false;
	return true;
}

/*
 * A name that a tag gives a value to: the first run of what may be in one.
 */
int
te_lax_target(TeParser *p, const char *start, const char *end)
{
	const char *c = start;

	while (c < end && !te_is_word(*c) && *c != '-')
		c++;
	start = c;
	while (c < end && (te_is_word(*c) || *c == '-'))
		c++;
	return te_parse_target(p, start, c - start);
}

/*
 * The head of a loop, and its attributes wherever they are.
 */
bool
te_lax_loop(TeParser *p, const char *start, const char *end, TeLoop *loop)
{
	const char *c = skip_space(start, end);
	Piece		item = {c, c},
				collection,
				word;
	char	   *name;

	memset(loop, 0, sizeof(TeLoop));
	while (item.end < end && (te_is_word(*item.end) || *item.end == '-'))
		item.end++;
	c = skip_space(item.end, end);
	if (item.end == item.start || end - c < 3 || memcmp(c, "in", 2) != 0 || !te_is_space(c[2]) ||
		!find_fragments(skip_space(c + 2, end), end, &collection))
	{
		te_parse_fault(p, start, "expected \"item in collection\"");
		return false;
	}
	loop->slot = te_parse_target(p, item.start, item.end - item.start);
	if ((loop->collection = lax_expr(p, collection, false)) == NULL)
		return false;
	loop->namelen = (item.end - item.start) + 1 + (collection.end - collection.start);
	name = te_parse_alloc(p, loop->namelen + 1);
	memcpy(name, item.start, item.end - item.start);
	name[item.end - item.start] = '-';
	memcpy(name + (item.end - item.start) + 1, collection.start, collection.end - collection.start);
	loop->name = name;
	c = skip_space(collection.end, end);
	loop->reversed = end - c >= 8 && memcmp(c, "reversed", 8) == 0;
	for (; c < end; c++)
	{
		const char *value = keyword_end(c, end, &word);
		Piece		fragment = {value, value ? fragment_end(value, end) : NULL};
		const TeExpr *expr;

		if (value == NULL || fragment.end == value)
		{
			while (c + 1 < end && te_is_word(c[0]) && te_is_word(c[1]))
				c++;
			continue;
		}
		if ((expr = lax_expr(p, fragment, false)) == NULL)
			return false;
		if (piece_is(word, "limit"))
			loop->limit = expr;
		else if (piece_is(word, "cols"))
			loop->cols = expr;
		else if (piece_is(word, "offset"))
		{
			loop->continues = piece_is(fragment, "continue");
			loop->offset = loop->continues ? NULL : expr;
		}
		c = fragment.end - 1;
	}
	return true;
}

/*
 * The values of a cycle: the first fragment between each two commas.
 */
bool
te_lax_cycle(TeParser *p, const char *start, const char *end, TeCycle *cycle)
{
	Piece		piece;
	const char *c = skip_space(start, end);
	int			size = 0;

	memset(cycle, 0, sizeof(TeCycle));
	piece.start = c;
	piece.end = fragment_end(c, end);
	/* a colon in the fragment or behind it makes it the group's name */
	if (piece.end > c)
	{
		const char *colon = skip_space(piece.end, end);

		if (piece.end[-1] == ':' && *c != '"' && *c != '\'')
		{
			piece.end--;
			colon = piece.end;
		}
		if (colon < end && *colon == ':')
		{
			if ((cycle->group = lax_expr(p, piece, false)) == NULL)
				return false;
			c = colon + 1;
		}
	}
	while (c < end)
	{
		const char *comma = memchr(c, ',', end - c);
		const TeExpr *value;

		if (find_fragment(c, comma ? comma : end, &piece))
		{
			if ((value = lax_expr(p, piece, false)) == NULL)
				return false;
			cycle->values = te_parse_append(p, cycle->values, cycle->count, &size, sizeof(TeExpr *));
			cycle->values[cycle->count++] = value;
		}
		c = comma ? comma + 1 : end;
	}
	if (cycle->count > 0)
		return true;
	te_parse_fault(p, start, "expected a value");
	return false;
}

/*
 * The name of a partial, what is bound to it, and named arguments wherever they are.
 */
bool
te_lax_partial(TeParser *p, const char *start, const char *end, bool is_render, TePartial *partial)
{
	TeNamedExpr *args = NULL;
	int			size = 0;
	Piece		file,
				piece,
				word;
	const char *c;

	memset(partial, 0, sizeof(TePartial));
	if (!find_fragments(start, end, &file) || (is_render && quoted_end(file.start, end) == NULL))
	{
		te_parse_fault(p, start, "the name of a partial is missing");
		return false;
	}
	if (is_render)
		file.end = quoted_end(file.start, end);
	if ((partial->file = lax_expr(p, file, false)) == NULL)
		return false;
	c = skip_space(file.end, end);
	if (end - c > 4 && c > file.end && (memcmp(c, "with", 4) == 0 || memcmp(c, "for", 3) == 0))
	{
		partial->each = *c == 'f';
		c += partial->each ? 3 : 4;
		if (c < end && te_is_space(*c) && find_fragments(skip_space(c, end), end, &piece))
		{
			if ((partial->with = lax_expr(p, piece, false)) == NULL)
				return false;
			c = piece.end;
		}
		c = skip_space(c, end);
	}
	if (end - c > 3 && memcmp(c, "as", 2) == 0 && te_is_space(c[2]))
	{
		partial->alias = c = skip_space(c + 2, end);
		while (c < end && (te_is_word(*c) || *c == '-'))
			c++;
		partial->aliaslen = c - partial->alias;
	}
	for (c = start; c < end; c++)
	{
		const char *value = keyword_end(c, end, &word);

		piece.start = value;
		if (value == NULL || (piece.end = fragment_end(value, end)) == value)
		{
			while (c + 1 < end && te_is_word(c[0]) && te_is_word(c[1]))
				c++;
			continue;
		}
		args = te_parse_append(p, args, partial->nargs, &size, sizeof(TeNamedExpr));
		args[partial->nargs].name = word.start;
		args[partial->nargs].len = word.end - word.start;
		if ((args[partial->nargs++].value = lax_expr(p, piece, false)) == NULL)
			return false;
		c = piece.end - 1;
	}
	partial->args = args;
	return true;
}
