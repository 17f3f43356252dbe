-- Consent: what is asked, what counts, and that it counts at once.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE PROCEDURE test.consent(user_id text, channel text, state text, topic text DEFAULT NULL, at timestamptz DEFAULT NULL)
LANGUAGE sql AS $$ SELECT trigger_engine.set_consent($1, $2, $3, topic => $4, at => $5, source => 'test') $$;
CREATE VIEW test.results AS SELECT user_id, journey, state, gate, reason FROM trigger_engine.sends ORDER BY 1, 2;
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
\set ECHO all
\pset null '-'

SELECT create_journey('plain', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('news', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "hello"}]', topic => 'news') > 0 AS ok;
SELECT create_journey('receipt', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "hello"}]', transactional => true, topic => 'news') > 0 AS ok;

-- nothing on record; opted out of a channel, of all, of a topic, of another topic, of another channel
CALL consent('channel', 'in_app', 'opted_out');
CALL consent('all', '*', 'opted_out');
CALL consent('topic', 'in_app', 'opted_out', 'news');
CALL consent('topic of all', '*', 'opted_out', 'news');
CALL consent('other topic', 'in_app', 'opted_out', 'offers');
CALL consent('other channel', 'email', 'opted_out');
-- an opt-out holds beside an opt-in of wider or narrower scope
CALL consent('out of all, in here', '*', 'opted_out');
CALL consent('out of all, in here', 'in_app', 'opted_in');
CALL consent('in, out of topic', 'in_app', 'opted_in');
CALL consent('in, out of topic', 'in_app', 'opted_out', 'news');
CALL consent('out, in for topic', 'in_app', 'opted_out');
CALL consent('out, in for topic', 'in_app', 'opted_in', 'news');
-- the latest counts, by the time it was given and not by when it came in
CALL consent('back in', 'in_app', 'opted_out', at => clock() - interval '2 days');
CALL consent('back in', 'in_app', 'opted_in', at => clock() - interval '1 day');
CALL consent('late news of it', 'in_app', 'opted_out', at => clock() - interval '1 day');
CALL consent('late news of it', 'in_app', 'opted_in', at => clock() - interval '2 days');
-- at the same instant the stricter one
CALL consent('same instant, in first', 'in_app', 'opted_in', at => '2030-01-01 00:00+00');
CALL consent('same instant, in first', 'in_app', 'opted_out', at => '2030-01-01 00:00+00');
CALL consent('same instant, out first', 'in_app', 'opted_out', at => '2030-01-01 00:00+00');
CALL consent('same instant, out first', 'in_app', 'opted_in', at => '2030-01-01 00:00+00');
INSERT INTO events (user_id, name) SELECT u, 'cart' FROM unnest(ARRAY['nothing', 'channel', 'all', 'topic', 'topic of all', 'other topic', 'other channel', 'out of all, in here',
	'in, out of topic', 'out, in for topic', 'back in', 'late news of it', 'same instant, in first', 'same instant, out first']) u;
CALL drain();
TABLE results;
SELECT user_id, count(*) FROM inbox GROUP BY 1 ORDER BY 1;

-- what is on record
SELECT user_id, channel, topic, state, source, at, proof FROM consents ORDER BY 1, 2, 3;
SELECT set_consent('proven', 'email', 'opted_in', topic => 'news', source => 'form', at => clock() - interval '1 hour', proof => '{"ip": "192.0.2.1"}');
SELECT user_id, channel, topic, state, source, at, proof FROM consents WHERE user_id = 'proven';
SELECT count(*) FROM _consents WHERE user_id = 'back in';
-- with what proves the one that counts
SELECT set_consent('proven', 'email', 'opted_out', topic => 'news', source => 'link', at => clock() - interval '1 hour', proof => '{"ip": "192.0.2.2"}');
SELECT set_consent('proven', 'email', 'opted_in', topic => 'news', source => 'form', at => clock() - interval '1 hour', proof => '{"ip": "192.0.2.3"}');
SELECT state, source, proof FROM consents WHERE user_id = 'proven';

-- it takes effect with its transaction, on what is due as well
SELECT create_journey('later', '{"kind": "event", "name": "later"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]') > 0 AS ok;
INSERT INTO events (user_id, name) VALUES ('l1', 'later'), ('l2', 'later'), ('l3', 'later');
CALL consent('l1', 'in_app', 'opted_out');
BEGIN;
CALL consent('l2', 'in_app', 'opted_out');
ROLLBACK;
CALL drain('1 h');
SELECT * FROM results WHERE journey = 'later';

-- errors
SELECT error($$SELECT set_consent('u', 'fax', 'opted_in')$$);
SELECT error($$SELECT set_consent('u', 'email', 'maybe')$$);
SELECT error($$SELECT set_consent(NULL, 'email', 'opted_in')$$);
SELECT error($$SELECT set_consent('', 'email', 'opted_in')$$);
SELECT error($$SELECT set_consent('u', NULL, 'opted_in')$$);
SELECT error($$SELECT set_consent('u', 'email', NULL)$$);
-- every channel, and all of them
SELECT channel, error(format('SELECT set_consent(''every'', %L, ''opted_in'')', channel)) FROM unnest(ARRAY['*', 'push', 'web_push', 'email', 'sms', 'whatsapp', 'in_app', 'webhook', 'chat']) channel;
