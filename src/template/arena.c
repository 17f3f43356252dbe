/*
 * arena.c
 *		Memory of a render: bump allocation from blocks that the backend keeps.
 *
 * One arena serves a backend, as no render runs inside another: what a partial or a
 * translation needs comes out of the same one. An error leaves it as it is; the next
 * render takes its blocks back.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "errors.h"
#include "guc.h"
#include "template/arena.h"

#define FIRST_BLOCK ((Size) 64 * 1024)
#define LARGEST_BLOCK ((Size) 1024 * 1024)
#define STEPS_BETWEEN_CHECKS 256

typedef struct Block
{
	struct Block *next;
	Size		size;
} Block;

static MemoryContext arena_context = NULL;
static Block *first_block = NULL;
static Block *more_blocks = NULL;

/*
 * The context that blocks come from.
 */
static MemoryContext
blocks_context(void)
{
	if (unlikely(arena_context == NULL))
		arena_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine render", ALLOCSET_DEFAULT_SIZES);
	return arena_context;
}

/*
 * Points a render at an empty arena. The caller sets everything else; what an
 * earlier render allocated is gone. Throws only when memory runs out.
 */
void
te_arena_begin(TeRender *r)
{
	if (unlikely(first_block == NULL))
	{
		first_block = MemoryContextAlloc(blocks_context(), FIRST_BLOCK);
		first_block->size = FIRST_BLOCK;
		first_block->next = NULL;
	}
	if (unlikely(more_blocks != NULL))
		te_arena_end();
	r->context = arena_context;
	r->arena = (char *) first_block + MAXALIGN(sizeof(Block));
	r->arena_end = (char *) first_block + FIRST_BLOCK;
	r->allocated = FIRST_BLOCK;
}

/*
 * Gives back what went beyond the first block. Never throws.
 */
void
te_arena_end(void)
{
	while (more_blocks != NULL)
	{
		Block	   *next = more_blocks->next;

		pfree(more_blocks);
		more_blocks = next;
	}
}

/*
 * Throws the error of a limit.
 */
void
te_limit_exceeded(const char *setting, int value, const char *unit)
{
	ereport(ERROR,
			(errcode(TE_ERRCODE_TEMPLATE_LIMIT),
			 errmsg("template exceeds trigger_engine.%s of %d%s%s", setting, value, unit[0] ? " " : "", unit),
			 errhint("Make the template do less, or raise the setting.")));
}

/*
 * The slow half of te_arena_alloc(): a new block, twice as large as the last one.
 * Throws when the render holds more than its limit.
 */
void *
te_arena_grow(TeRender *r, Size size)
{
	Size		limit = (Size) te_guc_template_memory * 1024;
	Size		wanted = more_blocks ? Min(more_blocks->size * 2, LARGEST_BLOCK) : FIRST_BLOCK;
	Block	   *block;
	char	   *result;

	wanted = Max(wanted, size + MAXALIGN(sizeof(Block)));
	if (size > limit || r->allocated + wanted > limit)
	{
		wanted = size + MAXALIGN(sizeof(Block));
		if (size > limit || r->allocated + wanted > limit)
			te_limit_exceeded("template_memory", te_guc_template_memory, "kB");
	}
	block = MemoryContextAllocHuge(r->context, wanted);
	block->size = wanted;
	block->next = more_blocks;
	more_blocks = block;
	r->allocated += wanted;
	result = (char *) block + MAXALIGN(sizeof(Block));
	/* keep the room that has more left */
	if (wanted - MAXALIGN(sizeof(Block)) - size >= (Size) (r->arena_end - r->arena))
	{
		r->arena = result + size;
		r->arena_end = (char *) block + wanted;
	}
	return result;
}

/*
 * A copy of len bytes, with a zero byte behind them.
 */
char *
te_arena_copy(TeRender *r, const char *data, int len)
{
	char	   *copy = te_arena_alloc(r, (Size) len + 1);

	memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

/*
 * An empty buffer with room for size bytes.
 */
void
te_buffer_init(TeRender *r, TeBuffer *buffer, int size)
{
	size = MAXALIGN(size);
	buffer->data = te_arena_alloc(r, size);
	buffer->len = 0;
	buffer->size = size;
}

/*
 * Makes room for more bytes: in place when nothing was allocated since, else by
 * moving. Throws at the memory limit.
 */
void
te_buffer_reserve(TeRender *r, TeBuffer *buffer, int more)
{
	Size		wanted = (Size) buffer->len + more;
	Size		size = Max((Size) buffer->size * 2, 64);
	char	   *data;

	if (wanted <= buffer->size)
		return;
	size = MAXALIGN(Max(size, wanted));
	if (size > MaxAllocSize)
		size = MAXALIGN(wanted);
	if (size > MaxAllocSize)
		te_limit_exceeded("template_memory", te_guc_template_memory, "kB");
	if (buffer->data + buffer->size == r->arena && size - buffer->size <= (Size) (r->arena_end - r->arena))
	{
		r->arena += size - buffer->size;
		buffer->size = (int) size;
		return;
	}
	data = te_arena_alloc(r, size);
	memcpy(data, buffer->data, buffer->len);
	buffer->data = data;
	buffer->size = (int) size;
}

/*
 * Looks at the limits of steps and of time, and for interrupts; called every few
 * hundred steps, so that a short render never reads the clock. Throws.
 */
void
te_render_check(TeRender *r)
{
	instr_time	now;
	int64		microseconds;

	CHECK_FOR_INTERRUPTS();
	if (r->steps > te_guc_template_steps)
		te_limit_exceeded("template_steps", te_guc_template_steps, "");
	r->check_at = Min(r->steps + STEPS_BETWEEN_CHECKS, (int64) te_guc_template_steps + 1);
	INSTR_TIME_SET_CURRENT(now);
	microseconds = (int64) INSTR_TIME_GET_MICROSEC(now);
	if (r->deadline == 0)
		r->deadline = microseconds + (int64) te_guc_template_time * 1000;
	else if (microseconds > r->deadline)
		te_limit_exceeded("template_time", te_guc_template_time, "ms");
}
