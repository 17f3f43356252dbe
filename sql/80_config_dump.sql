/*
 * What a dump carries beyond CREATE EXTENSION: configuration without secrets, the
 * stamp, the queue, keys and history. Partitions made later are not members and
 * are dumped as ordinary tables.
 */
DO $$
DECLARE
	relation text;
BEGIN
	FOREACH relation IN ARRAY ARRAY['_stamp', '_pause', '_journey_id_seq', '_journeys', '_journey_versions', '_segments',
		'_segment_state', '_segment_members', '_segment_log', '_segment_touched', '_touch_id_seq',
		'_templates', '_template_texts', '_template_versions', '_provider_id_seq', '_providers', '_translations', '_holidays', '_event_schemas', '_tracked_tables', '_quiet_hours', '_caps',
		'_experiment_id_seq', '_namespaces', '_experiments', '_experiment_epochs', '_assignments',
		'_models', '_model_versions', '_engagement', '_engagement_priors', '_interests', '_interest_dimensions', '_interest_idf', '_items', '_item_features', '_user_items', '_basket_id_seq', '_baskets',
		'_cooccurrence', '_cooccurrence_total',
		'_offers', '_offer_codes', '_user_offers', '_surveys', '_answers', '_traits',
		'_topics', '_legal_bases', '_preferences', '_suppressed_users', '_suppressed_addresses', '_token_keys', '_opt_in_requests', '_tombstones', '_erasures',
		'_event_id_seq', '_send_id_seq', '_batch_id_seq', '_endpoint_id_seq', 'events_default', '_event_keys',
		'quarantined_events', 'users', 'endpoints', '_consents', '_entry_keys', '_enrollments', '_exits', '_due', '_batches',
		'_link_options',
		'_life_stages', '_list_members', '_digests', '_digest_events', '_interactions_default', '_interaction_keys', '_exposures',
		'_metric_sends', '_metric_interactions', '_metric_variants', '_send_results', '_metric_hours', '_metric_reasons', '_metric_latency',
		'_conversion_rules', '_conversion_watches', '_conversions', '_metric_conversions',
		'_counters', '_timers', '_followers', '_fanout_id_seq', '_fanouts',
		'_send_keys', '_slots', '_user_limits', '_sends_default', '_attempts_default', 'inbox']
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(('trigger_engine.' || pg_catalog.quote_ident(relation))::pg_catalog.regclass, '');
	END LOOP;
END
$$;

-- what is shipped comes with CREATE EXTENSION
SELECT pg_catalog.pg_extension_config_dump('trigger_engine._provider_kinds', 'WHERE NOT shipped');
