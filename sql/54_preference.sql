/*
 * Topics, what people prefer by topic and channel, the legal basis of purposes, and the
 * list of those who must not be written to.
 */

CREATE TABLE trigger_engine._topics (
	name		  text PRIMARY KEY CHECK (name <> ''),
	titles		  jsonb NOT NULL,
	channels	  text[] NOT NULL,
	default_state text CHECK (default_state IN ('opted_in', 'opted_out')),
	frequencies	  jsonb NOT NULL,
	legal_basis	  text NOT NULL,
	purpose		  text,
	transactional boolean NOT NULL,
	owner		  name NOT NULL,
	created_at	  timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._topics IS 'Categories of messages that people can choose; read through the view topics.';

CREATE TABLE trigger_engine._legal_bases (
	purpose		text PRIMARY KEY CHECK (purpose <> ''),
	legal_basis text NOT NULL,
	set_by		name NOT NULL,
	set_at		timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._legal_bases IS 'On what the messages of a purpose rest; others rest on consent. Written by set_legal_basis().';

CREATE TABLE trigger_engine._suppressed_addresses (
	digest	   bytea NOT NULL,
	channel	   text NOT NULL,
	address	   text,
	reason	   text NOT NULL,
	scope	   text NOT NULL CHECK (scope IN ('all', 'marketing')),
	source	   text,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (digest, channel)
);
COMMENT ON TABLE trigger_engine._suppressed_addresses IS 'Addresses that nothing is sent to, by their SHA-256; read through the view suppressions.';

CREATE FUNCTION trigger_engine._address_digest(address text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.lower(pg_catalog.btrim(address) COLLATE pg_catalog."C"), 'UTF8')) $$;
COMMENT ON FUNCTION trigger_engine._address_digest(text) IS 'SHA-256 of an address without outer blanks, its ASCII letters in lower case.';

CREATE FUNCTION trigger_engine._check_channel(channel text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF channel IS NULL THEN
		RAISE EXCEPTION 'channel is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF channel NOT IN ('*', 'push', 'web_push', 'email', 'sms', 'whatsapp', 'in_app', 'webhook', 'chat') THEN
		RAISE EXCEPTION 'unknown channel "%"', channel USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Channels are push, web_push, email, sms, whatsapp, in_app, webhook, chat, or * for all.';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_channel(text) IS 'Throws unless it is a channel, or * for all.';

CREATE FUNCTION trigger_engine._check_legal_basis(legal_basis text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coalesce(legal_basis, '') NOT IN ('consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task',
		'legitimate_interests') THEN
		RAISE EXCEPTION 'unknown legal basis "%"', legal_basis USING ERRCODE = 'TE001',
			HINT = 'Those of GDPR article 6 (1): consent, contract, legal_obligation, vital_interests, public_task, legitimate_interests.';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_legal_basis(text) IS 'Throws unless it is one of GDPR article 6 (1).';

/* ---- topics ---- */

CREATE FUNCTION trigger_engine.create_topic(name text, titles jsonb DEFAULT '{}', channels text[] DEFAULT NULL,
	default_state text DEFAULT NULL, frequencies jsonb DEFAULT '{}', legal_basis text DEFAULT 'consent',
	purpose text DEFAULT NULL, transactional boolean DEFAULT false, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_topic(text, jsonb, text[], text, jsonb, text, text, boolean, boolean) IS
'Describes a topic that journeys name and people choose. titles: by locale, {"en": "News"}. channels it comes on, NULL = all. default_state without a record: NULL = the rule of the channel; opted_out = only who opted in to this very topic; opted_in = all, for which legal_basis must be another than consent. frequencies people may choose from: {"weekly": {"max": 1, "per": "7 days"}}, null = no limit. legal_basis after GDPR article 6 (1); another than consent goes without an opt-in, and an opt-out still holds. transactional: nobody can leave it. Errors: TE001.';

CREATE FUNCTION trigger_engine._create_topic(invoker name, name text, titles jsonb, channels text[], default_state text,
	frequencies jsonb, legal_basis text, purpose text, transactional boolean, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	choice record;
BEGIN
	IF name IS NULL OR name = '' THEN
		RAISE EXCEPTION 'name is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF octet_length(name) > 127 THEN
		RAISE EXCEPTION 'the name of a topic has at most 127 bytes' USING ERRCODE = 'name_too_long';
	END IF;
	titles := coalesce(titles, '{}');
	frequencies := coalesce(frequencies, '{}');
	channels := coalesce(channels, ARRAY['push', 'web_push', 'email', 'sms', 'whatsapp', 'in_app', 'webhook', 'chat']);
	transactional := coalesce(transactional, false);
	IF jsonb_typeof(titles) <> 'object' THEN
		RAISE EXCEPTION 'titles must be an object of texts by locale' USING ERRCODE = 'TE001';
	ELSIF EXISTS (SELECT FROM jsonb_each(titles) t WHERE jsonb_typeof(t.value) <> 'string') THEN
		RAISE EXCEPTION 'titles must be an object of texts by locale' USING ERRCODE = 'TE001';
	ELSIF jsonb_typeof(frequencies) <> 'object' THEN
		RAISE EXCEPTION 'frequencies must be an object' USING ERRCODE = 'TE001',
			HINT = 'Write {"weekly": {"max": 1, "per": "7 days"}, "all": null}.';
	END IF;
	PERFORM trigger_engine._check_channel(nullif(c, '*')) FROM unnest(channels) c;
	PERFORM trigger_engine._check_legal_basis(legal_basis);
	IF default_state NOT IN ('opted_in', 'opted_out') THEN
		RAISE EXCEPTION 'default_state must be "opted_in", "opted_out" or NULL' USING ERRCODE = 'TE001';
	ELSIF default_state = 'opted_in' AND legal_basis = 'consent' THEN
		RAISE EXCEPTION 'topic "%" cannot be opted in to by default when it rests on consent', name USING ERRCODE = 'TE001',
			HINT = 'Name another legal_basis, or leave default_state out.';
	END IF;
	FOR choice IN SELECT * FROM jsonb_each(frequencies) WHERE jsonb_typeof(value) <> 'null'
	LOOP
		IF jsonb_typeof(choice.value) <> 'object' OR choice.value ?| ARRAY['channel', 'topic'] THEN
			RAISE EXCEPTION 'frequency "%" must be null or an object of max, per and window', choice.key USING ERRCODE = 'TE001';
		END IF;
		PERFORM trigger_engine._check_user_limits(NULL, jsonb_build_array(choice.value));
	END LOOP;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF EXISTS (SELECT FROM trigger_engine._topics t WHERE t.name = name) THEN
		IF NOT coalesce(or_replace, false) THEN
			RAISE EXCEPTION 'topic "%" exists already', name USING ERRCODE = 'duplicate_object',
				HINT = 'Pass or_replace => true to replace it.';
		END IF;
		PERFORM trigger_engine._check_owner(invoker, t.owner, format('topic "%s"', name))
		FROM trigger_engine._topics t WHERE t.name = name;
	END IF;
	INSERT INTO trigger_engine._topics
	VALUES (name, titles, channels, default_state, frequencies, legal_basis, purpose, transactional, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _topics_pkey DO UPDATE SET titles = excluded.titles, channels = excluded.channels,
		default_state = excluded.default_state, frequencies = excluded.frequencies, legal_basis = excluded.legal_basis,
		purpose = excluded.purpose, transactional = excluded.transactional, owner = excluded.owner;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_topic(name, text, jsonb, text[], text, jsonb, text, text, boolean, boolean) IS 'Behind create_topic().';

CREATE FUNCTION trigger_engine.drop_topic(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_topic(text, boolean) IS
'Drops the description of a topic. What people chose stays on record, and counts for journeys that still name it. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_topic(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, t.owner, format('topic "%s"', name))
	FROM trigger_engine._topics t WHERE t.name = name;
	DELETE FROM trigger_engine._topics t WHERE t.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'topic "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_topic(name, text, boolean) IS 'Behind drop_topic().';

CREATE VIEW trigger_engine.topics AS
SELECT name, titles, channels, default_state, frequencies, legal_basis, purpose, transactional, owner, created_at
FROM trigger_engine._topics;
COMMENT ON VIEW trigger_engine.topics IS 'Topics that people can choose.';

/* ---- legal basis of purposes ---- */

CREATE FUNCTION trigger_engine.set_legal_basis(purpose text, legal_basis text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_legal_basis(text, text) IS
'On what the messages of journeys with that purpose rest (GDPR article 6 (1)); it goes before that of their topic. consent needs an opt-in on record, the others do not; an opt-out holds against all. NULL takes it away. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_legal_basis(invoker name, purpose text, legal_basis text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF purpose IS NULL OR purpose = '' THEN
		RAISE EXCEPTION 'purpose is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF legal_basis IS NULL THEN
		DELETE FROM trigger_engine._legal_bases b WHERE b.purpose = purpose;
		RETURN;
	END IF;
	PERFORM trigger_engine._check_legal_basis(legal_basis);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	INSERT INTO trigger_engine._legal_bases VALUES (purpose, legal_basis, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _legal_bases_pkey DO UPDATE SET legal_basis = excluded.legal_basis, set_by = excluded.set_by,
		set_at = excluded.set_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_legal_basis(name, text, text) IS 'Behind set_legal_basis().';

CREATE VIEW trigger_engine.legal_bases AS SELECT purpose, legal_basis, set_by, set_at FROM trigger_engine._legal_bases;
COMMENT ON VIEW trigger_engine.legal_bases IS 'On what the messages of a purpose rest.';

/* ---- preferences ---- */

CREATE FUNCTION trigger_engine.set_preference(user_id text, topic text, state text DEFAULT NULL, channel text DEFAULT '*',
	frequency text DEFAULT NULL, source text DEFAULT NULL, proof jsonb DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_preference(text, text, text, text, text, text, jsonb) IS
'What a user wants of a topic on a channel, * = all: state opted_in or opted_out goes on record as a consent with source and proof, frequency (one of the topic''s) becomes a limit of the user''s own. NULL leaves a part as it is. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_preference(invoker name, user_id text, topic text, state text, channel text,
	frequency text, source text, proof jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	choices jsonb;
	chosen jsonb;
	is_transactional boolean;
	others jsonb;
BEGIN
	IF user_id IS NULL OR user_id = '' OR topic IS NULL THEN
		RAISE EXCEPTION 'user_id and topic are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	channel := coalesce(channel, '*');
	PERFORM trigger_engine._check_channel(channel);
	SELECT t.frequencies, t.transactional INTO choices, is_transactional FROM trigger_engine._topics t WHERE t.name = topic;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'topic "%" does not exist', topic USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.topics.';
	END IF;
	IF state IS NOT NULL THEN
		IF is_transactional AND state = 'opted_out' THEN
			RAISE EXCEPTION 'topic "%" is transactional: nobody can leave it', topic USING ERRCODE = 'TE001';
		END IF;
		PERFORM trigger_engine._set_consent(invoker, user_id, channel, state, topic, source, NULL, proof);
	END IF;
	IF frequency IS NOT NULL THEN
		IF NOT choices ? frequency THEN
			RAISE EXCEPTION 'topic "%" has no frequency "%"', topic, frequency USING ERRCODE = 'TE001',
				HINT = format('It has %s.', coalesce((SELECT string_agg(quote_literal(k), ', ' ORDER BY k)
					FROM jsonb_object_keys(choices) k), 'none'));
		END IF;
		INSERT INTO trigger_engine._preferences VALUES (user_id, topic, channel, trigger_engine.clock(), frequency, source, proof)
		ON CONFLICT ON CONSTRAINT _preferences_pkey DO UPDATE SET frequency = excluded.frequency, source = excluded.source,
			proof = excluded.proof;
		-- two choices at a time must not lose one
		INSERT INTO trigger_engine._user_limits (user_id, updated_at) VALUES (user_id, trigger_engine.clock()) ON CONFLICT DO NOTHING;
		PERFORM FROM trigger_engine._user_limits l WHERE l.user_id = user_id FOR UPDATE;
		SELECT coalesce(jsonb_agg(c), '[]') INTO others
		FROM trigger_engine._user_limits l CROSS JOIN LATERAL jsonb_array_elements(l.caps) c
		WHERE l.user_id = user_id AND NOT (c ->> 'topic' IS NOT DISTINCT FROM topic AND coalesce(c ->> 'channel', '*') = channel);
		chosen := choices -> frequency;
		IF jsonb_typeof(chosen) = 'object' THEN
			others := others || (chosen || jsonb_build_object('topic', topic)
				|| CASE WHEN channel = '*' THEN '{}' ELSE jsonb_build_object('channel', channel) END);
		END IF;
		PERFORM trigger_engine._set_message_limits(invoker, user_id, NULL, others);
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_preference(name, text, text, text, text, text, text, jsonb) IS 'Behind set_preference().';

CREATE FUNCTION trigger_engine.set_preferences(user_id text, preferences jsonb, source text DEFAULT NULL, proof jsonb DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_preferences(text, jsonb, text, jsonb) IS
'Several at once: [{"topic": "news", "channel": "email", "state": "opted_in", "frequency": "weekly"}]; channel * = all when left out, one of state and frequency is needed. All or nothing. Returns how many. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_preferences(invoker name, user_id text, preferences jsonb, source text, proof jsonb)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	one jsonb;
BEGIN
	IF preferences IS NULL OR jsonb_typeof(preferences) <> 'array' OR jsonb_array_length(preferences) > 1000 THEN
		RAISE EXCEPTION 'preferences must be an array of at most 1000 objects' USING ERRCODE = 'TE001',
			HINT = 'Write [{"topic": "news", "channel": "email", "state": "opted_in"}].';
	END IF;
	FOR one IN SELECT value FROM jsonb_array_elements(preferences)
	LOOP
		IF jsonb_typeof(one) <> 'object' OR one - ARRAY['topic', 'channel', 'state', 'frequency'] <> '{}'
			OR NOT one ?| ARRAY['state', 'frequency'] THEN
			RAISE EXCEPTION 'a preference is an object of topic, channel, state and frequency' USING ERRCODE = 'TE001',
				DETAIL = format('It is %s.', left(one::text, 200));
		END IF;
		PERFORM trigger_engine._set_preference(invoker, user_id, one ->> 'topic', one ->> 'state', one ->> 'channel',
			one ->> 'frequency', source, proof);
	END LOOP;
	RETURN jsonb_array_length(preferences);
END
$$;
COMMENT ON FUNCTION trigger_engine._set_preferences(name, text, jsonb, text, jsonb) IS 'Behind set_preferences().';

CREATE FUNCTION trigger_engine.preferences(user_id text, locale text DEFAULT NULL)
RETURNS TABLE (topic text, title text, channel text, state text, frequency text, frequencies text[], transactional boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH consent AS MATERIALIZED (
		SELECT DISTINCT ON (c.channel, c.topic) c.channel, c.topic, c.state FROM trigger_engine._consents c
		WHERE c.user_id = $1 ORDER BY c.channel, c.topic, c.at DESC
	), chosen AS MATERIALIZED (
		SELECT DISTINCT ON (p.topic, p.channel) p.topic, p.channel, p.frequency FROM trigger_engine._preferences p
		WHERE p.user_id = $1 ORDER BY p.topic, p.channel, p.at DESC
	)
	SELECT t.name, coalesce(t.titles ->> trigger_engine.best_locale(coalesce($2,
			(SELECT u.locale FROM trigger_engine.users u WHERE u.user_id = $1), 'en'), ARRAY(SELECT jsonb_object_keys(t.titles))),
			t.titles ->> 'en', t.name),
		ch, CASE WHEN t.transactional THEN 'opted_in' WHEN s.is_out THEN 'opted_out'
			WHEN t.default_state = 'opted_out' THEN CASE WHEN s.in_topic THEN 'opted_in' ELSE 'opted_out' END
			WHEN s.is_in OR t.legal_basis <> 'consent' OR ch IN ('in_app', 'webhook') THEN 'opted_in' ELSE 'opted_out' END,
		(SELECT c.frequency FROM chosen c WHERE c.topic = t.name AND c.channel IN (ch, '*') ORDER BY c.channel = '*' LIMIT 1),
		ARRAY(SELECT k FROM jsonb_object_keys(t.frequencies) k ORDER BY k), t.transactional
	FROM trigger_engine._topics t CROSS JOIN LATERAL unnest(t.channels) ch
	CROSS JOIN LATERAL (SELECT coalesce(bool_or(c.state = 'opted_out'), false) AS is_out,
			coalesce(bool_or(c.state = 'opted_in'), false) AS is_in,
			coalesce(bool_or(c.state = 'opted_in' AND c.topic = t.name), false) AS in_topic
		FROM consent c WHERE c.channel IN (ch, '*') AND c.topic IN (t.name, '')) s
	ORDER BY t.name, ch
$$;
COMMENT ON FUNCTION trigger_engine.preferences(text, text) IS
'What a user gets by topic and channel, as the consent gate decides it from what is on record, with the frequency chosen and those to choose from. locale of the titles: the user''s when NULL. The legal basis of a journey''s purpose may add to it.';

/* ---- suppression ---- */

CREATE FUNCTION trigger_engine.suppress(channel text, address text DEFAULT NULL, user_id text DEFAULT NULL,
	reason text DEFAULT 'by hand', scope text DEFAULT 'all', hashed boolean DEFAULT false, source text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.suppress(text, text, text, text, text, boolean, text) IS
'Nothing is sent to an address, or to a user, on that channel (* = all) any more, with the transaction and for what is queued, too. scope: all, or marketing, which lets transactional messages through. hashed: keep the address as a digest only; it may be given as one, 64 hex digits of SHA-256 over the address in lower case. Returns whether it is new.';

CREATE FUNCTION trigger_engine._suppress(invoker name, channel text, address text, user_id text, reason text, scope text,
	hashed boolean, source text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	is_new boolean;
	digest bytea;
BEGIN
	PERFORM trigger_engine._check_channel(channel);
	IF (coalesce(address, '') = '') = (coalesce(user_id, '') = '') THEN
		RAISE EXCEPTION 'one of address and user_id is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF coalesce(scope, '') NOT IN ('all', 'marketing') THEN
		RAISE EXCEPTION 'scope must be "all" or "marketing"' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF coalesce(user_id, '') <> '' THEN
		INSERT INTO trigger_engine._suppressed_users AS s VALUES (user_id, channel, reason, scope, source, trigger_engine.clock())
		ON CONFLICT ON CONSTRAINT _suppressed_users_pkey DO UPDATE SET reason = excluded.reason, source = excluded.source,
			-- the stricter one holds
			scope = CASE WHEN s.scope = 'all' THEN 'all' ELSE excluded.scope END
		RETURNING xmax = 0 INTO is_new;
		RETURN is_new;
	END IF;
	digest := CASE WHEN hashed AND address ~ '^[0-9a-fA-F]{64}$' THEN decode(address, 'hex')
		ELSE trigger_engine._address_digest(address) END;
	INSERT INTO trigger_engine._suppressed_addresses AS s
	VALUES (digest, channel, CASE WHEN coalesce(hashed, false) THEN NULL ELSE btrim(address) END, reason, scope, source, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _suppressed_addresses_pkey DO UPDATE SET reason = excluded.reason, source = excluded.source,
		address = excluded.address, scope = CASE WHEN s.scope = 'all' THEN 'all' ELSE excluded.scope END
	RETURNING xmax = 0 INTO is_new;
	RETURN is_new;
END
$$;
COMMENT ON FUNCTION trigger_engine._suppress(name, text, text, text, text, text, boolean, text) IS 'Behind suppress().';

CREATE FUNCTION trigger_engine.unsuppress(channel text, address text DEFAULT NULL, user_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.unsuppress(text, text, text) IS
'Takes an address, or its digest, or a user from the suppression list. What was withheld meanwhile is not sent. Returns whether it was on the list.';

CREATE FUNCTION trigger_engine._unsuppress(invoker name, channel text, address text, user_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_channel(channel);
	IF (coalesce(address, '') = '') = (coalesce(user_id, '') = '') THEN
		RAISE EXCEPTION 'one of address and user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF coalesce(user_id, '') <> '' THEN
		DELETE FROM trigger_engine._suppressed_users s WHERE s.user_id = user_id AND s.channel = channel;
	ELSE
		DELETE FROM trigger_engine._suppressed_addresses s WHERE s.channel = channel
			AND s.digest IN (trigger_engine._address_digest(address),
				CASE WHEN address ~ '^[0-9a-fA-F]{64}$' THEN decode(address, 'hex') END);
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._unsuppress(name, text, text, text) IS 'Behind unsuppress().';

CREATE VIEW trigger_engine.suppressions AS
SELECT channel, address, encode(digest, 'hex') AS digest, NULL::text AS user_id, reason, scope, source, created_at
FROM trigger_engine._suppressed_addresses
UNION ALL
SELECT channel, NULL, NULL, user_id, reason, scope, source, created_at FROM trigger_engine._suppressed_users;
COMMENT ON VIEW trigger_engine.suppressions IS 'Addresses and users that nothing is sent to, with the reason. digest: SHA-256 of the address, hex.';
