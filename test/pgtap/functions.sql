-- The contract of the SQL surface: every public function with its arguments, their defaults, its result and its labels.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
BEGIN;
SET search_path = public, pg_catalog;
SELECT no_plan();

CREATE TEMP TABLE contract (
	name text, arguments text, result text,
	volatility "char",			-- i, s, v
	strict boolean,
	parallel "char"				-- s, r, u
);
INSERT INTO contract VALUES
	-- events
	('track_table', 'source regclass, event text, user_column name, properties name[] DEFAULT NULL::name[], time_column name DEFAULT NULL::name, on_update name[] DEFAULT NULL::name[]', 'void', 'v', false, 'u'),
	('untrack_table', 'source regclass, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('create_event_schema', 'event text, schema jsonb, on_violation text DEFAULT ''refuse''::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_event_schema', 'event text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('release_event', 'user_id text, event_id bigint', 'void', 'v', true, 'u'),
	('suggest_delay', 'event text, then_event text, within interval DEFAULT ''1 day''::interval, since interval DEFAULT ''30 days''::interval, buckets integer DEFAULT 12', 'TABLE(up_to interval, times bigint, reached double precision, bar text)', 's', false, 'u'),
	-- time and pressure
	('at_local', 'local timestamp without time zone, zone text', 'timestamp with time zone', 's', true, 's'),
	('next_cron', 'expression text, after timestamp with time zone, zone text DEFAULT ''UTC''::text', 'timestamp with time zone', 's', true, 's'),
	('create_quiet_hours', 'name text, windows jsonb, scope jsonb DEFAULT ''{}''::jsonb, kind text DEFAULT ''quiet''::text, on_quiet text DEFAULT ''hold''::text, zone text DEFAULT NULL::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_quiet_hours', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('create_cap', 'name text, max integer, per interval, scope jsonb DEFAULT ''{}''::jsonb, "window" text DEFAULT ''rolling''::text, on_excess text DEFAULT ''defer''::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_cap', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('set_message_limits', 'user_id text, quiet_hours jsonb DEFAULT NULL::jsonb, caps jsonb DEFAULT NULL::jsonb', 'void', 'v', false, 'u'),
	-- metrics
	('set_conversion', 'journey text, events text[], within interval DEFAULT ''7 days''::interval, model text DEFAULT ''last''::text, value text DEFAULT NULL::text, channel_windows jsonb DEFAULT ''{}''::jsonb', 'void', 'v', false, 'u'),
	('funnel', 'steps text[], since timestamp with time zone, until timestamp with time zone, within interval DEFAULT ''7 days''::interval', 'TABLE(step integer, event text, users bigint, of_first numeric, of_previous numeric, median_time interval)', 's', false, 'u'),
	('retention', 'start_event text, return_event text, since timestamp with time zone, until timestamp with time zone, days integer[] DEFAULT ''{1,7,30}''::integer[], kind text DEFAULT ''exact''::text', 'TABLE(day integer, eligible bigint, returned bigint, rate numeric)', 's', false, 'u'),
	-- segments
	('create_segment', 'name text, view regclass, refresh interval DEFAULT NULL::interval, description text DEFAULT NULL::text, or_replace boolean DEFAULT false, timeout interval DEFAULT NULL::interval, work_mem text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('refresh_segment', 'name text, everybody boolean DEFAULT false, OUT kind text, OUT looked_at bigint, OUT entered bigint, OUT left_it bigint', 'record', 'v', false, 'u'),
	('explain_segment', 'name text', 'jsonb', 'v', true, 'u'),
	('segment_size', 'name text, exact boolean DEFAULT false', 'bigint', 's', false, 'u'),
	('segment_overlap', 'a text, b text, OUT only_a bigint, OUT in_both bigint, OUT only_b bigint, OUT similarity double precision', 'record', 's', true, 'u'),
	('segment_at', 'name text, at timestamp with time zone', 'TABLE(user_id text, entered_at timestamp with time zone, left_at timestamp with time zone)', 's', true, 'u'),
	('segment_recipes', '', 'TABLE(name text, description text, sql text)', 'i', false, 's'),
	('drop_segment', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('in_segment', 'name text, user_id text', 'boolean', 's', true, 'u'),
	('segment_members', 'name text', 'SETOF text', 's', true, 'u'),
	-- templates
	('render', 'template text, context jsonb DEFAULT ''{}''::jsonb, locale text DEFAULT NULL::text, partials jsonb DEFAULT ''{}''::jsonb, options jsonb DEFAULT ''{}''::jsonb', 'text', 's', false, 's'),
	('render_json', 'template text, context json DEFAULT ''{}''::json, locale text DEFAULT NULL::text, partials jsonb DEFAULT ''{}''::jsonb, options jsonb DEFAULT ''{}''::jsonb', 'text', 's', false, 's'),
	('check_template', 'template text, sample jsonb DEFAULT NULL::jsonb, OUT line integer, OUT "column" integer, OUT severity text, OUT message text', 'SETOF record', 's', false, 's'),
	('create_template', 'name text, channel text, content jsonb, locale text DEFAULT NULL::text, or_replace boolean DEFAULT false, draft boolean DEFAULT false, default_locale text DEFAULT NULL::text, requires_approval boolean DEFAULT NULL::boolean, description text DEFAULT NULL::text, note text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('alter_template', 'name text, default_locale text DEFAULT NULL::text, requires_approval boolean DEFAULT NULL::boolean, description text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('drop_template', 'name text, locale text DEFAULT NULL::text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('approve_template', 'name text, locale text DEFAULT NULL::text, version integer DEFAULT NULL::integer', 'integer', 'v', false, 'u'),
	('publish_template', 'name text, locale text DEFAULT NULL::text, version integer DEFAULT NULL::integer', 'integer', 'v', false, 'u'),
	('rollback_template', 'name text, locale text DEFAULT NULL::text, version integer DEFAULT NULL::integer', 'integer', 'v', false, 'u'),
	('preview_template', 'name text, user_id text DEFAULT NULL::text, locale text DEFAULT NULL::text, event jsonb DEFAULT ''{}''::jsonb, version integer DEFAULT NULL::integer, draft boolean DEFAULT false, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(field text, content text, graphemes integer, bytes integer, encoding text, segments integer, warnings text[], locale_used text, version_used integer)', 'v', false, 'u'),
	-- localisation
	('locale_chain', 'locale text', 'text[]', 'i', true, 's'),
	('best_locale', 'wanted text, available text[]', 'text', 'i', true, 's'),
	('locale_direction', 'locale text', 'text', 'i', true, 's'),
	('plural_category', 'locale text, number text, kind text DEFAULT ''cardinal''::text', 'text', 's', true, 's'),
	('plural_categories', 'locale text, kind text DEFAULT ''cardinal''::text', 'text[]', 's', true, 's'),
	('graphemes', 'value text', 'text[]', 's', true, 's'),
	('format_number', 'value numeric, locale text DEFAULT ''en''::text, style text DEFAULT ''decimal''::text', 'text', 's', true, 's'),
	('format_currency', 'value numeric, currency text, locale text DEFAULT ''en''::text', 'text', 's', true, 's'),
	('format_date', 'at timestamp with time zone, locale text DEFAULT ''en''::text, style text DEFAULT ''medium''::text, zone text DEFAULT NULL::text', 'text', 's', false, 's'),
	('format_time', 'at timestamp with time zone, locale text DEFAULT ''en''::text, style text DEFAULT ''short''::text, zone text DEFAULT NULL::text', 'text', 's', false, 's'),
	('format_list', 'items text[], locale text DEFAULT ''en''::text, style text DEFAULT ''and''::text', 'text', 's', true, 's'),
	('format_message', 'message text, arguments jsonb DEFAULT ''{}''::jsonb, locale text DEFAULT ''en''::text', 'text', 's', true, 's'),
	('set_translation', 'locale text, key text, text text DEFAULT NULL::text, plurals jsonb DEFAULT NULL::jsonb, namespace text DEFAULT NULL::text, tenant text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('import_translations', 'locale text, translations jsonb, namespace text DEFAULT NULL::text, tenant text DEFAULT NULL::text, drop_others boolean DEFAULT false', 'bigint', 'v', false, 'u'),
	('drop_translation', 'key text, locale text DEFAULT NULL::text, namespace text DEFAULT NULL::text, tenant text DEFAULT NULL::text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('translations_for', 'locale text, namespace text DEFAULT NULL::text, default_locale text DEFAULT NULL::text, tenant text DEFAULT NULL::text', 'jsonb', 's', false, 'u'),
	('missing_translations', 'locales text[] DEFAULT NULL::text[], template text DEFAULT NULL::text', 'TABLE(template text, key text, locale text, problem text, categories text[])', 's', false, 'u'),
	('create_holiday', 'country text, day date, name text, every_year boolean DEFAULT false, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('import_holidays', 'country text, days jsonb', 'bigint', 'v', false, 'u'),
	('drop_holiday', 'country text, day date, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('is_holiday', 'country text, day date', 'boolean', 's', true, 'u'),
	('is_working_day', 'country text, day date', 'boolean', 's', true, 'u'),
	('next_working_day', 'country text, day date, inclusive boolean DEFAULT false', 'date', 's', true, 'u'),
	-- journeys
	('create_journey', 'name text, trigger jsonb, steps jsonb, exit_on jsonb DEFAULT NULL::jsonb, goal jsonb DEFAULT NULL::jsonb, reentry jsonb DEFAULT NULL::jsonb, segment text DEFAULT NULL::text, topic text DEFAULT NULL::text, transactional boolean DEFAULT false, ttl interval DEFAULT NULL::interval, purpose text DEFAULT NULL::text, priority integer DEFAULT 0, description text DEFAULT NULL::text, enabled boolean DEFAULT true, or_replace boolean DEFAULT false', 'bigint', 'v', false, 'u'),
	('alter_journey', 'name text, trigger jsonb DEFAULT NULL::jsonb, steps jsonb DEFAULT NULL::jsonb, exit_on jsonb DEFAULT NULL::jsonb, goal jsonb DEFAULT NULL::jsonb, reentry jsonb DEFAULT NULL::jsonb, segment text DEFAULT NULL::text, topic text DEFAULT NULL::text, transactional boolean DEFAULT NULL::boolean, ttl interval DEFAULT NULL::interval, purpose text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, description text DEFAULT NULL::text, new_name text DEFAULT NULL::text', 'integer', 'v', false, 'u'),
	('enable_journey', 'name text', 'void', 'v', false, 'u'),
	('disable_journey', 'name text', 'void', 'v', false, 'u'),
	('drop_journey', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('set_consent', 'user_id text, channel text, state text, topic text DEFAULT NULL::text, source text DEFAULT NULL::text, at timestamp with time zone DEFAULT NULL::timestamp with time zone, proof jsonb DEFAULT NULL::jsonb', 'void', 'v', false, 'u'),
	-- steps
	('set_life_stages', 'new_for interval DEFAULT ''7 days''::interval, considering_within interval DEFAULT ''7 days''::interval, at_risk_after interval DEFAULT ''14 days''::interval, lapsed_after interval DEFAULT ''30 days''::interval, won_back_for interval DEFAULT ''14 days''::interval, considering text[] DEFAULT ''{cart,checkout}''::text[], conversions text[] DEFAULT ''{order,purchase}''::text[]', 'void', 'v', false, 'u'),
	('life_stage', 'user_id text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'text', 's', false, 'u'),
	('add_to_list', 'list text, user_id text', 'boolean', 'v', false, 'u'),
	('remove_from_list', 'list text, user_id text', 'boolean', 'v', false, 'u'),
	('archive_journey', 'name text', 'bigint', 'v', false, 'u'),
	('move_enrollments', 'journey text, to_version integer DEFAULT NULL::integer', 'jsonb', 'v', false, 'u'),
	('start_journey', 'name text, user_id text, context jsonb DEFAULT ''{}''::jsonb', 'boolean', 'v', false, 'u'),
	('leave_journey', 'name text, user_id text, reason text DEFAULT NULL::text', 'bigint', 'v', false, 'u'),
	-- providers
	('create_provider', 'name text, kind text, options jsonb, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('alter_provider', 'name text, options jsonb DEFAULT NULL::jsonb, enabled boolean DEFAULT NULL::boolean', 'void', 'v', false, 'u'),
	('drop_provider', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('set_secret', 'provider text, secret jsonb', 'void', 'v', false, 'u'),
	-- chance
	('bucket', 'seed text, value text, version integer DEFAULT 2', 'double precision', 'i', true, 's'),
	('murmur3', 'value text, seed bigint DEFAULT 0', 'bigint', 'i', true, 's'),
	('keyed_uniform', 'seed text, key text, n integer DEFAULT 0', 'double precision', 'i', true, 's'),
	('equal_weights', 'n integer', 'double precision[]', 'i', true, 's'),
	('bucket_ranges', 'n integer, coverage double precision DEFAULT 1, weights double precision[] DEFAULT NULL::double precision[]', 'double precision[]', 'i', false, 's'),
	('choose_variant', 'bucket double precision, ranges double precision[]', 'integer', 'i', true, 's'),
	('in_namespace', 'user_id text, namespace text, range_start double precision, range_end double precision, version integer DEFAULT 1', 'boolean', 'i', true, 's'),
	('bucket_shares', 'ranges double precision[], version integer DEFAULT 2', 'double precision[]', 'i', true, 's'),
	('matches_condition', 'condition jsonb, attributes jsonb, groups jsonb DEFAULT ''{}''::jsonb', 'boolean', 'i', true, 's'),
	('growthbook_experiment', 'experiment jsonb, context jsonb DEFAULT ''{}''::jsonb', 'jsonb', 'i', true, 's'),
	('growthbook_feature', 'feature text, context jsonb', 'jsonb', 'i', true, 's'),
	-- experiments
	('create_experiment', 'name text, variants jsonb, coverage double precision DEFAULT 1, namespace text DEFAULT NULL::text, salt text DEFAULT NULL::text, namespace_range double precision[] DEFAULT NULL::double precision[], hash_version integer DEFAULT 2, sticky boolean DEFAULT false, description text DEFAULT NULL::text, enabled boolean DEFAULT true, or_replace boolean DEFAULT false', 'bigint', 'v', false, 'u'),
	('alter_experiment', 'name text, variants jsonb DEFAULT NULL::jsonb, coverage double precision DEFAULT NULL::double precision, namespace_range double precision[] DEFAULT NULL::double precision[], salt text DEFAULT NULL::text, sticky boolean DEFAULT NULL::boolean, description text DEFAULT NULL::text, new_name text DEFAULT NULL::text', 'integer', 'v', false, 'u'),
	('start_experiment', 'name text', 'void', 'v', false, 'u'),
	('stop_experiment', 'name text, winner text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('drop_experiment', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('create_holdout', 'name text, share double precision, journey text DEFAULT NULL::text, topic text DEFAULT NULL::text, salt text DEFAULT NULL::text, description text DEFAULT NULL::text, or_replace boolean DEFAULT false', 'bigint', 'v', false, 'u'),
	('alter_holdout', 'name text, share double precision DEFAULT NULL::double precision, salt text DEFAULT NULL::text, description text DEFAULT NULL::text', 'integer', 'v', false, 'u'),
	('create_namespace', 'name text, salt text DEFAULT NULL::text, hash_version integer DEFAULT 2, description text DEFAULT NULL::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_namespace', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('assignment', 'experiment text, user_id text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'text', 's', false, 'u'),
	('assign', 'experiment text, user_id text', 'text', 'v', true, 'u'),
	('explain_assignment', 'experiment text, user_id text, at timestamp with time zone DEFAULT NULL::timestamp with time zone, OUT variant text, OUT value jsonb, OUT source text, OUT epoch integer, OUT bucket double precision, OUT propensity double precision, OUT reason text', 'record', 's', false, 'u'),
	('held_out', 'user_id text, journey text DEFAULT NULL::text, topic text DEFAULT NULL::text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'text', 's', false, 'u'),
	('force_assignment', 'experiment text, user_id text, variant text', 'void', 'v', false, 'u'),
	('import_assignments', 'experiment text, user_ids text[], variants text[], at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'bigint', 'v', false, 'u'),
	-- statistics
	('normal_cdf', 'x double precision', 'double precision', 'i', true, 's'),
	('normal_quantile', 'p double precision', 'double precision', 'i', true, 's'),
	('t_cdf', 't double precision, df double precision', 'double precision', 'i', true, 's'),
	('t_quantile', 'p double precision, df double precision', 'double precision', 'i', true, 's'),
	('chi2_tail', 'x double precision, df double precision', 'double precision', 'i', true, 's'),
	('beta_cdf', 'x double precision, a double precision, b double precision', 'double precision', 'i', true, 's'),
	('beta_quantile', 'p double precision, a double precision, b double precision', 'double precision', 'i', true, 's'),
	('proportion_test', 'x1 bigint, n1 bigint, x2 bigint, n2 bigint, confidence double precision DEFAULT 0.95, alternative text DEFAULT ''two-sided''::text, OUT rate1 double precision, OUT rate2 double precision, OUT difference double precision, OUT std_error double precision, OUT z double precision, OUT p_value double precision, OUT ci_low double precision, OUT ci_high double precision, OUT score_low double precision, OUT score_high double precision', 'record', 'i', true, 's'),
	('welch_test', 'mean1 double precision, variance1 double precision, n1 bigint, mean2 double precision, variance2 double precision, n2 bigint, confidence double precision DEFAULT 0.95, alternative text DEFAULT ''two-sided''::text, OUT difference double precision, OUT std_error double precision, OUT t double precision, OUT df double precision, OUT p_value double precision, OUT ci_low double precision, OUT ci_high double precision', 'record', 'i', true, 's'),
	('relative_lift', 'mean1 double precision, variance1 double precision, n1 bigint, mean2 double precision, variance2 double precision, n2 bigint, confidence double precision DEFAULT 0.95, alternative text DEFAULT ''two-sided''::text, OUT lift double precision, OUT std_error double precision, OUT t double precision, OUT df double precision, OUT p_value double precision, OUT ci_low double precision, OUT ci_high double precision', 'record', 'i', true, 's'),
	('cuped_test', 'n1 bigint, mean_y1 double precision, variance_y1 double precision, mean_x1 double precision, variance_x1 double precision, covariance1 double precision, n2 bigint, mean_y2 double precision, variance_y2 double precision, mean_x2 double precision, variance_x2 double precision, covariance2 double precision, confidence double precision DEFAULT 0.95, alternative text DEFAULT ''two-sided''::text, OUT theta double precision, OUT difference double precision, OUT std_error double precision, OUT t double precision, OUT df double precision, OUT p_value double precision, OUT ci_low double precision, OUT ci_high double precision, OUT variance_ratio double precision', 'record', 'i', true, 's'),
	('fisher_test', 'x1 bigint, n1 bigint, x2 bigint, n2 bigint, alternative text DEFAULT ''two-sided''::text, OUT odds_ratio double precision, OUT p_value double precision', 'record', 'i', true, 's'),
	('srm_test', 'observed bigint[], expected double precision[], OUT chi2 double precision, OUT df integer, OUT p_value double precision', 'record', 'i', true, 's'),
	('independence_test', 'counts bigint[], OUT chi2 double precision, OUT df integer, OUT p_value double precision', 'record', 'i', true, 's'),
	('holm', 'p_values double precision[]', 'double precision[]', 'i', true, 's'),
	('benjamini_hochberg', 'p_values double precision[]', 'double precision[]', 'i', true, 's'),
	('factorial_effects', 'cells jsonb, max_order integer DEFAULT 2, confidence double precision DEFAULT 0.95', 'TABLE(term text, effect double precision, std_error double precision, t double precision, df double precision, p_value double precision, ci_low double precision, ci_high double precision)', 'i', true, 's'),
	('proportion_power', 'rate1 double precision, rate2 double precision, n1 bigint, n2 bigint, alpha double precision DEFAULT 0.05', 'double precision', 'i', true, 's'),
	('proportion_sample_size', 'rate1 double precision, rate2 double precision, power double precision DEFAULT 0.8, alpha double precision DEFAULT 0.05, ratio double precision DEFAULT 1, OUT n1 bigint, OUT n2 bigint, OUT total bigint, OUT attained_power double precision', 'record', 'i', true, 's'),
	('proportion_mde', 'rate1 double precision, n1 bigint, n2 bigint, power double precision DEFAULT 0.8, alpha double precision DEFAULT 0.05', 'double precision', 'i', true, 's'),
	('mean_power', 'difference double precision, sd double precision, n1 bigint, n2 bigint, alpha double precision DEFAULT 0.05', 'double precision', 'i', true, 's'),
	('mean_sample_size', 'difference double precision, sd double precision, power double precision DEFAULT 0.8, alpha double precision DEFAULT 0.05, ratio double precision DEFAULT 1, OUT n1 bigint, OUT n2 bigint, OUT total bigint, OUT attained_power double precision', 'record', 'i', true, 's'),
	('mean_mde', 'sd double precision, n1 bigint, n2 bigint, power double precision DEFAULT 0.8, alpha double precision DEFAULT 0.05', 'double precision', 'i', true, 's'),
	('plan_experiment', 'rate double precision, lift double precision, people_per_day double precision, arms integer DEFAULT 2, power double precision DEFAULT 0.8, alpha double precision DEFAULT 0.05, OUT per_arm bigint, OUT total bigint, OUT days double precision', 'record', 'i', true, 's'),
	('confidence_sequence', 'estimate double precision, std_error double precision, n bigint, confidence double precision DEFAULT 0.95, tuning double precision DEFAULT 5000, OUT ci_low double precision, OUT ci_high double precision, OUT p_value double precision', 'record', 'i', true, 's'),
	('msprt_test', 'estimate double precision, std_error double precision, tau double precision, confidence double precision DEFAULT 0.95, OUT log_likelihood_ratio double precision, OUT p_value double precision, OUT ci_low double precision, OUT ci_high double precision', 'record', 'i', true, 's'),
	('group_sequential_bounds', 'fractions double precision[], alpha double precision DEFAULT 0.05, spending text DEFAULT ''obrien-fleming''::text, sides integer DEFAULT 2', 'TABLE(look integer, fraction double precision, alpha_spent double precision, bound double precision, nominal_p double precision)', 'i', true, 's'),
	('bayes_proportions', 'successes bigint[], trials bigint[], prior_alpha double precision DEFAULT 1, prior_beta double precision DEFAULT 1, confidence double precision DEFAULT 0.95, method text DEFAULT ''auto''::text', 'TABLE(arm integer, mean double precision, ci_low double precision, ci_high double precision, chance_to_be_best double precision, chance_to_beat_first double precision, expected_loss double precision, computed_by text)', 'i', true, 's'),
	('bayes_means', 'means double precision[], variances double precision[], counts bigint[], confidence double precision DEFAULT 0.95', 'TABLE(arm integer, mean double precision, ci_low double precision, ci_high double precision, chance_to_be_best double precision, chance_to_beat_first double precision, expected_loss double precision, computed_by text)', 'i', true, 's'),
	('bayes_lift', 'mean1 double precision, variance1 double precision, n1 bigint, mean2 double precision, variance2 double precision, n2 bigint, prior_mean double precision DEFAULT 0, prior_sd double precision DEFAULT NULL::double precision, confidence double precision DEFAULT 0.95, OUT lift double precision, OUT sd double precision, OUT ci_low double precision, OUT ci_high double precision, OUT chance_to_win double precision, OUT loss_of_control double precision, OUT loss_of_treatment double precision, OUT computed_by text', 'record', 'i', false, 's'),
	('thompson_weights', 'successes bigint[], trials bigint[], prior_alpha double precision DEFAULT 1, prior_beta double precision DEFAULT 1, floors double precision[] DEFAULT NULL::double precision[], penalties double precision[] DEFAULT NULL::double precision[]', 'double precision[]', 'i', false, 's'),
	('thompson_choice', 'seed text, key text, successes bigint[], trials bigint[], prior_alpha double precision DEFAULT 1, prior_beta double precision DEFAULT 1, floors double precision[] DEFAULT NULL::double precision[], penalties double precision[] DEFAULT NULL::double precision[], OUT arm integer, OUT propensity double precision, OUT by_floor boolean', 'record', 'i', false, 's'),
	('recency_penalty', 'last_at timestamp with time zone, at timestamp with time zone, size double precision, half_life interval', 'double precision', 'i', false, 's'),
	('ips', 'reward double precision, propensity double precision, target double precision', 'trigger_engine.ips_result', 'i', false, 's'),
	('create_provider_kind', 'name text, channel text, definition jsonb, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_provider_kind', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	-- results and reports
	('experiment_results', 'name text, event text DEFAULT NULL::text, within interval DEFAULT NULL::interval, value text DEFAULT NULL::text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, complete boolean DEFAULT false, confidence double precision DEFAULT 0.95', 'TABLE(variant text, control boolean, people bigint, conversions bigint, rate double precision, difference double precision, difference_low double precision, difference_high double precision, test text, p_value double precision, p_holm double precision, p_bh double precision, lift double precision, lift_low double precision, lift_high double precision, always_low double precision, always_high double precision, always_p double precision, chance_to_be_best double precision, expected_loss double precision, value_per_person double precision, value_p_value double precision, expected_people double precision, srm_p_value double precision, first_at timestamp with time zone)', 's', false, 'u'),
	('experiment_decision', 'name text, event text DEFAULT NULL::text, within interval DEFAULT NULL::interval, guardrails jsonb DEFAULT ''[]''::jsonb, method text DEFAULT ''sequential''::text, min_people bigint DEFAULT 100, min_runtime interval DEFAULT ''7 days''::interval, max_loss double precision DEFAULT 0.001, confidence double precision DEFAULT 0.95, OUT decision text, OUT winner text, OUT reasons text[]', 'record', 's', false, 'u'),
	('holdout_lift', 'journey text, event text DEFAULT NULL::text, within interval DEFAULT NULL::interval, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, complete boolean DEFAULT false, confidence double precision DEFAULT 0.95, OUT people_free bigint, OUT conversions_free bigint, OUT rate_free double precision, OUT people_held bigint, OUT conversions_held bigint, OUT rate_held double precision, OUT difference double precision, OUT ci_low double precision, OUT ci_high double precision, OUT test text, OUT p_value double precision, OUT lift double precision, OUT lift_low double precision, OUT lift_high double precision, OUT incremental double precision, OUT incremental_low double precision, OUT incremental_high double precision', 'record', 's', false, 'u'),
	('journey_chart', 'journey text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, width integer DEFAULT 40', 'TABLE(step text, outcome text, messages bigint, share numeric, chart text)', 's', false, 'u'),
	('report_html', 'journey text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, template text DEFAULT NULL::text', 'text', 's', false, 'u'),
	('report_template', '', 'text', 'i', false, 's'),
	-- scoring
	('create_survey', 'name text, question text, scale text, period interval DEFAULT ''90 days''::interval, attribute text DEFAULT NULL::text, limits jsonb DEFAULT NULL::jsonb, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_survey', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('ask', 'survey text, user_id text, send_id bigint DEFAULT NULL::bigint', 'text', 'v', false, 'u'),
	('record_answer', 'survey text, user_id text, score integer, comment text DEFAULT NULL::text, item_id text DEFAULT NULL::text', 'boolean', 'v', false, 'u'),
	('survey_results', 'survey text, since timestamp with time zone DEFAULT ''-infinity''::timestamp with time zone, until timestamp with time zone DEFAULT ''infinity''::timestamp with time zone, OUT asked bigint, OUT answered bigint, OUT positive bigint, OUT neutral bigint, OUT negative bigint, OUT mean double precision, OUT result double precision, OUT low double precision, OUT high double precision', 'record', 's', false, 'u'),
	('set_traits', 'user_id text, traits jsonb, source text DEFAULT ''application''::text', 'void', 'v', false, 'u'),
	('segment_clusters', 'model text, schema regnamespace, prefix text DEFAULT NULL::text', 'TABLE(segment text, view regclass, size bigint, description text)', 'v', false, 'u'),
	('cluster_drift', 'model text', 'TABLE(cluster integer, share_then double precision, share_now double precision, distance_then double precision, distance_now double precision, stability_index double precision)', 'v', false, 'u'),
	('create_offer', 'name text, discount jsonb, rules jsonb DEFAULT ''[]''::jsonb, with_codes boolean DEFAULT true, valid_from timestamp with time zone DEFAULT NULL::timestamp with time zone, valid_until timestamp with time zone DEFAULT NULL::timestamp with time zone, valid_for interval DEFAULT NULL::interval, description text DEFAULT NULL::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_offer', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('import_offer_codes', 'offer text, codes text[]', 'integer', 'v', false, 'u'),
	('generate_offer_codes', 'offer text, n integer, prefix text DEFAULT ''''::text, length integer DEFAULT 10', 'integer', 'v', false, 'u'),
	('reserve_offer', 'offer text, user_id text, OUT code text, OUT discount jsonb, OUT expires_at timestamp with time zone', 'record', 'v', false, 'u'),
	('redeem_offer', 'offer text, user_id text, code text DEFAULT NULL::text, properties jsonb DEFAULT ''{}''::jsonb, OUT redeemed boolean, OUT reason text, OUT discount jsonb', 'record', 'v', false, 'u'),
	('churn_risk', 'model jsonb, frequency double precision, recency double precision, age double precision, horizon double precision', 'double precision', 'i', true, 's'),
	('alive_probability', 'model jsonb, frequency double precision, recency double precision, age double precision', 'double precision', 'i', true, 's'),
	('expected_purchases', 'model jsonb, frequency double precision, recency double precision, age double precision, horizon double precision', 'double precision', 'i', true, 's'),
	('churn_band', 'risk double precision, bounds double precision[] DEFAULT ''{0.3,0.6,0.85}''::double precision[], labels text[] DEFAULT ''{low,medium,high,critical}''::text[]', 'text', 'i', true, 's'),
	('expected_spend', 'model jsonb, frequency double precision, spend double precision', 'double precision', 'i', true, 's'),
	('lifetime_value', 'churn_model jsonb, spend_model jsonb, frequency double precision, recency double precision, age double precision, spend double precision, horizon double precision, discount double precision DEFAULT 0', 'double precision', 'i', true, 's'),
	('assign_cluster', 'model jsonb, features jsonb', 'integer', 'i', true, 's'),
	('simple_silhouette', 'point double precision[], centers double precision[]', 'double precision', 'i', true, 's'),
	('beta_rate', 'prior jsonb, successes double precision, trials double precision', 'double precision', 'i', true, 's'),
	('message_value', 'relevance double precision, probability double precision', 'double precision', 'i', true, 's'),
	('cosine_similarity', 'a jsonb, b jsonb', 'double precision', 'i', true, 's'),
	('log_likelihood_ratio', 'k11 double precision, k12 double precision, k21 double precision, k22 double precision', 'double precision', 'i', true, 's'),
	('root_log_likelihood_ratio', 'k11 double precision, k12 double precision, k21 double precision, k22 double precision', 'double precision', 'i', true, 's'),
	('model_parameters', 'name text, version integer DEFAULT NULL::integer', 'jsonb', 's', false, 'u'),
	('model_metrics', 'name text, version integer DEFAULT NULL::integer', 'jsonb', 's', false, 'u'),
	('model_features', 'name text', 'TABLE(feature text, weight double precision, evidence double precision, mean double precision, deviation double precision)', 's', true, 'u'),
	('predict', 'name text, features jsonb', 'double precision', 's', true, 's'),
	('purchase_summary', 'query text, until timestamp with time zone DEFAULT NULL::timestamp with time zone, unit interval DEFAULT ''7 days''::interval, by_day boolean DEFAULT true', 'TABLE(user_id text, frequency double precision, recency double precision, age double precision, spend double precision)', 'v', false, 'u'),
	('fit_churn', 'query text, model text DEFAULT ''bg_nbd''::text, save_as text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('fit_spend', 'query text, save_as text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('kmeans', 'query text, k integer DEFAULT NULL::integer, seed bigint DEFAULT 1, restarts integer DEFAULT 10, standardize text DEFAULT ''none''::text, key_column text DEFAULT NULL::text, options jsonb DEFAULT ''{}''::jsonb', 'TABLE(key text, cluster integer, distance double precision)', 'v', false, 'u'),
	('fit_kmeans', 'query text, k integer DEFAULT NULL::integer, seed bigint DEFAULT 1, restarts integer DEFAULT 10, standardize text DEFAULT ''none''::text, save_as text DEFAULT NULL::text, key_column text DEFAULT NULL::text, options jsonb DEFAULT ''{}''::jsonb', 'jsonb', 'v', false, 'u'),
	('choose_k', 'query text, k_min integer DEFAULT 2, k_max integer DEFAULT 10, seed bigint DEFAULT 1, restarts integer DEFAULT 10, standardize text DEFAULT ''none''::text, key_column text DEFAULT NULL::text, options jsonb DEFAULT ''{}''::jsonb', 'TABLE(k integer, inertia double precision, silhouette double precision, chosen boolean)', 'v', false, 'u'),
	('rollback_model', 'name text, version integer DEFAULT NULL::integer', 'integer', 'v', false, 'u'),
	('drop_model', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('train_model', 'name text, query text, target text, options jsonb DEFAULT ''{}''::jsonb', 'jsonb', 'v', false, 'u'),
	('update_model', 'name text, query text', 'jsonb', 'v', true, 'u'),
	('backtest_model', 'query text, target text, time_column text, folds integer DEFAULT 5, options jsonb DEFAULT ''{}''::jsonb', 'TABLE(fold integer, train_rows bigint, test_rows bigint, train_rate double precision, test_rate double precision, base_log_loss double precision, log_loss double precision, auc double precision, calibration_error double precision)', 'v', false, 'u'),
	('model_drift', 'name text, query text', 'TABLE(feature text, stability_index double precision, verdict text, rows double precision)', 'v', true, 'u'),
	('evaluate_predictions', 'query text', 'jsonb', 'v', true, 'u'),
	('fit_beta_prior', 'query text, save_as text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('refresh_engagement', '', 'integer', 'v', false, 'u'),
	('engagement_features', 'user_id text, channel text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'jsonb', 's', false, 'u'),
	('retrain_model', 'name text', 'jsonb', 'v', true, 'u'),
	('rfm', 'query text, until timestamp with time zone DEFAULT NULL::timestamp with time zone, groups integer DEFAULT 5', 'TABLE(user_id text, recency double precision, frequency bigint, monetary double precision, r integer, f integer, m integer, cell text)', 'v', false, 'u'),
	('set_interest_dimension', 'dimension text, half_life interval, importance double precision DEFAULT 1', 'void', 'v', false, 'u'),
	('refresh_interests', 'forget_below double precision DEFAULT 0.001', 'bigint', 'v', false, 'u'),
	('backtest_recommendations', 'query text, split_at timestamp with time zone, k integer DEFAULT 20, neighbours integer DEFAULT 50, max_basket integer DEFAULT 50', 'TABLE(method text, users bigint, recall double precision, ndcg double precision)', 'v', true, 'u'),
	('refresh_recommendations', 'neighbours integer DEFAULT 50, max_basket integer DEFAULT 50, everything boolean DEFAULT false', 'integer', 'v', false, 'u'),
	('engagement_probability', 'user_id text, channel text, at timestamp with time zone DEFAULT NULL::timestamp with time zone, kind text DEFAULT ''click''::text, model text DEFAULT NULL::text', 'double precision', 's', false, 'u'),
	('interests', 'user_id text, dimension text DEFAULT NULL::text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(dimension text, value text, weight double precision)', 's', false, 'u'),
	('relevance_score', 'user_id text, item jsonb, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'double precision', 's', false, 'u'),
	('similar_items', 'item_id text, n integer DEFAULT 10', 'TABLE(item_id text, score double precision)', 's', false, 'u'),
	('recommend', 'user_id text, n integer DEFAULT 10, kind text DEFAULT ''complementary''::text, items text[] DEFAULT NULL::text[], exclude_owned boolean DEFAULT true', 'TABLE(rank integer, item_id text, score double precision, reason text)', 's', false, 'u'),
	('record_engagement', 'user_id text, channel text, sent_at timestamp with time zone, kind text DEFAULT ''send''::text, zone text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('add_interest', 'user_id text, features jsonb, amount double precision DEFAULT 1, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'void', 'v', false, 'u'),
	('set_item', 'item_id text, features jsonb DEFAULT NULL::jsonb, available boolean DEFAULT NULL::boolean', 'void', 'v', false, 'u'),
	('record_basket', 'user_id text, items text[], at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'void', 'v', false, 'u'),
	('smoothed_hours', 'counts double precision[], prior double precision[] DEFAULT NULL::double precision[], strength double precision DEFAULT 20', 'double precision[]', 'i', false, 's'),
	('hour_probabilities', 'user_id text, channel text, kind text DEFAULT ''open''::text', 'TABLE(weekend boolean, hour integer, sends bigint, hits bigint, probability double precision)', 's', false, 'u'),
	('best_hour', 'user_id text, channel text, earliest timestamp with time zone DEFAULT NULL::timestamp with time zone, latest timestamp with time zone DEFAULT NULL::timestamp with time zone, kind text DEFAULT ''open''::text, explore double precision DEFAULT 0', 'timestamp with time zone', 's', false, 'u'),
	('backtest_hours', 'query text, split_at timestamp with time zone, strengths double precision[] DEFAULT ''{1,5,10,20,50}''::double precision[]', 'TABLE(strength double precision, events bigint, log_loss double precision, hit_rate double precision)', 'v', true, 'u'),
	-- sends and the inbox
	('why_not', 'journey text, user_id text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(step integer, what text, result text, detail text)', 'v', false, 'u'),
	('dry_run', 'journey text, user_id text, event jsonb DEFAULT ''{}''::jsonb, step text DEFAULT NULL::text, at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(what text, result text, detail text, content jsonb)', 'v', false, 'u'),
	('user_timeline', 'user_id text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(at timestamp with time zone, what text, subject text, detail text, journey text, send_id bigint)', 's', false, 'u'),
	('explain_journey', 'name text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(step text, what text, entered bigint, waiting bigint, passed bigint, dropped bigint, conversions bigint, median_time interval, note text)', 's', false, 'u'),
	('explain_send', 'send_id bigint', 'TABLE(step integer, what text, result text, detail text)', 's', false, 'u'),
	('cancel_sends', 'journey text DEFAULT NULL::text, user_id text DEFAULT NULL::text, reason text DEFAULT NULL::text', 'bigint', 'v', false, 'u'),
	('retry_sends', 'journey text DEFAULT NULL::text, states text[] DEFAULT ''{unknown,rejected}''::text[], since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone', 'bigint', 'v', false, 'u'),
	('inbox', 'user_id text, archived boolean DEFAULT false, max_messages integer DEFAULT 50, before timestamp with time zone DEFAULT NULL::timestamp with time zone', 'SETOF trigger_engine.inbox', 's', false, 'u'),
	('inbox_counts', 'user_id text', 'TABLE(total bigint, unseen bigint, unread bigint, snoozed bigint, archived bigint)', 's', false, 'u'),
	('mark_inbox', 'user_id text, action text, send_ids bigint[] DEFAULT NULL::bigint[], snooze_until timestamp with time zone DEFAULT NULL::timestamp with time zone', 'bigint', 'v', false, 'u'),
	-- people
	('create_topic', 'name text, titles jsonb DEFAULT ''{}''::jsonb, channels text[] DEFAULT NULL::text[], default_state text DEFAULT NULL::text, frequencies jsonb DEFAULT ''{}''::jsonb, legal_basis text DEFAULT ''consent''::text, purpose text DEFAULT NULL::text, transactional boolean DEFAULT false, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_topic', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('set_legal_basis', 'purpose text, legal_basis text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('set_preference', 'user_id text, topic text, state text DEFAULT NULL::text, channel text DEFAULT ''*''::text, frequency text DEFAULT NULL::text, source text DEFAULT NULL::text, proof jsonb DEFAULT NULL::jsonb', 'void', 'v', false, 'u'),
	('set_preferences', 'user_id text, preferences jsonb, source text DEFAULT NULL::text, proof jsonb DEFAULT NULL::jsonb', 'integer', 'v', false, 'u'),
	('preferences', 'user_id text, locale text DEFAULT NULL::text', 'TABLE(topic text, title text, channel text, state text, frequency text, frequencies text[], transactional boolean)', 's', false, 'u'),
	('suppress', 'channel text, address text DEFAULT NULL::text, user_id text DEFAULT NULL::text, reason text DEFAULT ''by hand''::text, scope text DEFAULT ''all''::text, hashed boolean DEFAULT false, source text DEFAULT NULL::text', 'boolean', 'v', false, 'u'),
	('unsuppress', 'channel text, address text DEFAULT NULL::text, user_id text DEFAULT NULL::text', 'boolean', 'v', false, 'u'),
	('consent_token', 'user_id text, channel text DEFAULT ''*''::text, topic text DEFAULT NULL::text, scope text DEFAULT ''preferences''::text, valid_for interval DEFAULT ''400 days''::interval', 'text', 'v', false, 'u'),
	('rotate_token_key', 'revoke boolean DEFAULT false', 'void', 'v', false, 'u'),
	('unsubscribe_info', 'token text', 'jsonb', 's', false, 'u'),
	('unsubscribe', 'token text, body text DEFAULT NULL::text, proof jsonb DEFAULT NULL::jsonb', 'jsonb', 'v', false, 'u'),
	('request_opt_in', 'user_id text, channel text, topic text DEFAULT NULL::text, text_version text DEFAULT NULL::text, source text DEFAULT NULL::text, proof jsonb DEFAULT NULL::jsonb, valid_for interval DEFAULT ''7 days''::interval', 'text', 'v', false, 'u'),
	('confirm_opt_in', 'token text, proof jsonb DEFAULT NULL::jsonb', 'jsonb', 'v', false, 'u'),
	('preference_center', 'token text, locale text DEFAULT NULL::text', 'jsonb', 's', false, 'u'),
	('save_preferences', 'token text, preferences jsonb, proof jsonb DEFAULT NULL::jsonb', 'jsonb', 'v', false, 'u'),
	('export_user', 'user_id text', 'jsonb', 'v', false, 'u'),
	('erase_user', 'user_id text', 'jsonb', 'v', false, 'u'),
	('identify', 'user_id text, attributes jsonb DEFAULT ''{}''::jsonb, locale text DEFAULT NULL::text, zone text DEFAULT NULL::text, country text DEFAULT NULL::text, tenant text DEFAULT NULL::text', 'boolean', 'v', false, 'u'),
	('readmit_user', 'user_id text', 'boolean', 'v', false, 'u'),
	-- operation
	('pause', 'reason text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('resume', '', 'void', 'v', false, 'u'),
	('stop_workers', 'timeout interval DEFAULT ''00:00:10''::interval', 'boolean', 'v', true, 'u'),
	('start_workers', '', 'void', 'v', false, 'u'),
	('wait_until_idle', 'timeout interval DEFAULT ''00:00:30''::interval', 'boolean', 'v', false, 'u'),
	('maintain', '', 'void', 'v', false, 'u'),
	('clock', '', 'timestamp with time zone', 's', false, 's'),
	('set_clock', 'at timestamp with time zone', 'void', 'v', false, 'u'),
	('advance_clock', 'by interval', 'timestamp with time zone', 'v', true, 'u'),
	('version', '', 'text', 'i', false, 's'),
	('grant_usage', 'role regrole, level text', 'void', 'v', false, 'u'),
	('revoke_usage', 'role regrole, level text', 'void', 'v', false, 'u');

-- interactions
INSERT INTO contract VALUES
	('ingest_sns', 'body text', 'jsonb', 'v', false, 'u'),
	('ingest_sendgrid', 'body text, signature text DEFAULT NULL::text, signed_at text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('ingest_postmark', 'body text, "authorization" text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('ingest_mailgun', 'body text', 'jsonb', 'v', false, 'u'),
	('ingest_twilio', 'url text, body text, signature text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('ingest_webhook', 'body text, webhook_id text DEFAULT NULL::text, webhook_timestamp text DEFAULT NULL::text, webhook_signature text DEFAULT NULL::text', 'jsonb', 'v', false, 'u'),
	('set_callback_secret', 'source text, secret jsonb', 'void', 'v', false, 'u'),
	('set_link_tracking', 'options jsonb, journey text DEFAULT NULL::text', 'void', 'v', false, 'u'),
	('rotate_link_key', 'forget_older_than interval DEFAULT NULL::interval', 'integer', 'v', false, 'u'),
	('resolve_click', 'token text, user_agent text DEFAULT NULL::text, method text DEFAULT NULL::text', 'text', 'v', false, 'u'),
	('resolve_open', 'token text, user_agent text DEFAULT NULL::text', 'boolean', 'v', false, 'u'),
	('record_interaction', 'send_id bigint, kind text, at timestamp with time zone DEFAULT NULL::timestamp with time zone, data jsonb DEFAULT ''{}''::jsonb, source_id text DEFAULT NULL::text', 'boolean', 'v', false, 'u');

CREATE TEMP VIEW public_function AS
SELECT p.*, p.proname::text AS name FROM pg_proc p
WHERE pronamespace = 'trigger_engine'::regnamespace AND proname !~ '^_';

SELECT set_eq('SELECT name FROM public_function', 'SELECT name FROM contract', 'the public functions are those of the contract');
SELECT is((SELECT count(*) FROM public_function), (SELECT count(*) FROM contract), 'and none is overloaded');

SELECT is(pg_get_function_arguments(p.oid), c.arguments, 'arguments of ' || c.name) FROM contract c JOIN public_function p USING (name) ORDER BY name;
SELECT is(pg_get_function_result(p.oid), c.result, 'result of ' || c.name) FROM contract c JOIN public_function p USING (name) ORDER BY name;
SELECT is(p.provolatile, c.volatility, 'volatility of ' || c.name) FROM contract c JOIN public_function p USING (name) ORDER BY name;
SELECT is(p.proisstrict, c.strict, 'strictness of ' || c.name) FROM contract c JOIN public_function p USING (name) ORDER BY name;
SELECT is(p.proparallel, c.parallel, 'parallel label of ' || c.name) FROM contract c JOIN public_function p USING (name) ORDER BY name;
SELECT isnt(obj_description(p.oid, 'pg_proc'), NULL, 'comment on ' || p.name) FROM public_function p ORDER BY name;

-- habits that names promise
SELECT ok(pg_get_function_arguments(oid) ~ 'or_replace boolean DEFAULT false', name || ' can replace') FROM public_function WHERE name ~ '^create_' ORDER BY name;
SELECT ok(pg_get_function_arguments(oid) ~ 'if_exists boolean DEFAULT false' AND prorettype = 'boolean'::regtype, name || ' can do without, and tells') FROM public_function WHERE name ~ '^(drop|untrack)_' ORDER BY name;
SELECT is(regexp_replace(pg_get_function_arguments(oid), '[^,]*DEFAULT NULL::[^,]*', '', 'g') ~ 'DEFAULT', false, name || ' takes NULL as unchanged') FROM public_function WHERE name ~ '^alter_' ORDER BY name;
-- a function of the schema's own never finds a name in the caller's path
SELECT is(ARRAY(SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = prolang
	WHERE pronamespace = 'trigger_engine'::regnamespace AND (prosecdef OR lanname = 'plpgsql')
		AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))), '{}', 'search_path is locked wherever SQL is run for somebody else');
-- whoever calls a public function that changes something calls its C trampoline, or a definer's function
SELECT is(ARRAY(SELECT name FROM public_function p JOIN pg_language l ON l.oid = prolang
	WHERE provolatile = 'v' AND lanname <> 'c' AND NOT prosecdef AND name NOT IN ('grant_usage', 'revoke_usage', 'segment_clusters', 'cluster_drift') ORDER BY name), '{}', 'no public function works with the caller''s rights by accident');

SELECT * FROM finish();
ROLLBACK;
