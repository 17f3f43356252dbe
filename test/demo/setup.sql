-- What a database administrator does once in a database.

CREATE EXTENSION trigger_engine;

SELECT trigger_engine.grant_usage('shop', 'app');
SELECT trigger_engine.grant_usage('marketing', 'analyst');
SELECT trigger_engine.grant_usage('operator', 'admin');
CREATE SCHEMA shop AUTHORIZATION shop;
CREATE SCHEMA marketing AUTHORIZATION marketing;

-- What the demo itself keeps, apart from the engine.
CREATE SCHEMA demo;
GRANT USAGE ON SCHEMA demo TO operator;
CREATE TABLE demo.stops (
	at		timestamptz PRIMARY KEY,	-- where the virtual clock was put
	real_at timestamptz NOT NULL		-- when that was, the first time
);
GRANT INSERT ON demo.stops TO operator;
CREATE TABLE demo.received (		-- what the receiver wrote down
	arrived float8 NOT NULL,
	status	integer NOT NULL,
	path	text NOT NULL,
	id		text NOT NULL,
	head	text NOT NULL,
	body	text NOT NULL
);
CREATE VIEW demo.messages AS
SELECT to_timestamp(arrived) AS arrived_at, status, id, (convert_from(decode(body, 'base64'), 'UTF8')::jsonb #>> '{data,send_id}')::bigint AS send_id,
	convert_from(decode(head, 'base64'), 'UTF8') AS head, convert_from(decode(body, 'base64'), 'UTF8') AS body
FROM demo.received;
