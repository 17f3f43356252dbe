/*
 * Interactions: what people, and machines, did with a message. Each is recorded once
 * and comes back as an event, so that journeys start, wait and end on it.
 */

CREATE FUNCTION trigger_engine._is_machine(kind text, channel text, data jsonb, after interval) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT kind IN ('opened', 'clicked') AND coalesce(
		-- the service has looked at more than we can
		CASE WHEN jsonb_typeof(data -> 'machine') = 'boolean' THEN (data ->> 'machine')::boolean END,
		upper(data ->> 'method') = 'HEAD'
		-- the whole name under which Apple's mail privacy protection loads pictures
		OR btrim(data ->> 'user_agent') = 'Mozilla/5.0'
		-- scanners and previews, which follow links before the reader sees them
		OR data ->> 'user_agent' ~* '(bot|crawl|spider|scan|preview|headless|phantomjs|barracuda|mimecast|proofpoint|symantec|trend ?micro|safelinks|facebookexternalhit|curl/|wget/|python-requests|okhttp|go-http-client|apache-httpclient)'
		-- nobody reads a mail while it is being handed over
		OR kind = 'opened' AND channel = 'email' AND after < interval '1 second', false)
$$;
COMMENT ON FUNCTION trigger_engine._is_machine(text, text, jsonb, interval) IS
'Whether an open or a click was made by a machine. Rules, the first that applies: data.machine says so; a HEAD request; the user agent of a mail proxy that loads everything, or of a scanner or preview; an e-mail opened less than a second after it was handed over. after: since the hand-over, NULL if unknown.';

CREATE FUNCTION trigger_engine._find_send(wanted bigint, of_user text DEFAULT NULL,
	OUT send_id bigint, OUT user_id text, OUT journey_id bigint, OUT entry_key text, OUT step text, OUT channel text,
	OUT version integer, OUT handed_over_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF of_user IS NOT NULL THEN
		SELECT s.send_id, s.user_id, s.journey_id, s.entry_key, s.step, s.channel, s.version, s.handed_over_at
		INTO _find_send.send_id, _find_send.user_id, _find_send.journey_id, _find_send.entry_key, _find_send.step,
			_find_send.channel, _find_send.version, _find_send.handed_over_at
		FROM trigger_engine._sends s WHERE s.user_id = of_user AND s.send_id = wanted;
	ELSE
		SELECT s.send_id, s.user_id, s.journey_id, s.entry_key, s.step, s.channel, s.version, s.handed_over_at
		INTO _find_send.send_id, _find_send.user_id, _find_send.journey_id, _find_send.entry_key, _find_send.step,
			_find_send.channel, _find_send.version, _find_send.handed_over_at
		FROM trigger_engine._sends s WHERE s.send_id = wanted;
	END IF;
	IF _find_send.send_id IS NULL THEN
		-- callbacks overtake the record of what they are about
		SELECT i.send_id, i.user_id, i.journey_id, i.entry_key, i.step, i.channel, i.version, i.claimed_at
		INTO _find_send.send_id, _find_send.user_id, _find_send.journey_id, _find_send.entry_key, _find_send.step,
			_find_send.channel, _find_send.version, _find_send.handed_over_at
		FROM trigger_engine._open_items i WHERE i.send_id = wanted AND (of_user IS NULL OR i.user_id = of_user);
	END IF;
	IF _find_send.send_id IS NULL THEN
		-- or come while it waits to be tried again
		SELECT d.send_id, d.user_id, d.journey_id, d.entry_key, d.step, s.step ->> 'channel', d.version
		INTO _find_send.send_id, _find_send.user_id, _find_send.journey_id, _find_send.entry_key, _find_send.step,
			_find_send.channel, _find_send.version
		FROM trigger_engine._due d
		JOIN trigger_engine._journey_versions v ON v.journey_id = d.journey_id AND v.version = d.version
		CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
		WHERE d.send_id = wanted AND (of_user IS NULL OR d.user_id = of_user) AND s.step ->> 'id' = d.step;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._find_send(bigint, text) IS
'What is known of a send: its record, its item in an open batch, or its row in the queue when it waits to be tried again. NULLs when there is none.';

CREATE FUNCTION trigger_engine._suppress_address(user_id text, channel text, address text, why text,
	handed_over_at timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	-- whom the service names, else the endpoint that messages of that time went to
	dead text := coalesce(address, (SELECT e.address FROM trigger_engine.endpoints e
		WHERE e.user_id = user_id AND e.channel = channel AND e.state = 'active'
			AND e.created_at <= coalesce(handed_over_at, 'infinity') ORDER BY e.endpoint_id DESC LIMIT 1));
BEGIN
	UPDATE trigger_engine.endpoints e
	SET state = 'disabled', state_reason = why, updated_at = trigger_engine.clock()
	WHERE e.user_id = user_id AND e.channel = channel AND e.state = 'active'
		AND CASE WHEN channel = 'email' THEN lower(e.address) = lower(dead) ELSE e.address = dead END;
	-- other users of this address are safe as well
	IF dead <> '' THEN
		PERFORM trigger_engine._suppress(session_user::name, channel, dead, NULL, why, 'all', false, 'interaction');
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._suppress_address(text, text, text, text, timestamptz) IS
'Disables the endpoint of a user that bounced or complained; address NULL = the newest one that was there when the message was handed over.';

CREATE FUNCTION trigger_engine._record(kind text, send_id bigint, at timestamptz, data jsonb, source_id text,
	of_user text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	send record;
	now timestamptz := trigger_engine.clock();
	happened timestamptz := coalesce(at, now);
	facts jsonb := coalesce(data, '{}');
	key text := coalesce(source_id, '');
	machine boolean;
	keep interval := nullif(current_setting('trigger_engine.event_retention')::interval, '0');
	journey text;
	template text;
	topic text;
BEGIN
	SELECT * INTO send FROM trigger_engine._find_send(send_id, of_user);
	IF send.send_id IS NULL THEN
		RETURN NULL;
	END IF;
	machine := trigger_engine._is_machine(kind, send.channel, facts, happened - send.handed_over_at);
	-- what a machine did must not stand in the way of the reader
	IF machine AND key = '' THEN
		key := 'machine';
	END IF;
	INSERT INTO trigger_engine._interaction_keys VALUES (send.user_id, send.send_id, kind, key) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO trigger_engine._interactions
	VALUES (send.user_id, send.send_id, send.journey_id, send.entry_key, send.step, send.channel, kind, happened, now,
		machine, key, nullif(facts, '{}'));

	SELECT j.name, v.topic, s.step ->> 'send' INTO journey, topic, template
	FROM trigger_engine._journeys j
	LEFT JOIN trigger_engine._journey_versions v ON v.journey_id = j.journey_id AND v.version = send.version
	LEFT JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step) ON s.step ->> 'id' = send.step
	WHERE j.journey_id = send.journey_id LIMIT 1;

	IF kind = 'bounced' AND coalesce(facts ->> 'bounce', 'hard') = 'hard' THEN
		PERFORM trigger_engine._suppress_address(send.user_id, send.channel, facts ->> 'address', 'hard bounce', send.handed_over_at);
	ELSIF kind = 'complained' THEN
		PERFORM trigger_engine._suppress_address(send.user_id, send.channel, facts ->> 'address', 'complaint', send.handed_over_at);
	END IF;
	IF kind IN ('complained', 'unsubscribed') THEN
		PERFORM trigger_engine._set_consent(session_user::name, send.user_id, send.channel, 'opted_out',
			CASE WHEN kind = 'unsubscribed' THEN coalesce(facts ->> 'topic', topic) END, kind || ' send ' || send.send_id,
			least(happened, now), jsonb_build_object('send_id', send.send_id, 'source_id', key));
	END IF;

	-- machines start nothing, and history too old to be an event is kept as an interaction
	IF NOT machine AND (keep IS NULL OR happened > now - keep) THEN
		INSERT INTO trigger_engine.events (user_id, name, properties, occurred_at, dedupe_key)
		VALUES (send.user_id, 'message_' || kind,
			facts || jsonb_strip_nulls(jsonb_build_object('send_id', send.send_id,
				'journey', coalesce(journey, 'journey ' || send.journey_id), 'step', send.step, 'channel', send.channel,
				'template', template)),
			least(happened, now), format('interaction/%s/%s/%s', send.send_id, kind, key));
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._record(text, bigint, timestamptz, jsonb, text, text) IS
'Records an interaction with what follows from it. NULL when the send is not known, false when it was recorded already. of_user: whose send it is, where that is known.';

CREATE FUNCTION trigger_engine._record_for_user(user_id text, send_ids bigint[], kind text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trigger_engine._record($3, s.id, NULL, NULL, 'inbox', $1) FROM unnest($2) s(id) ORDER BY s.id
$$;
COMMENT ON FUNCTION trigger_engine._record_for_user(text, bigint[], text) IS 'Records what a user did with messages of the inbox.';

CREATE FUNCTION trigger_engine.record_interaction(send_id bigint, kind text, at timestamptz DEFAULT NULL,
	data jsonb DEFAULT '{}', source_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.record_interaction(bigint, text, timestamptz, jsonb, text) IS
'Records what became of a message: kind delivered, opened, clicked, dismissed, converted, bounced, complained, unsubscribed or replied. at: when it happened, default now; late and out of order is fine. source_id: what tells a repetition (at most 255 bytes); the same one for a send and kind is recorded once, and without one each kind is recorded once for a send. data: a JSON object that is kept; it may have address, user_agent, method, machine (true or false), bounce ("hard", the default, or "soft"), topic, url.
In the same transaction the event message_<kind> is inserted for the user, with the properties send_id, journey, step, channel, template and those of data; opens and clicks by machines are kept and flagged but are no events. A hard bounce disables the endpoint, a complaint does so and opts out of the channel, unsubscribed opts out of the topic of data or the journey''s, else of the channel.
Returns whether it is new. Errors: undefined_object when there is no such send, invalid_parameter_value for an unknown kind.';

CREATE FUNCTION trigger_engine._record_interaction(invoker name, send_id bigint, kind text, at timestamptz, data jsonb,
	source_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	recorded boolean;
BEGIN
	IF send_id IS NULL OR kind IS NULL THEN
		RAISE EXCEPTION 'send_id and kind are required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF kind NOT IN ('delivered', 'opened', 'clicked', 'dismissed', 'converted', 'bounced', 'complained', 'unsubscribed',
		'replied') THEN
		RAISE EXCEPTION 'unknown kind of interaction "%"', kind USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Kinds are delivered, opened, clicked, dismissed, converted, bounced, complained, unsubscribed and replied.';
	ELSIF jsonb_typeof(data) <> 'object' THEN
		RAISE EXCEPTION 'data must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
	ELSIF octet_length(source_id) > 255 THEN
		RAISE EXCEPTION 'source_id is longer than 255 bytes' USING ERRCODE = 'invalid_parameter_value';
	ELSIF NOT isfinite(at) THEN
		RAISE EXCEPTION 'at must be a finite time' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	recorded := trigger_engine._record(kind, send_id, at, data, source_id);
	IF recorded IS NULL THEN
		RAISE EXCEPTION 'send % does not exist', send_id USING ERRCODE = 'undefined_object',
			HINT = 'The view trigger_engine.sends shows those that are kept.';
	END IF;
	RETURN recorded;
END
$$;
COMMENT ON FUNCTION trigger_engine._record_interaction(name, bigint, text, timestamptz, jsonb, text) IS 'Behind record_interaction().';

CREATE VIEW trigger_engine.interactions AS
SELECT i.user_id, i.send_id, coalesce(j.name, 'journey ' || i.journey_id) AS journey, i.step, i.channel, i.kind, i.at,
	i.recorded_at, i.machine, nullif(i.source_id, '') AS source_id, coalesce(i.data, '{}') AS data, i.entry_key, i.journey_id
FROM trigger_engine._interactions i LEFT JOIN trigger_engine._journeys j USING (journey_id);
COMMENT ON VIEW trigger_engine.interactions IS
'What people did with messages: kind is delivered, opened, clicked, dismissed, converted, bounced, complained, unsubscribed or replied; at: when it happened, recorded_at: when it was told; machine: made by a mail proxy or a scanner rather than the reader. Kept for trigger_engine.history_retention after it was told.';
