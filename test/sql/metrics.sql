-- Metrics by hour: counted from what is written, equal to the raw rows whatever happens to them.
\set ECHO none
\i test/sql/include/fresh.sql
CALL journey('cart');
CALL journey('later', 'look', '1 h', exit_on => '[{"name": "stop"}]');
SELECT create_experiment('copy', '["a", "b"]') \gset
-- what the counters must be, from the raw rows
CREATE VIEW test.raw AS
SELECT journey_id, version, step, channel, coalesce(provider, '') AS provider, coalesce((SELECT min(experiment || '=' || variant) FROM _exposures e WHERE (e.user_id, e.journey_id, e.entry_key) = (s.user_id, s.journey_id, s.entry_key)), '') AS variant,
	coalesce(template_version, 0) AS template_version, coalesce(template_locale, '') AS locale, date_trunc('hour', finished_at, 'UTC') AS hour,
	count(*) FILTER (WHERE state = 'accepted') AS sent, count(*) FILTER (WHERE state = 'withheld') AS withheld,
	count(*) FILTER (WHERE state = 'cancelled') AS cancelled, count(*) FILTER (WHERE state = 'expired') AS expired,
	count(*) FILTER (WHERE state = 'rejected') AS rejected, count(*) FILTER (WHERE state = 'unknown') AS unknown,
	sum(i.opened) AS opened, sum(i.machine_opened) AS machine_opened, sum(i.clicked) AS clicked,
	sum(i.dismissed) AS dismissed, sum(i.unsubscribed) AS unsubscribed
FROM _sends s CROSS JOIN LATERAL (SELECT
	count(*) FILTER (WHERE kind = 'opened' AND NOT machine) > 0, count(*) FILTER (WHERE kind = 'opened' AND machine) > 0,
	count(*) FILTER (WHERE kind = 'clicked') > 0, count(*) FILTER (WHERE kind = 'dismissed') > 0, count(*) FILTER (WHERE kind = 'unsubscribed') > 0
	FROM _interactions i WHERE i.user_id = s.user_id AND i.send_id = s.send_id) b(opened, machine_opened, clicked, dismissed, unsubscribed)
CROSS JOIN LATERAL (SELECT b.opened::int, b.machine_opened::int, b.clicked::int, b.dismissed::int, b.unsubscribed::int) i
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
CREATE VIEW test.counted AS
SELECT journey_id, version, step, channel, provider, variant, template_version, locale, hour, sent, withheld, cancelled, expired, rejected, unknown,
	opened, machine_opened, clicked, dismissed, unsubscribed
FROM _metric_hours WHERE (sent, withheld, cancelled, expired, rejected, unknown) <> (0, 0, 0, 0, 0, 0);
CREATE VIEW test.differences AS
(TABLE test.raw EXCEPT TABLE test.counted) UNION ALL (TABLE test.counted EXCEPT TABLE test.raw);
-- interactions as record_interaction() writes them, of a chosen part of the sends
CREATE PROCEDURE test.interact(kind text, every int, machine boolean DEFAULT false, source text DEFAULT '')
LANGUAGE sql AS $$
	INSERT INTO _interactions (user_id, send_id, journey_id, entry_key, step, channel, kind, at, recorded_at, machine, source_id)
	SELECT user_id, send_id, journey_id, entry_key, step, channel, kind, clock(), clock(), machine, source
	FROM _sends WHERE state = 'accepted' AND send_id % every = 0
$$;
\set ECHO all
\pset null '-'

SELECT count(set_consent('u' || i, 'in_app', 'opted_out')) AS opted_out FROM generate_series(61, 64) i;
-- some are in one arm, some in the other
BEGIN;
INSERT INTO events (user_id, name) SELECT 'u' || i, 'cart' FROM generate_series(1, 64) i;
INSERT INTO _exposures SELECT d.user_id, 'copy', 1, CASE WHEN substr(d.user_id, 2)::int <= 30 THEN 'a' ELSE 'b' END, d.journey_id, d.entry_key, d.step, clock()
FROM _due d WHERE substr(d.user_id, 2)::int > 10;
COMMIT;
INSERT INTO events (user_id, name) SELECT 'u' || i, 'look' FROM generate_series(1, 10) i;
INSERT INTO events (user_id, name) SELECT 'u' || i, 'stop' FROM generate_series(1, 4) i;
CALL drain();
CALL drain('90 min');
SELECT maintain();
SELECT journey, sent, withheld, cancelled FROM journey_metrics ORDER BY 1;
SELECT * FROM differences;

-- interactions: each kind once for a send, machines apart, and counted in the hour of the send however late
CALL interact('opened', 2);
CALL interact('opened', 2, source => 'again');
CALL interact('opened', 3, machine => true);
SELECT maintain();
CALL drain('50 h');
CALL interact('clicked', 5);
CALL interact('opened', 4, source => 'later');
CALL interact('dismissed', 7);
CALL interact('unsubscribed', 30);
SELECT maintain();
SELECT count(*) FROM _metric_interactions;
SELECT * FROM differences;
SELECT count(*) FILTER (WHERE opened > 0) > 0 AS opened, count(*) FILTER (WHERE clicked > 0) > 0 AS clicked FROM counted;

-- what is rolled back never counts, what is put back into the queue counts no more until it ends again, in its new hour
BEGIN;
DELETE FROM _sends WHERE state = 'withheld';
ROLLBACK;
SELECT set_consent('u61', 'in_app', 'opted_in'), set_consent('u62', 'in_app', 'opted_in') \gset
BEGIN;
SELECT retry_sends('cart', '{withheld}');
SELECT _fold_metrics();
SELECT withheld, sent FROM journey_metrics WHERE journey = 'cart';
COMMIT;
CALL drain();
SELECT maintain();
SELECT withheld, sent FROM journey_metrics WHERE journey = 'cart';
SELECT * FROM differences;

-- an interaction that comes before its send is recorded waits for it; one whose send never comes counts alone after a day
INSERT INTO _interactions (user_id, send_id, journey_id, entry_key, step, channel, kind, at, recorded_at)
SELECT 'ghost', -1, journey_id, 'k', 'send', 'in_app', 'delivered', clock(), clock() FROM _journeys WHERE name = 'cart';
SELECT maintain();
SELECT count(*) FROM _metric_interactions;
SELECT advance_clock('25 h') \gset
SELECT maintain();
SELECT count(*) FROM _metric_interactions;
SELECT delivered FROM journey_metrics WHERE journey = 'cart';

-- the views agree with each other
SELECT (SELECT sum(sent) FROM journey_metrics) = (SELECT count(*) FROM sends WHERE state = 'accepted') AS journeys,
	(SELECT sum(sent) FROM step_metrics) = (SELECT sum(sent) FROM variant_metrics) AS steps,
	(SELECT sum(clicked) FROM channel_metrics) = (SELECT sum(clicked) FROM purpose_metrics) AS channels;
SELECT journey, variant, sent FROM variant_metrics WHERE journey = 'cart' ORDER BY 2;
SELECT journey, state, gate, sum(messages) AS messages FROM decision_reasons GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT channel, measure, messages, p50 <= p95 AND p95 <= p99 AND p99 <= longest AS ordered FROM delivery_latency ORDER BY 2;
SELECT topic, value FROM now_status WHERE topic IN ('clock', 'journeys', 'last 24 hours');
-- a bucket holds what it says
SELECT b, bool_and(s > 2 ^ ((b - 1) / 4.0) AND s <= 2 ^ (b / 4.0)) FROM (SELECT s, _latency_bucket(s) AS b FROM unnest('{0.5,1.1,60,86400}'::float8[]) s) x GROUP BY 1 ORDER BY 1;

-- nothing that shows a metric reads a send, an event or an interaction
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || query; END $$;
SELECT v, count(*) FILTER (WHERE p ~ '_sends|events|_interactions') AS raw_scans, count(*) FILTER (WHERE p ~ '_metric_') > 0 AS counters
FROM unnest('{message_metrics,journey_metrics,step_metrics,channel_metrics,variant_metrics,purpose_metrics,decision_reasons,delivery_latency}'::text[]) v,
	test.plan('SELECT * FROM ' || v) p GROUP BY 1 ORDER BY 1;
