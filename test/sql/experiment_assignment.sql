-- Experiments, holdouts and namespaces: definitions, epochs, assignment now and in the past.
\set ECHO none
\i test/sql/include/fresh.sql
-- how many of n people have which variant
CREATE FUNCTION test.split(experiment text, n int DEFAULT 10000, at timestamptz DEFAULT NULL)
RETURNS TABLE (variant text, people bigint)
LANGUAGE sql AS $$
	SELECT a, count(*) FROM generate_series(1, $2) i, assignment($1, 'u' || i, $3) a GROUP BY a ORDER BY a
$$;
\set ECHO all
\pset null '-'

-- as one writes it down
SELECT create_experiment('copy', '["control", "treatment"]') > 0 AS id;
SELECT * FROM split('copy');
SELECT name, kind, state, variants, coverage, salt, hash_version, epoch FROM experiments;
-- the variant is what an auditor computes by hand
SELECT count(*) AS wrong FROM generate_series(1, 10000) i, experiment_epochs e
WHERE assignment('copy', 'u' || i) IS DISTINCT FROM e.variants[1 + choose_variant(bucket(e.salt, 'u' || i, e.hash_version), e.ranges)];
SELECT (srm_test(array_agg(people ORDER BY variant), '{1,1}')).p_value > 0.001 AS balanced FROM split('copy');
SELECT * FROM explain_assignment('copy', 'u1');
SELECT assignment('copy', ''), assignment('copy', NULL), assignment(NULL, 'u1');
SELECT error($$SELECT assignment('copi', 'u1')$$);

-- ramp-up: coverage moves nobody between variants
SELECT create_experiment('ramp', '["a", "b"]', coverage => 0.1) > 0 AS id;
SELECT * FROM split('ramp');
SELECT advance_clock('1 day');
SELECT alter_experiment('ramp', coverage => 0.5);
SELECT * FROM split('ramp');
SELECT count(*) AS moved FROM generate_series(1, 10000) i
WHERE assignment('ramp', 'u' || i, clock() - interval '1 hour') <> coalesce(assignment('ramp', 'u' || i), 'nobody');
SELECT * FROM split('ramp', at => clock() - interval '1 hour');
SELECT (explain_assignment('ramp', 'u2', clock() - interval '2 days')).reason, (explain_assignment('ramp', 'u4')).*;

-- weights and values, explicit ranges
SELECT create_experiment('delay', '[{"name": "10 min", "weight": 4, "value": {"wait": "10 min"}}, {"name": "5 min", "weight": 1, "value": {"wait": "5 min"}}]') > 0 AS id;
SELECT * FROM experiment_variants WHERE experiment = 'delay' ORDER BY position;
SELECT * FROM split('delay');
SELECT create_experiment('ranges', '[{"name": "a", "range": [0.9, 1]}, {"name": "b", "range": [0, 0.3]}]') > 0 AS id;
SELECT variant, range_start, range_end, share FROM experiment_variants WHERE experiment = 'ranges' ORDER BY position;
SELECT error($$SELECT alter_experiment('ranges', coverage => 0.5)$$);
SELECT alter_experiment('ranges', variants => '[{"name": "a", "range": [0.8, 1]}, {"name": "b", "range": [0, 0.3]}]');

-- multivariate: every combination, with the product of the weights
SELECT create_experiment('mvt', '{"factors": {"copy": ["short", {"name": "long", "weight": 3}], "image": ["a", "b", "c"]}}');
SELECT create_experiment('mvt', '{"factors": {"copy": [{"name": "short", "weight": 1}, {"name": "long", "weight": 3, "value": {"lines": 4}}], "image": ["a", "b", "c"]}}') > 0 AS id;
SELECT variant, value, round(weight::numeric, 4) AS weight, share FROM experiment_variants WHERE experiment = 'mvt' ORDER BY position;
SELECT (srm_test(array_agg(people ORDER BY v.position), array_agg(v.share ORDER BY v.position))).p_value > 0.001 AS balanced
FROM split('mvt', 20000) s JOIN experiment_variants v ON v.experiment = 'mvt' AND v.variant = s.variant;

-- what is refused
SELECT error(format('SELECT create_experiment(%L, %L)', 'bad', variants)) FROM (VALUES
	('["a"]'), ('"a"'), ('[1, 2]'), ('["a", "a"]'), ('["a", ""]'), ('[{"name": "a"}, {"nam": "b"}]'), ('[{"name": "a", "weight": 1}, "b"]'),
	('[{"name": "a", "weight": -1}, {"name": "b", "weight": 2}]'), ('[{"name": "a", "weight": 0}, {"name": "b", "weight": 0}]'),
	('[{"name": "a", "range": [0, 0.6]}, {"name": "b", "range": [0.5, 1]}]'), ('[{"name": "a", "range": [0, 1.1]}, {"name": "b", "range": [0, 0]}]'),
	('[{"name": "a", "range": [0, 0.1]}, "b"]'), ('{"factors": {}}'), ('{"factors": {"f": ["x"]}}'), ('{"factor": {"f": ["x", "y"]}}'), ('{"factors": {"f": "x"}}')
) v(variants);
SELECT error($$SELECT create_experiment('copy', '["a", "b"]')$$);
SELECT error($$SELECT create_experiment('', '["a", "b"]')$$);
SELECT error($$SELECT create_experiment('bad', NULL)$$);
SELECT error($$SELECT create_experiment('bad', '["a", "b"]', coverage => 1.1)$$), error($$SELECT create_experiment('bad', '["a", "b"]', coverage => 'NaN')$$);
SELECT error($$SELECT create_experiment('bad', '["a", "b"]', hash_version => 5)$$);
SELECT error($$SELECT alter_experiment('copie', coverage => 1)$$);
SELECT error($$SELECT alter_experiment('ramp', new_name => 'copy')$$);

-- forced: from an instant on, and released
SELECT assignment('copy', 'u1') AS hashed;
SELECT force_assignment('copy', 'u1', 'treatment');
SELECT variant, source, propensity FROM explain_assignment('copy', 'u1');
SELECT assignment('copy', 'u1', clock() - interval '1 s') AS before;
SELECT advance_clock('1 hour');
SELECT force_assignment('copy', 'u1', NULL);
SELECT assignment('copy', 'u1') AS released, assignment('copy', 'u1', clock() - interval '1 min') AS while_forced;
SELECT error($$SELECT force_assignment('copy', 'u1', 'treatmnt')$$);
SELECT error($$SELECT force_assignment('copy', '', 'treatment')$$);

-- imported: kept until everybody draws afresh
SELECT import_assignments('copy', ARRAY['m1', 'm2', 'm1'], ARRAY['control', 'treatment', 'treatment']);
SELECT user_id, (explain_assignment('copy', user_id)).* FROM unnest(ARRAY['m1', 'm2']) user_id;
SELECT error($$SELECT import_assignments('copy', ARRAY['m1'], ARRAY['nobody'])$$);
SELECT error($$SELECT import_assignments('copy', ARRAY['m1', 'm2'], ARRAY['control'])$$);
SELECT error($$SELECT import_assignments('copy', ARRAY['m1'], ARRAY[NULL])$$);
SELECT user_id, experiment, variant, source, at FROM stored_assignments ORDER BY at, user_id;

-- a new salt: all draw afresh, and the past stays what it was
CREATE TEMP TABLE past AS SELECT 'u' || i AS user_id, assignment('copy', 'u' || i) AS variant, clock() AS at FROM generate_series(1, 10000) i;
SELECT advance_clock('1 day');
SELECT alter_experiment('copy', salt => 'second round');
SELECT round(avg((assignment('copy', user_id) <> variant)::int), 1) AS half_changed FROM past;
SELECT count(*) AS wrong FROM past WHERE assignment('copy', user_id, at) IS DISTINCT FROM variant;
SELECT source FROM explain_assignment('copy', 'm1');
SELECT experiment, epoch, from_at, until_at, state, salt FROM experiment_epochs WHERE experiment = 'copy' ORDER BY epoch;

-- sticky: the first answer survives other weights
SELECT create_experiment('sticky', '["a", "b"]', sticky => true) > 0 AS id;
CREATE TEMP TABLE first AS SELECT 'u' || i AS user_id, assign('sticky', 'u' || i) AS variant FROM generate_series(1, 200) i;
SELECT count(*) FROM stored_assignments WHERE experiment = 'sticky' AND source = 'kept';
SELECT advance_clock('1 day');
SELECT alter_experiment('sticky', variants => '[{"name": "a", "weight": 0}, {"name": "b", "weight": 1}]');
SELECT count(*) AS moved FROM first WHERE assign('sticky', user_id) <> variant;
SELECT DISTINCT assign('sticky', 'v' || i) AS newcomers FROM generate_series(1, 50) i;
SELECT alter_experiment('sticky', salt => 'again');
SELECT DISTINCT assign('sticky', user_id) AS after_salt FROM first;
-- a variant that is gone is nobody's
SELECT alter_experiment('sticky', variants => '["c", "d"]');
SELECT DISTINCT assign('sticky', user_id) IN ('c', 'd') AS new_variants FROM first;
-- one that is not sticky keeps nothing
SELECT assign('delay', 'u1') IS NOT NULL AS assigned, (SELECT count(*) FROM stored_assignments WHERE experiment = 'delay') AS kept;

-- draft, start, stop, winner, drop
SELECT create_experiment('life', '["a", "b"]', enabled => false) > 0 AS id;
SELECT assignment('life', 'u1'), (explain_assignment('life', 'u1')).reason;
SELECT force_assignment('life', 'tester', 'b');
SELECT assignment('life', 'tester') AS in_a_draft;
SELECT start_experiment('life');
SELECT start_experiment('life');
SELECT * FROM split('life');
SELECT advance_clock('1 hour');
SELECT error($$SELECT stop_experiment('life', 'c')$$);
SELECT stop_experiment('life', 'b');
SELECT * FROM split('life');
SELECT variant, source, propensity FROM explain_assignment('life', 'u1');
SELECT * FROM split('life', at => clock() - interval '1 min');
SELECT advance_clock('1 hour');
SELECT start_experiment('life');
SELECT count(*) AS changed FROM generate_series(1, 1000) i WHERE assignment('life', 'u' || i) <> assignment('life', 'u' || i, clock() - interval '90 min');
SELECT advance_clock('1 hour');
SELECT drop_experiment('life');
SELECT assignment('life', 'u1') AS dropped, assignment('life', 'u1', clock() - interval '1 min') IS NOT NULL AS past;
SELECT name FROM experiments WHERE name = 'life';
SELECT error($$SELECT stop_experiment('life')$$), error($$SELECT drop_experiment('life')$$);
SELECT drop_experiment('life', if_exists => true), drop_experiment('never', if_exists => true);
SELECT advance_clock('1 hour');
SELECT create_experiment('life', '["a", "b"]') > 0 AS again;
SELECT round(avg((assignment('life', 'u' || i) <> assignment('life', 'u' || i, clock() - interval '90 min'))::int), 1) AS drawn_afresh FROM generate_series(1, 10000) i;
SELECT epoch, state, salt, winner FROM experiment_epochs WHERE experiment = 'life' ORDER BY epoch;
-- a definition that is replaced keeps its salt, and so its people
SELECT create_experiment('life', '["a", "b"]', coverage => 0.5, or_replace => true) > 0 AS replaced;
SELECT salt, epoch, coverage FROM experiments WHERE name = 'life';
-- renamed, the past goes along
CREATE TEMP TABLE before_rename AS SELECT 'u' || i AS user_id, assignment('life', 'u' || i) AS variant FROM generate_series(1, 100) i;
SELECT alter_experiment('life', new_name => 'afterlife', description => 'renamed');
SELECT count(*) AS changed FROM before_rename WHERE assignment('afterlife', user_id) IS DISTINCT FROM variant;
SELECT count(DISTINCT assignment('afterlife', user_id, clock() - interval '150 min')) AS winner_of_the_past, description
FROM before_rename, experiments WHERE name = 'afterlife' GROUP BY description;
SELECT error($$SELECT assignment('life', 'u1')$$);

-- a change is undone with its transaction
BEGIN;
SELECT alter_experiment('delay', variants => '["x", "y"]');
SELECT DISTINCT assignment('delay', 'u' || i) IN ('x', 'y') AS new FROM generate_series(1, 10) i;
ROLLBACK;
SELECT DISTINCT assignment('delay', 'u' || i) IN ('x', 'y') AS new FROM generate_series(1, 10) i;

-- namespaces: nobody is in two experiments of one
SELECT create_namespace('checkout');
SELECT create_experiment('n1', '["a", "b"]', namespace => 'checkout', namespace_range => '{0,0.4}') > 0 AS id;
SELECT create_experiment('n2', '["a", "b"]', namespace => 'checkout', namespace_range => '{0.4,1}') > 0 AS id;
SELECT count(assignment('n1', 'u' || i)) AS n1, count(assignment('n2', 'u' || i)) AS n2,
	count(*) FILTER (WHERE assignment('n1', 'u' || i) IS NOT NULL AND assignment('n2', 'u' || i) IS NOT NULL) AS both FROM generate_series(1, 10000) i;
SELECT (srm_test(array_agg(people ORDER BY variant), '{1,1}')).p_value > 0.001 AS balanced_within FROM split('n1') WHERE variant IS NOT NULL;
SELECT DISTINCT (explain_assignment('n1', 'u' || i)).reason FROM generate_series(1, 50) i ORDER BY 1;
SELECT name, salt, taken, experiments FROM namespaces;
SELECT error($$SELECT create_experiment('n3', '["a", "b"]', namespace => 'checkout', namespace_range => '{0.9,1}')$$);
SELECT error($$SELECT create_experiment('n3', '["a", "b"]', namespace => 'checkout')$$);
SELECT error($$SELECT create_experiment('n3', '["a", "b"]', namespace => 'chekout')$$);
SELECT error($$SELECT create_experiment('n3', '["a", "b"]', namespace_range => '{0,1}')$$);
SELECT error(format('SELECT create_experiment(%L, %L, namespace => %L, namespace_range => %L)', 'n3', '["a", "b"]', 'checkout', r)) FROM (VALUES ('{0.5}'), ('{0.5,0.5}'), ('{-0.1,0.5}'), ('{0,NaN}'), ('{{0,1}}'), ('{0,NULL}')) v(r);
SELECT error($$SELECT alter_experiment('n1', namespace_range => '{0,0.5}')$$);
SELECT error($$SELECT drop_namespace('checkout')$$), error($$SELECT create_namespace('checkout', salt => 'x', or_replace => true)$$), error($$SELECT create_namespace('checkout')$$);
SELECT stop_experiment('n2');
SELECT alter_experiment('n1', namespace_range => '{0,1}');
SELECT count(assignment('n1', 'u' || i)) AS n1 FROM generate_series(1, 1000) i;
SELECT error($$SELECT start_experiment('n2')$$);
SELECT drop_experiment('n1');
SELECT drop_namespace('checkout'), drop_namespace('checkout', if_exists => true);
SELECT error($$SELECT drop_namespace('checkout')$$);
SELECT create_namespace('old', hash_version => 1);
SELECT create_experiment('gb', '["a", "b"]', hash_version => 1, namespace => 'old', namespace_range => '{0,0.3}') > 0 AS id;
SELECT count(*) AS wrong FROM generate_series(1, 2000) i, LATERAL (SELECT growthbook_experiment('{"key": "gb", "variations": ["a", "b"], "namespace": ["old", 0, 0.3]}', jsonb_build_object('attributes', jsonb_build_object('id', 'u' || i))) g) g
WHERE assignment('gb', 'u' || i) IS DISTINCT FROM CASE WHEN (g ->> 'inExperiment')::boolean THEN g ->> 'value' END;

-- holdouts: global, of a topic, of a journey
SELECT create_holdout('everything', 0.05) > 0 AND create_holdout('no_offers', 0.1, topic => 'offers') > 0 AND create_holdout('no_cart', 0.1, journey => 'cart') > 0 AS created;
SELECT held_out('u' || i, 'cart', 'offers') AS by, count(*) FROM generate_series(1, 10000) i GROUP BY 1 ORDER BY 1;
SELECT held_out('u' || i) AS by, count(*) FROM generate_series(1, 10000) i GROUP BY 1 ORDER BY 1;
SELECT held_out('u' || i, 'welcome', 'news') AS by, count(*) FROM generate_series(1, 10000) i GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE held AS SELECT 'u' || i AS user_id FROM generate_series(1, 10000) i WHERE assignment('everything', 'u' || i) = 'held';
SELECT advance_clock('1 day');
SELECT alter_holdout('everything', share => 0.1);
SELECT count(*) FILTER (WHERE user_id NOT IN (SELECT 'u' || i FROM generate_series(1, 10000) i WHERE assignment('everything', 'u' || i) = 'held')) AS let_go FROM held;
SELECT count(*) AS wrong FROM generate_series(1, 10000) i WHERE (held_out('u' || i, at => clock() - interval '1 hour') IS NOT NULL) <> (('u' || i) IN (SELECT user_id FROM held));
SELECT alter_holdout('everything', salt => 'next quarter');
SELECT count(*) FILTER (WHERE held_out(user_id) IS NOT NULL) BETWEEN 20 AND 80 AS drawn_afresh FROM held;
SELECT error($$SELECT create_holdout('h', 0)$$), error($$SELECT create_holdout('h', 1)$$), error($$SELECT create_holdout('h', 'NaN')$$), error($$SELECT create_holdout('h', NULL)$$);
SELECT error($$SELECT create_holdout('h', 0.1, journey => 'j', topic => 't')$$);
SELECT error($$SELECT alter_experiment('everything', variants => '["a", "b"]')$$);
SELECT error($$SELECT alter_holdout('copy', share => 0.1)$$), error($$SELECT create_holdout('copy', 0.1, or_replace => true)$$), error($$SELECT stop_experiment('everything', 'held')$$);
SELECT stop_experiment('everything');
SELECT held_out('u' || i) AS by, count(*) FROM generate_series(1, 1000) i GROUP BY 1 ORDER BY 1;

-- whose they are
CREATE ROLE regress_analyst;
SELECT grant_usage('regress_analyst', 'analyst');
SET ROLE regress_analyst;
SELECT trigger_engine.create_experiment('mine', '["a", "b"]') > 0 AS id;
SELECT assignment('mine', 'u1') IS NOT NULL AND assignment('copy', 'u1') IS NOT NULL AS reads_all;
SELECT trigger_engine.stop_experiment('copy');
RESET ROLE;
SELECT owner FROM experiments WHERE name = 'mine';
SELECT stop_experiment('mine');
SELECT revoke_usage('regress_analyst', 'analyst');
REVOKE USAGE ON SCHEMA trigger_engine FROM regress_analyst;
DROP ROLE regress_analyst;
