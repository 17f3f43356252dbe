/*
 * Templates: Liquid texts by field and locale.
 */

CREATE FUNCTION trigger_engine.render(template text, context jsonb DEFAULT '{}', locale text DEFAULT NULL,
	partials jsonb DEFAULT '{}', options jsonb DEFAULT '{}')
RETURNS text
AS 'MODULE_PATHNAME', 'te_render'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.render(text, jsonb, text, jsonb, jsonb) IS
'Renders a template with {{ path }} and {{ path | default: "x" }} outputs against a context. NULL template gives NULL. Errors: TE005 with line and column for a template that does not parse.';

CREATE FUNCTION trigger_engine._check_content(channel text, content jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'te_check_content'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._check_content(text, jsonb) IS 'Throws unless every text of a template''s content parses and its fields fit the channel.';

CREATE FUNCTION trigger_engine.create_template(name text, channel text, content jsonb,
	locale text DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_template(text, text, jsonb, text, boolean) IS
'Stores a template. content: a JSON object of fields; every text in it, at any depth, is rendered. in_app: title, body, image, url, data. webhook: any fields, sent as data.content; type names the webhook''s type. locale NULL = the text for readers without one of their own. Errors: TE005 for a text that does not parse, TE001 for an unknown field.';

CREATE FUNCTION trigger_engine._create_template(invoker name, name text, channel text, content jsonb,
	locale text, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	other text;
BEGIN
	IF name IS NULL OR name = '' OR channel IS NULL OR content IS NULL THEN
		RAISE EXCEPTION 'name, channel and content are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_content(channel, content);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	SELECT t.channel INTO other FROM trigger_engine._templates t WHERE t.name = name LIMIT 1;
	IF other <> channel THEN
		RAISE EXCEPTION 'template "%" exists already for channel %', name, other USING ERRCODE = 'duplicate_object',
			HINT = 'Give the text for another channel a name of its own.';
	END IF;
	IF EXISTS (SELECT FROM trigger_engine._templates t WHERE t.name = name AND t.locale = coalesce(locale, ''))
		AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION 'template "%" exists already', name USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to replace it.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, t.owner, format('template "%s"', name))
	FROM trigger_engine._templates t WHERE t.name = name;
	INSERT INTO trigger_engine._templates VALUES (name, coalesce(locale, ''), channel, content, 1, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _templates_pkey DO UPDATE SET content = excluded.content, owner = excluded.owner,
		version = _templates.version + 1, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_template(name, text, text, jsonb, text, boolean) IS 'Behind create_template().';

CREATE FUNCTION trigger_engine.drop_template(name text, locale text DEFAULT NULL, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_template(text, text, boolean) IS
'Drops a template: one locale of it, or all of it when locale is NULL. An error while a journey uses it. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_template(invoker name, name text, locale text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey text;
BEGIN
	SELECT j.name INTO journey FROM trigger_engine._journeys j
	JOIN trigger_engine._journey_versions v USING (journey_id, version)
	WHERE j.state <> 'archived' AND locale IS NULL
		AND v.steps @> jsonb_build_array(jsonb_build_object('send', name)) ORDER BY j.name LIMIT 1;
	IF journey IS NOT NULL THEN
		RAISE EXCEPTION 'template "%" is used by journey "%"', name, journey
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Alter or drop the journey first.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, t.owner, format('template "%s"', name))
	FROM trigger_engine._templates t WHERE t.name = name;
	DELETE FROM trigger_engine._templates t WHERE t.name = name AND (locale IS NULL OR t.locale = locale);
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'template "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_template(name, text, text, boolean) IS 'Behind drop_template().';

CREATE VIEW trigger_engine.templates AS
SELECT name, nullif(locale, '') AS locale, channel, content, version, owner, updated_at FROM trigger_engine._templates;
COMMENT ON VIEW trigger_engine.templates IS 'Templates by name and locale; a NULL locale is the default text.';
