/*
 * Experiments, holdouts and namespaces. A definition is a row for each epoch, never
 * changed afterwards, so that any past assignment can be computed again.
 */

CREATE SEQUENCE trigger_engine._experiment_id_seq AS bigint;

CREATE TABLE trigger_engine._namespaces (
	name		 text PRIMARY KEY,
	seed		 text NOT NULL,
	hash_version integer NOT NULL,
	owner		 name NOT NULL,
	description	 text,
	created_at	 timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._namespaces IS 'Layers that experiments take ranges of; read through the view namespaces.';

CREATE TABLE trigger_engine._experiments (
	experiment_id	bigint PRIMARY KEY DEFAULT nextval('trigger_engine._experiment_id_seq'),
	name			text NOT NULL UNIQUE,
	kind			text NOT NULL CHECK (kind IN ('experiment', 'holdout')),
	owner			name NOT NULL,
	epoch			integer NOT NULL,
	sticky			boolean NOT NULL,
	has_assignments boolean NOT NULL,
	journey			text,
	topic			text,
	description		text,
	created_at		timestamptz NOT NULL,
	updated_at		timestamptz NOT NULL,
	CHECK (journey IS NULL OR topic IS NULL)
);
COMMENT ON TABLE trigger_engine._experiments IS 'Experiments and holdouts by name; read through the view experiments.';

-- No foreign key: pg_restore loads member tables in any order when it has several jobs.
CREATE TABLE trigger_engine._experiment_epochs (
	experiment_id	  bigint NOT NULL,
	epoch			  integer NOT NULL,
	from_at			  timestamptz NOT NULL,
	state			  text NOT NULL CHECK (state IN ('draft', 'running', 'stopped', 'dropped')),
	variants		  jsonb NOT NULL,
	weights			  float8[] NOT NULL,
	coverage		  float8 NOT NULL,
	ranges			  float8[] NOT NULL,
	salt			  text NOT NULL,
	salt_epoch		  integer NOT NULL,
	hash_version	  integer NOT NULL,
	namespace		  text,
	namespace_seed	  text,
	namespace_version integer,
	namespace_range	  float8[],
	winner			  text,
	created_by		  name NOT NULL,
	PRIMARY KEY (experiment_id, epoch)
);
COMMENT ON TABLE trigger_engine._experiment_epochs IS 'Every definition of every experiment with the instant it holds from; kept for ever.';

DO $$
DECLARE
	config_table text;
BEGIN
	FOREACH config_table IN ARRAY ARRAY['_experiments', '_experiment_epochs']
	LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER _invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE'
			' ON trigger_engine.%I FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._invalidate()', config_table);
	END LOOP;
END
$$;

/* ---- namespaces ---- */

CREATE FUNCTION trigger_engine.create_namespace(name text, salt text DEFAULT NULL, hash_version int DEFAULT 2,
	description text DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_namespace(text, text, int, text, boolean) IS
'Creates a namespace (a layer): people are spread over it by bucket(salt, user_id, hash_version), and experiments take ranges of it that do not overlap, so that nobody is in two of them. Experiments of different namespaces, or of none, are independent. salt: default "__" and the name, with hash_version 1 as GrowthBook has it. or_replace changes the description; salt and hash_version only while no experiment refers to it.';

CREATE FUNCTION trigger_engine._create_namespace(invoker name, name text, salt text, hash_version int, description text,
	or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	present trigger_engine._namespaces;
BEGIN
	IF name IS NULL OR name = '' OR length(name) > 200 THEN
		RAISE EXCEPTION 'a namespace needs a name of 1 to 200 characters' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF trigger_engine.bucket('', '', hash_version) IS NULL THEN
		RAISE EXCEPTION 'unknown hash version %', hash_version USING ERRCODE = 'invalid_parameter_value',
			HINT = 'The versions are 1, 2, 3 and 4; see bucket().';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	salt := coalesce(salt, '__' || name);
	SELECT * INTO present FROM trigger_engine._namespaces n WHERE n.name = name FOR UPDATE;
	IF FOUND THEN
		IF NOT coalesce(or_replace, false) THEN
			RAISE EXCEPTION 'namespace "%" exists already', name USING ERRCODE = 'duplicate_object',
				HINT = 'Pass or_replace => true to replace it.';
		END IF;
		PERFORM trigger_engine._check_owner(invoker, present.owner, format('namespace "%s"', name));
		IF (salt, hash_version) IS DISTINCT FROM (present.seed, present.hash_version)
			AND EXISTS (SELECT FROM trigger_engine._namespace_users(name, NULL)) THEN
			RAISE EXCEPTION 'salt and hash version of namespace "%" cannot change while experiments use it', name
				USING ERRCODE = 'object_in_use', HINT = 'People would change between them. Create another namespace.';
		END IF;
	END IF;
	INSERT INTO trigger_engine._namespaces VALUES (name, salt, hash_version, invoker, description, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _namespaces_pkey DO UPDATE SET seed = excluded.seed, hash_version = excluded.hash_version,
		owner = excluded.owner, description = coalesce(excluded.description, _namespaces.description);
END
$$;
COMMENT ON FUNCTION trigger_engine._create_namespace(name, text, text, int, text, boolean) IS 'Behind create_namespace().';

CREATE FUNCTION trigger_engine._namespace_users(namespace text, except_id bigint)
RETURNS TABLE (experiment text, range_start float8, range_end float8)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT e.name, p.namespace_range[1], p.namespace_range[2]
	FROM trigger_engine._experiments e JOIN trigger_engine._experiment_epochs p USING (experiment_id, epoch)
	WHERE p.namespace = $1 AND p.state IN ('draft', 'running') AND e.experiment_id IS DISTINCT FROM $2
	ORDER BY 2, 1
$$;
COMMENT ON FUNCTION trigger_engine._namespace_users(text, bigint) IS 'Who holds which range of a namespace now.';

CREATE FUNCTION trigger_engine.drop_namespace(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_namespace(text, boolean) IS
'Drops a namespace. An error while a draft or running experiment holds a part of it; past assignments stay computable. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_namespace(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	holder text;
BEGIN
	PERFORM trigger_engine._check_owner(invoker, n.owner, format('namespace "%s"', name))
	FROM trigger_engine._namespaces n WHERE n.name = name FOR UPDATE;
	SELECT u.experiment INTO holder FROM trigger_engine._namespace_users(name, NULL) u LIMIT 1;
	IF holder IS NOT NULL THEN
		RAISE EXCEPTION 'namespace "%" is used by experiment "%"', name, holder
			USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Stop or drop the experiment first.';
	END IF;
	DELETE FROM trigger_engine._namespaces n WHERE n.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'namespace "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_namespace(name, text, boolean) IS 'Behind drop_namespace().';

/* ---- definitions ---- */

CREATE FUNCTION trigger_engine._compile_variants(variants jsonb, coverage float8,
	OUT stored jsonb, OUT weights float8[], OUT ranges float8[])
AS 'MODULE_PATHNAME', 'te_compile_variants'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._compile_variants(jsonb, float8) IS
'Variants in stored form with their weights and ranges. Error TE001 when the definition is wrong.';

CREATE FUNCTION trigger_engine._place_in_namespace(epoch trigger_engine._experiment_epochs)
RETURNS trigger_engine._experiment_epochs
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	holder record;
BEGIN
	IF epoch.namespace IS NULL THEN
		IF epoch.namespace_range IS NOT NULL THEN
			RAISE EXCEPTION 'a namespace_range needs a namespace' USING ERRCODE = 'invalid_parameter_value';
		END IF;
		RETURN epoch;
	END IF;
	-- the lock keeps two sessions from taking the same range
	SELECT n.seed, n.hash_version INTO epoch.namespace_seed, epoch.namespace_version
	FROM trigger_engine._namespaces n WHERE n.name = epoch.namespace FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'namespace "%" does not exist', epoch.namespace USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(epoch.namespace,
				ARRAY(SELECT n.name FROM trigger_engine._namespaces n ORDER BY n.name)) || '".',
				'Create it first with trigger_engine.create_namespace().');
	END IF;
	epoch.namespace_range := coalesce(epoch.namespace_range, '{0,1}');
	IF array_ndims(epoch.namespace_range) IS DISTINCT FROM 1 OR cardinality(epoch.namespace_range) <> 2
		OR (epoch.namespace_range[1] >= 0 AND epoch.namespace_range[1] < epoch.namespace_range[2]
			AND epoch.namespace_range[2] <= 1) IS NOT TRUE THEN
		RAISE EXCEPTION 'namespace_range must be two numbers between 0 and 1, the smaller first'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Write {0,0.5}.';
	END IF;
	SELECT * INTO holder FROM trigger_engine._namespace_users(epoch.namespace, epoch.experiment_id) u
	WHERE u.range_start < epoch.namespace_range[2] AND epoch.namespace_range[1] < u.range_end LIMIT 1;
	IF FOUND AND epoch.state IN ('draft', 'running') THEN
		RAISE EXCEPTION 'experiment "%" holds % to % of namespace "%"', holder.experiment, holder.range_start,
			holder.range_end, epoch.namespace USING ERRCODE = 'exclusion_violation',
			HINT = 'Take a part that nobody holds; the view trigger_engine.namespaces shows what is free.';
	END IF;
	RETURN epoch;
END
$$;
COMMENT ON FUNCTION trigger_engine._place_in_namespace(trigger_engine._experiment_epochs) IS
'Fills in the namespace''s hash; throws when the range is held by another experiment.';

CREATE FUNCTION trigger_engine._find_experiment(invoker name, name text) RETURNS trigger_engine._experiment_epochs
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	experiment trigger_engine._experiments;
	epoch trigger_engine._experiment_epochs;
BEGIN
	SELECT * INTO experiment FROM trigger_engine._experiments e WHERE e.name = name FOR UPDATE;
	SELECT * INTO epoch FROM trigger_engine._experiment_epochs p
	WHERE p.experiment_id = experiment.experiment_id AND p.epoch = experiment.epoch;
	IF NOT FOUND OR epoch.state = 'dropped' THEN
		RAISE EXCEPTION 'experiment "%" does not exist', name USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(name,
				ARRAY(SELECT e.name FROM trigger_engine.experiments e ORDER BY e.name)) || '".',
				'See the view trigger_engine.experiments.');
	END IF;
	PERFORM trigger_engine._check_owner(invoker, experiment.owner, format('experiment "%s"', name));
	RETURN epoch;
END
$$;
COMMENT ON FUNCTION trigger_engine._find_experiment(name, text) IS
'The present epoch of an experiment, which it locks; throws when it is not there or not the invoker''s.';

CREATE FUNCTION trigger_engine._add_epoch(invoker name, epoch trigger_engine._experiment_epochs) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	epoch.epoch := epoch.epoch + 1;
	epoch.from_at := trigger_engine.clock();
	epoch.created_by := invoker;
	epoch := trigger_engine._place_in_namespace(epoch);
	INSERT INTO trigger_engine._experiment_epochs VALUES (epoch.*);
	UPDATE trigger_engine._experiments e SET epoch = epoch.epoch, updated_at = epoch.from_at
	WHERE e.experiment_id = epoch.experiment_id;
	RETURN epoch.epoch;
END
$$;
COMMENT ON FUNCTION trigger_engine._add_epoch(name, trigger_engine._experiment_epochs) IS 'Stores the next epoch, which holds from now on.';

CREATE FUNCTION trigger_engine._put_experiment(invoker name, kind text, name text, definition trigger_engine._experiment_epochs,
	variants jsonb, sticky boolean, journey text, topic text, description text, or_replace boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	experiment trigger_engine._experiments;
	epoch trigger_engine._experiment_epochs;
BEGIN
	IF name IS NULL OR name = '' OR length(name) > 200 THEN
		RAISE EXCEPTION 'a name of 1 to 200 characters is required' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF trigger_engine.bucket('', '', definition.hash_version) IS NULL THEN
		RAISE EXCEPTION 'unknown hash version %', definition.hash_version USING ERRCODE = 'invalid_parameter_value',
			HINT = 'The versions are 1, 2, 3 and 4; see bucket().';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	SELECT c.stored, c.weights, c.ranges INTO definition.variants, definition.weights, definition.ranges
	FROM trigger_engine._compile_variants(variants, definition.coverage) c;
	SELECT * INTO experiment FROM trigger_engine._experiments e WHERE e.name = name FOR UPDATE;
	IF FOUND THEN
		SELECT * INTO epoch FROM trigger_engine._experiment_epochs p
		WHERE p.experiment_id = experiment.experiment_id AND p.epoch = experiment.epoch;
		IF epoch.state <> 'dropped' THEN
			IF NOT coalesce(or_replace, false) THEN
				RAISE EXCEPTION '% "%" exists already', experiment.kind, name USING ERRCODE = 'duplicate_object',
					HINT = 'Pass or_replace => true to give it a new definition, or use alter_experiment().';
			END IF;
			IF experiment.kind <> kind THEN
				RAISE EXCEPTION '"%" is of another kind', name USING ERRCODE = 'wrong_object_type',
					DETAIL = format('It is of kind %s.', experiment.kind);
			END IF;
			PERFORM trigger_engine._check_owner(invoker, experiment.owner, format('%s "%s"', kind, name));
			definition.salt := coalesce(definition.salt, epoch.salt);
		ELSE
			-- whoever is created again under an old name draws afresh
			PERFORM trigger_engine._check_owner(invoker, experiment.owner, format('%s "%s"', kind, name));
			definition.salt := coalesce(definition.salt, name || ':' || epoch.epoch + 1);
		END IF;
		definition.salt_epoch := epoch.salt_epoch
			+ ((definition.salt, definition.hash_version) IS DISTINCT FROM (epoch.salt, epoch.hash_version))::int;
		definition.epoch := epoch.epoch;
		UPDATE trigger_engine._experiments e SET kind = kind, owner = invoker, sticky = sticky, journey = journey, topic = topic,
			has_assignments = e.has_assignments OR sticky, description = coalesce(description, e.description)
		WHERE e.experiment_id = experiment.experiment_id;
	ELSE
		definition.salt := coalesce(definition.salt, name);
		definition.salt_epoch := 1;
		definition.epoch := 0;
		INSERT INTO trigger_engine._experiments (name, kind, owner, epoch, sticky, has_assignments, journey, topic, description,
			created_at, updated_at)
		VALUES (name, kind, invoker, 0, sticky, sticky, journey, topic, description, trigger_engine.clock(), trigger_engine.clock())
		RETURNING * INTO experiment;
	END IF;
	definition.experiment_id := experiment.experiment_id;
	PERFORM trigger_engine._add_epoch(invoker, definition);
	RETURN experiment.experiment_id;
END
$$;
COMMENT ON FUNCTION trigger_engine._put_experiment(name, text, text, trigger_engine._experiment_epochs, jsonb, boolean, text, text, text, boolean) IS
'Creates an experiment or a holdout, or replaces its definition.';

CREATE FUNCTION trigger_engine.create_experiment(name text, variants jsonb, coverage float8 DEFAULT 1,
	namespace text DEFAULT NULL, salt text DEFAULT NULL, namespace_range float8[] DEFAULT NULL,
	hash_version int DEFAULT 2, sticky boolean DEFAULT false, description text DEFAULT NULL,
	enabled boolean DEFAULT true, or_replace boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_experiment(text, jsonb, float8, text, text, float8[], int, boolean, text, boolean, boolean) IS
'Creates an experiment and returns its id. variants: names, or objects {"name", "weight", "value", "range"}, or {"factors": {"copy": ["short", "long"], "image": [...]}} for a multivariate one, whose variants are all combinations of levels ("copy=short,image=a"). The first variant is the control. weight: relative, default equal. value: any JSON, handed to the journey. range: [start, end] of the buckets instead of a weight. coverage: the part of people that takes part, 0 to 1; raising it moves nobody. namespace and namespace_range: a layer and the part of it that nobody else holds, default all. salt: the key of the hash, default the name. hash_version: see bucket(). sticky: assign() remembers its first answer, which then survives changes of weights. enabled false = draft. With or_replace an existing one gets a new epoch and keeps its salt unless another is given. Errors: TE001 for wrong variants, exclusion_violation for a range that is held.';

CREATE FUNCTION trigger_engine._create_experiment(invoker name, name text, variants jsonb, coverage float8, namespace text,
	salt text, namespace_range float8[], hash_version int, sticky boolean, description text, enabled boolean, or_replace boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs;
BEGIN
	IF variants IS NULL THEN
		RAISE EXCEPTION 'variants are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	epoch.coverage := coalesce(coverage, 1);
	epoch.namespace := namespace;
	epoch.namespace_range := namespace_range;
	epoch.salt := salt;
	epoch.hash_version := coalesce(hash_version, 2);
	epoch.state := CASE WHEN coalesce(enabled, true) THEN 'running' ELSE 'draft' END;
	RETURN trigger_engine._put_experiment(invoker, 'experiment', name, epoch, variants, coalesce(sticky, false), NULL, NULL,
		description, or_replace);
END
$$;
COMMENT ON FUNCTION trigger_engine._create_experiment(name, text, jsonb, float8, text, text, float8[], int, boolean, text, boolean, boolean) IS
'Behind create_experiment().';

CREATE FUNCTION trigger_engine.create_holdout(name text, share float8, journey text DEFAULT NULL, topic text DEFAULT NULL,
	salt text DEFAULT NULL, description text DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_holdout(text, float8, text, text, text, text, boolean) IS
'Creates a holdout: an experiment with the variants "held" and "free" that keeps a share of people (0 to 1) from the messages of a journey, of a topic, or, when both are NULL, from all. See held_out(). alter_holdout() changes the share or draws afresh; stop_experiment() and drop_experiment() end it.';

CREATE FUNCTION trigger_engine._holdout_variants(share float8) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (share > 0 AND share < 1) IS NOT TRUE THEN
		RAISE EXCEPTION 'share must be between 0 and 1, and neither of them' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN jsonb_build_array(jsonb_build_object('name', 'held', 'weight', share), jsonb_build_object('name', 'free', 'weight', 1 - share));
END
$$;
COMMENT ON FUNCTION trigger_engine._holdout_variants(float8) IS 'Variants of a holdout: a larger share keeps those who are held.';

CREATE FUNCTION trigger_engine._create_holdout(invoker name, name text, share float8, journey text, topic text, salt text,
	description text, or_replace boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs;
BEGIN
	IF journey IS NOT NULL AND topic IS NOT NULL THEN
		RAISE EXCEPTION 'a holdout is for a journey or for a topic, not for both' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Create two.';
	END IF;
	epoch.coverage := 1;
	epoch.salt := salt;
	epoch.hash_version := 2;
	epoch.state := 'running';
	RETURN trigger_engine._put_experiment(invoker, 'holdout', name, epoch, trigger_engine._holdout_variants(share), false,
		journey, topic, description, or_replace);
END
$$;
COMMENT ON FUNCTION trigger_engine._create_holdout(name, text, float8, text, text, text, text, boolean) IS 'Behind create_holdout().';

CREATE FUNCTION trigger_engine.alter_experiment(name text, variants jsonb DEFAULT NULL, coverage float8 DEFAULT NULL,
	namespace_range float8[] DEFAULT NULL, salt text DEFAULT NULL, sticky boolean DEFAULT NULL,
	description text DEFAULT NULL, new_name text DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.alter_experiment(text, jsonb, float8, float8[], text, boolean, text, text) IS
'Changes an experiment from now on, NULL leaves as it is, and returns the number of its new epoch; what was before stays computable. coverage alone moves nobody between variants. Other weights do, unless the experiment is sticky. salt: everybody draws afresh, and what was kept or imported no longer counts. new_name does not change the salt.';

CREATE FUNCTION trigger_engine._alter_experiment(invoker name, name text, variants jsonb, coverage float8,
	namespace_range float8[], salt text, sticky boolean, description text, new_name text)
RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs := trigger_engine._find_experiment(invoker, name);
	explicit boolean := epoch.ranges <> trigger_engine.bucket_ranges(cardinality(epoch.weights), epoch.coverage, epoch.weights);
BEGIN
	IF variants IS NOT NULL AND EXISTS (SELECT FROM trigger_engine._experiments e WHERE e.name = name AND e.kind = 'holdout') THEN
		RAISE EXCEPTION '"%" is a holdout', name USING ERRCODE = 'wrong_object_type', HINT = 'Use alter_holdout().';
	END IF;
	IF variants IS NOT NULL OR coverage IS NOT NULL THEN
		IF variants IS NULL AND explicit THEN
			RAISE EXCEPTION 'experiment "%" has explicit ranges instead of a coverage', name
				USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Pass variants with other ranges.';
		END IF;
		epoch.coverage := coalesce(coverage, epoch.coverage);
		SELECT c.stored, c.weights, c.ranges INTO epoch.variants, epoch.weights, epoch.ranges
		FROM trigger_engine._compile_variants(coalesce(variants,
			(SELECT jsonb_agg(v || jsonb_build_object('weight', epoch.weights[n]) ORDER BY n)
			FROM jsonb_array_elements(epoch.variants) WITH ORDINALITY v(v, n))), epoch.coverage) c;
	END IF;
	epoch.namespace_range := coalesce(namespace_range, epoch.namespace_range);
	IF salt <> epoch.salt THEN
		epoch.salt := salt;
		epoch.salt_epoch := epoch.salt_epoch + 1;
	END IF;
	IF new_name = '' OR length(new_name) > 200 THEN
		RAISE EXCEPTION 'a name of 1 to 200 characters is required' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF new_name <> name AND EXISTS (SELECT FROM trigger_engine._experiments e WHERE e.name = new_name) THEN
		RAISE EXCEPTION 'experiment "%" exists already', new_name USING ERRCODE = 'duplicate_object',
			HINT = 'The name of a dropped experiment stays taken, as its past can still be asked for.';
	END IF;
	UPDATE trigger_engine._experiments e SET sticky = coalesce(sticky, e.sticky), has_assignments = e.has_assignments OR coalesce(sticky, false),
		description = coalesce(description, e.description), name = coalesce(new_name, name)
	WHERE e.experiment_id = epoch.experiment_id;
	RETURN trigger_engine._add_epoch(invoker, epoch);
END
$$;
COMMENT ON FUNCTION trigger_engine._alter_experiment(name, text, jsonb, float8, float8[], text, boolean, text, text) IS 'Behind alter_experiment().';

CREATE FUNCTION trigger_engine.alter_holdout(name text, share float8 DEFAULT NULL, salt text DEFAULT NULL,
	description text DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.alter_holdout(text, float8, text, text) IS
'Changes a holdout from now on, NULL leaves as it is, and returns the number of its new epoch. A larger share keeps those who are held; another salt draws all afresh.';

CREATE FUNCTION trigger_engine._alter_holdout(invoker name, name text, share float8, salt text, description text)
RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs := trigger_engine._find_experiment(invoker, name);
BEGIN
	IF NOT EXISTS (SELECT FROM trigger_engine._experiments e WHERE e.name = name AND e.kind = 'holdout') THEN
		RAISE EXCEPTION '"%" is not a holdout', name USING ERRCODE = 'wrong_object_type', HINT = 'Use alter_experiment().';
	END IF;
	IF share IS NOT NULL THEN
		SELECT c.stored, c.weights, c.ranges INTO epoch.variants, epoch.weights, epoch.ranges
		FROM trigger_engine._compile_variants(trigger_engine._holdout_variants(share), 1) c;
	END IF;
	IF salt <> epoch.salt THEN
		epoch.salt := salt;
		epoch.salt_epoch := epoch.salt_epoch + 1;
	END IF;
	UPDATE trigger_engine._experiments e SET description = coalesce(description, e.description)
	WHERE e.experiment_id = epoch.experiment_id;
	RETURN trigger_engine._add_epoch(invoker, epoch);
END
$$;
COMMENT ON FUNCTION trigger_engine._alter_holdout(name, text, float8, text, text) IS 'Behind alter_holdout().';

CREATE FUNCTION trigger_engine.start_experiment(name text) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.start_experiment(text) IS
'Starts a draft, or an experiment or holdout that was stopped, with the variants people had. No effect on one that runs.';

CREATE FUNCTION trigger_engine._start_experiment(invoker name, name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs := trigger_engine._find_experiment(invoker, name);
BEGIN
	IF epoch.state <> 'running' THEN
		epoch.state := 'running';
		epoch.winner := NULL;
		PERFORM trigger_engine._add_epoch(invoker, epoch);
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._start_experiment(name, text) IS 'Behind start_experiment().';

CREATE FUNCTION trigger_engine.stop_experiment(name text, winner text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.stop_experiment(text, text) IS
'Stops an experiment or a holdout and frees its part of a namespace. winner: the variant that everybody gets from now on; NULL = nobody gets one. Past assignments stay computable.';

CREATE FUNCTION trigger_engine._stop_experiment(invoker name, name text, winner text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs := trigger_engine._find_experiment(invoker, name);
BEGIN
	PERFORM trigger_engine._check_variant(epoch, winner);
	IF winner IS NOT NULL AND EXISTS (SELECT FROM trigger_engine._experiments e WHERE e.name = name AND e.kind = 'holdout') THEN
		RAISE EXCEPTION 'a holdout has no winner' USING ERRCODE = 'wrong_object_type';
	END IF;
	epoch.state := 'stopped';
	epoch.winner := winner;
	PERFORM trigger_engine._add_epoch(invoker, epoch);
END
$$;
COMMENT ON FUNCTION trigger_engine._stop_experiment(name, text, text) IS 'Behind stop_experiment().';

CREATE FUNCTION trigger_engine._check_variant(epoch trigger_engine._experiment_epochs, variant text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	names text[] := ARRAY(SELECT v ->> 'name' FROM jsonb_array_elements(epoch.variants) v);
BEGIN
	IF variant <> ALL (names) THEN
		RAISE EXCEPTION 'there is no variant "%"', variant USING ERRCODE = 'undefined_object',
			HINT = coalesce('Perhaps you meant "' || trigger_engine._nearest(variant, names) || '".',
				'The variants are ' || array_to_string(names, ', ') || '.');
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_variant(trigger_engine._experiment_epochs, text) IS 'Throws unless the epoch has that variant; NULL is fine.';

CREATE FUNCTION trigger_engine.drop_experiment(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_experiment(text, boolean) IS
'Drops an experiment or a holdout from now on. What it said before stays computable by assignment(); created again under its name it draws afresh. Returns whether there was one.';

CREATE FUNCTION trigger_engine._drop_experiment(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs;
BEGIN
	IF coalesce(if_exists, false) AND NOT EXISTS (SELECT FROM trigger_engine.experiments e WHERE e.name = name) THEN
		RETURN false;
	END IF;
	epoch := trigger_engine._find_experiment(invoker, name);
	epoch.state := 'dropped';
	epoch.winner := NULL;
	PERFORM trigger_engine._add_epoch(invoker, epoch);
	RETURN true;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_experiment(name, text, boolean) IS 'Behind drop_experiment().';

/* ---- assignment ---- */

CREATE FUNCTION trigger_engine.assignment(experiment text, user_id text, at timestamptz DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'te_assignment'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.assignment(text, text, timestamptz) IS
'The variant of a person at an instant (NULL = now), computed from the definition that held then; NULL when the person is not in the experiment. Order: a forced variant; an imported or kept one of the same salt; the namespace; the hash. After the end: the winner. Error undefined_object for an unknown experiment.';

CREATE FUNCTION trigger_engine.assign(experiment text, user_id text) RETURNS text
AS 'MODULE_PATHNAME', 'te_assign'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.assign(text, text) IS
'As assignment() now; a sticky experiment remembers its first answer for a person, so that later changes of weights do not move them.';

CREATE FUNCTION trigger_engine.explain_assignment(experiment text, user_id text, at timestamptz DEFAULT NULL,
	OUT variant text, OUT value jsonb, OUT source text, OUT epoch int, OUT bucket float8, OUT propensity float8, OUT reason text)
AS 'MODULE_PATHNAME', 'te_explain_assignment'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.explain_assignment(text, text, timestamptz) IS
'Why a person has the variant, or none: source is hash, kept, imported, forced or winner; propensity the probability of the variant among those who are in the experiment; reason, when there is no variant, not_started, stopped, dropped, namespace or coverage.';

CREATE FUNCTION trigger_engine.held_out(user_id text, journey text DEFAULT NULL, topic text DEFAULT NULL,
	at timestamptz DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'te_held_out'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION trigger_engine.held_out(text, text, text, timestamptz) IS
'Name of the first holdout (global, then of the journey, then of the topic) that holds the person back at an instant (NULL = now); NULL when none does.';

CREATE FUNCTION trigger_engine.force_assignment(experiment text, user_id text, variant text) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.force_assignment(text, text, text) IS
'Gives a person a variant from now on, whatever the hash says, also in a draft; NULL releases them. Such people are no random sample: leave them out of read-outs (explain_assignment() says source forced).';

CREATE FUNCTION trigger_engine._force_assignment(invoker name, experiment text, user_id text, variant text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs := trigger_engine._find_experiment(invoker, experiment);
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM trigger_engine._check_variant(epoch, variant);
	INSERT INTO trigger_engine._assignments VALUES (user_id, epoch.experiment_id, trigger_engine.clock(), epoch.salt_epoch, 'forced', variant)
	ON CONFLICT ON CONSTRAINT _assignments_pkey DO UPDATE SET source = excluded.source, variant = excluded.variant,
		salt_epoch = excluded.salt_epoch;
	UPDATE trigger_engine._experiments e SET has_assignments = true
	WHERE e.experiment_id = epoch.experiment_id AND NOT e.has_assignments;
END
$$;
COMMENT ON FUNCTION trigger_engine._force_assignment(name, text, text, text) IS 'Behind force_assignment().';

CREATE FUNCTION trigger_engine.import_assignments(experiment text, user_ids text[], variants text[],
	at timestamptz DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.import_assignments(text, text[], text[], timestamptz) IS
'Takes over assignments of another system: these people keep the variant they had there until the salt changes. at: the instant they hold from, default now. Returns how many were stored; a person that is there twice has the last. Error undefined_object for a variant that the experiment does not have.';

CREATE FUNCTION trigger_engine._import_assignments(invoker name, experiment text, user_ids text[], variants text[], at timestamptz)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	epoch trigger_engine._experiment_epochs := trigger_engine._find_experiment(invoker, experiment);
	count bigint;
BEGIN
	IF user_ids IS NULL OR variants IS NULL OR cardinality(user_ids) <> cardinality(variants)
		OR EXISTS (SELECT FROM unnest(user_ids, variants) i(u, v) WHERE u IS NULL OR u = '' OR v IS NULL) THEN
		RAISE EXCEPTION 'user_ids and variants must have the same number of elements, and none of them null'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trigger_engine._check_variant(epoch, v) FROM (SELECT DISTINCT v FROM unnest(variants) v ORDER BY v) d;
	INSERT INTO trigger_engine._assignments (user_id, experiment_id, at, salt_epoch, source, variant)
	SELECT DISTINCT ON (i.u) i.u, epoch.experiment_id, coalesce(at, trigger_engine.clock()), epoch.salt_epoch, 'imported', i.v
	FROM unnest(user_ids, variants) WITH ORDINALITY i(u, v, n) ORDER BY i.u, i.n DESC
	ON CONFLICT ON CONSTRAINT _assignments_pkey DO UPDATE SET source = excluded.source, variant = excluded.variant,
		salt_epoch = excluded.salt_epoch;
	GET DIAGNOSTICS count = ROW_COUNT;
	UPDATE trigger_engine._experiments e SET has_assignments = true
	WHERE e.experiment_id = epoch.experiment_id AND NOT e.has_assignments;
	RETURN count;
END
$$;
COMMENT ON FUNCTION trigger_engine._import_assignments(name, text, text[], text[], timestamptz) IS 'Behind import_assignments().';

/* ---- views ---- */

CREATE VIEW trigger_engine.experiments AS
SELECT e.name, e.kind, p.state, ARRAY(SELECT v ->> 'name' FROM jsonb_array_elements(p.variants) WITH ORDINALITY v(v, n) ORDER BY n) AS variants,
	p.coverage, p.namespace, p.namespace_range, p.salt, p.hash_version, e.sticky, e.journey, e.topic, p.winner, e.epoch,
	e.owner, e.description, e.created_at, e.updated_at
FROM trigger_engine._experiments e JOIN trigger_engine._experiment_epochs p USING (experiment_id, epoch)
WHERE p.state <> 'dropped';
COMMENT ON VIEW trigger_engine.experiments IS 'Experiments and holdouts as they are now. state: draft, running, stopped.';

CREATE VIEW trigger_engine.experiment_variants AS
SELECT e.name AS experiment, v.v ->> 'name' AS variant, v.n::int AS position, v.v -> 'value' AS value, p.weights[v.n] AS weight,
	p.ranges[v.n][1] AS range_start, p.ranges[v.n][2] AS range_end,
	(trigger_engine.bucket_shares(p.ranges, p.hash_version))[v.n] AS share
FROM trigger_engine._experiments e JOIN trigger_engine._experiment_epochs p USING (experiment_id, epoch)
CROSS JOIN LATERAL jsonb_array_elements(p.variants) WITH ORDINALITY v(v, n)
WHERE p.state <> 'dropped';
COMMENT ON VIEW trigger_engine.experiment_variants IS
'Variants with their ranges of buckets; share is the exact part of those who get a variant, for srm_test().';

CREATE VIEW trigger_engine.experiment_epochs AS
SELECT e.name AS experiment, p.epoch, p.from_at, lead(p.from_at) OVER (PARTITION BY p.experiment_id ORDER BY p.epoch) AS until_at,
	p.state, p.salt, p.hash_version, p.coverage,
	ARRAY(SELECT v ->> 'name' FROM jsonb_array_elements(p.variants) WITH ORDINALITY v(v, n) ORDER BY n) AS variants, p.ranges,
	p.namespace, p.namespace_seed, p.namespace_version, p.namespace_range, p.winner, p.created_by
FROM trigger_engine._experiments e JOIN trigger_engine._experiment_epochs p USING (experiment_id);
COMMENT ON VIEW trigger_engine.experiment_epochs IS
'Every definition there ever was. An auditor computes a variant as variants[1 + choose_variant(bucket(salt, user_id, hash_version), ranges)], for people with namespace_range[1] <= bucket(namespace_seed, user_id, namespace_version) < namespace_range[2].';

CREATE VIEW trigger_engine.namespaces AS
SELECT n.name, n.seed AS salt, n.hash_version, coalesce(u.taken, 0) AS taken, coalesce(u.experiments, '{}') AS experiments,
	n.owner, n.description, n.created_at
FROM trigger_engine._namespaces n LEFT JOIN LATERAL (
	SELECT sum(p.namespace_range[2] - p.namespace_range[1]) AS taken,
		jsonb_object_agg(e.name, to_jsonb(p.namespace_range)) AS experiments
	FROM trigger_engine._experiments e JOIN trigger_engine._experiment_epochs p USING (experiment_id, epoch)
	WHERE p.namespace = n.name AND p.state IN ('draft', 'running')) u ON true;
COMMENT ON VIEW trigger_engine.namespaces IS 'Namespaces, the part of them that is taken, and the ranges of the experiments that hold it.';

CREATE VIEW trigger_engine.stored_assignments AS
SELECT a.user_id, e.name AS experiment, a.variant, a.source, a.at, a.salt_epoch
FROM trigger_engine._assignments a JOIN trigger_engine._experiments e USING (experiment_id);
COMMENT ON VIEW trigger_engine.stored_assignments IS
'Assignments that do not come from the hash: forced (a NULL variant is a release), imported, kept by sticky experiments.';
