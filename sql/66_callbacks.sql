/*
 * Callbacks: what services say about messages. Each function checks over the raw body
 * who sent it, then records. Nothing here needs the network.
 */

CREATE FUNCTION trigger_engine._hmac(digest text, key bytea, data bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'te_callback_hmac'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._hmac(text, bytea, bytea) IS 'HMAC (RFC 2104) with sha1 or sha256.';

CREATE FUNCTION trigger_engine._equal(a bytea, b bytea) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_callback_equal'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._equal(bytea, bytea) IS 'Whether two values are equal, in a time that says nothing about where they differ.';

CREATE FUNCTION trigger_engine._verify(public_key text, digest text, data bytea, signature bytea) RETURNS boolean
AS 'MODULE_PATHNAME', 'te_callback_verify'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trigger_engine._verify(text, text, bytea, bytea) IS
'Whether a signature (RSA PKCS #1, or ECDSA in DER) was made with the private half of a key, which is given in base64 or PEM, or in a certificate. Error TE001 when the key is none.';

CREATE FUNCTION trigger_engine._check_reference(reference text, what text) RETURNS void
AS 'MODULE_PATHNAME', 'te_callback_check_secret'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION trigger_engine._check_reference(text, text) IS 'Throws for a malformed reference to a secret; WARNING for a value, or a reference that cannot be read yet.';

CREATE FUNCTION trigger_engine._resolve_reference(reference text) RETURNS text
AS 'MODULE_PATHNAME', 'te_callback_resolve'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION trigger_engine._resolve_reference(text) IS 'What a reference to a secret stands for. Granted to nobody.';

/* ---- secrets ---- */

CREATE FUNCTION trigger_engine.set_callback_secret(source text, secret jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.set_callback_secret(text, jsonb) IS
'What callbacks of a service are checked with; NULL removes it. sendgrid: {"public_key"} as its settings show it. mailgun: {"signing_key"}. twilio: {"auth_token"}. postmark: {"username", "password"}, put into the address of the webhook. webhook (Standard Webhooks): {"keys": ["whsec_..."]}. sns: {"certificates": {"<SigningCertURL>": "<the certificate in PEM, fetched from there>"}, "topics": ["arn:..."]}. Secrets are "file:NAME", "env:TRIGGER_ENGINE_SECRET_NAME" or, for a trial, the value itself; public keys and certificates are given as they are. Readable by no role and in no dump. Errors: TE001.';

CREATE FUNCTION trigger_engine._set_callback_secret(invoker name, source text, secret jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	wanted text[] := CASE source WHEN 'sendgrid' THEN '{public_key}' WHEN 'mailgun' THEN '{signing_key}' WHEN 'twilio' THEN '{auth_token}'
		WHEN 'postmark' THEN '{password,username}' WHEN 'webhook' THEN '{keys}' WHEN 'sns' THEN '{certificates,topics}' END;
	k text;
BEGIN
	IF wanted IS NULL THEN
		RAISE EXCEPTION 'unknown source of callbacks "%"', source USING ERRCODE = 'TE001',
			HINT = 'Sources are sendgrid, mailgun, postmark, twilio, sns and webhook.';
	END IF;
	PERFORM trigger_engine._stamp_if_empty(invoker);
	IF secret IS NULL THEN
		DELETE FROM trigger_engine._callback_secrets s WHERE s.source = source;
		RETURN;
	END IF;
	IF jsonb_typeof(secret) <> 'object' OR ARRAY(SELECT jsonb_object_keys(secret) ORDER BY 1) <> wanted
		OR jsonb_typeof(secret -> wanted[1]) <> (CASE source WHEN 'webhook' THEN 'array' WHEN 'sns' THEN 'object' ELSE 'string' END)
		OR source = 'sns' AND jsonb_typeof(secret -> 'topics') <> 'array'
		OR source = 'postmark' AND jsonb_typeof(secret -> 'username') <> 'string' THEN
		RAISE EXCEPTION 'the secret of % must have exactly %', source, array_to_string(wanted, ' and ') USING ERRCODE = 'TE001';
	END IF;
	IF source NOT IN ('sns', 'sendgrid') THEN
		FOR k IN SELECT CASE WHEN jsonb_typeof(e.value) = 'array' THEN a.value ELSE e.value #>> '{}' END
			FROM jsonb_each(secret) e LEFT JOIN LATERAL jsonb_array_elements_text(CASE WHEN jsonb_typeof(e.value) = 'array' THEN e.value ELSE '[]' END) a ON true
			WHERE e.key <> 'username'
		LOOP
			PERFORM trigger_engine._check_reference(k, format('the secret of %s', source));
		END LOOP;
	END IF;
	INSERT INTO trigger_engine._callback_secrets VALUES (source, secret, trigger_engine.clock())
	ON CONFLICT ON CONSTRAINT _callback_secrets_pkey DO UPDATE SET secret = excluded.secret, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION trigger_engine._set_callback_secret(name, text, jsonb) IS 'Behind set_callback_secret().';

CREATE FUNCTION trigger_engine._callback_secret(source text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found_secret jsonb := (SELECT s.secret FROM trigger_engine._callback_secrets s WHERE s.source = $1);
BEGIN
	IF found_secret IS NULL THEN
		RAISE EXCEPTION 'callbacks of % cannot be checked', $1 USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call trigger_engine.set_callback_secret() first.';
	END IF;
	RETURN found_secret;
END
$$;
COMMENT ON FUNCTION trigger_engine._callback_secret(text) IS 'The secret of a source; an error when there is none.';

/* ---- what they have in common ---- */

CREATE FUNCTION trigger_engine._refuse_callback(source text, why text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'callback of % refused: %', source, why USING ERRCODE = 'invalid_authorization_specification';
END
$$;
COMMENT ON FUNCTION trigger_engine._refuse_callback(text, text) IS 'Throws: the callback was not made by whom it says, or too long ago.';

CREATE FUNCTION trigger_engine._check_callback(source text, valid boolean, at timestamptz, life interval) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF valid IS NOT TRUE THEN
		PERFORM trigger_engine._refuse_callback(source, 'its signature is not valid');
	ELSIF life IS NOT NULL AND (at IS NULL OR at < trigger_engine.clock() - life OR at > trigger_engine.clock() + least(life, interval '5 min')) THEN
		PERFORM trigger_engine._refuse_callback(source, 'it was signed at another time');
	END IF;
END
$$;
COMMENT ON FUNCTION trigger_engine._check_callback(text, boolean, timestamptz, interval) IS 'Refuses a callback that is not valid or older than its life; life NULL = it says no time.';

CREATE FUNCTION trigger_engine._request_header(name text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT nullif(current_setting('request.headers', true), '')::jsonb ->> lower($1) $$;
COMMENT ON FUNCTION trigger_engine._request_header(text) IS 'A header of the request that PostgREST is serving; NULL elsewhere.';

CREATE FUNCTION trigger_engine._unbase64(given text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN $1 ~ '^[A-Za-z0-9+/]+={0,2}$' AND length($1) % 4 = 0 AND length($1) <= 8192 THEN decode($1, 'base64') END
$$;
COMMENT ON FUNCTION trigger_engine._unbase64(text) IS 'Decoded base64; NULL when it is malformed.';

CREATE FUNCTION trigger_engine._instant(seconds text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN $1 ~ '^\d{1,11}(\.\d{1,9})?$' THEN to_timestamp($1::float8) END $$;
COMMENT ON FUNCTION trigger_engine._instant(text) IS 'Unix seconds as an instant; NULL when they are none.';

CREATE FUNCTION trigger_engine._iso_instant(given text) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN $1 ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$' THEN $1::timestamptz END $$;
COMMENT ON FUNCTION trigger_engine._iso_instant(text) IS 'An instant as ISO 8601 writes it; NULL when it is none.';

CREATE FUNCTION trigger_engine._record_callbacks(items jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	item record;
	new_ones integer := 0;
	repeated integer := 0;
	ignored integer := 0;
	done boolean;
BEGIN
	-- in one order, as several calls may bring the same ones
	FOR item IN SELECT i.value ->> 'kind' AS kind, CASE WHEN i.value ->> 'send_id' ~ '^\d{1,18}$' THEN (i.value ->> 'send_id')::bigint END AS send_id,
			(i.value ->> 'at')::timestamptz AS at, i.value ->> 'source' AS source, CASE WHEN jsonb_typeof(i.value -> 'data') = 'object' THEN jsonb_strip_nulls(i.value -> 'data') END AS data
		FROM jsonb_array_elements(items) i ORDER BY 2, 1, 4
	LOOP
		done := NULL;
		IF item.kind IS NOT NULL AND item.send_id IS NOT NULL THEN
			done := trigger_engine._record(item.kind, item.send_id, item.at, item.data,
				CASE WHEN octet_length(item.source) > 200 THEN encode(sha256(convert_to(item.source, 'UTF8')), 'hex') ELSE item.source END);
		END IF;
		new_ones := new_ones + coalesce(done, false)::integer;
		repeated := repeated + (NOT coalesce(done, true))::integer;
		ignored := ignored + (done IS NULL)::integer;
	END LOOP;
	RETURN jsonb_build_object('recorded', new_ones, 'repeated', repeated, 'ignored', ignored);
END
$$;
COMMENT ON FUNCTION trigger_engine._record_callbacks(jsonb) IS
'Records [{kind, send_id, at, source, data}]; ignored are those of no kind of ours, or of no message of ours.';

/* ---- Amazon SNS, with events of SES ---- */

CREATE FUNCTION trigger_engine._ses_items(event jsonb, message_id text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH e AS (
		SELECT lower(coalesce(event ->> 'eventType', event ->> 'notificationType')) AS type,
			coalesce(event #>> '{mail,tags,send_id,0}', (SELECT h ->> 'value' FROM jsonb_array_elements(CASE WHEN jsonb_typeof(event #> '{mail,headers}') = 'array'
				THEN event #> '{mail,headers}' ELSE '[]' END) h WHERE lower(h ->> 'name') = 'x-send-id' LIMIT 1)) AS send_id
	), d AS (
		SELECT e.*, event -> e.type AS detail FROM e
	)
	SELECT jsonb_agg(jsonb_build_object('send_id', send_id, 'source', message_id,
		'kind', CASE type WHEN 'delivery' THEN 'delivered' WHEN 'open' THEN 'opened' WHEN 'click' THEN 'clicked' WHEN 'bounce' THEN 'bounced'
			WHEN 'complaint' THEN CASE WHEN detail ->> 'complaintFeedbackType' IS DISTINCT FROM 'not-spam' THEN 'complained' END
			WHEN 'subscription' THEN 'unsubscribed' END,
		'at', trigger_engine._iso_instant(detail ->> 'timestamp'),
		'data', jsonb_build_object('address', coalesce(detail #>> '{bouncedRecipients,0,emailAddress}', detail #>> '{complainedRecipients,0,emailAddress}'),
			'bounce', CASE WHEN type = 'bounce' THEN CASE detail ->> 'bounceType' WHEN 'Permanent' THEN 'hard' ELSE 'soft' END END,
			'detail', left(coalesce(detail #>> '{bouncedRecipients,0,diagnosticCode}', detail ->> 'bounceSubType'), 500),
			'user_agent', detail ->> 'userAgent', 'url', detail ->> 'link')))
	FROM d
$$;
COMMENT ON FUNCTION trigger_engine._ses_items(jsonb, text) IS 'An event of SES as interactions. Our number is the tag send_id, or the header X-Send-Id.';

CREATE FUNCTION trigger_engine.ingest_sns(body text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.ingest_sns(text) IS
'Takes a notification of Amazon SNS that holds an event of SES. Checked with the certificate of its SigningCertURL, see set_callback_secret(), and only for the topics named there, up to a day old. Our number is the tag send_id, or the header X-Send-Id. Returns {"recorded", "repeated", "ignored"}; of a subscription''s confirmation {"confirm": the address to visit}. Errors: invalid_authorization_specification when it is not from there.';

CREATE FUNCTION trigger_engine._ingest_sns(invoker name, body text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	secret jsonb := trigger_engine._callback_secret('sns');
	m jsonb := body::jsonb;
	certificate text := secret #>> ARRAY['certificates', m ->> 'SigningCertURL'];
	signed text;
BEGIN
	IF certificate IS NULL OR m ->> 'SigningCertURL' !~ '^https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/' THEN
		PERFORM trigger_engine._refuse_callback('sns', format('there is no certificate for "%s"', left(m ->> 'SigningCertURL', 200)));
	ELSIF NOT coalesce(secret -> 'topics' ? (m ->> 'TopicArn'), false) THEN
		PERFORM trigger_engine._refuse_callback('sns', format('topic "%s" is not one of ours', left(m ->> 'TopicArn', 200)));
	END IF;
	SELECT string_agg(k || E'\n' || (m ->> k) || E'\n', '' ORDER BY k COLLATE "C") INTO signed
	FROM unnest(CASE WHEN m ->> 'Type' = 'Notification' THEN ARRAY['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']
		ELSE ARRAY['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'] END) k WHERE m ->> k IS NOT NULL;
	PERFORM trigger_engine._check_callback('sns', trigger_engine._verify(certificate, CASE m ->> 'SignatureVersion' WHEN '2' THEN 'sha256' ELSE 'sha1' END,
		convert_to(signed, 'UTF8'), trigger_engine._unbase64(m ->> 'Signature')), trigger_engine._iso_instant(m ->> 'Timestamp'), '1 day');
	IF m ->> 'Type' = 'SubscriptionConfirmation' THEN
		RETURN jsonb_build_object('confirm', CASE WHEN m ->> 'SubscribeURL' ~ '^https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/' THEN m ->> 'SubscribeURL' END);
	ELSIF m ->> 'Type' IS DISTINCT FROM 'Notification' THEN
		RETURN trigger_engine._record_callbacks('[]');
	END IF;
	RETURN trigger_engine._record_callbacks(trigger_engine._ses_items((m ->> 'Message')::jsonb, m ->> 'MessageId'));
END
$$;
COMMENT ON FUNCTION trigger_engine._ingest_sns(name, text) IS 'Behind ingest_sns().';

/* ---- SendGrid ---- */

CREATE FUNCTION trigger_engine.ingest_sendgrid(body text, signature text DEFAULT NULL, signed_at text DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.ingest_sendgrid(text, text, text) IS
'Takes a batch of SendGrid''s event webhook. body: the request''s, unchanged; signature and signed_at: its headers X-Twilio-Email-Event-Webhook-Signature and -Timestamp, under PostgREST taken from the request; at most ten minutes old. Our number is the custom argument send_id. Returns {"recorded", "repeated", "ignored"}. Errors: invalid_authorization_specification when it is not from there.';

CREATE FUNCTION trigger_engine._ingest_sendgrid(invoker name, body text, signature text, signed_at text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	signature_given text := coalesce(signature, trigger_engine._request_header('x-twilio-email-event-webhook-signature'));
	at_given text := coalesce(signed_at, trigger_engine._request_header('x-twilio-email-event-webhook-timestamp'));
BEGIN
	PERFORM trigger_engine._check_callback('sendgrid', trigger_engine._verify(trigger_engine._callback_secret('sendgrid') ->> 'public_key', 'sha256',
		convert_to(at_given || body, 'UTF8'), trigger_engine._unbase64(signature_given)), trigger_engine._instant(at_given), '10 min');
	RETURN (SELECT trigger_engine._record_callbacks(coalesce(jsonb_agg(jsonb_build_object('send_id', e ->> 'send_id', 'source', e ->> 'sg_event_id',
		'kind', CASE e ->> 'event' WHEN 'delivered' THEN 'delivered' WHEN 'open' THEN 'opened' WHEN 'click' THEN 'clicked' WHEN 'bounce' THEN 'bounced'
			WHEN 'spamreport' THEN 'complained' WHEN 'unsubscribe' THEN 'unsubscribed' WHEN 'group_unsubscribe' THEN 'unsubscribed' END,
		'at', trigger_engine._instant(e ->> 'timestamp'),
		'data', jsonb_build_object('address', e ->> 'email', 'user_agent', e ->> 'useragent', 'url', e ->> 'url', 'detail', left(e ->> 'reason', 500),
			'bounce', CASE WHEN e ->> 'event' = 'bounce' THEN CASE WHEN e ->> 'type' = 'blocked' THEN 'soft' ELSE 'hard' END END,
			'machine', CASE WHEN (e -> 'sg_machine_open') = 'true' THEN true END))), '[]'))
		FROM jsonb_array_elements(body::jsonb) e);
END
$$;
COMMENT ON FUNCTION trigger_engine._ingest_sendgrid(name, text, text, text) IS 'Behind ingest_sendgrid().';

/* ---- Postmark ---- */

CREATE FUNCTION trigger_engine.ingest_postmark(body text, "authorization" text DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.ingest_postmark(text, text) IS
'Takes a webhook of Postmark. authorization: the header of that name, with the user and password of set_callback_secret(); under PostgREST taken from the request. Our number is the metadata send_id. Returns {"recorded", "repeated", "ignored"}. Errors: invalid_authorization_specification when they are others.';

CREATE FUNCTION trigger_engine._ingest_postmark(invoker name, body text, "authorization" text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	secret jsonb := trigger_engine._callback_secret('postmark');
	given bytea := trigger_engine._unbase64(substring(coalesce("authorization", trigger_engine._request_header('authorization')) FROM '^[Bb]asic +(\S+)$'));
	e jsonb;
	type text;
BEGIN
	-- digests, so that not even the length of the password shows
	PERFORM trigger_engine._check_callback('postmark', trigger_engine._equal(sha256(given),
		sha256(convert_to((secret ->> 'username') || ':' || trigger_engine._resolve_reference(secret ->> 'password'), 'UTF8'))), NULL, NULL);
	e := body::jsonb;
	type := CASE e ->> 'RecordType' WHEN 'Delivery' THEN 'delivered' WHEN 'Open' THEN 'opened' WHEN 'Click' THEN 'clicked'
		WHEN 'SpamComplaint' THEN 'complained'
		WHEN 'Bounce' THEN CASE e ->> 'Type' WHEN 'SpamComplaint' THEN 'complained' WHEN 'Unsubscribe' THEN 'unsubscribed' ELSE 'bounced' END
		WHEN 'SubscriptionChange' THEN CASE WHEN (e -> 'SuppressSending') = 'true' THEN CASE e ->> 'SuppressionReason' WHEN 'HardBounce' THEN 'bounced'
			WHEN 'SpamComplaint' THEN 'complained' ELSE 'unsubscribed' END END END;
	RETURN trigger_engine._record_callbacks(jsonb_build_array(jsonb_build_object('kind', type, 'send_id', e #>> '{Metadata,send_id}',
		'at', trigger_engine._iso_instant(coalesce(e ->> 'DeliveredAt', e ->> 'BouncedAt', e ->> 'ReceivedAt', e ->> 'ChangedAt')),
		'source', concat_ws('/', e ->> 'MessageID', e ->> 'RecordType', coalesce(e ->> 'ID', e ->> 'ReceivedAt', e ->> 'ChangedAt')),
		'data', jsonb_build_object('address', coalesce(e ->> 'Email', e ->> 'Recipient'), 'user_agent', e ->> 'UserAgent', 'url', e ->> 'OriginalLink',
			'detail', left(coalesce(e ->> 'Details', e ->> 'Description'), 500),
			'bounce', CASE WHEN type = 'bounced' THEN CASE WHEN coalesce(e ->> 'SuppressionReason', e ->> 'Type') IN ('HardBounce', 'BadEmailAddress', 'ManuallyDeactivated')
				THEN 'hard' ELSE 'soft' END END))));
END
$$;
COMMENT ON FUNCTION trigger_engine._ingest_postmark(name, text, text) IS 'Behind ingest_postmark().';

/* ---- Mailgun ---- */

CREATE FUNCTION trigger_engine.ingest_mailgun(body text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.ingest_mailgun(text) IS
'Takes a webhook of Mailgun, which carries its signature in its body; at most a day old, as Mailgun goes on trying for hours. Our number is the user variable send_id. Returns {"recorded", "repeated", "ignored"}. Errors: invalid_authorization_specification when it is not from there.';

CREATE FUNCTION trigger_engine._ingest_mailgun(invoker name, body text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m jsonb := body::jsonb;
	s jsonb := m -> 'signature';
	e jsonb := m -> 'event-data';
BEGIN
	PERFORM trigger_engine._check_callback('mailgun', trigger_engine._equal(trigger_engine._hmac('sha256',
			convert_to(trigger_engine._resolve_reference(trigger_engine._callback_secret('mailgun') ->> 'signing_key'), 'UTF8'),
			convert_to((s ->> 'timestamp') || (s ->> 'token'), 'UTF8')),
		CASE WHEN s ->> 'signature' ~ '^[0-9a-f]{64}$' THEN decode(s ->> 'signature', 'hex') END), trigger_engine._instant(s ->> 'timestamp'), '1 day');
	RETURN trigger_engine._record_callbacks(jsonb_build_array(jsonb_build_object('send_id', e #>> '{user-variables,send_id}', 'source', e ->> 'id',
		'kind', CASE e ->> 'event' WHEN 'delivered' THEN 'delivered' WHEN 'opened' THEN 'opened' WHEN 'clicked' THEN 'clicked' WHEN 'failed' THEN 'bounced'
			WHEN 'complained' THEN 'complained' WHEN 'unsubscribed' THEN 'unsubscribed' END,
		'at', trigger_engine._instant(e ->> 'timestamp'),
		'data', jsonb_build_object('address', e ->> 'recipient', 'user_agent', e #>> '{client-info,user-agent}', 'url', e ->> 'url',
			'detail', left(coalesce(e #>> '{delivery-status,message}', e #>> '{delivery-status,description}'), 500),
			'bounce', CASE WHEN e ->> 'event' = 'failed' THEN CASE WHEN e ->> 'severity' = 'permanent' THEN 'hard' ELSE 'soft' END END,
			'machine', CASE WHEN coalesce(e #>> '{client-info,bot}', '') <> '' THEN true END))));
END
$$;
COMMENT ON FUNCTION trigger_engine._ingest_mailgun(name, text) IS 'Behind ingest_mailgun().';

/* ---- Twilio ---- */

CREATE FUNCTION trigger_engine._form_decode(given text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(convert_from(string_agg(CASE WHEN p.m[1] IS NOT NULL THEN decode(p.m[1], 'hex') ELSE convert_to(replace(p.m[2], '+', ' '), 'UTF8') END,
		''::bytea ORDER BY p.n), 'UTF8'), '')
	FROM regexp_matches($1, '%([0-9A-Fa-f]{2})|([^%]+|%)', 'g') WITH ORDINALITY p(m, n)
$$;
COMMENT ON FUNCTION trigger_engine._form_decode(text) IS 'A name or a value of a form as it was before it was encoded.';

CREATE FUNCTION trigger_engine._form(body text) RETURNS TABLE (name text, value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trigger_engine._form_decode(split_part(p, '=', 1)), trigger_engine._form_decode(substr(p, strpos(p || '=', '=') + 1))
	FROM string_to_table($1, '&') p WHERE p <> ''
$$;
COMMENT ON FUNCTION trigger_engine._form(text) IS 'The fields of a form, application/x-www-form-urlencoded.';

CREATE FUNCTION trigger_engine._take_reply(address text, words text, opt_out boolean, at timestamptz, source text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	channel text := CASE WHEN address ~ '^whatsapp:' THEN 'whatsapp' ELSE 'sms' END;
	number text := regexp_replace(address, '^whatsapp:', '');
	owner record;
	result jsonb := '[]';
BEGIN
	FOR owner IN SELECT DISTINCT e.user_id, (SELECT max(s.send_id) FROM trigger_engine._sends s WHERE s.user_id = e.user_id AND s.channel = channel) AS send_id
		FROM trigger_engine.endpoints e WHERE e.channel = channel AND e.address IN (number, address) ORDER BY 1
	LOOP
		-- one that is brought again, or late, must not undo what was said since
		IF opt_out IS NOT NULL AND NOT EXISTS (SELECT FROM trigger_engine._consents c
			WHERE c.user_id = owner.user_id AND c.channel = channel AND c.topic = ''
				AND source IN (c.proof ->> 'source', c.proof ->> 'source_id')) THEN
			PERFORM trigger_engine._set_consent(session_user::name, owner.user_id, channel, CASE WHEN opt_out THEN 'opted_out' ELSE 'opted_in' END, NULL,
				format('reply "%s"', words), at, jsonb_build_object('source', source));
		END IF;
		result := result || jsonb_build_object('kind', CASE WHEN opt_out IS NULL THEN 'replied' WHEN opt_out THEN 'unsubscribed' END,
			'send_id', owner.send_id, 'source', source,
			-- it leaves the channel, and not the topic of the message that it happens to answer
			'data', jsonb_build_object('text', words) || CASE WHEN opt_out THEN '{"topic": ""}'::jsonb ELSE '{}' END);
	END LOOP;
	RETURN trigger_engine._record_callbacks(result);
END
$$;
COMMENT ON FUNCTION trigger_engine._take_reply(text, text, boolean, timestamptz, text) IS
'What somebody wrote back from a number: opts all users out (or in) whose number it is, and is recorded for the last message to each.';

CREATE FUNCTION trigger_engine.ingest_twilio(url text, body text, signature text DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.ingest_twilio(text, text, text) IS
'Takes a request of Twilio: what became of a message, or what somebody wrote back. url: the address that Twilio called, whole, with its query, in which send_id is our number; body: the form, unchanged; signature: the header X-Twilio-Signature, under PostgREST taken from the request. STOP, STOPALL, UNSUBSCRIBE, CANCEL, END, QUIT, REVOKE and OPTOUT opt the number out of its channel, START, YES and UNSTOP opt it in, anything else is a reply to the last message. Returns {"recorded", "repeated", "ignored"}. Errors: invalid_authorization_specification when it is not from there.';

CREATE FUNCTION trigger_engine._ingest_twilio(invoker name, url text, body text, signature text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	fields jsonb := (SELECT coalesce(jsonb_object_agg(f.name, f.value), '{}') FROM trigger_engine._form(body) f);
	signed text := url || (SELECT coalesce(string_agg(f.name || f.value, '' ORDER BY f.name COLLATE "C", f.value COLLATE "C"), '')
		FROM (SELECT DISTINCT d.name, d.value FROM trigger_engine._form(body) d) f);
	status text := coalesce(fields ->> 'MessageStatus', fields ->> 'SmsStatus');
	code text := fields ->> 'ErrorCode';
	word text := upper(btrim(fields ->> 'Body', E' \t\r\n.!'));
BEGIN
	PERFORM trigger_engine._check_callback('twilio', trigger_engine._equal(trigger_engine._hmac('sha1',
			convert_to(trigger_engine._resolve_reference(trigger_engine._callback_secret('twilio') ->> 'auth_token'), 'UTF8'), convert_to(signed, 'UTF8')),
		trigger_engine._unbase64(coalesce(signature, trigger_engine._request_header('x-twilio-signature')))), NULL, NULL);
	IF fields ? 'Body' AND coalesce(status, 'received') = 'received' THEN
		RETURN trigger_engine._take_reply(fields ->> 'From', left(fields ->> 'Body', 1600),
			CASE WHEN word IN ('STOP', 'STOPALL', 'UNSUBSCRIBE', 'CANCEL', 'END', 'QUIT', 'REVOKE', 'OPTOUT') OR fields ->> 'OptOutType' = 'STOP' THEN true
				WHEN word IN ('START', 'YES', 'UNSTOP') OR fields ->> 'OptOutType' = 'START' THEN false END, NULL, fields ->> 'MessageSid');
	END IF;
	RETURN trigger_engine._record_callbacks(jsonb_build_array(jsonb_build_object(
		'send_id', (SELECT f.value FROM trigger_engine._form(substring(url FROM '\?([^#]*)')) f WHERE f.name = 'send_id' LIMIT 1),
		'source', concat_ws('/', fields ->> 'MessageSid', status),
		'kind', CASE WHEN status = 'delivered' THEN 'delivered' WHEN status = 'read' THEN 'opened'
			WHEN status IN ('undelivered', 'failed') THEN CASE WHEN code = '21610' THEN 'unsubscribed' ELSE 'bounced' END END,
		'data', jsonb_build_object('address', regexp_replace(fields ->> 'To', '^whatsapp:', ''), 'detail', code,
			'bounce', CASE WHEN status IN ('undelivered', 'failed') THEN CASE WHEN code IN ('30005', '30006', '21211', '21614') THEN 'hard' ELSE 'soft' END END))));
END
$$;
COMMENT ON FUNCTION trigger_engine._ingest_twilio(name, text, text, text) IS 'Behind ingest_twilio().';

/* ---- anybody else: Standard Webhooks ---- */

CREATE FUNCTION trigger_engine.ingest_webhook(body text, webhook_id text DEFAULT NULL, webhook_timestamp text DEFAULT NULL,
	webhook_signature text DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'te_call_as_owner'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION trigger_engine.ingest_webhook(text, text, text, text) IS
'Takes a webhook after Standard Webhooks 1.0 from an app or a service of your own: {"type": "message.clicked", "timestamp": ISO 8601, "data": {"send_id": ..., ...}}; the last part of type is the kind of interaction, data is kept. The other arguments are its headers, under PostgREST taken from the request; at most five minutes old. Returns {"recorded", "repeated", "ignored"}. Errors: invalid_authorization_specification when its signature is not by one of the keys.';

CREATE FUNCTION trigger_engine._ingest_webhook(invoker name, body text, webhook_id text, webhook_timestamp text, webhook_signature text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id text := coalesce(webhook_id, trigger_engine._request_header('webhook-id'));
	at text := coalesce(webhook_timestamp, trigger_engine._request_header('webhook-timestamp'));
	signatures text := coalesce(webhook_signature, trigger_engine._request_header('webhook-signature'));
	secret jsonb := trigger_engine._callback_secret('webhook');
	e jsonb;
	kind text;
BEGIN
	PERFORM trigger_engine._check_callback('webhook', (SELECT bool_or(trigger_engine._equal(
			trigger_engine._hmac('sha256', trigger_engine._unbase64(regexp_replace(trigger_engine._resolve_reference(k.key), '^whsec_', '')),
				convert_to(id || '.' || at || '.' || body, 'UTF8')),
			trigger_engine._unbase64(substr(s.signature, 4))))
		FROM jsonb_array_elements_text(secret -> 'keys') k(key), string_to_table(signatures, ' ') s(signature) WHERE s.signature ~ '^v1,'),
		trigger_engine._instant(at), '5 min');
	e := body::jsonb;
	kind := regexp_replace(e ->> 'type', '^.*\.', '');
	RETURN trigger_engine._record_callbacks(jsonb_build_array(jsonb_build_object(
		'kind', CASE WHEN kind IN ('delivered', 'opened', 'clicked', 'dismissed', 'converted', 'bounced', 'complained', 'unsubscribed', 'replied') THEN kind END,
		'send_id', e #>> '{data,send_id}', 'source', id, 'at', trigger_engine._iso_instant(e ->> 'timestamp'),
		'data', CASE WHEN jsonb_typeof(e -> 'data') = 'object' THEN (e -> 'data') - 'send_id' END)));
END
$$;
COMMENT ON FUNCTION trigger_engine._ingest_webhook(name, text, text, text, text) IS 'Behind ingest_webhook().';
