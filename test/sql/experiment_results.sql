-- What an experiment and a holdout show: people by first exposure, arms counted alike, figures computed by hand.
\set ECHO none
\i test/sql/include/fresh.sql
CALL journey('cart');
SELECT create_experiment('copy', '["old", "new"]'), create_experiment('three', '["a", "b", "c"]') \gset
-- exposures as the steps write them, and what people did
CREATE PROCEDURE test.expose(experiment text, variant text, first int, last int, at timestamptz DEFAULT clock(), epoch int DEFAULT 1)
LANGUAGE sql AS $$
	INSERT INTO _exposures (user_id, experiment, epoch, variant, journey_id, entry_key, step, at)
	SELECT 'u' || i, experiment, epoch, variant, j.journey_id, 'k' || at, 's', at FROM generate_series(first, last) i, _journeys j WHERE j.name = 'cart' ON CONFLICT DO NOTHING
$$;
CREATE PROCEDURE test.act(name text, first int, last int, properties jsonb DEFAULT '{}', at timestamptz DEFAULT clock())
LANGUAGE sql AS $$
	INSERT INTO events (user_id, name, properties, occurred_at) SELECT 'u' || i, name, properties, at FROM generate_series(first, last) i
$$;
\set ECHO all
\pset null '-'
SELECT error($$SELECT experiment_results('nothing', 'order')$$);
SELECT error($$SELECT experiment_results('copy')$$);
SELECT error($$SELECT experiment_results('copy', 'order', '-1 day')$$);

-- 100 of 1000 against 130 of 1000: difference 0.03, z = 0.03 / sqrt(0.115 0.885 2 / 1000) = 2.1027, lift 0.3
CALL expose('copy', 'old', 1, 1000);
CALL expose('copy', 'new', 1001, 2000);
-- before the exposure; then within the window; then after it; and once more, which is the same person
CALL act('order', 1, 50, at => clock() - interval '1 h');
CALL act('order', 1, 100, '{"total": 10}', clock() + interval '1 h');
CALL act('order', 1001, 1130, '{"total": 20}', clock() + interval '1 h');
CALL act('order', 1001, 1009, '{"total": "much"}', clock() + interval '2 h');
CALL act('order', 1010, 1010, '{"total": 1e400}', clock() + interval '2 h');
SELECT advance_clock('4 days') \gset
CALL act('order', 200, 250, at => clock() - interval '1 day');
SELECT variant, control, people, conversions, rate, difference, test, round(p_value::numeric, 6) AS p, round(p_holm::numeric, 6) AS holm,
	round(lift::numeric, 6) AS lift, value_per_person, round(expected_people) AS expected, srm_p_value AS srm
FROM experiment_results('copy', 'order', '1 day', 'total');
SELECT round(2 * normal_cdf(-0.03 / sqrt(0.115 * 0.885 * 2 / 1000))::numeric, 6) AS p;
SELECT round(difference_low::numeric, 5) AS low, round(difference_high::numeric, 5) AS high, round(lift_low::numeric, 3) AS lift_low, round(lift_high::numeric, 3) AS lift_high,
	round(chance_to_be_best::numeric, 4) AS best, round(expected_loss::numeric, 6) AS loss, always_low < difference_low AND always_high > difference_high AS wider
FROM experiment_results('copy', 'order', '1 day') WHERE NOT control;
-- the delta method by hand
SELECT round((0.3 - h)::numeric, 3) AS low, round((0.3 + h)::numeric, 3) AS high FROM (SELECT normal_quantile(0.975) * sqrt(0.13 * 0.87 / 1000 / 0.01 + 0.1 * 0.9 * 0.0169 / 0.0001 / 1000) AS h) x;
-- with the window of the journey's rule, and only people whose window is over
SELECT set_conversion('cart', '{order}', '4 days', value => 'total');
SELECT variant, people, conversions FROM experiment_results('copy');
SELECT variant, people, rate, srm_p_value FROM experiment_results('copy', within => '5 days', complete => true);
SELECT sum(people) FROM experiment_results('copy', within => '3 days', complete => true);
SELECT sum(people) FROM experiment_results('copy', since => clock());
-- a person counts once, by the first exposure; testers do not count at all
CALL expose('copy', 'new', 1, 20);
SELECT force_assignment('copy', 'u' || i, 'old') FROM generate_series(91, 95) i;
SELECT variant, people, conversions FROM experiment_results('copy');
SELECT force_assignment('copy', 'u' || i, NULL) FROM generate_series(91, 95) i;
SELECT variant, people, conversions FROM experiment_results('copy');

-- what is promised follows the weights: 1000 at 1:1, then 400 at 1:3
SELECT alter_experiment('copy', '[{"name": "old", "weight": 1}, {"name": "new", "weight": 3}]') AS epoch;
CALL expose('copy', 'old', 3001, 3100, epoch => 2);
CALL expose('copy', 'new', 3101, 3400, epoch => 2);
SELECT variant, people, round(expected_people) AS expected, round(srm_p_value::numeric, 6) AS srm FROM experiment_results('copy', 'order');
-- a new salt is a new experiment, and one that has shipped is not drawn any more
SELECT stop_experiment('copy', 'new');
CALL expose('copy', 'new', 4001, 4100, epoch => 3);
SELECT variant, people FROM experiment_results('copy', 'order');
SELECT alter_experiment('copy', salt => 'again') AS epoch;
SELECT variant, people, rate, p_value, srm_p_value FROM experiment_results('copy', 'order');

-- the decision. Too early; then for certain by each method
CALL expose('three', 'a', 10001, 10050);
CALL expose('three', 'b', 11001, 11050);
CALL expose('three', 'c', 12001, 12050);
SELECT * FROM experiment_decision('three', 'buy');
CALL expose('three', 'a', 10001, 11000);
CALL expose('three', 'b', 11001, 12000);
CALL expose('three', 'c', 12001, 13000);
CALL act('buy', 10001, 10100, at => clock() + interval '1 h');
CALL act('buy', 11001, 11130, at => clock() + interval '1 h');
CALL act('buy', 12001, 12200, at => clock() + interval '1 h');
SELECT decision, winner, reasons FROM experiment_decision('three', 'buy');
SELECT advance_clock('8 days') \gset
-- Holm: the smaller p doubles, the larger stays; Benjamini-Hochberg alike
SELECT variant, test, p_value < 1e-6 AS tiny, round(p_holm::numeric, 6) AS holm, round(p_bh::numeric, 6) AS bh FROM experiment_results('three', 'buy');
SELECT decision, winner, reasons FROM experiment_decision('three', 'buy');
SELECT decision, winner FROM experiment_decision('three', 'buy', method => 'fixed');
SELECT decision, winner FROM experiment_decision('three', 'buy', method => 'bayes');
-- the best harms a guardrail: by certainty it is out, and the second best is not certain when looked at any time
CALL act('message_unsubscribed', 12001, 12080, at => clock() - interval '7 days');
SELECT decision, winner, reasons FROM experiment_decision('three', 'buy', guardrails => '[{"event": "message_unsubscribed"}]');
SELECT decision, winner FROM experiment_decision('three', 'buy', method => 'fixed', guardrails => '[{"event": "message_unsubscribed"}]');
SELECT decision, winner FROM experiment_decision('three', 'buy', guardrails => '[{"event": "message_unsubscribed", "margin": 0.2}]');
-- the wrong way round, everything is worse: the control stays
CALL act('churn', 11001, 11300, at => clock() - interval '7 days');
CALL act('churn', 12001, 12300, at => clock() - interval '7 days');
CALL act('churn', 10001, 10500, at => clock() - interval '7 days');
SELECT decision, winner, reasons FROM experiment_decision('three', 'churn');
-- broken assignment wins over everything
CALL expose('three', 'c', 13001, 13500);
SELECT decision, winner FROM experiment_decision('three', 'buy');
SELECT error(format('SELECT experiment_decision(''three'', ''buy'', guardrails => %L)', g)) FROM unnest('{"{}","[1]","[{\"evnt\": \"x\"}]","[{\"event\": \"x\", \"bad\": \"up\"}]","[{\"event\": \"x\", \"margin\": 2}]","[{\"event\": \"x\", \"max\": 2}]"}'::text[]) g;
SELECT error($$SELECT experiment_decision('three', 'buy', method => 'guess')$$);
-- few conversions: Fisher's test; 0 of 20 against 5 of 20 is 0.0471
SELECT create_experiment('few', '["a", "b"]') > 0 AS ok;
CALL expose('few', 'a', 20001, 20020);
CALL expose('few', 'b', 20021, 20040);
CALL act('buy', 20021, 20025, at => clock() + interval '1 h');
SELECT advance_clock('2 h') \gset
SELECT variant, conversions, test, round(p_value::numeric, 4) AS p, lift FROM experiment_results('few', 'buy');

-- and with exposures that a journey made: the draw says who is in which arm, a third of the one and two thirds of the other buy
SELECT create_experiment('real', '["a", "b"]') > 0 AS ok;
SELECT create_journey('really', '{"kind": "event", "name": "really"}', '[{"id": "w", "split": {"experiment": "real", "arms": {"a": [{"id": "as", "send": "hello"}], "b": []}}}]') > 0 AS ok;
CALL act('really', 25001, 25060); CALL drain('1 min'); SELECT advance_clock('1 h') \gset
INSERT INTO events (user_id, name) SELECT 'u' || i, 'buy' FROM generate_series(25001, 25060) i WHERE i % 3 < CASE assignment('real', 'u' || i) WHEN 'a' THEN 1 ELSE 2 END;
SELECT r.variant, r.people = count(*) AS people, r.conversions = count(*) FILTER (WHERE i % 3 < CASE r.variant WHEN 'a' THEN 1 ELSE 2 END) AS conversions, r.people BETWEEN 15 AND 45 AS both
FROM experiment_results('real', 'buy') r JOIN generate_series(25001, 25060) i ON assignment('real', 'u' || i) = r.variant GROUP BY r.variant, r.people, r.conversions ORDER BY 1;

-- holdouts: everybody who entered, by the draw; 60 of the free order, and 20 of those who are held
SELECT error($$SELECT holdout_lift('nothing')$$);
CALL journey('look', 'look');
SELECT error($$SELECT holdout_lift('look')$$);
CALL act('look', 30001, 30010); CALL drain();
SELECT people_free, people_held, p_value FROM holdout_lift('look', 'order');
CALL drain('1 h');
SELECT create_holdout('quiet', 0.5, journey => 'look') > 0 AS ok;
CALL drain('1 h');
CALL act('look', 31001, 31400); CALL drain();
CREATE TABLE test.side AS SELECT i, row_number() OVER (PARTITION BY held_out('u' || i, 'look') IS NOT NULL ORDER BY i) AS n, held_out('u' || i, 'look') IS NOT NULL AS held FROM generate_series(31001, 31400) i;
SELECT advance_clock('1 h') \gset
INSERT INTO events (user_id, name) SELECT 'u' || i, 'order' FROM side WHERE n <= CASE WHEN held THEN 20 ELSE 60 END;
SELECT people_free, conversions_free, people_held, conversions_held, test, incremental = people_free * difference AS product, round(incremental::numeric, 2) AS more,
	incremental_low < incremental AND incremental_high > incremental AS within, p_value < 0.001 AS certain FROM holdout_lift('look', 'order');
-- the same from the rows: who has no message is who is held
SELECT held, count(*) AS people, count(*) FILTER (WHERE state = 'withheld' AND reason = 'held out by "quiet"') AS withheld, round(60 - count(*) * 20.0 / nullif(400 - count(*), 0), 2) AS more
FROM side JOIN sends ON user_id = 'u' || i AND journey = 'look' GROUP BY 1 ORDER BY 1;
