/*
 * The kinds of providers that come with the extension, after the services' own
 * descriptions of their interfaces.
 */

-- mail

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('ses', 'email', true, jsonb_build_object(
	'url', 'https://email.{{ options.region }}.amazonaws.com',
	'path', '/v2/email/outbound-emails',
	'options', '["region", "from", "from_name?", "configuration_set?"]'::jsonb,
	'secrets', '["access_key_id", "secret_access_key", "session_token?"]'::jsonb,
	'auth', '{"type": "sigv4", "service": "ses", "region": "{{ options.region }}", "user": "{{ secret.access_key_id }}",
		"key": "{{ secret.secret_access_key }}", "token": "{{ secret.session_token }}"}'::jsonb,
	'body', $liquid${% assign name = message.from_name | default: options.from_name %}{% assign from = message.from | default: options.from %}
{
	"FromEmailAddress": "{% if name %}=?UTF-8?B?{{ name | base64_encode }}?= <{{ from }}>{% else %}{{ from }}{% endif %}",
	"Destination": {"ToAddresses": ["{{ address }}"]},
	{% if message.reply_to %}"ReplyToAddresses": ["{{ message.reply_to }}"],{% endif %}
	"Content": {"Simple": {
		"Subject": {"Data": "{{ message.subject }}", "Charset": "UTF-8"},
		"Body": {
			"Text": {% if message.text %}{"Data": "{{ message.text }}", "Charset": "UTF-8"}{% else %}null{% endif %},
			"Html": {% if html %}{"Data": "{{ html }}", "Charset": "UTF-8"}{% else %}null{% endif %}
		},
		"Headers": [
			{% if message.list_unsubscribe %}{"Name": "List-Unsubscribe", "Value": "<{{ message.list_unsubscribe }}>"},{% endif %}
			{% if message.list_unsubscribe contains "https://" %}{"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},{% endif %}
			{"Name": "X-Send-Id", "Value": "{{ send_id }}"}
		]
	}},
	"EmailTags": [{"Name": "send_id", "Value": "{{ send_id }}"}],
	"ConfigurationSetName": {{ options.configuration_set | json }}
}$liquid$,
	'accept', 'MessageId', 'id', 'MessageId', 'reason', 'message|Message',
	'errors', '[
		{"path": "@errortype", "is": ["MailFromDomainNotVerifiedException", "AccountSuspendedException", "SendingPausedException", "NotFoundException"], "outcome": "config"},
		{"path": "message|Message", "contains": "Email address is not verified", "status": 400, "outcome": "config"},
		{"path": "message|Message", "contains": "aily message quota exceeded", "outcome": "throttled", "after": 600},
		{"path": "@errortype", "is": ["TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"], "outcome": "throttled"},
		{"path": "message|Message", "contains": "aximum sending rate exceeded", "outcome": "throttled"},
		{"status": 404, "outcome": "config"}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('sendgrid', 'email', true, jsonb_build_object(
	'url', 'https://api.sendgrid.com',
	'path', '/v3/mail/send',
	'options', '["from", "from_name?", "sandbox?"]'::jsonb,
	'secrets', '["api_key"]'::jsonb,
	'auth', '{"type": "bearer", "token": "{{ secret.api_key }}"}'::jsonb,
	'body', $liquid${% assign name = message.from_name | default: options.from_name %}
{
	"personalizations": [{"to": [{"email": "{{ address }}"}]}],
	"from": {"email": "{{ message.from | default: options.from }}", "name": {{ name | json }}},
	"reply_to": {% if message.reply_to %}{"email": "{{ message.reply_to }}"}{% else %}null{% endif %},
	"subject": "{{ message.subject }}",
	"content": [
		{% if message.text %}{"type": "text/plain", "value": "{{ message.text }}"}{% if html %},{% endif %}{% endif %}
		{% if html %}{"type": "text/html", "value": "{{ html }}"}{% endif %}
	],
	"headers": {
		{% if message.list_unsubscribe %}"List-Unsubscribe": "<{{ message.list_unsubscribe }}>",{% endif %}
		{% if message.list_unsubscribe contains "https://" %}"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",{% endif %}
		"X-Send-Id": "{{ send_id }}"
	},
	"custom_args": {"send_id": "{{ send_id }}"},
	"mail_settings": {% if options.sandbox %}{"sandbox_mode": {"enable": true}}{% else %}null{% endif %}
}$liquid$,
	'reason', 'errors[0].message',
	'errors', '[
		{"status": 400, "path": "errors[0].field", "is": ["personalizations.0.to.0.email", "personalizations.0.to"], "outcome": "target_dead"},
		{"status": 403, "path": "errors[0].field", "is": "from", "outcome": "config"},
		{"status": 429, "outcome": "throttled", "after": 10}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('postmark', 'email', true, jsonb_build_object(
	'url', 'https://api.postmarkapp.com',
	'path', '/email',
	'headers', '{"accept": "application/json"}'::jsonb,
	'options', '["from", "from_name?", "stream?"]'::jsonb,
	'secrets', '["server_token"]'::jsonb,
	'auth', '{"type": "header", "name": "X-Postmark-Server-Token", "value": "{{ secret.server_token }}"}'::jsonb,
	'body', $liquid${% assign name = message.from_name | default: options.from_name %}{% assign from = message.from | default: options.from %}
{
	"From": "{% if name %}\"{{ name | remove: '"' | remove: '\' }}\" <{{ from }}>{% else %}{{ from }}{% endif %}",
	"To": "{{ address }}",
	"ReplyTo": {{ message.reply_to | json }},
	"Subject": "{{ message.subject }}",
	"TextBody": {{ message.text | json }},
	"HtmlBody": {{ html | json }},
	"Headers": [
		{% if message.list_unsubscribe %}{"Name": "List-Unsubscribe", "Value": "<{{ message.list_unsubscribe }}>"},{% endif %}
		{% if message.list_unsubscribe contains "https://" %}{"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},{% endif %}
		{"Name": "X-Send-Id", "Value": "{{ send_id }}"}
	],
	"Metadata": {"send_id": "{{ send_id }}"},
	"MessageStream": "{{ options.stream | default: 'outbound' }}"
}$liquid$,
	'accept', 'MessageID', 'id', 'MessageID', 'reason', 'Message',
	'errors', '[
		{"status": "2xx", "path": "ErrorCode", "is": 0, "outcome": "accepted"},
		{"path": "ErrorCode", "is": 406, "outcome": "target_dead"},
		{"path": "ErrorCode", "is": [400, 401, 402, 405, 412, 413], "outcome": "config"},
		{"path": "ErrorCode", "is": 10, "outcome": "auth"},
		{"path": "ErrorCode", "is": 429, "outcome": "throttled"},
		{"path": "ErrorCode", "is": 100, "outcome": "retry"},
		{"status": 422, "path": "Message", "contains": "Invalid ''To'' address", "outcome": "target_dead"},
		{"status": "2xx", "path": "ErrorCode", "outcome": "rejected"}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('mailgun', 'email', true, jsonb_build_object(
	'url', 'https://api{% if options.region == "eu" %}.eu{% endif %}.mailgun.net',
	'path', '/v3/{{ options.domain | url_encode }}/messages',
	'options', '["domain", "from", "from_name?", "region?", "test?"]'::jsonb,
	'secrets', '["api_key"]'::jsonb,
	'auth', '{"type": "basic", "user": "api", "password": "{{ secret.api_key }}"}'::jsonb,
	'form', jsonb_build_object(
		'from', $liquid${% assign name = message.from_name | default: options.from_name %}{% assign from = message.from | default: options.from %}{% if name %}"{{ name | remove: '"' | remove: '\' }}" <{{ from }}>{% else %}{{ from }}{% endif %}$liquid$,
		'to', '{{ address }}',
		'subject', '{{ message.subject }}',
		'text', '{{ message.text }}',
		'html', '{{ html }}',
		'h:Reply-To', '{{ message.reply_to }}',
		'h:List-Unsubscribe', '{% if message.list_unsubscribe %}<{{ message.list_unsubscribe }}>{% endif %}',
		'h:List-Unsubscribe-Post', '{% if message.list_unsubscribe contains "https://" %}List-Unsubscribe=One-Click{% endif %}',
		'h:X-Send-Id', '{{ send_id }}',
		'v:send_id', '{{ send_id }}',
		'o:testmode', '{% if options.test %}yes{% endif %}'),
	'accept', 'id', 'id', 'id', 'reason', 'message',
	'errors', '[
		{"status": 400, "path": "message", "contains": "to parameter is not a valid address", "outcome": "target_dead"},
		{"status": [402, 404], "outcome": "config"}]'::jsonb));

-- text messages

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('twilio', 'sms', true, jsonb_build_object(
	'url', 'https://api.twilio.com',
	'path', '/2010-04-01/Accounts/{{ options.account_sid | url_encode }}/Messages.json',
	'options', '["account_sid", "from?", "messaging_service_sid?", "status_callback?"]'::jsonb,
	'secrets', '["auth_token", "api_key?"]'::jsonb,
	'auth', '{"type": "basic", "user": "{{ secret.api_key | default: options.account_sid }}", "password": "{{ secret.auth_token }}"}'::jsonb,
	'form', jsonb_build_object(
		'To', '{{ address }}',
		'From', '{% unless options.messaging_service_sid %}{{ options.from }}{% endunless %}',
		'MessagingServiceSid', '{{ options.messaging_service_sid }}',
		'Body', '{{ message.text }}',
		'ValidityPeriod', '{% if ttl and ttl <= 36000 %}{{ ttl | at_least: 1 }}{% endif %}',
		'StatusCallback', '{% if options.status_callback %}{{ options.status_callback }}{% if options.status_callback contains "?" %}&{% else %}?{% endif %}send_id={{ send_id }}{% endif %}'),
	'accept', 'sid', 'id', 'sid', 'reason', 'message',
	'errors', '[
		{"path": "code", "is": [21211, 21214, 21217, 21610, 21614], "outcome": "target_dead"},
		{"path": "code", "is": [20429, 21611, 30001], "outcome": "throttled"},
		{"path": "code", "is": 63038, "outcome": "throttled", "after": 3600},
		{"path": "code", "is": [20003], "outcome": "auth"},
		{"path": "code", "is": [20404, 21212, 21603, 21606, 21659, 21660, 21701, 21703, 21705, 30002], "outcome": "config"},
		{"status": 404, "outcome": "config"}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('vonage', 'sms', true, jsonb_build_object(
	'url', 'https://rest.nexmo.com',
	'path', '/sms/json',
	'options', '["from", "callback?"]'::jsonb,
	'secrets', '["api_key", "api_secret"]'::jsonb,
	'form', jsonb_build_object(
		'api_key', '{{ secret.api_key }}',
		'api_secret', '{{ secret.api_secret }}',
		'from', '{{ options.from }}',
		'to', '{{ address | remove: "+" }}',
		'text', '{{ message.text }}',
		'type', '{% assign plain = message.text | gsm7 %}{% if plain != message.text %}unicode{% endif %}',
		'client-ref', '{{ send_id }}',
		'callback', '{{ options.callback }}',
		'ttl', '{% if ttl %}{{ ttl | at_least: 20 | at_most: 604800 | times: 1000 }}{% endif %}'),
	'accept', 'messages[0].message-id', 'id', 'messages[0].message-id', 'reason', 'messages[0].error-text',
	'errors', '[
		{"status": 200, "path": "messages[0].status", "is": 0, "outcome": "accepted"},
		{"status": 200, "path": "messages[0].status", "is": 1, "outcome": "throttled"},
		{"status": 200, "path": "messages[0].status", "is": 4, "outcome": "auth"},
		{"status": 200, "path": "messages[0].status", "is": [5, 10], "outcome": "retry"},
		{"status": 200, "path": "messages[0].status", "is": [8, 9, 15, 29], "outcome": "config"},
		{"status": 200, "path": "messages[0].status", "outcome": "rejected"}]'::jsonb));

-- WhatsApp

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('whatsapp_cloud', 'whatsapp', true, jsonb_build_object(
	'url', 'https://graph.facebook.com',
	'path', '/{{ options.version | default: "v23.0" | url_encode }}/{{ options.phone_number_id | url_encode }}/messages',
	'options', '["phone_number_id", "version?"]'::jsonb,
	'secrets', '["access_token"]'::jsonb,
	'auth', '{"type": "bearer", "token": "{{ secret.access_token }}"}'::jsonb,
	'body', $liquid${
	"messaging_product": "whatsapp",
	"recipient_type": "individual",
	"to": "{{ address | remove: '+' }}",
	{% if message.template %}"type": "template", "template": {{ message.template | json }},
	{% elsif message.image %}"type": "image", "image": {"link": "{{ message.image }}", "caption": {{ message.text | json }}},
	{% else %}"type": "text", "text": {"preview_url": false, "body": "{{ message.text }}"},{% endif %}
	"biz_opaque_callback_data": "{{ send_id }}"
}$liquid$,
	'accept', 'messages[0].id', 'id', 'messages[0].id', 'reason', 'error.error_data.details|error.message',
	'errors', '[
		{"path": "error.code", "is": 131056, "outcome": "throttled", "after": 6, "target_only": true},
		{"path": "error.code", "is": 130429, "outcome": "throttled"},
		{"path": "error.code", "is": [4, 80007, 131048], "outcome": "throttled", "after": 60},
		{"path": "error.code", "is": [0, 190], "outcome": "auth"},
		{"path": "error.code", "is": [3, 10, 200, 131005, 131031, 131042, 131045, 133010], "outcome": "config"},
		{"path": "error.code", "is": [1, 2, 131000, 131016, 131057], "outcome": "retry"},
		{"path": "error.code", "is": [131026, 131047, 131049], "outcome": "rejected"}]'::jsonb));

-- push by way of others

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('expo', 'push', true, jsonb_build_object(
	'url', 'https://exp.host',
	'path', '/--/api/v2/push/send',
	'headers', '{"accept": "application/json", "authorization": "{% if secret.access_token %}Bearer {{ secret.access_token }}{% endif %}"}'::jsonb,
	'options', '["channel_id?"]'::jsonb,
	'secrets', '["access_token?"]'::jsonb,
	'body', $liquid$[{
	"to": "{{ address }}",
	"title": {{ message.title | json }},
	"subtitle": {{ message.subtitle | json }},
	"body": {{ message.body | json }},
	"sound": {{ message.sound | json }},
	"badge": {{ message.badge | json }},
	"ttl": {{ ttl | json }},
	"priority": "high",
	"channelId": {{ options.channel_id | json }},
	"richContent": {% if message.image %}{"image": "{{ message.image }}"}{% else %}null{% endif %},
	"data": { {% for pair in message.data %}{{ pair[0] | json }}: {{ pair[1] | json }}, {% endfor %}
		"url": {{ message.url | json }}, "send_id": "{{ send_id }}"}
}]$liquid$,
	'accept', 'data[0].id|data.id', 'id', 'data[0].id|data.id', 'reason', 'data[0].message|data.message|errors[0].message',
	'errors', '[
		{"path": "data[0].details.error|data.details.error", "is": "DeviceNotRegistered", "outcome": "target_dead"},
		{"path": "data[0].details.error|data.details.error", "is": "MessageRateExceeded", "outcome": "throttled", "target_only": true},
		{"path": "data[0].details.error|data.details.error", "is": ["MismatchSenderId", "InvalidCredentials", "DeveloperError"], "outcome": "config"},
		{"path": "data[0].details.error|data.details.error", "is": "ExpoError", "outcome": "retry"},
		{"path": "data[0].status|data.status", "is": "error", "outcome": "rejected"},
		{"path": "errors[0].code", "is": "TOO_MANY_REQUESTS", "outcome": "throttled"},
		{"path": "errors[0].code", "is": "UNAUTHORIZED", "outcome": "auth"},
		{"status": "2xx", "path": "errors[0].code", "outcome": "rejected"}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('onesignal', 'push', true, jsonb_build_object(
	'url', 'https://api.onesignal.com',
	'path', '/notifications',
	'idempotent', true,
	'options', '["app_id"]'::jsonb,
	'secrets', '["api_key"]'::jsonb,
	'auth', '{"type": "header", "name": "authorization", "value": "Key {{ secret.api_key }}"}'::jsonb,
	'body', $liquid${
	"app_id": "{{ options.app_id }}",
	"target_channel": "push",
	"include_subscription_ids": ["{{ address }}"],
	"idempotency_key": "{{ uuid }}",
	"headings": {% if message.title %}{"en": "{{ message.title }}"}{% else %}null{% endif %},
	"subtitle": {% if message.subtitle %}{"en": "{{ message.subtitle }}"}{% else %}null{% endif %},
	"contents": {% if message.body %}{"en": "{{ message.body }}"}{% else %}null{% endif %},
	"content_available": {% unless message.body or message.title %}true{% else %}null{% endunless %},
	"url": {{ message.url | json }},
	"big_picture": {{ message.image | json }},
	"ios_attachments": {% if message.image %}{"image": "{{ message.image }}"}{% else %}null{% endif %},
	"ttl": {% if ttl %}{{ ttl | at_most: 2419200 }}{% else %}null{% endif %},
	"data": { {% for pair in message.data %}{{ pair[0] | json }}: {{ pair[1] | json }}, {% endfor %}"send_id": "{{ send_id }}"}
}$liquid$,
	'accept', 'id', 'id', 'id', 'reason', 'errors[0]|errors',
	'errors', '[
		{"status": 200, "path": "errors.invalid_subscription_ids|errors.invalid_player_ids|errors.invalid_aliases", "outcome": "target_dead"},
		{"contains": "All included players are not subscribed", "outcome": "target_dead"},
		{"status": 200, "path": "id", "is": "", "outcome": "rejected"}]'::jsonb));

-- chat

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('slack', 'chat', true, jsonb_build_object(
	'url', '{{ secret.url }}',
	'endpoint', false,
	'secrets', '["url"]'::jsonb,
	'body', $liquid${
	"text": "{% if message.title %}*{{ message.title | replace: '<!', '&lt;!' }}*\n{% endif %}{{ message.text | replace: '<!', '&lt;!' }}{% if message.url %}\n{{ message.url }}{% endif %}",
	"blocks": {{ message.blocks | json }}
}$liquid$,
	'errors', '[
		{"status": 403, "contains": "invalid_token", "outcome": "auth"},
		{"status": [403, 404, 410], "outcome": "config"}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('discord', 'chat', true, jsonb_build_object(
	'url', '{{ secret.url }}?wait=true',
	'endpoint', false,
	'secrets', '["url"]'::jsonb,
	'body', $liquid${
	"content": "{% if message.title %}**{{ message.title | truncate: 100 }}**\n{% endif %}{{ message.text | truncate: 1600 }}{% if message.url %}\n{{ message.url }}{% endif %}",
	"embeds": {% if message.image %}[{"image": {"url": "{{ message.image }}"}}]{% else %}null{% endif %},
	"allowed_mentions": {"parse": []},
	"nonce": "{{ send_id }}",
	"enforce_nonce": true
}$liquid$,
	'id', 'id', 'reason', 'message', 'retry_after', 'retry_after',
	'errors', '[
		{"status": [401, 403, 404], "outcome": "config"}]'::jsonb));

INSERT INTO trigger_engine._provider_kinds (name, channel, shipped, definition) VALUES ('telegram', 'chat', true, jsonb_build_object(
	'url', 'https://api.telegram.org',
	'path', '/bot{{ secret.token }}/send{% if message.image %}Photo{% else %}Message{% endif %}',
	'options', '["parse_mode?"]'::jsonb,
	'secrets', '["token"]'::jsonb,
	'body', $liquid${
	"chat_id": "{{ address }}",
	{% if message.image %}"photo": "{{ message.image }}", "caption"{% else %}"text"{% endif %}: "{% if message.title %}{{ message.title }}\n{% endif %}{{ message.text }}{% if message.url %}\n{{ message.url }}{% endif %}",
	"parse_mode": {{ options.parse_mode | json }}
}$liquid$,
	'accept', 'result.message_id', 'id', 'result.message_id', 'reason', 'description', 'retry_after', 'parameters.retry_after',
	'errors', '[
		{"status": 403, "outcome": "target_dead"},
		{"status": 400, "path": "description", "contains": "chat not found", "outcome": "target_dead"},
		{"status": 404, "outcome": "config"}]'::jsonb));
