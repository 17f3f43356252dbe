/*
 * Interests: decayed weights of features, and how relevant an item is to a user.
 */

CREATE FUNCTION trigger_engine.rfm(query text, until timestamptz DEFAULT NULL, groups integer DEFAULT 5)
RETURNS TABLE (user_id text, recency double precision, frequency bigint, monetary double precision, r integer, f integer, m integer, cell text)
AS 'MODULE_PATHNAME', 'te_rfm'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.rfm(text, timestamptz, integer) IS
'Recency, frequency and monetary value of customers, and their groups (Hughes 1994). query: its columns are, in this order, the user, the time of a purchase and an amount; rows of one user and time are one purchase. It runs with the caller''s rights. until: what comes later is left out, NULL = the latest. Returns for each user recency (days from the last purchase to until), frequency (purchases), monetary (sum of amounts), and r, f, m: ntile(groups) of each, the highest for the most recent, most frequent and most valuable; users alike are told apart by their ids. cell is the three together, as 555.';

CREATE TABLE trigger_engine._interest_dimensions (
	dimension  text PRIMARY KEY CHECK (dimension <> '' AND position('=' IN dimension) = 0),
	half_life  double precision NOT NULL CHECK (half_life > 0),
	importance double precision NOT NULL CHECK (importance >= 0),
	updated_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._interest_dimensions IS
'How fast the weights of a dimension of interests halve (seconds), and how much it counts. Others: 30 days, and 1. Written by set_interest_dimension().';

CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON trigger_engine._interest_dimensions
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate();

CREATE TABLE trigger_engine._interest_idf (
	feature text PRIMARY KEY,
	users	bigint NOT NULL,
	idf		double precision NOT NULL
);
COMMENT ON TABLE trigger_engine._interest_idf IS
'How many users have a feature among their interests, and how much it tells about one of them. Written by refresh_interests().';

CREATE FUNCTION trigger_engine._decayed(weight double precision, since timestamptz, until timestamptz, half_life double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_decayed'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._decayed(double precision, timestamptz, timestamptz, double precision) IS
'weight * 2^-((until - since) / half_life), half_life in seconds.';

CREATE FUNCTION trigger_engine._interest_features(features jsonb)
RETURNS TABLE (feature text, weight double precision)
AS 'MODULE_PATHNAME', 'te_interest_features'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._interest_features(jsonb) IS 'The features of a JSON object, "dimension=value", with their weights.';

CREATE FUNCTION trigger_engine.cosine_similarity(a jsonb, b jsonb)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_cosine_similarity'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.cosine_similarity(jsonb, jsonb) IS
'Cosine of two vectors, -1 to 1: JSON objects of numbers by name; what one of them lacks is 0 there. NULL when one of them is all 0.';

CREATE FUNCTION trigger_engine.set_interest_dimension(dimension text, half_life interval, importance double precision DEFAULT 1)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_interest_dimension(text, interval, double precision) IS
'Says how fast interests of a dimension ("category", "brand") halve, and how much the dimension counts in relevance_score(), 0 or more. Weights that are there already halve as they did until they are touched.';

CREATE FUNCTION trigger_engine._set_interest_dimension(invoker name, dimension text, half_life interval, importance double precision)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF $2 IS NULL OR $2 = '' OR position('=' IN $2) > 0 THEN
		RAISE EXCEPTION 'a dimension needs a name without "="' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF $3 IS NULL OR $3 <= interval '0' OR $4 IS NULL OR NOT $4 BETWEEN 0 AND 1e6 THEN
		RAISE EXCEPTION 'half_life must be greater than 0, and importance between 0 and 1e6' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO trigger_engine._interest_dimensions AS d VALUES ($2, extract(epoch FROM $3), $4, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _interest_dimensions_pkey DO UPDATE SET half_life = excluded.half_life, importance = excluded.importance,
		updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_interest_dimension(name, text, interval, double precision) IS 'Behind set_interest_dimension().';

CREATE FUNCTION trigger_engine.add_interest(user_id text, features jsonb, amount double precision DEFAULT 1, at timestamptz DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_add_interest'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.add_interest(text, jsonb, double precision, timestamptz) IS
'Adds to a user''s interests, in time that does not depend on their history. features: {"category": "shoes", "tags": ["new", "red"], "brand": {"x": 0.7}}: a value, several, or values with weights. amount: how much a view, a cart or a purchase counts; less than 0 for a dislike. at: when it happened (NULL = now); events may come late. The result is that of summing all up again: amount * 2^-(age / half_life) over all events.';

CREATE FUNCTION trigger_engine.interests(user_id text, dimension text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (dimension text, value text, weight double precision)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT split_part(i.feature, '=', 1), substr(i.feature, strpos(i.feature, '=') + 1),
		trigger_engine._decayed(i.weight, i.at, coalesce($3, trigger_engine.clock()), i.half_life) AS w
	FROM trigger_engine._interests i
	WHERE i.user_id = $1 AND ($2 IS NULL OR starts_with(i.feature, $2 || '='))
	ORDER BY w DESC, i.feature
$$;
COMMENT ON FUNCTION trigger_engine.interests(text, text, timestamptz) IS
'What a user is interested in at an instant (NULL = now), of one dimension or all, the strongest first.';

CREATE FUNCTION trigger_engine.refresh_interests(forget_below double precision DEFAULT 0.001) RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.refresh_interests(double precision) IS
'Counts anew how many users have each feature among their interests, for the inverse document frequency ln(1 + (N - n + 0.5) / (n + 0.5)) (Robertson & Sparck Jones) that relevance_score() weighs features by, and forgets weights that have become smaller than forget_below. Returns the number of features.';

CREATE FUNCTION trigger_engine._refresh_interests(invoker name, forget_below double precision) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	everybody bigint;
	result bigint;
BEGIN
	DELETE FROM trigger_engine._interests i
	WHERE abs(trigger_engine._decayed(i.weight, i.at, greatest(trigger_engine.clock(), i.at), i.half_life)) < forget_below;
	SELECT count(DISTINCT i.user_id) INTO everybody FROM trigger_engine._interests i WHERE i.weight > 0;
	DELETE FROM trigger_engine._interest_idf;
	INSERT INTO trigger_engine._interest_idf
	SELECT i.feature, count(*), ln(1 + (everybody - count(*) + 0.5) / (count(*) + 0.5))
	FROM trigger_engine._interests i WHERE i.weight > 0 GROUP BY i.feature;
	GET DIAGNOSTICS result = ROW_COUNT;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._refresh_interests(name, double precision) IS 'Behind refresh_interests().';

CREATE TABLE trigger_engine._items (
	item_id	   text PRIMARY KEY,
	features   jsonb NOT NULL,
	available  boolean NOT NULL,
	added_at   timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
);
CREATE TABLE trigger_engine._item_features (
	item_id	 text NOT NULL,
	feature	 text NOT NULL,
	weight	 double precision NOT NULL,
	added_at timestamptz NOT NULL,
	PRIMARY KEY (item_id, feature)
);
CREATE INDEX _item_features_newest ON trigger_engine._item_features (feature, added_at DESC, item_id) INCLUDE (weight);
COMMENT ON TABLE trigger_engine._item_features IS 'The features of items one by one, to find items by them. Written by set_item().';

COMMENT ON TABLE trigger_engine._items IS 'Things that can be recommended: what they are like, and whether they are to be had. Written by set_item().';

CREATE FUNCTION trigger_engine.set_item(item_id text, features jsonb DEFAULT NULL, available boolean DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_item(text, jsonb, boolean) IS
'Says what an item is like, {"category": "shoes", "brand": "x"}, and whether it is in stock. NULL leaves as it is; a new item has no features and is available. Items that only baskets know need no call.';

CREATE FUNCTION trigger_engine._set_item(invoker name, item_id text, features jsonb, available boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF $2 IS NULL OR $2 = '' THEN
		RAISE EXCEPTION 'item_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._interest_features($3);
	INSERT INTO trigger_engine._items AS i VALUES ($2, coalesce($3, '{}'), coalesce($4, true), trigger_engine.clock(), trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _items_pkey DO UPDATE SET features = coalesce($3, i.features), available = coalesce($4, i.available),
		updated_at = excluded.updated_at;
	IF $3 IS NOT NULL THEN
		DELETE FROM trigger_engine._item_features f WHERE f.item_id = $2;
		INSERT INTO trigger_engine._item_features
		SELECT $2, f.feature, sum(f.weight), (SELECT i.added_at FROM trigger_engine._items i WHERE i.item_id = $2)
		FROM trigger_engine._interest_features($3) f GROUP BY f.feature;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_item(name, text, jsonb, boolean) IS 'Behind set_item().';

CREATE FUNCTION trigger_engine.relevance_score(user_id text, item jsonb, at timestamptz DEFAULT NULL)
RETURNS double precision
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH item(feature, x) AS MATERIALIZED (
		SELECT f.feature, f.weight * coalesce(d.importance, 1) * coalesce(n.idf, 1)
		FROM trigger_engine._interest_features(CASE WHEN jsonb_typeof($2) = 'string'
			THEN (SELECT i.features FROM trigger_engine._items i WHERE i.item_id = $2 #>> '{}') ELSE $2 END) f
		LEFT JOIN trigger_engine._interest_dimensions d ON d.dimension = split_part(f.feature, '=', 1)
		LEFT JOIN trigger_engine._interest_idf n ON n.feature = f.feature
	), person(feature, w) AS MATERIALIZED (
		SELECT i.feature, trigger_engine._decayed(i.weight, i.at, coalesce($3, trigger_engine.clock()), i.half_life)
			* coalesce(d.importance, 1) * coalesce(n.idf, 1)
		FROM trigger_engine._interests i
		LEFT JOIN trigger_engine._interest_dimensions d ON d.dimension = split_part(i.feature, '=', 1)
		LEFT JOIN trigger_engine._interest_idf n ON n.feature = i.feature
		WHERE i.user_id = $1
		UNION ALL
		SELECT f.feature, coalesce(d.importance, 1)
		FROM trigger_engine._traits t CROSS JOIN LATERAL (SELECT 'trait.' || t.trait AS dimension, format('trait.%s=%s', t.trait, t.value) AS feature) f
		LEFT JOIN trigger_engine._interest_dimensions d USING (dimension)
		WHERE t.user_id = $1
	)
	SELECT CASE WHEN u.square > 0 AND v.square > 0
		THEN greatest(0, least(1, (SELECT coalesce(sum(p.w * i.x), 0) FROM person p JOIN item i USING (feature)) / sqrt(u.square) / sqrt(v.square)))
		WHEN $1 IS NOT NULL AND $2 IS NOT NULL THEN 0 END
	FROM (SELECT sum(w * w) AS square FROM person) u, (SELECT sum(x * x) AS square FROM item) v
$$;
COMMENT ON FUNCTION trigger_engine.relevance_score(text, jsonb, timestamptz) IS
'How relevant an item is to a user at an instant (NULL = now), 0 to 1: the cosine of the user''s decayed interests and traits (feature "trait.NAME", see set_traits()) and the item''s features, each weighed by its inverse document frequency and the importance of its dimension. item: features as add_interest() takes them, or the id of an item as a JSON string. 0 for who or what nothing is known of, and where dislikes prevail.';
