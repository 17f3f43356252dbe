/*
 * Scoring: models as rows. What a function has fitted or trained is a version of a
 * named model; it dumps and restores like any configuration.
 */

CREATE TABLE trigger_engine._models (
	name	   text PRIMARY KEY,
	kind	   text NOT NULL CHECK (kind IN ('bg_nbd', 'pareto_nbd', 'gamma_gamma', 'kmeans', 'logistic', 'beta')),
	owner	   name NOT NULL,
	version	   integer NOT NULL,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._models IS 'Models by name, with the version in use; read through the view models.';

CREATE TABLE trigger_engine._model_versions (
	name		text NOT NULL,
	version		integer NOT NULL,
	parameters	jsonb NOT NULL,
	state		bytea,
	metrics		jsonb,
	options		jsonb,
	query		text,
	target		text,
	search_path text,
	created_at	timestamptz NOT NULL,
	created_by	name NOT NULL,
	PRIMARY KEY (name, version)
);
COMMENT ON TABLE trigger_engine._model_versions IS
'Every version of every model: its parameters, for logistic models the weights (state), how well it did, and the query it came from with the search_path that query runs under. Read through the view model_versions.';

/*
 * Rows of people, keyed by user_id first, created by one function so that they can also
 * be created apart from the extension.
 */
CREATE FUNCTION trigger_engine._create_score_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._engagement (
		user_id		text NOT NULL,
		channel		text NOT NULL,
		weekend		boolean NOT NULL,
		hour		smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
		sends		bigint NOT NULL DEFAULT 0,
		opens		bigint NOT NULL DEFAULT 0,
		clicks		bigint NOT NULL DEFAULT 0,
		conversions bigint NOT NULL DEFAULT 0,
		PRIMARY KEY (user_id, channel, weekend, hour)
	) WITH (fillfactor = 70)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._interests (
		user_id	  text NOT NULL,
		feature	  text NOT NULL,
		weight	  double precision NOT NULL,
		at		  timestamptz NOT NULL,
		half_life double precision NOT NULL,
		PRIMARY KEY (user_id, feature)
	) WITH (fillfactor = 70)
	$ddl$;

	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._user_items (
		user_id	 text NOT NULL,
		item_id	 text NOT NULL,
		times	 integer NOT NULL,
		first_at timestamptz NOT NULL,
		last_at	 timestamptz NOT NULL,
		PRIMARY KEY (user_id, item_id)
	) WITH (fillfactor = 70)
	$ddl$;

	EXECUTE 'CREATE SEQUENCE IF NOT EXISTS trigger_engine._basket_id_seq AS bigint';
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._baskets (
		user_id	  text NOT NULL,
		basket_id bigint NOT NULL DEFAULT nextval('trigger_engine._basket_id_seq'),
		items	  text[] NOT NULL,
		PRIMARY KEY (user_id, basket_id)
	)
	$ddl$;
END
$function$;
COMMENT ON FUNCTION trigger_engine._create_score_tables() IS 'Creates the tables of what is known of people''s interests and engagement where they do not exist yet.';

SELECT trigger_engine._create_score_tables();

COMMENT ON TABLE trigger_engine._engagement IS
'How many messages were sent to a user in each hour of their day, by channel, and how many of them were opened, clicked or led to a conversion. Counted by record_engagement().';
COMMENT ON TABLE trigger_engine._interests IS
'What users are interested in: for each feature ("category=shoes") its weight at an instant, from which on it halves with every half_life (seconds). Written by add_interest().';
COMMENT ON TABLE trigger_engine._user_items IS 'What users had in their baskets. Written by record_basket().';
COMMENT ON TABLE trigger_engine._baskets IS 'Baskets that refresh_recommendations() has not counted yet. Written by record_basket().';

CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON trigger_engine._models
	FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate();

CREATE FUNCTION trigger_engine._store_model(invoker name, name text, kind text, parameters jsonb, state bytea,
	metrics jsonb, options jsonb, query text, target text, search_path text)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	model trigger_engine._models;
	now timestamptz := trigger_engine.clock();
BEGIN
	IF name IS NULL OR name = '' THEN
		RAISE EXCEPTION 'a model needs a name' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	INSERT INTO trigger_engine._models VALUES (name, kind, invoker, 0, now, now) ON CONFLICT DO NOTHING;
	SELECT * INTO model FROM trigger_engine._models m WHERE m.name = name FOR UPDATE;
	PERFORM trigger_engine._check_owner(invoker, model.owner, format('model "%s"', name));
	IF model.kind <> kind THEN
		RAISE EXCEPTION 'model "%" is of kind %', name, model.kind USING ERRCODE = 'wrong_object_type',
			HINT = 'Choose another name, or drop it with trigger_engine.drop_model().';
	END IF;
	SELECT coalesce(max(v.version), 0) + 1 INTO model.version FROM trigger_engine._model_versions v WHERE v.name = name;
	INSERT INTO trigger_engine._model_versions
	VALUES (name, model.version, parameters, state, metrics, options, query, target, search_path, now, invoker);
	UPDATE trigger_engine._models m SET version = model.version, updated_at = now WHERE m.name = name;
	RETURN model.version;
END
$$;
COMMENT ON FUNCTION trigger_engine._store_model(name, text, text, jsonb, bytea, jsonb, jsonb, text, text, text) IS
'Stores a new version of a model and makes it the one in use.';

CREATE FUNCTION trigger_engine._find_model(name text, version integer) RETURNS trigger_engine._model_versions
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	model trigger_engine._model_versions;
BEGIN
	SELECT v.* INTO model FROM trigger_engine._models m JOIN trigger_engine._model_versions v USING (name)
	WHERE m.name = name AND v.version = coalesce(version, m.version);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'model "%" does not exist%', name, coalesce(' in version ' || version, '') USING ERRCODE = 'undefined_object',
			HINT = 'See the views trigger_engine.models and trigger_engine.model_versions.';
	END IF;
	RETURN model;
END
$$;
COMMENT ON FUNCTION trigger_engine._find_model(text, integer) IS 'A version of a model, the one in use for NULL; throws when there is none.';

CREATE FUNCTION trigger_engine.model_parameters(name text, version integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (trigger_engine._find_model(name, version)).parameters;
END
$$;
COMMENT ON FUNCTION trigger_engine.model_parameters(text, integer) IS
'Parameters of a model, of the version in use when version is NULL: what fit_churn(), fit_spend() or fit_kmeans() returned, for the functions that take a model. Error: undefined_object. To score a table, write it as a subquery in FROM, so that it is asked once.';

CREATE FUNCTION trigger_engine.model_metrics(name text, version integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (trigger_engine._find_model(name, version)).metrics;
END
$$;
COMMENT ON FUNCTION trigger_engine.model_metrics(text, integer) IS
'How well a version of a model did when it was trained, the one in use when version is NULL. Logistic: rows, positives, base_rate, log_loss and base_log_loss (nats a row, each row predicted before it was learned from), auc, calibration_error (10 bins of equal width, weighted by rows). Others: NULL, as their parameters say it. Error: undefined_object.';

CREATE FUNCTION trigger_engine.rollback_model(name text, version integer DEFAULT NULL) RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.rollback_model(text, integer) IS
'Puts an earlier version of a model in use: the given one, or the one before when version is NULL. Later versions stay and can be returned to. Returns the version now in use. Error: undefined_object when there is none.';

CREATE FUNCTION trigger_engine._rollback_model(invoker name, name text, version integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	model trigger_engine._models;
BEGIN
	SELECT * INTO model FROM trigger_engine._models m WHERE m.name = name FOR UPDATE;
	PERFORM trigger_engine._check_owner(invoker, model.owner, format('model "%s"', name));
	IF version IS NULL AND model.name IS NOT NULL THEN
		SELECT max(v.version) INTO version FROM trigger_engine._model_versions v WHERE v.name = name AND v.version < model.version;
		IF version IS NULL THEN
			RAISE EXCEPTION 'model "%" has no version before %', name, model.version USING ERRCODE = 'undefined_object';
		END IF;
	END IF;
	PERFORM trigger_engine._find_model(name, version);
	UPDATE trigger_engine._models m SET version = version, updated_at = trigger_engine.clock() WHERE m.name = name;
	RETURN version;
END
$$;
COMMENT ON FUNCTION trigger_engine._rollback_model(name, text, integer) IS 'Behind rollback_model().';

CREATE FUNCTION trigger_engine.retrain_model(name text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_retrain_model'
LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION trigger_engine.retrain_model(text) IS
'Makes a new version of a model by the query and the options of the version in use. The query runs as the model''s owner in a restricted operation, under the search_path it was stored with. Returns what the function returned that made the model. Errors: undefined_object, and what the query throws.';

CREATE FUNCTION trigger_engine.drop_model(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_model(text, boolean) IS 'Drops a model with all its versions. Returns whether there was one. Error: undefined_object.';

CREATE FUNCTION trigger_engine._drop_model(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, (SELECT m.owner FROM trigger_engine._models m WHERE m.name = name),
		format('model "%s"', name));
	DELETE FROM trigger_engine._model_versions v WHERE v.name = name;
	DELETE FROM trigger_engine._models m WHERE m.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'model "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_model(name, text, boolean) IS 'Behind drop_model().';

CREATE VIEW trigger_engine.models AS
SELECT m.name, m.kind, m.version, v.metrics, m.owner, v.created_at AS trained_at, m.created_at
FROM trigger_engine._models m JOIN trigger_engine._model_versions v USING (name, version);
COMMENT ON VIEW trigger_engine.models IS 'Models with the version in use and how well it did.';

CREATE VIEW trigger_engine.model_versions AS
SELECT v.name, v.version, v.version = m.version AS in_use, m.kind, v.parameters, v.metrics, v.options, v.query, v.target,
	pg_catalog.length(v.state) AS state_bytes, v.created_at, v.created_by, v.search_path
FROM trigger_engine._model_versions v JOIN trigger_engine._models m USING (name);
COMMENT ON VIEW trigger_engine.model_versions IS 'Every version of every model: parameters, metrics, options and the query it came from.';
