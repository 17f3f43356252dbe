/*
 * Recommendations: what is bought together, and what to offer somebody.
 */

CREATE FUNCTION trigger_engine.log_likelihood_ratio(k11 double precision, k12 double precision, k21 double precision, k22 double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_log_likelihood_ratio'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.log_likelihood_ratio(double precision, double precision, double precision, double precision) IS
'How sure it is that two things do not come together by chance, 0 or more: 2 (H(rows) + H(columns) - H(cells)) of a table of counts: both (k11), the first alone (k12), the second alone (k21), neither (k22) (Dunning, Computational Linguistics 19(1), 1993).';

CREATE FUNCTION trigger_engine.root_log_likelihood_ratio(k11 double precision, k12 double precision, k21 double precision, k22 double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_root_log_likelihood_ratio'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.root_log_likelihood_ratio(double precision, double precision, double precision, double precision) IS
'The square root of log_likelihood_ratio(), about normally distributed by chance alone, and negative where both come together less often than expected.';

CREATE FUNCTION trigger_engine.backtest_recommendations(query text, split_at timestamptz, k integer DEFAULT 20,
	neighbours integer DEFAULT 50, max_basket integer DEFAULT 50)
RETURNS TABLE (method text, users bigint, recall double precision, ndcg double precision)
AS 'MODULE_PATHNAME', 'te_backtest_recommendations'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.backtest_recommendations(text, timestamptz, integer, integer, integer) IS
'How well recommendations would have done: learns from purchases before split_at, and looks which of the things that people bought for the first time afterwards are among the first k for them. query: the user, the item and when it was bought; what one user bought at one instant is a basket. Methods: popularity, cosine and llr over the best neighbours of each item. recall: hits over min(k, new items); ndcg with gains of 0 and 1; means over users with purchases before and new ones after (as in Liang et al. 2018). It runs with the caller''s rights and stores nothing.';

CREATE TABLE trigger_engine._cooccurrence (
	number	   integer PRIMARY KEY,
	item_id	   text NOT NULL UNIQUE,
	baskets	   bigint NOT NULL,
	neighbours integer[] NOT NULL,
	counts	   integer[] NOT NULL,
	best	   integer[] NOT NULL,
	scores	   double precision[] NOT NULL
);
-- what recommend() reads is small and read often: never compressed nor moved out
ALTER TABLE trigger_engine._cooccurrence ALTER COLUMN best SET STORAGE PLAIN, ALTER COLUMN scores SET STORAGE PLAIN;
CREATE INDEX _cooccurrence_popular ON trigger_engine._cooccurrence (baskets DESC, item_id);
COMMENT ON TABLE trigger_engine._cooccurrence IS
'Items of baskets, numbered without gaps: in how many baskets, with which others (their numbers) in how many, and the best of these by log likelihood ratio. Written by refresh_recommendations().';

CREATE TABLE trigger_engine._cooccurrence_total (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	baskets	 bigint NOT NULL
);
COMMENT ON TABLE trigger_engine._cooccurrence_total IS 'How many baskets were counted.';

CREATE FUNCTION trigger_engine.record_basket(user_id text, items text[], at timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	long text;
BEGIN
	IF $1 IS NULL OR $2 IS NULL OR array_ndims($2) > 1 THEN
		RAISE EXCEPTION 'user_id and a list of items are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT i INTO long FROM unnest($2) i WHERE octet_length(i) > 255 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'the id of item "%" is longer than 255 bytes', left(long, 40) USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO trigger_engine._user_items AS u (user_id, item_id, times, first_at, last_at)
	SELECT $1, i, 1, coalesce($3, trigger_engine.clock()), coalesce($3, trigger_engine.clock())
	FROM (SELECT DISTINCT i FROM unnest($2) i WHERE i <> '') d ORDER BY i
	ON CONFLICT (user_id, item_id) DO UPDATE SET times = u.times + 1, first_at = least(u.first_at, excluded.first_at),
		last_at = greatest(u.last_at, excluded.last_at);
	IF FOUND THEN
		INSERT INTO trigger_engine._baskets (user_id, items) VALUES ($1, array_remove($2, ''));
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine.record_basket(text, text[], timestamptz) IS
'Notes what a user bought, or looked at in one session, together (at: NULL = now). It touches rows of this user only; refresh_recommendations() counts it later.';

CREATE FUNCTION trigger_engine.refresh_recommendations(neighbours integer DEFAULT 50, max_basket integer DEFAULT 50,
	everything boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.refresh_recommendations(integer, integer, boolean) IS
'Counts the baskets that came since the last time and finds the neighbours of their items anew by log_likelihood_ratio(), the best so many of each; pairs that meet less often than by chance are none. Of a basket with more than max_basket items so many are drawn. everything: of all items, as the ratios of the others move a little with the total, too. Returns how many items. Inserts and readers are not held up.';

CREATE FUNCTION trigger_engine._refresh_recommendations(invoker name, neighbours integer, max_basket integer, everything boolean)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_refresh_recommendations'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine._refresh_recommendations(name, integer, integer, boolean) IS 'Behind refresh_recommendations().';

CREATE FUNCTION trigger_engine.similar_items(item_id text, n integer DEFAULT 10)
RETURNS TABLE (item_id text, score double precision)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT o.item_id, s.score FROM trigger_engine._cooccurrence c CROSS JOIN LATERAL unnest(c.best, c.scores) WITH ORDINALITY s(number, score, place)
	JOIN trigger_engine._cooccurrence o ON o.number = s.number WHERE c.item_id = $1 ORDER BY s.place LIMIT greatest($2, 0)
$$;
COMMENT ON FUNCTION trigger_engine.similar_items(text, integer) IS 'What is bought together with an item, with the log likelihood ratio, the highest first.';

CREATE FUNCTION trigger_engine._complementary_items(basis text[], excluded_items text[], n integer)
RETURNS TABLE (item_id text, score double precision)
AS 'MODULE_PATHNAME', 'te_complementary_items'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION trigger_engine._complementary_items(text[], text[], integer) IS
'The n items with the highest sums of scores beside the items of basis, without those that are excluded or not available.';

CREATE FUNCTION trigger_engine.recommend(user_id text, n integer DEFAULT 10, kind text DEFAULT 'complementary', items text[] DEFAULT NULL,
	exclude_owned boolean DEFAULT true)
RETURNS TABLE (rank integer, item_id text, score double precision, reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	basis text[] := $4;
	excluded_items text[];
	found record;
	place integer := 0;
	given text[] := '{}';
BEGIN
	IF $3 IS NULL OR $3 NOT IN ('complementary', 'similar', 'new', 'popular') THEN
		RAISE EXCEPTION 'unknown kind "%"', $3 USING ERRCODE = 'invalid_parameter_value', HINT = 'Kinds are complementary, similar, new and popular.';
	END IF;
	IF $2 IS NULL OR $2 NOT BETWEEN 0 AND 1000 THEN
		RAISE EXCEPTION 'n must be between 0 and 1000' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	excluded_items := coalesce($4, '{}');
	IF coalesce($5, true) THEN
		excluded_items := excluded_items || ARRAY(SELECT u.item_id FROM trigger_engine._user_items u WHERE u.user_id = $1);
	END IF;
	IF $3 = 'complementary' THEN
		IF basis IS NULL THEN
			basis := ARRAY(SELECT u.item_id FROM trigger_engine._user_items u WHERE u.user_id = $1 ORDER BY u.last_at DESC, u.item_id LIMIT 100);
		END IF;
		FOR found IN
			SELECT c.item_id, c.score FROM trigger_engine._complementary_items(basis, excluded_items, $2) c
		LOOP
			place := place + 1;
			given := given || found.item_id;
			rank := place; item_id := found.item_id; score := found.score; reason := $3;
			RETURN NEXT;
		END LOOP;
	ELSIF $3 IN ('similar', 'new') THEN
		FOR found IN
			WITH liked AS MATERIALIZED (
				SELECT * FROM (
					SELECT i.feature, trigger_engine._decayed(i.weight, i.at, trigger_engine.clock(), i.half_life) * coalesce(d.importance, 1) * coalesce(f.idf, 1) AS w
					FROM trigger_engine._interests i
					LEFT JOIN trigger_engine._interest_dimensions d ON d.dimension = split_part(i.feature, '=', 1)
					LEFT JOIN trigger_engine._interest_idf f ON f.feature = i.feature WHERE i.user_id = $1 AND basis IS NULL
					UNION ALL
					SELECT i.feature, sum(i.weight) * coalesce(min(f.idf), 1) FROM trigger_engine._item_features i
					LEFT JOIN trigger_engine._interest_idf f ON f.feature = i.feature WHERE i.item_id = ANY (basis) GROUP BY i.feature) l
				WHERE w > 0 ORDER BY w DESC, feature LIMIT CASE $3 WHEN 'new' THEN 3 ELSE 5 END
			), candidate AS (
				SELECT c.item_id, c.added_at, c.weight * l.w AS part FROM liked l CROSS JOIN LATERAL (
					SELECT f.item_id, f.added_at, f.weight FROM trigger_engine._item_features f WHERE f.feature = l.feature
					ORDER BY f.added_at DESC, f.item_id LIMIT 200 + cardinality(excluded_items)) c
			)
			SELECT c.item_id, sum(c.part) AS score FROM candidate c JOIN trigger_engine._items i USING (item_id)
			WHERE i.available AND NOT EXISTS (SELECT FROM unnest(excluded_items) e WHERE e = c.item_id)
			GROUP BY c.item_id, c.added_at ORDER BY CASE WHEN $3 = 'new' THEN c.added_at END DESC NULLS LAST, 2 DESC, 1 LIMIT $2
		LOOP
			place := place + 1;
			given := given || found.item_id;
			rank := place; item_id := found.item_id; score := found.score; reason := $3;
			RETURN NEXT;
		END LOOP;
	END IF;
	-- what most people buy, for the rest
	IF place < $2 THEN
		RETURN QUERY SELECT place + (row_number() OVER (ORDER BY p.baskets DESC, p.item_id))::integer, p.item_id, p.baskets::double precision, 'popular'
		FROM (SELECT c.item_id, c.baskets FROM trigger_engine._cooccurrence c
			WHERE c.item_id <> ALL (excluded_items) AND c.item_id <> ALL (given)
				AND NOT EXISTS (SELECT FROM trigger_engine._items i WHERE i.item_id = c.item_id AND NOT i.available)
			ORDER BY c.baskets DESC, c.item_id LIMIT $2 - place) p;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine.recommend(text, integer, text, text[], boolean) IS
'What to offer a user, the best first. kind: complementary (bought together with what they bought, or with items: the sum of log likelihood ratios), similar (like what they are interested in, or like items: the dot product over the strongest features, each with its newest items), new (the newest items of their three strongest interests), popular (in most baskets). items: the basis instead of the user''s history, for example a cart; they are left out of the result. exclude_owned: leave out what they had. Items that set_item() calls unavailable are left out. When there are fewer than n, popular items fill the rest; reason tells which.';
