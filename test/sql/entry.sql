-- Entering, entering again, and leaving.
\set ECHO none
\i test/sql/include/fresh.sql
-- how often each user is in each journey, and what became of it
CREATE VIEW test.runs AS
SELECT journey, user_id, count(*) AS runs, string_agg(state || coalesce(' ' || regexp_replace(exit_reason, 'events/\d+', 'events/N'), ''), ', ' ORDER BY entered_at, entry_key) AS states
FROM trigger_engine.enrollments GROUP BY 1, 2 ORDER BY journey COLLATE "C", user_id;
\set ECHO all
\pset null '-'

-- every event enters, unless told otherwise
CALL journey('always', wait => '1 h');
CALL journey('once', wait => '1 h', reentry => '{"policy": "once"}');
CALL journey('per key', wait => '1 h', entry_key => '$.id');
CALL journey('after', wait => '1 h', reentry => '{"policy": "after", "after": "1 day"}');
CALL journey('two', wait => '1 h', reentry => '{"policy": "parallel", "limit": 2}');

-- in one statement
INSERT INTO events (user_id, name, properties) VALUES ('a', 'cart', '{"id": 1}'), ('a', 'cart', '{"id": 1}'), ('a', 'cart', '{"id": 2}'), ('b', 'cart', '{}');
TABLE runs;
-- over several
CALL event('a', 'cart', '{"id": 2}');
CALL event('a', 'cart', '{"id": 3}');
CALL event('b', 'cart', '{"id": null}');
CALL event('b', 'cart', '{"id": "x"}');
TABLE runs;
SELECT user_id, entry_key FROM enrollments WHERE journey IN ('once', 'per key') ORDER BY 1, 2;

-- in one transaction with savepoints: what is rolled back never entered, and took no key
BEGIN;
CALL event('s1', 'cart', '{"id": 1}');
SAVEPOINT a;
CALL event('s1', 'cart', '{"id": 1}');
CALL event('s2', 'cart', '{"id": 1}');
SAVEPOINT b;
CALL event('s3', 'cart', '{"id": 1}');
RELEASE b;
ROLLBACK TO a;
CALL event('s2', 'cart', '{"id": 1}');
SAVEPOINT c;
CALL event('s2', 'cart', '{"id": 1}');
RELEASE c;
COMMIT;
SELECT * FROM runs WHERE user_id ~ 's';
-- an error inside a statement's own subtransaction
DO $$
BEGIN
	BEGIN
		INSERT INTO events (user_id, name, properties) VALUES ('s4', 'cart', '{"id": 1}'), ('s5', 'cart', '{"id": 1}');
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO events (user_id, name, properties) VALUES ('s5', 'cart', '{"id": 1}');
	END;
END
$$;
SELECT * FROM runs WHERE user_id IN ('s4', 's5');
BEGIN;
CALL event('s6', 'cart', '{"id": 1}');
ROLLBACK;
SELECT count(*) FROM runs WHERE user_id = 's6';
CALL event('s6', 'cart', '{"id": 1}');
SELECT * FROM runs WHERE user_id = 's6';

-- an hour later all have run, and those that are bounded by what runs may enter again
CALL drain('1 h');
SELECT user_id, journey, count(*) FROM inbox WHERE user_id = 'a' GROUP BY 1, 2 ORDER BY 1, 2;
CALL event('a', 'cart', '{"id": 1}');
SELECT * FROM runs WHERE user_id = 'a';
-- after: by the event's own time, to the microsecond
CALL event('c', 'cart', '{"id": 1}');
SELECT clock() AS entered \gset
SELECT advance_clock('23:59:59.999999');
CALL event('c', 'cart', '{"id": 1}');
SELECT runs FROM runs WHERE journey = 'after' AND user_id = 'c';
SELECT advance_clock('1 microsecond');
CALL event('c', 'cart', '{"id": 1}');
SELECT runs FROM runs WHERE journey = 'after' AND user_id = 'c';
-- a late one lies within the interval of the other side
CALL event('c', 'cart', '{"id": 1}', :'entered'::timestamptz + interval '1 hour');
SELECT runs FROM runs WHERE journey = 'after' AND user_id = 'c';
SELECT wait_until_idle();

-- a key of any length and kind
INSERT INTO events (user_id, name, properties) VALUES
	('k', 'cart', '{"id": ""}'), ('k', 'cart', '{"id": "key"}'), ('k', 'cart', '{"id": true}'), ('k', 'cart', '{"id": {"a": [1]}}'), ('k', 'cart', '{"id": ["first", 2]}');
INSERT INTO events (user_id, name, properties)
SELECT 'long', 'cart', jsonb_build_object('id', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i) || n) FROM (VALUES (1), (2), (1)) v(n);
SELECT user_id, runs FROM runs WHERE journey = 'per key' AND user_id IN ('k', 'long');
-- numbers that are equal are one key, however they are written
INSERT INTO events (user_id, name, properties) SELECT 'number', 'cart', jsonb_build_object('id', n::jsonb)
FROM unnest(ARRAY['5', '5.0', '5.000', '0.5e1', '5.01', '-0', '0', '1e30', '1000000000000000000000000000000.0', '[5]', '[5.0]', '{"a": {"b": 7}}', '{"a": {"b": 7.0}}']) n;
SELECT entry_key FROM enrollments WHERE journey = 'per key' AND user_id = 'number' ORDER BY entry_key COLLATE "C";
SELECT entry_key ~ '^sha256/[0-9a-f]{64}$' AS digest FROM enrollments WHERE journey = 'per key' AND user_id = 'long';
SELECT drop_journey(name) FROM journeys ORDER BY name;
-- their history stays, under their id
SELECT DISTINCT journey ~ '^journey [0-9]+$' AS by_id FROM enrollments;

-- exits and goals cancel what is due, at once
CALL journey('watch', 'in', wait => '1 h', exit_on => '[{"name": "out"}, {"name": "bought", "where": "$.total > 10"}]');
SELECT create_journey('aim', '{"kind": "event", "name": "in"}', '[{"id": "w", "wait": "1 h"}, {"id": "send", "send": "hello"}]', goal => '{"name": "aimed"}');
INSERT INTO events (user_id, name) SELECT 'x' || i, 'in' FROM generate_series(1, 6) i;
CALL event('x1', 'out');
CALL event('x2', 'bought', '{"total": 10}');
CALL event('x3', 'bought', '{"total": 11}');
CALL event('x4', 'aimed');
BEGIN;
CALL event('x5', 'out');
ROLLBACK;
BEGIN;
CALL event('x6', 'in');
SAVEPOINT s;
CALL event('x6', 'out');
ROLLBACK TO s;
COMMIT;
CALL event('nobody', 'out');
SELECT user_id, journey, state, gate, regexp_replace(reason, 'events/\d+', 'events/N') AS reason FROM sends WHERE user_id ~ '^x' ORDER BY 1, 2;
SELECT * FROM runs WHERE user_id ~ '^x';
-- one of several runs, all of them
CALL event('x6', 'out');
SELECT * FROM runs WHERE user_id = 'x6';
CALL drain('1 h');
SELECT user_id, journey, state FROM sends WHERE user_id ~ '^x' ORDER BY 1, 2;
-- a run that is over is not exited
CALL event('x2', 'out');
SELECT * FROM runs WHERE user_id = 'x2';

-- within one statement the order of its rows counts
INSERT INTO events (user_id, name) VALUES ('o1', 'in'), ('o1', 'out'), ('o2', 'out'), ('o2', 'in'), ('o3', 'in'), ('o3', 'out'), ('o3', 'in');
SELECT * FROM runs WHERE user_id ~ '^o' AND journey = 'watch';
CALL drain('1 h');
SELECT * FROM runs WHERE user_id ~ '^o' AND journey = 'watch';

-- an exit ends runs that began before it, not those that begin after it, whichever comes in first
CALL event('t1', 'in', '{}', clock() - interval '5 min');
CALL event('t1', 'out', '{}', clock() - interval '10 min');
CALL event('t2', 'out', '{}', clock() - interval '5 min');
CALL event('t2', 'in', '{}', clock() - interval '10 min');
CALL drain('1 h');
SELECT user_id, state, gate, regexp_replace(reason, 'events/\d+', 'events/N') AS reason FROM sends WHERE user_id IN ('t1', 't2') AND journey = 'watch' ORDER BY 1;

-- an event that both exits and enters: the former run ends, a new one begins
CALL journey('restart', 'again', wait => '1 h', exit_on => '[{"name": "again"}]');
CALL event('r1', 'again', '{"n": 1}');
SELECT advance_clock('10 min');
CALL event('r1', 'again', '{"n": 2}');
SELECT * FROM runs WHERE journey = 'restart';
INSERT INTO events (user_id, name) VALUES ('r2', 'again'), ('r2', 'again'), ('r2', 'again');
CALL drain('1 h');
SELECT * FROM runs WHERE journey = 'restart';
SELECT user_id, state, due_at FROM sends WHERE journey = 'restart' ORDER BY 1, 2 DESC, due_at;

-- once holds for ever, also for who has left
CALL journey('only', 'in', wait => '1 h', exit_on => '[{"name": "out"}]', reentry => '{"policy": "once"}');
CALL event('once', 'in');
CALL event('once', 'out');
CALL event('once', 'in');
SELECT * FROM runs WHERE journey = 'only';
-- parallel: who has left makes room
CALL journey('one', 'in', wait => '1 h', exit_on => '[{"name": "out"}]', reentry => '{"policy": "parallel", "limit": 1}');
INSERT INTO events (user_id, name) VALUES ('p', 'in'), ('p', 'in'), ('p', 'out'), ('p', 'in'), ('p', 'in');
SELECT * FROM runs WHERE journey = 'one';
