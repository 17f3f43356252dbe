-- What the views say of a message in every state, and what a person can do about it.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = error;
SELECT create_template('hello', 'in_app', '{"title": "hello"}'), create_template('call', 'webhook', '{"text": "hello"}') \gset
SELECT create_provider('hook', 'webhook', '{"url": "http://127.0.0.1:1/"}'), set_secret('hook', '{"keys": ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]}') \gset
RESET client_min_messages;
\set ECHO all
\pset null '-'
SELECT create_journey('now', '{"kind": "event", "name": "now"}', '[{"id": "s", "send": "hello"}]', exit_on => '[{"name": "stop"}]', ttl => '30 days') AS now \gset
SELECT create_journey('later', '{"kind": "event", "name": "later"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}, {"id": "v", "wait": "1 h"}, {"id": "t", "send": "hello"}]', exit_on => '[{"name": "stop"}]') > 0 AS ok;
SELECT create_journey('out', '{"kind": "event", "name": "out"}', '[{"id": "s", "send": "call"}]') > 0 AS ok;

-- due, accepted, withheld, cancelled
CALL event('acc', 'now', '{"n": 1}');
SELECT set_consent('wit', 'in_app', 'opted_out');
CALL event('wit', 'now');
CALL event('due', 'later');
CALL event('can', 'later');
CALL event('can', 'stop');
CALL event('out', 'out');
CALL drain();
SELECT user_id, journey, step, channel, state, reason, due_at, attempts, gate, provider, entry_key ~ '^events/\d+$' AS entry_key, version, event_at, send_id IS NOT NULL AS has_id
FROM (SELECT * FROM sends WHERE user_id IN ('acc', 'wit', 'due')) s ORDER BY user_id;
SELECT user_id, state, regexp_replace(reason, '\d+', 'N') AS reason, gate FROM sends WHERE user_id = 'can';
-- nobody listens there: tried again in five seconds and a bit, which the identity of the send decides
SELECT user_id, state, reason ~ '^attempt 1: ' AS reason, attempts, provider, due_at - clock() BETWEEN interval '5 s' AND interval '6 s' AS soon, send_id IS NOT NULL AS has_id FROM sends WHERE user_id = 'out';
SELECT user_id, attempt, at, provider, outcome, status, reason IS NOT NULL AS reason FROM attempts WHERE user_id IN ('acc', 'out') ORDER BY 1;
SELECT send_id AS id, due_at AS due FROM sends WHERE user_id = 'out' \gset
CALL drain('6 s');
SELECT user_id, state, reason ~ '^attempt 2: ' AS reason, attempts, send_id = :id AS same_id, due_at - clock() BETWEEN interval '5 min' AND interval '6 min' AS later FROM sends WHERE user_id = 'out';
SELECT attempt, outcome FROM attempts WHERE user_id = 'out' ORDER BY 1;
SELECT journey, due, overdue, lag, retries, held FROM queue_status ORDER BY 1;
SELECT advance_clock('1 s');
SELECT next_due_at FROM queue_status WHERE journey = 'later';
-- until it has been tried often enough
DO $$
BEGIN
	FOR i IN 3..10 LOOP
		PERFORM set_clock((SELECT due_at FROM sends WHERE user_id = 'out'));
		COMMIT;
		PERFORM wait_until_idle();
		COMMIT;
	END LOOP;
END
$$;
SELECT state, attempts, gate, reason IS NOT NULL AS reason, send_id = :id AS same_id FROM sends WHERE user_id = 'out';
SELECT count(*), count(DISTINCT attempt), max(attempt) FROM attempts WHERE user_id = 'out';
SELECT clock() - :'due'::timestamptz BETWEEN interval '3 days' AND interval '4 days' AS took_days;
-- one identity each
SELECT count(*) = count(DISTINCT send_id) AS ids_differ, count(*) = count(DISTINCT (user_id, journey_id, entry_key, step, channel)) AS identities_differ FROM sends WHERE send_id IS NOT NULL;

-- decisions: only of what is finished, and each stop names its gate
SELECT user_id, journey, step, channel, state, stopped_by, reason IS NOT NULL AS reason, gates -> -1 ->> 'gate' AS last_gate, jsonb_array_length(gates) AS gates FROM decisions ORDER BY user_id, step;
SELECT user_id FROM decisions WHERE stopped_by IS DISTINCT FROM (SELECT g ->> 'gate' FROM jsonb_array_elements(gates) g WHERE g ->> 'result' = 'stop');

-- the story
SELECT step, what, result, regexp_replace(regexp_replace(detail, ' at 20\S+ \S+', ' at ...', 'g'), 'events/\d+', 'events/N') AS detail FROM explain_send((SELECT send_id FROM sends WHERE user_id = 'wit'));
SELECT step, what, result FROM explain_send((SELECT send_id FROM sends WHERE user_id = 'acc'));
SELECT what, result, count(*) FROM explain_send(:id) WHERE what LIKE 'attempt%' GROUP BY 1, 2 ORDER BY length(what), what;
SELECT count(*) FROM explain_send(-1);
SELECT count(*) FROM explain_send(NULL);

-- cancel: of a user, of a journey, of a user in a journey
SELECT set_clock('2030-02-01 00:00+00');
SELECT wait_until_idle();
INSERT INTO events (user_id, name) VALUES ('c1', 'later'), ('c1', 'out'), ('c2', 'later'), ('c3', 'later');
SELECT wait_until_idle();
SELECT error($$SELECT cancel_sends()$$);
SELECT error($$SELECT cancel_sends('latr')$$);
SELECT cancel_sends('later', 'c2', 'by hand'), cancel_sends(user_id => 'nobody'), cancel_sends('now');
SELECT cancel_sends(user_id => 'c1');
SELECT user_id, journey, state, gate, reason FROM sends WHERE user_id ~ '^c\d' ORDER BY 1, 2;
SELECT user_id, journey, state, exit_reason FROM enrollments WHERE user_id ~ '^c\d' ORDER BY 1, 2;
SELECT cancel_sends('later') > 0 AS some;
-- an exit, too, ends the run of a message that waits for another attempt, however long that takes
SELECT create_journey('leave', '{"kind": "event", "name": "leave"}', '[{"id": "s", "send": "call"}]', exit_on => '[{"name": "stop"}]') > 0 AS ok;
CALL event('c4', 'leave');
CALL drain();
CALL drain('6 s');
CALL drain('7 min');
CALL drain('15 min');
SELECT state, attempts FROM sends WHERE user_id = 'c4';
CALL event('c4', 'stop');
SELECT state, attempts, gate FROM sends WHERE user_id = 'c4';
SELECT state, exit_reason IS NOT NULL AS reason FROM enrollments WHERE user_id = 'c4';
SELECT count(*) FROM sends WHERE state = 'due';

-- retry: finished ones return under their own identity, to be decided again
SELECT send_id AS wit FROM sends WHERE user_id = 'wit' \gset
SELECT set_consent('wit', 'in_app', 'opted_in');
SELECT error($$SELECT retry_sends(states => '{accepted}')$$);
SELECT error($$SELECT retry_sends(states => '{withheld,cancelled}')$$);
SELECT error($$SELECT retry_sends(states => NULL)$$);
SELECT error($$SELECT retry_sends('nowhere')$$);
SELECT retry_sends('later', '{withheld}'), retry_sends('now', '{withheld}', since => clock()), retry_sends('now', '{withheld}', until => '2030-01-01');
SELECT pause();
SELECT retry_sends('now', '{withheld}');
SELECT reason FROM sends WHERE user_id = 'wit' AND state = 'due';
SELECT resume();
SELECT wait_until_idle();
SELECT send_id = :wit AS same_id, state, attempts FROM sends WHERE user_id = 'wit';
SELECT count(*) FROM inbox WHERE user_id = 'wit';
SELECT retry_sends('now', '{withheld}');
-- a message that was handed over keeps its attempts
SELECT retry_sends('out');
SELECT wait_until_idle();
SELECT send_id = :id AS same_id, attempts FROM sends WHERE user_id = 'out';
SELECT max(attempt), count(*) FROM attempts WHERE user_id = 'out';
-- expired ones are judged by the time of the retry
SELECT create_journey('brief', '{"kind": "event", "name": "brief"}', '[{"id": "s", "send": "hello"}]', ttl => '1 min') > 0 AS ok;
CALL event('exp', 'brief', '{}', clock() - interval '2 min');
CALL drain();
SELECT state FROM sends WHERE user_id = 'exp';
SELECT retry_sends('brief', '{expired}');
CALL drain();
SELECT state FROM sends WHERE user_id = 'exp';
