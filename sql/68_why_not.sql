/*
 * Why not, and what if: what the production code says about a message that nobody
 * has queued.
 */

CREATE FUNCTION trigger_engine._decide_candidate(journey_id bigint, version integer, user_id text, step text, entry_key text,
	event_id bigint, event_at timestamptz, properties jsonb, first boolean, at timestamptz)
RETURNS TABLE (gate text, result text, reason text, until timestamptz, content jsonb)
AS 'MODULE_PATHNAME', 'te_decide_candidate'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine._decide_candidate(bigint, integer, text, text, text, bigint, timestamptz, jsonb, boolean, timestamptz) IS
'Sends a made-up message through the gates and writes nothing: one row a gate, passed, failed or not reached.';

CREATE FUNCTION trigger_engine._fits(properties jsonb, "where" jsonpath) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	-- a predicate yields true, a filter what it lets through
	SELECT coalesce(f = 'true' OR jsonb_typeof(f) NOT IN ('boolean', 'null'), false)
	FROM jsonb_path_query_first(properties, "where", silent => true) f
$$;
COMMENT ON FUNCTION trigger_engine._fits(jsonb, jsonpath) IS 'Whether an event fulfils the condition of a trigger.';

CREATE FUNCTION trigger_engine._failed_parts("where" text, properties jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text;
	parts text[] := ARRAY["where"];
	path text;
	result text[] := '{}';
BEGIN
	-- only what is a plain list of conditions can be taken apart
	IF "where" !~ '\|\||[()]' AND (SELECT bool_or(m[1] ~ '&&') FROM regexp_matches("where", '"([^"]*)"', 'g') m) IS NOT TRUE THEN
		parts := regexp_split_to_array("where", '\s*&&\s*');
	END IF;
	FOREACH part IN ARRAY parts
	LOOP
		IF cardinality(parts) > 1 AND jsonb_path_match(properties, part::jsonpath, silent => true) THEN
			CONTINUE;
		END IF;
		path := substring(part FROM '\$(?:\.\w+)+');
		result := result || concat(part, ' (' || path || ' is '
			|| coalesce(jsonb_path_query_first(properties, path::jsonpath, silent => true)::text, 'not there') || ')');
	END LOOP;
	RETURN array_to_string(result, ' and ');
END
$$;
COMMENT ON FUNCTION trigger_engine._failed_parts(text, jsonb) IS
'Which parts of a condition the properties do not fulfil, with the values that they have.';

CREATE FUNCTION trigger_engine.why_not(journey text, user_id text, at timestamptz DEFAULT NULL)
RETURNS TABLE (step integer, what text, result text, detail text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	who CONSTANT text := $2;
	instant CONSTANT timestamptz := coalesce($3, trigger_engine.clock());
	wanted trigger_engine._journeys;
	def trigger_engine._journey_versions;
	starts text;
	condition text;
	hit trigger_engine.events;
	miss trigger_engine.events;
	past record;
	planned trigger_engine._due;
	policy text;
	blocked text;
	message text;
	n integer := 0;
	lines text[] := '{}';
	g record;
BEGIN
	IF journey IS NULL OR who IS NULL THEN
		RAISE EXCEPTION 'journey and user_id are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT * INTO wanted FROM trigger_engine._journeys j WHERE j.name = $1;
	IF wanted.journey_id IS NULL THEN
		RETURN QUERY SELECT 1, 'journey', 'failed', format('journey "%s" does not exist', $1)
			|| coalesce(', perhaps you meant "' || trigger_engine._nearest($1, ARRAY(SELECT j.name FROM trigger_engine._journeys j ORDER BY j.name)) || '"', '');
		RETURN;
	END IF;
	SELECT * INTO def FROM trigger_engine._journey_versions v WHERE v.journey_id = wanted.journey_id AND v.version = wanted.version;
	n := n + 1;
	RETURN QUERY SELECT n, 'journey', CASE wanted.state WHEN 'live' THEN 'passed' ELSE 'failed' END,
		format('version %s is %s%s', wanted.version, wanted.state,
			CASE WHEN wanted.updated_at > instant THEN ' now; it was changed at ' || wanted.updated_at || ', so this is not known of then' ELSE '' END);

	-- the event that starts it, and the one that nearly did
	starts := coalesce(def.trigger ->> 'name', def.trigger -> 'after' ->> 'name', def.trigger ->> 'event');
	condition := coalesce(def.trigger ->> 'where', def.trigger -> 'after' ->> 'where');
	n := n + 1;
	IF starts IS NULL THEN
		RETURN QUERY SELECT n, 'event', 'not reached', format('it starts by %s, not by an event of its own', def.trigger ->> 'kind');
	ELSE
		SELECT e.* INTO hit FROM trigger_engine.events e WHERE e.user_id = who AND e.name = starts AND e.occurred_at <= instant
			AND (condition IS NULL OR trigger_engine._fits(e.properties, condition::jsonpath))
		ORDER BY e.occurred_at DESC, e.event_id DESC LIMIT 1;
		IF condition IS NOT NULL THEN
			SELECT e.* INTO miss FROM trigger_engine.events e WHERE e.user_id = who AND e.name = starts AND e.occurred_at <= instant
				AND e.occurred_at >= coalesce(hit.occurred_at, '-infinity') AND e.event_id IS DISTINCT FROM hit.event_id
			ORDER BY e.occurred_at DESC, e.event_id DESC LIMIT 1;
		END IF;
		RETURN QUERY SELECT n, 'event', CASE WHEN hit.event_id IS NULL THEN 'failed' ELSE 'passed' END,
			concat_ws('; ', CASE WHEN hit.event_id IS NULL THEN format('no event "%s" that fits', starts)
				ELSE format('"%s" at %s', starts, hit.occurred_at) END,
				CASE WHEN miss.event_id IS NOT NULL THEN format('the one at %s does not fit: %s', miss.occurred_at,
					trigger_engine._failed_parts(condition, miss.properties)) END);
	END IF;

	-- what is on record
	SELECT d.* INTO planned FROM trigger_engine._due d WHERE d.user_id = who AND d.journey_id = wanted.journey_id
		AND d.event_at <= instant ORDER BY d.event_at DESC, d.due_at LIMIT 1;
	SELECT s.* INTO past FROM trigger_engine.sends s WHERE s.user_id = who AND s.journey_id = wanted.journey_id
		AND s.event_at <= instant AND s.state <> 'due' ORDER BY s.event_at DESC, s.finished_at DESC LIMIT 1;
	IF past.send_id IS NOT NULL THEN
		n := n + 1;
		RETURN QUERY SELECT n, 'recorded', past.state, concat_ws(', ', format('send %s of step %s, for the event at %s', past.send_id, past.step, past.event_at),
			'gate ' || past.gate, past.reason);
	END IF;
	IF planned.user_id IS NOT NULL THEN
		n := n + 1;
		RETURN QUERY SELECT n, 'planned', 'due', concat_ws(', ', format('step %s at %s', planned.step, planned.due_at), planned.note);
	END IF;

	-- may the user enter
	policy := coalesce(def.reentry ->> 'policy', CASE WHEN def.trigger ? 'entry_key' THEN 'once_per_key' ELSE 'event' END);
	IF NOT EXISTS (SELECT FROM trigger_engine._due d WHERE d.user_id = who AND d.journey_id = wanted.journey_id AND d.event_id = hit.event_id)
		AND NOT EXISTS (SELECT FROM trigger_engine._enrollments r WHERE r.user_id = who AND r.journey_id = wanted.journey_id
			AND r.entered_at = hit.occurred_at) THEN
		SELECT format('entered at %s with key %s', k.entered_at, k.entry_key) INTO blocked FROM trigger_engine._entry_keys k
		WHERE k.user_id = who AND k.journey_id = wanted.journey_id AND k.entered_at <= instant AND CASE policy WHEN 'once' THEN k.entry_key = 'once'
			WHEN 'once_per_key' THEN k.entry_key = 'key/' || (jsonb_path_query_first(hit.properties, (def.trigger ->> 'entry_key')::jsonpath, silent => true) #>> '{}')
			WHEN 'after' THEN k.entry_key = 'after' AND k.entered_at + (def.reentry ->> 'after')::interval > coalesce(hit.occurred_at, instant)
			ELSE false END LIMIT 1;
	END IF;
	n := n + 1;
	RETURN QUERY SELECT n, 'entry policy', CASE WHEN blocked IS NULL THEN 'passed' ELSE 'failed' END, concat_ws(': ', policy, blocked);

	-- the gates, by the code of the worker
	message := coalesce(planned.step, past.step, (SELECT t.id FROM trigger_engine._step_tree(def.steps) t WHERE t.definition ? 'send' ORDER BY t.n LIMIT 1),
		(SELECT t.id FROM trigger_engine._step_tree(def.steps) t ORDER BY t.n LIMIT 1));
	FOR g IN SELECT * FROM trigger_engine._decide_candidate(wanted.journey_id, wanted.version, who, message,
		coalesce(planned.entry_key, CASE WHEN hit.event_id IS NOT NULL AND planned.user_id IS NULL THEN 'events/' || hit.event_id ELSE 'why not' END),
		coalesce(planned.event_id, hit.event_id, 0), coalesce(planned.event_at, hit.occurred_at, instant), planned.context, false, instant)
	LOOP
		n := n + 1;
		RETURN QUERY SELECT n, 'gate ' || g.gate, g.result, nullif(concat_ws(', ', g.reason, 'until ' || g.until,
			CASE WHEN g.gate = 'cap' AND g.result = 'failed' THEN 'the room is taken by ' || (SELECT string_agg(format('%s at %s', l.journey, l.at), ', ' ORDER BY l.at)
				FROM (SELECT l.journey, l.at FROM trigger_engine._slots l WHERE l.user_id = who ORDER BY l.at DESC LIMIT 10) l) END), '');
	END LOOP;
	IF instant < trigger_engine.clock() THEN
		n := n + 1;
		RETURN QUERY SELECT n, 'as of now', 'note', 'gates are asked with the user, consents, segments, caps and templates as they are now; the log has events, entries, and what is recorded';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine.why_not(text, text, timestamptz) IS
'Why a person has no message of a journey: one row a check, passed, failed or not reached, with detail. The journey; the last event that fits, and a later one that does not, with the part of its condition that failed and the value; what is recorded and what is planned; the entry policy and the entry in its way; then every gate, asked by the worker''s own code with a message that is not queued: nothing is written. at: for an instant of the past, default now; events and records are those up to then, everything else is as it is now, and a last row says so. Events of tracked tables are not looked at.';

CREATE FUNCTION trigger_engine.dry_run(journey text, user_id text, event jsonb DEFAULT '{}', step text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (what text, result text, detail text, content jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	wanted trigger_engine._journeys;
	message text := $4;
	instant CONSTANT timestamptz := coalesce($5, trigger_engine.clock());
BEGIN
	IF jsonb_typeof(event) IS DISTINCT FROM 'object' OR user_id IS NULL THEN
		RAISE EXCEPTION 'user_id and event, a JSON object of properties, are required' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT * INTO wanted FROM trigger_engine._journeys j WHERE j.name = $1;
	IF wanted.journey_id IS NULL THEN
		RAISE EXCEPTION 'journey "%" does not exist', $1 USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.journeys.';
	END IF;
	SELECT coalesce(message, t.id) INTO message FROM trigger_engine._journey_versions v
	CROSS JOIN LATERAL trigger_engine._step_tree(v.steps) t
	WHERE v.journey_id = wanted.journey_id AND v.version = wanted.version AND t.definition ? 'send'
		AND (message IS NULL OR t.id = message) ORDER BY t.n LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'journey "%" has no such step that sends', $1 USING ERRCODE = 'undefined_object',
			HINT = 'See trigger_engine.explain_journey().';
	END IF;
	RETURN QUERY SELECT 'gate ' || c.gate, c.result, concat_ws(', ', c.reason, 'until ' || c.until), c.content
	FROM trigger_engine._decide_candidate(wanted.journey_id, wanted.version, $2, message, 'dry run', 0, instant, $3, false, instant) c;
END
$$;
COMMENT ON FUNCTION trigger_engine.dry_run(text, text, jsonb, text, timestamptz) IS
'What a message of a journey would be for a person and made-up event properties, and what each gate would say to it: content of the row gate render is the message. step: default the first that sends. at: default now. Nothing is written and nothing sent. Error 42704 when there is no such journey or step.';
