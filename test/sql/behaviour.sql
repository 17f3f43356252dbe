-- Funnels and retention by hand-counted examples.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
-- a: all in time; b: the order too late; c: out of order; d: begins twice, the second run gets through; e: only looks; f: at the same instant is no step
INSERT INTO events (user_id, name, occurred_at) VALUES
	('a', 'view', '2030-01-01 10:00+00'), ('a', 'cart', '2030-01-01 10:10+00'), ('a', 'order', '2030-01-01 11:00+00'),
	('b', 'view', '2030-01-01 10:00+00'), ('b', 'cart', '2030-01-01 10:30+00'), ('b', 'order', '2030-01-03 10:00+00'),
	('c', 'order', '2030-01-01 09:00+00'), ('c', 'cart', '2030-01-01 09:30+00'), ('c', 'view', '2030-01-01 10:00+00'),
	('d', 'view', '2030-01-01 08:00+00'), ('d', 'view', '2030-01-04 08:00+00'), ('d', 'cart', '2030-01-04 08:20+00'), ('d', 'order', '2030-01-04 09:00+00'),
	('e', 'view', '2030-01-01 10:00+00'), ('f', 'view', '2030-01-01 10:00+00'), ('f', 'cart', '2030-01-01 10:00+00'),
	('g', 'cart', '2030-01-01 10:00+00'), ('h', 'view', '2030-01-11 10:00+00');
-- h began after the span
SELECT * FROM funnel('{view,cart,order}', '2030-01-01', '2030-01-10', '1 day');
SELECT * FROM funnel('{view,cart,order}', '2030-01-01', '2030-01-10', '3 days');
SELECT * FROM funnel('{nothing,cart}', '2030-01-01', '2030-01-10');
SELECT error($$SELECT * FROM funnel('{}', '2030-01-01', '2030-01-10')$$);
SELECT error($$SELECT * FROM funnel('{a}', '2030-01-01', '2030-01-10', '-1 day')$$);

-- day 1 is from 24 to 48 hours after each person's own beginning; r4 began too late for day 7 to be over
INSERT INTO events (user_id, name, occurred_at) VALUES
	('r1', 'join', '2030-01-01 12:00+00'), ('r1', 'open', '2030-01-02 11:59+00'), ('r1', 'open', '2030-01-08 13:00+00'),
	('r2', 'join', '2030-01-01 12:00+00'), ('r2', 'open', '2030-01-02 12:00+00'),
	('r3', 'join', '2030-01-02 12:00+00'), ('r3', 'open', '2030-01-12 12:00+00'), ('r3', 'other', '2030-01-03 13:00+00'),
	('r4', 'join', '2030-01-10 12:00+00'), ('r4', 'open', '2030-01-11 12:00+00'), ('r4', 'join', '2030-01-12 12:00+00');
SELECT * FROM retention('join', 'open', '2030-01-01', '2030-01-12', '{1,7,30}');
SELECT * FROM retention('join', 'open', '2030-01-01', '2030-01-12', '{1,7}', 'bounded');
SELECT * FROM retention('join', 'open', '2030-01-01', '2030-01-12', '{1,7}', 'unbounded');
SELECT * FROM retention('join', NULL, '2030-01-01', '2030-01-12', '{1}');
SELECT error($$SELECT * FROM retention('join', 'open', '2030-01-01', '2030-01-12', kind => 'odd')$$);
SELECT error($$SELECT * FROM retention('join', 'open', '2030-01-01', '2030-01-12', '{0}')$$);
