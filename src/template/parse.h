/*
 * parse.h
 *		Inside of the parser: its state, tokens of the text and of markup.
 *
 * Nothing here throws at what a template holds: a fault is written down and the
 * functions return false or NULL, so that one pass finds the faults of all tags.
 */
#pragma once

#include "template/program.h"

/* ---- markup ---- */

typedef enum TeTokenKind
{
	TE_TOKEN_END,
	TE_TOKEN_ID,
	TE_TOKEN_NUMBER,
	TE_TOKEN_STRING,			/* without its quotes */
	TE_TOKEN_COMPARISON,
	TE_TOKEN_PIPE,
	TE_TOKEN_DOT,
	TE_TOKEN_DOTDOT,
	TE_TOKEN_COLON,
	TE_TOKEN_COMMA,
	TE_TOKEN_OPEN_SQUARE,
	TE_TOKEN_CLOSE_SQUARE,
	TE_TOKEN_OPEN_ROUND,
	TE_TOKEN_CLOSE_ROUND,
	TE_TOKEN_QUESTION,
	TE_TOKEN_DASH,
	TE_TOKEN_BAD				/* a character that begins no token */
} TeTokenKind;

typedef struct TeToken
{
	TeTokenKind kind;
	uint8		op;				/* TeOperator of a comparison */
	const char *start;			/* where it lies in the text */
	const char *data;
	int			len;
} TeToken;

/* Reads markup with one token of look-ahead. */
typedef struct TeLexer
{
	const char *at;
	const char *end;
	TeToken		token;			/* the one to be read next */
	TeToken		next;			/* the one after it */
	const char *last_end;		/* where the token read last ends */
} TeLexer;

/* ---- the parser ---- */

typedef struct TeUse
{
	const TeExpr *expr;
	int			offset;
} TeUse;

typedef struct TeParser
{
	TeProgram  *program;
	const char *text;
	const char *end;
	const char *at;				/* what follows the token read last */
	const char *liquid_at;		/* the same inside of a liquid tag, else NULL */
	const char *liquid_end;
	bool		trim;			/* text that comes next loses its leading white space */
	bool		no_output_ends; /* no }} stands further on */
	bool		includes;		/* a partial may give any variable a value */
	bool		stop;			/* over a limit: nothing more is read */
	bool		warnings;
	bool		lax;
	int			depth;			/* of blocks */
	int			expr_depth;
	const char *line_at;		/* where line was counted last */
	int			line;
	TeLexer		lexer;
	/* names of variables by hash */
	TeName	   *names;
	bool	   *assigned;		/* by slot: some tag gives it a value */
	int			names_size;
	int		   *buckets;
	int			nbuckets;
	/* what is read from the context, for warnings */
	TeUse	   *uses;
	int			nuses;
	int			uses_size;
	TeProblems *problems;
	MemoryContext outer;		/* where problems are kept */
} TeParser;

/* A tag that ended a block, or was not expected in it. */
typedef struct TeTag
{
	const char *start;			/* of {% */
	const char *name;			/* NULL: the text ended */
	int			namelen;
	const char *markup;
	const char *markup_end;
} TeTag;

/* lexer.c */
extern void te_lexer_init(TeLexer *lexer, const char *start, const char *end);
extern void te_lexer_next(TeLexer *lexer);
extern const char *te_token_name(TeTokenKind kind);
extern bool te_is_space(char c);
extern bool te_is_word(char c);

/* parse.c */
extern void te_parse_fault(TeParser *p, const char *at, const char *format,...) pg_attribute_printf(3, 4);
extern void te_parse_warn(TeParser *p, const char *at, const char *hint, const char *format,...) pg_attribute_printf(4, 5);
extern void te_parse_limit(TeParser *p, const char *at, const char *setting, int value, const char *unit);
extern void *te_parse_alloc(TeParser *p, Size size);	/* zeroed, as long as the program */
extern void *te_parse_append(TeParser *p, void *array, int count, int *size, Size item);	/* room for one more */
extern bool te_parse_retry(TeParser *p, int count, int errors);	/* lax: forgets faults since then */
extern TeNode *te_parse_node(TeParser *p, TeNodeKind kind, const char *at);
extern int	te_parse_line(TeParser *p, const char *at);
extern TeBlock *te_parse_block(TeParser *p, TeTag *end);
extern bool te_parse_next_tag(TeParser *p, TeTag *tag);
extern void te_parse_strip_blank(TeBlock *block);

/* parse_expr.c */
extern int	te_parse_slot(TeParser *p, const char *name, int len);
extern int	te_parse_target(TeParser *p, const char *name, int len);
extern bool te_parse_accept(TeParser *p, TeTokenKind kind);
extern bool te_parse_accept_word(TeParser *p, const char *word);
extern bool te_parse_expect(TeParser *p, TeTokenKind kind);
extern const TeExpr *te_parse_expr(TeParser *p);
extern bool te_parse_pipe(TeParser *p, const char *start, const char *end, TePipe *pipe);
extern bool te_parse_condition(TeParser *p, const char *start, const char *end, TeCondition *condition);
extern bool te_parse_named(TeParser *p, const TeNamedExpr **args, int *nargs);

extern TeValue te_parse_number(TeParser *p, const char *text, int len);
extern void te_parse_bind(TeParser *p, TeCall *call, const char *at);

/* parse_lax.c; each may be given what the grammar made of its structure so far */
extern bool te_lax_pipe(TeParser *p, const char *start, const char *end, TePipe *pipe);
extern bool te_lax_condition(TeParser *p, const char *start, const char *end, TeCondition *condition);
extern const TeExpr *te_lax_value(TeParser *p, const char *start, const char *end, bool condition, const char **rest);
extern bool te_lax_more(const char **c, const char *end);
extern int	te_lax_target(TeParser *p, const char *start, const char *end);
extern bool te_lax_loop(TeParser *p, const char *start, const char *end, TeLoop *loop);
extern bool te_lax_cycle(TeParser *p, const char *start, const char *end, TeCycle *cycle);
extern bool te_lax_partial(TeParser *p, const char *start, const char *end, bool is_render, TePartial *partial);

/* parse_tag.c */
extern bool te_parse_tag(TeParser *p, const TeTag *tag, TeNode **node);	/* false: no tag of that name begins here */
