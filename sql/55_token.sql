/*
 * Signed tokens: what a person may do who holds a link, without a login. A token is
 * key.payload.signature, the latter two in base64url; HMAC-SHA256 over the first two.
 */

CREATE TABLE trigger_engine._token_keys (
	key_id	   text PRIMARY KEY,
	secret	   bytea NOT NULL,
	created_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._token_keys IS
'Keys of tokens; the newest signs. Readable by no role. In the dump, as links in messages that were sent must work after a restore.';

CREATE FUNCTION trigger_engine._base64url(value bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT pg_catalog.translate(pg_catalog.encode(value, 'base64'), E'+/=\n', '-_') $$;
COMMENT ON FUNCTION trigger_engine._base64url(bytea) IS 'Base64 of RFC 4648 section 5, without padding.';

CREATE FUNCTION trigger_engine._unbase64url(value text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT pg_catalog.decode(pg_catalog.rpad(pg_catalog.translate(value, '-_', '+/'),
	(pg_catalog.length(value) OPERATOR(pg_catalog.+) 3) OPERATOR(pg_catalog./) 4 OPERATOR(pg_catalog.*) 4, '='), 'base64') $$;
COMMENT ON FUNCTION trigger_engine._unbase64url(text) IS 'The bytes of a text in that form.';

CREATE FUNCTION trigger_engine._new_token_key() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	-- a random uuid has 122 bits of the server's strong generator
	INSERT INTO trigger_engine._token_keys
	VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12),
		sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), clock_timestamp())
$$;
COMMENT ON FUNCTION trigger_engine._new_token_key() IS 'Makes the key that signs from now on.';

CREATE FUNCTION trigger_engine._make_token(payload jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key trigger_engine._token_keys;
	body text;
BEGIN
	FOR attempt IN 1..2
	LOOP
		SELECT k.* INTO key FROM trigger_engine._token_keys k ORDER BY k.created_at DESC, k.key_id LIMIT 1;
		EXIT WHEN FOUND;
		PERFORM trigger_engine._new_token_key();
	END LOOP;
	body := key.key_id || '.' || trigger_engine._base64url(convert_to(payload::text, 'UTF8'));
	RETURN body || '.' || trigger_engine._base64url(trigger_engine._hmac('sha256', key.secret, convert_to(body, 'UTF8')));
END
$$;
COMMENT ON FUNCTION trigger_engine._make_token(jsonb) IS
'A signed token. Its payload: s scope, u user, c channel, t topic, x seconds since 1970 at which it expires, r request.';

CREATE FUNCTION trigger_engine._read_token(token text, scopes text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	part text[] := string_to_array(token, '.');
	secret bytea;
	payload jsonb;
BEGIN
	IF octet_length(token) <= 8192 AND token ~ '^[0-9a-f]{12}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$' THEN
		SELECT k.secret INTO secret FROM trigger_engine._token_keys k WHERE k.key_id = part[1];
		IF trigger_engine._equal(convert_to(trigger_engine._base64url(trigger_engine._hmac('sha256', secret,
				convert_to(part[1] || '.' || part[2], 'UTF8'))), 'UTF8'), convert_to(part[3], 'UTF8')) THEN
			payload := convert_from(trigger_engine._unbase64url(part[2]), 'UTF8')::jsonb;
			IF payload ->> 's' = ANY (scopes)
				AND (payload ->> 'x')::float8 > extract(epoch FROM trigger_engine.clock())::float8 THEN
				RETURN payload;
			END IF;
		END IF;
	END IF;
	RAISE EXCEPTION 'the token is not valid, or not any more' USING ERRCODE = 'invalid_authorization_specification';
END
$$;
COMMENT ON FUNCTION trigger_engine._read_token(text, text[]) IS
'What a token says. Throws SQLSTATE 28000, the same for every reason, unless it was signed here, has one of the scopes, and holds still.';

CREATE FUNCTION trigger_engine._scoped_token(user_id text, channel text, topic text, scope text, valid_for interval) RETURNS text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trigger_engine._make_token(jsonb_strip_nulls(jsonb_build_object('s', $4, 'u', $1, 'c', $2, 't', $3,
		'x', floor(extract(epoch FROM trigger_engine.clock() + $5)))))
$$;
COMMENT ON FUNCTION trigger_engine._scoped_token(text, text, text, text, interval) IS 'A token without any check of its arguments.';

CREATE FUNCTION trigger_engine.consent_token(user_id text, channel text DEFAULT '*', topic text DEFAULT NULL,
	scope text DEFAULT 'preferences', valid_for interval DEFAULT '400 days')
RETURNS text
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.consent_token(text, text, text, text, interval) IS
'A signed token for links. scope unsubscribe: its holder may leave that channel (* = all) and, if given, only that topic. scope preferences: may also see and change the user''s preferences. It names the user in a form that anybody can read, and nobody can make another. Errors: SQLSTATE 22023.';

CREATE FUNCTION trigger_engine._consent_token(invoker name, user_id text, channel text, topic text, scope text, valid_for interval)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF octet_length(user_id) > 512 OR octet_length(topic) > 512 THEN
		RAISE EXCEPTION 'user_id and topic have at most 512 bytes' USING ERRCODE = 'invalid_parameter_value';
	ELSIF coalesce(scope, '') NOT IN ('preferences', 'unsubscribe') THEN
		RAISE EXCEPTION 'scope must be "preferences" or "unsubscribe"' USING ERRCODE = 'invalid_parameter_value';
	ELSIF valid_for IS NULL OR valid_for <= interval '0' OR valid_for > interval '100 years' THEN
		RAISE EXCEPTION 'valid_for must be positive and at most 100 years' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trigger_engine._check_channel(channel);
	RETURN trigger_engine._scoped_token(user_id, channel, nullif(topic, ''), scope, valid_for);
END
$$;
COMMENT ON FUNCTION trigger_engine._consent_token(name, text, text, text, text, interval) IS 'Behind consent_token().';

CREATE FUNCTION trigger_engine.rotate_token_key(revoke boolean DEFAULT false) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.rotate_token_key(boolean) IS
'Makes a new key for tokens. Tokens of earlier keys hold until they expire; with revoke none of them holds any more, in messages that were sent either.';

CREATE FUNCTION trigger_engine._rotate_token_key(invoker name, revoke boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coalesce(revoke, false) THEN
		DELETE FROM trigger_engine._token_keys;
	END IF;
	PERFORM trigger_engine._new_token_key();
END
$$;
COMMENT ON FUNCTION trigger_engine._rotate_token_key(name, boolean) IS 'Behind rotate_token_key().';

/* ---- unsubscribe ---- */

CREATE FUNCTION trigger_engine.unsubscribe_info(token text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	payload jsonb := trigger_engine._read_token(token, '{unsubscribe,preferences}');
BEGIN
	RETURN jsonb_build_object('channel', payload -> 'c', 'topic', payload -> 't',
		'title', (SELECT p.title FROM trigger_engine.preferences(payload ->> 'u') p WHERE p.topic = payload ->> 't' LIMIT 1),
		'unsubscribed', EXISTS (SELECT FROM trigger_engine.consents c WHERE c.user_id = payload ->> 'u' AND c.state = 'opted_out'
			AND c.channel IN (payload ->> 'c', '*') AND (c.topic IS NULL OR c.topic = payload ->> 't')),
		'expires_at', to_timestamp((payload ->> 'x')::float8));
END
$$;
COMMENT ON FUNCTION trigger_engine.unsubscribe_info(text) IS
'For the page behind a link: what unsubscribe(token) would leave, and whether that was done. Changes nothing, so that a GET may call it. Errors: SQLSTATE 28000 for a token that does not hold.';

CREATE FUNCTION trigger_engine.unsubscribe(token text, body text DEFAULT NULL, proof jsonb DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.unsubscribe(text, text, jsonb) IS
'Leaves what the token names, at once and for messages that are queued. For POST only. body: of a one-click request (RFC 8058), which must be List-Unsubscribe=One-Click; NULL when a person pressed a button. proof is kept with it. Calling again changes nothing. Returns what unsubscribe_info() says. Errors: SQLSTATE 28000 for a token that does not hold.';

CREATE FUNCTION trigger_engine._unsubscribe(invoker name, token text, body text, proof jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	payload jsonb := trigger_engine._read_token(token, '{unsubscribe,preferences}');
	info jsonb := trigger_engine.unsubscribe_info(token);
BEGIN
	IF btrim(body, E' \r\n') <> 'List-Unsubscribe=One-Click' THEN
		RAISE EXCEPTION 'the body of a one-click request must be List-Unsubscribe=One-Click' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF NOT (info ->> 'unsubscribed')::boolean THEN
		PERFORM trigger_engine._set_consent(invoker, payload ->> 'u', payload ->> 'c', 'opted_out', payload ->> 't',
			CASE WHEN body IS NULL THEN 'unsubscribe link' ELSE 'one-click unsubscribe' END, NULL,
			jsonb_strip_nulls(jsonb_build_object('token', left(encode(sha256(convert_to(token, 'UTF8')), 'hex'), 16),
				'by', invoker, 'given', proof)));
	END IF;
	RETURN info || '{"unsubscribed": true}';
END
$$;
COMMENT ON FUNCTION trigger_engine._unsubscribe(name, text, text, jsonb) IS 'Behind unsubscribe().';

/* ---- double opt-in ---- */

CREATE FUNCTION trigger_engine.request_opt_in(user_id text, channel text, topic text DEFAULT NULL, text_version text DEFAULT NULL,
	source text DEFAULT NULL, proof jsonb DEFAULT NULL, valid_for interval DEFAULT '7 days')
RETURNS text
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.request_opt_in(text, text, text, text, text, jsonb, interval) IS
'First half of a double opt-in: notes who asked, when, from where (source), having read which text (text_version), and returns the token for the message that asks for confirmation. Nothing is agreed before confirm_opt_in().';

CREATE FUNCTION trigger_engine._request_opt_in(invoker name, user_id text, channel text, topic text, text_version text,
	source text, proof jsonb, valid_for interval)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	request text := gen_random_uuid()::text;
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF octet_length(user_id) > 512 OR octet_length(topic) > 512 THEN
		RAISE EXCEPTION 'user_id and topic have at most 512 bytes' USING ERRCODE = 'invalid_parameter_value';
	ELSIF valid_for IS NULL OR valid_for <= interval '0' OR valid_for > interval '1 year' THEN
		RAISE EXCEPTION 'valid_for must be positive and at most a year' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trigger_engine._check_channel(channel);
	INSERT INTO trigger_engine._opt_in_requests (user_id, request_id, channel, topic, requested_at, text_version, source, proof)
	VALUES (user_id, request, channel, nullif(topic, ''), trigger_engine.clock(), text_version, source, proof);
	RETURN trigger_engine._make_token(jsonb_build_object('s', 'opt_in', 'u', user_id, 'r', request,
		'x', floor(extract(epoch FROM trigger_engine.clock() + valid_for))));
END
$$;
COMMENT ON FUNCTION trigger_engine._request_opt_in(name, text, text, text, text, text, jsonb, interval) IS 'Behind request_opt_in().';

CREATE FUNCTION trigger_engine.confirm_opt_in(token text, proof jsonb DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.confirm_opt_in(text, jsonb) IS
'Second half of a double opt-in: records the consent, with both halves as its proof. For POST only, as scanners follow links. The same token confirms once; again it changes nothing, also after an opt-out. Errors: SQLSTATE 28000 for a token that does not hold.';

CREATE FUNCTION trigger_engine._confirm_opt_in(invoker name, token text, proof jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	payload jsonb := trigger_engine._read_token(token, '{opt_in}');
	request trigger_engine._opt_in_requests;
BEGIN
	SELECT r.* INTO request FROM trigger_engine._opt_in_requests r
	WHERE r.user_id = payload ->> 'u' AND r.request_id = payload ->> 'r' FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the token is not valid, or not any more' USING ERRCODE = 'invalid_authorization_specification';
	END IF;
	IF request.confirmed_at IS NULL THEN
		request.confirmed_at := trigger_engine.clock();
		UPDATE trigger_engine._opt_in_requests r SET confirmed_at = request.confirmed_at
		WHERE r.user_id = request.user_id AND r.request_id = request.request_id;
		PERFORM trigger_engine._set_consent(invoker, request.user_id, request.channel, 'opted_in', request.topic,
			coalesce(request.source, 'double opt-in'), NULL,
			jsonb_strip_nulls(jsonb_build_object('method', 'double opt-in', 'text_version', request.text_version,
				'requested_at', request.requested_at, 'requested', request.proof, 'confirmed_at', request.confirmed_at,
				'confirmed', proof, 'by', invoker)));
	END IF;
	RETURN jsonb_build_object('channel', request.channel, 'topic', request.topic, 'confirmed_at', request.confirmed_at);
END
$$;
COMMENT ON FUNCTION trigger_engine._confirm_opt_in(name, text, jsonb) IS 'Behind confirm_opt_in().';

/* ---- preference centre ---- */

CREATE FUNCTION trigger_engine.preference_center(token text, locale text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	payload jsonb := trigger_engine._read_token(token, '{preferences}');
BEGIN
	RETURN jsonb_build_object(
		'topics', (SELECT coalesce(jsonb_agg(t.topic ORDER BY t.name), '[]') FROM (
			SELECT p.topic AS name, jsonb_build_object('topic', p.topic, 'title', p.title, 'transactional', p.transactional,
				'frequencies', p.frequencies, 'channels', jsonb_object_agg(p.channel, jsonb_strip_nulls(jsonb_build_object(
					'state', p.state, 'frequency', p.frequency)))) AS topic
			FROM trigger_engine.preferences(payload ->> 'u', locale) p
			GROUP BY p.topic, p.title, p.transactional, p.frequencies) t),
		'unsubscribed_from_all', EXISTS (SELECT FROM trigger_engine.consents c WHERE c.user_id = payload ->> 'u'
			AND c.channel = '*' AND c.topic IS NULL AND c.state = 'opted_out'),
		'quiet_hours', (SELECT l.quiet_hours FROM trigger_engine._user_limits l WHERE l.user_id = payload ->> 'u'),
		'expires_at', to_timestamp((payload ->> 'x')::float8));
END
$$;
COMMENT ON FUNCTION trigger_engine.preference_center(text, text) IS
'What a preference centre shows to who holds the token (scope preferences): topics with their channels, states and frequencies, quiet hours. Changes nothing. Errors: SQLSTATE 28000 for a token that does not hold.';

CREATE FUNCTION trigger_engine.save_preferences(token text, preferences jsonb, proof jsonb DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.save_preferences(text, jsonb, jsonb) IS
'What came back from a preference centre, for POST only: {"preferences": [as for set_preferences()], "quiet_hours": [as for set_message_limits()], "unsubscribe_all": true}, each of them optional. All or nothing. Returns preference_center(token). Errors: TE001, SQLSTATE 28000 for a token that does not hold.';

CREATE FUNCTION trigger_engine._save_preferences(invoker name, token text, preferences jsonb, proof jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	payload jsonb := trigger_engine._read_token(token, '{preferences}');
BEGIN
	IF preferences IS NULL OR jsonb_typeof(preferences) <> 'object' THEN
		RAISE EXCEPTION 'preferences must be an object' USING ERRCODE = 'TE001';
	ELSIF preferences - ARRAY['preferences', 'quiet_hours', 'unsubscribe_all'] <> '{}' THEN
		RAISE EXCEPTION 'preferences must be an object of preferences, quiet_hours and unsubscribe_all' USING ERRCODE = 'TE001';
	ELSIF coalesce(jsonb_typeof(preferences -> 'unsubscribe_all'), 'boolean') <> 'boolean' THEN
		RAISE EXCEPTION 'unsubscribe_all must be true or false' USING ERRCODE = 'TE001';
	END IF;
	IF preferences ? 'preferences' THEN
		PERFORM trigger_engine._set_preferences(invoker, payload ->> 'u', preferences -> 'preferences', 'preference centre', proof);
	END IF;
	IF preferences ? 'quiet_hours' THEN
		PERFORM trigger_engine._set_message_limits(invoker, payload ->> 'u', preferences -> 'quiet_hours', NULL);
	END IF;
	IF (preferences ->> 'unsubscribe_all')::boolean THEN
		PERFORM trigger_engine._set_consent(invoker, payload ->> 'u', '*', 'opted_out', NULL, 'preference centre', NULL, proof);
	END IF;
	RETURN trigger_engine.preference_center(token);
END
$$;
COMMENT ON FUNCTION trigger_engine._save_preferences(name, text, jsonb, jsonb) IS 'Behind save_preferences().';
