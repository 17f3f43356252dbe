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
