/*
 * The best hour: when people respond, from their own hours and everybody's.
 */

CREATE FUNCTION trigger_engine.smoothed_hours(counts double precision[], prior double precision[] DEFAULT NULL, strength double precision DEFAULT 20)
RETURNS double precision[]
AS 'MODULE_PATHNAME', 'te_smoothed_hours'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.smoothed_hours(double precision[], double precision[], double precision) IS
'Shares of hours from counts, drawn towards a prior: (count + strength * prior) / (all counts + strength), the mean of the Dirichlet posterior. prior: as many numbers, of any sum; NULL = all alike. strength: how many events the prior counts for. NULL when there is neither count nor strength.';

CREATE FUNCTION trigger_engine.backtest_hours(query text, split_at timestamptz, strengths double precision[] DEFAULT '{1,5,10,20,50}')
RETURNS TABLE (strength double precision, events bigint, log_loss double precision, hit_rate double precision)
AS 'MODULE_PATHNAME', 'te_backtest_hours'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.backtest_hours(text, timestamptz, double precision[]) IS
'Whether people''s own hours tell more than everybody''s: learns from what lies before split_at, and looks at the hours of what those people did afterwards. query: the user and a time, timestamptz (its hour in the session''s zone) or timestamp. Returns for everybody''s hours (strength NULL) and for people''s own, smoothed towards them with each strength: log_loss (nats an event) and hit_rate (the likeliest hour was the one). Trust people''s own hours only where their log loss is lower.';

CREATE FUNCTION trigger_engine.hour_probabilities(user_id text, channel text, kind text DEFAULT 'open')
RETURNS TABLE (weekend boolean, hour integer, sends bigint, hits bigint, probability double precision)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH own AS (
		SELECT e.weekend, e.hour, e.sends, least(CASE $3 WHEN 'open' THEN e.opens WHEN 'click' THEN e.clicks ELSE e.conversions END, e.sends) AS hits
		FROM trigger_engine._engagement e WHERE e.user_id = $1 AND e.channel = $2
	), whole AS (SELECT coalesce(sum(o.hits), 0) AS hits, coalesce(sum(o.sends), 0) AS sends FROM own o)
	SELECT w.weekend, h.hour, coalesce(o.sends, 0), coalesce(o.hits, 0),
		least(1, (coalesce(o.hits, 0) + 20 * least(1, trigger_engine.beta_rate(p.prior, whole.hits, whole.sends) * p.hours[h.hour + 1 + CASE WHEN w.weekend THEN 24 ELSE 0 END]))
			/ (coalesce(o.sends, 0) + 20))
	FROM trigger_engine._engagement_priors p CROSS JOIN whole CROSS JOIN (VALUES (false), (true)) w(weekend) CROSS JOIN generate_series(0, 23) h(hour)
	LEFT JOIN own o ON o.weekend = w.weekend AND o.hour = h.hour
	WHERE p.channel = $2 AND p.kind = $3 ORDER BY 1, 2
$$;
COMMENT ON FUNCTION trigger_engine.hour_probabilities(text, text, text) IS
'engagement_probability() for every hour of weekdays and weekends in the user''s zone, with what it comes from: messages sent in the hour and how many of them were opened, clicked or led to a conversion (kind). Corrected for exposure: it is responses per message and not responses. No rows for a channel that refresh_engagement() has not seen.';

CREATE FUNCTION trigger_engine.best_hour(user_id text, channel text, earliest timestamptz DEFAULT NULL, latest timestamptz DEFAULT NULL,
	kind text DEFAULT 'open', explore double precision DEFAULT 0)
RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	since timestamptz := coalesce($3, trigger_engine.clock());
	until timestamptz := coalesce($4, since + interval '24 hours');
	zone text := coalesce((SELECT u.zone FROM trigger_engine.users u WHERE u.user_id = $1), 'UTC');
	lot double precision;
	result timestamptz;
BEGIN
	IF $1 IS NULL OR $2 IS NULL THEN
		RETURN NULL;
	END IF;
	IF until < since OR until > since + interval '31 days' THEN
		RAISE EXCEPTION 'latest must lie between earliest and 31 days later' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF $5 IS NULL OR $5 NOT IN ('open', 'click', 'convert') THEN
		RAISE EXCEPTION 'unknown kind "%"', $5 USING ERRCODE = 'invalid_parameter_value', HINT = 'Kinds are open, click and convert.';
	END IF;
	IF $6 IS NULL OR NOT $6 BETWEEN 0 AND 1 THEN
		RAISE EXCEPTION 'explore must be between 0 and 1' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- chance by a hash, so that any choice can be made again
	lot := (hashtextextended(concat_ws(chr(31), $1, $2, since), 6011) & 9007199254740991) / 9007199254740992.0;
	SELECT c.at INTO result FROM (
		SELECT since AS at
		UNION ALL
		SELECT date_trunc('hour', since AT TIME ZONE zone) AT TIME ZONE zone + n * interval '1 hour' FROM generate_series(1, 745) n
		WHERE date_trunc('hour', since AT TIME ZONE zone) AT TIME ZONE zone + n * interval '1 hour' BETWEEN since AND until) c
	CROSS JOIN LATERAL (SELECT c.at AT TIME ZONE zone AS t) l
	LEFT JOIN trigger_engine.hour_probabilities($1, $2, $5) p
		ON p.weekend = (extract(isodow FROM l.t) >= 6) AND p.hour = extract(hour FROM l.t)
	ORDER BY CASE WHEN lot < $6 THEN hashtextextended(c.at::text, (lot * 1e9)::bigint) END, p.probability DESC NULLS LAST, c.at LIMIT 1;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine.best_hour(text, text, timestamptz, timestamptz, text, double precision) IS
'The instant between earliest (NULL = now) and latest (NULL = 24 hours later, at most 31 days) at which the user most probably opens, clicks or converts (kind): earliest itself, or the beginning of a later hour in the user''s zone; of hours alike the first. explore: the share of calls that take any of these hours instead, by a hash of user, channel and earliest, to learn about hours without messages. earliest when nothing is known of the channel.';
