/*
 * Membership: passes that keep who is in which segment, and what follows from it.
 *
 * A pass asks for the people for whom something has changed since the last one. Events
 * are found by their numbers: those above event_low. A number below that may still turn
 * up, of a transaction that drew it and has not ended. Such a transaction holds a lock on
 * events from before it drew the number to its end. So a pass notes the number drawn last
 * and then who holds such locks; as soon as all of these have ended, everything up to that
 * number can be seen, and event_low rises to it. Notes of other changes go the same way.
 * Long readers hold nothing up.
 */

/* ---- notes of changes ---- */

CREATE FUNCTION trigger_engine._touch_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- by the type's output function: a cast is the table owner's code, which must not run as we do
	note CONSTANT text := 'INSERT INTO trigger_engine._segment_touched (user_id) SELECT DISTINCT CASE pg_typeof(%1$I) '
		'WHEN ''bpchar''::regtype THEN rtrim(format(''%%s'', %1$I)) ELSE format(''%%s'', %1$I) END FROM %2$I WHERE %1$I IS NOT NULL';
BEGIN
	-- what a restore loads is no change
	IF EXISTS (SELECT FROM trigger_engine._segments) AND trigger_engine._fence() IS NULL THEN
		IF TG_OP <> 'INSERT' THEN
			EXECUTE format(note, TG_ARGV[0], 'old_rows');
		END IF;
		IF TG_OP <> 'DELETE' THEN
			EXECUTE format(note, TG_ARGV[0], 'new_rows');
		END IF;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._touch_users() IS
'Statement trigger with transition tables: notes whose rows were changed, for the passes over segments. Its argument is the column of the user.';

CREATE FUNCTION trigger_engine._watch_changes(source regclass, user_column name, VARIADIC operations text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	operation text;
BEGIN
	FOREACH operation IN ARRAY operations
	LOOP
		EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT '
			'EXECUTE FUNCTION trigger_engine._touch_users(%L)', 'trigger_engine_touch_' || lower(operation), operation, source,
			CASE operation WHEN 'INSERT' THEN 'NEW TABLE AS new_rows' WHEN 'DELETE' THEN 'OLD TABLE AS old_rows'
				ELSE 'OLD TABLE AS old_rows NEW TABLE AS new_rows' END, user_column);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._watch_changes(regclass, name, text[]) IS
'Puts the triggers on a table that note whose rows were changed. operations: INSERT, UPDATE, DELETE.';

SELECT trigger_engine._watch_changes('trigger_engine.users', 'user_id', 'INSERT', 'UPDATE', 'DELETE');
SELECT trigger_engine._watch_changes('trigger_engine.endpoints', 'user_id', 'INSERT', 'UPDATE', 'DELETE');
SELECT trigger_engine._watch_changes('trigger_engine._consents', 'user_id', 'INSERT', 'UPDATE', 'DELETE');

/* ---- one pass ---- */

CREATE FUNCTION trigger_engine._segment_rows(name text, user_ids text[], timeout_ms integer, work_mem text)
RETURNS TABLE (user_id text, valid_until timestamptz)
AS 'MODULE_PATHNAME', 'te_segment_rows'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._segment_rows(text, text[], integer, text) IS
'Members of a segment now, each once, among some people or (NULL) all, read as the view''s owner in one statement. valid_until: NULL = no end is known. Errors: TE003 when it takes longer than timeout_ms.';

CREATE FUNCTION trigger_engine._start_by_segment(of_segment text, direction text, user_ids text[], at timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET DateStyle = 'ISO'
AS $$
DECLARE
	journeys bigint[];
BEGIN
	SELECT array_agg(j.journey_id) INTO journeys
	FROM trigger_engine._journeys j JOIN trigger_engine._journey_versions v USING (journey_id, version)
	WHERE j.state = 'live' AND v.trigger ->> 'kind' = 'segment' AND v.trigger ->> 'segment' = of_segment
		AND coalesce(v.trigger ->> 'on', 'entered') = direction;
	IF journeys IS NULL OR cardinality(user_ids) = 0 THEN
		RETURN;
	END IF;
	PERFORM trigger_engine._enter(array_agg(j.id), array_agg(u.id), array_agg('segment/' || at::text), array_agg(at),
		array_agg(jsonb_build_object('segment', of_segment, direction || '_at', at)))
	FROM unnest(journeys) j(id) CROSS JOIN unnest(user_ids) u(id);
END
$$;
COMMENT ON FUNCTION trigger_engine._start_by_segment(text, text, text[], timestamptz) IS
'Has people who entered or left a segment enter the journeys that start so, in this transaction.';

CREATE FUNCTION trigger_engine._apply_members(of_segment text, user_ids text[], at timestamptz, first boolean,
	OUT entered bigint, OUT left_it bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	come  text[];
	gone  text[];
	limit_ms integer;
	memory text;
BEGIN
	SELECT extract(epoch FROM coalesce(s.timeout, '1 minute')) * 1000, s.work_mem INTO limit_ms, memory
	FROM trigger_engine._segments s WHERE s.name = of_segment;
	WITH now_in AS MATERIALIZED (
		SELECT r.user_id, r.valid_until FROM trigger_engine._segment_rows(of_segment, user_ids, limit_ms, memory) r
	), deleted AS (
		DELETE FROM trigger_engine._segment_members m
		WHERE m.segment = of_segment AND (user_ids IS NULL OR m.user_id = ANY (user_ids))
			AND NOT EXISTS (SELECT FROM now_in n WHERE n.user_id = m.user_id)
		RETURNING m.user_id, m.entered_at
	), changed AS (
		UPDATE trigger_engine._segment_members m SET valid_until = n.valid_until
		FROM now_in n
		WHERE m.segment = of_segment AND m.user_id = n.user_id AND m.valid_until IS DISTINCT FROM n.valid_until
	), inserted AS (
		INSERT INTO trigger_engine._segment_members (user_id, segment, entered_at, valid_until)
		SELECT n.user_id, of_segment, at, n.valid_until FROM now_in n
		WHERE NOT EXISTS (SELECT FROM trigger_engine._segment_members m WHERE m.user_id = n.user_id AND m.segment = of_segment)
		RETURNING _segment_members.user_id
	), closed AS (
		UPDATE trigger_engine._segment_log l SET left_at = greatest(at, l.entered_at)
		FROM deleted d
		WHERE l.user_id = d.user_id AND l.segment = of_segment AND l.entered_at = d.entered_at
	), opened AS (
		-- back within one instant of a clock that stands still: the stay goes on
		INSERT INTO trigger_engine._segment_log (user_id, segment, entered_at)
		SELECT i.user_id, of_segment, at FROM inserted i
		ON CONFLICT ON CONSTRAINT _segment_log_pkey DO UPDATE SET left_at = NULL
	)
	SELECT (SELECT array_agg(i.user_id) FROM inserted i), (SELECT array_agg(d.user_id) FROM deleted d) INTO come, gone;
	entered := coalesce(cardinality(come), 0);
	left_it := coalesce(cardinality(gone), 0);
	-- who was in it when it was registered has not entered
	IF NOT first THEN
		PERFORM trigger_engine._start_by_segment(of_segment, 'entered', come, at);
		PERFORM trigger_engine._start_by_segment(of_segment, 'left', gone, at);
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._apply_members(text, text[], timestamptz, boolean) IS
'Compares some people, or (NULL) all, with a segment''s view at one snapshot, writes who came and who went, and starts what follows.';

CREATE FUNCTION trigger_engine._changed_users(of_segment text, above_event bigint, above_touch bigint, most integer) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN sum(c.n) <= most THEN coalesce(array_agg(c.user_id), '{}') WHEN sum(c.n) IS NULL THEN '{}' END
	FROM (SELECT r.user_id, count(*) AS n FROM (
			(SELECT e.user_id FROM trigger_engine.events e WHERE e.event_id > above_event LIMIT most + 1)
			UNION ALL (SELECT t.user_id FROM trigger_engine._segment_touched t WHERE t.touch_id > above_touch LIMIT most + 1)
			UNION ALL (SELECT m.user_id FROM trigger_engine._segment_members m
				WHERE m.segment = of_segment AND m.valid_until <= trigger_engine.clock() LIMIT most + 1)) r
		GROUP BY r.user_id) c
$$;
COMMENT ON FUNCTION trigger_engine._changed_users(text, bigint, bigint, integer) IS
'People to ask a segment for: with events and changes above these numbers, and whose membership has come to its end. NULL when they are too many, so that all had better be asked for.';

CREATE FUNCTION trigger_engine._pass_segment(of_segment text, all_of_it boolean,
	OUT kind text, OUT looked_at bigint, OUT entered bigint, OUT left_it bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	   trigger_engine._segment_state;
	every  interval;
	people text[];
	began  timestamptz := clock_timestamp();
	drawn  record;
	open   text[];
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'segments are refreshed under READ COMMITTED only' USING ERRCODE = 'active_sql_transaction',
			HINT = 'An older snapshot would not see what has been committed since.';
	END IF;
	SELECT * INTO s FROM trigger_engine._segment_state t WHERE t.segment = of_segment FOR UPDATE;
	SELECT coalesce(g.refresh, '1 hour') INTO every FROM trigger_engine._segments g WHERE g.name = of_segment;

	-- first the numbers, then who may still write lower ones, then, with a new snapshot, what there is
	SELECT e.last_value - CASE WHEN e.is_called THEN 0 ELSE 1 END AS event, t.last_value - CASE WHEN t.is_called THEN 0 ELSE 1 END AS touch
	INTO drawn FROM trigger_engine._event_id_seq e, trigger_engine._touch_id_seq t;
	open := ARRAY(SELECT DISTINCT l.virtualtransaction FROM pg_locks l
		WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
			AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
			AND l.relation IN ('trigger_engine.events'::regclass, 'trigger_engine._segment_touched'::regclass));

	-- while the stamp did not match, changes were not noted
	IF NOT all_of_it AND s.full_at + every > trigger_engine.clock()
		AND NOT EXISTS (SELECT FROM trigger_engine._stamp p WHERE p.stamped_at > s.tried_at) THEN
		people := trigger_engine._changed_users(of_segment, s.event_low, s.touch_low, 200000);
	END IF;
	kind := CASE WHEN people IS NULL THEN 'all' ELSE 'changed' END;
	SELECT a.entered, a.left_it INTO entered, left_it
	FROM trigger_engine._apply_members(of_segment, people, trigger_engine.clock(), s.passed_at IS NULL) a
	WHERE people IS NULL OR people <> '{}';
	entered := coalesce(entered, 0);
	left_it := coalesce(left_it, 0);
	looked_at := cardinality(people);

	-- what was noted earlier holds as soon as those of that time have ended
	IF NOT s.waits_for && open THEN
		s.event_low := s.event_next;
		s.touch_low := s.touch_next;
		s.event_next := drawn.event;
		s.touch_next := drawn.touch;
		s.waits_for := open;
		IF open = '{}' THEN
			s.event_low := drawn.event;
			s.touch_low := drawn.touch;
		END IF;
	END IF;
	UPDATE trigger_engine._segment_state t SET event_low = s.event_low, touch_low = s.touch_low, event_next = s.event_next,
		touch_next = s.touch_next, waits_for = s.waits_for, passed_at = trigger_engine.clock(), tried_at = clock_timestamp(),
		full_at = CASE WHEN people IS NULL THEN trigger_engine.clock() ELSE s.full_at END, took = clock_timestamp() - began,
		full_took = CASE WHEN people IS NULL THEN clock_timestamp() - began ELSE s.full_took END,
		rest_until = CASE WHEN clock_timestamp() - began > interval '5 s'
			THEN clock_timestamp() + least((clock_timestamp() - began) * 9, interval '1 hour') END,
		looked_at = _pass_segment.looked_at, failures = 0, error = NULL
	WHERE t.segment = of_segment;
END
$$;
COMMENT ON FUNCTION trigger_engine._pass_segment(text, boolean) IS
'One pass over a segment: asks for changed people, or for all of them when that is due or wanted, and notes how far it has come. One that takes longer than five seconds rests nine times as long, so that the others get their turn.';

CREATE FUNCTION trigger_engine._try_segment(of_segment text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	message text;
BEGIN
	PERFORM trigger_engine._pass_segment(of_segment, false);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
	UPDATE trigger_engine._segment_state t SET tried_at = clock_timestamp(), failures = t.failures + 1, error = message,
		rest_until = clock_timestamp() + least(interval '1 minute' * 2 ^ least(t.failures, 6), interval '1 hour'),
		-- notes of changes are not kept for it for ever: it looks at everybody then
		full_at = CASE WHEN t.failures < 6 THEN t.full_at END
	WHERE t.segment = of_segment;
END
$$;
COMMENT ON FUNCTION trigger_engine._try_segment(text) IS
'A pass over a segment whose failure is noted, and makes it rest longer and longer, up to an hour.';

CREATE FUNCTION trigger_engine._pass_next_segment() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	next text;
BEGIN
	INSERT INTO trigger_engine._segment_state (segment)
	SELECT s.name FROM trigger_engine._segments s
	WHERE NOT EXISTS (SELECT FROM trigger_engine._segment_state t WHERE t.segment = s.name)
	ON CONFLICT DO NOTHING;
	SELECT t.segment INTO next FROM trigger_engine._segment_state t
	WHERE t.tried_at < clock_timestamp() - interval '30 s' AND coalesce(t.rest_until < clock_timestamp(), true)
	ORDER BY t.tried_at, t.segment LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF next IS NULL THEN
		RETURN false;
	END IF;
	PERFORM trigger_engine._try_segment(next);
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._pass_next_segment() IS
'A pass over the segment that has waited longest, if any has for half a minute; true if there may be another. For the maintenance worker: each in its own transaction.';

CREATE FUNCTION trigger_engine._trim_segments() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	batch CONSTANT integer := 10000;
	n	  bigint;
BEGIN
	-- deleting looks like writing to the passes, so not for nothing
	PERFORM FROM trigger_engine._segment_touched LIMIT 1;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	DELETE FROM trigger_engine._segment_touched t WHERE t.ctid = ANY (ARRAY(
		SELECT o.ctid FROM trigger_engine._segment_touched o
		WHERE o.touch_id <= coalesce((SELECT min(s.touch_low) FROM trigger_engine._segment_state s WHERE s.full_at IS NOT NULL),
			9223372036854775807)
		LIMIT batch));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n = batch;
END
$$;
COMMENT ON FUNCTION trigger_engine._trim_segments() IS
'Deletes a batch of notes of changes that every segment has looked at; true if there may be more.';

CREATE FUNCTION trigger_engine.refresh_segment(name text, everybody boolean DEFAULT false,
	OUT kind text, OUT looked_at bigint, OUT entered bigint, OUT left_it bigint)
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.refresh_segment(text, boolean, OUT text, OUT bigint, OUT bigint, OUT bigint) IS
'A pass over a segment at once, in this transaction: what the maintenance worker does every minute. everybody: ask for all people and not only for those for whom something has changed. Returns what was asked for (kind: changed or all; looked_at: people, NULL = all) and how many entered and left. The first pass takes those who are in it as members without starting journeys. A notice and nothing else while the installation stamp does not match. Must run under READ COMMITTED. Errors: an unknown segment, TE003 when it takes longer than its timeout.';

CREATE FUNCTION trigger_engine._refresh_segment(invoker name, name text, everybody boolean,
	OUT kind text, OUT looked_at bigint, OUT entered bigint, OUT left_it bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	fence text := trigger_engine._fence();
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = name) THEN
		RAISE EXCEPTION 'segment "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.segments.';
	END IF;
	IF fence IS NOT NULL THEN
		RAISE NOTICE 'nothing is refreshed here: %', fence;
		RETURN;
	END IF;
	INSERT INTO trigger_engine._segment_state (segment) VALUES (name) ON CONFLICT DO NOTHING;
	SELECT p.kind, p.looked_at, p.entered, p.left_it INTO kind, looked_at, entered, left_it
	FROM trigger_engine._pass_segment(name, coalesce(everybody, false)) p;
END
$$;
COMMENT ON FUNCTION trigger_engine._refresh_segment(name, text, boolean) IS 'Behind refresh_segment().';

/* ---- what is known ---- */

CREATE VIEW trigger_engine.segment_memberships AS
SELECT segment, user_id, entered_at, valid_until FROM trigger_engine._segment_members;
COMMENT ON VIEW trigger_engine.segment_memberships IS
'Members of all segments as of their last passes: fast, and as old as segment_status says. in_segment() and segment_members() are exact now.';

CREATE VIEW trigger_engine.segment_log AS
SELECT segment, user_id, entered_at, left_at FROM trigger_engine._segment_log;
COMMENT ON VIEW trigger_engine.segment_log IS
'Every stay of a user in a segment: from when, until when (NULL = still). An instant is that of the pass that saw it.';

CREATE VIEW trigger_engine.segment_status AS
SELECT s.name AS segment, s.owner,
	CASE WHEN t.failures > 0 THEN 'failing' WHEN t.passed_at IS NULL THEN 'waiting'
		WHEN t.rest_until > clock_timestamp() THEN 'resting' ELSE 'fresh' END AS state,
	trigger_engine.clock() - t.passed_at AS lag, t.passed_at, t.full_at, coalesce(s.refresh, '1 hour') AS refresh,
	round(extract(epoch FROM t.took) * 1000, 1) AS last_pass_ms, round(extract(epoch FROM t.full_took) * 1000, 1) AS last_full_pass_ms,
	t.looked_at, cardinality(t.waits_for) AS waits_for_transactions, t.rest_until, t.failures,
	-- what a view's SQL says may tell about rows
	CASE WHEN EXISTS (SELECT FROM pg_roles r WHERE r.rolname = s.owner AND pg_has_role(r.oid, 'USAGE')) THEN t.error END AS error
FROM trigger_engine._segments s LEFT JOIN trigger_engine._segment_state t ON t.segment = s.name;
COMMENT ON VIEW trigger_engine.segment_status IS
'How fresh each segment''s membership is. lag: since its last pass. state: waiting (for its first pass), fresh, resting (its passes are slow: nine times as long between them), failing (see error). looked_at: people in the last pass, NULL = all. error: shown to the owner. waits_for_transactions: open ones whose events the next passes look for again.';

CREATE FUNCTION trigger_engine.segment_size(name text, exact boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = segment_size.name) THEN
		RAISE EXCEPTION 'segment "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.segments.';
	END IF;
	IF exact OR (SELECT t.passed_at FROM trigger_engine._segment_state t WHERE t.segment = segment_size.name) IS NULL THEN
		RETURN (SELECT count(*) FROM trigger_engine.segment_members(name));
	END IF;
	RETURN (SELECT count(*) FROM trigger_engine._segment_members m WHERE m.segment = segment_size.name);
END
$$;
COMMENT ON FUNCTION trigger_engine.segment_size(text, boolean) IS
'How many members a segment has: as of its last pass, which is fast, or with exact now, by its view. Errors: an unknown segment; with exact what the view''s SQL throws.';

CREATE FUNCTION trigger_engine.segment_overlap(a text, b text, OUT only_a bigint, OUT in_both bigint, OUT only_b bigint, OUT similarity float8)
LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.n_a - c.n_both, c.n_both, c.n_b - c.n_both, c.n_both::float8 / nullif(c.n_a + c.n_b - c.n_both, 0)
	FROM (SELECT
		(SELECT count(*) FROM trigger_engine._segment_members m WHERE m.segment = a) AS n_a,
		(SELECT count(*) FROM trigger_engine._segment_members m WHERE m.segment = b) AS n_b,
		(SELECT count(*) FROM trigger_engine._segment_members m JOIN trigger_engine._segment_members o USING (user_id)
			WHERE m.segment = a AND o.segment = b) AS n_both) c
$$;
COMMENT ON FUNCTION trigger_engine.segment_overlap(text, text, OUT bigint, OUT bigint, OUT bigint, OUT float8) IS
'How two segments overlap as of their last passes: members of the first alone, of both, of the second alone; similarity: both by either (Jaccard), NULL when both are empty.';

CREATE FUNCTION trigger_engine.segment_at(name text, at timestamptz) RETURNS TABLE (user_id text, entered_at timestamptz, left_at timestamptz)
LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT l.user_id, l.entered_at, l.left_at FROM trigger_engine._segment_log l
	WHERE l.segment = name AND l.entered_at <= at AND (l.left_at IS NULL OR l.left_at > at)
$$;
COMMENT ON FUNCTION trigger_engine.segment_at(text, timestamptz) IS
'Who was in a segment at an instant, by its log: since when, and when they left it (NULL = they are in it still). Known from the segment''s first pass on.';
