/*
 * program.h
 *		Parsed templates: what the parser builds and the evaluator walks.
 *
 * A program lives in a memory context of its own and is never changed once it is
 * parsed. Names of variables are numbers of slots; filters are pointers.
 */
#pragma once

#include "template/liquid.h"

/* ---- expressions ---- */

typedef enum TeExprKind
{
	TE_EXPR_CONST,
	TE_EXPR_NAME,				/* a variable, with or without steps */
	TE_EXPR_LOOKUP,				/* ['name'] or [name]: a variable whose name is worked out */
	TE_EXPR_RANGE
} TeExprKind;

typedef struct TeExpr TeExpr;

/* One .name or [key] after a variable. */
typedef struct TeStep
{
	const char *name;			/* of .name, else NULL */
	int			len;
	bool		command;		/* .size, .first, .last */
	const TeExpr *key;			/* of [key] */
} TeStep;

struct TeExpr
{
	uint8		kind;
	bool		literal;		/* empty, blank: themselves in comparisons, "" elsewhere */
	int			slot;
	int			nsteps;
	const TeStep *steps;
	const TeExpr *from;			/* of a range; the name of a lookup */
	const TeExpr *to;
	TeValue		value;			/* of a constant */
};

typedef struct TeNamedExpr
{
	const char *name;
	int			len;
	const TeExpr *value;
} TeNamedExpr;

/* A filter with its arguments. */
typedef struct TeCall
{
	const TeFilter *filter;		/* NULL: unknown */
	const char *name;
	int			len;
	int			nargs;
	int			nnamed;
	const TeExpr **args;
	const TeNamedExpr *named;
	const TeArgs *constant;		/* the arguments, when all are known from the text */
	const char *fault;			/* the message when the number of arguments is wrong */
} TeCall;

/* An expression with filters. */
typedef struct TePipe
{
	const TeExpr *base;			/* NULL: nothing */
	int			ncalls;
	const TeCall *calls;
} TePipe;

/* ---- conditions ---- */

typedef enum TeOperator
{
	TE_OP_NONE,
	TE_OP_EQ,
	TE_OP_NE,
	TE_OP_LT,
	TE_OP_LE,
	TE_OP_GT,
	TE_OP_GE,
	TE_OP_CONTAINS,
	TE_OP_UNKNOWN				/* of the lax syntax: an error when it is reached */
} TeOperator;

typedef enum TeRelation
{
	TE_REL_NONE,
	TE_REL_AND,
	TE_REL_OR
} TeRelation;

typedef struct TeComparison
{
	uint8		op;
	uint8		relation;		/* to the comparison that follows */
	const TeExpr *left;
	const TeExpr *right;
	const char *name;			/* of an unknown operator */
	int			len;
} TeComparison;

typedef struct TeCondition
{
	int			count;			/* 0: else */
	const TeComparison *comparisons;
} TeCondition;

/* ---- nodes ---- */

typedef enum TeNodeKind
{
	TE_NODE_TEXT,
	TE_NODE_RAW,				/* text that nothing trims */
	TE_NODE_OUTPUT,
	TE_NODE_ASSIGN,
	TE_NODE_CAPTURE,
	TE_NODE_IF,
	TE_NODE_CASE,
	TE_NODE_FOR,
	TE_NODE_TABLEROW,
	TE_NODE_BREAK,
	TE_NODE_CONTINUE,
	TE_NODE_CYCLE,
	TE_NODE_INCREMENT,
	TE_NODE_DECREMENT,
	TE_NODE_IFCHANGED,
	TE_NODE_INCLUDE,
	TE_NODE_RENDER,
	TE_NODE_ABORT,
	TE_NODE_TRANSLATION,
	TE_NODE_NOTHING				/* comments, and what a fault left */
} TeNodeKind;

typedef struct TeNode TeNode;

typedef struct TeBlock
{
	int			count;
	bool		blank;			/* has no output of its own but white space */
	TeNode	  **nodes;
} TeBlock;

/* A branch of if, unless and case. */
typedef struct TeBranch
{
	TeCondition condition;
	bool		negated;		/* the first one of unless */
	TeBlock    *block;
} TeBranch;

typedef struct TeLoop
{
	int			slot;			/* of the item */
	int			forloop;		/* slot of forloop or tablerowloop */
	const char *name;			/* item-collection: of offset: continue, and forloop.name */
	int			namelen;
	const TeExpr *collection;
	const TeExpr *limit;
	const TeExpr *offset;
	const TeExpr *cols;
	bool		continues;		/* offset: continue */
	bool		reversed;
	TeBlock    *block;
	TeBlock    *otherwise;
} TeLoop;

typedef struct TePartial
{
	const TeExpr *file;
	const TeExpr *with;
	bool		each;			/* "for" instead of "with" */
	const char *alias;			/* NULL: by the name of the file */
	int			aliaslen;
	int			nargs;
	const TeNamedExpr *args;
} TePartial;

typedef struct TeCycle
{
	const TeExpr *group;		/* NULL: by the values, or by the tag itself */
	const char *key;			/* the values, when all are constant */
	int			keylen;
	int			count;
	const TeExpr **values;
} TeCycle;

typedef struct TeTranslation
{
	const char *key;
	int			keylen;
	int			nargs;
	const TeNamedExpr *args;
	TeBlock    *block;
} TeTranslation;

struct TeNode
{
	uint8		kind;
	bool		blank;			/* errors of a blank tag are not written */
	int			line;
	union
	{
		struct
		{
			const char *data;
			int			len;
		}			text;
		TePipe		output;
		struct
		{
			int			slot;
			TePipe		value;
		}			assign;
		struct
		{
			int			slot;
			TeBlock    *block;
		}			capture;
		struct
		{
			int			count;
			TeBranch   *branches;
		}			branch;
		TeLoop	   *loop;
		TePartial  *partial;
		TeCycle    *cycle;
		TeTranslation *translation;
		TeBlock    *block;		/* ifchanged */
		int			slot;		/* increment, decrement */
	}			u;
};

/* ---- programs ---- */

typedef struct TeName
{
	const char *name;
	int			len;
} TeName;

typedef struct TeProgram
{
	MemoryContext context;
	const char *text;			/* its own copy: constants and names point into it */
	int			len;
	TeBlock    *root;
	int			nnames;
	const TeName *names;		/* by slot */
	int			nodes;
	bool		lax;
	/* cache.c */
	uint64		hash;
	Size		size;
	struct TeProgram *next;		/* in its bucket */
	struct TeProgram *newer;	/* by use */
	struct TeProgram *older;
} TeProgram;

/* ---- problems ---- */

typedef struct TeProblem
{
	int			offset;			/* in the text, in bytes */
	const char *severity;		/* error, warning */
	const char *message;
	const char *hint;			/* or NULL */
	const char *limit;			/* the setting that it is over, or NULL */
} TeProblem;

typedef struct TeProblems
{
	int			count;
	int			size;
	TeProblem  *items;
	int			errors;
} TeProblems;

/*
 * parse.c: parses a text into a program in a new context under parent, in memory
 * of that context; the text is copied. NULL, with problems filled, when it has
 * errors. lax: markup that has a fault is read by the lax syntax. Warnings are looked for when wanted, with a sample also for variables that
 * it lacks. Problems are in the current context.
 */
extern TeProgram *te_program_parse(MemoryContext parent, const char *text, int len, bool partial, bool lax,
								   const Jsonb *sample, bool warnings, TeProblems *problems);
extern void te_text_position(const char *text, int offset, int *line, int *column);

/* ---- cache.c ---- */

typedef struct TeCacheStatistics
{
	int64		entries;
	int64		bytes;
	int64		hits;
	int64		misses;
	int64		evictions;
} TeCacheStatistics;

extern TeCacheStatistics te_cache_statistics;

/* As te_program_parse(), from the cache if it is there; it stays until te_cache_trim(). */
extern TeProgram *te_cache_get(const char *text, int len, bool partial, bool lax, TeProblems *problems);

/* whether it is the program of that text */
static inline bool
te_cache_holds(const TeProgram *program, const char *text, int len, bool lax)
{
	return program->len == len && program->lax == lax && memcmp(program->text, text, len) == 0;
}

extern void te_cache_trim(void);	/* between renders: drops what is over the limit */
extern void te_problems_throw(const TeProblems *problems, const char *text, const char *place) pg_attribute_noreturn();
