/*
 * fuzz_template.c
 *		Parses and renders what a fuzzer makes up: a template, its context, partials,
 *		translations and options, in this order, separated by lines of three equal signs.
 *
 * Only the template must be there. Contexts, partials and translations are JSON.
 * Options are words: inline, variables, filters (strict ones), lax, html, json, header, url,
 * jsonb (the context is read from a jsonb), locale=x, zone=x, seed=x, now=seconds.
 *
 * A finding is what the sanitizers see, and besides: an error of the server's class for
 * bugs, or of a class that no template may raise; output that is no valid text or
 * longer than the limit; another output at the second time.
 *
 * Without FUZZER it is a program that replays the files it is given, after -v with what
 * they give.
 */
#include "shim.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "errors.h"
#include "guc.h"
#include "template/arena.h"
#include "template/eval.h"

#define MOST_BYTES 65536

typedef enum Section
{
	TEMPLATE,
	CONTEXT,
	PARTIALS,
	TRANSLATIONS,
	OPTIONS,
	SECTIONS
} Section;

typedef struct Input
{
	const char *text[SECTIONS];
	int			len[SECTIONS];
	bool		jsonb;
	TeValue		root;
	TeRenderInput render;
} Input;

static bool show = false;

int			LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

/* Finds the sections of a text. */
static void
split(Input *input, const char *text, int len)
{
	static const char separator[] = "\n===\n";
	int			size = sizeof(separator) - 1;
	int			section;

	for (section = 0; section < SECTIONS; section++)
	{
		const char *end = memmem(text, len, separator, size);

		input->text[section] = text;
		input->len[section] = end ? end - text : len;
		if (end)
			end += size;
		else
			end = text + len;
		len -= end - text;
		text = end;
	}
}

/* What the server would let through: other bytes become question marks. */
static char *
valid_text(const uint8 *data, int size)
{
	char	   *text = palloc(size + 1);
	int			i;

	memcpy(text, data, size);
	text[size] = '\0';
	for (i = 0; i < size;)
	{
		int			step = pg_utf_mblen((unsigned char *) text + i);

		if (text[i] == '\0' || i + step > size || !pg_utf8_islegal((unsigned char *) text + i, step))
		{
			text[i] = '?';
			step = 1;
		}
		i += step;
	}
	return text;
}

static void
read_options(Input *input, const char *text, int len)
{
	char	   *copy = pnstrdup(text, len);
	TeRenderInput *render = &input->render;
	char	   *save;
	char	   *word;

	for (word = strtok_r(copy, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
	{
		if (strcmp(word, "inline") == 0)
			render->inline_errors = true;
		else if (strcmp(word, "variables") == 0)
			render->strict_variables = true;
		else if (strcmp(word, "filters") == 0)
			render->strict_filters = true;
		else if (strcmp(word, "lax") == 0)
			render->lax = true;
		else if (strcmp(word, "html") == 0)
			render->escape = TE_ESCAPE_HTML;
		else if (strcmp(word, "json") == 0)
			render->escape = TE_ESCAPE_JSON;
		else if (strcmp(word, "header") == 0)
			render->escape = TE_ESCAPE_HEADER;
		else if (strcmp(word, "url") == 0)
			render->escape = TE_ESCAPE_URL;
		else if (strcmp(word, "jsonb") == 0)
			input->jsonb = true;
		else if (strncmp(word, "locale=", 7) == 0)
			render->locale = word + 7;
		else if (strncmp(word, "zone=", 5) == 0 && pg_tzset(word + 5))
			render->zone = pg_tzset(word + 5);
		else if (strncmp(word, "seed=", 5) == 0)
			render->seed = word + 5;
		else if (strncmp(word, "now=", 4) == 0)
			render->now = strtol(word + 4, NULL, 10) % (INT64CONST(1) << 40) * USECS_PER_SEC;
	}
}

/* A section of JSON as an object; an empty one when it is none. May throw. */
static TeValue
object_of(TeRender *r, const Input *input, Section section)
{
	TeValue		value = te_value_parse_json(r, input->text[section], input->len[section]);

	return te_value_is_hash(value) ? value : te_value_hash(r, NULL, 0);
}

/* Parses, with warnings, and frees the program again. */
static void
parse(const Input *input)
{
	TeProblems	problems = {0};
	TeProgram  *program = te_program_parse(TopMemoryContext, input->text[TEMPLATE], input->len[TEMPLATE], false,
											   input->render.lax, input->render.context, true, &problems);
	int			i;

	if ((program == NULL) != (problems.errors > 0))
		shim_abort("%d errors, and %s program", problems.errors, program ? "a" : "no");
	for (i = 0; i < problems.count; i++)
	{
		int			line,
					column;

		if (problems.items[i].offset < 0 || problems.items[i].offset > input->len[TEMPLATE])
			shim_abort("a problem at %d of %d bytes", problems.items[i].offset, input->len[TEMPLATE]);
		te_text_position(input->text[TEMPLATE], problems.items[i].offset, &line, &column);
		if (!pg_verifymbstr(problems.items[i].message, strlen(problems.items[i].message), true))
			shim_abort("a message that is no text: %s", problems.items[i].message);
	}
	if (program)
		MemoryContextDelete(program->context);
}

/* Renders once, and returns the output or NULL, with the error noted. */
static char *
render(Input *input, int *len)
{
	TeRender	r = {.input = &input->render,.check_at = 1024};
	TeProblems	problems;
	TeProgram  *program;
	TeBuffer	out;

	if (sigsetjmp(shim_catch, 0) != 0)
	{
		int			class = ERRCODE_TO_CATEGORY(shim_sqlstate);

		if (class != ERRCODE_TO_CATEGORY(TE_ERRCODE_TEMPLATE) && class != ERRCODE_TO_CATEGORY(ERRCODE_STATEMENT_TOO_COMPLEX))
			shim_abort("an error of another class: %s", shim_message);
		if (!pg_verifymbstr(shim_message, strlen(shim_message), true))
			shim_abort("a message that is no text: %s", shim_message);
		return NULL;
	}
	te_cache_trim();
	program = te_cache_get(input->text[TEMPLATE], input->len[TEMPLATE], false, input->render.lax, &problems);
	if (program == NULL)
		te_problems_throw(&problems, input->text[TEMPLATE], "template");
	te_arena_begin(&r);
	te_buffer_init(&r, &out, program->len + 256);
	te_eval_program(&r, program, &out);
	te_arena_end();
	if (r.abort_reason != NULL)
	{
		strlcpy(shim_message, r.abort_reason, sizeof(shim_message));
		return NULL;
	}
	if (out.len > te_guc_template_output * 1024)
		shim_abort("output of %d bytes", out.len);
	if (memchr(out.data, '\0', out.len) || !pg_verifymbstr(out.data, out.len, true))
		shim_abort("output that is no text: %.*s", out.len, out.data);
	*len = out.len;
	return out.data;
}

/* Reads the input's sections; false when that throws. */
static bool
prepare(Input *input, TeRender *r)
{
	if (sigsetjmp(shim_catch, 0) != 0)
		return false;
	te_arena_begin(r);
	input->root = object_of(r, input, CONTEXT);
	input->render.partials = shim_jsonb(r, object_of(r, input, PARTIALS));
	input->render.translations = shim_jsonb(r, object_of(r, input, TRANSLATIONS));
	read_options(input, input->text[OPTIONS], input->len[OPTIONS]);
	if (input->jsonb)
		input->render.context = shim_jsonb(r, input->root);
	else
		input->render.root = &input->root;
	if (input->len[TEMPLATE] <= te_guc_template_size * 1024)
		parse(input);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	static bool started = false;
	Input		input = {0};
	TeRender	r = {0};
	char	   *first,
			   *second;
	int			first_len = 0,
				second_len = 0;

	if (!started)
		shim_start();
	started = true;
	if (size > MOST_BYTES)
		return 0;
	split(&input, valid_text(data, size), size);
	input.render.zone = pg_tzset("UTC");
	input.render.seed = "seed";
	r.input = &input.render;
	if (prepare(&input, &r))
	{
		first = render(&input, &first_len);
		if (show)
			fprintf(stderr, "%s%.*s\n", first ? "" : "error: ", first ? first_len : (int) strlen(shim_message), first ? first : shim_message);
		second = render(&input, &second_len);
		if ((first == NULL) != (second == NULL) ||
			(first && (first_len != second_len || memcmp(first, second, first_len) != 0)))
			shim_abort("at first \"%.*s\", then \"%.*s\"", first_len, first ? first : "", second_len, second ? second : "");
	}
	shim_forget();
	return 0;
}

#ifndef FUZZER

int
main(int argc, char **argv)
{
	int			count = 0;
	int			i;

	for (i = 1; i < argc; i++)
	{
		static uint8 data[MOST_BYTES + 1];
		FILE	   *file;
		size_t		size;

		if (strcmp(argv[i], "-v") == 0)
		{
			show = true;
			continue;
		}
		file = fopen(argv[i], "rb");
		if (file == NULL)
		{
			perror(argv[i]);
			return 2;
		}
		size = fread(data, 1, sizeof(data), file);
		fclose(file);
		/* said first, so that the name of one that ends the program is known */
		printf("%s\n", argv[i]);
		fflush(stdout);
		LLVMFuzzerTestOneInput(data, size);
		count++;
	}
	printf("%d replayed\n", count);
	return 0;
}

#endif
