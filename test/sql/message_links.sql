-- Links and recommended items in templates: worked out where they are named, and links that work.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
SELECT create_template('t', 'in_app', '{"title": "{% for item in recommended %}{{ item.rank }} {{ item.item_id }} {{ item.category }};{% endfor %}", "body": "{{ unsubscribe_url }}", "url": "{{ preferences_url }}"}');
SELECT create_template('none', 'in_app', '{"title": "{{ user.user_id }}"}');
SELECT set_item(i, jsonb_build_object('category', c)) FROM (VALUES ('bag', 'bags'), ('shoe', 'shoes')) v(i, c);
SELECT record_basket('x', '{bag,shoe}'), record_basket('y', '{bag,shoe}'), record_basket('ann', '{bag}');
SELECT refresh_recommendations() > 0 AS ok;
SELECT create_journey('j', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "t"}, {"id": "w", "wait": "1 h"}, {"id": "n", "send": "none"}]', topic => 'news') > 0 AS ok;
INSERT INTO events (user_id, name) VALUES ('ann', 'cart'), ('nobody', 'cart');
CALL drain();
SELECT user_id, title, regexp_replace(body, '=.*', '=') AS body, regexp_replace(url, '=.*', '=') AS url FROM inbox ORDER BY 1;
SELECT split_part(body, '=', 2) AS leave, split_part(url, '=', 2) AS choose FROM inbox WHERE user_id = 'ann' \gset
SELECT unsubscribe_info(:'leave') - 'expires_at' AS info;
SELECT error(format('SELECT preference_center(%L)', :'leave'));
SELECT preference_center(:'choose') -> 'topics' AS topics;
SELECT unsubscribe(:'leave') ->> 'unsubscribed' AS unsubscribed;
CALL drain('1 h');
SELECT user_id, step, state, reason FROM sends ORDER BY 1, 2;
-- those of a preview open nothing
INSERT INTO users (user_id) VALUES ('ann');
SELECT field, content FROM preview_template('t', 'ann') ORDER BY 1;
