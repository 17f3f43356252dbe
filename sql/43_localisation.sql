/*
 * Localisation: locales and formats as functions, translated texts, days that are
 * not like others.
 */

/* ---- locales ---- */

CREATE FUNCTION trigger_engine.locale_chain(locale text) RETURNS text[]
AS 'MODULE_PATHNAME', 'te_sql_locale_chain'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.locale_chain(text) IS
'The locales whose texts a reader of a locale gets, best first: itself, with the script that is meant, its parents by CLDR 42, and the bare language if it is written in the same script. zh-TW gives {zh-TW,zh-Hant-TW,zh-Hant}, es-MX {es-MX,es-419,es}. What follows is the default. Errors: 22023 for a malformed locale.';

CREATE FUNCTION trigger_engine._locale_rank(wanted text, available text) RETURNS integer
AS 'MODULE_PATHNAME', 'te_sql_locale_rank'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._locale_rank(text, text) IS 'How well texts of a locale serve a reader of another: 0 is best, NULL not at all.';

CREATE FUNCTION trigger_engine.best_locale(wanted text, available text[]) RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_best_locale'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.best_locale(text, text[]) IS
'The available locale that serves a reader best, as it is written there: the first of locale_chain(), whether or not its script is written out, else another region of the same language and script. NULL when none fits or the wanted locale is malformed: then the default is meant.';

CREATE FUNCTION trigger_engine.locale_direction(locale text) RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_locale_direction'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.locale_direction(text) IS 'rtl when the locale''s script is written from right to left, else ltr. Errors: 22023 for a malformed locale.';

/* ---- plurals, characters, formats; ICU may change with the server, so they are STABLE ---- */

CREATE FUNCTION trigger_engine.plural_category(locale text, number text, kind text DEFAULT 'cardinal') RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_plural_category'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.plural_category(text, text, text) IS
'The CLDR plural category of a number as it is written (1 and 1.0 differ): zero, one, two, few, many or other. kind: cardinal or ordinal. Errors: 22P02 for what is no number, 22023 for a malformed locale or an unknown kind.';

CREATE FUNCTION trigger_engine.plural_categories(locale text, kind text DEFAULT 'cardinal') RETURNS text[]
AS 'MODULE_PATHNAME', 'te_sql_plural_categories'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.plural_categories(text, text) IS 'The CLDR plural categories that a locale tells apart. kind: cardinal or ordinal.';

CREATE FUNCTION trigger_engine.graphemes(value text) RETURNS text[]
AS 'MODULE_PATHNAME', 'te_sql_graphemes'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.graphemes(text) IS 'The characters of a text as people count them (Unicode''s extended grapheme clusters): an emoji of several code points is one.';

CREATE FUNCTION trigger_engine.format_number(value numeric, locale text DEFAULT 'en', style text DEFAULT 'decimal') RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_format_number'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.format_number(numeric, text, text) IS
'A number as a locale writes it. style: decimal, integer, percent, compact, compact_long, scientific, ordinal, words, or a number skeleton of ICU''s. Errors: 22023.';

CREATE FUNCTION trigger_engine.format_currency(value numeric, currency text, locale text DEFAULT 'en') RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_format_currency'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.format_currency(numeric, text, text) IS 'An amount of money as a locale writes it, in the currency''s own decimals. currency: a code of three letters. Errors: 22023.';

CREATE FUNCTION trigger_engine.format_date(at timestamptz, locale text DEFAULT 'en', style text DEFAULT 'medium', zone text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_format_date'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.format_date(timestamptz, text, text, text) IS
'A date as a locale writes it. style: short, medium, long, full, or a date skeleton of ICU''s such as yMMMd. zone NULL = the session''s. Years 1 to 9999. Errors: 22023.';

CREATE FUNCTION trigger_engine.format_time(at timestamptz, locale text DEFAULT 'en', style text DEFAULT 'short', zone text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_format_time'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.format_time(timestamptz, text, text, text) IS
'A time of day as a locale writes it. style: short, medium, long, full, or a skeleton such as jm. zone NULL = the session''s. Errors: 22023.';

CREATE FUNCTION trigger_engine.format_list(items text[], locale text DEFAULT 'en', style text DEFAULT 'and') RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_format_list'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.format_list(text[], text, text) IS 'Texts joined as a locale does: "A, B, and C". style: and, or, unit. NULL items are left out. Errors: 22023.';

CREATE FUNCTION trigger_engine.format_message(message text, arguments jsonb DEFAULT '{}', locale text DEFAULT 'en') RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_format_message'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine.format_message(text, jsonb, text) IS
'Fills in an ICU message: {name}, {n, plural, offset:1 =0 {..} one {..} other {# ..}}, selectordinal, select, number, date, time. An argument that is not given stays in its braces. Errors: TE005 with the position for a message that does not parse.';

CREATE FUNCTION trigger_engine._is_weekend(country text, day_of_week integer) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_sql_is_weekend'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._is_weekend(text, integer) IS 'Whether a day (0 = Sunday) is weekend in a country by CLDR.';

CREATE FUNCTION trigger_engine._icu_version() RETURNS text
AS 'MODULE_PATHNAME', 'te_sql_icu_version'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._icu_version() IS 'The version of the ICU library that formats.';

/* ---- translations ---- */

CREATE TABLE trigger_engine._translations (
	locale	   text NOT NULL,
	namespace  text NOT NULL,
	key		   text NOT NULL,
	tenant	   text NOT NULL,
	text	   text,
	plurals	   jsonb,
	owner	   name NOT NULL,
	updated_at timestamptz NOT NULL,
	PRIMARY KEY (namespace, key, locale, tenant),
	CHECK ((text IS NULL) <> (plurals IS NULL))
);
COMMENT ON TABLE trigger_engine._translations IS
'Translated texts; an empty namespace is for all templates, an empty tenant for all tenants. Read through the view translations.';

CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON trigger_engine._translations
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate();

CREATE VIEW trigger_engine.translations AS
SELECT locale, nullif(namespace, '') AS namespace, key, nullif(tenant, '') AS tenant, text, plurals, owner, updated_at
FROM trigger_engine._translations;
COMMENT ON VIEW trigger_engine.translations IS 'Translated texts by locale, namespace (a template''s name, or NULL for all) and key; text, or forms by plural category.';

CREATE FUNCTION trigger_engine._check_translation(translation text) RETURNS void
AS 'MODULE_PATHNAME', 'te_sql_check_translation'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION trigger_engine._check_translation(text) IS 'Throws unless a translated text parses: as a template if it has Liquid in it, as an ICU message if it has braces.';

CREATE FUNCTION trigger_engine._translation_keys(template text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_sql_translation_keys'
LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION trigger_engine._translation_keys(text) IS 'The keys that a template looks up by the filter or tag t, each with whether it does so with a count.';

CREATE FUNCTION trigger_engine._are_plurals(value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_typeof(value) = 'object' AND value ? 'other' AND NOT EXISTS (
		SELECT FROM jsonb_each(CASE WHEN jsonb_typeof(value) = 'object' THEN value ELSE '{}' END) f(form, said)
		WHERE form !~ '^(zero|one|two|few|many|other|=[0-9]+(\.[0-9]+)?)$' OR jsonb_typeof(said) <> 'string')
$$;
COMMENT ON FUNCTION trigger_engine._are_plurals(jsonb) IS 'Whether a value is texts by plural category and exact number, with one for other.';

CREATE FUNCTION trigger_engine._put_translation(invoker name, locale text, key text, "text" text, plurals jsonb, namespace text, tenant text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	form text;
	said text;
	unused text;
BEGIN
	IF key IS NULL OR key = '' OR length(key) > 500 THEN
		RAISE EXCEPTION 'a translation needs a key of 1 to 500 characters' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF ("text" IS NULL) = (plurals IS NULL) THEN
		RAISE EXCEPTION 'translation "%" needs either text or plurals', key USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF plurals IS NOT NULL AND NOT trigger_engine._are_plurals(plurals) THEN
		RAISE EXCEPTION 'plurals of translation "%" are malformed', key USING ERRCODE = 'TE001',
			HINT = 'Write {"one": "# item", "other": "# items"}; the forms are zero, one, two, few, many, other and =n, and other is required.';
	END IF;
	BEGIN
		PERFORM trigger_engine._check_translation("text");
		FOR form, said IN SELECT * FROM jsonb_each_text(coalesce(plurals, '{}'))
		LOOP
			PERFORM trigger_engine._check_translation(said);
		END LOOP;
	EXCEPTION WHEN SQLSTATE 'TE005' THEN
		RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'TE005', DETAIL = format('This is in translation "%s" for %s%s.', key, locale,
			coalesce(', form ' || form, ''));
	END;
	SELECT string_agg(f, ', ' ORDER BY f) INTO unused FROM jsonb_object_keys(coalesce(plurals, '{}')) f
	WHERE f <> 'zero' AND f !~ '^=' AND f <> ALL (trigger_engine.plural_categories(locale));
	IF unused IS NOT NULL THEN
		RAISE NOTICE 'translation "%" for % has forms that the language does not use: %', key, locale, unused;
	END IF;
	PERFORM trigger_engine._check_owner(invoker, t.owner, format('translation "%s" for %s', key, locale))
	FROM trigger_engine._translations t
	WHERE t.namespace = namespace AND t.key = key AND t.locale = locale AND t.tenant = tenant;
	INSERT INTO trigger_engine._translations VALUES (locale, namespace, key, tenant, "text", plurals, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _translations_pkey DO UPDATE SET text = excluded.text, plurals = excluded.plurals,
		owner = excluded.owner, updated_at = excluded.updated_at
	WHERE (_translations.text, _translations.plurals) IS DISTINCT FROM (excluded.text, excluded.plurals);
END
$$;
COMMENT ON FUNCTION trigger_engine._put_translation(name, text, text, text, jsonb, text, text) IS 'Checks and stores one translation; the locale is normalised.';

CREATE FUNCTION trigger_engine.set_translation(locale text, key text, "text" text DEFAULT NULL, plurals jsonb DEFAULT NULL,
	namespace text DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_translation(text, text, text, jsonb, text, text) IS
'Stores what {{ ''key'' | t }} and {% t key %} print in a locale: a text, which may be a template of the given arguments or an ICU message, or plurals: texts by CLDR category, with =n for exact numbers and # for the count. namespace: the name of the template it is for, NULL = all; tenant NULL = all. Replaces what was there. Errors: TE005 for a text that does not parse, TE001 for malformed plurals, 22023.';

CREATE FUNCTION trigger_engine._set_translation(invoker name, locale text, key text, "text" text, plurals jsonb,
	namespace text, tenant text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	IF locale IS NULL THEN
		RAISE EXCEPTION 'locale is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	PERFORM trigger_engine._put_translation(invoker, (trigger_engine.locale_chain(locale))[1], key, "text", plurals,
		coalesce(namespace, ''), coalesce(tenant, ''));
END
$$;
COMMENT ON FUNCTION trigger_engine._set_translation(name, text, text, text, jsonb, text, text) IS 'Behind set_translation().';

CREATE FUNCTION trigger_engine.import_translations(locale text, translations jsonb, namespace text DEFAULT NULL,
	tenant text DEFAULT NULL, drop_others boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.import_translations(text, jsonb, text, text, boolean) IS
'Stores the translations of a locale from one document, as translation tools export it: {"title": "Hello {name}", "cart": {"items": {"one": "# item", "other": "# items"}}}. Keys inside of objects are joined by dots; an object with other and only plural categories is plurals. drop_others also drops what the document does not have, in this locale, namespace and tenant. Returns how many it has. All or nothing; errors as of set_translation().';

CREATE FUNCTION trigger_engine._flat_translations(translations jsonb)
RETURNS TABLE (key text, value jsonb, are_plurals boolean)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE walk(key, value, depth, are_plurals) AS (
		SELECT e.key, e.value, 1, trigger_engine._are_plurals(e.value) FROM jsonb_each($1) e
		UNION ALL
		SELECT w.key || '.' || e.key, e.value, w.depth + 1, trigger_engine._are_plurals(e.value) FROM walk w
		CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(w.value) = 'object' AND NOT w.are_plurals THEN w.value ELSE '{}' END) e
		WHERE w.depth < 20
	)
	SELECT w.key, w.value, w.are_plurals FROM walk w
	WHERE jsonb_typeof(w.value) <> 'object' OR w.are_plurals OR w.depth = 20
$$;
COMMENT ON FUNCTION trigger_engine._flat_translations(jsonb) IS 'The texts and plurals in a document, their keys joined by dots; nothing is left out but what lies deeper than 20 levels, which is given as it is.';

CREATE FUNCTION trigger_engine._import_translations(invoker name, locale text, translations jsonb, namespace text,
	tenant text, drop_others boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	item record;
	tag text;
	counted bigint := 0;
BEGIN
	IF locale IS NULL OR translations IS NULL THEN
		RAISE EXCEPTION 'locale and translations are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF jsonb_typeof(translations) <> 'object' THEN
		RAISE EXCEPTION 'translations must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	tag := (trigger_engine.locale_chain(locale))[1];
	namespace := coalesce(namespace, '');
	tenant := coalesce(tenant, '');
	PERFORM trigger_engine._stamp_if_empty(invoker);
	FOR item IN SELECT f.key, f.value, f.are_plurals, f.key = lag(f.key) OVER (ORDER BY f.key) AS again
		FROM trigger_engine._flat_translations(translations) f ORDER BY f.key
	LOOP
		IF item.again THEN
			RAISE EXCEPTION 'translation "%" is there twice', item.key USING ERRCODE = 'TE001',
				HINT = 'A key with a dot in it is the same as one inside of an object.';
		ELSIF jsonb_typeof(item.value) <> 'string' AND NOT item.are_plurals THEN
			RAISE EXCEPTION 'translation "%" is neither text nor plurals', item.key USING ERRCODE = 'TE001',
				HINT = 'Values are strings, or objects of them in up to 20 levels.';
		END IF;
		PERFORM trigger_engine._put_translation(invoker, tag, item.key, CASE WHEN NOT item.are_plurals THEN item.value #>> '{}' END,
			CASE WHEN item.are_plurals THEN item.value END, namespace, tenant);
		counted := counted + 1;
	END LOOP;
	IF drop_others THEN
		PERFORM trigger_engine._check_owner(invoker, t.owner, format('translation "%s" for %s', t.key, t.locale))
		FROM trigger_engine._translations t WHERE t.locale = tag AND t.namespace = namespace AND t.tenant = tenant
			AND t.key NOT IN (SELECT f.key FROM trigger_engine._flat_translations(translations) f);
		DELETE FROM trigger_engine._translations t WHERE t.locale = tag AND t.namespace = namespace AND t.tenant = tenant
			AND t.key NOT IN (SELECT f.key FROM trigger_engine._flat_translations(translations) f);
	END IF;
	RETURN counted;
END
$$;
COMMENT ON FUNCTION trigger_engine._import_translations(name, text, jsonb, text, text, boolean) IS 'Behind import_translations().';

CREATE FUNCTION trigger_engine.drop_translation(key text, locale text DEFAULT NULL, namespace text DEFAULT NULL,
	tenant text DEFAULT NULL, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_translation(text, text, text, text, boolean) IS
'Drops a translation: of one locale, or of all when locale is NULL. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_translation(invoker name, key text, locale text, namespace text, tenant text, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	tag text := (trigger_engine.locale_chain(locale))[1];
BEGIN
	PERFORM trigger_engine._check_owner(invoker, t.owner, format('translation "%s" for %s', t.key, t.locale))
	FROM trigger_engine._translations t WHERE t.key = key AND t.namespace = coalesce(namespace, '')
		AND t.tenant = coalesce(tenant, '') AND (locale IS NULL OR t.locale = tag);
	DELETE FROM trigger_engine._translations t WHERE t.key = key AND t.namespace = coalesce(namespace, '')
		AND t.tenant = coalesce(tenant, '') AND (locale IS NULL OR t.locale = tag);
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'translation "%" does not exist', key USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_translation(name, text, text, text, text, boolean) IS 'Behind drop_translation().';

/*
 * Of the texts for a key the one is taken that the reader understands best: along the
 * chain of the reader's locale, then along that of the default; a tenant's own before
 * the general one, and at the same place of the chain the template's own.
 */
CREATE FUNCTION trigger_engine._best_translations(locale text, namespace text, default_locale text, tenant text)
RETURNS TABLE (key text, locale text, "text" text, plurals jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH ranked AS MATERIALIZED (
		SELECT l.locale, coalesce(trigger_engine._locale_rank($1, l.locale), 1000 + trigger_engine._locale_rank($3, l.locale)) AS rank
		FROM (SELECT DISTINCT t.locale FROM trigger_engine._translations t WHERE t.namespace IN ('', $2)) l
	)
	SELECT DISTINCT ON (t.key) t.key, t.locale, t.text, t.plurals
	FROM trigger_engine._translations t JOIN ranked r USING (locale)
	WHERE t.namespace IN ('', $2) AND t.tenant IN ('', coalesce($4, '')) AND r.rank IS NOT NULL
	ORDER BY t.key, r.rank >= 1000, t.tenant DESC, r.rank, t.namespace DESC, t.locale
$$;
COMMENT ON FUNCTION trigger_engine._best_translations(text, text, text, text) IS 'The translation of every key that serves a reader best.';

CREATE FUNCTION trigger_engine.translations_for(locale text, namespace text DEFAULT NULL, default_locale text DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(b.key, CASE
		WHEN split_part(b.locale, '-', 1) = split_part(r.tag, '-', 1) THEN coalesce(to_jsonb(b.text), b.plurals)
		WHEN b.text IS NOT NULL THEN jsonb_build_object('text', b.text, 'locale', b.locale)
		ELSE b.plurals || jsonb_build_object('locale', b.locale) END), '{}')
	FROM trigger_engine._best_translations($1, coalesce($2, ''), $3, $4) b
	CROSS JOIN (SELECT CASE WHEN trigger_engine._locale_rank($1, $1) IS NOT NULL THEN (trigger_engine.locale_chain($1))[1] END) r(tag)
$$;
COMMENT ON FUNCTION trigger_engine.translations_for(text, text, text, text) IS
'All translations for a reader in one document, as a render takes it: the namespace''s and the general ones, along the chain of the locale, then along that of default_locale. Texts in another language say which. A locale that is NULL or malformed is the default one.';

CREATE FUNCTION trigger_engine.missing_translations(locales text[] DEFAULT NULL, template text DEFAULT NULL)
RETURNS TABLE (template text, key text, locale text, problem text, categories text[])
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH wanted AS (
		SELECT DISTINCT (trigger_engine.locale_chain(l))[1] AS locale
		FROM unnest(coalesce($1, ARRAY(SELECT DISTINCT t.locale FROM trigger_engine._translations t))) l
	), used AS (
		-- what is live and what waits to be; a text for one locale is not seen by readers of others
		SELECT t.name AS template, k.key, w.locale, bool_or(k.counted::boolean) AS counted
		FROM trigger_engine.templates t
		JOIN trigger_engine.template_versions v ON v.name = t.name AND v.locale IS NOT DISTINCT FROM t.locale
			AND v.version IN (t.version, t.draft_version)
		JOIN wanted w ON t.locale IS NULL OR trigger_engine._locale_rank(w.locale, t.locale) IS NOT NULL
		CROSS JOIN LATERAL jsonb_path_query(v.content, 'strict $.** ? (@.type() == "string")') s(value)
		CROSS JOIN LATERAL jsonb_each(trigger_engine._translation_keys(s.value #>> '{}')) k(key, counted)
		WHERE $2 IS NULL OR t.name = $2
		GROUP BY 1, 2, 3
	), namespaces AS (
		SELECT DISTINCT u.template FROM used u
	), found AS MATERIALIZED (
		SELECT n.template, w.locale, b.key, b.locale AS text_locale, b.text, b.plurals
		FROM namespaces n CROSS JOIN wanted w
		CROSS JOIN LATERAL trigger_engine._best_translations(w.locale, n.template, NULL, NULL) b
	), joined AS (
		SELECT u.template, u.key, u.locale, u.counted, f.text, f.plurals, f.key IS NOT NULL AS is_there,
			EXISTS (SELECT FROM found s WHERE s.template = u.template AND s.locale = u.locale AND s.key = u.key || '.other') AS is_split,
			ARRAY(SELECT c FROM unnest(trigger_engine.plural_categories(coalesce(f.text_locale, u.locale))) WITH ORDINALITY x(c, n)
				WHERE CASE WHEN f.key IS NOT NULL THEN NOT f.plurals ? c
					ELSE NOT EXISTS (SELECT FROM found s WHERE s.template = u.template AND s.locale = u.locale AND s.key = u.key || '.' || c) END
				ORDER BY n) AS lacking
		FROM used u LEFT JOIN found f ON f.template = u.template AND f.locale = u.locale AND f.key = u.key
	)
	SELECT j.template, j.key, j.locale, CASE
			WHEN NOT j.is_there AND NOT (j.counted AND j.is_split) THEN 'no text'
			WHEN j.text IS NOT NULL THEN 'no plurals'
			ELSE 'plural categories' END,
		CASE WHEN j.is_there AND j.text IS NULL OR NOT j.is_there AND j.counted AND j.is_split THEN j.lacking END
	FROM joined j
	WHERE NOT j.is_there AND NOT (j.counted AND j.is_split)
		OR j.counted AND j.text IS NOT NULL AND j.text !~ '\{[{%]|, *(plural|selectordinal) *,'
		OR j.text IS NULL AND (j.is_there OR j.counted) AND j.lacking <> '{}'
	ORDER BY 1, 2, 3
$$;
COMMENT ON FUNCTION trigger_engine.missing_translations(text[], text) IS
'What is missing before a template can be sent in some locales (NULL = all that have any translation): keys it looks up by t without a text along the locale''s chain (problem: no text), keys with a count whose text has no plural forms (no plurals), and forms that the text''s language tells apart but lacks (plural categories). Keys that are worked out by a template are not seen.';

/* ---- days ---- */

CREATE TABLE trigger_engine._holidays (
	country	   text NOT NULL CHECK (country ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'),
	day		   date NOT NULL,
	name	   text NOT NULL,
	every_year boolean NOT NULL,
	owner	   name NOT NULL,
	updated_at timestamptz NOT NULL,
	PRIMARY KEY (country, day)
);
COMMENT ON TABLE trigger_engine._holidays IS
'Holidays by country (DE) or part of one (DE-BY); of those of every year the year is the first. Read through the view holidays.';

CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON trigger_engine._holidays
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate();

CREATE VIEW trigger_engine.holidays AS
SELECT country, day, name, every_year, owner, updated_at FROM trigger_engine._holidays;
COMMENT ON VIEW trigger_engine.holidays IS 'Holidays by country, or part of one.';

CREATE FUNCTION trigger_engine._check_country(country text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF country IS NULL OR upper(country) !~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$' THEN
		RAISE EXCEPTION '"%" is no country', country USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Write two letters as in DE, or with a part of the country as in DE-BY.';
	END IF;
	RETURN upper(country);
END
$$;
COMMENT ON FUNCTION trigger_engine._check_country(text) IS 'The country in capital letters; throws unless it is one, or a part of one.';

CREATE FUNCTION trigger_engine.create_holiday(country text, day date, name text, every_year boolean DEFAULT false,
	or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_holiday(text, date, text, boolean, boolean) IS
'Enters a holiday of a country (ISO 3166: DE) or of a part of it (DE-BY). every_year: on this day of each year from then on; 29 February is on 28 in other years. Errors: 42710 when there is one on that day, 22023.';

CREATE FUNCTION trigger_engine._create_holiday(invoker name, country text, day date, name text, every_year boolean, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	place text := trigger_engine._check_country(country);
	holder name;
BEGIN
	IF day IS NULL OR name IS NULL OR name = '' THEN
		RAISE EXCEPTION 'day and name are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	SELECT h.owner INTO holder FROM trigger_engine._holidays h WHERE h.country = place AND h.day = day;
	IF holder IS NOT NULL AND NOT coalesce(or_replace, false) THEN
		RAISE EXCEPTION 'a holiday of % on % exists already', place, day USING ERRCODE = 'duplicate_object',
			HINT = 'Pass or_replace => true to replace it.';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, holder, format('holiday of %s on %s', place, day));
	INSERT INTO trigger_engine._holidays VALUES (place, day, name, coalesce(every_year, false), invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _holidays_pkey DO UPDATE SET name = excluded.name, every_year = excluded.every_year,
		owner = excluded.owner, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_holiday(name, text, date, text, boolean, boolean) IS 'Behind create_holiday().';

CREATE FUNCTION trigger_engine.import_holidays(country text, days jsonb)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.import_holidays(text, jsonb) IS
'Enters holidays of a country from a document: {"2026-04-03": "Good Friday", "12-25": "Christmas Day"}; a day without a year is one of every year. Replaces those on the same days. Returns how many there are. Errors: 22023.';

CREATE FUNCTION trigger_engine._import_holidays(invoker name, country text, days jsonb)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	item record;
	counted bigint := 0;
BEGIN
	IF days IS NULL OR jsonb_typeof(days) <> 'object' THEN
		RAISE EXCEPTION 'days must be a JSON object' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Write {"2026-04-03": "Good Friday", "12-25": "Christmas Day"}.';
	END IF;
	FOR item IN SELECT d.key, d.value, d.key ~ '^\d\d-\d\d$' AS every_year FROM jsonb_each(days) d
	LOOP
		IF item.key !~ '^(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$' OR jsonb_typeof(item.value) <> 'string' THEN
			RAISE EXCEPTION 'holiday "%" is malformed', item.key USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Write {"2026-04-03": "Good Friday", "12-25": "Christmas Day"}.';
		END IF;
		-- a leap year, so that 29 February can be one
		PERFORM trigger_engine._create_holiday(invoker, country,
			(CASE WHEN item.every_year THEN '1904-' ELSE '' END || item.key)::date, item.value #>> '{}', item.every_year, true);
		counted := counted + 1;
	END LOOP;
	RETURN counted;
END
$$;
COMMENT ON FUNCTION trigger_engine._import_holidays(name, text, jsonb) IS 'Behind import_holidays().';

CREATE FUNCTION trigger_engine.drop_holiday(country text, day date, if_exists boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_holiday(text, date, boolean) IS 'Takes a holiday out, by the day it was entered with. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_holiday(invoker name, country text, day date, if_exists boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	place text := trigger_engine._check_country(country);
BEGIN
	PERFORM trigger_engine._check_owner(invoker, h.owner, format('holiday of %s on %s', place, day))
	FROM trigger_engine._holidays h WHERE h.country = place AND h.day = day;
	DELETE FROM trigger_engine._holidays h WHERE h.country = place AND h.day = day;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'there is no holiday of % on %', place, day USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_holiday(name, text, date, boolean) IS 'Behind drop_holiday().';

CREATE FUNCTION trigger_engine.is_holiday(country text, day date) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM trigger_engine._holidays h
		WHERE h.country IN (upper($1), left(upper($1), 2)) AND h.day = $2)
	OR EXISTS (SELECT FROM trigger_engine._holidays h
		WHERE h.country IN (upper($1), left(upper($1), 2)) AND h.every_year AND h.day <= $2
			AND (h.day + make_interval(years => (extract(year FROM $2) - extract(year FROM h.day))::integer))::date = $2)
$$;
COMMENT ON FUNCTION trigger_engine.is_holiday(text, date) IS 'Whether a day is a holiday of a country (DE), or of the country or its part (DE-BY).';

CREATE FUNCTION trigger_engine.is_working_day(country text, day date) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NOT trigger_engine._is_weekend(left(upper($1), 2), extract(dow FROM $2)::integer) AND NOT trigger_engine.is_holiday($1, $2)
$$;
COMMENT ON FUNCTION trigger_engine.is_working_day(text, date) IS 'Whether a day is neither weekend in a country (by CLDR: Friday and Saturday in Egypt) nor one of its holidays.';

CREATE FUNCTION trigger_engine.next_working_day(country text, day date, inclusive boolean DEFAULT false) RETURNS date
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT d::date FROM generate_series($2 + CASE WHEN $3 THEN 0 ELSE 1 END, $2 + 366, interval '1 day') d
	WHERE trigger_engine.is_working_day($1, d::date) LIMIT 1
$$;
COMMENT ON FUNCTION trigger_engine.next_working_day(text, date, boolean) IS 'The first working day of a country after a day, or from it on if inclusive; NULL when there is none within a year.';
