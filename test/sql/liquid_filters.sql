-- What each standard filter gives: one line a case, what is inside the braces of an output and the result as JSON text.
\set ECHO none
\i test/sql/include/fresh.sql
\pset format unaligned
\pset fieldsep ' => '
\pset tuples_only on
CREATE TABLE test.cases (n int GENERATED ALWAYS AS IDENTITY, expression text);
CREATE FUNCTION test.show(template text, zone text DEFAULT 'UTC') RETURNS text LANGUAGE sql AS $$
	SELECT to_json(render(template, '{"list": [3, 1, 2], "mixed": [1, "a", null, true], "nested": [1, [2, [3, null]]], "hash": {"a": 1, "b": [2, {"c": null}]}, "text": "Hello World", "empty_list": [], "space": "  a  b\t\nc  ", "newlines": "a\r\nb\nc", "html": "<p class=\"x\">a & b</p>",
		"wide": "Ωmega ÄÖ ß ǆ ﬁ 日本", "quote": "it''s \"#{x}\" \\ \u2028\u0007", "big": 123456789012345678901234567890, "tiny": 1e-7, "huge": 1e20, "decimal": 12.50, "wordy": [{"t": "b", "n": 2}, {"t": "A", "n": 1}, {"t": "c"}, {"t": null, "n": 2.0}], "nothing": null, "no": false, "yes": true}',
		NULL, '{}', jsonb_build_object('errors', 'inline', 'now', '2024-05-17 13:45:30.123456+00', 'timezone', zone)))::text
$$;
COPY test.cases (expression) FROM stdin (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02');
# values as text
list
nested
hash
mixed | json
quote | append: ""
hash | append: quote
big
tiny
huge
decimal
(1..3)
(1..3) | join
1.0
100000000000000.0
1000000000000000.0
0.0001
0.00001
123456789.123456789
# numbers: decimals are exact, whole numbers divide downwards
0.1 | plus: 0.2
1.1 | times: 1.1
3 | minus: 0.9
10 | divided_by: 4
-10 | divided_by: 4
10 | divided_by: 4.0
10.0 | divided_by: 4
20 | divided_by: 7.0
1 | divided_by: 3.0
10 | divided_by: 0
10 | divided_by: 0.0
-10 | divided_by: 0.0
0.0 | divided_by: 0
0.0 | divided_by: 0 | round
10 | modulo: 3
-10 | modulo: 3
10 | modulo: -3
10.5 | modulo: 3
-0.5 | modulo: 0.3
10 | modulo: 0.0
9223372036854775807 | plus: 1
9223372036854775807 | times: 2 | minus: 9223372036854775807
big | times: big
big | divided_by: 1000000007
big | modulo: -1000000007
big | plus: 0.5
-9223372036854775808 | divided_by: -1
-9223372036854775808 | abs
-5 | abs
"-1.50" | abs
"12abc" | plus: "3.5"
" 7 " | plus: "1_000"
"abc" | plus: nothing
hash | plus: list
yes | plus: 1
2.5 | round
-2.5 | round
1.005 | round: 2
123.456 | round: -1
12345 | round: -2
15 | round: -1
2.45 | round: "1"
1.5 | round: 400
1.2 | ceil
-1.2 | ceil
1.8 | floor
-1.2 | floor
huge | floor
"x" | round
4 | at_least: 5
4 | at_most: 3.5
"abc" | at_most: -2
tiny | plus: tiny
# text
text | upcase
text | downcase
"hELLO wORLD" | capitalize
wide | upcase
wide | downcase
wide | capitalize
"ﬁx" | capitalize
list | upcase
5 | append: 1.0
nothing | append: list
"b" | prepend: "a"
space | strip | append: "|"
space | lstrip | append: "|"
space | rstrip | append: "|"
space | squish
nothing | squish
newlines | strip_newlines
newlines | newline_to_br
text | truncate: 8
text | truncate: 8, ""
text | truncate: 2
text | truncate: "5", 1
wide | truncate: 6, "…"
text | truncate: nothing
text | truncate: 11
"a b c d" | truncatewords: 2
"a  b  " | truncatewords: 2
"a b" | truncatewords: 2
"a b" | truncatewords: 0
"a b" | truncatewords: 1, "-"
nothing | truncatewords
text | slice: 1
text | slice: -3, 2
text | slice: -20, 2
text | slice: 11
text | slice: 12
text | slice: 2, 100
text | slice: 2, -1
text | slice: "1", "2"
text | slice: "x"
text | slice: 1.0
text | slice: 99999999999999999999, 1
wide | slice: 0, 3
list | slice: 1, 2 | json
list | slice: -1 | json
text | split: "l" | json
text | split: "" | json
space | split: " " | json
"a,b,,c,," | split: "," | json
",a" | split: "," | json
"" | split: "," | json
nothing | split: " " | json
"1234" | split: 3 | json
wide | size
list | size
hash | size
5 | size
1.5 | size
(1..10) | size
# replacing
"aXbXc" | replace: "X", "-"
"aXbXc" | replace: "X"
"abc" | replace: "", "-"
"aXbXc" | replace: "X", "<\0>\1\\\`"
"aXb" | replace: "X", "\k<x>"
"aXbXc" | replace_first: "X", "-"
"aXbXc" | replace_first: "", "-"
"aXbXc" | replace_last: "X", "\0"
"aaa" | replace_last: "aa", "b"
"abc" | replace_last: "", "-"
"abc" | replace_last: "x", "-"
1232 | replace: 2, 5
"aXbXc" | remove: "X"
"aXbXc" | remove_first: "X"
"aXbXc" | remove_last: "X"
"a very very long needle that is found from the end, a very very long needle" | remove_last: "a very very long needle"
# HTML, URLs, base64
html | escape
html | h
nothing | escape
"&lt; & &#39; &#x27; &amp;" | escape_once
html | strip_html
"a<script>x < y</script>b<style>c</style>d<!-- e -->f<g" | strip_html
"a<!-- b" | strip_html
"<script <!-- --> x" | strip_html
"a b*~-_.é/" | url_encode
"a+b%20%C3%A9%zz%" | url_decode
"%ff" | url_decode
"%00" | url_decode
nothing | url_decode
"Ann?>é" | base64_encode
"Ann?>é" | base64_url_safe_encode
"QW5uPz7DqQ==" | base64_decode
"QW5uPz7DqQ" | base64_url_safe_decode
"QW5uPz7DqQ" | base64_decode
"QW5uPz7DqR==" | base64_decode
"/w==" | base64_decode
# default
nothing | default: "x"
no | default: "x"
no | default: "x", allow_false: yes
nothing | default: "x", allow_false: true
no | default: allow_false: true, "x"
"" | default: "x"
empty_list | default: "x"
0 | default: "x"
nothing | default
# lists
list | sort | join
list | sort | reverse | join: 0
wordy | sort: "t" | map: "t" | json
wordy | sort: "n" | map: "n" | json
wordy | sort_natural: "t" | map: "t" | json
"b,C,a,B" | split: "," | sort_natural | join
mixed | sort
wordy | sort: 5 | map: "n" | json
list | sort: "a"
nested | join: ","
nested | reverse | json
text | reverse
nested | concat: list | json
list | concat: text
list | first
list | last
hash | first
hash | last
text | first
text | last
(3..5) | last
empty_list | first
5 | first
"a,b,a,B" | split: "," | uniq | join
wordy | uniq: "n" | map: "t" | json
nested | concat: nested | uniq | json
mixed | compact | join
wordy | compact: "n" | map: "t" | json
wordy | map: "n" | json
hash | map: "b" | json
list | map: "x"
text | map: "World"
nested | sum
"1,2.5,x" | split: "," | sum
wordy | sum: "n"
list | sum: "x"
wordy | where: "n" | map: "t" | json
wordy | where: "n", 2 | map: "t" | json
wordy | where: "t", nothing | map: "n" | json
wordy | reject: "n", 2 | map: "t" | json
wordy | find: "n", 1 | json
wordy | find: "n", 9 | json
wordy | find_index: "n", 2.0
wordy | has: "n", 1
wordy | has: "x"
mixed | where: "x"
hash | where: "a", 1 | json
text | find: "World"
# dates
"2024-03-05" | date: "%A, %-d %B %Y"
"2024-03-05T07:08:09Z" | date: "%H:%M:%S %z"
"2024-03-05 07:08:09.123456 -0530" | date: "%T.%L %N %3N %z %:z %Z|"
"March 14, 2016" | date: "%F"
"14 mar 16" | date: "%F"
"3/14/2016" | date: "%F"
"2016/3/14 5pm" | date: "%F %R"
"20160314T1530" | date: "%F %R"
"2016-074" | date: "%F"
"10:30" | date: "%F %R"
"Fri, 17 May 2024 10:00:00 EST" | date: "%c %z"
1152098955 | date: "%F %T"
"1152098955" | date: "%F %T"
"-1152098955" | date: "%F"
1152098955.5 | date: "%F"
"now" | date: "%F %T.%L"
"Today" | date: "%s"
"2024-02-30" | date: "%F"
"2024-13-01" | date: "%F"
"no date" | date: "%F"
nothing | date: "%F"
"now" | date: ""
"now" | date: nothing
"2024-03-05 07:08" | date: "%e|%-e|%k|%l|%I|%p|%P|%#p|%^a|%^B|%5d|%_5d|%-5d|%010Y|%y|%C|%j|%U|%W|%V|%G|%u|%w"
"2024-12-30" | date: "%G-W%V-%u %U %j"
"2021-01-01" | date: "%G-W%V %U %W"
"2024-03-05 07:08" | date: "%c|%x|%X|%D|%r|%R|%v|%h|%n|%t|%%|%Q|%E|%EY|%20F|%020T"
"2024-03-05 07:08" | date: "%10z|%_10z|%::z|%:::z|%"
"2024-03-05 07:08" | date: "%300d"
0 | date: "%F %T %Z", "America/New_York"
"2024-07-01 12:00" | date: "%R %Z", "Europe/Paris"
"2024-07-01 12:00" | date: "%R %Z", "Nowhere"
# wrong counts of arguments
text | upcase: 1
text | append
list | where
text | slice: 1, 2, 3
text | default: 1, 2, 3
4 | plus: 1, 2
text | replace_last: "l"
text | upcase: a: 1
text | append: a: 1
\.
\set ECHO all

SELECT CASE WHEN expression LIKE '# %' THEN E'\n' || expression ELSE expression || ' => ' || show('{{ ' || expression || ' }}') END FROM cases ORDER BY n;
-- local times, with daylight saving: the first of two equal ones, and none in the gap
SELECT template, show(template, 'Europe/Berlin') FROM unnest(ARRAY['{{ "2024-03-31 02:30" | date: "%F %R %z" }}', '{{ "2024-10-27 02:30" | date: "%F %R %z %Z" }}', '{{ 0 | date: "%F %R %Z" }}', '{{ "2024-07-01 12:00 CEST" | date: "%R %z" }}', '{{ "2024-07-01 12:00Z" | date: "%R %z" }}']) template;
-- keys in the order of the text with json, numbers as they are written
SELECT render_json('{{ a }} {{ a | json }} {{ a.z }}', '{"a": {"z": 1, "y": 2.0, "long name": 1e3, "a": {}, "z": 9, "e": "\u00e9\ud83d\ude00\n"}}');
-- where automatic escaping writes HTML, filters that make HTML are left alone
SELECT template, render(template, '{"t": "<b>\n&"}', NULL, '{}', '{"escape": "html"}') FROM unnest(ARRAY['{{ t }}', '{{ t | escape }}', '{{ t | newline_to_br }}', '{{ t | strip_html }}', '{{ t | escape | append: t }}', '{{ t | escape | strip }}']) template;
-- limits: each an error or a result of bounded size
CREATE FUNCTION test.attempt(template text, context jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN length(render(template, context))::text;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT test.attempt('{{ a | replace: "", a | size }}', jsonb_build_object('a', repeat('x', 10000)));
SELECT test.attempt('{{ a | replace: "x", "\`\''" | size }}', jsonb_build_object('a', repeat('x', 10000)));
SELECT test.attempt('{{ a | remove_last: b | size }}', jsonb_build_object('a', repeat('a', 400000), 'b', repeat('a', 100000) || 'b' || repeat('a', 10)));
SELECT test.attempt('{{ a | strip_html | size }}', jsonb_build_object('a', repeat('<script', 100000)));
SELECT test.attempt('{{ (1..9223372036854775807) | reverse | size }}');
SELECT test.attempt('{{ a | times: a | times: a | times: a }}', '{"a": 1e300}');
SELECT test.attempt('{{ a | append: "" }}', '{"a": 1e2000}');
SELECT test.attempt('{{ a | json }}', (repeat('{"a":', 150) || '1' || repeat('}', 150))::jsonb);
SELECT test.attempt('{{ a | uniq | size }}', jsonb_build_object('a', (SELECT jsonb_agg(i % 1000) FROM generate_series(1, 20000) i)));
SELECT test.attempt('{{ "now" | date: f | size }}', jsonb_build_object('f', repeat('%256Y', 200)));
SELECT test.attempt('{{ "now" | date: f }}', jsonb_build_object('f', repeat('%Y', 600)));
