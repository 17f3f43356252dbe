-- Exits by rows of tracked tables, which entries find that come in later with an earlier time.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.told AS SELECT user_id, journey, state, gate, regexp_replace(reason, '@[\d.]+', '@...') AS reason FROM trigger_engine.sends ORDER BY 1, 2;
SET client_min_messages = warning;
DROP TABLE IF EXISTS bought, carts CASCADE;
RESET client_min_messages;
\set ECHO all
\pset null '-'

CREATE TABLE bought (id integer PRIMARY KEY, who text, total integer, at timestamptz);
CREATE TABLE carts (id integer PRIMARY KEY, who text, at timestamptz);
SELECT track_table('bought', 'order', 'who', time_column => 'at', on_update => '{total}'), track_table('carts', 'cart', 'who', time_column => 'at');
CALL journey('j', 'cart', wait => '1 h', exit_on => '[{"name": "order", "where": "$.total > 10"}]');
CALL journey('other', 'cart', wait => '1 h', exit_on => '[{"name": "leave"}]');

-- the exit was there first, the entry happened before it
INSERT INTO bought VALUES (1, 'a', 20, clock() - interval '5 min');
CALL event('a', 'cart', '{}', clock() - interval '10 min');
-- of an entry from a tracked table, too
INSERT INTO bought VALUES (2, 'b', 20, clock() - interval '5 min');
INSERT INTO carts VALUES (2, 'b', clock() - interval '10 min');
-- the row may be gone by then
INSERT INTO bought VALUES (3, 'c', 20, clock() - interval '5 min');
DELETE FROM bought WHERE who = 'c';
CALL event('c', 'cart', '{}', clock() - interval '10 min');
-- not when it happened before the entry, at the same time, is another user's, or does not fit the condition
INSERT INTO bought VALUES (4, 'd', 20, clock() - interval '10 min');
CALL event('d', 'cart', '{}', clock() - interval '5 min');
INSERT INTO bought VALUES (5, 'e', 20, NULL);
INSERT INTO carts VALUES (5, 'e', NULL);
INSERT INTO bought VALUES (6, 'f', 10, clock() - interval '5 min');
CALL event('f', 'cart', '{}', clock() - interval '10 min');
-- what is dated in the future has happened by now, and ends nothing that begins later
INSERT INTO bought VALUES (7, 'g', 20, clock() + interval '10 years');
INSERT INTO bought VALUES (8, 'h', 20, 'infinity');
CALL event('h', 'cart', '{}', clock() - interval '1 s');
SELECT advance_clock('1 s');
CALL event('g', 'cart');
-- an update is an exit of its own time, which is now
INSERT INTO bought VALUES (9, 'i', 5, clock() - interval '1 day');
UPDATE bought SET total = 20 WHERE id = 9;
CALL event('i', 'cart', '{}', clock() - interval '10 min');
-- the latest counts, whichever comes in last
INSERT INTO bought VALUES (10, 'k', 20, clock() - interval '5 min'), (11, 'k', 30, clock() - interval '20 min');
CALL event('k', 'cart', '{}', clock() - interval '10 min');
-- nothing of a transaction that is rolled back
BEGIN;
INSERT INTO bought VALUES (12, 'l', 20, clock() - interval '5 min');
ROLLBACK;
CALL event('l', 'cart', '{}', clock() - interval '10 min');
SELECT count(*) FROM sends WHERE state <> 'due';
CALL drain('1 h');
SELECT * FROM told WHERE journey = 'j';
SELECT DISTINCT state FROM told WHERE journey = 'other';
SELECT user_id, state FROM enrollments WHERE journey = 'j' AND state <> 'completed' ORDER BY 1;
-- one note for each user and journey
SELECT user_id, versions, regexp_replace(reason, '@[\d.]+', '@...') AS reason FROM _exits ORDER BY 1;

-- a version keeps its own exits
SELECT alter_journey('j', exit_on => '[{"name": "order", "where": "$.total > 100"}]');
INSERT INTO bought VALUES (20, 'm', 20, clock() - interval '5 min'), (21, 'n', 200, clock() - interval '5 min');
CALL event('m', 'cart', '{}', clock() - interval '10 min');
CALL event('n', 'cart', '{}', clock() - interval '10 min');
SELECT user_id, versions FROM _exits WHERE user_id IN ('m', 'n') ORDER BY 1, 2;
CALL drain('1 h');
SELECT * FROM told WHERE journey = 'j' AND user_id IN ('m', 'n');
-- a goal is one, too; nothing is noted where nothing ends
SELECT alter_journey('other', exit_on => '[]', goal => '[{"name": "order"}]');
INSERT INTO bought VALUES (30, 'o', 1, clock() - interval '5 min');
CALL event('o', 'cart', '{}', clock() - interval '10 min');
CALL drain('1 h');
SELECT * FROM told WHERE user_id = 'o';
SELECT drop_journey('j'), drop_journey('other');
SELECT count(*) FROM _exits;
DROP TABLE bought, carts;
