-- Links: which are rewritten and how; tokens lead where they were signed for, and nowhere else.
\set ECHO none
\i test/sql/include/fresh.sql
-- what becomes of a content; tokens are shown as <where they lead>
CREATE FUNCTION test.rewritten(channel text, content jsonb, utm text DEFAULT 'utm_source=x&utm_term=y', clicks boolean DEFAULT true, opens boolean DEFAULT false)
RETURNS TABLE (field text, value text) LANGUAGE plpgsql AS $$
DECLARE
	t text;
	key bytea := sha256('key');
BEGIN
	FOR field, value IN SELECT * FROM jsonb_each_text(trigger_engine._rewrite_links(channel, content, 7, utm, CASE WHEN clicks THEN 'https://t.example/c/' END,
		CASE WHEN opens THEN 'https://t.example/o/' END, 'https://me.example/', key, '2030-02-01'))
	LOOP
		FOR t IN SELECT m[1] FROM regexp_matches(value, 'https://t.example/./([A-Za-z0-9_-]{40,})', 'g') m
		LOOP
			value := replace(value, t, '<' || (SELECT kind || ' ' || send_id || ' ' || url FROM trigger_engine._link_token_open(t, key)) || '>');
		END LOOP;
		RETURN NEXT;
	END LOOP;
END
$$;
\set ECHO all
\pset null '-'
\pset format unaligned
\pset tuples_only on

-- markup: targets of a and area only, entities, quotes, comments, scripts, and what is marked
SELECT value FROM rewritten('email', jsonb_build_object('html', $$<p>https://no.example/ <a href="https://a.example/?q=1&amp;r=2#frag">a</a> <A class=x HREF='https://a.example/it'>b</A> <a href=https://a.example/bare>c</a>
<abbr href="https://a.example/"></abbr><area alt="x" href="http://a.example/area"/><img src="https://a.example/i.png"><link href="https://a.example/style.css">
<a href="mailto:x@example.com">m</a><a href="app://cart/7">deep</a><a href="tel:+43">t</a><a href="#top">f</a><a href="">e</a><a>n</a>
<a href="https://a.example/unsubscribe?u=1">u</a><a rel="nofollow unsubscribe" href="https://a.example/u">u</a><a data-no-track href="https://a.example/n">n</a><a href="https://me.example/p/1">p</a><a href="https://t.example/c/x">own</a>
<!-- <a href="https://a.example/comment">x</a> --><script>var x = '<a href="https://a.example/s">';</script><a href="https://a.example/utm?utm_source=mine">own utm</a><a title="a > b" href="https://a.example/gt">gt</a><a href="https://a.example/open$$));
SELECT value FROM rewritten('email', '{"html": "<a href=\"https://a.example/?\">x</a><a href=\"https://a.example/?a=1&\">y</a>"}', clicks => false);
SELECT value FROM rewritten('email', '{"html": "<body><a href=\"https://a.example/\">x</a></body></html>"}', utm => NULL, opens => true);
SELECT value FROM rewritten('email', '{"html": "no body"}', utm => NULL, clicks => false, opens => true);
-- plain text, whole links, actions; nothing else, least of all the link that mail programs leave a list by
SELECT field, value FROM rewritten('email', '{"list_unsubscribe": "https://a.example/leave?u=1", "text": "See https://a.example/x. (http://b.example/y?z=1), <https://c.example/ü> HTTPS://D.example/ app://x end https://", "subject": "https://a.example/", "from": "https://a.example/"}') ORDER BY 1;
SELECT field, value FROM rewritten('push', '{"title": "https://a.example/", "body": "https://a.example/", "url": "https://a.example/p", "image": "https://a.example/i.png", "actions": [{"id": "https://a.example/", "title": "t", "url": "https://a.example/b"}, {"id": "x", "title": "t", "url": "app://b"}], "data": {"url": "https://a.example/d"}}', utm => NULL) ORDER BY 1;
SELECT field, value FROM rewritten('push', '{"url": "app://cart"}');
SELECT value FROM rewritten('email', '{"html": "", "text": ""}', opens => false);

-- a token is of one key, and not one character of it can be changed
CREATE TABLE test.token AS SELECT substr(trigger_engine._rewrite_links('push', '{"url": "https://a.example/"}', 7, NULL, 'c/', NULL, NULL, sha256('key'), '2030-02-01') ->> 'url', 3) AS t;
SELECT length(t), _link_token_key(t), (_link_token_open(t, sha256('key'))).* FROM test.token;
SELECT _link_token_open(t, sha256('other')) IS NULL FROM test.token;
SELECT count(*) FILTER (WHERE (_link_token_open(overlay(t placing c from i for 1), sha256('key'))).url IS NOT NULL AND substr(t, i, 1) <> c) AS forged
FROM test.token, generate_series(1, length(t)) i, unnest(ARRAY['A', 'b', '0', '-', '_', '=', '+', ' ']) c;
SELECT _link_token_key(x) FROM test.token, unnest(ARRAY['', 'x', 'AAAA', repeat('A', 43), repeat('A', 9000), 'é', t || '=', substr(t, 2)]) x;

-- resolved: once for a link, machines apart, until it expires or its key is gone
CALL journey('cart');
CALL event('ann', 'cart');
CALL drain();
SELECT set_link_tracking('{"utm": true, "clicks": true}');
CREATE FUNCTION test.link(url text, kind text DEFAULT 'click_url', days int DEFAULT 1) RETURNS text LANGUAGE sql AS $$
	SELECT CASE kind WHEN 'click_url' THEN substr(trigger_engine._rewrite_links('push', jsonb_build_object('url', url), (SELECT min(send_id) FROM trigger_engine.sends), NULL, 'c/', NULL, NULL, key, trigger_engine.clock() + days * interval '1 day') ->> 'url', 3)
		ELSE substring(trigger_engine._rewrite_links('email', '{"html": ""}', (SELECT min(send_id) FROM trigger_engine.sends), NULL, NULL, 'o/', NULL, key, trigger_engine.clock() + days * interval '1 day') ->> 'html' from 'o/([^"]*)') END
	FROM trigger_engine._link_keys WHERE key_id = 1 $$;
SELECT link('https://a.example/1') AS one, link('https://a.example/2') AS two, link('', 'o') AS open, link('https://a.example/1', days => 0) AS expired \gset
SELECT resolve_click(:'one'), resolve_click(:'one'), resolve_click(:'two'), resolve_click(:'two', user_agent => 'SomeBot/1'), resolve_click(:'one', method => 'HEAD');
SELECT resolve_open(:'open', 'Mozilla/5.0'), resolve_open(:'open', 'Mozilla/5.0 (X11) Firefox/130'), resolve_open(:'open');
SELECT kind, machine, source_id, data FROM interactions ORDER BY kind, machine, source_id;
SELECT name, properties ->> 'url' FROM events WHERE name ~ '^message' ORDER BY event_id;
SELECT resolve_click(:'open'), resolve_open(:'one'), resolve_click(:'expired'), resolve_click('https://evil.example/'), resolve_click(NULL), resolve_open(NULL);
SELECT rotate_link_key(), resolve_click(:'one');
SELECT advance_clock('23 hours');
SELECT resolve_click(:'one');
SELECT rotate_link_key(forget_older_than => '12 hours'), resolve_click(:'one');
SELECT key_id FROM _link_keys ORDER BY 1;

-- options
SELECT set_link_tracking('{"clicks": false, "channels": ["sms"], "ttl_days": 0.5}', journey => 'cart');
SELECT journey, options FROM link_tracking ORDER BY journey;
SELECT set_link_tracking(NULL, journey => 'cart');
SELECT error($$SELECT set_link_tracking('{"click": true}')$$);
SELECT error($$SELECT set_link_tracking('{"clicks": "yes"}')$$);
SELECT error($$SELECT set_link_tracking('{"ttl_days": 0}')$$);
SELECT error($$SELECT set_link_tracking('{"channels": ["fax"]}')$$);
SELECT error($$SELECT set_link_tracking('[]')$$);
SELECT error($$SELECT set_link_tracking('{}', journey => 'none')$$);
SELECT count(*) FROM link_tracking;
