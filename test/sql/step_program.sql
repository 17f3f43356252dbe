-- Branches, conditions, and waits until a moment: the place of a run is its due row.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "{{ step }}"}') \gset
CREATE VIEW test.line AS SELECT user_id, step, state, due_at FROM trigger_engine.sends ORDER BY user_id, due_at, step;
CREATE FUNCTION test.walk(user_id text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step || ' ' || to_char(due_at, 'MM-DD HH24:MI:SS.US'), ', ' ORDER BY due_at, send_id) FROM trigger_engine.sends WHERE user_id = $1
$$;
\set ECHO all

-- arms in order, steps within them, and what follows them; an arm without steps leads on
SELECT create_journey('way', '{"kind": "event", "name": "go"}', '[
	{"id": "b", "branch": [
		{"when": {"attribute": "$.tier == \"gold\""}, "steps": [{"id": "g1", "send": "hello"}, {"id": "gw", "wait": "1 h"}, {"id": "g2", "send": "hello"}]},
		{"when": {"attribute": "$.tier == \"none\""}, "steps": []},
		{"when": {"any": [{"attribute": "$.a == 1"}, {"attribute": "$.b == 1"}]},
			"steps": [{"id": "n", "branch": [{"when": {"not": {"attribute": "$.b == 1"}}, "steps": [{"id": "x", "exit": "only a"}]}], "else": [{"id": "nb", "send": "hello"}]}]}],
		"else": [{"id": "e", "send": "hello"}]},
	{"id": "last", "send": "hello"}]') > 0 AS ok;
INSERT INTO users (user_id, attributes) VALUES ('gold', '{"tier": "gold"}'), ('none', '{"tier": "none"}'), ('a', '{"a": 1}'), ('b', '{"b": 1}');
CALL event('gold', 'go');
CALL event('none', 'go');
CALL event('a', 'go');
CALL event('b', 'go');
CALL event('nobody', 'go');
CALL drain();
SELECT user_id, count(*) FROM _due GROUP BY 1 ORDER BY 1;
CALL drain('1 h');
SELECT user_id, walk(user_id) FROM unnest('{a,b,gold,nobody,none}'::text[]) user_id;
SELECT user_id, state, exit_reason FROM enrollments WHERE journey = 'way' ORDER BY 1;

-- conditions
CREATE TABLE test.paid (user_id text PRIMARY KEY, amount int);
INSERT INTO test.paid VALUES ('c1', 500);
CREATE VIEW test.vip AS SELECT user_id FROM test.paid WHERE amount > 100;
SELECT create_segment('vip', 'test.vip') \gset
CREATE PROCEDURE test.ask(condition jsonb)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM create_journey('ask', '{"kind": "event", "name": "ask"}', jsonb_build_array(jsonb_build_object('id', 'b', 'branch',
		jsonb_build_array(jsonb_build_object('when', condition, 'steps', '[{"id": "yes", "exit": "yes"}]'::jsonb)), 'else', '[{"id": "no", "exit": "no"}]'::jsonb)), or_replace => true);
END
$$;
CREATE FUNCTION test.answers() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(user_id || ' ' || exit_reason, ', ' ORDER BY user_id) FROM (
		SELECT DISTINCT ON (user_id) user_id, coalesce(exit_reason, state) AS exit_reason FROM trigger_engine.enrollments WHERE journey = 'ask'
		ORDER BY user_id, entered_at DESC, version DESC) x
$$;
CREATE PROCEDURE test.asked()
LANGUAGE sql AS $$
	INSERT INTO trigger_engine.events (user_id, name) VALUES ('c1', 'ask'), ('c2', 'ask')
$$;
CALL ask('{"segment": "vip"}');
CALL asked();
CALL drain('1 s');
SELECT answers();
CALL ask('{"sql": "SELECT amount > 100 FROM test.paid WHERE user_id = $1"}');
CALL asked();
CALL drain('1 s');
SELECT answers();
INSERT INTO events (user_id, name, properties) SELECT 'c2', 'view', jsonb_build_object('n', n) FROM generate_series(1, 3) n;
CALL ask('{"event": {"name": "view", "count": 3, "within": "1 h"}}');
CALL asked();
CALL drain('1 s');
SELECT answers();
CALL ask('{"event": {"name": "view", "where": "$.n > 1", "count": 3, "within": "1 h"}}');
CALL asked();
CALL drain('1 s');
SELECT answers();
-- without a span, since the run began: what was before it does not count
CALL ask('{"event": {"name": "view"}}');
CALL asked();
CALL drain('1 s');
SELECT answers();
CALL ask('{"stage": ["new", "exploring"]}');
CALL event('c2', 'order');
CALL asked();
CALL drain('1 s');
SELECT answers();
SELECT add_to_list('friends', 'c1'), add_to_list('friends', 'c1');
CALL ask('{"all": [{"list": "friends"}, {"not": {"list": "foes"}}]}');
CALL asked();
CALL drain('1 s');
SELECT answers();
CALL ask('{"interaction": {"kind": "read"}}');
CALL asked();
CALL drain('1 s');
SELECT answers();
CALL ask('{"score": {"engagement": "push", "below": 0.5}}');
CALL asked();
CALL drain('1 s');
SELECT answers();

-- what fails keeps the run where it is, with the reason, and goes on when it is mended
CALL ask('{"sql": "SELECT 1 / amount > 0 FROM test.nowhere WHERE user_id = $1"}');
CALL asked();
CALL drain('1 s');
SELECT user_id, step, holds, note FROM _due ORDER BY 1;
CREATE TABLE test.nowhere AS SELECT 'c2' AS user_id, 1 AS amount;
CALL drain('10 s');
SELECT answers();
SELECT count(*) FROM _due;
-- it runs as the journey's owner, and cannot write
CALL ask('{"sql": "WITH gone AS (DELETE FROM test.paid RETURNING true AS ok) SELECT ok FROM gone"}');
CALL asked();
CALL drain('1 s');
SELECT user_id, note FROM _due ORDER BY 1;
SELECT count(*) FROM test.paid;
SELECT drop_journey('ask');

-- definitions that make no sense
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": []}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"steps": []}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"when": {"segment": "vpi"}, "steps": [{"id": "s", "send": "hello"}]}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"when": {"segmnt": "vip"}, "steps": [{"id": "s", "send": "hello"}]}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"when": {"sql": "DELETE FROM test.paid"}, "steps": [{"id": "s", "send": "hello"}]}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"when": {"stage": "old"}, "steps": [{"id": "s", "send": "hello"}]}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"when": {"list": "l"}, "steps": [{"id": "b", "send": "hello"}]}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "b", "branch": [{"when": {"list": "l"}, "steps": [{"id": "s", "send": "helo"}]}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait_until": {}}, {"id": "s", "send": "hello"}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "w", "wait_until": {"at": "25:00"}}, {"id": "s", "send": "hello"}]')$$);

-- until a time of day in the user's zone, a weekday, a window
UPDATE users SET zone = 'Asia/Tokyo' WHERE user_id = 'a';
UPDATE users SET zone = 'America/New_York' WHERE user_id = 'b';
SELECT set_clock('2030-03-08 13:00+00');
SELECT create_journey('morning', '{"kind": "event", "name": "m"}', '[{"id": "w", "wait_until": {"at": "09:00"}}, {"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('monday', '{"kind": "event", "name": "m"}', '[{"id": "w", "wait_until": {"at": "02:30", "weekday": ["sunday", "mon"]}}, {"id": "t", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('window', '{"kind": "event", "name": "m"}', '[{"id": "w", "wait_until": {"within": [{"from": "22:30", "to": "01:00"}, {"from": "18:00", "to": "19:00", "days": ["sat"]}]}}, {"id": "u", "send": "hello"}]') > 0 AS ok;
DELETE FROM _sends;
CALL event('a', 'm');
CALL event('b', 'm');
CALL event('gold', 'm');
CALL drain();
CALL drain('4 days');
SELECT user_id, walk(user_id) FROM unnest('{a,b,gold}'::text[]) user_id;
-- an attribute's date, before and after it, and one that has passed
SELECT create_journey('trip', '{"kind": "event", "name": "booked"}', '[{"id": "w", "wait_until": {"attribute": "$.leaves", "offset": "-1 day", "at": "18:00"}}, {"id": "s", "send": "hello"}]') > 0 AS ok;
UPDATE users SET attributes = '{"leaves": "2030-03-20"}' WHERE user_id = 'a';
UPDATE users SET attributes = '{"leaves": "2030-03-20T10:00:00+00:00"}' WHERE user_id = 'b';
UPDATE users SET attributes = '{"leaves": "2030-01-01"}' WHERE user_id = 'gold';
UPDATE users SET attributes = '{"leaves": "soon"}' WHERE user_id = 'none';
DELETE FROM _sends;
CALL event('a', 'booked');
CALL event('b', 'booked');
CALL event('gold', 'booked');
CALL event('none', 'booked');
CALL drain();
SELECT step, note FROM _due WHERE user_id = 'none';
CALL drain('9 days');
SELECT user_id, walk(user_id) FROM unnest('{a,b,gold}'::text[]) user_id;
-- jitter: the same for a run whenever it is asked, within its bounds, and spread
SELECT cancel_sends('trip');
DELETE FROM _due;
SELECT create_journey('spread', '{"kind": "event", "name": "spread"}', '[{"id": "w", "wait": "1 h", "jitter": "1 h"}, {"id": "s", "send": "hello"}]') > 0 AS ok;
INSERT INTO events (user_id, name) SELECT 'j' || n, 'spread' FROM generate_series(1, 400) n;
CALL drain();
SELECT count(*), min(due_at) >= clock() + interval '1 h' AS after, max(due_at) < clock() + interval '2 h' AS before,
	count(*) FILTER (WHERE due_at < clock() + interval '90 min') BETWEEN 160 AND 240 AS even FROM _due;
