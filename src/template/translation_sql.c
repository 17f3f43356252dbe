/*
 * translation_sql.c
 *		What the table of translations asks the engine: whether a text parses, and
 *		which keys a template uses.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "errors.h"
#include "template/locale.h"
#include "template/program.h"
#include "template/template.h"

PG_FUNCTION_INFO_V1(te_sql_check_translation);
PG_FUNCTION_INFO_V1(te_sql_translation_keys);

/*
 * _check_translation(text): throws unless it parses as what it seems to be.
 */
Datum
te_sql_check_translation(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	const char *data = VARDATA_ANY(given);
	int			len = VARSIZE_ANY_EXHDR(given);
	TeMessageError error;

	if (!te_message_is(data, len))
		te_template_check_text(data, len, "translation");
	else if (!te_message_check(data, len, &error))
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE),
				 errmsg("message, character %d: %s", error.position, error.reason),
				 errhint("Write {name} for an argument, and '{' for a brace.")));
	PG_RETURN_VOID();
}

/* ---- keys ---- */

static void walk_block(JsonbParseState **state, const TeBlock *block);

/*
 * Adds a key; the same one may come again, and the last one counts.
 */
static void
add_key(JsonbParseState **state, const char *key, int len, bool counted)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = pnstrdup(key, len);
	value.val.string.len = len;
	pushJsonbValue(state, WJB_KEY, &value);
	value.type = jbvBool;
	value.val.boolean = counted;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * Whether count is among the arguments.
 */
static bool
has_count(const TeNamedExpr *named, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		if (named[i].len == 5 && memcmp(named[i].name, "count", 5) == 0)
			return true;
	return false;
}

/*
 * The key of {{ 'key' | t }}. One that is worked out cannot be known from the text.
 */
static void
walk_pipe(JsonbParseState **state, const TePipe *pipe)
{
	const TeCall *call = pipe->calls;

	if (pipe->ncalls > 0 && call->len == 1 && call->name[0] == 't' &&
		pipe->base && pipe->base->kind == TE_EXPR_CONST && pipe->base->value.kind == TE_STRING)
		add_key(state, pipe->base->value.u.str, pipe->base->value.len, has_count(call->named, call->nnamed));
}

/*
 * The keys in a node.
 */
static void
walk_node(JsonbParseState **state, const TeNode *node)
{
	int			i;

	switch ((TeNodeKind) node->kind)
	{
		case TE_NODE_OUTPUT:
			walk_pipe(state, &node->u.output);
			break;
		case TE_NODE_ASSIGN:
			walk_pipe(state, &node->u.assign.value);
			break;
		case TE_NODE_CAPTURE:
			walk_block(state, node->u.capture.block);
			break;
		case TE_NODE_IF:
		case TE_NODE_CASE:
			for (i = 0; i < node->u.branch.count; i++)
				walk_block(state, node->u.branch.branches[i].block);
			break;
		case TE_NODE_FOR:
		case TE_NODE_TABLEROW:
			walk_block(state, node->u.loop->block);
			walk_block(state, node->u.loop->otherwise);
			break;
		case TE_NODE_IFCHANGED:
			walk_block(state, node->u.block);
			break;
		case TE_NODE_TRANSLATION:
			add_key(state, node->u.translation->key, node->u.translation->keylen,
					has_count(node->u.translation->args, node->u.translation->nargs));
			walk_block(state, node->u.translation->block);
			break;
		default:
			break;
	}
}

/*
 * The keys in a block, which is no deeper than the parser allows.
 */
static void
walk_block(JsonbParseState **state, const TeBlock *block)
{
	int			i;

	for (i = 0; block && i < block->count; i++)
		walk_node(state, block->nodes[i]);
}

/*
 * _translation_keys(template): {key: whether with a count}; {} for a template that
 * does not parse.
 */
Datum
te_sql_translation_keys(PG_FUNCTION_ARGS)
{
	text	   *template = PG_GETARG_TEXT_PP(0);
	TeProblems	problems = {0};
	JsonbParseState *state = NULL;
	const TeProgram *program;

	program = te_cache_get(VARDATA_ANY(template), VARSIZE_ANY_EXHDR(template), false, false, &problems);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (program)
		walk_block(&state, program->root);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
