-- Segments: what an analyst writes runs with the analyst's rights, also where a pass of the engine runs it.
\set ECHO none
\i test/sql/include/fresh.sql
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_te_one, regress_te_two;
RESET client_min_messages;
CREATE ROLE regress_te_one;
CREATE ROLE regress_te_two;
SELECT grant_usage('regress_te_one', 'analyst'), grant_usage('regress_te_two', 'analyst') \gset g
GRANT CREATE, USAGE ON SCHEMA public TO regress_te_one, regress_te_two;
GRANT USAGE ON SCHEMA test TO regress_te_one, regress_te_two;
SELECT create_provider('shop', 'webhook', '{"url": "https://shop.example/hook"}');
SELECT set_secret('shop', '{"keys": ["file:shop"]}') \gset s
\set ECHO all
\set VERBOSITY terse

-- who a function in a view is, and what it may
SET ROLE regress_te_one;
CREATE FUNCTION public.who(user_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF user_id <> '' THEN
		RAISE EXCEPTION 'i am %', current_user;
	END IF;
	RETURN true;
END
$$;
CREATE VIEW public.who_am_i AS SELECT u AS user_id FROM unnest(ARRAY['a']) u WHERE public.who(u);
CREATE FUNCTION public.become() RETURNS text LANGUAGE plpgsql AS $$ BEGIN SET ROLE NONE; RETURN current_user; END $$;
CREATE VIEW public.becoming AS SELECT public.become() AS user_id;
CREATE FUNCTION public.peek() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT secret::text FROM trigger_engine._secrets; END $$;
CREATE VIEW public.peeking AS SELECT public.peek() AS user_id;
CREATE FUNCTION public.grab() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM trigger_engine.set_secret('shop', '{"keys": []}'); RETURN 'a'; END $$;
CREATE VIEW public.grabbing AS SELECT public.grab() AS user_id;
SELECT create_segment('who', 'public.who_am_i');
SELECT v, error(format('SELECT create_segment(%L, %L)', v, 'public.' || v)) FROM unnest(ARRAY['becoming', 'peeking', 'grabbing']) v;
RESET ROLE;
-- a pass that a superuser or the worker makes
SELECT error($$SELECT refresh_segment('who')$$);
SELECT maintain();
-- what a view's SQL says is shown to its owner
SET ROLE regress_te_one;
SELECT segment, state, error FROM segment_status;
SET ROLE regress_te_two;
SELECT segment, state, error FROM segment_status;
-- plans, too
SELECT error($$SELECT explain_segment('who')$$);
SELECT error($$SELECT create_segment('who', 'public.who_am_i', or_replace => true)$$);
SELECT error($$SELECT drop_segment('who')$$);
SELECT error($$SELECT trigger_engine._segment_plan('who', 'all')$$);
SELECT error($$SELECT * FROM trigger_engine._segment_rows('who', NULL, 0, NULL)$$);
SELECT error($$SELECT trigger_engine._pass_segment('who', true)$$);
SELECT error($$CREATE TABLE public.mine (user_id text); CREATE TRIGGER t AFTER INSERT ON public.mine REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trigger_engine._touch_users('user_id')$$);
RESET ROLE;
-- text that is not what it should be
CREATE VIEW "od""d; view" AS SELECT 'x'::text AS user_id, now() AS valid_until;
SELECT create_segment('''; DROP TABLE users; --', '"od""d; view"');
SELECT * FROM refresh_segment('''; DROP TABLE users; --');
SELECT segment_size('''; DROP TABLE users; --', true), (segment_overlap('''; DROP TABLE users; --', 'who')).only_a;
SELECT error($$SELECT create_segment('w', '"od""d; view"', work_mem => '64MB''; DROP TABLE users; --')$$);
CREATE TABLE "or""ders" (id int PRIMARY KEY, "us""er; x" text);
SELECT track_table('"or""ders"', 'order', 'us"er; x');
INSERT INTO "or""ders" VALUES (1, 'x'), (2, NULL);
UPDATE "or""ders" SET id = id + 10;
SELECT DISTINCT user_id FROM trigger_engine._segment_touched;
-- the type of a tracked table's column may bring a cast along: it does not run as the engine
SET ROLE regress_te_one;
CREATE TYPE public.tricky AS ENUM ('u');
CREATE FUNCTION public.tell(public.tricky) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'i am %', current_user; END $$;
CREATE CAST (public.tricky AS text) WITH FUNCTION public.tell(public.tricky);
CREATE TABLE public.visits (id int PRIMARY KEY, who public.tricky, code char(5));
RESET ROLE;
SELECT track_table('public.visits', 'visit', 'who');
SET ROLE regress_te_one;
INSERT INTO public.visits VALUES (1, 'u', 'c');
RESET ROLE;
SELECT track_table('public.visits', 'visit', 'code');
UPDATE public.visits SET id = 2;
SELECT DISTINCT quote_literal(user_id) FROM trigger_engine._segment_touched WHERE user_id IN ('u', 'c', 'c    ');
SET client_min_messages = warning;
SELECT bool_and(drop_segment(name)) FROM segments;
DROP TABLE "or""ders" CASCADE;
DROP VIEW "od""d; view";
DROP OWNED BY regress_te_one, regress_te_two CASCADE;
DROP ROLE regress_te_one, regress_te_two;
