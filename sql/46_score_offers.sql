/*
 * Offers: a discount by rule, with a code of one's own from a pool.
 *
 * A pool belongs to nobody; what somebody has reserved is a row of that user. So only
 * the worker and functions called for one user take from a pool, never a trigger.
 */

CREATE TABLE trigger_engine._offers (
	name		text PRIMARY KEY,
	discount	jsonb NOT NULL,
	rules		jsonb NOT NULL,
	with_codes	boolean NOT NULL,
	valid_from	timestamptz,
	valid_until timestamptz,
	valid_for	interval CHECK (valid_for > interval '0'),
	description text,
	owner		name NOT NULL,
	created_at	timestamptz NOT NULL
);
COMMENT ON TABLE trigger_engine._offers IS 'Offers by name; read through the view offers.';

CREATE TABLE trigger_engine._offer_codes (
	offer text NOT NULL,
	code  text NOT NULL,
	PRIMARY KEY (offer, code)
);
COMMENT ON TABLE trigger_engine._offer_codes IS 'Codes of offers that nobody has yet.';

CREATE FUNCTION trigger_engine._create_offer_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	EXECUTE $ddl$
	CREATE TABLE IF NOT EXISTS trigger_engine._user_offers (
		user_id		text NOT NULL,
		offer		text NOT NULL,
		code		text,
		discount	jsonb NOT NULL,
		reserved_at timestamptz NOT NULL,
		expires_at	timestamptz,
		journey_id	bigint,
		entry_key	text,
		step		text,
		redeemed_at timestamptz,
		PRIMARY KEY (user_id, offer)
	) WITH (fillfactor = 80)
	$ddl$;
END
$function$;
COMMENT ON FUNCTION trigger_engine._create_offer_tables() IS 'Creates the table of what people have of offers where it does not exist yet.';

SELECT trigger_engine._create_offer_tables();

COMMENT ON TABLE trigger_engine._user_offers IS
'What people have of offers: one row for each person and offer, from the reservation on, with the message it was reserved for. Read through the view user_offers.';

/* ---- definition ---- */

CREATE FUNCTION trigger_engine._check_discount(discount jsonb, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key text;
BEGIN
	IF jsonb_typeof(discount) IS DISTINCT FROM 'object' OR discount = '{}' THEN
		RAISE EXCEPTION '% must be a JSON object that says what there is', what USING ERRCODE = 'TE001',
			HINT = 'Write {"percent": 10}, {"amount": 5, "currency": "EUR"} or {"text": "free shipping"}.';
	END IF;
	FOR key IN SELECT jsonb_object_keys(discount) LOOP
		IF key NOT IN ('percent', 'amount', 'currency', 'text') THEN
			RAISE EXCEPTION 'unknown key "%" in %', key, what USING ERRCODE = 'TE001',
				HINT = 'The known keys are "percent", "amount", "currency" and "text".';
		END IF;
	END LOOP;
	IF discount ? 'percent' AND NOT (jsonb_typeof(discount -> 'percent') = 'number' AND (discount ->> 'percent')::numeric BETWEEN 0 AND 100) THEN
		RAISE EXCEPTION 'key "percent" of % must be a number from 0 to 100', what USING ERRCODE = 'TE001';
	ELSIF discount ? 'amount' AND NOT (jsonb_typeof(discount -> 'amount') = 'number' AND (discount ->> 'amount')::numeric >= 0) THEN
		RAISE EXCEPTION 'key "amount" of % must be a number that is not negative', what USING ERRCODE = 'TE001';
	ELSIF (discount ? 'amount') <> (discount ? 'currency') OR coalesce(discount ->> 'currency', 'EUR') !~ '^[A-Z]{3}$' THEN
		RAISE EXCEPTION 'keys "amount" and "currency" of % go together', what USING ERRCODE = 'TE001',
			HINT = 'Write {"amount": 5, "currency": "EUR"}.';
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_discount(jsonb, text) IS 'Throws, naming the key, where a discount makes no sense.';

CREATE FUNCTION trigger_engine._check_offer_rules(rules jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rule jsonb;
	key text;
	n integer := 0;
	what text;
BEGIN
	IF jsonb_typeof(rules) IS DISTINCT FROM 'array' THEN
		RAISE EXCEPTION 'rules must be a JSON array' USING ERRCODE = 'TE001',
			HINT = 'Write [{"segment": "vip", "discount": {"percent": 20}}].';
	END IF;
	FOR rule IN SELECT jsonb_array_elements(rules) LOOP
		n := n + 1;
		what := format('rule %s', n);
		IF jsonb_typeof(rule) <> 'object' THEN
			RAISE EXCEPTION '% must be a JSON object', what USING ERRCODE = 'TE001';
		END IF;
		FOR key IN SELECT jsonb_object_keys(rule) LOOP
			IF key NOT IN ('segment', 'attribute', 'interest', 'model', 'at_least', 'discount') THEN
				RAISE EXCEPTION 'unknown key "%" in %', key, what USING ERRCODE = 'TE001',
					HINT = 'The known keys are "segment", "attribute", "interest", "model", "at_least" and "discount".';
			END IF;
		END LOOP;
		IF (rule ? 'segment')::int + (rule ? 'attribute')::int + (rule ? 'interest')::int + (rule ? 'model')::int <> 1 THEN
			RAISE EXCEPTION '% needs one of "segment", "attribute", "interest" and "model"', what USING ERRCODE = 'TE001';
		ELSIF (rule ? 'interest' OR rule ? 'model') <> (coalesce(jsonb_typeof(rule -> 'at_least'), '') = 'number') THEN
			RAISE EXCEPTION 'key "at_least" of % must be a number, and goes with "interest" and "model"', what USING ERRCODE = 'TE001';
		ELSIF EXISTS (SELECT FROM unnest(ARRAY['segment', 'attribute', 'interest', 'model']) k WHERE rule ? k AND jsonb_typeof(rule -> k) <> 'string') THEN
			RAISE EXCEPTION 'the condition of % must be a string', what USING ERRCODE = 'TE001';
		ELSIF rule ? 'segment' AND NOT EXISTS (SELECT FROM trigger_engine._segments s WHERE s.name = rule ->> 'segment') THEN
			RAISE EXCEPTION 'segment "%" of % does not exist', rule ->> 'segment', what USING ERRCODE = 'undefined_object';
		ELSIF rule ? 'model' AND NOT EXISTS (SELECT FROM trigger_engine._models m WHERE m.name = rule ->> 'model' AND m.kind = 'logistic') THEN
			RAISE EXCEPTION 'there is no logistic model "%" for %', rule ->> 'model', what USING ERRCODE = 'undefined_object';
		END IF;
		IF rule ? 'attribute' THEN
			BEGIN
				PERFORM (rule ->> 'attribute')::jsonpath;
			EXCEPTION WHEN syntax_error THEN
				RAISE EXCEPTION 'key "attribute" of % is no jsonpath: %', what, SQLERRM USING ERRCODE = 'TE001',
					HINT = 'Write it as in "$.tier == \"gold\"".';
			END;
		END IF;
		PERFORM trigger_engine._check_discount(rule -> 'discount', 'discount of ' || what);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_offer_rules(jsonb) IS 'Throws, naming rule and key, where rules of an offer make no sense.';

CREATE FUNCTION trigger_engine.create_offer(name text, discount jsonb, rules jsonb DEFAULT '[]', with_codes boolean DEFAULT true,
	valid_from timestamptz DEFAULT NULL, valid_until timestamptz DEFAULT NULL, valid_for interval DEFAULT NULL,
	description text DEFAULT NULL, or_replace boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.create_offer(text, jsonb, jsonb, boolean, timestamptz, timestamptz, interval, text, boolean) IS
'An offer that messages may make: {{ offers.NAME.code }}, .percent, .amount, .currency, .text, .expires_at. discount: {"percent": 10}, {"amount": 5, "currency": "EUR"}, {"text": "free shipping"}. rules: an array; the first that holds gives its discount instead, {"segment": "vip", "discount": {...}}, {"attribute": jsonpath on the user''s attributes}, {"interest": "category=shoes", "at_least": 2}, {"model": name, "at_least": 0.7} on predict() of the user''s features. with_codes: each person gets a code of their own, see import_offer_codes() and generate_offer_codes(). valid_from, valid_until: of the offer; valid_for: of one person''s, from the reservation on. Errors: TE001, undefined_object.';

CREATE FUNCTION trigger_engine._create_offer(invoker name, name text, discount jsonb, rules jsonb, with_codes boolean,
	valid_from timestamptz, valid_until timestamptz, valid_for interval, description text, or_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	old name;
BEGIN
	IF coalesce(name, '') = '' THEN
		RAISE EXCEPTION 'an offer needs a name' USING ERRCODE = 'null_value_not_allowed';
	ELSIF name !~ '^[a-z_][a-z0-9_]*$' THEN
		RAISE EXCEPTION 'the name "%" cannot be written in a template', name USING ERRCODE = 'TE001',
			HINT = 'Use small letters, digits and underscores, as it stands in {{ offers.NAME.code }}.';
	ELSIF valid_until <= valid_from THEN
		RAISE EXCEPTION 'valid_until must come after valid_from' USING ERRCODE = 'TE001';
	ELSIF valid_for <= interval '0' THEN
		RAISE EXCEPTION 'valid_for must be a positive interval' USING ERRCODE = 'TE001';
	END IF;
	PERFORM trigger_engine._check_discount(discount, 'discount');
	PERFORM trigger_engine._check_offer_rules(coalesce(rules, '[]'));
	PERFORM trigger_engine._stamp_if_empty(invoker);
	SELECT o.owner INTO old FROM trigger_engine._offers o WHERE o.name = name;
	IF FOUND THEN
		IF NOT coalesce(or_replace, false) THEN
			RAISE EXCEPTION 'offer "%" exists already', name USING ERRCODE = 'duplicate_object',
				HINT = 'Pass or_replace => true to replace it; codes and reservations stay.';
		END IF;
		PERFORM trigger_engine._check_owner(invoker, old, format('offer "%s"', name));
	END IF;
	INSERT INTO trigger_engine._offers VALUES (name, discount, coalesce(rules, '[]'), coalesce(with_codes, true), valid_from,
		valid_until, valid_for, description, invoker, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _offers_pkey DO UPDATE SET discount = excluded.discount, rules = excluded.rules,
		with_codes = excluded.with_codes, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
		valid_for = excluded.valid_for, description = excluded.description;
END
$$;
COMMENT ON FUNCTION trigger_engine._create_offer(name, text, jsonb, jsonb, boolean, timestamptz, timestamptz, interval, text, boolean) IS 'Behind create_offer().';

CREATE FUNCTION trigger_engine.drop_offer(name text, if_exists boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.drop_offer(text, boolean) IS
'Drops an offer and the codes that nobody has. What people have reserved stays on record and can no longer be redeemed. Returns whether there was one. Error: undefined_object.';

CREATE FUNCTION trigger_engine._drop_offer(invoker name, name text, if_exists boolean) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	PERFORM trigger_engine._check_owner(invoker, o.owner, format('offer "%s"', name)) FROM trigger_engine._offers o WHERE o.name = name;
	DELETE FROM trigger_engine._offers o WHERE o.name = name;
	IF NOT FOUND AND NOT coalesce(if_exists, false) THEN
		RAISE EXCEPTION 'offer "%" does not exist', name USING ERRCODE = 'undefined_object';
	END IF;
	DELETE FROM trigger_engine._offer_codes c WHERE c.offer = name;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION trigger_engine._drop_offer(name, text, boolean) IS 'Behind drop_offer().';

/* ---- codes ---- */

CREATE FUNCTION trigger_engine.import_offer_codes(offer text, codes text[]) RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.import_offer_codes(text, text[]) IS
'Adds codes to an offer''s pool and returns how many were new: not those that are in it, or that somebody has, already. Error: undefined_object; an empty code, or one longer than 64 bytes.';

CREATE FUNCTION trigger_engine._import_offer_codes(invoker name, offer text, codes text[]) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	owner name;
	n integer;
BEGIN
	SELECT o.owner INTO owner FROM trigger_engine._offers o WHERE o.name = offer;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'offer "%" does not exist', offer USING ERRCODE = 'undefined_object';
	END IF;
	PERFORM trigger_engine._check_owner(invoker, owner, format('offer "%s"', offer));
	IF EXISTS (SELECT FROM unnest(codes) c WHERE c IS NULL OR c = '' OR octet_length(c) > 64) THEN
		RAISE EXCEPTION 'a code must have 1 to 64 bytes' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO trigger_engine._offer_codes
	SELECT DISTINCT offer, c FROM unnest(codes) c
	WHERE NOT EXISTS (SELECT FROM trigger_engine._user_offers u WHERE u.offer = offer AND u.code = c)
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION trigger_engine._import_offer_codes(name, text, text[]) IS 'Behind import_offer_codes().';

CREATE FUNCTION trigger_engine.generate_offer_codes(offer text, n integer, prefix text DEFAULT '', length integer DEFAULT 10)
RETURNS integer
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.generate_offer_codes(text, integer, text, integer) IS
'Adds n codes that nobody can guess to an offer''s pool: prefix, then so many (6 to 24) of 31 letters and digits that are not taken for one another, from the server''s strong random numbers. Returns how many, which is n. Error: undefined_object, more than a million at a time.';

CREATE FUNCTION trigger_engine._generate_offer_codes(invoker name, offer text, n integer, prefix text, length integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	alphabet CONSTANT text := '23456789ABCDEFGHJKMNPQRSTUVWXYZ';
	made integer := 0;
BEGIN
	IF n IS NULL OR n NOT BETWEEN 1 AND 1000000 THEN
		RAISE EXCEPTION 'n must be from 1 to 1000000' USING ERRCODE = 'invalid_parameter_value';
	ELSIF length IS NULL OR length NOT BETWEEN 6 AND 24 THEN
		RAISE EXCEPTION 'length must be from 6 to 24' USING ERRCODE = 'invalid_parameter_value';
	ELSIF octet_length(coalesce(prefix, '')) > 40 THEN
		RAISE EXCEPTION 'prefix must have at most 40 bytes' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	WHILE made < n LOOP
		made := made + trigger_engine._import_offer_codes(invoker, offer, ARRAY(
			SELECT coalesce(prefix, '') || (SELECT string_agg(substr(alphabet, get_byte(d.bytes, i) % 31 + 1, 1), '')
				FROM generate_series(0, length - 1) i)
			-- two uuids have 244 random bits; a digest spreads them evenly over its bytes
			FROM generate_series(1, n - made) g, LATERAL (SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
				|| int4send(g)) AS bytes) d));
	END LOOP;
	RETURN made;
END
$$;
COMMENT ON FUNCTION trigger_engine._generate_offer_codes(name, text, integer, text, integer) IS 'Behind generate_offer_codes().';

/* ---- for one person ---- */

CREATE FUNCTION trigger_engine._offer_discount(offer text, user_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	o trigger_engine._offers;
	rule jsonb;
	person jsonb;
	holds boolean;
BEGIN
	SELECT * INTO o FROM trigger_engine._offers f WHERE f.name = offer;
	FOR rule IN SELECT jsonb_array_elements(o.rules) LOOP
		IF rule ? 'segment' THEN
			holds := trigger_engine.in_segment(rule ->> 'segment', user_id);
		ELSIF rule ? 'interest' THEN
			holds := (SELECT trigger_engine._decayed(i.weight, i.at, trigger_engine.clock(), i.half_life) >= (rule ->> 'at_least')::float8
				FROM trigger_engine._interests i WHERE i.user_id = user_id AND i.feature = rule ->> 'interest');
		ELSE
			IF person IS NULL THEN
				SELECT coalesce(u.attributes, '{}') || jsonb_strip_nulls(jsonb_build_object('locale', u.locale, 'country', u.country, 'zone', u.zone))
				INTO person FROM trigger_engine.users u WHERE u.user_id = user_id;
				person := coalesce(person, '{}');
			END IF;
			IF rule ? 'model' THEN
				holds := trigger_engine.predict(rule ->> 'model', person) >= (rule ->> 'at_least')::float8;
			ELSE
				holds := person @@ (rule ->> 'attribute')::jsonpath OR (person @? (rule ->> 'attribute')::jsonpath
					AND person @@ (rule ->> 'attribute')::jsonpath IS NULL);
			END IF;
		END IF;
		IF holds THEN
			RETURN rule -> 'discount';
		END IF;
	END LOOP;
	RETURN o.discount;
END
$$;
COMMENT ON FUNCTION trigger_engine._offer_discount(text, text) IS 'What an offer gives a user by its rules.';

CREATE FUNCTION trigger_engine._reserve_offer(offer text, user_id text, journey_id bigint, entry_key text, step text,
	OUT code text, OUT discount jsonb, OUT expires_at timestamptz, OUT problem text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	o trigger_engine._offers;
	had trigger_engine._user_offers;
	now timestamptz := trigger_engine.clock();
BEGIN
	SELECT * INTO o FROM trigger_engine._offers f WHERE f.name = offer;
	IF NOT FOUND THEN
		problem := format('offer "%s" does not exist', offer);
	ELSIF now < o.valid_from THEN
		problem := format('offer "%s" begins at %s', offer, o.valid_from);
	ELSIF now >= o.valid_until THEN
		problem := format('offer "%s" ended at %s', offer, o.valid_until);
	END IF;
	IF problem IS NOT NULL THEN
		RETURN;
	END IF;
	-- one a person: two sessions that reserve for the same one meet here
	INSERT INTO trigger_engine._user_offers AS u
	VALUES (user_id, offer, NULL, '{}', now, NULL, journey_id, entry_key, step)
	ON CONFLICT ON CONSTRAINT _user_offers_pkey DO UPDATE SET offer = u.offer
	RETURNING * INTO had;
	IF had.discount <> '{}' THEN
		IF had.redeemed_at IS NOT NULL THEN
			problem := format('the user has redeemed offer "%s"', offer);
		ELSIF had.expires_at <= now THEN
			problem := format('offer "%s" of the user expired at %s', offer, had.expires_at);
		END IF;
		code := had.code;
		discount := had.discount;
		expires_at := had.expires_at;
		RETURN;
	END IF;
	IF o.with_codes THEN
		DELETE FROM trigger_engine._offer_codes c WHERE c.ctid = (SELECT p.ctid FROM trigger_engine._offer_codes p
			WHERE p.offer = offer LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING c.code INTO code;
		IF NOT FOUND THEN
			DELETE FROM trigger_engine._user_offers u WHERE u.user_id = user_id AND u.offer = offer;
			problem := format('offer "%s" has no codes left', offer);
			RETURN;
		END IF;
	END IF;
	discount := trigger_engine._offer_discount(offer, user_id);
	expires_at := least(o.valid_until, now + o.valid_for);
	UPDATE trigger_engine._user_offers u SET code = code, discount = discount, expires_at = expires_at
	WHERE u.user_id = user_id AND u.offer = offer;
END
$$;
COMMENT ON FUNCTION trigger_engine._reserve_offer(text, text, bigint, text, text) IS
'What a user has of an offer, reserved now if it was not before; problem says why there is nothing to offer.';

CREATE FUNCTION trigger_engine._offer_document(code text, discount jsonb, expires_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT discount || jsonb_strip_nulls(jsonb_build_object('code', code, 'expires_at', expires_at))
$$;
COMMENT ON FUNCTION trigger_engine._offer_document(text, jsonb, timestamptz) IS 'What a template sees of an offer.';

CREATE FUNCTION trigger_engine._reserve_offers(names text[], user_id text, journey_id bigint, entry_key text, step text,
	OUT offers jsonb, OUT problem text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	offer text;
	r record;
BEGIN
	offers := '{}';
	-- in one order, so that two who want the same do not wait for one another
	FOR offer IN SELECT DISTINCT n FROM unnest(names) n ORDER BY n LOOP
		r := trigger_engine._reserve_offer(offer, user_id, journey_id, entry_key, step);
		IF r.problem IS NOT NULL THEN
			problem := r.problem;
			RETURN;
		END IF;
		offers := offers || jsonb_build_object(offer, trigger_engine._offer_document(r.code, r.discount, r.expires_at));
	END LOOP;
END
$$;
COMMENT ON FUNCTION trigger_engine._reserve_offers(text[], text, bigint, text, text) IS
'The offers that a template names, reserved for a message: an object by name, or the problem with the first that is none.';

CREATE FUNCTION trigger_engine._sample_offers(names text[], user_id text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(o.name, trigger_engine._offer_document(CASE WHEN o.with_codes THEN 'SAMPLE-CODE' END,
		trigger_engine._offer_discount(o.name, $2), least(o.valid_until, trigger_engine.clock() + o.valid_for))), '{}')
	FROM trigger_engine._offers o WHERE o.name = ANY ($1)
$$;
COMMENT ON FUNCTION trigger_engine._sample_offers(text[], text) IS 'What a preview shows of offers; nothing is reserved.';

CREATE FUNCTION trigger_engine._release_offers(user_ids text[], journey_ids bigint[], entry_keys text[], steps text[]) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n integer;
BEGIN
	WITH released AS (
		DELETE FROM trigger_engine._user_offers u USING unnest(user_ids, journey_ids, entry_keys, steps) AS i(user_id, journey_id, entry_key, step)
		WHERE u.user_id = i.user_id AND u.journey_id = i.journey_id AND u.entry_key = i.entry_key AND u.step = i.step
			AND u.redeemed_at IS NULL
		RETURNING u.offer, u.code
	)
	INSERT INTO trigger_engine._offer_codes
	SELECT r.offer, r.code FROM released r JOIN trigger_engine._offers o ON o.name = r.offer WHERE r.code IS NOT NULL
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION trigger_engine._release_offers(text[], bigint[], text[], text[]) IS
'Gives back what was reserved for messages that were never handed over. Returns how many codes are free again.';

CREATE FUNCTION trigger_engine.reserve_offer(offer text, user_id text, OUT code text, OUT discount jsonb, OUT expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	r record;
BEGIN
	IF offer IS NULL OR coalesce(user_id, '') = '' THEN
		RAISE EXCEPTION 'offer and user_id are required' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	r := trigger_engine._reserve_offer(offer, user_id, NULL, NULL, NULL);
	IF r.problem IS NOT NULL THEN
		RAISE EXCEPTION '%', r.problem USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'See the views trigger_engine.offers and trigger_engine.user_offers.';
	END IF;
	code := r.code;
	discount := r.discount;
	expires_at := r.expires_at;
END
$$;
COMMENT ON FUNCTION trigger_engine.reserve_offer(text, text) IS
'Gives a user what there is of an offer, for an application that shows it: the same again at every call. Errors: no codes left, the offer has not begun or has ended, the user''s has expired or was redeemed (object_not_in_prerequisite_state).';

CREATE FUNCTION trigger_engine.redeem_offer(offer text, user_id text, code text DEFAULT NULL, properties jsonb DEFAULT '{}',
	OUT redeemed boolean, OUT reason text, OUT discount jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	u trigger_engine._user_offers;
	now timestamptz := trigger_engine.clock();
BEGIN
	IF offer IS NULL OR user_id IS NULL OR jsonb_typeof(coalesce(properties, '{}')) <> 'object' THEN
		RAISE EXCEPTION 'offer and user_id are required, and properties must be a JSON object' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	redeemed := false;
	SELECT * INTO u FROM trigger_engine._user_offers o WHERE o.user_id = user_id AND o.offer = offer FOR UPDATE;
	IF NOT FOUND THEN
		reason := 'not reserved for this user';
	ELSIF u.code IS DISTINCT FROM code THEN
		reason := 'another code';
	ELSIF u.redeemed_at IS NOT NULL THEN
		reason := format('redeemed at %s', u.redeemed_at);
	ELSIF u.expires_at <= now THEN
		reason := format('expired at %s', u.expires_at);
	ELSIF NOT EXISTS (SELECT FROM trigger_engine._offers o WHERE o.name = offer) THEN
		reason := 'the offer was dropped';
	ELSE
		UPDATE trigger_engine._user_offers o SET redeemed_at = now WHERE o.user_id = user_id AND o.offer = offer;
		INSERT INTO trigger_engine.events (user_id, name, properties, occurred_at)
		VALUES (user_id, 'offer_redeemed', coalesce(properties, '{}') || u.discount || jsonb_strip_nulls(jsonb_build_object('offer', offer, 'code', code)), now);
		redeemed := true;
		discount := u.discount;
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine.redeem_offer(text, text, text, jsonb) IS
'Redeems what a user has reserved of an offer, once, and inserts the event offer_redeemed with properties, the discount, offer and code, all in the caller''s transaction. redeemed false with its reason: not reserved for this user, another code, redeemed or expired before.';

CREATE VIEW trigger_engine.offers AS
SELECT o.name, o.discount, o.rules, o.with_codes, o.valid_from, o.valid_until, o.valid_for, o.description, o.owner,
	(SELECT count(*) FROM trigger_engine._offer_codes c WHERE c.offer = o.name) AS free_codes,
	u.reserved, u.redeemed, u.expired
FROM trigger_engine._offers o CROSS JOIN LATERAL (
	SELECT count(*) AS reserved, count(r.redeemed_at) AS redeemed,
		count(*) FILTER (WHERE r.redeemed_at IS NULL AND r.expires_at <= trigger_engine.clock()) AS expired
	FROM trigger_engine._user_offers r WHERE r.offer = o.name) u;
COMMENT ON VIEW trigger_engine.offers IS 'Offers with how many codes are free, and how many people have reserved, redeemed or let expire what they have.';

CREATE VIEW trigger_engine.user_offers AS
SELECT u.user_id, u.offer, u.code IS NOT NULL AS has_code, u.discount, u.reserved_at, u.expires_at, u.redeemed_at, j.name AS journey, u.step,
	CASE WHEN u.redeemed_at IS NOT NULL THEN 'redeemed' WHEN u.expires_at <= trigger_engine.clock() THEN 'expired' ELSE 'reserved' END AS state
FROM trigger_engine._user_offers u LEFT JOIN trigger_engine._journeys j USING (journey_id);
COMMENT ON VIEW trigger_engine.user_offers IS 'What people have of offers, and the message it was reserved for; codes are for their owners alone.';
