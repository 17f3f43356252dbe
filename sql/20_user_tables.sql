/*
 * Tables of people: everything here is keyed by user_id first, and created by
 * one function so that it can also be created apart from the extension.
 * Partitioned parents carry no keys and no indexes; their partitions do.
 */

CREATE FUNCTION trigger_engine._next_event_id(sequence regclass)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_next_event_id'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine._next_event_id(regclass) IS
'Default of events.event_id: nextval(), and the engine knows that nobody else has the number.';

CREATE FUNCTION trigger_engine.clock()
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'te_clock'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.clock() IS
'The engine''s now: the start of the current transaction, or the virtual clock where trigger_engine.virtual_clock is on and a time was set.';

CREATE FUNCTION trigger_engine._create_user_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._event_id_seq AS bigint';
	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._send_id_seq AS bigint CACHE 1';
	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._batch_id_seq AS bigint';
	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._endpoint_id_seq AS bigint';
	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._touch_id_seq AS bigint';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine.events (
		event_id	bigint NOT NULL DEFAULT trigger_engine._next_event_id('trigger_engine._event_id_seq'),
		user_id		text NOT NULL,
		name		text NOT NULL,
		properties	jsonb NOT NULL DEFAULT '{}',
		occurred_at timestamptz NOT NULL DEFAULT trigger_engine.clock(),
		dedupe_key	text,
		context		jsonb
	) PARTITION BY RANGE (occurred_at)
	$ddl$;
	EXECUTE 'CREATE TABLE IF NOT EXISTS trigger_engine.events_default PARTITION OF trigger_engine.events DEFAULT';
	EXECUTE 'CREATE UNIQUE INDEX IF NOT EXISTS events_default_key ON trigger_engine.events_default (user_id, occurred_at, event_id)';
	EXECUTE 'CREATE INDEX IF NOT EXISTS events_default_arrival ON trigger_engine.events_default USING brin (event_id) WITH (pages_per_range = 16, autosummarize = on)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._event_keys (
		user_id	   text NOT NULL,
		dedupe_key text NOT NULL,
		event_id   bigint NOT NULL,
		PRIMARY KEY (user_id, dedupe_key)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine.quarantined_events (
		user_id		   text NOT NULL,
		name		   text NOT NULL,
		properties	   jsonb NOT NULL,
		occurred_at	   timestamptz NOT NULL,
		dedupe_key	   text,
		context		   jsonb,
		event_id	   bigint NOT NULL,
		reason		   text NOT NULL,
		quarantined_at timestamptz NOT NULL,
		PRIMARY KEY (user_id, event_id)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine.users (
		user_id	   text PRIMARY KEY CHECK (user_id <> ''),
		attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
		locale	   text,
		zone	   text,
		country	   text,
		tenant	   text,
		created_at timestamptz NOT NULL DEFAULT trigger_engine.clock(),
		updated_at timestamptz NOT NULL DEFAULT trigger_engine.clock()
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine.endpoints (
		endpoint_id	 bigint NOT NULL DEFAULT nextval('trigger_engine._endpoint_id_seq'),
		user_id		 text NOT NULL,
		channel		 text NOT NULL CHECK (channel IN ('push', 'web_push', 'email', 'sms', 'whatsapp', 'in_app', 'webhook', 'chat')),
		address		 text NOT NULL CHECK (address <> ''),
		provider	 text,
		data		 jsonb NOT NULL DEFAULT '{}',
		state		 text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
		state_reason text,
		created_at	 timestamptz NOT NULL DEFAULT trigger_engine.clock(),
		updated_at	 timestamptz NOT NULL DEFAULT trigger_engine.clock(),
		PRIMARY KEY (user_id, endpoint_id),
		UNIQUE (user_id, channel, address)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._consents (
		user_id text NOT NULL,
		channel text NOT NULL,
		topic	text NOT NULL DEFAULT '',
		state	text NOT NULL CHECK (state IN ('opted_in', 'opted_out')),
		source	text,
		at		timestamptz NOT NULL,
		proof	jsonb,
		PRIMARY KEY (user_id, channel, topic, at)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._preferences (
		user_id	  text NOT NULL,
		topic	  text NOT NULL,
		channel	  text NOT NULL,
		at		  timestamptz NOT NULL,
		frequency text NOT NULL,
		source	  text,
		proof	  jsonb,
		PRIMARY KEY (user_id, topic, channel, at)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._suppressed_users (
		user_id	   text NOT NULL,
		channel	   text NOT NULL,
		reason	   text NOT NULL,
		scope	   text NOT NULL CHECK (scope IN ('all', 'marketing')),
		source	   text,
		created_at timestamptz NOT NULL,
		PRIMARY KEY (user_id, channel)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._opt_in_requests (
		user_id		 text NOT NULL,
		request_id	 text NOT NULL,
		channel		 text NOT NULL,
		topic		 text,
		requested_at timestamptz NOT NULL,
		confirmed_at timestamptz,
		text_version text,
		source		 text,
		proof		 jsonb,
		PRIMARY KEY (user_id, request_id)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._erasures (
		user_id		 text PRIMARY KEY,
		requested_at timestamptz NOT NULL,
		pseudonym	 text NOT NULL,
		horizon		 xid8
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._segment_members (
		user_id		text NOT NULL,
		segment		text NOT NULL,
		entered_at	timestamptz NOT NULL,
		valid_until timestamptz,
		PRIMARY KEY (user_id, segment)
	) WITH (fillfactor = 80)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _segment_members_segment ON trigger_engine._segment_members (segment)';
	EXECUTE 'CREATE INDEX IF NOT EXISTS _segment_members_ends ON trigger_engine._segment_members (segment, valid_until) WHERE valid_until IS NOT NULL';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._segment_log (
		user_id	   text NOT NULL,
		segment	   text NOT NULL,
		entered_at timestamptz NOT NULL,
		left_at	   timestamptz,
		PRIMARY KEY (user_id, segment, entered_at)
	) WITH (fillfactor = 80)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _segment_log_segment ON trigger_engine._segment_log (segment, entered_at)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._segment_touched (
		user_id	 text NOT NULL,
		touch_id bigint NOT NULL DEFAULT nextval('trigger_engine._touch_id_seq')
	)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _segment_touched_order ON trigger_engine._segment_touched (touch_id)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._assignments (
		user_id		  text NOT NULL,
		experiment_id bigint NOT NULL,
		at			  timestamptz NOT NULL,
		salt_epoch	  integer NOT NULL,
		source		  text NOT NULL CHECK (source IN ('forced', 'imported', 'kept')),
		variant		  text CHECK (variant IS NOT NULL OR source = 'forced'),
		PRIMARY KEY (user_id, experiment_id, at)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._entry_keys (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		entry_key  text NOT NULL,
		entered_at timestamptz NOT NULL,
		PRIMARY KEY (user_id, journey_id, entry_key)
	) WITH (fillfactor = 80)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._counters (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		total	   numeric NOT NULL,
		reached	   numeric NOT NULL,
		fired	   boolean NOT NULL,
		last_day   integer,
		PRIMARY KEY (user_id, journey_id)
	) WITH (fillfactor = 80)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._timers (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		due_at	   timestamptz NOT NULL,
		rung	   integer NOT NULL DEFAULT 0,
		last_at	   timestamptz,
		PRIMARY KEY (user_id, journey_id)
	) WITH (fillfactor = 80)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _timers_order ON trigger_engine._timers (due_at)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._followers (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		object	   text NOT NULL,
		since	   timestamptz NOT NULL,
		PRIMARY KEY (user_id, journey_id, object)
	)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _followers_of ON trigger_engine._followers (journey_id, object, user_id)';

	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._fanout_id_seq AS bigint';
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._fanouts (
		object	   text NOT NULL,
		fanout_id  bigint NOT NULL DEFAULT nextval('trigger_engine._fanout_id_seq'),
		journey_id bigint NOT NULL,
		key		   text NOT NULL,
		at		   timestamptz NOT NULL,
		context	   jsonb NOT NULL,
		not_before timestamptz NOT NULL DEFAULT '-infinity',
		PRIMARY KEY (object, fanout_id)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._enrollments (
		user_id		 text NOT NULL,
		journey_id	 bigint NOT NULL,
		entry_key	 text NOT NULL,
		version		 integer NOT NULL,
		entered_at	 timestamptz NOT NULL,
		completed_at timestamptz,
		exited_at	 timestamptz,
		exit_reason	 text,
		PRIMARY KEY (user_id, journey_id, entry_key)
	) WITH (fillfactor = 80)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._exits (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		versions   integer[] NOT NULL,
		at		   timestamptz NOT NULL,
		reason	   text NOT NULL
	) WITH (fillfactor = 80)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _exits_key ON trigger_engine._exits (user_id, journey_id)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._due (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		entry_key  text NOT NULL,
		step	   text NOT NULL,
		lane	   smallint NOT NULL DEFAULT 0,
		due_at	   timestamptz NOT NULL,
		event_id   bigint NOT NULL DEFAULT 0,
		event_at   timestamptz NOT NULL,
		version	   integer NOT NULL,
		attempt	   smallint NOT NULL DEFAULT 0,
		holds	   smallint NOT NULL DEFAULT 0,
		crashes	   smallint NOT NULL DEFAULT 0,
		send_id	   bigint,
		first_due_at timestamptz,
		note	   text,
		context	   jsonb,
		retried	   boolean NOT NULL DEFAULT false,
		arm		   smallint,
		PRIMARY KEY (user_id, journey_id, entry_key, step)
	) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
			autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.05,
			autovacuum_vacuum_cost_delay = 0)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _due_order ON trigger_engine._due (lane, due_at, event_id)';
	-- callbacks name a send alone
	EXECUTE 'CREATE INDEX IF NOT EXISTS _due_send ON trigger_engine._due (send_id) WHERE send_id IS NOT NULL';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._batches (
		batch_id	bigint PRIMARY KEY,
		shard		smallint NOT NULL,
		worker_pid	integer NOT NULL,
		claimed_at	timestamptz NOT NULL,
		user_ids	text[] NOT NULL,
		journey_ids bigint[] NOT NULL,
		entry_keys	text[] NOT NULL,
		steps		text[] NOT NULL,
		channels	text[] NOT NULL,
		send_ids	bigint[] NOT NULL,
		versions	integer[] NOT NULL,
		due_ats		timestamptz[] NOT NULL,
		event_ids	bigint[] NOT NULL,
		event_ats	timestamptz[] NOT NULL,
		attempts	smallint[] NOT NULL,
		crashes		smallint[] NOT NULL,
		contexts	text[] NOT NULL
	) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._send_keys (
		user_id		  text NOT NULL,
		journey_id	  bigint NOT NULL,
		entry_key	  text NOT NULL,
		step		  text NOT NULL,
		channel		  text NOT NULL,
		attempt_class text NOT NULL DEFAULT 'normal' CHECK (attempt_class IN ('normal', 'fallback', 'test')),
		send_id		  bigint NOT NULL,
		PRIMARY KEY (user_id, journey_id, entry_key, step, channel, attempt_class)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._slots (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		entry_key  text NOT NULL,
		step	   text NOT NULL,
		channel	   text NOT NULL,
		at		   timestamptz NOT NULL,
		topic	   text,
		journey	   text NOT NULL,
		purpose	   text,
		priority   integer NOT NULL,
		used	   boolean NOT NULL,
		PRIMARY KEY (user_id, journey_id, entry_key, step, channel)
	) WITH (fillfactor = 80)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _slots_at ON trigger_engine._slots (at)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._user_limits (
		user_id		text PRIMARY KEY,
		quiet_hours jsonb,
		caps		jsonb,
		updated_at	timestamptz NOT NULL
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._sends (
		send_id		   bigint NOT NULL,
		user_id		   text NOT NULL,
		journey_id	   bigint NOT NULL,
		version		   integer NOT NULL,
		entry_key	   text NOT NULL,
		step		   text NOT NULL,
		channel		   text NOT NULL,
		provider	   text,
		state		   text NOT NULL,
		gate		   text,
		reason		   text,
		due_at		   timestamptz NOT NULL,
		event_id	   bigint NOT NULL,
		event_at	   timestamptz NOT NULL,
		decided_at	   timestamptz NOT NULL,
		handed_over_at timestamptz,
		finished_at	   timestamptz NOT NULL,
		attempts	   smallint NOT NULL,
		took_us		   integer,
		status		   integer,
		provider_ref   text,
		response	   text,
		detail		   jsonb,
		template_version integer,
		template_locale text
	) PARTITION BY RANGE (finished_at)
	$ddl$;
	EXECUTE 'CREATE TABLE IF NOT EXISTS trigger_engine._sends_default PARTITION OF trigger_engine._sends DEFAULT';
	EXECUTE 'CREATE UNIQUE INDEX IF NOT EXISTS _sends_default_key ON trigger_engine._sends_default (user_id, send_id)';
	EXECUTE 'CREATE INDEX IF NOT EXISTS _sends_default_id ON trigger_engine._sends_default USING brin (send_id) WITH (pages_per_range = 16, autosummarize = on)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._attempts (
		user_id	   text NOT NULL,
		send_id	   bigint NOT NULL,
		attempt	   smallint NOT NULL,
		at		   timestamptz NOT NULL,
		provider   text,
		outcome	   text NOT NULL,
		reason	   text,
		status	   integer,
		took_us	   integer,
		response   text
	) PARTITION BY RANGE (at)
	$ddl$;
	EXECUTE 'CREATE TABLE IF NOT EXISTS trigger_engine._attempts_default PARTITION OF trigger_engine._attempts DEFAULT';
	EXECUTE 'CREATE INDEX IF NOT EXISTS _attempts_default_key ON trigger_engine._attempts_default (user_id, send_id)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._interactions (
		user_id		text NOT NULL,
		send_id		bigint NOT NULL,
		journey_id	bigint NOT NULL,
		entry_key	text NOT NULL,
		step		text NOT NULL,
		channel		text NOT NULL,
		kind		text NOT NULL,
		at			timestamptz NOT NULL,
		recorded_at timestamptz NOT NULL,
		machine		boolean NOT NULL DEFAULT false,
		source_id	text NOT NULL DEFAULT '',
		data		jsonb
	) PARTITION BY RANGE (recorded_at)
	$ddl$;
	EXECUTE 'CREATE TABLE IF NOT EXISTS trigger_engine._interactions_default PARTITION OF trigger_engine._interactions DEFAULT';
	EXECUTE 'CREATE INDEX IF NOT EXISTS _interactions_default_key ON trigger_engine._interactions_default (user_id, send_id)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._interaction_keys (
		user_id	  text NOT NULL,
		send_id	  bigint NOT NULL,
		kind	  text NOT NULL,
		source_id text NOT NULL,
		PRIMARY KEY (user_id, send_id, kind, source_id)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._exposures (
		user_id	   text NOT NULL,
		experiment text NOT NULL,
		epoch	   integer NOT NULL,
		variant	   text NOT NULL,
		journey_id bigint NOT NULL,
		entry_key  text NOT NULL,
		step	   text NOT NULL,
		at		   timestamptz NOT NULL,
		held_out   boolean NOT NULL DEFAULT false,
		PRIMARY KEY (user_id, experiment, journey_id, entry_key, step)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._metric_sends (
		user_id			 text NOT NULL,
		send_id			 bigint NOT NULL,
		sign			 smallint NOT NULL,
		journey_id		 bigint NOT NULL,
		version			 integer NOT NULL,
		entry_key		 text NOT NULL,
		step			 text NOT NULL,
		channel			 text NOT NULL,
		provider		 text,
		state			 text NOT NULL,
		gate			 text,
		due_at			 timestamptz NOT NULL,
		handed_over_at	 timestamptz,
		finished_at		 timestamptz NOT NULL,
		took_us			 integer,
		template_version integer,
		template_locale	 text
	) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)
	$ddl$;
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._metric_interactions (
		user_id	   text NOT NULL,
		send_id	   bigint NOT NULL,
		journey_id bigint NOT NULL,
		entry_key  text NOT NULL,
		step	   text NOT NULL,
		channel	   text NOT NULL,
		kind	   text NOT NULL,
		at		   timestamptz NOT NULL
	) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)
	$ddl$;
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._metric_variants (
		user_id text NOT NULL,
		send_id bigint NOT NULL,
		variant text NOT NULL,
		PRIMARY KEY (user_id, send_id)
	)
	$ddl$;
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._send_results (
		user_id text NOT NULL,
		send_id bigint NOT NULL,
		kind	text NOT NULL,
		at		timestamptz NOT NULL,
		PRIMARY KEY (user_id, send_id, kind)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._conversion_watches (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		opened_at  timestamptz NOT NULL,
		closes_at  timestamptz NOT NULL,
		next_at	   timestamptz NOT NULL,
		PRIMARY KEY (user_id, journey_id)
	) WITH (fillfactor = 80)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _conversion_watches_next ON trigger_engine._conversion_watches (next_at)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._conversions (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		event_id   bigint NOT NULL,
		send_id	   bigint NOT NULL,
		event	   text NOT NULL,
		at		   timestamptz NOT NULL,
		sent_at	   timestamptz NOT NULL,
		model	   text NOT NULL,
		credit	   numeric NOT NULL,
		touches	   bigint NOT NULL,
		value	   numeric NOT NULL,
		PRIMARY KEY (user_id, journey_id, event_id, send_id)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine.inbox (
		user_id		  text NOT NULL,
		send_id		  bigint NOT NULL,
		journey		  text NOT NULL,
		title		  text,
		body		  text,
		image		  text,
		url			  text,
		data		  jsonb NOT NULL DEFAULT '{}',
		created_at	  timestamptz NOT NULL,
		expires_at	  timestamptz,
		seen_at		  timestamptz,
		read_at		  timestamptz,
		archived_at	  timestamptz,
		interacted_at timestamptz,
		snoozed_until timestamptz,
		PRIMARY KEY (user_id, send_id)
	) WITH (fillfactor = 80)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._digests (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		key		   text NOT NULL,
		entry_key  text NOT NULL,
		PRIMARY KEY (user_id, journey_id, key)
	) WITH (fillfactor = 80)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._digest_events (
		user_id	   text NOT NULL,
		journey_id bigint NOT NULL,
		entry_key  text NOT NULL,
		event_id   bigint NOT NULL,
		event_at   timestamptz NOT NULL,
		context	   jsonb
	)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _digest_events_key ON trigger_engine._digest_events (user_id, journey_id, entry_key)';
	EXECUTE 'CREATE INDEX IF NOT EXISTS _digest_events_at ON trigger_engine._digest_events (event_at)';

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._list_members (
		user_id	 text NOT NULL,
		list	 text NOT NULL,
		added_at timestamptz NOT NULL,
		PRIMARY KEY (user_id, list)
	)
	$ddl$;
END
$function$;
COMMENT ON FUNCTION trigger_engine._create_user_tables() IS
'Creates the tables of events, people, queue and history where they do not exist yet.';

SELECT trigger_engine._create_user_tables();

COMMENT ON TABLE trigger_engine.events IS
'What people did. Insert user_id and name; the rest has defaults: properties (a JSON object), occurred_at (when it happened; late events are accepted back to trigger_engine.event_retention and future ones up to trigger_engine.event_lead), dedupe_key (a repeated insert with the same user and key is a no-op for ever), context (device, page, replay link and the like). Partitioned by occurred_at; partitions come and go by themselves.';
COMMENT ON COLUMN trigger_engine.events.dedupe_key IS 'Any text that identifies this event for this user; NULL = never compared.';
COMMENT ON TABLE trigger_engine._event_keys IS 'Dedupe keys of events; they outlive the partitions of the events.';
COMMENT ON TABLE trigger_engine.quarantined_events IS 'Events set aside because they violate the schema of their name, with the reason; nothing fired for them. See release_event().';
COMMENT ON TABLE trigger_engine.users IS 'People as the application knows them: attributes (a JSON object), locale (BCP 47), zone (IANA), country (ISO 3166), tenant. An event may arrive before its user.';
COMMENT ON TABLE trigger_engine.endpoints IS 'Where a channel reaches a user: a token, a subscription, an address or a number. data holds what the channel needs beside it, state active or disabled with its reason.';
COMMENT ON TABLE trigger_engine._consents IS 'Every consent ever recorded; the latest for a user, channel and topic counts. channel or topic may be ''*'' and '''' for all. Written by set_consent().';
COMMENT ON TABLE trigger_engine._preferences IS 'How often people want a topic on a channel, every choice ever made; the latest counts. Written by set_preference().';
COMMENT ON TABLE trigger_engine._suppressed_users IS 'Users that nothing is sent to on a channel; read through the view suppressions.';
COMMENT ON TABLE trigger_engine._opt_in_requests IS 'First halves of double opt-ins, and when they were confirmed. Written by request_opt_in().';
COMMENT ON TABLE trigger_engine._erasures IS 'Users who were erased a moment ago: until nobody can add to them any more. horizon: transactions from this one on know of it. Written by erase_user().';
COMMENT ON TABLE trigger_engine._segment_members IS 'Who was in which segment at its last pass, and until when its view said so; read through the view segment_memberships.';
COMMENT ON TABLE trigger_engine._segment_log IS 'Every stay of a user in a segment; left_at NULL while it lasts. Read through the view segment_log.';
COMMENT ON TABLE trigger_engine._segment_touched IS 'Users whose rows in a table other than events were changed; deleted when every segment has looked at them.';
COMMENT ON TABLE trigger_engine._assignments IS 'Variants that do not come from the hash, each from its instant on: forced (NULL = released), imported, kept; read through the view stored_assignments.';
COMMENT ON TABLE trigger_engine._entry_keys IS 'Keys of re-entry policies (once, once_per_key, after, parallel); unpartitioned so that they hold for ever.';
COMMENT ON TABLE trigger_engine._counters IS 'Of milestone triggers: what a user has come to, how often the milestone was reached, and whether by the latest event. last_day: of a streak, by the user''s clock, from 2000-01-01.';
COMMENT ON TABLE trigger_engine._timers IS 'Of inactivity and date triggers: when to look at a user next. rung: how many rungs of an inactivity are behind; last_at: activity when it was armed.';
COMMENT ON TABLE trigger_engine._followers IS 'Of price_drop, back_in_stock and followed triggers: who showed interest in which object, and since when.';
COMMENT ON TABLE trigger_engine._fanouts IS 'What happened to objects and has to be told; a row goes when all who are to hear of it have entered. not_before: when to try again what failed, by the server''s clock.';
COMMENT ON TABLE trigger_engine._enrollments IS 'One row for each run of a user through a journey, written when its first step is claimed; read through the view enrollments.';
COMMENT ON TABLE trigger_engine._exits IS 'The latest exit of each user from each journey by a row of a tracked table, for entries that come in later with an earlier time. versions: those that have this exit; at: when it happened, or was inserted if that was earlier. One row for each, but for those of sessions at the same time and under REPEATABLE READ.';
COMMENT ON COLUMN trigger_engine._due.retried IS 'Put back by retry_sends() before it was ever handed over: the step that follows was queued before.';
COMMENT ON COLUMN trigger_engine._due.arm IS 'Of a step that awaits events: the number of the one that came, from 0; NULL while none has.';
COMMENT ON TABLE trigger_engine._digests IS 'Open windows of digests: the run that events of a key are added to. Deleted when the worker closes the window.';
COMMENT ON TABLE trigger_engine._digest_events IS 'Events that digests have collected, by run.';
COMMENT ON TABLE trigger_engine._list_members IS 'Who is on which list, by the step "list" or by add_to_list().';
COMMENT ON TABLE trigger_engine._exposures IS 'One row for each time that a message or a way through a journey depended on an experiment, also where it meant no message. held_out: by a holdout.';
COMMENT ON TABLE trigger_engine._due IS 'The queue: one row for each step that waits for its time. Deleted when claimed or cancelled.';
COMMENT ON TABLE trigger_engine._batches IS 'What a worker has claimed and not yet recorded: one durable row for each batch, written before anything is handed over.';
COMMENT ON TABLE trigger_engine._send_keys IS 'The identity of every send, unique for ever.';
COMMENT ON TABLE trigger_engine._sends IS 'History of finished sends and of messages that a gate stopped; read through the view sends.';
COMMENT ON TABLE trigger_engine._slots IS 'Room that messages take under the caps: one row for each that a cap concerns, planned while it is held, used from its hand-over on. Trimmed when no cap looks back that far.';
COMMENT ON TABLE trigger_engine._user_limits IS 'Quiet hours and caps that users chose for themselves. Written by set_message_limits().';
COMMENT ON TABLE trigger_engine._attempts IS 'Attempts that did not finish their send; read through the view attempts.';
COMMENT ON TABLE trigger_engine._interactions IS 'What people did with messages; read through the view interactions. Written by record_interaction().';
COMMENT ON TABLE trigger_engine._interaction_keys IS 'Interactions that are recorded already; they outlive the partitions, so that a repeated callback stays a no-op.';
COMMENT ON TABLE trigger_engine._metric_sends IS 'Sends that came to their end (sign 1) or were put back into the queue (-1) and that the metrics do not count yet.';
COMMENT ON TABLE trigger_engine._metric_interactions IS 'Interactions that the metrics do not count yet.';
COMMENT ON TABLE trigger_engine._metric_variants IS 'The variants under which a send was counted; no row for none.';
COMMENT ON TABLE trigger_engine._send_results IS 'What became of a send, each kind of interaction once, with the instant of the first that was recorded.';
COMMENT ON TABLE trigger_engine._conversion_watches IS 'People who got a message of a journey with a conversion rule, and when their events are looked at next.';
COMMENT ON TABLE trigger_engine._conversions IS 'What people did after a message, and which part of the credit the message got; read through the view conversions.';
COMMENT ON TABLE trigger_engine.inbox IS 'In-app messages. Delivery is the insert itself, in the transaction that records the send. Row-level security: a role without ownership sees the rows of the user named by the setting trigger_engine.user_id.';
