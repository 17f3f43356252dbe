-- Quiet hours, send windows and frequency caps, solved together.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE VIEW test.results AS SELECT user_id, journey, state, gate, reason, due_at, finished_at FROM trigger_engine.sends ORDER BY user_id, due_at, send_id;
CREATE VIEW test.sent AS SELECT user_id, journey, finished_at FROM trigger_engine.sends WHERE state = 'accepted' ORDER BY user_id, finished_at, send_id;
SELECT create_template('hello', 'in_app', '{"title": "hello"}') \gset
\set ECHO all
\pset null '-'

SELECT create_journey('plain', '{"kind": "event", "name": "cart"}', '[{"id": "s", "send": "hello"}]') > 0 AS ok;
SELECT create_journey('news', '{"kind": "event", "name": "news"}', '[{"id": "s", "send": "hello"}]', topic => 'news', purpose => 'sales', priority => 5) > 0 AS ok;
SELECT create_journey('receipt', '{"kind": "event", "name": "paid"}', '[{"id": "s", "send": "hello"}]', transactional => true) > 0 AS ok;
SELECT create_journey('soon', '{"kind": "event", "name": "flash"}', '[{"id": "s", "send": "hello"}]', ttl => '2 hours') > 0 AS ok;
INSERT INTO users (user_id, zone) VALUES ('berlin', 'Europe/Berlin'), ('tokyo', 'Asia/Tokyo'), ('nowhere', 'Mars/Olympus');

-- quiet hours in the reader's zone, across midnight: 12:00 UTC is 13:00 in Berlin, 21:00 in Tokyo
SELECT create_quiet_hours('night', '[{"from": "20:00", "to": "08:00"}]');
CALL event('berlin', 'cart'); CALL event('tokyo', 'cart'); CALL event('nowhere', 'cart'); CALL event('tokyo', 'paid'); CALL event('tokyo', 'flash');
CALL drain();
SELECT * FROM results;
-- held until 08:00 in Tokyo, decided anew then; what has a short time to live is dropped at once, with its reason
CALL drain('10 h 59 min');
SELECT user_id, journey, state FROM results WHERE user_id = 'tokyo';
CALL drain('1 min');
SELECT user_id, journey, state, finished_at FROM results WHERE user_id = 'tokyo';

-- evaluation goes on: an exit while a message is held cancels it
SELECT create_journey('left', '{"kind": "event", "name": "view"}', '[{"id": "s", "send": "hello"}]', exit_on => '[{"name": "order"}]') > 0 AS ok;
SELECT set_clock('2030-01-16 12:00+00');
CALL event('tokyo', 'view'); CALL drain(); CALL event('tokyo', 'order'); CALL drain('1 day');
SELECT user_id, journey, state, gate, reason FROM results WHERE journey = 'left';

-- days are those on which a window begins; another zone; another action; a scope
SELECT create_quiet_hours('night', '[{"from": "22:00", "to": "06:00", "days": ["fri", "sat"]}]', scope => '{"topic": "news"}', on_quiet => 'drop', zone => 'America/New_York', or_replace => true);
SELECT set_clock('2030-01-19 10:30+00');	-- a Saturday, 05:30 in New York
CALL event('a', 'cart'); CALL event('a', 'news'); CALL drain(); CALL drain('1 h'); CALL event('b', 'news'); CALL drain();
SELECT user_id, journey, state, gate, reason FROM results WHERE user_id IN ('a', 'b');
SELECT drop_quiet_hours('night'), drop_quiet_hours('night', if_exists => true);

-- a send window: outside of it messages wait for the next one
SELECT create_quiet_hours('office', '[{"from": "09:00", "to": "17:00", "days": ["mon", "tue", "wed", "thu", "fri"]}]', kind => 'send_window');
CALL event('berlin', 'news'); CALL drain();
SELECT gate, reason, due_at, state FROM sends WHERE user_id = 'berlin' AND journey = 'news';
CALL drain('2 days');
SELECT finished_at, (finished_at AT TIME ZONE 'Europe/Berlin') FROM sent WHERE user_id = 'berlin' AND journey = 'news';
SELECT drop_quiet_hours('office');

-- the clock is put forward and back at night: 2030-03-31 and 2030-10-27 in Berlin
SELECT create_quiet_hours('night', '[{"from": "22:00", "to": "02:30"}]');
SELECT set_clock('2030-03-31 00:15+00'); CALL event('berlin', 'cart'); CALL drain();
SELECT due_at FROM results WHERE user_id = 'berlin' AND state = 'due';
CALL drain('1 h'); SELECT set_clock('2030-10-26 23:15+00'); CALL event('berlin', 'cart'); CALL drain();
SELECT due_at FROM results WHERE user_id = 'berlin' AND state = 'due';
CALL drain('1 h 30 min'); SELECT set_clock('2030-10-27 01:10+00'); CALL event('berlin', 'cart'); CALL drain();
SELECT due_at FROM results WHERE user_id = 'berlin' AND state = 'due';
CALL drain('1 h');
SELECT finished_at FROM sent WHERE user_id = 'berlin' AND journey = 'plain' ORDER BY 1 DESC LIMIT 3;
SELECT drop_quiet_hours('night');

-- a rolling cap: two in an hour, the others at the first instant with room
SELECT create_cap('two an hour', 2, '1 hour');
SELECT set_clock('2031-01-15 12:00+00');
CALL event('c', 'cart'); CALL drain(); CALL drain('10 min'); CALL event('c', 'cart'); CALL event('c', 'cart'); CALL event('c', 'cart'); CALL event('c', 'paid'); CALL event('c', 'flash'); CALL drain();
SELECT journey, state, gate, reason FROM results WHERE user_id = 'c';
CALL drain('50 min');
SELECT journey, finished_at FROM sent WHERE user_id = 'c';
CALL drain('10 min'); CALL drain('3 h');
SELECT journey, finished_at, count(*) FILTER (WHERE journey <> 'receipt') OVER (ORDER BY finished_at RANGE BETWEEN '59 min 59.999999 s' PRECEDING AND CURRENT ROW) AS in_an_hour FROM sent WHERE user_id = 'c';
-- a cancelled message gives its room back
CALL event('d', 'cart'); CALL event('d', 'cart'); CALL drain();
SELECT create_journey('waits', '{"kind": "event", "name": "look"}', '[{"id": "s", "send": "hello"}]', exit_on => '[{"name": "gone"}]') > 0 AS ok;
CALL event('d', 'look'); CALL event('d', 'look'); CALL drain(); CALL drain('1 min'); CALL event('d', 'gone'); CALL event('d', 'cart'); CALL drain('59 min');
SELECT journey, state, count(*), max(finished_at) FROM results WHERE user_id = 'd' GROUP BY 1, 2 ORDER BY 1, 2;
-- the more important goes first, also before what is only planned
CALL event('e', 'cart'); CALL event('e', 'cart'); CALL drain(); CALL drain('1 min'); CALL event('e', 'cart'); CALL event('e', 'cart'); CALL drain(); CALL drain('1 min');
CALL event('e', 'news'); CALL drain(); CALL drain('58 min');
SELECT journey, finished_at FROM sent WHERE user_id = 'e';
CALL drain('1 h');
SELECT journey, finished_at FROM sent WHERE user_id = 'e';
SELECT drop_cap('two an hour');

-- by the calendar of the reader; earlier messages count from the start
SELECT set_clock('2031-02-01 14:30+00');
CALL event('tokyo', 'cart'); CALL drain();
SELECT create_cap('one a day', 1, '1 day', "window" => 'calendar');
CALL event('tokyo', 'cart'); CALL drain();
SELECT state, gate, reason FROM results WHERE user_id = 'tokyo' AND due_at >= '2031-02-01 14:30+00';
CALL drain('30 min');
SELECT finished_at FROM sent WHERE user_id = 'tokyo' AND finished_at >= '2031-02-01';
SELECT create_cap('one a day', 1, '1 day', scope => '{"channel": "push"}', "window" => 'calendar', or_replace => true);
CALL event('tokyo', 'cart'); CALL drain();
SELECT count(*) FROM sent WHERE user_id = 'tokyo' AND finished_at >= '2031-02-01';
SELECT drop_cap('one a day');

-- none, and no limit
SELECT create_cap('none', 0, '1 day', scope => '{"purpose": "sales"}'), create_cap('all', NULL, '1 day');
CALL event('f', 'news'); CALL event('f', 'cart'); CALL event('f', 'cart'); CALL drain();
SELECT journey, state, gate, reason FROM results WHERE user_id = 'f';
SELECT drop_cap('none'), drop_cap('all');

-- caps and quiet hours together: room at 12:30 is quiet, so 14:00
SELECT create_cap('gap', 1, '30 min'), create_quiet_hours('noon', '[{"from": "12:15", "to": "14:00"}]', zone => 'UTC');
SELECT set_clock('2031-03-03 12:00+00'); CALL event('g', 'cart'); CALL event('g', 'cart'); CALL event('g', 'cart'); CALL drain(); CALL drain('3 h');
SELECT finished_at FROM sent WHERE user_id = 'g';
SELECT drop_cap('gap'), drop_quiet_hours('noon');

-- what users choose for themselves
SELECT set_message_limits('h', quiet_hours => '[{"from": "10:00", "to": "11:00"}]', caps => '[{"max": 1, "per": "2 hours", "channel": "in_app"}]');
SELECT set_clock('2031-04-04 10:15+00'); CALL event('h', 'cart'); CALL event('h', 'cart'); CALL event('i', 'cart'); CALL drain();
SELECT user_id, state, gate, reason FROM results WHERE user_id IN ('h', 'i');
CALL drain('3 h');
SELECT finished_at FROM sent WHERE user_id = 'h';
SELECT set_message_limits('h', quiet_hours => '[]', caps => '[]');
CALL event('h', 'cart'); CALL event('h', 'cart'); CALL drain();
SELECT count(*) FROM sent WHERE user_id = 'h';

-- a message that is tried again does not stand in its own way
SELECT create_provider('nobody', 'webhook', '{"url": "http://127.0.0.1:9/"}'), create_template('call', 'webhook', '{"text": "hello"}');
SELECT set_secret('nobody', '{"keys": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLlMm"]}') \gset
SELECT create_journey('out', '{"kind": "event", "name": "out"}', '[{"id": "s", "send": "call"}]', ttl => '12 hours') > 0 AS ok;
SELECT create_cap('one a day', 1, '1 day');
SELECT set_clock('2031-05-05 10:00+00'); CALL event('j', 'out'); CALL drain();
SELECT state, attempts, reason ~ '^attempt 1' AS again FROM sends WHERE user_id = 'j';
SELECT used FROM trigger_engine._slots WHERE user_id = 'j';
CALL drain('10 min');
SELECT attempts > 1 AS tried_again, reason ~ 'cap' AS held FROM sends WHERE user_id = 'j';
-- and what is over gives its room back
CALL drain('1 day');
SELECT state, gate FROM sends WHERE user_id = 'j';
CALL event('j', 'cart'); CALL drain();
SELECT journey, state FROM sends WHERE user_id = 'j' ORDER BY due_at;
-- slots that no cap looks back to are trimmed
SELECT count(*) > 1 AS before FROM trigger_engine._slots;
SELECT drop_cap('one a day'), set_clock('2031-05-20 10:00+00');
SELECT maintain();
SELECT count(*) AS this_month FROM trigger_engine._slots;
SELECT set_clock('2031-06-20 10:00+00');
SELECT maintain();
SELECT count(*) AS later FROM trigger_engine._slots;

-- refused
SELECT error($$SELECT create_cap('x', -1, '1 day')$$), error($$SELECT create_cap('x', 1, '-1 day')$$);
SELECT error($$SELECT create_cap('x', 1, '3 days', "window" => 'calendar')$$), error($$SELECT create_cap('x', 1, '1 day', scope => '{"chanel": "push"}')$$);
SELECT error($$SELECT create_cap('x', 1, '1 day', scope => '{"channel": "pusch"}')$$), error($$SELECT create_cap('x', 1, '1 day', on_excess => 'wait')$$);
SELECT error($$SELECT create_quiet_hours('x', '[]')$$), error($$SELECT create_quiet_hours('x', '[{"from": "25:00", "to": "08:00"}]')$$);
SELECT error($$SELECT create_quiet_hours('x', '[{"from": "22:00", "to": "08:00", "days": ["mo"]}]')$$), error($$SELECT create_quiet_hours('x', '[{"from": "22:00", "til": "08:00"}]')$$);
SELECT error($$SELECT create_quiet_hours('x', '[{"from": "22:00", "to": "08:00"}]', zone => 'CEST')$$), error($$SELECT drop_cap('x')$$);
SELECT error($$SELECT set_message_limits('h', caps => '[{"max": 1.5, "per": "1 day"}]')$$), error($$SELECT set_message_limits('h', caps => '[{"max": 1, "per": "1 day", "journey": "x"}]')$$);
SELECT error($$SELECT set_message_limits('h', caps => '[{"max": 1, "per": "40 days"}]')$$);
