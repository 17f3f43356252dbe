-- Steps: waits, several sends, exit; always from the clock.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.line AS SELECT user_id, step, state, due_at, finished_at FROM trigger_engine.sends ORDER BY user_id, due_at, step;
SELECT create_template('hello', 'in_app', '{"title": "{{ step }}"}'), create_template('call', 'webhook', '{"text": "hello"}') \gset
\set ECHO all
\pset null '-'

-- waits before, between and after
SELECT create_journey('line', '{"kind": "event", "name": "go"}', '[
	{"id": "w1", "wait": "10 min"}, {"id": "w2", "wait": 5.5}, {"id": "s1", "send": "hello"},
	{"id": "w3", "wait": "1 day"}, {"id": "s2", "send": "hello"}, {"id": "s3", "send": "hello"},
	{"id": "w4", "wait": "1 month"}, {"id": "s4", "send": "hello"}, {"id": "w5", "wait": "1 h"}]') > 0 AS ok;
CALL event('u1', 'go');
TABLE line;
SELECT count(*) FROM enrollments WHERE user_id = 'u1' AND state = 'active';
-- not a microsecond early
CALL drain('10 min 5.499999 s');
TABLE line;
CALL drain('1 microsecond');
TABLE line;
CALL drain('24 h');
TABLE line;
CALL drain('31 days');
TABLE line;
SELECT title FROM inbox WHERE user_id = 'u1' ORDER BY send_id;
SELECT user_id, state, entered_at, ended_at, exit_reason FROM enrollments;
-- a late event starts its timers from when it happened; what is overdue fires at once
SELECT set_clock('2030-03-01 00:00+00');
CALL event('u2', 'go', '{}', '2030-02-28 23:55+00');
CALL event('u3', 'go', '{}', '2030-02-28 12:00+00');
CALL drain();
SELECT * FROM line WHERE user_id IN ('u2', 'u3');
SELECT cancel_sends('line');

-- a clock that leaps over everything sends everything once, each step after the one before
CALL event('u4', 'go');
SELECT advance_clock('300 days');
CALL drain();
CALL drain('1 day');
CALL drain('31 days');
SELECT step, state, finished_at FROM line WHERE user_id = 'u4';
-- set back, it waits again
SELECT set_clock('2030-03-01 00:00+00');
CALL event('u5', 'go');
SELECT set_clock('2030-02-28 00:00+00');
SELECT wait_until_idle();
SELECT state FROM line WHERE user_id = 'u5';
SELECT drop_journey('line');

-- an exit step ends the run and says why
SELECT create_journey('end', '{"kind": "event", "name": "end"}', '[{"id": "s1", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "x", "exit": "enough"}, {"id": "s2", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('nothing', '{"kind": "event", "name": "end"}', '[{"id": "x", "exit": "at once"}]') > 0 AS ok;
CALL event('x1', 'end');
CALL drain();
CALL drain('1 h');
SELECT journey, state, exit_reason FROM enrollments WHERE user_id = 'x1' ORDER BY 1;
SELECT step, state FROM sends WHERE user_id = 'x1';

-- many users, some thousand steps: each once
SELECT create_journey('many', '{"kind": "event", "name": "many"}', '[{"id": "a", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "b", "send": "hello"}]', exit_on => '[{"name": "stop"}]') > 0 AS ok;
INSERT INTO events (user_id, name) SELECT 'm' || i, 'many' FROM generate_series(1, 1500) i;
CALL drain();
INSERT INTO events (user_id, name) SELECT 'm' || i, 'stop' FROM generate_series(3, 1500, 3) i;
CALL drain('1 h');
SELECT step, state, count(*), count(DISTINCT user_id) FROM sends WHERE journey = 'many' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT state, count(*) FROM enrollments WHERE journey = 'many' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM inbox WHERE user_id ~ '^m';
SELECT count(*) FROM _due;
SELECT count(*) FROM _batches;
