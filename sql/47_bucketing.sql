/*
 * Chance that can be recomputed: buckets, ranges, namespaces, and the evaluation of
 * GrowthBook's definitions as its SDKs do it. All pure.
 */

CREATE FUNCTION trigger_engine.bucket(seed text, value text, version int DEFAULT 2) RETURNS float8
AS 'MODULE_PATHNAME', 'te_bucket'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.bucket(text, text, int) IS
'A number in [0, 1) that depends on seed and value only. version 2 (the default): GrowthBook''s second hash, FNV-1a-32 of the decimal digits of FNV-1a-32(seed, value), 10000 buckets. version 1: its first, FNV-1a-32(value, seed), 1000 buckets; kept for compatibility: two experiments on the same people are not independent under it. version 3: MurmurHash3 x86 32 of "seed:value", 100 buckets, Unleash''s strategies (their number is bucket * 100 + 1). version 4: the same with seed 86028157 and 1000 buckets, Unleash''s variants. NULL for another version. Octets of the UTF-8 form are hashed.';

CREATE FUNCTION trigger_engine.murmur3(value text, seed bigint DEFAULT 0) RETURNS bigint
AS 'MODULE_PATHNAME', 'te_murmur3'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.murmur3(text, bigint) IS
'MurmurHash3 x86 32 (A. Appleby) of the UTF-8 octets, 0 to 2^32 - 1. Error invalid_parameter_value for a seed out of that range.';

CREATE FUNCTION trigger_engine.keyed_uniform(seed text, key text, n int DEFAULT 0) RETURNS float8
AS 'MODULE_PATHNAME', 'te_keyed_uniform'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.keyed_uniform(text, text, int) IS
'A uniform number in the open interval (0, 1) that depends on the arguments only: the first 52 bits of SHA-256(seed, octet 0, key, octet 0, n in decimal digits), plus half, divided by 2^52.';

CREATE FUNCTION trigger_engine.equal_weights(n int) RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_equal_weights'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.equal_weights(int) IS 'n times 1/n; empty for n below 1.';

CREATE FUNCTION trigger_engine.bucket_ranges(n int, coverage float8 DEFAULT 1, weights float8[] DEFAULT NULL)
RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_bucket_ranges'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.bucket_ranges(int, float8, float8[]) IS
'Ranges of buckets of n variants, {{start, end}, ...}, ends excluded, as GrowthBook has them: each holds the part coverage (clamped to [0, 1]) of a stretch as long as its weight. Weights of the wrong number or with a sum outside 0.99 to 1.01 count as equal.';

CREATE FUNCTION trigger_engine.choose_variant(bucket float8, ranges float8[]) RETURNS int
AS 'MODULE_PATHNAME', 'te_choose_variant'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.choose_variant(float8, float8[]) IS
'Number, counted from 0, of the first range that holds the bucket; -1 when none does.';

CREATE FUNCTION trigger_engine.in_namespace(user_id text, namespace text, range_start float8, range_end float8,
	version int DEFAULT 1)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_in_namespace'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.in_namespace(text, text, float8, float8, int) IS
'Whether range_start <= bucket(''__'' || namespace, user_id, version) < range_end; version 1 is GrowthBook''s.';

CREATE FUNCTION trigger_engine.bucket_shares(ranges float8[], version int DEFAULT 2) RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_bucket_shares'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.bucket_shares(float8[], int) IS
'Shares of the variants among the people who get one, exact by counting buckets; what srm_test() expects. NULL for an unknown version.';

CREATE FUNCTION trigger_engine.matches_condition(condition jsonb, attributes jsonb, groups jsonb DEFAULT '{}')
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_matches_condition'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.matches_condition(jsonb, jsonb, jsonb) IS
'Whether attributes fulfil a targeting condition in GrowthBook''s language (MongoDB''s: $and, $or, $not, $eq, $in, $regex, $elemMatch, $vgt, $inGroup and the rest), compared as JavaScript compares. groups: {"name": [values]}. An unknown operator does not hold. Error TE001 when an argument is no object.';

CREATE FUNCTION trigger_engine._hash_attribute(context jsonb, attribute text, fallback text)
RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	value text := context -> 'attributes' ->> attribute;
BEGIN
	IF coalesce(value, '') = '' AND fallback IS NOT NULL AND coalesce(context -> 'attributes' ->> fallback, '') <> '' THEN
		RETURN ARRAY[fallback, context -> 'attributes' ->> fallback];
	END IF;
	RETURN ARRAY[attribute, coalesce(value, '')];
END
$$;
COMMENT ON FUNCTION trigger_engine._hash_attribute(jsonb, text, text) IS 'Name and value of the attribute that is hashed.';

CREATE FUNCTION trigger_engine._growthbook_sticky(experiment jsonb, context jsonb)
RETURNS int
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	docs jsonb := context -> 'stickyBucketAssignmentDocs';
	fallback text := experiment ->> 'fallbackAttribute';
	key text := experiment ->> 'key';
	hash text[] := trigger_engine._hash_attribute(context, coalesce(experiment ->> 'hashAttribute', 'id'), NULL);
	other text[] := trigger_engine._hash_attribute(context, coalesce(fallback, 'id'), NULL);
	assigned jsonb;
BEGIN
	assigned := coalesce(docs #> ARRAY[other[1] || '||' || other[2], 'assignments'], '{}')
		|| coalesce(docs #> ARRAY[hash[1] || '||' || hash[2], 'assignments'], '{}');
	IF EXISTS (SELECT FROM generate_series(0, coalesce((experiment ->> 'minBucketVersion')::int, 0) - 1) v
		WHERE assigned ? (key || '__' || v)) THEN
		RETURN -2;
	END IF;
	RETURN coalesce((SELECT (m.n - 1)::int FROM jsonb_array_elements(experiment -> 'meta') WITH ORDINALITY m(item, n)
		WHERE m.item ->> 'key' = assigned ->> (key || '__' || coalesce(experiment ->> 'bucketVersion', '0'))
		ORDER BY m.n LIMIT 1), -1);
END
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_sticky(jsonb, jsonb) IS
'The stored variation; -1 when there is none, -2 when an earlier bucket version blocks the person.';

CREATE FUNCTION trigger_engine._growthbook_result(experiment jsonb, hash text[], feature text, variation int,
	hash_used boolean, bucket float8, sticky boolean)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('key', coalesce($1 #>> ARRAY['meta', n.n::text, 'key'], n.n::text),
		'featureId', $3, 'inExperiment', n.n = $4, 'hashUsed', $5, 'variationId', n.n,
		'value', $1 -> 'variations' -> n.n, 'hashAttribute', $2[1], 'hashValue', $2[2], 'stickyBucketUsed', $7)
		|| CASE WHEN $6 IS NULL THEN '{}' ELSE jsonb_build_object('bucket', $6) END
	FROM (SELECT CASE WHEN $4 >= 0 AND $4 < jsonb_array_length($1 -> 'variations') THEN $4 ELSE 0 END AS n) n
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_result(jsonb, text[], text, int, boolean, float8, boolean) IS
'The result object of an evaluation; a variation that does not exist means the first one, not in the experiment.';

CREATE FUNCTION trigger_engine._growthbook_filtered(experiment jsonb, context jsonb, hash_value text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN $1 ? 'filters' THEN EXISTS (
			SELECT FROM jsonb_array_elements($1 -> 'filters') f,
				LATERAL (SELECT (trigger_engine._hash_attribute($2, coalesce(f ->> 'attribute', 'id'), NULL))[2] AS value) h,
				LATERAL (SELECT trigger_engine.bucket(coalesce(f ->> 'seed', ''), h.value, coalesce((f ->> 'hashVersion')::int, 2)) AS bucket) b
			WHERE h.value = '' OR NOT EXISTS (SELECT FROM jsonb_array_elements(f -> 'ranges') r
				WHERE b.bucket >= (r ->> 0)::float8 AND b.bucket < (r ->> 1)::float8))
		WHEN $1 ? 'namespace' THEN NOT trigger_engine.in_namespace($3, $1 #>> '{namespace,0}',
			($1 #>> '{namespace,1}')::float8, ($1 #>> '{namespace,2}')::float8)
		ELSE false END
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_filtered(jsonb, jsonb, text) IS 'Whether filters, or else a namespace, keep the person out.';

CREATE FUNCTION trigger_engine._growthbook_run(experiment jsonb, context jsonb, feature text, seen text[])
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key text := experiment ->> 'key';
	variations int := jsonb_array_length(experiment -> 'variations');
	sticky_on boolean := context ? 'stickyBucketAssignmentDocs'
		AND NOT coalesce((experiment ->> 'disableStickyBucketing')::boolean, false);
	hash text[] := trigger_engine._hash_attribute(context, coalesce(experiment ->> 'hashAttribute', 'id'),
		CASE WHEN sticky_on THEN experiment ->> 'fallbackAttribute' END);
	nothing jsonb := trigger_engine._growthbook_result(experiment, hash, feature, -1, false, NULL, false);
	forced text := substring(split_part(split_part(context ->> 'url', '?', 2), '#', 1)
		FROM '(?:^|&)' || regexp_replace(key, '([^[:alnum:]_])', '\\\1', 'g') || '=([0-9]+)');
	sticky int := -1;
	bucket float8;
	assigned int;
BEGIN
	IF variations < 2 OR NOT coalesce((context ->> 'enabled')::boolean, true) THEN
		RETURN nothing;
	END IF;
	IF length(forced) < 9 AND forced::int < variations THEN
		RETURN trigger_engine._growthbook_result(experiment, hash, feature, forced::int, false, NULL, false);
	END IF;
	IF context -> 'forcedVariations' ? key THEN
		RETURN trigger_engine._growthbook_result(experiment, hash, feature, (context -> 'forcedVariations' ->> key)::int, false, NULL, false);
	END IF;
	IF experiment ->> 'status' = 'draft' OR NOT coalesce((experiment ->> 'active')::boolean, true) OR hash[2] = '' THEN
		RETURN nothing;
	END IF;
	IF sticky_on THEN
		sticky := trigger_engine._growthbook_sticky(experiment, context);
	END IF;
	IF sticky < 0 THEN
		IF trigger_engine._growthbook_filtered(experiment, context, hash[2])
			OR NOT trigger_engine.matches_condition(coalesce(experiment -> 'condition', '{}'),
				coalesce(context -> 'attributes', '{}'), coalesce(context -> 'savedGroups', '{}'))
			OR EXISTS (SELECT FROM jsonb_array_elements(experiment -> 'parentConditions') p,
				LATERAL (SELECT trigger_engine._growthbook_evaluate(p ->> 'id', context, seen) AS parent) f
				WHERE f.parent ->> 'source' = 'cyclicPrerequisite' OR NOT trigger_engine.matches_condition(
					coalesce(p -> 'condition', '{}'), jsonb_build_object('value', f.parent -> 'value'))) THEN
			RETURN nothing;
		END IF;
	END IF;
	bucket := trigger_engine.bucket(coalesce(nullif(experiment ->> 'seed', ''), key), hash[2],
		coalesce((experiment ->> 'hashVersion')::int, 1));
	IF bucket IS NULL OR sticky = -2 THEN
		RETURN nothing;
	END IF;
	assigned := sticky;
	IF sticky < 0 THEN
		assigned := trigger_engine.choose_variant(bucket, CASE WHEN experiment ? 'ranges'
			THEN (SELECT array_agg(ARRAY[(r ->> 0)::float8, (r ->> 1)::float8] ORDER BY n)
				FROM jsonb_array_elements(experiment -> 'ranges') WITH ORDINALITY r(r, n))
			ELSE trigger_engine.bucket_ranges(variations, coalesce((experiment ->> 'coverage')::float8, 1),
				(SELECT array_agg(w::float8 ORDER BY n) FROM jsonb_array_elements_text(experiment -> 'weights') WITH ORDINALITY w(w, n))) END);
	END IF;
	IF assigned < 0 THEN
		RETURN nothing;
	END IF;
	IF experiment ? 'force' THEN
		RETURN trigger_engine._growthbook_result(experiment, hash, feature, (experiment ->> 'force')::int, false, NULL, false);
	END IF;
	IF coalesce((context ->> 'qaMode')::boolean, false) OR experiment ->> 'status' = 'stopped' THEN
		RETURN nothing;
	END IF;
	RETURN trigger_engine._growthbook_result(experiment, hash, feature, assigned, true, bucket, sticky >= 0);
END
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_run(jsonb, jsonb, text, text[]) IS 'Behind growthbook_experiment().';

CREATE FUNCTION trigger_engine._growthbook_rollout(rule jsonb, feature text, context jsonb)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	hash text[] := trigger_engine._hash_attribute(context, coalesce(rule ->> 'hashAttribute', 'id'), rule ->> 'fallbackAttribute');
	bucket float8;
BEGIN
	IF NOT rule ? 'range' AND NOT rule ? 'coverage' THEN
		RETURN true;
	END IF;
	bucket := trigger_engine.bucket(coalesce(nullif(rule ->> 'seed', ''), feature), hash[2], coalesce((rule ->> 'hashVersion')::int, 1));
	IF hash[2] = '' OR bucket IS NULL THEN
		RETURN false;
	END IF;
	IF rule ? 'range' THEN
		RETURN bucket >= (rule #>> '{range,0}')::float8 AND bucket < (rule #>> '{range,1}')::float8;
	END IF;
	RETURN (rule ->> 'coverage')::float8 > 0 AND bucket <= (rule ->> 'coverage')::float8;
END
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_rollout(jsonb, text, jsonb) IS 'Whether the person is within the part of people that a rule is for.';

CREATE FUNCTION trigger_engine._growthbook_evaluate(feature text, context jsonb, seen text[])
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	definition jsonb := context -> 'features' -> feature;
	rule jsonb;
	parent jsonb;
	blocked boolean;
	result jsonb;
BEGIN
	IF feature = ANY (seen) THEN
		RETURN jsonb_build_object('value', NULL, 'source', 'cyclicPrerequisite');
	END IF;
	seen := seen || feature;
	IF definition IS NULL THEN
		RETURN jsonb_build_object('value', NULL, 'source', 'unknownFeature');
	END IF;
	<<rules>>
	FOR rule IN SELECT r FROM jsonb_array_elements(definition -> 'rules') WITH ORDINALITY r(r, n) ORDER BY n
	LOOP
		FOR parent IN SELECT p FROM jsonb_array_elements(rule -> 'parentConditions') p
		LOOP
			result := trigger_engine._growthbook_evaluate(parent ->> 'id', context, seen);
			IF result ->> 'source' = 'cyclicPrerequisite' THEN
				RETURN result;
			END IF;
			IF NOT trigger_engine.matches_condition(coalesce(parent -> 'condition', '{}'),
				jsonb_build_object('value', result -> 'value')) THEN
				IF coalesce((parent ->> 'gate')::boolean, false) THEN
					RETURN jsonb_build_object('value', NULL, 'source', 'prerequisite');
				END IF;
				CONTINUE rules;
			END IF;
		END LOOP;
		IF rule ? 'force' THEN
			blocked := rule ? 'filters' AND trigger_engine._growthbook_filtered(rule, context, '');
			IF NOT blocked AND trigger_engine.matches_condition(coalesce(rule -> 'condition', '{}'),
				coalesce(context -> 'attributes', '{}'), coalesce(context -> 'savedGroups', '{}'))
				AND trigger_engine._growthbook_rollout(rule, feature, context) THEN
				RETURN jsonb_build_object('value', rule -> 'force', 'source', 'force');
			END IF;
		ELSIF rule ? 'variations' THEN
			result := trigger_engine._growthbook_run(rule || jsonb_build_object('key', coalesce(rule ->> 'key', feature)), context, feature, seen);
			IF (result ->> 'inExperiment')::boolean THEN
				RETURN jsonb_build_object('value', result -> 'value', 'source', 'experiment', 'experimentResult', result,
					'rule', rule || jsonb_build_object('key', coalesce(rule ->> 'key', feature)));
			END IF;
		END IF;
	END LOOP;
	RETURN jsonb_build_object('value', definition -> 'defaultValue', 'source', 'defaultValue');
END
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_evaluate(text, jsonb, text[]) IS 'Value of a feature and where it comes from. seen: the features under evaluation.';

CREATE FUNCTION trigger_engine._growthbook_docs(context jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg((d ->> 'attributeName') || '||' || (d ->> 'attributeValue'), d), '{}')
	FROM (SELECT $1 -> 'stickyBucketAssignmentDocs' AS docs) s,
		LATERAL (SELECT value FROM jsonb_each(CASE jsonb_typeof(docs) WHEN 'object' THEN docs END)
			UNION ALL SELECT value FROM jsonb_array_elements(CASE jsonb_typeof(docs) WHEN 'array' THEN docs END)) l(d)
	WHERE jsonb_typeof(d) = 'object' AND $1 -> 'attributes' ->> (d ->> 'attributeName') = d ->> 'attributeValue'
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_docs(jsonb) IS 'Those of the context''s sticky documents that are the person''s own.';

CREATE FUNCTION trigger_engine._growthbook_experiment(invoker name, experiment jsonb, context jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trigger_engine._growthbook_run($2, $3, NULL, '{}')
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_experiment(name, jsonb, jsonb) IS 'Behind growthbook_experiment().';

CREATE FUNCTION trigger_engine.growthbook_experiment(experiment jsonb, context jsonb DEFAULT '{}')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.growthbook_experiment(jsonb, jsonb) IS
'Evaluates an experiment as GrowthBook''s SDKs do (specification 0.8.0 less URL targeting by pattern), to compare before a migration. experiment: {"key", "variations", "weights", "coverage", "namespace", "condition", ...}. context: {"attributes", "features", "forcedVariations", "savedGroups", "url", "qaMode", "enabled"}. Returns {"value", "inExperiment", "hashUsed", "variationId", "key", "hashAttribute", "hashValue", "bucket", ...}.';

CREATE FUNCTION trigger_engine._growthbook_feature(invoker name, feature text, context jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	docs jsonb := trigger_engine._growthbook_docs(context);
	result jsonb;
	rule jsonb;
	key text;
BEGIN
	IF context ? 'stickyBucketAssignmentDocs' THEN
		context := context || jsonb_build_object('stickyBucketAssignmentDocs', docs);
	END IF;
	result := trigger_engine._growthbook_evaluate(feature, context, '{}');
	rule := result -> 'rule';
	IF context ? 'stickyBucketAssignmentDocs' THEN
		IF rule IS NOT NULL AND NOT coalesce((rule ->> 'disableStickyBucketing')::boolean, false)
			AND (result #>> '{experimentResult,hashUsed}')::boolean THEN
			key := (result #>> '{experimentResult,hashAttribute}') || '||' || (result #>> '{experimentResult,hashValue}');
			docs := docs || jsonb_build_object(key, jsonb_build_object(
				'attributeName', result #> '{experimentResult,hashAttribute}',
				'attributeValue', result #> '{experimentResult,hashValue}',
				'assignments', coalesce(docs #> ARRAY[key, 'assignments'], '{}') || jsonb_build_object(
					(rule ->> 'key') || '__' || coalesce(rule ->> 'bucketVersion', '0'), result #> '{experimentResult,key}')));
		END IF;
		result := result || jsonb_build_object('stickyBucketAssignmentDocs', docs);
	END IF;
	RETURN result - 'rule';
END
$$;
COMMENT ON FUNCTION trigger_engine._growthbook_feature(name, text, jsonb) IS 'Adds the sticky documents to the evaluation.';

CREATE FUNCTION trigger_engine.growthbook_feature(feature text, context jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.growthbook_feature(text, jsonb) IS
'Evaluates a feature of context ("features") as GrowthBook''s SDKs do: {"value", "source", "experimentResult"}. With "stickyBucketAssignmentDocs" in the context (documents in an array or an object) sticky bucketing is on, and the result has the person''s documents as they are afterwards.';
