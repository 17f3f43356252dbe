/*
 * Who may do what. Nothing is granted to PUBLIC but pure functions, and what an
 * INSERT of an event calls as the inserting role: the WHEN clause, and the number and
 * the clock of the defaults.
 */
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT p.oid::pg_catalog.regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'trigger_engine'::pg_catalog.regnamespace
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.signature);
	END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION trigger_engine._is_watched(text, text, jsonb, timestamptz, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine._next_event_id(regclass) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.clock() TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine._gates(text, text, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine._flat_steps(jsonb) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.render(text, jsonb, text, jsonb, jsonb) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.render_json(text, json, text, jsonb, jsonb) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.check_template(text, jsonb) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.version() TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.at_local(timestamp, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.next_cron(text, timestamptz, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION trigger_engine.locale_chain(text), trigger_engine.best_locale(text, text[]),
	trigger_engine.locale_direction(text), trigger_engine.plural_category(text, text, text),
	trigger_engine.plural_categories(text, text), trigger_engine.graphemes(text),
	trigger_engine.format_number(numeric, text, text), trigger_engine.format_currency(numeric, text, text),
	trigger_engine.format_date(timestamptz, text, text, text), trigger_engine.format_time(timestamptz, text, text, text),
	trigger_engine.format_list(text[], text, text), trigger_engine.format_message(text, jsonb, text) TO PUBLIC;

-- chance and statistics are pure
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT p.oid::pg_catalog.regprocedure AS signature FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'trigger_engine'::pg_catalog.regnamespace AND p.proname OPERATOR(pg_catalog.=) ANY (ARRAY[
			'bucket', 'murmur3', 'keyed_uniform', 'equal_weights', 'bucket_ranges', 'choose_variant', 'in_namespace',
			'bucket_shares', 'matches_condition', 'growthbook_experiment', 'growthbook_feature', 'normal_cdf',
			'normal_quantile', 't_cdf', 't_quantile', 'chi2_tail', 'beta_cdf', 'beta_quantile', 'proportion_test',
			'welch_test', 'relative_lift', 'cuped_test', 'fisher_test', 'srm_test', 'independence_test', 'holm',
			'benjamini_hochberg', 'factorial_effects', 'proportion_power', 'proportion_sample_size', 'proportion_mde',
			'mean_power', 'mean_sample_size', 'mean_mde', 'plan_experiment', 'confidence_sequence', 'msprt_test',
			'group_sequential_bounds', 'bayes_proportions', 'bayes_means', 'bayes_lift', 'thompson_weights',
			'thompson_choice', 'recency_penalty', 'ips'])
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', f.signature);
	END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION trigger_engine.churn_risk(jsonb, float8, float8, float8, float8),
	trigger_engine.alive_probability(jsonb, float8, float8, float8),
	trigger_engine.expected_purchases(jsonb, float8, float8, float8, float8),
	trigger_engine.churn_band(float8, float8[], text[]), trigger_engine.expected_spend(jsonb, float8, float8),
	trigger_engine.lifetime_value(jsonb, jsonb, float8, float8, float8, float8, float8, float8),
	trigger_engine.assign_cluster(jsonb, jsonb), trigger_engine.simple_silhouette(float8[], float8[]),
	trigger_engine.beta_rate(jsonb, float8, float8), trigger_engine.message_value(float8, float8),
	trigger_engine.cosine_similarity(jsonb, jsonb),
	trigger_engine.log_likelihood_ratio(float8, float8, float8, float8),
	trigger_engine.root_log_likelihood_ratio(float8, float8, float8, float8),
	trigger_engine.smoothed_hours(float8[], float8[], float8) TO PUBLIC;
GRANT USAGE ON SEQUENCE trigger_engine._event_id_seq, trigger_engine._endpoint_id_seq TO PUBLIC;

CREATE FUNCTION trigger_engine._level_objects(level text)
RETURNS TABLE (privilege text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH listed(level, privilege, object) AS (VALUES
		('reader', 'SELECT', '{journeys,quiet_hours,caps,segments,templates,template_versions,providers,event_schemas,tracked_tables,sends,decisions,attempts,enrollments,consents,queue_status,template_cache,worker_status,quarantined_events,all_events,translations,holidays}'),
		('reader', 'EXECUTE', '{explain_send,in_segment,segment_members,_template_cache,_worker_status,_tracked_events,translations_for,missing_translations,is_holiday,is_working_day,next_working_day}'),
		('reader', 'SELECT', '{list_members,exposures}'),
		('reader', 'EXECUTE', '{life_stage}'),
		('app', 'EXECUTE', '{life_stage,start_journey,leave_journey,add_to_list,remove_from_list}'),
		('analyst', 'EXECUTE', '{archive_journey,move_enrollments,set_life_stages,start_journey,leave_journey,add_to_list,remove_from_list}'),
		('app', 'INSERT', '{events}'),
		('app', 'SELECT,INSERT,UPDATE,DELETE', '{users,endpoints}'),
		('app', 'EXECUTE', '{set_consent,set_message_limits,inbox,inbox_counts,mark_inbox,in_segment,is_holiday,is_working_day,next_working_day}'),
		('analyst', 'EXECUTE', '{create_quiet_hours,drop_quiet_hours,create_cap,drop_cap,create_segment,drop_segment,create_template,alter_template,drop_template,approve_template,publish_template,rollback_template,preview_template,create_journey,alter_journey,enable_journey,disable_journey,drop_journey,create_event_schema,drop_event_schema,release_event,cancel_sends,track_table,untrack_table,set_translation,import_translations,drop_translation,create_holiday,import_holidays,drop_holiday}'),
		('reader', 'SELECT', '{experiments,experiment_variants,experiment_epochs,namespaces,stored_assignments}'),
		('reader', 'EXECUTE', '{assignment,explain_assignment,held_out}'),
		('app', 'EXECUTE', '{assign,assignment,held_out}'),
		('analyst', 'EXECUTE', '{create_experiment,alter_experiment,start_experiment,stop_experiment,drop_experiment,create_holdout,alter_holdout,create_namespace,drop_namespace,assign,force_assignment,import_assignments}'),
		('reader', 'SELECT', '{models,model_versions}'),
		('reader', 'EXECUTE', '{model_parameters,model_metrics,model_features,predict,engagement_probability,interests,relevance_score,similar_items,recommend,hour_probabilities,best_hour}'),
		('app', 'EXECUTE', '{record_engagement,engagement_probability,add_interest,interests,relevance_score,set_item,record_basket,similar_items,recommend,best_hour}'),
		('analyst', 'EXECUTE', '{purchase_summary,fit_churn,fit_spend,rfm,kmeans,fit_kmeans,choose_k,set_interest_dimension,refresh_interests,refresh_recommendations,backtest_recommendations,backtest_hours,train_model,update_model,backtest_model,model_drift,evaluate_predictions,engagement_features,fit_beta_prior,refresh_engagement,retrain_model,rollback_model,drop_model}'),
		('reader', 'SELECT', '{interactions}'),
		('app', 'EXECUTE', '{record_interaction,resolve_click,resolve_open,ingest_sns,ingest_sendgrid,ingest_postmark,ingest_mailgun,ingest_twilio,ingest_webhook}'),
		('reader', 'SELECT', '{link_tracking}'),
		('analyst', 'EXECUTE', '{set_link_tracking}'),
		('admin', 'EXECUTE', '{rotate_link_key,set_callback_secret}'),
		('reader', 'SELECT', '{offers,user_offers,surveys,answers,traits}'),
		('reader', 'EXECUTE', '{survey_results,_answer_class}'),
		('app', 'EXECUTE', '{reserve_offer,redeem_offer,ask,record_answer,set_traits}'),
		('analyst', 'EXECUTE', '{create_offer,drop_offer,import_offer_codes,generate_offer_codes,create_survey,drop_survey,set_traits,segment_clusters,cluster_drift}'),
		('reader', 'EXECUTE', '{user_timeline,explain_journey}'),
		('reader', 'EXECUTE', '{why_not}'),
		('analyst', 'EXECUTE', '{dry_run}'),
		('reader', 'SELECT', '{message_metrics,journey_metrics,step_metrics,channel_metrics,variant_metrics,purpose_metrics,decision_reasons,delivery_latency,now_status}'),
		('reader', 'EXECUTE', '{funnel,retention}'),
		('reader', 'SELECT', '{conversion_rules,conversions,conversion_metrics}'),
		('analyst', 'EXECUTE', '{set_conversion}'),
		('reader', 'SELECT', '{topics,legal_bases,suppressions}'),
		('reader', 'EXECUTE', '{preferences}'),
		('app', 'EXECUTE', '{set_preference,set_preferences,preferences,suppress,unsuppress}'),
		('app', 'EXECUTE', '{identify}'),
		('app', 'EXECUTE', '{consent_token,unsubscribe,unsubscribe_info,request_opt_in,confirm_opt_in,preference_center,save_preferences}'),
		('admin', 'EXECUTE', '{rotate_token_key,export_user,erase_user,readmit_user}'),
		('analyst', 'EXECUTE', '{create_topic,drop_topic}'),
		('admin', 'EXECUTE', '{set_legal_basis,set_preference,set_preferences,suppress,unsuppress}'),
		('reader', 'SELECT', '{segment_memberships,segment_log,segment_status}'),
		('reader', 'EXECUTE', '{segment_size,segment_overlap,segment_at,segment_recipes}'),
		('analyst', 'EXECUTE', '{refresh_segment,explain_segment}'),
		('reader', 'EXECUTE', '{suggest_delay}'),
		('reader', 'EXECUTE', '{experiment_results,experiment_decision,holdout_lift,_experiment_counts,_compare_rates,_check_guardrails,_broken_guardrails,journey_chart,report_html,report_template,_report_steps,_report_days,_report_experiments,_report_context}'),
		('admin', 'EXECUTE', '{create_provider_kind,drop_provider_kind}'),
		('reader', 'SELECT', '{provider_kinds}'),
		('admin', 'EXECUTE', '{create_provider,alter_provider,drop_provider,set_secret,pause,resume,stop_workers,start_workers,wait_until_idle,set_clock,advance_clock,maintain,retry_sends,set_consent}')
	), ranks(level, includes) AS (VALUES ('reader', '{reader}'::text[]), ('app', '{app}'), ('analyst', '{reader,analyst}'),
		('admin', '{reader,analyst,admin}'))
	SELECT l.privilege, CASE WHEN l.privilege = 'EXECUTE' THEN 'FUNCTION ' || p.oid::regprocedure
		ELSE 'TABLE ' || format('trigger_engine.%I', o.name) END
	FROM ranks r JOIN listed l ON l.level = ANY (r.includes) CROSS JOIN LATERAL unnest(l.object::text[]) o(name)
	LEFT JOIN pg_proc p ON l.privilege = 'EXECUTE' AND p.pronamespace = 'trigger_engine'::regnamespace AND p.proname = o.name
	WHERE r.level = $1
$$;
COMMENT ON FUNCTION trigger_engine._level_objects(text) IS 'The grants that make up a level of access.';

CREATE FUNCTION trigger_engine._change_usage(role regrole, level text, statement text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	g record;
BEGIN
	IF level IS NULL OR level NOT IN ('reader', 'app', 'analyst', 'admin') THEN
		RAISE EXCEPTION 'unknown level "%"', level USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Levels are reader, app, analyst and admin.';
	END IF;
	FOR g IN SELECT * FROM trigger_engine._level_objects(level)
	LOOP
		EXECUTE format(statement, g.privilege, g.object, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._change_usage(regrole, text, text) IS 'Behind grant_usage() and revoke_usage().';

CREATE FUNCTION trigger_engine.grant_usage(role regrole, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trigger_engine._change_usage(role, level, 'GRANT %s ON %s TO %s');
	EXECUTE format('GRANT USAGE ON SCHEMA trigger_engine TO %s', role);
END
$$;
COMMENT ON FUNCTION trigger_engine.grant_usage(regrole, text) IS
'Gives a role a level of access. reader: views, segments, explanations. app: inserting events, users and endpoints, consent, the inbox. analyst: reader, and segments, templates, journeys, schemas. admin: analyst, and providers, secrets, pause, workers. Called by the extension''s owner.';

CREATE FUNCTION trigger_engine.revoke_usage(role regrole, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trigger_engine._change_usage(role, level, 'REVOKE %s ON %s FROM %s');
END
$$;
COMMENT ON FUNCTION trigger_engine.revoke_usage(regrole, text) IS 'Takes what grant_usage() gave for a level.';

REVOKE ALL ON FUNCTION trigger_engine.grant_usage(regrole, text), trigger_engine.revoke_usage(regrole, text),
	trigger_engine._change_usage(regrole, text, text), trigger_engine._level_objects(text) FROM PUBLIC;
