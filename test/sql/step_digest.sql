-- A digest: events of a window in one message, each exactly once.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('sum', 'in_app', '{"title": "{{ event_count }}", "body": "{% for e in events %}{{ e.by }} {% endfor %}"}') \gset
\set ECHO all
SELECT create_journey('likes', '{"kind": "event", "name": "like"}', '[{"id": "d", "digest": "10 min", "key": "$.post"}, {"id": "s", "send": "sum"}]', exit_on => '[{"name": "mute"}]') > 0 AS ok;
CALL event('u1', 'like', '{"post": 1, "by": "ann"}');
SELECT set_clock('2030-01-15 12:05+00');
CALL event('u1', 'like', '{"post": 1, "by": "bob"}');
CALL event('u1', 'like', '{"post": 2, "by": "cy"}');
CALL event('u2', 'like', '{"by": "dan"}');
CALL drain();
SELECT user_id, step, due_at FROM _due ORDER BY 1, 3;
SELECT set_clock('2030-01-15 12:09:59.999999+00');
CALL event('u1', 'like', '{"post": 1, "by": "eve"}');
SELECT set_clock('2030-01-15 12:10+00');
CALL drain();
SELECT user_id, title, body FROM inbox ORDER BY send_id;
-- the next event opens another window
CALL event('u1', 'like', '{"post": 1, "by": "fay"}');
CALL drain('10 min');
SELECT user_id, title, body FROM inbox ORDER BY send_id;
-- many at once, in one statement and with a rollback between: none is lost or counted twice
INSERT INTO events (user_id, name, properties) SELECT 'v' || n % 5, 'like', jsonb_build_object('by', n) FROM generate_series(0, 499) n;
BEGIN;
SAVEPOINT s;
CALL event('v0', 'like', '{"by": "nobody"}');
ROLLBACK TO s;
CALL event('v6', 'like', '{"by": "g"}');
ROLLBACK;
CALL event('v6', 'like', '{"by": "h"}');
SELECT user_id, count(*) FROM _due WHERE user_id ~ '^v' GROUP BY 1 ORDER BY 1;
CALL drain('10 min');
SELECT user_id, title, left(body, 12) AS body FROM inbox WHERE user_id ~ '^v' ORDER BY 1;
-- an exit closes the window: what comes after it opens another
CALL event('w1', 'like', '{"by": "old"}');
CALL event('w1', 'mute');
CALL event('w1', 'like', '{"by": "new"}');
CALL drain('10 min');
SELECT user_id, title, body FROM inbox WHERE user_id = 'w1';
SELECT count(*) FROM _digests;
-- rows of a tracked table are kept as they were
CREATE TABLE test.likes (id int PRIMARY KEY, owner text, by text);
SELECT track_table('test.likes', 'liked', 'owner', '{by}') \gset
SELECT create_journey('tracked', '{"kind": "event", "name": "liked"}', '[{"id": "d", "digest": "1 h"}, {"id": "s", "send": "sum"}]') > 0 AS ok;
INSERT INTO test.likes VALUES (1, 't', 'x'), (2, 't', 'y');
DELETE FROM test.likes;
CALL drain('1 h');
SELECT title, body FROM inbox WHERE user_id = 't';
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "s", "send": "sum"}, {"id": "d", "digest": "1 h"}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "d", "digest": "1 h"}, {"id": "s", "send": "sum"}]', reentry => '{"policy": "once"}')$$);
