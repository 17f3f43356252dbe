/*
 * Rendering of Liquid texts.
 */

CREATE FUNCTION trigger_engine.render(template text, context jsonb DEFAULT '{}', locale text DEFAULT NULL,
	partials jsonb DEFAULT '{}', options jsonb DEFAULT '{}')
RETURNS text
AS 'MODULE_PATHNAME', 'te_render'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.render(text, jsonb, text, jsonb, jsonb) IS
'Renders a Liquid template against a context. partials: texts by name, for include and render. options: errors (raise, the default, or inline as Liquid writes them), strict_variables, strict_filters, escape (none, html, json, header, url: of every output not marked raw), now, timezone, translations (texts by key for t, as translations_for() gives them), seed. NULL template gives NULL. Errors: TE005 with line and column for a template that does not parse, with the line for one that fails; TE006 over a limit (settings trigger_engine.template_*); TE007 when the template stopped itself; TE001 for an unknown option.';

CREATE FUNCTION trigger_engine.render_json(template text, context json DEFAULT '{}', locale text DEFAULT NULL,
	partials jsonb DEFAULT '{}', options jsonb DEFAULT '{}')
RETURNS text
AS 'MODULE_PATHNAME', 'te_render_json'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.render_json(text, json, text, jsonb, jsonb) IS
'As render(), with a context that keeps the order of its keys, which jsonb does not. Slower, as the context is parsed each time.';

CREATE FUNCTION trigger_engine.check_template(template text, sample jsonb DEFAULT NULL,
	OUT line int, OUT "column" int, OUT severity text, OUT message text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'te_check_template'
LANGUAGE C STABLE PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION trigger_engine.check_template(text, jsonb) IS
'What is wrong with a template, a row for each problem in the order of the text, with line and column counted in characters from 1. severity: error (does not parse) or warning (unknown filters, wrong numbers of arguments, and, with a sample context, variables that it lacks). No row: the template is fine.';

CREATE FUNCTION trigger_engine._template_cache(OUT entries bigint, OUT bytes bigint, OUT hits bigint,
	OUT misses bigint, OUT evictions bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'te_template_cache'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine._template_cache() IS 'Behind the view template_cache.';

CREATE VIEW trigger_engine.template_cache AS SELECT * FROM trigger_engine._template_cache();
COMMENT ON VIEW trigger_engine.template_cache IS
'Parsed templates that this session keeps, by their texts: how many, their memory in bytes, and since the session began how often one was found, had to be parsed, and was dropped to stay within trigger_engine.template_cache.';
