-- Kinds of providers made of data: the request and the error table of each that is shipped, and kinds of one's own.
\set ECHO none
\i test/sql/include/fresh.sql
\set ECHO all
\pset null '-'
-- every definition is one that create_provider_kind() would take
SELECT name, channel FROM provider_kinds, _check_provider_kind(definition) WHERE shipped ORDER BY name;
CREATE TEMP TABLE options(kind text, options jsonb, secret jsonb, address text);
INSERT INTO options VALUES
	('ses', '{"region": "eu-west-1", "from": "shop@example.com", "from_name": "Shöp", "configuration_set": "main"}', '{"access_key_id": "AKID", "secret_access_key": "k", "session_token": "st"}', 'ada@example.com'),
	('sendgrid', '{"from": "shop@example.com", "from_name": "Shop", "sandbox": true}', '{"api_key": "SG.key"}', 'ada@example.com'),
	('postmark', '{"from": "shop@example.com", "from_name": "The \"Shop\"", "stream": "broadcast"}', '{"server_token": "token"}', 'ada@example.com'),
	('mailgun', '{"from": "shop@example.com", "domain": "mg.example.com", "region": "eu"}', '{"api_key": "key"}', 'ada@example.com'),
	('twilio', '{"account_sid": "AC1", "from": "+15005550006", "status_callback": "https://app.test/cb?a=1"}', '{"auth_token": "token"}', '+491701234567'),
	('vonage', '{"from": "Shop"}', '{"api_key": "key", "api_secret": "secret"}', '+491701234567'),
	('whatsapp_cloud', '{"phone_number_id": "1055"}', '{"access_token": "EAA"}', '+491701234567'),
	('expo', '{"channel_id": "news"}', '{}', 'ExponentPushToken[xx]'),
	('onesignal', '{"app_id": "5eb5"}', '{"api_key": "key"}', 'e4e87830'),
	('slack', '{}', '{"url": "https://hooks.slack.test/services/T/B/x"}', NULL),
	('discord', '{}', '{"url": "https://discord.test/api/v10/webhooks/1/x"}', NULL),
	('telegram', '{}', '{"token": "123:AB"}', '4242');
CREATE FUNCTION pg_temp.request(kind text, content jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT _kind_request(k.definition, o.options, o.secret, jsonb_build_object('content', content, 'address', o.address,
		'send_id', 42, 'message_id', 'msg_0123456789abcdef0123456789abcdef', 'ttl', 3600))
	FROM provider_kinds k JOIN options o ON o.kind = k.name WHERE k.name = request.kind
$$;
\set mail '{"subject": "Hi \\"Ada\\"", "html": "<body class=\\"x\\"><p>Söme & more</p></body>", "text": "Line\\nnext", "preheader": "Look", "reply_to": "help@example.com", "list_unsubscribe": "https://shop.test/u/1"}'
\pset format unaligned
\pset fieldsep '\n'
SELECT kind, r ->> 'url' AS url, regexp_replace(r ->> 'headers', '(Signature=|/|x-amz-date: )[0-9a-fTZ]{8,}', '\1…', 'g') AS headers, jsonb_pretty((r ->> 'body')::jsonb) AS body
FROM options, LATERAL pg_temp.request(kind, :'mail') r WHERE kind IN ('ses', 'sendgrid', 'postmark') ORDER BY kind;
SELECT kind, r ->> 'url' AS url, r ->> 'headers' AS headers, replace(r ->> 'body', '&', E'\n') AS body
FROM options, LATERAL pg_temp.request(kind, :'mail') r WHERE kind = 'mailgun';
SELECT kind, r ->> 'url' AS url, r ->> 'headers' AS headers, replace(r ->> 'body', '&', E'\n') AS body
FROM options, LATERAL pg_temp.request(kind, '{"text": "It''s ready & Пора"}') r WHERE kind IN ('twilio', 'vonage') ORDER BY kind;
SELECT r ->> 'body' !~ 'type=' AS plain FROM pg_temp.request('vonage', '{"text": "Plain €"}') r;
SELECT kind, r ->> 'url' AS url, r ->> 'headers' AS headers, jsonb_pretty((r ->> 'body')::jsonb) AS body
FROM options, LATERAL pg_temp.request(kind, '{"title": "Hi", "body": "A \"word\"", "text": "A <!channel> \"word\"", "url": "https://shop.test/1", "data": {"send_id": "no", "n": 1}}') r
WHERE kind NOT IN ('ses', 'sendgrid', 'postmark', 'mailgun', 'twilio', 'vonage') ORDER BY kind;
SELECT (r ->> 'body')::jsonb - 'messaging_product' AS template FROM pg_temp.request('whatsapp_cloud', '{"text": "x", "template": {"name": "hello", "language": {"code": "en"}}}') r;
SELECT r ->> 'url' AS url, r ->> 'body' AS photo FROM pg_temp.request('telegram', '{"text": "x", "image": "https://shop.test/i.png"}') r;
\pset format aligned

-- answers; no row means that each comes to what it should
CREATE TEMP TABLE answers(kind text, answer jsonb, outcome text, more jsonb);
INSERT INTO answers VALUES
	('ses', '{"status": 200, "body": "{\"MessageId\":\"0100\"}"}', 'accepted', '{"ref": "0100"}'),
	('ses', '{"status": 200, "body": "{}"}', 'ambiguous', '{}'),
	('ses', '{"status": 400, "error_type": "MessageRejected", "body": "{\"message\":\"Spam\"}"}', 'rejected', '{"reason": "HTTP status 400: Spam"}'),
	('ses', '{"status": 400, "error_type": "MessageRejected", "body": "{\"message\":\"Email address is not verified.\"}"}', 'config', '{}'),
	('ses', '{"status": 400, "error_type": "BadRequestException:http://internal.amazon.com/", "body": "{}"}', 'rejected', '{}'),
	('ses', '{"status": 400, "error_type": "MailFromDomainNotVerifiedException:http://internal.amazon.com/", "body": "{}"}', 'config', '{}'),
	('ses', '{"status": 400, "error_type": "AccountSuspendedException"}', 'config', '{}'),
	('ses', '{"status": 400, "error_type": "SendingPausedException"}', 'config', '{}'),
	('ses', '{"status": 404, "error_type": "NotFoundException"}', 'config', '{}'),
	('ses', '{"status": 429, "error_type": "TooManyRequestsException"}', 'throttled', '{}'),
	('ses', '{"status": 400, "error_type": "ThrottlingException", "body": "{\"message\":\"Maximum sending rate exceeded.\"}"}', 'throttled', '{}'),
	('ses', '{"status": 400, "error_type": "LimitExceededException", "body": "{\"message\":\"Daily message quota exceeded.\"}"}', 'throttled', '{"after": 600}'),
	('ses', '{"status": 403, "error_type": "SignatureDoesNotMatch"}', 'auth', '{}'),
	('ses', '{"status": 500}', 'retry', '{}'), ('ses', '{"status": 502}', 'ambiguous', '{}'),
	('sendgrid', '{"status": 202, "ref": "abc"}', 'accepted', '{"ref": "abc"}'),
	('sendgrid', '{"status": 200}', 'accepted', '{}'),
	('sendgrid', '{"status": 400, "body": "{\"errors\":[{\"message\":\"Does not contain a valid address.\",\"field\":\"personalizations.0.to.0.email\"}]}"}', 'target_dead', '{}'),
	('sendgrid', '{"status": 400, "body": "{\"errors\":[{\"message\":\"bad\",\"field\":\"subject\"}]}"}', 'rejected', '{"reason": "HTTP status 400: bad"}'),
	('sendgrid', '{"status": 401}', 'auth', '{}'), ('sendgrid', '{"status": 413}', 'rejected', '{}'),
	('sendgrid', '{"status": 403, "body": "{\"errors\":[{\"message\":\"not a verified Sender Identity\",\"field\":\"from\"}]}"}', 'config', '{}'),
	('sendgrid', '{"status": 429}', 'throttled', '{"after": 10}'), ('sendgrid', '{"status": 429, "retry_after": "3"}', 'throttled', '{"after": 3}'),
	('postmark', '{"status": 200, "body": "{\"ErrorCode\":0,\"Message\":\"OK\",\"MessageID\":\"b7bc\"}"}', 'accepted', '{"ref": "b7bc"}'),
	('postmark', '{"status": 200, "body": "{\"ErrorCode\":406,\"Message\":\"inactive\"}"}', 'target_dead', '{}'),
	('postmark', '{"status": 422, "body": "{\"ErrorCode\":406,\"Message\":\"You tried to send to a recipient that has been marked as inactive.\"}"}', 'target_dead', '{}'),
	('postmark', '{"status": 422, "body": "{\"ErrorCode\":300,\"Message\":\"Invalid ''From'' address\"}"}', 'rejected', '{}'),
	('postmark', '{"status": 422, "body": "{\"ErrorCode\":300,\"Message\":\"Invalid ''To'' address: ''x''.\"}"}', 'target_dead', '{}'),
	('postmark', '{"status": 422, "body": "{\"ErrorCode\":400}"}', 'config', '{}'), ('postmark', '{"status": 422, "body": "{\"ErrorCode\":401}"}', 'config', '{}'),
	('postmark', '{"status": 422, "body": "{\"ErrorCode\":405}"}', 'config', '{}'), ('postmark', '{"status": 422, "body": "{\"ErrorCode\":429}"}', 'throttled', '{}'),
	('postmark', '{"status": 401, "body": "{\"ErrorCode\":10}"}', 'auth', '{}'), ('postmark', '{"status": 503}', 'retry', '{}'),
	('mailgun', '{"status": 200, "body": "{\"id\":\"<1@mg>\",\"message\":\"Queued. Thank you.\"}"}', 'accepted', '{"ref": "<1@mg>"}'),
	('mailgun', '{"status": 400, "body": "{\"message\":\"to parameter is not a valid address. please check documentation\"}"}', 'target_dead', '{}'),
	('mailgun', '{"status": 400, "body": "{\"message\":\"from parameter is missing\"}"}', 'rejected', '{}'),
	('mailgun', '{"status": 401}', 'auth', '{}'), ('mailgun', '{"status": 402}', 'config', '{}'), ('mailgun', '{"status": 404}', 'config', '{}'),
	('mailgun', '{"status": 413}', 'rejected', '{}'), ('mailgun', '{"status": 429, "retry_after": "7"}', 'throttled', '{"after": 7}'), ('mailgun', '{"status": 504}', 'ambiguous', '{}'),
	('twilio', '{"status": 201, "body": "{\"sid\":\"SM1\",\"status\":\"queued\"}"}', 'accepted', '{"ref": "SM1"}'),
	('twilio', '{"status": 201, "body": "{\"sid\":\"SM1\",\"sta"}', 'accepted', '{"ref": "SM1"}'),
	('twilio', '{"status": 201, "body": ""}', 'ambiguous', '{}'),
	('twilio', '{"status": 404, "body": "{\"code\":20404}"}', 'config', '{}'), ('twilio', '{"status": 401, "body": "{\"code\":20003}"}', 'auth', '{}'),
	('twilio', '{"status": 429, "body": "{\"code\":20429}"}', 'throttled', '{}'), ('twilio', '{"status": 400, "body": "{\"code\":21617}"}', 'rejected', '{}'),
	('twilio', '{"status": 400, "body": "{\"code\":21408,\"message\":\"Permission\"}"}', 'rejected', '{"reason": "HTTP status 400: Permission"}'),
	('twilio', '{"status": 400, "body": "{\"code\":21603}"}', 'config', '{}'), ('twilio', '{"status": 400, "body": "{\"code\":21602}"}', 'rejected', '{}'),
	('twilio', '{"status": 500}', 'retry', '{}'),
	('vonage', '{"status": 200, "body": "{\"messages\":[{\"status\":\"0\",\"message-id\":\"0A\"},{\"status\":\"0\",\"message-id\":\"0B\"}]}"}', 'accepted', '{"ref": "0A"}'),
	('vonage', '{"status": 200, "body": "not json"}', 'ambiguous', '{}'), ('vonage', '{"status": 503}', 'retry', '{}'),
	('whatsapp_cloud', '{"status": 200, "body": "{\"messages\":[{\"id\":\"wamid.1\"}]}"}', 'accepted', '{"ref": "wamid.1"}'),
	('whatsapp_cloud', '{"status": 200, "body": "{}"}', 'ambiguous', '{}'),
	('whatsapp_cloud', '{"status": 400, "body": "{\"error\":{\"code\":131056}}"}', 'throttled', '{"after": 6, "target_only": true}'),
	('whatsapp_cloud', '{"status": 400, "body": "{\"error\":{\"code\":100,\"message\":\"Invalid parameter\"}}"}', 'rejected', '{"reason": "HTTP status 400: Invalid parameter"}'),
	('expo', '{"status": 200, "body": "{\"data\":[{\"status\":\"ok\",\"id\":\"X\"}]}"}', 'accepted', '{"ref": "X"}'),
	('expo', '{"status": 200, "body": "{\"data\":{\"status\":\"ok\",\"id\":\"Y\"}}"}', 'accepted', '{"ref": "Y"}'),
	('expo', '{"status": 200, "body": "{\"data\":[{\"status\":\"error\",\"message\":\"m\",\"details\":{\"error\":\"MessageRateExceeded\"}}]}"}', 'throttled', '{"target_only": true}'),
	('expo', '{"status": 200, "body": "{\"data\":[{\"status\":\"error\",\"message\":\"m\"}]}"}', 'rejected', '{"reason": "HTTP status 200: m"}'),
	('expo', '{"status": 429, "body": "{\"errors\":[{\"code\":\"TOO_MANY_REQUESTS\"}]}"}', 'throttled', '{}'),
	('expo', '{"status": 401, "body": "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}"}', 'auth', '{}'),
	('expo', '{"status": 400, "body": "{\"errors\":[{\"code\":\"VALIDATION_ERROR\"}]}"}', 'rejected', '{}'), ('expo', '{"status": 200, "body": "{}"}', 'ambiguous', '{}'),
	('onesignal', '{"status": 200, "body": "{\"id\":\"n1\"}"}', 'accepted', '{"ref": "n1"}'),
	('onesignal', '{"status": 200, "body": "{\"id\":\"\",\"errors\":{\"invalid_player_ids\":[\"x\"]}}"}', 'target_dead', '{}'),
	('onesignal', '{"status": 200, "body": "{\"id\":\"\",\"errors\":{\"invalid_aliases\":{\"external_id\":[\"x\"]}}}"}', 'target_dead', '{}'),
	('onesignal', '{"status": 200, "body": "{\"id\":\"\",\"errors\":[\"All included players are not subscribed\"]}"}', 'target_dead', '{}'),
	('onesignal', '{"status": 200, "body": "{\"id\":\"\"}"}', 'rejected', '{}'),
	('onesignal', '{"status": 400, "body": "{\"errors\":[\"app_id not found\"]}"}', 'rejected', '{"reason": "HTTP status 400: app_id not found"}'),
	('onesignal', '{"status": 429, "retry_after": "60"}', 'throttled', '{"after": 60}'),
	('slack', '{"status": 200, "body": "ok"}', 'accepted', '{}'), ('slack', '{"status": 400, "body": "invalid_payload"}', 'rejected', '{}'),
	('slack', '{"status": 403, "body": "action_prohibited"}', 'config', '{}'), ('slack', '{"status": 403, "body": "invalid_token"}', 'auth', '{}'),
	('slack', '{"status": 404, "body": "no_service"}', 'config', '{}'), ('slack', '{"status": 410, "body": "channel_is_archived"}', 'config', '{}'),
	('slack', '{"status": 429, "retry_after": "30"}', 'throttled', '{"after": 30}'),
	('discord', '{"status": 200, "body": "{\"id\":\"99\"}"}', 'accepted', '{"ref": "99"}'), ('discord', '{"status": 204}', 'accepted', '{}'),
	('discord', '{"status": 404, "body": "{\"code\":10015,\"message\":\"Unknown Webhook\"}"}', 'config', '{"reason": "HTTP status 404: Unknown Webhook"}'),
	('discord', '{"status": 429, "body": "{\"retry_after\":0.65,\"global\":false}"}', 'throttled', '{"after": 0.65}'), ('discord', '{"status": 400}', 'rejected', '{}'),
	('telegram', '{"status": 200, "body": "{\"ok\":true,\"result\":{\"message_id\":7}}"}', 'accepted', '{"ref": "7"}'),
	('telegram', '{"status": 200, "body": "{\"ok\":false}"}', 'ambiguous', '{}'),
	('telegram', '{"status": 403, "body": "{\"ok\":false,\"description\":\"Forbidden: bot was blocked by the user\"}"}', 'target_dead', '{}'),
	('telegram', '{"status": 400, "body": "{\"ok\":false,\"description\":\"Bad Request: chat not found\"}"}', 'target_dead', '{}'),
	('telegram', '{"status": 400, "body": "{\"ok\":false,\"description\":\"Bad Request: message is too long\"}"}', 'rejected', '{}'),
	('telegram', '{"status": 429, "body": "{\"ok\":false,\"parameters\":{\"retry_after\":5}}"}', 'throttled', '{"after": 5}'),
	('telegram', '{"status": 401}', 'auth', '{}'), ('telegram', '{"status": 404}', 'config', '{}');
INSERT INTO answers SELECT 'twilio', jsonb_build_object('status', 400, 'body', format('{"code":%s}', c)), 'target_dead', '{}' FROM unnest('{21211,21614,21610}'::int[]) c;
INSERT INTO answers SELECT 'vonage', jsonb_build_object('status', 200, 'body', format('{"messages":[{"status":"%s","error-text":"t"}]}', c)), o, '{"reason": "HTTP status 200: t"}'
FROM (VALUES (1, 'throttled'), (2, 'rejected'), (3, 'rejected'), (4, 'auth'), (5, 'retry'), (6, 'rejected'), (7, 'rejected'), (8, 'config'), (9, 'config'), (10, 'retry'), (12, 'rejected'), (15, 'config')) v(c, o);
INSERT INTO answers SELECT 'whatsapp_cloud', jsonb_build_object('status', 400, 'body', format('{"error":{"code":%s}}', c)), o, '{}'
FROM (VALUES (130429, 'throttled'), (131047, 'rejected'), (131026, 'rejected'), (131049, 'rejected'), (190, 'auth'), (4, 'throttled'), (80007, 'throttled')) v(c, o);
INSERT INTO answers SELECT 'expo', jsonb_build_object('status', 200, 'body', format('{"data":[{"status":"error","details":{"error":"%s"}}]}', c)), o, '{}'
FROM (VALUES ('DeviceNotRegistered', 'target_dead'), ('MessageTooBig', 'rejected'), ('MismatchSenderId', 'config'), ('InvalidCredentials', 'config')) v(c, o);
SELECT a.kind, a.answer, a.outcome, a.more, r AS found FROM answers a JOIN provider_kinds k ON k.name = a.kind, LATERAL _kind_answer(k.definition, a.answer) r
WHERE r ->> 'outcome' <> a.outcome OR NOT r @> a.more;
SELECT count(*), count(DISTINCT kind) AS kinds FROM answers;

-- a kind of one's own
SELECT create_provider_kind('acme', 'sms', '{"url": "https://api.acme.test", "path": "/to/{{ address | url_encode }}", "body": "{\"text\": \"{{ message.text }}\"}", "headers": {"x-id": "{{ message_id }}"},
	"auth": {"type": "hmac", "name": "x-signature", "key": "{{ secret.key }}", "prefix": "sha256="}, "secrets": ["key"], "options": ["sender", "tag?"], "errors": [{"status": [404, 410], "outcome": "target_dead"}]}');
SELECT create_provider('a', 'acme', '{}');
SELECT create_provider('a', 'acme', '{"sender": "x", "tags": 1}');
SELECT create_provider('a', 'acme', '{"sender": "x", "rate": 5}');
SELECT name, kind, channel, state FROM providers;
SELECT set_secret('a', '{}');
SELECT set_secret('a', '{"key": 1}');
-- by an independent HMAC
SELECT r ->> 'url' AS url, r ->> 'body' AS body, split_part(r ->> 'headers', 'sha256=', 2) = render('{{ b | hmac_sha256_hex: "k" }}', jsonb_build_object('b', r ->> 'body')) AS signed
FROM provider_kinds k, LATERAL _kind_request(k.definition, '{"sender": "x"}', '{"key": "k"}', '{"address": "+1/../x?y", "content": {"text": "say \"hi\"\nyou"}}') r WHERE k.name = 'acme';
-- what would forge a header, or breaks the JSON
SELECT _kind_request('{"url": "https://a.test", "body": "{\"x\": {{ message.text }}}"}', '{}', '{}', '{"content": {"text": "1}, {"}}');
SELECT position(E'\r' IN r ->> 'headers') = 0 AND cardinality(string_to_array(r ->> 'headers', E'\n')) = 2 AS one_line
FROM _kind_request('{"url": "https://a.test", "body": "{}", "headers": {"x-t": "{{ message.text }}"}}', '{}', '{}', '{"content": {"text": "a\r\nx-evil: 1"}}') r;
SELECT _kind_request('{"url": "{{ message.text }}", "body": "{}"}', '{}', '{}', '{"content": {"text": "file:///etc/passwd"}}'),
	_kind_request('{"url": "https://a.test?x=1", "body": "{}", "auth": {"type": "sigv4", "service": "s", "region": "r", "user": "u", "key": "k"}}', '{}', '{}', '{}');
-- replaced only when providers still fit
SELECT create_provider_kind('acme', 'sms', '{"url": "https://api.acme.test", "body": "{}"}');
SELECT create_provider_kind('acme', 'sms', '{"url": "https://api.acme.test", "body": "{}"}', or_replace => true);
SELECT create_provider_kind('acme', 'push', '{"url": "https://api.acme.test", "body": "{}", "options": ["sender"]}', or_replace => true);
SELECT create_provider_kind('acme', 'sms', '{"url": "https://api2.acme.test", "body": "{}", "options": ["sender"]}', or_replace => true);
SELECT drop_provider_kind('acme');
SELECT drop_provider('a');
SELECT drop_provider_kind('acme'), drop_provider_kind('acme', if_exists => true);
-- what is refused
SELECT create_provider_kind('ses', 'email', '{"url": "https://a.test", "body": "{}"}', or_replace => true);
SELECT create_provider_kind('fcm', 'push', '{"url": "https://a.test", "body": "{}"}');
SELECT create_provider_kind('x', 'in_app', '{"url": "https://a.test", "body": "{}"}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test"}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test", "body": "{{ message.text", "form": null}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test", "body": "{}", "bodies": 1}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test", "body": "{}", "auth": {"type": "digest"}}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test", "body": "{}", "errors": [{"status": 404, "outcome": "gone"}]}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test", "body": "{}", "errors": [{"status": "4x", "outcome": "retry"}]}');
SELECT create_provider_kind('x', 'sms', '{"url": "https://a.test", "body": "{}", "errors": [7]}');
SELECT drop_provider_kind('ses');
SELECT create_provider('b', 'nothing', '{}');
