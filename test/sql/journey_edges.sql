-- Journeys where two features meet, or something beside them fails.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
\set ECHO all

-- a goal that does not end a run leaves nothing of its condition to the next one
SELECT create_journey('goals', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]',
	goal => '[{"name": "order", "where": "$.total > 10", "ends": false}, {"name": "cancel"}]') > 0 AS ok;
CALL event('g', 'go');
CALL event('g', 'cancel');
SELECT user_id, state, exit_reason ~ '^goal: event "cancel"' AS by_goal FROM enrollments WHERE journey = 'goals';

-- an absence that is broken takes its digest along: the next event opens another
SELECT create_journey('absence', '{"kind": "absence", "after": {"name": "cart"}, "without": [{"name": "order"}], "within": "10 min"}',
	'[{"id": "d", "digest": "5 min"}, {"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('matched', '{"kind": "absence", "after": {"name": "cart"}, "without": [{"name": "order"}], "within": "10 min", "match": "$.id"}',
	'[{"id": "d", "digest": "5 min"}, {"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('a', 'cart', '{"id": 1}');
CALL event('a', 'order', '{"id": 1}');
SELECT count(*) FROM _digests;
CALL event('a', 'cart', '{"id": 2}');
SELECT user_id, step, due_at FROM _due WHERE user_id = 'a';
CALL drain('15 min');
SELECT journey, user_id, state FROM sends WHERE user_id = 'a' ORDER BY journey;

-- what is counted: kept for another number, not for another event
SELECT create_journey('third', '{"kind": "milestone", "event": "order", "count": 3}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('m', 'order');
CALL event('m', 'order');
SELECT create_journey('third', '{"kind": "milestone", "event": "order", "count": 5}', '[{"id": "s", "send": "hello"}]', or_replace => true) > 0 AS ok;
SELECT user_id, total FROM _counters;
SELECT create_journey('third', '{"kind": "milestone", "event": "visit", "count": 5}', '[{"id": "s", "send": "hello"}]', or_replace => true) > 0 AS ok;
SELECT count(*) FROM _counters;

-- a schedule whose segment fails keeps nobody else waiting, and is not forgotten
CREATE VIEW test.fails AS SELECT 'x' || 1 / (clock() < '2030-01-15 13:00+00')::int AS user_id;
SELECT create_segment('fails', 'test.fails');
SELECT create_journey('scheduled', '{"kind": "schedule", "at": "2030-01-15 14:00", "zone": "UTC", "segment": "fails"}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('followed', '{"kind": "followed", "event": {"name": "release", "path": "$.artist"}, "interest": {"event": "follow", "path": "$.artist"}}',
	'[{"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('f', 'follow', '{"artist": "b"}');
SELECT set_clock('2030-01-15 14:00+00');
CALL event('z', 'release', '{"artist": "b"}');
SET client_min_messages = error;
SELECT maintain();
RESET client_min_messages;
CALL drain();
SELECT journey, user_id, state FROM sends WHERE journey IN ('scheduled', 'followed');
SELECT j.name, f.object, f.not_before > clock_timestamp() AS later FROM _fanouts f JOIN _journeys j USING (journey_id);
CREATE OR REPLACE VIEW test.fails AS SELECT 'x'::text AS user_id;
UPDATE _fanouts SET not_before = '-infinity';
SELECT maintain();
CALL drain();
SELECT journey, user_id, state FROM sends WHERE journey = 'scheduled';

-- notes of changes are not kept for a segment that only fails; it looks at everybody when it works again
CREATE OR REPLACE VIEW test.fails AS SELECT (1 / 0)::text AS user_id;
INSERT INTO users (user_id) VALUES ('n');
SELECT count(trigger_engine._try_segment('fails')) FROM generate_series(1, 6);
SELECT trigger_engine._trim_segments(), failures, full_at FROM _segment_state WHERE segment = 'fails';
SELECT count(*) FROM _segment_touched;
SELECT trigger_engine._try_segment('fails');
SELECT trigger_engine._trim_segments(), failures, full_at FROM _segment_state WHERE segment = 'fails';
SELECT count(*) FROM _segment_touched;

-- an offset that leads out of all time
SELECT error($$SELECT create_journey('far', '{"kind": "date", "attribute": "b", "offset": "200000 years"}', '[{"id": "s", "send": "hello"}]')$$);

-- a date whose time is over before a pass has come to it, while the user's row is written again
SELECT create_journey('birthday', '{"kind": "date", "attribute": "born", "at": "16:00"}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
INSERT INTO users (user_id, attributes, zone) VALUES ('d', '{"born": "1990-01-15"}', 'UTC');
SELECT set_clock('2030-01-15 17:00+00');
UPDATE users SET attributes = attributes || '{"x": 1}' WHERE user_id = 'd';
SET client_min_messages = error;
SELECT maintain();
RESET client_min_messages;
CALL drain();
SELECT user_id, state, due_at FROM sends WHERE journey = 'birthday';

-- amounts that numeric refuses
SELECT create_journey('spent', '{"kind": "milestone", "event": "pay", "sum": {"path": "$.total", "reach": 10}}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('p', 'pay', '{"total": "1e-99999"}');
CALL event('p', 'pay', jsonb_build_object('total', '0.' || repeat('0', 20000) || '1'));
CALL event('p', 'pay', '{"total": "2.50"}');
SELECT user_id, total FROM _counters;

-- while the stamp does not match, nothing is started by hand either
UPDATE _stamp SET installation = 'another';
SET client_min_messages = warning;
SELECT start_journey('goals', 'h');
RESET client_min_messages;
UPDATE _stamp SET installation = '';
SELECT count(*) FROM _due WHERE user_id = 'h';
