-- The contract of the SQL surface: tables that applications write, and views that people read.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
BEGIN;
SET search_path = public, pg_catalog;
SELECT no_plan();

CREATE TEMP TABLE contract (name text, kind "char", columns text);
INSERT INTO contract VALUES
	('events', 'p', 'event_id bigint, user_id text, name text, properties jsonb, occurred_at timestamp with time zone, dedupe_key text, context jsonb'),
	('users', 'r', 'user_id text, attributes jsonb, locale text, zone text, country text, tenant text, created_at timestamp with time zone, updated_at timestamp with time zone'),
	('endpoints', 'r', 'endpoint_id bigint, user_id text, channel text, address text, provider text, data jsonb, state text, state_reason text, created_at timestamp with time zone, updated_at timestamp with time zone'),
	('inbox', 'r', 'user_id text, send_id bigint, journey text, title text, body text, image text, url text, data jsonb, created_at timestamp with time zone, expires_at timestamp with time zone, seen_at timestamp with time zone, read_at timestamp with time zone, archived_at timestamp with time zone, interacted_at timestamp with time zone, snoozed_until timestamp with time zone'),
	('quarantined_events', 'r', 'user_id text, name text, properties jsonb, occurred_at timestamp with time zone, dedupe_key text, context jsonb, event_id bigint, reason text, quarantined_at timestamp with time zone'),
	('all_events', 'v', 'user_id text, name text, properties jsonb, occurred_at timestamp with time zone, source_key text, context jsonb'),
	('tracked_tables', 'v', 'source regclass, event text, user_column name, time_column name, properties name[], key_columns name[], on_update name[], owner name, created_at timestamp with time zone'),
	('event_schemas', 'v', 'event text, schema jsonb, on_violation text, owner name, updated_at timestamp with time zone'),
	('segments', 'v', 'name text, view regclass, owner name, refresh interval, description text, created_at timestamp with time zone'),
	('segment_memberships', 'v', 'segment text, user_id text, entered_at timestamp with time zone, valid_until timestamp with time zone'),
	('segment_log', 'v', 'segment text, user_id text, entered_at timestamp with time zone, left_at timestamp with time zone'),
	('segment_status', 'v', 'segment text, owner name, state text, lag interval, passed_at timestamp with time zone, full_at timestamp with time zone, refresh interval, last_pass_ms numeric, last_full_pass_ms numeric, looked_at bigint, waits_for_transactions integer, rest_until timestamp with time zone, failures integer, error text'),
	('templates', 'v', 'name text, locale text, channel text, content jsonb, version integer, owner name, updated_at timestamp with time zone, draft_version integer, default_locale text, requires_approval boolean, description text'),
	('template_versions', 'v', 'name text, locale text, version integer, state text, content jsonb, note text, created_at timestamp with time zone, created_by name, approved_at timestamp with time zone, approved_by name, published_at timestamp with time zone, published_by name'),
	('journeys', 'v', 'journey_id bigint, name text, state text, version integer, trigger jsonb, steps jsonb, exit_on jsonb, goal jsonb, reentry jsonb, segment text, topic text, transactional boolean, ttl interval, purpose text, priority integer, description text, owner name, created_at timestamp with time zone, updated_at timestamp with time zone, trigger_kind text'),
	('list_members', 'v', 'list text, user_id text, added_at timestamp with time zone'),
	('exposures', 'v', 'user_id text, experiment text, epoch integer, variant text, journey text, entry_key text, step text, at timestamp with time zone, held_out boolean, journey_id bigint'),
	('journeys', 'v', 'journey_id bigint, name text, state text, version integer, trigger jsonb, steps jsonb, exit_on jsonb, goal jsonb, reentry jsonb, segment text, topic text, transactional boolean, ttl interval, purpose text, priority integer, description text, owner name, created_at timestamp with time zone, updated_at timestamp with time zone, trigger_kind text'),
	('quiet_hours', 'v', 'name text, windows jsonb, scope jsonb, kind text, on_quiet text, zone text, owner name, created_at timestamp with time zone'),
	('caps', 'v', 'name text, max integer, per interval, scope jsonb, window text, on_excess text, owner name, created_at timestamp with time zone'),
	('translations', 'v', 'locale text, namespace text, key text, tenant text, text text, plurals jsonb, owner name, updated_at timestamp with time zone'),
	('holidays', 'v', 'country text, day date, name text, every_year boolean, owner name, updated_at timestamp with time zone'),
	('experiment_epochs', 'v', 'experiment text, epoch integer, from_at timestamp with time zone, until_at timestamp with time zone, state text, salt text, hash_version integer, coverage double precision, variants text[], ranges double precision[], namespace text, namespace_seed text, namespace_version integer, namespace_range double precision[], winner text, created_by name'),
	('experiment_variants', 'v', 'experiment text, variant text, position integer, value jsonb, weight double precision, range_start double precision, range_end double precision, share double precision'),
	('experiments', 'v', 'name text, kind text, state text, variants text[], coverage double precision, namespace text, namespace_range double precision[], salt text, hash_version integer, sticky boolean, journey text, topic text, winner text, epoch integer, owner name, description text, created_at timestamp with time zone, updated_at timestamp with time zone'),
	('namespaces', 'v', 'name text, salt text, hash_version integer, taken double precision, experiments jsonb, owner name, description text, created_at timestamp with time zone'),
	('stored_assignments', 'v', 'user_id text, experiment text, variant text, source text, at timestamp with time zone, salt_epoch integer'),
	('models', 'v', 'name text, kind text, version integer, metrics jsonb, owner name, trained_at timestamp with time zone, created_at timestamp with time zone'),
	('model_versions', 'v', 'name text, version integer, in_use boolean, kind text, parameters jsonb, metrics jsonb, options jsonb, query text, target text, state_bytes integer, created_at timestamp with time zone, created_by name, search_path text'),
	('topics', 'v', 'name text, titles jsonb, channels text[], default_state text, frequencies jsonb, legal_basis text, purpose text, transactional boolean, owner name, created_at timestamp with time zone'),
	('legal_bases', 'v', 'purpose text, legal_basis text, set_by name, set_at timestamp with time zone'),
	('suppressions', 'v', 'channel text, address text, digest text, user_id text, reason text, scope text, source text, created_at timestamp with time zone'),
	('surveys', 'v', 'name text, question text, scale text, period interval, attribute text, limits jsonb, owner name, created_at timestamp with time zone'),
	('answers', 'v', 'user_id text, survey text, asked_at timestamp with time zone, answered_at timestamp with time zone, score smallint, class text, comment text, send_id bigint'),
	('traits', 'v', 'user_id text, trait text, value text, source text, updated_at timestamp with time zone'),
	('offers', 'v', 'name text, discount jsonb, rules jsonb, with_codes boolean, valid_from timestamp with time zone, valid_until timestamp with time zone, valid_for interval, description text, owner name, free_codes bigint, reserved bigint, redeemed bigint, expired bigint'),
	('user_offers', 'v', 'user_id text, offer text, has_code boolean, discount jsonb, reserved_at timestamp with time zone, expires_at timestamp with time zone, redeemed_at timestamp with time zone, journey text, step text, state text'),
	('provider_kinds', 'v', 'name text, channel text, definition jsonb, shipped boolean, created_at timestamp with time zone, updated_at timestamp with time zone'),
	('consents', 'v', 'user_id text, channel text, topic text, state text, source text, at timestamp with time zone, proof jsonb'),
	('providers', 'v', 'name text, kind text, channel text, state text, state_reason text, options jsonb, has_secret boolean, created_at timestamp with time zone, updated_at timestamp with time zone'),
	('sends', 'v', 'send_id bigint, user_id text, journey text, step text, channel text, state text, reason text, due_at timestamp with time zone, attempts integer, gate text, provider text, status integer, provider_ref text, response text, decided_at timestamp with time zone, handed_over_at timestamp with time zone, finished_at timestamp with time zone, took interval, entry_key text, version integer, event_id bigint, event_at timestamp with time zone, journey_id bigint, template_version integer, template_locale text'),
	('decisions', 'v', 'send_id bigint, gates jsonb, user_id text, journey text, step text, channel text, state text, stopped_by text, reason text, decided_at timestamp with time zone, template_version integer, template_locale text'),
	('attempts', 'v', 'user_id text, send_id bigint, attempt integer, at timestamp with time zone, provider text, outcome text, reason text, status integer, took interval, response text'),
	('enrollments', 'v', 'user_id text, journey text, entry_key text, version integer, state text, entered_at timestamp with time zone, ended_at timestamp with time zone, exit_reason text, journey_id bigint'),
	('queue_status', 'v', 'journey text, due bigint, overdue bigint, next_due_at timestamp with time zone, lag interval, retries bigint, held bigint'),
	('channel_metrics', 'v', 'channel text, provider text, sent bigint, withheld bigint, cancelled bigint, expired bigint, rejected bigint, unknown bigint, delivered bigint, opened bigint, machine_opened bigint, clicked bigint, dismissed bigint, bounced bigint, complained bigint, unsubscribed bigint, open_rate numeric, click_rate numeric, response_rate numeric, unsubscribe_rate numeric, trigger_dwell_time interval'),
	('decision_reasons', 'v', 'hour timestamp with time zone, journey text, step text, state text, gate text, messages bigint'),
	('delivery_latency', 'v', 'channel text, provider text, measure text, messages bigint, p50 interval, p95 interval, p99 interval, longest interval'),
	('journey_metrics', 'v', 'journey text, sent bigint, withheld bigint, cancelled bigint, expired bigint, rejected bigint, unknown bigint, delivered bigint, opened bigint, machine_opened bigint, clicked bigint, dismissed bigint, bounced bigint, complained bigint, unsubscribed bigint, open_rate numeric, click_rate numeric, response_rate numeric, unsubscribe_rate numeric, trigger_dwell_time interval'),
	('message_metrics', 'v', 'hour timestamp with time zone, journey text, purpose text, topic text, trigger_kind text, version integer, step text, channel text, provider text, variant text, template_version integer, locale text, sent bigint, withheld bigint, cancelled bigint, expired bigint, rejected bigint, unknown bigint, delivered bigint, opened bigint, machine_opened bigint, clicked bigint, dismissed bigint, bounced bigint, complained bigint, unsubscribed bigint, responses bigint, response_seconds numeric'),
	('now_status', 'v', 'line bigint, topic text, value text'),
	('purpose_metrics', 'v', 'purpose text, trigger_kind text, sent bigint, withheld bigint, cancelled bigint, expired bigint, rejected bigint, unknown bigint, delivered bigint, opened bigint, machine_opened bigint, clicked bigint, dismissed bigint, bounced bigint, complained bigint, unsubscribed bigint, open_rate numeric, click_rate numeric, response_rate numeric, unsubscribe_rate numeric, trigger_dwell_time interval'),
	('step_metrics', 'v', 'journey text, step text, sent bigint, withheld bigint, cancelled bigint, expired bigint, rejected bigint, unknown bigint, delivered bigint, opened bigint, machine_opened bigint, clicked bigint, dismissed bigint, bounced bigint, complained bigint, unsubscribed bigint, open_rate numeric, click_rate numeric, response_rate numeric, unsubscribe_rate numeric, trigger_dwell_time interval'),
	('variant_metrics', 'v', 'journey text, variant text, sent bigint, withheld bigint, cancelled bigint, expired bigint, rejected bigint, unknown bigint, delivered bigint, opened bigint, machine_opened bigint, clicked bigint, dismissed bigint, bounced bigint, complained bigint, unsubscribed bigint, open_rate numeric, click_rate numeric, response_rate numeric, unsubscribe_rate numeric, trigger_dwell_time interval'),
	('conversion_metrics', 'v', 'hour timestamp with time zone, journey text, version integer, step text, channel text, variant text, conversions numeric, revenue numeric'),
	('conversion_rules', 'v', 'journey text, events text[], within interval, channel_windows jsonb, model text, value text, created_at timestamp with time zone'),
	('conversions', 'v', 'user_id text, journey text, event_id bigint, event text, at timestamp with time zone, send_id bigint, credit numeric, value numeric, model text, why text'),
	('template_cache', 'v', 'entries bigint, bytes bigint, hits bigint, misses bigint, evictions bigint'),
	('worker_status', 'v', 'database text, worker text, state text, reason text, pid integer, since timestamp with time zone, retry_at timestamp with time zone, failures integer, claimed bigint, accepted bigint, failed bigint, withheld bigint, in_flight integer');

-- interactions
INSERT INTO contract VALUES
	('link_tracking', 'v', 'journey text, options jsonb, updated_at timestamp with time zone'),
	('interactions', 'v', 'user_id text, send_id bigint, journey text, step text, channel text, kind text, at timestamp with time zone, recorded_at timestamp with time zone, machine boolean, source_id text, data jsonb, entry_key text, journey_id bigint');

CREATE TEMP VIEW public_relation AS
SELECT c.*, c.relname::text AS name FROM pg_class c
WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relname !~ '^_' AND NOT relispartition;

SELECT set_eq('SELECT name, relkind FROM public_relation', 'SELECT name, kind FROM contract', 'the public tables and views are those of the contract');
SELECT is((SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped),
	c.columns, 'columns of ' || c.name) FROM contract c JOIN public_relation r USING (name) ORDER BY name;
SELECT isnt(obj_description(r.oid, 'pg_class'), NULL, 'comment on ' || r.name) FROM public_relation r ORDER BY name;

-- what the columns begin with is promised to applications
SELECT matches((SELECT columns FROM contract WHERE name = 'sends'), '^send_id \w+, user_id \w+, journey \w+, step \w+, channel \w+, state \w+, reason \w+, due_at [a-z ]+, attempts ', 'sends begins as promised');
SELECT matches((SELECT columns FROM contract WHERE name = 'decisions'), '^send_id \w+, gates jsonb', 'decisions begins as promised');

-- of an event only the user and the name are required
SELECT col_not_null('trigger_engine', 'events', c, 'events.' || c || ' is required') FROM unnest(ARRAY['user_id', 'name']) c;
SELECT col_hasnt_default('trigger_engine', 'events', c, 'events.' || c || ' has no default') FROM unnest(ARRAY['user_id', 'name', 'dedupe_key', 'context']) c;
SELECT col_has_default('trigger_engine', 'events', c, 'events.' || c || ' has a default') FROM unnest(ARRAY['event_id', 'properties', 'occurred_at']) c;
SELECT col_is_null('trigger_engine', 'events', c, 'events.' || c || ' may be null') FROM unnest(ARRAY['dedupe_key', 'context']) c;
SELECT col_is_pk('trigger_engine', 'users', 'user_id', 'users are known by their id');
SELECT col_not_null('trigger_engine', 'users', c, 'users.' || c || ' is required') FROM unnest(ARRAY['user_id', 'attributes']) c;
SELECT col_is_null('trigger_engine', 'users', c, 'users.' || c || ' may be null') FROM unnest(ARRAY['locale', 'zone', 'country', 'tenant']) c;
SELECT col_is_pk('trigger_engine', 'endpoints', ARRAY['user_id', 'endpoint_id'], 'endpoints belong to their user');
SELECT col_is_unique('trigger_engine', 'endpoints', ARRAY['user_id', 'channel', 'address'], 'an address of a user is there once');
SELECT col_default_is('trigger_engine', 'endpoints', 'state', 'active', 'a new endpoint is active');
SELECT lives_ok($$INSERT INTO trigger_engine.events (user_id, name) VALUES ('u', 'n')$$, 'an event of two columns');
SELECT lives_ok($$INSERT INTO trigger_engine.users (user_id) VALUES ('u')$$, 'a user of one');
SELECT lives_ok($$INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('nobody yet', 'web_push', 'https://push.example/1')$$, 'an endpoint of three, before its user');
SELECT throws_ok($$INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('u', 'fax', '1')$$, '23514', NULL, 'an unknown channel is none');
SELECT throws_ok($$INSERT INTO trigger_engine.endpoints (user_id, channel, address) VALUES ('u', 'push', '')$$, '23514', NULL, 'nor is an empty address one');
SELECT throws_ok($$INSERT INTO trigger_engine.endpoints (user_id, channel, address, state) VALUES ('u', 'push', 'a', 'on')$$, '23514', NULL, 'nor an unknown state');
SELECT throws_ok($$INSERT INTO trigger_engine.users (user_id, attributes) VALUES ('v', '[]')$$, '23514', NULL, 'attributes are an object');
SELECT throws_ok($$INSERT INTO trigger_engine.users (user_id) VALUES ('')$$, '23514', NULL, 'a user has an id');

-- everything of a person is keyed by the person first, with ids from plain sequences, so that it can be distributed
SELECT is(ARRAY(SELECT c.conrelid::regclass || '.' || conname FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid JOIN pg_attribute a ON a.attrelid = conrelid AND a.attname = 'user_id'
	WHERE r.relnamespace = 'trigger_engine'::regnamespace AND contype IN ('p', 'u') AND conkey[1] <> a.attnum), '{}', 'keys of people begin with the user');
SELECT is(ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class r ON r.oid = indrelid JOIN pg_attribute a ON a.attrelid = indrelid AND a.attname = 'user_id'
	WHERE r.relnamespace = 'trigger_engine'::regnamespace AND indisunique AND i.indkey[0] <> a.attnum), '{}', 'so do unique indexes');
SELECT is(ARRAY(SELECT a.attrelid::regclass || '.' || attname FROM pg_attribute a JOIN pg_class r ON r.oid = attrelid WHERE r.relnamespace = 'trigger_engine'::regnamespace AND attidentity <> ''), '{}', 'no identity columns');
SELECT is(ARRAY(SELECT conrelid::regclass || '.' || conname FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid
	WHERE contype = 'f' AND r.relnamespace = 'trigger_engine'::regnamespace AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = conrelid AND attname = 'user_id')), '{}', 'no foreign key from a person''s rows');
SELECT is(ARRAY(SELECT relname::text FROM pg_class r WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind = 'p' AND EXISTS (SELECT FROM pg_index WHERE indrelid = r.oid)), '{}', 'partitioned parents carry no indexes');
SELECT is(ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = 'trigger_engine'::regnamespace AND relkind IN ('r', 'p') AND relname ~ '^events' AND relrowsecurity), '{}', 'events have no row-level security, which forbids COPY');
SELECT ok((SELECT relrowsecurity FROM pg_class WHERE oid = 'trigger_engine.inbox'::regclass), 'the inbox has');
-- the trigger's relations
SELECT is((SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'trigger_engine.events'::regclass AND NOT tgisinternal), '{_capture}', 'events are captured');
SELECT is((SELECT count(*) FROM pg_trigger t JOIN pg_class r ON r.oid = tgrelid WHERE relnamespace = 'trigger_engine'::regnamespace AND tgtype & 2 = 2), 0::bigint, 'no BEFORE trigger slows a COPY');

SELECT * FROM finish();
ROLLBACK;
