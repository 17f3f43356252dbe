-- What a journey may be, what it says when it is not one, and its life.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "hello"}'), create_template('call', 'webhook', '{"text": "hello"}') \gset
-- what create_journey() says to a definition
CREATE FUNCTION test.define(trigger jsonb DEFAULT NULL, steps jsonb DEFAULT NULL, reentry jsonb DEFAULT NULL,
	exit_on jsonb DEFAULT NULL, goal jsonb DEFAULT NULL, ttl text DEFAULT NULL, segment text DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$
	SELECT test.error(format('SELECT trigger_engine.create_journey(''probe'', %L, %L, reentry => %L, exit_on => %L, goal => %L,'
		' ttl => %L, segment => %L, or_replace => true)',
		coalesce($1, '{"kind": "event", "name": "cart"}'), coalesce($2, '[{"id": "s1", "send": "hello"}]'), $3, $4, $5, $6, $7))
$$;
\set ECHO all
\pset null '-'

-- the trigger
SELECT t AS trigger, define(t) FROM (VALUES
	('"cart"'::jsonb), ('[]'), ('{}'), ('{"kind": "event"}'), ('{"kind": "event", "name": ""}'), ('{"kind": "event", "name": 1}'),
	('{"name": "cart"}'), ('{"kind": "evnt", "name": "cart"}'), ('{"kind": "schedule", "cron": "* * * * *"}'), ('{"kind": null, "name": "cart"}'),
	('{"kind": "event", "nam": "cart"}'), ('{"kind": "event", "name": "cart", "were": "$.a == 1"}'),
	('{"kind": "event", "name": "cart", "entrykey": "$.a"}'), ('{"kind": "event", "name": "cart", "filter_by_total": 1}'),
	('{"kind": "event", "name": "cart", "where": ""}'), ('{"kind": "event", "name": "cart", "where": 1}'),
	('{"kind": "event", "name": "cart", "where": "$.a =="}'), ('{"kind": "event", "name": "cart", "where": "total > 10"}'),
	('{"kind": "event", "name": "cart", "entry_key": "$["}'),
	(jsonb_build_object('kind', 'event', 'name', repeat('n', 128)))
) v(t);
-- the steps
SELECT s AS steps, define(steps => s) FROM (VALUES
	('{}'::jsonb), ('[]'), ('"s1"'), ('null'), ('["s1"]'), ('[{}]'), ('[{"send": "hello"}]'), ('[{"id": "", "send": "hello"}]'), ('[{"id": 1, "send": "hello"}]'),
	('[{"id": "s1"}]'), ('[{"id": "s1", "sned": "hello"}]'), ('[{"id": "s1", "send": "hello", "wait": "1 min"}]'),
	('[{"id": "s1", "send": "hello", "chanel": "in_app"}]'), ('[{"id": "s1", "wait": "1 min", "channel": "in_app"}]'),
	('[{"id": "s1", "send": "hello", "until": "tomorrow"}]'),
	('[{"id": "s1", "send": 1}]'), ('[{"id": "s1", "send": null}]'),
	('[{"id": "s1", "send": "hallo"}]'), ('[{"id": "s1", "send": "something else"}]'),
	('[{"id": "s1", "send": "hello", "channel": "webhook"}]'), ('[{"id": "s1", "send": "hello", "channel": "email"}]'),
	('[{"id": "s1", "send": "call"}]'), ('[{"id": "s1", "send": "call", "provider": "hook"}]'),
	('[{"id": "s1", "send": "hello", "provider": "hook"}]'),
	('[{"id": "s1", "send": "hello"}, {"id": "s1", "send": "hello"}]'), ('[{"id": "s1", "send": "hello"}, {"id": "w", "wait": "1 s"}, {"id": "s1", "exit": "x"}]'),
	('[{"id": "w", "wait": "1 min"}]'), ('[{"id": "v", "wait": "1 min"}, {"id": "w", "wait": "1 min"}]'),
	('[{"id": "s1", "send": "hello"}, {"id": "x", "exit": 5}]')
) v(s);
-- impossible waits
SELECT w AS wait, define(steps => jsonb_build_array(jsonb_build_object('id', 'w', 'wait', w), '{"id": "s1", "send": "hello"}'::jsonb)) FROM (VALUES
	('"-1 min"'::jsonb), ('"soon"'), ('""'), ('"10"'), ('-5'), ('true'), ('null'), ('{}'), ('"101 years"'), ('"99999 days"'), ('"1000000 hours"'), ('4e9'),
	('"1 day -25 hours"'), ('"9999999999 years"'), ('"0"'), ('0'), ('1.5'), ('"100 years"'), ('"1 week 2 days 03:04:05.6"'), ('"PT1H"')
) v(w);
-- re-entry
SELECT k AS entry_key, r AS reentry, define('{"kind": "event", "name": "cart"}'::jsonb || coalesce(jsonb_build_object('entry_key', k), '{}'), reentry => r) FROM (VALUES
	(NULL, '[]'::jsonb), (NULL, '"once"'), (NULL, '{}'), (NULL, '{"policy": "twice"}'), (NULL, '{"policy": 1}'), (NULL, '{"polcy": "once"}'),
	(NULL, '{"policy": "once"}'), ('$.a', '{"policy": "once"}'), (NULL, '{"policy": "once", "after": "1 day"}'), (NULL, '{"policy": "once", "limit": 1}'),
	(NULL, '{"policy": "once_per_key"}'), ('$.a', '{"policy": "once_per_key"}'), ('$.a', NULL), ('$.a', '{"policy": "once_per_key", "limit": 1}'),
	(NULL, '{"policy": "after"}'), (NULL, '{"policy": "after", "after": "1 day"}'), (NULL, '{"policy": "after", "after": "-1 day"}'),
	(NULL, '{"policy": "after", "after": "never"}'), ('$.a', '{"policy": "after", "after": "1 day"}'),
	(NULL, '{"policy": "parallel"}'), (NULL, '{"policy": "parallel", "limit": 0}'), (NULL, '{"policy": "parallel", "limit": 1.5}'),
	(NULL, '{"policy": "parallel", "limit": 10001}'), (NULL, '{"policy": "parallel", "limit": "2"}'), (NULL, '{"policy": "parallel", "limit": 2}'),
	(NULL, '{"policy": "parallel", "limit": 2, "after": "1 day"}'), ('$.a', '{"policy": "parallel", "limit": 2}')
) v(k, r);
-- exits, goals, ttl, segment
SELECT e AS exit_on, define(exit_on => e) FROM (VALUES
	('"order"'::jsonb), ('1'), ('["order"]'), ('[{}]'), ('[{"name": ""}]'), ('[{"nam": "order"}]'), ('[{"name": "order", "where": "$.a =="}]'), ('[{"name": "order"}, {"event": "x"}]'),
	('{"name": "order"}'), ('[]'), ('[{"name": "order", "where": "$.a == 1"}]')
) v(e);
SELECT define(goal => '[{"nme": "order"}]');
SELECT define(goal => '[{"name": "order", "where": "$.."}]');
SELECT t AS ttl, define(ttl => t) FROM (VALUES ('0'), ('-1 hour'), ('1 day -1 hour'), ('1 hour')) v(t);
SELECT define(segment => 'nobody');
CREATE VIEW test.vips AS SELECT user_id FROM trigger_engine.users;
SELECT create_segment('vips', 'vips');
SELECT define(segment => 'vip');
SELECT create_provider('hook', 'webhook', '{"url": "https://example.com/"}');
SELECT define(steps => '[{"id": "s1", "send": "call", "provider": "hok"}]');
SELECT define(steps => '[{"id": "s1", "send": "hello", "provider": "hook"}]');
SELECT define(steps => '[{"id": "s1", "send": "call"}]');
SELECT steps FROM journeys WHERE name = 'probe';
-- what is required
SELECT error($$SELECT create_journey(NULL, '{"kind": "event", "name": "cart"}', '[{"id": "s1", "send": "hello"}]')$$);
SELECT error($$SELECT create_journey('', '{"kind": "event", "name": "cart"}', '[{"id": "s1", "send": "hello"}]')$$);
SELECT error($$SELECT create_journey('x', NULL, '[{"id": "s1", "send": "hello"}]')$$);
SELECT error($$SELECT create_journey('x', '{"kind": "event", "name": "cart"}', NULL)$$);
SELECT drop_journey('probe');

-- names, versions, replacement
SELECT create_journey('j', '{"kind": "event", "name": "cart"}', '[{"id": "w", "wait": "1 hour"}, {"id": "s1", "send": "hello"}]', description => 'first') AS id \gset
SELECT error($$SELECT create_journey('j', '{"kind": "event", "name": "cart"}', '[{"id": "s1", "send": "hello"}]')$$);
SELECT name, state, version, trigger, steps, exit_on, goal, reentry, segment, topic, transactional, ttl, purpose, description, owner = current_user AS mine, created_at, updated_at
FROM journeys \gx
SELECT advance_clock('1 min');
SELECT create_journey('j', '{"kind": "event", "name": "order"}', '[{"id": "s1", "send": "hello"}]', exit_on => '[{"name": "x"}]', goal => '{"name": "y"}',
	reentry => '{"policy": "once"}', topic => 'news', transactional => true, ttl => '1 day', purpose => 'p', or_replace => true) = :id AS same_id;
SELECT name, state, version, trigger, steps, exit_on, goal, reentry, segment, topic, transactional, ttl, purpose, description, created_at, updated_at
FROM journeys \gx
SELECT version, trigger ->> 'name' AS event, created_at FROM _journey_versions WHERE journey_id = :id ORDER BY 1;

-- alter: NULL leaves a part as it is, an empty one takes it away; no version without a change
SELECT alter_journey('j');
SELECT alter_journey('j', ttl => '1 day');
SELECT alter_journey('j', description => 'second');
SELECT alter_journey('j', ttl => '2 days', topic => 'offers');
SELECT alter_journey('j', exit_on => '[]', goal => '[]', reentry => '{}', topic => '', purpose => '', transactional => false);
SELECT version, trigger, exit_on, goal, reentry, topic, transactional, ttl, purpose, description FROM journeys \gx
SELECT alter_journey('j', steps => '[{"id": "s1", "send": "hello"}, {"id": "s2", "send": "hello"}]');
SELECT error($$SELECT alter_journey('j', steps => '[{"id": "s1", "send": "hallo"}]')$$);
SELECT error($$SELECT alter_journey('j', trigger => '{"kind": "event", "nme": "x"}')$$);
SELECT error($$SELECT alter_journey('j', segment => 'nobody')$$);
SELECT error($$SELECT alter_journey('i', ttl => '1 day')$$);
SELECT error($$SELECT alter_journey('entirely different', ttl => '1 day')$$);
SELECT alter_journey('j', new_name => 'k');
SELECT name, version FROM journeys;
CALL journey('other');
SELECT error($$SELECT alter_journey('other', new_name => 'k')$$);
SELECT error($$SELECT alter_journey('other', new_name => '')$$);
SELECT drop_journey('other');

-- enable and disable
SELECT create_journey('draft', '{"kind": "event", "name": "cart"}', '[{"id": "s1", "send": "hello"}]', enabled => false) AS id \gset
CALL event('u1', 'cart');
SELECT name, state FROM journeys ORDER BY 1;
SELECT enable_journey('draft');
CALL event('u2', 'cart');
CALL drain();
SELECT disable_journey('draft');
SELECT disable_journey('draft');
SELECT name, state FROM journeys ORDER BY 1;
CALL event('u3', 'cart');
SELECT enable_journey('draft');
SELECT enable_journey('draft');
CALL drain();
SELECT user_id, journey, state FROM sends;
SELECT error($$SELECT enable_journey('darft')$$);
SELECT error($$SELECT disable_journey('no such')$$);

-- a run keeps its version, new ones have the new
SELECT create_journey('v', '{"kind": "event", "name": "v"}', '[{"id": "w", "wait": "1 hour"}, {"id": "s1", "send": "hello"}]');
CALL event('v1', 'v');
SELECT alter_journey('v', steps => '[{"id": "w", "wait": "2 hours"}, {"id": "s1", "send": "hello"}]');
CALL event('v2', 'v');
SELECT user_id, version, due_at - clock() AS due_in FROM sends WHERE journey = 'v' ORDER BY 1;
SELECT user_id, version, state FROM enrollments WHERE journey = 'v' ORDER BY 1;

-- drop: what is due is cancelled and recorded; history stays
SELECT drop_journey('v');
SELECT user_id, journey ~ '^journey [0-9]+$' AS by_id, state, gate, reason FROM sends WHERE user_id LIKE 'v_' ORDER BY 1;
SELECT user_id, stopped_by FROM decisions WHERE user_id LIKE 'v_' ORDER BY 1;
SELECT count(*) FROM _journey_versions WHERE journey_id NOT IN (SELECT journey_id FROM journeys);
SELECT error($$SELECT drop_journey('v')$$);
SELECT drop_journey('v', if_exists => true);
-- the name is free for another journey, with another id
CALL journey('v', 'v');
CALL event('v1', 'v');
CALL drain();
SELECT user_id, state, count(*) FROM sends WHERE user_id LIKE 'v_' GROUP BY 1, 2 ORDER BY 1, 2;

-- templates in use
SELECT error($$SELECT drop_template('hello')$$);
SELECT error($$SELECT drop_template('nothing')$$);
SELECT drop_template('nothing', if_exists => true);
SELECT drop_template('call');
SELECT error($$SELECT create_template('hello', 'in_app', '{"title": "x"}')$$);
SELECT create_template('hello', 'in_app', '{"title": "x"}', or_replace => true);
SELECT create_template('hello', 'in_app', '{"title": "y"}', locale => 'de');
SELECT error($$SELECT create_template('hello', 'webhook', '{"title": "y"}', locale => 'fr')$$);
SELECT name, locale, channel, content, version FROM templates ORDER BY 2;
SELECT drop_template('hello', locale => 'de');
SELECT c AS channel, t AS content, error(format('SELECT create_template(''bad'', %L, %L)', c, t)) FROM (VALUES
	('in_app', '{}'), ('in_app', '[]'), ('in_app', '{"titel": "x"}'), ('in_app', '{"title": 1}'), ('in_app', '{"title": "{{ a | upcse }}"}'), ('in_app', '{"data": {"deep": ["{{ a"]}}'),
	('in_ap', '{"title": "x"}'), ('email', '{"title": "x"}'), ('webhook', '{"type": 1}'), ('webhook', '{"anything": {"goes": 1}}')
) v(c, t);

-- ownership
CREATE ROLE regress_te_analyst;
CREATE ROLE regress_te_other;
SELECT grant_usage('regress_te_analyst', 'analyst'), grant_usage('regress_te_other', 'analyst');
SET ROLE regress_te_analyst;
SELECT trigger_engine.create_journey('mine', '{"kind": "event", "name": "cart"}', '[{"id": "s1", "send": "hello"}]') > 0 AS created;
SET ROLE regress_te_other;
SELECT trigger_engine.alter_journey('mine', ttl => '1 day');
SELECT trigger_engine.disable_journey('mine');
SELECT trigger_engine.enable_journey('mine');
SELECT trigger_engine.drop_journey('mine');
SELECT trigger_engine.create_journey('mine', '{"kind": "event", "name": "cart"}', '[{"id": "s1", "send": "hello"}]', or_replace => true);
SELECT trigger_engine.cancel_sends('mine');
RESET ROLE;
GRANT regress_te_analyst TO regress_te_other;
SET ROLE regress_te_other;
SELECT trigger_engine.alter_journey('mine', ttl => '1 day');
RESET ROLE;
SELECT owner FROM journeys WHERE name = 'mine';
SELECT drop_journey('mine');
DROP OWNED BY regress_te_analyst, regress_te_other;
DROP ROLE regress_te_analyst, regress_te_other;
