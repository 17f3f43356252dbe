-- Interests: decayed weights equal to a full rescan whatever the order of events, cosine with idf, RFM.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS visits, sales CASCADE;
RESET client_min_messages;
\set ECHO all
\pset null '-'

-- a weight halves with every half-life, 30 days unless said otherwise
SELECT set_interest_dimension('brand', '7 days');
SELECT add_interest('ann', '{"category": "shoes", "brand": "x"}', 4, clock() - interval '30 days') \gset
SELECT * FROM interests('ann', at => clock() - interval '30 days');
SELECT dimension, value, round(weight::numeric, 6) AS weight FROM interests('ann');
SELECT round(weight::numeric, 6) AS weight FROM interests('ann', 'brand', clock() - interval '23 days');
-- several values, weights, dislikes, repeats; null is nothing
SELECT add_interest('ann', '{"category": "shoes", "tags": ["new", "red", "new", 7, true], "brand": {"x": 0.5, "y": 2}, "color": null}', 2) \gset
SELECT add_interest('ann', '{"tags": "red"}', -5) \gset
SELECT dimension, value, round(weight::numeric, 6) AS weight FROM interests('ann');
SELECT count(*) FROM interests('nobody');
SELECT add_interest('ann', '{}'), add_interest('ann', '{"color": []}') \gset
SELECT count(*) FROM interests('ann');

-- equal to a full rescan to 1e-9, with events in their order, backwards, and in any order
CREATE TABLE visits AS
SELECT i, 'user ' || i % 7 AS u, (ARRAY['category', 'brand', 'place'])[i % 3 + 1] AS dimension, 'v' || hashint4(i) % 5 AS value, 1 + i % 4 AS amount,
	clock() - (hashint4(i + 999) % 10000000)::bigint * interval '1 second' AS at FROM generate_series(1, 3000) i;
CREATE FUNCTION test.rescan(prefix text) RETURNS TABLE (features bigint, worst boolean) LANGUAGE sql AS $$
	WITH expected AS (SELECT u, v.dimension, v.value, sum(amount * 2::float8 ^ (-extract(epoch FROM clock() - at)::float8 / CASE v.dimension WHEN 'brand' THEN 604800 ELSE 2592000 END)) AS weight
		FROM visits v GROUP BY 1, 2, 3)
	SELECT count(*), max(abs(i.weight / e.weight - 1)) < 1e-9 FROM expected e LEFT JOIN LATERAL (SELECT * FROM interests(prefix || e.u)) i USING (dimension, value)
$$;
SELECT count(add_interest('a' || u, jsonb_build_object(dimension, value), amount, at)) FROM (SELECT * FROM visits ORDER BY at) v;
SELECT count(add_interest('b' || u, jsonb_build_object(dimension, value), amount, at)) FROM (SELECT * FROM visits ORDER BY at DESC) v;
SELECT count(add_interest('c' || u, jsonb_build_object(dimension, value), amount, at)) FROM (SELECT * FROM visits ORDER BY md5(i::text)) v;
SELECT prefix, r.* FROM unnest(ARRAY['a', 'b', 'c']) prefix, rescan(prefix) r;
-- a half-life that changes counts from the next touch on
SELECT set_interest_dimension('brand', '1 day');
SELECT add_interest('dan', '{"brand": "z"}', 8, clock() - interval '2 days') \gset
SELECT value, round(weight::numeric, 6) AS weight FROM interests('dan');

-- relevance: the cosine of decayed interests and features
SELECT add_interest('eve', '{"category": "shoes"}', 3), add_interest('eve', '{"category": "bags"}', 4) \gset
SELECT relevance_score('eve', '{"category": "shoes"}') AS shoes, round(relevance_score('eve', '{"category": ["shoes", "bags"]}')::numeric, 6) AS both, round((7 / sqrt(2) / 5)::numeric, 6) AS expected,
	relevance_score('eve', '{"category": "hats"}') AS hats, relevance_score('nobody', '{"category": "hats"}') AS stranger, relevance_score('eve', '{}') AS featureless, relevance_score(NULL, '{}') AS nobody;
-- time alone changes nothing in the mix of one half-life
SELECT round(relevance_score('eve', '{"category": "shoes"}', clock() + interval '400 days')::numeric, 6) AS later;
-- dislikes do not make it less than nothing
SELECT add_interest('eve', '{"category": "hats"}', -9) \gset
SELECT relevance_score('eve', '{"category": "hats"}') AS disliked;
-- dimensions may count more or not at all
SELECT add_interest('fay', '{"category": "shoes", "place": "west"}', 1) \gset
SELECT set_interest_dimension('place', '30 days', importance => 0);
SELECT relevance_score('fay', '{"category": "shoes", "place": "east"}') AS place_ignored;
SELECT set_interest_dimension('place', '30 days', importance => 2);
SELECT round(relevance_score('fay', '{"category": "shoes", "place": "east"}')::numeric, 6) AS place_counts;
SELECT set_interest_dimension('place', '30 days');
-- what everybody likes tells little: idf = ln(1 + (N - n + .5) / (n + .5))
DELETE FROM _interests;
SELECT count(add_interest('p' || i, jsonb_build_object('category', 'common', 'brand', CASE WHEN i = 1 THEN 'rare' ELSE 'usual' END), 1)) FROM generate_series(1, 9) i;
SELECT refresh_interests();
SELECT feature, users, round(idf::numeric, 6) AS idf, round(ln(1 + (9 - users + 0.5) / (users + 0.5)), 6) AS expected FROM _interest_idf ORDER BY 1;
SELECT round(relevance_score('p1', '{"category": "common"}')::numeric, 4) AS common, round(relevance_score('p1', '{"brand": "rare"}')::numeric, 4) AS rare;
-- small weights are forgotten
SELECT add_interest('p1', '{"category": "faded"}', 1, clock() - interval '301 days') \gset
SELECT count(*) FROM interests('p1', 'category');
SELECT refresh_interests();
SELECT count(*) FROM interests('p1', 'category');
-- items by their id
SELECT set_item('boots', '{"brand": "rare", "category": "common"}'), set_item('sandals');
SELECT relevance_score('p1', '"boots"') > 0.99 AS boots, relevance_score('p1', '"sandals"') AS sandals, relevance_score('p1', '"unheard of"') AS unheard_of;
SELECT set_item('boots', available => false);
SELECT item_id, features, available FROM _items ORDER BY 1;

-- pure cosine
SELECT cosine_similarity('{"a": 3, "b": 4}', '{"a": 3, "b": 4}') AS same, round(cosine_similarity('{"a": 1}', '{"a": 1, "b": 1}')::numeric, 6) AS half, cosine_similarity('{"a": 1}', '{"b": 1}') AS other,
	cosine_similarity('{"a": 1}', '{"a": -2}') AS opposite, cosine_similarity('{"a": 0}', '{"a": 1}') AS none, cosine_similarity('{}', '{}') AS empty;

-- bad input
SELECT error($$SELECT add_interest(NULL, '{}')$$);
SELECT error($$SELECT add_interest('u', '[]')$$);
SELECT error($$SELECT add_interest('u', '{"a": {"b": "c"}}')$$);
SELECT error($$SELECT add_interest('u', '{"a": [["c"]]}')$$);
SELECT error($$SELECT add_interest('u', '{"a=b": 1}')$$);
SELECT error($$SELECT add_interest('u', '{"a": 1}', 'NaN')$$);
SELECT error($$SELECT add_interest('u', '{"a": 1}', at => 'infinity')$$);
SELECT error($$SELECT add_interest('u', jsonb_build_object('a', repeat('x', 300)))$$);
SELECT error($$SELECT set_interest_dimension('a', '0')$$);
SELECT error($$SELECT set_interest_dimension('', '1 day')$$);
SELECT error($$SELECT set_item('', '{}')$$);
SELECT error($$SELECT set_item('x', '[]')$$);
SELECT error($$SELECT relevance_score('p1', '[1]')$$);
SELECT error($$SELECT cosine_similarity('[1]', '{}')$$);

-- recency, frequency, monetary value: fifths
CREATE TABLE sales AS SELECT 'c' || to_char(c, 'FM00') AS customer, timestamptz '2030-01-01 00:00+00' + (c * 37 % 100) * interval '1 day' - n * interval '100 days' AS at, (c * 13 % 50 + n)::numeric AS amount
FROM generate_series(1, 25) c CROSS JOIN LATERAL generate_series(0, c % 6) n;
SELECT user_id, round(recency::numeric, 1) AS recency, frequency, monetary, r, f, m, cell FROM rfm('SELECT * FROM sales', '2030-04-15 00:00+00') ORDER BY cell, user_id LIMIT 8;
SELECT r, count(*), min(recency) > (SELECT max(recency) FROM rfm('SELECT * FROM sales') n WHERE n.r = g.r + 1) AS longer_ago FROM rfm('SELECT * FROM sales') g GROUP BY r ORDER BY r;
SELECT f, count(*), min(frequency), max(frequency) FROM rfm('SELECT * FROM sales') GROUP BY f ORDER BY f;
SELECT bool_and(r = er AND f = ef AND m = em AND frequency = n AND monetary = total) AS as_in_sql, count(*) FROM rfm('SELECT * FROM sales ORDER BY md5(sales::text)') JOIN
	(SELECT customer AS user_id, count(*) AS n, sum(amount) AS total, ntile(5) OVER (ORDER BY max(at), customer COLLATE "C") AS er, ntile(5) OVER (ORDER BY count(*), customer COLLATE "C") AS ef,
		ntile(5) OVER (ORDER BY sum(amount), customer COLLATE "C") AS em FROM sales GROUP BY 1) e USING (user_id);
-- lines of one receipt are one purchase; groups of more than nine are told apart
SELECT user_id, frequency, monetary FROM rfm('SELECT ''ann'', timestamptz ''2030-01-01'', 2 FROM generate_series(1, 3)');
SELECT min(cell), max(cell) FROM rfm('SELECT * FROM sales', groups => 12);
SELECT error($$SELECT * FROM rfm('SELECT customer, at FROM sales')$$);
SELECT error($$SELECT * FROM rfm('SELECT * FROM sales', groups => 1)$$);
SELECT count(*) FROM rfm('SELECT * FROM sales WHERE false');
SET client_min_messages = warning;
DROP TABLE visits, sales CASCADE;
