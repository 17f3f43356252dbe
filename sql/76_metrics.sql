/*
 * Metrics by hour, kept from what the statements on _sends and _interactions add.
 *
 * A trigger appends what was written to a queue table in the same transaction; no
 * counter is updated there, so that nobody waits for another. The maintenance
 * worker deletes rows of the queue and adds them to the counters in one
 * transaction: each is counted once, whatever the order of commits. Partitions are
 * filled, retired and trimmed behind the parent's back, where no trigger fires, so
 * that what was counted stays counted.
 */

CREATE TABLE trigger_engine._metric_hours (
	hour			 timestamptz NOT NULL,
	journey_id		 bigint NOT NULL,
	version			 integer NOT NULL,
	step			 text NOT NULL,
	channel			 text NOT NULL,
	provider		 text NOT NULL,
	variant			 text NOT NULL,
	template_version integer NOT NULL,
	locale			 text NOT NULL,
	sent			 bigint NOT NULL DEFAULT 0,
	withheld		 bigint NOT NULL DEFAULT 0,
	cancelled		 bigint NOT NULL DEFAULT 0,
	expired			 bigint NOT NULL DEFAULT 0,
	rejected		 bigint NOT NULL DEFAULT 0,
	unknown			 bigint NOT NULL DEFAULT 0,
	delivered		 bigint NOT NULL DEFAULT 0,
	opened			 bigint NOT NULL DEFAULT 0,
	machine_opened	 bigint NOT NULL DEFAULT 0,
	clicked			 bigint NOT NULL DEFAULT 0,
	dismissed		 bigint NOT NULL DEFAULT 0,
	bounced			 bigint NOT NULL DEFAULT 0,
	complained		 bigint NOT NULL DEFAULT 0,
	unsubscribed	 bigint NOT NULL DEFAULT 0,
	responses		 bigint NOT NULL DEFAULT 0,
	response_seconds numeric NOT NULL DEFAULT 0,
	PRIMARY KEY (journey_id, hour, version, step, channel, provider, variant, template_version, locale)
) WITH (fillfactor = 80);
CREATE INDEX _metric_hours_hour ON trigger_engine._metric_hours (hour);
COMMENT ON TABLE trigger_engine._metric_hours IS
'Counters by the hour in which a send came to its end; what happened to it later counts in that hour, too. Read through the views journey_metrics and others.';

CREATE TABLE trigger_engine._metric_reasons (
	journey_id bigint NOT NULL,
	hour	   timestamptz NOT NULL,
	step	   text NOT NULL,
	state	   text NOT NULL,
	gate	   text NOT NULL,
	messages   bigint NOT NULL,
	PRIMARY KEY (journey_id, hour, step, state, gate)
) WITH (fillfactor = 80);
COMMENT ON TABLE trigger_engine._metric_reasons IS 'Messages by how they ended and the gate that ended them, by hour; read through the view decision_reasons.';

CREATE TABLE trigger_engine._metric_latency (
	journey_id bigint NOT NULL,
	hour	   timestamptz NOT NULL,
	channel	   text NOT NULL,
	provider   text NOT NULL,
	measure	   text NOT NULL,
	bucket	   smallint NOT NULL,
	messages   bigint NOT NULL,
	PRIMARY KEY (journey_id, hour, channel, provider, measure, bucket)
) WITH (fillfactor = 80);
COMMENT ON TABLE trigger_engine._metric_latency IS
'Histograms of seconds, by hour: bucket b holds what is above 2^((b-1)/4) and up to 2^(b/4). measure: queue (due to handed over), provider (handed over to answered). Read through the view delivery_latency.';

CREATE FUNCTION trigger_engine._metric_hour(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT date_bin('1 hour', at, '1970-01-01 00:00:00+00') $$;
COMMENT ON FUNCTION trigger_engine._metric_hour(timestamptz) IS 'The beginning of the hour, in UTC.';

CREATE FUNCTION trigger_engine._latency_bucket(seconds float8) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE		-- a strict one would not be inlined
AS $$ SELECT greatest(-40, ceil(4 * ln(greatest(seconds, 0.000001)) / ln(2)))::smallint $$;
COMMENT ON FUNCTION trigger_engine._latency_bucket(float8) IS
'Which bucket of a latency histogram holds a number of seconds: four for each doubling, so that a quantile is at most 19 % too high. Below about a millisecond all are one.';

/* ---- what is written is queued ---- */

CREATE FUNCTION trigger_engine._queue_metric_sends() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO trigger_engine._metric_sends (user_id, send_id, sign, journey_id, version, entry_key, step, channel,
		provider, state, gate, due_at, handed_over_at, finished_at, took_us, template_version, template_locale)
	SELECT c.user_id, c.send_id, CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END, c.journey_id, c.version, c.entry_key,
		c.step, c.channel, c.provider, c.state, c.gate, c.due_at, c.handed_over_at, c.finished_at, c.took_us,
		c.template_version, c.template_locale
	FROM changed c;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._queue_metric_sends() IS
'Statement trigger on _sends: hands what was added or taken out to _fold_metric_sends().';

CREATE TRIGGER _metrics_added AFTER INSERT ON trigger_engine._sends REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._queue_metric_sends();
CREATE TRIGGER _metrics_removed AFTER DELETE ON trigger_engine._sends REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._queue_metric_sends();

CREATE FUNCTION trigger_engine._queue_metric_interactions() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO trigger_engine._metric_interactions (user_id, send_id, journey_id, entry_key, step, channel, kind, at)
	SELECT c.user_id, c.send_id, c.journey_id, c.entry_key, c.step, c.channel,
		CASE WHEN c.machine THEN 'machine_' ELSE '' END || c.kind, c.at
	FROM changed c;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trigger_engine._queue_metric_interactions() IS
'Statement trigger on _interactions: hands what was added to _fold_metric_interactions().';

CREATE TRIGGER _metrics_added AFTER INSERT ON trigger_engine._interactions REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._queue_metric_interactions();

/* ---- what is queued is counted ---- */

CREATE FUNCTION trigger_engine._fold_metric_sends(batch integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n bigint;
BEGIN
	WITH taken AS (
		DELETE FROM trigger_engine._metric_sends WHERE ctid = ANY (ARRAY(
			SELECT q.ctid FROM trigger_engine._metric_sends q LIMIT batch FOR UPDATE SKIP LOCKED)) RETURNING *
	), named AS (
		-- the variant that a message was counted under is what it is taken out of
		SELECT t.*, trigger_engine._metric_hour(t.finished_at) AS hour,
			coalesce(k.variant, (SELECT string_agg(DISTINCT e.experiment || '=' || e.variant, ', ' ORDER BY e.experiment || '=' || e.variant)
				FROM trigger_engine._exposures e
				WHERE e.user_id = t.user_id AND e.journey_id = t.journey_id AND e.entry_key = t.entry_key), '') AS variant
		FROM taken t LEFT JOIN trigger_engine._metric_variants k ON k.user_id = t.user_id AND k.send_id = t.send_id
	), kept AS (
		INSERT INTO trigger_engine._metric_variants (user_id, send_id, variant)
		SELECT DISTINCT n.user_id, n.send_id, n.variant FROM named n WHERE n.variant <> ''
		ON CONFLICT DO NOTHING
	), hours AS (
		INSERT INTO trigger_engine._metric_hours AS h (hour, journey_id, version, step, channel, provider, variant,
			template_version, locale, sent, withheld, cancelled, expired, rejected, unknown)
		SELECT n.hour, n.journey_id, n.version, n.step, n.channel, coalesce(n.provider, ''), n.variant,
			coalesce(n.template_version, 0), coalesce(n.template_locale, ''),
			coalesce(sum(n.sign) FILTER (WHERE n.state = 'accepted'), 0), coalesce(sum(n.sign) FILTER (WHERE n.state = 'withheld'), 0),
			coalesce(sum(n.sign) FILTER (WHERE n.state = 'cancelled'), 0), coalesce(sum(n.sign) FILTER (WHERE n.state = 'expired'), 0),
			coalesce(sum(n.sign) FILTER (WHERE n.state = 'rejected'), 0), coalesce(sum(n.sign) FILTER (WHERE n.state = 'unknown'), 0)
		FROM named n GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
		ON CONFLICT ON CONSTRAINT _metric_hours_pkey DO UPDATE SET sent = h.sent + excluded.sent,
			withheld = h.withheld + excluded.withheld, cancelled = h.cancelled + excluded.cancelled,
			expired = h.expired + excluded.expired, rejected = h.rejected + excluded.rejected, unknown = h.unknown + excluded.unknown
	), reasons AS (
		INSERT INTO trigger_engine._metric_reasons AS r (journey_id, hour, step, state, gate, messages)
		SELECT n.journey_id, n.hour, n.step, n.state, coalesce(n.gate, ''), sum(n.sign) FROM named n GROUP BY 1, 2, 3, 4, 5
		ON CONFLICT ON CONSTRAINT _metric_reasons_pkey DO UPDATE SET messages = r.messages + excluded.messages
	), latency AS (
		INSERT INTO trigger_engine._metric_latency AS l (journey_id, hour, channel, provider, measure, bucket, messages)
		SELECT n.journey_id, n.hour, n.channel, coalesce(n.provider, ''), m.measure, trigger_engine._latency_bucket(m.seconds), sum(n.sign)
		FROM named n CROSS JOIN LATERAL (VALUES ('queue', CASE WHEN isfinite(n.due_at) THEN extract(epoch FROM n.handed_over_at - n.due_at)::float8 END),
			('provider', n.took_us / 1e6::float8)) m(measure, seconds)
		WHERE n.handed_over_at IS NOT NULL AND m.seconds IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
		ON CONFLICT ON CONSTRAINT _metric_latency_pkey DO UPDATE SET messages = l.messages + excluded.messages
	), watched AS (
		INSERT INTO trigger_engine._conversion_watches AS w (user_id, journey_id, opened_at, closes_at, next_at)
		SELECT n.user_id, n.journey_id, min(n.finished_at), max(n.finished_at) + r.within, min(n.finished_at) + interval '1 minute'
		FROM named n JOIN trigger_engine._conversion_rules r ON r.journey_id = n.journey_id AND n.finished_at >= r.created_at
		WHERE n.state = 'accepted' AND n.sign = 1 GROUP BY n.user_id, n.journey_id, r.within
		ON CONFLICT ON CONSTRAINT _conversion_watches_pkey DO UPDATE SET opened_at = least(w.opened_at, excluded.opened_at),
			closes_at = greatest(w.closes_at, excluded.closes_at), next_at = least(w.next_at, excluded.next_at)
	)
	SELECT count(*) INTO n FROM taken;
	RETURN n = batch;
END
$$;
COMMENT ON FUNCTION trigger_engine._fold_metric_sends(integer) IS
'Counts up to so many queued sends into the metrics and has their people watched for conversions; true if there may be more.';

CREATE FUNCTION trigger_engine._fold_metric_interactions(batch integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n bigint;
BEGIN
	WITH taken AS (
		DELETE FROM trigger_engine._metric_interactions WHERE ctid = ANY (ARRAY(
			SELECT q.ctid FROM trigger_engine._metric_interactions q
			-- the answer may come before the send is recorded: it waits, and counts alone when the send does not come
			-- (looked up one by one: an EXISTS might be answered by reading all of the history)
			WHERE q.at < trigger_engine.clock() - interval '1 day' OR (SELECT true FROM trigger_engine._sends s
				WHERE s.user_id = q.user_id AND s.send_id = q.send_id LIMIT 1)
			LIMIT batch FOR UPDATE SKIP LOCKED)) RETURNING *
	), fresh AS (
		INSERT INTO trigger_engine._send_results (user_id, send_id, kind, at)
		SELECT t.user_id, t.send_id, t.kind, min(t.at) FROM taken t GROUP BY 1, 2, 3
		ON CONFLICT ON CONSTRAINT _send_results_pkey DO NOTHING RETURNING *
	), named AS (
		SELECT f.kind, f.at, t.journey_id, t.step, t.channel, s.event_at, coalesce(s.version, 0) AS version,
			trigger_engine._metric_hour(coalesce(s.finished_at, f.at)) AS hour, coalesce(s.provider, '') AS provider,
			coalesce(k.variant, '') AS variant,
			coalesce(s.template_version, 0) AS template_version, coalesce(s.template_locale, '') AS locale
		FROM fresh f
		JOIN (SELECT DISTINCT ON (t.user_id, t.send_id) t.* FROM taken t ORDER BY t.user_id, t.send_id) t USING (user_id, send_id)
		LEFT JOIN trigger_engine._sends s ON s.user_id = f.user_id AND s.send_id = f.send_id
		LEFT JOIN trigger_engine._metric_variants k ON k.user_id = f.user_id AND k.send_id = f.send_id
	), hours AS (
		INSERT INTO trigger_engine._metric_hours AS h (hour, journey_id, version, step, channel, provider, variant,
			template_version, locale, delivered, opened, machine_opened, clicked, dismissed, bounced, complained, unsubscribed,
			responses, response_seconds)
		SELECT n.hour, n.journey_id, n.version, n.step, n.channel, n.provider, n.variant, n.template_version, n.locale,
			count(*) FILTER (WHERE n.kind = 'delivered'), count(*) FILTER (WHERE n.kind = 'opened'),
			count(*) FILTER (WHERE n.kind = 'machine_opened'), count(*) FILTER (WHERE n.kind = 'clicked'),
			count(*) FILTER (WHERE n.kind = 'dismissed'), count(*) FILTER (WHERE n.kind = 'bounced'),
			count(*) FILTER (WHERE n.kind = 'complained'), count(*) FILTER (WHERE n.kind = 'unsubscribed'),
			count(n.event_at) FILTER (WHERE n.kind IN ('clicked', 'dismissed')),
			coalesce(sum(extract(epoch FROM n.at - n.event_at)) FILTER (WHERE n.kind IN ('clicked', 'dismissed') AND isfinite(n.event_at)), 0)
		FROM named n GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
		ON CONFLICT ON CONSTRAINT _metric_hours_pkey DO UPDATE SET delivered = h.delivered + excluded.delivered,
			opened = h.opened + excluded.opened, machine_opened = h.machine_opened + excluded.machine_opened,
			clicked = h.clicked + excluded.clicked, dismissed = h.dismissed + excluded.dismissed,
			bounced = h.bounced + excluded.bounced, complained = h.complained + excluded.complained,
			unsubscribed = h.unsubscribed + excluded.unsubscribed, responses = h.responses + excluded.responses,
			response_seconds = h.response_seconds + excluded.response_seconds
	)
	SELECT count(*) INTO n FROM taken;
	RETURN n = batch;
END
$$;
COMMENT ON FUNCTION trigger_engine._fold_metric_interactions(integer) IS
'Counts up to so many queued interactions into the metrics, each kind once for a send; true if there may be more. Those of a send that is not recorded yet wait for it, for a day at most.';

CREATE FUNCTION trigger_engine._fold_metrics() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
	batch CONSTANT integer := 10000;
	more  boolean;
BEGIN
	-- one at a time: maintain() does the same, and would update counters in another order
	LOCK TABLE trigger_engine._metric_hours IN SHARE UPDATE EXCLUSIVE MODE;
	more := trigger_engine._fold_metric_sends(batch);
	-- when the sends of a piece are counted their variants are known
	more := more OR trigger_engine._fold_metric_interactions(batch);
	-- and then what people had opened and clicked before they did something
	RETURN more OR trigger_engine._fold_conversions(batch / 10);
END
$$;
COMMENT ON FUNCTION trigger_engine._fold_metrics() IS
'Counts a piece of what is queued into the metrics; true if there may be more. Called by the maintenance worker.';
