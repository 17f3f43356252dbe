/*
 * parse.c
 *		From the text of a template to its program: text, outputs, tags and blocks.
 *
 * The text is read once, from left to right. A fault is written down and reading goes
 * on behind the tag that has it, so that check_template() shows them all; a limit ends
 * it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "guc.h"
#include "template/parse.h"

#define MOST_PROBLEMS 100

/*
 * Memory that lasts as long as the program, zeroed.
 */
void *
te_parse_alloc(TeParser *p, Size size)
{
	return MemoryContextAllocZero(p->program->context, Max(size, 1));
}

/*
 * The array, moved when it has no room for one item more.
 */
void *
te_parse_append(TeParser *p, void *array, int count, int *size, Size item)
{
	if (count < *size)
		return array;
	*size = *size == 0 ? 4 : *size * 2;
	if (array == NULL)
		return MemoryContextAlloc(p->program->context, *size * item);
	return repalloc(array, *size * item);
}

/*
 * Line of a place in the text, counted on from the place asked for last.
 */
int
te_parse_line(TeParser *p, const char *at)
{
	const char *c;

	for (c = p->line_at; c < at; c++)
		p->line += *c == '\n';
	for (c = p->line_at; c > at; c--)
		p->line -= c[-1] == '\n';
	p->line_at = at;
	return p->line;
}

/*
 * Line and column, in characters from 1, of a place in a text.
 */
void
te_text_position(const char *text, int offset, int *line, int *column)
{
	int			i;

	*line = *column = 1;
	for (i = 0; i < offset; i++)
	{
		if (text[i] == '\n')
		{
			(*line)++;
			*column = 1;
		}
		else if (((unsigned char) text[i] & 0xC0) != 0x80)
			(*column)++;
	}
}

/*
 * Writes a problem down, in the context of the caller of the parser.
 */
static TeProblem *
add_problem(TeParser *p, const char *at, const char *severity)
{
	TeProblems *problems = p->problems;
	TeProblem  *problem;

	if (problems->count >= MOST_PROBLEMS)
	{
		p->stop = true;
		return NULL;
	}
	if (problems->count == problems->size)
	{
		int			size = problems->size == 0 ? 4 : problems->size * 2;

		problems->items = problems->items == NULL
			? MemoryContextAlloc(p->outer, size * sizeof(TeProblem))
			: repalloc(problems->items, size * sizeof(TeProblem));
		problems->size = size;
	}
	problem = &problems->items[problems->count++];
	memset(problem, 0, sizeof(TeProblem));
	problem->offset = at - p->text;
	problem->severity = severity;
	return problem;
}

/*
 * Writes down what is wrong at a place of the text.
 */
void
te_parse_fault(TeParser *p, const char *at, const char *format,...)
{
	TeProblem  *problem = add_problem(p, at, "error");
	char		message[300];
	va_list		args;

	p->problems->errors++;
	if (problem == NULL)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	/* a name that was cut may end within a character */
	te_text_repair(message, sizeof(message));
	problem->message = MemoryContextStrdup(p->outer, message);
}

/*
 * The same for what is allowed and probably wrong; only when warnings are wanted.
 */
void
te_parse_warn(TeParser *p, const char *at, const char *hint, const char *format,...)
{
	TeProblem  *problem;
	char		message[300];
	va_list		args;

	if (!p->warnings || (problem = add_problem(p, at, "warning")) == NULL)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	te_text_repair(message, sizeof(message));
	problem->message = MemoryContextStrdup(p->outer, message);
	problem->hint = hint;
}

/*
 * The text is over a limit: nothing more of it is read.
 */
void
te_parse_limit(TeParser *p, const char *at, const char *setting, int value, const char *unit)
{
	if (p->stop)
		return;
	te_parse_fault(p, at, "template exceeds trigger_engine.%s of %d%s", setting, value, unit);
	if (p->problems->count > 0)
		p->problems->items[p->problems->count - 1].limit = setting;
	p->stop = true;
}

/*
 * True in the lax syntax, having forgotten the faults that came up since there were so
 * many problems and errors: the markup is to be read once more. False when it is not
 * lax, or over a limit.
 */
bool
te_parse_retry(TeParser *p, int count, int errors)
{
	if (!p->lax || p->stop)
		return false;
	p->problems->count = count;
	p->problems->errors = errors;
	return true;
}

/*
 * A new node for what begins at a place of the text, counted against the limit.
 */
TeNode *
te_parse_node(TeParser *p, TeNodeKind kind, const char *at)
{
	TeNode	   *node = te_parse_alloc(p, sizeof(TeNode));

	node->kind = kind;
	node->line = te_parse_line(p, at);
	if (++p->program->nodes > te_guc_template_nodes)
		te_parse_limit(p, at, "template_nodes", te_guc_template_nodes, "");
	if ((p->program->nodes & 1023) == 0)
		CHECK_FOR_INTERRUPTS();
	return node;
}

/*
 * Where "needle" of two bytes stands first in the text, or NULL.
 */
static const char *
find_pair(const char *at, const char *end, char first, char second)
{
	while ((at = memchr(at, first, end - at)) != NULL)
	{
		if (at + 1 < end && at[1] == second)
			return at;
		at++;
	}
	return NULL;
}

/*
 * Splits what stands between {% and %} into name and markup. False when it begins
 * with no name.
 */
static bool
split_tag(TeTag *tag, const char *at, const char *end)
{
	while (at < end && te_is_space(*at))
		at++;
	tag->name = at;
	if (at < end && *at == '#')
		at++;
	else
		while (at < end && te_is_word(*at))
			at++;
	tag->namelen = at - tag->name;
	while (at < end && te_is_space(*at))
		at++;
	tag->markup = at;
	tag->markup_end = end;
	return tag->namelen > 0;
}

/*
 * Reads a tag whose {% stands at the current place, and moves behind it. False, with
 * the fault reported, when it is not closed or has no name. The caller trims.
 */
static bool
read_tag(TeParser *p, TeTag *tag)
{
	const char *start = p->at;
	const char *close = find_pair(start + 2, p->end, '%', '}');
	const char *from = start + 2,
			   *to = close;

	tag->start = start;
	if (close == NULL)
	{
		te_parse_fault(p, start, "tag is not closed");
		p->at = p->end;
		return false;
	}
	p->at = close + 2;
	if (from < to && *from == '-')
		from++;
	if (to > from && to[-1] == '-')
		to--;
	p->trim = close[-1] == '-' && close - start > 2;
	if (split_tag(tag, from, to))
		return true;
	te_parse_fault(p, start, "tag has no name");
	return false;
}

/*
 * Reads a line of a liquid tag. False when there is none left; a line that is no tag
 * is reported and skipped.
 */
static bool
read_line(TeParser *p, TeTag *tag)
{
	while (p->liquid_at < p->liquid_end)
	{
		const char *start = p->liquid_at;
		const char *newline = memchr(start, '\n', p->liquid_end - start);
		const char *end = newline ? newline : p->liquid_end;

		p->liquid_at = newline ? newline + 1 : p->liquid_end;
		tag->start = start;
		if (split_tag(tag, start, end))
		{
			tag->start = tag->name;
			return true;
		}
		if (tag->markup < end)
			te_parse_fault(p, tag->markup, "line has no tag");
	}
	return false;
}

/*
 * For tags whose body is not Liquid: moves to the next tag of any name, or behind the
 * next output. False when the text ends; name is NULL when it was no tag.
 */
bool
te_parse_next_tag(TeParser *p, TeTag *tag)
{
	const char *at = p->at;

	tag->name = NULL;
	if (p->liquid_at != NULL)
		return read_line(p, tag);
	while ((at = memchr(at, '{', p->end - at)) != NULL && at + 1 < p->end)
	{
		const char *close;

		if (at[1] == '%')
		{
			close = find_pair(at + 2, p->end, '%', '}');
			if (close == NULL)
				break;
			p->at = close + 2;
			tag->start = at;
			p->trim = close[-1] == '-';
			if (!split_tag(tag, at + 2 + (at[2] == '-'), close - (close[-1] == '-' && close - at > 3)))
				tag->name = NULL;
			return true;
		}
		if (at[1] == '{')
		{
			const char *opened;

			close = p->no_output_ends ? NULL : find_pair(at + 2, p->end, '}', '}');
			p->no_output_ends = close == NULL;
			/* an output that is not closed reaches as far as the tag in it */
			opened = find_pair(at + 2, close ? close : p->end, '{', '%');
			if (opened != NULL)
				close = find_pair(opened + 2, p->end, '%', '}');
			if (close == NULL)
				break;
			p->at = close + 2;
			return true;
		}
		at++;
	}
	p->at = p->end;
	return false;
}

/*
 * Adds a node to a block.
 */
static void
add_node(TeParser *p, TeBlock *block, int *size, TeNode *node)
{
	block->nodes = te_parse_append(p, block->nodes, block->count, size, sizeof(TeNode *));
	block->nodes[block->count++] = node;
	block->blank = block->blank && node->blank;
}

/*
 * Takes the white space off the end of the text before a tag with a hyphen.
 */
static void
trim_before(TeBlock *block)
{
	TeNode	   *last = block->count > 0 ? block->nodes[block->count - 1] : NULL;

	if (last == NULL || last->kind != TE_NODE_TEXT)
		return;
	while (last->u.text.len > 0 && te_is_space(last->u.text.data[last->u.text.len - 1]))
		last->u.text.len--;
}

/*
 * Reads text up to the next {{ or {%. NULL when there is none to keep.
 */
static TeNode *
parse_text(TeParser *p)
{
	const char *start = p->at;
	const char *end = start;
	TeNode	   *node;

	while ((end = memchr(end, '{', p->end - end)) != NULL)
	{
		if (end + 1 < p->end && (end[1] == '{' || end[1] == '%'))
			break;
		end++;
	}
	if (end == NULL)
		end = p->end;
	p->at = end;
	if (p->trim)
		while (start < end && te_is_space(*start))
			start++;
	p->trim = false;
	if (start == end)
		return NULL;
	node = te_parse_node(p, TE_NODE_TEXT, start);
	node->u.text.data = start;
	node->u.text.len = end - start;
	node->blank = true;
	while (start < end && node->blank)
		node->blank = te_is_space(*start++);
	return node;
}

/*
 * Reads an output whose {{ stands at the current place. NULL at a fault.
 */
static TeNode *
parse_output(TeParser *p, TeBlock *block)
{
	const char *start = p->at;
	const char *from = start + 2;
	const char *opened,
			   *close = find_pair(from, p->end, '}', '}');
	TeNode	   *node;

	opened = close ? find_pair(from, close, '{', '%') : NULL;
	if (close == NULL || opened != NULL)
	{
		te_parse_fault(p, start, "output is not closed");
		p->at = opened ? opened : p->end;
		return NULL;
	}
	p->at = close + 2;
	if (from < close && *from == '-')
	{
		trim_before(block);
		from++;
	}
	p->trim = close - start > 2 && close[-1] == '-';
	node = te_parse_node(p, TE_NODE_OUTPUT, start);
	return te_parse_pipe(p, from, from < close && close[-1] == '-' ? close - 1 : close, &node->u.output) ? node : NULL;
}

/*
 * Reads the lines of a liquid tag into the block that it stands in.
 */
static void
parse_liquid(TeParser *p, TeBlock *block, int *size, const TeTag *tag)
{
	const char *outer_at = p->liquid_at,
			   *outer_end = p->liquid_end;
	TeTag		line;

	if (++p->depth > te_guc_template_nesting)
		te_parse_limit(p, tag->start, "template_nesting", te_guc_template_nesting, "");
	p->liquid_at = tag->markup;
	p->liquid_end = tag->markup_end;
	while (!p->stop && read_line(p, &line))
	{
		TeNode	   *node = NULL;

		if (line.namelen == 6 && memcmp(line.name, "liquid", 6) == 0)
			parse_liquid(p, block, size, &line);
		else if (!te_parse_tag(p, &line, &node))
			te_parse_fault(p, line.start, "unknown tag \"%.*s\"", line.namelen, line.name);
		if (node != NULL)
			add_node(p, block, size, node);
	}
	p->liquid_at = outer_at;
	p->liquid_end = outer_end;
	p->depth--;
}

/*
 * Takes a tag: adds its node to the block, or returns false when it is none that
 * begins here.
 */
static bool
take_tag(TeParser *p, TeBlock *block, int *size, const TeTag *tag)
{
	TeNode	   *node = NULL;

	if (tag->namelen == 6 && memcmp(tag->name, "liquid", 6) == 0)
	{
		parse_liquid(p, block, size, tag);
		return true;
	}
	if (!te_parse_tag(p, tag, &node))
		return false;
	if (node != NULL)
		add_node(p, block, size, node);
	return true;
}

/*
 * Reads nodes up to a tag that does not begin one, which is returned in *end; its
 * name is NULL when the text ends. The caller decides what it means.
 */
TeBlock *
te_parse_block(TeParser *p, TeTag *end)
{
	TeBlock    *block = te_parse_alloc(p, sizeof(TeBlock));
	int			size = 0;

	block->blank = true;
	if (++p->depth > te_guc_template_nesting + 1)
		te_parse_limit(p, p->liquid_at ? p->liquid_at : p->at, "template_nesting", te_guc_template_nesting, "");
	while (!p->stop)
	{
		TeNode	   *node = NULL;

		if (p->liquid_at != NULL)
		{
			if (!read_line(p, end))
				break;
			if (!take_tag(p, block, &size, end))
				goto ended;
			continue;
		}
		if (p->at >= p->end)
			break;
		if (p->at[0] == '{' && p->at + 1 < p->end && p->at[1] == '%')
		{
			if (p->at + 2 < p->end && p->at[2] == '-')
				trim_before(block);
			if (read_tag(p, end) && !take_tag(p, block, &size, end))
				goto ended;
			continue;
		}
		if (p->at[0] == '{' && p->at + 1 < p->end && p->at[1] == '{')
			node = parse_output(p, block);
		else
			node = parse_text(p);
		if (node != NULL)
			add_node(p, block, &size, node);
	}
	end->name = NULL;
ended:
	p->depth--;
	return block;
}

/*
 * Takes the white space out of a block that has nothing else to print.
 */
void
te_parse_strip_blank(TeBlock *block)
{
	int			i,
				kept = 0;

	for (i = 0; i < block->count; i++)
		if (block->nodes[i]->kind != TE_NODE_TEXT)
			block->nodes[kept++] = block->nodes[i];
	block->count = kept;
}

/*
 * Lists the variables that a text reads and neither it nor the sample defines.
 */
static void
warn_missing(TeParser *p, Jsonb *sample)
{
	int			i,
				j;

	for (i = 0; i < p->nuses && !p->includes; i++)
	{
		const TeExpr *expr = p->uses[i].expr;
		const TeName *name = &p->names[expr->slot];
		JsonbContainer *container = &sample->root;
		JsonbValue	buffer;
		JsonbValue *value;

		if (p->assigned[expr->slot] || (name->len == 4 && memcmp(name->name, "self", 4) == 0))
			continue;
		value = getKeyJsonValueFromContainer(container, name->name, name->len, &buffer);
		for (j = 0; value != NULL && j < expr->nsteps; j++)
		{
			const TeStep *step = &expr->steps[j];

			if (step->name == NULL || step->command || value->type != jbvBinary ||
				!JsonContainerIsObject(value->val.binary.data))
				break;
			container = value->val.binary.data;
			value = getKeyJsonValueFromContainer(container, step->name, step->len, &buffer);
		}
		if (value == NULL)
		{
			const char *end = j > 0 ? expr->steps[j - 1].name + expr->steps[j - 1].len
				: p->text + p->uses[i].offset + name->len;
			const char *start = p->text + p->uses[i].offset;

			te_parse_warn(p, start, NULL, "variable \"%.*s\" is not in the sample", (int) (end - start), start);
		}
	}
}

/*
 * Parses a whole text; what is left open or closes nothing is reported.
 */
static void
parse_root(TeParser *p)
{
	for (;;)
	{
		TeTag		end;
		TeBlock    *block = te_parse_block(p, &end);

		if (p->program->root == NULL)
			p->program->root = block;
		if (end.name == NULL || p->stop)
			return;
		te_parse_fault(p, end.start, "unknown tag \"%.*s\"", end.namelen, end.name);
	}
}

/*
 * See program.h.
 */
TeProgram *
te_program_parse(MemoryContext parent, const char *text, int len, bool partial, bool lax,
				 const Jsonb *sample, bool warnings, TeProblems *problems)
{
	MemoryContext context = AllocSetContextCreate(parent, "trigger_engine template", ALLOCSET_SMALL_SIZES);
	TeProgram  *program = MemoryContextAllocZero(context, sizeof(TeProgram));
	TeParser	parser = {0};
	int			limit = partial ? te_guc_template_partial_size : te_guc_template_size;
	char	   *copy;

	memset(problems, 0, sizeof(TeProblems));
	program->context = context;
	parser.program = program;
	parser.problems = problems;
	parser.outer = CurrentMemoryContext;
	parser.warnings = warnings;
	parser.lax = program->lax = lax;
	parser.text = text;
	if (len > limit * 1024)
	{
		te_parse_limit(&parser, text, partial ? "template_partial_size" : "template_size", limit, " kB");
		MemoryContextDelete(context);
		return NULL;
	}
	copy = MemoryContextAlloc(context, len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	program->text = parser.text = parser.at = parser.line_at = copy;
	program->len = len;
	parser.end = copy + len;
	parser.line = 1;
	parser.names_size = 8;
	parser.names = MemoryContextAlloc(context, parser.names_size * sizeof(TeName));
	parser.assigned = MemoryContextAllocZero(context, parser.names_size * sizeof(bool));
	parser.nbuckets = 16;
	parser.buckets = MemoryContextAlloc(context, parser.nbuckets * sizeof(int));
	memset(parser.buckets, 0xFF, parser.nbuckets * sizeof(int));
	parse_root(&parser);
	program->names = parser.names;
	if (warnings && sample != NULL && problems->errors == 0)
		warn_missing(&parser, unconstify(Jsonb *, sample));
	if (problems->errors > 0)
	{
		MemoryContextDelete(context);
		return NULL;
	}
	program->size = MemoryContextMemAllocated(context, false);
	return program;
}
