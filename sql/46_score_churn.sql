/*
 * Churn and value: models of repeat purchases, fitted to a query, and what they say of
 * a customer.
 */

CREATE FUNCTION trigger_engine.purchase_summary(query text, until timestamptz DEFAULT NULL,
	unit interval DEFAULT '7 days', by_day boolean DEFAULT true)
RETURNS TABLE (user_id text, frequency double precision, recency double precision, age double precision, spend double precision)
AS 'MODULE_PATHNAME', 'te_purchase_summary'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.purchase_summary(text, timestamptz, interval, boolean) IS
'Sums purchases up for fit_churn() and fit_spend(). query: its columns are, in this order, the user, the time or date of a purchase and, if wanted, its amount; it runs with the caller''s rights. until: purchases after it are left out, NULL = the latest. unit: what times are counted in. by_day: purchases of one day in the session''s zone are one. Returns a row for each user: frequency (purchases after the first), recency (time between first and last), age (time between first and until), spend (mean amount of the purchases after the first, NULL without).';

CREATE FUNCTION trigger_engine.fit_churn(query text, model text DEFAULT 'bg_nbd', save_as text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_fit_churn'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.fit_churn(text, text, text) IS
'Fits a model of repeat purchases by maximum likelihood. query: columns frequency (or x: purchases after the first), recency (t_x: time between first and last), age (T: time between first and now), as purchase_summary() gives them, in one unit of time, and if wanted customers (how many are alike); other columns are not looked at; without these names three columns count in this order. It runs with the caller''s rights. model: bg_nbd (Fader, Hardie & Lee, Marketing Science 24(2), 2005: r, alpha, a, b) or pareto_nbd (Schmittlein, Morrison & Colombo, Management Science 33(1), 1987: r, alpha, s, beta). save_as: stores it as a version of the model of that name. Returns the parameters, log_likelihood, customers, converged, and a warning when a parameter ran to its bound. Errors: no rows, no repeat purchase, a NULL, negative or infinite value, a recency greater than the age.';

CREATE FUNCTION trigger_engine.churn_risk(model jsonb, frequency double precision, recency double precision,
	age double precision, horizon double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_churn_risk'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.churn_risk(jsonb, double precision, double precision, double precision, double precision) IS
'The probability, 0 to 1, that the customer buys nothing within the horizon: one minus the probability of at least one purchase. model: what fit_churn() returned; the times are in its unit. BG/NBD: 1 - P(alive) * (1 - ((alpha + T) / (alpha + T + t))^(r + x)). Pareto/NBD: 1 - the integral of (r + x) (alpha + y)^-(r + x + 1) (beta + y)^-s over T..T+t, over the likelihood. Unlike 1 - P(alive), which BG/NBD puts at 0 for everybody who bought once, it ranks customers rightly.';

CREATE FUNCTION trigger_engine.alive_probability(model jsonb, frequency double precision, recency double precision,
	age double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_alive_probability'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.alive_probability(jsonb, double precision, double precision, double precision) IS
'P(alive), 0 to 1: that the customer has not left for good (Fader, Hardie & Lee 2005; Schmittlein, Morrison & Colombo 1987). With BG/NBD it is 1 for everybody without a repeat purchase: do not rank by it, use churn_risk().';

CREATE FUNCTION trigger_engine.expected_purchases(model jsonb, frequency double precision, recency double precision,
	age double precision, horizon double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_expected_purchases'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.expected_purchases(jsonb, double precision, double precision, double precision, double precision) IS
'Purchases expected within the horizon after now, given the customer''s history (Fader, Hardie & Lee 2005, equation 10; for Pareto/NBD Schmittlein, Morrison & Colombo 1987). BG/NBD tends to expect too few in total: on CDNOW 1,653 where 1,882 came.';

CREATE FUNCTION trigger_engine.churn_band(risk double precision, bounds double precision[] DEFAULT '{0.3,0.6,0.85}',
	labels text[] DEFAULT '{low,medium,high,critical}')
RETURNS text
AS $$SELECT labels[pg_catalog.width_bucket($1, $2) + 1]$$
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.churn_band(double precision, double precision[], text[]) IS
'The band of a risk: the first label below the first bound, and so on; a risk on a bound is in the higher band. bounds ascend; there is one label more than bounds.';

CREATE FUNCTION trigger_engine.fit_spend(query text, save_as text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_fit_spend'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.fit_spend(text, text) IS
'Fits the Gamma-Gamma model of what a purchase is worth (Fader & Hardie 2013, The Gamma-Gamma Model of Monetary Value) by maximum likelihood. query: columns frequency (purchases after the first; rows with 0 are left out) and spend (their mean amount, greater than 0), and if wanted customers. It runs with the caller''s rights. save_as: stores it as a version of the model of that name. Returns p, q, gamma, log_likelihood, customers, converged. The model holds that spend and frequency are independent: look at their correlation first.';

CREATE FUNCTION trigger_engine.expected_spend(model jsonb, frequency double precision, spend double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_expected_spend'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.expected_spend(jsonb, double precision, double precision) IS
'What a purchase of this customer is worth on average, between their own mean and everybody''s: p (gamma + x m) / (p x + q - 1) (Fader & Hardie 2013). model: what fit_spend() returned. With a frequency of 0 spend does not matter. Error: an infinite mean (p x + q <= 1).';

CREATE FUNCTION trigger_engine.lifetime_value(churn_model jsonb, spend_model jsonb, frequency double precision,
	recency double precision, age double precision, spend double precision, horizon double precision,
	discount double precision DEFAULT 0)
RETURNS double precision
AS 'MODULE_PATHNAME', 'te_lifetime_value'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.lifetime_value(jsonb, jsonb, double precision, double precision, double precision, double precision, double precision, double precision) IS
'What the customer is expected to spend within the horizon: expected purchases in each unit of time, discounted by the rate a unit at its end, times expected_spend(). In the currency of spend. For a customer without a repeat purchase give spend as 0.';
