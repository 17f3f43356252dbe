/*
 * parse_tag.c
 *		The tags by their names, and the markup of those that hold no blocks to choose
 *		from.
 */
#include "postgres.h"

#include "template/parse_tags.h"

/* Parses a tag into *node, which stays NULL at a fault. */
typedef void (*TagParser) (TeParser *p, const TeTag *tag, TeNode **node);

/*
 * The name that a tag gives a value to: letters, digits, underscores and hyphens, not
 * led by a hyphen; digits alone only where allowed. -1 at a fault.
 */
static int
parse_target(TeParser *p, bool allow_digits)
{
	TeToken		token = p->lexer.token;
	bool		digits = allow_digits && token.kind == TE_TOKEN_NUMBER && token.data[0] != '-' && memchr(token.data, '.', token.len) == NULL;

	if (!digits && token.kind != TE_TOKEN_ID)
	{
		te_parse_expect(p, TE_TOKEN_ID);
		return -1;
	}
	te_lexer_next(&p->lexer);
	return te_parse_target(p, token.data, token.len);
}

/*
 * {% assign name = value | filters %}
 */
static void
parse_assign(TeParser *p, const TeTag *tag, TeNode **node)
{
	const char *c = tag->markup;
	const char *end = tag->markup_end;
	TeNode	   *result = te_parse_node(p, TE_NODE_ASSIGN, tag->markup);
	int			count = p->problems->count,
				errors = p->problems->errors;

	while (c < end && (te_is_word(*c) || *c == '-'))
		c++;
	te_lexer_init(&p->lexer, tag->markup, c);
	if ((result->u.assign.slot = parse_target(p, true)) < 0 || !te_parse_expect(p, TE_TOKEN_END))
	{
		if (!te_parse_retry(p, count, errors))
			return;
		result->u.assign.slot = te_lax_target(p, tag->markup, c);
	}
	while (c < end && te_is_space(*c))
		c++;
	if (c == end || *c != '=')
	{
		te_parse_fault(p, c, "expected \"=\" after the name");
		return;
	}
	result->blank = true;
	if (te_parse_pipe(p, c + 1, end, &result->u.assign.value))
		*node = result;
}

/*
 * {% capture name %} ... {% endcapture %}
 */
static void
parse_capture(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_CAPTURE, tag->markup);
	int			count = p->problems->count,
				errors = p->problems->errors;
	TeTag		end;
	bool		good;

	te_tag_begin(p, tag);
	good = (result->u.capture.slot = parse_target(p, true)) >= 0 && te_parse_expect(p, TE_TOKEN_END);
	if (!good && (good = te_parse_retry(p, count, errors)))
		result->u.capture.slot = te_lax_target(p, tag->markup, tag->markup_end);
	result->u.capture.block = te_tag_body(p, tag, NULL, &end);
	result->blank = true;
	if (good)
		*node = result;
}

/*
 * {% echo value | filters %}
 */
static void
parse_echo(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_OUTPUT, tag->markup);

	if (te_parse_pipe(p, tag->markup, tag->markup_end, &result->u.output))
		*node = result;
}

/*
 * {% break %}
 */
static void
parse_break(TeParser *p, const TeTag *tag, TeNode **node)
{
	*node = te_parse_node(p, TE_NODE_BREAK, tag->markup);
}

/*
 * {% continue %}
 */
static void
parse_continue(TeParser *p, const TeTag *tag, TeNode **node)
{
	*node = te_parse_node(p, TE_NODE_CONTINUE, tag->markup);
}

/*
 * Writes what tells one list of constants from another.
 */
static void
write_cycle_key(TeParser *p, TeCycle *cycle, const char *start, const char *end)
{
	char	   *key = te_parse_alloc(p, end - start + 1);
	const char *c;
	char		quote = '\0';

	for (c = start; c < end; c++)
	{
		if (quote == '\0' && te_is_space(*c))
			continue;
		if (*c == quote)
			quote = '\0';
		else if (quote == '\0' && (*c == '"' || *c == '\''))
			quote = *c;
		key[cycle->keylen++] = *c == '\'' && (quote == '\0' || quote == *c) ? '"' : *c;
	}
	if (cycle->keylen > 0 && key[cycle->keylen - 1] == ',')
		cycle->keylen--;
	cycle->key = key;
}

/*
 * The markup of a cycle by the grammar.
 */
static bool
parse_cycle_markup(TeParser *p, TeCycle *cycle)
{
	const TeExpr *value;
	int			size = 0;

	if ((value = te_parse_expr(p)) == NULL)
		return false;
	if (te_parse_accept(p, TE_TOKEN_COLON))
	{
		cycle->group = value;
		if ((value = te_parse_expr(p)) == NULL)
			return false;
	}
	for (;;)
	{
		cycle->values = te_parse_append(p, cycle->values, cycle->count, &size, sizeof(TeExpr *));
		cycle->values[cycle->count++] = value;
		if (!te_parse_accept(p, TE_TOKEN_COMMA) || p->lexer.token.kind == TE_TOKEN_END)
			return te_parse_expect(p, TE_TOKEN_END);
		if ((value = te_parse_expr(p)) == NULL)
			return false;
	}
}

/*
 * {% cycle group: a, b, c %}
 */
static void
parse_cycle(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_CYCLE, tag->markup);
	TeCycle    *cycle = te_parse_alloc(p, sizeof(TeCycle));
	int			count = p->problems->count,
				errors = p->problems->errors;
	bool		constant = true;
	int			i;

	te_tag_begin(p, tag);
	if (!parse_cycle_markup(p, cycle) &&
		!(te_parse_retry(p, count, errors) && te_lax_cycle(p, tag->markup, tag->markup_end, cycle)))
		return;
	for (i = 0; i < cycle->count; i++)
		constant = constant && cycle->values[i]->kind == TE_EXPR_CONST;
	if (cycle->group == NULL && constant)
		write_cycle_key(p, cycle, tag->markup, tag->markup_end);
	result->u.cycle = cycle;
	*node = result;
}

/*
 * {% increment name %} and {% decrement name %}
 */
static void
parse_counter(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, te_tag_is(tag, "increment") ? TE_NODE_INCREMENT : TE_NODE_DECREMENT, tag->markup);

	int			count = p->problems->count,
				errors = p->problems->errors;
	bool		good;

	te_tag_begin(p, tag);
	good = (result->u.slot = parse_target(p, false)) >= 0 && te_parse_expect(p, TE_TOKEN_END);
	if (!good && (good = te_parse_retry(p, count, errors)))
		result->u.slot = te_lax_target(p, tag->markup, tag->markup_end);
	if (good)
		*node = result;
}

/*
 * Finds the tag that ends a raw or doc block: "{%", perhaps a hyphen, the name, and
 * "%}" with no other tag begun before. Returns where it begins and, in *after, where
 * it ends; NULL when there is none.
 */
static const char *
find_end_tag(TeParser *p, const char *name, const char **after)
{
	int			len = strlen(name);
	const char *at = p->at;

	while ((at = memchr(at, '{', p->end - at)) != NULL)
	{
		const char *c = at + 2;

		if (at + 1 >= p->end || at[1] != '%')
		{
			at++;
			continue;
		}
		if (c < p->end && *c == '-')
			c++;
		while (c < p->end && te_is_space(*c))
			c++;
		if (p->end - c > len && memcmp(c, name, len) == 0 && !te_is_word(c[len]))
		{
			for (c += len; c + 1 < p->end; c++)
			{
				if (c[0] == '%' && c[1] == '}')
				{
					p->trim = c[-1] == '-';
					*after = c + 2;
					return at;
				}
				if (c[0] == '{' && c[1] == '%')
					break;
			}
		}
		at += 2;
	}
	return NULL;
}

/*
 * {% comment %} ... {% endcomment %}: comments within it and raw blocks are stepped over.
 */
static void
parse_comment(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeTag		inner;
	int			depth = 1;

	while (depth > 0)
	{
		if (!te_parse_next_tag(p, &inner))
		{
			te_parse_fault(p, tag->start, "tag \"comment\" is never closed");
			return;
		}
		if (te_tag_is(&inner, "comment"))
			depth++;
		else if (te_tag_is(&inner, "endcomment"))
			depth--;
		else if (te_tag_is(&inner, "raw") && p->liquid_at == NULL)
		{
			const char *after = p->end;

			(void) find_end_tag(p, "endraw", &after);
			p->at = after;
		}
	}
	*node = te_parse_node(p, TE_NODE_NOTHING, tag->markup);
	(*node)->blank = true;
}

/*
 * {% # note %}: in a tag of many lines each has its mark.
 */
static void
parse_note(TeParser *p, const TeTag *tag, TeNode **node)
{
	const char *c;
	bool		line_starts = false;

	for (c = tag->markup; c < tag->markup_end; c++)
	{
		if (*c == '\n')
			line_starts = true;
		else if (line_starts && !te_is_space(*c))
		{
			if (*c != '#')
			{
				te_parse_fault(p, c, "each line of a comment begins with \"#\"");
				return;
			}
			line_starts = false;
		}
	}
	*node = te_parse_node(p, TE_NODE_NOTHING, tag->markup);
	(*node)->blank = true;
}

/*
 * {% raw %} ... {% endraw %}
 */
static void
parse_raw(TeParser *p, const TeTag *tag, TeNode **node)
{
	const char *after = p->end;
	const char *end = p->liquid_at ? NULL : find_end_tag(p, "endraw", &after);

	if (!te_tag_is_bare(tag))
		te_parse_fault(p, tag->markup, "tag \"raw\" takes nothing");
	if (end == NULL)
	{
		te_parse_fault(p, tag->start, "tag \"raw\" is never closed");
		if (p->liquid_at)
			p->liquid_at = p->liquid_end;
		else
			p->at = p->end;
		return;
	}
	*node = te_parse_node(p, TE_NODE_RAW, tag->markup);
	(*node)->u.text.data = p->at;
	(*node)->u.text.len = end - p->at;
	(*node)->blank = end == p->at;
	p->at = after;
}

/*
 * {% doc %} ... {% enddoc %}: words for who reads the template.
 */
static void
parse_doc(TeParser *p, const TeTag *tag, TeNode **node)
{
	const char *after = p->end,
			   *other;
	bool		trim = p->trim;
	const char *nested = p->liquid_at ? NULL : find_end_tag(p, "doc", &other);
	const char *end;

	p->trim = trim;
	end = p->liquid_at ? NULL : find_end_tag(p, "enddoc", &after);
	if (!te_tag_is_bare(tag))
		te_parse_fault(p, tag->markup, "tag \"doc\" takes nothing");
	if (nested != NULL && (end == NULL || nested < end))
		te_parse_fault(p, nested, "tag \"doc\" cannot hold another");
	if (end == NULL)
	{
		te_parse_fault(p, tag->start, "tag \"doc\" is never closed");
		if (p->liquid_at)
			p->liquid_at = p->liquid_end;
		else
			p->at = p->end;
		return;
	}
	*node = te_parse_node(p, TE_NODE_NOTHING, tag->markup);
	(*node)->blank = end == p->at;
	p->at = after;
}

/*
 * The markup of include and render by the grammar.
 */
static bool
parse_partial_markup(TeParser *p, bool is_render, TePartial *partial)
{
	if (is_render && p->lexer.token.kind != TE_TOKEN_STRING)
	{
		te_parse_fault(p, p->lexer.token.start, "the name of a partial to render is a text in quotes");
		return false;
	}
	if ((partial->file = te_parse_expr(p)) == NULL)
		return false;
	partial->each = te_parse_accept_word(p, "for");
	if ((partial->each || te_parse_accept_word(p, "with")) && (partial->with = te_parse_expr(p)) == NULL)
		return false;
	if (te_parse_accept_word(p, "as"))
	{
		partial->alias = p->lexer.token.data;
		partial->aliaslen = p->lexer.token.len;
		if (!te_parse_expect(p, TE_TOKEN_ID))
			return false;
	}
	te_parse_accept(p, TE_TOKEN_COMMA);
	return te_parse_named(p, &partial->args, &partial->nargs);
}

/*
 * {% include name with value as name, arg: value %} and {% render 'name' ... %}
 */
static void
parse_partial(TeParser *p, const TeTag *tag, TeNode **node)
{
	bool		is_render = te_tag_is(tag, "render");
	TeNode	   *result = te_parse_node(p, is_render ? TE_NODE_RENDER : TE_NODE_INCLUDE, tag->markup);
	TePartial  *partial = te_parse_alloc(p, sizeof(TePartial));
	int			count = p->problems->count,
				errors = p->problems->errors;

	te_tag_begin(p, tag);
	if (!parse_partial_markup(p, is_render, partial) &&
		!(te_parse_retry(p, count, errors) &&
		  te_lax_partial(p, tag->markup, tag->markup_end, is_render, partial)))
		return;
	/* an included text may give any variable a value */
	if (!is_render)
		p->includes = true;
	result->u.partial = partial;
	*node = result;
}

/*
 * {% abort_message 'reason' %}, also with brackets around it
 */
static void
parse_abort(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_ABORT, tag->markup);
	const char *start = tag->markup,
			   *end = tag->markup_end;

	while (end > start && te_is_space(end[-1]))
		end--;
	if (start < end && *start == '(' && end[-1] == ')')
	{
		start++;
		end--;
	}
	if (te_parse_pipe(p, start, end, &result->u.output))
		*node = result;
}

/*
 * {% t key, name: value %} default text {% endt %}, and translation
 */
static void
parse_translation(TeParser *p, const TeTag *tag, TeNode **node)
{
	TeNode	   *result = te_parse_node(p, TE_NODE_TRANSLATION, tag->markup);
	TeTranslation *translation = te_parse_alloc(p, sizeof(TeTranslation));
	TeTag		end;
	bool		good;

	te_tag_begin(p, tag);
	translation->key = p->lexer.token.data;
	translation->keylen = p->lexer.token.len;
	if (p->lexer.token.kind == TE_TOKEN_STRING)
	{
		te_lexer_next(&p->lexer);
		good = true;
	}
	else
	{
		good = te_parse_expect(p, TE_TOKEN_ID);
		while (good && te_parse_accept(p, TE_TOKEN_DOT))
			good = te_parse_expect(p, TE_TOKEN_ID);
		translation->keylen = p->lexer.last_end - translation->key;
	}
	if (good)
	{
		te_parse_accept(p, TE_TOKEN_COMMA);
		good = te_parse_named(p, &translation->args, &translation->nargs);
	}
	translation->block = te_tag_body(p, tag, NULL, &end);
	result->u.translation = translation;
	if (good)
		*node = result;
}

/*
 * Parses the tag if one of its name begins something. False when none does; true
 * with *node still NULL when it has a fault.
 */
bool
te_parse_tag(TeParser *p, const TeTag *tag, TeNode **node)
{
	static const struct
	{
		const char *name;
		TagParser	parse;
	}			tags[] = {
		{"assign", parse_assign},
		{"if", te_parse_if},
		{"for", te_parse_for},
		{"unless", te_parse_if},
		{"case", te_parse_case},
		{"capture", parse_capture},
		{"echo", parse_echo},
		{"render", parse_partial},
		{"include", parse_partial},
		{"comment", parse_comment},
		{"#", parse_note},
		{"raw", parse_raw},
		{"break", parse_break},
		{"continue", parse_continue},
		{"cycle", parse_cycle},
		{"increment", parse_counter},
		{"decrement", parse_counter},
		{"ifchanged", te_parse_ifchanged},
		{"tablerow", te_parse_tablerow},
		{"doc", parse_doc},
		{"abort_message", parse_abort},
		{"t", parse_translation},
		{"translation", parse_translation},
	};
	int			i;

	for (i = 0; i < lengthof(tags); i++)
	{
		if (te_tag_is(tag, tags[i].name))
		{
			tags[i].parse(p, tag, node);
			return true;
		}
	}
	return false;
}
