/*
 * Kinds of providers that are rows: services that are called over HTTP, described by
 * templates and tables.
 */

CREATE FUNCTION trigger_engine._check_provider_kind(definition jsonb) RETURNS void
LANGUAGE C STRICT STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'te_http_check_sql';
COMMENT ON FUNCTION trigger_engine._check_provider_kind(jsonb) IS 'Checks the definition of a kind of provider. Error TE001 when it is not valid.';

CREATE FUNCTION trigger_engine._kind_request(definition jsonb, options jsonb, secret jsonb, message jsonb) RETURNS jsonb
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'te_http_request_sql';
COMMENT ON FUNCTION trigger_engine._kind_request(jsonb, jsonb, jsonb, jsonb) IS
'The request {url, headers, body} that a definition makes of a message {content, endpoint, address, send_id, message_id, user_id, journey, step, ttl}, or {why} there is none. Sends nothing.';

CREATE FUNCTION trigger_engine._kind_answer(definition jsonb, answer jsonb) RETURNS jsonb
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'te_http_answer_sql';
COMMENT ON FUNCTION trigger_engine._kind_answer(jsonb, jsonb) IS
'What an answer {status, body, ref, error_type, retry_after} comes to by a definition: {outcome, reason, ref, after in seconds, target_only}.';

CREATE FUNCTION trigger_engine._create_provider_kind(invoker name, name text, channel text, definition jsonb, or_replace boolean)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	old record;
BEGIN
	IF _create_provider_kind.name IS NULL OR _create_provider_kind.name !~ '^[a-z][a-z0-9_]{0,62}$' THEN
		RAISE EXCEPTION 'a kind of provider needs a name of lower-case letters, digits and _, beginning with a letter, of at most 63 characters'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF _create_provider_kind.channel IS NULL OR _create_provider_kind.definition IS NULL THEN
		RAISE EXCEPTION 'channel and definition of kind "%" must not be null', _create_provider_kind.name
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF _create_provider_kind.channel = 'in_app' OR NOT trigger_engine._delivers(_create_provider_kind.channel) THEN
		RAISE EXCEPTION '"%" is no channel that a provider can deliver', _create_provider_kind.channel
			USING ERRCODE = 'TE001',
				  HINT = 'They are push, web_push, email, sms, whatsapp, chat and webhook.';
	END IF;
	IF _create_provider_kind.name = ANY (ARRAY['webhook', 'smtp', 'fcm', 'apns', 'web_push', 'vapid', 'in_app', 'http']) THEN
		RAISE EXCEPTION 'kind "%" is built in', _create_provider_kind.name
			USING ERRCODE = 'reserved_name', HINT = 'Choose another name.';
	END IF;
	PERFORM trigger_engine._check_provider_kind(_create_provider_kind.definition);
	PERFORM trigger_engine._stamp_if_empty(_create_provider_kind.invoker);

	INSERT INTO trigger_engine._provider_kinds (name, channel, definition, created_at, updated_at)
	VALUES (_create_provider_kind.name, _create_provider_kind.channel, _create_provider_kind.definition, trigger_engine.clock(), trigger_engine.clock())
	ON CONFLICT (name) DO NOTHING;
	IF FOUND THEN
		RETURN;
	END IF;
	SELECT k.channel, k.shipped INTO old FROM trigger_engine._provider_kinds k WHERE k.name = _create_provider_kind.name FOR UPDATE;
	IF old.shipped OR NOT coalesce(_create_provider_kind.or_replace, false) THEN
		RAISE EXCEPTION 'kind "%" of providers exists already', _create_provider_kind.name
			USING ERRCODE = 'duplicate_object',
				  HINT = CASE WHEN old.shipped THEN 'It comes with the extension. Copy its definition from trigger_engine.provider_kinds under another name.'
					  ELSE 'Pass or_replace => true to replace it.' END;
	END IF;
	IF old.channel <> _create_provider_kind.channel THEN
		RAISE EXCEPTION 'kind "%" is of channel %', _create_provider_kind.name, old.channel
			USING ERRCODE = 'TE001', HINT = 'Create one of another name for another channel.';
	END IF;
	UPDATE trigger_engine._provider_kinds k
	SET definition = _create_provider_kind.definition, updated_at = trigger_engine.clock()
	WHERE k.name = _create_provider_kind.name;
	PERFORM trigger_engine._check_provider(p.kind, p.options)
	FROM trigger_engine._providers p
	WHERE p.kind = _create_provider_kind.name;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_provider_kind(name, text, text, jsonb, boolean) IS
'Does the work of create_provider_kind() as the extension''s owner.';

CREATE FUNCTION trigger_engine.create_provider_kind(name text, channel text, definition jsonb, or_replace boolean DEFAULT false)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'te_call_as_owner';
COMMENT ON FUNCTION trigger_engine.create_provider_kind(text, text, jsonb, boolean) IS
'Describes a service that takes messages over HTTP, as a kind for create_provider(). Messages are POSTed one at a time. Keys of definition:
url: template of the service''s address, without the path; the option url of a provider goes before it. path: template of what follows; write {{ address | url_encode }} for what is not yours.
body: template of JSON, in which values are escaped for the inside of strings and members that come out null are left out; or form: {field: template}, in which fields that come out empty are left out. headers: {name: template}.
auth: {"type": "bearer", "token"}, {"type": "basic", "user", "password"}, {"type": "header", "name", "value"}, {"type": "hmac", "name", "key", "prefix"} (HMAC-SHA256 of the body in hexadecimal digits) or {"type": "sigv4", "service", "region", "user", "key", "token"} (Amazon); all but type and name are templates.
Templates see message (the content), address and endpoint (data) of the user, options and secret of the provider, send_id, message_id, uuid (both the same at every attempt), user_id, journey, step, now, ttl (seconds; absent without end) and transactional.
options, secrets: names that a provider may set; all are needed but those that end in ?. endpoint: false when messages do not go to an address of the user (default true). idempotent: true when the service recognises a repeat (default false), so that an unknown outcome may be repeated.
accept: path of what has to be in the answer of a success, such as data[0].id. id: path of the service''s id. reason: path of words for people. retry_after: path of seconds to wait.
errors: a list of {status (a number, several, or "4xx"), path (or several, between bars), is (a value or several), contains, outcome, after (seconds), target_only}, the first that fits decides, before the status: outcome is accepted, rejected, target_dead (the address is retired), throttled (of this address alone with target_only), retry, auth, config or ambiguous. The path @errortype is Amazon''s header. Otherwise 2xx is accepted if accept is there, else ambiguous; 401 and 403 are auth, 429 is throttled, 408, 425, 500 and 503 are retry, other 3xx and 4xx rejected, other 5xx ambiguous. Retry-After counts.
or_replace replaces a kind of yours. Errors: TE001 for a wrong definition or when a provider''s options do not fit any more, duplicate_object when the name is taken, reserved_name when it is built in.';

CREATE FUNCTION trigger_engine._drop_provider_kind(invoker name, name text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	old_shipped boolean;
	used_by text;
BEGIN
	SELECT k.shipped INTO old_shipped FROM trigger_engine._provider_kinds k WHERE k.name = _drop_provider_kind.name FOR UPDATE;
	IF NOT FOUND THEN
		IF coalesce(_drop_provider_kind.if_exists, false) THEN
			RETURN false;
		END IF;
		RAISE EXCEPTION 'kind "%" of providers does not exist', _drop_provider_kind.name
			USING ERRCODE = 'undefined_object', HINT = 'The view trigger_engine.provider_kinds lists those that do.';
	END IF;
	IF old_shipped THEN
		RAISE EXCEPTION 'kind "%" comes with the extension', _drop_provider_kind.name USING ERRCODE = 'dependent_objects_still_exist';
	END IF;
	SELECT string_agg(p.name, ', ' ORDER BY p.name) INTO used_by FROM trigger_engine._providers p WHERE p.kind = _drop_provider_kind.name;
	IF used_by IS NOT NULL THEN
		RAISE EXCEPTION 'kind "%" is used by %', _drop_provider_kind.name, used_by
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Drop these providers first.';
	END IF;
	DELETE FROM trigger_engine._provider_kinds k WHERE k.name = _drop_provider_kind.name;
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_provider_kind(name, text, boolean) IS
'Does the work of drop_provider_kind() as the extension''s owner.';

CREATE FUNCTION trigger_engine.drop_provider_kind(name text, if_exists boolean DEFAULT false)
RETURNS boolean
LANGUAGE C
AS 'MODULE_PATHNAME', 'te_call_as_owner';
COMMENT ON FUNCTION trigger_engine.drop_provider_kind(text, boolean) IS
'Removes a kind of providers of yours that no provider is of. Returns whether there was one; without if_exists a missing one is the error undefined_object. Error dependent_objects_still_exist when it is in use or comes with the extension.';

CREATE VIEW trigger_engine.provider_kinds AS
SELECT k.name, k.channel, k.definition, k.shipped, k.created_at, k.updated_at
FROM trigger_engine._provider_kinds k;
COMMENT ON VIEW trigger_engine.provider_kinds IS
'Kinds of providers made of data, see create_provider_kind(). shipped ones come with the extension.';
