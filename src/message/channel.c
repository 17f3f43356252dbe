/*
 * channel.c
 *		The fields of each channel, and the check of a template's content against
 *		them.
 */
#include "postgres.h"

#include "common/common.h"
#include "errors.h"
#include "message/message.h"

static const TeField push_fields[] = {
	{"title", TE_FIELD_LINE}, {"subtitle", TE_FIELD_LINE}, {"body", TE_FIELD_TEXT}, {"image", TE_FIELD_IMAGE},
	{"url", TE_FIELD_URL}, {"actions", TE_FIELD_ACTIONS}, {"sound", TE_FIELD_LINE}, {"badge", TE_FIELD_NUMBER},
	{"data", TE_FIELD_OBJECT}, {NULL}
};

static const TeField web_push_fields[] = {
	{"title", TE_FIELD_LINE}, {"body", TE_FIELD_TEXT}, {"icon", TE_FIELD_IMAGE}, {"image", TE_FIELD_IMAGE},
	{"badge", TE_FIELD_IMAGE}, {"url", TE_FIELD_URL}, {"actions", TE_FIELD_ACTIONS}, {"tag", TE_FIELD_LINE},
	{"data", TE_FIELD_OBJECT}, {NULL}
};

static const TeField email_fields[] = {
	{"from", TE_FIELD_ADDRESS}, {"from_name", TE_FIELD_LINE}, {"reply_to", TE_FIELD_ADDRESS}, {"subject", TE_FIELD_LINE},
	{"preheader", TE_FIELD_LINE}, {"list_unsubscribe", TE_FIELD_URL}, {"html", TE_FIELD_HTML}, {"text", TE_FIELD_TEXT}, {NULL}
};

static const TeField sms_fields[] = {
	{"text", TE_FIELD_TEXT}, {NULL}
};

static const TeField whatsapp_fields[] = {
	{"text", TE_FIELD_TEXT}, {"image", TE_FIELD_IMAGE}, {"template", TE_FIELD_OBJECT}, {NULL}
};

static const TeField in_app_fields[] = {
	{"title", TE_FIELD_LINE}, {"body", TE_FIELD_TEXT}, {"image", TE_FIELD_IMAGE}, {"url", TE_FIELD_URL},
	{"data", TE_FIELD_OBJECT}, {NULL}
};

static const TeField chat_fields[] = {
	{"title", TE_FIELD_LINE}, {"text", TE_FIELD_TEXT}, {"image", TE_FIELD_IMAGE}, {"url", TE_FIELD_URL},
	{"blocks", TE_FIELD_DOCUMENT}, {NULL}
};

static const TeField webhook_fields[] = {
	{"type", TE_FIELD_LINE}, {NULL}
};

static const TeField block_fields[] = {
	{"text", TE_FIELD_TEXT}, {"html", TE_FIELD_HTML}, {NULL}
};

/* Of one button of a push message. */
static const TeField action_fields[] = {
	{"id", TE_FIELD_LINE}, {"title", TE_FIELD_LINE}, {"url", TE_FIELD_URL}, {"icon", TE_FIELD_IMAGE}, {NULL}
};

static const TeChannel channels[] = {
	{"push", push_fields, {"title", "body", "data"}},
	{"web_push", web_push_fields, {"title"}},
	{"email", email_fields, {"html", "text"}},
	{"sms", sms_fields, {"text"}},
	{"whatsapp", whatsapp_fields, {"text", "template"}},
	{"in_app", in_app_fields},
	{"webhook", webhook_fields, {NULL}, true},
	{"chat", chat_fields, {"text", "blocks"}},
	{"block", block_fields, {"text", "html"}, false, true}
};

/*
 * A channel by its name; NULL when there is none. Does not throw.
 */
const TeChannel *
te_channel_find(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(channels); i++)
		if (strcmp(channels[i].name, name) == 0)
			return &channels[i];
	return NULL;
}

/*
 * Names of the channels, for hints; blocks come last. Does not throw.
 */
const char *const *
te_channel_names(void)
{
	static const char *names[lengthof(channels) + 1];
	int			i;

	for (i = 0; i < lengthof(channels); i++)
		names[i] = channels[i].name;
	return names;
}

/*
 * A field in a list by its name; NULL when it is not there.
 */
static const TeField *
find_field(const TeField *fields, const char *name, int len)
{
	for (; fields->name; fields++)
		if (strlen(fields->name) == len && memcmp(fields->name, name, len) == 0)
			return fields;
	return NULL;
}

/*
 * A field of a channel; NULL when it has none of that name. Does not throw.
 */
const TeField *
te_channel_field(const TeChannel *channel, const char *name, int len)
{
	return find_field(channel->fields, name, len);
}

/*
 * The same for one button of a push message.
 */
const TeField *
te_channel_action_field(const char *name, int len)
{
	return find_field(action_fields, name, len);
}

/*
 * Throws for a key that is none of the fields.
 */
static void
check_keys(Jsonb *object, const TeField *fields, const char *what)
{
	const char *names[16];
	int			i;

	for (i = 0; fields[i].name; i++)
	{
		Assert(i < lengthof(names) - 1);
		names[i] = fields[i].name;
	}
	names[i] = NULL;
	te_json_check_keys(object, what, names);
}

/*
 * Throws unless the actions are a list of buttons with titles.
 */
static void
check_actions(Jsonb *content, const char *what)
{
	Jsonb	   *actions = te_json_array(content, "actions", what);
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	int			n = 0;

	if (actions == NULL)
		return;
	it = JsonbIteratorInit(&actions->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *name;
		Jsonb	   *action;
		const TeField *field;

		if (token != WJB_ELEM)
			continue;
		name = psprintf("action %d of %s", ++n, what);
		action = JsonbValueToJsonb(&item);
		check_keys(action, action_fields, name);
		for (field = action_fields; field->name; field++)
			(void) te_json_text(action, field->name, name);
		if (te_json_text(action, "id", name) == NULL || te_json_text(action, "title", name) == NULL)
			ereport(ERROR,
					(errcode(TE_ERRCODE_DEFINITION),
					 errmsg("%s needs an \"id\" and a \"title\"", name),
					 errhint("Write {\"id\": \"open\", \"title\": \"Show\", \"url\": \"https://...\"}.")));
	}
}

/*
 * Throws unless a field's value is of its kind.
 */
static void
check_field(Jsonb *content, const TeField *field, const char *what)
{
	JsonbValue *value;

	switch (field->kind)
	{
		case TE_FIELD_ACTIONS:
			check_actions(content, what);
			break;
		case TE_FIELD_OBJECT:
			(void) te_json_object(content, field->name, what);
			break;
		case TE_FIELD_DOCUMENT:
			break;
		case TE_FIELD_NUMBER:
			value = te_json_find(content, field->name);
			if (value && value->type == jbvNumeric)
			{
				double		number = te_json_number(content, field->name, 0, what);

				if (!(number >= 0 && number <= PG_INT32_MAX) || number != (int) number)
					ereport(ERROR,
							(errcode(TE_ERRCODE_DEFINITION),
							 errmsg("key \"%s\" of %s must be a whole number that is not negative", field->name, what)));
				break;
			}
			if (value && value->type != jbvNull && value->type != jbvString)
				ereport(ERROR,
						(errcode(TE_ERRCODE_DEFINITION),
						 errmsg("key \"%s\" of %s must be a number, or a text that renders to one", field->name, what)));
			break;
		default:
			(void) te_json_text(content, field->name, what);
			break;
	}
}

/*
 * Throws, naming the field, unless the content fits the channel: its keys are known,
 * its values of the right types, and there is something to show.
 */
void
te_channel_check(const TeChannel *channel, Jsonb *content)
{
	char	   *what = psprintf("content of %s %s template", strchr("aeios", channel->name[0]) ? "an" : "a", channel->name);
	const TeField *field;
	StringInfoData needed;
	int			i;

	if (!JB_ROOT_IS_OBJECT(content) || JB_ROOT_COUNT(content) == 0)
		ereport(ERROR,
				(errcode(TE_ERRCODE_DEFINITION),
				 errmsg("content must be a JSON object with at least one field"),
				 errhint("Write {\"title\": \"...\", \"body\": \"...\"}.")));
	if (!channel->any_field)
		check_keys(content, channel->fields, what);
	for (field = channel->fields; field->name; field++)
		check_field(content, field, what);
	if (channel->needed[0] == NULL)
		return;
	initStringInfo(&needed);
	for (i = 0; channel->needed[i]; i++)
	{
		JsonbValue *value = te_json_find(content, channel->needed[i]);

		if (value && value->type != jbvNull)
			return;
		appendStringInfo(&needed, "%s\"%s\"", i == 0 ? "" : channel->needed[i + 1] ? ", " : " or ", channel->needed[i]);
	}
	ereport(ERROR,
			(errcode(TE_ERRCODE_DEFINITION),
			 errmsg("%s needs %s", what, needed.data)));
}
