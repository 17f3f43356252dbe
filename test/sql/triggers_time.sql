-- Triggers that begin with time, with a user's row, or with an object.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT trigger_engine.create_template('hello', 'in_app', '{"title": "hello {{ event.rung }}{{ event.from }}{{ event.now }}{{ event.title }}"}') \gset
CREATE FUNCTION test.start(name text, trigger jsonb) RETURNS bigint LANGUAGE sql AS $$
	SELECT trigger_engine.create_journey(name, trigger, '[{"id": "send", "send": "hello"}]')
$$;
-- lets the clock go on, with a pass at the end as the maintenance worker makes one every minute
CREATE PROCEDURE test.pass(by interval DEFAULT '0') LANGUAGE plpgsql AS $$
BEGIN
	PERFORM trigger_engine.advance_clock(by);
	-- the maintenance worker may be at the same
	WHILE EXISTS (SELECT FROM trigger_engine._timers t WHERE t.due_at <= trigger_engine.clock()) OR EXISTS (SELECT FROM trigger_engine._fanouts) LOOP
		PERFORM trigger_engine._run_timers(), trigger_engine._run_fanout();
	END LOOP;
END
$$;
CREATE VIEW test.sent AS SELECT s.journey, s.user_id, s.due_at, s.state, i.title FROM trigger_engine.sends s LEFT JOIN trigger_engine.inbox i USING (user_id, send_id)
	ORDER BY s.journey COLLATE "C", s.due_at, s.user_id COLLATE "C";
\set ECHO all
\pset null '-'

SELECT e FROM unnest(ARRAY['{"kind": "attribute", "name": "a"}', '{"kind": "attribute", "to": 1}', '{"kind": "inactivity", "for": ["7 days", "1 day"], "events": [{"name": "a"}]}',
	'{"kind": "inactivity", "for": ["7 days"]}', '{"kind": "date", "attribute": "b", "at": "25:00"}', '{"kind": "date", "attribute": "b", "feb29": "x"}',
	'{"kind": "schedule", "segment": "s"}', '{"kind": "schedule", "segment": "s", "cron": "a b"}', '{"kind": "schedule", "segment": "s", "cron": "0 9 * * *"}',
	'{"kind": "price_drop", "source": "public.nothing", "key": "id", "column": "price", "interest": {"event": "view", "path": "$.id"}}',
	'{"kind": "price_drop", "source": "pg_catalog.pg_class", "key": "oid", "column": "price", "interest": {"event": "view", "path": "$.id"}}',
	'{"kind": "followed", "event": {"name": "release"}, "interest": {"event": "follow", "path": "$.artist"}}',
	'{"kind": "followed", "event": {"name": "release", "path": "$.artist"}}']) t(d),
	LATERAL test.error(format('SELECT test.start(%L, %L)', 'bad', d)) e;

-- an attribute: in the transaction that changes it
SELECT test.start('upgraded', '{"kind": "attribute", "name": "plan", "from": "free", "to": "pro"}') > 0 AS created;
SELECT test.start('level', '{"kind": "attribute", "path": "$.game.level", "changed": true}') > 0 AS created;
INSERT INTO users (user_id, attributes) SELECT u, '{"plan": "free", "game": {"level": 1}}' FROM unnest(ARRAY['a', 'b', 'c']) u;
UPDATE users SET attributes = attributes || '{"plan": "pro"}' WHERE user_id = 'a';
UPDATE users SET attributes = attributes || '{"plan": "trial"}' WHERE user_id = 'b';
UPDATE users SET attributes = attributes || '{"plan": "pro"}' WHERE user_id = 'b';
BEGIN;
UPDATE users SET attributes = attributes || '{"plan": "pro"}' WHERE user_id = 'c';
ROLLBACK;
UPDATE users SET attributes = '{"plan": "free", "game": {"level": 1.0}}', locale = 'de' WHERE user_id = 'c';
UPDATE users SET attributes = '{"plan": "free"}' WHERE user_id = 'c';
CALL drain();
SELECT journey, user_id, title FROM sent;
SELECT drop_journey(name) FROM journeys ORDER BY name;
DELETE FROM users;

-- A11: a ladder of a week and a month without activity; activity writes nothing while the first rung waits
CALL event('old', 'visit', '{}', clock() - interval '10 days');
CALL event('older', 'visit', '{}', clock() - interval '40 days');
SELECT test.start('idle', '{"kind": "inactivity", "for": ["7 days", "30 days"], "events": [{"name": "visit"}]}') AS idle \gset
CALL event('gone', 'visit');
CALL event('stays', 'visit');
CALL event('back', 'visit');
SELECT user_id, due_at, rung FROM _timers ORDER BY 1;
CALL pass('3 days');
SELECT xmin AS before FROM _timers WHERE user_id = 'stays' \gset
CALL event('stays', 'visit');
SELECT xmin = :before AS "not written" FROM _timers WHERE user_id = 'stays';
CALL pass('3 days 23 h 59 min');
CALL drain();
SELECT count(*) FROM sent WHERE journey = 'idle';
CALL pass('1 min');
CALL drain();
SELECT * FROM sent WHERE journey = 'idle';
CALL pass('1 day');
CALL event('back', 'visit');
CALL event('stays', 'visit');
CALL pass('7 days');
CALL pass('16 days');
CALL drain();
SELECT user_id, due_at, title FROM sent WHERE journey = 'idle';
-- paused, nothing enters; live again, what is so then does
SELECT disable_journey('idle');
CALL event('new', 'visit');
SELECT enable_journey('idle');
CALL event('new', 'visit');
SELECT disable_journey('idle');
CALL pass('8 days');
SELECT count(*) FROM _due;
SELECT enable_journey('idle');
CALL pass('11 min');
CALL drain();
SELECT user_id, due_at, title FROM sent WHERE user_id = 'new';
-- by the index on time, and by that of one user
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS off) SELECT * FROM _timers WHERE due_at <= clock() ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED;
EXPLAIN (COSTS off) SELECT user_id FROM _followers WHERE journey_id = 1 AND object = 'o' AND since <= '2030-01-01' ORDER BY user_id;
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT drop_journey('idle');
SELECT count(*) FROM _timers;

-- A9: birthdays at nine by everybody's own clock, in all zones and in years without 29 February
SELECT _next_date(t.trigger, v.value, v.zone, v.after) FROM (VALUES
	('2000-03-05', 'Pacific/Kiritimati', '2030-03-01'::timestamptz), ('2000-03-05', 'Etc/GMT+12', '2030-03-01'), ('2000-02-29', 'UTC', '2030-01-01'), ('2000-02-29', 'UTC', '2032-01-01'),
	('2000-12-31', 'Etc/GMT+12', '2030-12-31 20:59:59+00'), ('2000-12-31', 'Etc/GMT+12', '2030-12-31 21:00+00'), ('2000-01-01', 'Pacific/Kiritimati', '2030-12-31 18:59+00'),
	('2000-02-30', 'UTC', '2030-01-01'), ('soon', 'UTC', '2030-01-01'), (NULL, 'UTC', '2030-01-01'), ('2000-06-01T00:00:00Z', 'Nowhere', '2030-01-01'), ('2040-06-01', 'UTC', '2030-01-01'),
	('2000-03-31', 'Europe/Berlin', '2030-01-01')) v(value, zone, after),
	(VALUES ('{"kind": "date", "attribute": "b", "at": "09:00"}'::jsonb)) t(trigger);
SELECT _next_date(t.trigger::jsonb, '2000-02-29', 'UTC', '2030-01-20'), _next_date(t.trigger::jsonb, '2030-01-03', 'UTC', '2030-01-20')
FROM unnest(ARRAY['{"feb29": "mar1"}', '{"offset": "-7 days"}', '{"offset": "-60 days", "at": "00:00"}', '{"every": "once"}', '{"every": "once", "offset": "30 days"}']) t(trigger);
SELECT set_clock('2031-02-27 12:00+00') \gset
INSERT INTO users (user_id, attributes, zone) VALUES ('leap', '{"birthday": "2000-02-29"}', 'UTC'), ('east', '{"birthday": "2000-02-28"}', 'Pacific/Kiritimati'),
	('west', '{"birthday": "2000-02-28"}', 'Etc/GMT+12'), ('none', '{}', NULL);
SELECT test.start('birthday', '{"kind": "date", "attribute": "birthday", "at": "09:00"}') > 0 AS created;
INSERT INTO users (user_id, attributes) VALUES ('later', '{"birthday": "1990-06-01"}'), ('moved', '{"birthday": "1990-06-01"}');
UPDATE users SET attributes = '{"birthday": "1990-02-28"}' WHERE user_id = 'moved';
SELECT user_id, due_at FROM _timers ORDER BY 1;
CALL pass('6 h 59 min');
CALL drain('59.999999 s');
SELECT * FROM sent WHERE journey = 'birthday';
CALL drain('1 us');
CALL pass('1 day');
CALL pass();
CALL drain();
SELECT * FROM sent WHERE journey = 'birthday';
SELECT user_id, due_at FROM _timers ORDER BY 1;
SELECT drop_journey('birthday');
DELETE FROM users;

-- schedules: by everybody's own clock, or by one
SELECT set_clock('2031-03-01 00:00+00') \gset
INSERT INTO users (user_id, zone) VALUES ('utc', 'UTC'), ('east', 'Pacific/Kiritimati'), ('west', 'Etc/GMT+12'), ('berlin', 'Europe/Berlin');
CREATE VIEW test.everybody AS SELECT user_id FROM trigger_engine.users;
SELECT create_segment('all', 'test.everybody');
SELECT test.start('each', '{"kind": "schedule", "cron": "0 9 * * mon", "segment": "all"}') > 0 AS created;
SELECT test.start('berlin', '{"kind": "schedule", "at": "2031-03-03 09:00", "segment": "all", "zone": "Europe/Berlin", "rate": 2}') > 0 AS created;
SELECT test.error($$SELECT test.start('nowhere', '{"kind": "schedule", "at": "2031-03-03 09:00", "segment": "all", "zone": "Nowhere"}')$$);
CALL pass('1 day 18 h 58 min');
CALL pass('13 h');
CALL drain('14 h');
SELECT * FROM sent WHERE journey IN ('each', 'berlin');
SELECT due_at FROM _timers WHERE user_id = '' ORDER BY 1;
SELECT drop_journey(name) FROM journeys ORDER BY name;

-- A8: those who follow an artist hear of a release, so many a minute; and those who looked at a product of a lower price
SELECT test.start('release', '{"kind": "followed", "event": {"name": "release", "path": "$.artist"}, "interest": {"event": "follow", "path": "$.artist", "until": "unfollow"}, "rate": 2}') > 0 AS created;
INSERT INTO events (user_id, name, properties) SELECT 'f' || n, 'follow', '{"artist": 7}' FROM generate_series(1, 5) n;
CALL event('f3', 'unfollow', '{"artist": 7}');
CALL event('g', 'follow', '{"artist": 8}');
CALL event('g', 'follow', '{}');
CALL event('label', 'release', '{"artist": 7, "title": "Blue"}');
CALL event('f9', 'follow', '{"artist": 7}', clock() + interval '1 s');
CALL pass();
CALL pass();
CALL drain('1 h');
SELECT user_id, due_at - first_value(due_at) OVER (ORDER BY due_at) AS after, title FROM sent WHERE journey = 'release';
SET client_min_messages = warning;
CREATE TABLE test.products (id integer PRIMARY KEY, price numeric, stock integer);
INSERT INTO test.products VALUES (1, 100, 0), (2, 100, NULL);
SELECT test.start('cheaper', '{"kind": "price_drop", "source": "test.products", "key": "id", "column": "price", "by": "10%", "interest": {"event": "view", "path": "$.product"}}') > 0 AS created;
SELECT test.start('again', '{"kind": "back_in_stock", "source": "test.products", "key": "id", "column": "stock", "interest": {"event": "view", "path": "$.product"}}') > 0 AS created;
INSERT INTO events (user_id, name, properties) SELECT u, 'view', '{"product": 1}' FROM unnest(ARRAY['v1', 'v2', 'v1']) u;
UPDATE test.products SET price = 90.01;
UPDATE test.products SET price = 81;
UPDATE test.products SET price = 200, stock = 0;
UPDATE test.products SET stock = 5;
UPDATE test.products SET stock = 6;
BEGIN;
UPDATE test.products SET price = 1;
ROLLBACK;
CALL pass();
CALL drain();
SELECT journey, user_id, title FROM sent WHERE journey IN ('cheaper', 'again');
-- a paused journey and another installation tell nothing
SELECT disable_journey('cheaper');
UPDATE test.products SET price = 10;
SELECT enable_journey('cheaper');
UPDATE _stamp SET installation = 'elsewhere';
UPDATE test.products SET price = 5;
UPDATE _stamp SET installation = current_setting('trigger_engine.installation');
SELECT count(*) FROM _fanouts;
SELECT drop_journey('cheaper'), drop_journey('again');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'test.products'::regclass;

-- what was before a milestone was made
INSERT INTO events (user_id, name, properties) SELECT 'h', 'order', jsonb_build_object('total', n) FROM generate_series(1, 4) n;
SELECT test.start('fifth', '{"kind": "milestone", "event": "order", "where": "$.total > 0", "count": 5, "count_history": true}') > 0 AS created;
SELECT test.start('ten', '{"kind": "milestone", "event": "order", "where": "$ ? (@.total > 1)", "sum": {"path": "$.total", "reach": 10}, "count_history": true}') > 0 AS created;
SELECT total FROM _counters ORDER BY journey_id;
CALL event('h', 'order', '{"total": 2}');
CALL drain();
SELECT journey, count(*) FROM sent WHERE journey IN ('fifth', 'ten') GROUP BY 1 ORDER BY 1;

-- how long people take by themselves
INSERT INTO events (user_id, name, occurred_at) SELECT 'd' || n, 'basket', clock() - interval '2 days' FROM generate_series(1, 10) n;
INSERT INTO events (user_id, name, occurred_at) SELECT 'd' || n, 'paid', clock() - interval '2 days' + n * n * interval '1 min' FROM generate_series(1, 8) n;
SELECT * FROM suggest_delay('basket', 'paid', within => '1 h', buckets => 4);
