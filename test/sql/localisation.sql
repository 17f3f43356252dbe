-- Locales, plurals, messages and formats; translations by key; holidays.
\set ECHO none
\i test/sql/include/fresh.sql
-- what a template prints for a reader of a locale in Berlin, with translations
CREATE FUNCTION test.print(template text, locale text DEFAULT 'en', context jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN trigger_engine.render(template, context, locale, '{}', '{"timezone": "Europe/Berlin", "now": "2030-01-15 12:00:00Z"}' || options);
EXCEPTION WHEN SQLSTATE 'TE005' THEN
	RETURN SQLERRM;
END
$$;
\set ECHO all
\pset null '-'

-- the chain of a locale
SELECT l, locale_chain(l) FROM unnest(ARRAY['zh-TW', 'zh_Hant_HK', 'zh-CN', 'zh', 'zh-Hant', 'zh-Hant-MO', 'es-MX', 'en-AU', 'en-GB', 'pt-AO',
	'sr', 'sr-ME', 'sr-Latn-RS', 'pa-PK', 'az-IR', 'nb-NO', 'hi-Latn', 'de-DE-1996', 'en-Latn-GB', 'tlh-Piqd']) l;
-- one spelling for all
SELECT l, (locale_chain(l))[1] FROM unnest(ARRAY['EN_us', 'iw', 'in_ID', 'sh', 'en-UK', 'de_DE.UTF-8', 'de_DE@euro', 'sr_RS@latin', 'zh-CHT',
	'deu', 'zh-cmn-hans', 'ar-EG-u-nu-latn', ' fr ', 'root', 'es-419', 'sl-rozaj-biske']) l;
SELECT test.error(format('SELECT locale_chain(%L)', l)) FROM unnest(ARRAY['', 'e', 'english', 'en--US', 'en-', 'en US', 'C', repeat('en-', 40), 'én', 'en-u', 'x-klingon']) l;
SELECT wanted, available, best_locale(wanted, available) FROM (VALUES
	('zh-TW', '{zh,zh-Hans,zh-CN}'::text[]), ('zh-TW', '{zh,zh-Hant}'), ('zh-HK', '{zh-TW,zh-CN}'), ('zh-Hant-TW', '{zh-TW}'), ('zh-CN', '{zh-Hant,zh-Hans}'),
	('es-MX', '{es,es-419}'), ('es-MX', '{es-ES,es-AR}'), ('en-AU', '{en,en-GB}'), ('en-AU', '{en-US,en-GB}'), ('pt', '{pt-PT,pt-BR}'), ('pt-AO', '{pt-BR,pt-PT}'),
	('sr-Latn', '{sr,sr-Cyrl}'), ('sr-ME', '{sr,sr_latn}'), ('no', '{nb,nn}'), ('nn-NO', '{nb}'), ('de-AT', '{de_DE,DE}'), ('fr-HT', '{ht}'), ('en-IN', '{hi-Latn}'),
	('hr', '{sr-Latn,bs}'), ('nonsense!', '{en}'), ('en', '{nonsense!,NULL,en-GB}'), ('en', '{}')) v(wanted, available);
SELECT l, locale_direction(l) FROM unnest(ARRAY['ar', 'he-IL', 'fa', 'ur-PK', 'ps', 'yi', 'dv', 'az-IR', 'uz-AF', 'en', 'uz', 'ar-Latn', 'hi', 'und']) l;

-- a number's category is that of how it is written
SELECT l, array_agg(n || ' ' || plural_category(l, n) ORDER BY i) FROM unnest(ARRAY['en', 'fr', 'ru', 'pl', 'ar', 'ja', 'lv', 'pt-PT', 'zz']) l,
	unnest(ARRAY['0', '1', '1.0', '2', '5', '11', '1.5', '-1', '1000000']) WITH ORDINALITY x(n, i) GROUP BY l ORDER BY l;
SELECT l, array_agg(n || ' ' || plural_category(l, n, 'ordinal') ORDER BY i) FROM unnest(ARRAY['en', 'sv', 'it', 'de']) l,
	unnest(ARRAY['1', '2', '3', '4', '8', '11', '22']) WITH ORDINALITY x(n, i) GROUP BY l ORDER BY l;
SELECT l, plural_categories(l), plural_categories(l, 'ordinal') FROM unnest(ARRAY['en', 'ar', 'pl', 'ja']) l;
SELECT test.error(format('SELECT plural_category(%L, %L, %L)', l, n, k)) FROM (VALUES ('en', '', 'cardinal'), ('en', '1,5', 'cardinal'), ('en', 'NaN', 'cardinal'),
	('en', '1e2000', 'cardinal'), ('en', '1', 'nominal'), ('e', '1', 'cardinal')) v(l, n, k);

-- characters as people count them
SELECT graphemes(U&'e\0301\+01F468\200D\+01F469\200D\+01F467\+01F1E9\+01F1EA\000D\000Ax') = ARRAY[U&'e\0301', U&'\+01F468\200D\+01F469\200D\+01F467', U&'\+01F1E9\+01F1EA', U&'\000D\000A', 'x'] AS clusters;
SELECT graphemes(''), graphemes('abc');

-- formats
SELECT format_number(1234567.891), format_number(1234567.891, 'de'), format_number(1234567.891, 'hi'), format_number(0.256, 'en', 'percent'),
	format_number(1234567, 'en', 'compact'), format_number(1234567, 'en', 'compact_long'), format_number(3, 'en', 'ordinal'), format_number(42, 'en', 'words'),
	format_number(1234.5, 'en', '.00'), format_number(123456789012345678901234567890.5), format_number(5, 'ar-EG'), format_number(5, 'ar-EG-u-nu-latn'), format_number(1.5, 'zz');
SELECT format_currency(-1234.5, 'usd'), format_currency(1234.5, 'JPY'), format_currency(9.99, 'KWD', 'zh-Hant-TW'), format_currency(9.99, 'GBP', 'en-GB');
SELECT format_date('2024-07-01 22:30Z', 'de', 'long', 'Europe/Berlin'), format_date('2024-07-01 22:30Z', 'de', 'full', 'America/New_York'), format_date('2024-07-01 22:30Z', 'en', 'yMMMd'),
	format_date('2024-07-01 22:30Z', 'th'), format_time('2024-07-01 22:30Z', 'de', 'short', 'Europe/Berlin'), format_time('2024-07-01 22:30Z', 'de', 'medium'), format_date(NULL) IS NULL AS nothing;
-- Mexico gave up summer time in 2022: whatever ICU knows of it, the hour is the server's
SELECT format_time('2024-07-01 18:00Z', 'de', 'short', 'America/Mexico_City') = to_char('2024-07-01 18:00Z'::timestamptz AT TIME ZONE 'America/Mexico_City', 'HH24:MI') AS same_hour;
SELECT format_list('{A,B,C}'), format_list('{A,NULL,B}', 'de', 'or'), format_list('{A}', 'ja'), format_list('{}'), format_list('{Inés,Iker}', 'es');
SELECT test.error(statement) FROM unnest(ARRAY[
	$$SELECT format_number(1, 'en', 'no such style')$$, $$SELECT format_number('NaN')$$, $$SELECT format_number(1, 'en', 'scale/1E999999')$$, $$SELECT format_number(1, 'en', repeat('0', 300))$$,
	$$SELECT format_currency(1, 'EURO')$$, $$SELECT format_currency(1, '')$$, $$SELECT format_date('infinity')$$, $$SELECT format_date('4000-01-01 BC')$$, $$SELECT format_date('2024-01-01', 'en', 'y-M')$$,
	$$SELECT format_date('2024-01-01', 'en', 'short', 'Mars')$$, $$SELECT format_date('2024-01-01', 'en', 'short', 'EST+5:30')$$, $$SELECT format_list('{A}', 'en', 'xor')$$]) statement;

-- messages of translation tools
SELECT n, format_message('{n, plural, offset:1 =0 {nobody} =1 {you} one {you and # other} other {you and # others}}', jsonb_build_object('n', n)) FROM generate_series(0, 3) n;
SELECT n, format_message('{n, plural, one {# файл} few {# файла} many {# файлов} other {# файла}}', jsonb_build_object('n', n), 'ru') FROM unnest(ARRAY[1, 2, 5, 11, 21, 1.5]) n;
SELECT format_message('{n, selectordinal, one {#st} two {#nd} few {#rd} other {#th}} {who, select, she {her} he {his} other {their}} {name}{missing}', jsonb_build_object('n', n, 'who', who, 'name', 'Ada'))
FROM (VALUES (1, 'she'), (22, 'he'), (113, 'x')) v(n, who);
SELECT format_message($$It''s '{'quoted'}' and o'clock {g, select, a {{n, plural, one {# in a} other {# '#' in a}}} other {#}}$$, '{"g": "a", "n": 1234}');
SELECT format_message('{n, plural, one {1} other {# of {all, number, integer}}}, {p, number, percent}, {d, date, long}', '{"n": 1.0, "all": 1e6, "p": 0.5, "d": "2024-02-29T12:00:00Z"}', 'de');
SELECT format_message('{a} {b} {c} {0}', '{"a": "{b}", "b": "{{ x }}", "c": null}');
SELECT left(message, 40) AS message, test.error(format('SELECT format_message(%L)', message)) FROM unnest(ARRAY['{', '}', '{}', '{n', '{n,', '{n, plural}', '{n, plural, }', '{n, plural, one {a}}', '{n, plural, other}',
	'{n, plural, some {a} other {b}}', '{n, plural, =x {a} other {b}}', '{n, plural, offset: other {b}}', '{n, plural, other {b}', '{n, choice, 0#a}', 'äöü {n, select, other {', '{n, select, =1 {a} other {b}}',
	repeat('{n, select, other {', 20) || repeat('}}', 20)]) message;

-- filters
SELECT l, test.print('{{ n | number }} {{ n | number: 2 }} {{ n | number: "integer" }} {{ n | number: locale: "en" }} {{ "12.50" | number }} {{ "abc" | number }} {{ nil | number }}', l, '{"n": 1234.5}') FROM unnest(ARRAY['en', 'de']) l;
SELECT test.print('{{ n | currency }} {{ n | currency: "EUR" }} {{ n | currency: "en-GB" }} {{ n | currency: "JPY", "en" }} {{ 5 | currency: "USD", trim: true }} {{ n | currency: "USD", display: "code" }} {{ n | currency: "USD", decimals: 0 }} {{ -5 | currency: "USD", accounting: true }}', 'en', '{"n": 1234.5}') = '$1,234.50 €1,234.50 £1,234.50 ¥1,234 $5 ' || U&'USD\00A01,234.50 $1,234 ($5.00)' AS amounts;
SELECT test.print('{{ 0.256 | percent }} {{ 0.256 | percent: 0 }} {{ 1234567 | compact_number }} {{ 1234567 | compact_number: "long" }} {{ 3 | ordinal }} {{ 42 | spell_out }}');
SELECT test.print('{{ at | date: "long" }}; {{ at | date: "%d %B" }}; {{ at | date_l }}; {{ at | date_l: "full", "Asia/Tokyo" }}; {{ at | date_l: "yMMMd" }}; {{ at | date_l: "%A, %-d. %B %Y %H:%M" }}; {{ at | time }}; {{ at | datetime_l: "short", "short", zone: "UTC" }}; {{ "never" | date_l }}',
	'de', '{"at": "2024-03-08T23:30:00Z"}');
SELECT test.print('{{ at | date_l: "%B" }}, {{ at | date_l: "%d %B" }}', 'pl', '{"at": "2024-03-08T12:00:00Z"}');
SELECT at, test.print('{{ at | relative_time }}; {{ at | relative_time: "day" }}; {{ at | relative_time: numeric: true }}; {{ at | relative_time: "week" }}; {{ at | relative_time: "month" }}', 'en', jsonb_build_object('at', at)) FROM unnest(ARRAY['2030-01-15T12:00:00Z', '2030-01-15T11:59:30Z',
	'2030-01-15T15:10:00Z', '2030-01-14T12:00:00Z', '2030-01-16T23:30:00Z', '2030-01-25T12:00:00Z', '2029-11-16T12:00:00Z', '2031-03-01T12:00:00Z']) at;
SELECT test.print('{{ -2 | relative_time: "week" }}; {{ 1 | relative_time: "day" }}; {{ 3 | relative_time: "month", style: "short" }}');
SELECT l, test.print('{{ names | list }}; {{ names | list: "or" }}; {{ "x" | list }}', l, '{"names": ["Ada", null, "Bo", "Cy"]}') FROM unnest(ARRAY['en', 'de', 'es']) l;
SELECT l, string_agg(test.print('{{ n | plural: zero: "none", one: "# a", few: "# b", many: "# c", other: "# d" }}', l, jsonb_build_object('n', n)), ', ' ORDER BY n) FROM unnest(ARRAY['en', 'pl', 'ja']) l, unnest(ARRAY[0, 1, 2, 5, 22, 1.5]) n GROUP BY l ORDER BY l;
SELECT test.print('{{ "1" | plural }} {{ "1.0" | plural }} {{ 2 | plural: "ordinal" }} {{ 23 | ordinal: one: "#st", two: "#nd", few: "#rd", other: "#th" }}');
SELECT test.print('{{ s | fit: 5 }}|{{ s | fit: 9 }}|{{ s | fit: nil, 21 }}|{{ s | fit: 9, 12 }}|{{ s | fit: 4, ellipsis: "..." }}|{{ s | fit: 2, ellipsis: "..." }}|{{ s | fit: 0 }}|{{ s | fit: 100, 1000 }}', 'en', jsonb_build_object('s', U&'Zoe\0308 \+01F468\200D\+01F469\200D\+01F467 ok'))
	= U&'Zoe\0308\2026|Zoe\0308 \+01F468\200D\+01F469\200D\+01F467 ok|Zoe\0308\2026|Zoe\0308\2026|Z...|Zo||Zoe\0308 \+01F468\200D\+01F469\200D\+01F467 ok' AS fitted;
SELECT test.print('{{ s | fit_width: 7 }}|{{ s | fit_width: 11 }}', 'en', jsonb_build_object('s', U&'ab\65E5\672C\8A9Ecde')) = U&'ab\65E5\672C\2026|ab\65E5\672C\8A9Ecde' AS fitted;
SELECT test.print('{{ s | bidi }}', 'en', jsonb_build_object('s', U&'x\202Ey\2069')) = U&'\2068xy\2069' AS isolated, test.print('{{ s | strip_bidi }}', 'en', jsonb_build_object('s', U&'\200Fx\202Ey')) AS stripped,
	test.print('{{ s | strip_invisible }}', 'en', jsonb_build_object('s', U&'a\200Bb\FEFFc\0007d\00ADe')) AS visible, test.print('{{ "" | bidi }}') = '' AS nothing;
SELECT l, test.print('{{ locale.tag }} {{ locale.language }} {{ locale.script }} {{ locale.region }} {{ locale.dir }} {{ nil | direction }} {{ "en" | direction }}', l) FROM unnest(ARRAY['ar', 'zh_tw', 'de-AT']) l;
SELECT filter, test.print('{{ 1 | ' || filter || ' }}') FROM unnest(ARRAY['number: "bogus"', 'number: 99', 'number: locale: "?"', 'currency: "EU"', 'currency: "EUR", display: "x"', 'percent: "x"', 'date_l: "x y"', 'date_l: "short", "Mars"',
	'datetime_l: "x"', 'relative_time: "eon"', 'plural: "x"', 'plural: one: "x"', 'list', 'fit: -1', 'fit: "x"', 'fit_width']) filter;

-- translations in a render
SELECT test.print(template, 'pl', '{"n": 3, "name": "<Ada>"}', options || '{"translations": {"hello": "Cześć {{ name }}!", "icu": "{n, plural, one {# plik} few {# pliki} other {# pliku}} dla {name}",
	"items": {"=0": "nic", "one": "# plik", "few": "# pliki {name}", "other": "# pliku"}, "foreign": {"one": "# file", "other": "# files", "locale": "en"}, "far": {"text": "{n, plural, one {# file} other {# files}}", "locale": "en"},
	"a": {"b": {"c": "deep"}}, "flat.one": "1 x", "flat.other": "# xs", "body_html": "<b>{name}</b>", "again": "{{ \"hello\" | t }}", "bad": "{n"}}') FROM (VALUES
	('{{ "hello" | t: name: name }}|{{ "icu" | t: n: n, name: name }}|{{ "items" | t: count: n, name: "x" }}|{{ "items" | t: count: 0 }}|{{ "items" | t: count: 5 }}|{{ "foreign" | t: count: 1 }}|{{ "far" | t: n: 22 }}', '{}'::jsonb),
	('{{ "a.b.c" | t }}|{{ "flat" | t: count: 1 }}|{{ "flat" | t: count: 7 }}|{{ "none" | t }}|{{ "none" | t: default: "Hi {name}", name: "Bo" }}|{{ nil | t: default: "x" }}', '{}'),
	('{% t hello, name: "Bo" %}Hello{% endt %}|{% t none, x: 5 %}default {{ x }}{% endt %}|{% translation "hello", name: name %}{% endtranslation %}', '{}'),
	('{{ "hello" | t: name: name }}|{{ "body_html" | t: name: name }}|{% t body_html, name: name %}{% endt %}|{% t hello, name: name %}{% endt %}|{{ "none" | t: default: "<i>" }}', '{"escape": "html"}'),
	('{{ "again" | t }}', '{}'), ('{{ "bad" | t: n: 1 }}', '{}'), ('{{ "none" | t }}', '{"strict_variables": true}'), ('{{ "hello" | t: name: n }}{{ "hello" | t }}', '{}')) v(template, options);

-- translations in their table
SELECT set_translation('en', 'title', 'Hello {name}'), set_translation('de_de', 'title', 'Hallo {name}'), set_translation('de', 'title', 'Hallo, {name}!', namespace => 'welcome'),
	set_translation('en', 'title', 'Hi {name}', tenant => 'acme'), set_translation('en', 'items', plurals => '{"one": "# item", "other": "# items"}');
SELECT set_translation('en', 'items', plurals => '{"one": "# item", "few": "?", "other": "# items"}');
SELECT import_translations('pl', '{"title": "Cześć {name}", "cart": {"items": {"one": "# rzecz", "other": "# rzeczy"}, "empty": "Pusto"}, "old": "stare"}');
SELECT import_translations('pl', '{"title": "Cześć, {name}", "cart.items": {"one": "# rzecz", "other": "# rzeczy"}}', drop_others => true);
SELECT locale, namespace, key, tenant, text, plurals FROM translations ORDER BY locale COLLATE "C", namespace NULLS FIRST, key, tenant NULLS FIRST;
SELECT translations_for('de-AT'), translations_for('de-AT', 'welcome'), translations_for('en-GB', tenant => 'acme');
SELECT translations_for('fr', default_locale => 'en'), translations_for('fr'), translations_for(NULL, default_locale => 'pl'), translations_for('?', default_locale => 'de');
SELECT create_template('welcome', 'in_app', '{"title": "{{ \"title\" | t: name: user.name }}", "body": "{% if a %}{{ \"cart.items\" | t: count: n }}{% endif %}{% t bye %}Bye{% endt %}{{ \"title\" | t: count: 1 }}", "data": {"x": ["{{ \"cart.items\" | t: count: 2 | upcase }}"]}}');
SELECT * FROM missing_translations('{pl,de,en-GB}');
SELECT * FROM missing_translations(template => 'welcome') WHERE locale = 'pl';
SELECT * FROM missing_translations('{pl}', 'no such template');
SELECT statement, test.error(statement) FROM unnest(ARRAY[
	$$SELECT set_translation('en', 'x', 'Hello {name')$$, $$SELECT set_translation('en', 'x', 'Hello {{ name | upcas }}')$$, $$SELECT set_translation('en', 'x', plurals => '{"one": "a", "other": "b {"}')$$,
	$$SELECT set_translation('en', 'x')$$, $$SELECT set_translation('en', 'x', 'a', '{"other": "b"}')$$, $$SELECT set_translation('en', 'x', plurals => '{"one": "a"}')$$, $$SELECT set_translation('en', 'x', plurals => '{"other": 1}')$$,
	$$SELECT set_translation('e', 'x', 'y')$$, $$SELECT set_translation(NULL, 'x', 'y')$$, $$SELECT set_translation('en', '', 'y')$$, $$SELECT import_translations('en', '[]')$$, $$SELECT import_translations('en', '{"a": {"b": 1}}')$$,
	$$SELECT import_translations('en', '{"a.b": "1", "a": {"b": "2"}}')$$, $$SELECT import_translations(NULL, '{}')$$, $$SELECT drop_translation('none')$$]) statement;
SELECT drop_translation('title', 'de-DE'), drop_translation('title', 'de', namespace => 'welcome'), drop_translation('items'), drop_translation('none', if_exists => true);
-- others' texts are theirs
CREATE ROLE te_translator;
SELECT grant_usage('te_translator', 'analyst');
GRANT USAGE ON SCHEMA test TO te_translator;
SET ROLE te_translator;
SELECT test.error($$SELECT trigger_engine.set_translation('en', 'title', 'mine')$$), test.error($$SELECT trigger_engine.drop_translation('title', 'en')$$), test.error($$SELECT trigger_engine.import_translations('pl', '{}', drop_others => true)$$),
	test.error($$SELECT trigger_engine.set_translation('fr', 'title', 'à moi')$$);
RESET ROLE;
SELECT revoke_usage('te_translator', 'analyst');
REVOKE USAGE ON SCHEMA trigger_engine, test FROM te_translator;
DELETE FROM _translations WHERE owner = 'te_translator';
DROP ROLE te_translator;

-- holidays and working days
SELECT create_holiday('de', '2026-01-01', 'Neujahr', every_year => true), create_holiday('DE-BY', '2026-01-06', 'Heilige Drei Könige', true), create_holiday('DE', '2024-02-29', 'Schalttag', true);
SELECT import_holidays('DE', '{"12-25": "1. Weihnachtstag", "2026-04-03": "Karfreitag"}');
SELECT country, day, name, every_year FROM holidays ORDER BY country, day;
SELECT day, is_holiday('DE', day), is_holiday('de-by', day) AS by, is_working_day('DE', day), next_working_day('DE', day), next_working_day('DE', day, true) AS inclusive
FROM unnest('{2025-01-01,2026-01-01,2027-01-01,2026-01-06,2025-02-28,2028-02-28,2028-02-29,2025-12-25,2026-04-02,2026-04-03}'::date[]) day;
SELECT day, is_working_day('EG', day) AS egypt, is_working_day('US', day) AS usa FROM unnest('{2026-01-02,2026-01-03,2026-01-04}'::date[]) day;
SELECT statement, test.error(statement) FROM unnest(ARRAY[$$SELECT create_holiday('DE', '2026-01-01', 'Neujahr')$$, $$SELECT create_holiday('Germany', '2026-01-01', 'Neujahr')$$, $$SELECT create_holiday('DE', NULL, 'x')$$,
	$$SELECT import_holidays('DE', '{"13-25": "x"}')$$, $$SELECT import_holidays('DE', '{"Christmas": "x"}')$$, $$SELECT import_holidays('DE', '[]')$$, $$SELECT drop_holiday('DE', '2000-01-01')$$]) statement;
SELECT create_holiday('DE', '2026-01-01', 'Neujahrstag', true, or_replace => true), drop_holiday('DE-BY', '2026-01-06'), drop_holiday('DE', '2000-01-01', if_exists => true);
