-- Topics, preferences, legal basis and the suppression list: what the consent gate makes of them.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.results AS SELECT user_id, journey, state, gate, reason FROM trigger_engine.sends ORDER BY 1, 2;
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
SELECT create_template('hook', 'webhook', '{"data": {"a": 1}}') \gset
\set ECHO all
\pset null '-'

SELECT create_topic('news', '{"en": "News", "de": "Neues"}', channels => '{in_app,email}', frequencies => '{"daily": {"max": 1, "per": "1 day"}, "all": null}');
SELECT create_topic('strict', channels => '{in_app}', default_state => 'opted_out');
SELECT create_topic('terms', channels => '{email,in_app}', transactional => true);
SELECT create_topic('service', channels => '{email}', legal_basis => 'contract');
SELECT name, titles, channels, default_state, frequencies, legal_basis, transactional FROM topics ORDER BY 1;
SELECT create_journey(t, format('{"kind": "event", "name": "%s"}', t)::jsonb, '[{"id": "s", "send": "hello"}]', topic => t) > 0 AS ok FROM unnest('{news,strict,terms}'::text[]) t;

-- the gate: only who opted in to the very topic; a transactional one whatever is on record
SELECT set_consent('in', 'in_app', 'opted_in'), set_consent('in topic', 'in_app', 'opted_in', topic => 'strict'), set_consent('out', '*', 'opted_out');
INSERT INTO events (user_id, name) SELECT u, n FROM unnest('{nothing,in,in topic,out}'::text[]) u, unnest('{strict,terms}'::text[]) n;
CALL drain();
TABLE results;

-- preferences as the gate has them
SELECT * FROM preferences('nobody');
SELECT set_preference('ann', 'news', 'opted_in', 'email', 'daily', source => 'form', proof => '{"ip": "192.0.2.1"}');
SELECT * FROM preferences('ann', 'de-AT') WHERE topic = 'news';
SELECT user_id, channel, topic, state, source, proof FROM consents WHERE user_id = 'ann';
SELECT caps FROM _user_limits WHERE user_id = 'ann';
-- another frequency takes the place of the first, and leaves other limits alone
SELECT set_message_limits('ann', caps => '[{"max": 5, "per": "1 day"}, {"max": 1, "per": "1 day", "topic": "news", "channel": "email"}]');
SELECT set_preference('ann', 'news', frequency => 'daily'), set_preference('ann', 'news', channel => 'email', frequency => 'all');
SELECT caps FROM _user_limits WHERE user_id = 'ann';
SELECT advance_clock('1 s') IS NOT NULL AS ok;
SELECT set_preferences('ann', '[{"topic": "news", "channel": "email", "state": "opted_out"}, {"topic": "strict", "state": "opted_in"}]', source => 'centre');
SELECT topic, channel, state, frequency FROM preferences('ann');
SELECT topic, channel, frequency, source FROM _preferences WHERE user_id = 'ann' ORDER BY at, channel;
-- the frequency holds
INSERT INTO events (user_id, name) VALUES ('ann', 'news'), ('ann', 'news');
CALL drain();
SELECT state, count(*) FROM sends WHERE user_id = 'ann' AND journey = 'news' GROUP BY 1 ORDER BY 1;

-- what a purpose rests on: no opt-in needed, but an opt-out holds
SELECT create_provider('hook', 'webhook', '{}');
SELECT create_journey('care', '{"kind": "event", "name": "care"}', '[{"id": "s", "send": "hello"}]', purpose => 'care', topic => 'strict') > 0 AS ok;
SELECT set_legal_basis('care', 'legitimate_interests');
SELECT purpose, legal_basis FROM legal_bases;
INSERT INTO events (user_id, name) VALUES ('care nothing', 'care'), ('out', 'care');
CALL drain();
SELECT * FROM results WHERE journey = 'care';
SELECT set_legal_basis('care');
TABLE legal_bases;

-- suppression: of a user, of an address, of what is queued, for marketing only
SELECT suppress('in_app', user_id => 'sup', reason => 'complained'), suppress('in_app', user_id => 'sup', reason => 'complained again', scope => 'marketing');
SELECT suppress('*', user_id => 'sup m', scope => 'marketing');
INSERT INTO events (user_id, name) SELECT u, n FROM unnest('{sup,sup m}'::text[]) u, unnest('{news,terms}'::text[]) n;
SELECT create_journey('later', '{"kind": "event", "name": "later"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]') > 0 AS ok;
INSERT INTO events (user_id, name) VALUES ('sup later', 'later'), ('not any more', 'later');
SELECT suppress('in_app', user_id => 'sup later', reason => 'bounced'), suppress('in_app', user_id => 'not any more'), unsuppress('in_app', user_id => 'not any more'), unsuppress('in_app', user_id => 'not any more');
CALL drain('1 h');
SELECT * FROM results WHERE user_id LIKE 'sup%' OR user_id = 'not any more';
SELECT create_journey('addressed', '{"kind": "event", "name": "addressed"}', '[{"id": "s", "send": "hook"}]', transactional => true) > 0 AS ok;
INSERT INTO endpoints (user_id, channel, address) VALUES ('a1', 'webhook', 'https://One.example.test/'), ('a2', 'webhook', 'https://two.example.test/');
SELECT suppress('webhook', ' https://one.EXAMPLE.test/', reason => 'gone'), suppress('*', encode(sha256('https://two.example.test/'), 'hex'), hashed => true);
INSERT INTO events (user_id, name) VALUES ('a1', 'addressed'), ('a2', 'addressed');
CALL drain();
SELECT * FROM results WHERE journey = 'addressed';
SELECT channel, address, left(digest, 8) AS digest, user_id, reason, scope FROM suppressions ORDER BY channel, user_id, digest;
SELECT unsuppress('webhook', 'HTTPS://one.example.test/'), unsuppress('*', encode(sha256('https://two.example.test/'), 'hex')), unsuppress('email', 'x@example.test');
SELECT drop_topic('service'), drop_topic('service', if_exists => true);

-- errors
SELECT error($$SELECT create_topic('')$$);
SELECT error($$SELECT create_topic('news')$$);
SELECT error($$SELECT create_topic('x', titles => '{"en": 1}')$$);
SELECT error($$SELECT create_topic('x', channels => '{fax}')$$);
SELECT error($$SELECT create_topic('x', default_state => 'opted_in')$$);
SELECT error($$SELECT create_topic('x', default_state => 'maybe')$$);
SELECT error($$SELECT create_topic('x', legal_basis => 'because')$$);
SELECT error($$SELECT create_topic('x', frequencies => '{"daily": {"max": -1, "per": "1 day"}}')$$);
SELECT error($$SELECT create_topic('x', frequencies => '{"daily": {"max": 1, "per": "1 day", "topic": "y"}}')$$);
SELECT error($$SELECT drop_topic('none')$$);
SELECT error($$SELECT set_legal_basis('x', 'because')$$);
SELECT error($$SELECT set_preference('ann', 'none', 'opted_in')$$);
SELECT error($$SELECT set_preference('ann', 'news', frequency => 'hourly')$$);
SELECT error($$SELECT set_preference('ann', 'terms', 'opted_out')$$);
SELECT error($$SELECT set_preferences('ann', '[{"topic": "news"}]')$$);
SELECT error($$SELECT set_preferences('ann', '[{"topic": "news", "state": "opted_in", "x": 1}]')$$);
SELECT error($$SELECT set_preferences('ann', '{}')$$);
SELECT error($$SELECT suppress('email')$$);
SELECT error($$SELECT suppress('email', 'a@example.test', 'ann')$$);
SELECT error($$SELECT suppress('fax', 'a')$$);
SELECT error($$SELECT suppress('email', 'a', scope => 'some')$$);
-- texts are never code
SELECT create_topic(t, jsonb_build_object(t, t)), set_preference(t, t, 'opted_in', source => t), suppress('email', t, reason => t), suppress('email', user_id => t, reason => t), drop_topic(t)
FROM (VALUES ($$'; DROP TABLE trigger_engine.users; --$$), ($$" || (SELECT 1) || "$$), ('%s %I {{ x }}')) v(t);
SELECT count(*) FROM suppressions WHERE reason ~ 'DROP|SELECT|%s';
