-- Recommendations: ratios against Mahout's values, counting by and by equal to counting at once, what is offered and what is not.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS receipts CASCADE;
RESET client_min_messages;
\set ECHO all
\pset null '-'

-- Dunning's ratio: the values of Mahout's tests
SELECT k11, k12, k21, k22, round(log_likelihood_ratio(k11, k12, k21, k22)::numeric, 6) AS llr, abs(log_likelihood_ratio(k11, k12, k21, k22) / expected - 1) < 1e-6 AS ok
FROM (VALUES (1, 0, 0, 1, 2.772589), (10, 0, 0, 10, 27.72589), (5, 1995, 0, 100000, 39.33052), (1000, 1995, 1000, 100000, 4730.737),
	(1000, 1000, 1000, 100000, 5734.343), (1000, 1000, 1000, 99000, 5714.932)) v(k11, k12, k21, k22, expected);
SELECT root_log_likelihood_ratio(6, 7567, 1924, 2426487) AS none, round(root_log_likelihood_ratio(6, 3, 1, 90)::numeric, 4) AS together, root_log_likelihood_ratio(1, 50, 50, 10) < 0 AS apart, log_likelihood_ratio(0, 0, 0, 0) AS nothing;
SELECT error($$SELECT log_likelihood_ratio(-1, 0, 0, 1)$$);
SELECT error($$SELECT log_likelihood_ratio('NaN', 0, 0, 1)$$);

-- 600 receipts of 30 things: what has numbers next to each other goes together
CREATE TABLE receipts AS
SELECT r, 'user ' || r % 40 AS u, clock() - r * interval '1 hour' AS at, ARRAY(SELECT 'thing ' || (hashint4(r) % 10 + 10 + n * (1 + hashint4(r * 7 + n) % 3 / 2 * (5 + n))) % 30 FROM generate_series(0, 1 + r % 4) n) AS items
FROM generate_series(1, 600) r;
SELECT count(record_basket(u, items, at)) FROM receipts WHERE r <= 200;
SELECT sum(times) AS times, count(*) FROM _user_items;
SELECT refresh_recommendations() > 0 AS touched;
SELECT count(*) FROM _baskets;
-- by and by, with one receipt, with many, with none
SELECT count(record_basket(u, items, at)) FROM receipts WHERE r = 201;
SELECT refresh_recommendations() = (SELECT count(DISTINCT i) FROM receipts, unnest(items) i WHERE r = 201) AS those_of_one_receipt;
SELECT count(record_basket(u, items, at)) FROM receipts WHERE r > 201;
SELECT refresh_recommendations() > 0 AS touched;
SELECT refresh_recommendations(), refresh_recommendations(everything => true) = (SELECT count(DISTINCT i) FROM receipts, unnest(items) i) AS all_of_them;
-- against the same in SQL: counts of items and pairs, ratios, and which 50 are kept
CREATE VIEW expected AS WITH i AS (SELECT DISTINCT r, i FROM receipts, unnest(items) i), c AS (SELECT i, count(*) AS n FROM i GROUP BY 1),
	p AS (SELECT a.i AS a, b.i AS b, count(*) AS k FROM i a JOIN i b USING (r) WHERE a.i <> b.i GROUP BY 1, 2)
SELECT p.a, p.b, k, ca.n AS na, cb.n AS nb, CASE WHEN k * 600 > ca.n * cb.n THEN log_likelihood_ratio(k, ca.n - k, cb.n - k, 600 - ca.n - cb.n + k) ELSE 0 END AS score FROM p JOIN c ca ON ca.i = a JOIN c cb ON cb.i = b;
CREATE VIEW kept AS SELECT c.item_id AS a, o.item_id AS b, c.baskets AS na, n.count AS k FROM _cooccurrence c CROSS JOIN LATERAL unnest(neighbours, counts) n(number, count) JOIN _cooccurrence o ON o.number = n.number;
SELECT count(*) AS pairs, bool_and(e.k = kept.k AND e.na = kept.na) AS counts FROM expected e FULL JOIN kept USING (a, b);
SELECT count(*) > 100 AS scored, bool_and(abs(s.score / e.score - 1) < 1e-9) AS scores FROM (SELECT * FROM expected WHERE score > 0) e
FULL JOIN (SELECT c.item_id AS a, s.* FROM _cooccurrence c CROSS JOIN LATERAL similar_items(c.item_id, 50) s) s ON s.a = e.a AND s.item_id = e.b;
SELECT baskets FROM _cooccurrence_total;
-- fewer neighbours are the best of them
SELECT refresh_recommendations(3, everything => true) > 0 AS refreshed;
SELECT bool_and(best) FROM (SELECT c.item_id, (SELECT array_agg(s.item_id ORDER BY s.item_id) FROM similar_items(c.item_id, 99) s) = (SELECT array_agg(b ORDER BY b) FROM (SELECT b FROM expected e WHERE e.a = c.item_id AND score > 0 ORDER BY score DESC, b LIMIT 3) t) AS best
	FROM _cooccurrence c WHERE cardinality(c.best) > 0) b;
SELECT refresh_recommendations(everything => true) > 0 AS refreshed;
-- a transaction that fails leaves baskets waiting
SELECT record_basket('user 1', '{thing 1,thing 2}') \gset
BEGIN;
SELECT refresh_recommendations();
ROLLBACK;
SELECT count(*) FROM _baskets;
SELECT refresh_recommendations();
-- one item alone is counted, twice in a basket is once, empty ones are nothing
SELECT record_basket('lone', '{only}'), record_basket('lone', '{only,only,only,"",NULL}'), record_basket('lone', '{}'), record_basket('lone', '{""}') \gset
SELECT refresh_recommendations();
SELECT item_id, baskets, neighbours FROM _cooccurrence WHERE item_id = 'only';
SELECT user_id, item_id, times FROM _user_items WHERE user_id = 'lone';
-- of a long one so many count
SELECT record_basket('hoarder', ARRAY(SELECT 'long ' || i FROM generate_series(1, 500) i)) \gset
SELECT refresh_recommendations(max_basket => 20);
SELECT count(*), sum(baskets), sum(cardinality(neighbours)) FROM _cooccurrence WHERE item_id ~ '^long' AND baskets > 0;

-- what is offered: the sums of the scores beside what one had, without what one had
SELECT rank, item_id, round(score::numeric, 6) AS score, reason FROM recommend('user 3', 5);
SELECT r.item_id, abs(r.score / e.score - 1) < 1e-6 AS sum FROM recommend('user 3', 5) r JOIN (SELECT s.item_id, sum(s.score) AS score FROM _user_items u CROSS JOIN LATERAL similar_items(u.item_id, 50) s WHERE u.user_id = 'user 3' GROUP BY 1) e USING (item_id) ORDER BY rank;
SELECT count(*) AS had FROM recommend('user 3', 30) JOIN _user_items u USING (item_id) WHERE u.user_id = 'user 3';
SELECT count(*) > 0 AS had FROM recommend('user 3', 30, exclude_owned => false) JOIN _user_items u USING (item_id) WHERE u.user_id = 'user 3';
-- beside a cart
SELECT rank, item_id, reason FROM recommend('somebody', 3, items => '{thing 12}');
SELECT item_id FROM similar_items('thing 12', 3);
-- what is not to be had is not offered
SELECT set_item((SELECT item_id FROM similar_items('thing 12', 1)), available => false) \gset
SELECT rank, item_id, reason FROM recommend('somebody', 2, items => '{thing 12}');
-- popular things for strangers, and for the rest
SELECT rank, item_id, score, reason FROM recommend('stranger', 3);
SELECT item_id FROM _cooccurrence c WHERE NOT EXISTS (SELECT FROM _items i WHERE i.item_id = c.item_id AND NOT available) ORDER BY baskets DESC, item_id LIMIT 3;
SELECT DISTINCT reason FROM recommend('lone', 40) ORDER BY 1;
SELECT count(*), count(DISTINCT item_id), max(rank) FROM recommend('user 3', 25);
SELECT count(*) FROM recommend('user 3', 0);
-- by interests and features, the newest in what one likes
SELECT set_item('boots', '{"category": "shoes", "color": "red"}'), set_item('sandals', '{"category": "shoes", "color": "blue"}'), set_item('hat', '{"category": "hats", "color": "red"}'), set_item('gone', '{"category": "shoes"}', available => false) \gset
SELECT set_clock(clock() + interval '1 day') \gset
SELECT set_item('sneakers', '{"category": "shoes", "color": "green"}') \gset
SELECT add_interest('eve', '{"category": "shoes", "color": "red"}', 1) \gset
SELECT rank, item_id, round(score::numeric, 4) AS score, reason FROM recommend('eve', 4, 'similar');
SELECT rank, item_id, reason FROM recommend('eve', 4, 'new');
SELECT rank, item_id, reason FROM recommend('eve', 2, 'similar', items => '{hat}');
SELECT set_item('boots', '{"category": "tools"}') \gset
SELECT rank, item_id, reason FROM recommend('eve', 2, 'similar');

-- tested on what came later
SELECT method, users, round(recall::numeric, 4) AS recall, round(ndcg::numeric, 4) AS ndcg FROM backtest_recommendations('SELECT u, i, at FROM receipts, unnest(items) i', clock() - interval '4 days', k => 5);
-- by hand: a and b go together, c and d do; after the split x buys b, y buys d and the popular p. k = 1: cosine and llr hit b for x and d for y of two
CREATE VIEW small AS SELECT * FROM (SELECT 'u' || n AS u, i, timestamptz '2030-01-01' + n * interval '1 hour' AS at FROM generate_series(1, 9) n CROSS JOIN LATERAL unnest(CASE WHEN n <= 3 THEN '{a,b,p}'::text[] WHEN n <= 6 THEN '{c,d,p}' ELSE '{p,q}' END) i
	UNION ALL VALUES ('x', 'a', timestamptz '2030-01-01'), ('y', 'c', '2030-01-01'), ('z', 'c', '2030-01-01'), ('x', 'b', '2030-02-01'), ('x', 'a', '2030-02-01'), ('y', 'd', '2030-02-01'), ('y', 'p', '2030-02-01'), ('new', 'a', '2030-02-01')) s;
SELECT method, users, recall, round(ndcg::numeric, 4) AS ndcg FROM backtest_recommendations('SELECT * FROM small', '2030-01-15', k => 1);
SELECT method, users, recall, round(ndcg::numeric, 4) AS ndcg FROM backtest_recommendations('SELECT * FROM small', '2030-01-15', k => 2);
SELECT method, users, recall FROM backtest_recommendations('SELECT * FROM small', '2031-01-01');

-- bad input
SELECT error($$SELECT * FROM recommend('u', 3, 'best')$$);
SELECT error($$SELECT * FROM recommend('u', -1)$$);
SELECT error($$SELECT record_basket(NULL, '{a}')$$);
SELECT error($$SELECT record_basket('u', NULL)$$);
SELECT error($$SELECT record_basket('u', '{{a},{b}}')$$);
SELECT error($$SELECT record_basket('u', ARRAY[repeat('x', 300)])$$);
SELECT error($$SELECT refresh_recommendations(0)$$);
SELECT error($$SELECT refresh_recommendations(max_basket => NULL)$$);
SELECT error($$SELECT * FROM backtest_recommendations('SELECT * FROM small', '2029-01-01')$$);
SELECT error($$SELECT * FROM backtest_recommendations('SELECT u, i FROM small', '2030-01-15')$$);
SELECT error($$SELECT * FROM backtest_recommendations('SELECT * FROM small', '2030-01-15', k => 0)$$);
SELECT count(*) FROM recommend(NULL, 3);
-- an application records and asks, and reads no table
CREATE ROLE score_app;
SELECT grant_usage('score_app', 'app');
GRANT USAGE ON SCHEMA test TO score_app;
SET ROLE score_app;
SELECT trigger_engine.record_basket('app', '{thing 3}') \gset
SELECT count(*) FROM trigger_engine.recommend('app', 3);
SELECT test.error($$SELECT trigger_engine.refresh_recommendations()$$);
SELECT test.error($$SELECT * FROM trigger_engine._complementary_items('{}', '{}', 1)$$);
SELECT test.error($$SELECT * FROM trigger_engine._user_items$$);
RESET ROLE;
SET client_min_messages = warning;
DROP OWNED BY score_app;
DROP ROLE score_app;
DROP VIEW small;
DROP TABLE receipts CASCADE;
