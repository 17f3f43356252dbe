-- What CREATE EXTENSION leaves behind, and what it must not.
CREATE EXTENSION trigger_engine;
SELECT extversion, nspname, extrelocatable
  FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
 WHERE extname = 'trigger_engine';

CREATE TEMP VIEW member AS
SELECT classid, objid FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'trigger_engine');
CREATE TEMP VIEW member_function AS
SELECT p.*, p.oid::regprocedure AS signature
  FROM pg_proc p JOIN member ON classid = 'pg_proc'::regclass AND objid = p.oid;
CREATE TEMP VIEW member_relation AS
SELECT c.* FROM pg_class c JOIN member ON classid = 'pg_class'::regclass AND objid = c.oid;

-- everything lies in the one schema (the schema itself aside)
SELECT pg_describe_object(classid, objid, 0)
  FROM member m, pg_identify_object(classid, objid, 0) i
 WHERE i.schema IS DISTINCT FROM 'trigger_engine' AND classid <> 'pg_namespace'::regclass
   AND NOT (classid = 'pg_type'::regclass AND i.schema = 'trigger_engine')
 ORDER BY 1;

-- public objects without a comment
SELECT signature FROM member_function
 WHERE proname NOT LIKE '\_%' AND obj_description(oid, 'pg_proc') IS NULL
 ORDER BY signature::text;
SELECT relkind, relname FROM member_relation
 WHERE relname NOT LIKE '\_%' AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
   AND obj_description(oid, 'pg_class') IS NULL
 ORDER BY relname;
SELECT typname FROM pg_type JOIN member ON classid = 'pg_type'::regclass AND objid = pg_type.oid
 WHERE typtype IN ('e', 'd') AND typname NOT LIKE '\_%' AND obj_description(pg_type.oid, 'pg_type') IS NULL
 ORDER BY typname;

-- the functions that everybody may call: pure ones, and the filter of the capture trigger
SELECT signature, provolatile FROM member_function
 WHERE proacl IS NULL
    OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0)
 ORDER BY signature::text;
-- those that are not pure: what an INSERT calls
SELECT signature FROM member_function
 WHERE (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))
   AND (provolatile = 'v' OR prosecdef)
 ORDER BY signature::text;
-- relations and the schema: nothing for everybody, but the sequences behind the defaults
-- of tables that applications write, which are out of reach without the schema
SELECT relkind, relname, privilege_type FROM member_relation, aclexplode(relacl)
 WHERE grantee = 0
 ORDER BY relname;
SELECT privilege_type FROM pg_namespace, aclexplode(nspacl)
 WHERE nspname = 'trigger_engine' AND grantee = 0;
-- internals for nobody
SELECT signature FROM member_function, aclexplode(proacl) a
 WHERE proname LIKE '\_%' AND a.grantee NOT IN (0, proowner)
   AND proname NOT IN ('_is_watched')
 ORDER BY signature::text;
SELECT relname, grantee::regrole, privilege_type FROM member_relation, aclexplode(relacl)
 WHERE relname LIKE '\_%' AND grantee NOT IN (0, relowner)
 ORDER BY 1, 2, 3;

-- functions that look names up in a path the caller chooses
SELECT signature FROM member_function p JOIN pg_language l ON l.oid = prolang
 WHERE (prosecdef OR lanname = 'plpgsql')
   AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search\_path=pg\_catalog, pg\_temp')
 ORDER BY signature::text;

-- C functions carry our prefix
SELECT signature, prosrc FROM member_function
 WHERE probin IS NOT NULL AND prosrc !~ '^te_'
 ORDER BY signature::text;

-- public functions that change nothing, and what the planner may do with them
SELECT signature, provolatile, proisstrict AS strict, proparallel FROM member_function
 WHERE provolatile <> 'v' AND (proname NOT LIKE '\_%' OR proname = '_is_watched')
 ORDER BY signature::text;
-- a function that changes something may not run in a parallel worker
SELECT signature FROM member_function
 WHERE provolatile = 'v' AND proparallel = 's'
 ORDER BY signature::text;

-- what a dump leaves out: inline secrets, by design
SELECT relkind, relname FROM member_relation
 WHERE relkind IN ('r', 'S')
   AND oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'trigger_engine')
 ORDER BY relname;

-- keys of tables of users begin with the user
SELECT conrelid::regclass, conname FROM pg_constraint
  JOIN member_relation r ON r.oid = conrelid
  JOIN pg_attribute a ON a.attrelid = conrelid AND a.attname = 'user_id'
 WHERE contype IN ('p', 'u') AND conkey[1] <> a.attnum
 ORDER BY 1, 2;
-- partitioned parents carry no keys
SELECT conrelid::regclass, conname FROM pg_constraint
  JOIN member_relation r ON r.oid = conrelid AND relkind = 'p'
 WHERE contype IN ('p', 'u', 'x', 'f')
 ORDER BY 1, 2;

-- it leaves nothing behind, and comes again in the same session
DROP VIEW member_relation, member_function, member;
DROP EXTENSION trigger_engine;
SELECT count(*) FROM pg_class WHERE relnamespace = 'trigger_engine'::regnamespace;
SELECT count(*) FROM pg_proc WHERE pronamespace = 'trigger_engine'::regnamespace;
SELECT count(*) FROM pg_type WHERE typnamespace = 'trigger_engine'::regnamespace;
SELECT evtname FROM pg_event_trigger;
CREATE EXTENSION trigger_engine;

-- the script is for CREATE EXTENSION only, and the schema is fixed
CREATE SCHEMA elsewhere;
DROP EXTENSION trigger_engine;
CREATE EXTENSION trigger_engine SCHEMA elsewhere;
DROP SCHEMA elsewhere;
CREATE EXTENSION trigger_engine;
