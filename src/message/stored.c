/*
 * stored.c
 *		Templates as they are stored: the text that fits a reader, with the content
 *		blocks and translations that it needs.
 *
 * A process that sends keeps all of it until configuration changes. Needs a transaction
 * with SPI connected.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "common/common.h"
#include "message/message.h"
#include "template/locale.h"

/* Readers may have any locale and tenant: beyond this the cache starts anew. */
#define MOST_MEMORY (64 * 1024 * 1024)
#define KEY_SIZE 256

/* One text of a template or block. */
typedef struct Text
{
	char	   *locale;
	int32		version;
	Jsonb	   *content;
} Text;

/* A template or block with its texts. */
typedef struct Family
{
	char	   *name;
	const TeChannel *channel;
	char	   *default_locale;
	int			ntexts;
	Text	   *texts;
} Family;

/* What is kept of one template for readers of one locale and tenant. */
typedef struct Entry
{
	char		key[KEY_SIZE];
	const TeStored *stored;		/* NULL: there is none, for this reason */
	char	   *reason;
} Entry;

static MemoryContext kept_context = NULL;
static HTAB *kept = NULL;
static List *kept_blocks = NIL; /* of Family */
static bool blocks_loaded = false;
static uint64 kept_generation = 0;

/*
 * See message.h.
 */
void
te_stored_refresh(uint64 generation)
{
	HASHCTL		control = {0};

	if (kept && kept_generation == generation && MemoryContextMemAllocated(kept_context, true) < MOST_MEMORY)
		return;
	kept = NULL;
	kept_blocks = NIL;
	blocks_loaded = false;
	if (kept_context)
		MemoryContextReset(kept_context);
	else
		kept_context = AllocSetContextCreate(TopMemoryContext, "trigger_engine stored templates", ALLOCSET_DEFAULT_SIZES);
	control.keysize = KEY_SIZE;
	control.entrysize = sizeof(Entry);
	control.hcxt = kept_context;
	kept = hash_create("trigger_engine stored templates", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	kept_generation = generation;
}

/*
 * A text column of the statement's row, in the current memory context; NULL when null.
 */
static char *
text_column(SPITupleTable *table, uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(table->vals[row], table->tupdesc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * Rows (name, channel, default_locale, locale, version, content), ordered by name, as
 * families in the current memory context. A version of null is no text.
 */
static List *
families_of_rows(SPITupleTable *table)
{
	List	   *families = NIL;
	Family	   *family = NULL;
	uint64		i;

	for (i = 0; i < table->numvals; i++)
	{
		char	   *name = text_column(table, i, 1);
		Datum		version;
		Text	   *text;
		bool		isnull;

		if (family == NULL || strcmp(family->name, name) != 0)
		{
			family = palloc0(sizeof(Family));
			family->name = name;
			family->channel = te_channel_find(text_column(table, i, 2));
			family->default_locale = text_column(table, i, 3);
			families = lappend(families, family);
		}
		version = SPI_getbinval(table->vals[i], table->tupdesc, 5, &isnull);
		if (isnull)
			continue;			/* none of its texts is live */
		family->texts = family->texts
			? repalloc(family->texts, sizeof(Text) * (family->ntexts + 1)) : palloc(sizeof(Text));
		text = &family->texts[family->ntexts++];
		text->locale = text_column(table, i, 4);
		text->version = DatumGetInt32(version);
		text->content = DatumGetJsonbPCopy(SPI_getbinval(table->vals[i], table->tupdesc, 6, &isnull));
	}
	return families;
}

/*
 * A template with its live texts, or with the newest of each; NULL when there is none.
 */
static Family *
load_family(const char *name, bool newest)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, BOOLOID};
	Datum		values[2];
	List	   *families;

	values[0] = CStringGetTextDatum(name);
	values[1] = BoolGetDatum(newest);
	te_db_execute(&plan,
				  "SELECT t.name, t.channel, t.default_locale, x.locale, v.version, v.content"
				  " FROM trigger_engine._templates t"
				  " LEFT JOIN trigger_engine._template_texts x ON x.name = t.name"
				  " LEFT JOIN trigger_engine._template_versions v ON v.name = x.name AND v.locale = x.locale"
				  " AND v.version = CASE WHEN $2 THEN x.last_version ELSE x.live_version END"
				  " WHERE t.name = $1 ORDER BY x.locale", 2, types, values, NULL, false, 0);
	families = families_of_rows(SPI_tuptable);
	SPI_freetuptable(SPI_tuptable);
	return families == NIL ? NULL : linitial(families);
}

/*
 * All content blocks with their live texts.
 */
static List *
load_blocks(void)
{
	static SPIPlanPtr plan = NULL;
	List	   *families;

	te_db_execute(&plan,
				  "SELECT t.name, t.channel, t.default_locale, x.locale, v.version, v.content"
				  " FROM trigger_engine._templates t"
				  " JOIN trigger_engine._template_texts x ON x.name = t.name"
				  " JOIN trigger_engine._template_versions v ON v.name = x.name AND v.locale = x.locale"
				  " AND v.version = x.live_version"
				  " WHERE t.channel = 'block' ORDER BY t.name, x.locale", 0, NULL, NULL, NULL, false, 0);
	families = families_of_rows(SPI_tuptable);
	SPI_freetuptable(SPI_tuptable);
	return families;
}

/*
 * The content of one version of a text; NULL when it does not exist.
 */
static Jsonb *
load_version(const char *name, const char *locale, int32 version)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, TEXTOID, INT4OID};
	Datum		values[3];
	Jsonb	   *content = NULL;
	bool		isnull;

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(locale);
	values[2] = Int32GetDatum(version);
	te_db_execute(&plan,
				  "SELECT v.content FROM trigger_engine._template_versions v"
				  " WHERE v.name = $1 AND v.locale = $2 AND v.version = $3", 3, types, values, NULL, false, 1);
	if (SPI_processed > 0)
		content = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return content;
}

/*
 * The translations for a reader, in the current memory context.
 */
static Jsonb *
load_translations(const char *name, const char *locale, const char *tenant, const char *default_locale)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[4] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	char		nulls[5] = "    ";
	Jsonb	   *result;
	bool		isnull;

	values[0] = CStringGetTextDatum(locale ? locale : "en");
	values[1] = CStringGetTextDatum(name);
	values[2] = tenant ? CStringGetTextDatum(tenant) : (Datum) 0;
	nulls[2] = tenant ? ' ' : 'n';
	values[3] = default_locale ? CStringGetTextDatum(default_locale) : (Datum) 0;
	nulls[3] = default_locale ? ' ' : 'n';
	te_db_execute(&plan, "SELECT trigger_engine.translations_for($1, $2, tenant => $3, default_locale => $4)", 4, types, values, nulls, false, 1);
	result = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return result;
}

/* ---- the text for a reader ---- */

/*
 * The text that serves a locale best; NULL when none does.
 */
static Text *
best_text(const Family *family, const char *locale)
{
	Text	   *best = NULL;
	int			best_rank = 0;
	int			i;

	if (locale == NULL)
		return NULL;
	for (i = 0; i < family->ntexts; i++)
	{
		Text	   *text = &family->texts[i];
		int			rank = text->locale[0] != '\0' ? te_locale_rank(locale, text->locale) : -1;

		if (rank < 0 || (best != NULL && rank >= best_rank))
			continue;
		best = text;
		best_rank = rank;
	}
	return best;
}

/*
 * The text for a reader: of the locale's chain, of the default locale's, or the default
 * text. *render_locale becomes the locale of formats and translations: the reader's own
 * where the text is meant for it, or where there is only one text; else that of the
 * text, as far as it is known. NULL when there is no such text.
 */
static Text *
choose_text(const Family *family, const char *locale, const char **render_locale)
{
	Text	   *text = best_text(family, locale);
	int			i;

	*render_locale = locale ? locale : family->default_locale;
	if (text != NULL)
		return text;
	text = best_text(family, family->default_locale);
	for (i = 0; text == NULL && i < family->ntexts; i++)
		if (family->texts[i].locale[0] == '\0')
			text = &family->texts[i];
	if (text != NULL && family->default_locale && (text->locale[0] != '\0' || family->ntexts > 1))
		*render_locale = family->default_locale;
	return text;
}

/* A block and the text of it that fits the reader. */
typedef struct Block
{
	Family	   *family;
	Jsonb	   *content;
	bool		needed;
} Block;

/*
 * Marks the blocks that are needed, also by each other.
 */
static void
mark_needed(TeNeeds *needs, Block *blocks, int nblocks)
{
	bool		found = true;
	int			i;

	while (found)
	{
		found = false;
		for (i = 0; i < nblocks; i++)
		{
			bool		wanted = needs->all_blocks;
			ListCell   *cell;

			foreach(cell, needs->blocks)
				wanted |= strcmp(lfirst(cell), blocks[i].family->name) == 0;
			if (!wanted || blocks[i].needed)
				continue;
			blocks[i].needed = found = true;
			te_needs_add(needs, blocks[i].content);
		}
	}
}

/*
 * Adds a text member to an object that is being built.
 */
static void
push_text(JsonbParseState **state, const char *key, const JsonbValue *text)
{
	JsonbValue	name;
	JsonbValue	value = *text;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &name);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * The needed blocks as partials by name: of HTML where they have it and it is asked
 * for. NULL when none is needed.
 */
static Jsonb *
partials_of(const Block *blocks, int nblocks, bool html)
{
	JsonbParseState *state = NULL;
	int			count = 0;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < nblocks; i++)
	{
		JsonbValue *preferred;
		JsonbValue *other;

		if (!blocks[i].needed)
			continue;
		preferred = te_json_find(blocks[i].content, html ? "html" : "text");
		other = te_json_find(blocks[i].content, html ? "text" : "html");
		if (preferred == NULL || preferred->type != jbvString)
			preferred = other;
		if (preferred == NULL || preferred->type != jbvString)
			continue;
		push_text(&state, blocks[i].family->name, preferred);
		count++;
	}
	return count > 0 ? JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)) : NULL;
}

/*
 * Adds blocks and translations to what a reader gets.
 */
static void
supply(TeStored *stored, const Family *family, const char *tenant, List *families)
{
	TeNeeds		needs = {NIL};
	Block	   *blocks = palloc0(sizeof(Block) * Max(list_length(families), 1));
	int			nblocks = 0;
	ListCell   *cell;

	te_needs_add(&needs, stored->content->document);
	foreach(cell, families)
	{
		Family	   *block = lfirst(cell);
		const char *unused;
		Text	   *text = choose_text(block, stored->render_locale, &unused);

		if (text == NULL)
			continue;
		blocks[nblocks].family = block;
		blocks[nblocks++].content = text->content;
	}
	mark_needed(&needs, blocks, nblocks);
	stored->partials = partials_of(blocks, nblocks, false);
	if (te_channel_field(stored->channel, "html", 4) != NULL)
		stored->html_partials = partials_of(blocks, nblocks, true);
	stored->unsubscribe_url = needs.unsubscribe_url;
	stored->preferences_url = needs.preferences_url;
	stored->recommended = needs.recommended;
	stored->offers = needs.offers;
	if (needs.translations)
		stored->translations = load_translations(family->name, stored->render_locale, tenant, family->default_locale);
}

/*
 * The locale of a reader in its normal form, without extensions; NULL when there is
 * none, or a malformed one.
 */
static const char *
reader_locale(const char *locale, TeLocaleTag tag)
{
	if (locale == NULL || !te_locale_normalize(locale, strlen(locale), tag))
		return NULL;
	return tag;
}

/*
 * See message.h. blocks: those of the process, or NULL to read them.
 */
static const TeStored *
load(const char *name, const char *locale, const char *tenant, const TeStoredChoice *choice, List *blocks,
	 char **reason)
{
	TeLocaleTag tag;
	const char *wanted = reader_locale(locale, tag);
	Family	   *family = load_family(name, choice->draft || choice->version != 0);
	TeStored   *stored;
	Text	   *text;
	const char *render_locale;

	if (family == NULL || family->channel == NULL)
	{
		*reason = psprintf("template \"%s\" does not exist", name);
		return NULL;
	}
	if (family->ntexts == 0)
	{
		*reason = psprintf("template \"%s\" has no live text", name);
		return NULL;
	}
	text = choose_text(family, wanted, &render_locale);
	if (text == NULL)
	{
		*reason = psprintf("template \"%s\" has no text for %s%s", name, wanted ? "locale " : "readers without a locale",
						   wanted ? wanted : "");
		return NULL;
	}
	if (choice->version != 0)
	{
		text->version = choice->version;
		text->content = load_version(name, text->locale, choice->version);
		if (text->content == NULL)
		{
			*reason = psprintf("template \"%s\" has no version %d of its %s", name, choice->version,
							   text->locale[0] ? psprintf("text for locale %s", text->locale) : "default text");
			return NULL;
		}
	}
	stored = palloc0(sizeof(TeStored));
	stored->channel = family->channel;
	stored->version = text->version;
	stored->locale = text->locale;
	stored->render_locale = render_locale ? pstrdup(render_locale) : NULL;
	stored->content = te_content_compile(family->channel, text->content);
	if (stored->content->dynamic)
		supply(stored, family, tenant, blocks ? blocks : load_blocks());
	return stored;
}

/*
 * See message.h.
 */
const TeStored *
te_stored_load(const char *name, const char *locale, const char *tenant, const TeStoredChoice *choice, char **reason)
{
	return load(name, locale, tenant, choice, NIL, reason);
}

/*
 * See message.h.
 */
const TeStored *
te_stored_find(const char *name, const char *locale, const char *tenant, char **reason)
{
	static const TeStoredChoice live = {0};
	TeLocaleTag tag;
	const char *wanted = reader_locale(locale, tag);
	char		key[KEY_SIZE] = {0};
	MemoryContext caller = CurrentMemoryContext;
	const TeStored *stored;
	Entry	   *entry;

	if (snprintf(key, sizeof(key), "%s\n%s\n%s", name, wanted ? wanted : "", tenant ? tenant : "") >= sizeof(key))
		return te_stored_load(name, locale, tenant, &live, reason);
	entry = hash_search(kept, key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		char	   *why = NULL;

		MemoryContextSwitchTo(kept_context);
		if (!blocks_loaded)
			kept_blocks = load_blocks();
		blocks_loaded = true;
		stored = load(name, wanted, tenant, &live, kept_blocks, &why);
		entry = hash_search(kept, key, HASH_ENTER, NULL);
		entry->stored = stored;
		entry->reason = why;
		MemoryContextSwitchTo(caller);
	}
	if (entry->stored == NULL)
		*reason = pstrdup(entry->reason);
	return entry->stored;
}
