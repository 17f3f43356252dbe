/*
 * Clusters: k-means over the numeric columns of a query.
 */

CREATE FUNCTION trigger_engine.kmeans(query text, k integer DEFAULT NULL, seed bigint DEFAULT 1, restarts integer DEFAULT 10,
	standardize text DEFAULT 'none', key_column text DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (key text, cluster integer, distance double precision)
AS 'MODULE_PATHNAME', 'te_kmeans'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.kmeans(text, integer, bigint, integer, text, text, jsonb) IS
'Divides the rows of a query into k clusters with the least sum of squared distances. query: one column may be the key (named by key_column, else user_id or id, else the only one that is no number; without one rows are numbered as they come), all others are numbers; it runs with the caller''s rights. k: NULL chooses from k_min to k_max, as choose_k(). seed: the same seed gives the same clusters for the same rows in any order (and any server of one major version). restarts: the best of so many beginnings counts. standardize: none, zscore (mean 0, standard deviation 1), range (width 1). options: method lloyd or mini_batch, max_iterations (300), tolerance (stop when the centres move by less, in mean variances; 0 up to 100,000 distinct rows, else 1e-4), batch (1024), k_min (2), k_max (10). Returns for each row its cluster, numbered from the largest, and its distance to the centre in standardized units: the sum of their squares is the inertia. Method: k-means++ seeding with several draws a centre (Arthur & Vassilvitskii 2007), Lloyd''s iterations with Hamerly''s bounds (2010), Hartigan''s exchanges (1975) on small data; with more than 100,000 distinct rows beginnings are tried with a sample. Keeps 8 bytes a number in memory. Errors: a NULL, NaN or infinite value, k greater than the number of distinct rows.';

CREATE FUNCTION trigger_engine.fit_kmeans(query text, k integer DEFAULT NULL, seed bigint DEFAULT 1, restarts integer DEFAULT 10,
	standardize text DEFAULT 'none', save_as text DEFAULT NULL, key_column text DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_fit_kmeans'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.fit_kmeans(text, integer, bigint, integer, text, text, text, jsonb) IS
'The clusters that kmeans() finds with the same arguments, described: k, rows, distinct_rows, inertia, silhouette (mean simplified silhouette, -1 to 1, NULL for one cluster: Hruschka, Campello & de Castro 2004), iterations, columns, scale, and clusters with their size, inertia and center in the units of the query. save_as: stores it as a version of the model of that name, for assign_cluster().';

CREATE FUNCTION trigger_engine.choose_k(query text, k_min integer DEFAULT 2, k_max integer DEFAULT 10, seed bigint DEFAULT 1,
	restarts integer DEFAULT 10, standardize text DEFAULT 'none', key_column text DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (k integer, inertia double precision, silhouette double precision, chosen boolean)
AS 'MODULE_PATHNAME', 'te_choose_k'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.choose_k(text, integer, integer, bigint, integer, text, text, jsonb) IS
'What different numbers of clusters come to: inertia, which always falls, and the mean simplified silhouette; chosen is the k with the greatest. Arguments as of kmeans(). k goes up to the number of distinct rows at most.';

CREATE FUNCTION trigger_engine.assign_cluster(model jsonb, features jsonb)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_assign_cluster'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.assign_cluster(jsonb, jsonb) IS
'The cluster whose centre is nearest to the features, a JSON object with the columns of the query that the model was fitted to; NULL when one is missing or null. model: what fit_kmeans() returned.';

CREATE FUNCTION trigger_engine.simple_silhouette(point double precision[], centers double precision[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_simple_silhouette'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.simple_silhouette(double precision[], double precision[]) IS
'Simplified silhouette of a point, 0 to 1: (b - a) / b with its distances to the nearest and the second nearest of the centres, an array of arrays (Hruschka, Campello & de Castro 2004).';

CREATE FUNCTION trigger_engine.segment_clusters(model text, schema regnamespace, prefix text DEFAULT NULL)
RETURNS TABLE (segment text, view regclass, size bigint, description text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	v record;
	cluster jsonb;
	-- to_jsonb() of a row of the query has what the clusters were made of
	body CONSTANT text := 'SELECT q.%I AS user_id FROM (%s) q, (SELECT trigger_engine.model_parameters(%L, %s) AS p OFFSET 0) m'
		' WHERE trigger_engine.assign_cluster(m.p, to_jsonb(q)) = %s';
	key text;
BEGIN
	SELECT m.*, o.owner INTO v FROM trigger_engine.model_versions m JOIN trigger_engine.models o USING (name) WHERE m.name = model AND m.in_use;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'model "%" does not exist', model USING ERRCODE = 'undefined_object';
	ELSIF v.kind <> 'kmeans' THEN
		RAISE EXCEPTION 'model "%" is of kind %', model, v.kind USING ERRCODE = 'wrong_object_type',
			HINT = 'Fit one with trigger_engine.fit_kmeans(query, save_as => name).';
	ELSIF v.owner <> current_user THEN
		RAISE EXCEPTION 'model "%" belongs to %', model, v.owner USING ERRCODE = 'insufficient_privilege',
			HINT = 'Its query would run with your rights: only its owner may do this.';
	END IF;
	key := coalesce(v.options ->> 'key_column', 'user_id');
	PERFORM set_config('search_path', v.search_path, true);
	FOR cluster IN SELECT jsonb_array_elements(v.parameters -> 'clusters')
	LOOP
		segment := format('%s_%s', coalesce(prefix, model), cluster ->> 'cluster');
		description := format('cluster %s of %s in version %s of model "%s": %s', cluster ->> 'cluster', v.parameters ->> 'k', v.version, model,
			(SELECT string_agg(format('%s %s', c.key, round(c.value::numeric, 3)), ', ' ORDER BY c.key) FROM jsonb_each_text(cluster -> 'center') c));
		EXECUTE format('CREATE OR REPLACE VIEW %s.%I AS ' || body, schema, segment, key, v.query, model, v.version, cluster ->> 'cluster');
		EXECUTE format('COMMENT ON VIEW %s.%I IS %L', schema, segment, description);
		view := format('%s.%I', schema, segment)::regclass;
		size := (cluster ->> 'size')::bigint;
		PERFORM trigger_engine.create_segment(segment, view, description => description)
		WHERE NOT EXISTS (SELECT FROM trigger_engine.segments s WHERE s.name = segment);
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine.segment_clusters(text, regnamespace, text) IS
'Makes each cluster of a model that fit_kmeans() saved a view in a schema and a segment, named prefix (NULL = the model) and the number of the cluster, with its centre as description: people are in the cluster whose centre is nearest to them now. The version in use is kept: call it again after retrain_model(). The views are the caller''s, who needs CREATE on the schema. Returns them with the size each cluster had. Errors: undefined_object, a model of another kind or of somebody else; what the model''s query throws.';

CREATE FUNCTION trigger_engine.cluster_drift(model text)
RETURNS TABLE (cluster integer, share_then double precision, share_now double precision, distance_then double precision,
	distance_now double precision, stability_index double precision)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	v record;
BEGIN
	SELECT m.*, o.owner INTO v FROM trigger_engine.model_versions m JOIN trigger_engine.models o USING (name) WHERE m.name = model AND m.in_use;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'model "%" does not exist', model USING ERRCODE = 'undefined_object';
	ELSIF v.kind <> 'kmeans' THEN
		RAISE EXCEPTION 'model "%" is of kind %', model, v.kind USING ERRCODE = 'wrong_object_type';
	ELSIF v.owner <> current_user THEN
		RAISE EXCEPTION 'model "%" belongs to %', model, v.owner USING ERRCODE = 'insufficient_privilege',
			HINT = 'Its query would run with your rights: only its owner may do this.';
	END IF;
	PERFORM set_config('search_path', v.search_path, true);
	RETURN QUERY EXECUTE format($q$
		WITH scale AS (SELECT c.name, s.value::float8 AS scale FROM jsonb_array_elements_text($1 -> 'columns') WITH ORDINALITY c(name, n)
			JOIN jsonb_array_elements_text($1 -> 'scale') WITH ORDINALITY s(value, n) USING (n)
		), now AS (
			SELECT a.cluster, count(*) AS n, avg(d.distance) AS distance
			FROM (SELECT to_jsonb(q) AS f FROM (%s) q) r
			CROSS JOIN LATERAL (SELECT trigger_engine.assign_cluster($1, r.f) AS cluster) a
			JOIN jsonb_array_elements($1 -> 'clusters') c ON (c ->> 'cluster')::integer = a.cluster
			CROSS JOIN LATERAL (SELECT sum((((r.f ->> s.name)::float8 - (c -> 'center' ->> s.name)::float8) / s.scale) ^ 2) AS distance FROM scale s) d
			GROUP BY a.cluster
		)
		SELECT (c ->> 'cluster')::integer, p.was, p.is, (c ->> 'inertia')::float8 / nullif((c ->> 'size')::float8, 0), n.distance,
			(greatest(p.is, 1e-4) - greatest(p.was, 1e-4)) * ln(greatest(p.is, 1e-4) / greatest(p.was, 1e-4))
		FROM jsonb_array_elements($1 -> 'clusters') c LEFT JOIN now n ON n.cluster = (c ->> 'cluster')::integer
		CROSS JOIN LATERAL (SELECT (c ->> 'size')::float8 / ($1 ->> 'rows')::float8 AS was,
			coalesce(n.n, 0) / greatest((SELECT sum(o.n) FROM now o), 1)::float8 AS is) p
		ORDER BY 1$q$, v.query) USING v.parameters;
END
$$;
COMMENT ON FUNCTION trigger_engine.cluster_drift(text) IS
'How far the rows of a k-means model''s query have moved since it was fitted: for each cluster its share then and now, the mean squared distance to its centre then and now (standardized units), and its part of the population stability index, (now - then) ln(now / then), summed up: below 0.1 stable, from 0.25 on fit it anew. For the model''s owner, with whose rights its query runs. Errors: undefined_object, a model of another kind or of somebody else.';
