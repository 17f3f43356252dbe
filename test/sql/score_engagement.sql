-- Engagement probability: logistic models against a second implementation, metrics against scikit-learn, versions, drift, rates.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS calls, bank, rare CASCADE;
RESET client_min_messages;
CREATE TABLE calls AS
SELECT i, (ARRAY['push', 'email', 'sms'])[i % 3 + 1] AS ch, i * 37 % 50 + 20 AS age, i % 7 = 0 AS vip, CASE WHEN i % 11 > 0 THEN (ARRAY['a', 'b'])[i / 5 % 2 + 1] END AS tag,
	i * i * 31 % 17 + CASE WHEN i % 3 = 0 THEN 6 ELSE 0 END + CASE WHEN i % 7 = 0 THEN 4 ELSE 0 END + (i * 37 % 50 + 20) / 10.0 > 17 AS bought
FROM generate_series(1, 300) i ORDER BY i;
CREATE TABLE bank (row_id int, age int, job text, marital text, education text, "default" text, housing text, loan text, contact text, month text, day_of_week text, duration int,
	campaign int, pdays int, previous int, poutcome text, emp_var_rate float8, cons_price_idx float8, cons_conf_idx float8, euribor3m float8, nr_employed float8, y text);
\copy bank FROM PROGRAM 'gzip -dc test/data/bank_marketing/contacts.csv.gz' CSV HEADER
-- the numbers of an object, rounded
CREATE FUNCTION test.rounded(object jsonb, digits integer) RETURNS jsonb
LANGUAGE sql AS $$
	SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'number' THEN to_jsonb(trim_scale(round(value::numeric, digits))) ELSE value END ORDER BY key)
	FROM jsonb_each(object)
$$;
\set ECHO all
\pset null '-'

-- the algorithm, against another implementation of it over the same rows: losses, AUC and predictions
SELECT rounded(train_model('calls', 'SELECT ch, age, vip, tag, bought FROM calls ORDER BY i', 'bought'), 10);
SELECT ch, abs(predict('calls', jsonb_build_object('ch', ch, 'age', age, 'vip', vip, 'tag', tag)) - expected) < 1e-12 AS same
FROM (VALUES ('push', 30, true, 'a', 0.5069245700993997), ('sms', 69, false, NULL, 0.41706217482954977), ('fax', 44, false, 'b', 0.3695287214291488)) v(ch, age, vip, tag, expected);
SELECT rounded(train_model('other', 'SELECT ch, age, vip, tag, bought FROM calls ORDER BY i', 'bought', '{"alpha": 0.5, "beta": 0.5, "l1": 0.2, "l2": 2, "prior_rows": 200, "prior_positives": 1}'), 10);
SELECT ch, abs(predict('other', jsonb_build_object('ch', ch, 'age', age, 'vip', vip, 'tag', tag)) - expected) < 1e-12 AS same
FROM (VALUES ('push', 30, true, 'a', 0.7959287217995205), ('sms', 69, false, NULL, 0.3430815198543096), ('fax', 44, false, 'b', 0.2894381002363247)) v(ch, age, vip, tag, expected);
SELECT rounded(train_model('pairs', 'SELECT ch, age, vip, tag, bought FROM calls ORDER BY i', 'bought', '{"interactions": [["ch", "age"]]}'), 10);
SELECT ch, abs(predict('pairs', jsonb_build_object('ch', ch, 'age', age, 'vip', vip, 'tag', tag)) - expected) < 1e-12 AS same
FROM (VALUES ('push', 30, true, 'a', 0.5207146885293042), ('sms', 69, false, NULL, 0.49251464692808755), ('fax', 44, false, 'b', 0.3692186550986597)) v(ch, age, vip, tag, expected);
-- what it has learned, by name
SELECT feature, round(weight::numeric, 6) AS weight, round(evidence::numeric, 4) AS evidence, round(mean::numeric, 4) AS mean, round(deviation::numeric, 4) AS deviation FROM model_features('calls') ORDER BY 1;
SELECT feature FROM model_features('pairs') WHERE feature ~ '&' ORDER BY 1;
-- features: names that are not known say nothing, null is a value, an outcome in the row does no harm, numbers of all spellings
SELECT predict('calls', '{}') = predict('calls', '{"color": "red", "size": 1e300, "list": [1, {"x": []}], "bought": true}') AS unknown,
	predict('calls', '{"tag": null}') <> predict('calls', '{}') AS null_differs,
	predict('calls', '{"age": 31}') = predict('calls', '{"age": 3.10e1}') AND predict('calls', '{"age": 31}') = predict('calls', '{"age": 31.0000000000000000000000000}') AS spelling;
SELECT count(*), bool_and(predict('calls', to_jsonb(c)) BETWEEN 0 AND 1) AS bounded, bool_and(predict('calls', to_jsonb(c)) = predict('calls', to_jsonb(c) - 'i' - 'bought')) AS outcome_unseen FROM calls c;
-- nested and repeated
CREATE VIEW nested AS SELECT jsonb_build_object('geo', jsonb_build_object('city', CASE WHEN i % 2 = 0 THEN 'x' ELSE 'y' END, 'lat', i % 10), 'tags', CASE WHEN i % 3 = 0 THEN '["new", "hot"]'::jsonb ELSE '["new", 7]' END) AS j,
	i % 2 = 0 AS hit FROM generate_series(1, 400) i;
SELECT train_model('nested', 'SELECT * FROM nested', 'hit') -> 'version' AS version;
SELECT feature FROM model_features('nested') ORDER BY 1;
SELECT predict('nested', '{"j": {"geo": {"city": "x"}}}') > 0.7 AS x, predict('nested', '{"j": {"geo": {"city": "y"}}}') < 0.25 AS y, predict('nested', '{"j": {"geo": "x"}}') BETWEEN 0.2 AND 0.8 AS neither;
-- numbers that are names, and what only a combination tells
CREATE VIEW crossed AS SELECT i % 2 AS a, i / 2 % 2 AS b, i % 24 AS hour, (i % 2) <> (i / 2 % 2) AS differ, i % 24 = 13 AS at_one FROM generate_series(1, 2000) i;
SELECT round((train_model('sum', 'SELECT a, b, differ FROM crossed', 'differ') ->> 'auc')::numeric, 1) AS sum,
	(train_model('product', 'SELECT a, b, differ FROM crossed', 'differ', '{"categorical": ["a", "b"], "interactions": [["a", "b"]]}') ->> 'auc')::float8 > 0.95 AS product,
	round((train_model('line', 'SELECT hour, at_one FROM crossed', 'at_one') ->> 'auc')::numeric, 1) AS line,
	(train_model('hours', 'SELECT hour, at_one FROM crossed', 'at_one', '{"categorical": ["hour"]}') ->> 'auc')::float8 > 0.95 AS hours;
SELECT predict('hours', '{"hour": 13}') > 2 * predict('hours', '{"hour": 14}') AS at_one, predict('hours', '{"hour": 14}') < 0.05 AS at_two;

-- of the market's change one pass over the calls of a bank makes more than one model for all: the running base rate loses .67
SELECT m ->> 'rows' AS rows, m ->> 'positives' AS positives, (m ->> 'log_loss')::float8 < 0.59 AS log_loss, (m ->> 'base_log_loss')::float8 BETWEEN 0.665 AND 0.675 AS base_log_loss, (m ->> 'auc')::float8 > 0.72 AS auc,
	(m ->> 'calibration_error')::float8 < 0.03 AS calibrated FROM train_model('bank', 'SELECT * FROM bank', 'y', '{"exclude": ["duration"], "time_column": "row_id"}') m;
SELECT count(*), bool_and(feature !~ 'duration|row_id|^y') AS left_out FROM model_features('bank');
-- the order of time counts, not that of the rows; without a time that of the rows does
SELECT train_model('bank', 'SELECT * FROM bank ORDER BY md5(row_id::text)', 'y', '{"exclude": ["duration"], "time_column": "row_id"}') - 'version' = model_metrics('bank', 1) AS same,
	(train_model('shuffled', 'SELECT * FROM bank ORDER BY md5(row_id::text)', 'y', '{"exclude": ["duration", "row_id"]}') -> 'log_loss') <> (model_metrics('bank', 1) -> 'log_loss') AS other;
-- where one row in two hundred is positive, a model begins at that rate and not at one half
CREATE TABLE rare AS SELECT i, i * 7919 % 200 = 0 AS hit, 'banner ' || i * 31 % 80 AS item, i * 17 % 9 AS place FROM generate_series(1, 10000) i;
SELECT m -> 'positives' AS positives, (m ->> 'log_loss')::float8 < (m ->> 'base_log_loss')::float8 * 1.03 AS near_rate, (m ->> 'log_loss')::float8 < 0.034 AS low, predict('rare', '{"item": "banner 3", "place": 4}') < 0.02 AS rare
FROM train_model('rare', 'SELECT item, place, hit FROM rare ORDER BY i', 'hit') m;

-- learning on is the same as learning all at once
SELECT train_model('halves', 'SELECT ch, age, vip, tag, bought FROM calls WHERE i <= 150 ORDER BY i', 'bought') -> 'rows' AS rows;
SELECT update_model('halves', 'SELECT tag, vip, age, ch, bought FROM calls WHERE i > 150 ORDER BY i') -> 'rows' AS rows;
SELECT count(*), max(abs(predict('halves', to_jsonb(c)) - predict('calls', to_jsonb(c)))) < 1e-12 AS same FROM calls c;
SELECT parameters -> 'rows' AS rows, parameters -> 'positives' AS positives, metrics -> 'rows' AS measured FROM model_versions WHERE name = 'halves' ORDER BY version;

-- versions: what is in use serves at once, here and after a rollback of the transaction
SELECT predict('halves', '{"ch": "push", "age": 40}') AS second \gset
SELECT rollback_model('halves');
SELECT predict('halves', '{"ch": "push", "age": 40}') <> :second AS first_version;
BEGIN;
SELECT rollback_model('halves', 2);
SELECT predict('halves', '{"ch": "push", "age": 40}') = :second AS in_transaction;
ROLLBACK;
SELECT predict('halves', '{"ch": "push", "age": 40}') <> :second AS rolled_back;
SELECT name, kind, version FROM models WHERE name IN ('halves', 'bank') ORDER BY name;
SELECT model_metrics('halves') -> 'rows' AS rows, model_metrics('halves', 1) = model_metrics('halves') AS same;
-- in a parallel query, too
SET force_parallel_mode = on;
SET parallel_setup_cost = 0;
SELECT count(*), bool_and(predict('calls', to_jsonb(c)) BETWEEN 0 AND 1) AS bounded FROM calls c;
RESET force_parallel_mode;
RESET parallel_setup_cost;

-- made again by what they were made of: as their owner, restricted, and under the search_path of then
CREATE ROLE score_owner;
CREATE ROLE score_caller IN ROLE score_owner;
CREATE ROLE score_other;
SELECT grant_usage(r::regrole, 'analyst') FROM unnest(ARRAY['score_owner', 'score_caller', 'score_other']) r;
GRANT USAGE ON SCHEMA test TO score_owner, score_other;
CREATE SCHEMA score_owner AUTHORIZATION score_owner;
SET ROLE score_owner;
SET search_path = score_owner, pg_catalog, test;
CREATE TABLE mine AS SELECT i % 3 AS x, i % 9 = 0 AS y, 1.0 * i AS "T", 2 AS frequency, 0.5 * i AS recency FROM generate_series(1, 90) i;
CREATE FUNCTION noted() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'as %', current_user; RETURN true; END$$;
SELECT trigger_engine.train_model('mine', 'SELECT x, y FROM mine WHERE (SELECT noted())', 'y', '{"alpha": 0.3}') ->> 'rows' AS rows;
SELECT trigger_engine.fit_kmeans('SELECT x FROM mine', 2, seed => 5, save_as => 'mine too', options => '{"max_iterations": 7}') ->> 'rows' AS rows;
SELECT trigger_engine.fit_churn('SELECT * FROM mine', 'pareto_nbd', 'mine, too') ->> 'customers' AS customers;
INSERT INTO mine SELECT 1, false, 1, 0, 0 FROM generate_series(1, 10);
RESET ROLE;
SET ROLE score_other;
SELECT error($$SELECT trigger_engine.retrain_model('mine')$$);
RESET ROLE;
SET ROLE score_caller;
SET search_path = pg_catalog;
SELECT trigger_engine.retrain_model('mine') ->> 'rows' AS rows;
SELECT trigger_engine.retrain_model('mine too') ->> 'rows' AS rows;
SELECT trigger_engine.retrain_model('mine, too') ->> 'customers' AS customers;
RESET ROLE;
SET search_path = public, trigger_engine, test;
SELECT name, version, options, target, created_by FROM model_versions WHERE name ~ '^mine' ORDER BY name, version;
SELECT error($$SELECT retrain_model('nothing')$$);
SET client_min_messages = warning;
DROP SCHEMA score_owner CASCADE;
DROP OWNED BY score_owner, score_caller, score_other;
DROP ROLE score_owner, score_caller, score_other;
RESET client_min_messages;

-- tested over time: each part by what was learned before it
SELECT fold, train_rows, test_rows, round(train_rate::numeric, 4) AS train_rate, round(test_rate::numeric, 4) AS test_rate, log_loss < base_log_loss AS better, auc > 0.6 AS ranks
FROM backtest_model('SELECT * FROM bank', 'y', 'row_id', 4, '{"exclude": ["duration"]}');
SELECT fold, train_rows, test_rows, auc FROM backtest_model('SELECT i, true AS hit, 1 AS x FROM generate_series(1, 10) i', 'hit', 'i', 2);
-- drift
SELECT feature, verdict FROM model_drift('bank', 'SELECT * FROM bank') WHERE verdict <> 'stable';
SELECT feature, verdict, round(stability_index::numeric, 3) AS index, rows FROM model_drift('calls', 'SELECT ch, age + 60 AS age, vip, CASE WHEN i % 2 = 0 THEN ''a'' ELSE ''b'' END AS tag FROM calls') ORDER BY feature;
SELECT feature, verdict, rows FROM model_drift('calls', 'SELECT ''fax'' AS ch, NULL::int AS age, true AS vip FROM calls') ORDER BY feature;

-- metrics of predictions from anywhere, against scikit-learn
CREATE VIEW predictions AS SELECT round(i * 37 % 101 / 101.0, 2) AS p, i * i % 7 < 1 + 4 * (i * 37 % 101) / 101.0 AS hit FROM generate_series(1, 200) i;
SELECT m -> 'positives' AS positives, abs((m ->> 'log_loss')::float8 - 0.6779921334064355) < 1e-12 AS log_loss, abs((m ->> 'auc')::float8 - 0.7608268924058399) < 1e-12 AS auc,
	abs((m ->> 'brier')::float8 - 0.2277655) < 1e-12 AS brier, abs((m ->> 'calibration_error')::float8 - 0.21815) < 1e-12 AS calibration FROM evaluate_predictions('SELECT * FROM predictions') m;
SELECT b ->> 'from' AS "from", b ->> 'rows' AS rows, round((b ->> 'predicted')::numeric, 4) AS predicted, round((b ->> 'observed')::numeric, 4) AS observed FROM jsonb_array_elements(evaluate_predictions('SELECT * FROM predictions') -> 'bins') b LIMIT 3;
SELECT m - 'bins' FROM evaluate_predictions('SELECT 1, true UNION ALL SELECT 1, true') m;
SELECT m -> 'auc' AS auc, m -> 'log_loss' AS log_loss FROM evaluate_predictions('SELECT 0.5, i % 2 FROM generate_series(1, 10) i') m;

-- bad input
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls WHERE false', 'bought')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, NULL::boolean AS bought FROM calls', 'bought')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'clicked')$$);
SELECT error($$SELECT train_model('x', 'SELECT bought FROM calls', 'bought')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, age AS bought FROM calls', 'bought')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, CASE WHEN bought THEN ''opened'' ELSE ''ignored'' END AS bought FROM calls', 'bought')$$);
SELECT train_model('x', 'SELECT ch, CASE WHEN bought THEN ''opened'' ELSE ''ignored'' END AS bought FROM calls', 'bought', '{"positive": "opened"}') -> 'positives' AS positives;
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"alfa": 1}')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"alpha": -1}')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"bits": 40}')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"prior_rows": 5, "prior_positives": 5}')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"exclude": ["channel"]}')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"interactions": ["ch"]}')$$);
SELECT error($$SELECT train_model('x', 'SELECT ch, bought FROM calls', 'bought', '{"time_column": "at"}')$$);
SELECT error($$SELECT train_model('x', NULL, 'bought')$$);
SELECT error($$SELECT train_model('', 'SELECT ch, bought FROM calls', 'bought')$$);
SELECT error($$SELECT predict('nothing', '{}')$$);
SELECT error($$SELECT predict('calls', '[1]')$$);
SELECT error($$SELECT predict('calls', '"a"')$$);
SELECT error($$SELECT update_model('nothing', 'SELECT 1')$$);
SELECT error($$SELECT * FROM backtest_model('SELECT i, bought, ch FROM calls', 'bought', 'i', 300)$$);
SELECT error($$SELECT * FROM backtest_model('SELECT i, bought, ch FROM calls', 'bought', 'i', 0)$$);
SELECT error($$SELECT * FROM model_drift('calls', 'SELECT 1 AS ch WHERE false')$$);
SELECT error($$SELECT evaluate_predictions('SELECT 2, true')$$);
SELECT error($$SELECT evaluate_predictions('SELECT 0.5, 0.5')$$);
SELECT error($$SELECT evaluate_predictions('SELECT ''a'', 1')$$);
SELECT error($$SELECT evaluate_predictions('SELECT 0.5, true WHERE false')$$);
SELECT fit_beta_prior('SELECT 1, 2', 'a beta') ->> 'model' AS model;
SELECT error($$SELECT predict('a beta', '{}')$$);
-- numbers that are none, columns that never change, one outcome
SELECT m -> 'rows' AS rows, m -> 'skipped' AS skipped FROM train_model('odd', 'SELECT CASE i % 3 WHEN 0 THEN ''NaN''::float8 WHEN 1 THEN ''Infinity'' ELSE i END AS x, 5 AS same, NULL::text AS nothing, CASE WHEN i < 90 THEN i % 2 END AS y FROM generate_series(1, 100) i', 'y') m;
SELECT feature, round(weight::numeric, 3) IS NOT NULL AS finite FROM model_features('odd') ORDER BY 1;
SELECT m -> 'auc' AS auc, m -> 'warning' AS warning, predict('one', '{"x": 1}') < 0.05 AS low FROM train_model('one', 'SELECT i AS x, false AS y FROM generate_series(1, 500) i', 'y') m;

-- rates of groups: scipy finds alpha .83002709, beta 1.79243249, -2243.66369279
SELECT rounded(fit_beta_prior('SELECT i * 7 % (i % 13 + 2) AS successes, i % 13 + 2 + i * 7 % 5 AS trials FROM generate_series(1, 400) i'), 6);
-- no spread beyond chance has no maximum: one rate for all
SELECT rounded(fit_beta_prior('SELECT 5 AS clicks, 1000 AS sends FROM generate_series(1, 100)'), 3);
SELECT rounded(fit_beta_prior('SELECT 0, 50 FROM generate_series(1, 3)'), 4);
SELECT beta_rate('{"alpha": 2, "beta": 6}', 0, 0) AS nothing_known, beta_rate('{"alpha": 2, "beta": 6}', 3, 4) AS little, round(beta_rate('{"alpha": 2, "beta": 6}', 750, 1000)::numeric, 3) AS much, beta_rate('{"alpha": 2, "beta": 6}', 5, 4) AS impossible;
SELECT error($$SELECT fit_beta_prior('SELECT 3, 2')$$);
SELECT error($$SELECT fit_beta_prior('SELECT NULL::int, 2')$$);
SELECT error($$SELECT fit_beta_prior('SELECT 0, 0')$$);
SELECT error($$SELECT fit_beta_prior('SELECT 1 AS successes, 2 AS tries, 3')$$);

-- by user, channel and hour: from what everybody does to what the user does
SELECT engagement_probability('ann', 'push') AS unknown_channel;
INSERT INTO users (user_id, zone, attributes) VALUES ('ann', 'Europe/Berlin', '{"plan": "gold"}');
-- 60 people get a message at 09:00 and one at 20:00 on weekdays; mornings do better, ann opens in the evenings only
SELECT count(record_engagement(u, 'push', at, kind)) FROM (
	SELECT CASE WHEN p = 1 THEN 'ann' ELSE 'user ' || p END AS u, at, kind FROM generate_series(1, 60) p CROSS JOIN generate_series(0, 9) d
	CROSS JOIN LATERAL (VALUES (timestamp '2030-01-07 09:00', 'send'), ('2030-01-07 20:00', 'send'),
		('2030-01-07 09:00', CASE WHEN p > 1 AND p * d % 4 = 1 THEN 'open' END), ('2030-01-07 20:00', CASE WHEN p = 1 OR p * d % 10 = 3 THEN 'open' END)) v(local, kind)
	CROSS JOIN LATERAL (SELECT (local + (d % 5) * interval '1 day') AT TIME ZONE CASE WHEN p = 1 THEN 'Europe/Berlin' ELSE 'UTC' END AS at) a WHERE kind IS NOT NULL) s;
SELECT sum(sends) AS sends, sum(opens) AS opens, count(DISTINCT hour) AS hours, bool_or(weekend) AS weekend FROM _engagement;
SELECT refresh_engagement();
SELECT u, hour, round(engagement_probability(u, 'push', ('2030-01-16 ' || hour)::timestamp AT TIME ZONE CASE u WHEN 'ann' THEN 'Europe/Berlin' ELSE 'UTC' END, 'open')::numeric, 3) AS p
FROM unnest(ARRAY['ann', 'user 5', 'nobody']) u, unnest(ARRAY['09:30', '15:00', '20:30']) hour;
SELECT round(engagement_probability('ann', 'push', kind => 'convert')::numeric, 4) AS converts, engagement_probability(NULL, 'push') AS nobody;
SELECT engagement_features('ann', 'push', '2030-01-19 22:30+00') - 'sends';
SELECT train_model('push_open', 'SELECT true AS opened, f.* FROM engagement_features(''ann'', ''push'') e, jsonb_to_record(e) AS f(channel text, hour text, open_rate float8)', 'opened') -> 'rows' AS rows;
SELECT engagement_probability('ann', 'push', model => 'push_open') BETWEEN 0 AND 1 AS by_model;
SELECT error($$SELECT engagement_probability('ann', 'push', kind => 'likes')$$);
SELECT error($$SELECT record_engagement('ann', 'push', '2030-01-01', 'likes')$$);
SELECT error($$SELECT record_engagement('ann', NULL, '2030-01-01')$$);
SELECT message_value(0.5, 0.2) AS value, message_value(1.1, 0.2) AS out_of_range, message_value(NULL, 0.2);

SET client_min_messages = warning;
DROP TABLE calls, bank, rare CASCADE;
DROP VIEW nested, crossed, predictions;
