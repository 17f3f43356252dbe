-- Offers: discounts by rule, codes of one's own, reserved, released, redeemed; surveys, traits, clusters as segments.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'

SELECT set_clock('2031-03-01 12:00+00');

-- refused
SELECT d, error(format('SELECT create_offer(%L, %L)', 'x', d)) FROM unnest(ARRAY['{}', '[]', '{"percent": 101}', '{"percnt": 10}', '{"amount": 5}', '{"amount": 5, "currency": "eur"}', '{"percent": "10"}']) d;
SELECT r, error(format('SELECT create_offer(%L, %L, %L)', 'x', '{"percent": 5}', r)) FROM unnest(ARRAY['{}', '[1]', '[{"discount": {"percent": 1}}]', '[{"segment": "nobody", "discount": {"percent": 1}}]',
	'[{"interest": "a=b", "discount": {"percent": 1}}]', '[{"attribute": "$.", "discount": {"percent": 1}}]', '[{"attribute": "$.a", "model": "m", "discount": {}}]', '[{"attribute": "$.a == 1"}]']) r;
SELECT error($$SELECT create_offer('Two Words', '{"percent": 5}')$$), error($$SELECT create_offer('x', '{"percent": 5}', valid_from => '2031-01-02', valid_until => '2031-01-01')$$);
SELECT error($$SELECT import_offer_codes('none', '{a}')$$), error($$SELECT drop_offer('none')$$), drop_offer('none', if_exists => true);

-- rules: the first that holds
CREATE TABLE vips (user_id text);
INSERT INTO vips VALUES ('ann');
CREATE VIEW vip AS SELECT user_id FROM vips;
SELECT create_segment('vip', 'vip');
INSERT INTO users (user_id, attributes) VALUES ('ann', '{}'), ('bao', '{"tier": "gold"}'), ('carla', '{}');
SELECT add_interest('carla', '{"category": "shoes"}', 3);
SELECT create_offer('spring', '{"percent": 5}', '[{"segment": "vip", "discount": {"percent": 20}}, {"attribute": "$.tier == \"gold\"", "discount": {"amount": 7, "currency": "EUR"}}, {"interest": "category=shoes", "at_least": 2, "discount": {"text": "free laces"}}]',
	valid_for => '7 days', valid_until => '2031-04-01 00:00+00');
SELECT import_offer_codes('spring', '{A1,B2,B2,C3}'), import_offer_codes('spring', '{A1,D4}'), error($$SELECT import_offer_codes('spring', '{""}')$$);
SELECT u, (reserve_offer('spring', u)).discount, (reserve_offer('spring', u)).expires_at FROM unnest('{ann,bao,carla,dora}'::text[]) u;
-- the same at every call, and each another code
SELECT count(*) = 4 AND count(DISTINCT code) = 4 AND bool_and(code = (reserve_offer('spring', user_id)).code) AS own_codes FROM _user_offers;
SELECT error($$SELECT reserve_offer('spring', 'emil')$$);
SELECT name, free_codes, reserved, redeemed, expired FROM offers;
SELECT import_offer_codes('spring', ARRAY(SELECT code FROM _user_offers)) AS none_twice;

-- redeemed once, with its own code, and an event
SELECT (redeem_offer('spring', 'ann', 'nope')).reason, (redeem_offer('spring', 'emil', 'A1')).reason;
SELECT r.* FROM _user_offers u, redeem_offer('spring', 'ann', u.code, '{"order": 17}') r WHERE u.user_id = 'ann';
SELECT redeemed, reason FROM _user_offers u, redeem_offer('spring', 'ann', u.code) WHERE u.user_id = 'ann';
SELECT user_id, name, properties - 'code' AS properties, properties ? 'code' AS with_code FROM events;
SELECT error($$SELECT reserve_offer('spring', 'ann')$$);
SELECT advance_clock('7 days');
SELECT redeemed, reason FROM _user_offers u, redeem_offer('spring', 'bao', u.code) WHERE u.user_id = 'bao';
SELECT user_id, state, has_code, journey FROM user_offers ORDER BY 1;
SELECT advance_clock('30 days');
SELECT error($$SELECT reserve_offer('spring', 'frieda')$$);

-- codes that nobody can guess
SELECT create_offer('gift', '{"text": "a surprise"}');
SELECT generate_offer_codes('gift', 1000, 'HI-', 8);
SELECT count(*), bool_and(code ~ '^HI-[2-9A-HJKMNP-Z]{8}$') AS formed FROM _offer_codes WHERE offer = 'gift';
SELECT error($$SELECT generate_offer_codes('gift', 0)$$), error($$SELECT generate_offer_codes('gift', 1, length => 3)$$);
SELECT create_offer('all', '{"percent": 3}', with_codes => false);
SELECT * FROM reserve_offer('all', 'ann');
SELECT redeemed, reason FROM redeem_offer('all', 'ann');

-- given back with the message
SELECT (_reserve_offer('gift', 'ann', 7, 'k', 's')).code IS NOT NULL AS reserved, free_codes FROM offers WHERE name = 'gift';
SELECT _release_offers('{ann,bao}', '{7,7}', '{k,k}', '{s,s}');
SELECT free_codes, reserved FROM offers WHERE name = 'gift';
SELECT drop_offer('gift');
SELECT count(*) AS left_over FROM _offer_codes WHERE offer = 'gift';

-- in messages: reserved with the decision, the same code at every attempt, given back when nothing goes
SELECT create_offer('cart', '{"percent": 10}', valid_for => '2 days'), import_offer_codes('cart', '{CART-1}');
SELECT create_template('offer', 'in_app', '{"title": "{{ offers.cart.percent }} % until {{ offers.cart.expires_at | date: \"%F\" }}", "body": "{{ offers.cart.code }} {{ offers.all.percent }}{% if event.bad %}{{ 1 | divided_by: 0 }}{% endif %}"}');
SELECT create_template('call', 'webhook', '{"text": "{{ offers.cart.code }}"}'), create_provider('nobody', 'webhook', '{"url": "http://127.0.0.1:9/"}');
SELECT set_secret('nobody', '{"keys": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLlMm"]}') \gset
SELECT create_journey('offer', '{"kind": "event", "name": "left"}', '[{"id": "s", "send": "offer"}]') > 0 AND create_journey('calls', '{"kind": "event", "name": "calls"}', '[{"id": "s", "send": "call"}]', ttl => '1 hour') > 0 AS ok;
SELECT field, content FROM preview_template('offer', 'ann') WHERE field IN ('title', 'body');
SELECT free_codes, reserved FROM offers WHERE name = 'cart';
INSERT INTO events (user_id, name, properties) VALUES ('zoe', 'left', '{"bad": true}');
SELECT wait_until_idle('20 s');
SELECT state, gate, reason FROM sends WHERE user_id = 'zoe';
SELECT free_codes, reserved FROM offers WHERE name = 'cart';
INSERT INTO events (user_id, name) VALUES ('yan', 'calls');
SELECT wait_until_idle('20 s');
SELECT state FROM sends WHERE user_id = 'yan';
SELECT free_codes, reserved FROM offers WHERE name = 'cart';
SELECT advance_clock('2 hours') IS NOT NULL AS later, wait_until_idle('20 s');
SELECT state FROM sends WHERE user_id = 'yan';
SELECT free_codes, reserved FROM offers WHERE name = 'cart';
INSERT INTO events (user_id, name) VALUES ('xia', 'left');
SELECT wait_until_idle('20 s');
INSERT INTO events (user_id, name) VALUES ('xia', 'left'), ('wes', 'left');
SELECT wait_until_idle('20 s');
SELECT s.user_id, s.state, s.gate, s.reason, i.title, i.body FROM sends s LEFT JOIN inbox i USING (user_id, send_id) WHERE s.journey = 'offer' AND s.user_id <> 'zoe' ORDER BY 1, s.send_id;
SELECT user_id, offer, has_code, state, journey FROM user_offers WHERE journey IS NOT NULL ORDER BY 1, 2;

-- surveys: once in a period
SELECT error($$SELECT create_survey('x', 'How?', 'likert')$$), error($$SELECT create_survey('x', 'How?', 'nps', limits => '{"caps": []}')$$), error($$SELECT create_survey('x', 'How?', 'nps', limits => '{"at_most": 1, "caps": [{"max": -1, "per": "1 day"}]}')$$);
SELECT create_survey('nps', 'Would you recommend us?', 'nps', '90 days', attribute => 'nps'),
	create_survey('often', 'Do we write too often?', 'csat', '30 days', limits => '{"at_most": 2, "caps": [{"max": 1, "per": "7 days"}]}'),
	create_survey('like', 'Do you like it?', 'thumbs', '1 day');
SELECT ask('nps', 'ann'), ask('nps', 'ann') AS again, ask('nps', 'bao'), error($$SELECT ask('none', 'ann')$$);
SELECT record_answer('nps', 'ann', 10, 'lovely'), record_answer('nps', 'ann', 1) AS again, record_answer('nps', 'bao', 6), record_answer('nps', 'carla', 9), record_answer('nps', 'dora', 8);
SELECT error($$SELECT record_answer('nps', 'ann', 11)$$), error($$SELECT record_answer('like', 'ann', 2)$$);
SELECT user_id, answered_at IS NOT NULL AS answered, score, class, comment FROM answers ORDER BY 1;
SELECT asked, answered, positive, neutral, negative, mean, result, round(low::numeric, 2) AS low, round(high::numeric, 2) AS high FROM survey_results('nps');
SELECT user_id, attributes FROM users WHERE attributes ? 'nps' ORDER BY 1;
SELECT properties FROM events WHERE name = 'survey_answered' ORDER BY user_id LIMIT 1;
SELECT record_answer('often', 'ann', 2), record_answer('often', 'bao', 4);
SELECT user_id, caps FROM _user_limits;
SELECT advance_clock('90 days');
SELECT ask('nps', 'ann') IS NOT NULL AS may_be_asked_again, record_answer('nps', 'ann', 3) AS anew, (survey_results('nps')).answered;
SELECT set_item('boots', '{"category": "boots"}'), record_answer('like', 'carla', 0, item_id => 'boots');
SELECT dimension, value, weight FROM interests('carla') WHERE value = 'boots';

-- traits count in relevance and features
SELECT set_traits('emil', '{"lifestyle": "outdoor", "saver": true}', 'survey'), set_traits('emil', '{"saver": null}');
SELECT user_id, trait, value, source FROM traits;
SELECT relevance_score('emil', '{"trait.lifestyle": "outdoor"}'), relevance_score('emil', '{"trait.lifestyle": "city"}'), engagement_features('emil', 'push') -> 'traits' AS traits;
SELECT error($$SELECT set_traits('emil', '{"a=b": 1}')$$), error($$SELECT set_traits('emil', '{"a": {}}')$$);

-- clusters as segments
CREATE TABLE habits AS SELECT 'u' || i AS user_id, CASE WHEN i <= 30 THEN 1 ELSE 20 END + i % 3 AS orders, CASE WHEN i <= 30 THEN 100 ELSE 5 END AS visits FROM generate_series(1, 50) i;
SELECT fit_kmeans('SELECT user_id, orders, visits FROM habits', 2, standardize => 'zscore', save_as => 'habit') ->> 'k' AS k;
SELECT * FROM segment_clusters('habit', 'public');
SELECT in_segment('habit_1', 'u7'), in_segment('habit_2', 'u7'), in_segment('habit_2', 'u40'), (SELECT count(*) FROM habit_1) AS first, (SELECT count(*) FROM segment_members('habit_2')) AS second;
SELECT cluster, share_then, share_now, distance_then = 0 AS none_then, abs(distance_now - distance_then) < 1e-9 AS same, stability_index FROM cluster_drift('habit');
UPDATE habits SET orders = 20, visits = 5 WHERE user_id IN ('u1', 'u2', 'u3', 'u4', 'u5', 'u6');
SELECT cluster, round(share_now::numeric, 3) AS share_now, round(stability_index::numeric, 4) AS stability_index FROM cluster_drift('habit');
SELECT (SELECT count(*) FROM habit_1) AS first, in_segment('habit_2', 'u1') AS moved;
CREATE ROLE regress_te_thief;
SELECT grant_usage('regress_te_thief', 'analyst');
GRANT USAGE ON SCHEMA test TO regress_te_thief;
SET ROLE regress_te_thief;
SELECT error($$SELECT * FROM segment_clusters('habit', 'public')$$), error($$SELECT * FROM cluster_drift('habit')$$);
RESET ROLE;
SELECT revoke_usage('regress_te_thief', 'analyst');
REVOKE USAGE ON SCHEMA test FROM regress_te_thief;
REVOKE USAGE ON SCHEMA trigger_engine FROM regress_te_thief;
DROP ROLE regress_te_thief;
SELECT error($$SELECT * FROM segment_clusters('none', 'public')$$);
