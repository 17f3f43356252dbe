-- Why a person has no message, also when no row exists, and what one would be.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "hello {{ user.name }}, {{ event.total }}"}') \gset
CREATE VIEW public.nobody AS SELECT 'vip'::text AS user_id;
SELECT create_segment('vip', 'public.nobody') \gset
\set ECHO all
\pset null '-'
CREATE VIEW test.rows AS SELECT (SELECT count(*) FROM trigger_engine._due) AS due, (SELECT count(*) FROM trigger_engine._sends) AS sends,
	(SELECT count(*) FROM trigger_engine._slots) AS slots, (SELECT count(*) FROM trigger_engine._send_keys) AS keys,
	(SELECT count(*) FROM trigger_engine._entry_keys) AS entries, (SELECT count(*) FROM trigger_engine.inbox) AS inbox;

SELECT create_journey('cart', '{"kind": "event", "name": "cart", "where": "$.total > 10 && $.kind == \"shoes\""}',
	'[{"id": "s", "send": "hello"}]', reentry => '{"policy": "once"}', segment => 'vip') > 0 AS ok;
INSERT INTO users (user_id, attributes, zone) VALUES ('vip', '{"name": "Vic"}', 'Asia/Tokyo');

-- no event, and a near miss with its values
SELECT * FROM why_not('cart', 'vip') WHERE what !~ 'gate';
CALL event('vip', 'cart', '{"total": 12, "kind": "hats"}');
SELECT what, result, detail FROM why_not('cart', 'vip') WHERE what = 'event';
CALL event('vip', 'cart', '{"total": 3}');
SELECT what, result, detail FROM why_not('cart', 'vip') WHERE what = 'event';

-- a condition is taken apart in either order, but not inside of a text
SELECT _failed_parts('$.kind == "shoes" && $.total > 10', '{"kind": "hats", "total": 12}') AS one, _failed_parts('$.kind == "a && b" && $.total > 10', '{"kind": "hats"}') AS whole;

-- no row exists: the gates say what they would
SELECT what, result, detail FROM why_not('cart', 'eve') WHERE what ~ 'gate (expiry|segment|consent)';
-- each gate is the one that is named
SELECT set_consent('vip', 'in_app', 'opted_out');
SELECT what, detail FROM why_not('cart', 'vip') WHERE what ~ 'gate' AND result = 'failed';
SELECT set_consent('vip', 'in_app', 'opted_in', at => clock() + interval '1 s');
SELECT create_quiet_hours('night', '[{"from": "20:00", "to": "08:00"}]');
SELECT what, detail FROM why_not('cart', 'vip') WHERE what ~ 'gate' AND result = 'failed';
SELECT what, detail FROM why_not('cart', 'vip', '2030-01-15 03:00+00') WHERE result IN ('failed', 'note');
SELECT drop_quiet_hours('night');
SELECT create_journey('other', '{"kind": "event", "name": "view"}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT create_cap('one', 1, '1 day');
CALL event('vip', 'view'); CALL drain();
SELECT what, detail FROM why_not('cart', 'vip') WHERE what ~ 'gate' AND result = 'failed';
SELECT drop_cap('one');
SELECT disable_journey('cart');
SELECT what, result, detail FROM why_not('cart', 'vip') WHERE result = 'failed';
SELECT enable_journey('cart');

-- entered before: which entry is in the way, and what is on record
CALL event('vip', 'cart', '{"total": 20, "kind": "shoes"}'); CALL drain();
CALL drain('1 h'); CALL event('vip', 'cart', '{"total": 30, "kind": "shoes"}'); CALL drain();
SELECT what, result, regexp_replace(detail, 'send \d+', 'send N') AS detail FROM why_not('cart', 'vip') WHERE what !~ 'gate';
SELECT what, result, detail FROM why_not('carts', 'vip');

-- what a message would be; nothing is left behind
SELECT * FROM rows;
SELECT what, result, content FROM dry_run('cart', 'vip', '{"total": 7}') WHERE what ~ 'render|provider';
SELECT what, result, detail FROM dry_run('cart', 'eve', '{"total": 7}') WHERE result = 'failed';
SELECT error($$SELECT * FROM dry_run('cart', 'vip', '[]')$$), error($$SELECT * FROM dry_run('cart', 'vip', step => 'x')$$);
SELECT * FROM rows;
DROP VIEW public.nobody CASCADE;
