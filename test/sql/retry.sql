-- Messages that return: what was withheld, what its journey stopped, and what could not be processed.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.told AS SELECT user_id, journey, step, state, gate, attempts, reason FROM trigger_engine.sends ORDER BY 1, 2, 3;
CREATE VIEW test.runs AS SELECT user_id, journey, state, exit_reason FROM trigger_engine.enrollments ORDER BY 1, 2;
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
\set ECHO all
\pset null '-'
SELECT create_journey('two', '{"kind": "event", "name": "two"}', '[{"id": "a", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "b", "send": "hello"}]') > 0 AS ok;

-- a message that was withheld and is retried does not queue the next step a second time
SELECT set_consent('u1', 'in_app', 'opted_out');
CALL event('u1', 'two');
CALL drain();
SELECT set_consent('u1', 'in_app', 'opted_in', at => clock() + interval '1 s');
SELECT advance_clock('10 min');
SELECT retry_sends('two', '{withheld}');
CALL drain();
SELECT user_id, step, state, due_at - clock() AS due_in FROM sends ORDER BY step;
CALL drain('50 min');
TABLE told;
TABLE runs;
-- also after the next step is done
UPDATE _sends SET state = 'withheld' WHERE step = 'a';
SELECT retry_sends('two', '{withheld}');
SELECT set_consent('u1', 'in_app', 'opted_out', at => clock() + interval '1 s');
CALL drain('2 s');
SELECT user_id, step, state FROM sends ORDER BY step;
SELECT count(*) FROM _due;
TABLE runs;
-- nor when it is held in between
CREATE TABLE test.rate (r integer);
INSERT INTO rate VALUES (1);
CREATE VIEW test.members AS SELECT 'h'::text AS user_id FROM test.rate WHERE 1 / r = 1;
SELECT create_segment('members', 'test.members');
SELECT create_journey('held', '{"kind": "event", "name": "held"}', '[{"id": "a", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "b", "send": "hello"}]', segment => 'members') > 0 AS ok;
SELECT set_consent('h', 'in_app', 'opted_out');
CALL event('h', 'held');
CALL drain();
SELECT set_consent('h', 'in_app', 'opted_in', at => clock() + interval '1 s');
SELECT advance_clock('2 h');
CALL drain();
UPDATE rate SET r = 0;
SELECT retry_sends('held', '{withheld}');
CALL drain();
SELECT step, state, reason FROM told WHERE user_id = 'h';
UPDATE rate SET r = 1;
CALL drain('1 min');
SELECT step, state, reason FROM told WHERE user_id = 'h';
SELECT count(*) FROM _due;

-- a run ends with a message that its journey stopped, and says so
SELECT pause();
CALL event('l1', 'two');
UPDATE _journeys SET state = 'draft' WHERE name = 'two';
SELECT resume();
CALL drain();
SELECT * FROM told WHERE user_id = 'l1';
SELECT * FROM runs WHERE user_id = 'l1';
-- and goes on where it was when the message is retried
SELECT enable_journey('two');
SELECT retry_sends('two', '{withheld}', since => clock());
SELECT * FROM runs WHERE user_id = 'l1';
CALL drain();
SELECT * FROM told WHERE user_id = 'l1';
CALL drain('1 h');
SELECT * FROM told WHERE user_id = 'l1';
SELECT * FROM runs WHERE user_id = 'l1';
-- in the middle of a run, too
CALL event('l2', 'two');
CALL drain();
UPDATE _journeys SET state = 'draft' WHERE name = 'two';
CALL drain('1 h');
SELECT * FROM runs WHERE user_id = 'l2';
SELECT enable_journey('two');
SELECT retry_sends('two', '{withheld}', since => clock());
CALL drain();
SELECT * FROM told WHERE user_id = 'l2';
SELECT * FROM runs WHERE user_id = 'l2';
-- a message that waits for another attempt when its journey is stopped: the run has not completed
SET client_min_messages = error;
SELECT create_template('call', 'webhook', '{"text": "hello"}'), create_provider('hook', 'webhook', '{"url": "http://127.0.0.1:1/"}'), set_secret('hook', '{"keys": ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]}') \gset
RESET client_min_messages;
SELECT create_journey('calls', '{"kind": "event", "name": "calls"}', '[{"id": "a", "send": "call"}, {"id": "w", "wait": "1 h"}, {"id": "b", "send": "call"}]') > 0 AS ok;
CALL event('l3', 'calls');
CALL drain();
SELECT state FROM runs WHERE user_id = 'l3';
UPDATE _journeys SET state = 'draft' WHERE name = 'calls';
CALL drain('7 s');
SELECT step, state, gate, attempts FROM told WHERE user_id = 'l3';
-- its other step still waits
SELECT state FROM runs WHERE user_id = 'l3';
SELECT enable_journey('calls');
CALL drain('1 h');
SELECT step, state, attempts FROM told WHERE user_id = 'l3';
SELECT state FROM runs WHERE user_id = 'l3';
UPDATE _journeys SET state = 'draft' WHERE name = 'calls';
CALL drain('7 s');
SELECT step, state, gate, attempts FROM told WHERE user_id = 'l3';
SELECT state, exit_reason FROM runs WHERE user_id = 'l3';

-- a row that cannot be processed is set aside under its identity, and ends its run; the others go on
CREATE FUNCTION test.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.user_id = 'p2' THEN
		RAISE EXCEPTION 'not this one';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER poison BEFORE INSERT ON trigger_engine.inbox FOR EACH ROW EXECUTE FUNCTION test.poison();
INSERT INTO events (user_id, name) SELECT 'p' || i, 'two' FROM generate_series(1, 3) i;
CALL drain();
SELECT * FROM told WHERE user_id ~ '^p' AND step = 'a';
SELECT user_id, state, exit_reason FROM runs WHERE user_id ~ '^p';
SELECT k.channel, k.send_id = s.send_id AS same_id FROM _send_keys k JOIN sends s USING (user_id, journey_id, entry_key, step) WHERE user_id = 'p2';
SELECT channel, count(*) FROM _send_keys WHERE user_id ~ '^p' GROUP BY 1;
DROP TRIGGER poison ON trigger_engine.inbox;
SELECT retry_sends('two', '{withheld}', since => clock());
CALL drain();
CALL drain('1 h');
SELECT * FROM told WHERE user_id ~ '^p';
SELECT user_id, state FROM runs WHERE user_id ~ '^p';
