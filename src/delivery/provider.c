/*
 * provider.c
 *		Kinds of providers, the check of their options and secrets, and reading
 *		the configured ones.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"
#include "message/message.h"
#include "worker/worker.h"

#define DEFAULT_TIMEOUT_MS 20000
#define MIN_TIMEOUT_MS 100
#define MAX_TIMEOUT_MS 300000
#define DEFAULT_MAX_IN_FLIGHT 200
#define MAX_MAX_IN_FLIGHT 10000
#define MAX_RATE 1000000

static const TeProviderKind *const kinds[] = {
	&te_webhook_kind,
	&te_smtp_kind,
	&te_fcm_kind,
	&te_apns_kind,
	&te_web_push_kind,
	&te_vapid_kind
};

/*
 * The kind of that name; NULL when unknown. Never throws.
 */
const TeProviderKind *
te_provider_kind(const char *kind)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i]->kind, kind) == 0)
			return kinds[i];
	return NULL;
}

/*
 * Finds the kind of that name, ours or one made of data, for provider; throws
 * when unknown, with the known ones. Needs SPI connected.
 */
static void
require_kind(TeProvider *provider, const char *kind)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(kind)};
	StringInfoData all;
	bool		isnull;

	provider->kind = unconstify(char *, kind);
	provider->ops = te_provider_kind(kind);
	if (provider->ops)
	{
		provider->channel = unconstify(char *, provider->ops->channel);
		return;
	}
	te_db_execute(&plan,
				  "SELECT k.channel, k.definition FROM trigger_engine._provider_kinds k"
				  " WHERE k.name OPERATOR(pg_catalog.=) $1",
				  1, types, values, NULL, true, 0);
	if (SPI_processed == 1)
	{
		provider->ops = &te_http_kind;
		provider->channel = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		provider->definition = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0],
																SPI_tuptable->tupdesc, 2, &isnull));
		return;
	}
	initStringInfo(&all);
	for (int i = 0; i < lengthof(kinds); i++)
		appendStringInfo(&all, "%s\"%s\"", i ? ", " : "", kinds[i]->kind);
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("unknown kind of provider \"%s\"", kind),
			 strcmp(kind, "in_app") == 0
			 ? errhint("In-app messages need no provider.")
			 : errhint("The known kinds are %s, and those of the view trigger_engine.provider_kinds.", all.data)));
}

/*
 * A number within bounds, or its default when absent; throws otherwise.
 */
static double
bounded_number(Jsonb *options, const char *key, double absent, double low, double high,
			   const char *what)
{
	double		value = te_json_number(options, key, absent, what);

	if (!(value >= low && value <= high))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"%s\" of %s must be between %g and %g", key, what, low, high)));
	return value;
}

/*
 * The time limit of a hand-over in milliseconds; throws when out of bounds.
 */
static int
timeout_option(Jsonb *options, const char *what)
{
	Interval   *interval = te_json_interval(options, "timeout", what);
	int64		ms;

	if (interval == NULL)
		return DEFAULT_TIMEOUT_MS;
	ms = interval->month || interval->day ? PG_INT64_MAX : interval->time / 1000;
	if (ms < MIN_TIMEOUT_MS || ms > MAX_TIMEOUT_MS)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"timeout\" of %s must be between %d ms and %d s",
						what, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS / 1000)));
	return (int) ms;
}

/*
 * Reads options into a provider whose kind is known; throws when they are not
 * valid. Strings are allocated in the current context.
 */
static void
read_options(TeProvider *provider, Jsonb *options)
{
	char		what[64];
	char		why[160];
	bool		plain_http;

	snprintf(what, sizeof(what), "the options of a %s provider", provider->kind);
	te_json_check_keys(options, what, provider->definition ? te_http_option_keys(provider->definition)
					   : provider->ops->option_keys);

	provider->url = te_json_text(options, "url", what);
	/* without one, every user's own endpoint is where messages go */
	if (provider->url && !(provider->ops->check_url ? provider->ops->check_url : te_http_check_url)
		(provider->url, &plain_http, why, sizeof(why)))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"url\" of %s is not valid: %s", what, why)));
	provider->ca_file = te_json_text(options, "ca_file", what);
	if (provider->ca_file && !is_absolute_path(provider->ca_file))
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("key \"ca_file\" of %s must be an absolute path", what),
				 errhint("The file is read on the database server, in PEM format.")));
	provider->timeout_ms = timeout_option(options, what);
	provider->rate = bounded_number(options, "rate", 0, 0, MAX_RATE, what);
	provider->max_in_flight = (int) bounded_number(options, "max_in_flight", DEFAULT_MAX_IN_FLIGHT,
												   1, MAX_MAX_IN_FLIGHT, what);
	(void) bounded_number(options, "cost", 0, 0, 1e9, what);
	if (provider->ops->read_options)
		provider->ops->read_options(provider, options, what);
}

/* What the guarded part of loading needs. */
typedef struct Loading
{
	TeProvider *provider;
	MemoryContext context;
	Jsonb	   *options;
	Jsonb	   *secret;			/* NULL = none stored */
} Loading;

/*
 * Forgets the rules of a provider, with its context.
 */
static void
release_rules(void *rules)
{
	te_rules_release(rules);
}

/*
 * Has the provider keep the rules of its kind as long as its context lives. Throws
 * when they are not valid.
 */
static void
keep_rules(TeProvider *provider, MemoryContext context)
{
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(MemoryContextCallback));

	provider->rules = te_rules_build(provider->definition);
	callback->func = release_rules;
	callback->arg = provider->rules;
	MemoryContextRegisterResetCallback(context, callback);
}

/*
 * Reads options and secret of one row; an error here makes that one provider
 * unusable, not all of them.
 */
static void
load_details(void *arg)
{
	Loading    *loading = arg;
	TeProvider *provider = loading->provider;
	MemoryContext old = MemoryContextSwitchTo(loading->context);
	bool		needs_secret;
	char	   *why;

	read_options(provider, loading->options);
	if (provider->definition)
		keep_rules(provider, loading->context);
	needs_secret = provider->definition ? te_http_needs_secret(provider->definition) : !provider->ops->secret_optional;
	MemoryContextSwitchTo(old);
	if (loading->secret == NULL && !needs_secret)
		return;
	if (loading->secret == NULL)
	{
		provider->secret_error = MemoryContextStrdup(loading->context,
													 "the provider has no secret: call trigger_engine.set_secret()");
		return;
	}
	why = provider->ops->load_secret(provider, loading->secret, loading->context);
	if (why)
		provider->secret_error = MemoryContextStrdup(loading->context, why);
}

/*
 * A column of a row of SPI_tuptable as a string in context; NULL when it is null.
 */
static char *
string_column(uint64 row, int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

/*
 * A jsonb column of SPI_tuptable, copied to the current context; NULL for null.
 */
static Jsonb *
jsonb_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * One row of SPI_tuptable as a provider in context.
 */
static TeProvider *
load_row(uint64 row, MemoryContext context)
{
	TeProvider *provider = MemoryContextAllocZero(context, sizeof(TeProvider));
	Loading		loading;
	ErrorData  *failure;
	bool		isnull;

	provider->id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row],
											   SPI_tuptable->tupdesc, 1, &isnull));
	provider->lane = provider->id % (TE_LANES - 1) + 1;
	provider->name = string_column(row, 2, context);
	provider->kind = string_column(row, 3, context);
	provider->channel = string_column(row, 4, context);
	provider->active = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[row],
												  SPI_tuptable->tupdesc, 5, &isnull));
	provider->state_reason = string_column(row, 6, context);
	provider->timeout_ms = DEFAULT_TIMEOUT_MS;
	provider->max_in_flight = DEFAULT_MAX_IN_FLIGHT;
	provider->ops = te_provider_kind(provider->kind);
	if (provider->ops == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		provider->definition = jsonb_column(row, 9);
		MemoryContextSwitchTo(old);
		if (provider->definition)
			provider->ops = &te_http_kind;
	}
	if (provider->ops == NULL)
	{
		provider->secret_error = MemoryContextStrdup(context,
													 "this version does not know its kind of provider");
		return provider;
	}
	provider->idempotent = provider->ops->idempotent;

	loading.provider = provider;
	loading.context = context;
	loading.options = jsonb_column(row, 7);
	loading.secret = jsonb_column(row, 8);
	if (!te_db_subtransaction(load_details, &loading, &failure))
	{
		provider->secret_error = MemoryContextStrdup(context, failure->message);
		FreeErrorData(failure);
	}
	if (loading.secret)
		te_crypto_wipe(loading.secret, VARSIZE(loading.secret));
	return provider;
}

/*
 * All providers, in context, by id. One that cannot be used is in the list with
 * secret_error set. Needs a transaction with SPI connected; may throw. Keys are
 * wiped when context is reset or deleted.
 */
List *
te_provider_load(MemoryContext context)
{
	static SPIPlanPtr plan = NULL;
	List	   *result = NIL;
	SPITupleTable *rows;
	uint64		nrows;

	te_db_execute(&plan,
				  "SELECT p.provider_id, p.name, p.kind, p.channel,"
				  " p.state OPERATOR(pg_catalog.=) 'active', p.state_reason, p.options, s.secret, k.definition"
				  " FROM trigger_engine._providers p"
				  " LEFT JOIN trigger_engine._secrets s ON s.provider OPERATOR(pg_catalog.=) p.name"
				  " LEFT JOIN trigger_engine._provider_kinds k ON k.name OPERATOR(pg_catalog.=) p.kind"
				  " ORDER BY p.provider_id",
				  0, NULL, NULL, NULL, false, 0);
	rows = SPI_tuptable;
	nrows = SPI_processed;
	for (uint64 row = 0; row < nrows; row++)
	{
		TeProvider *provider;
		MemoryContext old;

		SPI_tuptable = rows;
		provider = load_row(row, context);
		old = MemoryContextSwitchTo(context);
		result = lappend(result, provider);
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(rows);
	return result;
}

PG_FUNCTION_INFO_V1(te_provider_check_options_sql);
PG_FUNCTION_INFO_V1(te_provider_check_secret_sql);
PG_FUNCTION_INFO_V1(te_provider_delivers);

/*
 * trigger_engine._check_provider(kind text, options jsonb) returns text: throws
 * when the options are not valid, else gives the kind's channel.
 */
Datum
te_provider_check_options_sql(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *options = PG_GETARG_JSONB_P(1);
	TeProvider	provider = {0};
	char		channel[NAMEDATALEN];

	SPI_connect();
	require_kind(&provider, kind);
	read_options(&provider, options);
	strlcpy(channel, provider.channel, sizeof(channel));
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

/*
 * trigger_engine._check_secret(kind text, secret jsonb) returns void: throws
 * when the secret is not valid; WARNs when it is given inline or cannot be read
 * yet.
 */
Datum
te_provider_check_secret_sql(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *secret = PG_GETARG_JSONB_P(1);
	TeProvider	provider = {0};

	SPI_connect();
	require_kind(&provider, kind);
	if (provider.definition)
		te_http_check_secret(provider.definition, secret);
	else
	{
		te_json_check_keys(secret, "the secret", provider.ops->secret_keys);
		provider.ops->check_secret(secret);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * trigger_engine._delivers(channel text) returns boolean: whether messages of the
 * channel can be sent. In-app messages need no provider; for all others there can
 * be a kind.
 */
Datum
te_provider_delivers(PG_FUNCTION_ARGS)
{
	const TeChannel *channel = te_channel_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_BOOL(channel && !channel->is_block);
}
