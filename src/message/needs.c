/*
 * needs.c
 *		What a text needs beside its context: content blocks and translations, as far
 *		as its program tells.
 */
#include "postgres.h"

#include <ctype.h>

#include "message/message.h"
#include "template/program.h"

static void walk_block(TeNeeds *needs, const TeBlock *block);

/*
 * Adds a name unless it is there. A ".liquid" at its end does not count.
 */
static void
add_name(TeNeeds *needs, const char *name, int len)
{
	ListCell   *cell;
	char	   *copy;

	if (len > 7 && memcmp(name + len - 7, ".liquid", 7) == 0)
		len -= 7;
	copy = pnstrdup(name, len);
	foreach(cell, needs->blocks)
		if (strcmp(lfirst(cell), copy) == 0)
			return;
	needs->blocks = lappend(needs->blocks, copy);
}

/*
 * Looks for the filter t.
 */
static void
walk_pipe(TeNeeds *needs, const TePipe *pipe)
{
	int			i;

	for (i = 0; i < pipe->ncalls; i++)
		if (pipe->calls[i].len == 1 && pipe->calls[i].name[0] == 't')
			needs->translations = true;
}

/*
 * Adds what a node needs.
 */
static void
walk_node(TeNeeds *needs, const TeNode *node)
{
	const TeExpr *file;
	int			i;

	switch ((TeNodeKind) node->kind)
	{
		case TE_NODE_OUTPUT:
		case TE_NODE_ABORT:
			walk_pipe(needs, &node->u.output);
			break;
		case TE_NODE_ASSIGN:
			walk_pipe(needs, &node->u.assign.value);
			break;
		case TE_NODE_CAPTURE:
			walk_block(needs, node->u.capture.block);
			break;
		case TE_NODE_IF:
		case TE_NODE_CASE:
			for (i = 0; i < node->u.branch.count; i++)
				walk_block(needs, node->u.branch.branches[i].block);
			break;
		case TE_NODE_FOR:
		case TE_NODE_TABLEROW:
			walk_block(needs, node->u.loop->block);
			walk_block(needs, node->u.loop->otherwise);
			break;
		case TE_NODE_IFCHANGED:
			walk_block(needs, node->u.block);
			break;
		case TE_NODE_INCLUDE:
		case TE_NODE_RENDER:
			file = node->u.partial->file;
			if (file && file->kind == TE_EXPR_CONST && file->value.kind == TE_STRING)
				add_name(needs, file->value.u.str, file->value.len);
			else
				needs->all_blocks = true;
			break;
		case TE_NODE_TRANSLATION:
			needs->translations = true;
			walk_block(needs, node->u.translation->block);
			break;
		default:
			break;
	}
}

/*
 * The same for the nodes of a block, which is no deeper than the parser allows.
 */
static void
walk_block(TeNeeds *needs, const TeBlock *block)
{
	int			i;

	for (i = 0; block && i < block->count; i++)
		walk_node(needs, block->nodes[i]);
}

/*
 * Whether a program names a variable.
 */
static bool
names(const TeProgram *program, const char *variable)
{
	int			len = strlen(variable);
	int			i;

	for (i = 0; i < program->nnames; i++)
		if (program->names[i].len == len && memcmp(program->names[i].name, variable, len) == 0)
			return true;
	return false;
}

/*
 * Adds the names of offers in a text that has the variable: all that stands behind
 * "offers.", as names of offers are words.
 */
static void
add_offers(TeNeeds *needs, const char *text, int len)
{
	static const char before[] = "offers.";
	const char *end = text + len;
	const char *at;

	for (at = text; at + sizeof(before) - 1 < end; at++)
	{
		const char *name;
		char	   *copy;
		ListCell   *cell;
		bool		known = false;

		if (memcmp(at, before, sizeof(before) - 1) != 0)
			continue;
		name = at + sizeof(before) - 1;
		for (at = name; at < end && (islower((unsigned char) *at) || isdigit((unsigned char) *at) || *at == '_'); at++)
			 /* to its end */ ;
		copy = pnstrdup(name, at - name);
		foreach(cell, needs->offers)
			known |= strcmp(lfirst(cell), copy) == 0;
		if (copy[0] != '\0' && !known)
			needs->offers = lappend(needs->offers, copy);
		at--;
	}
}

/*
 * Adds what the texts of a content need; names are in the current memory context. One
 * that does not parse needs nothing.
 */
void
te_needs_add(TeNeeds *needs, Jsonb *content)
{
	JsonbIterator *it = JsonbIteratorInit(&content->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		TeProblems	problems = {0};
		const TeProgram *program;

		if ((token != WJB_VALUE && token != WJB_ELEM) || value.type != jbvString)
			continue;
		te_cache_trim();
		program = te_cache_get(value.val.string.val, value.val.string.len, false, false, &problems);
		if (program == NULL)
			continue;
		walk_block(needs, program->root);
		needs->unsubscribe_url |= names(program, "unsubscribe_url");
		needs->preferences_url |= names(program, "preferences_url");
		needs->recommended |= names(program, "recommended");
		if (names(program, "offers"))
			add_offers(needs, value.val.string.val, value.val.string.len);
	}
}
