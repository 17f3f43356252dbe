/*
 * http_sql.c
 *		SQL functions of the kinds made of data: the check of a definition, the
 *		request that it makes of a message, and what it makes of an answer.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "common/common.h"
#include "delivery/delivery_internal.h"
#include "errors.h"

#define WHAT "the message"

PG_FUNCTION_INFO_V1(te_http_check_sql);
PG_FUNCTION_INFO_V1(te_http_request_sql);
PG_FUNCTION_INFO_V1(te_http_answer_sql);

/*
 * trigger_engine._check_provider_kind(definition jsonb) returns void: throws when
 * the definition is not valid.
 */
Datum
te_http_check_sql(PG_FUNCTION_ARGS)
{
	te_http_check_definition(PG_GETARG_JSONB_P(0));
	PG_RETURN_VOID();
}

/*
 * Appends a member to the text of an object.
 */
static void
add_member(StringInfo out, const char *key, const char *value)
{
	if (out->len > 1)
		appendStringInfoChar(out, ',');
	escape_json(out, key);
	appendStringInfoChar(out, ':');
	escape_json(out, value);
}

/*
 * A text of the message, or what stands for it.
 */
static const char *
text_or(Jsonb *message, const char *key, const char *absent)
{
	char	   *text = te_json_text(message, key, WHAT);

	return text ? text : absent;
}

/*
 * Makes the request of a message, as the worker does.
 */
static void
compose(TeProvider *provider, Jsonb *options, Jsonb *secret, Jsonb *message, TeOutgoing *outgoing)
{
	char	   *why;

	provider->ops = &te_http_kind;
	provider->kind = "http";
	provider->url = te_json_text(options, "url", WHAT);
	provider->ops->read_options(provider, options, "the options");
	why = provider->ops->load_secret(provider, secret, CurrentMemoryContext);
	if (why)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("%s", why)));
	outgoing->content = te_json_object(message, "content", WHAT);
	if (outgoing->content == NULL)
		outgoing->content = te_json_parse("{}");
	outgoing->endpoint = te_json_object(message, "endpoint", WHAT);
	outgoing->address = te_json_text(message, "address", WHAT);
	outgoing->send_id = (int64) te_json_number(message, "send_id", 0, WHAT);
	outgoing->message_id = text_or(message, "message_id", "msg_00000000000000000000000000000000");
	outgoing->user_id = text_or(message, "user_id", "");
	outgoing->journey = text_or(message, "journey", "");
	outgoing->step = text_or(message, "step", "");
	outgoing->now = te_clock_now();
	outgoing->now_text = text_or(message, "now", "");
	outgoing->ttl = (int64) te_json_number(message, "ttl", -1, WHAT);
	outgoing->transactional = te_json_bool(message, "transactional", false, WHAT);
	provider->ops->compose(provider, outgoing);
}

/*
 * trigger_engine._kind_request(definition jsonb, options jsonb, secret jsonb, message jsonb)
 * returns jsonb: {url, headers, body}, or {why}.
 */
Datum
te_http_request_sql(PG_FUNCTION_ARGS)
{
	TeProvider	provider = {0};
	TeOutgoing	outgoing = {0};
	StringInfoData out;
	StringInfoData headers;
	ListCell   *cell;

	provider.definition = PG_GETARG_JSONB_P(0);
	compose(&provider, PG_GETARG_JSONB_P(1), PG_GETARG_JSONB_P(2), PG_GETARG_JSONB_P(3), &outgoing);
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (outgoing.why)
		add_member(&out, "why", outgoing.why);
	else
	{
		initStringInfo(&headers);
		foreach(cell, outgoing.headers)
			appendStringInfo(&headers, "%s%s", headers.len ? "\n" : "", (char *) lfirst(cell));
		add_member(&out, "url", outgoing.url);
		add_member(&out, "headers", headers.data);
		add_member(&out, "body", outgoing.body);
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_JSONB_P(te_json_parse(out.data));
}

/*
 * trigger_engine._kind_answer(definition jsonb, answer jsonb) returns jsonb: what
 * an answer {status, body, ref, error_type, retry_after} comes to.
 */
Datum
te_http_answer_sql(PG_FUNCTION_ARGS)
{
	Jsonb	   *definition = PG_GETARG_JSONB_P(0);
	Jsonb	   *given = PG_GETARG_JSONB_P(1);
	TeHttpRules *rules;
	TeHttpAnswer answer = {0};
	TeResult	result = {0};
	StringInfoData out;
	char		why[256] = "";

	answer.status = (int) te_json_number(given, "status", 0, WHAT);
	answer.body = text_or(given, "body", "");
	answer.body_len = strlen(answer.body);
	answer.ref = text_or(given, "ref", "");
	answer.error_type = text_or(given, "error_type", "");
	answer.retry_after_us = result.retry_after_us = te_outcome_retry_after(text_or(given, "retry_after", ""));
	answer.rules = rules = te_rules_build(definition);
	result.outcome = te_rules_classify(&answer, &result, why, sizeof(why));
	te_rules_release(rules);

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	add_member(&out, "outcome", te_outcome_name(result.outcome));
	if (why[0])
		add_member(&out, "reason", why);
	if (result.provider_ref[0])
		add_member(&out, "ref", result.provider_ref);
	if (result.retry_after_us > 0 && result.outcome != TE_OUTCOME_ACCEPTED)
		appendStringInfo(&out, ",\"after\":%.3f", result.retry_after_us / 1e6);
	if (result.target_only)
		appendStringInfoString(&out, ",\"target_only\":true");
	appendStringInfoChar(&out, '}');
	PG_RETURN_JSONB_P(te_json_parse(out.data));
}
