/*
 * Metrics for the eye: bars in psql, and a page for a browser. Both read the views that
 * anybody else reads, with the reader's rights.
 */

CREATE FUNCTION trigger_engine._report_steps(journey text, since timestamptz, until timestamptz)
RETURNS TABLE (place bigint, step text, channels text, messages bigint, sent bigint, opened bigint, clicked bigint, withheld bigint,
	cancelled bigint, expired bigint, rejected bigint, unknown bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT row_number() OVER (ORDER BY min(f.n), m.step), m.step, string_agg(DISTINCT m.channel, ', ' ORDER BY m.channel),
		sum(m.sent + m.withheld + m.cancelled + m.expired + m.rejected + m.unknown)::bigint, sum(m.sent)::bigint, sum(m.opened)::bigint,
		sum(m.clicked)::bigint, sum(m.withheld)::bigint, sum(m.cancelled)::bigint, sum(m.expired)::bigint, sum(m.rejected)::bigint, sum(m.unknown)::bigint
	FROM trigger_engine.message_metrics m
	LEFT JOIN (SELECT s.s ->> 'id' AS id, min(s.n) AS n FROM trigger_engine.journeys j,
			jsonb_array_elements(trigger_engine._flat_steps(j.steps)) WITH ORDINALITY s(s, n)
		WHERE j.name = $1 GROUP BY 1) f ON f.id = m.step OR f.id = split_part(m.step, '.', 1)
	WHERE m.journey = $1 AND ($2 IS NULL OR m.hour >= $2) AND ($3 IS NULL OR m.hour < $3)
	GROUP BY m.step
$$;
COMMENT ON FUNCTION trigger_engine._report_steps(text, timestamptz, timestamptz) IS 'What became of the messages of each step, in the order of the steps.';

CREATE FUNCTION trigger_engine.journey_chart(journey text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
	width integer DEFAULT 40)
RETURNS TABLE (step text, outcome text, messages bigint, share numeric, chart text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine.journeys j WHERE j.name = journey_chart.journey) THEN
		RAISE EXCEPTION 'journey "%" does not exist', journey_chart.journey USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.journeys.';
	ELSIF (journey_chart.width BETWEEN 1 AND 200) IS NOT TRUE THEN
		RAISE EXCEPTION 'width must be between 1 and 200' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN QUERY
	SELECT s.step, o.outcome, o.messages, round(o.messages::numeric / nullif(o.of_all, 0), 4),
		repeat('#', ceil(o.messages * journey_chart.width::numeric / nullif(max(s.messages) OVER (), 0))::integer)
	FROM trigger_engine._report_steps(journey_chart.journey, journey_chart.since, journey_chart.until) s
	CROSS JOIN LATERAL (VALUES (1, 'sent', s.sent, s.messages), (2, '  opened', s.opened, s.sent), (3, '  clicked', s.clicked, s.sent),
		(4, 'withheld', s.withheld, s.messages), (5, 'cancelled', s.cancelled, s.messages), (6, 'expired', s.expired, s.messages),
		(7, 'rejected', s.rejected, s.messages), (8, 'unknown', s.unknown, s.messages)) o(n, outcome, messages, of_all)
	WHERE o.messages > 0 OR o.n = 1
	ORDER BY s.place, o.n;
END
$$;
COMMENT ON FUNCTION trigger_engine.journey_chart(text, timestamptz, timestamptz, integer) IS
'What became of the messages of a journey as bars for psql: for each step sent (opened and clicked are parts of it), withheld, cancelled, expired, rejected, unknown, by the hours from since to until (NULL = all). share: of the messages that came to an end at the step; of sent for opened and clicked. The longest step is width characters long.';

/* ---- the page ---- */

CREATE FUNCTION trigger_engine.report_template() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT $html$<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ journey.name }}: {{ since }} to {{ until }}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6675; --line: #d9dee6; --back: #ffffff; --card: #f5f7fa; --bar: #2f6fed; --bar2: #12a594; --bad: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf2; --soft: #9aa5b5; --line: #333c4a; --back: #12161d; --card: #1b212b; --bar: #6ea0ff; --bar2: #3fd0bd; --bad: #ff9466; } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --back: #fff; --card: #fff; } section { break-inside: avoid; } body { max-width: none; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.soft, td.soft, footer { color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; margin: 1rem 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
svg { width: 100%; height: auto; display: block; } .a { fill: var(--bar); } .b { fill: var(--bar2); } .axis { stroke: var(--line); } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
strong.bad { color: var(--bad); }
</style>
</head>
<body>
<header>
<h1>{{ journey.name }}</h1>
<p class="soft">{{ journey.description }} {{ journey.trigger_kind }} journey, {{ journey.state }}{% if journey.topic %}, topic {{ journey.topic }}{% endif %}. From {{ since }} to {{ until }} (UTC).</p>
</header>
<section><h2>Messages</h2>
{% if total.messages == 0 %}<p>No message came to its end in this time.</p>{% else %}
<dl>
<div><dt>sent</dt><dd>{{ total.sent | number_with_delimiter }}</dd></div>
<div><dt>opened</dt><dd>{{ total.open_rate | default: '-' }} %</dd></div>
<div><dt>clicked</dt><dd>{{ total.click_rate | default: '-' }} %</dd></div>
<div><dt>withheld</dt><dd>{{ total.withheld | number_with_delimiter }}</dd></div>
<div><dt>unsubscribed</dt><dd>{{ total.unsubscribed | number_with_delimiter }}</dd></div>
</dl>
<svg viewBox="0 0 640 190" role="img" aria-label="Messages sent and clicked over time">
{% for d in days %}<rect class="a" x="{{ d.x }}" y="{{ d.y }}" width="{{ d.w }}" height="{{ d.h }}"><title>{{ d.day }}: {{ d.sent }} sent</title></rect><rect class="b" x="{{ d.x }}" y="{{ d.cy }}" width="{{ d.w }}" height="{{ d.ch }}"><title>{{ d.day }}: {{ d.clicked }} clicked</title></rect>
{% endfor %}<line class="axis" x1="0" y1="165.5" x2="640" y2="165.5"/><text x="0" y="183">{{ days.first.day }}</text><text x="640" y="183" text-anchor="end">{{ days.last.day }}</text><text x="0" y="11">Highest bar: {{ days_top | number_with_delimiter }} sent. Each bar is {{ days_each }} {{ days_each | pluralize: 'day', 'days' }}; in green what was clicked</text>
</svg>{% endif %}</section>
<section><h2>Steps</h2>
{% if steps.size == 0 %}<p>No message came to its end in this time.</p>{% else %}
<table><tr><th>step</th><th>sent</th><th></th><th>opened</th><th>clicked</th><th>withheld</th><th>cancelled</th><th>expired</th><th>rejected</th><th>unknown</th></tr>
{% for s in steps %}<tr><td>{{ s.step }} ({{ s.channels }})</td><td>{{ s.sent | number_with_delimiter }}</td><td><svg viewBox="0 0 100 10" style="width:7rem" aria-hidden="true"><rect class="a" width="{{ s.bar }}" height="10"/></svg></td><td>{{ s.opened | number_with_delimiter }}</td><td>{{ s.clicked | number_with_delimiter }}</td><td>{{ s.withheld | number_with_delimiter }}</td><td>{{ s.cancelled | number_with_delimiter }}</td><td>{{ s.expired | number_with_delimiter }}</td><td>{{ s.rejected | number_with_delimiter }}</td><td>{{ s.unknown | number_with_delimiter }}</td></tr>
{% endfor %}</table>{% endif %}</section>
<section><h2>Why messages did not go</h2>
{% if reasons.size == 0 %}<p>Nothing stopped a message in this time.</p>{% else %}
<table><tr><th>gate</th><th>ended</th><th>messages</th></tr>
{% for r in reasons %}<tr><td>{{ r.gate | default: 'none' }}</td><td>{{ r.state }}</td><td>{{ r.messages | number_with_delimiter }}</td></tr>
{% endfor %}</table>{% endif %}</section>
<section><h2>Conversions</h2>
{% if conversion.events == nil %}<p>No conversion rule: call set_conversion() for this journey.</p>{% else %}
<p class="soft">{{ conversion.events }} within {{ conversion.within }}, credit to: {{ conversion.model }}. Credit is not cause.</p>
{% if conversion.rows.size == 0 %}<p>No conversion in this time.</p>{% else %}
<table><tr><th>step</th><th>channel</th><th>conversions</th><th>revenue</th></tr>
{% for c in conversion.rows %}<tr><td>{{ c.step }}</td><td>{{ c.channel }}</td><td>{{ c.conversions }}</td><td>{{ c.revenue }}</td></tr>
{% endfor %}</table>{% endif %}{% endif %}</section>
<section><h2>Experiments</h2>
{% if experiments.size == 0 %}<p>This journey has shown no experiment to anybody.</p>{% endif %}
{% for e in experiments %}<h3>{{ e.name }}</h3>
{% if e.arms == nil %}<p>No conversion rule, so that there is nothing to compare.</p>{% else %}
<p>{% if e.decision == 'invalid' %}<strong class="bad">{{ e.decision }}</strong>{% else %}<strong>{{ e.decision }}{% if e.winner %}: {{ e.winner }}{% endif %}</strong>{% endif %}. {{ e.reasons }}</p>
<table><tr><th>variant</th><th>people</th><th>conversions</th><th>rate</th><th>lift</th><th>from</th><th>to</th><th>p, looked at any time</th><th>chance to be best</th></tr>
{% for a in e.arms %}<tr><td>{{ a.variant }}{% if a.control %} (control){% endif %}</td><td>{{ a.people | number_with_delimiter }}</td><td>{{ a.conversions | number_with_delimiter }}</td><td>{{ a.rate | default: '-' }} %</td><td>{{ a.lift | default: '-' }}</td><td>{{ a.lift_low | default: '-' }}</td><td>{{ a.lift_high | default: '-' }}</td><td>{{ a.always_p | default: '-' }}</td><td>{{ a.best | default: '-' }} %</td></tr>
{% endfor %}</table>{% endif %}{% endfor %}</section>
<section><h2>What the journey caused</h2>
{% if holdout == nil %}<p>Nobody is held back and counted: create_holdout() and set_conversion() would tell what messages cause.</p>{% else %}
<p>{{ holdout.rate_free }} % of {{ holdout.people_free | number_with_delimiter }} free people converted, and {{ holdout.rate_held }} % of {{ holdout.people_held | number_with_delimiter }} who were held back:
<strong>{{ holdout.incremental }}</strong> conversions more than without the journey (95 % between {{ holdout.incremental_low }} and {{ holdout.incremental_high }}).</p>{% endif %}</section>
<footer><p>Made {{ made_at }} (UTC) by trigger_engine from counters that are at most a minute behind; experiments and holdout over their whole time.</p></footer>
</body>
</html>
$html$ $function$;
COMMENT ON FUNCTION trigger_engine.report_template() IS
'The Liquid text that report_html() uses while no content block named journey_report is stored: to begin a page of one''s own with.';

CREATE FUNCTION trigger_engine._report_days(journey text, since timestamptz, until timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	-- some sixty bars at most
	each	 integer := greatest(1, ceil(extract(epoch FROM until - since) / 86400 / 60));
	first_at timestamptz := date_trunc('day', since, 'UTC');
	last_bar integer := greatest(0, ceil(extract(epoch FROM until - first_at) / 86400 / each)::integer - 1);
	days	 jsonb;
	top		 numeric;
BEGIN
	WITH bar AS (
		SELECT g.n, sum(m.sent) AS sent, sum(m.clicked) AS clicked FROM generate_series(0, last_bar) g(n)
		LEFT JOIN (SELECT floor(extract(epoch FROM x.hour - first_at) / 86400 / each)::integer AS n, x.sent, x.clicked
			FROM trigger_engine.message_metrics x WHERE x.journey = journey AND x.hour >= since AND x.hour < until) m ON m.n = g.n
		GROUP BY 1
	), scale AS (
		SELECT greatest(max(b.sent), 1) AS top FROM bar b
	)
	SELECT max(s.top), jsonb_agg(jsonb_build_object('day', to_char(first_at AT TIME ZONE 'UTC' + make_interval(days => b.n * each), 'YYYY-MM-DD'),
		'sent', coalesce(b.sent, 0), 'clicked', coalesce(b.clicked, 0),
		'x', round(b.n * 640.0 / (last_bar + 1), 1), 'w', round(greatest(1, 640.0 / (last_bar + 1) - 2), 1),
		'h', round(coalesce(b.sent, 0) * 145.0 / s.top, 1), 'y', round(165 - coalesce(b.sent, 0) * 145.0 / s.top, 1),
		'ch', round(least(coalesce(b.clicked, 0), s.top) * 145.0 / s.top, 1), 'cy', round(165 - least(coalesce(b.clicked, 0), s.top) * 145.0 / s.top, 1)) ORDER BY b.n)
	INTO top, days FROM bar b CROSS JOIN scale s;
	RETURN jsonb_build_object('days', days, 'days_top', top, 'days_each', each);
END
$$;
COMMENT ON FUNCTION trigger_engine._report_days(text, timestamptz, timestamptz) IS 'The bars of a report over time, with their places in the picture.';

CREATE FUNCTION trigger_engine._report_experiments(journey text, until timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	shown jsonb := '[]';
	told  jsonb;
	e	  record;
BEGIN
	FOR e IN SELECT DISTINCT x.experiment, EXISTS (SELECT FROM trigger_engine.exposures y JOIN trigger_engine.conversion_rules r ON r.journey = y.journey
				WHERE y.experiment = x.experiment AND NOT y.held_out) AS ruled
		FROM trigger_engine.exposures x JOIN trigger_engine.experiments p ON p.name = x.experiment AND p.kind = 'experiment'
		WHERE x.journey = journey AND NOT x.held_out AND x.at < until ORDER BY 1
	LOOP
		told := jsonb_build_object('name', e.experiment);
		IF e.ruled THEN
			told := told || (SELECT jsonb_build_object('decision', replace(d.decision, '_', ' '), 'winner', d.winner, 'reasons', array_to_string(d.reasons, '; '))
				FROM trigger_engine.experiment_decision(e.experiment) d);
			told := told || (SELECT jsonb_build_object('arms', jsonb_agg(jsonb_build_object('variant', a.variant, 'control', a.control, 'people', a.people,
					'conversions', a.conversions, 'rate', round(100 * a.rate::numeric, 2), 'lift', round(100 * a.lift::numeric, 1) || ' %',
					'lift_low', round(100 * a.lift_low::numeric, 1) || ' %', 'lift_high', round(100 * a.lift_high::numeric, 1) || ' %',
					'always_p', round(a.always_p::numeric, 4), 'best', round(100 * a.chance_to_be_best::numeric, 1)) ORDER BY a.n))
				FROM trigger_engine.experiment_results(e.experiment) WITH ORDINALITY a(variant, control, people, conversions, rate,
					difference, difference_low, difference_high, test, p_value, p_holm, p_bh, lift, lift_low, lift_high, always_low, always_high, always_p,
					chance_to_be_best, expected_loss, value_per_person, value_p_value, expected_people, srm_p_value, first_at, n));
		END IF;
		shown := shown || jsonb_build_array(told);
	END LOOP;
	RETURN shown;
END
$$;
COMMENT ON FUNCTION trigger_engine._report_experiments(text, timestamptz) IS 'The experiments of a report, with what they show and what to do.';

CREATE FUNCTION trigger_engine._report_context(journey text, since timestamptz, until timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	subject record;
	rule	record;
	page	jsonb;
BEGIN
	SELECT * INTO subject FROM trigger_engine.journeys j WHERE j.name = journey;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'journey "%" does not exist', journey USING ERRCODE = 'undefined_object', HINT = 'See the view trigger_engine.journeys.';
	END IF;
	page := jsonb_build_object('journey', jsonb_build_object('name', subject.name, 'description', subject.description, 'state', subject.state,
			'trigger_kind', subject.trigger_kind, 'topic', subject.topic, 'purpose', subject.purpose),
		'since', to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), 'until', to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
		'made_at', to_char(trigger_engine.clock() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
		'total', (SELECT jsonb_build_object('messages', coalesce(sum(m.sent + m.withheld + m.cancelled + m.expired + m.rejected + m.unknown), 0),
				'sent', coalesce(sum(m.sent), 0), 'withheld', coalesce(sum(m.withheld), 0), 'unsubscribed', coalesce(sum(m.unsubscribed), 0),
				'open_rate', round(100 * sum(m.opened) / nullif(sum(m.sent), 0), 1), 'click_rate', round(100 * sum(m.clicked) / nullif(sum(m.sent), 0), 1))
			FROM trigger_engine.message_metrics m WHERE m.journey = subject.name AND m.hour >= since AND m.hour < until),
		'steps', (SELECT coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('bar', round(100.0 * s.sent / greatest(s.top, 1), 1)) ORDER BY s.place), '[]')
			FROM (SELECT t.*, max(t.sent) OVER () AS top FROM trigger_engine._report_steps(subject.name, since, until) t) s),
		'reasons', (SELECT coalesce(jsonb_agg(jsonb_build_object('gate', r.gate, 'state', r.state, 'messages', r.messages) ORDER BY r.messages DESC, r.gate, r.state), '[]')
			FROM (SELECT d.gate, d.state, sum(d.messages) AS messages FROM trigger_engine.decision_reasons d
				WHERE d.journey = subject.name AND d.state <> 'accepted' AND d.hour >= since AND d.hour < until GROUP BY 1, 2 HAVING sum(d.messages) > 0) r),
		'experiments', trigger_engine._report_experiments(subject.name, until))
		|| trigger_engine._report_days(subject.name, since, until);
	SELECT r.events, r.within, r.model INTO rule FROM trigger_engine.conversion_rules r WHERE r.journey = subject.name;
	IF NOT FOUND THEN
		RETURN page;
	END IF;
	page := page || jsonb_build_object('conversion', jsonb_build_object('events', array_to_string(rule.events, ', '), 'within', rule.within, 'model', rule.model,
		'rows', (SELECT coalesce(jsonb_agg(jsonb_build_object('step', c.step, 'channel', c.channel, 'conversions', round(c.conversions, 1),
				'revenue', round(c.revenue, 2)) ORDER BY c.conversions DESC, c.step, c.channel), '[]')
			FROM (SELECT m.step, m.channel, sum(m.conversions) AS conversions, sum(m.revenue) AS revenue FROM trigger_engine.conversion_metrics m
				WHERE m.journey = subject.name AND m.hour >= since AND m.hour < until GROUP BY 1, 2) c)));
	IF subject.transactional THEN
		RETURN page;
	END IF;
	RETURN page || coalesce((SELECT jsonb_build_object('holdout', jsonb_build_object('people_free', h.people_free, 'people_held', h.people_held,
			'rate_free', round(100 * h.rate_free::numeric, 2), 'rate_held', round(100 * h.rate_held::numeric, 2), 'incremental', round(h.incremental::numeric, 1),
			'incremental_low', round(h.incremental_low::numeric, 1), 'incremental_high', round(h.incremental_high::numeric, 1)))
		FROM trigger_engine.holdout_lift(subject.name) h WHERE h.people_held > 0 AND h.people_free > 0), '{}');
END
$$;
COMMENT ON FUNCTION trigger_engine._report_context(text, timestamptz, timestamptz) IS 'What a report says, as the variables of its template.';

CREATE FUNCTION trigger_engine.report_html(journey text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
	template text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	ends   timestamptz := coalesce(until, trigger_engine.clock());
	begins timestamptz := coalesce(since, coalesce(until, trigger_engine.clock()) - interval '30 days');
	body   text;
BEGIN
	IF begins >= ends OR ends - begins > interval '3660 days' THEN
		RAISE EXCEPTION 'since must be before until, by ten years at most' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT t.content ->> 'html' INTO body FROM trigger_engine.templates t
	WHERE t.name = coalesce(template, 'journey_report') AND t.channel = 'block' AND t.locale IS NULL;
	IF body IS NULL AND template IS NOT NULL THEN
		RAISE EXCEPTION 'there is no content block "%" with a live "html"', template USING ERRCODE = 'undefined_object',
			HINT = 'Begin with create_template(name, ''block'', jsonb_build_object(''html'', report_template())).';
	END IF;
	RETURN trigger_engine.render(coalesce(body, trigger_engine.report_template()), trigger_engine._report_context(journey, begins, ends),
		'en', (SELECT coalesce(jsonb_object_agg(t.name, coalesce(t.content ->> 'html', t.content ->> 'text')), '{}') FROM trigger_engine.templates t
			WHERE t.channel = 'block' AND t.locale IS NULL AND t.content IS NOT NULL), '{"escape": "html"}');
END
$$;
COMMENT ON FUNCTION trigger_engine.report_html(text, timestamptz, timestamptz, text) IS
'One page about a journey, self-contained: messages over time, steps, reasons, conversions, experiments with their decision, and what a holdout shows, from since (NULL = 30 days before until) to until (NULL = now), by the hour. No script and nothing from the network; light and dark, and fit to print. In psql: \o report.html with \t and \pset format unaligned. template: a content block (channel block) whose html is used, default the one named journey_report if there is one, else report_template(). Values are escaped for HTML. Reads what a reader may read; tracked tables with the caller''s rights.';
