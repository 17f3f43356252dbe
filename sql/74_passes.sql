/*
 * Triggers that begin with time or with an object: passes of the maintenance worker, and of
 * maintain(). Each call does one bounded piece of work and says whether there is more. What
 * is entered twice is entered once, by its entry key.
 */

CREATE FUNCTION trigger_engine._next_schedule(trigger jsonb, after timestamptz, OUT local timestamp, OUT at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
DECLARE
	-- "user": by everybody's own clock; it begins where the day does
	zone text := CASE coalesce(trigger ->> 'zone', 'user') WHEN 'user' THEN 'Pacific/Kiritimati' ELSE trigger ->> 'zone' END;
BEGIN
	IF trigger ? 'cron' THEN
		at := trigger_engine.next_cron(trigger ->> 'cron', after, zone);
		local := at AT TIME ZONE zone;
	ELSE
		local := (trigger ->> 'at')::timestamp;
		at := trigger_engine.at_local(local, zone);
		IF at <= after THEN
			local := NULL;
			at := NULL;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._next_schedule(jsonb, timestamptz) IS
'The next time of a schedule after an instant: what clocks show, and when the first clock shows it. NULLs when there is none. Errors: 22023 for an unknown zone.';

CREATE FUNCTION trigger_engine._run_timer(timer trigger_engine._timers) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET DateStyle = 'ISO'
AS $$
DECLARE
	now		timestamptz := trigger_engine.clock();
	j		record;
	rungs	interval[];
	last	timestamptz;
	passed	integer := 0;
	due		timestamptz;
	upcoming record;
BEGIN
	SELECT v.trigger, v.trigger ->> 'kind' AS kind, x.state = 'live' AS live INTO j
	FROM trigger_engine._journeys x JOIN trigger_engine._journey_versions v USING (journey_id, version)
	WHERE x.journey_id = timer.journey_id;
	IF j.kind = 'inactivity' THEN
		-- events before it was armed are no news: an index range of one user
		last := coalesce((SELECT e.occurred_at FROM trigger_engine.events e
			WHERE e.user_id = timer.user_id AND e.occurred_at > timer.last_at AND e.occurred_at <= now
				AND e.name = ANY (ARRAY(SELECT x ->> 'name' FROM jsonb_array_elements(j.trigger -> 'events') x))
			ORDER BY e.occurred_at DESC LIMIT 1), timer.last_at);
		rungs := ARRAY(SELECT x::interval FROM jsonb_array_elements_text(j.trigger -> 'for') x);
		passed := CASE WHEN last > timer.last_at THEN 0 ELSE timer.rung END;
		due := coalesce(last + rungs[passed + 1], 'infinity');
		IF due <= now AND j.live THEN
			PERFORM trigger_engine._enter(ARRAY[timer.journey_id], ARRAY[timer.user_id],
				ARRAY[format('inactive/%s/%s', extract(epoch FROM last), passed + 1)], ARRAY[due],
				ARRAY[jsonb_build_object('inactive_for', rungs[passed + 1], 'last_at', last, 'rung', passed + 1)]);
			passed := passed + 1;
			due := coalesce(last + rungs[passed + 1], 'infinity');
		END IF;
		-- a paused journey looks again later
		due := greatest(due, CASE WHEN NOT j.live THEN now + interval '10 minutes' ELSE due END);
	ELSIF j.kind = 'date' THEN
		SELECT trigger_engine._next_date(j.trigger, u.attributes ->> (j.trigger ->> 'attribute'), u.zone, timer.due_at) AS at,
			u.attributes ->> (j.trigger ->> 'attribute') AS day, u.zone
		INTO upcoming FROM trigger_engine.users u WHERE u.user_id = timer.user_id;
		IF j.live AND upcoming.at <= now + trigger_engine._horizon() THEN
			PERFORM trigger_engine._enter(ARRAY[timer.journey_id], ARRAY[timer.user_id],
				ARRAY[format('date/%s', to_char(upcoming.at, 'YYYY-MM-DD'))], ARRAY[upcoming.at],
				ARRAY[jsonb_build_object('date', upcoming.day)]);
		END IF;
		due := trigger_engine._next_date(j.trigger, upcoming.day, upcoming.zone, greatest(upcoming.at, now)) - trigger_engine._horizon();
	ELSIF j.kind = 'schedule' THEN
		SELECT * INTO upcoming FROM trigger_engine._next_schedule(j.trigger, timer.due_at);
		IF j.live AND upcoming.at <= now + trigger_engine._horizon() THEN
			INSERT INTO trigger_engine._fanouts (object, journey_id, key, at, context)
			VALUES ('', timer.journey_id, format('schedule/%s', upcoming.local), upcoming.at,
				jsonb_build_object('scheduled_at', upcoming.local));
		END IF;
		-- what was missed while nothing ran is told once, not for every time
		due := (SELECT s.at FROM trigger_engine._next_schedule(j.trigger, greatest(upcoming.at, now)) s) - trigger_engine._horizon();
	END IF;
	UPDATE trigger_engine._timers t SET due_at = coalesce(due, 'infinity'), rung = passed,
		last_at = coalesce(last, t.last_at)
	WHERE t.user_id = timer.user_id AND t.journey_id = timer.journey_id;
END
$$;
COMMENT ON FUNCTION trigger_engine._run_timer(trigger_engine._timers) IS
'Does what one timer is for, and sets it to its next time, or to infinity.';

CREATE FUNCTION trigger_engine._run_timers() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	batch CONSTANT integer := 500;
	n	  bigint := 0;
	timer trigger_engine._timers;
BEGIN
	FOR timer IN SELECT * FROM trigger_engine._timers WHERE due_at <= trigger_engine.clock() ORDER BY due_at LIMIT batch FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM trigger_engine._run_timer(timer);
		n := n + 1;
	END LOOP;
	RETURN n = batch;
END
$$;
COMMENT ON FUNCTION trigger_engine._run_timers() IS
'Runs a batch of timers of inactivity, date and schedule triggers whose time has come, by the index on it; true if there may be more.';

CREATE FUNCTION trigger_engine._tell(f trigger_engine._fanouts) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
DECLARE
	batch CONSTANT integer := 1000;
	j	  record;
	base  timestamptz;
	begins timestamptz;
	gap	  interval;
	n	  bigint := 0;
	users text[] := '{}';
	times timestamptz[] := '{}';
	person record;
	people refcursor;
BEGIN
	DELETE FROM trigger_engine._fanouts x WHERE x.object = f.object AND x.fanout_id = f.fanout_id;
	SELECT v.trigger, v.trigger ->> 'kind' AS kind INTO j
	FROM trigger_engine._journeys x JOIN trigger_engine._journey_versions v USING (journey_id, version)
	WHERE x.journey_id = f.journey_id AND x.state = 'live';
	IF j.kind IS NULL THEN
		RETURN;
	END IF;
	-- a rate holds over all that a journey tells: it goes on where the one before ended
	gap := interval '1 minute' / (j.trigger ->> 'rate')::integer;
	begins := greatest(f.at, CASE WHEN gap IS NOT NULL THEN trigger_engine.clock() END,
		(SELECT t.last_at FROM trigger_engine._timers t WHERE t.user_id = '' AND t.journey_id = f.journey_id AND gap IS NOT NULL));
	IF j.kind = 'schedule' THEN
		OPEN people FOR SELECT m.user_id, u.zone FROM trigger_engine._segments s
			CROSS JOIN trigger_engine._segment_rows(s.name, NULL, (extract(epoch FROM coalesce(s.timeout, '1 minute')) * 1000)::integer, s.work_mem) m
			LEFT JOIN trigger_engine.users u ON u.user_id = m.user_id WHERE s.name = j.trigger ->> 'segment' ORDER BY m.user_id;
	ELSE
		OPEN people FOR SELECT x.user_id, NULL::text AS zone FROM trigger_engine._followers x
			WHERE x.journey_id = f.journey_id AND x.object = f.object AND x.since <= f.at ORDER BY x.user_id;
	END IF;
	LOOP
		FETCH people INTO person;
		IF NOT FOUND OR cardinality(users) = batch THEN
			PERFORM trigger_engine._enter(array_fill(f.journey_id, ARRAY[cardinality(users)]), users,
				array_fill(f.key, ARRAY[cardinality(users)]), times, array_fill(f.context, ARRAY[cardinality(users)]))
			WHERE cardinality(users) > 0;
			users := '{}';
			times := '{}';
		END IF;
		EXIT WHEN person.user_id IS NULL;
		base := begins;
		IF j.kind = 'schedule' AND coalesce(j.trigger ->> 'zone', 'user') = 'user' THEN
			base := greatest(begins, trigger_engine._at_local((f.context ->> 'scheduled_at')::timestamp, person.zone));
		END IF;
		users := users || person.user_id;
		times := times || base + coalesce(gap * n, '0');
		n := n + 1;
	END LOOP;
	CLOSE people;
	IF gap IS NOT NULL THEN
		INSERT INTO trigger_engine._timers AS t (user_id, journey_id, due_at, last_at)
		VALUES ('', f.journey_id, 'infinity', begins + gap * n)
		ON CONFLICT ON CONSTRAINT _timers_pkey DO UPDATE SET last_at = excluded.last_at;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._tell(trigger_engine._fanouts) IS
'Lets those who are to hear of one thing enter, at the rate that the trigger allows. Followers are read by the index on journey and object, a segment within its timeout.';

CREATE FUNCTION trigger_engine._run_fanout() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	f		trigger_engine._fanouts;
	message text;
BEGIN
	SELECT * INTO f FROM trigger_engine._fanouts x WHERE x.not_before <= clock_timestamp()
	ORDER BY x.object, x.fanout_id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF f.fanout_id IS NULL THEN
		RETURN false;
	END IF;
	BEGIN
		PERFORM trigger_engine._tell(f);
	EXCEPTION WHEN OTHERS THEN
		-- a segment whose SQL fails keeps nobody else waiting
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
		UPDATE trigger_engine._fanouts x SET not_before = clock_timestamp() + interval '10 minutes'
		WHERE x.object = f.object AND x.fanout_id = f.fanout_id;
		RAISE WARNING 'entries into journey % wait: %', f.journey_id, message
			USING HINT = 'They are tried again in 10 minutes.';
	END;
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._run_fanout() IS
'Tells of one thing; true if there may be more. What fails is left for later, with a warning.';

CREATE FUNCTION trigger_engine._at_local(local timestamp, zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN trigger_engine.at_local(local, coalesce(zone, current_setting('trigger_engine.default_zone')));
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN trigger_engine.at_local(local, current_setting('trigger_engine.default_zone'));
END
$$;
COMMENT ON FUNCTION trigger_engine._at_local(timestamp, text) IS 'at_local(), with the default zone for one that is not known.';

CREATE FUNCTION trigger_engine.suggest_delay(event text, then_event text, within interval DEFAULT '1 day',
	since interval DEFAULT '30 days', buckets integer DEFAULT 12)
RETURNS TABLE (up_to interval, times bigint, reached float8, bar text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH waits AS (
		SELECT (SELECT n.occurred_at - e.occurred_at FROM trigger_engine.all_events n
			WHERE n.user_id = e.user_id AND n.name = $2 AND n.occurred_at > e.occurred_at AND n.occurred_at <= e.occurred_at + $3
			ORDER BY n.occurred_at LIMIT 1) AS wait
		FROM trigger_engine.all_events e WHERE e.name = $1 AND e.occurred_at >= trigger_engine.clock() - $4 AND e.occurred_at <= trigger_engine.clock() - $3
	), grouped AS (
		SELECT b.n, count(w.wait) AS times
		FROM generate_series(1, least(greatest($5, 1), 100)) b(n)
		LEFT JOIN waits w ON width_bucket(extract(epoch FROM w.wait), 0, extract(epoch FROM $3) * 1.000001, least(greatest($5, 1), 100)) = b.n
		GROUP BY b.n
	)
	SELECT $3 * g.n / least(greatest($5, 1), 100), g.times,
		sum(g.times) OVER (ORDER BY g.n) / nullif((SELECT count(*) FROM waits), 0)::float8,
		repeat('#', (40 * g.times / greatest(max(g.times) OVER (), 1))::integer)
	FROM grouped g ORDER BY g.n
$$;
COMMENT ON FUNCTION trigger_engine.suggest_delay(text, text, interval, interval, integer) IS
'How long after one event another follows, so that the delay of an absence is chosen from data: for equal parts of "within", how often it came in that part (times), what share of all had seen it by then (reached, 0 to 1), and a bar to look at. A good delay is where the bars have fallen: few who would act by themselves are interrupted. since: how far back to look. Reads all events of that time, rows of tracked tables with the caller''s rights on them: not for an application''s requests.';
