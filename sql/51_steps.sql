/*
 * What steps use and applications may call: stages of life, lists, runs that start, end
 * and move by hand.
 */

/* ---- stages of life ---- */

CREATE FUNCTION trigger_engine.set_life_stages(new_for interval DEFAULT '7 days', considering_within interval DEFAULT '7 days',
	at_risk_after interval DEFAULT '14 days', lapsed_after interval DEFAULT '30 days', won_back_for interval DEFAULT '14 days',
	considering text[] DEFAULT '{cart,checkout}', conversions text[] DEFAULT '{order,purchase}')
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_life_stages(interval, interval, interval, interval, interval, text[], text[]) IS
'Sets what life_stage() goes by; the defaults hold until then. new_for: how long somebody is new. considering: events that show an intent, and considering_within, for how long. at_risk_after, lapsed_after: without any event. won_back_for: for how long after the return of somebody who had lapsed. conversions: events that are purchases. Errors: invalid_parameter_value where an interval is not positive, or lapsed_after not longer than at_risk_after and won_back_for.';

CREATE FUNCTION trigger_engine._set_life_stages(invoker name, new_for interval, considering_within interval,
	at_risk_after interval, lapsed_after interval, won_back_for interval, considering text[], conversions text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT coalesce(least($2, $3, $4, $5, $6) > interval '0' AND num_nulls($2, $3, $4, $5, $6, $7, $8) = 0, false) THEN
		RAISE EXCEPTION 'every interval must be positive, and no argument null' USING ERRCODE = 'invalid_parameter_value';
	ELSIF $5 <= greatest($4, $6) THEN
		RAISE EXCEPTION 'lapsed_after must be longer than at_risk_after and won_back_for' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trigger_engine._stamp_if_empty($1);
	INSERT INTO trigger_engine._life_stages VALUES (true, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT ON CONSTRAINT _life_stages_pkey DO UPDATE SET new_for = $2, considering_within = $3, at_risk_after = $4,
		lapsed_after = $5, won_back_for = $6, considering = $7, conversions = $8;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_life_stages(name, interval, interval, interval, interval, interval, text[], text[]) IS 'Behind set_life_stages().';

CREATE FUNCTION trigger_engine.life_stage(user_id text, at timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	rule trigger_engine._life_stages;
	moment timestamptz := coalesce($2, trigger_engine.clock());
	seen_since timestamptz;
	last_at timestamptz;
	back_at timestamptz;
	converted_at timestamptz;
BEGIN
	IF $1 IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT * INTO rule FROM trigger_engine._life_stages;
	IF NOT FOUND THEN
		rule := (true, '7 days', '7 days', '14 days', '30 days', '14 days', '{cart,checkout}', '{order,purchase}');
	END IF;
	SELECT e.occurred_at INTO last_at FROM trigger_engine.events e
	WHERE e.user_id = $1 AND e.occurred_at <= moment ORDER BY e.occurred_at DESC LIMIT 1;
	IF last_at IS NULL OR last_at <= moment - rule.lapsed_after THEN
		-- nobody has lapsed who has never been there
		RETURN CASE WHEN last_at IS NOT NULL OR EXISTS (SELECT FROM trigger_engine.users u
			WHERE u.user_id = $1 AND u.created_at <= moment - rule.lapsed_after) THEN 'lapsed' ELSE 'new' END;
	ELSIF last_at <= moment - rule.at_risk_after THEN
		RETURN 'at_risk';
	END IF;
	-- a silence as long as that can only end at the first event of the span
	SELECT e.occurred_at INTO back_at FROM trigger_engine.events e
	WHERE e.user_id = $1 AND e.occurred_at > moment - rule.won_back_for AND e.occurred_at <= moment
	ORDER BY e.occurred_at LIMIT 1;
	IF back_at IS NOT NULL AND EXISTS (SELECT FROM trigger_engine.events e WHERE e.user_id = $1 AND e.occurred_at < back_at)
		AND NOT EXISTS (SELECT FROM trigger_engine.events e
			WHERE e.user_id = $1 AND e.occurred_at < back_at AND e.occurred_at > back_at - rule.lapsed_after) THEN
		RETURN 'won_back';
	END IF;
	SELECT e.occurred_at INTO converted_at FROM trigger_engine.events e
	WHERE e.user_id = $1 AND e.occurred_at <= moment AND e.name = ANY (rule.conversions) ORDER BY e.occurred_at DESC LIMIT 1;
	IF EXISTS (SELECT FROM trigger_engine.events e WHERE e.user_id = $1 AND e.name = ANY (rule.considering)
		AND e.occurred_at > greatest(moment - rule.considering_within, converted_at) AND e.occurred_at <= moment) THEN
		RETURN 'considering';
	ELSIF converted_at IS NOT NULL THEN
		RETURN 'active';
	END IF;
	SELECT least((SELECT e.occurred_at FROM trigger_engine.events e WHERE e.user_id = $1 ORDER BY e.occurred_at LIMIT 1),
		(SELECT u.created_at FROM trigger_engine.users u WHERE u.user_id = $1)) INTO seen_since;
	RETURN CASE WHEN seen_since > moment - rule.new_for THEN 'new' ELSE 'exploring' END;
END
$$;
COMMENT ON FUNCTION trigger_engine.life_stage(text, timestamptz) IS
'The stage of life of a user at an instant (NULL = now), by what their events say, the first that applies: lapsed (no event for 30 days), at_risk (none for 14 days), won_back (back within 14 days, after a silence of 30), considering (a cart or checkout within 7 days and no order since), active (has ordered), new (first seen within 7 days), exploring. set_life_stages() changes the numbers and the names of events.';

/* ---- lists ---- */

CREATE FUNCTION trigger_engine.add_to_list(list text, user_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.add_to_list(text, text) IS
'Puts a user on a list, which needs no other preparation than its name. Returns whether they were not on it before.';

CREATE FUNCTION trigger_engine._add_to_list(invoker name, list text, user_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coalesce($2, '') = '' OR coalesce($3, '') = '' THEN
		RAISE EXCEPTION 'list and user_id are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	INSERT INTO trigger_engine._list_members VALUES ($3, $2, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _list_members_pkey DO NOTHING;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._add_to_list(name, text, text) IS 'Behind add_to_list().';

CREATE FUNCTION trigger_engine.remove_from_list(list text, user_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.remove_from_list(text, text) IS 'Takes a user off a list. Returns whether they were on it.';

CREATE FUNCTION trigger_engine._remove_from_list(invoker name, list text, user_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM trigger_engine._list_members m WHERE m.user_id = $3 AND m.list = $2;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._remove_from_list(name, text, text) IS 'Behind remove_from_list().';

CREATE VIEW trigger_engine.list_members AS SELECT list, user_id, added_at FROM trigger_engine._list_members;
COMMENT ON VIEW trigger_engine.list_members IS 'Who is on which list, since when. A segment can be a view over it.';

CREATE VIEW trigger_engine.exposures AS
SELECT x.user_id, x.experiment, x.epoch, x.variant, coalesce(j.name, 'journey ' || x.journey_id) AS journey, x.entry_key, x.step,
	x.at, x.held_out, x.journey_id
FROM trigger_engine._exposures x LEFT JOIN trigger_engine._journeys j USING (journey_id);
COMMENT ON VIEW trigger_engine.exposures IS
'Each time that a message, or a way through a journey, depended on an experiment: also of control, whose message was withheld, and of those a holdout kept it from (held_out; experiment is the holdout''s name).';

/* ---- runs by hand ---- */

CREATE FUNCTION trigger_engine._start_run(journey_id bigint, version integer, user_id text, entry_key text, context jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_start_run'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine._start_run(bigint, integer, text, text, jsonb) IS
'Lets a user enter a version of a journey now, as if by an event with these properties; false when its re-entry policy says no.';

CREATE FUNCTION trigger_engine._end_runs(journey_id bigint, user_id text, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	result bigint;
BEGIN
	WITH gone AS (
		DELETE FROM trigger_engine._due d WHERE d.user_id = $2 AND d.journey_id = $1 RETURNING *
	), digest AS (
		DELETE FROM trigger_engine._digests x USING gone g WHERE x.user_id = g.user_id AND x.journey_id = g.journey_id AND x.entry_key = g.entry_key
	), run AS (
		INSERT INTO trigger_engine._enrollments AS r (user_id, journey_id, entry_key, version, entered_at, exited_at, exit_reason)
		SELECT DISTINCT ON (g.entry_key) g.user_id, g.journey_id, g.entry_key, g.version, g.event_at, trigger_engine.clock(), $3
		FROM gone g ORDER BY g.entry_key
		ON CONFLICT ON CONSTRAINT _enrollments_pkey DO UPDATE
		SET completed_at = NULL, exited_at = excluded.exited_at, exit_reason = excluded.exit_reason WHERE r.exited_at IS NULL
		RETURNING 1
	), send AS (
		INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step, channel, state, gate,
			reason, due_at, event_id, event_at, decided_at, finished_at, attempts)
		SELECT coalesce(g.send_id, nextval('trigger_engine._send_id_seq')), g.user_id, g.journey_id, g.version, g.entry_key,
			g.step, s.step ->> 'channel', 'cancelled', 'exit', $3, coalesce(g.first_due_at, g.due_at), g.event_id,
			g.event_at, trigger_engine.clock(), trigger_engine.clock(), g.attempt
		FROM gone g JOIN trigger_engine._journey_versions v USING (journey_id, version)
		CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
		WHERE s.step ->> 'id' = g.step AND s.step ? 'send'
	)
	SELECT count(*) INTO result FROM run;
	-- those whose last message a worker has claimed: it looks again before it hands over
	WITH run AS (
		UPDATE trigger_engine._enrollments r SET exited_at = trigger_engine.clock(), exit_reason = $3
		WHERE r.user_id = $2 AND r.journey_id = $1 AND r.exited_at IS NULL AND r.completed_at IS NULL RETURNING 1
	)
	SELECT result + count(*) INTO result FROM run;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._end_runs(bigint, text, text) IS 'Ends a user''s runs through a journey and cancels what is due; returns how many runs.';

CREATE FUNCTION trigger_engine._step_kind(step jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
	SELECT pg_catalog.min(k) FROM pg_catalog.unnest(ARRAY['branch', 'digest', 'exit', 'ladder', 'leave', 'list', 'send', 'set', 'split', 'start',
		'wait', 'wait_for', 'wait_until']) k WHERE $1 OPERATOR(pg_catalog.?) k
$$;
COMMENT ON FUNCTION trigger_engine._step_kind(jsonb) IS 'What a step of _flat_steps() does.';

CREATE FUNCTION trigger_engine.move_enrollments(journey text, to_version integer DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.move_enrollments(text, integer) IS
'Moves the runs of a journey that stand at a step to another version of it (NULL = the current one), where they go on from the step of the same id. Those whose step is not there, or does something else there, stay with their version. Returns, for each version and step, how many runs there are and whether they moved: [{"version", "step", "runs", "moved"}]. What a worker has claimed at this moment stays. Errors: undefined_object.';

CREATE FUNCTION trigger_engine._move_enrollments(invoker name, journey text, to_version integer)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	found trigger_engine._journeys := trigger_engine._find_journey($1, $2);
	target integer := coalesce($3, found.version);
	result jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine._journey_versions v WHERE v.journey_id = found.journey_id AND v.version = target) THEN
		RAISE EXCEPTION 'journey "%" has no version %', $2, target USING ERRCODE = 'undefined_object',
			HINT = format('Its versions are 1 to %s.', found.version);
	END IF;
	WITH known AS (
		SELECT v.version, s.step ->> 'id' AS id, trigger_engine._step_kind(s.step) AS kind
		FROM trigger_engine._journey_versions v CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
		WHERE v.journey_id = found.journey_id
	), fits AS (
		SELECT o.version, o.id, n.id IS NOT NULL AS moves FROM known o
		LEFT JOIN known n ON n.version = target AND n.id = o.id AND n.kind = o.kind WHERE o.version <> target
	), moving AS (
		-- one that stands at the first step there has entered long ago
		UPDATE trigger_engine._due d SET version = target, holds = greatest(d.holds, 1::smallint),
			lane = trigger_engine._lane(d.journey_id, target, d.step)
		FROM fits f WHERE d.journey_id = found.journey_id AND d.version = f.version AND d.step = f.id AND f.moves
		RETURNING d.user_id, d.entry_key, f.version AS old_version, d.step
	), run AS (
		UPDATE trigger_engine._enrollments r SET version = target FROM moving m
		WHERE r.user_id = m.user_id AND r.journey_id = found.journey_id AND r.entry_key = m.entry_key
	), report AS (
		SELECT m.old_version AS version, m.step, count(*) AS runs, true AS moved FROM moving m GROUP BY 1, 2
		UNION ALL
		SELECT d.version, d.step, count(*), false FROM trigger_engine._due d JOIN fits f ON f.version = d.version AND f.id = d.step AND NOT f.moves
		WHERE d.journey_id = found.journey_id GROUP BY 1, 2
	)
	SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.version, p.step), '[]') INTO result FROM report p;
	PERFORM trigger_engine._wake_workers_at_commit();
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._move_enrollments(name, text, integer) IS 'Behind move_enrollments().';

CREATE FUNCTION trigger_engine.start_journey(name text, user_id text, context jsonb DEFAULT '{}') RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.start_journey(text, text, jsonb) IS
'Lets a user enter a live journey now, whatever its trigger. context takes the place of the event''s properties. Returns false when the journey''s re-entry policy does not allow it; without a policy every call starts a run. A notice and false while the installation stamp does not match. Errors: undefined_object; object_not_in_prerequisite_state when the journey is not live.';

CREATE FUNCTION trigger_engine._start_journey(invoker name, name text, user_id text, context jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys;
BEGIN
	IF user_id IS NULL THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT * INTO journey FROM trigger_engine._journeys j WHERE j.name = name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'journey "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(name,
				ARRAY(SELECT j.name FROM trigger_engine._journeys j ORDER BY j.name)) || '".', 'See the view trigger_engine.journeys.');
	ELSIF journey.state <> 'live' THEN
		RAISE EXCEPTION 'journey "%" is not live', name USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call trigger_engine.enable_journey() first.';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF trigger_engine._fence() IS NOT NULL THEN
		RAISE NOTICE 'nothing is started here: %', trigger_engine._fence();
		RETURN false;
	END IF;
	RETURN trigger_engine._start_run(journey.journey_id, journey.version, user_id,
		'call/' || nextval('trigger_engine._event_id_seq'), coalesce(context, '{}'));
END
$$;
COMMENT ON FUNCTION trigger_engine._start_journey(name, text, text, jsonb) IS 'Behind start_journey().';

CREATE FUNCTION trigger_engine.leave_journey(name text, user_id text, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.leave_journey(text, text, text) IS
'Ends a user''s runs through a journey at once, and cancels what is due. Returns how many runs. Errors: undefined_object.';

CREATE FUNCTION trigger_engine._leave_journey(invoker name, name text, user_id text, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	journey trigger_engine._journeys;
BEGIN
	SELECT * INTO journey FROM trigger_engine._journeys j WHERE j.name = name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'journey "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.journeys.';
	END IF;
	RETURN trigger_engine._end_runs(journey.journey_id, user_id, coalesce(reason, format('left, by %s', invoker)));
END
$$;
COMMENT ON FUNCTION trigger_engine._leave_journey(name, text, text, text) IS 'Behind leave_journey().';
