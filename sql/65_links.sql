/*
 * Links: rewriting them in messages, and resolving what a click brings back.
 */

CREATE FUNCTION trigger_engine._link_token_key(token text) RETURNS integer
AS 'MODULE_PATHNAME', 'te_link_token_key'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._link_token_key(text) IS 'Number of the key that a token says it was signed with; NULL when it is no token.';

CREATE FUNCTION trigger_engine._link_token_open(token text, key bytea,
	OUT kind text, OUT send_id bigint, OUT expires_at timestamptz, OUT url text)
AS 'MODULE_PATHNAME', 'te_link_token_open'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._link_token_open(text, bytea) IS 'What a token holds; NULL unless it was signed with the key.';

CREATE FUNCTION trigger_engine._rewrite_links(channel text, content jsonb, send_id bigint, utm text, click_url text, open_url text,
	public_url text, key bytea, expires_at timestamptz) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_links_rewrite_sql'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._rewrite_links(text, jsonb, bigint, text, text, text, text, bytea, timestamptz) IS
'A rendered content with its links rewritten as a worker does, with key number 1; NULL leaves that part out. For tests and previews.';

CREATE FUNCTION trigger_engine._new_link_key() RETURNS integer
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	-- gen_random_uuid() takes 122 bits each from the strong source of the server
	INSERT INTO trigger_engine._link_keys
	SELECT coalesce(max(k.key_id), 0) + 1, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
		trigger_engine.clock() FROM trigger_engine._link_keys k
	RETURNING key_id
$$;
COMMENT ON FUNCTION trigger_engine._new_link_key() IS 'Makes the key that tokens are signed with from now on.';

CREATE FUNCTION trigger_engine.set_link_tracking(options jsonb, journey text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_link_tracking(jsonb, text) IS
'How links in messages are rewritten, of a journey or, with journey NULL, of all; off until it is called. A journey''s own options come before those for all, key by key; options NULL removes them. Keys:
utm (true: adds utm_source, utm_medium (the channel), utm_campaign (the journey), utm_content (the template) and utm_term (the step) to links that have no such parameter), utm_source (a text, default trigger_engine), clicks (true: links lead to trigger_engine.click_url with a signed token, see resolve_click()), opens (true: HTML has a picture at trigger_engine.open_url, see resolve_open()), ttl_days (how long tokens hold, default 90, at most 36500), channels (a list, default all but sms and whatsapp).
Only http and https links are rewritten: in html the targets of a and area, in text fields those written out, url and the url of actions. Links that say unsubscribe or preferences, have rel="unsubscribe" or data-no-track, or begin with trigger_engine.public_url stay as they are. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_link_tracking(invoker name, options jsonb, journey text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	wanted bigint := 0;
	wrong text;
BEGIN
	IF journey IS NOT NULL THEN
		wanted := (trigger_engine._find_journey(invoker, journey)).journey_id;
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF options IS NULL THEN
		DELETE FROM trigger_engine._link_options o WHERE o.journey_id = wanted;
		RETURN;
	END IF;
	IF jsonb_typeof(options) <> 'object' THEN
		RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'TE001';
	END IF;
	SELECT format('key "%s" of the options %s', o.key, CASE WHEN o.key IN ('utm', 'clicks', 'opens') THEN 'must be true or false'
		WHEN o.key = 'utm_source' THEN 'must be a text' WHEN o.key = 'ttl_days' THEN 'must be a number above 0 and at most 36500'
		WHEN o.key = 'channels' THEN 'must be a list of channels' ELSE 'is not known' END) INTO wrong
	FROM jsonb_each(options) o
	WHERE CASE WHEN o.key IN ('utm', 'clicks', 'opens') THEN jsonb_typeof(o.value) <> 'boolean'
		WHEN o.key = 'utm_source' THEN jsonb_typeof(o.value) <> 'string'
		WHEN o.key = 'ttl_days' THEN NOT jsonb_path_exists(o.value, '$ ? (@.type() == "number" && @ > 0 && @ <= 36500)')
		WHEN o.key = 'channels' THEN jsonb_typeof(o.value) <> 'array' OR NOT o.value <@ '["push", "web_push", "email", "sms", "whatsapp", "in_app", "chat"]'
		ELSE true END
	ORDER BY o.key LIMIT 1;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION '%', wrong USING ERRCODE = 'TE001', HINT = 'Keys are utm, utm_source, clicks, opens, ttl_days and channels.';
	END IF;
	INSERT INTO trigger_engine._link_options VALUES (wanted, options, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _link_options_pkey DO UPDATE SET options = excluded.options, updated_at = excluded.updated_at;
	LOCK TABLE trigger_engine._link_keys IN SHARE ROW EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM trigger_engine._link_keys) THEN
		PERFORM trigger_engine._new_link_key();
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_link_tracking(name, jsonb, text) IS 'Behind set_link_tracking().';

CREATE VIEW trigger_engine.link_tracking AS
SELECT j.name AS journey, o.options, o.updated_at
FROM trigger_engine._link_options o LEFT JOIN trigger_engine._journeys j USING (journey_id)
WHERE o.journey_id = 0 OR j.journey_id IS NOT NULL;
COMMENT ON VIEW trigger_engine.link_tracking IS 'How links of messages are rewritten, by journey; a NULL journey is for all.';

CREATE FUNCTION trigger_engine.rotate_link_key(forget_older_than interval DEFAULT NULL) RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.rotate_link_key(interval) IS
'Signs tokens with a new key from now on and returns its number. Earlier keys go on opening their tokens; those made longer ago than forget_older_than are deleted, and their tokens lead nowhere any more. Keys are in no dump: after a restore earlier tokens lead nowhere.';

CREATE FUNCTION trigger_engine._rotate_link_key(invoker name, forget_older_than interval) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	key_id integer;
BEGIN
	LOCK TABLE trigger_engine._link_keys IN SHARE ROW EXCLUSIVE MODE;
	key_id := trigger_engine._new_link_key();
	DELETE FROM trigger_engine._link_keys k WHERE k.created_at < trigger_engine.clock() - forget_older_than AND k.key_id <> key_id;
	RETURN key_id;
END
$$;
COMMENT ON FUNCTION trigger_engine._rotate_link_key(name, interval) IS 'Behind rotate_link_key().';

CREATE FUNCTION trigger_engine._open_token(token text, OUT kind text, OUT send_id bigint, OUT expires_at timestamptz, OUT url text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.* FROM trigger_engine._link_keys k CROSS JOIN LATERAL trigger_engine._link_token_open($1, k.key) t
	WHERE k.key_id = trigger_engine._link_token_key($1) AND t.expires_at > trigger_engine.clock()
$$;
COMMENT ON FUNCTION trigger_engine._open_token(text) IS 'What a token of ours holds that has not expired; NULLs otherwise.';

CREATE FUNCTION trigger_engine.resolve_click(token text, user_agent text DEFAULT NULL, method text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.resolve_click(text, text, text) IS
'Records the click on a rewritten link and returns where it leads, for a redirect. NULL for a token that is not ours, was changed or has expired: show a page of your own then, never an address from the request. A link counts once for a message, and once for machines. user_agent and method of the request tell machines apart, see record_interaction(). Returns the target also when the message is not kept any more.';

CREATE FUNCTION trigger_engine._resolve_click(invoker name, token text, user_agent text, method text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	link record;
	facts jsonb;
BEGIN
	SELECT * INTO link FROM trigger_engine._open_token(token);
	IF link.kind IS DISTINCT FROM 'c' THEN
		RETURN NULL;
	END IF;
	facts := jsonb_strip_nulls(jsonb_build_object('url', link.url, 'user_agent', left(user_agent, 500), 'method', left(method, 20)));
	PERFORM trigger_engine._record('clicked', link.send_id, NULL, facts, CASE WHEN trigger_engine._is_machine('clicked', '', facts, NULL)
		THEN 'machine/' ELSE 'link/' END || left(encode(sha256(convert_to(link.url, 'UTF8')), 'hex'), 16));
	RETURN link.url;
END
$$;
COMMENT ON FUNCTION trigger_engine._resolve_click(name, text, text, text) IS 'Behind resolve_click().';

CREATE FUNCTION trigger_engine.resolve_open(token text, user_agent text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.resolve_open(text, text) IS
'Records that the picture of a mail was loaded, once for a message, and once for machines. Returns whether the token is one of ours; answer the request with a picture in any case.';

CREATE FUNCTION trigger_engine._resolve_open(invoker name, token text, user_agent text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	link record;
BEGIN
	SELECT * INTO link FROM trigger_engine._open_token(token);
	IF link.kind IS DISTINCT FROM 'o' THEN
		RETURN false;
	END IF;
	PERFORM trigger_engine._record('opened', link.send_id, NULL, jsonb_strip_nulls(jsonb_build_object('user_agent', left(user_agent, 500))), NULL);
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._resolve_open(name, text, text) IS 'Behind resolve_open().';
