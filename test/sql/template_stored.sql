-- Stored templates: fields by channel, versions, drafts, approval, publishing and rolling back, content blocks, what uses what.
\set ECHO none
\i test/sql/include/fresh.sql
CREATE FUNCTION test.made(channel text, content jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT test.error(format('SELECT trigger_engine.create_template(%L, %L, %L, or_replace => true)', 'made ' || $1, $1, $2))
$$;
\set ECHO all
\pset null '-'

-- the fields of each channel
SELECT c AS channel, made(c, t) FROM (VALUES
	('push', '{"title": "a", "subtitle": "b", "body": "c", "image": "https://x.example/i.png", "url": "shop://cart", "actions": [{"id": "o", "title": "Open", "url": "https://x.example", "icon": "https://x.example/i.png"}], "sound": "default", "badge": 1, "data": {"k": ["{{ event.x }}"]}}'::jsonb),
	('web_push', '{"title": "a", "body": "b", "icon": "https://x.example/i.png", "image": null, "badge": "https://x.example/b.png", "url": "/cart", "actions": [], "tag": "cart", "data": {}}'),
	('email', '{"from": "shop@x.example", "from_name": "Shop", "reply_to": "{{ user.clerk }}@x.example", "subject": "a", "preheader": "b", "html": "<p>", "text": "c"}'),
	('sms', '{"text": "a"}'), ('whatsapp', '{"text": "a", "image": "https://x.example/i.png"}'), ('whatsapp', '{"template": {"name": "order", "language": "en", "parameters": ["{{ event.id }}"]}}'),
	('in_app', '{"title": "a", "body": "b", "image": "https://x.example/i.png", "url": "https://x.example", "data": {}}'),
	('chat', '{"text": "a", "blocks": [{"type": "section"}]}'), ('webhook', '{"type": "a.b", "any": {"thing": [1, "{{ user.x }}"]}}'), ('block', '{"text": "a", "html": "<b>a</b>"}')) v(c, t);
SELECT c AS channel, t AS content, made(c, t) FROM (VALUES
	('fax', '{"text": "a"}'::jsonb), ('emial', '{"text": "a"}'), ('email', '[]'), ('email', '{}'), ('email', '"x"'),
	('push', '{"titel": "a"}'), ('push', '{"tittle_of_it": "a"}'), ('push', '{"subtitle": "a"}'), ('push', '{"title": 1}'), ('push', '{"body": {"en": "a"}}'), ('push', '{"title": null}'),
	('push', '{"title": "a", "badge": -1}'), ('push', '{"title": "a", "badge": 1.5}'), ('push', '{"title": "a", "badge": "one"}'), ('push', '{"title": "a", "badge": true}'),
	('push', '{"title": "a", "data": []}'), ('push', '{"title": "a", "actions": {}}'), ('push', '{"title": "a", "actions": [{"title": "b"}]}'), ('push', '{"title": "a", "actions": [{"id": "a", "titel": "b"}]}'), ('push', '{"title": "a", "actions": ["b"]}'),
	('push', '{"title": "a\nb"}'), ('push', '{"title": "a", "url": "javascript:alert(1)"}'), ('push', '{"title": "a", "image": "data:image/png;base64,x"}'),
	('email', '{"subject": "a"}'), ('email', '{"text": "a", "from": "no address"}'), ('email', '{"text": "a", "from": "a@b.example, c@d.example"}'), ('email', '{"text": "a", "subject": "a\r\nBcc: x"}'),
	('sms', '{"text": ""}'), ('sms', '{"body": "a"}'), ('chat', '{"title": "a"}'), ('whatsapp', '{"template": "x"}'), ('block', '{"body": "a"}'),
	('email', '{"html": "<p>{{ user.name | upcse }}</p>"}'), ('email', '{"html": "x\n{% if a %}"}'), ('push', '{"title": "ok", "data": {"a": [{"b": "{{ x | | }}"}]}}'), ('push', '{"title": "ok", "actions": [{"id": "a", "title": "{% nope %}"}]}')) v(c, t);
SELECT error($$SELECT create_template(NULL, 'push', '{"title": "a"}')$$);
SELECT error($$SELECT create_template('', 'push', '{"title": "a"}')$$);
SELECT error($$SELECT create_template('x', 'push', NULL)$$);
SELECT error($$SELECT create_template('x', 'push', '{"title": "a"}', locale => 'not a locale')$$);
SELECT error($$SELECT create_template('x', 'push', '{"title": "a"}', default_locale => '!')$$);
SELECT count(*) FROM templates WHERE name = 'x';

-- versions of a text; each locale counts its own
SELECT create_template('t', 'sms', '{"text": "one"}', description => 'a text', default_locale => 'en_US');
SELECT create_template('t', 'sms', '{"text": "eins"}', locale => 'de_AT');
SELECT error($$SELECT create_template('t', 'sms', '{"text": "zwei"}', locale => 'de-AT')$$);
SELECT error($$SELECT create_template('t', 'email', '{"text": "x"}', locale => 'fr')$$);
SELECT advance_clock('1 min');
SELECT create_template('t', 'sms', '{"text": "two"}', or_replace => true, note => 'shorter');
SELECT create_template('t', 'sms', '{"text": "two"}', or_replace => true);
SELECT * FROM templates WHERE name = 't' ORDER BY locale NULLS FIRST \gx
SELECT locale, version, state, content ->> 'text' AS text, note, created_at, published_at, approved_at FROM template_versions WHERE name = 't' ORDER BY locale NULLS FIRST, version;

-- drafts, publishing, rolling back
SELECT create_template('t', 'sms', '{"text": "three"}', or_replace => true, draft => true);
SELECT create_template('t', 'sms', '{"text": "three"}', or_replace => true, draft => true);
SELECT create_template('t', 'sms', '{"text": "drei"}', locale => 'de-AT', or_replace => true, draft => true);
SELECT create_template('t', 'sms', '{"text": "trois"}', locale => 'fr', draft => true);
SELECT locale, version, draft_version, content ->> 'text' AS text FROM templates WHERE name = 't' ORDER BY locale NULLS FIRST;
SELECT publish_template('t', locale => 'fr'), publish_template('t', locale => 'fr');
SELECT publish_template('t');
SELECT publish_template('t');
SELECT locale, version, draft_version, content ->> 'text' AS text FROM templates WHERE name = 't' ORDER BY locale NULLS FIRST;
SELECT rollback_template('t', locale => '');
SELECT locale, version, draft_version, content ->> 'text' AS text FROM templates WHERE name = 't' ORDER BY locale NULLS FIRST;
-- what was rolled back is no draft, but can be named
SELECT publish_template('t');
SELECT publish_template('t', locale => '', version => 3);
SELECT rollback_template('t');
SELECT locale, version, content ->> 'text' AS text FROM templates WHERE name = 't' ORDER BY locale NULLS FIRST;
SELECT rollback_template('t', locale => '', version => 1);
SELECT create_template('t', 'sms', '{"text": "four"}', or_replace => true);
SELECT version, state, content ->> 'text' AS text FROM template_versions WHERE name = 't' AND locale IS NULL ORDER BY version;
SELECT error($$SELECT rollback_template('t', locale => 'fr')$$);
SELECT error($$SELECT rollback_template('t', locale => '', version => 9)$$);
SELECT error($$SELECT publish_template('t', locale => '', version => 9)$$);
SELECT error($$SELECT publish_template('t', version => 1)$$);
SELECT error($$SELECT publish_template('t', locale => 'it')$$);
SELECT error($$SELECT publish_template('tt')$$);
SELECT error($$SELECT rollback_template('nothing like it')$$);

-- approval, by locale, and never by the author
CREATE ROLE regress_te_writer;
CREATE ROLE regress_te_reviewer;
SELECT grant_usage('regress_te_writer', 'analyst'), grant_usage('regress_te_reviewer', 'analyst');
GRANT USAGE ON SCHEMA test TO PUBLIC;
SET ROLE regress_te_writer;
SELECT trigger_engine.create_template('a', 'sms', '{"text": "one"}', requires_approval => true);
SELECT trigger_engine.create_template('a', 'sms', '{"text": "eins"}', locale => 'de');
SELECT error($$SELECT trigger_engine.publish_template('a')$$);
SELECT error($$SELECT trigger_engine.approve_template('a')$$);
SET ROLE regress_te_reviewer;
SELECT trigger_engine.approve_template('a', locale => 'de'), trigger_engine.approve_template('a', locale => 'de');
SELECT error($$SELECT trigger_engine.publish_template('a')$$);
SET ROLE regress_te_writer;
-- one that is not approved holds all of them
SELECT error($$SELECT trigger_engine.publish_template('a')$$);
SELECT trigger_engine.publish_template('a', locale => 'de');
SET ROLE regress_te_reviewer;
SELECT trigger_engine.approve_template('a');
SET ROLE regress_te_writer;
SELECT trigger_engine.publish_template('a');
SELECT trigger_engine.create_template('a', 'sms', '{"text": "two"}', or_replace => true);
SELECT error($$SELECT trigger_engine.publish_template('a', locale => '', version => 2)$$);
RESET ROLE;
SELECT locale, version, state, created_by, approved_by, published_by FROM template_versions WHERE name = 'a' ORDER BY 1 NULLS FIRST, 2;
SELECT error($$SELECT approve_template('a', locale => '', version => 7)$$);
SELECT error($$SELECT approve_template('a', locale => 'fr')$$);
-- going back needs no approval, as it was live
SELECT alter_template('t', requires_approval => true, description => '', default_locale => 'de');
SELECT rollback_template('t', locale => '');
SELECT error($$SELECT create_template('t', 'sms', '{"text": "five"}', or_replace => true)$$);
SELECT DISTINCT requires_approval, description, default_locale FROM templates WHERE name = 't';
SELECT locale, version, draft_version FROM templates WHERE name = 't' ORDER BY 1 NULLS FIRST;
SELECT alter_template('t', requires_approval => false, default_locale => '');
SELECT publish_template('t');
SELECT error($$SELECT alter_template('tt')$$);
-- ownership
SET ROLE regress_te_reviewer;
SELECT error($$SELECT trigger_engine.create_template('a', 'sms', '{"text": "x"}', or_replace => true)$$);
SELECT error($$SELECT trigger_engine.create_template('a', 'sms', '{"text": "x"}', locale => 'it')$$);
SELECT error($$SELECT trigger_engine.alter_template('a', requires_approval => false)$$);
SELECT error($$SELECT trigger_engine.rollback_template('a')$$);
SELECT error($$SELECT trigger_engine.drop_template('a')$$);
RESET ROLE;

-- content blocks
SELECT error($$SELECT create_template('m', 'email', '{"html": "{% render ''footer'' %}"}')$$);
SELECT error($$SELECT create_template('m', 'email', '{"html": "{% render ''footer'' %}"}', draft => true)$$);
SELECT error($$SELECT publish_template('m')$$);
SELECT create_template('footer', 'block', '{"text": "Shop"}'), create_template('foot', 'block', '{"text": "x"}', draft => true);
SELECT publish_template('m');
SELECT error($$SELECT create_template('n', 'email', '{"html": "{%- include \"footr\" -%}"}')$$);
SELECT error($$SELECT create_template('n', 'email', '{"html": "{% render ''foot'' %}"}')$$);
SELECT error($$SELECT create_template('n', 'email', '{"html": "{% render ''m'' %}"}')$$);
SELECT error($$SELECT create_template('n', 'email', '{"html": "we render ''anything'' and include ''all'', {% comment %}{% render ''none'' %}{% endcomment %}{% raw %}{% render ''none'' %}{% endraw %}"}')$$);
SELECT error($$SELECT create_template('n', 'email', '{"html": "{% include user.block %} {% liquid\nrender \"footer.liquid\"\n%}"}', or_replace => true)$$);
SELECT error($$SELECT create_template('itself', 'block', '{"text": "{% render ''itself'' %}"}')$$);
SELECT error($$SELECT create_template('long', 'block', jsonb_build_object('text', repeat('x', 65537)))$$);
SELECT error($$SELECT drop_template('footer')$$);
SELECT drop_template('m'), drop_template('n'), drop_template('footer'), drop_template('itself');

-- journeys name templates of channels that can be delivered
SELECT error($$SELECT create_journey('j', '{"kind": "event", "name": "x"}', '[{"id": "s", "send": "made email"}]')$$);
SELECT error($$SELECT create_journey('j', '{"kind": "event", "name": "x"}', '[{"id": "s", "send": "made block"}]')$$);
SELECT error($$SELECT create_journey('j', '{"kind": "event", "name": "x"}', '[{"id": "s", "send": "made webhook"}]')$$);
SELECT error($$SELECT create_journey('j', '{"kind": "event", "name": "x"}', '[{"id": "s", "send": "made web"}]')$$);
SELECT create_template('later', 'in_app', '{"title": "x"}', draft => true);
SELECT create_journey('j', '{"kind": "event", "name": "x"}', '[{"id": "s", "send": "later"}]') > 0 AS created;
SELECT error($$SELECT drop_template('later')$$);
SELECT error($$SELECT drop_template('later', locale => '')$$);
SELECT drop_journey('j'), drop_template('later', locale => '');
SELECT drop_template('t', locale => 'fr'), drop_template('t', locale => 'de_AT'), error($$SELECT drop_template('t', locale => 'fr')$$), drop_template('t', locale => 'fr', if_exists => true);
SELECT count(*) FROM templates WHERE name = 't';
SELECT drop_template('t');
SELECT (SELECT count(*) FROM _templates WHERE name = 't') AS templates, (SELECT count(*) FROM _template_versions WHERE name = 't') AS versions;
-- the name is free for another channel
SELECT create_template('t', 'chat', '{"text": "x"}');
SELECT channel, version FROM templates WHERE name = 't';
DROP OWNED BY regress_te_writer, regress_te_reviewer;
DROP ROLE regress_te_writer, regress_te_reviewer;
