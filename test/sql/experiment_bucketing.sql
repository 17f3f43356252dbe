-- Buckets, ranges, namespaces, conditions; GrowthBook's evaluation.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'

-- hashes: GrowthBook's cases, Unleash's values, published values of MurmurHash3
SELECT seed, value, version, bucket(seed, value, version), expected FROM (VALUES
	('', 'a', 1, 0.22), ('b', 'a', 1, 0.946), ('', '___)((*":&', 1, 0.563),
	('seed', 'a', 2, 0.0505), ('foo', 'ab', 2, 0.2575), ('90850943850283058242805', '123', 2, 0.7516), ('abc', 'def', 99, NULL)
) v(seed, value, version, expected);
SELECT bucket('seed', 'a') = bucket('seed', 'a', 2) AS version_2_is_the_default;
SELECT round(bucket('gr1', '123', 3) * 100) + 1 AS "73", round(bucket('groupX', '999', 3) * 100) + 1 AS "25";
SELECT murmur3(''), murmur3('', 1), murmur3('', 4294967295), to_hex(murmur3('test')), to_hex(murmur3('Hello, world!', 1234)),
	to_hex(murmur3('The quick brown fox jumps over the lazy dog', 2538058380));
SELECT error($$SELECT murmur3('', -1)$$), error($$SELECT murmur3('', 4294967296)$$);
SELECT bucket(NULL, 'a', 2), bucket('a', NULL, 2);
-- octets of UTF-8 are hashed: FNV-1a of "ä" is that of C3 A4
SELECT bucket('', 'ä', 1) = ((((2166136261 # 195) * 16777619) % 4294967296 # 164) * 16777619 % 4294967296 % 1000)::float8 / 1000 AS octets;

-- uniform numbers: as the comment says, and uniform
SELECT abs(keyed_uniform('s', 'k', 7) - (('x' || left(encode(sha256('s'::bytea || '\x00' || 'k'::bytea || '\x00' || '7'::bytea), 'hex'), 13))::bit(52)::bigint + 0.5) / 2 ^ 52) < 1e-15 AS as_documented;
SELECT keyed_uniform('s', 'k') = keyed_uniform('s', 'k', 0) AS n_is_0, keyed_uniform('s', 'k', 1) <> keyed_uniform('s', 'k', 2) AS depends_on_n,
	keyed_uniform('ab', 'c') <> keyed_uniform('a', 'bc') AS parts_are_apart;
SELECT (srm_test(array_agg(n ORDER BY b), array_agg(1::float8))).p_value > 0.001 AS uniform
FROM (SELECT floor(keyed_uniform('u', i::text) * 100) b, count(*) n FROM generate_series(1, 100000) i GROUP BY 1) h;

-- ranges and choice
SELECT bucket_ranges(2), bucket_ranges(2, 0.5), bucket_ranges(3, 0.2, '{0.2,0.3,0.5}'), bucket_ranges(0), bucket_ranges(NULL);
SELECT bucket_ranges(2, -1) AS below, bucket_ranges(2, 7) AS above, bucket_ranges(2, 1, '{0.7,0.6}') AS sum, bucket_ranges(4, 1, '{0.4,0.4,0.2}') AS count;
SELECT choose_variant(0, '{{0,0.5},{0.5,1}}'), choose_variant(0.5, '{{0,0.5},{0.5,1}}'), choose_variant(0.25, '{{0,0.25},{0.5,0.75}}'),
	choose_variant(0.5, '{{0,0.5},{0.5,0.5},{0.5,1}}'), choose_variant(0.5, '{}');
SELECT error($$SELECT choose_variant(0.5, '{0,0.5}')$$), error($$SELECT choose_variant(0.5, '{{0,NULL}}')$$);
SELECT error($$SELECT bucket_ranges(2, 'NaN')$$), error($$SELECT bucket_ranges(2, 1, '{NaN,1}')$$), error($$SELECT bucket_ranges(201)$$);
SELECT equal_weights(-1), equal_weights(0), equal_weights(4);
SELECT in_namespace('1', 'namespace1', 0, 0.4), in_namespace('1', 'namespace1', 0.4, 1), in_namespace('3', 'namespace2', 0, 0.4);
SELECT bucket_shares('{{0,0.33333},{0.33333,0.66667},{0.66667,1}}'), bucket_shares('{{0,0.1},{0.5,0.7}}', 3), bucket_shares('{{0,1}}', 9);

-- raising coverage moves nobody
SELECT count(*) FILTER (WHERE a >= 0) AS in_at_20, count(*) FILTER (WHERE b >= 0) AS in_at_70, count(*) FILTER (WHERE a >= 0 AND a <> b) AS moved
FROM generate_series(1, 20000) i, LATERAL (SELECT choose_variant(bucket('e', i::text), bucket_ranges(3, 0.2)) a, choose_variant(bucket('e', i::text), bucket_ranges(3, 0.7)) b) c;

-- two experiments on the same people: independent under version 2, by no means under version 1
SELECT version, counts, (independence_test(counts)).p_value < 1e-6 AS dependent
FROM (SELECT version, ARRAY[ARRAY[count(*) FILTER (WHERE NOT a AND NOT b), count(*) FILTER (WHERE NOT a AND b)],
		ARRAY[count(*) FILTER (WHERE a AND NOT b), count(*) FILTER (WHERE a AND b)]] AS counts
	FROM generate_series(1, 100000) i, generate_series(1, 2) version,
		LATERAL (SELECT bucket('exp-one', 'user' || i, version) >= 0.5 a, bucket('exp-two', 'user' || i, version) >= 0.5 b) c
	GROUP BY version) t ORDER BY version;
-- all 45 pairs of ten experiments, and each of them with its namespace: p-values as of nothing
WITH arms AS (SELECT i, e, bucket('experiment ' || e, 'u' || i) >= 0.5 AS arm FROM generate_series(1, 20000) i, generate_series(1, 10) e),
	pairs AS (SELECT a.e AS x, b.e AS y, (independence_test(ARRAY[ARRAY[count(*) FILTER (WHERE NOT a.arm AND NOT b.arm), count(*) FILTER (WHERE NOT a.arm AND b.arm)],
		ARRAY[count(*) FILTER (WHERE a.arm AND NOT b.arm), count(*) FILTER (WHERE a.arm AND b.arm)]])).p_value AS p
		FROM arms a JOIN arms b ON a.i = b.i AND a.e < b.e GROUP BY 1, 2)
SELECT count(*), count(*) FILTER (WHERE p < 0.05) BETWEEN 0 AND 6 AS few_below_05, min(p) > 0.05 / 45 / 5 AS none_by_far FROM pairs;
WITH c AS (SELECT bucket('__layer', 'u' || i) < 0.5 AS layer, bucket('layer', 'u' || i) < 0.5 AS arm FROM generate_series(1, 50000) i)
SELECT (independence_test(ARRAY[ARRAY[count(*) FILTER (WHERE layer AND arm), count(*) FILTER (WHERE layer AND NOT arm)],
	ARRAY[count(*) FILTER (WHERE NOT layer AND arm), count(*) FILTER (WHERE NOT layer AND NOT arm)]])).p_value > 0.001 AS independent FROM c;

-- conditions
SELECT n, matches_condition(condition, attributes, '{"g": [1, "2"]}') AS holds FROM (VALUES
	(1, '{}', '{}'), (2, '{"a": "x"}', '{"a": "x"}'), (3, '{"a": "x"}', '{}'), (4, '{"a": null}', '{}'), (5, '{"a": 0}', '{}'),
	(6, '{"a.b.1": 7}', '{"a": {"b": [6, 7]}}'), (7, '{"a": {"$gt": 5, "$lt": 10}}', '{"a": "8"}'), (8, '{"a": {"$gt": 5}}', '{"a": "x"}'),
	(9, '{"a": {"$in": ["x", 1]}}', '{"a": ["y", 1]}'), (10, '{"a": {"$nin": ["x"]}}', '{}'), (11, '{"a": {"$ini": ["X"]}}', '{"a": "x"}'),
	(12, '{"a": {"$regex": "^b+$"}}', '{"a": "bbb"}'), (13, '{"a": {"$regex": "["}}', '{"a": "["}'), (14, '{"a": {"$regexi": "^B"}}', '{"a": "bc"}'),
	(15, '{"$or": [{"a": 1}, {"b": 2}]}', '{"b": 2}'), (16, '{"$nor": [{"a": 1}, {"b": 2}]}', '{"b": 2}'), (17, '{"$not": {"a": 1}}', '{"a": 2}'),
	(18, '{"a": {"$elemMatch": {"b": {"$gte": 2}}}}', '{"a": [{"b": 1}, {"b": 2}]}'), (19, '{"a": {"$all": [1, 2]}}', '{"a": [2, 1, 3]}'),
	(20, '{"a": {"$size": {"$gt": 1}}}', '{"a": [0, 1]}'), (21, '{"a": {"$type": "array"}}', '{"a": []}'), (22, '{"a": {"$exists": false}}', '{"a": null}'),
	(23, '{"v": {"$vgt": "1.9.0", "$vlte": "v1.10.0"}}', '{"v": "1.10.0+build"}'), (24, '{"v": {"$vlt": "1.0.0"}}', '{"v": "1.0.0-rc.1"}'),
	(25, '{"a": {"$inGroup": "g"}}', '{"a": 1}'), (26, '{"a": {"$inGroup": "g"}}', '{"a": 2}'), (27, '{"a": {"$notInGroup": "h"}}', '{"a": 2}'),
	(28, '{"a": {"$gtx": 1}}', '{"a": 2}'), (29, '{"a": {"b": 1}}', '{"a": {"b": 1}}'), (30, '{"a": {"b": 1}}', '{"a": {"b": 1, "c": 2}}')
) v(n, c, a), LATERAL (SELECT c::jsonb AS condition, a::jsonb AS attributes) j ORDER BY n;
SELECT error($$SELECT matches_condition('[]', '{}')$$);

-- an experiment, a feature, a sticky bucket of GrowthBook
SELECT growthbook_experiment('{"key": "my-test", "variations": [0, 1]}', '{"attributes": {"id": "1"}}');
SELECT growthbook_experiment('{"key": "my-test", "variations": [0, 1], "coverage": 0.4}', '{"attributes": {"id": "1"}}') -> 'inExperiment' AS covered;
SELECT growthbook_experiment('{"key": "a.b", "variations": [0, 1]}', '{"attributes": {"id": "1"}, "url": "http://x/?a.b=1&axb=0"}') ->> 'value' AS by_url;
SELECT growthbook_feature('f', '{"attributes": {"id": "1"}, "features": {"f": {"defaultValue": "d", "rules": [{"condition": {"beta": true}, "force": "b"}, {"coverage": 0, "force": "c"}]}}}');
SELECT growthbook_feature('f', '{"attributes": {"id": "1"}, "features": {"f": {"rules": [{"parentConditions": [{"id": "f", "condition": {}}], "force": 1}]}}}') ->> 'source' AS cyclic;
SELECT growthbook_feature('f', '{"attributes": {"id": "i1"}, "features": {"f": {"rules": [{"key": "e", "variations": ["x", "y"], "meta": [{"key": "0"}, {"key": "1"}]}]}},
	"stickyBucketAssignmentDocs": [{"attributeName": "id", "attributeValue": "i1", "assignments": {"e__0": "1"}}, {"attributeName": "id", "attributeValue": "i2", "assignments": {"e__0": "0"}}]}');
