-- Signed tokens: unsubscribe, double opt-in, preference centre; and that no other token does.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
\set ECHO all
\pset null '-'

SELECT create_topic('news', '{"en": "News"}', channels => '{email,in_app}', frequencies => '{"weekly": {"max": 1, "per": "7 days"}}');
SELECT create_journey('news', '{"kind": "event", "name": "news"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "hello"}]', topic => 'news') > 0 AS ok;

-- unsubscribe: a look changes nothing, a queued message is stopped, again is the same
SELECT consent_token('ann', 'in_app', 'news', 'unsubscribe') AS token \gset
SELECT :'token' ~ '^[0-9a-f]{12}\.[\w-]+\.[\w-]{43}$' AS form;
INSERT INTO events (user_id, name) VALUES ('ann', 'news'), ('bob', 'news');
SELECT unsubscribe_info(:'token');
SELECT count(*) FROM consents;
SELECT unsubscribe(:'token', 'List-Unsubscribe=One-Click', '{"ip": "192.0.2.1"}') ->> 'unsubscribed' AS unsubscribed;
SELECT unsubscribe(:'token') ->> 'unsubscribed' AS unsubscribed;
SELECT user_id, channel, topic, state, source, proof - 'token' - 'by' AS proof FROM consents;
SELECT unsubscribe_info(:'token') ->> 'unsubscribed' AS unsubscribed;
CALL drain('1 h');
SELECT user_id, state, gate, reason FROM sends ORDER BY 1;

-- what does not hold
CREATE FUNCTION test.forged(token text, payload jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT split_part(token, '.', 1) || '.' || trigger_engine._base64url(convert_to(payload::text, 'UTF8')) || '.' || split_part(token, '.', 3) $$;
SELECT what, error(format('SELECT unsubscribe(%L)', token)) FROM (VALUES
	('nothing', ''), ('no token', 'x.y.z'), ('quotes', $$'; SELECT 1; --$$), ('changed signature', overlay(:'token' placing CASE right(:'token', 1) WHEN 'A' THEN 'EA' ELSE 'AA' END from length(:'token') - 1)),
	('another payload', test.forged(:'token', '{"s": "unsubscribe", "u": "bob", "c": "*", "x": 9999999999}')),
	('unknown key', '000000000000' || substr(:'token', 13)), ('too long', :'token' || repeat('a', 10000)), ('of another scope', request_opt_in('ann', 'email')), ('expired', consent_token('ann', valid_for => '1 s'))) v(what, token)
WHERE advance_clock('1 s') IS NOT NULL;
SELECT error(format('SELECT preference_center(%L)', :'token'));
SELECT error(format('SELECT unsubscribe(%L, %L)', :'token', 'List-Unsubscribe=Two-Clicks'));
SELECT error($$SELECT unsubscribe(NULL)$$);
SELECT count(*) FROM consents;
-- a GET through PostgREST is a read-only transaction
BEGIN READ ONLY;
SELECT unsubscribe_info(:'token') ->> 'topic' AS topic;
SELECT error(format('SELECT unsubscribe(%L)', consent_token('new')));
ROLLBACK;

-- double opt-in: nothing before it is confirmed, and once only
SELECT request_opt_in('eve', 'email', 'news', text_version => '2029-12', source => 'footer', proof => '{"ip": "192.0.2.2"}') AS token \gset opt_
SELECT count(*) FROM consents WHERE user_id = 'eve';
SELECT advance_clock('1 h') IS NOT NULL AS ok;
SELECT confirm_opt_in(:'opt_token', '{"ip": "192.0.2.3"}');
SELECT channel, topic, state, source, at, jsonb_pretty(proof - 'by') FROM consents WHERE user_id = 'eve';
SELECT set_consent('eve', 'email', 'opted_out', topic => 'news', at => clock() + interval '1 s');
SELECT confirm_opt_in(:'opt_token');
SELECT state FROM consents WHERE user_id = 'eve';
SELECT request_opt_in('eve', 'email', 'news', valid_for => '1 day') AS token \gset late_
SELECT advance_clock('1 day') IS NOT NULL AS ok;
SELECT error(format('SELECT confirm_opt_in(%L)', :'late_token'));

-- preference centre
SELECT consent_token('pat') AS token \gset pref_
SELECT jsonb_pretty(preference_center(:'pref_token') - 'expires_at');
SELECT save_preferences(:'pref_token', '{"preferences": [{"topic": "news", "channel": "email", "state": "opted_in", "frequency": "weekly"}], "quiet_hours": [{"from": "22:00", "to": "08:00"}]}', '{"ip": "192.0.2.4"}') #> '{topics,0,channels}' AS channels;
SELECT source, proof FROM consents WHERE user_id = 'pat';
SELECT advance_clock('1 s') IS NOT NULL AS ok;
SELECT save_preferences(:'pref_token', '{"unsubscribe_all": true}') - 'expires_at' - 'quiet_hours' AS after;
SELECT error(format('SELECT save_preferences(%L, %L)', :'pref_token', p)) FROM unnest('{"[]","{\"x\": 1}","{\"unsubscribe_all\": 1}","{\"preferences\": [{\"topic\": \"none\", \"state\": \"opted_in\"}]}"}'::text[]) p;

-- keys: old tokens hold until they are revoked
SELECT rotate_token_key();
SELECT preference_center(:'pref_token') IS NOT NULL AS holds, split_part(consent_token('pat'), '.', 1) <> split_part(:'pref_token', '.', 1) AS new_key;
SELECT rotate_token_key(revoke => true);
SELECT error(format('SELECT preference_center(%L)', :'pref_token'));

SELECT error($$SELECT consent_token('')$$);
SELECT error($$SELECT consent_token('u', 'fax')$$);
SELECT error($$SELECT consent_token('u', scope => 'all')$$);
SELECT error($$SELECT consent_token('u', valid_for => '-1 s')$$);
SELECT error($$SELECT request_opt_in('u', NULL)$$);
-- odd names come through
SELECT unsubscribe(consent_token($$'; DROP TABLE x; -- "\u00e9"é.$$, topic => E'a''b\n"c"')) - 'expires_at' AS left_topic;
SELECT user_id, topic FROM consents WHERE user_id LIKE '%DROP%';
-- HMAC-SHA256, test case 2 of RFC 4231
SELECT encode(_hmac('sha256', 'Jefe', 'what do ya want for nothing?'), 'hex'), _equal('a', 'a'), _equal('a', 'b'), _equal('a', 'ab');
