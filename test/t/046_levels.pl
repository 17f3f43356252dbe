# Who may do what: exactly the privileges that each level promises and none more,
# shown both from the catalog and by trying. An application needs USAGE on the schema
# and INSERT on events, and nothing else.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(virtual_clock => 1);
my $receiver = $te->receiver;
my @levels = qw(reader app analyst admin);

$te->webhook('hook', $receiver->url('/hook'));
$te->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$te->sql(join '', map { "CREATE ROLE $_ LOGIN; SELECT trigger_engine.grant_usage('$_', '$_');" } @levels);
$te->sql(q{CREATE ROLE nobody LOGIN; CREATE ROLE bare LOGIN; CREATE ROLE web LOGIN;
	GRANT USAGE ON SCHEMA trigger_engine TO bare, web; GRANT INSERT ON trigger_engine.events TO bare;
	GRANT CREATE ON SCHEMA public TO analyst});

sub as
{
	my ($role, $sql) = @_;
	my ($status, $output, $error) = $te->try($sql, extra_params => [ '-U', $role ]);
	return wantarray ? ($status == 0, $output, $error) : $output;
}
sub may
{
	my ($role, $sql, $what) = @_;
	my ($done, $output, $error) = as($role, $sql);
	ok($done, "$role may " . ($what // $sql)) or diag $error;
	return $output;
}
sub may_not
{
	my ($role, $sql, $what) = @_;
	my ($done, undef, $error) = as($role, $sql);
	ok(!$done && $error =~ /permission denied|must be (?:owner|superuser|member)/, 'not ' . "$role: " . ($what // $sql)) or diag $error;
	return;
}

# ---- what the catalog says ----

# What the levels have of the newer topics: views for readers, functions by level.
my @topics = (
	{ views => [qw(interactions link_tracking)], app => [qw(record_interaction resolve_click resolve_open ingest_sns ingest_sendgrid ingest_postmark ingest_mailgun
	  ingest_twilio ingest_webhook)], analyst => ['set_link_tracking'], admin => [qw(rotate_link_key set_callback_secret)] },
	{ views => [qw(list_members exposures)], reader => ['life_stage'], app => [qw(life_stage start_journey leave_journey add_to_list remove_from_list)],
	  analyst => [qw(start_journey leave_journey add_to_list remove_from_list set_life_stages move_enrollments archive_journey)] },
	{ reader => ['suggest_delay'] },
	{ views => ['provider_kinds'], admin => [qw(create_provider_kind drop_provider_kind)] },
	{ views => [qw(segment_memberships segment_log segment_status)], reader => [qw(segment_size segment_overlap segment_at segment_recipes)],
	  analyst => [qw(refresh_segment explain_segment)] },
	{ views => [qw(topics legal_bases suppressions)], reader => ['preferences'], analyst => [qw(create_topic drop_topic)],
	  app => [qw(preferences set_preference set_preferences suppress unsuppress identify consent_token unsubscribe_info unsubscribe request_opt_in confirm_opt_in
	  preference_center save_preferences)],
	  admin => [qw(set_legal_basis rotate_token_key export_user erase_user readmit_user set_preference set_preferences suppress unsuppress)] },
	{ views => [qw(message_metrics journey_metrics step_metrics channel_metrics variant_metrics purpose_metrics decision_reasons delivery_latency now_status
	  conversion_rules conversions conversion_metrics)], reader => [qw(funnel retention)], analyst => ['set_conversion'] },
	{ reader => [qw(experiment_results experiment_decision holdout_lift journey_chart report_html report_template)] },
	{ reader => [qw(user_timeline explain_journey why_not)], analyst => ['dry_run'] },
	{ views => [qw(offers user_offers surveys answers traits)], reader => ['survey_results'], app => [qw(reserve_offer redeem_offer ask record_answer set_traits)],
	  analyst => [qw(create_offer drop_offer import_offer_codes generate_offer_codes create_survey drop_survey set_traits segment_clusters cluster_drift)] },
);

# All that the topics give for one key.
sub of_topics
{
	my ($key) = @_;
	return map { @{ $_->{$key} // [] } } @topics;
}

# Relations in the schema on which a role has privileges, as "name privileges".
sub relations_of
{
	my ($role) = @_;
	return $te->sql(qq{SELECT string_agg(relname || ' ' || p, ', ' ORDER BY relname) FROM (
		SELECT relname, string_agg(p, '/' ORDER BY p) AS p
		FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
		WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege('$role', c.oid, p)
		GROUP BY relname) t});
}
my @views = (of_topics('views'), qw(journeys quiet_hours caps experiments experiment_variants experiment_epochs namespaces stored_assignments models model_versions segments templates template_versions template_cache translations holidays providers event_schemas tracked_tables
  sends decisions attempts enrollments consents queue_status worker_status quarantined_events all_events));
my $reads = join ', ', map { "$_ SELECT" } sort @views;
is(relations_of('nobody'), '', 'a role has nothing by itself');
is(relations_of('reader'), $reads, 'a reader has the views');
is(relations_of('app'), 'endpoints DELETE/INSERT/SELECT/UPDATE, events INSERT, users DELETE/INSERT/SELECT/UPDATE', 'an application has its three tables');
is(relations_of('analyst'), $reads, 'an analyst reads like a reader, and writes through functions');
is(relations_of('admin'), $reads, 'and so does an administrator');
is(relations_of('bare'), 'events INSERT', 'INSERT on events is all of a bare application');

# Functions of the schema that a role may execute, without those of PUBLIC.
sub functions_of
{
	my ($role) = @_;
	return $te->sql(qq{SELECT coalesce(string_agg(DISTINCT proname, ' ' ORDER BY proname), '') FROM pg_proc p
		WHERE pronamespace = 'trigger_engine'::regnamespace AND has_function_privilege('$role', p.oid, 'EXECUTE')
		AND NOT has_function_privilege('nobody', p.oid, 'EXECUTE')});
}
my @days = qw(is_holiday is_working_day next_working_day);
my @reader = (qw(model_parameters model_metrics model_features predict engagement_probability interests relevance_score similar_items recommend hour_probabilities best_hour
  explain_assignment assignment held_out explain_send in_segment segment_members translations_for missing_translations), @days, of_topics('reader'));
my @analyst = (@reader, of_topics('analyst'), qw(purchase_summary fit_churn fit_spend rfm kmeans fit_kmeans choose_k set_interest_dimension refresh_interests refresh_recommendations backtest_recommendations backtest_hours train_model update_model backtest_model model_drift evaluate_predictions engagement_features fit_beta_prior refresh_engagement retrain_model rollback_model drop_model
  create_experiment alter_experiment start_experiment stop_experiment drop_experiment create_holdout alter_holdout
  create_namespace drop_namespace assign force_assignment import_assignments create_quiet_hours drop_quiet_hours create_cap drop_cap create_segment drop_segment create_template alter_template drop_template approve_template publish_template rollback_template
  preview_template create_journey alter_journey enable_journey disable_journey drop_journey create_event_schema drop_event_schema release_event
  cancel_sends track_table untrack_table set_translation import_translations drop_translation create_holiday import_holidays drop_holiday));
my @admin = (@analyst, of_topics('admin'), qw(create_provider alter_provider drop_provider set_secret pause resume stop_workers start_workers wait_until_idle
  set_clock advance_clock maintain retry_sends set_consent));
my $public = functions_of('nobody');
is($te->sql(q{SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_proc p WHERE pronamespace = 'trigger_engine'::regnamespace
		AND has_function_privilege('nobody', p.oid, 'EXECUTE') AND proname !~ '^_'}), 'alive_probability assign_cluster at_local bayes_lift bayes_means bayes_proportions benjamini_hochberg best_locale '
	. 'beta_cdf beta_quantile beta_rate bucket bucket_ranges bucket_shares check_template chi2_tail choose_variant churn_band '
	. 'churn_risk clock confidence_sequence cosine_similarity cuped_test equal_weights expected_purchases expected_spend '
	. 'factorial_effects fisher_test format_currency format_date format_list format_message format_number format_time graphemes '
	. 'group_sequential_bounds growthbook_experiment growthbook_feature holm in_namespace independence_test ips keyed_uniform '
	. 'lifetime_value locale_chain locale_direction log_likelihood_ratio matches_condition mean_mde mean_power mean_sample_size '
	. 'message_value msprt_test murmur3 next_cron normal_cdf normal_quantile plan_experiment plural_categories plural_category '
	. 'proportion_mde proportion_power proportion_sample_size proportion_test recency_penalty relative_lift render render_json '
	. 'root_log_likelihood_ratio simple_silhouette smoothed_hours srm_test t_cdf t_quantile thompson_choice thompson_weights '
	. 'version welch_test', 'PUBLIC may call pure functions');
is($te->sql(q{SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc p WHERE pronamespace = 'trigger_engine'::regnamespace
		AND has_function_privilege('nobody', p.oid, 'EXECUTE') AND proname ~ '^_' AND provolatile = 'v'}) || '', '_next_event_id', 'and one internal that changes something, a sequence that is theirs');
for ([ 'reader', @reader ], [ 'app', qw(record_engagement engagement_probability add_interest interests relevance_score set_item record_basket similar_items recommend best_hour
  assign assignment held_out set_consent set_message_limits inbox inbox_counts mark_inbox in_segment), @days, of_topics('app') ], [ 'analyst', @analyst ], [ 'admin', @admin ], ['bare'])
{
	my ($role, @functions) = @$_;
	my $public_part = join ' ', grep { !/^_/ } split / /, functions_of($role);
	is($public_part, join(' ', sort @functions), "functions of level $role");
	my @internal = grep { /^_/ } split / /, functions_of($role);
	is($te->sql(sprintf q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'trigger_engine'::regnamespace AND proname = ANY ('{%s}')
			AND (prosecdef OR pg_get_functiondef(oid) ~ 'te_call_as_owner')}, join ',', @internal), 0, "no internal function lends level $role the owner's rights");
}
is($te->sql(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'trigger_engine'::regnamespace AND CASE WHEN relkind = 'S'
		THEN has_sequence_privilege('app', oid, 'UPDATE') END}), '', 'nobody may set a sequence');
is($te->sql(q{SELECT count(*) FROM pg_class c, unnest('{reader,app,analyst,admin,nobody}'::text[]) r WHERE relnamespace = 'trigger_engine'::regnamespace
		AND relispartition AND (has_table_privilege(r, c.oid, 'SELECT') OR has_table_privilege(r, c.oid, 'INSERT'))}), 0, 'partitions are granted to nobody');
is($te->sql(q{SELECT bool_or(relrowsecurity) FROM pg_class WHERE relname LIKE 'events%' AND relnamespace = 'trigger_engine'::regnamespace}), 'f',
	'events has no row-level security, which forbids COPY');

# ---- a bare application ----

may('bare', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('b1', 'cart')}, 'insert an event');
may('bare', "COPY trigger_engine.events (user_id, name) FROM stdin;\nb2\tcart\nb3\tcart\n\\.\n", 'COPY events');
may('bare', q{INSERT INTO trigger_engine.events (user_id, name, dedupe_key) VALUES ('b4', 'cart', 'k'), ('b4', 'cart', 'k') ON CONFLICT DO NOTHING}, 'repeat an event');
may('bare', q{PREPARE p AS INSERT INTO trigger_engine.events (user_id, name) VALUES ($1, 'cart'); EXECUTE p('b5')}, 'use a prepared statement');
ok($te->idle, 'the queue drains');
is(join(' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received), 'b1 b2 b3 b4 b5', 'its events start journeys, each once');
is($te->sql(q{SELECT count(*) FROM trigger_engine.events WHERE user_id = 'b4'}), 1, 'a repeated event is a no-op, though it may not delete');
for my $role ('bare', 'app')
{
	may_not($role, 'SELECT * FROM trigger_engine.events', 'SELECT from events');
	may_not($role, q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('x', 'cart') RETURNING event_id}, 'INSERT ... RETURNING');
	may_not($role, q{UPDATE trigger_engine.events SET name = 'x'}, 'UPDATE events');
	may_not($role, q{DELETE FROM trigger_engine.events}, 'DELETE from events');
	may_not($role, q{TRUNCATE trigger_engine.events}, 'TRUNCATE events');
	may_not($role, q{COPY trigger_engine.events TO stdout}, 'COPY events TO');
	may_not($role, q{SELECT * FROM trigger_engine.all_events}, 'read all_events');
	may_not($role, q{INSERT INTO trigger_engine.events_default (user_id, name) VALUES ('x', 'cart')}, 'insert straight into a partition');
	may_not($role, q{CREATE TRIGGER t AFTER INSERT ON trigger_engine.events FOR EACH ROW EXECUTE FUNCTION trigger_engine._capture_event()}, 'make a trigger on events');
	may_not($role, q{ALTER TABLE trigger_engine.events DISABLE TRIGGER ALL}, 'disable the capture trigger');
	may_not($role, q{SET trigger_engine.ingest = off}, 'turn the capture off');
	may_not($role, q{SET session_replication_role = replica}, 'turn triggers off');
	may_not($role, q{SELECT setval('trigger_engine._event_id_seq', 1)}, 'set a sequence');
	may_not($role, q{SELECT * FROM trigger_engine.journeys}, 'read journeys');
}
may_not('nobody', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('x', 'cart')}, 'insert without any grant');
may_not('reader', q{INSERT INTO trigger_engine.events (user_id, name) VALUES ('x', 'cart')}, 'insert as a reader');

# ---- each level does its work ----

may('app', q{INSERT INTO trigger_engine.users (user_id, attributes) VALUES ('a1', '{"n": 1}') ON CONFLICT (user_id) DO UPDATE SET attributes = excluded.attributes;
	INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('a1', 'email', 'a@example.test'); UPDATE trigger_engine.endpoints SET state = 'disabled' WHERE user_id = 'a1';
	DELETE FROM trigger_engine.users WHERE user_id = 'a1'; SELECT trigger_engine.set_consent('a1', 'email', 'opted_in');
	INSERT INTO trigger_engine.events (user_id, name) VALUES ('a1', 'cart'); SELECT * FROM trigger_engine.inbox('a1'); SELECT trigger_engine.mark_inbox('a1', 'read');
	SELECT * FROM trigger_engine.inbox_counts('a1')}, 'write users, endpoints, consent and events, and serve the inbox');
may('analyst', q{CREATE TABLE members (user_id text PRIMARY KEY, since date); CREATE VIEW member AS SELECT user_id FROM members;
	SELECT trigger_engine.create_segment('member', 'member'); SELECT trigger_engine.in_segment('member', 'x'); SELECT * FROM trigger_engine.segment_members('member');
	SELECT trigger_engine.create_template('t', 'in_app', '{"title": "x"}');
	SELECT trigger_engine.create_journey('j', '{"kind": "event", "name": "read"}', '[{"id": "s", "send": "t"}]', segment => 'member');
	SELECT trigger_engine.alter_journey('j', purpose => 'x'); SELECT trigger_engine.disable_journey('j'); SELECT trigger_engine.enable_journey('j');
	SELECT trigger_engine.create_event_schema('lax', '{"required": ["a"]}', on_violation => 'quarantine'); SELECT trigger_engine.drop_event_schema('lax');
	SELECT trigger_engine.track_table('members', 'joined', 'user_id'); INSERT INTO members VALUES ('m1', '2020-01-01'); SELECT trigger_engine.untrack_table('members');
	SELECT trigger_engine.cancel_sends(journey => 'j')}, 'make segments, templates, journeys, schemas, sources');
may($_, qq{SELECT trigger_engine.explain_send((SELECT min(send_id) FROM trigger_engine.sends)); } . join(' ', map { "SELECT count(*) FROM trigger_engine.$_;" }
	  qw(journeys segments templates template_versions template_cache translations holidays providers event_schemas tracked_tables sends decisions attempts
	  enrollments consents queue_status worker_status quarantined_events all_events)),
	'read all views') for qw(reader analyst admin);
may('admin', q{SET client_min_messages = error; SELECT trigger_engine.create_provider('p', 'webhook', '{"url": "https://example.test/"}');
	SELECT trigger_engine.set_secret('p', '{"keys": ["env:TRIGGER_ENGINE_SECRET_P"]}'); SELECT trigger_engine.alter_provider('p', enabled => false); SELECT trigger_engine.drop_provider('p');
	SELECT trigger_engine.pause('x'); SELECT trigger_engine.resume(); SELECT trigger_engine.stop_workers(); SELECT trigger_engine.start_workers(); SELECT trigger_engine.wait_until_idle('20 s');
	SELECT trigger_engine.retry_sends(); SELECT trigger_engine.maintain(); SELECT trigger_engine.advance_clock('1 s'); SELECT trigger_engine.set_clock(NULL);
	SELECT trigger_engine.set_consent('a1', 'email', 'opted_out')}, 'run providers, secrets, pause, workers, clock');

# ---- and no other ----

my %beyond = (
	reader => [ q{create_template('x', 'in_app', '{"title": "x"}')}, q{drop_journey('welcome')}, q{cancel_sends(user_id => 'b1')}, q{pause()}, q{set_consent('a1', 'email', 'opted_in')}, q{inbox('a1')} ],
	app => [ q{create_template('x', 'in_app', '{"title": "x"}')}, q{explain_send(1)}, q{segment_members('member')}, q{pause()}, q{resume()}, q{stop_workers()}, q{retry_sends()} ],
	analyst => [ q{create_provider('x', 'webhook', '{"url": "https://example.test/"}')}, q{alter_provider('hook', '{"url": "https://example.test/"}')}, q{set_secret('hook', '{"keys": []}')},
		q{pause()}, q{resume()}, q{stop_workers()}, q{retry_sends()}, q{set_clock('2020-01-01')}, q{maintain()} ],
	bare => [ q{in_segment('member', 'x')}, q{set_consent('a1', 'email', 'opted_in')}, q{wait_until_idle()} ]);
for my $role (sort keys %beyond)
{
	may_not($role, "SELECT trigger_engine.$_") for @{ $beyond{$role} };
}
may_not($_, q{SELECT trigger_engine.grant_usage('nobody', 'admin')}, 'grant a level') for @levels;
may_not('admin', q{SELECT * FROM trigger_engine._secrets}, 'read secrets');
may_not($_, q{DROP EXTENSION trigger_engine}) for 'admin', 'analyst';
may_not('nobody', q{SELECT trigger_engine.version()}, 'even look into the schema');

# ---- taking a level away ----

$te->sql("SELECT trigger_engine.revoke_usage('$_', '$_')") for @levels;
is(relations_of($_) . functions_of($_), '', "revoke_usage() takes all of level $_") for @levels;
my ($status, undef, $error) = $te->try(q{SELECT trigger_engine.grant_usage('nobody', 'king')});
like($error, qr/unknown level "king"\nHINT:  Levels are reader, app, analyst and admin/, 'an unknown level is refused with a hint');
$te->sql(q{CREATE ROLE "Odd role, with comma"; SELECT trigger_engine.grant_usage('"Odd role, with comma"', 'reader')});
is(relations_of('Odd role, with comma'), $reads, 'a role may have any name');

done_testing();
