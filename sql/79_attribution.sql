/*
 * Conversions: which message gets the credit for what a person did afterwards.
 *
 * A message of a journey with a rule opens a watch over its person. The maintenance
 * worker looks at the events of that person again and again, in spans that grow by
 * half, until a day after the window has closed: about a dozen looks by the index on
 * people, and an event that commits or arrives late is found by the next one.
 */

CREATE TABLE trigger_engine._conversion_rules (
	journey_id		bigint PRIMARY KEY,
	events			text[] NOT NULL,
	within			interval NOT NULL,
	channel_windows jsonb NOT NULL,
	model			text NOT NULL CHECK (model IN ('last', 'first', 'even', 'open', 'click', 'view')),
	value			text,
	created_at		timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._conversion_rules IS 'What counts as a conversion of a journey; read through the view conversion_rules.';

CREATE TABLE trigger_engine._metric_conversions (
	journey_id	bigint NOT NULL,
	hour		timestamptz NOT NULL,
	version		integer NOT NULL,
	step		text NOT NULL,
	channel		text NOT NULL,
	variant		text NOT NULL,
	conversions numeric NOT NULL,
	revenue		numeric NOT NULL,
	PRIMARY KEY (journey_id, hour, version, step, channel, variant)
) WITH (fillfactor = 80);
COMMENT ON TABLE trigger_engine._metric_conversions IS 'Credits and their value by the hour of the send; read through the view conversion_metrics.';

CREATE FUNCTION trigger_engine.set_conversion(journey text, events text[], within interval DEFAULT '7 days',
	model text DEFAULT 'last', value text DEFAULT NULL, channel_windows jsonb DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_conversion(text, text[], interval, text, text, jsonb) IS
'Says what counts as a conversion of a journey: an event of one of these names, in trigger_engine.events, after an accepted message of the journey and within the window, for messages from now on. channel_windows: another window by channel, as {"push": "1 day"}. model: last (the latest such message gets the credit), first, even (all equal parts), open (the latest that a person had opened before), click (had clicked), view (delivered or opened, and not clicked). value: the property that holds the amount; anything but a number counts 0. An empty array of events takes the rule away; what was counted stays. Credit is not cause: for that compare with a holdout. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_conversion(invoker name, journey text, events text[], within interval, model text,
	value text, channel_windows jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	wanted bigint;
	span text;
BEGIN
	IF journey IS NULL OR events IS NULL OR array_position(events, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'journey and events are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	wanted := (trigger_engine._find_journey(invoker, journey)).journey_id;
	IF cardinality(events) = 0 THEN
		DELETE FROM trigger_engine._conversion_rules r WHERE r.journey_id = wanted;
		RETURN;
	END IF;
	IF (model IN ('last', 'first', 'even', 'open', 'click', 'view')) IS NOT TRUE THEN
		RAISE EXCEPTION 'unknown model "%"', model USING ERRCODE = 'TE001',
			HINT = 'Models are last, first, even, open, click and view.';
	ELSIF (within > interval '0' AND within <= interval '366 days') IS NOT TRUE THEN
		RAISE EXCEPTION 'within must be above 0 and at most a year' USING ERRCODE = 'TE001';
	ELSIF jsonb_typeof(coalesce(channel_windows, '{}')) <> 'object' THEN
		RAISE EXCEPTION 'channel_windows must be an object' USING ERRCODE = 'TE001',
			HINT = 'As in {"push": "1 day"}.';
	END IF;
	FOR span IN SELECT w.value FROM jsonb_each_text(coalesce(channel_windows, '{}')) w LOOP
		-- the watch ends with the window for all
		IF (span::interval > interval '0' AND span::interval <= within) IS NOT TRUE THEN
			RAISE EXCEPTION 'a window by channel must be above 0 and at most within' USING ERRCODE = 'TE001';
		END IF;
	END LOOP;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	INSERT INTO trigger_engine._conversion_rules
	VALUES (wanted, events, within, coalesce(channel_windows, '{}'), model, value, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _conversion_rules_pkey DO UPDATE SET events = excluded.events, within = excluded.within,
		channel_windows = excluded.channel_windows, model = excluded.model, value = excluded.value;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_conversion(name, text, text[], interval, text, text, jsonb) IS 'Behind set_conversion().';

CREATE FUNCTION trigger_engine._fold_conversions(batch integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	instant timestamptz := trigger_engine.clock();
	n		bigint;
BEGIN
	WITH taken AS (
		SELECT w.* FROM trigger_engine._conversion_watches w WHERE w.next_at <= instant
		ORDER BY w.next_at LIMIT batch FOR UPDATE SKIP LOCKED
	), touch AS (
		SELECT e.user_id, t.journey_id, e.event_id, e.name AS event, e.occurred_at, r.model, s.send_id, s.version, s.step, s.channel,
			s.finished_at, CASE WHEN jsonb_typeof(e.properties -> r.value) = 'number' THEN (e.properties ->> r.value)::numeric ELSE 0 END AS value,
			row_number() OVER (PARTITION BY e.user_id, t.journey_id, e.event_id
				ORDER BY CASE WHEN r.model = 'first' THEN s.finished_at END, s.finished_at DESC, s.send_id DESC) AS place,
			count(*) OVER (PARTITION BY e.user_id, t.journey_id, e.event_id) AS touches
		FROM taken t JOIN trigger_engine._conversion_rules r ON r.journey_id = t.journey_id
		-- a minute late, so that the messages before the event are all recorded
		JOIN trigger_engine.events e ON e.user_id = t.user_id AND e.occurred_at >= t.opened_at
			AND e.occurred_at <= least(t.closes_at, instant - interval '1 minute') AND e.name = ANY (r.events)
		JOIN trigger_engine._sends s ON s.user_id = t.user_id AND s.journey_id = t.journey_id AND s.state = 'accepted'
			AND s.finished_at >= t.opened_at AND s.finished_at <= e.occurred_at
			AND e.occurred_at < s.finished_at + coalesce((r.channel_windows ->> s.channel)::interval, r.within)
		WHERE NOT EXISTS (SELECT FROM trigger_engine._conversions c WHERE c.user_id = e.user_id
				AND c.journey_id = t.journey_id AND c.event_id = e.event_id)
			AND CASE r.model WHEN 'open' THEN trigger_engine._had_result(s.user_id, s.send_id, '{opened}', e.occurred_at)
				WHEN 'click' THEN trigger_engine._had_result(s.user_id, s.send_id, '{clicked}', e.occurred_at)
				WHEN 'view' THEN trigger_engine._had_result(s.user_id, s.send_id, '{delivered,opened}', e.occurred_at)
					AND NOT trigger_engine._had_result(s.user_id, s.send_id, '{clicked}', e.occurred_at)
				ELSE true END
	), credited AS (
		INSERT INTO trigger_engine._conversions (user_id, journey_id, event_id, send_id, event, at, sent_at, model, credit, touches, value)
		SELECT t.user_id, t.journey_id, t.event_id, t.send_id, t.event, t.occurred_at, t.finished_at, t.model,
			CASE WHEN t.model = 'even' THEN 1.0 / t.touches ELSE 1 END, t.touches, t.value
		FROM touch t WHERE t.model = 'even' OR t.place = 1 RETURNING *
	), hours AS (
		INSERT INTO trigger_engine._metric_conversions AS m (journey_id, hour, version, step, channel, variant, conversions, revenue)
		SELECT c.journey_id, trigger_engine._metric_hour(c.sent_at), t.version, t.step, t.channel, coalesce(k.variant, ''),
			sum(c.credit), sum(c.credit * c.value)
		FROM credited c JOIN touch t ON t.user_id = c.user_id AND t.journey_id = c.journey_id AND t.event_id = c.event_id AND t.send_id = c.send_id
		LEFT JOIN trigger_engine._metric_variants k ON k.user_id = c.user_id AND k.send_id = c.send_id
		GROUP BY 1, 2, 3, 4, 5, 6
		ON CONFLICT ON CONSTRAINT _metric_conversions_pkey DO UPDATE SET conversions = m.conversions + excluded.conversions,
			revenue = m.revenue + excluded.revenue
	), over AS (
		DELETE FROM trigger_engine._conversion_watches w USING taken t
		WHERE w.user_id = t.user_id AND w.journey_id = t.journey_id AND t.closes_at + interval '1 day' <= instant
	), again AS (
		UPDATE trigger_engine._conversion_watches w
		SET next_at = least(instant + greatest(interval '1 minute', (instant - t.opened_at) / 2), t.closes_at + interval '1 day')
		FROM taken t WHERE w.user_id = t.user_id AND w.journey_id = t.journey_id AND t.closes_at + interval '1 day' > instant
	)
	SELECT count(*) INTO n FROM taken;
	RETURN n = batch;
END
$$;
COMMENT ON FUNCTION trigger_engine._fold_conversions(integer) IS
'Looks at up to so many people whose watch is due and credits what they did; true if there may be more.';

CREATE FUNCTION trigger_engine._had_result(user_id text, send_id bigint, kinds text[], at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM trigger_engine._send_results r
		WHERE r.user_id = $1 AND r.send_id = $2 AND r.kind = ANY ($3) AND r.at <= $4)
$$;
COMMENT ON FUNCTION trigger_engine._had_result(text, bigint, text[], timestamptz) IS 'Whether a send had such an interaction by then.';

CREATE VIEW trigger_engine.conversion_rules AS
SELECT j.name AS journey, r.events, r.within, r.channel_windows, r.model, r.value, r.created_at
FROM trigger_engine._conversion_rules r JOIN trigger_engine._journeys j USING (journey_id);
COMMENT ON VIEW trigger_engine.conversion_rules IS 'What counts as a conversion of each journey; see set_conversion().';

CREATE VIEW trigger_engine.conversions AS
SELECT c.user_id, j.name AS journey, c.event_id, c.event, c.at, c.send_id, c.credit, c.value, c.model,
	format('%s of %s message%s within the window, sent %s before', CASE c.model WHEN 'even' THEN 'one' WHEN 'first' THEN 'first'
		WHEN 'open' THEN 'latest opened' WHEN 'click' THEN 'latest clicked' WHEN 'view' THEN 'latest seen and not clicked' ELSE 'latest' END,
		c.touches, CASE WHEN c.touches = 1 THEN '' ELSE 's' END, c.at - c.sent_at) AS why
FROM trigger_engine._conversions c LEFT JOIN trigger_engine._journeys j ON j.journey_id = c.journey_id;
COMMENT ON VIEW trigger_engine.conversions IS
'Every conversion: what the person did, which message got which part of the credit, and why. value: of the event, not yet multiplied by the credit.';

CREATE VIEW trigger_engine.conversion_metrics AS
SELECT m.hour, j.name AS journey, m.version, m.step, m.channel, nullif(m.variant, '') AS variant, m.conversions, m.revenue
FROM trigger_engine._metric_conversions m LEFT JOIN trigger_engine._journeys j ON j.journey_id = m.journey_id;
COMMENT ON VIEW trigger_engine.conversion_metrics IS
'Conversions (sums of credits) and revenue (credits times value) by the hour of the message, UTC, and journey, version, step, channel and variant. Sums of counters, like journey_metrics.';
