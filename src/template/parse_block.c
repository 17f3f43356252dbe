/*
 * parse_block.c
 *		Tags that choose or repeat what they hold: if, unless, case, for, tablerow,
 *		ifchanged.
 *
 * A tag whose markup is faulty still reads its body, so that what closes it is not
 * reported as well.
 */
#include "postgres.h"

#include "template/parse_tags.h"

/*
 * Whether a tag has that name.
 */
bool
te_tag_is(const TeTag *tag, const char *name)
{
	return tag->name != NULL && tag->namelen == strlen(name) && memcmp(tag->name, name, tag->namelen) == 0;
}

/*
 * Begins to read a tag's markup.
 */
void
te_tag_begin(TeParser *p, const TeTag *tag)
{
	te_lexer_init(&p->lexer, tag->markup, tag->markup_end);
}

/*
 * Whether a tag's markup is white space.
 */
bool
te_tag_is_bare(const TeTag *tag)
{
	const char *c;

	for (c = tag->markup; c < tag->markup_end; c++)
		if (!te_is_space(*c))
			return false;
	return true;
}

/*
 * Reads the body of a block tag up to its end, or to one of the tags that divide it,
 * which is returned in *end. Other tags that begin nothing are reported.
 */
TeBlock *
te_tag_body(TeParser *p, const TeTag *tag, const char *const *dividers, TeTag *end)
{
	TeBlock    *body = NULL;

	for (;;)
	{
		TeBlock    *block = te_parse_block(p, end);
		int			i;

		if (body == NULL)
			body = block;
		if (p->stop)
			return body;
		if (end->name == NULL)
		{
			te_parse_fault(p, tag->start, "tag \"%.*s\" is never closed", tag->namelen, tag->name);
			return body;
		}
		if (end->namelen == tag->namelen + 3 && memcmp(end->name, "end", 3) == 0 &&
			memcmp(end->name + 3, tag->name, tag->namelen) == 0)
			return body;
		for (i = 0; dividers != NULL && dividers[i] != NULL; i++)
			if (te_tag_is(end, dividers[i]))
				return body;
		if (end->namelen > 3 && memcmp(end->name, "end", 3) == 0)
			te_parse_fault(p, end->start, "\"%.*s\" does not close tag \"%.*s\"",
						   end->namelen, end->name, tag->namelen, tag->name);
		else
			te_parse_fault(p, end->start, "unknown tag \"%.*s\"", end->namelen, end->name);
	}
}

/*
 * Whether a tag ended the block of another, and did not divide it.
 */
static bool
closes(const TeTag *end)
{
	return end->name == NULL || (end->namelen > 3 && memcmp(end->name, "end", 3) == 0);
}

/*
 * {% if a %} {% elsif b %} {% else %} {% endif %}, and unless
 */
void
te_parse_if(TeParser *p, const TeTag *tag, TeNode **node)
{
	static const char *const dividers[] = {"elsif", "else", NULL};
	TeNode	   *result = te_parse_node(p, TE_NODE_IF, tag->markup);
	TeBranch   *branches = NULL;
	int			count = 0,
				size = 0,
				i;
	TeTag		part = *tag;
	bool		good = true;

	result->blank = true;
	do
	{
		TeBranch   *branch;
		TeTag		end;

		branches = te_parse_append(p, branches, count, &size, sizeof(TeBranch));
		branch = &branches[count++];
		memset(branch, 0, sizeof(TeBranch));
		branch->negated = count == 1 && te_tag_is(tag, "unless");
		if (!te_tag_is(&part, "else"))
			good = te_parse_condition(p, part.markup, part.markup_end, &branch->condition) && good;
		branch->block = te_tag_body(p, tag, dividers, &end);
		result->blank = result->blank && branch->block->blank;
		part = end;
	} while (!p->stop && !closes(&part));
	for (i = 0; result->blank && i < count; i++)
		te_parse_strip_blank(branches[i].block);
	result->u.branch.count = count;
	result->u.branch.branches = branches;
	if (good)
		*node = result;
}

/*
 * Adds a branch of a case for one value.
 */
static void
add_when(TeParser *p, const TeExpr *left, const TeExpr *right, TeNode *result, int *size)
{
	TeComparison *comparison = te_parse_alloc(p, sizeof(TeComparison));
	TeBranch   *branch;

	comparison->op = TE_OP_EQ;
	comparison->left = left;
	comparison->right = right;
	result->u.branch.branches = te_parse_append(p, result->u.branch.branches, result->u.branch.count,
												size, sizeof(TeBranch));
	branch = &result->u.branch.branches[result->u.branch.count++];
	memset(branch, 0, sizeof(TeBranch));
	branch->condition.count = 1;
	branch->condition.comparisons = comparison;
}

/*
 * The conditions of {% when a, b or c %} by the grammar: one branch for each, all with
 * the block that follows.
 */
static bool
parse_when(TeParser *p, const TeTag *tag, const TeExpr *left, TeNode *result, int *size)
{
	te_tag_begin(p, tag);
	for (;;)
	{
		const TeExpr *right = te_parse_expr(p);

		if (right == NULL)
			return false;
		add_when(p, left, right, result, size);
		if (!te_parse_accept_word(p, "or") && !te_parse_accept(p, TE_TOKEN_COMMA))
			return te_parse_expect(p, TE_TOKEN_END);
	}
}

/*
 * The same by the lax syntax.
 */
static bool
lax_when(TeParser *p, const TeTag *tag, const TeExpr *left, TeNode *result, int *size)
{
	const char *c = tag->markup;

	do
	{
		const TeExpr *right = te_lax_value(p, c, tag->markup_end, true, &c);

		if (right == NULL)
			return false;
		add_when(p, left, right, result, size);
	} while (te_lax_more(&c, tag->markup_end));
	return true;
}

/*
 * {% case a %} {% when b %} {% else %} {% endcase %}
 */
void
te_parse_case(TeParser *p, const TeTag *tag, TeNode **node)
{
	static const char *const dividers[] = {"when", "else", NULL};
	TeNode	   *result = te_parse_node(p, TE_NODE_CASE, tag->markup);
	TeExpr	   *left;
	int			size = 0,
				count = p->problems->count,
				errors = p->problems->errors,
				i;
	TeTag		part;
	const char *rest;
	bool		good;

	te_tag_begin(p, tag);
	left = unconstify(TeExpr *, te_parse_expr(p));
	good = left != NULL && te_parse_expect(p, TE_TOKEN_END);
	if (!good && te_parse_retry(p, count, errors))
	{
		left = unconstify(TeExpr *, te_lax_value(p, tag->markup, tag->markup_end, false, &rest));
		good = left != NULL;
	}
	/* what stands before the first "when" is read and not used; the value is no condition */
	result->blank = te_tag_body(p, tag, dividers, &part)->blank;
	if (left != NULL && left->literal)
		left->value = TE_VALUE_STRING("", 0);
	while (!p->stop && !closes(&part))
	{
		int			first = result->u.branch.count;
		TeBlock    *block;

		count = p->problems->count;
		errors = p->problems->errors;
		if (te_tag_is(&part, "when"))
		{
			bool		parsed = parse_when(p, &part, left, result, &size);

			if (!parsed && te_parse_retry(p, count, errors))
			{
				result->u.branch.count = first;
				parsed = lax_when(p, &part, left, result, &size);
			}
			good = parsed && good;
		}
		else
		{
			if (!te_tag_is_bare(&part))
			{
				te_parse_fault(p, part.markup, "\"else\" of a case takes nothing");
				good = false;
			}
			result->u.branch.branches = te_parse_append(p, result->u.branch.branches, first, &size, sizeof(TeBranch));
			memset(&result->u.branch.branches[first], 0, sizeof(TeBranch));
			result->u.branch.count++;
		}
		block = te_tag_body(p, tag, dividers, &part);
		result->blank = result->blank && block->blank;
		for (i = first; i < result->u.branch.count; i++)
			result->u.branch.branches[i].block = block;
	}
	for (i = 0; result->blank && i < result->u.branch.count; i++)
		te_parse_strip_blank(result->u.branch.branches[i].block);
	if (good)
		*node = result;
}

/*
 * Reads "item in collection" and writes item-collection, without white space, as the
 * loop's name.
 */
static bool
parse_loop_head(TeParser *p, TeLoop *loop)
{
	TeToken		item = p->lexer.token;
	const char *start,
			   *c;
	char	   *name;

	if (!te_parse_expect(p, TE_TOKEN_ID))
		return false;
	loop->slot = te_parse_target(p, item.data, item.len);
	if (!te_parse_accept_word(p, "in"))
	{
		te_parse_fault(p, p->lexer.token.start, "expected \"in\" after the name");
		return false;
	}
	start = p->lexer.token.start;
	if ((loop->collection = te_parse_expr(p)) == NULL)
		return false;
	name = te_parse_alloc(p, item.len + 1 + (p->lexer.last_end - start));
	memcpy(name, item.data, item.len);
	loop->namelen = item.len;
	name[loop->namelen++] = '-';
	for (c = start; c < p->lexer.last_end; c++)
		if (!te_is_space(*c))
			name[loop->namelen++] = *c;
	loop->name = name;
	return true;
}

/*
 * The rest of a for tag's markup: reversed, limit and offset.
 */
static bool
parse_for_markup(TeParser *p, TeLoop *loop)
{
	if (!parse_loop_head(p, loop))
		return false;
	loop->reversed = te_parse_accept_word(p, "reversed");
	while (p->lexer.token.kind == TE_TOKEN_COMMA || p->lexer.token.kind == TE_TOKEN_ID)
	{
		bool		limit;

		te_parse_accept(p, TE_TOKEN_COMMA);
		limit = te_parse_accept_word(p, "limit");
		if (!limit && !te_parse_accept_word(p, "offset"))
		{
			te_parse_fault(p, p->lexer.token.start, "a for loop takes \"reversed\", \"limit:\" and \"offset:\"");
			return false;
		}
		if (!te_parse_expect(p, TE_TOKEN_COLON))
			return false;
		if (!limit && p->lexer.token.kind == TE_TOKEN_ID && p->lexer.token.len == 8 &&
			memcmp(p->lexer.token.data, "continue", 8) == 0 &&
			p->lexer.next.kind != TE_TOKEN_DOT && p->lexer.next.kind != TE_TOKEN_OPEN_SQUARE)
		{
			loop->continues = true;
			te_lexer_next(&p->lexer);
		}
		else
		{
			const TeExpr *value = te_parse_expr(p);

			if (value == NULL)
				return false;
			if (limit)
				loop->limit = value;
			else
			{
				loop->offset = value;
				loop->continues = false;
			}
		}
	}
	return te_parse_expect(p, TE_TOKEN_END);
}

/*
 * {% for item in list reversed limit: n offset: n %} {% else %} {% endfor %}
 */
void
te_parse_for(TeParser *p, const TeTag *tag, TeNode **node)
{
	static const char *const dividers[] = {"else", NULL};
	TeNode	   *result = te_parse_node(p, TE_NODE_FOR, tag->markup);
	TeLoop	   *loop = te_parse_alloc(p, sizeof(TeLoop));
	int			count = p->problems->count,
				errors = p->problems->errors;
	TeTag		end;
	bool		good;

	te_tag_begin(p, tag);
	good = parse_for_markup(p, loop) ||
		(te_parse_retry(p, count, errors) && te_lax_loop(p, tag->markup, tag->markup_end, loop));
	loop->forloop = te_parse_target(p, "forloop", 7);
	loop->block = te_tag_body(p, tag, dividers, &end);
	result->blank = loop->block->blank;
	while (!p->stop && !closes(&end))
	{
		loop->otherwise = te_tag_body(p, tag, dividers, &end);
		result->blank = result->blank && loop->otherwise->blank;
	}
	if (result->blank)
	{
		te_parse_strip_blank(loop->block);
		if (loop->otherwise != NULL)
			te_parse_strip_blank(loop->otherwise);
	}
	result->u.loop = loop;
	if (good)
		*node = result;
}

/*
 * The markup of a tablerow tag.
 */
static bool
parse_tablerow_markup(TeParser *p, TeLoop *loop)
{
	if (!parse_loop_head(p, loop))
		return false;
	te_parse_accept(p, TE_TOKEN_COMMA);
	while (p->lexer.token.kind == TE_TOKEN_ID)
	{
		TeToken		name = p->lexer.token;
		const TeExpr *value;
		const TeExpr **place;
		const TeExpr *unused;

		if (te_parse_accept_word(p, "cols"))
			place = &loop->cols;
		else if (te_parse_accept_word(p, "limit"))
			place = &loop->limit;
		else if (te_parse_accept_word(p, "offset"))
			place = &loop->offset;
		else if (te_parse_accept_word(p, "range"))
			place = &unused;
		else
		{
			te_parse_fault(p, name.start, "a tablerow loop takes \"cols:\", \"limit:\" and \"offset:\"");
			return false;
		}
		if (!te_parse_expect(p, TE_TOKEN_COLON) || (value = te_parse_expr(p)) == NULL)
			return false;
		*place = value;
		te_parse_accept(p, TE_TOKEN_COMMA);
	}
	return te_parse_expect(p, TE_TOKEN_END);
}

/*
 * {% tablerow item in list cols: n limit: n offset: n %} {% endtablerow %}
 */
void
te_parse_tablerow(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_TABLEROW, tag->markup);
	TeLoop	   *loop = te_parse_alloc(p, sizeof(TeLoop));
	int			count = p->problems->count,
				errors = p->problems->errors;
	TeTag		end;
	bool		good;

	te_tag_begin(p, tag);
	good = parse_tablerow_markup(p, loop) ||
		(te_parse_retry(p, count, errors) && te_lax_loop(p, tag->markup, tag->markup_end, loop));
	loop->forloop = te_parse_target(p, "tablerowloop", 12);
	loop->block = te_tag_body(p, tag, NULL, &end);
	result->blank = loop->block->blank;
	result->u.loop = loop;
	if (good)
		*node = result;
}

/*
 * {% ifchanged %} ... {% endifchanged %}
 */
void
te_parse_ifchanged(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_IFCHANGED, tag->markup);
	TeTag		end;

	result->u.block = te_tag_body(p, tag, NULL, &end);
	result->blank = result->u.block->blank;
	*node = result;
}
