-- What the view providers shows to whom.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
CREATE ROLE regress_te_reader;
CREATE ROLE regress_te_analyst;
CREATE ROLE regress_te_admin;
SELECT grant_usage('regress_te_reader', 'reader'), grant_usage('regress_te_analyst', 'analyst'), grant_usage('regress_te_admin', 'admin');
SELECT create_provider(n, 'webhook', o::jsonb) FROM (VALUES
	('a', '{"url": "https://hooks.example.com/services/T0/secret?token=secret", "timeout": "5 s"}'),
	('b', '{"url": "https://example.com:8443?token=secret/@x"}'),
	('c', '{"url": "https://example.com"}'),
	('d', '{"rate": 5}'),
	('e', '{"url": "https://[2001:db8::1]:8443/secret"}')) v(n, o);
-- of an address that is a secret itself only those see all who could change it
SET ROLE regress_te_reader;
SELECT name, options FROM trigger_engine.providers ORDER BY name;
SET ROLE regress_te_analyst;
SELECT count(*) FROM trigger_engine.providers WHERE options::text ~ 'secret';
SET ROLE regress_te_admin;
SELECT name, options FROM trigger_engine.providers ORDER BY name;
RESET ROLE;
SELECT count(*) FROM providers WHERE options::text ~ 'secret';
SELECT has_secret, state FROM providers WHERE name = 'a';
DROP OWNED BY regress_te_reader, regress_te_analyst, regress_te_admin;
DROP ROLE regress_te_reader, regress_te_analyst, regress_te_admin;
