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
		PRIMARY KEY (user_id, journey_id, entry_key, step)
	) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
			autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.05,
			autovacuum_vacuum_cost_delay = 0)
	$ddl$;
	EXECUTE 'CREATE INDEX IF NOT EXISTS _due_order ON trigger_engine._due (lane, due_at, event_id)';

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
COMMENT ON TABLE trigger_engine._assignments IS 'Variants that do not come from the hash, each from its instant on: forced (NULL = released), imported, kept; read through the view stored_assignments.';
COMMENT ON TABLE trigger_engine._entry_keys IS 'Keys of re-entry policies (once, once_per_key, after, parallel); unpartitioned so that they hold for ever.';
COMMENT ON TABLE trigger_engine._enrollments IS 'One row for each run of a user through a journey, written when its first step is claimed; read through the view enrollments.';
COMMENT ON TABLE trigger_engine._exits IS 'The latest exit of each user from each journey by a row of a tracked table, for entries that come in later with an earlier time. versions: those that have this exit; at: when it happened, or was inserted if that was earlier. One row for each, but for those of sessions at the same time and under REPEATABLE READ.';
COMMENT ON COLUMN trigger_engine._due.retried IS 'Put back by retry_sends() before it was ever handed over: the step that follows was queued before.';
COMMENT ON TABLE trigger_engine._due IS 'The queue: one row for each step that waits for its time. Deleted when claimed or cancelled.';
COMMENT ON TABLE trigger_engine._batches IS 'What a worker has claimed and not yet recorded: one durable row for each batch, written before anything is handed over.';
COMMENT ON TABLE trigger_engine._send_keys IS 'The identity of every send, unique for ever.';
COMMENT ON TABLE trigger_engine._sends IS 'History of finished sends and of messages that a gate stopped; read through the view sends.';
COMMENT ON TABLE trigger_engine._slots IS 'Room that messages take under the caps: one row for each that a cap concerns, planned while it is held, used from its hand-over on. Trimmed when no cap looks back that far.';
COMMENT ON TABLE trigger_engine._user_limits IS 'Quiet hours and caps that users chose for themselves. Written by set_message_limits().';
COMMENT ON TABLE trigger_engine._attempts IS 'Attempts that did not finish their send; read through the view attempts.';
COMMENT ON TABLE trigger_engine.inbox IS 'In-app messages. Delivery is the insert itself, in the transaction that records the send. Row-level security: a role without ownership sees the rows of the user named by the setting trigger_engine.user_id.';
