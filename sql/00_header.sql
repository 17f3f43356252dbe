-- complain if the script is sourced in psql rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION trigger_engine" to load this file. \quit

/*
 * Whoever owns the schema could put functions beside ours that fit a call better, and
 * have them run as the extension's owner.
 */
DO $$
DECLARE
	owner pg_catalog.oid := (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) 'trigger_engine');
BEGIN
	IF NOT (SELECT rolsuper OR rolname OPERATOR(pg_catalog.=) current_user FROM pg_catalog.pg_roles WHERE oid OPERATOR(pg_catalog.=) owner) THEN
		RAISE EXCEPTION 'schema "trigger_engine" exists already and is owned by %', owner::pg_catalog.regrole
			USING ERRCODE = 'insufficient_privilege', HINT = 'Drop it, or have it owned by a superuser.';
	END IF;
END
$$;
