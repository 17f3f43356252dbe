/*
 * Engagement probability: logistic models trained by a query.
 */

CREATE FUNCTION trigger_engine.train_model(name text, query text, target text, options jsonb DEFAULT '{}')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_train_model'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.train_model(text, text, text, jsonb) IS
'Trains a logistic regression in one pass over the rows of a query and stores it as a new version of the model. query: its columns are the features, as to_jsonb() of a row gives them to predict(): numbers (scaled by their running mean and deviation), everything else as the values of a name ("job=student"), jsonb walked ("geo.city=x", arrays as several values), NULL as a value of its own; it runs with the caller''s rights, and its order matters, as each row is predicted before it is learned from. target: the column of the outcome, a boolean, 0 or 1, yes or no; rows where it is NULL are left out. options: alpha (0.1, rate of learning: try 0.02 to 0.5), beta (1), l1 (0), l2 (1), bits (18: 2^bits weights), prior_rows (20) and prior_positives (prior_rows / 20), the base rate it begins with; time_column (rows are taken in its order; it is no feature), exclude (names of columns), positive (the text that counts as true), categorical (names of numbers that are values), interactions (pairs of names, as [["channel", "hour"]]). Method: FTRL-Proximal (McMahan et al., KDD 2013) with the logit of the running base rate as an offset. Returns version and metrics, see model_metrics(). Errors: no rows, an outcome of another kind, an unknown option. Rows of one outcome only give a model with a warning.';

CREATE FUNCTION trigger_engine.update_model(name text, query text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_update_model'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.update_model(text, text) IS
'Lets a logistic model learn on from the rows of a query, which has the columns it was trained with, and stores it as a new version: only what came since has to be read. The metrics are of these rows.';

CREATE FUNCTION trigger_engine.predict(name text, features jsonb)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_predict'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.predict(text, jsonb) IS
'The probability, 0 to 1, that a logistic model gives to the outcome. features: a JSON object as to_jsonb() of a row of the training query; names that the model does not know, and the outcome itself, say nothing. Errors: undefined_object, a model of another kind.';

CREATE FUNCTION trigger_engine.model_features(name text)
RETURNS TABLE (feature text, weight double precision, evidence double precision, mean double precision, deviation double precision)
AS 'MODULE_PATHNAME', 'te_model_features'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION trigger_engine.model_features(text) IS
'The weights of a logistic model: what a feature adds to the log odds (a number: for each deviation above its mean), and evidence, the sum of squared gradients it learned from. Names are those of the first feature at each weight.';

CREATE FUNCTION trigger_engine.backtest_model(query text, target text, time_column text, folds integer DEFAULT 5, options jsonb DEFAULT '{}')
RETURNS TABLE (fold integer, train_rows bigint, test_rows bigint, train_rate double precision, test_rate double precision,
	base_log_loss double precision, log_loss double precision, auc double precision, calibration_error double precision)
AS 'MODULE_PATHNAME', 'te_backtest_model'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.backtest_model(text, text, text, integer, jsonb) IS
'Tests over time how a model would have done: rows in the order of time_column are cut into folds + 1 equal parts, and each part after the first is predicted by a model that learned from all before it and then stood still. base_log_loss is that of predicting the rate of the training rows. Arguments as of train_model(); nothing is stored. Keeps the features of all rows in memory, 32 bytes each.';

CREATE FUNCTION trigger_engine.model_drift(name text, query text)
RETURNS TABLE (feature text, stability_index double precision, verdict text, rows double precision)
AS 'MODULE_PATHNAME', 'te_model_drift'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.model_drift(text, text) IS
'How far the rows of a query, with the columns of the training query, are from those a logistic model was trained with: the population stability index of each column (numbers by the tenths they had then, values by the 50 most frequent, NULL apart; jsonb is left out) and of the predictions, "(score)". verdict: stable below 0.1, moved below 0.25, shifted, or missing when the query has no such column.';

CREATE FUNCTION trigger_engine.evaluate_predictions(query text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_evaluate_predictions'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.evaluate_predictions(text) IS
'How good probabilities are that came from anywhere. query: a probability and an outcome (boolean, or 0 and 1). Returns rows, positives, base_rate, log_loss and that of the base rate (nats a row), brier, auc (ties count half, Hanley & McNeil 1982; null with one outcome only), calibration_error (10 bins of equal width, Naeini et al. 2015) and bins with their mean prediction and share of positives.';

/* ---- rates: Beta-Bernoulli ---- */

CREATE FUNCTION trigger_engine.fit_beta_prior(query text, save_as text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_fit_beta_prior'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.fit_beta_prior(text, text) IS
'Fits the beta distribution that the rates of groups come from, by the beta-binomial likelihood (empirical Bayes, Robbins 1956). query: columns successes and trials, a row for each group (user, item, hour); it runs with the caller''s rights. Returns alpha, beta, mean, precision (alpha + beta, at most 100,000), pooled, groups, successes, trials, log_likelihood (without binomial coefficients), converged. pooled: the groups differ no more than chance makes them, or all have one outcome, so that one rate stands for all. save_as: stores it as a version of the model of that name. Errors: no trials, more successes than trials.';

CREATE FUNCTION trigger_engine.beta_rate(prior jsonb, successes double precision, trials double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
	SELECT CASE WHEN successes >= 0 AND trials >= successes
		THEN (successes + ($1 ->> 'alpha')::double precision) / (trials + ($1 ->> 'alpha')::double precision + ($1 ->> 'beta')::double precision) END
$$;
COMMENT ON FUNCTION trigger_engine.beta_rate(jsonb, double precision, double precision) IS
'The rate of a group, between its own and that of all: (successes + alpha) / (trials + alpha + beta), the posterior mean. prior: what fit_beta_prior() returned. NULL unless 0 <= successes <= trials.';

CREATE TABLE trigger_engine._engagement_priors (
	channel	   text NOT NULL,
	kind	   text NOT NULL CHECK (kind IN ('open', 'click', 'convert')),
	prior	   jsonb NOT NULL,
	hours	   double precision[] NOT NULL,
	updated_at timestamptz NOT NULL,
	PRIMARY KEY (channel, kind)
);
COMMENT ON TABLE trigger_engine._engagement_priors IS
'What is known of a channel: the beta distribution that people''s rates come from, and for the 24 hours of weekdays and then of weekends how much the rate differs from that of the whole day. Written by refresh_engagement().';

CREATE FUNCTION trigger_engine.record_engagement(user_id text, channel text, sent_at timestamptz, kind text DEFAULT 'send',
	zone text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	local_time timestamp;
BEGIN
	IF $1 IS NULL OR $2 IS NULL OR $3 IS NULL THEN
		RAISE EXCEPTION 'user_id, channel and sent_at are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF $4 IS NULL OR $4 NOT IN ('send', 'open', 'click', 'convert') THEN
		RAISE EXCEPTION 'unknown kind "%"', $4 USING ERRCODE = 'invalid_parameter_value', HINT = 'Kinds are send, open, click and convert.';
	END IF;
	local_time := $3 AT TIME ZONE coalesce($5, (SELECT u.zone FROM trigger_engine.users u WHERE u.user_id = $1), 'UTC');
	INSERT INTO trigger_engine._engagement AS e (user_id, channel, weekend, hour, sends, opens, clicks, conversions)
	VALUES ($1, $2, extract(isodow FROM local_time) >= 6, extract(hour FROM local_time),
		($4 = 'send')::int, ($4 = 'open')::int, ($4 = 'click')::int, ($4 = 'convert')::int)
	ON CONFLICT (user_id, channel, weekend, hour) DO UPDATE SET sends = e.sends + excluded.sends, opens = e.opens + excluded.opens,
		clicks = e.clicks + excluded.clicks, conversions = e.conversions + excluded.conversions;
END
$$;
COMMENT ON FUNCTION trigger_engine.record_engagement(text, text, timestamptz, text, text) IS
'Counts a message, or what became of it, at the hour of the user''s day in which it was sent. kind: send, then at most one each of open, click and convert. zone: the user''s, NULL = that of users, else UTC.';

CREATE FUNCTION trigger_engine.refresh_engagement() RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.refresh_engagement() IS
'Learns anew, from what record_engagement() counted, what people have in common on each channel and for each kind of outcome. Returns how many of these there are.';

CREATE FUNCTION trigger_engine._refresh_engagement(invoker name) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c text;
	k record;
	fitted jsonb;
	result integer := 0;
BEGIN
	FOR c IN SELECT DISTINCT e.channel FROM trigger_engine._engagement e WHERE e.sends > 0
	LOOP
		FOR k IN SELECT * FROM (VALUES ('open', 'opens'), ('click', 'clicks'), ('convert', 'conversions')) v(kind, counted)
		LOOP
			fitted := trigger_engine.fit_beta_prior(format('SELECT sum(least(%I, sends)) AS successes, sum(sends) AS trials
				FROM trigger_engine._engagement WHERE channel = %L GROUP BY user_id', k.counted, c));
			EXECUTE format('INSERT INTO trigger_engine._engagement_priors AS p SELECT $1, $2, $3,
					array_agg((coalesce(h.hits, 0) / ($3 ->> ''mean'')::float8 + 20) / (coalesce(h.sends, 0) + 20) ORDER BY w.weekend, g.hour), trigger_engine.clock()
				FROM (VALUES (false), (true)) w(weekend) CROSS JOIN generate_series(0, 23) g(hour)
				LEFT JOIN (SELECT e.weekend, e.hour, sum(least(e.%I, e.sends)) AS hits, sum(e.sends) AS sends FROM trigger_engine._engagement e
					WHERE e.channel = $1 GROUP BY 1, 2) h ON h.weekend = w.weekend AND h.hour = g.hour
				ON CONFLICT (channel, kind) DO UPDATE SET prior = excluded.prior, hours = excluded.hours, updated_at = excluded.updated_at', k.counted)
			USING c, k.kind, fitted;
			result := result + 1;
		END LOOP;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._refresh_engagement(name) IS 'Behind refresh_engagement().';

CREATE FUNCTION trigger_engine.engagement_features(user_id text, channel text, at timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('channel', $2, 'hour', extract(hour FROM l.at)::int::text, 'weekday', extract(isodow FROM l.at)::int::text,
		'sends', ln(1 + coalesce(e.sends, 0)), 'open_rate', (coalesce(e.opens, 0) + 1) / (coalesce(e.sends, 0) + 5.0),
		'click_rate', (coalesce(e.clicks, 0) + 1) / (coalesce(e.sends, 0) + 20.0),
		'convert_rate', (coalesce(e.conversions, 0) + 1) / (coalesce(e.sends, 0) + 100.0),
		'locale', u.locale, 'country', u.country, 'attributes', coalesce(u.attributes, '{}'),
		'traits', (SELECT coalesce(jsonb_object_agg(t.trait, t.value), '{}') FROM trigger_engine._traits t WHERE t.user_id = $1))
	FROM (SELECT 1) AS one LEFT JOIN trigger_engine.users u ON u.user_id = $1
	CROSS JOIN LATERAL (SELECT coalesce($3, trigger_engine.clock()) AT TIME ZONE coalesce(u.zone, 'UTC') AS at) l
	CROSS JOIN LATERAL (SELECT sum(e.sends) AS sends, sum(least(e.opens, e.sends)) AS opens, sum(least(e.clicks, e.sends)) AS clicks, sum(least(e.conversions, e.sends)) AS conversions
		FROM trigger_engine._engagement e WHERE e.user_id = $1 AND e.channel = $2) e
$$;
COMMENT ON FUNCTION trigger_engine.engagement_features(text, text, timestamptz) IS
'What is known of a user before a message is sent at an instant (NULL = now), for predict() and for the rows of a training query: channel, hour and weekday (1 = Monday) in the user''s zone, sends (logarithm of how many on the channel), open_rate, click_rate, convert_rate (smoothed), locale, country, attributes, traits.';

CREATE FUNCTION trigger_engine.engagement_probability(user_id text, channel text, at timestamptz DEFAULT NULL,
	kind text DEFAULT 'click', model text DEFAULT NULL)
RETURNS double precision
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	p trigger_engine._engagement_priors;
	local_time timestamp;
	personal double precision;
	hits double precision;
	sends double precision;
	hour_hits double precision;
	hour_sends double precision;
BEGIN
	IF $1 IS NULL OR $2 IS NULL THEN
		RETURN NULL;
	END IF;
	IF $5 IS NOT NULL THEN
		RETURN trigger_engine.predict($5, trigger_engine.engagement_features($1, $2, $3));
	END IF;
	IF $4 IS NULL OR $4 NOT IN ('open', 'click', 'convert') THEN
		RAISE EXCEPTION 'unknown kind "%"', $4 USING ERRCODE = 'invalid_parameter_value', HINT = 'Kinds are open, click and convert.';
	END IF;
	SELECT * INTO p FROM trigger_engine._engagement_priors q WHERE q.channel = $2 AND q.kind = $4;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	local_time := coalesce($3, trigger_engine.clock()) AT TIME ZONE coalesce((SELECT u.zone FROM trigger_engine.users u WHERE u.user_id = $1), 'UTC');
	SELECT coalesce(sum(c.hits), 0), coalesce(sum(c.sends), 0), coalesce(sum(c.hits) FILTER (WHERE c.now), 0), coalesce(sum(c.sends) FILTER (WHERE c.now), 0)
	INTO hits, sends, hour_hits, hour_sends
	FROM (SELECT least(CASE $4 WHEN 'open' THEN e.opens WHEN 'click' THEN e.clicks ELSE e.conversions END, e.sends) AS hits, e.sends,
			e.weekend = (extract(isodow FROM local_time) >= 6) AND e.hour = extract(hour FROM local_time) AS now
		FROM trigger_engine._engagement e WHERE e.user_id = $1 AND e.channel = $2) c;
	personal := trigger_engine.beta_rate(p.prior, hits, sends);
	RETURN least(1, (hour_hits + 20 * least(1, personal * p.hours[extract(hour FROM local_time) + 1 + CASE WHEN extract(isodow FROM local_time) >= 6 THEN 24 ELSE 0 END]))
		/ (hour_sends + 20));
END
$$;
COMMENT ON FUNCTION trigger_engine.engagement_probability(text, text, timestamptz, text, text) IS
'The probability, 0 to 1, that the user opens, clicks or converts (kind) when a message is sent on the channel at an instant (NULL = now). Without a model: the user''s own rate between what they did and what people do (Beta-Bernoulli), times how the hour differs for everybody, moved by what the user did in that hour as if by 20 messages. With a model: what that logistic model predicts from engagement_features(). NULL for a channel that refresh_engagement() has not seen.';

CREATE FUNCTION trigger_engine.message_value(relevance double precision, probability double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$SELECT CASE WHEN $1 BETWEEN 0 AND 1 AND $2 BETWEEN 0 AND 1 THEN $1 * $2 END$$;
COMMENT ON FUNCTION trigger_engine.message_value(double precision, double precision) IS
'What a message is worth: its relevance_score() times its engagement_probability(), 0 to 1. NULL unless both lie between 0 and 1.';
