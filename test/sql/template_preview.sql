-- preview_template(): what a user would get, field by field, and what may go wrong with it.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'

INSERT INTO users (user_id, attributes, locale, zone) VALUES ('ann', '{"name": "Ann", "bad": "<i>\r\nBcc: x"}', 'de-AT', 'Europe/Vienna'), ('bo', '{"name": "Bo 👩‍👩‍👧🇦🇹"}', NULL, NULL);

-- push: characters as readers count them, and payloads of both services
SELECT create_template('push', 'push', '{"title": "Hi {{ user.name }}", "subtitle": "{{ event.city | default: \"here\" }}", "body": "{{ event.text }}", "image": "https://x.example/{{ event.img }}", "url": "https://x.example/?u={{ user.user_id }}&t={{ event.text }}",
	"actions": [{"id": "o", "title": "Open {{ event.n }}", "url": "{{ event.link }}"}], "sound": "default", "badge": "{{ event.n }}", "data": {"n": 1, "list": ["{{ event.n }}"]}}');
SELECT field, content, graphemes, bytes, warnings FROM preview_template('push', 'bo', event => '{"text": "ü & \"x\"", "img": "a.png", "n": 3, "link": "shop://cart"}') \gx
-- what devices cut off, do not show, or cannot load
SELECT field, graphemes, bytes, warnings FROM preview_template('push', event => jsonb_build_object('text', repeat('x', 600), 'img', 'a.webp', 'n', 1, 'link', 'cart'));
SELECT e ->> 'img' AS image, warnings FROM unnest(ARRAY['{"img": "a"}', '{"img": "p/a.JPEG"}', '{"img": "a.svg"}', '{"img": ".png.exe"}']::jsonb[]) e CROSS JOIN LATERAL preview_template('push', event => e) p WHERE p.field = 'image';
SELECT create_template('urls', 'push', '{"title": "x", "image": "{{ event.u }}", "url": "{{ event.u }}"}');
SELECT e AS u, field, content, warnings FROM unnest(ARRAY['http://x.example/a.png', 'https://x.example/a.png', '/a.png', 'javascript:x', 'ftp://x/a.png', 'https://x.example/a.jpg?size=1.html', 'https://x.example/#a.png', '']) e CROSS JOIN LATERAL preview_template('urls', event => jsonb_build_object('u', e)) p WHERE p.field IN ('image', 'url');
SELECT create_template('signs', 'push', '{"title": "{{ event.t }}", "body": "ok 😀", "actions": [{"id": "1", "title": "a"}, {"id": "2", "title": "b"}, {"id": "3", "title": "c"}, {"id": "4", "title": "d"}, {"id": "5", "title": "e"}], "data": {"from": "x", "google.x": "y", "fine": "z"}}');
SELECT t, field, graphemes, bytes, warnings FROM unnest(ARRAY['👍🏽', '🫠🫡', U&'a\FFFDb', '🇺🇦é', 'नमस्ते']) t CROSS JOIN LATERAL preview_template('signs', event => jsonb_build_object('t', t)) p WHERE field = 'title';
SELECT field, warnings FROM preview_template('signs', event => '{"t": "x"}') WHERE field IN ('body', 'actions', 'data');
-- payloads too large
SELECT create_template('large', 'push', '{"title": "x", "data": {"k": "{{ event.k }}"}}'), create_template('large web', 'web_push', '{"title": "x", "url": "https://x.example", "actions": [{"id": "1", "title": "a"}, {"id": "2", "title": "b"}, {"id": "3", "title": "c"}], "data": {"k": "{{ event.k }}"}}');
SELECT n, field, bytes, warnings FROM generate_series(4000, 4020, 20) n CROSS JOIN LATERAL preview_template('large', event => jsonb_build_object('k', repeat('x', n))) p WHERE field ~ 'payload';
SELECT field, bytes, length(content), warnings FROM preview_template('large web', event => jsonb_build_object('k', repeat('€', 1300))) WHERE field <> 'data';

-- text messages: parts, and what makes them short
SELECT create_template('text', 'sms', '{"text": "{{ event.t }}"}');
SELECT d, graphemes, bytes, encoding, segments, warnings FROM (VALUES ('160', repeat('a', 160)), ('161', repeat('a', 161)), ('81 €', repeat('€', 81)), ('71 ы', repeat('ы', 71)), ('one curly', 'It’s fine'), ('ç', 'façade'), ('emoji', 'Hi 😀👍🏽'), ('1601', repeat('a', 1601)), ('none', '')) v(d, t)
CROSS JOIN LATERAL preview_template('text', event => jsonb_build_object('t', t)) p;

-- mail: HTML is escaped, headers are one line, each field tells what it lacks
SELECT create_template('footer', 'block', '{"text": "-- Shop", "html": "<hr>Shop &amp; Co {{ who }}"}');
SELECT create_template('mail', 'email', '{"from": "{{ event.clerk }}@x.example", "from_name": "{{ user.bad }}", "subject": "{{ user.bad }} {{ event.missing.deep }} {{ user.nick | default: \"you\" }}", "preheader": "{{ \"pre\" | t }}", "html": "<p>{{ user.bad }} {{ user.bad | raw }} {{ user.bad | escape }}</p>{% render ''footer'', who: user.bad %}", "text": "{{ user.bad }} {% render ''footer'' %}"}');
SELECT field, content, graphemes, bytes, warnings FROM preview_template('mail', 'ann', event => '{"clerk": "joe"}') \gx
SELECT field, content, warnings FROM preview_template('mail', 'ann', event => '{"clerk": "joe\r\nBcc: x@y.example, z"}') WHERE field = 'from';
SELECT create_template('mail', 'email', '{"html": "{{ event.long }}"}', or_replace => true);
SELECT field, bytes, warnings FROM preview_template('mail', event => jsonb_build_object('long', repeat('x', 110000)));
SELECT field, content FROM preview_template('footer');
-- the other channels
SELECT create_template('wa', 'whatsapp', '{"text": "{{ event.t }}"}'), create_template('talk', 'chat', '{"text": "{{ event.t }}", "blocks": [{"text": "{{ event.n }}"}]}'), create_template('hook', 'webhook', '{"type": "a.b", "z": {"n": "{{ event.n }}"}, "a": [1, "{{ event.n }}"], "none": null}'), create_template('app', 'in_app', '{"title": "{{ user.name }}", "data": {"k": true}}');
SELECT t.n AS template, field, left(content, 60) AS content, graphemes, warnings FROM unnest(ARRAY['wa', 'talk', 'hook', 'app']) WITH ORDINALITY t(n, i) CROSS JOIN LATERAL preview_template(t.n, 'ann', event => jsonb_build_object('t', repeat('x', 5000), 'n', '"quoted"')) p ORDER BY t.i;

-- fields that fail, or stop the message, hide no other one
SELECT create_template('fail', 'push', '{"title": "{{ 1 | divided_by: event.n }}", "subtitle": "{% if event.n == 0 %}{% abort_message ''none left'' %}{% endif %}ok", "body": "{% for i in (1..1000000) %}{% endfor %}", "badge": "{{ event.n }} left", "url": "{{ event.u | raw }}", "data": {"k": "v"}}');
SELECT field, content, warnings FROM preview_template('fail', event => '{"n": 0, "u": "data:x"}');

-- which text: the user's, a locale's, a version, a draft
SELECT create_template('multi', 'sms', '{"text": "one {{ 1234.5 | number }}"}', default_locale => 'en'), create_template('multi', 'sms', '{"text": "two"}', or_replace => true), create_template('multi', 'sms', '{"text": "eins {{ 1234.5 | number }}"}', locale => 'de'),
	create_template('multi', 'sms', '{"text": "zwei {{ now | date: \"%H:%M\" }}"}', locale => 'de', or_replace => true, draft => true);
SELECT content, locale_used, version_used FROM preview_template('multi', 'ann');
SELECT content, locale_used, version_used FROM preview_template('multi', 'bo');
SELECT content, locale_used, version_used FROM preview_template('multi', 'ann', locale => 'fr');
SELECT content, locale_used, version_used FROM preview_template('multi', 'bo', version => 1);
SELECT content, locale_used, version_used FROM preview_template('multi', 'ann', draft => true, at => '2030-07-01 12:00:00+00');
-- translations that are there, and those that are not
SELECT set_translation('de', 'greet', 'Servus {{ name }}');
SELECT create_template('keys', 'sms', '{"text": "{{ \"greet\" | t: name: user.name }} {{ \"gone\" | t }} {% t away %}so long{% endt %} {{ user.gone }} {{ user.gone }} {{ user.gone | upcase }} {% if user.gone %}{% endif %}{% assign x = user.gone %}{{ x }}"}');
SELECT content, warnings FROM preview_template('keys', 'ann');

-- what it says when there is nothing to show
SELECT error($$SELECT * FROM preview_template('nothing')$$);
SELECT error($$SELECT * FROM preview_template(NULL)$$);
SELECT error($$SELECT * FROM preview_template('multi', 'nobody')$$);
SELECT error($$SELECT * FROM preview_template('multi', version => 9)$$);
SELECT error($$SELECT * FROM preview_template('multi', version => 1, draft => true)$$);
SELECT error($$SELECT * FROM preview_template('multi', version => -1)$$);
SELECT error($$SELECT * FROM preview_template('multi', event => '[]')$$);
SELECT create_template('unborn', 'sms', '{"text": "x"}', draft => true);
SELECT error($$SELECT * FROM preview_template('unborn')$$);
SELECT content FROM preview_template('unborn', draft => true);
-- analysts may, applications may not
CREATE ROLE regress_te_analyst;
CREATE ROLE regress_te_app;
SELECT grant_usage('regress_te_analyst', 'analyst'), grant_usage('regress_te_app', 'app');
SET ROLE regress_te_analyst;
SELECT content FROM trigger_engine.preview_template('unborn', 'ann', draft => true);
SET ROLE regress_te_app;
SELECT content FROM trigger_engine.preview_template('unborn', 'ann', draft => true);
RESET ROLE;
DROP OWNED BY regress_te_analyst, regress_te_app;
DROP ROLE regress_te_analyst, regress_te_app;
