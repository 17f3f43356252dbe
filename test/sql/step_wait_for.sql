-- Waiting for events: the first of several, until a timeout, in the event's transaction.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "{{ step }}"}') \gset
CREATE FUNCTION test.walk(user_id text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step || ' ' || to_char(due_at, 'HH24:MI:SS.US'), ', ' ORDER BY due_at, send_id) FROM trigger_engine.sends WHERE user_id = $1
$$;
CREATE FUNCTION test.at(time) RETURNS text LANGUAGE sql AS $$ SELECT trigger_engine.set_clock('2030-01-15 00:00+00'::timestamptz + $1)::text $$;
\set ECHO all

SELECT create_journey('race', '{"kind": "event", "name": "go"}', '[{"id": "first", "send": "hello"},
	{"id": "w", "wait_for": [
		{"event": "order", "where": "$.total > 10", "steps": [{"id": "ordered", "send": "hello"}]},
		{"event": "click", "steps": [{"id": "clicked", "send": "hello"}]},
		{"event": "stop", "steps": [{"id": "x", "exit": "asked to"}]},
		{"event": "skip"}], "timeout": "1 h", "else": [{"id": "late", "send": "hello"}]},
	{"id": "last", "send": "hello"}]') > 0 AS ok;
-- before the run, and with it: does not count
CALL event('u1', 'click');
CALL event('u1', 'go');
CALL event('u2', 'go');
CALL event('u3', 'go');
CALL event('u4', 'go');
CALL event('u5', 'go');
CALL event('u6', 'go');
CALL drain();
SELECT user_id, step, due_at, arm FROM _due ORDER BY 1;
-- the first wins; the second finds nothing to do, also in the same transaction
SELECT set_clock('2030-01-15 12:10+00');
BEGIN;
CALL event('u1', 'click');
CALL event('u1', 'order', '{"total": 20}');
SELECT step, due_at, arm FROM _due WHERE user_id = 'u1';
COMMIT;
-- a rollback takes it back
BEGIN;
CALL event('u2', 'click');
ROLLBACK;
-- another user's, and one that does not fit
CALL event('u3', 'order', '{"total": 5}');
CALL event('u4', 'order', '{"total": 15}');
CALL event('u5', 'stop');
CALL event('u6', 'skip');
CALL drain();
SELECT user_id, step, due_at, arm FROM _due ORDER BY 1;
-- at the timeout to the microsecond: before it, and at it
SELECT set_clock('2030-01-15 12:59:59.999999+00');
CALL event('u2', 'click');
CALL drain();
SELECT set_clock('2030-01-15 13:00+00');
CALL event('u3', 'click');
CALL drain();
SELECT user_id, walk(user_id) FROM generate_series(1, 6) n, LATERAL (SELECT 'u' || n AS user_id) u;
SELECT user_id, state, exit_reason FROM enrollments ORDER BY 1;
-- never in two places
SELECT user_id, journey_id, entry_key, count(*) FROM _due GROUP BY 1, 2, 3 HAVING count(*) > 1;

-- a wait before it: what comes too early does not count, what comes while no worker looks does
SELECT create_journey('calm', '{"kind": "event", "name": "calm"}', '[{"id": "r", "wait": "10 min"},
	{"id": "w", "wait_for": [{"event": "click", "steps": [{"id": "clicked", "send": "hello"}]}], "timeout": "1 h", "else": [{"id": "late", "send": "hello"}]}]') > 0 AS ok;
SELECT set_clock('2030-01-15 14:00+00');
CALL event('c1', 'calm');
CALL event('c2', 'calm');
CALL event('c3', 'calm');
SELECT set_clock('2030-01-15 14:09:59+00');
CALL event('c1', 'click');
CALL drain();
SELECT pause('the worker looks away') \gset
SELECT set_clock('2030-01-15 14:10+00');
CALL event('c2', 'click');
SELECT set_clock('2030-01-15 14:20+00');
SELECT resume() \gset
CALL drain();
SELECT user_id, walk(user_id) FROM unnest('{c1,c2,c3}'::text[]) user_id;
CALL drain('1 h');
SELECT user_id, walk(user_id) FROM unnest('{c1,c2,c3}'::text[]) user_id;

-- already true counts when asked for: events since the run began
SELECT create_journey('counts', '{"kind": "event", "name": "counts"}', '[{"id": "r", "wait": "10 min"},
	{"id": "w", "wait_for": [{"event": "click", "steps": [{"id": "clicked", "send": "hello"}]}, {"event": "like", "steps": [{"id": "liked", "send": "hello"}]}],
	"timeout": "1 h", "already_true": "count", "else": [{"id": "late", "send": "hello"}]}]') > 0 AS ok;
SELECT set_clock('2030-01-15 16:00+00');
CALL event('d1', 'click', '{}', '2030-01-15 15:59+00');
CALL event('d1', 'counts');
CALL event('d2', 'counts');
CALL event('d3', 'counts');
SELECT set_clock('2030-01-15 16:05+00');
CALL event('d2', 'like');
CALL event('d2', 'click');
CALL drain();
SELECT set_clock('2030-01-15 16:10+00');
CALL drain();
SELECT user_id, step, due_at, arm FROM _due ORDER BY 1;
SELECT set_clock('2030-01-15 16:20+00');
CALL event('d3', 'like');
CALL drain();
CALL drain('1 h');
SELECT user_id, walk(user_id) FROM unnest('{d1,d2,d3}'::text[]) user_id;

-- the first step, and many in one statement
SELECT create_journey('many', '{"kind": "event", "name": "many"}', '[{"id": "w", "wait_for": [{"event": "click"}], "timeout": "1 h", "else": [{"id": "x", "exit": "late"}]}, {"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT set_clock('2030-01-15 18:00+00');
INSERT INTO events (user_id, name) SELECT 'm' || n, name FROM generate_series(1, 300) n, unnest('{many,click}'::text[]) WITH ORDINALITY AS e(name, ord)
WHERE name = 'many' OR n % 3 = 0 ORDER BY ord;
CALL drain();
SELECT step, count(*) FROM sends WHERE user_id ~ '^m' GROUP BY 1;
CALL drain('1 h');
SELECT state, exit_reason, count(*) FROM enrollments WHERE journey = 'many' GROUP BY 1, 2 ORDER BY 1;

-- an exit event goes before; a row of a tracked table wakes a run as well
CREATE TABLE test.orders (id int PRIMARY KEY, customer text, total int);
SELECT track_table('test.orders', 'paid', 'customer', '{total}');
SELECT create_journey('tracked', '{"kind": "event", "name": "t"}', '[{"id": "w", "wait_for": [{"event": "paid", "where": "$.total > 5", "steps": [{"id": "thanks", "send": "hello"}]}], "timeout": "1 h"}]', exit_on => '[{"name": "gone"}]') > 0 AS ok;
CALL event('t1', 't');
CALL event('t2', 't');
CALL drain();
INSERT INTO test.orders VALUES (1, 't1', 10), (2, 't2', 1);
CALL event('t2', 'gone');
CALL drain();
SELECT user_id, walk(user_id) FROM unnest('{t1,t2}'::text[]) user_id;
SELECT user_id, state, exit_reason FROM enrollments WHERE journey = 'tracked' ORDER BY 1;

-- a version that runs keeps what it waits for
SELECT create_journey('kept', '{"kind": "event", "name": "k"}', '[{"id": "w", "wait_for": [{"event": "old", "steps": [{"id": "o", "send": "hello"}]}], "timeout": "1 h"}]') > 0 AS ok;
CALL event('k1', 'k');
SELECT alter_journey('kept', steps => '[{"id": "w", "wait_for": [{"event": "new", "steps": [{"id": "n", "send": "hello"}]}], "timeout": "1 h"}]');
CALL event('k2', 'k');
CALL event('k1', 'new');
CALL event('k2', 'old');
CALL drain();
SELECT user_id, arm FROM _due ORDER BY 1;
CALL event('k1', 'old');
CALL event('k2', 'new');
CALL drain();
SELECT user_id, step FROM sends WHERE journey = 'kept' ORDER BY 1;

-- without a timeout it warns, and waits
SELECT create_journey('endless', '{"kind": "event", "name": "e"}', '[{"id": "w", "wait_for": [{"event": "click"}]}, {"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('e1', 'e');
CALL drain();
SELECT due_at FROM _due WHERE user_id = 'e1';
CALL event('e1', 'click');
CALL drain();
SELECT step FROM sends WHERE user_id = 'e1';
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait_for": [{"event": "click"}], "else": []}, {"id": "s", "send": "hello"}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait_for": [{"name": "click"}], "timeout": "1 h"}, {"id": "s", "send": "hello"}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait_for": [{"event": "click"}], "timeout": "1 h", "already_true": "yes"}, {"id": "s", "send": "hello"}]')$$);
