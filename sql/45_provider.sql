/*
 * Providers: accounts of services that messages are handed over to, and their
 * secrets.
 *
 * The public functions switch to the extension's owner, who alone may touch the
 * tables; each hands its invoker's name to the function of the same name with an
 * underscore.
 */

CREATE FUNCTION trigger_engine._check_provider(kind text, options jsonb)
RETURNS text
LANGUAGE C STRICT STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'te_provider_check_options_sql';
COMMENT ON FUNCTION trigger_engine._check_provider(text, jsonb) IS
'Checks the options of a provider and returns the channel of its kind. Error TE001 when the kind or an option is unknown or wrong.';

CREATE FUNCTION trigger_engine._delivers(channel text) RETURNS boolean
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'te_provider_delivers';
COMMENT ON FUNCTION trigger_engine._delivers(text) IS 'Whether messages of a channel can be sent at all: it needs no provider, or a kind of provider delivers it.';

CREATE FUNCTION trigger_engine._check_secret(kind text, secret jsonb)
RETURNS void
LANGUAGE C STRICT STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'te_provider_check_secret_sql';
COMMENT ON FUNCTION trigger_engine._check_secret(text, jsonb) IS
'Checks a secret for a kind of provider. Error TE001 when it is malformed; WARNING when a value is given inline or a reference cannot be read yet.';

CREATE FUNCTION trigger_engine._provider_kind(provider text)
RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found_kind text;
BEGIN
	SELECT p.kind INTO found_kind
	FROM trigger_engine._providers p
	WHERE p.name = _provider_kind.provider
	FOR NO KEY UPDATE;
	IF found_kind IS NULL THEN
		RAISE EXCEPTION 'provider "%" does not exist', _provider_kind.provider
			USING ERRCODE = 'undefined_object',
				  HINT = 'The view trigger_engine.providers lists those that do.';
	END IF;
	RETURN found_kind;
END
$$;
COMMENT ON FUNCTION trigger_engine._provider_kind(text) IS
'Kind of a provider, whose row it locks; undefined_object when there is none of that name.';

CREATE FUNCTION trigger_engine._create_provider(invoker name, name text, kind text, options jsonb, or_replace boolean)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	old_kind text;
	kind_channel text;
BEGIN
	IF _create_provider.name IS NULL OR _create_provider.name = '' OR length(_create_provider.name) > 63 THEN
		RAISE EXCEPTION 'a provider needs a name of 1 to 63 characters' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF _create_provider.kind IS NULL OR _create_provider.options IS NULL THEN
		RAISE EXCEPTION 'kind and options of provider "%" must not be null', _create_provider.name
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM FROM trigger_engine._provider_kinds k WHERE k.name = _create_provider.kind FOR KEY SHARE;
	kind_channel := trigger_engine._check_provider(_create_provider.kind, _create_provider.options);
	PERFORM trigger_engine._stamp_if_empty(_create_provider.invoker);

	INSERT INTO trigger_engine._providers (name, kind, channel, options, state, created_at, updated_at)
	VALUES (_create_provider.name, _create_provider.kind, kind_channel,
			jsonb_strip_nulls(_create_provider.options), 'active', now(), now())
	ON CONFLICT (name) DO NOTHING;
	IF FOUND THEN
		RETURN;
	END IF;

	IF NOT coalesce(_create_provider.or_replace, false) THEN
		RAISE EXCEPTION 'provider "%" exists already', _create_provider.name
			USING ERRCODE = 'duplicate_object',
				  HINT = 'Pass or_replace => true to replace it, or change it with trigger_engine.alter_provider().';
	END IF;
	old_kind := trigger_engine._provider_kind(_create_provider.name);
	IF old_kind <> _create_provider.kind THEN
		RAISE EXCEPTION 'provider "%" is of kind "%" and cannot become one of kind "%"',
			_create_provider.name, old_kind, _create_provider.kind
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Its secret would not fit. Drop it with trigger_engine.drop_provider() first, or choose another name.';
	END IF;
	UPDATE trigger_engine._providers p
	SET options = jsonb_strip_nulls(_create_provider.options), channel = kind_channel,
		state = 'active', state_reason = NULL, updated_at = now()
	WHERE p.name = _create_provider.name;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_provider(name, text, text, jsonb, boolean) IS
'Does the work of create_provider() as the extension''s owner.';

CREATE FUNCTION trigger_engine.create_provider(name text, kind text, options jsonb, or_replace boolean DEFAULT false)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'te_call_as_owner';
COMMENT ON FUNCTION trigger_engine.create_provider(text, text, jsonb, boolean) IS
'Sets up an account to hand messages over to; it sends once it has a secret, see set_secret().
Kind webhook, options: url (where to; https, or http to addresses in trigger_engine.allowed_private_cidrs; without it each message goes to the user''s own endpoint of channel webhook), timeout (interval or seconds, 100 ms to 5 min, default 20 s), ca_file (absolute path on the server, PEM), rate (messages a second, divided among the workers; default 0 = no limit), max_in_flight (1 to 10000, divided among the workers; default 200), cost (of one message, at least 0).
Kind smtp (channel email), options: url (smtp://host:port, or smtps:// for TLS from the start; a name behind a slash is the one we introduce ourselves by), from (the sender''s address, unless the content has one), from_name, bounce (the address that bounces go to, with {send_id} in it where the message''s number belongs; default from), tls (required: STARTTLS or nothing, the default; none: for private networks only), connections (to the server at once, 1 to 64, divided among the workers; default 8), and timeout, ca_file, rate, max_in_flight, cost as above. It needs a secret only where the server asks for a login.
Kind fcm (channel push; Firebase Cloud Messaging HTTP v1): the same options, where url is the service (default https://fcm.googleapis.com), and project_id (default that of the service account), token_uri (default that of the service account), dry_run (messages are checked by the service and not delivered).
Kind apns (channel push; Apple): the same, where url is the service (default https://api.push.apple.com), and topic (needed: the bundle identifier), sandbox (Apple''s sandbox as the service).
Kinds web_push and vapid, which are the same (channel web_push; RFC 8030, 8291, 8292): the same without url, since messages go to the URL of the user''s endpoint, whose data hold p256dh and auth.
Kinds made of data, see the view provider_kinds: the options url, timeout, ca_file, rate, max_in_flight and cost, and those that the kind names.
An endpoint whose column provider names a provider or its kind is served by that one alone.
or_replace replaces all options of a provider of the same kind, keeps its secret and enables it.
Errors: TE001 for an unknown kind or a wrong option, duplicate_object when the name is taken.';

CREATE FUNCTION trigger_engine._alter_provider(invoker name, name text, options jsonb, enabled boolean)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	old_kind text := trigger_engine._provider_kind(_alter_provider.name);
	new_options jsonb;
BEGIN
	IF _alter_provider.options IS NOT NULL THEN
		IF jsonb_typeof(_alter_provider.options) <> 'object' THEN
			RAISE EXCEPTION 'the options of provider "%" must be a JSON object', _alter_provider.name
				USING ERRCODE = 'TE001';
		END IF;
		-- with the nulls, since an unknown key is wrong even when it is to be removed
		SELECT p.options || _alter_provider.options INTO new_options
		FROM trigger_engine._providers p
		WHERE p.name = _alter_provider.name;
		PERFORM trigger_engine._check_provider(old_kind, new_options);
	END IF;
	UPDATE trigger_engine._providers p
	SET options = coalesce(jsonb_strip_nulls(new_options), p.options),
		state = CASE _alter_provider.enabled WHEN true THEN 'active' WHEN false THEN 'disabled' ELSE p.state END,
		state_reason = CASE _alter_provider.enabled
			WHEN true THEN NULL
			WHEN false THEN format('disabled by %s', _alter_provider.invoker)
			ELSE p.state_reason END,
		updated_at = now()
	WHERE p.name = _alter_provider.name;
END
$$;
COMMENT ON FUNCTION trigger_engine._alter_provider(name, text, jsonb, boolean) IS
'Does the work of alter_provider() as the extension''s owner.';

CREATE FUNCTION trigger_engine.alter_provider(name text, options jsonb DEFAULT NULL, enabled boolean DEFAULT NULL)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'te_call_as_owner';
COMMENT ON FUNCTION trigger_engine.alter_provider(text, jsonb, boolean) IS
'Changes a provider; NULL leaves as it is. The given options replace those of the same key, a JSON null removes one, the others stay; keys and units as in create_provider(). enabled => false stops handing over to it, true starts it again, also after the engine has disabled it.
Errors: undefined_object when it does not exist, TE001 for a wrong option.';

CREATE FUNCTION trigger_engine._drop_provider(invoker name, name text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	DELETE FROM trigger_engine._providers p WHERE p.name = _drop_provider.name;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT coalesce(_drop_provider.if_exists, false) THEN
		PERFORM trigger_engine._provider_kind(_drop_provider.name);
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_provider(name, text, boolean) IS
'Does the work of drop_provider() as the extension''s owner.';

CREATE FUNCTION trigger_engine.drop_provider(name text, if_exists boolean DEFAULT false)
RETURNS boolean
LANGUAGE C
AS 'MODULE_PATHNAME', 'te_call_as_owner';
COMMENT ON FUNCTION trigger_engine.drop_provider(text, boolean) IS
'Removes a provider and its secret. Returns whether there was one; without if_exists a missing one is the error undefined_object.';

CREATE FUNCTION trigger_engine._set_secret(invoker name, provider text, secret jsonb)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	provider_kind text := trigger_engine._provider_kind(_set_secret.provider);
BEGIN
	IF _set_secret.secret IS NULL THEN
		DELETE FROM trigger_engine._secrets s WHERE s.provider = _set_secret.provider;
		RETURN;
	END IF;
	PERFORM trigger_engine._check_secret(provider_kind, _set_secret.secret);
	INSERT INTO trigger_engine._secrets (provider, secret, updated_at)
	VALUES (_set_secret.provider, _set_secret.secret, now())
	ON CONFLICT (provider) DO UPDATE SET secret = excluded.secret, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_secret(name, text, jsonb) IS
'Does the work of set_secret() as the extension''s owner.';

CREATE FUNCTION trigger_engine.set_secret(provider text, secret jsonb)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'te_call_as_owner';
COMMENT ON FUNCTION trigger_engine.set_secret(text, jsonb) IS
'Stores what a provider signs or logs in with; NULL removes it. Kind webhook: {"keys": [...]}, 1 to 4 signing keys of Standard Webhooks (whsec_ and base64 of 24 to 64 bytes), each as "file:NAME" in trigger_engine.secret_directory, as "env:TRIGGER_ENGINE_SECRET_NAME" of the server, or, for a trial, as the value itself. Each message carries one signature a key, so give the new and the old one while rotating.
Kind fcm: {"service_account": "file:NAME"}, the service account''s key file, or the content of that file. Kind apns: {"key", "key_id", "team_id"}, where key is the .p8 file. Kinds web_push and vapid: {"private_key", "subject"}, where private_key is the base64url form of its 32 bytes or PEM and subject begins with mailto: or https:; with public_key it is checked that they belong together. Kind smtp: {"username", "password"}, each such a reference.
A value given inline is answered with a WARNING; it is in no dump and readable by no role. Errors: undefined_object when the provider does not exist, TE001 for a malformed secret.';

CREATE VIEW trigger_engine.providers AS
SELECT p.name, p.kind, p.channel, p.state, p.state_reason,
	   -- the addresses of many services are secrets themselves
	   CASE WHEN p.options ? 'url' AND NOT has_function_privilege('trigger_engine.set_secret(text, jsonb)'::regprocedure, 'EXECUTE')
		   THEN p.options || jsonb_build_object('url',
			   regexp_replace(p.options ->> 'url', '^([^:]*://)(?:[^/?#]*@)?([^/?#]*).*$', '\1\2/...'))
		   ELSE p.options END AS options,
	   EXISTS (SELECT FROM trigger_engine._secrets s WHERE s.provider = p.name) AS has_secret,
	   p.created_at, p.updated_at
FROM trigger_engine._providers p;
COMMENT ON VIEW trigger_engine.providers IS
'Providers without their secrets. state is active or disabled, state_reason says why; has_secret tells whether set_secret() was called. Of a url in the options whoever may not call set_secret() sees the host only, as the rest of many is a secret.';

REVOKE ALL ON FUNCTION
	trigger_engine._check_provider(text, jsonb),
	trigger_engine._check_secret(text, jsonb),
	trigger_engine._provider_kind(text),
	trigger_engine._create_provider(name, text, text, jsonb, boolean),
	trigger_engine.create_provider(text, text, jsonb, boolean),
	trigger_engine._alter_provider(name, text, jsonb, boolean),
	trigger_engine.alter_provider(text, jsonb, boolean),
	trigger_engine._drop_provider(name, text, boolean),
	trigger_engine.drop_provider(text, boolean),
	trigger_engine._set_secret(name, text, jsonb),
	trigger_engine.set_secret(text, jsonb)
FROM PUBLIC;
