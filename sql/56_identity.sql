/*
 * People as the application introduces them.
 */

CREATE FUNCTION trigger_engine.identify(user_id text, attributes jsonb DEFAULT '{}', locale text DEFAULT NULL,
	zone text DEFAULT NULL, country text DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.identify(text, jsonb, text, text, text, text) IS
'Adds a user, or changes what is known of one: attributes are merged into those that are there, one whose value is null is taken away; NULL leaves locale (BCP 47), zone (IANA), country (ISO 3166) and tenant as they are. Returns whether the user is new. Refuses a user who was erased; see readmit_user().';

CREATE FUNCTION trigger_engine._identify(invoker name, user_id text, attributes jsonb, locale text, zone text, country text,
	tenant text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	is_new boolean;
	gone text[];
BEGIN
	IF user_id IS NULL OR user_id = '' THEN
		RAISE EXCEPTION 'user_id is required' USING ERRCODE = 'null_value_not_allowed';
	ELSIF octet_length(user_id) > 512 THEN
		RAISE EXCEPTION 'user_id has at most 512 bytes' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	attributes := coalesce(attributes, '{}');
	IF jsonb_typeof(attributes) <> 'object' THEN
		RAISE EXCEPTION 'attributes must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
	ELSIF EXISTS (SELECT FROM trigger_engine._tombstones t
		WHERE t.digest = sha256(convert_to(user_id, getdatabaseencoding()))) THEN
		RAISE EXCEPTION 'user "%" was erased', user_id USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'If the same person has come back by choice, call readmit_user() first.';
	END IF;
	gone := ARRAY(SELECT a.key FROM jsonb_each(attributes) a WHERE jsonb_typeof(a.value) = 'null');
	INSERT INTO trigger_engine.users AS u (user_id, attributes, locale, zone, country, tenant)
	VALUES (user_id, attributes - gone, locale, zone, country, tenant)
	ON CONFLICT ON CONSTRAINT users_pkey DO UPDATE SET attributes = (u.attributes || attributes) - gone,
		locale = coalesce(excluded.locale, u.locale), zone = coalesce(excluded.zone, u.zone),
		country = coalesce(excluded.country, u.country), tenant = coalesce(excluded.tenant, u.tenant),
		updated_at = trigger_engine.clock()
	RETURNING xmax = 0 INTO is_new;
	RETURN is_new;
END
$$;
COMMENT ON FUNCTION trigger_engine._identify(name, text, jsonb, text, text, text, text) IS 'Behind identify().';
