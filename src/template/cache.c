/*
 * cache.c
 *		Parsed templates that a backend keeps, by their texts.
 *
 * A program is found by a hash of its text and the text itself. Nothing goes while a
 * render is under way; te_cache_trim() drops what was used least recently before the
 * next one.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "errors.h"
#include "guc.h"
#include "template/program.h"

#define BUCKETS 1024			/* a power of two */

TeCacheStatistics te_cache_statistics;

static MemoryContext cache_context = NULL;
static TeProgram *buckets[BUCKETS];
static TeProgram *newest = NULL;
static TeProgram *oldest = NULL;

/*
 * Takes a program out of the order of use.
 */
static void
unlink_program(TeProgram *program)
{
	if (program->newer != NULL)
		program->newer->older = program->older;
	else
		newest = program->older;
	if (program->older != NULL)
		program->older->newer = program->newer;
	else
		oldest = program->newer;
}

/*
 * Makes a program the one used last.
 */
static void
link_newest(TeProgram *program)
{
	program->newer = NULL;
	program->older = newest;
	if (newest != NULL)
		newest->newer = program;
	else
		oldest = program;
	newest = program;
}

/*
 * Frees a program.
 */
static void
drop_program(TeProgram *program)
{
	TeProgram **place = &buckets[program->hash & (BUCKETS - 1)];

	while (*place != program)
		place = &(*place)->next;
	*place = program->next;
	unlink_program(program);
	te_cache_statistics.entries--;
	te_cache_statistics.bytes -= program->size;
	te_cache_statistics.evictions++;
	MemoryContextDelete(program->context);
}

/*
 * Drops programs, those used least recently first, until the rest fits into the
 * setting; the newest stays. To be called while no program is in use.
 */
void
te_cache_trim(void)
{
	while (te_cache_statistics.bytes > (int64) te_guc_template_cache * 1024 && oldest != newest)
		drop_program(oldest);
}

/*
 * The program of a text: kept, or parsed and kept from now on. NULL, with problems in
 * the current context, when it does not parse.
 */
TeProgram *
te_cache_get(const char *text, int len, bool partial, bool lax, TeProblems *problems)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) text, len, lax);
	int			limit = partial ? te_guc_template_partial_size : te_guc_template_size;
	TeProgram  *program;

	for (program = buckets[hash & (BUCKETS - 1)]; program != NULL; program = program->next)
	{
		if (program->hash != hash || !te_cache_holds(program, text, len, lax))
			continue;
		/* the limits may have changed since */
		if (len > limit * 1024 || program->nodes > te_guc_template_nodes)
			break;
		te_cache_statistics.hits++;
		if (program != newest)
		{
			unlink_program(program);
			link_newest(program);
		}
		return program;
	}
	te_cache_statistics.misses++;
	/* for the error of the limit */
	if (program != NULL)
		return te_program_parse(CurrentMemoryContext, text, len, partial, lax, NULL, false, problems);
	program = te_program_parse(CurrentMemoryContext, text, len, partial, lax, NULL, false, problems);
	if (program == NULL)
		return NULL;
	if (unlikely(cache_context == NULL))
		cache_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine templates", ALLOCSET_SMALL_SIZES);
	MemoryContextSetParent(program->context, cache_context);
	program->hash = hash;
	program->next = buckets[hash & (BUCKETS - 1)];
	buckets[hash & (BUCKETS - 1)] = program;
	link_newest(program);
	te_cache_statistics.entries++;
	te_cache_statistics.bytes += program->size;
	return program;
}

/*
 * Throws the first error of a text, with where it is; place names the text, as
 * "template".
 */
void
te_problems_throw(const TeProblems *problems, const char *text, const char *place)
{
	const TeProblem *problem = problems->items;
	int			line,
				column;

	while (problem->severity[0] != 'e')
		problem++;
	if (problem->limit != NULL)
		ereport(ERROR,
				(errcode(TE_ERRCODE_TEMPLATE_LIMIT),
				 errmsg("%s", problem->message),
				 errhint("Make the template smaller, or raise the setting.")));
	te_text_position(text, problem->offset, &line, &column);
	ereport(ERROR,
			(errcode(TE_ERRCODE_TEMPLATE),
			 errmsg("%s, line %d, column %d: %s", place, line, column, problem->message),
			 problem->hint ? errhint("%s", problem->hint) : 0));
}
