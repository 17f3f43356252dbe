/*
 * Why: the story of one send, of one person and of one journey.
 */

CREATE FUNCTION trigger_engine._send_extras(user_id text, send_id bigint, journey_id bigint, entry_key text, step text)
RETURNS TABLE (part integer, at timestamptz, what text, result text, detail text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 4, x.at, 'experiment ' || x.experiment, x.variant,
		concat_ws(', ', 'epoch ' || x.epoch, CASE WHEN x.held_out THEN 'held out' END)
	FROM trigger_engine._exposures x WHERE x.user_id = $1 AND x.journey_id = $3 AND x.entry_key = $4 AND x.step = $5
	UNION ALL
	SELECT 8, i.at, 'interaction', i.kind,
		concat_ws(', ', 'at ' || i.at, CASE WHEN i.machine THEN 'by a machine' END, nullif(i.data, '{}')::text)
	FROM trigger_engine._interactions i WHERE i.user_id = $1 AND i.send_id = $2
$$;
COMMENT ON FUNCTION trigger_engine._send_extras(text, bigint, bigint, text, text) IS
'What experiments and interactions add to the story of a send.';

CREATE FUNCTION trigger_engine.explain_send(send_id bigint)
RETURNS TABLE (step integer, what text, result text, detail text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH send AS (
		SELECT s.*, coalesce(s.decided_at, trigger_engine.clock()) AS as_of, v.topic, v.transactional,
			jsonb_path_query_first(v.steps, '$.** ? (@.id == $id && exists(@.send)).send',
				jsonb_build_object('id', s.step)) #>> '{}' AS template
		FROM trigger_engine.sends s
		LEFT JOIN trigger_engine._journey_versions v ON v.journey_id = s.journey_id AND v.version = s.version
		WHERE s.send_id = $1
	), line AS (
		SELECT 1 AS part, 0::bigint AS n, NULL::timestamptz AS at, 'event' AS what,
			coalesce(e.name, 'event of ' || s.entry_key) AS result,
			format('user %s at %s: %s', s.user_id, s.event_at, coalesce(e.properties::text, '')) AS detail
		FROM send s LEFT JOIN trigger_engine.events e ON e.user_id = s.user_id AND e.occurred_at = s.event_at AND e.event_id = s.event_id
		UNION ALL
		SELECT 2, 0, NULL, 'due', s.state, format('journey %s version %s, step %s on %s, due at %s', s.journey, s.version, s.step, s.channel, s.due_at)
		FROM send s
		UNION ALL
		SELECT 3, 1, NULL, 'zone', coalesce(u.zone, current_setting('trigger_engine.default_zone')),
			CASE WHEN u.zone IS NOT NULL THEN 'the user''s, as it is now' ELSE 'the default' END
		FROM send s LEFT JOIN trigger_engine.users u ON u.user_id = s.user_id
		UNION ALL
		SELECT 3, 2, c.at, 'consent', c.state, concat_ws(', ', 'channel ' || c.channel, 'topic ' || nullif(c.topic, ''),
			'since ' || c.at, 'source ' || c.source)
		FROM send s CROSS JOIN LATERAL (SELECT DISTINCT ON (c.channel, c.topic) c.* FROM trigger_engine._consents c
			WHERE c.user_id = s.user_id AND c.channel IN ('*', s.channel) AND c.topic IN ('', coalesce(s.topic, ''))
				AND c.at <= s.as_of ORDER BY c.channel, c.topic, c.at DESC) c
		UNION ALL
		SELECT 3, 3, NULL, 'consent', 'not needed', 'the journey is transactional' FROM send s WHERE s.transactional
		UNION ALL
		SELECT 3, 4, NULL, 'endpoint', e.state, concat_ws(', ', 'endpoint ' || e.endpoint_id, e.provider, e.state_reason)
		FROM send s JOIN trigger_engine.endpoints e ON e.user_id = s.user_id AND e.channel = s.channel
		UNION ALL
		SELECT 3, 5, l.at, 'slot', CASE WHEN l.used THEN 'used' ELSE 'planned' END, 'at ' || l.at
		FROM send s JOIN trigger_engine._slots l ON l.user_id = s.user_id AND l.journey_id = s.journey_id
			AND l.entry_key = s.entry_key AND l.step = s.step AND l.channel = s.channel
		UNION ALL
		SELECT 5, g.n, NULL, 'gate ' || (g.gate ->> 'gate'), g.gate ->> 'result', g.gate ->> 'reason'
		FROM send s CROSS JOIN LATERAL jsonb_array_elements(trigger_engine._gates(s.state, s.gate, s.reason)) WITH ORDINALITY AS g(gate, n)
		WHERE s.state NOT IN ('due', 'claimed')
		UNION ALL
		SELECT 6, 0, NULL, 'template', s.template, format('version %s, %s', s.template_version,
			coalesce('text for ' || s.template_locale, 'default text'))
		FROM send s WHERE s.template_version IS NOT NULL
		UNION ALL
		SELECT 7, a.attempt, a.at, 'attempt ' || a.attempt, a.outcome,
			concat_ws(', ', a.at, 'status ' || a.status, 'took ' || a.took, a.reason, a.response)
		FROM send s JOIN trigger_engine.attempts a ON a.user_id = s.user_id AND a.send_id = s.send_id
		UNION ALL
		SELECT x.part, 0, x.at, x.what, x.result, x.detail
		FROM send s CROSS JOIN LATERAL trigger_engine._send_extras(s.user_id, s.send_id, s.journey_id, s.entry_key, s.step) x
	)
	SELECT row_number() OVER (ORDER BY part, n, at, what)::integer, what, result, detail FROM line ORDER BY 1
$$;
COMMENT ON FUNCTION trigger_engine.explain_send(bigint) IS
'The story of a send: its event, when it was due, the facts (zone and whose it is, consents in force when it was decided, endpoints, the slot it takes under the caps, experiments), what each gate said, which text was rendered, every attempt, and what the reader did.';

CREATE FUNCTION trigger_engine.user_timeline(user_id text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS TABLE (at timestamptz, what text, subject text, detail text, journey text, send_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	who CONSTANT text := $1;
	first CONSTANT timestamptz := coalesce($2, '-infinity');
	last CONSTANT timestamptz := coalesce($3, 'infinity');
	seen jsonb := '[]';
BEGIN
	SELECT coalesce(jsonb_agg(to_jsonb(i)), '[]') INTO seen FROM trigger_engine._interactions i
	WHERE i.user_id = who AND i.at >= first AND i.at <= last;
	RETURN QUERY
	SELECT t.at, t.what, t.subject, t.detail, t.journey, t.send_id FROM (
		SELECT e.occurred_at AS at, 1 AS n, e.event_id AS id, 'event' AS what, e.name AS subject, e.properties::text AS detail,
			NULL::text AS journey, NULL::bigint AS send_id
		FROM trigger_engine.events e WHERE e.user_id = who AND e.occurred_at >= first AND e.occurred_at <= last
		UNION ALL
		SELECT c.at, 2, 0, 'consent', c.state, concat_ws(', ', 'channel ' || c.channel, 'topic ' || nullif(c.topic, ''), c.source), NULL, NULL
		FROM trigger_engine._consents c WHERE c.user_id = who
		UNION ALL
		SELECT r.entered_at, 3, 0, 'entered', r.journey, format('version %s, key %s', r.version, r.entry_key), r.journey, NULL
		FROM trigger_engine.enrollments r WHERE r.user_id = who
		UNION ALL
		SELECT r.ended_at, 8, 0, r.state, r.journey, r.exit_reason, r.journey, NULL
		FROM trigger_engine.enrollments r WHERE r.user_id = who AND r.ended_at IS NOT NULL
		UNION ALL
		SELECT a.at, 5, a.attempt, 'attempt', a.outcome, concat_ws(', ', a.provider, 'status ' || a.status, a.reason), NULL, a.send_id
		FROM trigger_engine._attempts a WHERE a.user_id = who
		UNION ALL
		SELECT coalesce(s.finished_at, s.due_at), 6, coalesce(s.send_id, 0), s.state, s.step,
			concat_ws(', ', 'on ' || s.channel, 'gate ' || s.gate, s.reason), s.journey, s.send_id
		FROM trigger_engine.sends s WHERE s.user_id = who
		UNION ALL
		SELECT i.at, 7, i.send_id, i.kind, i.step, CASE WHEN i.machine THEN 'by a machine' END, j.name, i.send_id
		FROM jsonb_to_recordset(seen) AS i(at timestamptz, send_id bigint, kind text, step text, machine boolean, journey_id bigint)
		LEFT JOIN trigger_engine._journeys j ON j.journey_id = i.journey_id
	) t WHERE t.at >= first AND t.at <= last ORDER BY t.at, t.n, t.id, t.journey, t.subject;
END
$$;
COMMENT ON FUNCTION trigger_engine.user_timeline(text, timestamptz, timestamptz) IS
'Everything about one person in order of time: events, consents, entries into journeys and how they ended, messages with the gate and reason that stopped them, attempts that were repeated, what is due (at its time), and interactions. since and until bound the time, both inclusive. Rows of tracked tables are not shown as events, as the reader may have no right to them: see all_events.';

CREATE FUNCTION trigger_engine._step_tree(steps jsonb)
RETURNS TABLE (n bigint, depth integer, id text, via text, definition jsonb)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE walk(path, depth, via, v) AS (
		SELECT ARRAY[s.n], 0, ''::text, s.v FROM jsonb_array_elements(steps) WITH ORDINALITY s(v, n)
		UNION ALL
		SELECT w.path || c.n, w.depth + (jsonb_typeof(w.v) = 'object' AND w.v ? 'id')::integer,
			CASE WHEN jsonb_typeof(w.v) = 'object' AND w.v ? 'id' THEN c.key ELSE concat_ws(' ', nullif(w.via, ''), nullif(c.key, 'steps')) END, c.v
		FROM walk w CROSS JOIN LATERAL (
			-- what else happens comes last
			SELECT m.key, m.value, (m.key IN ('else', 'timeout'))::integer * 1000 + row_number() OVER (ORDER BY m.key)
			FROM jsonb_each(CASE jsonb_typeof(w.v) WHEN 'object' THEN w.v ELSE '{}' END) m
			UNION ALL
			SELECT NULL, a.value, a.n FROM jsonb_array_elements(CASE jsonb_typeof(w.v) WHEN 'array' THEN w.v ELSE '[]' END)
				WITH ORDINALITY a(value, n)
		) c(key, v, n)
		WHERE jsonb_typeof(c.v) IN ('object', 'array')
	)
	SELECT row_number() OVER (ORDER BY path), depth, v ->> 'id', via, v
	FROM walk WHERE jsonb_typeof(v) = 'object' AND v ? 'id' ORDER BY path
$$;
COMMENT ON FUNCTION trigger_engine._step_tree(jsonb) IS
'The steps of a definition in reading order, nested ones below the step that holds them; via: the key they stand under.';

CREATE FUNCTION trigger_engine.explain_journey(name text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS TABLE (step text, what text, entered bigint, waiting bigint, passed bigint, dropped bigint, conversions bigint,
	median_time interval, note text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	wanted trigger_engine._journeys;
	first CONSTANT timestamptz := coalesce($2, '-infinity');
	last CONSTANT timestamptz := coalesce($3, 'infinity');
BEGIN
	SELECT * INTO wanted FROM trigger_engine._journeys j WHERE j.name = $1;
	IF wanted.journey_id IS NULL THEN
		RAISE EXCEPTION 'journey "%" does not exist', $1 USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.journeys.';
	END IF;
	RETURN QUERY
	WITH run AS MATERIALIZED (
		SELECT r.* FROM trigger_engine.enrollments r
		WHERE r.journey_id = wanted.journey_id AND r.entered_at >= first AND r.entered_at <= last
	), send AS MATERIALIZED (
		SELECT s.*, s.finished_at - lag(s.finished_at, 1, s.event_at) OVER (PARTITION BY s.user_id, s.entry_key ORDER BY s.finished_at, s.send_id) AS took_time,
			row_number() OVER (PARTITION BY s.user_id, s.entry_key, s.state = 'accepted' ORDER BY s.finished_at DESC, s.send_id DESC) AS from_last,
			-- what a goal made needless is no loss
			s.state <> 'accepted' AND coalesce(s.reason, '') NOT LIKE 'goal:%' AS lost
		FROM trigger_engine._sends s
		WHERE s.journey_id = wanted.journey_id AND s.event_at >= first AND s.event_at <= last
	), converted AS (
		SELECT s.step, count(*) AS n FROM run r
		JOIN send s ON s.user_id = r.user_id AND s.entry_key = r.entry_key AND s.state = 'accepted' AND s.from_last = 1
		WHERE r.exit_reason LIKE 'goal:%' GROUP BY 1
	), waits AS (
		SELECT d.step, count(*) AS n, min(d.due_at) AS next FROM trigger_engine._due d
		WHERE d.journey_id = wanted.journey_id AND d.event_at >= first AND d.event_at <= last GROUP BY 1
	), tally AS (
		SELECT s.step, count(*) AS n, count(*) FILTER (WHERE s.state = 'accepted') AS passed,
			count(*) FILTER (WHERE s.lost) AS dropped,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY s.took_time) FILTER (WHERE s.state = 'accepted') AS median_time,
			(mode() WITHIN GROUP (ORDER BY s.gate) FILTER (WHERE s.lost)) AS gate
		FROM send s GROUP BY 1
	), line AS (
		SELECT t.n, repeat('  ', t.depth) || CASE WHEN t.depth > 0 THEN coalesce(nullif(t.via, '') || ': ', '') ELSE '' END || t.id AS step,
			coalesce((SELECT k.key || ' ' || left(k.value #>> '{}', 60) FROM jsonb_each(t.definition) k
				WHERE k.key NOT IN ('id', 'channel', 'provider') AND jsonb_typeof(k.value) IN ('string', 'number') ORDER BY k.key LIMIT 1),
				(SELECT k.key FROM jsonb_each(t.definition) k WHERE k.key <> 'id' ORDER BY k.key LIMIT 1)) AS what,
			coalesce(y.n, 0) + coalesce(w.n, 0) AS entered, coalesce(w.n, 0) AS waiting, coalesce(y.passed, 0) AS passed,
			coalesce(y.dropped, 0) AS dropped, coalesce(c.n, 0) AS conversions, y.median_time,
			y.gate, w.next, y.n IS NOT NULL OR t.definition ? 'send' AS counted,
			y.dropped > 0 AND y.dropped = max(y.dropped) OVER () AS worst
		FROM trigger_engine._journey_versions v CROSS JOIN LATERAL trigger_engine._step_tree(v.steps) t
		LEFT JOIN tally y ON y.step = t.id LEFT JOIN waits w ON w.step = t.id LEFT JOIN converted c ON c.step = t.id
		WHERE v.journey_id = wanted.journey_id AND v.version = wanted.version
	)
	SELECT '(' || $1 || ')', format('version %s, %s', wanted.version, wanted.state), (SELECT count(*) FROM run),
		(SELECT count(*) FROM run r WHERE r.state = 'active'), (SELECT count(*) FROM run r WHERE r.state = 'completed'),
		(SELECT count(*) FROM run r WHERE r.state = 'exited' AND r.exit_reason NOT LIKE 'goal:%'),
		(SELECT count(*) FROM run r WHERE r.exit_reason LIKE 'goal:%'),
		(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ended_at - r.entered_at) FROM run r WHERE r.ended_at IS NOT NULL), NULL::text
	UNION ALL
	(SELECT l.step, l.what, CASE WHEN l.counted OR l.waiting > 0 THEN l.entered END, l.waiting, CASE WHEN l.counted THEN l.passed END,
		CASE WHEN l.counted THEN l.dropped END, CASE WHEN l.counted THEN l.conversions END, l.median_time,
		nullif(concat_ws('; ', CASE WHEN l.worst THEN 'most are lost here' END, 'mostly by gate ' || l.gate, 'next at ' || l.next), '')
	FROM line l ORDER BY l.n);
END
$$;
COMMENT ON FUNCTION trigger_engine.explain_journey(text, timestamptz, timestamptz) IS
'A journey''s steps as a tree with what became of the runs. The first line is the journey: runs that entered, are waiting, completed (passed), were exited (dropped) or reached the goal (conversions), and the median length of a run. Then each step of the current version: messages that came to it, that wait for it now, were accepted (passed) or stopped (dropped), goals reached after it as the last message, and the median time from the message before it, or from the event. Steps that leave no record say only who waits. note: where most are lost, by which gate, when the next is due. since and until bound the time of entry. Reads the journey''s whole history: for people, not for a request path.';
