-- Triggers whose last word is an event: absence, sequence, milestone; and entries by array.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT trigger_engine.create_template('hello', 'in_app', '{"title": "hello {{ event.product }}"}') \gset
CREATE FUNCTION test.start(name text, trigger jsonb, steps jsonb DEFAULT '[{"id": "send", "send": "hello"}]', exit_on jsonb DEFAULT NULL,
	reentry jsonb DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS bigint LANGUAGE sql AS $$
	SELECT trigger_engine.create_journey(name, trigger, steps, exit_on => exit_on, reentry => reentry, or_replace => or_replace)
$$;
CREATE VIEW test.sent AS SELECT journey, user_id, due_at::timestamp(0) AS due_at, state FROM trigger_engine.sends ORDER BY 1, 2, 3;
\set ECHO all
\pset null '-'

-- what cannot be run is said
SELECT e FROM unnest(ARRAY['{"kind": "absense"}', '{"kind": "absence", "after": {"name": "a"}, "within": "3 min"}',
	'{"kind": "absence", "without": [{"name": "b"}], "within": "3 min"}', '{"kind": "absence", "after": {"name": "a"}, "without": [{"name": "b"}], "within": "-1 min"}',
	'{"kind": "sequence", "events": [{"name": "a"}], "within": "1 min"}', '{"kind": "sequence", "events": [{"name": "a", "times": 101}], "within": "1 min"}',
	'{"kind": "sequence", "events": [{"name": "a"}, "b"], "within": "1 min"}', '{"kind": "milestone", "event": "a"}',
	'{"kind": "milestone", "event": "a", "count": 1.5}', '{"kind": "milestone", "event": "a", "sum": {"path": "$.x", "reach": 0}}',
	'{"kind": "milestone", "event": "a", "streak": {"days": 1}}', '{"kind": "segment", "segment": "s", "on": "in"}', '{"kind": "call", "name": "x"}']) t(d),
	LATERAL test.error(format('SELECT test.start(%L, %L)', 'bad', d)) e;

-- A1: three minutes to the microsecond after a product page, unless something is done about that product
SELECT test.start('left', '{"kind": "absence", "after": {"name": "view"}, "without": [{"name": "cart"}, {"name": "call"}], "within": "3 min", "match": "$.product"}') > 0 AS created;
INSERT INTO events (user_id, name, properties) SELECT u, 'view', '{"product": 1}' FROM unnest(ARRAY['acts', 'late', 'leaves', 'other']) u;
CALL drain('2 min 59.999999 s');
TABLE sent;
CALL event('acts', 'cart', '{"product": 1}');
CALL event('other', 'cart', '{"product": 2}');
CALL event('other', 'cart', '{}');
CALL drain('1 us');
-- when the time is up it is up
CALL event('late', 'cart', '{"product": 1}');
TABLE sent;
SELECT due_at - event_at AS after FROM sends WHERE user_id = 'leaves';
SELECT title FROM inbox('leaves');

-- one that came late, but in time, is found when the step is due; one after the time is not
CALL event('p', 'view', '{"product": 1}', clock() - interval '1 min');
CALL event('q', 'cart', '{"product": 1}', clock() - interval '30 s');
CALL event('q', 'view', '{"product": 1}', clock() - interval '1 min');
CALL event('r', 'cart', '{"product": 1}', clock() - interval '30 s');
CALL event('r', 'view', '{"product": 1}', clock() - interval '10 min');
CALL event('s', 'view', '{"product": 1}', clock() - interval '10 min');
CALL event('s', 'cart', '{"product": 1}', clock() - interval '5 min');
CALL drain('3 min');
SELECT * FROM sent WHERE user_id IN ('p', 'q', 'r', 's');

-- in one transaction, and taken back
BEGIN;
CALL event('t', 'view', '{"product": 1}');
SAVEPOINT a;
CALL event('t', 'cart', '{"product": 1}');
SELECT count(*) FROM _due WHERE user_id = 't';
ROLLBACK TO a;
SELECT count(*) FROM _due WHERE user_id = 't';
INSERT INTO events (user_id, name, properties) VALUES ('t2', 'view', '{"product": 1}'), ('t2', 'cart', '{"product": 1}');
COMMIT;
SELECT user_id, count(*) FROM _due GROUP BY 1;

-- an abandoned cart at ten minutes since the last change: what begins it ends the one before
SELECT drop_journey('left');
SELECT test.start('cart', '{"kind": "absence", "after": {"name": "cart"}, "without": [{"name": "cart"}, {"name": "order"}], "within": "10 min"}') > 0 AS created;
CALL event('c1', 'cart');
CALL event('c2', 'cart');
CALL drain('6 min');
CALL event('c1', 'cart');
CALL drain('9 min');
CALL event('c1', 'order');
CALL drain('10 min');
SELECT * FROM sent WHERE journey = 'cart';
-- after the time only exit_on ends a run
SELECT test.start('cart', '{"kind": "absence", "after": {"name": "cart"}, "without": [{"name": "order"}], "within": "10 min"}',
	'[{"id": "first", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "second", "send": "hello"}]', exit_on => '[{"name": "away"}]', or_replace => true) > 0 AS created;
CALL event('c3', 'cart');
CALL event('c4', 'cart');
CALL drain('20 min');
CALL event('c3', 'order');
CALL event('c4', 'away');
CALL drain('1 h');
SELECT user_id, step, state FROM sends WHERE user_id IN ('c3', 'c4') ORDER BY 1, 2;

-- sequences: in their order, in time, at the last event
SELECT test.start('seq', '{"kind": "sequence", "events": [{"name": "a", "where": "$.x == 1"}, {"name": "b"}, {"name": "a"}], "within": "5 min"}') > 0 AS created;
SELECT test.start('rage', '{"kind": "sequence", "events": [{"name": "click", "times": 5}], "within": "10 s"}') > 0 AS created;
CREATE PROCEDURE test.steps(user_id text, steps text) LANGUAGE plpgsql AS $$
DECLARE
	step text;
BEGIN
	FOREACH step IN ARRAY string_to_array(steps, ' ') LOOP
		CALL test.event($1, split_part(step, '/', 1), jsonb_build_object('x', split_part(step, '/', 3)::numeric),
			'2030-01-15 20:00+00'::timestamptz + split_part(step, '/', 2)::float8 * interval '1 s');
	END LOOP;
END
$$;
SELECT set_clock('2030-01-15 20:00+00') \gset
CALL steps('right', 'a/0/1 b/10/0 c/20/0 a/30/0');
CALL steps('wrong order', 'b/0/0 a/10/1 a/20/0');
CALL steps('wrong value', 'a/0/2 b/10/0 a/20/0');
CALL steps('too slow', 'a/0/1 b/10/0 a/300.001/0');
CALL steps('just in time', 'a/0/1 b/10/0 a/300/0');
CALL steps('twice', 'a/0/1 b/10/0 a/20/0 b/25/0 a/30/0');
-- in one statement
INSERT INTO events (user_id, name, properties) SELECT 'together', n, '{"x": 1}' FROM unnest(ARRAY['a', 'b', 'a']) WITH ORDINALITY u(n, o) ORDER BY o;
CALL steps('angry', 'click/0/0 click/1/0 click/2/0 click/3/0 click/4/0 click/5/0 click/6/0');
CALL steps('calm', 'click/0/0 click/3/0 click/6/0 click/9/0 click/12/0 click/15/0');
CALL drain('1 h');
SELECT journey, user_id, count(*) FROM sends WHERE journey IN ('seq', 'rage') GROUP BY 1, 2 ORDER BY 1, 2;
-- by the index of one user
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT name, properties FROM events_default WHERE user_id = 'x' AND occurred_at >= '2030-01-01' AND (occurred_at, event_id) < ('2030-01-02', 5)
	AND name = ANY ('{a,b}') ORDER BY occurred_at DESC, event_id DESC LIMIT 1000;
RESET enable_seqscan;

-- milestones
SELECT test.start('tenth', '{"kind": "milestone", "event": "order", "where": "$.total > 0", "count": 10}') > 0 AS created;
SELECT test.start('every third', '{"kind": "milestone", "event": "order", "count": 3, "every": true}') > 0 AS created;
SELECT test.start('hundred', '{"kind": "milestone", "event": "order", "sum": {"path": "$.total", "reach": 100}}') > 0 AS created;
INSERT INTO events (user_id, name, properties) SELECT 'm', 'order', jsonb_build_object('total', n) FROM generate_series(0, 21) n;
INSERT INTO events (user_id, name, properties) SELECT 'n', 'order', jsonb_build_object('total', v) FROM unnest(ARRAY['99.5', 'nothing', '1e999999', '-5', '5.5', '0.1']) v;
BEGIN;
CALL event('o', 'order', '{"total": 100}');
ROLLBACK;
CALL event('o', 'order', '{"total": 99.99}');
CALL drain();
SELECT s.journey, s.user_id, string_agg(e.properties ->> 'total', ' ' ORDER BY e.event_id) AS at FROM sends s JOIN events e USING (user_id, event_id)
WHERE e.name = 'order' AND s.journey <> 'cart' GROUP BY 1, 2 ORDER BY 1, 2;
-- seven days in a row by the user's own clock
SELECT test.start('streak', '{"kind": "milestone", "event": "visit", "streak": {"days": 3}, "every": true}') > 0 AS created;
INSERT INTO users (user_id, zone) VALUES ('east', 'Pacific/Kiritimati'), ('bad', 'Nowhere');
INSERT INTO events (user_id, name, occurred_at) SELECT u, 'visit', '2030-01-10 09:30+00'::timestamptz + n * interval '1 day'
FROM unnest(ARRAY['east', 'utc', 'bad']) u, unnest(ARRAY[0, 1, 1, 2, 3]) n;
INSERT INTO events (user_id, name, occurred_at) VALUES ('gap', 'visit', '2030-01-10'), ('gap', 'visit', '2030-01-11'), ('gap', 'visit', '2030-01-13'), ('gap', 'visit', '2030-01-14'),
	('shift', 'visit', '2030-01-10 10:00+00'), ('shift', 'visit', '2030-01-11 10:00+00'), ('shift', 'visit', '2030-01-11 23:00+00'),
	('east2', 'visit', '2030-01-10 09:00+00');
INSERT INTO users (user_id, zone) VALUES ('east3', 'Pacific/Kiritimati');
INSERT INTO events (user_id, name, occurred_at) VALUES ('east3', 'visit', '2030-01-10 09:00+00'), ('east3', 'visit', '2030-01-10 11:00+00'), ('east3', 'visit', '2030-01-12 09:00+00');
CALL drain();
SELECT user_id, event_at FROM sends WHERE journey = 'streak' ORDER BY 1, 2;

CREATE VIEW no_one_enters AS SELECT 'nobody' AS user_id;
SELECT create_segment('s', 'no_one_enters');
-- entries by array: policies hold, a key is used once, and what is not live takes none
SELECT test.start('called', '{"kind": "call"}') AS called, test.start('once', '{"kind": "segment", "segment": "s", "on": "entered"}', reentry => '{"policy": "once"}') AS once \gset
SELECT _enter(ARRAY[:called, :called, :called, :once, :once, 0], '{u,u,v,u,u,u}', '{k1,k1,k1,k1,k2,k1}', array_fill(clock(), '{6}'), array_fill('{"product": "P"}'::jsonb, '{6}'));
CALL drain();
SELECT _enter(ARRAY[:called, :called], '{u,u}', '{k1,k2}', array_fill(clock() + interval '1 h', '{2}'), array_fill(NULL::jsonb, '{2}'));
SELECT disable_journey('called');
SELECT _enter(ARRAY[:called], '{w}', '{k1}', ARRAY[clock()], '{NULL}');
CALL drain('1 h');
SELECT s.journey, s.user_id, s.entry_key, s.state, i.title FROM sends s LEFT JOIN inbox i USING (send_id, user_id) WHERE s.journey IN ('called', 'once') ORDER BY 1, 2, 3;
SELECT error('SELECT _enter(ARRAY[1], ''{}'', ''{}'', ''{}'', ''{}'')');

-- in another installation nothing enters and nothing is counted
SELECT enable_journey('called');
UPDATE _stamp SET installation = 'elsewhere';
SELECT _enter(ARRAY[:called], '{w}', '{k2}', ARRAY[clock()], '{NULL}');
INSERT INTO events (user_id, name, properties) SELECT 'fenced', 'order', '{"total": 200}';
SELECT count(*) FROM _counters WHERE user_id = 'fenced';
UPDATE _stamp SET installation = current_setting('trigger_engine.installation');
-- what is counted goes with the journey
SELECT count(*) > 0 AS counted FROM _counters;
SELECT drop_journey(name) FROM journeys WHERE trigger ->> 'kind' = 'milestone' ORDER BY name;
SELECT count(*) FROM _counters;
