/*
 * Statistics of experiments: pure functions of counts, means and variances, so that
 * running sums are enough. Group 1 is the control, differences are 2 less 1. Counts
 * that are too small, negative, NaN and infinite arguments are errors
 * (invalid_parameter_value); a NULL argument gives NULL.
 */

/* ---- distributions ---- */

CREATE FUNCTION trigger_engine.normal_cdf(x float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_normal_cdf'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.normal_cdf(float8) IS 'P(Z <= x) of the standard normal distribution, by erfc(); for the upper tail pass -x. Error for NaN.';

CREATE FUNCTION trigger_engine.normal_quantile(p float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_normal_quantile'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.normal_quantile(float8) IS 'The x with normal_cdf(x) = p, by Wichura''s algorithm AS 241; -Infinity and Infinity for 0 and 1. Error for p outside [0, 1].';

CREATE FUNCTION trigger_engine.t_cdf(t float8, df float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_t_cdf'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.t_cdf(float8, float8) IS 'P(T <= t) of Student''s t with df degrees of freedom (any number above 0, Infinity = normal), by the incomplete beta function; for the upper tail pass -t.';

CREATE FUNCTION trigger_engine.t_quantile(p float8, df float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_t_quantile'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.t_quantile(float8, float8) IS 'The t with t_cdf(t, df) = p. Error for p outside [0, 1] or df not above 0.';

CREATE FUNCTION trigger_engine.chi2_tail(x float8, df float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_chi2_tail'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.chi2_tail(float8, float8) IS 'P(X > x) of the chi-square distribution, by the incomplete gamma function. Error for df not above 0.';

CREATE FUNCTION trigger_engine.beta_cdf(x float8, a float8, b float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_beta_cdf'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.beta_cdf(float8, float8, float8) IS 'The regularised incomplete beta function I_x(a, b) (DLMF 8.17). Error for a or b not above 0.';

CREATE FUNCTION trigger_engine.beta_quantile(p float8, a float8, b float8) RETURNS float8
AS 'MODULE_PATHNAME', 'te_beta_quantile'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.beta_quantile(float8, float8, float8) IS 'The x with beta_cdf(x, a, b) = p. Error for p outside [0, 1], a or b not above 0.';

/* ---- two groups ---- */

CREATE FUNCTION trigger_engine.proportion_test(x1 bigint, n1 bigint, x2 bigint, n2 bigint,
	confidence float8 DEFAULT 0.95, alternative text DEFAULT 'two-sided',
	OUT rate1 float8, OUT rate2 float8, OUT difference float8, OUT std_error float8, OUT z float8, OUT p_value float8,
	OUT ci_low float8, OUT ci_high float8, OUT score_low float8, OUT score_high float8)
AS 'MODULE_PATHNAME', 'te_proportion_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.proportion_test(bigint, bigint, bigint, bigint, float8, text) IS
'Two-proportion z test: x of n people did it. difference = x2/n2 - x1/n1; z and p_value by the pooled rate; std_error, ci_low, ci_high by each group''s own rate (Wald); score_low, score_high after Newcombe 1998, method 10, which is sound for small counts. alternative: two-sided, greater (2 above 1), less. For counts below about 5 use fisher_test(). Errors: n below 1, x above n.';

CREATE FUNCTION trigger_engine.welch_test(mean1 float8, variance1 float8, n1 bigint, mean2 float8, variance2 float8, n2 bigint,
	confidence float8 DEFAULT 0.95, alternative text DEFAULT 'two-sided',
	OUT difference float8, OUT std_error float8, OUT t float8, OUT df float8, OUT p_value float8, OUT ci_low float8, OUT ci_high float8)
AS 'MODULE_PATHNAME', 'te_welch_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.welch_test(float8, float8, bigint, float8, float8, bigint, float8, text) IS
'Welch''s t test of two means without equal variances (Biometrika 34 (1947) 28-35). variance: of one person, var_samp(). difference = mean2 - mean1. alternative: two-sided, greater, less. Errors: n below 2, a negative variance.';

CREATE FUNCTION trigger_engine.relative_lift(mean1 float8, variance1 float8, n1 bigint, mean2 float8, variance2 float8, n2 bigint,
	confidence float8 DEFAULT 0.95, alternative text DEFAULT 'two-sided',
	OUT lift float8, OUT std_error float8, OUT t float8, OUT df float8, OUT p_value float8, OUT ci_low float8, OUT ci_high float8)
AS 'MODULE_PATHNAME', 'te_relative_lift'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.relative_lift(float8, float8, bigint, float8, float8, bigint, float8, text) IS
'Relative lift mean2/mean1 - 1 with its interval by the delta method: variance = variance2/(mean1^2 n2) + variance1 mean2^2/(mean1^4 n1), Welch''s degrees of freedom, as gbstats. For rates pass variance p(1-p). Error division_by_zero for mean1 = 0.';

CREATE FUNCTION trigger_engine.cuped_test(n1 bigint, mean_y1 float8, variance_y1 float8, mean_x1 float8, variance_x1 float8, covariance1 float8,
	n2 bigint, mean_y2 float8, variance_y2 float8, mean_x2 float8, variance_x2 float8, covariance2 float8,
	confidence float8 DEFAULT 0.95, alternative text DEFAULT 'two-sided',
	OUT theta float8, OUT difference float8, OUT std_error float8, OUT t float8, OUT df float8, OUT p_value float8,
	OUT ci_low float8, OUT ci_high float8, OUT variance_ratio float8)
AS 'MODULE_PATHNAME', 'te_cuped_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.cuped_test(bigint, float8, float8, float8, float8, float8, bigint, float8, float8, float8, float8, float8, float8, text) IS
'Welch''s test of y - theta x, where x is known from before the experiment and theta = cov(y, x)/var(x) of both groups together (Deng, Xu, Kohavi, Walker, WSDM 2013). variance_ratio: variance of the adjusted difference divided by that of the plain one; near 1 the covariate explains nothing. covariance: covar_samp(y, x).';

CREATE FUNCTION trigger_engine.fisher_test(x1 bigint, n1 bigint, x2 bigint, n2 bigint, alternative text DEFAULT 'two-sided',
	OUT odds_ratio float8, OUT p_value float8)
AS 'MODULE_PATHNAME', 'te_fisher_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.fisher_test(bigint, bigint, bigint, bigint, text) IS
'Fisher''s exact test of two rates. odds_ratio: x2 (n1 - x1) / (x1 (n2 - x2)), the sample''s. Two-sided: all tables that are at most as probable as the observed one.';

/* ---- several arms, several tests ---- */

CREATE FUNCTION trigger_engine.srm_test(observed bigint[], expected float8[], OUT chi2 float8, OUT df int, OUT p_value float8)
AS 'MODULE_PATHNAME', 'te_srm_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.srm_test(bigint[], float8[]) IS
'Sample-ratio check: Pearson''s chi-square of the people in each arm against the expected shares, which are scaled to their sum (experiment_variants.share). A p-value below 0.001 means that assignment or logging is broken: do not read the experiment. Errors: fewer than 2 arms, a share of 0, nobody at all.';

CREATE FUNCTION trigger_engine.independence_test(counts bigint[], OUT chi2 float8, OUT df int, OUT p_value float8)
AS 'MODULE_PATHNAME', 'te_independence_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.independence_test(bigint[]) IS
'Pearson''s chi-square test of independence of a table of two dimensions, as of the arms of two experiments. Empty rows and columns do not count.';

CREATE FUNCTION trigger_engine.holm(p_values float8[]) RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_holm'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.holm(float8[]) IS
'P-values adjusted after Holm (1979), in the order given: those below alpha hold with a family-wise error of alpha. Nulls stay null and do not count.';

CREATE FUNCTION trigger_engine.benjamini_hochberg(p_values float8[]) RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_benjamini_hochberg'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.benjamini_hochberg(float8[]) IS
'P-values adjusted after Benjamini and Hochberg (1995), in the order given: of those below alpha a part of alpha is false on average. Nulls stay null and do not count.';

CREATE FUNCTION trigger_engine.factorial_effects(cells jsonb, max_order int DEFAULT 2, confidence float8 DEFAULT 0.95)
RETURNS TABLE (term text, effect float8, std_error float8, t float8, df float8, p_value float8, ci_low float8, ci_high float8)
AS 'MODULE_PATHNAME', 'te_factorial_effects'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION trigger_engine.factorial_effects(jsonb, int, float8) IS
'Main effects and interactions up to max_order of a full factorial experiment. cells: [{"factors": {"copy": "short", "image": "a"}, "n", "mean", "variance"}, ...], one for each combination; the first level met of a factor is its reference. A main effect is the mean of the level less that of the reference, all other factors averaged with equal weights. An interaction is how much that difference grows from the reference to the level of the other factor. Degrees of freedom after Satterthwaite. Error TE001 when combinations are missing.';

/* ---- before the experiment ---- */

CREATE FUNCTION trigger_engine.proportion_power(rate1 float8, rate2 float8, n1 bigint, n2 bigint, alpha float8 DEFAULT 0.05)
RETURNS float8
AS 'MODULE_PATHNAME', 'te_proportion_power'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.proportion_power(float8, float8, bigint, bigint, float8) IS
'Probability that the two-sided, pooled z test finds the difference of two rates, by the normal approximation (Fleiss, Levin and Paik 2003, 4.2, no continuity correction; R''s power.prop.test(strict = TRUE)).';

CREATE FUNCTION trigger_engine.proportion_sample_size(rate1 float8, rate2 float8, power float8 DEFAULT 0.8, alpha float8 DEFAULT 0.05,
	ratio float8 DEFAULT 1, OUT n1 bigint, OUT n2 bigint, OUT total bigint, OUT attained_power float8)
AS 'MODULE_PATHNAME', 'te_proportion_sample_size'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.proportion_sample_size(float8, float8, float8, float8, float8) IS
'Smallest groups that give proportion_power() of at least power; n2 = ratio n1.';

CREATE FUNCTION trigger_engine.proportion_mde(rate1 float8, n1 bigint, n2 bigint, power float8 DEFAULT 0.8, alpha float8 DEFAULT 0.05)
RETURNS float8
AS 'MODULE_PATHNAME', 'te_proportion_mde'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.proportion_mde(float8, bigint, bigint, float8, float8) IS
'Minimum detectable effect: the smallest increase of rate1, as a difference of rates, that is found with the power. NULL when not even a rate of 1 would be.';

CREATE FUNCTION trigger_engine.mean_power(difference float8, sd float8, n1 bigint, n2 bigint, alpha float8 DEFAULT 0.05)
RETURNS float8
AS 'MODULE_PATHNAME', 'te_mean_power'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.mean_power(float8, float8, bigint, bigint, float8) IS
'Probability that the two-sided two-sample t test finds a difference of means, exactly, by the noncentral t distribution. sd: of one person, the same in both groups.';

CREATE FUNCTION trigger_engine.mean_sample_size(difference float8, sd float8, power float8 DEFAULT 0.8, alpha float8 DEFAULT 0.05,
	ratio float8 DEFAULT 1, OUT n1 bigint, OUT n2 bigint, OUT total bigint, OUT attained_power float8)
AS 'MODULE_PATHNAME', 'te_mean_sample_size'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.mean_sample_size(float8, float8, float8, float8, float8) IS
'Smallest groups that give mean_power() of at least power; n2 = ratio n1.';

CREATE FUNCTION trigger_engine.mean_mde(sd float8, n1 bigint, n2 bigint, power float8 DEFAULT 0.8, alpha float8 DEFAULT 0.05)
RETURNS float8
AS 'MODULE_PATHNAME', 'te_mean_mde'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.mean_mde(float8, bigint, bigint, float8, float8) IS
'Minimum detectable effect: the smallest difference of means that is found with the power.';

CREATE FUNCTION trigger_engine.plan_experiment(rate float8, lift float8, people_per_day float8, arms int DEFAULT 2,
	power float8 DEFAULT 0.8, alpha float8 DEFAULT 0.05, OUT per_arm bigint, OUT total bigint, OUT days float8)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF arms < 2 THEN
		RAISE EXCEPTION 'arms must be at least 2' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF (people_per_day > 0 AND people_per_day < 'Infinity') IS NOT TRUE THEN
		RAISE EXCEPTION 'people_per_day must be more than 0' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT s.n1 INTO per_arm FROM trigger_engine.proportion_sample_size(rate, rate * (1 + lift), power, alpha / (arms - 1)) s;
	total := per_arm * arms;
	days := total / people_per_day;
END
$$;
COMMENT ON FUNCTION trigger_engine.plan_experiment(float8, float8, float8, int, float8, float8) IS
'How long an experiment takes: people for each arm, in all, and days, to find a relative lift (0.1 = a tenth more) of a rate with the power, when each of the other arms is compared with the control at alpha/(arms - 1) (Bonferroni). Whole weeks are wiser than fractions.';

/* ---- looking early ---- */

CREATE FUNCTION trigger_engine.confidence_sequence(estimate float8, std_error float8, n bigint, confidence float8 DEFAULT 0.95,
	tuning float8 DEFAULT 5000, OUT ci_low float8, OUT ci_high float8, OUT p_value float8)
AS 'MODULE_PATHNAME', 'te_confidence_sequence'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.confidence_sequence(float8, float8, bigint, float8, float8) IS
'An interval that may be looked at any time and as often as one likes: the asymptotic confidence sequence of Waudby-Smith et al. (arXiv 2103.06476), as gbstats. estimate and std_error: of a difference, a lift, a CUPED difference; n: people in both groups. tuning: the n at which it is narrowest. p_value: always valid; the smallest seen so far counts. Start when n is in the hundreds.';

CREATE FUNCTION trigger_engine.msprt_test(estimate float8, std_error float8, tau float8, confidence float8 DEFAULT 0.95,
	OUT log_likelihood_ratio float8, OUT p_value float8, OUT ci_low float8, OUT ci_high float8)
AS 'MODULE_PATHNAME', 'te_msprt_test'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.msprt_test(float8, float8, float8, float8) IS
'Mixture sequential probability ratio test with a normal mixture of deviation tau about 0 (Johari et al., KDD 2017): likelihood ratio sqrt(v/(v + tau^2)) exp(tau^2 estimate^2/(2 v (v + tau^2))), v = std_error^2; p_value = min(1, 1/ratio), always valid: the smallest seen so far counts. tau must be fixed beforehand, about the size of effect that is expected.';

CREATE FUNCTION trigger_engine.group_sequential_bounds(fractions float8[], alpha float8 DEFAULT 0.05,
	spending text DEFAULT 'obrien-fleming', sides int DEFAULT 2)
RETURNS TABLE (look int, fraction float8, alpha_spent float8, bound float8, nominal_p float8)
AS 'MODULE_PATHNAME', 'te_group_sequential_bounds'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 5;
COMMENT ON FUNCTION trigger_engine.group_sequential_bounds(float8[], float8, text, int) IS
'Bounds for the z of planned looks after these fractions of the people, by the error spending of Lan and DeMets (1983): obrien-fleming (2 - 2 Phi(z/sqrt t) on each side) or pocock (alpha ln(1 + (e - 1) t)); sides 2 spends half of alpha on each. Stop when |z| is above the bound. By recursive integration (Armitage, McPherson and Rowe 1969). nominal_p: what the bound is as a p-value.';

/* ---- posteriors ---- */

CREATE FUNCTION trigger_engine.bayes_proportions(successes bigint[], trials bigint[], prior_alpha float8 DEFAULT 1, prior_beta float8 DEFAULT 1,
	confidence float8 DEFAULT 0.95, method text DEFAULT 'auto')
RETURNS TABLE (arm int, mean float8, ci_low float8, ci_high float8, chance_to_be_best float8, chance_to_beat_first float8,
	expected_loss float8, computed_by text)
AS 'MODULE_PATHNAME', 'te_bayes_proportions'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 3;
COMMENT ON FUNCTION trigger_engine.bayes_proportions(bigint[], bigint[], float8, float8, float8, text) IS
'Beta posteriors of the arms'' rates under a Beta(prior_alpha, prior_beta) prior: mean, central credible interval, chance to be the best of all, chance to beat arm 1, and expected loss E(max of all - this one), in units of the rate. method: exact (quadrature), normal (normal approximation), auto (exact up to 10 million trials); computed_by says which.';

CREATE FUNCTION trigger_engine.bayes_means(means float8[], variances float8[], counts bigint[], confidence float8 DEFAULT 0.95)
RETURNS TABLE (arm int, mean float8, ci_low float8, ci_high float8, chance_to_be_best float8, chance_to_beat_first float8,
	expected_loss float8, computed_by text)
AS 'MODULE_PATHNAME', 'te_bayes_means'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 3;
COMMENT ON FUNCTION trigger_engine.bayes_means(float8[], float8[], bigint[], float8) IS
'As bayes_proportions() for means: normal posteriors under a flat prior, with variances of one person.';

CREATE FUNCTION trigger_engine.bayes_lift(mean1 float8, variance1 float8, n1 bigint, mean2 float8, variance2 float8, n2 bigint,
	prior_mean float8 DEFAULT 0, prior_sd float8 DEFAULT NULL, confidence float8 DEFAULT 0.95,
	OUT lift float8, OUT sd float8, OUT ci_low float8, OUT ci_high float8, OUT chance_to_win float8,
	OUT loss_of_control float8, OUT loss_of_treatment float8, OUT computed_by text)
AS 'MODULE_PATHNAME', 'te_bayes_lift'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.bayes_lift(float8, float8, bigint, float8, float8, bigint, float8, float8, float8) IS
'Normal posterior of the relative lift mean2/mean1 - 1 by the delta method, under a normal prior (prior_sd NULL = flat), as gbstats: chance that 2 is better, and the expected relative loss of choosing 1 or 2. Error division_by_zero for mean1 = 0.';

/* ---- bandits ---- */

CREATE FUNCTION trigger_engine.thompson_weights(successes bigint[], trials bigint[], prior_alpha float8 DEFAULT 1, prior_beta float8 DEFAULT 1,
	floors float8[] DEFAULT NULL, penalties float8[] DEFAULT NULL)
RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_thompson_weights'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.thompson_weights(bigint[], bigint[], float8, float8, float8[], float8[]) IS
'Probabilities with which Thompson sampling chooses each arm: floor + (1 - sum of floors) P(this arm''s rate less its penalty is the largest), by quadrature over Beta posteriors. floors: what each arm gets in any case, e.g. a tenth for the control. penalties: taken from the rates, e.g. for what the person saw lately.';

CREATE FUNCTION trigger_engine.thompson_choice(seed text, key text, successes bigint[], trials bigint[],
	prior_alpha float8 DEFAULT 1, prior_beta float8 DEFAULT 1, floors float8[] DEFAULT NULL, penalties float8[] DEFAULT NULL,
	OUT arm int, OUT propensity float8, OUT by_floor boolean)
AS 'MODULE_PATHNAME', 'te_thompson_choice'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.thompson_choice(text, text, bigint[], bigint[], float8, float8, float8[], float8[]) IS
'Chooses an arm (counted from 1) by Thompson sampling; the same arguments always choose the same. The draw of arm i is beta_quantile(keyed_uniform(seed, key, i), ...) less its penalty; keyed_uniform(seed, key, 0) below the sum of floors chooses by floor. propensity: probability of the choice, as thompson_weights() has it; store it with the send for ips().';

CREATE FUNCTION trigger_engine.recency_penalty(last_at timestamptz, at timestamptz, size float8, half_life interval)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN $1 IS NULL THEN 0::float8
		ELSE $3 * pg_catalog.power(0.5::float8, (EXTRACT(epoch FROM ($2 OPERATOR(pg_catalog.-) $1))::float8)
			OPERATOR(pg_catalog./) EXTRACT(epoch FROM $4)::float8) END
$$;
COMMENT ON FUNCTION trigger_engine.recency_penalty(timestamptz, timestamptz, float8, interval) IS
'size 0.5^((at - last_at)/half_life): how much a message loses that a person had lately (Yancey and Settles, KDD 2020); 0 when last_at is NULL.';

CREATE TYPE trigger_engine.ips_result AS (n bigint, ips float8, ips_error float8, snips float8, snips_error float8, effective_n float8);
COMMENT ON TYPE trigger_engine.ips_result IS 'Result of ips().';

CREATE FUNCTION trigger_engine._ips_add(state float8[], reward float8, propensity float8, target float8) RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_ips_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._ips_add(float8[], float8, float8, float8) IS 'Transition of ips().';

CREATE FUNCTION trigger_engine._ips_combine(state float8[], other float8[]) RETURNS float8[]
AS 'MODULE_PATHNAME', 'te_ips_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._ips_combine(float8[], float8[]) IS 'Combination of ips().';

CREATE FUNCTION trigger_engine._ips_finish(state float8[]) RETURNS trigger_engine.ips_result
AS 'MODULE_PATHNAME', 'te_ips_finish'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._ips_finish(float8[]) IS 'Result of ips().';

CREATE AGGREGATE trigger_engine.ips(reward float8, propensity float8, target float8) (
	SFUNC = trigger_engine._ips_add, STYPE = float8[], INITCOND = '{0,0,0,0,0,0,0,0,0,0,0}',
	COMBINEFUNC = trigger_engine._ips_combine, FINALFUNC = trigger_engine._ips_finish, PARALLEL = SAFE
);
COMMENT ON AGGREGATE trigger_engine.ips(float8, float8, float8) IS
'What another policy would have earned, from a log: reward of each row, the propensity it was chosen with, and the probability target with which the other policy would choose the same. ips: mean of reward target/propensity, unbiased; snips: self-normalised, steadier; each with its standard error; effective_n: (sum of weights)^2/sum of their squares. Compensated summation: the order of rows does not show. Rows with a NULL are skipped.';
