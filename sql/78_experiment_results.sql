/*
 * Read-outs of experiments and holdouts. A person counts once, from the first exposure,
 * whether or not a message came of it, so that control and treatment are counted alike;
 * everything after the counts is arithmetic on sums.
 */

CREATE FUNCTION trigger_engine._experiment_counts(experiment text, event text, within interval, value text,
	since timestamptz, until timestamptz, complete boolean)
RETURNS TABLE (place integer, variant text, people bigint, expected float8, conversions bigint, mean float8, variance float8,
	first_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	instant timestamptz := trigger_engine.clock();
	now_salt text;
BEGIN
	SELECT e.salt INTO now_salt FROM trigger_engine.experiments e WHERE e.name = experiment AND e.kind = 'experiment';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'experiment "%" does not exist', experiment USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.experiments; for holdouts call holdout_lift().';
	ELSIF within <= interval '0' THEN
		RAISE EXCEPTION 'within must be above 0' USING ERRCODE = 'invalid_parameter_value';
	ELSIF event IS NULL AND NOT EXISTS (SELECT FROM trigger_engine.exposures x
			JOIN trigger_engine.conversion_rules r ON r.journey = x.journey WHERE x.experiment = _experiment_counts.experiment) THEN
		RAISE EXCEPTION 'nobody who is in experiment "%" has a journey with a conversion rule', experiment USING ERRCODE = 'TE001',
			HINT = 'Pass event => with the name of the event that counts, or call set_conversion() for the journey.';
	END IF;
	RETURN QUERY
	WITH epochs AS (
		-- the same draw, and while it was drawn
		SELECT p.epoch, p.variants, trigger_engine.bucket_shares(p.ranges, p.hash_version) AS shares
		FROM trigger_engine.experiment_epochs p
		WHERE p.experiment = _experiment_counts.experiment AND p.salt = now_salt AND p.state = 'running'
	), arms AS (
		SELECT v.variant, v.position FROM trigger_engine.experiment_variants v WHERE v.experiment = _experiment_counts.experiment
	), exposed AS MATERIALIZED (
		SELECT DISTINCT ON (x.user_id) x.user_id, x.variant, x.epoch, x.at, coalesce(_experiment_counts.value, r.value) AS property,
			CASE WHEN _experiment_counts.event IS NULL THEN r.events ELSE ARRAY[_experiment_counts.event] END AS names,
			coalesce(_experiment_counts.within, CASE WHEN _experiment_counts.event IS NULL THEN r.within END, interval '7 days') AS span
		FROM trigger_engine.exposures x LEFT JOIN trigger_engine.conversion_rules r ON r.journey = x.journey
		WHERE x.experiment = _experiment_counts.experiment AND NOT x.held_out
			AND x.epoch IN (SELECT p.epoch FROM epochs p)
			AND (_experiment_counts.event IS NOT NULL OR r.events IS NOT NULL)
			AND NOT EXISTS (SELECT FROM trigger_engine.stored_assignments a
				WHERE a.experiment = x.experiment AND a.user_id = x.user_id AND a.source = 'forced' AND a.variant IS NOT NULL)
		ORDER BY x.user_id, x.at, x.variant
	), person AS MATERIALIZED (
		-- one join, so that a wrong guess of its size costs a look for each person and no more
		SELECT x.variant, x.epoch, x.at, (count(e.user_id) > 0)::integer AS converted,
			-- JSON knows numbers that a float8 does not
			coalesce(sum(CASE WHEN jsonb_typeof(e.properties -> x.property) = 'number' THEN
				CASE WHEN abs((e.properties ->> x.property)::numeric) < 1e100 THEN (e.properties ->> x.property)::float8 END END), 0) AS amount
		FROM exposed x JOIN arms a ON a.variant = x.variant
		LEFT JOIN trigger_engine.all_events e ON e.user_id = x.user_id AND e.name = ANY (x.names)
			AND e.occurred_at > x.at AND e.occurred_at <= least(x.at + x.span, instant) AND e.occurred_at > (SELECT min(y.at) FROM exposed y)
		WHERE (_experiment_counts.since IS NULL OR x.at >= _experiment_counts.since)
			AND (_experiment_counts.until IS NULL OR x.at < _experiment_counts.until)
			AND (NOT _experiment_counts.complete OR x.at + x.span <= instant)
		GROUP BY x.user_id, x.variant, x.epoch, x.at
	), share AS (
		-- what the draw promised, among the arms that there are now
		SELECT p.epoch, a.variant, p.shares[n.n] / nullif(sum(p.shares[n.n]) OVER (PARTITION BY p.epoch), 0) AS share
		FROM epochs p CROSS JOIN LATERAL unnest(p.variants) WITH ORDINALITY n(variant, n) JOIN arms a ON a.variant = n.variant
	), promised AS (
		SELECT s.variant, sum(s.share * c.n) AS expected FROM share s
		JOIN (SELECT p.epoch, count(*) AS n FROM person p GROUP BY 1) c ON c.epoch = s.epoch GROUP BY 1
	), counted AS (
		SELECT p.variant, count(*) AS people, sum(p.converted) AS conversions, avg(p.amount) AS mean, var_samp(p.amount) AS variance,
			min(p.at) AS first_at
		FROM person p GROUP BY 1
	)
	SELECT a.position, a.variant, coalesce(c.people, 0), coalesce(m.expected, 0)::float8, coalesce(c.conversions, 0), c.mean, c.variance, c.first_at
	FROM arms a LEFT JOIN counted c ON c.variant = a.variant LEFT JOIN promised m ON m.variant = a.variant ORDER BY 1;
END
$$;
COMMENT ON FUNCTION trigger_engine._experiment_counts(text, text, interval, text, timestamptz, timestamptz, boolean) IS
'Sums of an experiment by variant: people by their first exposure, those who converted, mean and variance of the amount, and how many people the draw promised.';

CREATE FUNCTION trigger_engine._compare_rates(x1 bigint, n1 bigint, x2 bigint, n2 bigint, confidence float8,
	OUT difference float8, OUT ci_low float8, OUT ci_high float8, OUT test text, OUT p_value float8,
	OUT lift float8, OUT lift_low float8, OUT lift_high float8,
	OUT always_low float8, OUT always_high float8, OUT always_p float8)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	std_error float8;
	r1 float8;
	r2 float8;
	pooled float8;
BEGIN
	IF n1 < 1 OR n2 < 1 THEN
		RETURN;
	END IF;
	SELECT p.rate1, p.rate2, p.difference, p.score_low, p.score_high, p.std_error, p.p_value, 'z'
	INTO r1, r2, difference, ci_low, ci_high, std_error, p_value, test
	FROM trigger_engine.proportion_test(x1, n1, x2, n2, confidence) p;
	-- the smallest cell that the margins expect
	pooled := (x1 + x2)::float8 / (n1 + n2);
	IF least(pooled, 1 - pooled) * least(n1, n2) < 5 THEN
		SELECT f.p_value, 'fisher' INTO p_value, test FROM trigger_engine.fisher_test(x1, n1, x2, n2) f;
	END IF;
	IF std_error > 0 THEN
		SELECT s.ci_low, s.ci_high, s.p_value INTO always_low, always_high, always_p
		FROM trigger_engine.confidence_sequence(difference, std_error, n1 + n2, confidence) s;
	END IF;
	IF x1 > 0 AND x2 > 0 AND n1 > 1 AND n2 > 1 AND std_error > 0 THEN
		SELECT l.lift, l.ci_low, l.ci_high INTO lift, lift_low, lift_high
		FROM trigger_engine.relative_lift(r1, r1 * (1 - r1), n1, r2, r2 * (1 - r2), n2, confidence) l;
	ELSIF x1 > 0 THEN
		lift := r2 / r1 - 1;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._compare_rates(bigint, bigint, bigint, bigint, float8) IS
'Everything that is said about two rates: difference with Newcombe''s interval, z test or, where a cell is expected below 5, Fisher''s, relative lift by the delta method, and the confidence sequence.';

CREATE FUNCTION trigger_engine.experiment_results(name text, event text DEFAULT NULL, within interval DEFAULT NULL,
	value text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, complete boolean DEFAULT false,
	confidence float8 DEFAULT 0.95)
RETURNS TABLE (variant text, control boolean, people bigint, conversions bigint, rate float8,
	difference float8, difference_low float8, difference_high float8, test text, p_value float8, p_holm float8, p_bh float8,
	lift float8, lift_low float8, lift_high float8, always_low float8, always_high float8, always_p float8,
	chance_to_be_best float8, expected_loss float8, value_per_person float8, value_p_value float8,
	expected_people float8, srm_p_value float8, first_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF experiment_results.name IS NULL OR experiment_results.complete IS NULL OR experiment_results.confidence IS NULL THEN
		RAISE EXCEPTION 'name, complete and confidence are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	RETURN QUERY
	WITH arm AS MATERIALIZED (
		SELECT * FROM trigger_engine._experiment_counts(experiment_results.name, experiment_results.event, experiment_results.within,
			experiment_results.value, experiment_results.since, experiment_results.until, experiment_results.complete)
	), ground AS (
		SELECT * FROM arm WHERE place = 1
	), ratio AS (
		SELECT CASE WHEN count(*) > 1 AND sum(a.people) > 0 THEN
			(trigger_engine.srm_test(array_agg(a.people ORDER BY a.place), array_agg(a.expected ORDER BY a.place))).p_value END AS p
		FROM arm a WHERE a.expected > 0
	), compared AS MATERIALIZED (
		SELECT a.place, a.people, a.mean, a.variance, c.* FROM arm a CROSS JOIN ground g
		CROSS JOIN LATERAL trigger_engine._compare_rates(g.conversions, g.people, a.conversions, a.people, experiment_results.confidence) c
		WHERE a.place > 1
	), corrected AS (
		SELECT u.place, u.holm, u.bh FROM (
			SELECT array_agg(c.place ORDER BY c.place) AS places, trigger_engine.holm(array_agg(c.p_value ORDER BY c.place)) AS holms,
				trigger_engine.benjamini_hochberg(array_agg(c.p_value ORDER BY c.place)) AS bhs FROM compared c) p,
			unnest(p.places, p.holms, p.bhs) u(place, holm, bh)
	), posterior AS (
		SELECT (b.p).arm AS place, (b.p).chance_to_be_best AS best, (b.p).expected_loss AS loss FROM (
			SELECT trigger_engine.bayes_proportions(array_agg(a.conversions ORDER BY a.place), array_agg(a.people ORDER BY a.place)) AS p
			FROM arm a) b
	)
	SELECT a.variant, a.place = 1, a.people, a.conversions, a.conversions::float8 / nullif(a.people, 0),
		c.difference, c.ci_low, c.ci_high, c.test, c.p_value, k.holm, k.bh, c.lift, c.lift_low, c.lift_high,
		c.always_low, c.always_high, c.always_p, b.best, b.loss, a.mean,
		CASE WHEN a.place > 1 AND g.people > 1 AND a.people > 1 AND g.variance + a.variance > 0 THEN
			(trigger_engine.welch_test(g.mean, g.variance, g.people, a.mean, a.variance, a.people)).p_value END,
		a.expected, r.p, a.first_at
	FROM arm a CROSS JOIN ground g CROSS JOIN ratio r LEFT JOIN compared c ON c.place = a.place
	LEFT JOIN corrected k ON k.place = a.place LEFT JOIN posterior b ON b.place = a.place ORDER BY a.place;
END
$$;
COMMENT ON FUNCTION trigger_engine.experiment_results(text, text, interval, text, timestamptz, timestamptz, boolean, float8) IS
'What an experiment shows: a row for each variant, the first is the control and the others are compared with it. people: by their first exposure in [since, until), whether or not a message came of it, under the salt the experiment has now and while it ran; people with a forced variant do not count. conversions: people who did event (in trigger_engine.all_events, tracked tables with the caller''s rights) after it and within the window, 7 days unless given; event NULL = the events and the window of the journey''s set_conversion(), counted for every arm alike and not by credit, which a control without messages cannot earn. complete: only people whose window is over. difference: of rates, with Newcombe''s interval; test: z, or fisher where a cell is expected below 5; p_holm, p_bh: for all arms together; lift: relative, interval by the delta method; always_low, always_high, always_p: of the difference, good for looking at any time (confidence_sequence()); chance_to_be_best, expected_loss: bayes_proportions(). value_per_person: mean sum of the numeric property value of those events (anything else, and what is beyond 1e100, is 0), value_p_value: its Welch test. expected_people: what the draw promised, over all changes of weights; srm_p_value below 0.001: do not read the rest. Reads one row for each exposure and that person''s events. Errors: TE001 without an event and without a rule, undefined_object.';

/* ---- the decision ---- */

CREATE FUNCTION trigger_engine._check_guardrails(guardrails jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	guard jsonb;
	wrong text;
BEGIN
	IF jsonb_typeof(guardrails) IS DISTINCT FROM 'array' THEN
		RAISE EXCEPTION 'guardrails must be an array' USING ERRCODE = 'TE001',
			HINT = 'As in [{"event": "message_unsubscribed", "within": "7 days", "margin": 0.002}].';
	END IF;
	FOR guard IN SELECT g FROM jsonb_array_elements(guardrails) g LOOP
		IF jsonb_typeof(guard) <> 'object' OR jsonb_typeof(guard -> 'event') IS DISTINCT FROM 'string' THEN
			RAISE EXCEPTION 'each guardrail must be an object with an "event"' USING ERRCODE = 'TE001';
		END IF;
		SELECT k INTO wrong FROM jsonb_object_keys(guard) k WHERE k NOT IN ('event', 'within', 'bad', 'margin') LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION 'unknown key "%" of a guardrail', wrong USING ERRCODE = 'TE001', HINT = 'Keys are event, within, bad and margin.';
		ELSIF coalesce(guard ->> 'bad', 'more') NOT IN ('more', 'less') THEN
			RAISE EXCEPTION '"bad" must be "more" or "less"' USING ERRCODE = 'TE001';
		ELSIF guard ? 'margin' AND (jsonb_typeof(guard -> 'margin') <> 'number' OR (guard ->> 'margin')::numeric NOT BETWEEN 0 AND 1) THEN
			RAISE EXCEPTION '"margin" must be a number from 0 to 1' USING ERRCODE = 'TE001';
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_guardrails(jsonb) IS 'Throws where guardrails make no sense.';

CREATE FUNCTION trigger_engine._broken_guardrails(name text, guardrails jsonb, sequential boolean, confidence float8)
RETURNS TABLE (variant text, reason text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.variant, format('"%s" is out: guardrail "%s" is worse than in the control by %s, for certain by more than %s',
		r.variant, g.g ->> 'event', round(abs(r.difference)::numeric, 4), coalesce(g.g ->> 'margin', '0'))
	FROM jsonb_array_elements(guardrails) WITH ORDINALITY g(g, n)
	CROSS JOIN LATERAL trigger_engine.experiment_results(name, event => g.g ->> 'event', within => (g.g ->> 'within')::interval,
		confidence => _broken_guardrails.confidence) r
	WHERE CASE coalesce(g.g ->> 'bad', 'more')
		WHEN 'more' THEN CASE WHEN sequential THEN r.always_low ELSE r.difference_low END > coalesce((g.g ->> 'margin')::float8, 0)
		ELSE CASE WHEN sequential THEN r.always_high ELSE r.difference_high END < -coalesce((g.g ->> 'margin')::float8, 0) END
	ORDER BY g.n, r.variant
$$;
COMMENT ON FUNCTION trigger_engine._broken_guardrails(text, jsonb, boolean, float8) IS 'Variants that harm what a guardrail protects, with the reason.';

CREATE FUNCTION trigger_engine.experiment_decision(name text, event text DEFAULT NULL, within interval DEFAULT NULL,
	guardrails jsonb DEFAULT '[]', method text DEFAULT 'sequential', min_people bigint DEFAULT 100,
	min_runtime interval DEFAULT '7 days', max_loss float8 DEFAULT 0.001, confidence float8 DEFAULT 0.95,
	OUT decision text, OUT winner text, OUT reasons text[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	alpha	float8 := 1 - confidence;
	arms	jsonb;
	out_of	text[] := '{}';
	worse	boolean;
	r		record;
BEGIN
	reasons := '{}';
	IF name IS NULL OR guardrails IS NULL OR min_people IS NULL OR min_runtime IS NULL OR max_loss IS NULL OR confidence IS NULL THEN
		RAISE EXCEPTION 'only event and within may be NULL' USING ERRCODE = 'null_value_not_allowed';
	ELSIF coalesce(method, '') NOT IN ('sequential', 'fixed', 'bayes') THEN
		RAISE EXCEPTION 'method must be "sequential", "fixed" or "bayes"' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trigger_engine._check_guardrails(guardrails);
	-- an arm of the decision: whether it wins, or loses, by the method
	SELECT jsonb_agg(to_jsonb(x)) INTO arms FROM (
		SELECT e.*, CASE method WHEN 'bayes' THEN e.chance_to_be_best >= confidence AND e.expected_loss <= max_loss
				ELSE e.difference > 0 AND e.adjusted < alpha END AS better,
			e.difference < 0 AND CASE method WHEN 'bayes' THEN 1 - e.chance_to_be_best >= confidence ELSE e.adjusted < alpha END AS worse
		FROM (SELECT q.*, CASE method WHEN 'fixed' THEN q.p_holm ELSE (trigger_engine.holm(array_agg(q.always_p) OVER (ORDER BY q.n
				ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)))[q.n] END AS adjusted
			FROM (SELECT row_number() OVER () AS n, t.* FROM trigger_engine.experiment_results(name, event, within, confidence => confidence) t) q) e) x;
	FOR r IN SELECT * FROM jsonb_to_recordset(arms) x(variant text, people bigint, srm_p_value float8) LOOP
		IF r.srm_p_value < 0.001 THEN
			decision := 'invalid';
			reasons := ARRAY[format('sample ratio mismatch (p = %s): assignment or logging is broken', trim(to_char(r.srm_p_value, '9.9EEEE')))];
			RETURN;
		ELSIF r.people < min_people THEN
			reasons := reasons || format('"%s" has %s people of at least %s', r.variant, r.people, min_people);
		END IF;
	END LOOP;
	SELECT min(x.first_at) AS at INTO r FROM jsonb_to_recordset(arms) x(first_at timestamptz);
	IF r.at IS NOT NULL AND trigger_engine.clock() - r.at < min_runtime THEN
		reasons := reasons || format('it runs since %s, and at least %s are wanted', r.at, min_runtime);
	END IF;
	IF cardinality(reasons) > 0 THEN
		decision := 'continue';
		RETURN;
	END IF;
	FOR r IN SELECT * FROM trigger_engine._broken_guardrails(name, guardrails, method = 'sequential', confidence) LOOP
		out_of := out_of || r.variant;
		reasons := reasons || r.reason;
	END LOOP;
	SELECT x.* INTO r FROM jsonb_to_recordset(arms) x(variant text, control boolean, rate float8, difference float8, adjusted float8,
		chance_to_be_best float8, expected_loss float8, better boolean)
	WHERE NOT x.control AND x.better AND x.variant <> ALL (out_of) ORDER BY x.rate DESC, x.variant LIMIT 1;
	IF FOUND THEN
		decision := 'ship';
		winner := r.variant;
		reasons := reasons || CASE method WHEN 'bayes' THEN format('"%s" is the best with a chance of %s, and the expected loss is %s', r.variant,
				round(r.chance_to_be_best::numeric, 4), round(r.expected_loss::numeric, 6))
			ELSE format('"%s" is above the control by %s (%s p = %s, for all arms together)', r.variant, round(r.difference::numeric, 4),
				CASE method WHEN 'fixed' THEN 'planned end,' ELSE 'always valid' END, round(r.adjusted::numeric, 5)) END;
		RETURN;
	END IF;
	SELECT bool_and(x.worse IS TRUE OR x.variant = ANY (out_of)) INTO worse
	FROM jsonb_to_recordset(arms) x(variant text, control boolean, worse boolean) WHERE NOT x.control;
	IF worse OR method = 'fixed' THEN
		decision := 'keep_control';
		winner := (SELECT x.variant FROM jsonb_to_recordset(arms) x(variant text, control boolean) WHERE x.control);
		reasons := reasons || CASE WHEN worse THEN 'no other variant is left: each is worse than the control or harms a guardrail'
			ELSE 'at the planned end no variant is above the control' END;
	ELSE
		decision := 'continue';
		reasons := reasons || CASE method WHEN 'bayes' THEN format('no variant is the best with a chance of %s and an expected loss of at most %s', confidence, max_loss)
			ELSE 'no variant is above the control for certain yet' END;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine.experiment_decision(text, text, interval, jsonb, text, bigint, interval, float8, float8) IS
'What to do about an experiment, by a rule that does not depend on who looks. decision: invalid (the sample ratio is wrong), continue, ship (winner: the variant), keep_control; reasons say why, in order. event, within: as in experiment_results(). method: sequential (confidence sequences, Holm over the arms: may be asked every day), fixed (z or Fisher with Holm: ask once, at the planned end; what does not win then loses), bayes (chance_to_be_best of at least confidence and an expected loss of at most max_loss, a difference of rates). min_people (each arm) and min_runtime must be reached first. guardrails: [{"event", "within", "bad": "more" (default) or "less", "margin"}]: a variant whose rate of that event is worse than the control''s by more than margin, with all of its interval, cannot win. Nothing is changed: ship with stop_experiment(name, winner => ...). Errors: TE001, and those of experiment_results().';

/* ---- holdouts ---- */

CREATE FUNCTION trigger_engine.holdout_lift(journey text, event text DEFAULT NULL, within interval DEFAULT NULL,
	since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, complete boolean DEFAULT false, confidence float8 DEFAULT 0.95,
	OUT people_free bigint, OUT conversions_free bigint, OUT rate_free float8,
	OUT people_held bigint, OUT conversions_held bigint, OUT rate_held float8,
	OUT difference float8, OUT ci_low float8, OUT ci_high float8, OUT test text, OUT p_value float8,
	OUT lift float8, OUT lift_low float8, OUT lift_high float8,
	OUT incremental float8, OUT incremental_low float8, OUT incremental_high float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	instant timestamptz := trigger_engine.clock();
	subject record;
	names	text[];
	span	interval;
	began	timestamptz;
	ended	timestamptz;
BEGIN
	IF complete IS NULL OR confidence IS NULL THEN
		RAISE EXCEPTION 'complete and confidence are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT j.journey_id, j.name, j.topic, j.transactional INTO subject FROM trigger_engine.journeys j WHERE j.name = journey;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'journey "%" does not exist', journey USING ERRCODE = 'undefined_object', HINT = 'See the view trigger_engine.journeys.';
	ELSIF subject.transactional THEN
		RAISE EXCEPTION 'journey "%" is transactional: no holdout keeps anybody back', journey USING ERRCODE = 'TE001';
	END IF;
	IF event IS NULL THEN
		SELECT r.events, coalesce(within, r.within) INTO names, span FROM trigger_engine.conversion_rules r WHERE r.journey = subject.name;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'journey "%" has no conversion rule', journey USING ERRCODE = 'TE001',
				HINT = 'Pass event => with the name of the event that counts, or call set_conversion().';
		END IF;
	ELSE
		names := ARRAY[event];
		span := coalesce(within, interval '7 days');
	END IF;
	IF span <= interval '0' THEN
		RAISE EXCEPTION 'within must be above 0' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- while somebody is kept back: before and after it there is nobody to compare with
	SELECT min(p.from_at), max(coalesce(p.until_at, 'infinity')) INTO began, ended
	FROM trigger_engine.experiments e JOIN trigger_engine.experiment_epochs p ON p.experiment = e.name AND p.state = 'running'
	WHERE e.kind = 'holdout' AND coalesce(e.journey = subject.name, e.topic = subject.topic, e.topic IS NULL);
	WITH first AS (
		SELECT DISTINCT ON (r.user_id) r.user_id, r.entered_at FROM trigger_engine.enrollments r
		WHERE r.journey_id = subject.journey_id ORDER BY r.user_id, r.entered_at
	), entered AS MATERIALIZED (
		-- by the draw, and not by what became of the run
		SELECT n.user_id, n.entered_at, trigger_engine.held_out(n.user_id, subject.name, subject.topic, n.entered_at) IS NOT NULL AS held
		FROM first n
		WHERE n.entered_at >= began AND n.entered_at < ended
			AND (since IS NULL OR n.entered_at >= since) AND (until IS NULL OR n.entered_at < until)
			AND (NOT complete OR n.entered_at + span <= instant)
	), person AS (
		SELECT n.held, count(e.user_id) > 0 AS converted FROM entered n
		LEFT JOIN trigger_engine.all_events e ON e.user_id = n.user_id AND e.name = ANY (names)
			AND e.occurred_at > n.entered_at AND e.occurred_at <= least(n.entered_at + span, instant)
			AND e.occurred_at > (SELECT min(m.entered_at) FROM entered m)
		GROUP BY n.user_id, n.held
	)
	SELECT count(*) FILTER (WHERE NOT p.held), count(*) FILTER (WHERE NOT p.held AND p.converted),
		count(*) FILTER (WHERE p.held), count(*) FILTER (WHERE p.held AND p.converted)
	INTO people_free, conversions_free, people_held, conversions_held FROM person p;
	rate_free := conversions_free::float8 / nullif(people_free, 0);
	rate_held := conversions_held::float8 / nullif(people_held, 0);
	SELECT c.difference, c.ci_low, c.ci_high, c.test, c.p_value, c.lift, c.lift_low, c.lift_high
	INTO difference, ci_low, ci_high, test, p_value, lift, lift_low, lift_high
	FROM trigger_engine._compare_rates(conversions_held, people_held, conversions_free, people_free, confidence) c;
	incremental := people_free * difference;
	incremental_low := people_free * ci_low;
	incremental_high := people_free * ci_high;
END
$$;
COMMENT ON FUNCTION trigger_engine.holdout_lift(text, text, interval, timestamptz, timestamptz, boolean, float8) IS
'What a journey caused: people whom a holdout (of all messages, of the journey or of its topic) keeps back against those who are free, both from their first entry into the journey in [since, until) on and while a holdout was running. Who is held comes from the draw alone and not from what became of the run, so that nothing selects. conversions: people who did event after it and within the window, 7 days unless given; event NULL = the events and window of set_conversion(). incremental: conversions that would not have been without the messages, people_free times difference, with its interval (Newcombe). Nothing is compared while nobody is held. Errors: TE001 for a transactional journey, or without an event and without a rule; undefined_object.';
