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
	-- segments
	('create_segment', 'name text, view regclass, refresh interval DEFAULT NULL::interval, description text DEFAULT NULL::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_segment', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('in_segment', 'name text, user_id text', 'boolean', 's', true, 'u'),
	('segment_members', 'name text', 'SETOF text', 's', true, 'u'),
	-- templates
	('render', 'template text, context jsonb DEFAULT ''{}''::jsonb, locale text DEFAULT NULL::text, partials jsonb DEFAULT ''{}''::jsonb, options jsonb DEFAULT ''{}''::jsonb', 'text', 's', false, 's'),
	('create_template', 'name text, channel text, content jsonb, locale text DEFAULT NULL::text, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('drop_template', 'name text, locale text DEFAULT NULL::text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	-- journeys
	('create_journey', 'name text, trigger jsonb, steps jsonb, exit_on jsonb DEFAULT NULL::jsonb, goal jsonb DEFAULT NULL::jsonb, reentry jsonb DEFAULT NULL::jsonb, segment text DEFAULT NULL::text, topic text DEFAULT NULL::text, transactional boolean DEFAULT false, ttl interval DEFAULT NULL::interval, purpose text DEFAULT NULL::text, description text DEFAULT NULL::text, enabled boolean DEFAULT true, or_replace boolean DEFAULT false', 'bigint', 'v', false, 'u'),
	('alter_journey', 'name text, trigger jsonb DEFAULT NULL::jsonb, steps jsonb DEFAULT NULL::jsonb, exit_on jsonb DEFAULT NULL::jsonb, goal jsonb DEFAULT NULL::jsonb, reentry jsonb DEFAULT NULL::jsonb, segment text DEFAULT NULL::text, topic text DEFAULT NULL::text, transactional boolean DEFAULT NULL::boolean, ttl interval DEFAULT NULL::interval, purpose text DEFAULT NULL::text, description text DEFAULT NULL::text, new_name text DEFAULT NULL::text', 'integer', 'v', false, 'u'),
	('enable_journey', 'name text', 'void', 'v', false, 'u'),
	('disable_journey', 'name text', 'void', 'v', false, 'u'),
	('drop_journey', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('set_consent', 'user_id text, channel text, state text, topic text DEFAULT NULL::text, source text DEFAULT NULL::text, at timestamp with time zone DEFAULT NULL::timestamp with time zone, proof jsonb DEFAULT NULL::jsonb', 'void', 'v', false, 'u'),
	-- providers
	('create_provider', 'name text, kind text, options jsonb, or_replace boolean DEFAULT false', 'void', 'v', false, 'u'),
	('alter_provider', 'name text, options jsonb DEFAULT NULL::jsonb, enabled boolean DEFAULT NULL::boolean', 'void', 'v', false, 'u'),
	('drop_provider', 'name text, if_exists boolean DEFAULT false', 'boolean', 'v', false, 'u'),
	('set_secret', 'provider text, secret jsonb', 'void', 'v', false, 'u'),
	-- sends and the inbox
	('explain_send', 'send_id bigint', 'TABLE(step integer, what text, result text, detail text)', 's', false, 'u'),
	('cancel_sends', 'journey text DEFAULT NULL::text, user_id text DEFAULT NULL::text, reason text DEFAULT NULL::text', 'bigint', 'v', false, 'u'),
	('retry_sends', 'journey text DEFAULT NULL::text, states text[] DEFAULT ''{unknown,rejected}''::text[], since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone', 'bigint', 'v', false, 'u'),
	('inbox', 'user_id text, archived boolean DEFAULT false, max_messages integer DEFAULT 50, before timestamp with time zone DEFAULT NULL::timestamp with time zone', 'SETOF trigger_engine.inbox', 's', false, 'u'),
	('inbox_counts', 'user_id text', 'TABLE(total bigint, unseen bigint, unread bigint, snoozed bigint, archived bigint)', 's', false, 'u'),
	('mark_inbox', 'user_id text, action text, send_ids bigint[] DEFAULT NULL::bigint[], snooze_until timestamp with time zone DEFAULT NULL::timestamp with time zone', 'bigint', 'v', false, 'u'),
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
	WHERE provolatile = 'v' AND lanname <> 'c' AND NOT prosecdef AND name NOT IN ('grant_usage', 'revoke_usage') ORDER BY name), '{}', 'no public function works with the caller''s rights by accident');

SELECT * FROM finish();
ROLLBACK;
