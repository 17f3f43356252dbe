-- Clusters: best sums of squares known, the same clusters in any order of rows, silhouettes, and bad input.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP TABLE IF EXISTS iris, wholesale, points, shuffled CASCADE;
RESET client_min_messages;
CREATE TABLE iris (sepal_length float8, sepal_width float8, petal_length float8, petal_width float8, species text);
\copy iris FROM PROGRAM 'gzip -dc test/data/iris/iris.csv.gz' CSV HEADER
CREATE TABLE wholesale (channel int, region int, fresh float8, milk float8, grocery float8, frozen float8, detergents_paper float8, delicassen float8);
\copy wholesale FROM PROGRAM 'gzip -dc test/data/wholesale_customers/customers.csv.gz' CSV HEADER
CREATE VIEW flowers AS SELECT sepal_length, sepal_width, petal_length, petal_width FROM iris;
CREATE VIEW logs AS SELECT ln(1 + fresh) AS fresh, ln(1 + milk) AS milk, ln(1 + grocery) AS grocery, ln(1 + frozen) AS frozen,
	ln(1 + detergents_paper) AS detergents_paper, ln(1 + delicassen) AS delicassen FROM wholesale;
\set ECHO all
\pset null '-'

-- the least inertia known is 152.348, 78.8514 and 57.2285; 2763.439 of the logarithms of spend
SELECT k, round((fit_kmeans('SELECT * FROM flowers', k) ->> 'inertia')::numeric, 4) FROM generate_series(2, 4) k;
SELECT (fit_kmeans('SELECT * FROM logs', 3) ->> 'inertia')::float8 BETWEEN 2763.4389 AND 2763.439 * 1.001 AS within;
SELECT round(min((fit_kmeans('SELECT * FROM logs', 3, seed => s) ->> 'inertia')::numeric), 3) AS least, max((fit_kmeans('SELECT * FROM logs', 3, seed => s) ->> 'inertia')::float8) < 2763.439 * 1.001 AS all_within FROM generate_series(1, 20) s;
-- what the clusters are
SELECT jsonb_pretty(jsonb_set(jsonb_strip_nulls(fit_kmeans('SELECT round(petal_length) AS l, round(petal_width) AS w FROM iris', 2) - 'inertia' - 'silhouette' - 'iterations'), '{clusters}', '[]'));
SELECT c -> 'cluster' AS cluster, c -> 'size' AS size, round((c ->> 'inertia')::numeric, 3) AS inertia, round((c #>> '{center,sepal_length}')::numeric, 3) AS sepal_length, round((c #>> '{center,petal_width}')::numeric, 3) AS petal_width
FROM jsonb_array_elements(fit_kmeans('SELECT * FROM iris', 3) -> 'clusters') c;
-- of each row: the sum of squared distances is the inertia
SELECT cluster, count(*), round(sum(distance ^ 2)::numeric, 4) AS inertia FROM kmeans('SELECT * FROM flowers', 3) GROUP BY 1 ORDER BY 1;
SELECT count(DISTINCT key), min(key::int), max(key::int), round(sum(distance ^ 2)::numeric, 4) AS inertia FROM kmeans('SELECT * FROM flowers', 3);
-- standardized: of the numbers of scikit-learn 1.2 with StandardScaler and MinMaxScaler, 20 restarts
SELECT round((fit_kmeans('SELECT * FROM flowers', 3, standardize => 'zscore', restarts => 20) ->> 'inertia')::numeric, 4) AS zscore,
	round((fit_kmeans('SELECT * FROM flowers', 3, standardize => 'range', restarts => 20) ->> 'inertia')::numeric, 4) AS range;
-- moving or stretching all columns the same changes nothing but the units
SELECT round((fit_kmeans('SELECT sepal_length * 1000 + 1e9 AS a, sepal_width * 1000 - 1e9 AS b, petal_length * 1000 AS c, petal_width * 1000 AS d FROM iris', 3) ->> 'inertia')::numeric / 1000000, 4) AS inertia;
SELECT round((fit_kmeans('SELECT sepal_length * 1000 + 7 AS a, sepal_width / 99 AS b, petal_length, petal_width FROM iris', 3, standardize => 'zscore', restarts => 20) ->> 'inertia')::numeric, 4) AS zscore;

-- the key: user_id, id, the only column without numbers, or the one that is named
SELECT * FROM kmeans('SELECT 1 AS x, ''ann'' AS who UNION ALL SELECT 9, ''bob''', 2);
SELECT * FROM kmeans('SELECT 7 AS id, 1 AS x UNION ALL SELECT 5, 9 UNION ALL SELECT 4, 9', 2);
SELECT * FROM kmeans('SELECT 7 AS n, true AS x UNION ALL SELECT 5, false', 2, key_column => 'N');
SELECT * FROM kmeans('SELECT 1.5::numeric AS x, 2::smallint AS y, 3::real AS z', 1);

-- deterministic: for a seed the same clusters in any physical order of the rows, and another seed may differ
CREATE TABLE points AS SELECT i AS id, (hashint4(i) % 1000) / 100.0 AS x, (hashint4(i + 7777) % 1000) / 100.0 AS y, (i % 3)::float8 AS z FROM generate_series(1, 3000) i;
CREATE TABLE shuffled AS SELECT * FROM points ORDER BY md5(id::text);
SELECT count(*) AS rows, bool_and(a.cluster = b.cluster AND a.distance = b.distance) AS same FROM kmeans('SELECT * FROM points', 7, seed => 42) a JOIN kmeans('SELECT * FROM shuffled', 7, seed => 42) b USING (key);
SELECT fit_kmeans('SELECT * FROM points', 7, restarts => 3) = fit_kmeans('SELECT * FROM shuffled', 7, restarts => 3) AS same,
	fit_kmeans('SELECT * FROM points', 7, options => '{"method": "mini_batch"}') = fit_kmeans('SELECT * FROM shuffled', 7, options => '{"method": "mini_batch"}') AS same_batches,
	fit_kmeans('SELECT * FROM points', 7, restarts => 1) -> 'inertia' <> fit_kmeans('SELECT * FROM points', 7, seed => 2, restarts => 1) -> 'inertia' AS other_seed;
-- rows that repeat weigh as often
SELECT (fit_kmeans('SELECT * FROM points UNION ALL SELECT * FROM points', 7) ->> 'inertia')::float8 / (fit_kmeans('SELECT * FROM points', 7) ->> 'inertia')::float8 BETWEEN 1.99999 AND 2.00001 AS twice;
SELECT r ->> 'rows' AS rows, r ->> 'distinct_rows' AS distinct_rows, c -> 'size' AS size, c -> 'center' AS center FROM fit_kmeans('SELECT (i % 5 = 0)::int AS x FROM generate_series(1, 1000) i', 2) r, jsonb_array_elements(r -> 'clusters') c;
-- a result is an end: no row is nearer to another centre, and every centre is the mean of its rows
WITH m AS MATERIALIZED (SELECT fit_kmeans('SELECT * FROM points', 7) AS model), a AS (SELECT key::int AS id, cluster FROM kmeans('SELECT * FROM points', 7))
SELECT bool_and(assign_cluster(model, to_jsonb(p)) = cluster) AS nearest FROM m, a JOIN points p USING (id);
WITH m AS (SELECT fit_kmeans('SELECT * FROM points', 7, standardize => 'zscore') AS model), a AS (SELECT key::int AS id, cluster FROM kmeans('SELECT * FROM points', 7, standardize => 'zscore'))
SELECT count(*), bool_and(abs((c #>> '{center,x}')::float8 - x) < 1e-9 AND abs((c #>> '{center,z}')::float8 - z) < 1e-9 AND (c ->> 'size')::int = n) AS means
FROM (SELECT cluster, avg(x) AS x, avg(z) AS z, count(*) AS n FROM a JOIN points p USING (id) GROUP BY 1) g JOIN m ON true CROSS JOIN jsonb_array_elements(model -> 'clusters') c WHERE (c ->> 'cluster')::int = cluster;
-- mini-batches come near
SELECT (fit_kmeans('SELECT * FROM points', 7, options => '{"method": "mini_batch", "batch": 200}') ->> 'inertia')::float8 / (fit_kmeans('SELECT * FROM points', 7) ->> 'inertia')::float8 BETWEEN 1 AND 1.1 AS near;

-- silhouettes of nine wines against two centres, published with 4 digits in the tests of Apache MADlib
SELECT pid, round(simple_silhouette(p, '{{1,1,1,1,1,1,1,1,1,1,1,1,1},{14.23,1.71,2.43,15.6,127,2.8,3.06,0.28,2.29,5.64,1.04,3.92,1065}}')::numeric, 4) AS silhouette, published
FROM (VALUES (1, '{14.23,1.71,2.43,15.6,127,2.8,3.06,0.28,2.29,5.64,1.04,3.92,1065}'::float8[], 1), (2, '{13.2,1.78,2.14,11.2,1,2.65,2.76,0.26,1.28,4.38,1.05,3.49,1050}', .8789),
	(3, '{13.16,2.36,2.67,18.6,101,2.8,3.24,0.3,2.81,5.6799,1.03,3.17,1185}', .8966), (4, '{14.37,1.95,2.5,16.8,113,3.85,3.49,0.24,2.18,7.8,0.86,3.45,1480}', .7200),
	(5, '{13.24,2.59,2.87,21,118,2.8,2.69,0.39,1.82,4.32,1.04,2.93,735}', .5560), (6, '{14.2,1.76,2.45,15.2,112,3.27,3.39,0.34,1.97,6.75,1.05,2.85,1450}', .7348),
	(7, '{14.39,1.87,2.45,14.6,96,2.5,2.52,0.3,1.98,5.25,1.02,3.58,1290}', .8242), (8, '{14.06,2.15,2.61,17.6,121,2.6,2.51,0.31,1.25,5.05,1.06,3.58,1295}', .8229),
	(9, '{14.83,1.64,2.17,14,97,2.8,2.98,0.29,1.98,5.2,1.08,2.85,1045}', .9655)) v(pid, p, published);
SELECT abs(avg(simple_silhouette(ARRAY[x, y], centers)) - (model ->> 'silhouette')::float8) < 1e-12 AS mean_of_all
FROM points, (SELECT model, array_agg(ARRAY[(c #>> '{center,x}')::float8, (c #>> '{center,y}')::float8]) AS centers FROM fit_kmeans('SELECT x, y FROM points', 4) model, jsonb_array_elements(model -> 'clusters') c GROUP BY 1) m GROUP BY model;
-- choice of k
SELECT k, round(inertia::numeric, 3) AS inertia, round(silhouette::numeric, 4) AS silhouette, chosen FROM choose_k('SELECT * FROM flowers', 1, 5);
SELECT fit_kmeans('SELECT * FROM flowers') -> 'k' AS k, (SELECT count(DISTINCT cluster) FROM kmeans('SELECT * FROM flowers')) AS clusters, fit_kmeans('SELECT * FROM flowers', options => '{"k_min": 3, "k_max": 4}') -> 'k' AS from_three;
SELECT fit_kmeans('SELECT (i % 4) * 10 + (i % 7) / 10.0 AS x, (i % 4) * -10 AS y FROM generate_series(1, 200) i') -> 'k' AS four_heaps;
SELECT * FROM choose_k('SELECT x FROM (VALUES (1), (2), (9)) v(x)');

-- models
SELECT fit_kmeans('SELECT * FROM flowers', 3, save_as => 'flowers') AS fitted \gset
SELECT model_parameters('flowers') = :'fitted' AS stored, assign_cluster(:'fitted', '{"sepal_length": 5, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": 0.2}') AS setosa,
	assign_cluster(:'fitted', '{"sepal_length": 5, "sepal_width": 3.4, "petal_length": 1.5}') AS incomplete, assign_cluster(:'fitted', '{"sepal_length": 5, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": null}') AS incomplete_too;

-- edges
SELECT r -> 'inertia' AS inertia, r -> 'silhouette' AS silhouette, r #> '{clusters,0,size}' AS size FROM fit_kmeans('SELECT 5 AS x FROM generate_series(1, 10)') r;
SELECT r -> 'inertia' AS inertia, r -> 'k' AS k FROM fit_kmeans('SELECT * FROM (VALUES (1), (2)) v(x)') r;
SELECT r -> 'inertia' AS inertia, jsonb_array_length(r -> 'clusters') AS clusters FROM fit_kmeans('SELECT i AS x FROM generate_series(1, 50) i', 50) r;
SELECT r -> 'scale' AS scale FROM fit_kmeans('SELECT 5 AS same, i AS x FROM generate_series(0, 1) i', 2, standardize => 'zscore') r;
SELECT count(DISTINCT cluster) FROM kmeans('SELECT -0.0::float8 AS x UNION ALL SELECT 0.0::float8', 1);
SELECT error($$SELECT fit_kmeans('SELECT 1 AS x WHERE false', 1)$$);
SELECT error($$SELECT fit_kmeans('SELECT 1 AS x', 2)$$);
SELECT error($$SELECT fit_kmeans('SELECT -0.0::float8 AS x UNION ALL SELECT 0.0::float8', 2)$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 0)$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 3, restarts => 0)$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 3, seed => NULL)$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 3, standardize => 'z')$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 3, options => '{"methode": "lloyd"}')$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 3, options => '{"method": "elkan"}')$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', 3, options => '{"max_iterations": 1.5}')$$);
SELECT error($$SELECT fit_kmeans('SELECT * FROM flowers', key_column => 'name')$$);
SELECT error($$SELECT fit_kmeans('SELECT 1 AS x, NULL::int AS y', 1)$$);
SELECT error($$SELECT fit_kmeans('SELECT 1 AS x, ''NaN''::float8 AS y', 1)$$);
SELECT error($$SELECT fit_kmeans('SELECT 1 AS x, ''-Infinity''::float8 AS y', 1)$$);
SELECT error($$SELECT fit_kmeans('SELECT 1 AS x, 1e300 AS y', 1)$$);
SELECT error($$SELECT fit_kmeans('SELECT ''a'' AS one, ''b'' AS two, 3 AS x', 1)$$);
SELECT error($$SELECT fit_kmeans('SELECT ''a'' AS one', 1)$$);
SELECT error($$SELECT * FROM kmeans('SELECT NULL::text AS user_id, 3 AS x', 1)$$);
SELECT error($$SELECT * FROM kmeans('DELETE FROM iris RETURNING 1', 1)$$);
SELECT error($$SELECT kmeans(NULL, 1)$$);
SELECT error($$SELECT * FROM choose_k('SELECT * FROM flowers', 5, 4)$$);
SELECT error($$SELECT assign_cluster('{"model": "bg_nbd"}', '{}')$$);
SELECT error($$SELECT assign_cluster('{"model": "kmeans", "columns": ["x"], "scale": ["y"], "clusters": []}', '{}')$$);
SELECT error($$SELECT simple_silhouette('{1,2}', '{1,2}')$$);
SELECT error($$SELECT simple_silhouette('{1,NULL}', '{{1,2},{1,2}}')$$);
-- a long one can be cancelled
SET statement_timeout = '300ms';
SELECT fit_kmeans('SELECT * FROM flowers', 12, restarts => 100000);
SELECT fit_kmeans('SELECT x, y FROM points', 40, restarts => 100000);
RESET statement_timeout;
SET client_min_messages = warning;
DROP TABLE iris, wholesale, points, shuffled CASCADE;
