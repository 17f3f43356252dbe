-- The inbox: delivery is the record itself; marking, counting, expiry, snooze, row-level security.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE FUNCTION test.counts(user_id text) RETURNS text LANGUAGE sql AS $$
	SELECT format('total %s unseen %s unread %s snoozed %s archived %s', total, unseen, unread, snoozed, archived) FROM trigger_engine.inbox_counts($1)
$$;
CREATE FUNCTION test.shown(user_id text, archived boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(title, ' ' ORDER BY n) FROM trigger_engine.inbox($1, $2) WITH ORDINALITY AS i(u, s, j, title, b, im, ur, d, c, e, se, re, ar, it, sn, n)
$$;
\set ECHO all
\pset null '-'

INSERT INTO users (user_id, attributes, locale, zone, country, tenant) VALUES ('u1', '{"name": "Ann"}', 'de-AT', 'Europe/Vienna', 'AT', 't1'),
	('u3', '{"name": "Cleo", "city": {"name": "Bonn"}}', 'fr', 'Europe/Paris', 'FR', 't1');
SELECT create_template('full', 'in_app', '{"title": "{{ event.n }}", "body": "{{ user.name | default: \"you\" }} of {{ user.city.name }}", "image": "https://example.com/{{ event.n }}.png",
	"url": "https://example.com/?u={{ user.user_id }}", "data": {"n": "{{ event.n }}", "list": ["{{ user.country }}", 7, true, null], "step": "{{ step }} {{ journey }} {{ event.name }} {{ event.occurred_at }} {{ event.context.page }}"}}');
SELECT create_template('full', 'in_app', '{"title": "de {{ event.n }}"}', locale => 'de');
SELECT create_template('short', 'in_app', '{"title": "{{ event.n }}"}');
SELECT create_journey('full', '{"kind": "event", "name": "full"}', '[{"id": "s1", "send": "full"}]') > 0 AS ok;
SELECT create_journey('short', '{"kind": "event", "name": "short"}', '[{"id": "s1", "send": "short"}]', ttl => '2 days') > 0 AS ok;

-- what a message holds; the language of its reader, or the default text
INSERT INTO events (user_id, name, properties, context) VALUES ('u1', 'full', '{"n": 1}', '{"page": "/p"}'), ('u2', 'full', '{"n": 2}', NULL), ('u3', 'full', '{"n": 3}', '{"page": "/p"}');
CALL drain();
SELECT user_id, journey, title, body, image, url, data, created_at, expires_at FROM inbox ORDER BY user_id \gx
SELECT i.user_id, s.state, s.attempts, s.provider, s.handed_over_at = i.created_at AS at_once, s.finished_at = i.created_at AS done FROM inbox i JOIN sends s USING (user_id, send_id) ORDER BY 1;

-- newest first, a page at a time
INSERT INTO events (user_id, name, properties) SELECT 'r', 'short', jsonb_build_object('n', n) FROM generate_series(1, 3) n;
CALL drain();
SELECT advance_clock('1 min');
INSERT INTO events (user_id, name, properties) SELECT 'r', 'short', jsonb_build_object('n', n) FROM generate_series(4, 5) n;
CALL drain();
SELECT advance_clock('1 min');
SELECT shown('r'), counts('r');
SELECT title FROM inbox('r', max_messages => 2);
SELECT title FROM inbox('r', before => (SELECT min(created_at) FROM inbox('r', max_messages => 2)));
SELECT count(*) FROM inbox('r', max_messages => -1);
SELECT count(*) FROM inbox('nobody');
SELECT counts('nobody');

-- marks, and what they imply
CREATE FUNCTION test.id(n text) RETURNS bigint[] LANGUAGE sql AS $$ SELECT array_agg(send_id) FROM trigger_engine.inbox WHERE user_id = 'r' AND title = $1 $$;
CREATE VIEW test.marks AS SELECT title, seen_at IS NOT NULL AS seen, read_at IS NOT NULL AS read, archived_at IS NOT NULL AS archived, interacted_at IS NOT NULL AS interacted, snoozed_until FROM trigger_engine.inbox WHERE user_id = 'r' ORDER BY title;
SELECT mark_inbox('r', 'seen', id('1')), mark_inbox('r', 'read', id('2')), mark_inbox('r', 'interacted', id('3')), mark_inbox('r', 'archived', id('4'));
TABLE marks;
SELECT counts('r'), shown('r'), shown('r', archived => true);
-- again changes nothing; the first time stays
SELECT seen_at AS seen FROM inbox WHERE user_id = 'r' AND title = '1' \gset
SELECT advance_clock('1 min');
SELECT mark_inbox('r', 'seen', id('1')), mark_inbox('r', 'read', id('1'));
SELECT seen_at = :'seen' AS as_before, read_at = clock() AS read_now FROM inbox WHERE user_id = 'r' AND title = '1';
SELECT mark_inbox('r', 'unread', id('1')), mark_inbox('r', 'unseen', id('2')), mark_inbox('r', 'unarchived', id('4'));
TABLE marks;
-- all of them; nobody else's
SELECT mark_inbox('r', 'read'), mark_inbox('nobody', 'read'), mark_inbox('u1', 'read', id('1'));
SELECT counts('r');
SELECT error($$SELECT mark_inbox('r', 'deleted')$$);
SELECT error($$SELECT mark_inbox('r', NULL)$$);
SELECT error($$SELECT mark_inbox('r', 'snoozed')$$);
SELECT error($$SELECT mark_inbox('r', 'read', snooze_until => now())$$);

-- snoozed ones are away until then
SELECT mark_inbox('r', 'snoozed', id('5'), snooze_until => clock() + interval '1 hour');
SELECT counts('r'), shown('r');
SELECT advance_clock('59 min 59.999999 s');
SELECT shown('r');
SELECT advance_clock('1 microsecond');
SELECT counts('r'), shown('r');
SELECT mark_inbox('r', 'snoozed', id('5'), snooze_until => clock() + interval '1 hour'), mark_inbox('r', 'unsnoozed', id('5'));
SELECT shown('r');

-- what the journey's ttl says is over is not shown any more
SELECT DISTINCT expires_at - created_at AS lives FROM inbox WHERE user_id = 'r';
SELECT set_clock('2030-01-17 11:59:59.999999+00');
SELECT shown('r');
SELECT set_clock('2030-01-17 12:00+00');
SELECT shown('r'), counts('r');
SELECT set_clock('2030-01-17 12:01+00');
SELECT shown('r'), counts('r');
SELECT count(*) FROM inbox WHERE user_id = 'r';

-- a role of the application sees the rows of the user it serves, if the owner lets it see any
CREATE ROLE regress_te_app;
SELECT grant_usage('regress_te_app', 'app');
SET ROLE regress_te_app;
SELECT count(*) FROM trigger_engine.inbox;
SELECT title FROM trigger_engine.inbox('u1');
SELECT total FROM trigger_engine.inbox_counts('u1');
SELECT trigger_engine.mark_inbox('u1', 'unread');
RESET ROLE;
GRANT SELECT, UPDATE (read_at) ON trigger_engine.inbox TO regress_te_app;
SET ROLE regress_te_app;
SELECT count(*) FROM trigger_engine.inbox;
SET trigger_engine.user_id = 'u1';
SELECT user_id, title FROM trigger_engine.inbox;
SELECT user_id, title FROM trigger_engine.inbox WHERE user_id = 'u2';
UPDATE trigger_engine.inbox SET read_at = now() WHERE user_id IN ('u1', 'u2') RETURNING user_id;
BEGIN;
SET LOCAL trigger_engine.user_id = 'u2';
SELECT user_id, title FROM trigger_engine.inbox;
COMMIT;
SELECT user_id FROM trigger_engine.inbox;
RESET trigger_engine.user_id;
SELECT count(*) FROM trigger_engine.inbox;
RESET ROLE;
DROP OWNED BY regress_te_app;
DROP ROLE regress_te_app;

-- a user who leaves
DELETE FROM inbox WHERE user_id = 'u1';
SELECT counts('u1');
SELECT state FROM sends WHERE user_id = 'u1';
