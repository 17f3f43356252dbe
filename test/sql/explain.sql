-- The story of a send, of a person and of a journey.
\set ECHO none
\i test/sql/include/fresh.sql
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
\set ECHO all
\pset null '-'

SELECT create_journey('cart', '{"kind": "event", "name": "cart"}',
	'[{"id": "first", "send": "hello"}, {"id": "pause", "wait": "1 h"}, {"id": "second", "send": "hello"}]',
	goal => '[{"name": "order"}]', topic => 'news') > 0 AS ok;
SELECT create_cap('daily', 10, '1 day');
INSERT INTO users (user_id, zone) VALUES ('ann', 'Asia/Tokyo');
SELECT set_consent('bob', 'in_app', 'opted_out', topic => 'news', source => 'form');
CALL event('ann', 'cart', '{"total": 3}'); CALL event('bob', 'cart'); CALL event('eve', 'cart');
CALL drain();
CALL drain('10 min'); CALL event('eve', 'order'); CALL drain();
-- a consent that came later is no fact of the decision
SELECT set_consent('bob', 'in_app', 'opted_in', topic => 'news');

SELECT * FROM explain_send((SELECT send_id FROM sends WHERE user_id = 'ann' AND step = 'first'));
SELECT step, what, result, detail FROM explain_send((SELECT send_id FROM sends WHERE user_id = 'bob' AND step = 'first')) WHERE what ~ 'zone|consent';
SELECT * FROM explain_send(-1);

SELECT at, what, subject, regexp_replace(detail, 'events/\d+', 'events/N') AS detail, journey, send_id IS NOT NULL AS is_send FROM user_timeline('eve');
SELECT at, what, subject, detail FROM user_timeline('bob', since => '2030-01-15 12:05+00');
SELECT count(*) FROM user_timeline('nobody');

SELECT * FROM explain_journey('cart');
SELECT step, entered FROM explain_journey('cart', until => '2030-01-15 11:00+00');
SELECT error($$SELECT * FROM explain_journey('carts')$$);

-- nested steps stand below the one that holds them
SELECT n, depth, id, via FROM _step_tree('[{"id": "a", "branch": [{"when": {"event": {"name": "x"}}, "steps": [{"id": "b", "wait": "1 h"}]}], "else": [{"id": "c", "exit": "no"}]}, {"id": "d", "send": "hello"}]');
