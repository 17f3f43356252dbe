-- Interactions: once each, late and out of order, what follows from them, machines.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.events_of AS SELECT user_id, name, properties - 'send_id' AS properties, occurred_at, dedupe_key ~ ('^interaction/' || (properties ->> 'send_id')) AS keyed
	FROM trigger_engine.events WHERE name ~ '^message_' ORDER BY user_id, event_id;
CREATE FUNCTION test.send_of(of_user text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(send_id) FROM trigger_engine.sends WHERE user_id = $1 $$;
\set ECHO all
\pset null '-'

CALL journey('cart');
CALL event('ann', 'cart');
CALL event('bob', 'cart');
CALL drain('1 min');

-- once for a source, and once for a kind without one
SELECT record_interaction(send_of('ann'), 'clicked', data => '{"url": "https://shop.example/"}', source_id => 'c1');
SELECT record_interaction(send_of('ann'), 'clicked', source_id => 'c1'), record_interaction(send_of('ann'), 'clicked', source_id => 'c2'), record_interaction(send_of('ann'), 'clicked');
SELECT record_interaction(send_of('ann'), 'clicked'), record_interaction(send_of('bob'), 'clicked');
-- late, out of order, and from a clock that is ahead
SELECT record_interaction(send_of('bob'), 'delivered', at => clock() - interval '30 s'), record_interaction(send_of('bob'), 'opened', at => clock() + interval '5 min'), record_interaction(send_of('bob'), 'replied', at => '2001-01-01 00:00+00');
SELECT user_id, journey, step, channel, kind, at, recorded_at, machine, source_id, data FROM interactions ORDER BY user_id, kind, source_id;
TABLE events_of;

-- the events start and end journeys like any other
CALL journey('thanks', event => 'message_converted');
CALL journey('nag', event => 'nag', wait => '1 hour', exit_on => '[{"name": "message_dismissed", "where": "$.journey == \"cart\""}]');
CALL event('ann', 'nag');
SELECT record_interaction(send_of('bob'), 'converted', data => '{"revenue": 12.5, "send_id": 0, "journey": "x"}');
SELECT record_interaction(min(send_id), 'dismissed') FROM sends WHERE user_id = 'ann' AND journey = 'cart';
CALL drain('2 hours');
SELECT user_id, journey, state, reason FROM sends WHERE journey <> 'cart' ORDER BY 1, 2;
SELECT properties - 'send_id' AS properties, properties -> 'send_id' = to_jsonb((SELECT min(send_id) FROM sends WHERE user_id = 'bob')) AS own_id FROM events WHERE name = 'message_converted';

-- machines are kept and flagged, and start nothing
INSERT INTO endpoints (user_id, channel, address, created_at) VALUES ('eve', 'email', 'old@example.com', '2030-01-01'), ('eve', 'email', 'Eve@Example.com', '2030-01-01'), ('eve', 'sms', '+43', '2030-01-01');
INSERT INTO _sends (send_id, user_id, journey_id, version, entry_key, step, channel, state, due_at, event_id, event_at, decided_at, handed_over_at, finished_at, attempts)
SELECT 100 + n, 'eve', journey_id, version, 'k' || n, 'send', 'email', 'accepted', clock(), 0, clock(), clock(), clock() - interval '1 hour', clock(), 1 FROM journeys, generate_series(1, 4) n WHERE name = 'cart';
SELECT n, record_interaction(101, kind, at => clock() - after, data => data, source_id => n::text) FROM (VALUES
	(1, 'opened', '{"user_agent": "Mozilla/5.0"}'::jsonb, '0'::interval), (2, 'clicked', '{"user_agent": "Mozilla/5.0 (compatible; SomeBot/1.0)"}', '0'),
	(3, 'clicked', '{"method": "head"}', '0'), (4, 'opened', '{"machine": true}', '0'), (5, 'opened', '{}', '59 min 59.5 s'),
	(6, 'clicked', '{}', '59 min 59.5 s'), (7, 'opened', '{"user_agent": "Mozilla/5.0", "machine": false}', '0'),
	(8, 'opened', '{"user_agent": "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)"}', '0'),
	(9, 'delivered', '{"user_agent": "curl/8"}', '0')) t(n, kind, data, after);
SELECT source_id::int AS n, kind, machine FROM interactions WHERE send_id = 101 ORDER BY 1;
SELECT dedupe_key FROM events WHERE user_id = 'eve' ORDER BY event_id;

-- a soft bounce is noted, a hard one disables the endpoint that is named, or the newest one that was there
SELECT record_interaction(101, 'bounced', data => '{"bounce": "soft"}', source_id => 's');
SELECT count(*) FROM endpoints WHERE state = 'active';
SELECT record_interaction(101, 'bounced', data => '{"address": "OLD@example.com"}', source_id => 'h');
SELECT address, state, state_reason FROM endpoints ORDER BY endpoint_id;
INSERT INTO endpoints (user_id, channel, address) VALUES ('eve', 'email', 'new@example.com');
SELECT record_interaction(102, 'bounced');
SELECT address, state, state_reason FROM endpoints ORDER BY endpoint_id;
-- a complaint opts out as well; unsubscribed does, of the topic if there is one
SELECT record_interaction(103, 'complained', data => '{"address": "new@example.com"}'), record_interaction(104, 'unsubscribed', data => '{"topic": "news"}');
SELECT address, state, state_reason FROM endpoints WHERE channel = 'email' ORDER BY endpoint_id;
SELECT channel, topic, state, source FROM consents WHERE user_id = 'eve' ORDER BY topic;

-- the inbox
CALL event('ida', 'cart');
CALL drain();
SELECT mark_inbox('ida', 'seen'), mark_inbox('ida', 'read'), mark_inbox('ida', 'interacted'), mark_inbox('ida', 'archived'), mark_inbox('ida', 'unarchived'), mark_inbox('ida', 'archived'), mark_inbox('ida', 'snoozed', snooze_until => clock() + interval '1 day');
SELECT kind, at, source_id, machine FROM interactions WHERE user_id = 'ida' ORDER BY kind;

-- of a step within another one, too
SELECT create_journey('deep', '{"kind": "event", "name": "deep"}', '[{"id": "b", "branch": [{"when": {"attribute": "$.x == 1"}, "steps": []}], "else": [{"id": "in", "send": "hello"}]}]') > 0 AS ok;
CALL event('dan', 'deep');
CALL drain();
SELECT record_interaction(send_of('dan'), 'clicked');
SELECT properties - 'send_id' AS properties FROM events WHERE user_id = 'dan' AND name = 'message_clicked';
-- and while it waits to be tried again
INSERT INTO _due (user_id, journey_id, entry_key, step, lane, due_at, event_id, event_at, version, attempt, send_id)
SELECT 'dan', journey_id, 'again', 'in', 0, 'infinity', 0, clock(), 1, 1, 777 FROM journeys WHERE name = 'deep';
SELECT record_interaction(777, 'bounced', data => '{"bounce": "soft"}');
SELECT step, channel, kind FROM interactions WHERE send_id = 777;
DELETE FROM _due WHERE send_id = 777;

-- what cannot be
SELECT error($$SELECT record_interaction(999999, 'clicked')$$);
SELECT error($$SELECT record_interaction(101, 'liked')$$);
SELECT error($$SELECT record_interaction(101, NULL)$$);
SELECT error($$SELECT record_interaction(101, 'clicked', data => '[1]')$$);
SELECT error($$SELECT record_interaction(101, 'clicked', source_id => repeat('x', 256))$$);
SELECT error($$SELECT record_interaction(101, 'clicked', at => 'infinity')$$);

-- kept as long as history, in partitions of its own; a repetition stays one
SELECT maintain();
SELECT count(*) FROM _interactions_default;
SELECT advance_clock('500 days');
SELECT maintain();
SELECT count(*) FROM interactions;
SELECT count(*) > 0 AS keys_stay FROM _interaction_keys;
