-- Ladders of channels, splits by experiment, holdouts, and steps that change something.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('bell', 'in_app', '{"title": "{{ step }}"}'), create_template('ping', 'webhook', '{"text": "{{ event.n }}"}') \gset
SELECT create_provider('hook', 'webhook', '{"url": "http://127.0.0.1:9/hook"}') \gset
CREATE FUNCTION test.walk(user_id text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step || ' ' || state || ' ' || to_char(due_at, 'DD HH24:MI:SS.US'), ', ' ORDER BY due_at, send_id) FROM trigger_engine.sends WHERE user_id = $1
$$;
\set ECHO all

-- A3: in-app at once, the next after 15 minutes, the last after 24 hours, unless bought
SELECT create_journey('cart', '{"kind": "event", "name": "cart"}', '[{"id": "l", "ladder": [
	{"send": "bell"}, {"id": "second", "send": "bell", "after": "15 min"}, {"send": "bell", "after": "24 h"}]},
	{"id": "end", "exit": "ladder over"}]', exit_on => '[{"name": "order"}]') > 0 AS ok;
SELECT step ->> 'id' AS id, step ? 'send' AS sends FROM journeys, jsonb_array_elements(_flat_steps(steps)) step;
CALL event('u1', 'cart');
CALL event('u2', 'cart');
CALL event('u3', 'cart');
CALL drain();
SELECT user_id, step, due_at FROM _due ORDER BY 1;
-- a purchase at minute 14:59.9 stops the rest
SELECT set_clock('2030-01-15 12:14:59.9+00');
CALL event('u1', 'order');
CALL drain();
SELECT set_clock('2030-01-15 12:15+00');
CALL drain();
SELECT set_clock('2030-01-15 12:15:00.1+00');
CALL event('u2', 'order');
CALL drain('24 h');
SELECT user_id, walk(user_id) FROM unnest('{u1,u2,u3}'::text[]) user_id;
SELECT user_id, state, exit_reason FROM enrollments ORDER BY 1;

-- A7: one that has nowhere to go hands on at once; times count from the beginning
SELECT create_journey('down', '{"kind": "event", "name": "down"}', '[{"id": "l", "ladder": [
	{"id": "a", "send": "ping"}, {"id": "b", "send": "bell", "after": "1 h"}, {"id": "c", "send": "bell", "after": "3 h"}]}]') > 0 AS ok;
SELECT alter_provider('hook', enabled => false);
SELECT set_clock('2030-02-01 12:00+00');
CALL event('no consent', 'down');
CALL drain();
SELECT step, state, gate, due_at FROM sends WHERE user_id = 'no consent' ORDER BY due_at, step;
CALL drain('3 h');
SELECT walk('no consent');
SELECT alter_provider('hook', enabled => true);

-- unless skips a rung, until the rest; both leave their reason
SELECT create_journey('asks', '{"kind": "event", "name": "asks"}', '[{"id": "l", "until": {"attribute": "$.done == true"}, "ladder": [
	{"id": "a", "send": "bell"}, {"id": "b", "send": "bell", "after": "1 h", "unless": {"interaction": {"kind": "read", "step": "a"}}}, {"id": "c", "send": "bell", "after": "2 h"}]},
	{"id": "z", "send": "bell"}]') > 0 AS ok;
SELECT set_clock('2030-03-01 12:00+00');
CALL event('v1', 'asks');
CALL event('v2', 'asks');
CALL event('v3', 'asks');
CALL drain();
UPDATE inbox SET read_at = clock() WHERE user_id = 'v1';
INSERT INTO users (user_id, attributes) VALUES ('v3', '{"done": true}');
CALL drain('1 h');
CALL drain('1 h');
SELECT user_id, step, state, gate, reason, due_at FROM sends WHERE journey = 'asks' ORDER BY 1, send_id;

-- a split goes by the variant, and every exposure is on record
SELECT create_experiment('delay', '[{"name": "control"}, {"name": "fast"}]') \gset
SELECT start_experiment('delay') \gset
SELECT create_journey('split', '{"kind": "event", "name": "split"}', '[{"id": "x", "split": {"experiment": "delay", "arms": {
	"control": [{"id": "c", "send": "bell"}], "fast": [{"id": "f", "send": "bell"}]}}, "else": [{"id": "none", "send": "bell"}]}]') > 0 AS ok;
INSERT INTO events (user_id, name) SELECT 's' || n, 'split' FROM generate_series(1, 60) n;
CALL drain();
SELECT count(*) AS sends, count(*) FILTER (WHERE CASE s.step WHEN 'c' THEN 'control' WHEN 'f' THEN 'fast' END = assignment('delay', s.user_id)) AS right_arm,
	count(DISTINCT s.step) AS arms FROM sends s WHERE journey = 'split';
SELECT count(*) AS exposures, bool_and(variant = assignment('delay', user_id)) AS right_variant, bool_or(held_out) AS held_out FROM exposures WHERE experiment = 'delay';
-- a message for one variant only: control is withheld, and exposed all the same
SELECT create_journey('some', '{"kind": "event", "name": "some"}', '[{"id": "s", "send": "bell", "experiment": "delay", "variants": ["fast"]}]') > 0 AS ok;
INSERT INTO events (user_id, name) SELECT 's' || n, 'some' FROM generate_series(1, 60) n;
CALL drain();
SELECT state, gate, count(*) = count(*) FILTER (WHERE (assignment('delay', user_id) = 'fast') = (state = 'accepted')) AS right_ones, min(reason) AS reason
FROM sends WHERE journey = 'some' GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) FROM exposures WHERE journey = 'some';
-- a holdout keeps marketing back, and notes it
SELECT create_holdout('everybody', 0.999999) \gset
CALL event('h1', 'some');
CALL drain();
SELECT state, gate, reason FROM sends WHERE user_id = 'h1';
SELECT experiment, variant, held_out FROM exposures WHERE user_id = 'h1';
SELECT drop_experiment('everybody') \gset

-- steps that change something
SELECT create_journey('other', '{"kind": "event", "name": "never"}', '[{"id": "w", "wait": "1 h"}, {"id": "o", "send": "bell"}]') > 0 AS ok;
SELECT create_journey('does', '{"kind": "event", "name": "does"}', '[
	{"id": "1", "set": {"tier": "gold", "old": null, "n": {"deep": [1]}}}, {"id": "2", "list": {"add": "vip"}}, {"id": "3", "start": "other"},
	{"id": "w", "wait": "10 min"}, {"id": "4", "list": {"remove": "vip"}}, {"id": "5", "leave": "other"}, {"id": "6", "exit": "done"}]') > 0 AS ok;
INSERT INTO users (user_id, attributes) VALUES ('w1', '{"old": 1, "kept": 2}');
CALL event('w1', 'does', '{"n": 7}');
CALL event('w2', 'does');
CALL drain();
SELECT user_id, attributes FROM users WHERE user_id ~ '^w' ORDER BY 1;
SELECT list, user_id FROM list_members ORDER BY 2;
SELECT user_id, step, context FROM _due WHERE user_id ~ '^w' AND step = 'w' AND context IS NOT NULL ORDER BY 1;
SELECT user_id, journey, state FROM enrollments WHERE user_id ~ '^w' ORDER BY 1, 2;
CALL drain('10 min');
SELECT user_id, journey, state, exit_reason FROM enrollments WHERE user_id ~ '^w' ORDER BY 1, 2;
SELECT count(*) FROM list_members;

-- by hand
SELECT start_journey('other', 'p1', '{"n": 1}'), start_journey('other', 'p1');
SELECT count(*) FROM _due WHERE user_id = 'p1';
SELECT leave_journey('other', 'p1', 'no more');
SELECT state, exit_reason, count(*) FROM enrollments WHERE user_id = 'p1' GROUP BY 1, 2;
SELECT alter_journey('other', reentry => '{"policy": "once"}');
SELECT start_journey('other', 'p2'), start_journey('other', 'p2');
SELECT error($$SELECT start_journey('othr', 'p2')$$);
SELECT disable_journey('other');
SELECT error($$SELECT start_journey('other', 'p3')$$);
SELECT error($$SELECT leave_journey('nothing', 'p3')$$);
-- a rollback starts nothing
SELECT enable_journey('other');
BEGIN;
SELECT start_journey('other', 'p4');
ROLLBACK;
SELECT count(*) FROM _due WHERE user_id = 'p4';
-- a goal that does not end the run
SELECT create_journey('goal', '{"kind": "event", "name": "goal"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "bell"}]', goal => '[{"name": "buy", "ends": false}, {"name": "leave"}]') > 0 AS ok;
CALL event('g1', 'goal');
CALL event('g2', 'goal');
CALL event('g1', 'buy');
CALL event('g2', 'leave');
CALL drain('1 h');
SELECT user_id, state FROM enrollments WHERE journey = 'goal' ORDER BY 1;
-- never in two places
SELECT user_id, journey_id, entry_key, count(*) FROM _due GROUP BY 1, 2, 3 HAVING count(*) > 1;

-- stages of life
SELECT set_clock('2030-06-01 00:00+00');
CREATE PROCEDURE test.lived(user_id text, VARIADIC days text[])
LANGUAGE sql AS $$
	INSERT INTO trigger_engine.events (user_id, name, occurred_at)
	SELECT $1, split_part(d, ' ', 2), trigger_engine.clock() - split_part(d, ' ', 1)::int * interval '1 day' FROM unnest($2) d
$$;
CALL lived('new', '3 view');
CALL lived('exploring', '9 view', '2 view');
CALL lived('considering', '9 view', '2 cart');
CALL lived('active', '9 cart', '8 order');
CALL lived('at_risk', '20 order');
CALL lived('lapsed', '31 order');
CALL lived('won_back', '50 order', '2 view');
SELECT user_id, life_stage(user_id), life_stage(user_id, clock() - interval '1 day') AS yesterday, life_stage(user_id, clock() + interval '60 days') AS later
FROM unnest('{new,exploring,considering,active,at_risk,lapsed,won_back}'::text[]) user_id;
SELECT life_stage('nobody'), life_stage(NULL);
SELECT set_life_stages(at_risk_after => '2 days', lapsed_after => '40 days');
SELECT life_stage('considering'), life_stage('lapsed');
SELECT error($$SELECT set_life_stages(at_risk_after => '2 days', lapsed_after => '1 day')$$);
SELECT error($$SELECT set_life_stages(new_for => '-1 day')$$);
-- definitions that make no sense
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "l", "ladder": [{"send": "bell", "after": "1 h"}, {"send": "bell", "after": "1 min"}]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "x", "split": {"experiment": "dely", "arms": {"a": []}}}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "x", "send": "bell", "variants": ["a"]}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "x", "list": {"add": "a", "remove": "b"}}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "x", "set": {}}]')$$);
SELECT error($$SELECT create_journey('bad', '{"kind": "event", "name": "go"}', '[{"id": "x", "webhook": "bell"}]')$$);
