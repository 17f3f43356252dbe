/*
 * shim_server.c
 *		Memory contexts, errors, interrupts, encoding and settings of the server, as far as
 *		the engine uses them, for a program of its own.
 *
 * Each allocation is one of malloc, and each piece of an arena too, so that the
 * address sanitizer sees the ends of all of them. An error jumps to the fuzz target;
 * one that could only be a bug ends the program.
 */
#include "shim.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"

/* ---- memory ---- */

typedef struct Chunk
{
	struct Chunk *next;
	struct Chunk *previous;
	struct Context *owner;
	Size		size;
} Chunk;

typedef struct Context
{
	MemoryContextData base;
	Chunk	   *chunks;
	Size		allocated;
	struct Context *next;		/* of the same parent */
	struct Context *first_child;
	struct Context *parent;
} Context;

static Context top_context;
MemoryContext TopMemoryContext = (MemoryContext) &top_context;
MemoryContext CurrentMemoryContext = (MemoryContext) &top_context;
MemoryContext ErrorContext = (MemoryContext) &top_context;
MemoryContext CacheMemoryContext = (MemoryContext) &top_context;

/* pieces of the arena, which no error frees */
static Chunk *pieces = NULL;

void
shim_abort(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static void *
allocate(Context *context, Size size, bool zero)
{
	Chunk	   *chunk = zero ? calloc(1, sizeof(Chunk) + size) : malloc(sizeof(Chunk) + size);

	if (chunk == NULL)
		shim_abort("no memory for %zu bytes", size);
	chunk->size = size;
	chunk->owner = context;
	chunk->previous = NULL;
	chunk->next = context->chunks;
	if (chunk->next)
		chunk->next->previous = chunk;
	context->chunks = chunk;
	context->allocated += sizeof(Chunk) + size;
	return chunk + 1;
}

static void *
allocate_checked(MemoryContext context, Size size, bool zero)
{
	if (size > MaxAllocSize)
		shim_abort("invalid memory alloc request size %zu", size);
	return allocate((Context *) context, size, zero);
}

void
pfree(void *pointer)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;
	Context    *owner = chunk->owner;

	if (chunk->previous)
		chunk->previous->next = chunk->next;
	else
		owner->chunks = chunk->next;
	if (chunk->next)
		chunk->next->previous = chunk->previous;
	owner->allocated -= sizeof(Chunk) + chunk->size;
	free(chunk);
}

void *
repalloc(void *pointer, Size size)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;
	void	   *copy = allocate_checked((MemoryContext) chunk->owner, size, false);

	memcpy(copy, pointer, Min(size, chunk->size));
	pfree(pointer);
	return copy;
}

void *
repalloc_huge(void *pointer, Size size)
{
	return repalloc(pointer, size);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate_checked(context, size, false);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return allocate_checked(context, size, true);
}

void *
MemoryContextAllocZeroAligned(MemoryContext context, Size size)
{
	return allocate_checked(context, size, true);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return allocate((Context *) context, size, false);
}

void *
palloc(Size size)
{
	return allocate_checked(CurrentMemoryContext, size, false);
}

void *
palloc0(Size size)
{
	return allocate_checked(CurrentMemoryContext, size, true);
}

void *
palloc_extended(Size size, int flags)
{
	return allocate((Context *) CurrentMemoryContext, size, (flags & MCXT_ALLOC_ZERO) != 0);
}

char *
MemoryContextStrdup(MemoryContext context, const char *string)
{
	Size		size = strlen(string) + 1;

	return memcpy(MemoryContextAlloc(context, size), string, size);
}

char *
pstrdup(const char *string)
{
	return MemoryContextStrdup(CurrentMemoryContext, string);
}

char *
pnstrdup(const char *string, Size len)
{
	Size		used = strnlen(string, len);
	char	   *copy = palloc(used + 1);

	memcpy(copy, string, used);
	copy[used] = '\0';
	return copy;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min_size, Size initial_size, Size max_size)
{
	Context    *above = (Context *) parent;
	Context    *context = calloc(1, sizeof(Context));

	context->base.type = T_AllocSetContext;
	context->base.name = name;
	context->base.parent = parent;
	context->parent = above;
	context->next = above->first_child;
	above->first_child = context;
	return (MemoryContext) context;
}

static void
delete_children(Context *context)
{
	while (context->first_child)
		MemoryContextDelete((MemoryContext) context->first_child);
}

void
MemoryContextReset(MemoryContext where)
{
	Context    *context = (Context *) where;
	MemoryContextCallback *callback;

	delete_children(context);
	while ((callback = context->base.reset_cbs) != NULL)
	{
		context->base.reset_cbs = callback->next;
		callback->func(callback->arg);
	}
	while (context->chunks)
		pfree(context->chunks + 1);
}

void
MemoryContextDelete(MemoryContext where)
{
	Context    *context = (Context *) where;
	Context   **link = &context->parent->first_child;

	MemoryContextReset(where);
	while (*link != context)
		link = &(*link)->next;
	*link = context->next;
	free(context);
}

void
MemoryContextDeleteChildren(MemoryContext context)
{
	delete_children((Context *) context);
}

void
MemoryContextResetChildren(MemoryContext context)
{
	shim_abort("not expected: MemoryContextResetChildren");
}

void
MemoryContextRegisterResetCallback(MemoryContext context, MemoryContextCallback *callback)
{
	callback->next = context->reset_cbs;
	context->reset_cbs = callback;
}

void
MemoryContextSetParent(MemoryContext where, MemoryContext parent)
{
	Context    *context = (Context *) where;
	Context   **link = &context->parent->first_child;

	while (*link != context)
		link = &(*link)->next;
	*link = context->next;
	context->parent = (Context *) parent;
	context->base.parent = parent;
	context->next = context->parent->first_child;
	context->parent->first_child = context;
}

void
MemoryContextSetIdentifier(MemoryContext context, const char *id)
{
	context->ident = id;
}

Size
MemoryContextMemAllocated(MemoryContext where, bool recurse)
{
	Context    *context = (Context *) where;
	Size		sum = context->allocated;
	Context    *child;

	for (child = context->first_child; recurse && child; child = child->next)
		sum += MemoryContextMemAllocated((MemoryContext) child, true);
	return sum;
}

/*
 * The arena's allocator: counts as the engine's own does, by taking the room and
 * leaving it unused, and returns a piece apart.
 */
void *
te_arena_alloc(TeRender *r, Size size)
{
	Size		aligned = MAXALIGN(size);
	Chunk	   *piece;

	if (aligned > (Size) (r->arena_end - r->arena))
		te_arena_grow(r, aligned);
	else
		r->arena += aligned;
	piece = malloc(sizeof(Chunk) + size);
	if (piece == NULL)
		shim_abort("no memory for %zu bytes", size);
	piece->next = pieces;
	pieces = piece;
	/* nothing is zeroed in an arena */
	memset(piece + 1, 0xA5, size);
	return piece + 1;
}

void
shim_forget(void)
{
	while (pieces)
	{
		Chunk	   *next = pieces->next;

		free(pieces);
		pieces = next;
	}
	MemoryContextReset(CurrentMemoryContext);
}

/* ---- errors ---- */

sigjmp_buf	shim_catch;
int			shim_sqlstate;
char		shim_message[2048];

static void
keep_message(const char *format, va_list args)
{
	vsnprintf(shim_message, sizeof(shim_message), format, args);
}

/* Details and hints are written too, for the sake of their arguments. */
static void
try_message(const char *format, va_list args)
{
	char		text[2048];

	vsnprintf(text, sizeof(text), format, args);
}

bool
errstart(int elevel, const char *domain)
{
	shim_sqlstate = elevel >= ERROR ? ERRCODE_INTERNAL_ERROR : 0;
	shim_message[0] = '\0';
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *file, int line, const char *function)
{
	if (shim_sqlstate == 0)
		return;
	if (shim_sqlstate == ERRCODE_INTERNAL_ERROR)
		shim_abort("internal error in %s(), %s:%d: %s", function, file, line, shim_message);
	siglongjmp(shim_catch, 1);
}

int
errcode(int sqlstate)
{
	if (shim_sqlstate != 0)
		shim_sqlstate = sqlstate;
	return 0;
}

#define MESSAGE_FUNCTION(name, action) \
int \
name(const char *format,...) \
{ \
	va_list		args; \
\
	va_start(args, format); \
	action(format, args); \
	va_end(args); \
	return 0; \
}

MESSAGE_FUNCTION(errmsg, keep_message)
MESSAGE_FUNCTION(errmsg_internal, keep_message)
MESSAGE_FUNCTION(errdetail, try_message)
MESSAGE_FUNCTION(errdetail_internal, try_message)
MESSAGE_FUNCTION(errhint, try_message)
MESSAGE_FUNCTION(errcontext_msg, try_message)

int
set_errcontext_domain(const char *domain)
{
	return 0;
}

int
errmsg_plural(const char *singular, const char *plural, unsigned long n,...)
{
	va_list		args;

	va_start(args, n);
	keep_message(n == 1 ? singular : plural, args);
	va_end(args);
	return 0;
}

void
ExceptionalCondition(const char *condition, const char *type, const char *file, int line)
{
	shim_abort("failed assertion in %s:%d: %s", file, line, condition);
}

/* ---- interrupts and the stack ---- */

volatile sig_atomic_t InterruptPending = false;

void
ProcessInterrupts(void)
{
}

/* Half of what the sanitizers need of the usual 8 MB. */
#define STACK_LIMIT (4 * 1024 * 1024)
static char *stack_base;

bool
stack_is_too_deep(void)
{
	char		here;

	return stack_base - &here > STACK_LIMIT;
}

void
check_stack_depth(void)
{
	if (stack_is_too_deep())
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX), errmsg("stack depth limit exceeded")));
}

/* ---- calls through the function manager ---- */

static Datum
call(PGFunction function, Oid collation, int count, const Datum *args)
{
	LOCAL_FCINFO(fcinfo, 3);
	Datum		result;
	int			i;

	memset(fcinfo, 0, SizeForFunctionCallInfo(3));
	fcinfo->fncollation = collation;
	fcinfo->nargs = count;
	for (i = 0; i < count; i++)
		fcinfo->args[i].value = args[i];
	result = function(fcinfo);
	if (fcinfo->isnull)
		shim_abort("a function returned NULL");
	return result;
}

Datum
DirectFunctionCall1Coll(PGFunction function, Oid collation, Datum arg1)
{
	return call(function, collation, 1, &arg1);
}

Datum
DirectFunctionCall2Coll(PGFunction function, Oid collation, Datum arg1, Datum arg2)
{
	Datum		args[] = {arg1, arg2};

	return call(function, collation, 2, args);
}

Datum
DirectFunctionCall3Coll(PGFunction function, Oid collation, Datum arg1, Datum arg2, Datum arg3)
{
	Datum		args[] = {arg1, arg2, arg3};

	return call(function, collation, 3, args);
}

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

/* ---- encoding: UTF-8, as in any server that this is for ---- */

int
GetDatabaseEncoding(void)
{
	return PG_UTF8;
}

const char *
GetDatabaseEncodingName(void)
{
	return "UTF8";
}

int
pg_database_encoding_max_length(void)
{
	return 4;
}

int
pg_mblen(const char *text)
{
	return pg_utf_mblen((const unsigned char *) text);
}

int
pg_dsplen(const char *text)
{
	return pg_encoding_dsplen(PG_UTF8, text);
}

int
pg_mbstrlen_with_len(const char *text, int len)
{
	int			count = 0;

	while (len > 0 && *text)
	{
		int			step = pg_mblen(text);

		text += step;
		len -= step;
		count++;
	}
	return count;
}

int
pg_mbcliplen(const char *text, int len, int limit)
{
	int			used = 0;

	while (used < len && text[used])
	{
		int			step = pg_mblen(text + used);

		if (used + step > limit)
			break;
		used += step;
	}
	return used;
}

bool
pg_verifymbstr(const char *text, int len, bool no_error)
{
	return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
}

char *
pg_server_to_any(const char *text, int len, int encoding)
{
	return unconstify(char *, text);
}

char *
pg_any_to_server(const char *text, int len, int encoding)
{
	return unconstify(char *, text);
}

void
pg_unicode_to_server(pg_wchar character, unsigned char *text)
{
	if (!is_valid_unicode_codepoint(character))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("invalid Unicode code point")));
	unicode_to_utf8(character, text);
	text[pg_utf_mblen(text)] = '\0';
}

int
pg_lltoa(int64 number, char *text)
{
	return sprintf(text, INT64_FORMAT, number);
}

int
pg_ltoa(int32 number, char *text)
{
	return sprintf(text, "%d", number);
}

/* ---- settings ---- */

/* As by default, but smaller where a fuzzer would only wait. */
int			te_guc_template_cache = 1024;
int			te_guc_template_iterations = 500;
int			te_guc_template_memory = 2048;
int			te_guc_template_nesting = 100;
int			te_guc_template_nodes = 5000;
int			te_guc_template_output = 128;
int			te_guc_template_partial_depth = 100;
int			te_guc_template_partial_size = 64;
int			te_guc_template_partials = 200;
int			te_guc_template_size = 256;
int			te_guc_template_steps = 200000;
int			te_guc_template_time = 60000;

/*
 * To be called once, near the bottom of the stack.
 */
void
shim_start(void)
{
	static Context input;
	char		here;

	stack_base = &here;
	top_context.base.type = T_AllocSetContext;
	input.base.type = T_AllocSetContext;
	CurrentMemoryContext = (MemoryContext) &input;
}
