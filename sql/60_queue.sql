/*
 * Sends: what is due, under way and done, and why.
 */

CREATE FUNCTION trigger_engine._lane(journey_id bigint, version integer, step text) RETURNS smallint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT (min(p.provider_id) % 63 + 1)::smallint
		FROM trigger_engine._journey_versions v CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
		JOIN trigger_engine._providers p ON CASE WHEN s.step ->> 'provider' IS NOT NULL THEN p.name = s.step ->> 'provider'
			ELSE p.channel = s.step ->> 'channel' AND p.state = 'active' END
		WHERE v.journey_id = $1 AND v.version = $2 AND s.step ->> 'id' = $3), 0::smallint)
$$;
COMMENT ON FUNCTION trigger_engine._lane(bigint, integer, text) IS
'The lane of the queue that a step''s messages wait in: one for each provider, 0 for what needs none.';

CREATE FUNCTION trigger_engine._recover_batches(shard integer, nshards integer, now timestamptz, repeat boolean DEFAULT true)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	items integer;
BEGIN
	WITH closed AS (
		DELETE FROM trigger_engine._batches b WHERE b.shard = shard OR (shard = 0 AND b.shard >= nshards) RETURNING *
	), item AS (
		SELECT i.*, c.claimed_at,
			-- webhooks carry our key, so a receiver can tell a repeat; transactional sends must arrive
			repeat AND i.crashes + 1 < 3 AND (i.channel = 'webhook' OR coalesce(v.transactional, false)) AS again
		FROM closed c CROSS JOIN LATERAL unnest(c.user_ids, c.journey_ids, c.entry_keys, c.steps, c.channels, c.send_ids,
			c.versions, c.due_ats, c.event_ids, c.event_ats, c.attempts, c.crashes, c.contexts)
			AS i(user_id, journey_id, entry_key, step, channel, send_id, version, due_at, event_id, event_at, attempt,
				crashes, context)
		LEFT JOIN trigger_engine._journey_versions v ON v.journey_id = i.journey_id AND v.version = i.version
		WHERE NOT EXISTS (SELECT FROM trigger_engine._sends s WHERE s.user_id = i.user_id AND s.send_id = i.send_id)
			AND NOT EXISTS (SELECT FROM trigger_engine._attempts a
				WHERE a.user_id = i.user_id AND a.send_id = i.send_id AND a.attempt = i.attempt)
	), attempt AS (
		INSERT INTO trigger_engine._attempts (user_id, send_id, attempt, at, outcome, reason)
		SELECT user_id, send_id, attempt, claimed_at, 'unknown', 'under way when the worker ended' FROM item WHERE again
	), due AS (
		INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version,
			attempt, crashes, send_id, first_due_at, note, context)
		SELECT i.user_id, i.journey_id, i.entry_key, i.step, trigger_engine._lane(i.journey_id, i.version, i.step),
			now + i.attempt * interval '1 s', i.event_id, i.event_at,
			i.version, i.attempt, i.crashes + 1, i.send_id, i.due_at, 'under way when the worker ended', i.context::jsonb
		FROM item i WHERE again
		ON CONFLICT (user_id, journey_id, entry_key, step) DO NOTHING
	), slot AS (
		UPDATE trigger_engine._slots s SET used = false FROM item i WHERE i.again AND s.user_id = i.user_id
			AND s.journey_id = i.journey_id AND s.entry_key = i.entry_key AND s.step = i.step
	), send AS (
		INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step, channel, state, gate,
			reason, due_at, event_id, event_at, decided_at, handed_over_at, finished_at, attempts, detail)
		SELECT i.send_id, i.user_id, i.journey_id, i.version, i.entry_key, i.step, i.channel, 'unknown', 'provider',
			CASE WHEN i.crashes + 1 >= 3 THEN format('quarantined: under way in %s crashes', i.crashes + 1)
				ELSE 'under way when the worker ended' END,
			i.due_at, i.event_id, i.event_at, i.claimed_at, i.claimed_at, now, i.attempt,
			CASE WHEN i.context IS NOT NULL THEN jsonb_build_object('context', i.context::jsonb) END
		FROM item i WHERE NOT again
	)
	SELECT count(*) INTO items FROM item;
	RETURN items;
END
$$;
COMMENT ON FUNCTION trigger_engine._recover_batches(integer, integer, timestamptz, boolean) IS
'Closes what a worker left open: every item without a record becomes unknown, or due again where a repeat is safe (webhook, transactional) and it was not under way in three crashes.';

CREATE FUNCTION trigger_engine._after_restore() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- what was under way where the dump was taken has been sent there, or not: never again by itself
	PERFORM trigger_engine._recover_batches(0, 0, trigger_engine.clock(), false);
	-- events that came in while nothing fired take their dedupe keys now; repeated ones never happened
	INSERT INTO trigger_engine._event_keys (user_id, dedupe_key, event_id)
	SELECT DISTINCT ON (user_id, dedupe_key) user_id, dedupe_key, event_id FROM trigger_engine.events
	WHERE dedupe_key IS NOT NULL ORDER BY user_id, dedupe_key, event_id
	ON CONFLICT (user_id, dedupe_key) DO NOTHING;
	DELETE FROM trigger_engine.events e USING trigger_engine._event_keys k
	WHERE e.dedupe_key IS NOT NULL AND k.user_id = e.user_id AND k.dedupe_key = e.dedupe_key AND k.event_id <> e.event_id;
	-- the function is a member of the extension, so a dump does not carry the tracked tables in it
	PERFORM trigger_engine._rebuild_all_events();
END
$$;
COMMENT ON FUNCTION trigger_engine._after_restore() IS
'What resume() does when it stamps another installation than the last one.';

/* ---- views ---- */

CREATE VIEW trigger_engine._open_items AS
SELECT b.batch_id, b.claimed_at, i.*
FROM trigger_engine._batches b CROSS JOIN LATERAL unnest(b.user_ids, b.journey_ids, b.entry_keys, b.steps,
	b.channels, b.send_ids, b.versions, b.due_ats, b.event_ids, b.event_ats, b.attempts)
	AS i(user_id, journey_id, entry_key, step, channel, send_id, version, due_at, event_id, event_at, attempt)
WHERE NOT EXISTS (SELECT FROM trigger_engine._sends s WHERE s.user_id = i.user_id AND s.send_id = i.send_id)
	AND NOT EXISTS (SELECT FROM trigger_engine._due d WHERE d.user_id = i.user_id AND d.send_id = i.send_id);
COMMENT ON VIEW trigger_engine._open_items IS 'Items of open batches that have no outcome yet.';

CREATE VIEW trigger_engine.sends AS
SELECT s.send_id, s.user_id, coalesce(j.name, 'journey ' || s.journey_id) AS journey, s.step, s.channel, s.state, s.reason,
	s.due_at, s.attempts::integer AS attempts, s.gate, s.provider, s.status, s.provider_ref, s.response, s.decided_at,
	s.handed_over_at, s.finished_at, s.took_us * interval '1 microsecond' AS took, s.entry_key, s.version, s.event_id,
	s.event_at, s.journey_id, s.template_version, nullif(s.template_locale, '') AS template_locale
FROM trigger_engine._sends s LEFT JOIN trigger_engine._journeys j USING (journey_id)
UNION ALL
SELECT i.send_id, i.user_id, coalesce(j.name, 'journey ' || i.journey_id), i.step, i.channel, 'claimed', NULL,
	i.due_at, i.attempt, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, i.entry_key, i.version, i.event_id,
	i.event_at, i.journey_id, NULL, NULL
FROM trigger_engine._open_items i LEFT JOIN trigger_engine._journeys j USING (journey_id)
UNION ALL
SELECT d.send_id, d.user_id, coalesce(j.name, 'journey ' || d.journey_id), d.step, s.step ->> 'channel', 'due', d.note,
	d.due_at, d.attempt, NULL, s.step ->> 'provider', NULL, NULL, NULL, NULL, NULL, NULL, NULL, d.entry_key, d.version,
	d.event_id, d.event_at, d.journey_id, NULL, NULL
FROM trigger_engine._due d JOIN trigger_engine._journeys j ON j.journey_id = d.journey_id
JOIN trigger_engine._journey_versions v ON v.journey_id = d.journey_id AND v.version = d.version
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
WHERE s.step ->> 'id' = d.step AND s.step ? 'send';
COMMENT ON VIEW trigger_engine.sends IS
'Every message, planned, under way and past. state: due (send_id is NULL until the first decision; reason says what held it or why it is tried again), claimed, accepted, rejected, unknown (handed over, answer not known), withheld (gate and reason say what stopped it), cancelled (exit or goal), expired. attempts: hand-overs. took: hand-over to answer, in real time. template_version and template_locale: the text that was rendered; a NULL locale is the default text.';

CREATE FUNCTION trigger_engine._gates(state text, gate text, reason text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT pg_catalog.jsonb_agg(
		CASE WHEN stop.n IS NULL OR g.n OPERATOR(pg_catalog.<) stop.n THEN pg_catalog.jsonb_build_object('gate', g.name, 'result', 'pass')
			ELSE pg_catalog.jsonb_build_object('gate', g.name, 'result', 'stop', 'reason', $3) END ORDER BY g.n)
	FROM (VALUES (1, 'journey_live'), (2, 'entry'), (3, 'exit'), (4, 'expiry'), (5, 'segment'), (6, 'consent'),
		(7, 'holdout'), (8, 'experiment'), (9, 'cap'), (10, 'quiet_hours'), (11, 'endpoint'), (12, 'render'), (13, 'provider')) AS g(n, name)
	LEFT JOIN LATERAL (SELECT s.n FROM (VALUES (1, 'journey_live'), (2, 'entry'), (3, 'exit'), (3, 'goal'), (4, 'expiry'),
		(5, 'segment'), (6, 'consent'), (7, 'holdout'), (8, 'experiment'), (9, 'cap'), (10, 'quiet_hours'), (11, 'endpoint'), (12, 'render'), (13, 'provider')) AS s(n, name) WHERE s.name OPERATOR(pg_catalog.=) $2) stop ON true
	WHERE stop.n IS NULL OR g.n OPERATOR(pg_catalog.<=) stop.n
$$;
COMMENT ON FUNCTION trigger_engine._gates(text, text, text) IS
'The gates in their order with what each came to, derived from the one that stopped a send.';

CREATE VIEW trigger_engine.decisions AS
SELECT send_id, trigger_engine._gates(state, gate, reason) AS gates, user_id,
	coalesce((SELECT j.name FROM trigger_engine._journeys j WHERE j.journey_id = s.journey_id), 'journey ' || s.journey_id) AS journey,
	step, channel, state,
	gate AS stopped_by, reason, decided_at, template_version, nullif(template_locale, '') AS template_locale
FROM trigger_engine._sends s;
COMMENT ON VIEW trigger_engine.decisions IS
'The decision on every finished send: gates is an array of {"gate", "result": "pass" | "stop", "reason"} in the fixed order, up to the one that stopped it. template_version and template_locale: the text chosen for the reader; a NULL locale is the default text.';

CREATE VIEW trigger_engine.attempts AS
SELECT user_id, send_id, attempt::integer AS attempt, at, provider, outcome, reason, status,
	took_us * interval '1 microsecond' AS took, response
FROM trigger_engine._attempts
UNION ALL
SELECT user_id, send_id, attempts::integer, handed_over_at, provider, state, reason, status,
	took_us * interval '1 microsecond', response
FROM trigger_engine._sends WHERE handed_over_at IS NOT NULL;
COMMENT ON VIEW trigger_engine.attempts IS
'Every hand-over to a provider. outcome: accepted, rejected, unknown for the one that ended its send; throttled, retry, auth, config, ambiguous, not_sent, unknown for those that were tried again.';

CREATE VIEW trigger_engine.enrollments AS
SELECT r.user_id, coalesce(j.name, 'journey ' || r.journey_id) AS journey, r.entry_key, r.version,
	CASE WHEN r.completed_at IS NOT NULL THEN 'completed' WHEN r.exited_at IS NOT NULL THEN 'exited' ELSE 'active' END AS state,
	r.entered_at, CASE WHEN r.completed_at IS NOT NULL THEN r.completed_at ELSE r.exited_at END AS ended_at,
	CASE WHEN r.completed_at IS NULL THEN r.exit_reason END AS exit_reason, r.journey_id
FROM trigger_engine._enrollments r LEFT JOIN trigger_engine._journeys j USING (journey_id)
UNION ALL
SELECT DISTINCT ON (d.user_id, d.journey_id, d.entry_key) d.user_id, j.name, d.entry_key, d.version, 'active',
	d.event_at, NULL::timestamptz, NULL, d.journey_id
FROM trigger_engine._due d LEFT JOIN trigger_engine._journeys j USING (journey_id)
WHERE NOT EXISTS (SELECT FROM trigger_engine._enrollments r
	WHERE r.user_id = d.user_id AND r.journey_id = d.journey_id AND r.entry_key = d.entry_key);
COMMENT ON VIEW trigger_engine.enrollments IS
'Runs of users through journeys: active, completed or exited (with the reason).';

CREATE VIEW trigger_engine.queue_status AS
SELECT j.name AS journey, count(*) AS due, count(*) FILTER (WHERE d.due_at <= trigger_engine.clock()) AS overdue,
	min(d.due_at) AS next_due_at, greatest(trigger_engine.clock() - min(d.due_at), interval '0') AS lag,
	count(*) FILTER (WHERE d.attempt > 0) AS retries, count(*) FILTER (WHERE d.holds > 0) AS held
FROM trigger_engine._due d LEFT JOIN trigger_engine._journeys j USING (journey_id) GROUP BY j.name;
COMMENT ON VIEW trigger_engine.queue_status IS
'The queue by journey: rows that wait, rows whose time has come, the next time, how late the oldest is, and how many are retries or held by a gate.';

/* ---- actions ---- */

CREATE FUNCTION trigger_engine.cancel_sends(journey text DEFAULT NULL, user_id text DEFAULT NULL, reason text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.cancel_sends(text, text, text) IS
'Cancels what is due, of a journey, of a user, or of a user in a journey; their runs are exited. Returns how many messages. Journeys that the caller may not act for are left alone, and so are rows that a worker has claimed. One of journey and user_id is required.';

CREATE FUNCTION trigger_engine._cancel_sends(invoker name, journey text, user_id text, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	wanted bigint;
	result bigint;
	why text := coalesce(reason, format('cancelled by %s', invoker));
BEGIN
	IF journey IS NULL AND user_id IS NULL THEN
		RAISE EXCEPTION 'name a journey, a user or both' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF journey IS NOT NULL THEN
		wanted := (trigger_engine._find_journey(invoker, journey)).journey_id;
	END IF;
	WITH gone AS (
		DELETE FROM trigger_engine._due d
		WHERE (wanted IS NULL OR d.journey_id = wanted) AND (user_id IS NULL OR d.user_id = user_id)
			AND d.journey_id IN (SELECT j.journey_id FROM trigger_engine._journeys j
				WHERE trigger_engine._may_act_for(invoker, j.owner)) RETURNING *
	), digest AS (
		DELETE FROM trigger_engine._digests x USING gone g WHERE x.user_id = g.user_id AND x.journey_id = g.journey_id AND x.entry_key = g.entry_key
	), run AS (
		INSERT INTO trigger_engine._enrollments AS r (user_id, journey_id, entry_key, version, entered_at, exited_at, exit_reason)
		SELECT DISTINCT ON (g.user_id, g.journey_id, g.entry_key) g.user_id, g.journey_id, g.entry_key, g.version, g.event_at,
			trigger_engine.clock(), why FROM gone g ORDER BY g.user_id, g.journey_id, g.entry_key
		-- a run whose last message was waiting to be tried again did not complete
		ON CONFLICT ON CONSTRAINT _enrollments_pkey DO UPDATE
		SET completed_at = NULL, exited_at = excluded.exited_at, exit_reason = excluded.exit_reason WHERE r.exited_at IS NULL
	), send AS (
		INSERT INTO trigger_engine._sends (send_id, user_id, journey_id, version, entry_key, step, channel, state, gate,
			reason, due_at, event_id, event_at, decided_at, finished_at, attempts)
		SELECT coalesce(g.send_id, nextval('trigger_engine._send_id_seq')), g.user_id, g.journey_id, g.version, g.entry_key,
			g.step, s.step ->> 'channel', 'cancelled', 'exit', why, coalesce(g.first_due_at, g.due_at), g.event_id,
			g.event_at, trigger_engine.clock(), trigger_engine.clock(), g.attempt
		FROM gone g JOIN trigger_engine._journey_versions v USING (journey_id, version)
		CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._flat_steps(v.steps)) s(step)
		WHERE s.step ->> 'id' = g.step AND s.step ? 'send' RETURNING 1
	)
	SELECT count(*) INTO result FROM send;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._cancel_sends(name, text, text, text) IS 'Behind cancel_sends().';

CREATE FUNCTION trigger_engine.retry_sends(journey text DEFAULT NULL, states text[] DEFAULT '{unknown,rejected}',
	since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.retry_sends(text, text[], timestamptz, timestamptz) IS
'Puts finished sends back into the queue under their own identity, to be decided again now: those of the given states (unknown, rejected, withheld, expired), optionally of one journey and finished within a span. A receiver that honours the key drops what it had. Returns how many.';

CREATE FUNCTION trigger_engine._retry_sends(invoker name, journey text, states text[], since timestamptz, until timestamptz)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	wanted bigint;
	result bigint;
BEGIN
	IF states IS NULL OR NOT states <@ ARRAY['unknown', 'rejected', 'withheld', 'expired'] THEN
		RAISE EXCEPTION 'states must be among unknown, rejected, withheld and expired' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF journey IS NOT NULL THEN
		wanted := (trigger_engine._find_journey(invoker, journey)).journey_id;
	END IF;
	WITH again AS (
		DELETE FROM trigger_engine._sends s
		WHERE s.state = ANY (states) AND (wanted IS NULL OR s.journey_id = wanted)
			AND s.finished_at >= coalesce(since, '-infinity') AND s.finished_at <= coalesce(until, 'infinity')
			AND EXISTS (SELECT FROM trigger_engine._journeys j WHERE j.journey_id = s.journey_id)
			AND NOT EXISTS (SELECT FROM trigger_engine._due d WHERE d.user_id = s.user_id AND d.journey_id = s.journey_id
				AND d.entry_key = s.entry_key AND d.step = s.step)
		RETURNING s.*, EXISTS (SELECT FROM trigger_engine._enrollments r WHERE r.user_id = s.user_id
			AND r.journey_id = s.journey_id AND r.entry_key = s.entry_key AND r.exit_reason = s.reason) AS ended_run
	), run AS (
		-- a run that ended with the message, as its journey was not live, goes on with it
		UPDATE trigger_engine._enrollments r SET exited_at = NULL, exit_reason = NULL FROM again a
		WHERE a.ended_run AND r.user_id = a.user_id AND r.journey_id = a.journey_id AND r.entry_key = a.entry_key
	), attempt AS (
		INSERT INTO trigger_engine._attempts (user_id, send_id, attempt, at, provider, outcome, reason, status, took_us, response)
		SELECT a.user_id, a.send_id, a.attempts, a.handed_over_at, a.provider, a.state, a.reason, a.status, a.took_us, a.response
		FROM again a WHERE a.handed_over_at IS NOT NULL
	), due AS (
		INSERT INTO trigger_engine._due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version,
			attempt, send_id, first_due_at, note, context, retried)
		SELECT a.user_id, a.journey_id, a.entry_key, a.step, trigger_engine._lane(a.journey_id, a.version, a.step),
			trigger_engine.clock(), a.event_id, a.event_at, a.version,
			a.attempts, a.send_id, trigger_engine.clock(), format('retried by %s, was %s', invoker, a.state),
			a.detail -> 'context', NOT a.ended_run
		FROM again a RETURNING 1
	)
	SELECT count(*) INTO result FROM due;
	PERFORM trigger_engine._wake_workers_at_commit();
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._retry_sends(name, text, text[], timestamptz, timestamptz) IS 'Behind retry_sends().';
