/*
 * Journeys.
 */

CREATE FUNCTION trigger_engine._check_journey(name text, trigger jsonb, steps jsonb, exit_on jsonb, goal jsonb,
	reentry jsonb, ttl interval)
RETURNS void
AS 'MODULE_PATHNAME', 'te_check_journey'
LANGUAGE C STABLE;
COMMENT ON FUNCTION trigger_engine._check_journey(text, jsonb, jsonb, jsonb, jsonb, jsonb, interval) IS
'Compiles a definition and throws, naming part and key, where it cannot be run.';

CREATE FUNCTION trigger_engine._flat_steps(steps jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_flat_steps'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._flat_steps(jsonb) IS
'All steps of a journey in one array: each, as it stands, before those within it. What sends, rungs and webhooks too, has the key "send".';

CREATE FUNCTION trigger_engine._resolve_send(step jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	template text;
	channel text;
BEGIN
	template := coalesce(step ->> 'send', step ->> 'webhook');
	SELECT t.channel INTO channel FROM trigger_engine._templates t WHERE t.name = template;
	IF channel IS NULL THEN
		RAISE EXCEPTION 'template "%" of step "%" does not exist', template, step ->> 'id'
			USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(template,
				ARRAY(SELECT t.name FROM trigger_engine._templates t WHERE t.channel <> 'block' ORDER BY t.name)) || '".',
				'Create it first with trigger_engine.create_template().');
	ELSIF channel = 'block' THEN
		RAISE EXCEPTION 'step "%" sends "%", which is a content block', step ->> 'id', template
			USING ERRCODE = 'wrong_object_type',
			HINT = format('Send a template that includes it by {%% render ''%s'' %%}.', template);
	ELSIF NOT EXISTS (SELECT FROM trigger_engine._template_texts x WHERE x.name = template AND x.live_version IS NOT NULL) THEN
		RAISE WARNING 'template "%" of step "%" is not live', template, step ->> 'id'
			USING HINT = 'Until trigger_engine.publish_template() its messages are withheld.';
	END IF;
	IF step ? 'webhook' THEN
		step := step || '{"channel": "webhook"}';
	END IF;
	IF step ->> 'channel' IS NULL THEN
		step := step || jsonb_build_object('channel', channel);
	ELSIF step ->> 'channel' <> channel THEN
		RAISE EXCEPTION 'step "%" sends template "%" on channel "%", but the template is for "%"',
			step ->> 'id', template, step ->> 'channel', channel
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave the channel out, or name the right template.';
	END IF;
	IF NOT trigger_engine._delivers(channel) THEN
		RAISE EXCEPTION 'step "%" sends on channel "%", which no kind of provider of this version delivers',
			step ->> 'id', channel USING ERRCODE = 'feature_not_supported',
			HINT = format('Its templates can be written and previewed. What can be sent: %s.', (SELECT string_agg(c, ', ')
				FROM unnest(ARRAY['in_app', 'webhook', 'push', 'web_push', 'email', 'sms', 'whatsapp', 'chat']) c
				WHERE trigger_engine._delivers(c)));
	END IF;
	IF step ->> 'provider' IS NOT NULL THEN
		IF NOT EXISTS (SELECT FROM trigger_engine._providers p WHERE p.name = step ->> 'provider') THEN
			RAISE EXCEPTION 'provider "%" of step "%" does not exist', step ->> 'provider', step ->> 'id'
				USING ERRCODE = 'undefined_object', HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(
					step ->> 'provider', ARRAY(SELECT p.name FROM trigger_engine._providers p ORDER BY p.name)) || '".',
					'Create it first with trigger_engine.create_provider().');
		ELSIF NOT EXISTS (SELECT FROM trigger_engine._providers p
			WHERE p.name = step ->> 'provider' AND p.channel = step ->> 'channel') THEN
			RAISE EXCEPTION 'provider "%" of step "%" does not serve channel "%"',
				step ->> 'provider', step ->> 'id', step ->> 'channel' USING ERRCODE = 'invalid_parameter_value';
		END IF;
	ELSIF step ->> 'channel' <> 'in_app' AND NOT EXISTS (SELECT FROM trigger_engine._providers p
		WHERE p.channel = step ->> 'channel') THEN
		RAISE EXCEPTION 'no provider serves channel "%" of step "%"', step ->> 'channel', step ->> 'id'
			USING ERRCODE = 'undefined_object', HINT = 'Create one first with trigger_engine.create_provider().';
	END IF;
	RETURN step;
END
$$;
COMMENT ON FUNCTION trigger_engine._resolve_send(jsonb) IS
'Checks the template, channel and provider that a step names, and fills in a channel that was left out.';

CREATE FUNCTION trigger_engine._check_condition(condition jsonb, step text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	segment text;
BEGIN
	FOR segment IN SELECT v #>> '{}' FROM jsonb_path_query(condition, '$.**.segment') v
	LOOP
		IF NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = segment) THEN
			RAISE EXCEPTION 'segment "%" of step "%" does not exist', segment, step USING ERRCODE = 'undefined_object',
				HINT = trigger_engine._segment_hint(segment);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_condition(jsonb, text) IS 'Throws where a condition names a segment that does not exist.';

CREATE FUNCTION trigger_engine._resolve_steps(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	step jsonb;
	part jsonb;
	parts jsonb;
	key text;
	result jsonb := '[]';
BEGIN
	FOR step IN SELECT s FROM jsonb_array_elements(steps) s
	LOOP
		IF step ? 'send' OR step ? 'webhook' THEN
			step := trigger_engine._resolve_send(step);
		END IF;
		FOREACH key IN ARRAY ARRAY['branch', 'wait_for', 'ladder']
		LOOP
			CONTINUE WHEN NOT step ? key;
			parts := '[]';
			FOR part IN SELECT s FROM jsonb_array_elements(step -> key) s
			LOOP
				IF key = 'ladder' THEN
					-- its own id holds also where rungs are put before it later
					part := trigger_engine._resolve_send(jsonb_build_object('id',
						format('%s.%s', step ->> 'id', jsonb_array_length(parts) + 1)) || part);
				END IF;
				PERFORM trigger_engine._check_condition(part -> w, step ->> 'id') FROM unnest(ARRAY['when', 'unless']) w WHERE part ? w;
				IF part ? 'steps' THEN
					part := jsonb_set(part, '{steps}', trigger_engine._resolve_steps(part -> 'steps'));
				END IF;
				parts := parts || jsonb_build_array(part);
			END LOOP;
			step := jsonb_set(step, ARRAY[key], parts);
		END LOOP;
		IF step ? 'until' THEN
			PERFORM trigger_engine._check_condition(step -> 'until', step ->> 'id');
		END IF;
		IF step ? 'split' THEN
			FOR key IN SELECT k FROM jsonb_object_keys(step #> '{split,arms}') k
			LOOP
				step := jsonb_set(step, ARRAY['split', 'arms', key], trigger_engine._resolve_steps(step #> ARRAY['split', 'arms', key]));
			END LOOP;
		END IF;
		IF step ? 'else' THEN
			step := jsonb_set(step, '{else}', trigger_engine._resolve_steps(step -> 'else'));
		END IF;
		key := coalesce(step #>> '{split,experiment}', step ->> 'experiment');
		IF key IS NOT NULL AND NOT EXISTS (SELECT FROM trigger_engine._experiments e WHERE e.name = key) THEN
			RAISE EXCEPTION 'experiment "%" of step "%" does not exist', key, step ->> 'id' USING ERRCODE = 'undefined_object',
				HINT = 'Create it first with trigger_engine.create_experiment().';
		END IF;
		result := result || jsonb_build_array(step);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._resolve_steps(jsonb) IS
'Checks the templates, channels, providers, segments and experiments that steps name, and fills in channels and ids of rungs that were left out.';

CREATE FUNCTION trigger_engine._nearest(word text, names text[]) RETURNS text
AS 'MODULE_PATHNAME', 'te_nearest'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._nearest(text, text[]) IS 'The name that a word differs from by a slip of the pen, NULL when there is none; for hints.';

CREATE FUNCTION trigger_engine._segment_hint(segment text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce('Perhaps you meant "' || trigger_engine._nearest($1,
		ARRAY(SELECT s.name FROM trigger_engine._segments s ORDER BY s.name)) || '".',
		'Create it first with trigger_engine.create_segment().')
$$;
COMMENT ON FUNCTION trigger_engine._segment_hint(text) IS 'What to do about a segment that does not exist.';

CREATE FUNCTION trigger_engine.create_journey(name text, trigger jsonb, steps jsonb,
	exit_on jsonb DEFAULT NULL, goal jsonb DEFAULT NULL, reentry jsonb DEFAULT NULL,
	segment text DEFAULT NULL, topic text DEFAULT NULL, transactional boolean DEFAULT false,
	ttl interval DEFAULT NULL, purpose text DEFAULT NULL, priority integer DEFAULT 0, description text DEFAULT NULL,
	enabled boolean DEFAULT true, or_replace boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_journey(text, jsonb, jsonb, jsonb, jsonb, jsonb, text, text, boolean, interval, text, integer, text, boolean, boolean) IS
'Creates a journey and returns its id. trigger: {"kind": "event", "name": event, "where": jsonpath, "entry_key": jsonpath}, or of the kinds absence, sequence, milestone, attribute, inactivity, date, schedule, price_drop, back_in_stock, followed, segment and call; see README, Triggers. steps: an array of objects with an "id" and what to do, one of "wait", "wait_until", "wait_for", "send", "webhook", "ladder", "branch", "split", "set", "list", "start", "leave" and "exit"; see README, Steps. exit_on, goal: events ({"name", "where"}) that end a run and cancel what is due, in their own transaction. reentry: {"policy": "once" | "once_per_key" | "after" with "after": interval | "parallel" with "limit": n}; without it every event enters. segment: only its members get messages. topic: what consent is asked for. transactional: needs no marketing consent, and is repeated when its outcome is unknown. ttl: a message later than this after its due time is dropped as expired. purpose: what it is for, as retention or onboarding. priority: whose messages go first when caps leave room for some only; the higher wins. enabled false = draft. With or_replace an existing journey gets a new version; running enrollments keep theirs. Errors: TE001 for a definition that cannot be run.';

CREATE FUNCTION trigger_engine._create_journey(invoker name, name text, trigger jsonb, steps jsonb,
	exit_on jsonb, goal jsonb, reentry jsonb, segment text, topic text, transactional boolean,
	ttl interval, purpose text, priority integer, description text, enabled boolean, or_replace boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys;
BEGIN
	IF name IS NULL OR name = '' OR trigger IS NULL OR steps IS NULL THEN
		RAISE EXCEPTION 'name, trigger and steps are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_journey(name, trigger, steps, exit_on, goal, reentry, ttl);
	IF segment IS NOT NULL AND NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = segment) THEN
		RAISE EXCEPTION 'segment "%" does not exist', segment USING ERRCODE = 'undefined_object',
			HINT = trigger_engine._segment_hint(segment);
	END IF;
	steps := trigger_engine._resolve_steps(steps);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	SELECT * INTO journey FROM trigger_engine._journeys j WHERE j.name = name FOR UPDATE;
	IF FOUND AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION 'journey "%" exists already', name USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to give it a new version, or use alter_journey().';
	ELSIF FOUND THEN
		PERFORM trigger_engine._check_owner(invoker, journey.owner, format('journey "%s"', journey.name));
		UPDATE trigger_engine._journeys j SET version = journey.version + 1, owner = invoker,
			state = CASE WHEN coalesce(enabled, true) THEN 'live' ELSE 'draft' END,
			description = coalesce(description, j.description), updated_at = trigger_engine.clock()
		WHERE j.journey_id = journey.journey_id RETURNING * INTO journey;
	ELSE
		INSERT INTO trigger_engine._journeys (name, owner, state, version, description, created_at, updated_at)
		VALUES (name, invoker, CASE WHEN coalesce(enabled, true) THEN 'live' ELSE 'draft' END, 1, description,
			trigger_engine.clock(), trigger_engine.clock()) RETURNING * INTO journey;
	END IF;
	INSERT INTO trigger_engine._journey_versions
	VALUES (journey.journey_id, journey.version, trigger, steps, exit_on, goal, reentry, segment, topic,
		coalesce(transactional, false), ttl, purpose, coalesce(priority, 0), trigger_engine.clock(), invoker);
	RETURN journey.journey_id;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_journey(name, text, jsonb, jsonb, jsonb, jsonb, jsonb, text, text, boolean, interval, text, integer, text, boolean, boolean) IS 'Behind create_journey().';

CREATE FUNCTION trigger_engine._find_journey(invoker name, name text) RETURNS trigger_engine._journeys
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys;
BEGIN
	SELECT * INTO journey FROM trigger_engine._journeys j WHERE j.name = name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'journey "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(name,
				ARRAY(SELECT j.name FROM trigger_engine._journeys j ORDER BY j.name)) || '".',
				'See the view trigger_engine.journeys.');
	END IF;
	PERFORM trigger_engine._check_owner(invoker, journey.owner, format('journey "%s"', journey.name));
	RETURN journey;
END
$$;
COMMENT ON FUNCTION trigger_engine._find_journey(name, text) IS 'The journey of that name, locked; throws when it is not there or not the invoker''s.';

CREATE FUNCTION trigger_engine.alter_journey(name text, trigger jsonb DEFAULT NULL, steps jsonb DEFAULT NULL,
	exit_on jsonb DEFAULT NULL, goal jsonb DEFAULT NULL, reentry jsonb DEFAULT NULL,
	segment text DEFAULT NULL, topic text DEFAULT NULL, transactional boolean DEFAULT NULL,
	ttl interval DEFAULT NULL, purpose text DEFAULT NULL, priority integer DEFAULT NULL, description text DEFAULT NULL, new_name text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.alter_journey(text, jsonb, jsonb, jsonb, jsonb, jsonb, text, text, boolean, interval, text, integer, text, text) IS
'Changes a journey; NULL leaves a part as it is, an empty text or array takes it away. A change of what it does makes a new version, which is returned; running enrollments keep theirs.';

CREATE FUNCTION trigger_engine._alter_journey(invoker name, name text, trigger jsonb, steps jsonb, exit_on jsonb,
	goal jsonb, reentry jsonb, segment text, topic text, transactional boolean, ttl interval, purpose text,
	priority integer, description text, new_name text)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys := trigger_engine._find_journey(invoker, name);
	old trigger_engine._journey_versions;
	changed trigger_engine._journey_versions;
BEGIN
	SELECT * INTO old FROM trigger_engine._journey_versions v
	WHERE v.journey_id = journey.journey_id AND v.version = journey.version;
	changed := old;
	changed.trigger := coalesce(trigger, old.trigger);
	changed.steps := coalesce(steps, old.steps);
	changed.exit_on := nullif(coalesce(exit_on, old.exit_on), '[]');
	changed.goal := nullif(coalesce(goal, old.goal), '[]');
	changed.reentry := nullif(coalesce(reentry, old.reentry), '{}');
	changed.segment := nullif(coalesce(segment, old.segment), '');
	changed.topic := nullif(coalesce(topic, old.topic), '');
	changed.transactional := coalesce(transactional, old.transactional);
	changed.ttl := coalesce(ttl, old.ttl);
	changed.purpose := nullif(coalesce(purpose, old.purpose), '');
	changed.priority := coalesce(priority, old.priority);
	PERFORM trigger_engine._check_journey(name, changed.trigger, changed.steps, changed.exit_on, changed.goal,
		changed.reentry, changed.ttl);
	IF changed.segment IS NOT NULL AND NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = changed.segment) THEN
		RAISE EXCEPTION 'segment "%" does not exist', changed.segment USING ERRCODE = 'undefined_object',
			HINT = trigger_engine._segment_hint(changed.segment);
	END IF;
	changed.steps := trigger_engine._resolve_steps(changed.steps);
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF changed IS DISTINCT FROM old THEN
		changed.version := journey.version + 1;
		changed.created_at := trigger_engine.clock();
		changed.created_by := invoker;
		INSERT INTO trigger_engine._journey_versions SELECT changed.*;
	END IF;
	IF new_name = '' THEN
		RAISE EXCEPTION 'a journey needs a name' USING ERRCODE = 'invalid_parameter_value';
	ELSIF EXISTS (SELECT FROM trigger_engine._journeys j WHERE j.name = new_name AND j.journey_id <> journey.journey_id) THEN
		RAISE EXCEPTION 'journey "%" exists already', new_name USING ERRCODE = 'duplicate_object';
	END IF;
	UPDATE trigger_engine._journeys j SET version = changed.version, name = coalesce(new_name, j.name),
		description = coalesce(description, j.description), updated_at = trigger_engine.clock()
	WHERE j.journey_id = journey.journey_id;
	RETURN changed.version;
END
$$;
COMMENT ON FUNCTION trigger_engine._alter_journey(name, text, jsonb, jsonb, jsonb, jsonb, jsonb, text, text, boolean, interval, text, integer, text, text) IS 'Behind alter_journey().';

CREATE FUNCTION trigger_engine.enable_journey(name text) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.enable_journey(text) IS 'Makes a journey live: events of statements that start after the commit enter it, and what its pause has held is decided now; what is older than its ttl by then expires.';

CREATE FUNCTION trigger_engine._enable_journey(invoker name, name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys := trigger_engine._find_journey(invoker, name);
BEGIN
	UPDATE trigger_engine._journeys j SET state = 'live', updated_at = trigger_engine.clock()
	WHERE j.journey_id = journey.journey_id AND j.state <> 'live';
	-- what a pause has held, by its reason: steps that await an event without a timeout stay where they are
	UPDATE trigger_engine._due d SET due_at = greatest(d.first_due_at, trigger_engine.clock()), note = NULL
	WHERE d.journey_id = journey.journey_id AND d.due_at = 'infinity' AND d.note LIKE 'journey_live:%';
	PERFORM trigger_engine._wake_workers_at_commit();
END
$$;
COMMENT ON FUNCTION trigger_engine._enable_journey(name, text) IS 'Behind enable_journey().';

CREATE FUNCTION trigger_engine.disable_journey(name text) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.disable_journey(text) IS
'Pauses a journey: nothing enters it, and what comes due is held until enable_journey(). Exit events and cancel_sends() go on working.';

CREATE FUNCTION trigger_engine._disable_journey(invoker name, name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys := trigger_engine._find_journey(invoker, name);
BEGIN
	UPDATE trigger_engine._journeys j SET state = 'paused', updated_at = trigger_engine.clock()
	WHERE j.journey_id = journey.journey_id AND j.state <> 'paused';
END
$$;
COMMENT ON FUNCTION trigger_engine._disable_journey(name, text) IS 'Behind disable_journey().';

CREATE FUNCTION trigger_engine.archive_journey(name text) RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.archive_journey(text) IS
'Puts a journey away: nothing enters it any more, its runs are ended and what is due is cancelled; its versions and its history stay under its name. enable_journey() takes it out again. Returns how many messages were cancelled.';

CREATE FUNCTION trigger_engine._archive_journey(invoker name, name text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys := trigger_engine._find_journey(invoker, name);
BEGIN
	UPDATE trigger_engine._journeys j SET state = 'archived', updated_at = trigger_engine.clock()
	WHERE j.journey_id = journey.journey_id AND j.state <> 'archived';
	RETURN trigger_engine._cancel_sends(invoker, name, NULL, format('journey "%s" was archived', name));
END
$$;
COMMENT ON FUNCTION trigger_engine._archive_journey(name, text) IS 'Behind archive_journey().';

CREATE FUNCTION trigger_engine.drop_journey(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_journey(text, boolean) IS
'Drops a journey with all versions; what is due is cancelled and recorded so. History stays, under the journey''s id. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_journey(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys;
BEGIN
	IF coalesce(if_exists, false) AND NOT EXISTS (SELECT FROM trigger_engine._journeys j WHERE j.name = name) THEN
		RETURN false;
	END IF;
	journey := trigger_engine._find_journey(invoker, name);
	WITH gone AS (
		DELETE FROM trigger_engine._due d WHERE d.journey_id = journey.journey_id RETURNING *
	)
	INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step, channel, state, gate,
		reason, due_at, event_id, event_at, decided_at, finished_at, attempts)
	SELECT coalesce(g.send_id, nextval('trigger_engine._send_id_seq')), g.user_id, g.journey_id, g.version, g.entry_key,
		g.step, s.step ->> 'channel', 'cancelled', 'journey_live', format('journey "%s" was dropped', name), coalesce(g.first_due_at, g.due_at),
		g.event_id, g.event_at, trigger_engine.clock(), trigger_engine.clock(), g.attempt
	FROM gone g JOIN trigger_engine._journey_versions v USING (journey_id, version)
	CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
	WHERE s.step ->> 'id' = g.step AND s.step ? 'send';
	DELETE FROM trigger_engine._digests x WHERE x.journey_id = journey.journey_id;
	DELETE FROM trigger_engine._digest_events x WHERE x.journey_id = journey.journey_id;
	DELETE FROM trigger_engine._entry_keys k WHERE k.journey_id = journey.journey_id;
	DELETE FROM trigger_engine._exits x WHERE x.journey_id = journey.journey_id;
	DELETE FROM trigger_engine._journey_versions v WHERE v.journey_id = journey.journey_id;
	DELETE FROM trigger_engine._journeys j WHERE j.journey_id = journey.journey_id;
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_journey(name, text, boolean) IS 'Behind drop_journey().';

CREATE VIEW trigger_engine.journeys AS
SELECT j.journey_id, j.name, j.state, j.version, v.trigger, v.steps, v.exit_on, v.goal, v.reentry, v.segment, v.topic,
	v.transactional, v.ttl, v.purpose, v.priority, j.description, j.owner, j.created_at, j.updated_at,
	v.trigger ->> 'kind' AS trigger_kind
FROM trigger_engine._journeys j JOIN trigger_engine._journey_versions v USING (journey_id, version);
COMMENT ON VIEW trigger_engine.journeys IS 'Journeys with their current version.';

/* ---- consent ---- */

CREATE FUNCTION trigger_engine.set_consent(user_id text, channel text, state text, topic text DEFAULT NULL,
	source text DEFAULT NULL, at timestamptz DEFAULT NULL, proof jsonb DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_consent(text, text, text, text, text, timestamptz, jsonb) IS
'Records a consent: state opted_in or opted_out for a channel (or ''*'' for all) and, if given, a topic. at: when it was given, default now; the latest counts. source and proof are kept. It takes effect with the transaction, also on messages that are due.';

CREATE FUNCTION trigger_engine._set_consent(invoker name, user_id text, channel text, state text, topic text,
	source text, at timestamptz, proof jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF user_id IS NULL OR user_id = '' OR channel IS NULL OR state IS NULL THEN
		RAISE EXCEPTION 'user_id, channel and state are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF channel NOT IN ('*', 'push', 'web_push', 'email', 'sms', 'whatsapp', 'in_app', 'webhook', 'chat') THEN
		RAISE EXCEPTION 'unknown channel "%"', channel USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Channels are push, web_push, email, sms, whatsapp, in_app, webhook, chat, or * for all.';
	END IF;
	IF state NOT IN ('opted_in', 'opted_out') THEN
		RAISE EXCEPTION 'state must be "opted_in" or "opted_out"' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO trigger_engine._consents AS c (user_id, channel, topic, state, source, at, proof)
	VALUES (user_id, channel, coalesce(topic, ''), state, source, coalesce(at, trigger_engine.clock()), proof)
	ON CONFLICT ON CONSTRAINT _consents_pkey DO UPDATE
	SET state = excluded.state, source = excluded.source, proof = excluded.proof
	-- at the same instant the stricter one counts
	WHERE c.state = 'opted_in' OR excluded.state = 'opted_out';
END
$$;
COMMENT ON FUNCTION trigger_engine._set_consent(name, text, text, text, text, text, timestamptz, jsonb) IS 'Behind set_consent().';

CREATE VIEW trigger_engine.consents AS
SELECT DISTINCT ON (user_id, channel, topic) user_id, channel, nullif(topic, '') AS topic, state, source, at, proof
FROM trigger_engine._consents ORDER BY user_id, channel, topic, at DESC;
COMMENT ON VIEW trigger_engine.consents IS 'The consent in force for each user, channel and topic.';
