-- The gates in their order: each stops what would fail at all that follow it, and its decision is on record.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = error;
CREATE VIEW test.decided AS
SELECT user_id, journey, state, stopped_by, (SELECT string_agg((g ->> 'gate') || coalesce(nullif('=' || (g ->> 'result'), '=pass'), ''), ' ' ORDER BY n)
	FROM jsonb_array_elements(gates) WITH ORDINALITY AS e(g, n)) AS gates FROM trigger_engine.decisions ORDER BY user_id;
CREATE VIEW test.reasons AS
-- (times in reasons are in the server's time zone)
SELECT user_id, state, attempts, regexp_replace(regexp_replace(reason, 'due at [^,]*,', 'due at ...,'), 'events/\d+', 'events/N') AS reason FROM trigger_engine.sends ORDER BY user_id;
SELECT create_template('hello', 'in_app', '{"title": "hello"}'), create_template('call', 'webhook', '{"text": "hello"}'), create_template('gone', 'webhook', '{"text": "hello"}') \gset
SELECT create_provider('hook', 'webhook', '{"url": "http://127.0.0.1:1/"}'), create_provider('missing', 'webhook', '{"url": "http://127.0.0.1:1/"}'),
	set_secret('hook', '{"keys": ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]}') \gset
CREATE TABLE test.member (user_id text PRIMARY KEY);
CREATE VIEW test.members AS SELECT user_id FROM test.member;
SELECT create_segment('members', 'test.members') \gset
CREATE PROCEDURE test.ladder(name text, ttl interval, template text DEFAULT 'gone', provider text DEFAULT 'missing')
LANGUAGE sql AS $$
	SELECT trigger_engine.create_journey(name, jsonb_build_object('kind', 'event', 'name', name),
		jsonb_build_array('{"id": "w", "wait": "1 h"}'::jsonb, jsonb_build_object('id', 's', 'send', template, 'provider', provider)),
		exit_on => jsonb_build_array(jsonb_build_object('name', 'exit')), ttl => ttl, segment => 'members')
$$;
RESET client_min_messages;
\set ECHO all
\pset null '-'

-- rung by rung: the journey of each user passes one gate more
CALL ladder('1 live', '30 min');
CALL ladder('2 exit', '30 min');
CALL ladder('3 expiry', '30 min');
CALL ladder('4 segment', '1 day');
CALL ladder('5 consent', '1 day');
CALL ladder('6 render', '1 day');
CALL ladder('7 provider', '1 day', 'call');
CALL ladder('8 held', '1 day', 'call', 'hook');
INSERT INTO member VALUES ('u5'), ('u6'), ('u7'), ('u8');
SELECT set_consent(u, 'webhook', 'opted_out') FROM unnest(ARRAY['u1', 'u2', 'u3', 'u4', 'u5']) u;
-- their exits came in before they entered
INSERT INTO events (user_id, name) VALUES ('u1', 'exit'), ('u2', 'exit');
INSERT INTO events (user_id, name, occurred_at) SELECT 'u' || left(name, 1), name, clock() - interval '1 min' FROM journeys;
-- versions that have begun name a template and a provider that are no more
SELECT count(alter_journey(name, steps => '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "call", "provider": "hook"}]')) FROM journeys;
SELECT drop_template('gone'), drop_provider('missing');
UPDATE _journeys SET state = 'draft' WHERE name = '1 live';
SELECT alter_provider('hook', enabled => false);
CALL drain('2 h');
TABLE decided;
TABLE reasons;
SELECT user_id, journey, state, exit_reason IS NOT NULL AS reason FROM enrollments ORDER BY 1;
SELECT count(*) FROM attempts;

-- a held one waits for the provider, longer each time
SELECT due_at - clock() AS wait, retries, held FROM queue_status, sends WHERE user_id = 'u8';
CALL drain('10 s');
SELECT due_at - clock() AS wait FROM sends WHERE user_id = 'u8';
CALL drain('20 s');
SELECT due_at - clock() AS wait FROM sends WHERE user_id = 'u8';
-- and goes once it is there: nobody answers at that address, so it will be tried again
SELECT alter_provider('hook', enabled => true);
CALL drain('40 s');
SELECT user_id, state, attempts, reason IS NOT NULL AS reason FROM sends WHERE user_id = 'u8';
SELECT user_id, attempt, provider, outcome, status FROM attempts;

-- a provider without its secret holds, too
SELECT create_provider('keyless', 'webhook', '{"url": "http://127.0.0.1:1/"}');
SELECT create_journey('keyless', '{"kind": "event", "name": "keyless"}', '[{"id": "s", "send": "call", "provider": "keyless"}]') > 0 AS ok;
CALL event('k', 'keyless');
CALL drain();
SELECT * FROM reasons WHERE user_id = 'k';
SELECT cancel_sends(user_id => 'u8'), cancel_sends(user_id => 'k');

-- a segment whose SQL fails holds its own messages only
CREATE TABLE test.rate (r integer);
INSERT INTO rate VALUES (0);
CREATE VIEW test.failing AS SELECT CASE WHEN 1 / r = 1 THEN 'f1' END AS user_id FROM test.rate;
UPDATE rate SET r = 1;
SELECT create_segment('failing', 'test.failing');
UPDATE rate SET r = 0;
SELECT create_journey('failing', '{"kind": "event", "name": "f"}', '[{"id": "s", "send": "hello"}]', segment => 'failing') > 0 AS ok;
SELECT create_journey('sound', '{"kind": "event", "name": "f"}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
INSERT INTO events (user_id, name) VALUES ('f1', 'f'), ('f2', 'f');
CALL drain();
SELECT user_id, journey, state, reason FROM sends WHERE user_id IN ('f1', 'f2') ORDER BY 2, 1;
SELECT journey, due, overdue, held FROM queue_status;
UPDATE rate SET r = 1;
CALL drain('10 s');
SELECT user_id, journey, state, reason FROM sends WHERE user_id IN ('f1', 'f2') AND journey = 'failing' ORDER BY 2, 1;
-- and only of those whom it fails for
CREATE VIEW test.adults AS SELECT user_id FROM trigger_engine.users WHERE (attributes ->> 'age')::integer >= 18;
INSERT INTO users (user_id, attributes) VALUES ('a1', '{"age": 20}'), ('a2', '{"age": "twenty"}'), ('a3', '{"age": 7}'), ('a4', '{"age": 30}');
SELECT create_segment('adults', 'test.adults');
SELECT create_journey('adults', '{"kind": "event", "name": "a"}', '[{"id": "s", "send": "hello"}]', segment => 'adults') > 0 AS ok;
INSERT INTO events (user_id, name) SELECT 'a' || i, 'a' FROM generate_series(1, 4) i;
CALL drain();
SELECT user_id, state, reason FROM sends WHERE journey = 'adults' ORDER BY 1;
SELECT cancel_sends('adults');
-- one statement for all of a claim: ids that the view's column cannot hold, one user twice, duplicates in the view
CREATE TABLE test.numbers (user_id bigint);
INSERT INTO numbers VALUES (7), (7), (8), (8);
CREATE VIEW test.asked AS SELECT n.user_id FROM test.numbers n GROUP BY n.user_id UNION ALL SELECT 9;
SELECT create_segment('asked', 'test.asked');
SELECT create_journey('asked', '{"kind": "event", "name": "asked"}', '[{"id": "s", "send": "hello"}]', segment => 'asked') > 0 AS ok;
INSERT INTO events (user_id, name) SELECT u, 'asked' FROM unnest(ARRAY['7', '07', '8', 'seven', '9', '10', '7', '99999999999999999999']) u;
CALL drain();
SELECT user_id, state, count(*) FROM sends WHERE journey = 'asked' GROUP BY 1, 2 ORDER BY 1;
SELECT drop_journey('asked'), drop_segment('asked');
-- so does a view that is gone
SELECT create_journey('viewless', '{"kind": "event", "name": "v"}', '[{"id": "s", "send": "hello"}]', segment => 'failing') > 0 AS ok;
DROP VIEW test.failing;
CALL event('v1', 'v');
CALL drain();
SELECT user_id, state, reason FROM sends WHERE user_id = 'v1';
SELECT cancel_sends('viewless');

-- a run goes on after a message that a gate stopped, and ends with one that its journey did
SELECT create_journey('two', '{"kind": "event", "name": "two"}', '[{"id": "a", "send": "hello"}, {"id": "w", "wait": "1 h"}, {"id": "b", "send": "hello"}]') > 0 AS ok;
SELECT set_consent('t', 'in_app', 'opted_out');
INSERT INTO events (user_id, name) VALUES ('t', 'two'), ('t2', 'two');
CALL drain();
SELECT set_consent('t', 'in_app', 'opted_in', at => clock() + interval '1 s');
CALL drain('30 min');
SELECT disable_journey('two');
CALL event('t3', 'two');
SELECT enable_journey('two');
CALL drain('30 min');
SELECT user_id, step, state, stopped_by FROM decisions WHERE journey = 'two' ORDER BY 1, 2;
SELECT user_id, state FROM enrollments WHERE journey = 'two' ORDER BY 1;

-- expiry: at the last instant it goes, a microsecond later it does not
SELECT create_journey('brief', '{"kind": "event", "name": "brief"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]', ttl => '10 min') > 0 AS ok;
INSERT INTO events (user_id, name, occurred_at) VALUES ('e1', 'brief', clock() - interval '1 h 10 min'), ('e2', 'brief', clock() - interval '1 h 10 min 0.000001 s');
CALL drain();
SELECT user_id, state, stopped_by FROM decisions WHERE user_id IN ('e1', 'e2') ORDER BY 1;

-- a message whose event is gone is not rendered without it; one from a tracked table brings its own along
SELECT create_template('total', 'in_app', '{"title": "{{ event.total }}"}');
SELECT create_journey('gone', '{"kind": "event", "name": "gone"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "total"}]') > 0 AS ok;
CREATE TABLE test.paid (id integer PRIMARY KEY, who text, total integer);
SELECT track_table('test.paid', 'gone', 'who');
INSERT INTO events (user_id, name, properties) VALUES ('g1', 'gone', '{"total": 1}'), ('g2', 'gone', '{"total": 2}');
INSERT INTO paid VALUES (3, 'g3', 3);
DELETE FROM events WHERE user_id = 'g1';
DELETE FROM paid;
CALL drain('1 h');
SELECT s.user_id, s.state, s.gate, regexp_replace(s.reason, 'of 20.*UTC', 'of ...') AS reason, i.title
FROM sends s LEFT JOIN inbox i USING (user_id) WHERE s.journey = 'gone' ORDER BY 1;
SELECT untrack_table('test.paid');

-- the story of a message that was stopped
SELECT step, what, result FROM explain_send((SELECT send_id FROM sends WHERE user_id = 'u5')) ORDER BY 1;
