-- Events: their form, bounds and defaults, and that a dedupe key holds for ever.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'

-- only the user and the name are required
INSERT INTO events (user_id, name) VALUES ('u1', 'visit');
SELECT event_id > 0 AS has_id, user_id, name, properties, occurred_at, dedupe_key, context FROM events;
SELECT occurred_at = clock() AS at_the_clock FROM events;
INSERT INTO events (user_id, name, properties, occurred_at, dedupe_key, context)
VALUES ('u1', 'cart', '{"total": 12.5, "items": ["a"]}', '2030-01-15 11:00+00', 'k1', '{"page": "/cart"}');
SELECT user_id, name, properties, occurred_at, dedupe_key, context FROM events WHERE name = 'cart';

-- no row of users comes of it
SELECT count(*) FROM users;

-- malformed ones
\set VERBOSITY terse
INSERT INTO events (user_id, name) VALUES (NULL, 'cart');
INSERT INTO events (user_id, name) VALUES ('u1', NULL);
INSERT INTO events (user_id, name, properties) VALUES ('u1', 'cart', NULL);
INSERT INTO events (user_id, name, occurred_at) VALUES ('u1', 'cart', NULL);
\set VERBOSITY default
SELECT error($$INSERT INTO events (user_id, name) VALUES ('', 'cart')$$);
SELECT error($$INSERT INTO events (user_id, name) VALUES ('u1', '')$$);
SELECT error($$INSERT INTO events (user_id, name, dedupe_key) VALUES ('u1', 'cart', '')$$);
SELECT error($$INSERT INTO events (user_id, name, properties) VALUES ('u1', 'cart', '[1]')$$);
SELECT error($$INSERT INTO events (user_id, name, properties) VALUES ('u1', 'cart', '"x"')$$);
SELECT error($$INSERT INTO events (user_id, name, properties) VALUES ('u1', 'cart', 'null')$$);
SELECT error($$INSERT INTO events (user_id, name) VALUES (repeat('u', 513), 'cart')$$);
SELECT error($$INSERT INTO events (user_id, name) VALUES ('u1', repeat('n', 128))$$);
SELECT error($$INSERT INTO events (user_id, name, dedupe_key) VALUES ('u1', 'cart', repeat('k', 513))$$);
SELECT count(*) FROM events;
-- the longest ones that fit
INSERT INTO events (user_id, name, dedupe_key) VALUES (repeat('u', 512), repeat('n', 127), repeat('k', 512));

-- bounds of time: 400 days back and a day ahead
SHOW trigger_engine.event_retention;
SHOW trigger_engine.event_lead;
SELECT error($$CALL event('u2', 'late', '{}', clock() - interval '400 days' - interval '1 microsecond')$$);
SELECT left(error($$CALL event('u2', 'late', '{}', '-infinity')$$), 5), left(error($$CALL event('u2', 'soon', '{}', 'infinity')$$), 5);
SELECT error($$CALL event('u2', 'soon', '{}', clock() + interval '24 hours' + interval '1 microsecond')$$);
CALL event('u2', 'late', '{}', clock() - interval '400 days');
CALL event('u2', 'soon', '{}', clock() + interval '24 hours');
SELECT name, occurred_at FROM events WHERE user_id = 'u2' ORDER BY occurred_at;
-- history is loaded without them
BEGIN;
SET LOCAL trigger_engine.ingest = off;
CALL event('u2', 'history', '{}', '2001-02-03 04:05+00');
COMMIT;
SELECT count(*) FROM events WHERE name = 'history';

-- a dedupe key holds once there is something to hold: in one statement
CALL journey('j', 'cart');
INSERT INTO events (user_id, name, dedupe_key) VALUES
	('d1', 'cart', 'a'), ('d1', 'cart', 'a'), ('d1', 'cart', 'b'), ('d2', 'cart', 'a'), ('d1', 'cart', NULL), ('d1', 'cart', NULL);
SELECT user_id, dedupe_key, count(*) FROM events WHERE user_id LIKE 'd_' GROUP BY 1, 2 ORDER BY 1, 2;
-- in a later one, also under another name and at another time, in another partition
CALL event('d1', 'cart', '{}', NULL, 'a');
CALL event('d1', 'unwatched', '{}', NULL, 'a');
CALL event('d1', 'cart', '{}', clock() - interval '100 days', 'a');
CALL event('d1', 'cart', '{}', clock() + interval '20 hours', 'a');
SELECT user_id, dedupe_key, count(*) FROM events WHERE user_id LIKE 'd_' GROUP BY 1, 2 ORDER BY 1, 2;
-- events that nobody watches, too
CALL event('d1', 'unwatched', '{}', NULL, 'c');
CALL event('d1', 'unwatched', '{}', NULL, 'c');
SELECT count(*) FROM events WHERE user_id = 'd1' AND dedupe_key = 'c';
-- a repeated one starts nothing, the others did
SELECT user_id, count(*) FROM sends GROUP BY 1 ORDER BY 1;
-- a key whose event was rolled back is free again
BEGIN;
CALL event('d3', 'cart', '{}', NULL, 'a');
ROLLBACK;
BEGIN;
SAVEPOINT s;
CALL event('d3', 'cart', '{}', NULL, 'a');
ROLLBACK TO s;
CALL event('d3', 'cart', '{"try": 2}', NULL, 'a');
CALL event('d3', 'cart', '{"try": 3}', NULL, 'a');
COMMIT;
SELECT properties FROM events WHERE user_id = 'd3';
SELECT count(*) FROM sends WHERE user_id = 'd3';
-- it outlives its event and the partition
CALL drain();
DELETE FROM events WHERE user_id = 'd3';
CALL event('d3', 'cart', '{"try": 4}', NULL, 'a');
SELECT count(*) FROM events WHERE user_id = 'd3';
-- a repeat of an event that is refused is refused
SELECT error($$CALL event('d3', 'cart', '[]', NULL, 'a')$$);

-- COPY: defaults, keys and journeys alike
COPY events (user_id, name, dedupe_key) FROM stdin;
c1	cart	x
c1	cart	x
c2	cart	\N
c3	view	y
c3	view	y
\.
SELECT user_id, name, dedupe_key, count(*) FROM events WHERE user_id LIKE 'c_' GROUP BY 1, 2, 3 ORDER BY 1;
SELECT user_id, count(*) FROM sends WHERE user_id LIKE 'c_' GROUP BY 1 ORDER BY 1;
COPY events (user_id, name, properties) FROM stdin;
c4	cart	{"total": 1}
c4	cart	7
\.
SELECT count(*) FROM events WHERE user_id = 'c4';

-- partitions: events lie in those of their time, and a late one is found again
CALL event('p0', 'cart', '{}', clock() - interval '30 days');
CALL drain();
SELECT maintain();
SELECT count(*) AS in_default FROM ONLY events_default;
SELECT bool_and(occurred_at >= p.starts AND occurred_at < p.ends) AS each_in_its_own, count(DISTINCT p.partition) > 2 AS several
FROM events e JOIN _partitions('events') p ON p.partition = e.tableoid;
-- straight into a partition
SELECT partition AS part FROM _partitions('events') WHERE starts <= clock() AND ends > clock() \gset
INSERT INTO :part (user_id, name, dedupe_key) VALUES ('p1', 'cart', 'p'), ('p1', 'cart', 'p');
SELECT count(*) FROM events WHERE user_id = 'p1';
SELECT count(*) FROM sends WHERE user_id = 'p1';

CALL drain('1 day');
SELECT state, count(*) FROM sends GROUP BY 1;
SELECT user_id, count(*) FROM inbox GROUP BY 1 ORDER BY 1;
-- the story names the event
SELECT what, result, detail FROM explain_send((SELECT send_id FROM sends WHERE user_id = 'c2')) WHERE what = 'event';
