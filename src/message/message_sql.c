/*
 * message_sql.c
 *		Checks of templates that SQL functions call before they store them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "errors.h"
#include "message/message.h"
#include "template/locale.h"

PG_FUNCTION_INFO_V1(te_message_check_content);
PG_FUNCTION_INFO_V1(te_message_content_blocks);
PG_FUNCTION_INFO_V1(te_message_normal_locale);

/*
 * The channel of that name; throws, with the nearest one, when there is none.
 */
static const TeChannel *
require_channel(const char *name)
{
	const TeChannel *channel = te_channel_find(name);
	const char *const *names = te_channel_names();
	const char *nearest;
	StringInfoData all;
	int			i;

	if (channel)
		return channel;
	nearest = te_json_nearest(name, names);
	initStringInfo(&all);
	for (i = 0; names[i]; i++)
		appendStringInfo(&all, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " and ", names[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown channel \"%s\"", name),
			 nearest ? errhint("Perhaps you meant \"%s\".", nearest)
			 : errhint("The channels are %s.", all.data)));
	return NULL;				/* keep compiler quiet */
}

/*
 * _check_content(channel, content): throws unless the fields fit the channel and every
 * text parses.
 */
Datum
te_message_check_content(PG_FUNCTION_ARGS)
{
	const TeChannel *channel = require_channel(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Jsonb	   *content = PG_GETARG_JSONB_P(1);

	te_channel_check(channel, content);
	te_content_check(te_content_compile(channel, content));
	PG_RETURN_VOID();
}

/*
 * _content_blocks(content): names of the blocks that its texts include, where they are
 * written in the text.
 */
Datum
te_message_content_blocks(PG_FUNCTION_ARGS)
{
	Jsonb	   *content = PG_GETARG_JSONB_P(0);
	TeNeeds		needs = {NIL};
	ListCell   *cell;
	ArrayBuildState *result = initArrayResult(TEXTOID, CurrentMemoryContext, true);

	te_needs_add(&needs, content);
	foreach(cell, needs.blocks)
		result = accumArrayResult(result, CStringGetTextDatum(lfirst(cell)), false, TEXTOID, CurrentMemoryContext);
	PG_RETURN_DATUM(makeArrayResult(result, CurrentMemoryContext));
}

/*
 * _normal_locale(locale): its normal form, empty for null or none.
 */
Datum
te_message_normal_locale(PG_FUNCTION_ARGS)
{
	TeLocaleTag tag;
	text	   *given;

	if (PG_ARGISNULL(0) || VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)) == 0)
		PG_RETURN_TEXT_P(cstring_to_text(""));
	given = PG_GETARG_TEXT_PP(0);
	if (!te_locale_normalize(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), tag))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no locale", text_to_cstring(given)),
				 errhint("Write a tag of BCP 47 such as \"de\", \"pt-BR\" or \"zh-Hant\".")));
	PG_RETURN_TEXT_P(cstring_to_text(tag));
}
