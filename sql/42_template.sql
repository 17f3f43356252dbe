/*
 * Stored templates and content blocks: texts by field, locale and version, draft and
 * live, and what a reader would get.
 */

CREATE FUNCTION trigger_engine._check_content(channel text, content jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'te_message_check_content'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._check_content(text, jsonb) IS 'Throws unless the fields of a template''s content fit the channel and every text in it parses.';

CREATE FUNCTION trigger_engine._content_blocks(content jsonb) RETURNS text[]
AS 'MODULE_PATHNAME', 'te_message_content_blocks'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._content_blocks(jsonb) IS 'Names of the content blocks that the texts of a content include.';

CREATE FUNCTION trigger_engine._normal_locale(locale text) RETURNS text
AS 'MODULE_PATHNAME', 'te_message_normal_locale'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._normal_locale(text) IS 'A locale in its normal form, empty for none (the default text). Throws when it is malformed.';

CREATE FUNCTION trigger_engine._find_template(invoker name, name text) RETURNS trigger_engine._templates
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	template trigger_engine._templates;
BEGIN
	SELECT * INTO template FROM trigger_engine._templates t WHERE t.name = name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'template "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(name,
				ARRAY(SELECT t.name FROM trigger_engine._templates t ORDER BY t.name)) || '".',
				'See the view trigger_engine.templates.');
	END IF;
	PERFORM trigger_engine._check_owner(invoker, template.owner, format('template "%s"', name));
	RETURN template;
END
$$;
COMMENT ON FUNCTION trigger_engine._find_template(name, text) IS 'The template of that name, locked; throws when it is not there or not the invoker''s.';

CREATE FUNCTION trigger_engine._text_name(name text, locale text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN $2 = '' THEN format('template "%s"', $1) ELSE format('template "%s" for locale "%s"', $1, $2) END
$$;
COMMENT ON FUNCTION trigger_engine._text_name(text, text) IS 'What messages call a text of a template.';

/*
 * Makes a version of a text live. What it includes must be there, as nobody looks on
 * when it is rendered.
 */
CREATE FUNCTION trigger_engine._publish_version(invoker name, template trigger_engine._templates, locale text, version integer)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	chosen trigger_engine._template_versions;
	block text;
BEGIN
	SELECT * INTO chosen FROM trigger_engine._template_versions v
	WHERE v.name = template.name AND v.locale = locale AND v.version = version;
	IF NOT FOUND THEN
		RAISE EXCEPTION '% has no version %', trigger_engine._text_name(template.name, locale), version
			USING ERRCODE = 'undefined_object', HINT = 'See the view trigger_engine.template_versions.';
	END IF;
	IF template.requires_approval AND chosen.approved_at IS NULL AND chosen.published_at IS NULL THEN
		RAISE EXCEPTION 'version % of % is not approved', version, trigger_engine._text_name(template.name, locale)
			USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Have somebody other than its author call trigger_engine.approve_template().';
	END IF;
	FOREACH block IN ARRAY trigger_engine._content_blocks(chosen.content)
	LOOP
		IF NOT EXISTS (SELECT FROM trigger_engine._templates t JOIN trigger_engine._template_texts x ON x.name = t.name
			WHERE t.name = block AND t.channel = 'block' AND (x.live_version IS NOT NULL OR t.name = template.name)) THEN
			RAISE EXCEPTION '% includes content block "%", which is not there', trigger_engine._text_name(template.name, locale), block
				USING ERRCODE = 'undefined_object', HINT = CASE
					WHEN EXISTS (SELECT FROM trigger_engine._templates t WHERE t.name = block AND t.channel = 'block')
					THEN 'It has no live text yet: see trigger_engine.publish_template().'
					ELSE coalesce('Perhaps you meant "' || trigger_engine._nearest(block,
						ARRAY(SELECT t.name FROM trigger_engine._templates t WHERE t.channel = 'block' ORDER BY t.name)) || '".',
						format('Create it first with trigger_engine.create_template(%L, ''block'', ''{"text": "..."}'').', block)) END;
		END IF;
	END LOOP;
	UPDATE trigger_engine._template_versions v SET published_at = trigger_engine.clock(), published_by = invoker
	WHERE v.name = template.name AND v.locale = locale AND v.version = version;
	UPDATE trigger_engine._template_texts x SET live_version = version, updated_at = trigger_engine.clock()
	WHERE x.name = template.name AND x.locale = locale;
END
$$;
COMMENT ON FUNCTION trigger_engine._publish_version(name, trigger_engine._templates, text, integer) IS
'Makes a version of a text live; throws when it is not there, not approved where it must be, or includes a block that is not there.';

/* ---- create, alter, drop ---- */

CREATE FUNCTION trigger_engine.create_template(name text, channel text, content jsonb,
	locale text DEFAULT NULL, or_replace boolean DEFAULT false, draft boolean DEFAULT false,
	default_locale text DEFAULT NULL, requires_approval boolean DEFAULT NULL, description text DEFAULT NULL,
	note text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_template(text, text, jsonb, text, boolean, boolean, text, boolean, text, text) IS
'Stores a template, or another text of it, or with or_replace a new version of one. content: a JSON object of fields; every text in it, at any depth, is Liquid.
push: title, subtitle, body, image, url, actions [{id, title, url, icon}], sound, badge, data. web_push: title, body, icon, image, badge, url, actions, tag, data. email: from, from_name, reply_to, subject, preheader, html, text. sms: text. whatsapp: text, image, template. in_app: title, body, image, url, data. chat: title, text, image, url, blocks. webhook: any fields, sent as data.content; type names the webhook''s type. block: text, and html for use in mail; templates include it by {% render ''name'' %}.
locale (BCP 47): for readers of that language; NULL = the default text, for readers without one of their own. default_locale: what language that is; it also names the text to prefer when none fits. draft: stored as the newest version, not sent before publish_template(). requires_approval: every version waits for approve_template(); NULL = as it was, at first false. note: kept with the version. The same content again makes no new version.
Errors: TE001 for an unknown or malformed field, TE005 for a text that does not parse or uses an unknown filter, duplicate_object when the text exists or the name is another channel''s, undefined_object for a content block that is not there.';

CREATE FUNCTION trigger_engine._create_template(invoker name, name text, channel text, content jsonb, locale text,
	or_replace boolean, draft boolean, default_locale text, requires_approval boolean, description text, note text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	tag text := trigger_engine._normal_locale(locale);
	template trigger_engine._templates;
	entry trigger_engine._template_texts;
	new_version integer;
BEGIN
	IF name IS NULL OR name = '' OR channel IS NULL OR content IS NULL THEN
		RAISE EXCEPTION 'name, channel and content are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_content(channel, content);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	INSERT INTO trigger_engine._templates AS t VALUES (name, channel, invoker, nullif(trigger_engine._normal_locale(default_locale), ''),
		coalesce(requires_approval, false), description, trigger_engine.clock(), trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _templates_pkey DO NOTHING;
	SELECT * INTO template FROM trigger_engine._templates t WHERE t.name = name FOR UPDATE;
	IF template.channel <> channel THEN
		RAISE EXCEPTION 'template "%" exists already for channel %', name, template.channel USING ERRCODE = 'duplicate_object',
			HINT = 'Give the text for another channel a name of its own.';
	END IF;
	SELECT * INTO entry FROM trigger_engine._template_texts x WHERE x.name = name AND x.locale = tag;
	IF FOUND AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION '% exists already', trigger_engine._text_name(name, tag) USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to replace it.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, template.owner, format('template "%s"', name));
	UPDATE trigger_engine._templates t SET updated_at = trigger_engine.clock(),
		owner = CASE WHEN entry.name IS NULL THEN t.owner ELSE invoker END,
		default_locale = coalesce(nullif(trigger_engine._normal_locale(default_locale), ''), t.default_locale),
		requires_approval = coalesce(requires_approval, t.requires_approval), description = coalesce(description, t.description)
	WHERE t.name = name RETURNING * INTO template;
	IF EXISTS (SELECT FROM trigger_engine._template_versions v WHERE v.name = name AND v.locale = tag
		AND v.version = entry.last_version AND v.content = content
		AND (v.version = entry.live_version OR coalesce(draft, false))) THEN
		RETURN;
	END IF;
	INSERT INTO trigger_engine._template_texts AS x VALUES (name, tag, NULL, 1, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _template_texts_pkey DO UPDATE SET last_version = x.last_version + 1, updated_at = excluded.updated_at
	RETURNING x.last_version INTO new_version;
	INSERT INTO trigger_engine._template_versions (name, locale, version, content, note, created_at, created_by)
	VALUES (name, tag, new_version, content, note, trigger_engine.clock(), invoker);
	IF coalesce(draft, false) THEN
		RETURN;
	ELSIF template.requires_approval THEN
		RAISE NOTICE 'version % of % waits for approval', new_version, trigger_engine._text_name(name, tag)
			USING HINT = 'Somebody else calls trigger_engine.approve_template(), then trigger_engine.publish_template().';
	ELSE
		PERFORM trigger_engine._publish_version(invoker, template, tag, new_version);
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_template(name, text, text, jsonb, text, boolean, boolean, text, boolean, text, text) IS 'Behind create_template().';

CREATE FUNCTION trigger_engine.alter_template(name text, default_locale text DEFAULT NULL,
	requires_approval boolean DEFAULT NULL, description text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.alter_template(text, text, boolean, text) IS
'Changes what is not in a template''s texts; NULL leaves a part as it is, an empty text takes it away. What is live stays live when approval becomes required.';

CREATE FUNCTION trigger_engine._alter_template(invoker name, name text, default_locale text, requires_approval boolean,
	description text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	template trigger_engine._templates := trigger_engine._find_template(invoker, name);
BEGIN
	UPDATE trigger_engine._templates t SET updated_at = trigger_engine.clock(),
		default_locale = CASE WHEN default_locale IS NULL THEN t.default_locale
			ELSE nullif(trigger_engine._normal_locale(default_locale), '') END,
		requires_approval = coalesce(requires_approval, t.requires_approval),
		description = nullif(coalesce(description, t.description), '')
	WHERE t.name = template.name;
END
$$;
COMMENT ON FUNCTION trigger_engine._alter_template(name, text, text, boolean, text) IS 'Behind alter_template().';

CREATE FUNCTION trigger_engine.drop_template(name text, locale text DEFAULT NULL, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_template(text, text, boolean) IS
'Drops a template with its history: one locale of it (an empty one is the default text), or all of it when locale is NULL. An error while a journey sends it, or a live text includes it. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_template(invoker name, name text, locale text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	tag text := trigger_engine._normal_locale(locale);
	whole boolean := locale IS NULL OR NOT EXISTS (SELECT FROM trigger_engine._template_texts x WHERE x.name = name AND x.locale <> tag);
	user_of text;
BEGIN
	PERFORM trigger_engine._check_owner(invoker, t.owner, format('template "%s"', name))
	FROM trigger_engine._templates t WHERE t.name = name;
	SELECT j.name INTO user_of FROM trigger_engine._journeys j
	JOIN trigger_engine._journey_versions v USING (journey_id, version)
	WHERE j.state <> 'archived' AND whole
		AND v.steps @> jsonb_build_array(jsonb_build_object('send', name)) ORDER BY j.name LIMIT 1;
	IF user_of IS NOT NULL THEN
		RAISE EXCEPTION 'template "%" is used by journey "%"', name, user_of
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Alter or drop the journey first.';
	END IF;
	SELECT x.name INTO user_of FROM trigger_engine._template_texts x
	JOIN trigger_engine._template_versions v ON v.name = x.name AND v.locale = x.locale AND v.version = x.live_version
	WHERE whole AND x.name <> name AND EXISTS (SELECT FROM trigger_engine._templates t WHERE t.name = name AND t.channel = 'block')
		AND name = ANY (trigger_engine._content_blocks(v.content)) ORDER BY x.name LIMIT 1;
	IF user_of IS NOT NULL THEN
		RAISE EXCEPTION 'content block "%" is included by template "%"', name, user_of
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Replace or drop that template first.';
	END IF;
	DELETE FROM trigger_engine._template_texts x WHERE x.name = name AND (locale IS NULL OR x.locale = tag);
	IF NOT FOUND THEN
		IF coalesce(if_exists, false) THEN
			RETURN false;
		END IF;
		RAISE EXCEPTION '% does not exist', trigger_engine._text_name(name, tag) USING ERRCODE = 'undefined_object';
	END IF;
	DELETE FROM trigger_engine._template_versions v WHERE v.name = name AND (locale IS NULL OR v.locale = tag);
	DELETE FROM trigger_engine._templates t WHERE t.name = name AND whole;
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_template(name, text, text, boolean) IS 'Behind drop_template().';

/* ---- approve, publish, roll back ---- */

CREATE FUNCTION trigger_engine._newest_draft(entry trigger_engine._template_texts) RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT max(v.version) FROM trigger_engine._template_versions v
	WHERE v.name = ($1).name AND v.locale = ($1).locale AND v.published_at IS NULL
		AND v.version > coalesce(($1).live_version, 0)
$$;
COMMENT ON FUNCTION trigger_engine._newest_draft(trigger_engine._template_texts) IS
'The newest version of a text that is newer than the live one and never was live; NULL when there is none.';

CREATE FUNCTION trigger_engine.approve_template(name text, locale text DEFAULT NULL, version integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.approve_template(text, text, integer) IS
'Approves the newest draft, or a version, of a text of a template: of one locale (an empty one is the default text), or of all when locale is NULL. Whoever wrote a version cannot approve it; the template need not be one''s own. Returns how many versions were approved.';

CREATE FUNCTION trigger_engine._approve_template(invoker name, name text, locale text, version integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	tag text := trigger_engine._normal_locale(locale);
	entry trigger_engine._template_texts;
	chosen trigger_engine._template_versions;
	approved integer := 0;
BEGIN
	PERFORM FROM trigger_engine._templates t WHERE t.name = name FOR UPDATE;
	FOR entry IN SELECT * FROM trigger_engine._text_list(name, locale, version)
	LOOP
		SELECT * INTO chosen FROM trigger_engine._template_versions v
		WHERE v.name = entry.name AND v.locale = entry.locale AND v.version = coalesce(version, trigger_engine._newest_draft(entry));
		IF NOT FOUND AND locale IS NULL THEN
			CONTINUE;
		ELSIF NOT FOUND THEN
			RAISE EXCEPTION '% has no %', trigger_engine._text_name(name, tag), coalesce('version ' || version, 'draft')
				USING ERRCODE = 'undefined_object', HINT = 'See the view trigger_engine.template_versions.';
		END IF;
		CONTINUE WHEN chosen.approved_at IS NOT NULL;
		IF chosen.created_by = invoker THEN
			RAISE EXCEPTION 'version % of % was written by %, who cannot approve it', chosen.version,
				trigger_engine._text_name(name, entry.locale), invoker
				USING ERRCODE = 'insufficient_privilege', HINT = 'Somebody else must look at it.';
		END IF;
		UPDATE trigger_engine._template_versions v SET approved_at = trigger_engine.clock(), approved_by = invoker
		WHERE v.name = chosen.name AND v.locale = chosen.locale AND v.version = chosen.version;
		approved := approved + 1;
	END LOOP;
	RETURN approved;
END
$$;
COMMENT ON FUNCTION trigger_engine._approve_template(name, text, text, integer) IS 'Behind approve_template().';

CREATE FUNCTION trigger_engine._text_list(name text, locale text, version integer) RETURNS SETOF trigger_engine._template_texts
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	tag text := trigger_engine._normal_locale(locale);
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine._templates t WHERE t.name = name) THEN
		RAISE EXCEPTION 'template "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(name,
				ARRAY(SELECT t.name FROM trigger_engine._templates t ORDER BY t.name)) || '".',
				'See the view trigger_engine.templates.');
	END IF;
	IF locale IS NULL AND version IS NOT NULL THEN
		RAISE EXCEPTION 'a version goes with a locale, as each text counts its own' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Pass locale => '''' for the default text.';
	END IF;
	RETURN QUERY SELECT * FROM trigger_engine._template_texts x
	WHERE x.name = name AND (locale IS NULL OR x.locale = tag) ORDER BY x.locale;
	IF NOT FOUND THEN
		RAISE EXCEPTION '% does not exist', trigger_engine._text_name(name, tag) USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.templates.';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._text_list(text, text, integer) IS 'The texts that name, locale and version of a call mean; throws when there are none.';

CREATE FUNCTION trigger_engine.publish_template(name text, locale text DEFAULT NULL, version integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.publish_template(text, text, integer) IS
'Makes the newest draft, or a version, of a text live: of one locale (an empty one is the default text), or of all that have a draft, together, when locale is NULL. Messages decided after the commit have it. Returns how many texts changed. Errors: object_not_in_prerequisite_state when a version is not approved and must be; then nothing changes.';

CREATE FUNCTION trigger_engine._publish_template(invoker name, name text, locale text, version integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	template trigger_engine._templates := trigger_engine._find_template(invoker, name);
	entry trigger_engine._template_texts;
	wanted integer;
	published integer := 0;
BEGIN
	FOR entry IN SELECT * FROM trigger_engine._text_list(name, locale, version)
	LOOP
		wanted := coalesce(version, trigger_engine._newest_draft(entry));
		CONTINUE WHEN wanted IS NULL OR wanted = entry.live_version;
		PERFORM trigger_engine._publish_version(invoker, template, entry.locale, wanted);
		published := published + 1;
	END LOOP;
	RETURN published;
END
$$;
COMMENT ON FUNCTION trigger_engine._publish_template(name, text, text, integer) IS 'Behind publish_template().';

CREATE FUNCTION trigger_engine.rollback_template(name text, locale text DEFAULT NULL, version integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.rollback_template(text, text, integer) IS
'Makes the version before the live one, or an earlier one, live again: of one locale (an empty one is the default text), or of all that have one when locale is NULL. Only versions that were live before. Returns how many texts changed.';

CREATE FUNCTION trigger_engine._rollback_template(invoker name, name text, locale text, version integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	template trigger_engine._templates := trigger_engine._find_template(invoker, name);
	entry trigger_engine._template_texts;
	wanted integer;
	changed integer := 0;
BEGIN
	FOR entry IN SELECT * FROM trigger_engine._text_list(name, locale, version)
	LOOP
		SELECT max(v.version) INTO wanted FROM trigger_engine._template_versions v
		WHERE v.name = entry.name AND v.locale = entry.locale AND v.published_at IS NOT NULL
			AND v.version < entry.live_version AND (version IS NULL OR v.version = version);
		IF wanted IS NULL AND locale IS NOT NULL THEN
			RAISE EXCEPTION '% has no % that was live', trigger_engine._text_name(name, entry.locale),
				coalesce('earlier version ' || version, 'earlier version')
				USING ERRCODE = 'undefined_object', HINT = 'See the view trigger_engine.template_versions.';
		END IF;
		CONTINUE WHEN wanted IS NULL;
		PERFORM trigger_engine._publish_version(invoker, template, entry.locale, wanted);
		changed := changed + 1;
	END LOOP;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION trigger_engine._rollback_template(name, text, text, integer) IS 'Behind rollback_template().';

/* ---- views ---- */

CREATE VIEW trigger_engine.templates AS
SELECT t.name, nullif(x.locale, '') AS locale, t.channel, v.content, x.live_version AS version, t.owner, x.updated_at,
	(SELECT max(d.version) FROM trigger_engine._template_versions d WHERE d.name = x.name AND d.locale = x.locale
		AND d.published_at IS NULL AND d.version > coalesce(x.live_version, 0)) AS draft_version,
	t.default_locale, t.requires_approval, t.description
FROM trigger_engine._templates t JOIN trigger_engine._template_texts x ON x.name = t.name
LEFT JOIN trigger_engine._template_versions v ON v.name = x.name AND v.locale = x.locale AND v.version = x.live_version;
COMMENT ON VIEW trigger_engine.templates IS
'Templates and content blocks by name and locale; a NULL locale is the default text. content and version: what is live, NULL before anything is. draft_version: the newest one that waits to be published.';

CREATE VIEW trigger_engine.template_versions AS
SELECT v.name, nullif(v.locale, '') AS locale, v.version,
	CASE WHEN v.version = x.live_version THEN 'live' WHEN v.published_at IS NOT NULL THEN 'retired' ELSE 'draft' END AS state,
	v.content, v.note, v.created_at, v.created_by, v.approved_at, v.approved_by, v.published_at, v.published_by
FROM trigger_engine._template_versions v JOIN trigger_engine._template_texts x ON x.name = v.name AND x.locale = v.locale;
COMMENT ON VIEW trigger_engine.template_versions IS
'Every version of every text of a template: live, retired (was live once) or draft, with who wrote, approved and last published it.';

/* ---- preview ---- */

CREATE FUNCTION trigger_engine._preview_template(name text, user_id text, locale text, event jsonb, version integer,
	draft boolean, at timestamptz)
RETURNS TABLE (field text, content text, graphemes integer, bytes integer, encoding text, segments integer,
	warnings text[], locale_used text, version_used integer)
AS 'MODULE_PATHNAME', 'te_preview_template'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine._preview_template(text, text, text, jsonb, integer, boolean, timestamptz) IS 'Behind preview_template().';

CREATE FUNCTION trigger_engine.preview_template(name text, user_id text DEFAULT NULL, locale text DEFAULT NULL,
	event jsonb DEFAULT '{}', version integer DEFAULT NULL, draft boolean DEFAULT false, at timestamptz DEFAULT NULL)
RETURNS TABLE (field text, content text, graphemes integer, bytes integer, encoding text, segments integer,
	warnings text[], locale_used text, version_used integer)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT * FROM trigger_engine._preview_template($1, $2, $3, $4, $5, $6, $7)
$$;
COMMENT ON FUNCTION trigger_engine.preview_template(text, text, text, jsonb, integer, boolean, timestamptz) IS
'What a user would get: one row for each field of the template, and one for the payload of each push service. user_id NULL = nobody in particular. locale: instead of the user''s. event: properties of the event that started the journey. version: of the text that fits the locale, instead of the live one; draft: the newest version of each text. at: instead of now. content: the rendered text, NULL when the field fails or stops the message. graphemes: characters as readers count them. encoding and segments: of an SMS. warnings: what is cut off on common devices, too large, missing, or not as the channel wants it; empty when all is well.';
