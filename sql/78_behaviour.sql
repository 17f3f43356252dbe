/*
 * What people do over time, from all events: funnels and retention. They read the
 * events of a span with the reader's own rights and are meant for analysts.
 */

CREATE FUNCTION trigger_engine.funnel(steps text[], since timestamptz, until timestamptz, within interval DEFAULT '7 days')
RETURNS TABLE (step integer, event text, users bigint, of_first numeric, of_previous numeric, median_time interval)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF cardinality(funnel.steps) IS NULL OR cardinality(funnel.steps) NOT BETWEEN 1 AND 20 OR array_position(funnel.steps, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'steps must name between 1 and 20 events' USING ERRCODE = 'invalid_parameter_value';
	ELSIF funnel.since IS NULL OR funnel.until IS NULL OR funnel.within IS NULL OR funnel.within <= interval '0' THEN
		RAISE EXCEPTION 'since, until and a positive within are required' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN QUERY
	WITH RECURSIVE walk AS (
		SELECT 1 AS step, e.user_id, e.occurred_at AS began, e.occurred_at AS previous, e.occurred_at AS at
		FROM trigger_engine.all_events e
		WHERE e.name = funnel.steps[1] AND e.occurred_at >= funnel.since AND e.occurred_at < funnel.until
		UNION
		-- every beginning is followed to the earliest next step after it, by the index on people
		SELECT w.step + 1, w.user_id, w.began, w.at, n.at FROM walk w
		CROSS JOIN LATERAL (SELECT min(e.occurred_at) AS at FROM trigger_engine.all_events e
			WHERE e.user_id = w.user_id AND e.name = funnel.steps[w.step + 1]
			AND e.occurred_at > w.at AND e.occurred_at <= w.began + funnel.within) n
		WHERE w.step < cardinality(funnel.steps) AND n.at IS NOT NULL
	), best AS (
		SELECT DISTINCT ON (w.step, w.user_id) w.step, w.user_id, w.at - w.previous AS took FROM walk w
		ORDER BY w.step, w.user_id, w.began
	), counted AS (
		SELECT b.step, count(*) AS users, percentile_cont(0.5) WITHIN GROUP (ORDER BY b.took) AS took FROM best b GROUP BY 1
	)
	SELECT s.n::integer, s.name, coalesce(c.users, 0),
		round(coalesce(c.users, 0)::numeric / nullif(first_value(c.users) OVER (ORDER BY s.n), 0), 4),
		round(coalesce(c.users, 0)::numeric / nullif(lag(c.users) OVER (ORDER BY s.n), 0), 4),
		CASE WHEN s.n > 1 THEN c.took END
	FROM unnest(funnel.steps) WITH ORDINALITY AS s(name, n) LEFT JOIN counted c ON c.step = s.n ORDER BY s.n;
END
$$;
COMMENT ON FUNCTION trigger_engine.funnel(text[], timestamptz, timestamptz, interval) IS
'How many people did the events steps in that order, each later than the one before and the last within an interval of the first. A run begins in [since, until); a person who begins several times counts once, for the furthest that any beginning came. of_first and of_previous: shares of the people at the first and at the previous step; median_time: from the previous step, of the person''s earliest run that got there. Reads the events of the span, tracked tables with the caller''s rights.';

CREATE FUNCTION trigger_engine.retention(start_event text, return_event text, since timestamptz, until timestamptz,
	days integer[] DEFAULT '{1,7,30}', kind text DEFAULT 'exact')
RETURNS TABLE (day integer, eligible bigint, returned bigint, rate numeric)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF retention.start_event IS NULL OR retention.since IS NULL OR retention.until IS NULL THEN
		RAISE EXCEPTION 'start_event, since and until are required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF coalesce(retention.kind, '') NOT IN ('exact', 'bounded', 'unbounded') THEN
		RAISE EXCEPTION 'kind must be "exact", "bounded" or "unbounded"' USING ERRCODE = 'invalid_parameter_value';
	ELSIF cardinality(retention.days) IS NULL OR array_position(retention.days, NULL) IS NOT NULL OR 1 > ANY (retention.days) OR 3650 < ANY (retention.days) THEN
		RAISE EXCEPTION 'days must be numbers from 1 to 3650' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN QUERY
	WITH cohort AS MATERIALIZED (
		SELECT e.user_id, min(e.occurred_at) AS began FROM trigger_engine.all_events e
		WHERE e.name = retention.start_event AND e.occurred_at >= retention.since AND e.occurred_at < retention.until GROUP BY 1
	), active AS (
		-- the day counted from the person's own beginning: day 1 is 24 to 48 hours after it
		SELECT c.user_id, array_agg(DISTINCT floor(extract(epoch FROM e.occurred_at - c.began) / 86400)::integer) AS days
		FROM cohort c JOIN trigger_engine.all_events e ON e.user_id = c.user_id AND e.occurred_at >= c.began + interval '24 hours'
		WHERE e.occurred_at <= trigger_engine.clock()
			AND (retention.return_event IS NULL OR e.name = retention.return_event)
		GROUP BY 1
	), person AS MATERIALIZED (
		SELECT c.began, a.days FROM cohort c LEFT JOIN active a USING (user_id)
	), counted AS (
		-- only those count whose day is over; array_agg(DISTINCT) has sorted the days
		SELECT d.day, count(*) AS eligible, count(*) FILTER (WHERE CASE retention.kind WHEN 'exact' THEN d.day = ANY (p.days)
			WHEN 'bounded' THEN p.days[1] <= d.day ELSE p.days[cardinality(p.days)] >= d.day END) AS returned
		FROM (SELECT DISTINCT u AS day FROM unnest(retention.days) u) d
		JOIN person p ON p.began + make_interval(hours => 24 * (d.day + 1)) <= trigger_engine.clock() GROUP BY 1
	)
	SELECT d.day, coalesce(c.eligible, 0), coalesce(c.returned, 0), round(c.returned::numeric / c.eligible, 4)
	FROM (SELECT DISTINCT u AS day FROM unnest(retention.days) u) d LEFT JOIN counted c USING (day) ORDER BY 1;
END
$$;
COMMENT ON FUNCTION trigger_engine.retention(text, text, timestamptz, timestamptz, integer[], text) IS
'Which part of the people who did start_event for the first time in [since, until) came back with return_event (NULL = any event) on day n of 24 hours, counted from their own beginning. kind: exact (on day n), bounded (on a day from 1 to n), unbounded (on day n or later). eligible: people whose day n is over now; others count neither way. rate: returned / eligible. Reads the events of the span, tracked tables with the caller''s rights.';
