/*
 * Configuration: few rows, read by every backend, changed by functions only.
 *
 * Each table carries the one statement trigger _invalidate, which sends a
 * relcache message for it so that compiled journeys are rebuilt everywhere.
 */

CREATE TABLE trigger_engine._stamp (
	only_row		  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	system_identifier text NOT NULL,
	database_oid	  oid NOT NULL,
	extension_oid	  oid NOT NULL,
	installation	  text NOT NULL,
	stamped_at		  timestamptz NOT NULL,
	stamped_by		  name NOT NULL
);
COMMENT ON TABLE trigger_engine._stamp IS
'Which installation may fire and send. Written by resume() or by the first create_* function; while it does not match this server, database and extension, nothing fires and nothing is sent.';

CREATE TABLE trigger_engine._pause (
	only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	reason	  text,
	paused_at timestamptz NOT NULL,
	paused_by name NOT NULL
);
COMMENT ON TABLE trigger_engine._pause IS 'One row while sending is paused by pause(); none otherwise.';

CREATE SEQUENCE trigger_engine._journey_id_seq AS bigint;

CREATE TABLE trigger_engine._journeys (
	journey_id	bigint PRIMARY KEY DEFAULT nextval('trigger_engine._journey_id_seq'),
	name		text NOT NULL UNIQUE,
	owner		name NOT NULL,
	state		text NOT NULL CHECK (state IN ('draft', 'live', 'paused', 'archived')),
	version		integer NOT NULL,
	description text,
	created_at	timestamptz NOT NULL,
	updated_at	timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._journeys IS 'Journeys by name; read through the view journeys.';

-- No foreign key: pg_restore loads member tables in any order when it has several jobs.
CREATE TABLE trigger_engine._journey_versions (
	journey_id	  bigint NOT NULL,
	version		  integer NOT NULL,
	trigger		  jsonb NOT NULL,
	steps		  jsonb NOT NULL,
	exit_on		  jsonb,
	goal		  jsonb,
	reentry		  jsonb,
	segment		  text,
	topic		  text,
	transactional boolean NOT NULL,
	ttl			  interval,
	purpose		  text,
	priority	  integer NOT NULL DEFAULT 0,
	created_at	  timestamptz NOT NULL,
	created_by	  name NOT NULL,
	PRIMARY KEY (journey_id, version)
);
COMMENT ON TABLE trigger_engine._journey_versions IS 'Every version of every journey; a running enrollment keeps the version it entered with.';

CREATE TABLE trigger_engine._segments (
	name		text PRIMARY KEY,
	view		regclass NOT NULL,
	owner		name NOT NULL,
	refresh		interval CHECK (refresh > interval '0'),
	description text,
	created_at	timestamptz NOT NULL,
	timeout		interval,
	work_mem	text
);
COMMENT ON TABLE trigger_engine._segments IS 'Registered segment views; read through the view segments.';

CREATE TABLE trigger_engine._segment_state (
	segment		text PRIMARY KEY,
	event_low	bigint NOT NULL DEFAULT 0,
	touch_low	bigint NOT NULL DEFAULT 0,
	event_next	bigint NOT NULL DEFAULT 0,
	touch_next	bigint NOT NULL DEFAULT 0,
	waits_for	text[] NOT NULL DEFAULT '{}',
	passed_at	timestamptz,
	full_at		timestamptz,
	tried_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	rest_until	timestamptz,
	took		interval,
	full_took	interval,
	looked_at	bigint,
	failures	integer NOT NULL DEFAULT 0,
	error		text
);
COMMENT ON TABLE trigger_engine._segment_state IS
'How far the passes over a segment have come. Every event up to event_low, and every note of a change up to touch_low, has been looked at; those up to event_next and touch_next will have been once the transactions of waits_for have ended. Read through the view segment_status.';

CREATE TABLE trigger_engine._templates (
	name			  text PRIMARY KEY,
	channel			  text NOT NULL,
	owner			  name NOT NULL,
	default_locale	  text,
	requires_approval boolean NOT NULL DEFAULT false,
	description		  text,
	created_at		  timestamptz NOT NULL,
	updated_at		  timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._templates IS 'Templates and content blocks by name; their texts are in _template_texts. Read through the view templates.';

-- No foreign keys, as above.
CREATE TABLE trigger_engine._template_texts (
	name		 text NOT NULL,
	locale		 text NOT NULL,
	live_version integer,
	last_version integer NOT NULL,
	updated_at	 timestamptz NOT NULL,
	PRIMARY KEY (name, locale)
);
COMMENT ON TABLE trigger_engine._template_texts IS 'The texts of a template by locale (an empty one is the default text): which version is live, NULL for none.';

CREATE TABLE trigger_engine._template_versions (
	name		 text NOT NULL,
	locale		 text NOT NULL,
	version		 integer NOT NULL,
	content		 jsonb NOT NULL,
	note		 text,
	created_at	 timestamptz NOT NULL,
	created_by	 name NOT NULL,
	approved_at	 timestamptz,
	approved_by	 name,
	published_at timestamptz,
	published_by name,
	PRIMARY KEY (name, locale, version)
);
COMMENT ON TABLE trigger_engine._template_versions IS 'Every version of every text of a template. Content is never changed; read through the view template_versions.';

CREATE TABLE trigger_engine._quiet_hours (
	name	   text PRIMARY KEY,
	windows	   jsonb NOT NULL,
	scope	   jsonb NOT NULL,
	kind	   text NOT NULL CHECK (kind IN ('quiet', 'send_window')),
	on_quiet   text NOT NULL CHECK (on_quiet IN ('hold', 'drop')),
	zone	   text,
	owner	   name NOT NULL,
	created_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._quiet_hours IS 'Quiet hours and send windows; read through the view quiet_hours.';

CREATE TABLE trigger_engine._caps (
	name	   text PRIMARY KEY,
	max		   integer,
	per		   interval NOT NULL,
	scope	   jsonb NOT NULL,
	"window"   text NOT NULL CHECK ("window" IN ('rolling', 'calendar')),
	on_excess  text NOT NULL CHECK (on_excess IN ('defer', 'drop')),
	owner	   name NOT NULL,
	created_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._caps IS 'Frequency caps; read through the view caps.';

CREATE SEQUENCE trigger_engine._provider_id_seq AS integer;

CREATE TABLE trigger_engine._providers (
	provider_id	 integer PRIMARY KEY DEFAULT nextval('trigger_engine._provider_id_seq'),
	name		 text NOT NULL UNIQUE,
	kind		 text NOT NULL,
	channel		 text NOT NULL,
	options		 jsonb NOT NULL,
	state		 text NOT NULL CHECK (state IN ('active', 'disabled')),
	state_reason text,
	created_at	 timestamptz NOT NULL,
	updated_at	 timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._providers IS 'Provider accounts without their secrets; read through the view providers.';

CREATE TABLE trigger_engine._provider_kinds (
	name	   text PRIMARY KEY,
	channel	   text NOT NULL,
	definition jsonb NOT NULL,
	shipped	   boolean NOT NULL DEFAULT false,
	-- the shipped ones are of that day, on every server
	created_at timestamptz NOT NULL DEFAULT '2026-11-25 00:00+00',
	updated_at timestamptz NOT NULL DEFAULT '2026-11-25 00:00+00'
);
COMMENT ON TABLE trigger_engine._provider_kinds IS 'Kinds of providers made of data; read through the view provider_kinds. Rows that are shipped come with the extension and are in no dump.';

CREATE TABLE trigger_engine._secrets (
	provider   text PRIMARY KEY REFERENCES trigger_engine._providers (name) ON UPDATE CASCADE ON DELETE CASCADE,
	secret	   jsonb NOT NULL,
	updated_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._secrets IS 'References to secrets (file:, env:), or trial values given inline. Granted to nobody and never dumped.';

CREATE TABLE trigger_engine._link_options (
	journey_id bigint PRIMARY KEY,
	options	   jsonb NOT NULL,
	updated_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._link_options IS 'How links of messages are rewritten, by journey, 0 for all; read through the view link_tracking.';

CREATE TABLE trigger_engine._link_keys (
	key_id	   integer PRIMARY KEY CHECK (key_id BETWEEN 1 AND 65535),
	key		   bytea NOT NULL CHECK (length(key) = 32),
	created_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._link_keys IS 'Keys that link tokens are signed with; the newest signs. Granted to nobody and never dumped.';

CREATE TABLE trigger_engine._callback_secrets (
	source	   text PRIMARY KEY,
	secret	   jsonb NOT NULL,
	updated_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._callback_secrets IS 'What callbacks of services are checked with. Granted to nobody and never dumped.';

CREATE TABLE trigger_engine._event_schemas (
	event		 text PRIMARY KEY,
	schema		 jsonb NOT NULL,
	on_violation text NOT NULL CHECK (on_violation IN ('refuse', 'quarantine')),
	owner		 name NOT NULL,
	updated_at	 timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._event_schemas IS 'JSON Schemas of event properties by event name; read through the view event_schemas.';

CREATE TABLE trigger_engine._tracked_tables (
	source		regclass PRIMARY KEY,
	event		text NOT NULL,
	user_column name NOT NULL,
	time_column name,
	properties	name[] NOT NULL,
	key_columns name[] NOT NULL,
	on_update	name[],
	owner		name NOT NULL,
	created_at	timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._tracked_tables IS 'Application tables whose rows are events; read through the view tracked_tables.';

CREATE TABLE trigger_engine._life_stages (
	only_row		   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	new_for			   interval NOT NULL,
	considering_within interval NOT NULL,
	at_risk_after	   interval NOT NULL,
	lapsed_after	   interval NOT NULL,
	won_back_for	   interval NOT NULL,
	considering		   text[] NOT NULL,
	conversions		   text[] NOT NULL
);
COMMENT ON TABLE trigger_engine._life_stages IS 'Thresholds of life_stage(), one row when they were set by set_life_stages().';
