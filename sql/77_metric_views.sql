/*
 * Metrics to read. None of these looks at sends or events: all are sums of counters.
 */

CREATE VIEW trigger_engine.message_metrics AS
SELECT h.hour, j.name AS journey, v.purpose, v.topic, v.trigger ->> 'kind' AS trigger_kind, h.version, h.step, h.channel,
	nullif(h.provider, '') AS provider, nullif(h.variant, '') AS variant, nullif(h.template_version, 0) AS template_version,
	nullif(h.locale, '') AS locale, h.sent, h.withheld, h.cancelled, h.expired, h.rejected, h.unknown, h.delivered, h.opened,
	h.machine_opened, h.clicked, h.dismissed, h.bounced, h.complained, h.unsubscribed, h.responses, h.response_seconds
FROM trigger_engine._metric_hours h
LEFT JOIN trigger_engine._journeys j ON j.journey_id = h.journey_id
LEFT JOIN trigger_engine._journey_versions v ON v.journey_id = h.journey_id AND v.version = h.version;
COMMENT ON VIEW trigger_engine.message_metrics IS
'Counters by hour (UTC, in which the send came to its end) and journey, purpose, topic, trigger kind, version, step, channel, provider, variant, template version and locale; for dashboards. sent: accepted by the provider. delivered, opened, machine_opened, clicked, dismissed, bounced, complained, unsubscribed: sends with at least one such interaction, whenever it came. response_seconds: from the triggering event to the click or dismissal, over all responses. At most a minute behind; maintain() brings them up to now.';

CREATE FUNCTION trigger_engine._metrics_by(dimension text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('SELECT %s, sum(sent)::bigint AS sent, sum(withheld)::bigint AS withheld, sum(cancelled)::bigint AS cancelled, sum(expired)::bigint AS expired,'
		' sum(rejected)::bigint AS rejected, sum(unknown)::bigint AS unknown, sum(delivered)::bigint AS delivered, sum(opened)::bigint AS opened,'
		' sum(machine_opened)::bigint AS machine_opened, sum(clicked)::bigint AS clicked, sum(dismissed)::bigint AS dismissed, sum(bounced)::bigint AS bounced,'
		' sum(complained)::bigint AS complained, sum(unsubscribed)::bigint AS unsubscribed,'
		' round(sum(opened) / nullif(sum(sent), 0), 4) AS open_rate, round(sum(clicked) / nullif(sum(sent), 0), 4) AS click_rate,'
		' round(sum(responses) / nullif(sum(sent), 0), 4) AS response_rate,'
		' round(sum(unsubscribed) / nullif(sum(sent), 0), 4) AS unsubscribe_rate,'
		' make_interval(secs => (sum(response_seconds) / nullif(sum(responses), 0))::float8) AS trigger_dwell_time'
		' FROM trigger_engine.message_metrics GROUP BY %s', dimension, dimension)
$$;

DO $$
BEGIN
	EXECUTE 'CREATE VIEW trigger_engine.journey_metrics AS ' || trigger_engine._metrics_by('journey');
	EXECUTE 'CREATE VIEW trigger_engine.step_metrics AS ' || trigger_engine._metrics_by('journey, step');
	EXECUTE 'CREATE VIEW trigger_engine.channel_metrics AS ' || trigger_engine._metrics_by('channel, provider');
	EXECUTE 'CREATE VIEW trigger_engine.variant_metrics AS ' || trigger_engine._metrics_by('journey, variant');
	EXECUTE 'CREATE VIEW trigger_engine.purpose_metrics AS ' || trigger_engine._metrics_by('purpose, trigger_kind');
END
$$;
DROP FUNCTION trigger_engine._metrics_by(text);

COMMENT ON VIEW trigger_engine.journey_metrics IS
'Metrics of each journey since its beginning. open_rate, click_rate, unsubscribe_rate: sends with at least one such interaction divided by sends; response_rate: clicks and dismissals divided by sends; trigger_dwell_time: mean time from the triggering event to them. Machine opens are apart. The columns are those of step_metrics, channel_metrics, variant_metrics and purpose_metrics, too; see message_metrics for hours.';
COMMENT ON VIEW trigger_engine.step_metrics IS 'Metrics of each step of each journey; see journey_metrics.';
COMMENT ON VIEW trigger_engine.channel_metrics IS 'Metrics by channel and provider; see journey_metrics.';
COMMENT ON VIEW trigger_engine.variant_metrics IS 'Metrics by journey and the variants that the run had met when the message was counted, NULL for none; see journey_metrics. They describe; whether arms differ is a matter of an experiment''s read-out.';
COMMENT ON VIEW trigger_engine.purpose_metrics IS 'Metrics by the purpose of the journey and the kind of its trigger; see journey_metrics.';

CREATE VIEW trigger_engine.decision_reasons AS
SELECT r.hour, j.name AS journey, r.step, r.state, nullif(r.gate, '') AS gate, r.messages
FROM trigger_engine._metric_reasons r LEFT JOIN trigger_engine._journeys j ON j.journey_id = r.journey_id
WHERE r.messages <> 0;
COMMENT ON VIEW trigger_engine.decision_reasons IS
'How many messages ended how, by hour, journey and step: state, and the gate that stopped them (NULL for what was accepted).';

CREATE VIEW trigger_engine.delivery_latency AS
WITH running AS (
	SELECT b.channel, b.provider, b.measure, b.bucket, b.messages,
		sum(b.messages) OVER (PARTITION BY b.channel, b.provider, b.measure ORDER BY b.bucket) AS upto,
		sum(b.messages) OVER (PARTITION BY b.channel, b.provider, b.measure) AS messages_all
	FROM (SELECT l.channel, l.provider, l.measure, l.bucket, sum(l.messages) AS messages FROM trigger_engine._metric_latency l
		GROUP BY 1, 2, 3, 4 HAVING sum(l.messages) > 0) b
)
SELECT channel, nullif(provider, '') AS provider, measure, max(messages_all)::bigint AS messages,
	make_interval(secs => 2 ^ (min(bucket) FILTER (WHERE upto >= 0.5 * messages_all) / 4.0)::float8) AS p50,
	make_interval(secs => 2 ^ (min(bucket) FILTER (WHERE upto >= 0.95 * messages_all) / 4.0)::float8) AS p95,
	make_interval(secs => 2 ^ (min(bucket) FILTER (WHERE upto >= 0.99 * messages_all) / 4.0)::float8) AS p99,
	make_interval(secs => 2 ^ (max(bucket) / 4.0)::float8) AS longest
FROM running GROUP BY channel, provider, measure;
COMMENT ON VIEW trigger_engine.delivery_latency IS
'How long messages take, by channel and provider. measure: queue (from when it was due to the hand-over, quiet hours and caps included), provider (from the hand-over to the answer). Quantiles are the upper ends of buckets of 19 % each, so never too low and at most 19 % too high; from one millisecond on.';

CREATE VIEW trigger_engine.now_status AS
SELECT row_number() OVER () AS line, s.topic, s.value FROM (
	SELECT 1 AS n, 'clock' AS topic, date_trunc('second', trigger_engine.clock())::text AS value
	UNION ALL SELECT 2, 'journeys', coalesce((SELECT string_agg(format('%s %s', c.n, c.state), ', ' ORDER BY c.state)
		FROM (SELECT j.state, count(*) AS n FROM trigger_engine._journeys j GROUP BY 1) c), 'none')
	UNION ALL SELECT 3, 'paused', (SELECT format('%s by %s', coalesce(p.reason, 'since ' || p.paused_at), p.paused_by) FROM trigger_engine._pause p)
	UNION ALL SELECT 4, 'due', (SELECT format('%s messages and waits, %s overdue', coalesce(sum(q.due), 0), coalesce(sum(q.overdue), 0)) FROM trigger_engine.queue_status q)
	UNION ALL SELECT 5, 'in flight', (SELECT format('%s batches, %s messages', count(*), coalesce(sum(cardinality(b.send_ids)), 0)) FROM trigger_engine._batches b)
	UNION ALL SELECT 6, 'last 24 hours', (SELECT format('%s sent, %s withheld, %s rejected, %s unknown, %s clicked', coalesce(sum(h.sent), 0),
			coalesce(sum(h.withheld), 0), coalesce(sum(h.rejected), 0), coalesce(sum(h.unknown), 0), coalesce(sum(h.clicked), 0))
		FROM trigger_engine._metric_hours h WHERE h.hour > trigger_engine.clock() - interval '24 hours')
	UNION ALL SELECT 7, 'stopped most by', (SELECT format('%s (%s)', r.gate, sum(r.messages)) FROM trigger_engine._metric_reasons r
		WHERE r.hour > trigger_engine.clock() - interval '24 hours' AND r.state = 'withheld' GROUP BY r.gate ORDER BY sum(r.messages) DESC, r.gate LIMIT 1)
) s WHERE s.value IS NOT NULL ORDER BY s.n;
COMMENT ON VIEW trigger_engine.now_status IS
'What the engine is doing, on one screen: clock, journeys, queue, what is in flight, the last 24 hours. Made for \watch in psql; see worker_status for the workers.';
