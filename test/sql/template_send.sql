-- From a stored template to a message: the text for the reader, its context, blocks and translations, escaping by field, and templates that fail or stop.
\set ECHO none
\i test/sql/include/fresh.sql
-- sends a template to users by an event and shows what came of it; the journey is made at first use
CREATE PROCEDURE test.send(template text, users text[], properties jsonb DEFAULT '{}')
LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine.journeys j WHERE j.name = template) THEN
		PERFORM trigger_engine.create_journey(template, jsonb_build_object('kind', 'event', 'name', template),
			jsonb_build_array(jsonb_build_object('id', 's1', 'send', template)));
	END IF;
	DELETE FROM trigger_engine.inbox;
	INSERT INTO trigger_engine.events (user_id, name, properties, context)
	SELECT u, template, properties, '{"page": "/p"}' FROM unnest(users) u;
END
$$;
CREATE VIEW test.message AS SELECT i.user_id, s.template_version AS version, s.template_locale AS locale, i.title, i.body, i.image, i.url, i.data
FROM trigger_engine.inbox i JOIN trigger_engine.sends s USING (user_id, send_id) ORDER BY 1;
\set ECHO all
\pset null '-'

INSERT INTO users (user_id, attributes, locale, zone, country, tenant) VALUES
	('ann', '{"name": "Ann", "plan": {"name": "gold"}, "tags": ["a", "b"], "user_id": "forged"}', 'de-AT', 'Europe/Vienna', 'AT', 'shop1'),
	('bao', '{"name": "Bao"}', 'zh-TW', 'Asia/Taipei', 'TW', NULL), ('carla', '{"name": "Carla"}', 'es-MX', 'America/Mexico_City', 'MX', NULL), ('dana', '{}', NULL, NULL, NULL, NULL),
	('emir', '{"name": "Emir"}', 'ar-EG', 'Not/A_Zone', 'EG', NULL), ('fred', '{}', 'no locale at all!', NULL, NULL, NULL);

-- the context
SELECT create_template('context', 'in_app', '{"title": "{{ user.name }} {{ user.plan.name }} {{ user.attributes.tags | join: \"+\" }} {{ user.user_id }} {{ user.locale }} {{ user.zone }} {{ user.country }} {{ user.tenant }}",
	"body": "{{ event.name }} {{ event.n }} {{ event.properties.n }} {{ event.context.page }} {{ event.occurred_at }} | {{ journey }} {{ step }} {{ channel }} | {{ locale.tag }} {{ locale.language }} {{ locale.script }} {{ locale.region }} {{ locale.dir }} | {{ now | date: \"%F %T %Z\" }} {{ \"now\" | date: \"%H:%M\" }} {{ \"today\" | date: \"%d\" }}"}');
CALL send('context', '{ann,dana,emir,nobody}', '{"n": 7, "name": "forged"}');
CALL drain();
SELECT user_id, title, body FROM message;

-- the text for the reader, recorded with the send
SELECT create_template('hello', 'in_app', '{"title": "Hello"}', default_locale => 'en'), create_template('hello', 'in_app', '{"title": "Hallo {{ 1234.5 | number }}"}', locale => 'de'),
	create_template('hello', 'in_app', '{"title": "你好"}', locale => 'zh-Hans'), create_template('hello', 'in_app', '{"title": "Hola {{ 1234.5 | number }}"}', locale => 'es-419'),
	create_template('hello', 'in_app', '{"title": "Draft"}', locale => 'ar', draft => true);
CALL send('hello', '{ann,bao,carla,dana,emir,fred}');
CALL drain();
SELECT user_id, version, locale, title FROM message;
-- what is published counts from its commit on
SELECT publish_template('hello', locale => 'ar'), create_template('hello', 'in_app', '{"title": "你好嗎"}', locale => 'zh-Hant'), create_template('hello', 'in_app', '{"title": "Hello again"}', or_replace => true),
	drop_template('hello', locale => 'de');
CALL send('hello', '{ann,bao,dana,emir}');
CALL drain();
SELECT user_id, version, locale, title FROM message;
SELECT rollback_template('hello', locale => '');
CALL send('hello', '{dana}');
CALL drain();
SELECT user_id, version, locale, title FROM message;
SELECT user_id, template_version, template_locale, stopped_by FROM decisions WHERE journey = 'hello' ORDER BY send_id DESC LIMIT 1;
SELECT what, result, detail FROM explain_send((SELECT max(send_id) FROM sends WHERE user_id = 'carla')) WHERE what = 'template';
SELECT what, result, detail FROM explain_send((SELECT max(send_id) FROM sends WHERE user_id = 'dana')) WHERE what = 'template';
-- formats and translations: the reader's while there is one text, those of the text once there are several
SELECT create_template('one', 'in_app', '{"title": "{{ 1234.5 | number }} {{ locale.tag }} {{ \"greet\" | t: name: user.name, default: \"hi\" }}"}', default_locale => 'en');
SELECT set_translation('de', 'greet', 'Servus {{ name }}'), set_translation('es', 'greet', 'Hola {{ name }}', namespace => 'one'), set_translation('de', 'greet', 'Grüß dich {{ name }}', tenant => 'shop1');
CALL send('one', '{ann,carla,dana,emir}');
CALL drain();
SELECT user_id, locale, title FROM message;
SELECT create_template('one', 'in_app', '{"title": "{{ 1234.5 | number }} {{ locale.tag }}"}', locale => 'de');
CALL send('one', '{ann,carla}');
CALL drain();
SELECT user_id, locale, title FROM message;
-- without a default text only some readers have one
SELECT create_template('some', 'in_app', '{"title": "nur {{ user.name }}"}', locale => 'de');
CALL send('some', '{ann,bao,dana}');
CALL drain();
SELECT user_id, state, gate, reason, template_version, template_locale FROM sends WHERE journey = 'some' ORDER BY 1;
SELECT alter_template('some', default_locale => 'de');
CALL send('some', '{bao,dana}');
CALL drain();
SELECT user_id, version, locale, title FROM message;

-- content blocks: inside each other, by locale, by name known late, never in a circle without end
SELECT create_template('team', 'block', '{"text": "the team at {{ place | default: ''home'' }}"}'), create_template('team', 'block', '{"text": "das Team"}', locale => 'de'),
	create_template('sign', 'block', '{"text": "{{ greeting }}, {% render ''team'' %}"}'), create_template('sign', 'block', '{"text": "{{ greeting }}, {% render ''team'' %} (AT)"}', locale => 'de-AT');
SELECT create_template('letter', 'in_app', '{"title": "{% render ''sign'', greeting: ''Bye'' %}", "body": "{% assign place = ''sea'' %}{% include user.block %}{% include ''team.liquid'' %}"}');
UPDATE users SET attributes = attributes || '{"block": "team"}';
CALL send('letter', '{ann,carla}');
CALL drain();
SELECT user_id, title, body FROM message;
SELECT create_template('team', 'block', '{"text": "everybody"}', or_replace => true);
CALL send('letter', '{carla}');
CALL drain();
SELECT user_id, title, body FROM message;
SELECT create_template('ring', 'block', '{"text": "{% render ''ring'' %}"}'), create_template('round', 'in_app', '{"title": "{% render ''ring'' %}"}');
CALL send('round', '{ann}');
CALL drain();
SELECT user_id, state, gate, reason FROM sends WHERE journey = 'round';

-- escaping by field: one line for titles, parts of URLs, and nothing that breaks the document
SELECT create_template('escape', 'in_app', '{"title": " {{ event.v }} {{ event.rtl }} ", "body": "{{ event.v }}", "url": "https://x.example/?q={{ event.v }}", "image": "{{ event.img }}", "data": {"v": "{{ event.v }}", "{{ key }}": "k"}}');
CALL send('escape', '{ann}', jsonb_build_object('v', E'<a href="x">\r\n&\\', 'rtl', E'a\u202eb', 'img', 'https://x.example/a b.png'));
CALL drain();
SELECT user_id, title, body, url, image, data FROM message \gx
SELECT create_template('link', 'in_app', '{"title": "x", "url": "{{ event.u | raw }}"}');
CALL send('link', '{ann}', '{"u": "JavaScript:alert(1)"}');
CALL send('link', '{bao}', '{"u": "shop://cart/7?a=b c"}');
CALL drain();
SELECT user_id, url FROM message;
SELECT user_id, state, gate, reason FROM sends WHERE journey = 'link' ORDER BY 1;

-- a template that stops the message: that is the decision, not a failure
SELECT create_template('stop', 'in_app', '{"title": "{% unless event.stock > 0 %}{% abort_message ''out of stock'' %}{% endunless %}{{ event.stock }} left", "body": "{% if event.stock == 2 %}{% abort_message %}{% endif %}ok"}');
CALL send('stop', '{ann}', '{"stock": 0}');
CALL send('stop', '{bao}', '{"stock": 1}');
CALL send('stop', '{carla}', '{"stock": 2}');
CALL drain();
SELECT user_id, state, gate, reason, attempts, template_version FROM sends WHERE journey = 'stop' ORDER BY 1;
SELECT user_id, gates -> -1 AS render, stopped_by FROM decisions WHERE journey = 'stop' AND state = 'withheld' ORDER BY 1;

-- one that fails withholds its message, and only its own
SELECT create_template('fail', 'in_app', '{"title": "{{ 100 | divided_by: event.n }}", "body": "{% for i in (1..event.m) %}{% endfor %}ok"}');
CALL send('fail', '{}');
INSERT INTO events (user_id, name, properties) SELECT u, 'fail', p::jsonb FROM (VALUES ('x1', '{"n": 4, "m": 3}'), ('x2', '{"n": 0, "m": 3}'), ('x3', '{"n": 5, "m": 3}'), ('x4', '{"n": 1, "m": 100000000}'), ('x5', '{"n": 10, "m": 1}')) v(u, p);
CALL drain();
SELECT user_id, title, body FROM message;
SELECT user_id, state, gate, reason FROM sends WHERE journey = 'fail' ORDER BY 1;
-- put right, the withheld ones can be sent
SELECT create_template('fail', 'in_app', '{"title": "{{ event.n }}"}', or_replace => true);
SELECT retry_sends('fail', states => '{withheld}');
CALL drain();
SELECT user_id, version, title FROM message;

-- chance is the send's own: what is tried again chooses the same
SELECT create_template('dice', 'in_app', '{"title": "{{ 1000000 | random }}", "body": "{{ 1000000 | random }}", "data": {"bucket": "{{ user.user_id | random_bucket_number }}"}}');
CALL send('dice', '{ann,bao}');
CALL drain();
SELECT count(DISTINCT title) AS titles, bool_and(title = body) AS same_in_all_fields, string_agg(data ->> 'bucket', ' ' ORDER BY user_id) AS buckets FROM message;
SELECT bool_and(m.title = render('{{ 1000000 | random }}', options => jsonb_build_object('seed', format(E'%s\n%s\n%s\n%s\n%s\n%s', s.user_id, s.journey_id, s.entry_key, s.step, s.channel,
	(extract(epoch FROM s.event_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint)))) AS as_told
FROM message m JOIN sends s USING (user_id) WHERE s.journey = 'dice';

-- a template of another channel now, and one that is gone
SELECT create_template('moves', 'in_app', '{"title": "x"}');
SELECT create_journey('moves', '{"kind": "event", "name": "moves"}', '[{"id": "s1", "send": "moves"}]') > 0 AS ok;
DELETE FROM _templates WHERE name = 'moves';
DELETE FROM _template_texts WHERE name = 'moves';
DELETE FROM _template_versions WHERE name = 'moves';
CALL send('moves', '{ann}');
CALL drain();
SELECT create_template('moves', 'sms', '{"text": "x"}', or_replace => true, draft => true);
CALL send('moves', '{bao}');
CALL drain();
SELECT publish_template('moves');
CALL send('moves', '{carla}');
CALL drain();
SELECT user_id, state, gate, reason FROM sends WHERE journey = 'moves' ORDER BY 1;
-- what has nothing to render is sent as it is
SELECT create_template('plain', 'in_app', '{"title": "100% {plain} } text", "data": {"list": [1, null, true, {"a": "b"}]}}');
CALL send('plain', '{ann,bao}');
CALL drain();
SELECT user_id, title, data FROM message;
