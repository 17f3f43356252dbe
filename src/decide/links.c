/*
 * links.c
 *		Which links of a claim's messages are rewritten, and how.
 *
 * Needs a transaction with SPI connected.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "decide/decide.h"
#include "guc.h"
#include "message/links.h"

#define DEFAULT_LIFE (90 * USECS_PER_DAY)

/* The options that hold for a journey. */
typedef struct Options
{
	int64		journey_id;		/* 0 = all */
	Jsonb	   *options;
} Options;

/* What is configured, read once a claim. */
typedef struct Config
{
	int			count;
	Options    *options;		/* those for all come last */
	TeLinkKey	key;			/* the newest; id 0 = none */
} Config;

/*
 * Reads it; false when nothing is to be done for anybody.
 */
static bool
read_config(Config *config)
{
	static SPIPlanPtr options_plan = NULL;
	static SPIPlanPtr key_plan = NULL;
	SPITupleTable *table;
	bool		isnull;

	te_db_execute(&options_plan, "SELECT journey_id, options FROM trigger_engine._link_options ORDER BY journey_id DESC",
				  0, NULL, NULL, NULL, false, 0);
	table = SPI_tuptable;
	config->count = (int) SPI_processed;
	if (config->count == 0)
	{
		SPI_freetuptable(table);
		return false;
	}
	config->options = palloc(sizeof(Options) * config->count);
	for (int i = 0; i < config->count; i++)
	{
		config->options[i].journey_id = DatumGetInt64(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		config->options[i].options = DatumGetJsonbPCopy(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
	}
	SPI_freetuptable(table);

	config->key.id = 0;
	te_db_execute(&key_plan, "SELECT key_id, key FROM trigger_engine._link_keys ORDER BY key_id DESC LIMIT 1",
				  0, NULL, NULL, NULL, false, 0);
	table = SPI_tuptable;
	if (SPI_processed == 1)
	{
		bytea	   *key = DatumGetByteaPP(SPI_getbinval(table->vals[0], table->tupdesc, 2, &isnull));

		if (VARSIZE_ANY_EXHDR(key) == sizeof(config->key.bytes))
		{
			config->key.id = DatumGetInt32(SPI_getbinval(table->vals[0], table->tupdesc, 1, &isnull));
			memcpy(config->key.bytes, VARDATA_ANY(key), sizeof(config->key.bytes));
			te_crypto_wipe(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
		}
	}
	SPI_freetuptable(table);
	return true;
}

/*
 * An option of a journey: its own, else that for all; NULL when neither says anything.
 */
static JsonbValue *
option(const Config *config, int64 journey_id, const char *name)
{
	for (int i = 0; i < config->count; i++)
		if (config->options[i].journey_id == journey_id || config->options[i].journey_id == 0)
		{
			JsonbValue *value = te_json_find(config->options[i].options, name);

			if (value)
				return value;
		}
	return NULL;
}

/*
 * Whether an option is on for a journey.
 */
static bool
is_on(const Config *config, int64 journey_id, const char *name)
{
	JsonbValue *value = option(config, journey_id, name);

	return value && value->type == jbvBool && value->val.boolean;
}

/*
 * Whether messages of the channel are rewritten. A link in a text message costs its
 * length, so that channel, like those whose content is not ours, has to be named.
 */
static bool
has_channel(const Config *config, const TeItem *item)
{
	JsonbValue *channels = option(config, item->journey_id, "channels");
	JsonbValue	wanted;

	if (channels == NULL)
		return strcmp(item->channel, "sms") != 0 && strcmp(item->channel, "whatsapp") != 0;
	wanted.type = jbvString;
	wanted.val.string.val = item->channel;
	wanted.val.string.len = strlen(item->channel);
	return channels->type == jbvBinary &&
		findJsonbValueFromContainer(channels->val.binary.data, JB_FARRAY, &wanted) != NULL;
}

/*
 * Appends a parameter of a URL.
 */
static void
append_parameter(StringInfo out, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	if (out->len > 0)
		appendStringInfoChar(out, '&');
	appendStringInfo(out, "%s=", name);
	for (; *value; value++)
	{
		unsigned char c = (unsigned char) *value;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c))
			appendStringInfoChar(out, c);
		else
			appendStringInfo(out, "%%%02X", c);
	}
}

/*
 * The parameters that say where a visit came from.
 */
static char *
utm_parameters(const Config *config, const TeItem *item)
{
	JsonbValue *source = option(config, item->journey_id, "utm_source");
	StringInfoData out;

	initStringInfo(&out);
	append_parameter(&out, "utm_source", source && source->type == jbvString
					 ? pnstrdup(source->val.string.val, source->val.string.len) : "trigger_engine");
	append_parameter(&out, "utm_medium", item->channel);
	append_parameter(&out, "utm_campaign", item->journey_name);
	append_parameter(&out, "utm_content", item->step->template_name);
	append_parameter(&out, "utm_term", item->step_id);
	return out.data;
}

/*
 * How long tokens of a journey live, in microseconds. Checked when it was set.
 */
static int64
life_of_tokens(const Config *config, int64 journey_id)
{
	JsonbValue *value = option(config, journey_id, "ttl_days");
	double		days = 0;

	if (value && value->type == jbvNumeric)
		days = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
	return days > 0 && days <= 36500 ? (int64) (days * USECS_PER_DAY) : DEFAULT_LIFE;
}

/*
 * Rewrites the links of all messages that are about to go, where that is wanted. Their
 * sends have their numbers by now.
 */
void
te_links_apply(TeItem **items, int count, TimestampTz now)
{
	Config		config;
	bool		read = false;

	for (int i = 0; i < count; i++)
	{
		TeItem	   *item = items[i];
		TeLinkRules rules = {0};
		const TeChannel *channel;

		if (item->verdict != TE_PASS || item->state != NULL || item->content == NULL || item->step == NULL)
			continue;
		if (!read && !read_config(&config))
			return;
		read = true;
		channel = te_channel_find(item->channel);
		if (channel == NULL || !has_channel(&config, item))
			continue;
		if (is_on(&config, item->journey_id, "utm"))
			rules.utm = utm_parameters(&config, item);
		if (config.key.id > 0)
		{
			rules.key = &config.key;
			if (te_guc_click_url[0] && is_on(&config, item->journey_id, "clicks"))
				rules.click_url = te_guc_click_url;
			if (te_guc_open_url[0] && is_on(&config, item->journey_id, "opens"))
				rules.open_url = te_guc_open_url;
		}
		if (rules.utm == NULL && rules.click_url == NULL && rules.open_url == NULL)
			continue;
		rules.public_url = te_guc_public_url;
		rules.send_id = item->send_id;
		rules.expires = (now + life_of_tokens(&config, item->journey_id)) / USECS_PER_SEC +
			(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
		item->content = te_links_rewrite(channel, item->content, &rules);
	}
	if (read)
		te_crypto_wipe(&config.key, sizeof(config.key));
}
