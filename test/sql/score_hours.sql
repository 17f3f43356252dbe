-- The best hour: smoothed histograms, log loss against everybody's hours, and the instant that is chosen.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS acts CASCADE;
RESET client_min_messages;
\set ECHO all
\pset null '-'

-- (count + strength * prior) / (all + strength)
SELECT smoothed_hours('{3,1,0,0}', '{1,1,1,1}', 4) AS shares, smoothed_hours('{3,1,0,0}', NULL, 4) AS even, smoothed_hours('{3,1}', '{2,6}', 0) AS own, smoothed_hours('{0,0}', '{1,3}', 20) AS prior, smoothed_hours('{1,1}', '{0,0}', 2) AS empty_prior,
	smoothed_hours('{0,0}', strength => 0) AS nothing, smoothed_hours(NULL) AS null_counts;
SELECT error($$SELECT smoothed_hours('{1,2}', '{1}')$$);
SELECT error($$SELECT smoothed_hours('{1,-2}')$$);
SELECT error($$SELECT smoothed_hours('{1,NULL}')$$);
SELECT error($$SELECT smoothed_hours('{1,2}', strength => -1)$$);

-- tested on what came later: people with hours of their own, and people without
CREATE TABLE acts AS SELECT 'u' || p AS u, timestamp '2030-01-01' + d * interval '1 day' + (CASE WHEN d % 4 = 0 THEN hashint4(p * 1000 + d) & 7 ELSE p % 12 END + 8) * interval '1 hour' AS at
FROM generate_series(1, 30) p, generate_series(0, 39) d;
SELECT strength, events, log_loss < lag(log_loss) OVER (ORDER BY strength NULLS FIRST) AS better, round(hit_rate::numeric, 2) AS hit_rate FROM backtest_hours('SELECT * FROM acts', '2030-01-21', '{1,20}');
-- against the same in SQL, of one strength and of everybody's hours
SELECT b.strength, abs(b.log_loss - e.log_loss) < 1e-9 AS same FROM backtest_hours('SELECT * FROM acts', '2030-01-21', '{5}') b JOIN (
	WITH past AS (SELECT u, extract(hour FROM at)::int AS h FROM acts WHERE at < '2030-01-21'), everybody AS (SELECT h, (count(u) + 0.5)::float8 / (600 + 12) AS p FROM generate_series(0, 23) h LEFT JOIN past USING (h) GROUP BY h)
	SELECT m, avg(-ln(CASE WHEN m IS NULL THEN p ELSE ((SELECT count(*) FROM past WHERE past.u = a.u AND past.h = e.h) + m * p) / (20 + m) END)) AS log_loss
	FROM acts a JOIN everybody e ON e.h = extract(hour FROM at) CROSS JOIN (VALUES (NULL::float8), (5)) s(m) WHERE at >= '2030-01-21' GROUP BY m) e ON e.m IS NOT DISTINCT FROM b.strength ORDER BY 1;
SELECT count(*) FROM backtest_hours('SELECT * FROM acts', '2031-01-01');
SELECT error($$SELECT * FROM backtest_hours('SELECT u FROM acts', '2030-01-21')$$);
SELECT error($$SELECT * FROM backtest_hours('SELECT * FROM acts', '2030-01-21', '{0}')$$);

-- the instant: nothing is known, then mornings do best for everybody, and evenings for ann
SELECT best_hour('ann', 'push') = clock() AS now;
INSERT INTO users (user_id, zone) VALUES ('ann', 'Asia/Kolkata');
-- everybody gets as many messages at 8 as at 20 in their zone, on ten weekdays; ann opens in the evening, the others in the morning
SELECT count(record_engagement(u, 'push', at, kind)) FROM (
	SELECT u, (timestamp '2030-01-07' + (d % 5) * interval '1 day' + h * interval '1 hour') AT TIME ZONE CASE u WHEN 'ann' THEN 'Asia/Kolkata' ELSE 'UTC' END AS at, kind
	FROM (SELECT 'ann' AS u UNION ALL SELECT 'p' || n FROM generate_series(1, 40) n) p CROSS JOIN generate_series(0, 9) d CROSS JOIN (VALUES (8), (20)) h(h) CROSS JOIN (VALUES ('send'), ('open')) k(kind)
	WHERE kind = 'send' OR (u = 'ann') = (h = 20) AND (u = 'ann' OR d % 2 = 0)) s;
SELECT refresh_engagement();
SELECT hour, sends, hits, round(probability::numeric, 3) AS probability FROM hour_probabilities('p1', 'push') WHERE NOT weekend AND hour IN (8, 12, 20);
SELECT bool_and(abs(h.probability - engagement_probability('p1', 'push', timestamptz '2030-01-16 00:30+00' + h.hour * interval '1 hour', 'open')) < 1e-12) AS agree, count(*) FROM hour_probabilities('p1', 'push') h WHERE NOT h.weekend;
SELECT u, best_hour(u, 'push', '2030-01-16 02:10+00') AT TIME ZONE CASE u WHEN 'ann' THEN 'Asia/Kolkata' ELSE 'UTC' END AS local FROM unnest(ARRAY['ann', 'p1', 'nobody']) u;
-- within the bounds: already in the hour it is now, and never later than asked for
SELECT best_hour('p1', 'push', '2030-01-16 08:40+00') AS now, best_hour('p1', 'push', '2030-01-16 08:40+00', '2030-01-16 12:00+00') AS still, best_hour('p1', 'push', '2030-01-16 20:10+00', '2030-01-17 07:59+00') < '2030-01-17 08:00+00' AS bounded,
	best_hour('p1', 'push', '2030-01-16 20:10+00', '2030-01-16 20:10+00') AS only_one;
-- exploring: any of the hours, the same for the same call
SELECT count(DISTINCT best_hour('p' || n, 'push', '2030-01-16 00:00+00', explore => 1)) > 8 AS many, count(DISTINCT best_hour('p' || n, 'push', '2030-01-16 00:00+00')) AS one,
	bool_and(best_hour('p' || n, 'push', '2030-01-16 00:00+00', explore => 1) = best_hour('p' || n, 'push', '2030-01-16 00:00+00', explore => 1)) AS repeatable FROM generate_series(1, 40) n;
SELECT count(*) FROM hour_probabilities('ann', 'email');
SELECT best_hour(NULL, 'push') AS nobody;
SELECT error($$SELECT best_hour('ann', 'push', '2030-01-16', '2030-01-15')$$);
SELECT error($$SELECT best_hour('ann', 'push', kind => 'like')$$);
SELECT error($$SELECT best_hour('ann', 'push', explore => 2)$$);
SET client_min_messages = warning;
DROP TABLE acts;
