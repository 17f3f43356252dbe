-- Read-outs: the figures of published examples, edges, and what is refused. Many more
-- values are in test/data/experiment_vectors and looked at by test/t.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
SET extra_float_digits = -3;

-- rates: the e-mail test of Hillstrom, visits after the men's mail, the women's, and none
SELECT round(difference::numeric, 4) AS difference, round(z::numeric, 2) AS z, p_value < 1e-100 AS certain FROM proportion_test(2262, 21306, 3894, 21307);
SELECT round(difference::numeric, 4) AS difference, round(z::numeric, 2) AS z FROM proportion_test(2262, 21306, 3238, 21387);
SELECT p_value FROM proportion_test(122, 21306, 189, 21387);
-- intervals without and with successes, one side
SELECT * FROM proportion_test(0, 50, 5, 50);
SELECT * FROM proportion_test(10, 100, 20, 100, 0.9, 'greater');
SELECT * FROM proportion_test(10, 100, 20, 100, alternative => 'less');
SELECT z, p_value, ci_low, ci_high FROM proportion_test(0, 10, 0, 10);
SELECT z, p_value FROM proportion_test(10, 10, 10, 10);
SELECT fisher_test(1, 10, 7, 12), fisher_test(0, 10, 0, 10), fisher_test(0, 5, 3, 6), fisher_test(5, 5, 0, 5);
SELECT p_value FROM fisher_test(400000, 1000000, 401000, 1000000);

-- means; without spread a difference is certain
SELECT * FROM welch_test(10, 4, 30, 11, 9, 40);
SELECT t, df, p_value, ci_low, ci_high FROM welch_test(1, 0, 5, 1, 0, 5);
SELECT t, p_value FROM welch_test(1, 0, 5, 2, 0, 5);
SELECT p_value FROM welch_test(1, 0, 5, 2, 0, 5, alternative => 'less');
SELECT p_value AS greater, 1 - (welch_test(10, 4, 30, 11, 9, 40, alternative => 'less')).p_value AS one_less_less FROM welch_test(10, 4, 30, 11, 9, 40, alternative => 'greater');
SELECT * FROM relative_lift(0.49, 0.49 * 0.51, 100, 0.51, 0.51 * 0.49, 100);
SELECT lift FROM relative_lift(-2, 1, 10, -3, 1, 10);
-- CUPED: the slope of a covariate that explains all, and of one that explains nothing
SELECT theta, difference, variance_ratio FROM cuped_test(100, 10, 4, 5, 1, 2, 100, 10.5, 4, 5.25, 1, 2);
SELECT theta, difference, variance_ratio FROM cuped_test(100, 10, 4, 5, 0, 0, 100, 10.5, 4, 5, 0, 0);
SELECT theta, difference, variance_ratio FROM cuped_test(100, 10, 4, 5, 1, 1.2, 100, 10.5, 4, 5, 1, 1.2);

-- sample ratio: Hillstrom's three groups, Cookie Cats' two
SELECT p_value FROM srm_test('{21306,21307,21387}', '{1,1,1}');
SELECT p_value FROM srm_test('{44700,45489}', '{0.5,0.5}');
SELECT * FROM srm_test('{50,50}', '{3,3}');
SELECT * FROM independence_test('{{10,20,0},{20,40,0}}');
SELECT * FROM independence_test('{{10,0},{0,0}}');
SELECT holm('{0.01,0.04,0.03,NULL,0.005}'), benjamini_hochberg('{0.01,0.04,0.03,NULL,0.005}'), holm('{}'), holm('{1,0}');

-- factorial: an interaction and none
SELECT term, effect, std_error, p_value < 0.05 AS found FROM factorial_effects('[
	{"factors": {"copy": "short", "image": "a"}, "n": 1000, "mean": 0.10, "variance": 0.09}, {"factors": {"copy": "long", "image": "a"}, "n": 1000, "mean": 0.12, "variance": 0.09},
	{"factors": {"copy": "short", "image": "b"}, "n": 1000, "mean": 0.11, "variance": 0.09}, {"factors": {"copy": "long", "image": "b"}, "n": 1000, "mean": 0.23, "variance": 0.09}]');
SELECT count(*) AS terms, count(*) FILTER (WHERE abs(effect) < 1e-12) AS nothing FROM factorial_effects((SELECT jsonb_agg(jsonb_build_object('factors', jsonb_build_object('a', a, 'b', b, 'c', c),
	'n', 100, 'mean', a + 10 * b, 'variance', 1) ORDER BY a, b, c) FROM generate_series(0, 1) a, generate_series(0, 2) b, generate_series(0, 1) c), 3);
SELECT term, effect FROM factorial_effects((SELECT jsonb_agg(jsonb_build_object('factors', jsonb_build_object('a', a, 'b', b), 'n', 100 + 900 * a * b, 'mean', a + 10 * b, 'variance', 1) ORDER BY a, b)
	FROM generate_series(0, 1) a, generate_series(0, 2) b), 1);

-- before: what a test needs, and what it would find
SELECT * FROM proportion_sample_size(0.5, 0.75, 0.9);
SELECT * FROM mean_sample_size(0.2, 1);
SELECT * FROM mean_sample_size(0.5, 1, 0.9, 0.01, 2);
SELECT (proportion_sample_size(0.04, 0.044)).n1 AS n, proportion_power(0.04, 0.044, n, n) >= 0.8 AND proportion_power(0.04, 0.044, n - 1, n - 1) < 0.8 AS smallest FROM proportion_sample_size(0.04, 0.044) s(n);
SELECT proportion_mde(0.04, 39475, 39475), mean_mde(1, 394, 394), proportion_mde(0.9999, 10, 10), mean_mde(0, 10, 10);
SELECT proportion_power(0.1, 0.1, 1000, 1000), mean_power(0, 1, 50, 50);
SELECT * FROM plan_experiment(0.04, 0.1, 5000);
SELECT * FROM plan_experiment(0.04, 0.1, 5000, arms => 4);

-- early looks: published bounds, and their sum of errors
SELECT look, fraction, round(bound::numeric, 3) AS bound FROM group_sequential_bounds('{0.2,0.4,0.6,0.8,1}');
SELECT look, round(alpha_spent::numeric, 5) AS spent, round(bound::numeric, 3) AS bound FROM group_sequential_bounds('{0.2,0.4,0.6,0.8,1}', spending => 'pocock');
SELECT round(bound::numeric, 3) AS bound, round(nominal_p::numeric, 5) AS p FROM group_sequential_bounds('{0.5,1}', 0.025, sides => 1);
SELECT bound FROM group_sequential_bounds('{1}');
SELECT look, bound FROM group_sequential_bounds('{0.001,1}');
SELECT count(*), bool_and(bound > 1.9599) AS above_one_look, max(alpha_spent) FROM group_sequential_bounds(ARRAY(SELECT i / 100.0::float8 FROM generate_series(1, 100) i));
SELECT * FROM confidence_sequence(0.02, 0.005, 8000);
SELECT * FROM msprt_test(0.02, 0.005, 0.01);
-- the p-value is alpha where the interval just touches 0
SELECT round((confidence_sequence(c.ci_high - c.ci_low, 2 * 0.005, 8000)).p_value::numeric, 9) AS alpha FROM confidence_sequence(0, 0.005, 8000) c;
SELECT round((msprt_test(m.ci_high, 0.005, 0.01)).p_value::numeric, 9) AS alpha FROM msprt_test(0, 0.005, 0.01) m;

-- posteriors: gbstats' example, exact and by the normal distribution
SELECT round(lift::numeric, 5) AS lift, round(ci_low::numeric, 5) AS low, round(ci_high::numeric, 5) AS high, round(chance_to_win::numeric, 5) AS chance,
	round(loss_of_control::numeric, 4) AS loss_1, round(loss_of_treatment::numeric, 5) AS loss_2, computed_by FROM bayes_lift(0.49, 0.49 * 0.51, 100, 0.51, 0.51 * 0.49, 100);
SELECT arm, mean, round(chance_to_beat_first::numeric, 5) AS chance, expected_loss, computed_by FROM bayes_proportions('{49,51}', '{100,100}');
SELECT arm, round(chance_to_beat_first::numeric, 5) AS chance, computed_by FROM bayes_proportions('{49,51}', '{100,100}', method => 'normal');
SELECT DISTINCT computed_by FROM bayes_proportions('{10000000,10000000}', '{20000000,20000000}');
-- Cookie Cats, retention after seven days: gate 30 against gate 40
SELECT round(chance_to_beat_first::numeric, 5) AS chance FROM bayes_proportions('{8502,8279}', '{44700,45489}') WHERE arm = 2;
SELECT sum(chance_to_be_best) AS sum, min(expected_loss) >= 0 AS losses FROM bayes_proportions('{5,7,2,0}', '{50,60,40,3}');
SELECT round(sum(chance_to_be_best)::numeric, 9) AS sum FROM bayes_proportions('{0,1,0}', '{3,5,200}', 0.05, 0.05);
SELECT arm, chance_to_be_best, expected_loss FROM bayes_means('{1,1}', '{4,4}', '{100,100}');
-- a proper prior draws towards its mean
SELECT lift, sd FROM bayes_lift(1, 1, 100, 1.2, 1, 100, 0, 0.05);

-- bandits
SELECT thompson_weights('{5,7,2}', '{50,60,40}');
SELECT thompson_weights('{5,7,2}', '{50,60,40}', floors => '{0.1,0.1,0.1}');
SELECT thompson_weights('{0,0}', '{0,0}', penalties => '{0,0.1}');
SELECT thompson_weights('{3}', '{5}');
SELECT thompson_choice('seed', 'u1', '{5,7,2}', '{50,60,40}') = thompson_choice('seed', 'u1', '{5,7,2}', '{50,60,40}') AS same_again;
-- the choices follow the weights that are stored with them
WITH c AS (SELECT c.* FROM generate_series(1, 2000) i, thompson_choice('seed', i::text, '{5,7,2}', '{50,60,40}', floors => '{0.1,0,0}', penalties => '{0,0.02,0}') c)
SELECT (srm_test(array_agg(n ORDER BY arm), array_agg(propensity ORDER BY arm))).p_value > 0.001 AS as_said, sum(propensity) AS sum FROM (SELECT arm, propensity, count(*) n FROM c GROUP BY 1, 2) t;
SELECT recency_penalty('2030-01-01', '2030-01-08', 0.2, '7 days'), recency_penalty(NULL, '2030-01-08', 0.2, '7 days');
-- what another policy would have earned: logged by chance 1 to 3, target always the second arm
WITH log AS (SELECT i, keyed_uniform('log', i::text) < 0.25 AS first FROM generate_series(1, 20000) i)
SELECT n, abs(ips - 0.3) < 4 * ips_error AS ips, abs(snips - 0.3) < 4 * snips_error AS snips, snips_error < ips_error AS steadier, effective_n
FROM (SELECT (ips((keyed_uniform('reward', i::text) < CASE WHEN first THEN 0.1 ELSE 0.3 END)::int, CASE WHEN first THEN 0.25 ELSE 0.75 END, (NOT first)::int)).* FROM log) r;
-- neither the order of rows nor parallel workers show
WITH d AS (SELECT exp(20 * keyed_uniform('x', i::text) - 10) AS x, 0.05 + 0.9 * keyed_uniform('p', i::text) AS p FROM generate_series(1, 2000) i)
SELECT count(DISTINCT r) AS results FROM (SELECT (ips(x, p, 0.5 ORDER BY x)).ips AS r FROM d UNION ALL SELECT (ips(x, p, 0.5 ORDER BY -x)).ips FROM d UNION ALL SELECT (ips(x, p, 0.5 ORDER BY md5(x::text))).ips FROM d) t;
SELECT ips(x, p, 0.5) FROM (VALUES (1::float8, NULL::float8)) v(x, p);
SELECT ips(1, 0.5, 0);

-- no arguments, no answer
SELECT proportion_test(NULL, 1, 1, 1), bayes_lift(NULL, 1, 10, 1, 1, 10), thompson_weights(NULL, '{1}'), (SELECT count(*) FROM bayes_proportions(NULL, '{1}'));

-- what is refused
SELECT error('SELECT ' || call) FROM (VALUES
	('proportion_test(0, 0, 1, 2)'), ('proportion_test(3, 2, 1, 2)'), ('proportion_test(-1, 2, 1, 2)'), ('proportion_test(1, 2, 1, 2, 1)'), ('proportion_test(1, 2, 1, 2, 0.95, ''two_sided'')'),
	('fisher_test(1, 0, 1, 2)'), ('fisher_test(1, 2, 3, 2)'), ('welch_test(1, 1, 1, 1, 1, 2)'), ('welch_test(1, -1, 2, 1, 1, 2)'), ('welch_test(''NaN'', 1, 2, 1, 1, 2)'),
	('welch_test(1, ''Infinity'', 2, 1, 1, 2)'), ('welch_test(1, 1, 2, 1, 1, 2, ''NaN'')'), ('relative_lift(0, 1, 2, 1, 1, 2)'), ('cuped_test(10, 1, 1, 1, 1, 2, 10, 1, 1, 1, 1, 0)'), ('cuped_test(1, 1, 1, 1, 1, 0, 10, 1, 1, 1, 1, 0)'),
	('srm_test(''{1}'', ''{1}'')'), ('srm_test(''{1,2}'', ''{1}'')'), ('srm_test(''{1,2}'', ''{1,0}'')'), ('srm_test(''{1,-2}'', ''{1,1}'')'), ('srm_test(''{0,0}'', ''{1,1}'')'), ('srm_test(''{1,NULL}'', ''{1,1}'')'), ('srm_test(''{1,1}'', ''{1,NaN}'')'),
	('independence_test(''{1,2}'')'), ('independence_test(''{{0,0},{0,0}}'')'), ('holm(''{1.1}'')'), ('holm(''{NaN}'')'), ('benjamini_hochberg(''{-0.1}'')'), ('holm(''{{0.1},{0.2}}'')'),
	('factorial_effects(''{}'')'), ('factorial_effects(''[]'')'), ('factorial_effects(''[{"factors": {"a": 1}, "n": 10, "mean": 1, "variance": 1}]'')'), ('factorial_effects(''[{"factors": {"a": 1}, "n": 1, "mean": 1, "variance": 1}]'')'),
	('factorial_effects(''[{"factors": {"a": 1}, "n": 10, "mean": 1, "variance": 1}, {"factors": {"b": 1}, "n": 10, "mean": 1, "variance": 1}]'')'),
	('factorial_effects(''[{"factors": {"a": 1, "b": 1}, "n": 10, "mean": 1, "variance": 1}, {"factors": {"a": 2, "b": 1}, "n": 10, "mean": 1, "variance": 1}, {"factors": {"a": 1, "b": 2}, "n": 10, "mean": 1, "variance": 1}]'')'),
	('factorial_effects(''[{"factors": {"a": 1}, "n": 10, "mean": 1, "variance": 1}, {"factors": {"a": 2}, "n": 10, "mean": 1, "variance": 1}, {"factors": {"a": 2}, "n": 10, "mean": 1, "variance": 1}]'')'),
	('factorial_effects(''[{"factors": {"a": 1}, "m": 10}]'')'), ('factorial_effects(''[{"factors": {"a": 1}, "n": 10, "mean": 1, "variance": 1}, {"factors": {"a": 1}, "n": 10, "mean": 1, "variance": 1}]'')'),
	('proportion_power(0, 0.1, 10, 10)'), ('proportion_power(0.1, 1.1, 10, 10)'), ('proportion_power(0.1, 0.2, 0, 10)'), ('proportion_power(0.1, 0.2, 10, 10, 0)'), ('proportion_sample_size(0.1, 0.1)'), ('proportion_sample_size(0.1, 0.2, 1)'),
	('proportion_sample_size(0.1, 0.2, 0.04)'), ('proportion_sample_size(0.1, 0.2, ratio => 0)'), ('proportion_sample_size(0.1, 0.10000000001)'), ('mean_power(1, 0, 10, 10)'), ('mean_power(1, 1, 1, 10)'), ('mean_sample_size(0, 1)'), ('mean_mde(-1, 10, 10)'), ('plan_experiment(0.1, 0.1, 0)'), ('plan_experiment(0.1, 0.1, 100, 1)'),
	('confidence_sequence(1, 0, 10)'), ('confidence_sequence(1, 1, 0)'), ('confidence_sequence(1, 1, 10, tuning => 0)'), ('confidence_sequence(''Infinity'', 1, 10)'), ('msprt_test(1, 1, 0)'), ('msprt_test(1, -1, 1)'),
	('group_sequential_bounds(''{}'')'), ('group_sequential_bounds(''{0.5,0.5}'')'), ('group_sequential_bounds(''{0.5,1.1}'')'), ('group_sequential_bounds(''{0,1}'')'), ('group_sequential_bounds(''{1}'', 1)'), ('group_sequential_bounds(''{1}'', spending => ''pococ'')'), ('group_sequential_bounds(''{1}'', sides => 3)'),
	('bayes_proportions(''{1}'', ''{1,2}'')'), ('bayes_proportions(''{2}'', ''{1}'')'), ('bayes_proportions(''{1}'', ''{1}'', 0)'), ('bayes_proportions(''{}'', ''{}'')'), ('bayes_proportions(''{1}'', ''{1}'', method => ''exakt'')'), ('bayes_means(''{1}'', ''{0}'', ''{10}'')'), ('bayes_means(''{1}'', ''{1}'', ''{1}'')'),
	('bayes_lift(0, 1, 10, 1, 1, 10)'), ('bayes_lift(1, 0, 10, 1, 0, 10)'), ('bayes_lift(1, 1, 10, 1, 1, 10, 0, 0)'),
	('thompson_weights(''{1}'', ''{1}'', floors => ''{1.1}'')'), ('thompson_weights(''{1}'', ''{1}'', floors => ''{0.1,0.1}'')'), ('thompson_weights(''{1}'', ''{1}'', floors => ''{-0.1}'')'), ('thompson_weights(''{1}'', ''{1}'', penalties => ''{1,2}'')'),
	('ips(1, 0, 1)'), ('ips(1, 1.1, 1)'), ('ips(1, 0.5, -1)'), ('ips(''NaN'', 0.5, 1)'),
	('normal_cdf(''NaN'')'), ('normal_quantile(1.1)'), ('t_cdf(1, 0)'), ('t_quantile(-0.1, 5)'), ('chi2_tail(1, -1)'), ('beta_cdf(0.5, 0, 1)'), ('beta_quantile(0.5, 1, ''Infinity'')')
) v(call);
-- the ends of the distributions
SELECT normal_quantile(0), normal_quantile(0.5), normal_quantile(1), normal_cdf('-Infinity'), normal_cdf('Infinity'), t_quantile(0, 3), t_quantile(0.5, 3), t_quantile(0.975, 'Infinity'), t_cdf('-Infinity', 3), chi2_tail(0, 3), chi2_tail('Infinity', 3), beta_cdf(-1, 1, 1), beta_cdf(2, 1, 1), beta_quantile(0, 2, 3), beta_quantile(1, 2, 3);
