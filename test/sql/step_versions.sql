-- Runs keep their version or are moved, and what a pause, an archive and a draft do to them.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "{{ step }}"}') \gset
\set ECHO all
SELECT create_journey('j', '{"kind": "event", "name": "go"}', '[{"id": "a", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "b", "send": "hello"}, {"id": "x", "wait_for": [{"event": "e"}], "timeout": "1 day"}, {"id": "c", "send": "hello"}]') > 0 AS ok;
CALL event('u1', 'go');
CALL drain();
CALL drain('1 h');
CALL event('u2', 'go');
CALL drain();
SELECT alter_journey('j', steps => '[{"id": "b", "send": "hello"}, {"id": "n", "send": "hello"}, {"id": "x", "exit": "new"}]');
CALL event('u3', 'go');
CALL drain();
SELECT user_id, step, version FROM _due ORDER BY 1;
-- by choice they move; one whose step is another there stays
SELECT jsonb_pretty(move_enrollments('j'));
SELECT user_id, step, version FROM _due ORDER BY 1;
CALL drain('1 h');
SELECT user_id, version, state, exit_reason FROM enrollments ORDER BY 1;
SELECT user_id, step, version, state FROM sends WHERE user_id = 'u2' ORDER BY send_id;
CALL drain('1 day');
SELECT user_id, step, version, state FROM sends WHERE user_id = 'u1' ORDER BY send_id;
SELECT move_enrollments('j');
SELECT error($$SELECT move_enrollments('j', 9)$$);

-- a pause holds what comes due, and what awaits an event
SELECT create_journey('p', '{"kind": "event", "name": "p"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]', exit_on => '[{"name": "stop"}]', ttl => '2 h') > 0 AS ok;
SELECT create_journey('f', '{"kind": "event", "name": "p"}', '[{"id": "w", "wait_for": [{"event": "e"}]}, {"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('p1', 'p');
CALL event('p2', 'p');
SELECT disable_journey('p'), disable_journey('f');
CALL event('p3', 'p');
CALL drain('1 h');
CALL event('p1', 'e');
CALL event('p2', 'stop');
CALL drain('1 h');
SELECT user_id, journey, step, state, due_at, reason FROM sends WHERE user_id ~ '^p' ORDER BY 1, 2;
SELECT user_id, step, due_at, arm, note FROM _due WHERE user_id ~ '^p' ORDER BY 1, 2;
SELECT enable_journey('p'), enable_journey('f');
CALL drain();
SELECT user_id, journey, step, state FROM sends WHERE user_id ~ '^p' ORDER BY 1, 2;
SELECT user_id, step, due_at FROM _due WHERE user_id ~ '^p' ORDER BY 1, 2;
-- longer than its ttl, and it expires
SELECT create_journey('l', '{"kind": "event", "name": "l"}', '[{"id": "s", "send": "hello"}]', ttl => '2 h') > 0 AS ok;
SELECT disable_journey('l');
SELECT enable_journey('l');
BEGIN;
CALL event('l1', 'l');
SELECT disable_journey('l');
COMMIT;
CALL drain('3 h');
SELECT enable_journey('l');
CALL drain();
SELECT user_id, state, gate FROM sends WHERE user_id = 'l1';

-- an archive ends what runs and keeps what was
SELECT create_journey('a', '{"kind": "event", "name": "a"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]') > 0 AS ok;
CALL event('a1', 'a');
SELECT archive_journey('a');
CALL event('a2', 'a');
CALL drain('1 h');
SELECT user_id, state, reason FROM sends WHERE user_id ~ '^a' ORDER BY 1;
SELECT name, state, version FROM journeys WHERE name = 'a';
SELECT enable_journey('a');
CALL event('a3', 'a');
CALL drain('1 h');
SELECT user_id, state FROM sends WHERE user_id ~ '^a' ORDER BY 1;
