-- What each tag does.
\set ECHO none
\i test/sql/include/fresh.sql
\pset format unaligned
\pset fieldsep ' => '
\pset tuples_only on
CREATE TABLE test.cases (n int GENERATED ALWAYS AS IDENTITY, template text);
CREATE FUNCTION test.show(template text) RETURNS text LANGUAGE sql AS $$
	SELECT to_json(render(template, '{"list": [1, 2, 3, 4, 5], "none": [], "hash": {"a": 1, "b": [2]}, "products": [{"title": "bike"}, {"title": "car"}], "yes": true, "no": false, "name": "Ann", "x": "context"}', 'de',
		'{"card": "[{{ card.title }}{{ title }}{{ forloop.index }}]", "outer": "{{ x }}{{ y }}{% assign z = 9 %}", "stop": "{{ i }}{% break %}", "nested": "({% render \"outer\", y: 1 %})", "inc": "{% increment n %}", "includes": "{% include \"outer\" %}",
		  "deep/er.liquid": "{{ er }}", "loop": "{% for i in list offset: continue %}{{ i }}{% endfor %}"}', '{"errors": "inline"}'))::text
$$;
\set ECHO all

-- assign, capture, echo
SELECT template, show(template) FROM unnest(ARRAY['{% assign a = 1 | plus: 2 %}{{ a }}', '{% assign a = "x" %}{% assign a = a | append: "y" %}{{ a }}', '{% assign x = nil %}[{{ x }}]', '{% assign 12 = 1 %}{{ self["12"] }}', '{% capture a %}<{{ name }}>{% endcapture %}{{ a }}{{ a.size }}', '{% echo name | upcase %}', '{%- assign f-oo = 2 -%} {{ f-oo }}']) template;
-- if, unless, elsif, else; "and" and "or" from right to left; what has no order
SELECT template, show(template) FROM unnest(ARRAY['{% if yes %}1{% elsif yes %}2{% else %}3{% endif %}', '{% if no %}1{% elsif yes %}2{% else %}3{% endif %}', '{% unless yes %}1{% elsif yes %}2{% else %}3{% endunless %}', '{% if "" %}true{% endif %}{% if 0 %}true{% endif %}{% if none %}true{% endif %}{% if nil %}true{% endif %}',
	'{% if no and no or yes %}1{% else %}0{% endif %}{% if yes or no and no %}1{% else %}0{% endif %}', '{% if 1 < 2 and 2 <= 2.0 and "a" < "b" and 1 != "1" and 1 <> 2 %}1{% endif %}', '{% if nil < 1 or no > 0 or list > 1 %}1{% else %}0{% endif %}', '{% if list contains 3 and name contains "nn" and hash contains "a" %}1{% endif %}{% if list contains nil %}2{% endif %}',
	'{% if none == empty and "" == empty and " " == blank and nil == blank and no == blank %}1{% endif %}{% if nil == empty %}2{% endif %}', '{% if hash == hash and list != none and (1..2) == (1..2) %}1{% endif %}', '{% if name == "Ann" %} {% assign q = 1 %} {% endif %}[{{ q }}]', '{% if yes %}   {% endif %}|{% if yes %} {{ nil }} {% endif %}']) template;
-- case: each "when" that holds; lists by comma and "or"
SELECT template, show(template) FROM unnest(ARRAY['{% case name %}{% when "Bob", "Ann" %}1{% when "Eve" or "Ann" %}2{% else %}3{% endcase %}', '{% case 4 %}{% when 1 %}1{% else %}2{% when 4 %}3{% else %}4{% endcase %}', '{% case name %} no {% when "Ann", "Ann" %}twice {% endcase %}', '{% case none %}{% when empty %}empty{% endcase %}{% case nil %}{% when nil %}nil{% endcase %}{% case 1 %}{% when 1.0 %}one{% endcase %}']) template;
-- for: lists, ranges, hashes, texts; limit, offset, continue, reversed, else
SELECT template, show(template) FROM unnest(ARRAY['{% for i in list %}{{ i }}{% else %}none{% endfor %}', '{% for i in none %}{{ i }}{% else %}none{% endfor %}', '{% for i in (3..6) %}{{ i }}{% endfor %}|{% for i in (6..3) %}{{ i }}{% else %}none{% endfor %}', '{% for i in hash %}{{ i[0] }}={{ i[1] }};{% endfor %}', '{% for i in "text" %}{{ i }}{% endfor %}{% for i in 5 %}{{ i }}{% else %}none{% endfor %}',
	'{% for i in list limit: 2 %}{{ i }}{% endfor %}-{% for i in list offset: continue limit: 1 %}{{ i }}{% endfor %}-{% for i in list offset: continue %}{{ i }}{% endfor %}', '{% for i in list reversed limit: 3, offset: 1 %}{{ i }}{% endfor %}', '{% for i in list limit: "2" offset: -1 %}{{ i }}{% endfor %}', '{% for i in (1..9223372036854775807) limit: 2 %}{{ i }}{% endfor %}', '{% for i in list limit: "x" %}{{ i }}{% endfor %}',
	'{% for i in list %}{% if i == 2 %}{% continue %}{% elsif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}', '{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{{ forloop.index }}{{ forloop.rindex0 }} {% endfor %}{% endfor %}', '{% for i in list %}{{ forloop.first }}{{ forloop.last }}{{ forloop.index0 }}{{ forloop.rindex }}{{ forloop.length }}{{ forloop.name }}{% break %}{% endfor %}[{{ forloop }}]',
	'{% for x in list %}{% assign x = "a" %}{{ x }}{% endfor %}{{ x }}', '{% assign x = 0 %}{% for x in list %}{% endfor %}{{ x }}', '{% for i in list %}{% capture c %}{{ i }}{% break %}{% endcapture %}{% endfor %}{{ c }}', '{% for i in list %}{{ forloop }}{% break %}{% endfor %}', 'a{% break %}b']) template;
-- tablerow
SELECT template, show(template) FROM unnest(ARRAY['{% tablerow i in list cols: 2 limit: 3 %}{{ i }}{{ tablerowloop.col }}{{ tablerowloop.row }}{{ tablerowloop.col_first }}{% endtablerow %}', '{% tablerow i in list offset: 3 %}{{ tablerowloop.index }}{{ tablerowloop.rindex }}{% endtablerow %}', '{% tablerow i in none %}{% endtablerow %}|{% tablerow i in nil %}{% endtablerow %}', '{% tablerow i in (1..9) cols: 3 %}{{ i }}{% if i == 5 %}{% break %}{% endif %}{% endtablerow %}', '{% tablerow i in list cols: true %}{% endtablerow %}']) template;
-- cycle, increment, decrement, ifchanged
SELECT template, show(template) FROM unnest(ARRAY['{% for i in list %}{% cycle "a", "b" %}{% endfor %}', '{% cycle "a", "b" %}{% cycle "a", "b" %}{% cycle "a", "c" %}', '{% cycle 1: "a", "b" %}{% cycle 1: "c", "d" %}{% cycle 2: "a", "b" %}', '{% cycle name, "b" %}{% cycle name, "b" %}', '{% increment n %}{% increment n %}{% decrement n %}{{ n }}', '{% decrement n %}{{ n }}', '{% assign n = 7 %}{% increment n %}{{ n }}', '{% increment x %}{{ x }}', '{% for i in list %}{% ifchanged %}{{ i | divided_by: 2 }}{% endifchanged %}{% endfor %}']) template;
-- comment, note, doc, raw, liquid
SELECT template, show(template) FROM unnest(ARRAY['a{% comment %}{{ x }}{% if %}{% comment %}{% endcomment %}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}b', 'a{% # note %}b{%# one
# two %}c', 'a{% doc %}{{ x }}{% if %}{% enddoc %}b', '{% raw %}{{ x }}{% if %} {% endraw %}', '{%- raw -%} a {%- endraw -%} b', E'{% liquid\n assign a = 1\n if yes\n  echo a\n  # note\n endif\n for i in list\n  echo i\n endfor\n%}', E'{% if yes %}{% liquid\necho "a" %}{% endif %}']) template;
-- white space control
SELECT template, show(template) FROM unnest(ARRAY[E'a \n {{- 1 -}} \n b', E'a {%- if yes -%} b {%- endif -%} c', E'a {{ 1 -}}\n{{- 2 }} b', '{{-}}', '{%- comment -%} x {%- endcomment -%} y', E' {%- for i in list -%} {{ i }} {%- endfor -%} ']) template;
-- include shares the variables, render does not; both see the context
SELECT template, show(template) FROM unnest(ARRAY['{% assign y = 5 %}{% include "outer" %}[{{ z }}]', '{% assign y = 5 %}{% assign x = 6 %}{% render "outer" %}[{{ z }}]', '{% render "outer", y: name %}{% render "nested" %}', '{% include "card" with products[1] %}{% include "card", title: "t" %}{{ title }}', '{% include "card" for products %}', '{% render "card" for products %}{% render "card" with products[0] %}{% render "card" for products as title %}', '{% render "card" for (1..2) as title %}{% render "card" for hash as title %}',
	'{% for i in list %}{% include "stop" %}{% endfor %}|{% for i in list %}{% render "stop" %}{% endfor %}', '{% increment n %}{% include "inc" %}{% render "inc" %}{% increment n %}', '{% render "includes" %}', '{% include "deep/er" with name %}{% include "deep/er.liquid" %}', '{% assign f = "card" %}{% include f, title: 1 %}', '{% for i in list limit: 2 %}{% endfor %}{% include "loop" %}', '{% include "missing" %}', '{% assign s = self %}{% assign y = 3 %}{{ s.y }}{% if s == self %}same{% endif %}']) template;
-- translation blocks hold the text for readers without one of their own
SELECT template, show(template) FROM unnest(ARRAY['{% t greeting %}Hello {{ name }}{% endt %}', '{% translation cart.count, n: 3 %}{{ n }} items{% endtranslation %}[{{ n }}]', '{% t "a key" name: "Bob" %}{{ name }}{% endt %}{{ name }}']) template;
