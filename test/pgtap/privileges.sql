-- The contract of the SQL surface: who may do what, level by level.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
BEGIN;
SET search_path = public, pg_catalog;
SELECT no_plan();

CREATE ROLE te_nobody;
CREATE ROLE te_reader;
CREATE ROLE te_app;
CREATE ROLE te_analyst;
CREATE ROLE te_admin;
SELECT lives_ok(format('SELECT trigger_engine.grant_usage(%L, %L)', 'te_' || level, level), 'grant_usage ' || level) FROM unnest(ARRAY['reader', 'app', 'analyst', 'admin']) level;

-- levels of each function; 'everybody' only for what looks at nothing
CREATE TEMP TABLE contract (object text, levels text[]);
INSERT INTO contract
SELECT name, '{nobody,reader,app,analyst,admin}'::text[] FROM unnest(ARRAY['at_local', 'next_cron', 'render', 'render_json', 'check_template', 'version', 'clock', 'locale_chain', 'best_locale', 'locale_direction', 'plural_category', 'plural_categories', 'graphemes',
	'format_number', 'format_currency', 'format_date', 'format_time', 'format_list', 'format_message',
	'bucket', 'murmur3', 'keyed_uniform', 'equal_weights', 'bucket_ranges', 'choose_variant', 'in_namespace', 'bucket_shares',
	'matches_condition', 'growthbook_experiment', 'growthbook_feature', 'normal_cdf', 'normal_quantile', 't_cdf', 't_quantile', 'chi2_tail',
	'beta_cdf', 'beta_quantile', 'proportion_test', 'welch_test', 'relative_lift', 'cuped_test', 'fisher_test', 'srm_test',
	'independence_test', 'holm', 'benjamini_hochberg', 'factorial_effects', 'proportion_power', 'proportion_sample_size', 'proportion_mde', 'mean_power',
	'mean_sample_size', 'mean_mde', 'plan_experiment', 'confidence_sequence', 'msprt_test', 'group_sequential_bounds', 'bayes_proportions', 'bayes_means',
	'bayes_lift', 'thompson_weights', 'thompson_choice', 'recency_penalty', 'ips']) name
UNION ALL SELECT name, '{reader,analyst,admin}' FROM unnest(ARRAY['explain_send', 'segment_members', 'translations_for', 'missing_translations', 'explain_assignment']) name
UNION ALL SELECT name, '{reader,analyst,admin}' FROM unnest(ARRAY['user_timeline', 'explain_journey', 'why_not']) name
UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['dry_run']) name
UNION ALL SELECT name, '{reader,app,analyst,admin}' FROM unnest(ARRAY['in_segment', 'is_holiday', 'is_working_day', 'next_working_day', 'assignment', 'held_out']) name
UNION ALL SELECT name, '{app,analyst,admin}' FROM unnest(ARRAY['assign']) name
UNION ALL SELECT name, '{reader,analyst,admin}' FROM unnest(ARRAY['suggest_delay']) name
UNION ALL SELECT name, '{app}' FROM unnest(ARRAY['inbox', 'inbox_counts', 'mark_inbox', 'set_message_limits']) name
UNION ALL SELECT name, '{app,admin}' FROM unnest(ARRAY['set_consent']) name
UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['create_quiet_hours', 'drop_quiet_hours', 'create_cap', 'drop_cap', 'create_segment', 'drop_segment', 'create_template', 'alter_template', 'drop_template', 'approve_template', 'publish_template', 'rollback_template', 'preview_template', 'create_journey', 'alter_journey', 'enable_journey', 'disable_journey', 'drop_journey',
	'create_event_schema', 'drop_event_schema', 'release_event', 'cancel_sends', 'track_table', 'untrack_table', 'set_translation', 'import_translations', 'drop_translation', 'create_holiday', 'import_holidays', 'drop_holiday',
	'create_experiment', 'alter_experiment', 'start_experiment', 'stop_experiment', 'drop_experiment', 'create_holdout', 'alter_holdout', 'create_namespace', 'drop_namespace',
	'force_assignment', 'import_assignments']) name
UNION ALL SELECT name, '{admin}' FROM unnest(ARRAY['create_provider', 'alter_provider', 'drop_provider', 'set_secret', 'pause', 'resume', 'stop_workers', 'start_workers', 'wait_until_idle', 'set_clock', 'advance_clock', 'maintain', 'retry_sends']) name
UNION ALL SELECT name, '{}' FROM unnest(ARRAY['grant_usage', 'revoke_usage']) name;

-- steps
INSERT INTO contract
SELECT name, '{app,analyst,admin}'::text[] FROM unnest(ARRAY['start_journey', 'leave_journey', 'add_to_list', 'remove_from_list']) name
UNION ALL SELECT 'life_stage', '{reader,app,analyst,admin}' UNION ALL SELECT 'set_life_stages', '{analyst,admin}' UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['move_enrollments', 'archive_journey']) name;
-- metrics
INSERT INTO contract SELECT name, '{reader,analyst,admin}'::text[] FROM unnest(ARRAY['funnel', 'retention']) name
UNION ALL SELECT 'set_conversion', '{analyst,admin}';

-- scoring
INSERT INTO contract
SELECT name, '{nobody,reader,app,analyst,admin}'::text[] FROM unnest(ARRAY['churn_risk', 'alive_probability', 'expected_purchases', 'churn_band', 'expected_spend', 'lifetime_value', 'assign_cluster', 'simple_silhouette', 'beta_rate', 'message_value', 'cosine_similarity', 'log_likelihood_ratio', 'root_log_likelihood_ratio', 'smoothed_hours']) name
UNION ALL SELECT name, '{reader,analyst,admin}' FROM unnest(ARRAY['model_parameters', 'model_metrics', 'model_features', 'predict', 'hour_probabilities']) name
UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['purchase_summary', 'fit_churn', 'fit_spend', 'kmeans', 'fit_kmeans', 'choose_k', 'rollback_model', 'drop_model', 'train_model', 'update_model', 'backtest_model', 'model_drift', 'evaluate_predictions', 'fit_beta_prior', 'refresh_engagement', 'engagement_features', 'retrain_model', 'rfm', 'set_interest_dimension', 'refresh_interests', 'backtest_recommendations', 'refresh_recommendations', 'backtest_hours']) name
UNION ALL SELECT name, '{reader,app,analyst,admin}' FROM unnest(ARRAY['engagement_probability', 'interests', 'relevance_score', 'similar_items', 'recommend', 'best_hour']) name
UNION ALL SELECT name, '{app}' FROM unnest(ARRAY['record_engagement', 'add_interest', 'set_item', 'record_basket']) name;
-- membership of segments
INSERT INTO contract
SELECT name, '{reader,analyst,admin}'::text[] FROM unnest(ARRAY['segment_size', 'segment_overlap', 'segment_at', 'segment_recipes']) name
UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['refresh_segment', 'explain_segment']) name;
-- end of scoring
-- kinds of providers
INSERT INTO contract SELECT name, '{admin}'::text[] FROM unnest(ARRAY['create_provider_kind', 'drop_provider_kind']) name;
-- results and reports
INSERT INTO contract SELECT name, '{reader,analyst,admin}'::text[] FROM unnest(ARRAY['experiment_results', 'experiment_decision', 'holdout_lift', 'journey_chart', 'report_html', 'report_template']) name;
-- offers and answers
INSERT INTO contract
SELECT name, '{app}'::text[] FROM unnest(ARRAY['reserve_offer', 'redeem_offer', 'ask', 'record_answer']) name
UNION ALL SELECT 'set_traits', '{app,analyst,admin}' UNION ALL SELECT 'survey_results', '{reader,analyst,admin}'
UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['create_offer', 'drop_offer', 'import_offer_codes', 'generate_offer_codes', 'create_survey', 'drop_survey', 'segment_clusters', 'cluster_drift']) name;
-- interactions
INSERT INTO contract
SELECT name, '{app}'::text[] FROM unnest(ARRAY['record_interaction', 'resolve_click', 'resolve_open', 'ingest_sns', 'ingest_sendgrid', 'ingest_postmark', 'ingest_mailgun', 'ingest_twilio', 'ingest_webhook']) name
UNION ALL SELECT 'set_link_tracking', '{analyst,admin}'
UNION ALL SELECT name, '{admin}' FROM unnest(ARRAY['rotate_link_key', 'set_callback_secret']) name;
-- end of interactions

-- people
INSERT INTO contract
SELECT name, '{reader,app,analyst,admin}'::text[] FROM unnest(ARRAY['preferences']) name
UNION ALL SELECT name, '{analyst,admin}' FROM unnest(ARRAY['create_topic', 'drop_topic']) name
UNION ALL SELECT name, '{app,admin}' FROM unnest(ARRAY['set_preference', 'set_preferences', 'suppress', 'unsuppress']) name
UNION ALL SELECT name, '{app}' FROM unnest(ARRAY['identify', 'consent_token', 'unsubscribe_info', 'unsubscribe', 'request_opt_in', 'confirm_opt_in', 'preference_center', 'save_preferences']) name
UNION ALL SELECT name, '{admin}' FROM unnest(ARRAY['set_legal_basis', 'rotate_token_key', 'export_user', 'erase_user', 'readmit_user']) name;
-- end of people
SELECT set_eq($$SELECT proname::text FROM pg_proc WHERE pronamespace = 'trigger_engine'::regnamespace AND proname !~ '^_'$$, 'SELECT object FROM contract', 'every public function has its levels');
SELECT is(ARRAY(SELECT level FROM unnest(ARRAY['nobody', 'reader', 'app', 'analyst', 'admin']) level WHERE has_function_privilege('te_' || level, p.oid, 'EXECUTE')), levels, 'who may call ' || object)
FROM contract JOIN pg_proc p ON proname = object AND pronamespace = 'trigger_engine'::regnamespace ORDER BY object;

-- relations: reading views is for readers, writing three tables for applications
SELECT is(ARRAY(SELECT level || ' ' || privilege FROM unnest(ARRAY['nobody', 'reader', 'app', 'analyst', 'admin']) WITH ORDINALITY l(level, n),
		unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY p(privilege, m)
		WHERE has_table_privilege('te_' || level, c.oid, privilege) ORDER BY n, m),
	CASE WHEN relname = 'events' THEN ARRAY['app INSERT']
		WHEN relname IN ('users', 'endpoints') THEN ARRAY['app SELECT', 'app INSERT', 'app UPDATE', 'app DELETE']
		WHEN relname = 'inbox' THEN '{}'
		WHEN relname ~ '^_' OR relispartition THEN '{}'
		ELSE ARRAY['reader SELECT', 'analyst SELECT', 'admin SELECT'] END, 'who may do what with ' || relname)
FROM pg_class c WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY relname;
-- not one column more
SELECT is(ARRAY(SELECT level || ' ' || relname || '.' || attname FROM unnest(ARRAY['nobody', 'reader', 'app', 'analyst', 'admin']) level, pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace = 'trigger_engine'::regnamespace AND attacl IS NOT NULL), '{}', 'no grants on columns');
-- internals: what an insert of an event calls as the inserting role, and what views call as the reader
SELECT is(ARRAY(SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'trigger_engine'::regnamespace AND proname ~ '^_' AND has_function_privilege('te_nobody', oid, 'EXECUTE') ORDER BY 1),
	'{_flat_steps,_gates,_is_watched,_next_event_id}', 'internals that everybody may call');
SELECT is(ARRAY(SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'trigger_engine'::regnamespace AND proname ~ '^_'
	AND (has_function_privilege('te_admin', oid, 'EXECUTE') OR has_function_privilege('te_reader', oid, 'EXECUTE') OR has_function_privilege('te_app', oid, 'EXECUTE')) ORDER BY 1),
	'{_answer_class,_broken_guardrails,_check_guardrails,_compare_rates,_experiment_counts,_flat_steps,_gates,_is_watched,_next_event_id,_report_context,_report_days,_report_experiments,_report_steps,_template_cache,_tracked_events,_worker_status}', 'internals that a level may call');
SELECT is(ARRAY(SELECT level FROM unnest(ARRAY['nobody', 'reader', 'app', 'analyst', 'admin']) level WHERE has_schema_privilege('te_' || level, 'trigger_engine', 'CREATE')), '{}', 'nobody creates anything in the schema');
SELECT is(ARRAY(SELECT level FROM unnest(ARRAY['nobody', 'reader', 'app', 'analyst', 'admin']) level WHERE has_schema_privilege('te_' || level, 'trigger_engine', 'USAGE')), '{reader,app,analyst,admin}', 'who is let into the schema');

-- done, and not only allowed
CREATE FUNCTION public.te_as(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := 'ok';
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
		result := SQLSTATE;
	END;
	RESET ROLE;
	RETURN result;
END
$$;
SELECT trigger_engine.create_template('t', 'in_app', '{"title": "x"}') \gset
SELECT is(te_as('te_reader', 'SELECT * FROM trigger_engine.' || relname), 'ok', 'a reader reads ' || relname)
FROM pg_class WHERE relnamespace = 'trigger_engine'::regnamespace AND (relkind = 'v' OR relname = 'quarantined_events') AND relname !~ '^_' ORDER BY relname;
SELECT is(te_as('te_analyst', $$SELECT trigger_engine.create_journey('j', '{"kind": "event", "name": "cart"}', '[{"id": "w", "wait": "1 h"}, {"id": "s", "send": "t"}]', exit_on => '[{"name": "order"}]')$$), 'ok', 'an analyst creates a journey');
SELECT is(te_as('te_analyst', $$SELECT trigger_engine.create_experiment('e', '["a", "b"]', sticky => true)$$), 'ok', 'an analyst creates an experiment');
SELECT is(te_as('te_app', $$SELECT trigger_engine.assign('e', 'u')$$), 'ok', 'an application assigns');
SELECT is((SELECT count(*) FROM trigger_engine.stored_assignments WHERE experiment = 'e'), 1::bigint, 'and the answer is kept');
SELECT is(te_as('te_reader', $$SELECT trigger_engine.assign('e', 'v')$$), '42501', 'a reader does not');
SELECT is(te_as('te_reader', $$SELECT trigger_engine.explain_assignment('e', 'u')$$), 'ok', 'a reader asks why');
SELECT is(te_as('te_app', $$SELECT trigger_engine.growthbook_feature('f', '{"features": {"f": {"rules": [{"variations": [1, 2]}]}}, "attributes": {"id": "1"}}')$$), 'ok', 'pure functions reach what is behind them');
SELECT is(te_as('te_analyst', $$SELECT trigger_engine.create_event_schema('cart', '{"required": ["total"]}', 'quarantine')$$), 'ok', 'an analyst creates a schema');
SELECT is(te_as('te_app', $$INSERT INTO trigger_engine.events (user_id, name, properties, dedupe_key) VALUES ('u', 'cart', '{"total": 1}', 'k'), ('u', 'cart', '{"total": 1}', 'k'), ('v', 'cart', '{}', 'k')$$), 'ok',
	'an application inserts events that start journeys, repeat themselves and violate their schema');
SELECT is((SELECT count(*) FROM trigger_engine.sends WHERE journey = 'j'), 1::bigint, 'and nothing is missing for it');
SELECT is((SELECT count(*) FROM trigger_engine.quarantined_events WHERE user_id = 'v'), 1::bigint, 'the violation is set aside');
SELECT is(te_as('te_app', $$INSERT INTO trigger_engine.events (user_id, name) VALUES ('u', 'order')$$), 'ok', 'an application cancels messages');
SELECT is((SELECT state FROM trigger_engine.sends WHERE journey = 'j'), 'cancelled', 'they are');
SELECT is(te_as('te_app', 'INSERT INTO trigger_engine.events (user_id, name) VALUES (''u'', ''x'') RETURNING user_id'), '42501', 'an application reads no events');
SELECT is(te_as('te_app', 'DELETE FROM trigger_engine.events'), '42501', 'nor deletes any');
SELECT is(te_as('te_app', 'UPDATE trigger_engine.events SET name = ''y'''), '42501', 'nor changes any');
SELECT is(te_as('te_app', 'SELECT count(*) FROM trigger_engine.sends'), '42501', 'nor reads sends');
SELECT is(te_as('te_app', 'INSERT INTO trigger_engine.events_default (user_id, name) VALUES (''u'', ''x'')'), '42501', 'nor writes to a partition');
SELECT is(te_as('te_app', $$INSERT INTO trigger_engine.users (user_id) VALUES ('u'); INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('u', 'push', 'a'); UPDATE trigger_engine.users SET locale = 'de'; DELETE FROM trigger_engine.endpoints$$),
	'ok', 'an application keeps users and endpoints');
SELECT is(te_as('te_app', $$SELECT trigger_engine.set_consent('u', 'email', 'opted_out')$$), 'ok', 'and consents');
SELECT is(te_as('te_reader', $$INSERT INTO trigger_engine.events (user_id, name) VALUES ('u', 'x')$$), '42501', 'a reader inserts no events');
SELECT is(te_as('te_admin', 'SELECT * FROM trigger_engine._secrets'), '42501', 'secrets are read by nobody');
SELECT is(te_as('te_nobody', $$INSERT INTO trigger_engine.events (user_id, name) VALUES ('u', 'x')$$), '42501', 'and without a level nothing goes');

-- revoke_usage takes all of it
SELECT lives_ok(format('SELECT trigger_engine.revoke_usage(%L, %L)', 'te_' || level, level), 'revoke_usage ' || level) FROM unnest(ARRAY['reader', 'app', 'analyst', 'admin']) level;
SELECT is(ARRAY(SELECT level || ' ' || relname FROM unnest(ARRAY['reader', 'app', 'analyst', 'admin']) level, pg_class c
	WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p', 'v') AND has_table_privilege('te_' || level, c.oid, 'SELECT,INSERT,UPDATE,DELETE')), '{}', 'nothing is left of tables');
SELECT is(ARRAY(SELECT level || ' ' || proname FROM unnest(ARRAY['reader', 'app', 'analyst', 'admin']) level, pg_proc p
	WHERE pronamespace = 'trigger_engine'::regnamespace AND has_function_privilege('te_' || level, p.oid, 'EXECUTE') AND NOT has_function_privilege('te_nobody', p.oid, 'EXECUTE')), '{}', 'nor of functions');
SELECT throws_ok($$SELECT trigger_engine.grant_usage('te_reader', 'root')$$, '22023', 'unknown level "root"', 'an unknown level is none');

SELECT * FROM finish();
ROLLBACK;
