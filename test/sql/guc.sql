-- Settings: which there are, of what kind, and who may change them.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
SELECT name, vartype, unit, context, boot_val, min_val, max_val FROM pg_settings WHERE name LIKE 'trigger\_engine.%' ORDER BY name COLLATE "C";
SELECT name FROM pg_settings WHERE name LIKE 'trigger\_engine.%' AND (short_desc IS NULL OR short_desc !~ '\.$' OR category <> 'Customized Options');

-- a misspelt one is none
SET trigger_engine.ingets = off;
SET trigger_engine.poll_interval = '1 s';
SET trigger_engine.virtual_clock = off;
SET trigger_engine.event_lead = '1 day';
SET trigger_engine.ingest = maybe;

-- ingest is for superusers, user_id for everybody, secret_directory not even to be seen
CREATE ROLE regress_te_nobody;
SET ROLE regress_te_nobody;
SET trigger_engine.ingest = off;
SET trigger_engine.user_id = 'u1';
SHOW trigger_engine.user_id;
SHOW trigger_engine.secret_directory;
SHOW trigger_engine.allowed_private_cidrs;
RESET trigger_engine.user_id;
RESET ROLE;
DROP ROLE regress_te_nobody;

-- off, events are stored and start nothing
CALL journey('j', wait => '1 h');
SET trigger_engine.ingest = off;
INSERT INTO events (user_id, name, dedupe_key) VALUES ('u1', 'cart', 'a'), ('u1', 'cart', 'a');
RESET trigger_engine.ingest;
CALL event('u2', 'cart');
SELECT user_id, count(*) FROM events GROUP BY 1 ORDER BY 1;
SELECT user_id FROM sends;

-- the bounds of time follow their settings
ALTER SYSTEM SET trigger_engine.event_lead = 0;
ALTER SYSTEM SET trigger_engine.event_retention = '1 d';
SELECT pg_reload_conf();
\set ECHO none
\o /dev/null
-- a session takes it up between two commands
SELECT format('SELECT pg_sleep(CASE WHEN current_setting(%L) = %L THEN 0 ELSE 0.05 END)', 'trigger_engine.event_lead', '0') FROM generate_series(1, 400) \gexec
\o
\set ECHO all
SHOW trigger_engine.event_lead;
SHOW trigger_engine.event_retention;
SELECT error($$CALL event('u3', 'cart', '{}', clock() + interval '1 microsecond')$$);
SELECT error($$CALL event('u3', 'cart', '{}', clock() - interval '1 day 1 microsecond')$$);
CALL event('u3', 'cart', '{}', clock());
CALL event('u3', 'cart', '{}', clock() - interval '1 day');
ALTER SYSTEM RESET trigger_engine.event_lead;
ALTER SYSTEM RESET trigger_engine.event_retention;
SELECT pg_reload_conf();
\set ECHO none
\o /dev/null
-- a session takes it up between two commands
SELECT format('SELECT pg_sleep(CASE WHEN current_setting(%L) = %L THEN 0 ELSE 0.05 END)', 'trigger_engine.event_lead', '1d') FROM generate_series(1, 400) \gexec
\o
\set ECHO all
SHOW trigger_engine.event_lead;
