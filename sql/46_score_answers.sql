/*
 * What people say of themselves: answers to surveys, and traits.
 */

CREATE TABLE trigger_engine._surveys (
	name	   text PRIMARY KEY,
	question   text NOT NULL,
	scale	   text NOT NULL CHECK (scale IN ('nps', 'csat', 'stars', 'thumbs')),
	period	   interval NOT NULL CHECK (period > interval '0'),
	attribute  text,
	limits	   jsonb,
	owner	   name NOT NULL,
	created_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._surveys IS 'Surveys by name; read through the view surveys.';

CREATE FUNCTION trigger_engine._create_answer_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._answers (
		user_id		text NOT NULL,
		survey		text NOT NULL,
		asked_at	timestamptz NOT NULL,
		answered_at timestamptz,
		score		smallint,
		comment		text,
		send_id		bigint,
		PRIMARY KEY (user_id, survey, asked_at)
	)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._traits (
		user_id	   text NOT NULL,
		trait	   text NOT NULL,
		value	   text NOT NULL,
		source	   text NOT NULL,
		updated_at timestamptz NOT NULL,
		PRIMARY KEY (user_id, trait)
	)
	$ddl$;
END
$function$;
COMMENT ON FUNCTION trigger_engine._create_answer_tables() IS 'Creates the tables of answers and traits where they do not exist yet.';

SELECT trigger_engine._create_answer_tables();

COMMENT ON TABLE trigger_engine._answers IS 'Who was asked what and when, and the answer. Written by ask() and record_answer(); read through the view answers.';
COMMENT ON TABLE trigger_engine._traits IS 'What people are like, in words: lifestyle, values, attitudes. Written by set_traits(); read through the view traits.';

CREATE FUNCTION trigger_engine.create_survey(name text, question text, scale text, period interval DEFAULT '90 days',
	attribute text DEFAULT NULL, limits jsonb DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_survey(text, text, text, interval, text, jsonb, boolean) IS
'A question that people are asked once in a period. scale: nps (0 to 10), csat (1 to 5), stars (1 to 5), thumbs (0 or 1). attribute: the answer is kept in this attribute of the user, for segments, templates, models. limits: {"at_most": 2, "caps": [...]}: who answers so low gets these caps of their own, see set_message_limits(). Errors: TE001.';

CREATE FUNCTION trigger_engine._create_survey(invoker name, name text, question text, scale text, period interval, attribute text,
	limits jsonb, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	old name;
BEGIN
	IF coalesce(name, '') = '' OR coalesce(question, '') = '' THEN
		RAISE EXCEPTION 'name and question are required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF scale IS NULL OR scale NOT IN ('nps', 'csat', 'stars', 'thumbs') THEN
		RAISE EXCEPTION 'unknown scale "%"', scale USING ERRCODE = 'TE001', HINT = 'Scales are nps, csat, stars and thumbs.';
	ELSIF period IS NULL OR period <= interval '0' THEN
		RAISE EXCEPTION 'period must be a positive interval' USING ERRCODE = 'TE001';
	END IF;
	IF limits IS NOT NULL THEN
		IF jsonb_typeof(limits) <> 'object' OR jsonb_typeof(limits -> 'at_most') IS DISTINCT FROM 'number' OR NOT limits ? 'caps'
			OR limits - 'at_most' - 'caps' <> '{}' THEN
			RAISE EXCEPTION 'limits must have the keys "at_most", a number, and "caps"' USING ERRCODE = 'TE001',
				HINT = 'Write {"at_most": 2, "caps": [{"max": 1, "per": "7 days"}]}.';
		END IF;
		PERFORM trigger_engine._check_user_limits(NULL, limits -> 'caps');
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	SELECT s.owner INTO old FROM trigger_engine._surveys s WHERE s.name = name;
	IF FOUND THEN
		IF NOT coalesce(or_replace, false) THEN
			RAISE EXCEPTION 'survey "%" exists already', name USING ERRCODE = 'duplicate_object',
				HINT = 'Pass or_replace => true to replace it; answers stay.';
		END IF;
		PERFORM trigger_engine._check_owner(invoker, old, format('survey "%s"', name));
	END IF;
	INSERT INTO trigger_engine._surveys VALUES (name, question, scale, period, attribute, limits, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _surveys_pkey DO UPDATE SET question = excluded.question, scale = excluded.scale,
		period = excluded.period, attribute = excluded.attribute, limits = excluded.limits;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_survey(name, text, text, text, interval, text, jsonb, boolean) IS 'Behind create_survey().';

CREATE FUNCTION trigger_engine.drop_survey(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_survey(text, boolean) IS 'Drops a survey; its answers stay. Returns whether there was one. Error: undefined_object.';

CREATE FUNCTION trigger_engine._drop_survey(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, s.owner, format('survey "%s"', name)) FROM trigger_engine._surveys s WHERE s.name = name;
	DELETE FROM trigger_engine._surveys s WHERE s.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'survey "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_survey(name, text, boolean) IS 'Behind drop_survey().';

CREATE FUNCTION trigger_engine._survey(survey text) RETURNS trigger_engine._surveys
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result trigger_engine._surveys;
BEGIN
	SELECT * INTO result FROM trigger_engine._surveys s WHERE s.name = survey;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'survey "%" does not exist', survey USING ERRCODE = 'undefined_object',
			HINT = 'See the view trigger_engine.surveys.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trigger_engine._survey(text) IS 'A survey by name; throws when there is none.';

CREATE FUNCTION trigger_engine.ask(survey text, user_id text, send_id bigint DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	s trigger_engine._surveys := trigger_engine._survey(survey);
	now timestamptz := trigger_engine.clock();
BEGIN
	IF coalesce(user_id, '') = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- sessions that ask the same user at a time take turns
	PERFORM pg_advisory_xact_lock(hashtextextended(user_id, 7411));
	IF EXISTS (SELECT FROM trigger_engine._answers a WHERE a.user_id = user_id AND a.survey = survey AND a.asked_at > now - s.period) THEN
		RETURN NULL;
	END IF;
	INSERT INTO trigger_engine._answers (user_id, survey, asked_at, send_id) VALUES (user_id, survey, now, send_id);
	RETURN s.question;
END
$$;
COMMENT ON FUNCTION trigger_engine.ask(text, text, bigint) IS
'The question of a survey if the user may be asked now, and notes that they were; NULL when they were asked within its period. Error: undefined_object.';

CREATE FUNCTION trigger_engine._answer_class(scale text, score integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN $1 = 'nps' THEN CASE WHEN $2 >= 9 THEN 'positive' WHEN $2 >= 7 THEN 'neutral' ELSE 'negative' END
		WHEN $1 = 'thumbs' THEN CASE WHEN $2 = 1 THEN 'positive' ELSE 'negative' END
		ELSE CASE WHEN $2 >= 4 THEN 'positive' WHEN $2 = 3 THEN 'neutral' ELSE 'negative' END END
$$;
COMMENT ON FUNCTION trigger_engine._answer_class(text, integer) IS 'What an answer counts as: for nps promoter, passive and detractor (9 and 10, 7 and 8, below); for csat and stars 4 and 5, 3, below.';

CREATE FUNCTION trigger_engine.record_answer(survey text, user_id text, score integer, comment text DEFAULT NULL, item_id text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	s trigger_engine._surveys := trigger_engine._survey(survey);
	now timestamptz := trigger_engine.clock();
	last trigger_engine._answers;
	low CONSTANT integer := CASE s.scale WHEN 'nps' THEN 0 WHEN 'thumbs' THEN 0 ELSE 1 END;
	high CONSTANT integer := CASE s.scale WHEN 'nps' THEN 10 WHEN 'thumbs' THEN 1 ELSE 5 END;
	class text;
BEGIN
	IF coalesce(user_id, '') = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF score IS NULL OR score NOT BETWEEN low AND high THEN
		RAISE EXCEPTION 'an answer to survey "%" must be from % to %', survey, low, high USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended(user_id, 7411));
	SELECT * INTO last FROM trigger_engine._answers a
	WHERE a.user_id = user_id AND a.survey = survey ORDER BY a.asked_at DESC LIMIT 1;
	IF last.answered_at > now - s.period THEN
		RETURN false;
	ELSIF last.answered_at IS NULL AND last.asked_at IS NOT NULL THEN
		UPDATE trigger_engine._answers a SET answered_at = now, score = score, comment = comment
		WHERE a.user_id = user_id AND a.survey = survey AND a.asked_at = last.asked_at;
	ELSE
		INSERT INTO trigger_engine._answers (user_id, survey, asked_at, answered_at, score, comment)
		VALUES (user_id, survey, now, now, score, comment);
	END IF;
	class := trigger_engine._answer_class(s.scale, score);
	IF s.attribute IS NOT NULL THEN
		INSERT INTO trigger_engine.users AS u (user_id, attributes) VALUES (user_id, jsonb_build_object(s.attribute, score))
		ON CONFLICT ON CONSTRAINT users_pkey DO UPDATE SET attributes = u.attributes || excluded.attributes;
	END IF;
	IF s.limits IS NOT NULL AND score <= (s.limits ->> 'at_most')::numeric THEN
		PERFORM trigger_engine.set_message_limits(user_id, caps => s.limits -> 'caps');
	END IF;
	IF item_id IS NOT NULL THEN
		PERFORM trigger_engine.add_interest(user_id, i.features, CASE class WHEN 'positive' THEN 1 WHEN 'negative' THEN -1 ELSE 0 END)
		FROM trigger_engine._items i WHERE i.item_id = item_id;
	END IF;
	INSERT INTO trigger_engine.events (user_id, name, properties, occurred_at)
	VALUES (user_id, 'survey_answered', jsonb_strip_nulls(jsonb_build_object('survey', survey, 'scale', s.scale, 'score', score, 'class', class, 'item_id', item_id)), now);
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine.record_answer(text, text, integer, text, text) IS
'Records a user''s answer, one in a period of the survey: false when there was one. score: as the survey''s scale. item_id: what the answer is about; its features become an interest, or a dislike. Sets the survey''s attribute, lowers the user''s caps as it says, and inserts the event survey_answered with survey, scale, score, class (positive, neutral, negative) and item_id, all in the caller''s transaction. Errors: undefined_object, a score off the scale.';

CREATE VIEW trigger_engine.surveys AS
SELECT name, question, scale, period, attribute, limits, owner, created_at FROM trigger_engine._surveys;
COMMENT ON VIEW trigger_engine.surveys IS 'Surveys and how often one person is asked.';

CREATE VIEW trigger_engine.answers AS
SELECT a.user_id, a.survey, a.asked_at, a.answered_at, a.score, trigger_engine._answer_class(s.scale, a.score) AS class, a.comment, a.send_id
FROM trigger_engine._answers a LEFT JOIN trigger_engine._surveys s ON s.name = a.survey;
COMMENT ON VIEW trigger_engine.answers IS 'Who was asked, and what they answered; answered_at NULL = not yet.';

CREATE FUNCTION trigger_engine.survey_results(survey text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
	OUT asked bigint, OUT answered bigint, OUT positive bigint, OUT neutral bigint, OUT negative bigint, OUT mean double precision,
	OUT result double precision, OUT low double precision, OUT high double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	s trigger_engine._surveys := trigger_engine._survey(survey);
	p double precision;
	q double precision;
	half double precision;
BEGIN
	SELECT count(*), count(a.score), count(*) FILTER (WHERE c.class = 'positive'), count(*) FILTER (WHERE c.class = 'neutral'),
		count(*) FILTER (WHERE c.class = 'negative'), avg(a.score)
	INTO asked, answered, positive, neutral, negative, mean
	FROM trigger_engine._answers a CROSS JOIN LATERAL (SELECT CASE WHEN a.score IS NOT NULL THEN trigger_engine._answer_class(s.scale, a.score) END AS class) c
	WHERE a.survey = $1 AND a.asked_at >= $2 AND a.asked_at < $3;
	IF answered > 0 THEN
		p := positive / answered::double precision;
		q := CASE WHEN s.scale = 'nps' THEN negative / answered::double precision ELSE 0 END;
		half := 1.959963984540054 * sqrt((p + q - (p - q) ^ 2) / answered);
		result := 100 * (p - q);
		low := greatest(CASE WHEN s.scale = 'nps' THEN -100 ELSE 0 END, 100 * (p - q - half));
		high := least(100, 100 * (p - q + half));
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine.survey_results(text, timestamptz, timestamptz) IS
'What came of a survey among those asked from since to before until: result is for nps the net promoter score, percent of positive less percent of negative answers (Reichheld 2003), for the others the percent of positive ones; low and high bound its 95 % interval by the normal approximation of a trinomial. NULL without answers. Error: undefined_object.';

/* ---- traits ---- */

CREATE FUNCTION trigger_engine.set_traits(user_id text, traits jsonb, source text DEFAULT 'application') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF coalesce(user_id, '') = '' OR jsonb_typeof(traits) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'user_id is required, and traits must be a JSON object' USING ERRCODE = 'null_value_not_allowed';
	ELSIF EXISTS (SELECT FROM jsonb_each(traits) t WHERE jsonb_typeof(t.value) IN ('object', 'array') OR t.key = ''
		OR position('=' IN t.key) > 0 OR octet_length(t.key) > 100 OR octet_length(t.value #>> '{}') > 200) THEN
		RAISE EXCEPTION 'a trait has a name without "=" and one short value' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Write {"lifestyle": "outdoor", "price_sensitive": true}; null takes one away.';
	END IF;
	DELETE FROM trigger_engine._traits t USING jsonb_each(traits) e
	WHERE t.user_id = user_id AND t.trait = e.key AND e.value = 'null';
	INSERT INTO trigger_engine._traits
	SELECT user_id, e.key, e.value #>> '{}', coalesce(source, 'application'), trigger_engine.clock()
	FROM jsonb_each(traits) e WHERE e.value <> 'null' ORDER BY e.key
	ON CONFLICT ON CONSTRAINT _traits_pkey DO UPDATE SET value = excluded.value, source = excluded.source, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine.set_traits(text, jsonb, text) IS
'What a user is like, by name: lifestyle, values, attitudes, life situation; null takes a trait away, the others stay. source: where it comes from. Traits count in relevance_score() as features "trait.NAME" that do not fade, and are among engagement_features().';

CREATE VIEW trigger_engine.traits AS
SELECT user_id, trait, value, source, updated_at FROM trigger_engine._traits;
COMMENT ON VIEW trigger_engine.traits IS 'What people are like, and who said so.';
